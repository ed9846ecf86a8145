"""What each span does: its name without values, whether it reads or writes, and the values that it was made with."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perflab.queries.fingerprint import of_text
from perflab.queries.http_calls import http_call
from perflab.queries.shape import shape
from perflab.queries.stores import store_call
from perflab.queries.tokens import DIALECTS
from perflab.queries.values import values_in
from perflab.traces.trees import Array, Ints, Trees, texts_of

READ, WRITE, CONTROL, UNKNOWN = "read", "write", "control", "unknown"
_NOTHING: Mapping[str, Any] = {}
_SQL_TEXTS = ("db.query.text", "db.statement", "sql.query")
CALL_KINDS = frozenset({"client", "producer", "database", "downstream"})
_NO_CALLS = frozenset({"pool", "lock", "gc", "cpu"})
_PARAMETER = re.compile(r"db\.(?:query|operation)\.parameter\.(.{1,100})")
_CACHE = re.compile(r"(?:.*[._])?(?:redis|valkey|memcached?)\b.*", re.IGNORECASE)
_RPC_READS = re.compile(
    r"(?:batch_?)?(?:get|list|find|search|fetch|read|query|lookup|check|count|describe|has|is|resolve|select|stat)(?=[A-Z_]|$)",
    re.IGNORECASE,
)
_INPUTS = re.compile(
    r"(?:http\.)?request\.(?:body|header)\b.*|http\.request\.(?:body|header)\b.*|rpc\.request\b.*|graphql\.variables.*",
    re.IGNORECASE,
)
_NO_INPUT = re.compile(
    r".*(?:traceparent|tracestate|baggage|request[-_.]?id|correlation|user[-_.]agent|content[-_.]length|x-b3|idempotency"
    r"|\.date|accept|size|\.host)\b.*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[A-Za-z0-9_.~-]*\d[A-Za-z0-9_.~-]*|[A-Za-z0-9_.~-]{12,}")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ACCESS = frozenset(
    "token auth oauth authenticate authorize login signin logon session csrf nonce handshake discover discovery lease "  # noqa: SIM905
    "lock whoami permission flag feature".split()
)
"""What hands out access, or decides what an application does."""
_MOST_VALUES, _LONGEST_PRINTED = 64, 2_000


class Operation(NamedTuple):
    """One call. ``values`` is None where what it asks for can't be seen; ``decides``: its answer usually decides what is
    called next (a cache, a token, a lock); ``stores``: it goes to a database or a cache."""

    label: str
    how: str
    values: frozenset[Any] | None
    failed: bool = False
    decides: bool = False
    stores: bool = False


def operations_of(frame: pd.DataFrame, places: Ints) -> Array:
    """The names without values of the spans at these places, in an array for all spans."""
    names = texts_of(frame, "name").copy()
    kinds, attributes = texts_of(frame, "kind"), attributes_of(frame)
    for place in places.tolist():
        if kinds[place] not in ("server", "consumer", "internal"):
            names[place] = label_of(names[place], kinds[place], attributes[place])
    return names


def attributes_of(frame: pd.DataFrame) -> Array:
    """The attributes of each span, none for those that have none."""
    if "attributes" not in frame.columns:
        return np.full(len(frame), _NOTHING, dtype=object)
    found = np.full(len(frame), _NOTHING, dtype=object)
    for place, held in enumerate(frame["attributes"]):
        if isinstance(held, Mapping):
            found[place] = held
    return found


def label_of(name: str, kind: str, attributes: Mapping[str, Any]) -> str:
    """The span's name without values."""
    if attributes is _NOTHING or not attributes or (len(attributes) <= 2 and "perflab.strand" in attributes):
        return _plain_label(name, kind)
    found = operation(name, kind, attributes)
    return name if found is None else found.label


@lru_cache(maxsize=8192)
def _plain_label(name: str, kind: str) -> str:
    found = operation(name, kind, _NOTHING)
    return name if found is None else found.label


def operation(name: str, kind: str, attributes: Mapping[str, Any]) -> Operation | None:
    """The call that a span is; None for work inside the service."""
    piece = name.startswith("(") and kind in ("database", "downstream")
    if piece or kind in _NO_CALLS or kind == "consumer":
        return None
    if kind == "server":
        return _served(name, attributes)
    hashed = attributes.get("perflab.values")
    values = frozenset(hashed) if isinstance(hashed, list) else None
    found = _of_database(name, kind, attributes) or _of_service(name, kind, attributes)
    if found is None:
        return Operation(name, UNKNOWN, values) if kind in CALL_KINDS else None
    if values is not None:
        found = found._replace(values=values)
    return found._replace(failed=failed(attributes))


def failed(attributes: Mapping[str, Any]) -> bool:
    """Whether the span says that it failed."""
    status = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    try:
        bad = status is not None and (int(status) >= 500 or int(status) in (408, 429))
    except (TypeError, ValueError):
        bad = False
    return (
        bad
        or attributes.get("error") in (True, "true", "True")
        or attributes.get("otel.status_code") == "ERROR"
        or bool(attributes.get("error.type"))
    )


def _of_database(name: str, kind: str, attributes: Mapping[str, Any]) -> Operation | None:
    system = str(attributes.get("db.system.name", attributes.get("db.system", "")))
    store = store_call(attributes) if system else None
    if store is not None:
        reads = store.text.startswith(("get", "find"))
        values = None if None in store.values and reads else frozenset(v for v in store.values if v is not None)
        cache = bool(_CACHE.fullmatch(system))
        return Operation(of_text(store.text), READ if reads else WRITE, values, decides=cache, stores=True)
    sql = next((t for key in _SQL_TEXTS if isinstance(t := attributes.get(key), str) and t.strip()), None)
    if sql is None and kind == "database":
        sql = name
    if sql is None:
        return Operation(name, UNKNOWN, None, stores=True) if system else None
    dialect = {"mariadb": "mysql"}.get(system, system)
    return _of_sql(sql, dialect if dialect in DIALECTS else "generic", _bound(attributes))


