"""Which evidence of a report goes under which title, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import pandas as pd

from perflab.data.tables import Measurements
from perflab.reports import sections
from perflab.results import Result
from perflab.traces.account_result import Account

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINE, BOTTLENECKS, OPTIMISATIONS, RESULTS, METHOD = (
    "Baseline metrics",
    "Bottlenecks found",
    "Optimisations applied",
    "Results",
    "How it was measured",
)
Evidence: TypeAlias = object
"""Measurements, Result, DataFrame, str, Section, matplotlib Axes or Figure (which are not imported for this)."""


@dataclass(frozen=True)
class Section:
    """A section by hand: ``title`` is one of the report's own sections, or a new one before "How it was measured"."""

    title: str
    items: Sequence[Evidence]


@dataclass(frozen=True)
class Lines:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    measurements: Measurements


def placed(evidence: Sequence[Evidence], optimisations: Sequence[str]) -> dict[str, list[Evidence]]:
    """Each item under the title of its section, sections in the order they are written."""
    given: dict[str, list[Evidence]] = {}
    here = ""
    for position, item in enumerate(evidence):
        if isinstance(item, Section):
            given.setdefault(item.title, []).extend(item.items)
        else:
            here = _home(item, here, position)
            given.setdefault(here, []).append(item)
    found = given.get(BOTTLENECKS, [])
    if accounts := [i for i in found if isinstance(i, Account)]:
        # First where the time went, then why: with the picture that follows an account.
        given[BOTTLENECKS] = [*_with_pictures(found, accounts), *_others(found, accounts)]
    measured = measurements_of(evidence)
    given.setdefault(OPTIMISATIONS, []).insert(0, Lines(tuple(optimisations)))
    if measured is not None:
        given[BASELINE] = [measured, *(i for i in given.get(BASELINE, []) if not isinstance(i, Measurements))]
        given.setdefault(METHOD, []).insert(0, Method(measured))
    by_hand = [t for t in given if t not in ("", BASELINE, BOTTLENECKS, OPTIMISATIONS, RESULTS, METHOD)]
    order = ["", BASELINE, BOTTLENECKS, OPTIMISATIONS, RESULTS, *by_hand, METHOD]
    return {title: given.get(title, []) for title in order}


def _with_pictures(items: Sequence[Evidence], accounts: Sequence[Account]) -> list[Evidence]:
    """The accounts, each with the pictures right behind it."""
    chosen: list[Evidence] = []
    follows = False
    for item in items:
        is_account = any(item is a for a in accounts)
        follows = is_account or (follows and figure_of(item) is not None)
        chosen += [item] if follows else []
    return chosen


def _others(items: Sequence[Evidence], accounts: Sequence[Account]) -> list[Evidence]:
    first = _with_pictures(items, accounts)
    return [item for item in items if not any(item is each for each in first)]


def _home(item: Evidence, before: str, position: int) -> str:
    if isinstance(item, Measurements):
        return BASELINE
    if isinstance(item, (pd.DataFrame, Account)):
        return BOTTLENECKS
    if isinstance(item, str):
        return before
    if figure_of(item) is not None:
        return before or RESULTS
    if isinstance(item, Result):
        return RESULTS
    kinds = "Measurements, a result of compare or check, a DataFrame, Axes, a Figure, a str or a Section"
    raise ValueError(f"evidence[{position}] must be {kinds}; got {type(item).__name__}")


def _flat(items: Sequence[Evidence]) -> Iterator[Evidence]:
    for item in items:
        yield from _flat(item.items) if isinstance(item, Section) else [item]


def results_of(items: Sequence[Evidence]) -> list[Result]:
    return [i for i in _flat(items) if isinstance(i, Result) and not isinstance(i, (Measurements, pd.DataFrame))]


def measurements_of(items: Sequence[Evidence]) -> Measurements | None:
    found: list[Measurements] = []
    for item in items:
        if isinstance(item, Measurements) and not any(item is known for known in found):
            found.append(item)
    return sections.together(found) if found else None


def figure_of(item: Evidence) -> Figure | None:
    """The Figure of an Axes or Figure, by duck type: matplotlib need not be loaded for a report without pictures."""
    figure = item.get_figure(root=True) if hasattr(item, "get_figure") else None
    return cast("Figure", figure) if hasattr(figure, "savefig") else None
