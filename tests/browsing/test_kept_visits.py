"""Visits of a run that did not end: what stays, what `recover` makes of it, and that nothing of it is a secret."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab.browsing import kept_visits, page_reasons
from perflab.browsing.kept_visits import LINES
from perflab.browsing.page_runs import PagePlan
from perflab.browsing.visiting import Visit, _seen, metrics_of
from perflab.data.store import Draft
from perflab.loadtest import reasons, recovery

SECRET = "hunter2-93fa71"
START = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)


def visited(number: int = 1, page: str = "/", **other: object) -> Visit:
    asked = {
        "start": pd.Timestamp(START), "method": "GET", "url": "http://h/", "status": 200, "mime": "text/html",
        "request_bytes": 300, "transfer_bytes": 900, "body_bytes": 700,
        "headers": {"vary": "Cookie"}, "timings_ms": {"wait": 40.0}, "initiator": None,
        "cached": False, "kind": "document", "render_blocking": False, "width": None,
    }  # fmt: skip
    problems = [(page_reasons.CONSOLE, {"problem": "not good"})]
    made = {"metrics": [("lcp", 300.0 + number, "img"), ("cls", 0.0, "")], "exchanges": [asked], "problems": problems}
    return Visit(page, number, START, **made | other)


def left(place: Path, visits: int = 3, planned: int = 3, ended: list[object] | None = None) -> Path:
    """The hidden folder of a run that ended after some visits."""
    draft = Draft(place / "runs", "now")
    record = {"arm": "now", "pair": 2, "plan": PagePlan("/").record(), "environment": {}, "start": START.isoformat()}
    recovery.prepare(draft, record, {"visits": planned, "throttling": "unthrottled/cpu-1"})
    for number in range(1, visits + 1):
        kept_visits.add(draft.folder / LINES, kept_visits.line_of(visited(number)) | {"browser": "156.0"})
    if ended is not None:
        recovery.note_end(draft, ended=ended, restarted=None)
    draft.release()
    return draft.folder


def test_a_run_whose_last_step_failed_is_recovered_whole(tmp_path: Path) -> None:
    back = lab.recover(left(tmp_path, ended=[]))
    run = back.runs.iloc[0]
    assert run["valid"] and (run["arm"], run["pair"], run["duration_ms"]) == ("now", 2, 40.0)
    assert run["environment"]["generator"].startswith("chromium/156.0/unthrottled/cpu-1 ")
    assert [note.code for note in back.warnings] == ["recovered", "page-console-errors"]
    assert back.vitals[back.vitals["metric"] == "lcp"]["value"].tolist() == [301.0, 302.0, 303.0]
    assert len(back.exchanges) == 3 and back.exchanges["headers"].iloc[0] == {"vary": "Cookie"}
    assert not [
        f.name for f in (tmp_path / "runs").rglob("*") if f.suffix in (".json", ".jsonl") and f.name != "run.json"
    ]


BROKEN: dict[str, tuple[Callable[[Path], object], int]] = {
    "killed": (lambda folder: None, 3),
    "a torn line": (lambda folder: (folder / LINES).write_bytes((folder / LINES).read_bytes()[:-40]), 2),
    "half a table": (lambda folder: (folder / "vitals.parquet").write_bytes(b"PAR1half"), 3),
    "no facts": (lambda folder: (folder / "draft.json").write_bytes(b"{"), 3),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_killed_run_keeps_its_visits_and_is_not_valid(broken: str, tmp_path: Path) -> None:
    folder, (breaks, count) = left(tmp_path, planned=5), BROKEN[broken]
    breaks(folder)
    back = lab.recover(tmp_path / "runs")
    assert back.runs["reason_codes"].tolist() == [["end-unknown"]]
    assert back.vitals["visit"].nunique() == count


def test_an_interrupted_run_stays_interrupted(tmp_path: Path) -> None:
    back = lab.recover(left(tmp_path, ended=[reasons.INTERRUPTED(after_ms=900.0)]))
    assert back.runs["reason_codes"].tolist() == [["interrupted"]]


def test_what_holds_no_visit_says_so(tmp_path: Path) -> None:
    folder = left(tmp_path, visits=0)
    (folder / LINES).touch()
    with pytest.raises(lab.StoreError, match="no page visit"):
        lab.recover(folder)


def test_a_full_disk_is_named_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(lab.StoreError, match=r"visits\.jsonl: .*No space left"):
        kept_visits.add(tmp_path / LINES, {})


PLACES = {
    "element": {"metrics": [("lcp", 1.0, f"img /u/{SECRET}.png")]},
    "url": {"url": f"http://h/u/{SECRET}/a"},
    "initiator": {"initiator": f"script http://h/u/{SECRET}.js:3"},
    "header": {"headers": {"location": f"/u/{SECRET}", "vary": SECRET}},
    "problem": {"problems": [(page_reasons.CONSOLE, {"problem": f"no user {SECRET}"})]},
    "several": {"problems": [(page_reasons.FOREIGN_FRAMES, {"sites": [f"{SECRET}.test"]})]},
}


@pytest.mark.parametrize("place", PLACES)
def test_what_was_typed_or_sent_is_hidden_wherever_the_page_repeats_it(place: str) -> None:
    given = PLACES[place]
    visit = visited(**given) if {"metrics", "problems"} & given.keys() else visited()
    visit.exchanges[0] |= {name: value for name, value in given.items() if name in visit.exchanges[0]}
    shown = kept_visits.without_secrets(visit, "/", [SECRET])
    assert SECRET in str(kept_visits.line_of(visit)) and SECRET not in str(kept_visits.line_of(shown))


def test_headers_stay_as_they_are() -> None:
    visit = visited()
    visit.exchanges[0]["headers"] = headers = {"cache-control": 'private="Set-Cookie", max-age=5', "vary": "Cookie"}
    assert kept_visits.without_secrets(visit, "/", [SECRET]).exchanges[0]["headers"] == headers


def test_a_number_that_is_none_does_not_lose_the_run() -> None:
    parts = {"input_delay": float("inf"), "processing": float("nan"), "presentation": 3.0}
    inp = {"value": 8.0, "element": "button", "type": "pointerup", "script": None, "parts": parts}
    rows = metrics_of({"cls": {"value": 0.0, "element": ""}, "inp": inp}, visited())
    assert [name for name, _, _ in rows] == ["cls", "inp", "inp_presentation"]


IMAGES = [
    {"url": "http://h/a.png#x", "width": 60, "height": 40, "lazy": True, "visible": True},
    {"url": "http://h/a.png", "width": 600, "height": 400, "lazy": False, "visible": False},
]


def test_an_image_that_is_shown_twice_counts_by_its_largest_size() -> None:
    seen = _seen("http://h/a.png", {"images": IMAGES, "blocking": []})
    assert (seen["width"], seen["lazy"], seen["visible"], seen["render_blocking"]) == (600, False, True, False)
    assert _seen("http://h/b.png", {"images": IMAGES, "blocking": ["http://h/b.png"]})["width"] is None
    assert set(_seen("http://h/a.png", {}).values()) == {None}


LABELS = {
    "/": "/",
    "/offers?page=2": "/offers?page=2",
    "/offers?token=x7": "/offers?token=…",
    "/offers?token=x8": "/offers?token=… (2)",
    "/reset/a8Xk2mP0qLz3Vb7c": "/reset/…",
    "/#/reset/a8Xk2mP0qLz3Vb7c": "/#/reset/…",
    "/a/a8Xk2mP0qLz3Vb7c?q=boots": "/a/…?q=boots",
}


def test_pages_are_named_without_keys_and_stay_apart() -> None:
    plan = PagePlan(list(LABELS))
    assert plan.labels == LABELS
    assert list(plan.record()["pages"]) == list(LABELS.values())
