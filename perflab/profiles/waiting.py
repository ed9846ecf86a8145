"""`summarize_time`: each endpoint's time in the database, the network, waiting and computing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.notes import DATA, RECORDER, Kind, Note, Remedy
from perflab.profiles.call_trees import FRAME, Flags, Ints
from perflab.profiles.origins import DRIVER, NETWORK, STANDARD, origin
from perflab.profiles.selected import Profile, Rows, amount, frame_codes, is_graph, shares_of, sums, table_of, tree_rows
from perflab.results import Findings, count, findings
from perflab.units import format_fraction

_WORTH_SAYING, _ENOUGH = 0.1, 0.8
KINDS = ("database", "network", "waiting", "cpu", "unseen")
_DATABASE, _NETWORK, _WAITING, _CPU, _UNSEEN, IDLE = range(6)
CPU_CLOCK = "cpu"
"""The clock of profiles that sample code on the CPU: they contain no waiting."""

LOW_COVERAGE = Kind(
    "low-coverage",
    RECORDER,
    "{endpoint:raw}: the profile holds {coverage_fraction} of the measured time of these requests; threads, subprocesses and "
    "awaited work are outside it. {remedy} follows all threads.",
)
WORKER_THREADS = Kind(
    "worker-threads-unseen",
    RECORDER,
    "{endpoint:raw}: {unseen_fraction} of the time passed in worker threads, which this profiler does not follow. {remedy} "
    "does.",
)
ON_CPU = Kind(
    "on-cpu-only",
    DATA,
    "this profile samples code on the CPU, so it contains no waiting; a driver's share is its own CPU time",
)
BUSY_ONLY = Kind(
    "busy-only",
    RECORDER,
    "py-spy leaves out threads that sleep, so most waiting and awaiting is not in this profile; the shares are of busy time. "
    "{remedy} records waiting, with the middleware.",
)
OFF_CPU = Kind(
    "off-cpu",
    RECORDER,
    "py-spy samples threads that run: what it did not sample of the requests' measured time counts as waiting (for locks, sleep, "
    "await, a database, the network or a free thread). {remedy} records which, with the middleware.",
)
IDLE_LEFT_OUT = Kind(
    "idle-left-out", DATA, "left out {idle:raw} of idle event loops and pool threads, {idle_fraction} of the profile"
)

_ASLEEP = ("asleep-counted", "asleep-counted-to-caller")
"""Notes of readers that the time asleep is part of other functions."""
_AWAIT = "[await]"
_BY_FILE = (
    (_DATABASE, "sqlalchemy/engine/default.py", "do_execute do_executemany do_execute_no_params do_commit do_rollback connect"),
    (_DATABASE, "sqlalchemy/engine/cursor.py", "fetchall fetchone fetchmany"),
    (_DATABASE, "django/db/backends/utils.py", "execute executemany _execute _executemany _execute_with_wrappers"),
    (_DATABASE, "django/db/models/sql/compiler.py", "cursor_iter"),
    (_WAITING, "threading.py", "wait acquire join wait_for _wait_for_tstate_lock __enter__"),
    (_WAITING, "queue.py", "get put join"),
    (_WAITING, "concurrent/futures/_base.py", "result wait as_completed exception result_iterator"),
    (_WAITING, "multiprocessing/connection.py", "wait recv poll"),
    (_WAITING, "selectors.py", "select"),
    (_WAITING, "subprocess.py", "wait communicate"),
    (_WAITING, "gevent/hub.py", "switch"),
)  # fmt: skip
_BUILT_IN = (
    (_DATABASE, re.compile(r"\b(?:execute|executemany|executescript|fetchone|fetchall|fetchmany|commit|rollback)\b")),
    (_NETWORK, re.compile(r"\b(?:recv|recv_into|recvfrom|send|sendall|connect|accept|getaddrinfo|do_handshake)\b")),
    (_WAITING, re.compile(r"\b(?:sleep|acquire|select|poll|epoll|kqueue|waitpid|wait)\b|^\[(?:await|out-of-context)\]$|"
                          r"^UNMANAGED_CODE_TIME$")),
)  # fmt: skip
_SERVES = re.compile(r"(?:^|/)(?:socketserver|_?server)\.py$")
"""Modules below which a server handles a request (socketserver, http.server, grpc): what they call is the application."""
_PARSERS = ("h11", "h2")
"""Packages of the network that only compute."""
_LOOPS = (
    ("concurrent/futures/thread.py", "_worker"), ("anyio/_backends/_asyncio.py", "run"), ("socketserver.py", "serve_forever"),
    ("asyncio/base_events.py", "_run_once"), ("waitress/task.py", "handler_thread"), ("waitress/wasyncore.py", "poll"),
    ("gunicorn/arbiter.py", "run sleep"), ("gunicorn/workers/sync.py", "run wait"), ("gunicorn/workers/gthread.py", "run"),
)  # fmt: skip
"""Functions that wait for the next piece of work; that time belongs to no request."""
_BLOCKING_LOOPS = (
    ("concurrent/futures/thread.py", "_worker"), ("waitress/wasyncore.py", "poll"), ("gunicorn/arbiter.py", "sleep"),
    ("gunicorn/workers/sync.py", "wait"),
)  # fmt: skip
"""Those whose own time is a waiting C call, which Python profilers do not show."""
_OFFLOADS = (
    ("asyncio/threads.py", "to_thread"), ("anyio/to_thread.py", "run_sync"), ("starlette/concurrency.py", "run_in_threadpool"),
    ("anyio/_backends/_asyncio.py", "run_sync_in_worker_thread"), ("asgiref/sync.py", "__call__"),
)  # fmt: skip
"""Functions that run their work in another thread and await it."""
_BLOCKS = re.compile(
    r"_*(?:execut\w*|fetch\w*|fetchone|recv\w*|_?read_bytes|wait\w*|poll\w*|select|connect\w*|commit|rollback|send\w*|"
    r"cursor_iter|do_\w+|query|drain)$"
)
"""Driver functions whose own time is waiting for the server; the rest of a driver is CPU."""


def summarize_time(profile: Profile, *, unit: str | None = None) -> Findings:
    """Split each endpoint's time into database, network, waiting, computing, and what the profiler could not see.

    A sample is classified by its outermost known frame: a database driver (or its call by SQLAlchemy or Django), including
    what it awaits, is "database"; sockets and HTTP clients are "network"; locks, queues, futures, sleep and ``await`` are
    "waiting"; the rest is "cpu", including the driver's own code and waiting for Python's global lock. What an async endpoint
    awaits in a worker thread that the profiler does not follow is "unseen". Idle event loops and pool threads belong to no
    request and are left out. CPU profiles (perf, V8, pprof's cpu) contain no waiting; py-spy's waiting is the measured time of
    the run's requests that it did not sample. In a call graph (cProfile) only the function counts.

    Parameters
    ----------
    profile : Measurements or DataFrame
        Runs with ``profile="pyinstrument"`` or ``"cprofile"``, whose middleware records the endpoint; other profiles give one
        row, "Aggregated". Recorded queries are counted.
    unit : str, optional
        The unit, if there are several; by default the first.

    Returns
    -------
    Findings
        endpoint, requests, time, unit, per_request, database_fraction, network_fraction, waiting_fraction, cpu_fraction,
        unseen_fraction, coverage_fraction (time in the profile over the measured time of the same requests), queries,
        sentence; most time first. Unknown values are missing. The sentence reports a coverage below 80 %.

    Raises
    ------
    MissingTableError
        There is no profile.
    ValueError
        The unit is unknown.

    >>> import perflab as lab
    >>> lab.summarize_time(lab.read("tests/samples/pyinstrument/workload.json")).sentence.item()
    'Aggregated spends 100 % of its time computing'
    """
    table = table_of(profile)
    on_cpu, busy = _on_cpu(profile), _busy_only(profile)
    endpoint, kind, own, unit_name = _of_graph(table) if is_graph(table) else _of_tree(table, unit, on_cpu=on_cpu)
    if unit_name == "bytes" or unit_name.endswith("objects"):
        raise ValueError(
            f"summarize_time needs a profile of time; this one holds {unit_name}: flat_profile and hot_paths show where"
        )
    if on_cpu:
        kind = np.where(np.isin(kind, (_DATABASE, _NETWORK, IDLE)), kind, _CPU)
    names, place = np.unique(endpoint.astype("str"), return_inverse=True)
    amounts = np.column_stack([sums(place[kind == k], own[kind == k], len(names)) for k in range(len(KINDS))])
    time = amounts.sum(axis=1)
    if isinstance(profile, Measurements) and len(names) == 1 and (asleep := profile.meta.get("off_cpu_fraction")):
        # scalene samples no frame of its own for waiting, but measures how much there was.
        moved = min(float(asleep) * time[0], amounts[0, _CPU])
        amounts[0, [_CPU, _WAITING]] += (-moved, moved)
    measured = _measured(profile) if unit_name == "ms" else {}
    busy = busy and not (any(took > 0 for _, took in measured.values()) and _kept_up(profile))
    whole = time
    if _busy_only(profile) and not busy:
        # The measured time that py-spy did not sample was spent off the CPU.
        whole = np.maximum(time, [measured.get(str(name), (0, 0.0))[1] for name in names])
        amounts[:, _WAITING] += whole - time
    shares = amounts / np.where(whole > 0, whole, np.nan)[:, None]
    queries = _queries(profile)
    rows = []
    for i, name in enumerate(names.tolist()):
        requests, took = measured.get(name, (pd.NA, np.nan))
        coverage = time[i] / took if took > 0 else np.nan
        rows.append((requests, coverage, queries.get(name, pd.NA)))
    requests, coverage, asked = zip(*rows, strict=True)
    found = pd.DataFrame({"endpoint": pd.array(names, dtype="str"), "requests": pd.array(requests, dtype="Int64")})
    per_request = time / found["requests"].to_numpy(dtype="float64", na_value=np.nan)
    found = found.assign(time=time, unit=unit_name, per_request=per_request)
    found = found.assign(**{f"{name}_fraction": shares[:, k] for k, name in enumerate(KINDS)})
    found = found.assign(coverage_fraction=np.array(coverage, dtype="float64"), queries=pd.array(asked, dtype="Int64"))
    clock = "CPU " if on_cpu else "busy " if busy else "off-CPU " if whole is not time else ""
    sentences = [_sentence(str(n), shares[i], coverage[i], asked[i], clock) for i, n in enumerate(names)]
    found = found.assign(sentence=pd.array(sentences, dtype="str"))
    found = found.sort_values("time", ascending=False, kind="stable")
    idle = float(own[kind == IDLE].sum())
    doubts = _doubts(found, clock, idle, float(own.sum()), unit_name)
    doubts += [note for note in getattr(profile, "warnings", ()) if note.code in _ASLEEP]
    return findings(found, str(found["sentence"].iloc[0]), doubts)


def _doubts(found: pd.DataFrame, clock: str, idle: float, whole: float, unit: str) -> list[Note]:
    follow = Remedy("run", {"profile": "py-spy"})
    apart = {"CPU ": ON_CPU, "busy ": BUSY_ONLY, "off-CPU ": OFF_CPU}
    notes = [apart[clock](None if clock == "CPU " else Remedy("run", {"profile": "pyinstrument"}))] if clock else []
    for row in found.head(5).itertuples():
        if row.coverage_fraction < _ENOUGH and clock != "off-CPU ":
            notes.append(LOW_COVERAGE(follow, endpoint=row.endpoint, coverage_fraction=row.coverage_fraction))
        if row.unseen_fraction >= _WORTH_SAYING:
            notes.append(WORKER_THREADS(follow, endpoint=row.endpoint, unseen_fraction=row.unseen_fraction))
    if idle > 0:
        notes.append(IDLE_LEFT_OUT(idle=amount(idle, unit), idle_fraction=idle / whole))
    return notes


def _on_cpu(profile: Profile) -> bool:
    if not isinstance(profile, Measurements):
        return False
    facts = [e.get("profiling") for e in profile.runs.get("environment", ()) if isinstance(e, Mapping)]
    clocks = {f.get("clock") for f in facts if isinstance(f, Mapping)} or {profile.meta.get("clock")}
    return clocks == {CPU_CLOCK}


def _kept_up(profile: Profile) -> bool:
    """Whether py-spy took its samples in time in all runs: only then is unsampled time off the CPU."""
    environments = profile.runs.get("environment", ()) if isinstance(profile, Measurements) else ()
    facts = [e.get("profiling") for e in environments if isinstance(e, Mapping)]
    return bool(facts) and all(isinstance(f, Mapping) and f.get("kept_up") is True for f in facts)


def _busy_only(profile: Profile) -> bool:
    """Whether py-spy recorded it, which leaves out sleeping threads."""
    if not isinstance(profile, Measurements):
        return False
    recorded = {e.get("profiled") for e in profile.runs.get("environment", ()) if isinstance(e, Mapping)} - {None}
    return recorded == {"py-spy"} or (not recorded and str(profile.meta.get("tool", "")).startswith("py-spy"))


def _of_tree(table: pd.DataFrame, unit: str | None, *, on_cpu: bool) -> tuple[pd.Series, Ints, np.ndarray, str]:
    rows = shares_of(tree_rows(table, unit), "summarize_time")
    return (
        _endpoints(rows.table),
        kinds_of(rows, on_cpu=on_cpu),
        rows.table["self"].to_numpy(dtype="float64"),
        rows.unit,
    )


def without_idle(table: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """The profile without idle event loops and pool threads, and their time."""
    rows = tree_rows(table, None)
    own = np.where(kinds_of(rows) == IDLE, 0.0, rows.table["self"].to_numpy(dtype="float64"))
    summed = np.concatenate([[0.0], np.cumsum(own)])
    total = summed[rows.end] - summed[:-1]
    kept = (total > 0) if (total > 0).any() else np.ones(len(total), dtype=bool)
    number = np.cumsum(kept) - 1
    parent = np.where(rows.parent < 0, -1, number[rows.parent])[kept]
    found = rows.table.assign(total=total).drop(columns="self")[kept].reset_index(drop=True)
    found["self"] = own[kept]
    found = found.assign(node=np.arange(len(found)), parent=pd.arrays.IntegerArray(np.maximum(parent, 0), parent < 0))
    return found, float(rows.table["self"].sum() - own.sum())


def kinds_of(rows: Rows, *, on_cpu: bool = False) -> Ints:
    """The kind of each node's own time: an index of `KINDS`, or `IDLE`."""
    depth = rows.table["depth"].to_numpy(dtype="int64")
    reach, kind, driver_cpu = time_kinds(rows.frames, rows.code, rows.parent, depth)
    if not on_cpu:
        kind[(kind == _DATABASE) & (reach == _DATABASE) & driver_cpu] = _CPU
    return kind


def time_kinds(frames: pd.DataFrame, code: Ints, parent: Ints, depth: Ints) -> tuple[Ints, Ints, Flags]:
    """For each node in pre-order: the kind of its subtree, the kind of its own time, and whether it is a driver's CPU."""
    listed = [(str(r.function), r.file) for r in frames.itertuples()]

    def flags(test: Callable[[str, Any], bool]) -> Flags:
        return np.array([test(*frame) for frame in listed], dtype=bool)[code]

    own = np.array([_kind(*frame) for frame in listed], dtype="int64")[code]
    awaits, loops = flags(lambda f, _: f == _AWAIT), flags(lambda f, p: _among(_LOOPS, f, p))
    blocked, offloads = flags(lambda f, p: _among(_BLOCKING_LOOPS, f, p)), flags(lambda f, p: _among(_OFFLOADS, f, p))
    reach, inside, idle = own.copy(), offloads.copy(), np.zeros(len(own), dtype=bool)
    order = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[order], np.arange(1, int(depth.max(initial=0)) + 2))
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        nodes = order[low:high]
        above = parent[nodes]
        inside[nodes] |= inside[above]
        idle[nodes] = (own[nodes] == _WAITING) & (loops[above] | idle[above])
        reach[nodes] = np.where(reach[above] != _CPU, reach[above], reach[nodes])
    kind = reach.copy()
    kind[awaits & inside & (kind == _WAITING)] = _UNSEEN
    kind[idle | (blocked & (kind == _CPU))] = IDLE
    return reach, kind, flags(_driver_cpu)


