"""Whether the pages that a document names (metrics, health) answered while there was load."""

from __future__ import annotations

from collections.abc import Iterable

from perflab.data.tables import Measurements
from perflab.notes import Note
from perflab.objectives import cautions
from perflab.objectives.objective import Objectives

_FAILED, _HEALTH = "metrics-pages-failed", "probe_success"
"""What a run says of a metrics page that could not be read, and of its health page."""


def pages_answered(documents: Iterable[Objectives], measured: Measurements) -> list[Note]:
    """A note for each page that a document names."""
    pages = {(what, path): None for document in documents for what, path in document.endpoints.items()}
    return [_answered(what, path, measured) for what, path in pages]


def _answered(what: str, path: str, measured: Measurements) -> Note:
    table = measured.metrics if "metrics" in measured.tables else None
    if table is None:
        return cautions.PAGE_NOT_ASKED(page=path, what=what)
    health = table["name"] == _HEALTH
    if what == "health":
        own = table.loc[health & (table["labels"].map(lambda labels: (labels or {}).get("page")) == path), "value"]
        asked, failed = len(own), int((own == 0).sum())
    else:
        failures = [note.facts for note in measured.warnings if note.code == _FAILED]
        failed = sum(int(facts.get("failed", 0)) for facts in failures)
        asked = failed + table.loc[~health].groupby("run")["time"].nunique().sum()
    if not asked:
        return cautions.PAGE_NOT_ASKED(page=path, what=what)
    kind = cautions.PAGE_FAILED if failed else cautions.PAGE_ANSWERED
    return kind(page=path, what=what, asked=int(asked), failed=failed)
