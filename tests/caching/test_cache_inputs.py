"""Inputs from practice that became a wrong number in silence: clocks, missing durations, 304s, users, texts for outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.caching import cache_headers
from perflab.caching.access_sources import accesses_of
from perflab.loadtest.redis_client import RedisClient
from perflab.notes import codes

T0 = pd.Timestamp("2026-01-01", tz="UTC")
TRACE = pd.DataFrame(
    {"key": list("abab"), "start": T0 + pd.to_timedelta([0, 1, 2, 3], unit="s"), "duration_ms": 40.0, "size_bytes": 100}
)


def hits(trace: pd.DataFrame, **given: Any) -> float:
    return float(lab.what_if_cache(trace, **({"ttl": "5s", "hit_ms": 1.0} | given)).table["hit_fraction"].iat[0])


def log_of(folder: Path, lines: list[str]) -> Any:
    (folder / "access.log").write_text("\n".join(lines) + "\n")
    return lab.caching.access_log(folder / "access.log")


def line(second: int, page: int, rest: str = '200 512 "-" "curl" 0.125') -> str:
    return f'10.0.0.7 - - [29/Nov/2025:10:00:{second:02d} +0000] "GET /a/{page} HTTP/1.1" {rest}'


def test_a_clock_of_whole_seconds_does_not_make_all_of_a_second_miss(tmp_path: Path) -> None:
    log = log_of(tmp_path, [line(second, 1) for second in range(20) for _ in range(50)])
    assert "whole-seconds" in " ".join(codes(log.warnings))
    assert hits(log, ttl="10s") == pytest.approx(1 - 2 * 7 / 1000, abs=0.003)


def test_without_durations_there_are_no_latencies(tmp_path: Path) -> None:
    log = log_of(tmp_path, [line(second, 1, '200 512 "-" "curl"') for second in range(9)])
    found = lab.what_if_cache(log, ttl="10s", hit_ms=1.0)
    assert "no-durations-recorded" in codes(found.warnings)
    assert found.table[["mean_ms", "mean_after_ms", "p95_ms", "load_saved_fraction"]].isna().all(axis=None)
    assert not {"mean_ms", "p95_verdict"} & set(found.show().table.columns)
    assert "nan" not in lab.caching.write_strategy(found).markdown + found.sentence


def test_a_missing_duration_is_no_fast_request() -> None:
    requests = TRACE.assign(endpoint="GET /a", url=TRACE["key"], duration_ms=[40.0, np.nan, 40.0, np.nan])
    found = lab.what_if_cache(requests.rename(columns={"duration_ms": "latency_ms"}), ttl="5s", hit_ms=1.0)
    assert found.table["mean_ms"].iat[0] == 40.0


@pytest.mark.parametrize("empty", ["304 0", "304 -"])
def test_a_304_leaves_the_whole_response_in_the_cache(empty: str, tmp_path: Path) -> None:
    log = log_of(
        tmp_path,
        [line(s, p, f'{"200 5120" if s == 0 else empty} "-" "curl" 0.001') for s in range(9) for p in range(5)],
    )
    table = lab.what_if_cache(log, ttl="1s", memory="1MB", overhead_bytes=0).table
    assert table["held_bytes"].iat[0] == 5 * 5120


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ([0, 1, 2, 3], 0.5),
        (pd.to_timedelta([0, 1, 2, 3], unit="s"), 0.5),
        ([f"2026-01-01T00:00:0{n}Z" for n in range(4)], 0.5),
        (["2026-01-01T01:00:00+01:00", *(f"2026-01-01T00:00:0{n}Z" for n in (1, 2, 3))], 0.5),
        ([None, *(f"2026-01-01T00:00:0{n}Z" for n in (1, 2, 3))], 1 / 3),
        ([pd.NaT, *TRACE["start"][1:]], 1 / 3),
        ([None] * 4, 0.5),
        ([1764406801000 + n * 10_000 for n in range(4)], "seconds"),
        (["2026-01-01T00:00:00Z", "2026-01-01T00:00:01", None, None], "zone"),
        (["yesterday"] * 4, "ISO 8601"),
    ],
)
def test_starts(start: Any, expected: float | str) -> None:
    trace = TRACE.assign(start=start)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            hits(trace)
    else:
        assert hits(trace) == pytest.approx(expected)
        assert accesses_of(trace).unknown == (1 if expected == 1 / 3 else 0)


@pytest.mark.parametrize(
    "durations",
    [[40.0] * 4, ["40"] * 4, pd.to_timedelta([40] * 4, unit="ms"), pd.array([40, None, 40, 40], dtype="Int64")],
)
def test_durations(durations: Any) -> None:
    assert lab.what_if_cache(TRACE.assign(duration_ms=durations), ttl="5s").table["mean_ms"].iat[0] == 40.0


@pytest.mark.parametrize("wrong", ["40ms", -5.0, np.inf])
def test_what_is_no_duration(wrong: object) -> None:
    with pytest.raises(ValueError, match="duration_ms"):
        lab.what_if_cache(TRACE.assign(duration_ms=wrong), ttl="5s")


@pytest.mark.parametrize(
    ("columns", "reads"),
    [
        ({"method": ["get", "post"] * 2}, 2),
        ({"method": ["GET", "POST"] * 2}, 2),
        ({"endpoint": ["get /a", "post /a"] * 2}, 2),
        ({"ok": ["true", "false"] * 2}, 2),
        ({"ok": pd.array([True, None, True, True], dtype="boolean")}, 3),
        ({"ok": [1, 0, 1, 1]}, 3),
        ({"status": [200, 503, 304, 499]}, 2),
        ({"status": ["200", "-", None, "0"]}, 3),
    ],
)
def test_what_counts_as_a_read(columns: dict[str, Any], reads: int) -> None:
    requests = TRACE.assign(**({"endpoint": "GET /a", "url": "/a", "latency_ms": 9.0} | columns))
    assert len(accesses_of(requests, "url")) == reads


@pytest.mark.parametrize("start", [["2026-01-01T00:00:01.5Z"], [T0 + pd.Timedelta("1.5s")]])
def test_writes_have_the_clock_of_the_accesses(start: Any) -> None:
    assert hits(TRACE, writes=pd.DataFrame({"key": ["a"], "start": start})) == 0.25


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"writes": pd.DataFrame({"key": ["a"], "start": [pd.Timestamp("2026-01-01")]})}, "without a zone"),
        ({"writes": pd.DataFrame({"key": ["a"]})}, "writes="),
        ({"ttl": []}, "ttl"),
        ({"ttl": None}, "ttl"),
        ({"keys": "statement"}, "column sql"),
        ({"keys": "url"}, "column url"),
        ({"keys": "colour"}, "one of 'key', 'start'"),
        ({"keys": lambda table: table["key"].iloc[:2]}, "each of 4 rows"),
        ({"keys": lambda table: table["key"].set_axis(list("wxyz"))}, "index"),
        ({"memory": []}, "memory"),
        ({"candidates": []}, "candidates"),
        ({"candidates": pd.DataFrame({"x": [1]})}, "statement"),
        ({"hit_ms": "2ms"}, "hit_ms"),
        ({"miss_ms": -1.0}, "miss_ms"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": 5}, "tolerance"),
        ({"overhead_bytes": -500}, "overhead_bytes"),
        ({"entry_bytes": -500}, "entry_bytes"),
    ],
)
def test_refusals_name_the_argument(given: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        hits(TRACE, **given)


def test_one_unit_of_the_ttl_everywhere() -> None:
    found = lab.what_if_cache(TRACE, ttl=[5, "10s"], memory=["1MB", "2MB"])
    assert found.find(ttl=5, memory="2MB")["ttl_ms"] == found.find(ttl="5s")["ttl_ms"] == 5000
    assert lab.caching.write_strategy(found, ttl="10s").cache_control.startswith("public, max-age=10,")
    with pytest.raises(ValueError, match="5 s"):
        found.find(ttl="7s")


def test_users_are_those_of_the_rows_that_were_replayed() -> None:
    count = 120
    pages = pd.DataFrame(
        {
            "endpoint": "GET /a/[id]", "url": [f"/a/{n % 4}?c=EUR" for n in range(count)],
            "user": [f"u{n % 3}" for n in range(count)],
            "start": T0 + pd.to_timedelta(np.arange(count) * 0.05, unit="s"), "latency_ms": 10.0,
        }
    )  # fmt: skip
    more = pd.concat([pages.assign(endpoint="POST /b", url="/b", user="x"), pages.iloc[::-1]], ignore_index=True)
    alone, among = (
        lab.caching.write_strategy(lab.what_if_cache(each, ttl="3s"), users=each["user"]) for each in (pages, more)
    )
    pd.testing.assert_frame_equal(alone.layers, among.layers)
    assert 0 < alone.layers.set_index("layer")["hit_fraction"]["browser"] < 1
    with pytest.raises(ValueError, match="users"):
        lab.caching.write_strategy(lab.what_if_cache(pages, ttl="3s"), users=[1, 2])
    with pytest.raises(ValueError, match="workers"):
        lab.caching.write_strategy(lab.what_if_cache(pages, ttl="3s"), workers=0)
    # The code's key is that of the prediction: with the query, and by user no CDN may keep it.
    assert "(redis, id, query, make)" in alone.code
    own = lab.caching.write_strategy(lab.what_if_cache(pages, keys=["user", "url"], ttl="3s"))
    assert "(redis, by_user, by_url, make)" in own.code and own.cache_control.startswith("private")


def test_statements_that_differ_in_an_operator_have_keys_of_their_own() -> None:
    rows = [f"SELECT `a`\nFROM `t` WHERE p {sign} ?" for sign in "<>" for _ in range(5)]
    queries = pd.DataFrame(
        {
            "sql": rows,
            "parameters": [[1]] * 10,
            "duration_ms": 5.0,
            "start": T0 + pd.to_timedelta(np.arange(10), unit="s"),
        }
    )
    found = lab.what_if_cache(queries, dialect="mysql")
    strategies = [lab.caching.write_strategy(found, name) for name in found.accesses.candidates]
    assert len({s.code for s in strategies}) == 2
    assert "- What: `` select `a` from `t` where p < ? ``, for" in strategies[0].markdown


@pytest.mark.parametrize(
    "cached",
    [["HIT", "MISS", "MISS"], ["true", "false", "false"], ["1", "0", "0"], [1.0, 0.0, 0.0], [True, False, False]],
)
def test_outcomes_as_files_have_them(cached: list[object]) -> None:
    row = lab.caching.cache_hits(pd.DataFrame({"cached": cached})).iloc[-1]
    assert (row["hits"], row["misses"]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("X-Cache", "HIT from proxy-dynamic-01.example", cache_headers.HIT),
        ("X-Cache", "HIT from cache.error.example:3128", cache_headers.HIT),
        ("X-Cache", "MISS from hit.example, MISS from b", cache_headers.MISS),
        ("X-Cache", "UNCACHEABLE", cache_headers.MISS),
        ("X-Cache", "cached", cache_headers.HIT),
        ("X-Cache", "Redirect from cloudfront", cache_headers.UNKNOWN),
        ("Cache-Status", 'A; fwd=miss; detail="no; hit"', cache_headers.MISS),
        ("Cache-Status", '"A, B"; hit; detail="x, y"', cache_headers.HIT),
    ],
)
def test_what_headers_say(name: str, value: str, expected: int) -> None:
    assert cache_headers.of_value(name, value) == expected


def test_a_hit_of_any_cache_is_one() -> None:
    assert cache_headers.outcome({"X-Cache": "MISS", "CF-Cache-Status": "HIT"}.get) == cache_headers.HIT
    assert (
        cache_headers.outcome({"X-Cache": "Redirect from cloudfront", "CF-Cache-Status": "MISS"}.get)
        == cache_headers.MISS
    )


def test_a_sample_with_hardly_a_key_is_no_curve() -> None:
    keys = np.tile(np.arange(20_000), 2)
    with pytest.raises(ValueError, match="sample"):
        lab.miss_ratio_curve(keys, sample=1e-5)
    with pytest.raises(ValueError, match="overhead_bytes"):
        lab.miss_ratio_curve(keys, overhead_bytes=-1)


def test_a_curve_and_a_check_refuse_what_is_no_share_and_no_size() -> None:
    curve = lab.miss_ratio_curve(list("aabb"))
    assert curve.miss_ratio("2") == curve.miss_ratio(2) == 0.5 and curve.size_for("50%") == curve.size_for(0.5)
    for call in (lambda: curve.miss_ratio("64MB"), lambda: curve.miss_ratio(-1), lambda: curve.size_for(90)):
        with pytest.raises(ValueError, match=r"size|hit_ratio"):
            call()
    counters = ({"keyspace_hits": 0, "keyspace_misses": 0}, {"keyspace_hits": 45, "keyspace_misses": 55})
    assert (
        lab.caching.check_cache("45%", counters).verdict
        == lab.caching.check_cache(np.float32(0.45), counters).verdict
        == "holds"
    )
    with pytest.raises(ValueError, match="forecast"):
        lab.caching.check_cache(45, counters)


@pytest.mark.parametrize(
    "url", ["redis://:pa55/k3y@h:6379", "redis://:pa55#k3y@h", "redis://u:pa55?@h:1", "redis://:12/k3y@h"]
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="url") as caught:
        RedisClient(url)
    assert "pa55" not in str(caught.value) and "k3y" not in str(caught.value)


def test_a_function_of_keys_may_sort_its_rows() -> None:
    assert hits(TRACE, keys=lambda table: table["key"].sort_values()) == hits(TRACE)
    assert hits(TRACE.assign(key=list("abba")), keys=lambda table: table["key"].sort_values(), ttl="1.5s") == 0.25


@pytest.mark.parametrize(("ttl", "noted"), [("2s", False), ("1400ms", True), ("0.4s", True)])
def test_a_strategy_says_where_it_rounds_the_ttl(ttl: str, noted: bool) -> None:
    strategy = lab.caching.write_strategy(lab.what_if_cache(TRACE, ttl=ttl))
    assert ("ttl-of-whole-seconds" in codes(strategy.warnings)) is noted
    assert ("whole seconds" in strategy.markdown) is noted


def test_a_strategy_says_which_layers_serve_what_a_write_changed(tmp_path: Path) -> None:
    log = log_of(tmp_path, [line(second, 1).replace("GET", "PUT" if second == 4 else "GET") for second in range(9)])
    strategy = lab.caching.write_strategy(lab.what_if_cache(log, ttl="1m", hit_ms=1.0))
    rows = {
        cells[1].strip(): cells[3].strip()
        for text in strategy.markdown.splitlines()
        if len(cells := text.split("|")) == 6
    }
    assert rows["Redis"] == "0 %" and rows["CDN"] == "57.1 %"
