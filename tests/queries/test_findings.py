"""Duplicates, write loops, slow statements, before and after, the gate: what they count, and that no value is ever shown."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

import perflab as lab

START = pd.Timestamp("2026-01-01T00:00:00Z")
HOSTILE = ("<script>alert(1)</script>", '<img src=x onerror="alert(2)">', "jane.doe@example.org", "$x_secret$")


def build(*units: list[str], ms: float = 0.5, **columns: object) -> pd.DataFrame:
    rows = [{"unit": f"u{number}", "sql": sql} for number, unit in enumerate(units) for sql in unit]
    frame = pd.DataFrame(rows, columns=["unit", "sql"])
    start = START + pd.to_timedelta(np.arange(len(frame)), unit="ms")
    return frame.assign(run="r", start=start, duration_ms=ms, **columns)


def lazy(count: int, value: str = "x") -> list[str]:
    return ["SELECT id, name FROM author"] + [
        f"SELECT title FROM book WHERE author_id = {i} AND note <> '{value}{i}'" for i in range(count)
    ]


EAGER = ["SELECT id, name FROM author", "SELECT title FROM book WHERE author_id IN (1, 2, 3)"]


# Duplicates -------------------------------------------------------------------------------------------------------


def test_the_same_question_in_one_unit_is_needless_from_the_second_time_on():
    same, other = "SELECT v FROM setting WHERE name = 'a'", "SELECT v FROM setting WHERE name = 'b'"
    found = lab.find_duplicates(build([same, same, other, same], [same]))
    assert found[["units", "calls", "needless", "time_saved_ms"]].values.tolist() == [[1, 3, 2, 1.0]]
    assert found.attrs["sentence"].startswith("2 needless calls in 5 statements of 2 units")


def test_reading_again_after_a_write_is_not_needless():
    read, write = "SELECT amount FROM stock WHERE id = 1", "UPDATE stock SET amount = 2 WHERE id = 1"
    assert lab.find_duplicates(build([read, write, read])).empty
    assert len(lab.find_duplicates(build([read, "UPDATE other SET a = 2", read]))) == 1


def test_values_that_are_not_known_are_not_taken_for_equal():
    asked = build(["SELECT v FROM t WHERE id = ?"] * 3)
    assert lab.find_duplicates(asked).empty
    assert lab.find_duplicates(asked.assign(parameters=[[1], [2], [3]])).empty
    assert lab.find_duplicates(asked.assign(parameters=[[1], [1], [3]]))["needless"].tolist() == [1]


def test_comments_with_ids_do_not_hide_a_duplicate():
    asked = build([f"SELECT v FROM t WHERE id = 1 /*traceparent='00-{i:032d}-0000000000000001-01'*/" for i in (1, 1)])
    assert lab.find_duplicates(asked.drop(columns="unit"))["needless"].tolist() == [1]


def test_a_write_loop_names_the_bulk_call():
    inserts = [f"INSERT INTO line (a) VALUES ({i})" for i in range(9)]
    found = lab.queries.find_write_loops(build(inserts, inserts[:3]))
    assert found[["calls", "calls_saved"]].values.tolist() == [[9, 8]]
    assert "Write line in one statement" in found["suggestion"][0]


# Slow -------------------------------------------------------------------------------------------------------------


def test_slow_calls_and_many_calls_are_told_apart():
    frame = build(lazy(20), ["SELECT * FROM big"], ["SELECT * FROM little"])
    frame.loc[frame["sql"].str.contains("big"), "duration_ms"] = 400.0
    found = lab.find_slow(frame, slow="100ms", least="1%").set_index("fingerprint")
    assert found.loc["select * from big", "reason"] == "slow calls"
    assert found.loc["select * from big", "slowest_unit"] == "u1"
    assert "select * from little" not in found.index
    many = [text for text in found.index if "book" in text]
    assert found.loc[many, "reason"].tolist() == ["many calls"]
    assert found["time_fraction"].sum() <= 1
    with pytest.raises(ValueError, match="slow must be a duration"):
        lab.find_slow(frame, slow="soon")


# Before and after -------------------------------------------------------------------------------------------------


def test_a_fix_is_seen():
    found = lab.compare_queries(build(*[lazy(n) for n in (8, 9, 10, 11, 12, 13)]), build(*[EAGER] * 6))
    by_verdict = found.set_index("verdict")
    assert by_verdict.loc["gone", ["calls_before", "calls_after"]].tolist() == [10.5, 0]
    assert by_verdict.loc["new", ["calls_before", "calls_after"]].tolist() == [0, 1]
    assert by_verdict.loc["equivalent", ["calls_before", "calls_after"]].tolist() == [1, 1]
    assert "runs 2 statements instead of 11.5" in found.attrs["sentence"]


def test_fewer_calls_need_more_than_luck():
    before = build(*[lazy(n) for n in (5, 15, 7, 12, 9, 10)])
    alike = build(*[lazy(n) for n in (6, 14, 8, 11, 10, 10)])
    fewer = build(*[lazy(n) for n in (1, 3, 2, 2, 1, 2)])
    assert set(lab.compare_queries(before, alike)["verdict"]) == {"equivalent", "inconclusive"}
    changed = lab.compare_queries(before, fewer).iloc[0]
    assert changed["verdict"] == "improved"
    assert changed["change_low"] < changed["change_high"] < 0
    assert lab.compare_queries(fewer, before).iloc[0]["verdict"] == "regressed"


def test_another_mix_of_requests_changes_nothing():
    def mix(statements: list[str], **counts: int) -> pd.DataFrame:
        parts = [build(*[statements] * n).assign(route=f"/{r}") for r, n in counts.items()]
        return pd.concat([part.assign(unit=part["unit"] + part["route"]) for part in parts])

    many, few = mix(lazy(9), a=9, b=1), mix(EAGER, b=9, c=1)
    found = lab.compare_queries(many, few)
    assert set(found["route"]) == {"/b"}
    (note,) = found.warnings
    assert note.code == "routes-left-out" and note.facts["names"] == ["/a", "/c"]
    with pytest.raises(ValueError, match="must have a route in common; got /a and /c"):
        lab.compare_queries(many[many["route"] == "/a"], few[few["route"] == "/c"])


def test_a_comparison_with_itself_says_nothing_changed():
    same = build(*[lazy(n) for n in (8, 9, 10, 11, 12, 13)])
    found = lab.compare_queries(same, same)
    assert set(found["verdict"]) <= {"equivalent", "inconclusive"}
    assert "no change in calls" in found.attrs["sentence"]


# Empty tables, and values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "find",
    [
        lab.find_duplicates,
        lab.queries.find_write_loops,
        lab.find_slow,
        lab.queries.summarize_units,
        lab.summarize_queries,
    ],
)
def test_an_empty_table_gives_an_empty_result_of_the_same_columns(find):
    full = find(build(lazy(6), [f"INSERT INTO t (a) VALUES ({i})" for i in range(9)], ["SELECT 1 FROM t"] * 3))
    empty = find(build())
    assert empty.empty
    assert list(empty.columns) == list(full.columns)
    assert len(full)
    assert repr(empty)


def test_no_value_is_ever_shown():
    def unit(value: str) -> list[str]:
        doubled = value.replace(chr(34), chr(34) * 2)
        return [
            *lazy(7, value),
            *[f"SELECT v FROM person WHERE mail = '{value}'"] * 6,
            *[f"INSERT INTO mail (body) VALUES ('{value}{i}')" for i in range(6)],
            f"SELECT a FROM t WHERE b = '{value}' AND c = \"{doubled}\" -- {value}",
        ]

    units = [unit(value) for value in HOSTILE]
    queries = build(*units, *units, ms=200.0, parameters=[[v] for _ in range(2) for v in HOSTILE for _ in units[0]])
    for dialect in ("mysql", "generic"):
        shown = [
            sql for unit in units for sql in (unit if dialect == "mysql" else unit[:-1])
        ]  # in double quotes: a string in MySQL only
        table = queries[queries["sql"].isin(shown)]
        results = [
            lab.find_n_plus_one(table, dialect=dialect),
            lab.find_n_plus_one(table, by="unit", dialect=dialect),
            lab.find_duplicates(table, dialect=dialect),
            lab.queries.find_write_loops(table, dialect=dialect),
            lab.find_slow(table, dialect=dialect),
            lab.summarize_queries(table, dialect=dialect),
            lab.queries.summarize_units(table, dialect=dialect),
            lab.compare_queries(table, table, dialect=dialect),
        ]
        for result in results:
            assert len(result)
            for text in (repr(result), result._repr_html_(), result.to_csv(), str(dict(result.attrs))):
                assert not [value for value in HOSTILE if value in text]
                assert "alert" not in text
        with pytest.raises(AssertionError) as caught:
            lab.assert_no_n_plus_one(table, dialect=dialect)
        assert not [value for value in HOSTILE if value in str(caught.value)]
        axes = lab.plot_waterfall(table, dialect=dialect)
        texts = " ".join(t.get_text() for t in axes.figure.findobj(lambda a: hasattr(a, "get_text")))
        assert "alert" not in texts
        assert not [value for value in HOSTILE if value in texts]


def test_a_report_of_findings_holds_no_value(tmp_path):
    queries = build(lazy(7, HOSTILE[0]), lazy(9, HOSTILE[1]))
    found = lab.find_n_plus_one(queries)
    for name in ("report.md", "report.html"):
        path = lab.Report("N+1", [found, lab.summarize_queries(queries)]).save(tmp_path / name)
        text = path.read_text()
        assert "alert" not in text
        assert "author_id" in text.replace("\\", "")


def test_hostile_names_are_escaped():
    """A route, a unit and a call site come from outside, too."""
    queries = build(lazy(7)).assign(route="<img src=x onerror=alert(1)>", source="<script>", unit="<b>unit</b>")
    html = lab.find_n_plus_one(queries)._repr_html_()
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img" in html


# The gate ---------------------------------------------------------------------------------------------------------


def test_the_gate_names_parent_child_call_site_and_fix():
    queries = build(lazy(8)).assign(source="shop/views.py:31", route="GET /authors")
    with pytest.raises(AssertionError) as caught:
        lab.assert_no_n_plus_one(queries)
    text = str(caught.value)
    for part in (
        "1 N+1 found",
        "ran 8 times",
        "in GET /authors",
        "from author",
        "shop/views.py:31",
        "Load book",
    ):
        assert part in text


def test_the_gate_lets_the_rest_pass():
    lab.assert_no_n_plus_one(build(EAGER, lazy(4), ["SELECT v FROM setting WHERE name = 'a'"] * 9))
    lab.assert_no_n_plus_one(build(lazy(8)), threshold=9)
    lab.assert_no_n_plus_one(build(lazy(8)), allow=["from book"])
    config = ["SELECT id FROM page"] + [f"SELECT value FROM setting WHERE name = 'k{i}'" for i in range(7)]
    lab.assert_no_n_plus_one(build(config))
    with pytest.raises(ValueError, match="allow must be a sequence"):
        lab.assert_no_n_plus_one(build(lazy(8)), allow="book")


# Pictures ---------------------------------------------------------------------------------------------------------


def test_the_waterfall_has_a_bar_for_each_statement():
    queries = build(lazy(8), lazy(3))
    axes = lab.plot_waterfall(queries, "u0")
    assert sum(len(c.get_paths()) for c in axes.collections) == 9
    assert [t.get_text() for t in axes.get_yticklabels()][-1].endswith("× 8")
    with pytest.raises(ValueError, match=r"unit must be one of these queries', such as .*; got 'u9'"):
        lab.plot_waterfall(queries, "u9")
    with pytest.raises(ValueError, match="queries must hold statements with the instants"):
        lab.plot_waterfall(build())


def test_a_waterfall_of_ten_thousand_statements_is_one_picture():
    axes = lab.plot_waterfall(build(lazy(10_000)))
    assert len(axes.collections) == 2


def test_the_scaling_plot_shows_the_slope_that_was_found():
    queries = build(*[lazy(n) for n in (5, 7, 9, 11, 6, 8, 10, 12)])
    sizes = queries.groupby("unit")["sql"].transform("size") - 1
    queries["rows"] = np.where(queries["sql"].str.contains("FROM author"), sizes, 1)
    axes = lab.plots.plot_scaling(queries)
    (line,) = [x for x in axes.lines if len(x.get_xdata()) == 2]
    rise = np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0]
    assert rise == pytest.approx(lab.find_n_plus_one(queries)["slope"][0]) == pytest.approx(1)
    assert axes.get_xlabel() == "Rows of the parent"
    with pytest.raises(ValueError, match=r"pattern must be a row of find_n_plus_one, 0 to 0; got 3"):
        lab.plots.plot_scaling(queries, 3)


# Hostile statements -----------------------------------------------------------------------------------------------


def test_long_lists_of_columns_and_comments_take_no_time():
    """Forty columns before an expression, and a comment of a million characters that looks like a tag."""
    columns = ", ".join(f"book.column_{i}" for i in range(40))
    loop = [f"SELECT {columns}, count(*) FROM book WHERE author_id = {i}" for i in range(8)]
    comment = "/*" + "controller:a," * 80_000 + "*/"
    queries = build(["SELECT id FROM author", *loop, f"SELECT 1 FROM t {comment}"])
    start = time.perf_counter()
    assert "likely" in lab.find_n_plus_one(queries)["evidence"].tolist()
    lab.queries.summarize_units(queries.drop(columns="unit"))
    assert time.perf_counter() - start < 60  # either of them took hours
