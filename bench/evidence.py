"""Large made-up evidence for benches: an experiment, a query log, a profile."""

from __future__ import annotations

import numpy as np
import pandas as pd

import perflab as lab

SECONDS = 600.0
"""How long each run of an experiment is."""
ROUTES = ("orders", "products", "customers", "baskets", "invoices", "parcels", "offers", "reviews", "stores", "taxes")


def experiment(runs: int, each: int, seed: int = 1) -> lab.Measurements:
    """Runs of two arms in pairs with as many requests each, users and CPU."""
    random = np.random.default_rng(seed)
    names = [f"run-{i}" for i in range(runs)]
    begin = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(runs) * (SECONDS + 10), unit="s")
    arms = [("n+1", "eager")[i % 2] for i in range(runs)]
    speed = np.repeat([1.0 if a == "n+1" else 0.6 for a in arms], each)
    at = np.sort(random.random((runs, each)), axis=1).ravel() * SECONDS
    requests = pd.DataFrame(
        {
            "run": np.repeat(names, each),
            "endpoint": random.choice(["GET /orders", "GET /products", "POST /cart", "GET /"], runs * each),
            "start": np.repeat(begin, each) + pd.to_timedelta(at, unit="s"),
            "latency_ms": random.lognormal(3, 0.6, runs * each) * speed,
            "ok": random.random(runs * each) > 0.002,
            "status": 200,
            "error": "",
        }
    )
    table = pd.DataFrame({"run": names, "arm": arms, "pair": np.arange(runs) // 2, "start": begin,
                          "duration_ms": SECONDS * 1e3, "valid": True})  # fmt: skip
    ticks = pd.DataFrame({"run": np.repeat(names, 600), "time": np.repeat(begin, 600)})
    ticks["time"] += pd.to_timedelta(np.tile(np.arange(600), runs), unit="s")
    resources = ticks.assign(process="target", cpu_cores=random.random(len(ticks)), rss_bytes=1e8)
    return lab.Measurements.of(runs=table, requests=requests, load=ticks.assign(users=50), resources=resources)


def query_log(units: int = 4_000, seed: int = 1) -> pd.DataFrame:
    """About 30 statements in each unit of work, on ten routes: on six of them with an N+1, on two with a fixed fan-out."""
    random = np.random.default_rng(seed)
    rows: list[tuple[str, str, str, list[int], int]] = []
    for unit in range(units):
        place = int(random.integers(len(ROUTES)))
        name, size = ROUTES[place], int(random.integers(5, 41))
        common = (f"unit-{unit:06d}", f"GET /{name}")
        rows.append((*common, "SELECT id, name, role FROM users WHERE id = ?", [unit], 1))
        rows.append((*common, f"SELECT id, owner_id, state FROM {name} WHERE owner_id = ? LIMIT {size}", [unit], size))
        calls = size if place < 6 else 8 if place < 8 else 0
        for i in range(calls):
            rows.append(
                (*common, f"SELECT id, {name}_id, text FROM {name}_lines WHERE {name}_id = ?", [unit * 50 + i], 3)
            )
        for i in range(12):
            rows.append((*common, f"SELECT c{i}, d{i} FROM settings_{place}_{i} WHERE tenant = ?", [unit % 90], 1))
    frame = pd.DataFrame(rows, columns=["unit", "route", "sql", "parameters", "rows"])
    begin = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(frame)) * 2, unit="ms")
    return frame.assign(run="r1", session="1", start=begin, duration_ms=random.gamma(2, 0.3, len(frame)))


def profile(nodes: int = 25_000, seed: int = 1, slower: float = 1.0) -> pd.DataFrame:
    """A call tree as a sampling profiler sees one of a large service: 1,800 functions, stacks up to 45 deep."""
    random = np.random.default_rng(seed)
    parent, depth = np.full(nodes, -1), np.zeros(nodes, dtype="int64")
    stack = [0]
    for node in range(1, nodes):  # in the order of a walk: callers before callees
        while len(stack) > 1 and (len(stack) >= 45 or random.random() < 0.48):
            stack.pop()
        parent[node], depth[node] = stack[-1], len(stack)
        stack.append(node)
    function = random.zipf(1.3, nodes) % 1_800
    own = random.gamma(0.4, 2.0, nodes) * np.where(function % 7 == 0, slower, 1.0)
    total = own.copy()
    for node in range(nodes - 1, 0, -1):
        total[parent[node]] += total[node]
    kinds = np.array(
        ["app/views", "app/models", "site-packages/sqlalchemy/orm", "site-packages/flask", "python3.12/json"]
    )
    return pd.DataFrame(
        {
            "run": "r1", "thread": "main", "node": np.arange(nodes),
            "parent": pd.array(np.where(parent < 0, None, parent), dtype="Int64"), "depth": depth,
            "function": [f"Module{f % 90}.function_{f}" for f in function],
            "file": [f"/srv/{kinds[f % 5]}/module_{f % 90}.py" for f in function], "line": function % 400 + 1,
            "self": own, "total": total, "unit": "ms",
        }
    )  # fmt: skip
