"""Gates with real load: a service that is 20 % slower, one that is the same, and machines that are not the baseline's.

python bench/gates.py --raw FILE --seconds N      a piece of about N seconds; goes on where the file ends
python bench/gates.py --raw FILE --write          the table, bench/gates.md

Pairs: 8 pairs of 3-second runs at 400 requests/s on GET /work (bench/gates_service.py: CPU and waiting, both times the
factor of the version), 10 times 20 % slower, 20 times the same. Stored baselines: made on this machine as it is and gated
as it is (20 times) and with a burner on each core (10 times); made with burners and gated without (10 times).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import perflab as lab
from perflab.gates import StoredBaseline
from perflab.stats.planning import power_paired

PAIRS, RATE, SECONDS, SLOWER, ENDPOINT = 8, 400.0, 3.0, 1.2, "GET /work"
SD_LIMIT = 0.07
TIMES = {"20 % slower": 10, "the same": 20}
STORED = {"same machine": 20, "slowed to half": 10, "twice as fast": 10}
"""Gates by a stored baseline, by what the machine is to the baseline's."""
EXPERIMENT_S, GATE_S, BASELINE_S = 90, 12, 50


def target(arm: str, factor: float = 1.0) -> lab.Target:
    """A version of the service, started for each run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, str(Path(__file__).with_name("gates_service.py")), str(port), str(factor)]
    return lab.Target(arm, host=f"http://127.0.0.1:{port}", command=command, ready="/ready")


def plan() -> lab.LoadPlan:
    """The load of each run: more than 1,000 requests after the warm-up."""
    return lab.LoadPlan.from_urls("/work", stages=[lab.Stage(SECONDS, rate=RATE)])


def light() -> lab.LoadPlan:
    """The load against stored baselines: so little that runs beside burners are valid."""
    return lab.LoadPlan.from_urls("/work", stages=[lab.Stage(SECONDS, users=6)], wait="40ms")


def by_pairs(kind: str, seed: int) -> dict[str, Any]:
    """One experiment of 8 pairs, as the gate decides it."""
    with tempfile.TemporaryDirectory(prefix="perflab-gates-") as folder:
        new = target("new", SLOWER if kind == "20 % slower" else 1.0)
        try:
            found = lab.gates.gate(
                plan(), target("old"), new, pairs=PAIRS, primary=ENDPOINT, seed=seed, store=folder, progress=False
            )
        except lab.ComparisonError as problem:
            return {"verdict": "refused", "gate": "inconclusive", "reason": str(problem)}
    change = found.change
    assert change is not None
    values = change.values[(change.values["endpoint"] == ENDPOINT) & (change.values["metric"] == "p95")]
    logs = {arm: np.log(own.sort_values("pair")["value"].to_numpy()) for arm, own in values.groupby("arm")}
    return {
        "verdict": change.verdict,
        "gate": found.verdict,
        "change": change.find().change,
        "requests": int(values["count"].min()),
        "run_sd": math.sqrt(float(np.mean([own.var(ddof=1) for own in logs.values()]))),
        "sd_pairs": float((logs["new"] - logs["old"]).std(ddof=1)),
    }


@contextmanager
def burners(count: int) -> Iterator[None]:
    """So many processes that use a core each."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def baseline(place: Path, burned: bool) -> StoredBaseline:
    """The baseline of a machine as it is, or with a burner on each core; made once."""
    folder = place / ("burned" if burned else "quiet")
    if not (folder / "baseline.json").exists():
        with burners((os.cpu_count() or 1) if burned else 0):
            lab.gates.set_baseline(target("old"), light(), folder=folder, store=place / "runs", progress=False)
        shutil.rmtree(place / "runs")
    return StoredBaseline.read(folder)


def by_baseline(kind: str, place: Path) -> dict[str, Any]:
    """One gate by a stored baseline."""
    try:
        held = baseline(place, burned=kind == "twice as fast")
    except lab.ComparisonError as problem:
        return {"verdict": "refused", "gate": "inconclusive", "reason": f"no baseline: {problem}"}
    with burners((os.cpu_count() or 1) if kind == "slowed to half" else 0), tempfile.TemporaryDirectory() as folder:
        found = lab.gates.gate(light(), held, target("new"), primary=ENDPOINT, store=folder, progress=False)
    change = found.change
    return {
        "verdict": change.verdict if change is not None else "refused",
        "gate": found.verdict,
        "reason": found.reasons[0].code,
    }


