"""A quantile of a handful of requests must not look like a fact."""

from __future__ import annotations

import pandas as pd
import pytest

import perflab as lab


@pytest.mark.parametrize(
    ("count", "p95", "p99"),
    [
        (10, "missing", "missing"),
        (19, "missing", "missing"),
        (20, "marked", "missing"),
        (99, "marked", "missing"),
        (100, "marked", "marked"),
        (199, "marked", "marked"),
        (200, "plain", "marked"),
        (999, "plain", "marked"),
        (1_000, "plain", "plain"),
    ],
)
def test_the_tail_of_few_requests_is_missing_or_marked(make_requests, count, p95, p99):
    table = lab.summarize(make_requests(count=count), warmup=0)
    rows = repr(table).splitlines()[1 : 1 + len(table)]
    whole = table.index[table["endpoint"] == "Aggregated"].item()
    for column, expected in (("p95_ms", p95), ("p99_ms", p99)):
        assert table[column].isna()[whole] == (expected == "missing")
        assert table.attrs["doubtful"][column][whole] == (expected == "marked")
    assert rows[whole].count("~") == [p95, p99].count("marked")
    notes = table.attrs["warnings"]
    found = {(n.code, n.facts["name"], n.facts.get("least") or n.facts.get("needed")) for n in notes}
    assert (("quantile-doubtful", "p95", 200) in found) == any(20 <= c < 200 for c in table["count"])
    assert (("quantile-missing", "p99", 100) in found) == (table["count"] < 100).any()
    assert "~" in table._repr_html_() or "marked" not in (p95, p99)


def test_what_is_made_of_a_summary_is_a_plain_table(make_requests, tmp_path):
    table = lab.summarize(make_requests(count=150), warmup=0)
    assert type(table[table["count"] > 0]) is pd.DataFrame
    table.to_parquet(tmp_path / "summary.parquet")
    assert pd.read_parquet(tmp_path / "summary.parquet").equals(pd.DataFrame(table))


def test_a_report_marks_what_hangs_on_few_requests_in_any_run(make_requests, tmp_path):
    """One run of 1,500 requests, one of 150."""
    runs = [make_requests(run=f"r{n}", count=n, seed=n).assign(endpoint="GET /", arm="now") for n in (1_500, 150)]
    text = lab.Report("x", [lab.Measurements.of(requests=pd.concat(runs))]).save(tmp_path / "x.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| GET / |"))
    p50, p95, p99 = (cell.strip() for cell in row.split("|")[5:8])
    assert (p50[:2] != "\\~", p95[:2], p99[:2]) == (True, "\\~", "\\~")
    lone = lab.Report("x", [lab.Measurements.of(requests=runs[0])]).save(tmp_path / "y.md").read_text()
    assert "~" not in next(line for line in lone.splitlines() if line.startswith("| GET / |"))
