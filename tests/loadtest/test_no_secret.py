"""200 secrets, planted in 12 spellings wherever a plan, a target and a shell take them, are in nothing that is kept or shown."""

from __future__ import annotations

import json
import os
import random
import signal
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from driving import SERVERS, free_port, wait_for

import perflab as lab
from perflab.cli import main

SPELLINGS = (
    "--password={}", "--password {}", "--dsn=postgresql://u:{}@h/db", "mysql+pymysql://root:{}@db/x",
    "-p{}", "host=db password={}", "jdbc:postgresql://h/db?password={}", "http://h/?a=1&token={}",
    "Authorization: Bearer {}", "--header=X-Api-Key:{}", '{{"password": "{}"}}', "api_secret='{}'",
)  # fmt: skip
PLANT = r"""
import sys, perflab as lab

def planted(secrets, spellings, port, counts, server):
    arguments = [s.format(x) for s, x in zip(spellings * 17, secrets)]
    host = f"http://me:{secrets[-1]}@127.0.0.1:{port}"
    split = [part for a in arguments[:100] for part in (a.split(" ") if a.startswith("--password ") else [a])]
    target = lab.Target(
        "secretive", host=host, command=[sys.executable, server, str(port), counts, *split], ready="/ready", settle=0,
        env={("DB_PASS" if i % 2 else "PLAIN") + str(i): a for i, a in enumerate(arguments[100:150])},
    )
    urls = [
        lab.Url(f"/ok?token={secrets[-2]}&sig={secrets[-3]}", headers={"X-Api-Key": secrets[-4]}, name="ok"),
        lab.Url(f"/brief?session={secrets[-5]}", body=arguments[151], method="POST", name="brief"),
    ]
    headers = {f"X-{'Token' if i % 2 else 'Plain'}-{i}": a for i, a in enumerate(arguments[152:170])}
    plan = lab.LoadPlan.from_urls(
        urls, stages=lab.Stage(1, users=2), headers=headers, master="127.0.0.1:5557", token="".join(secrets[-7:-5])
    )
    return plan, target
"""
NOTEBOOK = """
import json, sys
given = json.load(open("given.json"))
exec(given["plant"])
import perflab as lab
plan, target = planted(**given["planted"])
display(plan, target, target.record(), plan.record(), *plan.urls)
one = lab.run(plan, target, store="runs", progress=False)
display(one, one.runs, one.runs.iloc[0].to_dict(), lab.summarize(one), one.meta, one.warnings)
"""


def secrets(seed: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(string.ascii_letters + string.digits, k=14)) for _ in range(204)]


def texts(place: Path) -> Iterator[tuple[str, str]]:
    """Everything below a folder as text; tables with all their values."""
    for file in sorted(place.rglob("*")):
        yield "the name of a file", file.name
        if file.suffix == ".parquet":
            frame = pd.read_parquet(file)
            yield file.name, " ".join(str(value) for column in frame for value in frame[column].astype(str).unique())
        if file.is_file():
            yield file.name, file.read_bytes().decode("utf-8", "replace")


def assert_none(planted: list[str], found: Iterator[tuple[str, str]]) -> None:
    for what, text in found:
        leaked = [secret for secret in planted if secret in text]
        assert not leaked, f"{what} has {len(leaked)} secrets: ...{text[max(0, text.find(leaked[0]) - 60) :][:80]}"


