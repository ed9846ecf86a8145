"""N+1: invariants of the result, the evidence levels, and the shapes that are none."""

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.queries.suggestions import PAGES

START = pd.Timestamp("2026-01-01T00:00:00Z")


def build(units, **columns):
    """A queries table from lists of (sql, rows) or sql, one list a unit."""
    rows = [
        {"unit": f"u{number}", "sql": s if isinstance(s, str) else s[0], "rows": None if isinstance(s, str) else s[1]}
        for number, unit in enumerate(units)
        for s in unit
    ]
    frame = pd.DataFrame(rows, columns=["unit", "sql", "rows"])
    start = START + pd.to_timedelta(np.arange(len(frame)), unit="ms")
    return frame.assign(run="r", start=start, duration_ms=0.5, **columns)


def authors(count, *, rows=True):
    parent = "SELECT id, name FROM author ORDER BY name"
    return [(parent, count) if rows else parent] + [
        f"SELECT id, title FROM book WHERE author_id = {i}" for i in range(count)
    ]


def evidence(queries, **options):
    return lab.find_n_plus_one(queries, **options)["evidence"].tolist()


def test_calls_that_grow_with_the_parent_are_confirmed():
    found = lab.find_n_plus_one(build([authors(n) for n in (3, 6, 8, 12, 5, 9, 20, 7, 6)]))
    row = found.iloc[0]
    assert (row.evidence, row.units, row.calls) == ("confirmed", 8, 73)
    assert row.slope == pytest.approx(1.0) and row.slope_low <= 1.0 <= row.slope_high and row.p_value < 0.01
    assert row.parent == "select id, name from author order by name"
    assert row.example_unit == "u6"


def test_few_units_are_likely():
    assert evidence(build([authors(8), authors(9)])) == ["likely"]


def test_one_batch_for_all_is_no_n_plus_one():
    queries = build(
        [[("SELECT id FROM author", 9), f"SELECT id FROM book WHERE author_id IN ({', '.join('123456789')})"]] * 9
    )
    found = lab.find_n_plus_one(queries)
    assert found.empty
    assert found.attrs["sentence"] == "no N+1 found in 18 statements of 9 units"
    assert repr(found) == "no N+1 found in 18 statements of 9 units"
    assert "no N+1 found" in found._repr_html_()


def test_the_same_values_again_are_duplicates():
    assert evidence(build([[("SELECT id FROM author", 9)] + ["SELECT v FROM country WHERE code = 'x'"] * 9])) == [
        "duplicate"
    ]


def test_a_fixed_set_of_keys_is_a_constant_fan_out():
    config = [f"SELECT value FROM setting WHERE name = 'key{i}'" for i in range(7)]
    assert evidence(build([["SELECT id, name FROM page", *config]] * 4)) == ["constant fan-out"]


def test_a_fan_out_that_does_not_grow_with_its_parent_is_constant():
    units = [
        [("SELECT id FROM page", n)] + [f"SELECT v FROM shard_map WHERE shard = {i} AND page = {n}" for i in range(6)]
        for n in (3, 4, 5, 6, 7, 8, 9, 10)
    ]
    assert evidence(build(units)) == ["constant fan-out"]


def test_lookups_after_nothing_are_a_loop_without_parent():
    assert evidence(
        build([[f"SELECT name FROM product WHERE id = {i}" for i in range(k, k + 7)] for k in (1, 20)])
    ) == ["loop without parent"]


def test_a_lookup_of_one_row_is_no_parent():
    units = [
        ["SELECT id, name FROM person WHERE id = 5"]
        + [f"SELECT name FROM product WHERE id = {i}" for i in range(k, k + 7)]
        for k in (1, 20)
    ]
    assert evidence(build(units)) == ["loop without parent"]


def test_writes_one_by_one_are_a_write_loop():
    assert evidence(build([[f"INSERT INTO log (a) VALUES ({i})" for i in range(9)]])) == ["write loop"]


