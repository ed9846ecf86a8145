"""Notes of the statistics: why there is no verdict, what to be careful about, what to do next.

A reason states what is known; its advice, if any, is a separate note (`advice`) made from the same facts.
"""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, TARGET, YOU, Kind, Note, Remedy

_ADVICE: dict[str, Kind] = {}


def pairs_of(count: int) -> Remedy:
    """The call that runs so many pairs."""
    return Remedy("run_pairs", {"pairs": count}, given="plan, baseline, candidate")


INTERLEAVE = pairs_of(8)


def declaring(endpoint: object) -> Remedy:
    """The call that declares the deciding endpoint."""
    return Remedy("compare", {"primary": endpoint})


def reason(code: str, about: str, template: str, advice: str = "") -> Kind:
    """A kind of reason, with the advice that would change the answer."""
    if advice:
        _ADVICE[code] = Kind(f"{code}-advice", about, advice)
    return Kind(code, about, template)


def advice(reason: Note | None) -> Note | None:
    """The advice that belongs to a reason; None where it has none."""
    kind = _ADVICE.get(reason.code) if reason else None
    return kind(reason.remedy, **reason.facts) if kind and reason else None


# The design

_MORE_RUNS = "at least 3 pairs, better 8, run interleaved: {remedy}"
FEW_PAIRS = reason("few-pairs", DESIGN, "{pairs:pair}: a verdict needs at least 3", _MORE_RUNS)
FEW_RUNS = reason(
    "few-runs",
    DESIGN,
    "{baseline} and {candidate} runs: a verdict needs at least 3 of each, or one against {history} earlier ones",
    _MORE_RUNS,
)
ONE_EACH = reason(
    "one-against-one",
    DESIGN,
    "one run against one: runs of the same code differ too, and one of each cannot show by how much",
    _MORE_RUNS,
)
UNEQUAL_WITHIN = reason(
    "unequal-length",
    DESIGN,
    "runs of unequal length: those of the {arm:raw} took {shortest_ms} to {longest_ms}, so each saw a different part of the "
    "load",
    "runs of one length, or accepting that they differ: {remedy}",
)
UNEQUAL_BETWEEN = reason(
    "unequal-length",
    DESIGN,
    "runs of unequal length: {baseline_ms} in the baseline, {candidate_ms} in the candidate",
    "the same plan for both arms, or accepting that they differ: {remedy}",
)
SAME_RUNS = reason("same-runs", DATA, "both arms hold the same runs: nothing was compared")
IN_BOTH_ARMS = reason(
    "run-in-both-arms",
    DATA,
    "{runs:run} in both arms ({named:raw}): comparing a run with itself shows nothing",
    "leaving such runs out of one arm",
)
COPIES = reason(
    "copies",
    DATA,
    "some runs of the {arm:raw} contain the same requests ({named:raw}): a copy of a run is not a repetition",
    "leaving the copies out",
)
IGNORED = Kind("order-ignored", YOU, "the order is accepted as it is: {problem:raw}")
ALLOWED = Kind("allowed", YOU, "compared anyway: {problem:raw}")
HISTORY = Kind(
    "against-history",
    DESIGN,
    "one run against a history: anything else that changed since then looks the same. Confirm with interleaved pairs: {remedy}",
)
WITHOUT_PARTNER = Kind("without-partner", DATA, "{runs:run} left out for lack of a partner")
NO_PAIR = Kind("no-complete-pair", DATA, "no pair is complete, so the runs were compared unpaired")

# Refusals

REFUSED = Kind("refused", DESIGN, "these runs cannot be compared: {problems:raw}. To compare them anyway: {remedy}")
NOT_TOGETHER = Kind("refused", DESIGN, "these runs cannot be combined: {problems:raw}. To do so anyway: {remedy}")
NOT_REPLICATIONS = Kind("refused", DESIGN, "these runs cannot be combined: {problems:raw}")
RUN_TWICE = Kind("run-twice", DATA, "the {arm:raw} has more than one run called {run:raw}: give each run its own name")
SEVERAL_ARMS = Kind(
    "several-arms",
    DATA,
    "the {arm:raw} has several runs of pair {pair}, of more than one arm ({arms}). Choose one: {remedy}",
)
SEVERAL_EXPERIMENTS = Kind(
    "several-experiments",
    DATA,
    "the {arm:raw} has several runs of pair {pair}, of more than one experiment. Load one: {remedy}",
)
PAIR_TWICE = Kind(
    "pair-twice",
    DATA,
    "the {arm:raw} has several runs of pair {pair}: give one experiment, in which each pair has one run of each arm",
)
MIXED_EXPERIMENTS = Kind("several-experiments", DATA, "the runs come from more than one experiment. Load one: {remedy}")
MIXED_LOOKS = Kind(
    "several-experiments", DATA, "the runs come from experiments with different looks ({looks}). Load one: {remedy}"
)
NOT_PAIRED = Kind(
    "not-paired", DESIGN, "these runs are not in pairs. Run pairs ({remedy}), or give the runs a pair column"
)
INVALID = Kind("invalid", DATA, "{invalid} of {runs} runs are not valid ({named:raw})")
INTERRUPTED = Kind("invalid", DATA, "{invalid} of {runs} runs were interrupted ({named:raw}); {remedy} leaves them out")
GENERATORS = Kind(
    "generator",
    DESIGN,
    "the measurements come from different generators ({generators}), which measure the same target differently",
)
PLANS = Kind("plan", DESIGN, "the runs have different plans ({settings})")
RECORDED = Kind("plan", DESIGN, "queries or profiles were recorded in some of the runs only, and recording costs time")
ARMS = Kind("arms", DESIGN, "the runs are of several arms ({arms}); choose one: {remedy}")

