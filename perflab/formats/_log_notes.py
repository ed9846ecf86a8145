"""The notes of readers of query logs and traces."""

from __future__ import annotations

from perflab.notes import DATA, RECORDER, Kind

CUT_TEXTS = Kind(
    "texts-cut", DATA, "{source:raw}: {count:statement} longer than 1,000,000 characters cut to that length"
)
NO_DURATIONS = Kind(
    "no-durations",
    DATA,
    "this log has no durations: every statement counts 0 ms. Rank by calls, or record with durations to rank by time.",
)
NO_UNIT = Kind(
    "duration-unit-unknown",
    DATA,
    "{source:raw}: {count:duration} in the field {name:raw} without a unit: these statements count 0 ms. Name the unit with "
    "{remedy}.",
)
SOME_UNTIMED = Kind(
    "statements-without-duration", DATA, "{source:raw}: {untimed} of {count:statement} have no duration and count 0 ms"
)
DURATIONS_ALONE = Kind(
    "durations-without-statement",
    DATA,
    "{source:raw}: {count:duration} without a statement (a parse or bind that failed, or a text that was not logged)",
)
OVERLAP = Kind(
    "logs-overlap",
    DATA,
    "{names:raw} overlap in time: a statement that several of them hold counts several times. Leave out copies, and read the "
    "log of each server as a run of its own.",
)
UNREAD_PLANS = Kind(
    "plans-unread",
    DATA,
    "{source:raw}: could not read {count:plan}. Set auto_explain.log_format to text or json.",
)
DEALLOCATES = Kind(
    "deallocate-left-out",
    DATA,
    "{source:raw}: left out {count} DEALLOCATE (sent by the driver, not by the application)",
)
CACHED = Kind(
    "cached-left-out", DATA, "{source:raw}: left out {count:statement} answered by Rails' query cache (CACHE)"
)
NO_ZONE = Kind("zone-missing", DATA, "the times in this log have no zone; assumed UTC. Name the zone with {remedy}.")
UNKNOWN_ZONE = Kind(
    "zone-unknown", DATA, "the log's time zone {zone} is ambiguous; assumed UTC. Name the zone with {remedy}."
)
NO_TIMES = Kind(
    "times-missing",
    DATA,
    "this log has no times, so pauses between statements are unknown. Have the logger write the time of each statement.",
)
COARSE_STARTS = Kind(
    "starts-in-seconds", DATA, "this log has starts in whole seconds: pauses between statements are unknown"
)
COARSE_REQUESTS = Kind(
    "requests-in-seconds",
    DATA,
    "this log dates requests in whole seconds and statements not at all: statements keep the order of the file",
)
NO_SESSION = Kind(
    "session-missing",
    DATA,
    "the log_line_prefix has no %p or %c, so sessions are unknown. Add %p to log_line_prefix to find units of work.",
)
SUMS_ONLY = Kind(
    "sums-only",
    DATA,
    "pg_stat_statements adds statements up over all requests: they can be ranked, but patterns such as an N+1 need a log of "
    "statements (log_min_duration_statement = 0) or a recorder",
)
NOTHING_TIMED = Kind(
    "no-statements",
    DATA,
    "{path:raw}: expected statements with durations, found none in this PostgreSQL log. Set log_min_duration_statement = 0 "
    "(or log_statement = 'all' with log_duration = on), and lc_messages = 'C' where the server writes another language.",
)
NO_TEXTS = Kind(
    "no-statement-texts", DATA, "{path:raw}: expected the texts of statements, found {count:duration} without one"
)
UNKNOWN_PREFIX = Kind(
    "prefix-unknown",
    RECORDER,
    "{path:raw}:1: no common log_line_prefix fits {begins}. Give the server's own (SHOW log_line_prefix): {remedy}",
)
WRONG_PREFIX = Kind(
    "prefix-wrong", DATA, "{path:raw}:1: expected lines behind log_line_prefix {prefix}, found {begins}"
)
SAMPLED = Kind(
    "log-sampled",
    DATA,
    "the server logged 1 {what:raw} in {limit} (log_slow_rate_limit): counts and times are those of the sample. Set "
    "log_slow_rate_limit = 1 for counts and for finding N+1.",
)
NESTED = Kind(
    "nested-left-out",
    DATA,
    "{source:raw}: left out {count:statement} run inside functions or stored routines; their time is "
    "part of the calling statement",
)
CUT_STATEMENT = Kind(
    "statements-cut-off",
    DATA,
    "{source:raw}: {count:statement} cut off by the end of the log, the first at line {first}",
)
UNDATED = Kind(
    "starts-unknown",
    DATA,
    "{source:raw}: {count:statement} without a time, the first at line {first}; they count at the time of the statement before",
)
INTERLEAVED = Kind(
    "requests-interleaved",
    DATA,
    "{source:raw}: {count:statement} logged while several requests ran, so their requests are unknown. Set config.log_tags = "
    "[:request_id].",
)
NOT_SQL = Kind(
    "spans-not-sql",
    DATA,
    "{source:raw}: {count:span} of databases without SQL (Redis, MongoDB, Elasticsearch ...): in .spans, not in .queries",
)
SUMMARIES = Kind(
    "summaries-only",
    DATA,
    "{source:raw}: {count:statement} with db.query.summary only: they can be counted, not compared by their conditions. "
    "Record db.query.text.",
)
TRACED_TWICE = Kind(
    "spans-twice",
    DATA,
    "{source:raw}: {count:span} repeat the statement of another span (ORM and driver are both instrumented): counted once",
)
IMPLAUSIBLE_STARTS = Kind(
    "starts-implausible",
    RECORDER,
    "{source:raw}: {count:statement} start before 2000 or in the future (the first at {first}): their times are wrong",
)
ONE_UNIT = Kind(
    "one-unit",
    DATA,
    "{source:raw}: one unit of work ({unit:raw}) holds {held} of {count:statement}. If it is no single request, its id is shared "
    "by several and counts per unit are too high.",
)
SERVER_COMMENTS = Kind(
    "server-comments",
    RECORDER,
    "{source:raw}: {count:statement} begin with a comment of the server's log, not with SQL: please report this log's format",
)
INNER_REQUESTS = Kind(
    "inner-requests",
    RECORDER,
    "{source:raw}: left out {count:record} of services that the application itself called with its request's id; their time "
    "counts as downstream",
)
