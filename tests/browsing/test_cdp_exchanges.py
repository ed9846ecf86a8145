"""Chromium's network events as exchanges: redirects, failures, caches, pushed and endless ones."""

from __future__ import annotations

import pytest

from perflab.browsing.cdp_exchanges import EVENTS, Exchanges

TIMING = {
    "requestTime": 10.0, "dnsStart": 0, "dnsEnd": 2, "connectStart": 2, "connectEnd": 12, "sslStart": 5, "sslEnd": 12,
    "sendStart": 12, "sendEnd": 13, "receiveHeadersEnd": 40,
}  # fmt: skip


class Session:
    def on(self, name, handler):
        setattr(self, name.removeprefix("Network."), handler)


@pytest.fixture
def traffic():
    session = Session()
    exchanges = Exchanges()
    exchanges.watch(session)

    def send(name, key="1", **facts):
        getattr(session, name)({"requestId": key, **facts})

    def ask(key="1", url="http://h/a", kind="Script", at=9.99, **more):
        asked = {"url": url, "method": "GET", "headers": {"Accept": "*/*"}}
        send("requestWillBeSent", key, request=asked, wallTime=1.7e9, timestamp=at, type=kind,
             initiator={"type": "parser", "url": "http://h/", "lineNumber": 3}, **more)  # fmt: skip

    send.ask = ask
    send.of = exchanges
    return send


def answer(status=200, **more):
    return {
        "url": "http://h/a",
        "status": status,
        "mimeType": "text/javascript",
        "headers": {},
        "timing": TIMING,
        **more,
    }


def test_phases_add_up_to_the_whole(traffic):
    traffic.ask()
    traffic("responseReceived", response=answer())
    traffic("dataReceived", dataLength=700)
    traffic("dataReceived", dataLength=300)
    traffic("loadingFinished", timestamp=10.1, encodedDataLength=420)
    (row,) = traffic.of.rows()
    assert (row["body_bytes"], row["transfer_bytes"], row["status"], row["kind"]) == (1000, 420, 200, "script")
    assert row["timings_ms"] == pytest.approx(
        {"blocked": 10, "dns": 2, "connect": 3, "ssl": 7, "send": 1, "wait": 27, "receive": 60}
    )
    assert sum(row["timings_ms"].values()) == pytest.approx(110)
    assert row["initiator"] == "parser http://h/:4" and not row["cached"]
    assert traffic.of.pending == 0 and not traffic.of.failed


def test_each_hop_of_a_redirect_is_an_exchange(traffic):
    traffic.ask()
    hop = answer(302, headers={"Location": "/b?token=hunter2"}, encodedDataLength=90)
    traffic.ask(url="http://h/b", at=10.05, redirectResponse=hop)
    traffic("responseReceived", response=answer())
    traffic("loadingFinished", timestamp=10.2, encodedDataLength=50)
    first, second = traffic.of.rows()
    assert [first["status"], second["status"], first["transfer_bytes"]] == [302, 200, 90]
    assert first["headers"]["location"] == "/b?token=…"


def test_failed_and_refused_requests_are_named(traffic):
    traffic.ask("1")
    traffic("loadingFailed", "1", timestamp=10.1, errorText="net::ERR_CONNECTION_REFUSED")
    traffic.ask("2", url="http://h/x?token=hunter2")
    traffic("responseReceived", "2", response=answer(404, url="http://h/x?token=hunter2"))
    traffic("loadingFinished", "2", timestamp=10.1, encodedDataLength=9)
    traffic.ask("3")
    traffic("loadingFailed", "3", timestamp=10.1, errorText="net::ERR_ABORTED", canceled=True)
    assert traffic.of.failed == ["http://h/a (net::ERR_CONNECTION_REFUSED)", "http://h/x?token=… (404)"]
    rows = traffic.of.rows()
    assert [row["status"] for row in rows] == [None, 404, None] and rows[0]["body_bytes"] is None


def test_what_lasts_does_not_keep_a_page_busy(traffic):
    traffic.ask("1", kind="EventSource")
    traffic.ask("2", kind="Fetch")
    assert traffic.of.pending == 1
    traffic.ask("3", url="data:image/png;base64,AAAA", kind="Image")
    assert traffic.of.pending == 1 and len(traffic.of.rows()) == 2


def test_events_of_unknown_requests_are_ignored(traffic):
    for name in EVENTS[1:]:
        traffic(name, "9", response=answer(500), dataLength=1, timestamp=1.0, headers={"A": "b"}, errorText="x")
    assert traffic.of.rows() == [] and not traffic.of.failed


def test_cookies_and_unknown_headers_are_not_kept(traffic):
    traffic.ask()
    traffic("responseReceivedExtraInfo", headers={"set-cookie": "sid=hunter2"})
    headers = {"X-Session": "hunter2", "Cache-Control": "no-store", "ETag": '"1"'}
    traffic("responseReceived", response=answer(headers=headers, fromDiskCache=True))
    (row,) = traffic.of.rows()
    assert row["headers"] == {"set-cookie": "…", "cache-control": "no-store", "etag": '"…"'}
    assert row["cached"] and row["body_bytes"] is None


def test_a_frame_of_another_site_does_not_keep_a_page_from_being_quiet(traffic):
    """Its process takes over after the response, and the end of its document is no event of the page."""
    traffic.ask("1", "http://h/", "Document", frameId="page")
    traffic.ask("2", "http://ads.test/", "Document", frameId="ads")
    assert traffic.of.pending == 2
    traffic("responseReceived", "2", response=answer())
    assert traffic.of.pending == 1
    traffic("responseReceived", "1", response=answer())
    assert traffic.of.pending == 1
    traffic("loadingFinished", "1", timestamp=10.1, encodedDataLength=420)
    assert traffic.of.pending == 0 and len(traffic.of.rows()) == 2
