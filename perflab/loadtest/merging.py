"""`merge`: puts the records that a worker on another machine kept after losing its connection back into the run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.data import store
from perflab.data.tables import Measurements
from perflab.errors import StoreError
from perflab.loadtest import capture, reasons, validity
from perflab.loadtest.keeping import JUDGING
from perflab.loadtest.records import CHECK
from perflab.loadtest.recovery import GENERATOR

_PREFIX = "remote-"


def merge(run: str | Path, *folders: str | Path) -> Measurements:
    """Complete a run with the files of workers whose connection was lost.

    Parameters
    ----------
    run : the folder of a run that is invalid because the connection to a worker on another machine was lost.
    folders : what ``perflab worker`` kept on those machines (it prints the folder), copied here.

    Returns
    -------
    Measurements of the run with all records, judged again. What a worker did until the load ended on the others
    counts; what it did later is left out.

    Raises
    ------
    StoreError : no such run, one that lost no worker, files of another run, or files shorter than the received part.

    >>> lab.loadtest.merge("runs/20261124-014503-eager-7f3a", "worker-3")  # doctest: +SKIP
    """
    place = Path(run)
    record = _record(place)
    if not folders:
        raise ValueError("folders must name at least one folder of a worker")
    with tempfile.TemporaryDirectory(dir=place, prefix=".merge-") as scratch:
        raw = Path(scratch) / GENERATOR
        shutil.copytree(place / GENERATOR, raw)
        stop_s = _stop(raw)
        for folder in folders:
            _take(Path(folder), raw, stop_s)
        kept = Path(scratch) / "kept"
        kept.mkdir()
        found = capture.processes(raw)
        written = capture.write_requests(found, kept / "requests.parquet")
        capture.write_checks(found, kept / "checks.parquet")
        capture.load_frame(found).to_parquet(kept / "load.parquet", compression="zstd")
        judgement = validity.judge(found, written, locust_count=None, merged=True, **record[JUDGING])
        record |= {
            "valid": not judgement.reasons,
            "reasons": [note.to_json() for note in judgement.reasons],
            "warnings": [note.to_json() for note in (*judgement.warnings, reasons.MERGED())],
        }
        (kept / "run.json").write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
        for name in ("requests.parquet", "checks.parquet", "load.parquet", "run.json"):
            if (kept / name).exists():
                (kept / name).replace(place / name)
    if not judgement.reasons:
        shutil.rmtree(place / GENERATOR)
    return store.load(place)


def _record(place: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = orjson.loads((place / "run.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as problem:
        raise StoreError(f"{place}: expected the folder of a run: {problem}") from problem
    if JUDGING not in record or not (place / GENERATOR).is_dir():
        raise StoreError(f"{place}: expected a run that lost a worker on another machine; there is nothing to merge")
    return record


def _stop(raw: Path) -> float:
    """When the load ended for the remaining processes, in seconds since 1970 by the master's clock."""
    stops = [note["time"] for p in capture.processes(raw) if p.footer for note in p.notes.get("stop", [])]
    return max(stops, default=float("inf"))


def _take(folder: Path, raw: Path, stop_s: float) -> None:
    """Replace the received part of a worker's files with its own."""
    sides = sorted(folder.glob(f"{_PREFIX}*.jsonl"))
    if not sides:
        raise StoreError(f"{folder}: expected the files of a worker ({_PREFIX}*.jsonl), found none")
    for side in sides:
        home = raw / side.name
        if not home.exists():
            raise StoreError(f"{side}: this worker did not take part in the run")
        for suffix in (".jsonl", ".bin", ".checks"):
            own, came = side.with_suffix(suffix), home.with_suffix(suffix)
            already = came.read_bytes() if came.exists() else b""
            with own.open("rb") as file:
                if file.read(len(already)) != already:
                    raise StoreError(f"{own}: these are not the records of which the run has a part")
        process = capture.process_of(side)
        _until(process, home, stop_s)


def _until(process: capture.Process, home: Path, stop_s: float) -> None:
    """Write the worker's records up to the end of the load, and a footer with their number."""
    records = np.fromfile(process.records, capture.DTYPE, count=process.count)
    checks_file = process.records.with_suffix(".checks")
    checks = np.fromfile(checks_file, capture.CHECK_DTYPE, count=checks_file.stat().st_size // CHECK.size)
    ahead_s = process.clock_ahead_s
    records = records[records["start"] + ahead_s <= stop_s]
    checks = checks[checks["at"] + ahead_s <= stop_s]
    records.tofile(home.with_suffix(".bin"))
    checks.tofile(home.with_suffix(".checks"))
    # The worker's own footer also counts what it did after the end.
    lines = process.records.with_suffix(".jsonl").read_bytes().split(b"\n")
    kept = [line for line in lines if line.startswith(b"{") and line.endswith(b"}") and b'"kind": "footer"' not in line]
    footer = {"kind": "footer", "count": len(records), "checks": len(checks), "user_errors": 0, "clock_jump_s": 0.0}
    home.with_suffix(".jsonl").write_bytes(b"\n".join([*kept, orjson.dumps(footer)]) + b"\n")
