"""Corpus "zoo": Peewee on MariaDB, slow log of all statements, a transaction for each request, three connections.

``python tests/corpora/zoo_peewee.py``
"""

from __future__ import annotations

import random
from typing import Any

import peewee as pw
import servers
from recording import Truth, keep, requests

db = pw.MySQLDatabase(None)


class Base(pw.Model):
    class Meta:
        database = db


class Keeper(Base):
    name = pw.CharField()
    shift = pw.CharField()


class Enclosure(Base):
    name = pw.CharField()
    keeper = pw.ForeignKeyField(Keeper, backref="enclosures")


class Species(Base):
    name = pw.CharField()
    diet = pw.CharField()


class Animal(Base):
    name = pw.CharField()
    species = pw.ForeignKeyField(Species, backref="animals")
    enclosure = pw.ForeignKeyField(Enclosure, backref="animals")


class Weighing(Base):
    animal = pw.ForeignKeyField(Animal, backref="weighings")
    day = pw.IntegerField()
    kg = pw.FloatField()


class Feeding(Base):
    enclosure_id = pw.IntegerField()
    day = pw.IntegerField()
    amount = pw.IntegerField()

    class Meta:
        primary_key = pw.CompositeKey("enclosure_id", "day")


class Rule(Base):
    name = pw.CharField(unique=True)
    value = pw.CharField()


class Alarm(Base):
    state = pw.CharField()
    text = pw.CharField()


MODELS = (Keeper, Enclosure, Species, Animal, Weighing, Feeding, Rule, Alarm)


def fill() -> None:
    draw = random.Random(9)
    db.create_tables(MODELS)
    many = lambda model, rows: [model.insert_many(rows[i : i + 500]).execute() for i in range(0, len(rows), 500)]  # noqa: E731
    many(Keeper, [{"name": f"k{i}", "shift": "day"} for i in range(70)])
    many(Enclosure, [{"name": f"e{i}", "keeper": 1 + i % 70} for i in range(140)])
    many(Species, [{"name": f"s{i}", "diet": draw.choice("abc")} for i in range(90)])
    many(Animal, [{"name": f"a{i}", "species": draw.randint(1, 90), "enclosure": 1 + i % 140} for i in range(700)])
    many(Weighing, [{"animal": 1 + i % 700, "day": draw.randint(1, 99), "kg": 1.0} for i in range(3000)])
    many(Feeding, [{"enclosure_id": e, "day": d, "amount": 3} for e in range(1, 141) for d in range(1, 15)])
    many(Rule, [{"name": f"r{i}", "value": "1"} for i in range(12)])
    many(Alarm, [{"state": "new", "text": ""} for _ in range(3000)])


