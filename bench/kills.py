"""Runs that end in every way against a server that counts: is each request that it counted a record, or counted apart?

python bench/kills.py [--resume FILE] [--minutes N] > kills.md

30 runs whose driver is killed at a random moment once requests are made, and full disks of five sizes: everything flushed is
recovered. Three clients, each ended by itself and by SIGINT, SIGTERM and SIGKILL of the driver or of the generator: records and
what is counted apart equal the server's count; after SIGKILL of the generator what is missing was sent after the last flush, but
for one request of each user, and the run is invalid. Ends with exit code 1 if any of that does not hold. With --resume, cases
that were done before are not run again; --minutes ends it after that time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil

import perflab as lab
from perflab.loadtest.records import RECORD

SERVERS = Path(__file__).parent.parent / "tests" / "loadtest" / "servers"
SECONDS, USERS = 6, 6
DRIVER = """
import sys, perflab as lab
users, port, store, seconds, count = sys.argv[1:]
stages = lab.Stage(float(seconds), users=int(count))
limits = {"timeout": "2s", "stop_timeout": "3s"}
if users == "urls":
    plan = lab.LoadPlan.from_urls(["/flaky", "/closes", "/brief", "/ok"], stages=stages, wait="20ms", **limits)
else:
    path, _, name = users.rpartition(":")
    plan = lab.LoadPlan(path, stages=stages, user_classes=name, **limits)
lab.run(plan, lab.Target("counting", host=f"http://127.0.0.1:{port}"), store=store, progress=False)
"""
CLIENTS = {
    "FastHttpUser": f"{SERVERS / 'hard_users.py'}:Fast",
    "HttpUser": f"{SERVERS / 'hard_users.py'}:Requests",
    "urls": "urls",
}
DISKS_KB = (48, 64, 96, 160, 256)


@contextlib.contextmanager
def counting(folder: Path) -> Iterator[tuple[int, Path]]:
    """The counting server: its port, and the log of what it read."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = folder / "served.log"
    command = [sys.executable, str(SERVERS / "counting.py"), str(port), str(folder / "counts.json"), str(log)]
    server = subprocess.Popen(command)
    try:
        while not psutil.Process(server.pid).net_connections(kind="tcp"):
            time.sleep(0.05)
        yield port, log
    finally:
        server.kill()
        server.wait()


