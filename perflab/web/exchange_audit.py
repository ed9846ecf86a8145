"""`audit_exchanges`: which bytes and milliseconds of a visit are avoidable, each with its fix as a header or tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from perflab.data.tables import Measurements
from perflab.notes import Note, Remedy
from perflab.results import Findings, count, findings
from perflab.units import format_bytes, format_ms
from perflab.web import audit_notes, header_findings, image_bytes, transfer_findings
from perflab.web import resource_kinds as kinds
from perflab.web.exchange_rows import ESTIMATED, FIRST, REPEAT, RISK, Exchange, Found, exchanges_of

COLUMNS = ("finding", "url", "visit", "saved_bytes", "saved_ms", "evidence", "reason", "fix", "exchanges", "runs")
FOR_PEOPLE = ("finding", "url", "visit", "saved_bytes", "saved_ms", "reason", "fix")
_REQUIRED = ("run", "start", "method", "url", "status", "mime", "transfer_bytes", "body_bytes", "headers", "timings_ms")
_MEASURED = ("gzip_bytes", "webp_bytes", "avif_bytes", "natural_width", "natural_height", "fitted_bytes")
"""What is measured of a body."""
_DENSITY = 2.0
_LEAST_IMAGE_BYTES = 4096
_RANK = {FIRST: 0, REPEAT: 1, RISK: 2}


def audit_exchanges(
    exchanges: Measurements | pd.DataFrame, *, images: str | Path | Mapping[str, bytes] | None = None
) -> Findings:
    """Find bytes and milliseconds of page visits that caches, compression, images or the order of requests waste.

    Caching follows RFC 9111: lifetimes (explicit and heuristic), validators, Vary, Age, no-store and no-cache, private and
    shared. Responses of a load run are audited in the same way (``LoadPlan(response_headers=True)``).

    Parameters
    ----------
    exchanges : Measurements or DataFrame
        An ``exchanges`` table, or measurements that hold one: of `read` (a HAR file), of `run_pages`, of a load run.
    images : path or Mapping[str, bytes]
        The folder with the images as the server has them, or their bytes by address: they are encoded again as WebP and AVIF.
        Images within a HAR file are measured by ``read(path, images=True)``.

    Returns
    -------
    Findings
        finding, url, visit ("first", "repeat", or "risk" where something can go wrong), saved_bytes and saved_ms (per visit),
        evidence ("measured" or "estimated"; of calls in a row that of `find_sequential`), reason, fix (a header or tag),
        exchanges and runs that show it. The largest are first.

    Raises
    ------
    ValueError
        Columns are missing, or there are no exchanges.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> visit = pd.DataFrame({
    ...     "run": "home", "start": pd.Timestamp("2026-01-01", tz="UTC"), "method": "GET", "url": "https://shop.example/app.js",
    ...     "status": 200, "mime": "text/javascript", "transfer_bytes": 90_000, "body_bytes": 90_000, "request_bytes": 300,
    ...     "headers": [{"etag": "1"}], "timings_ms": [{"wait": 40.0, "receive": 60.0}]})
    >>> lab.audit_exchanges(visit)[["finding", "visit", "saved_bytes", "saved_ms"]].values.tolist()
    [['not-compressed', 'first', 63000.0, 42.0], ['no-lifetime', 'repeat', 0.0, 40.0]]
    """
    table = exchanges.exchanges if isinstance(exchanges, Measurements) else exchanges
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"exchanges must be an exchanges table or Measurements; got {type(exchanges).__name__}")
    if missing := [name for name in _REQUIRED if name not in table.columns]:
        raise ValueError(
            f"exchanges needs the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}"
        )
    if not len(table):
        raise ValueError("exchanges must hold at least one exchange; got none")
    rows = _shared(list(exchanges_of(table)))
    if isinstance(exchanges, Measurements):
        rows = _in_device_pixels(rows, exchanges.runs)
    if images is not None:
        rows = [_measured(one, images) for one in rows]
    found = [*_each(rows), *transfer_findings.across(rows)]
    result = _table(found)
    has_bodies = isinstance(exchanges, Measurements) and exchanges.meta.get("format") == "har"
    remedy = Remedy("read", {"images": True}) if has_bodies else Remedy("audit_exchanges", {"images": "static/"})
    return findings(result, _sentence(rows, found, result), _notes(rows, found, remedy), shown=FOR_PEOPLE)


def _in_device_pixels(rows: Sequence[Exchange], runs: pd.DataFrame) -> list[Exchange]:
    """The rows with the sizes that images are shown in: a phone has two pixels or more for each that CSS counts."""
    plans = dict(zip(runs["run"], runs["plan"], strict=True)) if "plan" in runs.columns else {}
    dense = {str(run) for run, plan in plans.items() if isinstance(plan, Mapping) and plan.get("mobile")}
    return [
        replace(
            one,
            facts={
                **one.facts,
                **{name: size * _DENSITY for name in ("width", "height") if (size := one.number(name))},
            },
        )
        if one.run in dense
        else one
        for one in rows
    ]


def _shared(rows: list[Exchange]) -> list[Exchange]:
    """The rows with what was measured of the same response in another visit, whose file had the body."""
    known: dict[tuple[str, float | None], dict[str, Any]] = {}
    for one in rows:
        measured = {name: one.facts[name] for name in _MEASURED if one.number(name) is not None}
        known.setdefault((one.url, one.body_bytes), {}).update(measured)
    return [replace(one, facts={**one.facts, **known[one.url, one.body_bytes]}) for one in rows]


def _each(rows: Sequence[Exchange]) -> Iterator[Found]:
    for at in rows:
        if at.headers:
            yield from header_findings.findings(at)
        yield from transfer_findings.findings(at)


def _table(found: Sequence[Found]) -> pd.DataFrame:
    """A row for each finding of an address: what it costs in one visit, on average over those that show it."""
    held: dict[tuple[str, str, str], list[Found]] = {}
    for one in found:
        held.setdefault((one.finding, one.at.url, one.visit), []).append(one)
    rows = []
    for (name, url, visit), part in held.items():
        runs, visits = (len({getattr(one.at, what) for one in part}) for what in ("run", "visit"))
        largest = max(part, key=lambda one: (one.saved_bytes, one.saved_ms))
        saved = [sum(getattr(one, what) for one in part) / visits for what in ("saved_bytes", "saved_ms")]
        evidence = ESTIMATED if any(one.evidence == ESTIMATED for one in part) else largest.evidence
        rows.append((name, url, visit, *saved, evidence, largest.reason, largest.fix, len(part), runs))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"saved_bytes": "float64", "saved_ms": "float64"})
    rank = table["visit"].map(_RANK).astype("int64")
    keys = ["rank", "saved_ms", "saved_bytes", "finding", "url"]
    order = table.assign(rank=rank).sort_values(keys, ascending=[True, False, False, True, True])
    return table.loc[order.index].reset_index(drop=True)


def _sentence(rows: Sequence[Exchange], found: Sequence[Found], table: pd.DataFrame) -> str:
    visits = len({one.visit for one in rows})
    whole = sum(one.bytes for one in rows) / visits
    if not found:
        return f"nothing avoidable in {count(len(rows), 'exchange')} ({format_bytes(whole)})"
    parts = [
        f"{format_bytes(_avoidable(found, visit) / visits)} on a {visit} visit"
        for visit in (FIRST, REPEAT)
        if _avoidable(found, visit)
    ]
    top = table.iloc[0]
    what = f"{top['finding']} of {urlsplit(str(top['url'])).path or top['url']}"
    written = (("saved_bytes", format_bytes), ("saved_ms", format_ms))
    saved = [write(float(top[name])) for name, write in written if top[name] > 0]
    first = f"the first is {what}" + (f" ({', '.join(saved)})" if saved else "")
    avoidable = f", {' and '.join(parts)} of {format_bytes(whole)} avoidable" if parts else ""
    return f"{count(len(table), 'finding')} on {count(len(rows), 'exchange')}{avoidable}; {first}"


def _avoidable(found: Sequence[Found], visit: str) -> float:
    """The bytes that can be saved: of several findings of one response the largest, since they overlap."""
    most: dict[int, float] = {}
    for one in found:
        if one.visit == visit:
            most[id(one.at)] = max(most.get(id(one.at), 0.0), one.saved_bytes)
    return sum(most.values())


def _notes(rows: Sequence[Exchange], found: Sequence[Found], remedy: Remedy) -> list[Note]:
    notes = []
    if sum(one.saved_ms > 0 for one in found) > 1:
        notes.append(audit_notes.OVERLAP())
    unmeasured = [
        one
        for one in rows
        if one.kind == kinds.IMAGE
        and one.mime not in ("image/svg+xml", "image/avif", "image/webp")
        and one.bytes >= _LEAST_IMAGE_BYTES
        and one.number("webp_bytes") is None
    ]
    if unmeasured:
        size = sum(one.bytes for one in unmeasured)
        notes.append(audit_notes.IMAGES_NOT_MEASURED(remedy, images=len(unmeasured), size_bytes=size))
    if bare := sum(one.status is not None and not one.headers for one in rows):
        notes.append(audit_notes.NO_HEADERS(exchanges=bare, total=len(rows)))
    if guessed := sum(one.evidence == ESTIMATED for one in found):
        notes.append(audit_notes.ESTIMATES(findings=count(guessed, "saving")))
    return notes


def _measured(at: Exchange, images: str | Path | Mapping[str, bytes]) -> Exchange:
    """The exchange with the sizes of its image in other formats, where its bytes are given."""
    if at.kind != kinds.IMAGE or not at.succeeded or at.number("webp_bytes") is not None:
        return at
    body = images.get(at.url) if isinstance(images, Mapping) else _from_folder(Path(images), at.url)
    if not body:
        return at
    width = at.number("width")
    sizes = image_bytes.sizes(body)
    fitted = image_bytes.sizes(body, round(width)) if width and sizes and width < sizes["natural_width"] else {}
    known = {"fitted_bytes": min(fitted["webp_bytes"], fitted["avif_bytes"])} if fitted else {}
    return replace(at, facts={**at.facts, **sizes, **known})


def _from_folder(folder: Path, url: str) -> bytes:
    """The file that an address names, by as much of its path as the folder has."""
    parts = [part for part in unquote(urlsplit(url).path).split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        place = folder.joinpath(*parts[start:])
        if place.is_file():
            return place.read_bytes()
    return b""
