# ruff: noqa: B007, B023, F841, RUF059 (Pony reads the code of lambdas and the variables around its SQL)
"""Corpus "clinic", held out: Pony ORM on MariaDB, general log (no durations, no rows), several requests at once, no request ids.

Written after the rules had been loosened once more, and scored once. Foreign keys are named without ``_id``, tables in another
language's plural. ``python tests/corpora/clinic_pony.py`` (needs ``pony``, for the recording only)
"""

from __future__ import annotations

import random
from typing import Any

import servers
from pony.orm import Database, Optional, PrimaryKey, Required, Set, commit, count, db_session, flush, select
from recording import Truth, keep, requests

db = Database()


class Station(db.Entity):
    _table_ = "stationen"
    nr = PrimaryKey(int, auto=True)
    name = Required(str)
    betten = Set("Bett")


class Bett(db.Entity):
    _table_ = "betten"
    nr = PrimaryKey(int, auto=True)
    station = Required(Station)
    patient = Optional("Patient")


class Arzt(db.Entity):
    _table_ = "aerzte"
    nr = PrimaryKey(int, auto=True)
    name = Required(str)
    visiten = Set("Visite")


class Patient(db.Entity):
    _table_ = "patienten"
    nr = PrimaryKey(int, auto=True)
    name = Required(str)
    versicherung = Required(str)
    visiten = Set("Visite")
    bett = Set(Bett)


class Visite(db.Entity):
    _table_ = "visiten"
    nr = PrimaryKey(int, auto=True)
    arzt = Required(Arzt)
    patient = Required(Patient)
    tag = Required(int)
    rezepte = Set("Rezept")


class Rezept(db.Entity):
    _table_ = "rezepte"
    nr = PrimaryKey(int, auto=True)
    visite = Required(Visite)
    mittel = Required(str)


class Schluessel(db.Entity):
    _table_ = "schluessel"
    name = PrimaryKey(str)
    wert = Required(str)


class Nachricht(db.Entity):
    _table_ = "nachrichten"
    nr = PrimaryKey(int, auto=True)
    zustand = Required(str)
    text = Required(str)


@db_session
def fill() -> None:
    draw = random.Random(21)
    stations = [Station(name=f"s{i}") for i in range(40)]
    doctors = [Arzt(name=f"a{i}") for i in range(70)]
    patients = [Patient(name=f"p{i}", versicherung=f"v{i % 6}") for i in range(300)]
    flush()
    for i in range(200):
        Bett(station=stations[i % 40], patient=patients[i])
    visits = [Visite(arzt=doctors[i % 70], patient=draw.choice(patients), tag=draw.randint(1, 90)) for i in range(900)]
    for i in range(1500):
        Rezept(visite=visits[i % 900], mittel=f"m{i % 30}")
    for i in range(15):
        Schluessel(name=f"k{i}", wert="1")
    for _ in range(1500):
        Nachricht(zustand="neu", text="x")


