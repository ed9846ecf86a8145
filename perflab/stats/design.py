"""How the runs of two arms relate: pairs, order, duplicates, and the test that follows."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import ComparisonError, one_of
from perflab.notes import Note, Remedy, count, listed
from perflab.stats import circumstances, doubts
from perflab.stats.coded_requests import Codes, Requests, Streamed
from perflab.stats.confounders import check_both
from perflab.stats.covariates import LEAST_DEGREES, Covariates, covariates
from perflab.stats.tests import Floats

ALLOWABLE = ("invalid", "generator", "plan", "length")
ARMS = ("baseline", "candidate")
LEAST_HISTORY = 5
SAME = "same runs"
_UNEQUAL = 1.5
_SERIES = 3.0
_OVERLAP, _CHANCE = 0.8, 2.6
"""One arm ran first in more than 80 % of the comparisons, 2.6 standard errors more than chance: 1 in 100."""
_BITS = 64.0
"""Two runs whose requests agree by a chance of less than 1 in 2**64 are duplicates."""


@dataclass(frozen=True)
class Design:
    """How the runs relate, and so how they are compared.

    ``kind`` is "pairs" (five or more), "few pairs" (three or four), "unpaired" (three or more an arm), "history" (one
    against five or more), "one against one", "too few" or "same runs" (in both arms). ``baseline`` and ``candidate``
    name the runs that count, those of a pair at the same index; ``slots`` are their ranks in start order, ``timed`` is
    whether the starts are known; ``covariates`` are numbers of the runs that the test adjusts for. ``obstacle`` says why
    no verdict is possible, ``capped`` why none with a direction.
    """

    kind: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    slots: tuple[Floats, Floats]
    obstacle: Note | None
    capped: Note | None
    warnings: tuple[Note, ...]
    timed: bool = True
    covariates: Covariates | None = None

    @property
    def paired(self) -> bool:
        """Whether differences are taken within pairs."""
        return "pairs" in self.kind

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The runs of both arms."""
        return self.baseline, self.candidate

    @property
    def counted(self) -> str:
        """How many runs or pairs, in words."""
        if self.paired:
            return count(len(self.baseline), "pair")
        if self.kind == "history":
            earlier = not self.timed or self.slots[1].min() > self.slots[0].max()
            return f"one run against {len(self.baseline)} {'earlier' if earlier else 'other'} ones"
        if len(self.baseline) == len(self.candidate) == 1:
            return "one run each"
        return f"{len(self.baseline)} and {len(self.candidate)} runs"

    @property
    def method(self) -> str:
        """The name of the test that the design calls for."""
        if self.kind == "one against one":
            return "no test (block bootstrap within each of the two runs)"
        given = f" given {listed(self.covariates.names, 3)}" if self.covariates else ""
        return f"{_METHODS.get(self.kind, 'no test')}{given}, {self.counted}"


_METHODS = {
    "pairs": "paired t-test",
    "few pairs": "least squares with a trend (few runs)",
    "unpaired": "Welch's t-test",
    "history": "prediction interval",
}


def design(baseline: Measurements, candidate: Measurements, *, order: str, allow: Collection[str]) -> Design:
    """Check both sides and return the design; raise ComparisonError for what must not be compared."""
    unknown = [name for name in allow if name not in ALLOWABLE]
    if unknown:
        raise one_of("allow", unknown[0], ALLOWABLE)
    if order not in ("auto", "ignore"):
        raise one_of("order", order, ("auto", "ignore"))
    warnings = check_both(baseline, candidate, allow)
    pairs, notes = _pairs(baseline.runs, candidate.runs)
    first, second = _sides(baseline.runs, candidate.runs, pairs)
    kind, obstacle = _kind(len(first), len(second), pairs is not None)
    capped = None if obstacle else _order_problem(first, second, kind)
    if capped and order == "ignore":
        warnings.append(doubts.IGNORED(problem=capped))
        capped = None
    unequal = _unequal(first, second, measured=(baseline, candidate))
    if unequal and "length" in allow:
        warnings.append(doubts.ALLOWED(problem=unequal))
    else:
        obstacle = obstacle or unequal
    if kind == "history":
        notes.append(doubts.HISTORY(doubts.INTERLEAVE))
    names = tuple(first["run"]), tuple(second["run"])
    timed = bool(first["start"].notna().all() and second["start"].notna().all())
    return Design(kind, *names, _slots(first, second), obstacle, capped, (*warnings, *notes), timed)


