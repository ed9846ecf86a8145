"""What a prediction of a cache leaves out or assumes: the kinds of notes of this package."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, YOU, Kind

HIT_ASSUMED = Kind(
    "hit-latency-assumed",
    DESIGN,
    "hits are assumed to take {hit_ms}; measure one and give it as {remedy}",
)
COLD = Kind(
    "cold-cache",
    DATA,
    "{first_fraction} of these accesses are the first to their key, because the recording starts with an empty cache and lasts "
    "{lasts_ms}; in a longer one the hit ratio is higher",
)
NOT_MODELLED = Kind(
    "not-modelled",
    DESIGN,
    "not modelled: relief (misses become faster when the database has less to do), users who send more because they wait less, "
    "and the queue behind a stampede when a popular entry expires (misses at the same time are counted, their slowdown is not)",
)
LEFT_OUT = Kind(
    "unknown-keys",
    DATA,
    "left out {accesses} accesses whose values or start were not recorded: they may be hits or misses",
)
WRITES_SEEN = Kind(
    "writes-invalidate",
    DATA,
    "{writes:write} to what is cached: the hit ratio lies between {low_fraction} (a write drops everything of its table) and "
    "{high_fraction} (stale until it expires; {stale_fraction} of those hits would be stale)",
)
NO_WRITES = Kind(
    "no-writes-recorded",
    DATA,
    "no write to what is cached was recorded, so invalidation costs nothing here; check that production is like that",
)
SIZES_UNKNOWN = Kind(
    "sizes-unknown",
    DATA,
    "the recording has no sizes, so memory is unknown; give the typical size of an entry as {remedy}",
)
OVERHEAD_ASSUMED = Kind(
    "overhead-assumed",
    DESIGN,
    "each key is assumed to cost {overhead_bytes} beside its value, as in Redis 7 above 4 MB; measure yours with {remedy}",
)
SMALL_MEMORY = Kind(
    "small-memory",
    DESIGN,
    "below 4 MB Redis holds fewer entries than predicted (hash tables and client buffers count as memory, and eviction is "
    "sampled): measured hit ratios there were up to {off_points} points lower",
)
NO_LATENCIES = Kind(
    "no-durations-recorded",
    YOU,
    "the recording has no durations: latencies and the load taken off are unknown, and entries are assumed to be cached "
    "immediately. Log durations to predict them",
)
FEW_BLOCKS = Kind(
    "few-requests-for-tail",
    DATA,
    "{requests:request} of {candidate:raw} are too few for {metric}, which needs {needed}",
)
SAMPLED = Kind(
    "sampled-keys",
    DESIGN,
    "computed from {sampled_fraction} of the keys; the standard error is {error_points} points (mean over the curve)",
)
OVERSIZED = Kind(
    "oversized-entries",
    DATA,
    "{accesses} accesses to entries larger than the cache empty it in this model; a server would refuse them",
)
DIFFERS = Kind(
    "hit-ratio-differs",
    DATA,
    "the measured hit ratio is {off_points} points from the prediction; compare keys, TTL, memory and the rate of requests with "
    "those of the recording (users who wait less send more)",
)
FEW_RUNS = Kind(
    "few-runs-for-interval",
    DESIGN,
    "an interval over runs needs at least 2; that of {runs:run} counts every access as independent, and is too narrow",
)
WHOLE_SECONDS = Kind(
    "ttl-of-whole-seconds",
    DESIGN,
    "Cache-Control and EX count whole seconds: {written_ms} is written, where {ttl_ms} was predicted",
)
SERVER_WIDE = Kind(
    "counters-of-whole-server",
    DESIGN,
    "Redis counts the look-ups of every key on the server: of sessions, locks and other applications as well. Where it has such, "
    "compare hits by a response header instead",
)
NO_OVERHEAD = Kind(
    "no-overhead-counted",
    DESIGN,
    "sizes are those of the values alone; a server needs more for each key (Redis 7 about 190 bytes): {remedy}",
)
NO_ADDRESSES = Kind(
    "no-addresses",
    YOU,
    "these requests have no column url, and no spans of perflab's request recorder that know their addresses; record them with "
    "Target(record_requests=True), read an access log, or name the columns that make a key with keys=",
)
NO_OUTCOMES = Kind(
    "no-cache-headers",
    YOU,
    "no response said whether it was a hit (Cache-Status, X-Cache, CF-Cache-Status); send such a header, or give Redis' INFO "
    "from before and after the run",
)
