"""Locustfiles of other people beside plain Locust: names and counts, or the reason why a run is not valid.

python bench/locust_examples.py FOLDER [--seconds 3] [--users 3] [--resume FILE] [--minutes N] > locust_examples.md

Each file of the folder with a user runs twice against the counting server of the tests: by `locust --headless` and by perflab.
perflab's names must be among those of plain Locust, which runs three times as long, since which tasks are drawn is chance; its
count must be that of Locust's own statistics of the same run, requests after the plan's end counted apart. With --resume, files
that were done before are not run again; --minutes ends it after that time. Examples ask foreign hosts: run it where only
127.0.0.1 can be reached (unshare --net).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import orjson

import perflab as lab

SERVER = Path(__file__).parent.parent / "tests" / "loadtest" / "servers" / "counting.py"
SEEDED = "import random\nfrom locust import events\nevents.init.add_listener(lambda **_: random.seed('1-0'))\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def label(entry: dict[str, object]) -> str:
    """An entry of Locust's statistics as perflab spells the endpoint."""
    method, name = str(entry["method"]), str(entry["name"])
    return name if name.startswith(f"{method} ") else f"{method} {name}".strip()


def plain(path: Path, seconds: float, users: int, folder: Path) -> set[str]:
    """The names in the statistics of plain Locust."""
    port, out, seeded = free_port(), folder / "plain", folder / "seeded.py"
    seeded.write_text(SEEDED)
    server = subprocess.Popen([sys.executable, str(SERVER), str(port), str(folder / "plain-counts.json")])
    locust = subprocess.Popen(
        [sys.executable, "-m", "locust", "--headless", "-f", f"{path},{seeded}", "-H", f"http://127.0.0.1:{port}",
         "-u", str(users), "-r", str(users), "-t", f"{3 * seconds:g}s", "--stop-timeout", "5", "--only-summary",
         "--json-file", str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=path.parent, stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        try:
            locust.wait(3 * seconds + 15)
        except subprocess.TimeoutExpired:
            # A shape of the locustfile's own takes its time. Of SIGTERM Locust would die without its statistics.
            locust.send_signal(signal.SIGINT)
            locust.wait(15)
        return {label(entry) for entry in orjson.loads(out.with_suffix(".json").read_bytes())}
    except (OSError, orjson.JSONDecodeError, subprocess.TimeoutExpired):
        return set()
    finally:
        for process in (locust, server):
            process.kill()
            process.wait()


def ours(path: Path, seconds: float, users: int, folder: Path) -> dict[str, object]:
    """perflab's outcome: counts, codes of reasons, names; or why it refused."""
    port, counts = free_port(), folder / "counts.json"
    command = [sys.executable, str(SERVER), str(port), str(counts)]
    target = lab.Target("counting", host=f"http://127.0.0.1:{port}", command=command, settle=0)
    try:
        plan = lab.LoadPlan(path, stages=lab.Stage(seconds, users=users), stop_timeout="5s", timeout="4s", seed=1)
        with contextlib.chdir(path.parent):
            one = lab.run(plan, target, store=folder / "runs", progress=False)
    except (lab.PerflabError, ValueError) as problem:
        return {"refused": str(problem).splitlines()[0].replace(str(path.parent), "...")[:160]}
    record = orjson.loads((folder / "runs" / one.runs.run.item() / "run.json").read_bytes())
    account = record["accounting"]
    without = sum(w["facts"]["events"] for w in record["warnings"] if w["code"] == "events-without-time")
    return {
        "names": sorted(set(one.requests.endpoint.astype(str))),
        "late": account["late"],
        "count": account["recorded"] + account["late"] + account["impossible"] + without,
        "locust": sum(entry["num_requests"] for entry in record["locust"]),
        "locust_names": sorted({label(entry) for entry in record["locust"]}),
        "codes": list(one.runs.reason_codes.item()),
        "warnings": sorted({note.code for note in one.warnings if note.about != "machine"}),
    }


def verdict(found: dict[str, object], wanted: set[str]) -> tuple[str, str]:
    """Whether a file passes, and the outcome in words."""
    if "refused" in found:
        return ("refused" if not wanted else "REFUSED"), str(found["refused"])
    names, own = set(found["names"]), set(found["locust_names"])
    words = f"{found['count']} ({found['late']} late), Locust {found['locust']}"
    differing = sorted(names - wanted)
    if differing:
        words += "; not named by plain Locust: " + ", ".join(differing[:4])
    for kind in ("codes", "warnings"):
        if found[kind]:
            words += f"; {'not valid' if kind == 'codes' else 'warned'}: " + ", ".join(found[kind])
    if found["codes"]:
        return "not valid", words
    if found["count"] != found["locust"] or not names <= own:
        return "WRONG", words
    return ("names differ" if differing else "same"), words


def main(folder: Path, seconds: float, users: int, resume: Path | None, minutes: float) -> None:
    ends = time.monotonic() + minutes * 60
    rows = json.loads(resume.read_text()) if resume and resume.exists() else {}
    for path in sorted(folder.resolve().rglob("*.py")):
        key = str(path.relative_to(folder.resolve()))
        if key in rows or time.monotonic() > ends or "User" not in path.read_text(errors="replace"):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            wanted = plain(path, seconds, users, Path(scratch))
            rows[key] = verdict(ours(path, seconds, users, Path(scratch)), wanted)
        print(key, *rows[key], file=sys.stderr, flush=True)
        if resume:
            resume.write_text(json.dumps(rows))
    print(
        f'Examples of locust and locust-plugins with Locust {version("locust")}, {datetime.now(UTC):%d %B %Y}; "refused" where '
        "plain Locust makes no request either.\n"
    )
    print(
        ", ".join(f"{count} {what}" for what, count in Counter(outcome for outcome, _ in rows.values()).most_common())
        + "\n"
    )
    print("| file | outcome | requests, or why not |\n|---|---|---|")
    for key, (outcome, words) in sorted(rows.items()):
        print(f"| {key} | {outcome} | {words.replace('|', '/')} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--users", type=int, default=3)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    main(given.folder, given.seconds, given.users, given.resume, given.minutes)
