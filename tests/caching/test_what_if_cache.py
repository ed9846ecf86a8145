"""Candidates from statements, requests, functions and traces; latencies after, verdicts, notes, and the strategy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.caching.access_sources import accesses_of
from perflab.errors import MissingTableError
from perflab.notes import codes

T0 = pd.Timestamp("2026-01-01", tz="UTC")
READ, LIST, WRITE = (
    "SELECT name FROM product WHERE id = ?",
    "SELECT name FROM product ORDER BY price",
    "UPDATE product SET price = ? WHERE id = ?",
)


def at(seconds: object) -> object:
    return T0 + pd.to_timedelta(seconds, unit="s")


def queries(count: int = 400, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    keys = np.minimum(chance.zipf(1.5, count), 50)
    return pd.DataFrame(
        {
            "run": "r", "sql": READ, "parameters": [[int(k)] for k in keys], "duration_ms": 5.0,
            "start": at(np.arange(count) * 0.02), "unit": [f"u{i}" for i in range(count)],
        }
    )  # fmt: skip


def requests(count: int = 600, seed: int = 0, latency_ms: float = 40.0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    urls = [f"/products/{min(int(k), 60)}" for k in chance.zipf(1.4, count)]
    return pd.DataFrame(
        {
            "run": "r", "endpoint": "GET /products/[id]", "url": urls,
            "start": at(np.arange(count) * 0.02), "ok": True,
            "latency_ms": latency_ms + chance.uniform(0, 10, count), "size_bytes": 900,
            "request": [f"u{i}" for i in range(count)],
        }
    )  # fmt: skip


def test_statements_are_keyed_by_their_values() -> None:
    found = lab.what_if_cache(queries(), ttl=["1s", "1h"], hit_ms=0.5)
    assert found.table["candidate"].unique().tolist() == ["select name from product where id = ?"]
    forever = found.find(ttl="1h")
    assert forever["hit_fraction"] == pytest.approx(1 - forever["keys"] / forever["accesses"])
    assert forever["load_saved_fraction"] == pytest.approx(forever["hit_fraction"])
    # A miss pays for the look-up, too.
    share = forever["hit_fraction"]
    assert forever["mean_after_ms"] == pytest.approx(0.5 * share + 5.5 * (1 - share))
    assert found.find(ttl="1s")["hit_fraction"] < share
    assert forever["age_p95_ms"] > found.find(ttl="1s")["age_p95_ms"]


def test_candidates_are_those_that_many_units_ask_for() -> None:
    both = pd.concat([queries(), queries(100).assign(sql=LIST, parameters=[[]] * 100)])
    found = lab.find_duplicates(both, across_units=True)
    table = lab.what_if_cache(both, candidates=found, ttl="1h").table
    assert set(table["candidate"]) == set(found["statement"])


def test_writes_by_key_and_by_table_are_found_in_the_statements() -> None:
    reads = queries()
    listed = reads.iloc[::10].assign(sql=LIST, parameters=[[]] * 40, unit="l")
    written = reads.iloc[5:200:20].assign(sql=WRITE, parameters=[[1, 49]] * 10, unit="w")
    found = lab.what_if_cache(pd.concat([reads, listed, written]), ttl="1h", hit_ms=1.0).table.set_index("candidate")
    one = found.loc["select name from product where id = ?"]
    # Product 49 is hardly asked for: dropping it costs little, dropping all of the table much.
    assert one["hit_high_fraction"] - one["hit_fraction"] < 0.02 < one["hit_fraction"] - one["hit_low_fraction"]
    whole = found.loc["select name from product order by price"]
    assert whole["hit_fraction"] == whole["hit_low_fraction"] < whole["hit_high_fraction"]
    assert whole["stale_high_fraction"] > 0.3


@pytest.mark.parametrize(
    ("written", "dropped"),
    [
        ("PUT /products/7", {"/products/7", "/products/7/reviews", "/products"}),
        ("POST /products", {"/products", "/products/7", "/products/7/reviews", "/products/8"}),
        ("POST /api/v2/orders", set()),
        ("DELETE /products/7/reviews/3", {"/products/7/reviews", "/products/7", "/products"}),
    ],
)
def test_a_write_to_an_address_drops_it_what_is_below_and_its_parents(written: str, dropped: set[str]) -> None:
    paths = ["/products", "/products/7", "/products/7/reviews", "/products/8", "/customers/7"]
    urls = [*paths, written.split(" ")[1], *paths]
    frame = pd.DataFrame(
        {
            "run": "r", "endpoint": [*(f"GET {p}" for p in paths), written, *(f"GET {p}" for p in paths)], "url": urls,
            "start": at(np.arange(11)), "latency_ms": 1.0, "ok": True,
        }
    )  # fmt: skip
    found = lab.what_if_cache(frame, ttl="1h", hit_ms=0.1).table.set_index("candidate")
    missed = {path for path in paths if not found["hit_fraction"].get(f"GET {path}", 0)}
    assert missed == dropped
    by_table = {p for p in paths if not found["hit_low_fraction"].get(f"GET {p}", 0)}
    assert by_table == {p for p in paths if p.split("/")[1] == written.removeprefix("POST /api/v2").split("/")[1]}


def test_the_tail_stays_where_a_third_are_hits_and_falls_where_all_are() -> None:
    frame = requests()
    few = frame.assign(url=[u if i % 3 == 0 else f"/products/x{i}" for i, u in enumerate(frame["url"])])
    stays, falls = (lab.what_if_cache(f, ttl="1h", hit_ms=1.0).find() for f in (few, frame.assign(url="/products/1")))
    assert (stays["p95_verdict"], stays["mean_verdict"]) == ("stays", "falls")
    assert falls["p95_verdict"] == falls["p50_verdict"] == "falls"
    assert -0.05 <= stays["p95_low_fraction"] <= stays["p95_high_fraction"] <= 0.05
    short = lab.what_if_cache(frame.head(30), ttl="1h", hit_ms=1.0)
    assert short.find()["p95_verdict"] == "inconclusive"
    assert "few-requests-for-tail" in codes(short.warnings)


def test_statements_of_recorded_requests_change_the_latency_of_requests() -> None:
    made = lab.Measurements.of(requests=requests(400), queries=queries(400).assign(duration_ms=30.0))
    row = lab.what_if_cache(made, keys="statement", ttl="1h", hit_ms=1.0).find()
    saved = row["hit_fraction"] * 29.0 - (1 - row["hit_fraction"]) * 1.0
    assert row["mean_ms"] > 40
    assert row["mean_ms"] - row["mean_after_ms"] == pytest.approx(saved, rel=1e-6)
    assert lab.what_if_cache(made, keys="url", ttl="1h").find()["candidate"] == "GET /products/[id]"


def test_measured_hit_latencies_keep_their_distribution() -> None:
    frame = requests(2000).assign(url="/products/1")
    row = lab.what_if_cache(frame, ttl="1h", hit_ms=np.linspace(1, 3, 500).tolist()).find()
    assert row["p50_after_ms"] == pytest.approx(2.0, abs=0.05)
    assert row["p95_after_ms"] == pytest.approx(2.9, abs=0.05)


def test_memory_is_of_values_and_keys_and_evicts() -> None:
    frame = requests()
    sizes = lab.what_if_cache(frame, ttl="1h", memory=["5kB", "1MB"], hit_ms=1.0)
    small, large = (sizes.find(memory=m)["hit_fraction"] for m in (5e3, 1e6))
    assert small < large
    assert sizes.find(memory=5e3)["held_bytes"] <= 5e3
    assert sizes.find(memory=1e6)["held_bytes"] == sizes.find()["keys"] * (900 + 190)
    assert {"small-memory", "overhead-assumed"} <= set(codes(sizes.warnings))
    with pytest.raises(ValueError, match="entry_bytes"):
        lab.what_if_cache(frame.drop(columns="size_bytes"), memory="1MB")


def test_spans_of_functions_and_own_keys() -> None:
    spans = pd.DataFrame(
        {
            "run": "r", "trace": "t", "span": [str(i) for i in range(8)], "parent": None, "service": "shop", "name": "tax_of",
            "kind": "internal", "start": at(np.arange(8)), "duration_ms": 20.0,
            "attributes": [{"country": c, "thread.id": i} for i, c in enumerate("DEDEDEDE")],
        }
    )  # fmt: skip
    assert lab.what_if_cache(spans, keys="function", ttl="1h").find()["hit_fraction"] == 0.75
    frame = requests()
    assert (
        lab.what_if_cache(frame, keys=["status"] if "status" in frame else "size_bytes", ttl="1h").find()["keys"] == 1
    )
    assert lab.what_if_cache(frame, keys=lambda f: f["url"].str[-1], ttl="1h").find()["keys"] <= 10
    with pytest.raises(ValueError, match="keys must be"):
        lab.what_if_cache(frame, keys="colour")


def test_addresses_come_from_the_request_recorder() -> None:
    frame = requests(60).drop(columns="url")
    with pytest.raises(MissingTableError, match="record_requests=True"):
        lab.what_if_cache(lab.Measurements.of(requests=frame), keys="url")
    spans = pd.DataFrame(
        {
            "run": "r", "trace": frame["request"], "span": frame["request"], "parent": None, "service": "shop",
            "name": "GET /products/<int:id>", "kind": "server", "start": frame["start"], "duration_ms": 30.0,
            "request": frame["request"], "route": "GET /products/<int:id>",
            "attributes": [{"perflab.values": [i % 4]} for i in range(60)],
        }
    )  # fmt: skip
    made = lab.Measurements.of(requests=frame, spans=spans)
    assert lab.what_if_cache(made, keys="url", ttl="1h").find()["keys"] == 4


def test_failed_requests_and_unknown_values_are_no_accesses() -> None:
    frame = requests(100)
    assert len(accesses_of(frame.assign(ok=[i % 2 == 0 for i in range(100)]))) == 50
    hidden = queries(50).assign(parameters=[[None]] * 50)
    both = pd.concat([queries(50), hidden])
    found = lab.what_if_cache(both, ttl="1h")
    (note,) = [n for n in found.warnings if n.code == "unknown-keys"]
    assert note.facts["accesses"] == 50
    with pytest.raises(ValueError, match="x must hold reads"):
        lab.what_if_cache(hidden)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ttl": "0s"}, "ttl must"),
        ({"memory": 0}, "memory must"),
        ({"invalidation": "sometimes"}, "invalidation must"),
        ({"candidates": "GET /nothing"}, "candidates must"),
    ],
)
def test_arguments_are_checked(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        lab.what_if_cache(requests(20), **options)
    with pytest.raises(ValueError, match="x must be"):
        lab.what_if_cache("access.log")


def test_the_strategy_is_written_out_and_its_code_works() -> None:
    found = lab.what_if_cache(requests(), ttl="30s", hit_ms=1.0)
    strategy = lab.caching.write_strategy(found, workers=4, users=np.arange(600) % 50)
    ratio = strategy.layers.set_index("layer")["hit_fraction"]
    assert ratio["browser"] < ratio["process"] < ratio["Redis"] == ratio["CDN"]
    assert strategy.cache_control == "public, max-age=30, stale-while-revalidate=3"
    assert "CDN" not in set(lab.caching.write_strategy(found, private=True).layers["layer"])
    assert strategy.markdown.startswith("## Caching Strategy\n")
    for line in (
        "`GET /products/[id]`, for 30 s",
        "Cache-Control: public",
        "| Redis |",
        "def cached_products(redis, id, make)",
    ):
        assert line in strategy.markdown
    space: dict[str, object] = {}
    exec(strategy.code, space)
    store = _Store()
    get, changed = space["cached_products"], space["cached_products_changed"]
    made = []
    assert [get(store, 7, lambda: made.append(1) or {"id": 7}) for _ in range(3)] == [{"id": 7}] * 3  # type: ignore[operator]
    assert len(made) == 1 and [key.split(":")[::2] for key in store.held] == [["products", "7"]]
    changed(store, 7)  # type: ignore[operator]
    assert not store.held


class _Store:
    """As much of a Redis as the written code uses."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.held.get(key)

    def set(self, key: str, value: str, *, ex: int, nx: bool = False) -> bool | None:
        if nx and key in self.held:
            return None
        self.held[key] = value
        return True

    def delete(self, key: str) -> None:
        self.held.pop(key, None)


