"""Access logs of six dialects with known traffic, made line by line."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0"


@dataclass(frozen=True)
class Request:
    """One request of production."""

    at: datetime
    method: str
    target: str
    status: int
    size: int
    ms: float
    client: str


def traffic(count: int, seed: int, *, per_s: float = 20.0) -> Iterator[Request]:
    """Requests of a service whose load rises and falls; ids, tokens and redirects among them."""
    rng = random.Random(seed)
    mix: list[tuple[float, str, Callable[[], str], int]] = [
        (38, "GET", lambda: f"/orders?size={rng.choice((20, 30))}&before={rng.randint(100, 15_000)}", 200),
        (17, "GET", lambda: f"/orders/{rng.randint(1, 15_000)}", 200),
        (12, "GET", lambda: f"/products/{rng.randint(1, 900)}/offer", 200),
        (9, "POST", lambda: f"/carts/{rng.getrandbits(48):x}", 201),
        (8, "GET", lambda: f"/users/{rng.getrandbits(128):032x}/avatar.png", 304),
        (6, "GET", lambda: f"/login?user=u{rng.randint(1, 9)}&token=T0k{rng.getrandbits(40):x}&next=%2F", 302),
        (5, "GET", lambda: f"/blog/{rng.choice(WORDS)}-{rng.choice(WORDS)}-{rng.choice(WORDS)}", 200),
        (3, "HEAD", lambda: "/health", 200),
        (2, "DELETE", lambda: f"/carts/{rng.getrandbits(48):x}", 204),
    ]
    at = 20.0
    for _ in range(count):
        rate = per_s * (1 + 0.6 * math.sin(at / 240))
        at += rng.expovariate(rate)
        _, method, target, status = rng.choices(mix, [weight for weight, *_ in mix])[0]
        status = 503 if rng.random() < 0.004 else status
        client = f"203.0.113.{rng.randint(1, 250)}"
        moment = BEGIN + timedelta(seconds=at)
        yield Request(moment, method, target(), status, rng.randint(60, 9000), rng.lognormvariate(3, 0.8), client)


WORDS = (
    "ten",
    "years",
    "of",
    "fast",
    "pages",
    "and",
    "slow",
    "queries",
    "in",
    "the",
    "shop",
    "where",
    "nothing",
    "waits",
)


def common(r: Request) -> str:
    return f'{r.client} - - [{r.at:%d/%b/%Y:%H:%M:%S} +0000] "{r.method} {r.target} HTTP/1.1" {r.status} {r.size}'


def combined(r: Request) -> str:
    return f'{common(r)} "https://shop.example/" "{AGENT}"'


def nginx_timed(r: Request) -> str:
    end = r.at + timedelta(milliseconds=r.ms)
    line = f'{r.client} - - [{end:%d/%b/%Y:%H:%M:%S} +0000] "{r.method} {r.target} HTTP/1.1" {r.status} {r.size}'
    return f'{line} "-" "{AGENT}" {r.ms / 1e3:.3f} {r.ms / 1e3:.3f}'


def nginx_json(r: Request) -> str:
    end = r.at + timedelta(milliseconds=r.ms)
    return json.dumps({
        "msec": f"{end.timestamp():.3f}", "remote_addr": r.client, "request": f"{r.method} {r.target} HTTP/1.1",
        "status": str(r.status), "body_bytes_sent": str(r.size), "request_time": f"{r.ms / 1e3:.3f}", "http_user_agent": AGENT,
    })  # fmt: skip


def caddy(r: Request) -> str:
    end = r.at + timedelta(milliseconds=r.ms)
    asked = {"remote_ip": r.client, "proto": "HTTP/2.0", "method": r.method, "host": "shop.example", "uri": r.target}
    return json.dumps({
        "level": "info", "ts": end.timestamp(), "logger": "http.log.access.log0", "msg": "handled request",
        "request": asked | {"headers": {"User-Agent": [AGENT], "Cookie": ["REDACTED"]}}, "user_id": "",
        "duration": r.ms / 1e3, "size": r.size, "status": r.status,
    })  # fmt: skip


def envoy(r: Request) -> str:
    start = f"{r.at:%Y-%m-%dT%H:%M:%S}.{r.at.microsecond // 1000:03d}Z"
    return (
        f'[{start}] "{r.method} {r.target} HTTP/2" {r.status} - 0 {r.size} {round(r.ms)} {round(r.ms)} "{r.client}" "{AGENT}" '
        '"7d9c6a3e-0000-4000-8000-000000000001" "shop.example" "10.0.0.7:8080"'
    )


def alb(r: Request) -> str:
    end = r.at + timedelta(milliseconds=r.ms)
    return (
        f"https {end:%Y-%m-%dT%H:%M:%S.%f}Z app/shop/50dc6c495c0c9188 {r.client}:2817 10.0.0.1:80 0.000 {r.ms / 1e3:.3f} 0.000 "
        f'{r.status} {r.status} 34 {r.size} "{r.method} https://shop.example:443{r.target} HTTP/2.0" "{AGENT}" '
        "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/shop/73e2 "
        f'"Root=1-58337281-1d84f3d73c47ec4e58577259" "shop.example" "-" 1 {r.at:%Y-%m-%dT%H:%M:%S.%f}Z "forward" "-" "-" '
        '"10.0.0.1:80" "200" "-" "-"'
    )


DIALECTS: dict[str, Callable[[Request], str]] = {
    "common": common,
    "nginx_timed": nginx_timed,
    "nginx_json": nginx_json,
    "caddy": caddy,
    "envoy": envoy,
    "alb": alb,
}
