"""The blocks of a Markdown document: headings, list items, paragraphs and tables, with what is in fenced code and in HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADING, ITEM, TEXT, TABLE, CODE, HTML = "heading", "item", "text", "table", "code", "html"
MARKER = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-{2,})\s*$")
_SEPARATOR = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_HTML = re.compile(r"\s*</?(?:table|thead|tbody|tr|td|th)\b", re.IGNORECASE)
_HARD_BREAK = re.compile(r"(?: {2,}|\\|<br\s*/?>)$")


@dataclass(frozen=True)
class Block:
    """Lines that belong together; ``level`` is a heading's, or the indentation of an item or a paragraph."""

    kind: str
    number: int
    lines: tuple[str, ...]
    level: int = 0

    @property
    def text(self) -> str:
        """The lines as one."""
        return " ".join(line.strip() if i else line.rstrip() for i, line in enumerate(self.lines))


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a document without its comments, in order.

    >>> [(b.kind, b.number, b.text) for b in blocks("Goals\\n-----\\n- p95 of GET /orders\\n  < 200 ms")]
    [('heading', 1, 'Goals'), ('item', 3, '- p95 of GET /orders < 200 ms')]
    """
    lines = re.sub(r"<!--.*?-->", lambda m: "\n" * m[0].count("\n"), text, flags=re.S).splitlines()
    held: list[str] = []
    kind, first, level = TEXT, 0, 0
    fence, at = "", 0
    while at < len(lines):
        line, number, at = lines[at], at + 1, at + 1
        mark = _FENCE.match(line)
        goes_on = bool(held) and not mark and not fence and bool(line.strip())
        if goes_on and kind == TEXT and (under := _UNDERLINE.match(line)):
            title = " ".join(part.strip() for part in held)
            yield Block(HEADING, first, (title,), 1 if under[1][0] == "=" else 2)
            held = []
            continue
        started = None if fence or mark else _started(lines, at - 1)
        if held and (not goes_on or started is not None):
            yield Block(kind, first, tuple(held), level)
            held = []
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif fence:
            yield Block(CODE, number, (line,))
        elif started is not None and started.kind != ITEM:
            at = number + len(started.lines) - 1
            yield started
        elif started is not None:
            held, kind, first, level = [line], ITEM, number, started.level
        elif held:
            held.append(line)
        elif line.strip():
            held, kind, first, level = [line], TEXT, number, _indent(line)
        if held and _HARD_BREAK.search(line):
            yield Block(kind, first, tuple(held), level)
            held = []
    if held:
        yield Block(kind, first, tuple(held), level)


def _started(lines: list[str], at: int) -> Block | None:
    """The heading, item, table or HTML that starts at a line; None where it may go on with what is before it."""
    line = lines[at]
    if found := _HEADING.match(line):
        return Block(HEADING, at + 1, (found[2],), len(found[1]))
    if _is_row(line) or ("|" in line and at + 1 < len(lines) and "|" in lines[at + 1] and is_separator(lines[at + 1])):
        end = at + 1
        while end < len(lines) and "|" in lines[end]:
            end += 1
        return Block(TABLE, at + 1, tuple(lines[at:end]))
    if MARKER.match(line):
        return Block(ITEM, at + 1, (line,), _indent(line))
    return Block(HTML, at + 1, (line,)) if _HTML.match(line) else None


def is_separator(line: str) -> bool:
    """Whether a row is the one between the headings of a table and its body."""
    return bool(_SEPARATOR.match(line))


def _is_row(line: str) -> bool:
    return line.count("|") >= 2


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())
