"""`run_arms`: more than two targets, each once per round, in a balanced order."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from pathlib import Path

from perflab.data.tables import Measurements
from perflab.loadtest.drive import Live, OtherPlan, expected_s, listening
from perflab.loadtest.looks import Looks
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import interleaved, left, loaded, noted, pause_s, recorded_again
from perflab.loadtest.shortness import checked
from perflab.loadtest.target import Target
from perflab.progress import Listener


def run_arms(
    plan: LoadPlan | OtherPlan,
    arms: Sequence[Target],
    *,
    rounds: int = 8,
    metric: str = "p95",
    on_short: str = "warn",
    washout: str | float = 0.0,
    account: bool | int = False,
    seed: int | None = None,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> Measurements:
    """Run several targets in randomised, balanced rounds, for `compare_arms`.

    In each round every arm runs once. Over as many rounds as there are arms (twice as many for an odd number) each arm has
    each position equally often and follows each other arm equally often, so that neither drift nor carry-over favours one
    (Williams 1949, Experimental designs balanced for the estimation of residual effects of treatments).

    Parameters
    ----------
    plan, store, progress
        As in `run`.
    arms : Sequence[Target]
        Two or more targets with different arms; the first is the baseline of `compare_arms`.
    rounds : int
        The number of rounds. More arms need more of them for the same effect: `compare_arms` corrects for the number of
        comparisons.
    metric : str
        The metric that the warning about short runs refers to.
    on_short, washout, account, seed
        As in `run_pairs`; ``account`` counts rounds.

    Returns
    -------
    Measurements
        The runs of all arms; ``pair`` in ``runs`` is the round.

    Raises
    ------
    As `run`. An interruption keeps the runs so far; its message says how to load them.

    >>> plan = lab.LoadPlan("locustfile.py", stages=[lab.Stage("30s", users=20)])  # doctest: +SKIP
    >>> runs = lab.loadtest.run_arms(plan, [old, cached, indexed], rounds=6, seed=7)        # doctest: +SKIP
    >>> lab.stats.compare_arms(runs).ranking                                             # doctest: +SKIP
    ('indexed', 'cached', 'old')
    """
    targets = list(arms)
    names = [target.arm for target in targets]
    if len(names) < 2 or len(set(names)) != len(names):
        raise ValueError(f"run_arms: arms must be two or more targets with different arms; got {names!r}")
    if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
        raise ValueError(f"run_arms: rounds must be 1 or more; got {rounds!r}")
    checked(on_short)
    pause = pause_s(washout)
    seed = secrets.randbelow(2**31) if seed is None else seed
    plain = [[targets[place] for place in order] for order in balanced_orders(len(targets), rounds, seed)]
    orders = recorded_again(plain, rounds if account is True else account)
    asked = Looks((), metric)
    with listening(progress, sum(map(len, orders)) * (expected_s(plan) + pause), "rounds") as listener:
        experiment, interrupted, driven, short = interleaved(
            plan, targets, orders, seed, store, Live(listener), asked, on_short, pause
        )
        if interrupted:
            raise KeyboardInterrupt(
                f"stopped in round {interrupted} of {rounds}; {left(store, experiment, driven.values())}"
            )
    return noted(loaded([run for name in names for run in driven[name]]), short)


def balanced_orders(arms: int, rounds: int, seed: int) -> list[list[int]]:
    """The order of the arms in each round: Williams designs with arms and rounds in random order.

    >>> orders = balanced_orders(4, 4, seed=1)
    >>> sorted(order[0] for order in orders), len({pair for o in orders for pair in zip(o, o[1:])})
    ([0, 1, 2, 3], 12)
    """
    generator = random.Random(seed)
    found: list[list[int]] = []
    while len(found) < rounds:
        names = generator.sample(range(arms), arms)
        block = [[names[place] for place in row] for row in _williams(arms)]
        generator.shuffle(block)
        found += block
    return found[:rounds]


def _williams(arms: int) -> list[list[int]]:
    """Each arm once in each position and after each other arm; for an odd number twice, with the rows reversed as well."""
    first = [0, *(place for low in range(1, arms) for place in (low, arms - low))]
    first = list(dict.fromkeys(first))[:arms]
    rows = [[(place + step) % arms for place in first] for step in range(arms)]
    return rows if arms % 2 == 0 else [*rows, *(row[::-1] for row in rows)]
