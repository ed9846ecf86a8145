"""How the runs of two arms stand to each other: pairs, their order, and which test that calls for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import ComparisonError, one_of
from perflab.stats.confounders import check_both
from perflab.stats.tests import Floats

ALLOWABLE = ("invalid", "generator", "plan", "length")
LEAST_HISTORY = 5
SAME = "same runs"
_UNEQUAL = 1.5
_SERIES = 3.0


@dataclass(frozen=True)
class Design:
    """How the runs stand to each other, and so how they are compared.

    ``kind`` is "pairs" (five or more), "few pairs" (three or four), "unpaired" (three or more an arm), "history" (one
    against five or more), "one against one", "too few" or "same runs" (on both sides). ``baseline`` and ``candidate``
    name the runs that count, the runs of a pair in the same place; ``slots`` are their places in the order of all of
    them. ``obstacle`` says why there can be no verdict at all, ``capped`` why none with a direction; both are empty when
    nothing stands in the way.
    """

    kind: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    slots: tuple[Floats, Floats]
    obstacle: str
    capped: str
    warnings: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """Whether differences are taken within pairs."""
        return "pairs" in self.kind

    @property
    def counted(self) -> str:
        """How many runs or pairs, in words."""
        if self.paired:
            return f"{len(self.baseline)} pair{'s' if len(self.baseline) != 1 else ''}"
        if self.kind == "history":
            return f"one run against {len(self.baseline)} earlier ones"
        return f"{len(self.baseline)} and {len(self.candidate)} runs"


def design(baseline: Measurements, candidate: Measurements, *, order: str, allow: Collection[str]) -> Design:
    """Check both sides and find the design; raises ComparisonError for what must not be compared."""
    unknown = [name for name in allow if name not in ALLOWABLE]
    if unknown:
        raise one_of("allow", unknown[0], ALLOWABLE)
    if order not in ("auto", "ignore"):
        raise one_of("order", order, ("auto", "ignore"))
    warnings = check_both(baseline, candidate, allow)
    pairs, notes = _pairs(baseline.runs, candidate.runs)
    first, second = _sides(baseline.runs, candidate.runs, pairs)
    kind, obstacle = _kind(len(first), len(second), pairs is not None)
    capped = "" if obstacle else _order_problem(first, second, kind)
    if capped and order == "ignore":
        warnings.append(f"{capped}; counted as harmless because order='ignore' was given")
        capped = ""
    unequal = _unequal(first, second, measured=(baseline, candidate))
    if unequal and "length" in allow:
        warnings.append(f"allowed: {unequal}")
    elif unequal:
        obstacle = obstacle or f"{unequal}; allow='length' compares them all the same"
    if kind == "history":
        notes.append(
            "one run against a history: whatever changed since then looks the same; confirm it with interleaved pairs (run_pairs)"
        )
    if kind == "pairs" and not (capped or obstacle):
        notes += _one_order(first["start"], second["start"])
    names = tuple(first["run"]), tuple(second["run"])
    return Design(kind, *names, _slots(first, second), obstacle, capped, tuple(warnings + notes))


def _sides(
    baseline: pd.DataFrame, candidate: pd.DataFrame, pairs: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that count, those of a pair in the same row."""
    if pairs is None:
        return baseline.reset_index(drop=True), candidate.reset_index(drop=True)
    return (
        baseline.set_index("run").loc[pairs["run_baseline"]].reset_index(),
        candidate.set_index("run").loc[pairs["run_candidate"]].reset_index(),
    )


def _kind(first: int, second: int, paired: bool) -> tuple[str, str]:
    """The kind of design, and what stands in the way of any verdict."""
    if paired and first >= 3:
        return ("pairs" if first >= 5 else "few pairs"), ""
    if paired and first == 2:
        return "pairs", "2 complete pairs: at least 3 are needed for a verdict, 6 for an exact test"
    if first == second == 1:
        return "one against one", (
            "one run against one: two runs of the same code differ too, and by how much can't be told from them; "
            "at least 3 pairs are needed, 6 for an exact test (run_pairs)"
        )
    if second == 1 and first >= LEAST_HISTORY:
        return "history", ""
    if min(first, second) >= 3:
        return "unpaired", ""
    few = f"{first} and {second} runs: at least 3 of each are needed for a verdict, or one against {LEAST_HISTORY} earlier ones"
    return ("unpaired" if min(first, second) >= 2 else "too few"), few


def _slots(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Floats, Floats]:
    """The place of every run in the order of all of them; as given where the starts are unknown."""
    starts = pd.concat([first["start"], second["start"]], ignore_index=True)
    places = starts.rank(method="first") if starts.notna().all() else pd.Series(np.arange(len(starts)) % len(first))
    numbers = places.to_numpy(dtype="float64")
    return numbers[: len(first)], numbers[len(first) :]