def test_a_procedure_called_for_each_row_is_a_write_loop():
    found = lab.find_n_plus_one(build([[("SELECT id FROM parcel", 9)] + [f"CALL ship({i}, 'x')" for i in range(9)]]))
    assert found["evidence"].to_list() == ["write loop"] and found["calls_saved"].item() == 8
    assert "let the procedure take a set" in found["suggestion"].item()
    assert evidence(build([[f"CALL ship({i}, 'x')" for i in range(4)]] * 9)) == []
    assert evidence(build([["SELECT call FROM t WHERE id = 4"], ["SAVEPOINT call"] * 9])) == []


def test_two_lookups_in_one_loop_share_their_parent():
    unit = [("SELECT id, author_id, shop_id FROM book", 8)]
    for i in range(8):
        unit += [f"SELECT name FROM author WHERE id = {i}", f"SELECT name FROM shop WHERE id = {i}"]
    found = lab.find_n_plus_one(build([unit]))
    assert set(found.parent) == {"select id, author_id, shop_id from book"}
    assert set(found.evidence) == {"likely"}


def test_nested_loops_have_their_own_parents_and_the_slope_of_the_product():
    def unit(authors):
        lines = [("SELECT id FROM author", authors)]
        for a in range(authors):
            lines.append((f"SELECT id FROM book WHERE author_id = {a}", 3))
            lines += [(f"SELECT id FROM review WHERE book_id = {a}{b}", 2) for b in range(3)]
        return lines

    found = lab.find_n_plus_one(build([unit(n) for n in (5, 6, 7, 8, 9, 10, 11, 12)])).set_index("child")
    book, review = "select id from book where author_id = ?", "select id from review where book_id = ?"
    assert found.loc[review, "parent"] == book and found.loc[book, "parent"] == "select id from author"
    assert found.loc[book, "slope"] == pytest.approx(1) and found.loc[review, "slope"] == pytest.approx(1)


def test_a_range_beside_the_key_is_a_child_all_the_same():
    unit = [("SELECT id FROM sensor", 8)] + [
        f"SELECT v FROM reading WHERE sensor_id = {i} AND at > '2026-01-01'" for i in range(8)
    ]
    assert evidence(build([unit])) == ["likely"]


def test_paging_by_key_is_no_child():
    unit = ["SELECT id FROM genre"] + [
        f"SELECT id FROM book WHERE genre_id = 4 AND id > {i} ORDER BY id LIMIT 5" for i in range(0, 100, 10)
    ]
    found = lab.find_n_plus_one(build([unit, unit]))
    assert found["evidence"].to_list() == ["loop without parent"]
    assert found["calls_saved"].item() == 0
    assert found["suggestion"].item() == PAGES
    assert lab.find_duplicates(build([unit])).empty


def test_parameters_count_like_literals():
    unit = ["SELECT author.id FROM author"] + ["SELECT book.id FROM book WHERE ? = book.author_id"] * 8
    queries = build([unit])
    assert evidence(queries.assign(parameters=[[]] + [[i] for i in range(8)])) == ["likely"]
    assert evidence(queries.assign(parameters=[[]] + [[1]] * 8)) == ["duplicate"]


def test_by_unit_has_a_row_for_each_unit():
    found = lab.find_n_plus_one(build([authors(6), authors(3), authors(7)]), by="unit")
    assert found[["unit", "calls", "distinct_parameters", "evidence"]].values.tolist() == [
        ["u2", 7, 7, "likely"],
        ["u0", 6, 6, "likely"],
    ]
    assert list(found.columns) == ["unit", "parent", "child", "calls", "distinct_parameters", "time_ms", "evidence"]


def test_the_order_of_rows_does_not_matter():
    queries = build([authors(n) for n in (3, 6, 8, 12, 5, 9, 20, 7, 6)])
    shuffled = queries.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        pd.DataFrame(lab.find_n_plus_one(queries)), pd.DataFrame(lab.find_n_plus_one(shuffled))
    )


