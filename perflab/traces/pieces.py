"""Calls that perflab's request recorder wrote in pieces (connecting, sending, waiting, reading the body) as one span each.

And without the waits of a request for its own threads: what it waits for then are their calls.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

_KINDS = ("downstream", "database")
_RIGHT_AFTER_NS = 1_000_000


def whole_calls(spans: pd.DataFrame) -> pd.DataFrame:
    """The spans with the pieces of a call joined: from its first to its last, under the name of the call."""
    spans = _without_waits_for_own_threads(spans)
    if "kind" not in spans.columns or not spans["kind"].isin(_KINDS).any():
        return spans
    pieces = spans["kind"].isin(_KINDS) & spans["name"].astype("str").str.startswith("(")
    if not pieces.any():
        return spans
    part = spans[spans["kind"].isin(_KINDS)]
    keys = [part[c].astype("str") for c in ("run", "trace", "parent") if c in part.columns]
    group = pd.MultiIndex.from_arrays([*keys, part["kind"].astype("str"), _strands(part)])
    code = pd.factorize(group)[0]
    first = pd.DatetimeIndex(part["start"]).as_unit("ns").asi8
    last = first + np.rint(part["duration_ms"].to_numpy("float64") * 1e6).astype("int64")
    order = np.lexsort([last, first, code])
    joined = _joined(
        code[order].tolist(), part["name"].astype("str").to_numpy()[order].tolist(),
        (part["kind"] == "database").to_numpy()[order].tolist(), first[order].tolist(), last[order].tolist(),
    )  # fmt: skip
    places = part.index.to_numpy()[order]
    gone = {places[i] for i, (_, _, owner) in enumerate(joined) if owner != i}
    kept = [i for i, (_, _, owner) in enumerate(joined) if owner == i]
    found = spans.copy()
    at = places[kept]
    found.loc[at, "start"] = pd.to_datetime([joined[i][0] for i in kept], utc=True).as_unit("us")
    found.loc[at, "duration_ms"] = [(joined[i][1] - joined[i][0]) / 1e6 for i in kept]
    return found[~found.index.isin(gone)].reset_index(drop=True)


def _without_waits_for_own_threads(spans: pd.DataFrame) -> pd.DataFrame:
    if "kind" not in spans.columns or "attributes" not in spans.columns or not (spans["kind"] == "lock").any():
        return spans
    strand = np.array(_strands(spans))
    calls = spans["kind"].isin(_KINDS).to_numpy() & (strand > 0)
    locks = (spans["kind"] == "lock").to_numpy()
    keys = [spans[c].astype("str") for c in ("run", "trace") if c in spans.columns]
    trace = pd.factorize(pd.MultiIndex.from_arrays(keys))[0]
    first = pd.DatetimeIndex(spans["start"]).as_unit("ns").asi8
    last = first + np.rint(spans["duration_ms"].to_numpy("float64") * 1e6).astype("int64")
    by_trace: dict[int, list[tuple[int, int, int]]] = {}
    for place in np.flatnonzero(calls).tolist():
        by_trace.setdefault(int(trace[place]), []).append((int(first[place]), int(last[place]), int(strand[place])))
    gone = [
        place
        for place in np.flatnonzero(locks).tolist()
        for begin, end, own in by_trace.get(int(trace[place]), ())
        if own != strand[place] and begin < last[place] and end > first[place]
    ]
    return spans.drop(index=spans.index[list(set(gone))]) if gone else spans


def _strands(part: pd.DataFrame) -> list[int]:
    if "attributes" not in part.columns:
        return [0] * len(part)
    return [int(a.get("perflab.strand", 0)) if isinstance(a, Mapping) else 0 for a in part["attributes"]]


def _joined(
    codes: list[int], names: list[str], statements: list[bool], first: list[int], last: list[int]
) -> list[tuple[int, int, int]]:
    """Begin, end and owner of each piece: the place of the call that it belongs to, itself where it is one."""
    found = [(first[i], last[i], i) for i in range(len(codes))]
    ahead: list[int] = []  # what comes before the name of a call is known: connecting and sending
    call = -1
    for i, name in enumerate(names):
        if i and codes[i] != codes[i - 1]:
            ahead, call = [], -1
        if not name.startswith("("):
            call = i
            own = [p for p in ahead if _host(names[p]) in ("", _host(name)) and not statements[i]]
            for piece in own:
                found[piece] = (first[piece], last[piece], i)
            found[i] = (min([first[i], *(first[p] for p in own)]), last[i], i)
            ahead = []
        elif name.startswith(("(body", "(rows")) and call >= 0 and _follows(found[call], first[i]):
            begin, end, _ = found[call]
            found[call], found[i] = (begin, max(end, last[i]), call), (first[i], last[i], call)
        elif not statements[i]:
            ahead.append(i)
    return found


def _follows(call: tuple[int, int, int], begin: int) -> bool:
    """Whether rows or a body were read right after the call; read later, they are work of their own."""
    return begin - call[1] <= max(_RIGHT_AFTER_NS, call[1] - call[0])


def _host(name: str) -> str:
    """``(send) a:80`` and ``GET a:80/items/{}`` are of one host."""
    return name.partition(" ")[2].partition("/")[0]
