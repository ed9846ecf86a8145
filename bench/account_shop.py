"""Does the account of the real shop name what was changed? Injected delays of known size, and the shop's four fixes.

    python bench/account_shop.py fixes --rounds 3          runs every fix beside the unfixed shop, more rounds each time
    python bench/account_shop.py injections --rounds 1     runs 8 known delays in calls beside none (about 100 s a round)
    python bench/account_shop.py cpu --rounds 1            runs 4 in the view itself beside none (about 60 s a round)
    python bench/account_shop.py tables                    writes datasets/shop_accounts/*.csv from all rounds so far

A round holds a run of every arm in random order; an arm's run and the baseline's of the same round are a pair. Open model, the
target less than half busy, all runs with the request recorder. Delays go into one statement, one of the three downstream
calls, or the view (busy), of GET /products/[id]/offer; those of the view at half the rate, which leaves the interpreter free.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import perflab as lab
from perflab.loadtest.drive import Live, drive
from perflab.loadtest.slot import Slot
from perflab.progress import Progress

STORE = Path("runs") / "account_shop"
PLACE = Path(__file__).parent.parent / "datasets" / "shop_accounts"
OFFER = "GET /products/[id]/offer"
FIXES = {"eager": "GET /orders", "index": "GET /parcels/[tracking]", "parallel": OFFER, "cache": "GET /bestsellers"}
SIZES = (5, 8, 12, 18)
KINDS = {"injections": ("database", "downstream"), "cpu": ("cpu",)}
STAGES = {"injections": lab.Stage("4s", rate=25), "cpu": lab.Stage("5s", rate=12)}
BASELINE = "shop"
AROUND = ("queue", "back", "generator", "rest")

USERS = """
import random
from locust import FastHttpUser, task

class Shopper(FastHttpUser):
    @task
    def offer(self):
        self.client.get(f"/products/{random.randint(1, 1200)}/offer", name="/products/[id]/offer")
