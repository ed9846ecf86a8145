"""The calls that each span makes in a row, and what all traces together show of each pair of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from perflab.traces.operations import (
    CONTROL,
    READ,
    UNKNOWN,
    WRITE,
    Operation,
    attributes_of,
    operation,
    values_of_request,
)  # fmt: skip
from perflab.traces.trees import Trees, texts_of

_MOST_OF_A_WRAPPER = 0.5
_APART_NS, _APART, _MILLISECOND = 100_000, 0.25, 1_000_000
"""Two calls overlap when they do for longer than this and for this share of the shorter one."""
_UNITS_ALIKE, _MOST_PAIRS = 3, 12
_WORST = (READ, UNKNOWN, CONTROL, WRITE)

Site = tuple[str, str, str]
"""Where calls are made: the route of the trace, the service, and the span that makes them."""


@dataclass(frozen=True)
class Step:
    """One call of a unit. ``fresh``: it is made with a value that nothing had been asked with before it in its trace;
    ``first_answer``: only one call had been answered by then; ``strand``: the thread or task that makes it, -1 if unknown;
    ``caller_times``: the caller's clock timed it."""

    place: int
    what: Operation
    first: int
    last: int
    fresh: bool
    first_answer: bool
    strand: int
    caller_times: bool


@dataclass
class Unit:
    """The calls that one span makes (one or more), in the order of their starts."""

    site: Site
    parent: int
    root: int
    steps: list[Step]


@dataclass
class Pair:
    """What all units of a site show of one call and another that starts after it."""

    before: int = 0
    overlapped: int = 0
    gaps: list[int] = field(default_factory=list)
    shorter: list[int] = field(default_factory=list)

    @cached_property
    def between(self) -> tuple[float, float]:
        """Of the quicker units, the ns between the two and those of the shorter one: a machine that was busy delays some."""
        gap, shorter = (float(np.quantile(values, 0.25)) if values else 0.0 for values in (self.gaps, self.shorter))
        return gap, shorter


@dataclass
class Seen:
    """What is known over all traces."""

    units: list[Unit]
    pairs: dict[tuple[Site, str, str], Pair]
    alone: Counter[tuple[Site, str]]
    """Units of a site in which a call is made."""
    together: Counter[tuple[Site, str, str]]
    """Units of a site in which both are made."""
    fresh: set[tuple[Site, str, str]]
    """Calls made with a new value, by the call before them."""
    from_it: set[tuple[Site, str, str]]
    """Those of them before which that call alone had been answered."""
    varied: set[str]
    """The routes whose requests ask for different things."""
    loops: set[int] = field(default_factory=set)
    """Roots that an event loop serves."""


def seen_in(trees: Trees) -> Seen:
    """The units of all traces, and the evidence of their pairs."""
    operations, wrappers = _operations(trees)
    roots = {int(root): str(route) for root, route in zip(trees.roots, trees.routes, strict=True)}
    fresh, first_answers, varied = _freshness(trees, operations, wrappers, roots)
    units = _units(trees, operations, roots, fresh, first_answers)
    whole = bool((trees.first[trees.order] % _MILLISECOND == 0).all())
    apart = 2 * _MILLISECOND if whole else _APART_NS  # what a clock of whole milliseconds can't order
    attributes = attributes_of(trees.frame)
    loops = {root for root in roots if attributes[root].get("perflab.loop") is True}
    found = Seen(units, defaultdict(Pair), Counter(), Counter(), set(), set(), varied, loops)
    for unit in units:
        _learn(found, unit, apart)
    return found


def _operations(trees: Trees) -> tuple[dict[int, Operation], set[int]]:
    """The call that each span is for its parent: its own, or of a step inside the service (the second set) what it spends its
    time calling."""
    names, kinds, attributes = texts_of(trees.frame, "name"), texts_of(trees.frame, "kind"), attributes_of(trees.frame)
    services = trees.services
    found: dict[int, Operation] = {}
    wrappers = set[int]()
    for place in trees.order[::-1].tolist():
        above = int(trees.parent[place])
        if above < 0:
            continue
        own = operation(names[place], kinds[place], attributes[place])
        if own is not None and (kinds[place] != "server" or services[place] != services[above]):
            found[place] = own
            continue
        below = [child for child in trees.children(place).tolist() if child in found]
        if not below and kinds[place] == "" and trees.starts[place] == trees.starts[place + 1]:
            found[place] = Operation(names[place], UNKNOWN, None)
        called = sum(int(trees.last[c] - trees.first[c]) for c in below)
        if below and called >= _MOST_OF_A_WRAPPER * (trees.last[place] - trees.first[place]):
            found[place] = _of_all(names[place], [found[c] for c in below])
            wrappers.add(place)
    return found, wrappers


def _of_all(name: str, below: list[Operation]) -> Operation:
    values: frozenset[Any] | None = frozenset()
    for each in below:
        values = None if values is None or each.values is None else values | each.values
    how = max((each.how for each in below), key=_WORST.index)
    flags = (any(getattr(each, name) for each in below) for name in ("failed", "decides", "stores"))
    return Operation(name, how, values, *flags)


