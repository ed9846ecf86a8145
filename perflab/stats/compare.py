"""`compare`: whether the candidate differs from the baseline, as a verdict with its interval.

The unit of replication is the run: requests of one run are not independent, and not exchangeable with those of
another, so no test pools them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.metrics import QUANTILE, Metric
from perflab.notes import Note, notes_of
from perflab.stats import circumstances, doubts, sequential, visits
from perflab.stats import pacing as omission
from perflab.stats.change import Change as Change
from perflab.stats.change import overall
from perflab.stats.corrections import corrected_p
from perflab.stats.design import design, with_covariates, without_copies
from perflab.stats.estimates import Requests, Streamed, by_run, evidence_of, streamed
from perflab.stats.experiment_checks import (
    against_reference,
    as_offered,
    covariate_notes,
    disagreement,
    few_requests,
    infinitely_slow,
    machine_notes,
    mixed_total,
    order_notes,
    regressed_endpoints,
    under_load,
    with_failures,
)
from perflab.stats.first_reading import usual_of
from perflab.stats.judging import Judged, judge
from perflab.stats.mix import AS_OFFERED, Mix, checked_weights, mix_of, mixes, on_one_mix
from perflab.stats.modes import below_ceiling, between_modes
from perflab.stats.odd_runs import broken_run, moving, odd_notes
from perflab.stats.rows import (
    ERRORS,
    Asked,
    Key,
    Row,
    arms_of,
    both_ways,
    failing_fast,
    failing_runs,
    row_of,
    size_words,
    values_of,
)
from perflab.stats.verdicts import decide
from perflab.stats.warmup import Warmup, declared, settled
from perflab.units import format_ms, parse_duration, parse_fraction

Both = tuple[Requests | Streamed, Requests | Streamed]
_MOST_PRIMARIES = 3
_MOST_UNSENT = 20.0


def compare(
    baseline: Measurements | pd.DataFrame,
    candidate: Measurements | pd.DataFrame,
    *,
    metric: str | Sequence[str] = "p95",
    tolerance: float | str = 0.05,
    primary: str | Sequence[str] = (),
    warmup: float | str | None = None,
    order: str = "auto",
    allow: str | Collection[str] = (),
    adjust: str = "family",
    pacing: str | float | None = None,
    error_tolerance: float | str = 0.01,
    mix: Mapping[str, float] | None = None,
    covariates: str | Sequence[str] = (),
    reference: Measurements | pd.DataFrame | None = None,
    executor: Executor | None = None,
) -> Change:
    """Decide whether a metric changed from the baseline to the candidate.

    Parameters
    ----------
    baseline, candidate : Measurements or DataFrame
        Several runs each (or requests tables), preferably from `run_pairs`.
    metric : str or sequence of str
        "p95" or any ``"p<q>"``, "mean", "over_<limit>ms" (the share of slower requests), "throughput_per_s",
        "error_fraction", "size_bytes", or a resource of the target: "cpu_ms_per_request", "rss_bytes", "read_bytes",
        "written_bytes"; of pages (`run_pages`): "lcp", "inp", "cls", "fcp", "ttfb", "tbt", or a part of the first two such as
        "inp_processing". Of several metrics the first decides.
    tolerance : float or str
        The relative difference below which a change does not matter (5 %).
    primary : str or sequence of str
        Up to three endpoints, declared before the runs, that decide the verdict; by default all requests together
        ("Aggregated").
    warmup : float or str, optional
        The share of each run to leave out; by default the plan's, or 10 %. All runs get the same cut; the
        default is raised, at most to half, for an endpoint that had clearly not settled, with a warning.
    order : str
        "ignore" lifts the cap on verdicts where one arm ran entirely before the other.
    allow : str or collection of str
        What to compare anyway, with a warning: any of "invalid", "generator", "plan", "length".
    adjust : str
        "family" keeps the chance of any false direction among the non-deciding rows at 5 %; "explore" lets 5 % of the
        directions be false (Benjamini and Hochberg), to find candidates for the next experiment.
    pacing : str or float, optional
        The fixed time between the requests of a user ("1s"), if there was one. Verdicts are then taken with and without
        the requests that were never sent because users waited, and are inconclusive where the two differ.
    error_tolerance : float or str
        The difference in the share of failed (or slow) requests that does not matter (one percentage point).
    mix : mapping of endpoint to weight, optional
        The weights of the endpoints in all requests; by default as sent, or one common mix where it moved.
    covariates : str or sequence of str
        Numbers of the runs, declared before them, that the test adjusts for: columns of ``runs`` ("offered_per_s"), or
        means of ``resources`` ("machine.steal_cores"). They narrow the interval where they explain why runs differ.
    reference : Measurements or DataFrame, optional
        Runs of a fixed release. Ten releases of +3 % are each within a tolerance of 5 %, and +34 % together: the sentence
        then also compares the candidate with the reference, and a candidate that regressed against it is not ``not_worse``.
    executor : concurrent.futures.Executor, optional
        What reads the runs of a lazily opened store, as for `summarize`.

    Returns
    -------
    Change
        In its table ``baseline`` and ``candidate`` are geometric means over the runs and ``change`` is relative (-0.10: ten
        per cent less); for error_fraction they are means, and their difference.

        The design determines the analysis, not the data: five or more pairs by a paired t-test on the logarithms of the
        runs, three or four by least squares with a trend, other runs by Welch's t-test, one run against five or more by
        a prediction interval, one against one never. Error shares are compared as differences, with at least the
        binomial variance; so are CLS, TBT and the parts of LCP and INP, which can be zero. The value of a run for a page is
        the median of its visits, and all pages together are the mean of these. Equivalent means that the 90 % interval
        lies within the tolerance (two one-sided tests);
        improved or regressed that p is below 5 %, which for all rows but the deciding one is corrected by the maximum
        of t over sign flips of whole runs (from 8 pairs or 4 runs an arm; 5 where one has more), else by Holm. The error
        rates are simulated in datasets/calibration.

    Raises
    ------
    ComparisonError
        Invalid runs, different generators or different plans, unless allowed; a duplicate run name.
    MissingTableError
        There are no requests, or no vitals for a metric of pages.
    SchemaError
        A requests table has NaN or negative latencies, or naive timestamps.
    ValueError
        An argument is invalid.

    >>> import perflab as lab
    >>> runs = lab.load("datasets/shop_runs")
    >>> change = lab.compare(runs.where(arm="n+1"), runs.where(arm="eager"), primary="GET /orders")
    >>> change.verdict, change.not_worse
    ('improved', True)
    """
    metrics = _metrics(metric)
    primaries = (primary,) if isinstance(primary, str) else tuple(primary)
    margins = _margin(tolerance, "tolerance"), _margin(error_tolerance, "error_tolerance")
    interval = None if pacing is None else parse_duration(pacing, parameter="pacing")
    if interval is not None and interval <= 0:
        raise ValueError(f"pacing must be a positive duration; got {pacing!r}")
    if adjust not in ("family", "explore"):
        raise one_of("adjust", adjust, ("family", "explore"))
    pages = visits.of_pages(metrics)
    usual = usual_of((baseline, candidate), [*metrics, ERRORS], warmup)
    sides = (evidence_of(baseline, metrics[0], executor, usual), evidence_of(candidate, metrics[0], executor, usual))
    found = design(*sides, order=order, allow=(allow,) if isinstance(allow, str) else tuple(allow))
    requests = (streamed(sides[0]), streamed(sides[1]))
    found = without_copies(found, requests)
    if names := (covariates,) if isinstance(covariates, str) else tuple(covariates):
        found = with_covariates(found, sides, names)
    weights = None if mix is None else checked_weights(mix, requests)
    share = 0.0 if pages else declared(sides, warmup)
    needed = max(one.rows_needed for one in metrics)
    trim = settled(requests, share, needed) if warmup is None and not pages else Warmup(share)
    level = sequential.level(sides[0].runs, sides[1].runs, found)
    asked = Asked(metrics, primaries, margins, found, trim, level, adjust, arms_of(sides), weights)
    rows, values = _decided(requests, asked)
    _check_primaries(primaries, values)
    rows, notes = _under_conditions(rows, values, requests, sides, asked)
    if any(one.is_latency for one in metrics):
        rows, more = _with_unsent(rows, requests, sides, asked, interval)
        notes += more
    if reference is not None:
        earlier = compare(
            reference,
            candidate,
            metric=metrics[0].name,
            tolerance=tolerance,
            primary=primary,
            warmup=warmup,
            order=order,
            allow=allow,
            error_tolerance=error_tolerance,
            mix=mix,
            executor=executor,
        )
        rows = {
            key: against_reference(row, earlier.find(row.endpoint)) if key in asked.deciding else row
            for key, row in rows.items()
        }
    return _change(rows, values, sides, asked, notes)


def _metrics(metric: str | Sequence[str]) -> tuple[Metric, ...]:
    names = (metric,) if isinstance(metric, str) or not isinstance(metric, Sequence) else tuple(metric)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"metric must name one or more different metrics; got {metric!r}")
    metrics = tuple(map(Metric.of, names))
    for one in metrics:
        if not one.decided and not one.is_maximum:
            raise ValueError(f"metric must be one that can be compared; got {one.name!r}")
    return metrics


def _margin(given: float | str, parameter: str) -> float:
    margin = parse_fraction(given, parameter=parameter)
    if not 0 < margin < 1:
        raise ValueError(f"{parameter} must be between 0 and 1 (5% or 0.05); got {given!r}")
    return margin


def _check_primaries(primaries: tuple[str, ...], values: pd.DataFrame) -> None:
    present = [str(e) for e in values["endpoint"].unique() if e not in (AGGREGATED, AS_OFFERED)]
    if len(primaries) > _MOST_PRIMARIES or len(set(primaries)) != len(primaries):
        raise ValueError(f"primary must name up to three different endpoints; got {primaries!r}")
    for name in primaries:
        if name not in (*present, AGGREGATED):
            raise ValueError(f"primary must be one of {', '.join([AGGREGATED, *sorted(present)])}; got {name!r}")


def _decided(requests: Both, asked: Asked) -> tuple[dict[Key, Row], pd.DataFrame]:
    """The verdict of every row, and the value of each run behind it."""
    wanted = tuple(dict.fromkeys([*asked.metrics, ERRORS]))
    mix = mix_of(requests, asked.design, asked.trim.of(AGGREGATED), asked.weights)
    both = _tables(requests, wanted, asked, mix)
    if not all(len(t) for t in both):
        raise ComparisonError("no request is left after the warm-up")
    judged = _judged(both, requests, wanted, asked)
    shown = {
        k: one for k, one in judged.items() if one.metric in asked.metrics and (k[1] != AS_OFFERED or mixes(one.metric))
    }
    corrected = corrected_p(shown, asked)
    rows = {key: row_of(one, *corrected[key], asked) for key, one in shown.items()}
    if any(side.any_failed for side in requests):
        rows = _failing(rows, judged, requests, asked, mix)
    rows = {key: broken_run(row) for key, row in rows.items()}
    for metric in asked.metrics:
        key = (metric.name, AGGREGATED)
        if key in rows and mix is not None and metric.has_endpoints:
            rows[key] = mixed_total(rows[key], rows.get((metric.name, AS_OFFERED)), mix)
    everything = list(rows.values())
    rows = {k: regressed_endpoints(row, everything) if k[1] == AGGREGATED else row for k, row in rows.items()}
    return rows, pd.concat([t.assign(side=i) for i, t in enumerate(both)], ignore_index=True)


def _tables(
    requests: Both, wanted: tuple[Metric, ...], asked: Asked, mix: Mix | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The metrics of each run and endpoint of both arms, the totals on one mix where the mix moved."""
    tables = [by_run(r, wanted, warmup=asked.trim.share, longer=asked.trim.longer) for r in requests]
    if mix is not None and len(mix.share):
        cut = asked.trim.of(AGGREGATED)
        tables = [on_one_mix(t, r, mix, wanted, cut) for t, r in zip(tables, requests, strict=True)]
    elif mix is not None:
        tables = [pd.concat([t, t[t["endpoint"] == AGGREGATED].assign(endpoint=AS_OFFERED)]) for t in tables]
    return visits.on_common_pages((tables[0], tables[1]), wanted)


