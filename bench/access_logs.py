"""Access logs of six dialects, 100 MB each: time and memory to make a plan and to read requests, and how well the plan fits.

python bench/access_logs.py > bench/access_logs.md
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from scipy.stats import chi2_contingency

import perflab as lab
from perflab.loadtest.due import due_times

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "loadtest"))
import access_lines
from test_traffic import route_of, tasks_of

BYTES = 100_000_000
SAFE = ("GET", "HEAD", "OPTIONS")


def once(what: str, path: str) -> None:
    """One measurement in a separate process: prints seconds and megabytes."""
    begin = time.perf_counter()
    if what == "plan":
        with tempfile.TemporaryDirectory() as folder:
            lab.LoadPlan.from_access_log(path, Path(folder) / "production.py")
    else:
        lab.read(path)
    took = time.perf_counter() - begin
    print(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measured(what: str, path: Path) -> str:
    done = subprocess.run([sys.executable, __file__, what, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        return "no durations" if "no-durations" in done.stderr or "holds no durations" in done.stderr else "failed"
    took, megabytes = json.loads(done.stdout)
    return f"{took:.1f} s, {megabytes:.0f} MB"


def fit(name: str, folder: Path) -> tuple[int, float, float]:
    """(requests, largest difference of a share in points, p-value of the arrivals by minute) of a plan from 20,000 requests."""
    asked = list(access_lines.traffic(20_000, 100))
    path = folder / "small.log"
    path.write_text("".join(access_lines.DIALECTS[name](r) + "\n" for r in asked))
    file = folder / f"{name}.py"
    plan = lab.LoadPlan.from_access_log(path, file, seed=7)
    weights = tasks_of(file.read_text())
    truth = Counter(f"{r.method} {route_of(r.target)}" for r in asked if r.method in SAFE)
    largest = max(
        abs(weights[e] / sum(weights.values()) - truth[e] / truth.total()) for e in weights.keys() | truth.keys()
    )
    first = min(r.at for r in asked).replace(second=0, microsecond=0)
    log = Counter((r.at - first) // timedelta(minutes=1) for r in asked if r.method in SAFE)
    made = Counter(int(t // 60) for t in due_times(plan.record()["stages"], poisson=plan.arrivals == "poisson", seed=7))
    minutes = sorted(log)
    p = chi2_contingency([[log[m] for m in minutes], [made[m] for m in minutes]]).pvalue
    return len(asked), 100 * largest, float(p)


def written(name: str, path: Path) -> int:
    """Write a log of 100 MB, and return its lines."""
    lines = size = 0
    with path.open("w") as stream:
        for request in access_lines.traffic(10_000_000, 1, per_s=150.0):
            line = access_lines.DIALECTS[name](request) + "\n"
            stream.write(line)
            lines, size = lines + 1, size + len(line)
            if size >= BYTES:
                return lines
    return lines


def main() -> None:
    print(
        "# Access logs\n\nMade by `make access-logs` on "
        + f"{platform.system()}, Python {platform.python_version()}.\n"
    )
    print("100 MB of each dialect, one process for each measurement (peak memory of the whole process):\n")
    print(
        "| dialect | lines | plan (`from_access_log`) | requests (`read`) | shares differ by at most | arrivals by minute |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "access.log"
        for name in access_lines.DIALECTS:
            _, points, p = fit(name, Path(folder))
            lines = written(name, path)
            print(
                f"| {name} | {lines:,} | {measured('plan', path)} | {measured('read', path)} | "
                f"{points:.2f} points | p = {p:.2f} |",
                flush=True,
            )
    print(
        "\nShares and arrivals: of a plan from 20,000 requests against these; chi-square test of homogeneity of the log's and the"
    )
    print("plan's arrivals by minute.")


if __name__ == "__main__":
    once(*sys.argv[1:]) if len(sys.argv) > 1 else main()
