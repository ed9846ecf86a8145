"""The shop's Prometheus metrics: requests by route and status, their duration, and the process."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def measure(app: Flask) -> None:
    """Count and time the requests of ``app``, and serve the metrics at /metrics."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    total = Counter("shop_requests_total", "Requests", ("method", "route", "status"), registry=registry)
    seconds = Histogram(
        "shop_request_duration_seconds",
        "Time in the application",
        ("method", "route"),
        buckets=_BUCKETS,
        registry=registry,
    )

    def begin() -> None:
        g.began = time.perf_counter()

    def end(response: Any) -> Any:
        # The rule and a known method, never the path: outsiders must not be able to add time series.
        route = request.url_rule.rule if request.url_rule else "(no route)"
        method = request.method if request.method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        total.labels(method, route, str(response.status_code)).inc()
        if "began" in g:
            seconds.labels(method, route).observe(time.perf_counter() - g.began)
        return response

    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    app.before_request(begin)
    app.after_request(end)
    app.add_url_rule("/metrics", view_func=metrics)
