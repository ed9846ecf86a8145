"""IPython magics, after ``%load_ext perflab``: `%%queries`, `%%profile_cell`, `%loadtest`.

    %%queries [--threshold 5]                 the SQL that the cell runs, and its N+1 patterns
    %%profile_cell [--top 15]                 where the cell's time goes, by function
    %loadtest URL [--users 10] [--duration 10s] [--store runs]      a quick run against one URL

Each result is displayed below the cell; ``_`` holds it, as after any expression. The cell itself runs as any other: an error
in it stops the notebook, and it may use ``await``.
"""

from __future__ import annotations

import argparse
import cProfile
import shlex
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display

import perflab as lab
from perflab.recorders import context
from perflab.recorders.dbapi import RecordedConnection
from perflab.recorders.log import QueryLog
from perflab.results import findings
from perflab.units import format_fraction, format_ms

_CONNECTION = ("cursor", "commit", "rollback", "close")


_AROUND = ("queries", "profile_cell")


def load_ipython_extension(shell: Any) -> None:
    """The hook of ``%load_ext perflab``."""
    shell.register_magics(PerflabMagics)
    transformers = shell.input_transformers_cleanup
    names = [getattr(each, "__name__", "") for each in transformers]
    if _begun_first.__name__ not in names:
        transformers.insert(names.index("cell_magic") if "cell_magic" in names else 0, _begun_first)


def _begun_first(lines: list[str]) -> list[str]:
    """Turn the magic on a cell's first line into a call, and leave the cell to IPython: so it may fail and may await."""
    name, _, options = lines[0].rstrip().removeprefix("%%").partition(" ") if lines else ("", "", "")
    if not lines or not lines[0].startswith("%%") or name not in _AROUND:
        return lines
    return [_beginning(name, options), *lines[1:]]


def _beginning(name: str, options: str) -> str:
    return f"get_ipython().run_line_magic('perflab_begin', {f'{name} {options}'!r})\n"


