"""Commands that show evidence: read, queries, report."""

from __future__ import annotations

import argparse
from typing import Any

import perflab as lab
from perflab.cli.common import EXIT_CODES, command, fraction, say, table
from perflab.cli.inspect_files import read as read_files
from perflab.cli.inspect_files import reading_options


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
    queries = command(
        commands,
        "queries",
        _queries,
        "N+1 queries and where the time goes, from a query log (exit code 1 if an N+1 was found)",
        "perflab queries queries.jsonl",
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
    reading_options(queries, "queries")
    report = command(
        commands,
        "report",
        _report,
        "Markdown and HTML on two arms of a store",
        'perflab report runs "n+1" eager -o report.md -o report.html --title "Orders are faster"',
    )
    report.add_argument("store", help="the folder of runs")
    report.add_argument("baseline", help="arm of the baseline")
    report.add_argument("candidate", help="arm of the candidate")
    report.add_argument("--experiment", help="only this experiment")
    report.add_argument("--title", default="Before and after", help="headline (%(default)s)")
    report.add_argument("-o", "--output", action="append", required=True, help="report.md or report.html; repeatable")
    report.add_argument("--metric", default="p95", help="(%(default)s)")
    report.add_argument("--tolerance", default="5%", help="(%(default)s)")


def _read(given: argparse.Namespace) -> int:
    measured = read_files(given, given.path)
    summary: Any = lab.summarize(measured) if "requests" in measured.tables else None
    if summary is None and "summary" in measured.tables:
        summary = table("", measured.summary, ours=False)
    say(measured, summary)
    return 0


def _queries(given: argparse.Namespace) -> int:
    log = read_files(given, given.path)
    found = lab.find_n_plus_one(log.queries, threshold=given.threshold)
    top = lab.summarize_queries(log.queries).head(given.top)
    say(found, table("Where the time goes:", top, log.warnings))
    return 1 if found["evidence"].isin(["confirmed", "likely"]).any() else 0


def _report(given: argparse.Namespace) -> int:
    only = {"experiment": given.experiment} if given.experiment else {}
    runs = lab.load(given.store, **only)
    before, after = runs.where(arm=given.baseline), runs.where(arm=given.candidate)
    change = lab.compare(before, after, metric=given.metric, tolerance=fraction(given.tolerance))
    evidence: list[Any] = [before, after, change]
    for side in (before, after):
        if "queries" in side.tables:
            evidence.append(lab.find_n_plus_one(side.queries))
    evidence += [lab.plot_ecdf(before, after), lab.plot_pairs(before, after)]
    for path in given.output:
        print(lab.Report(given.title, evidence).save(path))
    return EXIT_CODES[change.verdict]
