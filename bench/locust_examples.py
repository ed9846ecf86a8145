"""Locustfiles of other people beside plain Locust: names and counts, or the reason why a run is not valid.

python bench/locust_examples.py FOLDER [--seconds 3] [--users 3] > table.md

Each file of the folder that has a user class runs twice against the counting server of the tests: by `locust --headless` and
by perflab. The names must be the same, perflab's count must be that of Locust's own statistics of the same run, requests
after the plan's end counted apart.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

import perflab as lab

SERVER = Path(__file__).parent.parent / "tests" / "loadtest" / "servers" / "counting.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain(path: Path, seconds: float, users: int, folder: str) -> set[str]:
    """The names in the statistics of plain Locust."""
    port, out = free_port(), Path(folder) / "plain"
    counts = Path(folder) / "plain-counts.json"
    server = subprocess.Popen([sys.executable, str(SERVER), str(port), str(counts)])
    try:
        subprocess.run(
            [sys.executable, "-m", "locust", "--headless", "-f", str(path), "-H", f"http://127.0.0.1:{port}", "-u", str(users),
             "-r", str(users), "-t", f"{seconds}s", "--only-summary", "--json-file", str(out)],
            capture_output=True, timeout=seconds + 60, cwd=path.parent,
        )  # fmt: skip
        entries = orjson.loads(out.with_suffix(".json").read_bytes())
    except (OSError, orjson.JSONDecodeError, subprocess.TimeoutExpired):
        return set()
    finally:
        server.kill()
        server.wait()
    return {f"{entry['method']} {entry['name']}".strip() for entry in entries}


def ours(path: Path, seconds: float, users: int, folder: str) -> tuple[str, set[str]]:
    """perflab's outcome in words, and its names."""
    port, counts = free_port(), Path(folder) / "counts.json"
    target = lab.Target(
        "counting",
        host=f"http://127.0.0.1:{port}",
        command=[sys.executable, str(SERVER), str(port), str(counts)],
        settle=0,
    )
    plan = lab.LoadPlan(path, stages=lab.Stage(seconds, users=users), stop_timeout="5s", timeout="4s")
    try:
        one = lab.run(plan, target, store=Path(folder) / "runs", progress=False)
    except lab.PerflabError as problem:
        return f"refused: {str(problem).splitlines()[0][:110]}", set()
    record = orjson.loads((Path(folder) / "runs" / one.runs.run.item() / "run.json").read_bytes())
    theirs = sum(entry["num_requests"] for entry in record["locust"])
    account = record["accounting"]
    counted = account["recorded"] + account["late"] + account["impossible"]
    served = sum(json.loads(counts.read_text()).values()) if counts.exists() else 0
    words = f"{counted} ({account['late']} late), Locust {theirs}, server {served}"
    if not one.runs.valid.item():
        words += "; not valid: " + ", ".join(one.runs.reason_codes.item())
    return words, set(one.requests.endpoint.astype(str))


def main(folder: Path, seconds: float, users: int) -> None:
    print("| file | names | requests, or why not |\n|---|---|---|")
    for path in sorted(folder.rglob("*.py")):
        if "User" not in path.read_text(errors="replace"):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            wanted = plain(path, seconds, users, scratch)
            words, found = ours(path, seconds, users, scratch)
        same = "as Locust's" if found == wanted else f"{len(found)} of {len(wanted)}" if found or wanted else "none"
        print(f"| {path.relative_to(folder)} | {same} | {words.replace('|', '/')} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--users", type=int, default=3)
    given = parser.parse_args()
    main(given.folder, given.seconds, given.users)
