"""What no query log may do to its reader: huge statements, broken quotes, NUL bytes, invalid UTF-8, records that are cut."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import pytest

import perflab as lab
from perflab.data import sources
from perflab.formats._queries import MAX_TEXT
from perflab.notes import codes

IN_LIST = "SELECT a FROM t WHERE b IN (" + ", ".join(map(str, range(40_000))) + ")"
NESTED = "SELECT " + "(" * 10_000 + "1" + ")" * 10_000
STATEMENTS = {
    "in list": IN_LIST,
    "nested": NESTED,
    "unbalanced quotes": "SELECT 'a, \"b FROM t WHERE c = 'd",
    "nul": "SELECT 'a\x00b' FROM t",
    "lines": "SELECT a\n\tFROM t\n-- c\n WHERE b = 1",
    "separators": "SELECT 'a\u2028b\x0b\x0c\x85c' FROM t",
}
AT = "2026-11-25 01:00:00.123 UTC"


def csvlog(sql: str, line: int = 1) -> bytes:
    message = f"duration: 0.5 ms  statement: {sql}".replace('"', '""')
    before = f'{AT},"u","d",7,"127.0.0.1:5",6b063.50bf,{line},"SELECT",{AT[:19]} UTC,3/4,0,LOG,00000,"'
    return f'{before}{message}",,,,,,,,,"app","client backend",,0\n'.encode()


def jsonlog(sql: str, line: int = 1) -> bytes:
    record = {
        "timestamp": AT, "user": "u", "dbname": "d", "pid": 7, "session_id": "6b063.50bf", "line_num": line,
        "error_severity": "LOG", "message": f"duration: 0.5 ms  statement: {sql}",
    }  # fmt: skip
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def stderr(sql: str, line: int = 1) -> bytes:
    return f"{AT} [7] u@d LOG:  duration: 0.5 ms  statement: ".encode() + sql.replace("\n", "\n\t").encode() + b"\n"


def slow(sql: str, line: int = 1) -> bytes:
    head = "# User@Host: u[u] @ h [1.2.3.4]\n# Thread_id: 7  Schema: d  QC_hit: No\n"
    times = "# Query_time: 0.0005  Lock_time: 0.0  Rows_sent: 1  Rows_examined: 1\nSET timestamp=1795568294;\n"
    return (head + times + sql + ";\n").encode()


def general(sql: str, line: int = 1) -> bytes:
    return f"261125  0:58:15\t     5 Query\t{sql}\n".encode()


def echo(sql: str, line: int = 1) -> bytes:
    name = "2026-11-25 01:00:00,123 INFO sqlalchemy.engine.Engine"
    return f"{name} {sql}\n{name} [raw sql] ()\n".encode()


def django(sql: str, line: int = 1) -> bytes:
    return f"2026-11-25 01:00:00,123 (0.001) {sql}; args=(1, 'x'); alias=default\n".encode()


def rails(sql: str, line: int = 1) -> bytes:
    return f'  Book Load (0.2ms)  {sql}  [["id", 1]]\n'.encode()


def otlp(sql: str, line: int = 1) -> bytes:
    span = {
        "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "startTimeUnixNano": "1795568294000000000",
        "endTimeUnixNano": "1795568294000500000", "attributes": [{"key": "db.statement", "value": {"stringValue": sql}}],
    }  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode() + b"\n"


def recorder(sql: str, line: int = 1) -> bytes:
    return json.dumps({"start": 1795568294.5, "duration_ms": 0.5, "sql": sql}).encode() + b"\n"


WRITERS = {
    "postgresql_csvlog": csvlog, "postgresql_jsonlog": jsonlog, "postgresql_stderr": stderr, "mysql_slow": slow,
    "mysql_general": general, "sqlalchemy_echo": echo, "django_sql": django, "rails_activerecord": rails,
    "opentelemetry": otlp, "query_recorder": recorder,
}  # fmt: skip
SIMPLE = "SELECT a FROM t WHERE b = 1"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", STATEMENTS)
@pytest.mark.timeout(30)
def test_hostile_statements_are_read_as_they_are(name, kind, tmp_path):
    sql, path = STATEMENTS[kind], tmp_path / "log"
    write = WRITERS[name]
    path.write_bytes(write(SIMPLE, 1) + write(sql, 2) + write(SIMPLE, 3))
    found = lab.read(path, format=name).queries
    assert found["sql"].iloc[0] == SIMPLE and len(found) >= 2
    assert len(lab.summarize_queries(found)) >= 1
    if kind in ("in list", "nested") and name != "rails_activerecord":
        assert sql[:1000] in [text[:1000] for text in found["sql"]]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.timeout(60)
def test_a_statement_of_many_megabytes_is_cut_and_counted(name, tmp_path):
    path, write = tmp_path / "log", WRITERS[name]
    path.write_bytes(write(SIMPLE, 1) + write("SELECT '" + "x" * 5_000_000 + "'", 2) + write(SIMPLE, 3))
    found = lab.read(path, format=name)
    assert found.queries["sql"].str.len().max() <= MAX_TEXT
    assert (found.queries["sql"] == SIMPLE).sum() >= 1
    assert {"texts-cut", "skipped"} & set(codes(found.warnings)), found.warnings


@pytest.mark.parametrize("name", WRITERS)
def test_invalid_utf8_is_replaced(name, tmp_path):
    path, write = tmp_path / "log", WRITERS[name]
    path.write_bytes(write(SIMPLE, 1) + write("SELECT 'QQ'", 2).replace(b"QQ", b"\xff\xfe\xc3(") + write(SIMPLE, 3))
    found = lab.read(path, format=name)
    assert (found.queries["sql"] == SIMPLE).sum() == 2
    assert len(found.queries) == 3 or any(w.code == "skipped" and w.facts["skipped"] == 1 for w in found.warnings)


@pytest.mark.parametrize("name", [n for n in WRITERS if n != "rails_activerecord"])
def test_a_record_cut_in_the_middle_is_lost_alone(name, tmp_path):
    path, write = tmp_path / "log", WRITERS[name]
    last = write("SELECT a\nFROM t WHERE b = 'the end'", 2)
    path.write_bytes(write(SIMPLE, 1) + last[: len(last) - 20])
    found = lab.read(path, format=name)
    assert found.queries["sql"].iloc[0] == SIMPLE
    if len(found.queries) == 1:
        assert "skipped" in codes(found.warnings)


def test_one_endless_line_takes_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_LINE", 1 << 18)
    path = tmp_path / "log"
    path.write_bytes(recorder(SIMPLE))
    lab.read(path)  # what is imported for it counts no more
    path.write_bytes(recorder(SIMPLE) + b"x" * (6 << 20))
    tracemalloc.start()
    assert len(lab.read(path).queries) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_compressed_logs_are_read_as_they_are(tmp_path):
    import bz2
    import gzip

    import pyarrow as pa

    packings = {"gz": gzip.compress, "bz2": bz2.compress, "zst": lambda data: pa.compress(data, "zstd", asbytes=True)}
    for (name, write), ending in zip(WRITERS.items(), itertools.cycle(packings), strict=False):
        path = tmp_path / f"{name}.{ending}"
        path.write_bytes(packings[ending](write(SIMPLE, 1) * 3))
        assert len(lab.read(path, format=name).queries) == 3


def test_patterns_are_not_looked_for_in_sums():
    data = lab.read(Path(__file__).parent.parent / "samples" / "pg_stat_statements" / "copy.csv")
    assert (data.summary["statistic"] == "total").sum() > 5
    with pytest.raises(lab.MissingTableError, match="summary"):
        lab.find_n_plus_one(data)


def test_a_rotated_log_is_one_run(tmp_path):
    import gzip

    whole = b"".join(csvlog(f"SELECT {number}", number) for number in range(1, 10)).splitlines(True)
    (tmp_path / "postgresql.csv").write_bytes(b"".join(whole[6:]))
    (tmp_path / "postgresql.csv.1").write_bytes(b"".join(whole[3:6]))
    (tmp_path / "postgresql.csv.2.gz").write_bytes(gzip.compress(b"".join(whole[:3])))
    found = lab.read(sorted(tmp_path.iterdir(), reverse=True), run="friday", arm="before")
    assert found.queries["sql"].tolist() == [f"SELECT {number}" for number in range(1, 10)]
    assert found.runs[["run", "arm"]].to_numpy().tolist() == [["friday", "before"]]
    assert len(lab.read(tmp_path).runs) == 3
    (tmp_path / "other").write_bytes(recorder(SIMPLE))
    with pytest.raises(
        ValueError, match=r"run= names one run, but 4 files were given \(postgresql_csvlog, query_recorder\)"
    ):
        lab.read(tmp_path, run="friday")


def _stderr(*records: str) -> str:
    return "".join(f"2026-11-24 02:33:16.55{n % 10} UTC [77] app@shop {record}\n" for n, record in enumerate(records))


def test_what_another_program_wrote_into_a_log_is_no_part_of_a_statement(tmp_path: Path) -> None:
    first = _stderr(*(f"LOG:  duration: 0.5 ms  statement: SELECT a,\n\t\n\tb FROM t WHERE id = {i}" for i in range(9)))
    other = "# a note\nmysqld: ready\nSELECT secret FROM other;\n\nls: no such file\n"
    path = tmp_path / "postgresql.log"
    path.write_text(first + other + first)
    found = lab.read(path)
    assert found.queries["sql"].to_list() == [f"SELECT a,\n\nb FROM t WHERE id = {i}" for i in range(9)] * 2
    (note,) = found.warnings
    assert (note.code, note.facts["skipped"], note.facts["total"], note.facts["first"]) == ("skipped", 5, 59, 28)


def test_continuation_lines_that_lost_their_tab_to_spaces_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "postgresql.log"
    path.write_text(_stderr(*["LOG:  duration: 0.5 ms  statement: SELECT a\n    FROM t\n    WHERE id = 5"] * 9))
    found = lab.read(path)
    assert set(found.queries["sql"].str.split().str.join(" ")) == {"SELECT a FROM t WHERE id = 5"}
    assert found.warnings == ()


def test_a_postgresql_log_without_durations_says_so(tmp_path: Path) -> None:
    path = tmp_path / "postgresql.log"
    path.write_text(_stderr(*["LOG:  statement: SELECT 1 FROM t"] * 9))
    assert codes(lab.read(path).warnings) == ("no-durations",)
    path.write_text(
        _stderr(*["LOG:  statement: SELECT 1 FROM t"] * 9, *["LOG:  duration: 2.5 ms  statement: SELECT 2 FROM t"] * 3)
    )
    (note,) = lab.read(path).warnings
    assert (note.code, note.facts["untimed"], note.facts["count"]) == ("statements-without-duration", 9, 12)
    path.write_text(_stderr(*["LOG:  statement: SELECT 1 FROM t", "LOG:  duration: 1.5 ms"] * 9))
    found = lab.read(path)
    assert found.warnings == () and found.queries["duration_ms"].sum() == 13.5


def test_one_log_in_several_formats_is_counted_twice_with_a_warning(tmp_path: Path) -> None:
    text = "2026-11-24 02:33:16.55{} UTC [77] app@shop LOG:  duration: 0.5 ms  statement: SELECT {} FROM t\n"
    (tmp_path / "a.log").write_text("".join(text.format(n, n) for n in range(9)))
    lines = ({"start": 1795487596.55 + n / 1000, "duration_ms": 0.5, "sql": f"SELECT {n} FROM t"} for n in range(9))
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (warning,) = lab.read(tmp_path).warnings
    assert str(warning).startswith("a.log, b.jsonl hold queries of the same time in different formats")
    (tmp_path / "b.jsonl").write_text("".join(text.format(n, n) for n in range(9)))  # two servers, or two databases
    assert lab.read(tmp_path).warnings == ()
    lines = ({"start": 1795487999.55 + n / 1000, "duration_ms": 0.5, "sql": f"SELECT {n} FROM t"} for n in range(9))
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))  # later
    assert lab.read(tmp_path).warnings == ()
