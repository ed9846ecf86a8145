"""The record of a load, written by a generator's process: a binary record per request and a line for everything else.

Runs inside Locust's processes; imports neither pandas nor pyarrow, so that the generator needs little CPU.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gevent import getcurrent

from perflab import provenance
from perflab.caching.cache_headers import UNKNOWN, outcome
from perflab.loadtest.flight import Flight
from perflab.loadtest.records import CHECK, MAX_NAMES, MAX_TEXT, MAX_USER_ERRORS, RECORD
from perflab.loadtest.standstill import Ticker

REQUEST = "perflab_request"
"""The key in the context of Locust's ``request`` event for the number of the request."""
_NAN = float("nan")
_MOST_READ = 4096
_DAY_S = 86_400.0
_MAX_SIZE = (1 << 63) - 1
_MAX_ID = (1 << 64) - 1


class Journal:
    """The files of one process; appends in memory, writes every half second."""

    def __init__(
        self, stem: Path, flight: Flight | None = None, ticker: Ticker | None = None, given: Sequence[str] = ()
    ) -> None:
        self._given = given
        self.caches = False
        self.checked = self.user_errors = self.users_ended = self.odd = self._written = 0
        self.flight, self.ticker = flight or Flight(), ticker or Ticker()
        self._pid = os.getpid()
        self.endpoints: dict[tuple[str, str], int] = {}
        self._names: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self._raw_errors: dict[str, int] = {}
        self.checks: dict[str, int] = {}
        self._last_response, self._last_endpoint = None, 0
        self._pending, self._pending_checks = bytearray(), bytearray()
        self._notes: list[str] = []
        self._checks = stem.with_suffix(".checks").open("ab", buffering=0)
        self._records = stem.with_suffix(".bin").open("ab", buffering=0)
        self._side = stem.with_suffix(".jsonl").open("ab", buffering=0)
        self.on_request = self._listener()
        """Locust's ``request`` event."""

    @property
    def count(self) -> int:
        """The number of records so far."""
        return self._written + len(self._pending) // RECORD.size

    def note(self, kind: str, **facts: Any) -> None:
        self._notes.append(json.dumps({"kind": kind, **facts}) + "\n")

    def _listener(self) -> Callable[..., None]:
        """The hot path: a look-up and a pack, with constants bound as locals. Unusual values raise, and go to `_odd`."""
        pack, known, pending, ticker, journal = RECORD.pack, self.endpoints.get, self._pending, self.ticker, self
        cache = self._cache
        in_flight, calls_of = self.flight.open, self.flight.open.get

        def on_request(
            request_type: str = "",
            name: str = "",
            response_time: float | None = None,
            response_length: int | None = 0,
            response: Any = None,
            context: Any = None,
            exception: Any = None,
            start_time: Any = None,
            **_: Any,
        ) -> None:
            greenlet = getcurrent()
            calls = calls_of(greenlet)
            if calls is not None:
                calls.count -= 1
                if not calls.count:
                    del in_flight[greenlet]
            try:
                endpoint = known((request_type, name))
                if endpoint is None:
                    endpoint = journal._endpoint(request_type, name)
                if not ticker.day_before < start_time < ticker.day_after:
                    raise ValueError("no wall clock")
                pending.extend(
                    pack(
                        start_time,
                        response_time,
                        context.get("perflab_due", _NAN) if context else _NAN,
                        response_length or 0,
                        endpoint,
                        journal._error(exception) if exception else 0,
                        greenlet.minimal_ident,
                        getattr(response, "status_code", 0) or 0,
                        cache(response),
                        context.get(REQUEST, 0) if context else 0,
                    )
                )
                journal._last_response, journal._last_endpoint = response, endpoint
            except Exception:  # noqa: BLE001 - no record is lost, whatever a custom client passes
                journal._odd(
                    request_type, name, response_time, response_length, response, context, exception, start_time
                )

        return on_request

    def _cache(self, response: Any) -> int:
        """What the response's headers say about caches; the first that says anything is noted."""
        try:
            headers = getattr(response, "headers", None)
            if not headers:
                return UNKNOWN
            found = outcome(headers.get)
        except Exception:  # noqa: BLE001 - a custom client's own headers
            return UNKNOWN
        if found and not self.caches:
            self.caches = True
            self.note("caches", time=time.time())
        return found

    def _odd(
        self, kind: Any, name: Any, latency: Any, size: Any, response: Any, context: Any, exception: Any, start: Any
    ) -> None:  # fmt: skip
        """Record an event with values of unexpected types: numbers where they convert, the rest as if not given."""
        latency_ms = _number(latency)
        at = _number(_read(lambda: start.timestamp() if hasattr(start, "timestamp") else start))
        if not abs(at - time.time()) < _DAY_S:
            self.odd += start is not None
            at = _start_of(latency_ms)
        length = _number(size)
        status = _number(_read(lambda: response.status_code or 0))
        endpoint = self._known(_text(kind), _text(name))
        self._last_response, self._last_endpoint = response, endpoint
        self._pending += RECORD.pack(
            at,
            latency_ms,
            _number(_read(lambda: context.get("perflab_due"))),
            int(length) if abs(length) < _MAX_SIZE else 0,
            endpoint,
            self._error(exception) if _read(lambda: bool(exception), True) else 0,
            getattr(getcurrent(), "minimal_ident", 0) & 0xFFFFFFFF,
            int(status) & 0xFFFF if math.isfinite(status) else 0,
            self._cache(response),
            _read(lambda: int(context.get(REQUEST, 0)) & _MAX_ID, 0),
        )

    def _endpoint(self, request_type: str, name: str) -> int:
        shown = self.shown(endpoint_name(request_type, name))
        if shown not in self._names and len(self._names) >= MAX_NAMES:
            shown = "(more names)"
        index = self._names.get(shown)
        if index is None:
            index = self._names[shown] = len(self._names)
            self.note("endpoint", index=index, name=shown)
        if len(self.endpoints) < MAX_NAMES:
            self.endpoints[request_type, name] = index
        return index

    def _error(self, exception: Any) -> int:
        kind, said = type(exception).__name__, _text(exception)
        raw = said if kind in ("CatchResponseError", "str") else f"{kind}: {said}"
        index = self._raw_errors.get(raw)
        if index is None:
            text = self.shown(raw)
            if text not in self.errors and len(self.errors) >= MAX_NAMES:
                text = "(more errors)"
            index = self.errors.get(text)
            if index is None:
                index = self.errors[text] = len(self.errors) + 1
                self.note("error", index=index, text=text)
            if len(self._raw_errors) < MAX_NAMES:
                self._raw_errors[raw] = index
        return index

    def shown(self, text: str) -> str:
        """A text to be kept: short, and without what may be a secret."""
        return _short(provenance.hidden(_text(text)[:_MOST_READ], self._given))

    def on_check(self, name: str, ok: bool, response: Any, endpoint: str | None) -> None:
        """Record a named check; without an endpoint it belongs to the request whose response it checks.

        The latest response is compared by identity: a check follows its request in the same greenlet without a switch to
        another in between. In a ``with`` block it comes first, but knows its request.
        """
        index = self.checks.get(name)
        if index is None:
            if len(self.checks) >= MAX_NAMES:
                name = "(more checks)"
            index = self.checks.setdefault(name, len(self.checks))
            self.note("check", index=index, name=self.shown(_text(name)))
        at = 0
        if endpoint is not None:
            at = self._known("", endpoint) + 1
        elif response is not None:
            meta = getattr(response, "request_meta", None)
            if isinstance(meta, dict):
                at = self._known(meta["request_type"], meta["name"]) + 1
            elif response is self._last_response:
                at = self._last_endpoint + 1
        self._pending_checks += CHECK.pack(time.time(), index, at, ok)
        self.checked += 1

    def on_user_error(self, text: str) -> None:
        """An exception in the locustfile: the first thousand with their texts, the rest as a count."""
        self.user_errors += 1
        if self.user_errors <= MAX_USER_ERRORS:
            self.note("user_error", time=time.time(), text=self.shown(text))

    def on_user_ended(self, text: str) -> None:
        """Note a user that left during the load."""
        self.users_ended += 1
        if self.users_ended <= MAX_NAMES:
            self.note("user_ended", time=time.time(), text=self.shown(text))

    def _known(self, request_type: str, name: str) -> int:
        found = self.endpoints.get((request_type, name))
        return self._endpoint(request_type, name) if found is None else found

    def flush(self) -> None:
        """Write names first: a record on disk must never refer to a missing name.

        A client may report from threads of the system, so what arrives meanwhile stays for the next time.
        """
        if os.getpid() != self._pid:  # a fork made by the locustfile has a copy of the buffers
            return
        records, made = bytes(self._pending), bytes(self._pending_checks)
        if notes := self._notes[:]:
            del self._notes[: len(notes)]
            _write_all(self._side, "".join(notes).encode())
        if records:
            del self._pending[: len(records)]
            self._written += len(records) // RECORD.size
            _write_all(self._records, records)
        if made:
            del self._pending_checks[: len(made)]
            _write_all(self._checks, made)


