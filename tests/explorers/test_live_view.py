"""The live view without a browser or load: facts go in, a chart and a picture come out."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import pytest

from perflab import progress
from perflab.explorers import live_view
from perflab.explorers.live_view import INTERRUPT, LiveView
from perflab.loadtest.milestones import fact_text

FACTS = {
    "users": 4, "throughput_per_s": 18.7, "p95_ms": 63.5, "error_fraction": 0.01, "requests": 120, "p50_ms": 20.0,
    "generator_cores": 0.1, "target_cores": 0.8, "machine_cores": 1.2, "recent_p50_ms": 21.0, "recent_p95_ms": 70.0,
    "recent_error_fraction": 0.02,
}  # fmt: skip


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves by a second each time it is read."""
    ticks = itertools.count()

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return float(next(ticks))

        thread_time = staticmethod(lambda: 0.0)

    monkeypatch.setattr(live_view, "time", Clock)


def view(total: float = 60.0, **how: Any) -> LiveView:
    return LiveView(total, "now: 4 users for 60 s", write=fact_text, own=False, **how)


def panes(live: LiveView) -> dict[str, Any]:
    return {pane["label"]: pane["series"] for pane in live._surface.points["panes"]}


@pytest.mark.usefixtures("seconds")
def test_each_quantity_is_drawn_over_time() -> None:
    live = view()
    for done in range(5):
        live.update(done, **FACTS)
    drawn = panes(live)
    assert [s["t"][-1] for s in drawn["Latency, ms"]] == ["21 ms", "70 ms"]
    assert [s["label"] for s in drawn["CPU, cores"]] == ["generator", "machine", "target"]
    assert drawn["Errors, %"][0]["t"][-1] == "2 %" and drawn["Users"][0]["t"][-1] == "4"
    assert len(drawn["Throughput, /s"][0]["x"]) == 5
    assert "about 0:56 left" in live._words.value and "users 4, throughput 18.7/s, p95 63.5 ms" in live._words.value
    assert "recent" not in live._words.value
    assert INTERRUPT in live._words.value  # no Stop: how else it is ended is said beside the picture


@pytest.mark.usefixtures("seconds")
def test_pairs_have_a_mark_for_each_run_and_an_interval_at_a_look() -> None:
    live = view(stop=lambda: None)
    for number, (arm, valid) in enumerate([("old", True), ("new", True), ("new", False)], 1):
        live.update(number, label=f"round {number} of 3, {arm}", **FACTS)
        live.event(
            progress.RUN, f"round {number}: p95", arm=arm, metric="p95", value=30.0 / number, requests=9, valid=valid
        )
    live.event(
        progress.LOOK, "look at 3 pairs", pairs=3, metric="p95", change=-0.2, low=-0.3, high=-0.1, verdict="improved"
    )
    live.notify("runs of this length are short")
    drawn = panes(live)
    assert [s["label"] for s in drawn["p95, ms: each run"]] == ["old", "new", "new, not valid"]
    assert drawn["Change at registered looks, %"][0]["t"] == ["look at 3 pairs"]
    assert INTERRUPT not in live._words.value
    with live:
        live.finish("stopped")
    for text in (live.static, live._surface.value):
        assert "runs of this length are short" in text
    assert "; stopped" in live.static and "data:image/svg+xml;base64," in live.static
    assert "<script" not in live.static and "<svg" not in live.static and "<button" not in live.static
    assert live._button.layout.display == "none"


@pytest.mark.usefixtures("seconds")
def test_a_long_run_keeps_few_points_and_the_gaps_between_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    live = view(total=math.inf)
    with monkeypatch.context() as undrawn:
        undrawn.setattr(live, "_draw", lambda: None)
        for done in range(1500):
            live.update(done, label=f"run {done // 500}", **FACTS)
    live._draw()
    track = live._tracks["users"]
    assert len(track.x) <= live_view._MOST_POINTS + 1
    assert sum(y != y for y in track.y) == 2
    assert track.x == sorted(track.x)
    assert "left" not in live._words.value and "%" not in live._words.value.split("(")[0]


@pytest.mark.usefixtures("seconds")
def test_only_quantities_that_the_work_reports_have_a_pane() -> None:
    live = view()
    assert live._surface.points == {} and "<img" not in live.static  # nothing is known yet
    live.update(1, visits=1)
    assert "<img" not in live.static  # no axes without a value
    live.update(2, visits=3, lcp_ms=156.0)
    assert list(panes(live)) == ["Visits", "LCP, ms (median so far)"]
    live = view()
    live.update(1, **{name: value for name, value in FACTS.items() if name != "users"}, in_progress=3)
    assert "Users" not in panes(live) and panes(live)["Arrivals in progress"][0]["t"] == ["3"]
    assert "in progress 3, " in live._words.value or ", in progress 3" in live._words.value


