"""`probe_redis`: what Redis needs for each key beside its value, measured with the user's own values in a server of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.errors import TargetError
from perflab.loadtest.redis_client import RedisClient, RedisError
from perflab.notes import PYTHON
from perflab.results import Result, Shown, count
from perflab.units import format_bytes, format_ms

KEYS = 2_000
_COPIES = 10
"""Keys per value: below 1 MB the server's own buffers count for more than the keys."""
_KEY = "perflab:probe:{:012d}"
_READS = 2_000
_START_S = 5.0


@dataclass(frozen=True, repr=False)
class RedisProbe(Result):
    """What Redis needs.

    Attributes
    ----------
    overhead_bytes : of each key beside its value: `what_if_cache` and `miss_ratio_curve` take it.
    value_bytes : the mean size of a value.
    keys : how many keys were set.
    get_ms, set_ms : the medians of a GET and a SET over a connection on this machine, one at a time: a lower bound for a server
        elsewhere.
    version : of Redis.
    """

    overhead_bytes: float
    value_bytes: float
    keys: int
    get_ms: float
    set_ms: float
    version: str

    @property
    def sentence(self) -> str:
        return (
            f"Redis {self.version} needs {format_bytes(self.overhead_bytes)} for each key beside its value of "
            f"{format_bytes(self.value_bytes)} ({count(self.keys, 'key')}); a GET takes {format_ms(self.get_ms)}"
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row."""
        names = ("value_bytes", "overhead_bytes", "keys", "get_ms", "set_ms", "version")
        return pd.DataFrame({name: [getattr(self, name)] for name in names})

    def show(self, surface: str = PYTHON) -> Shown:
        return Shown(self.sentence, self.table, ours=True)


def probe_redis(values: Sequence[str | bytes], *, ttl: bool = True, program: str = "redis-server") -> RedisProbe:
    """Measure what Redis needs for each key, with your own values, in a server that is started for it and stopped after.

    Up to 2,000 values are set under ten keys each. The memory is that of INFO (``used_memory``, which ``maxmemory`` limits), not
    of MEMORY USAGE, which leaves out the hash tables. No running server is touched.

    Parameters
    ----------
    values : sequence of str or bytes
        Typical values, as the application would store them.
    ttl : bool
        Whether the keys expire; that takes a second entry for each.
    program : str
        The server: redis-server, valkey-server, keydb-server, or a path.

    Returns
    -------
    RedisProbe
        ``.overhead_bytes`` is what `what_if_cache` takes.

    Raises
    ------
    ValueError
        No values.
    TargetError
        The server is not installed or did not start.

    Examples
    --------
    >>> probe = lab.loadtest.probe_redis(pages)  # doctest: +SKIP
    >>> lab.what_if_cache(run, ttl="1m", memory="64MB", overhead_bytes=probe.overhead_bytes)  # doctest: +SKIP
    """
    given = [value if isinstance(value, bytes) else str(value).encode() for value in values][:KEYS]
    if not given:
        raise ValueError("values must hold at least one value; got none")
    with started_redis(program=program) as client:
        client.pipeline([("PING",)] * 10)
        before = int(client.info("memory")["used_memory"])
        expires = ("PX", 3_600_000) if ttl else ()
        total = 0
        for copy in range(_COPIES):
            keys = (_KEY.format(copy * len(given) + place) for place in range(len(given)))
            client.pipeline([("SET", key, value, *expires) for key, value in zip(keys, given, strict=True)])
            total += sum(map(len, given))
        number = len(given) * _COPIES
        after = int(client.info("memory")["used_memory"])
        get_ms = _median_ms(client, [("GET", _KEY.format(i % number)) for i in range(_READS)])
        set_ms = _median_ms(client, [("SET", _KEY.format(i % number), given[i % len(given)]) for i in range(_READS)])
        version = client.info("server").get("redis_version", "?")
    return RedisProbe((after - before - total) / number, total / number, number, get_ms, set_ms, version)


def _median_ms(client: RedisClient, commands: Sequence[tuple[str | bytes, ...]]) -> float:
    took = []
    for command in commands:
        began = time.perf_counter()
        client.execute(*command)
        took.append(time.perf_counter() - began)
    return float(np.median(took)) * 1e3


@contextlib.contextmanager
def started_redis(*options: str, program: str = "redis-server") -> Iterator[RedisClient]:
    """A Redis server of its own on a free port of 127.0.0.1, empty and without persistence; stopped at the end."""
    found = shutil.which(program)
    if found is None:
        raise TargetError(f"{program} is not installed (Debian, Ubuntu: apt-get install redis-server)")
    with tempfile.TemporaryDirectory(prefix="perflab-redis-") as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
        taken.close()
        command = [
            found,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            folder,
        ]
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = RedisClient(f"redis://127.0.0.1:{port}")
        try:
            _wait(client, process, program)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait(10)


def _wait(client: RedisClient, process: subprocess.Popen[bytes], program: str) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            client.execute("PING")
            return
        except RedisError as problem:
            if process.poll() is not None or time.monotonic() > until:
                raise TargetError(f"{program} did not start (exit code {process.poll()}): {problem}") from problem
            time.sleep(0.02)
