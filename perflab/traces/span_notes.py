"""What traces leave out, move or assume: the kinds of notes of this package's spans."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, Kind

UNFINISHED = Kind(
    "unfinished-spans",
    DATA,
    "left out {spans:span} without an end, or with one before the start; the spans below count as started by the one above",
)
DUPLICATED = Kind("duplicated-spans", DATA, "left out {spans:copy} of spans that were exported more than once")
LOCAL_ROOTS = Kind(
    "local-roots",
    DATA,
    "{spans:span} name a caller that recorded nothing here and count as roots; the time before them is not in these traces",
)
ORPHANED = Kind(
    "orphaned-spans",
    DATA,
    "left out {spans:span} whose parent is missing; export whole traces, or sample by trace",
)
OUTLIVING = Kind(
    "outliving-spans",
    DATA,
    "{spans:span} ended after the span that started them: nothing waited for them, so they are on no critical path",
)
QUEUED = Kind("queued-spans", DATA, "{spans:span} consumed a message; the producer did not wait for them")
SKEWED = Kind(
    "skewed-spans",
    DATA,
    "{spans:span} of another service lay outside their parent by up to {most_ms} (clock skew) and were moved to its middle",
)
CUT = Kind(
    "cut-spans",
    DATA,
    "{spans:span} of another service outlasted the call to it (the caller gave up, or did not wait) and count up to its end",
)
CYCLIC = Kind("cyclic-spans", DATA, "left out {spans:span} that are their own ancestors")
RETRIED = Kind("retried-calls", DATA, "{calls:call} repeated one that had failed; both are on the path")
CAPACITY = Kind(
    "assumes-capacity",
    DESIGN,
    "the prediction holds if what is called handles {most:call} at once from one request as fast as one",
)
ONE_LOOP = Kind(
    "one-event-loop",
    DESIGN,
    "an event loop serves these requests: the CPU time of making the calls and of parsing their answers does not overlap, so "
    "the saving may be smaller",
)
NOTHING_FOLLOWS = Kind(
    "nothing-follows",
    DESIGN,
    "no two of these calls follow each other directly under one parent, so overlapping them changes nothing",
)
NO_TAIL = Kind("no-tail-prediction", DESIGN, "p95 needs {needed:run} for an interval; these spans are of {runs:run}")
FEW_TRACES = Kind(
    "few-traces", DESIGN, "{traces:trace}: {needed} show whether calls depend on each other; record more requests"
)
NO_VALUES = Kind(
    "no-call-values",
    DATA,
    "{calls:call} hold neither an address nor bound values, so whether they need an earlier answer can't be seen; "
    "record url.full and query parameters",
)
LOOPS = Kind("calls-in-loops", DESIGN, "some calls repeat with another value each time; {remedy} judges loops")
SAMPLED = Kind("sampled-traces", DESIGN, "of each route {most:trace}, evenly spaced, were analysed")
CODE = Kind("fix-as-code", DESIGN, "the column suggestion holds the fix as code: print(found.suggestion[0])")
