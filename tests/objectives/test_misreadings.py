"""What could be misread in silence: numbers, units, several limits, endpoints, exceptions, lines that belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

import perflab as lab
from perflab.notes import codes
from perflab.objectives.words import number

ALL = "of all requests"
LINES: dict[str, list[str] | None] = {
    # numbers
    "- p95: 1,5 s": [f"p95 {ALL} <= 1.5 s"],
    "- p95 < 0,125 s": [f"p95 {ALL} < 125 ms"],
    "- p95 < 1'500 ms": [f"p95 {ALL} < 1.5 s"],
    "- p95 < 1_500 ms": [f"p95 {ALL} < 1.5 s"],
    "- p95 < 1\u202f500 ms": [f"p95 {ALL} < 1.5 s"],
    "- p95 < 1,500ms": [f"p95 {ALL} < 1.5 s"],
    "- p95 < 1 500 ms": None,
    "- p95 < 1.500 ms": None,
    "- p95 < 1.250 s": [f"p95 {ALL} < 1.25 s"],
    "- Throughput >= 1.000 req/s": None,
    "- Error rate below 0,1 %": [f"error rate {ALL} < 0.1 %"],
    "- Availability: 99,95 %": [f"error rate {ALL} <= 0.05 %"],
    "- RAM ≤ 1,5 GB": ["memory of the target <= 1.5 GB"],
    "- p50 and p95 < 50,200 ms": None,
    # units
    "- p95 latency (seconds): 0.2": [f"p95 {ALL} <= 200 ms"],
    "- latency_p95_ms <= 200": [f"p95 {ALL} <= 200 ms"],
    "- p95 latency in s < 0.2": [f"p95 {ALL} < 200 ms"],
    "- p95: 2 (s)": [f"p95 {ALL} <= 2 s"],
    "- p95 < 200 Sekunden": None,
    "- error rate < 0.5 ‰": None,
    "- error rate < 50 ppm": None,
    "- error rate < 0.5 s": None,
    "- Throughput: 100 MB/s": None,
    "- Throughput: 1M requests per day": [f"throughput {ALL} >= 11.6/s"],
    "- Throughput: 1 million requests per day": None,
    "- p95 latency under a load of 100 users < 200 ms": [f"p95 {ALL} < 200 ms at 100 users"],
    "- p95 with 50 concurrent sessions": None,
    # several limits
    "- p95 latency: 350 ms today, target 200 ms": None,
    "- p95 latency: 350 ms → 200 ms": None,
    "- p95 < 200 ms (currently 350 ms)": [f"p95 {ALL} < 200 ms"],
    "- p95 < 200ms (warning), < 500ms (critical)": None,
    "- p95 & p99 under 200ms & 500ms respectively": None,
    "- p95 and p99 below 200 and 500 ms respectively": None,
    "- p95<200ms/p99<500ms": [f"p95 {ALL} < 200 ms", f"p99 {ALL} < 500 ms"],
    "- p95 < 200 ms at 50 rps and 500 ms at 100 rps": None,
    "- Mean 50 ms, sd < 10 ms": None,
    "- p95 <200 ms in 99 % of all 5-minute windows": None,
    "- p95 latency < 200 ms > 99.9 % of the time": None,
    "- p95 < 200 ms over 5 minutes": [f"p95 {ALL} < 200 ms"],
    "- p95 < 200 ms in every 30 s window": [f"p95 {ALL} < 200 ms"],
    "- 99.9 % of requests under 200 ms": [f"p99.9 {ALL} < 200 ms"],
    "- 99.9% of requests complete successfully within 200ms": None,
    "- p95 < p50 * 4": None,
    "- GET /orders p95 < GET /items p95": None,
    "- p95 < 200 ms slower than baseline": None,
    "- p95 must be less than or equal to 200 ms": [f"p95 {ALL} <= 200 ms"],
    "- throughput is greater than or equal to 50 req/s": [f"throughput {ALL} >= 50/s"],
    "- response size < 10 KB p95": None,
    "- GET /a: 100 ms p95; GET /b: 200 ms p99": ["p95 of GET /a <= 100 ms", "p99 of GET /b <= 200 ms"],
    "- p95: 0.2": None,
    "- p95 was 350 ms in 2025": None,
    "- p95 < 200 ms (09:00-17:00)": [f"p95 {ALL} < 200 ms"],
    "- p95 ＜ 200ms": [f"p95 {ALL} < 200 ms"],
    "- p95 &lt; 200 ms": [f"p95 {ALL} < 200 ms"],
    # loads
    "- p95 < 200 ms with 10k users": [f"p95 {ALL} < 200 ms at 10000 users"],
    "- Handle 1,000 concurrent users with p95 under 200 ms": [f"p95 {ALL} < 200 ms at 1000 users"],
    "- p95 < 200 ms at 100 users, p99 < 400 ms at 500 users": None,
    "- p95 < 200 ms on 2 vCPU and 4 GB RAM": None,
    # endpoints
    "- GET /orders, GET /items: p95 < 200 ms": ["p95 of GET /orders < 200 ms", "p95 of GET /items < 200 ms"],
    "- p95 < 200 ms for GET /orders and GET /items": ["p95 of GET /orders < 200 ms", "p95 of GET /items < 200 ms"],
    "- GET and POST /orders: p95 < 200 ms": ["p95 of GET /orders < 200 ms", "p95 of POST /orders < 200 ms"],
    "- GET/POST /orders: p95 < 200 ms": ["p95 of GET /orders < 200 ms", "p95 of POST /orders < 200 ms"],
    "- p95 < 300 ms for GET /a, < 500 ms for GET /b; error rate < 1 %": None,
    "- p95 < 200 ms except for /reports": None,
    "- p95 < 200 ms (excluding GET /reports)": None,
    "- All endpoints except GET /export: p95 < 200 ms": None,
    "- p95 of checkout < 200 ms": None,
    "- p95 of database queries < 20 ms": None,
    "- p95 GC pause < 10 ms": None,
    "- p95 <200 ms for reads": None,
    "- 95 % of requests from mobile clients within 300 ms": None,
    "- p95 < 200 ms when the cache is cold": None,
    "- NFR-12: p95 < 200 ms": [f"p95 {ALL} < 200 ms"],
    # other things than requirements of these metrics
    "- Rate limit: 100 req/s": [],
    "- Throughput: 500 rps per instance": None,
    "- Page weight < 1.5 MB": None,
    "- TPS: 500": [f"throughput {ALL} >= 500/s"],
    "- No 5xx errors": [f"error rate {ALL} <= 0 %"],
    # other languages
    "- Antwortzeit: 95 % der Anfragen unter 200 ms": None,
    "- Fehlerrate unter 1 %": None,
    "- Durchsatz mindestens 100 Anfragen/s": None,
    "- p95延迟低于200ms": None,
    "- GET /orders: 200 ms": None,
}
"""Lines below "Performance requirements": what each is read as; None: reported as not understood."""


def read(tmp_path: Path, text: str) -> lab.objectives.Objectives:
    path = tmp_path / "INTERFACE.md"
    path.write_text(text, encoding="utf-8")
    return lab.read_objectives(path)


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_right_or_reported(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, f"# Service\n\n## Performance requirements\n\n{line}\n")
    wanted = LINES[line]
    assert (list(map(str, found)), len(found.not_understood)) == (wanted or [], int(wanted is None))


TABLE = "## SLO\n\n| {} |\n|---|---|---|\n"
DOCUMENTS: dict[str, tuple[str, list[str], list[int]]] = {
    "a sentence over two lines": (
        "## SLO\n\nThe 95th percentile of GET /search must stay\nbelow 400 ms.\n", ["p95 of GET /search < 400 ms"], []),
    "an item over two lines": ("## SLO\n\n- GET /a has a p95\n  of less than 200 ms\n", ["p95 of GET /a < 200 ms"], []),
    "a sentence far behind in a paragraph": (
        f"## SLO\n\n{'This is long. ' * 300}The p95 stays below 1 s.\n", [f"p95 {ALL} < 1 s"], []),
    "lines of which one is not understood": (
        "## SLO\n\np95 < 200 ms\nLatency p50 50 ms\n95 % of requests in less than 1 s\n",
        [f"p95 {ALL} < 200 ms", f"p95 {ALL} < 1 s"], [4]),
    "a number below a heading with a statistic": (
        "## Throughput (operations/s)\n\n- search: >= 10\n", [], [3]),
    "numbered items": ("## SLO\n\n3. **Error rate**\n   - Target: < 1 %\n4. **Resource use**\n   - Memory: < 1 GB\n",
                       [f"error rate {ALL} < 1 %", "memory of the target < 1 GB"], []),
    "users below throughput": ("## SLO\n\n### Throughput\n\n| Metric | Target |\n|---|---|\n| Concurrent users | 500 |\n",
                               [], [7]),
    "lines for themselves": ("## SLO\n\np95 < 200 ms\np99 < 500 ms\n", [f"p95 {ALL} < 200 ms", f"p99 {ALL} < 500 ms"], []),
    "the endpoint is in the line above": ("## SLO\n\nFor GET /orders,\np95 < 200 ms.\n", ["p95 of GET /orders < 200 ms"], []),
    "nested items": (
        "## SLO\n\n- GET /a\n  - p95: 100 ms\n- Error rate\n  - < 1 %\n- Checkout\n  - p95: 1 s\n",
        ["p95 of GET /a <= 100 ms", f"error rate {ALL} < 1 %"], [8]),
    "underlined headings": ("SLO\n===\n\nGET /a\n------\n\n- p95: 100 ms\n", ["p95 of GET /a <= 100 ms"], []),
    "the statistic is in the heading": (
        "## Latency (p95)\n\n- GET /a: 100 ms\n\n| Endpoint | Target |\n|---|---|\n| GET /b | < 50 ms |\n",
        ["p95 of GET /a <= 100 ms", "p95 of GET /b < 50 ms"], []),
    "a heading that is no endpoint": ("## SLO\n\n### Checkout\n\n- p95 < 200 ms\n", [], [5]),
    "availability in a table": (
        TABLE.format("Operation | p95 | Availability") + "| Login | 200 ms | 99.9% |\n",
        ["p95 of Login <= 200 ms", "error rate of Login <= 0.1 %"], []),
    "what is, and what must be": (TABLE.format("Metric | Current | Target") + "| p95 | 350 ms | 200 ms |\n",
                                  [f"p95 {ALL} <= 200 ms"], []),
    "two limits": (TABLE.format("Metric | Target | Critical") + "| p95 | 200 ms | 500 ms |\n", [], [5]),
    "two columns of one metric": (TABLE.format("Endpoint | p95 target | p95 limit") + "| GET /a | 1 s | 2 s |\n", [], [5]),
    "a bar in a name": (TABLE.format("Endpoint | p95 | p99") + "| GET /a|b | 200 ms | 500 ms |\n", [], [5]),
    "an empty first cell": (TABLE.format("Endpoint | p95 | p99") + "|| 200 ms | 500 ms |\n",
                            [f"p95 {ALL} <= 200 ms", f"p99 {ALL} <= 500 ms"], []),
    "percentiles in a column": ("## SLO\n\n| Percentile | Latency |\n|---|---|\n| 95th | 200 ms |\n| 99 | 1 s |\n",
                                [f"p95 {ALL} <= 200 ms", f"p99 {ALL} <= 1 s"], []),
    "headings in two rows": (
        "## SLO\n\n| Endpoint | Latency (ms) | |\n| | p50 | p95 |\n|---|---|---|\n| GET /a | 50 | 200 |\n",
        ["p50 of GET /a <= 50 ms", "p95 of GET /a <= 200 ms"], []),
    "a column without a statistic": (TABLE.format("Endpoint | Latency | Error rate") + "| GET /a | 50 ms | 1 % |\n",
                                     ["error rate of GET /a <= 1 %"], [5]),
    "rows that are no endpoints": (TABLE.format(" | p95 | p99") + "| Target | 1 s | 2 s |\n| Stretch goal | 10 ms | 1 s |\n",
                                   [f"p95 {ALL} <= 1 s", f"p99 {ALL} <= 2 s"], [6]),
    "bars without a table": ("## SLO\n\np95 | p99 | < 200 ms\n", [f"p95 {ALL} < 200 ms", f"p99 {ALL} < 200 ms"], []),
    "a table in HTML": ("## SLO\n\n<table>\n<tr><td>GET /a</td><td>200 ms</td></tr>\n</table>\n", [], [3]),
    "results are no requirements": (
        "## Results\n\n| Endpoint | p95 before | p95 after |\n|---|---|---|\n| GET /a | 2 s | 1 s |\n", [], []),
    "an interface": (
        "## API\n\n- Rate limit: 100 requests/minute\n- Timeout: 30 s\n- Max page size: 100\n- Max request size: 10 MB\n"
        "- The cache TTL is 60 s\n- Average order value: 50\n", [], []),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_read_right_or_reported(tmp_path: Path, name: str) -> None:
    text, wanted, lost = DOCUMENTS[name]
    found = read(tmp_path, text)
    assert list(map(str, found)) == wanted
    assert list(found.not_understood["where"]) == [f"INTERFACE.md:{line}" for line in lost]


def test_pages_are_found_in_lines_that_follow_one_another(tmp_path: Path) -> None:
    found = read(tmp_path, "Metrics endpoint: /metrics\nHealth check: /health\nResponse time: <100ms p95\n")
    assert dict(found.endpoints) == {"metrics": "/metrics", "health": "/health"}
    assert list(map(str, found)) == [f"p95 {ALL} < 100 ms"]


def test_an_objective_in_a_code_block_is_named(tmp_path: Path) -> None:
    found = read(tmp_path, "## SLO\n\n- p95 < 1 s\n\n```yaml\np99: 2s\n```\n")
    assert len(found) == 1 and "in-code" in codes(found.warnings)


@pytest.mark.parametrize("text", ["10,20,30", "1.2.3", "1 500"])
def test_a_number_with_two_readings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="two numbers"):
        number(text, "ms")


def test_a_plan_takes_no_document_of_which_a_line_is_unread(tmp_path: Path) -> None:
    path = tmp_path / "GOALS.md"
    path.write_text("- p95 < 200 ms\n- p99 under 99 parsecs\n")
    goals = lab.read_objectives(path)
    assert len(goals.not_understood) == 1
    with pytest.raises(ValueError, match="1 line not understood"):
        lab.LoadPlan.from_urls("/", stages=lab.Stage("5s", users=1), objectives=goals)
    assert len(lab.LoadPlan.from_urls("/", stages=lab.Stage("5s", users=1), objectives=list(goals)).goals) == 1
