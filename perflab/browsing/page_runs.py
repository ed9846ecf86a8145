"""`run_pages`: visit the pages of a plan in a browser, and keep the run with its vitals and exchanges."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perflab import provenance
from perflab.browsing import chromium, kept_visits, page_reasons, visiting
from perflab.browsing.page_settings import PageSettings
from perflab.browsing.visiting import Visit, visit
from perflab.data import store
from perflab.data.tables import Measurements
from perflab.errors import LoadTestError
from perflab.loadtest import reasons, recovery
from perflab.loadtest.alone import alone
from perflab.loadtest.drive import Driven, Live, listening
from perflab.loadtest.resources import Sampler, children
from perflab.loadtest.run import loaded, loading
from perflab.loadtest.serving import Service, Services
from perflab.loadtest.slot import Slot
from perflab.loadtest.target import Target
from perflab.notes import Note
from perflab.progress import Listener

_POLL_S, _PATIENCE_S = 0.1, 3.0
GENERATOR = "generator"
"""The browser's processes in ``resources``."""


@dataclass(frozen=True, repr=False)
class PagePlan(PageSettings):
    """The pages that a browser visits: each visit is a fresh context, with an empty cache and no cookies.

    Parameters
    ----------
    pages : str, sequence of str, or mapping of str to steps
        The paths of the pages; a mapping gives each the steps that a visit takes once the page has loaded: ``("click",
        "#buy")``, ``("fill", "#search", "boots")`` (typed key by key), ``("press", "Enter")``, ``("wait", "500ms")``,
        ``("wait", "#result")``, ``("scroll", "800")`` (pixels). Selectors are CSS, or Playwright's.
    visits : int
        How many times a run visits each page. The value of the run is the median of its visits.
    network : str or mapping, optional
        "3g", "slow 4g", "fast 4g", "cable", or ``{"latency_ms": 40, "download_kbit_per_s": 10_000}`` (and
        ``upload_kbit_per_s``); unthrottled if not given.
    cpu : float
        How many times slower the processor is made: 4 is Lighthouse's mobile.
    viewport : (int, int)
        Width and height in CSS pixels.
    mobile : bool
        Emulate a touch screen with two device pixels for each CSS pixel.
    headers : mapping
        Sent with every request (a login), also to other hosts. Values are not stored.
    timeout : str or float
        How long a page may take to load, and a step to be possible.

    >>> plan = PagePlan({"/": [], "/offers": [("click", "#more")]}, visits=5, network="fast 4g", cpu=4)
    >>> print(plan)
    2 pages, 5 visits each, fast 4g, CPU 4 times slower
    """

    @property
    def metric(self) -> str:
        """What its runs are compared by."""
        return "lcp"

    def drive(
        self, target: Target, place: str | Path, at: Slot, live: Live, seed: int | None, services: Services | None
    ) -> Driven:
        """Make one run and store it, for `run_pairs`."""
        return drive_pages(self, target, place, at, live, seed, services)


