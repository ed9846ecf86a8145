# ruff: noqa: E501
"""What real configurations do to logs: cursors, cut values, nested statements, verbose slow logs, spans written twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_query_logs_hostile import WRITERS

import perflab as lab
from perflab.formats import NAMES
from perflab.notes import codes


def pg(*messages: str) -> str:
    lines = [f"2026-02-03 09:00:{n:02d}.120 UTC [7] {message}\n" for n, message in enumerate(messages)]
    return "".join(lines)


def read(tmp_path: Path, text: str, **options: str) -> lab.Measurements:
    (tmp_path / "log").write_text(text)
    return lab.read(tmp_path / "log", **options)


def test_fetches_from_a_cursor_are_one_call(tmp_path: Path) -> None:
    sql = "select i from big"
    fetches = [f"LOG:  duration: 0.100 ms  execute fetch from C_1: {sql}"] * 20
    found = read(
        tmp_path,
        pg(f"LOG:  duration: 1.000 ms  execute C_1: {sql}", *fetches, "LOG:  duration: 1 ms  statement: COMMIT"),
    )
    assert found.queries["sql"].to_list() == [sql, "COMMIT"]
    assert found.queries["duration_ms"].iloc[0] == pytest.approx(3.0)


def test_a_function_called_past_the_parser_is_no_time_of_a_statement(tmp_path: Path) -> None:
    call = 'LOG:  duration: 9 ms  fastpath function call: "lo_open" (OID 952)'
    found = read(tmp_path, pg(call, "LOG:  duration: 1 ms  statement: SELECT 1", call))
    assert found.queries["duration_ms"].to_list() == [1.0]
    (note,) = found.warnings
    assert (note.code, note.facts["count"]) == ("durations-without-statement", 2)


def test_a_value_that_the_server_cut_is_unknown(tmp_path: Path) -> None:
    text = pg(
        "LOG:  duration: 1 ms  execute x: SELECT $1, $2, $3",
        "DETAIL:  parameters: $1 = '018f3c2a...', $2 = 'it''s', $3 = NULL",
    )
    assert list(read(tmp_path, text).queries["parameters"].iloc[0]) == [None, "it's", None]


def test_statements_inside_a_function_are_part_of_its_call(tmp_path: Path) -> None:
    text = "LOG:  duration: 0.2 ms  plan:\n\tQuery Text: select count(*) from kid where v = r.id"
    plan = f"{text}\n\tAggregate  (cost=1.00..1.01 rows=1 width=8)"
    inner = [plan, "CONTEXT:  PL/pgSQL function tot() line 3 at FOR over SELECT rows"] * 8
    found = read(tmp_path, pg(*inner, "LOG:  duration: 5 ms  statement: select tot()"))
    assert found.queries["sql"].to_list() == ["select tot()"]
    (note,) = found.warnings
    assert (note.code, note.facts["count"]) == ("nested-left-out", 8)
    assert len(read(tmp_path, pg(*inner)).queries) == 8  # nobody called them in this log


@pytest.mark.parametrize(
    "message",
    [
        "LOG:  duration: 1.5 ms  statement:\n\tSELECT 1", "LOG:  duration: 1.5 ms  statement: \n\tSELECT 1",
        "LOG: duration: 1.5 ms statement: SELECT 1", "LOG:  duration: 1.5 ms  rows: 8  size: 120 bytes  statement: SELECT 1",
    ],
)  # fmt: skip
def test_where_the_text_of_a_statement_may_begin(message: str, tmp_path: Path) -> None:
    found = read(tmp_path, pg(*[message] * 9))
    assert set(found.queries["sql"].str.strip()) == {"SELECT 1"} and len(found.queries) == 9 and not found.warnings


def test_statements_with_semicolons_are_no_stacks(tmp_path: Path) -> None:
    """A line that has semicolons and ends in a number may also be one of a collapsed profile."""
    texts = [
        f"LOG:  duration: 3 ms  statement: SET LOCAL app.tenant = 7; SELECT a FROM t WHERE b = {n}" for n in range(9)
    ]
    found = read(tmp_path, pg(*texts))
    assert found.meta["format"] == "postgresql_stderr" and len(found.queries) == 9


@pytest.mark.parametrize("behind", range(5))
def test_any_width_of_a_csvlog(behind: int, tmp_path: Path) -> None:
    """As PostgreSQL 12 and later write it, and what services leave out or add."""
    who = '"u","d",7,"[local]",6b.50,{},"SELECT",2026-02-03 08:59:00 UTC,3/4,0,LOG,00000,"duration: 1.5 ms  statement: SELECT {}"'
    rows = [f'"2026-02-03 09:00:00.12{n} UTC",{who.format(n, n)},,,,,,,,,"app"{",0" * behind}\n' for n in range(1, 4)]
    found = read(tmp_path, "".join(rows))
    assert found.queries["sql"].to_list() == ["SELECT 1", "SELECT 2", "SELECT 3"] and not found.warnings


HEAD = "# Time: 2026-02-03T09:00:00.500000Z\n# User@Host: app[app] @  [10.0.0.7]  Id:     6\n"
TOOK = "# Query_time: 0.5  Lock_time: 0.000001 Rows_sent: 1  Rows_examined: 9\n"
INSERT = "INSERT INTO t VALUES (1)"
NESTED = HEAD + "# Stored_routine: shop.tot\n" + TOOK + "SET timestamp=1770109200;\n" + "SELECT v;\n"
IDS = "SET last_insert_id=50,insert_id=500,timestamp=1770109200;\n"
EXPLAIN = "#\n# explain: id\tselect_type\ttable\n# explain: 1\tSIMPLE\tt\n#\n"
STAMP = "SET timestamp=1770109200;\n"
SLOW = {
    "plain": (HEAD + TOOK + STAMP + "SELECT a;\n", ["SELECT a"]),
    "explain": (HEAD + TOOK + EXPLAIN + STAMP + "SELECT a;\n", ["SELECT a"]),
    "insert id": (HEAD + TOOK + IDS + INSERT + ";\n", [INSERT]),
    "one insert id": (HEAD + TOOK + IDS.replace("last_insert_id=50,", "") + INSERT + ";\n", [INSERT]),
    "administrator": (
        HEAD + TOOK + "# administrator command: Quit;\n" + HEAD[36:] + TOOK + STAMP + "SELECT b;\n",
        ["SELECT b"],
    ),
    "administrator first": ("# administrator command: Ping;\n" + HEAD + TOOK + STAMP + "SELECT b;\n", ["SELECT b"]),
    "comment": (HEAD + TOOK + STAMP + "# find\nSELECT a\n# only mine\nFROM t;\n", ["# find\nSELECT a\n# only mine\nFROM t"]),
    "a head in a text": (HEAD + TOOK + STAMP + "SELECT 'x;\n# Time: y';\n", ["SELECT 'x;\n# Time: y'"]),
    "no stamp": (HEAD + TOOK + "SELECT a;\n", ["SELECT a"]),
    "set timestamp": (HEAD + TOOK + STAMP + "SET timestamp=5;\n", ["SET timestamp=5"]),
    "old time": ("# Time: 260203  9:00:00\n" + HEAD[36:] + TOOK + "SELECT a;\n", ["SELECT a"]),
    "time and user": (HEAD.replace("Z\n", "Z ") + TOOK + STAMP + "SELECT a;\n", ["SELECT a"]),
    "no user": ("# Time: 2026-02-03T09:00:00.500000Z\n# User@Host: \n" + TOOK + STAMP + "SELECT a;\n", ["SELECT a"]),
    "brackets in brackets": (HEAD.replace("app[app]", "[SQL_SLAVE][[SQL_SLAVE]]") + TOOK + STAMP + "SELECT a;\n", ["SELECT a"]),
    "cut off": (HEAD + TOOK + STAMP + "SELECT a", ["SELECT a"]),
    "routine": (NESTED + HEAD + TOOK + STAMP + "CALL tot();\n", ["CALL tot()"]),
    "routine alone": (NESTED, ["SELECT v"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_entries_of_slow_logs(name: str, tmp_path: Path) -> None:
    text, expected = SLOW[name]
    for after in ("", *([HEAD + TOOK + STAMP + "SELECT 'last';\n"] if name != "cut off" else [])):
        found = read(tmp_path, text + after, format="mysql_slow")
        assert found.queries["sql"].to_list()[: len(expected)] == expected
        assert len(found.queries) == len(expected) + bool(after)
        assert (found.queries["start"].dt.year == 2026).all()
        assert not {"markers-differ", "unbalanced", "skipped"} & set(codes(found.warnings))


OWN = (
    "2026-02-03 09:00:00.120000",
    "root[root] @ localhost [127.0.0.1]",
    "00:00:00.001500",
    "00:00:00.000000",
    0,
    4,
    "shop",
    0,
    0,
    1,
)
OWN_SQL = "SELECT a,\n b WHERE c = 'it\\'s \"q\", \t\\\\'"
OWN_TEXT = OWN_SQL.replace("\\", "\\\\").replace("\n", "\\n")


@pytest.mark.parametrize("shape", ["own", "tabs", "csv"])
def test_the_table_of_slow_statements(shape: str, tmp_path: Path) -> None:
    names = "start_time user_host query_time lock_time rows_sent rows_examined db last_insert_id insert_id server_id sql_text thread_id"
    rows = {
        "own": ",".join(f'"{v}"' if isinstance(v, str) else str(v) for v in OWN)
        + ',"'
        + OWN_TEXT.replace('"', r"\"")
        + '",5\n',
        "tabs": "\t".join(map(str, OWN)) + "\t" + OWN_TEXT.replace("\t", "\\t") + "\t5\n",
        "csv": ",".join(f'"{v}"' for v in OWN) + ',"' + OWN_SQL.replace('"', '""') + '",5\n',
    }
    head = {"own": "", "tabs": names.replace(" ", "\t") + "\n", "csv": names.replace(" ", ",") + "\n"}
    found = read(tmp_path, head[shape] + rows[shape] * 3, timezone="UTC")
    assert found.meta["format"] == "mysql_slow_table" and not found.warnings
    assert found.queries["sql"].to_list() == [OWN_SQL] * 3
    assert set(found.queries["duration_ms"]) == {1.5} and set(found.queries["session"]) == {"5"}


def test_a_query_time_that_is_no_number_is_said(tmp_path: Path) -> None:
    """Old servers wrote 18446744073708.796870.000036 when their clock went back."""
    (note,) = (
        found := read(tmp_path, HEAD + TOOK.replace("0.5", "18446744073708.796870.000036") + STAMP + "SELECT a;\n")
    ).warnings
    assert found.queries["duration_ms"].to_list() == [0.0]
    assert (note.code, note.facts["untimed"]) == ("statements-without-duration", 1)


def test_a_clock_that_was_wrong_at_first(tmp_path: Path) -> None:
    """No time before the network gave one: the log is read, and its times are said to be wrong."""
    text = pg("LOG:  duration: 1 ms  statement: SELECT 1", "LOG:  duration: 1 ms  statement: SELECT 2")
    found = read(tmp_path, text.replace("2026-02-03", "1970-01-01", 1))
    assert len(found.queries) == 2 and "starts-implausible" in codes(found.warnings)


def test_a_sampled_slow_log_says_so(tmp_path: Path) -> None:
    rate = "# Log_slow_rate_type: query  Log_slow_rate_limit: 100\n"
    (note,) = read(tmp_path, HEAD + TOOK + rate + STAMP + "SELECT a;\n").warnings
    assert (note.code, note.facts["limit"]) == ("log-sampled", 100)


RAILS = 'Started GET "/a" for 127.0.0.1 at 2026-02-03 09:00:00 +0000\nProcessing by A#index as HTML\n'


@pytest.mark.parametrize(
    "verb", ["SELECT 1", "LOCK TABLES a WRITE", "CALL f(3)", "REPLACE INTO c VALUES (1)", "MERGE INTO t", "EXEC sp"]
)
def test_any_verb_of_rails(verb: str, tmp_path: Path) -> None:
    found = read(
        tmp_path,
        RAILS + f"  A Load (0.2ms)  SELECT 2\n   (7.0ms)  {verb}\n  ASYNC B Load (0.0ms) (db time 1.6ms)  SELECT 3\n",
    )
    assert (
        found.queries["sql"].to_list() == ["SELECT 2", verb, "SELECT 3"] and found.queries["duration_ms"].sum() == 8.8
    )


def test_requests_that_run_beside_each_other_in_rails_have_no_unit(tmp_path: Path) -> None:
    text = RAILS + RAILS.replace("A#", "B#") + "  A Load (0.2ms)  SELECT 2\n" * 5 + "Completed 200 OK in 5ms\n" * 2
    found = read(tmp_path, text + RAILS + "  A Load (0.2ms)  SELECT 9\n" + "Completed 200 OK in 5ms\n")
    assert "requests-interleaved" in codes(found.warnings)
    assert found.queries["unit"].notna().to_list() == [False] * 5 + [True]


EF = "[Parameters=[@p0='a'], CommandType='{0}Text{0}', CommandTimeout='30']"
APPLICATIONS = {
    "efcore": (f"info: Database.Command[20101]\n      Executed DbCommand (1,888ms) {EF.format('')}\n      SELECT a\n      FROM b\n", 1888.0),
    "efcore failed": (f"fail: Database.Command[20102]\n      Failed executing DbCommand (5ms) {EF.format('')}\n      SELECT a\nFROM b\n", 5.0),
    "serilog": (f"[09:00:00 INF] Executed DbCommand (3ms) {EF.format(chr(34))}\nSELECT a\nFROM b\n", 3.0),
    "prisma": ("\x1b[34mprisma:query\x1b[39m SELECT a\nFROM b\n", 0.0),
    "typeorm": ("\x1b[90m\x1b[4mquery:\x1b[0m \x1b[34mSELECT\x1b[0m a\nFROM b\x1b[90m -- PARAMETERS: [1]\x1b[0m\n", 0.0),
    "gorm": ("\n2026/02/03 09:00:00 \x1b[31m/a.go:1 \x1b[33mSLOW SQL >= 200ms\n\x1b[0m\x1b[31;1m[512.1ms] \x1b[33m[rows:1]\x1b[35m SELECT a\nFROM b\x1b[0m\n", 512.1),
    "sequelize": ("Executed (2f3a-11): SELECT a\nFROM b; Elapsed time: 3ms\n", 3.0),
}  # fmt: skip


@pytest.mark.parametrize("name", APPLICATIONS)
def test_what_orms_print(name: str, tmp_path: Path) -> None:
    """In colour, failed, in quotes: each statement once, and no line in two statements."""
    text, ms = APPLICATIONS[name]
    found = read(tmp_path, text * 3)
    assert found.meta["format"] == "orm_text" and len(found.queries) == 3
    assert set(found.queries["sql"].str.split().str.join(" ")) == {"SELECT a FROM b"}
    assert found.queries["duration_ms"].to_list() == [ms] * 3
    assert not {"markers-differ", "skipped", "unbalanced"} & set(codes(found.warnings))


LOGGERS = {
    "django": ("django.db.backends", "(0.250) SELECT a FROM b WHERE c = {n}; args=({n},); alias=default"),
    "sqlalchemy": ("sqlalchemy.engine.Engine", "SELECT a FROM b\nWHERE c = {n}"),
    "hibernate": ("org.hibernate.SQL", "select a from b where c={n}"),
    "efcore": (
        "Microsoft.EntityFrameworkCore.Database.Command",
        "Executed DbCommand (250ms) [Parameters=[], CommandType='Text', CommandTimeout='30']\nSELECT a FROM b WHERE c = {n}",
    ),
}


@pytest.mark.parametrize(
    "names", [("logger_name", "message", "@timestamp"), ("logger", "event", "timestamp"), ("name", "msg", "asctime")]
)
@pytest.mark.parametrize("tool", LOGGERS)
def test_loggers_that_write_json(tool: str, names: tuple[str, str, str], tmp_path: Path) -> None:
    logger, text = LOGGERS[tool]
    lines = [{names[0]: "app.main", names[1]: "ready", names[2]: "2026-03-01 10:00:00,000", "level": "INFO"}]
    for n in range(3):
        at = f"2026-03-01 10:00:0{n},500"
        for part in [text, "[cached since 0.1s ago] ()"] if tool == "sqlalchemy" else [text]:
            lines.append({names[0]: logger, names[1]: part.format(n=n), names[2]: at, "level": "DEBUG"})
    found = read(tmp_path, "".join(json.dumps(line) + "\n" for line in lines))
    assert [sql.rstrip()[-1] for sql in found.queries["sql"]] == ["0", "1", "2"]
    assert found.queries["start"].is_monotonic_increasing and found.queries["start"].dt.year.eq(2026).all()
    assert not {"skipped", "unbalanced", "markers-differ"} & set(codes(found.warnings))


@pytest.mark.parametrize("padding", [1, 10, 23, 40])
@pytest.mark.parametrize(("logger", "more"), [("org.hibernate.SQL", ""), ("sqlalchemy.engine.Engine", "[raw sql] ()")])
def test_a_padded_logger(logger: str, more: str, padding: int, tmp_path: Path) -> None:
    lines = [
        f"2026-03-01T10:00:0{n}.123Z DEBUG 1 --- [nio-1] {logger}{' ' * padding} : {text}\n"
        for n in range(3)
        for text in ("SELECT a FROM b WHERE c=?", more)
        if text
    ]
    assert len(read(tmp_path, "".join(lines)).queries) == 3


def span(own: int, parent: int, name: str, kind: int, at: int, ms: int, **attributes: str) -> dict[str, object]:
    start = 1_770_109_200_000_000_000 + at * 1_000_000
    listed = [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in attributes.items()]
    ids = {"traceId": "5" * 32, "spanId": f"{own:016x}", "parentSpanId": f"{parent:016x}" if parent else ""}
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + ms * 1_000_000)}
    return {**ids, **times, "name": name, "kind": kind, "attributes": listed}


def otlp(*spans: dict[str, object]) -> dict[str, object]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


PAGE = [
    span(1, 0, "page", 1, 0, 900),
    *(span(10 * n, 1, "GET /t", 2, 20 * n, 9, http__route="/t", http__request__method="GET") for n in range(1, 7)),
    *(
        span(10 * n + 1, 10 * n, "SELECT", 3, 20 * n + 1, 3, db__system="mysql", db__statement="SELECT 1")
        for n in range(1, 7)
    ),
]


def test_a_request_is_a_unit_and_a_trace_only_without_one(tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps(otlp(*PAGE)) + "\n")
    assert found.queries["unit"].nunique() == 6 and set(found.queries["route"]) == {"GET /t"}
    assert len(found.spans) == 13
    lone = read(tmp_path, json.dumps(otlp(*PAGE[7:])) + "\n")
    assert lone.queries["trace"].nunique() == 1


@pytest.mark.parametrize(
    "shape",
    [
        lambda d: json.dumps(d) + "\n", lambda d: json.dumps(d, indent=2), lambda d: json.dumps([d]),
        lambda d: json.dumps({"trace": d}), lambda d: json.dumps({"result": d}) + "\n",
        lambda d: "".join(json.dumps(otlp(one), indent=4) + "\n" for one in PAGE),
        lambda d: json.dumps({"batches": [{"resource": {}, **d["resourceSpans"][0]}]}),
        lambda d: json.dumps(d).replace("5" * 32, "VVVVVVVVVVVVVVVVVVVVVQ=="),
    ],
)  # fmt: skip
def test_the_shapes_of_otlp(shape, tmp_path: Path) -> None:
    found = read(tmp_path, shape(otlp(*PAGE)))
    assert len(found.queries) == 6 and len(found.spans) == 13 and found.spans["trace"].unique().tolist() == ["5" * 32]
    assert not found.warnings


@pytest.mark.parametrize(("parent", "calls"), [(2, 1), (1, 1)])
def test_orm_and_driver_are_one_call(parent: int, calls: int, tmp_path: Path) -> None:
    orm = span(2, 1, "SELECT shop", 3, 5, 4, db__system="mysql", db__statement="SELECT a FROM t WHERE b = %s")
    driver = span(3, parent, "SELECT", 3, 6, 2, db__system__name="mysql", db__query__text="SELECT a FROM t WHERE b = ?")
    found = read(tmp_path, json.dumps(otlp(span(1, 0, "GET", 2, 0, 50), orm, driver)) + "\n")
    assert (
        len(found.queries) == calls
        and found.queries["duration_ms"].sum() == 4
        and codes(found.warnings) == ("spans-twice",)
    )


def test_two_queries_side_by_side_are_two(tmp_path: Path) -> None:
    same = [span(n, 1, "SELECT", 3, 5, 9 - n, db__system="mysql", db__statement="SELECT 1") for n in (2, 3)]
    assert len(read(tmp_path, json.dumps(otlp(span(1, 0, "GET", 2, 0, 50), *same)) + "\n").queries) == 2


def test_stores_without_sql_are_spans_only(tmp_path: Path) -> None:
    redis = span(2, 1, "GET", 3, 5, 1, db__system="redis", db__statement="GET session:ann@example.org")
    found = read(tmp_path, json.dumps(otlp(span(1, 0, "GET", 2, 0, 50), redis)) + "\n")
    assert "queries" not in found.tables and len(found.spans) == 2 and codes(found.warnings) == ("spans-not-sql",)


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("GET session:ann@example.org", False), ("SET session:ann 5", False), ('{"find": "ann@example.org"}', False), ("HGETALL a", False),
        ("SET search_path TO a", True), ("SET a = 5", True), ("/* a */ (SELECT 1)", True), ("-- a\nWITH b AS (SELECT 1) SELECT 2", True),
        ("exec sp_a", True), ("set session time_zone = 'a'", True), ("SET NOCOUNT ON; INSERT INTO a VALUES (1)", True),
    ],
)  # fmt: skip
def test_a_text_of_no_named_database_is_sql_if_it_begins_so(text: str, statement: bool, tmp_path: Path) -> None:
    found = read(tmp_path, json.dumps(otlp(span(1, 0, "GET", 2, 0, 50), span(2, 1, "a", 3, 5, 1, db__statement=text))))
    assert ("queries" in found.tables) == statement and len(found.spans) == 2
    assert ("spans-not-sql" in codes(found.warnings)) != statement


@pytest.mark.parametrize("name", WRITERS)
def test_no_value_of_a_statement_is_in_a_message(name: str, tmp_path: Path) -> None:
    """Planted values, in files that are whole, cut anywhere, or begin anywhere."""
    assert name in NAMES
    write = WRITERS[name]
    data = write("SELECT a FROM t WHERE b = 'PLANTED' AND c = \"PLANTED\" -- PLANTED", 1) * 3
    for begin, end in [(0, None), (0, -3), (0, -30), (40, None), (75, None)]:
        (tmp_path / "log").write_bytes(data[begin:end])
        try:
            said = " ".join(map(str, lab.read(tmp_path / "log", format=name).warnings))
        except lab.PerflabError as problem:
            said = str(problem)
        assert "PLANTED" not in said


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("-03", "13:00"), ("+03", "07:00"), ("+0545", "04:15"), ("-0330", "13:30"), ("+05:30", "04:30"), ("+00", "10:00"), ("CET", "09:00")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["stderr", "csvlog", "jsonlog"])
def test_zones_that_are_offsets_are_no_guess(tmp_path: Path, zone: str, hour: str, kind: str) -> None:
    """A server in São Paulo or Istanbul writes "-03" or "+03" for its zone."""
    at = [f"2026-02-03 10:00:{n:02d}.120 {zone}" for n in range(3)]
    message = "duration: 0 ms  statement: SELECT 1"
    rows = {
        "stderr": [f"{t} [7] app@shop LOG:  {message}" for t in at],
        "csvlog": [f'{t},"u","d",7,"[local]",6b.50,{n},"SELECT",{t},3/4,0,LOG,00000,"{message}",,,,,,,,,"app","client backend",,0'
                   for n, t in enumerate(at, 1)],
        "jsonlog": [f'{{"timestamp":"{t}","pid":7,"session_id":"6b.50","line_num":{n},"error_severity":"LOG","message":"{message}"}}'
                    for n, t in enumerate(at, 1)],
    }[kind]  # fmt: skip
    log = tmp_path / f"log.{kind}"
    log.write_text("\n".join(rows) + "\n")
    held = lab.read(log)
    assert held.queries["start"].dt.strftime("%H:%M").to_list() == [hour] * 3
    assert not held.warnings
