"""The shop's synthetic data: built once for each seed, and cached as an SQLite file in the user's cache."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from perflab.demo.shop.models import Base

VERSION = 1
"""Part of the cached file's name: increment it when the output of `build` changes."""

PRODUCTS, CUSTOMERS, ORDERS, PARCELS = 1_200, 3_000, 15_000, 120_000
FIRST_TRACKING = 700_000_000

_KINDS = ("Kettle", "Lamp", "Chair", "Backpack", "Teapot", "Blanket", "Notebook", "Headphones", "Raincoat", "Skillet")
_STYLES = ("Oak", "Copper", "Linen", "Slate", "Walnut", "Cobalt", "Ivory", "Moss", "Amber", "Graphite")
_FIRST = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Ken", "Radia", "Tony", "Hedy", "Alan")
_LAST = (
    "Novak",
    "Okafor",
    "Silva",
    "Larsen",
    "Haddad",
    "Kim",
    "Moreau",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Walsh",
    "Yilmaz",
)
_CITIES = ("Porto", "Leeds", "Graz", "Turku", "Ghent", "Brno", "Malmö", "Lyon", "Bologna", "Gdańsk")
_STATES = ("new", "paid", "packed", "shipped", "delivered", "returned")
_CARRIERS = ("Albatross", "Swift Post", "Heron Express")


def tracking_number(number: int) -> str:
    """The tracking number of a parcel, counted from 1.

    >>> tracking_number(1)
    'PX700000001EU'
    """
    return f"PX{FIRST_TRACKING + number}EU"


def copy_to(path: Path, seed: int) -> None:
    """Write a fresh database for ``seed`` to ``path``: a copy of the cached one, which is built if missing."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        try:
            shutil.copyfile(_cached(seed), part)
        except OSError:
            # The home is not writable (or the cache is full): building a file for this server takes a second.
            part.unlink(missing_ok=True)
            build(part, seed)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _cached(seed: int) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "perflab"
    path = folder / f"shop-v{VERSION}-seed{seed}.sqlite"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Built in a temporary folder and renamed, so two servers that start at once both find a whole file.
        with tempfile.TemporaryDirectory(prefix=".shop-", dir=folder) as building:
            build(Path(building) / path.name, seed)
            (Path(building) / path.name).replace(path)
    return path


def build(path: Path, seed: int) -> None:
    """Create the database file at ``path``; the same content for the same seed."""
    chance = random.Random(seed)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        dialect = sqlite.dialect()
        for table in Base.metadata.sorted_tables:
            database.execute(str(CreateTable(table).compile(dialect=dialect)))
        prices = [chance.randint(3, 400) * 50 - 1 for _ in range(PRODUCTS)]
        _insert(database, "products", 6, _products(chance, prices))
        _insert(database, "customers", 4, _customers(chance))
        _insert(database, "orders", 4, _orders(chance))
        _insert(database, "order_lines", 5, _lines(chance, prices))
        _insert(database, "parcels", 6, _parcels(chance))
        for table in Base.metadata.sorted_tables:
            for index in sorted(table.indexes, key=lambda i: str(i.name)):
                database.execute(str(CreateIndex(index).compile(dialect=dialect)))


def _insert(database: sqlite3.Connection, table: str, columns: int, rows: Iterator[tuple[object, ...]]) -> None:
    database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)


def _products(chance: random.Random, prices: list[int]) -> Iterator[tuple[object, ...]]:
    for number, price in enumerate(prices, start=1):
        kind, style = chance.choice(_KINDS), chance.choice(_STYLES)
        words = " ".join(chance.choice(_STYLES + _KINDS).lower() for _ in range(chance.randint(30, 60)))
        yield number, f"SKU-{number:05d}", f"{style} {kind} {number}", kind.lower(), price, words.capitalize() + "."


def _customers(chance: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(1, CUSTOMERS + 1):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        yield number, f"{first} {last}", f"{first}.{last}.{number}@example.org".lower(), chance.choice(_CITIES)


def _orders(chance: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(1, ORDERS + 1):
        day = f"2025-{1 + 12 * number // (ORDERS + 1):02d}-{chance.randint(1, 28):02d}"
        yield number, chance.randint(1, CUSTOMERS), f"{day}T{chance.randint(8, 21):02d}:15:00Z", chance.choice(_STATES)


def _lines(chance: random.Random, prices: list[int]) -> Iterator[tuple[object, ...]]:
    number = 0
    for order in range(1, ORDERS + 1):
        for _ in range(chance.choice((1, 2, 2, 3, 3, 4))):
            number += 1
            product = min(int(chance.paretovariate(0.6)), PRODUCTS)  # some products sell far better than others
            yield number, order, product, chance.randint(1, 3), prices[product - 1]


def _parcels(chance: random.Random) -> Iterator[tuple[object, ...]]:
    # Like parcels of several shops: tracking numbers are in no order, as in a carrier's feed.
    numbers = list(range(1, PARCELS + 1))
    chance.shuffle(numbers)
    for row, number in enumerate(numbers, start=1):
        order = chance.randint(1, ORDERS)
        carrier, state = chance.choice(_CARRIERS), chance.choice(_STATES[3:])
        yield row, order, tracking_number(number), carrier, state, chance.randint(90, 9_000)
