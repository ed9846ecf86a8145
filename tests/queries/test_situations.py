# ruff: noqa: E501
"""N+1 in the situations that other detectors test, behind any predicate, and not in what only looks like one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pandas as pd
import pytest
from situations import SITUATIONS, loop, table

import perflab as lab
from perflab.queries.claims import CLAIMS

SIZES = (5, 7, 9, 12, 6, 18, 15, 8, 20, 11, 10, 14)
HOW = {"literals": {}, "blank": {"blank": True}, "rows": {"rows": True}}


def together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The findings of one log that holds all of these, a route each."""
    parts = [part.assign(route=name, unit=part["unit"] + name) for name, part in tables.items()]
    return lab.find_n_plus_one(pd.concat(parts, ignore_index=True))


def claimed(found: pd.DataFrame) -> bool:
    return bool(found["evidence"].isin(CLAIMS).any())


@pytest.mark.parametrize(
    ("sizes", "how", "missed"),
    [((12,), "literals", 2), ((12,), "blank", 10), ((12,), "rows", 0), (SIZES, "literals", 0), (SIZES, "blank", 0), (SIZES, "rows", 0)],
)  # fmt: skip
def test_situations_of_other_detectors(sizes: tuple[int, ...], how: str, missed: int) -> None:
    wrong = []
    everything = together({s.name: table(s.unit, sizes, **HOW[how]) for s in SITUATIONS})
    for situation in SITUATIONS:
        found = everything[everything["route"] == situation.name]
        levels = set(found["evidence"])
        if situation.truth == "n+1":
            wrong += [situation.name] if not claimed(found) else []
        else:
            assert not claimed(found), situation.name
            assert situation.truth != "writes" or "write loop" in levels, situation.name
            assert situation.truth != "loop" or levels == {"loop without parent"}, situation.name
    assert len(wrong) <= missed, wrong
    assert len(SITUATIONS) == 72


@pytest.mark.parametrize("key", ["followed_id", "follower_id"])
@pytest.mark.parametrize("blank", [False, True])
def test_who_does_or_suffers_a_thing_is_not_its_key(key: str, blank: bool) -> None:
    unit = loop("SELECT id, name FROM account", f"SELECT count(*) FROM follow WHERE {key} = #")
    assert claimed(lab.find_n_plus_one(table(unit, SIZES, blank=blank)))


LIST = "SELECT id, title FROM album ORDER BY title LIMIT {n} OFFSET 40"
PREDICATES = [
    "SELECT * FROM song WHERE album_id = {i}",
    "SELECT * FROM song s WHERE (s.album_id = {i} AND 1=1) LIMIT 1 OFFSET 0",
    "SELECT * FROM song WHERE album_id IN ({i})",
    "SELECT * FROM song WHERE album_id = ANY('{{{i}}}')",
    "SELECT * FROM song WHERE album_id = ANY(ARRAY[{i}])",
    "SELECT * FROM song WHERE album_id = '{i}'::bigint",
    "SELECT * FROM song WHERE album_id::text = '{i}'",
    "SELECT * FROM song WHERE CAST(album_id AS text) = '{i}'",
    "SELECT * FROM person WHERE lower(mail) = lower('p{i}@x.org')",
    "SELECT * FROM event WHERE payload->>'album' = '{i}'",
    "SELECT * FROM event WHERE payload @> '{{\"album\": {i}}}'",
    "SELECT * FROM event WHERE payload #>> '{{album,id}}' = '{i}'",
    "SELECT * FROM song WHERE album_id IN (SELECT {i})",
    "SELECT EXISTS (SELECT 1 FROM song WHERE album_id = {i})",
    "SELECT * FROM songs_of({i})",
    "SELECT price_of({i})",
    "WITH s AS (SELECT * FROM song WHERE album_id = {i}) SELECT * FROM s",
    "SELECT * FROM (SELECT {i} AS id) a CROSS JOIN LATERAL (SELECT * FROM song WHERE song.album_id = a.id LIMIT 3) x",
    "SELECT id FROM song WHERE album_id = {i} UNION ALL SELECT id FROM clip WHERE album_id = {i}",
    "SELECT * FROM song WHERE (shop_id, album_id) = (5, {i})",
    "SELECT * FROM folder WHERE path LIKE '/x/{i}/%'",
    "SELECT * FROM folder WHERE path ~ '^/x/{i}/'",
    "SELECT sum(v) FROM sample WHERE at BETWEEN {i}0 AND {i}9",
    "SELECT * FROM note WHERE to_tsvector(body) @@ plainto_tsquery('title {i}')",
    "SELECT * FROM note WHERE MATCH(body) AGAINST('title {i}')",
    "SELECT * FROM song WHERE album_ids @> ARRAY[{i}]",
    "SELECT * FROM place WHERE ST_DWithin(spot, ST_MakePoint({i}.5, {i}.25), 100)",
    "SELECT s.* FROM song s JOIN album a ON a.id = s.album_id WHERE a.id = {i}",
    'SELECT * FROM "Song" WHERE "Song"."albumId" = {i}',
    "SELECT [s].[Id] FROM [Song] AS [s] WHERE [s].[AlbumId] = {i}",
    "SELECT * FROM song WHERE shop_id = 5 AND album_id = {i} AND deleted_at IS NULL ORDER BY no LIMIT 50",
    "SELECT * FROM song WHERE album_id = {i} ORDER BY id FETCH FIRST 1 ROWS ONLY",
    "SELECT * FROM song WHERE (album_id = {i}) IS TRUE",
    "SELECT * FROM song WHERE coalesce(album_id, 0) = {i}",
    "SELECT * FROM song WHERE album_id = {i} FOR UPDATE",
    "SELECT album_id, count(*) FROM song GROUP BY album_id HAVING album_id = {i}",
    "SELECT * FROM song WHERE album_id IS NOT DISTINCT FROM {i}",
    "SELECT * FROM letter WHERE from_id = {i} OR to_id = {i}",
    "EXECUTE songs_of({i})",
    "SET LOCAL app.shop = 5; SELECT * FROM song WHERE album_id = {i}",
]