def _judged(
    both: tuple[pd.DataFrame, pd.DataFrame], requests: Both, wanted: Sequence[Metric], asked: Asked
) -> dict[Key, Judged]:
    return {
        (m.name, one.endpoint): one
        for m in wanted
        for one in judge(both, requests, m, asked.design, asked.trim, asked.margins)
    }


def _failing(
    rows: dict[Key, Row],
    judged: Mapping[Key, Judged],
    requests: Both,
    asked: Asked,
    mix: Mix | None,
) -> dict[Key, Row]:
    """Cap rows that do not hold with failures as infinitely slow requests, or where more requests fail."""
    quantiles = [m for m in asked.metrics if m.kind == QUANTILE]
    slow = requests[0].changed(infinitely_slow), requests[1].changed(infinitely_slow)
    others = _judged(_tables(slow, tuple(quantiles), asked, mix), requests, quantiles, asked) if quantiles else {}
    errors = {endpoint: one for (m, endpoint), one in judged.items() if m == ERRORS.name and _more_errors(one, asked)}
    rows = {key: failing_fast(row, errors[key[1]]) if key[1] in errors else row for key, row in rows.items()}
    return {k: with_failures(row, others.get(k, row.judged), judged[ERRORS.name, k[1]]) for k, row in rows.items()}


