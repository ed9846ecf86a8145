"""Logs of other projects' test folders: statements that plain searches count in them, beside the rows that are read.

    python bench/foreign_logs.py FOLDER... > bench/foreign_logs.md

FOLDER is a checkout's folder of samples: darold/pgbadger t/fixtures, percona/go-mysql test/slow-logs, percona/percona-toolkit
t/lib/samples/slowlogs. Nothing of them is kept here but the counts.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import perflab as lab
from perflab.data import sources
from perflab.errors import PerflabError

ENTRY = re.compile(rb"^# (?:Thread_id: +\d+ +)?Query_time: +\d", re.MULTILINE)
ADMINISTRATOR = re.compile(rb"^# administrator command", re.MULTILINE)
STATEMENT = re.compile(rb"duration: [\d.]+ ms  (?:statement|execute (?!fetch from)[^:\n]*):")


def counted(path: Path) -> int:
    """Statements by searching the bytes."""
    with sources.open_bytes(path) as stream:
        data = stream.read()
    entries = len(ENTRY.findall(data))
    return entries - len(ADMINISTRATOR.findall(data)) if entries else len(STATEMENT.findall(data))


def main() -> None:
    out = sys.stdout.write
    out("| file | counted by search | read | notes |\n|---|---|---|---|\n")
    for path in (p for folder in sys.argv[1:] for p in sorted(Path(folder).iterdir()) if p.is_file()):
        try:
            found = lab.read(path)
            rows = f"{len(found.queries):,}" if "queries" in found.tables else "-"
            said = ", ".join(note.code for note in found.warnings)
        except PerflabError as problem:
            rows, said = "refused", type(problem).__name__
        try:
            out(f"| {path.name} | {counted(path):,} | {rows} | {said} |\n")
        except PerflabError:
            continue


if __name__ == "__main__":
    main()
