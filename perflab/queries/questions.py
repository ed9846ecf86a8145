"""Which statements ask the same: the same text and values, of the same database, in the same state of the session.

What a log does not hold can't be compared: a placeholder without a value, a text that was cut, a value that was filtered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.queries.fingerprint import MAX_SQL
from perflab.queries.tokens import Token, tokens
from perflab.queries.values import values_in

Ints = npt.NDArray[np.int64]

_KNOWN, _BOUND, _UNKNOWN = range(3)
"""All values are in the text; some are bound to placeholders; some are nowhere."""

_SUSPECT = re.compile(
    r"[?$@{#…]|%s|%\(|:\w|\.\.\.|\*\*|xxx|\[\W*\w+\W*\]|filtered|redacted|masked|scrubbed|removed|<\w+>", re.I
)
_MASK = re.compile(r"[\[<({]\s*(?:filtered|redacted|masked|scrubbed|removed|hidden)\s*[\])}>]|\*{3,}|\?+|x{4,}", re.I)
_MASKED_NAME = re.compile(r"[=(,<>]\s*\[(?:\?|filtered|redacted|masked|scrubbed|removed)\]", re.I)
_UNFINISHED = re.compile(
    r"(?:[=<>(,.+|\-]|\b(?:and|or|where|in|like|not|select|from|on|by|limit|offset|set|values|between|join))\s*$", re.I
)
_BEFORE_VALUE = frozenset(
    {"=", "@", "<", ">", "<=", ">=", "<>", "(", ",", "~", "@>", "<@", "like", "ilike", "and", "between", "limit", "offset",
     "in", "any", "next", "from"}
)  # fmt: skip
_ENDS_WELL = frozenset({")", "]", "*", ";", "}"})
_LIMITS = frozenset(
    {64, 100, 128, 200, 250, 255, 256, 500, 511, 512, 1000, 1023, 1024, 2000, 2047, 2048, 4000, 4095, 4096, 8000, 8192,
     10_000, 16_384, 32_768, 65_535, 65_536, MAX_SQL}
)  # fmt: skip
"""Lengths at which tools cut a text. Few statements have just such a length by chance."""


def questions(frame: pd.DataFrame, dialect: str) -> Ints:
    """A code for each statement, equal where the same is asked; -1 where its values are not known."""
    if not len(frame):
        return np.zeros(0, dtype="int64")
    texts, different = pd.factorize(without_comments(frame["sql"]))
    kinds = np.array([_kind(str(text), dialect) for text in different], dtype="int64")[texts]
    values = _value_codes(frame["parameters"])
    known = kinds == _KNOWN
    bound = np.flatnonzero((kinds == _BOUND) & (values >= 0))
    if len(bound):
        known[bound] = _all_bound(frame.iloc[bound], texts[bound], values[bound], dialect)
    key = pd.DataFrame({"text": texts, "values": np.where(kinds == _KNOWN, -1, values)})
    for column in ("database", "state"):
        if column in frame:
            key[column] = pd.factorize(frame[column])[0]
    return np.where(known, key.groupby(list(key.columns), sort=False).ngroup().to_numpy(), -1)


def without_comments(sql: pd.Series[str]) -> pd.Series[str]:
    """The texts without comments, which may hold ids."""
    return sql.str.replace(r"/\*[^*]*\*/", "", regex=True) if sql.str.contains("/*", regex=False).any() else sql


def _all_bound(frame: pd.DataFrame, texts: Ints, values: Ints, dialect: str) -> npt.NDArray[np.bool_]:
    """Whether each placeholder has a value."""
    _, first, back = np.unique(texts * (values.max() + 1) + values, return_index=True, return_inverse=True)
    part = frame[["sql", "parameters"]].iloc[first]
    complete = [
        all(value is not None for value in values_in(sql, parameters, dialect))
        for sql, parameters in zip(part["sql"], part["parameters"], strict=True)
    ]
    return np.array(complete, dtype=bool)[back]


def _value_codes(parameters: pd.Series[Any]) -> Ints:
    """A code for each statement's parameters (a list, a mapping or a text), equal where they are; -1 where there are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = getattr(parameters.dtype, "pyarrow_dtype", None)
    if kind is None or not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return _codes([_written(v) for v in parameters])
    lists = (
        pa.chunked_array(pa.array(parameters.array)).combine_chunks() if len(parameters) else pa.array([], type=kind)
    )
    kind = pa.large_string()
    texts = lists.flatten().cast(kind)
    size = pc.binary_length(texts).cast(kind)
    marked = pc.binary_join_element_wise(size, texts, pa.scalar(":", kind))  # no two lists are joined to one text
    ends = np.append(0, np.cumsum(pc.fill_null(lists.value_lengths(), 0).to_numpy(zero_copy_only=False)))
    parts = pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), pc.fill_null(marked, pa.scalar("null", kind)))
    joined = pc.binary_join(parts, pa.scalar(" ", kind))
    codes = pc.if_else(lists.is_valid(), joined, None).dictionary_encode().indices
    found: Ints = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype("int64")
    return found


