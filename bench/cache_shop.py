"""Does `what_if_cache` predict what a real Redis in front of the shop gives? Three TTLs times two skews.

    python bench/cache_shop.py run --ttl 5 --skew 1.0     records the shop, then runs it four times with Redis (90 s)
    python bench/cache_shop.py table                      writes bench/cache_shop.csv from all runs so far

Arrivals (30/s, open model) ask for offers of 1,200 products with Zipf's popularity. One run without Redis is recorded, requests
with their addresses, and short ones measure what a hit takes: the same product again and again. From these, hit ratio, mean,
p50 and p95 are predicted; four runs of the same arrivals with Redis measure them. What a hit takes is measured before the
first, between them and after the last, because the speed of a machine drifts by more than the 5 % that are judged here.
Needs redis-server.
Goals: the hit ratio within 2 points; mean within 8 %, p50 within 5 %, or within the 95 % interval of the four runs. (Where half
of the requests are hits, the median jumps between a hit and a miss.)
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import perflab as lab
from perflab.loadtest.cache_probe import started_redis
from perflab.metrics import Metric
from perflab.stats.intervals import over_runs

STORE = Path("runs") / "cache_shop"
PLACE = Path(__file__).with_suffix(".csv")
ENDPOINT = "GET /products/[id]/offer"
RUNS, SECONDS, RATE = 4, 14, 30
METRICS = ("mean", "p50", "p95")
GOALS = {"mean": 0.08, "p50": 0.05}

USERS_FILE = Path(lab.__file__).parent / "demo" / "popular_offers.py"
CHOSEN = "SKEW, PRODUCTS, WAIT_S = 1.0, 1_200, 0.1"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def target(arm: str, **options: object) -> lab.Target:
    port = free_port()
    command = [sys.executable, "-m", "perflab.demo.shop", "--port", str(port)]
    return lab.Target(arm, command=command, host=f"http://127.0.0.1:{port}", ready="/health", **options)


def plan(name: str, *, skew: float = 1.0, products: int = 1200, seconds: int = SECONDS, seed: int) -> lab.LoadPlan:  # fmt: skip
    STORE.mkdir(parents=True, exist_ok=True)
    locustfile = STORE / f"{name}.py"
    text = USERS_FILE.read_text()
    assert CHOSEN in text
    locustfile.write_text(text.replace(CHOSEN, f"SKEW, PRODUCTS, WAIT_S = {skew}, {products}, 0.1"))
    return lab.LoadPlan(locustfile, stages=lab.Stage(f"{seconds}s", rate=RATE), seed=seed, warmup="0%")


def go(load: lab.LoadPlan, where: lab.Target) -> lab.Measurements:
    return lab.run(load, where, store=STORE, progress=False)


def run(ttl: float, skew: float) -> None:
    """One recording, the cost of a hit, and four runs with Redis."""
    name = f"ttl{ttl:g}-skew{skew:g}"
    seed = int(100 * ttl + 10 * skew)
    go(plan(name, skew=skew, seed=seed), target(f"{name} recorded", record_requests=True))
    with started_redis() as client:
        url = client.url
        env = {"SHOP_REDIS": url, "SHOP_REDIS_TTL": str(ttl)}
        measure_hits(name, env)
        for number in range(1, RUNS + 1):
            client.execute("FLUSHALL")
            before = client.info("stats")
            go(plan(name, skew=skew, seed=seed), target(f"{name} redis", env=env))
            after = client.info("stats")
            hits, misses = (int(after[k]) - int(before[k]) for k in ("keyspace_hits", "keyspace_misses"))
            with (STORE / "hits.csv").open("a") as file:
                file.write(f"{name},{number},{hits},{misses}\n")
            print(f"{name} run {number}: {hits / (hits + misses):.3f}", flush=True)
            if number % 2 == 0:
                measure_hits(name, env)


def measure_hits(name: str, env: dict[str, str]) -> None:
    go(plan("hits", products=1, seconds=4, seed=1), target(f"{name} hits", env={**env, "SHOP_REDIS_TTL": "60"}))


def of_case(name: str, runs: lab.Measurements, counted: pd.DataFrame) -> list[dict[str, object]]:
    ttl = float(name.removeprefix("ttl").split("-")[0])
    recorded, hits, real = (runs.where(arm=f"{name} {kind}") for kind in ("recorded", "hits", "redis"))
    warm = [of_run["latency_ms"].to_numpy()[20:] for _, of_run in hits.requests.groupby("run")]
    hit_ms = np.sort(np.concatenate(warm))
    forecast = lab.what_if_cache(recorded, keys="url", ttl=f"{ttl}s", hit_ms=hit_ms[: int(len(hit_ms) * 0.99)].tolist())
    row = forecast.find(ENDPOINT)
    own = counted[counted["name"] == name].tail(RUNS)
    measured = (own["hits"] / (own["hits"] + own["misses"])).to_numpy()
    rows = [_judged(name, "hit ratio", float(row["hit_fraction"]), measured, math_points=True)]
    for metric in map(Metric.of, METRICS):
        values = real.requests.groupby("run")["latency_ms"].agg(
            lambda v, m=metric: m.reduce(v.to_numpy(dtype="float64"))
        )
        rows.append(_judged(name, metric.name, float(row[f"{metric.name}_after_ms"]), values.to_numpy()[-RUNS:]))
    rows[-1]["verdict"] = row["p95_verdict"]
    return rows


def _judged(
    name: str, what: str, predicted: float, measured: np.ndarray, math_points: bool = False
) -> dict[str, object]:
    middle, low, high = over_runs(measured)
    off = predicted - middle if math_points else predicted / middle - 1
    goal = 0.02 if math_points else GOALS.get(what)
    right = None if goal is None else bool(abs(off) <= goal or low <= predicted <= high)
    within = None if goal is None else bool(abs(off) <= goal)
    return {
        "case": name, "what": what, "predicted": predicted, "measured": middle, "measured_low": low, "measured_high": high,
        "off": off, "within_goal": within, "right": right, "verdict": "",
    }  # fmt: skip


def table() -> None:
    runs = lab.load(STORE)
    counted = pd.read_csv(STORE / "hits.csv", names=["name", "run", "hits", "misses"])
    done = counted.groupby("name")["run"].count()
    rows = [row for name in done[done >= RUNS].index for row in of_case(name, runs, counted)]
    found = pd.DataFrame(rows).round(4)
    found.to_csv(PLACE, index=False)
    pd.set_option("display.width", 250, "display.max_columns", 30)
    print(found.to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--ttl", type=float, default=5.0)
    parser.add_argument("--skew", type=float, default=1.0)
    given = parser.parse_args()
    if given.what == "run":
        run(given.ttl, given.skew)
    else:
        table()


if __name__ == "__main__":
    main()
