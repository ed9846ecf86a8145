"""Requests of an application and the calls that it makes for them: some that need each other's answers, some that don't."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

START = pd.Timestamp("2026-01-01T00:00:00Z")


@dataclass
class Call:
    """One call with the attributes of its span; it starts ``gap`` ms after the one before it, or with it."""

    attributes: Mapping[str, Any]
    name: str = "GET"
    took: float = 20.0
    gap: float = 0.2
    kind: str = "client"
    together: bool = False
    inside: list[Call] = field(default_factory=list)


def get(url: str, took: float = 20.0, method: str = "GET", **more: Any) -> Call:
    attributes = {k.replace("__", "-").replace("_", "."): v for k, v in more.items() if k not in ("gap", "together")}
    options = {k: v for k, v in more.items() if k in ("gap", "together")}
    return Call({"http.request.method": method, "url.full": f"http://{url}", **attributes}, method, took, **options)


def sql(text: str, *bound: Any, took: float = 9.0, **options: Any) -> Call:
    attributes = {"db.system": "postgresql", "db.query.text": text}
    return Call(
        attributes | {f"db.query.parameter.{i}": str(v) for i, v in enumerate(bound)}, "SELECT", took, **options
    )


def redis(text: str, took: float = 4.0) -> Call:
    return Call({"db.system": "redis", "db.statement": text}, text.split()[0], took)


def grpc(service: str, method: str, **more: Any) -> Call:
    return Call({"rpc.system": "grpc", "rpc.service": service, "rpc.method": method, **more}, f"{service}/{method}")


def step(name: str, *inside: Call) -> Call:
    """Work inside the service that makes these calls."""
    return Call({}, name, 0.0, kind="internal", inside=list(inside))


Situation = Callable[[random.Random, int], tuple[str, list[Call]]]


def traces(situation: Situation, requests: int = 30, seed: int = 1) -> pd.DataFrame:
    """The spans of that many requests."""
    rng, rows = random.Random(seed), list[tuple[Any, ...]]()
    for number in range(requests):
        address, calls = situation(rng, number)
        place, begin = len(rows), number * 1_000.0
        root = f"{number}-0"
        rows.append(())
        end = _add(rows, calls, root, number, begin + 2.0) + 3.0
        attributes = {
            "http.request.method": "GET",
            "url.path": address.partition("?")[0],
            "url.query": address.partition("?")[2],
        }
        rows[place] = (str(number), root, None, "GET /page", "server", begin, end - begin, attributes)
    columns = ["trace", "span", "parent", "name", "kind", "start", "duration_ms", "attributes"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(start=START + pd.to_timedelta(frame["start"], unit="ms"), service="shop", run="r")


def _add(rows: list[tuple[Any, ...]], calls: list[Call], parent: str, trace: int, now: float) -> float:
    """Append the calls; returns when the last of them ended."""
    begin = end = now
    for call in calls:
        begin = begin if call.together else end + call.gap
        span, place = f"{trace}-{len(rows)}", len(rows)
        rows.append(())
        own = begin + call.took
        if call.inside:
            own = _add(rows, call.inside, span, trace, begin) + 0.1
        rows[place] = (str(trace), span, parent, call.name, call.kind, begin, own - begin, dict(call.attributes))
        end = max(end, own) if call.together else own
    return end


def _ids(rng: random.Random) -> tuple[int, int, int, int]:
    return tuple(rng.sample(range(100, 9_999), 4))  # type: ignore[return-value]


DEPENDENT: dict[str, Situation] = {}
"""Each holds a call that needs the answer of the one before it."""
INVISIBLE = {"a flag that is always on", "a header that is not recorded"}
"""Nothing in their traces shows that: these may be called likely."""


def dependent(name: str) -> Callable[[Situation], Situation]:
    def keep(situation: Situation) -> Situation:
        DEPENDENT[name] = situation
        return situation

    return keep


def _simple(name: str, make: Callable[[int, int, int, int], list[Call]]) -> None:
    def situation(rng: random.Random, _: int) -> tuple[str, list[Call]]:
        a, b, c, d = _ids(rng)
        return f"/orders/{a}", make(a, b, c, d)

    DEPENDENT[name] = situation


for _name, _make in {
    "id in the path": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"crm/customers/{b}")],
    "id in the query": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"crm/customers?id={b}")],
    "ids of a search": lambda a, b, c, d: [get(f"search/search?q={a}"), get(f"shop/items?ids={b},{c},{d}")],
    "uuid": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"crm/customers/6f1e2a3b-{b}-4aaa-8bbb-{c}{d}0000")],
    "base64 id": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"crm/customers/QmFzZTY{b}=")],
    "name as id": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"crm/customers/Anna-{'xyz'[b % 3]}{'abc'[c % 3]}")],
    "number made of the id in the answer": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"tax/invoices/{10_000 + b}")],
    "id in the body": lambda a, b, c, d: [
        get(f"orders/orders/{a}"), get("crm/find", method="POST", http_request_body=f'{{"customer": {b}}}')],
    "id in the body of a query": lambda a, b, c, d: [
        get(f"orders/orders/{a}"),
        get("api/graphql", method="POST", graphql_operation_type="query", http_request_body=f'{{"id": "c{b}"}}')],
    "variables of GraphQL": lambda a, b, c, d: [
        get(f"orders/orders/{a}"),
        get("api/graphql", method="POST", graphql_operation_type="query", graphql_variables=f'{{"id": {b}}}')],
    "id in a header": lambda a, b, c, d: [
        get(f"orders/orders/{a}"), get("crm/customer", http_request_header_x__customer=f"{b}")],
    "token in a header": lambda a, b, c, d: [
        get(f"sts/token?for={a}"), get(f"orders/orders/{a}", http_request_header_authorization=f"Bearer ey{b}.{c}")],
    "token that is not recorded": lambda a, b, c, d: [get(f"sts/token?for={a}"), get(f"orders/orders/{a}")],
    "session in a cookie": lambda a, b, c, d: [
        get(f"web/session?user={a}"), get(f"orders/orders/{a}", http_request_header_cookie=f"sid={b}{c}")],
    "login": lambda a, b, c, d: [get(f"idp/login/{a}"), get(f"orders/orders/{a}")],
    "etag": lambda a, b, c, d: [
        get(f"orders/orders/{a}"), get(f"files/invoices/{a}", http_request_header_if__none__match=f'"{b}"')],
    "statement with a literal": lambda a, b, c, d: [
        sql(f"SELECT customer_id FROM orders WHERE id = {a}"), sql(f"SELECT name FROM customers WHERE id = {b}")],
    "statement with a parameter": lambda a, b, c, d: [
        sql("SELECT customer_id FROM orders WHERE id = $1", a), sql("SELECT name FROM customers WHERE id = $1", b)],
    "statement with a list": lambda a, b, c, d: [
        sql("SELECT id FROM lines WHERE order_id = $1", a), sql(f"SELECT name FROM products WHERE id IN ({b}, {c}, {d})")],
    "parameters that are not recorded": lambda a, b, c, d: [
        sql("SELECT customer_id FROM orders WHERE id = $1"), sql("SELECT name FROM customers WHERE id = $1")],
    "statement that was cut": lambda a, b, c, d: [
        sql(f"SELECT customer_id FROM orders WHERE id = {a}"), sql("SELECT name, mail, street, city FROM customers WHE...")],
    "row that is locked first": lambda a, b, c, d: [
        sql("SELECT id FROM orders WHERE id = $1 FOR UPDATE", a), sql("SELECT name FROM lines WHERE order_id = $1", a)],
    "transaction": lambda a, b, c, d: [sql("BEGIN", took=2.0), sql("SELECT name FROM orders WHERE id = $1", a)],
    "document": lambda a, b, c, d: [
        Call({"db.system": "mongodb", "db.statement": f'{{"find": "orders", "filter": {{"_id": {a}}}}}'}, "find"),
        Call({"db.system": "mongodb", "db.statement": f'{{"find": "users", "filter": {{"_id": {b}}}}}'}, "find")],
    "statement, then service": lambda a, b, c, d: [
        sql("SELECT customer_id FROM orders WHERE id = $1", a), get(f"crm/customers/{b}")],
    "service, then statement": lambda a, b, c, d: [
        get(f"crm/whois/{a}"), sql("SELECT name FROM customers WHERE id = $1", b)],
    "session in a cache": lambda a, b, c, d: [redis(f"GET session:{a}"), get(f"crm/customers/{b}")],
    "cache that is always missed": lambda a, b, c, d: [
        redis(f"GET order:{a}"), sql("SELECT name FROM orders WHERE id = $1", a)],
    "lock": lambda a, b, c, d: [get(f"coord/locks/{a}"), get(f"orders/orders/{a}")],
    "discovery": lambda a, b, c, d: [get(f"consul/discover?app={a}"), get(f"orders/orders/{a}")],
    "redirection": lambda a, b, c, d: [get(f"short/s/{a}"), get(f"files/files/{b}-{c}.pdf")],
    "coordinates": lambda a, b, c, d: [get(f"geo/geocode?address={a}"), get(f"sky/weather?lat=52.{b}&lon=13.{c}")],
    "dates": lambda a, b, c, d: [get(f"cal/next/{a}"), get(f"cal/slots?from=2026-{b % 12 + 1:02}-{c % 28 + 1:02}")],
    "amount": lambda a, b, c, d: [get(f"shop/price/{a}"), get(f"tax/tax?amount={b}.{c % 90 + 10}")],
    "one of few values": lambda a, b, c, d: [
        get(f"bank/accounts/{a}"), get(f"bank/rates?currency={['EUR', 'USD', 'CHF'][b % 3]}")],
    "three in a chain": lambda a, b, c, d: [
        get(f"orders/orders/{a}"), get(f"crm/customers/{b}"), get(f"map/addresses/{c}")],
    "steps of the service": lambda a, b, c, d: [
        step("load order", get(f"orders/orders/{a}")), step("load customer", get(f"crm/customers/{b}"))],
    "call without attributes": lambda a, b, c, d: [Call({}, "orders"), Call({}, "customers")],
    "remote procedure": lambda a, b, c, d: [grpc("Orders", "GetOrder"), grpc("Customers", "GetCustomer")],
    "remote procedure of any effect": lambda a, b, c, d: [
        grpc("Orders", "Prepare", rpc_request_metadata=str(a)), grpc("Orders", "Rank")],
    "write, then read": lambda a, b, c, d: [get("orders/orders", method="POST"), get(f"orders/orders/{b}")],
    "message, then read": lambda a, b, c, d: [
        Call({"messaging.system": "kafka"}, "orders publish", kind="producer"), get(f"orders/orders/{a}")],
    "work on the answer": lambda a, b, c, d: [get(f"orders/orders/{a}"), get(f"shop/similar/{a}", gap=9.0)],
    "masked address": lambda a, b, c, d: [get(f"orders/orders/{a}"), get("crm/customers/[Filtered]")],
    "the same again": lambda a, b, c, d: [get(f"jobs/jobs/{a}"), get(f"jobs/jobs/{a}"), get(f"jobs/jobs/{a}")],
    "a header that is not recorded": lambda a, b, c, d: [get(f"orders/prices/{a}"), get(f"shop/items/{a}")],
    "a flag that is always on": lambda a, b, c, d: [get("flags/flags/new"), get(f"shop/items/{a}")],
}.items():  # fmt: skip
    _simple(_name, _make)


@dependent("cursor of pages")
def _(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    a, *rest = _ids(rng)
    return f"/all/{a}", [get(f"list/items?q={a}"), *(get(f"list/items?q={a}&after={c}") for c in rest)]


@dependent("pages until there are no more")
def _(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    a = _ids(rng)[0]
    return f"/all/{a}", [get(f"list/items/{a}?page={n + 1}") for n in range(rng.randrange(2, 5))]


@dependent("a call for each row")
def _(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    a, *rest = _ids(rng)
    return f"/all/{a}", [get(f"list/items?q={a}"), *(get(f"shop/items/{c}") for c in rest)]


@dependent("pairs in a loop")
def _(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    a, *rest = _ids(rng)
    loop = [call for c in rest for call in (get(f"shop/items/{c}"), get(f"tax/classes/{c * 7 % 991}"))]
    return f"/all/{a}", [get(f"list/items?q={a}"), *loop]


@dependent("chains side by side")
def _(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    a, *rest = _ids(rng)
    chains = [step(f"item {n}", get(f"shop/items/{c}", rng.uniform(5, 40)), get(f"tax/classes/{c * 7 % 991}", 10.0))
              for n, c in enumerate(rest)]  # fmt: skip
    return f"/all/{a}", [chains[0], *(_with(c, together=True) for c in chains[1:])]


@dependent("a retry")
def _(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    a = _ids(rng)[0]
    bad = [get(f"orders/orders/{a}", http_response_status__code=503)]
    bad[0].attributes = {**bad[0].attributes, "http.response.status_code": 503}
    return f"/orders/{a}", [*bad, get(f"orders/orders/{a}")]


@dependent("a fallback")
def _(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    a = _ids(rng)[0]
    first = get(f"orders/orders/{a}")
    first.attributes = {**first.attributes, "error.type": "timeout"}
    return f"/orders/{a}", [first, get(f"archive/orders/{a}")]


@dependent("only if the first says so")
def _(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    a = _ids(rng)[0]
    return f"/orders/{a}", [get(f"stock/stock/{a}"), *([get(f"stock/suppliers/{a}")] if number % 3 else [])]


@dependent("another order in another branch")
def _(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    a, b, *_ = _ids(rng)
    if number % 2:
        return f"/orders/{a}", [get(f"orders/orders/{a}"), get(f"crm/customers/{b}")]
    return f"/orders/{a}", [get(f"crm/customers/{a}"), get(f"orders/orders/{b}")]


@dependent("the same id now and then")
def _(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    a, b, *_ = _ids(rng)
    return f"/orders/{a}", [get(f"orders/orders/{a}"), get(f"crm/customers/{b if number % 5 == 0 else a}")]


@dependent("always the same request")
def _(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    return "/orders/17", [get("orders/orders/17"), get("crm/customers/4")]


def _with(call: Call, **changes: Any) -> Call:
    return Call(**{**call.__dict__, **changes})
