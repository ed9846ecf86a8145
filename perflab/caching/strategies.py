"""A caching strategy written out: layers, headers, code for Redis, and a section for INTERFACE.md."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from perflab.caching import cache_notes
from perflab.caching.accesses import Accesses, Ints
from perflab.caching.forecast import Forecast
from perflab.caching.layers import layers_of
from perflab.caching.replaying import NONE
from perflab.caching.request_accesses import URL
from perflab.notes import PYTHON, Note, written
from perflab.results import Result, Shown
from perflab.units import format_bytes, format_fraction, format_ms

_LOCK_S = 10
_HOLES = r"\[[^]]*\]|<[^>]*>|\{[^}]*\}"
_CODE = '''\
import json, random, time

TTL_S = {ttl_s}
LOCK_S = {lock_s}          # longer than making the value takes


def {name}(redis, {parameters}, make):
    """The cached value; `make` reads it from its source. One caller makes it, the others wait for it."""
    key = f"{prefix}{placeholders}"
    found = redis.get(key)
    if found is not None:
        return json.loads(found)
    until = time.monotonic() + LOCK_S
    while not redis.set(f"{{key}}:lock", 1, nx=True, ex=LOCK_S):
        time.sleep(0.02)
        found = redis.get(key)
        if found is not None:
            return json.loads(found)
        if time.monotonic() > until:
            return make()
    until = time.monotonic() + LOCK_S
    try:
        value = make()
        # Ten per cent at random, so that entries made together do not expire together.
        redis.set(key, json.dumps(value), ex=max(1, round(TTL_S * random.uniform(0.9, 1.0))))
        return value
    finally:
        # After LOCK_S the lock may be another caller's.
        if time.monotonic() < until:
            redis.delete(f"{{key}}:lock")


def {name}_changed(redis, {parameters}):
    """Call it after the commit of each write."""
    redis.delete(f"{prefix}{placeholders}")
'''


@dataclass(frozen=True, repr=False)
class Strategy(Result):
    """The strategy for one candidate.

    Attributes
    ----------
    layers : layer, hit_fraction, stale_fraction, entries and how: what each layer would take by itself.
    cache_control : the header for browsers and CDNs.
    code : Python for Redis: get, set with EX, a lock against stampedes, and the call after a write.
    markdown : the section "Caching Strategy" for INTERFACE.md.
    """

    candidate: str
    layers: pd.DataFrame
    cache_control: str
    code: str
    markdown: str
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        best = self.layers.loc[self.layers["hit_fraction"].idxmax()]
        return f"{best['layer']} would take most of {self.candidate}: {format_fraction(float(best['hit_fraction']))}"

    @property
    def table(self) -> pd.DataFrame:
        """The layers."""
        return self.layers

    def show(self, surface: str = PYTHON) -> Shown:
        return Shown(self.sentence, self.layers, written(self.warnings, surface), ours=True)


def write_strategy(
    forecast: Forecast, candidate: str | None = None, *, ttl: str | float | None = None, workers: int = 4,
    private: bool | None = None, users: Any = None,
) -> Strategy:  # fmt: skip
    """Write out how a predicted cache would be built.

    Parameters
    ----------
    forecast : Forecast
        From `what_if_cache`.
    candidate : str
        The most worthwhile, if not given.
    ttl : str or float
        The TTL ("5s", or seconds), where several were predicted; the best for the candidate, if not given.
    workers : int
        How many processes serve, each of which could have a cache of its own.
    private : bool
        Whether responses differ by user: then no CDN may keep them. If not given, where ``keys=`` were columns or a function:
        a CDN knows the address alone.
    users : sequence, optional
        The user of each row of what was replayed (such as the column ``user`` of an access log), to predict browsers' caches.

    Returns
    -------
    Strategy
        ``.layers``, ``.cache_control``, ``.code`` and ``.markdown``.

    Examples
    --------
    >>> import pandas as pd
    >>> start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta([0, 1, 2, 12], unit="s")
    >>> trace = pd.DataFrame({"key": ["a", "b", "a", "a"], "start": start, "duration_ms": 40.0})
    >>> print(lab.caching.write_strategy(lab.what_if_cache(trace, ttl="5s")).cache_control)
    public, max-age=5, stale-while-revalidate=1
    """
    row = forecast.find(candidate, ttl=ttl)
    name, ttl_s = str(row["candidate"]), float(row["ttl_ms"]) / 1e3
    part = forecast.accesses.of(list(forecast.accesses.candidates).index(name))
    how = str(forecast.arguments.get("invalidation", NONE))
    if workers < 1:
        raise ValueError(f"workers must be 1 or more; got {workers!r}")
    own = None if users is None else _users(users, forecast, part.row)
    layers = layers_of(part, ttl_s=ttl_s, invalidation=how, workers=workers, users=own)
    private = bool(part.by) if private is None else private
    if private:
        layers = layers[layers["layer"] != "CDN"].reset_index(drop=True)
    age = max(1, round(ttl_s))
    header = (
        f"private, max-age={age}" if private else f"public, max-age={age}, stale-while-revalidate={max(1, age // 10)}"
    )
    code = _code(name, forecast.accesses, age)
    notes = forecast.warnings
    if age != ttl_s:
        notes = (cache_notes.WHOLE_SECONDS(written_ms=age * 1e3, ttl_ms=ttl_s * 1e3), *notes)
    return Strategy(name, layers, header, code, _markdown(notes, forecast, row, layers, header, how, code), notes)


def _users(users: Any, forecast: Forecast, rows: Ints) -> pd.Series[Any]:
    """The users of these rows of the recording."""
    given = pd.Series(users).reset_index(drop=True)
    needed = int(forecast.accesses.row.max()) + 1
    if len(given) < needed:
        raise ValueError(
            f"users must hold the user of each row that was replayed: {needed:,} or more; got {len(given):,}"
        )
    return given.iloc[rows].reset_index(drop=True)


def _code(candidate: str, accesses: Accesses, ttl_s: int) -> str:
    words = re.findall(r"[a-z]+", re.sub(rf"{_HOLES}|\?", " ", candidate.lower()))
    words = [
        w for w in words if w not in ("get", "select", "from", "where", "and", "as", "order", "by", "limit", "id", "in")
    ]
    name = "_".join(dict.fromkeys(words))[:40].strip("_") or "value"
    holes = len(re.findall(_HOLES, candidate)) if accesses.kind == URL else candidate.count("?")
    parameters = ["id"] if holes == 1 else [f"value_{n}" for n in range(1, holes + 1)]
    if accesses.by:
        parameters = [re.sub(r"\W", "_", f"by_{part}") for part in accesses.by]
    elif accesses.candidates.index(candidate) in accesses.queried:
        # The prediction is by whole address: /products/17?currency=EUR is another entry than ?currency=USD.
        parameters.append("query")
    parameters = parameters or ["key"]
    # The name alone may be that of another statement, too ("price < ?", "price > ?").
    prefix = f"{name}:{hashlib.blake2s(candidate.encode(), digest_size=3).hexdigest()}:"
    shown = f"{{{parameters[0]}}}" if len(parameters) == 1 else f"{{[{', '.join(parameters)}]!r}}"
    return _CODE.format(
        ttl_s=ttl_s,
        lock_s=_LOCK_S,
        name=f"cached_{name}",
        parameters=", ".join(parameters),
        prefix=prefix,
        placeholders=shown,
    )


def _span(text: str) -> str:
    """Markdown's code span of a text on one line; backticks in it (MySQL's names) need a longer fence."""
    line = " ".join(text.split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    return f"{fence}{line}{fence}" if len(fence) == 1 else f"{fence} {line} {fence}"


def _markdown(
    notes: Sequence[Note],
    forecast: Forecast,
    row: pd.Series[Any],
    layers: pd.DataFrame,
    header: str,
    invalidation: str,
    code: str,
) -> str:
    held = row["held_bytes"]
    drops = {
        "key": "a write deletes the key after its commit",
        "table": "a write deletes all keys of its table after its commit",
        "none": "nothing: entries are served until they expire",
    }[invalidation]
    lines = [
        "## Caching Strategy",
        "",
        f"- What: {_span(str(row['candidate']))}, for {format_ms(float(row['ttl_ms']))}",
        f"- Expected: {format_fraction(float(row['hit_fraction']))} hits"
        + (
            f" ({format_fraction(float(row['hit_low_fraction']))} to {format_fraction(float(row['hit_high_fraction']))}, by "
            "what a write drops)"
            if row["hit_low_fraction"] < row["hit_high_fraction"]
            else ""
        )
        + (f", {format_bytes(float(held))} for {int(row['held_entries']):,} keys" if held == held else ""),
    ]
    if row["load_saved_fraction"] == row["load_saved_fraction"]:
        lines.append(f"- Load taken off: {format_fraction(float(row['load_saved_fraction']))} of the recorded time")
    if row["age_p95_ms"] == row["age_p95_ms"]:
        lines.append(f"- Age of an entry when it is hit: p95 {format_ms(float(row['age_p95_ms']))}")
    if row["mean_ms"] == row["mean_ms"]:
        lines += [
            f"- Latency: mean {format_ms(float(row['mean_ms']))} → {format_ms(float(row['mean_after_ms']))}, p95 "
            f"{format_ms(float(row['p95_ms']))} → {format_ms(float(row['p95_after_ms']))} ({row['p95_verdict']})"
        ]
    lines += [
        f"- Invalidation: {drops}",
        f"- Browsers and CDN: `Cache-Control: {header}`",
        "",
        "| Layer | Hits | Stale, of the hits | How |",
        "| --- | ---: | ---: | --- |",
    ]
    lines += [
        f"| {r.layer} | {format_fraction(float(r.hit_fraction))} | {format_fraction(float(r.stale_fraction))} | {r.how} |"
        for r in layers.itertuples()
    ]
    lines += ["", *(f"- {note}" for note in notes), "", "```python", code.rstrip(), "```", ""]
    return "\n".join(lines)
