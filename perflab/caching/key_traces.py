"""Plain traces of keys, and calls of functions, as accesses to a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from perflab.caching.accesses import Accesses, Floats, Ints, Keys, Writes, codes_of, milliseconds, seconds
from perflab.errors import one_of

FUNCTION, TRACE = "function", "trace"
_WHOLE = "all accesses"
_NEEDS = {
    "statement": "a table of queries (a column sql)",
    "url": "requests with a column url",
    FUNCTION: "a table of spans",
}
_SIZES = ("size_bytes", "bytes", "size")
_NOT_VALUES = ("thread.", "code.", "otel.", "server.", "network.", "perflab.", "telemetry.")


def of_functions(spans: pd.DataFrame) -> Accesses:
    """Every call in a ``spans`` table, keyed by its name and the values in its attributes."""
    attributes = spans["attributes"] if "attributes" in spans else pd.Series([None] * len(spans))
    values = [_values(each) for each in attributes]
    columns = [spans[c].fillna("") for c in ("run", "service") if c in spans]
    key = codes_of(*columns, spans["name"], pd.Series(values, dtype=object))
    at_s = seconds(spans["start"])
    chosen = np.flatnonzero((key >= 0) & ~np.isnan(at_s))
    run = codes_of(spans["run"].fillna("")) if "run" in spans else np.zeros(len(spans), dtype="int64")
    owner = spans["trace"].to_numpy(dtype=object) if "trace" in spans else np.arange(len(spans))
    made, _ = in_order(
        chosen, key, spans["name"].astype("str"), at_s, spans["duration_ms"].to_numpy(dtype="float64"),
        np.full(len(spans), np.nan), run, owner, FUNCTION,
    )  # fmt: skip
    groups = np.full((int(made["key"].max(initial=-1)) + 1, 1), -1, dtype="int64")
    return Accesses(**made, groups=groups, writes=Writes.none(), unknown=len(spans) - len(chosen))


def of_trace(trace: Any, keys: Keys, writes: pd.DataFrame | None = None) -> Accesses:
    """A table with a column ``key`` (or those that ``keys`` names), or a sequence of keys; with ``start``, ``size_bytes`` and
    ``duration_ms`` where there are such columns. ``writes`` has the same key columns and ``start``.
    """
    if not isinstance(trace, pd.DataFrame):
        # A list of tuples is one of keys, not a table.
        trace = pd.DataFrame(
            {"key": pd.Series(list(trace), dtype=object) if isinstance(trace, list) else np.asarray(trace)}
        )
    frame = trace
    columns = keys if keys is not None else "url" if "url" in frame and "key" not in frame else "key"
    run = codes_of(frame["run"].fillna("")) if "run" in frame else np.zeros(len(frame), dtype="int64")
    changed = frame.iloc[:0] if writes is None else writes
    if callable(columns) or (isinstance(columns, str) and columns not in frame.columns and columns != "key"):
        both = np.concatenate([key_of(frame, columns, []), key_of(changed, columns, [])])
    else:
        named = [columns] if isinstance(columns, str) else list(columns)
        missing = [c for c in named if c not in frame.columns]
        if missing:
            raise one_of("keys", missing[0], list(map(str, frame.columns)))
        both = codes_of(*(pd.concat([frame[c], changed[c]], ignore_index=True) for c in named))
    times = frame["start"] if "start" in frame else pd.Series(np.nan, index=frame.index)
    all_times = _times(times, changed)
    given = both[: len(frame)]
    key = codes_of(run, np.where(given < 0, np.nan, given))
    took = next(
        (milliseconds(frame[c]) for c in ("duration_ms", "latency_ms") if c in frame),
        np.full(len(frame), np.nan),
    )
    chosen = np.flatnonzero((key >= 0) & ~np.isnan(all_times[: len(frame)]))
    owner = np.arange(len(frame))
    name = pd.Series(_WHOLE, index=frame.index)
    made, order = in_order(chosen, key, name, all_times[: len(frame)], took, sizes_of(frame), run, owner, TRACE)
    first = np.unique(made["key"], return_index=True)[1]
    whole = len(both)
    groups = np.column_stack([given[order][first], np.full(len(first), whole)]).astype("int64")
    at = np.argsort(all_times[len(frame) :], kind="stable")
    exact = tuple(np.array([code], dtype="int64") for code in both[len(frame) :][at].tolist())
    every = tuple(np.array([whole], dtype="int64") for _ in exact)
    return Accesses(
        **made, groups=groups, unknown=len(frame) - len(chosen), timed="start" in frame,
        writes=Writes(all_times[len(frame) :][at], np.full(len(exact), -1, dtype="int64"), exact, every),
    )  # fmt: skip


def _times(times: pd.Series[Any], writes: pd.DataFrame) -> Floats:
    """The seconds of accesses and then of writes, by one clock."""
    if not len(writes):
        return seconds(times)
    if times.isna().all() or "start" not in writes or writes["start"].isna().any():
        raise ValueError("writes= needs a column start with the time of every write, and x one for its accesses")
    return seconds(times, writes["start"])


def _values(attributes: object) -> str | None:
    """What a call was made with; None where nothing says."""
    if not isinstance(attributes, dict):
        return None
    if isinstance(attributes.get("perflab.values"), list):
        return repr(attributes["perflab.values"])
    known = sorted(
        (str(name), repr(value)) for name, value in attributes.items() if not str(name).startswith(_NOT_VALUES)
    )
    return repr(known) if known else None


def in_order(
    chosen: Ints,
    key: Ints,
    name: pd.Series[str],
    at_s: Floats,
    took: Floats,
    size: Floats,
    run: Ints,
    owner: Any,
    kind: str,
) -> tuple[dict[str, Any], Ints]:
    """The columns of `Accesses` for the chosen rows, by run and time; and their places in that order."""
    chosen = chosen[np.lexsort((at_s[chosen], run[chosen]))]
    candidate, names = pd.factorize(name.to_numpy(dtype=object)[chosen])
    found = {
        "key": pd.factorize(key[chosen])[0].astype("int64"), "candidate": candidate.astype("int64"),
        "candidates": tuple(map(str, names)), "at_s": at_s[chosen], "took_ms": took[chosen], "size_bytes": size[chosen],
        "run": run[chosen], "owner": owner[chosen], "row": chosen, "kind": kind,
    }  # fmt: skip
    return found, chosen


def key_of(frame: pd.DataFrame, keys: Keys, columns: Sequence[str]) -> Ints:
    """The code of each row's key by columns or a function, within other columns."""
    if callable(keys):
        given = keys(frame)
        if len(given) != len(frame):
            raise ValueError(f"keys must give a key for each of {len(frame):,} rows; got {len(given):,}")
        if isinstance(given, pd.Series) and frame.index.is_unique and not given.index.equals(frame.index):
            if not given.index.isin(frame.index).all():
                raise ValueError("keys must give a Series with the index of the table, or a list in its order")
            given = given.reindex(frame.index)
        return codes_of(*(frame[c].fillna("") for c in columns), pd.Series(np.asarray(given, dtype=object)))
    named = [keys] if isinstance(keys, str) else list(keys or ())
    for name in named:
        if name not in frame.columns:
            if name in _NEEDS:
                held = ", ".join(map(str, frame.columns))
                raise ValueError(f"keys={name!r} needs {_NEEDS[name]}; this table has the columns {held}")
            raise one_of("keys", name, list(map(str, frame.columns)))
    return codes_of(*(frame[c].fillna("") for c in columns if c not in named), *(frame[c] for c in named))


def names_of(keys: Keys) -> tuple[str, ...]:
    """The columns that make a key; "key" for a function's."""
    return ("key",) if callable(keys) or keys is None else (keys,) if isinstance(keys, str) else tuple(keys)


def sizes_of(frame: pd.DataFrame) -> Floats:
    name = next((c for c in _SIZES if c in frame.columns), None)
    if name is None:
        return np.full(len(frame), np.nan)
    found: Floats = pd.to_numeric(frame[name]).astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
    if (found < 0).any():
        raise ValueError(f"{name} must not be negative; got {np.nanmin(found):g}")
    return found
