"""Units of work: which statements belong to one request, transaction or job, and how sure that is.

A trace id is best, then a request id. Without either, each session is cut: at BEGIN and COMMIT, at resets (what a pool
does when it hands a connection on), and, failing all else, at pauses. A pause means little on a pool under load, so
units found by it have a low confidence, and no pattern in them is "confirmed".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.notes import Note
from perflab.queries import comments
from perflab.queries.findings_notes import UNITS_BY_PAUSES, UNITS_BY_SESSION

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FOUND_BY = (
    "trace", "request", "transaction", "session reset", "opening statement", "connection", "session", "time gap",
)  # fmt: skip
LOW = 6
"""From this place in ``FOUND_BY`` on the confidence is low."""

_NOTHING, _BEGIN, _END, _HANDED_BACK, _TAKEN = range(5)
_BEGINS = re.compile(r"(?:begin|start transaction)\b")
_ENDS = re.compile(r"(?:commit|rollback|end|abort)\b(?! (?:work )?(?:to|prepared)\b)|prepare transaction\b")
_HANDS_BACK = re.compile(
    r"(?:discard|close|deallocate|reset|unlisten) (?:all|\*)|select pg_advisory_unlock_all\(\)|quit$"
    r"|set session authorization default|sp_reset_connection"
)
_TAKES = re.compile(r"(?:select \?(?: from dual)?|ping|connect|change user|reset connection|)$|set autocommit\b")
_SHORTEST_GAP_MS, _LONGEST_GAP_MS, _TYPICAL_GAPS, _WHOLE_SECONDS_MS = 20.0, 1000.0, 20.0, 500.0


_RARE, _RARE_BY_SECONDS = 3, 2
"""With so many times more pauses than resets (or commits) in a session, those are not how it is handed on: a health check."""

_APART, _VALLEY, _ENOUGH = 8.0, 0.05, 200
"""Two kinds of pauses differ by such a factor, and at most such a share lies between them; decided from so many."""

_FEWEST_BURSTS, _NEARLY_ALL, _PREAMBLE, _ROUTES, _MOST_OF_ONE = 5, 0.95, 4, 3, 0.7
"""What opens a request: after so many pauses, nearly each time, then at most so many of the same, then so many different."""

_MANY_SESSIONS, _SHORT_LIFE = 20, 0.05
"""So many connections, nearly all for such a share of the log's time, are one for each request."""

_FEW = 0.05
"""A share of statements that is no cause for a warning: what a client does when it connects."""


@dataclass(frozen=True, eq=False)
class Units:
    """A code for each statement (the place of its unit in ``names``), and by what each unit was found (a place in
    `FOUND_BY`). ``notes`` say what limits it."""

    codes: Ints
    names: pd.Index[str]
    found_by: Ints
    notes: tuple[Note, ...] = ()

    @property
    def low(self) -> Flags:
        """Which units have a low confidence."""
        return self.found_by >= LOW


def units_of_work(
    queries: pd.DataFrame,
    prints: Ints,
    fingerprints: Sequence[str],
    *,
    gap_ms: float | None = None,
    begins: Flags | None = None,
) -> Units:
    """Units of statements whose fingerprints are ``fingerprints[prints]``; ``begins`` are those that open a request."""
    total = len(queries)
    run = _codes(queries["run"]) if "run" in queries.columns else np.zeros(total, dtype="int64")
    trace, request = _ids(queries, "trace"), _ids(queries, "unit")
    keys = np.where(trace >= 0, trace, np.where(request >= 0, request + trace.max(initial=-1) + 1, -1))
    by = np.where(trace >= 0, FOUND_BY.index("trace"), FOUND_BY.index("request"))
    rest = np.flatnonzero(keys < 0)
    gap = 0.0
    if len(rest):
        marks = np.array([_mark(text) for text in fingerprints], dtype="int64")[prints[rest]]
        opens = begins[prints[rest]] if begins is not None else None
        found, how, gap = _of_sessions(queries.iloc[rest], run[rest], prints[rest], marks, gap_ms, opens)
        keys, by = keys.copy(), by.copy()
        keys[rest] = found + keys.max(initial=-1) + 1
        by[rest] = how
    codes, first = _numbered(run, keys, instants(queries))
    found_by = _declared(queries, first, by[first])
    return Units(codes, _names(queries, first, trace, request), found_by, _notes(codes, found_by, gap))


