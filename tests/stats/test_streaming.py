"""A store that is opened lazily: every function gives what it gives of the same runs in memory, to the last bit."""

from __future__ import annotations

import shutil
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
from perflab.data.stored_runs import StoredTables
from perflab.errors import ComparisonError, StoreError
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
            user=(np.arange(len(made)) % 7).astype(str)
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
    "growth": lab.stats.growth,
    "checks": lab.stats.summarize_checks,
    "both stores": lambda m: lab.summarize(_arms(m)[1] + _arms(m)[0]),
}  # fmt: skip


@pytest.fixture
def run_by_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses to read the requests or components of several runs at once."""
    read = StoredTables.__getitem__

    def of_one(tables: StoredTables, name: str) -> pd.DataFrame:
        assert name not in ("requests", "components") or len(tables.stored) == 1, f"{name} of all runs was read"
        return read(tables, name)

    monkeypatch.setattr(StoredTables, "__getitem__", of_one)


@pytest.mark.usefixtures("run_by_run")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_lazy_store_gives_the_same(both: tuple[lab.Measurements, lab.Measurements], name: str) -> None:
    eager, lazy = map(FUNCTIONS[name], both)
    if isinstance(eager, pd.DataFrame):
        pd.testing.assert_frame_equal(eager, lazy, check_exact=True)
        return
    for table in ("table", "values", "details", "by_endpoint"):
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
    held = [lab.load(tmp_path / "runs", lazy=lazy) for lazy in (False, True)]
    eager, lazy = (lab.account(*(one.where(arm=arm) for arm in arms)) for one in held)
    for table in ("table", "values", "calls"):
        pd.testing.assert_frame_equal(getattr(eager, table), getattr(lazy, table), check_exact=True)
    with pytest.raises(ValueError, match="GET /missing"):
        lab.account(*(held[1].where(arm=arm) for arm in arms), endpoint="GET /missing")


@pytest.mark.usefixtures("run_by_run")
@pytest.mark.parametrize("plot", [lab.plot_ecdf, lab.plots.plot_histogram, lab.plots.plot_attainable])
def test_plots_draw_the_same(both: tuple[lab.Measurements, lab.Measurements], plot: Callable[..., Any]) -> None:
    import matplotlib.pyplot as plt

    arms = [held.where(arm="before") for held in both]
    drawn = [plot(held, endpoint="GET /orders") for held in arms]
    assert drawn[0].get_title(loc="left") == drawn[1].get_title(loc="left")
    for one, other in zip(*(ax.get_lines() for ax in drawn), strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
    with pytest.raises((ValueError, ComparisonError), match="GET /missing"):
        plot(arms[1], endpoint="GET /missing")
    plt.close("all")


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


def _killed(run: Any, *, victim: str) -> dict[str, Any]:
    import os
    import signal

    if run.name == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"count": part_of(run).counts}


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


def _killed_once(run: Any, *, marker: Path) -> dict[str, Any]:
    import os
    import signal

    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"count": part_of(run).counts}


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


def test_steps_keep_nothing(both: tuple[lab.Measurements, lab.Measurements]) -> None:
    eager, lazy = (lab.data.time_window(held, 1, 9) for held in both)
    pd.testing.assert_frame_equal(by_run(eager, ["p50"]), by_run(lazy, ["p50"]), check_exact=True)
    assert replace(lazy).lazy
    assert eager.length("requests") == lazy.length("requests") == int(lazy.count("requests").sum())
