"""`read_objectives`: objectives out of a Markdown document (tables, lists, sentences) or k6's options as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.metrics import Metric
from perflab.notes import Note
from perflab.objectives import grammar
from perflab.objectives.cautions import NO_UNIT
from perflab.objectives.k6 import from_thresholds
from perflab.objectives.objective import Objective, Objectives, collected
from perflab.objectives.words import cleaned, endpoint_in, load_in
from perflab.objectives.writing import from_toml

EXPECTED = 'expected a metric, an operator and a limit, like "p95 of GET /orders < 200 ms"'
_LARGEST = 4_000_000
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+")
_ABOUT = re.compile(
    r"\b(?:slos?|slas?|service levels?|objectives?|performance|latency|requirements?|thresholds?|budgets?)\b", re.I
)
_ROUTE = re.compile(r"\b(?:endpoint|route|path|request|operation|api|url|service|page)s?\b", re.IGNORECASE)
_MEASURE = re.compile(
    r"\b(?:metric|measure|indicator|sli|statistic|percentile|aggregation|quantity)s?\b", re.IGNORECASE
)
_GOAL = re.compile(r"\b(?:target|limit|objective|slo|sla|threshold|goal|budget|value|requirement|must be)s?\b", re.I)
_OWN = re.compile(
    r"^\W*(?:the\s+)?(?P<what>metrics|prometheus|health|healthz|readiness|liveness|ready)\b[\w ]{0,20}?\W{1,5}"
    r"(?:at\s+)?(?:GET\s+)?(?:https?://[^/\s]+)?(?P<path>/[\w./-]{1,200})\W*$",
    re.IGNORECASE,
)
"""A line that says where the service shows its metrics or its health."""
_UNIT = re.compile(r"\(\s*(?:in\s+)?(ms|s|seconds?|milliseconds?|%|/s|req/s|requests/s|rps)\s*\)|\b(ms|seconds|%)\s*$")


def read_objectives(source: str | Path | Mapping[str, Any]) -> Objectives:
    """Objectives from where they are written.

    Parameters
    ----------
    source : a Markdown file such as INTERFACE.md (tables with a column for each metric or for the limit; list items and
        sentences like "p95 of GET /orders < 200 ms", under a heading that names the endpoint or not); a JSON file of
        k6's options, or its ``thresholds`` as a mapping; a TOML file (pyproject.toml) with ``[tool.perflab] objectives``.

    Returns
    -------
    Objectives: a sequence to give to `check`. ``.not_understood`` lists, with the line, whatever looks like a
    requirement and could not be read. A number without a unit is taken as milliseconds, with a warning.

    Raises
    ------
    FormatError : the file can't be read, is no text, or is larger than 4 MB.

    >>> goals = read_objectives({"http_req_duration": ["p(95)<200"], "http_req_failed": ["rate<0.01"]})
    >>> [str(goal) for goal in goals]
    ['p95 (linear quantile) of all requests < 200 ms', 'error rate of all requests < 1 %']
    """
    if isinstance(source, Mapping):
        return from_thresholds(_thresholds(source))
    path = Path(source)
    text = _text(path)
    if path.suffix == ".toml":
        return from_toml(path, text)
    if text.lstrip().startswith("{"):
        return _json(path, text)
    return _markdown(path.name, text)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise FormatError(f"{path}: expected a document of at most {_LARGEST / 1e6:g} MB, found a larger file")
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise FormatError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise FormatError(f"{path}: expected text in UTF-8, found byte {problem.start} that is none") from problem


def _json(path: Path, text: str) -> Objectives:
    try:
        options = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise FormatError(f"{path}:{problem.lineno}: expected JSON with k6's thresholds: {problem.msg}") from problem
    return from_thresholds(_thresholds(options), source=path.name)


def _thresholds(options: Mapping[str, Any]) -> Mapping[str, Any]:
    found = options.get("thresholds", options)
    return found if isinstance(found, Mapping) else options


class _Found:
    """What a document has given so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objectives: list[Objective] = []
        self.lost: list[tuple[str, str, str]] = []
        self.warnings: list[Note] = []
        self.endpoints: dict[str, str] = {}

    def take(self, number: int, text: str, line: grammar.Line) -> None:
        where, found = f"{self.name}:{number}", line.clauses
        if line.problem:
            self.lose(number, text, line.problem)
        for one in found:
            try:
                self.objectives.append(
                    Objective(
                        one.metric, one.operator, one.limit, endpoint=one.endpoint, source=where, load=load_in(text)
                    )
                )
            except ValueError as problem:
                self.lose(number, text, str(problem))
            if one.read_as:
                self.warnings.append(
                    NO_UNIT(where=where, metric=Metric.of(one.metric).label, operator=one.operator, number=one.number,
                            unit=one.read_as)
                )  # fmt: skip

    def lose(self, number: int, text: str, reason: str) -> None:
        self.lost.append((f"{self.name}:{number}", text.strip()[:200], reason))


