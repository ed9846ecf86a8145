"""`compare`: whether the candidate genuinely differs from the baseline, as a verdict with its interval.

The unit of replication is the run: requests of one run are neither independent nor exchangeable with those of
another, so no test here ever pools them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from perflab import rendering
from perflab.stats import tests
from perflab.stats.arms import Design, design
from perflab.stats.estimates import DEFAULT_WARMUP, by_run, quantile_of, requests_of, unit_of
from perflab.tables import AGGREGATED, Measurements
from perflab.units import format_fraction, format_p, format_value, parse_fraction

ALPHA = 0.05
ERROR_MARGIN = 0.01
VERDICTS = ("improved", "regressed", "equivalent", "inconclusive")
_HIGHER_IS_BETTER = ("throughput_per_s",)
_COLUMNS = (
    *("endpoint", "metric", "unit", "runs_baseline", "runs_candidate", "baseline", "candidate"),
    *("change", "change_low", "change_high", "p_value", "p_adjusted", "verdict", "reason"),
)


@dataclass(frozen=True, repr=False)
class Change:
    """The result of `compare`.

    ``verdict`` is "improved", "regressed", "equivalent" or "inconclusive": Aggregated's, or the declared primary's.
    ``table`` has a row for each endpoint; ``values`` the metric of each run behind it (run, arm, pair, endpoint,
    count, value). ``warnings`` say what to be careful about.
    """

    verdict: str
    table: pd.DataFrame
    metric: str
    tolerance: float
    endpoint: str
    arms: tuple[str, str]
    method: str
    values: pd.DataFrame
    warmup: float
    warnings: tuple[str, ...] = field(default=())

    @property
    def row(self) -> pd.Series:
        """The row of the table that the verdict is taken from."""
        return self.table.set_index("endpoint").loc[self.endpoint]

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return _sentence(self)

    def __repr__(self) -> str:
        return rendering.text(self.sentence, self._shown(), self.notes)

    def _repr_html_(self) -> str:
        return rendering.html(self.sentence, self._shown(), self.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """How it was decided, and the warnings."""
        decided = (
            f"decided by: {self.method}; {self.metric} of each run after the first {format_fraction(self.warmup)} "
            f"(warm-up); tolerance {format_fraction(self.tolerance)}"
        )
        return (decided, *self.warnings)

    def _shown(self) -> pd.DataFrame:
        unit = {"ms": "_ms", "1/s": "_per_s", "fraction": "_fraction"}[unit_of(self.metric)]
        names = {"baseline": f"{self.arms[0]}", "candidate": f"{self.arms[1]}"}
        shown = self.table[["endpoint", "verdict"]].copy()
        for column, name in names.items():
            shown[name] = [format_value(unit, v) for v in self.table[column]]
        shown["change"] = [_signed(v) for v in self.table["change"]]
        shown["95 % interval"] = [
            f"{_signed(low)} to {_signed(high)}" if low == low else "–"
            for low, high in zip(self.table["change_low"], self.table["change_high"], strict=True)
        ]
        shown["p"] = [format_p(v) for v in self.table["p_adjusted"]]
        return shown.assign(reason=self.table["reason"])


def compare(
    baseline: Measurements | pd.DataFrame,
    candidate: Measurements | pd.DataFrame,
    *,
    metric: str = "p95",
    tolerance: float | str = 0.05,
    primary: str | Sequence[str] = (),
    warmup: float | str | None = None,
    order: str = "auto",
    allow: str | Collection[str] = (),
) -> Change:
    """Decide whether a metric genuinely changed from the baseline to the candidate.

    Parameters
    ----------
    baseline, candidate : Measurements with several runs each (or requests tables); best from `run_pairs`.
    metric : "p95" or any "p<q>", "mean", "throughput_per_s", "error_fraction".
    tolerance : the relative difference below which a change does not matter (5 %). For error_fraction the margin
        is one percentage point.
    primary : up to three endpoints, named before looking, that the verdict is about; otherwise it is about all
        requests together ("Aggregated").
    warmup : the share of each run to leave out; the plan's, or 10 %, if not given. One cut for all runs.
    order : "ignore" lifts the cap on verdicts where one arm ran entirely before the other.
    allow : of "invalid", "generator", "plan", what to compare all the same, with a warning.

    Returns
    -------
    Change. In its table ``change`` is relative (-0.10: ten per cent less), absolute for error_fraction.

    The analysis follows from the design, not from the data: pairs by a paired t-test on the runs' logarithms (three
    or four by least squares with a trend), other runs by Welch's, one run against five or more by a prediction
    interval, one against one never. Equivalent means that the 90 % interval lies within the tolerance (two one-sided
    tests); improved or regressed that zero is outside the 95 % interval, corrected by Holm over the endpoints.

    Raises
    ------
    ComparisonError : invalid runs, different generators, different plans, unless allowed. MissingTableError : no
    requests. ValueError : bad arguments.

    >>> import numpy as np, pandas as pd
    >>> def arm(shift, seed):
    ...     draw, n = np.random.default_rng(seed), 6 * 1000
    ...     start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) * 10 + shift, unit="ms")
    ...     run = np.repeat([f"{shift}-{i}" for i in range(6)], 1000)
    ...     return pd.DataFrame({"run": run, "pair": np.repeat(range(6), 1000), "endpoint": "GET /", "start": start,
    ...                          "latency_ms": draw.lognormal(3, 0.5, n) * (0.7 if shift else 1.0), "ok": True})
    >>> compare(arm(0, 1), arm(5, 2)).verdict
    'improved'
    """
    margin = parse_fraction(tolerance, parameter="tolerance")
    if not 0 < margin < 1:
        raise ValueError(f"tolerance must lie between 0 and 1 (5% or 0.05); got {tolerance!r}")
    share = quantile_of(metric)
    primaries = (primary,) if isinstance(primary, str) else tuple(primary)
    sides = (requests_of(baseline), requests_of(candidate))
    found = design(*sides, order=order, allow=(allow,) if isinstance(allow, str) else tuple(allow))
    cut = _warmup(sides, warmup)
    metrics = [metric] if metric == "error_fraction" else [metric, "error_fraction"]
    values = pd.concat([_values(side, arm, metrics, cut) for side, arm in zip(sides, _arms(sides), strict=True)])
    endpoints = _endpoints(values, primaries)
    judged = {e: _judge(values[values["endpoint"] == e], metric, share, margin, found) for e in endpoints}
    errors = {e: _judge(values[values["endpoint"] == e], "error_fraction", None, margin, found) for e in endpoints}
    table = _table(judged, errors, metric, margin, primaries)
    decisive = primaries[0] if primaries else AGGREGATED
    return Change(
        verdict=_overall(table, primaries),
        table=table,
        metric=metric,
        tolerance=margin,
        endpoint=decisive,
        arms=_arms(sides),
        method=judged[decisive].method,
        values=values.rename(columns={metric: "value"}).drop(columns="error_fraction", errors="ignore"),
        warmup=cut,
        warnings=found.warnings + tuple(dict.fromkeys(w for side in sides for w in side.warnings)),
    )


@dataclass(frozen=True)
class _Judged:
    """One endpoint's numbers before the correction for many: on the scale of the analysis (ln, or as they are)."""

    endpoint: str
    runs: tuple[int, int]
    typical: tuple[float, float]
    effect: tests.Effect | None
    relative: bool
    better: int
    obstacle: str
    capped: str
    unit: str

    @property
    def method(self) -> str:
        return self.effect.method if self.effect else "no test"

    def out(self, value: float) -> float:
        """From the scale of the analysis to a change."""
        return math.expm1(value) if self.relative else value


