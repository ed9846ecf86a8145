"""Commands that decide: compare, check."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import perflab as lab
from perflab.cli.common import command, fraction
from perflab.cli.inspect_files import measured, only_valid, read, reading_options, source_options
from perflab.cli.output import decided, integration_options, say


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    compare = command(
        commands,
        "compare",
        _compare,
        "the verdict on two sets of results, or on several arms of a store",
        "perflab compare before/ after/ --metric p95",
        "perflab compare lazy/*.csv eager/*.csv",
        'perflab compare --store runs "n+1" eager --experiment 20261124-014503-7f3a',
    )
    sides_options(compare)
    decision_options(compare)
    compare.add_argument(
        "--order",
        default="auto",
        choices=("auto", "ignore"),
        help="ignore: reach a verdict even if one arm ran after the other",
    )
    only_valid(compare)
    compare.add_argument("--warmup", help="share of each run to leave out; the plan's, or 10%%")
    integration_options(compare)
    reading_options(compare, "requests")
    check = command(
        commands,
        "check",
        _check,
        "whether objectives hold, fail or are inconclusive",
        'perflab check results/ --objective "p95 of GET /orders < 200ms" --objective "error rate < 1%"',
        "perflab check --store runs --arm eager --goals INTERFACE.md --junit check.xml",
        'perflab check --store soak --objective "error rate < 0.1%" --budget',
    )
    source_options(check)
    objective_options(check)
    check.add_argument(
        "--budget",
        nargs="?",
        const="",
        metavar="WINDOW",
        help="show how much of each error budget was used, and how fast, by windows such as 5m",
    )
    check.add_argument("--warmup", help="share of each run to leave out; the plan's, or 10%%")
    check.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan", "arms"),
        help="check anyway, with a warning",
    )
    integration_options(check)
    reading_options(check, "requests")


def sides_options(parser: argparse.ArgumentParser) -> None:
    """Two or more sides: files of any tool, or arms of a store."""
    parser.add_argument(
        "sides", nargs="+", metavar="SIDE", help="files or folder of each side, or its arm with --store"
    )
    parser.add_argument(
        "--against", nargs="+", metavar="FILE", help="the candidate's files, where a pattern gives several"
    )
    parser.add_argument("--store", help="take the arms of this store")
    parser.add_argument("--experiment", help="of the store: only this one")


def objective_options(parser: argparse.ArgumentParser) -> None:
    """What must hold."""
    parser.add_argument("--objective", action="append", metavar="TEXT", help='like "p95 < 200ms"; repeatable')
    parser.add_argument(
        "--goals",
        metavar="FILE",
        help="a document with requirements (Markdown, pyproject.toml), or k6's options as JSON",
    )


def documents(given: argparse.Namespace) -> list[lab.objectives.Objectives]:
    """The document of --goals, read once."""
    if not getattr(given, "goals", None):
        return []
    if not hasattr(given, "documents"):
        given.documents = [lab.read_objectives(given.goals)]
    found: list[lab.objectives.Objectives] = given.documents
    return found


def decision_options(parser: argparse.ArgumentParser, *, compared: bool = True) -> None:
    """The options of a verdict; those of `compare` alone too, if ``compared``."""
    parser.add_argument("--metric", default="p95", help="p95 or any p<q>, mean, throughput_per_s, error_fraction")
    parser.add_argument("--tolerance", default="5%", help="smaller differences do not matter (%(default)s)")
    parser.add_argument("--primary", action="append", help="endpoint that decides; repeatable, up to three")
    if compared:
        pacing = "fixed time between the requests of a user, if there was one, for example 1s"
        parser.add_argument("--pacing", help=pacing)
    parser.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan", "length"),
        help="compare anyway, with a warning",
    )


def _compare(given: argparse.Namespace) -> int:
    arms = read_sides(given)
    if given.only_valid:
        arms = [arm.where(valid=True) for arm in arms]
    if len(arms) > 2:
        return _compare_arms(arms, given)
    return judge(arms[0], arms[1], given, order=given.order, warmup=given.warmup)


def _compare_arms(arms: Sequence[lab.Measurements], given: argparse.Namespace) -> int:
    """Print the order of several arms; there is no one verdict, so the exit code is that of an answer."""
    if len(given.primary or ()) > 1:
        raise ValueError("several arms are compared on one endpoint: give --primary once")
    if given.pacing:
        raise ValueError("--pacing is for two arms: compare them two by two")
    endpoint = {"endpoint": given.primary[0]} if given.primary else {}
    found = lab.stats.compare_arms(
        arms,
        metric=given.metric,
        tolerance=fraction(given.tolerance),
        order=given.order,
        warmup=given.warmup,
        allow=tuple(given.allow or ()),
        **endpoint,
    )
    return decided(given, found)


def read_sides(given: argparse.Namespace) -> list[lab.Measurements]:
    """The arms of a store, or the files of two sides."""
    if given.store:
        if given.against:
            raise ValueError("with --store, name the arms one after another; --against is for files")
        if len(given.sides) < 2:
            raise ValueError(f"--store needs two arms or more; got {given.sides[0]!r} alone")
        runs = lab.load(given.store, **({"experiment": given.experiment} if given.experiment else {}))
        return [runs.where(arm=arm) for arm in given.sides]
    return _read_both(given)


def _read_both(given: argparse.Namespace) -> list[lab.Measurements]:
    """Both sides from files; --started has an instant for each of the baseline's, then for each of the candidate's."""
    from perflab.formats.reading import files

    both = (given.sides, given.against) if given.against else in_two(given.sides)
    started, first, second = given.started, len(files(both[0])), len(files(both[1]))
    if started and len(started) != first + second:
        raise ValueError(
            f"--started must be given for each of {first + second} files, the baseline's first; got {len(started)}"
        )
    sides = []
    for arm, paths, own in zip(("baseline", "candidate"), both, (slice(None, first), slice(first, None)), strict=True):
        given.started = started and started[own]
        sides.append(read(given, paths, arm=arm))
    return sides


def in_two(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The two sides of paths that a shell made of two patterns: by folder, or by name without its numbers.

    >>> in_two(["lazy/1.csv", "lazy/2.csv", "eager/1.csv"]), in_two(["a-1.jtl", "a-2.jtl", "b-1.jtl", "b-2.jtl"])
    ((['lazy/1.csv', 'lazy/2.csv'], ['eager/1.csv']), (['a-1.jtl', 'a-2.jtl'], ['b-1.jtl', 'b-2.jtl']))
    """
    if len(paths) == 2:
        return [paths[0]], [paths[1]]
    folders = [str(Path(path).parent) for path in paths]
    names = [str(Path(path).with_name(re.sub(r"\d+", "", Path(path).name) or "-")) for path in paths]
    for keys in (folders, names):
        turns = [place for place in range(1, len(keys)) if keys[place] != keys[place - 1]]
        if len(turns) == 1:
            return list(paths[: turns[0]]), list(paths[turns[0] :])
    raise ValueError(
        f"compare needs two sides; neither folder nor name divides the {len(paths)} given into two. Quote each pattern "
        "('before-*.csv' 'after-*.csv'), or put --against in front of the candidate's"
    )


def judge(before: lab.Measurements, after: lab.Measurements, given: argparse.Namespace, **how: Any) -> int:
    """Print the verdict on two arms; returns its exit code."""
    return decided(given, lab.compare(before, after, **decision(given), **how))


def decision(given: argparse.Namespace) -> dict[str, Any]:
    """The options of `compare`."""
    options: dict[str, Any] = {"metric": given.metric, "tolerance": fraction(given.tolerance), "pacing": given.pacing}
    if given.primary:
        options["primary"] = given.primary
    if given.allow:
        options["allow"] = tuple(given.allow)
    return options


def _check(given: argparse.Namespace) -> int:
    held = measured(given, "check")
    goals: list[Any] = [*(given.objective or ()), *documents(given)]
    if not goals:
        raise ValueError("check needs --objective 'p95 < 200ms' or --goals FILE")
    checked = lab.check(held, goals, warmup=given.warmup, allow=tuple(given.allow or ()))
    code = decided(given, checked)
    if given.budget is not None:
        say(lab.objectives.error_budget(held, goals, window=given.budget or None, warmup=given.warmup))
    return code
