"""Calls of databases without SQL and of other services, from their spans, as statements to analyse like any other.

``GET book:17`` is written ``get from book where id = ?``, ``{"find": "book", "filter": {"author_id": 7}}`` of MongoDB
``find from book where author_id = ?``, ``GET http://stock/items/17`` ``request from stock.items where id = ?``; the values are
parameters, so that no key of a user is in a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from perflab.queries.http_calls import HttpCall, http_call

_SYSTEMS = re.compile(r"(?:.*[._])?(redis|valkey|memcached?|mongo(?:db|ose)?|documentdb)\b.*", re.IGNORECASE)
_TEXTS = ("db.query.text", "db.statement")
_COLLECTIONS = ("db.collection.name", "db.mongodb.collection")
_OPERATIONS = ("db.operation.name", "db.operation")
_READ_ONE = frozenset("get hget hgetall hmget exists gets getex hexists strlen".split())  # noqa: SIM905
_READ_LIST = frozenset("smembers lrange zrange zrevrange zrangebyscore hkeys hvals keys scan sscan".split())  # noqa: SIM905
_WRITE = frozenset(
    "set setex setnx psetex getset hset hmset hincrby incr incrby decr del unlink expire sadd srem zadd zrem lpush rpush lpop "  # noqa: SIM905
    "rpop ltrim append add replace delete".split()
)
_FIND = frozenset({"find", "aggregate", "count", "countdocuments", "distinct", "findone", "getmore"})
_CHANGES = {
    "insert": "insert into {} values (?)", "insertone": "insert into {} values (?)", "update": "update {} set ?",
    "updateone": "update {} set ?", "delete": "delete from {}", "deleteone": "delete from {}",
    "findandmodify": "update {} set ?", "findoneandupdate": "update {} set ?", "replaceone": "update {} set ?",
}  # fmt: skip
_MASKED = frozenset({"?", "***", "[Filtered]", "<redacted>", "[REDACTED]", "REDACTED", ""})
_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,40}")
_PARTED = re.compile(r"[:/|]")
_FIELD = re.compile(r"[A-Za-z_][\w.]{0,60}")
_DEEPEST = 200


class StoreCall(NamedTuple):
    text: str
    values: list[str | None]


def store_calls(spans: pd.DataFrame | None) -> pd.DataFrame | None:
    """A queries table of the calls, with the request that each belongs to; None where there is none."""
    if spans is None or "attributes" not in spans.columns:
        return None
    rows = []
    services = _service_calls(spans)
    for place, attributes in enumerate(spans["attributes"]):
        call = services.get(place) or (store_call(attributes) if isinstance(attributes, Mapping) else None)
        if call is not None:
            rows.append((place, call.text, call.values))
    if rows:
        ended = spans["duration_ms"].notna().to_numpy()  # the others have no time
        rows = [row for row in rows if ended[row[0]]]
    if not rows:
        return None
    places = [place for place, _, _ in rows]
    part = spans.iloc[places]
    requests = _requests(spans)
    unit = [requests(span) for span in part["span"]]
    if "request" in part:
        # The id of perflab's own recorder, which its statements have, too.
        own = part["request"].astype("object")
        unit = [str(given) if isinstance(given, str) else found for given, found in zip(own, unit, strict=True)]
    return pd.DataFrame(
        {
            "run": part["run"].array if "run" in part else "",
            "start": part["start"].array,
            "sql": pd.array([text for _, text, _ in rows], dtype="str"),
            "duration_ms": part["duration_ms"].array,
            "parameters": [values for _, _, values in rows],
            "trace": [None if own else trace for own, trace in zip(unit, part["trace"], strict=True)],
            "unit": unit,
            "route": part["route"].array if "route" in part else None,
        }
    )


def _service_calls(spans: pd.DataFrame) -> dict[int, StoreCall]:
    """Reads from other services by the place of their span; a call within one to the same address is that call."""
    found: dict[int, HttpCall] = {}
    of_span: dict[Any, HttpCall] = {}
    if not {"kind", "name", "parent"} <= set(spans.columns):
        return {}
    calling = spans["kind"].isin(("client", "downstream", "")).to_numpy()
    columns = (spans[c] for c in ("name", "attributes", "span"))
    for place, (name, attributes, span) in enumerate(zip(*columns, strict=True)):
        if calling[place] and isinstance(attributes, Mapping):
            call = http_call(str(name), attributes)
            if call is not None and call.method in ("GET", "HEAD") and (call.path or call.values):
                found[place] = of_span[span] = call
    parents = spans["parent"].to_numpy()
    return {
        place: _of_service(call, spans["attributes"].iat[place].get("perflab.values"))
        for place, call in found.items()
        if (above := of_span.get(parents[place])) is None or above[:3] != call[:3]
    }


def _of_service(call: HttpCall, hashed: object) -> StoreCall:
    words = [w for w in re.findall(r"[a-z_]+", call.path.replace("-", "_")) if w not in ("api", "v", "rest")]
    host = re.match(r"[a-z][a-z_]*", call.host.replace("-", "_"), re.IGNORECASE)
    table = ".".join([*([host[0].lower()] if host else []), "_".join(words) or "root"])
    values = [str(v) for v in hashed] if isinstance(hashed, list) else list(call.values or ())
    inside = call.path.count("{}")
    known: list[str | None] = [*values, *[None] * (inside - len(values))]
    # One thing by its id, the things that belong to another one, a list with conditions.
    columns = [*(f"part_{n}" for n in range(1, inside + 1)), *(f"value_{n}" for n in range(1, len(known) - inside + 1))]
    if call.path.endswith("{}"):
        columns[inside - 1] = "id"
    where = " and ".join(f"{column} = ?" for column in columns)
    return StoreCall(f"request from {table}{f' where {where}' if where else ''}", known)


def _requests(spans: pd.DataFrame) -> Any:
    """A function that finds the nearest span above which serves a request."""
    parents = dict(zip(spans["span"], spans["parent"], strict=True))
    serves = set(spans["span"][spans["kind"].isin(("server", "consumer"))])

    def above(span: Any) -> str | None:
        for _ in range(_DEEPEST):
            span = parents.get(span)
            if span is None or span != span:
                return None
            if span in serves:
                return str(span)
        return None

    return above


def store_call(attributes: Mapping[str, Any]) -> StoreCall | None:
    system = _SYSTEMS.fullmatch(str(attributes.get("db.system.name", attributes.get("db.system", ""))))
    if system is None:
        return None
    text = _first(attributes, _TEXTS)
    if system[1].lower().startswith(("mongo", "documentdb")):
        return _of_documents(text, _first(attributes, _OPERATIONS), _first(attributes, _COLLECTIONS))
    return _of_keys(text, _first(attributes, _OPERATIONS))


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((v for name in names if isinstance(v := attributes.get(name), str) and v.strip()), "")


def _of_keys(text: str, operation: str) -> StoreCall | None:
    """A command of a store of keys: ``GET session:17``."""
    words = text.split()
    verb = (words[0] if words else operation).lower()
    keys = words[1:] if verb != "hget" else words[1:2]
    if verb == "mget" and keys:
        space, _ = _parted(keys[0])
        return StoreCall(
            f"get from {space} where id in ({', '.join('?' * len(keys))})", [_parted(key)[1] for key in keys]
        )
    known = verb in _READ_ONE or verb in _READ_LIST or verb in _WRITE
    if not known:
        return None
    space, value = _parted(keys[0] if keys else "?")
    if verb in _WRITE:
        return StoreCall(f"update {space} set ? where id = ?", [None, value])
    return StoreCall(f"{'get' if verb in _READ_ONE else 'find'} from {space} where id = ?", [value])


def _parted(key: str) -> tuple[str, str | None]:
    """The space of a key, as a name, and the rest: ``book:17:title`` -> book, 17:title."""
    parts = _PARTED.split(key.strip("\"'"), maxsplit=1)
    if len(parts) == 2 and _NAME.fullmatch(parts[0]):
        return parts[0].lower().replace("-", "_"), None if parts[1] in _MASKED else parts[1]
    return "keys", None if key in _MASKED else key


def _of_documents(text: str, operation: str, collection: str) -> StoreCall | None:
    """A command of a store of documents, as JSON or by its attributes alone."""
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else {}
    except ValueError:
        document = {}
    document = document if isinstance(document, dict) else {}
    words = text.split() if not document else []
    verb = (operation or next(iter(document), "") or (words[0] if words else "")).rsplit(".", 1)[-1]
    named = document.get(verb)
    table = collection or (named if isinstance(named, str) else "") or (words[1] if len(words) > 1 else "")
    verb = verb.lower()
    if not _FIELD.fullmatch(table) or (verb not in _FIND and verb not in _CHANGES):
        return None
    conditions, values = _conditions(_filter(document))
    where = f" where {' and '.join(conditions)}" if conditions else ""
    if verb in _FIND:
        return StoreCall(f"find from {table}{where}", values)
    return StoreCall(f"{_CHANGES[verb].format(table)}{where if 'insert' not in verb else ''}", [None, *values])


def _filter(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = next(
        (document[n] for n in ("filter", "query", "condition", "q") if isinstance(document.get(n), dict)), None
    )
    if found is None and isinstance(document.get("pipeline"), list):
        first: object = next(iter(document["pipeline"]), None)
        found = first.get("$match") if isinstance(first, dict) else None
    return found if isinstance(found, dict) else {}


def _conditions(wanted: Mapping[str, Any]) -> tuple[list[str], list[str | None]]:
    conditions, values = [], list[str | None]()
    for name, value, how in _compared(wanted):
        column = "id" if name == "_id" else name.replace(".", "_")
        if how == "in":
            conditions.append(f"{column} in ({', '.join('?' * max(len(value), 1))})")
            values += [_known(v) for v in value] or [None]
        else:
            conditions.append(f"{column} {how} ?")
            values.append(_known(value))
    return conditions, values


def _compared(wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    operators = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "$ne": "<>", "$oid": "="}
    for name, value in wanted.items():
        if not _FIELD.fullmatch(name):
            continue
        if not isinstance(value, dict):
            yield name, value, "="
            continue
        for operator, operand in value.items():
            if operator == "$in" and isinstance(operand, list):
                yield name, operand, "in"
            elif operator in operators:
                yield name, operand, operators[operator]


def _known(value: Any) -> str | None:
    """The value as a text; None where a filter hid it."""
    if isinstance(value, dict):
        return _known(value.get("$oid", value.get("$numberLong", json.dumps(value, sort_keys=True))))
    return None if isinstance(value, str) and value in _MASKED else json.dumps(value)
