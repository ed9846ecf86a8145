# ruff: noqa: E501
"""N+1 as the ORMs of several languages write them, and what they write that only looks like one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pandas as pd
import pytest
from situations import START

import perflab as lab
from perflab.queries.claims import CLAIMS
from perflab.queries.known_columns import handed_out, known_columns

SIZES = (5, 7, 9, 12, 6, 18, 15, 8, 20, 11, 10, 14)
Log = Callable[[int, random.Random], list[str]]


def each(parent: str, *children: str, few: int = 0) -> Log:
    """A list of n rows, then each child for each of them: ``{i}`` is a key, one of ``few`` if wanted, ``{me}`` the request's own."""

    def log(n: int, draw: random.Random) -> list[str]:
        me, keys = draw.randint(1000, 9000), draw.sample(range(100, 999), n)
        keys = [1 + k % few for k in keys] if few else keys
        return [parent.format(n=n, me=me), *(s.format(i=i, n=n, me=me) for i in keys for s in children)]

    return log


def batch(parent: str, *children: str, size: int = 0) -> Log:
    """A list of n rows, then each child for all of them, in chunks of so many if wanted: ``{ids}``."""

    def log(n: int, draw: random.Random) -> list[str]:
        keys = draw.sample(range(100, 999), n)
        chunks = [keys[at : at + size] for at in range(0, n, size)] if size else [keys]
        texts = [", ".join(map(str, chunk)) for chunk in chunks]
        return [parent.format(n=n), *(s.format(ids=ids) for s in children for ids in texts)]

    return log


def client(before: str, *asked: str, fixed: int = 0) -> Log:
    """Something, then what the client asks for, which has nothing to do with it."""

    def log(n: int, draw: random.Random) -> list[str]:
        keys = draw.sample(range(100, 999), fixed or draw.randint(5, 9))
        return [before.format(n=n), *(s.format(i=i) for i in keys for s in asked)]

    return log


def of(name: str, log: Log) -> pd.DataFrame:
    """A route of 12 requests, of different sizes."""
    draw = random.Random(5)
    said = [(f"{name} {number}", sql) for number, n in enumerate(SIZES) for sql in log(n, draw)]
    return pd.DataFrame(said, columns=["unit", "sql"]).assign(route=name)


def log_of(logs: dict[str, Log], elsewhere: tuple[str, ...] = ()) -> pd.DataFrame:
    """One log of all routes, and statements that other requests of the application made."""
    other = pd.DataFrame({"unit": [f"o{i}" for i in range(len(elsewhere))], "sql": elsewhere, "route": "other"})
    frame = pd.concat([of(name, log) for name, log in logs.items()] + [other], ignore_index=True)
    start = START + pd.to_timedelta(range(len(frame)), unit="ms")
    return frame.assign(run="r", start=start, duration_ms=0.3)


def claims(frame: pd.DataFrame) -> set[str]:
    found = lab.find_n_plus_one(frame)
    return set(found.loc[found["evidence"].isin(CLAIMS), "route"])


