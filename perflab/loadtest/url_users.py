"""The locustfile of plans made of URLs (`LoadPlan.from_urls`): loaded by Locust, never imported by perflab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, constant

from perflab.loadtest.records import settings
from perflab.recorders.checks import check

_settings = settings()


def _asks(url: dict[str, Any]) -> Callable[[Any], None]:
    """The task that requests one URL and checks the response."""
    names, sent = iter(url["checks"]), (url["body"] or "").encode() or None
    assertions: dict[str, Callable[[Any], bool]] = {}
    if url["status"] is not None:
        assertions[next(names)] = lambda answer: answer.status_code == url["status"]
    if url["contains"] is not None:
        wanted = url["contains"].encode()
        assertions[next(names)] = lambda answer: wanted in (answer.content or b"")
    if url["max_ms"] is not None:
        assertions[next(names)] = lambda answer: answer.request_meta["response_time"] <= url["max_ms"]

    def ask(user: Any) -> None:
        with user.client.request(
            url["method"], url["path"], name=url["name"], data=sent, headers=url["headers"], catch_response=True
        ) as answer:
            check(answer, assertions)

    return ask


class UrlUser(FastHttpUser):
    """Requests the plan's URLs in proportion to their weights."""

    wait_time = constant(_settings["wait_s"])
    tasks = [task for url in _settings["urls"] for task in [_asks(url)] * url["weight"]]  # noqa: RUF012 - Locust's way