def _among(places: Sequence[tuple[str, str]], function: str, file: object) -> bool:
    path = file.replace("\\", "/") if isinstance(file, str) else ""
    name = function.rsplit(".", 1)[-1]
    return any((path == end or path.endswith(f"/{end}")) and name in names.split() for end, names in places)


def _driver_cpu(function: str, file: object) -> bool:
    """Whether a frame is Python code that does not wait: below a driver its own time is CPU."""
    if not isinstance(file, str) or not file.endswith((".py", ".js", ".rb")) or origin(file)[0] in (NETWORK, STANDARD):
        return False
    return not _BLOCKS.fullmatch(function.rsplit(".", 1)[-1])


def _of_graph(table: pd.DataFrame) -> tuple[pd.Series, Ints, np.ndarray, str]:
    whole = table[table["caller"].isna().to_numpy()]
    named = pd.DataFrame({"function": whole["callee"], "file": whole["callee_file"], "line": pd.NA})
    code, frames = frame_codes(named, FRAME[:2])
    kind = np.array([_kind(r.function, r.file) for r in frames.itertuples()], dtype="int64")[code]
    in_ms = "unit" not in whole.columns
    own = (whole["self_ms"] if in_ms else whole["self"]).to_numpy(dtype="float64")
    return _endpoints(whole), kind, own, "ms" if in_ms or not len(whole) else str(whole["unit"].iloc[0])


