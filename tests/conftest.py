"""Builders, one for each table: small, seeded, and shaped like the real thing.

Latencies are lognormal with a Pareto tail, an endpoint's own scale and a run's own luck (so runs of one arm
differ, as they do); they are test data, and no result about perflab's statistics rests on them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest

import perflab as lab

# A busy machine is no failure: how long an example takes is for the benchmarks.
hypothesis.settings.register_profile("perflab", deadline=None)
hypothesis.settings.load_profile("perflab")

CORPORA = Path(__file__).parent / "corpora"
START = pd.Timestamp("2026-11-24T01:45:00Z")
ENDPOINTS: Mapping[str, float] = {"GET /orders": 120.0, "GET /products": 25.0, "POST /cart": 40.0}
_PLAN = {
    "sentence": "locustfile.py: 20 users for 30 s; the first 10 % are warm-up",
    "locustfile": "locustfile.py",
    "stages": [{"duration_s": 30.0, "users": 20, "ramp": False, "spawn_rate": None}],
    "duration_s": 30.0,
    "warmup": 0.1,
    "workers": 1,
}
_ENVIRONMENT = {
    "time": "2026-11-24T01:45:00+00:00",
    "python": "3.11.7",
    "packages": {"perflab": "0.1.0", "locust": "2.47.0"},
    "cpu_count": 2,
    "load_average": 0.4,
    "generator": "locust 2.47.0",
}
Builder = Callable[..., pd.DataFrame]


def instants(seconds: Any, start: pd.Timestamp = START) -> Any:
    """UTC instants ``seconds`` after ``start``."""
    return start + pd.to_timedelta(np.asarray(seconds, dtype="float64"), unit="s")


def _requests(
    run: str = "r1",
    *,
    count: int = 600,
    seconds: float = 30.0,
    endpoints: Mapping[str, float] = ENDPOINTS,
    slower: float = 1.0,
    errors: float = 0.01,
    start: pd.Timestamp = START,
    seed: int = 1,
) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    names = list(endpoints)
    chosen = random.integers(0, len(names), count)
    scale = np.array([endpoints[n] for n in names])[chosen] * slower * np.exp(random.normal(0, 0.04))
    latency = (
        scale
        * np.exp(random.normal(0, 0.35, count))
        * np.where(random.random(count) < 0.02, 1 + random.pareto(2, count), 1)
    )
    ok = random.random(count) >= errors
    return pd.DataFrame(
        {
            "run": run,
            "endpoint": np.array(names)[chosen],
            "start": instants(np.sort(random.random(count)) * seconds, start),
            "latency_ms": latency,
            "ok": ok,
            "status": np.where(ok, 200, 500),
            "error": np.where(ok, "", "HTTP 500"),
            "size_bytes": random.integers(200, 20_000, count),
        }
    )


def _runs(
    names: Sequence[str] = ("r1",),
    *,
    arms: Sequence[str | None] | None = None,
    pairs: Sequence[int] | None = None,
    seconds: float = 30.0,
    gap: float = 5.0,
    valid: bool = True,
    start: pd.Timestamp = START,
) -> pd.DataFrame:
    order = np.arange(len(names))
    frame = pd.DataFrame(
        {
            "run": list(names),
            "arm": list(arms) if arms is not None else ["baseline"] * len(names),
            "start": instants(order * (seconds + gap), start),
            "duration_ms": seconds * 1e3,
            "valid": valid,
            "order": order + 1,
            "reasons": [[] if valid else ["the generator was the bottleneck"] for _ in names],
            "host": "http://127.0.0.1:8001",
            "plan": [_PLAN] * len(names),
            "environment": [_ENVIRONMENT] * len(names),
        }
    )
    return frame if pairs is None else frame.assign(pair=list(pairs))


def _resources(
    run: str = "r1",
    *,
    processes: Sequence[str] = ("target", "generator"),
    seconds: float = 30.0,
    cpu: float = 0.8,
    start: pd.Timestamp = START,
    seed: int = 1,
) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    ticks = np.arange(0, seconds, 0.5)
    frames = [
        pd.DataFrame(
            {
                "run": run,
                "time": instants(ticks, start),
                "process": process,
                "cpu_cores": np.clip(cpu / (1 + i) * (1 + random.normal(0, 0.08, len(ticks))), 0, None),
                "rss_bytes": 8e7 * (1 + i) + ticks * 1e5,
                "threads": 8,
                "read_bytes": 4096.0,
                "written_bytes": 8192.0,
            }
        )
        for i, process in enumerate(processes)
    ]
    return pd.concat(frames, ignore_index=True)


def _load(run: str = "r1", *, seconds: float = 30.0, users: int = 20, start: pd.Timestamp = START) -> pd.DataFrame:
    ticks = np.arange(0, seconds, 1.0)
    offered = np.minimum(users, np.ceil((ticks + 1) * users / 5)).astype(int)
    return pd.DataFrame({"run": run, "time": instants(ticks, start), "users": offered})


def _queries(
    run: str = "r1", *, units: int = 10, fan_out: int = 6, start: pd.Timestamp = START, seed: int = 1
) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for unit in range(units):
        parents = fan_out + unit % 3
        common = {"run": run, "unit": f"u{unit}", "route": "GET /orders", "session": "1"}
        rows.append(common | {"sql": f"SELECT id FROM orders LIMIT {parents}", "parameters": [], "rows": parents})
        rows += [
            common | {"sql": "SELECT name FROM customers WHERE id = ?", "parameters": [unit * 100 + i], "rows": 1}
            for i in range(parents)
        ]
    frame = pd.DataFrame.from_records(rows)
    return frame.assign(
        start=instants(np.arange(len(frame)) * 0.002, start), duration_ms=random.gamma(2, 0.2, len(frame))
    )


def _summary(run: str = "r1", *, endpoint: str = "GET /orders", p95: float = 182.4) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "endpoint": endpoint, "statistic": ["p50", "p95"], "value": [p95 / 2, p95], "unit": "ms"}
    )


def _profile(run: str = "r1", *, slow: float = 60.0) -> pd.DataFrame:
    """A call tree: main -> handle -> (query, render), in milliseconds."""
    return pd.DataFrame(
        {
            "run": run,
            "thread": "main",
            "node": [0, 1, 2, 3],
            "parent": [None, 0, 1, 1],
            "depth": [0, 1, 2, 2],
            "function": ["main", "handle", "query", "render"],
            "file": ["app.py", "app.py", "db.py", "view.py"],
            "line": [1, 10, 5, 7],
            "self": [1.0, 4.0, slow, 35.0],
            "total": [slow + 40.0, slow + 39.0, slow, 35.0],
            "unit": "ms",
        }
    )


def _calls(run: str = "r1") -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "caller": ["main", "handle"], "callee": ["handle", "query"], "calls": [1, 6], "self_ms": [4.0, 60.0],
         "total_ms": [99.0, 60.0]}
    )  # fmt: skip


def _checks(run: str = "r1", *, start: pd.Timestamp = START) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "start": instants([0, 1, 2], start), "name": "status is 200", "ok": [True, True, False]}
    )


def _spans(run: str = "r1", *, start: pd.Timestamp = START) -> pd.DataFrame:
    ids = {"run": run, "trace": "t1", "span": ["s1", "s2"], "parent": [None, "s1"], "service": "shop"}
    times = {"start": start, "duration_ms": [12.0, 3.0]}
    return pd.DataFrame({**ids, "name": ["GET /orders", "SELECT"], "kind": ["server", "client"], **times})


def _components(run: str = "r1", *, start: pd.Timestamp = START) -> pd.DataFrame:
    return pd.DataFrame({"run": run, "request": "q1", "component": ["database", "rest"], "duration_ms": [3.0, -0.5]})


def _metrics(run: str = "r1", *, start: pd.Timestamp = START) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "time": instants([0, 5], start), "name": "shop_requests_total", "labels": [{"route": "/orders"}] * 2,
         "value": [10.0, 60.0]}
    )  # fmt: skip


def _exchanges(run: str = "r1", *, start: pd.Timestamp = START) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "start": instants([0, 0.1], start), "method": "GET", "url": ["http://shop/", "http://shop/a.png"],
         "status": [200, 200], "mime": ["text/html", "image/png"], "request_bytes": 400, "transfer_bytes": [900, 52_000],
         "body_bytes": [2_400, 51_700], "headers": [{"content-type": "text/html"}, {"etag": "1"}],
         "timings_ms": [{"wait": 12.0}, {"wait": 3.0, "receive": 80.0}]}
    )  # fmt: skip


def _vitals(run: str = "r1", *, start: pd.Timestamp = START) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "page": "/", "visit": [1, 1, 2, 2], "metric": ["lcp", "cls"] * 2, "value": [900.0, 0.1, 940.0, 0.1],
         "unit": ["ms", ""] * 2, "rating": "good", "element": "img.hero"}
    )  # fmt: skip


def _advice(run: str = "r1") -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "page": "/", "finding": ["short-lifetime", "redirect"], "url": ["http://shop/a.png", None],
         "saved_bytes": [52_000.0, None], "saved_ms": [80.0, 0.0], "audit": ["cache-insight", "redirects"]}
    )  # fmt: skip


def _modules(run: str = "r1") -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "chunk": "main.js", "module": ["node_modules/clsx/index.js", "src/app.js"],
         "package": ["clsx", "(own code)"], "size_bytes": [500, 9_000], "version": ["2.1.1", ""]}
    )  # fmt: skip


def _measurements(
    *,
    arms: Mapping[str, float] | None = None,
    pairs: int = 6,
    count: int = 600,
    seconds: float = 30.0,
    endpoints: Mapping[str, float] = ENDPOINTS,
    resources: bool = True,
    load: bool = True,
    seed: int = 1,
) -> lab.Measurements:
    """Interleaved pairs: ``arms`` maps each arm to how slow it is; the order inside a pair is drawn."""
    speeds = dict(arms or {"n+1": 1.0, "eager": 0.45})
    random = np.random.default_rng(seed)
    order = [(pair, arm) for pair in range(1, pairs + 1) for arm in random.permutation(list(speeds))]
    names = [f"{arm}-{pair}" for pair, arm in order]
    runs = _runs(names, arms=[a for _, a in order], pairs=[p for p, _ in order], seconds=seconds)
    begin = dict(zip(names, runs["start"], strict=True))
    tables: dict[str, pd.DataFrame] = {"runs": runs}
    tables["requests"] = pd.concat(
        [
            _requests(
                n,
                count=count,
                seconds=seconds,
                endpoints=endpoints,
                slower=speeds[arm],
                start=begin[n],
                seed=seed * 1000 + i,
            )
            for i, (n, (_, arm)) in enumerate(zip(names, order, strict=True))
        ],
        ignore_index=True,
    )
    if resources:
        parts = [_resources(n, seconds=seconds, cpu=0.9 * speeds[a], start=begin[n], seed=i)
                 for i, (n, (_, a)) in enumerate(zip(names, order, strict=True))]  # fmt: skip
        tables["resources"] = pd.concat(parts, ignore_index=True)
    if load:
        tables["load"] = pd.concat([_load(n, seconds=seconds, start=begin[n]) for n in names], ignore_index=True)
    return lab.Measurements.of(**tables)


BUILDERS: Mapping[str, Builder] = {
    "runs": _runs,
    "requests": _requests,
    "summary": _summary,
    "queries": _queries,
    "profile": _profile,
    "calls": _calls,
    "resources": _resources,
    "load": _load,
    "checks": _checks,
    "metrics": _metrics,
    "spans": _spans,
    "components": _components,
    "exchanges": _exchanges,
    "vitals": _vitals,
    "advice": _advice,
    "modules": _modules,
}


@pytest.fixture
def builders() -> Mapping[str, Builder]:
    """Every table's builder by the table's name."""
    return BUILDERS


@pytest.fixture
def make_runs() -> Builder:
    return _runs


@pytest.fixture(scope="session")
def make_requests() -> Builder:
    return _requests


@pytest.fixture
def make_summary() -> Builder:
    return _summary


@pytest.fixture(scope="session")
def make_queries() -> Builder:
    return _queries


@pytest.fixture(scope="session")
def make_profile() -> Builder:
    return _profile


@pytest.fixture
def make_calls() -> Builder:
    return _calls


@pytest.fixture(scope="session")
def make_resources() -> Builder:
    return _resources


@pytest.fixture
def make_load() -> Builder:
    return _load


@pytest.fixture(scope="session")
def make_checks() -> Builder:
    return _checks


@pytest.fixture
def make_metrics() -> Builder:
    return _metrics


@pytest.fixture(scope="session")
def make_measurements() -> Callable[..., lab.Measurements]:
    return _measurements


@pytest.fixture
def experiment(make_measurements: Callable[..., lab.Measurements]) -> tuple[lab.Measurements, lab.Measurements]:
    """Six pairs as (baseline, candidate), as `run_pairs` returns them."""
    both = make_measurements()
    return both.where(arm="n+1"), both.where(arm="eager")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Any]:
    """A throwaway MariaDB server that all tests share, while it runs (tests/corpora/servers.py)."""
    servers = _servers()
    if servers.mariadb_bin() is None:
        pytest.skip("needs MariaDB (apt: mariadb-server)")
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Any]:
    """A throwaway PostgreSQL server that all tests share, while it runs (tests/corpora/servers.py)."""
    servers = _servers()
    if servers.postgresql_bin() is None:
        pytest.skip("needs PostgreSQL 15 or later (apt: postgresql)")
    with servers.postgresql() as server:
        yield server


def _servers() -> Any:
    return import_module("servers")


@pytest.fixture(autouse=True)
def _close_figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No display, and no figure outlives its test."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield

    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI nothing skips but for kernel permissions: a program that is missing there is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "kernel permissions" not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where everything is installed: {reason}"
