"""Profiles that are broken or made to do harm: a result with counted warnings, or a perflab error; bounded either way."""

from __future__ import annotations

import gzip
import json
import marshal
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import perflab as lab
from perflab import formats
from perflab.notes import codes

PROFILES = ("callgrind", "collapsed", "cpuprofile", "gecko", "memray", "perf_script", "pprof", "pstats", "pyinstrument",
            "pyinstrument_session", "scalene",
            "speedscope", "trace_events")  # fmt: skip
SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(events: list[object]) -> str:
    return json.dumps({"$schema": SCHEMA, "shared": {"frames": [{"name": "a"}, {"name": "b"}]}, "profiles": [
        {"type": "evented", "name": "p", "unit": "none", "startValue": 0, "endValue": 9, "events": events}]})  # fmt: skip


def test_nodes_in_a_circle_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.cpuprofile"
    nodes = [{"id": i, "callFrame": {"functionName": f"f{i}"}, "children": [(i + 1) % 3]} for i in range(3)]
    path.write_text(json.dumps({"nodes": nodes, "samples": [1, 2], "timeDeltas": [0, 5000]}))
    found = lab.read(path)
    assert found.profile.total.max() == pytest.approx(5.0)
    assert [(w.code, w.facts["count"]) for w in found.warnings] == [("circular-calls", 1)]


def test_negative_and_huge_weights_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    weights = [5, -1, 1e300, 10**400 // 10**80]
    path.write_text(json.dumps({"$schema": SCHEMA, "shared": {"frames": [{"name": "a"}]}, "profiles": [
        {"type": "sampled", "name": "p", "unit": "none", "startValue": 0, "endValue": 9, "samples": [[0]] * 4,
         "weights": weights}]}).replace("1e+300", "1e300"))  # fmt: skip
    try:
        found = lab.read(path)
    except lab.FormatError:
        return  # an integer that JSON's readers refuse
    assert found.profile.self.sum() == 4.0
    assert codes(found.warnings) == ("bad-weight",)


def test_a_name_of_two_megabytes_is_cut_and_stays_different(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"main;{'x' * 2_000_000}y 3\nmain;{'x' * 2_000_000}z 4\nmain 2\n")
    found = lab.read(path, format="collapsed")
    assert found.profile.function.str.len().max() < 5000
    assert len(found.profile) == 3
    assert [w.facts["count"] for w in found.warnings if w.code == "name-cut"] == [2]


@pytest.mark.parametrize(
    "data",
    [
        b"{\xa9\x03(\xff\xff\xff\x7f",  # a tuple of two thousand million
        b"{)\x03(\xff\xff\xff\x7fNNN",
        b"{)\x03z\xffab",
        b"{)\x03u\xff\xff\xff\x7fab",
        b"{)\x03l\xff\xff\xff\x7f",
        b"{)\x03r\xff\xff\xff\xff",
        marshal.dumps({("a", 1, "b"): (1, 1, 0.0, 0.0, {("c", 1, "d"): (1, 1, 0.0)})}),
        marshal.dumps({("a", 1, "b"): compile("1", "x", "eval")}),
        marshal.dumps({("a", 1, "b"): (1, 1, 0.0, 0.0, {})})[:-7],
    ],
)
def test_bombs_for_marshal_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pstats"
    path.write_bytes(data)
    with pytest.raises(lab.FormatError, match="expected cProfile's statistics, found"):
        lab.read(path, format="pstats")


def test_a_gzip_bomb_is_refused_early(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(b'{"$schema": "' + SCHEMA.encode() + b'"' + b" " * 70_000_000, compresslevel=1))
    with pytest.raises(lab.FormatError, match=r"expected at most .* bytes of profile, found more; max_bytes= allows"):
        lab.read(path)


def test_names_are_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    evil = '</svg><script>alert("1")</script>'
    path.write_text(f"main;{evil} 3\nmain;\x00\x1b[31mred\u202e 4\n")
    profile = lab.read(path, format="collapsed")
    flames = lab.draw_flamegraph(profile)
    pages = [flames.save(tmp_path / name).read_text() for name in ("a.html", "a.svg")]
    for text in (*pages, flames.svg):
        assert "alert(" not in text.replace("&quot;", '"').split("<script>")[0] or "&lt;script" in text
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    import xml.etree.ElementTree as ElementTree

    ElementTree.fromstring(pages[1])


def read_anything(path: Path, name: str) -> None:
    """Either it reads, and its table holds together, or it is a perflab error; nothing else."""
    try:
        found = formats.named(name).read(path)
    except lab.FormatError:
        return
    assert isinstance(found, formats.Tables)
    assert found.accounting is not None
    noted = codes([*found.warnings, *found.accounting.notes(path.name)])
    assert not {"unbalanced", "markers-differ"} & set(noted)
    if "profile" in found:
        table = found["profile"]
        if "negative-weights" not in noted:
            assert (table.self >= 0).all()
            assert (table.total >= table.self * (1 - 1e-9) - 1e-9).all()
        assert table.depth.iloc[0] == 0
        assert len(lab.flat_profile(table.assign(run="r"))) > 0


QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([
        "nodes", "id", "callFrame", "children", "functionName", "samples", "timeDeltas", "profiles", "shared", "frames", "name",
        "type", "events", "weights", "root_frame", "time", "function", "stacks", "files", "elapsed_time_sec", "ph", "ts", "dur",
        "tid", "top_allocations_by_size", "location", "size",
        "threads", "data", "schema", "stack", "frame_records", "stackFrames"]), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@given(value=JSON)
@settings(QUIET, max_examples=100)
def test_any_json_is_read_or_refused(tmp_path: Path, value: object) -> None:
    """One document for all formats: to make it takes longer than to read it."""
    path = tmp_path / "any"
    path.write_text(json.dumps(value))
    for name in ("cpuprofile", "gecko", "memray", "pyinstrument_session", "pyinstrument", "scalene", "speedscope",
                 "trace_events"):  # fmt: skip
        read_anything(path, name)


@given(
    events=st.lists(
        st.fixed_dictionaries({"type": st.sampled_from("OC"), "frame": st.integers(-1, 2), "at": st.integers(-2, 9)})
    )
)
@QUIET
def test_any_events_balance(tmp_path: Path, events: list[object]) -> None:
    path = tmp_path / "any"
    path.write_text(speedscope(events))
    read_anything(path, "speedscope")


@given(events=st.lists(st.fixed_dictionaries({
    "ph": st.sampled_from("BEXiM"), "tid": st.integers(0, 1), "pid": st.just(1), "ts": st.integers(-1, 30),
    "dur": st.integers(-1, 20), "name": st.sampled_from("abc")})))  # fmt: skip
@QUIET
def test_any_trace_balances(tmp_path: Path, events: list[object]) -> None:
    path = tmp_path / "any"
    path.write_text(json.dumps(events))
    read_anything(path, "trace_events")


@given(nodes=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8),
       samples=st.lists(st.integers(-1, 7), max_size=12), deltas=st.lists(st.integers(-50, 100), max_size=12))  # fmt: skip