def _arms(sides: tuple[Measurements, Measurements]) -> tuple[str, str]:
    names = [side.runs["arm"].dropna().unique() for side in sides]
    first, second = (str(n[0]) if len(n) == 1 else "" for n in names)
    return (first, second) if first and second and first != second else ("baseline", "candidate")


def _warmup(sides: tuple[Measurements, Measurements], given: float | str | None) -> float:
    if given is not None:
        share = parse_fraction(given, parameter="warmup")
    else:
        plans = [p for side in sides if "plan" in side.runs.columns for p in side.runs["plan"] if isinstance(p, dict)]
        share = max((float(p["warmup"]) for p in plans if "warmup" in p), default=DEFAULT_WARMUP)
    if not 0 <= share <= 0.9:
        raise ValueError(f"warmup must be between 0 and 90%; got {given!r}")
    return share


def _values(side: Measurements, arm: str, metrics: list[str], warmup: float) -> pd.DataFrame:
    values = by_run(side, metrics, warmup=warmup)
    runs = side.runs.set_index("run")
    return values.assign(
        arm=arm,
        start=values["run"].map(runs["start"]),
        pair=values["run"].map(runs["pair"]) if "pair" in runs.columns else pd.NA,
    )


def _endpoints(values: pd.DataFrame, primaries: tuple[str, ...]) -> list[str]:
    present = [e for e in pd.unique(values["endpoint"]) if e != AGGREGATED]
    if len(primaries) > 3 or len(set(primaries)) != len(primaries):
        raise ValueError(f"primary must name up to three different endpoints; got {primaries!r}")
    for name in primaries:
        if name not in (*present, AGGREGATED):
            raise ValueError(f"primary must be one of {', '.join([AGGREGATED, *present])}; got {name!r}")
    return [AGGREGATED, *sorted(present)]


