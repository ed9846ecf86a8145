"""Relatives of the logs that are read: other verbosity, other spellings of times, labels of collectors, rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import perflab as lab
from perflab.notes import codes

COUNT = 5
BASE = 1_770_109_200
STRANGE = {"skipped", "markers-differ", "unbalanced", "times-missing", "starts-implausible"}


def lines(write: Callable[[int], str]) -> str:
    return "".join(write(n) for n in range(COUNT))


def pg(n: int, message: str) -> str:
    return f"2026-02-03 09:00:0{n} UTC [7] {message}\n"


def slow(n: int) -> list[str]:
    return [
        f"# Time: 2026-02-03T09:00:0{n}.500000Z", "# User@Host: a[a] @  [10.0.0.7]  Id:  6",
        "# Query_time: 0.5  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 9", f"SELECT {n};",
    ]  # fmt: skip


COLUMNS = (
    "log_time,user_name,database_name,process_id,connection_from,session_id,session_line_num,command_tag,session_start_time,"
    "virtual_transaction_id,transaction_id,error_severity,sql_state_code,message,detail,hint,internal_query,internal_query_pos,"
    "context,query,query_pos,location,application_name"
)
CSVLOG = (
    '2026-02-03 09:00:0{0}.12 UTC,"u","d",7,"[local]",6b.50,{0},"SELECT",2026-02-03 08:59:00 UTC,3/4,0,LOG,00000,'
    '"duration: 500 ms  statement: SELECT {0}",,,,,,,,,""'
)
AZURE = {"prefix": "2026-02-03 09:00:00 UTC-61fb.2a-", "errorLevel": "LOG", "detail": ""}
SLOW_ROW = {
    "user_host": "u[u] @ h [10.0.0.7]",
    "lock_time": "00:00:00",
    "rows_sent": 1,
    "rows_examined": 9,
    "db": "d",
    "thread_id": 5,
}
MARK = "[Parameters=[], CommandType='Text', CommandTimeout='30']"
STATEMENT = "duration: 500 ms  statement: "

LOGS = {
    "verbose": lines(lambda n: pg(n, f"LOG:  00000: {STATEMENT}SELECT {n}") + pg(n, "LOCATION:  exec_query, a.c:9")),
    "a log in a value": lines(lambda n: pg(n, f"LOG:  {STATEMENT}INSERT INTO a VALUES ('LOG:  {STATEMENT}x') -- {n}")),
    "csvlog with names": COLUMNS + "\n" + lines(lambda n: CSVLOG.format(n) + "\n"),
    "syslog without padding": lines(
        lambda n: f"Feb 3 09:00:0{n} db postgres[7]: [{n}-1] user=u,db=d LOG:  {STATEMENT}SELECT {n}\n"
    ),
    "azure, prefix apart": lines(
        lambda n: json.dumps({"category": "PostgreSQLLogs", "properties": {**AZURE, "message": f"{STATEMENT}SELECT {n}"}}) + "\n"
    ),
    "azure, one document": json.dumps({
        "records": [
            {"category": "PostgreSQLLogs", "properties": {**AZURE, "message": f"{STATEMENT}SELECT {n}"}} for n in range(COUNT)
        ]
    }),
    "azure's slow log": lines(
        lambda n: json.dumps({
            "category": "MySqlSlowLogs",
            "properties": {"start_time_t": f"2026-02-03T09:00:0{n}Z", "query_time_d": 0.5, "sql_text_s": f"SELECT {n}"},
        }) + "\n"
    ),
    "rows as an array": json.dumps([
        {**SLOW_ROW, "start_time": f"2026-02-03 09:00:0{n}.1", "query_time": "00:00:00.500000", "sql_text": f"SELECT {n};"}
        for n in range(COUNT)
    ]),
    "pods": lines(lambda n: "".join(f"[pod/m-0/mysql] {line}\n" for line in slow(n))),
    "stern": lines(lambda n: "".join(f"m-0 mysql {line}\n" for line in slow(n))),
    "tidb, internal": lines(
        lambda n: f"# Time: 2026-02-03T09:00:0{n}.1+08:00\n# Query_time: 0.5\n# Is_internal: true\nSELECT {n};\n"
    ),
    "prisma's events": lines(
        lambda n: json.dumps({
            "timestamp": f"2026-02-03T09:00:0{n}.1Z", "query": f"SELECT {n}", "params": "[1]", "duration": 500,
            "target": "quaint::x",
        }) + "\n"
    ),
    "efcore, console as JSON": lines(
        lambda n: json.dumps({
            "Timestamp": f"2026-02-03T09:00:0{n}Z", "Category": "Microsoft.EntityFrameworkCore.Database.Command",
            "Message": f"Executed DbCommand (500ms) {MARK}\nSELECT {n}",
        }) + "\n"
    ),
    "efcore, serilog": lines(
        lambda n: json.dumps({
            "@t": f"2026-02-03T09:00:0{n}.1Z", "@mt": "Executed", "elapsed": "500", "commandText": f"SELECT {n}",
            "SourceContext": "Microsoft.EntityFrameworkCore.Database.Command",
        }) + "\n"
    ),
    "p6spy, several lines": lines(
        lambda n: f"#{BASE + n}123 | took 500ms | statement | connection 3| url jdbc:h2\nSELECT\n?\nSELECT\n{n};\n"
    ),
    "p6spy in spring": lines(
        lambda n: f"2026-02-03 09:00:0{n}.1 INFO p6spy : #{BASE + n}123 | took 500ms | statement | connection 3| url jdbc:h2\n"
        f"SELECT ?\nSELECT {n};\n"
    ),
    "django's server": lines(lambda n: f"[03/Feb/2026 09:00:0{n}] (0.500) SELECT {n}; args=(); alias=default\n"),
}  # fmt: skip


def each(wrap: Callable[[str, int], object]) -> str:
    """A document or line of JSON for each statement."""
    return lines(lambda n: json.dumps(wrap(pg(n, f"LOG:  {STATEMENT}SELECT {n}").rstrip(), n)) + "\n")


def all_of(wrap: Callable[[list[str]], object]) -> str:
    return json.dumps(wrap([pg(n, f"LOG:  {STATEMENT}SELECT {n}") for n in range(COUNT)]))


NESTED = {
    "grafana": all_of(lambda texts: [{"line": text, "timestamp": "1", "fields": {}} for text in texts]),
    "grafana, indented": json.dumps(json.loads(all_of(lambda texts: [{"line": text} for text in texts])), indent=2),
    "loki": all_of(
        lambda texts: {"data": {"result": [{"stream": {}, "values": [[f"{BASE}000000000", text] for text in texts]}]}}
    ),
    "elasticsearch": all_of(lambda texts: {"hits": {"total": 5, "hits": [{"_source": {"message": text}} for text in texts]}}),
    "elasticdump": each(lambda text, n: {"_index": "a", "_source": {"@timestamp": "x", "message": text}}),
    "datadog": each(lambda text, n: {"id": str(n), "attributes": {"message": text, "service": "pg"}}),
    "fluentd": each(lambda text, n: {"tag": "pg", "record": {"log": text}}),
    "google": each(lambda text, n: {"insertId": str(n), "jsonPayload": {"message": text}}),
    "opentelemetry": all_of(
        lambda texts: {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": text}} for text in texts]}]}]}
    ),
    "opentelemetry, lines": each(
        lambda text, n: {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": text}}]}]}]}
    ),
    "syslog with a mark": lines(
        lambda n: f"<134>1 2026-02-03T09:00:0{n}.1Z h postgres 7 ID1 - \ufeff" + pg(n, f"LOG:  {STATEMENT}SELECT {n}")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTED)
def test_a_log_inside_of_json_is_found_however_deep(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, NESTED[name])
    assert found.queries["sql"].to_list() == [f"SELECT {n}" for n in range(COUNT)]
    assert found.queries["start"].dt.year.eq(2026).all() and not STRANGE & set(codes(found.warnings))


def read(tmp_path: Path, text: str) -> lab.Measurements:
    (tmp_path / "log").write_text(text)
    return lab.read(tmp_path / "log")


@pytest.mark.parametrize("name", LOGS)
def test_a_relative_is_read_with_exact_counts_and_times(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, LOGS[name])
    assert found.queries["duration_ms"].to_list() == [500.0] * COUNT
    assert found.queries["start"].dt.strftime("%Y-%m-%d").eq("2026-02-03").all()
    assert found.queries["sql"].str.split().str[-1].to_list() == [str(n) for n in range(COUNT)]
    assert not STRANGE & set(codes(found.warnings))


UNTIMED = {
    "quarkus": lines(lambda n: f"2026-02-03 09:00:0{n},1 DEBUG [org.hib.SQL] (executor-thread-1) select a from b where c={n}\n"),
    "sqlalchemy 1.3": lines(
        lambda n: f"2026-02-03 09:00:0{n},1 INFO sqlalchemy.engine.base.Engine SELECT a \nFROM b WHERE c = %(d)s\n"
        f"2026-02-03 09:00:0{n},1 INFO sqlalchemy.engine.base.Engine {{'d': {n}}}\n"
    ),
    "sqlalchemy 1.3, tuples": lines(
        lambda n: f"2026-02-03 09:00:0{n},1 INFO sqlalchemy.engine.base.Engine SELECT a FROM b WHERE c = ?\n"
        f"2026-02-03 09:00:0{n},1 INFO sqlalchemy.engine.base.Engine ({n},)\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTIMED)
def test_a_relative_without_durations(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, UNTIMED[name])
    assert len(found.queries) == COUNT and found.queries["start"].dt.year.eq(2026).all()
    assert "no-durations" in codes(found.warnings) and not STRANGE & set(codes(found.warnings))
    if "sqlalchemy" in name:
        values = [list(v.values()) if isinstance(v, dict) else list(v) for v in found.queries["parameters"]]
        assert [str(v[-1][-1] if isinstance(v[-1], tuple) else v[-1]) for v in values] == [str(n) for n in range(COUNT)]


SPANS = [
    {"op": "db.sql.query", "description": "SELECT 1", "span_id": str(n), "parent_span_id": "a", "trace_id": "7" * 32,
     "start_timestamp": BASE + 0.5, "timestamp": BASE + 1.0}
    for n in range(COUNT)
]  # fmt: skip
EVENT = {
    "event_id": "e",
    "contexts": {"trace": {"trace_id": "7" * 32, "span_id": "a", "op": "http.server"}},
    "transaction": "/a",
}
TIMES = {"start_timestamp": BASE, "timestamp": BASE + 2}
IN_WORDS = {"start_timestamp": "2026-02-03T09:00:00.5Z", "timestamp": "2026-02-03T09:00:01Z"}
ZIPKIN = [
    {"traceId": "a1", "id": f"c{n}", "kind": "CLIENT", "name": "select", "timestamp": BASE * 10**6, "duration": 500_000,
     "tags": {"sql.query": "SELECT 1"}}
    for n in range(COUNT)
]  # fmt: skip
ZIPKIN_1 = [
    {"traceId": "a1", "id": f"c{n}", "name": "select", "timestamp": BASE * 10**6, "duration": 500_000,
     "annotations": [{"timestamp": 1, "value": "cs", "endpoint": {"serviceName": "shop"}}],
     "binaryAnnotations": [{"key": "sql.query", "value": "SELECT 1", "endpoint": {"serviceName": "shop"}}]}
    for n in range(COUNT)
]  # fmt: skip
TRACES = {
    "sentry, times in words": json.dumps({**EVENT, **IN_WORDS, "spans": [{**span, **IN_WORDS} for span in SPANS]}),
    "sentry, exported": json.dumps({
        **EVENT, "entries": [{"type": "spans", "data": SPANS}], "startTimestamp": BASE, "endTimestamp": BASE + 2,
    }),
    "zipkin, a span a line": "".join(json.dumps(span) + "\n" for span in ZIPKIN),
    "zipkin 1": json.dumps(ZIPKIN_1),
}  # fmt: skip


@pytest.mark.parametrize("name", TRACES)
def test_a_relative_of_traces(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, TRACES[name])
    assert found.queries["duration_ms"].to_list() == [500.0] * COUNT and found.queries["start"].dt.year.eq(2026).all()
    assert len(found.spans) == COUNT + ("sentry" in name)
    assert not STRANGE & set(codes(found.warnings))


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("2026-02-03 09:00:00 UTC [7] 日志:  执行时间: 1.5 ms\n", "lc_messages"),
        ("20260203 09:00:00,host,u,10.0.0.7,5,6,QUERY,d,'SELECT 1',0\n", "slow log"),
        ('{"client":"10.0.0.7:5","digest":"0x1","duration_us":500,"query":"SELECT 1"}\n', "slow log"),
        ("+---+\n| start_time | user_host | query_time | sql_text |\n+---+\n", "--batch"),
        ('Query: select "id" from "a" where "id" = $1 -- params: [1]\n', "recorder"),
        ("09:00:00.123 [debug] QUERY OK source=\"a\" db=0.5ms idle=5ms\nSELECT 1\n", "recorder"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_with_what_is(text: str, instead: str, tmp_path: Path) -> None:
    with pytest.raises(lab.FormatError, match="no known format") as refused:
        read(tmp_path, text)
    assert instead in str(refused.value)
