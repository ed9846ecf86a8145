"""What to do about a finding, in the words of the ORM that wrote the SQL."""

from __future__ import annotations

import re

from perflab.notes import count
from perflab.queries.nouns import ROLES, bare, points_elsewhere, same_noun, stem
from perflab.queries.shape import shape
from perflab.queries.tokens import tokens

_SQLALCHEMY = re.compile(r"^select (?:distinct )?([a-z_]\w\w+)\.\w+(?: as \w+)?(?:, \w{3,}\.\w+(?: as \w+)?)* from")
_DJANGO = re.compile(r'^select (?:distinct )?(["`])(\w+)\1\.\1\w+\1.*? from \1\2\1(?! ["`])')
_PEEWEE = re.compile(r'["`]t1["`]\.["`]\w+["`]')
_RAILS = re.compile(r'^select ["`]\w+["`]\.\*')
_HIBERNATE = re.compile(r"\b\w+\d+_[\d_]*\.\w+ as \w+\d+_|\b[a-z]+\d_\d\.\w+")


_AGGREGATE = re.compile(r"select (count|sum|avg|min|max) ?\((?!.* over \()(?!.* group by )")
_EXISTS = re.compile(r"select (?:exists ?\(|\? as \W?\w+\W? from .* limit \?$|\? from .* limit \?$)")
_FIRST_OF = re.compile(r" order by [^()]* limit \?")


def orm_of(fingerprint: str) -> str:
    """Which ORM's handwriting this is: "sqlalchemy", "django", "peewee", "rails", "hibernate", or "" when unknown."""
    if _PEEWEE.search(fingerprint):
        return "peewee"
    if _RAILS.search(fingerprint):
        return "rails"
    if _HIBERNATE.search(fingerprint):
        return "hibernate"
    if _SQLALCHEMY.match(fingerprint):
        return "sqlalchemy"
    return "django" if _DJANGO.search(fingerprint) else ""


CLAIMED = frozenset({"confirmed", "likely", "possible"})


PAGES = "No N+1: each call continues where the previous one ended. Larger pages would save round trips."


def suggestion(parent: str | None, child: str, level: str, keys: tuple[str, ...] = (), few: int = 0) -> str:
    """One or two sentences that name the fix; ``keys`` are those of the child that differ from call to call, where known.

    ``few`` is how many different rows the calls ask for, where they are few.
    """
    fix = _suggestion(parent, child, level, keys)
    rows = f" The calls load only {count(few, 'different row')}."
    return fix + (rows if few and level in CLAIMED else "")


def _suggestion(parent: str | None, child: str, level: str, keys: tuple[str, ...]) -> str:
    below = shape(child)
    table = below.tables[0] if below.tables else "the table"
    if level == "write loop" and below.verb == "call":
        return "Call it once for all rows: let the procedure take a set (an array, a temporary table)."
    if level == "write loop":
        return _of_write(below.verb, table, orm_of(child) or orm_of(parent or ""))
    if level == "duplicate":
        return f"Query {table} once per unit of work and keep the result (a variable, a request cache)."
    if level == "cacheable":
        kept = "keep it in a cache shared by requests, with a time to live; lab.what_if_cache predicts what that gives"
        return f"Every request reads the same from {table}: {kept}."
    if level == "constant fan-out":
        return "No N+1: the number of calls is fixed. One query with IN would save round trips."
    key = next(iter(keys or below.keys), "")
    if below.store and child.startswith("request from"):
        return (
            f"Ask {table} once for all rows, at an address that takes many ids; else send the calls together, with a limit "
            "(asyncio.gather under a semaphore, a thread pool)."
        )
    if below.store:
        how = (
            "MGET, or a pipeline, with all keys"
            if child.startswith("get from")
            else f"one find with {key or '_id'}: {{$in: [...]}}"
        )
        return f"Query {table} once for all rows: {how}."
    if level == "loop without parent" and not key:
        return "Collect the values first and query once: a join with a list of the values (unnest, VALUES, a temporary table)."
    if not key:
        return (
            f"Query {table} once for all rows of {_owner(parent or '')}: a join, or a LATERAL join with its condition."
        )
    if level == "loop without parent":
        return f"Collect the values first and query once: {_batch(child, table, key)}."
    if parent == child:
        return (
            f"A tree read node by node: query it once, WITH RECURSIVE along {_as_written(child, key)}, or load all rows of "
            f"{table} and link them in memory."
        )
    if summary := _of_summary(child, table, key):
        return summary
    if below.list_key in keys:
        return f"Each call passes a list of one value: collect all values and query once: {_batch(child, table, key)}."
    to_one = below.single_row
    if same_noun(stem(table), stem(_owner(parent or ""))):  # no relationship leads from a table to its own rows
        return _plain(parent or "", child, table, key, False)
    orm = orm_of(child) or orm_of(parent or "")
    return _FIX.get(orm, _plain)(parent or "", child, table, key, to_one)


