"""Pages in a browser: a plan of pages, and their web vitals measured in Chromium."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
