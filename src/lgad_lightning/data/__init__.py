"""Images with lane labels: data sets, augmentation, the batches that teacher and student are given."""

import lazy_loader

# What is exported stands in __init__.pyi; each module is imported when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
