"""Fingerprints of many statements, in two stages.

First each different text; when there are many, DuckDB's regular expressions (RE2: linear, on all cores) turn those into
skeletons, texts with their literals and the length of their lists taken out. Only the different skeletons, a few hundred
as a rule, then go through the tokens. Texts that the expressions can't take apart for sure skip the first stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.errors import one_of
from perflab.queries.fingerprint import MAX_SQL, of_text
from perflab.queries.tokens import DIALECTS

FEW = 1_000
"""Different texts that the tokens alone take less time for than DuckDB takes to start."""

_NUMBER = r"\b0[xXbBoO][0-9a-fA-F_]+\b|(?:\b\d[\d_]*(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?\b"
_STANDARD = r"'(?:[^']|'')*(?:'|\z)"
_BACKSLASH = r"(?s:'(?:[^'\\]|''|\\.)*(?:'|\\?\z))"
_DOUBLE = r'(?s:"(?:[^"\\]|""|\\.)*(?:"|\\?\z))'
_NAME = r'"(?:[^"]|"")*(?:"|\z)'
_BACKTICK = r"`(?:[^`]|``)*(?:`|\z)"
_BLOCK = r"/\*[^*]*(?:\*/|\z)"
_PREFIXED = r"\b(?:[xXbBnN]|[uU]&)" + _STANDARD

_LITERALS: Mapping[str, str] = MappingProxyType(
    {
        "generic": rf"({_NAME}|{_BACKTICK}|--[^\n]*|{_BLOCK})|\b[eE]{_BACKSLASH}|{_PREFIXED}|{_STANDARD}|[$?]\d+|{_NUMBER}",
        "postgresql": rf"({_NAME}|--[^\n]*|{_BLOCK})|\b[eE]{_BACKSLASH}|{_PREFIXED}|{_STANDARD}|\$\d+|{_NUMBER}",
        "mysql": rf"({_BACKTICK}|--\s[^\n]*|#[^\n]*|{_BLOCK})|\b[xXbBnN]?{_BACKSLASH}|{_BACKSLASH}|{_DOUBLE}|{_NUMBER}",
        "sqlite": rf"({_NAME}|{_BACKTICK}|\[[^\]'\"]*(?:\]|\z)|--[^\n]*|{_BLOCK})"
        rf"|\b[xX]{_STANDARD}|{_STANDARD}|\?\d+|\$\d+|{_NUMBER}",
    }
)
"""Kept in group 1: names and comments. What else matches is a literal."""

# What makes a number part of something other than a value: a sign, the OPERATOR or FUNCTION of a family, FETCH 100.
_SIGNED = r"""-\s*(?:(?:[a-zA-Z]|[uU]&)?'|["$?:%@/#])|-\s+-|(?i:operator|function|^\s*fetch|^\s*move)"""
# What is left of literals that touch words, as no one writes them.
_GLUED = r"\x01(?:[\w.$]|:[^:=]|@\w)|(?:\w&?|[:@])\x01|^[^\[]*\]"
_DOUBTFUL = r"""/\*[^*]*\*[^/]|\$\w*\$|\\['"]|\b[qQ]'"""
_UNSURE: Mapping[str, str] = MappingProxyType(
    {
        "generic": _DOUBTFUL + r"|#(?:[^>\-]|\z)|\w\$|\x01|" + _SIGNED,
        "postgresql": _DOUBTFUL + r"|#(?:[^>\-]|\z)|\w\$|\x01|" + _SIGNED,
        "mysql": _DOUBTFUL + r"|\w\$|\x01|_\w+\s*['\"]|" + _SIGNED,
        "sqlite": _DOUBTFUL + r"|#(?:[^>\-]|\z)|\w\$|\x01|" + _SIGNED,
    }
)
"""Texts with nested comments, dollar quotes and the like; and, outside of literals, letters beyond ASCII."""

_AFTER_NAME: Mapping[str, str] = MappingProxyType({"generic": '"`', "postgresql": '"', "mysql": "`", "sqlite": '"`]'})
_TAIL = r"\s*/\*[^*']*\*/\s*;?\s*$"
_LIST = r"(?i)(\bin\s*\(|\barray\s*\[)\s*-?\s*\x01(?:\s*,\s*-?\s*\x01)*\s*([)\]])"
_TUPLES = r"(\(\s*\x01(?:\s*,\s*\x01)*\s*\))(?:\s*,\s*\(\s*\x01(?:\s*,\s*\x01)*\s*\))+"


@overload
def fingerprint(sql: str, dialect: str = ...) -> str: ...
@overload
def fingerprint(sql: pd.Series[str], dialect: str = ...) -> pd.Series[str]: ...
def fingerprint(sql: str | pd.Series[str], dialect: str = "generic") -> str | pd.Series[str]:
    """The fingerprint of a statement, or of each statement of a Series (vectorised; the index is kept).

    Parameters
    ----------
    sql : str or Series
        One statement, or a pandas Series of them.
    dialect : str
        "postgresql", "mysql", "sqlite" or "generic". It decides what a quote is: ``"x"`` is a string in MySQL and a name
        elsewhere; ``\\'`` ends a string everywhere but in MySQL.

    Returns
    -------
    str or Series
        Statements longer than 200,000 characters are cut there, marked with "…".

    Raises
    ------
    ValueError
        An unknown dialect.

    Examples
    --------
    >>> import perflab as lab
    >>> lab.fingerprint("SELECT * FROM Book WHERE author_id = 7 AND lang IN ('en', 'de') LIMIT 5 -- page 1")
    'select * from book where author_id = ? and lang in (...) limit ?'
    >>> lab.fingerprint('SELECT "Name" FROM t WHERE x = "y"', dialect="mysql")
    'select ? from t where x = ?'
    """
    if dialect not in DIALECTS:
        raise one_of("dialect", dialect, DIALECTS)
    if isinstance(sql, str):
        return of_text(sql, dialect)
    return fingerprints(sql, dialect)


def fingerprints(sql: pd.Series[str], dialect: str) -> pd.Series[str]:
    """The fingerprint of each statement; missing ones stay missing."""
    codes, texts = fingerprint_codes(sql, dialect)
    known = pd.array(texts, dtype="str")
    return pd.Series(known.take(codes, allow_fill=True), index=sql.index, name="fingerprint")


def fingerprint_codes(sql: pd.Series[str], dialect: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The different fingerprints, and which of them each statement has (-1 where it is missing)."""
    raw, different = pd.factorize(sql)
    if len(different) > FEW:
        places, texts = _skeletons(different, dialect)
        raw = np.where(raw >= 0, places[raw], -1)
    else:
        texts = [str(text) for text in different]
    if not texts:
        return raw.astype("int64"), []
    codes, found = pd.factorize(np.array([of_text(text, dialect) for text in texts], dtype=object))
    return np.where(raw >= 0, codes[raw], -1).astype("int64"), [str(f) for f in found]


def _skeletons(different: Any, dialect: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The place of each text's skeleton, and the skeletons."""
    import duckdb
    import pyarrow as pa

    texts = pa.table({"sql": pa.array(different, type=pa.large_string())})
    with duckdb.connect() as connection:
        connection.register("texts", texts)
        done = connection.sql(_QUERIES[dialect]).to_arrow_table()["skeleton"].combine_chunks().dictionary_encode()
    return done.indices.to_numpy(zero_copy_only=False).astype("int64"), done.dictionary.to_pylist()


def _query(dialect: str) -> str:
    names = _AFTER_NAME[dialect]
    clean = (
        "replace(" * (len(names) + 1)
        + "bare"
        + "".join(f", '{end}\x01', '{end}')" for end in names)
        + ", '*/\x01', '*/')"
    )
    quoted = {k: v.replace("'", "''") for k, v in {"literals": _LITERALS[dialect], "unsure": _UNSURE[dialect]}.items()}
    opened = "".join(  # a name that is never closed ends with the text, and so would its mark
        f"OR (contains(bare, '{q}') AND (length(bare) - length(replace(bare, '{q}', ''))) % 2 = 1) "
        for q in names
        if q != "]"
    )
    opened += "OR length(replace(bare, '*/', '')) <> length(replace(bare, '/*', ''))"
    if "]" in names:
        opened += " OR length(replace(bare, '[', '')) <> length(replace(bare, ']', ''))"
    return f"""
        WITH cut AS (SELECT sql, regexp_replace(sql, '{_TAIL.replace("'", "''")}', '') AS short FROM texts),
        bare AS (SELECT sql, regexp_replace(short, '{quoted["literals"]}', '\\1\x01', 'g') AS bare FROM cut),
        clean AS (SELECT sql, {clean} AS bare FROM bare)
        SELECT CASE WHEN length(sql) > {MAX_SQL} OR regexp_matches(sql, '{quoted["unsure"]}')
                OR regexp_matches(bare, '[^\x00-\x7f]|{_GLUED}') {opened}
            THEN sql
            ELSE replace(regexp_replace(regexp_replace(bare,
                '{_LIST}', '\\1\x01\\2', 'g'), '{_TUPLES}', '\\1', 'g'), '\x01', ' 0 ')
            END AS skeleton
        FROM clean
    """


_QUERIES: Mapping[str, str] = MappingProxyType({dialect: _query(dialect) for dialect in _LITERALS})
