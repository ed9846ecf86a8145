"""Runs in the background of a notebook or program: `start_run`, `start_pairs`, and the handle that they return."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

from perflab.data.tables import Measurements
from perflab.errors import LoadTestError
from perflab.loadtest.alone import alone
from perflab.loadtest.drive import Live, OtherPlan, drive, expected_s, listening
from perflab.loadtest.looks import Looks
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import (
    check_pairs,
    interleaved,
    left,
    loaded,
    metric_of,
    noted,
    pairs_of,
    pause_s,
    rounds_done,
)
from perflab.loadtest.shortness import checked
from perflab.loadtest.slot import Slot
from perflab.loadtest.target import Target
from perflab.progress import Listener

T = TypeVar("T")


class BackgroundRun(Generic[T]):
    """A run in the background: stop it, wait for it, get its result.

    A notebook also shows a Stop button, which does what `stop` does: both keep what was captured, marked as interrupted.
    """

    def __init__(self, work: Callable[[Live], T], total_s: float, label: str, *, progress: bool | Listener) -> None:
        with alone():
            pass  # refused here, in the cell, and not by a thread that nobody looks at
        self.label = label
        self._stop = threading.Event()
        self._found: list[T] = []
        self._error: BaseException | None = None
        # Created in the cell's own thread: the output belongs to that cell.
        shown = listening(progress, total_s, label, self._stop.set)
        self._thread = threading.Thread(target=self._work, args=(work, shown), name="perflab-run", daemon=True)
        self._thread.start()

    def _work(self, work: Callable[[Live], T], shown: AbstractContextManager[Listener]) -> None:
        try:
            with alone(), shown as listener:
                self._found.append(work(Live(listener, stop=self._stop)))
                if self._stop.is_set():
                    listener.finish("stopped")
        except BaseException as problem:  # noqa: BLE001 - kept, and raised by `result`
            self._error = problem

    @property
    def done(self) -> bool:
        """Whether the run has ended, successfully or not."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Stop the load; what was captured is kept and marked as interrupted. Returns at once: `result` waits."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end, at most ``timeout_s`` seconds; return whether the run has ended."""
        self._thread.join(timeout_s)
        return self.done

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the end and return what `run` or `run_pairs` would have returned, or raise what it raised.

        After `stop` it is what was captured until then. TimeoutError after ``timeout_s`` seconds.
        """
        if not self.wait(timeout_s):
            raise TimeoutError(f"{self.label}: still running")
        if isinstance(self._error, KeyboardInterrupt):
            raise LoadTestError(str(self._error) or "stopped") from None
        if self._error is not None:
            raise self._error
        return self._found[0]

    def __repr__(self) -> str:
        state = "running" if not self.done else "failed: see .result()" if self._error else "ended: see .result()"
        return f"{self.label} ({state})"


def start_run(
    plan: LoadPlan | OtherPlan, target: Target, *, store: str | Path = "runs", progress: bool | Listener = True
) -> BackgroundRun[Measurements]:
    """Start a run and return at once: the cell is free, and a Stop button ends the load.

    Parameters
    ----------
    plan, target, store, progress
        As in `run`.

    Returns
    -------
    BackgroundRun[Measurements]
        A handle: ``.stop()``, ``.wait()``, ``.done``, and ``.result()``, which returns what `run` returns and raises
        what it raises. The load ends with this process at the latest.

    Raises
    ------
    LoadTestError
        The locustfile is not valid Python, or another run is in progress in this process.
    ValueError
        There is no such locustfile.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("10m", users=20)])  # doctest: +SKIP
    >>> going = lab.start_run(plan, lab.Target("now", host="http://127.0.0.1:8001"))  # doctest: +SKIP
    >>> going.stop()                                                                  # doctest: +SKIP
    >>> going.result().runs.reasons.item()                                            # doctest: +SKIP
    ['interrupted after 12.3 s']
    """

    def work(watch: Live) -> Measurements:
        return loaded([drive(plan, target, store, Slot(), watch)])

    if isinstance(plan, LoadPlan):
        plan.found_locustfile()
    return BackgroundRun(work, expected_s(plan), f"{target.arm}: {plan}", progress=progress)


def start_pairs(
    plan: LoadPlan | OtherPlan,
    baseline: Target,
    candidate: Target,
    *,
    pairs: int = 10,
    looks: Sequence[int] = (),
    metric: str | None = None,
    tolerance: float | str = 0.05,
    primary: str | Sequence[str] = (),
    on_short: str = "warn",
    washout: str | float = 0.0,
    account: bool | int = False,
    seed: int | None = None,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> BackgroundRun[tuple[Measurements, Measurements]]:
    """Start pairs of runs and return at once, like `start_run`.

    Parameters
    ----------
    plan, baseline, candidate, pairs, looks, metric, tolerance, primary, on_short, washout, account, seed, store,
    progress
        As in `run_pairs`.

    Returns
    -------
    BackgroundRun[tuple[Measurements, Measurements]]
        A handle whose ``.result()`` is (baseline, candidate): the runs so far if it was stopped or a look decided.

    Raises
    ------
    LoadTestError
        The locustfile is not valid Python.
    ValueError
        An argument is invalid.

    >>> going = lab.start_pairs(plan, old, new, pairs=10, seed=7)  # doctest: +SKIP
    >>> before, after = going.result()                             # doctest: +SKIP
    """
    check_pairs(pairs, baseline, candidate)
    registered = Looks.registered(looks, pairs, metric_of(plan, metric, account), tolerance, primary)
    checked(on_short)
    if isinstance(plan, LoadPlan):
        plan.found_locustfile()
    pause = pause_s(washout)
    drawn = secrets.randbelow(2**31) if seed is None else seed
    rounds = pairs_of(baseline, candidate, pairs, drawn, recorded=pairs if account is True else account)

    def work(watch: Live) -> tuple[Measurements, Measurements]:
        arms = (baseline, candidate)
        experiment, interrupted, driven, short = interleaved(
            plan, arms, rounds, drawn, store, watch, registered, on_short, pause
        )
        if not all(driven.values()):
            raise KeyboardInterrupt(f"stopped before both arms had a run; {left(store, experiment, driven.values())}")
        before, after = (noted(loaded(driven[target.arm]), short) for target in (baseline, candidate))
        done = rounds_done(rounds, len(driven[baseline.arm]))
        return (before, after) if interrupted else registered.noted(done, before, after)

    label = f"{baseline.arm} and {candidate.arm}: {plan}"
    return BackgroundRun(work, sum(map(len, rounds)) * (expected_s(plan) + pause), label, progress=progress)
