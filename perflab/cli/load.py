"""Commands that make load: demo, run, pairs, check-url, worker, merge, recover."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import perflab as lab
from perflab.cli.common import command, fraction
from perflab.cli.decide import decision_options, documents, judge, objective_options
from perflab.cli.output import EXIT_CODES, decided, integration_options, say, table, wrote

SHAPES = ("smoke", "average load", "stress", "spike", "soak", "breakpoint")


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    demo = command(commands, "demo", _demo, "measure a real web shop before and after its N+1 is fixed", "perflab demo")
    demo.add_argument("--folder", default="runs/demo", help="where everything is written (%(default)s)")
    demo.add_argument("--pairs", type=int, default=6, help="pairs of runs (%(default)s)")
    demo.add_argument("--seconds", type=float, default=8.0, help="length of a run (%(default)s)")
    demo.add_argument("--seed", type=int, default=20, help="seed of the order of the runs (%(default)s)")
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
        help="with --command: keep the queries that perflab's recorder in the application logs",
    )
    objective_options(run)
    run.add_argument("--arm", help="name of this side in a later comparison")
    integration_options(run)
    quick = command(
        commands,
        "check-url",
        _check_url,
        "load one URL without a locustfile (exit code 1 if a request or a check failed)",
        "perflab check-url http://127.0.0.1:8000/api --users 10 --duration 30s",
        "perflab check-url http://127.0.0.1:8000/api --rate 50 --contains total --max-duration 300ms",
    )
    quick.add_argument("url", help="the address to request")
    stage_options(quick)
    quick.add_argument("--wait", default="0s", help="think time between the requests of a user (%(default)s)")
    quick.add_argument("--method", default="GET", help="(%(default)s)")
    quick.add_argument("--body", help="request body")
    quick.add_argument("--header", action="append", metavar="NAME=VALUE", help="request header; repeatable")
    quick.add_argument("--status", type=int, default=200, help="check: expected status code (%(default)s)")
    quick.add_argument("--contains", help="check: the response body contains this text")
    quick.add_argument("--max-duration", help="check: the response takes no longer than, for example 300ms")
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
    pairs.add_argument("--pairs", type=int, default=10, help="number of pairs (%(default)s)")
    pairs.add_argument(
        "--looks", metavar="N,N", help="test after these numbers of pairs and stop once decided, for example 5,10,15,20"
    )
    pairs.add_argument(
        "--on-short",
        default="warn",
        choices=("warn", "stop"),
        help="when the first run is too short for the metric: warn, or stop the experiment (%(default)s)",
    )
    for side in ("baseline", "candidate"):
        pairs.add_argument(f"--{side}", required=True, metavar="ARM=URL", help=f"the {side}")
        pairs.add_argument(f"--{side}-command", help=f"start the {side} with this command for each run")
        pairs.add_argument(f"--{side}-env", action="append", metavar="NAME=VALUE", help="environment of its command")
    decision_options(pairs)
    integration_options(pairs)
    _record_commands(commands)


def _record_commands(commands: Any) -> None:
    worker = command(
        commands,
        "worker",
        _worker,
        "generate load for a run on another machine (perflab run --remote-workers)",
        "perflab worker locustfile.py --master 10.0.0.5",
    )
    worker.add_argument("locustfile", help="the same file as on the master's machine")
    worker.add_argument(
        "--master", required=True, metavar="HOST[:PORT]", help="where the run was started (default port 5557)"
    )
    worker.add_argument(
        "--token", help="the secret of the plan; to hide it from other users here, set PERFLAB_TOKEN instead"
    )
    worker.add_argument("--folder", default="runs/workers", help="folder for this worker's own records (%(default)s)")
    merge = command(
        commands,
        "merge",
        _merge,
        "merge the records of a worker that lost its connection into its run",
        "perflab merge runs/20261124-014503-eager-7f3a runs/workers/20261124-014501-4be1",
    )
    merge.add_argument("run", help="the folder of the run")
    merge.add_argument("folder", nargs="+", help="folder of a worker's own records, copied to this machine")
    recover = command(
        commands,
        "recover",
        _recover,
        "make a run of what a failed or killed one captured",
        "perflab recover runs/.20261124-014812-eager-91bc",
    )
    recover.add_argument("folder", help="the hidden folder of the unfinished run, or a store that holds one of them")


def plan_options(parser: argparse.ArgumentParser, *, store: str | None = "runs") -> None:
    """The load, and where runs are kept."""
    stage_options(parser)
    parser.add_argument(
        "--k6", type=Path, metavar="FILE", help="load profile from the options of a k6 script or a JSON file"
    )
    parser.add_argument(
        "--write-locustfile", action="store_true", help="with --k6: write the locustfile from the script's requests"
    )
    parser.add_argument(
        "--arrivals", default="constant", choices=("constant", "poisson"), help="with --rate (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="load-generating processes (%(default)s)")
    parser.add_argument(
        "--remote-workers",
        type=int,
        default=0,
        help="workers on other machines, started by perflab worker (%(default)s)",
    )
    parser.add_argument(
        "--master", default="0.0.0.0:5557", help="address on which remote workers connect (%(default)s)"
    )
    parser.add_argument("--token", help="the secret that remote workers share with the master (or set PERFLAB_TOKEN)")
    parser.add_argument("--warmup", help="warm-up left out of decisions: a share or a duration (10%%)")
    parser.add_argument("--user-class", action="append", help="only this user class; repeatable")
    parser.add_argument("--seed", type=int, help="seed of the users' choices and of the order of pairs")
    parser.add_argument("--ready", help="path that answers once the target can take load")
    parser.add_argument(
        "--settle", help="with a command: longest wait until the started target is idle; 0s does not wait (10s)"
    )
    kept = (
        "where runs are kept (%(default)s)"
        if store
        else "read the runs of this store; with --host, where they are kept"
    )
    parser.add_argument("--store", default=store, help=kept)


def target_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """One system under test."""
    parser.add_argument("--host", required=required, help="base URL of the target")
    parser.add_argument("--command", help="start the target with this command, and stop it at the end")
    parser.add_argument("--env", action="append", metavar="NAME=VALUE", help="environment of the command")


def stage_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, help="closed model: concurrent users (10)")
    parser.add_argument("--rate", type=float, help="open model: arrivals per second, independent of response times")
    parser.add_argument("--shape", choices=SHAPES, help="standard load shape, with the given load at its peak")
    parser.add_argument("--duration", help="duration of a run (30s, or the default of the shape)")


def _demo(given: argparse.Namespace) -> int:
    from perflab.demo.investigation import investigate

    found = investigate(given.folder, pairs=given.pairs, seconds=given.seconds, seed=given.seed)
    say(found)
    return EXIT_CODES[found.change.verdict]


def _run(given: argparse.Namespace) -> int:
    plan = plan_from(given)
    target = target_from(given, "run", given.host, given.command, given.env)
    measured = lab.run(plan, target, store=given.store)
    say(measured, lab.summarize(measured))
    if "queries" in measured.tables:
        say(lab.find_n_plus_one(measured.queries))
    if not bool(measured.runs["valid"].all()):
        return 1
    goals = goals_of(given, plan)
    return decided(given, lab.check(measured, goals)) if goals else 0


def goals_of(given: argparse.Namespace, plan: lab.LoadPlan) -> list[Any]:
    """The objectives of the plan and of --goals, with the thresholds of a k6 script that were not understood."""
    from perflab.loadtest.k6_options import THRESHOLD_NOT_TAKEN  # pandas, which --help does not need
    from perflab.objectives.objective import collected

    lost = [(n.facts["metric"], n.facts["threshold"], n.facts["why"]) for n in plan.not_taken
            if n.code == THRESHOLD_NOT_TAKEN.code]  # fmt: skip
    return [*plan.objectives, *([collected([], lost, "thresholds")] if lost else []), *documents(given)]


def _check_url(given: argparse.Namespace) -> int:
    parts = urlsplit(given.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url must be an address like http://127.0.0.1:8000/api; got {given.url!r}")
    target = lab.Target(parts.hostname or "?", host=f"{parts.scheme}://{parts.netloc}", ready=given.ready)
    headers = named(given.header, "--header")
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
    checks = lab.stats.summarize_checks(measured) if "checks" in measured.tables else None
    summary = lab.summarize(measured)
    summary.attrs["shown"] = [column for column in summary.columns if column != "run"]
    say(measured, summary, None if checks is None else table("", checks.drop(columns="run")))
    held = checks is None or bool((checks["passed"] == checks["count"]).all())
    return 0 if held and bool(measured.requests["ok"].all()) and bool(measured.runs["valid"].all()) else 1


def _pairs(given: argparse.Namespace) -> int:
    baseline = side_from(given, "baseline")
    candidate = side_from(given, "candidate")
    before, after = lab.run_pairs(
        plan_from(given),
        baseline,
        candidate,
        pairs=given.pairs,
        looks=_looks(given.looks),
        metric=given.metric,
        tolerance=fraction(given.tolerance),
        primary=tuple(given.primary or ()),
        on_short=given.on_short,
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
    wrote(folder, f"the records are in {folder}; if the connection was lost: perflab merge RUN {folder}")
    return 0


def _merge(given: argparse.Namespace) -> int:
    return _said(lab.loadtest.merge(given.run, *given.folder))


def _recover(given: argparse.Namespace) -> int:
    return _said(lab.recover(given.folder))


def _said(measured: lab.Measurements) -> int:
    say(measured)
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
        if given.write_locustfile:
            raise ValueError("--write-locustfile needs the script: add --k6 script.js")
        return lab.LoadPlan(given.locustfile, stages=_stages(given), **options)
    both = [f"--{name}" for name in ("users", "rate", "shape", "duration") if getattr(given, name) is not None]
    if both:
        raise ValueError(f"--k6 sets the load; leave out {', '.join(both)}")
    script = given.k6.read_text(encoding="utf-8")
    return lab.LoadPlan.from_k6(given.locustfile, script, write_locustfile=given.write_locustfile, **options)


def _stages(given: argparse.Namespace) -> tuple[lab.Stage, ...]:
    """What --users or --rate, --shape and --duration say."""
    if given.users is not None and given.rate is not None:
        raise ValueError("give either --users (closed model) or --rate (open model), not both")
    users = None if given.rate is not None else 10 if given.users is None else given.users
    if given.shape:
        return lab.shape(given.shape, users=users, rate=given.rate, duration=given.duration)
    return (lab.Stage(given.duration or "30s", users=users, rate=given.rate),)


def side_from(given: argparse.Namespace, side: str) -> lab.Target:
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
        env=named(env, "an environment variable"),
        record_queries=getattr(given, "record_queries", False),
        **pages(given),
    )


def pages(given: argparse.Namespace) -> dict[str, Any]:
    """What is asked of any target: its pages, from the options or from a document of requirements."""
    own = {name: path for document in documents(given) for name, path in document.endpoints.items()}
    options = {
        "ready": given.ready or own.get("health"),
        "metrics": own.get("metrics"),
        "settle": getattr(given, "settle", None),
    }
    return {name: value for name, value in options.items() if value}


def named(entries: Sequence[str] | None, option: str) -> dict[str, str]:
    """NAME=VALUE options as a mapping."""
    pairs = [entry.partition("=") for entry in entries or ()]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError(f"{option} must be NAME=VALUE; got {', '.join(entries or ())}")
    return {name: value for name, _, value in pairs}