def units(unit: Callable[[int, random.Random], list[str]], count: int = 12) -> pd.DataFrame:
    """A queries table of so many units; sizes and values are drawn."""
    draw = random.Random(11)
    said = [(f"u{u}", sql) for u in range(count) for sql in unit(draw.randint(5, 20), draw)]
    frame = pd.DataFrame(said, columns=["unit", "sql"])
    start = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(range(len(frame)), unit="ms")
    return frame.assign(run="r", start=start, duration_ms=0.4)


def test_a_read_for_each_row_is_found_whatever_its_predicate() -> None:
    def unit(child: str) -> Callable[[int, random.Random], list[str]]:
        return lambda n, draw: [LIST.format(n=n), *(child.format(i=i) for i in draw.sample(range(100, 999), n))]

    found = together({child: units(unit(child)) for child in PREDICATES})
    shown = set(found["route"])
    missed = [child for child in PREDICATES if not claimed(found[found["route"] == child])]
    assert shown == set(PREDICATES)
    assert len(PREDICATES) == 40
    assert not missed


def some(draw: random.Random, n: int, most: int = 999) -> list[int]:
    return [draw.randint(1, most) for _ in range(n)]


def few(draw: random.Random) -> int:
    return draw.randint(5, 9)


ANY_LIST = "SELECT id, name FROM city ORDER BY size LIMIT {n}"
LOOK_ALIKES: dict[str, Callable[[int, random.Random], list[str]]] = {
    "roles preloaded": lambda n, r: ["SELECT * FROM claim WHERE id = 4", *(f"SELECT * FROM staff WHERE staff.id IN ({i})" for i in some(r, 6))],
    "roles preloaded, one to four rows": lambda n, r: [
        "SELECT * FROM claim LIMIT 4",
        *(f"SELECT * FROM staff WHERE staff.id IN ({', '.join(map(str, some(r, 1 + n % 4)))})" for _ in range(6)),
    ],
    "batches": lambda n, r: [LIST.format(n=n), *(f"SELECT * FROM song WHERE album_id IN ({i}, {i + 1}, {i + 2})" for i in some(r, n))],
    "permissions": lambda n, r: [f"SELECT * FROM users WHERE id = {n}", *(f"SELECT 1 FROM grants WHERE user_id = {n} AND perm = '{p}'" for p in "abcdefg")],
    "states": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT count(*) FROM claim WHERE state = '{s}'" for s in "abcdef")],
    "hours": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT avg(v) FROM sample WHERE at >= '{n} {h}:00' AND at < '{n} {h}:59'" for h in range(24))],
    "parents up to the root": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT * FROM area WHERE id = {i}" for i in some(r, few(r)))],
    "as it is typed": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT id FROM street WHERE name LIKE '{'harbour'[:k]}%'" for k in range(1, 8))],
    "polling": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT * FROM event WHERE id > {100 * n + k} ORDER BY id LIMIT 100" for k in range(few(r)))],
    "pages by offset": lambda n, r: ["SELECT count(*) FROM trip", *(f"SELECT * FROM trip ORDER BY id LIMIT 20 OFFSET {20 * k}" for k in range(few(r)))],
    "pages of a key": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT * FROM trip WHERE boat_id = {n} ORDER BY id LIMIT 20 OFFSET {20 * k}" for k in range(few(r)))],
    "numbers of a sequence": lambda n, r: [LIST.format(n=n), *("SELECT nextval('song_id_seq')" for _ in range(n))],
    "locks": lambda n, r: [LIST.format(n=n), *(f"SELECT pg_advisory_xact_lock({i})" for i in some(r, n))],
    "texts of a page": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT text FROM wording WHERE lang = 'en' AND key = 'p{n}.{k}'" for k in range(8))],
    "an import that checks and inserts": lambda n, r: [
        ANY_LIST.format(n=n),
        *(s for i in some(r, 8, 10**6) for s in (f"SELECT id FROM person WHERE ext_id = 'x{i}'", "INSERT INTO person (ext_id) VALUES ('y')")),
    ],
    "the driver's types": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT typname FROM pg_type WHERE oid = {o}" for o in (16, 20, 21, 23, 25, 114))],
    "ids of the client": lambda n, r: ["SELECT * FROM users WHERE id = 4", *(f"SELECT * FROM song WHERE id = {i}" for i in some(r, few(r)))],
    "codes of the client": lambda n, r: ["SELECT id FROM shop WHERE host = 'a.example'", *(f"SELECT * FROM goods WHERE shop_id = 3 AND sku = 's{i}'" for i in some(r, n))],
    "a loader by level": lambda n, r: ["SELECT * FROM folder WHERE id = 1", *(f"SELECT * FROM folder WHERE parent_id IN ({', '.join(map(str, some(r, 2 + k % 3)))})" for k in range(6))],
    "one table a month": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT count(*) FROM log_2026_{m:02d} WHERE user_id = 7" for m in range(1, 9))],
    "a queue's worker": lambda n, r: [s for i in some(r, few(r)) for s in ("SELECT id FROM job WHERE state = 'new' LIMIT 1", f"SELECT body FROM job WHERE id = {i}", f"UPDATE job SET state = 'old' WHERE id = {i}")],
    "a retry with savepoints": lambda n, r: [ANY_LIST.format(n=n), *(s for i in range(5) for s in ("SAVEPOINT a", f"SELECT * FROM stock WHERE slot = {i} FOR UPDATE", "ROLLBACK TO SAVEPOINT a"))],
    "shards": lambda n, r: [ANY_LIST.format(n=n), *(f"SELECT count(*) FROM orders WHERE shard = {k}" for k in range(8))],
    "settings": lambda n, r: ["SELECT * FROM site", *(f"SELECT value FROM setting WHERE name = 's{k}'" for k in range(7))],
    "the same row again": lambda n, r: [ANY_LIST.format(n=n), *("SELECT plan FROM account WHERE id = 5" for _ in range(few(r)))],
}  # fmt: skip


