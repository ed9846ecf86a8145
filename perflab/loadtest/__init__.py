"""Load tests: plans, targets, Locust in its own process, and runs that are judged valid or not."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
