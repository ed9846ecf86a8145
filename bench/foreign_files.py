"""Result files that other projects keep for their tests: what perflab reads of them against plain parsers of the same files.

    python bench/foreign_files.py FOLDER > bench/foreign_files.md

FOLDER holds checkouts such as Blazemeter/taurus, jenkinsci/performance-plugin and nuxeo/gatling-report, not part of this project.
Each file that a format of a load tool claims is read, and the requests and failures in it are counted again by a parser
that shares no code with perflab. The two must agree, or a warning or refusal must say why not: a difference without either is
silent, and the exit code is 1.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import perflab as lab
from perflab import formats
from perflab.data import sources

Counts = tuple[int, int]
"""Requests, and failures among them."""
_TRANSACTION = "Number of samples in transaction"
_EXPLAINS = frozenset(
    {
        "skipped",
        "broken-xml",
        "transactions-left-out",
        "inner-left-out",
        "cut-off",
        "unanswered-left-out",
        "no-failures",
    }
)


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig", "replace")


def jtl(path: Path) -> Counts:
    """A row for each record of the CSV that is no transaction."""
    text = _text(path)
    delimiter = max(",;\t|", key=text.split("\n", 1)[0].count)
    rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    header = "timeStamp" in rows[0]
    at = {name: n for n, name in enumerate(rows[0])} if header else {"responseMessage": 4, "success": 7}
    kept = [r for r in rows[header:] if r and not r[at.get("responseMessage", 0)].startswith(_TRANSACTION)]
    return len(kept), sum(r[at["success"]].lower() == "false" for r in kept)


def jtl_xml(path: Path) -> Counts:
    """A sample for each outermost element that is no transaction, or the outermost inside one."""

    def found(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
        for child in element:
            if child.tag not in ("httpSample", "sample"):
                continue
            if child.get("rm", "").startswith(_TRANSACTION):
                yield from found(child)
            else:
                yield child

    samples = list(found(ElementTree.fromstring(_text(path).strip())))
    return len(samples), sum(s.get("s") == "false" for s in samples)


def gatling(path: Path) -> Counts:
    """A line REQUEST for each."""
    lines = [line.split("\t") for line in _text(path).splitlines() if line.startswith("REQUEST\t")]
    return len(lines), sum("KO" in fields for fields in lines)


def k6(path: Path) -> Counts:
    """A line http_req_duration for each."""
    rows = [r for r in csv.DictReader(_text(path).splitlines()) if r["metric_name"] == "http_req_duration"]
    return len(rows), sum(r["expected_response"] == "false" for r in rows)


def lines(path: Path) -> Counts:
    """A line for each, below the header."""
    return len(_text(path).splitlines()) - 1, 0


PLAIN: dict[str, Callable[[Path], Counts]] = {
    "ab_requests": lines, "gatling": gatling, "jmeter_csv": jtl, "jmeter_xml": jtl_xml, "k6_csv": k6,
}  # fmt: skip


def compared(path: Path, name: str) -> tuple[str, str, str, bool]:
    """What perflab read, what the plain parser counted, the note about it, and whether they differ without one."""
    try:
        plain = "{} ({})".format(*PLAIN[name](path)) if name in PLAIN else "none"
    except (ElementTree.ParseError, LookupError, ValueError, csv.Error) as problem:
        plain = f"fails ({type(problem).__name__})"
    try:
        found = lab.read(path)
    except lab.PerflabError as problem:
        return "refused", plain, str(problem).split(": ", 1)[-1][:120].replace("|", "\\|"), False
    codes = [note.code for note in found.warnings]
    if "requests" in found.tables:
        read = f"{len(found.requests)} ({int((~found.requests['ok']).sum())})"
    else:
        read = ", ".join(f"{table}: {len(frame)}" for table, frame in found.tables.items() if table != "runs")
    silent = name in PLAIN and read != plain and not _EXPLAINS & set(codes)
    return read, plain, ", ".join(codes) + (" **DIFFERS**" if silent else ""), silent


def main(folder: Path) -> int:
    names = sorted(place.name.replace("+", "/") for place in folder.iterdir() if place.is_dir())
    print(f"Result files of {', '.join(names)}, read by `bench/foreign_files.py` on {date.today():%-d %B %Y}.")
    print("Requests with failures in brackets; a refusal or a note explains each difference.\n")
    print("| file | format | perflab: requests (failed) | plain parser | notes |\n|---|---|---|---|---|")
    silent = count = 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not (names := formats.claimants(sources.head(path))):
            continue
        read, plain, note, differs = compared(path, names[0])
        silent, count = silent + differs, count + 1
        print(f"| {path.relative_to(folder)} | {' '.join(names)} | {read} | {plain} | {note} |")
    print(f"\n{count} files; silent differences: {silent}")
    return bool(silent)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
