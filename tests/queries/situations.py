# ruff: noqa: E501
"""Small situations of ORM traffic with a known answer, built after what other detectors test (in words of our own).

``N`` loops over ``n`` rows: the list, then the calls of each row. Values can be literals, or placeholders without a value;
rows can be recorded or not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

START = pd.Timestamp("2026-03-01T00:00:00Z")
Statement = tuple[str, int | None]
Unit = Callable[[int, random.Random], list[Statement]]


@dataclass(frozen=True)
class Situation:
    """``after``: whose test it is like; ``truth``: "n+1", "writes", "nothing" or "loop" (repeated, and no parent)."""

    name: str
    after: str
    truth: str
    unit: Unit


def table(unit: Unit, sizes: Sequence[int], *, blank: bool = False, rows: bool = False, seed: int = 3) -> pd.DataFrame:
    """A queries table with a unit of each size, as a recorder or a log with request ids has it."""
    draw, found = random.Random(seed), []
    for number, size in enumerate(sizes):
        for sql, returned in unit(size, draw):
            text = re.sub(r"'[^']*'|(?<![\w.])\d+", "?", sql) if blank else sql
            found.append((f"u{number}", text, returned if rows else None))
    frame = pd.DataFrame(found, columns=["unit", "sql", "rows"])
    start = START + pd.to_timedelta(range(len(frame)), unit="ms")
    return frame.assign(run="r", start=start, duration_ms=0.3, rows=frame["rows"].astype("Int64"))


def loop(parent: str, *children: str, one: int = 1, values: int = 0) -> Unit:
    """The parent's n rows, then each child once a row: ``#`` is a key of the row, one of ``values`` if they are few."""

    def unit(n: int, draw: random.Random) -> list[Statement]:
        keys = [draw.choice(range(1, values + 1)) for _ in range(n)] if values else draw.sample(range(100, 9000), n)
        return [(parent, n)] + [(child.replace("#", str(key)), one) for key in keys for child in children]

    return unit


def fixed(*statements: str) -> Unit:
    """The same few statements, whatever the size; ``#`` is another number each time, ``@`` a list of n."""

    def unit(n: int, draw: random.Random) -> list[Statement]:
        listed = ", ".join(str(k) for k in draw.sample(range(100, 9000), n))
        return [
            (s.replace("@", listed).replace("#", str(draw.randint(1, 9000))), n if "@" in s else None)
            for s in statements
        ]

    return unit


def _nested(n: int, draw: random.Random) -> list[Statement]:
    found: list[Statement] = [("SELECT id, name FROM category", n)]
    for category in draw.sample(range(100, 999), n):
        found.append((f"SELECT id, category_id FROM firm WHERE category_id = {category}", 3))
        found += [(f"SELECT id, firm_id FROM client WHERE firm_id = {category}{k}", 2) for k in range(3)]
    return found


def _checked_saves(n: int, draw: random.Random) -> list[Statement]:
    found: list[Statement] = [("SELECT id, name FROM member ORDER BY id", n)]
    for key in draw.sample(range(100, 9000), n):
        found += [
            ("SAVEPOINT s1", None),
            (f"SELECT 1 AS one FROM member WHERE name = 'n{key}' AND id <> {key} LIMIT 1", 0),
            (f"UPDATE member SET name = 'n{key}' WHERE id = {key}", 1),
            ("RELEASE SAVEPOINT s1", None),
        ]
    return found


def _cursor(n: int, draw: random.Random) -> list[Statement]:
    opened = [
        ('DECLARE "c1" NO SCROLL CURSOR WITH HOLD FOR SELECT id, name FROM author', None),
        ('FETCH FORWARD 2000 FROM "c1"', n),
    ]
    calls = [(f"SELECT id FROM book WHERE author_id = {k}", 2) for k in draw.sample(range(100, 9000), n)]
    return [*opened, *calls, ('CLOSE "c1"', None)]


def _single(n: int, draw: random.Random) -> list[Statement]:
    return [
        (f"SELECT id, author_id FROM post WHERE id = {draw.randint(1, 999)} LIMIT 1", 1),
        (f"SELECT id, name FROM author WHERE id = {draw.randint(1, 999)} LIMIT 1", 1),
        (f"SELECT id, author_id FROM post WHERE id = {draw.randint(1, 999)} LIMIT 1", 1),
        (f"SELECT id, name FROM author WHERE id = {draw.randint(1, 999)} LIMIT 1", 1),
    ]


def _posted(n: int, draw: random.Random) -> list[Statement]:
    first = ("SELECT id, name FROM tenant WHERE host = 'a.example'", 1)
    return [first] + [
        (f"SELECT id, price FROM product WHERE tenant_id = 5 AND sku = 'S{draw.randint(1, 9999)}'", 1) for _ in range(n)
    ]