def test_the_threshold_counts():
    assert evidence(build([authors(4)])) == []
    assert evidence(build([authors(4)]), threshold=4) == ["likely"]


def test_an_empty_table_gives_an_empty_result():
    for by in ("pattern", "unit"):
        found = lab.find_n_plus_one(build([]), by=by)
        assert found.empty and "no N+1 found in 0 statements of 0 units" in repr(found)
        full = lab.find_n_plus_one(build([authors(6)]), by=by)
        assert list(found.columns) == list(full.columns)
        assert found.dtypes.astype(str).tolist() == full.dtypes.astype(str).tolist()


def test_no_literal_is_shown():
    unit = [("SELECT id FROM person", 9)] + [
        f"SELECT id FROM mail WHERE person_id = {i} AND address = 'secret{i}@x.org'" for i in range(9)
    ]
    found = lab.find_n_plus_one(build([unit]))
    assert len(found) == 1
    for shown in (repr(found), found._repr_html_(), found.to_csv()):
        assert "secret" not in shown


def test_bad_arguments_name_the_options():
    queries = build([authors(6)])
    with pytest.raises(ValueError, match="by must be one of 'pattern', 'unit'; got 'request'"):
        lab.find_n_plus_one(queries, by="request")
    with pytest.raises(ValueError, match="threshold must be a whole number of at least 2; got 1"):
        lab.find_n_plus_one(queries, threshold=1)
    with pytest.raises(lab.SchemaError, match="column 'duration_ms' is missing"):
        lab.find_n_plus_one(queries.drop(columns="duration_ms"))
    with pytest.raises(ValueError, match="queries must be a queries table or Measurements; got list"):
        lab.find_n_plus_one([])


def test_a_first_lookup_of_the_same_kind_hides_nothing():
    """The user who is logged in, then the authors of a list."""

    def unit(n):
        posts = [("SELECT id, author_id FROM post", n)]
        return ["SELECT name FROM author WHERE id = 99", *posts] + [
            f"SELECT name FROM author WHERE id = {i}" for i in range(n)
        ]

    found = lab.find_n_plus_one(build([unit(n) for n in (5, 6, 7, 8, 9, 10, 11, 12)]))
    assert found[["parent", "evidence"]].values.tolist() == [["select id, author_id from post", "confirmed"]]
    assert found["slope"][0] == pytest.approx(1)
    assert evidence(build([unit(4)])) == ["loop without parent"]


def test_a_worker_that_takes_the_next_job_has_no_parent():
    def unit(n):
        job = "SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1"
        return [
            s
            for i in range(n)
            for s in (
                (job, 1),
                (f"SELECT body FROM job WHERE id = {i}", 1),
                f"UPDATE job SET state = 'old' WHERE id = {i}",
            )
        ]

    levels = set(evidence(build([unit(n) for n in (5, 6, 7, 8, 9, 10, 11, 12)])))
    assert levels == {"write loop", "loop without parent"}


def test_pages_that_ask_the_same_statement_in_other_ways_are_told_apart():
    """Without routes: one page reads seven settings, another reads the same one for each line of its list."""
    page, setting = "SELECT id FROM page LIMIT {}", "SELECT value FROM setting WHERE name = 'k{}'"
    fixed = [[page.format(n), *[setting.format(i) for i in range(7)]] for n in (5, 10, 20, 30)]
    again = [[page.format(n), *[setting.format(1)] * n] for n in (5, 6, 7, 8, 9, 10)]
    assert sorted(evidence(build([*fixed, *again]))) == ["constant fan-out", "duplicate"]


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("SELECT kunden_nr, name FROM t_kunden", "SELECT * FROM auftraege WHERE kunden_nr = {}"),
        ("SELECT id, name FROM kunden", "SELECT * FROM auftraege WHERE fk_kunde = {}"),
        ("SELECT id, fk_kunde FROM auftraege", "SELECT name FROM kunden WHERE id = {}"),
        ("SELECT id_cliente, nombre FROM clientes", "SELECT * FROM pedidos WHERE id_cliente = {}"),
        ('SELECT "id", "title", "author" FROM "Book"', 'SELECT "name" FROM "Author" WHERE "id" = {}'),
        ('SELECT "BlogId", "Url" FROM "Blogs"', 'SELECT "Title" FROM "Posts" WHERE "BlogId" = {}'),
        ("SELECT b1_0.id, b1_0.name FROM author b1_0", "SELECT b2_0.title FROM book b2_0 WHERE b2_0.author_id = {}"),
        ("SELECT isbn, title FROM book", "SELECT stars FROM review WHERE isbn = '{}'"),
    ],
)
def test_keys_are_recognised_in_other_handwritings(parent, child):
    units = [[parent, *[child.format(i) for i in range(n)]] for n in (5, 9)]
    assert evidence(build(units)) == ["likely"]


