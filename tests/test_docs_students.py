"""What docs/students.md tells people to write."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import pytest
import torch

from lgad_lightning import ERFNet, LaneStudent, SyntheticLaneDataModule
from tests.conftest import CHECKOUT

TEXT = (CHECKOUT / "docs" / "students.md").read_text()
USE, TEST, FURTHER, OWN, SHARE, OLDER = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


SIZE: dict[str, Any] = {"image_size": (148, 410), "input_size": (32, 96), "crop_top": 48}


def train(network: torch.nn.Module, root: Path, path: Path) -> None:
    data = SyntheticLaneDataModule(root, train=16, val=4, test=9, batch_size=4, num_workers=0, **SIZE)
    trainer = L.Trainer(
        accelerator="cpu", max_steps=2, logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    trainer.fit(LaneStudent(network), data)
    trainer.save_checkpoint(path)


def test_the_page_runs(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors", reason="needs the extra `hub`")
    monkeypatch.chdir(tmp_path)
    best = Path("RUN/student/checkpoints/best.ckpt")
    small = {"input_size": (32, 96), "channels": (8, 16, 24)}
    train(ERFNet(num_classes=5, **small), tiny_root, best)
    cv2.imwrite("frame.jpg", np.zeros((148, 410, 3), np.uint8))
    names: dict[str, Any] = {}
    exec(USE, names)
    assert "ego-left" in capsys.readouterr().out

    given = 'CULaneDataModule("/data/CULane", input_size=(208, 976), crop_top=240)'
    names["tiny"] = SyntheticLaneDataModule(tiny_root, train=16, val=4, test=9, batch_size=4, num_workers=0, **SIZE)
    monkeypatch.setattr(L, "Trainer", partial(L.Trainer, accelerator="cpu", enable_progress_bar=False))
    (tmp_path / "best.ckpt").symlink_to(best)
    exec(TEST.replace(given, "tiny"), names)
    small_network = "input_size=(32, 96), channels=(8, 16, 24))"
    exec(FURTHER.replace("max_epochs=3", "max_steps=2").replace("input_size=(208, 976))", small_network), names)

    exec(OWN, names)
    assert names["student"](torch.zeros(1, 3, 8, 8)).logits.shape == (1, 5, 8, 8)
    exec(SHARE, names)
    assert Path("my-student/README.md").is_file()

    content = torch.load(best, weights_only=True)
    del content["lgad_student"]
    torch.save(content, "older.ckpt")
    exec(OLDER.replace("input_size=(208, 976))", "input_size=(32, 96), channels=(8, 16, 24))"), names)
    assert Path("converted/config.json").is_file()
