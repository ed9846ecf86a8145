"""Real load with a known truth: a mix that moves by design, and three fixes of the shop against each other.

    python bench/real_conditions.py mix     twelve runs: one endpoint ten times faster, and so asked more often (3 minutes)
    python bench/real_conditions.py arms    four arms in six rounds: which fix gave what (7 minutes)

Each writes its part of bench/real_conditions.md, and exits with 1 where a verdict is not the truth.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import perflab as lab
from perflab.demo.investigation import shop
from perflab.loadtest.rounds import run_arms
from perflab.stats.mix import AS_OFFERED
from perflab.stats.several_arms import compare_arms

TABLE = Path(__file__).with_suffix(".md")
SERVER = """\
import asyncio, os, sys
REPORT = float(os.environ["REPORT_S"])
async def handle(reader, writer):
    try:
        while True:
            path = (await reader.readuntil(b"\\r\\n\\r\\n")).split(b" ", 2)[1]
            await asyncio.sleep(REPORT if path == b"/report" else 0.005)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
async def main():
    async with await asyncio.start_server(handle, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""
VISITORS = """\
from locust import FastHttpUser, constant, task
class Visitor(FastHttpUser):
    weight, wait_time = 10, constant(0.2)
    @task
    def a(self): self.client.get("/a")
class Analyst(FastHttpUser):
    weight, wait_time = 1, constant(0)
    @task
    def report(self): self.client.get("/report")
"""
SHOPPERS = """\
import random
from locust import FastHttpUser, constant, task
class Shopper(FastHttpUser):
    wait_time = constant(0.4)
    @task
    def orders(self): self.client.get(f"/orders?size=20&before={random.randint(100, 15000)}", name="/orders")
    @task
    def offer(self): self.client.get(f"/products/{random.randint(1, 1200)}/offer", name="/products/[id]/offer")
    @task
    def parcel(self): self.client.get(f"/parcels/PX{700000000 + random.randint(1, 120000)}EU", name="/parcels/[tracking]")
"""
FIXES = {"eager": "GET /orders", "index": "GET /parcels/[tracking]", "parallel": "GET /products/[id]/offer"}
"""Each fix, and the only one of the three endpoints that it is about."""
Rows = list[tuple[str, str, str, str]]


def reports(folder: Path, arm: str, report_s: float) -> lab.Target:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "app.py").write_text(SERVER)
    command = [sys.executable, str(folder / "app.py"), str(port)]
    return lab.Target(
        arm, host=f"http://127.0.0.1:{port}", command=command, env={"REPORT_S": str(report_s)}, ready="/a"
    )


def mix(folder: Path) -> Rows:
    """One endpoint is ten times faster, its users ask it more often, and the pooled p95 moves the wrong way; and back."""
    (folder / "locustfile.py").write_text(VISITORS)
    plan = lab.LoadPlan(folder / "locustfile.py", stages=[lab.Stage("9s", users=22)])
    arms = reports(folder, "report in 600 ms", 0.6), reports(folder, "report in 60 ms", 0.06)
    slow, quick = lab.run_pairs(plan, *arms, pairs=6, seed=3, store=folder / "runs", progress=False)
    rows: Rows = []
    for sides, truth in (((slow, quick), "improved"), ((quick, slow), "regressed")):
        change = lab.compare(*sides)
        row, offered = change.find(), change.find(AS_OFFERED)
        measured = f"{row.metric.format_change(row.change)}; as offered "
        measured += f"{offered.metric.format_change(offered.change)} ({offered.verdict})"
        rows.append(
            (f"{change.arms[0]} against {change.arms[1]}, p95 of all requests", truth, change.verdict, measured)
        )
    return rows


def arms(folder: Path) -> Rows:
    """Each fix is about an endpoint of its own: there it is to rank first. What it does to others is not known by
    construction (it frees the server's CPU for them), so nothing is asked of them."""
    (folder / "locustfile.py").write_text(SHOPPERS)
    plan = lab.LoadPlan(folder / "locustfile.py", stages=[lab.Stage("14s", users=8)])
    targets = [shop("as it is", restart=False), *(replace(shop(fix, fix), restart=False) for fix in FIXES)]
    runs = run_arms(plan, targets, rounds=6, metric="mean", seed=5, store=folder / "runs", progress=False)
    rows: Rows = []
    for fix, endpoint in FIXES.items():
        found = compare_arms(runs, metric="mean", endpoint=endpoint)
        row = found.table.set_index(["arm", "against"]).loc[(fix, "as it is")]
        truth = f"{fix} first, improved against the shop as it is"
        verdict = f"{found.ranking[0]} first, {row['verdict']} against the shop as it is"
        rows.append((f"three fixes, mean of {endpoint}", truth, verdict, f"{row['change']:+.1%}; {found.sentence}"))
    return rows


def main() -> int:
    part = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="perflab-real-") as name:
        rows = {"mix": mix, "arms": arms}[part](Path(name))
    lines = [f"| {' | '.join(row)} | {'yes' if row[1] == row[2] else 'NO'} |" for row in rows]
    kept = TABLE.read_text().split("<!-- ") if TABLE.exists() else []
    sections = {section.split(" -->")[0]: section.split(" -->\n", 1)[1].strip() for section in kept[1:]}
    made = f"`python bench/real_conditions.py {part}` on {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}"
    head = "| experiment | truth | verdict | measured | right |\n|---|---|---|---|---|"
    sections[part] = "\n".join([made, "", head, *lines])
    title = "# Verdicts on real load with a known truth\n"
    TABLE.write_text(title + "".join(f"\n<!-- {key} -->\n{sections[key]}\n" for key in sorted(sections, reverse=True)))
    print(sections[part])
    return int(any(row[1] != row[2] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
