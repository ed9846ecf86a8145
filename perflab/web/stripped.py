"""Addresses and headers of a visit without secrets: only what cannot hold one is kept.

Cookies, authorization and the values of queries let someone in as this user. A HAR file holds them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from perflab.provenance import hidden
from perflab.web.freshness import date_of

RESPONSE_HEADERS = frozenset({
    "accept-ranges", "age", "cache-control", "cache-status", "cdn-cache-control", "cf-cache-status", "connection",
    "content-encoding", "content-length", "content-type", "date", "etag", "expires", "last-modified", "location", "pragma",
    "set-cookie", "strict-transport-security", "surrogate-control", "vary", "x-cache", "x-cache-status",
})  # fmt: skip
"""The names of the response headers that are kept; of Set-Cookie and ETag that they were there, of Location the address."""
REQUEST_HEADERS = frozenset({
    "accept", "accept-encoding", "authorization", "cache-control", "cookie", "if-modified-since", "if-none-match", "pragma",
    "range", "sec-fetch-dest", "sec-fetch-mode", "x-requested-with",
})  # fmt: skip
"""The names of the request headers that are kept; of cookies and authorization that they were there."""
PRESENT = "…"
"""The value of a header of which nothing is kept but that it was there."""
_PRESENCE = frozenset({"set-cookie", "cookie", "authorization", "if-none-match"})
_DATES, _SHORTEST_ID = frozenset({"date", "expires", "last-modified"}), 4
_OF_ONE_REQUEST = re.compile(r"\b(key|detail)\s*=\s*(?:\"[^\"]*\"?|[^;,]*)", re.IGNORECASE)
"""Parameters of Cache-Status (RFC 9211) that hold an address, or what a cache likes."""
_LONGEST_URL, _LONGEST_HEADER, _LONGEST_NAME = 500, 300, 60
_KEPT_QUERY = frozenset({
    "auto", "build", "dpr", "fit", "fm", "format", "h", "height", "lang", "page", "quality", "rev", "size", "v", "ver",
    "version", "w", "width",
})  # fmt: skip
"""Names in queries whose short values say which version or size of a file it is."""
_SHORT = re.compile(r"[\w.,:-]{1,16}")
_TOKEN = re.compile(
    r"\d{9,}|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.*\d)(?=.*[A-Z])[A-Z0-9]{8,}|[A-Za-z]{32,}"
    r"|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9]{16,}|.*(?:@|%40).*|eyJ[\w-]+.*|(?=.*[%+])(?=.*\d).{16,}|.{80,}",
    re.DOTALL,
)
_TURN = re.compile(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)")
_FILE = re.compile(r".*\.(?:m?js|css|png|jpe?g|webp|avif|svg|ico|woff2?|ttf|otf|wasm|map)", re.IGNORECASE)
"""Files that are the same for everyone, whose names hold hashes of their content."""
_NUMBERED = re.compile(r"v?\d+\.\d+(?:\.\d+)*")
_VERSIONS = frozenset({"v", "ver", "version", "rev", "hash", "h", "ts", "cb", "build"})


def shown_url(url: str) -> str:
    """An address without what may be a secret: user, fragment, values of the query, segments that are tokens.

    >>> shown_url("https://me:pw@shop.example/a/app.3f2a9c1b.js?v=7&sig=x1#t"), shown_url("https://h/reset/a8Xk2mP0qLz3Vb7c")
    ('https://shop.example/a/app.3f2a9c1b.js?v=7&sig=…', 'https://h/reset/…')
    """
    try:
        parts = urlsplit(url[:8000].strip())
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return PRESENT
    if parts.scheme in ("data", "blob", "javascript") or not host:
        return f"{parts.scheme}:{PRESENT}" if parts.scheme else _path(parts.path) + _query(parts.query)
    host = f"[{host}]" if ":" in host else host
    shown = hidden(f"{parts.scheme}://{host}{port}{_path(parts.path) or '/'}{_query(parts.query)}")
    return shown if len(shown) <= _LONGEST_URL else f"{shown[:_LONGEST_URL]}{PRESENT}"


def shown_page(page: str) -> str:
    """A page's path without what may be a secret; queries separate pages, so their other values stay.

    >>> shown_page("/reset/a8Xk2mP0qLz3Vb7c?page=2&lang=en"), shown_page("/offers?q=boots&token=1")
    ('/reset/…?page=2&lang=en', '/offers?q=boots&token=…')
    """
    return re.sub(r"[^/?&=#;]+", lambda part: PRESENT if _is_token(part[0]) else part[0], hidden(page))


def _path(path: str) -> str:
    return "/".join(map(_segment, re.sub(r";[^/]*", "", path).split("/")))


def _segment(segment: str) -> str:
    """A part of a path; "…" where it may be the key of one person. Pairs in it are those of a query."""
    if _FILE.fullmatch(segment) and len(segment) < 120 and "@" not in segment:
        return segment
    if "=" in segment:
        return re.sub(r"=[^&]*", f"={PRESENT}", segment)
    stem, dot, ending = segment.rpartition(".")
    named = dot and 1 <= len(ending) <= 5
    if not _is_token(stem if named else segment):
        return segment
    return f"{PRESENT}.{ending}" if named else PRESENT


def _is_token(word: str) -> bool:
    if _TOKEN.fullmatch(word) or (len(word) >= 10 and len(_TURN.findall(word)) >= 3):
        return True
    return any(len(part) >= 16 and _TOKEN.fullmatch(part) for part in re.split(r"[-_.~]", word))


def _query(query: str) -> str:
    kept = []
    for pair in filter(None, re.split("[&;]", query[:2000])):
        name, equals, value = pair.partition("=")
        if not equals:
            kept.append(name if _SHORT.fullmatch(name) and len(name) <= 12 else PRESENT)
        else:
            known = name.lower() in _KEPT_QUERY and _SHORT.fullmatch(value) and not _is_token(value)
            kept.append(f"{name[:_LONGEST_NAME]}={value if known else PRESENT}")
    return f"?{'&'.join(kept)}" if kept else ""


def kept_headers(headers: Iterable[tuple[str, str]], names: frozenset[str] = RESPONSE_HEADERS) -> dict[str, str]:
    """The headers that caches, compression and redirects depend on, by their names in lower case.

    >>> kept_headers([("Set-Cookie", "sid=hunter2"), ("Vary", "Cookie"), ("vary", "Accept"), ("X-Token", "hunter2")])
    {'set-cookie': '…', 'vary': 'Cookie, Accept'}
    >>> kept_headers([("Expires", "-1"), ("Last-Modified", "hunter2"), ("Cache-Status", 'Edge; hit; key="/u/hunter2"; ttl=9')])
    {'expires': '-1', 'last-modified': '…', 'cache-status': 'Edge; hit; key=…; ttl=9'}
    """
    found: dict[str, str] = {}
    for given, value in headers:
        name = str(given).strip().lower()
        if name not in names:
            continue
        text = _shown(name, str(value).strip())
        found[name] = text if name not in found or text == PRESENT else f"{found[name]}, {text}"
    return found


def _shown(name: str, value: str) -> str:
    if name in _PRESENCE:
        return PRESENT
    if name in _DATES:  # trackers keep a user's id in these too
        return value if date_of(value) or len(value) <= _SHORTEST_ID else PRESENT
    if name == "cache-status":
        return hidden(_OF_ONE_REQUEST.sub(rf"\1={PRESENT}", value[:_LONGEST_HEADER]))
    if name == "location":
        return shown_url(value)
    if name == "etag":  # trackers keep a user's id in it
        return f'W/"{PRESENT}"' if value.startswith("W/") else f'"{PRESENT}"'
    return value[:_LONGEST_HEADER] if name == "cache-control" else hidden(value[:_LONGEST_HEADER])


def is_versioned(url: str) -> bool:
    """Whether an address names one version of a file (a hash or a version in it), so that its content never changes.

    >>> [is_versioned(f"https://h/{a}") for a in ("app.3f2a9c1b.js", "app.js?v=7", "x/index-DiwrgTda.js", "jquery-3.7.1.min.js")]
    [True, True, True, True]
    >>> [is_versioned(f"https://h/{a}") for a in ("v2/app.js", "photo-2024.jpg", "iphone15pro.png", "app.js?lang=en")]
    [False, False, False, False]
    """
    parts = urlsplit(url)
    *folders, name = parts.path.split("/")
    stem, dot, _ = name.rpartition(".")
    if dot and (_NUMBERED.search(stem) or any(map(_is_hash, _words(stem)))):
        return True
    if any(_is_hash(folder) or folder == PRESENT or _NUMBERED.fullmatch(folder) for folder in folders):
        return True
    named = [pair.partition("=") for pair in parts.query.split("&")]
    return any(
        key.lower() in _VERSIONS if equals else bool(key and (key == PRESENT or _SHORT.fullmatch(key)))
        for key, equals, _ in named
    )


def _words(stem: str) -> list[str]:
    """The parts of a file's name that may be a hash: all but the first, or all of a name without parts."""
    words = re.split(r"[.\-_~]", stem)
    last = re.fullmatch(r".+[-.]([\w-]{8})", stem)
    return [*(words[1:] if len(words) > 1 else words), *([last[1]] if last else [])]


def _is_hash(word: str) -> bool:
    """Whether a word is random: letters and digits take turns, or capitals are inside."""
    if not 6 <= len(word) <= 64 or not re.fullmatch(r"[\w-]+", word) or word.isdigit():
        return False
    turns = len(re.findall(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)", word))
    if re.fullmatch(r"[0-9a-f]+", word):
        return turns >= 2 or len(word) >= 16
    inside = re.search(r"[a-z]", word) is not None and re.search(r"[A-Z]", word[1:]) is not None
    return turns >= 4 or (inside and (len(word) == 8 or turns >= 2))
