"""What experiments do that assumptions forbid: the verdict and the words of every function that decides about them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from made_runs import arm, both, codes, measured, steady, why

import perflab as lab
from perflab.stats import compare_anytime, compare_arms

LEVEL = steady(100, 8, 0.01, 5)
FASTER = [v * 0.8 for v in LEVEL[::-1]]
Arms = tuple[pd.DataFrame, pd.DataFrame]


def renamed(change_ms: float) -> Arms:
    """A third of the requests go to an endpoint that the candidate calls otherwise."""
    before, after = both({"a": LEVEL, "b": LEVEL}, {"a": LEVEL[::-1], "c": [v * change_ms for v in LEVEL]})
    return before, after


def failing(arms: Arms, *sides: int) -> Arms:
    """All requests of these arms fail at once."""
    first, second = (f.assign(ok=False, latency_ms=1.0) if i in sides else f for i, f in enumerate(arms))
    return first, second


def in_one_run(arms: Arms, run: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Arms:
    """One run of the candidate changed."""
    chosen = arms[1]["run"] == run
    return arms[0], pd.concat([arms[1][~chosen], change(arms[1][chosen])], ignore_index=True)


@pytest.mark.parametrize("times", [0.5, 10.0])
def test_a_total_without_the_endpoints_of_one_arm_is_never_good(times: float) -> None:
    change = lab.compare(*renamed(times))
    assert (change.verdict, change.not_worse, why(change)) == ("inconclusive", False, "lone-endpoints")
    assert change.find("a").verdict == "equivalent"


def test_a_throughput_is_of_all_endpoints_whatever_their_names() -> None:
    assert lab.compare(*renamed(1.0), metric="throughput_per_s").verdict == "equivalent"


def test_a_given_mix_says_what_it_leaves_out() -> None:
    change = lab.compare(*both({"a": LEVEL, "b": LEVEL}, {"a": LEVEL, "b": FASTER}), mix={"a": 1.0})
    assert "b" in str(change.find().remarks[0].facts["without"]) and "leaves out b" in change.sentence


def test_a_throughput_has_no_mix() -> None:
    before, after = both({"a": LEVEL, "b": LEVEL}, {"a": LEVEL, "b": LEVEL})
    thinned = after[(after["endpoint"] == "a") | (after.index % 4 > 0)]
    change = lab.compare(before, thinned, metric=["throughput_per_s", "p95"])
    assert change.find().remarks == () and [n.code for n in change.find(metric="p95").remarks] == ["mix-moved"]


@pytest.mark.parametrize(("sides", "metric"), [((0,), "p95"), ((1,), "p50"), ((0, 1), "p95"), ((0, 1), "mean")])
def test_arms_that_fail_wholly_are_not_not_worse(sides: tuple[int, ...], metric: str) -> None:
    change = lab.compare(*failing(both(LEVEL, FASTER), *sides), metric=metric)
    assert (change.verdict, change.not_worse, why(change)) == ("inconclusive", False, "all-failed")
    assert change.find().reasons[0].facts["arm"].count("and the") == len(sides) - 1


def test_a_quantile_that_fails_in_both_arms_is_not_equivalent() -> None:
    slow = [arm(LEVEL, name=n, first=f, turn=t, errors=0.08, seed=f) for n, f, t in (("b", 0, 40), ("c", 40, -40))]
    slow = [f.assign(latency_ms=f["latency_ms"].where(f["ok"], 30_000.0 + f.index % 7)) for f in slow]
    change = lab.compare(*slow)
    assert (change.verdict, change.not_worse, why(change)) == ("inconclusive", False, "tail-fails")
    assert change.find().reasons[0].facts["runs"] == 8


@pytest.mark.parametrize("metric", ["p50", "p95", "error_fraction"])
def test_a_run_that_failed_wholly_is_named_by_every_metric(metric: str) -> None:
    arms = in_one_run(both(LEVEL, LEVEL[::-1]), "c3", lambda f: f.assign(ok=False, latency_ms=1.0))
    change = lab.compare(*arms, metric=metric)
    assert (change.verdict, why(change), change.find().reasons[0].facts["run"]) == ("inconclusive", "broken-run", "c3")


def test_two_broken_runs_are_both_named_and_one_in_a_clear_verdict_too() -> None:
    arms = both(LEVEL, FASTER)
    for run in ("c2", "c5"):
        arms = in_one_run(arms, run, lambda f: f.assign(latency_ms=f["latency_ms"] * 4))
    change = lab.compare(*arms)
    facts = change.find().reasons[0].facts
    assert why(change) == "broken-run" and "c2" in str(change.find().reasons[0]) + facts["run"]
    assert "c5" in str(change.find().reasons[0]) and "improved" in facts["without"]
    clear = in_one_run(both(LEVEL, [v / 4 for v in LEVEL]), "c2", lambda f: f.assign(latency_ms=f["latency_ms"] * 2))
    change = lab.compare(*clear)
    assert change.verdict == "improved" and [f["run"] for f in codes(change, "broken-run")] == ["c2"]
    assert not codes(lab.compare(*both(LEVEL, FASTER)), "broken-run")


@pytest.mark.parametrize("kept", [0.3, 0.5])
def test_a_run_under_another_load_is_named(kept: float) -> None:
    arms = in_one_run(both(LEVEL, FASTER, count=800), "c3", lambda f: f.sample(frac=kept, random_state=1))
    (facts,) = codes(lab.compare(*arms), "other-load")
    assert facts["run"] == "c3" and facts["run_per_s"] < facts["usual_per_s"]
    assert not codes(lab.compare(*both(LEVEL, FASTER)), "other-load")


def loaded(counts: tuple[int, int], ratio: float, sd: float) -> Arms:
    sides = [
        arm(steady(100 * r, 8, sd, 3 + i), name=name, seed=i, first=first, turn=turn, count=count)
        for i, (r, name, first, turn, count) in enumerate(
            ((1.0, "b", 0.0, 40.0, counts[0]), (ratio, "c", 40.0, -40.0, counts[1]))
        )
    ]
    return sides[0], sides[1]


@pytest.mark.parametrize(
    ("counts", "ratio", "sd", "code", "not_worse"),
    [
        ((600, 400), 1.0, 0.1, "load-differs", False),  # undecided under a third less load: no advice of more pairs
        ((600, 530), 1.15, 0.2, "wide-interval", False),  # users who wait for slower answers ask less
        ((600, 700), 1.0, 0.005, "load-differs", True),  # as fast under more load is not worse
        ((600, 500), 1.0, 0.005, "load-differs", False),
    ],
)
def test_another_load_is_the_reason_where_more_runs_would_not_help(
    counts: tuple[int, int], ratio: float, sd: float, code: str, not_worse: bool
) -> None:
    change = lab.compare(*loaded(counts, ratio, sd))
    assert (change.verdict, why(change), change.not_worse) == ("inconclusive", code, not_worse)


@pytest.mark.parametrize("last", [1.3, 0.4])
def test_an_effect_that_moves_over_the_pairs_is_said(last: float) -> None:
    ratios = np.exp(np.linspace(np.log(0.9 if last < 1 else 0.7), np.log(last), 10))
    before = steady(100, 10, 0.01, 1)
    change = lab.compare(*both(before, [float(v * r) for v, r in zip(before, ratios, strict=True)]))
    if last > 1:
        assert why(change) == "changed-during" and change.advice is not None and change.advice.remedy is None
    else:
        assert change.verdict == "improved" and codes(change, "changed-during")
    assert not codes(lab.compare(*both(LEVEL, FASTER)), "changed-during")


def test_unpaired_runs_that_drift_are_advised_to_pair() -> None:
    drift = np.linspace(1, 1.5, 8)
    arms = both([float(v) for v in LEVEL * drift], [float(v) for v in np.array(LEVEL[::-1]) * drift], paired=False)
    change = lab.compare(*arms)
    assert why(change) == "drifting" and change.advice.remedy.arguments["pairs"] < 20


def test_beyond_the_registered_looks_is_the_reason_itself() -> None:
    sides = [measured(f, environment=[{"looks": [4, 6]}] * 8) for f in both(LEVEL, FASTER)]
    change = lab.compare(*sides)
    assert (change.verdict, why(change), change.advice) == ("inconclusive", "beyond-looks", None)


@pytest.mark.parametrize(("level", "code"), [(3.0, "clock-tick"), (60.0, "within-tolerance")])
def test_a_coarse_clock_is_the_reason_where_more_pairs_would_not_help(level: float, code: str) -> None:
    arms = both(steady(level, 8, 0.06, 1), steady(level, 8, 0.06, 2))
    before, after = (f.assign(latency_ms=f["latency_ms"].round()) for f in arms)
    assert why(lab.compare(before, after)) == code


def test_runs_on_either_side_of_a_cliff_are_not_broken() -> None:
    # 5 % of 300 requests are 15: one run of the candidate is above.
    slow = {"b": [13, 14, 12, 13, 14, 12, 13, 14], "c": [17, 13, 12, 14, 13, 12, 14, 13]}
    random, sides = np.random.default_rng(4), []
    for frame in both([50.0] * 8, [50.0] * 8, shape=0.1):
        few = frame["run"].map(lambda run: slow[run[0]][int(run[1])])
        late = frame.groupby("run").cumcount() * 7 % 300 < few
        jitter = np.exp(0.1 * random.standard_normal(len(frame)))
        sides.append(frame.assign(latency_ms=np.where(late, 800.0, frame["latency_ms"]) * jitter))
    change = lab.compare(*sides, warmup=0)
    assert why(change) == "two-modes"


@pytest.mark.parametrize(
    ("pair", "text"), [(lambda f: f["pair"] // 2, "pair-twice"), (lambda f: f["pair"].where(f["pair"] < 0), "")]
)
def test_wrong_pair_numbers_are_named(pair: Callable[[pd.DataFrame], pd.Series], text: str) -> None:
    before, after = both(LEVEL, FASTER)
    after = after.assign(pair=pair(after))
    if text:
        with pytest.raises(lab.ComparisonError) as caught:
            lab.compare(before, after)
        assert caught.value.args[0].code == text
    else:
        assert codes(lab.compare(before, after), "no-complete-pair")


def test_one_run_amid_the_others_is_not_called_later() -> None:
    before, after = both(LEVEL, FASTER, paired=False)
    assert "8 other ones" in lab.compare(before, after[after["run"] == "c3"]).sentence
    later = after[after["run"] == "c7"].assign(start=after["start"] + pd.Timedelta("100s"))
    assert "8 earlier ones" in lab.compare(before, later).sentence


def test_a_history_that_changed_itself_is_said() -> None:
    levels = [*steady(100, 8, 0.02, 1), *steady(200, 8, 0.02, 2), 200.0]
    runs = arm(levels, paired=False)
    new = runs["run"] == "run16"
    (facts,) = codes(lab.compare(runs[~new], runs[new]), "history-moved")
    assert facts["run"] == "run8"


# The other functions that decide


def test_watched_pairs_respect_load_failures_and_endpoints() -> None:
    assert compare_anytime(*loaded((600, 400), 0.7, 0.02)).reason.code == "load-differs"
    before, after = both(LEVEL, LEVEL[::-1], count=1_300, shape=0.4)
    slowest = after.groupby("run")["latency_ms"].rank(pct=True) > 0.992
    shed = after.assign(ok=~slowest, latency_ms=after["latency_ms"].where(~slowest, 1.0))
    assert compare_anytime(before, shed, metric="p99").verdict not in ("improved",)
    fast, slow = steady(10, 8, 0.01, 1), steady(100, 8, 0.01, 2)
    mixed = both({"a": fast, "b": slow}, {"a": [v * 2 for v in fast], "b": [v * 0.7 for v in slow]})
    found = compare_anytime(*mixed)
    assert found.verdict == "improved" and [n.code for n in found.remarks] == ["endpoint-regressed"]
    assert str(found.remarks[0]) in found.sentence


def test_quantiles_do_not_improve_by_failing() -> None:
    arms = both(LEVEL, FASTER)
    assert lab.quantile_shift(*arms).improved
    wholly = lab.quantile_shift(*failing(arms, 1))
    assert not wholly.improved and wholly.capped.code == "all-failed" and str(wholly.capped) in wholly.sentence
    partly = lab.quantile_shift(arms[0], arms[1].assign(ok=arms[1].index % 10 > 0))
    assert not partly.improved and partly.capped.code == "more-failures"
    assert lab.quantile_shift(*loaded((600, 400), 0.7, 0.02)).capped.code == "load-differs"


def rounds(levels: dict[str, list[float]], **changed: Callable[[pd.DataFrame], pd.DataFrame]) -> lab.Measurements:
    frames = []
    for place, (name, values) in enumerate(levels.items()):
        for i, value in enumerate(values):
            first = 400.0 * i + 80.0 * ((place + i) % len(levels))
            made = arm([value], name=f"{name}{i}-", seed=100 * place + i, first=first).assign(pair=i)
            frames.append(measured(changed.get(name, lambda f: f)(made), arm=name, pair=i))
    return sum(frames[1:], frames[0])


def test_an_arm_that_cannot_be_judged_is_not_ranked() -> None:
    levels = {"before": LEVEL, "a": FASTER, "b": [v / 2 for v in LEVEL]}
    found = compare_arms(rounds(levels, b=lambda f: f.assign(ok=False)))
    assert "best first: a < before" in found.sentence and "not ranked: b" in found.sentence
    assert found.ranking == ("a", "before", "b")


def test_arms_are_ranked_by_their_rounds_and_not_by_means_over_other_rounds() -> None:
    drift = np.linspace(1, 2, 8)
    every = [float(v) for v in np.array(LEVEL) * drift]
    found = compare_arms(rounds({"before": every, "a": [v * 1.1 for v in every][:5]}))
    assert found.ranking == ("before", "a") and "before < a" in found.sentence
    assert "< 0.062" in repr(found)


def test_an_objective_is_not_met_by_failing() -> None:
    runs = arm(LEVEL)
    assert lab.check(runs, "p95 < 200 ms").verdict == "holds"
    for failed, metric in ((1, "p95"), (1, "mean"), (9, "p95"), (50, "p50")):
        some = runs.assign(ok=runs.index % failed > 0 if failed < 50 else runs.index % 2 > 0, latency_ms=1.0)
        checked = lab.check(some, f"{metric} < 200 ms")
        assert checked.verdict == "inconclusive" and checked.reasons[0].code == "tail-fails"
        assert str(checked.reasons[0]) in checked.sentence
    assert lab.check(runs.assign(ok=runs.index % 50 > 0), "p95 < 200 ms").verdict == "holds"


@pytest.mark.parametrize(("slope", "drifts"), [(0.02, True), (0.0, False)])
def test_a_steady_rise_is_a_drift_and_not_nothing(slope: float, drifts: bool) -> None:
    values = 100 * np.exp(slope * np.arange(30) + 0.05 * np.random.default_rng(11).standard_normal(30))
    start = pd.date_range("2026-01-01", periods=30, freq="D", tz="UTC")
    found = lab.change_points(pd.DataFrame({"run": range(30), "start": start, "value": values}), minimum=0.1)
    assert found.table.empty and (found.drift == found.drift) is drifts
    assert next(note.facts["least_fraction"] for note in found.notes if note.code == "decided-by") == 0.1


def test_a_plan_names_a_broken_run_and_says_where_even_the_most_pairs_are_too_few() -> None:
    plan = lab.plan_runs(arm([*LEVEL, 320.0]), effect=0.1)
    assert [n.facts["run"] for n in plan.warnings if n.code == "broken-run"] == ["run8"]
    assert not [n for n in lab.plan_runs(arm(LEVEL), effect=0.1).warnings if n.code == "broken-run"]
    assert "more than 2,000 pairs" in lab.plan_runs(arm(steady(100, 6, 0.05)), effect=0.001).sentence


def test_looks_that_were_registered_for_pairs_are_said_of_runs_without() -> None:
    sides = [
        measured(arm(levels, name=n, seed=s, first=f, turn=t, paired=False), environment=[{"looks": [4, 8]}] * 8)
        for levels, n, s, f, t in ((LEVEL, "b", 1, 0.0, 40.0), (FASTER, "c", 2, 40.0, -40.0))
    ]
    change = lab.compare(*sides)
    assert change.design.kind == "unpaired" and change.verdict == "improved"
    assert "looks-need-pairs" in [note.code for note in change.notes]
    change = lab.compare(
        *(measured(f, environment=[{"looks": [4, 8]}] * 8, pair=list(range(8))) for f in both(LEVEL, FASTER))
    )
    assert "looks-need-pairs" not in [note.code for note in change.notes]


def offered(arms: Arms, rates: tuple[float, float], served: float = 1.0) -> tuple[lab.Measurements, lab.Measurements]:
    """Arms whose plans offered these rates, of which each run served a part."""
    before, after = (measured(f, offered_per_s=r, achieved_per_s=r * served) for f, r in zip(arms, rates, strict=True))
    return before, after


@pytest.mark.parametrize(
    ("rates", "served", "verdict", "code"),
    [
        ((10.0, 10.0), 1.0, "equivalent", "served-as-offered"),
        ((10.0, 10.0), 0.9, "equivalent", ""),
        ((10.0, 12.0), 1.0, "inconclusive", "offered-differs"),
        ((10.0, 12.0), 0.9, "improved", ""),
        ((10.0, 10.1), 1.0, "improved", ""),
        ((np.nan, np.nan), 1.0, "improved", ""),
        ((0.0, 0.0), 1.0, "improved", ""),
    ],
)  # fmt: skip
def test_a_throughput_that_is_the_plans_is_not_the_targets(
    rates: tuple[float, float], served: float, verdict: str, code: str
) -> None:
    more = 300 if verdict == "equivalent" else 360
    arms = arm(LEVEL, name="b", seed=1, turn=40.0), arm(LEVEL, name="c", seed=2, first=40.0, turn=-40.0, count=more)
    change = lab.compare(*offered(arms, rates, served), metric="throughput_per_s")
    row = change.find()
    assert (row.verdict, *(n.code for n in (*row.reasons, *row.remarks) if "offered" in n.code)) == (
        verdict, *filter(None, [code]))  # fmt: skip
    assert not code or str(next(n for n in (*row.reasons, *row.remarks) if n.code == code)) in change.sentence
    assert lab.compare(*offered(arms, rates, served)).find().reason_code not in ("offered-differs", "served-as-offered")


@pytest.mark.parametrize(
    ("counts", "rates", "achieved", "verdict", "code"),
    [
        ((300, 450), (10, 20), (10, 15), "inconclusive", "offered-differs"),  # what the baseline can serve is unknown
        ((450, 300), (20, 10), (15, 10), "inconclusive", "offered-differs"),
        ((210, 300), (10, 10), (7, 10), "improved", ""),
        ((210, 300), (12, 10), (7, 10), "improved", ""),
        ((300, 210), (10, 12), (10, 7), "regressed", ""),
        ((300, 300), (10, 10), (9.8, 9.9), "equivalent", "served-as-offered"),  # arrivals at random times
        ((300, 360), (10, 12), (9.8, 11.7), "inconclusive", "offered-differs"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("primary", ["", "GET /"])
def test_the_arm_with_less_throughput_has_to_be_at_its_limit(
    counts: tuple[int, int],
    rates: tuple[float, float],
    achieved: tuple[float, float],
    verdict: str,
    code: str,
    primary: str,
) -> None:
    arms = (
        arm(LEVEL, name="b", seed=1, turn=40.0, count=counts[0]),
        arm(LEVEL, name="c", seed=2, first=40.0, turn=-40.0, count=counts[1]),
    )
    chance = np.tile([-0.6, 0.6], 4)
    before, after = (
        measured(f, offered_per_s=float(r), achieved_per_s=(a + chance).tolist())
        for f, r, a in zip(arms, rates, achieved, strict=True)
    )
    row = lab.compare(before, after, metric="throughput_per_s", primary=primary or ()).find()
    assert (row.verdict, *(n.code for n in (*row.reasons, *row.remarks) if "offered" in n.code)) == (
        verdict, *filter(None, [code]))  # fmt: skip


def test_an_always_valid_p_is_not_below_what_so_many_pairs_can_show() -> None:
    held = compare_anytime(*both(LEVEL, FASTER))
    assert held.table["p_value"].iloc[-1] < 1 / 128 and "p < 0.0078" in held.sentence
    shown = held.show().table
    assert shown is not None and shown["p"].iloc[-1] == "< 0.0078"
    assert "; p = " in compare_anytime(*both(LEVEL, LEVEL[::-1])).sentence


@pytest.mark.parametrize(
    ("limits", "shift", "verdict", "code"),
    [
        ((300.0, 300.0), 1.0, "inconclusive", "at-ceiling"),
        ((300.0, 300.0), 1.2, "inconclusive", "at-ceiling"),
        ((5_000.0, 5_000.0), 1.0, "equivalent", ""),
        ((150.0, 150.0), 1.0, "equivalent", ""),
        ((300.0, 300.0), 0.2, "improved", ""),
        ((300.0, 330.0), 1.0, "inconclusive", "at-ceiling"),  # only the limit changed
        ((300.0, 5_000.0), 1.5, "inconclusive", "at-ceiling"),  # the baseline's may be any above 300 ms
        ((5_000.0, 300.0), 1.4, "inconclusive", "at-ceiling"),
        ((5_000.0, 400.0), 2.0, "regressed", ""),  # the candidate's is 400 ms or more
    ],
)  # fmt: skip
def test_a_quantile_at_a_ceiling_is_unknown(limits: tuple[float, float], shift: float, verdict: str, code: str) -> None:
    """Latencies that a tool, or the buckets of a histogram, cut off, of requests that are said to have succeeded."""
    arms = both(LEVEL, [v * shift for v in LEVEL[::-1]], shape=0.2 if limits[0] < 200 else 0.8)
    cut = (f.assign(latency_ms=np.minimum(f["latency_ms"], limit)) for f, limit in zip(arms, limits, strict=True))
    change = lab.compare(*cut)
    assert (change.verdict, why(change) == "at-ceiling") == (verdict, bool(code))
    assert not code or not change.not_worse
    assert not code or lab.compare(*arms, metric=str(change.find().reasons[0].remedy.arguments["metric"])).rows


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ({"GET /": (200,)}, {"GET /": (200,)}, "equivalent"),
        ({"GET /": (200,)}, {"GET /": (220,)}, "regressed"),
        ({"GET /": (200,)}, {"GET /": (210,)}, "inconclusive"),  # a tick of a clock of 10 ms
        ({"GET /": (200,)}, {"GET /": (100,)}, "improved"),
        ({"GET /": (2, 200)}, {"GET /": (2, 200)}, "equivalent"),  # hits and misses of a cache
        ({"GET /": (2, 200)}, {"GET /": (2, 150)}, "improved"),
        ({"GET /": (200,), "GET /a": (100,)}, {"GET /": (200,), "GET /a": (100,)}, "equivalent"),
        ({"GET /": (200.123,), "GET /a": (20.456,)}, {"GET /": (200.123,), "GET /a": (20.456,)}, "equivalent"),
    ],
)
def test_fixed_latencies_are_no_clock_no_ceiling_and_no_copies(
    before: dict[str, tuple[float, ...]], after: dict[str, tuple[float, ...]], verdict: str
) -> None:
    """A handler that sleeps, a cache: as few different latencies as a coarse clock, a timeout or a copied run has."""
    arms = []
    for held, f in zip((before, after), both(dict.fromkeys(before, LEVEL), dict.fromkeys(before, LEVEL)), strict=True):
        random = np.random.default_rng(len(arms))
        share = random.random(len(f)) < 0.2
        fast, slow = [f["endpoint"].map({e: v[i] for e, v in held.items()}) for i in (0, -1)]
        arms.append(f.assign(latency_ms=np.where(share, slow, fast).astype(float)))
    assert lab.compare(*arms).verdict == verdict


def test_fixed_latencies_have_no_variance_to_decide_by() -> None:
    """Always the same is exactly that, and not a logarithm's rounding below it; pairs that all agree give no p of 1."""
    before, after = (f.assign(latency_ms=level) for f, level in zip(both(LEVEL, LEVEL), (200.0, 220.0), strict=True))
    verdicts = [lab.check(before, f"p95 {limit} ms").verdict for limit in ("< 200", "<= 200", "< 201", "< 199")]
    assert verdicts == ["fails", "holds", "holds", "fails"]
    watched = compare_anytime(before, after)
    assert watched.verdict == "inconclusive" and watched.reason is not None and watched.reason.code == "no-variance"
    assert compare_anytime(before, before.assign(run="c" + before["run"].str[1:])).verdict == "equivalent"


