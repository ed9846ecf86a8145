"""Profiles an application's requests by endpoint when perflab's ``run(..., profile=...)`` requests it.

    application = profile_requests(application)          # WSGI; app.wsgi_app = profile_requests(app.wsgi_app) in Flask
    application = profile_async_requests(application)    # ASGI (pyinstrument only)

Without the environment variable PERFLAB_PROFILE (``pyinstrument:FOLDER`` or ``cprofile:FOLDER``) both return the
application unchanged. With it, a random half of the requests is profiled and all are timed. Streamed bodies are not profiled.
"""

from __future__ import annotations

import atexit
import json
import logging
import marshal
import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from perflab.recorders import context
from perflab.recorders.asgi import header

PROFILE = "PERFLAB_PROFILE"
MAX_ENDPOINTS = 200
MAX_STACKS = 50_000
INTERVAL_S = 0.001
FLUSH_S = 1.0

_logger = logging.getLogger("perflab.recorders")
Scope = dict[str, Any]


def profile_requests(
    application: Callable[..., Iterable[bytes]], route: Callable[[dict[str, Any]], str] | None = None
) -> Callable[..., Iterable[bytes]]:
    """Wrap a WSGI application to profile its requests if PERFLAB_PROFILE is set.

    ``route(environ)`` returns the endpoint; by default it is the route that a recorder's hook found, else method and path.
    """
    recording = _recording()
    if recording is None:
        return application

    def profiled(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with context.seen_route() as seen:
            request = recording.begin()
            try:
                return _call(application, environ, start_response)
            finally:
                named = route(environ) if route else context.endpoint_of(environ.get("HTTP_X_PERFLAB_ENDPOINT"))
                named = named or seen.get("route")
                path = f"{environ.get('REQUEST_METHOD', 'GET')} {environ.get('PATH_INFO', '')}"
                recording.end(request, named or path)

    return profiled


def profile_async_requests(application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap an ASGI application; pyinstrument, which separates tasks, profiles one request at a time.

    The endpoint is the route that Starlette (FastAPI) puts into the scope, else method and path.
    """
    recording = _recording()
    if recording is None:
        return application
    if recording.tool != "pyinstrument":
        _logger.warning("%s: cProfile cannot separate the tasks of an event loop; nothing is profiled", PROFILE)
        return application

    async def profiled(scope: Scope, receive: Any, send: Any) -> None:
        if scope.get("type") != "http":
            await application(scope, receive, send)
            return
        request = recording.begin(alone=True, task=True)
        try:
            await _call_async(application, scope, receive, send)
        finally:
            path = getattr(scope.get("route"), "path", None) or scope.get("path", "")
            named = context.endpoint_of(header(scope, b"x-perflab-endpoint"))
            recording.end(request, named or f"{scope.get('method', 'GET')} {path}")

    return profiled


def _call(application: Callable[..., Iterable[bytes]], environ: Any, start_response: Any) -> Iterable[bytes]:
    """The frame above those that are kept."""
    return application(environ, start_response)


async def _call_async(application: Callable[..., Awaitable[None]], scope: Any, receive: Any, send: Any) -> None:
    """The frame above those that are kept."""
    await application(scope, receive, send)


class _Request:
    """A request in progress: its start and its profiler, if it has one."""

    def __init__(self, profiler: Any, locked: bool) -> None:
        self.profiler, self.locked = profiler, locked
        self.began = time.perf_counter()


class Recording:
    """What the profiler recorded, by endpoint, in a file that is rewritten every second and at exit."""

    def __init__(self, tool: str, folder: Path, share: float = 0.5) -> None:
        self.tool, self.folder, self.share = tool, folder, share
        self.endpoints: dict[str, dict[str, float]] = {}
        self.stacks: dict[str, dict[tuple[str, ...], float]] = {}
        self.statistics: dict[str, Any] = {}
        self._lot = random.Random(1)
        self._lock = threading.Lock()
        self._one = threading.Lock()
        self._changed = False
        self._process = 0
        atexit.register(self.write)

    def begin(self, *, alone: bool = False, task: bool = False) -> _Request:
        """Start to profile, or only time, a request of this thread (or task)."""
        if self._process != os.getpid():
            self._start_writing()
        if self._lot.random() >= self.share:
            return _Request(None, False)
        # cProfile cannot separate two requests, nor can pyinstrument within one event loop.
        locked = alone or self.tool == "cprofile"
        if locked and not self._one.acquire(blocking=False):
            return _Request(None, False)
        request = _Request(None, locked)
        try:
            request.profiler = self._profiler(task)
        except Exception as problem:  # noqa: BLE001 - another profiler is active, or its version differs: go on without
            _logger.warning("%s: this request is not profiled: %s", PROFILE, problem)
            self._release(request)
        return request

    def end(self, request: _Request, endpoint: str) -> None:
        """Stop, and add the samples to the endpoint; never raises into the application."""
        profiler = request.profiler
        try:
            if profiler is not None:
                profiler.disable() if self.tool == "cprofile" else profiler.stop()
            with self._lock:
                if endpoint not in self.endpoints and len(self.endpoints) >= MAX_ENDPOINTS:
                    endpoint = "(other)"
                if profiler is not None:
                    self._add(endpoint, profiler)
                counts = self.endpoints.setdefault(
                    endpoint, {"profiled": 0, "profiled_s": 0.0, "timed": 0, "timed_s": 0.0}
                )
                kind = "timed" if profiler is None else "profiled"
                counts[kind] += 1
                counts[f"{kind}_s"] += time.perf_counter() - request.began
                self._changed = True
        except Exception as problem:  # noqa: BLE001 - no error of a profiler may fail the request
            _logger.warning("%s: a request was not recorded: %s", PROFILE, problem)
        finally:
            self._release(request)

    def _release(self, request: _Request) -> None:
        if request.locked:
            request.locked = False
            self._one.release()

    def _profiler(self, task: bool) -> Any:
        if self.tool == "cprofile":
            import cProfile

            profile = cProfile.Profile()
            profile.enable()
            return profile
        from pyinstrument import Profiler

        profiler = Profiler(interval=INTERVAL_S, async_mode="enabled" if task else "disabled")
        profiler.start()
        return profiler

    def _add(self, endpoint: str, profiler: Any) -> None:
        if self.tool == "cprofile":
            import pstats

            known = self.statistics.get(endpoint)
            if known is None:
                self.statistics[endpoint] = pstats.Stats(profiler)
            else:
                known.add(profiler)
            return
        stacks = self.stacks.setdefault(endpoint, {})
        for frames, seconds in profiler.last_session.frame_records:
            stack = _below_middleware(frames)
            if stack and (stack in stacks or len(stacks) < MAX_STACKS):
                stacks[stack] = stacks.get(stack, 0.0) + seconds

    def _start_writing(self) -> None:
        """Start the writing thread; a forked worker needs its own, and starts empty."""
        with self._lock:
            if self._process == os.getpid():
                return
            if self._process:
                self.endpoints, self.stacks, self.statistics = {}, {}, {}
            self._process = os.getpid()
            threading.Thread(target=self._write_now_and_then, name="perflab-profile", daemon=True).start()

    def _write_now_and_then(self) -> None:
        while True:
            time.sleep(FLUSH_S)
            if self._changed:
                self.write()

    def write(self) -> None:
        """Write the files of this process atomically."""
        try:
            with self._lock:
                self._changed = False
                name = f"profile-{os.getpid()}"
                facts: dict[str, Any] = {"tool": self.tool, "version": _version(self.tool), "endpoints": self.endpoints}
                if self.tool == "cprofile":
                    facts["files"] = {e: f"{name}-{i}.pstats" for i, e in enumerate(self.statistics)}
                    for endpoint, file in facts["files"].items():
                        self._put(file, marshal.dumps(self.statistics[endpoint].stats))
                    self._put(f"{name}.json", json.dumps(facts).encode())
                elif self.endpoints:
                    self._put(f"{name}.json", json.dumps({**_speedscope(self.stacks), "perflab": facts}).encode())
        except (OSError, ValueError) as problem:
            _logger.warning("%s: the profile could not be written: %s", PROFILE, problem)

    def _put(self, name: str, data: bytes) -> None:
        unfinished = self.folder / f".{name}"
        unfinished.write_bytes(data)
        unfinished.replace(self.folder / name)


def _recording() -> Recording | None:
    tool, _, folder = os.environ.get(PROFILE, "").partition(":")
    if not tool:
        return None
    if tool not in ("pyinstrument", "cprofile") or not folder or not Path(folder).is_dir():
        _logger.warning("%s must be pyinstrument:FOLDER or cprofile:FOLDER; nothing is profiled", PROFILE)
        return None
    if tool == "pyinstrument":
        try:
            import pyinstrument  # noqa: F401 - fail now, not in the first request
        except ImportError:
            _logger.warning(
                "%s: pyinstrument is not installed (pip install 'perflab[profile]'); nothing is profiled", PROFILE
            )
            return None
    return Recording(tool, Path(folder))


def _below_middleware(frames: list[str]) -> tuple[str, ...]:
    """The frames of the application: those inside the middleware's call of it."""
    for place in range(len(frames) - 1, -1, -1):
        name, _, rest = frames[place].partition("\x00")
        if name in ("_call", "_call_async") and rest.startswith(__file__):
            return tuple(frame.split("\x01", 1)[0] for frame in frames[place + 1 :])
    return ()


def _speedscope(stacks: dict[str, dict[tuple[str, ...], float]]) -> dict[str, Any]:
    """https://www.speedscope.app/file-format-schema.json: a profile for each endpoint."""
    numbers: dict[str, int] = {}
    profiles = []
    for endpoint, found in stacks.items():
        samples = [[numbers.setdefault(frame, len(numbers)) for frame in stack] for stack in found]
        weights = list(found.values())
        profiles.append({
            "type": "sampled", "name": endpoint, "unit": "seconds", "startValue": 0, "endValue": sum(weights),
            "samples": samples, "weights": weights,
        })  # fmt: skip
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": f"pyinstrument {_version('pyinstrument')}",
        "shared": {"frames": [_frame(frame) for frame in numbers]},
        "profiles": profiles,
    }


def _frame(identifier: str) -> dict[str, Any]:
    name, file, line, *_ = [*identifier.split("\x00"), "", ""]
    return {"name": name, "file": file, "line": int(line) if line.isdigit() else 0}


def _version(tool: str) -> str:
    if tool == "cprofile":
        return ".".join(map(str, sys.version_info[:3]))
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(tool)
    except PackageNotFoundError:
        return "unknown"
