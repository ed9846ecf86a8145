"""Measurements: runs never mixed up, what is missing said, shown as they are."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import perflab as lab


def test_runs_are_made_of_what_the_tables_say(make_requests):
    requests = pd.concat([make_requests(run="a").assign(arm="x"), make_requests(run="b", seed=2).assign(arm="y")])
    runs = lab.Measurements.of(requests=requests).runs
    assert runs[["run", "arm"]].to_numpy().tolist() == [["a", "x"], ["b", "y"]]
    assert runs["start"].tolist() == requests.groupby("run")["start"].min().dt.floor("us").tolist()
    assert (runs["duration_ms"] > 25_000).all() and runs["valid"].all()


def test_adding_keeps_every_row_and_takes_apart_again(experiment):
    before, after = experiment
    both = before + after
    assert len(both.requests) == len(before.requests) + len(after.requests)
    pd.testing.assert_frame_equal(both.where(arm="n+1").requests, before.requests)
    assert sum([before, after]).runs["run"].tolist() == both.runs["run"].tolist()
    with pytest.raises(ValueError, match="both hold n\\+1-1"):
        before + before


def test_adding_one_without_a_table_keeps_the_other_ones_table(make_requests, make_queries):
    a = lab.Measurements.of(requests=make_requests(run="a"))
    b = lab.Measurements.of(queries=make_queries(run="b"), warnings=["careful"])
    both = a + b
    assert set(both.tables) == {"runs", "requests", "queries"} and [str(w) for w in both.warnings] == ["careful"]


def test_where_takes_columns_of_runs(experiment):
    before, _ = experiment
    assert before.where(pair=[1, 2]).runs["pair"].tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"no run has arm='nobody'; there is 'n\+1'"):
        before.where(arm="nobody")
    none = before.where(valid=False)
    assert len(none.requests) == 0
    assert "0 runs" in repr(none) and "0 runs" in none._repr_html_()
    with pytest.raises(ValueError, match=r"where\(\) takes a column of runs \(run, arm.*got 'colour'"):
        before.where(colour="red")


def test_a_missing_table_says_what_is_there(make_summary, experiment):
    with pytest.raises(lab.MissingTableError, match=r"no table 'queries'; they hold: runs \(6 rows\), requests"):
        experiment[0].queries
    with pytest.raises(lab.MissingTableError, match="reports percentiles only"):
        lab.Measurements.of(summary=make_summary()).requests


def test_a_length_that_no_tool_told_is_shown_as_unknown(make_summary, experiment):
    assert "0 ms" not in repr(lab.Measurements.of(summary=make_summary()))
    assert re.search(r"Duration, s .*\n.* 30 ", repr(experiment[0]))


def test_a_store_that_is_not_there_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lab.StoreError, match=f"^runs: .*found no such folder in {tmp_path}$"):
        lab.load("runs")


def test_measurements_show_themselves_and_can_not_be_changed(experiment):
    before, _ = experiment
    assert before.sentence.startswith("6 runs (n+1: 6), 3,600 requests")
    assert "n+1-1" in repr(before) and "<table" in before._repr_html_() and "<script" not in before._repr_html_()
    with pytest.raises(TypeError):
        before.tables["requests"] = None
    with pytest.raises(TypeError, match="not a sequence"):
        iter(before)


def test_invalid_runs_are_told(make_runs):
    assert "1 of the runs NOT valid" in lab.Measurements.of(runs=make_runs(valid=False)).sentence


def test_a_run_spans_the_rows_whose_time_is_known(make_queries):
    log = make_queries(units=4)
    log.loc[log.index[:2], "start"] = pd.Timestamp("1970-01-01", tz="UTC")
    known = log["start"] > pd.Timestamp("1971-01-01", tz="UTC")
    (run,) = lab.Measurements.of(queries=log).runs.to_dict("records")
    end = (log["start"] + pd.to_timedelta(log["duration_ms"], unit="ms"))[known].max()
    assert run["start"] == log.loc[known, "start"].min()
    assert run["duration_ms"] == pytest.approx((end - run["start"]).total_seconds() * 1e3)
