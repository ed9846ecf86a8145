"""What each format means, against values worked out by hand or by the tool that wrote the file."""

from __future__ import annotations

import cProfile
import gzip
import json
import pstats
from pathlib import Path

import numpy as np
import pytest

import perflab as lab
from perflab.notes import codes

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
SAMPLES = Path(__file__).parent.parent / "samples"


def weights(path: Path, **options: object) -> dict[str, tuple[float, float]]:
    flat = lab.flat_profile(lab.read(path, **options), per=())
    return {row.function: (row.self, row.total) for row in flat.itertuples()}


TOP = {"spin_half": 0.5, "spin_third": 0.3, "descend": 0.2}
RECORDED = [
    "pstats/workload.pstats", "pyinstrument/workload.json", "speedscope/py-spy.json", "speedscope/pyinstrument.json",
    "collapsed/py-spy.txt", "cpuprofile/node.cpuprofile", "pprof/datadog.pb.gz", "perf_script/two_events.txt",
    "pyinstrument_session/workload.pyisession",
    "trace_events/py-spy.json", "callgrind/workload.out", "scalene/stacks.json", "scalene/functions.json",
]  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_tools_agree_on_one_workload(name: str) -> None:
    """The same work by every tool: the same top functions, each within 10 points of its share."""
    unit = "samples of cpu-clock" if "perf_script" in name else None
    flat = lab.flat_profile(lab.read(SAMPLES / name), per=(), unit=unit)
    assert set(flat.function[:3]) == set(TOP)
    for row in flat[:3].itertuples():
        assert abs(row.self_fraction - TOP[row.function]) < 0.10, row.function
    # A function that calls itself does not take more than there is.
    assert (flat.total <= flat.self.sum() * 1.001).all()


