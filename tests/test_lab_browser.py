"""The explorers in a real JupyterLab in a real browser: one server and one notebook for all of them.

Screenshots are kept in ``build/screenshots``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, SHOTS, Seen, jupyterlab, opened
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

TESTS = Path(__file__).parent
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
    f"""
slow, fast = (conftest._profile(slow=cost).replace("render", "{SCRIPT}") for cost in (60.0, 20.0))
lab.explore(slow, fast)
""",
]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, seen: Seen) -> Iterator[Page]:
    """The notebook, all of its cells run."""
    with jupyterlab(tmp_path_factory.mktemp("lab"), CELLS) as address, opened(address, seen) as page:
        page.set_default_timeout(20_000)
        expect.set_options(timeout=20_000)
        expect(page.locator(".perflab-explorer")).to_have_count(len(CELLS) - 1, timeout=60_000)
        yield page


def explorer(page: Page, title: str) -> Locator:
    return page.locator(".perflab-explorer", has=page.locator('div[role="heading"]', has_text=title)).first


def panel(box: Locator, position: int = 0) -> Locator:
    return box.locator(".perflab-panel").nth(position)


def image(box: Locator, position: int = 0) -> Locator:
    return panel(box, position).locator("img")


def shown(box: Locator) -> str:
    """The pictures' words and the panels' texts: what a reader sees."""
    panels = box.locator(".perflab-panel")
    words = [a.get_attribute("alt") or "" for a in panels.locator("img[alt]").all()]
    return " ".join([*words, *panels.all_inner_texts()])


def picture(box: Locator, position: int = 0) -> str:
    return image(box, position).get_attribute("src") or ""


def code(box: Locator) -> Locator:
    return box.locator(".perflab-code textarea")


def slider(box: Locator, label: str, end: str = "") -> Locator:
    return box.locator(".widget-slider", has_text=label).locator(f".noUi-handle{end}")


def shoot(box: Locator, name: str) -> None:
    box.screenshot(path=SHOTS / f"{name}.png")


def test_runs_explorer_opens_and_each_control_changes_what_is_shown(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    expect(image(box)).to_have_attribute("alt", re.compile("p95 of all requests: n\\+1"))
    expect(code(box)).to_have_value("lab.plot_timeline(both, endpoint='Aggregated', percentile=95)")
    shoot(box, "runs-over-time")
    users = picture(box, 1)

    box.get_by_label("Endpoint").select_option("GET /orders")
    expect(image(box)).to_have_attribute("alt", re.compile("p95 of GET /orders"))
    slider(box, "Percentile").press("ArrowRight")
    expect(image(box)).to_have_attribute("alt", re.compile("p99 of GET /orders"))
    assert picture(box, 1) == users, "the panel of the users had no reason to change"

    box.get_by_label("Metric").select_option("throughput")
    expect(image(box)).to_have_attribute("alt", re.compile("Throughput of GET /orders"))
    shoot(box, "runs-throughput")
    box.get_by_label("Metric").select_option("latency percentile")
    expect(code(box)).to_have_value(re.compile("percentile=99"))

    before = picture(box)
    slider(box, "Time, s", "-upper").press("ArrowLeft")
    expect(code(box)).to_have_value(re.compile(r"lab\.time_window\(both, 0, \d"))
    assert picture(box) != before

    box.get_by_label("Runs", exact=True).select_option("n+1-1")
    expect(code(box)).to_have_value(re.compile(r"both\.where\(run=\['n\+1-1'\]\)"))
    assert "eager" not in shown(box)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("ECDF", "p99 of GET /orders"),
        ("Histogram", "p99 of GET /orders"),
        ("Heatmap", "p99 of GET /orders"),
        ("Resources", "Busiest process"),
        ("Slowest requests", "slowest requests"),
        ("Errors", "Failed requests"),
        ("Summary", "Each run's numbers"),
    ],
)
def test_each_view_of_runs(page: Page, view: str, words: str) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_role("button", name=view, exact=True).click()
    if view in ("Slowest requests", "Errors", "Summary"):
        expect(panel(box)).to_contain_text(words)
        expect(panel(box).locator("table")).to_be_visible()
    else:
        expect(image(box)).to_have_attribute("alt", re.compile(words))
    expect(code(box)).to_have_value(re.compile(r"lab\.(plot|slowest|summarize)"))
    shoot(box, f"runs-{view.lower().replace(' ', '-')}")


def test_views_can_be_chosen_by_keyboard(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_role("button", name="Over time", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(code(box)).to_have_value(re.compile(r"lab\.plot_ecdf"))


def test_code_is_copied(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_role("button", name="Copy code").click()
    assert page.evaluate("navigator.clipboard.readText()") == code(box).input_value()


def test_figure_and_table_are_saved(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_role("button", name="ECDF", exact=True).click()
    box.get_by_role("button", name="Save figure (.png)").click()
    expect(box.locator(".perflab-saved")).to_contain_text("wrote view.png")
    box.get_by_role("button", name="Slowest requests", exact=True).click()
    expect(panel(box).locator("table")).to_be_visible()
    box.get_by_role("button", name="Save table (.csv)").click()
    expect(box.locator(".perflab-saved")).to_contain_text("wrote view.csv")


def test_comparison_opens_and_each_control_changes_the_verdict(page: Page) -> None:
    box = explorer(page, "Comparison of n+1 and eager")
    expect(panel(box)).to_contain_text("p95 of all requests fell by")
    expect(code(box)).to_have_value(
        re.compile(r"^lab\.compare\(before, after, metric='p95', tolerance=0\.05, warmup=0\.1\)")
    )
    expect(image(box, 1)).to_have_attribute("alt", re.compile("p95|improved"))
    shoot(box, "comparison-effect")
    for label, choice, words in (
        ("Endpoint", "GET /orders", "p95 of GET /orders fell by"),
        ("Metric", "p50", "p50 of GET /orders fell by"),
        ("Baseline", "eager", "Choose two different arms."),
        ("Candidate", "n+1", "p50 of GET /orders rose by"),
    ):
        box.get_by_label(label, exact=True).select_option(choice)
        expect(panel(box)).to_contain_text(words)
    slider(box, "Tolerance").press("ArrowRight")
    expect(panel(box)).to_contain_text("tolerance 5.5 %")
    slider(box, "Warm-up").press("ArrowRight")
    expect(panel(box)).to_contain_text("after the first 15 %")
    for view, words in (
        ("Shift function", "plot_quantile_shift"),
        ("Every run", "plot_pairs"),
        ("ECDF", "plot_ecdf"),
        ("What if", "plot_power"),
    ):
        box.get_by_role("button", name=view, exact=True).click()
        expect(code(box)).to_have_value(re.compile(words))
        shoot(box, f"comparison-{view.lower().replace(' ', '-')}")
    for control, words in (
        ("Pairs", "With 11 new pairs"),
        ("Change", "a change of 11 %"),
        ("Chance", "85 times in 100"),
    ):
        slider(box, control).press("ArrowRight")
        expect(panel(box, 1)).to_contain_text(words)


def test_explorers_are_chosen_by_keyboard(page: Page) -> None:
    explorer(page, "Comparison of n+1 and eager").locator("xpath=..").locator(".perflab-choice button").first.focus()
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(explorer(page, "Objectives: n+1, eager")).to_be_visible()


def test_objectives_opens_and_each_control_changes_what_would_hold(page: Page) -> None:
    box = explorer(page, "Objectives: n+1, eager")
    expect(panel(box)).to_contain_text("p95 of all requests <")
    shoot(box, "objectives-one-limit")
    for label, choice, words in (
        ("Arm", "eager", "lab.check(after, lab.Objective('p95'"),
        ("Endpoint", "GET /orders", "endpoint='GET /orders'"),
        ("Metric", "p90", "lab.Objective('p90'"),
    ):
        box.get_by_label(label, exact=True).select_option(choice)
        expect(code(box)).to_have_value(re.compile(re.escape(words)))
    expect(panel(box)).to_contain_text("p90 of GET /orders <")
    before = panel(box).inner_text()
    slider(box, "Limit, ms").press("PageUp")
    expect(panel(box)).not_to_have_text(before)
    expect(panel(box)).to_contain_text("holds")
    sure = panel(box, 1).inner_text()
    slider(box, "Confidence").press("ArrowRight")
    expect(panel(box, 1)).to_contain_text("With 97.5 % confidence: p90 of GET /orders <")
    assert panel(box, 1).inner_text() != sure
    slider(box, "Warm-up").press("ArrowRight")
    expect(panel(box)).to_contain_text("after the first 15 %")
    shoot(box, "objectives-moved")
    box.get_by_role("button", name="Every endpoint", exact=True).click()
    expect(panel(box).locator("table")).to_be_visible()
    expect(code(box)).to_have_value(re.compile(r"lab\.attainable\(after, 'p90', None"))
    shoot(box, "objectives-every-endpoint")


def test_queries_opens_and_each_control_changes_what_is_shown(page: Page) -> None:
    box = explorer(page, "Queries: ")
    expect(panel(box)).to_contain_text("2 of 2 patterns")
    expect(panel(box).locator("table")).to_contain_text("<img src=x onerror=window.hacked=1>")
    shoot(box, "queries-patterns")
    box.get_by_role("button", name="Fix", exact=True).click()
    expect(panel(box)).to_contain_text("asked again and again")
    shoot(box, "queries-fix")
    first = panel(box).inner_text()
    box.get_by_label("Pattern", exact=True).select_option(index=1)
    expect(panel(box)).not_to_have_text(first)
    box.get_by_role("button", name="Unit of work", exact=True).click()
    expect(code(box)).to_have_value(re.compile(r"lab\.plot_waterfall\(log, 'u"))
    before = picture(box)
    box.get_by_label("Unit", exact=True).select_option(index=1)
    expect(image(box)).not_to_have_attribute("src", before)
    shoot(box, "queries-unit-of-work")
    box.get_by_label("Pattern", exact=True).select_option(index=0)
    box.get_by_role("button", name="Calls against rows", exact=True).click()
    expect(image(box)).to_have_attribute("alt", re.compile("1 call for each row"))
    shoot(box, "queries-calls-against-rows")
    box.get_by_role("button", name="Statements", exact=True).click()
    expect(panel(box)).to_contain_text("statements of 2 kinds")
    every = panel(box).inner_text()
    box.get_by_label("Route", exact=True).select_option("GET /orders")
    expect(panel(box)).not_to_have_text(every)
    shoot(box, "queries-statements")
    box.get_by_role("button", name="Patterns", exact=True).click()
    expect(panel(box)).to_contain_text("1 of 2 patterns")
    evidence = box.get_by_label("Evidence", exact=True)
    evidence.focus()
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("Control+Space")
    expect(code(box)).to_have_value(re.compile(r'found\["evidence"\]\.isin|found\["route"\]'))


def test_profiles_opens_and_each_control_changes_what_is_shown(page: Page) -> None:
    box = explorer(page, "Profiles: ")
    expect(image(box)).to_have_attribute("alt", re.compile("query itself takes 60 %"))
    shoot(box, "profiles-flame-graph")
    box.get_by_label("Search", exact=True).fill("render")
    box.get_by_label("Search", exact=True).fill("onerror")
    page.keyboard.press("Enter")
    expect(image(box)).to_have_attribute("alt", re.compile("is in 35 % of it"))
    box.get_by_label("Profile", exact=True).select_option(index=1)
    expect(image(box)).to_have_attribute("alt", re.compile("is in 58.3 % of it"))
    box.get_by_label("Focus", exact=True).select_option("handle")
    expect(code(box)).to_have_value(re.compile(r"lab\.focus\(fast, 'handle'\)"))
    slider(box, "At least").press("ArrowRight")
    expect(code(box)).to_have_value(re.compile(r"narrowest=0\.005"))
    shoot(box, "profiles-search")
    box.get_by_role("button", name="Flat table", exact=True).click()
    expect(panel(box).locator("table")).to_contain_text("<img src=x onerror=window.hacked=1>")
    for view in ("Icicle", "Hot paths"):
        box.get_by_role("button", name=view, exact=True).click()
        expect(code(box)).to_have_value(re.compile("plot_icicle|hot_paths"))
    box.get_by_role("button", name="Difference", exact=True).click()
    expect(panel(box)).to_contain_text("Choose two different profiles.")
    box.get_by_label("Against", exact=True).select_option(index=0)
    expect(image(box)).to_have_attribute("alt", re.compile("before, .* after"))
    shoot(box, "profiles-difference")


def test_hostile_endpoints_are_text(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_label("Endpoint").select_option(HOSTILE)
    box.get_by_role("button", name="Errors", exact=True).click()
    expect(panel(box)).to_contain_text(re.compile("onerror|None in this part"))
    box.get_by_role("button", name="ECDF", exact=True).click()
    expect(image(box)).to_have_attribute("alt", re.compile("onerror"))


def test_nothing_went_wrong_in_the_browser_and_nothing_left_the_machine(page: Page, seen: Seen) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    assert seen.elsewhere == []
    assert seen.complaints == []
