"""Caches before they are built: miss ratios by size, what a cache would give, and whether it gave it."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