@pytest.mark.parametrize(
    ("condition", "evidence"),
    [
        ("site_id = 7 AND at BETWEEN {low} AND {high}", "confirmed"),
        ("site_id = 7 AND at >= {low} AND at < {high}", "confirmed"),
        (
            "site_id = 7 AND at BETWEEN {low}::timestamp without time zone AND {high}::timestamp without time zone",
            "confirmed",
        ),
        ("at >= {low} AND at <= {high}", "confirmed"),
        ("site_id = 7 AND at > {low}", "confirmed"),
    ],
)
def test_a_range_from_the_parents_row_is_a_key(condition: str, evidence: str) -> None:
    """The key stands still because the list was made by it; what moves is a range of the parent's own."""
    start, rows = pd.Timestamp("2026-11-24T01:45:00Z"), []
    for unit in range(24):
        size = (5, 9, 14, 20)[unit % 4]
        said = [f"SELECT id, dusk, dawn FROM nights WHERE site_id = 7 ORDER BY id LIMIT {size}"]
        for night in range(size):
            asked = condition.format(low=1000 * unit + 10 * night, high=1000 * unit + 10 * night + 8)
            said.append(f"SELECT max(wind) FROM weather WHERE {asked}")
        rows += [{"run": "r", "unit": f"u{unit}", "sql": sql, "duration_ms": 0.5} for sql in said]
    frame = pd.DataFrame(rows)
    frame["start"] = start + pd.to_timedelta(range(len(frame)), unit="ms")
    found = lab.find_n_plus_one(frame)
    assert found["evidence"].to_list() == [evidence]


def test_an_open_end_is_a_page_unless_it_is_asked_for_each_row() -> None:
    parcels = "SELECT id, weight FROM parcel WHERE route_id = 3"
    tariff = "SELECT cents FROM tariff WHERE zone = 'A' AND up_to >= {} ORDER BY up_to LIMIT 1"
    each = [[(parcels, n)] + [tariff.format((7 * i + n) % 31) for i in range(n)] for n in SIZES]
    assert evidence(build(each)) == ["confirmed"]
    pages = [[(parcels, n)] + [tariff.format(20 * i) for i in range(5 + (3 * n) % 4)] for n in SIZES]
    found = lab.find_n_plus_one(build(pages))
    assert found["evidence"].to_list() == ["loop without parent"] and "No N+1" in found["suggestion"].item()


def test_an_id_in_the_list_says_nothing_of_a_key_that_is_no_reference() -> None:
    units = [
        ["SELECT id, day FROM holiday"]
        + [f"SELECT id FROM parcel WHERE tracking = 'T{n}{i}'" for i in range(5 + n % 4)]
        for n in range(12)
    ]
    assert evidence(build(units)) == ["loop without parent"]
    said = [[x.replace("day", "tracking") for x in unit] for unit in units]
    assert evidence(build(said)) == ["likely"]


def wards(count, child, *, parent="SELECT id, name FROM ward ORDER BY name", rows=True):
    return [(parent, count) if rows else parent] + [child.replace("@", str(i)) for i in range(count)]


