"""Profiles recorded under load: by py-spy attached to the target, perflab's middleware inside it, or Node.js."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import psutil

from perflab import formats
from perflab.data import store
from perflab.errors import FormatError, LoadTestError, MissingExtraError, one_of
from perflab.notes import RECORDER, YOU, Kind, Note
from perflab.profiles.waiting import without_idle

PROFILERS = ("py-spy", "pyinstrument", "cprofile", "node")
VARIABLE = "PERFLAB_PROFILE"
"""The environment variable from which the middleware takes its settings."""
_NODE_HOOK = """\
// Samples the CPU from the first request until SIGTERM or the end of the process.
const inspector = require("node:inspector"), fs = require("node:fs"), session = new inspector.Session();
let running = false;
require("node:diagnostics_channel").subscribe("http.server.request.start", () => {
  if (running) return;
  running = true;
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: 1000 });
  session.post("Profiler.start");
});
function write() {
  if (!running) return;
  running = false;
  session.post("Profiler.stop", (error, result) => {
    if (!error) fs.writeFileSync(FOLDER + "/node-" + process.pid + ".cpuprofile", JSON.stringify(result.profile));
  });
}
process.on("exit", write);
process.once("SIGTERM", () => { write(); if (!process.listenerCount("SIGTERM")) process.kill(process.pid, "SIGTERM"); });
"""
UNREADABLE = Kind("profile-unreadable", RECORDER, "the profile could not be read: {problem:raw}")
BY_PY_SPY = Kind(
    "profiled-by-py-spy",
    YOU,
    "profiled by py-spy {rate} times a second; it used {cores:raw} cores of this machine and paused the target for each sample. "
    "Take latencies from runs without a profiler.",
)
FELL_BEHIND = Kind(
    "profiler-fell-behind",
    YOU,
    "py-spy was more than a second late {late:time}: this machine is too busy for it, and the profile does not show how long the "
    "target waited. Use a quieter machine.",
)
BY_NODE = Kind(
    "profiled-by-node",
    YOU,
    "profiled the CPU of {processes:process} of Node.js. Take latencies from runs without a profiler.",
)
BY_MIDDLEWARE = Kind(
    "profiled-by-middleware",
    YOU,
    "profiled {profiled} of {requests:request} with {profiler:raw}. Take latencies from runs without a profiler.",
)
_RATE = 100
_THREAD_NAME = r'"([^"]+?)(?:[-_ ]?\d+)*"'
_ENDING_S = 20.0


def check(profile: str | None, *, starts: bool, known: bool) -> None:
    """Raise ValueError unless the profiler is known and can reach the target.

    ``starts``: perflab starts the target for each run; ``known``: perflab at least knows its process.
    """
    if profile is None:
        return
    if profile not in PROFILERS:
        raise one_of("profile", profile, PROFILERS)
    if not starts and profile != "py-spy":
        raise ValueError(f"profile={profile!r} needs a target with a command that is started for each run")
    if not known:
        raise ValueError("profile='py-spy' needs a target with a command, or with its pid")
    if profile == "py-spy" and _py_spy() is None:
        raise MissingExtraError.of("the program py-spy", "profile", "profile='py-spy'")


def variables(profile: str | None, folder: Path, options: str = "") -> dict[str, str]:
    """Environment variables of the target for its profiler, added to its own NODE_OPTIONS (``options``); makes the folder."""
    if profile not in ("pyinstrument", "cprofile", "node"):
        return {}
    place = _place(folder)
    place.mkdir(parents=True, exist_ok=True)
    if profile == "node":
        hook = (place / "hook.cjs").resolve()
        hook.write_text(_NODE_HOOK.replace("FOLDER", orjson.dumps(str(place.resolve())).decode()), encoding="utf-8")
        return {"NODE_OPTIONS": f'{options} --require "{hook}"'.strip()}
    return {VARIABLE: f"{profile}:{place.resolve()}"}


@contextmanager
def attached(profile: str | None, pid: int | None, folder: Path, *, own: bool = True) -> Iterator[None]:
    """Attach py-spy to the target during the block; does nothing for other profilers.

    ``pid`` is the guard around a target that perflab started (``own``), else the target itself.
    """
    program = _py_spy() if profile == "py-spy" else None
    if program is None or pid is None:
        yield
        return
    place = _place(folder)
    place.mkdir(parents=True, exist_ok=True)
    output, log = place / "py-spy.json", folder / "logs" / "py-spy.log"
    command = [
        program, "record", "--pid", str(_below(pid) if own else pid), "--subprocesses", "--rate", str(_RATE),
        "--duration", "86400", "--format", "speedscope", "--output", str(output),
    ]  # fmt: skip
    with log.open("wb") as written:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT)
    began = time.monotonic()
    try:
        time.sleep(0.3)
        if child.poll() is not None:
            raise LoadTestError(
                "py-spy could not attach to the target",
                exit_code=child.returncode,
                output=log.read_text(errors="replace"),
            )
        yield
    finally:
        used = _cpu_s(child.pid)
        elapsed = time.monotonic() - began
        child.send_signal(signal.SIGINT)
        try:
            child.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        said = log.read_bytes()
        taken = re.search(rb"Samples: (\d+)", said)
        facts = {"cpu_cores": used / elapsed, "elapsed_s": elapsed, "samples": int(taken[1]) if taken else 0}
        facts["late"] = said.count(b"behind in sampling")
        (place / "cost.json").write_bytes(orjson.dumps(facts))


def keep(profile: str | None, draft: store.Draft) -> tuple[dict[str, Any], list[Note]]:
    """Turn the profiler's files into the run's tables; return facts for its environment, and warnings."""
    if profile is None:
        return {}, []
    place = _place(draft.folder)
    facts: dict[str, Any] = {"profiled": profile}
    try:
        if profile == "py-spy":
            found = _of_py_spy(place)
        else:
            found = _of_node(place) if profile == "node" else _of_middleware(place, profile)
    except (FormatError, OSError, orjson.JSONDecodeError) as problem:
        return facts, [UNREADABLE(problem=problem)]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    tables, more, warnings = found
    for name, frame in tables.items():
        draft.write(name, frame)
    return {**facts, "profiling": more}, warnings


def _of_py_spy(place: Path) -> tuple[dict[str, pd.DataFrame], dict[str, Any], list[Note]]:
    output = place / "py-spy.json"
    if not output.exists():
        raise FormatError("py-spy wrote no file; see logs/py-spy.log in the run's folder")
    found, notes = _read("speedscope", output)
    cost = orjson.loads((place / "cost.json").read_bytes())
    # Late samples are made up for in a burst, all of one moment. Their number says nothing: idle threads have none.
    kept_up = not cost["late"]
    if not kept_up:
        notes.append(FELL_BEHIND(late=cost["late"]))
    notes.append(BY_PY_SPY(rate=_RATE, cores=f"{cost['cpu_cores']:.2f}"))
    profile, idle = without_idle(found["profile"])
    # Threads with the same base name are merged, as the workers of a server.
    threads = profile["thread"].str.extract(_THREAD_NAME)[0].fillna("thread")
    return (
        {"profile": profile.assign(thread=threads)},
        {"rate_per_s": _RATE, "idle_ms": idle, "kept_up": kept_up, **cost},
        notes,
    )


def _of_node(place: Path) -> tuple[dict[str, pd.DataFrame], dict[str, Any], list[Note]]:
    files = sorted(place.glob("node-*.cpuprofile"))
    if not files:
        raise FormatError("no Node.js process of the target served a request and then ended on SIGTERM")
    frames, notes = [], list[Note]()
    for file in files:
        found, doubts = _read("cpuprofile", file)
        frames.append(found["profile"].assign(thread="node"))
        notes += doubts
    joined = pd.concat(frames, ignore_index=True)
    if len(frames) > 1:
        joined = _renumbered(joined, [len(frame) for frame in frames])
    return {"profile": joined}, {"clock": "cpu", "processes": len(files)}, [*notes, BY_NODE(processes=len(files))]


def _read(name: str, file: Path) -> tuple[dict[str, pd.DataFrame], list[Note]]:
    """The tables of a profiler's file, with all notes on them."""
    tables = formats.tables_of(formats.named(name).read(file))
    counted = tables.accounting.notes(file.name) if tables.accounting else ()
    return dict(tables), [*counted, *tables.warnings]


