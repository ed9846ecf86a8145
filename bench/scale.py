"""Memory and time by the number of runs, beside DuckDB's GROUP BY of the same files run by run; a history from kept statistics.

    python bench/scale.py write FOLDER [--runs 200]    make the runs, 1 M requests to 50 endpoints each (10 MB a run); resumes
    python bench/scale.py measure FOLDER               each measurement in a process of its own; resumes from FOLDER/raw.jsonl
    python bench/scale.py table FOLDER > bench/scale.md

Each run is one recorded day in another order, with its own luck; a tenth of the second arm's latency is gone.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

REQUESTS, ENDPOINTS, USERS, SECONDS = 1_000_000, 50, 200, 1800.0
SMALL, HISTORY = 2_500, 500
SIZES = (50, 100, 200)
STARTED = pd.Timestamp("2026-01-01", tz="UTC")


def base(requests: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(29)
    endpoint = random.integers(0, ENDPOINTS, requests)
    scale = np.geomspace(5, 200, ENDPOINTS)[endpoint]
    return {
        "endpoint": endpoint,
        "latency": scale * np.exp(random.normal(0, 0.4, requests)),
        "at": np.sort(random.random(requests)) * SECONDS,
        "ok": random.random(requests) > 0.001,
        "user": random.integers(0, USERS, requests),
    }


def write_run(store: Path, place: int, rows: dict[str, np.ndarray]) -> None:
    from perflab.data.store import Draft

    random = np.random.default_rng(place)
    arm = ("before", "after")[place % 2]
    start = STARTED + pd.Timedelta(hours=place)
    order = np.roll(np.arange(len(rows["at"])), int(random.integers(len(rows["at"]))))
    speed = np.exp(random.normal(0, 0.03)) * (0.9 if arm == "after" else 1.0)
    frame = pd.DataFrame(
        {
            "endpoint": pd.Categorical.from_codes(rows["endpoint"][order], [f"GET /{i}" for i in range(ENDPOINTS)]),
            "start": start + pd.to_timedelta(np.round(rows["at"], 6), unit="s"),
            "latency_ms": np.round(rows["latency"][order] * speed, 3),
            "ok": rows["ok"][order],
            "user": pd.Categorical.from_codes(rows["user"][order], [str(i) for i in range(USERS)]),
        }
    )
    draft = Draft(store, arm)
    draft.append("requests", frame)
    draft.keep(
        {
            "arm": arm, "start": start.isoformat(), "duration_ms": SECONDS * 1e3, "valid": True, "pair": place // 2,
            "order": place, "plan": {"warmup": 0.1, "duration_s": SECONDS},
        }
    )  # fmt: skip


def write(folder: Path, runs: int) -> None:
    for store, wanted, requests in ((folder / "runs", runs, REQUESTS), (folder / "history", HISTORY, SMALL)):
        store.mkdir(parents=True, exist_ok=True)
        rows = base(requests)
        for place in range(len(list(store.glob("2*/run.json"))), wanted):
            write_run(store, place, rows)


def forget(store: Path) -> None:
    for kept in store.glob("2*/.statistics.parquet"):
        kept.unlink()


def chosen(store: Path, runs: int) -> Any:
    import perflab as lab

    held = lab.load(store, lazy=True)
    return held.where(order=list(range(runs))) if runs < len(held.runs) else held


def summarized(store: Path, runs: int) -> int:
    import perflab as lab

    return len(lab.summarize(chosen(store, runs)))


def compared(store: Path, runs: int) -> int:
    import perflab as lab

    held = chosen(store, runs)
    return len(lab.compare(held.where(arm="before"), held.where(arm="after")).table)


def by_duckdb(store: Path, runs: int) -> int:
    import duckdb

    rows = 0
    for run in sorted(store.glob("2*"))[:runs]:
        found = duckdb.sql(
            "SELECT endpoint, count(*), avg(latency_ms), max(latency_ms), sum((NOT ok)::INT), "
            "quantile_cont(latency_ms, [0.5, 0.95, 0.99]) "
            f"FROM '{run}/requests.parquet' GROUP BY GROUPING SETS ((endpoint), ())"
        ).fetchall()
        rows += len(found)
    return rows


def opened(store: Path, runs: int) -> int:
    import perflab as lab

    held = lab.load(store, lazy=True)
    lab.change_points(held.where(arm="before"), metric="p95")
    return len(lab.summarize(held))


WHAT: dict[str, tuple[str, Callable[[Path, int], int], str, bool]] = {
    "summarize": ("`summarize`", summarized, "runs", True),
    "compare": ("`compare`", compared, "runs", True),
    "compare kept": ("`compare` again, from kept statistics", compared, "runs", False),
    "DuckDB": ("DuckDB, one GROUP BY a run", by_duckdb, "runs", False),
    "history": ("`load`, `change_points`, `summarize` of a history, the first time", opened, "history", True),
    "history kept": ("the same from kept statistics", opened, "history", False),
}


def one(folder: Path, name: str, runs: int) -> None:
    """One measurement in this process: seconds, CPU seconds, and the most memory."""
    import perflab as lab

    _, work, store, afresh = WHAT[name]
    if afresh:
        forget(folder / store)
    assert lab.load
    began, before = time.perf_counter(), time.process_time()
    rows = work(folder / store, runs)
    took, cpu = time.perf_counter() - began, time.process_time() - before
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"what": name, "runs": runs, "rows": rows, "s": took, "cpu_s": cpu, "rss_bytes": most}))


def measure(folder: Path) -> None:
    raw = folder / "raw.jsonl"
    done = {(r["what"], r["runs"]) for r in map(json.loads, raw.read_text().splitlines())} if raw.exists() else set()
    wanted = [("history", HISTORY), ("history kept", HISTORY)]
    wanted += [(name, size) for size in SIZES for name in ("summarize", "compare", "compare kept", "DuckDB")]
    for name, size in wanted:
        if (name, size) not in done:
            _measured(folder, raw, name, size)


def _measured(folder: Path, raw: Path, name: str, runs: int) -> None:
    found = subprocess.run([sys.executable, __file__, "one", str(folder), "--what", name, "--runs", str(runs)],
                           check=True, capture_output=True, text=True)  # fmt: skip
    with raw.open("a") as file:
        file.write(found.stdout.splitlines()[-1] + "\n")


def table(folder: Path) -> None:
    rows = list(map(json.loads, (folder / "raw.jsonl").read_text().splitlines()))
    print(
        "# Memory and time by the number of runs\n\nMade by `make scale`, on two cores shared with other work,\n"
        "and paused for it: compare CPU seconds."
    )
    print(
        f"A run has {REQUESTS:,} requests to {ENDPOINTS} endpoints (10 MB of Parquet); one of the history has {SMALL:,}.\n"
    )
    print("| What | Runs | Seconds | CPU seconds | CPU seconds a run | Most memory, MB |\n|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda r: (list(WHAT).index(r["what"]), r["runs"])):
        print(f"| {WHAT[row['what']][0]} | {row['runs']} | {row['s']:.1f} | {row['cpu_s']:.1f} "
              f"| {row['cpu_s'] / row['runs']:.3f} | {row['rss_bytes'] / 1e6:.0f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["write", "measure", "one", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=SIZES[-1])
    parser.add_argument("--what", choices=list(WHAT))
    given = parser.parse_args()
    if given.step == "write":
        write(given.folder, given.runs)
    elif given.step == "one":
        one(given.folder, given.what, given.runs)
    else:
        {"measure": measure, "table": table}[given.step](given.folder)


if __name__ == "__main__":
    main()