def _endpoints(table: pd.DataFrame) -> pd.Series:
    if "endpoint" in table.columns:
        return table["endpoint"].fillna(AGGREGATED)
    return pd.Series(AGGREGATED, index=table.index)


def _kind(function: object, file: object) -> int:
    name = str(function).rsplit(".", 1)[-1]
    path = file.replace("\\", "/") if isinstance(file, str) else ""
    for kind, ending, names in _BY_FILE:
        if (path == ending or path.endswith(f"/{ending}")) and name in names.split():
            return kind
    if path in ("", "<built-in>", "~"):
        return next((kind for kind, pattern in _BUILT_IN if pattern.search(str(function))), _CPU)
    whose, package, _ = origin(path)
    if whose == NETWORK and (_SERVES.search(path) or package in _PARSERS):
        return _CPU
    return _DATABASE if whose == DRIVER else _NETWORK if whose == NETWORK else _CPU


def _measured(profile: Profile) -> dict[str, tuple[int, float]]:
    """The number of profiled requests per endpoint, and their measured time (ms), where the runs have it."""
    found: dict[str, tuple[int, float]] = {}
    if not isinstance(profile, Measurements):
        return found
    for environment in profile.runs.get("environment", ()):
        facts = environment.get("profiling") if isinstance(environment, Mapping) else None
        endpoints = facts.get("endpoints") if isinstance(facts, Mapping) else None
        for name, numbers in (endpoints or {}).items():
            count, took = found.get(name, (0, 0.0))
            found[name] = (count + int(numbers["profiled"]), took + 1e3 * float(numbers["profiled_s"]))
    if not found and "requests" in profile.tables:
        found[AGGREGATED] = (len(profile.requests), float(profile.requests["latency_ms"].sum()))
    return found


