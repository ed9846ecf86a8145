"""Questions to profiles: where the time goes, along which paths, whose code it is, and what changed.

Every function takes `Measurements` with a ``profile`` table (a tree), or that table; `flat_profile`, `callers_of` and
`diff_profiles` take a ``calls`` table (a graph, from cProfile or callgrind) too. A function counts once for each stack
that it is on, so recursion inflates nothing; threads and runs are kept apart until they are merged on purpose; and
values of different units are never added.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
