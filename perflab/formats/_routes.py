"""Routes: the endpoint that a request's address belongs to, with ``{}`` in place of ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_AT = re.compile("@|%40")
_FILE = re.compile(r"(.+?)(\.(?:min\.)?[a-z][a-z0-9]{0,4})")
_SHORT_NAME = re.compile(r"[a-z]{1,12}\d{1,2}", re.IGNORECASE)
"""A word with a version: v2, oauth2, s3, page2."""
_ADDRESSED = re.compile(r"reset|verif|confirm|activat|invit|unsubscribe|magic|recover", re.IGNORECASE)
_KEY = re.compile(r"(?=.*\d).{6,}|.{16,}")
"""What follows in a link that was sent to one person: who knows it may use it."""
_LONGEST_WORD, _LONGEST = 32, 512
_MANY, _ALWAYS_MANY, _FREQUENT = 20, 200, 0.05
"""So many values of a segment after a plural, or of several words, are names of things; those with a share of the requests as
large as this are not (``/users/me``). As many as the second number always are."""
_MOST_KNOWN = 50_000
_PLACE = re.compile(r"\{[^}]*\}|<[^>]*>|\[[^\]]*\]|(?<=/):\w+")


def path_of(target: str) -> str:
    """The path of a request's target, which may be a whole address.

    >>> path_of("https://shop.example:443/orders?page=2"), path_of("/a;jsessionid=1F"), path_of("*")
    ('/orders', '/a', '*')
    """
    if not target.startswith("/") and "://" in target[:12]:
        try:
            target = urlsplit(target).path or "/"
        except ValueError:
            target = "/" + target.split("://", 1)[1].partition("/")[2]
    return target[:_LONGEST].partition("?")[0].partition("#")[0].partition(";")[0]


class Routes:
    """Names endpoints. ``given`` routes ("/blog/{slug}", "/users/<int:id>", "/users/:id") come first, in their order."""

    def __init__(self, given: Sequence[str] = ()) -> None:
        routes = (given,) if isinstance(given, str) else tuple(given)
        for route in routes:
            if not (isinstance(route, str) and route.startswith("/")):
                raise ValueError(f'routes must be paths like "/orders/{{id}}"; got {route!r}')
        self._given = [(re.compile(_pattern(route)), route) for route in routes]
        self._known: dict[str, str] = {}

    def name(self, target: str) -> str:
        """The route of a target.

        >>> Routes(["/blog/{slug}"]).name("/blog/ten-years?x=1"), Routes().name("/orders/17/items/4f9a1c22")
        ('/blog/{slug}', '/orders/{}/items/{}')
        """
        path = path_of(target)
        found = self._known.get(path)
        if found is None:
            found = next((route for pattern, route in self._given if pattern.fullmatch(path)), None) or fold(path)
            if len(self._known) < _MOST_KNOWN:
                self._known[path] = found
        return found


def _pattern(route: str) -> str:
    parts = _PLACE.split(route.rstrip("/"))
    return "[^/]+".join(map(re.escape, parts)) + "/?"


def fold(path: str) -> str:
    """The path with ``{}`` for segments that are ids: numbers, UUIDs, hashes, dates, addresses, long texts.

    >>> fold("/orders/17"), fold("/api/v2/users/anna@example.org"), fold("/static/app.3f9c1d.js"), fold("/oauth2/token/")
    ('/orders/{}', '/api/v2/users/{}', '/static/{}.js', '/oauth2/token')
    """
    if not path.startswith("/"):
        return path
    parts = list(filter(None, path.split("/")))
    keys = keys_of(path)
    return "/" + "/".join("{}" if part in keys else _segment(part) for part in parts)


def keys_of(path: str) -> frozenset[str]:
    """The segments that are keys of links for one person.

    >>> sorted(keys_of("/verify-email/MTIz/c8k2d1-77")), sorted(keys_of("/orders/17/confirm")), sorted(keys_of("/invite/17"))
    (['c8k2d1-77'], [], [])
    """
    if not _ADDRESSED.search(path):
        return frozenset()
    parts = path.split("/")
    first = next(n for n, part in enumerate(parts) if _ADDRESSED.search(part))
    return frozenset(p for p in parts[first + 1 :] if _KEY.fullmatch(p) and not _FILE.fullmatch(p) and "{" not in p)


@lru_cache(maxsize=65_536)
def _segment(text: str) -> str:
    stem, ending = text, ""
    if not _AT.search(text) and (file := _FILE.fullmatch(text)):
        stem, ending = file[1], file[2]
    return f"{{}}{ending}" if _is_id(stem) else text


def _is_id(text: str) -> bool:
    if len(text) > _LONGEST_WORD or "%" in text or "@" in text or "=" in text or "," in text:
        return True
    digits = sum(c.isdigit() for c in text)
    if not digits or _SHORT_NAME.fullmatch(text):
        return False
    return digits >= 3 or digits * 2 >= len(text) or bool(_UUID.fullmatch(text))


def merged(counts: Mapping[str, int]) -> dict[str, str]:
    """For routes with their requests, the route that each becomes where a segment has so many values that these are names.

    >>> posts = {f"/blog/{a}-{b}": 1 for a in "abcdef" for b in "uvwxyz"}
    >>> found = merged({**posts, "/blog/new": 9, "/about": 3})
    >>> found["/blog/a-u"], found["/blog/new"], found["/about"]
    ('/blog/{}', '/blog/new', '/about')
    """
    became = {route: tuple(route.split("/")) for route in counts}
    for depth in range(1, 1 + max((len(parts) for parts in became.values()), default=0)):
        children: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for route, parts in became.items():
            if len(parts) > depth:
                children[parts[:depth]][parts[depth]] += counts[route]
        rare = {parent: _rare(parent[-1], values) for parent, values in children.items() if len(values) > _MANY}
        if rare:
            became = {route: _renamed(parts, depth, rare) for route, parts in became.items()}
    return {route: "/".join(parts) for route, parts in became.items()}


def _rare(parent: str, values: Mapping[str, int]) -> frozenset[str]:
    """The values that are names of things rather than resources of an API, of which there may be many too."""
    total = sum(values.values())
    rare = [value for value, count in values.items() if count < _FREQUENT * total]
    of_words = 2 * sum("-" in value or "_" in value or not value.islower() for value in rare)
    plural = parent.endswith("s") and not parent.endswith(("ss", "us", "is", "ews"))
    if len(rare) > _ALWAYS_MANY or (len(rare) > _MANY and (plural or of_words > len(rare))):
        return frozenset(rare)
    return frozenset()


def _renamed(parts: tuple[str, ...], depth: int, rare: Mapping[tuple[str, ...], Iterable[str]]) -> tuple[str, ...]:
    if len(parts) > depth and parts[depth] in rare.get(parts[:depth], ()):
        return (*parts[:depth], "{}", *parts[depth + 1 :])
    return parts
