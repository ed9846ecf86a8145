"""How a change shows itself: the sentence, the table, how it was decided, the steps, the picture."""

from __future__ import annotations

import re

import pytest
from made_runs import both, measured, steady

import perflab as lab

BEFORE, AFTER = steady(100, 8, seed=1), steady(88, 8, seed=2)


@pytest.fixture
def change() -> lab.Change:
    return lab.compare(
        *both({"GET /orders": BEFORE, "GET /x": BEFORE}, {"GET /orders": AFTER, "GET /x": BEFORE}),
        primary="GET /orders",
    )


def test_the_sentence_says_it_all(change: lab.Change) -> None:
    assert re.fullmatch(
        r"p95 of GET /orders fell by [\d.]+ % \(95 % interval [\d.]+ to [\d.]+ %\): improved; 8 pairs; "
        r"p < 0.0078 \(8 pairs can show no less\)",
        change.sentence,
    )


def test_sentence_then_table_then_how_and_what_would_change_it(change: lab.Change) -> None:
    for shown in (repr(change), change._repr_html_()):
        places = [shown.find(part) for part in ("fell by", "Reason", "decided by", "what would change the answer")]
        assert places == sorted(places) and -1 not in places


def test_what_is_from_outside_is_escaped() -> None:
    name = "GET /<script>alert(1)</script>"
    found = lab.compare(*both({name: BEFORE}, {name: AFTER}), primary=name)
    assert "<script>" not in found._repr_html_() and "&lt;script&gt;" in found._repr_html_()
    assert "<script>" not in found.explain()._repr_html_()


@pytest.mark.parametrize(
    ("before", "after", "reason", "facts"),
    [
        (steady(100, 8, 0.01, 1), steady(100, 8, 0.01, 2), "within-tolerance", {"margin": "5 %"}),
        (BEFORE, AFTER, "at-least", {"how": "faster", "arm": "candidate"}),
        (BEFORE[:1], AFTER[:1], "one-against-one", {}),
        (steady(100, 8, 0.2, 1), steady(100, 8, 0.2, 2), "wide-interval", {}),
    ],
)
def test_what_would_change_the_answer(
    before: list[float], after: list[float], reason: str, facts: dict[str, str]
) -> None:
    change = lab.compare(*both(before, after))
    row, advice = change.find(), change.advice
    assert (row.reason_code, advice.code) == (reason, f"{reason}-advice")
    assert facts.items() <= dict(advice.facts).items()
    # Known and to do are two things: neither text holds the other, and both are shown.
    assert str(advice) not in row.reason and row.reason not in str(advice)
    assert f"what would change the answer: {advice}" in repr(change)
    assert change.details.loc[0, ["reason", "reason_code", "advice"]].to_list() == [row.reason, reason, str(advice)]


@pytest.mark.parametrize("levels", [{"a": BEFORE}, {"a": [0.0] * 8, "b": BEFORE}])
def test_a_problem_is_no_advice(levels: dict[str, list[float]]) -> None:
    """What cannot be helped by anything in sight has no advice, least of all itself."""
    change = lab.compare(*both({"b": BEFORE, "a": BEFORE}, levels), primary="a" if len(levels) > 1 else "b", warmup=0)
    assert change.find().reason_code in ("no-ratio", "no-requests")
    assert change.advice is None and "what would change" not in repr(change)


def test_one_row_beside_the_deciding_one_is_corrected_for_nothing() -> None:
    few = both({"GET /": BEFORE[:3]}, {"GET /": AFTER[:3]})
    assert not lab.compare(*few).family


def test_the_number_of_runs_that_would_decide_is_about_right() -> None:
    # Total sd of a pair's difference 0.14, a difference of 0.1: (2.8 * 0.14 / 0.1)^2 is about 16 pairs.
    before = steady(100, 6, 0.1, 3)
    after = [b * 0.9 * f for b, f in zip(before, steady(1.0, 6, 0.14, 4), strict=True)]
    found = lab.compare(*both(before, after), warmup=0)
    detail = found.details.iloc[0]
    needed = found.advice.facts["count"]
    sd = detail["error"] * 6**0.5
    assert needed == pytest.approx((2.8 * sd / abs(detail["difference"])) ** 2, rel=0.35, abs=3)


