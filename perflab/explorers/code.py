"""The code for a view: what a user would type to see the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module


def name_of(thing: object, otherwise: str) -> str:
    """The user's name for an object in the notebook, for code that can be pasted; ``otherwise`` if there is none."""
    if "IPython" not in sys.modules:
        return otherwise
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    names = shell.user_ns.items() if shell is not None else ()
    return next((n for n, value in names if value is thing and not n.startswith("_") and n.isidentifier()), otherwise)


def sum_of(names: Sequence[str]) -> str:
    """The code for the measurements with these names together: ``before + after``."""
    return " + ".join(names)


def method(source: str, call: str) -> str:
    """A method call on the source, which is put in brackets where needed."""
    return f"({source}).{call}" if " " in source and not source.endswith(")") else f"{source}.{call}"


def literal(value: object) -> str:
    """A value as Python source: numbers without trailing zeros, texts quoted."""
    return f"{value:g}" if isinstance(value, float) else repr(value)


def call(function: str, *positional: str, **named: object) -> str:
    """``lab.function(source, name=value)``; positional arguments are already source, and None is left out."""
    written = [f"{name}={literal(value)}" for name, value in named.items() if value is not None]
    return f"{_qualified(function)}({', '.join([*positional, *written])})"


@cache
def _qualified(function: str) -> str:
    """The public name of a function: ``lab.compare``, ``lab.plots.plot_heatmap``."""
    packages = (
        "perflab",
        *(f"perflab.{name}" for name in ("plots", "stats", "data", "objectives", "profiles", "queries", "caching")),
    )
    home = next(package for package in packages if function in import_module(package).__all__)
    return f"{home.replace('perflab', 'lab')}.{function}"
