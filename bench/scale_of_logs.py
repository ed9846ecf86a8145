"""A PostgreSQL log of 10 GB to a table of N+1: memory, statements a second, and counts against its pieces read one by one.

    python bench/scale_of_logs.py write FOLDER [--bytes 10e9]    rotated files made of two recorded logs; resumes
    python bench/scale_of_logs.py measure FOLDER
    python bench/scale_of_logs.py table FOLDER

Each copy of a recorded log is an hour later and of other server processes. The first file is compressed.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "tests" / "corpora" / "recorded"
LOGS = ("rental.stderr.log.bz2", "museum.stderr.log.bz2")
FILES = 10
HEAD = re.compile(rb"(?m)^(\d{4}-\d\d-\d\d \d\d)(:\d\d:\d\d\.\d{3} UTC \[)(\d+)(?=\])")


def copies() -> Iterator[tuple[int, bytes]]:
    """Copies of the recorded logs for ever, with the number of the log."""
    split = [HEAD.split(bz2.decompress((RECORDED / name).read_bytes())) for name in LOGS]
    at, shift = datetime(2026, 1, 1), 0
    while True:
        for number, parts in enumerate(split):
            old_hours = enumerate(dict.fromkeys(parts[1::4]))
            hours = {old: (at + timedelta(hours=n)).strftime("%Y-%m-%d %H").encode() for n, old in old_hours}
            pids = {pid: str(int(pid) + shift).encode() for pid in set(parts[3::4])}
            parts[1::4], parts[3::4] = [hours[old] for old in parts[1::4]], [pids[pid] for pid in parts[3::4]]
            at, shift = at + timedelta(hours=len(hours)), 101
            yield number, b"".join(parts)


def write(folder: Path, size: float) -> None:
    place = folder / "log"
    if (place / "written.json").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    counts, made = [0] * len(LOGS), copies()
    for number in range(FILES):
        name = place / f"postgresql-{number:02}.log"
        written = 0
        with gzip.open(f"{name}.gz", "wb", compresslevel=1) if not number else name.open("wb") as file:
            while written < size / FILES:
                log, data = next(made)
                file.write(data)
                written += len(data)
                counts[log] += 1
    (place / "written.json").write_text(json.dumps({"copies": counts, "bytes": size}))


def files(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob("postgresql-*"))


def in_one(folder: Path) -> dict[str, object]:
    """The log to a table of N+1, in this process."""
    import perflab as lab

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as store:
        lab.ingest(files(folder), store, run="postgresql")
        read = time.perf_counter()
        held = lab.load(store, lazy=True)
        found = lab.find_n_plus_one(held)
        statements = held.length("queries")
    done = time.perf_counter()
    claimed = found[found["evidence"].isin(["confirmed", "likely"])]
    return {
        "statements": statements, "read_s": read - began, "found_s": done - read, "patterns": len(found),
        "claimed": len(claimed), "calls": int(claimed["calls"].sum()), "units": int(claimed["units"].sum()),
        "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def one_by_one(folder: Path) -> dict[str, object]:
    """Each recorded log read by itself, times its copies."""
    import perflab as lab

    total = {"statements": 0, "calls": 0, "units": 0}
    written = json.loads((folder / "log" / "written.json").read_text())
    for name, count in zip(LOGS, written["copies"], strict=True):
        held = lab.read(RECORDED / name)
        found = lab.find_n_plus_one(held)
        claimed = found[found["evidence"].isin(["confirmed", "likely"])]
        total["statements"] += count * len(held.queries)
        for column in ("calls", "units"):
            total[column] += count * int(claimed[column].sum())
    return total


def measure(folder: Path) -> None:
    raw = folder / "log.json"
    if raw.exists():
        return
    found = [
        json.loads(subprocess.run([sys.executable, __file__, step, str(folder)], check=True, capture_output=True, text=True)
                   .stdout.splitlines()[-1])
        for step in ("pieces", "one")
    ]  # fmt: skip
    size = sum(f.stat().st_size for f in files(folder)[1:]) * FILES / (FILES - 1)
    raw.write_text(json.dumps({"pieces": found[0], "one": found[1], "bytes": size}))


def table(folder: Path) -> None:
    held = json.loads((folder / "log.json").read_text())
    one, pieces = held["one"], held["pieces"]
    took = one["read_s"] + one["found_s"]
    print(f"\n## A PostgreSQL log of {held['bytes'] / 1e9:.1f} GB, in {FILES} rotated files, the first compressed\n")
    print(
        "| | Statements | Calls in N+1 | Units in N+1 | Seconds | Statements/s | Most memory, MB |\n" + "|---" * 7 + "|"
    )
    print(f"| `ingest`, `load`, `find_n_plus_one` | {one['statements']:,} | {one['calls']:,} | {one['units']:,} | {took:.0f} "
          f"({one['read_s']:.0f} to read) | {one['statements'] / took:,.0f} | {one['rss_bytes'] / 1e6:,.0f} |")  # fmt: skip
    print(
        f"| its recorded pieces one by one | {pieces['statements']:,} | {pieces['calls']:,} | {pieces['units']:,} | | | |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["write", "measure", "one", "pieces", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytes", type=float, default=10e9)
    given = parser.parse_args()
    if given.step == "write":
        write(given.folder, given.bytes)
    elif given.step in ("one", "pieces"):
        print(json.dumps({"one": in_one, "pieces": one_by_one}[given.step](given.folder)))
    else:
        {"measure": measure, "table": table}[given.step](given.folder)


if __name__ == "__main__":
    main()
