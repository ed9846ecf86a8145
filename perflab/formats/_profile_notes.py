"""Notes on a profile file, in addition to skipped records."""

from __future__ import annotations

from perflab.notes import DATA, Kind


def _kind(code: str, text: str) -> Kind:
    return Kind(code, DATA, f"{{source:raw}}: {text}, the first at {{first:raw}}")


NAME_CUT = _kind("name-cut", "cut {count:name} to 4,000 characters")
NEGATIVE = _kind("negative-weights", "{count:value} below zero: this is a difference of two profiles")
TOO_DEEP = _kind("too-deep", "cut {count:stack} deeper than 100,000 frames")
BAD_WEIGHT = _kind("bad-weight", "counted {count:weight} as zero (huge or not a number)")
TIME_BACKWARDS = _kind(
    "time-backwards", "{count:event} earlier than the one before; each counts at the earlier one's time"
)
NOT_OPENED = _kind("frame-not-opened", "ignored {count:event} that closed a frame which was not open")
MISNESTED = _kind("frames-misnested", "closed {count:frame} together with a caller")
NOT_CLOSED = _kind("frame-not-closed", "{count:frame} never closed; each ends with its profile")
WAITED = _kind("frame-waited", "{count:frame} ended before a call inside; each lasts as long as that call")
SHORTER_THAN_CALLS = _kind("frame-shorter", "{count:frame} shorter than the calls inside; the self time counts as zero")
CIRCULAR = _kind("circular-calls", "{count:node} with a circle of parents; each became a root")
NO_PARTNER = _kind("no-partner", "ignored {count:value} in lists of unequal length (samples and their weights)")
UNKNOWN_FRAME = _kind("unknown-frame", "{count:reference} to frames that the file does not define")
DELTA_NEGATIVE = _kind("delta-negative", "{count:time} with a negative delta; the clock stands still there")
NO_PERIOD = _kind("no-period", "{count:sample} without a period; each counts as zero")
NO_TIME = _kind("no-time", "{count:sample} without a time, or out of order")
BAD_COUNT = _kind("bad-count", "{count:call} with a malformed count; each counts as no call")
BAD_NODE = _kind("bad-node", "left out {count:node} (malformed, or with the id of another)")
TIMELINE = _kind("timeline-left-out", "holds CPU samples; left out {count:event} of the timeline around them")
NO_DURATION = _kind("no-duration", "left out {count:event} without a duration (asynchronous, flows, counters)")
ZERO_DURATION = _kind(
    "complete-without-duration",
    "{count:complete event} (ph X) without a duration (still open when the trace ended?); each counts as zero",
)
IDLE_GAPS = _kind(
    "idle-gaps",
    '{count:pause} between samples, counted to the sample before; if the profiler leaves out idle threads, weight="samples" '
    "counts the samples instead",
)
TWO_WEIGHTS = _kind(
    "two-weights", "{count:line} with two weights (difffolded.pl writes before and after); only the second is read"
)
TIME_ONLY = _kind("time-only", "{count:line} with a time and two amounts of memory; only the time is read")
ONE_SAMPLE = _kind("one-sample", "{count:thread} with a single sample, which has no duration")
METRIC_ASSUMED = Kind(
    "metric-assumed",
    DATA,
    "{source:raw}: Austin before version 2 does not say whether it measured time or memory; read as microseconds. For a memory "
    "profile use {remedy}.",
)
ASLEEP = Kind(
    "asleep-counted",
    DATA,
    "{source:raw}: py-spy's trace counts time asleep to the function before it, as if it ran. Use --format speedscope or raw.",
)
SYSTEM_TIME = Kind(
    "asleep-counted-to-caller",
    DATA,
    "{source:raw}: {system_fraction} of the time is system time (sleep, input and output, the kernel), which scalene gives to "
    "the function that waits. summarize_time counts it as waiting.",
)
SEVERAL_EVENTS = Kind(
    "several-events", DATA, "{source:raw}: {events} are separate events with a unit each. Choose one with {remedy}."
)
OTHER_VALUES = Kind("other-values", DATA, "{source:raw}: the values are {chosen}. For {others} use {remedy}.")
LARGEST_ONLY = Kind(
    "largest-only", DATA, "{source:raw}: lists only the {places} largest places; memray stats -n N writes more"
)
NO_STACKS = Kind(
    "no-stacks", DATA, "{source:raw}: holds no stacks, so totals equal self times. scalene run --stacks records them."
)
