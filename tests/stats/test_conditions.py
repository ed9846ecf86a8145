"""A verdict under the conditions of real experiments: the mix moves, requests fail, order, carry-over, load, a broken run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import START, arm, both, codes, steady, why

import perflab as lab
from perflab.stats.design import Design
from perflab.stats.mix import AS_OFFERED, weighted_quantile

LEVEL = steady(100, 8, 0.01, 5)


def two_endpoints(slow_ms: float, share: float, name: str, seed: int, count: int = 600) -> pd.DataFrame:
    """Eight runs of a fast endpoint of 10 ms and a slow one, whose share of the requests is about this."""
    random, frames = np.random.default_rng(seed), []
    for i in range(8):
        slow = random.permutation(np.arange(count) < round(count * share * np.exp(0.02 * random.standard_normal())))
        latency = np.where(slow, slow_ms, 10.0) * np.exp(0.2 * random.standard_normal(count))
        at = (np.arange(count) + 0.5) / count * 30 + 80 * i + 40 * ((i + (name == "c")) % 2)
        frames.append(
            pd.DataFrame(
                {
                    "run": f"{name}{i}",
                    "endpoint": np.where(slow, "GET /report", "GET /a"),
                    "start": START + pd.to_timedelta(at, unit="s"),
                    "latency_ms": latency * np.exp(0.02 * random.standard_normal()),
                    "ok": True,
                    "pair": i,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(
    ("before", "after", "verdict", "offered"),
    [
        ((167, 0.175), (1690, 0.035), "regressed", "improved"),  # asked less because it is slower
        ((1690, 0.015), (169, 0.083), "improved", "regressed"),  # asked more because it is faster
    ],
)
def test_where_the_mix_moves_the_total_is_on_one_mix(
    before: tuple[float, float], after: tuple[float, float], verdict: str, offered: str
) -> None:
    change = lab.compare(two_endpoints(*before, "b", 1), two_endpoints(*after, "c", 2))
    total, raw = change.find(), change.find(AS_OFFERED)
    assert (change.verdict, raw.verdict) == (verdict, offered)
    assert change.table["endpoint"].to_list()[:2] == ["Aggregated", AS_OFFERED]
    moved = next(note for note in total.remarks if note.code == "mix-moved")
    assert moved.facts["before_fraction"] != moved.facts["after_fraction"]
    assert str(moved) in change.sentence
    assert not change.not_worse or verdict == "improved"
    # The total as offered is no endpoint.
    assert "endpoint-regressed" not in [
        note.code for note in total.remarks if AS_OFFERED in note.facts.get("endpoints", ())
    ]


def test_where_the_mix_stays_there_is_one_total() -> None:
    change = lab.compare(two_endpoints(167, 0.1, "b", 1), two_endpoints(167, 0.1, "c", 2))
    assert AS_OFFERED not in set(change.table["endpoint"]) and change.verdict not in ("improved", "regressed")


def test_arms_without_a_common_endpoint_have_no_total() -> None:
    before, after = both({"old": LEVEL, "older": LEVEL}, {"new": steady(50, 8, 0.01, 6), "newer": LEVEL})
    change = lab.compare(before, after)
    assert (change.verdict, why(change)) == ("inconclusive", "no-common-endpoint")


def test_a_total_names_the_endpoint_that_regressed() -> None:
    fast, slow = steady(10, 8, 0.01, 1), steady(100, 8, 0.01, 2)
    before, after = both({"a": fast, "b": slow}, {"a": [v * 2 for v in fast], "b": [v * 0.7 for v in slow]})
    change = lab.compare(before, after)
    assert change.verdict == "improved"
    assert [dict(n.facts) for n in change.find().remarks] == [{"endpoints": ["a"]}]
    assert str(change.find().remarks[0]) in change.sentence


def test_equal_weights_are_the_usual_quantile() -> None:
    values = np.sort(np.random.default_rng(1).lognormal(size=501))
    for share in (0.01, 0.5, 0.95, 0.999):
        usual = np.quantile(values, share, method="median_unbiased")
        assert weighted_quantile(values, np.full(501, 3.0), share) == pytest.approx(usual)


def shed(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    """The slowest requests of each run fail at once."""
    slowest = frame.groupby("run")["latency_ms"].rank(pct=True) > 1 - share
    return frame.assign(ok=~slowest, latency_ms=frame["latency_ms"].where(~slowest, 1.0))


@pytest.mark.parametrize("share", [0.003, 0.008])
def test_failing_the_slowest_requests_does_not_improve_the_tail(share: float) -> None:
    before, after = both(LEVEL, LEVEL[::-1], count=1_300, shape=0.4)
    change = lab.compare(before, shed(after, share), metric="p99")
    # Within the tolerance as measured and with failures as infinitely slow, or not decided: never an improvement.
    assert (change.verdict, why(change)) in (
        ("equivalent", "within-tolerance"),
        ("inconclusive", "failures-decide"),
        ("inconclusive", "failing-fast"),
    )


def test_failures_that_are_alike_in_both_arms_cost_no_verdict() -> None:
    """1 % of requests fail in both, at random: with failures as infinitely slow the difference is the same, only noisier."""
    found = []
    for seed in range(6):
        rates = np.random.default_rng(seed).binomial(300, 0.01, (2, 8)) / 300
        sides = [
            arm(
                steady(level, 8, 0.02, 10 * seed + i),
                name=name,
                seed=seed + 50 * i,
                first=first,
                turn=turn,
                errors=rates[i],
            )
            for i, (level, name, first, turn) in enumerate(((100, "b", 0.0, 40.0), (90, "c", 40.0, -40.0)))
        ]
        found.append(lab.compare(*sides).verdict)
    assert found == ["improved"] * 6


def test_failures_beyond_the_quantile_point_to_the_error_rate() -> None:
    before, after = both(LEVEL, [v / 2 for v in LEVEL], errors=0.07)
    change = lab.compare(before, after)
    assert (change.verdict, why(change)) == ("inconclusive", "failures-decide")
    assert "tail-fails" in [note.code for note in change.find().remarks]
    assert lab.compare(*both(LEVEL, [v / 2 for v in LEVEL], errors=0.02)).verdict == "improved"


def test_where_all_requests_fail_there_is_no_verdict() -> None:
    before, after = both(LEVEL, [v / 9 for v in LEVEL])
    change = lab.compare(before, after.assign(ok=False))
    assert change.verdict == "inconclusive" and not change.not_worse
    assert "all-failed" in change.details["reason_code"].to_list()


def test_a_broken_run_is_named_and_no_thousand_pairs_are_asked_for() -> None:
    before, after = both(steady(100, 10, 0.03, 3), steady(85, 10, 0.03, 4))
    bad = after["run"] == "c3"
    change = lab.compare(before, after.assign(latency_ms=after["latency_ms"].where(~bad, after["latency_ms"] * 3)))
    facts = change.find().reasons[0].facts
    assert (change.verdict, why(change), facts["run"], facts["arm"]) == (
        "inconclusive",
        "broken-run",
        "c3",
        "candidate",
    )
    assert "improved" in facts["without"] and "more" not in str(change.advice)


@pytest.mark.parametrize(("candidate", "verdict"), [(540, "inconclusive"), (600, "improved"), (660, "improved")])
def test_less_load_may_explain_a_gain_and_more_may_not(candidate: int, verdict: str) -> None:
    sides = [
        arm(levels, name=name, seed=seed, first=first, turn=turn, count=count)
        for levels, name, seed, first, turn, count in (
            (LEVEL, "b", 1, 0.0, 40.0, 600),
            ([v * 0.8 for v in LEVEL[::-1]], "c", 2, 40.0, -40.0, candidate),
        )
    ]
    change = lab.compare(*sides)
    assert change.verdict == verdict
    assert (why(change) == "load-differs") == (verdict == "inconclusive")
    assert change.not_worse == (verdict == "improved")


def ordered(order: str, levels: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Unpaired runs in this order."""
    parts: dict[str, list[pd.DataFrame]] = {"b": [], "c": []}
    for i, (side, level) in enumerate(zip(order, levels, strict=True)):
        parts[side].append(arm([level], name=f"{side}{i}-", seed=i, first=80.0 * i, paired=False))
    return pd.concat(parts["b"], ignore_index=True), pd.concat(parts["c"], ignore_index=True)


