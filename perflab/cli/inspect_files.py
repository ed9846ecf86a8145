"""Where a command takes its measurements from: files of any tool, or a store of runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import perflab as lab

READ = ("format", "timezone", "time_format", "transactions", "endpoint", "log_line_prefix", "unit", "sample_type")
"""Options of `read` that the shell has too."""


def reading_options(parser: argparse.ArgumentParser, *kinds: str, endpoint: bool = True) -> None:
    """What a file can't tell of itself; ``kinds`` are of "requests", "queries", "profiles"."""
    group = parser.add_argument_group("what a file can't tell")
    group.add_argument("--format", metavar="NAME", help="of the formats that README lists, where two claim a file")
    group.add_argument("--timezone", metavar="ZONE", help="Europe/Berlin, of times without a zone (UTC)")
    if "requests" in kinds:
        relative = "2026-01-31T12:00:00Z, of a tool that writes no absolute times; repeatable, one for each file"
        group.add_argument("--started", action="append", metavar="INSTANT", help=relative)
        group.add_argument("--time-format", metavar="FORMAT", help='of JMeter\'s times, like "%%d/%%m/%%Y %%H:%%M:%%S"')
        group.add_argument("--transactions", action="store_true", help="of JMeter the transactions, not their samples")
    if "requests" in kinds and endpoint:
        group.add_argument(
            "--endpoint", metavar="NAME", help='of hey, oha and ab: what was requested, like "GET /orders"'
        )
    if "queries" in kinds:
        group.add_argument(
            "--log-line-prefix", metavar="PREFIX", help="PostgreSQL's setting, where it can't be guessed"
        )
    if "profiles" in kinds:
        group.add_argument("--unit", help="of perf script: the event to take")
        group.add_argument("--sample-type", metavar="TYPE", help="of pprof: the values to take")


def read(given: argparse.Namespace, path: str | Sequence[str], **more: Any) -> lab.Measurements:
    """The files with the options that were given."""
    options = {name: value for name in (*READ, "started") if (value := getattr(given, name, None))}
    return lab.read(path, **options, **more)


def source_options(parser: argparse.ArgumentParser, *, arms: bool = False) -> None:
    """Files, or runs of a store."""
    parser.add_argument("path", nargs="*", help="files or folders of results")
    parser.add_argument("--store", help="take runs of this store")
    many: dict[str, Any] = {"action": "append", "help": "of the store: only this one; twice: before, then after"}
    parser.add_argument("--arm", **(many if arms else {"help": "of the store: only this one"}))
    parser.add_argument("--experiment", help="of the store: only this one")


def measured(given: argparse.Namespace, name: str) -> lab.Measurements:
    """What the files or the store hold; ``name`` is the command's."""
    if given.store:
        only = {column: value for column in ("arm", "experiment") if (value := getattr(given, column))}
        return lab.load(given.store, **only)
    if not given.path:
        raise ValueError(f"{name} needs files to read, or --store")
    return read(given, given.path)
