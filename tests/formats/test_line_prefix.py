"""Prefixes of PostgreSQL's log that nobody listed: made at random, inferred, and every statement behind them counted."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import perflab as lab
from perflab.formats import _line_prefix
from perflab.notes import codes

TIMES = ("%m", "%t", "%n")
FIELDS = ("%p", "%c", "%l", "%u", "%d", "%a", "%h", "%r", "%e", "%x", "%v", "%Q", "%i", "%b", "%s")
WORDS = {
    "%p": ("pid=", "pid ", "process:"), "%c": ("session=", "sid="), "%l": ("line=", "l:"), "%u": ("user=", "usr:", "user "),
    "%d": ("db=", "database="), "%a": ("app=", "application="), "%h": ("client=", "host="), "%r": ("remote=", "from="),
    "%e": ("state=",), "%x": ("xid=", "tx="), "%v": ("vxid=",), "%Q": ("queryid=", "qid="), "%i": ("tag=",), "%b": ("type=",),
    "%s": ("since=",),
}  # fmt: skip
SESSIONS = [
    {
        "%p": str(pid),
        "%c": f"69a1{pid:04x}.{pid:x}",
        "%u": user,
        "%d": database,
        "%a": app,
        "%h": host,
        "%r": f"{host}({pid})",
    }
    for pid, user, database, app, host in (
        (1371, "shop_app", "shop", "gunicorn", "10.20.31.140"),
        (1402, "ann", "shop", "PostgreSQL JDBC Driver", "[local]"),
        (77, "shop_app", "stock", "[unknown]", "10.20.31.7"),
        (21944, "report-user", "shop", "psql", "web-3.example.org"),
    )
]


def made(at: random.Random) -> str:
    """A prefix with a time and some fields in any order, each alone, in brackets, or behind a word."""
    fields = at.sample(FIELDS, at.randint(0, 6))
    order = (
        [at.choice(TIMES), *fields] if at.random() < 0.7 else at.sample([at.choice(TIMES), *fields], len(fields) + 1)
    )
    separator = at.choice((" ", " ", ",", " | ", ":", "-", ";"))
    parts = []
    for field in order:
        word = at.choice(WORDS[field]) if field in WORDS and at.random() < 0.6 else ""
        before, after = at.choice((("", ""), ("", ""), ("[", "]"), ("(", ")"), ("<", ">")))
        parts.append(f"{before}{word}{field}{after}")
    return separator.join(parts) + at.choice((" ", ": ", " - ", "] "))


def values(at: random.Random, number: int) -> dict[str, str]:
    clock = f"2026-02-03 09:{number // 60 % 60:02d}:{number % 60:02d}"
    return {
        "%m": f"{clock}.{at.randrange(1000):03d} UTC", "%t": f"{clock} UTC",
        "%n": f"{1770109200 + number}.{at.randrange(1000):03d}",
        "%l": str(number + 1), "%e": "00000", "%x": at.choice(("0", "0", str(7000 + number))), "%v": f"3/{number}",
        "%Q": str(at.randrange(-(2**62), 2**62)), "%i": at.choice(("SELECT", "BIND", "idle in transaction")),
        "%b": "client backend", "%s": "2026-02-03 08:59:58 UTC", **at.choice(SESSIONS),
    }  # fmt: skip


def log(prefix: str, at: random.Random, count: int = 40) -> str:
    lines = []
    for number in range(count):
        written = prefix
        for escape, value in values(at, number).items():
            written = written.replace(escape, value)
        level = (
            "LOG:  duration: 0.5 ms  statement: " if number % 9 else 'ERROR:  relation "a" does not exist at character '
        )
        lines.append(f"{written}{level}SELECT {number},\n\t'LOG:  no'\n")
    return "".join(lines)


def test_nineteen_of_twenty_made_prefixes_are_read_and_the_rest_is_refused(tmp_path: Path) -> None:
    exact = 0
    for seed in range(200):
        at = random.Random(seed)
        prefix = made(at)
        text = log(prefix, at)
        inferred = _line_prefix.infer(text)
        begins = rf"\A(?P<whole>{_line_prefix.tolerant(inferred or '')}{_line_prefix.LEVELS}duration: )"
        records = pc.extract_regex(pa.array(text.splitlines()), begins).drop_null() if inferred else ()
        exact += len(records) == 35
        if seed % 10 and len(records) == 35:
            continue
        (tmp_path / f"{seed}.log").write_text(text)
        if len(records) < 35:
            with pytest.raises(lab.FormatError, match="log_line_prefix="):
                lab.read(tmp_path / f"{seed}.log")
            named = lab.read(tmp_path / f"{seed}.log", log_line_prefix=prefix)
            assert len(named.queries) == 35
        else:
            found = lab.read(tmp_path / f"{seed}.log")
            assert len(found.queries) == 35
            assert (found.queries["start"].dt.year == 2026).all() or "starts-implausible" in codes(found.warnings)
    assert exact >= 190


def test_a_prefix_that_changes_is_said(tmp_path: Path) -> None:
    """After a reload of the configuration: a few statements behind another prefix are a warning, many a refusal."""
    lines = [f"2026-02-03 09:00:00 UTC [7] a@b LOG:  duration: 1 ms  statement: SELECT {n}\n" for n in range(96)]
    other = [f"<a 7> LOG:  duration: 1 ms  statement: SELECT {n}\n" for n in range(40)]
    (tmp_path / "log").write_text("".join(lines + other[:4]))
    found = lab.read(tmp_path / "log")
    assert len(found.queries) == 96 and {"skipped", "markers-differ"} <= set(codes(found.warnings))
    (tmp_path / "log").write_text("".join(lines + other))
    with pytest.raises(lab.FormatError, match="<a 7>"):
        lab.read(tmp_path / "log")


def test_a_refusal_says_how_to_name_the_prefix(tmp_path: Path) -> None:
    lines = [f"{n}{'-' * n}<{n}> LOG:  duration: 1 ms  statement: SELECT 'secret'\n" for n in range(9)]
    (tmp_path / "log").write_text("x LOG:  statement: SELECT 1\n" + "".join(reversed(lines)))
    try:
        found = lab.read(tmp_path / "log", format="postgresql_stderr")
        assert len(found.queries) == 10
    except lab.FormatError as refused:
        assert "log_line_prefix=" in str(refused) and "secret" not in str(refused)


@pytest.mark.parametrize(
    ("prefix", "column"),
    [
        ("%m [%p] user=%u,db=%d,app=%a ", "application"),
        ("%t:%r:%u@%d:[%p]:", "user"),
        ("time=%m pid=%p usr=%u ", "user"),
    ],
)
def test_fields_are_found_by_their_words(prefix: str, column: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log(prefix, random.Random(5)))
    found = lab.read(tmp_path / "log").queries
    expected = {"application": "%a", "user": "%u"}[column]
    assert set(found[column].dropna()) == {session[expected] for session in SESSIONS}
    assert found["session"].nunique() == len(SESSIONS)


@pytest.mark.parametrize("size", range(60, 180, 11))
def test_no_length_of_a_prefix_loses_a_statement(size: int, tmp_path: Path) -> None:
    prefix = "2026-02-03 09:00:0{}.123 UTC [7] user=shop,app="
    lines = [
        f"{prefix.format(n)}{'x' * (size - len(prefix))} LOG:  duration: {10.0**n} ms  statement: SELECT {n}\n"
        for n in range(8)
    ]
    (tmp_path / "log").write_text("".join(lines))
    found = lab.read(tmp_path / "log", format="postgresql_stderr")
    assert found.queries["duration_ms"].sum() == 11_111_111 and not found.warnings


def test_a_field_that_is_empty_at_first_is_found_later(tmp_path: Path) -> None:
    apps = ["" if n < 20 else "late worker" for n in range(40)]
    head = "2026-02-03 09:00:00 UTC [7]"
    lines = [f"{head} app={app},user=u LOG:  duration: 1 ms  statement: SELECT {n}\n" for n, app in enumerate(apps)]
    (tmp_path / "log").write_text("".join(lines))
    found = lab.read(tmp_path / "log").queries
    assert len(found) == 40 and found["application"].notna().sum() == 20


def test_what_fits_nothing_is_refused() -> None:
    assert _line_prefix.infer("a b c\n") is None
    assert _line_prefix.infer("") is None
