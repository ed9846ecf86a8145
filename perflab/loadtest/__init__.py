"""Driving load: plans, targets, Locust in a process of its own, and runs that know whether they are valid."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
