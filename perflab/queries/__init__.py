"""Query logs: fingerprints, units of work, N+1 and other patterns, before and after."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
