"""Commands that decide: compare, check."""

from __future__ import annotations

import argparse
from typing import Any

import perflab as lab
from perflab.cli.common import EXIT_CODES, command, fraction, say
from perflab.cli.inspect_files import measured, read, reading_options, source_options


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
        help="ignore: reach a verdict even if one arm ran after the other",
    )
    compare.add_argument("--only-valid", action="store_true", help="leave out invalid runs, such as interrupted ones")
    compare.add_argument("--warmup", help="share of each run to leave out; the plan's, or 10%%")
    reading_options(compare, "requests")
    check = command(
        commands,
        "check",
        _check,
        "whether objectives hold, fail or are inconclusive",
        'perflab check results/ --objective "p95 of GET /orders < 200ms" --objective "error rate < 1%"',
        "perflab check --store runs --arm eager --goals INTERFACE.md",
    )
    source_options(check)
    check.add_argument("--objective", action="append", metavar="TEXT", help='like "p95 < 200ms"; repeatable')
    check.add_argument("--goals", metavar="FILE", help="a Markdown document, or k6's options as JSON")
    check.add_argument("--warmup", help="share of each run to leave out; the plan's, or 10%%")
    check.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan", "arms"),
        help="check anyway, with a warning",
    )
    reading_options(check, "requests")


def decision_options(parser: argparse.ArgumentParser) -> None:
    """The options of a verdict."""
    parser.add_argument("--metric", default="p95", help="p95 or any p<q>, mean, throughput_per_s, error_fraction")
    parser.add_argument("--tolerance", default="5%", help="smaller differences do not matter (%(default)s)")
    parser.add_argument("--primary", action="append", help="endpoint that decides; repeatable, up to three")
    parser.add_argument("--pacing", help="fixed time between the requests of a user, if there was one, for example 1s")
    parser.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan", "length"),
        help="compare anyway, with a warning",
    )


def _compare(given: argparse.Namespace) -> int:
    if given.store:
        only = {"experiment": given.experiment} if given.experiment else {}
        runs = lab.load(given.store, **only)
        before, after = runs.where(arm=given.baseline), runs.where(arm=given.candidate)
    else:
        before, after = _read_both(given)
    if given.only_valid:
        before, after = before.where(valid=True), after.where(valid=True)
    return judge(before, after, given, order=given.order, warmup=given.warmup)


def _read_both(given: argparse.Namespace) -> tuple[lab.Measurements, lab.Measurements]:
    """Both sides from files; --started has an instant for each of the baseline's, then for each of the candidate's."""
    from perflab.formats.reading import files

    started, first, second = given.started, len(files(given.baseline)), len(files(given.candidate))
    if started and len(started) != first + second:
        raise ValueError(
            f"--started must be given for each of {first + second} files, the baseline's first; got {len(started)}"
        )
    sides = []
    for arm, own in (("baseline", slice(None, first)), ("candidate", slice(first, None))):
        given.started = started and started[own]
        sides.append(read(given, getattr(given, arm), arm=arm))
    return sides[0], sides[1]


def judge(before: lab.Measurements, after: lab.Measurements, given: argparse.Namespace, **how: Any) -> int:
    """Print the verdict on two arms; returns its exit code."""
    options: dict[str, Any] = {
        "metric": given.metric,
        "tolerance": fraction(given.tolerance),
        "pacing": given.pacing,
        **how,
    }
    if given.primary:
        options["primary"] = given.primary
    if given.allow:
        options["allow"] = tuple(given.allow)
    change = lab.compare(before, after, **options)
    say(change)
    return EXIT_CODES[change.verdict]


def _check(given: argparse.Namespace) -> int:
    held = measured(given, "check")
    goals: list[Any] = list(given.objective or ())
    if given.goals:
        goals.append(lab.read_objectives(given.goals))
    if not goals:
        raise ValueError("check needs --objective 'p95 < 200ms' or --goals FILE")
    checked = lab.check(held, goals, warmup=given.warmup, allow=tuple(given.allow or ()))
    say(checked)
    return EXIT_CODES[checked.verdict]
