"""The requirements in a Markdown table: a column for each metric, or for the metric and for its limit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perflab.data.tables import AGGREGATED
from perflab.objectives import promising
from perflab.objectives.document_blocks import is_separator
from perflab.objectives.grammar import Line, read_line
from perflab.objectives.words import endpoint_in

_ROUTE = re.compile(r"\b(?:endpoint|route|path|request|operation|api|url|service|page)s?\b", re.IGNORECASE)
_GOAL = re.compile(r"\b(?:target|limit|objective|slo|sla|threshold|goal|budget|value|requirement|must be)s?\b", re.I)
_BESIDE = re.compile(
    r"\b(?:current(?:ly)?|actual|today|now|baseline|before|after|previous|old|achieved|observed|measured|results?|status|"
    r"notes?|comments?|remarks?|owner|rationale|reason|measurement|source|tool|priority|alert\w*|window|period|ids?|ref|no)\b|^#$",
    re.IGNORECASE,
)
"""Columns that hold no requirement: what is, who asked for it, how it is measured."""
_PERCENTILE = re.compile(r"\b(?:percentile|quantile)s?\b", re.IGNORECASE)
_NTH = re.compile(r"(\d{1,2}(?:\.\d{1,4})?)\s*(?:st|nd|rd|th|%)?")
_UNIT = re.compile(r"\(\s*(?:in\s+)?(ms|s|seconds?|milliseconds?|%|/s|req/s|requests/s|rps)\s*\)|\b(ms|seconds|%)\s*$")
NO_LIMIT = "expected a limit like '< 200 ms' in a column that names its metric"


class Table:
    """The headings of a table: which column names the endpoint, which a metric, which the limit."""

    def __init__(self, headings: list[str], default: str, about: bool, statistic: str) -> None:
        self.headings, self.default, self.statistic = headings, default, statistic
        self.beside = {i for i, h in enumerate(headings) if _BESIDE.search(h)}
        self.metrics = {
            i: metric for i, h in enumerate(headings) if i not in self.beside and (metric := promising.metric_in(h))
        }
        self.route = self.column(_ROUTE)
        self.nth = self.column(_PERCENTILE)
        self.goal = next(filter(lambda c: c is not None, (self.column(_GOAL), self.column(re.compile("latenc|time", re.I))
                                if self.nth is not None else None)), None)  # fmt: skip
        self.relevant = bool(about or self.metrics or self.goal is not None)

    def column(self, pattern: re.Pattern[str]) -> int | None:
        """The first column whose heading matches, of those that name no metric."""
        others = (i for i in range(len(self.headings)) if i not in self.metrics and i not in self.beside)
        return next((i for i in others if pattern.search(self.headings[i])), None)

    def read(self, line: str) -> Iterator[Line]:
        """What the cells of a row require; why nothing is understood, where they look like it."""
        cells = cells_of(line)
        where = cells[self.route] if self.route is not None and self.route < len(cells) else ""
        own = endpoint_in(where) or _named(where) or endpoint_in(line) or self.default
        lines = [read_line(text, default=own, bare=True) for text in self._texts(cells, own)]
        names = [name for i, (name, _) in self.metrics.items() if i < len(cells) and re.search(r"\d", cells[i])]
        if len(set(names)) < len(names):
            lines = [Line([], "two columns of one metric: leave one, or name what differs in a column of endpoints")]
        if any(cells[len(self.headings) :]) and self.relevant:
            lines = [Line([], "more cells than headings: write \\| for a bar that is part of a name")]
        yield from (one for one in lines if one.clauses or one.problem)
        unread = [c for i, c in enumerate(cells[: len(self.headings)]) if i not in (*self.metrics, *self.beside, self.goal)
                  and re.search(r"\d", c) and promising.needs_statistic(self.headings[i])]  # fmt: skip
        if unread and self.metrics:
            yield Line([], f"{unread[0]!r} belongs to no metric")
        elif self.relevant and not any(one.clauses or one.problem for one in lines) and self._worth(cells):
            yield Line([], NO_LIMIT)

    def _texts(self, cells: list[str], endpoint: str) -> Iterator[str]:
        """The requirements of a row in words: a cell below a metric, or those of the metric and of the limit."""
        first = 0 not in (*self.metrics, *self.beside, self.route)
        label = f"{cells[0]} " if first and endpoint == AGGREGATED else ""
        for position, (_, words) in self.metrics.items():
            if position < len(cells) and re.search(r"\d", cells[position]):
                yield f"{label}{words} {_with_unit(cells[position], self.headings[position])}"
        if not self.metrics:
            heading = self.headings[self.goal] if self.goal is not None else ""
            parts = [_with_unit(c, heading) if i == self.goal else self._nth(i, c) for i, c in enumerate(cells)
                     if i != self.route and i not in self.beside]  # fmt: skip
            yield promising.completed(" ".join(parts), self.statistic)

    def _nth(self, position: int, cell: str) -> str:
        found = _NTH.fullmatch(cell) if position == self.nth else None
        return f"p{found[1]}" if found else cell

    def _worth(self, cells: list[str]) -> bool:
        """Whether the cells for limits hold anything, or the row looks like a requirement."""
        columns = [*self.metrics] or [c for c in (self.goal,) if c is not None]
        held = [cells[c] for c in columns if c < len(cells)]
        whole = " ".join(c for i, c in enumerate(cells) if i not in self.beside or not columns)
        return (
            any(re.search(r"\w", cell) for cell in held)
            or promising.promises(whole)
            or promising.measured(whole, item=True)
        )


def rows_of(lines: tuple[str, ...]) -> tuple[list[str], list[tuple[int, str]]]:
    """The headings of a table, and its rows with their place; no headings where no row of dashes follows them."""
    at = next((i for i, line in enumerate(lines) if i and is_separator(line)), 0)
    body = [(i, line) for i, line in enumerate(lines) if i > at or not at]
    above = [cells_of(line) for line in lines[:at]]
    width = max(map(len, above), default=0)
    return [" ".join(filter(None, (row[i] if i < len(row) else "" for row in above))) for i in range(width)], body


def cells_of(line: str) -> list[str]:
    """The cells of a row."""
    inner = re.sub(r"^\||(?<!\\)\|$", "", line.strip())
    return [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", inner)]


def _named(cell: str) -> str:
    """The name in a column of endpoints that is no path ("Checkout"); "" where it means all of them."""
    name = re.sub(r"[*_`]", "", cell).strip()
    everything = ("", "-", "–", "all", "any", "each", "every", "overall", "total", "all endpoints", "all requests")
    return AGGREGATED if name.lower() in everything and cell.strip() else name


def _with_unit(cell: str, heading: str) -> str:
    """The cell with the unit that its heading names, where it has none itself."""
    unit = _UNIT.search(heading)
    return f"{cell} {unit[1] or unit[2]}" if unit and re.search(r"[\d.]\s*$", cell) else cell