def test_explain_walks_through_the_steps_with_the_numbers(change: lab.Change) -> None:
    told = change.explain()
    assert list(told.steps["step"]) == [1, 2, 3, 4, 5, 6, 7]
    assert "8 pairs" in told.steps["numbers"][0]
    assert "paired t-test" in told.steps["numbers"][3] and "degrees of freedom" in told.steps["numbers"][3]
    assert "by relabelling" in told.steps["numbers"][4]
    assert told.sentence in repr(told) and "the verdict" in repr(told)
    assert "GET /x" in change.explain("GET /x").sentence


def test_explain_of_what_was_not_compared_names_what_was(change: lab.Change) -> None:
    with pytest.raises(ValueError, match="'GET /orders'"):
        change.explain("GET /nowhere")
    with pytest.raises(ValueError, match="metric must be one of 'p95'"):
        change.explain(metric="p99")


def test_details_hold_the_numbers_behind_each_row(change: lab.Change) -> None:
    assert list(change.details["endpoint"]) == list(change.table["endpoint"])
    assert change.details["not_worse"].iloc[1]
    assert change.values.columns.to_list() == ["run", "arm", "pair", "start", "endpoint", "metric", "count", "value"]
    assert len(change.values) == 3 * 16


def test_a_report_takes_a_change_and_its_explanation(change: lab.Change) -> None:
    text = lab.Report("Faster", [change, change.explain()]).to_markdown()
    assert "fell by" in text and "leave out the warm-up" in text


def test_registered_looks_hold_afterwards_too() -> None:
    levels = (
        steady(100, 5, 0.05, 1),
        [v * f for v, f in zip(steady(100, 5, 0.05, 1), steady(0.93, 5, 0.03, 2), strict=True)],
    )
    frames = both(*levels)
    plain = lab.compare(*frames)
    assert 0.0032 < plain.row["p_value"] < 0.05 and plain.verdict == "improved"
    looked = lab.compare(*(measured(f, environment={"looks": [5, 10]}, pair=list(range(5))) for f in frames))
    assert looked.level.alpha == pytest.approx(0.0032, abs=0.0004)
    assert looked.verdict == "inconclusive"
    assert {"number": 1, "of": 2}.items() <= dict(looked.level.note.facts).items()
    assert looked.level.note in looked.notes


@pytest.mark.parametrize("metric", ["p95", "throughput_per_s", "error_fraction"])
@pytest.mark.parametrize("paired", [True, False])
def test_the_picture_shows_every_run(metric: str, paired: bool) -> None:
    found = lab.compare(*both(BEFORE, AFTER, paired=paired, errors=0.05), metric=metric)
    ax = lab.plot_comparison(found)
    marks = [line for line in ax.lines if line.get_marker() in ("o", "s") and line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in marks[:2]) == 16
    joined = [line for line in ax.lines if list(line.get_xdata()) == [0, 1]]
    assert len([line for line in joined if line.get_marker() == "None"]) >= (8 if paired else 0)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["baseline", "candidate", "effect"]
    assert found.verdict in ax.get_title(loc="left")


def test_pictures_of_awkward_changes() -> None:
    before, after = both({"a": BEFORE, "gone $x": BEFORE}, {"a": AFTER})
    found = lab.compare(before, after)
    lab.plot_comparison(found, "gone $x").figure.canvas.draw()
    lab.plot_comparison(lab.compare(*both([100.0], [50.0]))).figure.canvas.draw()
    with pytest.raises(ValueError, match="endpoint"):
        lab.plot_comparison(found, "nowhere")


def test_the_picture_of_the_shift() -> None:
    ax = lab.plots.plot_quantile_shift(lab.quantile_shift(*both(BEFORE, AFTER)))
    ax.figure.canvas.draw()
    assert {"p10", "p50", "p95"} <= {t.get_text() for t in ax.get_xticklabels()}
