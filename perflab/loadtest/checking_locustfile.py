"""Reports errors in a locustfile by file and line. Runs inside Locust, whose own report is a traceback of itself;
standard library only."""

from __future__ import annotations

import ast
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from perflab.loadtest.records import BAD_LOCUSTFILE

REPORT = "locustfile.txt"
"""In the generator's folder: the error in one line, then its cause."""
_FOREIGN = ("-packages/locust/", "-packages/gevent/", "/perflab/loadtest/", "<frozen ")


def guarded(
    load: Callable[[list[str]], Any],
    folder: Path,
    wanted: Collection[str],
    differing: Callable[[dict[str, Any]], dict[str, str]] = lambda found: {},
) -> Callable[[list[str]], Any]:
    """Wrap Locust's loader of locustfiles: it ends the process with a report where the file is at fault."""

    def loaded(paths: list[str]) -> Any:
        try:
            found = load(paths)
        except (Exception, SystemExit) as problem:
            if report := next(filter(None, (blamed(problem, path) for path in paths)), None):
                _end(folder, report)
            raise
        if report := lacking(found[0], wanted, paths[0]):
            _end(folder, report)
        if hosts := differing({name: c for name, c in found[0].items() if name in wanted or not wanted}):
            listed = ", ".join(f"{name} {host}" for name, host in hosts.items())
            _end(folder, f"{paths[0]}: the user classes have different hosts ({listed}) and none is the target's; make one "
                 "of them the target's host, or choose the classes with user_classes=")  # fmt: skip
        return found

    return loaded


def misspelt(path: str) -> str | None:
    """The report on a locustfile that is not valid Python, before anything is started."""
    with warnings.catch_warnings(action="ignore"):
        try:
            ast.parse(Path(path).read_bytes(), path)
        except SyntaxError as problem:
            return blamed(problem, path)
    return None


def blamed(problem: BaseException, path: str) -> str | None:
    """The report on an error in loading this locustfile; None where the file is not at fault."""
    raised = traceback.TracebackException.from_exception(problem)
    own = [number for number, frame in enumerate(raised.stack) if frame.filename == path]
    at, line = path, raised.stack[own[-1]].lineno if own else None
    if isinstance(problem, SyntaxError) and problem.filename and (own or problem.filename == path):
        at, line = problem.filename, problem.lineno
    elif not own:
        return None
    frames = raised.stack[own[0] :] if own else []
    raised.stack = traceback.StackSummary.from_list(f for f in frames if not f.filename.startswith("<frozen "))
    what = f"{type(problem).__name__}: {problem.msg if isinstance(problem, SyntaxError) else problem}"
    return f"{at}:{line}: the locustfile can't be loaded: {what}{_advice(problem)}\n" + "".join(
        raised.format(chain=False)
    )


def _advice(problem: BaseException) -> str:
    if isinstance(problem, ModuleNotFoundError):
        return f"; expected next to the locustfile, or installed in the Python that runs perflab ({sys.executable})"
    return ""


def lacking(users: Mapping[str, Any], wanted: Iterable[str], path: str) -> str | None:
    """The report on a locustfile without user classes, or without those that the plan names."""
    if not users:
        try:
            classes = [node.name for node in ast.parse(Path(path).read_bytes()).body if isinstance(node, ast.ClassDef)]
        except (OSError, SyntaxError):
            classes = []
        found = f"{', '.join(classes)}, which is not a user class or is abstract" if classes else "no class"
        return f"{path}: expected a user class, such as `class Visitor(FastHttpUser)` with a @task; found {found}"
    missing = [each for each in wanted if each not in users]
    if missing:
        plural = "es" if len(missing) > 1 else ""
        return f"{path}: expected the plan's user class{plural} {', '.join(missing)}; found {', '.join(users)}"
    return None


def _end(folder: Path, report: str) -> NoReturn:
    half = folder / f".{REPORT}.{id(report)}"
    half.write_text(report, encoding="utf-8")
    half.replace(folder / REPORT)
    print(report, file=sys.stderr, flush=True)  # noqa: T201 - users look in Locust's log
    raise SystemExit(BAD_LOCUSTFILE)


def report_in(folder: Path) -> tuple[str, str] | None:
    """The error in one line and its cause, if a process of this folder reported one."""
    try:
        return parts((folder / REPORT).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def parts(report: str) -> tuple[str, str]:
    """The error in one line, and its cause."""
    first, _, cause = report.partition("\n")
    return first, cause


def last_traceback(log: str) -> str:
    """The last traceback in a log, without Locust's frames; empty where no frame is the locustfile's."""
    _, mark, rest = log.rpartition("Traceback (most recent call last):\n")
    kept: list[str] = []
    foreign = False
    for line in rest.splitlines() if mark else ():
        if line.startswith("  File "):
            foreign = any(part in line for part in _FOREIGN)
        if not line.startswith("  "):
            return "\n".join([*kept, line]) if kept else ""
        if not foreign:
            kept.append(line)
    return ""
