"""Objectives in plain words: "p95 of GET /orders < 200 ms", "95 % of requests within 300 ms", "error rate below 1 %"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from perflab.data.tables import AGGREGATED
from perflab.metrics import RATE, SHARE, Metric
from perflab.objectives.objective import Objective

LONGEST = 2_000
"""Longer lines are not requirements, and would cost a regular expression time."""

_VERBS = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS"
# "/s", "/min" and "and/or" are no paths.
ENDPOINT = re.compile(
    rf"\b(?P<verb>{_VERBS})\s+(?P<path>/[^\s`|,;)*]{{0,200}})"
    r"|(?<![\w/.}\])%])(?<!\d )(?P<bare>/(?!(?:s|sec|second|min|minute|h|hour)\b)[A-Za-z{:<\[][^\s`|,;)*]{0,200})"
)
_METRIC = re.compile(
    r"\b(?P<p>p\s?\(?(?P<pq>\d{1,2}(?:\.\d{1,4})?)\)?)(?![\w.]*\d)"
    r"|\b(?P<nth>\d{1,2}(?:\.\d{1,4})?)(?:st|nd|rd|th)?[ -]?(?:percentile|%-?ile|pctl)\b"
    r"|\b(?P<p50>median)\b|\b(?P<mean>mean|average|avg)\b"
    r"|\b(?P<max>max(?:imum)?|slowest|longest|worst[ -]case)\s(?=latency|response|request|duration|time)"
    r"|\b(?P<success>success(?:ful)?[ -]?(?:rate|ratio|fraction)|availability|uptime)\b"
    r"|\b(?P<errors>(?:error|failure|failed)[ -]?(?:requests?[ -]?)?(?:rate|ratio|fraction|share)|errors|failed requests)\b"
    r"|\b(?P<throughput>throughput|requests? (?:per|a|/) ?s(?:econd)?|requests/s(?:ec)?|rps|req/s)\b",
    re.IGNORECASE,
)
_LESS = r"below|under|less than|lower than|faster than|within|at most|no more than|not more than|no longer than|up to"
_LESS += r"|not exceed(?:ing)?|never exceed|max(?:imum)?(?: of)?"
_MORE = r"above|over|more than|greater than|higher than|at least|no less than|not less than|min(?:imum)?(?: of)?"
_OPERATOR = rf"(?P<symbol><=|>=|=<|=>|==|!=|≤|≥|<|>)|\b(?P<less>{_LESS})\b|\b(?P<more>{_MORE})\b|(?P<is>[:=~])"
_LIMIT = (
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)\s?"
    r"(?P<unit>µs|μs|us|ms|milliseconds?|msec|seconds?|secs?|s|minutes?|min|m|hours?|h|%|percent|per cent|rps"
    r"|(?:requests?|reqs?)?\s?(?:/\s?s(?:ec(?:ond)?)?|per second|a second))?"
    r"(?![\w/])"
)
_TAIL = re.compile(rf"(?P<between>[^\d<>≤≥=;|]{{0,80}}?)(?:{_OPERATOR})\s*{_LIMIT}", re.IGNORECASE)
_FILLER = r"[\s:()–-]|\b(?:latency|latencies|response|times?|durations?|requests?|all|of|for|the|rate)\b"
_BARE_TAIL = re.compile(rf"(?P<between>(?:{_FILLER}){{0,12}}?)\s*{_LIMIT}\W*$", re.IGNORECASE)
_SHARE_WITHIN = re.compile(
    r"\b(?P<share>\d{1,2}(?:\.\d{1,4})?)\s?(?:%|percent|per cent)\s+of\s+(?:all\s+)?(?:the\s+)?"
    r"(?P<between>[^\d<>≤≥=;|]{0,100}?)"
    rf"(?:{_OPERATOR}|\bin\b)\s*{_LIMIT}",
    re.IGNORECASE,
)
CONDITION = re.compile(
    r"\b(?:at|for|with|under)\s+(?:a load of\s+)?\d[\d,.]*\s?(?:\w+\s)?(?:users|clients|VUs|rps|req|requests|/s)[\w/ ]{0,20}"
)
_QUANTITY = re.compile(
    r"\b(?:latency|latencies|response times?|load times?|durations?|cpu|memory|rss|disk|i/?o|availability|lcp|cls|inp|ttfb)\b",
    re.IGNORECASE,
)
"""What people put limits on; without a statistic it is a requirement that cannot be checked as it is."""
_BOUND = re.compile(rf"(?:[<>≤≥]|\b(?:{_LESS}|{_MORE})\b)[^\d]{{0,12}}\d", re.IGNORECASE)
_UNITS = {"milliseconds": "ms", "millisecond": "ms", "msec": "ms", "seconds": "s", "second": "s", "secs": "s",
          "sec": "s", "minutes": "min", "minute": "min", "hours": "h", "hour": "h", "percent": "%", "per cent": "%"}  # fmt: skip


@dataclass(frozen=True)
class Clause:
    """One requirement of a text, before its limit is checked."""

    metric: str
    operator: str
    limit: str
    endpoint: str
    read_as: str = ""
    """The unit that a number without one was read in."""
    number: str = ""


def objective_of(text: str) -> Objective:
    """The one objective that a text states; ValueError when there is none or there are several.

    >>> print(objective_of("p95 of GET /orders < 200ms"))
    p95 of GET /orders < 200 ms
    """
    found = list(clauses(text))
    if len(found) != 1:
        count = "none" if not found else str(len(found))
        raise ValueError(
            f'an objective reads like "p95 of GET /orders < 200ms" or "error rate < 1%"; found {count} in {text!r}'
        )
    one = found[0]
    return Objective(one.metric, one.operator, one.limit, endpoint=one.endpoint, source=text)


def endpoint_in(text: str) -> str:
    """The first endpoint that a text names, "" when it names none.

    >>> endpoint_in("### `GET /orders/{id}`"), endpoint_in("100 requests/s")
    ('GET /orders/{id}', '')
    """
    found = ENDPOINT.search(text[:LONGEST])
    if not found:
        return ""
    path = (found["path"] or found["bare"]).rstrip(".:?!>\"'" if "<" not in found[0] else ".:?!\"'")
    return f"{found['verb']} {path}" if found["verb"] else path


def clauses(text: str, *, default: str = AGGREGATED, bare: bool = False) -> Iterator[Clause]:
    """Each requirement in a line; ``default`` is the endpoint where the line names none, ``bare`` allows "p95 200 ms"."""
    line = re.sub(r"[*_]{1,3}(?=\S)|(?<=\S)[*_]{2,3}|`", "", text[:LONGEST])
    named = {endpoint_in(m[0]) for m in ENDPOINT.finditer(line)}
    current = named.pop() if len(named) == 1 else ""
    for segment in re.split(r";|,(?!\d{3}\b)|\band\b", line):
        current = endpoint_in(segment) or current
        yield from _of_segment(ENDPOINT.sub(" ", segment), current or default, bare)


def promises(text: str) -> bool:
    """Whether a line looks like a performance requirement: it names a metric and holds a number."""
    line = ENDPOINT.sub(" ", text[:LONGEST])
    rest = _METRIC.sub(" ", line)
    if rest != line:
        return bool(re.search(r"\d", rest))
    return bool(_QUANTITY.search(line) and _BOUND.search(line))


def metric_in(text: str) -> str:
    """The metric that a heading names, "" when it names none ("p95 (ms)" gives "p95")."""
    found = _METRIC.search(text[:LONGEST])
    return _metric(found)[0] if found else ""


def limit_in(text: str) -> bool:
    """Whether a text holds an operator and a limit with its unit ("under 2 s")."""
    found = _TAIL.search(text[:LONGEST])
    return bool(found and found["unit"] and not found["is"])


def _of_segment(segment: str, endpoint: str, bare: bool) -> Iterator[Clause]:
    if share := _SHARE_WITHIN.search(segment):
        yield _clause(f"p{float(share['share']):g}", False, share, endpoint)
        return
    metrics = list(_METRIC.finditer(segment))
    for position, found in enumerate(metrics):
        end = metrics[position + 1].start() if position + 1 < len(metrics) else len(segment)
        metric, complement = _metric(found)
        tail = _TAIL.match(segment, found.end()) or (_BARE_TAIL.match(segment, found.end()) if bare else None)
        rate = Metric.of(metric).kind == RATE
        begin = metrics[position - 1].end() if position else 0
        if (tail is None or tail.start("number") >= end) and (before := _before(segment[begin : found.start()], rate)):
            tail = before
        elif tail is None or (tail.start("number") >= end):
            continue
        yield _clause(metric, complement, tail, endpoint)
        if rate:
            return


def _before(text: str, rate: bool) -> re.Match[str] | None:
    """ "at least 100 requests per second", "< 100 ms (p95)": the limit comes before the metric's name."""
    link = "" if rate else r"(?:[(,]|\b(?:at|for|in|as)\b|\bthe\b|\s)*"
    found = re.search(rf"(?:{_OPERATOR})\s*{_LIMIT}\s*{link}$", text, re.IGNORECASE)
    return found if found and (rate or found["unit"]) else None


