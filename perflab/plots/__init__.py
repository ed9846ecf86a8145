"""Figures: `plot_*` functions that draw on, and return, matplotlib Axes.

They aggregate before drawing, so a million requests make as many artists as a thousand; the slowest request is
always visible. Every run of an arm is shown: the run is the unit of replication.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
