"""The command line: its entry function, called in this process; what belongs to a process is tested in one."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab import cli
from perflab.cli import main
from perflab.data.store import Draft
from perflab.notes import DESIGN, Kind, Remedy

TINY = Path(__file__).parent.parent / "loadtest" / "servers" / "tiny.py"
USERS = TINY.with_name("users.py")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Perflab = Callable[..., Done]


@pytest.fixture
def perflab(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Perflab:
    """A command with its exit code and what it printed."""

    def call(*arguments: object, cwd: Path | None = None) -> Done:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capsys.readouterr()
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as left:
            code = int(str(left.code))
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call


def commands() -> list[str]:
    listed = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return sorted(listed.choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert "examples:\n  perflab " + command in capsys.readouterr().out


def test_the_documentation_names_every_command() -> None:
    page = (TINY.parents[3] / "docs" / "shell.md").read_text(encoding="utf-8")
    assert [c for c in commands() if f"perflab {c}" not in page] == []


def test_who_reads_may_leave_early() -> None:
    """As head and less do; the exit code stays that of the verdict."""
    command = [sys.executable, "-m", "perflab", "read", "tests/samples/k6_csv/microseconds.csv"]
    place = Path(__file__).parent.parent.parent
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=place)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert (running.stderr.read(), running.wait()) == (b"", 0)
    running.stderr.close()


def test_errors_are_3_and_say_what_is_wrong(tmp_path: Path, perflab: Perflab) -> None:
    for arguments in (["compare"], ["nonsense"], [], ["run", "x.py"]):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert done.value.code == 3, arguments
    missing = perflab("read", str(tmp_path / "nothing.jtl"))
    assert missing.returncode == 3
    assert "nothing.jtl" in missing.stderr
    assert "Traceback" not in missing.stderr
    bad = perflab("run", str(USERS), "--host", "http://127.0.0.1:1", "--duration", "soon")
    assert (bad.returncode, "soon" in bad.stderr) == (3, True)


def test_run_then_compare_then_report(tmp_path: Path, perflab: Perflab) -> None:
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
    single = perflab("report", "now", "now", "--store", "runs", "-o", "report.md", cwd=tmp_path)
    assert single.returncode == 2, single.stderr
    assert "# Before and after" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("factor", "code", "word"), [(0.6, 0, "improved"), (1.0, 2, "inconclusive"), (1.6, 1, "regressed")]
)
def test_the_exit_code_is_the_verdict(
    tmp_path: Path, make_requests: Callable[..., pd.DataFrame], perflab: Perflab, factor: float, code: int, word: str
) -> None:
    begin = pd.Timestamp("2026-11-24T01:45:00Z")
    for pair in range(6):
        arms = (("old", 1.0), ("new", factor))
        for order, (arm, slower) in enumerate(arms if pair in (0, 3, 4) else arms[::-1]):
            start = begin + pd.Timedelta(minutes=2 * pair + order)
            requests = make_requests(
                "r", count=2_000, start=start, seed=pair + 100 * (arm == "new"), slower=slower, errors=0
            )
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


def test_queries_names_the_n_plus_one(tmp_path: Path, perflab: Perflab) -> None:
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
    assert main([*shop, "--arm", "eager", "--goals", str(goals)]) == 2  # a line that is not understood never passes
    assert "SLO.md:4: - p95 should be good" in capsys.readouterr().out
    assert main([*shop, "--objective", "p95 < 2s"]) == 3  # two arms are no replications
    assert "several arms" in capsys.readouterr().err


def test_check_url_needs_no_locustfile(
    tmp_path: Path, perflab: Perflab, monkeypatch: pytest.MonkeyPatch, make_requests: Callable[..., pd.DataFrame]
) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tiny = subprocess.Popen([sys.executable, str(TINY), str(port)])
    url = f"http://127.0.0.1:{port}/ok?page=1"
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        checks = ["--status", "201", "--contains", "xxx"]
        bad = perflab("check-url", url, "--rate", "20", "--duration", "1s", *checks, cwd=tmp_path)
        assert bad.returncode == 1, bad.stderr
        assert re.search(r"GET /ok +status is 201 +20 +0 +0\b", bad.stdout)
        assert re.search(r"GET /ok +body contains 'xxx' +20 +20 +100\b", bad.stdout)
    finally:
        tiny.terminate()
        tiny.wait(10)
    requests = make_requests("r", count=40, errors=0)
    passed = pd.DataFrame({"run": "r", "start": requests["start"], "name": "status is 200", "ok": True})
    held = lab.Measurements.of(requests=requests, checks=passed)
    monkeypatch.setattr(lab, "run", lambda *_, **__: held)
    assert perflab("check-url", url, "--users", "2", "--duration", "1s").returncode == 0
    wrong = perflab("check-url", url, "--users", "1", "--rate", "1")
    assert (wrong.returncode, "--users (closed model) or --rate" in wrong.stderr) == (3, True)


def test_bad_looks_are_refused_before_any_load(capsys: pytest.CaptureFixture[str]) -> None:
    arms = ["--baseline", "a=http://127.0.0.1:1", "--candidate", "b=http://127.0.0.1:2"]
    for looks, words in (("5,ten", "like 5,10,15,20"), ("5,99", "beyond the 10 pairs"), ("2,10", "first at 3")):
        assert main(["pairs", str(USERS), *arms, "--looks", looks]) == 3
        assert words in capsys.readouterr().err


SHOP = ["--store", str(TINY.parents[3] / "datasets" / "shop_runs")]


def test_plan_runs_takes_a_pilot_of_one_arm_or_two(capsys: pytest.CaptureFixture[str]) -> None:
    orders = ["--endpoint", "GET /orders", "--effect", "20%", "--budget", "20m"]
    assert main(["plan-runs", *SHOP, "--arm", "n+1", "--arm", "eager", *orders]) == 0
    two = capsys.readouterr().out
    assert (
        "To detect a 20 % decrease of p95 of GET /orders with power 0.8: 31 pairs" in two and "20 min can detect" in two
    )
    assert main(["plan-runs", *SHOP, "--arm", "eager", *orders]) == 0
    assert "from 6 runs" in capsys.readouterr().out
    assert main(["plan-runs", *SHOP]) == 3
    assert "choose one" in capsys.readouterr().err
    assert main(["plan-runs", *SHOP, "--arm", "a", "--arm", "b", "--arm", "c"]) == 3
    assert main(["plan-runs"]) == 3
    assert "plan-runs needs files to read, or --store" in capsys.readouterr().err


def test_calibrate_takes_runs_that_are_there_or_drives_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["calibrate", *SHOP, "--arm", "eager", "--endpoint", "GET /orders", "--relabellings", "20", "--seed", "1"]
    assert main(asked) == 0
    assert re.search(r"Runs of the same system differ by .* in p95 of GET /orders", capsys.readouterr().out)
    driven: list[object] = []
    monkeypatch.setattr(lab, "calibrate", lambda *given, **how: driven.extend([*given, how]))
    host = ["--host", "http://127.0.0.1:1", "--pairs", "4", "--users", "3", "--duration", "5s", "--arm", "now"]
    assert main(["calibrate", str(USERS), *host, "--user-class", "Shopper"]) == 0
    target, plan, pairs, options = driven
    assert (target.arm, target.host, str(plan), pairs) == (  # type: ignore[attr-defined]
        "now", "http://127.0.0.1:1", "users.py (Shopper): 3 users for 5 s; the first 10 % are warm-up", 4
    )  # fmt: skip
    assert options == {"relabellings": 200, "seed": None, "metric": "p95", "warmup": None, "store": "runs"}
    assert main(["calibrate", *host]) == 3
    assert "needs one locustfile; got none" in capsys.readouterr().err


def test_change_points_says_by_its_exit_code_whether_it_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = pd.date_range("2026-01-01", periods=40, freq="D", tz="UTC")
    for later, code in ((1.0, 0), (1.4, 1), (0.7, 0)):
        values = [(100 + (day * 7) % 5) * (later if day >= 25 else 1.0) for day in range(40)]
        pd.DataFrame({"run": range(40), "start": days, "value": values}).to_csv(tmp_path / "history.csv", index=False)
        assert main(["change-points", "--values", str(tmp_path / "history.csv")]) == code, later
        out = capsys.readouterr().out
        assert ("from run 25 on" in out) == (later != 1.0)
        assert "run_pairs(" not in out and ("perflab pairs ... --pairs " in out) == (later != 1.0)
    assert main(["change-points", *SHOP, "--arm", "eager"]) == 0
    assert "no lasting change in 6 runs" in capsys.readouterr().out
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert main(["change-points", "--values", str(tmp_path / "other.csv")]) == 3
    assert main(["change-points", "--values", str(tmp_path / "none.csv")]) == 3


def test_a_run_that_records_queries_says_what_they_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_requests: Callable[..., pd.DataFrame]
) -> None:
    queries = lab.read(TINY.parents[3] / "datasets" / "shop_queries.jsonl").queries
    targets: list[lab.Target] = []

    def run(plan: lab.LoadPlan, target: lab.Target, **_: object) -> lab.Measurements:
        targets.append(target)
        return lab.Measurements.of(requests=make_requests("r"), queries=queries.assign(run="r"))

    monkeypatch.setattr(lab, "run", run)
    asked = ["run", str(USERS), "--host", "http://127.0.0.1:1", "--command", "python app.py", "--record-queries"]
    assert main(asked) == 0
    assert targets[0].record_queries
    out = capsys.readouterr().out
    assert lab.find_n_plus_one(queries).attrs["sentence"] in out and "p95" in out
    assert main([*asked, "--env", "PERFLAB_QUERY_LOG=x"]) == 3
    assert "PERFLAB_QUERY_LOG" in capsys.readouterr().err
    assert main([*asked[:-3], "--record-queries"]) == 3


NAME = 'Report format="pdf" rate=True'
"""An endpoint whose name reads like advice; names pass through every command unchanged."""


def test_names_pass_through_every_command_unchanged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_requests: Callable[..., pd.DataFrame]
) -> None:
    begin = pd.Timestamp("2026-11-24T01:45:00Z")
    for order in range(12):
        start = begin + pd.Timedelta(minutes=order)
        requests = make_requests("r", count=400, start=start, seed=order, errors=0).assign(endpoint=NAME)
        arm = ("old", "new")[order % 2]
        record = {"arm": arm, "pair": order // 2, "start": start.isoformat(), "duration_ms": 30_000.0, "valid": True}
        draft = Draft(tmp_path / "runs", arm)
        draft.write("requests", requests)
        draft.keep({**record, "experiment": "e1", "order": order + 1})
    store = ["--store", str(tmp_path / "runs")]
    first = next((tmp_path / "runs").glob("*old*"))
    report = [str(tmp_path / f"report{suffix}") for suffix in (".md", ".html")]
    asked: dict[str, list[str]] = {
        "compare": ["compare", *store, "old", "new", "--primary", NAME],
        "check": ["check", *store, "--arm", "old", "--objective", "p95 < 1ms"],
        "plan-runs": ["plan-runs", *store, "--arm", "old", "--endpoint", NAME, "--effect", "50%"],
        "calibrate": ["calibrate", *store, "--arm", "old", "--endpoint", NAME, "--relabellings", "20"],
        "change-points": ["change-points", *store, "--arm", "old", "--endpoint", NAME],
        "read": ["read", str(first)],
        "report": ["report", *store, "old", "new", "-o", report[0], "-o", report[1]],
    }
    shown = {}
    for command, arguments in asked.items():
        assert main(arguments) != 3, command
        shown[command] = capsys.readouterr().out
    shown["report"] = (tmp_path / "report.md").read_text().replace("\\", "")
    for command in set(asked) - {"check"}:
        assert NAME in shown[command], command
    # Those without an endpoint of their own, or that only drive load, print the same results.
    assert set(commands()) - set(asked) == {
        "baseline", "check-url", "demo", "execute", "export", "gate", "ingest", "merge", "new", "pairs", "queries", "recover",
        "run", "worker",
    }  # fmt: skip


def test_every_remedy_written_for_the_shell_is_an_option_of_a_command() -> None:
    """Each Remedy of the library, found in its source: the command exists, and so do its options."""
    subcommands = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    everywhere = {option for parser in subcommands.values() for option in parser._option_string_actions}
    found = 0
    for path in (TINY.parents[3] / "perflab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Remedy"):
                continue
            if not (node.args and isinstance(node.args[0], ast.Constant)):
                continue
            named = node.args[1] if len(node.args) > 1 else ast.Dict([], [])
            assert isinstance(named, ast.Dict), f"{path}:{node.lineno}: spell out the arguments of a Remedy"
            keys = [key.value if isinstance(key, ast.Constant) else "" for key in named.keys]
            given = next((k.value for k in node.keywords if k.arg == "given"), None)
            remedy = Remedy(str(node.args[0].value), dict.fromkeys(filter(None, keys), "x"), "a, b" if given else "")
            words = remedy.shell().split(" ")
            if words[0] == "perflab":
                assert words[1] in subcommands, f"{path}:{node.lineno}: {remedy.shell()}"
                known = set(subcommands[words[1]]._option_string_actions)
            elif path.name in ("_queries.py", "_postgresql.py", "structured_log.py"):
                known = set(subcommands["queries"]._option_string_actions)  # what is said of a query log
            else:
                known = everywhere
            options = {word for word in words if word.startswith("--")}
            assert options <= known, f"{path}:{node.lineno}: {remedy.shell()}"
            found += 1
    assert found


@pytest.mark.parametrize(
    ("remedy", "shell"),
    [
        (Remedy("read", {"timezone": "Europe/Berlin"}), "--timezone Europe/Berlin"),
        (Remedy("read", {"time_format": "%d/%m/%Y %H:%M:%S"}), "--time-format '%d/%m/%Y %H:%M:%S'"),
        (Remedy("Stage", {"rate": ...}), "--rate"),
        (Remedy("read", {"transactions": True}), "--transactions"),
        (Remedy("read", {"log_line_prefix": ...}), "--log-line-prefix"),
        (Remedy("compare", {"allow": "plan"}), "--allow plan"),
        (Remedy("check", {"allow": ("invalid", "plan")}), "--allow invalid --allow plan"),
        (Remedy("run_pairs", {"pairs": 8}, given="plan, before, after"), "perflab pairs ... --pairs 8"),
        (
            Remedy("load", {"experiment": "e-1"}, given='"runs"'),
            "perflab compare BASELINE CANDIDATE --store runs --experiment e-1",
        ),
        (Remedy(".where", {"valid": True}), "--only-valid"),
        (Remedy(".where", {"arm": ...}), "--arm"),
        (Remedy("ingest", {"store": "runs"}, given='"k6.csv"'), 'ingest("k6.csv", store="runs")'),
    ],
)
def test_advice_in_the_shell_names_options(remedy: Remedy, shell: str) -> None:
    assert remedy.shell() == shell


def test_an_error_that_holds_a_note_is_written_for_the_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = Kind("different-plans", DESIGN, "the runs of {name:raw} have different plans; {remedy} compares anyway")

    def compare(*_: object, **__: object) -> None:
        raise lab.ComparisonError(plans(Remedy("compare", {"allow": "plan"}), name=NAME))

    monkeypatch.setattr(lab, "compare", compare)
    assert main(["compare", *SHOP, "n+1", "eager"]) == 3
    said = f"perflab: the runs of {NAME} have different plans; --allow plan compares anyway\n"
    assert capsys.readouterr().err == said


def test_what_a_refusal_advises_runs_when_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two interrupted runs of several arms, refused for two reasons: each command has the options that it names."""
    shutil.copytree("datasets/shop_runs", tmp_path / "store")
    for facts in sorted((tmp_path / "store").glob("*/run.json"))[:2]:
        found = json.loads(facts.read_text(encoding="utf-8"))
        found |= {
            "valid": False,
            "reasons": [{"code": "interrupted", "about": "you", "facts": {}, "text": "interrupted"}],
        }
        facts.write_text(json.dumps(found), encoding="utf-8")
    source = ["--store", str(tmp_path / "store")]
    for command in (["check", *source, "--objective", "p95 < 1 s"], ["change-points", *source]):
        assert main(command) == 3
        said = capsys.readouterr().err
        assert (
            "--only-valid" in said and "--allow invalid --allow arms" in said and "(" not in said.split("To do so")[1]
        )
        assert main([*command, "--allow", "invalid", "--allow", "arms"]) != 3
        assert main([*command, "--only-valid", "--allow", "arms"]) != 3