def driver(client: str, port: int, store: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DRIVER, CLIENTS[client], str(port), str(store), str(SECONDS), str(USERS)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def flushed(store: Path) -> int:
    return sum(file.stat().st_size // RECORD.size for file in store.glob(".2*/generator/*.bin"))


def last_beat(store: Path) -> float:
    """When the generator last wrote what it had."""
    lines = b"".join(file.read_bytes() for file in store.glob(".2*/generator/*.jsonl")).splitlines()
    notes = [orjson.loads(line) for line in lines if line.endswith(b"}")]
    return max((note["time"] for note in notes if note["kind"] == "users"), default=0.0)


def generator_of(running: subprocess.Popen[bytes]) -> psutil.Process:
    of_driver = psutil.Process(running.pid).children(recursive=True)
    return next(
        p for p in of_driver if "perflab.loadtest.launcher" in p.cmdline() and "guard.py" not in " ".join(p.cmdline())
    )


def ended(client: str, who: str, sent: signal.Signals | None, after_s: float, place: Path) -> dict[str, object]:
    """One run, ended so; with the server's count, the records, and what is counted apart."""
    store = place / "runs"
    with counting(place) as (port, log):
        running = driver(client, port, store)
        while running.poll() is None and not flushed(store):
            time.sleep(0.02)
        beat = 0.0
        if sent is not None:
            time.sleep(after_s)
            with contextlib.suppress(StopIteration, psutil.Error):
                (running if who == "driver" else generator_of(running)).send_signal(sent)
                if who == "generator" and sent == signal.SIGKILL:
                    time.sleep(0.05)
                    beat = last_beat(store)
        running.wait()
        for _ in range(200):  # the guard of a killed driver ends Locust, which lets requests in flight end
            if not any("perflab.loadtest.launcher" in " ".join(p.info["cmdline"] or ()) and str(store) in str(p.info["environ"])
                       for p in psutil.process_iter(["cmdline", "environ"])):  # fmt: skip
                break
            time.sleep(0.05)
        read = [float(line.split()[0]) for line in log.read_text().splitlines()]
        on_disk = flushed(store)
    drafts = list(store.glob(".2*"))
    one = lab.recover(drafts[0]) if drafts else lab.load(store)
    record = orjson.loads((store / one.runs.run.item() / "run.json").read_bytes())
    account = record.get("accounting", {})
    apart = sum(account.get(name, 0) for name in ("late", "cut", "dropped"))
    missing = len(read) - len(one.requests) - apart
    killed = who == "generator" and sent == signal.SIGKILL
    allowed = sum(at > beat for at in read) + USERS if killed and beat else 0
    good = (
        0 <= missing <= allowed
        and not (killed and beat and one.runs.valid.item())
        and on_disk <= len(one.requests) + apart
    )
    return {
        "served": len(read), "recorded": len(one.requests), "apart": apart, "missing": missing, "allowed": allowed,
        "recovered": bool(drafts), "codes": list(one.runs.reason_codes.item()), "good": good,
    }  # fmt: skip


def on_a_full_disk(size_kb: int, place: Path) -> dict[str, object]:
    """A run on a file system of this size, recovered once there is room."""
    disk = place / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True).returncode:
        return {"codes": ["no file system can be mounted here"], "good": True}
    try:
        with counting(place) as (port, _):
            driver("FastHttpUser", port, disk / "runs").wait()
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        on_disk, drafts = flushed(disk / "runs"), list((disk / "runs").glob(".2*"))
        if drafts and not on_disk:
            return {"codes": ["nothing was captured"], "good": True}
        one = lab.recover(drafts[0]) if drafts else lab.load(disk / "runs")
        found = len(one.requests)
        codes = list(one.runs.reason_codes.item())
        return {"recorded": found, "missing": on_disk - found if drafts else 0, "recovered": bool(drafts), "codes": codes,
                "good": not drafts or found == on_disk}  # fmt: skip
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def cases() -> Iterator[tuple[str, object]]:
    source = random.Random(15)
    for client in CLIENTS:
        yield f"{client}, by itself", (client, "driver", None, 0.0)
        for who in ("driver", "generator"):
            for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                yield f"{client}, {sent.name} of the {who}", (client, who, sent, source.uniform(0.5, 4.0))
    for size_kb in DISKS_KB:
        yield f"a disk of {size_kb} kB", size_kb
    for number in range(30):
        after_s = source.uniform(0.0, SECONDS + 1.0)
        yield (
            f"kill {number + 1}: the driver, {after_s:.1f} s after the first request",
            ("FastHttpUser", "driver", signal.SIGKILL, after_s),
        )


def main(resume: Path | None, minutes: float) -> int:
    ends = time.monotonic() + minutes * 60
    done = json.loads(resume.read_text()) if resume and resume.exists() else {}
    for name, given in cases():
        if name in done or time.monotonic() > ends:
            continue
        with tempfile.TemporaryDirectory(prefix="perflab-kills-") as place:
            done[name] = on_a_full_disk(given, Path(place)) if isinstance(given, int) else ended(*given, Path(place))
        print(name, done[name], file=sys.stderr, flush=True)
        if resume:
            resume.write_text(json.dumps(done))
    good = sum(found["good"] for found in done.values())
    left = sum(name not in done for name, _ in cases())
    print(
        f"{good} of {len(done)} cases hold{f' ({left} more were not run)' if left else ''}; {USERS} users, {SECONDS} s.\n"
    )
    columns = ("served", "recorded", "apart", "missing", "allowed")
    print(f"| case | {' | '.join(columns)} | kept | reasons | holds |\n|---|{'---|' * 8}")
    for name, found in done.items():
        cells = [f"{found.get(column, ''):,}" if column in found else "" for column in columns]
        how = {True: "recovered", False: "by the run", None: ""}[found.get("recovered")]
        print(
            f"| {name} | {' | '.join(cells)} | {how} | {', '.join(found['codes'])} | {'yes' if found['good'] else 'NO'} |"
        )
    return 0 if good == len(done) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    sys.exit(main(given.resume, given.minutes))
