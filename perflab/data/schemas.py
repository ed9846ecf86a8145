"""The tables with their columns, and `conform`, which brings a frame into a table's form.

Durations are float milliseconds (``_ms``), sizes bytes (``_bytes``), shares fractions of one
(``_fraction``), rates per second (``_per_s``), instants timezone-aware UTC. Each table starts with
``run``, the unit of replication.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from perflab.errors import SchemaError


@dataclass(frozen=True)
class Schema:
    """The required and optional columns of a table."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Schema:
        required, _, optional = text.partition("|")
        return cls(tuple(required.split()), tuple(optional.split()))


SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        "runs": Schema.of(
            "run arm start duration_ms valid"
            " | experiment pair order reasons reason_codes host plan environment offered_per_s achieved_per_s"
        ),
        "requests": Schema.of(
            "run endpoint start latency_ms ok | request status error size_bytes user worker due pair arm cached"
        ),
        "summary": Schema.of("run endpoint statistic value unit"),
        "queries": Schema.of(
            "run start sql duration_ms"
            " | unit session parameters rows trace route database user application source plan_rows request endpoint"
        ),
        "profile": Schema.of("run thread node parent depth function file line self total unit | calls endpoint"),
        "calls": Schema.of(
            "run caller callee calls self_ms total_ms"
            " | caller_file caller_line callee_file callee_line primitive_calls self total unit endpoint"
        ),
        "resources": Schema.of(
            "run time process cpu_cores rss_bytes | threads file_descriptors read_bytes written_bytes steal_cores"
        ),
        "load": Schema.of("run time users | rate"),
        "checks": Schema.of("run start name ok | endpoint"),
        "metrics": Schema.of("run time name labels value"),
        "components": Schema.of("run request component duration_ms"),
        "spans": Schema.of(
            "run trace span parent service name kind start duration_ms | request status route attributes"
        ),
        "exchanges": Schema.of(
            "run start method url status mime request_bytes transfer_bytes body_bytes headers timings_ms"
            " | initiator cached"
        ),
        "vitals": Schema.of("run page visit metric value unit | rating element"),
        "advice": Schema.of("run page finding url saved_bytes saved_ms | audit reason element"),
        "modules": Schema.of("run chunk module package size_bytes | version source_bytes duration_ms"),
    }
)

_INSTANT, _NUMBER, _DURATION, _COUNT, _FLAG, _TEXT, _ANY = range(7)

_KINDS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("start", "time", "due"), _INSTANT),
        **dict.fromkeys(("latency_ms", "duration_ms", "self_ms", "total_ms"), _DURATION),
        **dict.fromkeys(
            ("value", "cpu_cores", "rss_bytes", "read_bytes", "written_bytes", "rate", "self", "total"), _NUMBER
        ),
        **dict.fromkeys(("steal_cores", "offered_per_s", "achieved_per_s"), _NUMBER),
        **dict.fromkeys(
            ("pair", "order", "status", "size_bytes", "rows", "plan_rows", "threads", "file_descriptors"), _COUNT
        ),
        **dict.fromkeys(("users", "depth", "line", "node", "parent", "calls", "primitive_calls"), _COUNT),
        **dict.fromkeys(
            ("caller_line", "callee_line", "visit", "request_bytes", "transfer_bytes", "body_bytes"), _COUNT
        ),
        **dict.fromkeys(("ok", "valid", "cached"), _FLAG),
        **dict.fromkeys(("parameters", "labels", "attributes", "plan", "environment", "reasons", "reason_codes"), _ANY),
        **dict.fromkeys(("headers", "timings_ms"), _ANY),
        **dict.fromkeys(("saved_bytes", "saved_ms"), _NUMBER),
        "source_bytes": _COUNT,
    }
)
"""Kinds by column name; all other names are text."""

_KINDS_OF: Mapping[tuple[str, str], int] = MappingProxyType(
    {("spans", "parent"): _TEXT, ("components", "duration_ms"): _NUMBER}
)
"""Kinds of columns with another meaning in one table: the parent of a frame is a number, that of a span an id; and where
two clocks disagree, the time in a queue can be negative."""

_MAY_BE_MISSING: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "runs": frozenset({"arm", "start"}),
        "profile": frozenset({"thread", "parent", "file", "line"}),
        "calls": frozenset({"caller", "calls", "self_ms", "total_ms"}),
        "metrics": frozenset({"labels"}),
        "spans": frozenset({"trace", "parent", "service", "duration_ms"}),
        "exchanges": frozenset({"status", "mime", "request_bytes", "transfer_bytes", "body_bytes"}),
        "advice": frozenset({"url", "saved_bytes", "saved_ms"}),
        "modules": frozenset({"package"}),
    }
)
"""Required columns whose values may be missing: a top frame has no parent, and with a tool that writes no absolute
time the start of the run is unknown (its requests then count from 1970-01-01). A span without a duration never ended; an
exchange without a status got no response."""


