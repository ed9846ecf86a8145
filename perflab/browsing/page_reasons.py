"""Why a run of pages is not valid, and what to be careful about in a valid one."""

from __future__ import annotations

from perflab.notes import GENERATOR, TARGET, YOU, Kind

NOT_ANSWERED = Kind("page-not-answered", TARGET, "{page:raw} answered {status:raw} in {visits} of {of:visit}")
NOT_REACHED = Kind(
    "page-not-reached", TARGET, "{page:raw} could not be measured in {visits} of {of:visit}: {problem:raw}"
)
TIMED_OUT = Kind(
    "page-timed-out", TARGET, "{page:raw} did not finish loading within {limit_ms} in {visits} of {of:visit}"
)
CRASHED = Kind("page-crashed", GENERATOR, "the tab crashed on {page:raw} in {visits} of {of:visit}")
SCRIPT_ERROR = Kind(
    "page-script-error",
    TARGET,
    "{page:raw} raised an uncaught error in {visits} of {of:visit}, so what was measured is not the whole page: {problem:raw}",
)
STEP_FAILED = Kind(
    "page-step-failed",
    YOU,
    "{page:raw}: step {number:raw} ({step:raw}) was not possible within {limit_ms} in {visits} of {of:visit}: {problem:raw}",
)
LEFT = Kind(
    "page-left",
    YOU,
    "{page:raw}: step {number:raw} ({step:raw}) led to another page in {visits} of {of:visit}; give that page its own entry in "
    "the plan",
)
MOVED_ON = Kind(
    "page-moved-on",
    YOU,
    "{page:raw} went to another address without a click in {visits} of {of:visit}; give that address in the plan",
)
HUNG = Kind(
    "page-hung",
    TARGET,
    "{page:raw} did not respond for {limit_ms} (a script that never ends, or a page that allows no scripts); the run ended there",
)
BROWSER_LOST = Kind("browser-lost", GENERATOR, "the browser ended during the run: {problem:raw}")

NO_PAINT = Kind(
    "page-without-paint",
    TARGET,
    "{page:raw} painted neither text nor an image in {visits} of {of:visit}, so it has no LCP",
)
NOT_QUIET = Kind(
    "page-not-quiet",
    TARGET,
    "{page:raw} still exchanged data {waited_ms} after it had loaded in {visits} of {of:visit}; what came later is not measured",
)
CONSOLE = Kind(
    "page-console-errors", TARGET, "{page:raw} reported errors in its console in {visits} of {of:visit}: {problem:raw}"
)
FAILED_REQUESTS = Kind(
    "page-requests-failed", TARGET, "{page:raw}: requests failed in {visits} of {of:visit}, first {problem:raw}"
)
ELSEWHERE = Kind(
    "page-elsewhere",
    YOU,
    "{page:raw} ended up at {address:raw} in {visits} of {of:visit}, so that page was measured. If that is intended, put its "
    "address in the plan; a page behind a login needs headers=",
)
FOREIGN_FRAMES = Kind(
    "page-foreign-frames",
    TARGET,
    "{page:raw} embeds frames of other sites ({sites}) in {visits} of {of:visit}; their requests and layout shifts are not "
    "measured, and they are not throttled",
)
HEADERS_ELSEWHERE = Kind(
    "headers-sent-elsewhere",
    YOU,
    "{page:raw}: the plan's headers were also sent to {sites} in {visits} of {of:visit}; a user's browser would not send "
    "them, and they can trigger CORS preflights",
)
WARNINGS = frozenset(
    kind.code for kind in (NO_PAINT, NOT_QUIET, CONSOLE, FAILED_REQUESTS, ELSEWHERE, FOREIGN_FRAMES, HEADERS_ELSEWHERE)
)
"""What leaves a run valid."""
KINDS = {kind.code: kind for kind in list(vars().values()) if isinstance(kind, Kind)}
"""All of them by their codes."""
