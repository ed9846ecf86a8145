"""Requirements as people write them, labelled by hand: what each line asks for, and which lines must be reported as unclear."""

from __future__ import annotations

from pathlib import Path

import pytest

import perflab as lab

A = "Aggregated"
PHRASINGS: list[tuple[str, list[tuple[str, str, float, str]] | None]] = [
    ("- Response time: <100ms p95", [("p95", "<", 100, A)]),
    ("- Response time: < 100 ms (p95)", [("p95", "<", 100, A)]),
    ("- Response Time: p95 < 100ms, p99 < 250ms", [("p95", "<", 100, A), ("p99", "<", 250, A)]),
    ("- Latency (p95): 200ms", [("p95", "<=", 200, A)]),
    ("- P95 latency must be under 200 milliseconds.", [("p95", "<", 200, A)]),
    ("- 95th percentile response time <= 0.5s", [("p95", "<=", 500, A)]),
    ("- 95% of requests complete in under 300 ms", [("p95", "<", 300, A)]),
    ("- 99.9% of requests to `GET /orders` within 1 s", [("p99.9", "<=", 1000, "GET /orders")]),
    ("- p50/p95/p99: 50/200/500 ms", [("p50", "<=", 50, A), ("p95", "<=", 200, A), ("p99", "<=", 500, A)]),
    ("- p95/p99 < 200/500ms", [("p95", "<", 200, A), ("p99", "<", 500, A)]),
    ("- `GET /orders`: p95 < 200 ms", [("p95", "<", 200, "GET /orders")]),
    (
        "- GET /orders — p95 ≤ 200 ms, p99 ≤ 400 ms",
        [("p95", "<=", 200, "GET /orders"), ("p99", "<=", 400, "GET /orders")],
    ),
    ("- GET /orders: 200ms (p95)", [("p95", "<=", 200, "GET /orders")]),
    ("- Median response time of POST /checkout should not exceed 250 ms", [("p50", "<=", 250, "POST /checkout")]),
    ("- Average response time: 120 ms or less", [("mean", "<=", 120, A)]),
    ("- mean latency below 80ms at 100 users", [("mean", "<", 80, A)]),
    ("- Maximum response time: 2s", [("max", "<=", 2000, A)]),
    ("- No request takes longer than 2 s", [("max", "<=", 2000, A)]),
    ("- Throughput: > 500 req/s", [("throughput_per_s", ">", 500, A)]),
    ("- Throughput: 1000 RPS", [("throughput_per_s", ">=", 1000, A)]),
    ("- The service must sustain at least 1,000 requests per second", [("throughput_per_s", ">=", 1000, A)]),
    ("- Handles 10k requests/minute", [("throughput_per_s", ">=", 166.6667, A)]),
    ("- 500+ requests/second", [("throughput_per_s", ">=", 500, A)]),
    ("- Error rate: < 0.1%", [("error_fraction", "<", 0.001, A)]),
    ("- Error rate: <1% under load", [("error_fraction", "<", 0.01, A)]),
    ("- Availability: 99.9%", [("error_fraction", "<=", 0.001, A)]),
    ("- Success rate ≥ 99.5 %", [("error_fraction", "<=", 0.005, A)]),
    ("- Fewer than 1 in 1000 requests may fail", [("error_fraction", "<", 0.001, A)]),
    ("- less than 0.5% of requests fail", [("error_fraction", "<", 0.005, A)]),
    ("- zero failed requests", [("error_fraction", "<=", 0, A)]),
    ("- CPU: < 70%", [("cpu_cores", "<", 0.7, A)]),
    ("- CPU usage stays under 80 % of one core", [("cpu_cores", "<", 0.8, A)]),
    ("- Memory: < 512MB", [("rss_bytes", "<", 512e6, A)]),
    ("- Peak memory (RSS) below 1 GiB", [("rss_bytes", "<", 2**30, A)]),
    ("- Disk I/O: < 10 MB/s", [("io_bytes_per_s", "<", 1e7, A)]),
    ("- Response size of GET /orders < 50 KB", [("size_bytes", "<", 50e3, "GET /orders")]),
    ("- LCP: <2.5s", [("lcp", "<", 2500, A)]),
    ("- CLS < 0.1", [("cls", "<", 0.1, A)]),
    ("- INP <= 200ms", [("inp", "<=", 200, A)]),
    ("- LCP of / < 2.5 s", [("lcp", "<", 2500, "/")]),
    ("- LCP of /offers under 2.5 s, CLS at most 0.1", [("lcp", "<", 2500, "/offers"), ("cls", "<=", 0.1, "/offers")]),
    ("- LCP < 2.5 s and INP < 200 ms", [("lcp", "<", 2500, A), ("inp", "<", 200, A)]),
    ("- Largest Contentful Paint: 2.5s", [("lcp", "<=", 2500, A)]),
    ("- Time to first byte < 800 ms", [("ttfb", "<", 800, A)]),
    ("- FID < 100 ms", None),
    ("- CLS < 100 ms", None),
    ("- p75 of LCP < 2.5 s", None),
    ("- Lighthouse score > 90", None),
    ("- Response time: <100ms", None),
    ("- Should be fast", []),
    ("- Metrics endpoint: /metrics", []),
    ("- Health check: /health", []),
    (
        "- GET /orders p95: 150ms; POST /orders p95: 300ms",
        [("p95", "<=", 150, "GET /orders"), ("p95", "<=", 300, "POST /orders")],
    ),
    (
        "- p95 <200ms for GET /orders and <300ms for POST /orders",
        [("p95", "<", 200, "GET /orders"), ("p95", "<", 300, "POST /orders")],
    ),
    (
        "The 95th percentile of GET /search must stay below 400 ms, and the 99th below 900 ms.",
        [("p95", "<", 400, "GET /search"), ("p99", "<", 900, "GET /search")],
    ),
    ("- Reads p95 < 100 ms, writes p95 < 300 ms", None),
    ("- p(95)<200", [("p95", "<", 200, A)]),
    ("- http_req_duration: p(95)<200", [("p95", "<", 200, A)]),
    ("- p95: sub-200ms", [("p95", "<", 200, A)]),
    ("- sub-100ms p95 latency", [("p95", "<", 100, A)]),
    ("- p95 = 200ms ± 20ms", None),
    ("- p95 between 100 and 200 ms", None),
    ("- p95 latency budget of 250ms", [("p95", "<=", 250, A)]),
    ("- TP99 < 50ms", [("p99", "<", 50, A)]),
    ("- Latency P99.9 ≤ 1.5 seconds", [("p99.9", "<=", 1500, A)]),
    ("- P95 Latency | < 200 ms", [("p95", "<", 200, A)]),
    ("- Temps de réponse p95 : < 200 ms", [("p95", "<", 200, A)]),
    ("- p95 improves by at least 20 %", None),
    ("- ~~p95 < 100 ms~~ p95 < 150 ms", [("p95", "<", 150, A)]),
    ("- Startup time: <2s", None),
    ("- Database queries per request: < 10", None),
    ("- [ ] p95 < 200ms", [("p95", "<", 200, A)]),
    ("- [x] **p95** of `/orders/{id}` `< 200ms`", [("p95", "<", 200, "/orders/{id}")]),
    ("> p95 < 200ms", [("p95", "<", 200, A)]),
    ("- p95 should be 200 ms or better", [("p95", "<=", 200, A)]),
    ("- p95 must not be slower than 200 ms", [("p95", "<=", 200, A)]),
    ("- No more than 5% of requests slower than 300ms", [("p95", "<=", 300, A)]),
    ("- 1% error budget", [("error_fraction", "<=", 0.01, A)]),
    ("- Concurrent users: 100", []),
    ("- Search API: < 500ms (95th percentile)", None),
    ("- ✅ p95 response time < 2 seconds", [("p95", "<", 2000, A)]),
    ("- Health check success > 95%", None),
    ("4. Verify p95 response time <100ms", [("p95", "<", 100, A)]),
    ("- The customer search API shall return 95% of valid search requests within 500 milliseconds", None),
    ("- p95 latency ≤ 300 ms @ 200 rps", [("p95", "<=", 300, A)]),
    ("- p95 under 200ms, up from 300ms", None),
    ("- p95 at most twice the baseline", None),
    ("- 99.9% of requests succeed", [("error_fraction", "<=", 0.001, A)]),
    ("- No more than 0.1% of requests return 5xx", [("error_fraction", "<=", 0.001, A)]),
    ("- Response time: 95% < 200ms, 99% < 500ms", [("p95", "<", 200, A), ("p99", "<", 500, A)]),
    (
        "- p95: 0.2s (GET /orders), 0.5s (POST /orders)",
        [("p95", "<=", 200, "GET /orders"), ("p95", "<=", 500, "POST /orders")],
    ),
    ("- alert if p95 > 500 ms", None),
]
"""A line below "Performance requirements"; None: not understood, and reported; []: no requirement."""


