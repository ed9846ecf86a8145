"""Fingerprints of many statements: work once on each different text."""

from __future__ import annotations

import pandas as pd

from perflab.queries.fingerprint import fingerprint


def fingerprints(sql: pd.Series[str], dialect: str) -> pd.Series[str]:
    """The fingerprint of each statement; missing ones stay missing."""
    codes, texts = pd.factorize(sql)
    known = pd.array([fingerprint(str(text), dialect) for text in texts], dtype="str")
    return pd.Series(known.take(codes, allow_fill=True), index=sql.index, name="fingerprint")
