"""Charts as SVG: well-formed whatever the values and names are, and the colours legible on both pages."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from perflab.plots import palette
from perflab.plots.svg_charts import Cells, Chart, Pane, Series, picture, pointed, svg, values_of

NAN, SCRIPT = math.nan, "<script>alert(1)</script>\"'&"


def chart(*series: Series, log: bool = False, x: tuple[float, float] = (0.0, 10.0), **more: object) -> Chart:
    return Chart(SCRIPT, [Pane(SCRIPT, series, log=log, banded=True, **more)], x, "Time, s")


LINES = {
    "nothing": [],
    "one point": [Series("a", [5.0], [3.0], palette.BLUE)],
    "only gaps": [Series("a", [1.0, 2.0], [NAN, NAN], palette.BLUE)],
    "gaps": [Series("a", [1.0, 2.0, 3.0, 4.0], [1.0, NAN, 2.0, 3.0], palette.BLUE)],
    "zeros": [Series("a", [1.0, 2.0], [0.0, 0.0], palette.BLUE)],
    "negative": [Series("a", [1.0, 2.0], [-5.0, -1.0], palette.BLUE)],
    "infinite": [Series("a", [1.0, 2.0], [math.inf, 4.0], palette.BLUE)],
    "huge and tiny": [Series("a", [1.0, 2.0], [1e-9, 1e12], palette.BLUE)],
    "band": [Series("a", [1.0, 2.0, 3.0], [2.0, NAN, 3.0], palette.BLUE, low=[1.0, NAN, 2.0], high=[3.0, NAN, 4.0])],
    "marks": [Series(SCRIPT, [1.0, 20.0], [2.0, 3.0], palette.BLUE, marker=m) for m in "os^Dx?"],
    "intervals": [Series("a", [1.0], [-3.0], palette.BLUE, marker="D", low=[-9.0], high=[2.0], texts=[SCRIPT])],
}


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", LINES)
def test_every_chart_is_well_formed(name: str, log: bool) -> None:
    made = chart(*LINES[name], log=log)
    root = ET.fromstring(svg(made))
    assert root.attrib["aria-label"].startswith("<script>")
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    numbers = [
        value for element in root.iter() for key, value in element.attrib.items() if key in ("x", "y", "cx", "cy")
    ]
    assert all(math.isfinite(float(number)) for number in numbers)
    ys = [float(v) for e in root.iter() for k, v in e.attrib.items() if k == "cy"]
    assert all(0 <= y <= pointed(made)["height"] for y in ys)
    assert "<script" not in picture(made)


@pytest.mark.parametrize("width", [320, 900, 1500])
def test_what_can_be_pointed_at_lies_where_it_is_drawn(width: int) -> None:
    made = chart(
        Series("a", [0.0, 5.0, 10.0, 11.0], [1.0, NAN, 4.0, 9.0], palette.BLUE, texts=["one", "none", "four", "nine"])
    )
    known = pointed(made, width)
    series = known["panes"][0]["series"][0]
    assert series["t"] == ["one", "four"]
    assert series["x"] == [known["left"], known["right"]]
    assert f'points="{series["x"][0]}' not in svg(made, width)  # a gap between them: two single points
    assert svg(made, width).count("<circle") == 2


@pytest.mark.parametrize(("width", "names"), [(900, 4), (390, 1), (320, 1)])
def test_names_that_do_not_fit_beside_the_label_are_left_to_the_pointer(width: int, names: int) -> None:
    lines = [Series(f"eager generator {i}", [0.0, 1.0], [1.0, 2.0], palette.BLUE) for i in range(4)]
    pane = Pane("CPU, cores", lines)
    made = Chart("t", [pane], (0.0, 1.0), "Time, s")
    written = [e for e in ET.fromstring(svg(made, width)).iter() if (e.text or "").startswith("eager generator")]
    assert len(written) == names
    assert all(float(e.attrib["x"]) > 58 + 6 * len(pane.label) for e in written)
    assert len(pointed(made, width)["panes"][0]["series"]) == 4


def test_shares_of_a_pane_become_values() -> None:
    low, high = values_of(chart(Series("a", [1.0], [50.0], palette.BLUE)), 0, 0.0, 1.0)
    assert low == 0.0 and high == pytest.approx(54.0)
    low, high = values_of(chart(Series("a", [1.0, 2.0], [10.0, 1000.0], palette.BLUE), log=True), 0, 0.0, 0.5)
    assert low == pytest.approx(10 / 1.08) and high == pytest.approx(100.0)


def test_cells_and_a_selection_are_drawn_inside_the_picture() -> None:
    cells = Cells([0.0, 5.0, 10.0], [1.0, 10.0, 100.0], [[0.0, 1.0], [0.5, 0.0]], palette.NEUTRAL)
    made = Chart(
        "t", [Pane("a", [], log=True, banded=True, cells=cells)], (2.0, 8.0), "Time, s", (3.0, 99.0, 5.0, math.inf)
    )
    boxes = [e.attrib for e in ET.fromstring(svg(made)).iter() if e.tag.endswith("rect")]
    assert len(boxes) == 3
    for box in boxes:
        assert float(box["x"]) >= 58 and float(box["x"]) + float(box["width"]) <= 900 - 12 + 0.2


COLOURS = {name: value for name, value in vars(palette).items() if isinstance(value, str) and value.startswith("#")}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_legible_on_light_and_dark_pages(name: str) -> None:
    least = 3.8 if name.startswith("INK") else 3.0
    for background in ("#FFFFFF", "#111111"):
        assert palette.contrast(COLOURS[name], background) >= least, background
