"""Writes locustfiles that send production's requests: one to read, and to edit."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110, 9.2.1). PUT and DELETE are idempotent, and change data."""
_PARTS = 10_000
_TASKS = 40
"""Endpoints with a task of their own; the others share one."""
_QUARTILES_SD = 1.349
"""The distance of the quartiles of a normal distribution, in standard deviations."""
_HEAD = '''"""{title}

Written by perflab; edit it as you like. Addresses are examples from production, without secrets. Redirects are not followed,
because production logged the next request separately.
"""

import random

from locust import FastHttpUser, task


class ProductionUser(FastHttpUser):
    """Sends requests in production's proportions; each task is one request."""
{wait}
    def send(self, method: str, name: str, addresses: list[str], expected: tuple[int, ...] = ()) -> None:
        """Send a request; production answers with the ``expected`` statuses, too."""
        with self.client.request(
            method, random.choice(addresses), name=name, allow_redirects=False, catch_response=True
        ) as response:
            if response.status_code in expected:
                response.success()
'''
_WAIT = '''
    def wait_time(self) -> float:
        """Seconds until a user's next request, as between those of one client in production. Plans with a rate do not wait."""
        return min(60.0, random.lognormvariate({mean:.3f}, {sd:.3f}))
'''


@dataclass(frozen=True)
class Asked:
    """An endpoint with its share of the requests, example addresses, and the usual errors of its clients (4xx)."""

    method: str
    route: str
    share: float
    addresses: Sequence[str]
    expected: Sequence[int] = ()


def source_of(asked: Sequence[Asked], title: str, think_ms: Sequence[float] = ()) -> str:
    """The text of the locustfile; endpoints are in descending order of their shares."""
    wait = ""
    if len(think_ms) == 3 and think_ms[0] > 0:
        low, middle, high = (math.log(q / 1e3) for q in think_ms)
        wait = _WAIT.format(mean=middle, sd=max(0.05, (high - low) / _QUARTILES_SD))
    own, rest = (asked[:_TASKS], asked[_TASKS:]) if len(asked) > _TASKS + 1 else (asked, [])
    names = Counter[str]()
    text = _HEAD.format(title=title.replace('"', "'").replace("\\", "/"), wait=wait)
    text += "".join(_task(one, names) for one in own)
    return text + (_shared(rest) if rest else "")


def _task(one: Asked, names: Counter[str]) -> str:
    first = name = _function(one.method, one.route)
    while name in names:
        names[first] += 1
        name = f"{first}_{names[first]}"
    names[name] += 1
    expected = f", expected={tuple(one.expected)!r}" if one.expected else ""
    lines = [
        "",
        f"    @task({_weight(one.share)})  # {100 * one.share:.2f} % of the requests",
        f"    def {name}(self) -> None:",
        *(["        # An access log holds no bodies: write this one."] if one.method not in SAFE else []),
        f"        addresses = [{_listed(one.addresses)}]",
        f"        self.send({one.method!r}, {one.route!r}, addresses{expected})",
    ]
    return "\n".join(lines) + "\n"


def _listed(addresses: Iterable[str]) -> str:
    listed = [repr(address) for address in addresses]
    if len(listed) == 1:
        return listed[0]
    return "\n" + "".join(f"            {address},\n" for address in listed) + "        "


def _shared(rest: Sequence[Asked]) -> str:
    total = sum(one.share for one in rest)
    rows = [
        "            "
        + repr((_weight(one.share / total), one.method, one.route, one.addresses[0], tuple(one.expected)))
        + ","
        for one in rest
    ]
    lines = [
        "",
        f"    @task({_weight(total)})  # {100 * total:.2f} % of the requests, to {len(rest)} endpoints",
        "    def others(self) -> None:",
        "        others = [",
        *rows,
        "        ]",
        "        _, method, name, address, expected = random.choices(others, [weight for weight, *_ in others])[0]",
        "        self.send(method, name, [address], expected)",
    ]
    return "\n".join(lines) + "\n"


def _weight(share: float) -> int:
    return max(1, round(share * _PARTS))


def _function(method: str, route: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", f"{method} {route}".lower().replace("{}", "id")).strip("_")
    return words[:60].rstrip("_")


def write(path: Path, source: str) -> None:
    """Write a locustfile; ValueError for an existing one that differs, which may have been edited."""
    if path.exists() and path.read_text(encoding="utf-8") != source:
        raise ValueError(f"{path}: exists already and differs; write the locustfile to a new path, or remove that file")
    path.write_text(source, encoding="utf-8")


_VISIT = '''"""{title}

Written by perflab; edit it as you like. Credentials, cookies and secrets of the recording are left out.
"""

import gevent
from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    """Makes the recorded visit again and again."""

    @task
    def visit(self) -> None:
        self.client.cookiejar.clear()  # a new visitor
'''


def visit_of(steps: Sequence[tuple[float, Sequence[Asked]]], title: str, bodies: Mapping[int, tuple[str, str]]) -> str:
    """The text of a locustfile with the steps of a visit: seconds to wait before it, and requests that are sent together."""
    lines: list[str] = []
    for wait_s, together in steps:
        if wait_s >= 0.05:
            lines.append(f"gevent.sleep({wait_s:.2g})")
        if any(one.method not in SAFE and id(one) not in bodies for one in together):
            lines.append("# Without its body: the recording has none, or one with a secret.")
        calls = [_call(one, bodies.get(id(one))) for one in together]
        if len(calls) == 1:
            lines.append(f"self.client.request({calls[0]})")
        else:
            lines.append("gevent.joinall([")
            lines += [f"    gevent.spawn(self.client.request, {call})," for call in calls]
            lines.append("])")
    return _VISIT.format(title=title.replace('"', "'").replace("\\", "/")) + "".join(
        f"        {line}\n" for line in lines
    )


def _call(one: Asked, body: tuple[str, str] | None) -> str:
    text = f"{one.method!r}, {one.addresses[0]!r}, name={one.route!r}, allow_redirects=False"
    if body:
        text += f", data={body[1]!r}, headers={{'Content-Type': {body[0]!r}}}"
    return text
