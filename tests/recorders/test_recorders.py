"""The recorders: what they write, and that they never hurt the application."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from perflab.formats import query_recorder
from perflab.recorders import context, lines
from perflab.recorders.flask import identify_requests
from perflab.recorders.log import QueryLog
from perflab.recorders.sqlalchemy import VARIABLE, record_queries
from perflab.recorders.wsgi import RequestContext


@pytest.fixture
def engine(tmp_path):
    made = create_engine(f"sqlite:///{tmp_path / 'app.sqlite'}", connect_args={"timeout": 30})
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"))
    yield made
    made.dispose()


def recorded(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(engine: Engine, sql: str, *parameters: object) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(sql, *parameters)


def test_a_statement_becomes_a_line_with_its_unit_and_route(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl", redact=False)
    before = time.time()
    with context.unit_of_work("r-1", "GET /orders"):
        run(engine, "SELECT name FROM t WHERE id = ?", (7,))
    run(engine, "INSERT INTO t VALUES (?, ?)", (1, "é\n\"'"))
    log.close()
    first, second = recorded(log.path)
    assert (first["sql"], first["parameters"]) == ("SELECT name FROM t WHERE id = ?", [7])
    assert (first["unit"], first["route"], "session" in first) == ("r-1", "GET /orders", False)
    assert before - 1 < first["start"] < time.time() + 1 and 0 <= first["duration_ms"] < 10_000
    assert (second["parameters"], second["rows"]) == ([1, "é\n\"'"], 1)
    assert "unit" not in second and second["session"]
    table = query_recorder.read(log.path)["queries"]
    assert len(table) == 2 and list(table["rows"])[1] == 1


def test_executemany_is_one_line(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl", redact=False)
    run(engine, "INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
    log.close()
    (only,) = recorded(log.path)
    assert (only["executions"], only["parameters"], only["rows"]) == (3, [1, "a"], 3)


def test_a_failed_statement_is_recorded_and_still_raised(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl")
    with pytest.raises(OperationalError, match="no such table"):
        run(engine, "SELECT 1 FROM missing")
    run(engine, "SELECT 1")
    log.close()
    failed, good = recorded(log.path)
    assert failed["error"] == "OperationalError" and failed["sql"] == "SELECT 1 FROM missing"
    assert "error" not in good


def test_redaction_keeps_distinctness_and_nothing_else(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl")
    for secret in ("hunter2", "hunter3", "hunter2", None):
        run(engine, "SELECT ? ", (secret,))
    log.close()
    one, two, three, null = (r["parameters"][0] for r in recorded(log.path))
    assert one == three != two and null is None
    assert len(one) == 12 and "hunter" not in log.path.read_text()


def test_without_a_file_nothing_is_hooked(engine, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert record_queries(engine) is None
    assert not engine.dispatch.before_cursor_execute


def test_the_variable_names_the_file_and_twice_is_once(engine, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "q.jsonl"))
    log = record_queries(engine)
    assert record_queries(engine) is log
    run(engine, "SELECT 1")
    log.close()
    assert len(recorded(tmp_path / "q.jsonl")) == 1


def test_source_is_the_caller(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl", source=True)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    log.close()
    file, _, line = recorded(log.path)[0]["source"].rpartition(":")
    assert file == __file__ and int(line) > 0


def test_many_threads_lose_and_tear_nothing(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl", redact=False)

    def work(name: int) -> None:
        for number in range(100):
            with context.unit_of_work(f"u{name}-{number}", f"GET /{name}"), engine.connect() as connection:
                connection.execute(text("SELECT :a"), {"a": name})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    found = recorded(log.path)
    assert len(found) == 800 == len({r["unit"] for r in found})
    assert all(
        r["route"] == f"GET /{r['parameters'][0]}" and r["unit"].startswith(f"u{r['parameters'][0]}-") for r in found
    )


def test_lines_reach_the_file_without_being_asked(engine, tmp_path):
    log = record_queries(engine, tmp_path / "q.jsonl")
    run(engine, "SELECT 1")
    deadline = time.monotonic() + 5
    while not log.path.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(recorded(log.path)) == 1
    log.close()


def test_the_sync_engine_of_an_async_one_is_hooked_and_lines_are_written_at_exit():
    code = """if 1:
        from sqlalchemy import create_engine
        from perflab.recorders.sqlalchemy import record_queries
        class Wrapped:  # what AsyncEngine is to this recorder; its drivers are not a dependency
            sync_engine = create_engine("sqlite://")
        import sys
        log = record_queries(Wrapped, sys.argv[1])
        with Wrapped.sync_engine.connect() as c: c.exec_driver_sql("SELECT 42")
    """
    done = subprocess.run([sys.executable, "-c", code, "/dev/stdout"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sql"] == "SELECT 42", "written at exit, nothing called"


@pytest.mark.parametrize("place", ["missing/folder/q.jsonl", "", "nul\0byte"])
def test_a_broken_path_is_said_once_and_the_application_works(engine, tmp_path, caplog, place):
    with caplog.at_level(logging.WARNING, logger="perflab.recorders"):
        log = record_queries(engine, tmp_path / place if "\0" not in place else place)
        for _ in range(3):
            run(engine, "SELECT 1")
        log.close()
    assert not log.recording
    assert [r.name for r in caplog.records] == ["perflab.recorders"]
    assert "the application goes on" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full (Linux)")
def test_a_full_disk_stops_the_recording_only(engine, caplog):
    log = record_queries(engine, "/dev/full")
    run(engine, "SELECT 1")
    log.flush()
    run(engine, "SELECT 1")
    log.flush()
    log.close()
    assert not log.recording and caplog.text.count("recording stopped") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork (POSIX)")
def test_a_forked_worker_writes_its_own_lines_once(tmp_path):
    code = """if 1:
        import os, sys
        from perflab.recorders.log import QueryLog
        log = QueryLog(sys.argv[1])
        log.write('"parent before"')
        child = os.fork()
        if not child:
            log.write('"child"'); log.flush(); os._exit(0)
        os.waitpid(child, 0)
        log.close()
    """
    path = tmp_path / "q.jsonl"
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=30)
    assert sorted(path.read_text().split("\n")) == ["", '"child"', '"parent before"']


def test_a_server_that_is_told_to_stop_loses_no_lines(tmp_path):
    """SIGTERM ends Python at once, without what `atexit` has registered; so do servers that hand the signal on to themselves."""
    code = """if True:
        import os, signal, sys, time
        from perflab.recorders.log import QueryLog
        log = QueryLog(sys.argv[1])
        for number in range(3):
            log.write(str(number))
            time.sleep(0.15)
        os.kill(os.getpid(), signal.SIGTERM)
    """
    path = tmp_path / "q.jsonl"
    assert subprocess.run([sys.executable, "-c", code, path], timeout=30).returncode == -signal.SIGTERM
    assert path.read_text().split() == ["0", "1", "2"]


def test_a_list_of_one_value_can_be_told_when_hashed():
    one, same, two = (
        json.loads(lines.line(0, 0, "", [value], redact=True))["parameters"][0] for value in ([5], (5,), [5, 6])
    )
    assert one == same and isinstance(one, list) and len(one) == 1
    assert one == json.loads(lines.line(0, 0, "", [[5]], redact=True))["parameters"][0] != [5]
    assert isinstance(two, str)


def test_a_slow_disk_costs_lines_not_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("perflab.recorders.log.MAX_WAITING", 10)
    monkeypatch.setattr("perflab.recorders.log.FLUSH_SECONDS", 3600)
    log = QueryLog(tmp_path / "q.jsonl")
    for number in range(25):
        log.write(str(number))
    assert log.dropped == 15
    log.close()
    assert len((tmp_path / "q.jsonl").read_text().splitlines()) == 10


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("never called")

    __str__ = __repr__


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
        st.decimals(), st.datetimes(), st.dates(), st.uuids(), st.builds(Hostile),
    ),
    st.lists,
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(anything, max_size=6), st.text(), st.booleans(), st.text())
def test_any_parameters_make_one_valid_line(parameters, sql, redact, unit):
    line = lines.line(1.5, 0.25, sql, parameters, redact=redact, unit=unit)
    assert "\n" not in line
    record = json.loads(line, parse_constant=pytest.fail)
    assert (record["start"], record["duration_ms"], record["sql"], record["unit"]) == (1.5, 0.25, sql, unit)
    assert len(record["parameters"]) == len(parameters)
    assert query_recorder._record(line.encode("utf-8", "replace").decode()) is not None


@settings(deadline=None, max_examples=100)
@given(st.one_of(st.integers(), st.text(), st.binary(), st.dates()), st.one_of(st.integers(), st.text(), st.binary()))
def test_hashes_are_equal_exactly_when_values_are(one, two):
    hashes = [lines._hashed(value) for value in (one, two)]
    assert (hashes[0] == hashes[1]) == (one == two and type(one) is type(two))


@pytest.mark.parametrize(
    "given_id",
    ["", "a" * 129, "x\r\nSet-Cookie: a=b", "a b", "<script>", "é", "x\n", "\0", "٣"],
)
def test_an_unsafe_request_id_is_replaced(given_id):
    made = context.request_id(given_id)
    assert made != given_id and len(made) == 32


@pytest.mark.parametrize("given_id", ["a", "A" * 128, "550e8400-e29b-41d4-a716-446655440000", "Root=1-67891233-abc"])
def test_a_safe_request_id_is_kept(given_id):
    assert context.request_id(given_id) == given_id


def test_units_nest_and_end():
    with context.unit_of_work("outer", "GET /a"):
        with context.unit_of_work("inner"):
            assert (context.current_unit(), context.current_route()) == ("inner", None)
        context.set_route("GET /b")
        assert (context.current_unit(), context.current_route()) == ("outer", "GET /b")
    assert (context.current_unit(), context.current_route()) == (None, None)


def test_flask_requests_have_id_and_route():
    app, seen = Flask("t"), []
    identify_requests(app)
    app.add_url_rule(
        "/p/<int:n>", view_func=lambda n: seen.append((context.current_unit(), context.current_route())) or ""
    )
    client = app.test_client()
    assert client.get("/p/1", headers={"X-Request-ID": "mine"}).headers.getlist("X-Request-ID") == ["mine"]
    bad = client.get("/p/2", headers={"X-Request-ID": "a" * 1000}).headers["X-Request-ID"]
    assert seen == [("mine", "GET /p/<int:n>"), (bad, "GET /p/<int:n>")]
    assert len(client.get("/nowhere").headers["X-Request-ID"]) == 32
    assert context.current_unit() is None


def test_wsgi_bodies_are_made_inside_the_unit():
    def application(environ, start_response):
        context.set_route("GET /found")
        start_response("200 OK", [("x-request-id", "application's own"), ("Content-Type", "text/plain")])
        for _ in range(2):
            yield f"{context.current_unit()} {context.current_route()};".encode()

    got = []
    wrapped = RequestContext(application, route=lambda environ: "GET /default")
    body = wrapped({"REQUEST_METHOD": "GET", "HTTP_X_REQUEST_ID": "r1"}, lambda *args: got.append(args))
    parts = list(body)
    assert parts[0].startswith(b"r1 ") and parts[1].startswith(b"r1 ")
    assert [h for h in got[0][1] if h[0].lower() == "x-request-id"] == [("X-Request-ID", "r1")]
    assert context.current_unit() is None


def asked_from(name: str) -> str | None:
    """The call site of a function that stands in a file of this name, called from here."""
    from perflab.recorders import callsite

    space = {"call_site": callsite.call_site}
    exec(compile("def ask():\n    return call_site('orm')\n", name, "exec"), space)
    return space["ask"]()


@pytest.mark.parametrize(
    "library",
    [
        "/x/site-packages/sqlmodel/session.py",
        "/x/dist-packages/rest/fields.py",
        "/x/orm/query.py",
        os.__file__,
        "<string>",
    ],
)
def test_a_library_is_no_call_site_while_the_application_is_below(library: str) -> None:
    file, _, line = str(asked_from(library)).rpartition(":")
    assert file == __file__ and int(line) > 0


def test_without_an_application_the_library_is_named() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from perflab.recorders import callsite

    space = {"call_site": callsite.call_site}
    exec(compile("def ask():\n    return call_site('orm')\n", "/x/site-packages/wagtail/views.py", "exec"), space)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(space["ask"]).result() == "/x/site-packages/wagtail/views.py:2"


def test_call_sites_can_be_switched_on_from_outside(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PERFLAB_QUERY_SOURCE", "1")
    log = record_queries(engine, tmp_path / "q.jsonl")
    run(engine, "SELECT 1")
    log.close()
    assert recorded(log.path)[0]["source"].startswith(__file__)


def test_processes_that_share_a_salt_write_the_same_hashes() -> None:
    code = "from perflab.recorders import lines, timing; print(lines._hashed('Ann'), timing.hashed(['Ann', 7]))"

    def hashes(**more: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PERFLAB_HASH_SALT"} | more
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    shared = [hashes(PERFLAB_HASH_SALT="secret") for _ in range(2)]
    assert shared[0] == shared[1]
    assert len({*shared, hashes(), hashes(PERFLAB_HASH_SALT="other")}) == 3
    assert "Ann" not in shared[0]
