"""The public names of this package that `perflab` itself does not export."""

from .modules import by_module, by_package
from .paths import callers_of, focus

__all__ = [
    "by_module",
    "by_package",
    "callers_of",
    "focus",
]