def test_look_alikes_are_not_claimed() -> None:
    assert len(LOOK_ALIKES) == 25
    found = together({name: units(unit) for name, unit in LOOK_ALIKES.items()})
    assert found[found["evidence"].isin(CLAIMS)].empty


def test_six_lines_are_no_loop_and_two_loops_are_two_rows() -> None:
    posts, notes = "SELECT id, author_id FROM post", "SELECT id, author_id FROM note"
    author = "SELECT name FROM author WHERE id = {}"
    lines = [(posts, "a.py:1"), *((author.format(i), f"a.py:{20 + i}") for i in range(6))]
    loops = [
        (posts, "a.py:1"), *((author.format(i), "a.py:2") for i in range(10)),
        (notes, "b.py:1"), *((author.format(50 + i), "b.py:2") for i in range(7)),
    ]  # fmt: skip

    def found(said: list[tuple[str, str]]) -> pd.DataFrame:
        frame = pd.DataFrame(said, columns=["sql", "source"]).assign(unit="u", duration_ms=0.2)
        return lab.find_n_plus_one(frame)

    assert found(lines).empty
    two = found(loops).sort_values("calls")
    assert two[["calls", "source", "parent"]].values.tolist() == [
        [7, "b.py:2", "select id, author_id from note"],
        [10, "a.py:2", "select id, author_id from post"],
    ]
    frame = pd.DataFrame(loops, columns=["sql", "source"]).assign(unit="u", duration_ms=0.2)
    with pytest.raises(AssertionError, match=r"a\.py:2[\s\S]*b\.py:2|b\.py:2[\s\S]*a\.py:2"):
        lab.assert_no_n_plus_one(frame)
    lab.assert_no_n_plus_one(frame, allow=["a.py:2", "b.py:2"])


