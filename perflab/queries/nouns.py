"""The nouns of tables and columns: which table a key points to."""

from __future__ import annotations

import re
from functools import lru_cache

ROLES = frozenset({"parent", "owner", "author", "creator", "user", "customer", "manager", "assignee"})
PARTIES = frozenset(
    "user account person people member employee staff profile contact party client customer company organisation organization "  # noqa: SIM905
    "team tenant".split()
)
"""Whom a role may be."""

OWN_KEYS = frozenset({"id", "pk", "uuid"})
KEY_ENDINGS = re.compile(r"_?(?:id|ids|fk|pk|uuid|guid|code|key|no|nr|ref)$")
KEY_BEGINNINGS = re.compile(r"^(?:fk|id|ref|tbl|tb)_(?=\w{3})")


ABOVE = frozenset({"parent", "superior", "supervisor", "ancestor", "upper", "reply", "replies", "reports"})
"""Words in the name of a key that holds the row above, of the same table: ``parent_id``, ``reports_to``, ``in_reply_to_id``."""

ANOTHER = ABOVE | {
    "manager",
    "chief",
    "boss",
    "lead",
    "mother",
    "father",
    "previous",
    "next",
    "original",
    "linked",
    "related",
}
"""Words in the name of a key of another row of the same table."""

_DOES = frozenset({"ed", "er", "ee", "or"})
"""Endings of who does or suffers a thing: a follow has a follower and a followed, neither of which is its key."""


def bare(name: str) -> str:
    """A name without quotes, in lower case, camelCase written as snake_case."""
    unquoted = name[1:-1] if name[:1] in '"`[' and len(name) > 1 else name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unquoted).lower()


def stem(name: str) -> str:
    """The noun of a table or foreign key: ``shop_books`` -> ``book``, ``author_id`` -> ``author``."""
    word = KEY_BEGINNINGS.sub("", KEY_ENDINGS.sub("", name)) or name
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 2 else word


_IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "oxen": "ox", "media": "medium", "criteria": "criterion", "phenomena": "phenomenon", "data": "datum",
    "indice": "index", "matrice": "matrix", "vertice": "vertex", "appendice": "appendix", "analyse": "analysi", "quizze": "quiz",
    "diagnose": "diagnosi", "thesi": "thesis", "crise": "crisi", "basi": "basis", "base": "basi",
}  # fmt: skip
"""Plurals that no rule gives, as `stem` leaves them."""


def _singular(word: str) -> str:
    """One spelling for the plural and the singular of the last noun of a stem; no word that is shown."""
    before, line, last = word.rpartition("_")
    last = _IRREGULAR.get(last, last)
    for ending, one in (("ie", "y"), ("ve", "f"), ("fe", "f")):
        if last.endswith(ending) and len(last) > 4:
            last = last.removesuffix(ending) + one
    return f"{before}{line}{last}"


@lru_cache(maxsize=65536)
def same_noun(one: str, other: str) -> bool:
    """Whether two stems name one thing: equal, or equal behind an application's prefix (``shop_book``, ``book``)."""
    if not one or not other:
        return False
    one, other = _singular(one), _singular(other)
    if one == other or one.endswith("_" + other) or other.endswith("_" + one):
        return True
    short, long = sorted((one.rpartition("_")[2], other.rpartition("_")[2]), key=len)
    ending = long.removeprefix(short)
    return len(short) >= 4 and long.startswith(short) and len(ending) <= 2 and ending not in _DOES  # kunde, kunden


def own_key(column: str, table: str) -> bool:
    """Whether a column is the table's own key: ``id``, ``author_id`` of ``authors``; not ``parent_author_id``, of another row."""
    noun, owner = stem(column), stem(table)
    another = ANOTHER & set(noun.split("_")) - set(owner.split("_"))
    return column in OWN_KEYS or (same_noun(noun, owner) and not another)


def points_elsewhere(column: str) -> bool:
    """Whether a column may hold the key of another row: ``author_id``, ``created_by``, ``parent``."""
    if column in OWN_KEYS:
        return False
    named = KEY_ENDINGS.search(column) is not None and KEY_ENDINGS.sub("", column) != ""
    return named or KEY_BEGINNINGS.match(column) is not None or column.endswith("_by") or column in ROLES