# One row

NO_REQUESTS = reason("no-requests", DATA, "the {arm:raw} has no requests to this endpoint")
NO_VISITS = Kind("no-visits", DATA, "there are no visits of pages in these measurements")
MEDIAN_OF_VISITS = Kind("median-of-visits", DESIGN, "Each value is the median of a run's visits to the page")
PAGES_LEFT_OUT = Kind(
    "pages-left-out",
    DATA,
    "{metric:raw} of all pages covers the pages that have it in every run; left out: {pages}",
)
RUNS_WITHOUT = reason("runs-without-requests", DATA, "{without} of {runs} runs have no requests to this endpoint")
TOO_FEW = reason(
    "too-few-requests",
    DESIGN,
    "too few requests: {metric:raw} needs {needed} in each run, one has {found}",
    "longer runs{length:raw}, or a higher load",
)
MAXIMUM = reason(
    "maximum", YOU, "the maximum of a run has no sampling distribution to test", "a quantile, such as p99.9"
)
NO_FAILURES = reason("failures-unknown", DATA, "the tool does not record which requests failed")
NO_LENGTH = reason("length-unknown", DATA, "the length of the run is unknown, so it has no throughput")
NO_RATIO = reason("no-ratio", DATA, "{metric:raw} is zero or unknown in some runs, so no ratio can be formed")
NO_VARIANCE = reason(
    "no-variance",
    DATA,
    "the runs of an arm agree to the last digit, as copies do, so nothing shows how much runs differ",
    "runs that were really repeated",
)
TICK = reason(
    "clock-tick",
    DATA,
    "the arms differ by no more than one tick of the tool's clock ({tick_ms})",
    "latencies with a finer resolution",
)
WITHIN_TOLERANCE = reason(
    "within-tolerance",
    DATA,
    "the 90 % interval lies within the tolerance of {margin:raw}",
    "a tolerance below {margin:raw}, if smaller differences matter: declare it before the runs",
)
_CONFOUNDER = (
    'only a confounder that made every "{arm:raw}" run at least {near:raw} {how:raw} would overturn this (another machine, '
    "other data, a warm cache); more runs only narrow the interval"
)
AT_LEAST = reason("at-least", DATA, "by at least {margin:raw}", _CONFOUNDER)
SIZE_UNCERTAIN = reason(
    "size-uncertain", DATA, "may be by as little as {near:raw}, within the tolerance of {margin:raw}", _CONFOUNDER
)
WIDE = reason(
    "wide-interval",
    DESIGN,
    "the interval holds both no change and a change that matters",
    "a new experiment of about {runs:raw} in all: {remedy} (adding runs to these would raise the false-alarm rate)",
)
ALONE = reason(
    "significant-alone",
    DESIGN,
    "significant alone, but not after correction for the other tests",
    "a new experiment that declares it: {remedy}",
)
LIKE_HISTORY = reason(
    "like-history",
    DESIGN,
    "within the variation of the earlier runs",
    "interleaved pairs, which show smaller differences: {remedy}",
)

AGAINST_REFERENCE = Kind("against-reference", DESIGN, "against the reference: {found:raw} ({interval:raw}){why:raw}")

# Warnings of a comparison

