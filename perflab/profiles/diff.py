"""`diff_profiles`: which functions cost more or less than before, and, for repeated profiles, with what certainty.

Each run is one observation, tested by `stats`: a paired t-test where both sides have pairs, else Welch's, corrected for
the false discovery rate. The absolute values of a pair are scaled so that all pairs have the same total (the mean of both
runs), because a busy machine affects both runs of a pair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import ComparisonError, one_of
from perflab.notes import DATA, DESIGN, Kind, Remedy
from perflab.profiles.call_trees import FRAME, Floats
from perflab.profiles.flat import flat_profile
from perflab.profiles.selected import Profile, Rows, frame_codes, table_of
from perflab.results import Findings, count, findings
from perflab.stats import tests, verdicts
from perflab.units import parse_fraction

_METRICS = ("self", "total")
_PER = ("request", "second", "profile")
_VALUES = ("absolute", "fraction")
MOVE = "moved"
_NEARLY = 0.2
"""Two changes nearly cancel if the sum is less than this share of the larger one."""
BY_SHARE = Kind(
    "compared-by-share",
    DESIGN,
    "counts of samples depend on the sampling rate and the length of the recording, so shares decide. {remedy} compares counts.",
)
OTHER_TOOL = Kind(
    "different-profilers",
    DESIGN,
    "the profiles are of different profilers ({before:raw} and {after:raw}), which measure different things. {remedy} compares "
    "anyway.",
)
MOVED = Kind("cost-moved", DATA, "{source:raw} lost about as much as {target:raw} gained: a rename, or work that moved")
_CHANGED = (*verdicts.VERDICTS[:2], verdicts.NEW, verdicts.GONE)


@dataclass(frozen=True)
class Side:
    """A row for each run, a column for each function: the normalised metric, and its share of the run's profile.

    ``wholes`` is the normalised total of each run's profile.
    """

    values: Floats
    fractions: Floats
    runs: list[str]
    wholes: Floats


def diff_profiles(
    before: Profile,
    after: Profile,
    *,
    metric: str = "self",
    value: str | None = None,
    per: str | None = None,
    unit: str | None = None,
    lines: bool = False,
    least: str | float = "1%",
    tolerance: str | float = "1%",
    confidence: float = 0.95,
    allow: str | Sequence[str] = (),
) -> Findings:
    """Compare the cost of each function before and after; the largest change comes first.

    Parameters
    ----------
    before, after : Measurements or DataFrame
        Profiles (trees or call graphs). With several runs on both sides each change has an interval and a verdict.
    metric : "self" or "total"
        "self" excludes callees: the changes of all functions add up to the total change. "total" includes them.
    value : "absolute" or "fraction", optional
        What interval and verdict are about: a function's cost, or its share of the profile, which also changes when only
        others do. The default is absolute, except for sample counts, which depend on the sampling rate.
    per : "request", "second" or "profile", optional
        The divisor of absolute values: the profiled requests, the seconds of recording, or nothing. The default is the
        first that both sides know.
    unit : str, optional
        The unit to compare, if there are several; by default the first.
    lines : bool
        Distinguish functions of one name in one file by line, which an edit may have moved.
    least : share
        Functions with a smaller share on both sides are not tested.
    tolerance : share
        Changes within this share of the baseline's total count as equivalent.
    confidence : float
        Of each function's own interval. At most 5 % (1 - confidence) of the functions called changed are expected to be
        false (p_adjusted, the false discovery rate).
    allow : "tool"
        Compare profiles from different profilers, which otherwise raises ComparisonError.

    Returns
    -------
    Findings
        function, file, (line,) unit, before, after, change, before_fraction, after_fraction, change_fraction; for repeated
        profiles also change_low, change_high, p_value, p_adjusted and verdict ("improved", "regressed", "new", "gone",
        "moved", "equivalent", "inconclusive"; missing if not tested). "moved" marks a new function and one with less cost (or
        one that is gone and one with more) whose changes nearly cancel, as after a rename. Numbers are means over runs.

    >>> import perflab as lab
    >>> profile = lab.read("tests/samples/collapsed/traps_crlf.txt")
    >>> lab.diff_profiles(profile, profile).change.tolist()
    [0.0, 0.0, 0.0]
    """
    for name, given, options in (
        ("metric", metric, _METRICS),
        ("value", value, (None, *_VALUES)),
        ("per", per, (None, *_PER)),
    ):
        if given not in options:
            raise one_of(name, given, options)
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must be between 0.5 and 1; got {confidence!r}")
    _same_tool(before, after, allow)
    columns = FRAME if lines else FRAME[:2]
    per = per or _normaliser(before, after)
    flats = [_flat(side, unit, metric, columns) for side in (before, after)]
    name = one_unit({str(flat["unit"].iloc[0]) for flat in flats if len(flat)})
    notes = [BY_SHARE(Remedy("diff_profiles", {"value": "absolute"}))] if value is None and _counts(name) else []
    value = value or ("fraction" if notes else "absolute")
    both = pd.concat(flats, ignore_index=True)
    code, frames = frame_codes(both, columns)
    cut = len(flats[0])
    old = _side(before, flats[0], code[:cut], len(frames), per)
    new = _side(after, flats[1], code[cut:], len(frames), per)
    pairs = _pairs(before, old.runs), _pairs(after, new.runs)
    old, new = _at_one_speed(old, new, pairs)
    table = _means(frames, old, new, name + ("" if per == "profile" else f"/{per}"))
    if min(len(old.runs), len(new.runs)) > 1:
        shares = (parse_fraction(least, parameter="least"), parse_fraction(tolerance, parameter="tolerance"))
        table = table.assign(**_tested(old, new, value, *shares, confidence, pairs))
    key = "change" if value == "absolute" else "change_fraction"
    order = np.argsort(-np.abs(table[key].to_numpy(dtype="float64")), kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    if "verdict" in table.columns:
        table, moves = _moved(table, key)
        notes += [MOVED(source=source, target=target) for source, target in moves]
    return findings(table, _sentence(table, key), notes)


def _counts(unit: str) -> bool:
    """Whether values of the unit grow with the sampling rate."""
    return unit.split()[0] == "samples"


def _same_tool(before: Profile, after: Profile, allow: str | Sequence[str]) -> None:
    allowed = (allow,) if isinstance(allow, str) else tuple(allow)
    if unknown := [a for a in allowed if a != "tool"]:
        raise one_of("allow", unknown[0], ("tool",))
    tools = [_tools(side) for side in (before, after)]
    if all(tools) and tools[0] != tools[1] and not allowed:
        first, second = (" and ".join(sorted(t)) for t in tools)
        raise ComparisonError(OTHER_TOOL(Remedy("diff_profiles", {"allow": "tool"}), before=first, after=second))


def _tools(side: Profile) -> frozenset[str]:
    """The profilers of a side, without versions; empty where unknown."""
    if not isinstance(side, Measurements):
        return frozenset()
    recorded = [e.get("profiled") for e in side.runs.get("environment", ()) if isinstance(e, Mapping)]
    names = [str(t) for t in recorded if t] or [str(side.meta.get("tool", ""))]
    return frozenset(re.split(r"[@ ]", name.lower())[0] for name in names) - {"", "speedscope", "trace"}


def _moved(table: pd.DataFrame, key: str) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Give pairs of changes that nearly cancel, one of them new or gone, the verdict "moved"."""
    words, change = table["verdict"].to_numpy(dtype=object).copy(), table[key].to_numpy(dtype="float64")
    left = [i for i in range(len(table)) if words[i] in _CHANGED]
    moves = []
    for i in list(left):
        if i not in left or words[i] not in (verdicts.NEW, verdicts.GONE):
            continue
        others = [j for j in left if change[i] * change[j] < 0]
        near = min(others, key=lambda j: abs(change[i] + change[j]), default=None)
        if near is not None and abs(change[i] + change[near]) <= _NEARLY * max(abs(change[i]), abs(change[near])):
            source, target = (i, near) if change[i] < 0 else (near, i)
            moves.append((str(table["function"].iloc[source]), str(table["function"].iloc[target])))
            words[[i, near]] = MOVE
            left = [k for k in left if k not in (i, near)]
    return table.assign(verdict=pd.array(words, dtype="str")), moves


