"""Where a command takes its measurements from: files of any tool, or a store of runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import perflab as lab

READ = ("format", "timezone", "time_format", "transactions", "endpoint", "log_line_prefix", "unit", "sample_type")
"""Options of `read` that the shell has too."""


def reading_options(parser: argparse.ArgumentParser, *kinds: str, endpoint: bool = True) -> None:
    """Options of the readers; ``kinds`` are of "requests", "queries", "profiles"."""
    group = parser.add_argument_group("reader options")
    group.add_argument("--format", metavar="NAME", help="the format, one of those in the README, if two match the file")
    group.add_argument(
        "--timezone", metavar="ZONE", help="zone of times that name none, for example Europe/Berlin (UTC)"
    )
    if "requests" in kinds:
        relative = (
            "start of a file that holds relative times, for example 2026-01-31T12:00:00Z; repeatable, one for each file"
        )
        group.add_argument("--started", action="append", metavar="INSTANT", help=relative)
        group.add_argument(
            "--time-format", metavar="FORMAT", help='JMeter: format of the times, for example "%%d/%%m/%%Y %%H:%%M:%%S"'
        )
        group.add_argument("--transactions", action="store_true", help="JMeter: read transactions, not their samples")
    if "requests" in kinds and endpoint:
        group.add_argument(
            "--endpoint", metavar="NAME", help='hey, oha, ab: what was requested, for example "GET /orders"'
        )
    if "queries" in kinds:
        group.add_argument(
            "--log-line-prefix", metavar="PREFIX", help="PostgreSQL's log_line_prefix, if it cannot be detected"
        )
    if "queries" in kinds or "profiles" in kinds:
        units = "structured logs: the unit of durations that name none (ns, us, ms, s); perf script: the event to read"
        group.add_argument("--unit", help=units)
    if "profiles" in kinds:
        group.add_argument("--sample-type", metavar="TYPE", help="pprof: the sample type to read")


def read(given: argparse.Namespace, path: str | Sequence[str], **more: Any) -> lab.Measurements:
    """The files with the options that were given."""
    return lab.read(path, **options_of(given), **more)


def options_of(given: argparse.Namespace) -> dict[str, Any]:
    """The reader options that were given."""
    return {name: value for name in (*READ, "started") if (value := getattr(given, name, None))}


def source_options(parser: argparse.ArgumentParser, *, arms: bool = False) -> None:
    """Files, or runs of a store."""
    parser.add_argument("path", nargs="*", help="files or folders of results")
    parser.add_argument("--store", help="read the runs of this store")
    many: dict[str, Any] = {"action": "append", "help": "with --store: only this arm; twice: before, then after"}
    parser.add_argument("--arm", **(many if arms else {"help": "with --store: only this arm"}))
    parser.add_argument("--experiment", help="with --store: only this experiment")
    only_valid(parser)


def only_valid(parser: argparse.ArgumentParser) -> None:
    """The option that leaves out runs which are not valid."""
    parser.add_argument("--only-valid", action="store_true", help="leave out invalid runs, such as interrupted ones")


def measured(given: argparse.Namespace, name: str) -> lab.Measurements:
    """What the files or the store hold; ``name`` is the command's."""
    if given.store:
        only = {column: value for column in ("arm", "experiment") if (value := getattr(given, column))}
        held = lab.load(given.store, **only)
    elif not given.path:
        raise ValueError(f"{name} needs files to read, or --store")
    else:
        held = read(given, given.path)
    return held.where(valid=True) if getattr(given, "only_valid", False) else held
