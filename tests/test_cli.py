"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab.store import Draft

TINY = Path(__file__).parent / "loadtest" / "servers" / "tiny.py"
USERS = TINY.with_name("users.py")


def perflab(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "perflab", *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    "command", ["demo", "run", "pairs", "compare", "read", "queries", "report", "new", "execute", "export"]
)
def test_every_command_has_help_with_examples(command: str) -> None:
    done = perflab(command, "--help")
    assert done.returncode == 0
    assert "examples:\n  perflab " + command in done.stdout


def test_errors_are_3_and_say_what_is_wrong(tmp_path: Path) -> None:
    for arguments in (["compare"], ["nonsense"], [], ["run", "x.py"]):
        assert perflab(*arguments).returncode == 3, arguments
    missing = perflab("read", str(tmp_path / "nothing.jtl"))
    assert missing.returncode == 3
    assert "nothing.jtl" in missing.stderr
    assert "Traceback" not in missing.stderr
    bad = perflab("run", str(USERS), "--host", "http://127.0.0.1:1", "--duration", "soon")
    assert (bad.returncode, "soon" in bad.stderr) == (3, True)


def test_run_then_compare_then_report(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = perflab(
        *("run", str(USERS), "--host", f"http://127.0.0.1:{port}", "--command", f"{sys.executable} {TINY} {port}"),
        *("--ready", "/ready", "--users", "3", "--duration", "1s", "--user-class", "Shopper", "--arm", "now"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"1 run \(now: 1\), \d+ requests", done.stdout)
    assert len(lab.load(tmp_path / "runs").runs) == 1
    wrong = perflab("compare", "--store", "runs", "now", "later", cwd=tmp_path)
    assert wrong.returncode == 3
    assert "no runs of arm 'later'; it has now" in wrong.stderr
    single = perflab("report", "runs", "now", "now", "-o", "report.md", cwd=tmp_path)
    assert single.returncode == 2, single.stderr
    assert "# Before and after" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("factor", "code", "word"), [(0.6, 0, "improved"), (1.0, 2, "inconclusive"), (1.6, 1, "regressed")]
)
def test_the_exit_code_is_the_verdict(
    tmp_path: Path, make_requests: Callable[..., pd.DataFrame], factor: float, code: int, word: str
) -> None:
    begin = pd.Timestamp("2026-11-24T01:45:00Z")
    for pair in range(6):
        for order, (arm, slower) in enumerate((("old", 1.0), ("new", factor))):
            start = begin + pd.Timedelta(minutes=2 * pair + order)
            requests = make_requests("r", count=2_000, start=start, seed=pair + 100 * order, slower=slower, errors=0)
            draft = Draft(tmp_path, arm)
            draft.write("requests", requests)
            record = {"arm": arm, "pair": pair, "start": start.isoformat(), "duration_ms": 30_000.0, "valid": True}
            draft.keep({**record, "experiment": "e1", "order": order + 1})
    done = perflab("compare", "--store", str(tmp_path), "old", "new", "--experiment", "e1")
    assert (done.returncode, word in done.stdout) == (code, True), done.stdout + done.stderr


def test_queries_names_the_n_plus_one(tmp_path: Path) -> None:
    import json

    at = 1_763_942_400.0
    lines = []
    for unit in range(10):
        records = [("SELECT id FROM author LIMIT 8", [8])]
        records += [("SELECT * FROM book WHERE author_id = ?", [unit * 10 + i]) for i in range(8)]
        for sql, parameters in records:
            at += 0.001
            lines.append(
                json.dumps({"start": at, "duration_ms": 0.2, "sql": sql, "parameters": parameters, "unit": f"r{unit}"})
            )
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(lines) + "\n")
    done = perflab("queries", str(path))
    assert done.returncode == 1, done.stderr
    assert "select * from book where author_id = ?" in done.stdout
    path.write_text("\n".join(line for line in lines if "author LIMIT" in line) + "\n")
    assert perflab("queries", str(path)).returncode == 0
