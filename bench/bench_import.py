"""What `import perflab` costs beside `import pandas`: whole processes, in turns, median CPU and wall time.

python bench/bench_import.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

REPEATS = 15
STATEMENTS = {"nothing": "pass", "perflab": "import perflab", "pandas": "import pandas"}


def measure(statement: str) -> tuple[float, float]:
    """(CPU, wall) seconds of a fresh interpreter that runs one statement."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended - began


def main() -> None:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    for _ in range(REPEATS):
        for name, statement in STATEMENTS.items():
            times[name].append(measure(statement))
    cpu, wall = ({name: statistics.median(t[i] for t in taken) for name, taken in times.items()} for i in (0, 1))
    for name in ("perflab", "pandas"):
        added = tuple(1e3 * (clock[name] - clock["nothing"]) for clock in (cpu, wall))
        print(
            f"import {name:<8} {added[0]:6.1f} ms of CPU, {added[1]:6.1f} ms in all (less the interpreter's own start)"
        )
    print(
        f"perflab costs {(cpu['perflab'] - cpu['nothing']) / (cpu['pandas'] - cpu['nothing']):.3f} of pandas' CPU time"
    )


if __name__ == "__main__":
    main()
