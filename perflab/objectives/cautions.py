"""What `check` and `read_objectives` warn of, and why an objective got its verdict."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, TARGET, YOU, Kind

# Why a row has its verdict
BREAKS = Kind("interval-breaks-limit", TARGET, "the whole interval breaks the limit")
MEETS = Kind("interval-meets-limit", TARGET, "the whole interval meets the limit")
SOME_BREAK = Kind("some-runs-break", TARGET, "{odd:raw} of {runs:run} broke it")
SOME_MEET = Kind("some-runs-meet", TARGET, "{odd:raw} of {runs:run} met it")
REFUTED = Kind("one-refutes", TARGET, "one of {requests} requests is enough to refute it")
TAIL_FAILS = Kind(
    "tail-fails",
    TARGET,
    "{failed_fraction} of the requests failed, and a failure meets no limit on {metric:raw}, however fast. Fix the failures, "
    "and add an objective for the error rate",
)
AT_CEILING = Kind(
    "at-ceiling",
    DATA,
    "{metric:raw} is the largest latency that was measured ({limit_ms}, of many requests), as at a timeout or a limit of the "
    "measurement: what lies beyond it is unknown. State the share of requests that may be slower than a lower limit",
)
NOT_PROVABLE = Kind(
    "not-provable", DESIGN,
    "no request broke it, which proves nothing about the next one. State a quantile, such as p99.9, to have it tested",
)  # fmt: skip
NOT_PROVABLE_SHARE = Kind(
    "share-not-provable", DESIGN, "the interval reaches {reached:raw}: {limit:raw} can be refuted, not proven"
)
AT_LIMIT = Kind("at-limit", TARGET, "the interval contains the limit, and the measured value is practically at it")
MORE_RUNS = Kind("more-runs", DESIGN, "the interval contains the limit; about {more:more run} would decide")
TOO_FEW = Kind(
    "too-few-requests",
    DATA,
    "{metric:raw} needs {needed:request} per run after the warm-up; the smallest run has {found}. Run longer",
)
TOO_FEW_FOR_RATE = Kind("too-few-for-rate", DATA, "too few requests to judge how stable the throughput is. Run longer")
LESS_OFFERED = Kind(
    "less-offered",
    DESIGN,
    "the plan offered at most {offered_per_s}, so the target was never asked for {bound:raw}. Offer more (a higher rate, more "
    "users, or less waiting time)",
)
LESS_LOAD = Kind(
    "less-load",
    DESIGN,
    "the load was {reached:raw}, and the objective is about {asked:raw}: it may be missed there. Offer that load",
)
MORE_LOAD = Kind(
    "more-load",
    DESIGN,
    "the load was {reached:raw}, and the objective is about {asked:raw}: it may hold there. Offer that load",
)
NO_REQUESTS = Kind("no-requests", DATA, "no requests are left after the warm-up")
NO_EVENTS = Kind("no-events", DATA, "nothing was recorded to judge it by")
NO_LENGTH = Kind("no-length", DATA, "the duration of a run is unknown, so it has no throughput")
NO_FAILURES_KNOWN = Kind("failures-unknown", DATA, "the tool does not report which requests failed")
WHOLE_RUN = Kind("whole-run-only", YOU, "{metric:raw} is known for whole runs only. Leave the endpoint out")
NOT_RECORDED = Kind("not-recorded", DATA, "{metric:raw} was not recorded in these runs")
OTHER_EVIDENCE = Kind(
    "other-evidence", DESIGN, "these runs were not made to measure {metric:raw}; {remedy} measures it"
)
ONE_VALUE = Kind(
    "one-value", DESIGN, "one run gives one value of {metric:raw} and no interval. Run it at least three times"
)
NO_SUCH_ENDPOINT = Kind("no-such-endpoint", YOU, "there are no requests to {endpoint}; the endpoints are {endpoints}")
AMBIGUOUS = Kind("ambiguous-endpoint", YOU, "{endpoint} matches several endpoints: {endpoints}")

# About the whole check
DECIDED = Kind(
    "decided-by", DESIGN,
    "decided by the 95 % interval after the first {cut:raw} of each run (warm-up): an objective holds or fails when all of "
    "the interval does",
)  # fmt: skip
DECIDED_WHOLE = Kind(
    "decided-by",
    DESIGN,
    "decided by the 95 % interval of whole runs: an objective holds or fails when all of the interval does",
)
ONE_RUN = Kind(
    "one-run",
    DESIGN,
    "One run: the interval covers this run only, and other runs may differ. Repeat it at least three times",
)

BUDGET = Kind(
    "error-budget",
    DESIGN,
    "Bad requests are failed ones, or those slower than the limit of a quantile; a burn of 1 uses the budget up over the whole "
    "time. The burn is measured in windows of {window_ms}",
)
NO_BUDGET = Kind("no-budget", DESIGN, "{objective} has no error budget, or no endpoint of these runs")

PAGE_ANSWERED = Kind("page-answered", TARGET, "{page:raw} ({what:raw}) answered under load each of {asked:time}")
PAGE_FAILED = Kind("page-failed", TARGET, "{page:raw} ({what:raw}) did not answer under load {failed} of {asked:time}")
PAGE_NOT_ASKED = Kind(
    "page-not-asked",
    DESIGN,
    "{page:raw} ({what:raw}) was not asked under load: Target(metrics=, ready=) does that, and so does perflab run --goals",
)

# About a document
NOT_UNDERSTOOD = Kind("not-understood", YOU, "not understood: {where:raw}: {text} ({reason})")
IN_CODE = Kind("in-code", YOU, "{where:raw}: code blocks are not read, and this looks like an objective: {text}")
NO_UNIT = Kind("no-unit", YOU, "{where:raw}: {metric:raw} {operator:raw} {number:raw} is read as {unit:raw}")
CONDITION = Kind("condition", DATA, "{objective}: these runs do not say whether their load was {condition:raw}")
K6_CONNECT = Kind(
    "k6-connect", DATA, "k6's http_req_duration excludes the time to connect; perflab's latency includes it"
)
K6_WARMUP = Kind(
    "k6-warmup", DATA, "k6 counts the whole test; a check leaves the warm-up out ({remedy} counts everything)"
)
