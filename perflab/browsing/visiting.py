"""One visit of a page: load it in a fresh context, take the plan's steps, and collect what the browser measured."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from perflab.browsing import page_reasons
from perflab.browsing.cdp_exchanges import Exchanges
from perflab.browsing.page_settings import (
    CLICK,
    FILL,
    INTERACTIONS,
    PRESS,
    SCROLL,
    PageSettings,
    Step,
    address,
    is_pause,
)
from perflab.metrics import Metric
from perflab.notes import Kind
from perflab.provenance import hidden
from perflab.units import parse_duration
from perflab.web.stripped import shown_page

_QUIET_S, _POLL_MS, _LONGEST_WAIT_S = 0.3, 40, 5.0
GRACE_S = 10.0
"""What a visit may take for all that is not waiting."""
_IMAGE = ("width", "height", "natural_width", "natural_height", "lazy", "visible")


@dataclass
class Visit:
    """A visit: the start, the metrics (name, value, element), the exchanges, and what went wrong (kind, facts)."""

    page: str
    number: int
    start: datetime
    metrics: list[tuple[str, float, str]] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    problems: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether something went wrong that makes its numbers meaningless."""
        return any(kind.code not in page_reasons.WARNINGS for kind, _ in self.problems)


class _Failed(Exception):
    """The visit can't go on; its problem is noted."""


def visit(browser: Any, plan: PageSettings, host: str, page: str, number: int, stop: threading.Event) -> Visit:
    """Visit a page once."""
    found = Visit(page, number, datetime.now(UTC))
    context = browser.new_context(
        viewport={"width": plan.viewport[0], "height": plan.viewport[1]},
        device_scale_factor=2 if plan.mobile else 1,
        is_mobile=plan.mobile,
        has_touch=plan.mobile,
        extra_http_headers=dict(plan.headers) or None,
        service_workers="allow",
    )
    try:
        tab = context.new_page()
        with suppress(_Failed):
            _visited(tab, context, plan, address(host, page), found, stop)
    finally:
        with suppress(_playwright_error()):  # it may have ended with the browser
            context.close()
    return found


def longest_s(plan: PageSettings, page: str) -> float:
    """How long a visit can take, if the page responds at all."""
    limit_s, steps = plan.timeout_ms / 1e3, plan.steps[page]
    pauses = sum(parse_duration(step[1]) / 1e3 for step in steps if is_pause(step))
    return limit_s * (1 + len(steps)) + 2 * min(_LONGEST_WAIT_S, limit_s) + pauses + GRACE_S


def _visited(tab: Any, context: Any, plan: PageSettings, url: str, found: Visit, stop: threading.Event) -> None:
    tab.set_default_timeout(plan.timeout_ms)
    exchanges, errors = Exchanges(), list[str]()
    crashed = threading.Event()
    tab.on("crash", lambda _: crashed.set())
    tab.on(
        "pageerror", lambda problem: found.problems.append((page_reasons.SCRIPT_ERROR, {"problem": _first(problem)}))
    )
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("dialog", lambda dialog: dialog.dismiss())
    session = context.new_cdp_session(tab)
    exchanges.watch(session)
    session.send("Network.enable")
    _throttle(session, plan)
    tab.add_init_script(_observer())
    collected: dict[str, Any] = {}
    try:
        collected = _collected(tab, exchanges, plan, url, found, stop, crashed)
        found.metrics = metrics_of(collected, found)
    finally:
        found.exchanges = [row | _seen(row["url"], collected) for row in exchanges.rows()]
    # Chromium repeats each failed request in its console.
    if own := [text for text in errors if not text.startswith("Failed to load resource")]:
        found.problems.append((page_reasons.CONSOLE, {"problem": _first(own[0])}))
    sites = [urlsplit(row["url"]).netloc for row in found.exchanges]
    if plan.headers and (others := sorted({site for site in sites if site != urlsplit(url).netloc.rpartition("@")[2]})):
        found.problems.append((page_reasons.HEADERS_ELSEWHERE, {"sites": others}))
    # Chromium asks every site for an icon.
    if failed := [text for text in exchanges.failed if "/favicon.ico " not in text]:
        found.problems.append((page_reasons.FAILED_REQUESTS, {"problem": failed[0]}))


