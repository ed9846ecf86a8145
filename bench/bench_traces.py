"""Critical paths, calls in a row and what-if of a million spans: seconds, and the most memory of a process of its own.

    python bench/bench_traces.py [spans]

Goals: critical paths of 1,000,000 spans in 20 s and 1.5 GB.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

import perflab as lab

WHAT = ("critical_path", "find_sequential", "what_if")


def spans(count: int, seed: int = 3) -> pd.DataFrame:
    """Traces of ten spans over three services: three calls in a row, the server below each, and two statements."""
    traces = count // 10
    rng = np.random.default_rng(seed)
    took = rng.lognormal(2.5, 0.4, (traces, 5))
    begin = np.cumsum(np.column_stack([np.full(traces, 1.0), took + 0.3]), axis=1)
    start, length = np.zeros((traces, 10)), np.zeros((traces, 10))
    length[:, 0] = begin[:, -1] + 1
    for call in range(3):  # the client's span, and the server's in it
        start[:, 1 + call], length[:, 1 + call] = begin[:, call], took[:, call]
        start[:, 4 + call], length[:, 4 + call] = begin[:, call] + 0.5, took[:, call] - 1.0 * (took[:, call] > 1.5)
    for query in range(2):
        start[:, 7 + query], length[:, 7 + query] = begin[:, 3 + query], took[:, 3 + query]
    start[:, 9], length[:, 9] = start[:, 4] + 0.1, length[:, 4] / 2
    parents = np.array([-1, 0, 0, 0, 1, 2, 3, 0, 0, 4])
    names = [
        "GET /page",
        "GET a/{}",
        "GET b/{}",
        "GET c/{}",
        "GET /a/{}",
        "GET /b/{}",
        "GET /c/{}",
        "SELECT x",
        "SELECT y",
        "render",
    ]
    kinds = ["server", "client", "client", "client", "server", "server", "server", "client", "client", "internal"]
    services = ["shop", "shop", "shop", "shop", "a", "b", "c", "shop", "shop", "a"]
    ids = np.array([f"{n:016x}" for n in range(traces * 10)], dtype=object).reshape(traces, 10)
    above = np.where(parents >= 0, ids[:, np.maximum(parents, 0)], None)
    at = (np.arange(traces)[:, None] * 200.0 + start) * 1e6
    return pd.DataFrame(
        {
            "run": "r", "trace": np.repeat(ids[:, 0], 10), "span": ids.ravel(), "parent": above.ravel(),
            "service": np.tile(services, traces), "name": np.tile(names, traces), "kind": np.tile(kinds, traces),
            "start": pd.to_datetime(at.astype("int64").ravel(), utc=True), "duration_ms": length.ravel(),
        }
    )  # fmt: skip


def measure(what: str, count: int) -> None:
    table = spans(count)
    asked = {"parallel": ["GET a/{}", "GET b/{}", "GET c/{}"]} if what == "what_if" else {}
    began = time.perf_counter()
    found = getattr(lab, what)(table, **asked)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{what:16} {count:>9,} spans: {seconds:6.2f} s, {peak:5.2f} GB at most; {found.attrs['sentence']}", flush=True
    )
    if what == "critical_path" and count == 1_000_000 and (seconds > 20 or peak > 1.5):
        raise SystemExit("slower or larger than the goal of 20 s and 1.5 GB")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(sys.argv[2], int(sys.argv[1]))
    else:
        for each in WHAT:
            size = sys.argv[1] if len(sys.argv) > 1 else "1000000"
            if subprocess.run([sys.executable, __file__, size, each], check=False).returncode:
                raise SystemExit(1)