def piece(raw: Path, seconds: float, only: str) -> None:
    """Experiments until the time is over, each written as it ends."""
    began, known = time.monotonic(), read(raw)
    done = {kind: sum(row["kind"] == kind for row in known) for kind in (*TIMES, *STORED)}
    while True:
        left = {kind: times - done[kind] for kind, times in (TIMES | STORED).items() if times > done[kind]}
        left = {kind: n for kind, n in left.items() if not only or (only == "pairs") == (kind in TIMES)}
        if not left:
            return
        kind = max(left, key=lambda k: left[k] / (TIMES | STORED)[k])
        made = (raw.with_suffix("") / ("burned" if kind == "twice as fast" else "quiet")).exists()
        needed = EXPERIMENT_S if kind in TIMES else GATE_S + BASELINE_S * (not made)
        if time.monotonic() - began + needed > seconds:
            return
        row = by_pairs(kind, done[kind]) if kind in TIMES else by_baseline(kind, raw.with_suffix(""))
        with raw.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **row, "load_average": os.getloadavg()[0]}) + "\n")
        done[kind] += 1


def read(raw: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.read_text(encoding="utf-8").splitlines()] if raw.exists() else []


def table(rows: list[dict[str, Any]]) -> str:
    """The committed table; raises AssertionError where it does not hold what it must."""
    lines = ["# Gates with real load", "", "Made by `make gates` (bench/gates.py).", ""]
    lines += [
        f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, perflab {lab.__version__}.",
        "",
    ]
    lines += [f"## {PAIRS} pairs of {SECONDS:g}-second runs, {RATE:g} requests/s on {ENDPOINT}", ""]
    words = ("regressed", "inconclusive", "equivalent", "improved", "refused")
    names = f"new version | experiments | {' | '.join(words)}"
    lines += [f"| {names} | gate fails / passes / inconclusive | run sd | regressed as plan_runs promises |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|---|--:|--:|"]
    for kind in TIMES:
        own = [row for row in rows if row["kind"] == kind]
        if not own:
            continue
        counts = [sum(r["verdict"] == word for r in own) for word in words]
        gates = " / ".join(str(sum(r["gate"] == word for r in own)) for word in ("fails", "passes", "inconclusive"))
        sd, pairs_sd = (
            math.sqrt(float(np.mean([r[of] ** 2 for r in own if of in r]))) for of in ("run_sd", "sd_pairs")
        )
        promised = "–" if kind == "the same" else f"{power_paired(PAIRS, 1 - 1 / SLOWER, pairs_sd):.0%}"
        shown = " | ".join(map(str, counts))
        lines.append(f"| {kind} | {len(own)} | {shown} | {gates} | {sd:.1%} | {promised} |")
    fewest = min((r["requests"] for r in rows if "requests" in r), default=0)
    lines += ["", f"Smallest run: {fewest:,} requests to {ENDPOINT} after the warm-up.", ""]
    lines += ["## One run against a stored baseline of 5", ""]
    lines += ["| this machine, beside the baseline's | gates | refused | regressed | improved | equivalent | inconclusive |",
              "|---|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for kind in STORED:
        own = [row for row in rows if row["kind"] == kind]
        words = ("refused", "regressed", "improved", "equivalent", "inconclusive")
        counts = [sum(r["verdict"] == word for r in own) for word in words]
        lines.append(f"| {kind} | {len(own)} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines) + "\n"


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """What does not hold, of the kinds that are complete."""

    def count(kind: str, word: str) -> int:
        return sum(row["kind"] == kind and row["verdict"] == word for row in rows)

    slower = [row for row in rows if row["kind"] == "20 % slower"]
    found = []
    quiet = [row for row in slower if row.get("run_sd", math.inf) <= SD_LIMIT]
    if quiet and sum(row["verdict"] == "regressed" for row in quiet) < 0.9 * len(quiet):
        found.append("20 % slower is regressed in less than 9 of 10 where the run sd is at most 7 %")
    if count("the same", "regressed") > 2:
        found.append("the same version is regressed in more than 2 of 20")
    if count("slowed to half", "regressed") or count("twice as fast", "improved"):
        found.append("a machine of another speed was taken for another version")
    if count("same machine", "refused") > 2:
        found.append("the same machine was refused more than twice")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, help="one line for each experiment; baselines lie in a folder of that name")
    parser.add_argument("--seconds", type=float, default=290, help="length of this piece (%(default)s)")
    parser.add_argument("--only", choices=("pairs", "baselines"), default="", help="only these")
    parser.add_argument("--write", action="store_true", help="write bench/gates.md")
    given = parser.parse_args()
    given.raw.parent.mkdir(parents=True, exist_ok=True)
    if not given.write:
        piece(given.raw, given.seconds, given.only)
    rows = read(given.raw)
    print(table(rows), *failures(rows), sep="\n")
    if given.write:
        Path(__file__).with_suffix(".md").write_text(table(rows), encoding="utf-8")
    return int(bool(failures(rows)))


if __name__ == "__main__":
    raise SystemExit(main())