def pages() -> dict[str, Any]:
    def doctors(rng: random.Random) -> dict[str, int]:
        found = list(Arzt.select(lambda a: a.nr > rng.randint(0, 50)).limit(rng.choice([3, 6, 9, 14])))
        for one in found:
            Visite.select(lambda v: v.arzt == one and v.tag > 10).limit(50)[:]
        return {"visiten": len(found)}

    def stations(rng: random.Random) -> dict[str, int]:
        found = list(Station.select(lambda s: s.nr > rng.randint(0, 20)).limit(rng.choice([4, 7, 12])))
        for one in found:
            count(b for b in Bett if b.station == one)
        return {"betten": len(found)}

    def nested(rng: random.Random) -> dict[str, int]:
        found = list(Arzt.select(lambda a: a.nr > rng.randint(0, 60)).limit(rng.choice([2, 3, 5])))
        visits = []
        for one in found:
            own = list(select(v for v in Visite if v.arzt == one))
            visits += own
            for v in own:
                db.select("SELECT mittel FROM rezepte WHERE visite = $(v.nr)")
        return {"visiten": len(found), "rezepte": len(visits)}

    def raw(rng: random.Random) -> dict[str, int]:
        day, most = rng.randint(1, 60), rng.choice([4, 6, 9])
        rows = list(db.select("SELECT nr, patient FROM visiten WHERE tag > $day LIMIT $most"))
        for row in rows:
            db.select("SELECT name, versicherung FROM patienten WHERE nr = $(row[1])")
        return {"patienten": len(rows) if len({r[1] for r in rows}) >= 0.6 * len(rows) else 0}

    def user_first(rng: random.Random) -> dict[str, int]:
        db.select(f"SELECT name FROM aerzte WHERE nr = {rng.randint(1, 70)}")
        rows = list(
            db.select(
                f"SELECT nr, arzt FROM visiten WHERE patient < {rng.randint(20, 290)} ORDER BY tag LIMIT {rng.choice([3, 6, 10])}"
            )
        )
        for row in rows:
            db.select(f"SELECT name FROM aerzte WHERE nr = {row[1]}")
        return {"aerzte": len(rows) if len({r[1] for r in rows}) >= 0.6 * len(rows) else 0}

    def existing(rng: random.Random) -> dict[str, int]:
        found = list(Patient.select(lambda p: p.nr > rng.randint(0, 200)).limit(rng.choice([5, 8, 13])))
        for one in found:
            Bett.exists(lambda b: b.patient == one)
        return {"betten": len(found)}

    def solved(rng: random.Random) -> None:
        """Pony loads these in batches by itself."""
        for v in Visite.select(lambda v: v.tag > rng.randint(1, 60)).limit(rng.randint(5, 20)):
            v.patient.name

    def keys(rng: random.Random) -> None:
        list(Station.select().limit(rng.choice([5, 7, 9, 15])))
        for i in range(7):
            db.select(f"SELECT wert FROM schluessel WHERE name = 'k{i}'")

    def states(rng: random.Random) -> None:
        list(Arzt.select().limit(rng.choice([4, 6, 8])))
        for state in ("neu", "da", "weg", "alt", "tot"):
            count(n for n in Nachricht if n.zustand == state)

    def insurers(rng: random.Random) -> None:
        list(Station.select().limit(rng.choice([4, 6, 11])))
        for i in range(6):
            db.select(f"SELECT count(*) FROM patienten WHERE versicherung = 'v{i}'")

    def export(rng: random.Random) -> None:
        last = 0
        list(Arzt.select())
        for _ in range(rng.randint(5, 9)):
            part = list(
                db.select(f"SELECT nr, tag FROM visiten WHERE patient <> 5 AND nr > {last} ORDER BY nr LIMIT 20")
            )
            last = part[-1][0]

    def poll(rng: random.Random) -> None:
        number = rng.randint(1, 1500)
        for _ in range(rng.randint(5, 9)):
            db.select(f"SELECT zustand FROM nachrichten WHERE nr = {number}")

    def worker(rng: random.Random) -> None:
        for _ in range(rng.randint(5, 9)):
            (number,) = db.select("SELECT nr FROM nachrichten WHERE zustand = 'neu' ORDER BY nr LIMIT 1")
            db.select("SELECT text FROM nachrichten WHERE nr = $number")
            db.execute("UPDATE nachrichten SET zustand = 'weg' WHERE nr = $number")

    def picked(rng: random.Random) -> None:
        list(db.select("SELECT name, wert FROM schluessel"))
        for i in rng.sample(range(1, 300), rng.randint(5, 9)):
            db.select(f"SELECT name FROM patienten WHERE nr = {i}")

    def three(rng: random.Random) -> None:
        for _ in range(3):
            db.select(f"SELECT name FROM patienten WHERE nr = {rng.randint(1, 300)}")
        Station.get(nr=rng.randint(1, 40))

    def save(rng: random.Random) -> None:
        list(Station.select().limit(rng.randint(5, 12)))
        for _ in range(rng.randint(5, 9)):
            Nachricht(zustand="alt", text="y")
            flush()
        commit()

    def again(rng: random.Random) -> None:
        for _ in list(Station.select().limit(rng.randint(5, 9))):
            db.select("SELECT wert FROM schluessel WHERE name = 'k1'")

    return {
        "doctors": (6, doctors), "stations": (6, stations), "nested": (6, nested), "raw": (6, raw), "user_first": (6, user_first),
        "existing": (6, existing), "solved": (4, solved), "keys": (5, keys), "states": (5, states), "insurers": (4, insurers),
        "export": (4, export), "poll": (4, poll), "worker": (4, worker), "picked": (5, picked), "three": (4, three),
        "save": (4, save), "again": (4, again),
    }  # fmt: skip


def main() -> None:
    with servers.mariadb() as server:
        db.bind(provider="mysql", host="127.0.0.1", port=server.port, user="root", passwd="", db="shop")
        db.generate_mapping(create_tables=True)
        fill()
        db.disconnect()
        written = {p: p.stat().st_size for p in server.logs("general")}
        truth = Truth()

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            with db_session:
                calls = work()
                return calls, db.get_connection().thread_id(), None

        requests(pages(), 400, truth, around, threads=3)
        log = b"".join(p.read_bytes()[written[p] :] for p in server.logs("general"))
    keep("clinic", log, "general.log", truth)


if __name__ == "__main__":
    main()
