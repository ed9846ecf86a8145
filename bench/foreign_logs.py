"""Logs of other projects' test folders: the statements that other tools count in them against the rows that perflab reads.

    python bench/foreign_logs.py FOLDER... > bench/foreign_logs.md

Each FOLDER is one of a checkout's folders of samples: darold/pgbadger t/fixtures, percona/go-mysql test/slow-logs,
percona/percona-toolkit t/lib/samples/slowlogs and t/lib/samples/genlogs; every file in it is counted. Needs pgBadger and
pt-query-digest (apt: pgbadger, percona-toolkit). A file of which perflab reads fewer statements than the other tool counts,
without a refusal or a note that says why, is silent, and the exit code is 1. Nothing of the files is kept here but the counts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import perflab as lab
from perflab.data import sources
from perflab.errors import PerflabError

ENTRY = re.compile(rb"^# (?:Thread_id: +\d+ +)?Query_time: +\d", re.MULTILINE)
STATEMENT = re.compile(rb"duration: [\d.]+ ms  (?:statement|execute (?!fetch from)[^:\n]*):")
COMMAND = re.compile(
    rb"^(?:\d{6} +\d?\d:\d\d:\d\d|\d{4}-\S+|[\t ])[\t ]+\d+ (?:Query|Execute)(?:\t| {2})", re.MULTILINE
)
FORMATS = ("", "stderr", "jsonlog", "csv", "logplex", "syslog", "rds")
"""What pgBadger does not find out by itself."""
EXPLAINS = frozenset({"skipped", "cut-off", "statements-without-duration"})


def searched(data: bytes) -> int:
    """Entries of a slow or general log, or timed statements of PostgreSQL, by searching the bytes."""
    return len(ENTRY.findall(data)) or len(STATEMENT.findall(data)) or len(COMMAND.findall(data))


def by_pt_query_digest(data: bytes, kind: str) -> tuple[int, int]:
    """Statements and administrator commands that pt-query-digest counts."""
    with tempfile.NamedTemporaryFile() as plain:
        plain.write(data)
        plain.flush()
        command = ["pt-query-digest", "--no-version-check", "--type", kind, "--limit", "100%", "--output", "json"]
        done = subprocess.run([*command, plain.name], capture_output=True, check=False)
    try:
        found = json.loads(done.stdout.decode(errors="replace"), strict=False)
    except json.JSONDecodeError:
        return 0, 0
    commands = [c["query_count"] for c in found["classes"] if c["fingerprint"].startswith("administrator command")]
    return found["global"]["query_count"] - sum(commands), sum(commands)


def by_pgbadger(path: Path, prefix: str | None) -> int:
    forms = FORMATS[:1] if path.name.startswith("pgbouncer") else FORMATS
    return next((count for form in forms if (count := _by_pgbadger(path, prefix, form))), 0)


def _by_pgbadger(path: Path, prefix: str | None, form: str) -> int:
    with tempfile.TemporaryDirectory() as name:
        given = ["-f", form] if form else ["-p", prefix.replace("%q", "")] if prefix else []
        out = Path(name) / "out.json"
        command = ["pgbadger", "-q", "-x", "json", *given, "--pid-dir", name, "-o", out, path]
        environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        subprocess.run(command, capture_output=True, check=False, env=environment, timeout=280)
        try:
            return int(json.loads(out.read_text(errors="replace"))["overall_stat"]["queries_number"])
        except (OSError, ValueError, KeyError):
            return 0


def row(path: Path) -> tuple[str, bool]:
    """The file's row of the table, and whether statements are missing without a word."""
    prefix, rows, refused = None, 0, False
    try:
        with sources.open_bytes(path) as stream:
            data = stream.read()
        found = lab.read(path)
        rows = len(found.queries) if "queries" in found.tables else 0
        codes = [note.code for note in found.warnings]
        prefix = found.meta.get("log_line_prefix")
    except PerflabError as problem:
        reason = str(problem).replace(f"{path}", "").split(";")[0].split("(it begins")[0]
        codes, refused = ["refused: " + reason[:110].strip(": ").replace("|", "\\|")], True
        data = path.read_bytes()
    if (general := "genlog" in str(path)) or ENTRY.search(data) or "slow" in str(path):
        theirs, commands = by_pt_query_digest(data, "genlog" if general else "slowlog")
        tool = f"pt-query-digest {theirs:,}" + (f" and {commands} administrator commands" if commands else "")
    else:
        theirs = by_pgbadger(path, prefix)
        tool = f"pgBadger {theirs:,}"
    silent = rows < theirs and not refused and not EXPLAINS & set(codes)
    mark = "" if theirs == rows else "**fewer**" if silent else "fewer" if rows < theirs else "more"
    return f"| {path.name} | {searched(data):,} | {tool} | {rows:,} | {mark} | {', '.join(codes)} |\n", silent


def version(tool: str) -> str:
    shown = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    return next(iter(re.findall(r"\d+(?:\.\d+)+", shown)), "")


def main(folders: list[Path]) -> int:
    out = sys.stdout.write
    tools = f"pgBadger {version('pgbadger')} or pt-query-digest {version('pt-query-digest')}"
    out(f"Query logs of other projects, counted by `bench/foreign_logs.py` on {date.today():%-d %B %Y}: ")
    out(f"by a search in the bytes, by {tools}, and as perflab reads them.\n")
    out("Administrator commands are not statements. `more`: perflab reads statements that the other tool does not.\n")
    above = os.path.commonpath(folders) if len(folders) > 1 else folders[0].parent
    silent = count = 0
    for folder in folders:
        out(f"\n## {folder.relative_to(above)}\n\n")
        out("| file | by search | by the other tool | read | difference | notes |\n|---|---|---|---|---|---|\n")
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            line, missing = row(path)
            out(line)
            sys.stdout.flush()
            silent, count = silent + missing, count + 1
    out(f"\n{count} files; silent differences: {silent}\n")
    return bool(silent)


if __name__ == "__main__":
    sys.exit(main([Path(name).resolve() for name in sys.argv[1:]]))
