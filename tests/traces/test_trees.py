"""Critical paths and what-if, against partitions and against programs run again in virtual time."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from virtual_time import Changes, Row, random_program, random_rows, rows_of, spans_of

import perflab as lab
from perflab.notes import codes
from perflab.traces.critical_path import paths
from perflab.traces.trees import Trees, trees_of


@pytest.fixture(scope="module")
def trees() -> Trees:
    """Those of 2,000 random traces."""
    rng = random.Random(3)
    rows, traces, services = list[Row](), list[int](), list[str]()
    for number in range(2_000):
        made = random_rows(rng, number)
        rows += made
        traces += [number] * len(made)
        services += [rng.choice("ab") for _ in made]
    return trees_of(spans_of(rows).assign(trace=traces, service=services))


def test_a_path_partitions_its_root_on_2000_random_trees(trees: Trees) -> None:
    places, begins, ends = paths(trees)
    assert len(trees.roots) == 2_000 and (ends > begins).all()
    order = np.lexsort([begins, trees.root[places]])
    root, begins, ends = trees.root[places][order], begins[order], ends[order]
    same = root[1:] == root[:-1]
    assert (begins[1:][same] == ends[:-1][same]).all()
    heads, tails = np.append(True, ~same), np.append(~same, True)
    assert (begins[heads] == trees.first[root[heads]]).all() and (ends[tails] == trees.last[root[tails]]).all()
    long = trees.roots[trees.last[trees.roots] > trees.first[trees.roots]]
    assert set(root.tolist()) == set(long.tolist()) and len(long) > 1_000
    assert (trees.first[places[order]] <= begins).all() and (ends <= trees.last[places[order]]).all()


def test_the_path_is_the_one_walked_by_hand(trees: Trees) -> None:
    """Against the definition, span by span."""
    wanted: set[tuple[int, int, int]] = set()
    stack = trees.roots.tolist()
    while stack:
        place = stack.pop()
        at = int(trees.last[place])
        for child in reversed(trees.children(place).tolist()):
            if trees.last[child] <= at:
                wanted.add((place, int(trees.last[child]), at))
                at = int(trees.first[child])
                stack.append(child)
        wanted.add((place, int(trees.first[place]), at))
    found = set(zip(*(values.tolist() for values in paths(trees)), strict=True))
    assert found == {segment for segment in wanted if segment[2] > segment[1]}


@pytest.mark.parametrize("seed", range(10))
def test_what_if_equals_programs_run_again(seed: int) -> None:
    """Of 50 random programs each, with calls that overlap, are faster or slower, or are not made."""
    rng = random.Random(seed)
    programs = [random_program(rng, 3, f"page {n}") for n in range(50)]
    before = [rows_of(program) for program in programs]
    faster = {f"call {rng.randrange(6)}": rng.choice([0.25, 0.5, 2.0]) for _ in range(seed % 3)}
    without = {f"call {rng.randrange(6)}"} - set(faster) if seed % 2 else set()
    parallel = {f"call {n}" for n in rng.sample(range(6), (3, 2, 0, 5, 4)[seed % 5])} or {"call 0"}
    parts = [spans_of(rows).assign(trace=str(n)) for n, rows in enumerate(before)]
    spans = pd.concat(parts, ignore_index=True)
    found = lab.what_if(spans, parallel=parallel, faster=faster, without=without)
    mean = found[found["statistic"] == "mean"].set_index("route")["after_ms"]
    changes = Changes({**faster, **dict.fromkeys(without, 0.0)}, parallel)
    again = {program.name: rows_of(program, changes)[0] for program in programs}
    whole = {rows[0][2]: rows[0][4] for rows in before}
    assert len(mean) > 20
    for name, root in again.items():
        assert root[4] == pytest.approx(mean.get(name, whole[name]), abs=1e-4), name


@pytest.mark.parametrize("calls", [2, 3, 5])
def test_parallel_calls_keep_the_parents_own_work(calls: int) -> None:
    rows: list[Row] = [("r", None, "GET /offer", 0, 0)]
    now = 4.0
    for number in range(calls):
        rows.append((f"c{number}", "r", f"call {number}", now, now + 10 + number))
        now += 10 + number + 1  # a millisecond of own work between two calls
    end = now - 1 + 6
    rows[0] = ("r", None, "GET /offer", 0.0, end)
    found = lab.what_if(spans_of(rows), parallel=[f"call {n}" for n in range(calls)])
    mean = found.set_index("statistic").loc["mean"]
    assert mean["before_ms"] == pytest.approx(end)
    # Each starts a millisecond after the one before it.
    assert mean["after_ms"] == pytest.approx(4 + max(n + 10 + n for n in range(calls)) + 6)


def test_what_nothing_waited_for_is_on_no_path_and_counted() -> None:
    rows = [("r", None, "GET /", 0.0, 20.0), ("a", "r", "work", 2.0, 10.0), ("b", "r", "mail", 5.0, 90.0)]
    found = lab.critical_path(spans_of(rows))
    assert sorted(found["operation"]) == ["GET /", "work"]
    assert codes(found.warnings) == ("outliving-spans",)


def test_clock_skew_is_cut_and_counted() -> None:
    rows = [("r", None, "GET /", 0.0, 20.0), ("a", "r", "remote", -3.0, 12.0)]
    found = lab.critical_path(spans_of(rows).assign(service=["shop", "stock"]), by="segment")
    assert found["duration_ms"].sum() == pytest.approx(20)
    (note,) = found.warnings
    assert note.code == "skewed-spans" and note.facts["most_ms"] == pytest.approx(3)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("r", None, "GET /", 0.0, 20.0), ("a", "gone", "lost", 2.0, 3.0)], "orphaned-spans"),
        ([("r", None, "GET /", 0.0, 20.0), ("a", "b", "x", 2.0, 3.0), ("b", "a", "y", 2.0, 3.0)], "cyclic-spans"),
        ([("r", None, "GET /", 0.0, 20.0), ("a", "r", "x", 2.0, float("nan"))], "unfinished-spans"),
    ],
)
def test_what_does_not_fit_is_left_out_and_counted(rows: list[Row], code: str) -> None:
    found = lab.critical_path(spans_of(rows))
    assert found["mean_ms"].sum() == pytest.approx(20)
    assert code in [note.code for note in found.warnings]


def test_equal_times_have_one_order() -> None:
    rows = [("r", None, "GET /", 0.0, 10.0), ("a", "r", "x", 0.0, 10.0), ("b", "r", "y", 0.0, 10.0)]
    first = lab.critical_path(spans_of(rows), by="segment")
    again = lab.critical_path(spans_of(rows), by="segment")
    assert first["operation"].to_list() == again["operation"].to_list() and first["duration_ms"].sum() == pytest.approx(
        10
    )


def test_p95_is_predicted_over_runs_only() -> None:
    rng = random.Random(2)
    parts = []
    for run in range(6):
        for trace in range(40):
            took = 10 + rng.random()
            rows = [("r", None, "GET /", 0.0, took + 5), ("a", "r", "x", 1.0, 1 + took)]
            parts.append(spans_of(rows, trace=f"{run}-{trace}").assign(run=f"r{run}"))
    found = lab.what_if(pd.concat(parts), faster={"x": 0.5}).set_index("statistic")
    assert list(found.index) == ["mean", "p50", "p95"]
    assert (found["change_low_ms"] < found["change_ms"]).all() and (found["change_high_ms"] < 0).all()
    alone = lab.what_if(parts[0], faster={"x": 0.5})
    assert list(alone["statistic"]) == ["mean", "p50"]
    assert "no-tail-prediction" in [note.code for note in alone.warnings]


@pytest.mark.parametrize(
    "asked", [{}, {"parallel": ["nothing"]}, {"faster": {"x": -1.0}}, {"faster": {"x": float("nan")}}, {"without": "z"}]
)
def test_bad_questions_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"what_if needs|must"):
        lab.what_if(spans_of([("r", None, "GET /", 0.0, 20.0), ("a", "r", "x", 2.0, 3.0)]), **asked)  # type: ignore[arg-type]


def paths_of(frame: pd.DataFrame) -> dict[str, float]:
    """Milliseconds on the path by operation."""
    found = lab.critical_path(frame)
    return dict(zip(found["operation"], found["mean_ms"].round(6), strict=True))


def test_a_client_and_a_server_that_share_an_id_are_two_spans() -> None:
    """As Zipkin writes them: the server below the client, and the server's calls below the server."""
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "client", 2.0, 12.0), ("a", "r", "server", 3.0, 11.0),
            ("b", "a", "query", 4.0, 10.0)]  # fmt: skip
    kinds, services = ["server", "client", "server", "client"], ["shop", "shop", "stock", "stock"]
    frame = spans_of(rows).assign(kind=kinds, service=services)
    assert paths_of(frame) == {"page": 10.0, "client": 2.0, "server": 2.0, "query": 6.0}
    assert paths_of(frame.iloc[::-1]) == paths_of(frame)


