"""Notes on the conditions of an experiment: order, carry-over, load, machine, mix, failures, a broken run, two modes."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, MACHINE, TARGET, Kind, Note, Remedy
from perflab.stats.doubts import reason

OPEN_MODEL = Remedy("Stage", {"rate": ...})
AN_OPEN_MODEL = Note("open-model", DESIGN, remedy=OPEN_MODEL, template="{remedy}")


def by_share(limit_ms: float) -> Remedy:
    """The call that compares the share of requests slower than this limit."""
    return Remedy("compare", {"metric": f"over_{limit_ms:g}ms"})


_FAILURES = "fixing the failures, and new runs"
ORDER_CONFOUNDED = reason(
    "order-confounded",
    DESIGN,
    "order confounded: every run of one arm ran before every run of the other, so anything that changed on the machine in "
    "between looks like an effect",
    "interleaved runs: {remedy}",
)
LATE = reason(
    "order-confounded",
    DESIGN,
    "order confounded: the candidate ran long after the earlier runs, so anything that changed on the machine in between "
    "looks like an effect",
    "interleaved runs: {remedy}",
)
ORDER_UNKNOWN = reason(
    "order-unknown",
    DATA,
    "the order of the runs is unknown, because the tool writes no absolute times",
    "the times at which the runs started: {remedy}",
)
DIFFERED = Kind(
    "confounder",
    MACHINE,
    "{what:raw} differed between the arms too ({values:raw}), so the change may come from that{meant:raw}",
)
MORE_FAIL = reason("more-failures", TARGET, "{after:raw} of the requests fail instead of {before:raw}")
FAILING_FAST = reason(
    "failing-fast",
    TARGET,
    "faster, but {after:raw} of the requests fail instead of {before:raw}, and failing fast is not an improvement",
    _FAILURES,
)
FAILING_ALIKE = reason(
    "failing-fast", TARGET, "as fast, but {after:raw} of the requests fail instead of {before:raw}", _FAILURES
)
OMISSION_DECIDES = reason(
    "omission-decides",
    DESIGN,
    "{measured:raw} as measured, {filled:raw} with the requests that were due and never sent (coordinated omission)",
    "an open load model, which sends on schedule: {remedy}",
)
FAILURES_DECIDE = reason(
    "failures-decide",
    TARGET,
    "{measured:raw} as measured, {slow:raw} with failed requests as infinitely slow ones: a direction needs both",
    _FAILURES,
)
TAIL_FAILS = reason(
    "tail-fails",
    TARGET,
    "in {among} of {runs:run} of the {arm:raw} at least as many requests fail as {metric:raw} excludes ({failed:raw} of all): "
    "compare that share too: {remedy}",
)
ALL_FAILED = reason(
    "all-failed", TARGET, "all requests of the {arm:raw} failed, so their latencies mean nothing", _FAILURES
)
BROKEN_RUN = reason(
    "broken-run",
    TARGET,
    "run {run:raw} {size:raw} (without {them:raw}: {without:raw})",
    "finding out what happened in that run, and new runs",
)
LOAD_DIFFERS = reason(
    "load-differs",
    DESIGN,
    "{verdict:raw} as measured, but the load differed: {baseline_per_s} in the baseline, {candidate_per_s} in the candidate, "
    "which alone could explain it",
    "the same load in both arms",
)
OTHER_LOAD = Kind(
    "other-load",
    DESIGN,
    "run {run:raw} had a different load: {run_per_s} against {usual_per_s} in a typical run of the {arm:raw}. Find out why, and "
    "repeat it",
)
OFFERED_DIFFERS = reason(
    "offered-differs",
    DESIGN,
    "{verdict:raw} as measured, but the plans offered {baseline_per_s} to the baseline and {candidate_per_s} to the candidate, "
    "and {arm:raw} served all of it: the change may come from the plans",
    "the same plan for both arms, with more load than they can serve",
)
AS_OFFERED_ONLY = Kind(
    "served-as-offered",
    DESIGN,
    "both arms served all that was offered ({offered_per_s}), so this says nothing of what they can serve: offer more, "
    "until they fall behind",
)
HISTORY_MOVED = Kind(
    "history-moved",
    DATA,
    "the earlier runs contain a change ({change:raw} from run {run:raw} on), which widens the interval. Compare with the runs "
    "after it",
)
EFFECT_MOVED = reason(
    "changed-during",
    TARGET,
    "the effect was not the same throughout: about {first:raw} in the first pair, {last:raw} in the last",
    "a new experiment while nothing else changes (state that builds up over the runs, another deployment)",
)
DRIFTING = reason(
    "drifting",
    DESIGN,
    "the runs drift by {drift:raw} from the first to the last, which counts as noise where runs are not paired",
    "pairs, which cancel it: {remedy}",
)
SKEWED_ORDER = reason(
    "order-confounded",
    DESIGN,
    "order confounded: {overlap_fraction} of the comparisons of a run with one of the other arm have the same arm first",
    "interleaved runs: {remedy}",
)
PAIRS_IN_ONE_ORDER = reason(
    "order-confounded",
    DESIGN,
    "order confounded: in all {pairs} pairs the {arm:raw} ran first, so drift and warm caches are part of the change",
    "pairs in random order: {remedy}",
)
NO_COMMON = reason(
    "no-common-endpoint", DATA, "the arms have no endpoint in common, so the totals measure different work"
)
MIX_MOVED = reason(
    "mix-moved",
    DESIGN,
    "on one common mix, because the mix moved ({endpoint:raw}: {before_fraction} of the requests, then {after_fraction}); "
    "as offered: {offered:raw}",
)
ONE_MIX = Kind(
    "mix-moved",
    DESIGN,
    "all requests are on one common mix, because the mix moved ({endpoint:raw}: {before_fraction} to {after_fraction} of the "
    "requests)",
)
GIVEN_MIX = Kind("given-mix", DESIGN, "on the given mix{without:raw}; as offered: {offered:raw}")
COVARIATE_MOVED = Kind(
    "covariate-moved",
    DESIGN,
    "{name:raw} differs between the arms ({baseline:raw} and {candidate:raw}): adjusting for it removes what the change does "
    "through it",
)
AT_CEILING = reason(
    "at-ceiling",
    DATA,
    "{metric:raw} of {arm:raw} is the largest latency that was measured ({limit_ms}, of many requests), as at a timeout or a "
    "limit of the measurement: what lies beyond it is unknown",
    "a higher limit, or the share of requests that reach it: {remedy}",
)
TWO_MODES = reason(
    "two-modes",
    DATA,
    "{metric:raw} lies between two modes ({fast_ms} and {slow_ms}), so small changes in the share of slow requests move it by "
    "the distance between them; slower than {limit_ms}: {baseline_fraction} of the requests, then {candidate_fraction}. "
    "Compare that share: {remedy}",
)
ENDPOINT_REGRESSED = reason("endpoint-regressed", TARGET, "but regressed: {endpoints}")
SKEWED_PAIRS = Kind(
    "order-skewed",
    DESIGN,
    "in {first} of {pairs} pairs the {arm:raw} ran first, so drift and warm caches are part of the change: the second run of a "
    "pair differs by about {position:raw}; corrected for that, the change is {corrected:raw}. Randomise the order",
)
SKEWED_RUNS = Kind(
    "order-skewed",
    DESIGN,
    "the order of the runs favours one arm ({overlap_fraction} of the comparisons have the same arm first) and the runs drift "
    "by {drift:raw}: corrected for that, the change is {corrected:raw}. Interleave the runs",
)
CARRY_OVER = Kind(
    "carry-over",
    TARGET,
    'carry-over: a run after one of "{arm:raw}" differs by {carried:raw}; corrected for that, the change is {corrected:raw}. '
    "Restore the state between runs (restart, reload, wait)",
)
CARRIED = Kind(
    "carry-over",
    TARGET,
    'carry-over: a run after one of "{arm:raw}" differs by {carried:raw} from one after another arm. Restore the state between '
    "runs (restart, reload, wait)",
)
MACHINE_BUSY = Kind(
    "machine-busy",
    MACHINE,
    "{what:raw} {baseline_cores} in runs of the baseline, {candidate_cores} in those of the candidate, so the change may "
    "come from that",
)
LONE_ENDPOINTS = reason(
    "lone-endpoints",
    DATA,
    "{verdict:raw} without {endpoints}, which get {lone_fraction} of the requests of one arm and none of the other",
    "the same endpoints in both arms, or declaring those that decide: {remedy}",
)
ONE_ARM_ONLY = Kind(
    "endpoint-in-one-arm",
    DATA,
    "only one arm has requests to {endpoints}, so all requests together are not the same work in both. Declare the endpoints "
    "that decide: {remedy}",
)
FAILING_RUN = Kind(
    "failing-run",
    TARGET,
    "in run {run:raw} of the {arm:raw} {failed_fraction} of the requests failed, in a typical one {usual_fraction}. Find out "
    "what happened there before relying on either answer",
)
OMISSION = Kind(
    "coordinated-omission",
    DESIGN,
    "coordinated omission: users waited through stalls longer than their usual {cycle_ms} between requests, so requests are "
    "missing in {runs} of {of} runs (most in {worst:raw}: {missing_fraction}) and the quantile may be too low. Declare the "
    "pace if it was fixed ({remedy}), or use an open model: {open:raw}",
)
OMISSION_DECLARED = Kind(
    "coordinated-omission",
    DESIGN,
    "coordinated omission: at the declared pacing of {pacing_ms} requests are missing in {runs} of {of} runs (most in "
    "{worst:raw}: {missing_fraction}), because users waited for slow answers. The verdict was taken with and without them",
)
BACK_FILLED = Kind("back-filled", DESIGN, "with the requests that were never sent: {found:raw}")