BLOG = (
    'INSERT INTO "posts" ("title", "body", "author_id", "blog_id", "created_at") VALUES ($1, $2, $3, $4, $5)',
    'INSERT INTO "comments" ("post_id", "user_id", "body") VALUES ($1, $2, $3)',
    'INSERT INTO "tags" ("name", "colour") VALUES ($1, $2)',
)
REAL: dict[str, Log] = {
    "ActiveRecord belongs_to": each('SELECT "posts".* FROM "posts" ORDER BY "posts"."created_at" DESC LIMIT {n}', 'SELECT "authors".* FROM "authors" WHERE "authors"."id" = {i} LIMIT 1'),
    "ActiveRecord has_one": each('SELECT "posts".* FROM "posts" LIMIT {n}', 'SELECT "covers".* FROM "covers" WHERE "covers"."post_id" = {i} LIMIT 1'),
    "ActiveRecord exists": each('SELECT "posts".* FROM "posts" LIMIT {n}', 'SELECT 1 AS one FROM "comments" WHERE "comments"."post_id" = {i} LIMIT 1'),
    "ActiveRecord size": each('SELECT "posts".* FROM "posts" LIMIT {n}', 'SELECT COUNT(*) FROM "comments" WHERE "comments"."post_id" = {i}'),
    "Django only()": each('SELECT "blog_entry"."id", "blog_entry"."title" FROM "blog_entry" LIMIT {n}', 'SELECT "blog_entry"."id", "blog_entry"."body" FROM "blog_entry" WHERE "blog_entry"."id" = {i} LIMIT 21'),
    "Django select_for_update": each('SELECT "acct"."id" FROM "acct" WHERE "acct"."due" LIMIT {n}', 'SELECT "acct"."id", "acct"."sum" FROM "acct" WHERE "acct"."id" = {i} LIMIT 21 FOR UPDATE', 'UPDATE "acct" SET "sum" = 4 WHERE "acct"."id" = {i}'),
    "Django generic relation": each('SELECT "photo"."id", "photo"."name" FROM "photo" LIMIT {n}', 'SELECT "mark"."id" FROM "mark" WHERE ("mark"."content_type_id" = 7 AND "mark"."object_id" = {i})'),
    "SQLAlchemy lazy": each("SELECT shelf.id AS shelf_id, shelf.name AS shelf_name FROM shelf LIMIT {n}", "SELECT tome.id AS tome_id, tome.shelf_id AS tome_shelf_id FROM tome WHERE {i} = tome.shelf_id"),
    "SQLAlchemy expired": each("SELECT shelf.id, shelf.name FROM shelf LIMIT {n}", "SELECT shelf.id AS shelf_id, shelf.name AS shelf_name, shelf.note AS shelf_note FROM shelf WHERE shelf.id = {i}"),
    "Hibernate lazy": each("select o1_0.id, o1_0.client_id, o1_0.sum from invoice o1_0 limit {n}", "select c1_0.id, c1_0.name from client c1_0 where c1_0.id={i}"),
    "Hibernate collection": each("select o1_0.id, o1_0.sum from invoice o1_0 limit {n}", "select l1_0.invoice_id, l1_0.id, l1_0.sum from invoice_line l1_0 where l1_0.invoice_id={i}"),
    "Prisma findUnique": each('SELECT "public"."Task"."id", "public"."Task"."ownerId" FROM "public"."Task" WHERE 1=1 ORDER BY "public"."Task"."id" ASC LIMIT {n} OFFSET 0', 'SELECT "public"."Owner"."id" FROM "public"."Owner" WHERE ("public"."Owner"."id" = {i} AND 1=1) LIMIT 1 OFFSET 0'),
    "Prisma list of one": each('SELECT "public"."Task"."id" FROM "public"."Task" WHERE 1=1 LIMIT {n} OFFSET 0', 'SELECT "public"."Step"."id", "public"."Step"."taskId" FROM "public"."Step" WHERE "public"."Step"."taskId" IN ({i}) OFFSET 0'),
    "Prisma list of one, all tasks": each('SELECT "public"."Task"."id" FROM "public"."Task" WHERE 1=1', 'SELECT "public"."Step"."id" FROM "public"."Step" WHERE "public"."Step"."taskId" IN ({i}) OFFSET 0'),
    "TypeORM": each('SELECT "Ship"."id" AS "Ship_id", "Ship"."portId" AS "Ship_portId" FROM "ship" "Ship" LIMIT {n}', 'SELECT "Port"."id" AS "Port_id", "Port"."name" AS "Port_name" FROM "port" "Port" WHERE (("Port"."id" = {i})) LIMIT 1'),
    "TypeORM lazy relation": each('SELECT "Ship"."id" AS "Ship_id", "Ship"."portId" AS "Ship_portId" FROM "ship" "Ship" LIMIT {n}', 'SELECT "port"."id" AS "port_id" FROM "port" "port" INNER JOIN "ship" "Ship" ON "Ship"."portId" = "port"."id" WHERE ("Ship"."id" IN ({i}))'),
    "MikroORM": each('select "s0".* from "song" as "s0" limit {n}', 'select "b0".* from "band" as "b0" where "b0"."id" = {i} limit 1'),
    "Objection": each('select "herds".* from "herds" limit {n}', 'select "cows".* from "cows" where "cows"."herd_id" in ({i})'),
    "Sequelize": each('SELECT "id", "brandId" FROM "Cars" AS "Car" LIMIT {n};', 'SELECT "id", "name" FROM "Brands" AS "Brand" WHERE "Brand"."id" = {i};'),
    "Ecto preload of each": each('SELECT g0."id", g0."name" FROM "gardens" AS g0 LIMIT {n}', """SELECT p0."id", p0."garden_id", p0."garden_id" FROM "plants" AS p0 WHERE (p0."garden_id" = ANY('{{{i}}}')) ORDER BY p0."garden_id\""""),
    "Ecto preload of one": each('SELECT p0."id", p0."garden_id" FROM "plants" AS p0 LIMIT {n}', 'SELECT g0."id", g0."name", g0."id" FROM "gardens" AS g0 WHERE (g0."id" = {i})'),
    "gorm": each('SELECT * FROM "farms" LIMIT {n}', 'SELECT * FROM "fields" WHERE "fields"."farm_id" = {i} AND "fields"."deleted_at" IS NULL'),
    "Eloquent": each("select * from `flights` limit {n}", "select * from `crews` where `crews`.`flight_id` = {i} and `crews`.`flight_id` is not null"),
    "Eloquent pivot": each("select * from `users` limit {n}", "select `roles`.*, `role_user`.`user_id` as `pivot_user_id`, `role_user`.`role_id` as `pivot_role_id` from `roles` inner join `role_user` on `roles`.`id` = `role_user`.`role_id` where `role_user`.`user_id` = {i}"),
    "Doctrine": each("SELECT d0_.id AS id_0, d0_.title AS title_1, d0_.writer_id AS writer_id_2 FROM diary d0_ LIMIT {n}", "SELECT t0.id AS id_1, t0.name AS name_2 FROM writer t0 WHERE t0.id = {i}"),
    "Doctrine extra lazy": each("SELECT d0_.id AS id_0 FROM diary d0_ LIMIT {n}", "SELECT COUNT(*) FROM page t0 WHERE t0.diary_id = {i}"),
    "Entity Framework": each("SELECT TOP({n}) [m].[Id], [m].[Title] FROM [Movies] AS [m]", "SELECT [r].[Id], [r].[MovieId] FROM [Ratings] AS [r] WHERE [r].[MovieId] = {i}"),
    "Entity Framework find": each("SELECT TOP({n}) [m].[Id], [m].[StudioId] FROM [Movies] AS [m]", "SELECT TOP(1) [s].[Id], [s].[Name] FROM [Studios] AS [s] WHERE [s].[Id] = {i}"),
    "Ent": each('SELECT "pets"."id", "pets"."name" FROM "pets" LIMIT {n}', 'SELECT DISTINCT "keepers"."id" FROM "keepers" JOIN (SELECT "pets"."keeper_pets" FROM "pets" WHERE "pets"."id" = {i}) AS "t1" ON "keepers"."id" = "t1"."keeper_pets"'),
    "Diesel": each('SELECT "hosts"."id", "hosts"."name" FROM "hosts" LIMIT {n}', 'SELECT "rooms"."id", "rooms"."host_id" FROM "rooms" WHERE ("rooms"."host_id" = {i})'),
    "jOOQ": each('select "public"."opera"."id", "public"."opera"."house_id" from "public"."opera" fetch next {n} rows only', 'select "public"."house"."id" from "public"."house" where "public"."house"."id" = {i}'),
    "SQLObject": each("SELECT person.id FROM person WHERE 1 = 1 LIMIT {n}", "SELECT first_name, last_name FROM person WHERE ((person.id) = ({i}))"),
    "Tortoise": each('SELECT "id", "league_id" FROM "match" LIMIT {n}', 'SELECT "id", "name" FROM "league" WHERE "id"={i} LIMIT 1'),
    "few values": each('SELECT "posts".* FROM "posts" LIMIT {n}', 'SELECT "blogs".* FROM "blogs" WHERE "blogs"."id" = {i} LIMIT 1', few=4),
    "rights on each row": each('SELECT "posts".* FROM "posts" LIMIT {n}', "SELECT 1 FROM grants WHERE user_id = {me} AND post_id = {i}"),
    "two resolvers": each('SELECT "posts".* FROM "posts" LIMIT {n}', 'SELECT * FROM "authors" WHERE "id" = {i}', 'SELECT * FROM "comments" WHERE "post_id" = {i} LIMIT 3'),
    "stock lowered row by row": each("SELECT * FROM cart_item WHERE cart_id = {me} LIMIT {n}", "SELECT * FROM article WHERE id = {i} FOR UPDATE", "UPDATE article SET stock = stock - 1 WHERE id = {i}"),
}  # fmt: skip
SOUND: dict[str, Log] = {
    "ActiveRecord preload": batch('SELECT "posts".* FROM "posts" LIMIT {n}', 'SELECT "comments".* FROM "comments" WHERE "comments"."post_id" IN ({ids})', 'SELECT "tags".* FROM "tags" INNER JOIN "taggings" ON "taggings"."tag_id" = "tags"."id" WHERE "taggings"."post_id" IN ({ids})'),
    "selectin in chunks": batch("SELECT shelf.id FROM shelf LIMIT {n}", "SELECT tome.shelf_id FROM tome WHERE tome.shelf_id IN ({ids})", size=2),
    "chunks with a last one of one": batch("SELECT shelf.id FROM shelf LIMIT {n}", "SELECT tome.shelf_id FROM tome WHERE tome.shelf_id IN ({ids})", size=3),
    "Hibernate batch-size, padded": lambda n, draw: ["select o1_0.id from invoice o1_0 limit 40", *(f"select c1_0.id from client c1_0 where c1_0.id in ({k},{k + 1},{k + 2},{k + 2})" for k in draw.sample(range(100, 900), n // 2))],
    "arrays of many": batch('SELECT p0."id" FROM "plants" AS p0 LIMIT {n}', """SELECT g0."id" FROM "gardens" AS g0 WHERE g0."id" = ANY('{{{ids}}}')""", size=4),
    "Sequelize separate": batch('SELECT "id" FROM "Cars" AS "Car" LIMIT {n};', 'SELECT "id", "carId" FROM "Wheels" AS "wheels" WHERE "wheels"."carId" IN ({ids});'),
    "Drizzle lateral": batch('select "a"."id", "a_b"."data" as "b" from "a" left join lateral (select coalesce(json_agg(json_build_array("b"."id")), \'[]\'::json) as "data" from (select * from "b" where "b"."a_id" = "a"."id") "b") "a_b" on true limit {n}'),
    "Peewee prefetch": batch('SELECT "t1"."id" FROM "tweet" AS "t1" LIMIT {n}', 'SELECT "t1"."id" FROM "like" AS "t1" WHERE ("t1"."tweet_id" IN (SELECT "t2"."id" FROM "tweet" AS "t2"))'),
    "Pony: one, then more": lambda n, draw: [f"SELECT id, writer FROM leaf LIMIT {n}", "SELECT id FROM writer WHERE id = 7", "SELECT id FROM writer WHERE id IN (8, 9)", "SELECT id FROM writer WHERE id IN (1, 2, 3, 4)"],
    "morphTo preloaded": lambda n, draw: [f"select * from `notes` limit {n}", *(f"select * from `{t}` where `{t}`.`id` in ({n}, {n + 1})" for t in ("photos", "videos", "songs", "books", "maps"))],
    "TypeORM take": batch('SELECT DISTINCT "distinctAlias"."Ship_id" AS "ids_Ship_id" FROM (SELECT "Ship"."id" AS "Ship_id" FROM "ship" "Ship") "distinctAlias" LIMIT {n}', 'SELECT "Ship"."id" AS "Ship_id" FROM "ship" "Ship" WHERE "Ship"."id" IN ({ids})'),
    "split query": batch("SELECT TOP({n}) [m].[Id] FROM [Movies] AS [m]", "SELECT [r].[Id], [m].[Id] FROM [Movies] AS [m] INNER JOIN [Ratings] AS [r] ON [m].[Id] = [r].[MovieId] ORDER BY [m].[Id]"),
    "find_each with preload": lambda n, draw: [s for k in range(n) for s in (f'SELECT "posts".* FROM "posts" WHERE "posts"."id" > {1000 * k} ORDER BY "posts"."id" ASC LIMIT 1000', f'SELECT "comments".* FROM "comments" WHERE "comments"."post_id" IN ({k}1, {k}2, {k}3)')],
    "the client's ids after a list of all columns": client('SELECT "tags".* FROM "tags" LIMIT {n}', 'SELECT "authors".* FROM "authors" WHERE "authors"."id" = {i} LIMIT 1', fixed=6),
    "the client's ids, some of them": client('SELECT "tags".* FROM "tags" LIMIT {n}', 'SELECT "authors".* FROM "authors" WHERE "authors"."id" = {i} LIMIT 1'),
    "the client's ids, locked and written": client('SELECT "tags".* FROM "tags" LIMIT {n}', "SELECT * FROM account WHERE id = {i} FOR UPDATE", "UPDATE account SET sum = 3 WHERE id = {i}"),
    "names of a file": client('SELECT "tags".* FROM "tags" LIMIT {n}', "SELECT id FROM category WHERE name = 'c{i}'"),
    "found or made": client('SELECT "tags".* FROM "tags" LIMIT {n}', "SELECT id FROM person WHERE email = 'p{i}@x.org'", "INSERT INTO person (email) VALUES ('p{i}@x.org')"),
    "up to the root": client('SELECT "tags".* FROM "tags" LIMIT {n}', "SELECT id, parent_id FROM area WHERE id = {i}"),
    "jobs, one by one": lambda n, draw: [s for i in draw.sample(range(999), n) for s in ("SELECT * FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", f"SELECT * FROM payload WHERE job_id = {i}", f"UPDATE job SET state = 'done' WHERE id = {i}")],
    "polled": client('SELECT "tags".* FROM "tags" LIMIT {n}', "SELECT state FROM export WHERE id = 5"),
    "pages by key": lambda n, draw: [f"SELECT * FROM tags LIMIT {n}", *(f"SELECT * FROM event WHERE (at, id) > ('2026-01-01', {100 * k}) ORDER BY at, id LIMIT 100" for k in range(draw.randint(5, 9)))],
    "upserts": each("SELECT id FROM feed LIMIT {n}", "INSERT INTO entry (feed_id, n) VALUES ({i}, 1) ON CONFLICT (feed_id) DO UPDATE SET n = entry.n + 1"),
    "one WITH RECURSIVE": batch("SELECT id FROM area WHERE parent_id IS NULL LIMIT {n}", "WITH RECURSIVE t AS (SELECT id FROM area WHERE id IN ({ids}) UNION ALL SELECT a.id FROM area a JOIN t ON a.parent_id = t.id) SELECT * FROM t"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["real", "sound"])
def test_handwritings(kind: str) -> None:
    logs = REAL if kind == "real" else SOUND
    found = claims(log_of(logs, BLOG))
    assert found == (set(REAL) if kind == "real" else set())


PARTS = "select * from part"
JOINED = "select roles.*, role_user.role_id as r from roles inner join role_user on roles.id = role_user.role_id"


@pytest.mark.parametrize(
    ("said", "read", "columns"),
    [
        ("insert into part(name, depot_id) values (...)", PARTS, "depot_id id name"),
        ('insert into part("depotId") values (...) returning "id"', PARTS, "depot_id id"),
        ("replace into part(name) values (...)", PARTS, "id name"),
        ("create table if not exists part(id int, cost decimal(?, ?), primary key(id, cost))", PARTS, "cost id"),
        ("insert into part select ? from x", PARTS, "*"),
        ("create table part as (select id from x)", PARTS, "*"),
        ("update part set depot_id = ? where code = ?", PARTS, "* code depot_id"),
        ("select x.id from x join part p on p.depot_id = x.id where p.cost > ?", PARTS, "* cost depot_id"),
        ("select count(*) as n from part where depot_id = ?", "select p.* from part p", "* depot_id"),
        ("insert into part(name) values (...)", "select count(*) from part", "count"),
        ("insert into roles(name) values (...)", JOINED, "id name r role_id"),
        ("insert into role_user(user_id) values (...)", JOINED, "* id r role_id"),
    ],
)
def test_what_select_star_hands_out_is_learnt_from_other_statements(said: str, read: str, columns: str) -> None:
    assert sorted(handed_out(read, known_columns((said, read)))) == columns.split()