@pytest.mark.parametrize("seed", [1])
def test_no_secret_is_in_an_executed_notebook_a_run_or_a_report(tmp_path: Path, seed: int) -> None:
    planted = secrets(seed)
    given = {
        "secrets": planted, "spellings": SPELLINGS, "port": free_port(), "counts": str(tmp_path / "counts.json"),
        "server": str(SERVERS / "counting.py"),
    }  # fmt: skip
    (tmp_path / "given.json").write_text(json.dumps({"plant": PLANT, "planted": given}))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)], metadata=kernel)
    nbformat.write(book, tmp_path / "book.ipynb")
    done = lab.execute_notebook(tmp_path / "book.ipynb", tmp_path / "done.ipynb")
    one = lab.load(tmp_path / "runs")
    assert one.runs.valid.all()
    assert len(one.requests) > 10
    for suffix in ("md", "html"):
        lab.Report("Secrets", [one, lab.summarize(one), one.runs]).save(tmp_path / f"report.{suffix}")
    (tmp_path / "given.json").unlink()
    (tmp_path / "counts.json").unlink()
    assert "secretive" in done.read_text()
    assert_none(planted, texts(tmp_path))
    assert_none(planted, iter([("repr", repr(one)), ("html", one._repr_html_()), ("runs", one.runs.to_csv())]))


def test_no_secret_is_in_an_error_or_in_what_a_killed_run_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = secrets(2)
    made: dict[str, object] = {}
    exec(PLANT, made)
    errors: list[tuple[str, str]] = []
    given = {"spellings": SPELLINGS, "port": free_port(), "counts": str(tmp_path / "counts.json")}
    # It is not started by these arguments, and prints them.
    plan, target = made["planted"](planted, server=str(SERVERS / "tiny.py"), **given)
    with pytest.raises(lab.PerflabError) as failed:
        lab.run(plan, target, store=tmp_path / "failed", progress=True)
    assert "tiny.py" in str(failed.value)
    errors += [("an error", str(failed.value)), ("an error", repr(failed.value))]
    taken = lab.Target("x", host=f"http://me:{planted[0]}@127.0.0.1:1", ready=f"/r?token={planted[1]}")
    with pytest.raises(lab.TargetError) as failed:
        lab.run(plan, taken, store=tmp_path / "failed", progress=False)
    errors.append(("an error", str(failed.value)))
    driver = f"{PLANT}\nimport json\nplan, target = planted(**json.loads(sys.stdin.read()))\n"
    driver += f"lab.run(plan, target, store={str(tmp_path / 'runs')!r}, progress=False)"
    running = subprocess.Popen([sys.executable, "-c", driver], stdin=subprocess.PIPE, text=True)
    assert running.stdin
    running.stdin.write(json.dumps({**given, "secrets": planted, "server": str(SERVERS / "counting.py")}))
    running.stdin.close()
    wait_for(lambda: any(f.stat().st_size for f in tmp_path.glob("runs/.2*/generator/*.bin")), 60)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(0.2)
    (tmp_path / "counts.json").unlink()
    assert_none(planted, texts(tmp_path))
    assert_none(planted, iter(errors))
    captured = capsys.readouterr()
    assert_none(planted, iter([("the screen", captured.out + captured.err)]))


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: lab.Target("a", host=f"http://me:{x}@[::1"),
        lambda x: lab.Target("a", host="localhost:50051", ready=f"/ready?token={x}"),
        lambda x: lab.Url(f"http://me:{x}@h/a?token={x}"),
        lambda x: lab.LoadPlan("x.py", stages=lab.Stage(1, users=1), headers={"X-Token": f"{x}\n{x}"}),
    ],
)
def test_no_secret_is_in_a_refusal(refused: Callable[[str], object]) -> None:
    for secret in secrets(4):
        with pytest.raises(ValueError, match="must be") as failed:
            refused(secret)
        assert secret not in str(failed.value)


def test_no_secret_of_a_shell_is_in_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = secrets(3)
    url = f"http://me:{planted[0]}@127.0.0.1:1/a?token={planted[1]}"
    command = ["check-url", url, "--duration", "1s", "--header", f"X-Api-Key={planted[2]}"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["perflab", *command])
    assert main(command) == 3
    captured = capsys.readouterr()
    assert "127.0.0.1:1" in captured.err
    assert_none(planted, iter([("the shell", captured.out + captured.err)]))
    assert_none(planted, texts(tmp_path))
