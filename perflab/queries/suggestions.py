"""What to do about a finding, in the words of the ORM that wrote the SQL."""

from __future__ import annotations

import re

from perflab.queries.shape import same_noun, shape, stem

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


PAGES = "No N+1: each call continues where the previous one ended. Larger pages would save round trips."


def suggestion(parent: str | None, child: str, level: str, keys: tuple[str, ...] = ()) -> str:
    """One or two sentences that name the fix; ``keys`` are those of the child that differ from call to call, where known."""
    below = shape(child)
    table = below.tables[0] if below.tables else "the table"
    if level == "write loop" and below.verb == "call":
        return "Call it once for all rows: let the procedure take a set (an array, a temporary table)."
    if level == "write loop":
        return _of_write(below.verb, table, orm_of(child) or orm_of(parent or ""))
    if level == "duplicate":
        return f"Query {table} once per unit of work and keep the result (a variable, a request cache)."
    if level == "constant fan-out":
        return "No N+1: the number of calls is fixed. One query with IN would save round trips."
    key = next(iter(keys or below.keys), "key")
    if level == "loop without parent":
        return f"Collect the values first and query once: {_batch(table, key)}."
    if summary := _of_summary(child, table, key):
        return summary
    if below.list_key in keys:
        return f"Each call passes a list of one value: collect the values of all rows and query once: {_batch(table, key)}."
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


def _batch(table: str, key: str) -> str:
    return f"SELECT ... FROM {table} WHERE {key} IN (...)"


def _owner(parent: str) -> str:
    tables = shape(parent).tables
    return tables[0] if tables else "parent"


def _class(table: str) -> str:
    return "".join(part.capitalize() for part in stem(table.removeprefix("shop_")).split("_")) or "Parent"


def _sqlalchemy(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    owner = _class(_owner(parent))
    loader, why = ("joinedload", "one row each: a JOIN") if to_one else ("selectinload", "one IN query for all")
    other = "selectinload" if to_one else "joinedload"
    return (
        f"SQLAlchemy: .options({loader}({owner}.<relationship to {table}>)) on the query of {_owner(parent)} ({why}; "
        f'{other} works too), or lazy="raise" on the relationship to find every place.'
    )


def _django(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    call = "select_related" if to_one else "prefetch_related"
    return f'Django: add .{call}("<field to {table}>") to the queryset of {_owner(parent)}.'


def _peewee(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    if to_one:
        return f"Peewee: .select(..., {_class(table)}).join({_class(table)}) on the query of {_owner(parent)}."
    return f"Peewee: prefetch(<query of {_owner(parent)}>, {_class(table)}.select()) instead of a query for each row."


def _rails(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    return f"Rails: add .includes(:{stem(table) if to_one else table}) (or preload) to the query of {_owner(parent)}."


def _hibernate(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    return f"Hibernate: JOIN FETCH the association to {table} in the query of {_owner(parent)}, an @EntityGraph, or @BatchSize."


def _plain(parent: str, child: str, table: str, key: str, to_one: bool) -> str:
    join = f"JOIN {table} in the query of {_owner(parent)}" if to_one else f"one batch after it: {_batch(table, key)}"
    return f"Load {table} together with {_owner(parent)}: {join}."


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
