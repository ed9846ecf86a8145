"""Query logs beyond the samples: MySQL 8's forms as its manual gives them, other prefixes, comments, printed values."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab.formats import _printed
from perflab.notes import codes

COMMON_PREFIXES = (
    "%m [%p] %q%u@%d ",  # Debian and Ubuntu
    "%m [%p] ",  # PostgreSQL's default
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",  # pgBadger's recommendation
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",  # Amazon RDS
    "%t-%c-",  # Azure
    "%t [%p-%l] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p]: [%l-1] %u@%d ",
    "%m [%p] %u@%d/%a ",
    "%m [%p] %q%u@%d %a ",
    "%m [%p] [queryid=%Q] %u@%d ",
    "%t [%p] ",
    "%m %u@%d [%p] ",
    "%m [%c] %u@%d ",
    "%m [%p]: ",
    "%m ",
    "%t ",
    "%n [%p] %u@%d ",
)
TRACE = "0af7651916cd43dd8448eb211c80319c"
SLOW = """/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time                 Id Command    Argument
# Time: 2026-11-25T00:58:14.123456Z
# User@Host: app[app] @ web1 [10.0.0.5]  Id:     8
# Query_time: 0.002500  Lock_time: 0.000001 Rows_sent: 3  Rows_examined: 30 Thread_id: 8 Errno: 0
use shop;
SET timestamp=1795568294;
SELECT * FROM book
WHERE id = 3;
# Time: 2026-11-25T00:58:15.123456Z
# User@Host: app[app] @  [10.0.0.5]  Id:     8
# Query_time: 0.000500  Lock_time: 0.000000 Rows_sent: 0  Rows_examined: 0
SET timestamp=1795568295;
# administrator command: Quit;
"""
GENERAL = """/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time                 Id Command    Argument
2026-11-25T00:58:14.123456Z\t    8 Connect\tapp@web1 on shop using TCP/IP
2026-11-25T00:58:14.123556Z\t    8 Query\tSELECT 1
2026-11-25T00:58:14.123656Z\t    8 Prepare\tSELECT * FROM t WHERE a = ?
2026-11-25T00:58:14.123756Z\t    8 Execute\tSELECT * FROM t WHERE a = 5
2026-11-25T00:58:14.123856Z\t    8 Quit\t
"""


def test_the_slow_log_of_mysql_8(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(SLOW)
    (row,) = lab.read(tmp_path / "log").queries.to_dict("records")
    assert (row["sql"], row["duration_ms"], row["rows"], row["rows_examined"]) == (
        "SELECT * FROM book\nWHERE id = 3",
        2.5,
        3,
        30,
    )
    assert (row["database"], row["user"], row["session"]) == ("shop", "app", "8")
    assert row["start"] == pd.Timestamp("2026-11-25T00:58:14.120956Z")


def test_the_general_log_of_mysql_8(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(GENERAL)
    found = lab.read(tmp_path / "log").queries
    assert found["sql"].tolist() == ["SELECT 1", "SELECT * FROM t WHERE a = 5"]
    assert found["start"].iloc[0] == pd.Timestamp("2026-11-25T00:58:14.123556Z")
    assert set(found["database"]) == {"shop"}


@pytest.mark.parametrize(
    ("dated", "undated", "between"),
    [
        ("261125  0:58:14\t      8 ", "\t\t      8 ", "\t"),  # MySQL 5.1 to 5.6, MariaDB
        ("261125  0:58:14\t      8 ", "\t\t      8 ", "       "),  # MySQL 5.0, which pads the command
        ("261125   0:58:14\t     8 ", "               \t     8 ", "       "),
        ("261125  0:58:14       8 ", "                        8 ", "       "),  # tabs expanded by an editor
        ("2026-11-25T00:58:14.000001Z    8 ", "2026-11-25T01:58:14.000001Z    8 ", "\t"),  # MySQL 5.7
    ],
)
def test_the_general_log_of_old_servers(dated: str, undated: str, between: str, tmp_path: Path) -> None:
    lines = [
        f"{dated}Connect{between}app@web1 on shop",
        f"{undated}Query{between}SELECT 1,",
        "                8 AS eight",
        f"{undated}Init DB{between}stock",
        f"{dated.replace('0:58:14', '1:58:14')}Query{between}SELECT 2",
        f"{undated}Quit",
    ]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    found = lab.read(tmp_path / "log")
    assert found.queries["sql"].tolist() == ["SELECT 1,\n                8 AS eight", "SELECT 2"]
    assert found.queries["database"].tolist() == ["shop", "stock"]
    assert found.queries["start"].iloc[1].hour == 1
    assert not {"unbalanced", "markers-differ", "skipped"} & set(codes(found.warnings))


@pytest.mark.parametrize("prefix", COMMON_PREFIXES)
def test_each_common_prefix_is_found_again(prefix: str, tmp_path: Path) -> None:
    values = {
        "%m": "2026-11-25 00:58:14.123 UTC", "%t": "2026-11-25 00:58:14 UTC", "%p": "77", "%c": "6b06.4d", "%l": "3",
        "%u": "ann", "%d": "shop", "%a": "web", "%h": "10.0.0.5", "%r": "10.0.0.5(5000)", "%q": "", "%Q": "-7265",
        "%n": "1795568294.123",
    }  # fmt: skip
    written = prefix
    for escape, value in values.items():
        written = written.replace(escape, value)
    lines = [f"{written}LOG:  duration: {n}.5 ms  statement: SELECT {n}\n\tFROM t\n" for n in range(3)]
    (tmp_path / "log").write_text("".join(lines))
    guessed = lab.read(tmp_path / "log")
    given = lab.read(tmp_path / "log", log_line_prefix=prefix)
    assert given.meta["log_line_prefix"] == prefix
    assert guessed.queries["sql"].tolist() == given.queries["sql"].tolist() == [f"SELECT {n}\nFROM t" for n in range(3)]
    for escape, column in (("%u", "user"), ("%d", "database")):
        if escape in prefix:
            assert set(guessed.queries[column]) == {values[escape]}


@pytest.mark.parametrize("prefix", ["", "[{p}] ", "{p} app@shop "])
def test_a_log_without_times_keeps_its_order(prefix: str, tmp_path: Path) -> None:
    took = [5.0, 900.25, 30.5, 2.0, 77.0]
    lines = [f"{prefix.format(p=77)}LOG:  duration: {ms:.3f} ms  statement: SELECT {n}\n" for n, ms in enumerate(took)]
    (tmp_path / "log").write_text("".join(lines))
    found = lab.read(tmp_path / "log")
    assert found.queries["sql"].tolist() == [f"SELECT {n}" for n in range(5)]
    assert found.queries["duration_ms"].tolist() == took
    assert "times-missing" in codes(found.warnings)
    assert "starts-implausible" not in codes(found.warnings)


@pytest.mark.parametrize("port", ["Tcp port: 3306  Unix socket: /tmp/s", "TCP Port: 3306, Named Pipe: MySQL"])
@pytest.mark.parametrize("log", [SLOW, GENERAL], ids=["slow", "general"])
def test_a_server_begins_its_log_by_its_version(log: str, port: str, tmp_path: Path) -> None:
    lines = log.splitlines()
    (tmp_path / "log").write_text("\r\n".join([lines[0], port, *lines[2:]]) + "\r\n")
    assert not {"skipped", "unbalanced"} & set(codes(lab.read(tmp_path / "log").warnings))


def test_a_prefix_that_does_not_fit_is_said(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("2026-11-25 00:58:14 UTC [7] LOG:  duration: 1.5 ms  statement: SELECT 1\n")
    with pytest.raises(lab.FormatError, match="expected lines behind log_line_prefix '%a>'"):
        lab.read(tmp_path / "log", log_line_prefix="%a>")
    with pytest.raises(ValueError, match="got %Z in '%Z'"):
        lab.read(tmp_path / "log", log_line_prefix="%Z")


@pytest.mark.parametrize(
    ("comment", "trace", "route"),
    [
        (f"/*route='%2Fbooks',traceparent='00-{TRACE}-b7ad6b7169203331-01'*/", TRACE, "/books"),
        ("/*action='index',application='Shop',controller='books'*/", None, "books#index"),
        ("/*application:Shop,controller:books,action:index*/", None, "books#index"),
        ("/* no pairs at all */", None, None),
    ],
)  # fmt: skip
def test_comments_tell_trace_and_route(comment: str, trace: str | None, route: str | None, tmp_path: Path) -> None:
    for place in (f"SELECT 1 {comment}", f"{comment} SELECT 1", f"SELECT 1 {comment};"):
        (tmp_path / "log").write_text(f"2026-11-25 00:58:14.123 UTC [7] LOG:  duration: 1.5 ms  statement: {place}\n")
        (row,) = lab.read(tmp_path / "log").queries.to_dict("records")
        assert (row.get("trace"), row.get("route")) == (trace, route)


@pytest.mark.parametrize(
    ("printed", "values"),
    [
        ("(1, 'a, b', None)", ["1", "a, b", None]),
        ("()", []),
        ("{'a': 1, \"b\": 'x: y'}", {"a": "1", "b": "x: y"}),
        ("[datetime.date(2020, 1, 2), Decimal('1.5')]", ["datetime.date(2020, 1, 2)", "1.5"]),
        ("('it\\'s \\n', b'x')", ["it's \n", "b'x'"]),
        ("(1, 2", None),
        ("(1) (2)", None),
        ("[" * 50_000, None),
    ],
)
def test_printed_values_are_taken_apart_and_never_run(printed: str, values: object) -> None:
    assert _printed.values(printed) == values
