"""`run` and `run_pairs`: run a plan against targets; every run is stored and judged."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from perflab.data import store as kept
from perflab.data.tables import Measurements
from perflab.errors import LoadTestError
from perflab.loadtest import milestones
from perflab.loadtest.drive import Driven, Live, OtherPlan, drive, expected_s, listening
from perflab.loadtest.looks import ONLY_THE_END, Looks
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.serving import Services
from perflab.loadtest.shortness import checked, too_short
from perflab.loadtest.slot import Slot
from perflab.loadtest.target import Target
from perflab.notes import Note, literal
from perflab.progress import Listener
from perflab.units import parse_duration


def run(
    plan: LoadPlan,
    target: Target,
    *,
    profile: str | None = None,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> Measurements:
    """Run a plan against a target once, record every request, and store the run.

    Parameters
    ----------
    plan : LoadPlan
        The load to offer.
    target : Target
        The system under test; started and stopped if it has a command.
    profile : str | None
        Profile a target with a command under load: "py-spy" (attached from outside, for any Python program, where the
        kernel permits it), "node" (the CPU of Node.js, by a hook that perflab loads), or "pyinstrument" or "cprofile" (by
        the middleware of `perflab.recorders.profiling` in the application, which knows the endpoint). Such a run is
        evidence, not a measurement: the profiler's overhead is measured and reported, and `compare` does not mix it with
        other runs.
    store : str | Path
        The folder that stores the run.
    progress : bool | Listener
        Show the run while it lasts: charts in a notebook, one line in a terminal; or a `perflab.progress.Listener` to
        receive its facts.

    Returns
    -------
    Measurements
        One run: ``requests``, ``load``, ``resources`` (and ``queries`` and ``profile``, if recorded; cProfile gives
        ``calls``). Its row in ``runs`` says whether it is valid, and the reasons if not.

    Raises
    ------
    LoadTestError
        Locust could not start, or made no request; with the end of its log.
    TargetError
        The target could not be reached, or did not become ready; with its last output.
    StoreError
        The store can't be written.
    KeyboardInterrupt
        After everything has stopped; what was captured is kept, marked as interrupted.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])  # doctest: +SKIP
    >>> one = lab.run(plan, lab.Target("now", host="http://127.0.0.1:8001"))       # doctest: +SKIP
    """
    target = target if profile is None else replace(target, profile=profile)
    with listening(progress, expected_s(plan), f"{target.arm}: {plan}") as listener:
        driven = drive(plan, target, store, Slot(), Live(listener))
        if driven.interrupted:
            raise KeyboardInterrupt(f"stopped; what was captured is kept: {loading(driven.folder)}")
    return loaded([driven])


def run_pairs(
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
) -> tuple[Measurements, Measurements]:
    """Run two targets in randomised, interleaved pairs: the strongest design for `compare`.

    The two runs of a pair follow each other, so that drift affects both. Their order is random, with each arm first equally
    often (give or take one), so that position favours neither.

    Parameters
    ----------
    plan : LoadPlan or PagePlan
        The load to offer, or the pages to visit in a browser.
    store, progress
        As in `run`.
    baseline, candidate : Target
        The two targets; their arms must differ.
    pairs : int
        The number of pairs. An exact test needs at least 6; `plan_runs` computes how many an effect needs.
    looks : Sequence[int]
        After which pairs to look, such as (5, 10, 15, 20); the experiment ends as soon as `compare` decides there. The
        looks are registered with each run and share the 5 % of false alarms (O'Brien and Fleming), in any later `compare`
        too. Without them there is one look, at the end.
    metric, tolerance, primary
        The arguments of `compare` at the looks; ``metric`` (by default "p95", for pages "lcp") is also that of ``on_short``.
    on_short : str
        What to do when the first run shows that an endpoint will have too few requests for the metric: "warn" names it and
        the length that a run would need, "stop" ends the experiment.
    washout : str | float
        A pause before each run but the first ("10s"), for effects of the previous run to fade (caches, vacuum,
        connections). `compare` checks for carry-over that remains.
    account : bool | int
        After each pair (or each of the first N) run both arms once more with perflab's request recorder
        (`Target(record_requests=True)`). `compare` uses the runs without it, `account` those with it.
    seed : int | None
        The seed for the order of the runs; by default drawn, and recorded.

    Returns
    -------
    tuple[Measurements, Measurements]
        (baseline, candidate), with ``pairs`` runs each; fewer, with a note that says so, where a look decided.

    Raises
    ------
    As `run`. An interruption keeps the pairs so far; its message says how to load them.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])          # doctest: +SKIP
    >>> old = lab.Target("n+1", host="http://127.0.0.1:8001")                              # doctest: +SKIP
    >>> new = lab.Target("eager", host="http://127.0.0.1:8002")                            # doctest: +SKIP
    >>> before, after = lab.run_pairs(plan, old, new, pairs=10, seed=7)                    # doctest: +SKIP
    >>> lab.compare(before, after).verdict                                                 # doctest: +SKIP
    'improved'
    """
    check_pairs(pairs, baseline, candidate)
    registered = Looks.registered(looks, pairs, metric_of(plan, metric, account), tolerance, primary)
    checked(on_short)
    pause = pause_s(washout)
    seed = secrets.randbelow(2**31) if seed is None else seed
    rounds = pairs_of(baseline, candidate, pairs, seed, recorded=pairs if account is True else account)
    with listening(progress, sum(map(len, rounds)) * (expected_s(plan) + pause), "pairs") as listener:
        experiment, interrupted, driven, short = interleaved(
            plan, (baseline, candidate), rounds, seed, store, Live(listener), registered, on_short, pause
        )
        if interrupted:
            raise KeyboardInterrupt(
                f"stopped in pair {interrupted} of {pairs}; {left(store, experiment, driven.values())}"
            )
    before, after = (noted(loaded(driven[target.arm]), short) for target in (baseline, candidate))
    return registered.noted(rounds_done(rounds, len(driven[baseline.arm])), before, after)


def loading(place: str | Path, **only: object) -> str:
    """The call that loads what was kept, to paste as a cell.

    >>> loading(Path("runs"), experiment="20261124-014500-5a6c")
    'lab.load("runs", experiment="20261124-014500-5a6c")'
    """
    named = "".join(f", {name}={literal(value)}" for name, value in only.items())
    return f"lab.load({literal(str(place))}{named})"


def left(store: str | Path, experiment: str, driven: Iterable[Sequence[Driven]]) -> str:
    """What an interrupted experiment leaves: nothing, a part of a run, or whole runs, and the call that loads them."""
    runs = list(chain.from_iterable(driven))
    if not runs:
        return "nothing was kept"
    whole = "" if all(run.interrupted for run in runs) else ".where(valid=True)"
    return f"what was captured is kept: {loading(store, experiment=experiment)}{whole}"


def check_pairs(pairs: int, baseline: Target, candidate: Target) -> None:
    """Raise ValueError unless there is a positive number of pairs, of two different arms."""
    if not isinstance(pairs, int) or isinstance(pairs, bool) or pairs < 1:
        raise ValueError(f"run_pairs: pairs must be 1 or more; got {pairs!r}")
    if baseline.arm == candidate.arm:
        raise ValueError(f"run_pairs: the two targets need different arms; both are {baseline.arm!r}")


def metric_of(plan: LoadPlan | OtherPlan, metric: str | None, account: bool | int) -> str:
    """The metric of an experiment; ValueError for what only a load plan can do."""
    if isinstance(plan, LoadPlan):
        return metric or "p95"
    if account:
        raise ValueError(
            "run_pairs: account needs a LoadPlan: a browser's requests are not recorded by their components"
        )
    return metric or plan.metric


def interleaved(
    plan: LoadPlan | OtherPlan,
    arms: Sequence[Target],
    rounds: Sequence[Sequence[Target]],
    seed: int,
    store: str | Path,
    live: Live,
    registered: Looks = ONLY_THE_END,
    on_short: str = "warn",
    washout_s: float = 0.0,
) -> tuple[str, int, dict[str, list[Driven]], tuple[Note, ...]]:
    """Run every arm once in each round, see `run_pairs`. Returns the experiment, the round in which it was interrupted (or 0),
    the runs by arm, and notes on short ones. An arm's second run in a round is a recorded one, with its own pair number."""
    experiment = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    each, done = expected_s(plan) + washout_s, 0
    short: tuple[Note, ...] = ()
    driven: dict[str, list[Driven]] = {target.arm: [] for target in arms}
    with closing(Services()) as services:
        for number, targets in enumerate(rounds, start=1):
            ran: set[str] = set()
            for order, target in enumerate(targets, start=1):
                live.listener.update(done * each, label=f"round {number} of {len(rounds)}, {target.arm}")
                this = Live(live.listener, done * each, live.stop)
                try:
                    if done and live.stop.wait(washout_s):
                        return experiment, number, driven, short
                    pair = number + len(rounds) * (target.arm in ran)
                    slot = Slot(experiment, pair, order, registered.at, arms[0].arm)
                    ran.add(target.arm)
                    found = drive(plan, target, store, slot, this, seed, services)
                except KeyboardInterrupt:
                    return experiment, number, driven, short
                driven[target.arm].append(found)
                if found.interrupted:
                    return experiment, number, driven, short
                done += 1
                one = loaded([found])
                if done == 1 and (short := _short(plan, one, registered.metric)):
                    _report_short(short, live, on_short, loading(store, experiment=experiment))
                if not target.record_requests:
                    name = f"round {number} of {len(rounds)}, {target.arm}"
                    warmup = plan.warmup_fraction if isinstance(plan, LoadPlan) else 0.0
                    asked = (registered.metric, warmup, registered.primary)
                    milestones.run_finished(live.listener, one, name, *asked)
            if number in registered.at:
                change = registered.look(number, *map(loaded, driven.values()))
                if change is not None:
                    milestones.looked_at(live.listener, change, number)
                if registered.ends(number, change):
                    break
    return experiment, 0, driven, short


