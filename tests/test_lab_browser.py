"""Explorers, a run in the background and hostile names in a real JupyterLab in a real browser: one notebook for all of them.

Each control of each explorer is a case of its own: what it is to make appear is looked for before (it must not be there) and
after, so a control whose handler is unplugged fails its case. ``PERFLAB_BROWSER_TIMEOUT`` (seconds) shortens the waiting when
that is tried. With ``PERFLAB_SCREENSHOTS=1`` pictures of it all, in both themes and at three widths, are kept in
``build/screenshots``, which takes minutes longer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from browser import CHROMIUM, SHOTS, Seen, jupyterlab, opened
from playwright.sync_api import Locator, Page, expect

import perflab as lab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

TESTS = Path(__file__).parent
from driving import SERVERS, USERS, free_port, mine, wait_for  # noqa: E402

SCRIPT = "<img src=x onerror=window.hacked=1><script>window.hacked=2</script>"
HOSTILE = f"GET /{SCRIPT}"
CELLS = [
    f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
import conftest, perflab as lab
both = conftest._measurements(pairs=4, endpoints={{"GET /orders": 120.0, {HOSTILE!r}: 20.0}})
before, after = both.where(arm="n+1"), both.where(arm="eager")
""",
    "lab.explore(both)",
    "lab.explore(before, after)",
    f"""
log = conftest._queries(units=12)
log["sql"] = log["sql"].str.replace("name", '"{SCRIPT}"')
log.loc[log["unit"] > "u5", "route"] = "GET /{SCRIPT}"
lab.explore(log)
""",
    """
change = lab.compare(before, after, metric=['p95', 'p50'])
lab.explore(change)
""",
    f"""
slow, fast = (conftest._profile(slow=cost).replace("render", "{SCRIPT}") for cost in (60.0, 20.0))
lab.explore(slow, fast)
""",
]
DOLLARS = [
    """
from IPython.display import HTML
priced = conftest._measurements(pairs=3, endpoints={"GET /price?max=$10&min=$5": 20.0})
lab.Report("From $5 to $3 per order", [lab.summarize(priced)])
""",
    "lab.summarize(priced)",
    'HTML("<p>typeset: $x^2$</p>")',
]
STARTED = f"""
target = lab.Target("tiny", host="http://127.0.0.1:{{port}}", ready="/ready",
                    command=[sys.executable, {str(SERVERS / "tiny.py")!r}, "{{port}}"])
plan = lab.LoadPlan({str(USERS)!r}, stages=lab.Stage("90s", users=4), user_classes=["Shopper"])
going = lab.start_run(plan, target, store={{store!r}})
"""
DRIVEN = """
driven = lab.LoadPlan(plan.locustfile, stages=lab.Stage("60s", users=3), user_classes=["Shopper"])
lab.explore(driven, target)
"""
FREE = "print('the kernel is', 'free' if not going.done else 'too late')"

SHOOTING = bool(os.environ.get("PERFLAB_SCREENSHOTS"))
TIMEOUT_MS = 1e3 * float(os.environ.get("PERFLAB_BROWSER_TIMEOUT", "20"))


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def page(folder: Path, seen: Seen) -> Iterator[Page]:
    """The notebook, all of its cells run."""
    cells = [*CELLS, *DOLLARS, STARTED.format(port=free_port(), store=str(folder / "runs")), FREE, DRIVEN]
    with jupyterlab(folder, cells) as address, opened(address, seen) as page:
        page.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        expect(page.locator(".perflab-explorer")).to_have_count(len(CELLS), timeout=60_000)
        yield page


