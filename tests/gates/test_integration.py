"""What continuous integration reads: JUnit XML, GitHub's annotations and summary, with hostile names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from junitparser import JUnitXml
from markdown_it import MarkdownIt

import perflab as lab
from perflab.gates import Case, cases_of, step_summary, to_junit, workflow_commands
from perflab.gates.cases import FAILS, INCONCLUSIVE, OUTCOMES, PASSES, WARNS, counted
from perflab.gates.gating import decided
from perflab.gates.github import MOST_ANNOTATIONS, without_commands
from perflab.objectives.objective import collected

HOSTILE = (
    "GET /a::error::pwned",
    "GET /b\n::error file=x,line=1::pwned",
    "::warning title=x::pwned",
    "GET /c\r\n::stop-commands::x",
    "GET /d,title=y:z%0A::error::pwned",
    "##[error]pwned",
    "<script>alert(1)</script>",
    "| a | b | ![x](http://h/x.png) [l](http://h)",
    "quote \" and ' and & < > ]]>",
    "nul \x00 bell \x07 escape \x1b[31m \ufffe half \ud800",
    "Ünïcode ✓ 注文 " + "x" * 5000,
)


def of(outcome: str, name: str = "p95 of GET /orders", text: str = "it did", *, decides: bool = True) -> Case:
    return Case("new against old", name, outcome, text, decides)


@pytest.mark.parametrize("policy", ["", "pass", "fail"])
def test_junit_is_read_back_with_equal_counts(policy: str) -> None:
    cases = [of(outcome, f"{name} {outcome}", name) for name in HOSTILE for outcome in OUTCOMES]
    cases += [of(INCONCLUSIVE, "elsewhere", decides=False), Case("objectives", "p95 < 1 s", FAILS, "no")]
    whole = JUnitXml.fromroot(JUnitXml.fromstring(to_junit(cases, inconclusive=policy))._elem)
    expected = counted(cases, policy)
    skipped = expected[INCONCLUSIVE] + expected[WARNS]
    assert (whole.tests, whole.failures, whole.errors, whole.skipped) == (len(cases), expected[FAILS], 0, skipped)
    read = [case for suite in whole for case in suite]
    assert len(read) == len(cases)
    kinds = [type(case.result[0]).__name__ if case.result else "passed" for case in read]
    assert (kinds.count("Failure"), kinds.count("Skipped")) == (expected[FAILS], skipped)
    for suite in whole:
        before = (suite.tests, suite.failures, suite.errors, suite.skipped)
        suite.update_statistics()
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == before


def test_junit_keeps_names_as_far_as_xml_can(tmp_path) -> None:
    place = tmp_path / "gate.xml"
    place.write_bytes(
        to_junit([of(FAILS, name, name) for name in HOSTILE], properties={"commit": "a&b", "tolerance": "5%"})
    )
    (suite,) = JUnitXml.fromfile(str(place))
    names = [case.name for case in suite]
    assert names[0] == HOSTILE[0] and "注文" in names[-1] and "\x00" not in "".join(names)
    assert {p.name: p.value for p in suite.properties()} == {"commit": "a&b", "tolerance": "5%"}


def runner(output: str) -> list[tuple[str, str]]:
    """The commands that a runner takes of an output, as its ActionCommand does: a line that begins with "::" after blanks,
    or holds "##[", unless commands are stopped."""
    found, stopped = [], ""
    for line in re.split(r"\r\n|\r|\n", output):
        line = line.lstrip()
        if stopped:
            stopped = "" if line == f"::{stopped}::" else stopped
        elif command := re.match(r"::([a-z-]+)(?: [^:]*)?::(.*)", line):
            if command[1] == "stop-commands":
                stopped = command[2]
            else:
                found.append((command[1], command[2]))
        elif legacy := re.search(r"##\[([a-z-]+)", line):
            found.append((legacy[1], ""))
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_makes_no_command(name: str) -> None:
    lines = workflow_commands([of(FAILS, name, f"{name}: slower"), of(PASSES, name, name)])
    assert len(lines) == 1
    ((level, message),) = runner(lines[0])
    assert level == "error" and message
    assert lines[0].encode(errors="surrogatepass") and len(lines[0]) < 12_000
    assert runner(without_commands(f"{name}\n  {name}  12 ms")) == []


def test_what_fails_is_an_error_and_what_needs_a_look_a_warning() -> None:
    cases = [of(FAILS), of(WARNS, decides=False), of(INCONCLUSIVE), of(INCONCLUSIVE, decides=False), of(PASSES)]
    assert [line.split()[0] for line in workflow_commands(cases)] == ["::error", "::warning", "::warning"]
    assert [line.split()[0] for line in workflow_commands(cases, inconclusive="fail")] == [
        "::error",
        "::error",
        "::warning",
    ]
    assert [line.split()[0] for line in workflow_commands(cases, inconclusive="pass")] == ["::error", "::warning"]
    many = workflow_commands([of(FAILS, f"p95 of GET /{i}") for i in range(40)])
    assert len(many) == MOST_ANNOTATIONS and "31 more" in many[-1] and "GET /39" in many[-1]


@pytest.fixture(scope="module")
def found(make_measurements: Callable[..., lab.Measurements]) -> lab.gates.Gate:
    endpoints = {name: 20.0 for name in HOSTILE if "\x00" not in name}
    both = make_measurements(
        arms={"old": 1.0, "new": 1.6}, pairs=5, count=3000, endpoints=endpoints, resources=False, load=False
    )
    sides = both.where(arm="old"), both.where(arm="new")
    goals = collected([], [("SLO.md:3", "should be <b>fast</b>\n::error::x", "no limit")])
    checked = lab.check(sides[1], [goals, "p95 < 1h"])
    return decided([lab.compare(*sides, metric=("p95", "error_fraction"))], checked, sides)


def test_cases_agree_with_the_verdict(found: lab.gates.Gate) -> None:
    cases = cases_of(found)
    assert (found.verdict, cases[0].outcome) == (FAILS, FAILS)
    assert any(case.outcome == FAILS for case in cases[1:])
    assert [case.outcome for case in cases if case.group == "objectives"] == [PASSES, INCONCLUSIVE]
    assert JUnitXml.fromstring(to_junit(cases)).tests == len(cases)


def test_the_summary_is_inert_and_fits(found: lab.gates.Gate) -> None:
    text = step_summary(found, cases_of(found))
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    assert "<table>" in html and text.startswith("### ❌")
    for bad in ("<script", "<img", "<a href", "<b>"):
        assert bad not in html.replace("&lt;", "")
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    short = step_summary(found, cases_of(found), most_bytes=900)
    assert len(short.encode()) <= 900 and short.startswith("### ❌")


def test_the_summary_names_each_objective(found: lab.gates.Gate) -> None:
    cases = [Case("objectives", "p99 of GET /orders < 150 ms", INCONCLUSIVE, "p99 needs 1,000 requests")]
    listed = [line for line in step_summary(found, cases).splitlines() if line.startswith("- ")]
    assert "p99 of GET /orders" in listed[0] and "1,000 requests" in listed[0]
