"""Corpus "rental", held out: Tortoise ORM with asyncpg on PostgreSQL, stderr log, several requests at once, no request ids.

Another ORM, schema, driver and format than the corpora that the rules were made on; scored when they were final.
``python tests/corpora/rental_tortoise.py`` (needs ``tortoise-orm`` and ``asyncpg``, for the recording only)
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import servers
from recording import Truth, keep
from tortoise import Tortoise, fields
from tortoise.exceptions import IntegrityError
from tortoise.functions import Count
from tortoise.models import Model
from tortoise.transactions import in_transaction


class Depot(Model):
    id = fields.IntField(primary_key=True)
    city = fields.CharField(40)
    vans: Any


class Driver(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(40)
    licence = fields.CharField(20, unique=True)


class Van(Model):
    id = fields.IntField(primary_key=True)
    plate = fields.CharField(12)
    depot: Any = fields.ForeignKeyField("models.Depot", related_name="vans")
    drivers: Any = fields.ManyToManyField("models.Driver", related_name="vans")
    trips: Any


class Trip(Model):
    id = fields.IntField(primary_key=True)
    van: Any = fields.ForeignKeyField("models.Van", related_name="trips")
    driver: Any = fields.ForeignKeyField("models.Driver", related_name="trips")
    started = fields.IntField()
    stops: Any


class Stop(Model):
    id = fields.IntField(primary_key=True)
    trip: Any = fields.ForeignKeyField("models.Trip", related_name="stops")
    sequence = fields.IntField()
    address = fields.CharField(60)


class Reading(Model):
    id = fields.IntField(primary_key=True)
    van_id = fields.IntField()
    minute = fields.IntField()
    value = fields.IntField()


class Permit(Model):
    id = fields.IntField(primary_key=True)
    driver_id = fields.IntField()
    zone = fields.CharField(10)


class Preference(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(30, unique=True)
    content = fields.CharField(30)


class Outbox(Model):
    id = fields.IntField(primary_key=True)
    status = fields.CharField(10)
    topic = fields.CharField(20)
    body = fields.TextField()


async def fill() -> None:
    draw = random.Random(11)
    await Depot.bulk_create([Depot(city=f"c{i}") for i in range(60)])
    await Driver.bulk_create([Driver(name=f"d{i}", licence=f"L{i}") for i in range(200)])
    await Van.bulk_create([Van(plate=f"P{i}", depot_id=1 + i % 60) for i in range(300)])
    await Trip.bulk_create([Trip(van_id=1 + i % 300, driver_id=draw.randint(1, 200), started=i) for i in range(1500)])
    await Stop.bulk_create([Stop(trip_id=1 + i % 1500, sequence=i // 1500, address="x") for i in range(4500)])
    await Reading.bulk_create([Reading(van_id=draw.randint(1, 300), minute=i % 600, value=i) for i in range(4000)])
    await Permit.bulk_create([Permit(driver_id=1 + i % 200, zone=f"z{i % 5}") for i in range(500)])
    await Preference.bulk_create([Preference(name=f"pref_{i}", content="1") for i in range(20)])
    await Outbox.bulk_create([Outbox(status="waiting", topic=f"t{i % 6}", body="") for i in range(3000)])
    for van in await Van.all().limit(150):
        await van.drivers.add(*await Driver.filter(id__in=draw.sample(range(1, 201), 2)))


async def depots(c: Any, r: random.Random) -> dict[str, int]:
    found = await Depot.filter(id__gt=r.randint(0, 40)).limit(r.choice([3, 5, 9, 14])).using_db(c)
    for depot in found:
        await depot.vans.all().using_db(c)
    return {"van": len(found)}


async def journal(c: Any, r: random.Random) -> dict[str, int]:
    """To-one, two of them interleaved."""
    found = await Trip.all().order_by("-started").offset(r.randint(0, 1000)).limit(r.choice([4, 6, 11])).using_db(c)
    for trip in found:
        await Driver.get(id=trip.driver_id).using_db(c)
        await Van.get(id=trip.van_id).using_db(c)
    return {"driver": len(found), "van": len(found)}


async def routes(c: Any, r: random.Random) -> dict[str, int]:
    """Nested: vans of a depot, their trips, the stops of each."""
    depot = await Depot.get(id=r.randint(1, 60)).using_db(c)
    vans = await Van.filter(depot_id=depot.id).limit(r.choice([1, 2, 3, 5])).using_db(c)
    trips = []
    for van in vans:
        own = await Trip.filter(van_id=van.id).using_db(c)
        for trip in own:
            await Stop.filter(trip_id=trip.id).order_by("sequence").using_db(c)
        trips += own
    return {"trip": len(vans), "stop": len(trips)}


async def consumption(c: Any, r: random.Random) -> dict[str, int]:
    """A range beside the key."""
    ids = await Van.all().order_by("plate").limit(r.choice([5, 8, 10])).using_db(c).values_list("id", flat=True)
    start = r.randint(0, 500)
    for i in ids:
        await Reading.filter(van_id=i, minute__gte=start, minute__lt=start + 60).using_db(c).count()
    return {"reading": len(ids)}


async def crew(c: Any, r: random.Random) -> dict[str, int]:
    """Many to many, after the driver who is logged in."""
    await Driver.get(id=r.randint(1, 200)).using_db(c)
    vans = await Van.filter(id__lte=150).offset(r.randint(0, 120)).limit(r.choice([3, 6, 9])).using_db(c)
    for van in vans:
        await van.drivers.all().using_db(c)
    return {"driver": len(vans)}


async def allowed(c: Any, r: random.Random) -> dict[str, int]:
    """A permission check with two columns for each line of a list."""
    zone = f"z{r.randint(0, 4)}"
    drivers = await Driver.all().offset(r.randint(0, 150)).limit(r.choice([3, 7, 12])).using_db(c)
    for driver in drivers:
        await Permit.filter(driver_id=driver.id, zone=zone).using_db(c).exists()
    return {"permit": len(drivers)}


async def handwritten(c: Any, r: random.Random) -> dict[str, int]:
    _, rows = await c.execute_query(
        f"select v.id, v.plate from van v where v.depot_id < {r.randint(3, 60)} limit {r.choice([4, 6, 8])}"
    )
    for row in rows:
        await c.execute_query("select max(started) from trip where $1 = van_id", [row["id"]])
    return {"trip": len(rows)}


async def positions(c: Any, r: random.Random) -> dict[str, int]:
    """A composite key."""
    _, rows = await c.execute_query(
        "select trip_id, sequence from stop where trip_id between $1 and $2",
        [(a := r.randint(1, 1400)), a + r.randint(0, 3)],
    )
    for row in rows:
        await c.execute_query(
            "select address from stop where trip_id = $1 and sequence = $2", [row["trip_id"], row["sequence"]]
        )
    return {"stop": len(rows)}


async def prefetched(c: Any, r: random.Random) -> None:
    await Depot.all().limit(r.randint(5, 20)).prefetch_related("vans__trips").using_db(c)


async def joined(c: Any, r: random.Random) -> None:
    await Trip.all().select_related("van", "driver").limit(r.randint(5, 30)).using_db(c)


async def grouped(c: Any, r: random.Random) -> None:
    await Van.annotate(n=Count("trips")).limit(r.randint(5, 20)).using_db(c)


async def preferences(c: Any, r: random.Random) -> None:
    await Depot.all().limit(r.choice([4, 6, 8, 16])).using_db(c)
    for i in range(6):
        await Preference.get(name=f"pref_{i}").using_db(c)


async def dashboard(c: Any, r: random.Random) -> None:
    await Van.all().limit(r.randint(3, 20)).using_db(c)
    for status in ("waiting", "sent", "failed", "dropped", "parked"):
        await Outbox.filter(status=status).using_db(c).count()


async def topics(c: Any, r: random.Random) -> None:
    """A fan-out over six partitions."""
    await Driver.all().limit(r.choice([6, 9, 12])).using_db(c)
    for i in range(6):
        await Outbox.filter(topic=f"t{i}", status="sent").using_db(c).count()


async def download(c: Any, r: random.Random) -> None:
    """Keyset paging."""
    last = 0
    for _ in range(r.randint(5, 12)):
        part = await Reading.filter(van_id__not=7, id__gt=last).order_by("id").limit(25).using_db(c)
        last = part[-1].id


async def wait(c: Any, r: random.Random) -> None:
    await Depot.all().using_db(c)
    for _ in range(r.randint(5, 9)):
        await Outbox.get(id=77).using_db(c)


async def register(c: Any, r: random.Random) -> None:
    """Savepoints: insert, or read what is there."""
    await Depot.all().limit(r.randint(3, 12)).using_db(c)
    for i in r.sample(range(20), r.randint(5, 8)):
        try:
            async with in_transaction() if c is None else c._in_transaction() as inner:
                await Preference.create(name=f"pref_{i}", content="2", using_db=inner)
        except IntegrityError:
            await Preference.get(name=f"pref_{i}").using_db(c)


async def dispatch(c: Any, r: random.Random) -> None:
    """A queue worker."""
    for _ in range(r.randint(5, 9)):
        job = (
            await Outbox.filter(status="waiting")
            .order_by("id")
            .limit(1)
            .select_for_update(skip_locked=True)
            .using_db(c)
            .first()
        )
        await Outbox.filter(id=job.id).using_db(c).values("body")
        await Outbox.filter(id=job.id).using_db(c).update(status="sent")


async def three(c: Any, r: random.Random) -> None:
    await Driver.get(id=r.randint(1, 200)).using_db(c)
    for _ in range(3):
        await Van.get(id=r.randint(1, 300)).using_db(c)


async def compare(c: Any, r: random.Random) -> None:
    """Ids from the client, after a list without anything to do with them."""
    await Preference.all().using_db(c)
    for i in r.sample(range(1, 300), r.randint(5, 9)):
        await Van.get(id=i).using_db(c)


async def insert(c: Any, r: random.Random) -> None:
    await Depot.all().limit(r.randint(5, 12)).using_db(c)
    for i in range(r.randint(5, 9)):
        await Outbox.create(status="new", topic="t9", body=str(i), using_db=c)


PAGES = (depots, journal, routes, consumption, crew, allowed, handwritten, positions, prefetched, joined, grouped,
         preferences, dashboard, topics, download, wait, register, dispatch, three, compare, insert)  # fmt: skip


async def traffic(port: int, truth: Truth, count: int) -> None:
    waiting = [(n, random.Random(n).choice(PAGES)) for n in range(count)]

    async def client() -> None:
        while waiting:
            number, page = waiting.pop(0)
            start = time.time()
            async with in_transaction() as connection:
                pid = connection._connection.get_server_pid()
                calls = await page(connection, random.Random(number))
            truth.note(page.__name__, calls, start, time.time(), pid, None)
            await asyncio.sleep(0.003)

    await asyncio.gather(*(client() for _ in range(3)))


async def record() -> None:
    with servers.postgresql(log_destination="stderr", log_line_prefix="%m [%p] %q%u@%d ") as server:
        await Tortoise.init(
            db_url=f"asyncpg://postgres@127.0.0.1:{server.port}/shop?minsize=3&maxsize=3",
            modules={"models": ["__main__"]},
        )
        await Tortoise.generate_schemas()
        await fill()
        await asyncio.sleep(0.3)
        written = {p: p.stat().st_size for p in server.logs("log")}
        truth = Truth()
        await traffic(server.port, truth, 420)
        await Tortoise.close_connections()
        await asyncio.sleep(0.3)
        log = b"".join(p.read_bytes()[written.get(p, 0) :] for p in server.logs("log"))
    keep("rental", log, "stderr.log", truth)


if __name__ == "__main__":
    asyncio.run(record())