def test_a_click_on_stop_ends_the_run_and_the_notebook_goes_on(page: Page, folder: Path) -> None:
    # The first of all: it ends the load.
    line = page.locator(".perflab-running")
    expect(line).to_contain_text(re.compile(r"users 4, .*requests [1-9]"), timeout=60_000)
    expect(page.get_by_text("the kernel is free")).to_be_visible()
    expect(line).to_contain_text(re.compile(r"throughput .*p95 .*errors .*requests .*generator \d\.\d\d cores"))
    # The charts: a line for p95, and the values where the pointer is.
    chart = line.locator("svg.perflab-chart")
    expect(chart).to_contain_text("Latency, ms")
    until(page, lambda: chart.locator("polyline").count() >= 6, "no lines are drawn")
    chart.scroll_into_view_if_needed()
    point_at(page, chart, 0.95, 0.3)
    tip = line.locator(".perflab-tip")
    expect(tip).to_contain_text(
        re.compile(r"Time, s: .*Latency, ms \(p95\): [\d.,]+ m?s.*Users: 4.*\(target\): [\d.]+ core")
    )
    shoot(page, "run-running")
    line.get_by_role("button", name="Stop").click()
    # What stays in the notebook is plain HTML.
    expect(page.locator(".perflab-running")).to_have_count(0)
    expect(page.locator(".perflab-progress")).to_contain_text(re.compile("users 4.*; stopped"))
    picture = page.locator('.perflab-progress img[src^="data:image/svg+xml;base64,"]')
    assert picture.evaluate("image => image.naturalWidth") > 300
    shoot(page, "run-stopped")
    kept = lab.load(folder / "runs")
    assert kept.runs.reason_codes.to_list() == [["interrupted"]]
    assert len(kept.requests) > 20
    wait_for(lambda: not _serving(), 10)


def point_at(page: Page, chart: Locator, across: float, down: float) -> None:
    """Move the pointer to a place in a chart."""
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])


def test_load_is_driven_by_hand(page: Page, folder: Path) -> None:
    box = explorer(page, "Load: tiny")
    box.scroll_into_view_if_needed()
    expect(panel(box)).to_contain_text("3 users for 1 min")
    box.get_by_label("Stages", exact=True).fill("30s 2")
    page.keyboard.press("Enter")
    call = r"lab\.start_run\(replace\(driven, stages=\[lab\.Stage\('30s', users=2\)\]\), target\)"
    expect(code(box)).to_have_value(re.compile(call))
    box.get_by_role("button", name="Start").click()
    line = box.locator(".perflab-running")
    expect(line).to_contain_text(re.compile(r"users 2, .*requests [1-9]"), timeout=60_000)
    until(page, lambda: line.locator("polyline").count() >= 5, "no lines are drawn")
    shoot(page, "driving")
    line.get_by_role("button", name="Stop").click()
    expect(box).to_contain_text("1 run kept, in the variable measured", timeout=30_000)
    expect(panel(box).locator("table")).to_contain_text("Enough for p95")
    expect(panel(box, 1)).to_contain_text("known after 3 valid runs of an arm")
    # The picture stays below, without widget.
    expect(page.locator('.jp-RenderedHTML .perflab-progress img[src^="data:image/svg+xml"]')).to_have_count(2)
    wait_for(lambda: not _serving(), 10)


def _serving() -> list[str]:
    """The server, Locust and their guards, while they are up."""
    lines = []
    for pid in mine():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(psutil.Process(pid).cmdline()))
    return [line for line in lines if "tiny.py" in line or "loadtest.launcher" in line]


def test_dollars_are_shown_as_written(page: Page) -> None:
    # One formula proves that mathematics is typeset here, and it is the last: by then the others would have been.
    expect(page.locator("mjx-container")).to_have_count(1, timeout=60_000)
    expect(page.locator(".perflab", has_text="From $5 to $3 per order")).to_have_count(1)
    expect(page.locator(".perflab", has_text="GET /price?max=$10&min=$5")).to_have_count(1)
    assert page.locator(".perflab mjx-container").count() == 0


def explorer(page: Page, title: str) -> Locator:
    return page.locator(".perflab-explorer", has=page.locator('div[role="heading"]', has_text=title)).first


def panel(box: Locator, position: int = 0) -> Locator:
    return box.locator(".perflab-panel").nth(position)


def image(box: Locator, position: int = 0) -> Locator:
    return panel(box, position).locator("img")


def shown(box: Locator) -> str:
    """The pictures' words and the panels' texts: what a reader sees. Read at once: panels come and go meanwhile."""
    return str(
        box.evaluate(
            """box => [...[...box.querySelectorAll(".perflab-panel img, .perflab-panel svg.perflab-chart")].map(
                         image => image.alt || image.getAttribute("aria-label")),
                       ...[...box.querySelectorAll(".perflab-panel")].map(panel => panel.innerText)].join(" ")"""
        )
    )


