"""The command line: parse, call, print.

Exit codes: 0 holds, improved or equivalent; 1 regressed or failed; 2 inconclusive; 3 an error.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import perflab as lab

SHAPES = ("smoke", "average load", "stress", "spike", "soak", "breakpoint")

EXIT_CODES = {"improved": 0, "equivalent": 0, "holds": 0, "regressed": 1, "fails": 1, "inconclusive": 2}
ERROR = 3
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """argparse ends with 2 on bad usage, which here means "inconclusive"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ERROR, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.call(parsed))
    except (lab.PerflabError, ValueError) as problem:
        print(f"perflab: {problem}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt as stop:
        print(f"\nperflab: {stop or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED


def _demo(given: argparse.Namespace) -> int:
    from perflab.demo.investigation import investigate

    found = investigate(given.folder, pairs=given.pairs, seconds=given.seconds, seed=given.seed)
    print(found)
    return EXIT_CODES[found.change.verdict]


def _run(given: argparse.Namespace) -> int:
    plan = _plan(given)
    target = _target(given, "run", given.host, given.command, given.env)
    measured = lab.run(plan, target, store=given.store)
    print(measured)
    print()
    print(lab.summarize(measured))
    if not bool(measured.runs["valid"].all()):
        return 1
    if not plan.objectives:
        return 0
    checked = lab.check(measured, plan.objectives)
    print("", checked, sep="\n")
    return EXIT_CODES[checked.verdict]


def _check_url(given: argparse.Namespace) -> int:
    parts = urlsplit(given.url)
    target = lab.Target(parts.hostname or "?", host=f"{parts.scheme}://{parts.netloc}", ready=given.ready)
    headers = _named(given.header, "--header")
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
    checks = lab.summarize_checks(measured) if "checks" in measured.tables else None
    print(measured, _shown("", lab.summarize(measured).drop(columns="run")), sep="\n\n")
    if checks is not None:
        print("", _shown("", checks.drop(columns="run")), sep="\n")
    held = checks is None or bool((checks["passed"] == checks["count"]).all())
    return 0 if held and bool(measured.requests["ok"].all()) and bool(measured.runs["valid"].all()) else 1


def _stages(given: argparse.Namespace) -> tuple[lab.Stage, ...]:
    """What --users or --rate, --shape and --duration say."""
    if given.users is not None and given.rate is not None:
        raise ValueError("give either --users (closed model) or --rate (open model), not both")
    users = None if given.rate is not None else 10 if given.users is None else given.users
    if given.shape:
        return lab.shape(given.shape, users=users, rate=given.rate, duration=given.duration)
    return (lab.Stage(given.duration or "30s", users=users, rate=given.rate),)


def _named(entries: Sequence[str] | None, option: str) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries or ()]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError(f"{option} must be NAME=VALUE; got {', '.join(entries or ())}")
    return {name: value for name, _, value in pairs}


def _pairs(given: argparse.Namespace) -> int:
    baseline = _side(given, "baseline")
    candidate = _side(given, "candidate")
    before, after = lab.run_pairs(
        _plan(given),
        baseline,
        candidate,
        pairs=given.pairs,
        looks=_looks(given.looks),
        metric=given.metric,
        tolerance=_fraction(given.tolerance),
        primary=tuple(given.primary or ()),
        seed=given.seed,
        store=given.store,
    )
    return _judge(before, after, given)


def _looks(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise ValueError(f"--looks must be numbers of pairs like 5,10,15,20; got {text!r}") from None


def _compare(given: argparse.Namespace) -> int:
    if given.store:
        only = {"experiment": given.experiment} if given.experiment else {}
        runs = lab.load(given.store, **only)
        before, after = runs.where(arm=given.baseline), runs.where(arm=given.candidate)
        for arm, side in ((given.baseline, before), (given.candidate, after)):
            if not len(side.runs):
                arms = ", ".join(sorted(runs.runs["arm"].dropna().unique()))
                raise ValueError(f"the store {given.store} has no runs of arm {arm!r}; it has {arms}")
    else:
        before, after = lab.read(given.baseline, arm="baseline"), lab.read(given.candidate, arm="candidate")
    return _judge(before, after, given)


def _judge(before: lab.Measurements, after: lab.Measurements, given: argparse.Namespace) -> int:
    options: dict[str, Any] = {"metric": given.metric, "tolerance": _fraction(given.tolerance)}
    if given.primary:
        options["primary"] = given.primary
    if given.allow:
        options["allow"] = tuple(given.allow)
    change = lab.compare(before, after, **options)
    print(change)
    return EXIT_CODES[change.verdict]


def _fraction(text: str) -> float:
    from perflab.units import parse_fraction

    return parse_fraction(text, parameter="--tolerance")


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


def _read(given: argparse.Namespace) -> int:
    measured = lab.read(given.path)
    print(measured)
    if "requests" in measured.tables:
        print()
        print(lab.summarize(measured))
    elif "summary" in measured.tables:
        print()
        print(measured.summary.to_string(index=False))
    return 0


def _queries(given: argparse.Namespace) -> int:
    options = {"log_line_prefix": given.log_line_prefix} if given.log_line_prefix else {}
    queries = lab.read(given.path, **options).queries
    found = lab.find_n_plus_one(queries, threshold=given.threshold)
    print(_shown(found.attrs.get("sentence", ""), found))
    print()
    print(_shown("Where the time goes:", lab.summarize_queries(queries).head(given.top)))
    return 1 if found["evidence"].isin(["confirmed", "likely"]).any() else 0


def _report(given: argparse.Namespace) -> int:
    only = {"experiment": given.experiment} if given.experiment else {}
    runs = lab.load(given.store, **only)
    before, after = runs.where(arm=given.baseline), runs.where(arm=given.candidate)
    change = lab.compare(before, after, metric=given.metric, tolerance=_fraction(given.tolerance))
    evidence: list[Any] = [before, after, change]
    for side in (before, after):
        if "queries" in side.tables:
            evidence.append(lab.find_n_plus_one(side.queries))
    evidence += [lab.plot_ecdf(before, after), lab.plot_pairs(before, after)]
    for path in given.output:
        print(lab.Report(given.title, evidence).save(path))
    return EXIT_CODES[change.verdict]


def _new(given: argparse.Namespace) -> int:
    print(lab.new_notebook(given.title, given.folder))
    return 0


def _execute(given: argparse.Namespace) -> int:
    parameters = {name: _literal(value) for name, value in given.parameter or ()}
    print(lab.execute_notebook(given.notebook, given.output, parameters=parameters, progress=sys.stderr.isatty()))
    return 0


def _literal(text: str) -> Any:
    """A number or a truth value where the text is one, else the text: what papermill's own command does."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _export(given: argparse.Namespace) -> int:
    print(lab.export(given.notebook, given.output))
    return 0


def _shown(sentence: str, frame: Any) -> str:
    from perflab import rendering

    return rendering.text(sentence, frame)


def _plan(given: argparse.Namespace) -> lab.LoadPlan:
    options: dict[str, Any] = {
        "warmup": given.warmup,
        "user_classes": given.user_class or (),
        "seed": given.seed,
        "workers": given.workers,
        "arrivals": given.arrivals,
        **({"objectives": goals} if (goals := getattr(given, "objective", None)) else {}),
    }
    if not given.k6:
        return lab.LoadPlan(given.locustfile, stages=_stages(given), **options)
    said = [name for name in ("users", "rate", "shape", "duration") if getattr(given, name) is not None]
    if said:
        raise ValueError(f"--k6 says the load; leave out {', '.join('--' + name for name in said)}")
    return lab.LoadPlan.from_k6(given.locustfile, given.k6.read_text(encoding="utf-8"), **options)


def _side(given: argparse.Namespace, side: str) -> lab.Target:
    arm, _, host = getattr(given, side).partition("=")
    if not host:
        raise ValueError(f"--{side} must be ARM=URL, for example eager=http://127.0.0.1:8002; got {arm!r}")
    return _target(given, arm, host, getattr(given, f"{side}_command"), getattr(given, f"{side}_env"))


def _target(
    given: argparse.Namespace, arm: str, host: str, command: str | None, env: Sequence[str] | None
) -> lab.Target:
    return lab.Target(
        getattr(given, "arm", None) or arm,
        host=host,
        command=shlex.split(command) if command else (),
        env=_named(env, "an environment variable"),
        ready=given.ready,
    )


def parser() -> argparse.ArgumentParser:
    made = _Parser(
        prog="perflab",
        description="Did p95 really get better, and why was it slow?",
        epilog="Exit codes: 0 improved, equivalent or holds; 1 regressed or failed; 2 inconclusive; 3 error.",
    )
    made.add_argument("--version", action="version", version=f"perflab {lab.__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    demo = _command(commands, "demo", _demo, "measure a real shop before and after its N+1 is fixed", "perflab demo")
    demo.add_argument("--folder", default="runs/demo", help="where everything is written (%(default)s)")
    demo.add_argument("--pairs", type=int, default=6, help="pairs of runs (%(default)s)")
    demo.add_argument("--seconds", type=float, default=8.0, help="length of a run (%(default)s)")
    demo.add_argument("--seed", type=int, default=20, help="of the order of the runs (%(default)s)")
    run = _command(
        commands,
        "run",
        _run,
        "one run of a locustfile",
        "perflab run locustfile.py --host http://127.0.0.1:8000 --users 20 --duration 1m",
        'perflab run locustfile.py --host http://127.0.0.1:8000 --command "python app.py" --ready /health',
    )
    _load_options(run)
    run.add_argument("--host", required=True, help="base URL of the target")
    run.add_argument("--command", help="start the target with this command, and stop it at the end")
    run.add_argument("--env", action="append", metavar="NAME=VALUE", help="environment of the command")
    run.add_argument("--objective", action="append", metavar="TEXT", help='to check at the end, like "p95 < 200ms"')
    run.add_argument("--arm", help="the name of this side of a later comparison")
    quick = _command(
        commands,
        "check-url",
        _check_url,
        "load on one URL without a locustfile (exit code 1 if a request or a check failed)",
        "perflab check-url http://127.0.0.1:8000/api --users 10 --duration 30s",
        "perflab check-url http://127.0.0.1:8000/api --rate 50 --contains total --max-duration 300ms",
    )
    quick.add_argument("url", help="what to ask for")
    _stage_options(quick)
    quick.add_argument("--wait", default="0s", help="how long each user waits before it asks again (%(default)s)")
    quick.add_argument("--method", default="GET", help="(%(default)s)")
    quick.add_argument("--body", help="of the request")
    quick.add_argument("--header", action="append", metavar="NAME=VALUE", help="of the request; repeatable")
    quick.add_argument("--status", type=int, default=200, help="check: the answer's status (%(default)s)")
    quick.add_argument("--contains", help="check: the body contains this text")
    quick.add_argument("--max-duration", help="check: the answer takes no longer, for example 300ms")
    quick.add_argument("--ready", help="path that answers once the target can take load")
    quick.add_argument("--store", default="runs", help="where the run is kept (%(default)s)")
    pairs = _command(
        commands,
        "pairs",
        _pairs,
        "randomised, interleaved pairs of runs, and the verdict",
        "perflab pairs locustfile.py --baseline old=http://127.0.0.1:8001 --candidate new=http://127.0.0.1:8002",
    )
    _load_options(pairs)
    pairs.add_argument("--pairs", type=int, default=10, help="how many (%(default)s)")
    pairs.add_argument("--looks", metavar="N,N", help="after which pairs to look, and end if it is decided: 5,10,15,20")
    for side in ("baseline", "candidate"):
        pairs.add_argument(f"--{side}", required=True, metavar="ARM=URL", help=f"the {side}")
        pairs.add_argument(f"--{side}-command", help=f"start the {side} with this command for each run")
        pairs.add_argument(f"--{side}-env", action="append", metavar="NAME=VALUE", help="environment of its command")
    _decision_options(pairs)
    compare = _command(
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
    _decision_options(compare)
    check = _command(
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
    read = _command(
        commands,
        "read",
        _read,
        "what a file of another tool holds",
        "perflab read results.jtl",
        "perflab read k6.csv.gz",
    )
    read.add_argument("path", nargs="+", help="files, folders or patterns")
    queries = _command(
        commands,
        "queries",
        _queries,
        "N+1 and where the time goes, from a query log (exit code 1 if an N+1 was found)",
        "perflab queries queries.jsonl",
        "perflab queries postgresql.log --log-line-prefix '%m [%p] '",
    )
    queries.add_argument("path", nargs="+", help="query logs")
    queries.add_argument("--threshold", type=int, default=5, help="calls in a unit of work that count (%(default)s)")
    queries.add_argument("--top", type=int, default=10, help="statements to list (%(default)s)")
    queries.add_argument("--log-line-prefix", help="PostgreSQL's setting, where it can't be guessed")
    _notebook_commands(commands)
    report = _command(
        commands,
        "report",
        _report,
        "Markdown and HTML on two arms of a store",
        'perflab report runs "n+1" eager -o report.md -o report.html --title "Orders are faster"',
    )
    report.add_argument("store", help="the folder of runs")
    report.add_argument("baseline", help="arm of the baseline")
    report.add_argument("candidate", help="arm of the candidate")
    report.add_argument("--experiment", help="only this one")
    report.add_argument("--title", default="Before and after", help="headline (%(default)s)")
    report.add_argument("-o", "--output", action="append", required=True, help="report.md or report.html; repeatable")
    report.add_argument("--metric", default="p95", help="(%(default)s)")
    report.add_argument("--tolerance", default="5%", help="(%(default)s)")
    return made


def _notebook_commands(commands: Any) -> None:
    new = _command(
        commands, "new", _new, "begin an investigation: a notebook to fill in", 'perflab new "Is checkout faster?"'
    )
    new.add_argument("title", help="the question; the file is named after it")
    new.add_argument("--folder", default=".", help="where it goes (%(default)s)")
    execute = _command(
        commands,
        "execute",
        _execute,
        "run a notebook from top to bottom and keep its output",
        "perflab execute investigation.ipynb",
        "perflab execute investigation.ipynb -p store runs -p candidate eager -o result.ipynb",
    )
    execute.add_argument("notebook", help="the notebook")
    execute.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        metavar=("NAME", "VALUE"),
        help='for the cell tagged "parameters"',
    )
    execute.add_argument("-o", "--output", help="where the executed notebook goes; over the original if not given")
    export = _command(
        commands,
        "export",
        _export,
        "one HTML file of a notebook, for readers without a kernel or a network",
        "perflab export investigation.ipynb investigation.html",
    )
    export.add_argument("notebook", help="the executed notebook")
    export.add_argument("output", help="the HTML file")


def _command(commands: Any, name: str, call: Any, what: str, *examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="examples:\n  " + "\n  ".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(call=call)
    return parser


def _stage_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=int, help="simulated users, each waiting for its answer (10)")
    parser.add_argument("--rate", type=float, help="instead: arrivals a second, whatever the target does (open model)")
    parser.add_argument(
        "--shape", choices=SHAPES, help="up, hold and down as usual for such a test, with the load on top"
    )
    parser.add_argument("--duration", help="length of a run (30s; the usual one of a shape)")


def _load_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("locustfile", help="file with the user classes")
    _stage_options(parser)
    parser.add_argument(
        "--k6", type=Path, metavar="FILE", help="take the load from the options of a k6 script, or JSON"
    )
    parser.add_argument(
        "--arrivals", default="constant", choices=("constant", "poisson"), help="with --rate (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that make the load (%(default)s)")
    parser.add_argument("--warmup", default="10%", help="share or length left out of decisions (%(default)s)")
    parser.add_argument("--user-class", action="append", help="only this class; repeatable")
    parser.add_argument("--seed", type=int, help="of the users' choices, and of the order of pairs")
    parser.add_argument("--ready", help="path that answers once the target can take load")
    parser.add_argument("--store", default="runs", help="where runs are kept (%(default)s)")


def _decision_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metric", default="p95", help="p95 or any p<q>, mean, throughput_per_s, error_fraction")
    parser.add_argument("--tolerance", default="5%", help="differences below this do not matter (%(default)s)")
    parser.add_argument("--primary", action="append", help="endpoint that decides; repeatable, up to three")
    parser.add_argument(
        "--allow",
        action="append",
        choices=("invalid", "generator", "plan"),
        help="compare all the same, with a warning",
    )
