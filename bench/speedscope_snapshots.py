"""perflab's readers against speedscope's snapshots: self and total of every function of its sample profiles.

    python bench/speedscope_snapshots.py FOLDER [--write]      FOLDER: a clone of jlfwong/speedscope

Names are compared without the arguments that speedscope adds to names of trace events. ``--write`` writes
datasets/speedscope_snapshots.csv, a row for each file.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

import perflab as lab

SUITES = {
    "trace-event": 1e3, "chrome": 1e3, "bg-flamegraph": 1.0, "callgrind": 1.0, "linux-tools-perf": 1e-3, "pprof": 1e6,
    "firefox": 1.0, "v8heapalloc": 1.0,
}  # fmt: skip
"""Snapshot files, each with speedscope's units for one of perflab's."""
OPTIONS = {"linux-tools-perf": {"weight": "time"}}
_TEST = re.compile(r"test\('((?:[^'\\]|\\.)*)'.*?checkProfileSnapshot\(\s*'([^']*)'", re.DOTALL)
_FRAME = re.compile(
    r'"file": (?:undefined|null|"(?P<file>.*)"),\n.*\n +"line": .*\n +"name": "(?P<name>.*)",\n'
    r' +"selfWeight": (?P<own>[-\d.e+]+),\n +"totalWeight": (?P<total>[-\d.e+]+)'
)
Weights = dict[str, tuple[float, float]]


def expected(snapshots: str, test: str) -> Weights:
    """Self and total by function over all profiles of one test."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for match in re.finditer(rf"^exports\[`(?:[^`]* )?{re.escape(test)} \d+`\] = `(.*?)^`;", snapshots, re.M | re.S):
        for frame in _FRAME.finditer(match[1].split('"stacks"')[0].split('"name":', 0)[0]):
            name = _plain(frame["name"].encode().decode("unicode_escape").encode("latin-1").decode())
            found[name][0] += float(frame["own"])
            found[name][1] += float(frame["total"])
    return {name: (own, total) for name, (own, total) in found.items()}


def _plain(name: str) -> str:
    name = re.sub(r" \{.*\}$", "", name, flags=re.DOTALL)
    name = re.sub(r"^\(anonymous .*\)$", "(anonymous)", name)
    return re.sub(r"^\?\?\? \(.*\)$", "[unknown]", name) or "(unnamed)"


def got(path: Path, suite: str) -> Weights:
    table = lab.read(path, **OPTIONS.get(suite, {}))
    table = table.profile if "profile" in table.tables else table.calls
    units = table["unit"].unique() if "unit" in table.columns else [None]
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for unit in units if "depth" in table.columns else [None]:
        for row in lab.flat_profile(table, unit=unit).itertuples():
            name = _plain(row.function)
            found[name][0] += row.self * SUITES[suite]
            found[name][1] += row.total * SUITES[suite]
    return {name: (own, total) for name, (own, total) in found.items()}


def compared(folder: Path) -> pd.DataFrame:
    rows = []
    for suite in SUITES:
        snapshots = (folder / "src/import/__snapshots__" / f"{suite}.test.ts.snap").read_text()
        for test, file in _TEST.findall((folder / "src/import" / f"{suite}.test.ts").read_text()):
            truth = expected(snapshots, test.replace("\\'", "'"))
            try:
                ours = got(folder / file, suite)
            except lab.PerflabError as problem:
                ours, note = {}, str(problem).split(": ", 1)[-1][:80]
            else:
                note = ""
            values = [(truth.get(n, (0.0, 0.0)), ours.get(n, (0.0, 0.0)), n) for n in {**truth, **ours}]
            tolerance = 1e-6 * max((t for _, t in truth.values()), default=0.0) + 1e-9
            wrong = [n for t, o, n in values if max(abs(t[0] - o[0]), abs(t[1] - o[1])) > tolerance]
            equal = sum(abs(t[k] - o[k]) <= tolerance for t, o, _ in values for k in (0, 1))
            rows.append({"suite": suite, "file": file.removeprefix("./sample/profiles/"), "weights": 2 * len(values),
                         "equal": equal, "differing": ", ".join(wrong[:6]), "note": note})  # fmt: skip
    return pd.DataFrame(rows).drop_duplicates(["suite", "file"])


def main() -> None:
    table = compared(Path(sys.argv[1]))
    print(table.to_string(index=False, max_colwidth=90))
    print(f"{table['equal'].sum()} of {table['weights'].sum()} weights equal")
    if "--write" in sys.argv:
        table.to_csv(Path(__file__).parent.parent / "datasets" / "speedscope_snapshots.csv", index=False)


if __name__ == "__main__":
    main()
