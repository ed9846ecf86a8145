"""Questions to profiles: invariants, and answers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import perflab as lab
from perflab import formats
from perflab.profiles.diff import Side, _tested
from perflab.profiles.flame_boxes import boxes
from perflab.profiles.origins import origin

STACKS = "web;view;query;execute 50\nweb;view;render 20\nweb;view;query;view;query;execute 10\nweb;other 15\nweb 5\n"


@pytest.fixture
def stacks(tmp_path: Path) -> lab.Measurements:
    path = tmp_path / "stacks.txt"
    path.write_text(STACKS)
    return lab.read(path)


def test_hot_paths_share_nothing_and_add_up(stacks: lab.Measurements) -> None:
    paths = lab.hot_paths(stacks, least="1%")
    assert paths.weight.sum() == 100
    assert paths.path.to_list() == [
        "web › view › query › execute",
        "web › view › render",
        "web › other",
        "web › view › query › view › query › execute",
        "web",
    ]
    assert lab.hot_paths(stacks, least="20%", limit=1).function.to_list() == ["execute"]
    with pytest.raises(ValueError, match=r"limit must be 1 or more; got 0"):
        lab.hot_paths(stacks, limit=0)


def test_focus_and_callers(stacks: lab.Measurements) -> None:
    below = lab.profiles.focus(stacks, "view")
    assert below.total.iloc[0] == 80
    flat = lab.flat_profile(below).set_index("function")
    assert flat.loc["execute", "self"] == 60
    assert flat.loc["query", "total"] == 60
    callers = lab.profiles.callers_of(stacks, "query")
    assert callers[["caller", "total"]].values.tolist() == [["view", 60.0]]
    assert lab.profiles.callers_of(stacks, "web").caller.to_list() == ["(root)"]
    with pytest.raises(ValueError, match="'quary' does not; the nearest names are query"):
        lab.profiles.focus(stacks, "quary")


def test_by_package_counts_a_package_once_for_each_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    lib = "/usr/lib/python3.11/site-packages"
    path.write_text(f"v (shop/v.py:1);a ({lib}/sqlalchemy/a.py:2);b ({lib}/sqlalchemy/b.py:3);c ({lib}/psycopg/c.py:4) 9\n"
                    "v (shop/v.py:2);loads (/usr/lib/python3.11/json/__init__.py:3) 1\n")  # fmt: skip
    found = lab.profiles.by_package(lab.read(path)).set_index("package")
    assert found.kind.to_dict() == {
        "psycopg": "database driver", "json": "standard library", "sqlalchemy": "framework", "shop": "application"
    }  # fmt: skip
    assert found.total.to_dict() == {"psycopg": 9, "json": 1, "sqlalchemy": 9, "shop": 10}
    assert "sqlalchemy.b" in lab.profiles.by_module(lab.read(path)).module.to_list()


@pytest.mark.parametrize(
    ("file", "kind", "package"),
    [
        ("/srv/app/node_modules/@nestjs/core/router.js", "library", "@nestjs/core"),
        ("node:internal/process", "standard library", "node:internal"),
        ("/usr/local/go/src/net/http/server.go", "standard library", "net/http"),
        ("/home/dev/go/pkg/mod/github.com/lib/pq@v1.2/conn.go", "library", "github.com/lib/pq"),
        ("[kernel.kallsyms]", "native", "[kernel.kallsyms]"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "native", "libc.so.6"),
        ("/usr/lib/libc.so.6 (deleted)", "native", "libc.so.6"),
        ("/usr/bin/node", "native", "node"),
        ("python3.11", "native", "python3.11"),
        ("/opt/node/bin/node", "native", "node"),
        ("//anon", "native", "anon"),
        ("/srv/shop/shopd", "application", "shop"),
        ("/tmp/perf-12.map", "application", "tmp"),
        ("C:\\app\\venv\\Lib\\site-packages\\flask\\app.py", "framework", "flask"),
        ("/opt/python3.12/lib/python3.12/socket.py", "network", "socket"),
        ("sqlalchemy/engine/base.py", "framework", "sqlalchemy"),
        ("<frozen importlib._bootstrap>", "standard library", "<frozen importlib._bootstrap>"),
        (None, "native", "(built-in)"),
        ("perflab/demo/shop/app.py", "application", "perflab"),
    ],
)
def test_whose_code_a_file_is(file: str | None, kind: str, package: str) -> None:
    assert origin(file)[:2] == (kind, package)


def repeated(loads: dict[str, float], runs: int, noise: float, seed: int) -> pd.DataFrame:
    """Profiles of several runs: each function's self with the run's own noise."""
    random = np.random.default_rng(seed)
    parts = []
    for run in range(runs):
        names = ["main", *loads]
        own = np.array([0.0, *loads.values()]) * np.exp(random.normal(0, noise, len(names)))
        parts.append(pd.DataFrame({
            "run": f"{seed}-{run}", "thread": None, "node": range(len(names)), "parent": [None, *[0] * len(loads)],
            "depth": [0, *[1] * len(loads)], "function": names, "file": "a.py", "line": 1, "self": own,
            "total": [own.sum(), *own[1:]], "unit": "ms"}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


BASE = {f"f{i}": 100.0 for i in range(20)}


def test_repeated_profiles_get_verdicts_by_function() -> None:
    before = repeated(BASE, 8, 0.03, 1)
    after = repeated({**BASE, "f3": 40.0, "f7": 160.0}, 8, 0.03, 2)
    found = lab.diff_profiles(before, after).set_index("function")
    assert found.index[:2].isin(["f3", "f7"]).all()
    assert found.loc["f3", "verdict"] == "improved"
    assert found.loc["f7", "verdict"] == "regressed"
    others = found.drop(index=["f3", "f7", "main"])
    assert set(others.verdict) == {"equivalent"}
    assert (found.change_low <= found.change).all()
    assert found.loc["f3", "change_low"] < -60 < found.loc["f3", "change_high"]
    assert (found.p_adjusted.dropna() >= found.p_value[found.p_adjusted.notna()]).all()


def test_a_share_changes_though_the_function_does_not() -> None:
    """Why the verdict is about absolute values: after a fix all others have larger shares."""
    after = {**BASE, "f0": 1000.0}
    found = lab.diff_profiles(repeated(after, 6, 0.01, 3), repeated(BASE, 6, 0.01, 4))
    shares = lab.diff_profiles(repeated(after, 6, 0.01, 3), repeated(BASE, 6, 0.01, 4), value="fraction")
    assert set(found[found.function == "f5"].verdict) == {"equivalent"}
    assert set(shares[shares.function == "f5"].verdict) == {"regressed"}


SPEEDS = np.array([1.0, 1.3, 4.0, 1.1, 7.0, 2.0])
"""How slow the machine was in each of six pairs."""


@pytest.mark.parametrize(
    ("sizes", "noise", "paired"),
    [((5, 5), (0.1, 0.1), False), ((3, 20), (0.1, 0.1), False), ((20, 3), (0.1, 0.1), False), ((4, 12), (0.3, 0.1), False),
     ((6, 6), (0.1, 0.1), True)],
)  # fmt: skip
def test_equal_sides_are_seldom_directional(sizes: tuple[int, int], noise: tuple[float, float], paired: bool) -> None:
    """Over many draws of no difference the family's false alarms stay at the level; the full table is datasets/calibration."""
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(200):
        sides = []
        for runs, deviation in zip(sizes, noise, strict=True):
            values = np.exp(random.normal(0, deviation, (runs, 20))) * (SPEEDS[:, None] if paired else 1.0)
            wholes = values.sum(axis=1)
            sides.append(Side(values, values / wholes[:, None], [str(i) for i in range(runs)], wholes))
        pairs: list[object] | None = [*range(6)] if paired else None
        verdict = _tested(*sides, "absolute", 0.0, 0.001, 0.95, (pairs, pairs))["verdict"]
        alarms += pd.Series(verdict).isin(["improved", "regressed", "new", "gone"]).any()
    assert alarms <= 10