def test_copies_count_once_and_are_reported() -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "work", 2.0, 12.0), ("a", "r", "work", 2.0, 12.0)]
    found = lab.critical_path(spans_of(rows))
    assert found["mean_ms"].tolist() == [10.0, 10.0] and codes(found.warnings) == ("duplicated-spans",)


def test_the_same_ids_in_another_trace_or_run_are_other_spans() -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "work", 2.0, 12.0)]
    parts = [spans_of(rows, trace=t).assign(run=run) for run in "xy" for t in "tu"]
    found = lab.critical_path(pd.concat(parts, ignore_index=True))
    assert found["traces"].tolist() == [4, 4] and found["mean_ms"].tolist() == [10.0, 10.0] and not found.warnings


def test_what_a_caller_that_records_nothing_calls_is_a_root() -> None:
    rows = [("s", "elsewhere", "GET /items", 0.0, 20.0), ("a", "s", "work", 2.0, 12.0)]
    for more in ({"kind": ["server", "client"]}, {}):
        found = lab.critical_path(spans_of(rows).assign(**more))
        assert found["mean_ms"].tolist() == [10.0, 10.0] and codes(found.warnings) == ("local-roots",)


def test_children_of_an_unfinished_span_belong_to_the_one_above() -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "work", 2.0, float("nan")), ("b", "a", "query", 4.0, 10.0)]
    assert paths_of(spans_of(rows)) == {"page": 14.0, "query": 6.0}