def _under_conditions(
    rows: dict[Key, Row],
    values: pd.DataFrame,
    requests: Both,
    sides: tuple[Measurements, Measurements],
    asked: Asked,
) -> tuple[dict[Key, Row], tuple[Note, ...]]:
    """The rows, capped where the conditions of the runs could explain them, and notes on those conditions."""
    rows = {k: as_offered(under_load(row, requests), sides, requests) for k, row in rows.items()}
    notes: list[Note] = []
    for key in asked.deciding:
        if key[1] == AGGREGATED:
            notes += _in_one_arm(values)
        row = moving(rows[key])
        fewest = int(values.loc[values["endpoint"] == key[1], "count"].min())
        notes += [*few_requests(row, fewest), *disagreement(row), *order_notes(row), *odd_notes(row, requests)]
        rows[key] = between_modes(row, requests, asked.trim.of(key[1]))
    others = {key: row for key, row in rows.items() if key not in asked.deciding and key[1] != AS_OFFERED}
    rows |= {key: below_ceiling(row, requests, asked.trim.of(key[1])) for key, row in others.items()}
    notes += visits.left_out(values, asked.metrics)
    return rows, (*notes, *machine_notes(sides, asked.design), *covariate_notes(asked.design))


def _in_one_arm(values: pd.DataFrame) -> tuple[Note, ...]:
    """A note on a verdict about all requests when the arms do not have the same endpoints."""
    found = values.loc[(values["count"] > 0) & (values["endpoint"] != AS_OFFERED), ["endpoint", "side"]]
    arms = set(zip(found["endpoint"].to_list(), found["side"].to_list(), strict=True))
    lone = sorted(name for name, side in arms if (name, 1 - side) not in arms)
    return (circumstances.ONE_ARM_ONLY(doubts.declaring(...), endpoints=lone),) if lone else ()


