"""What a gate says: why it decides as it does, and what to know about a baseline and its machine."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, MACHINE, TARGET, YOU, Kind

# Why it passes, fails or is inconclusive
REGRESSED = Kind("gate-regressed", TARGET, "{sentence:raw}")
CONFIRMED = Kind("gate-confirmed", TARGET, "a second experiment confirms it: {sentence:raw}")
NOT_CONFIRMED = Kind(
    "gate-not-confirmed",
    DESIGN,
    "the first experiment found a regression ({first:raw}), and a second one does not confirm it: {sentence:raw}",
)
NOT_WORSE = Kind(
    "gate-not-worse",
    TARGET,
    "{what:raw} is at most {worst:raw} worse (95 % sure), within the tolerance of {margin:raw}",
)
DECIDED = Kind("gate-decided", TARGET, "{sentence:raw}")
UNDECIDED = Kind("gate-undecided", DESIGN, "{sentence:raw}")
OBJECTIVES = Kind("gate-objectives", TARGET, "{sentence:raw}")
NOT_GATED = Kind("gate-not-gated", YOU, "regressed, but the gate was declared for {primary:raw} only: {endpoints}")
RULE = Kind(
    "gate-rule",
    DESIGN,
    "The gate fails on a regression of {gated:raw}; it passes where a regression beyond the tolerance is excluded",
)

UNCOMMITTED = Kind(
    "gate-uncommitted",
    YOU,
    "this checkout has changes that are not committed: they are not measured. Commit them first",
)
NOISE = Kind(
    "gate-noise", DESIGN, "The tolerance is the run-to-run noise of {runs:run} of one version: {noise_fraction}"
)

# The machine
SLOWER = Kind(
    "machine-differs",
    MACHINE,
    "this machine is {by:raw} {how:raw} than the baseline's: a short loop takes {loop_ms} of CPU time (baseline: "
    "{before_ms}) and gets {available_fraction} of a core (baseline: {before_fraction}). Nothing is claimed. Set the baseline "
    "again on this machine ({remedy}), or gate by pairs",
)
OTHER_CORES = Kind(
    "machine-other-cores",
    MACHINE,
    "this machine has {cores:raw} cores, the baseline's has {before:raw}. Set the baseline again on this machine ({remedy})",
)
OTHER_PYTHON = Kind(
    "machine-other-python",
    MACHINE,
    "the baseline's machine was measured by Python {before:raw}, this one by {now:raw}, so their speeds cannot be compared. "
    "Set the baseline again ({remedy})",
)
BUSIER = Kind(
    "machine-busier",
    MACHINE,
    "other processes took {now_fraction} of this machine's CPU during the run, and {before_fraction} during the baseline's. "
    "Nothing is claimed. Repeat the run on a quiet machine",
)
QUIETER = Kind(
    "machine-quieter",
    MACHINE,
    "other processes took {before_fraction} of this machine's CPU during the baseline's runs, and {now_fraction} during this "
    "one. Nothing is claimed. Set the baseline again on a quiet machine ({remedy})",
)
OTHER_MODEL = Kind(
    "machine-other-model",
    MACHINE,
    "the processor is another model ({now}; baseline: {before}) with the same speed in a short loop; pairs are safer",
)
UNSTEADY = Kind(
    "machine-unsteady",
    MACHINE,
    "the speed of this machine changed by {by:raw} while the baseline was made; a later gate may refuse it. Repeat it on a quiet "
    "machine",
)
SPEED_AFTERWARDS = Kind(
    "speed-afterwards",
    MACHINE,
    "the machine's speed was measured now, {age_ms} after the runs; it is assumed that it was the same then",
)

# The baseline
AGE = Kind("baseline-age", DATA, "the baseline is {age_ms} old: {runs:run} of {arm:raw}{commit:raw}")
OLD = Kind(
    "baseline-old", DATA, "a baseline of {age_ms} ago may differ by more than the code: data, dependencies, machine"
)
NOT_COVERED = Kind(
    "baseline-coverage",
    DATA,
    "{covered_fraction} of the requests went to endpoints that the baseline holds; it has no {endpoints}",
)
FEW_COVERED = Kind(
    "baseline-few-covered",
    DATA,
    "only {covered_fraction} of the requests went to endpoints that the baseline holds. Set the baseline again ({remedy})",
)
ONE_SESSION = Kind(
    "baseline-one-session",
    DESIGN,
    "The spread is that of one session: what differs from day to day is not in it. Pairs are the safer gate",
)
