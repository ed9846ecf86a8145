"""The line of the application that sent a statement: the innermost frame outside libraries, or a line of a template."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import lru_cache
from typing import Any

VARIABLE = "PERFLAB_QUERY_SOURCE"
"""Set to 1, it turns on call sites where the application does not (``Target(env={"PERFLAB_QUERY_SOURCE": "1"})``)."""

_OURS = f"{os.sep}perflab{os.sep}recorders{os.sep}"
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STANDARD = tuple({os.path.realpath(p) + os.sep for n in ("stdlib", "platstdlib") if (p := sysconfig.get_path(n))})
_TEMPLATE = f"{os.sep}django{os.sep}template{os.sep}base.py"
_OWN, _LIBRARY, _BETWEEN = range(3)


def wanted(source: bool) -> bool:
    """Whether to record call sites: by the argument, or by the environment."""
    return source or os.environ.get(VARIABLE, "").lower() in ("1", "true", "yes", "on")


def call_site(*libraries: str) -> str | None:
    """``file:line`` of the innermost frame of the application, if there is one.

    Without one (a page of an installed application), of the innermost frame outside ``libraries`` and the recorders.
    """
    frame: Any = sys._getframe(1)
    other = None
    while frame is not None:
        name = frame.f_code.co_filename
        kind = _kind(name, libraries)
        if kind == _OWN:
            return f"{name}:{frame.f_lineno}"
        if name.endswith(_TEMPLATE) and (line := _template_line(frame)):
            return line
        if kind == _LIBRARY and other is None:
            other = f"{name}:{frame.f_lineno}"
        frame = frame.f_back or _behind(frame)
    return other


@lru_cache(maxsize=4096)
def _kind(name: str, libraries: tuple[str, ...]) -> int:
    if name.startswith("<") or _OURS in name or any(f"{os.sep}{library}{os.sep}" in name for library in libraries):
        return _BETWEEN
    if any(part in name for part in _INSTALLED):
        return _LIBRARY
    return _BETWEEN if os.path.realpath(name).startswith(_STANDARD) else _OWN


def _template_line(frame: Any) -> str | None:
    """File and line of the application's template that Django renders in this frame."""
    if frame.f_code.co_name != "render_annotated":
        return None
    node = frame.f_locals.get("self")
    name = getattr(getattr(node, "origin", None), "name", None)
    line = getattr(getattr(node, "token", None), "lineno", None)
    if not isinstance(name, str) or not isinstance(line, int) or any(part in name for part in _INSTALLED):
        return None
    return f"{name}:{line}"


def _behind(frame: Any) -> Any:
    """The frame that waits behind SQLAlchemy's greenlet, inside which async drivers are called."""
    greenlet = sys.modules.get("greenlet")
    parent = greenlet.getcurrent().parent if greenlet is not None else None
    waiting = parent.gr_frame if parent is not None else None
    return waiting if waiting is not frame and not _holds(waiting, frame) else None


def _holds(first: Any, frame: Any) -> bool:
    """Whether ``frame`` is on the stack of ``first``: then the walk is already behind the greenlet."""
    while first is not None and first is not frame:
        first = first.f_back
    return first is not None
