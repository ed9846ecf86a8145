# ruff: noqa: E501 (statements as they are sent)
"""Corpus "museum": handwritten SQL by psycopg on PostgreSQL, stderr log, a transaction for each request, who asks looked up first.

Lists of one value for each row, an open range from the parent's row, a calendar, and ids from the client after an unrelated list are
in it. ``python tests/corpora/museum_psycopg.py``
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
import servers
from recording import Truth, keep, requests

SCHEMA = """
create table wings(wing_id int primary key, label text);
create table rooms(room_no int primary key, title text, floor int, wing_id int, climate_control bool);
create table persons(person_id int primary key, full_name text, born int, mentor int);
create table exhibits(exhibit_id int primary key, caption text, room_no int, maker int, removed date);
create table loans(loan_id int primary key, borrower int, exhibit_id int, year int);
create table keywords(keyword_id int primary key, word text);
create table exhibit_keywords(exhibit_id int, keyword_id int);
create table readings(reading_id serial primary key, room_no int, taken int, humidity int, temperature int);
create table sales(sale_id int primary key, ticket_kind text, sold_on int, day_no int, printed bool);
create table price_list(kind text, valid_from int, cents int);
create table settings(name text primary key, val text);
create table insurance(loan_id int, sum int);
create table staff(staff_id int primary key, login text, room_no int);
insert into wings select i,'w' from generate_series(1,6) i;
insert into rooms select i,'r'||i%17,i%4,1+i%6,i%2=0 from generate_series(1,60) i;
insert into persons select i,'n'||(i*7)%100,1700+i,1+(i*13)%200 from generate_series(1,200) i;
insert into exhibits select i,'c',1+i%60,1+(i*31)%200,null from generate_series(1,900) i;
insert into loans select i,1+i%100,1+(i*7)%900,2000+i%11 from generate_series(1,400) i;
insert into keywords select i,'k'||i from generate_series(1,40) i;
insert into exhibit_keywords select 1+i%900,1+i%40 from generate_series(1,3000) i;
insert into readings(room_no,taken,humidity,temperature) select 1+i%60,i%300,i%50,20 from generate_series(1,3000) i;
insert into sales select i,(array['a','b','c'])[1+i%3],(i*17)%365,i%50,false from generate_series(1,2000) i;
insert into price_list select k,v,v*3 from unnest(array['a','b','c']) k, generate_series(0,365,30) v;
insert into settings select unnest(array['logo','lang','tax','opening','closing','theme']),'x';
insert into insurance select i,1 from generate_series(1,400) i;
insert into staff select i,'s'||i,i from generate_series(1,20) i;
"""
Ask = Callable[..., list[tuple[Any, ...]]]


def rooms(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x(
        "SELECT r.room_no, r.title FROM rooms r WHERE r.floor = %s ORDER BY r.title LIMIT %s",
        (r.randint(0, 3), r.choice([5, 8, 12])),
    )
    for n, _ in a:
        x("SELECT e.exhibit_id, e.caption FROM exhibits e WHERE e.room_no = %s AND e.removed IS NULL", (n,))
    return {"exhibits": len(a)}


def makers(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x(
        "SELECT exhibit_id, maker FROM exhibits ORDER BY exhibit_id DESC OFFSET %s LIMIT %s",
        (r.randint(0, 300), r.choice([6, 9, 15])),
    )
    for _, m in a:
        x("SELECT full_name, born FROM persons WHERE person_id = %s", (m,))
    return {"persons": len(a)}


def loans(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x(
        "SELECT l.loan_id, l.borrower, l.exhibit_id FROM loans l JOIN persons p ON p.person_id = l.borrower WHERE l.year = %s LIMIT %s",
        (r.randint(2000, 2010), r.choice([5, 7, 11])),
    )
    for _, b, e in a:
        x("SELECT caption FROM exhibits WHERE exhibit_id = %s", (e,))
        x("SELECT count(*) FROM loans WHERE borrower = %s AND year < %s", (b, 2005))
    return {"exhibits": len(a), "loans": len(a)}


def keywords(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x("SELECT exhibit_id FROM exhibits WHERE room_no = %s LIMIT %s", (r.randint(1, 40), r.choice([5, 7, 9])))
    for (e,) in a:
        x(
            "SELECT k.word FROM keywords k INNER JOIN exhibit_keywords ek ON ek.keyword_id = k.keyword_id WHERE ek.exhibit_id = %s ORDER BY k.word",
            (e,),
        )
    return {"keywords": len(a)}


def climate(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x("SELECT room_no FROM rooms WHERE climate_control LIMIT %s", (r.choice([6, 10, 14]),))
    for (n,) in a:
        x(
            "SELECT avg(humidity), max(temperature) FROM readings WHERE room_no = %s AND taken BETWEEN %s AND %s",
            (n, 100, 200),
        )
    return {"readings": len(a)}


def tree(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x("SELECT wing_id FROM wings LIMIT %s", (r.choice([2, 3, 4]),))
    n = m = 0
    for (w,) in a:
        b = x("SELECT room_no FROM rooms WHERE wing_id = %s LIMIT 3", (w,))
        n += 1
        for (q,) in b:
            x("SELECT exhibit_id FROM exhibits WHERE room_no = %s LIMIT 5", (q,))
            m += 1
    return {"rooms": n, "exhibits": m}


def prices(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x("SELECT ticket_kind, sold_on FROM sales WHERE day_no = %s LIMIT %s", (r.randint(1, 50), r.choice([6, 8, 13])))
    for k, d in a:
        x("SELECT cents FROM price_list WHERE kind = %s AND valid_from <= %s ORDER BY valid_from DESC LIMIT 1", (k, d))
    return {"price_list": len(a)}


def inline(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x(f"select person_id from persons where born > {r.randint(1700, 1750)} limit {r.choice([5, 9, 14])}")
    for (i,) in a:
        x(f"select exists(select 1 from exhibits where maker = {i})")
    return {"exhibits": len(a)}


def any_one(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x("SELECT loan_id FROM loans WHERE year = %s LIMIT %s", (r.randint(2000, 2010), r.choice([5, 8, 10])))
    for (i,) in a:
        x("SELECT * FROM insurance WHERE loan_id = ANY(%s)", ([i],))
    return {"insurance": len(a)}


def parents_own(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = x("SELECT person_id, mentor FROM persons ORDER BY full_name LIMIT %s", (r.choice([5, 8, 10]),))
    for _, m in a:
        x("SELECT full_name FROM persons WHERE person_id = %s", (m,))
    return {"persons": len(a)}


def joined(x: Ask, r: random.Random) -> dict[str, int] | None:
    x("SELECT * FROM exhibits e JOIN persons p ON p.person_id = e.maker WHERE e.room_no = %s", (r.randint(1, 40),))


def batch(x: Ask, r: random.Random) -> dict[str, int] | None:
    a = [i for (i,) in x("SELECT exhibit_id FROM exhibits LIMIT %s", (r.choice([60, 80]),))]
    for s in range(0, len(a), 10):
        x("SELECT * FROM insurance WHERE loan_id = ANY(%s)", (a[s : s + 10],))


def settings(x: Ask, r: random.Random) -> dict[str, int] | None:
    x("SELECT * FROM wings LIMIT %s", (r.randint(2, 6),))
    for k in ("logo", "lang", "tax", "opening", "closing", "theme"):
        x("SELECT val FROM settings WHERE name = %s", (k,))


def floors(x: Ask, r: random.Random) -> dict[str, int] | None:
    x("SELECT room_no FROM rooms LIMIT %s", (r.choice([4, 9, 15]),))
    for f in range(5):
        x("SELECT count(*) FROM rooms WHERE floor = %s", (f,))


def export(x: Ask, r: random.Random) -> dict[str, int] | None:
    last = 0
    for _ in range(r.randint(5, 9)):
        a = x("SELECT reading_id, humidity FROM readings WHERE reading_id > %s ORDER BY reading_id LIMIT 50", (last,))
        last = a[-1][0]


def export_room(x: Ask, r: random.Random) -> dict[str, int] | None:
    last = 0
    n = r.randint(1, 40)
    x("SELECT title FROM rooms WHERE room_no = %s", (n,))
    for _ in range(r.randint(5, 9)):
        a = x(
            "SELECT reading_id FROM readings WHERE room_no = %s AND reading_id > %s ORDER BY reading_id LIMIT 4",
            (n, last),
        )
        last = a[-1][0] if a else last + 1


def watch(x: Ask, r: random.Random) -> dict[str, int] | None:
    i = r.randint(1, 300)
    for _ in range(r.randint(5, 9)):
        x("SELECT year FROM loans WHERE loan_id = %s", (i,))


def basket(x: Ask, r: random.Random) -> dict[str, int] | None:
    x("SELECT kind, valid_from FROM price_list LIMIT %s", (r.randint(3, 12),))
    for i in r.sample(range(1, 400), r.randint(5, 9)):
        x("SELECT caption FROM exhibits WHERE exhibit_id = %s", (i,))


def years(x: Ask, r: random.Random) -> dict[str, int] | None:
    b = r.randint(1, 100)
    x("SELECT full_name FROM persons WHERE person_id = %s", (b,))
    for y in range(2000, 2000 + r.choice([5, 8, 11])):
        x("SELECT count(*) FROM loans WHERE borrower = %s AND year = %s", (b, y))


def printing(x: Ask, r: random.Random) -> dict[str, int] | None:
    for _ in range(r.randint(5, 8)):
        a = x("SELECT sale_id FROM sales WHERE NOT printed ORDER BY sale_id LIMIT 1 FOR UPDATE SKIP LOCKED", ())
        if not a:
            break
        x("UPDATE sales SET printed = true WHERE sale_id = %s RETURNING 1", (a[0][0],))


def bulk(x: Ask, r: random.Random) -> dict[str, int] | None:
    x("SELECT room_no FROM rooms LIMIT %s", (r.randint(5, 12),))
    for i in range(r.randint(5, 9)):
        x(
            "INSERT INTO readings (room_no, taken, humidity, temperature) VALUES (%s,%s,%s,%s) RETURNING 1",
            (i + 1, 999, 1, 1),
        )


PAGES = (
    rooms,
    makers,
    loans,
    keywords,
    climate,
    tree,
    prices,
    inline,
    any_one,
    parents_own,
    joined,
    batch,
    settings,
    floors,
    export,
    export_room,
    watch,
    basket,
    years,
    printing,
    bulk,
)


def record() -> None:
    with servers.postgresql(log_destination="stderr") as server:
        address = f"host=127.0.0.1 port={server.port} user=postgres dbname=shop"
        with psycopg.connect(address) as connection:
            connection.execute(SCHEMA)
        time.sleep(0.5)
        written = {p: p.stat().st_size for p in server.logs("log")}
        pool: queue.Queue[psycopg.Connection] = queue.Queue()
        for _ in range(3):
            connection = psycopg.connect(address)
            connection.prepare_threshold = 3
            pool.put(connection)

        def around(route: str, work: Callable[[Ask], Any]) -> tuple[Any, object, None]:
            connection = pool.get()
            try:
                with connection.transaction():
                    return (
                        work(lambda sql, values=(): connection.execute(sql, values or None).fetchall()),
                        connection.info.backend_pid,
                        None,
                    )
            finally:
                pool.put(connection)

        def page(work: Callable[..., Any]) -> Callable[[random.Random], Callable[[Ask], Any]]:
            def run(rng: random.Random) -> Callable[[Ask], Any]:
                def asked(ask: Ask) -> Any:
                    ask("SELECT staff_id, room_no FROM staff WHERE login = %s", (f"s{rng.randint(1, 20)}",))
                    return work(ask, rng)

                return asked

            return run

        truth = Truth()
        pages = {work.__name__: (1, page(work)) for work in PAGES}
        requests(pages, 300, truth, lambda route, work: around(route, work()), threads=3)
        while not pool.empty():
            pool.get().close()
        time.sleep(0.5)
        log = b"".join(p.read_bytes()[written.get(p, 0) :] for p in server.logs("log"))
    keep("museum", log, "stderr.log", truth)


if __name__ == "__main__":
    record()
