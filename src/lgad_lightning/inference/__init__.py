"""Uses trained models: finds lanes in images and videos."""

import lazy_loader

# __init__.pyi lists the exported names. A module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
