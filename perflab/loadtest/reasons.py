"""Why a run is not valid, and what to look at in one that is: each kind of note once, with what it is about.

`find_capacity` asks `about`: only what is about the target is the target's limit.
"""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, GENERATOR, MACHINE, RECORDER, TARGET, YOU, Kind

INTERRUPTED = Kind("interrupted", YOU, "interrupted after {after_ms}")
STOPPED_BY_OBJECTIVE = Kind(
    "stopped-by-objective", TARGET, "stopped by the objective {objective:raw}: it was {measured:raw} after {after_ms}"
)

TARGET_EXITED = Kind("target-exited", TARGET, "the target '{arm:raw}' exited with code {exit_code:raw}")
TARGET_ENDED = Kind("target-exited", TARGET, "process {pid:raw} of the target '{arm:raw}' ended")
TARGET_RESTARTED = Kind(
    "target-restarted", TARGET, "the target '{arm:raw}' restarted during the run (process {before:raw}, then {now:raw})"
)
TARGET_START_TIME_CHANGED = Kind(
    "target-restarted", TARGET, "the target restarted during the run: its process_start_time_seconds changed"
)
MOST_FAILED = Kind(
    "most-requests-failed", TARGET, "{failed_fraction} of the requests failed (the limit is {limit_fraction})"
)
CUT_OFF = Kind(
    "requests-cut-off",
    TARGET,
    "requests were still in flight {waited_ms} after the end and were cut off: raise stop_timeout above the slowest request",
)

DID_NOT_END = Kind(
    "generator-did-not-end", GENERATOR, "Locust had not ended {overtime_ms} after the plan's end and was stopped"
)
EXIT_CODE = Kind("generator-exit-code", GENERATOR, "Locust exited with code {exit_code:raw}")
PROCESS_LOST = Kind(
    "process-lost", GENERATOR, "the generator's process {process:raw} was lost: its last records are missing"
)
WORKER_LOST = Kind(
    "worker-lost", GENERATOR, "{process:raw} was lost during the run: its records since the last flush are missing"
)
REMOTE_WORKER_LOST = Kind(
    "remote-worker-lost",
    GENERATOR,
    "the connection to the worker {worker:raw} was lost during the run; its records are still on that machine and can be "
    "merged ({remedy})",
)
WORKERS_MISSING = Kind("workers-missing", GENERATOR, "{wanted} workers were requested, {found} took part")
GENERATOR_BUSY = Kind(
    "generator-busy",
    GENERATOR,
    "the generator used {cpu_fraction} of a core and may have been the bottleneck; offer less load, or use FastHttpUser",
)
ARRIVALS_MISSED = Kind(
    "schedule-not-kept",
    GENERATOR,
    "the schedule was not kept: {started} of {expected} arrivals started; use more workers or a lower rate",
)
ARRIVALS_LATE = Kind(
    "arrivals-late",
    GENERATOR,
    "the schedule was not kept: arrivals started {lag_ms} late (p95) against a latency of {latency_ms}. Use more workers "
    "or a lower rate.",
)

CANNOT_WRITE = Kind("records-not-written", RECORDER, "the generator could not write its records: {problem:raw}")
NO_COUNT = Kind(
    "no-locust-count", RECORDER, "Locust wrote no final statistics, so the number of requests can't be confirmed"
)
COUNTS_DIFFER = Kind("counts-differ", RECORDER, "{captured} requests were captured but Locust counted {counted}")
TORN = Kind("torn-record", RECORDER, "{process:raw}: the last record is incomplete ({left:byte})")
CLOCK_SET = Kind("clock-set", MACHINE, "the clock was set by {jump_ms} during the run")

LAG_IN_LATENCY = Kind(
    "lag-in-latency",
    GENERATOR,
    "arrivals started {lag_ms} late (p95), which is part of the latency of {latency_ms}: the target is faster than this "
    "generator can time; use a quieter machine, a lower rate or more workers",
)
OMISSION = Kind(
    "coordinated-omission",
    DESIGN,
    "exposed to coordinated omission: while the target stalled (up to {stall_ms}) the users waited, and about "
    "{missing_fraction} of the requests were never sent; use an open plan ({remedy}) to measure what visitors would see",
)
USER_ERRORS = Kind("user-exceptions", YOU, "{errors:exception} in the locustfile's tasks, the first: {first:raw}")
WITHOUT_TIME = Kind("events-without-time", RECORDER, "left out {events:event} without a response time")
MANY_ENDPOINTS = Kind(
    "many-endpoints", YOU, "{endpoints:different endpoint}; group them with name=, for example name='/products/[id]'"
)
MERGED = Kind(
    "merged",
    RECORDER,
    "merged with the files of workers whose connection was lost; Locust's own count lacks those records",
)

NO_QUERIES = Kind(
    "no-queries-recorded", YOU, "the target recorded no queries: does the application call record_queries()?"
)
QUERIES_UNREADABLE = Kind("queries-unreadable", RECORDER, "the recorded queries could not be read: {problem:raw}")
LOG_UNREADABLE = Kind("log-unreadable", TARGET, "the log file {file:raw} could not be collected: {problem:raw}")
LOG_CUT = Kind("log-cut", TARGET, "the log file {file:raw} grew by {grown_bytes}; its last {kept_bytes} were kept")
PAGES_FAILED = Kind(
    "metrics-pages-failed", TARGET, "{url:raw}: {failed} of {pages:page} could not be read: {problem:raw}"
)
VALUES_SKIPPED = Kind(
    "metrics-values-skipped", TARGET, "{url:raw}: left out {values:value} not finite or not in Prometheus' format"
)

ENDED_BY_LOOK = Kind(
    "ended-by-look",
    DESIGN,
    "the experiment stopped after {pairs} of {planned:pair}, when {metric:raw} was decided: {look:raw}",
)
ALL_LOOKS = Kind("all-looks", DESIGN, "the experiment ran all of its {planned:pair}: {look:raw}")

TOO_FEW_FOR_VERDICT = Kind(
    "too-few-requests",
    DATA,
    "{metric:raw} needs {needed:request} in each run, the smallest has {requests}: compare reaches no verdict on runs "
    "this short",
)
START_UNKNOWN = Kind("start-unknown", DATA, "some runs have no start time, so drift and autocorrelation are unreliable")
DRIFT = Kind("drift", MACHINE, "the system drifts: interleave the arms ({remedy}); never run one after the other")
FEW_RUNS = Kind(
    "few-runs",
    DATA,
    "{runs:run} give a rough standard deviation and say little about drift or autocorrelation; use 20 or more",
)

_ABOUT = {kind.code: kind.about for kind in list(globals().values()) if isinstance(kind, Kind)}


def about(code: str) -> str:
    """What a reason is about; the data, where the code is not one of these (runs recorded before there were codes)."""
    return _ABOUT.get(code, DATA)
