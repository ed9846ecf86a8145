"""Where a cache could be: in each process, in one server for all, at the edge, or in each browser; what each would take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from perflab.caching.accesses import Accesses
from perflab.caching.replaying import replay

PROCESS, SERVER, EDGE, BROWSER = LAYERS = ("process", "Redis", "CDN", "browser")


def layers_of(
    accesses: Accesses, *, ttl_s: float, invalidation: str, workers: int = 4, users: Sequence[object] | None = None
) -> pd.DataFrame:
    """The hit ratio of each layer alone: layer, hit_fraction, stale_fraction, entries, how.

    A process has its own cache, and requests go to one of ``workers`` in turn; Redis and a CDN are shared; a browser is one
    user's. No write reaches a CDN or a browser, so they serve an entry until its TTL ends.
    """
    by_worker = accesses.split_by(np.arange(len(accesses), dtype="int64") % workers)
    rows = [
        _row(PROCESS, by_worker, ttl_s, "none", f"one cache in each of {workers} processes"),
        _row(SERVER, accesses, ttl_s, invalidation, "one for all processes"),
    ]
    if accesses.kind == "url":
        rows.append(_row(EDGE, accesses, ttl_s, "none", "only what is the same for all users"))
        if users is not None:
            codes = pd.factorize(pd.Series(users))[0].astype("int64")
            own = accesses.split_by(np.where(codes < 0, codes.max(initial=0) + 1, codes))
            rows.append(_row(BROWSER, own, ttl_s, "none", "one for each user"))
    return pd.DataFrame(rows)


def _row(layer: str, accesses: Accesses, ttl_s: float, invalidation: str, reason: str) -> dict[str, object]:
    found = replay(accesses, ttl_s=ttl_s if ttl_s else math.inf, invalidation=invalidation)
    stale = float(found.stale.sum() / max(found.hit.sum(), 1))
    return {
        "layer": layer, "hit_fraction": found.hit_fraction, "stale_fraction": stale, "entries": found.most_entries, "how": reason,
    }  # fmt: skip