def pages() -> dict[str, Any]:
    def keepers(rng: random.Random) -> dict[str, int]:
        found = list(Keeper.select().where(Keeper.id > rng.randint(0, 50)).limit(rng.choice([3, 5, 8, 14])))
        [list(k.enclosures) for k in found]
        return {"enclosure": len(found)}

    def animals(rng: random.Random) -> dict[str, int]:
        """Interleaved; Peewee keeps no identity map, so equal keys are asked again."""
        found = list(Animal.select().order_by(pw.fn.RAND(rng.randint(1, 10**6))).limit(rng.choice([4, 6, 10])))
        [(a.species.name, a.enclosure.name) for a in found]
        return {"species": len(found), "enclosure": len(found)}

    def rounds(rng: random.Random) -> dict[str, int]:
        """Nested three deep."""
        keepers = list(Keeper.select().where(Keeper.id > rng.randint(0, 60)).limit(rng.choice([2, 3, 5])))
        enclosures = [e for k in keepers for e in k.enclosures]
        animals = [a for e in enclosures for a in e.animals]
        [a.weighings.count() for a in animals]
        return {"enclosure": len(keepers), "animal": len(enclosures), "weighing": len(animals)}

    def growth(rng: random.Random) -> dict[str, int]:
        """A range beside the key."""
        found = list(Animal.select(Animal.id).where(Animal.species == rng.randint(1, 90)))
        for a in found:
            Weighing.select(pw.fn.MAX(Weighing.kg)).where(
                (Weighing.animal == a.id) & (Weighing.day > rng.randint(1, 50))
            ).scalar()
        return {"weighing": len(found)}

    def meals(rng: random.Random) -> dict[str, int]:
        """A composite key."""
        day = rng.randint(1, 14)
        found = list(Enclosure.select().where(Enclosure.id > rng.randint(0, 120)).limit(rng.choice([3, 6, 9])).tuples())
        for row in found:
            Feeding.get((Feeding.enclosure_id == row[0]) & (Feeding.day == day))
        return {"feeding": len(found)}

    def raw(rng: random.Random) -> dict[str, int]:
        rows = db.execute_sql(
            "SELECT id, diet FROM species WHERE diet = %s LIMIT %s", ("a", rng.choice([3, 5, 9]))
        ).fetchall()
        for row in rows:
            db.execute_sql("SELECT COUNT(*) FROM animal WHERE %s = species_id", (row[0],)).fetchall()
        return {"animal": len(rows)}

    def user_first(rng: random.Random) -> dict[str, int]:
        """The keeper who is logged in, then the keepers of a list of enclosures."""
        Keeper.get_by_id(rng.randint(1, 70))
        found = list(Enclosure.select().where(Enclosure.id > rng.randint(0, 100)).limit(rng.choice([3, 7, 12])))
        [e.keeper.name for e in found]
        return {"keeper": len(found)}

    def joined(rng: random.Random) -> None:
        [a.species.name for a in Animal.select(Animal, Species).join(Species).limit(rng.randint(5, 20))]

    def prefetched(rng: random.Random) -> None:
        [len(k.enclosures) for k in pw.prefetch(Keeper.select().limit(rng.randint(5, 20)), Enclosure.select())]

    def configured(rng: random.Random) -> None:
        list(Enclosure.select().limit(rng.choice([5, 7, 11])))
        for i in range(7):
            Rule.get(Rule.name == f"r{i}")

    def states(rng: random.Random) -> None:
        list(Keeper.select().limit(rng.choice([3, 7, 11])))
        for state in ("new", "seen", "fixed", "void", "late"):
            Alarm.select().where(Alarm.state == state).count()

    def export(rng: random.Random) -> None:
        list(Species.select())
        last = 0
        for _ in range(rng.randint(5, 9)):
            found = list(
                Animal.select().where((Animal.enclosure != 3) & (Animal.id > last)).order_by(Animal.id).limit(15)
            )
            last = found[-1].id

    def poll(rng: random.Random) -> None:
        alarm = rng.randint(1, 3000)
        for _ in range(rng.randint(4, 9)):
            Alarm.get_by_id(alarm)

    def retry(rng: random.Random) -> None:
        list(Keeper.select().limit(rng.randint(5, 12)))
        for i in [rng.randrange(12) for _ in range(rng.randint(5, 8))]:
            try:
                with db.savepoint():
                    Rule.create(name=f"r{i}", value="2")
            except pw.IntegrityError:
                Rule.get(Rule.name == f"r{i}")

    def worker(rng: random.Random) -> None:
        for _ in range(rng.randint(5, 9)):
            one = Alarm.select(Alarm.id).where(Alarm.state == "new").order_by(Alarm.id).limit(1).for_update().get()
            full = Alarm.get_by_id(one.id)
            Alarm.update(state="seen").where(Alarm.id == full.id).execute()

    def shards(rng: random.Random) -> None:
        list(Species.select().limit(rng.choice([3, 6, 9])))
        for shift in ("day", "night", "late", "early", "weekend", "spare"):
            Keeper.select().where(Keeper.shift == shift).count()

    def three(rng: random.Random) -> None:
        for _ in range(3):
            Animal.get_by_id(rng.randint(1, 700))
        Keeper.get_by_id(1)

    def picked(rng: random.Random) -> None:
        """Ids from the client, after a list that has nothing to do with them."""
        list(Rule.select())
        for i in rng.sample(range(1, 700), rng.randint(5, 9)):
            Animal.get_by_id(i)

    def save(rng: random.Random) -> None:
        list(Keeper.select().limit(rng.randint(5, 12)))
        for _ in range(rng.randint(5, 9)):
            Alarm.create(state="old", text="x")

    return {
        "keepers": (6, keepers), "animals": (6, animals), "rounds": (5, rounds), "growth": (6, growth), "meals": (6, meals),
        "raw": (5, raw), "user_first": (6, user_first), "joined": (3, joined), "prefetched": (3, prefetched),
        "configured": (5, configured), "states": (5, states), "export": (4, export), "poll": (4, poll), "retry": (4, retry),
        "worker": (4, worker), "shards": (5, shards), "three": (4, three), "picked": (5, picked), "save": (4, save),
    }  # fmt: skip


def main() -> None:
    with servers.mariadb() as server:
        db.init("shop", host="127.0.0.1", port=server.port, user="root")
        fill()
        db.close()
        written = {p: p.stat().st_size for e in ("slow", "general") for p in server.logs(e)}
        truth = Truth()

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            db.connect(reuse_if_open=True)
            with db.atomic():
                return work(), db.connection().thread_id(), None

        requests(pages(), 400, truth, around, threads=3)
        db.close()
        slow, general = (b"".join(p.read_bytes()[written[p] :] for p in server.logs(e)) for e in ("slow", "general"))
    keep("zoo", slow, "slow.log", truth)
    keep("zoo_general", general, "general.log", truth)


if __name__ == "__main__":
    main()
