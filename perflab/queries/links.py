"""How clearly names link a child to a parent: that it asks for what the parent's rows hold."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from perflab.queries.nouns import (
    ABOVE,
    ANOTHER,
    KEY_BEGINNINGS,
    KEY_ENDINGS,
    OWN_KEYS,
    PARTIES,
    ROLES,
    own_key,
    points_elsewhere,
    same_noun,
    stem,
)
from perflab.queries.shape import Shape, shape

_CODES = frozenset({"code", "no", "nr", "ref", "sku", "slug", "token", "barcode", "ean", "isbn"})
_OF_PARTIES = frozenset({"email", "mail", "username", "login", "phone", "handle"})
"""What names a person in any role: a buyer's email is a visitor's."""

_ATTRIBUTES = frozenset(
    "name title label state status type kind role level region country lang language locale category key flag shard "  # noqa: SIM905
    "partition bucket day date month year priority queue channel value active enabled deleted".split()
)
"""What a program knows without a query and reads one by one: settings, states, shards."""


@lru_cache(maxsize=65536)
def link(
    parent: str,
    child: str,
    keys: tuple[str, ...],
    tables: frozenset[str] = frozenset(),
    columns: frozenset[str] | None = None,
) -> int:
    """How clearly names link a child, by these of its keys, to a parent: 3 a key says so, 2 the parent hands out a column of
    that name, or names a role, 1 it may be, 0 nothing does, -1 the parent holds no such key.

    A reference of the parent that names one of the other ``tables`` (nouns), or the row above it, is none to the child's table.
    ``columns`` are what the parent hands out, where the log says more about it than the statement itself (`known_columns`).
    """
    above, below = shape(parent), shape(child)
    selected = above.columns
    if columns is not None:
        above = replace(above, columns=columns)
    return max((_link(above, below, key, tables, selected) for key in keys), default=0)


def _of_another_row(above: Shape, tables: frozenset[str]) -> bool:
    """Whether the parent holds a key that may be of another row of its table: ``boss``, or what names no other table."""
    own = stem(above.tables[0])
    others = [noun for noun in tables if not same_noun(noun, own)]
    references = [stem(c) for c in above.columns if points_elsewhere(c) or ANOTHER & set(c.split("_"))]
    return any(ANOTHER & set(c.split("_")) or not any(same_noun(c, noun) for noun in others) for c in references)


def _link(above: Shape, below: Shape, key: str, tables: frozenset[str], selected: frozenset[str]) -> int:
    nouns = [stem(t) for t in above.tables]
    table = below.tables[0] if below.tables else ""
    owner = stem(table)
    plain = key in OWN_KEYS
    everything = "*" in above.columns
    if not plain and nouns and same_noun(owner, nouns[0]) and len(below.tables) > 1 and points_elsewhere(key):
        return 3  # many to many of a table with itself: the key is the join table's
    if own_key(key, table):  # many to one: the parent holds the child's key
        foreign = {stem(c) for c in above.columns if points_elsewhere(c)}
        own = bool(nouns) and same_noun(owner, nouns[0])
        if not own and any(same_noun(c, owner) for c in foreign | {stem(c) for c in above.columns}):
            return 3
        if own and key in above.columns and not everything:  # the ids first, then each row by its id
            return 2 if _of_another_row(above, tables) or below.columns - selected - above.columns else 0
        party = any(same_noun(owner, noun) for noun in PARTIES)
        foreign = {c for c in foreign if not ABOVE & set(c.split("_"))}
        foreign = {c for c in foreign if (party and c in ROLES) or not any(same_noun(c, t) for t in tables)}
        if plain and party and any(c in ROLES or c.endswith("_by") for c in foreign):
            return 2  # an author may be a member, an owner a user
        if plain and nouns and any(same_noun(stem(t), nouns[0]) for t in below.tables[1:]):
            return 2  # joined to the parent's table, and found by its id
        if below.store and any(c in OWN_KEYS for c in above.columns):
            return 1  # a key of a cache may be named after anything: book:17, cover:17
        if foreign or everything:
            return 1
        # Many a schema names its references without a suffix: review.critic. Then growth alone may prove it.
        return 0 if any(c not in OWN_KEYS and c not in _ATTRIBUTES for c in above.columns) else -1
    named = KEY_ENDINGS.search(key) is not None or KEY_BEGINNINGS.match(key) is not None
    if (named and key in above.columns and KEY_ENDINGS.sub("", key)) or any(same_noun(stem(key), n) for n in nouns):
        return 3  # one to many
    if key in _ATTRIBUTES:
        return 0
    if key in above.columns or (key in _OF_PARTIES and any(c.endswith(f"_{key}") for c in above.columns)):
        return 2
    if key in _CODES:
        # A code comes from a client as often as from a row, unless the parent holds the code of just this table.
        held = {c.replace("_", "").lower() for c in above.columns}
        return 3 if owner and f"{owner}{key}".replace("_", "").lower() in held else 0
    return 1 if everything or (named and any(c in OWN_KEYS or KEY_ENDINGS.search(c) for c in above.columns)) else 0
