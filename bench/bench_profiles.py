"""Reading and comparing large profiles beside llnl-hatchet, the same files in one run: time and peak memory.

    python bench/bench_profiles.py

Each measurement is a process of its own, so that peaks of memory are comparable; the two take turns. hatchet is
installed into a throwaway environment (it needs an older pandas); where that can't be done, perflab is measured alone.
"""

from __future__ import annotations

import json
import marshal
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

NODES, FUNCTIONS, ROUNDS = 200_000, 20_000, 3

_MEASURE = """
import json, re, time
def peak():
    # Not ru_maxrss: a new process begins with its parent's.
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
{imports}
before = peak()
{prepare}
began = time.perf_counter()
{work}
took = time.perf_counter() - began
print(json.dumps([took, peak() - before]))
"""

_PERFLAB = "import perflab as lab\nlab.read, lab.flat_profile, lab.diff_profiles\nlab.read({warm!r})"
_HATCHET = "import hatchet"

WORK = {
    "pyinstrument JSON, 200,000 nodes: load": {
        "perflab": ("", "lab.read({tree!r}).profile"),
        "hatchet": ("", "hatchet.GraphFrame.from_pyinstrument({tree!r}).dataframe"),
    },
    "pyinstrument JSON, 200,000 nodes: load and the functions by self": {
        "perflab": ("", "lab.flat_profile(lab.read({tree!r}))"),
        "hatchet": ("", "hatchet.GraphFrame.from_pyinstrument({tree!r}).dataframe.groupby('name')['time'].sum()"),
    },
    "pstats, 20,000 functions: load": {
        "perflab": ("", "lab.read({stats!r}).calls"),
        "hatchet": ("", "hatchet.GraphFrame.from_cprofile({stats!r}).dataframe"),
    },
    "difference of two loaded profiles, 20,000 nodes each": {
        "perflab": ("a, b = lab.read({small!r}), lab.read({other!r})", "lab.diff_profiles(a, b)"),
        "hatchet": (
            "a, b = (hatchet.GraphFrame.from_pyinstrument(p) for p in ({small!r}, {other!r}))", "(b - a).dataframe"
        ),
    },
}  # fmt: skip
WANTED = (3.0, None, 2.5, 10.0)


def write_tree(path: Path, nodes: int, seed: int) -> None:
    """A call tree as pyinstrument writes it: 2,000 functions in 200 files, 12 levels and more."""
    random_ = random.Random(seed)

    def frame(left: int, depth: int) -> tuple[dict[str, object], float, int]:
        function = random_.randrange(2_000)
        made, children, time = 1, [], 0.0
        while made < left and depth < 40 and (depth < 3 or random_.random() < 0.8):
            child, took, count = frame(max(1, int((left - made) * random_.random())), depth + 1)
            children.append(child)
            time += took
            made += count
        time += random_.random() / 1000
        file = f"/usr/lib/python3.11/site-packages/package{function % 20}/module{function % 200}.py"
        found = {
            "function": f"function_{function}", "file_path_short": file[22:], "file_path": file, "line_no": function + 1,
            "time": time, "await_time": 0.0, "is_application_code": function % 7 == 0, "children": children,
        }  # fmt: skip
        return found, time, made

    root, children, made = {}, [], 1
    while made < nodes:
        child, _, count = frame(nodes - made, 1)
        children.append(child)
        made += count
    total = sum(float(str(child["time"])) for child in children)
    root = {"function": "main", "file_path_short": "app.py", "file_path": "app.py", "line_no": 1, "time": total,
            "await_time": 0.0, "is_application_code": True, "children": children}  # fmt: skip
    session = {
        "start_time": 1.7e9,
        "duration": total,
        "sample_count": made,
        "target_description": "bench",
        "cpu_time": total,
    }
    path.write_text(json.dumps({**session, "root_frame": root}))


def write_statistics(path: Path, functions: int) -> None:
    """What cProfile saves for that many functions, three callers each."""
    random_ = random.Random(3)
    keys = [(f"/srv/app/module{i % 400}.py", i + 1, f"function_{i}") for i in range(functions)]
    stats = {}
    for i, key in enumerate(keys):
        own = random_.random()
        callers = {keys[random_.randrange(max(1, i))]: (5, 5, own / 3, own / 2) for _ in range(3)} if i else {}
        stats[key] = (15, 15 + i % 3, own, own * 1.5, callers)
    path.write_bytes(marshal.dumps(stats))


def hatchet_python(folder: Path) -> str | None:
    """A Python with hatchet, in an environment of its own; None, with the reason printed, when it can't be had."""
    python = folder / "hatchet" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    commands = [
        [str(uv), "venv", "--quiet", "--python", sys.executable, str(folder / "hatchet")],
        [str(uv), "pip", "install", "--quiet", "--python", str(python), "llnl-hatchet"],
        [str(python), "-c", "import hatchet"],
    ]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        except OSError as problem:
            sys.stdout.write(f"llnl-hatchet is not measured: {problem}\n")
            return None
        if done.returncode:
            sys.stdout.write(f"llnl-hatchet is not measured: {done.stderr.strip()[-300:]}\n")
            return None
    return str(python)


def measured(python: str, imports: str, prepare: str, work: str) -> tuple[float, float]:
    """Seconds and additional megabytes at the peak."""
    code = _MEASURE.format(imports=imports, prepare=prepare, work=work)
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    took, megabytes = json.loads(done.stdout.strip().splitlines()[-1])
    return float(took), float(megabytes)


def main() -> None:
    sys.setrecursionlimit(5000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {k: str(folder / f"{k}.json") for k in ("tree", "small", "other", "warm")} | {
            "stats": str(folder / "a.pstats")
        }
        for key, nodes, seed in (("tree", NODES, 1), ("small", 20_000, 2), ("other", 20_000, 4), ("warm", 50, 5)):
            write_tree(Path(files[key]), nodes, seed)
        write_statistics(Path(files["stats"]), FUNCTIONS)
        pythons = {"perflab": sys.executable, "hatchet": hatchet_python(folder)}
        imports = {"perflab": _PERFLAB.format(**files), "hatchet": _HATCHET}
        for (title, work), wanted in zip(WORK.items(), WANTED, strict=True):
            found: dict[str, list[tuple[float, float]]] = {"perflab": [], "hatchet": []}
            for _ in range(ROUNDS):
                for tool, python in pythons.items():
                    if python is not None:
                        prepare, line = (text.format(**files) for text in work[tool])
                        found[tool].append(measured(python, imports[tool], prepare, line))
            report(title, found, wanted)


def report(title: str, found: dict[str, list[tuple[float, float]]], wanted: float | None) -> None:
    sys.stdout.write(f"{title}\n")
    medians = {
        tool: [statistics.median(v) for v in zip(*values, strict=True)] for tool, values in found.items() if values
    }
    for tool, (took, megabytes) in medians.items():
        sys.stdout.write(f"  {tool:8} {took:7.3f} s  {megabytes:6.0f} MB more at the peak\n")
    if "hatchet" in medians:
        ratio = medians["hatchet"][0] / medians["perflab"][0]
        goal = f" (wanted: {wanted:g} x)" if wanted else ""
        sys.stdout.write(f"  perflab is {ratio:.1f} x as fast{goal}\n")


if __name__ == "__main__":
    main()
