"""`diff_profiles`: which functions cost more or less than before, and for repeated profiles whether that is certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.profiles.call_trees import FRAME, Floats
from perflab.profiles.flat import flat_profile
from perflab.profiles.selected import Profile, Rows, frame_codes, table_of
from perflab.stats.distributions import t_ppf, t_sf
from perflab.units import parse_fraction

_METRICS = ("self", "total")
_PER = ("request", "second", "profile")
_VALUES = ("absolute", "fraction")


@dataclass(frozen=True)
class _Side:
    """A row for each run, a column for each function: the metric normalised, and as a share of the run's profile.

    ``wholes`` is all that each run's profile holds, normalised too.
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
    value: str = "absolute",
    per: str | None = None,
    unit: str | None = None,
    lines: bool = False,
    least: str | float = "1%",
    tolerance: str | float = "1%",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What each function costs before and after, the largest change first.

    Parameters
    ----------
    before, after : Measurements with profiles, or profile (or calls) tables. Several runs on both sides are
        repeated profiles: the change then has an interval, and a verdict.
    metric : "self" (the changes of all functions add up to the whole change) or "total".
    value : what interval and verdict are about: "absolute" (what the function costs), or "fraction" (its share of
        the profile, which changes too when only other functions do).
    per : what absolute values are normalised by: "request" (of the load run that was profiled), "second" of
        recording, or "profile" (as measured). Without it: request where both sides know their requests, else second
        where both know how long they took, else profile.
    unit : which unit, where there are several; the first if not given.
    lines : tell functions of one name in one file apart by their lines, which an edit may have moved. (In a graph of calls
        the totals of those that call one another can't be told apart, and are added.)
    least : functions with a smaller share on both sides are not tested, so that the many small ones cost no power.
    tolerance : a change within this share of the whole baseline counts as none.
    confidence : of each function's own interval. p_adjusted is of the false discovery rate: of the functions that
        are named improved or regressed at most 5 % (1 - confidence) are so by chance.

    Returns
    -------
    DataFrame: function, file, (line,) unit, before, after, change, before_fraction, after_fraction,
    fraction_change; for repeated profiles also change_low, change_high, p_value, p_adjusted, verdict ("improved",
    "regressed", "equivalent", "inconclusive", or missing for what was not tested). ``change`` is after - before;
    of repeated profiles the numbers are means over the runs.

    Method: each run is one observation: paired t-test where both sides have pairs, else Welch's t-test. The absolute
    values of a pair are scaled so that all pairs have the same whole (the mean of both runs): a pair that met a busy
    machine does not outweigh the others. Benjamini and
    Hochberg (1995), Journal of the Royal Statistical Society B 57, which holds for the positive dependence of totals.

    >>> import perflab as lab
    >>> a = lab.read("tests/samples/collapsed/py-spy.txt")
    >>> lab.diff_profiles(a, a).change.to_list()[:2]
    [0.0, 0.0]
    """
    for name, given, options in (("metric", metric, _METRICS), ("value", value, _VALUES), ("per", per, (None, *_PER))):
        if given not in options:
            raise one_of(name, given, options)
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must lie between 0.5 and 1; got {confidence!r}")
    columns = FRAME if lines else FRAME[:2]
    per = per or _normaliser(before, after)
    flats = [_flat(side, unit, metric, columns) for side in (before, after)]
    units = {str(flat["unit"].iloc[0]) for flat in flats if len(flat)}
    if len(units) > 1:
        raise ValueError(
            f"before and after must have the same unit; got {' and '.join(sorted(units))}: choose one with unit="
        )
    both = pd.concat(flats, ignore_index=True)
    code, frames = frame_codes(both, columns)
    cut = len(flats[0])
    old = _side(before, flats[0], code[:cut], len(frames), per)
    new = _side(after, flats[1], code[cut:], len(frames), per)
    pairs = _pairs(before, old.runs), _pairs(after, new.runs)
    old, new = _at_one_speed(old, new, pairs)
    table = _means(frames, old, new, units.pop() + ("" if per == "profile" else f"/{per}"))
    if min(len(old.runs), len(new.runs)) > 1:
        shares = (parse_fraction(least, parameter="least"), parse_fraction(tolerance, parameter="tolerance"))
        table = table.assign(**_tested(old, new, value, *shares, confidence, pairs))
    key = "change" if value == "absolute" else "fraction_change"
    order = np.argsort(-np.abs(table[key].to_numpy(dtype="float64")), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _flat(side: Profile, unit: str | None, metric: str, columns: Sequence[str]) -> pd.DataFrame:
    """run, function, file, (line,) value: by run, threads and endpoints merged."""
    table = table_of(side)
    if "line" not in columns and "line" in table.columns:
        table = table.assign(line=pd.NA)  # before totals are made: functions of one name may call one another
    flat = flat_profile(table, unit=unit, per=("run",) if "run" in table.columns else ())
    flat = flat if "run" in flat.columns else flat.assign(run="profile")
    return flat[["run", *columns, "unit"]].assign(
        value=flat[metric].astype("float64"), own=flat["self"].astype("float64")
    )


def _side(side: Profile, flat: pd.DataFrame, code: np.ndarray, count: int, per: str) -> _Side:
    place, runs = pd.factorize(flat["run"])
    cell = place * count + code
    shape = (len(runs), count)
    values = np.bincount(cell, weights=flat["value"], minlength=len(runs) * count).reshape(shape)
    whole = np.bincount(place, weights=flat["own"], minlength=len(runs))[:, None]
    fractions = np.divide(values, whole, out=np.zeros(shape), where=whole > 0)
    names = [str(run) for run in runs]
    divisors = _divisors(side, names, per)[:, None]
    return _Side(values / divisors, fractions, names, (whole / divisors).ravel())


def _normaliser(before: Profile, after: Profile) -> str:
    for name in ("request", "second"):
        if all(isinstance(side, Measurements) and _amounts(side, name) is not None for side in (before, after)):
            return name
    return "profile"


def _amounts(side: Measurements, per: str) -> pd.Series | None:
    """Requests or seconds of each run; None where any is not known."""
    runs = side.runs["run"]
    if per == "request":
        amounts = _profiled(side)
        if amounts is None and "requests" in side.tables:
            amounts = side.requests["run"].value_counts()
        if amounts is None:
            return None
    else:
        amounts = side.runs.set_index("run")["duration_ms"] / 1e3
    amounts = amounts.reindex(runs)
    return amounts if bool((amounts > 0).all()) else None


def _profiled(side: Measurements) -> pd.Series | None:
    """How many requests of each run were profiled, where a middleware did and counted them."""
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


def _means(frames: pd.DataFrame, old: _Side, new: _Side, unit: str) -> pd.DataFrame:
    before, after = old.values.mean(axis=0), new.values.mean(axis=0)
    shares = old.fractions.mean(axis=0), new.fractions.mean(axis=0)
    return frames.assign(
        unit=unit, before=before, after=after, change=after - before,
        before_fraction=shares[0], after_fraction=shares[1], fraction_change=shares[1] - shares[0],
    )  # fmt: skip


def _pairs(side: Profile, runs: list[str]) -> list[object] | None:
    """The pair of each run, None where the runs have none."""
    if not isinstance(side, Measurements) or "pair" not in side.runs.columns:
        return None
    known = side.runs.set_index("run")["pair"].reindex(runs)
    if known.isna().any() or known.duplicated().any():
        return None
    return [int(pair) for pair in known]


def _at_one_speed(
    old: _Side, new: _Side, pairs: tuple[list[object] | None, list[object] | None]
) -> tuple[_Side, _Side]:
    """Both runs of a pair scaled by one factor, such that all pairs have the same whole; as they are without pairs."""
    shared = _shared(pairs)
    if len(shared) < 2 or pairs[0] is None or pairs[1] is None:
        return old, new
    left, right = ([side.index(p) for p in shared] for side in (pairs[0], pairs[1]))
    wholes = (old.wholes[left] + new.wholes[right]) / 2
    if not (wholes > 0).all():
        return old, new
    factors = wholes.mean() / wholes
    return _scaled(old, left, factors), _scaled(new, right, factors)


def _scaled(side: _Side, places: list[int], factors: Floats) -> _Side:
    by_run = np.ones(len(side.runs))
    by_run[places] = factors
    return replace(side, values=side.values * by_run[:, None], wholes=side.wholes * by_run)


def _shared(pairs: tuple[list[object] | None, list[object] | None]) -> list[object]:
    """The pairs that both sides have."""
    if pairs[0] is None or pairs[1] is None:
        return []
    return [pair for pair in pairs[0] if pair in set(pairs[1])]


def _tested(
    old: _Side, new: _Side, value: str, least: float, tolerance: float, confidence: float,
    pairs: tuple[list[object] | None, list[object] | None],
) -> dict[str, object]:  # fmt: skip
    """Intervals, p-values and verdicts of all functions at once."""
    first, second = (old.values, new.values) if value == "absolute" else (old.fractions, new.fractions)
    from scipy.stats import false_discovery_control

    difference, error, degrees = _effects(first, second, pairs)
    half = t_ppf(0.5 + confidence / 2, degrees) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * t_sf(np.abs(difference) / error, degrees)
    p = np.where(error > 0, p, np.where(difference == 0, 1.0, 0.0))
    family = np.maximum(old.fractions.mean(axis=0), new.fractions.mean(axis=0)) >= least
    adjusted = np.full(len(p), np.nan)
    if family.any():
        adjusted[family] = false_discovery_control(p[family])
    allowed = tolerance * (float(old.wholes.mean()) if value == "absolute" else 1.0)
    certain = family & (adjusted < 1 - confidence)
    within = family & (np.abs(difference) + half <= allowed)
    names = np.where(
        within, "equivalent", np.where(~certain, "inconclusive", np.where(difference < 0, "improved", "regressed"))
    )
    return {
        "change_low": difference - half, "change_high": difference + half, "p_value": p, "p_adjusted": adjusted,
        "verdict": pd.array([n if f else None for n, f in zip(names, family, strict=True)], dtype="str"),
    }  # fmt: skip


def _effects(
    first: Floats, second: Floats, pairs: tuple[list[object] | None, list[object] | None]
) -> tuple[Floats, Floats, Floats]:
    """Difference of the means, its standard error and degrees of freedom for each function."""
    shared = _shared(pairs)
    if len(shared) > 1 and pairs[0] is not None and pairs[1] is not None:
        left, right = ([side.index(p) for p in shared] for side in (pairs[0], pairs[1]))
        differences = second[right] - first[left]
        error = differences.std(axis=0, ddof=1) / np.sqrt(len(shared))
        return differences.mean(axis=0), error, np.full(first.shape[1], len(shared) - 1.0)
    parts = [side.var(axis=0, ddof=1) / len(side) for side in (first, second)]
    total = parts[0] + parts[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = total**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (first, second), strict=True))
    degrees = np.where(total > 0, degrees, float(len(first) + len(second) - 2))
    return second.mean(axis=0) - first.mean(axis=0), np.sqrt(total), degrees


def run_weights(before: Profile, after: Profile, rows: Sequence[Rows]) -> tuple[list[Floats], str, int]:
    """The self of each row of both sides, normalised and divided by the number of runs, so that sums are means.

    Returns them with the unit and the number of runs.
    """
    per = _normaliser(before, after)
    units = {side.unit for side in rows}
    if len(units) > 1:
        raise ValueError(
            f"before and after must have the same unit; got {' and '.join(sorted(units))}: choose one with unit="
        )
    weights, count = [], 0
    for side, found in zip((before, after), rows, strict=True):
        names = found.table["run"] if "run" in found.table.columns else pd.Series("profile", index=found.table.index)
        place, runs = pd.factorize(names)
        divisors = _divisors(side, [str(run) for run in runs], per) * len(runs)
        weights.append(found.table["self"].to_numpy(dtype="float64") / divisors[place])
        count += len(runs)
    return weights, units.pop() + ("" if per == "profile" else f"/{per}"), count
