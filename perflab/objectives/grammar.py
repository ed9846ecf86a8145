"""Objectives in plain words: "p95 of GET /orders < 200 ms", "95 % of requests within 300 ms", "error rate below 1 %".

Each limit of a line belongs to a requirement, or the line is not understood: none is left out without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from perflab.data.tables import AGGREGATED
from perflab.metrics import RATE, RESOURCE, SHARE, Metric, canonical
from perflab.objectives.objective import Objective
from perflab.objectives.words import PLAIN, UNDER_LOAD, Token, cleaned, endpoint_in, load_in, tokens

_STATISTICS = ("quantile", "ordinal", "median", "mean", "every", "max", "success", "errors", "throughput", "vital")
_RESOURCES = {"cpu": "cpu_cores", "memory": "rss_bytes", "io": "io_bytes_per_s", "size": "size_bytes"}
_NAMED = {"median": "p50", "mean": "mean", "every": "max", "max": "max", "success": "error_fraction",
          "errors": "error_fraction", "throughput": "throughput_per_s"} | _RESOURCES  # fmt: skip
_OPERATORS = ("less", "more", "symbol", "is")
_SYMBOLS = {"≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_STRICT = ("below", "under", "less than", "fewer than", "lower than", "faster than", "quicker than", "smaller than")
_UNITS = {"milliseconds": "ms", "millisecond": "ms", "msec": "ms", "msecs": "ms", "seconds": "s", "second": "s",
          "secs": "s", "sec": "s", "minutes": "min", "minute": "min", "mins": "min", "hours": "h", "hour": "h",
          "percent": "%", "per cent": "%", "core": "cores", "byte": "b", "bytes": "b", "kilobytes": "kb",
          "megabytes": "mb", "gigabytes": "gb"}  # fmt: skip


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
    words = list(tokens(UNDER_LOAD.sub(" ", cleaned(text))))
    named = {endpoint_in(t.text) for t in words if t.kind == "endpoint"}
    reader = _Reader(default if len(named) != 1 else named.pop(), bare)
    found = Line()
    try:
        for segment in _segments(words):
            found.clauses += reader.read(segment)
    except _Unclear as problem:
        return Line([], str(problem))
    found.clauses = list(dict.fromkeys(found.clauses))
    twice = {(c.metric, c.operator[0], c.endpoint) for c in found.clauses}
    if len(twice) < len({(c.metric, c.operator[0], c.endpoint, c.limit) for c in found.clauses}):
        return Line([], "two limits for one metric: name the endpoint of each")
    found.problem = reader.problem or (_missing(words, bare) if not found.clauses else "")
    return found


def promises(text: str) -> bool:
    """Whether a line looks like a performance requirement: it names a metric and holds a number."""
    kinds = [t.kind for t in tokens(cleaned(text))]
    about = any(k in (*_STATISTICS, "none") and k != "ordinal" for k in kinds)
    bound = any(k in ("less", "more", "symbol", "limit") for k in kinds)
    measured = any(k in ("quantity", "retired", "foreign", *_RESOURCES) for k in kinds)
    return "limit" in kinds and (about or (measured and any(k in ("less", "more", "symbol") for k in kinds) and bound))


def metric_in(text: str) -> str:
    """The metric that a heading names, "" when it names none ("p95 (ms)" gives "p95")."""
    found = next(
        (t for t in tokens(cleaned(text)) if t.kind in (*_STATISTICS, *_RESOURCES) and t.kind != "ordinal"), None
    )
    return _metric(found) if found else ""


def bounds(text: str) -> bool:
    """Whether a text names a statistic and an operator ("p95 at most twice the baseline")."""
    kinds = {t.kind for t in tokens(cleaned(text))}
    return bool(kinds & set(_STATISTICS) - {"ordinal"}) and bool(kinds & {"less", "more", "symbol"})


def limit_in(text: str) -> bool:
    """Whether a text holds an operator and a limit with its unit ("under 2 s")."""
    seen = ""
    for token in tokens(cleaned(text)):
        if token.kind == "limit" and token.found["unit"] and seen in ("less", "more", "symbol"):
            return True
        seen = token.kind if token.kind != "word" else seen
    return False


def _missing(words: list[Token], bare: bool) -> str:
    """Why a line without a requirement looks like one, "" where it does not."""
    kinds = {t.kind for t in words}
    limits = "limit" in kinds or "range" in kinds
    if "retired" in kinds and limits:
        return "FID was retired in favour of INP in March 2024: state an objective for INP"
    if "foreign" in kinds and limits:
        return "not a metric of run_pages: use LCP, INP, CLS, FCP, TTFB or TBT"
    if "quantity" in kinds and limits and kinds & {"less", "more", "symbol"} and not kinds & set(_STATISTICS):
        return 'expected a statistic, like "p95 < 100 ms": a mean, a median and a p95 are different requirements'
    return ""


def _segments(words: list[Token]) -> Iterator[list[Token]]:
    """The parts of a line between commas, semicolons, full stops and "and"; a part without a limit goes with the next."""
    part: list[Token] = []
    for token in words:
        if token.kind == "end" and (token.text == "." or any(_ends(t) for t in part)):
            yield part
            part = []
        elif token.kind != "end":
            part.append(token)
    yield part


def _ends(token: Token) -> bool:
    return token.kind in ("limit", "none", "odds", "range")


class _Reader:
    """Reads the parts of a line one after another; what a part leaves out is that of the one before."""

    def __init__(self, endpoint: str, bare: bool) -> None:
        self.endpoint, self.bare = endpoint, bare
        self.named = endpoint != AGGREGATED
        self.last: Token | None = None
        self.problem = ""

    def read(self, part: list[Token]) -> list[Clause]:
        own = [endpoint_in(t.text) for t in part if t.kind == "endpoint"]
        if own:
            self.endpoint, self.named = own[0], True
        kinds = [t.kind for t in part]
        limits = [t for t in part if t.kind == "limit"]
        if "range" in kinds and (set(kinds) & {*_STATISTICS, *_RESOURCES}):
            raise _Unclear("a range is no limit: give its upper end, like '< 200 ms'")
        if "vital" in kinds and {"quantile", "ordinal", "mean", "max"} & set(kinds):
            raise _Unclear(
                "of pages the median of a run's visits is measured: name the metric alone, like 'LCP < 2.5 s'"
            )
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
            if token.kind in _STATISTICS or token.kind in _RESOURCES:
                if token.kind == "ordinal" and (self.last is None or self.last.kind not in ("quantile", "ordinal")):
                    continue
                if early and (early[-1][1] or self._beside(part, place)):
                    limit, operator = early.pop()
                    found += self._pair([token], limit, operator, part)
                    self.last = token
                    continue
                waiting.append(token)
            elif token.kind == "limit":
                operator = self._operator(part, place)
                if waiting:
                    if operator or (self.bare and self._close(part, place)):
                        self.last = waiting[-1]
                        found += self._pair(waiting, token, operator, part)
                        waiting = []
                elif self._is_rate(token) and (operator or self.bare or token.found["more"]):
                    found.append(self._rate(token, operator))
                elif (operator or self.bare) and self.last is not None and own and token.found["unit"]:
                    found += self._pair([self.last], token, operator, part)
                elif operator or token.found["unit"]:
                    early.append((token, operator))
        lost = (
            [t for t, _ in early]
            if found or self.last is not None
            else [t for t in part if t.kind in ("share", "odds")]
        )
        if lost:
            self.problem = f"{lost[0].text.strip()!r} belongs to no metric"
        return found

    def _beside(self, part: list[Token], place: int) -> bool:
        """Whether a limit without an operator is right before the statistic: "200 ms (p95)"."""
        return self.bare and part[place - 1].kind == "limit"

    def _close(self, part: list[Token], place: int) -> bool:
        """Whether only plain words are between the statistic and its limit."""
        for token in reversed(part[:place]):
            if token.kind in _STATISTICS or token.kind in _RESOURCES:
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
        if unknown := self._subject(part, statistics[0]):
            raise _Unclear(f'which requests are {unknown!r}? Name the endpoint as it is measured, like "GET /orders"')
        return [self._limited(s, number, limit, operator) for s, number in zip(statistics, numbers, strict=True)]

    def _subject(self, part: list[Token], statistic: Token) -> str:
        """The words before a statistic that name something other than everything, where no endpoint is named."""
        if self.named:
            return ""
        before = [t for t in part if t.found.start() < statistic.found.start()]
        return " ".join(t.text for t in before if t.kind == "word" and t.text.lower() not in PLAIN)

    def _limited(self, statistic: Token, number: str, limit: Token, operator: str) -> Clause:
        metric = Metric.of(_metric(statistic))
        number = number.replace(",", "")
        unit = (limit.found["unit"] or "").lower().strip()
        unit = _UNITS.get(unit, unit)
        complement = statistic.kind == "success"
        natural = ">=" if complement or metric.better > 0 else "<="
        operator = natural if operator in ("", "is", "==", "=") else operator
        if operator[0] not in ("=", "!", natural[0]):
            raise _Unclear(f"a limit on {metric.label} is an upper one: write {natural!r}, or leave an alarm out"
                           if natural == "<=" else f"a limit on {metric.label} is a lower one: write {natural!r}")  # fmt: skip
        if complement:
            value = float(number) / (100 if unit == "%" or float(number) > 1 else 1)
            return self._clause(metric.name, _MIRROR[operator], f"{(1 - value) * 100:.10g}%")
        if metric.kind == RATE:
            return self._rate(limit, operator, metric)
        if metric.kind == SHARE:
            return self._clause(metric.name, operator, f"{number}%" if unit == "%" else number)
        if metric.kind == RESOURCE or metric.unit == "bytes":
            return self._resource(metric, operator, number, unit)
        if not metric.unit and unit:
            raise _Unclear(f"expected a limit of {metric.label} without a unit, found {limit.text.strip()!r}")
        if not metric.unit:
            return self._clause(metric.name, operator, number)
        if unit and (unit == "%" or self._is_rate(limit) or not re.fullmatch(r"µs|μs|us|ms|s|min|m|h", unit)):
            raise _Unclear(f"expected a limit of {metric.label} in ms or s, found {limit.text.strip()!r}")
        return self._clause(metric.name, operator, number + (unit or "ms"), "" if unit else "milliseconds", number)

    def _resource(self, metric: Metric, operator: str, number: str, unit: str) -> Clause:
        endpoint = self.endpoint if metric.has_endpoints else AGGREGATED
        if metric.unit == "cores":
            share = unit == "%"
            if unit not in ("%", "cores", ""):
                raise _Unclear(
                    f"expected a limit of {metric.label} in cores or per cent of one core, found {number} {unit}"
                )
            cores = float(number) / 100 if share else float(number)
            return Clause(metric.name, operator, f"{cores:.10g}", endpoint, "that share of one core" if share else "",
                          f"{number} %" if share else number)  # fmt: skip
        if not re.fullmatch(r"(?:[kmg]i?)?b(?:\s?(?:/\s?|per )s\w*)?", unit):
            raise _Unclear(f"expected a limit of {metric.label} in bytes, like 512 MB, found {number} {unit}".rstrip())
        per_s = re.sub(r"\s?(?:/\s?|per )s\w*$", "", unit)
        if (per_s != unit) != (metric.unit == "bytes/s"):
            raise _Unclear(f"expected a limit of {metric.label} in {metric.unit}, found {number} {unit}")
        return Clause(metric.name, operator, f"{number}{per_s}", endpoint)

    def _is_rate(self, limit: Token) -> bool:
        return bool(re.match(r"rps|tps|qps|.*(?:/|\bper\b|\ban?\b)", limit.found["unit"] or "", re.I)) and not re.match(
            r"[KMG]?i?B", limit.found["unit"], re.I
        )

    def _rate(self, limit: Token, operator: str, metric: Metric | None = None) -> Clause:
        """A throughput in requests per second, whatever the time that the text counts in."""
        metric = metric or Metric.of("throughput_per_s")
        value = float(limit.found["numbers"].replace(",", "")) * (1000 if limit.found["kilo"] else 1)
        unit = (limit.found["unit"] or "").lower()
        seconds = next(
            (s for pattern, s in ((r"\bm(?:in\w*)?$", 60), (r"\bh(?:ours?)?$", 3600)) if re.search(pattern, unit)), 1
        )
        operator = ">=" if operator in ("", "is") else operator
        if operator[0] == "<":
            raise _Unclear(
                "a limit on throughput is a lower one: write '>='; an arrival rate belongs into the load plan"
            )
        number = f"{value / seconds:.10g}"
        return self._clause(metric.name, operator, number, "" if unit else "requests per second", number)

    def _share(self, part: list[Token], limits: list[Token]) -> Clause:
        """ "95 % of requests within 300 ms", "no more than 5 % of requests slower than 300 ms"."""
        at = next(i for i, t in enumerate(part) if t.kind == "share")
        share, limit = part[at], limits[-1]
        between = [t for t in part[at:] if t.kind in _OPERATORS and t.found.start() < limit.found.start()]
        slower = bool(between) and between[-1].kind == "more" and not between[-1].text.lower().startswith("at least")
        quantile = float(share.found["of"])
        operator = self._operator(part, part.index(limit))
        if slower:
            quantile, operator = 100 - quantile, "<="
        token = Token("share", f"p{quantile:.10g}", share.found)
        return self._limited(token, limit.found["numbers"], limit, operator or "<=")

    def _failing(self, part: list[Token], *, good: bool) -> Clause:
        """ "less than 0.5 % of requests fail", "fewer than 1 in 1000 requests may fail", "99.9 % of requests succeed"."""
        at = next(i for i, t in enumerate(part) if t.kind in ("share", "odds"))
        found = part[at].found
        share = float(found["of"]) / 100 if part[at].kind == "share" else int(found["one"]) / float(
            found["out"].replace(",", "")
        )  # fmt: skip
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


def _metric(token: Token) -> str:
    """The name of a statistic."""
    if token.kind == "share":
        return token.text
    if token.kind in ("quantile", "ordinal"):
        found = token.found
        return f"p{float(found['q'] or found['nth'] or found['ord']):g}"
    return canonical(token.text) if token.kind == "vital" else _NAMED[token.kind]