def _of_middleware(place: Path, profile: str) -> tuple[dict[str, pd.DataFrame], dict[str, Any], list[Note]]:
    files = sorted(place.glob("profile-*.json")) if place.is_dir() else []
    if not files:
        raise FormatError(
            "the target recorded nothing. Wrap its application in profile_requests() of perflab.recorders.profiling, and install "
            "pyinstrument where it runs (pip install 'perflab[profile]')."
        )
    notes: list[Note] = []
    frames = []
    endpoints: dict[str, dict[str, float]] = {}
    for file in files:
        facts = orjson.loads(file.read_bytes())
        facts = facts.get("perflab", facts)
        for endpoint, counts in facts["endpoints"].items():
            known = endpoints.setdefault(endpoint, dict.fromkeys(("profiled", "profiled_s", "timed", "timed_s"), 0.0))
            for name in known:
                known[name] += float(counts[name])
        for part, endpoint in _parts(place, file, facts, profile):
            tables, found = _read("speedscope" if profile == "pyinstrument" else "pstats", part)
            notes += found
            frame = tables["profile" if profile == "pyinstrument" else "calls"]
            named = (
                {"endpoint": endpoint} if endpoint is not None else {"endpoint": frame["thread"], "thread": file.stem}
            )
            frames.append(frame.assign(**named))
    name = "profile" if profile == "pyinstrument" else "calls"
    joined = pd.concat(frames, ignore_index=True)
    if name == "profile" and len(frames) > 1:
        joined = _renumbered(joined, [len(frame) for frame in frames])
    profiled, timed = (int(sum(c[kind] for c in endpoints.values())) for kind in ("profiled", "timed"))
    cost = BY_MIDDLEWARE(profiler=profile, profiled=profiled, requests=profiled + timed)
    return {name: joined}, {"endpoints": endpoints, "overhead_fraction": _overhead(endpoints)}, [*notes, cost]


