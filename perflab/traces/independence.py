"""May two calls in a row overlap? What the traces show for and against it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perflab.traces.operations import CONTROL, UNKNOWN, WRITE
from perflab.traces.steps import Pair, Seen, Step, Unit

OVERLAP, LIKELY, CANT_TELL, DEPENDS, WRITES = EVIDENCE = (
    "can overlap", "likely", "can't tell", "depends", "writes",
)  # fmt: skip
"""The best first; only the first two claim that the calls need not wait for each other."""
CLAIMS = (OVERLAP, LIKELY)
LEAST_UNITS = 5
"""So many units without a counter-example make "likely"."""
_COUNTER_EXAMPLES = 2
_GAP_NS, _GAP = 1_000_000, 0.25
_SOMETIMES = 0.02

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "overlapped": "they overlap in other traces",
        "order": "their order differs between traces",
        "nothing": "no value of a call appears in the next first, nothing is computed between them, and all are reads",
        "write": "one of them writes, or calls a function that may",
        "transaction": "a transaction begins or ends between them",
        "failed": "it ran after a failure: a retry or a fallback",
        "value": "it is made with a value that no request had before: the answer of the call before it",
        "earlier value": "it is made with a value of an earlier answer, which may be that of the call before it",
        "loop": "the same call with another value each time: find_n_plus_one judges loops",
        "again": "the same call with the same values: keep the first answer instead",
        "kinds": "a statement, then a call to a service (or the reverse): the first may decide whether the next is made",
        "decides": "the first answers from a cache, or hands out access, which usually decides about the next",
        "unknown": "whether they only read is not recorded",
        "unseen": "the values that it is made with were not recorded",
        "alike": "all requests asked for the same, so a value of an answer would not stand out",
        "sometimes": "it is not always made after the first, which may decide about it",
        "computes": "the application computes between them, perhaps on the answer",
        "few": f"fewer than {LEAST_UNITS} traces",
    }
)
"""Why, by code."""


def judged(seen: Seen, unit: Unit, one: Step, other: Step) -> tuple[str, str]:
    """The evidence about a call and the one made right after it, and the code of its reason."""
    a, b, site = one.what, other.what, unit.site
    if CONTROL in (a.how, b.how):
        return WRITES, "transaction"
    if WRITE in (a.how, b.how):
        return WRITES, "write"
    if a.failed:
        return DEPENDS, "failed"
    if a.label == b.label:
        return _of_a_loop(seen, unit, one, other)
    fresh = (site, a.label, b.label) in seen.fresh
    if (site, a.label, b.label) in seen.from_it:
        return DEPENDS, "value"
    ahead, behind = seen.pairs.get((site, a.label, b.label), Pair()), seen.pairs.get((site, b.label, a.label), Pair())
    if ahead.overlapped + behind.overlapped >= _COUNTER_EXAMPLES:
        return OVERLAP, "overlapped"
    if min(ahead.before, behind.before) >= _COUNTER_EXAMPLES:
        return OVERLAP, "order"
    return _of_what_was_recorded(seen, unit, one, other, fresh, ahead)


def _of_a_loop(seen: Seen, unit: Unit, one: Step, other: Step) -> tuple[str, str]:
    a, b = one.what, other.what
    if a.values and a.values == b.values:
        return CANT_TELL, "again"
    if UNKNOWN in (a.how, b.how):
        return CANT_TELL, "unknown"
    if b.values is None:
        return CANT_TELL, "unseen"
    if other.fresh or (unit.site, a.label, b.label) in seen.fresh:
        return CANT_TELL, "loop"
    return _of_what_was_recorded(seen, unit, one, other, False, seen.pairs.get((unit.site, a.label, b.label), Pair()))


def _of_what_was_recorded(seen: Seen, unit: Unit, one: Step, other: Step, fresh: bool, pair: Pair) -> tuple[str, str]:
    a, b, site = one.what, other.what, unit.site
    against = {
        "earlier value": fresh,
        "decides": a.decides,
        "kinds": a.stores != b.stores,
        "unknown": UNKNOWN in (a.how, b.how),
        "unseen": b.values is None,
        "alike": bool(b.values) and site[0] not in seen.varied,
        "sometimes": seen.alone[site, a.label] - seen.together[site, a.label, b.label]
        > max(1, _SOMETIMES * seen.alone[site, a.label])
        and a.label != b.label,
        "computes": _computes(pair),
        "few": len(pair.gaps) < LEAST_UNITS,
    }
    return next(((CANT_TELL, code) for code, holds in against.items() if holds), (LIKELY, "nothing"))


def _computes(pair: Pair) -> bool:
    """Whether even in the quicker units much time lies between the two."""
    gap, shorter = pair.between
    return gap > max(_GAP_NS, _GAP * shorter)
