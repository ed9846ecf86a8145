"""Real pages in a real Chromium: the numbers against known causes, what makes a run invalid, and what is kept."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sites import Answer, page, serving

import perflab as lab
from perflab.browsing import chromium
from perflab.demo.shop.storefront import picture
from perflab.notes import codes

pytest.importorskip("playwright", reason="needs Playwright: pip install 'perflab[browser]'")
pytestmark = pytest.mark.skipif(chromium.installed() is None, reason="needs a browser: apt-get install chromium")

SECRET = "hunter2-93fa71"
BUSY = "const end = performance.now() + 80; while (performance.now() < end);"
SITE = {
    "/shift": page(
        '<div id="ad"></div><div id="offer" style="width:400px;height:300px;background:teal">An offer</div>',
        "setTimeout(() => { document.querySelector('#ad').style.height = '200px'; }, 150);",
    ),
    "/click": page(
        '<button id="buy">Buy</button><input id="name"><p id="done"></p>',
        f"document.querySelector('#buy').onclick = function buyIt() {{ {BUSY} "
        "document.querySelector('#done').textContent = 'bought'; };",
    ),
    "/hero": page(
        f'<link rel="stylesheet" href="/s.css"><img class="hero" src="/hero.png?api_key={SECRET}">',
        f"fetch('/moved?token={SECRET}');",
    ),
    "/s.css": Answer(
        "h1 { color: red }", "text/css", headers={"Cache-Control": "max-age=60", "Set-Cookie": f"sid={SECRET}"}
    ),
    "/hero.png": Answer(picture(0, (300, 200), "png"), "image/png"),
    "/moved": Answer(status=302, headers={"Location": f"/there?token={SECRET}"}),
    "/there": Answer("{}", "application/json"),
}
PLAN = lab.PagePlan(
    {
        "/shift": [("wait", "250ms")],
        "/click": [("click", "#buy"), ("fill", "#name", SECRET[:8]), ("wait", "#done")],
        "/hero": [],
    },
    visits=1,
    viewport=(1000, 1000),
    network={"latency_ms": 5, "download_kbit_per_s": 20_000},
    headers={"Authorization": f"Bearer {SECRET}"},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def measured(store):
    """One run, from within a running event loop, as a notebook has one."""

    async def cell(host):
        return lab.run_pages(PLAN, lab.Target("now", host=host), store=store, progress=False)

    with serving(SITE) as host:
        return asyncio.run(cell(host))


def values(measured, page, metric):
    own = measured.vitals[(measured.vitals["page"] == page) & (measured.vitals["metric"] == metric)]
    return own["value"].tolist()


def element(measured, page, metric):
    own = measured.vitals[(measured.vitals["page"] == page) & (measured.vitals["metric"] == metric)]
    return own["element"].iloc[0]


def test_the_run_is_valid_and_holds_every_visit(measured):
    run = measured.runs.iloc[0]
    assert run["valid"], run["reasons"]
    assert set(zip(measured.vitals["page"], measured.vitals["visit"], strict=True)) == {(p, 1) for p in PLAN.steps}
    assert run["environment"]["generator"].startswith("chromium/") and "20000" in run["environment"]["generator"]
    assert set(measured.resources["process"]) == {"generator", "machine", "other"}


def test_a_shift_has_the_size_of_its_geometry(measured):
    # 400 x 300 px move by 200 px in a window of 1000 x 1000: they touch 400 x 500 px.
    expected = 400 * 500 / 1000**2 * 200 / 1000
    assert values(measured, "/shift", "cls") == pytest.approx([expected], rel=0.1)
    assert "div#offer" in element(measured, "/shift", "cls")
    assert values(measured, "/click", "cls") == pytest.approx([0.0], abs=0.001)


def test_a_slow_handler_is_the_processing_of_the_interaction(measured):
    inp, *parts = (values(measured, "/click", f"inp{part}")[0]
                   for part in ("", "_input_delay", "_processing", "_presentation"))  # fmt: skip
    assert 80 <= inp <= 200
    assert parts[1] == max(parts) and parts[1] >= 79
    assert sum(parts) == pytest.approx(inp)
    assert element(measured, "/click", "inp").startswith("button#buy ")
    assert values(measured, "/hero", "inp") == []


def test_the_largest_paint_is_an_image_and_its_parts_add_up(measured):
    assert "img.hero" in element(measured, "/hero", "lcp") and "/hero.png" in element(measured, "/hero", "lcp")
    parts = [values(measured, "/hero", name)[0] for name in
             ("ttfb", "lcp_resource_delay", "lcp_resource_load", "lcp_render_delay")]  # fmt: skip
    assert sum(parts) == pytest.approx(values(measured, "/hero", "lcp")[0], abs=0.2)
    assert min(parts) >= 0 and parts[2] > 5


def test_every_exchange_is_there_with_its_sizes_and_timings(measured):
    own = measured.exchanges[(measured.exchanges["page"] == "/hero") & (measured.exchanges["visit"] == 1)]
    paths = own["url"].str.replace(r"https?://[^/]+", "", regex=True).str.partition("?")[0]
    assert paths.tolist()[0] == "/hero" and sorted(paths) == ["/hero", "/hero.png", "/moved", "/s.css", "/there"]
    image = own[paths == "/hero.png"].iloc[0]
    assert image["body_bytes"] == len(SITE["/hero.png"].body) < image["transfer_bytes"]
    assert (image["natural_width"], image["width"], image["lazy"]) == (300, 300, False)
    assert image["status"] == 200 and image["mime"] == "image/png"
    style = own[paths == "/s.css"].iloc[0]
    assert style["headers"]["cache-control"] == "max-age=60" and style["headers"]["set-cookie"] == "…"
    assert own[paths == "/moved"].iloc[0]["status"] == 302
    for timings in own["timings_ms"]:
        assert sum(timings.values()) > 0 and min(timings.values()) >= 0
    assert image["timings_ms"]["receive"] + image["timings_ms"]["wait"] > 5


def test_no_secret_is_kept_anywhere(measured, store):
    shown = [measured.to_csv(store / "csv")[0].parent, *measured.runs["run"].map(lambda run: store / run)]
    texts = [
        path.read_bytes() for folder in shown for path in Path(folder).rglob("*") if path.suffix in (".csv", ".json")
    ]
    texts += [repr(measured).encode(), measured._repr_html_().encode(), repr(PLAN).encode()]
    texts += [lab.plot_waterfall(measured, "/hero").figure.axes[0].get_title().encode()]
    assert any(b"hero.png" in text for text in texts)
    assert not any(SECRET[:8].encode() in text for text in texts)


def test_pages_are_summarized_checked_and_drawn(measured):
    table = lab.summarize(measured)
    assert table["endpoint"].tolist() == ["/click", "/hero", "/shift", "Aggregated"] or "Aggregated" in set(
        table["endpoint"]
    )
    assert table.set_index("endpoint").loc["Aggregated", "count"] == 3
    checked = lab.check(measured, ["LCP of /hero < 10 s", "p95 < 1 s"])
    assert [note.code for note in checked.reasons] == ["one-value", "other-evidence"]
    assert lab.plot_vitals(measured, metric="lcp", page="/hero").get_ylabel() == "LCP, ms"
    assert "/hero" in lab.plot_waterfall(measured, "/hero").get_title(loc="left")


BROKEN = {
    "/missing": "page-not-answered",
    "/error": "page-script-error",
    "/slow": "page-timed-out",
    "/away": "page-left",
    "/button": "page-step-failed",
    "/hop": "page-moved-on",
    "/part": "page-requests-failed",
    "/account": "page-elsewhere",
    "/guarded": "page-elsewhere",
    "/covered": "page-step-failed",
    "/framed": "page-foreign-frames",
}


def test_what_makes_a_run_invalid_is_named(tmp_path):
    site = {
        "/error": page("<p>hello</p>", f"null.of('{SECRET}');"),
        "/slow": Answer("late", after_s=1.5),
        "/away": page('<a href="/part">next</a>'),
        "/button": page("<p>no button</p>"),
        "/hop": page("<p>wait</p>", "setTimeout(() => { location.href = '/part'; }, 100);"),
        "/part": page('<p>hello</p><img src="/gone.png">', "console.error('not good');"),
    }
    site |= {
        "/account": Answer(status=302, headers={"Location": "/quick?next=/account"}),
        "/guarded": page("<p>hello</p>", "history.replaceState({}, '', '/login');"),
        "/covered": page('<button>Buy</button><div id="consent" style="position:fixed;inset:0">Accept?</div>'),
        "/quick": page("<button>Buy</button>", "document.body.onclick = () => history.pushState({}, '', '/bought');"),
    }
    steps = {"/away": [("click", "a")], "/button": [("click", "#buy")], "/covered": [("click", "button")]}
    steps["/account"] = [("click", "button")]
    plan = lab.PagePlan({path: steps.get(path, []) for path in BROKEN}, visits=1, timeout="1s")
    with serving(site) as host:
        frame = f'<p>hello</p><iframe src="{host.replace("127.0.0.1", "localhost")}/quick"></iframe>'
        site["/framed"] = page(frame)
        found = lab.run_pages(plan, lab.Target("now", host=host), store=tmp_path, progress=False)
    run = found.runs.iloc[0]
    assert not run["valid"]
    warned = {"page-console-errors", "page-requests-failed", "page-elsewhere", "page-foreign-frames"}
    assert set(run["reason_codes"]) == set(BROKEN.values()) - warned
    assert len(run["reason_codes"]) == sum(code not in warned for code in BROKEN.values())
    assert warned <= set(codes(found.warnings))
    for path, code in BROKEN.items():
        notes = [*run["reasons"], *map(str, found.warnings)]
        assert any(path in text for text in notes), code
    assert any("consent" in text for text in run["reasons"])
    assert set(found.vitals["page"]) == {"/part", "/account", "/guarded", "/framed"}
    assert len(values(found, "/account", "inp_processing")) == 1


def test_a_page_that_never_responds_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("perflab.browsing.visiting.GRACE_S", 1.0)
    monkeypatch.setattr("perflab.browsing.visiting._LONGEST_WAIT_S", 0.1)
    site = {"/loop": page("<p>hello</p>", "setTimeout(() => { while (true); }, 50);")}
    plan = lab.PagePlan("/loop", visits=3, timeout="1s")
    with serving(site) as host:
        found = lab.run_pages(plan, lab.Target("now", host=host), store=tmp_path, progress=False)
    assert found.runs["reason_codes"].tolist() == [["page-hung"]] and not len(found.vitals)


def test_a_run_can_be_stopped_and_keeps_its_visits(tmp_path):
    class Impatient:
        def update(self, done, *, label=None, **facts):
            if facts.get("visits", 0) >= 1:
                raise KeyboardInterrupt

        def finish(self, outcome): ...

        def notify(self, text): ...

    with serving(SITE) as host, pytest.raises(KeyboardInterrupt):
        lab.run_pages("/shift", lab.Target("now", host=host), visits=50, store=tmp_path, progress=Impatient())
    kept = lab.load(tmp_path)
    assert kept.runs["reason_codes"].tolist() == [["interrupted"]] and 1 <= kept.vitals["visit"].nunique() < 50


def test_pairs_of_runs_are_interleaved_and_compared(tmp_path):
    sites = []
    for kind in ("png", "webp"):
        body = picture(1, (500, 350), kind)
        sites.append({"/": page(f'<img src="/hero.{kind}">'), f"/hero.{kind}": Answer(body, f"image/{kind}")})
    plan = lab.PagePlan("/", visits=1, network={"latency_ms": 5, "download_kbit_per_s": 4_000})
    with serving(sites[0]) as old, serving(sites[1]) as new:
        arms = lab.Target("png", host=old), lab.Target("webp", host=new)
        before, after = lab.run_pairs(plan, *arms, pairs=1, seed=2, store=tmp_path, progress=False)
    change = lab.compare(before, after, metric=["lcp", "cls"])
    assert change.design.kind == "one against one" and change.verdict == "inconclusive"
    typical = change.find().typical
    assert typical[1] < 0.7 * typical[0]
    assert [side.runs["pair"].tolist() for side in (before, after)] == [[1], [1]]
    assert sorted([*before.runs["order"], *after.runs["order"]]) == [1, 2]
    assert "LCP of all pages" in change.sentence


@pytest.mark.parametrize(
    ("fix", "metric", "verdict"),
    [
        ("webp", "lcp", "improved"),
        ("stable", "cls", "improved"),
        ("quick", "inp", "improved"),
        ("slim", "fcp", "improved"),
        ("slim", "tbt", "equivalent"),
        ("quick", "cls", "equivalent"),
    ],
)
def test_recorded_fixes_of_the_shop_have_their_verdicts(fix, metric, verdict):
    runs = lab.load(Path(__file__).parents[2] / "datasets" / "shop_pages")
    change = lab.compare(runs.where(arm="faulty"), runs.where(arm=fix), metric=metric)
    assert change.verdict == verdict, change.sentence
    assert lab.plot_pairs(runs.where(arm="faulty"), runs.where(arm=fix), metric=metric).get_ylabel()


def test_a_missing_browser_is_named_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.delenv(chromium.VARIABLE, raising=False)
    assert shutil.which("chromium") is None
    with serving(SITE) as host, pytest.raises(lab.MissingExtraError, match="apt install chromium"):
        lab.run_pages("/shift", lab.Target("now", host=host), store=tmp_path / "runs", progress=False)
    assert not list((tmp_path / "runs").glob("*"))