def _short(plan: LoadPlan | OtherPlan, first: Measurements, metric: str) -> tuple[Note, ...]:
    """Notes on what has too few requests in the first run of a load plan."""
    return too_short(first, metric, plan.warmup_fraction) if isinstance(plan, LoadPlan) else ()


def _report_short(short: tuple[Note, ...], live: Live, on_short: str, kept: str) -> None:
    """Report short runs at once, or end the experiment."""
    text = "; ".join(map(str, short))
    if on_short == "stop":
        raise LoadTestError(f"stopped after the first run, which is too short: {text}; it is kept: {kept}")
    live.listener.notify(f"these runs are short: {text}")


def noted(measured: Measurements, more: tuple[Note, ...]) -> Measurements:
    """The measurements with further warnings."""
    return replace(measured, warnings=(*measured.warnings, *more))


def pause_s(washout: str | float) -> float:
    """The seconds between runs; ValueError if negative."""
    seconds = parse_duration(washout, parameter="washout") / 1e3
    if seconds < 0:
        raise ValueError(f"washout must not be negative; got {washout!r}")
    return seconds


def pairs_of(
    baseline: Target, candidate: Target, pairs: int, seed: int, *, recorded: int = 0
) -> list[tuple[Target, ...]]:
    """The targets of each pair in run order; those of the first ``recorded`` pairs once more, with the recorder."""
    both = (baseline, candidate)
    return recorded_again([both[:: 1 if first else -1] for first in draw_order(pairs, seed)], recorded)


