"""perflab: did p95 really get better, and why was it slow?

Five nouns carry the library:

- a **plan** and a **target** (`LoadPlan`, `Stage`, `Target`) say what load meets what system; `run` and
  `run_pairs` drive Locust and return
- **measurements** (`Measurements`): pandas tables of raw evidence, from a run, from `load`, or from the
  files of other tools by `read`;
- a **change** (`compare`) is the verdict on two arms of such evidence, with its interval;
- **findings** (`find_n_plus_one`, ...) say why;
- a **report** (`Report`) keeps all of it for readers without a kernel.

Everything is loaded on first use, so that ``import perflab as lab`` costs next to nothing. The names and
where they live are in ``__init__.pyi``.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def load_ipython_extension(shell: object) -> None:
    """``%load_ext perflab`` in a notebook: the magics of `perflab.magics`."""
    from importlib import import_module

    # By name: the package must not lean on what leans on it.
    import_module("perflab.magics").load_ipython_extension(shell)