Unit = Callable[[int, random.Random], list[tuple[str, int]]]


def tree(key: str, top: int = 3, *, text: str = "SELECT id, name, {key} FROM category WHERE {key} = {i}") -> Unit:
    """All nodes of a tree, each asked for its children; the first of ``top`` levels have two or three."""

    def below(node: int, level: int, draw: random.Random) -> list[tuple[str, int]]:
        children = draw.randint(2, 3) if level < top else 0
        asked = [(text.format(key=key, i=node), children)]
        return asked + [s for k in range(children) for s in below(10 * node + k, level + 1, draw)]

    return lambda n, draw: below(draw.randint(1, 9), 0, draw)


def asked_of_the_client(text: str) -> Unit:
    return lambda n, draw: [(text.format(i=i), draw.randint(0, 3)) for i in draw.sample(range(100, 999), n)]


def each(parent: str, child: Callable[[int, int, int], list[tuple[str, int]]]) -> Unit:
    """The n rows of a list, then for each row what ``child`` says: of the unit's own value, the row's key and its number."""

    def unit(n: int, draw: random.Random) -> list[tuple[str, int]]:
        me, keys = draw.randint(1000, 9000), draw.sample(range(100, 999), n)
        return [(parent.format(me=me, n=n), n), *(s for number, key in enumerate(keys) for s in child(me, key, number))]

    return unit


