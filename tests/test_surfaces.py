"""One result, one number, one set of words: in a notebook, a report, a shell, an explorer and the titles of plots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.gates.cases import cases_of
from perflab.gates.gating import Gate, judged
from perflab.metrics import Metric
from perflab.notes import SHELL, Kind, Remedy
from perflab.objectives import cautions
from perflab.stats import circumstances, compare_anytime, compare_arms, doubts

ENDPOINT = "GET /orders"
P95 = Metric.of("p95")


@pytest.fixture(scope="module")
def arms() -> tuple[lab.Measurements, lab.Measurements]:
    runs = lab.load("datasets/shop_runs")
    return runs.where(arm="n+1"), runs.where(arm="eager")


@pytest.fixture(scope="module")
def change(arms: tuple[lab.Measurements, lab.Measurements]) -> lab.Change:
    return lab.compare(*arms, primary=ENDPOINT)


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


class Cells(HTMLParser):
    """The rows of the tables in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def test_notebook_report_and_shell_show_the_same_cells(change: lab.Change) -> None:
    grid = change.show().grid()
    assert grid is not None
    expected = [list(grid.headings), *map(list, grid.rows)]
    assert len(expected) == 1 + len(change.table)
    notebook = Cells(change._repr_html_()).rows
    assert notebook == expected
    made = lab.Report("Orders are faster", [change])
    report = Cells(made.to_html()).rows
    assert [row for row in report if row in expected] == expected
    markdown = [
        [unescape(re.sub(r"\\(.)", r"\1", cell.strip())) for cell in line.strip("|").split(" | ")]
        for line in made.to_markdown().split("\n## Results")[1].splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]
    assert markdown == expected
    shell = [" ".join(line.split()) for line in change.show(SHELL).text().splitlines()]
    assert all(" ".join(filter(None, row)) in shell for row in expected)


def test_the_sentence_is_the_same_everywhere(change: lab.Change) -> None:
    made = lab.Report("Orders are faster", [change])
    assert change.sentence in repr(change)
    assert change.sentence in unescape(re.sub(r"\\(.)", r"\1", made.to_markdown()))
    row, message = change.find(), " ".join(made.commit_message().split())
    figures = (
        row.metric.format_change(row.change),
        row.metric.interval(*row.limits),
        *map(row.metric.format, row.typical),
    )
    assert all(figure in message for figure in figures)


def named(title: str, arm: str) -> str:
    """The value that a title gives an arm."""
    found = re.search(rf"(?:{re.escape(arm)} |^p95 of {ENDPOINT}: )([\d.,]+ ms)", title)
    assert found, title
    return found[1]


def test_every_view_has_one_p95(arms: tuple[lab.Measurements, lab.Measurements], change: lab.Change) -> None:
    row = change.row_of(ENDPOINT)
    wanted = {"n+1": P95.format(row["baseline"]), "eager": P95.format(row["candidate"])}
    assert wanted == {"n+1": "26.5 ms", "eager": "7.75 ms"}
    for draw in (lab.plot_ecdf, lab.plots.plot_histogram, lab.plot_timeline, lab.plot_pairs):
        title = draw(*arms, endpoint=ENDPOINT).get_title(loc="left")
        assert {arm: named(title, arm) for arm in wanted} == wanted, draw.__name__
    assert " → ".join(wanted.values()) in lab.plot_comparison(change).get_title(loc="left")
    for measured, (arm, value) in zip(arms, wanted.items(), strict=True):
        assert named(lab.plots.plot_heatmap(measured, endpoint=ENDPOINT).get_title(loc="left"), arm) == value
        checked = lab.check(measured, [f"p95 of {ENDPOINT} < 1h"])
        assert f"measured {value}" in checked.sentence
        limits = lab.objectives.attainable(measured, "p95", ENDPOINT)
        assert P95.format(limits["measured"][0]) == value
    page = lab.Report("t", [*arms]).to_html()
    rows = Cells(page).rows
    place = next(row for row in rows if "p95, ms" in row).index("p95, ms")
    reported = {row[1]: f"{row[place]} ms" for row in rows if row[0] == ENDPOINT and len(row) > place}
    assert {arm: value.lstrip("~") for arm, value in reported.items()} == wanted


