"""The code for a view: what a user would type to see the same.

It runs in a fresh cell: an object has the user's name, else the expression that the cell gave, else a name that is defined
in the kernel for it.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import FrameType
from typing import Any

_REPEATABLE = frozenset(
    {"where", "load", "read", "of", "time_window", "latency_band", "LoadPlan", "Stage", "Target", "dict"}
)
"""Calls that may be made again: they read, select or describe. Others may make load, or take long."""
_PLAIN = (
    ast.Name, ast.Attribute, ast.Constant, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.keyword, ast.operator, ast.unaryop, ast.cmpop, ast.expr_context, ast.Call,
)  # fmt: skip


def name_of(thing: object, otherwise: str, expression: str = "", *, replaced: object = None) -> str:
    """The user's name for an object in the notebook, or the expression for it, or ``otherwise``, which becomes its name.

    ``replaced`` is an earlier object that was named here, and gives up its name.
    """
    shell = _shell()
    if shell is None:
        return otherwise
    names = shell.user_ns
    found = (n for n, value in names.items() if value is thing and not n.startswith("_") and n.isidentifier())
    if name := next(found, expression):
        return name
    name, number = otherwise, 2
    while name in names and (replaced is None or names[name] is not replaced):
        name, number = f"{otherwise}_{number}", number + 1
    names[name] = thing
    return name


def expressions(caller: FrameType, count: int) -> list[str]:
    """The arguments of the call that a cell is making, as written there; "" for those that should not run again."""
    shell, none = _shell(), [""] * count
    if shell is None or caller.f_globals is not shell.user_ns or caller.f_code.co_flags & inspect.CO_NEWLOCALS:
        return none
    place = inspect.getframeinfo(caller).positions
    source = "".join(linecache.getlines(caller.f_code.co_filename))
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:  # a cell with await is compiled otherwise
        return none
    for call in calls:
        if place is not None and _place(call) == tuple(place) and len(call.args) == count:
            return [ast.unparse(a) if _repeatable(a) else "" for a in call.args]  # on one line
    return none


def prelude() -> str:
    """What the code needs where the notebook does not call perflab ``lab``."""
    shell = _shell()
    return "" if shell is None or shell.user_ns.get("lab") is sys.modules["perflab"] else "import perflab as lab"


def _place(node: ast.Call) -> tuple[int | None, ...]:
    return (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)


def _repeatable(expression: ast.expr) -> bool:
    nodes = list(ast.walk(expression))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls]
    return all(isinstance(node, _PLAIN) for node in nodes) and set(names) <= _REPEATABLE


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def sum_of(names: Sequence[str]) -> str:
    """The code for the measurements with these names together: ``before + after``."""
    return " + ".join(names)


def method(source: str, call: str) -> str:
    """A method call on the source, which is put in brackets where needed."""
    simple = isinstance(ast.parse(source, mode="eval").body, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
    return f"{source}.{call}" if simple else f"({source}).{call}"


def literal(value: object) -> str:
    """A value as Python source: numbers without trailing zeros or the last digits of binary fractions, texts quoted.

    >>> literal(0.1 + 0.2), literal(4523.123), literal(30.0)
    ('0.3', '4523.123', '30')
    """
    return f"{value:.12g}" if isinstance(value, float) else repr(value)


def call(function: str, *positional: str, **named: object) -> str:
    """``lab.function(source, name=value)``; positional arguments are already source, and None is left out."""
    written = [f"{name}={literal(value)}" for name, value in named.items() if value is not None]
    return f"{_qualified(function)}({', '.join([*positional, *written])})"


@cache
def _qualified(function: str) -> str:
    """The public name of a function: ``lab.compare``, ``lab.plots.plot_heatmap``."""
    packages = (
        "perflab",
        *(
            f"perflab.{name}"
            for name in ("plots", "stats", "data", "objectives", "profiles", "queries", "caching", "loadtest")
        ),
    )
    home = next(package for package in packages if function in import_module(package).__all__)
    return f"{home.replace('perflab', 'lab')}.{function}"
