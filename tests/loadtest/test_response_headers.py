"""Response headers of a load run: once for each kind of answer, without secrets, and nothing where they are off."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pandas as pd

import perflab as lab
from perflab.data import store
from perflab.loadtest import capture, header_recorder, header_rows
from perflab.loadtest.journal import Journal

SECRET = "hunter2-0d4f"


def answer(headers, status=200, url=f"http://127.0.0.1:1/orders?token={SECRET}"):
    asked = SimpleNamespace(headers={"Accept-Encoding": "gzip", "Cookie": SECRET})
    return SimpleNamespace(headers=headers, status_code=status, url=url, request=asked)


def noted(tmp_path, *calls):
    journal = Journal(tmp_path / "local-1")
    on_request = header_recorder.listener(journal)
    for name, response, length in calls:
        on_request(
            "GET",
            name,
            response=response,
            start_time=time.time(),
            response_length=length,
            url=getattr(response, "url", ""),
        )
    journal.note("footer", count=0)
    journal.flush()
    return capture.process_of(tmp_path / "local-1.jsonl")


def test_each_kind_of_answer_is_noted_once(tmp_path):
    plain = {"Content-Type": "application/json", "Set-Cookie": f"sid={SECRET}", "X-Token": SECRET, "ETag": '"1"'}
    other = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    calls = [("/orders", answer({**plain, "ETag": f'"{n}"'}), 1000) for n in range(50)]
    calls += [("/orders", answer(other), 1000), ("/orders", answer(plain, 500), 10), ("/health", answer(plain), 5)]
    calls += [("/odd", None, 0), ("/odd", SimpleNamespace(headers={"A": "b"}), 0), ("/odd", answer({}), 0)]
    process = noted(tmp_path, *calls)
    found = process.notes[header_recorder.KIND]
    assert [(note["endpoint"], note["status"]) for note in found] == [
        ("GET /orders", 200), ("GET /orders", 200), ("GET /orders", 500), ("GET /health", 200),
    ]  # fmt: skip
    assert SECRET not in str(found)
    assert found[0]["headers"]["set-cookie"] == found[0]["request_headers"]["cookie"] == "…"


def test_kinds_of_answers_are_bounded(tmp_path):
    calls = [("/orders", answer({"Expires": str(n)}), 1) for n in range(100)]
    assert len(noted(tmp_path, *calls).notes[header_recorder.KIND]) == 8


def test_they_become_exchanges_with_the_latency_of_their_endpoint(tmp_path):
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Length": "90000"}
    process = noted(
        tmp_path, ("/orders", answer(headers), 90_000), ("/orders", answer(headers | {"Vary": "Cookie"}), 90_000)
    )
    draft = store.Draft(tmp_path / "runs", "one")
    start = pd.date_range("2026-01-01", periods=3, freq="s", tz="UTC")
    requests = pd.DataFrame({"endpoint": "GET /orders", "start": start, "latency_ms": [10.0, 20.0, 90.0], "ok": True})
    draft.write("requests", requests)
    header_rows.write_exchanges(draft, [process])
    draft.keep({"arm": "one", "start": start[0].isoformat(), "duration_ms": 3000.0, "valid": True})
    run = lab.load(tmp_path / "runs")
    assert (
        run.exchanges[["endpoint", "mime", "transfer_bytes"]].values.tolist()
        == [["GET /orders", "application/json", 90_000]] * 2
    )
    table = lab.audit_exchanges(run)
    assert set(table["finding"]) == {"not-compressed", "no-validator"}
    assert SECRET not in table.to_csv() + run.exchanges.to_csv()