def pictures(box: Locator) -> list[str]:
    script = "box => [...box.querySelectorAll('.perflab-panel img, .perflab-panel svg')].map(i => i.src || i.outerHTML)"
    return list(box.evaluate(script))


def code(box: Locator) -> Locator:
    return box.locator(".perflab-code textarea")


def slider(box: Locator, label: str, end: str = "") -> Locator:
    return box.locator(".widget-slider", has_text=label).locator(f".noUi-handle{end}")


def shoot(what: Page | Locator, name: str) -> None:
    """Keep a picture to look at, if asked for."""
    if SHOOTING:
        what.screenshot(path=SHOTS / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.png")


def until(page: Page, what: Any, why: str) -> None:
    """Wait for a condition on the page."""
    for _ in range(max(1, int(TIMEOUT_MS / 50))):
        if what():
            return
        page.wait_for_timeout(50)
    raise AssertionError(why)


def idle(page: Page) -> None:
    """Wait until the kernel has done what the last click asked for; looked for more often than `expect` does."""
    page.wait_for_timeout(60)
    page.wait_for_function(
        """() => [...document.querySelectorAll("#jp-main-statusbar *")].some(
                   item => item.children.length === 0 && item.textContent.includes("| Idle"))""",
        polling=20,
    )


@dataclass(frozen=True)
class Case:
    """A control of an explorer, what is done to it in which view, and a pattern that only then is to be seen.

    ``value`` is an option to choose, a text to enter, or for a slider a key to press. The pattern is looked for in what the
    panels show; with ``in_code`` in the code, and then pictures or texts must change too.
    """

    explorer: str
    view: str
    label: str
    value: Any
    wanted: str
    kind: str = "choice"
    in_code: bool = False

    def __str__(self) -> str:
        return f"{self.explorer.split()[0].strip(':')}-{self.view}-{self.label}-{self.value}".replace(" ", "_")


RUNS, COMPARISON, OBJECTIVES = "Runs: 8 runs", "Comparison of n+1 and eager", "Objectives: n+1, eager"
QUERIES, PROFILES, CHANGE = "Queries: ", "Profiles: ", "Change: n+1 against eager"
KEY, TEXT = "key", "text"
CASES = [
    Case(RUNS, "Over time", "Endpoint", "GET /orders", r"p95 of GET /orders: n\+1"),
    Case(RUNS, "Over time", "Percentile", "ArrowRight", r"p99 of GET /orders: n\+1", KEY),
    Case(RUNS, "Over time", "Metric", "throughput", "throughput of GET /orders"),
    Case(RUNS, "Over time", "Time, s", "ArrowLeft", r"lab\.data\.time_window\(both, 0, 29\.", "upper", in_code=True),
    Case(RUNS, "Summary", "Runs", "n+1-1", r"^(?!.*eager).*n\+1-1"),
    Case(COMPARISON, "Effect", "Endpoint", "GET /orders", "p95 of GET /orders fell by"),
    Case(COMPARISON, "Effect", "Metric", "p50", "p50 of GET /orders fell by"),
    Case(COMPARISON, "Effect", "Baseline", "eager", "Choose two different arms"),
    Case(COMPARISON, "Effect", "Candidate", "n+1", "p50 of GET /orders rose by"),
    Case(COMPARISON, "Effect", "Tolerance", "ArrowRight", r"tolerance 5\.5 %", KEY),
    Case(COMPARISON, "Effect", "Warm-up", "ArrowRight", "after the first 15 %", KEY),
    Case(COMPARISON, "What if", "Pairs", "ArrowRight", "11 new pairs detect a change", KEY),
    Case(COMPARISON, "What if", "Effect size", "ArrowRight", "new pairs detect a change of 11 %", KEY),
    Case(COMPARISON, "What if", "Power", "ArrowRight", "the smallest change they detect with power 85 %", KEY),
    Case(OBJECTIVES, "One limit", "Metric", "p90", "p90 of all requests < .*p90 of all requests < "),
    Case(OBJECTIVES, "One limit", "Endpoint", "GET /orders", "p90 of GET /orders < "),
    Case(OBJECTIVES, "One limit", "Arm", "eager", "p90 of GET /orders < [0-9]+ ms: holds"),
    Case(OBJECTIVES, "One limit", "Limit, ms", "PageDown", r"p90 of GET /orders < 21[0-8](\.\d)? ms: ", KEY),
    Case(OBJECTIVES, "One limit", "Confidence", "ArrowRight", r"With 97\.5 % confidence", KEY),
    Case(OBJECTIVES, "One limit", "Warm-up", "ArrowRight", "after the first 15 %", KEY),
    Case(CHANGE, "Effect", "Endpoint", "GET /orders", "p95 of GET /orders fell by"),
    Case(CHANGE, "Effect", "Metric", "p50", "p50 of GET /orders fell by"),
    Case(QUERIES, "Unit of work", "Unit", "u11", r"lab\.plot_waterfall\(log, 'u11'\)", in_code=True),
    Case(QUERIES, "Fix", "Pattern", 1, "evidence\\s+likely"),
    Case(QUERIES, "Statements", "Route", "GET /orders", "65 statements of 2 kinds"),
    Case(QUERIES, "Patterns", "Evidence", "likely", "0 of 2 patterns"),
    Case(PROFILES, "Flame graph", "Search", "onerror", "“onerror” is in 35 % of it", TEXT),
    Case(PROFILES, "Flame graph", "Profile", "fast", r"“onerror” is in 58\.3 % of it"),
    Case(PROFILES, "Flame graph", "Focus", "handle", r"“onerror” is in 59\.3 % of it"),
    Case(PROFILES, "Hot paths", "At least", "End", "The 2 heaviest paths", KEY),
    Case(PROFILES, "Difference", "Against", "slow", "59 ms before, 99 ms after"),
]


def operate(page: Page, box: Locator, case: Case) -> None:
    """Use the control as a person does."""
    if case.kind in (KEY, "upper"):
        handle = slider(box, case.label, "-upper" if case.kind == "upper" else "")
        expect(handle).to_be_visible()  # a key for a slider that is not there yet goes to the button of the view
        handle.press(case.value)
    elif case.kind == TEXT:
        box.get_by_label(case.label, exact=True).fill(case.value)
        page.keyboard.press("Enter")
    else:
        place = {"index": case.value} if isinstance(case.value, int) else {"label": case.value}
        control = box.get_by_label(case.label, exact=True)
        expect(control).to_be_visible()
        control.select_option(**place)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_control_changes_what_is_shown(page: Page, case: Case) -> None:
    box = explorer(page, case.explorer)
    if case.explorer == OBJECTIVES:
        look_at(page, "Objectives")
    elif case.explorer == COMPARISON:
        look_at(page, "Comparison")
    button = box.get_by_role("button", name=case.view, exact=True)
    if "mod-active" not in (button.get_attribute("class") or ""):
        button.click()
        expect(button).to_have_class(re.compile("mod-active"))
    wanted = re.compile(case.wanted, re.DOTALL)

    def seen_now() -> str:
        return code(box).input_value() if case.in_code else shown(box)

    idle(page)
    assert not wanted.search(seen_now()), "it is there before the control was used, so the control proves nothing"
    before = shown(box), pictures(box)
    operate(page, box, case)
    until(page, lambda: wanted.search(seen_now()), f"{case.label}: no {case.wanted!r} in {seen_now()[-900:]!r}")
    until(page, lambda: (shown(box), pictures(box)) != before, f"{case.label}: the code changed, what is shown did not")


def look_at(page: Page, name: str) -> None:
    """Choose one of the explorers of the two arms."""
    button = page.locator(".perflab-choice", has_text="Comparison").get_by_role("button", name=name, exact=True).last
    if "mod-active" not in (button.get_attribute("class") or ""):
        button.click()


VIEWS = [
    (RUNS, "Over time", "lab.plot_timeline(", ""),
    (RUNS, "ECDF", "lab.plot_ecdf(", ""),
    (RUNS, "Histogram", "lab.plots.plot_histogram(", ""),
    (RUNS, "Heatmap", "lab.plots.plot_heatmap(", ""),
    (RUNS, "Resources", "lab.plots.plot_resources(", "Busiest process"),
    (RUNS, "Errors", "lab.data.summarize_errors(", "Failed requests|None in this part"),
    (RUNS, "Slowest requests", "lab.data.slowest_requests(", "slowest requests"),
    (RUNS, "Summary", "lab.summarize(", "Each run: "),
    (COMPARISON, "Shift function", "lab.plots.plot_quantile_shift(", "quantile by quantile"),
    (COMPARISON, "Every run", "lab.plot_pairs(", ""),
    (COMPARISON, "ECDF", "lab.plot_ecdf(", ""),
    (COMPARISON, "What if", "lab.plots.plot_power(", "new pairs"),
    (COMPARISON, "Effect", "lab.plot_comparison(", ""),
    (OBJECTIVES, "Every endpoint", "lab.objectives.attainable(after, 'p90', None", "limits that would hold"),
    (OBJECTIVES, "One limit", "lab.plots.plot_attainable(", "would hold"),
    (CHANGE, "How it was decided", "change.explain(", "count the runs"),
    (CHANGE, "Every run", "change.values.loc", "of each run"),
    (CHANGE, "Effect", "lab.plot_comparison(", ""),
    (QUERIES, "Unit of work", "lab.plot_waterfall(", ""),
    (QUERIES, "Calls against rows", "lab.plots.plot_scaling(", ""),
    (QUERIES, "Fix", ".iloc[", "-- child|No pattern"),
    (QUERIES, "Statements", "lab.summarize_queries(", "kinds"),
    (QUERIES, "Patterns", "lab.find_n_plus_one(", "patterns"),
    (PROFILES, "Icicle", "invert=True, ", ""),
    (PROFILES, "Flat table", "lab.flat_profile(", "functions"),
    (PROFILES, "Hot paths", "lab.hot_paths(", "heaviest paths"),
    (PROFILES, "Difference", "lab.diff_profiles(", "before, .* after"),
    (PROFILES, "Flame graph", "narrowest=", ""),
]


@pytest.mark.parametrize(("title", "view", "call", "words"), VIEWS)
def test_each_view_shows_its_own(page: Page, title: str, view: str, call: str, words: str) -> None:
    box = explorer(page, title)
    if title in (OBJECTIVES, COMPARISON):
        look_at(page, title.split(":")[0].split()[0])
    if view == "Unit of work":  # the filter of the cases above left no pattern
        box.get_by_label("Evidence", exact=True).select_option(["confirmed", "likely"])
        box.get_by_label("Route", exact=True).select_option("(all routes)")
        expect(panel(box)).to_contain_text("2 of 2 patterns")
    was, pictured = code(box).input_value(), pictures(box)
    assert call not in was, "the view is there already"
    box.get_by_role("button", name=view, exact=True).click()
    until(page, lambda: call in code(box).input_value(), f"{view}: {code(box).input_value()!r}")
    until(page, lambda: re.search(words, shown(box), re.DOTALL), f"{view}: {words!r} in {shown(box)[:300]!r}")
    assert pictures(box) != pictured or box.locator(".perflab-panel table").count()
    shoot(box, f"{title}-{view}")


def test_views_can_be_chosen_by_keyboard(page: Page) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="Over time", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(code(box)).to_have_value(re.compile(r"lab\.plot_ecdf"))


def test_explorers_are_chosen_by_keyboard(page: Page) -> None:
    look_at(page, "Comparison")
    page.locator(".perflab-choice").nth(1).locator("button").first.focus()
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(explorer(page, OBJECTIVES)).to_be_visible()


def test_values_are_shown_where_the_pointer_is(page: Page) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="Over time", exact=True).click()
    box.get_by_label("Metric", exact=True).select_option(index=0)  # the cases above left throughput
    idle(page)
    chart = box.locator("svg.perflab-chart")
    expect(chart).to_be_visible()
    chart.scroll_into_view_if_needed()
    point_at(page, chart, 0.5, 0.2)
    tip = box.locator(".perflab-tip").first
    expect(tip).to_contain_text(re.compile(r"Time since the run's start, s: 1\d\.\d.*p\d+, ms.*\(n\+1\): [\d.,]+ ms"))
    shoot(page, "hover")
    before = tip.inner_text()
    chart.focus()
    page.keyboard.press("ArrowLeft")
    until(page, lambda: tip.inner_text() != before, "the arrow key did not move the pointer")