SIZES = (6, 8, 12, 5, 9, 20, 7, 6)


@pytest.mark.parametrize(
    "condition",
    [
        "ward_id IN (@)",
        "state = 'open' AND ward_id IN (@)",
        "ward_id = ANY('{@}')",
        "ward_id = ANY(ARRAY[@])",
        "ward_id IN (@::integer)",
        "ward_id IN (@) AND at > 5",
    ],
)
def test_a_list_of_one_value_for_each_row_is_an_n_plus_one(condition: str) -> None:
    child = f"SELECT id FROM alert WHERE {condition}"
    found = lab.find_n_plus_one(build([wards(n, child) for n in SIZES]), dialect="postgresql")
    assert found["evidence"].to_list() == ["confirmed"] and found["slope"].item() == pytest.approx(1)
    assert "list of one value" in found["suggestion"].item()


@pytest.mark.parametrize("values", ["@, @1", "@, @1, @2"])
def test_batches_of_several_values_are_none(values: str) -> None:
    child = f"SELECT id FROM alert WHERE ward_id IN ({values})"
    assert evidence(build([wards(n, child) for n in SIZES])) == []
    assert evidence(build([wards(n, child, rows=False) for n in SIZES])) == []


def test_lists_of_one_are_told_from_batches_of_the_same_text() -> None:
    child = "SELECT id FROM alert WHERE ward_id IN (@)"
    batches = [[("SELECT id, name FROM ward ORDER BY name", 9)] + [child.replace("@", "1, 2, 3")] * 2 for _ in range(9)]
    found = lab.find_n_plus_one(build([wards(n, child) for n in SIZES] + batches))
    assert found["units"].to_list() == [8] and found["child"].item() == "select id from alert where ward_id in (...)"


def test_arrays_of_one_among_recorded_parameters() -> None:
    child = "SELECT id FROM alert WHERE ward_id = ANY($1)"
    queries = build([wards(n, child) for n in SIZES])
    asked = queries["sql"] == child
    one = queries.assign(parameters=[[[n]] if a else [] for n, a in enumerate(asked)])
    two = queries.assign(parameters=[[[n, n + 1]] if a else [] for n, a in enumerate(asked)])
    assert evidence(one) == ["confirmed"] and evidence(two) == []
    assert evidence(queries) == []  # nobody knows how many


def month(length, *, ward):
    days = [f"SELECT id FROM shift WHERE ward_id = {ward} AND day = {d}" for d in range(length)]
    return ["SELECT id, name, ward_id FROM app_user WHERE token = 'x'", *days]


def test_only_a_key_that_moves_ties_a_child_to_its_parent() -> None:
    found = lab.find_n_plus_one(build([month(n, ward=n) for n in (7, 14, 28, 7, 14, 28, 7, 14, 28)]))
    assert found["evidence"].to_list() == ["loop without parent"]
    assert "WHERE day IN" in found["suggestion"].item()
    nested = [
        ["SELECT id, ward_id FROM bed WHERE floor = 2"]
        + [f"SELECT id FROM shift WHERE ward_id = {w} AND day = 3" for w in range(n)]
        for n in SIZES
    ]
    assert evidence(build(nested)) == ["likely"]  # without rows nothing was tested


def test_rows_that_equal_the_calls_now_and_then_make_no_parent() -> None:
    """A list that names nobody, and lookups of what the client asked for: six rows, and five to nine lookups."""
    units = [
        [("SELECT code, title FROM grade", 6)] + [f"SELECT name FROM nurse WHERE id = {n}{i}" for i in range(5 + n % 5)]
        for n in range(15)
    ]
    assert set(evidence(build(units))) == {"loop without parent"}
    always = [
        [("SELECT code, title FROM grade", n)] + [f"SELECT name FROM nurse WHERE id = {n}{i}" for i in range(n)]
        for n in SIZES
    ]
    assert evidence(build(always)) == ["confirmed"]


