"""Commands about many runs: plan-runs, calibrate, change-points."""

from __future__ import annotations

import argparse
from typing import Any

import perflab as lab
from perflab.cli.common import command
from perflab.cli.inspect_files import measured, reading_options, source_options
from perflab.cli.load import plan_from, plan_options, target_from, target_options
from perflab.cli.output import say


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    _add_plan_runs(commands)
    _add_calibrate(commands)
    _add_change_points(commands)


def _add_plan_runs(commands: Any) -> None:
    plan = command(
        commands,
        "plan-runs",
        _plan_runs,
        "how many runs an effect needs, from a pilot of at least three runs",
        "perflab plan-runs pilot/ --effect 10%",
        'perflab plan-runs --store runs --arm "n+1" --arm eager --effect 5% --budget 1h',
    )
    source_options(plan, arms=True)
    plan.add_argument("--effect", default="10%", help="effect size to detect (%(default)s)")
    plan.add_argument("--power", default="0.8", help="probability of detecting it (%(default)s)")
    plan.add_argument("--budget", help="available time, for example 1h: report the smallest effect it can detect")
    plan.add_argument("--overhead", help="time between runs, for example 20s; the pilot's median gap if not given")
    _metric_options(plan)


def _add_calibrate(commands: Any) -> None:
    calibrate = command(
        commands,
        "calibrate",
        _calibrate,
        "A/A calibration: run-to-run noise and the false-alarm rate of common tests",
        "perflab calibrate --store runs --arm eager",
        "perflab calibrate locustfile.py --host http://127.0.0.1:8000 --pairs 10 --users 20 --duration 1m",
    )
    calibrate.add_argument("path", nargs="*", help="files or folders of results; with --host, the locustfile")
    calibrate.add_argument("--arm", help="with --store: only this arm")
    calibrate.add_argument("--experiment", help="with --store: only this experiment")
    target_options(calibrate, required=False)
    calibrate.add_argument("--pairs", type=int, default=10, help="with --host: number of pairs to run (%(default)s)")
    plan_options(calibrate, store=None)
    calibrate.add_argument("--metric", default="p95", help="p95 or any p<q>, or mean (%(default)s)")
    calibrate.add_argument("--relabellings", type=int, default=200, help="number of random relabellings (%(default)s)")
    reading_options(calibrate, "requests", endpoint=False)
    calibrate.add_argument("--endpoint", help="the endpoint; all requests together if not given")


def _add_change_points(commands: Any) -> None:
    points = command(
        commands,
        "change-points",
        _change_points,
        "lasting changes of a metric over many runs (exit code 1 if the last change was a regression)",
        "perflab change-points --store nightly --arm main",
        "perflab change-points --values history.csv",
    )
    source_options(points)
    points.add_argument(
        "--values", metavar="FILE", help="CSV file with the columns run, start and value, instead of runs"
    )
    points.add_argument("--minimum", default="3%", help="the smallest change to report")
    points.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan", "arms"),
        help="analyse these runs anyway, with a warning",
    )
    _metric_options(points)


def _metric_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metric", default="p95", help="p95 or any p<q>, mean, throughput_per_s (%(default)s)")
    parser.add_argument("--warmup", help="share of each run to leave out; the plan's, or 10%%")
    reading_options(parser, "requests", endpoint=False)
    parser.add_argument("--endpoint", help="the endpoint; all requests together if not given")


def _chosen(given: argparse.Namespace) -> dict[str, Any]:
    return {"metric": given.metric, "warmup": given.warmup, **({"endpoint": given.endpoint} if given.endpoint else {})}


def _plan_runs(given: argparse.Namespace) -> int:
    held = measured(given, "plan-runs")
    arms = given.arm or []
    if len(arms) > 2:
        raise ValueError(f"--arm can be given once (a pilot of one arm) or twice (before, after); got {len(arms)}")
    pilot = tuple(held.where(arm=arm) for arm in arms) if len(arms) == 2 else held
    options = {name: value for name in ("budget", "overhead") if (value := getattr(given, name))}
    say(lab.plan_runs(pilot, given.effect, given.power, **options, **_chosen(given)))
    return 0


def _calibrate(given: argparse.Namespace) -> int:
    options: dict[str, Any] = {"relabellings": given.relabellings, "seed": given.seed, **_chosen(given)}
    if not given.host:
        say(lab.calibrate(measured(given, "calibrate"), **options))
        return 0
    if len(given.path) != 1:
        raise ValueError(f"with --host, calibrate needs one locustfile; got {', '.join(given.path) or 'none'}")
    given.locustfile = given.path[0]
    target = target_from(given, "run", given.host, given.command, given.env)
    say(lab.calibrate(target, plan_from(given), given.pairs, store=given.store or "runs", **options))
    return 0


def _change_points(given: argparse.Namespace) -> int:
    history = _history(given.values) if given.values else measured(given, "change-points")
    options = {"allow": tuple(given.allow or ()), "minimum": given.minimum, **_chosen(given)}
    from perflab.metrics import Metric

    found = lab.change_points(history, **options)
    say(found)
    last = float(found.table["change"].iloc[-1]) if len(found.table) else 0.0
    return int(last * Metric.of(given.metric).better < 0)


def _history(path: str) -> Any:
    import pandas as pd

    try:
        frame = pd.read_csv(path)
        return frame.assign(start=pd.to_datetime(frame["start"], utc=True)) if "start" in frame else frame
    except (OSError, ValueError) as problem:
        raise lab.FormatError(f"{path}: expected a CSV file with run, start and value: {problem}") from None
