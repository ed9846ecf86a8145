"""`measure_speed`: how fast this machine is now, so that a slower machine is not taken for slower code.

Two numbers, from a process on every core at once: the CPU time of a short loop (the processor's speed, which the loop's
waiting does not touch), and the share of a core that the loop gets (what others leave). Each is a median of many short
stretches, so that a hiccup of the system does not count.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any

from perflab import provenance
from perflab.errors import PerflabError
from perflab.gates import gate_notes
from perflab.notes import Note, Remedy
from perflab.units import format_fraction

LIMIT, MOST = 0.10, 0.25
"""A machine that differs by more is another one; by more than MOST even if the baseline's own speed was unsteady."""
SECONDS = 0.6
_MOST_PROCESSES = 16
_START_S, _PATIENCE_S = 0.2, 30.0
_PAUSES_S = (0.6, 2.0)
AGAIN = Remedy("set_baseline")
_LOOP = """
import sys, time
begin, seconds = float(sys.argv[1]), float(sys.argv[2])
def loop():
    counts = {}
    for i in range(1500):
        counts[i * 7 & 255] = counts.get(i & 255, 0) + i % 13
    return sum(sorted(counts.values()))
loop()
time.sleep(max(0.0, begin - time.monotonic()))
end, loops, shares = time.monotonic() + seconds, [], []
while time.monotonic() < end or len(shares) < 5:
    wall, cpu, least = time.monotonic(), time.process_time(), time.monotonic() + 0.1
    while time.monotonic() < least:
        before = time.process_time()
        loop()
        loops.append(time.process_time() - before)
    shares.append((time.process_time() - cpu) / max(1e-9, time.monotonic() - wall))
middle = lambda values: sorted(values)[len(values) // 2]
print(middle(loops) * 1e3, middle(shares))
"""


@dataclass(frozen=True)
class Speed:
    """How fast a machine was at one time.

    Attributes
    ----------
    loop_ms : CPU time of a short loop, with one running on every core.
    available_fraction : the share of a core that each of them got.
    cores, cpu_model, python : whose speed it is, and which Python ran the loop.
    """

    loop_ms: float
    available_fraction: float
    cores: int
    cpu_model: str
    python: str

    def to_json(self) -> dict[str, Any]:
        """As a baseline keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Speed:
        """From what a baseline kept."""
        return cls(**{f.name: kept[f.name] for f in fields(cls)})

    def ratio(self, other: Speed) -> float:
        """How many times slower this machine is than the other: 2.0 takes twice the time, 0.5 half of it."""
        return (self.loop_ms / other.loop_ms) * (other.available_fraction / self.available_fraction)

    def differs(self, before: Speed, limit: float = LIMIT) -> Note | None:
        """Why runs of now must not be held against runs of ``before``; None where the speeds agree within the limit."""
        if self.python != before.python:
            return gate_notes.OTHER_PYTHON(AGAIN, before=before.python, now=self.python)
        if self.cores != before.cores:
            return gate_notes.OTHER_CORES(AGAIN, before=before.cores, cores=self.cores)
        parts = (
            self.ratio(before),
            self.loop_ms / before.loop_ms,
            before.available_fraction / self.available_fraction,
        )
        worst = max(parts, key=lambda part: abs(math.log(part)))
        if abs(math.log(worst)) <= math.log1p(limit):
            return None
        return gate_notes.SLOWER(
            AGAIN,
            by=format_fraction(max(worst, 1 / worst) - 1),
            how="slower" if worst > 1 else "faster",
            loop_ms=self.loop_ms,
            before_ms=before.loop_ms,
            available_fraction=self.available_fraction,
            before_fraction=before.available_fraction,
        )


def measure_speed(seconds: float = SECONDS) -> Speed:
    """Measure how fast this machine is now; takes ``seconds``, and a moment to start.

    >>> measure_speed(0.1).loop_ms > 0
    True
    """
    cores = _cores()
    begin = time.monotonic() + _START_S
    command = [sys.executable, "-I", "-S", "-c", _LOOP, str(begin), str(seconds)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            for _ in range(min(cores, _MOST_PROCESSES))
        ]
        found = [_numbers(process) for process in running]
    return Speed(
        loop_ms=median(loop for loop, _ in found),
        available_fraction=min(1.0, median(share for _, share in found)),
        cores=cores,
        cpu_model=provenance.cpu_model(),
        python=".".join(platform.python_version_tuple()[:2]),
    )


def same_speed(before: Speed, limit: float = LIMIT) -> tuple[Speed, Note | None]:
    """The speed now and why it differs from ``before``: what differs is measured twice more, later and longer, before it counts.

    Another machine differs each time; a moment in which the host was busy passes.
    """
    now = measure_speed()
    for pause in _PAUSES_S:
        if now.differs(before, limit) is None:
            break
        time.sleep(pause)
        now = measure_speed(2 * SECONDS)
    return now, now.differs(before, limit)


def unsteadiness(speeds: Sequence[Speed]) -> float:
    """How far the speed that is farthest from the typical one is from it."""
    usual = typical(speeds)
    return max(max(ratio, 1 / ratio) for ratio in (speed.ratio(usual) for speed in speeds)) - 1


def limit_of(speeds: Sequence[Speed]) -> float:
    """By how much a machine may differ from these speeds of one machine: as much as they do, within bounds."""
    return min(MOST, max(LIMIT, 1.5 * unsteadiness(speeds))) if speeds else LIMIT


def typical(speeds: Sequence[Speed]) -> Speed:
    """One speed of several measurements of a machine: the median of each number."""
    first = speeds[0]
    return Speed(
        median(s.loop_ms for s in speeds),
        median(s.available_fraction for s in speeds),
        first.cores,
        first.cpu_model,
        first.python,
    )


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _numbers(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    try:
        output, _ = process.communicate(timeout=_PATIENCE_S)
        loop, share = map(json.loads, output.split())
    except (subprocess.TimeoutExpired, ValueError) as problem:
        process.kill()
        raise PerflabError(f"the speed of this machine cannot be measured: {problem}") from problem
    return float(loop), float(share)
