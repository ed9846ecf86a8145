"""Logs of other projects' test folders: the statements that other tools count in them beside the rows that are read.

    python bench/foreign_logs.py [--together] FOLDER... > bench/foreign_logs.md

FOLDER is a checkout's folder of samples: darold/pgbadger t/fixtures, percona/go-mysql test/slow-logs, percona/percona-toolkit
t/lib/samples/slowlogs. Needs pgBadger and pt-query-digest (apt: pgbadger, percona-toolkit). Nothing of the files is kept here
but the counts. ``--together`` counts the slow logs of a folder in one go, which is much faster, and gives one row.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import perflab as lab
from perflab.data import sources
from perflab.errors import PerflabError

ENTRY = re.compile(rb"^# (?:Thread_id: +\d+ +)?Query_time: +\d", re.MULTILINE)
STATEMENT = re.compile(rb"duration: [\d.]+ ms  (?:statement|execute (?!fetch from)[^:\n]*):")


def searched(data: bytes) -> int:
    """Entries of a slow log, or timed statements of PostgreSQL, by searching the bytes."""
    return len(ENTRY.findall(data)) or len(STATEMENT.findall(data))


def by_pt_query_digest(*paths: Path) -> tuple[int, int]:
    """Statements and administrator commands that pt-query-digest counts."""
    command = ["pt-query-digest", "--no-version-check", "--limit", "100%", "--output", "json", *paths]
    done = subprocess.run(command, capture_output=True, check=False)
    try:
        found = json.loads(done.stdout.decode(errors="replace"), strict=False)
    except json.JSONDecodeError:
        return 0, 0
    commands = [c["query_count"] for c in found["classes"] if c["fingerprint"].startswith("administrator command")]
    return found["global"]["query_count"] - sum(commands), sum(commands)


FORMATS = ("", "stderr", "jsonlog", "csv", "logplex", "syslog", "rds")
"""What pgBadger does not find out by itself."""


def by_pgbadger(path: Path, prefix: str | None) -> int:
    return next((count for form in FORMATS if (count := _by_pgbadger(path, prefix, form))), 0)


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


def row(path: Path) -> str:
    with sources.open_bytes(path) as stream:
        data = stream.read()
    prefix = None
    try:
        found = lab.read(path)
        rows = len(found.queries) if "queries" in found.tables else 0
        said = ", ".join(note.code for note in found.warnings)
        prefix = found.meta.get("log_line_prefix")
    except PerflabError as problem:
        rows, said = (
            0,
            "refused: " + str(problem).replace(f"{path}", "").split(";")[0].split("(it begins")[0][:110].strip(": "),
        )
    if ENTRY.search(data) or "slow" in path.name or path.name.startswith("pt-"):
        with tempfile.NamedTemporaryFile() as plain:
            plain.write(data)
            plain.flush()
            theirs, commands = by_pt_query_digest(Path(plain.name))
        tool = f"pt-query-digest {theirs:,}" + (f" and {commands} administrator commands" if commands else "")
    else:
        theirs = by_pgbadger(path, prefix)
        tool = f"pgBadger {theirs:,}"
    mark = "" if theirs == rows else "fewer" if rows < theirs else "more"
    return f"| {path.name} | {searched(data):,} | {tool} | {rows:,} | {mark} | {said} |\n"


def together(folder: Path) -> str:
    """One row for all slow logs of a folder."""
    paths = sorted(p for p in folder.iterdir() if p.suffix != ".gz")
    rows = found = 0
    for path in paths:
        found += searched(path.read_bytes())
        try:
            rows += len(lab.read(path, format="mysql_slow").queries)
        except PerflabError:
            continue
    theirs, commands = by_pt_query_digest(*paths)
    tool = f"pt-query-digest {theirs:,} and {commands} administrator commands"
    return f"| {len(paths)} files together | {found:,} | {tool} | {rows:,} | {rows - theirs or ''} |  |\n"


def main() -> None:
    out = sys.stdout.write
    if sys.argv[1] == "--together":
        for folder in sys.argv[2:]:
            out(together(Path(folder)))
        return
    out("| file | by search | by the other tool | read | difference | notes |\n|---|---|---|---|---|---|\n")
    for path in (p for folder in sys.argv[1:] for p in sorted(Path(folder).iterdir()) if p.is_file()):
        try:
            out(row(path))
        except PerflabError:
            continue


if __name__ == "__main__":
    main()
