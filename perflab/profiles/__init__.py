"""Analyses of profiles: where the time goes, along which call paths, in whose code, and what changed.

Every function takes `Measurements` with a ``profile`` table (a tree), or the table; `flat_profile`, `callers_of` and
`diff_profiles` also take a ``calls`` table (a graph, from cProfile or callgrind). A function counts once per stack, so
recursion inflates nothing; threads and runs are kept apart unless merged explicitly; units are never mixed.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