@QUIET
def test_any_graph_of_nodes_ends(
    tmp_path: Path, nodes: list[tuple[int, int]], samples: list[int], deltas: list[int]
) -> None:
    names = ("(root)", "(idle)", "(program)", "(garbage collector)", "a", "b", "c")
    path = tmp_path / "any"
    listed = [{"id": i, "callFrame": {"functionName": names[i]}, "children": [child]} for i, child in nodes]
    path.write_text(json.dumps({"nodes": listed, "samples": samples, "timeDeltas": deltas}))
    read_anything(path, "cpuprofile")


@given(lines=st.lists(st.text(alphabet="ab; 5.-#\t", max_size=12)))
@QUIET
def test_any_lines_are_stacks_or_counted(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "any"
    path.write_text("\n".join(lines))
    for name in ("collapsed", "callgrind", "perf_script"):
        read_anything(path, name)


@given(data=st.binary(max_size=60), name=st.sampled_from(PROFILES))
@QUIET
def test_any_bytes_are_refused_or_read(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / "any"
    path.write_bytes(data)
    read_anything(path, name)
    formats.claimants(data)


@given(
    values=st.lists(
        st.tuples(st.integers(-(2**40), 2**40), st.integers(-5, 2**31 - 1), st.floats(), st.floats(0, 10)), max_size=6
    )
)
@QUIET
def test_any_statistics_are_read_or_refused(tmp_path: Path, values: list[tuple[int, int, float, float]]) -> None:
    path = tmp_path / "any"
    keys = [(f"f{i}.py", i, "f") for i in range(len(values))]
    stats = {key: (*value, {keys[0]: value}) for key, value in zip(keys, values, strict=True)}
    path.write_bytes(marshal.dumps(stats))
    try:
        calls = formats.named("pstats").read(path)["calls"]
    except lab.FormatError:
        return
    assert (calls.self_ms.dropna() >= 0).all()


def test_struct_is_as_marshal_writes_it() -> None:
    assert struct.calcsize("<BiBiBdBd") == 28
