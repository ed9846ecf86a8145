"""A gate for tests: no N+1 in what was recorded."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.claims import CLAIMS
from perflab.queries.layout import laid_out
from perflab.queries.n_plus_one import find_n_plus_one
from perflab.units import format_number

_SHOWN = 5


def assert_no_n_plus_one(
    queries: pd.DataFrame | Measurements,
    threshold: int = 5,
    *,
    allow: Sequence[str] = (),
    dialect: str | None = None,
) -> None:
    """Raise AssertionError if the queries hold an N+1.

    For a test of your own: record the statements of a page (``recorded_queries``, a pytest fixture that comes with perflab, or a
    recorder), on data with at least ``threshold`` rows in each list.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    threshold : int
        A lookup repeated at least this often in a unit of work counts.
    allow : sequence of str
        Parts of fingerprints or call sites of children that are known and accepted: ``"from audit_log"``,
        ``"shop/reports.py:88"``.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Raises
    ------
    AssertionError
        Its text names each N+1, its parent, how often it ran, where it was called from and how to fix it. Statements
        appear as fingerprints, without values.
    ValueError, SchemaError
        As from `find_n_plus_one`.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> queries = pd.DataFrame({"sql": ["SELECT id FROM author", "SELECT id FROM book"], "duration_ms": 0.1, "unit": "r"})
    >>> lab.assert_no_n_plus_one(queries)
    """
    if isinstance(allow, str):
        raise ValueError(f"allow must be a sequence of texts; got the text {allow!r}")
    found = find_n_plus_one(queries, threshold, dialect=dialect)
    claimed = found[found["evidence"].isin(CLAIMS)]
    places = zip(claimed["child"], claimed["source"].fillna(""), strict=True)
    wrong = claimed[[not any(part in child or part in source for part in allow) for child, source in places]]
    if len(wrong):
        raise AssertionError(_report(wrong))


def _report(wrong: pd.DataFrame) -> str:
    lines = [f"{len(wrong)} N+1 found:"]
    for row in wrong.head(_SHOWN).itertuples():
        where = f" in {row.route}" if isinstance(row.route, str) else ""
        lines += [
            laid_out(str(row.child), "  "),
            f"    ran {format_number(row.calls_per_unit)} times per unit of work{where} ({row.evidence}), once for each row of",
            laid_out(str(row.parent), "  "),
        ]
        if isinstance(row.source, str):
            lines.append(f"    called from {row.source}")
        lines.append(f"    {row.suggestion}")
    if len(wrong) > _SHOWN:
        lines.append(f"  and {len(wrong) - _SHOWN} more")
    return "\n".join(lines)
