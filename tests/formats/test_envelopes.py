"""Logs as collectors keep them: every envelope around every kind of log, with exact counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import perflab as lab
from perflab.data import envelopes, sources
from perflab.notes import codes

AT = "2026-02-03T09:00:{:02d}.120000Z"
COUNT = 9


def stderr(number: int) -> list[str]:
    head = f"2026-02-03 09:00:{number:02d}.120 UTC [1371] LOG:  duration: 1.500 ms  statement: "
    return [f"{head}SELECT a,", f"\tb FROM t WHERE c = {number}"]


def jsonlog(number: int) -> list[str]:
    record = {
        "timestamp": f"2026-02-03 09:00:{number:02d}.120 UTC", "user": "u", "dbname": "d", "pid": 7, "session_id": "6b.50",
        "line_num": number + 1, "error_severity": "LOG",
        "message": f"duration: 1.500 ms  statement: SELECT a,\n b FROM t WHERE c = {number}",
    }  # fmt: skip
    return [json.dumps(record, separators=(",", ":"))]


def csvlog(number: int) -> list[str]:
    who = '"u","d",7,"127.0.0.1:5",6b.50'
    head = f'{AT.format(number).replace("T", " ")[:23]} UTC,{who},{number + 1},"SELECT",2026-02-03 08:59:00 UTC,3/4,0,LOG,00000,'
    rest = ',,,,,,,,,"app","client backend",,0'
    return [f'{head}"duration: 1.500 ms  statement: SELECT a,', f' ""b"" FROM t WHERE c = {number}"{rest}']


def slow(number: int) -> list[str]:
    return [
        f"# Time: 2026-02-03T09:00:{number:02d}.120000Z", "# User@Host: app[app] @  [10.1.20.17]  Id:    12",
        "# Query_time: 0.001500  Lock_time: 0.000001 Rows_sent: 1  Rows_examined: 9", f"SET timestamp=17701092{number:02d};",
        "SELECT a,", f" b FROM t WHERE c = {number};",
    ]  # fmt: skip


def each(write: Callable[[int, str], str]) -> Callable[[int, list[str]], str]:
    """A collector that keeps each line by itself."""
    return lambda number, lines: "".join(write(number, line) + "\n" for line in lines)


def whole(write: Callable[[int, str], str]) -> Callable[[int, list[str]], str]:
    """A collector that keeps a record with all its lines."""
    return lambda number, lines: write(number, "\n".join(lines)) + "\n"


def _json(**fields: object) -> str:
    return json.dumps(fields)


def syslog(number: int, lines: list[str]) -> str:
    """As PostgreSQL writes: numbered pieces."""
    head = f"Feb  3 09:00:{number:02d} db8 postgres[1371]:"
    return "".join(f"{head} [{number + 5}-{n}] {line}\n".replace("\t", "#011") for n, line in enumerate(lines, start=1))


ENVELOPES = {
    "docker": each(lambda n, text: _json(log=text + "\n", stream="stderr", time=AT.format(n))),
    "cri": each(lambda n, text: f"{AT.format(n)} stderr F {text}"),
    "cri parts": each(lambda n, text: f"{AT.format(n)} stderr P {text[:9]}\n{AT.format(n)} stderr F {text[9:]}"),
    "compose": each(lambda n, text: f"db-1  | {text}"),
    "compose -t": each(lambda n, text: f"shop-db-1 | {AT.format(n)} {text}"),
    "journald": each(lambda n, text: f"Feb 03 09:00:{n:02d} db8 postgres[1371]: {text}"),
    "journald iso": each(lambda n, text: f"2026-02-03T09:00:{n:02d}+0000 db8 mysqld[1371]: {text}"),
    "journald json": each(lambda n, text: _json(__REALTIME_TIMESTAMP="1770109200000000", _PID="7", MESSAGE=text)),
    "rfc 5424": each(lambda n, text: f"<134>1 {AT.format(n)} db8 postgres 1371 - - {text}"),
    "cloudwatch": whole(lambda n, text: f"{AT.format(n)} {text}"),
    "cloud sql": whole(lambda n, text: _json(insertId=str(n), textPayload=text, timestamp=AT.format(n))),
    "azure": whole(lambda n, text: _json(properties={"message": text}, time=AT.format(n), category="PostgreSQLLogs")),
    "compose in colour": each(lambda n, text: f"\x1b[36mdb-1  | \x1b[0m{text}"),
    "gcp": whole(lambda n, text: _json(textPayload=text, insertId=str(n))),
    "fluent bit": each(lambda n, text: _json(date=1770109200.1, kubernetes={"pod_name": "pg"}, log=text, stream="stderr")),
    "firelens": each(lambda n, text: _json(container_name="db", source="stderr", log=text)),
    "loki": each(lambda n, text: _json(labels={"pod": "pg"}, timestamp=AT.format(n), line=text)),
    "vector": whole(lambda n, text: _json(host="a", source_type="file", message=text)),
    "elastic": whole(lambda n, text: json.dumps({"@timestamp": AT.format(n), "message": text})),
}  # fmt: skip
LOGS = {"stderr": stderr, "csvlog": csvlog, "jsonlog": jsonlog, "slow": slow}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is read of each log without an envelope."""
    found = {}
    for name, write in LOGS.items():
        path = tmp_path_factory.mktemp("plain") / name
        path.write_text("".join("\n".join(write(n)) + "\n" for n in range(COUNT)))
        found[name] = lab.read(path, run="r").queries.to_csv()
    return found


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_every_envelope_around_every_log(envelope: str, log: str, plain: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "wrapped").write_text("".join(ENVELOPES[envelope](n, LOGS[log](n)) for n in range(COUNT)))
    found = lab.read(tmp_path / "wrapped", run="r")
    assert len(found.queries) == COUNT
    assert found.queries.to_csv() == plain[log]
    assert not {"skipped", "markers-differ", "unbalanced"} & set(codes(found.warnings))