def _judge(values: pd.DataFrame, metric: str, share: float | None, margin: float, found: Design) -> _Judged:
    """The effect on one endpoint, by the design's test."""
    relative = metric != "error_fraction"
    arms = list(pd.unique(values["arm"]))
    endpoint = str(values["endpoint"].iloc[0])
    sides = [values[values["arm"] == arm].set_index("run") for arm in arms]
    if len(sides) == 1:
        return _nothing(endpoint, values, metric, f"only in {arms[0]}: this endpoint has no requests on the other side")
    obstacle = _gate(sides, metric, share)
    scaled = [_scaled(side[metric], relative) for side in sides]
    typical = tuple(float(side[metric].median()) for side in sides)
    if any(not np.isfinite(numbers).all() for numbers in scaled):
        obstacle = obstacle or f"{metric} is zero or unknown in some runs, so no ratio can be formed"
        effect = None
    else:
        effect, few = _effect(sides, scaled, found)
        obstacle = obstacle or few
    if effect and effect.error == 0 and effect.difference != 0:
        obstacle = obstacle or "the runs of an arm agree to the last digit: copies of a run are not repetitions"
    return _Judged(
        endpoint,
        (len(sides[0]), len(sides[1])),
        (typical[0], typical[1]),
        effect,
        relative,
        1 if metric in _HIGHER_IS_BETTER else -1,
        obstacle,
        found.order_problem,
        unit_of(metric),
    )


def _nothing(endpoint: str, values: pd.DataFrame, metric: str, why: str) -> _Judged:
    count = values["run"].nunique()
    return _Judged(endpoint, (count, 0), (math.nan, math.nan), None, True, -1, why, "", unit_of(metric))


def _scaled(values: pd.Series, relative: bool) -> tests.Floats:
    numbers: tests.Floats = values.to_numpy(dtype="float64")
    if not relative:
        return numbers
    logarithms: tests.Floats = np.log(np.where(numbers > 0, numbers, np.nan))
    return logarithms