def _sides(baseline: pd.DataFrame, candidate: pd.DataFrame, pairs: Places | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that count, those of a pair in the same row."""
    if pairs is None:
        return baseline.reset_index(drop=True), candidate.reset_index(drop=True)
    return baseline.take(pairs[0]).reset_index(drop=True), candidate.take(pairs[1]).reset_index(drop=True)


def _kind(first: int, second: int, paired: bool) -> tuple[str, Note | None]:
    """The kind of design, and what rules out any verdict."""
    if paired and first >= 3:
        return ("pairs" if first >= 5 else "few pairs"), None
    if paired and first == 2:
        return "pairs", doubts.FEW_PAIRS(doubts.INTERLEAVE, pairs=2)
    if first == second == 1:
        return "one against one", doubts.ONE_EACH(doubts.INTERLEAVE)
    if second == 1 and first >= LEAST_HISTORY:
        return "history", None
    if min(first, second) >= 3:
        return "unpaired", None
    few = doubts.FEW_RUNS(doubts.INTERLEAVE, baseline=first, candidate=second, history=LEAST_HISTORY)
    return ("unpaired" if min(first, second) >= 2 else "too few"), few


def _slots(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Floats, Floats]:
    """The rank of every run in start order; in the given order where starts are unknown."""
    starts = pd.concat([first["start"], second["start"]], ignore_index=True)
    places = starts.rank(method="first") if starts.notna().all() else pd.Series(np.arange(len(starts)) % len(first))
    numbers = places.to_numpy(dtype="float64")
    return numbers[: len(first)], numbers[len(first) :]


def _unequal(first: pd.DataFrame, second: pd.DataFrame, measured: tuple[Measurements, Measurements]) -> Note | None:
    """Why runs of such different lengths cannot be compared.

    A fixed number of requests makes the runs of a faster arm shorter, which is not a problem.
    """
    lengths = [side["duration_ms"].to_numpy(dtype="float64") for side in (first, second)]
    known = np.concatenate(lengths)
    if not known.max() > _UNEQUAL * known.min():
        return None
    counts = [m.count("requests").reindex(s["run"]).fillna(0) for m, s in zip(measured, (first, second), strict=True)]
    remedy = Remedy("compare", {"allow": "length"})
    for arm, found, requests in zip(ARMS, lengths, counts, strict=True):
        if found.max() > _UNEQUAL * found.min() and requests.max() > _UNEQUAL * requests.min():
            return doubts.UNEQUAL_WITHIN(remedy, arm=arm, shortest_ms=found.min(), longest_ms=found.max())
    typical = [float(np.median(found)) for found in lengths]
    usual = [float(np.median(found)) for found in counts]
    if max(typical) > _UNEQUAL * min(typical) and max(usual) > _UNEQUAL * min(usual):
        return doubts.UNEQUAL_BETWEEN(remedy, baseline_ms=typical[0], candidate_ms=typical[1])
    return None


Places = tuple[list[int], list[int]]
"""The row numbers of paired runs in both tables."""


def _pairs(baseline: pd.DataFrame, candidate: pd.DataFrame) -> tuple[Places | None, list[Note]]:
    numbered = ["pair" in runs.columns and runs["pair"].notna().any() for runs in (baseline, candidate)]
    if not all(numbered):
        return None, [doubts.NO_PAIR()] if any(numbered) and min(len(baseline), len(candidate)) > 1 else []
    sides = [_keyed(runs, arm) for runs, arm in zip((baseline, candidate), ARMS, strict=True)]
    shared = [key for key in sides[0] if key in sides[1]]
    lost = len(baseline) + len(candidate) - 2 * len(shared)
    if not shared:
        return None, [doubts.NO_PAIR()]
    places = [sides[0][key] for key in shared], [sides[1][key] for key in shared]
    return places, [doubts.WITHOUT_PARTNER(runs=lost)] if lost else []


ONE_EXPERIMENT = Remedy("load", {"experiment": ...}, given="store")


def _keyed(runs: pd.DataFrame, arm: str) -> dict[tuple[str, int], int]:
    """The row number of the run of each experiment and pair."""
    found: dict[tuple[str, int], int] = {}
    experiments = runs["experiment"].fillna("") if "experiment" in runs.columns else [""] * len(runs)
    for place, (experiment, pair) in enumerate(zip(experiments, runs["pair"], strict=True)):
        if pd.isna(pair):
            continue
        key = (str(experiment), int(pair))
        if key in found:
            names = sorted(runs["arm"].dropna().unique())
            if len(names) > 1:
                remedy = Remedy(".where", {"arm": ...})
                raise ComparisonError(doubts.SEVERAL_ARMS(remedy, arm=arm, pair=key[1], arms=names))
            if len(set(experiments)) < 2:
                raise ComparisonError(doubts.PAIR_TWICE(arm=arm, pair=key[1]))
            raise ComparisonError(doubts.SEVERAL_EXPERIMENTS(ONE_EXPERIMENT, arm=arm, pair=key[1]))
        found[key] = place
    return found


def _order_problem(first: pd.DataFrame, second: pd.DataFrame, kind: str) -> Note | None:
    """Why the order of the runs rules out a direction: one arm first, always or much more often than by chance."""
    before, after = first["start"], second["start"]
    if before.isna().any() or after.isna().any():
        # Declared pairs are accepted where no start time contradicts them.
        return None if "pairs" in kind else circumstances.ORDER_UNKNOWN(Remedy("read", {"started": ...}))
    if before.max() < after.min() or after.max() < before.min():
        if kind != "history" or after.max() < before.min():
            return circumstances.ORDER_CONFOUNDED(doubts.INTERLEAVE)
        # A history is for the next run of a series, not for one that came long after it.
        gaps = before.sort_values().diff().dropna()
        return None if after.min() - before.max() <= _SERIES * gaps.max() else circumstances.LATE(doubts.INTERLEAVE)
    if kind == "pairs":
        for arm, leads in zip(ARMS, (before < after, after < before), strict=True):
            if leads.all():
                return circumstances.PAIRS_IN_ONE_ORDER(doubts.INTERLEAVE, pairs=len(leads), arm=arm)
    if kind == "unpaired":
        earlier = float((before.to_numpy()[:, None] < after.to_numpy()[None, :]).mean())
        overlap, m, n = max(earlier, 1 - earlier), len(before), len(after)
        # Mann and Whitney's normal approximation: a few runs in random order often look one-sided.
        if overlap > _OVERLAP and overlap - 0.5 > _CHANCE * math.sqrt((m + n + 1) / (12 * m * n)):
            return circumstances.SKEWED_ORDER(doubts.INTERLEAVE, overlap_fraction=overlap)
    return None


def with_covariates(found: Design, sides: tuple[Measurements, Measurements], names: tuple[str, ...]) -> Design:
    """The design with covariates for its test; ValueError where there are too few runs."""
    held = covariates(sides, names, found.sides)
    if found.kind not in ("pairs", "unpaired") or held.degrees(pairs=found.paired) < LEAST_DEGREES:
        raise ValueError(
            f"covariates need more runs than {found.counted}: {LEAST_DEGREES} must be left for each to be estimated"
        )
    return replace(found, covariates=held)


# Duplicates: in two arms they compare nothing, in one they are not repetitions

Place = tuple[int, str]
"""The arm (0 or 1) and the run's name."""


def without_copies(found: Design, requests: tuple[Requests | Streamed, Requests | Streamed]) -> Design:
    """The design, with an obstacle where some of its runs hold the same requests."""
    same = _copies(found, requests)
    across = [(a[1], b[1]) for a, b in same if a[0] != b[0]]
    if across:
        sides = {a for a, _ in across}, {b for _, b in across}
        if sides == (set(found.baseline), set(found.candidate)):
            # For an arm against itself no number means anything, not even "0 % (0 to 0)".
            return replace(found, obstacle=doubts.SAME_RUNS(), kind=SAME)
        return replace(found, obstacle=doubts.IN_BOTH_ARMS(runs=min(map(len, sides)), named=_named(across)))
    if same:
        inside = [(a[1], b[1]) for a, b in same if a[0] == same[0][0][0]]
        return replace(found, obstacle=doubts.COPIES(arm=ARMS[same[0][0][0]], named=_named(inside)))
    return found


def _named(same: list[tuple[str, str]]) -> str:
    return listed((first if first == second else f"{first} is {second}" for first, second in same), 3)


def _copies(found: Design, requests: tuple[Requests | Streamed, Requests | Streamed]) -> list[tuple[Place, Place]]:
    """Pairs of runs with the same requests; only those that agree in count and slowest request are compared in full."""
    groups: dict[tuple[int, float], list[Place]] = {}
    for arm, (side, names) in enumerate(zip(requests, found.sides, strict=True)):
        for name in names:
            if name in side.runs:
                code = side.runs.index(name)
                groups.setdefault((int(side.counts[code]), float(side.slowest[code])), []).append((arm, name))
    found_copies = []
    for group in groups.values():
        if len(group) > 1:
            held = {place: _sequence(requests[place[0]].only(place[1]), place[1]) for place in group}
            found_copies += [(a, b) for a, b in combinations(group, 2) if _same(held[a], held[b], named=a[1] == b[1])]
    return found_copies


def _sequence(side: Requests, run: str) -> tuple[Floats, Floats, Codes]:
    """The start (as a share of the run), latency and endpoint of each request of a run, in a fixed order."""
    rows = np.flatnonzero(side.run == side.runs.index(run))
    order = rows[np.lexsort([side.latency[rows], side.age[rows]])]
    return side.age[order], side.latency[order], side.endpoint[order]


def _same(first: tuple[Floats, Floats, Codes], second: tuple[Floats, Floats, Codes], *, named: bool) -> bool:
    if not np.array_equal(first[1], second[1]):
        return False
    # A coarse clock can write the same few latencies into every run: then name and start times must agree too.
    return _bits(*first[1:]) >= _BITS or (named and np.array_equal(first[0], second[0]))


def _bits(latency: Floats, endpoint: Codes) -> float:
    """How unlikely it is that another run has these latencies in this order: minus log2 of the probability.

    Within each endpoint: the order of the endpoints is the plan's.
    """
    found = 0.0
    for own in (latency[endpoint == code] for code in np.unique(endpoint)):
        shares = np.unique(own, return_counts=True)[1] / len(own)
        found -= len(own) * math.log2(float((shares**2).sum()))
    return found
