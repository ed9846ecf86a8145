"""V8's .cpuprofile (Node.js, Chrome, ``vite build --profile``): https://chromedevtools.github.io/devtools-protocol/tot/Profiler/

It samples the JavaScript on the CPU; time off it, "(idle)", is in ``meta["idle_ms"]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles, _v8
from perflab.profiles.call_trees import Frames


def sniff(head: bytes) -> bool:
    if not head.lstrip().startswith(b"{") or b'"ph"' in head or b'"selfSize"' in head:
        return False
    return (b'"nodes"' in head and b'"callFrame"' in head) or (b'"head"' in head and b'"functionName"' in head)


def read(path: Path, *, max_bytes: int | None = None, **_: Any) -> Tables:
    found = _profiles.json_of(path, max_bytes)
    if not isinstance(found, dict):
        raise FormatError(f"{path}:1: expected a .cpuprofile, found no object")
    tally, frames = Tally(unit="sample" if isinstance(found.get("samples"), list) else "node"), Frames()
    profile = _v8.tree_of(found, frames, tally)
    if profile is None:
        raise FormatError(f"{path}:1: expected a .cpuprofile with nodes, found none")
    unit, tree, idle = profile
    meta = {"tool": "V8", "clock": "cpu", **({"idle_ms": idle} if unit == "ms" else {})}
    return _profiles.tables(path, [(None, unit, tree)], frames, tally, meta=meta)
