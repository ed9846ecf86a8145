"""IPython magics, after ``%load_ext perflab``: `%%queries`, `%%profile_cell`, `%loadtest`.

    %%queries [--threshold 5]                 the SQL that the cell runs, and its N+1 patterns
    %%profile_cell [--top 15]                 where the cell's time goes, by function
    %loadtest URL [--users 10] [--duration 10s] [--store runs]      a quick run against one URL

Each result is displayed below the cell; ``_`` holds it, as after any expression.
"""

from __future__ import annotations

import argparse
import cProfile
import shlex
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

import perflab as lab
from perflab.recorders import context
from perflab.recorders.dbapi import RecordedConnection
from perflab.recorders.log import QueryLog
from perflab.results import findings
from perflab.units import format_fraction, format_ms

_CONNECTION = ("cursor", "commit", "rollback", "close")


def load_ipython_extension(shell: Any) -> None:
    """The hook of ``%load_ext perflab``."""
    shell.register_magics(PerflabMagics)


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
    def queries(self, line: str, cell: str) -> pd.DataFrame | None:
        """Run the cell, record the SQL that it sends, and find its N+1 patterns.

        All SQLAlchemy engines are recorded, and the DB-API connections in the notebook's variables. The cell is one unit of
        work. A connection that the cell itself opens without SQLAlchemy is not recorded: open it in an earlier cell.
        """
        options = _Options(prog="%%queries", description="The SQL of a cell, and its N+1 patterns.")
        options.add_argument("--threshold", type=int, default=5, help="calls that count (%(default)s)")
        given = options.parse(line)
        with tempfile.TemporaryDirectory(prefix="perflab-cell-") as folder:
            log = QueryLog(Path(folder) / "queries.jsonl")
            with _recorded(self.shell.user_ns, log), context.unit_of_work(route="cell"):
                done = self.shell.run_cell(cell)
            log.close()
            if not done.success:
                return None
            if not log.path.stat().st_size:
                print("%%queries: the cell sent no SQL through SQLAlchemy or a DB-API connection of the notebook")
                return None
            recorded = lab.read(log.path, run="cell").queries
        found = lab.find_n_plus_one(recorded, threshold=given.threshold)
        if len(found):
            return found
        print(found.attrs.get("sentence", "no N+1 found"))
        return lab.summarize_queries(recorded)

    @cell_magic
    def profile_cell(self, line: str, cell: str) -> pd.DataFrame | None:
        """Run the cell under cProfile and show its functions, most self time first."""
        options = _Options(prog="%%profile_cell", description="Where a cell's time goes.")
        options.add_argument("--top", type=int, default=15, help="functions to show (%(default)s)")
        given = options.parse(line)
        profiler = cProfile.Profile()
        with tempfile.TemporaryDirectory(prefix="perflab-cell-") as folder:
            profiler.enable()
            try:
                done = self.shell.run_cell(cell)
            finally:
                profiler.disable()
            if not done.success:
                return None
            path = Path(folder) / "cell.pstats"
            profiler.dump_stats(path)
            measured = lab.read(path, run="cell")
        flat = lab.flat_profile(measured)
        top = flat.head(given.top)
        whole, share = (
            float(flat["self"].sum()),
            format_fraction(float(top["self"].sum() / max(flat["self"].sum(), 1e-12))),
        )
        return findings(
            top, f"{share} of the cell's {format_ms(whole)} under cProfile, by function, most self time first"
        )

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


@contextmanager
def _recorded(names: MutableMapping[str, Any], log: QueryLog) -> Iterator[None]:
    """Record all engines, and the connections in the notebook's variables, while a cell runs."""
    with ExitStack() as undo:
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
        yield


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
