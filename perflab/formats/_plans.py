"""Plans of PostgreSQL's auto_explain in its log: https://www.postgresql.org/docs/current/auto-explain.html

The rows that the top of a plan really gave are the size of what the statement returned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

_ROOT = re.compile(
    r"\n[^\n]*  \(cost=[\d.]+ rows=\d+ width=\d+\)"
    r"(?: \((?:actual (?:time=[\d.]+ )?rows=(?P<rows>[\d.]+) loops=(?P<loops>\d+)|never executed)\))?(?=\n|$)"
)
_PARAMETERS = "\nQuery Parameters: "


class Plan(NamedTuple):
    """The statement of a plan, the rows that it returned (None without log_analyze) and its parameters as they are logged."""

    sql: str
    rows: int | None
    parameters: str | None


def plan(message: str) -> Plan | None:
    """The plan in ``duration: 0.009 ms  plan:`` and what follows, as text or JSON; None for other formats and cut ones.

    >>> text = "Query Text: SELECT a FROM t\\nSeq Scan on t  (cost=0.00..1.2 rows=2 width=8) (actual rows=3 loops=1)"
    >>> plan(f"duration: 1 ms  plan:\\n{text}")
    Plan(sql='SELECT a FROM t', rows=3, parameters=None)
    """
    body = message.partition(" plan:")[2].lstrip()
    if body.startswith("{"):
        return _of_json(body)
    if not body.startswith("Query Text: "):
        return None
    root = _ROOT.search(body)
    if root is None:
        return None
    sql, _, parameters = body[len("Query Text: ") : root.start()].partition(_PARAMETERS)
    rows = round(float(root["rows"]) * int(root["loops"])) if root["rows"] and len(root["rows"]) < 15 else None
    return Plan(sql, rows, parameters or None)


def _of_json(body: str) -> Plan | None:
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("Query Text"), str):
        return None
    top = found.get("Plan")
    rows, loops = (top.get("Actual Rows"), top.get("Actual Loops")) if isinstance(top, dict) else (None, None)
    parameters = found.get("Query Parameters")
    returned = None
    if isinstance(rows, (int, float)) and isinstance(loops, int) and 0 <= rows * loops < 1e15:
        returned = round(rows * loops)
    return Plan(found["Query Text"], returned, parameters if isinstance(parameters, str) else None)


def owners(
    places: list[int], found: list[Plan], statements: Any, kinds: Any, sessions: Any, texts: Sequence[str | None]
) -> list[int]:
    """Which statement (its number, -1 for none) each plan belongs to, all places in the order of sessions and lines.

    A plan is logged when its execution ends: before the record of a simple query or of a prepared change, but behind
    that of a prepared SELECT, whose portal is closed by what comes next (a COMMIT, which may be logged before).
    """
    import numpy as np

    after = np.searchsorted(statements, places)
    taken: set[int] = set()
    chosen = []
    for place, one, following in zip(places, found, after.tolist(), strict=True):
        owner = -1
        for number, allowed in ((following - 1, "eq"), (following - 2, "eq"), (following, "se")):
            if (
                0 <= number < len(texts) and kinds[number] in allowed and (number not in taken or kinds[number] == "q")
                and sessions[statements[number]] == sessions[place] and texts[number] == one.sql
            ):  # fmt: skip
                owner = number
                break
        if owner >= 0 and kinds[owner] != "s":  # several plans of one simple query are of its several statements
            taken.add(owner)
        chosen.append(owner)
    return chosen
