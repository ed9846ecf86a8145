"""The main task, end to end on the shop: is it faster with eager loading, and why was it slow?"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from perflab.data.tables import Measurements
from perflab.demo import notebook
from perflab.errors import MissingExtraError
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import run, run_pairs
from perflab.loadtest.stages import Stage
from perflab.loadtest.target import Target
from perflab.notes import PYTHON
from perflab.plots.account_plots import plot_account
from perflab.plots.latency import plot_ecdf
from perflab.plots.over_time import plot_timeline
from perflab.plots.pairs import plot_pairs
from perflab.queries.n_plus_one import find_n_plus_one
from perflab.rendering import shortened
from perflab.reports.placing import Section
from perflab.reports.report import Report
from perflab.results import Result, Shown
from perflab.stats.change import Change
from perflab.stats.compare import compare
from perflab.traces.account_result import Account
from perflab.traces.accounts import account

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_NEEDS = ("flask", "ipykernel", "nbformat", "papermill", "sqlalchemy", "waitress")
USERS = 65
ACCOUNTED = 3
"""The number of pairs that are run once more with the request recorder."""
ENDPOINT = "GET /orders"
QUESTION = "Does loading the lines of all orders at once (eager loading) make GET /orders faster for visitors?"
OPTIMISATION = (
    "selectinload(Order.lines) on the query of GET /orders, and the same for the customers' pages (SHOP_FIXES=eager)"
)


def shop(
    arm: str, fixes: str = "", *, record_queries: bool = False, record_requests: bool = False, restart: bool = True
) -> Target:
    """The shop on a free port of this machine, with some of its defects fixed.

    >>> shop("n+1").ready
    '/health'
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Target(
        arm,
        host=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "perflab.demo.shop", "--port", str(port)],
        env={"SHOP_FIXES": fixes},
        record_env=("SHOP_FIXES",),
        ready="/health",
        record_queries=record_queries,
        record_requests=record_requests,
        restart=restart,
    )


@dataclass(frozen=True, repr=False)
class Investigation(Result):
    """The result of `investigate`: the change, its account, the N+1 patterns of each arm, and the written files."""

    change: Change
    account: Account
    found: pd.DataFrame
    left: pd.DataFrame
    before: Measurements
    after: Measurements
    files: tuple[Path, ...]

    def show(self, surface: str = PYTHON) -> Shown:
        """The change, then the cause and the files."""
        change = self.change.show(surface)
        notes = (self.account.sentence, _cause(self.found, self.left), *(f"wrote {path}" for path in self.files))
        return replace(change, notes=notes)


def investigate(
    folder: str | Path = "runs/demo", *, pairs: int = 6, seconds: float = 8.0, seed: int = 20, progress: bool = True
) -> Investigation:
    """Measure the shop before and after eager loading in randomised pairs, find the cause, and write reports.

    Parameters
    ----------
    folder : for ``runs/`` (every run), ``report.md``, ``report.html`` and ``investigation.ipynb`` (executed).
    pairs, seconds, seed : how many pairs, how long each run is, and the seed for their order.
    """
    place = Path(folder)
    # Before minutes of load, not after: check the packages for the shop and the notebook.
    if absent := [name for name in _NEEDS if find_spec(name) is None]:
        raise MissingExtraError.of(", ".join(absent), "demo", "the demo")
    store = place / "runs"
    plan = LoadPlan(LOCUSTFILE, stages=[Stage(seconds, users=USERS)], seed=1)
    before, after = run_pairs(
        plan,
        shop("n+1"),
        shop("eager", "eager"),
        pairs=pairs,
        account=min(pairs, ACCOUNTED),
        seed=seed,
        store=store,
        progress=progress,
    )
    # Queries are recorded in separate runs, because recording costs time.
    short = LoadPlan(LOCUSTFILE, stages=[Stage(min(4.0, seconds), users=15)], seed=1)
    lazy = run(short, shop("n+1", record_queries=True), store=store, progress=progress)
    eager = run(short, shop("eager", "eager", record_queries=True), store=store, progress=progress)
    change = compare(before, after, primary=ENDPOINT)
    accounted = account(before, after, endpoint=ENDPOINT)
    found, left = find_n_plus_one(lazy.queries), find_n_plus_one(eager.queries)
    report = Report(
        f"Eager loading on {ENDPOINT}: {change.verdict}",
        [
            before,
            after,
            accounted,
            plot_account(accounted),
            Section("Bottlenecks found", ["With lazy loading:", found, "With eager loading:", left]),
            change,
            plot_pairs(before, after, endpoint=ENDPOINT),
            plot_ecdf(before, after, endpoint=ENDPOINT, warmup=change.warmup),
            plot_timeline(before, after, endpoint=ENDPOINT),
        ],
        question=QUESTION,
        optimisations=[OPTIMISATION],
    )
    files = [report.save(place / "report.md"), report.save(place / "report.html")]
    experiment = str(before.runs["experiment"].iloc[0])
    evidence = [str(m.runs["run"].iloc[0]) for m in (lazy, eager)]
    files.append(notebook.write(place / "investigation.ipynb", experiment, evidence, ENDPOINT))
    return Investigation(change, accounted, found, left, before, after, (*files, store))


def _cause(found: pd.DataFrame, left: pd.DataFrame) -> str:
    claimed, remaining = (f[f["evidence"].isin(["confirmed", "likely"])] for f in (found, left))
    if claimed.empty:
        return "no N+1 was found"
    worst = claimed[claimed["route"] == ENDPOINT]
    row = (worst if len(worst) else claimed).iloc[0]
    return (
        f"the cause: an N+1 on {row['route']} ({row['evidence']}), {row['calls_per_unit']:.0f} calls per request of "
        f"{shortened(row['child'], 150)}; N+1 patterns: {len(claimed)} with lazy loading, {len(remaining)} with eager loading. "
        f"{row['suggestion']}"
    )