def test_a_profile_compared_with_itself_did_not_change() -> None:
    same = repeated(BASE, 4, 0.1, 5)
    assert not lab.diff_profiles(same, same).verdict.isin(["improved", "regressed"]).any()


def test_functions_on_one_side_only_are_new_and_gone() -> None:
    before = repeated({**BASE, "old": 40.0}, 6, 0.05, 21)
    after = repeated({**BASE, "fresh": 80.0}, 6, 0.05, 22)
    found = lab.diff_profiles(before, after).set_index("function")
    assert found.loc[["old", "fresh"], "verdict"].to_list() == ["gone", "new"]
    assert not found.drop(index=["old", "fresh"]).verdict.isin(["improved", "regressed", "new", "gone"]).any()


def test_sides_are_antisymmetric_and_units_cancel() -> None:
    a, b = repeated(BASE, 4, 0.05, 6), repeated({**BASE, "f2": 300.0}, 4, 0.05, 7)
    there = lab.diff_profiles(a, b).set_index("function")
    back = lab.diff_profiles(b, a).set_index("function").reindex(there.index)
    assert np.allclose(there.change, -back.change)
    assert np.allclose(there.p_value, back.p_value)
    scaled = [pd.concat([f.drop(columns=["self", "total"]), f[["self", "total"]] * 7], axis="columns") for f in (a, b)]
    seven = lab.diff_profiles(*scaled).set_index("function").reindex(there.index)
    assert np.allclose(seven.change, there.change * 7)
    assert seven.verdict.to_list() == there.verdict.to_list()


