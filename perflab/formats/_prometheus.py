"""Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

import math
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from perflab.notes import DATA, Kind

NOT_FINITE = Kind("not-finite", DATA, "{source:raw}: {count:value} left out: NaN or infinite")
EXPRESSION = "(expression)"
"""The name of a query's result, which has no metric name."""
Sample = tuple[str, dict[str, str], float]


def parse(page: str) -> tuple[list[Sample], int]:
    """(name, labels, value) of each finite sample on a page, and the number of other lines with values.

    >>> parse('served_total{path="/a"} 3\\nbroken line here\\nload NaN')
    ([('served_total', {'path': '/a'}, 3.0)], 2)
    """
    try:
        return _finite(page)
    except (ValueError, KeyError, IndexError):
        # One bad line must not cost the rest of the page.
        found: list[Sample] = []
        bad = 0
        for line in page.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            try:
                samples, skipped = _finite(line)
            except (ValueError, KeyError, IndexError):
                samples, skipped = [], 1
            found, bad = found + samples, bad + skipped
        return found, bad


def _finite(text: str) -> tuple[list[Sample], int]:
    samples: list[Any] = [s for family in text_string_to_metric_families(text) for s in family.samples]
    kept = [(str(s.name), dict(s.labels), float(s.value)) for s in samples if math.isfinite(s.value)]
    return kept, len(samples) - len(kept)
