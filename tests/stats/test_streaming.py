"""A store that is opened lazily: every function gives what it gives of the same runs in memory, to the last bit."""

from __future__ import annotations

import inspect
import re
import shutil
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.data import kept_statistics
from perflab.data.store import Draft
from perflab.data.stored_runs import StoredRun, StoredTables
from perflab.errors import ComparisonError, StoreError
from perflab.gates.stored import StoredBaseline
from perflab.stats.coded_requests import part_of, streamed
from perflab.stats.estimates import by_run
from perflab.stats.pooled import pooled

Builder = Callable[..., pd.DataFrame]
PAIRS = 5
GOALS = [
    "p95 < 200ms",
    "error rate < 1%",
    "max < 1ms",
    "throughput > 5/s",
    "mean of GET /orders < 150ms",
    lab.Objective("check_fraction", ">", 0.5),
]
PRODUCTION = lab.Measurements.of(
    metrics=pd.DataFrame(
        [
            {"run": "p", "time": pd.Timestamp("2026-11-24T01:45:00Z"), "name": f"http_request_duration_seconds_{name}",
             "labels": {"le": le} if le else {}, "value": value}
            for name, le, value in (("bucket", "0.05", 60.0), ("bucket", "+Inf", 100.0), ("count", "", 100.0), ("sum", "", 4.0))
        ]
    )
)  # fmt: skip
TRAFFIC = lab.loadtest.Traffic(
    "access.log",
    pd.DataFrame({"endpoint": ["GET /orders", "POST /cart", "GET /other"], "requests": [60, 30, 10],
                  "share_fraction": [0.6, 0.3, 0.1]}),
    pd.DataFrame(),
    60,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, make_requests: Builder, make_resources: Builder, make_checks: Builder
) -> Path:
    """Pairs of runs that differ in what they hold: columns, failures, endpoints, mix, and users."""
    place = tmp_path_factory.mktemp("runs")
    for number in range(2 * PAIRS):
        arm = ("before", "after")[number % 2]
        start = pd.Timestamp("2026-11-24T01:45:00Z") + pd.Timedelta(minutes=number)
        made = make_requests(
            "r", count=700 + number, slower=0.8 if arm == "after" else 1.0, start=start, seed=number + 1
        )
        rows = (made if number % 3 else made.drop(columns="size_bytes")).assign(
            user=(np.arange(len(made)) % 7).astype(str), cached=np.arange(len(made)) % (2 + number) == 0
        )
        if arm == "after":  # another mix
            rows = rows[(rows["endpoint"] != "POST /cart") | (np.arange(len(rows)) % 3 > 0)]
        draft = Draft(place, arm)
        draft.write("requests", rows)
        draft.write("resources", make_resources("r", start=start, seed=number))
        draft.write("checks", make_checks("r", start=start))
        draft.keep(
            {"arm": arm, "start": start.isoformat(), "duration_ms": 3e4, "valid": True, "pair": number // 2,
             "plan": {"warmup": 0.1, "duration_s": 30.0}}
        )  # fmt: skip
    return place


@pytest.fixture(scope="module")
def both(store: Path) -> tuple[lab.Measurements, lab.Measurements]:
    return lab.load(store, lazy=False), lab.load(store, lazy=True)


def _arms(held: lab.Measurements) -> tuple[lab.Measurements, lab.Measurements]:
    return held.where(arm="before"), held.where(arm="after")


