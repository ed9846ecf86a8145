"""The pages of the shop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, abort, jsonify, request
from sqlalchemy import URL, Engine, create_engine, event, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session, joinedload, selectinload

from perflab.demo.shop import downstream, exposition, redis_cache, storefront
from perflab.demo.shop.fixes import Cached
from perflab.demo.shop.models import TRACKING_INDEX, CartItem, Customer, Line, Order, Parcel, Product
from perflab.recorders.breakdown import record_requests
from perflab.recorders.flask import identify_requests
from perflab.recorders.profiling import profile_requests
from perflab.recorders.sqlalchemy import record_queries

MAX_PAGE = 100
MAX_QUANTITY = 99
CACHE_SECONDS = 10.0


def open_database(path: Path, *, index: bool, connections: int = 8) -> Engine:
    """An engine on the shop's database, with or without the index for looking up parcels."""
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, pool_size=connections, max_overflow=4, connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:
        # WAL: readers never wait for the one writer.
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {setting}")

    TRACKING_INDEX.create(engine, checkfirst=True) if index else TRACKING_INDEX.drop(engine, checkfirst=True)
    return engine


@dataclass(frozen=True)
class Shop:
    """The dependencies of the pages."""

    engine: Engine
    fixes: frozenset[str]
    downstream_port: int
    pool: ThreadPoolExecutor

    # Orders: the N+1 -------------------------------------------------------------------------------------------

    def orders(self) -> Any:
        """A page of orders with their lines; ``before`` and ``size`` page through them."""
        before, size = _number("before", 2**31), _number("size", 30, most=MAX_PAGE)
        query = select(Order).where(Order.id < before).order_by(Order.id.desc()).limit(size)
        query = query.options(joinedload(Order.customer))
        if "eager" in self.fixes:
            query = query.options(selectinload(Order.lines))
        with Session(self.engine) as session:
            orders = session.scalars(query).all()
            return jsonify(orders=[_order(order) for order in orders], next=orders[-1].id if orders else None)

    def customers(self) -> Any:
        """A page of customers with everything they bought."""
        after, size = _number("after", 0, least=0), _number("size", 5, most=MAX_PAGE)
        query = select(Customer).where(Customer.id > after).order_by(Customer.id).limit(size)
        if "eager" in self.fixes:
            query = query.options(selectinload(Customer.orders).selectinload(Order.lines).selectinload(Line.product))
        with Session(self.engine) as session:
            return jsonify(customers=[_customer(customer) for customer in session.scalars(query)])

    # The other defects -----------------------------------------------------------------------------------------

    def parcel(self, tracking: str) -> Any:
        """The state of a parcel."""
        with Session(self.engine) as session:
            parcel = session.scalars(select(Parcel).where(Parcel.tracking == tracking)).first()
            if parcel is None:
                abort(404)
            return jsonify(_columns(parcel))

    def offer(self, product_id: int) -> Any:
        """A product with the answers of three other services."""
        with Session(self.engine) as session:
            product = session.get(Product, product_id) or abort(404)
            answer = {"id": product.id, "name": product.name}
        if "parallel" in self.fixes:
            said = list(self.pool.map(lambda service: self._ask(service, product_id), downstream.SERVICES))
        else:
            said = [self._ask(service, product_id) for service in downstream.SERVICES]
        return jsonify(answer | dict(zip(downstream.SERVICES, said, strict=True)))

    def _ask(self, service: str, product_id: int) -> int:
        return int(downstream.ask(self.downstream_port, service, product_id)["value"])

    def bestsellers(self) -> list[dict[str, Any]]:
        """The products that sold most, over all orders."""
        sold = func.sum(Line.quantity)
        query = (
            select(Product.id, Product.name, sold, func.sum(Line.quantity * Line.price_cents))
            .join(Line, Line.product_id == Product.id)
            .join(Order, Line.order_id == Order.id)
            .where(Order.status != "returned")
            .group_by(Product.id, Product.name)
            .order_by(sold.desc(), Product.id)
            .limit(25)
        )
        with Session(self.engine) as session:
            return [
                {"id": id_, "name": name, "sold": int(count), "revenue_cents": int(revenue)}
                for id_, name, count, revenue in session.execute(query)
            ]

    # Pages without a defect ------------------------------------------------------------------------------------

    def order(self, order_id: int) -> Any:
        """One order; its lines and products take two statements."""
        wanted = (joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.product))
        with Session(self.engine) as session:
            order = session.get(Order, order_id, options=wanted) or abort(404)
            names = {str(line.product_id): line.product.name for line in order.lines}
            return jsonify(_order(order) | {"product_names": names})

    def product(self, product_id: int) -> Any:
        """One product."""
        with Session(self.engine) as session:
            return jsonify(_columns(session.get(Product, product_id) or abort(404)))

    def products(self) -> Any:
        """A page of products, by keyset: the cost of a page does not grow with its number."""
        after, size = _number("after", 0, least=0), _number("size", 20, most=MAX_PAGE)
        with Session(self.engine) as session:
            found = session.scalars(select(Product).where(Product.id > after).order_by(Product.id).limit(size)).all()
            return jsonify(products=[_columns(product) for product in found], next=found[-1].id if found else None)

    def add_to_cart(self, cart: str) -> Any:
        """Put a product into a cart, in a transaction that starts with its write, so it never has to be retried."""
        body = request.get_json()
        product_id, quantity = (body.get(name) if isinstance(body, dict) else None for name in ("product", "quantity"))
        if type(product_id) is not int or type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
            abort(400, f"expected a product and a quantity from 1 to {MAX_QUANTITY}")
        if len(cart) > 64:
            abort(400, "the name of a cart has at most 64 characters")
        add = insert(CartItem).values(cart=cart, product_id=product_id, quantity=quantity)
        total = func.min(CartItem.quantity + add.excluded.quantity, MAX_QUANTITY)
        with Session(self.engine) as session, session.begin():
            if session.get(Product, product_id) is None:
                abort(404)
            session.execute(add.on_conflict_do_update(index_elements=["cart", "product_id"], set_={"quantity": total}))
            wanted = select(CartItem).where(CartItem.cart == cart).options(joinedload(CartItem.product))
            items = session.scalars(wanted.order_by(CartItem.product_id).limit(MAX_PAGE)).all()
            return jsonify(cart=cart, items=[_item(item) for item in items])