def test_a_recursive_function_counts_once_for_each_stack(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("main;f;g;f 3\nmain;f;f 2\nmain 1\n")
    assert weights(path) == {"f": (5.0, 5.0), "g": (0.0, 3.0), "main": (1.0, 6.0)}


def test_statistics_of_cprofile_are_pstats_own(tmp_path: Path) -> None:
    def again(n: int) -> int:
        return 0 if n == 0 else sum([1]) + again(n - 1)

    profile = cProfile.Profile()
    profile.runcall(lambda: [again(50), json.loads(json.dumps({"a": [1, 2]})), Path("a/b").name])
    path = tmp_path / "a.pstats"
    profile.dump_stats(path)
    truth = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    calls = lab.read(path).calls
    whole = calls[calls.caller.isna()]
    assert len(whole) == len(truth)
    files, lines = whole.callee_file.fillna("~"), whole.callee_line.fillna(0)
    seen = dict(zip(zip(files, lines, whole.callee, strict=True), whole.itertuples(), strict=True))
    for key, (primitive, total_calls, own, total, callers) in truth.items():
        row = seen[key]
        assert (row.primitive_calls, row.calls) == (primitive, total_calls)
        assert (row.self_ms, row.total_ms) == pytest.approx((own * 1e3, total * 1e3))
        mine = calls[(calls.callee == key[2]) & calls.caller.notna()]
        assert len(mine) >= len(callers)
    recursive = next(r for r in whole.itertuples() if r.callee == "again")
    assert (recursive.calls, recursive.primitive_calls) == (51, 1)
    assert lab.profiles.callers_of(lab.read(path), "again").caller.to_list() == ["<lambda>"]


def test_functions_of_one_name_in_two_files_stay_apart() -> None:
    flat = lab.flat_profile(lab.read(SAMPLES / "speedscope" / "traps.json"), unit="bytes")
    assert flat[["file", "self"]].values.tolist() == [["b.py", 2048.0], ["a.py", 1024.0]]


def test_units_and_threads_are_kept_apart() -> None:
    profile = lab.read(SAMPLES / "speedscope" / "traps.json")
    assert profile.profile.unit.unique().tolist() == ["ms", "samples", "bytes"]
    assert set(lab.flat_profile(profile).unit) == {"ms"}
    with pytest.raises(ValueError, match="unit must be one of 'ms', 'samples', 'bytes'; got 'kg'"):
        lab.flat_profile(profile, unit="kg")
    with pytest.raises(ValueError, match="per must be one of 'run', 'thread'; got 'user'"):
        lab.flat_profile(profile, per=["user"])


def test_self_frames_of_pyinstrument_are_no_functions() -> None:
    profile = lab.read(SAMPLES / "pyinstrument" / "workload.json").profile
    assert not profile.function.str.startswith("[").any()
    assert profile.self.sum() == pytest.approx(profile.total.iloc[0], rel=1e-3)


def test_interruptions_of_v8_stand_on_the_stack_before() -> None:
    """Worked out by hand: idle is no stack, a negative delta makes no time, (root) is no frame."""
    found = weights(SAMPLES / "cpuprofile" / "interruptions.cpuprofile")
    assert found["main"] == pytest.approx((0.2, 0.48))
    assert found["(anonymous)"] == pytest.approx((0.18, 0.28))
    assert found["(program)"] == pytest.approx((0.2, 0.2))
    assert lab.read(SAMPLES / "cpuprofile" / "interruptions.cpuprofile").meta["idle_ms"] == pytest.approx(0.1)


PERF = """\
# captured on: Mon Nov 23 2026
web server  4210/4215 [001] 100.000000:     250000 cycles:u:
\tffffffff8175336a inner+0x28a ([kernel.kallsyms])
\t    55d01a2b3c4d outer (int, char)+0x10 (/usr/bin/web server (deleted))
\t    55d01a2b3c4e main+0x1 (/usr/bin/web)

web server  4210/4215 [001] 100.004000:     250000 cycles:u:
\t    55d01a2b3c4e main+0x2 (/usr/bin/web)

web server  4210/4215 [001] 100.010000:     500000 cycles:u:
\tffffffff8175336a inner+0x1 ([kernel.kallsyms])
\t    55d01a2b3c4e main+0x1 (/usr/bin/web)

web server  4210/4216 [000] 100.002000:          1 cache-misses:
\t    55d01a2b3c4e main+0x1 (/usr/bin/web)

broken

"""


def test_perf_script(tmp_path: Path) -> None:
    path = tmp_path / "perf.txt"
    path.write_text(PERF.replace("\n", "\r\n"))
    found = lab.read(path, weight="samples")
    assert found.profile.unit.unique().tolist() == ["samples of cycles:u", "samples of cache-misses"]
    assert found.profile.thread.unique().tolist() == [
        "web server pid: 4210 tid: 4215",
        "web server pid: 4210 tid: 4216",
    ]
    assert [(w.code, w.facts["skipped"], w.facts["first"]) for w in found.warnings if w.code == "skipped"] == [
        ("skipped", 1, 17)
    ]
    flat = lab.flat_profile(found).set_index("function")
    assert flat.loc["outer (int, char)", "file"] == "/usr/bin/web server (deleted)"
    assert flat.loc["inner", ["self", "total"]].to_list() == [2.0, 2.0]
    assert flat.loc["main", ["self", "total"]].to_list() == [1.0, 3.0]
    period = lab.flat_profile(lab.read(path, weight="period"), unit="cycles:u").set_index("function")
    assert period.loc["inner", "self"] == 750_000
    # Each sample from halfway to its neighbours: 2, 5 and 3 ms.
    time = lab.flat_profile(lab.read(path, weight="time"), unit="ms by cycles:u").set_index("function")
    assert time["self"].round(6).to_dict() == {"inner": 5.0, "main": 5.0, "outer (int, char)": 0.0}
    with pytest.raises(ValueError, match="weight must be one of 'samples', 'period', 'time'; got 'bytes'"):
        lab.read(path, weight="bytes")


def test_perf_script_without_call_graphs(tmp_path: Path) -> None:
    path = tmp_path / "perf.txt"
    path.write_text(
        "".join(f"app 7 {i}.5:  1 cycles:  ffffffff8175336a work+0x2{i} (/usr/bin/app)\n" for i in range(3))
    )
    assert weights(path) == {"work": (3.0, 3.0)}


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(*fields: tuple[int, int | bytes]) -> bytes:
    return b"".join(
        varint(n << 3) + varint(v) if isinstance(v, int) else varint(n << 3 | 2) + varint(len(v)) + v for n, v in fields
    )


def pprof(*, default: int = 0, value: int = 30_000_000) -> bytes:
    """Two types of value; a location into which `inlined` was inlined from `caller`; a recursive stack."""
    texts = [b"", b"samples", b"count", b"cpu", b"nanoseconds", b"main", b"caller", b"inlined", b"a.go", b"b.go"]
    functions = [message((1, i), (2, i + 4), (4, 8 if i < 3 else 9), (5, 10 * i)) for i in (1, 2, 3)]
    locations = [
        message((1, 1), (4, message((1, 1), (2, 12)))),
        message((1, 2), (4, message((1, 3), (2, 33))), (4, message((1, 2), (2, 22)))),
    ]
    samples = [
        message((1, varint(2) + varint(1)), (2, varint(3) + varint(value))),
        message((1, 2), (1, 2), (1, 1), (2, 1), (2, 10_000_000)),
    ]
    return message(
        (1, message((1, 1), (2, 2))), (1, message((1, 3), (2, 4))), *((2, s) for s in samples),
        *((4, s) for s in locations), *((5, s) for s in functions), *((6, t) for t in texts), (14, default),
    )  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pprof_inlined_lines_and_default_type(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "profile"
    path.write_bytes(pack(pprof()))  # type: ignore[operator]
    found = lab.read(path)
    assert found.profile.unit.unique().tolist() == ["ms"]  # cpu, the last type, in nanoseconds
    assert found.meta["sample_type"] == "cpu"
    assert weights(path) == {"inlined": (40.0, 40.0), "caller": (0.0, 40.0), "main": (0.0, 40.0)}
    assert found.profile.sort_values("depth").function.to_list()[:3] == ["main", "caller", "inlined"]
    assert found.profile.set_index("function").line.to_dict()["caller"] == 20
    assert weights(path, sample_type="samples")["inlined"] == (4.0, 4.0)
    assert weights(path, inlined=False) == {"caller": (40.0, 40.0), "main": (0.0, 40.0)}
    path.write_bytes(pack(pprof(default=1)))  # type: ignore[operator]
    assert lab.read(path).profile.unit.unique().tolist() == ["samples"]
    path.write_bytes(pack(pprof(value=-5)))  # type: ignore[operator]
    assert "negative-weights" in codes(lab.read(path).warnings)


def test_callgrind_recursion_and_relative_lines() -> None:
    flat = lab.flat_profile(lab.read(SAMPLES / "callgrind" / "workload.out")).set_index("function")
    assert flat.loc["descend", "total"] == flat.loc["descend", "self"] == 6_400_492
    assert flat.loc["descend", "calls"] == 24
    assert flat.loc["main", "total"] == pytest.approx(32_000_608, rel=1e-4)
    assert set(lab.profiles.callers_of(lab.read(SAMPLES / "callgrind" / "workload.out"), "spin_half").caller) == {
        "half"
    }


def test_lines_that_ran_are_kept_on_demand() -> None:
    path = SAMPLES / "collapsed" / "py-spy.txt"
    assert lab.read(path).profile.line.isna().all()
    lines = lab.flat_profile(lab.read(path, lines=True))
    assert (lines.function == "descend").sum() > 1
    assert lines.self.sum() == lab.flat_profile(lab.read(path)).self.sum()


@pytest.mark.parametrize("kind", ["collapsed", "pyinstrument", "evented", "cpuprofile"])
def test_a_tree_of_2000_levels(tmp_path: Path, kind: str) -> None:
    depth, path = 2000, tmp_path / "deep"
    names = [f"f{i}" for i in range(depth)]
    if kind == "collapsed":
        path.write_text(";".join(names) + " 7\n")
    elif kind == "pyinstrument":
        open_ = '{"function": "f%d", "file_path_short": "a.py", "file_path": "a.py", "line_no": 1, "time": 7.0, "children": ['
        path.write_text(
            '{"duration": 7, "root_frame": ' + "".join(open_ % i for i in range(depth)) + "]}" * depth + "}"
        )
    elif kind == "evented":
        events = [{"type": t, "frame": f, "at": 0 if t == "O" else 7} for t, fs in
                  (("O", range(depth)), ("C", reversed(range(depth)))) for f in fs]  # fmt: skip
        profile = {"type": "evented", "name": "deep", "unit": "none", "startValue": 0, "endValue": 7, "events": events}
        frames = {"frames": [{"name": n} for n in names]}
        path.write_text(json.dumps({"$schema": SCHEMA, "shared": frames, "profiles": [profile]}))
    else:
        nodes = [{"id": i, "callFrame": {"functionName": n}, "children": [i + 1]} for i, n in enumerate(names)]
        path.write_text(json.dumps({"nodes": nodes, "samples": [depth - 1] * 2, "timeDeltas": [0, 7]}))
    found = lab.read(path).profile
    assert len(found) == depth
    assert found.depth.max() == depth - 1
    assert np.allclose(found.total, found.total.iloc[-1])
    assert len(lab.flat_profile(found)) == depth
    assert len(lab.hot_paths(found)) == 1