def _of_summary(child: str, table: str, key: str) -> str:
    """The fix of a child that doesn't load rows: eager loading would fetch them all, only to count them or to take the first."""
    if found := _AGGREGATE.match(child):
        function = found[1]
        return (
            f"One grouped query for all: SELECT {key}, {function}(...) FROM {table} WHERE {key} IN (...) GROUP BY {key} "
            "(Django: annotate; SQLAlchemy: group_by, or a column_property)."
        )
    if _EXISTS.match(child):
        return f"Query once: SELECT DISTINCT {key} FROM {table} WHERE {key} IN (...), or EXISTS in the parent's query."
    if _FIRST_OF.search(child) and not shape(child).single_row:
        return (
            f"One query for the first rows of each: row_number() OVER (PARTITION BY {key} ORDER BY ...) on {table} WHERE {key} "
            "IN (...), or a LATERAL join (PostgreSQL also: DISTINCT ON)."
        )
    return ""


def _batch(child: str, table: str, key: str) -> str:
    return f"SELECT ... FROM {_as_written(child, table)} WHERE {_as_written(child, key)} IN (...)"


def _as_written(fingerprint: str, name: str) -> str:
    """A name with the quotes and capitals that it has in the statement."""
    return next((text for kind, text in tokens(fingerprint) if kind in ("word", "name") and bare(text) == name), name)


def _owner(parent: str) -> str:
    tables = shape(parent).tables
    return tables[0] if tables else "parent"


def _class(table: str) -> str:
    return "".join(part.capitalize() for part in stem(table.removeprefix("shop_")).split("_")) or "Parent"


def field_of(parent: str, child: str) -> str:
    """The parent's field that refers to the child's table, from its select list: ``author_image_id`` -> author_image."""
    below = shape(child)
    table = stem(below.tables[0]) if below.tables else ""
    keys = sorted(c for c in shape(parent).columns if points_elsewhere(c))
    found = next((c for c in keys if same_noun(stem(c), table)), None)
    found = found or (keys[0] if len(keys) == 1 else next((c for c in keys if stem(c) in ROLES), None))
    return re.sub(r"_(?:id|fk|pk|uuid)$", "", found) if found else ""


def _sqlalchemy(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    owner = _class(_owner(parent))
    loader, why = ("joinedload", "one row each: a JOIN") if to_one else ("selectinload", "one IN query for all")
    other = "selectinload" if to_one else "joinedload"
    relationship = (to_one and field_of(parent, child)) or f"<relationship to {table}>"
    return (
        f"SQLAlchemy: .options({loader}({owner}.{relationship})) on the query of {_owner(parent)} ({why}; "
        f'{other} works too), or lazy="raise" on the relationship to find every place.'
    )


def _django(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    owner = _owner(parent)
    if key.endswith("_ptr_id"):
        return (
            f"Django, multi-table inheritance: {table} extends {owner}. Query the subclass, or add "
            f'.select_related("{stem(table).replace("_", "")}") to the queryset of {owner} (Wagtail: .specific()).'
        )
    if to_one:
        return f'Django: add .select_related("{field_of(parent, child) or f"<field to {table}>"}") to the queryset of {owner}.'
    if len(shape(child).tables) > 1:
        return f'Django: add .prefetch_related("<field to {table}>") to the queryset of {owner}.'
    field = re.sub(r"_id$", "", key)
    name = f"{stem(table).replace('_', '')}_set"
    return (
        f'Django: add .prefetch_related("{name}") (or the related_name of {table}.{field}) to the queryset of {owner}.'
    )


def _peewee(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    if to_one:
        return f"Peewee: .select(..., {_class(table)}).join({_class(table)}) on the query of {_owner(parent)}."
    return f"Peewee: prefetch(<query of {_owner(parent)}>, {_class(table)}.select()) instead of a query for each row."


def _rails(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    name = (to_one and field_of(parent, child)) or (stem(table) if to_one else table)
    return f"Rails: add .includes(:{name}) (or preload) to the query of {_owner(parent)}."


def _hibernate(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    return f"Hibernate: JOIN FETCH the association to {table} in the query of {_owner(parent)}, an @EntityGraph, or @BatchSize."


def _plain(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    if to_one:
        how = f"JOIN {_as_written(child, table)} in the query of {_as_written(parent, _owner(parent))}"
    else:
        how = f"one batch after it: {_batch(child, table, key)}"
    return f"Load {table} together with {_owner(parent)}: {how}."


_FIX = {"sqlalchemy": _sqlalchemy, "django": _django, "peewee": _peewee, "rails": _rails, "hibernate": _hibernate}


def _of_write(verb: str, table: str, orm: str) -> str:
    if verb == "insert":
        how = {
            "sqlalchemy": "session.add_all(...) or session.execute(insert(...), rows)",
            "django": "Model.objects.bulk_create(rows)",
            "peewee": "Model.insert_many(rows)",
            "rails": "Model.insert_all(rows)",
        }.get(orm, "executemany or INSERT ... VALUES with many rows")
        return f"Write {table} in one statement: {how}."
    how = {"django": "bulk_update or queryset.update(...)", "sqlalchemy": "one update(...) with a WHERE ... IN"}.get(
        orm, "one statement with WHERE ... IN, or a join against the new values"
    )
    return f"Change {table} in one statement: {how}."