def _collected(
    tab: Any,
    exchanges: Exchanges,
    plan: PageSettings,
    url: str,
    found: Visit,
    stop: threading.Event,
    crashed: threading.Event,
) -> dict[str, Any]:
    """Load the page, take the steps, and return what the browser measured; `_Failed` with the problem noted."""
    origin: float | None = None
    steps = plan.steps[found.page]
    gone: tuple[Kind, dict[str, Any]] = page_reasons.MOVED_ON, {}
    try:
        answered = _loaded(tab, plan, url, found)
        origin = _origin(tab)
        _quiet(tab, exchanges, found, plan, stop)
        tab.evaluate("() => window.__perflab.painted()")
        if _place(tab.evaluate("() => window.__perflab.loaded")) != _place(answered):
            found.problems.append(gone)
            raise _Failed
        _arrived(tab, url, found)
        for place, step in enumerate(steps, start=1):
            if step[0] in INTERACTIONS:  # on a slow machine the page leaves a while after the click
                gone = page_reasons.LEFT, {"number": place, "step": " ".join(_words(step))}
            _step(tab, plan, step, place, found)
        if steps:
            _quiet(tab, exchanges, found, plan, stop)
            tab.evaluate("() => window.__perflab.painted()")
        collected: dict[str, Any] = tab.evaluate("() => window.__perflab.collected()")
    except _playwright_error() as problem:
        if crashed.is_set():
            found.problems.append((page_reasons.CRASHED, {}))
        elif origin is not None and _origin(tab) not in (origin, None):
            found.problems.append(gone)
        else:
            found.problems.append((page_reasons.NOT_REACHED, {"problem": _first(problem)}))
        raise _Failed from problem
    if _origin(tab) != origin:
        found.problems.append(gone)
        raise _Failed
    return collected


def _origin(tab: Any) -> float | None:
    """When the tab's document began, which tells documents apart; None if it has none any more."""
    with suppress(_playwright_error()):
        return float(tab.evaluate("() => window.__perflab.origin"))
    return None


def _throttle(session: Any, plan: PageSettings) -> None:
    if plan.conditions is not None:
        latency, download, upload = plan.conditions
        session.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": latency,
                # Bytes per second; -1 is no limit.
                "downloadThroughput": download * 125 or -1,
                "uploadThroughput": upload * 125 or -1,
            },
        )
    if plan.cpu != 1:
        session.send("Emulation.setCPUThrottlingRate", {"rate": plan.cpu})


def _loaded(tab: Any, plan: PageSettings, url: str, found: Visit) -> str:
    """Load the page, and return the address that answered: its own, or one that it redirects to."""
    from playwright.sync_api import TimeoutError as TimedOut

    try:
        response = tab.goto(url, wait_until="load", timeout=plan.timeout_ms)
    except TimedOut as problem:
        found.problems.append((page_reasons.TIMED_OUT, {"limit_ms": plan.timeout_ms}))
        raise _Failed from problem
    if response is None or not response.ok:
        status = "no response" if response is None else response.status
        found.problems.append((page_reasons.NOT_ANSWERED, {"status": status}))
        raise _Failed
    return str(response.url)


def _arrived(tab: Any, url: str, found: Visit) -> None:
    """Note what else than the page itself was measured, or was not."""
    if (there := _place(tab.url)) != _place(url):
        address = there[1] if there[0] == _place(url)[0] else "".join(there)
        found.problems.append((page_reasons.ELSEWHERE, {"address": shown_page(address or "/")}))
    framed = {_place(frame.url)[0] for frame in tab.frames} - {""}
    if others := sorted(site for site in framed if _site(site) != _site(there[0])):
        found.problems.append((page_reasons.FOREIGN_FRAMES, {"sites": others}))


