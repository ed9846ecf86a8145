"""scalene's JSON (``scalene run --outfile``): https://github.com/plasma-umass/scalene

Newer versions write the stacks that they sampled, as shares of the elapsed time. Without them there are
percentages of it for each function, so a function's time here is its own, and there is no tree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import Stacks
from perflab.profiles.call_trees import MAX_DEPTH, Frames, Tree, from_parents

_FRAME = re.compile(r"(.+) (\S+):(\d+);?")
_WORTH_SAYING = 0.05
_PERCENTAGES = ("n_cpu_percent_python", "n_cpu_percent_c", "n_sys_percent")


def sniff(head: bytes) -> bool:
    start = head.lstrip()
    return start.startswith(b"{") and (
        (b'"elapsed_time_sec"' in head and b'"files"' in head)
        or b'"n_cpu_percent_python"' in head
        or (b'"alloc_samples"' in head and b'"combined_stacks"' in head)
    )


def read(path: Path, *, max_bytes: int | None = None, **_: Any) -> Tables:
    found = _profiles.json_of(path, max_bytes)
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise FormatError(f"{path}:1: expected scalene's JSON with files, found none")
    elapsed = _profiles.weight(found.get("elapsed_time_sec"))
    if elapsed is None:
        raise FormatError(
            f"{path}:1: expected scalene's elapsed_time_sec, found {str(found.get('elapsed_time_sec'))[:40]!r}"
        )
    tally, frames = Tally(unit="stack"), Frames()
    listed = found.get("stacks")
    tree = _sampled(listed, elapsed, frames, tally) if isinstance(listed, list) else None
    notes = []
    if tree is None or not len(tree):
        tree = _by_function(found["files"], elapsed, frames, tally)
        notes = [kinds.NO_STACKS(source=path.name)]
    system = _system_fraction(found["files"])
    if system >= _WORTH_SAYING:
        notes.append(kinds.SYSTEM_TIME(source=path.name, system_fraction=system))
    return _profiles.tables(
        path,
        [(None, "ms", tree)],
        frames,
        tally,
        warnings=notes,
        meta={"tool": "scalene", "duration_ms": elapsed * 1e3, "off_cpu_fraction": system},
    )


def _system_fraction(files: Mapping[str, Any]) -> float:
    """The share of the time that is neither Python's nor C's: what passed less what the CPU worked."""
    listed = [f.get("lines") for f in files.values() if isinstance(f, dict)]
    lines = [entry for entries in listed if isinstance(entries, list) for entry in entries if isinstance(entry, dict)]
    shares = np.array([[_profiles.weight(line.get(k)) or 0.0 for k in _PERCENTAGES] for line in lines]).reshape(-1, 3)
    return float(shares[:, 2].sum() / shares.sum()) if shares.sum() > 0 else 0.0


def _sampled(listed: list[Any], elapsed: float, frames: Frames, tally: Tally) -> Tree:
    stacks, tally.total = Stacks(), len(listed)
    for number, entry in enumerate(listed, start=1):
        good = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], list) and isinstance(entry[1], dict)
        value = _profiles.weight(entry[1].get("cpu_samples")) if good else None
        matches = (
            [_FRAME.fullmatch(f) if isinstance(f, str) and len(f) < 8_000 else None for f in entry[0]]
            if good
            else [None]
        )
        if value is None or None in matches or len(matches) > MAX_DEPTH:
            tally.skip(number, why="malformed")
            continue
        tally.rows += 1
        stacks.add(tuple(frames.number(m[2], m[1]) for m in matches if m), value)
    # Shares of one, which the elapsed time turns into times.
    return _profiles.scaled(stacks.tree(), elapsed * 1e3)


def _by_function(files: Mapping[str, Any], elapsed: float, frames: Frames, tally: Tally) -> Tree:
    codes, weights = [], []
    tally.unit, tally.total, tally.rows, tally.skipped = "function", 0, 0, 0
    for file, facts in files.items():
        functions = facts.get("functions") if isinstance(facts, dict) else None
        for entry in functions if isinstance(functions, list) else ():
            tally.total += 1
            shares = [_profiles.weight(entry.get(k, 0)) for k in _PERCENTAGES] if isinstance(entry, dict) else [None]
            if any(share is None or share > 100.5 for share in shares):
                tally.skip(tally.total, why="malformed")
                continue
            tally.rows += 1
            name, line = _profiles.name(entry.get("line"), tally), _profiles.line_number(entry.get("lineno"))
            codes.append(frames.number(name, _profiles.name(file, tally), line))
            weights.append(sum(share or 0.0 for share in shares) / 100 * elapsed * 1e3)
    roots = np.full(len(codes), -1, dtype="int64")
    return from_parents(roots, np.array(codes, dtype="int64"), np.array(weights, dtype="float64"))[0]
