"""Whether runs of this length give each endpoint enough requests for its metric, checked after the first run."""

from __future__ import annotations

from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.loadtest import reasons
from perflab.metrics import Metric
from perflab.notes import Note

ON_SHORT = ("warn", "stop")
_MOST = 5


def checked(on_short: str) -> str:
    """Return ``on_short`` if it is "warn" or "stop"; else raise ValueError."""
    if on_short not in ON_SHORT:
        raise one_of("run_pairs: on_short", on_short, ON_SHORT)
    return on_short


def too_short(first: Measurements, metric: str, warmup: float) -> tuple[Note, ...]:
    """Notes on endpoints of a valid run with too few requests for the metric, with the length needed; the rarest first."""
    run = first.runs.iloc[0]
    needed, ran_ms = Metric.of(metric).rows_needed, float(run["duration_ms"])
    if not run["valid"] or not ran_ms:
        return ()
    after = (first.requests["start"] - run["start"]).dt.total_seconds() * 1e3 >= warmup * ran_ms
    counts = first.requests[after]["endpoint"].astype(str).value_counts().sort_values(kind="stable")
    return tuple(
        reasons.SHORT_RUNS(
            endpoint=endpoint, requests=int(count), ran_ms=ran_ms, metric=metric, needed=f"{needed:,}",
            needed_ms=ran_ms * needed / count,
        )
        for endpoint, count in counts[counts < needed].head(_MOST).items()
    )  # fmt: skip
