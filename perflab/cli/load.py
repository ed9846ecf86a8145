"""Commands that make load: demo, run, pairs, check-url, worker, merge."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import perflab as lab
from perflab.cli.common import EXIT_CODES, command, fraction, say, shown
from perflab.cli.decide import decision_options, judge

SHAPES = ("smoke", "average load", "stress", "spike", "soak", "breakpoint")


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    demo = command(commands, "demo", _demo, "measure a real shop before and after its N+1 is fixed", "perflab demo")
    demo.add_argument("--folder", default="runs/demo", help="where everything is written (%(default)s)")
    demo.add_argument("--pairs", type=int, default=6, help="pairs of runs (%(default)s)")
    demo.add_argument("--seconds", type=float, default=8.0, help="length of a run (%(default)s)")
    demo.add_argument("--seed", type=int, default=20, help="of the order of the runs (%(default)s)")
    run = command(
        commands,
        "run",
        _run,
        "one run of a locustfile",
        "perflab run locustfile.py --host http://127.0.0.1:8000 --users 20 --duration 1m",
        'perflab run locustfile.py --host http://127.0.0.1:8000 --command "python app.py" --ready /health',
        'perflab run locustfile.py --host http://127.0.0.1:8000 --command "python app.py" --record-queries',
    )
    run.add_argument("locustfile", help="file with the user classes")
    plan_options(run)
    target_options(run, required=True)
    run.add_argument(
        "--record-queries",
        action="store_true",
        help="with --command: keep what perflab's recorder in the application sees",
    )
    run.add_argument("--objective", action="append", metavar="TEXT", help='to check at the end, like "p95 < 200ms"')
    run.add_argument("--arm", help="the name of this side of a later comparison")
    quick = command(
        commands,
        "check-url",
        _check_url,
        "load on one URL without a locustfile (exit code 1 if a request or a check failed)",
        "perflab check-url http://127.0.0.1:8000/api --users 10 --duration 30s",
        "perflab check-url http://127.0.0.1:8000/api --rate 50 --contains total --max-duration 300ms",
    )
    quick.add_argument("url", help="what to ask for")
    stage_options(quick)
    quick.add_argument("--wait", default="0s", help="how long each user waits before it asks again (%(default)s)")
    quick.add_argument("--method", default="GET", help="(%(default)s)")
    quick.add_argument("--body", help="of the request")
    quick.add_argument("--header", action="append", metavar="NAME=VALUE", help="of the request; repeatable")
    quick.add_argument("--status", type=int, default=200, help="check: the answer's status (%(default)s)")
    quick.add_argument("--contains", help="check: the body contains this text")
    quick.add_argument("--max-duration", help="check: the answer takes no longer, for example 300ms")
    quick.add_argument("--ready", help="path that answers once the target can take load")
    quick.add_argument("--store", default="runs", help="where the run is kept (%(default)s)")
    pairs = command(
        commands,
        "pairs",
        _pairs,
        "randomised, interleaved pairs of runs, and the verdict",
        "perflab pairs locustfile.py --baseline old=http://127.0.0.1:8001 --candidate new=http://127.0.0.1:8002",
    )
    pairs.add_argument("locustfile", help="file with the user classes")
    plan_options(pairs)
    pairs.add_argument("--pairs", type=int, default=10, help="how many (%(default)s)")
    pairs.add_argument("--looks", metavar="N,N", help="after which pairs to look, and end if it is decided: 5,10,15,20")
    for side in ("baseline", "candidate"):
        pairs.add_argument(f"--{side}", required=True, metavar="ARM=URL", help=f"the {side}")
        pairs.add_argument(f"--{side}-command", help=f"start the {side} with this command for each run")
        pairs.add_argument(f"--{side}-env", action="append", metavar="NAME=VALUE", help="environment of its command")
    decision_options(pairs)
    _worker_commands(commands)


def _worker_commands(commands: Any) -> None:
    worker = command(
        commands,
        "worker",
        _worker,
        "make load for a run on another machine (LoadPlan(remote_workers=...))",
        "perflab worker locustfile.py --master 10.0.0.5",
    )
    worker.add_argument("locustfile", help="the same file as on the master's machine")
    worker.add_argument("--master", required=True, metavar="HOST[:PORT]", help="where the run was started (port 5557)")
    worker.add_argument("--token", help="the plan's secret; out of sight of others here: the variable PERFLAB_TOKEN")
    worker.add_argument("--folder", default="runs/workers", help="where this worker's own records go (%(default)s)")
    merge = command(
        commands,
        "merge",
        _merge,
        "put the records of a worker whose connection was lost back into its run",
        "perflab merge runs/20261124-014503-eager-7f3a runs/workers/20261124-014501-4be1",
    )
    merge.add_argument("run", help="the folder of the run")
    merge.add_argument("folder", nargs="+", help="the folder of a worker's own records, copied here")


def plan_options(parser: argparse.ArgumentParser, *, store: str | None = "runs") -> None:
    """The load, and where runs are kept."""
    stage_options(parser)
    parser.add_argument(
        "--k6", type=Path, metavar="FILE", help="take the load from the options of a k6 script, or JSON"
    )
    parser.add_argument(
        "--arrivals", default="constant", choices=("constant", "poisson"), help="with --rate (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that make the load (%(default)s)")
    parser.add_argument(
        "--remote-workers", type=int, default=0, help="more on other machines: perflab worker (%(default)s)"
    )
    parser.add_argument("--master", default="0.0.0.0:5557", help="where they find this one (%(default)s)")
    parser.add_argument("--token", help="the secret that they share with it (or the variable PERFLAB_TOKEN)")
    parser.add_argument("--warmup", help="share or length left out of decisions (10%%)")
    parser.add_argument("--user-class", action="append", help="only this class; repeatable")
    parser.add_argument("--seed", type=int, help="of the users' choices, and of the order of pairs")
    parser.add_argument("--ready", help="path that answers once the target can take load")
    kept = "where runs are kept (%(default)s)" if store else "take runs of this store; with --host, where they are kept"
    parser.add_argument("--store", default=store, help=kept)


def target_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """One system under test."""
    parser.add_argument("--host", required=required, help="base URL of the target")
    parser.add_argument("--command", help="start the target with this command, and stop it at the end")
    parser.add_argument("--env", action="append", metavar="NAME=VALUE", help="environment of the command")


def stage_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, help="simulated users, each waiting for its answer (10)")
    parser.add_argument("--rate", type=float, help="instead: arrivals a second, whatever the target does (open model)")
    parser.add_argument(
        "--shape", choices=SHAPES, help="up, hold and down as usual for such a test, with the load on top"
    )
    parser.add_argument("--duration", help="length of a run (30s; the usual one of a shape)")


def _demo(given: argparse.Namespace) -> int:
    from perflab.demo.investigation import investigate

    found = investigate(given.folder, pairs=given.pairs, seconds=given.seconds, seed=given.seed)
    say(found)
    return EXIT_CODES[found.change.verdict]


def _run(given: argparse.Namespace) -> int:
    plan = plan_from(given)
    target = target_from(given, "run", given.host, given.command, given.env)
    measured = lab.run(plan, target, store=given.store)
    say(measured, lab.summarize(measured), data=True)
    if "queries" in measured.tables:
        print()
        say(lab.find_n_plus_one(measured.queries), data=True)
    if not bool(measured.runs["valid"].all()):
        return 1
    if not plan.objectives:
        return 0
    checked = lab.check(measured, plan.objectives)
    print()
    say(checked)
    return EXIT_CODES[checked.verdict]


def _check_url(given: argparse.Namespace) -> int:
    parts = urlsplit(given.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url must be an address like http://127.0.0.1:8000/api; got {given.url!r}")
    target = lab.Target(parts.hostname or "?", host=f"{parts.scheme}://{parts.netloc}", ready=given.ready)
    headers = _named(given.header, "--header")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    url = lab.Url(
        path,
        method=given.method,
        body=given.body,
        headers=headers,
        status=given.status,
        contains=given.contains,
        max_duration=given.max_duration,
    )
    plan = lab.LoadPlan.from_urls(url, stages=_stages(given), wait=given.wait, warmup=0.0)
    measured = lab.run(plan, target, store=given.store)
    checks = lab.summarize_checks(measured) if "checks" in measured.tables else None
    summary = lab.summarize(measured)
    summary.attrs["shown"] = [column for column in summary.columns if column != "run"]
    parts = [measured, summary, None if checks is None else shown("", checks.drop(columns="run"))]
    say(*(part for part in parts if part is not None), data=True)
    held = checks is None or bool((checks["passed"] == checks["count"]).all())
    return 0 if held and bool(measured.requests["ok"].all()) and bool(measured.runs["valid"].all()) else 1


def _pairs(given: argparse.Namespace) -> int:
    baseline = _side(given, "baseline")
    candidate = _side(given, "candidate")
    before, after = lab.run_pairs(
        plan_from(given),
        baseline,
        candidate,
        pairs=given.pairs,
        looks=_looks(given.looks),
        metric=given.metric,
        tolerance=fraction(given.tolerance),
        primary=tuple(given.primary or ()),
        seed=given.seed,
        store=given.store,
    )
    return judge(before, after, given)


def _looks(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise ValueError(f"--looks must be numbers of pairs like 5,10,15,20; got {text!r}") from None


def _worker(given: argparse.Namespace) -> int:
    from perflab.loadtest.worker import work

    folder = work(given.locustfile, given.master, folder=given.folder, token=given.token)
    print(f"the records are in {folder}; if the connection was lost: perflab merge RUN {folder}")
    return 0


def _merge(given: argparse.Namespace) -> int:
    measured = lab.merge(given.run, *given.folder)
    say(measured, data=True)
    return 0 if bool(measured.runs["valid"].all()) else 1


def plan_from(given: argparse.Namespace) -> lab.LoadPlan:
    """The plan that the options describe."""
    options: dict[str, Any] = {
        "warmup": given.warmup or "10%",
        "user_classes": given.user_class or (),
        "seed": given.seed,
        "workers": given.workers,
        "remote_workers": given.remote_workers,
        "master": given.master,
        "token": given.token,
        "arrivals": given.arrivals,
        **({"objectives": goals} if (goals := getattr(given, "objective", None)) else {}),
    }
    if not given.k6:
        return lab.LoadPlan(given.locustfile, stages=_stages(given), **options)
    said = [name for name in ("users", "rate", "shape", "duration") if getattr(given, name) is not None]
    if said:
        raise ValueError(f"--k6 says the load; leave out {', '.join('--' + name for name in said)}")
    return lab.LoadPlan.from_k6(given.locustfile, given.k6.read_text(encoding="utf-8"), **options)


def _stages(given: argparse.Namespace) -> tuple[lab.Stage, ...]:
    """What --users or --rate, --shape and --duration say."""
    if given.users is not None and given.rate is not None:
        raise ValueError("give either --users (closed model) or --rate (open model), not both")
    users = None if given.rate is not None else 10 if given.users is None else given.users
    if given.shape:
        return lab.shape(given.shape, users=users, rate=given.rate, duration=given.duration)
    return (lab.Stage(given.duration or "30s", users=users, rate=given.rate),)


def _side(given: argparse.Namespace, side: str) -> lab.Target:
    arm, _, host = getattr(given, side).partition("=")
    if not host:
        raise ValueError(f"--{side} must be ARM=URL, for example eager=http://127.0.0.1:8002; got {arm!r}")
    return target_from(given, arm, host, getattr(given, f"{side}_command"), getattr(given, f"{side}_env"))


def target_from(
    given: argparse.Namespace, arm: str, host: str, command: str | None, env: Sequence[str] | None
) -> lab.Target:
    """The target of one side."""
    return lab.Target(
        getattr(given, "arm", None) or arm,
        host=host,
        command=shlex.split(command) if command else (),
        env=_named(env, "an environment variable"),
        ready=given.ready,
        record_queries=getattr(given, "record_queries", False),
    )


def _named(entries: Sequence[str] | None, option: str) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries or ()]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError(f"{option} must be NAME=VALUE; got {', '.join(entries or ())}")
    return {name: value for name, _, value in pairs}
