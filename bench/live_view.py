"""What the live view costs: its share of a core, and the lag of the generator, beside runs that show nothing.

    python bench/live_view.py > bench/live_view.md

Runs of 12 s against a local server take turns, with the live view and without. CPU is that of this process, which makes no
load itself; lag is how long after its due time an arrival started (95 % of them were faster).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import perflab as lab
from perflab.explorers.live_view import LiveView
from perflab.loadtest.drive import expected_s
from perflab.loadtest.milestones import fact_text

SERVERS = Path(__file__).parent.parent / "tests" / "loadtest" / "servers"
PORT, SECONDS, PAIRS, RATE = 8093, 12, 4, 60


def main() -> None:
    target = lab.Target(
        "tiny",
        host=f"http://127.0.0.1:{PORT}",
        command=[sys.executable, str(SERVERS / "tiny.py"), str(PORT)],
        ready="/ready",
    )
    plan = lab.LoadPlan(SERVERS / "users.py", stages=[lab.Stage(SECONDS, rate=RATE)], user_classes=["Pacer"])
    found: dict[str, list[tuple[float, float, float]]] = {"shown": [], "not shown": []}
    with tempfile.TemporaryDirectory() as store:
        for pair in range(PAIRS):
            for name in list(found)[:: 1 if pair % 2 else -1]:
                used, began = time.process_time(), time.monotonic()
                view = LiveView(expected_s(plan), str(plan), write=fact_text, own=False) if name == "shown" else None
                one = lab.run(plan, target, store=store, progress=view or False)
                share = (time.process_time() - used) / (time.monotonic() - began)
                late = (one.requests["start"] - one.requests["due"]).dt.total_seconds() * 1e3
                found[name].append(
                    (share, float(late.quantile(0.95)), float(one.requests["latency_ms"].quantile(0.95)))
                )
    print("# What the live view costs\n")
    print(f"{PAIRS} runs each of {SECONDS} s at {RATE} arrivals a second, taking turns; medians.\n")
    print("| | CPU of this process, cores | generator late, p95, ms | latency, p95, ms |\n|---|---:|---:|---:|")
    for name, rows in found.items():
        cpu, late, latency = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {cpu:.3f} | {late:.2f} | {latency:.1f} |")
    differences = [shown[0] - other[0] for shown, other in zip(found["shown"], found["not shown"], strict=True)]
    print(f"\nThe live view takes {statistics.median(differences):.1%} of a core (goal: at most 2 %).")


if __name__ == "__main__":
    main()