def _freshness(
    trees: Trees, operations: dict[int, Operation], wrappers: set[int], roots: dict[int, str]
) -> tuple[set[int], set[int], set[str]]:
    """The calls made with a new value; those before which one call alone was answered; routes that ask for different things."""
    constant = _constants(trees, operations, roots)
    by_root: dict[int, list[int]] = defaultdict(list)
    serving = np.isin(texts_of(trees.frame, "kind"), ("server", "consumer"))
    attributes = attributes_of(trees.frame)
    for place in trees.order.tolist():
        if place in operations or serving[place] or place in roots:
            by_root[int(trees.root[place])].append(place)
    fresh, first_answers = set[int](), set[int]()
    asked: dict[str, set[frozenset[Any]]] = defaultdict(set)
    for root, places in by_root.items():
        known: set[Any] = set()
        ends: list[int] = []
        # Of equal starts the parent comes first, as in the trees' order.
        for place in sorted(places, key=lambda p: trees.first[p]):
            if serving[place] or place in roots:
                known |= values_of_request(attributes[place])
            what = operations.get(place)
            if what is None:
                continue
            begin = int(trees.first[place])
            if what.values and not what.values <= known:
                new = what.values - known - constant.get((roots[root], what.label), frozenset())
                if new:
                    fresh.add(place)
                if place not in wrappers:
                    known |= what.values
            if sum(end <= begin for end in ends[:8]) == 1 and len(ends) < 8:
                first_answers.add(place)
            if place not in wrappers:
                ends.append(int(trees.last[place]))
        asked[roots[root]].add(frozenset(known))
    return fresh, first_answers, {route for route, sets in asked.items() if len(sets) >= _UNITS_ALIKE}


def _constants(
    trees: Trees, operations: dict[int, Operation], roots: dict[int, str]
) -> dict[tuple[str, str], frozenset[Any]]:
    """By route and call, the values that it is always made with."""
    calls: Counter[tuple[str, str]] = Counter()
    values: Counter[tuple[str, str, Any]] = Counter()
    for place, what in operations.items():
        key = (roots.get(int(trees.root[place]), ""), what.label)
        calls[key] += 1
        for value in what.values or ():
            values[(*key, value)] += 1
    found: dict[tuple[str, str], set[Any]] = defaultdict(set)
    for (route, label, value), number in values.items():
        if number >= max(calls[route, label], _UNITS_ALIKE):
            found[route, label].add(value)
    return {key: frozenset(held) for key, held in found.items()}


def _units(
    trees: Trees, operations: dict[int, Operation], roots: dict[int, str], fresh: set[int], first_answers: set[int]
) -> list[Unit]:
    names, services, attributes = texts_of(trees.frame, "name"), trees.services, attributes_of(trees.frame)
    kinds = texts_of(trees.frame, "kind")
    by_parent: dict[int, list[int]] = defaultdict(list)
    for place in operations:
        by_parent[int(trees.parent[place])].append(place)
    units = []
    for parent, places in by_parent.items():
        root = int(trees.root[parent])
        site = (roots[root], str(services[parent]), str(names[parent]))
        places.sort(key=lambda p: (trees.first[p], trees.last[p]))
        steps = [
            Step(
                p, operations[p], int(trees.first[p]), int(trees.last[p]), p in fresh, p in first_answers,
                int(attributes[p].get("perflab.strand", -1)), kinds[p] != "server",
            )
            for p in places
        ]  # fmt: skip
        units.append(Unit(site, parent, root, steps))
    return units


def in_a_row(one: Step, other: Step) -> bool:
    """Whether the second was made when the first had been answered, by the same thread or task."""
    slack = min(_APART_NS, (one.last - one.first) // 20)
    return other.first >= one.last - slack and (one.strand == other.strand or -1 in (one.strand, other.strand))


def _learn(found: Seen, unit: Unit, apart: int) -> None:
    site = unit.site
    times = Counter(step.what.label for step in unit.steps)
    singles = [step for step in unit.steps if times[step.what.label] == 1 and step.caller_times][:_MOST_PAIRS]
    labels = list(times)[:_MOST_PAIRS]
    found.alone.update((site, label) for label in labels)
    found.together.update((site, a, b) for a in labels for b in labels if a != b)
    for at, one in enumerate(singles):
        for other in singles[at + 1 :]:
            pair = found.pairs[site, one.what.label, other.what.label]
            shared = min(one.last, other.last) - other.first
            shorter = min(one.last - one.first, other.last - other.first)
            pair.overlapped += shared > max(apart, _APART * shorter)
            pair.before += shared <= 0 and other.first - one.first > apart
    for one, other in zip(unit.steps, unit.steps[1:], strict=False):
        if other.fresh:
            key = (site, one.what.label, other.what.label)
            found.fresh.add(key)
            if other.first_answer:
                found.from_it.add(key)
        if in_a_row(one, other):
            pair = found.pairs[site, one.what.label, other.what.label]
            pair.gaps.append(other.first - one.last)
            pair.shorter.append(min(one.last - one.first, other.last - other.first))
