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
    "firefox": 1.0,
}  # fmt: skip
"""Snapshot files, each with speedscope's units for one of perflab's."""
OPTIONS = {"linux-tools-perf": {"weight": "time"}}
SINGLE = ("simple.linux-perf.txt", "one-sample.linux-perf.txt")
"""Files of one sample, which speedscope counts, as it has no duration."""
WHY = {
    "end-non-top-of-stack.json": (
        "perflab", "A has an end at 10, and B inside it has none: both end there, as in Perfetto; speedscope ignores A's"
        " end, so that what comes after is inside B",
    ),
    "mismatched-name.json": (
        "perflab", "alpha has no end, and the last event is at 10: perflab lets it last until then, as it does where an end is "
        "missing (not-enough-end-events.json); speedscope gives it no time",
    ),
    "callgrind.subposition-compression.log": (
        "perflab", "the format compresses positions only, costs are absolute: perflab counts a relative one as zero, with a "
        "warning; speedscope adds it to the cost before",
    ),
    "callgrind.cfn-reset.log": ("perflab", "gamma has one line of its own, which costs 10; speedscope counts it twice"),
}  # fmt: skip
"""Of each file that differs, who is right, and why."""
_TEST = re.compile(r"test\('((?:[^'\\]|\\.)*)'.*?checkProfileSnapshot\(\s*'([^']*)'", re.DOTALL)
_FRAME = re.compile(
    r'"file": (?:undefined|null|"(?P<file>.*)"),\n.*\n +"line": .*\n +"name": "(?P<name>.*)",\n'
    r' +"selfWeight": (?P<own>[-\d.e+]+),\n +"totalWeight": (?P<total>[-\d.e+]+)'
)
Weights = dict[str, tuple[float, float]]


def expected(snapshots: str, test: str, *, first: bool) -> Weights:
    """Self and total by function over all profiles of one test (or its first); no total where a name has several frames."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    several: set[str] = set()
    for match in re.finditer(rf"^exports\[`(?:[^`]* )?{re.escape(test)} \d+`\] = `(.*?)^`;", snapshots, re.M | re.S):
        names: set[str] = set()
        for frame in _FRAME.finditer(match[1]):
            name = _plain(frame["name"].encode().decode("unicode_escape").encode("latin-1").decode())
            several |= {name} & names
            names.add(name)
            found[name][0] += float(frame["own"])
            found[name][1] += float(frame["total"])
        if first:
            break
    for name in several:
        found[name][1] = float("nan")
    return {name: (own, total) for name, (own, total) in found.items()}


def _plain(name: str) -> str:
    name = re.sub(r" \{.*\}$", "", name, flags=re.DOTALL)
    name = re.sub(r"^\(anonymous .*\)$", "(anonymous)", name)
    return re.sub(r"^\?\?\? \(.*\)$", "[unknown]", name) or "(unnamed)"


def got(path: Path, suite: str) -> Weights:
    single = path.name in SINGLE
    table = lab.read(path, **({} if single else OPTIONS.get(suite, {})))
    units = {"ms": 1e6} if suite == "callgrind" else {}  # of Xdebug
    scale = 1.0 if single else SUITES[suite]
    table = table.profile if "profile" in table.tables else table.calls
    kinds = table["unit"].unique() if "unit" in table.columns else [None]
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for unit in kinds if "depth" in table.columns else [None]:
        for row in lab.flat_profile(table, unit=unit).itertuples():
            name = _plain(row.function)
            found[name][0] += row.self * units.get(row.unit, scale)
            found[name][1] += row.total * units.get(row.unit, scale)
    return {name: (own, total) for name, (own, total) in found.items()}


def compared(folder: Path) -> pd.DataFrame:
    rows = []
    for suite in SUITES:
        snapshots = (folder / "src/import/__snapshots__" / f"{suite}.test.ts.snap").read_text()
        for test, file in _TEST.findall((folder / "src/import" / f"{suite}.test.ts").read_text()):
            truth = expected(snapshots, test.replace("\\'", "'"), first=suite == "callgrind")
            try:
                ours = got(folder / file, suite)
            except lab.PerflabError as problem:
                ours, note = {}, str(problem).split(": ", 1)[-1][:80]
            else:
                note = ""
            values = [(truth.get(n, (0.0, 0.0)), ours.get(n, (0.0, 0.0)), n) for n in {**truth, **ours}]
            tolerance = 1e-6 * max((t for _, t in truth.values() if t == t), default=0.0) + 1e-9
            pairs = [(t[k], o[k], n) for t, o, n in values for k in (0, 1) if t[k] == t[k]]
            wrong = dict.fromkeys(n for t, o, n in pairs if abs(t - o) > tolerance)
            equal = sum(abs(t - o) <= tolerance for t, o, _ in pairs)
            name = file.removeprefix("./sample/profiles/")
            right, why = WHY.get(Path(file).name, ("?", "")) if wrong else ("", "")
            rows.append({"suite": suite, "file": name, "weights": len(pairs), "equal": equal, "differing": ", ".join(wrong),
                         "right": right, "why": note or why})  # fmt: skip
    return pd.DataFrame(rows).drop_duplicates(["suite", "file"])


def main() -> None:
    table = compared(Path(sys.argv[1]))
    print(table.to_string(index=False, max_colwidth=90))
    equal, weights = table["equal"].sum(), table["weights"].sum()
    print(f"{equal} of {weights} weights equal ({equal / weights:.1%})")
    if "--write" in sys.argv:
        table.to_csv(Path(__file__).parent.parent / "datasets" / "speedscope_snapshots.csv", index=False)
    if (table["right"] == "?").any() or equal < 0.98 * weights:
        sys.exit(1)


if __name__ == "__main__":
    main()
