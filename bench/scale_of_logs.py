"""A PostgreSQL log of 10 GB to a table of N+1: memory, statements a second, and counts against its pieces read one by one.

    python bench/scale_of_logs.py write FOLDER [--bytes 10e9]    rotated files made of two recorded logs; resumes
    python bench/scale_of_logs.py measure FOLDER                 step after step, each a process of a few minutes; resumes
    python bench/scale_of_logs.py table FOLDER

Each copy of a recorded log is an hour later and of other server processes. The first file is compressed. Two processes read the
log, two files after two files (a day each), and find N+1 in all of it. pgBadger (apt: pgbadger) reads 100 MB of it, twice.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "tests" / "corpora" / "recorded"
LOGS = ("rental.stderr.log.bz2", "museum.stderr.log.bz2")
FILES, WORKERS = 10, 2
THEIRS_THERE = 10_200
"""Statements a second of pgBadger where the goal of 100,000 was set."""
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
    counts, made = [[0] * len(LOGS) for _ in range(FILES)], copies()
    for number in range(FILES):
        name = place / f"postgresql-{number:02}.log"
        written = 0
        with gzip.open(f"{name}.gz", "wb", compresslevel=1) if not number else name.open("wb") as file:
            while written < size / FILES:
                log, data = next(made)
                file.write(data)
                written += len(data)
                counts[number][log] += 1
    (place / "written.json").write_text(json.dumps({"copies": counts, "bytes": size}))


def files(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob("postgresql-*"))


def timed(work: Callable[[ProcessPoolExecutor], dict[str, object]]) -> dict[str, object]:
    """What the work found, its seconds and CPU seconds, and the most memory of all its processes together."""
    import psutil

    this, most, over = psutil.Process(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            used = 0
            for process in (this, *this.children(recursive=True)):
                with suppress(psutil.Error):
                    used += process.memory_info().rss
            most[0] = max(most[0], used)

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    with ProcessPoolExecutor(WORKERS) as pool:
        found = work(pool)
    took = time.perf_counter() - began
    over.set()
    watching.join()
    times = this.cpu_times()
    cpu = times.user + times.system + times.children_user + times.children_system
    return {**found, "seconds": took, "cpu_s": cpu, "rss_bytes": most[0]}


def read_day(folder: Path, day: int) -> dict[str, object]:
    """Two files of the log into the store."""
    import perflab as lab

    store = folder / "store"
    names = files(folder)[2 * day : 2 * day + 2]
    return timed(lambda pool: {"run": lab.ingest(names, store, run=f"day {day}", executor=pool)[0].name})


def find(folder: Path) -> dict[str, object]:
    """The table of N+1 of all days."""
    import perflab as lab

    def work(pool: ProcessPoolExecutor) -> dict[str, object]:
        held = lab.load(folder / "store", lazy=True)
        found = lab.find_n_plus_one(held, executor=pool)
        claimed = found[found["evidence"].isin(["confirmed", "likely"])]
        return {
            "statements": held.length("queries"), "patterns": len(found), "claimed": len(claimed),
            "calls": int(claimed["calls"].sum()), "units": int(claimed["units"].sum()),
        }  # fmt: skip

    return timed(work)


def by_pgbadger(folder: Path) -> dict[str, object]:
    """Statements and CPU seconds of pgBadger, of the first 100 MB of the last file."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        log, out = Path(place) / "postgresql.log", Path(place) / "out.json"
        with files(folder)[-1].open("rb") as source:
            data = source.read(int(100e6))
        log.write_bytes(data[: data.rindex(b"\n") + 1])
        command = ["pgbadger", "-q", "-x", "json", "-f", "stderr", "--prefix", "%m [%p] %u@%d ", "--pid-dir", place]
        subprocess.run([*command, "-o", out, log], check=True, capture_output=True)
        used = os.times()
        held = json.loads(out.read_text())
    return {"statements": held["overall_stat"]["queries_number"], "cpu_s": used.children_user + used.children_system}


