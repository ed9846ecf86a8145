"""`read_objectives`: objectives out of a Markdown document (tables, lists, sentences) or k6's options as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.metrics import Metric
from perflab.notes import Note
from perflab.objectives import grammar, promising
from perflab.objectives.cautions import IN_CODE, NO_UNIT
from perflab.objectives.document_blocks import CODE, HEADING, HTML, ITEM, MARKER, TABLE, TEXT, Block, blocks
from perflab.objectives.document_tables import Table, rows_of
from perflab.objectives.k6 import from_thresholds
from perflab.objectives.objective import Objective, Objectives, collected
from perflab.objectives.words import LONGEST, cleaned, endpoint_in, load_in
from perflab.objectives.writing import from_toml

EXPECTED = 'expected a metric, an operator and a limit, like "p95 of GET /orders < 200 ms"'
_LARGEST = 4_000_000
_ABOUT = re.compile(
    r"\b(?:slos?|slas?|slis?|service levels?|objectives?|performance|latenc(?:y|ies)|response times?|throughput|availability|"
    r"reliability|requirements?|thresholds?|budgets?|non-?functional|nfrs?|quality attributes?|anforderungen|exigences)\b",
    re.IGNORECASE,
)
"""Headings below which list items are requirements."""
_SHORT = 5
"""A list item or a heading of more words names no endpoint."""
_OWN = re.compile(
    r"^\W*(?:the\s+)?(?P<what>metrics|prometheus|health|healthz|readiness|liveness|ready)\b[\w ]{0,20}?\W{1,5}"
    r"(?:at\s+)?(?:GET\s+)?(?:https?://[^/\s]+)?(?P<path>/[\w./-]{1,200})\W*$",
    re.IGNORECASE,
)
"""A line that says where the service shows its metrics or its health."""


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
        row = f"{self.name}:{number}", text.strip()[:200], reason
        if row not in self.lost[-9:]:
            self.lost.append(row)


def _markdown(name: str, text: str) -> Objectives:
    found = _Found(name)
    context = _Context()
    in_html = 0
    for block in blocks(text):
        if block.kind == HEADING:
            context = context.below(block)
        elif block.kind == TABLE:
            _table(found, block, context)
        elif block.kind == CODE:
            if context.about and promising.promises(block.text):
                found.warnings.append(IN_CODE(where=f"{name}:{block.number}", text=block.text.strip()[:200]))
        elif block.kind == HTML:
            if context.about and block.number - in_html > 1:
                found.lose(block.number, block.text, "a table in HTML is not read: write it in Markdown")
            in_html = block.number
        else:
            lines = tuple("" if _is_page(found, line) else line for line in block.lines)
            if any(lines):
                _sentences(found, Block(block.kind, block.number, lines, block.level), context)
    return collected(found.objectives, found.lost, name, found.warnings, found.endpoints)


def _is_page(found: _Found, line: str) -> bool:
    """Whether a line says where the service shows its metrics or its health, which is kept."""
    own = _OWN.match(cleaned(MARKER.sub("", line, count=1))[:500])
    if own:
        what = "metrics" if own["what"].lower() in ("metrics", "prometheus") else "health"
        found.endpoints.setdefault(what, own["path"])
    return bool(own)


class _Context:
    """The headings and the list items that a block is below."""

    def __init__(self, headings: Mapping[int, str] | None = None) -> None:
        self.headings = dict(headings or {})
        named = (endpoint_in(self.headings[level]) for level in sorted(self.headings, reverse=True))
        self.endpoint = next(filter(None, named), AGGREGATED)
        self.about = any(_ABOUT.search(words) for words in self.headings.values())
        last = self.headings[max(self.headings)] if self.headings else ""
        self.statistic = promising.statistic_in(last)
        self.subject = last if self.about and not _ABOUT.search(last) and not endpoint_in(last) else ""
        self.items: list[tuple[int, str]] = []

    def below(self, heading: Block) -> _Context:
        """The context below a heading."""
        return _Context({k: v for k, v in self.headings.items() if k < heading.level} | {heading.level: heading.text})

    def above(self, block: Block) -> list[str]:
        """The list items that a block is nested in, the nearest first."""
        self.items = [(level, text) for level, text in self.items if level < block.level]
        above = [text for _, text in reversed(self.items)]
        if block.kind == ITEM:
            self.items.append((block.level, MARKER.sub("", block.text, count=1)))
        return above


def _sentences(found: _Found, block: Block, context: _Context) -> None:
    """The lines of a block each for itself where each is complete, or as the one sentence that they are."""
    above = context.above(block)
    endpoint = next(filter(None, map(endpoint_in, above)), context.endpoint)
    item = block.kind == ITEM
    lines = [(block.number + i, part) for i, line in enumerate(block.lines) for part in _parts(line)]

    def read(line: str) -> grammar.Line:
        text = MARKER.sub("", line, count=1) if item else line
        statistic = next(filter(None, map(promising.statistic_in, above)), context.statistic)
        whole = promising.completed(text, statistic) if item and context.about else text
        subject = next(iter(above), context.subject)
        if endpoint == AGGREGATED and not endpoint_in(text) and promising.unknown(subject, most=_SHORT):
            whole = f"{subject}: {whole}"
        return grammar.read_line(whole, default=endpoint, bare=item and context.about)

    each = [read(line) for _, line in lines]
    if len(lines) > 1 and any(one.problem or (not one.clauses and promising.unfinished(line))
                              for one, (_, line) in zip(each, lines, strict=True)):  # fmt: skip
        whole = [(block.number, part) for part in _parts(block.text)]
        joined = [read(part) for _, part in whole]
        if any(map(endpoint_in, block.lines)) or not any(one.problem for one in joined):
            lines, each = whole, joined
    for (number, line), one in zip(lines, each, strict=True):
        if not one.clauses and not one.problem and _looks_like_one(line, item=item, context=context):
            one.problem = EXPECTED
        found.take(number, line, one)


def _parts(text: str) -> list[str]:
    """The sentences of a text that is too long to be read at once."""
    return [text] if len(text) <= LONGEST else re.split(r"(?<=[.;!?])\s+", text)


def _looks_like_one(text: str, *, item: bool, context: _Context) -> bool:
    line = MARKER.sub("", text, count=1)
    if promising.caps(line):
        return False
    if promising.promises(line) or promising.of_an_endpoint(line):
        return True
    bound = item and (promising.limit_in(line) or promising.bounds(line))
    bound = bound or (item and bool(context.statistic) and promising.bounded(line))
    return context.about and (bound or promising.measured(line, item=item))


def _table(found: _Found, block: Block, context: _Context) -> None:
    headings, rows = rows_of(block.lines)
    if not headings:  # no table: lines with bars
        for at, line in rows:
            _sentences(found, Block(TEXT, block.number + at, (line,)), context)
        return
    table = Table(headings, context.endpoint, context.about, context.statistic)
    if any(promising.limit_in(h) for h in headings):
        _sentences(found, Block(TEXT, block.number, (block.lines[0],)), context)
    for at, line in rows:
        for one in table.read(line):
            found.take(block.number + at, line, one)