@pytest.mark.parametrize(
    ("order", "capped"),
    [
        ("b" * 9 + "c" * 10 + "b", True),
        ("b" * 9 + "cb" + "c" * 9, True),
        ("bbbbbccccc" * 2, False),
        ("bccbbccb" * 2 + "bccb", False),
    ],
)
def test_an_order_that_is_nearly_blocked_gets_no_direction(order: str, capped: bool) -> None:
    drift = [100 * (1 + 0.1 * i / 19) * f for i, f in enumerate(steady(1, 20, 0.02, 7))]
    change = lab.compare(*ordered(order, drift))
    assert (why(change) == "order-confounded") is capped
    assert not capped or change.verdict == "inconclusive"
    # A quarter off the middle is said with its figure, where the runs drift; a balanced order needs no word.
    assert bool(codes(change, "order-skewed")) == (order.startswith("bbbbbc"))


def test_pairs_nearly_in_one_order_say_what_the_place_in_a_pair_does() -> None:
    luck = iter(steady(1, 20, 0.01, 8))
    frames: dict[str, list[pd.DataFrame]] = {"b": [], "c": []}
    for pair in range(10):
        for place, side in enumerate("cb" if pair == 4 else "bc"):
            level = 100 * (0.95 if place else 1.0) * next(luck)
            made = arm([level], name=f"{side}{pair}-", seed=pair, first=200.0 * pair + 80 * place)
            frames[side].append(made.assign(pair=pair))
    change = lab.compare(*(pd.concat(frames[side], ignore_index=True) for side in "bc"))
    (facts,) = codes(change, "order-skewed")
    assert (facts["first"], facts["pairs"], facts["arm"]) == (9, 10, "baseline")


