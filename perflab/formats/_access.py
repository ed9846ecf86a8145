"""What readers of access logs share: entries of a log as columns, and the requests that they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._routes import Routes
from perflab.notes import DATA, DESIGN, YOU, Kind, Note, Remedy

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]

NO_DURATIONS = Kind(
    "no-durations",
    YOU,
    "{path:raw}: this access log holds no durations, so it has no latencies; log {setting:raw} to compare deployments. "
    "{remedy} makes a plan from it as it is",
)
OBSERVATIONAL = Kind(
    "observational",
    DESIGN,
    "these are requests of production, not of an experiment: between two logs the traffic, the hour and the data differ as well "
    "as the code. Take the same hours of several days before and after a deploy, and confirm a change with {remedy}",
)
UNIT_ASSUMED = Kind(
    "unit-assumed",
    YOU,
    "{where:raw} is read as a duration in {unit:raw}; if it is not, use {remedy}",
)
NOT_HTTP = Kind("not-http", DATA, "{source:raw}: {count:line} without an HTTP request (scanners, TLS on a plain port)")
UNITS_MS: Mapping[str, float] = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6}

_CLF_TIME = re.compile(
    r"(\d{1,2})/(\w{3})/(\d{4})[: ](\d\d):(\d\d):(\d\d)(?:[.:](\d{1,9}))?(?: ?([+-])(\d\d):?(\d\d))?"
)
_MONTHS = {name: n for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}  # noqa: SIM905
_REQUEST = re.compile(r"([A-Z]{3,16}) (\S.*?)(?: HTTP/\d(?:\.\d)?)?")
_ABORTED = 499
"""nginx' status for a client that gave up; 0 is Envoy's."""


@dataclass(frozen=True)
class Entries:
    """Entries of an access log, in columns. ``ended``: the instant is that of the response, not of the request."""

    at_us: Floats
    method: pa.Array
    target: pa.Array
    status: npt.NDArray[np.int64]
    size_bytes: Floats
    duration_ms: Floats
    who: npt.NDArray[np.uint64]
    lines: npt.NDArray[np.int64]
    ended: bool = False
    done: int = 0
    cache: pa.Array | None = None
    """What the log says of the server's own cache ("HIT", "MISS" ...), where it does."""

    @property
    def start_us(self) -> Floats:
        """When each request was received, as far as the log says."""
        if not self.ended:
            return self.at_us
        return self.at_us - np.nan_to_num(self.duration_ms) * 1e3

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """What the server answered; a 404 is the answer to a wrong question."""
        found: npt.NDArray[np.bool_] = (self.status < 500) & (self.status != _ABORTED) & (self.status > 0)
        return found

    def endpoints(self, routes: Routes) -> tuple[npt.NDArray[np.int64], list[str]]:
        """The endpoint of each entry as a code, and their names."""
        import pyarrow.compute as pc

        method, target = self.method.dictionary_encode(), self.target.dictionary_encode()
        names = [routes.name(t) for t in target.dictionary.to_pylist()]
        route, routed = pd.factorize(np.array(names, dtype=object))
        verbs = method.dictionary.to_pylist()
        pair = route[pc.fill_null(target.indices, 0).to_numpy()] * len(verbs) + method.indices.to_numpy()
        codes, pairs = pd.factorize(pair)
        return codes, [f"{verbs[p % len(verbs)]} {routed[p // len(verbs)]}" for p in pairs]


def split(request: str) -> tuple[str, str] | None:
    """Method and target of a request line; None where it is none.

    >>> split("GET /orders?page=2 HTTP/1.1"), split("-")
    (('GET', '/orders?page=2'), None)
    """
    found = _REQUEST.fullmatch(request)
    return (found[1], found[2]) if found else None


