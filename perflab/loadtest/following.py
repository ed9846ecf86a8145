"""Who follows a run: the progress display, or the caller's own listener."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from perflab.progress import Listener, Progress
from perflab.units import format_value


def listening(
    progress: bool | Listener, total_s: float, label: str, stop: Callable[[], None] | None = None
) -> AbstractContextManager[Listener]:
    """The receiver of progress: the display, or the caller's own listener."""
    if isinstance(progress, bool):
        return Progress(total_s, label, shown=progress, stop=stop, write=_fact)
    return nullcontext(progress)


def _fact(name: str, value: object) -> str:
    """``p95 31 ms``, ``generator 0.21 cores``."""
    if name == "generator_cores":
        return f"generator {f'{value:.2f} cores' if value == value else '–'}"
    short = {"throughput_per_s": "throughput", "p95_ms": "p95", "lcp_ms": "LCP", "error_fraction": "errors"}
    return f"{short.get(name, name)} {format_value(name, value)}"