def _gate(sides: list[pd.DataFrame], metric: str, share: float | None) -> str:
    """Why the runs have too few requests for this metric; empty when they have enough."""
    needed = 10 / min(share, 1 - share) if share is not None and 0 < share < 1 else (30 if metric == "mean" else 1)
    if share == 1.0:
        return "the maximum of a run has no distribution to test; take a quantile"
    fewest = min(int(side["count"].min()) for side in sides)
    if fewest >= round(needed, 6):
        return ""
    wanted = f"{math.ceil(round(needed, 6)):,} requests in each run after warm-up"
    return f"{metric} needs {wanted}; the smallest has {fewest:,}: run longer"


def _effect(sides: list[pd.DataFrame], scaled: list[tests.Floats], found: Design) -> tuple[tests.Effect | None, str]:
    """The test that the design calls for, and what stands in the way of a verdict."""
    first, second = (pd.Series(n, index=s.index) for n, s in zip(scaled, sides, strict=True))
    if found.pairs is not None:
        both = found.pairs[
            found.pairs["run_baseline"].isin(first.index) & found.pairs["run_candidate"].isin(second.index)
        ]
        before = first.loc[both["run_baseline"]].to_numpy()
        after = second.loc[both["run_candidate"]].to_numpy()
        if len(both) >= 5:
            return tests.paired(before, after), ""
        if len(both) >= 3:
            slots = pd.concat([both["start_baseline"], both["start_candidate"]], ignore_index=True).rank().to_numpy()
            return tests.few_pairs(before, after, slots[: len(both)], slots[len(both) :]), ""
        effect = tests.paired(before, after) if len(both) == 2 else None
        return (
            effect,
            f"{len(both)} complete pair{'s' if len(both) != 1 else ''}: at least 3 are needed for a verdict, 6 for an exact test",
        )
    before, after = first.to_numpy(), second.to_numpy()
    if len(before) >= 3 and len(after) >= 3:
        return tests.welch(before, after), ""
    if len(after) == 1 and len(before) >= 5:
        return tests.against_history(before, float(after[0])), ""
    few = f"{len(before)} and {len(after)} runs: at least 3 of each are needed for a verdict"
    return (tests.welch(before, after) if min(len(before), len(after)) >= 2 else None), few


def _table(
    judged: dict[str, _Judged], errors: dict[str, _Judged], metric: str, margin: float, primaries: tuple[str, ...]
) -> pd.DataFrame:
    adjusted = _adjusted(judged, primaries)
    rows = [_row(one, errors[name], metric, margin, adjusted.get(name, math.nan)) for name, one in judged.items()]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _adjusted(judged: dict[str, _Judged], primaries: tuple[str, ...]) -> dict[str, float]:
    """p-values corrected within their family: the primaries, and all other endpoints; Aggregated stands outside."""
    result = {}
    families = [[n for n in judged if n in primaries], [n for n in judged if n not in (*primaries, AGGREGATED)]]
    for family in [*families, [AGGREGATED] if AGGREGATED not in primaries else []]:
        tested = [(name, effect) for name in family if (effect := judged[name].effect) is not None]
        corrected = tests.holm(np.array([effect.p_value for _, effect in tested]))
        result.update({name: float(p) for (name, _), p in zip(tested, corrected, strict=True)})
    return result


def _row(one: _Judged, errors: _Judged, metric: str, margin: float, p_adjusted: float) -> dict[str, object]:
    effect = one.effect
    low, high = effect.interval(1 - ALPHA) if effect else (math.nan, math.nan)
    word, reason = _verdict(one, margin, p_adjusted)
    more_errors = _verdict(errors, margin, errors.effect.p_value if errors.effect else math.nan)[0] == "regressed"
    if word == "improved" and metric != "error_fraction" and more_errors:
        word, reason = "inconclusive", "faster, but more requests fail than before: failing fast is no improvement"
    return {
        "endpoint": one.endpoint,
        "metric": metric,
        "unit": one.unit,
        "runs_baseline": one.runs[0],
        "runs_candidate": one.runs[1],
        "baseline": one.typical[0],
        "candidate": one.typical[1],
        "change": one.out(effect.difference) if effect else math.nan,
        "change_low": one.out(low),
        "change_high": one.out(high),
        "p_value": effect.p_value if effect else math.nan,
        "p_adjusted": p_adjusted,
        "verdict": word,
        "reason": reason,
    }


