"""Precision and recall by unit of work on labelled traffic of real ORMs."""

from __future__ import annotations

import pytest
from judging import judged, recorded, recorded_queries, requests_of

import perflab as lab
from perflab.notes import codes

CORPORA = {
    "music": "request",
    "forum": "transaction",
    "parts": "session reset",
    "zoo": "transaction",
    "zoo_general": "transaction",
    "clinic": "transaction",
    "rental": "transaction",
    "observatory": "transaction",
    "courts": "transaction",
    "brewery": "transaction",
    "museum": "transaction",
}
APPLICATIONS = (
    "freight", "orchestra", "campus", "helpdesk", "festival", "newsroom", "stays", "league", "transit", "repaircafe",
)  # fmt: skip
COMMITS_INSIDE = ("league", "transit", "choirs")
"""A page commits between its list and the loop: without comments the list is in another transaction, and nobody's parent."""
LABELLED = [
    *(f"{name}{mode}" for name in APPLICATIONS for mode in ("", "_autocommit")),
    "resort",
    "marina",
    "choirs",
    "seedbank",
]
RECALL = {"choirs": 0.93}
"""Lists of one length only, and calls for some of their rows (a cache answers the others)."""


@pytest.mark.parametrize("name", CORPORA)
def test_units_with_an_n_plus_one_are_found_and_no_others(name: str) -> None:
    score = judged(name)
    assert score.right > 100
    assert score.precision >= 0.95, score.errors
    assert score.recall >= 0.95, score.errors


@pytest.mark.parametrize("name", CORPORA)
def test_units_are_found_by_what_the_log_has(name: str) -> None:
    _, truth = recorded(name)
    queries = recorded_queries(name)
    units = lab.queries.summarize_units(queries)
    requests = units[(units["unit_by"] == CORPORA[name]) & (units["statements"] > 1)]
    if name == "observatory":  # its worker commits after each job
        requests = requests["unit"].astype("str").map(requests_of(queries, truth)).unique()
    assert len(requests) == pytest.approx(len(truth), rel=0.05)
    assert (units["confidence"] == "high").mean() > 0.95


def test_the_slope_is_the_truth() -> None:
    """One call for each row of the list; where an album's artist was loaded already, fewer."""
    found = lab.find_n_plus_one(recorded_queries("music"))
    for route, table, truth in (
        ("GET /chart", "plays", 1),
        ("GET /artists", "albums", 1),
        ("GET /albums", "artists", 1),
        ("GET /label", "tracks", 1),  # some labels have fewer albums than the LIMIT
    ):
        row = found[(found["route"] == route) & found["child"].str.contains(f"from {table}")].iloc[0]
        assert row["evidence"] == "confirmed"
        assert row["slope"] == pytest.approx(truth, rel=0.1)
        assert row["slope_low"] - 1e-9 <= truth <= row["slope_high"] + 1e-9
        assert row["p_value"] <= 0.01


@pytest.mark.parametrize("name", ["music", "parts"])
def test_less_in_the_log_finds_the_same(name: str) -> None:
    """Without parameters, routes and rows."""
    queries = recorded_queries(name).drop(columns=["rows", "route"], errors="ignore")
    score = judged(name, queries.assign(parameters=None))
    assert score.precision >= 0.95, score.errors
    assert score.recall >= 0.9, score.errors


@pytest.mark.parametrize(
    ("name", "comments"),
    [(name, name.endswith("autocommit") or name in COMMITS_INSIDE) for name in LABELLED],
    ids=[
        f"{name}, comments" if name.endswith("autocommit") or name in COMMITS_INSIDE else f"{name}, transactions"
        for name in LABELLED
    ],
)
def test_applications_labelled_before_they_were_scored(name: str, comments: bool) -> None:
    score = judged(name, comments=comments)
    assert score.right > 100
    assert score.precision >= 0.95, score.errors
    assert score.recall >= RECALL.get(name, 0.95), score.errors


def test_few_requests_of_few_sizes_prove_less() -> None:
    """Row counts are missing, and most lists have two lengths in a handful of requests."""
    score = judged("resort_autocommit")
    assert score.precision >= 0.95 and score.recall >= 0.92, score.errors


@pytest.mark.parametrize(
    "name",
    [
        "freight_autocommit", "orchestra_autocommit", "helpdesk_autocommit", "festival_autocommit", "stays_autocommit",
        "league_autocommit", "repaircafe_autocommit", "choirs_autocommit",
        "seedbank_autocommit",
    ],
)  # fmt: skip
def test_in_autocommit_nothing_false_is_claimed_and_what_is_not_known_is_said(name: str) -> None:
    """Without comments, nor the ping of a pool that hands a connection on."""
    queries = recorded_queries(name)
    queries = queries[~queries["sql"].str.match("(?i)select 1")].reset_index(drop=True)
    score = judged(name, queries, comments=False)
    assert score.wrong <= 0.05 * (score.right + score.wrong), score.errors
    assert "units-by-pauses" in codes(score.found.attrs["warnings"])
    assert "possible" in score.found.attrs["sentence"]
