"""The shop's pages. Each defect stands beside its fix, chosen by a name in ``fixes``."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, Response, abort, g, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from perflab.demo.shop.downstream import CARRIERS, Downstream
from perflab.demo.shop.models import CartItem, Customer, Order, OrderLine, Product, Shipment
from perflab.recorders import context

FIXES = ("eager", "index", "parallel", "cache")
PAGE = 20
ORDERS_PAGE = 40
CACHE_S = 30.0


def chosen_fixes(text: str) -> frozenset[str]:
    """The fixes that a comma-separated list names; ValueError for one that there is not."""
    names = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := sorted(names - set(FIXES)):
        raise ValueError(f"SHOP_FIXES must be names out of {', '.join(FIXES)}; got {', '.join(map(repr, unknown))}")
    return frozenset(names)


def create_app(engine: Engine, downstream: Downstream, fixes: Collection[str] = ()) -> Flask:
    """The shop on a database and a downstream service."""
    app = Flask("shop")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    _watch(app)
    _orders(app, engine, eager="eager" in fixes)
    _catalogue(app, engine, cached="cache" in fixes)
    _delivery(app, engine, downstream, parallel="parallel" in fixes)
    return app


def _watch(app: Flask) -> None:
    """Request ids, the unit of work for the query recorder, health and metrics."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    served = Counter("shop_requests", "Requests by route and status", ["route", "status"], registry=registry)
    took = Histogram("shop_request_seconds", "Time to answer by route", ["route"], registry=registry)

    @app.before_request
    def begin() -> None:
        rule = request.url_rule.rule if request.url_rule else "(unknown)"
        g.route = f"{request.method} {rule}"
        g.began = time.perf_counter()
        g.unit = context.begin(request.headers.get("X-Request-ID"), g.route).unit

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.unit
        served.labels(g.route, response.status_code).inc()
        took.labels(g.route).observe(time.perf_counter() - g.began)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        context.end()

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _orders(app: Flask, engine: Engine, *, eager: bool) -> None:
    @app.get("/orders")
    def orders() -> Response:
        """A page of orders with their lines. Defect: a query for each order's lines (N+1)."""
        size = max(1, min(request.args.get("size", ORDERS_PAGE, int), 100))
        query = (
            select(Order).order_by(Order.id.desc()).limit(size).offset(size * max(0, request.args.get("page", 0, int)))
        )
        if eager:
            query = query.options(selectinload(Order.lines))
        with Session(engine) as session:
            return jsonify(orders=[_order(order) for order in session.scalars(query)])

    @app.get("/customers")
    def customers() -> Response:
        """Customers, their orders, their lines. Defect: an N+1 inside an N+1."""
        query = select(Customer).order_by(Customer.id).limit(10).offset(10 * max(0, request.args.get("page", 0, int)))
        if eager:
            query = query.options(selectinload(Customer.orders).selectinload(Order.lines).joinedload(OrderLine.product))
        with Session(engine) as session:
            return jsonify(customers=[_customer(customer) for customer in session.scalars(query)])

    @app.get("/orders/<int:number>")
    def order(number: int) -> Response:
        """One order with everything, loaded as it should be."""
        query = select(Order).where(Order.id == number)
        query = query.options(joinedload(Order.customer), selectinload(Order.lines).joinedload(OrderLine.product))
        with Session(engine) as session:
            found = session.scalars(query).one_or_none() or abort(404)
            return jsonify(
                **_order(found),
                customer=found.customer.name,
                products=[line.product.name for line in found.lines],
            )


def _catalogue(app: Flask, engine: Engine, *, cached: bool) -> None:
    cache: dict[str, tuple[float, list[dict[str, Any]]]] = {}
    lock = threading.Lock()

    @app.get("/products")
    def products() -> Response:
        """A page of the catalogue, by keyset."""
        query = select(Product).where(Product.id > request.args.get("after", 0, int)).order_by(Product.id).limit(PAGE)
        with Session(engine) as session:
            return jsonify(products=[_product(product) for product in session.scalars(query)])

    @app.get("/products/<int:number>")
    def product(number: int) -> Response:
        with Session(engine) as session:
            return jsonify(_product(session.get(Product, number) or abort(404)))

    @app.get("/bestsellers")
    def bestsellers() -> Response:
        """What sells best. Defect: counted from all order lines for every visitor."""
        with lock:
            counted, rows = cache.get("bestsellers", (0.0, []))
        if not cached or not rows or time.monotonic() - counted > CACHE_S:
            rows = _bestsellers(engine)
            with lock:
                cache["bestsellers"] = (time.monotonic(), rows)
        return jsonify(bestsellers=rows)

    @app.post("/cart")
    def add_to_cart() -> tuple[Response, int]:
        """Put a product into a cart, in one transaction."""
        given = request.get_json(silent=True) or {}
        number, quantity = given.get("product"), given.get("quantity", 1)
        if not (isinstance(number, int) and isinstance(quantity, int) and 0 < quantity < 100):
            return jsonify(error="product and quantity must be whole numbers"), 400
        with Session(engine) as session, session.begin():
            if session.get(Product, number) is None:
                return jsonify(error="no such product"), 404
            item = CartItem(cart=str(given.get("cart", "anonymous"))[:64], product_id=number, quantity=quantity)
            session.add(item)
            session.flush()
            return jsonify(item=item.id), 201


def _delivery(app: Flask, engine: Engine, downstream: Downstream, *, parallel: bool) -> None:
    pool = ThreadPoolExecutor(max_workers=24, thread_name_prefix="rates")

    @app.get("/rates")
    def rates() -> Response:
        """What delivery costs. Defect: three calls to the carriers' service, one after another."""
        ask = pool.map if parallel else map
        return jsonify(rates=list(ask(downstream.rate, CARRIERS)))

    @app.get("/shipments/<tracking>")
    def shipment(tracking: str) -> Response:
        """Where a parcel is. Defect: no index on the tracking number, so the whole table is read."""
        with Session(engine) as session:
            found = session.scalars(select(Shipment).where(Shipment.tracking == tracking)).first() or abort(404)
            return jsonify(tracking=found.tracking, order=found.order_id, carrier=found.carrier, events=found.events)


def _bestsellers(engine: Engine) -> list[dict[str, Any]]:
    sold = func.sum(OrderLine.quantity).label("sold")
    query = (
        select(Product.id, Product.name, sold)
        .join(OrderLine, OrderLine.product_id == Product.id)
        .group_by(Product.id)
        .order_by(sold.desc(), Product.id)
        .limit(10)
    )
    with Session(engine) as session:
        return [{"id": row.id, "name": row.name, "sold": row.sold} for row in session.execute(query)]


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "placed": order.placed.isoformat(),
        "status": order.status,
        "lines": [
            {"product": line.product_id, "quantity": line.quantity, "cents": line.price_cents} for line in order.lines
        ],
        "total_cents": sum(line.quantity * line.price_cents for line in order.lines),
    }


def _customer(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "name": customer.name,
        "city": customer.city,
        "bought": [line.product.name for order in customer.orders for line in order.lines],
    }


def _product(product: Product) -> dict[str, Any]:
    return {
        "id": product.id,
        "sku": product.sku,
        "name": product.name,
        "cents": product.price_cents,
        "stock": product.stock,
    }
