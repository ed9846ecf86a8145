"""`summarize_time`: what each endpoint spends its time on: database, network, waiting, computing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.profiles.call_trees import FRAME, Ints
from perflab.profiles.origins import DRIVER, NETWORK, origin
from perflab.profiles.selected import Profile, frame_codes, is_graph, sums, table_of, tree_rows
from perflab.results import Findings, count, findings
from perflab.units import format_fraction

_WORTH_SAYING = 0.1
KINDS = ("database", "network", "waiting", "cpu")
_DATABASE, _NETWORK, _WAITING, _CPU = range(4)

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
    (_WAITING, "asyncio/base_events.py", "_run_once"),
)  # fmt: skip
_BUILT_IN = (
    (_DATABASE, re.compile(r"\b(?:execute|executemany|executescript|fetchone|fetchall|fetchmany|commit|rollback)\b")),
    (_NETWORK, re.compile(r"\b(?:recv|recv_into|recvfrom|send|sendall|connect|accept|getaddrinfo|do_handshake)\b")),
    (_WAITING, re.compile(r"\b(?:sleep|acquire|select|poll|epoll|kqueue|waitpid|wait)\b")),
)


def summarize_time(profile: Profile, *, unit: str | None = None) -> Findings:
    """Split each endpoint's time into database, network, waiting and computing.

    A sample belongs to its outermost known frame: a database driver (or its call by SQLAlchemy or Django) is "database" with
    everything below; sockets and HTTP clients are "network"; locks, queues, futures and sleep are "waiting"; the rest is
    "cpu", which includes waiting for Python's global lock. In a call graph (cProfile) only the function itself counts.

    Parameters
    ----------
    profile : Measurements or DataFrame
        Runs with ``profile="pyinstrument"`` or ``"cprofile"``, whose middleware records the endpoint; other profiles make one
        row, "Aggregated". Recorded queries are counted.
    unit : str, optional
        Which unit, if there are several; the first by default.

    Returns
    -------
    Findings
        endpoint, requests (profiled), time, unit, per_request, database_fraction, network_fraction, waiting_fraction,
        cpu_fraction, queries, sentence, most time first. Unknown values are missing.

    >>> import perflab as lab
    >>> lab.summarize_time(lab.read("tests/samples/pyinstrument/workload.json")).sentence.item()
    'Aggregated spends 100 % of its time computing'
    """
    table = table_of(profile)
    endpoint, kind, own, unit_name = _of_graph(table) if is_graph(table) else _of_tree(table, unit)
    names, place = np.unique(endpoint.astype("str"), return_inverse=True)
    shares = np.column_stack([sums(place[kind == k], own[kind == k], len(names)) for k in range(len(KINDS))])
    time = shares.sum(axis=1)
    shares = shares / np.where(time > 0, time, np.nan)[:, None]
    found = pd.DataFrame({"endpoint": pd.array(names, dtype="str")})
    requests = pd.array([_requests(profile).get(str(name), pd.NA) for name in names], dtype="Int64")
    queries = pd.array([_queries(profile).get(str(name), pd.NA) for name in names], dtype="Int64")
    per_request = time / requests.to_numpy(dtype="float64", na_value=np.nan)
    found = found.assign(requests=requests, time=time, unit=unit_name, per_request=per_request)
    found = found.assign(**{f"{name}_fraction": shares[:, k] for k, name in enumerate(KINDS)}, queries=queries)
    sentences = [_sentence(str(n), shares[i], queries[i]) for i, n in enumerate(names)]
    found = found.assign(sentence=pd.array(sentences, dtype="str"))
    found = found.sort_values("time", ascending=False, kind="stable")
    return findings(found, str(found["sentence"].iloc[0]))


def _of_tree(table: pd.DataFrame, unit: str | None) -> tuple[pd.Series, Ints, np.ndarray, str]:
    rows = tree_rows(table, unit)
    of_frame = np.array([_kind(r.function, r.file) for r in rows.frames.itertuples()], dtype="int64")
    own = of_frame[rows.code]
    kind = own.copy()
    depth = rows.table["depth"].to_numpy(dtype="int64")
    order = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[order], np.arange(1, int(depth.max(initial=0)) + 2))
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        level = order[low:high]
        above = kind[rows.parent[level]]
        kind[level] = np.where(above != _CPU, above, own[level])
    return _endpoints(rows.table), kind, rows.table["self"].to_numpy(dtype="float64"), rows.unit


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
    whose = origin(path)[0]
    return _DATABASE if whose == DRIVER else _NETWORK if whose == NETWORK else _CPU


def _requests(profile: Profile) -> dict[str, int]:
    """How many requests of each endpoint were profiled, where the runs know it."""
    counts: dict[str, int] = {}
    if not isinstance(profile, Measurements) or "environment" not in profile.runs.columns:
        return counts
    for environment in profile.runs["environment"]:
        facts = environment.get("profiling") if isinstance(environment, Mapping) else None
        endpoints = facts.get("endpoints") if isinstance(facts, Mapping) else None
        for name, numbers in (endpoints or {}).items():
            counts[name] = counts.get(name, 0) + int(numbers["profiled"])
    return counts


def _queries(profile: Profile) -> dict[str, int]:
    if (
        not isinstance(profile, Measurements)
        or "queries" not in profile.tables
        or "route" not in profile.queries.columns
    ):
        return {}
    return {str(route): int(count) for route, count in profile.queries["route"].value_counts().items()}


def _sentence(endpoint: str, shares: np.ndarray, queries: Any) -> str:
    if not np.isfinite(shares).all():
        return f"the profile holds no time of {endpoint}"
    counted = "the database" if queries is pd.NA else count(int(queries), "query")
    words = (f"waiting for {counted}", "waiting for the network", "waiting for locks, threads or sleep", "computing")
    most = [int(kind) for kind in np.argsort(-shares, kind="stable")[:2]]
    first = f"{endpoint} spends {format_fraction(float(shares[most[0]]))} of its time {words[most[0]]}"
    second = (
        f" and {format_fraction(float(shares[most[1]]))} {words[most[1]]}" if shares[most[1]] >= _WORTH_SAYING else ""
    )
    return first + second