def _parts(place: Path, file: Path, facts: Mapping[str, Any], profile: str) -> list[tuple[Path, str | None]]:
    if profile == "pyinstrument":
        return [(file, None)]
    # Base names only, as the recorder writes them: the file came from another process.
    return [(place / Path(str(name)).name, endpoint) for endpoint, name in facts["files"].items()]


def _renumbered(table: pd.DataFrame, counts: list[int]) -> pd.DataFrame:
    """Give the nodes of several processes distinct numbers."""
    offsets = pd.Series([0, *counts[:-1]]).cumsum().repeat(counts).to_numpy()
    return table.assign(node=table["node"] + offsets, parent=table["parent"] + offsets)


def _overhead(endpoints: Mapping[str, Mapping[str, float]]) -> float | None:
    """How much longer profiled requests took than the others, with endpoints weighted by their profiled requests."""
    usable = [c for c in endpoints.values() if c["profiled"] >= 5 and c["timed"] >= 5 and c["timed_s"] > 0]
    if not usable:
        return None
    expected = sum(c["profiled"] * c["timed_s"] / c["timed"] for c in usable)
    return sum(c["profiled_s"] for c in usable) / expected - 1


def _place(folder: Path) -> Path:
    return folder / "profiles"


def _py_spy() -> str | None:
    neighbour = Path(sys.executable).with_name("py-spy")
    return str(neighbour) if neighbour.exists() else shutil.which("py-spy")


def _below(pid: int) -> int:
    """The command itself: the only child of its guard."""
    children = psutil.Process(pid).children()
    return int(children[0].pid) if children else pid


def _cpu_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