def test_a_box_of_time_and_latency_is_selected_by_mouse(page: Page) -> None:
    box = explorer(page, RUNS)
    chart = box.locator("svg.perflab-chart")
    chart.scroll_into_view_if_needed()
    point_at(page, chart, 0.3, 0.08)
    page.mouse.down()
    point_at(page, chart, 0.6, 0.25)
    page.mouse.up()
    expect(panel(box, 1)).to_contain_text(re.compile(r"[\d,]+ requests in [\d.]+ to [\d.]+ s with .* ms: p50"))
    expect(code(box)).to_have_value(re.compile(r"part = lab\.data\.latency_band\(lab\.data\.time_window\(both"))
    shoot(page, "brush")


def test_a_table_is_sorted_and_filtered(page: Page) -> None:
    box = explorer(page, RUNS)
    table = panel(box, 1)
    header = table.locator("th", has_text="Latency")
    # Slowest first, and after a click the fastest of them.
    values = "table => [...table.querySelectorAll('tbody tr')].map(row => row.innerText)"
    before = table.evaluate(values)
    header.click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert table.evaluate(values) == before[::-1] or table.evaluate(values) != before
    header.focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    table.get_by_label("Filter rows").fill("n+1-1")
    until(page, lambda: all("n+1-1" in row for row in table.evaluate(values)), "rows that do not match are still there")
    table.get_by_label("Filter rows").fill("")


