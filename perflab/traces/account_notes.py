"""What an account is careful about: the kinds of notes of this package's account."""

from __future__ import annotations

from perflab.notes import DATA, DESIGN, TARGET, YOU, Kind

NO_CAUSE = Kind(
    "no-cause",
    DATA,
    "the components are those of {requests:raw}, before and after; one can move another (a faster database also shortens the "
    "queue), so this shows where the time went, not what caused it",
)
UNRECORDED = Kind(
    "unrecorded-requests",
    DATA,
    "{share_fraction} of the {arm:raw} runs' requests have no record of the application; their whole latency counts as rest",
)
NEGATIVE_QUEUE = Kind(
    "negative-queue",
    DATA,
    "{share_fraction} of the requests reached the application before they were sent, by up to {most_ms}: the clocks of client "
    "and server differ, so only the sum of queue and way back is meaningful",
)
TWO_TOTALS = Kind(
    "two-totals",
    DESIGN,
    "measured without the recorder, {metric:raw} changed by {change:raw} ({before_ms} to {after_ms}); the account is of the "
    "recorded runs, because recording costs time",
)
FEW = Kind(
    "account-few-requests",
    DATA,
    "the smallest run has {found:request}; {metric:raw} needs {needed} for a stable account",
)
NO_INTERVAL = Kind("account-no-interval", DESIGN, "{runs:raw}: no interval and no verdict; {remedy} gives both")
NO_VERDICT = Kind("account-no-verdict", DESIGN, "no verdicts: {problem:raw}")
MORE_IN_REST = Kind(
    "large-rest",
    YOU,
    "{share_fraction} of the change is in the rest, which nothing was measured for. In a threaded Python server that is mostly "
    "waiting for the interpreter or for a core; plain locks, sleeps, files, and clients that the recorder does not hook "
    "(Redis) also count as rest",
)
ONE_SIDED = Kind(
    "component-in-one-arm",
    YOU,
    "only the {arm:raw} runs recorded {component:raw} time, and the rest is {rest_ms} larger in the {other:raw} runs: check that "
    "they make no such calls through a client that the recorder does not hook",
)
DATABASE_SIDES = Kind(
    "database-sides",
    DATA,
    "{arm:raw}: of {client_ms} a request waited for the database, the server executed for {executing_ms} and planned for "
    "{planning_ms} by its own count; {outside_ms} are round trips and the driver",
)
IN_A_ROW = Kind(
    "calls-in-a-row",
    TARGET,
    "{at_once:call} of {route:raw} run one after another ({calls}); overlapping them ({evidence:raw}) would save {saved_mean_ms} "
    "on average, {condition:raw}; {remedy} shows the code",
)