def _of_sql(sql: str, dialect: str, bound: object) -> Operation:
    label, kind = _known_sql(sql, dialect)
    how = {"write": WRITE, "control": CONTROL}.get(kind, READ)
    values = values_in(sql, bound, dialect)
    cut = sql.rstrip().endswith(("...", "…"))
    seen = None if None in values or cut else frozenset(v.strip("'\"") for v in values if v is not None)
    return Operation(label, how, seen, stores=True)


@lru_cache(maxsize=8192)
def _known_sql(sql: str, dialect: str) -> tuple[str, str]:
    label = of_text(sql, dialect)
    found = shape(label)
    # SELECT ... FOR UPDATE, and functions, which may do anything.
    locks = " for update" in label or " for share" in label or (found.kind == "function")
    return label, "write" if locks else found.kind


def _bound(attributes: Mapping[str, Any]) -> object:
    printed = attributes.get("db.statement.parameters")
    if isinstance(printed, str) and len(printed) < _LONGEST_PRINTED:
        try:
            return literal_eval(printed)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    found = {key[1]: value for name, value in attributes.items() if (key := _PARAMETER.fullmatch(name))}
    if found and all(name.isdigit() for name in found):
        return [found[name] for name in sorted(found, key=int)]
    return found or None


def _of_service(name: str, kind: str, attributes: Mapping[str, Any]) -> Operation | None:
    if kind == "internal":
        return None
    more = _inputs(attributes)
    if "rpc.system" in attributes or "rpc.method" in attributes:
        method = str(attributes.get("rpc.method", name.rpartition("/")[2]))
        label = f"{attributes.get('rpc.service', '')}/{method}" if attributes.get("rpc.service") else name
        reads = READ if _RPC_READS.match(method) else UNKNOWN
        return Operation(label, reads, more, decides=_hands_out_access(label))
    if kind == "producer" or "messaging.system" in attributes:
        return Operation(name, WRITE, None)
    if kind == "" and not any(key.startswith(("http.", "url", "net.", "server.")) for key in attributes):
        return None
    call = http_call(name, attributes)
    if call is None:
        return None
    asks = call.method in ("GET", "HEAD", "OPTIONS") or str(attributes.get("graphql.operation.type")) == "query"
    values = None if call.values is None else frozenset(call.values) | (more or frozenset())
    if values is not None and call.method not in ("GET", "HEAD", "OPTIONS") and more is None:
        values = None  # a body that was not recorded
    decides = _hands_out_access(call.path or call.host)
    return Operation(call.label, READ if asks else WRITE, values, decides=decides)


def _hands_out_access(text: str) -> bool:
    return any(word.lower().removesuffix("s") in _ACCESS for word in _WORDS.findall(text))


def _served(name: str, attributes: Mapping[str, Any]) -> Operation:
    """A server's span whose caller recorded none."""
    found = http_call(name, attributes)
    if found is None:
        return Operation(name, UNKNOWN, _inputs(attributes))
    reads = found.method in ("GET", "HEAD", "OPTIONS")
    values = None if found.values is None else frozenset(found.values) | (_inputs(attributes) or frozenset())
    return Operation(name, READ if reads else WRITE, values, failed(attributes))


def _inputs(attributes: Mapping[str, Any]) -> frozenset[Any] | None:
    """The values in recorded headers, bodies and variables; None where there are none of these."""
    texts = [
        str(value)
        for key, value in attributes.items()
        if _INPUTS.fullmatch(key) and not _NO_INPUT.fullmatch(key) and value is not None
    ]
    if not texts:
        return None
    return frozenset(_tokens(texts))


def _tokens(texts: Iterable[str]) -> list[str]:
    found: list[str] = []
    for text in texts:
        found += _TOKEN.findall(text[:4000])[:_MOST_VALUES]
    return found[:_MOST_VALUES]


def values_of_request(attributes: Mapping[str, Any]) -> frozenset[Any]:
    """All values that came with a request: what its calls may be made with."""
    hashed = attributes.get("perflab.values")
    if isinstance(hashed, list):
        return frozenset(hashed)
    call = http_call("", attributes)
    return (
        frozenset(call.values or ()) | (_inputs(attributes) or frozenset())
        if call
        else (_inputs(attributes) or frozenset())
    )


def retries(trees: Trees) -> Ints:
    """The positions of calls that repeat a sibling which had failed just before."""
    if "attributes" not in trees.frame.columns:
        return np.zeros(0, dtype="int64")
    attributes = attributes_of(trees.frame)
    bad = np.array([bool(a) and failed(a) for a in attributes], dtype=bool)
    bad &= trees.parent >= 0
    names, kinds = texts_of(trees.frame, "name"), texts_of(trees.frame, "kind")
    found: list[int] = []
    for place in np.flatnonzero(bad & (trees.root >= 0)).tolist():
        mine = label_of(names[place], kinds[place], attributes[place])
        for sibling in trees.children(int(trees.parent[place])).tolist():
            if trees.first[sibling] >= trees.last[place] and sibling != place:
                same = names[sibling] == names[place]
                if same and label_of(names[sibling], kinds[sibling], attributes[sibling]) == mine:
                    found.append(sibling)
                break
    return np.unique(np.array(found, dtype="int64"))