def test_a_span_is_selected_and_cleared_by_keyboard(page: Page) -> None:
    box = explorer(page, RUNS)
    chart = box.locator("svg.perflab-chart")
    chart.focus()
    page.keyboard.press("Escape")
    expect(panel(box, 1)).not_to_contain_text("requests in")
    for key in ("ArrowRight", *["Shift+ArrowRight"] * 6, "Enter"):
        page.keyboard.press(key)
    expect(panel(box, 1)).to_contain_text(re.compile(r"requests in [\d.]+ to [\d.]+ s: p50"))
    box.get_by_role("button", name="Zoom to selection").click()
    expect(code(box)).to_have_value(re.compile(r"plot_timeline\(lab\.data\.time_window\("))
    box.get_by_role("button", name="Zoom to selection").click()


def test_what_is_shown_follows_the_theme_and_fits_the_width(page: Page) -> None:
    box = explorer(page, RUNS)
    ink = "box => getComputedStyle(box.querySelector('svg .perflab-ink')).fill"
    light = box.evaluate(ink)
    choose_theme(page, "Dark")
    until(page, lambda: box.evaluate(ink) != light, "the chart's text has the colour of the light theme")
    # The chart is drawn anew meanwhile, so both are looked up at once.
    fits = """box => { const stage = [...box.querySelectorAll(".perflab-stage")].find(one => one.querySelector("svg"));
                       return stage ? [stage.querySelector("svg").getBoundingClientRect().width, stage.clientWidth] : [0, 1]; }"""
    for width in (900, 1500, 1250):
        before = box.evaluate(fits)[1]
        page.set_viewport_size({"width": width, "height": 1500})
        until(page, lambda before=before: box.evaluate(fits)[1] != before, f"no other room at {width}")
        until(page, lambda: _fills(*box.evaluate(fits)), f"the chart does not fill the width at {width}")
        box.scroll_into_view_if_needed()
        shoot(page, f"dark-{width}")