def test_explorers_have_that_p95_too(arms: tuple[lab.Measurements, lab.Measurements], change: lab.Change) -> None:
    wanted = [P95.format(change.row_of(ENDPOINT)[side]) for side in ("baseline", "candidate")]
    shown = lab.explore(*arms)
    for name, views in (("Runs", ("Over time", "ECDF", "Histogram")), ("Comparison", ("Effect", "Every run", "ECDF"))):
        explorer = shown.explorers[name]
        explorer.state.endpoint = ENDPOINT
        for view in views:
            explorer.state.view = view
            titles = [ax.get_title(loc="left") for figure in explorer.figures for ax in figure.axes]
            assert all(value in titles[0] for value in wanted), (name, view, titles)


def test_views_that_differ_on_purpose_say_so(arms: tuple[lab.Measurements, lab.Measurements]) -> None:
    """k6 interpolates linearly; its thresholds do so too, and are named so."""
    goals = lab.read_objectives({"http_req_duration": ["p(95)<200", "max<1000"]})
    assert [str(goal) for goal in goals] == [
        "p95 (linear quantile) of all requests < 200 ms", "maximum latency of all requests < 1 s",
    ]  # fmt: skip


ADVISED = doubts.ARMS(Remedy("compare", {"metric": "over_65ms"}), arms=2)
"""A reason with advice, of any kind."""


def test_no_template_of_a_verdict_holds_a_call() -> None:
    """Advice is a remedy, which is written for each surface."""
    kinds = [
        kind for module in (doubts, circumstances, cautions) for kind in vars(module).values() if isinstance(kind, Kind)
    ]
    kinds += doubts._ADVICE.values()
    both_ways = {cautions.PAGE_NOT_ASKED}
    calls = re.compile(r"\w+\(|\w=(?!\w* )|`|--\w")
    assert len(kinds) > 100
    assert [k.template for k in kinds if k not in both_ways and calls.search(re.sub(r"{[^}]*}", "", k.template))] == []


def advised(change: lab.Change) -> lab.Change:
    """The same comparison, inconclusive for a reason with advice."""
    rows = [replace(row, verdict="inconclusive", reasons=(ADVISED,), failing=True) for row in change.rows]
    return replace(change, verdict="inconclusive", rows=tuple(rows))


def results_with_advice(change: lab.Change, arms: tuple[lab.Measurements, lab.Measurements]) -> Iterator[Any]:
    said = advised(change)
    yield said
    yield replace(said, primaries=tuple(row.endpoint for row in said.rows))
    both = compare_arms(arms[0] + arms[1], endpoint=ENDPOINT)
    yield replace(both, changes=(said,), table=both.table.assign(verdict="inconclusive", p_adjusted=1.0))
    yield replace(compare_anytime(*arms, endpoint=ENDPOINT), reason=ADVISED)
    yield replace(lab.quantile_shift(*arms, endpoint=ENDPOINT), capped=ADVISED, table=pd.DataFrame(
        {"quantile": [0.5], "band_low": -1.0, "band_high": 1.0, "baseline_ms": 1.0, "candidate_ms": 1.0, "change": 0.0,
         "low": -1.0, "high": 1.0}))  # fmt: skip
    goal = lab.check(arms[0], f"{ENDPOINT} p95 < 1 s")
    yield replace(goal, reasons=(ADVISED,), table=goal.table.assign(verdict="inconclusive", measured=np.nan))
    verdict, reasons = judged(said, ())
    yield Gate(verdict, tuple(reasons), (said,), None, None)


def test_advice_within_an_answer_is_written_for_its_surface(
    arms: tuple[lab.Measurements, lab.Measurements], change: lab.Change
) -> None:
    python, shell = 'compare(..., metric="over_65ms")', "--metric over_65ms"
    assert ADVISED.remedy and (ADVISED.remedy.python(), ADVISED.remedy.shell()) == (python, shell)
    for result in results_with_advice(change, arms):
        assert python in result.show().sentence == result.sentence, type(result)
        assert shell in result.show(SHELL).sentence, type(result)
        assert python not in result.show(SHELL).text(), type(result)
        assert all(python not in case.text for case in cases_of(result, SHELL)), type(result)
