"""RFC 9111 by a table of cases that was written from its text."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from perflab.web.freshness import directives, freshness_of

DATE = datetime(2026, 11, 29, 10, tzinfo=UTC)
CASES = list(csv.DictReader((Path(__file__).parent / "header_cases.csv").read_text().splitlines()))


def headers(text: str, date: datetime | None = None) -> dict[str, str]:
    """Headers from "Name: value // Name: value"; {D+60} is the date of the case and 60 seconds."""
    found = {"date": format_datetime(date, usegmt=True)} if date else {}
    for line in filter(None, text.split(" // ")):
        name, _, value = line.partition(":")
        value = re.sub(
            r"\{D([+-]\d+)\}",
            lambda shift: format_datetime(DATE + timedelta(seconds=int(shift[1])), usegmt=True),
            value.strip(),
        )
        known = found.pop(name.lower(), "") if name.lower() != "date" else ""
        found[name.lower()] = f"{known}, {value}" if known else value
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["section"])
def test_a_case_of_the_table(case):
    found = freshness_of(
        headers(case["response"], DATE),
        status=int(case["status"]),
        request=headers(case["request"]),
        shared=case["cache"] == "shared",
        received=DATE + timedelta(seconds=int(case["received_s"])),
    )
    assert found.after(int(case["resident_s"])) == case["use"]
    if found.stored:
        assert (found.lifetime_s, found.source) == (float(case["lifetime_s"]), case["source"])


def test_the_table_has_sixty_cases_and_names_each_once():
    assert len({case["section"] for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("text", ["=", ",,,", '"', 'a="', "max-age", "max-age=", "\x00", "a" * 10_000, 'a="\\"b", c'])
def test_any_text_has_directives(text):
    assert isinstance(directives(text), dict)


def test_more_permission_never_stores_less():
    """What a browser may not store, a shared cache may not store either."""
    for case in CASES:
        given = headers(case["response"], DATE)
        kept = [freshness_of(given, status=int(case["status"]), shared=shared).stored for shared in (False, True)]
        assert kept[0] >= kept[1] or "s-maxage" in case["response"], case["section"]
