"""The notes of findings on queries: how far the units of work can be relied on, and what a comparison left out."""

from __future__ import annotations

from perflab.notes import DATA, RECORDER, Kind

UNITS_BY_PAUSES = Kind(
    "units-by-pauses",
    RECORDER,
    "{statements} of {total:statement} ({share_fraction}) belong to {units:unit} of work that were separated only by pauses of "
    "more than {gap_ms} in a session (low confidence): requests that follow each other closely are merged. Put a request id "
    "or a traceparent comment into the log",
)
UNITS_BY_SESSION = Kind(
    "units-by-session",
    RECORDER,
    "{statements} of {total:statement} ({share_fraction}) belong to {units:unit} of work that are whole sessions (low "
    "confidence). Put a request id or a traceparent comment into the log",
)
ROUTES_LEFT_OUT = Kind("routes-left-out", DATA, "{routes:route} on one side only, left out: {names}")
NO_ROW_COUNT = Kind("no-row-count", DATA, "PostgreSQL has no row count for {table}; run ANALYZE on it")
NO_PLAIN_INDEX = Kind(
    "no-plain-index", DATA, "{table}: no plain index serves its condition (OR, a function of a column, a pattern)"
)
NO_STATISTICS = Kind(
    "no-statistics",
    DATA,
    "SQLite has no statistics of these tables (sqlite_stat1), so it joins without knowing their sizes: run ANALYZE, or join "
    "the table itself in place of the subquery",
)
INDEX_UNUSED = Kind(
    "index-unused", DATA, "{table} has an index that starts with {columns}, and {database} does not use it here"
)
ROWS_READ_UNKNOWN = Kind(
    "rows-read-unknown", DATA, "it returned {rows:row}; SQLite does not report how many rows each step read"
)
PROOF_STOPPED = Kind("proof-stopped", DATA, "the indexes were not tried: {why:raw}")
NOTHING_TO_PROVE = Kind("nothing-to-prove", DATA, "no index is advised, so there is nothing to try")