FUNCTIONS: dict[str, Callable[[lab.Measurements], Any]] = {
    "summarize": lab.summarize,
    "summarize a window": lambda m: lab.summarize(lab.data.time_window(m, 3, 20)),
    "compare": lambda m: lab.compare(*_arms(m)),
    "compare metrics": lambda m: lab.compare(
        *_arms(m), metric=["p99", "over_100ms", "size_bytes", "cpu_ms_per_request"], primary="GET /orders"
    ),
    "compare with pacing": lambda m: lab.compare(*_arms(m), pacing="150ms"),
    "compare one and one": lambda m: lab.compare(*(side.where(pair=0) for side in _arms(m))),
    "compare with itself": lambda m: lab.compare(_arms(m)[0], _arms(m)[0]),
    "change_points": lambda m: lab.change_points(_arms(m)[0], metric="p90"),
    "find_changes": lambda m: lab.stats.find_changes(_arms(m)[0], metrics=["p95", "mean"]),
    "plan_runs": lambda m: lab.plan_runs(_arms(m)[0], effect=0.1),
    "calibrate": lambda m: lab.calibrate(_arms(m), relabellings=20, seed=1),
    "check": lambda m: lab.check(_arms(m)[1], GOALS),
    "check one run": lambda m: lab.check(_arms(m)[1].where(pair=1), GOALS),
    "errors": lab.data.summarize_errors,
    "errors of an endpoint": lambda m: lab.data.summarize_errors(m, "GET /orders"),
    "slowest requests": lambda m: lab.data.slowest_requests(m, count=9),
    "within": lambda m: lab.stats.within(_arms(m)[0].where(pair=[0, 1]), "p90"),
    "quantile_shift": lambda m: lab.quantile_shift(*_arms(m)),
    "quantile_shift of an endpoint": lambda m: lab.quantile_shift(
        *(side.where(pair=[0, 1, 2]) for side in _arms(m)), endpoint="GET /orders"
    ),
    "compare_anytime": lambda m: lab.stats.compare_anytime(*_arms(m), metric="mean"),
    "compare_arms": lambda m: lab.stats.compare_arms(m, metric="p90"),
    "latency_band": lambda m: lab.summarize(lab.data.latency_band(m, "20ms", "60ms")),
    "a band that some runs have nothing in": lambda m: lab.summarize(
        lab.data.latency_band(m, float(lab.summarize(m)["max_ms"].quantile(0.9))), warmup=0
    ),
    "a band of a window of both": lambda m: lab.data.summarize_errors(
        lab.data.latency_band(lab.data.time_window(_arms(m)[1] + _arms(m)[0], 2, 25), "10ms")
    ),
    "error_budget": lambda m: lab.objectives.error_budget(_arms(m)[0], [*GOALS[:4], "p90 of GET /orders < 40ms"]),
    "error_budget of seconds": lambda m: lab.objectives.error_budget(_arms(m)[0], GOALS[:1], window="50s", warmup=0),
    "compare_shares": lambda m: lab.objectives.compare_shares(_arms(m)[0], PRODUCTION, "50ms"),
    "attainable": lambda m: lab.objectives.attainable(_arms(m)[0]),
    "compare_mix": lambda m: lab.loadtest.compare_mix(m, TRAFFIC),
    "set_baseline": lambda m: StoredBaseline(Path(), _arms(m)[0], None, None, "").coverage(m),  # type: ignore[arg-type]
    "cache_hits": lambda m: lab.caching.cache_hits(m),
    "growth": lab.stats.growth,
    "checks": lab.stats.summarize_checks,
    "both stores": lambda m: lab.summarize(_arms(m)[1] + _arms(m)[0]),
}  # fmt: skip


LARGE, MOST = {"requests": "latency_ms", "components": "duration_ms", "spans": "duration_ms"}, 2


