"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab import cli
from perflab.cli import main
from perflab.store import Draft

TINY = Path(__file__).parent / "loadtest" / "servers" / "tiny.py"
USERS = TINY.with_name("users.py")


def perflab(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "perflab", *arguments], capture_output=True, text=True, cwd=cwd)


def commands() -> list[str]:
    listed = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return sorted(listed.choices)


@pytest.mark.parametrize("command", commands())
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
    (tmp_path / "script.js").write_text(
        "export const options = { vus: 3, duration: '1s', thresholds: { http_req_failed: ['rate<0.9'] } };"
    )
    done = perflab(
        *("run", str(USERS), "--host", f"http://127.0.0.1:{port}", "--command", f"{sys.executable} {TINY} {port}"),
        *("--ready", "/ready", "--k6", "script.js", "--user-class", "Shopper", "--arm", "now"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "error rate of all requests < 90 %" in done.stdout
    assert re.search(r"1 run \(now: 1\), \d+ requests", done.stdout)
    assert len(lab.load(tmp_path / "runs").runs) == 1
    wrong = perflab("compare", "--store", "runs", "now", "later", cwd=tmp_path)
    assert wrong.returncode == 3
    assert "no run has arm='later'; there is 'now'" in wrong.stderr
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


def test_an_arm_against_itself_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    shop = str(TINY.parents[3] / "datasets" / "shop_runs")
    assert main(["compare", "--store", shop, "eager", "eager"]) == 2
    assert "both arms hold the same runs: nothing was compared" in capsys.readouterr().out


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


def test_check_says_by_its_exit_code_whether_objectives_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = ["check", "--store", str(TINY.parents[3] / "datasets" / "shop_runs")]
    for text, code in (("p95 < 2s", 0), ("p95 of GET /orders < 1ms", 1), ("max latency < 1h", 2), ("p95 is nice", 3)):
        assert main([*shop, "--arm", "eager", "--objective", text]) == code, text
    goals = tmp_path / "SLO.md"
    goals.write_text("# Objectives\n\n- p95 of all requests < 2 s\n- p95 should be good for 200 people\n")
    assert main([*shop, "--arm", "eager", "--goals", str(goals)]) == 0
    assert "not understood: SLO.md:4: - p95 should be good" in capsys.readouterr().out
    assert main([*shop, "--objective", "p95 < 2s"]) == 3  # two arms are no replications
    assert "several arms" in capsys.readouterr().err


def test_check_url_needs_no_locustfile(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tiny = subprocess.Popen([sys.executable, str(TINY), str(port)])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}/ok?page=1"
        done = perflab("check-url", url, "--users", "2", "--duration", "1s", "--contains", "xxx", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert re.search(r"GET /ok +status is 200 +([\d,]+) +\1 +100 %", done.stdout)
        assert re.search(r"GET /ok +body contains 'xxx' +([\d,]+) +\1 +100 %", done.stdout)
        bad = perflab("check-url", url, "--rate", "20", "--duration", "1s", "--status", "201", cwd=tmp_path)
        assert bad.returncode == 1, bad.stderr
        assert re.search(r"status is 201 +20 +0 +0 %", bad.stdout)
    finally:
        tiny.terminate()
        tiny.wait(10)
    wrong = perflab("check-url", url, "--users", "1", "--rate", "1")
    assert (wrong.returncode, "--users (closed model) or --rate" in wrong.stderr) == (3, True)


def test_bad_looks_are_refused_before_any_load(capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--baseline", "a=http://127.0.0.1:1", "--candidate", "b=http://127.0.0.1:2"]
    for looks, words in (("5,ten", "like 5,10,15,20"), ("5,99", "beyond the 10 pairs"), ("2,10", "first at 3")):
        assert main(["pairs", str(USERS), *arms, "--looks", looks]) == 3
        assert words in capsys.readouterr().err