@pytest.mark.parametrize(("line", "wanted"), PHRASINGS, ids=[line for line, _ in PHRASINGS])
def test_a_line_is_read_or_reported(
    tmp_path: Path, line: str, wanted: list[tuple[str, str, float, str]] | None
) -> None:
    path = tmp_path / "INTERFACE.md"
    path.write_text(f"# Service\n\n## Performance requirements\n\n{line}\n", encoding="utf-8")
    found = lab.read_objectives(path)
    assert len(found.not_understood) == (wanted is None)
    if wanted is None:
        return
    assert [(o.metric, o.operator, round(o.bound, 4), o.endpoint) for o in found] == [
        (metric, operator, round(limit, 4), endpoint) for metric, operator, limit, endpoint in wanted
    ]


@pytest.mark.parametrize(
    ("line", "endpoints"),
    [
        ("- Metrics endpoint: /metrics", {"metrics": "/metrics"}),
        ("- Health check: /health", {"health": "/health"}),
        ("- **Health check:** `GET /healthz`", {"health": "/healthz"}),
        ("* Prometheus metrics at http://localhost:8000/internal/metrics", {"metrics": "/internal/metrics"}),
        ("- Metrics are important", {}),
        ("- GET /metrics p95 < 100 ms", {}),
    ],
)
def test_where_a_service_shows_its_metrics_and_its_health(tmp_path: Path, line: str, endpoints: dict[str, str]) -> None:
    path = tmp_path / "INTERFACE.md"
    path.write_text(f"## Performance\n\n{line}\n", encoding="utf-8")
    assert dict(lab.read_objectives(path).endpoints) == endpoints
