"""Who follows a run: the progress display, or the caller's own listener."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from perflab.loadtest.milestones import fact_text
from perflab.progress import Listener, display


def listening(
    progress: bool | Listener, total_s: float, label: str, stop: Callable[[], None] | None = None
) -> AbstractContextManager[Listener]:
    """The receiver of progress: the display, or the caller's own listener."""
    if isinstance(progress, bool):
        return display(total_s, label, shown=progress, stop=stop, write=fact_text, trend="recent_p95_ms")
    return nullcontext(progress)
