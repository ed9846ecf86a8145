"""Whether a target that is ready has also finished starting."""

from __future__ import annotations

import time

from perflab.loadtest import reasons, resources
from perflab.notes import Note

_QUICK_S, _QUIET_S, _BUSY_CORES = 0.25, 1.0, 0.2


def settled(pid: int, limit_s: float) -> Note | None:
    """Wait until the target's processes are idle and no new ones appear; return a note if that takes too long.

    Ready may mean one worker only: others may still be importing.
    """
    started = time.monotonic()
    known, before, _ = resources.tree_state([pid])
    quiet_s, cores = 0.0, 0.0
    needed_s = _QUICK_S
    while time.monotonic() - started < limit_s:
        at = time.monotonic()
        time.sleep(_QUICK_S)
        passed = time.monotonic() - at
        members, now, runnable = resources.tree_state([pid])
        cores = max(0.0, now - before) / passed
        # On a machine without CPU to spare a busy process gets little of it: it is runnable, but waits.
        if cores < _BUSY_CORES and not runnable and members <= known:
            quiet_s += passed
            if quiet_s >= needed_s:
                return None
        else:
            # It was busy once: the next quiet moment may be a pause.
            quiet_s, needed_s = 0.0, _QUIET_S
        known, before = members, now
    waited_ms = (time.monotonic() - started) * 1e3
    return reasons.STILL_STARTING(cpu_cores=round(cores, 2), waited_ms=waited_ms) if limit_s else None
