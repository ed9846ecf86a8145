"""The shape of a web address: its path with ``{}`` for what differs from call to call, and those values apart.

Standard library only: the request recorder names calls by it, and the readers of traces do the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

_WORD = re.compile(r"[a-z][a-z_.-]{0,23}|v\d{1,2}(?:\.\d)?")
"""A segment that names a resource. Everything else is a value: ids, names, tokens, texts of users."""
_MAX_PATH, _MAX_VALUES = 400, 20


def template(path: str) -> str:
    """The path with ``{}`` in place of its values; "" for the root.

    >>> template("/products/17/offer"), template("/api/v2/users/Anna/7f3c9a"), template("/")
    ('/products/{}/offer', '/api/v2/users/{}/{}', '')
    """
    return _divided(path)[0]


@lru_cache(maxsize=4096)
def _divided(path: str) -> tuple[str, tuple[str, ...]]:
    """The template of a path, and its values."""
    parts: list[str] = []
    found: list[str] = []
    for segment in path[:_MAX_PATH].partition(";")[0].split("/"):
        if not segment:
            continue
        # What follows the plural of a noun is one of them: /users/anna.
        if _WORD.fullmatch(segment) and not (parts and _is_many(parts[-1])):
            parts.append(segment)
        else:
            parts.append("{}")
            found.append(unquote(segment) if "%" in segment else segment)
    return "".join(f"/{part}" for part in parts), tuple(found)


def _is_many(segment: str) -> bool:
    return segment.endswith("s") and not segment.endswith(("ss", "us", "is", "ews"))


def values(path: str, query: str = "") -> list[str]:
    """The values of an address: segments that the template leaves out, and those of the query.

    >>> values("/products/17/offer", "currency=EUR&page=2")
    ['17', 'EUR', '2']
    """
    found = list(_divided(path)[1])
    for pair in query[: 4 * _MAX_PATH].split("&") if query else ():
        name, has_value, value = pair.partition("=")
        if has_value and value:
            found += [unquote_plus(each) for each in value.split(",") if each]
        elif name and not has_value:
            found.append(unquote_plus(name))
    return found[:_MAX_VALUES]
