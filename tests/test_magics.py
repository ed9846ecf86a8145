"""The magics, in a real kernel: what a cell sends and where its time goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode, v4
from traitlets.config import Config

SETUP = """\
%load_ext perflab
import sqlite3
from sqlalchemy import create_engine, text
engine = create_engine("sqlite://")
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE books (id INTEGER, author INTEGER, title TEXT)")
connection.executemany("INSERT INTO books VALUES (?, ?, ?)", [(i, i % 30, "<img src=x onerror=alert(1)>") for i in range(90)])
with engine.begin() as db:
    db.execute(text("CREATE TABLE orders (id INTEGER)"))
    db.execute(text("CREATE TABLE lines (id INTEGER, order_id INTEGER)"))
    db.execute(text("INSERT INTO orders SELECT value FROM generate_series(1, 12)")
               if False else text("INSERT INTO orders VALUES " + ",".join(f"({i})" for i in range(12))))
before = connection
"""
ENGINE = """\
%%queries
with engine.connect() as db:
    for (order,) in db.execute(text("SELECT id FROM orders")).all():
        db.execute(text("SELECT * FROM lines WHERE order_id = :o"), {"o": order}).all()
"""
CONNECTION = """\
%%queries --threshold 10
for (author,) in connection.execute("SELECT DISTINCT author FROM books").fetchall():
    connection.execute("SELECT * FROM books WHERE author = ?", (author,)).fetchall()
"""
PROFILE = """\
%%profile_cell --top 5
def busy(n):
    return sum(i * i for i in range(n))
total = busy(300_000)
"""

EXPLORED = f"""\
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest, perflab as lab
both = conftest._measurements(pairs=3, count=400)
"""


def run(*cells: str) -> list[NotebookNode]:
    book = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    config = Config({"ConnectionFileMixin": {"transport": "ipc"}})
    NotebookClient(book, timeout=90, allow_errors=True, config=config).execute()
    return [cell.outputs for cell in book.cells]


def shown(outputs: NotebookNode, kind: str = "text/plain") -> str:
    return "\n".join(o.get("text") or o.get("data", {}).get(kind) or str(o.get("evalue", "")) for o in outputs)


@pytest.fixture(scope="module")
def results() -> list[NotebookNode]:
    return run(
        SETUP,
        ENGINE,
        CONNECTION,
        "connection is before, type(connection).__name__",
        "%%queries\nprint('no sql here')",
        "%%queries\nengine.connect().execute(text('SELECT count(*) FROM orders')).scalar()",
        PROFILE,
        "total",
        "%%queries --unknown\n1",
        "%%queries\n1 / 0",
        "%loadtest not-a-url",
        "len(engine.dispatch.before_cursor_execute), len(create_engine('sqlite://').dispatch.after_cursor_execute)",
        "%%profile_cell --top 40\nimport asyncio\nslept = await asyncio.sleep(0.05, 'slept')",
        "slept, list(_.columns)[0] if hasattr(_, 'columns') else _",
        "%%queries\nawait asyncio.sleep(0)\n" + ENGINE.partition("\n")[2],
        "%%profile_cell\n1 / 0",
        "get_ipython().run_cell_magic('profile_cell', '', 'again = 1 / 0')",
        "get_ipython().run_cell_magic('profile_cell', '--top 3', 'again = sum(range(10))')\nagain",
        EXPLORED,
        "code = lab.explore(both.where(arm='n+1'), both.where(arm='eager')).explorers['Comparison'].code; code",
        "eval(code.splitlines()[0]).arms",
        "code = lab.explore(*[both.where(arm=a) for a in ('n+1', 'eager')]).explorers['Comparison'].code; code",
        "eval(code.splitlines()[0]).arms",
        "(lambda x, y: lab.explore(x, y))(both.where(arm='n+1'), both.where(arm='eager')).explorers['Runs'].code",
        "code = (await asyncio.sleep(0), lab.explore(lab.compare(both.where(arm='n+1'), both.where(arm='eager'))))[1].code; code",
        "[eval(line) for line in code.splitlines()][-1]",
        "del lab\nfrom perflab import explore\ncode = explore(both).explorers['Runs'].code; code",
        "exec(code)",
    )


def test_an_n_plus_one_of_an_engine_is_named(results: list[NotebookNode]) -> None:
    assert "select * from lines where order_id = ?" in shown(results[1])
    assert "12" in shown(results[1])


def test_connections_of_the_notebook_are_recorded_and_given_back(results: list[NotebookNode]) -> None:
    assert "select * from books where author = ?" in shown(results[2])
    assert "onerror" not in shown(results[2], "text/html")
    assert shown(results[3]) == "(True, 'Connection')"


def test_a_cell_without_a_pattern_shows_its_statements(results: list[NotebookNode]) -> None:
    assert "sent no SQL" in shown(results[4])
    assert "no N+1 found" in shown(results[5])
    assert "select count ( * ) from orders" in shown(results[5]) or "select count(*) from orders" in shown(results[5])


def test_a_profile_names_the_function_and_keeps_the_cells_names(results: list[NotebookNode]) -> None:
    assert "<genexpr>" in shown(results[6])
    assert "of the cell's" in shown(results[6])
    assert shown(results[7]) == str(sum(i * i for i in range(300_000)))


def test_mistakes_are_told_and_the_kernel_lives(results: list[NotebookNode]) -> None:
    assert "unrecognized arguments: --unknown" in shown(results[8])
    assert "division by zero" in shown(results[9])
    assert "expected an address like" in shown(results[10])
    assert shown(results[11]) == "(0, 0)"


def failed(outputs: NotebookNode) -> bool:
    """Whether the cell stops a notebook that is run as a whole."""
    return any(output.output_type == "error" for output in outputs)


def test_an_error_stops_the_notebook_and_is_shown_once(results: list[NotebookNode]) -> None:
    for number in (9, 15, 16):
        assert failed(results[number])
        assert "division by zero" in shown(results[number])
    assert sum(output.output_type == "error" for output in results[15]) == 1
    others = set(range(len(results))) - {8, 9, 10, 15, 16}
    assert [(number, shown(results[number])) for number in others if failed(results[number])] == []


def test_cells_may_await(results: list[NotebookNode]) -> None:
    assert "under cProfile" in shown(results[12])
    assert shown(results[13]) == "('slept', 'function')"
    assert "select * from lines where order_id = ?" in shown(results[14])
    assert "45" in shown(results[17])


def test_the_code_of_an_explorer_runs_in_a_fresh_cell(results: list[NotebookNode]) -> None:
    # The expression of the cell.
    assert "lab.compare(both.where(arm='n+1'), both.where(arm='eager')" in shown(results[19])
    assert shown(results[20]) == "('n+1', 'eager')"
    # Names that the explorer defines, where running the expression again is no option.
    assert "lab.compare(measurements_1, measurements_2" in shown(results[21])
    assert shown(results[22]) == "('n+1', 'eager')"
    assert "lab.plot_timeline(measurements_1_2 + measurements_2_2" in shown(results[23])
    assert "change" in shown(results[24])
    # A notebook that does not call perflab lab.
    assert "import perflab as lab" in shown(results[26])


def test_a_quick_load_test_from_a_cell(tmp_path: Path) -> None:
    server = (
        "import threading, http.server\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "server.RequestHandlerClass.log_message = lambda *a: None\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "url = f'http://127.0.0.1:{server.server_port}/'"
    )
    outputs = run("%load_ext perflab", server, f"%loadtest {{url}} --users 2 --duration 1s --store {tmp_path}")
    assert "1 run" in shown(outputs[2])
    assert len(list(tmp_path.glob("*/run.json"))) == 1
