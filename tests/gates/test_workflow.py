"""The workflow in docs/: its steps run here, in a repository whose last commit makes a page slower."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

WORKFLOW = Path(__file__).parent.parent.parent / "docs" / "perflab-gate.yml"
APP = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/health":
            time.sleep(DELAY)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Page).serve_forever()
"""
LOCUSTFILE = """
from locust import FastHttpUser, constant, task

class User(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def page(self):
        self.client.get("/")
"""


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def test_it_is_a_workflow_for_pull_requests(workflow: dict[str, Any]) -> None:
    assert True in workflow or "on" in workflow  # YAML 1.1 reads the key as a truth value
    (job,) = workflow["jobs"].values()
    assert [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step] == [
        "actions/checkout", "actions/setup-python", "actions/upload-artifact",
    ]  # fmt: skip
    assert next(s for s in job["steps"] if "checkout" in s.get("uses", ""))["with"]["fetch-depth"] == 0


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True, text=True
    ).stdout


def test_its_steps_find_the_slower_commit(workflow: dict[str, Any], tmp_path: Path) -> None:
    repository, tools = tmp_path / "repository", tmp_path / "tools"
    for folder in (repository, tools):
        folder.mkdir()
    git(repository, "init", "-q")
    (repository / "locustfile.py").write_text(LOCUSTFILE)
    for delay in (0.002, 0.2):  # so much that a busy machine hides nothing
        (repository / "app.py").write_text(APP.replace("DELAY", str(delay)))
        git(repository, "add", ".")
        git(repository, "commit", "-qm", f"sleep {delay}")
    for name, line in {
        "pip": "exit 0",
        "perflab": f'exec {sys.executable} -m perflab "$@"',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(stat.S_IRWXU)
    (job,) = workflow["jobs"].values()
    env = {name: str(value) for name, value in job["env"].items()}
    env |= {"BASE": git(repository, "rev-parse", "HEAD~1").strip(), "PAIRS": "3", "USERS": "20", "DURATION": "2s"}
    env |= {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "HOME": str(tmp_path),
    }
    done = [
        subprocess.run(["bash", "-e", "-c", step["run"].replace("--confirm", "")], cwd=repository, env={**os.environ, **env},
                       capture_output=True, text=True)
        for step in job["steps"] if "run" in step
    ]  # fmt: skip
    install, gate = done
    assert install.returncode == 0
    assert gate.returncode == 1, gate.stdout + gate.stderr
    assert "::error title=gate::The gate fails: p95 of all requests rose" in gate.stdout
    assert JUnitXml.fromfile(str(repository / "perflab" / "gate.xml")).failures >= 1
    assert (tmp_path / "summary.md").read_text().startswith("### ❌")
    assert "regressed" in (repository / "perflab" / "report.html").read_text()
    assert git(repository, "worktree", "list").count("\n") == 1
