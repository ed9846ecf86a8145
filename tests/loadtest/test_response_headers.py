"""Response headers of a load run: once for each kind of answer, bounded, without secrets; nothing where they are off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab.data import store
from perflab.loadtest import capture
from perflab.loadtest.header_rows import write_exchanges
from perflab.loadtest.records import ANSWER

SECRET = "hunter2-0d4f"
# In a process of its own: Locust patches the one that imports it.
_LISTEN = """
import sys, time
from pathlib import Path
from types import SimpleNamespace as Having
from geventhttpclient.header import Headers
from perflab.loadtest.header_recorder import listener
from perflab.loadtest.journal import Journal

SECRET = "hunter2-0d4f"
journal = Journal(Path(sys.argv[1]) / "local-1")
on_request = listener(journal)

def answer(headers, status=200):
    asked = Having(headers={"Accept-Encoding": "gzip", "Cookie": SECRET})
    return Having(headers=headers, status_code=status, url=f"http://127.0.0.1:1/orders?token={SECRET}", request=asked)

def made(name, response, length):
    on_request("GET", name, response=response, start_time=time.time(), response_length=length, url=getattr(response, "url", ""))

plain = {"Content-Type": "application/json; charset=utf-8", "Set-Cookie": f"sid={SECRET}", "X-Token": SECRET, "ETag": '"1"'}
for n in range(50):
    made("/orders", answer({**plain, "ETag": f'"{n}"', "Content-Length": "90000"}), 90_000)
made("/orders", answer({"Content-Type": "application/json", "Cache-Control": "no-store"}), 1000)
made("/orders", answer(plain, 500), 10)
for response in (None, Having(headers={"A": "b"}), answer({}), Having(headers=[1])):
    made("/odd", response, 0)
for n in range(100):
    made("/many", answer({"Expires": str(n)}), 1)
made("/fast", answer(Headers([("Vary", "Accept"), ("Vary", "Cookie"), ("Set-Cookie", SECRET), ("Set-Cookie", SECRET)])), 1)
journal.note("footer", count=0)
journal.flush()
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> capture.Process:
    folder = tmp_path_factory.mktemp("raw")
    subprocess.run([sys.executable, "-c", _LISTEN, str(folder)], check=True)
    return capture.process_of(Path(folder) / "local-1.jsonl")


def test_each_kind_of_answer_is_noted_once(process: capture.Process) -> None:
    found = process.notes[ANSWER]
    kinds = [(note["endpoint"], note["status"], note["headers"].get("cache-control", "")) for note in found]
    assert kinds[:3] == [("GET /orders", 200, ""), ("GET /orders", 200, "no-store"), ("GET /orders", 500, "")]
    assert [kind[0] for kind in kinds[3:]] == ["GET /many"] * 8 + ["GET /fast"]
    assert found[-1]["headers"] == {"vary": "Accept, Cookie", "set-cookie": "…"}
    assert found[0]["headers"]["set-cookie"] == found[0]["request_headers"]["cookie"] == "…"
    assert SECRET not in str(found)


def test_they_become_exchanges_with_the_latency_of_their_endpoint(process: capture.Process, tmp_path: Path) -> None:
    draft = store.Draft(tmp_path / "runs", "one")
    start = pd.date_range("2026-01-01", periods=3, freq="s", tz="UTC")
    requests = pd.DataFrame({"endpoint": "GET /orders", "start": start, "latency_ms": [10.0, 20.0, 90.0], "ok": True})
    draft.write("requests", requests)
    write_exchanges(draft, [process, process])
    draft.keep({"arm": "one", "start": start[0].isoformat(), "duration_ms": 3000.0, "valid": True})
    run = lab.load(tmp_path / "runs")
    orders = run.exchanges[run.exchanges["endpoint"] == "GET /orders"]
    assert orders[["mime", "status"]].values.tolist() == [
        ["application/json", 200],
        ["application/json", 200],
        ["application/json", 500],
    ]
    assert orders["transfer_bytes"].iloc[0] == 90_000
    assert orders["timings_ms"].to_list() == [{"wait": 20.0}] * 3
    table = lab.audit_exchanges(run)
    assert "not-compressed" in set(table["finding"])
    assert not {"loaded-again", "calls-in-a-row", "connection-closed"} & set(table["finding"])
    assert SECRET not in table.to_csv() + run.exchanges.to_csv()


def test_nothing_is_written_where_they_are_off(tmp_path: Path) -> None:
    draft = store.Draft(tmp_path / "runs", "one")
    write_exchanges(draft, [])
    assert not list(draft.folder.glob("exchanges*"))
    draft.drop()
