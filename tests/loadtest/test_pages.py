"""Pages that never end, however they do it: bounded in time and size, for `ready` and for `metrics`."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import wait_for

import perflab as lab
from perflab.loadtest import scrape
from perflab.loadtest import serving as targets
from perflab.loadtest.pages import read_page
from perflab.notes import codes

HEAD = b"HTTP/1.1 200 OK\r\n"
PAGES: dict[str, tuple[bytes, bytes, float]] = {
    "says nothing": (b"", b"", 0.1),
    "trickles its status": (b"HTTP/1.1 2", b"0", 0.05),
    "trickles its headers": (HEAD + b"X-Long: ", b"a", 0.05),
    "has headers without end": (HEAD, b"X-Header: value\r\n", 0.02),
    "trickles its content": (HEAD + b"Content-Length: 100000\r\n\r\n", b"a", 0.05),
    "trickles without a length": (HEAD + b"\r\n", b"a 1\n", 0.05),
    "trickles its chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\na\n\r\n", 0.05),
    "is no HTTP": (b"", b"SSH-2.0-OpenSSH_9.6\r\n", 0.05),
    "sends for ever": (HEAD + b"\r\n", b"a 1\n" * 20_000, 0.0),
    "sends chunks for ever": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        b"4E20\r\n" + b"a 1\n" * 5000 + b"\r\n",
        0.0,
    ),
}


@contextlib.contextmanager
def serving(first: bytes, rest: bytes, pause_s: float) -> Iterator[str]:
    """A server that sends a beginning, and then the same again and again."""

    def send(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(first)
            while True:
                connection.sendall(rest)
                time.sleep(pause_s)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=send, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_bounded_in_time_and_size(page: str) -> None:
    with serving(*PAGES[page]) as host:
        before = time.monotonic()
        try:
            _, content = read_page(f"{host}/", within_s=0.25, most_bytes=200_000)
            assert len(content) == 200_000
            assert "for ever" in page
        except (OSError, ValueError):
            assert "for ever" not in page
        assert time.monotonic() - before < 1.25
    wait_for(lambda: not any(isinstance(thread, threading.Timer) for thread in threading.enumerate()))


@contextlib.contextmanager
def answering(head: bytes, asked: list[bytes]) -> Iterator[str]:
    """A server that gives one answer to all, and notes what it was asked."""

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(head + b"Content-Length: 4\r\n\r\na 1\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("name", "followed"), [("127.0.0.1", True), ("localhost", False)])
def test_a_page_that_redirects_gives_no_password_away(name: str, followed: bool) -> None:
    here: list[bytes] = []
    there: list[bytes] = []
    with answering(HEAD, there) as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://{other.replace('127.0.0.1', name)}/m\r\n".encode()
        with answering(moved, here) as host:
            if followed:
                assert read_page(f"http://me:hunter2@{host}/", within_s=2, most_bytes=9) == (200, b"a 1\n")
            else:
                with pytest.raises(OSError, match="302"):
                    read_page(f"http://me:hunter2@{host}/", within_s=2)
    assert b"Authorization: Basic" in here[0]
    assert len(there) == followed
    assert not any(b"Authorization" in request for request in there)


def test_a_target_whose_page_trickles_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_ANSWER_S", 0.3)
    with (
        serving(*PAGES["trickles its status"]) as host,
        pytest.raises(lab.TargetError, match=r"no complete response within 0\.3 s"),
        targets.serving(lab.Target("slow", host=host, ready="/r"), tmp_path),
    ):
        pass


@pytest.mark.parametrize("page", ["trickles its content", "sends for ever", "is no HTTP", "has headers without end"])
def test_a_metrics_page_without_end_is_a_failed_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "ANSWER_S", 0.1)
    with serving(*PAGES[page]) as host:
        scraper = scrape.Scraper(host, "/metrics", interval_s=0.05)
        with scraper:
            wait_for(lambda: scraper.warnings, 10)
    assert len(scraper.frame("r")) == 0
    assert codes(scraper.warnings) == ("metrics-pages-failed",)


LINE = b"up 1\n"
COSTLY = {
    "not its format": b"x\n" * 1_900_000,
    "a line of labels": b"a{" + b",".join(b'l%d="1"' % i for i in range(300_000)) + b"} 1\n",
    "comments": b"# HELP a b\n" * 350_000,
}


@pytest.mark.parametrize("page", COSTLY)
def test_a_metrics_page_takes_little_cpu(page: str) -> None:
    scraper = scrape.Scraper("http://127.0.0.1:1", "/metrics")
    before = time.thread_time()
    scraper._take(0.0, LINE + COSTLY[page])
    assert time.thread_time() - before < 2
    assert scraper.frame("r").iloc[0]["name"] == "up"
    assert len(scraper.frame("r")) <= scrape.MAX_SERIES
    assert bool(scraper.warnings) == (page != "comments")


def test_a_compressed_metrics_page_is_a_failed_page() -> None:
    with pytest.raises(ValueError, match="not text"):
        scrape.Scraper("http://127.0.0.1:1", "/metrics")._take(0.0, gzip.compress(LINE * 1000))


def test_the_values_of_a_long_run_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MAX_VALUES", 250)
    scraper = scrape.Scraper("http://127.0.0.1:1", "/metrics")
    page = "".join(f'a{{n="{i}"}} 1\n' for i in range(100)).encode()
    take: Callable[[float, bytes], None] = scraper._take
    for second in range(4):
        take(float(second), page)
    assert len(scraper.frame("r")) == 250
    assert [(note.code, note.facts["values"]) for note in scraper.warnings] == [("metrics-values-skipped", 150)]
