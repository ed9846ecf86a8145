"""The shop's data: the same from the same seed, built once, copied for each server."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, insert
from sqlalchemy.engine import Connection

from perflab.demo.shop.models import Base, Customer, Order, OrderLine, Product, Shipment

VERSION = 3
CUSTOMERS, PRODUCTS, ORDERS, SHIPMENTS = 2_000, 500, 6_000, 40_000
_CITIES = ("Utrecht", "Lyon", "Porto", "Leeds", "Graz", "Turku", "Brno", "Gent")
_KINDS = ("kettle", "lamp", "chair", "scarf", "radio", "clock", "vase", "rug", "mug", "shelf")
_COLOURS = ("red", "blue", "green", "oak", "white", "black", "copper", "linen")
_CARRIERS = ("PostNL", "DHL", "GLS", "UPS")
_EPOCH = datetime(2026, 1, 1)


def database(seed: int = 1, *, index: bool = False) -> Path:
    """A fresh copy of the seeded database for one server; the caller removes it."""
    original = _cached(seed)
    handle, name = tempfile.mkstemp(prefix="perflab-shop-", suffix=".sqlite")
    os.close(handle)
    copy = Path(name)
    shutil.copyfile(original, copy)
    engine = create_engine(f"sqlite:///{copy}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        if index:
            connection.exec_driver_sql("CREATE INDEX ix_shipment_tracking ON shipment (tracking)")
            connection.exec_driver_sql("ANALYZE")
    engine.dispose()
    return copy


def tracking_number(number: int) -> str:
    """The tracking number of the n-th shipment (from 1)."""
    return f"TR{(number * 7_919) % 10_000_019:08d}"


def _cached(seed: int) -> Path:
    """The database as it was seeded, built once for each seed and version; two builders at a time do no harm."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perflab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir())
    path = folder / f"shop-{VERSION}-{seed}.sqlite"
    if path.exists():
        return path
    handle, name = tempfile.mkstemp(dir=folder, prefix="building-", suffix=".sqlite")
    os.close(handle)
    try:
        create(Path(name), seed)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def create(path: Path, seed: int) -> None:
    """Build the tables and fill them."""
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        _fill(connection, random.Random(seed))
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _fill(connection: Connection, draw: random.Random) -> None:
    prices = [draw.randrange(199, 19_999) for _ in range(PRODUCTS)]
    connection.execute(
        insert(Customer),
        [
            {"id": i, "name": f"Customer {i}", "email": f"customer{i}@example.test", "city": draw.choice(_CITIES)}
            for i in range(1, CUSTOMERS + 1)
        ],
    )
    connection.execute(
        insert(Product),
        [
            {
                "id": i,
                "sku": f"SKU-{i:05d}",
                "name": f"{draw.choice(_COLOURS)} {draw.choice(_KINDS)}",
                "price_cents": prices[i - 1],
                "stock": draw.randrange(500),
            }
            for i in range(1, PRODUCTS + 1)
        ],
    )
    placed = sorted(draw.random() for _ in range(ORDERS))
    connection.execute(
        insert(Order),
        [
            {
                "id": i,
                "customer_id": draw.randrange(1, CUSTOMERS + 1),
                "placed": _EPOCH + timedelta(days=300 * share),
                "status": draw.choice(("new", "paid", "sent", "sent", "sent")),
            }
            for i, share in enumerate(placed, start=1)
        ],
    )
    lines = []
    for order in range(1, ORDERS + 1):
        for product in draw.sample(range(1, PRODUCTS + 1), draw.choice((1, 2, 2, 3, 3, 4, 6))):
            quantity, price = draw.choice((1, 1, 1, 2, 5)), prices[product - 1]
            lines.append({"order_id": order, "product_id": product, "quantity": quantity, "price_cents": price})
    connection.execute(insert(OrderLine), lines)
    connection.execute(
        insert(Shipment),
        [
            {
                "order_id": draw.randrange(1, ORDERS + 1),
                "tracking": tracking_number(i),
                "carrier": draw.choice(_CARRIERS),
                "events": draw.randrange(1, 9),
            }
            for i in range(1, SHIPMENTS + 1)
        ],
    )