def _queries(profile: Profile) -> dict[str, int]:
    if (
        not isinstance(profile, Measurements)
        or "queries" not in profile.tables
        or "route" not in profile.queries.columns
    ):
        return {}
    return {str(route): int(count) for route, count in profile.queries["route"].value_counts().items()}


def _sentence(endpoint: str, shares: np.ndarray, coverage: float, queries: Any, clock: str) -> str:
    if not np.isfinite(shares).all():
        return f"the profile holds no time of {endpoint}"
    counted = "the database" if queries is pd.NA else count(int(queries), "query")
    words = (
        ("in the database driver", "in network code", "", "in other code", "")
        if clock == "CPU "
        else (
            f"waiting for {counted}", "waiting for the network",
            "off the CPU, waiting" if clock == "off-CPU " else "waiting for locks, threads, sleep or await", "computing",
            "in worker threads that the profiler does not follow",
        )
    )  # fmt: skip
    most = [int(kind) for kind in np.argsort(-shares, kind="stable")[:2]]
    off_cpu = clock == "off-CPU "
    clock = "" if off_cpu else clock
    share = format_fraction(float(shares[most[0]]))
    second = (
        f" and {format_fraction(float(shares[most[1]]))} {words[most[1]]}" if shares[most[1]] >= _WORTH_SAYING else ""
    )
    if coverage < _ENOUGH and not off_cpu:
        held = f"the profile holds only {format_fraction(coverage)} of the time of {endpoint}"
        return f"{held}; {share} of that {clock}time is {words[most[0]]}{second}"
    return f"{endpoint} spends {share} of its {clock}time {words[most[0]]}{second}"
