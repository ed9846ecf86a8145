"""The request recorder beside an independent tracer, OpenTelemetry's instrumentation of Flask and sqlite3, on the shop.

    pip install opentelemetry-instrumentation-flask opentelemetry-instrumentation-sqlite3
    python bench/account_tracer.py        writes datasets/shop_accounts/tracer.csv (about 20 s)

Each watches every request alone, in turn in one process: inside one another each would measure the other's own work. The
shop calls its services by ``http.client``, for which OpenTelemetry has no instrumentation: a span is put around its own
function there. A component of OpenTelemetry's is the union of its spans; setting their attributes is part of them.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perflab.formats import request_recorder

REQUESTS = 40
PAGES = {
    "/orders?size=30&before={}": 15_000, "/products/{}": 1_200, "/products/{}/offer": 1_200, "/orders/{}": 15_000,
    "/products?after={}": 1_000, "/bestsellers?{}": 9,
}  # fmt: skip
PLACE = Path(__file__).parent.parent / "datasets" / "shop_accounts"


def union(spans: list[tuple[int, int]]) -> float:
    """Milliseconds that at least one of the spans covers."""
    total, end = 0, 0
    for first, last in sorted(spans):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total / 1e6


def main() -> None:
    from perflab.demo.shop import data, downstream
    from perflab.demo.shop.app import create_app, open_database

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    tracer, ask = trace.get_tracer("shop"), downstream.ask

    def traced(*given: object) -> object:
        if not is_instrumentation_enabled():
            return ask(*given)  # type: ignore[arg-type]
        with tracer.start_as_current_span("ask", kind=trace.SpanKind.CLIENT):
            return ask(*given)  # type: ignore[arg-type]

    downstream.ask = traced  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as name:
        folder, services = Path(name), downstream.Started()
        os.environ["PERFLAB_REQUEST_LOG"] = str(folder / "requests.jsonl")
        data.copy_to(folder / "shop.sqlite", 7)
        SQLite3Instrumentor().instrument(skip_dep_check=True)
        engine = open_database(folder / "shop.sqlite", index=False, connections=4)
        ours = create_app(engine, frozenset(), services.port).test_client()
        del os.environ["PERFLAB_REQUEST_LOG"]
        app = create_app(engine, frozenset(), services.port)
        FlaskInstrumentor().instrument_app(app)
        theirs, chance = app.test_client(), random.Random(1)
        rows = []
        for page, most in PAGES.items():
            for number in range(REQUESTS):
                path, request = page.format(chance.randint(100 if most > 9_999 else 1, most)), f"q-{len(rows)}"
                # In turn, since the second of two requests for one page finds the caches warm.
                for mine in (number % 2 == 0, number % 2 == 1):
                    if mine:
                        with suppress_instrumentation():
                            ours.get(path, headers={"X-Request-ID": request}).get_data()
                    else:
                        exporter.clear()
                        theirs.get(path).get_data()
                        spans = exporter.get_finished_spans()
                (root,) = [s for s in spans if s.kind is trace.SpanKind.SERVER]
                own = [s for s in spans if s.kind is trace.SpanKind.CLIENT]
                database = [(s.start_time, s.end_time) for s in own if s.name != "ask"]
                calls = [(s.start_time, s.end_time) for s in own if s.name == "ask"]
                rows.append({"request": request, "page": page.partition("?")[0], "number": number, "database": union(database),
                             "downstream": union(calls), "total": (root.end_time - root.start_time) / 1e6})  # fmt: skip
        time.sleep(0.5)
        found = request_recorder.read(folder / "requests.jsonl")["components"]
        services.close()
    wide = found.pivot_table(index="request", columns="component", values="duration_ms", aggfunc="sum").fillna(0.0)
    wide = wide.assign(total=wide.sum(axis=1)).reindex([r["request"] for r in rows])
    other = pd.DataFrame(rows).set_index("request")
    table = []
    for page, own in other[other["number"] >= 5].groupby("page", sort=False):
        for component in ("database", "downstream"):
            first, second = wide.loc[own.index, component].median(), own[component].median()
            table.append({"page": page, "component": component, "requests": len(own), "perflab_ms": round(first, 3),
                          "opentelemetry_ms": round(second, 3), "difference_ms": round(first - second, 3)})  # fmt: skip
    PLACE.mkdir(exist_ok=True)
    frame = pd.DataFrame(table)
    frame.to_csv(PLACE / "tracer.csv", index=False)
    sys.stdout.write(frame.to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