def _mark(text: str) -> int:
    if _BEGINS.match(text):
        return _BEGIN
    if _ENDS.match(text):
        return _END
    if _HANDS_BACK.match(text):
        return _HANDED_BACK
    return _TAKEN if _TAKES.match(text) else _NOTHING


def _codes(values: pd.Series[str]) -> Ints:
    codes: Ints = pd.factorize(values)[0].astype("int64")
    return codes


def _ids(queries: pd.DataFrame, column: str) -> Ints:
    """Codes of the column, or of the ids that the statements carry in their comments; -1 where there is none."""
    if column in queries.columns and queries[column].notna().any():
        values = queries[column].astype("str")
        return _codes(values.where(values.str.strip() != ""))
    found = comments.ids(queries["sql"], column)
    return np.full(len(queries), -1, dtype="int64") if found is None else _codes(found)


def _numbered(run: Ints, keys: Ints, start: Ints) -> tuple[Ints, Ints]:
    """Codes in order of first appearance for each (run, key), and the place of the earliest statement of each."""
    width = keys.max(initial=0) + 1
    codes, _ = pd.factorize(run * width + keys)
    latest = np.argsort(start, kind="stable")[::-1]
    first = np.full(codes.max(initial=-1) + 1, -1, dtype="int64")
    first[codes[latest]] = latest
    return codes.astype("int64"), first


def _of_sessions(
    queries: pd.DataFrame, run: Ints, prints: Ints, marks: Ints, gap_ms: float | None, opens: Flags | None
) -> tuple[Ints, Ints, float]:
    """A number of the unit of each statement, how it was found, and the pause that was taken for an end."""
    session = _session_codes(queries, run)
    start = instants(queries)
    order = np.lexsort((np.arange(len(session)), start, session))
    session, start, marks, prints = session[order], start[order], marks[order], prints[order]
    place = np.arange(len(order))
    opened = np.append(True, session[1:] != session[:-1])
    began = np.maximum.accumulate(np.where(opened, place, 0))
    begin = np.maximum.accumulate(np.where(marks == _BEGIN, place, -1))
    end = np.append(-1, np.maximum.accumulate(np.where(marks == _END, place, -1))[:-1])
    inside = (begin >= began) & (begin > end)
    bare_end = (marks == _END) & ~inside
    back, taken = (marks == _HANDED_BACK) & ~inside, (marks == _TAKEN) & ~inside
    ends, resets = _count(session, bare_end), _count(session, back | taken)
    pauses = _pauses(queries["duration_ms"].to_numpy(dtype="float64")[order], start, opened)
    gap = gap_ms if gap_ms is not None else _gap(pauses)
    moved = np.append(True, inside[1:] != inside[:-1])
    after = np.append(False, (bare_end | back)[:-1]) & ~(back | bare_end)
    by_gap = (ends == 0) & (resets < 2)
    # Where the log knows whole seconds only, a pause is a step to another second that no duration explains, one a second at most.
    longer, rare = (gap, _RARE) if (start % 1_000_000).any() else (_WHOLE_SECONDS_MS, _RARE_BY_SECONDS)
    loose = _count(session, (pauses > longer) & ~(inside | opened | taken | after))
    by_gap |= loose > rare * np.maximum(_count(session, taken | after), 1)
    whole = _one_request_each(session, start, prints, opened)
    by_gap &= ~whole
    cut = opened | taken | after | (by_gap & ((pauses > gap) | moved))
    opening = by_gap & (opens[order] if opens is not None else openings(prints, by_gap, cut))
    if opens is not None or opening.any():
        cut = np.where(by_gap, opened | moved | opening, cut)
    stretch = np.cumsum(cut)
    how = np.where((ends > 0) & ~by_gap, FOUND_BY.index("transaction"), FOUND_BY.index("session reset"))
    how = np.where(by_gap, _gap_or_session(session, stretch), how)
    how = np.where(whole, FOUND_BY.index("connection"), how)
    how = np.where(by_gap & opening.any(), FOUND_BY.index("opening statement"), how)
    unit = np.where(inside, len(order) + begin, stretch)
    found, by = np.empty_like(unit), np.empty_like(unit)
    found[order], by[order] = unit, np.where(inside, FOUND_BY.index("transaction"), how)
    return pd.factorize(found)[0].astype("int64"), by, gap