def choose_theme(page: Page, name: str) -> None:
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).hover()
    page.get_by_text(f"JupyterLab {name}", exact=True).click()


def _fills(chart: float, room: float) -> bool:
    return 0.9 * room <= chart <= room + 1


def test_pasted_code_runs(page: Page) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="Summary", exact=True).click()
    expect(code(box)).to_have_value(re.compile(r"lab\.summarize"))
    box.get_by_role("button", name="Copy code").click()
    cells = page.locator(".jp-Notebook .jp-Cell")
    before = cells.count()
    cells.last.locator(".jp-InputPrompt").click()
    for key in ("b", "Enter", "Control+v", "Shift+Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)
    expect(cells.nth(before).locator(".jp-OutputArea-output table")).to_be_visible()


def test_code_is_copied(page: Page) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="Copy code").click()
    assert page.evaluate("navigator.clipboard.readText()") == code(box).input_value()


def test_figure_and_table_are_saved_under_the_name_that_was_entered(page: Page, folder: Path) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="ECDF", exact=True).click()
    expect(code(box)).to_have_value(re.compile(r"lab\.plot_ecdf"))
    box.get_by_role("button", name="Save figure (.png)").click()
    expect(box.locator(".perflab-saved")).to_contain_text("wrote view.png")
    assert (folder / "view.png").read_bytes().startswith(b"\x89PNG")
    box.get_by_label("Save as").fill("found")
    page.keyboard.press("Enter")
    box.get_by_role("button", name="Slowest requests", exact=True).click()
    expect(panel(box).locator("table")).to_be_visible()
    box.get_by_role("button", name="Save table (.csv)").click()
    expect(box.locator(".perflab-saved")).to_contain_text("wrote found.csv")
    assert (folder / "found.csv").read_text().startswith("run,arm,endpoint,at_s,latency_ms")