class _Options(argparse.ArgumentParser):
    """Options of a magic: an error is a UsageError with the usage, and never exits the kernel."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().strip()}")

    def parse(self, line: str) -> argparse.Namespace:
        try:
            return self.parse_args(shlex.split(line))
        except ValueError as problem:
            raise UsageError(str(problem)) from None
        except SystemExit:
            raise UsageError(self.format_help()) from None


@magics_class
class PerflabMagics(Magics):
    """The magics of perflab."""

    shell: Any

    @cell_magic
    def queries(self, line: str, cell: str) -> None:
        """Run the cell, record the SQL that it sends, and find its N+1 patterns.

        All SQLAlchemy engines are recorded, and the DB-API connections in the notebook's variables. The cell is one unit of
        work. A connection that the cell itself opens without SQLAlchemy is not recorded: open it in an earlier cell.
        """
        self._run("queries", line, cell)

    @cell_magic
    def profile_cell(self, line: str, cell: str) -> None:
        """Run the cell under cProfile and show its functions, most self time first."""
        self._run("profile_cell", line, cell)

    def _run(self, name: str, line: str, cell: str) -> None:
        """Only for code that calls the magic by name: in a notebook `_begun_first` comes before it."""
        self.shell.run_cell(_beginning(name, line) + cell).raise_error()

    @line_magic
    def perflab_begin(self, line: str) -> None:
        """What is left of %%queries and %%profile_cell once the cell runs."""
        name, _, options = line.partition(" ")
        finish = self._profiling(options) if name == "profile_cell" else self._recording(options)

        def ended(outcome: Any) -> None:
            self.shell.events.unregister("post_run_cell", ended)
            result = finish(bool(outcome.success))
            if result is not None:
                display(result)
                self.shell.displayhook._ = self.shell.user_ns["_"] = result

        self.shell.events.register("post_run_cell", ended)

    def _recording(self, line: str) -> Callable[[bool], pd.DataFrame | None]:
        options = _Options(prog="%%queries", description="The SQL of a cell, and its N+1 patterns.")
        options.add_argument("--threshold", type=int, default=5, help="calls that count (%(default)s)")
        given = options.parse(line)
        folder = tempfile.TemporaryDirectory(prefix="perflab-cell-")
        log = QueryLog(Path(folder.name) / "queries.jsonl")
        undo = _recorded(self.shell.user_ns, log)

        def finish(success: bool) -> pd.DataFrame | None:
            with folder:
                undo.close()
                log.close()
                return _found(log.path, given.threshold) if success else None

        return finish

    def _profiling(self, line: str) -> Callable[[bool], pd.DataFrame | None]:
        options = _Options(prog="%%profile_cell", description="Where a cell's time goes.")
        options.add_argument("--top", type=int, default=15, help="functions to show (%(default)s)")
        given = options.parse(line)
        profiler = cProfile.Profile()

        def finish(success: bool) -> pd.DataFrame | None:
            profiler.disable()
            return _heaviest(profiler, given.top) if success else None

        profiler.enable()
        return finish

    @line_magic
    def loadtest(self, line: str) -> lab.Measurements:
        """Make a short run against one URL of a running service; the run is stored."""
        options = _Options(prog="%loadtest", description="A quick run against one URL.")
        options.add_argument("url", help="for example http://127.0.0.1:8000/orders")
        options.add_argument("--users", type=int, default=10, help="simulated users (%(default)s)")
        options.add_argument("--duration", default="10s", help="length of the run (%(default)s)")
        options.add_argument("--store", default="runs", help="where to store the run (%(default)s)")
        given = options.parse(line)
        parts = urlsplit(given.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(f"expected an address like http://127.0.0.1:8000/orders; got {given.url!r}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        plan = lab.LoadPlan.from_urls(path, stages=lab.Stage(given.duration, users=given.users))
        target = lab.Target(parts.netloc.rpartition("@")[2], host=f"{parts.scheme}://{parts.netloc}")
        return lab.run(plan, target, store=given.store)


def _found(log: Path, threshold: int) -> pd.DataFrame | None:
    """The N+1 patterns of a recorded cell, or its statements if there is none."""
    if not log.stat().st_size:
        print("%%queries: the cell sent no SQL through SQLAlchemy or a DB-API connection of the notebook")
        return None
    recorded = lab.read(log, run="cell").queries
    found = lab.find_n_plus_one(recorded, threshold=threshold)
    if len(found):
        return found
    print(found.attrs.get("sentence", "no N+1 found"))
    return lab.summarize_queries(recorded)


def _heaviest(profiler: cProfile.Profile, top: int) -> pd.DataFrame:
    """The functions of a profiled cell with the most self time."""
    with tempfile.TemporaryDirectory(prefix="perflab-cell-") as folder:
        path = Path(folder) / "cell.pstats"
        profiler.dump_stats(path)
        flat = lab.flat_profile(lab.read(path, run="cell"))
    shown, whole = flat.head(top), float(flat["self"].sum())
    share = format_fraction(float(shown["self"].sum() / max(whole, 1e-12)))
    return findings(
        shown, f"{share} of the cell's {format_ms(whole)} under cProfile, by function, most self time first"
    )


def _recorded(names: MutableMapping[str, Any], log: QueryLog) -> ExitStack:
    """Record all engines, and the connections in the notebook's variables, until it is closed."""
    undo = ExitStack()
    try:
        from sqlalchemy import Engine

        from perflab.recorders.sqlalchemy import listen
    except ImportError:
        pass
    else:
        undo.callback(listen(Engine, log, redact=True, source=False))
    for name, connection in _connections(names):
        stand_in = RecordedConnection(connection, log, redact=True, source=False)
        names[name] = stand_in
        undo.callback(_put_back, names, name, stand_in, connection)
    undo.callback(_leave, context.enter(context.request_id(), "cell"))
    return undo


def _leave(tokens: context.Tokens) -> None:
    # A kernel runs each cell in a task, whose context is gone with it.
    with suppress(ValueError):
        context.leave(tokens)


def _connections(names: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The variables with a DB-API connection (PEP 249), judged by its methods."""
    return [
        (name, value)
        for name, value in names.items()
        if not name.startswith("_")
        and not isinstance(value, (type, RecordedConnection))
        and not type(value).__module__.startswith("sqlalchemy")
        and all(callable(getattr(type(value), method, None)) for method in _CONNECTION)
    ]


def _put_back(names: MutableMapping[str, Any], name: str, stand_in: Any, connection: Any) -> None:
    # The cell may have assigned something else to the name.
    if names.get(name) is stand_in:
        names[name] = connection