_ROLES = ("created_by", "approved_by", "owner", "closed_by", "reviewer", "reporter")
POSTS = "SELECT id, title, author_id FROM post ORDER BY id DESC"

SITUATIONS = [
    # bullet
    Situation("has many", "bullet", "n+1", loop("SELECT posts.* FROM posts", "SELECT comments.* FROM comments WHERE comments.post_id = #")),
    Situation("has many of has many", "bullet", "n+1", _nested),
    Situation("belongs to", "bullet", "n+1", loop("SELECT comments.* FROM comments", "SELECT posts.* FROM posts WHERE posts.id = # LIMIT 1")),
    Situation("belongs to, foreign key named", "bullet", "n+1", loop("SELECT id, post_id FROM comments", "SELECT posts.* FROM posts WHERE posts.id = # LIMIT 1")),
    Situation("two levels of belongs to", "bullet", "n+1", loop("SELECT id, post_id FROM comments", "SELECT id, category_id FROM posts WHERE id = # LIMIT 1", "SELECT id FROM categories WHERE id = # LIMIT 1")),
    Situation("has and belongs to many", "bullet", "n+1", loop("SELECT students.* FROM students", "SELECT teachers.* FROM teachers INNER JOIN students_teachers ON teachers.id = students_teachers.teacher_id WHERE students_teachers.student_id = #")),
    Situation("has many through", "bullet", "n+1", loop("SELECT firms.* FROM firms", "SELECT clients.* FROM clients INNER JOIN relations ON clients.id = relations.client_id WHERE relations.firm_id = #")),
    Situation("has one", "bullet", "n+1", loop("SELECT companies.* FROM companies", "SELECT addresses.* FROM addresses WHERE addresses.company_id = # LIMIT 1")),
    Situation("polymorphic", "bullet", "n+1", loop("SELECT pictures.id, pictures.imageable_id, pictures.imageable_type FROM pictures", "SELECT products.* FROM products WHERE products.id = # LIMIT 1")),
    Situation("polymorphic the other way", "bullet", "n+1", loop("SELECT posts.* FROM posts", "SELECT pictures.* FROM pictures WHERE pictures.imageable_id = # AND pictures.imageable_type = 'Post'")),
    Situation("single table inheritance", "bullet", "n+1", loop("SELECT documents.* FROM documents WHERE documents.type IN ('Page')", "SELECT authors.* FROM authors WHERE authors.id = # LIMIT 1")),
    Situation("tree", "bullet", "n+1", loop("SELECT id, name, parent_id FROM nodes", "SELECT id, name, parent_id FROM nodes WHERE parent_id = #")),
    Situation("exists of each", "bullet", "n+1", loop("SELECT posts.* FROM posts", "SELECT 1 AS one FROM comments WHERE comments.post_id = # LIMIT 1", one=0)),
    Situation("empty of each", "bullet", "n+1", loop("SELECT posts.* FROM posts", "SELECT count(*) FROM comments WHERE comments.post_id = #")),
    Situation("counter cache", "bullet", "n+1", loop("SELECT countries.* FROM countries", "SELECT count(*) FROM cities WHERE cities.country_id = #")),
    Situation("scope on has many", "bullet", "n+1", loop("SELECT posts.* FROM posts WHERE category_id = 4", "SELECT comments.* FROM comments WHERE comments.post_id = # AND comments.approved = 1")),
    Situation("last of each", "bullet", "n+1", loop("SELECT id, name FROM forum", "SELECT id FROM post WHERE forum_id = # ORDER BY id DESC LIMIT 1")),
    Situation("list of one each", "bullet", "n+1", loop("SELECT id, name FROM forum", "SELECT id FROM post WHERE forum_id IN (#)")),
    Situation("preloaded", "bullet", "nothing", fixed("SELECT posts.* FROM posts", "SELECT comments.* FROM comments WHERE comments.post_id IN (@)")),
    Situation("preloaded two deep", "bullet", "nothing", fixed("SELECT id FROM category", "SELECT id FROM post WHERE category_id IN (@)", "SELECT id FROM comment WHERE post_id IN (@)")),
    Situation("eager load by join", "bullet", "nothing", fixed("SELECT p.id, c.id FROM posts p LEFT JOIN comments c ON c.post_id = p.id")),
    Situation("one post with comments", "bullet", "nothing", fixed("SELECT posts.* FROM posts LIMIT 1", "SELECT comments.* FROM comments WHERE comments.post_id = #")),
    Situation("two single posts with their author", "bullet", "nothing", _single),
    Situation("roles of one table, preloaded", "bullet", "nothing", fixed("SELECT * FROM ticket WHERE id = #", *["SELECT * FROM users WHERE users.id IN (#)" for _ in _ROLES])),
    Situation("preloaded polymorphic", "bullet", "nothing", fixed("SELECT * FROM pictures", "SELECT * FROM products WHERE id IN (@)", "SELECT * FROM employees WHERE id IN (@)")),
    Situation("save each", "bullet", "writes", loop("SELECT id FROM post WHERE draft = 1", "UPDATE post SET draft = 0 WHERE id = #")),
    # prosopite
    Situation("first of each", "prosopite", "n+1", loop("SELECT chairs.* FROM chairs", "SELECT legs.* FROM legs WHERE legs.chair_id = # ORDER BY legs.id ASC LIMIT 1")),
    Situation("pluck of each", "prosopite", "n+1", loop("SELECT chairs.* FROM chairs", "SELECT legs.id FROM legs WHERE legs.chair_id = #")),
    Situation("quoted names", "prosopite", "n+1", loop('SELECT "chairs"."id" FROM "chairs"', 'SELECT "legs"."id" FROM "legs" WHERE "legs"."chair_id" = #')),
    Situation("uniqueness check in a loop of saves", "prosopite", "writes", _checked_saves),
    Situation("included", "prosopite", "nothing", fixed("SELECT chairs.* FROM chairs", "SELECT legs.* FROM legs WHERE legs.chair_id IN (@)")),
    Situation("lookups of keys from elsewhere", "prosopite", "loop", _posted),
    # django-zeal
    Situation("forward foreign key", "zeal", "n+1", loop('SELECT "post"."id", "post"."author_id" FROM "post"', 'SELECT "user"."id" FROM "user" WHERE "user"."id" = # LIMIT 21')),
    Situation("one author of all", "zeal", "n+1", loop('SELECT "post"."id", "post"."author_id" FROM "post"', 'SELECT "author"."id" FROM "author" WHERE "author"."id" = # LIMIT 21', values=1)),
    Situation("three authors of all", "zeal", "n+1", loop('SELECT "post"."id", "post"."author_id" FROM "post"', 'SELECT "author"."id" FROM "author" WHERE "author"."id" = # LIMIT 21', values=3)),
    Situation("reverse foreign key", "zeal", "n+1", loop('SELECT "user"."id" FROM "user"', 'SELECT "post"."id" FROM "post" WHERE "post"."author_id" = #')),
    Situation("forward one to one", "zeal", "n+1", loop('SELECT "profile"."id", "profile"."user_id" FROM "profile"', 'SELECT "user"."id" FROM "user" WHERE "user"."id" = # LIMIT 21')),
    Situation("reverse one to one", "zeal", "n+1", loop('SELECT "user"."id" FROM "user"', 'SELECT "profile"."id" FROM "profile" WHERE "profile"."user_id" = # LIMIT 21')),
    Situation("many to many with itself", "zeal", "n+1", loop('SELECT "social_user"."id" FROM "social_user"', 'SELECT "social_user"."id" FROM "social_user" INNER JOIN "social_user_following" ON ("social_user"."id" = "social_user_following"."to_user_id") WHERE "social_user_following"."from_user_id" = #')),
    Situation("many to many", "zeal", "n+1", loop('SELECT "user"."id" FROM "user"', 'SELECT "tag"."id" FROM "tag" INNER JOIN "user_tags" ON ("tag"."id" = "user_tags"."tag_id") WHERE "user_tags"."user_id" = #')),
    Situation("deferred field", "zeal", "n+1", loop('SELECT "post"."id" FROM "post"', 'SELECT "post"."id", "post"."body" FROM "post" WHERE "post"."id" = # LIMIT 21')),
    Situation("server-side cursor", "zeal", "n+1", _cursor),
    Situation("select_related", "zeal", "nothing", fixed('SELECT "post"."id", "user"."id" FROM "post" INNER JOIN "user" ON ("post"."author_id" = "user"."id")')),
    Situation("prefetch_related", "zeal", "nothing", fixed('SELECT "user"."id" FROM "user"', 'SELECT "post"."id" FROM "post" WHERE "post"."author_id" IN (@)')),
    Situation("get by key twice", "zeal", "nothing", fixed('SELECT "user"."id" FROM "user" WHERE "user"."id" = # LIMIT 21', 'SELECT "user"."id" FROM "user" WHERE "user"."id" = # LIMIT 21')),
    # nplusone
    Situation("lazy load in a loop", "nplusone", "n+1", loop("SELECT user.id AS user_id FROM user", "SELECT pet.id AS pet_id FROM pet WHERE # = pet.user_id")),
    Situation("lazy many to one", "nplusone", "n+1", loop("SELECT pet.id AS pet_id, pet.user_id AS pet_user_id FROM pet", "SELECT user.id AS user_id FROM user WHERE user.id = #")),
    Situation("subqueryload", "nplusone", "nothing", fixed("SELECT user.id FROM user", "SELECT pet.id, anon_1.user_id FROM (SELECT user.id AS user_id FROM user) AS anon_1 JOIN pet ON anon_1.user_id = pet.user_id")),
    # laravel-query-detector
    Situation("author of each post", "laravel", "n+1", loop("select * from `posts`", "select * from `comments` where `comments`.`post_id` = # and `comments`.`post_id` is not null")),
    Situation("belongs to of each", "laravel", "n+1", loop("select `id`, `author_id` from `posts`", "select * from `authors` where `authors`.`id` = # limit 1")),
    Situation("morph many", "laravel", "n+1", loop("select * from `posts`", "select * from `comments` where `comments`.`commentable_type` = 'post' and `comments`.`commentable_id` = #")),
    Situation("with()", "laravel", "nothing", fixed("select * from `posts`", "select * from `comments` where `comments`.`post_id` in (@)")),
    Situation("four rows", "laravel", "nothing", fixed("select * from `posts` limit 4", *["select * from `comments` where `comments`.`post_id` = #" for _ in range(4)])),
    # QuickPerf, Hibernate
    Situation("team of each player", "quickperf", "n+1", loop("select player0_.id as id1_0_, player0_.team_id as team3_0_ from Player player0_", "select team0_.id as id1_1_0_ from Team team0_ where team0_.id=#")),
    Situation("players of each team", "quickperf", "n+1", loop("select t1_0.id, t1_0.name from team t1_0", "select p1_0.team_id, p1_0.id from player p1_0 where p1_0.team_id=#")),
    Situation("entity loaded for each id of a query", "quickperf", "n+1", loop("select b1_0.id from book b1_0 where b1_0.year = 4", "select b1_0.id, b1_0.title from book b1_0 where b1_0.id=#")),
    Situation("collection of a composite key", "quickperf", "n+1", loop("select o.id, o.region from orders o", "select l.no from line l where l.order_id = # and l.region = 3")),
    Situation("fetch join", "quickperf", "nothing", fixed("select p.id, t.id from player p join team t on t.id = p.team_id")),
    Situation("batch size", "quickperf", "nothing", fixed("select t.id from team t", "select p.id from player p where p.team_id in (@)", "select p.id from player p where p.team_id in (@)")),
    Situation("inserts one by one", "quickperf", "writes", loop("select id from club", "insert into Player (name, id) values ('n', #)")),
    Situation("updates one by one", "quickperf", "writes", loop("select id from club", "update Player set name = 'x' where id = #")),
    Situation("deletes one by one", "quickperf", "writes", loop("select id from club", "delete from Player where id = #")),
    # Sentry
    Situation("index view", "sentry", "n+1", loop("SELECT books.id, books.title, books.author_id FROM books ORDER BY books.id DESC", "SELECT authors.id FROM authors WHERE authors.id = # LIMIT 21")),
    Situation("unrelated statements before the list", "sentry", "n+1", lambda n, draw: [("SELECT data FROM session WHERE session_key = 'abc'", 1), ("SELECT id FROM auth_user WHERE id = 4", 1), *loop("SELECT id, report_id FROM expense", "SELECT id FROM report WHERE id = #")(n, draw)]),
    Situation("active record", "sentry", "n+1", loop('SELECT "books".* FROM "books"', 'SELECT "reviews".* FROM "reviews" WHERE "reviews"."book_id" = #')),
    Situation("two children a row", "sentry", "n+1", loop("SELECT id, name FROM library", "SELECT id FROM book WHERE library_id = #", "SELECT id FROM author WHERE library_id = #")),
    Situation("the parent's parameters in brackets", "sentry", "n+1", loop("SELECT [books].[id], [books].[author_id] FROM [books]", "SELECT [authors].[name] FROM [authors] WHERE [authors].[id] = #")),
    Situation("solved by a join", "sentry", "nothing", fixed("SELECT b.id, a.name FROM books b JOIN authors a ON a.id = b.author_id")),
    Situation("three independent statements", "sentry", "nothing", fixed("SELECT count(*) FROM users", "SELECT count(*) FROM books", "SELECT count(*) FROM reviews")),
    Situation("three repetitions", "sentry", "nothing", fixed("SELECT id FROM books", *["SELECT id FROM authors WHERE id = #" for _ in range(3)])),
    Situation("one statement a request", "sentry", "nothing", fixed("SELECT id FROM authors WHERE id = #")),
    Situation("settings by name", "sentry", "nothing", fixed("SELECT id FROM page", *[f"SELECT v FROM setting WHERE name = 'k{i}'" for i in range(7)])),
]  # fmt: skip
