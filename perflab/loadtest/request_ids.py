"""Inside Locust: an id for each request, shared by the target's recorders and the run's records.

Sent to the target's host only, as ``X-Request-ID`` (16 hex digits), ``X-Request-Start`` (``t=`` and seconds since 1970, as
Heroku, New Relic and Puma use it) and ``X-Perflab-Endpoint`` (the name of the request in the run, percent-encoded). A
request with its own id, or with a signature, is sent unchanged.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, LocustUserAgent

from perflab.loadtest.journal import REQUEST, endpoint_name
from perflab.loadtest.records import MAX_NAMES

ID, START, ENDPOINT, TRACE = HEADERS = ("X-Request-ID", "X-Request-Start", "X-Perflab-Endpoint", "traceparent")
_PRINTABLE = "".join(chr(c) for c in range(32, 127) if chr(c) != "%")
_SCHEMES = ("aws4-", "signature ", "oauth ", "hmac", "hawk ", "sharedkey")
"""How the value of ``Authorization`` starts where it signs the request's headers."""
_IN_URL = ("signature=", "sig=", "hmac=")


class RequestIds:
    """Numbers requests from a random start, so that processes of a run share no id. ``trace`` also sends ``traceparent``."""

    def __init__(self, host: str, *, trace: bool = False) -> None:
        self.target, self.trace = _place(host), trace
        self._next = secrets.randbits(31) << 32
        self._bases: dict[Any, bool] = {}
        self._names: dict[tuple[str, str], str] = {}

    def watch(self) -> None:
        """Add an id to every request of Locust's two HTTP clients from now on."""
        for session in (HttpSession, FastHttpSession):
            session.request = self._identified(session.request)  # type: ignore[method-assign]
        LocustUserAgent._urlopen = self._kept_here(LocustUserAgent._urlopen)  # type: ignore[method-assign]
        HttpSession.rebuild_auth = self._kept_home(HttpSession.rebuild_auth)  # type: ignore[method-assign]

    def _identified(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def identified(session: Any, method: Any, url: Any, name: Any = None, *given: Any, **options: Any) -> Any:
            if not given and self._wanted(session, url, options):
                self._next += 1
                number = self._next
                headers = options.get("headers")
                options["headers"] = {**(headers or {}), **self._headers(session, method, url, name, options, number)}
                options["context"] = {**(options.get("context") or {}), REQUEST: number}
            return request(session, method, url, name, *given, **options)

        return identified

    def _wanted(self, session: Any, url: Any, options: Mapping[str, Any]) -> bool:
        """Whether a request goes to the target and has no id or signature of its own."""
        if not isinstance(url, str):
            return False
        base = url if "://" in url[:9] else session.base_url
        here = self._bases.get(base)
        if here is None:
            here = _place(base) == self.target
            if len(self._bases) < MAX_NAMES:
                self._bases[base] = here
        if not here or ("=" in url and _signed_url(url)):
            return False
        headers, auth = options.get("headers"), options.get("auth")
        if (headers and _has_own(headers)) or (auth is not None and _signs(auth)):
            return False
        return not self._session_has_own(session)

    def _session_has_own(self, session: Any) -> bool:
        """Whether a client sends an id or signature with each request; checked again when its number of headers changes."""
        auth, headers = getattr(session, "auth", None), _of_session(session)
        state = (len(headers) if headers is not None else 0, auth)
        known = session.__dict__.get("_perflab_own")
        if known is None or known[0] != state:
            known = session.__dict__["_perflab_own"] = (state, _has_own(headers) or _signs(auth))
        return bool(known[1])

    def _headers(
        self, session: Any, method: Any, url: str, name: Any, options: Mapping[str, Any], number: int
    ) -> dict[str, str]:
        found = {ID: f"{number:016x}", START: f"t={time.time():.6f}"}
        called = name or getattr(session, "request_name", None) or (None if options.get("params") else url)
        if called:
            key = (str(method), str(called))
            endpoint = self._names.get(key)
            if endpoint is None:
                endpoint = quote(endpoint_name(*key), safe=_PRINTABLE)
                if len(self._names) < MAX_NAMES:
                    self._names[key] = endpoint
            found[ENDPOINT] = endpoint
        if self.trace:
            found[TRACE] = f"00-{number:032x}-{number:016x}-01"
        return found

    def _kept_here(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """Remove the headers from a redirect to another host (FastHttpUser)."""

        def _urlopen(agent: Any, request: Any) -> Any:
            split = request.url_split
            if (split.host, split.port) != self.target:
                for name in HEADERS:
                    request.headers.pop(name, None)
            return send(agent, request)

        return _urlopen

    def _kept_home(self, rebuild: Callable[..., Any]) -> Callable[..., Any]:
        """Remove the headers from a redirect to another host (HttpUser)."""

        def rebuild_auth(session: Any, prepared: Any, response: Any) -> Any:
            if _place(prepared.url) != self.target:
                for name in HEADERS:
                    prepared.headers.pop(name, None)
            return rebuild(session, prepared, response)

        return rebuild_auth


def _place(url: Any) -> tuple[str | None, int | None]:
    """The host and port of a URL."""
    try:
        parts = urlsplit(str(url))
        return parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None, None


def _of_session(session: Any) -> Any:
    """The headers that a client sends with each request."""
    headers = getattr(session, "headers", None)
    return headers if headers is not None else getattr(getattr(session, "client", None), "default_headers", None)


def _has_own(headers: Any) -> bool:
    """Whether headers hold an id, or a signature, which may cover all headers."""
    for name in headers or ():
        lowered = name.lower() if isinstance(name, str) else str(name).lower()
        if lowered == "x-request-id" or "signature" in lowered:
            return True
        if lowered == "authorization" and str(headers[name]).lower().startswith(_SCHEMES):
            return True
    return False


def _signed_url(url: str) -> bool:
    lowered = url.lower()
    return any(part in lowered for part in _IN_URL)


def _signs(auth: Any) -> bool:
    """Whether an ``auth`` may sign: anything but a name and a password."""
    return auth is not None and not isinstance(auth, tuple) and type(auth).__name__ not in ("HTTPBasicAuth", "str")