def one_unit(units: set[str]) -> str:
    """The common unit; ValueError for several."""
    if len(units) > 1:
        raise ValueError(
            f"before and after must have the same unit; got {' and '.join(sorted(units))}: choose one with unit="
        )
    return units.pop()


def _sentence(table: pd.DataFrame, key: str) -> str:
    """What changed, most first; for single profiles the largest change, without a verdict."""
    tested = "verdict" in table.columns
    changed = table[table["verdict"].isin((*_CHANGED, MOVE))] if tested else table[table[key] != 0].head(1)
    if changed.empty:
        return f"no function changed for certain; {count(len(table), 'function')}" if tested else "no function changed"
    parts = [
        f"{row.function} {row.verdict if tested else 'changed most'}, {row.before_fraction * 100:.3g} % before, "
        f"{row.after_fraction * 100:.3g} % after"
        for row in changed.head(3).itertuples()
    ]
    return f"{count(len(changed), 'function')} changed: {'; '.join(parts)}" if tested else parts[0]


def _flat(side: Profile, unit: str | None, metric: str, columns: Sequence[str]) -> pd.DataFrame:
    """run, function, file, (line,) value, with threads and endpoints merged."""
    table = table_of(side)
    if "line" not in columns and "line" in table.columns:
        table = table.assign(line=pd.NA)  # before totals are computed: functions of one name may call one another
    flat = flat_profile(table, unit=unit, per=("run",) if "run" in table.columns else ())
    flat = flat if "run" in flat.columns else flat.assign(run="profile")
    return flat[["run", *columns, "unit"]].assign(
        value=flat[metric].astype("float64"), own=flat["self"].astype("float64")
    )


