"""Statements counted: PostgreSQL's three logs of the same traffic as pgBadger counts them, MariaDB's as they were sent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
import traffic

import perflab as lab

pytestmark = pytest.mark.timeout(180)
KINDS = {"stderr": "log", "csvlog": "csv", "jsonlog": "json"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Iterator[Path]:
    """The three logs of one server: odd statements, and simple, extended and prepared ones from several clients."""
    place = servers.postgresql_bin()
    if place is None:
        pytest.skip("needs PostgreSQL 15 or later (apt: postgresql)")
    script = tmp_path_factory.mktemp("pgbench") / "script.sql"
    script.write_text(
        "\\set a random(1, 3)\nBEGIN;\nSELECT id, title\nFROM book\nWHERE author_id = :a;\n"
        "SELECT name FROM author WHERE id = :a;\nUPDATE book SET price = 1 WHERE id = :a;\nCOMMIT;\n"
    )
    with servers.postgresql() as server:
        traffic.postgresql(server.port)
        at = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        for mode in ("simple", "extended", "prepared"):
            program = shutil.which("pgbench") or place / "pgbench"
            options = ["-n", "-M", mode, "-c", "3", "-t", "40", "-f", script]
            subprocess.run([program, *at, *options, "shop"], check=True, capture_output=True)
    yield server.folder / "log"
    shutil.rmtree(server.folder, ignore_errors=True)


def pgbadger(kind: str, path: Path, out: Path) -> int:
    if shutil.which("pgbadger") is None:
        pytest.skip("needs pgBadger (apt: pgbadger)")
    prefix = ["-p", servers.LINE_PREFIX] if kind == "stderr" else []
    command = [
        "pgbadger",
        "-q",
        "-f",
        kind.replace("csvlog", "csv"),
        *prefix,
        "-x",
        "json",
        "--pid-dir",
        out.parent,
        "-o",
        out,
        path,
    ]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    return int(json.loads(out.read_text(errors="replace"))["overall_stat"]["queries_number"])


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_statements_as_pgbadger_counts(kind, logs, tmp_path):
    path = logs / f"pg.{KINDS[kind]}"
    found = lab.read(path).queries
    assert len(found) == pgbadger(kind, path, tmp_path / "out.json")
    assert len(found) > 3 * 3 * 40 * 5


def test_the_three_logs_tell_the_same(logs):
    columns = ["sql", "duration_ms", "database", "user"]
    tables = [lab.read(logs / f"pg.{ending}").queries for ending in KINDS.values()]
    sorted_tables = [t[columns].sort_values(columns, ignore_index=True) for t in tables]
    for table, whole in zip(sorted_tables[1:], tables[1:], strict=True):
        assert sorted_tables[0].equals(table)
        assert sorted(map(repr, whole["parameters"])) == sorted(map(repr, tables[0]["parameters"]))


@pytest.mark.parametrize("kind", ["csvlog", "jsonlog"])
def test_the_fast_and_the_tolerant_way_agree(kind, logs, tmp_path):
    """A byte-order mark keeps the file from DuckDB; everything else is the same."""
    path, marked = logs / f"pg.{KINDS[kind]}", tmp_path / "marked"
    marked.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    fast, tolerant = lab.read(path, run="r"), lab.read(marked, run="r")
    assert fast.queries.astype(str).equals(tolerant.queries.astype(str))
    assert [(w.code, w.facts.get("count")) for w in fast.warnings] == [
        (w.code, w.facts.get("count")) for w in tolerant.warnings
    ]


VERBOSITY = {"slow": "query_plan", "explained": "query_plan,innodb,explain", "general": "query_plan"}


@pytest.mark.parametrize("log", VERBOSITY)
def test_as_many_statements_as_mariadb_was_sent(log, mariadb_server, tmp_path):
    import pymysql

    (path,) = mariadb_server.logs("general" if log == "general" else "slow")
    with pymysql.connect(
        host="127.0.0.1", port=mariadb_server.port, user="root", database="shop", autocommit=True
    ) as db:
        db.cursor().execute("DROP TABLE IF EXISTS author, book")
        db.cursor().execute("SET GLOBAL log_slow_verbosity = %s", (VERBOSITY[log],))
    _settled(path)
    before = path.stat().st_size
    sent = traffic.mariadb(mariadb_server.port) + 1  # PyMySQL sends SET NAMES when it connects
    copy = tmp_path / "log"
    _settled(path)
    copy.write_bytes(path.read_bytes()[before:])
    found = lab.read(copy).queries
    assert len(found) == sent
    assert found["session"].nunique() == 1 and not found["sql"].str.startswith("#").any()
    assert (b"# explain: " in copy.read_bytes()) == (log == "explained")
    if log != "general" and shutil.which("pt-query-digest"):
        command = ["pt-query-digest", "--no-version-check", "--limit", "100%", "--output", "json", copy]
        done = subprocess.run(command, check=True, capture_output=True)
        assert json.loads(done.stdout)["global"]["query_count"] == sent


def _settled(path: Path) -> None:
    """Wait until the server has written what it was sent."""
    size, deadline = -1, time.monotonic() + 10
    while path.stat().st_size != size and time.monotonic() < deadline:
        size = path.stat().st_size
        time.sleep(0.2)
