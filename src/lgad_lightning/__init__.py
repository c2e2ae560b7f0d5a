"""Label-guided Attention Distillation (LGAD) for lane segmentation, as a PyTorch Lightning plugin."""

from importlib.metadata import version

import lazy_loader

# The exported names are in __init__.pyi. A module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("lgad-lightning")