def openings(prints: Ints, by_gap: Flags, cut: Flags) -> Flags:
    """The statements that open a request, where one kind does: it comes after each pause, and as often in between.

    It is followed by the same (the user of the session), and then by one thing or another. Found only where bursts hold
    several requests; else a loop over pairs, or a page that is always the first, would look the same.
    """
    nothing = np.zeros(len(prints), dtype=bool)
    place = np.flatnonzero(by_gap)
    starts = np.flatnonzero(cut & by_gap)
    if len(starts) < _FEWEST_BURSTS:
        return nothing
    kinds, times = np.unique(prints[starts], return_counts=True)
    opener = kinds[int(np.argmax(times))]
    mine = place[prints[place] == opener]
    if times.max() < _NEARLY_ALL * len(starts) or len(mine) < 2 * len(starts):
        return nothing
    for ahead in range(1, _PREAMBLE + 1):
        following = prints[np.minimum(mine + ahead, len(prints) - 1)]
        _, counts = np.unique(following, return_counts=True)
        share = counts.max() / len(mine)
        if share < _NEARLY_ALL:
            varied = len(counts) >= _ROUTES and share <= _MOST_OF_ONE
            return np.isin(np.arange(len(prints)), mine) if varied else nothing
    return nothing


def _one_request_each(session: Ints, start: Ints, prints: Ints, opened: Flags) -> Flags:
    """Where each connection is one request (Django's default): many short ones that start with the same preamble."""
    begin = np.flatnonzero(opened)
    if len(begin) < _MANY_SESSIONS:
        return np.zeros(len(session), dtype=bool)
    last = np.append(begin[1:], len(session)) - 1
    _, counts = np.unique(prints[begin], return_counts=True)
    preamble = counts.max() >= _NEARLY_ALL * len(begin)
    lifetimes, log = start[last] - start[begin], int(start.max() - start.min())
    # Of the statements, not of the connections: a pool may open many for a moment beside those that it keeps.
    short = log > 0 and float(np.mean((lifetimes <= _SHORT_LIFE * log)[np.cumsum(opened) - 1])) >= _NEARLY_ALL
    return np.full(len(session), bool(preamble and short))


def _session_codes(queries: pd.DataFrame, run: Ints) -> Ints:
    codes = run
    for column in ("session", "database", "user", "application"):
        if column in queries.columns and queries[column].notna().any():
            part = _codes(queries[column].astype("str")) + 1
            codes = _codes(pd.Series(codes * (part.max(initial=0) + 1) + part))
            if column == "session":
                break
    return codes


def _count(session: Ints, flags: Flags) -> Ints:
    return np.bincount(session, weights=flags).astype("int64")[session]


def _pauses(took: npt.NDArray[np.float64], start: Ints, opened: Flags) -> npt.NDArray[np.float64]:
    """Milliseconds between the end of the statement before and the start of this one, within a session."""
    ended = start / 1e3 + took
    pause = np.append(0.0, start[1:] / 1e3 - ended[:-1])
    return np.where(opened, 0.0, np.maximum(pause, 0.0))