_LONGEST_MS = 1e12


def conform(table: str, frame: pd.DataFrame, *, coded: Collection[str] = ()) -> pd.DataFrame:
    """A new frame with the schema's columns first, in its dtypes, and a fresh index.

    Other columns are kept, last; the texts of ``coded`` stay categories.
    Raises `SchemaError` with every problem: missing columns, values of the wrong kind,
    missing or negative durations, instants without a time zone.
    """
    schema = SCHEMAS.get(table)
    if schema is None:
        raise ValueError(f"table must be one of {', '.join(SCHEMAS)}; got {table!r}")
    problems = [f"column {c!r} is missing" for c in schema.required if c not in frame.columns]
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()].unique()
        raise SchemaError(table, [f"column {c!r} appears more than once" for c in twice])
    known = [c for c in (*schema.required, *schema.optional) if c in frame.columns]
    columns: dict[str, Any] = {}
    for name in known:
        must = name in schema.required and name not in _MAY_BE_MISSING.get(table, ())
        if name in coded and not frame[name].isna().any():
            columns[name] = frame[name].array
            continue
        try:
            columns[name] = _converted(_KINDS_OF.get((table, name), _KINDS.get(name, _TEXT)), frame[name], must=must)
        except ValueError as problem:
            problems.append(f"column {name!r}: {problem}")
    if problems:
        raise SchemaError(table, problems)
    rest = {str(c): frame[c].array for c in frame.columns if c not in columns}
    return pd.DataFrame({**columns, **rest}, index=pd.RangeIndex(len(frame)), copy=False)


def empty(table: str) -> pd.DataFrame:
    """The table with its required columns and no rows."""
    return conform(table, pd.DataFrame({c: [] for c in SCHEMAS[table].required}))


def _converted(kind: int, values: pd.Series[Any], *, must: bool) -> Any:
    if kind == _ANY:
        return values.array
    converted = _CONVERT[kind](values.reset_index(drop=True))
    if must and (missing := converted.isna()).any():
        raise ValueError(
            f"{int(missing.sum())} of {len(values)} values missing, the first in row {int(missing.argmax())}"
        )
    if kind == _DURATION and (negative := converted < 0).any():
        raise ValueError(
            f"{int(negative.sum())} of {len(values)} values negative, the first in row {int(negative.argmax())}: "
            f"{float(converted[int(negative.argmax())]):g}"
        )
    if kind == _DURATION and (endless := converted > _LONGEST_MS).any():
        raise ValueError(
            f"{int(endless.sum())} of {len(values)} values above {_LONGEST_MS:g} ms (30 years), the first in row "
            f"{int(endless.argmax())}: {float(converted[int(endless.argmax())]):g}; give milliseconds"
        )
    return converted.array


def _instant(values: pd.Series[Any]) -> pd.Series[Any]:
    if len(values) == 0:
        return pd.Series([], dtype="datetime64[us, UTC]")
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        if pd.api.types.is_numeric_dtype(values.dtype):
            raise ValueError("expected instants with a time zone, found plain numbers")
        try:
            values = pd.to_datetime(values, format="ISO8601")
        except (ValueError, TypeError) as problem:
            raise ValueError(f"expected instants with a time zone ({problem})") from None
    if values.dt.tz is None and values.isna().all():  # of runs whose tools write no times
        return values.dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    if values.dt.tz is None:
        raise ValueError("expected instants with a time zone, found naive ones; use .dt.tz_localize('UTC')")
    return values.astype("datetime64[us, UTC]")


def _number(values: pd.Series[Any]) -> pd.Series[Any]:
    try:
        numbers = values.astype("float64")
    except (ValueError, TypeError):
        found = next((v for v in values if not isinstance(v, (int, float, np.number))), None)
        raise ValueError(f"expected numbers, found {found!r}") from None
    if np.isinf(numbers.to_numpy()).any():
        raise ValueError("expected finite numbers, found infinite ones")
    return numbers


def _count(values: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype("int64") if not values.isna().any() else values.astype("Int64")
    numbers = _number(values)
    whole = numbers.dropna()
    if (whole != np.floor(whole)).any():
        raise ValueError("expected whole numbers, found fractions")
    return numbers.astype("Int64" if numbers.isna().any() else "int64")


def _flag(values: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_bool_dtype(values.dtype):
        return values
    if not values.dropna().isin([0, 1, True, False]).all():
        raise ValueError("expected true or false")
    return values.astype("boolean") if values.isna().any() else values.astype("bool")


def _text(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.astype("str") if not isinstance(values.dtype, pd.StringDtype) else values


_CONVERT: Mapping[int, Callable[[Any], Any]] = MappingProxyType(
    {_INSTANT: _instant, _NUMBER: _number, _DURATION: _number, _COUNT: _count, _FLAG: _flag, _TEXT: _text}
)
