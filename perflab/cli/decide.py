"""Commands that decide: compare, check."""

from __future__ import annotations

import argparse
from typing import Any

import perflab as lab
from perflab.cli.common import EXIT_CODES, command, fraction


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    compare = command(
        commands,
        "compare",
        _compare,
        "the verdict on two sets of results",
        "perflab compare before/ after/ --metric p95",
        'perflab compare --store runs "n+1" eager --experiment 20261124-014503-7f3a',
    )
    compare.add_argument("baseline", help="files or folder of the baseline, or its arm with --store")
    compare.add_argument("candidate", help="files or folder of the candidate, or its arm with --store")
    compare.add_argument("--store", help="take two arms of this store")
    compare.add_argument("--experiment", help="of the store: only this one")
    decision_options(compare)
    compare.add_argument(
        "--order",
        default="auto",
        choices=("auto", "ignore"),
        help="ignore: a verdict though one arm ran after the other",
    )
    check = command(
        commands,
        "check",
        _check,
        "whether objectives hold, fail or can't be told",
        'perflab check results/ --objective "p95 of GET /orders < 200ms" --objective "error rate < 1%"',
        "perflab check --store runs --arm eager --goals INTERFACE.md",
    )
    check.add_argument("path", nargs="*", help="files or folders of results")
    check.add_argument("--store", help="take runs of this store")
    check.add_argument("--arm", help="of the store: only this one")
    check.add_argument("--experiment", help="of the store: only this one")
    check.add_argument("--objective", action="append", metavar="TEXT", help='like "p95 < 200ms"; repeatable')
    check.add_argument("--goals", metavar="FILE", help="a Markdown document, or k6's options as JSON")
    check.add_argument("--warmup", help="share of each run to leave out; the plan's, or 10%%")
    check.add_argument(
        "--allow", action="append", choices=("invalid", "generator", "plan", "arms"), help="take together all the same"
    )


def decision_options(parser: argparse.ArgumentParser) -> None:
    """The options of a verdict."""
    parser.add_argument("--metric", default="p95", help="p95 or any p<q>, mean, throughput_per_s, error_fraction")
    parser.add_argument("--tolerance", default="5%", help="differences below this do not matter (%(default)s)")
    parser.add_argument("--primary", action="append", help="endpoint that decides; repeatable, up to three")
    parser.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan", "length"),
        help="compare all the same, with a warning",
    )


def _compare(given: argparse.Namespace) -> int:
    if given.store:
        only = {"experiment": given.experiment} if given.experiment else {}
        runs = lab.load(given.store, **only)
        before, after = runs.where(arm=given.baseline), runs.where(arm=given.candidate)
    else:
        before, after = lab.read(given.baseline, arm="baseline"), lab.read(given.candidate, arm="candidate")
    return judge(before, after, given, order=given.order)


def judge(before: lab.Measurements, after: lab.Measurements, given: argparse.Namespace, order: str = "auto") -> int:
    """Print the verdict on two arms; returns its exit code."""
    options: dict[str, Any] = {"metric": given.metric, "tolerance": fraction(given.tolerance), "order": order}
    if given.primary:
        options["primary"] = given.primary
    if given.allow:
        options["allow"] = tuple(given.allow)
    change = lab.compare(before, after, **options)
    print(change)
    return EXIT_CODES[change.verdict]


def _check(given: argparse.Namespace) -> int:
    if given.store:
        only = {name: getattr(given, name) for name in ("arm", "experiment") if getattr(given, name)}
        measured = lab.load(given.store, **only)
    elif given.path:
        measured = lab.read(given.path)
    else:
        raise ValueError("check needs files to read, or --store")
    goals: list[Any] = list(given.objective or ())
    notes: tuple[str, ...] = ()
    if given.goals:
        written = lab.read_objectives(given.goals)
        goals, notes = [*goals, *written], written.notes
    if not goals:
        raise ValueError("check needs --objective 'p95 < 200ms' or --goals FILE with an objective in it" + "".join(
            f"\n  {note}" for note in notes))  # fmt: skip
    checked = lab.check(measured, goals, warmup=given.warmup, allow=tuple(given.allow or ()))
    print(checked)
    for note in notes:
        print(f"! {note}")
    return EXIT_CODES[checked.verdict]
