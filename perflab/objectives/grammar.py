"""Objectives in plain words: "p95 of GET /orders < 200 ms", "95 % of requests within 300 ms", "error rate below 1 %".

Each limit of a line belongs to a requirement, or the line is not understood: none is left out without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from perflab.data.tables import AGGREGATED
from perflab.metrics import RATE, RESOURCE, SHARE, Metric
from perflab.objectives.limit_units import PER, UNITS, is_rate, unit_of, unknown_unit
from perflab.objectives.objective import Objective
from perflab.objectives.promising import compared, is_window, left_over, metric_of, missing
from perflab.objectives.words import (
    PLAIN,
    RESOURCES,
    STATISTICS,
    Token,
    cleaned,
    endpoint_in,
    ends,
    load_in,
    loads_in,
    number,
    segments,
    spelled_out,
    tokens,
)

_OPERATORS = ("less", "more", "symbol", "is")
_SYMBOLS = {"≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_STRICT = ("below", "under", "less than", "fewer than", "lower than", "faster than", "quicker than", "smaller than")


@dataclass(frozen=True)
class Clause:
    """One requirement of a text, before its limit is checked."""

    metric: str
    operator: str
    limit: str
    endpoint: str
    read_as: str = ""
    """What a number was read as that has no unit, or a share of something that the text does not name."""
    number: str = ""


@dataclass
class Line:
    """The requirements of a line, and why a part of it is not understood ("" where all of it is)."""

    clauses: list[Clause] = field(default_factory=list)
    problem: str = ""


class _Unclear(Exception):
    """A limit that can't be read as one requirement."""


def objective_of(text: str) -> Objective:
    """The one objective that a text states; ValueError when there is none, or several, or a part is unclear.

    >>> print(objective_of("p95 of GET /orders < 200ms"))
    p95 of GET /orders < 200 ms
    """
    line = read_line(text)
    if len(line.clauses) != 1 or line.problem:
        count = line.problem or ("found none" if not line.clauses else f"found {len(line.clauses)}")
        raise ValueError(
            f'an objective reads like "p95 of GET /orders < 200ms" or "error rate < 1%"; {count} in {text[:200]!r}'
        )
    one = line.clauses[0]
    return Objective(one.metric, one.operator, one.limit, endpoint=one.endpoint, source=text, load=load_in(text))


def clauses(text: str, *, default: str = AGGREGATED, bare: bool = False) -> Iterator[Clause]:
    """The requirements that `read_line` finds."""
    yield from read_line(text, default=default, bare=bare).clauses


def read_line(text: str, *, default: str = AGGREGATED, bare: bool = False) -> Line:
    """Each requirement in a line; ``default`` is the endpoint where it names none, ``bare`` allows "p95 200 ms"."""
    words = list(tokens(spelled_out(cleaned(text))))
    named = {endpoint_in(t.text) for t in words if t.kind == "endpoint"}
    reader = _Reader(default if len(named) != 1 else next(iter(named)), bare, len(named))
    found = Line()
    try:
        for segment in segments(words):
            found.clauses += reader.read(segment)
    except (_Unclear, ValueError) as problem:
        return Line([], str(problem))
    if found.clauses and (lost := reader.problem or left_over(words, reader.used)):
        return Line([], lost)
    if found.clauses and len(loads_in(text)) > 1:
        return Line([], "several loads: give each a line")
    found.clauses = list(dict.fromkeys(found.clauses))
    twice = {(c.metric, c.operator[0], c.endpoint) for c in found.clauses}
    if len(twice) < len({(c.metric, c.operator[0], c.endpoint, c.limit) for c in found.clauses}):
        return Line([], "two limits for one metric: name the endpoint of each")
    found.problem = reader.problem or (missing(words) if not found.clauses else "")
    return found