FEW_REQUESTS = Kind(
    "few-requests",
    DESIGN,
    "{metric:raw} rests on {found} requests in the smallest run; it is stable from about {needed}",
)
TESTS_DISAGREE = Kind(
    "tests-disagree",
    DESIGN,
    "the t-test decides (p = {p:raw}), the exact test of the same runs would not (p = {exact:raw}): more pairs before you act",
)
CHANGED_DURING = reason(
    "changed-during",
    TARGET,
    "the effect was not the same throughout: later pairs contradict what earlier ones showed",
    "a new experiment while nothing else changes",
)
RAISED = Kind(
    "warmup-raised",
    DATA,
    "{endpoint:raw} had not settled after {share_fraction} of the runs, so the first {raised_fraction} of every run of both "
    "arms is left out (MSER). To set the warm-up yourself: {remedy}",
)
UNSETTLED = Kind(
    "unsettled",
    DESIGN,
    "{endpoints} had not settled after {share_fraction} of the runs (MSER), which are too short to leave out more. Run longer",
)
DECIDED = Kind(
    "decided-by",
    DESIGN,
    "decided by: {method:raw}; {metrics} of each run after the first {warmup_fraction} (warm-up); tolerance "
    "{tolerance_fraction}{family:raw}",
)
DECIDED_ON_PAGES = Kind(
    "decided-by",
    DESIGN,
    "decided by: {method:raw}; {metrics} of each run (the median of its visits to a page); tolerance {tolerance:raw}{family:raw}",
)
WOULD_CHANGE = Kind("would-change", DESIGN, "what would change the answer: {advice:raw}")

# Looks

LOOK = Kind(
    "look",
    DESIGN,
    "look {number} of {of} registered ones, at {pairs} pairs: p must be below {level:raw} here; {spent:raw} of the "
    "{alpha:raw} for false alarms is spent",
)
BEYOND_LOOKS = Kind(
    "beyond-looks",
    DESIGN,
    "{pairs} pairs are more than the experiment registered: the {alpha:raw} for false alarms was spent at its last look. Run "
    "a new experiment, or use compare_anytime",
)
LOOKS_NEED_PAIRS = Kind(
    "looks-need-pairs",
    DESIGN,
    "the registered looks are of pairs, and these runs are not compared in pairs: p has to be below 0.05, as for a single look. "
    "Read again and again it raises more false alarms than 5 %",
)
ANYTIME = Kind(
    "decided-by",
    DESIGN,
    "decided by: mixture sequential t-test of the pairs' differences, valid after every pair however often it is read. It "
    "needs more pairs than registered looks: {remedy}",
)

# One run, many runs, plans

THIS_RUN = Kind(
    "this-run-only",
    DESIGN,
    "of this run only: it says nothing about the difference between runs. Repeat the run and compare",
)
FEW_FOR_QUANTILE = Kind(
    "quantile-missing", DATA, "{name:raw} needs at least {least} requests; {endpoint:raw} in {run:raw} has fewer"
)
FEW_ROWS_FOR_QUANTILE = Kind(
    "quantile-missing",
    DATA,
    "{name:raw} needs at least {least} requests; {endpoint:raw} in {run:raw} and {more:more row} have fewer",
)
DOUBTFUL_QUANTILE = Kind(
    "quantile-doubtful", DATA, "{name:raw} marked ~ rests on a handful of requests; it is stable from about {needed}"
)
CUT = Kind("after-warmup", DESIGN, "after the first {share_fraction} of each run (warm-up)")
AFTER_WARMUP = Kind(
    "after-warmup", DESIGN, "after the first {share_fraction} of each run (warm-up; to show everything: {remedy})"
)
START_UNKNOWN = Kind(
    "start-unknown", DATA, "the start of some runs is unknown; they were taken in the order in which they were read"
)
SHORT_HISTORY = Kind("short-history", DESIGN, "{runs} runs are a short history; finding a change needs {least} or more")
ALIKE = Kind(
    "autocorrelated",
    DATA,
    "successive runs are correlated (autocorrelation {autocorrelation:raw}): something drifts, and drift makes changes look "
    "sharper than they are. Confirm before acting",
)
WIDENED = Kind("widened", DATA, "errors are widened {factor:raw} times, because successive runs are correlated")
CONFIRM = Kind("confirm", DESIGN, "to confirm: {before:raw} against {after:raw}, in {pairs} randomised pairs: {remedy}")
CHANGES_DECIDED = Kind(
    "decided-by",
    DESIGN,
    "decided by: E-divisive, then a t-test and the exact test of ranks at p < {level:raw} of the stretches on both sides, and "
    "a change of at least {least_fraction} and one standard deviation of the runs",
)
SMALL_PILOT = Kind(
    "small-pilot",
    DESIGN,
    "a pilot of {runs} runs gives a rough standard deviation; the plan allows for {factor:raw} times what was measured. More "
    "runs make it cheaper",
)
BROKEN_PILOT = Kind(
    "broken-run",
    TARGET,
    "run {run:raw} is {times:raw} times a typical run of the pilot; the others differ by {sd_fraction}. Find out what happened "
    "there, and plan from runs without it",
)
TOO_NOISY = Kind(
    "too-noisy", TARGET, "even {most} pairs are not enough: measure on a quieter system, or look for a larger effect"
)
SHORT_SOAK = Kind(
    "short-soak", DESIGN, "a few minutes show only a fast leak; run for half an hour or more before calling it steady"
)