def test_two_profiles_are_normalised_for_their_duration(stacks: lab.Measurements, tmp_path: Path) -> None:
    path = tmp_path / "longer.txt"
    path.write_text(
        "\n".join(f"{line.rsplit(' ', 1)[0]} {2 * int(line.rsplit(' ', 1)[1])}" for line in STACKS.split("\n") if line)
    )
    longer = lab.read(path)

    def lasting(found: lab.Measurements, ms: float) -> lab.Measurements:
        return lab.Measurements.of(runs=found.runs.assign(duration_ms=ms), profile=found.profile)

    plain = lab.diff_profiles(stacks, longer)
    assert plain.change.abs().max() == 60
    assert plain.change_fraction.abs().max() == pytest.approx(0)
    by_second = lab.diff_profiles(lasting(stacks, 10_000), lasting(longer, 20_000))
    assert set(by_second.unit) == {"samples/second"}
    assert by_second.change.abs().max() == pytest.approx(0)
    with pytest.raises(ValueError, match="per='request' needs measurements that know their requests"):
        lab.diff_profiles(stacks, longer, per="request")
    with pytest.raises(ValueError, match="metric must be one of 'self', 'total'; got 'mean'"):
        lab.diff_profiles(stacks, longer, metric="mean")


def test_graphs_of_calls_can_be_compared_but_have_no_stacks() -> None:
    calls = lab.read("tests/samples/pstats/workload.pstats") if Path("tests").is_dir() else lab.read(
        Path(__file__).parent.parent / "samples" / "pstats" / "workload.pstats")  # fmt: skip
    assert lab.diff_profiles(calls, calls).change.abs().max() == 0
    with pytest.raises(lab.MissingTableError, match="a graph of calls"):
        lab.hot_paths(calls)
    with pytest.raises(lab.MissingTableError, match="hold no profile"):
        lab.flat_profile(lab.Measurements({}))


