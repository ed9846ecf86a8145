"""Corpus "orchestra": pyDAL, values written into the statements, three threads with a connection for each request. Held out.

On MariaDB a transaction for each request; on PostgreSQL autocommit, one request after the other on a pooled connection. Each
statement ends in a comment with its request's id, which the truth is found by.

``pip install pydal psycopg2-binary pymysql``, then ``python tests/corpora/orchestra_pydal.py``
"""

from __future__ import annotations

import datetime as dt
import random
import tempfile
import threading
import zlib
from typing import Any

import servers
from pydal import DAL, Field
from recording import Truth, keep, requests

REQUESTS = 300
SIZES = (5, 8, 12, 20, 30)
SECTIONS = ("strings", "woodwind", "brass", "percussion", "keys", "voices")
STATES = ("asked", "offered", "signed", "played", "paid", "void")
START = dt.datetime(2026, 3, 1)
now = threading.local()


def open_database(uri: str, autocommit: bool) -> DAL:
    def connected(adapter: Any) -> None:
        if autocommit:
            adapter.connection.autocommit = True

    db = DAL(uri, pool_size=3, migrate=True, folder=tempfile.mkdtemp(prefix="perflab-dal-"), after_connection=connected)
    send = type(db._adapter).execute

    def commented(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        request = getattr(now, "request", None)
        text = sql.rstrip().rstrip(";")
        return send(self, f"{text} /*request_id='{request}'*/;" if request else sql, *args, **kwargs)

    type(db._adapter).execute = commented
    return db


def define(db: DAL) -> None:
    table = db.define_table
    table("visitor", Field("token", length=40), Field("musician_id", "integer"))
    table("preference", Field("code", length=40), Field("content", length=80))
    table("hall", Field("title", length=40), Field("seats", "integer"))
    table("composer", Field("title", length=40), Field("born", "integer"))
    table("piece", Field("composer", "reference composer"), Field("title", length=60), Field("minutes", "integer"))
    table("movement", Field("piece", "reference piece"), Field("number", "integer"), Field("title", length=60))
    table("ensemble", Field("title", length=40), Field("home", "reference hall"), Field("parent", "reference ensemble"))
    table("musician", Field("ensemble", "reference ensemble"), Field("section", length=20), Field("title", length=40),
          Field("teacher", "reference musician"))  # fmt: skip
    table("instrument", Field("title", length=40))
    table("plays", Field("musician", "reference musician"), Field("instrument", "reference instrument"))
    table("concert", Field("ensemble", "reference ensemble"), Field("hall", "reference hall"), Field("begins", "datetime"),
          Field("ends", "datetime"), Field("state", length=12))  # fmt: skip
    table(
        "programme", Field("concert", "reference concert"), Field("piece", "reference piece"), Field("place", "integer")
    )
    table(
        "rehearsal", Field("concert", "reference concert"), Field("hall", "reference hall"), Field("begins", "datetime")
    )
    table("attendance", Field("rehearsal", "reference rehearsal"), Field("musician", "reference musician"),
          Field("came", "boolean"))  # fmt: skip
    table("fee", Field("ensemble", "reference ensemble"), Field("section", length=20), Field("cents", "integer"))
    table("booking", Field("hall", "reference hall"), Field("begins", "datetime"), Field("guest", length=40))
    table(
        "review",
        Field("concert", "reference concert"),
        Field("critic", "reference musician"),
        Field("stars", "integer"),
    )
    table("task", Field("state", length=12), Field("concert", "reference concert"), Field("tries", "integer"))


def fill(db: DAL) -> None:
    draw = random.Random(90210)

    def some(last: int) -> int:
        return draw.randint(1, last)

    def many(name: str, count: int, row: Any) -> None:
        rows = [row(i) for i in range(count)]
        columns = list(rows[0])
        for first in range(0, count, 400):
            values = ", ".join(
                "(" + ", ".join("NULL" if v is None else f"'{v}'" for v in one.values()) + ")"
                for one in rows[first : first + 400]
            )
            db.executesql(f"INSERT INTO {name} ({', '.join(columns)}) VALUES {values}")

    def hours(last: int) -> dt.datetime:
        return START + dt.timedelta(hours=some(last))

    def concert(i: int) -> dict[str, Any]:
        begins = hours(1000)
        return {"ensemble": some(40), "hall": some(15), "begins": begins, "ends": begins + dt.timedelta(hours=some(4)),
                "state": draw.choice(STATES)}  # fmt: skip

    many("visitor", 60, lambda i: {"token": f"tok{i}", "musician_id": some(300)})
    many("preference", 30, lambda i: {"code": f"k{i}", "content": f"v{i}"})
    many("hall", 15, lambda i: {"title": f"Hall {i}", "seats": some(2000)})
    many("composer", 60, lambda i: {"title": f"Composer {i}", "born": 1600 + some(400)})
    many("piece", 500, lambda i: {"composer": some(60), "title": f"Opus {i}", "minutes": some(60)})
    many("movement", 1500, lambda i: {"piece": some(500), "number": some(5), "title": "Allegro"})
    many("ensemble", 40, lambda i: {"title": f"Band {i}", "home": some(15), "parent": some(i) if i > 3 else None})
    many("musician", 300, lambda i: {"ensemble": some(40), "section": draw.choice(SECTIONS), "title": f"Player {i}",
                                     "teacher": some(i) if i > 5 else None})  # fmt: skip
    many("instrument", 25, lambda i: {"title": f"Instrument {i}"})
    many("plays", 700, lambda i: {"musician": some(300), "instrument": some(25)})
    many("concert", 700, concert)
    many("programme", 2500, lambda i: {"concert": some(700), "piece": some(500), "place": some(6)})
    many("rehearsal", 1800, lambda i: {"concert": some(700), "hall": some(15), "begins": hours(1000)})
    many("attendance", 6000, lambda i: {"rehearsal": some(1800), "musician": some(300), "came": draw.choice("TF")})
    many("fee", 240, lambda i: {"ensemble": 1 + i % 40, "section": SECTIONS[i // 40], "cents": some(9000)})
    many("booking", 2500, lambda i: {"hall": some(15), "begins": hours(1000), "guest": "society"})
    many("review", 2200, lambda i: {"concert": some(700), "critic": some(300), "stars": some(5)})
    many("task", 300, lambda i: {"state": "open", "concert": some(700), "tries": 0})
    db.commit()


def some_concerts(db: DAL, r: random.Random, n: int) -> Any:
    first = r.randint(0, 500)
    return db(db.concert.state != "void").select(orderby=db.concert.begins | db.concert.id, limitby=(first, first + n))


def some_pieces(db: DAL, r: random.Random, n: int) -> Any:
    return db(db.piece.minutes > r.randint(1, 20)).select(orderby=db.piece.title, limitby=(0, n))


def positives(db: DAL) -> dict[str, Any]:
    """Pages that ask once for each row of something: the table, and how often."""

    def movements(r: random.Random, n: int) -> dict[str, int]:
        rows = some_pieces(db, r, n)
        for one in rows:
            one.movement.select(orderby=db.movement.number)
        return {"movement": len(rows)}

    def composers(r: random.Random, n: int) -> dict[str, int]:
        rows = some_pieces(db, r, n)
        names = [one.composer.title for one in rows]
        return {"composer": len(names)}

    def season(r: random.Random, n: int) -> dict[str, int]:
        rows, pieces = some_concerts(db, r, max(3, n // 3)), 0
        for one in rows:
            for entry in one.programme.select(orderby=db.programme.place):
                assert entry.piece.title
                pieces += 1
        return {"programme": len(rows), "piece": pieces}

    def tickets(r: random.Random, n: int) -> dict[str, int]:
        rows = some_concerts(db, r, n)
        for one in rows:
            db(db.rehearsal.concert == one.id).count()
        return {"rehearsal": len(rows)}

    def line_up(r: random.Random, n: int) -> dict[str, int]:
        rows = db(db.musician.ensemble == r.randint(1, 40)).select(limitby=(0, n))
        for one in rows:
            db((db.plays.musician == one.id) & (db.plays.instrument == db.instrument.id)).select(db.instrument.ALL)
        return {"instrument": len(rows)}

    def fees(r: random.Random, n: int) -> dict[str, int]:
        rows = db(db.musician.id > r.randint(1, 250)).select(orderby=db.musician.id, limitby=(0, n))
        for one in rows:
            db.fee(ensemble=one.ensemble, section=one.section)
        return {"fee": len(rows)}

    def stars(r: random.Random, n: int) -> dict[str, int]:
        rows = some_concerts(db, r, n)
        for one in rows:
            db(db.review.concert == one.id).select(db.review.stars.avg())
        return {"review": len(rows)}

    def attended(r: random.Random, n: int) -> dict[str, int]:
        me = db.musician(r.randint(1, 300))
        rows = db(db.rehearsal.begins > START + dt.timedelta(hours=r.randint(1, 800))).select(limitby=(0, n))
        for one in rows:
            db((db.attendance.musician == me.id) & (db.attendance.rehearsal == one.id)).isempty()
        return {"attendance": len(rows)}

    def clashes(r: random.Random, n: int) -> dict[str, int]:
        rows = some_concerts(db, r, n)
        for one in rows:
            b = db.booking
            db((b.hall == one.hall) & (b.begins >= one.begins) & (b.begins < one.ends)).select()
        return {"booking": len(rows)}

    def teachers(r: random.Random, n: int) -> dict[str, int]:
        rows = db(db.musician.section == r.choice(SECTIONS)).select(orderby=db.musician.title, limitby=(0, n))
        names = [one.teacher.title for one in rows if one.teacher]
        return {"musician": len(names)}

    def halls(r: random.Random, n: int) -> dict[str, int]:
        rows = some_concerts(db, r, n)
        db(db.preference.code == "k4").select().first()
        for one in rows:
            db.executesql("SELECT h.title, h.seats FROM hall h WHERE h.id = %s", placeholders=(int(one.hall),))
        return {"hall": len(rows)}

    def ensembles(r: random.Random, n: int) -> dict[str, int]:
        first = r.randint(0, 15)
        rows = db(db.ensemble).select(orderby=db.ensemble.title, limitby=(first, first + n))
        for one in rows:
            one.musician.count()
            db(db.concert.ensemble == one.id).select(orderby=~db.concert.begins, limitby=(0, 1)).first()
        return {"musician": len(rows), "concert": len(rows)}

    def branches(r: random.Random, n: int) -> dict[str, int]:
        rows = db(db.ensemble.parent == None).select() | db(db.ensemble.id <= n).select()  # noqa: E711 - SQL
        for one in rows:
            db(db.ensemble.parent == one.id).select(db.ensemble.title)
        return {"ensemble": len(rows)}

    def critics(r: random.Random, n: int) -> dict[str, int]:
        rows = [one for one in db(db.review.stars == r.randint(1, 5)).select(limitby=(0, n)) if one.id % 7]
        for one in rows:
            db.musician(one.critic)
        return {"musician": len(rows)}

    return {k: v for k, v in locals().items() if callable(v) and v is not db}


def negatives(db: DAL) -> dict[str, Any]:
    """Pages that ask often without asking for rows one by one."""

    def joined(r: random.Random, n: int) -> None:
        db((db.piece.composer == db.composer.id) & (db.piece.minutes < 40)).select(limitby=(0, n))
        db(db.piece).count()

    def batched(r: random.Random, n: int) -> None:
        rows = some_concerts(db, r, n)
        entries = db(db.programme.concert.belongs([one.id for one in rows])).select()
        db(db.piece.id.belongs({entry.piece for entry in entries})).select()

    def chunks(r: random.Random, n: int) -> None:
        ids = [one.id for one in some_concerts(db, r, 5 * n)]
        for first in range(0, len(ids), 10):
            db(db.review.concert.belongs(ids[first : first + 10])).select()

    def preferences(r: random.Random, n: int) -> None:
        some_pieces(db, r, n)
        for number in (1, 2, 3, 5, 8, 13, 21):
            db(db.preference.code == f"k{number}").select().first()

    def states(r: random.Random, n: int) -> None:
        some_concerts(db, r, n)
        for state in STATES:
            db(db.concert.state == state).count()

    def sections(r: random.Random, n: int) -> None:
        db(db.instrument).select(orderby=db.instrument.title)
        for section in SECTIONS:
            db(db.musician.section == section).select(limitby=(0, 4))

    def export(r: random.Random, n: int) -> None:
        last = r.randint(1, 1500)
        for _ in range(r.randint(4, 9)):
            page = db(db.programme.id > last).select(orderby=db.programme.id, limitby=(0, 20))
            if not page:
                break
            last = page.last().id

    def wait(r: random.Random, n: int) -> None:
        task = r.randint(1, 300)
        for _ in range(r.randint(5, 10)):
            db.task(task)

    def worker(r: random.Random, n: int) -> None:
        for _ in range(r.randint(5, 8)):
            task = db(db.task.state == "open").select(orderby=db.task.id, limitby=(0, 1)).first()
            if not task:
                break
            db.concert(task.concert)
            db(db.task.id == task.id).update(state="done")

    def posted(r: random.Random, n: int) -> None:
        db(db.hall).select(orderby=db.hall.title)  # the ids come from the client
        for _ in range(n):
            db.piece(r.randint(1, 500))

    def same(r: random.Random, n: int) -> None:
        for _ in some_pieces(db, r, n):
            db(db.preference.code == "k7").select().first()

    def three(r: random.Random, n: int) -> None:
        for one in some_concerts(db, r, 3):
            one.programme.select()

    def inserts(r: random.Random, n: int) -> None:
        for _ in range(n):
            db.review.insert(concert=r.randint(1, 700), critic=r.randint(1, 300), stars=3)

    def unique(r: random.Random, n: int) -> None:
        for _ in range(n):
            title = f"New {r.randint(1, 10**9)}"
            if db(db.composer.title == title).isempty():
                db.composer.insert(title=title, born=1900)

    def touch(r: random.Random, n: int) -> None:
        for one in db(db.task.state == "open").select(limitby=(0, n), orderby=~db.task.id):
            db(db.task.id == one.id).update(tries=r.randint(1, 9))

    def calendar(r: random.Random, n: int) -> None:
        day = START + dt.timedelta(days=r.randint(0, 40))
        db(db.hall).select(limitby=(0, 5))
        for hour in range(24):
            first = day + dt.timedelta(hours=hour)
            c = db.concert.begins
            db((c >= first) & (c <= first + dt.timedelta(minutes=59))).count()

    def profile(r: random.Random, n: int) -> None:
        one = db.musician(r.randint(1, 300))
        assert one.ensemble.title
        one.plays.select()
        db(db.review.critic == one.id).select(limitby=(0, 5))

    return {k: v for k, v in locals().items() if callable(v) and v is not db}


def served(uri: str, server: servers.Server, autocommit: bool, seed: int, ending: str) -> tuple[bytes, Truth]:
    db = open_database(uri, autocommit)
    define(db)
    fill(db)
    db._adapter.close()
    written = {p: p.stat().st_size for p in server.logs(ending)}
    truth, count = Truth(), iter(range(10 * REQUESTS))
    public = {"sections", "worker", "wait", "critics"}

    def around(route: str, work: Any) -> tuple[Any, object, str]:
        unit = f"{seed}-{next(count)}"
        now.request = unit
        db._adapter.reconnect()
        try:
            if route not in public:
                visitor = db(db.visitor.token == f"tok{zlib.crc32(unit.encode()) % 60}").select().first()
                db.musician(visitor.musician_id)
            calls = work()
            if not autocommit:
                db.commit()
            return calls, "", unit
        finally:
            now.request = None
            db._adapter.close()

    pages = {
        name: (1, lambda r, page=page: page(r, r.choice(SIZES)))
        for name, page in (positives(db) | negatives(db)).items()
    }
    requests(pages, REQUESTS, truth, around, threads=3, seed=seed, pause=0.004)
    for line in truth.lines:
        line["request"], line["unit"] = line["unit"], None
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs(ending)), truth


def main() -> None:
    with servers.mariadb() as server:
        log, truth = served(f"mysql://root:@127.0.0.1:{server.port}/shop", server, False, 21, "slow")
    keep("orchestra", log, "slow.log", truth)
    with servers.postgresql() as server:
        log, truth = served(f"postgres:psycopg2://postgres:@127.0.0.1:{server.port}/shop", server, True, 22, "csv")
    keep("orchestra_autocommit", log, "csv", truth)


if __name__ == "__main__":
    main()