@pytest.mark.parametrize(
    ("limit", "goal", "verdict"),
    [
        (300.0, "p95 < 350 ms", "inconclusive"),
        (300.0, "p95 < 250 ms", "fails"),
        (300.0, "p50 < 250 ms", "holds"),
        (5_000.0, "p95 < 6 s", "holds"),
    ],
)
@pytest.mark.parametrize("runs", [1, 6])
def test_a_limit_of_the_measurement_meets_no_objective(limit: float, goal: str, verdict: str, runs: int) -> None:
    requests = arm([100.0] * runs, shape=0.8)
    cut = requests.assign(latency_ms=np.minimum(requests["latency_ms"], limit))
    assert lab.check(cut, goal).verdict == verdict


@pytest.mark.parametrize("values", [(200,), (2, 200), (1, 2, 3), (10, 20, 30), (1, 2, 200, 201)])
def test_fixed_latencies_and_a_coarse_clock_meet_objectives(values: tuple[int, ...]) -> None:
    requests = arm([100.0] * 6)
    drawn = np.random.default_rng(1).choice([values[0]] * 4 + list(values), len(requests)).astype(float)
    constant = requests.assign(endpoint="GET /slow", latency_ms=240.0)
    assert lab.check(requests.assign(latency_ms=drawn), "p95 < 250 ms").verdict == "holds"
    assert lab.check(pd.concat([requests, constant.iloc[::4]]), "p95 < 250 ms").verdict == "holds"