def run_pages(
    plan: PagePlan | str | Sequence[str],
    target: Target,
    *,
    visits: int | None = None,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> Measurements:
    """Visit pages in Chromium and measure their web vitals, as one run.

    For a verdict on a change give the plan to `run_pairs`, which interleaves the runs of both arms, and `compare` the result
    by "lcp", "inp" or "cls".

    Parameters
    ----------
    plan : PagePlan
        The pages, what a visit does there, and the throttling. Paths alone ("/" or a list) are a plan without either.
    target : Target
        The site; started and stopped if it has a command.
    visits : int, optional
        How many times to visit each page; by default the plan's.
    store : str or Path
        The folder that stores the run.
    progress : bool or Listener
        Show the visits and the LCP so far.

    Returns
    -------
    Measurements
        One run: ``vitals`` (page, visit, metric, value, unit, rating, element), ``exchanges`` (every request of each visit:
        url, status, sizes, response headers, timings) and ``resources``. The element is what caused the value: the LCP's image,
        the button and the script of the INP, the largest shift. The run is not valid if a page did not answer 2xx, did not
        finish loading, raised an uncaught error, or a step was not possible.

    Raises
    ------
    MissingExtraError
        Playwright or Chromium is missing; the message says how to install it.
    TargetError
        The target could not be reached, or did not become ready.
    LoadTestError
        No visit could be made.
    StoreError
        The store can't be written.
    KeyboardInterrupt
        After the browser has closed; the visits so far are kept, marked as interrupted.

    >>> plan = lab.PagePlan({"/": [], "/offers": [("click", "#more")]}, network="fast 4g", cpu=4)  # doctest: +SKIP
    >>> pages = lab.run_pages(plan, lab.Target("now", host="http://127.0.0.1:8001"))               # doctest: +SKIP
    >>> lab.summarize(pages)[["endpoint", "lcp_ms", "inp_ms", "cls"]]                              # doctest: +SKIP
    """
    plan = plan if isinstance(plan, PagePlan) else PagePlan(plan)
    plan = plan if visits is None else replace(plan, visits=visits)
    with listening(progress, plan.expected_s, f"{target.arm}: {plan}") as listener:
        driven = drive_pages(plan, target, store, Slot(), Live(listener))
        if driven.interrupted:
            raise KeyboardInterrupt(f"stopped; the visits so far are kept: {loading(driven.folder)}")
    return loaded([driven])


def drive_pages(
    plan: PagePlan,
    target: Target,
    place: str | Path,
    at: Slot,
    live: Live,
    seed: int | None = None,
    services: Services | None = None,
) -> Driven:
    """Make one run of pages and store it."""
    if target.record_queries or target.record_requests or target.profile:
        raise ValueError(
            "run_pages: the target must not record queries or requests, or be profiled; that needs a load plan"
        )
    with alone(), closing(Services()) if services is None else nullcontext(services) as held:
        draft = store.Draft(place, target.arm)
        with recovery.holding(draft, kept_visits.LINES):
            kept, interrupted = _driven(plan, target, draft, at, live, seed, held)
            recovery.forget(kept, kept_visits.LINES)
    return Driven(draft.sent(kept), interrupted)


def _driven(
    plan: PagePlan, target: Target, draft: store.Draft, at: Slot, live: Live, seed: int | None, services: Services
) -> tuple[Path, bool]:
    began = datetime.now(UTC)
    secrets = plan.secrets() + target.secrets()
    record = _record(plan, target, at, began, seed)
    recovery.prepare(draft, record, {"visits": plan.visits, "throttling": plan.throttling})
    with services.of(target, draft.folder, plan.secrets()) as service:
        trees: dict[str, Sequence[int]] = {GENERATOR: ()} | ({"target": (service.pid,)} if service.pid else {})
        roots = (GENERATOR,) if service.own else (GENERATOR, "target")
        with Sampler(trees, roots=roots, machine=True) as sampler:
            work = _Visits(plan, target.host, sampler, draft.folder / kept_visits.LINES, secrets)
            interrupted = work.watched(live, service)
    ended = [each for each in (work.died, service.still_starting) if each]
    service.still_starting = None
    if not work.visits and interrupted:
        raise KeyboardInterrupt("interrupted before the first visit ended; nothing was kept")
    if work.error is not None and not interrupted:
        if not isinstance(work.error, _lost()) or not work.visits:
            raise _failure(work.error) from work.error
        ended.append(page_reasons.BROWSER_LOST(problem=provenance.hidden(str(work.error).partition("\n")[0])))
    took_ms = (datetime.now(UTC) - began).total_seconds() * 1e3
    if interrupted:
        ended.insert(0, reasons.INTERRUPTED(after_ms=took_ms))
    recovery.note_end(draft, ended=ended, restarted=None)
    invalid, warnings = kept_visits.judged(work.visits, plan.visits)
    invalid = [*(note for note in ended if note.code != reasons.STILL_STARTING.code), *invalid]
    warnings += [note for note in ended if note.code == reasons.STILL_STARTING.code]
    kept_visits.write_tables(draft, work.visits)
    draft.write("resources", sampler.frame(draft.run))
    judged = {"valid": not invalid, "reasons": invalid, "warnings": [*warnings, *sampler.warnings()]}
    generator = chromium.generator(work.version, plan.throttling)
    environment = {**record["environment"], "generator": generator}
    return draft.keep({**record, "environment": environment, "duration_ms": took_ms, **judged}), interrupted


def _record(plan: PagePlan, target: Target, at: Slot, began: datetime, seed: int | None) -> dict[str, Any]:
    """What is known of a run before its first visit."""
    return {
        "arm": target.arm,
        "experiment": at.experiment,
        "pair": at.pair,
        "order": at.order,
        "host": provenance.without_credentials(target.host),
        "plan": plan.record(),
        "environment": {
            **provenance.stamp(),
            "target": target.record(),
            **({} if seed is None else {"order_seed": seed}),
            **at.environment,
        },
        "start": began.isoformat(),
    }


class _Visits:
    """The visits of a run, made by a thread of their own: Playwright's calls can't run where a notebook's event loop does."""

    def __init__(self, plan: PagePlan, host: str, sampler: Sampler, place: Path, secrets: Sequence[str]) -> None:
        self.plan, self.host, self.sampler = plan, host, sampler
        self.place, self.secrets = place, secrets
        self.visits: list[Visit] = []
        self.version = ""
        self.died: Note | None = None
        self.error: BaseException | None = None
        self._end = threading.Event()
        self._until, self._hung = math.inf, False
        self._thread = threading.Thread(target=self._work, name="perflab-pages", daemon=True)

    def _work(self) -> None:
        before = children()
        try:
            with chromium.browser() as browser:
                self.sampler.processes[GENERATOR] = tuple(children() - before)
                self.version = str(browser.version)
                for number in range(1, self.plan.visits + 1):
                    for page in self.plan.steps:
                        if self._end.is_set():
                            return
                        limit_s = visiting.longest_s(self.plan, page)
                        self._until = time.monotonic() + limit_s
                        found = visit(browser, self.plan, self.host, page, number, self._end)
                        self._until = math.inf
                        if self._hung:
                            found.problems = [(page_reasons.HUNG, {"limit_ms": limit_s * 1e3})]
                        if not self._end.is_set():
                            self._keep(found)
                        if self._hung:
                            return
        except BaseException as problem:  # noqa: BLE001 - kept, and raised by the thread that waits
            self.error = problem

    def _keep(self, found: Visit) -> None:
        shown = kept_visits.without_secrets(found, self.plan.labels[found.page], self.secrets)
        kept_visits.add(self.place, kept_visits.line_of(shown) | {"browser": self.version})
        self.visits.append(shown)

    def watched(self, live: Live, service: Service) -> bool:
        """Wait for the visits and publish their progress; return whether the user stopped them."""
        began, interrupted = time.monotonic(), False
        self._thread.start()
        try:
            while self._thread.is_alive():
                self._thread.join(_POLL_S)
                if time.monotonic() > self._until:
                    self._kill()
                if live.stop.is_set():
                    interrupted = True
                    break
                if died := service.died():
                    self.died = died
                    break
                live.listener.update(live.done_s + min(time.monotonic() - began, self.plan.expected_s), **self._facts())
        except KeyboardInterrupt:
            interrupted = True
        self._end.set()
        # A visit in progress ends at its own timeout at the latest; a user who stops the run should not wait that long.
        self._thread.join(_PATIENCE_S if interrupted else self.plan.timeout_ms / 1e3 + 10)
        if interrupted and self._thread.is_alive():
            self._end_browser()
            self._thread.join(_PATIENCE_S)
        self.died = self.died or service.died()
        return interrupted

    def _kill(self) -> None:
        """End the browser: no call to a page whose script never ends returns."""
        self._until, self._hung = math.inf, True
        self._end_browser()

    def _end_browser(self) -> None:
        for driver in self.sampler.processes[GENERATOR]:
            for pid in children(driver):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _facts(self) -> dict[str, Any]:
        values = sorted(value for each in self.visits for name, value, _ in each.metrics if name == "lcp")
        return {"visits": len(self.visits)} | ({"lcp_ms": values[len(values) // 2]} if values else {})


def _lost() -> tuple[type[Exception], ...]:
    """Playwright's own errors; none where it is not installed."""
    try:
        from playwright.sync_api import Error
    except ImportError:
        return ()
    return (Error,)


def _failure(problem: BaseException) -> BaseException:
    """Playwright's own errors as perflab's; all others as they are."""
    if isinstance(problem, _lost()):
        return LoadTestError(f"the browser could not be used: {provenance.hidden(str(problem).strip()[:1000])}")
    return problem
