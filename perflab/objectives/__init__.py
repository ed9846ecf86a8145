"""Objectives: limits of latency, throughput and errors; read from where they are written, and checked."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
