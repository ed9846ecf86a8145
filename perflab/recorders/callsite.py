"""Which line of the application asked: the innermost frame that belongs to neither a library in between nor to us."""

from __future__ import annotations

import os
import sys
from typing import Any

_OURS = f"{os.sep}perflab{os.sep}recorders{os.sep}"


def call_site(*libraries: str) -> str | None:
    """``file:line`` of the innermost frame outside these packages (and outside the recorders), if there is one."""
    between = (_OURS, *(f"{os.sep}{name}{os.sep}" for name in libraries))
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not any(part in name for part in between) and not name.startswith("<"):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back or _behind(frame)
    return None


def _behind(frame: Any) -> Any:
    """The frame that waits behind SQLAlchemy's greenlet: asynchronous drivers are called from inside one."""
    greenlet = sys.modules.get("greenlet")
    parent = greenlet.getcurrent().parent if greenlet is not None else None
    waiting = parent.gr_frame if parent is not None else None
    return waiting if waiting is not frame and not _holds(waiting, frame) else None


def _holds(first: Any, frame: Any) -> bool:
    """Whether ``frame`` is on the stack of ``first``: then the walk is behind the greenlet already."""
    while first is not None and first is not frame:
        first = first.f_back
    return first is not None