def _metric(found: re.Match[str]) -> tuple[str, bool]:
    """The metric's name, and whether the text means its complement (availability)."""
    if percentile := found["pq"] or found["nth"]:
        return f"p{float(percentile):g}", False
    for group, metric in (("p50", "p50"), ("mean", "mean"), ("max", "max"), ("throughput", "throughput_per_s")):
        if found[group]:
            return metric, False
    return "error_fraction", bool(found["success"])


def _clause(metric: str, complement: bool, tail: re.Match[str], endpoint: str) -> Clause:
    groups = tail.groupdict()
    number, unit = groups["number"].replace(",", ""), (groups["unit"] or "").lower().strip()
    unit = _UNITS.get(unit, unit)
    operator = _operator(groups, metric, complement)
    read_as, kind = "", Metric.of(metric).kind
    if complement:
        value = float(number) / (100 if unit == "%" or float(number) > 1 else 1)
        return Clause(metric, _MIRROR.get(operator, operator), f"{(1 - value) * 100:.10g}%", endpoint)
    if kind == SHARE:
        limit = f"{number}%" if unit == "%" else number
    elif kind == RATE:
        limit, read_as = number, "" if unit else "requests per second"
    else:
        limit, read_as = number + (unit or "ms"), "" if unit else "milliseconds"
    return Clause(metric, operator, limit, endpoint, read_as, number)


_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _operator(groups: dict[str, str | None], metric: str, complement: bool) -> str:
    """The operator that a text states, or the natural one ("p95: 200 ms" means at most)."""
    symbol = (groups.get("symbol") or "").replace("=<", "<=").replace("=>", ">=")
    if symbol:
        return {"≤": "<=", "≥": ">="}.get(symbol, symbol)
    words = " ".join((groups.get("less") or groups.get("more") or "").lower().split())
    if groups.get("less"):
        return "<" if words in ("below", "under", "less than", "lower than", "faster than") else "<="
    if groups.get("more"):
        return ">=" if words in ("at least", "no less than", "not less than") or words.startswith("min") else ">"
    return ">=" if complement or Metric.of(metric).better > 0 else "<="