def _place(url: str) -> tuple[str, str]:
    """Host and path, as far as they say which page it is."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2], parts.path.rstrip("/")


def _site(host: str) -> str:
    """About what Chromium isolates: the last two parts of a name, or an address, without a port."""
    name = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name if name.replace(".", "").isdigit() else ".".join(name.split(".")[-2:])


def _quiet(tab: Any, exchanges: Exchanges, found: Visit, plan: PageSettings, stop: threading.Event) -> None:
    """Wait until nothing has been exchanged for a while."""
    limit_s = min(_LONGEST_WAIT_S, plan.timeout_ms / 1e3)
    end = time.monotonic() + limit_s
    while exchanges.pending or exchanges.quiet_s < _QUIET_S:
        if time.monotonic() > end:
            found.problems.append((page_reasons.NOT_QUIET, {"waited_ms": limit_s * 1e3}))
            return
        if stop.is_set():
            raise _Failed
        tab.wait_for_timeout(_POLL_MS)


def _step(tab: Any, plan: PageSettings, step: Step, place: int, found: Visit) -> None:
    from playwright.sync_api import Error

    facts: dict[str, Any] = {"number": place, "step": " ".join(_words(step))}
    before = tab.evaluate("() => [window.__perflab.origin, window.__perflab.now()]")
    try:
        _take(tab, step)
    except Error as problem:
        facts |= {"problem": _why(problem), "limit_ms": plan.timeout_ms}
        found.problems.append((page_reasons.STEP_FAILED, facts))
        raise _Failed from problem
    # A step that leads to another page destroys the document, and its entries with it.
    if step[0] in INTERACTIONS:
        with suppress(Error):
            tab.evaluate("since => window.__perflab.answered(since)", before[1])
    stayed = _origin(tab) == before[0]
    if not stayed:
        found.problems.append((page_reasons.LEFT, facts))
        raise _Failed


def _take(tab: Any, step: Step) -> None:
    match step[0]:
        case "click":
            tab.locator(step[1]).first.click()
        case "fill":
            # Key by key: text that is set at once is no interaction.
            tab.locator(step[1]).first.press_sequentially(step[2], delay=30)
        case "press":
            tab.keyboard.press(step[1])
        case "scroll":
            tab.mouse.wheel(0, int(step[1]))
            tab.wait_for_timeout(100)
        case _ if is_pause(step):
            tab.wait_for_timeout(parse_duration(step[1]))
        case _:
            tab.locator(step[1]).first.wait_for()


def _words(step: Step) -> tuple[str, ...]:
    return (step[0], hidden(step[1])) if step[0] in (CLICK, FILL, PRESS, SCROLL) else step


def metrics_of(collected: Mapping[str, Any], found: Visit) -> list[tuple[str, float, str]]:
    """The metrics of a visit as rows (name, value, element), from what the page collected."""
    rows: list[tuple[str, float, str]] = []
    for name in ("ttfb", "fcp"):
        if collected.get(name) is not None:
            rows.append((name, float(collected[name]), ""))
    if lcp := collected.get("lcp"):
        element = " ".join(filter(None, (lcp["element"], _name_of(lcp["url"]))))
        rows += [("lcp", lcp["value"], element)] + [(f"lcp_{k}", v, element) for k, v in lcp["parts"].items()]
    else:
        found.problems.append((page_reasons.NO_PAINT, {}))
    rows.append(("cls", collected["cls"]["value"], collected["cls"]["element"]))
    if inp := collected.get("inp"):
        element = " ".join(filter(None, (inp["element"], inp["type"], _script(inp.get("script")))))
        rows += [("inp", inp["value"], element)] + [(f"inp_{k}", v, element) for k, v in inp["parts"].items()]
    if tbt := collected.get("tbt"):
        rows.append(("tbt", tbt["value"], _script(tbt.get("script"))))
    known = ((Metric.of(name).name, float(value), hidden(element)) for name, value, element in rows)
    return [row for row in known if math.isfinite(row[1])]


def _script(script: Mapping[str, Any] | None) -> str:
    """``invoker function file`` of a script, as far as the browser knows them."""
    if not script:
        return ""
    parts = (script.get("invoker"), script.get("name"), _name_of(script.get("url") or ""))
    return " ".join(dict.fromkeys(filter(None, (str(part or "")[:80] for part in parts))))


def _name_of(url: str) -> str:
    return urlsplit(url).path[-80:] if url and not url.startswith(("data:", "blob:")) else ""


def _seen(url: str, collected: Mapping[str, Any]) -> dict[str, Any]:
    """How the page used what it loaded: whether it blocked rendering; of images their largest size on the screen."""
    if not collected:
        return {"render_blocking": None} | dict.fromkeys(_IMAGE)
    shown = [each for each in collected["images"] if each["url"].partition("#")[0] == url]
    most: dict[str, Any] = max(shown, key=lambda each: each["width"] * each["height"], default={})
    held = {name: most.get(name) for name in _IMAGE}
    if shown:
        held |= {"lazy": all(each["lazy"] for each in shown), "visible": any(each["visible"] for each in shown)}
    return {"render_blocking": url in collected["blocking"]} | held


def _why(problem: object) -> str:
    """Why a step was not possible: the error, and what covers its element."""
    covered = [line for line in str(problem).splitlines() if "intercepts pointer events" in line]
    return _first(problem) + (f" {_first(covered[-1].strip(' -'))}" if covered else "")


def _first(problem: object) -> str:
    """The first line of an error, without what may be a secret."""
    lines = [line for line in str(problem).splitlines() if line.strip()]
    return hidden(lines[0][:200]) if lines else type(problem).__name__


def _observer() -> str:
    return (files("perflab.browsing") / "observer.js").read_text(encoding="utf-8")


def _playwright_error() -> type[Exception]:
    from playwright.sync_api import Error

    return Error