@pytest.fixture
def run_by_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuses to read a large table of several runs at once, and to hold those of more than two runs."""
    held: dict[str, set[int]] = {name: set() for name in LARGE}
    most = dict.fromkeys(LARGE, 0)

    def watched(name: str, frame: pd.DataFrame) -> pd.DataFrame:
        if name in LARGE and len(frame):
            memory = frame[LARGE[name]].to_numpy()
            while isinstance(memory.base, np.ndarray):  # what all views of the table are views of
                memory = memory.base
            held[name].add(id(memory))
            weakref.finalize(memory, held[name].discard, id(memory))
            most[name] = max(most[name], len(held[name]))
        return frame

    of_several, table, requests = StoredTables.__getitem__, StoredRun.table, StoredRun.requests

    def of_one(tables: StoredTables, name: str) -> pd.DataFrame:
        assert name not in LARGE or len(tables.stored) == 1, f"{name} of all runs was read"
        return watched(name, of_several(tables, name))

    monkeypatch.setattr(StoredTables, "__getitem__", of_one)
    monkeypatch.setattr(StoredRun, "table", lambda run, name: watched(name, table(run, name)))
    monkeypatch.setattr(StoredRun, "requests", lambda run, *names: watched("requests", requests(run, *names)))
    yield
    assert all(count <= MOST for count in most.values()), most


@pytest.mark.usefixtures("run_by_run")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_lazy_store_gives_the_same(both: tuple[lab.Measurements, lab.Measurements], name: str) -> None:
    eager, lazy = map(FUNCTIONS[name], both)
    if isinstance(eager, pd.DataFrame):
        pd.testing.assert_frame_equal(eager, lazy, check_exact=True)
        return
    if isinstance(eager, tuple):
        assert eager == lazy
        return
    for table in ("table", "values", "details", "by_endpoint", "windows"):
        if isinstance(getattr(eager, table, None), pd.DataFrame):
            pd.testing.assert_frame_equal(getattr(eager, table), getattr(lazy, table), check_exact=True)
    shown = [(one.show().sentence, [str(note) for note in getattr(one, "warnings", ())]) for one in (eager, lazy)]
    assert shown[0] == shown[1]
    if hasattr(eager, "runs") and not isinstance(eager.runs, lab.Measurements):
        assert eager.runs == lazy.runs


@pytest.mark.usefixtures("run_by_run")
@pytest.mark.parametrize("arms", [("shop", "eager"), ("shop",)])
def test_accounts_are_the_same(tmp_path: Path, arms: tuple[str, ...]) -> None:
    shutil.copytree("datasets/shop_fixes", tmp_path / "runs")
    held = [lab.load(tmp_path / "runs", lazy=lazy, pair=[1, 2, 3]) for lazy in (False, True)]
    eager, lazy = (lab.account(*(one.where(arm=arm) for arm in arms)) for one in held)
    for table in ("table", "values", "calls"):
        pd.testing.assert_frame_equal(getattr(eager, table), getattr(lazy, table), check_exact=True)
    with pytest.raises(ValueError, match="GET /missing"):
        lab.account(*(held[1].where(arm=arm) for arm in arms), endpoint="GET /missing")


PLOTS: dict[str, Callable[..., Any]] = {
    "plot_ecdf": lambda m, **of: lab.plot_ecdf(_arms(m)[0], **of),
    "plot_histogram": lambda m, **of: lab.plots.plot_histogram(*_arms(m), **of),
    "plot_attainable": lambda m, **of: lab.plots.plot_attainable(_arms(m)[0], **of),
    "plot_heatmap": lambda m, **of: lab.plots.plot_heatmap(_arms(m)[0], **of),
    "plot_timeline": lambda m, **of: lab.plot_timeline(m, **of),
    "plot_pairs": lambda m, **of: lab.plot_pairs(*_arms(m), **of),
    "plot_resources": lambda m, **of: lab.plots.plot_resources(m),
}


def _drawn(ax: Any) -> list[Any]:
    """The numbers of all that is drawn in a figure."""
    axes = ax.get_figure(root=True).axes
    lines = [line.get_xydata() for each in axes for line in each.get_lines()]
    shapes = [
        np.ma.filled(shape.get_array(), -1)
        for each in axes
        for shape in each.collections
        if shape.get_array() is not None
    ]
    bands = [path.vertices for each in axes for shape in each.collections for path in shape.get_paths()]
    return [*lines, *shapes, *bands]


@pytest.mark.usefixtures("run_by_run")
@pytest.mark.parametrize("name", PLOTS)
def test_plots_draw_the_same(both: tuple[lab.Measurements, lab.Measurements], name: str) -> None:
    import matplotlib.pyplot as plt

    plot = PLOTS[name]
    drawn = [plot(held, endpoint="GET /orders") for held in both]
    assert drawn[0].get_title(loc="left") == drawn[1].get_title(loc="left")
    numbers = [_drawn(ax) for ax in drawn]
    assert numbers[0]
    for one, other in zip(*numbers, strict=True):
        np.testing.assert_array_equal(one, other)
    if name != "plot_resources":
        with pytest.raises((ValueError, ComparisonError), match="GET /missing"):
            plot(both[1], endpoint="GET /missing")
    plt.close("all")


SAMPLES = {"plot_users", "plot_resources", "summarize_checks", "plot_vitals", "summarize_vitals", "audit_exchanges"}
"""Functions of tables with a row a second, a check or a visit, which are read together."""
WHOLE = {
    "assert_no_n_plus_one", "assign_units", "compare_queries", "critical_path", "find_connections", "find_consecutive",
    "find_duplicate_modules", "find_duplicates", "find_large_modules", "find_multiplying_joins", "find_n_plus_one",
    "find_sequential", "find_slow", "find_write_loops", "miss_ratio_curve", "plot_miss_ratio", "plot_scaling", "plot_trace",
    "plot_waterfall", "summarize_units", "what_if", "what_if_cache",
}  # fmt: skip
"""Functions of a log, traces, bundles or accesses: they read that table of all runs (or parts of it, see the document)."""
ELSEWHERE = {
    "explore", "monitoring_rules", "account", "check_cache", "record", "explain", "ingest", "read", "load", "summarize_queries"
}  # fmt: skip
"""Functions whose streaming other tests check, or that read no table of runs."""


def _takes_measurements(function: Any) -> bool:
    annotations = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
    return any("Measurements" in text or text == "Any" for text in annotations)


def test_every_public_function_of_measurements_is_known_to_stream_or_named_in_the_document() -> None:
    packages = [
        lab,
        *(own for name in dir(lab) if inspect.ismodule(own := getattr(lab, name)) and hasattr(own, "__all__")),
    ]
    public = {name: getattr(package, name) for package in packages for name in package.__all__}
    taking = {name for name, own in public.items() if inspect.isfunction(own) and _takes_measurements(own)}
    code = [f.__code__ for f in (*FUNCTIONS.values(), *PLOTS.values())]
    tested = {name for one in code for name in (one.co_name, *one.co_names)}
    tested |= {name for one in code for inner in one.co_consts if inspect.iscode(inner) for name in inner.co_names}
    known = tested | set(FUNCTIONS) | SAMPLES | WHOLE | ELSEWHERE | {"write_strategy", "cases_of", "checked_out"}
    assert not taking - known
    document = Path("docs/scale.md").read_text(encoding="utf-8")
    assert not {name for name in WHOLE | SAMPLES if f"`{name}`" not in document}


def _joinable(
    place: Path, make_requests: Builder, make_queries: Builder, *, requests: str | None, queries: str | None
) -> None:
    """A run whose requests and statements have ids: of all, of some, or of none."""
    draft = Draft(place, "a")
    made, asked = make_requests("r", count=60), make_queries("r", units=20)
    ids = np.array([f"q{number % 60}" for number in range(len(asked))], dtype=object)
    for frame, name, kind, own in ((made, "requests", requests, np.array([f"q{n}" for n in range(60)], dtype=object)),
                                   (asked, "queries", queries, ids)):  # fmt: skip
        if kind:
            frame = frame.assign(request=np.where(np.arange(len(frame)) % 3 > 0, own, None) if kind == "some" else own)
        else:
            frame = frame.drop(columns="request", errors="ignore")
        draft.write(name, frame)
    draft.keep({"arm": "a", "valid": True, "duration_ms": 3e4})


def test_a_band_joins_run_by_run(tmp_path: Path, make_requests: Builder, make_queries: Builder) -> None:
    kinds = [("all", "all"), ("all", None), (None, "all"), (None, None), ("some", "all"), ("all", "some")]
    for requests, queries in kinds:
        _joinable(tmp_path, make_requests, make_queries, requests=requests, queries=queries)
    eager, lazy = (lab.data.latency_band(lab.load(tmp_path, lazy=lazy), 0, "30ms") for lazy in (False, True))
    assert lazy.lazy
    for table in eager.tables:
        pd.testing.assert_frame_equal(eager.tables[table], lazy.tables[table], check_exact=True)
    whole, left = (held.count("queries") for held in (lab.load(tmp_path), eager))
    joined = {run: bool(left.get(run, 0) < count) for run, count in whole.items()}
    assert sorted(joined.values()) == [False, False, False, True, True, True]


def test_a_store_that_grows_is_what_it_was_when_it_was_opened(store: Path, tmp_path: Path) -> None:
    runs = sorted(store.glob("2*"))[:3]
    for run in runs[:2]:
        shutil.copytree(run, tmp_path / run.name)
    held = lab.load(tmp_path, lazy=True)
    before = lab.summarize(held)
    shutil.copytree(runs[2], tmp_path / runs[2].name)
    pd.testing.assert_frame_equal(lab.summarize(held), before, check_exact=True)
    assert len(lab.load(tmp_path, lazy=True).runs) == 3


@pytest.mark.parametrize("fault", ["another version", "read-only"])
def test_statistics_that_are_of_no_use_are_computed_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    run = sorted(store.glob("2*"))[0]
    shutil.copytree(run, tmp_path / run.name)
    first = lab.summarize(lab.load(tmp_path, lazy=True))
    if fault == "another version":
        monkeypatch.setattr(kept_statistics, "_VERSION", b"0")
        kept_statistics._digest.cache_clear()
        assert not kept_statistics.kept(tmp_path / run.name)
    else:
        (tmp_path / run.name / kept_statistics.FILE).unlink()

        def refused(place: Path, data: bytes) -> None:
            raise PermissionError(13, "read-only")

        monkeypatch.setattr(kept_statistics, "replace_bytes", refused)
        monkeypatch.setattr(kept_statistics, "_NOT_WRITTEN", {})
    pd.testing.assert_frame_equal(lab.summarize(lab.load(tmp_path, lazy=True)), first, check_exact=True)
    assert (tmp_path / run.name / kept_statistics.FILE).exists() == (fault == "another version")
    assert kept_statistics.kept(tmp_path / run.name)  # of a read-only store for this process
    rows = pd.read_parquet(tmp_path / run.name / "requests.parquet")
    rows.iloc[:-1].to_parquet(tmp_path / run.name / "requests.parquet")
    assert not kept_statistics.kept(tmp_path / run.name)
    kept_statistics._digest.cache_clear()


def test_the_measurements_look_the_same(both: tuple[lab.Measurements, lab.Measurements]) -> None:
    eager, lazy = both
    assert lazy.lazy and not eager.lazy
    assert repr(eager) == repr(lazy)
    assert list(eager.tables) == list(lazy.tables)
    for table in eager.tables:
        pd.testing.assert_frame_equal(eager.tables[table], lazy.tables[table], check_exact=True)
    with pytest.raises(lab.MissingTableError, match="checks"):
        _ = lazy.queries
    assert [one.runs["run"].item() for one in lazy.each()] == [one.runs["run"].item() for one in eager.each()]
    assert all(not one.lazy and len(one.requests) for one in lazy.each())


def test_statistics_are_kept_until_the_run_changes(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "runs"
    shutil.copytree(store, place, ignore=shutil.ignore_patterns(".statistics.parquet"))
    first = lab.summarize(lab.load(place, lazy=True))
    run = sorted(place.glob("2*"))[0]
    assert set(kept_statistics.kept(run)) >= {"facts_of() as read"}
    moved = tmp_path / "moved"
    shutil.copytree(place, moved)
    assert kept_statistics.kept(moved / run.name)  # a copy holds the same contents
    rows = pd.read_parquet(run / "requests.parquet")
    rows.assign(latency_ms=rows["latency_ms"] * 2).to_parquet(run / "requests.parquet")
    assert not kept_statistics.kept(run)
    again = lab.summarize(lab.load(place, lazy=True))
    own = again["run"] == run.name
    pd.testing.assert_frame_equal(again, lab.summarize(lab.load(place, lazy=False)), check_exact=True)
    np.testing.assert_allclose(again.loc[own, "p95_ms"], 2 * first.loc[own, "p95_ms"])


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_damaged_file_of_statistics_counts_for_nothing(store: Path, tmp_path: Path, content: bytes | None) -> None:
    place = tmp_path / "runs"
    run = sorted(store.glob("2*"))[0]
    shutil.copytree(run, place / run.name)
    lab.summarize(lab.load(place, lazy=True))
    file = place / run.name / kept_statistics.FILE
    file.write_bytes(file.read_bytes()[:-9] if content is None else content)
    pd.testing.assert_frame_equal(
        lab.summarize(lab.load(place, lazy=True)), lab.summarize(lab.load(place)), check_exact=True
    )


def test_a_damaged_run_is_left_out_or_named(store: Path, tmp_path: Path) -> None:
    place = tmp_path / "runs"
    shutil.copytree(store, place, ignore=shutil.ignore_patterns(".statistics.parquet"))
    first, second = (run / "requests.parquet" for run in sorted(place.glob("2*"))[:2])
    first.write_bytes(first.read_bytes()[:-100])
    held = lab.load(place, lazy=True)
    assert [note.code for note in held.warnings] == ["damaged-run"]
    assert len(held.runs) == 2 * PAIRS - 1
    data = bytearray(second.read_bytes())
    data[200:400] = bytes(200)
    second.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=second.parent.name):
        lab.summarize(held)


@pytest.mark.parametrize(
    "use",
    [
        lab.summarize,
        lab.data.slowest_requests,
        lab.stats.within,
        lab.plot_timeline,
        lambda held: lab.objectives.error_budget(held, GOALS[:2]),
        lambda held: lab.data.latency_band(held, "20ms").requests,
        lambda held: held.requests,
        lambda held: [len(one.requests) for one in held.each()],
    ],
)
def test_a_run_deleted_while_its_store_is_open_is_named(
    store: Path, tmp_path: Path, use: Callable[[lab.Measurements], Any]
) -> None:
    runs = sorted(store.glob("2*"))[:3]
    for run in runs:
        shutil.copytree(run, tmp_path / run.name, ignore=shutil.ignore_patterns(".statistics.parquet"))
    held = lab.load(tmp_path, lazy=True)
    shutil.rmtree(tmp_path / runs[1].name)
    with pytest.raises(StoreError, match=runs[1].name):
        use(held)
    assert len(held.where(run=[runs[0].name, runs[2].name]).requests)


def test_what_has_no_requests_is_refused_as_in_memory(store: Path, tmp_path: Path, make_requests: Builder) -> None:
    draft = Draft(tmp_path, "a")
    draft.write("requests", make_requests("r").assign(endpoint="Aggregated"))
    draft.keep({"arm": "a", "valid": True, "duration_ms": 3e4})
    with pytest.raises(ComparisonError, match="rename the endpoint"):
        lab.summarize(lab.load(tmp_path, lazy=True))
    draft = Draft(tmp_path / "none", "a")
    draft.write("requests", make_requests("r").iloc[:0])
    draft.keep({"arm": "a", "valid": True, "duration_ms": 3e4})
    with pytest.raises(ComparisonError, match="no requests"):
        lab.summarize(lab.load(tmp_path / "none", lazy=True))


def test_large_stores_are_opened_lazily(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lab.load(store).lazy
    monkeypatch.setattr("perflab.data.store.LAZY_FROM_BYTES", 1)
    assert lab.load(store).lazy
    assert not lab.load(store, lazy=False).lazy


def test_quantiles_of_pooled_runs_are_exact(both: tuple[lab.Measurements, lab.Measurements]) -> None:
    names = both[0].runs["run"].to_list()[2:7]
    one, other = (pooled(streamed(held), names, "GET /orders", 0.1) for held in both)
    assert one.count == other.count
    for shares in ((0.0, 1.0), (0.5, 0.999)):
        assert one.quantiles(shares) == other.quantiles(shares)
    low, high = one.quantiles((0.2, 0.9))
    for ends in (True, False):
        assert one.inside(low, high, ends=ends) == other.inside(low, high, ends=ends)
    assert one.above(high) == other.above(high)
    for share in (0.5, 1 - 0.9 / one.count):  # one request at least is the slowest
        np.testing.assert_equal(one.ceiling(share), other.ceiling(share))
    assert other.ceiling(1 - 0.9 / other.count) == other.quantiles([1.0])[0]
    assert other.apart((0.05, 0.95), 2.0) and not other.apart((0.5, 0.5001), 2.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2) as made:
        yield made


def test_processes_give_the_same_tables(store: Path, tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    shutil.copytree(store, tmp_path / "runs", ignore=shutil.ignore_patterns(".statistics.parquet"))
    eager, lazy = lab.load(store, lazy=False), lab.load(tmp_path / "runs", lazy=True)
    one, other = lab.compare(*_arms(eager)), lab.compare(*_arms(lazy), executor=pool)
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    pd.testing.assert_frame_equal(lab.summarize(eager), lab.summarize(lazy, executor=pool), check_exact=True)


def test_files_are_read_by_processes(tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    files = sorted(Path("datasets/other_tools").glob("eager-*.csv.gz"))
    one, other = lab.read(files), lab.read(files, executor=pool)
    for table in one.tables:
        pd.testing.assert_frame_equal(one.tables[table], other.tables[table])
    assert one.warnings == other.warnings
    kept = lab.ingest(files, tmp_path / "store", executor=pool)
    assert [run.parent for run in kept] == [tmp_path / "store"] * 3


def _killed(run: Any, *, victim: str) -> dict[str, dict[str, Any]]:
    import os
    import signal

    if run.name == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"killed": {"count": part_of(run).counts}}


def test_a_killed_worker_is_an_error_and_leaves_nothing_half_kept(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "runs", ignore=shutil.ignore_patterns(".statistics.parquet"))
    held = lab.load(tmp_path / "runs", lazy=True)
    runs = list(held.tables.stored.values())  # type: ignore[attr-defined]
    with ProcessPoolExecutor(1) as pool, pytest.raises(StoreError, match="a worker process exited"):
        kept_statistics.computed(runs, "killed", partial(_killed, victim=runs[-1].name), pool)
    assert "killed" not in kept_statistics.kept(runs[-1].folder)
    found = kept_statistics.computed(runs, "killed", partial(_killed, victim=""))
    assert [one["count"][0] for one in found] == held.count("requests").to_list()
    assert not list((tmp_path / "runs").glob("*/*.tmp"))


def _killed_once(run: Any, *, marker: Path) -> dict[str, dict[str, Any]]:
    import os
    import signal

    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"": {"count": part_of(run).counts}}


def test_a_cluster_of_dask_gives_the_same_and_retries_a_killed_worker(store: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    shutil.copytree(store, tmp_path / "runs", ignore=shutil.ignore_patterns(".statistics.parquet"))
    eager, lazy = lab.load(store, lazy=False), lab.load(tmp_path / "runs", lazy=True)
    runs = list(lazy.tables.stored.values())  # type: ignore[attr-defined]
    with distributed.Client(
        n_workers=1, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as client:
        found = lab.summarize(lazy, executor=client.get_executor())
        killed = partial(_killed_once, marker=tmp_path / "killed")
        counts = kept_statistics.computed(runs, "", killed, client.get_executor())
    pd.testing.assert_frame_equal(lab.summarize(eager), found, check_exact=True)
    assert [one["count"][0] for one in counts] == lazy.count("requests").to_list()


def test_a_comparison_reads_a_run_once_for_all_that_it_usually_needs(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(store, tmp_path / "runs", ignore=shutil.ignore_patterns(".statistics.parquet"))
    held, read, reads = lab.load(tmp_path / "runs", lazy=True), StoredRun.requests, list[str]()

    def counted(run: StoredRun, *columns: str) -> pd.DataFrame:
        reads.append(run.name)
        return read(run, *columns)

    monkeypatch.setattr(StoredRun, "requests", counted)
    lab.summarize(held)
    assert sorted(reads) == sorted(held.runs["run"])
    lab.summarize(held)
    assert len(reads) == len(held.runs)


def test_steps_keep_nothing(both: tuple[lab.Measurements, lab.Measurements]) -> None:
    eager, lazy = (lab.data.time_window(held, 1, 9) for held in both)
    pd.testing.assert_frame_equal(by_run(eager, ["p50"]), by_run(lazy, ["p50"]), check_exact=True)
    assert replace(lazy).lazy
    assert eager.length("requests") == lazy.length("requests") == int(lazy.count("requests").sum())


def test_the_measured_goals_of_scale() -> None:
    """The table of bench/scale.py and bench/scale_of_logs.py: memory, linear time, a history at once, counts that are equal."""
    text = Path("bench/scale.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    runs = {
        (what, int(count)): [float(v) for v in rest]
        for what, count, *rest in (r for r in rows if len(r) == 6)
        if count.isdigit()
    }
    for what in ("`summarize`", "`compare`"):
        assert all(runs[what, count][3] < 1_000 for count in (50, 100, 200))
        assert runs[what, 200][2] < 1.15 * runs[what, 50][2]
    assert runs["the same from kept statistics", 500][0] < 3
    log = {row[0]: row[1:] for row in rows if len(row) == 9}
    both, pieces = log["both"], log["its recorded pieces one by one"]
    assert both[:3] == pieces[:3] and int(both[0]) > 20_000_000
    assert float(both[7]) < 2_000
    same = re.search(r"the same speed is ([\d,]+)/s here", text)
    assert same and float(both[5]) > float(same[1].replace(",", ""))