def test_results_whose_times_are_local_or_relative_can_be_read_from_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jtl = tmp_path / "local.jtl"
    jtl.write_text("timeStamp,elapsed,label,responseCode,success\n2026/11/24 12:00:00.000,12,GET /a,200,true\n")
    assert main(["read", str(jtl)]) == 0
    assert "--timezone Europe/Berlin" in capsys.readouterr().out
    assert main(["read", str(jtl), "--timezone", "Europe/Berlin"]) == 0
    out = capsys.readouterr().out
    assert "2026-11-24 11:00:00" in out and "--timezone" not in out
    hey = "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n"
    for name in ("before", "after"):
        (tmp_path / f"{name}.csv").write_text(hey + "0.01,0,0,0,0.01,0,200,0.5\n" * 300)
    both = [str(tmp_path / "before.csv"), str(tmp_path / "after.csv")]
    assert main(["compare", *both]) == 2
    assert "--started" in capsys.readouterr().out
    times = ["--started", "2026-11-24T12:00:00Z", "--started", "2026-11-24T12:10:00Z"]
    assert main(["compare", *both, *times, "--endpoint", "GET /a"]) == 2
    out = capsys.readouterr().out
    assert "--started" not in out and "GET /a" in out
    assert main(["compare", *both, *times[:2]]) == 3
    assert "--started must be given for each of 2 files, the baseline's first; got 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], ("pandas", "numpy", "duckdb", "scipy", "matplotlib", "locust", "IPython")),
        (["compare", "--help"], ("pandas", "numpy", "duckdb", "scipy", "matplotlib", "locust", "IPython")),
        (["read", "QUERIES"], ("scipy", "duckdb", "matplotlib", "locust", "gevent", "IPython", "ipywidgets", "jinja2")),
        (["queries", "QUERIES"], ("matplotlib", "locust", "gevent", "IPython", "ipywidgets", "jinja2")),
        (["compare", *SHOP, "n+1", "eager"], ("matplotlib", "locust", "gevent", "IPython", "ipywidgets", "jinja2")),
    ],
)
def test_a_command_imports_no_more_than_it_needs(arguments: list[str], absent: tuple[str, ...]) -> None:
    named = [str(TINY.parents[3] / "datasets" / "shop_queries.jsonl") if a == "QUERIES" else a for a in arguments]
    code = (
        "import sys\nfrom perflab.cli import main\n"
        f"try: main({named!r})\nexcept SystemExit: pass\n"
        f"print('loaded:', *(name for name in {absent!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_a_durations_unit_is_named_to_the_command_that_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    path = TINY.parents[2] / "samples" / "structured_log" / "pino.jsonl"
    assert main(["queries", str(path)]) == 0
    assert "--unit ms" in capsys.readouterr().out
    assert main(["queries", str(path), "--unit", "ms"]) == 0
    assert "--unit" not in capsys.readouterr().out