def one_by_one(folder: Path) -> dict[str, object]:
    """Each recorded log read by itself: statements, and calls and units in N+1."""
    import perflab as lab

    found: dict[str, object] = {}
    for name in LOGS:
        held = lab.read(RECORDED / name)
        table = lab.find_n_plus_one(held)
        claimed = table[table["evidence"].isin(["confirmed", "likely"])]
        found[name] = [len(held.queries), int(claimed["calls"].sum()), int(claimed["units"].sum())]
    return found


def measure(folder: Path) -> None:
    days = [f"day{n}" for n in range(FILES // 2)]
    for step in ("pieces", "pgbadger1", *days, "find", "pgbadger2"):
        kept = folder / f"log-{step}.json"
        if not kept.exists():
            command = [sys.executable, __file__, step, str(folder)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            kept.write_text(done.stdout.splitlines()[-1])


def one_step(step: str, folder: Path) -> dict[str, object]:
    if step.startswith("day"):
        return read_day(folder, int(step[3:]))
    return {"pieces": one_by_one, "find": find, "pgbadger1": by_pgbadger, "pgbadger2": by_pgbadger}[step](folder)


def table(folder: Path) -> None:
    held = {path.stem.removeprefix("log-"): json.loads(path.read_text()) for path in folder.glob("log-*.json")}
    written, found = json.loads((folder / "log" / "written.json").read_text()), held["find"]
    days = [one for step, one in held.items() if step.startswith("day")]
    copied = [sum(file[n] for file in written["copies"][: 2 * len(days)]) for n in range(len(LOGS))]
    statements, calls, units = (
        sum(count * held["pieces"][name][n] for count, name in zip(copied, LOGS, strict=True)) for n in range(3)
    )
    size = written["bytes"] * 2 * len(days) / FILES
    read, cpu = sum(day["seconds"] for day in days), sum(day["cpu_s"] for day in days)
    took, most = read + found["seconds"], max(one["rss_bytes"] for one in (*days, found))
    theirs = [held[step]["statements"] / held[step]["cpu_s"] for step in ("pgbadger1", "pgbadger2") if step in held]
    print(f"\n## A PostgreSQL log of {size / 1e9:.0f} GB, in {2 * len(days)} rotated files, the first compressed\n")
    same = 100_000 * sum(theirs) / len(theirs) / THEIRS_THERE
    print(f"Read by {WORKERS} processes, two files a run, on two cores shared with other work, of which pgBadger reads")
    paces = " and ".join(f"{pace:,.0f}" for pace in theirs)
    print(f"{paces} statements of the same log in a CPU second (100 MB of it). The goal, 100,000/s, was set where")
    print(f"pgBadger reads {THEIRS_THERE:,}/s: the same speed is {same:,.0f}/s here.\n")
    columns = (
        "",
        "Statements",
        "Calls in N+1",
        "Units in N+1",
        "Seconds",
        "CPU seconds",
        "Statements/s",
        "... a CPU second",
    )
    print(f"| {' | '.join(columns)} | Most memory, MB |")
    print("|---" * 9 + "|")
    count, nothing = found["statements"], " | "
    claimed = f"{found['calls']:,} | {found['units']:,}"
    for name, counts, seconds, spent, rss in (
        ("`ingest`", nothing, read, cpu, max(day["rss_bytes"] for day in days)),
        ("`find_n_plus_one`", claimed, found["seconds"], found["cpu_s"], found["rss_bytes"]),
        ("both", claimed, took, cpu + found["cpu_s"], most),
    ):
        speeds = f"{count / seconds:,.0f} | {count / spent:,.0f}"
        print(f"| {name} | {count:,} | {counts} | {seconds:.0f} | {spent:.0f} | {speeds} | {rss / 1e6:,.0f} |")
    print(f"| its recorded pieces one by one | {statements:,} | {calls:,} | {units:,} | | | | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytes", type=float, default=10e9)
    given = parser.parse_args()
    if given.step == "write":
        write(given.folder, given.bytes)
    elif given.step in ("measure", "table"):
        {"measure": measure, "table": table}[given.step](given.folder)
    else:
        print(json.dumps(one_step(given.step, given.folder)))


if __name__ == "__main__":
    main()
