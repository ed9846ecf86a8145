"""The kinds of note on why a run is not valid, and what to be careful about in a valid one.

`find_capacity` asks `about`: only reasons about the target show the target's limit.
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
    "{requests:request} were sent and cut off before the answer ({waited_ms} after the end): the slowest are missing. Raise "
    "stop_timeout above the slowest request.",
)
TIMED_OUT = Kind(
    "requests-timed-out",
    YOU,
    "{requests:request} were cut off by a timeout of the locustfile's own (gevent.Timeout), and Locust does not report them: the "
    "slowest are missing. Use the client's timeout instead.",
)

RUN_SHORT = Kind(
    "run-short",
    YOU,
    "the load ended after {ran_ms} of {planned_ms}: the locustfile ended it (runner.quit, StopTest or sys.exit)",
)
USERS_MISSING = Kind(
    "users-missing",
    YOU,
    "the planned load was not applied: {present} of {planned:user} were present on average; {ended:user} left during the "
    "load, the first: {first:raw}",
)
USERS_NEVER_CAME = Kind(
    "users-missing", GENERATOR, "the planned load was not applied: {present} of {planned:user} were present on average"
)
MOSTLY_RAISED = Kind(
    "users-raise",
    YOU,
    "{errors:exception} in the locustfile for {requests:request}: the users did little of the planned work; the first: "
    "{first:raw}",
)
EXITED = Kind(
    "generator-exited",
    YOU,
    "the locustfile ended the generator's process (sys.exit) with {in_flight:request} in flight",
)
GENERATOR_FAILED = Kind(
    "generator-failed",
    GENERATOR,
    "the generator's process ended with an exception and {in_flight:request} in flight: {first:raw}",
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
ARRIVALS_RAISED = Kind(
    "arrivals-raise",
    YOU,
    "the planned load was not applied: {raised} of {expected} arrivals raised before their first request, the first: {first:raw}",
)
GENERATOR_BLOCKED = Kind(
    "generator-blocked",
    GENERATOR,
    "the generator stalled for {late_fraction} of the run (up to {worst_ms} at a time), which is part of the latencies (p95 "
    "{latency_ms}): a call in the locustfile blocks it, or the machine has no CPU to spare",
)
GENERATOR_STALLED = Kind(
    "generator-stalled",
    GENERATOR,
    "the generator stalled for {late_ms} of the run (up to {worst_ms} at a time): a call in the locustfile blocks it, it was "
    "stopped, or the machine has no CPU to spare. The latencies include that time.",
)
TASKS_BLOCK = Kind(
    "generator-blocked-by-tasks",
    GENERATOR,
    "the generator was blocked {blocks:time}, for {mean_ms} on average: a call in the locustfile keeps other users from running, "
    "and their latencies include that time",
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
    "{missing_fraction} of the requests were never sent; use an open plan ({remedy}) to measure what visitors would experience",
)
USER_ERRORS = Kind("user-exceptions", YOU, "{errors:exception} in the locustfile's tasks, the first: {first:raw}")
LATE = Kind(
    "requests-after-end",
    DESIGN,
    "left out {requests:request} outside the plan's time (sent by an on_stop, by a listener of the test's start, or by the "
    "client itself)",
)
IMPOSSIBLE = Kind("impossible-latency", YOU, "left out {events:event} with a negative or infinite response time")
ODD_STARTS = Kind(
    "start-no-clock",
    YOU,
    "{events:event} had a start_time that is not wall-clock time; the end minus the response time is used instead",
)
UNREPORTED = Kind(
    "requests-unreported",
    YOU,
    "Locust did not report {requests:request}, and they are not in the run: their call or with block raised, or they have "
    "catch_response=True and no with block",
)
REPEATED = Kind(
    "requests-repeated",
    YOU,
    "the locustfile's own retries repeated {requests:request}: the target served more than was recorded, and a failure that a "
    "retry hid is not counted",
)
TASKS_ENDED = Kind(
    "tasks-ended",
    YOU,
    "tasks of {classes} were still running {waited_ms} after the end and were stopped; whether they had requests in flight is "
    "unknown for this client",
)
COUNTED_FEWER = Kind(
    "locust-counted-fewer",
    YOU,
    "{captured} requests were captured but Locust counted {counted}: a listener in the locustfile hides requests from it, or "
    "its statistics were reset",
)
OWN_EXIT_CODE = Kind(
    "own-exit-code",
    YOU,
    "Locust exited with code {exit_code:raw}, which the locustfile set (environment.process_exit_code)",
)
LISTENER_RAISED = Kind(
    "listener-raised", YOU, "Locust exited with code {exit_code:raw}: a listener in the locustfile raised {first:raw}"
)
SHAPE_UNUSED = Kind("shape-unused", YOU, "the locustfile's {name:raw} was not used: the load is the plan's stages")
HOST_REPLACED = Kind("host-replaced", YOU, "the target's host replaced {hosts} in {classes}")
UNREAD = Kind(
    "settings-unread", YOU, "Locust's own settings in {where:raw} were not applied: {names}; the plan decides"
)
STILL_STARTING = Kind(
    "target-still-starting",
    TARGET,
    "the target was still starting when the load began: it used {cpu_cores} after {waited_ms}",
)
FOREIGN_LOAD = Kind(
    "foreign-load",
    MACHINE,
    "other processes used {other_fraction} of this machine's CPU during the run; use a quieter machine",
)
STOLEN = Kind("stolen-cpu", MACHINE, "the hypervisor took {stolen_fraction} of this machine's CPU during the run")
OTHER_RUN = Kind("another-run", MACHINE, "another perflab run was in progress on this machine (process {pids})")
SHORT_RUNS = Kind(
    "endpoint-runs-short",
    DESIGN,
    "{endpoint:raw}: {requests:request} in {ran_ms}; {metric:raw} needs {needed:raw} in each run, which takes {needed_ms}",
)
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
NO_COMPONENTS = Kind(
    "no-components-recorded",
    YOU,
    "the target recorded no requests: wrap its application in record_requests() (WSGI) or record_async_requests() (ASGI) of "
    "perflab.recorders.breakdown",
)
NO_COMPONENT_JOINS = Kind(
    "components-without-requests",
    YOU,
    "the target recorded requests, but none with an id of this load: does the plan send ids (request_ids=True), and does a "
    "proxy before the target keep X-Request-ID?",
)
COMPONENTS_UNREADABLE = Kind(
    "components-unreadable", RECORDER, "the recorded requests could not be read: {problem:raw}"
)
QUERIES_UNREADABLE = Kind("queries-unreadable", RECORDER, "the recorded queries could not be read: {problem:raw}")
LOG_UNREADABLE = Kind("log-unreadable", TARGET, "the log file {file:raw} could not be collected: {problem:raw}")
LOG_CUT = Kind("log-cut", TARGET, "the log file {file:raw} grew by {grown_bytes}; its last {kept_bytes} were kept")
PAGES_FAILED = Kind(
    "metrics-pages-failed", TARGET, "{url:raw}: {failed} of {pages:page} could not be read: {problem:raw}"
)
VALUES_SKIPPED = Kind(
    "metrics-values-skipped",
    TARGET,
    "{url:raw}: left out {values:value} that are not finite, not in Prometheus' format, or too many",
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
    """What a reason is about; DATA for unknown codes (runs recorded before there were codes)."""
    return _ABOUT.get(code, DATA)
