"""Pictures of decisions: what they say, and that hostile names are only text."""

from __future__ import annotations

import numpy as np
import pandas as pd

import perflab as lab
from perflab.plots.palette import INK


def history(names: list[str], *, known: bool = True) -> lab.Measurements | pd.DataFrame:
    start = pd.date_range("2026-01-01", periods=len(names), freq="D", tz="UTC")
    value = 100 * np.exp(np.random.default_rng(1).normal(0, 0.04, len(names)))
    value[len(names) // 2 :] *= 1.3
    return pd.DataFrame({"run": names, "start": start, "value": value})


def test_a_history_marks_the_run_where_it_changed() -> None:
    names = [f"$r_{i}$" for i in range(40)]
    found = lab.change_points(history(names))
    ax = lab.plots.plot_history(found)
    ax.figure.canvas.draw()  # a name between dollars would be taken for mathematics
    assert any(r"\$r_20\$" in text.get_text() for text in ax.texts)
    assert any("+" in text.get_text() for text in ax.texts)
    levels = [line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 2 and line.get_color() == INK]
    assert [round(level / 100, 1) for level in levels] == [1.0, 1.3]
    quiet = lab.plots.plot_history(lab.change_points(history(names).iloc[:15]))
    assert "No lasting change" in quiet.get_title(loc="left")


def test_a_plan_is_drawn_where_it_reaches_its_power() -> None:
    runs = lab.load("datasets/shop_runs")
    plan = lab.plan_runs(runs.where(arm="n+1"), effect="30%", endpoint="GET /orders")
    ax = lab.plots.plot_power(plan)
    (mark,) = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert mark.get_xdata()[0] == plan.pairs
    assert mark.get_ydata()[0] >= plan.power
    assert f"needs {plan.pairs} pairs" in ax.get_title(loc="left")
    assert len(ax.get_legend().get_texts()) == 4