def test_carry_over_is_found_with_its_size() -> None:
    random = np.random.default_rng(3)
    frames: dict[str, list[pd.DataFrame]] = {"b": [], "c": []}
    before = "b"
    for pair in range(10):
        for place, side in enumerate("bc" if pair % 4 in (0, 3) else "cb"):
            level = 100 * (1.15 if before == "c" else 1.0) * np.exp(0.02 * random.standard_normal())
            made = arm([level], name=f"{side}{pair}-", seed=pair, first=200.0 * pair + 80 * place)
            frames[side].append(made.assign(pair=pair))
            before = side
    change = lab.compare(*(pd.concat(frames[side], ignore_index=True) for side in "bc"))
    (facts,) = codes(change, "carry-over")
    assert 0.11 < float(facts["carried"].removesuffix(" %")) / 100 < 0.19
    assert not codes(lab.compare(*both(LEVEL, LEVEL[::-1])), "carry-over")


def test_a_machine_that_was_busier_in_one_arm_is_said() -> None:
    held = []
    for frame, cores in zip(both(LEVEL, LEVEL[::-1]), (0.1, 0.9), strict=True):
        runs = sorted(frame["run"].unique())
        usage = pd.DataFrame(
            {"run": runs, "process": "other", "cpu_cores": np.array(steady(cores, 8, 0.1)), "rss_bytes": 1.0}
        )
        usage = usage.assign(time=[frame.loc[frame["run"] == run, "start"].min() for run in runs])
        held.append(lab.Measurements.of(requests=frame, resources=usage))
    (facts,) = codes(lab.compare(*held), "machine-busy")
    assert facts["candidate_cores"] > 8 * facts["baseline_cores"]


def test_the_resources_of_the_target_are_decided_like_latencies() -> None:
    held = []
    for frame, cores in zip(both(LEVEL, LEVEL[::-1]), (0.5, 0.3), strict=True):
        runs = frame.groupby("run")["start"].min()
        usage = pd.DataFrame(
            {
                "run": np.repeat(runs.index, 30),
                "time": np.repeat(runs.array, 30) + pd.to_timedelta(np.tile(np.arange(30.0), 8), unit="s"),
                "process": "target",
                "cpu_cores": cores * np.repeat(steady(1, 8, 0.03, int(10 * cores)), 30),
                "rss_bytes": 1e8,
            }
        )
        held.append(lab.Measurements.of(requests=frame.assign(size_bytes=2_000.0), resources=usage))
    change = lab.compare(*held, metric=["cpu_ms_per_request", "rss_bytes", "size_bytes"])
    assert change.verdict == "improved" and change.row["change"] == pytest.approx(-0.4, abs=0.03)
    # 300 requests in 30 s on half a core: 50 ms each.
    assert change.row["baseline"] == pytest.approx(50, rel=0.1)
    assert change.row_of("Aggregated", "rss_bytes")["baseline"] == pytest.approx(1e8)
    assert change.row_of("GET /", "size_bytes")["candidate"] == pytest.approx(2_000)


def test_the_printed_p_is_never_below_what_the_runs_can_show() -> None:
    change = lab.compare(*both(LEVEL[:6], [v * 0.7 for v in LEVEL[1:7]]))
    assert change.row["p_value"] < 1e-4 and "p < 0.031 (6 pairs can show no less)" in change.sentence
    assert "< 0.031" in repr(change).splitlines()[2]


def test_looks_reach_the_gate_and_the_printed_interval() -> None:
    design = lab.compare(*both(LEVEL, LEVEL[::-1])).design
    assert isinstance(design, Design)
    frames = both(LEVEL[:5], [v * 1.02 for v in LEVEL[1:6]])
    looked = [lab.Measurements.of(requests=f) for f in frames]
    looked = [
        lab.Measurements.of(
            requests=m.requests,
            runs=m.runs.assign(environment=[{"looks": [5, 10]}] * 5, pair=list(range(5))),
        )
        for m in looked
    ]
    change, plain = lab.compare(*looked), lab.compare(*frames)
    assert "99.7 % interval" in change.sentence and "95 % interval" in plain.sentence
    assert change.row["change_low"] < plain.row["change_low"]
    assert change.find().worst > plain.find().worst
