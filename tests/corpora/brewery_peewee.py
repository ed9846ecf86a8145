"""Corpus "brewery": Peewee on MariaDB, slow log, a transaction for each request, three connections. Held out.

``python tests/corpora/brewery_peewee.py``
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import peewee as pw
import servers
from recording import Truth, keep, requests

db = pw.MySQLDatabase(None)
SIZES = (5, 8, 12, 20, 30)
REGIONS = ("north", "south", "east", "west", "alps", "coast", "lakes", "isles")
STATES = ("mash", "boil", "ferment", "cond", "pack", "done", "dumped")
BEGIN = dt.datetime(2026, 3, 1)


class Base(pw.Model):
    class Meta:
        database = db


class Brewery(Base):
    tenant = pw.IntegerField(index=True)
    region = pw.CharField(32, index=True)
    name = pw.CharField(80)
    deleted = pw.BooleanField(default=False)


class Style(Base):
    name = pw.CharField(40)


class Beer(Base):
    brewery = pw.ForeignKeyField(Brewery, backref="beers")
    style = pw.ForeignKeyField(Style, backref="beers")
    tenant = pw.IntegerField()
    name = pw.CharField(80)
    abv = pw.FloatField()
    deleted = pw.BooleanField(default=False)


class Hop(Base):
    name = pw.CharField(40)


class BeerHop(Base):
    beer = pw.ForeignKeyField(Beer, backref="uses")
    hop = pw.ForeignKeyField(Hop, backref="uses")
    grams = pw.IntegerField()


class Tank(Base):
    brewery = pw.ForeignKeyField(Brewery, backref="tanks")
    litres = pw.IntegerField()


class Batch(Base):
    beer = pw.ForeignKeyField(Beer, backref="batches")
    tank = pw.ForeignKeyField(Tank, backref="batches")
    state = pw.CharField(16)
    brewed = pw.DateTimeField(index=True)
    ready = pw.DateTimeField()


class Reading(Base):
    tank = pw.ForeignKeyField(Tank, backref="readings")
    at = pw.DateTimeField(index=True)
    celsius = pw.FloatField()


class Club(Base):
    name = pw.CharField(60)


class Taster(Base):
    club = pw.ForeignKeyField(Club, backref="tasters")
    name = pw.CharField(60)


class Tasting(Base):
    beer = pw.ForeignKeyField(Beer, backref="tastings")
    taster = pw.ForeignKeyField(Taster, backref="tastings")
    score = pw.IntegerField()
    day = pw.DateField()


class Remark(Base):
    tasting = pw.ForeignKeyField(Tasting, backref="remarks")
    author = pw.ForeignKeyField(Taster, backref="remarks")
    body = pw.CharField(200)


class Target(Base):
    brewery = pw.ForeignKeyField(Brewery)
    style = pw.ForeignKeyField(Style)
    hectolitres = pw.IntegerField()


class Setting(Base):
    key = pw.CharField(40, index=True)
    value = pw.CharField(80)


class Job(Base):
    state = pw.CharField(12, index=True)
    beer = pw.ForeignKeyField(Beer)
    tries = pw.IntegerField(default=0)


MODELS = (Brewery, Style, Beer, Hop, BeerHop, Tank, Batch, Reading, Club, Taster, Tasting, Remark, Target, Setting, Job)


def fill() -> None:
    draw = random.Random(77123)
    db.create_tables(MODELS)

    def many(model: Any, count: int, row: Any) -> None:
        rows = [row(i) for i in range(count)]
        for first in range(0, count, 500):
            model.insert_many(rows[first : first + 500]).execute()

    def some(last: int) -> int:
        return draw.randint(1, last)

    def batch(i: int) -> dict[str, Any]:
        brewed = BEGIN + dt.timedelta(hours=draw.randint(0, 1400))
        ready = brewed + dt.timedelta(days=draw.randint(5, 20))
        return {"beer": some(700), "tank": some(160), "state": draw.choice(STATES), "brewed": brewed, "ready": ready}

    many(Brewery, 120, lambda i: {"tenant": 1 + i % 4, "region": draw.choice(REGIONS), "name": f"Brew {i}",
                                  "deleted": draw.random() < 0.05})  # fmt: skip
    many(Style, 14, lambda i: {"name": f"style {i}"})
    many(Beer, 700, lambda i: {"brewery": some(120), "style": some(14), "tenant": 1 + i % 4, "name": f"Ale {i}",
                               "abv": draw.uniform(3, 11), "deleted": draw.random() < 0.1})  # fmt: skip
    many(Hop, 40, lambda i: {"name": f"hop {i}"})
    many(BeerHop, 1800, lambda i: {"beer": some(700), "hop": some(40), "grams": draw.randint(5, 90)})
    many(Tank, 160, lambda i: {"brewery": some(120), "litres": 1000})
    many(Batch, 2000, batch)
    many(Reading, 4000, lambda i: {"tank": some(160), "at": BEGIN + dt.timedelta(minutes=draw.randint(0, 90_000)),
                                   "celsius": draw.uniform(1, 25)})  # fmt: skip
    many(Club, 50, lambda i: {"name": f"club {i}"})
    many(Taster, 300, lambda i: {"club": some(50), "name": f"taster {i}"})
    many(Tasting, 3000, lambda i: {"beer": some(700), "taster": some(300), "score": some(10),
                                   "day": (BEGIN + dt.timedelta(days=draw.randint(0, 60))).date()})  # fmt: skip
    many(Remark, 2500, lambda i: {"tasting": some(3000), "author": some(300), "body": "hm"})
    many(Target, 900, lambda i: {"brewery": some(120), "style": some(14), "hectolitres": 9})
    many(Setting, 30, lambda i: {"key": f"k{i}", "value": str(i)})
    many(Job, 400, lambda i: {"state": "queued", "beer": some(700)})


def some_beers(r: random.Random, n: int) -> list[Any]:
    chosen = Beer.select().where(Beer.tenant == r.randint(1, 4), Beer.deleted == False)  # noqa: E712 - SQL
    return list(chosen.order_by(Beer.name).limit(n).offset(r.randint(0, 100)))


def some_breweries(r: random.Random, n: int) -> list[Any]:
    chosen = Brewery.select().where(Brewery.deleted == False)  # noqa: E712 - SQL
    return list(chosen.order_by(Brewery.name).limit(n).offset(r.randint(0, 70)))


def positives() -> dict[str, Any]:
    """Pages that ask row by row: the table, and how many different values."""

    def breweries(r: random.Random, n: int) -> dict[str, int]:
        rows = some_breweries(r, n)
        for one in rows:
            list(one.beers)
        return {"beer": len(rows)}

    def beers(r: random.Random, n: int) -> dict[str, int]:
        rows = some_beers(r, n)
        return {"brewery": len({(one.brewery.name, one.brewery_id) for one in rows})}

    def tree(r: random.Random, n: int) -> dict[str, int]:
        rows, batches = some_breweries(r, max(3, n // 3)), 0
        for one in rows:
            for beer in one.beers:
                list(beer.batches.order_by(Batch.brewed))
                batches += 1
        return {"beer": len(rows), "batch": batches}

    def hops(r: random.Random, n: int) -> dict[str, int]:
        rows = some_beers(r, n)
        for one in rows:
            list(Hop.select().join(BeerHop).where(BeerHop.beer == one))
        return {"hop": len(rows)}

    def targets(r: random.Random, n: int) -> dict[str, int]:
        rows = some_beers(r, n)
        for one in rows:
            Target.get_or_none(Target.brewery == one.brewery_id, Target.style == one.style_id)
        return {"target": len({(one.brewery_id, one.style_id) for one in rows})}

    def average(r: random.Random, n: int) -> dict[str, int]:
        rows = some_beers(r, n)
        for one in rows:
            Tasting.select(pw.fn.AVG(Tasting.score)).where(Tasting.beer == one).scalar()
        return {"tasting": len(rows)}

    def mine(r: random.Random, n: int) -> dict[str, int]:
        me = r.randint(1, 300)
        Taster.get_by_id(me)
        rows = some_beers(r, n)
        for one in rows:
            Tasting.select().where(Tasting.taster == me, Tasting.beer == one).exists()
        return {"tasting": len(rows)}

    def counts(r: random.Random, n: int) -> dict[str, int]:
        rows = some_breweries(r, n)
        Setting.get(Setting.key == "k3")
        for one in rows:
            one.tanks.count()
        return {"tank": len(rows)}

    def month(r: random.Random, n: int) -> dict[str, int]:
        first = BEGIN + dt.timedelta(days=r.randint(0, 30))
        rows = some_beers(r, n)
        for one in rows:
            brewed = Batch.brewed.between(first, first + dt.timedelta(days=30))
            list(Batch.select().where(Batch.beer == one, brewed))
        return {"batch": len(rows)}

    def praise(r: random.Random, n: int) -> dict[str, int]:
        day = (BEGIN + dt.timedelta(days=r.randint(0, 59))).date()
        good = [t for t in Tasting.select().where(Tasting.day == day).order_by(Tasting.id).limit(n) if t.score >= 6]
        return {"taster": len({(one.taster.name, one.taster_id) for one in good})}

    def remarks(r: random.Random, n: int) -> dict[str, int]:
        rows = list(Tasting.select().order_by(Tasting.id.desc()).limit(n).offset(r.randint(0, 2000)))
        for one in rows:
            list(Remark.select(Remark, Taster).join(Taster).where(Remark.tasting == one))
        return {"remark": len(rows)}

    def live(r: random.Random, n: int) -> dict[str, int]:
        tenant = r.randint(1, 4)
        own = Brewery.select().where(Brewery.tenant == tenant, Brewery.deleted == False)  # noqa: E712 - SQL
        rows = list(own.order_by(Brewery.id).limit(n))
        for one in rows:
            list(Beer.select().where(Beer.tenant == tenant, Beer.brewery == one, Beer.deleted == False))  # noqa: E712
        return {"beer": len(rows)}

    def last(r: random.Random, n: int) -> dict[str, int]:
        rows = list(Tank.select(Tank, Brewery).join(Brewery).order_by(Tank.id).limit(n).offset(r.randint(0, 120)))
        for one in rows:
            one.readings.order_by(Reading.at.desc()).first()
        return {"reading": len(rows)}

    def log(r: random.Random, n: int) -> dict[str, int]:
        done = Batch.select().where(Batch.state == "done")
        rows = list(done.order_by(Batch.brewed).limit(n).offset(r.randint(0, 200)))
        for one in rows:
            inside = (Reading.at >= one.brewed) & (Reading.at < one.ready)
            list(Reading.select().where(Reading.tank == one.tank_id, inside))
        return {"reading": len(rows)}

    def club(r: random.Random, n: int) -> dict[str, int]:
        rows = list(Club.get_by_id(r.randint(1, 50)).tasters)
        for one in rows:
            one.tastings.count()
            one.remarks.order_by(Remark.id.desc()).first()
        return {"tasting": len(rows), "remark": len(rows)}

    return {k: v for k, v in locals().items() if callable(v)}


def negatives() -> dict[str, Any]:
    """Pages that ask often without asking for rows one by one."""

    def config(r: random.Random, n: int) -> None:
        some_beers(r, n)
        for number in (1, 2, 3, 5, 8, 13, 21, 22, 23):
            Setting.get(Setting.key == f"k{number}")

    def states(r: random.Random, n: int) -> None:
        some_breweries(r, n)
        for state in STATES:
            Batch.select().where(Batch.state == state).count()

    def keyset(r: random.Random, n: int) -> None:
        tenant, last = r.randint(1, 4), 0
        for _ in range(r.randint(5, 9)):
            page = list(Beer.select().where(Beer.tenant == tenant, Beer.id > last).order_by(Beer.id).limit(15))
            if not page:
                break
            last = page[-1].id

    def poll(r: random.Random, n: int) -> None:
        job = r.randint(1, 400)
        for _ in range(r.randint(6, 12)):
            Job.get_by_id(job)

    def retry(r: random.Random, n: int) -> None:
        job = Job.get_by_id(r.randint(1, 400))
        for tries in range(r.randint(5, 7)):
            with db.atomic() as savepoint:
                Job.update(tries=tries).where(Job.id == job.id).execute()
                Beer.get_by_id(job.beer_id)
                savepoint.rollback()

    def worker(r: random.Random, n: int) -> None:
        for _ in range(r.choice((5, 7, 9))):
            job = Job.select().where(Job.state == "queued").order_by(Job.id).limit(1).for_update().first()
            if not job:
                break
            Beer.get_by_id(job.beer_id)
            Job.update(state="done").where(Job.id == job.id).execute()

    def regions(r: random.Random, n: int) -> None:
        list(Style.select().order_by(Style.name))
        for region in REGIONS:
            list(Brewery.select().where(Brewery.region == region).order_by(Brewery.id).limit(4))

    def three(r: random.Random, n: int) -> None:
        for one in some_beers(r, 3):
            list(one.tastings)

    def prefetched(r: random.Random, n: int) -> None:
        beers = list(Beer.select().where(Beer.brewery.in_([one.id for one in some_breweries(r, n)])))
        list(Batch.select().where(Batch.beer.in_([one.id for one in beers])))

    def joined(r: random.Random, n: int) -> None:
        list(Beer.select(Beer, Brewery, Style).join(Brewery).switch(Beer).join(Style).order_by(Beer.id).limit(n))
        Beer.select().count()

    def bulk(r: random.Random, n: int) -> None:
        rows = [{"beer": one.id, "taster": 5, "score": 7, "day": BEGIN.date()} for one in some_beers(r, n)]
        Tasting.insert_many(rows).execute()

    def same(r: random.Random, n: int) -> None:
        for _ in some_beers(r, n):
            Setting.get(Setting.key == "k7")

    def hours(r: random.Random, n: int) -> None:
        day = BEGIN + dt.timedelta(days=r.randint(0, 50))
        list(Tank.select().order_by(Tank.id).limit(n))
        for hour in range(24):
            first = day + dt.timedelta(hours=hour)
            Reading.select().where(Reading.at.between(first, first + dt.timedelta(minutes=59, seconds=59))).count()

    return {k: v for k, v in locals().items() if callable(v)}


def main() -> None:
    with servers.mariadb() as server:
        db.init("shop", host="127.0.0.1", port=server.port, user="root")
        fill()
        db.close()
        written = {p: p.stat().st_size for p in server.logs("slow")}
        truth = Truth()

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            db.connect(reuse_if_open=True)
            with db.atomic():
                return work(), db.connection().thread_id(), None

        pages = {
            name: (1, lambda r, page=page: page(r, r.choice(SIZES)))
            for name, page in (positives() | negatives()).items()
        }
        requests(pages, 256, truth, around, threads=3)
        db.close()
        slow = b"".join(p.read_bytes()[written[p] :] for p in server.logs("slow"))
    keep("brewery", slow, "slow.log", truth)


if __name__ == "__main__":
    main()
