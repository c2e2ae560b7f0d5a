"""Synthetic road scenes in CULane's layout, to try everything without data. Only `module` uses Lightning."""

from lgad_lightning.data.synthetic.generate import SyntheticData, generate
from lgad_lightning.data.synthetic.render import render
from lgad_lightning.data.synthetic.scene import SCENARIOS, Scene, sample_scene

__all__ = ["SCENARIOS", "Scene", "SyntheticData", "generate", "render", "sample_scene"]
