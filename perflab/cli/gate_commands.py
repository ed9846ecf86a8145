"""Commands of continuous integration: gate, baseline."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import perflab as lab
from perflab.cli.common import command, fraction
from perflab.cli.decide import decision_options, objective_options
from perflab.cli.load import (
    goals_of,
    named,
    pages,
    plan_from,
    plan_options,
    side_from,
    target_from,
    target_options,
)
from perflab.cli.output import decided, integration_options, say, wrote
from perflab.notes import Note


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    gate = command(
        commands,
        "gate",
        _gate,
        "whether a change may go in: pairs of two commits or hosts, or one run against a stored baseline",
        'perflab gate locustfile.py --base origin/main --command "python app.py --port {port}" --ready /health',
        "perflab gate locustfile.py --baseline old=http://127.0.0.1:8001 --candidate new=http://127.0.0.1:8002 --pairs 8",
        "perflab gate locustfile.py --against baseline --host http://127.0.0.1:8000 --confirm --junit gate.xml --github",
    )
    gate.add_argument("locustfile", help="file with the user classes, the same for both sides")
    commits = gate.add_argument_group("two commits")
    commits.add_argument("--base", metavar="COMMIT", help="the commit, branch or tag that is there")
    commits.add_argument("--head", metavar="COMMIT", default="HEAD", help="the one that is to go in (%(default)s)")
    commits.add_argument("--build", metavar="LINE", help="run by sh, once in the folder of each commit")
    hosts = gate.add_argument_group("two hosts")
    for side in ("baseline", "candidate"):
        hosts.add_argument(f"--{side}", metavar="ARM=URL", help=f"the {side}")
        hosts.add_argument(f"--{side}-command", help=f"start the {side} with this command for each run")
        hosts.add_argument(f"--{side}-env", action="append", metavar="NAME=VALUE", help="environment of its command")
    stored = gate.add_argument_group("a stored baseline")
    stored.add_argument("--against", metavar="FOLDER", help="the folder that perflab baseline set made")
    stored.add_argument("--host", help="base URL of the candidate")
    gate.add_argument(
        "--command", help="starts the application; of commits: {port} is a free port, {folder} its folder"
    )
    gate.add_argument("--env", action="append", metavar="NAME=VALUE", help="environment of the command")
    gate.add_argument("--pairs", type=int, default=8, help="pairs of runs (%(default)s)")
    gate.add_argument("--confirm", action="store_true", help="repeat the experiment before a regression fails the gate")
    gate.add_argument(
        "--tolerance-of",
        metavar="STORE",
        help="take as the tolerance the run-to-run noise of six or more runs of one version",
    )
    gate.add_argument("--report", action="append", metavar="FILE", help="write report.md or report.html; repeatable")
    plan_options(gate)
    decision_options(gate, compared=False)
    objective_options(gate)
    integration_options(gate)
    baseline = command(
        commands,
        "baseline",
        _baseline,
        "keep runs that later ones are held against (set), or show them (show)",
        "perflab baseline set locustfile.py --host http://127.0.0.1:8000 --runs 6 --users 20 --duration 1m",
        "perflab baseline set --store runs --arm main",
        "perflab baseline show",
    )
    baseline.add_argument(
        "action", choices=("set", "show"), help="set: make or replace it; show: its runs, spread and age"
    )
    baseline.add_argument("locustfile", nargs="?", help="with --host: the file with the user classes")
    baseline.add_argument("--folder", default="baseline", help="where it is kept (%(default)s)")
    baseline.add_argument("--runs", type=int, default=5, help="number of runs to make (%(default)s)")
    baseline.add_argument("--arm", help="with --store: the arm whose runs are kept")
    baseline.add_argument("--experiment", help="with --store: only this experiment")
    target_options(baseline, required=False)
    plan_options(baseline, store=None)


def _gate(given: argparse.Namespace) -> int:
    modes = {
        "--base": given.base,
        "--baseline and --candidate": given.baseline or given.candidate,
        "--against": given.against,
    }
    chosen = [name for name, value in modes.items() if value]
    if len(chosen) != 1:
        raise ValueError(f"gate needs one of {', '.join(modes)}; got {' and '.join(chosen) or 'none'}")
    # Objectives are the gate's, not the plan's: a baseline that was set without them has the same plan.
    given.objectives, given.objective = given.objective or [], None
    plan = plan_from(given)
    if given.base:
        return _of_commits(given, plan)
    if given.against:
        if not given.host:
            raise ValueError("--against needs --host, the candidate's base URL")
        baseline = lab.gates.StoredBaseline.read(given.against)
        return _decide(given, plan, baseline, target_from(given, "candidate", given.host, given.command, given.env))
    if not (given.baseline and given.candidate):
        raise ValueError("two hosts are --baseline ARM=URL and --candidate ARM=URL")
    return _decide(given, plan, side_from(given, "baseline"), side_from(given, "candidate"))


def _of_commits(given: argparse.Namespace, plan: lab.LoadPlan) -> int:
    from perflab.gates.commits import uncommitted  # pandas, which --help does not need
    from perflab.gates.gate_notes import UNCOMMITTED

    if not given.command:
        raise ValueError('--base needs --command, for example "python app.py --port {port}"')
    options = {"env": named(given.env, "an environment variable"), **pages(given)}
    with lab.gates.checked_out(given.base, given.head, command=given.command, build=given.build, **options) as (
        base,
        head,
    ):
        dirty = given.head == "HEAD" and uncommitted()
        return _decide(given, plan, base, head, *([UNCOMMITTED()] if dirty else []))


def _decide(given: argparse.Namespace, plan: lab.LoadPlan, baseline: Any, candidate: lab.Target, *known: Note) -> int:
    for path in given.report or ():
        if Path(path).suffix.lower() not in (".md", ".html"):
            raise ValueError(f"--report must be a file report.md or report.html; got {path!r}")
    goals = [*given.objectives, *goals_of(given, plan)]
    found = lab.gates.gate(
        plan,
        baseline,
        candidate,
        pairs=given.pairs,
        confirm=given.confirm,
        metric=given.metric,
        tolerance=_tolerance(given),
        primary=tuple(given.primary or ()),
        goals=goals,
        allow=tuple(given.allow or ()),
        seed=given.seed,
        store=given.store,
    )
    found = replace(found, warnings=(*known, *found.warnings))
    code = decided(given, found)
    for path in given.report or ():
        wrote(_report(found).save(path))
    return code


def _tolerance(given: argparse.Namespace) -> Any:
    if not given.tolerance_of:
        return fraction(given.tolerance)
    endpoint = {"endpoint": given.primary[0]} if given.primary else {}
    return lab.calibrate(lab.load(given.tolerance_of), metric=given.metric, **endpoint)


def _report(found: lab.gates.Gate) -> lab.Report:
    """What a reviewer wants to read: the gate, then the evidence."""
    evidence: list[Any] = [found]
    if found.runs is not None and found.change is not None:
        evidence += [*found.runs, found.change, lab.plot_ecdf(*found.runs), lab.plot_pairs(*found.runs)]
    return lab.Report("Performance gate", [*evidence, *([found.checked] if found.checked else [])])


def _baseline(given: argparse.Namespace) -> int:
    if given.action == "show":
        say(lab.gates.StoredBaseline.read(given.folder))
        return 0
    if given.host:
        if not given.locustfile:
            raise ValueError("with --host, baseline set needs a locustfile")
        target = target_from(given, "baseline", given.host, given.command, given.env)
        options = {"runs": given.runs, "folder": given.folder, "store": given.store or "runs"}
        say(lab.gates.set_baseline(target, plan_from(given), **options))
        return 0
    if not given.store:
        raise ValueError("baseline set needs a locustfile with --host, or --store with runs that are there")
    only = {name: value for name in ("arm", "experiment") if (value := getattr(given, name))}
    say(lab.gates.set_baseline(lab.load(given.store, **only), folder=given.folder))
    return 0
