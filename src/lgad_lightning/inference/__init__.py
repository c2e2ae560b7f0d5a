"""Use of what was trained: lanes in images and videos."""

import lazy_loader

# What is exported stands in __init__.pyi; each module is imported when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
