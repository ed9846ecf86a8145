"""Reports: where things go, what they never show, and files that are whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from test_rendering import HOSTILE, Seen

import perflab as lab
from perflab.reports import placing, sections
from perflab.results import Result, Shown

SECTIONS = [placing.BASELINE, placing.BOTTLENECKS, placing.OPTIMISATIONS, placing.RESULTS, placing.METHOD]


@dataclass(frozen=True, repr=False)
class FakeChange(Result):
    """Only the shape of what `compare` returns; its own tests are elsewhere."""

    def show(self, surface: str = "python") -> Shown:
        table = pd.DataFrame({"endpoint": ["Aggregated", "GET /orders"], "n+1_ms": ["176 ms", "78 ms"]})
        return Shown("p95 improved by 55.7 %.", table, ("the generator was busy; use 2 workers",))


@pytest.fixture
def change():
    return FakeChange()


@pytest.fixture
def findings():
    frame = pd.DataFrame({"child": ["SELECT a FROM t WHERE id = ?"], "time_ms": [1830.0], "evidence": ["confirmed"]})
    frame.attrs = {"sentence": "One N+1.", "warnings": ("few units",)}
    return frame


@pytest.fixture
def full(experiment, change, findings):
    ax = lab.plot_pairs(*experiment)
    return lab.Report(
        "Checkout is faster",
        ["Staging.", *experiment, change, ax, findings, "The page asks for each customer."],
        optimisations=["eager loading"],
        question="Is it faster?",
    )


def headings(markdown: str, level: int = 2) -> list[str]:
    return re.findall(rf"^{'#' * level} (.*)$", markdown, re.MULTILINE)


def part(markdown: str, title: str) -> str:
    return markdown.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_sections_stand_in_their_order_and_hold_their_own(full):
    text = full.to_markdown()
    assert headings(text) == SECTIONS
    assert "| GET /orders | n+1 | 6 |" in part(text, placing.BASELINE)
    assert "| target | eager |" in part(text, placing.BASELINE)
    assert "One N+1." in part(text, placing.BOTTLENECKS) and "few units" in part(text, placing.BOTTLENECKS)
    assert "The page asks" in part(text, placing.BOTTLENECKS)
    assert "- eager loading" in part(text, placing.OPTIMISATIONS)
    assert "![p95 of all requests" in part(text, placing.RESULTS) and "the generator was busy" in part(
        text, placing.RESULTS
    )
    assert "They ran as 6 pairs" in part(text, placing.METHOD) and "locust 2.47.0" in part(text, placing.METHOD)
    top = text.split("\n## ")[0]
    assert "Staging." in top and "Is it faster?" in top and "**p95 improved by 55.7 %.**" in top


def test_results_are_shown_as_they_show_themselves(full):
    results = part(full.to_markdown(), placing.RESULTS)
    assert "| endpoint | n+1\\_ms |" in results and "| GET /orders | 78 ms |" in results


def test_an_empty_report_says_that_nothing_was_given():
    text = lab.Report("Empty", []).to_markdown()
    assert headings(text) == SECTIONS
    assert "there is no verdict" in text and "the method is unknown" in text


def test_a_section_by_hand_comes_before_the_method_and_known_titles_are_met(experiment):
    made = lab.Report(
        "t", [lab.reports.Section("Costs", ["cheap"]), lab.reports.Section(placing.RESULTS, ["by hand"]), *experiment]
    )
    text = made.to_markdown()
    assert headings(text) == [*SECTIONS[:4], "Costs", SECTIONS[4]]
    assert "by hand" in part(text, placing.RESULTS) and "cheap" in part(text, "Costs")


def test_the_order_within_a_section_is_the_order_given():
    text = lab.Report("t", [pd.DataFrame({"a": [1]}), "first", pd.DataFrame({"b": [2]}), "second"]).to_markdown()
    assert [text.index(x) for x in ("| a |", "first", "| b |", "second")] == sorted(
        text.index(x) for x in ("| a |", "first", "| b |", "second")
    )


def test_html_is_self_contained_and_well_formed(full):
    page = full.to_html()
    seen = Seen(page)
    assert [t for t in seen.tags if t in ("script", "link", "iframe", "object", "a")] == []
    sources = [value for name, value in seen.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert sources and all(value.startswith("data:image/png;base64,") for value in sources)
    assert not re.search(r"url\(|@import|https?://(?!127\.0\.0\.1)", page)
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert seen.tags.count("h1") == 1 and seen.tags.count("h2") == 5
    images = dict(name_value for name_value in seen.attributes if name_value[0] == "alt")
    assert images["alt"].startswith("p95 of all requests")
    for sign in ("prefers-color-scheme: dark", "@media print", "Content-Security-Policy"):
        assert sign in page


@pytest.mark.parametrize("show_literals", [False, True])
def test_hostile_text_stays_text_in_both_forms(show_literals, make_requests):
    hostile = lab.Measurements.of(requests=make_requests(endpoints={HOSTILE: 5.0}), warnings=[HOSTILE])
    frame = pd.DataFrame({"suggestion": [HOSTILE], HOSTILE: [HOSTILE]})
    made = lab.Report(
        HOSTILE, [HOSTILE, hostile, frame], optimisations=[HOSTILE], question=HOSTILE, show_literals=show_literals
    )
    for page in (made.to_html(), made._repr_html_()):
        seen = Seen(page)
        assert not {"script", "a", "img", "em", "code"} & set(seen.tags)
        assert "<script>alert(1)</script>" in seen.text
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(made.to_markdown())
    seen = Seen(markdown)
    assert not {"script", "a", "img", "em", "code", "s"} & set(seen.tags)
    assert seen.text.count("[x](javascript:alert(1))") >= 6


def test_literals_passwords_and_url_values_are_shown_only_when_asked():
    frame = pd.DataFrame(
        {
            "sql": ["SELECT 1 FROM users WHERE mail = 'eve@example.test' AND id = 4711"],
            "parameters": [["hunter2"]],
            "endpoint": ["GET /login?token=s3cret&page=2"],
            "error": ["cannot reach http://bob:pa55@db/x"],
        }
    )
    secrets = ("eve@", "4711", "hunter2", "s3cret", "pa55")
    for text in (lab.Report("t", [frame]).to_markdown(), lab.Report("t", [frame]).to_html()):
        assert not [secret for secret in secrets if secret in text]
        assert "token=…" in text
    shown = lab.Report("t", [frame], show_literals=True).to_html()
    assert all(secret in shown for secret in secrets)


def test_markdown_is_saved_with_its_pictures_beside_it(full, tmp_path):
    place = full.save(tmp_path / "my reports" / "report.md")
    links = re.findall(r"\]\(([^)]+)\)", place.read_text())
    assert len(links) == 1 and links[0].startswith("report_files/01-p95-of-all-requests")
    assert (place.parent / links[0]).read_bytes().startswith(b"\x89PNG")
    before = {p.name for p in (place.parent / "report_files").iterdir()}
    lab.Report("t", []).save(place)
    assert place.read_text().startswith("# t") and before
    assert list((place.parent / "report_files").iterdir()) == []
    assert {p.name for p in place.parent.iterdir()} == {"report.md", "report_files"}


def test_the_same_evidence_makes_the_same_files(full, tmp_path):
    one, two = full.save(tmp_path / "a" / "r.html"), full.save(tmp_path / "b" / "r.html")
    assert one.read_bytes() == two.read_bytes()


def test_what_cannot_be_saved_says_so(full, tmp_path):
    with pytest.raises(ValueError, match=r"path must be one of '\*\.md', '\*\.html'; got .*report\.pdf"):
        full.save(tmp_path / "report.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(lab.StoreError, match=r"file/report\.md: the report cannot be written"):
        full.save(tmp_path / "file" / "report.md")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(lab.StoreError, match="cannot be written"):
        full.save(tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_other_evidence_is_refused_by_position():
    with pytest.raises(ValueError, match=r"evidence\[1\] must be Measurements.*got dict"):
        lab.Report("t", ["text", {}]).to_html()
    with pytest.raises(ValueError, match="items of the section 'x'"):
        lab.Report("t", [lab.reports.Section("x", [3])]).to_html()


def test_commit_message_fits_git(full):
    lines = full.commit_message().splitlines()
    assert lines[0] == "perf: checkout is faster" and lines[1] == ""
    assert all(len(line) <= 72 for line in lines)
    assert "- p95 improved by 55.7 %." in lines and "- eager loading" in lines
    assert "Measured: 6 runs of n+1" in full.commit_message()


def test_a_report_shows_itself(full):
    assert repr(full) == "Checkout is faster\np95 improved by 55.7 %."
    assert "<h2>Results</h2>" in full._repr_html_() and "<html" not in full._repr_html_()


def test_invalid_runs_and_warnings_are_told(make_runs, make_requests):
    data = lab.Measurements.of(runs=make_runs(valid=False), requests=make_requests(), warnings=["skipped 3 lines"])
    method = part(lab.Report("t", [data]).to_markdown(), placing.METHOD)
    assert (
        "1 of 1 runs are NOT valid: r1: the generator was the bottleneck." in method and "- skipped 3 lines" in method
    )


def test_arms_run_one_after_the_other_are_told(make_runs, make_requests):
    runs = make_runs(["a", "b", "c", "d"], arms=["x", "x", "y", "y"])
    assert "cannot be separated" in sections.design(lab.Measurements.of(runs=runs))
    runs = make_runs(["a", "b", "c", "d"], arms=["x", "y", "x", "y"])
    assert "alternated" in sections.design(lab.Measurements.of(runs=runs))


def test_several_arms_ran_in_rounds(make_runs):
    runs = make_runs(list("abcdef"), arms=["x", "y", "z", "y", "x", "z"]).assign(pair=[1, 1, 1, 2, 2, 2])
    text = sections.design(lab.Measurements.of(runs=runs))
    assert "2 runs of x, 2 runs of y and 2 runs of z" in text and "They ran as 2 rounds" in text


def test_runs_of_equal_names_from_two_files_are_both_reported(make_requests):
    parts = [lab.Measurements.of(requests=make_requests(run="results").assign(arm=arm)) for arm in ("old", "new")]
    assert sections.together(parts).runs["arm"].tolist() == ["old", "new"]
    assert "| GET /orders | new |" in lab.Report("t", parts).to_markdown()


def test_the_latency_table_does_not_depend_on_the_order_of_rows(experiment):
    before, _ = experiment
    shuffled = lab.Measurements.of(**{**before.tables, "requests": before.requests.sample(frac=1, random_state=2)})
    one, two = (sections.latency(m).sort_values("endpoint", ignore_index=True) for m in (before, shuffled))
    pd.testing.assert_frame_equal(one, two)


def test_percentiles_of_other_tools_are_shown_as_they_are(make_summary):
    text = lab.Report("t", [lab.Measurements.of(summary=make_summary())]).to_markdown()
    assert "as the tool reported it" in text and "| p95 | 182 | ms |" in text


def test_the_opening_and_the_commit_message_claim_what_was_decided(experiment):
    before, after = experiment
    change = lab.compare(before, after, primary="GET /orders")
    made = lab.Report("Checkout is faster", [before, after, change], optimisations=["eager loading"])
    first = made.to_markdown().split("\n## ")[0]
    assert (
        "| p95 of GET /orders |" in first
        and "| Throughput of GET /orders |" in first
        and "| Error rate of GET /orders |" in first
    )
    row = change.find()
    assert row.metric.format(row.typical[0]) in first and row.verdict in first
    lines = made.commit_message(task="SHOP-142").splitlines()
    assert lines[0] == "perf: checkout is faster" and lines[-1] == "Task: SHOP-142" and max(map(len, lines)) <= 72
    text = " ".join(lines)
    assert ("p95 of GET /orders" in text) and (row.verdict == "inconclusive") == ("inconclusive" in text)


def test_several_arms_open_with_a_column_for_each(make_measurements):
    runs = make_measurements(arms={"old": 1.0, "cached": 0.7, "indexed": 0.4}, pairs=6, count=900)
    compared = lab.stats.compare_arms(runs, baseline="old")
    text = lab.Report("Indexes win", [runs, compared]).to_markdown()
    rows = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("| ")]
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == ["Metric", "old", "cached", "indexed"]
    assert rows[2].startswith("| p95 |") and rows[2].count("improved") == 2
    assert {"Throughput", "Error rate", "Memory of the target"} <= {row.split("|")[1].strip() for row in rows[2:]}
    message = lab.Report("Indexes win", [runs, compared]).commit_message()
    assert compared.sentence in " ".join(message.split())


def test_the_calls_behind_the_tables_give_the_numbers_again():
    runs = lab.load("datasets/shop_runs")
    change = lab.compare(runs.where(arm="n+1"), runs.where(arm="eager"), primary="GET /orders", metric=["p95", "mean"])
    checked = lab.check(runs.where(arm="eager"), ["p95 < 2s", "error rate < 1%"])
    text = lab.Report("t", [runs, change, checked]).to_markdown()
    code = text.split("### The calls behind the tables")[1].split("```python\n")[1].split("\n```")[0]
    assert runs.runs["run"].iloc[0].replace("_", r"\_") in text
    setup, again, check = code.rpartition("\nlab.compare")[0], *code.splitlines()[-2:]
    names: dict[str, Any] = {}
    exec(f"{setup}\nagain = {again}", names)
    pd.testing.assert_frame_equal(names["again"].table, change.table)
    names["runs"] = runs.where(arm="eager")
    exec(f"again = {check}", names)
    assert list(names["again"].table["measured"]) == list(checked.table["measured"])
    assert "The calls behind" not in lab.Report("t", ["nothing"]).to_markdown()
