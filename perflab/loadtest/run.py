"""`run` and `run_pairs`: a plan against targets, every run kept and judged."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from perflab.data import store as kept
from perflab.data.tables import Measurements
from perflab.loadtest.drive import Driven, Place, Watch, drive, expected_s
from perflab.loadtest.looks import ONLY_THE_END, Looks
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.target import Services, Target
from perflab.progress import Progress


def run(
    plan: LoadPlan,
    target: Target,
    *,
    profile: str | None = None,
    store: str | Path = "runs",
    progress: bool = True,
) -> Measurements:
    """One run of a plan against a target, captured request by request and kept in a store.

    Parameters
    ----------
    plan : the load to offer.
    target : the system under test; started and stopped if it has a command.
    profile : take a profile of a target with a command while the load runs: "py-spy" (attached from outside, for any
        Python program, where the kernel permits it), "node" (the CPU of Node.js, by a hook that perflab loads), or
        "pyinstrument" or "cprofile" (by the middleware of `perflab.recorders.profiling` in the application, which knows
        the endpoint). Such a run is evidence, not a
        measurement: what the profiler costs is measured and stated, and `compare` refuses to mix it with others.
    store : the folder that keeps the run.
    progress : show time, requests, errors and p95 so far.

    Returns
    -------
    Measurements of one run: ``requests``, ``load``, ``resources`` (and ``queries`` and ``profile``, where recorded;
    cProfile gives ``calls``). Its row in ``runs`` says whether it is valid, and the reasons if not.

    Raises
    ------
    LoadTestError : Locust could not start, or made no request; with the end of its log.
    TargetError : the target could not be reached, or did not become ready; with its last output.
    StoreError : the store can't be written.
    KeyboardInterrupt : after everything is stopped; what was captured is kept, marked as interrupted.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])  # doctest: +SKIP
    >>> one = lab.run(plan, lab.Target("now", host="http://127.0.0.1:8001"))       # doctest: +SKIP
    """
    target = target if profile is None else replace(target, profile=profile)
    with Progress(expected_s(plan), f"{target.arm}: {plan}", shown=progress) as shown:
        driven = drive(plan, target, store, Place(), Watch(shown))
    if driven.interrupted:
        raise KeyboardInterrupt(f"stopped; what was captured is kept: {driven.folder}")
    return loaded([driven])


def run_pairs(
    plan: LoadPlan,
    baseline: Target,
    candidate: Target,
    *,
    pairs: int = 10,
    looks: Sequence[int] = (),
    metric: str = "p95",
    tolerance: float | str = 0.05,
    primary: str | Sequence[str] = (),
    seed: int | None = None,
    store: str | Path = "runs",
    progress: bool = True,
) -> tuple[Measurements, Measurements]:
    """Runs of two targets in randomised, interleaved pairs: the design that `compare` trusts most.

    The two runs of a pair follow each other, so that whatever drifts meets both; which comes first is drawn by
    lot, each arm being first equally often (to one), so that neither gains from its place.

    Parameters
    ----------
    plan, store, progress : as in `run`.
    baseline, candidate : the two targets; their arms must differ.
    pairs : how many. 6 are the fewest for an exact test; `plan_runs` says how many an effect needs.
    looks : after which pairs to look, such as (5, 10, 15, 20); the experiment ends as soon as `compare` decides there. The
        looks are registered with each run and share the 5 % of false alarms out (O'Brien and Fleming), in any later
        `compare` too. Without them there is one look, at the end.
    metric, tolerance, primary : what the looks ask `compare`.
    seed : makes the order of the runs repeatable; drawn, and recorded, if not given.

    Returns
    -------
    (baseline, candidate) : two Measurements of ``pairs`` runs each; fewer, with a warning that says so, where a look
    decided.

    Raises
    ------
    As `run`. An interruption keeps the pairs so far; its text says how to load them.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])          # doctest: +SKIP
    >>> old = lab.Target("n+1", host="http://127.0.0.1:8001")                              # doctest: +SKIP
    >>> new = lab.Target("eager", host="http://127.0.0.1:8002")                            # doctest: +SKIP
    >>> before, after = lab.run_pairs(plan, old, new, pairs=10, seed=7)                    # doctest: +SKIP
    >>> lab.compare(before, after).verdict                                                 # doctest: +SKIP
    'improved'
    """
    check_pairs(pairs, baseline, candidate)
    registered = Looks.registered(looks, pairs, metric, tolerance, primary)
    seed = secrets.randbelow(2**31) if seed is None else seed
    with Progress(2 * pairs * expected_s(plan), "pairs", shown=progress) as shown:
        experiment, interrupted, driven = interleaved(
            plan, baseline, candidate, pairs, seed, store, Watch(shown), registered
        )
    if interrupted:
        raise KeyboardInterrupt(
            f"stopped in pair {interrupted} of {pairs}; what was captured is kept: "
            f'load("{store}", experiment="{experiment}").where(valid=True)'
        )
    before, after = loaded(driven[baseline.arm]), loaded(driven[candidate.arm])
    return registered.noted(len(driven[baseline.arm]), before, after)


def check_pairs(pairs: int, baseline: Target, candidate: Target) -> None:
    """ValueError unless there are pairs to make, of two arms."""
    if not isinstance(pairs, int) or isinstance(pairs, bool) or pairs < 1:
        raise ValueError(f"run_pairs: pairs must be 1 or more; got {pairs!r}")
    if baseline.arm == candidate.arm:
        raise ValueError(f"run_pairs: the two targets need different arms; both are {baseline.arm!r}")


def interleaved(
    plan: LoadPlan,
    baseline: Target,
    candidate: Target,
    pairs: int,
    seed: int,
    store: str | Path,
    watch: Watch,
    registered: Looks = ONLY_THE_END,
) -> tuple[str, int, dict[str, list[Driven]]]:
    """Pairs of runs, see `run_pairs`: the experiment, the pair in which it was interrupted (or 0), and runs by arm."""
    experiment = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    each, done = expected_s(plan), 0
    driven: dict[str, list[Driven]] = {baseline.arm: [], candidate.arm: []}
    with closing(Services()) as services:
        for pair, baseline_first in enumerate(draw_order(pairs, seed), start=1):
            both = (baseline, candidate) if baseline_first else (candidate, baseline)
            for order, target in enumerate(both, start=1):
                watch.shown.update(done * each, label=f"pair {pair} of {pairs}, {target.arm}")
                looking = Watch(watch.shown, done * each, watch.stop)
                try:
                    place = Place(experiment, pair, order, registered.at)
                    found = drive(plan, target, store, place, looking, seed, services)
                except KeyboardInterrupt:
                    return experiment, pair, driven
                driven[target.arm].append(found)
                if found.interrupted:
                    return experiment, pair, driven
                done += 1
            if pair in registered.at and registered.decided(
                pair, *(loaded(driven[t.arm]) for t in (baseline, candidate))
            ):
                break
    return experiment, 0, driven


def draw_order(pairs: int, seed: int) -> list[bool]:
    """For each pair whether the baseline goes first: half of them (to one), in an order drawn by lot.

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
    """The runs, from their store."""
    return sum((kept.load(each.folder) for each in driven), start=0)  # type: ignore[return-value]