def _more_errors(one: Judged, asked: Asked) -> bool:
    if one.effect is None or one.obstacle or asked.design.capped:
        return False
    return str(decide(one.effect, one.margin, one.effect.p_value, one.metric.better)) == "regressed"


def _with_unsent(
    rows: dict[Key, Row],
    requests: Both,
    sides: tuple[Measurements, Measurements],
    asked: Asked,
    interval: float | None,
) -> tuple[dict[Key, Row], tuple[Note, ...]]:
    """The rows, inconclusive where back-filling unsent requests (coordinated omission) changes them, and notes."""
    share = max((m.share for m in asked.metrics if m.share is not None), default=0.5)
    cycle: dict[str, float] = {}
    exposed: dict[str, float] = {}
    for side, own in zip(sides, requests, strict=True):
        usual, missing = omission.exposure(side, own, interval)
        cycle, exposed = cycle | usual, exposed | missing
    notes = omission.warnings_of(exposed, share, declared=interval, cycle=cycle)
    if interval is None:
        return rows, notes
    worst = max(exposed.values(), default=0.0)
    if worst > _MOST_UNSENT:
        raise ValueError(
            f"pacing must be the time between the requests of a user; at {format_ms(interval)} a run would miss "
            f"{worst:,.0f} requests for each one that was sent: nothing can be filled in for a load that was never offered"
        )
    fill = partial(omission.back_filled, interval=interval)
    filled = requests[0].changed(fill), requests[1].changed(fill)
    others, _ = _decided(filled, asked)
    mixed = {key: both_ways(row, others[key]) if row.metric.is_latency else row for key, row in rows.items()}
    found = [f"{k[0]} of {k[1]}: {size_words(others[k])}, without {size_words(rows[k])}" for k in asked.deciding]
    return mixed, (*notes, circumstances.BACK_FILLED(found="; ".join(found)))


def _change(
    rows: dict[Key, Row],
    values: pd.DataFrame,
    sides: tuple[Measurements, Measurements],
    asked: Asked,
    notes: tuple[Note, ...],
) -> Change:
    places = [one.name for one in asked.metrics]
    totals = (AGGREGATED, AS_OFFERED)
    ordered = sorted(rows, key=lambda k: (places.index(k[0]), totals.index(k[1]) if k[1] in totals else 2, k[1]))
    verdict = overall([rows[key].verdict for key in asked.deciding])
    decisive = next(key for key in asked.deciding if rows[key].verdict == verdict)
    said = (*asked.design.warnings, *failing_runs(values), *asked.trim.notes, *notes)
    return Change(
        verdict=verdict,
        rows=tuple(rows[key] for key in ordered),
        asked=asked,
        metric=decisive[0],
        endpoint=decisive[1],
        per_run=partial(values_of, values, sides, asked.metrics, asked.arms),
        primaries=asked.primaries,
        warnings=notes_of((*said, *sides[0].warnings, *sides[1].warnings)),
    )
