"""Plans from production's traffic: what `LoadPlan.from_access_log` and `LoadPlan.from_har` are made of."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from perflab.errors import FormatError
from perflab.formats import _har
from perflab.formats._har import Entry
from perflab.formats._routes import Routes, path_of
from perflab.loadtest import traffic_locustfile
from perflab.loadtest.stages import Stage, is_number
from perflab.loadtest.traffic import Traffic
from perflab.loadtest.traffic_counts import harmless, has_person
from perflab.loadtest.traffic_locustfile import SAFE, Asked
from perflab.notes import DATA, DESIGN, YOU, Kind, Note, Remedy
from perflab.provenance import hidden
from perflab.units import format_fraction, format_ms, parse_duration

METHODS_LEFT_OUT = Kind(
    "methods-left-out",
    YOU,
    "{share:raw} of the requests are left out because they change data ({methods:raw}); on a system that may be changed, "
    "{remedy} takes them, without the bodies that the log lacks",
)
LONG_LOG = Kind("long-plan", YOU, "the plan takes as long as the log, {duration_ms}; {remedy} takes its busiest part")
OTHER_HOSTS = Kind(
    "other-hosts",
    DESIGN,
    "{count:request} to other hosts ({hosts:raw}) are left out: a load test must not reach them",
)
SECRETS_LEFT_OUT = Kind(
    "secrets-left-out",
    DATA,
    "{addresses:request} left out for a secret in the path, {bodies:request} sent without the body for a secret in it; write "
    "those bodies in {path:raw}",
)
_FIELD = re.compile(r'\bname="([^"]*)"')
_OVERLOADED = (408, 425, 429, 499)
_LONG_S = 7200
_RANDOM_FROM = 0.5
"""With a variance of at least half the mean, arrivals are those of independent clients (Poisson); below they are even."""
_TOGETHER_S = 0.001


@dataclass(frozen=True)
class FromTraffic:
    """What a plan needs: stages, arrivals, notes."""

    stages: tuple[Stage, ...]
    arrivals: str
    notes: tuple[Note, ...]


def from_traffic(
    traffic: Traffic,
    path: Path,
    *,
    methods: Collection[str] = SAFE,
    length: str | float | None = None,
    scale: float = 1.0,
) -> FromTraffic:
    """Write the locustfile of the traffic, and give the stages that repeat its arrivals."""
    if not (is_number(scale) and 0 < scale < math.inf):
        raise ValueError(f"scale must be above 0; got {scale!r}")
    wanted = {methods.upper()} if isinstance(methods, str) else {str(m).upper() for m in methods}
    table = traffic.table.assign(method=traffic.table["endpoint"].str.partition(" ")[0])
    taken = table[table["method"].isin(wanted)]
    usable = taken[taken["endpoint"].isin(list(traffic.examples))]
    if not len(usable):
        raise ValueError(f"the log holds no requests to repeat with methods={sorted(wanted)}; it has {_methods(table)}")
    notes = list(traffic.warnings)
    if len(taken) < len(table):
        others = table[~table["method"].isin(wanted)]
        share = format_fraction(float(others["share_fraction"].sum()))
        remedy = Remedy("LoadPlan.from_access_log", {"methods": [*sorted(wanted), *sorted(set(others["method"]))]})
        notes.append(METHODS_LEFT_OUT(remedy, share=share, methods=_methods(others)))
    share = usable["requests"] / usable["requests"].sum()
    asked = [
        Asked(row.method, row.endpoint.partition(" ")[2], part, traffic.examples[row.endpoint], _failing(row.statuses))
        for row, part in zip(usable.itertuples(), share, strict=True)
    ]
    of = float(usable["requests"].sum() / traffic.requests)
    arrivals = _chosen(traffic, length)
    stages = tuple(Stage(traffic.period_s, rate=float(rate) * of * scale) for rate in arrivals["rate_per_s"])
    seconds = len(stages) * traffic.period_s
    if seconds > _LONG_S and length is None:
        notes.append(LONG_LOG(Remedy("LoadPlan.from_access_log", {"length": "30m"}), duration_ms=seconds * 1e3))
    first, last = arrivals["start"].iloc[0], arrivals["start"].iloc[-1] + pd.Timedelta(seconds=traffic.period_s)
    title = f"The traffic of {traffic.source}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, for Locust."
    traffic_locustfile.write(path, traffic_locustfile.source_of(asked, title, traffic.think_ms))
    return FromTraffic(stages, "poisson" if traffic.bursts >= _RANDOM_FROM else "constant", tuple(notes))


def _chosen(traffic: Traffic, length: str | float | None) -> pd.DataFrame:
    """The arrivals of the busiest part of this length; all of them where none is given."""
    if length is None:
        return traffic.arrivals
    seconds = parse_duration(length, parameter="length") / 1e3
    if seconds <= 0:
        raise ValueError(f"length must be above 0; got {length!r}")
    periods = max(1, round(seconds / traffic.period_s))
    counts = traffic.arrivals["requests"].to_numpy()
    if periods >= len(counts):
        return traffic.arrivals
    sums = np.convolve(counts, np.ones(periods), "valid")
    first = int(sums.argmax())
    return traffic.arrivals.iloc[first : first + periods]


def _failing(statuses: Sequence[int]) -> list[int]:
    """The usual answers to wrong requests, which a client counts as failures; those of a server under load are failures."""
    return [status for status in statuses if 400 <= status < 500 and status not in _OVERLOADED]


def _methods(table: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(table.sort_values("requests", ascending=False)["method"]))


def from_har(path: Path, locustfile: Path, *, methods: Collection[str] = SAFE, host: str = "") -> tuple[Note, ...]:
    """Write the locustfile of a recorded visit (HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/)."""
    entries = [one for one in _har.entries_of(_har.log_of(path)) if isinstance(one, Entry)]
    found = sorted(map(_asked, entries), key=lambda one: one[0])
    if not found:
        raise FormatError(f"{path}: expected requests in the HAR file, found none")
    hosts = Counter(one[2] for one in found)
    own = host or found[0][2]
    wanted = {methods.upper()} if isinstance(methods, str) else {str(m).upper() for m in methods}
    notes = list[Note]()
    if len(others := [h for h in hosts if h != own]):
        notes.append(OTHER_HOSTS(count=sum(hosts[h] for h in others), hosts=", ".join(others[:5])))
    mine = [one for one in found if one[2] == own]
    if changed := Counter(one[1] for one in mine if one[1] not in wanted):
        share = format_fraction(sum(changed.values()) / len(mine))
        remedy = Remedy("LoadPlan.from_har", {"methods": [*sorted(wanted), *sorted(changed)]})
        notes.append(METHODS_LEFT_OUT(remedy, share=share, methods=", ".join(changed)))
    routes, bodies = Routes(), dict[int, tuple[str, str]]()
    steps: list[tuple[float, list[Asked]]] = []
    ends = begins = -math.inf
    secret = dropped = 0
    for start, method, _, target, took, body in mine:
        address = harmless(target)
        if method not in wanted:
            continue
        if address is None:
            secret += 1
            continue
        one = Asked(method, routes.name(path_of(target)), 1.0, [address])
        if body and _is_secret(body[1]):
            dropped += 1
        elif body:
            bodies[id(one)] = body
        if steps and start < ends - _TOGETHER_S and steps[-1][1] and start >= begins:
            steps[-1][1].append(one)
        else:
            steps.append((max(0.0, start - ends) if steps else 0.0, [one]))
            begins = start
        ends = max(ends, start + took)
    if not steps:
        raise ValueError(
            f"{path}: holds no request to {own} with methods={sorted(wanted)} and without a secret in its path"
        )
    if secret or dropped:
        notes.append(SECRETS_LEFT_OUT(addresses=secret, bodies=dropped, path=str(locustfile)))
    title = f"The visit of {path.name} to {own}: {len(mine)} requests in {format_ms((ends - mine[0][0]) * 1e3)}, for Locust."
    traffic_locustfile.write(locustfile, traffic_locustfile.visit_of(steps, title, bodies))
    return tuple(notes)


def _is_secret(body: str) -> bool:
    """Whether a body may hold a secret: by its values, or by the names of the fields of a form with files."""
    fields = "&".join(f"{name}=x" for name in _FIELD.findall(body))
    return hidden(body) != body or hidden(f"?{fields}") != f"?{fields}" or has_person(body)


def _asked(entry: Entry) -> tuple[float, str, str, str, float, tuple[str, str] | None]:
    """Start (s), method, host, target, duration (s) and body (type, text)."""
    parts = urlsplit(entry.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return (
        entry.start.timestamp(),
        entry.method,
        parts.netloc.rpartition("@")[2],
        target,
        entry.took_ms / 1e3,
        entry.posted,
    )