def create_app(engine: Engine, fixes: frozenset[str], downstream_port: int, *, query_log: str | None = None) -> Flask:
    """The application. Statements are recorded if ``query_log``, or else PERFLAB_QUERY_LOG, names a file.

    Parameters are not redacted: all data of this shop are synthetic.
    """
    record_queries(engine, query_log, redact=False)
    app = Flask("shop")
    identify_requests(app)
    exposition.measure(app)
    redis_cache.cache_pages(app)
    app.wsgi_app = record_requests(profile_requests(app.wsgi_app))  # type: ignore[method-assign]
    shop = Shop(engine, fixes, downstream_port, ThreadPoolExecutor(24, thread_name_prefix="offer"))
    bestsellers = Cached(shop.bestsellers, CACHE_SECONDS) if "cache" in fixes else shop.bestsellers
    pages: dict[str, Callable[..., Any]] = {
        "/orders": shop.orders,
        "/orders/<int:order_id>": shop.order,
        "/customers": shop.customers,
        "/parcels/<tracking>": shop.parcel,
        "/products": shop.products,
        "/products/<int:product_id>": shop.product,
        "/products/<int:product_id>/offer": shop.offer,
        "/bestsellers": lambda: jsonify(bestsellers=bestsellers()),
        "/health": lambda: jsonify(status="ok", fixes=sorted(fixes)),
    }
    for rule, page in pages.items():
        app.add_url_rule(rule, endpoint=rule, view_func=page)
    storefront.add_pages(app, fixes)
    app.add_url_rule("/carts/<cart>", view_func=shop.add_to_cart, methods=["POST"])
    return app


def _number(name: str, default: int, *, least: int = 1, most: int = 2**31) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        abort(400, f"{name} must be a whole number from {least} to {most}")
    return int(text)


def _columns(row: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def _order(order: Order) -> dict[str, Any]:
    lines = [
        {"product": line.product_id, "quantity": line.quantity, "price_cents": line.price_cents} for line in order.lines
    ]
    return {
        "id": order.id,
        "placed_at": order.placed_at,
        "status": order.status,
        "customer": {"id": order.customer.id, "name": order.customer.name, "city": order.customer.city},
        "lines": lines,
        "total_cents": sum(line["quantity"] * line["price_cents"] for line in lines),
    }


def _customer(customer: Customer) -> dict[str, Any]:
    bought = [
        {"order": order.id, "products": [{"name": ln.product.name, "quantity": ln.quantity} for ln in order.lines]}
        for order in customer.orders
    ]
    return {"id": customer.id, "name": customer.name, "city": customer.city, "orders": bought}


def _item(item: CartItem) -> dict[str, Any]:
    return {"product": item.product_id, "name": item.product.name, "quantity": item.quantity}
