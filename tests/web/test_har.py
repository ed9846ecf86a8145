"""HAR files as browsers, test tools and proxies write them: right, or a clear error; and never a secret."""

from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path

import pytest

import perflab as lab
from perflab.notes import codes
from perflab.web.stripped import shown_url

SECRET = "hunter2-0d4f"
AT = "2026-11-29T10:00:00.000Z"


def entry(url="https://shop.example/", status=200, mime="text/html", at=AT, **other):
    """A plain entry; ``request``, ``response``, ``content`` add to its parts, the rest to itself."""
    request = {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": [], "headersSize": -1, "bodySize": -1}
    content = {"size": 1000, "mimeType": mime} | other.pop("content", {})
    response = {"status": status, "headers": [], "content": content, "headersSize": 200, "bodySize": 500}
    request |= other.pop("request", {})
    response |= other.pop("response", {})
    timings = other.pop(
        "timings", {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 1, "wait": 40, "receive": 9}
    )
    return {"startedDateTime": at, "time": 50.0, "request": request, "response": response, "timings": timings, **other}


def har(*entries, **log):
    return {"log": {"version": "1.2", "creator": {"name": "test", "version": "1"}, "entries": list(entries), **log}}


def read(tmp_path: Path, content, **options):
    path = tmp_path / "visit.har"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return lab.read(path, **options)


CHROME = entry(
    "https://shop.example/app.3f2a9c1b.js",
    mime="text/javascript",
    content={"size": 90_000, "compression": 60_000},
    response={"_transferSize": 30_412, "bodySize": -1, "headersSize": -1, "_error": None},
    timings={
        "blocked": 2,
        "dns": 5,
        "ssl": 20,
        "connect": 30,
        "send": 1,
        "wait": 40,
        "receive": 9,
        "_blocked_queueing": 1,
    },
    time=87.0,
    _initiator={"type": "parser", "url": "https://shop.example/?token=" + SECRET, "lineNumber": 3},
    _priority="High",
    _resourceType="script",
)
VARIANTS = {
    # tool: (HAR, expected of the first exchange)
    "Chrome": (
        har(CHROME),
        {"transfer_bytes": 30_412, "body_bytes": 90_000, "kind": "script", "render_blocking": True},
    ),
    "Chrome, from its cache": (
        har(entry(_fromCache="disk", response={"_transferSize": 0, "bodySize": 0})),
        {"transfer_bytes": 0, "cached": True},
    ),
    "Chrome, blocked by the client": (
        har(
            entry(status=0, response={"_error": "net::ERR_BLOCKED_BY_CLIENT", "_transferSize": 0}, content={"size": 0})
        ),
        {"status": None},
    ),
    "Firefox": (
        har(entry(time=50, response={"bodySize": 512, "headersSize": 300}, cache={}, _securityState="secure")),
        {"transfer_bytes": 812, "body_bytes": 1000, "cached": False},
    ),
    "Firefox, a size of null": (har(entry(content={"size": None}, response={"bodySize": None})), {"body_bytes": None}),
    "Safari": (
        har(entry(_fetchType="Memory Cache", _priority="high", response={"_transferSize": 0})),
        {"cached": True, "transfer_bytes": 0},
    ),
    "Playwright": (
        har(
            entry(
                _frameref="frame@1",
                _monotonicTime=520.0,
                pageref="page@1",
                response={"_transferSize": 700},
                request={"headers": [{"name": "sec-fetch-dest", "value": "style"}]},
                content={"mimeType": "x-unknown"},
            )
        ),
        {"transfer_bytes": 700, "kind": "stylesheet", "mime": None},
    ),
    "Playwright, no response": (
        har(
            entry(
                status=-1,
                time=-1,
                timings={"send": -1, "wait": -1, "receive": -1},
                content={"size": -1},
                response={"bodySize": -1, "headersSize": -1, "_transferSize": -1},
            )
        ),
        {"status": None, "transfer_bytes": None, "duration_ms": 0.0},
    ),
    "mitmproxy": (
        har(entry(at="2026-11-29T10:00:00.123456+00:00", content={"compression": 600}, response={"bodySize": 400})),
        {"transfer_bytes": 600, "body_bytes": 1000},
    ),
    "Charles, ssl beside connect": (
        har(entry(time=100.0, timings={"connect": 30, "ssl": 20, "send": 0, "wait": 40, "receive": 10}, comment="")),
        {"timings_ms": {"connect": 30.0, "ssl": 20.0, "send": 0.0, "wait": 40.0, "receive": 10.0}},
    ),
    "HAR, ssl within connect": (
        har(entry(time=80.0, timings={"connect": 30, "ssl": 20, "send": 0, "wait": 40, "receive": 10})),
        {"timings_ms": {"connect": 10.0, "ssl": 20.0, "send": 0.0, "wait": 40.0, "receive": 10.0}},
    ),
    "Fiddler": (
        b"\xef\xbb\xbf" + json.dumps(har(entry(at="2026-11-29T11:00:00.1234567+01:00"))).encode(),
        {"transfer_bytes": 700},
    ),
    "BrowserMob": (
        har({k: v for k, v in entry(status=-999).items() if k != "timings"}),
        {"status": None, "timings_ms": {}},
    ),
    "WebPageTest": (
        har(entry(_bytesIn=612, _load_ms=50, _gzip_save=-1), pages=[{"startedDateTime": AT, "id": "page_1_0"}]),
        {"transfer_bytes": 700},
    ),
    "chrome-har, compressed": (
        gzip.compress(json.dumps(har(entry(_initiator="https://shop.example/", _initiator_type="parser"))).encode()),
        {"initiator": "https://shop.example/"},
    ),
    "headers as an object": (
        har(entry(response={"headers": {"Content-Type": "text/css; charset=utf-8"}}, content={"mimeType": ""})),
        {"mime": "text/css", "headers": {"content-type": "text/css; charset=utf-8"}},
    ),
    "UTF-16": (json.dumps(har(entry())).encode("utf-16"), {"transfer_bytes": 700}),
    "IPv6 and a port": (har(entry("http://[::1]:8001/a")), {"url": "http://[::1]:8001/a"}),
    "times without a zone": (har(entry(at="2026-11-29T10:00:00.5")), {"transfer_bytes": 700}),
    "a body of 3 MB": (
        har(
            entry(
                content={"encoding": "base64", "text": base64.b64encode(random.Random(1).randbytes(3_000_000)).decode()}
            )
        ),
        {"body_bytes": 1000},
    ),
    "base64 that is none": (har(entry(content={"encoding": "base64", "text": "%%%"})), {"body_bytes": 1000}),
    "half a surrogate in a body": (har(entry(content={"text": "\ud800" * 300, "size": 0})), {"body_bytes": 900}),
    "numbers that nobody expects": (
        har(
            entry(
                time=1e30, timings={"wait": 1e30, "receive": 5}, content={"size": 1e300}, response={"bodySize": 10**30}
            )
        ),
        {"body_bytes": None, "timings_ms": {"receive": 5.0}, "duration_ms": 5.0},
    ),
    "no sizes but Content-Length": (
        har(
            entry(response={"headers": [{"name": "Content-Length", "value": "321"}], "bodySize": -1, "headersSize": -1})
        ),
        {"transfer_bytes": 321},
    ),
}


@pytest.mark.parametrize("tool", VARIANTS)
def test_a_variant_is_read_as_its_tool_means_it(tool, tmp_path):
    content, expected = VARIANTS[tool]
    found = read(tmp_path, content)
    row = found.exchanges.iloc[0].to_dict()
    got = {name: None if row[name] is None or row[name] != row[name] else row[name] for name in expected}
    assert got == expected
    assert found.exchanges["start"].iloc[0].hour == 10
    assert "markers-differ" not in codes(found.warnings)
    assert isinstance(lab.audit_exchanges(found).attrs["sentence"], str)


BROKEN = {
    "cut off": json.dumps(har(entry(), entry())).encode()[:-300],
    "no entries": har(),
    "entries that are none": har(None, 7, {"request": {}}),
    "only data addresses": har(entry("data:text/plain,a")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_an_error_that_names_it(what, tmp_path):
    with pytest.raises(lab.FormatError, match=r"visit\.har") as problem:
        read(tmp_path, BROKEN[what])
    assert "HAR" in str(problem.value)


def test_entries_that_are_none_are_counted(tmp_path):
    found = read(
        tmp_path, har(entry(), {"request": {"url": "https://h/", "method": "GET"}}, entry("blob:https://h/1"), "x")
    )
    facts = next(note.facts for note in found.warnings if note.code == "skipped")
    assert (facts["skipped"], facts["total"], facts["first"]) == (2, 4, 2)


def test_the_pages_of_a_log_are_visits_of_their_own(tmp_path):
    """With "preserve log", and in the iterations of sitespeed.io, files are loaded anew, not twice."""
    app, times = "https://shop.example/app.js", [AT.replace(":00.000", f":{second:02}.000") for second in range(6)]
    entries = [entry(app, mime="text/javascript", at=at) for at in times]
    once = read(tmp_path, har(*entries))
    assert "visit" not in once.exchanges and "loaded-again" in set(lab.audit_exchanges(once)["finding"])
    for place, one in enumerate(entries):
        one["pageref"] = [None, "page_1", "page_1", "page_2", None, "page_3"][place]
    several = read(tmp_path, har(*entries))
    assert several.exchanges["visit"].tolist() == [1, 1, 1, 2, 2, 3]
    again = lab.audit_exchanges(several).set_index("finding").loc["loaded-again"]
    assert again["exchanges"] == 3
    for one in entries:
        one["pageref"] = "page_1"
    assert "visit" not in read(tmp_path, har(*entries)).exchanges


def planted():
    """A HAR with a secret in every place that may hold one."""
    headers = [
        {"name": name, "value": f"{prefix}{SECRET}"}
        for name, prefix in {
            "Cookie": "sid=", "Authorization": "Bearer ", "X-Api-Key": "", "Set-Cookie": "sid=", "X-Csrf-Token": "",
            "Location": "https://shop.example/in?code=", "Referer": "https://shop.example/?t=", "ETag": "", "Link": "<https://h/?k=",
            "Content-Disposition": "attachment; filename=", "Server-Timing": "db;desc=", "Report-To": "",
            "Last-Modified": "", "Expires": "id ", "Cache-Status": 'Edge; hit; key="/u/',
        }.items()
    ]  # fmt: skip
    urls = (
        f"https://me:{SECRET}@shop.example/a", f"https://shop.example/a?token={SECRET}", f"https://shop.example/a#t={SECRET}",
        f"https://shop.example/a?v={SECRET}{SECRET}", f"https://shop.example/a;jsessionid={SECRET}",
        f"https://shop.example/reset/a1{SECRET}b2c3d4e5", f"https://shop.example/a?{SECRET}xxxx",
        f"https://shop.example/a?x=1;sig={SECRET}", f"https://shop.example/ibs:id=1&key={SECRET}", f"https://shop.example/u/{SECRET}@mail.example",
    )  # fmt: skip
    body = {"text": f'{{"password": "{SECRET}"}}', "mimeType": "application/json"}
    return har(
        *(
            entry(
                url,
                request={"headers": headers, "postData": body, "cookies": [{"name": "a", "value": SECRET}],
                         "queryString": [{"name": "token", "value": SECRET}]},
                response={"headers": headers, "redirectURL": f"https://h/?t={SECRET}", "statusText": SECRET},
                content={"text": f"<p>{SECRET}</p>" * 200, "comment": SECRET},
                _initiator={"type": "script", "stack": {"callFrames": [{"url": url, "functionName": SECRET}]}},
                _webSocketMessages=[{"data": SECRET}],
            )
            for url in urls
        ),
        pages=[{"startedDateTime": AT, "title": urls[1], "id": "p"}],
    )  # fmt: skip


def test_no_artefact_holds_a_secret(tmp_path):
    found = read(tmp_path, planted())
    audit = lab.audit_exchanges(found)
    assert len(found.exchanges) == len(planted()["log"]["entries"])
    (place,) = lab.ingest(tmp_path / "visit.har", tmp_path / "store")
    report = lab.Report("A visit", [audit]).save(tmp_path / "report.html")
    found.to_csv(tmp_path / "csv")
    shown = [
        repr(found),
        found._repr_html_(),
        repr(audit),
        audit._repr_html_(),
        audit.to_csv(),
        found.exchanges.to_csv(),
    ]
    shown += [str(warning) for warning in (*found.warnings, *audit.warnings)]
    files = [p for folder in (place, tmp_path / "csv") for p in Path(folder).rglob("*") if p.is_file()]
    kept = lab.load(tmp_path / "store").exchanges.to_csv()
    assert SECRET not in "".join([*shown, kept, Path(report).read_text()])
    assert not [p for p in files if SECRET.encode() in p.read_bytes()]


KEPT = (
    "https://h/blog/boots-2024-warm-edition", "https://h/iphone15pro", "https://h/assets/3f2a9c1b/app.js",
    "https://h/api/orders/17/lines", "https://h/_next/static/chunks/main-app-3f2a9c1b7d.js", "https://h/p/caf%C3%A9?page=2&lang=en",
)  # fmt: skip
HIDDEN = (
    "https://h/sync/P2JCJHVKKCNN", "https://h/u/4baf7ccd-c7fd-411f-a3b3-7a9ac6e23448", "https://h/786792932447527911",
    "https://h/invoice/a8Xk2mP0qLz3Vb7c.pdf", "https://h/a/me@example.org", "https://h/a?v=a8Xk2mP0qLz3Vb7c", "https://h/a?q=me",
    "https://h/verify/UP74cba837-0bff-11e8-9449-024c70ff63ec", "https://h/a?a8Xk2mP0qLz3Vb7c",
)  # fmt: skip


def test_addresses_keep_their_words_and_lose_their_keys():
    """The hidden ones are as those of trackers, in whose paths, pairs and ETags cookies were found again."""
    assert [url for url in KEPT if shown_url(url) != url] == []
    shown = {url: shown_url(url) for url in HIDDEN}
    assert [url for url, text in shown.items() if "…" not in text or url.rpartition("/")[2] in text] == []


@pytest.mark.parametrize("text", [SECRET, f'{{"log": {{"entries": [{{"request": "{SECRET}'])
def test_no_error_holds_a_secret(text, tmp_path):
    for name in ("har", "lighthouse", "webpack_stats", "esbuild_metafile"):
        with pytest.raises(lab.FormatError) as problem:
            read(tmp_path, text.encode(), format=name)
        assert SECRET not in str(problem.value)


def test_a_plan_and_the_table_have_one_parser(tmp_path):
    read(tmp_path, har(entry(), entry("https://shop.example/b", at="2026-11-29T10:00:01Z")))
    plan = lab.LoadPlan.from_har(tmp_path / "visit.har", tmp_path / "visit.py", stages=lab.Stage("1s", users=1))
    assert (tmp_path / "visit.py").read_text().count("self.client.request(") == len(
        lab.read(tmp_path / "visit.har").exchanges
    )
    assert plan.not_taken == ()