def test_nothing_waits_for_the_consumer_of_a_message() -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "publish", 2.0, 18.0), ("b", "a", "consume", 3.0, 17.0)]
    frame = spans_of(rows).assign(kind=["server", "producer", "consumer"], service=["shop", "shop", "mail"])
    assert paths_of(frame) == {"page": 4.0, "publish": 16.0}
    assert codes(lab.critical_path(frame).warnings) == ("queued-spans",)


@pytest.mark.parametrize(("late", "path"), [(0.001, {"page": 2.0, "work": 18.0}), (5.0, {"page": 20.0})])
def test_a_span_that_a_clock_rounded_is_waited_for(late: float, path: dict[str, float]) -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "work", 2.0, 20.0 + late)]
    assert paths_of(spans_of(rows)) == path


def test_a_server_on_another_clock_moves_with_all_below_it() -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "call", 2.0, 12.0), ("b", "a", "server", 1_003.0, 1_009.0),
            ("c", "b", "query", 1_004.0, 1_008.0)]  # fmt: skip
    frame = spans_of(rows).assign(
        kind=["server", "client", "server", "client"], service=["shop", "shop", "stock", "stock"]
    )
    assert paths_of(frame) == {"page": 10.0, "call": 4.0, "server": 2.0, "query": 4.0}
    assert codes(lab.critical_path(frame).warnings) == ("skewed-spans",)


def test_a_call_that_gave_up_ends_what_is_below_it() -> None:
    rows = [("r", None, "page", 0.0, 20.0), ("a", "r", "call", 2.0, 12.0), ("b", "a", "server", 3.0, 90.0)]
    frame = spans_of(rows).assign(kind=["server", "client", "server"], service=["shop", "shop", "stock"])
    assert paths_of(frame) == {"page": 10.0, "call": 1.0, "server": 9.0}
    assert codes(lab.critical_path(frame).warnings) == ("cut-spans",)


def test_retries_are_on_the_path_and_counted() -> None:
    rows = [("r", None, "page", 0.0, 40.0), ("a", "r", "GET", 2.0, 12.0), ("b", "r", "GET", 13.0, 30.0)]
    asked = {"http.request.method": "GET", "url.full": "http://stock/items/7"}
    states = [{}, {**asked, "http.response.status_code": 503}, {**asked, "http.response.status_code": 200}]
    frame = spans_of(rows).assign(kind=["server", "client", "client"], attributes=states)
    assert paths_of(frame) == {"GET stock/items/{}": 27.0, "page": 13.0}
    assert codes(lab.critical_path(frame).warnings) == ("retried-calls",)