def test_pieces_of_syslog_are_joined_process_by_process(tmp_path: Path) -> None:
    texts = [syslog(n, stderr(n)) for n in range(COUNT)]
    other = [text.replace("[1371]", "[99]") for text in texts]
    mixed = [
        line for pair in zip("".join(texts).splitlines(), "".join(other).splitlines(), strict=True) for line in pair
    ]
    (tmp_path / "log").write_text("\n".join(mixed) + "\n")
    found = lab.read(tmp_path / "log").queries
    assert len(found) == 2 * COUNT and set(found["sql"]) == {f"SELECT a,\nb FROM t WHERE c = {n}" for n in range(COUNT)}


def test_the_envelope_gives_time_and_process_where_the_log_has_none(tmp_path: Path) -> None:
    lines = [syslog(n, [f"user=app,db=shop LOG:  duration: 1.5 ms  statement: SELECT {n}"]) for n in range(COUNT)]
    (tmp_path / "log").write_text("".join(lines))
    found = lab.read(tmp_path / "log", timezone="UTC")
    assert set(found.queries["session"]) == {"1371"} and set(found.queries["user"]) == {"app"}
    assert (found.queries["start"].dt.strftime("%m-%d %H:%M") == "02-03 09:00").iloc[1:].all()


def test_cloudnativepg(tmp_path: Path) -> None:
    records = [{"level": "info", "logger": "setup", "msg": "Starting", "logging_pod": "m-1"}]
    for n in range(COUNT):
        message = f"duration: 1.500 ms  statement: SELECT {n}"
        inner = {
            "log_time": f"2026-02-03 09:00:{n:02d}.120 UTC",
            "session_id": "6b.50",
            "session_line_num": str(n),
            "message": message,
        }
        records.append(
            {"logger": "postgres", "msg": "record", "record": {**inner, "error_severity": "LOG"}, "logging_pod": "m-1"}
        )
    (tmp_path / "log").write_text("".join(json.dumps(record) + "\n" for record in records))
    found = lab.read(tmp_path / "log")
    assert found.meta["format"] == "postgresql_jsonlog" and len(found.queries) == COUNT


def export(*logs: list[str]) -> str:
    rows = [("@timestamp", "@message"), *((AT.format(n), "\n".join(lines)) for n, lines in enumerate(logs))]
    return "".join(",".join('"' + text.replace('"', '""') + '"' for text in row) + "\n" for row in rows)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda *logs: json.dumps(
            {"entries": [{"textPayload": "\n".join(lines), "insertId": "a"} for lines in logs]}, indent=1
        ),
        export,
        lambda *logs: "\ufeff" + "".join(line + "\r\n" for lines in logs for line in lines),
    ],
    ids=["document", "csv", "utf-16"],
)
@pytest.mark.parametrize("log", LOGS)
def test_files_that_are_envelopes(wrapped: Callable[..., str], log: str, plain: dict[str, str], tmp_path: Path) -> None:
    text = wrapped(*(LOGS[log](n) for n in range(COUNT)))
    (tmp_path / "log").write_bytes(text.encode("utf-16-le" if text[0] == "\ufeff" else "utf-8"))
    found = lab.read(tmp_path / "log", run="r")
    assert found.queries.to_csv() == plain[log] and "skipped" not in codes(found.warnings)


def test_an_envelope_in_an_envelope(tmp_path: Path) -> None:
    inner = [ENVELOPES["compose"](n, stderr(n)).splitlines() for n in range(COUNT)]
    (tmp_path / "log").write_text("".join(ENVELOPES["docker"](n, lines) for n, lines in enumerate(inner)))
    assert len(lab.read(tmp_path / "log").queries) == COUNT


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-03T09:00:00Z INFO django.db.backends (0.001) SELECT 1; args=(); alias=default\n",
        "Feb  3 09:00:00 web app[7]: D, [x] -- : Book Load (0.2ms)  SELECT 1\n",
        '{"metric":"http_req_duration","type":"Point","data":{"time":"2026-02-03T09:00:00Z","value":1}}\n',
        '{"start": 1.5, "duration_ms": 0.5, "sql": "SELECT 1"}\n',
        "a;b;c 5\n",
        "",
    ],
)
def test_other_files_are_left_as_they_are(text: str, tmp_path: Path) -> None:
    assert envelopes.detect(text.encode()) is None
    (tmp_path / "file").write_text(text)
    with sources.open_bytes(tmp_path / "file") as stream:
        assert stream.read() == text.encode()
