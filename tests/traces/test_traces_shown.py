"""One trace as a figure, the explorer of traces, and what the account says of calls in a row."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from call_situations import traces
from test_calls_in_a_row import offer

import perflab as lab
from perflab.notes import codes
from perflab.traces.one_trace import one_trace


@pytest.fixture(scope="module")
def spans() -> pd.DataFrame:
    return traces(offer)


def test_a_trace_is_drawn_with_what_was_waited_for(spans: pd.DataFrame) -> None:
    ax = lab.plots.plot_trace(spans, "7")
    labels = [text.get_text().strip() for text in ax.get_yticklabels()]
    assert labels[0] == "GET /page" and "GET services/stock/{}" in labels and len(labels) == 5
    assert "of it" in ax.get_title(loc="left")
    plt.close("all")


def test_the_lines_of_a_trace_hold_its_path(spans: pd.DataFrame) -> None:
    found = one_trace(spans, "7")
    waited = [bar for line in found.lines for bar in line.waited]
    assert sum(took for _, took in waited) == pytest.approx(found.duration_ms)
    assert [line.depth for line in found.lines] == [0, 1, 1, 1, 1]


def test_repeated_calls_share_a_line_and_many_lines_are_left_out() -> None:
    rows = [("r", None, "page", 0.0, 500.0), *((f"c{i}", "r", "call", 2.0 * i, 2.0 * i + 1) for i in range(200))]
    frame = pd.DataFrame(rows, columns=["span", "parent", "name", "at", "end"])
    frame["start"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(frame["at"], unit="ms")
    frame = frame.assign(trace="t", duration_ms=frame["end"] - frame["at"])
    assert [len(line.bars) for line in one_trace(frame).lines] == [1, 200]
    named = frame.assign(name=[f"n{i}" for i in range(len(frame))])
    assert len(one_trace(named).lines) == 40 and one_trace(named).left_out == 161


def test_an_unknown_trace_is_refused(spans: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="trace must be one of"):
        lab.plots.plot_trace(spans, "nothing")


def test_the_explorer_shows_each_view_with_its_code(spans: pd.DataFrame) -> None:
    explorer = lab.explore(spans)
    for view, code in {
        "Waterfall": "lab.plots.plot_trace(", "Critical path": "lab.critical_path(", "Calls in a row": "lab.find_sequential(",
        "What if": "lab.what_if(",
    }.items():  # fmt: skip
        explorer.state.view = view
        assert code in explorer.code and "must be" not in explorer.static
        exec(explorer.code, {"lab": lab, "measurements": spans})
    assert explorer.figures == []
    plt.close("all")


def test_the_account_names_calls_in_a_row(spans: pd.DataFrame) -> None:
    roots = spans[spans["parent"].isna()]
    requests = pd.DataFrame(
        {"run": "r", "endpoint": "GET /page", "start": roots["start"], "latency_ms": roots["duration_ms"], "ok": True,
         "request": roots["trace"]}
    )  # fmt: skip
    components = pd.DataFrame({"run": "r", "request": roots["trace"], "component": "downstream", "duration_ms": 60.0})
    named = spans.assign(request=spans["trace"], route="GET /page")
    one = lab.account(
        lab.Measurements.of(requests=requests, components=components, spans=named), metric="mean", warmup=0
    )
    (note,) = [note for note in one.warnings if note.code == "calls-in-a-row"]
    assert (
        note.about == "target"
        and note.facts["at_once"] == 3
        and note.facts["saved_mean_ms"] == pytest.approx(30, abs=0.5)
    )
    assert "calls-in-a-row" in codes(one.warnings)


def test_a_report_holds_groups_and_a_trace(spans: pd.DataFrame) -> None:
    found = lab.find_sequential(spans)
    ax = lab.plots.plot_trace(spans)
    report = lab.Report("Offers wait", [found, ax])
    text = report.to_html()
    assert "TaskGroup" in text or "ThreadPoolExecutor" in text
    plt.close("all")