POSTS = "SELECT id, title, author_id FROM post ORDER BY id DESC LIMIT {n}"
OF_AUTHOR = "SELECT id, title, author_id FROM post WHERE author_id = {me} LIMIT {n}"
CLAIM, NO_CLAIM = True, False
BY_KIND: dict[str, tuple[Unit, bool, bool]] = {  # the unit, whether it is an N+1, and whether that shows without rows
    "tree by parent_id": (tree("parent_id"), CLAIM, True),
    "tree by parentCategoryId": (tree("parentCategoryId"), CLAIM, True),
    "tree by reports_to": (tree("reports_to", text="SELECT id, {key} FROM employee WHERE {key} = {i} ORDER BY name"), CLAIM, True),
    "tree by answer_to": (tree("answer_to"), CLAIM, True),
    "tree by part_of_id": (tree("part_of_id"), CLAIM, True),
    "members of the client's teams": (asked_of_the_client("SELECT id, name FROM person WHERE member_of = {i}"), NO_CLAIM, True),
    "tree by a name of its own": (tree("belongs_to_id"), CLAIM, False),
    "tree of all columns": (tree("parent", text="SELECT * FROM folder WHERE {key} = {i}"), CLAIM, True),
    "children of the client's kind and id": (asked_of_the_client("SELECT id, body FROM note WHERE parent_type = 'post' AND parent_id = {i}"), NO_CLAIM, True),
    "teams of the client's ids": (asked_of_the_client("SELECT id, manager_id FROM project WHERE manager_id = {i}"), NO_CLAIM, True),
    "the client's ids after a list that refers to other tables": (lambda n, draw: [(POSTS.format(n=n), n), *((f"SELECT id, percent FROM voucher WHERE id = {i}", 1) for i in some(draw, few(draw)))], NO_CLAIM, True),
    "the client's ids after a list of the same": (lambda n, draw: [("SELECT id, title FROM post ORDER BY id LIMIT 20", 20), *((f"SELECT id, title FROM post WHERE id = {i}", 1) for i in some(draw, few(draw)))], NO_CLAIM, True),
    "the boss of each": (each("SELECT id, name, boss FROM employee LIMIT {n}", lambda me, key, k: [(f"SELECT id, name, boss FROM employee WHERE id = {key}", 1)]), CLAIM, True),
    "the settings of a tenant for each of its rows": (each("SELECT id, tenant_id FROM invoice WHERE tenant_id = {me} LIMIT {n}", lambda me, key, k: [(f"SELECT currency FROM setting WHERE tenant_id = {me}", 1)]), NO_CLAIM, True),
    "who is logged in, loaded before and for each row": (lambda n, draw: [(s.replace("#", str(n)), r) for s, r in (("SELECT id, name FROM author WHERE id = #9", 1), (POSTS.format(n=n), n), *[("SELECT id, name FROM author WHERE id = #8", 1)] * n)], NO_CLAIM, True),
    "who is logged in, for each row": (each(POSTS, lambda me, key, k: [(f"SELECT id, name FROM author WHERE id = {me}", 1)]), NO_CLAIM, True),
    "a setting for each row": (each("SELECT id, title, user_id FROM post LIMIT {n}", lambda me, key, k: [("SELECT id, v FROM setting WHERE id = 1", 1)]), NO_CLAIM, True),
    "the author of an author's posts": (each(OF_AUTHOR, lambda me, key, k: [(f"SELECT id, name FROM author WHERE id = {me}", 1)]), CLAIM, True),
    "one or two authors": (each(POSTS, lambda me, key, k: [(f"SELECT id, name FROM author WHERE id = {me + (k > 6)}", 1)]), CLAIM, True),
    "the buyer of each, by email": (each("SELECT id, buyer_email FROM purchase ORDER BY id LIMIT {n}", lambda me, key, k: [(f"SELECT id, name FROM visitor WHERE email = 'v{key}@x.org' LIMIT 1", 1)]), CLAIM, True),
    "two steps away, one of that kind loaded before": (lambda n, draw: [("SELECT id, name FROM visitor WHERE id = 7", 1), *loop("SELECT id, order_id FROM ticket LIMIT 30", "SELECT id, visitor_id FROM orders WHERE id = #", "SELECT id, name FROM visitor WHERE id = #")(n, draw)], CLAIM, True),
    "each row read again, then written": (each(POSTS, lambda me, key, k: [(f"SELECT id, title FROM post WHERE id = {key}", 1), (f"UPDATE post SET title = 'x' WHERE id = {key}", 1)]), CLAIM, True),
    "each row written, then read again": (each(POSTS, lambda me, key, k: [(f"UPDATE post SET title = 'x' WHERE id = {key}", 1), (f"SELECT id, title FROM post WHERE id = {key}", 1)]), CLAIM, True),
    "each row checked by its name, then written": (each(POSTS, lambda me, key, k: [(f"SELECT id FROM post WHERE title = 't{key}'", 0), (f"UPDATE post SET title = 't{key}' WHERE id = {key}", 1)]), NO_CLAIM, True),
    "a counter of each row, found or made": (each(POSTS, lambda me, key, k: [(f"SELECT id, n FROM tally WHERE post_id = {key} AND day = '2026-03-01'", 0), (f"INSERT INTO tally (post_id, n) VALUES ({key}, 1)", 1)]), CLAIM, True),
}  # fmt: skip


@pytest.mark.parametrize("rows", [True, False])
def test_kinds_that_labelled_applications_have_shown(rows: bool) -> None:
    def queries(unit: Unit) -> pd.DataFrame:
        return table(unit, SIZES, rows=rows)

    found = together({name: queries(unit) for name, (unit, _, _) in BY_KIND.items()})
    got = {name: claimed(found[found["route"] == name]) for name in BY_KIND}
    assert got == {name: truth and (rows or without) for name, (_, truth, without) in BY_KIND.items()}
    own = found[found["route"].str.startswith("who is logged in")]
    assert own["evidence"].tolist() == ["duplicate"] * 2
    down = found[found["route"].str.startswith("tree") & found["evidence"].isin(CLAIMS)]
    assert (down["parent"] == down["child"]).all()


def test_seven_days_beside_seven_rows_are_none() -> None:
    day = "SELECT * FROM visit WHERE at >= '2026-03-{d:02d} {m}:00' AND at < '2026-03-{d:02d} {m}:59' LIMIT 5"

    def week(n: int, draw: random.Random) -> list[tuple[str, int]]:
        return [("SELECT id, name FROM room ORDER BY name LIMIT 7", 7), *((day.format(d=d, m=n), 5) for d in range(7))]

    def shifts(n: int, draw: random.Random) -> list[tuple[str, int]]:
        return [(f"SELECT id, since, till FROM shift LIMIT {n}", n), *((day.format(d=d, m=n), 5) for d in range(n))]

    assert not claimed(lab.find_n_plus_one(table(week, SIZES, rows=True)))
    assert claimed(lab.find_n_plus_one(table(shifts, SIZES, rows=True)))