def test_hostile_names_stay_texts_and_unknown_values_are_gaps() -> None:
    live = LiveView(5, "<img src=x onerror=alert(1)>", write=fact_text, own=False)
    live.update(1, users=1, throughput_per_s=math.nan, error_fraction=None, p95_ms=math.nan)
    live.event(progress.RUN, "<script>", arm="<script>", metric="p95", value=math.nan, requests=0, valid=True)
    live.notify("<b>")
    for text in (live.static, live._surface.value, live._words.value):
        assert "<img src=x" not in text and "<script" not in text and "<b>" not in text


@pytest.mark.parametrize(("raised", "words"), [(RuntimeError, "failed: RuntimeError"), (KeyboardInterrupt, "stopped")])
def test_how_it_ended_is_written_in_the_sentence(raised: type[BaseException], words: str) -> None:
    live = view()
    with pytest.raises(raised), live:
        raise raised
    assert f"; {words}" in live.static


def test_what_is_complete_has_no_share_and_calls_its_values_the_last_ones() -> None:
    live = view()
    with live:
        live.update(52, **FACTS)
        assert ": 87 % after 0:00, about 0:08 left (users 4" in live._words.value
    assert ": took 0:00 (last update: users 4" in live.static and "%" not in live.static.split("(")[0]


def test_a_load_that_ends_at_a_click_on_stop_was_stopped_however_often_it_was_clicked() -> None:
    asked: list[int] = []
    live = view(stop=lambda: asked.append(1))
    with pytest.raises(RuntimeError), live:
        live._button.click()
        live._button.click()
        raise RuntimeError("nothing was kept")
    live._button.click()  # when all is over
    assert asked == [1, 1, 1] and "; stopped" in live.static


def test_what_cannot_be_drawn_does_not_end_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    live = view()

    def broken(*_: object) -> str:
        raise OSError("no <channel>")

    monkeypatch.setattr(live_view, "svg", broken)
    live.update(1, **FACTS)
    live.event(progress.RUN, "run", arm="a", metric="p95", value=1.0, valid=True)
    assert "no &lt;channel&gt;" in live._words.value


def test_a_browser_that_is_gone_does_not_end_the_load() -> None:
    live = view()

    def gone(*_: object, **__: object) -> None:
        raise OSError("Socket operation on non-socket")

    with live:
        live.update(1, **FACTS)
        for each in (live._words, live._surface, live._button, live.box):
            each.observe(gone)
        live._handle = type("Handle", (), {"update": gone})()
        live._drawn = -math.inf
        live.update(2, **FACTS)
        live.notify("a note")
    assert "a note" in live.static


def test_drawing_is_cheap() -> None:
    """Every second a picture: it must take a fraction of it."""
    live = view()
    for track in live._tracks.values():
        for at in range(300):
            track.add(float(at), "p95_ms", 10.0 + at % 7)
    live._facts = FACTS
    took = []
    for _ in range(5):
        began = time.process_time()
        live._draw()
        took.append(time.process_time() - began)
    assert min(took) < 0.03


def test_a_notebook_gets_the_live_view_and_others_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(progress, "notebook_display", lambda *given, **how: made.append((given, how)))
    kind = progress.Progress
    assert isinstance(progress.display(1, "x", shown=True, write=fact_text), kind)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    progress.display(2, "x", shown=True, write=fact_text, stop=None)
    assert made == [((2, "x"), {"write": fact_text, "stop": None})]
    assert isinstance(progress.display(1, "x", shown=False, write=fact_text), kind)


def test_parts_of_longer_work_count_from_the_end_of_those_before() -> None:
    seen: list[Any] = []

    class Whole:
        def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
            seen.append((done, label, facts))

        def event(self, kind: str, text: str, **facts: object) -> None:
            seen.append((kind, text))

        def finish(self, outcome: str) -> None:
            seen.append(outcome)

        def notify(self, text: str) -> None:
            seen.append(text)

    part = progress.Part(Whole(), 10.0, "step 2")
    part.update(1.5, users=3)
    part.event("run", "done")
    part.finish("stopped")
    part.notify("note")
    assert seen == [(11.5, "step 2", {"users": 3}), ("run", "done"), "stopped", "note"]
