"""Eight minutes of sound runs: none may be invalid or blame the generator. Runs with foreign load are counted apart.

python bench/sound_runs.py [--minutes 8] [--resume FILE] > sound_runs.md

With --resume the runs of earlier pieces are read from the file and count too; new ones are added to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import sys
import tempfile
from datetime import date
from itertools import cycle
from pathlib import Path

import perflab as lab

SERVERS = Path(__file__).parent.parent / "tests" / "loadtest" / "servers"
SECONDS = 20
FOREIGN = 0.10
PLANS = {
    "closed, 10 users": {"stages": [lab.Stage(SECONDS, users=10)], "user_classes": "Shopper"},
    "ramp to 20 users": {"stages": [lab.Stage(SECONDS, users=20, ramp=True)], "user_classes": "Shopper"},
    "open, 50/s": {"stages": [lab.Stage(SECONDS, rate=50)], "user_classes": "Pacer"},
    "two workers": {"stages": [lab.Stage(SECONDS, users=10)], "user_classes": "Shopper", "workers": 2},
    "HttpUser": {"stages": [lab.Stage(SECONDS, users=5)], "user_classes": "Sessions"},
}


def once(name: str, store: str) -> dict[str, object]:
    """One run: its doubts of the generator or of the run, and the share of the machine that others used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(SERVERS / "tiny.py"), str(port)]
    target = lab.Target("tiny", host=f"http://127.0.0.1:{port}", command=command, ready="/ready")
    one = lab.run(lab.LoadPlan(SERVERS / "users.py", **PLANS[name]), target, store=store, progress=False)
    doubts = {note.code for note in one.warnings if note.about == "generator"} | set(one.runs.reason_codes.item())
    other = one.resources.query("process == 'other'").cpu_cores.mean() / (os.cpu_count() or 1)
    return {"plan": name, "other": float(other), "requests": len(one.requests), "doubts": sorted(doubts)}


def main(minutes: float, resume: Path | None) -> int:
    runs = [json.loads(line) for line in resume.read_text().splitlines()] if resume and resume.exists() else []
    wanted = len(runs) + round(minutes * 60 / SECONDS)
    with tempfile.TemporaryDirectory() as store:
        for number, name in enumerate(cycle(PLANS)):
            if number < len(runs):
                continue
            if number >= wanted:
                break
            runs.append(once(name, store))
            print(runs[-1], file=sys.stderr, flush=True)
            if resume:
                with resume.open("a") as file:
                    file.write(json.dumps(runs[-1]) + "\n")
    print(f"Made by `make sound` on {date.today()}: {len(runs)} runs of {SECONDS} s on {os.cpu_count()} cores, Python "
          f"{platform.python_version()}. A doubt is a warning about the generator, or a reason against the run.\n")  # fmt: skip
    print(
        "| plan | runs | requests | with a doubt | runs with foreign load | of these with a doubt |\n|---|---|---|---|---|---|"
    )
    bad = 0
    for name in PLANS:
        own = [run for run in runs if run["plan"] == name]
        quiet = [run for run in own if run["other"] <= FOREIGN]
        apart = [run for run in own if run["other"] > FOREIGN]
        doubted = [sum(bool(run["doubts"]) for run in some) for some in (quiet, apart)]
        bad += doubted[0]
        print(
            f"| {name} | {len(quiet)} | {sum(run['requests'] for run in quiet):,} | {doubted[0]} | {len(apart)} | {doubted[1]} |"
        )
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--resume", type=Path)
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.resume))