def test_the_pieces_of_a_recorded_call_are_one_call() -> None:
    rows = [("r", None, "GET /offer", 0.0, 60.0)]
    pieces = [("(connect) a:90", 1.0), ("(send) a:90", 1.0), ("GET a:90/{}/{{}}", 20.0), ("(body)", 1.0)]
    for thread, path in enumerate(("stock", "price")):
        at = 2.0 + thread
        for place, (name, took) in enumerate(pieces):
            rows.append((f"{thread}-{place}", "r", name.format(path), at, at + took))
            at += took
    more = [{}, *({"perflab.strand": thread} for thread in (0, 0, 0, 0, 1, 1, 1, 1))]
    frame = spans_of(rows).assign(kind=["server"] + ["downstream"] * 8, attributes=more)
    found = lab.critical_path(frame.sample(frac=1.0, random_state=2), by="segment")
    assert found["operation"].tolist() == ["GET /offer", "GET a:90/price/{}", "GET /offer"]
    assert found["duration_ms"].tolist() == pytest.approx([3.0, 23.0, 34.0])


def test_a_wait_for_own_threads_is_what_those_call() -> None:
    rows = [("r", None, "GET /offer", 0.0, 40.0), ("w", "r", "condition", 2.0, 32.0), ("x", "r", "condition", 33.0, 38.0),
            ("a", "r", "GET a:50123/price/{}", 3.0, 31.0), ("b", "r", "GET a:50123/stock/{}", 3.0, 20.0)]  # fmt: skip
    more = [{}, *({"perflab.strand": strand} for strand in (0, 0, 1, 2))]
    frame = spans_of(rows).assign(kind=["server", "lock", "lock", "downstream", "downstream"], attributes=more)
    assert paths_of(frame) == {"GET a/price/{}": 28.0, "GET /offer": 7.0, "condition": 5.0}


def test_what_if_says_where_nothing_follows() -> None:
    rows = [("r", None, "GET /", 0.0, 30.0), ("a", "r", "x", 2.0, 9.0), ("b", "r", "y", 2.0, 20.0)]
    found = lab.what_if(spans_of(rows), parallel=["x", "y"])
    assert (found["change_ms"] == 0).all() and "nothing-follows" in codes(found.warnings)


def test_groups_of_what_if_stay_apart() -> None:
    rows = [("r", None, "GET /", 0.0, 44.0), *((n, "r", n, 2.0 + 10 * i, 12.0 + 10 * i) for i, n in enumerate("abcd"))]
    together = lab.what_if(spans_of(rows), parallel=["a", "b", "c", "d"])
    apart = lab.what_if(spans_of(rows), parallel=[["a", "b"], ["c", "d"]])
    (note,) = [note for note in together.warnings if note.code == "assumes-capacity"]
    assert note.facts["most"] == 4
    assert together["after_ms"].tolist() == [14.0, 14.0] and apart["after_ms"].tolist() == [24.0, 24.0]


@pytest.mark.parametrize("missing", ["name", "kind", "service", "attributes", "trace"])
def test_tables_with_gaps_are_read(missing: str) -> None:
    rows = [("r", None, "GET /", 0.0, 30.0), ("a", "r", "x", 2.0, 9.0), ("b", "r", "y", 10.0, 20.0)]
    whole = spans_of(rows).assign(kind=["server", "client", "client"], attributes=[{}] * 3)
    for frame in (
        whole.assign(**{missing: None}),
        whole if missing in ("name", "trace") else whole.drop(columns=missing),
    ):
        assert lab.critical_path(frame)["mean_ms"].sum() == pytest.approx(30)
        lab.find_sequential(frame)
    with pytest.raises(ValueError, match="at least one span"):
        lab.critical_path(whole.head(0))


@pytest.mark.parametrize("took", [-1.0, float("inf"), 1e15])
@pytest.mark.parametrize(
    "ask", [lab.critical_path, lab.find_sequential, lambda spans: lab.what_if(spans, faster={"GET /": 0.5})]
)
def test_impossible_durations_are_refused_by_their_number(took, ask):
    spans = pd.DataFrame(
        {"trace": "t", "span": ["a", "b"], "parent": [None, "a"], "kind": "server", "name": "GET /",
         "start": pd.Timestamp("2026-01-01", tz="UTC"), "duration_ms": [5.0, took]}
    )  # fmt: skip
    with pytest.raises(ValueError, match="in 1 of 2 rows"):
        ask(spans)
