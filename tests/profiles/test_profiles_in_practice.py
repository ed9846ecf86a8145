"""Layouts of real profilers that were once read wrongly: each with the numbers worked out by hand."""

from __future__ import annotations

import json
import marshal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.notes import codes
from perflab.profiles.waiting import without_idle

SPEEDSCOPE = "https://www.speedscope.app/file-format-schema.json"
Nodes = list[tuple[int, str, float, float]]


def nodes(found: lab.Measurements) -> Nodes:
    return [(r.depth, r.function, round(r.self, 6), round(r.total, 6)) for r in found.profile.itertuples()]


def events(*rows: tuple[Any, ...]) -> str:
    """(phase, name, ts[, dur]) each."""
    keys = ("ph", "name", "ts", "dur")
    return json.dumps([{"pid": 1, "tid": 1, **dict(zip(keys, row, strict=False))} for row in rows])


TRACES: dict[str, tuple[str, Nodes]] = {
    "begin and end together": (
        events(*(("B", n, 0) for n in "abc"), *(("E", n, 1000) for n in "cba")),
        [(0, "a", 0, 1), (1, "b", 0, 1), (2, "c", 1, 1)],
    ),
    "ends without names": (
        events(("B", "a", 0), ("B", "b", 0), ("E", None, 1000), ("E", None, 2000)),
        [(0, "a", 1, 2), (1, "b", 1, 1)],
    ),
    "one begins when another ends": (
        events(("B", "a", 0), ("B", "b", 0), ("E", "b", 500), ("B", "c", 500), ("E", "c", 1000), ("E", "a", 1000)),
        [(0, "a", 0, 1), (1, "b", 0.5, 0.5), (1, "c", 0.5, 0.5)],
    ),
    "complete events that begin together": (
        events(("X", "inner", 0, 400), ("X", "outer", 0, 1000), ("X", "same", 0, 400)),
        [(0, "outer", 0.6, 1), (1, "inner", 0, 0.4), (2, "same", 0.4, 0.4)],
    ),
    "complete inside begin and end": (
        events(("B", "a", 0), ("X", "b", 0, 1000), ("E", "a", 1000)),
        [(0, "a", 0, 1), (1, "b", 1, 1)],
    ),
    "equal ends in any order": (
        events(("B", "a", 0), ("B", "b", 0), ("E", "a", 1000), ("E", "b", 1000)),
        [(0, "a", 0, 1), (1, "b", 1, 1)],
    ),
    "thread duration only": (
        json.dumps([{"pid": 1, "tid": 1, "ph": "X", "name": "a", "ts": 0, "tdur": 4000}]),
        [(0, "a", 4, 4)],
    ),
    "samples with stack frames": (
        json.dumps({
            "traceEvents": [], "stackFrames": {"1": {"name": "main"}, "2": {"name": "work", "parent": 1}},
            "samples": [{"ts": str(t), "pid": 1, "tid": "7", "sf": f} for t, f in ((0, 1), (1000, 2), (4000, 2))],
        }),
        [(0, "main", 1, 4), (1, "work", 3, 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRACES)
def test_trace_events_nest_in_the_order_of_their_begins(name: str, tmp_path: Path) -> None:
    text, expected = TRACES[name]
    path = tmp_path / "trace.json"
    path.write_text(text)
    assert nodes(lab.read(path)) == expected


@pytest.mark.parametrize(
    ("events", "totals", "code"),
    [
        # Both ends are there: the inner frame keeps its time, and its caller waits for it.
        ("B a 0, B b 1, E a 9, E b 10", {"a": 10, "b": 9}, "frame-waited"),
        ("X a 0 10, X b 5 10", {"a": 15, "b": 10}, "frame-waited"),
        ("B a 0, B b 1, B c 2, E a 5, E b 6, E c 7", {"a": 7, "b": 6, "c": 5}, "frame-waited"),
        # Another frame begins meanwhile: it is not inside of what has ended.
        ("B a 0, B b 1, E a 5, B c 6, E c 7, E b 8", {"a": 6, "b": 5, "c": 1}, "frames-misnested"),
        # The inner frame has no end of its own, as after an exception.
        ("B a 0, B b 1, E a 10, X z 10 1", {"a": 10, "b": 9, "z": 1}, "frames-misnested"),
        ("B a 0, B b 1, E a 4, B a 5, B b 6, E b 8, E a 9", {"a": 8, "b": 5}, "frames-misnested"),
        ("B a 0, E b 10", {"a": 10}, "frame-not-opened"),
    ],
)
def test_ends_in_the_wrong_order(events: str, totals: dict[str, float], code: str, tmp_path: Path) -> None:
    listed = []
    for event in events.split(", "):
        phase, name, at, *length = event.split()
        listed.append({"ph": phase, "name": name, "ts": int(at), "pid": 1, "tid": 1})
        if length:
            listed[-1]["dur"] = int(length[0])
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(listed))
    found = lab.read(path)
    flat = lab.flat_profile(found).set_index("function")
    assert (flat["total"] * 1e3).round(6).to_dict() == totals
    assert code in codes(found.warnings)


def test_cpu_samples_inside_a_trace_of_chrome(tmp_path: Path) -> None:
    frame = [{"id": 1, "callFrame": {"functionName": "(root)"}},
             {"id": 2, "parent": 1, "callFrame": {"functionName": "render", "url": "a.js", "lineNumber": 3}}]  # fmt: skip
    more = [{"id": 3, "parent": 2, "callFrame": {"functionName": "layout", "url": "a.js", "lineNumber": 9}}]
    chunks = [({"nodes": frame, "samples": [2, 2]}, [500, 1000]), ({"nodes": more, "samples": [3, 3]}, [2000, 7000])]
    rows: list[dict[str, Any]] = [
        {"ph": "M", "name": "thread_name", "args": {"name": "CrRendererMain"}},
        {"ph": "X", "ts": 0, "dur": 30_000, "name": "RunTask"},
        {"ph": "P", "ts": 1, "id": "0x1", "name": "Profile", "args": {"data": {"startTime": 0}}},
        {"ph": "P", "ts": 2, "id": "0x1", "name": "ProfileChunk", "args": {}},
        *({"ph": "P", "ts": 3 + i, "id": "0x1", "name": "ProfileChunk",
           "args": {"data": {"cpuProfile": found, "timeDeltas": deltas}}} for i, (found, deltas) in enumerate(chunks)),
    ]  # fmt: skip
    path = tmp_path / "trace.json"
    path.write_text(json.dumps([{"pid": 1, "tid": 1, **row} for row in rows]))
    found = lab.read(path)
    assert nodes(found) == [(0, "render", 3, 10), (1, "layout", 7, 7)]
    assert found.profile.thread.unique().tolist() == ["CrRendererMain (pid 1 tid 1)"]
    assert codes(found.warnings) == ("timeline-left-out",)


def gecko(samples: dict[str, Any], stacks: dict[str, Any], **meta: Any) -> dict[str, Any]:
    shared = {"stringArray": ["main", "work", "a.py"], "stackTable": {"frame": [0, 1], **stacks},
              "frameTable": {"func": [0, 1]}, "funcTable": {"name": [0, 1], "source": [0, 0], "lineNumber": [1, 2]},
              "sources": {"filename": [2]}}  # fmt: skip
    return {"meta": {"interval": 1.0, "preprocessedProfileVersion": 66, **meta}, "libs": [], "shared": shared,
            "threads": [{"name": "t", "pid": "1", "tid": 1, "samples": samples}]}  # fmt: skip


TIMES = {"stack": [0, 1, 1], "time": [0, 2, 5]}
OFFSETS = {"prefixOffset": [0, 1]}
GECKO: dict[str, tuple[dict[str, Any], Nodes, str, tuple[str, ...]]] = {
    "parents by number": (gecko(TIMES, {"prefix": [None, 0]}), [(0, "main", 2, 5), (1, "work", 3, 3)], "ms", ()),
    "parents by distance (version 66)": (gecko(TIMES, OFFSETS), [(0, "main", 2, 5), (1, "work", 3, 3)], "ms", ()),
    "distances that lead nowhere": (gecko(TIMES, {"prefixOffset": [-3, 7]}), [(0, "main", 2, 2), (0, "work", 3, 3)], "ms", ()),
    "time that is a position in a file": (
        gecko(TIMES, OFFSETS, sampleUnits={"time": "bytes"}), [(0, "main", 2, 5), (1, "work", 3, 3)], "bytes", ()
    ),
    "a process as text": (
        {**gecko(TIMES, OFFSETS), "threads": [json.dumps(gecko(TIMES, OFFSETS))]},
        [(0, "main", 2, 5), (1, "work", 3, 3)], "ms", (),
    ),
    "gaps": (
        gecko({"stack": [0, 1, 1], "time": [0, 1, 90]}, OFFSETS), [(0, "main", 1, 90), (1, "work", 89, 89)], "ms", ("idle-gaps",)
    ),
    "a single sample": (
        gecko({"stack": [1], "time": [0]}, OFFSETS), [(0, "main", 0, 0), (1, "work", 0, 0)], "ms", ("one-sample",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GECKO)
def test_every_version_of_gecko(name: str, tmp_path: Path) -> None:
    written, expected, unit, notes = GECKO[name]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(written))
    found = lab.read(path)
    assert (nodes(found), found.profile.unit.unique().tolist()) == (expected, [unit])
    assert codes(found.warnings) == notes
    if name == "gaps":
        assert nodes(lab.read(path, weight="samples")) == [(0, "main", 1, 3), (1, "work", 2, 2)]


FRAME = "  7fa68b1f2d84 spin+0x4 (/usr/lib/libx.so)\n"
PERF: dict[str, tuple[str, dict[str, float]]] = {
    "right-aligned lines": (
        "".join(f"          python 39654 19115.{i}: 250000 cpu-clock: {FRAME}" for i in range(4)), {"spin": 4}
    ),
    "lines and blocks": (
        f"python 7 1.5: 5 cpu-clock: {FRAME}python 7 1.6: 5 cpu-clock:\n{FRAME}\npython 7 1.7: 5 cpu-clock: {FRAME}",
        {"spin": 3},
    ),
    "no time": (f"java 19983 cycles:\n{FRAME.lstrip()}\njava 19983 cycles:\n{FRAME.lstrip()}\n", {"spin": 2}),
    "no symbol": (
        "java 7 1.5: 5 cycles:\n  7f1e2215d058  (/lib/libc.so)\n" + FRAME, {"[unknown]": 1, "spin": 0}
    ),
    "a name of hexadecimal digits": (f"   cafe 7 1.5: 5 cycles: {FRAME}   cafe 7 1.6: 5 cycles: {FRAME}", {"spin": 2}),
    "source lines": (f"app 7 1.5: 5 cycles:\n{FRAME}  spin.c:12\n", {"spin": 1}),
    "a tracepoint": (
        f"app 7 [000] 1.5: sched:sched_switch: prev_comm=app prev_state=S ==> next_comm=x next_pid=2\n{FRAME}\n", {"spin": 1}
    ),
    "Python with -X perf": (f"py 7 1.5: 5 cycles:\n  7f py::run:/a b.py (/tmp/perf-7.map)\n{FRAME}", {"run": 1, "spin": 0}),
    "periods that differ": (f"app 7 1.5: 1 cycles:\n{FRAME}\napp 7 1.6: 90000 cycles:\n{FRAME}\n", {"spin": 90_001}),
}  # fmt: skip


@pytest.mark.parametrize("name", PERF)
def test_every_layout_of_perf_script(name: str, tmp_path: Path) -> None:
    text, expected = PERF[name]
    path = tmp_path / "perf.txt"
    path.write_text(text)
    found = lab.read(path)
    assert dict(lab.flat_profile(found, per=())[["function", "self"]].values.tolist()) == expected
    assert not codes(found.warnings)


LINES = {
    "austin": (
        "# austin: 3.7.0\n# mode: wall\n\nP1;T0:1;/a.py:main:9;/a.py:query:5 4000\nP1;T0:1;/a.py:main:9;/a.py:query:6 1000\n",
        {"query": 5.0, "main": 0.0}, "ms", "P1 T0:1",
    ),
    "profiling.sampling": (
        "tid:1;a.py:main:9;a.py:q:5 60\ntid:1;a.py:main:9;a.py:q:7 5\n", {"q": 65, "main": 0}, "samples", "tid:1",
    ),
    "async-profiler": (
        "[main tid=7];java/lang/Thread.run_[j];a/Repo.find_[0] 5\n[main tid=7];java/lang/Thread.run_[i];a/Repo.find_[j] 7\n",
        {"a/Repo.find": 12, "java/lang/Thread.run": 0}, "samples", "[main tid=7]",
    ),
    "profiling.sampling in the collector and in C": (
        "tid:1;a.py:main:9;a.py:q:5 60\ntid:1;a.py:main:9;a.py:q:7;<native> 5\ntid:1;a.py:main:9;<GC> 4\n",
        {"q": 60, "<native>": 5, "<GC>": 4, "main": 0}, "samples", "tid:1",
    ),
    "py-spy --native": (
        "main (a.py:9);q (a.py:5);memcpy (libc.so.6) 60\nmain (a.py:9);q (a.py:7);clone 5\nmain (a.py:8) 4\n",
        {"memcpy": 60, "clone": 5, "main": 4, "q": 0}, "samples", None,
    ),
    "py-spy --native of a short stack": ("main (a.py:9);memcpy 60\n", {"memcpy": 60, "main": 0}, "samples", None),
    "py-spy --nolineno": ("main (a.py);q (b/c.py) 60\nmain (a.py) 4\n", {"q": 60, "main": 4}, "samples", None),
    "py-spy of a process that multiprocessing started": (
        'process 7:"python -c from multiprocessing.spawn import spawn_main; spawn_main(fd=5)";main (a.py:9);q (a.py:5) 3\n'
        'process 7:"python -c from multiprocessing.spawn import spawn_main; spawn_main(fd=5)";main (a.py:9);q (a.py:6) 2\n',
        {"q": 5, "main": 0}, "samples",
        'process 7:"python -c from multiprocessing.spawn import spawn_main; spawn_main(fd=5)"',
    ),
    "async-profiler with mostly native frames": (
        "[a;b tid=7];clone;start_thread;JavaMain;a/B.run_[0];read 5\n[a;b tid=7];clone;start_thread;JavaMain;a/B.run_[j] 7\n",
        {"a/B.run": 7, "read": 5, "JavaMain": 0, "clone": 0, "start_thread": 0}, "samples", "[a;b tid=7]",
    ),
    "austin in the collector": (
        "# austin: 3.7.0\n# mode: wall\n\nP1;T0:1;/a.py:main:9;:GC: 400\nP1;T0:1;:INVALID: 100\n",
        {"main": 0.0, ":GC:": 0.4, ":INVALID:": 0.1}, "ms", "P1 T0:1",
    ),
    "austin 1": (
        "Process 7;Thread 0x7f;<module> (a (1).py);L9;query (b.py);L15 4000\nProcess 7;Thread 0x7f;<module> (a (1).py);L9 500\n",
        {"query": 4.0, "<module>": 0.5}, "ms", "Process 7 Thread 0x7f",
    ),
    "austin 1 without its process, in the other layout": (
        "Thread 7f;<module> (a.py:9);query (b.py:15) 4000\nThread 7f;<module> (a.py:9) 500\n",
        {"query": 4.0, "<module>": 0.5}, "ms", "Thread 7f",
    ),
    "austin 1 --full": (
        "Process 7;Thread 1;main (a.py);L9;query (b.py);L15 4000 12 -3\nProcess 7;Thread 1;main (a.py);L9 500 0 0\n",
        {"query": 4.0, "main": 0.5}, "ms", "Process 7 Thread 1",
    ),
    "austin 2 --full": (
        "# austin: 2.1.1\n# mode: full\n\nP7;T1;a.py:main:9;b.py:query:15 4000 12 -3\nP7;T1;a.py:main:9 500 0 0\n",
        {"query": 4.0, "main": 0.5}, "ms", "P7 T1",
    ),
    "rbspy": ("<main> - a.rb:4;foo - b.rb:7;sleep [c function] - (unknown):0 12\n<main> - a.rb:4;foo - b.rb:9 3\n",
              {"sleep [c function]": 12, "foo": 3, "<main>": 0}, "samples", None),
    "a folded difference": ("main;page 1 10 20\nmain;b 5 0\n", {"page 1": 20, "b": 0, "main": 0}, "samples", None),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_collapsed_stacks_by_function_and_thread(name: str, tmp_path: Path) -> None:
    text, expected, unit, thread = LINES[name]
    path = tmp_path / "stacks.txt"
    path.write_text(text)
    table = lab.read(path).profile
    assert dict(lab.flat_profile(table)[["function", "self"]].values.tolist()) == expected
    assert table.unit.unique().tolist() == [unit]
    assert [None if pd.isna(t) else t for t in table.thread.unique()] == [thread]
    expected_notes = {
        "two-weights": "difference" in name,
        "metric-assumed": "austin 1" in name and "full" not in name,
        "time-only": "--full" in name,
    }
    assert codes(lab.read(path).warnings) == tuple(code for code, is_there in expected_notes.items() if is_there)


def test_complete_events_without_a_duration_are_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text(
        '[{"ph": "X", "name": "main", "ts": 0, "dur": 5000, "pid": 1, "tid": 1},'
        '{"ph": "X", "name": "open", "ts": 1000, "pid": 1, "tid": 1},'
        '{"ph": "X", "name": "null", "ts": 1000, "dur": null, "pid": 1, "tid": 1},'
        '{"ph": "X", "name": "cpu", "ts": 2000, "tdur": 1000, "pid": 1, "tid": 1}]'
    )
    found = lab.read(path)
    assert dict(lab.flat_profile(found, per=())[["function", "self"]].values.tolist()) == {
        "main": 4.0, "cpu": 1.0, "open": 0.0, "null": 0.0,
    }  # fmt: skip
    assert [(note.code, note.facts["count"], note.facts["first"]) for note in found.warnings] == [
        ("complete-without-duration", 2, "event 2")
    ]


def test_only_functions_of_the_kernel_are_in_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "alloc.txt"
    path.write_text("a/B.run;byte[]_[k] 5\na/B.run;java.lang.String_[k] 4\nread;vfs_read_[k];copy.isra.0_[k] 3\n")
    table = lab.read(path).profile
    assert set(table.function[table.file == "[kernel]"]) == {"vfs_read", "copy.isra.0"}


def test_a_difference_of_two_profiles_stays_signed(tmp_path: Path) -> None:
    path = tmp_path / "neg.json"
    path.write_text(json.dumps({"$schema": SPEEDSCOPE, "shared": {"frames": [{"name": n} for n in ("main", "alloc", "free")]},
        "profiles": [{"type": "sampled", "name": "heap", "unit": "bytes", "startValue": 0, "endValue": 50,
                      "samples": [[0, 1], [0, 2], [0]], "weights": [100, -60, 10]}]}))  # fmt: skip
    found = lab.read(path)
    assert nodes(found) == [(0, "main", 10, 50), (1, "alloc", 100, 100), (1, "free", -60, -60)]
    assert codes(found.warnings) == ("negative-weights",)
    for question in (lab.plot_flamegraph, lab.hot_paths, lab.summarize_time):
        with pytest.raises(ValueError, match="difference of two"):
            question(found)


def test_statistics_with_unknown_counts_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "pyinstrument.pstats"
    main, work = ("a.py", 1, "main"), ("a.py", 5, "work")
    path.write_bytes(
        marshal.dumps({main: (-1, -1, 0.0, 0.3, {}), work: (-1, -1, 0.3, 0.3, {main: (-1, -1, 0.3, 0.3)})})
    )
    found = lab.read(path)
    flat = lab.flat_profile(found)
    assert flat[["function", "self", "total"]].values.tolist() == [["work", 300.0, 300.0], ["main", 0.0, 300.0]]
    assert flat.calls.isna().all()
    assert lab.profiles.callers_of(found, "work").total.to_list() == [300.0]
    assert not found.warnings


@pytest.mark.parametrize("marked", [True, False])
def test_statistics_of_python_s_sampling_profiler(marked: bool, tmp_path: Path) -> None:
    path = tmp_path / "sampled.pstats"
    main, work = ("a.py", 1, "main"), ("a.py", 5, "work")
    stats: dict[Any, Any] = {("__sampled__",): True} if marked else {}
    stats |= {main: (0, 100, 0.0, 0.1, {}), work: (60, 60, 0.06, 0.06, {main: 60})}
    path.write_bytes(marshal.dumps(stats))
    found = lab.read(path)
    assert lab.profiles.callers_of(found, "work")[["caller", "total"]].values.tolist() == [
        ["main", pytest.approx(60.0)]
    ]
    assert lab.flat_profile(found).calls.isna().all()
    assert found.meta["tool"] == "profiling.sampling"


def recorded(stacks: dict[str, float], rate: float, seed: int, folder: Path, runs: int = 3) -> lab.Measurements:
    random = np.random.default_rng(seed)
    paths = []
    for i in range(runs):
        path = folder / f"{seed}-{i}.txt"
        path.write_text("".join(f"{s} {random.poisson(w * rate)}\n" for s, w in stacks.items()))
        paths.append(str(path))
    return lab.read(paths)


def test_another_sampling_rate_is_no_change(tmp_path: Path) -> None:
    stacks = {"main;query": 600.0, "main;spin": 400.0}
    found = lab.diff_profiles(recorded(stacks, 1, 1, tmp_path), recorded(stacks, 10, 2, tmp_path))
    assert not found.verdict.isin(["improved", "regressed", "moved"]).any()
    assert codes(found.warnings) == ("compared-by-share",)


def test_a_renamed_function_moved(tmp_path: Path) -> None:
    before = recorded({"main;render": 435.0, "main;other": 500.0}, 1, 3, tmp_path, 6)
    after = recorded({"main;paint": 445.0, "main;other": 500.0}, 1, 4, tmp_path, 6)
    found = lab.diff_profiles(before, after).set_index("function")
    assert found.loc[["render", "paint"], "verdict"].to_list() == ["moved", "moved"]
    assert found.loc["other", "verdict"] not in ("improved", "regressed")
    moved = next(note for note in found.attrs["warnings"] if note.code == "cost-moved")
    assert (moved.facts["source"], moved.facts["target"]) == ("render", "paint")


def test_profiles_of_two_tools_are_refused_unless_allowed() -> None:
    samples = Path(__file__).parent.parent / "samples"
    sides = lab.read(samples / "pstats" / "workload.pstats"), lab.read(samples / "pyinstrument" / "workload.json")
    with pytest.raises(lab.ComparisonError) as refused:
        lab.diff_profiles(*sides)
    assert refused.value.args[0].code == "different-profilers"
    assert len(lab.diff_profiles(*sides, allow="tool"))
    with pytest.raises(ValueError, match="allow must be one of 'tool'"):
        lab.diff_profiles(*sides, allow="machine")


SITE = "/usr/lib/python3.11/site-packages"
LIB = "/usr/lib/python3.11"
WAITS = {
    "await": ([("fetch", "app.py"), ("[await]", None)], "waiting"),
    "await in a driver": ([("q", "app.py"), ("fetch", f"{SITE}/asyncpg/pool.py"), ("[await]", None)], "database"),
    "a worker thread": (
        [("q", "app.py"), ("run_sync_in_worker_thread", f"{SITE}/anyio/_backends/_asyncio.py"), ("[await]", None)], "unseen"
    ),
    "to_thread": ([("q", "app.py"), ("to_thread", f"{LIB}/asyncio/threads.py"), ("[await]", None)], "unseen"),
    "a handler below the event loop": (
        [("_run_once", f"{LIB}/asyncio/base_events.py"), ("_run", f"{LIB}/asyncio/events.py"), ("page", "app.py")], "cpu"
    ),
    "a page below the server of the standard library": (
        [("process_request_thread", f"{LIB}/socketserver.py"), ("handle", f"{LIB}/http/server.py"), ("page", "app.py")], "cpu"
    ),
    "a handler below the server of grpc": ([("_call_behavior", f"{SITE}/grpc/_server.py"), ("page", "app.py")], "cpu"),
    "a server that sends": (
        [("handle", f"{LIB}/http/server.py"), ("write", f"{LIB}/socketserver.py"), ("sendall", "<built-in>")], "network"
    ),
    "a parser of HTTP": ([("q", "app.py"), ("next_event", f"{SITE}/h11/_connection.py")], "cpu"),
    "an idle event loop": (
        [("_run_once", f"{LIB}/asyncio/base_events.py"), ("select", f"{LIB}/selectors.py")], None
    ),
    "an idle pool thread": ([("_worker", f"{LIB}/concurrent/futures/thread.py")], None),
    "a pool thread at work": (
        [("_worker", f"{LIB}/concurrent/futures/thread.py"), ("run", f"{LIB}/concurrent/futures/thread.py"),
         ("page", "app.py"), ("sleep", "<built-in>")], "waiting",
    ),
    "an idle worker of anyio": (
        [("run", f"{SITE}/anyio/_backends/_asyncio.py"), ("get", f"{LIB}/queue.py"), ("wait", f"{LIB}/threading.py")], None
    ),
    "a driver that parses": (
        [("q", "app.py"), ("execute", f"{SITE}/pymysql/cursors.py"), ("read_length_string", f"{SITE}/pymysql/protocol.py")], "cpu"
    ),
    "a driver that receives": (
        [("q", "app.py"), ("execute", f"{SITE}/pymysql/cursors.py"), ("recv_into", f"{LIB}/socket.py")], "database"
    ),
    "a call of C by SQLAlchemy": ([("q", "app.py"), ("do_execute", f"{SITE}/sqlalchemy/engine/default.py")], "database"),
}  # fmt: skip


def one_stack(stack: list[tuple[str, str | None]]) -> pd.DataFrame:
    count = len(stack)
    own = np.where(np.arange(count) == count - 1, 100.0, 0.0)
    table = pd.DataFrame({"run": "r", "thread": None, "node": range(count), "parent": [None, *range(count - 1)],
                          "depth": range(count), "function": [f for f, _ in stack], "file": [p for _, p in stack],
                          "line": 1, "total": 100.0, "unit": "ms"})  # fmt: skip
    table["self"] = own
    return table


@pytest.mark.parametrize("name", WAITS)
def test_waiting_is_not_computing(name: str) -> None:
    stack, expected = WAITS[name]
    both = pd.concat([one_stack(stack), one_stack([("other", "app.py")])], ignore_index=True)
    found = lab.summarize_time(both)
    row = found.iloc[0]
    shares = {k: row[f"{k}_fraction"] for k in ("database", "network", "waiting", "cpu", "unseen")}
    if expected is None:
        assert (row.time, shares["cpu"]) == (100.0, 1.0)
        assert "idle-left-out" in codes(found.warnings)
        rest, idle = without_idle(both)
        assert (rest.function.to_list(), idle) == (["other"], 100.0)
    else:
        assert shares == {**dict.fromkeys(shares, 0.0), "cpu": 0.5, expected: 0.5 if expected != "cpu" else 1.0}
        assert ("worker-threads-unseen" in codes(found.warnings)) is (expected == "unseen")


def test_a_profile_of_a_small_part_of_the_time_says_so() -> None:
    table = one_stack([("page", "app.py")]).assign(endpoint="GET /a")
    facts = {"endpoints": {"GET /a": {"profiled": 10, "profiled_s": 4.0, "timed": 0, "timed_s": 0.0}}}
    runs = pd.DataFrame({"run": ["r"], "arm": None, "start": pd.Timestamp("2026-01-01", tz="UTC"), "duration_ms": 1.0,
                         "valid": True, "environment": [{"profiled": "pyinstrument", "profiling": facts}]})  # fmt: skip
    found = lab.summarize_time(lab.Measurements.of(runs=runs, profile=table))
    assert found.coverage_fraction.item() == pytest.approx(0.025)
    assert codes(found.warnings) == ("low-coverage",)
    assert "2.5 %" in found.sentence.item()


def test_samples_of_the_cpu_never_wait(tmp_path: Path) -> None:
    def node(number: int, name: str, url: str, children: list[int]) -> dict[str, Any]:
        return {"id": number, "callFrame": {"functionName": name, "url": url, "lineNumber": 1}, "children": children}

    listed = [node(1, "(root)", "", [2, 3]), node(2, "(idle)", "", []), node(3, "handler", "/app.js", [4]),
              node(4, "parseRow", "/app/node_modules/pg/lib/result.js", [])]  # fmt: skip
    path = tmp_path / "a.cpuprofile"
    path.write_text(
        json.dumps({"nodes": listed, "samples": [2] * 50 + [4] * 30 + [3] * 20 + [2], "timeDeltas": [1000] * 101})
    )
    found = lab.summarize_time(lab.read(path))
    assert found[["database_fraction", "waiting_fraction", "cpu_fraction"]].values.tolist() == [[0.6, 0.0, 0.4]]
    assert codes(found.warnings) == ("on-cpu-only",)


def test_time_asleep_in_a_trace_of_py_spy_is_no_computing(tmp_path: Path) -> None:
    path = tmp_path / "spy.json"
    place = {"pid": 1, "tid": 1, "cat": "py-spy", "name": "page", "args": {"filename": "a.py", "line": 2}}
    path.write_text(json.dumps([{**place, "ph": "B", "ts": 0}, {**place, "ph": "E", "ts": 9000}]))
    found = lab.read(path)
    assert codes(found.warnings) == codes(lab.summarize_time(found).warnings) == ("asleep-counted",)


def test_system_time_of_scalene_is_waiting(tmp_path: Path) -> None:
    path = tmp_path / "scalene.json"
    lines = [{"lineno": 2, "n_cpu_percent_python": 25.0, "n_cpu_percent_c": 5.0, "n_sys_percent": 70.0}]
    stacks = [[["a.py page:2;"], {"cpu_samples": 1.0}]]
    path.write_text(json.dumps({"elapsed_time_sec": 2.0, "files": {"a.py": {"lines": lines}}, "stacks": stacks}))
    found = lab.summarize_time(lab.read(path))
    assert found[["waiting_fraction", "cpu_fraction"]].values.tolist() == [[pytest.approx(0.7), pytest.approx(0.3)]]
    assert codes(found.warnings) == ("asleep-counted-to-caller",)


def test_py_spy_s_busy_time_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "spy.json"
    frames = [{"name": "page", "file": "a.py"}]
    path.write_text(json.dumps({"$schema": SPEEDSCOPE, "exporter": "py-spy@0.4.0", "shared": {"frames": frames},
        "profiles": [{"type": "sampled", "name": "t", "unit": "seconds", "startValue": 0, "endValue": 1,
                      "samples": [[0]], "weights": [1]}]}))  # fmt: skip
    assert "busy-only" in codes(lab.summarize_time(lab.read(path)).attrs["warnings"])


def test_what_py_spy_did_not_sample_of_measured_requests_is_waiting() -> None:
    one = {
        "run": "r",
        "thread": "t",
        "node": 0,
        "depth": 0,
        "function": "page",
        "file": "app.py",
        "line": 1,
        "unit": "ms",
    }
    table = pd.DataFrame([{**one, "self": 100.0, "total": 100.0}]).assign(parent=pd.array([None], dtype="Int64"))
    start = pd.Timestamp("2026-11-24T01:45:00Z")
    requests = pd.DataFrame(
        {"run": "r", "endpoint": "GET /a", "start": start, "latency_ms": [400.0, 600.0], "ok": True}
    )
    runs = pd.DataFrame({"run": ["r"], "arm": ["now"], "start": [start], "duration_ms": [1000.0], "valid": [True]})
    for kept_up, shares, code in ((True, [0.9, 0.1], "off-cpu"), (False, [0.0, 1.0], "busy-only")):
        recorded = runs.assign(environment=[{"profiled": "py-spy", "profiling": {"kept_up": kept_up}}])
        found = lab.summarize_time(lab.Measurements.of(runs=recorded, profile=table, requests=requests))
        assert found[["waiting_fraction", "cpu_fraction"]].values.tolist() == [shares]
        assert codes(found.attrs["warnings"])[0] == code
