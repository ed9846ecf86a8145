"""JUnit XML of what was decided: https://github.com/jenkinsci/xunit-plugin (junit-10.xsd), which most CI systems read.

A case that fails is a ``failure``; one that is inconclusive, or a regression that the result was not declared for, is
``skipped`` with its reason. Counts stand on the suites and on the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from perflab.gates.cases import Case
from perflab.gates.gating import FAILS, PASSES
from perflab.rendering import visible

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, escaped or not."""


def to_junit(cases: Sequence[Case], *, inconclusive: str = "", properties: Mapping[str, object] | None = None) -> bytes:
    """The cases as a JUnit document, a suite for each group.

    Parameters
    ----------
    cases : sequence of Case
        From `cases_of`.
    inconclusive : str
        "pass" or "fail": what inconclusive cases that decide count as; skipped for "".
    properties : mapping, optional
        Facts for the properties of each suite: the commit, the metric, the tolerance.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    whole = ElementTree.Element("testsuites", {"name": "perflab", **_counts(cases, inconclusive)})
    for group, own in groups.items():
        suite = ElementTree.SubElement(whole, "testsuite", {"name": _clean(group), **_counts(own, inconclusive)})
        if properties:
            listed = ElementTree.SubElement(suite, "properties")
            for name, value in properties.items():
                ElementTree.SubElement(listed, "property", name=_clean(name), value=_clean(str(value)))
        for case in own:
            _write(suite, case, inconclusive)
    ElementTree.indent(whole)
    found: bytes = ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True)
    return found


def error_junit(name: str, text: str) -> bytes:
    """A JUnit document of what could not be measured: one case with an ``error``."""
    counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0", "time": "0"}
    whole = ElementTree.Element("testsuites", {"name": "perflab", **counts})
    suite = ElementTree.SubElement(whole, "testsuite", {"name": _clean(name), **counts})
    place = ElementTree.SubElement(suite, "testcase", classname=f"perflab.{_clean(name)}", name=_clean(name), time="0")
    ElementTree.SubElement(place, "error", message=_clean(text), type="error").text = _clean(text)
    ElementTree.indent(whole)
    found: bytes = ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True)
    return found


def _write(suite: ElementTree.Element, case: Case, inconclusive: str) -> None:
    place = ElementTree.SubElement(
        suite, "testcase", classname=f"perflab.{_clean(case.group)}", name=_clean(case.name), time="0"
    )
    outcome, text = case.under(inconclusive), _clean(case.text)
    if outcome == FAILS:
        ElementTree.SubElement(place, "failure", message=text, type=case.outcome).text = text
    elif outcome != PASSES:
        ElementTree.SubElement(place, "skipped", message=f"{outcome}: {text}", type=outcome)
    else:
        ElementTree.SubElement(place, "system-out").text = text


def _counts(cases: Sequence[Case], inconclusive: str) -> dict[str, str]:
    outcomes = [case.under(inconclusive) for case in cases]
    failures = outcomes.count(FAILS)
    skipped = len(cases) - failures - outcomes.count(PASSES)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": str(skipped), "time": "0"}


def _clean(text: str) -> str:
    """One line of what XML may hold."""
    return _FORBIDDEN.sub("�", " ".join(visible(text).split()))