def test_a_view_is_kept_in_the_notebook_for_readers_without_a_kernel(page: Page, folder: Path) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="Heatmap", exact=True).click()
    expect(code(box)).to_have_value(re.compile(r"lab\.plots\.plot_heatmap"))
    kept = page.locator(".jp-RenderedHTML .perflab-kept")
    expect(kept).to_have_count(0)
    box.get_by_role("button", name="Keep below").click()
    expect(kept).to_have_count(1)
    expect(kept).to_contain_text("lab.plots.plot_heatmap(")
    shoot(page, "kept")
    page.keyboard.press("Control+s")

    def saved() -> bool:
        try:
            cells = json.loads((folder / "explore.ipynb").read_text())["cells"]
        except json.JSONDecodeError:
            return False  # it is being written
        outputs = [o for c in cells for o in c.get("outputs", [])]
        html = ["".join(o.get("data", {}).get("text/html", "")) for o in outputs]
        return any("lab.plots.plot_heatmap(" in text and "data:image/png;base64," in text for text in html)

    until(page, saved, "the notebook's file does not hold what was kept")


def test_hostile_endpoints_are_text(page: Page) -> None:
    box = explorer(page, RUNS)
    box.get_by_role("button", name="ECDF", exact=True).click()
    box.get_by_label("Runs", exact=True).select_option([f"n+1-{i}" for i in range(1, 5)])
    box.get_by_label("Endpoint").select_option(HOSTILE)
    expect(image(box)).to_have_attribute("alt", re.compile("onerror"))
    box = explorer(page, QUERIES)
    box.get_by_role("button", name="Statements", exact=True).click()
    expect(panel(box).locator("table")).to_contain_text("<img src=x onerror=window.hacked=1>")
    box = explorer(page, PROFILES)
    box.get_by_role("button", name="Flat table", exact=True).click()
    expect(panel(box).locator("table")).to_contain_text("<img src=x onerror=window.hacked=1>")


if SHOOTING:

    @pytest.mark.parametrize("width", [1500, 900, 390])
    @pytest.mark.parametrize("theme", ["Light", "Dark"])
    def test_pictures_of_every_view(page: Page, theme: str, width: int) -> None:
        page.set_viewport_size({"width": 1500, "height": 1500})  # all menus
        choose_theme(page, theme)
        page.set_viewport_size({"width": width, "height": 1500})
        if page.locator("#jp-left-stack").is_visible():
            page.keyboard.press("Control+b")  # the list of files
        for title, view, _, _ in VIEWS:
            if title in (OBJECTIVES, COMPARISON):
                look_at(page, title.split(":")[0].split()[0])
            box = explorer(page, title)
            box.get_by_role("button", name=view, exact=True).click()
            idle(page)
            shoot(box, f"{theme}-{width}-{title}-{view}")


def test_nothing_went_wrong_in_the_browser_and_nothing_left_the_machine(page: Page, seen: Seen) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    assert seen.elsewhere == []
    assert seen.complaints == []
