"""Commands that show evidence: read, ingest, queries, report."""

from __future__ import annotations

import argparse
from tempfile import TemporaryDirectory
from typing import Any

import perflab as lab
from perflab.cli.common import command, fraction
from perflab.cli.decide import read_sides, sides_options
from perflab.cli.inspect_files import options_of, reading_options
from perflab.cli.inspect_files import read as read_files
from perflab.cli.output import EXIT_CODES, say, table, wrote

_ONE_LOG = "the files are parts of one query log (rotated, compressed): keep them together under this name"
_UNPACKED = 10
"""How much larger a compressed log is, about."""


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    read = command(
        commands,
        "read",
        _read,
        "what a result file of another tool contains",
        "perflab read results.jtl",
        "perflab read k6.csv.gz",
    )
    read.add_argument("path", nargs="+", help="files, folders or patterns")
    reading_options(read, "requests", "queries", "profiles")
    ingest = command(
        commands,
        "ingest",
        _ingest,
        "put result files of another tool into a store of runs, as an arm",
        "perflab ingest before/*.csv --arm before",
        "perflab ingest results/*.jtl --arm eager --store runs --timezone Europe/Berlin",
        "perflab ingest postgresql.log* --run postgresql --store logs",
    )
    ingest.add_argument("path", nargs="+", help="files, folders or patterns; each file becomes a run")
    ingest.add_argument("--arm", help="the side of a later comparison that these runs are")
    ingest.add_argument("--store", default="runs", help="where the runs are kept (%(default)s)")
    ingest.add_argument("--run", metavar="NAME", help=_ONE_LOG)
    reading_options(ingest, "requests", "queries", "profiles")
    queries = command(
        commands,
        "queries",
        _queries,
        "N+1 queries and where the time goes, from a query log (exit code 1 if an N+1 was found)",
        "perflab queries queries.jsonl",
        "perflab queries postgresql.log* --run postgresql",
        "perflab queries runs/20261124-014503-now-7f3a",
        "perflab queries postgresql.log --log-line-prefix '%m [%p] '",
    )
    queries.add_argument(
        "path", nargs="+", help="query logs, or runs that recorded theirs (perflab run --record-queries)"
    )
    queries.add_argument(
        "--threshold", type=int, default=5, help="calls in a unit of work from which on a pattern counts (%(default)s)"
    )
    queries.add_argument("--top", type=int, default=10, help="statements to list (%(default)s)")
    queries.add_argument("--run", metavar="NAME", help=_ONE_LOG)
    reading_options(queries, "queries")
    report = command(
        commands,
        "report",
        _report,
        "Markdown and HTML on two sides, or on several arms of a store",
        'perflab report "n+1" eager --store runs -o report.md -o report.html --title "Orders are faster"',
        "perflab report before/*.csv after/*.csv -o report.html",
        "perflab report old cached indexed --store runs -o report.html",
    )
    sides_options(report)
    report.add_argument("--title", default="Before and after", help="headline (%(default)s)")
    report.add_argument("-o", "--output", action="append", required=True, help="report.md or report.html; repeatable")
    report.add_argument("--metric", default="p95", help="(%(default)s)")
    report.add_argument("--tolerance", default="5%", help="(%(default)s)")
    report.add_argument("--primary", help="endpoint that decides")
    reading_options(report, "requests")


def _read(given: argparse.Namespace) -> int:
    measured = read_files(given, given.path)
    summary: Any = lab.summarize(measured) if "requests" in measured.tables else None
    if summary is None and "summary" in measured.tables:
        summary = table("", measured.summary, ours=False)
    say(measured, summary)
    return 0


def _ingest(given: argparse.Namespace) -> int:
    for folder in lab.ingest(given.path, given.store, arm=given.arm, run=given.run, **options_of(given)):
        wrote(folder)
    return 0


def _queries(given: argparse.Namespace) -> int:
    with TemporaryDirectory(prefix="perflab-queries-") as folder:
        log = _log(given, folder)
        found = lab.find_n_plus_one(log if log.lazy else log.queries, threshold=given.threshold)
        top = lab.summarize_queries(log if log.lazy else log.queries).head(given.top)
    say(found, table("Where the time goes:", top, log.warnings))
    return 1 if found["evidence"].isin(["confirmed", "likely"]).any() else 0


def _log(given: argparse.Namespace, folder: str) -> lab.Measurements:
    """The logs; those that are too large to be in memory at once, by way of a store in this folder."""
    from perflab.data.sources import is_plain
    from perflab.formats import of_file
    from perflab.formats._log_joining import filled
    from perflab.formats._log_pieces import CUT, PIECE_BYTES
    from perflab.formats.reading import files

    named = files(given.path)
    logs = [file for file in named if file.is_file()]
    large = sum(file.stat().st_size * (1 if is_plain(file) else _UNPACKED) for file in logs) >= PIECE_BYTES
    if len(logs) < len(named) or not large or not {given.format or of_file(file) for file in filled(logs)} <= CUT:
        return read_files(given, given.path, run=given.run)
    for part, run in [(logs, given.run)] if given.run else [([file], file.name) for file in logs]:
        lab.ingest(part, folder, run=run, **options_of(given))
    return lab.load(folder, lazy=True)


def _report(given: argparse.Namespace) -> int:
    arms = read_sides(given)
    evidence, code = _evidence(arms, given)
    for path in given.output:
        wrote(lab.Report(given.title, evidence).save(path))
    return code


def _evidence(arms: list[lab.Measurements], given: argparse.Namespace) -> tuple[list[Any], int]:
    """What the report shows, and the exit code of its verdict."""
    evidence: list[Any] = [*arms]
    if any("requests" not in arm.tables for arm in arms):
        # A tool that reports percentiles only: they are shown, and there is nothing to decide from.
        return evidence, EXIT_CODES["inconclusive"]
    how: dict[str, Any] = {"metric": given.metric, "tolerance": fraction(given.tolerance)}
    result: Any
    if len(arms) > 2:
        result = lab.stats.compare_arms(arms, **how, **({"endpoint": given.primary} if given.primary else {}))
    else:
        result = lab.compare(arms[0], arms[1], **how, primary=given.primary or ())
    evidence.append(result)
    evidence += [lab.find_n_plus_one(arm if arm.lazy else arm.queries) for arm in arms if "queries" in arm.tables]
    evidence.append(lab.plot_ecdf(*arms))
    if len(arms) > 2:
        return evidence, 0
    return [*evidence, lab.plot_pairs(arms[0], arms[1])], EXIT_CODES[result.verdict]