def _unequal(first: pd.DataFrame, second: pd.DataFrame, measured: tuple[Measurements, Measurements]) -> str:
    """Why the lengths of the runs make them different things to measure; empty when they do not.

    A fixed number of requests makes the runs of a faster arm shorter, and is no problem.
    """
    lengths = [side["duration_ms"].to_numpy(dtype="float64") / 1e3 for side in (first, second)]
    counts = [
        m.requests["run"].value_counts().reindex(s["run"]).fillna(0)
        for m, s in zip(measured, (first, second), strict=True)
    ]
    for arm, found, requests in zip(("baseline", "candidate"), lengths, counts, strict=True):
        if found.max() > _UNEQUAL * found.min() and requests.max() > _UNEQUAL * requests.min():
            return (
                f"runs of unequal length: those of the {arm} took {found.min():.3g} to {found.max():.3g} s, so each saw "
                "another part of the load; leave out the odd ones or run again"
            )
    typical = [float(np.median(found)) for found in lengths]
    usual = [float(np.median(found)) for found in counts]
    if max(typical) > _UNEQUAL * min(typical) and max(usual) > _UNEQUAL * min(usual):
        return (
            f"runs of unequal length: {typical[0]:.3g} s in the baseline, {typical[1]:.3g} s in the candidate; give both "
            "arms the same plan"
        )
    return ""


def _pairs(baseline: pd.DataFrame, candidate: pd.DataFrame) -> tuple[pd.DataFrame | None, list[str]]:
    if not all("pair" in runs.columns and runs["pair"].notna().any() for runs in (baseline, candidate)):
        return None, []
    sides = [_keyed(runs) for runs in (baseline, candidate)]
    for side, runs, arm in zip(sides, (baseline, candidate), ("baseline", "candidate"), strict=True):
        if side["key"].duplicated().any():
            twice = side.loc[side["key"].duplicated(), "key"].iloc[0]
            raise ComparisonError(
                f"the {arm} has several runs of pair {twice[1]}: "
                + (
                    f"it holds more than one arm ({', '.join(names)}); choose one with .where(arm=...)"
                    if len(names := sorted(runs["arm"].dropna().unique())) > 1
                    else "they come from more than one experiment; load one with load(store, experiment=...)"
                )
            )
    joined = sides[0].merge(sides[1], on="key", suffixes=("_baseline", "_candidate"))
    lost = (
        len(sides[0])
        + len(sides[1])
        - 2 * len(joined)
        + sum(int(r["pair"].isna().sum()) for r in (baseline, candidate))
    )
    if joined.empty:
        return None, ["no pair is complete: the runs were compared unpaired"]
    left = "1 run without a partner was left out" if lost == 1 else f"{lost} runs without a partner were left out"
    return joined, [left] if lost else []


def _keyed(runs: pd.DataFrame) -> pd.DataFrame:
    kept = runs[runs["pair"].notna()]
    experiments = kept["experiment"].fillna("") if "experiment" in kept.columns else pd.Series("", index=kept.index)
    keys = list(zip(experiments.astype(str), kept["pair"].astype(int), strict=True))
    return pd.DataFrame({"key": keys, "run": kept["run"].to_list(), "start": kept["start"].to_list()})


def _one_order(before: pd.Series, after: pd.Series) -> list[str]:
    """What to say of pairs in which always the same arm ran first: a drift then adds to every difference."""
    for arm, leads in (("baseline", before < after), ("candidate", after < before)):
        if leads.all():
            return [
                f"in all {len(leads)} pairs the {arm} ran first, so whatever drifts looks like part of the change (6 to 8 % "
                "false alarms instead of 5); randomise the order within pairs, as run_pairs does"
            ]
    return []


def _order_problem(first: pd.DataFrame, second: pd.DataFrame, kind: str) -> str:
    before, after = first["start"], second["start"]
    if before.isna().any() or after.isna().any():
        # Pairs that somebody declared are taken at their word where no time tells.
        return (
            ""
            if "pairs" in kind
            else "the order of the runs is unknown (the tool writes no absolute times): give started= to read()"
        )
    if not (before.max() < after.min() or after.max() < before.min()):
        return ""
    if kind == "history" and before.max() < after.min():
        # The next run of a series is what a history is for; one that came long after it is not.
        gaps = before.sort_values().diff().dropna()
        if after.min() - before.max() <= _SERIES * gaps.max():
            return ""
        return (
            "order confounded: the candidate ran long after the earlier runs, so whatever changed on the machine in "
            "between looks like an effect; run them interleaved (run_pairs)"
        )
    return (
        "order confounded: every run of one arm came before every run of the other, so whatever changed on "
        "the machine in between looks like an effect; run them interleaved (run_pairs)"
    )
