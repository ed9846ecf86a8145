"""Tables that fit a page: the columns with information, with shorter contents."""

from __future__ import annotations

import re

import pandas as pd

_LONGEST_PATH = 44
_MEASURED = ("self", "total", "weight", "before", "after", "change", "low", "high")


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows without empty columns, with file and line combined, and a single unit moved to the headers.

    The saved CSV has every column.
    """
    shown = table.loc[:, [bool(table[c].notna().any()) or not len(table) for c in table.columns]]
    if {"file", "line"} <= set(shown.columns) or "file" in shown.columns:
        shown = _with_places(shown)
    if "unit" in shown.columns and shown["unit"].nunique(dropna=False) == 1:
        unit = str(shown["unit"].iloc[0])
        shown = shown.drop(columns="unit").rename(columns={c: f"{c}, {unit}" for c in _MEASURED})
    return shown


def _with_places(table: pd.DataFrame) -> pd.DataFrame:
    """Replace file and line with ``where`` (the end of the path, and the line), right after the function."""
    lines = table["line"] if "line" in table.columns else pd.Series(pd.NA, index=table.index)
    where = [
        "–" if pd.isna(file) else short_path(str(file)) + ("" if pd.isna(line) else f":{line}")
        for file, line in zip(table["file"], lines, strict=True)
    ]
    shown = table.drop(columns=[c for c in ("file", "line") if c in table.columns])
    place = list(shown.columns).index("function") + 1 if "function" in shown.columns else 0
    shown.insert(place, "where", where)
    return shown


def short_path(path: str) -> str:
    """A path from its package on, or its last parts.

    >>> short_path("/srv/venv/lib/python3.11/site-packages/sqlalchemy/orm/loading.py")
    'sqlalchemy/orm/loading.py'
    """
    found = re.split(r"[/\\\\](?:site|dist)-packages[/\\\\]", path)[-1]
    parts = re.split(r"[/\\\\]", found)
    while len("/".join(parts)) > _LONGEST_PATH and len(parts) > 1:
        parts = parts[1:]
    kept = "/".join(parts)
    return kept if kept == found or found != path else f"…/{kept}"
