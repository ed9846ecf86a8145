"""The code for a view: what a user would have typed to see the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perflab.tables import Measurements


def name_of(thing: object, otherwise: str) -> str:
    """The name that the user gave it in the notebook, for code that can be pasted; ``otherwise`` where there is none."""
    if "IPython" not in sys.modules:
        return otherwise
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    names = shell.user_ns.items() if shell is not None else ()
    return next((n for n, value in names if value is thing and not n.startswith("_") and n.isidentifier()), otherwise)


def sum_of(measurements: Sequence[Measurements], otherwise: str) -> str:
    """The names of several as their sum, ``(before + after)``."""
    numbered = len(measurements) > 1
    names = [name_of(m, f"{otherwise}_{i}" if numbered else otherwise) for i, m in enumerate(measurements, 1)]
    return f"({' + '.join(names)})" if numbered else names[0]


def literal(value: object) -> str:
    """A value as Python source: numbers without needless zeros, texts quoted."""
    return f"{value:g}" if isinstance(value, float) else repr(value)


def call(function: str, *positional: str, **named: object) -> str:
    """``lab.function(source, name=value)``; positional arguments are source already, None is left out."""
    written = [f"{name}={literal(value)}" for name, value in named.items() if value is not None]
    return f"lab.{function}({', '.join([*positional, *written])})"
