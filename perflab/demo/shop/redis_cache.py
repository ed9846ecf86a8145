"""The shop's pages in Redis: SHOP_REDIS names the server, SHOP_REDIS_TTL the seconds that a page is kept.

A cached page says so: ``X-Cache: HIT`` or ``MISS``. Requests that miss at the same time all make the page. If Redis fails, the
page is made, as if there were no cache.
"""

from __future__ import annotations

import os

from flask import Flask, Response, request

from perflab.loadtest.redis_client import RedisClient, RedisError

SERVER, TTL = "SHOP_REDIS", "SHOP_REDIS_TTL"
PAGES = frozenset({"/products/<int:product_id>/offer", "/bestsellers", "/products"})
_DEFAULT_S = 10.0


def cache_pages(app: Flask) -> None:
    """Put Redis in front of `PAGES`, if SHOP_REDIS names one."""
    url = os.environ.get(SERVER, "")
    if not url:
        return
    client, ttl_ms = RedisClient(url, timeout_s=1.0), int(1e3 * float(os.environ.get(TTL, _DEFAULT_S)))

    def look_up() -> Response | None:
        if not _cached():
            return None
        try:
            body = client.get(_key())
        except RedisError:
            return None
        if body is None:
            return None
        response = Response(body, content_type="application/json")
        response.headers["X-Cache"] = "HIT"
        return response

    def store(response: Response) -> Response:
        if _cached() and response.status_code == 200 and "X-Cache" not in response.headers:
            response.headers["X-Cache"] = "MISS"
            try:
                client.set(_key(), response.get_data(), px=ttl_ms)
            except RedisError:
                response.headers["X-Cache"] = "ERROR"
        return response

    app.before_request(look_up)
    app.after_request(store)


def _cached() -> bool:
    return request.method == "GET" and request.url_rule is not None and request.url_rule.rule in PAGES


def _key() -> str:
    return f"shop:{request.full_path}"
