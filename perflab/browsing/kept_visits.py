"""Visits as they are kept: without secrets, one line each as soon as they end, and as the tables of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab import provenance
from perflab.browsing import page_reasons
from perflab.browsing.visiting import Visit
from perflab.data import store
from perflab.errors import StoreError
from perflab.metrics import Metric
from perflab.notes import Note
from perflab.web.stripped import shown_url

LINES = "visits.jsonl"
"""The file of an unfinished run: each visit that ended, with the browser's version."""
_COLUMNS = ("page", "visit", "metric", "value", "element")


def without_secrets(visit: Visit, label: str, secrets: Sequence[str]) -> Visit:
    """The visit under the label of its page; what was typed or sent is hidden wherever the page repeats it."""

    def given(text: str) -> str:
        # Addresses and headers are stripped already, and what looks like a secret in Cache-Control is none.
        return reduce(lambda left, value: left.replace(value, "…"), secrets, text)

    def hide(held: Any, how: Callable[[str], str] = lambda text: provenance.hidden(text, secrets)) -> Any:
        if isinstance(held, str):
            return how(held)
        if isinstance(held, dict):
            return {hide(name, how): hide(value, how) for name, value in held.items()}
        return [hide(each, how) for each in held] if isinstance(held, list) else held

    shown = {row["url"]: shown_url(hide(row["url"])) for row in visit.exchanges}
    return replace(
        visit,
        page=label,
        metrics=[(name, value, hide(element)) for name, value, element in visit.metrics],
        exchanges=[{**hide(row, given), "url": shown[row["url"]]} for row in visit.exchanges],
        problems=[(kind, hide(facts)) for kind, facts in visit.problems],
    )


def add(place: Path, facts: object) -> None:
    """Append a line; it outlives this process."""
    try:
        with place.open("ab") as file:
            file.write(orjson.dumps(facts, default=str, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    except OSError as problem:
        raise StoreError(f"{place}: cannot be written: {problem.strerror}") from problem


def line_of(visit: Visit) -> dict[str, Any]:
    """A visit as it is kept until the run ends."""
    return {**vars(visit), "problems": [(kind.code, facts) for kind, facts in visit.problems]}


def lines(place: Path) -> Iterator[dict[str, Any]]:
    """The lines of the file, as far as they were written."""
    for line in place.read_bytes().splitlines():
        with suppress(orjson.JSONDecodeError):
            yield orjson.loads(line)


def visit_of(line: dict[str, Any]) -> Visit:
    """The visit of a line."""
    return Visit(
        line["page"],
        line["number"],
        datetime.fromisoformat(line["start"]),
        [(name, value, element) for name, value, element in line["metrics"]],
        [{**row, "start": pd.Timestamp(row["start"])} for row in line["exchanges"]],
        [(page_reasons.KINDS[code], facts) for code, facts in line["problems"]],
    )


def judged(visits: Sequence[Visit], planned: int) -> tuple[list[Note], list[Note]]:
    """Why the run is not valid, and what to be careful about; visits with one problem are counted together."""
    found: dict[tuple[str, str], tuple[Callable[..., Note], dict[str, Any], set[int]]] = {}
    for each in visits:
        for kind, facts in each.problems:
            key = (kind.code, each.page)
            found.setdefault(key, (kind, {"page": each.page, "of": planned} | facts, set()))
            found[key][2].add(each.number)
    notes = [kind(**facts, visits=len(numbers)) for kind, facts, numbers in found.values()]
    return (
        [note for note in notes if note.code not in page_reasons.WARNINGS],
        [note for note in notes if note.code in page_reasons.WARNINGS],
    )


def write_tables(draft: store.Draft, visits: Sequence[Visit]) -> None:
    """The tables of the run; visits that failed have exchanges only."""
    rows = [(each.page, each.number, *metric) for each in visits if not each.failed for metric in each.metrics]
    vitals = pd.DataFrame(rows, columns=list(_COLUMNS))
    metrics = [Metric.of(name) for name in vitals["metric"]]
    rated = [metric.rating(value) for metric, value in zip(metrics, vitals["value"], strict=True)]
    draft.write("vitals", vitals.assign(unit=[metric.unit for metric in metrics], rating=rated))
    exchanges = [row | {"page": each.page, "visit": each.number} for each in visits for row in each.exchanges]
    if exchanges:
        draft.write("exchanges", pd.DataFrame(exchanges))