def _gap(pauses: npt.NDArray[np.float64]) -> float:
    """A pause between the two kinds that there are, or else well above the usual one, which then lies within a unit."""
    usual = float(np.quantile(pauses, 0.75)) if len(pauses) else 0.0
    between = _between_kinds(np.log(pauses[pauses > 0]))
    found = usual * _TYPICAL_GAPS if between is None else between
    return float(np.clip(found, _SHORTEST_GAP_MS, _LONGEST_GAP_MS))


def _between_kinds(logs: npt.NDArray[np.float64]) -> float | None:
    """Where to part short pauses from long ones (Otsu 1979: most variance between the two); None if they are of one kind."""
    ordered = np.sort(logs)
    if len(ordered) < _ENOUGH:
        return None
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    low, high = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(ordered) - below)
    best = int(np.argmax(below * (len(ordered) - below) * (high - low) ** 2))
    middle = (low[best] + high[best]) / 2
    width = (high[best] - low[best]) / 4
    valley = float(np.mean(np.abs(ordered - middle) < width / 2))
    apart = high[best] - low[best] >= np.log(_APART) and valley <= _VALLEY
    return float(np.exp(middle)) if apart else None


def _gap_or_session(session: Ints, stretch: Ints) -> Ints:
    """A session that was never cut, among many of the kind, is one connection for each request."""
    cuts = pd.Series(stretch).groupby(session).transform("nunique").to_numpy()
    many = session.max(initial=0) >= 7
    return np.where((cuts == 1) & many, FOUND_BY.index("session"), FOUND_BY.index("time gap"))


def instants(queries: pd.DataFrame) -> Ints:
    """Microseconds since 1970; zero where the table has no times."""
    if "start" not in queries.columns or queries["start"].isna().all():
        return np.zeros(len(queries), dtype="int64")
    found: Ints = queries["start"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
    return found


def _declared(queries: pd.DataFrame, first: Ints, found_by: Ints) -> Ints:
    """What `assign_units` wrote with a unit that it found."""
    if "unit_by" not in queries.columns:
        return found_by
    said = queries["unit_by"].iloc[first].astype("str")
    known = said.map({name: place for place, name in enumerate(FOUND_BY)}).to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isnan(known), found_by, np.nan_to_num(known)).astype("int64")


def _names(queries: pd.DataFrame, first: Ints, trace: Ints, request: Ints) -> pd.Index[str]:
    """The id, or where to find the unit in the log: ``session@time of its first statement``."""
    rows = queries.iloc[first]
    session = rows["session"].astype("str").fillna("") if "session" in rows else pd.Series("", index=rows.index)
    when = pd.Series(pd.to_datetime(instants(rows), unit="us", utc=True)).dt.strftime("%H:%M:%S.%f")
    names = pd.Series(session.to_numpy(dtype=object) + np.array("@", dtype=object) + when.to_numpy(dtype=object))
    for column, codes in (("unit", request), ("trace", trace)):
        known = codes[first] >= 0
        if known.any():
            held = column in queries and queries[column].notna().any()
            given = queries[column] if held else comments.ids(queries["sql"], column)
            names = names.where(~known, pd.Series(np.asarray(given, dtype=object)[first]))
    again = names.groupby(names, sort=False).cumcount()
    numbered = (again > 0).to_numpy() & (trace[first] < 0) & (request[first] < 0)
    names = names.where(~numbered, names.astype("str") + "#" + (again + 1).astype("str"))
    return pd.Index(names.astype("str"), dtype="str")


def _notes(codes: Ints, found_by: Ints, gap: float) -> tuple[Note, ...]:
    low = found_by >= LOW
    statements = int(low[codes].sum())
    if statements <= _FEW * len(codes):
        return ()
    facts = {
        "statements": statements, "total": len(codes), "share_fraction": statements / len(codes), "units": int(low.sum())
    }  # fmt: skip
    if (found_by == FOUND_BY.index("time gap")).any():
        return (UNITS_BY_PAUSES(gap_ms=gap, **facts),)
    return (UNITS_BY_SESSION(**facts),)