def _side(side: Profile, flat: pd.DataFrame, code: np.ndarray, functions: int, per: str) -> Side:
    place, runs = pd.factorize(flat["run"])
    cell = place * functions + code
    shape = (len(runs), functions)
    values = np.bincount(cell, weights=flat["value"], minlength=len(runs) * functions).reshape(shape)
    whole = np.bincount(place, weights=flat["own"], minlength=len(runs))[:, None]
    fractions = np.divide(values, whole, out=np.zeros(shape), where=whole > 0)
    names = [str(run) for run in runs]
    divisors = _divisors(side, names, per)[:, None]
    return Side(values / divisors, fractions, names, (whole / divisors).ravel())


def _normaliser(before: Profile, after: Profile) -> str:
    for name in ("request", "second"):
        if all(isinstance(side, Measurements) and _amounts(side, name) is not None for side in (before, after)):
            return name
    return "profile"


def _amounts(side: Measurements, per: str) -> pd.Series | None:
    """The requests or seconds of each run; None where any is unknown."""
    runs = side.runs["run"]
    if per == "request":
        amounts = _profiled(side)
        if amounts is None and "requests" in side.tables:
            amounts = side.count("requests")
        if amounts is None:
            return None
    else:
        amounts = side.runs.set_index("run")["duration_ms"] / 1e3
    amounts = amounts.reindex(runs)
    return amounts if bool((amounts > 0).all()) else None


def _profiled(side: Measurements) -> pd.Series | None:
    """The number of profiled requests in each run, where the middleware counted them."""
    counts = {}
    for run, environment in zip(side.runs["run"], side.runs.get("environment", ()), strict=False):
        facts = environment.get("profiling") if isinstance(environment, Mapping) else None
        endpoints = facts.get("endpoints") if isinstance(facts, Mapping) else None
        if endpoints:
            counts[run] = sum(float(numbers["profiled"]) for numbers in endpoints.values())
    return pd.Series(counts) if len(counts) == len(side.runs) else None


def _divisors(side: Profile, runs: list[str], per: str) -> Floats:
    if per == "profile":
        return np.ones(len(runs))
    amounts = _amounts(side, per) if isinstance(side, Measurements) else None
    if amounts is None:
        raise ValueError(f"per={per!r} needs measurements that know their {per}s for each run; use per='profile'")
    return np.asarray(amounts.reindex(runs), dtype="float64")


def _means(frames: pd.DataFrame, old: Side, new: Side, unit: str) -> pd.DataFrame:
    before, after = old.values.mean(axis=0), new.values.mean(axis=0)
    shares = old.fractions.mean(axis=0), new.fractions.mean(axis=0)
    return frames.assign(
        unit=unit, before=before, after=after, change=after - before,
        before_fraction=shares[0], after_fraction=shares[1], change_fraction=shares[1] - shares[0],
    )  # fmt: skip