@pytest.mark.parametrize(
    ("x", "options", "hit_fraction"),
    [
        ([("a", 1), ("b", 2), ("a", 1)], {}, 1 / 3),
        ([b"a", b"a"], {}, 1 / 2),
        (np.array([1, 2, 1, 2]), {}, 1 / 2),
        (pd.DataFrame({"key": list("abab"), "start": [f"2026-01-01T00:00:0{i}Z" for i in range(4)]}), {}, 1 / 2),
        (pd.DataFrame({"key": list("abab"), "start": pd.date_range("2026-01-01", periods=4, freq="s")}), {}, 1 / 2),
        (pd.DataFrame({"url": ["/a", "/a"], "start": at([0, 1])}), {}, 1 / 2),
        (pd.DataFrame({"key": list("aab"), "start": at([0, 1, 2]), "duration_ms": [np.nan, 1, 2]}), {}, 1 / 3),
        (pd.DataFrame({"user": [1, 1, 2], "start": at([0, 1, 2])}), {"keys": "user"}, 1 / 3),
        (pd.DataFrame({"sql": ["select 1 from a where id = 1"] * 4, "duration_ms": 1.0}), {}, 3 / 4),
        (lab.Measurements.of(queries=queries(4).assign(user="x")), {"keys": "user"}, 3 / 4),
    ],
    ids=[
        "tuples",
        "bytes",
        "array",
        "texts",
        "naive",
        "addresses",
        "some durations",
        "a column",
        "no times",
        "a column of queries",
    ],
)
def test_what_holds_keys(x: object, options: dict[str, object], hit_fraction: float) -> None:
    row = lab.what_if_cache(x, ttl="1h", **options).find()
    assert row["hit_fraction"] == pytest.approx(hit_fraction)
    assert lab.miss_ratio_curve(x, "keys", **options).miss_ratio(100) == pytest.approx(1 - hit_fraction)


@pytest.mark.parametrize(
    ("x", "options", "match"),
    [
        (pd.DataFrame({"sql": [], "duration_ms": []}), {}, "no rows"),
        ({"a": 1}, {}, "x must be"),
        (iter("ab"), {}, "x must be"),
        ([], {}, "x must hold"),
        (["a", "a"], {"hit_ms": -1}, "hit_ms must"),
        (["a", "a"], {"hit_ms": []}, "hit_ms must"),
        (pd.DataFrame({"key": ["a", "a"], "size_bytes": [-1, 5]}), {}, "size_bytes must"),
        (pd.DataFrame({"colour": ["a", "a"]}), {}, "keys must"),
    ],
)
def test_what_holds_none(x: object, options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        lab.what_if_cache(x, **options)
