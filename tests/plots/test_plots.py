"""Plots: what they say, what they never hide, and that a million requests cost no more artists than a thousand."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry
from matplotlib.spines import Spine
from matplotlib.text import Text

import perflab as lab
from perflab.plots import drawing, latency
from perflab.stats.estimates import without_warmup as after_warmup

PLOTS = {
    "ecdf": lambda a, b, **more: lab.plot_ecdf(a, b, **more),
    "timeline": lambda a, b, **more: lab.plot_timeline(a, b, **more),
    "pairs": lambda a, b, **more: lab.plot_pairs(a, b, **more),
    "resources": lambda a, b, **more: lab.plots.plot_resources(a, b, **more),
}


def artists(ax: Axes) -> int:
    return sum(len(part.get_children()) for part in ax.figure.axes)


def texts(ax: Axes) -> str:
    return " ".join([ax.get_title(loc="left"), *(t.get_text() for t in ax.texts)])


def vertices(ax: Axes) -> int:
    return sum(len(line.get_xdata()) for part in ax.figure.axes for line in part.lines)


@pytest.mark.parametrize("kind", PLOTS)
def test_every_plot_has_a_finding_labels_with_units_and_a_legend(kind, experiment):
    ax = PLOTS[kind](*experiment)
    assert isinstance(ax, Axes)
    assert re.search(r"n\+1 .*\d.*eager .*\d", ax.get_title(loc="left"))
    labels = [part.get_ylabel() for part in ax.figure.axes] + [ax.figure.axes[-1].get_xlabel()]
    assert all(labels)
    assert any(re.search(r"\bms\b|%|cores|MB|, s\b", label) for label in labels)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any("n+1" in text for text in legend) and any("eager" in text for text in legend)
    ax.figure.canvas.draw()


@pytest.mark.parametrize("kind", PLOTS)
def test_arms_differ_in_line_or_marker_and_not_in_colour_alone(kind, experiment):
    ax = PLOTS[kind](*experiment)
    shown = {
        (line.get_linestyle(), str(line._dash_pattern), line.get_marker(), line.get_linewidth())
        for line in ax.get_legend().get_lines()
    }
    assert len(shown) == len(ax.get_legend().get_lines())


@pytest.mark.parametrize("kind", PLOTS)
def test_given_axes_are_drawn_on_and_returned(kind, experiment):
    figure = Figure()
    ax = figure.subplots()
    assert PLOTS[kind](*experiment, ax=ax) is ax
    assert figure.axes == [ax]


@pytest.mark.parametrize("kind", PLOTS)
def test_the_picture_depends_on_neither_the_order_of_rows_nor_the_measurements_changing(kind, experiment):
    before, after = experiment
    shuffled = lab.Measurements.of(
        **{t: f.sample(frac=1, random_state=3) if t != "runs" else f for t, f in before.tables.items()}
    )
    copy = before.requests.copy()
    one, two = PLOTS[kind](before, after), PLOTS[kind](shuffled, after)
    assert one.get_title(loc="left") == two.get_title(loc="left")
    pd.testing.assert_frame_equal(before.requests, copy)


def test_title_is_the_geometric_mean_of_the_runs_own_quantiles_after_the_warm_up(experiment):
    before, _ = experiment
    kept = after_warmup(before, 0.1)
    rows = kept[kept["endpoint"] == "GET /orders"]
    each = [np.quantile(v, 0.95, method="median_unbiased") for _, v in rows.groupby("run").latency_ms]
    ax = lab.plot_ecdf(before, endpoint="GET /orders")
    assert lab.plot_ecdf(before).get_title(loc="left").startswith("p95 of all requests: n+1 ")
    assert ax.get_title(loc="left") == f"p95 of GET /orders: n+1 {np.exp(np.log(each).mean()):.0f} ms"


def test_the_slowest_request_is_inside_every_latency_picture(make_measurements):
    both = make_measurements(count=5000)
    requests = both.requests.copy()
    requests.loc[requests["start"].idxmax(), "latency_ms"] = 60_000.0  # not in the warm-up
    both = lab.Measurements.of(**{**both.tables, "requests": requests})
    ecdf = lab.plot_ecdf(both)
    assert ecdf.get_xlim()[1] >= 60_000
    assert max(line.get_xdata().max() for line in ecdf.lines if len(line.get_xdata()) > 2) > 59_000
    timeline = lab.plot_timeline(both)
    assert timeline.get_ylim()[1] >= 60_000
    assert max(line.get_ydata().max() for line in timeline.lines if len(line.get_ydata())) == 60_000


@pytest.mark.parametrize("kind", ["ecdf", "timeline"])
def test_artists_and_vertices_do_not_grow_with_requests(kind, make_measurements):
    small, large = make_measurements(pairs=2, count=2_000), make_measurements(pairs=2, count=50_000)
    few = PLOTS[kind](small.where(arm="n+1"), small.where(arm="eager"))
    many = PLOTS[kind](large.where(arm="n+1"), large.where(arm="eager"))
    assert artists(many) == artists(few)
    assert vertices(many) < 10_000


def test_runs_beyond_two_dozen_add_no_lines(make_measurements):
    many = make_measurements(arms={"a": 1.0}, pairs=60, count=60)
    assert len(lab.plot_ecdf(many).lines) <= 30


def test_users_and_cpu_get_panels_only_where_they_were_recorded(make_measurements):
    full, bare = make_measurements(), make_measurements(resources=False, load=False)
    assert [a.get_ylabel() for a in lab.plot_timeline(full).figure.axes][1:] == ["Users", "CPU, cores"]
    assert len(lab.plot_timeline(bare).figure.axes) == 1


def test_pairs_are_joined_and_shown_in_the_order_they_ran(experiment):
    before, after = experiment
    ax = lab.plot_pairs(before, after)
    runs = pd.concat([before.runs, after.runs]).sort_values("start").reset_index(drop=True)
    joins = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    slots = {tuple(line.get_xdata()) for line in joins} - {(0, 1)}
    assert slots == {tuple(part.index + 1) for _, part in runs.groupby("pair")}
    assert "6 pairs, joined" in texts(ax)


def test_runs_without_pairs_are_not_joined(make_measurements):
    both = make_measurements()
    both = lab.Measurements.of(**{**both.tables, "runs": both.runs.drop(columns="pair")})
    assert "not paired" in texts(lab.plot_pairs(both.where(arm="n+1"), both.where(arm="eager")))


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("p95", "ms"),
        ("p99.9", "ms"),
        ("mean", "ms"),
        ("throughput_per_s", "requests/s"),
        ("error_fraction", "%"),
    ],
)
def test_pairs_take_every_metric(metric, unit, experiment):
    assert unit in lab.plot_pairs(*experiment, metric=metric).get_ylabel()


def test_warmup_is_a_share_of_the_run_or_a_duration(make_runs, make_requests):
    requests = make_requests(count=100, seconds=10).assign(latency_ms=[1000.0] * 50 + [10.0] * 50)
    requests["start"] = requests["start"].min() + pd.to_timedelta(np.arange(100) * 0.1, unit="s")
    data = lab.Measurements.of(runs=make_runs(seconds=10), requests=requests)
    for warmup in ("50%", 0.5, "5s"):
        assert lab.plot_ecdf(data, warmup=warmup).get_title(loc="left").endswith("baseline 10 ms")
    with pytest.raises(ValueError, match="warmup must leave requests"):
        lab.plot_ecdf(data, warmup="20s")


def test_arms_without_names_and_equal_names_are_told_apart(make_requests):
    one = lab.Measurements.of(requests=make_requests(run="a"))
    two = lab.Measurements.of(requests=make_requests(run="a", slower=2))
    assert [arm.label for arm in drawing.arms_of([one, two])] == ["measurements 1", "measurements 2"]
    same = [lab.Measurements.of(requests=make_requests(run=r).assign(arm="lazy")) for r in "ab"]
    assert [arm.label for arm in drawing.arms_of(same)] == ["lazy (1)", "lazy (2)"]


def test_texts_from_outside_are_drawn_as_they_are(make_requests):
    hostile = "GET /$\\frac{1}$ \n<script>\x00 " + "x" * 200
    data = lab.Measurements.of(requests=make_requests(endpoints={hostile: 10.0}).assign(arm="_$a$"))
    ax = lab.plot_ecdf(data, endpoint=hostile)
    ax.figure.canvas.draw()
    title = ax.get_title(loc="left")
    assert "\n" not in title and "\x00" not in title and len(title) < 120
    assert ax.get_legend().get_texts()


@pytest.mark.parametrize("kind", ["ecdf", "timeline", "pairs"])
def test_unknown_endpoint_lists_those_there_are(kind, experiment):
    with pytest.raises(ValueError, match=r"endpoint must be one of 'Aggregated', 'GET /orders'.*got 'GET /nope'"):
        PLOTS[kind](*experiment, endpoint="GET /nope")


def test_what_cannot_be_drawn_says_so(experiment, make_summary, make_requests):
    before, after = experiment
    with pytest.raises(lab.MissingTableError, match="percentiles only"):
        lab.plot_ecdf(lab.Measurements.of(summary=make_summary()))
    with pytest.raises(lab.MissingTableError, match="resources"):
        lab.plots.plot_resources(lab.Measurements.of(requests=make_requests()))
    with pytest.raises(
        ValueError, match="before and after must hold one arm each; got n\\+1, eager \\(1\\), eager \\(2\\)"
    ):
        lab.plot_pairs(before + after, after.where(pair=1))
    with pytest.raises(ValueError, match="metric must be"):
        lab.plot_pairs(before, after, metric="q95")
    with pytest.raises(ValueError, match="percentile must be between 0 and 100; got 100"):
        lab.plot_ecdf(before, percentile=100)
    with pytest.raises(ValueError, match="measurements must hold at least one run"):
        lab.plot_ecdf()
    with pytest.raises(ValueError, match="measurements must be Measurements"):
        lab.plot_ecdf(before.requests)
    with pytest.raises(ValueError, match="quantities must be one of"):
        lab.plots.plot_resources(before, quantities=("cpu",))


def test_a_curve_follows_the_data_to_its_last_value():
    shares = latency._shares(1_000_000)
    assert len(shares) <= latency._CURVE_POINTS and shares[0] == 0 and 1 - shares[-1] < 1e-6
    assert (np.diff(shares) > 0).all()


def test_east_asian_names_get_a_font_of_this_machine_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = lab.load("datasets/shop_runs", arm="eager")
    named = lab.Measurements.of(
        runs=runs.runs,
        requests=runs.requests.assign(endpoint=runs.requests["endpoint"].replace("GET /orders", "GET /商品")),
    )
    own = [font for font in drawing.fontManager.ttflist if font.name.startswith("DejaVu")]
    here = [*own, FontEntry(name="Noto Sans CJK JP"), FontEntry(name="Some Serif")]
    monkeypatch.setattr("perflab.plots.drawing.fontManager.ttflist", here)
    ax = lab.plot_ecdf(named, endpoint="GET /商品")
    assert ax.get_title(loc="left").startswith("p95 of GET /商品")
    families = {t.get_text(): t.get_fontfamily() for t in ax.findobj(Text)}
    assert [f for t, f in families.items() if "商品" in t] == [[*rcParams["font.family"], "Noto Sans CJK JP"]]
    assert all(f == rcParams["font.family"] for t, f in families.items() if t.isascii())


def test_what_no_font_has_is_replaced_and_nothing_else() -> None:
    assert drawing.plain("GET /🚀ü→Ω") == "GET /�ü→Ω"  # the warning of matplotlib would be an error
    assert drawing.plain("GET /商品、") in ("GET /商品、", "GET /���")


@pytest.mark.parametrize("plot", [lab.plot_ecdf, lab.plots.plot_histogram, lab.plots.plot_heatmap, lab.plot_timeline])
def test_latencies_of_zero_are_drawn(plot: Callable[..., Axes], make_requests: Callable[..., pd.DataFrame]) -> None:
    requests = make_requests(count=200, seconds=10).assign(latency_ms=0.0)  # a warning would be an error
    assert "0 ms" in plot(lab.Measurements.of(requests=requests)).get_title(loc="left")


def test_no_mark_or_frame_is_black(experiment: tuple[lab.Measurements, lab.Measurements]) -> None:
    """A dark page would hide it, also those of a second axis and of a colour bar."""
    before, after = experiment
    for ax in (lab.plot_comparison(lab.compare(before, after)), lab.plots.plot_heatmap(before)):
        ax.figure.canvas.draw()
        marks = [line.get_color() for axis in ax.figure.findobj(Axis) for line in axis.get_ticklines()]
        frames = [spine.get_edgecolor() for spine in ax.figure.findobj(Spine) if spine.get_visible()]
        assert marks and all(to_rgb(colour) != (0.0, 0.0, 0.0) for colour in [*marks, *frames])
