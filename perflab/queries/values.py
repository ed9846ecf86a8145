"""The values that a statement was asked with, from its literals and its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from perflab.queries.fingerprint import MAX_SQL, values_of
from perflab.queries.tokens import Token, tokens

_SHORT = 4000
"""Statements up to this length are taken apart once: those with placeholders come again and again."""


def key_values(sql: str, parameters: Any, slots: Sequence[int], dialect: str) -> tuple[str, ...] | None:
    """The values in these slots (negative ones from the end); None when they were not recorded.

    >>> key_values("SELECT * FROM t WHERE a = 5 AND b = ?", ["x"], (0, 1), "generic")
    ('5', 'x')
    """
    if not slots:
        return None
    found = values_in(sql, parameters, dialect)
    chosen = [found[s] if -len(found) <= s < len(found) else None for s in slots]
    return tuple(str(v) for v in chosen) if all(v is not None for v in chosen) else None


def limit_of(sql: str, parameters: Any, slot: int | None, listed: bool, dialect: str) -> float:
    """The most rows that the statement may return, by its LIMIT, else by the length of its only list; NaN if unknown."""
    if slot is not None:
        found = values_in(sql, parameters, dialect)
        value = found[slot] if -len(found) <= slot < len(found) else None
        return float(value) if value is not None and re.fullmatch(r"\d{1,9}", value) else math.nan
    return float(len(values_in(sql, parameters, dialect))) if listed else math.nan


def values_in(sql: str, parameters: Any, dialect: str) -> list[str | None]:
    """All values of a statement in the order of its text; None for those that were not recorded (null in ``parameters``)."""
    bound = _bound(parameters)
    found: list[str | None] = []
    position = 0
    for kind, text in _written(sql, dialect) if len(sql) < _SHORT else values_of(tokens(sql[:MAX_SQL], dialect)):
        if kind != "placeholder":
            found.append(text)
            continue
        found.append(_value(text, bound, position))
        position += 1
    return found


@lru_cache(maxsize=1024)
def _written(sql: str, dialect: str) -> tuple[Token, ...]:
    return tuple(values_of(tokens(sql, dialect)))


def _bound(parameters: Any) -> Sequence[Any] | Mapping[str, Any] | None:
    if type(parameters) in (list, dict):
        return parameters  # type: ignore[no-any-return]
    if parameters is None or isinstance(parameters, float):
        return None
    if isinstance(parameters, Mapping) or (isinstance(parameters, Sequence) and not isinstance(parameters, str)):
        return parameters
    return list(parameters) if hasattr(parameters, "__len__") and not isinstance(parameters, str) else None


def _value(placeholder: str, bound: Sequence[Any] | Mapping[str, Any] | None, position: int) -> str | None:
    if bound is None:
        return None
    if isinstance(bound, Mapping):
        name = placeholder[2:-2] if placeholder.startswith("%(") else placeholder.lstrip(":@$?")
        value = bound.get(name, bound.get(placeholder))
        return None if value is None else repr(value)
    at = int(placeholder[1:]) - 1 if placeholder[:1] in "$?" and placeholder[1:].isdigit() else position
    return str(bound[at]) if 0 <= at < len(bound) and bound[at] is not None else None
