"""The code for a view: what a user would have typed to see the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module


def name_of(thing: object, otherwise: str) -> str:
    """The name that the user gave it in the notebook, for code that can be pasted; ``otherwise`` where there is none."""
    if "IPython" not in sys.modules:
        return otherwise
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    names = shell.user_ns.items() if shell is not None else ()
    return next((n for n, value in names if value is thing and not n.startswith("_") and n.isidentifier()), otherwise)


def sum_of(names: Sequence[str]) -> str:
    """The measurements of these names together: ``before + after``."""
    return " + ".join(names)


def method(source: str, call: str) -> str:
    """A method of what the source makes, in brackets where they are needed."""
    return f"({source}).{call}" if " " in source and not source.endswith(")") else f"{source}.{call}"


def literal(value: object) -> str:
    """A value as Python source: numbers without needless zeros, texts quoted."""
    return f"{value:g}" if isinstance(value, float) else repr(value)


def call(function: str, *positional: str, **named: object) -> str:
    """``lab.function(source, name=value)``; positional arguments are source already, None is left out."""
    written = [f"{name}={literal(value)}" for name, value in named.items() if value is not None]
    return f"{_qualified(function)}({', '.join([*positional, *written])})"


@cache
def _qualified(function: str) -> str:
    """``lab.compare``, ``lab.plots.plot_heatmap``: where a function is public."""
    packages = (
        "perflab",
        *(f"perflab.{name}" for name in ("plots", "stats", "data", "objectives", "profiles", "queries")),
    )
    home = next(package for package in packages if function in import_module(package).__all__)
    return f"{home.replace('perflab', 'lab')}.{function}"
