"""What must be known about results of load tools: the kinds of note that their readers make, and of their refusals."""

from __future__ import annotations

from typing import Any

from perflab.notes import DATA, YOU, Kind, Note, Remedy

_NO_START = Kind(
    "no-start",
    DATA,
    "{tool:raw} writes no absolute times: starts count from 1970-01-01 and the order of runs is unknown; use {remedy}",
)
_NO_URL = Kind("no-endpoint", DATA, "the file does not name what was requested; use {remedy}")
_NO_ZONE = Kind("no-zone", DATA, "the times have no zone and were taken for UTC; use {remedy}")
_COARSE = Kind("coarse", DATA, "{tool:raw} writes {unit:raw}: latencies below a few ms are coarse")
_WHOLE_SECONDS = Kind(
    "whole-seconds",
    DATA,
    "{tool:raw} wrote whole seconds, so starts, the run's length and throughput are right to a second only (no throughput of "
    "runs below ten seconds){advice:raw}",
)
PERCENTILES_ONLY = Kind(
    "percentiles-only",
    DATA,
    "{tool:raw} wrote percentiles only: they can be shown, but neither averaged nor compared by a test; {instead:raw}",
)
NOTHING_ANSWERED = Kind("nothing-answered", DATA, "no request was answered in time, so there are no latencies")
UNANSWERED = Kind(
    "unanswered", DATA, "{count:request} failed without an answer, and have no latency: they count as errors"
)
UNANSWERED_TIMED = Kind(
    "unanswered-timed",
    DATA,
    "{count:request} failed without an answer; the tool counts the time until they failed among the latencies",
)
OTHER_LENGTH = Kind(
    "other-length",
    DATA,
    "{count:response} had another length than the first, which ab counts as failed: here only connection errors, exceptions "
    "and responses other than 2xx count as errors",
)
UNANSWERED_LEFT_OUT = Kind(
    "unanswered-left-out",
    DATA,
    "{tool:raw} leaves requests without an answer out of its CSV: its error rate is too low if there were any",
)
NO_FAILURES = Kind(
    "no-failures",
    DATA,
    "ab -g does not say which requests failed; its printed output counts failed and non-2xx responses",
)
FAILURES_UNKNOWN = Kind(
    "failures-unknown",
    DATA,
    "whether {unknown} of {total:request} failed is not in the file, and they count as successes: the script's systemTags leave "
    "out status and expected_response; run k6 with --system-tags=method,name,status,expected_response,error_code",
)
SORTED = Kind("sorted", DATA, "ab -g is sorted by duration, so the order of requests within a second is lost")
SKETCH = Kind(
    "sketch", DATA, "Artillery's percentiles come from a sketch with buckets of about 2 %: they are right to 1 %"
)
CORRECTED = Kind(
    "corrected",
    DATA,
    'do not use these latencies: autocannon "corrected" {requests:request} to {latencies} latencies (it does so with -R, and '
    "counts what it adds in the wrong unit); run it with --ignoreCoordinatedOmission",
)
CONNECTING = Kind(
    "no-connecting",
    DATA,
    "k6's latency (http_req_duration) leaves out name lookup, connecting and TLS{opened:raw}",
)
DROPPED = Kind(
    "dropped-iterations",
    DATA,
    "k6 dropped {iterations:iteration} because no virtual user was free, so the load was lower than the scenario's; "
    "raise maxVUs and run again",
)
THRESHOLDS_FAILED = Kind("thresholds-failed", DATA, "{failed} of {total:threshold} failed: {names:raw}")
COUNTS_DIFFER = Kind(
    "counts-differ",
    DATA,
    "{source:raw}: {counted:request} were counted (http_reqs) but {timed} timed (http_req_duration): the file is damaged",
)
TRANSACTIONS_LEFT_OUT = Kind(
    "transactions-left-out",
    DATA,
    "{source:raw}: left out {count:row} of transaction controllers, whose samples are in the file too and would count twice "
    "(transactions=True reads the transactions instead)",
)
SAMPLES_LEFT_OUT = Kind(
    "samples-left-out", DATA, "{source:raw}: left out {count:row} of samples, because transactions=True was given"
)
INNER_LEFT_OUT = Kind(
    "inner-left-out",
    DATA,
    "{source:raw}: left out {count:sample} inside others (redirects, embedded resources), whose time the outer one includes",
)
SUMMED_UP = Kind(
    "summed-up",
    DATA,
    "rows stand for several samples each (SampleCount above 1), whose own latencies are lost; these are their counts and means",
)
PERCENTILES_BY_SETTING = Kind(
    "percentiles-by-setting",
    DATA,
    "the dashboard's percentiles are those of aggregate_rpt_pct1 to 3, read here as its defaults 90, 95 and 99",
)
SECOND_RUN = Kind(
    "second-run",
    YOU,
    "{path:raw}:{line}: expected one run of {tool:raw}, found a second header: split the file there and read both; where the "
    "parts are generators of one run, remove the header",
)
BROKEN_XML = Kind(
    "broken-xml",
    DATA,
    "{source:raw}:{line:raw}: the XML is broken or cut off here ({problem:raw}); what follows was lost",
)
ROUNDED = Kind(
    "rounded",
    DATA,
    "Locust rounds percentiles to about two significant digits: a change of a few per cent does not show in them",
)
UNFINISHED = Kind(
    "unfinished",
    DATA,
    "Locust does not write its CSV again at the end: requests of the last seconds may be missing",
)
WINDOW = Kind(
    "window",
    DATA,
    "the percentiles in Locust's history cover the ten seconds before each row, so only the totals were read",
)
NO_TOTAL = Kind(
    "no-total", DATA, "Locust's JSON has no row for all endpoints together: it was added up from the endpoints"
)
DIGITS = Kind("digits", DATA, "wrk prints three to four digits, and without --latency no percentiles")
SOCKET_ERRORS = Kind(
    "socket-errors", DATA, "{errors:socket error} ({kinds:raw}): those requests have no latency and are in no count"
)
UNKNOWN_FORMAT = Kind(
    "unknown-format",
    YOU,
    "{path:raw}: no known format (it begins with {head:raw}){instead:raw}; perflab.formats.NAMES lists those that are read, and "
    "{remedy} takes a function of your own; in a folder, a pattern like '*.csv' leaves such files out",
)
PASSED_OVER = Kind(
    "passed-over", DATA, "passed over {files}, which Locust writes besides its statistics and which hold no latencies"
)
SEVERAL_FORMATS = Kind(
    "several-formats", YOU, "{path:raw}: claimed by the formats {formats:raw}; name the right one with {remedy}"
)
UNKNOWN_TIMES = Kind(
    "unknown-times",
    YOU,
    "{path:raw}: expected milliseconds since 1970 or a known time format, found {found:raw}; use {remedy}",
)
LOGGED_TWICE = Kind(
    "logged-twice",
    DATA,
    "{names:raw} hold queries of the same time in different formats: what both logged is counted twice; read one of them",
)


def no_start(tool: str) -> Note:
    """Of a tool without absolute times."""
    return _NO_START(Remedy("read", {"started": "2026-01-31T12:00:00Z"}), tool=tool)


def no_url() -> Note:
    """Of a tool that does not write what it requested."""
    return _NO_URL(Remedy("read", {"endpoint": "GET /orders"}))


def no_zone() -> Note:
    """Of times without a zone."""
    return _NO_ZONE(Remedy("read", {"timezone": "Europe/Berlin"}))


def whole_seconds(tool: str, setting: str = "") -> Note:
    """Of a tool whose clock ticks once a second."""
    advice = f"; set {setting} and run again where that or the order of requests matters" if setting else ""
    return _WHOLE_SECONDS(tool=tool, advice=advice)


def coarse(tool: str, unit: str = "tenths of a millisecond") -> Note:
    """Of a tool whose clock or printing is coarse."""
    return _COARSE(tool=tool, unit=unit)


def unanswered(count: Any) -> tuple[Note, ...]:
    """The note of requests that got no answer, where there are any."""
    return (UNANSWERED(count=count),) if count else ()