def _pairs(side: Profile, runs: list[str]) -> list[object] | None:
    """The pair of each run, None where the runs have none."""
    if not isinstance(side, Measurements) or "pair" not in side.runs.columns:
        return None
    known = side.runs.set_index("run")["pair"].reindex(runs)
    if known.isna().any() or known.duplicated().any():
        return None
    return [int(pair) for pair in known]


def _at_one_speed(old: Side, new: Side, pairs: tuple[list[object] | None, list[object] | None]) -> tuple[Side, Side]:
    """Scale both runs of a pair by one factor, so that all pairs have the same total; unchanged without pairs."""
    shared = _shared(pairs)
    if len(shared) < 2 or pairs[0] is None or pairs[1] is None:
        return old, new
    left, right = ([side.index(p) for p in shared] for side in (pairs[0], pairs[1]))
    wholes = (old.wholes[left] + new.wholes[right]) / 2
    if not (wholes > 0).all():
        return old, new
    factors = wholes.mean() / wholes
    return _scaled(old, left, factors), _scaled(new, right, factors)


def _scaled(side: Side, places: list[int], factors: Floats) -> Side:
    by_run = np.ones(len(side.runs))
    by_run[places] = factors
    return replace(side, values=side.values * by_run[:, None], wholes=side.wholes * by_run)


def _shared(pairs: tuple[list[object] | None, list[object] | None]) -> list[object]:
    """The pairs that both sides have."""
    if pairs[0] is None or pairs[1] is None:
        return []
    return [pair for pair in pairs[0] if pair in set(pairs[1])]


def _tested(
    old: Side, new: Side, value: str, least: float, tolerance: float, confidence: float,
    pairs: tuple[list[object] | None, list[object] | None],
) -> dict[str, object]:  # fmt: skip
    """Intervals, p-values and verdicts of all functions at once."""
    first, second = (old.values.T, new.values.T) if value == "absolute" else (old.fractions.T, new.fractions.T)
    shared = _shared(pairs)
    if len(shared) > 1 and pairs[0] is not None and pairs[1] is not None:
        left, right = ([side.index(p) for p in shared] for side in (pairs[0], pairs[1]))
        effect = tests.paired(first[:, left], second[:, right])
    else:
        effect = _by_smaller_arm(tests.welch(first, second), first.shape[-1], second.shape[-1])
    found = verdicts.decide_all(
        effect,
        tolerance * (float(old.wholes.mean()) if value == "absolute" else 1.0),
        tested=np.maximum(old.fractions.mean(axis=0), new.fractions.mean(axis=0)) >= least,
        absent=((old.values == 0).all(axis=0), (new.values == 0).all(axis=0)),
        alpha=1 - confidence,
    )
    return {
        "change_low": found.low, "change_high": found.high, "p_value": found.p_value, "p_adjusted": found.p_adjusted,
        "verdict": pd.array([word or None for word in found.verdict.tolist()], dtype="str"),
    }  # fmt: skip


def _by_smaller_arm(effect: tests.Effect, runs_before: int, runs_after: int) -> tests.Effect:
    """Limit the degrees of freedom to the smaller arm's: with uneven arms Welch's are too large far out in the tail.

    When equal programs were compared, four noisy runs against twelve quiet ones, 7.6 % of comparisons had a false alarm
    without this, and 1.1 % with it (datasets/calibration/profiles.csv).
    """
    if runs_before == runs_after:
        return effect
    return replace(effect, degrees=np.minimum(effect.degrees, min(runs_before, runs_after) - 1.0))


def run_weights(before: Profile, after: Profile, rows: Sequence[Rows]) -> tuple[list[Floats], str, int]:
    """The self value of each row of both sides, normalised and divided by the number of runs, so that sums are means.

    Also returns the unit and the number of runs.
    """
    per = _normaliser(before, after)
    unit = one_unit({side.unit for side in rows})
    weights, number = [], 0
    for side, found in zip((before, after), rows, strict=True):
        names = found.table["run"] if "run" in found.table.columns else pd.Series("profile", index=found.table.index)
        place, runs = pd.factorize(names)
        divisors = _divisors(side, [str(run) for run in runs], per) * len(runs)
        weights.append(found.table["self"].to_numpy(dtype="float64") / divisors[place])
        number += len(runs)
    return weights, unit + ("" if per == "profile" else f"/{per}"), number
