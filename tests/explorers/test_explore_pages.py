"""The explorer of pages: vitals, requests, causes and the comparison of two arms."""

from __future__ import annotations

import pandas as pd
import pytest
from made_pages import pages_of

import perflab as lab
from perflab.explorers.explore_pages import VIEWS, explore_pages


@pytest.fixture(scope="module")
def sides():
    old, new = pages_of("old", 3100, cls=0.15, inp=96), pages_of("new", 900, cls=0.0, inp=24, seed=2)
    exchanges = pd.DataFrame(
        {
            "run": "old-1", "start": pd.to_datetime(["2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00.1Z"]), "method": "GET",
            "url": ["http://h/", "http://h/a.png?w=3"], "status": [200, None], "mime": ["text/html", None],
            "request_bytes": 300, "transfer_bytes": [900, None], "body_bytes": [2000, None], "headers": [{}, {}],
            "timings_ms": [{"wait": 50.0, "receive": 3.0}, {"blocked": 2.0}], "page": "/", "visit": 1,
        }
    )  # fmt: skip
    return lab.Measurements.of(runs=old.runs, vitals=old.vitals.assign(element="img.hero"), exchanges=exchanges), new


def test_every_view_is_shown_with_its_code(sides):
    explorer = lab.explore(*sides)
    assert list(explorer._views) == list(VIEWS)
    assert explorer.code.startswith("lab.plot_vitals(") and len(explorer.figures) == 1
    assert {"lcp_ms", "rating"} <= set(explorer.tables[0].columns)
    explorer.state.view = "Requests"
    assert "lab.plot_waterfall(" in explorer.code and len(explorer.figures) == 1
    explorer.state.view = "Causes"
    assert explorer.tables[0]["element"].tolist() == ["img.hero"]
    explorer.state.view = "Comparison"
    assert explorer.code.startswith("lab.compare(") and "improved" in explorer.static
    explorer.state.metric = "cls"
    assert "metric='cls'" in explorer.code and "CLS of all pages" in explorer.static


def test_a_page_without_the_metric_is_named(sides):
    explorer = explore_pages({"old": (sides[0], "old")})
    explorer.state.metric = "inp"
    assert "/b" in explorer.static and list(explorer._views) == ["Vitals", "Requests", "Causes"]
    explorer.state.page = "/b"
    assert len(explorer.figures) == 1


def test_a_vitals_table_can_be_explored(sides):
    assert "Pages" in repr(lab.explore(sides[1].vitals)) or lab.explore(sides[1].vitals).figures