def _markdown(name: str, text: str) -> Objectives:
    found = _Found(name)
    endpoint, about, table = AGGREGATED, False, _Table(None)
    headings: dict[int, str] = {}
    for number, line in _prose(text):
        if heading := _HEADING.match(line):
            level = len(heading[1])
            headings = {k: v for k, v in headings.items() if k < level} | {level: heading[2]}
            endpoint = next(
                filter(None, (endpoint_in(headings[k]) for k in sorted(headings, reverse=True))), AGGREGATED
            )
            about = any(_ABOUT.search(words) for words in headings.values())
        elif line.count("|") >= 2 or (table.headings and "|" in line):
            table = _row(found, table, number, line, endpoint, about)
            continue
        elif own := _OWN.match(cleaned(_ITEM.sub("", line, count=1))[:500]):
            found.endpoints.setdefault(
                "metrics" if own["what"].lower() in ("metrics", "prometheus") else "health", own["path"]
            )
        else:
            _sentence(found, number, line, endpoint, about)
        table = _Table(None)
    return collected(found.objectives, found.lost, name, found.warnings, found.endpoints)


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside fenced code and comments."""
    fence = ""
    for number, line in enumerate(
        re.sub(r"<!--.*?-->", lambda m: "\n" * m[0].count("\n"), text, flags=re.S).splitlines(), 1
    ):
        mark = re.match(r"\s{0,3}(```+|~~~+)", line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence:
            yield number, line


def _sentence(found: _Found, number: int, line: str, endpoint: str, about: bool) -> None:
    item = bool(_ITEM.match(line))
    read = grammar.read_line(_ITEM.sub("", line, count=1), default=endpoint, bare=item and about)
    if (
        not read.clauses
        and not read.problem
        and (grammar.promises(line) or (item and about and (grammar.limit_in(line) or grammar.bounds(line))))
    ):
        read.problem = EXPECTED
    found.take(number, line, read)


class _Table:
    """The headings of the table that is being read; None before its first row."""

    def __init__(self, headings: list[str] | None) -> None:
        self.headings = headings or []
        self.metrics = {i: metric for i, h in enumerate(self.headings) if (metric := grammar.metric_in(h))}

    def column(self, pattern: re.Pattern[str]) -> int | None:
        return next((i for i, h in enumerate(self.headings) if i not in self.metrics and pattern.search(h)), None)


def _row(found: _Found, table: _Table, number: int, line: str, endpoint: str, about: bool) -> _Table:
    cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
    if not table.headings:
        return _Table(cells)
    if all(re.fullmatch(r":?-+:?", c) for c in cells):
        return table
    route = table.column(_ROUTE)
    where = cells[route] if route is not None and route < len(cells) else ""
    own = endpoint_in(where) or _named(where) or endpoint_in(line) or endpoint
    before = len(found.objectives), len(found.lost)
    for text in _cells(table, cells, route):
        found.take(number, line, grammar.read_line(text, default=own, bare=True))
    relevant = about or table.metrics or table.column(_GOAL) is not None
    if before == (len(found.objectives), len(found.lost)) and relevant and _worth(table, cells):
        found.lose(number, line, "expected a limit like '< 200 ms' in a column that names its metric")
    return table


def _named(cell: str) -> str:
    """The name in a column of endpoints that is no path ("Checkout"); "" where it means all of them."""
    name = re.sub(r"[*_`]", "", cell).strip()
    everything = ("", "-", "–", "all", "any", "each", "every", "overall", "total", "all endpoints", "all requests")
    return AGGREGATED if name.lower() in everything and cell.strip() else name


def _cells(table: _Table, cells: list[str], route: int | None) -> Iterator[str]:
    """The requirements of a row in words: a cell under a heading that names a metric, or metric and limit cells."""
    for position, metric in table.metrics.items():
        if position < len(cells) and re.search(r"\d", cells[position]):
            yield f"{_words(metric)} {_with_unit(cells[position], table.headings[position])}"
    if not table.metrics:
        goal = table.column(_GOAL)
        heading = table.headings[goal] if goal is not None else ""
        yield " ".join(_with_unit(c, heading) if i == goal else c for i, c in enumerate(cells) if i != route)


def _worth(table: _Table, cells: list[str]) -> bool:
    columns = [*table.metrics] or [c for c in (table.column(_GOAL),) if c is not None]
    held = [cells[c] for c in columns if c < len(cells)]
    return any(re.search(r"\w", cell) for cell in held) or grammar.promises(" ".join(cells))


def _words(metric: str) -> str:
    """A metric as the grammar reads it."""
    found = Metric.of(metric)
    return f"{found.label} latency" if found.is_maximum else found.label


def _with_unit(cell: str, heading: str) -> str:
    """The cell with the unit that its heading names, where it has none itself."""
    unit = _UNIT.search(heading)
    return f"{cell} {unit[1] or unit[2]}" if unit and re.search(r"[\d.]\s*$", cell) else cell
