"""What a comparison needs of each run of a lazily opened store, so that it is computed when the run is first read."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.stats.estimates import Usual, usual_metrics
from perflab.stats.mix import counts_of
from perflab.stats.pooled import bins_of
from perflab.stats.warmup import declared


def usual_of(
    sides: Sequence[Measurements | pd.DataFrame], metrics: Sequence[Metric], warmup: float | str | None
) -> Usual:
    """The metrics and the distribution of each run, and its requests to each endpoint; nothing of runs in memory."""
    lazy = [side for side in sides if isinstance(side, Measurements) and side.lazy]
    if len(lazy) < len(sides):
        return ()
    share = declared(lazy, warmup)
    own = usual_metrics(metrics, share)
    return (*own, (counts_of, (share,)), (bins_of, (AGGREGATED, share))) if own else ()
