"""Critical paths and what-if, against partitions and against programs run again in virtual time."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from perflab.traces.critical_path import critical_path, paths
from perflab.traces.trees import trees_of
from perflab.traces.what_if import replayed, what_if

START = pd.Timestamp("2026-01-01T00:00:00Z")


def spans_of(
    rows: list[tuple[str, str | None, str, float, float]], *, trace: str = "t", **more: object
) -> pd.DataFrame:
    """Rows of (span, parent, name, start in ms, end in ms)."""
    return pd.DataFrame(
        {
            "run": "r", "trace": trace, "span": [r[0] for r in rows], "parent": [r[1] for r in rows], "service": "shop",
            "name": [r[2] for r in rows], "start": [START + pd.Timedelta(r[3], "ms") for r in rows],
            "duration_ms": [r[4] - r[3] for r in rows],
        }
    ).assign(**more)  # fmt: skip


@dataclass
class Program:
    """Work, then a fork of programs that are joined, and so on; ``tail`` is the work at the end."""

    name: str
    stages: list[tuple[int, list[Program]]] = field(default_factory=list)
    tail: int = 0

    def run(self, at: int, rows: list[tuple[str, str | None, str, float, float]], parent: str | None, ids: itertools.count[int],
            factor: dict[str, float]) -> float:  # fmt: skip
        """Run it in virtual time: appends its span and returns its end."""
        span, begin, now = str(next(ids)), float(at), float(at)
        place = len(rows)
        rows.append((span, parent, self.name, 0, 0))
        for work, fork in self.stages:
            now += work
            now = max(
                [child.run(int(now) if now == int(now) else now, rows, span, ids, factor) for child in fork],
                default=now,
            )
        now += self.tail
        now = begin + (now - begin) * factor.get(self.name, 1.0)
        rows[place] = (span, parent, self.name, begin, now)
        return now


def random_program(rng: random.Random, depth: int, names: int = 6) -> Program:
    def size() -> int:
        return rng.randrange(1, 40)

    stages = []
    for _ in range(rng.randrange(0, 3) if depth else 0):
        stages.append((size(), [random_program(rng, depth - 1) for _ in range(rng.randrange(1, 4))]))
    return Program(f"call {rng.randrange(names)}", stages, size())


def rows_of(program: Program, factor: dict[str, float]) -> list[tuple[str, str | None, str, float, float]]:
    rows: list[tuple[str, str | None, str, float, float]] = []
    program.run(0, rows, None, itertools.count(), factor)
    return rows


def test_a_path_partitions_its_root() -> None:
    rng = random.Random(3)
    for number in range(400):
        rows = [("0", None, "root", 0.0, 100.0)]
        for place in range(1, rng.randrange(2, 25)):
            above = rows[rng.randrange(len(rows))]
            low = rng.uniform(above[3] - 5, above[4])
            rows.append((str(place), above[0], f"n{place % 5}", low, low + rng.uniform(0, above[4] - above[3] + 5)))
        trees = trees_of(spans_of(rows, trace=str(number)))
        _, roots, begins, ends = paths(trees)
        order = np.argsort(begins)
        assert begins[order][0] == trees.first[0] and ends[order][-1] == trees.last[0]
        assert (begins[order][1:] == ends[order][:-1]).all()
        assert set(roots) == {0}


def test_what_if_equals_the_program_run_again() -> None:
    rng = random.Random(11)
    for _ in range(500):
        program = random_program(rng, 3)
        factor = {f"call {rng.randrange(6)}": rng.choice([0.0, 0.25, 0.5, 2.0]) for _ in range(2)}
        trees = trees_of(spans_of(rows_of(program, {})))
        (predicted,) = replayed(trees, (), factor)
        again = rows_of(program, factor)[0]
        assert predicted / 1e6 == pytest.approx(again[4] - again[3], abs=1e-5)


@pytest.mark.parametrize("calls", [2, 3, 5])
def test_parallel_calls_keep_the_parents_own_work(calls: int) -> None:
    rows: list[tuple[str, str | None, str, float, float]] = [("r", None, "GET /offer", 0, 0)]
    now = 4.0
    for number in range(calls):
        rows.append((f"c{number}", "r", f"call {number}", now, now + 10 + number))
        now += 10 + number + 1  # a millisecond of own work between two calls
    end = now - 1 + 6
    rows[0] = ("r", None, "GET /offer", 0.0, end)
    found = what_if(spans_of(rows), parallel=[f"call {n}" for n in range(calls)])
    mean = found.set_index("statistic").loc["mean"]
    assert mean["before_ms"] == pytest.approx(end)
    # Each starts a millisecond after the one before it.
    assert mean["after_ms"] == pytest.approx(4 + max(n + 10 + n for n in range(calls)) + 6)


def test_what_nothing_waited_for_is_on_no_path_and_counted() -> None:
    rows = [("r", None, "GET /", 0.0, 20.0), ("a", "r", "work", 2.0, 10.0), ("b", "r", "mail", 5.0, 90.0)]
    found = critical_path(spans_of(rows))
    assert sorted(found["name"]) == ["GET /", "work"]
    assert [note.code for note in found.warnings] == ["outliving-spans"]


def test_clock_skew_is_cut_and_counted() -> None:
    rows = [("r", None, "GET /", 0.0, 20.0), ("a", "r", "remote", -3.0, 12.0)]
    found = critical_path(spans_of(rows).assign(service=["shop", "stock"]), by="segment")
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
def test_what_does_not_fit_is_left_out_and_counted(
    rows: list[tuple[str, str | None, str, float, float]], code: str
) -> None:
    found = critical_path(spans_of(rows))
    assert found["mean_ms"].sum() == pytest.approx(20)
    assert code in [note.code for note in found.warnings]


def test_equal_times_have_one_order() -> None:
    rows = [("r", None, "GET /", 0.0, 10.0), ("a", "r", "x", 0.0, 10.0), ("b", "r", "y", 0.0, 10.0)]
    first = critical_path(spans_of(rows), by="segment")
    again = critical_path(spans_of(rows), by="segment")
    assert first["name"].to_list() == again["name"].to_list() and first["duration_ms"].sum() == pytest.approx(10)


def test_p95_is_predicted_over_runs_only() -> None:
    rng = random.Random(2)
    parts = []
    for run in range(6):
        for trace in range(40):
            took = 10 + rng.random()
            rows = [("r", None, "GET /", 0.0, took + 5), ("a", "r", "x", 1.0, 1 + took)]
            parts.append(spans_of(rows, trace=f"{run}-{trace}").assign(run=f"r{run}"))
    found = what_if(pd.concat(parts), faster={"x": 0.5}).set_index("statistic")
    assert list(found.index) == ["mean", "p50", "p95"]
    assert (found["change_low_ms"] < found["change_ms"]).all() and (found["change_high_ms"] < 0).all()
    alone = what_if(parts[0], faster={"x": 0.5})
    assert list(alone["statistic"]) == ["mean", "p50"]
    assert "no-tail-prediction" in [note.code for note in alone.warnings]


@pytest.mark.parametrize(
    "asked", [{}, {"parallel": ["nothing"]}, {"faster": {"x": -1.0}}, {"faster": {"x": float("nan")}}, {"without": "z"}]
)
def test_bad_questions_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"what_if needs|must"):
        what_if(spans_of([("r", None, "GET /", 0.0, 20.0), ("a", "r", "x", 2.0, 3.0)]), **asked)  # type: ignore[arg-type]