def endpoint_name(request_type: Any, name: Any) -> str:
    """``GET /orders``; a name that starts with the method does not get it twice."""
    kind, called = _text(request_type), _text(name)
    return _short(called if called.startswith(f"{kind} ") else f"{kind} {called}".strip())


def _start_of(latency_ms: Any) -> float:
    """The start of a request that has just ended."""
    known = isinstance(latency_ms, (int, float)) and abs(latency_ms) < _DAY_S * 1e3
    return time.time() - (latency_ms / 1e3 if known else 0.0)


def described(problem: Any) -> str:
    """An exception with its type."""
    return f"{type(problem).__name__}: {_text(problem)}"


def _number(value: Any) -> float:
    found = _read(lambda: float(value), _NAN)
    return found if isinstance(found, float) else _NAN


def _read(read: Callable[[], Any], otherwise: Any = None) -> Any:
    """What a custom client's own objects say, as far as they do."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - they may raise anything
        return otherwise


def _text(value: Any) -> str:
    """Any value as writable text: lone surrogates are escaped."""
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - the locustfile's own __str__
        return type(value).__name__


def _short(text: str) -> str:
    """At most `MAX_TEXT` characters; a digest keeps texts with the same beginning apart."""
    if len(text) <= MAX_TEXT:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{text[: MAX_TEXT - 10]}… {digest}"


def _write_all(file: Any, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