class _Reader:
    """Reads the parts of a line one after another; what a part leaves out is that of the one before."""

    def __init__(self, endpoint: str, bare: bool, named: int) -> None:
        self.endpoint, self.bare, self.named = endpoint, bare, named
        self.last: Token | None = None
        self.before: list[Clause] = []
        self.trailing = 0
        self.part: list[Token] = []
        self.used: set[Token] = set()
        self.problem = ""

    def read(self, part: list[Token]) -> list[Clause]:
        """The clauses of a part, for each of the endpoints that it names."""
        own = list(dict.fromkeys(endpoint_in(t.text) for t in part if t.kind == "endpoint"))
        if own:
            self.endpoint = own[0]
        found = self._read(part, own)
        if found and not own and self.trailing > 1:
            raise _Unclear("several endpoints come before this limit: name the endpoint of each")
        if own and not found and not any(ends(t) or t.kind in (*STATISTICS, *RESOURCES) for t in part):
            found = self.before
        if found and any(t.kind == "except" for t in part):
            raise _Unclear("an exception is not measured: name the endpoints that are meant, one a line")
        if any(t.kind == "apiece" for t in part) and any(Metric.of(c.metric).kind == RATE for c in found):
            raise _Unclear("the throughput of the whole target is measured: give the total")
        self.trailing += len(own) if found and part[0].kind != "endpoint" else 0
        self.before = found or self.before
        return [replace(c, endpoint=e) if Metric.of(c.metric).has_endpoints else c for c in found
                for e in own or [c.endpoint]]  # fmt: skip

    def _read(self, part: list[Token], own: list[str]) -> list[Clause]:
        self.part, kinds = part, [t.kind for t in part]
        limits = [t for t in part if t.kind == "limit"]
        if "range" in kinds and (set(kinds) & {*STATISTICS, *RESOURCES}):
            raise _Unclear("a range is no limit: give its upper end, like '< 200 ms'")
        if "vital" in kinds and {"quantile", "ordinal", "mean", "max"} & set(kinds):
            raise _Unclear(
                "of pages the median of a run's visits is measured: name the metric alone, like 'LCP < 2.5 s'"
            )
        if "cap" in kinds:
            self.used.update(limits)
            return []
        if "share" in kinds and {"quantile", "odds"} & set(kinds):
            raise _Unclear("a share and a percentile are two requirements: give each a line")
        if "none" in kinds and not limits:
            return [self._clause("error_fraction", "<=", "0%")]
        if ("fail" in kinds or "succeed" in kinds) and ("share" in kinds or "odds" in kinds):
            return [self._failing(part, good="succeed" in kinds)]
        if "share" in kinds and limits:
            return [self._share(part, limits)]
        found: list[Clause] = []
        waiting: list[Token] = []
        early: list[tuple[Token, str]] = []
        for place, token in enumerate(part):
            if token.kind in STATISTICS or token.kind in RESOURCES:
                if token.kind == "ordinal" and (self.last is None or self.last.kind not in ("quantile", "ordinal")):
                    continue
                if early and (early[-1][1] or self._beside(part, place)):
                    limit, operator = early.pop()
                    found += self._pair([token], limit, operator, part)
                    self.last = token
                    continue
                if waiting and any(t.kind in ("less", "more", "symbol") for t in part[part.index(waiting[-1]) : place]):
                    raise _Unclear("one metric is no limit for another: give a number with its unit")
                waiting.append(token)
            elif token.kind == "limit":
                operator = self._operator(part, place)
                if waiting:
                    if operator or (self.bare and self._close(part, place)):
                        self.last = waiting[-1]
                        if self._of_something_else(part, waiting, token):
                            return found
                        found += self._pair(waiting, token, operator, part)
                        waiting = []
                elif is_rate(token.found["unit"] or "") and (operator or self.bare or token.found["more"]):
                    found.append(self._rate(token, operator))
                elif (
                    (operator or self.bare)
                    and self.last is not None
                    and own
                    and token.found["unit"]
                    and not any(t.kind in STATISTICS for t in part[place:])
                ):
                    found += self._pair([self.last], token, operator, part)
                elif operator or token.found["unit"]:
                    early.append((token, operator))
        if found and (open_ones := [t.text.strip() for t in waiting if t.kind in ("quantile", "median")]):
            raise _Unclear(f"{open_ones[0]!r} has no limit")
        lost = (
            [t for t, _ in early if not is_window(t)]
            if found or self.last is not None
            else [t for t in part if t.kind in ("share", "odds")]
        )
        if lost:
            self.problem = f"{lost[0].text.strip()!r} belongs to no metric"
        return found

    def _beside(self, part: list[Token], place: int) -> bool:
        """Whether a limit without an operator is right before the statistic: "200 ms (p95)"."""
        return self.bare and part[place - 1].kind == "limit" and part[place].kind in STATISTICS

    def _close(self, part: list[Token], place: int) -> bool:
        """Whether only plain words are between the statistic and its limit."""
        for token in reversed(part[:place]):
            if token.kind in STATISTICS or token.kind in RESOURCES:
                return True
            if token.kind not in ("word", "quantity", "slash", "endpoint") or (
                token.kind == "word" and token.text.lower() not in PLAIN
            ):
                return False
        return False

    def _operator(self, part: list[Token], place: int) -> str:
        """The operator of the limit at ``place``: "<", ">=", ..., "is" where only ":" or "=" is written, "" for none."""
        limit = part[place]
        after = part[place + 1].kind if place + 1 < len(part) else ""
        if after in ("orless", "ormore"):
            return "<=" if after == "orless" else ">="
        if limit.found["plus"]:
            return "<"
        if limit.found["more"]:
            return ">="
        for token in reversed(part[:place]):
            if token.kind == "limit":
                break
            if token.kind == "symbol":
                return _SYMBOLS.get(token.text, token.text)
            if token.kind in ("less", "more"):
                words = " ".join(token.text.lower().split())
                if any(t.kind == "every" for t in part[:place]):
                    return "<="
                if token.kind == "less":
                    return "<" if words in _STRICT else "<="
                negated = re.match(r"(?:not|never|no|n't|cannot)\b", words)
                return ">=" if negated or words.startswith(("at least", "min")) else ">"
            if token.kind == "is":
                return "is"
        return ""

    def _pair(self, statistics: list[Token], limit: Token, operator: str, part: list[Token]) -> list[Clause]:
        """Statistics with their limits: one for all, or "p50/p95: 50/200 ms"."""
        numbers = re.split(r"\s?/\s?", limit.found["numbers"])
        if len(numbers) == 1:
            numbers *= len(statistics)
        if len(numbers) != len(statistics):
            raise _Unclear(f"{len(statistics)} metrics with {len(numbers)} limits")
        if len(statistics) > 1 and "," in numbers[0] and len(set(numbers)) == 1:
            raise _Unclear(f"{len(statistics)} metrics with the limit {numbers[0]!r}: write each with its own")
        self._about_everything(part, statistics[0], limit)
        unit = unit_of(part, limit)
        return [self._limited(s, one, limit, operator, unit) for s, one in zip(statistics, numbers, strict=True)]

    def _of_something_else(self, part: list[Token], waiting: list[Token], limit: Token) -> bool:
        """Whether a mean or a maximum without a unit, outside of requirements, is one of something else ("Average value: 50")."""
        bare_number = not (limit.found["unit"] or self.bare or unit_of(part, limit))
        return bare_number and waiting[0].kind in ("mean", "max") and bool(self._subject(part, waiting[0], limit))

    def _about_everything(self, part: list[Token], statistic: Token, limit: Token) -> None:
        if compared(part, limit):
            raise _Unclear("a difference from something else is no limit: a gate holds a change against its baseline")
        if unknown := self._subject(part, statistic, limit):
            raise _Unclear(f'which requests are {unknown!r}? Name the endpoint as it is measured, like "GET /orders"')

    def _subject(self, part: list[Token], statistic: Token, limit: Token) -> str:
        """The words that name something other than everything, where the line names no endpoint.

        They are before the limit, or after it behind "for", "of" or "when" ("p95 < 200 ms for reads").
        """
        if self.named:
            return ""
        at = part.index(limit)
        after = part[at + 1 :]
        ends = next((i for i, t in enumerate(after) if t.kind not in ("word", "share", "quantity")), len(after))
        behind = next(
            (i for i, t in enumerate(after[:ends]) if t.text.lower() in ("for", "of", "when", "if", "while")), ends
        )
        first = 0 if self.endpoint == AGGREGATED else part.index(statistic)
        asked = [*part[first:at], *after[behind:ends]]
        return " ".join(t.text for t in asked if t.kind == "word" and t.text.lower() not in PLAIN)

    def _limited(self, statistic: Token, written: str, limit: Token, operator: str, unit: str) -> Clause:
        self.used.add(limit)
        metric = Metric.of(metric_of(statistic))
        unit = UNITS.get(unit.lower(), unit.lower())
        if not unit and (other := unknown_unit(self.part, limit)):
            raise _Unclear(f"the unit {other!r} is not known")
        value = number(written, unit)
        complement = statistic.kind == "success"
        natural = ">=" if complement or metric.better > 0 else "<="
        operator = natural if operator in ("", "is", "==", "=") else operator
        if operator[0] not in ("=", "!", natural[0]):
            raise _Unclear(f"a limit on {metric.label} is an upper one: write {natural!r}, or leave an alarm out"
                           if natural == "<=" else f"a limit on {metric.label} is a lower one: write {natural!r}")  # fmt: skip
        if metric.kind == SHARE and unit not in ("", "%"):
            raise _Unclear(f"expected a limit of {metric.label} in per cent, found {limit.text.strip()!r}")
        if complement:
            share = float(value) / (100 if unit == "%" or float(value) > 1 else 1)
            return self._clause(metric.name, _MIRROR[operator], f"{(1 - share) * 100:.10g}%")
        if metric.kind == RATE:
            return self._rate(limit, operator, metric, unit)
        if metric.kind == SHARE:
            read_as = "" if unit or not 0 < float(value) < 1 else f"{float(value) * 100:.10g} %"
            return self._clause(metric.name, operator, f"{value}{unit}", read_as, value)
        if metric.kind == RESOURCE or metric.unit == "bytes":
            return self._resource(metric, operator, value, unit)
        if not metric.unit and unit:
            raise _Unclear(f"expected a limit of {metric.label} without a unit, found {limit.text.strip()!r}")
        if not metric.unit:
            return self._clause(metric.name, operator, value)
        if unit and not re.fullmatch(r"µs|μs|us|ms|s|min|m|h", unit):
            raise _Unclear(f"expected a limit of {metric.label} in ms or s, found {limit.text.strip()!r}")
        if not unit and 0 < float(value) < 1:
            raise _Unclear(f"is {value} in ms or in s? Write the unit")
        return self._clause(metric.name, operator, value + (unit or "ms"), "" if unit else "milliseconds", value)

    def _resource(self, metric: Metric, operator: str, value: str, unit: str) -> Clause:
        endpoint = self.endpoint if metric.has_endpoints else AGGREGATED
        if metric.unit == "cores":
            share = unit == "%"
            if unit not in ("%", "cores", ""):
                raise _Unclear(
                    f"expected a limit of {metric.label} in cores or per cent of one core, found {value} {unit}"
                )
            cores = float(value) / 100 if share else float(value)
            return Clause(metric.name, operator, f"{cores:.10g}", endpoint, "that share of one core" if share else "",
                          f"{value} %" if share else value)  # fmt: skip
        if not re.fullmatch(r"(?:[kmg]i?)?b(?:\s?(?:/\s?|per )s\w*)?", unit):
            raise _Unclear(f"expected a limit of {metric.label} in bytes, like 512 MB, found {value} {unit}".rstrip())
        per_s = re.sub(r"\s?(?:/\s?|per )s\w*$", "", unit)
        if (per_s != unit) != (metric.unit == "bytes/s"):
            raise _Unclear(f"expected a limit of {metric.label} in {metric.unit}, found {value} {unit}")
        return Clause(metric.name, operator, f"{value}{per_s}", endpoint)

    def _rate(self, limit: Token, operator: str, metric: Metric | None = None, unit: str = "") -> Clause:
        """A throughput in requests per second, whatever the time that the text counts in."""
        self.used.add(limit)
        metric = metric or Metric.of("throughput_per_s")
        unit = (limit.found["unit"] or unit).lower()
        if unit and not is_rate(unit):
            raise _Unclear(f"expected a limit of {metric.label} in requests per second, found {limit.text.strip()!r}")
        many = {"": 1, "k": 1e3, "m": 1e6}[(limit.found["kilo"] or "").lower()]
        value = float(number(limit.found["numbers"], unit or "1/s")) * many
        seconds = next((s for pattern, s in PER if re.search(pattern, unit)), 1)
        operator = ">=" if operator in ("", "is") else operator
        if operator[0] == "<":
            raise _Unclear(
                "a limit on throughput is a lower one: write '>='; an arrival rate belongs into the load plan"
            )
        per_s = f"{value / seconds:.10g}"
        return self._clause(metric.name, operator, per_s, "" if unit else "requests per second", per_s)

    def _share(self, part: list[Token], limits: list[Token]) -> Clause:
        """ "95 % of requests within 300 ms", "no more than 5 % of requests slower than 300 ms"."""
        at = next(i for i, t in enumerate(part) if t.kind == "share")
        share, limit = part[at], ([t for t in limits if t.found["unit"]] or limits)[-1]
        between = [t for t in part[at:] if t.kind in _OPERATORS and t.found.start() < limit.found.start()]
        slower = bool(between) and between[-1].kind == "more" and not between[-1].text.lower().startswith("at least")
        self._about_everything(part, share, limit)
        self.used.add(share)
        quantile = float(number(share.found["of"], "%"))
        operator = self._operator(part, part.index(limit))
        if slower:
            quantile, operator = 100 - quantile, "<="
        token = Token("share", f"p{quantile:.10g}", share.found)
        return self._limited(token, limit.found["numbers"], limit, operator or "<=", unit_of(part, limit))

    def _failing(self, part: list[Token], *, good: bool) -> Clause:
        """ "less than 0.5 % of requests fail", "fewer than 1 in 1000 requests may fail", "99.9 % of requests succeed"."""
        at = next(i for i, t in enumerate(part) if t.kind in ("share", "odds"))
        found, verb = part[at].found, next(t for t in part if t.kind in ("fail", "succeed"))
        if verb.found.start() > found.start():
            self._about_everything(part, part[at], verb)
        self.used.add(part[at])
        share = (
            float(number(found["of"], "%")) / 100
            if part[at].kind == "share"
            else int(found["one"]) / float(number(found["out"]))
        )
        before = [t for t in part[:at] if t.kind in ("less", "more", "symbol")]
        strict = bool(before) and before[-1].text.lower() in (
            (">", "more than", "over", "above") if good else (*_STRICT, "<")
        )
        if good:
            return self._clause("error_fraction", "<" if strict else "<=", f"{(1 - share) * 100:.10g}%")
        if before and before[-1].kind == "more":
            raise _Unclear("a limit on the error rate is an upper one: write '<='")
        return self._clause("error_fraction", "<" if strict else "<=", f"{share * 100:.10g}%")

    def _clause(self, metric: str, operator: str, limit: str, read_as: str = "", number: str = "") -> Clause:
        return Clause(metric, operator, limit, self.endpoint, read_as, number)
