"""Flame graphs: what is drawn, and that the page zooms and searches in a real browser."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import perflab as lab

mpl.use("Agg")
SAMPLES = Path(__file__).parent.parent / "samples"


@pytest.fixture(autouse=True)
def _closed() -> object:
    yield
    plt.close("all")


@pytest.mark.parametrize("invert", [False, True])
def test_a_box_for_each_path_as_wide_as_its_share(invert: bool) -> None:
    profile = lab.read(SAMPLES / "pyinstrument" / "workload.json")
    ax = lab.plot_flamegraph(profile, trim=False, invert=invert)
    assert bool(ax.get_ylim()[0] > ax.get_ylim()[1]) is invert
    boxes = ax.collections[0].get_paths()
    wide = {round(float(b.vertices[:, 0].max() - b.vertices[:, 0].min()), 2) for b in boxes}
    assert {1.0, 0.51, 0.3} & wide
    labels = {t.get_text().strip() for t in ax.texts}
    assert {"spin_half", "spin_third", "main"} <= labels
    assert ax.get_title(loc="left").startswith("Where 2.05 s go: ")
    assert "own code" in ax.get_title(loc="left")
    ax.figure.canvas.draw()


def test_outer_levels_are_left_out_and_counted() -> None:
    ax = lab.plot_flamegraph(lab.read(SAMPLES / "collapsed" / "py-spy.txt"))
    assert "1 outer level left out" in " ".join(t.get_text() for t in ax.texts)


def test_colours_say_what_grew(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("main;gone 50\nmain;same 50\n")
    (tmp_path / "b.txt").write_text("main;new 50\nmain;same 50\n")
    ax = lab.plot_flamegraph(lab.read(tmp_path / "b.txt"), against=lab.read(tmp_path / "a.txt"), invert=True)
    boxes = ax.collections[0]
    names = [t.get_text() for t in ax.texts]
    assert {"gone gone", "new new", "same"} <= set(names)  # the change in words, for those who see no colours
    colours = {tuple(round(float(c), 2) for c in colour[:3]) for colour in boxes.get_facecolor()}
    assert {(0.0, 0.45, 0.7), (0.84, 0.37, 0.0)} <= colours
    ax.figure.canvas.draw()


def test_the_page_zooms_and_searches(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium: apt-get install chromium")
    flames = lab.draw_flamegraph(lab.read(SAMPLES / "collapsed" / "py-spy.txt"), trim=False)
    pages = [flames.save(tmp_path / "a.html"), flames.save(tmp_path / "a.svg")]
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = chromium.new_page()
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("console", lambda m: problems.append(m.text))
        requested: list[str] = []
        page.on("request", lambda r: requested.append(r.url))
        page.goto(pages[0].as_uri())
        page.fill("input", "DESCEND")
        assert page.inner_text(".found") == "5 boxes, 19.2 % of all"
        for path in pages:
            page.goto(path.as_uri())
            width = "() => +document.querySelector('g.f[data-n=half] rect').getAttribute('width')"
            before = page.evaluate(width)
            page.click("g.f[data-n=half]")
            assert page.evaluate(width) == pytest.approx(1200)
            assert page.locator("g.f[data-n=spin_third]").first.is_hidden()
            page.keyboard.press("Escape")
            assert page.evaluate(width) == pytest.approx(before, abs=0.1)
        chromium.close()
    assert not problems
    assert all(url.startswith("file://") for url in requested)


def test_a_notebook_keeps_it_as_an_image() -> None:
    bundle = lab.draw_flamegraph(lab.read(SAMPLES / "collapsed" / "py-spy.txt"))._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert not plt.get_fignums()
