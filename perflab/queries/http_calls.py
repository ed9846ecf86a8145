"""Calls to other services, from the attributes of their spans: method, address without values, and the values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from perflab.recorders import addresses

_METHODS = ("http.request.method", "http.method")
_URLS = ("url.full", "http.url", "url", "http.target", "url.path", "http.path")
_HOSTS = ("server.address", "net.peer.name", "http.host", "peer.service", "net.peer.ip")
_NAMED = re.compile(r"(GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE)(?:\s+(\S+))?", re.IGNORECASE)
_NOT_HTTP = ("db.system", "db.system.name", "rpc.system", "messaging.system")
_EPHEMERAL = re.compile(r":(?:3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[4-6]\d{4})$")
"""A port that the system chose, which is another one after the next start."""
_MASKED = re.compile(r"/(?:\{\w*\}|:\w+)(?=/|$)|\[(?:filtered|redacted)\]|\*{3,}|<redacted>|REDACTED", re.IGNORECASE)


class HttpCall(NamedTuple):
    """``host`` and ``path`` name what is asked; ``values`` is None where the address was not recorded, or masked."""

    method: str
    host: str
    path: str
    values: tuple[str, ...] | None

    @property
    def label(self) -> str:
        """``GET stock:8080/items/{}``."""
        return f"{self.method} {self.host}{self.path}".strip()


def http_call(name: str, attributes: Mapping[str, Any]) -> HttpCall | None:
    """The call that a span is, None where it is none over HTTP.

    >>> http_call("GET", {"http.request.method": "GET", "url.full": "http://stock:8080/items/17?in=Bonn"})
    HttpCall(method='GET', host='stock:8080', path='/items/{}', values=('17', 'Bonn'))
    """
    if any(key in attributes for key in _NOT_HTTP):
        return None
    method, url, host = (_first(attributes, keys) for keys in (_METHODS, _URLS, _HOSTS))
    named = None if method and url else _NAMED.fullmatch(name.strip())
    if not method and (named is None or not (url or named[2])):
        return None
    if named is not None:
        method, url = method or named[1], url or named[2] or ""
    method = method.upper()
    if not url:
        return HttpCall(method, host or name, "", None)
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else f"//{url}")
    except ValueError:
        return HttpCall(method, host or "?", "", None)
    own = _EPHEMERAL.sub("", parts.netloc.rpartition("@")[2] or host)
    query = parts.query or str(attributes.get("url.query", attributes.get("http.query", "")) or "").lstrip("?")
    # A name has the parts that differ left out already.
    hidden = bool(_MASKED.search(parts.path) or _MASKED.search(query))
    values = None if hidden else tuple(addresses.values(parts.path, query))
    return HttpCall(method, own, addresses.template(parts.path), values)


def _first(attributes: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((value for key in keys if isinstance(value := attributes.get(key), str) and value), "")