TREES = st.lists(st.tuples(st.lists(st.sampled_from("abcd"), max_size=7), st.integers(1, 50)), min_size=1, max_size=25)
QUIET = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(found=TREES)
@QUIET
def test_totals_are_those_of_counting_by_hand(tmp_path: Path, found: list[tuple[list[str], int]]) -> None:
    path = tmp_path / "any.txt"
    kept = [(stack, weight) for stack, weight in found if stack]
    if not kept:
        return
    path.write_text("".join(f"{';'.join(stack)} {weight}\n" for stack, weight in kept))
    profile = formats.named("collapsed").read(path)["profile"].assign(run="r")
    for row in lab.flat_profile(profile).itertuples():
        assert row.self == sum(w for s, w in kept if s[-1] == row.function)
        assert row.total == sum(w for s, w in kept if row.function in s)
    whole = sum(w for _, w in kept)
    assert lab.hot_paths(profile, least=0.0, limit=10_000).weight.sum() == pytest.approx(whole)
    laid = boxes(profile, narrowest=0.0, trim=False).table
    assert (laid.left + laid.width <= 1 + 1e-9).all()
    assert laid[laid.level == 0].width.sum() == pytest.approx(1)
    # No two boxes of a level overlap.
    for _, level in laid.groupby("level"):
        edges = level.sort_values("left")
        assert (edges.left.to_numpy()[1:] >= (edges.left + edges.width).to_numpy()[:-1] - 1e-9).all()


def test_rows_out_of_order_are_refused(stacks: lab.Measurements) -> None:
    with pytest.raises(ValueError, match="must be in pre-order"):
        lab.flat_profile(stacks.profile.sort_values("total", ascending=True))


def in_pairs(frame: pd.DataFrame, speeds: np.ndarray) -> lab.Measurements:
    """Runs of pairs, the machine as slow in each as ``speeds`` says."""
    runs = frame["run"].unique()
    factor = frame["run"].map(dict(zip(runs, speeds, strict=True)))
    frame = frame.assign(total=frame["total"] * factor)
    frame["self"] = frame["self"] * factor
    table = pd.DataFrame(
        {
            "run": runs,
            "arm": None,
            "start": pd.Timestamp("2026-01-01", tz="UTC"),
            "duration_ms": 0.0,
            "valid": True,
            "pair": range(len(runs)),
        }
    )
    return lab.Measurements.of(runs=table, profile=frame)


def test_a_pair_on_a_busy_machine_does_not_drown_the_others() -> None:
    before = in_pairs(repeated(BASE, 6, 0.05, 11), SPEEDS)
    after = in_pairs(repeated({**BASE, "f3": 40.0}, 6, 0.05, 12), SPEEDS)
    found = lab.diff_profiles(before, after).set_index("function")
    assert found.loc["f3", "verdict"] == "improved"
    assert found.change.sum() == pytest.approx(found.after.sum() - found.before.sum())


def test_functions_of_one_name_that_call_one_another_count_once_in_a_difference(tmp_path):
    """Two generators in a file, one inside the other, as pyinstrument and speedscope tell them apart: by their lines."""
    frames = [{"name": "main", "file": "w.py", "line": 1}, {"name": "<genexpr>", "file": "w.py", "line": 3},
              {"name": "<genexpr>", "file": "w.py", "line": 9}]  # fmt: skip

    def profile(inner: int):
        document = {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "shared": {"frames": frames},
            "profiles": [{"type": "sampled", "name": "t", "unit": "milliseconds", "startValue": 0, "endValue": 10 + inner,
                          "samples": [[0, 1], [0, 1, 2]], "weights": [10, inner]}],
        }  # fmt: skip
        path = tmp_path / f"{inner}.speedscope.json"
        path.write_text(json.dumps(document))
        return lab.read(path)

    total = lab.diff_profiles(profile(30), profile(50), metric="total").set_index("function")
    assert total.loc["<genexpr>", ["before", "after"]].to_list() == [40, 60]
    assert (total["after_fraction"] <= 1).all()
    apart = lab.diff_profiles(profile(30), profile(50), metric="total", lines=True)
    assert sorted(apart.loc[apart["function"] == "<genexpr>", "before"]) == [30, 40]
    own = lab.diff_profiles(profile(30), profile(50)).set_index("function")
    assert own.loc["<genexpr>", ["before", "after"]].to_list() == [40, 60]
