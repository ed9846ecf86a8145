"""Samples of ``perf script`` files: how many perflab reads, how many the file holds, and what FlameGraph's collapser counts.

    python bench/perf_files.py FOLDER... [--write]     FOLDER: checkouts of brendangregg/FlameGraph and jonhoo/inferno

A sample is a line with a time, or, where there are no times, a block of lines between blank ones. stackcollapse-perf.pl (of
the first checkout that has it) counts only the samples of a file's first event that have a stack. The exit code is 1 where
perflab's count differs without an error or a note.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import perflab as lab
from perflab.formats import of_file

HEAD = """perf script files of FlameGraph and inferno (`bench/perf_files.py`): samples that the file holds (lines with a time,
or blocks between blank lines), that perflab read, and that stackcollapse-perf.pl counted (only those of the first event
that have a stack; it adds up periods where there are any)."""


def samples(text: bytes) -> int:
    """Lines with a time, or blocks of lines between blank ones; comments left out."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(b"#")]
    if timed := sum(bool(re.search(rb"\s\d+\.\d{3,9}:\s", line)) for line in kept):
        return timed
    return sum(bool(block.strip()) for block in re.split(rb"\n[ \t\r]*\n", b"\n".join(kept)))


def peer(script: Path | None, text: bytes) -> int | None:
    """The sum of what stackcollapse-perf.pl writes; None where it fails or is not there."""
    if script is None or shutil.which("perl") is None:
        return None
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(text)
        done = subprocess.run(["perl", str(script), file.name], capture_output=True, check=False, timeout=60)
    weights = [line.rsplit(b" ", 1)[-1] for line in done.stdout.splitlines()]
    return sum(map(int, weights)) if done.returncode == 0 and all(w.isdigit() for w in weights) else None


def row(path: Path, script: Path | None) -> tuple[str, bool]:
    """A row of the table, and whether perflab was wrong in silence."""
    data = path.read_bytes()
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    held, counted = samples(text), peer(script, text)
    try:
        found = lab.read(path, format="perf_script", weight="samples")
    except lab.PerflabError as problem:
        said = str(problem).replace(str(path), path.name).splitlines()[0]
        return f"| {path.name} | {held} | error | {_(counted)} | {said} |", False
    read = round(float(found.profile["self"].sum()))
    notes = ", ".join(note.code for note in found.warnings if note.code != "several-events")
    return f"| {path.name} | {held} | {read} | {_(counted)} | {notes} |", read != held and not notes


def _(count: int | None) -> str:
    return "" if count is None else str(count)


def main(folders: list[Path]) -> int:
    """Compare all files, print the table, and write it where asked."""
    script = next((p for folder in folders for p in folder.rglob("stackcollapse-perf.pl")), None)
    rows, bad = (
        ["| file | in the file | perflab | stackcollapse-perf.pl | error or notes |", "|---|---|---|---|---|"],
        0,
    )
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".txt", ".gz") and p.is_file()):
            inside = str(path.relative_to(folder))
            if "perf" not in inside or re.search(r"results/|fold|diff|collapsed", inside) or not _is_perf(path):
                continue
            line, wrong = row(path, script)
            rows.append(line)
            bad += wrong
    text = "\n".join(rows)
    print(text)
    if "--write" in sys.argv:
        Path(__file__).with_suffix(".md").write_text(f"{HEAD}\n\n{text}\n", encoding="utf-8")
    return int(bad > 0)


def _is_perf(path: Path) -> bool:
    """Files of another format are not in question; empty and broken ones that no reader takes are."""
    try:
        return of_file(path) == "perf_script"
    except lab.PerflabError:
        return True


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:] if not name.startswith("--")]))