def test_what_nearly_every_unit_asks_is_no_parent() -> None:
    def unit(*sql):
        return ["SELECT id, name, ward_id FROM app_user WHERE shift = 4", *sql]

    lookups = [unit(*(f"SELECT name FROM nurse WHERE id = {n}{i}" for i in range(5 + n % 5))) for n in range(9)]
    others = [unit(f"SELECT name FROM ward WHERE code = 'c{n}'") for n in range(30)]
    assert evidence(build(lookups + others)) == ["loop without parent"]
    assert evidence(build(lookups)) == ["likely"]


def test_ids_first_then_each_row_by_its_id() -> None:
    def unit(n):
        return ["SELECT id FROM shift WHERE day = 4"] + [f"SELECT slot FROM shift WHERE id = {i}" for i in range(n)]

    assert evidence(build([unit(n) for n in SIZES])) == ["likely"]
    other = [["SELECT name FROM ward", *unit(n)[1:]] for n in SIZES]
    assert evidence(build(other)) == ["loop without parent"]


@pytest.mark.parametrize(
    ("child", "advice"),
    [
        ("SELECT count(*) FROM shift WHERE ward_id = @", "SELECT ward_id, count(...) FROM shift"),
        ("SELECT EXISTS (SELECT 1 FROM shift WHERE ward_id = @)", "SELECT DISTINCT ward_id FROM shift"),
        ("SELECT 1 AS a FROM shift WHERE ward_id = @ LIMIT 1", "SELECT DISTINCT ward_id FROM shift"),
        ("SELECT shift.id FROM shift WHERE shift.ward_id = @ ORDER BY shift.day DESC LIMIT 1", "PARTITION BY ward_id"),
        ("SELECT shift.id FROM shift WHERE shift.ward_id = @ ORDER BY shift.day", "selectinload(Ward."),
        ("SELECT ward.id FROM ward WHERE ward.parent_id = @", "WHERE parent_id IN (...)"),
        ('SELECT "s"."id" FROM "shift" "s" WHERE "s"."ward_id" = @', "one batch after it"),
        ('SELECT "shift"."id" FROM "shift" WHERE "shift"."ward_id" = @', "prefetch_related"),
    ],
)
def test_the_advice_fits_what_the_child_asks(child: str, advice: str) -> None:
    found = lab.find_n_plus_one(build([wards(n, child) for n in SIZES]))
    assert found["evidence"].to_list() == ["confirmed"] and advice in found["suggestion"].item()


def test_of_two_claims_the_dearer_is_first() -> None:
    sure = [authors(n) for n in (6, 8, 12, 5, 9, 20, 7, 6)]
    dear = [("SELECT id, name FROM ward", 9)] + [f"SELECT id FROM shift WHERE ward_id = {i}" for i in range(9)]
    queries = build([*sure, dear])
    queries["duration_ms"] = queries["duration_ms"].where(~queries["sql"].str.contains("shift"), 50)
    assert evidence(queries) == ["likely", "confirmed"]
    loop = [f"INSERT INTO log (a) VALUES ({i})" for i in range(9)]
    queries = build([*sure, loop])
    queries["duration_ms"] = queries["duration_ms"].where(~queries["sql"].str.contains("log"), 50)
    assert evidence(queries) == ["confirmed", "write loop"]


def test_prepared_statements_are_told_apart_by_their_names() -> None:
    """They have one fingerprint, since clients make the names up."""
    several = [f"EXECUTE get_{name}(5)" for name in ("user", "cart", "wishes", "orders", "address", "rights")]
    frame = pd.DataFrame({"sql": ["SELECT id, name FROM shop", *several], "duration_ms": 0.2, "unit": "r"})
    assert lab.find_n_plus_one(frame).empty
    loop = [f"EXECUTE goods_of({i})" for i in range(8)]
    frame = pd.DataFrame({"sql": ["SELECT id, name FROM shop", *several, *loop], "duration_ms": 0.2, "unit": "r"})
    assert lab.find_n_plus_one(frame)["calls"].tolist() == [8]