def _codes(values: list[str | None]) -> Ints:
    codes: Ints = pd.factorize(np.array(values, dtype=object))[0].astype("int64")
    return codes


def _written(value: Any) -> str | None:
    """One statement's parameters as a text; an array's own would leave out its middle."""
    if isinstance(value, np.ndarray):
        return str(value.tolist())
    return None if value is None or value is pd.NA or value != value else str(value)


@lru_cache(maxsize=4096)
def _kind(sql: str, dialect: str) -> int:
    text = sql.rstrip()
    if len(sql) in _LIMITS or len(sql) > MAX_SQL or text.endswith(("...", "…")) or _UNFINISHED.search(text[-12:]):
        return _UNKNOWN
    uneven = text.count("'") % 2 or text.count('"') % 2 or text.count("(") != text.count(")")
    if not uneven and not _SUSPECT.search(text):
        return _KNOWN
    return _kind_of_words(text, dialect)


def _kind_of_words(sql: str, dialect: str) -> int:
    words = list(tokens(sql, dialect))
    depth = sum((text == "(") - (text == ")") for kind, text in words if kind == "operator")
    kind, last = words[-1] if words else ("", "")
    unfinished = kind == "operator" and last not in _ENDS_WELL
    if depth > 0 or unfinished or (kind in ("value", "name") and _opened(last)) or _MASKED_NAME.search(sql):
        return _UNKNOWN
    if any(_missing(words, place) for place in range(len(words))):
        return _UNKNOWN
    return _BOUND if any(kind == "placeholder" for kind, _ in words) else _KNOWN


def _missing(words: list[Token], place: int) -> bool:
    """Whether a value is not there: a mask in its place, a variable, a placeholder of another dialect."""
    kind, text = words[place]
    following = [word for _, word in words[place + 1 : place + 3]]
    if kind == "value":
        return text[:1] in "'\"" and _MASK.fullmatch(text[1:-1]) is not None
    if kind != "operator" or not following:
        return False
    if text in ("@", "$", ":"):
        return words[place - 1][1].lower() in _BEFORE_VALUE and following[0].replace("_", "").isalnum()
    return (text == "{" and following[1:] == ["}"]) or (text in "*." and text == following[0])


def _opened(text: str) -> bool:
    """Whether a quote opens the text and none closes it."""
    return text[:1] in "'\"`" and (len(text) == 1 or text[-1] != text[0])


_SETS = re.compile(
    r"(?:set (?!transaction\b|(?:local|session) transaction\b|constraints\b|names\b|autocommit\b|timestamp\b|sql_)|use\b"
    r"|select (?:pg_catalog\.)?set_config\(|reset\b|discard\b|alter session\b)"
)
_ENDS = re.compile(r"(?:commit|rollback|end|abort)\b(?! to\b)")
_LOCAL = re.compile(r"set local\b|select (?:pg_catalog\.)?set_config\(.*(?:true|\?)\s*\)")


def session_states(frame: pd.DataFrame, fingerprints: Sequence[str]) -> Ints:
    """What each statement's session was set to (schema, tenant, role): a code, by unit and session, in the frame's order."""
    total = len(frame)
    fp = frame["fp"].to_numpy()
    sets = {code for code, text in enumerate(fingerprints) if _SETS.match(text)}
    if not sets or not total:
        return np.zeros(total, dtype="int64")
    local = {code for code in sets if _LOCAL.match(fingerprints[code])}
    ends = {code for code, text in enumerate(fingerprints) if _ENDS.match(text)} if local else set()
    place = np.flatnonzero(np.isin(fp, list(sets | ends)))
    part = frame.iloc[place]
    owner = pd.factorize(part["unit"].astype("str") + "|" + part["session"].astype("str"))[0]
    codes: dict[frozenset[tuple[str, str]], int] = {frozenset(): 0}
    now: dict[int, dict[str, tuple[str, bool]]] = {}
    found = np.zeros(len(place), dtype="int64")
    for number, (who, code, sql, values) in enumerate(
        zip(owner.tolist(), fp[place].tolist(), part["sql"], part["parameters"], strict=True)
    ):
        state = now.setdefault(who, {})
        if code in ends:
            now[who] = state = {name: kept for name, kept in state.items() if not kept[1]}
        else:
            state[_setting(fingerprints[code], str(sql))] = (f"{sql} {values}", code in local)
        found[number] = codes.setdefault(frozenset((n, v[0]) for n, v in state.items()), len(codes))
    every = pd.factorize(frame["unit"].astype("str") + "|" + frame["session"].astype("str"))[0]
    marks = pd.Series(np.nan, index=range(total))
    marks.iloc[place] = found
    states: Ints = marks.groupby(every).ffill().fillna(0).to_numpy(dtype="int64")
    return states


def _setting(fingerprint: str, sql: str) -> str:
    """The name of what is set; one for all that clears everything."""
    if fingerprint.startswith("select"):
        named = re.search(r"'([^']*)'", sql)
        return f"config {named[1]}" if named else "config"
    named = re.match(r"(?:set|reset|alter session set) (?:local |session )?([\w.]+)", fingerprint)
    return named[1] if named else fingerprint.split(" ")[0]
