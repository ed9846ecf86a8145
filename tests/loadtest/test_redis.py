"""Against a real Redis, started for these tests: the client, the probe, the shop's switch, and a predicted memory."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.errors import TargetError
from perflab.loadtest.cache_probe import started_redis
from perflab.loadtest.redis_client import RedisClient, RedisError

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisClient]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with started_redis() as client:
        yield client


def test_commands_and_their_answers(redis: RedisClient) -> None:
    assert redis.set("a", b"\x00\r\n\xff", ex=60)
    assert redis.get("a") == b"\x00\r\n\xff"
    assert redis.get("nothing") is None
    assert not redis.set("a", "other", nx=True, px=1000)
    assert redis.eval("return {1, KEYS[1], false}", 1, "k") == [1, b"k", None]
    with pytest.raises(RedisError, match="WRONGTYPE"):
        redis.execute("LPUSH", "a", "1")
    assert redis.pipeline([("SET", "b", "x" * 100_000), ("NOSUCH",), ("GET", "b")])[2] == b"x" * 100_000
    assert redis.delete("a", "b") == 2
    found: list[bytes | None] = []
    redis.set("t", "1")
    threads = [threading.Thread(target=lambda: found.append(redis.get("t"))) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert found == [b"1"] * 4


def test_what_is_no_redis(redis: RedisClient) -> None:
    with pytest.raises(RedisError, match=r"127\.0\.0\.1:1: "):
        RedisClient("redis://127.0.0.1:1", timeout_s=0.5).execute("PING")
    with pytest.raises(ValueError, match="url must be like"):
        RedisClient("http://127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        threading.Thread(target=answer).start()
        with pytest.raises(RedisError, match="not a Redis server"):
            RedisClient(f"redis://127.0.0.1:{other.getsockname()[1]}", timeout_s=2).execute("PING")
    with pytest.raises(RedisError, match="AUTH"):
        RedisClient(redis.url.replace("//", "//:secret@")).execute("PING")


def test_measured_hits_are_those_of_info(redis: RedisClient) -> None:
    redis.execute("FLUSHALL")
    before = redis.info("stats")
    redis.set("k", "v")
    redis.pipeline([("GET", "k")] * 30 + [("GET", "other")] * 70)
    assert lab.caching.cache_hits((before, redis.info("stats")))["hit_fraction"].iloc[-1] == 0.3


@needs_redis
def test_the_probe_measures_what_a_key_costs() -> None:
    probe = lab.loadtest.probe_redis(["v" * size for size in range(200, 400)])
    assert 60 < probe.overhead_bytes < 400
    assert probe.value_bytes == pytest.approx(299.5)
    assert lab.loadtest.probe_redis(["v" * 300] * 50, ttl=False).overhead_bytes < probe.overhead_bytes + 60
    with pytest.raises(ValueError, match="values must hold"):
        lab.loadtest.probe_redis([])
    with pytest.raises(TargetError, match="not installed"):
        lab.loadtest.probe_redis(["v"], program="no-such-redis")


def test_a_ttl_predicted_and_real(redis: RedisClient) -> None:
    """The replay and a real Redis agree access by access where nothing is concurrent."""
    chance = np.random.default_rng(2)
    keys, at = chance.integers(0, 12, 150), np.cumsum(chance.exponential(0.008, 150))
    redis.execute("FLUSHALL")
    import time

    began, hits, starts = time.monotonic(), [], []
    for key, moment in zip(keys.tolist(), at.tolist(), strict=True):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        starts.append(time.monotonic() - began)
        hits.append(redis.get(f"p:{key}") is not None)
        if not hits[-1]:
            redis.set(f"p:{key}", "v", px=100)
    trace = pd.DataFrame(
        {"key": keys, "start": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(starts, unit="s")}
    )
    predicted = lab.what_if_cache(trace, ttl="100ms", hit_ms=0.1).find()["hit_fraction"]
    assert predicted == pytest.approx(np.mean(hits), abs=0.03)