def moments(texts: pa.Array, zone: tzinfo | None) -> tuple[Floats, bool]:
    """Microseconds since 1970 of times as logs write them, and whether they had a zone (or ``zone`` was given)."""
    first = next((t for t in texts[:50].to_pylist() if t), "")
    if re.match(r"\d{4}-\d\d-\d\d", first):
        import pyarrow.compute as pc

        zoned = bool(re.search(r"(?:Z|[+-]\d\d:?\d\d)$", first))
        iso = pc.replace_substring_regex(texts, r"([+-]\d\d)(\d\d)$", r"\1:\2")
        if zoned:
            return common.iso_microseconds(iso), True
        naive = pd.Series(pd.to_datetime(iso.to_pandas(), format="ISO8601", errors="coerce"))
        us = common.in_zone(naive, zone).astype("datetime64[us, UTC]")
        return np.where(us.isna(), np.nan, us.astype("int64").to_numpy(dtype="float64")), zone is not None
    coded = texts.dictionary_encode()
    different = coded.dictionary.to_pylist()
    known = np.append(
        since_1970(pd.to_numeric(pd.Series(different, dtype=object), errors="coerce").to_numpy("float64")), np.nan
    )
    for at in np.flatnonzero(np.isnan(known[:-1])):
        known[at] = _moment(different[at], zone)
    index = coded.indices.fill_null(len(different)).to_numpy()
    return known[index], zone is not None or not re.search(r":\d\d$", first)


def since_1970(numbers: Floats) -> Floats:
    """Microseconds since 1970 of numbers that are seconds, milliseconds, microseconds or nanoseconds."""
    scale = np.select([numbers < 1e11, numbers < 1e14, numbers < 1e17], [1e6, 1e3, 1.0], 1e-3)
    found: Floats = numbers * scale
    return found


def _moment(text: str, zone: tzinfo | None) -> float:
    found = _CLF_TIME.match(text)
    if not found:
        return np.nan
    day, month, year, hour, minute, second, part, sign, hours, minutes = found.groups()
    try:
        given = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59))
        away = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
        place = timezone(-away if sign == "-" else away) if sign else zone or UTC
    except (KeyError, ValueError):
        return np.nan
    return given.replace(tzinfo=place).timestamp() * 1e6 + (float(f"0.{part}") * 1e6 if part else 0.0)


def requests(
    path: Path,
    parts: Iterator[Entries],
    tally: Tally,
    *,
    routes: Sequence[str] = (),
    dialect: str,
    notes: Sequence[Note] = (),
    setting: str = "$request_time (nginx) or %D (Apache)",
) -> Iterator[Tables]:
    """The requests of an access log with durations, by the part; FormatError for one without."""
    naming, kept, whole = Routes(routes), common.Kept(), True
    first = 0
    for part in parts:
        first += len(part.status)
        if first and not kept.rows and np.isnan(part.duration_ms).all():
            remedy = Remedy("LoadPlan.from_access_log", {}, given=f'"{path.name}"')
            raise FormatError(NO_DURATIONS(remedy, path=path, setting=setting))
        whole = whole and bool((np.nan_to_num(part.at_us) % 1e6 == 0).all())
        codes, names = part.endpoints(naming)
        status, ok = common.statuses(part.status), pd.Series(part.ok)
        columns = {
            "endpoint": pd.Series(np.array(names, dtype=object)[codes] if len(codes) else [], dtype="str"),
            "start": common.instants(part.start_us),
            "latency_ms": part.duration_ms,
            "ok": ok,
            "status": status,
            "error": common.failures(pd.Series(None, index=status.index, dtype="str"), ok, status),
            "size_bytes": common.whole(part.size_bytes),
        }
        frame = kept.add(common.usable(columns, tally, part.lines))
        yield Tables({"requests": frame}, done=part.done)
    warnings = [OBSERVATIONAL(Remedy("run_pairs")), *notes, *([caveats.whole_seconds("the server")] if whole else [])]
    known = {"clock_ms": 1000.0} if whole else {}
    yield from common.finish(
        path, tally, kept, "requests of an access log with durations",
        generator=f"access log of {dialect}", warnings=warnings, **known,
    )  # fmt: skip