def _verdict(one: _Judged, margin: float, p_adjusted: float) -> tuple[str, str]:
    """The verdict on one endpoint: a small function over an interval and a margin."""
    effect = one.effect
    if one.obstacle or effect is None:
        return "inconclusive", one.obstacle
    if one.capped:
        return "inconclusive", one.capped
    bound = math.log1p(margin) if one.relative else ERROR_MARGIN
    low, high = effect.interval(1 - 2 * ALPHA)
    if -bound < low and high < bound:
        return "equivalent", f"the 90 % interval lies within the tolerance of {_plain(one, bound)}"
    if p_adjusted < ALPHA:
        word = "improved" if effect.difference * one.better > 0 else "regressed"
        low95, high95 = effect.interval(1 - ALPHA)
        sure = low95 > bound or high95 < -bound
        return word, f"by at least {_plain(one, bound)}" if sure else "the size of the change is not yet certain"
    return "inconclusive", _what_would_decide(one, bound)


def _plain(one: _Judged, bound: float) -> str:
    return format_fraction(math.expm1(bound)) if one.relative else f"{bound * 100:g} percentage points"


def _what_would_decide(one: _Judged, bound: float) -> str:
    """How many more runs would settle it, if the effect is as large as it looks (power .8)."""
    effect = one.effect
    assert effect is not None
    runs = min(one.runs)
    deviation = effect.error * math.sqrt(runs)
    size = abs(effect.difference)
    gap = max(size, bound - size)
    quantiles = stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.8)
    needed = math.ceil((quantiles * deviation / gap) ** 2) + 2
    what = "pairs" if "pair" in effect.method else "runs of each arm"
    more = max(1, needed - runs)
    return f"the interval holds both no change and a change that matters; about {more} more {what} would decide"


def _overall(table: pd.DataFrame, primaries: tuple[str, ...]) -> str:
    rows = table.set_index("endpoint")["verdict"]
    if not primaries:
        return str(rows[AGGREGATED])
    words = [str(rows[name]) for name in primaries]
    for word in ("regressed", "inconclusive", "improved"):
        if word in words:
            return word
    return "equivalent"


def _signed(value: float) -> str:
    return "–" if value != value else f"{'+' if value > 0 else ''}{format_fraction(value)}"


def _sentence(change: Change) -> str:
    row = change.row
    what = f"{change.metric} of {'all requests' if change.endpoint == AGGREGATED else change.endpoint}"
    if row["change"] != row["change"]:
        return f"{what}: {change.verdict}: {row['reason']}"
    size, low, high = (float(row[c]) for c in ("change", "change_low", "change_high"))
    direction = "fell" if size < 0 else "rose"
    unit = "" if change.metric != "error_fraction" else " points"
    near, far = sorted((abs(low), abs(high))) if low * high > 0 else (low, high)
    words = f"{what} {direction} by {format_fraction(abs(size))}{unit} (95 % interval {_between(near, far, low * high > 0)})"
    if change.verdict in ("improved", "regressed"):
        chance = f"the chance of such a difference without a real change is {format_p(float(row['p_adjusted']))}"
        return f"{words}: {change.verdict}; {change.method.split(', ', 1)[-1]}; {chance}"
    return f"{words}: {change.verdict}: {row['reason']}"


def _between(low: float, high: float, same_sign: bool) -> str:
    return f"{format_fraction(low)} to {format_fraction(high)}" if same_sign else f"{_signed(low)} to {_signed(high)}"