"""
FOUR_PAGES = (Path(lab.__file__).parent / "demo" / "four_pages.py").read_text()


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def serve(port: int, fixes: str, kind: str, ms: float) -> None:
    """The shop with a delay in every offer."""
    import waitress
    from flask import request
    from sqlalchemy import event

    from perflab.demo.shop import data, downstream
    from perflab.demo.shop.app import create_app, open_database
    from perflab.demo.shop.fixes import parse_fixes

    services, chosen = downstream.Started(ms if kind == "downstream" else 0.0), parse_fixes(fixes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.sqlite"
        data.copy_to(path, 7)
        engine = open_database(path, index="index" in chosen, connections=8)
        app = create_app(engine, chosen, services.port)
        if kind == "database":
            # Within the statement itself, for the row that it finds.
            @event.listens_for(engine, "connect")
            def add(connection: Any, _: object) -> None:
                connection.create_function("pause", 0, lambda: time.sleep(ms / 1e3) or 0)

            @event.listens_for(engine, "before_cursor_execute", retval=True)
            def slower(_c: object, _u: object, sql: str, given: Any, *_: object) -> tuple[str, Any]:
                return (f"{sql} AND pause() = 0" if sql.endswith("products.id = ?") else sql), given

            engine.dispose()  # connections that were opened before have no pause

        if kind == "cpu":

            @app.before_request
            def busier() -> None:
                if request.path.endswith("/offer"):
                    busy(ms / 1e3)

        waitress.serve(app, host="127.0.0.1", port=port, threads=8)


def target(arm: str, fixes: str = "", kind: str = "none", ms: float = 0.0) -> lab.Target:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here = Path(__file__)
    command = [sys.executable, here.name, "serve", str(port), fixes, kind, str(ms)]
    return lab.Target(
        arm,
        host=f"http://127.0.0.1:{port}",
        command=command,
        ready="/health",
        ready_timeout="90s",
        record_requests=True,
        cwd=here.parent,
    )


def done(name: str) -> int:
    """Whole rounds in the store."""
    return max((int(p.stem) for p in (STORE / name).glob("*.round")), default=0)


def rounds(name: str, arms: Callable[[], list[lab.Target]], users: str, plan: lab.Stage, count: int) -> None:
    """So many more rounds of all arms."""
    store = STORE / name
    store.mkdir(parents=True, exist_ok=True)
    locustfile = store / "locustfile.py"
    locustfile.write_text(users)
    load = lab.LoadPlan(locustfile, stages=plan, seed=1, warmup="10%")
    listener = Progress(1.0, name, shown=False)
    first = done(name) + 1
    for number in range(first, first + count):
        chosen = arms()
        random.Random(number).shuffle(chosen)
        for order, each in enumerate(chosen, start=1):
            drive(load, each, store, Slot(name, number, order), Live(listener))
        (store / f"{number}.round").touch()
        print(f"round {number} of {name}", flush=True)


def fixes(count: int) -> None:
    arms = [BASELINE, *FIXES]
    made = [lambda a=a: target(a, "" if a == BASELINE else a) for a in arms]
    rounds("fixes", lambda: [make() for make in made], FOUR_PAGES, lab.Stage("5s", rate=20), count)


def injections(count: int, name: str = "injections") -> None:
    def arms() -> list[lab.Target]:
        delays = [(kind, size) for kind in KINDS[name] for size in SIZES]
        return [target(BASELINE), *(target(f"{kind} {size}", "", kind, size) for kind, size in delays)]

    rounds(name, arms, USERS, STAGES[name], count)


def row(runs: lab.Measurements, arm: str, endpoint: str, metric: str, changed: str, size: float | None) -> dict:
    found = lab.account(runs.where(arm=BASELINE), runs.where(arm=arm), endpoint=endpoint, metric=metric)
    changes = found.table.set_index("component")["change_ms"]
    inside = changes.drop([c for c in AROUND if c in changes.index])
    whole = found.change_ms
    return {
        "arm": arm, "endpoint": endpoint, "metric": metric, "pairs": len(runs.where(arm=arm).runs), "injected_ms": size,
        "change_ms": round(whole, 2), **{c: round(float(changes.get(c, 0.0)), 2) for c in
            ("database", "downstream", "cpu", "pool", "lock", "gc", "queue", "back", "rest")},
        "largest": inside.abs().idxmax(), "named_rightly": inside.abs().idxmax() == changed,
        "of_change": round(float(changes.get(changed, 0.0)) / whole, 3) if whole else None,
        "within": None if size is None else abs(float(changes.get(changed, 0.0)) - size) <= max(2.0, 0.2 * size),
        "rest_of_change": round(abs(float(changes["rest"]) / whole), 3) if whole else None,
    }  # fmt: skip


def whole(name: str) -> lab.Measurements:
    """The runs of whole rounds."""
    runs = lab.load(STORE / name)
    return runs.where(pair=list(range(1, done(name) + 1)))


def tables() -> None:
    PLACE.mkdir(exist_ok=True)
    pd.set_option("display.width", 250, "display.max_columns", 30)
    found = [
        row(whole(name), f"{kind} {size}", OFFER, metric, kind, size)
        for metric in ("p50", "p95")
        for name, kinds in KINDS.items()
        if done(name)
        for kind in kinds
        for size in SIZES
    ]
    if found:
        table = pd.DataFrame(found)
        table.to_csv(PLACE / "injections.csv", index=False)
        print(table.to_string(index=False))
    if done("fixes"):
        runs = whole("fixes")
        changed = {"eager": "cpu", "index": "database", "parallel": "downstream", "cache": "database"}
        table = pd.DataFrame([row(runs, f, e, m, changed[f], None) for m in ("p50", "p95") for f, e in FIXES.items()])
        table.to_csv(PLACE / "fixes.csv", index=False)
        print(table.drop(columns=["injected_ms", "within"]).to_string(index=False))


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("fixes", *KINDS, "tables"))
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    if given.what == "tables":
        tables()
    elif given.what == "fixes":
        fixes(given.rounds)
    else:
        injections(given.rounds, given.what)


if __name__ == "__main__":
    main()