def recorded_again(rounds: Sequence[Sequence[Target]], recorded: int) -> list[tuple[Target, ...]]:
    """The rounds; the first ``recorded`` run each target once more, with the request recorder."""
    if not isinstance(recorded, int) or recorded < 0:
        raise ValueError(f"account must be True, False or how many of the first are recorded too; got {recorded!r}")
    return [
        (*targets, *(replace(target, record_requests=True) for target in targets if number < recorded))
        for number, targets in enumerate(rounds)
    ]


def rounds_done(rounds: Sequence[Sequence[Target]], runs: int) -> int:
    """The number of rounds after which the first arm has this many runs."""
    each = [sum(target.arm == rounds[0][0].arm for target in targets) for targets in rounds]
    return next((number for number in range(1, len(each) + 1) if sum(each[:number]) >= runs), len(each))


def draw_order(pairs: int, seed: int) -> list[bool]:
    """For each pair whether the baseline runs first: in half of them (give or take one), in random order.

    >>> sorted(draw_order(4, seed=7))
    [False, False, True, True]
    """
    generator = random.Random(seed)
    first = [True] * (pairs // 2) + [False] * (pairs // 2)
    if pairs % 2:
        first.append(generator.random() < 0.5)
    generator.shuffle(first)
    return first


def loaded(driven: list[Driven]) -> Measurements:
    """Load the runs from their store."""
    return sum((kept.load(each.folder) for each in driven), start=0)  # type: ignore[return-value]
