# ruff: noqa: E501 (statements as they are sent)
"""Corpus "parts": plain SQL by psycopg on PostgreSQL, csvlog, autocommit; a pool resets the session after each request.

``python tests/corpora/parts_psycopg.py``
"""

from __future__ import annotations

import queue
import random
from typing import Any

import psycopg
import servers
from recording import Truth, keep, requests

SCHEMA = """
CREATE TABLE supplier (supplier_no int PRIMARY KEY, name text, region text);
CREATE TABLE part (part_no int PRIMARY KEY, supplier_no int, name text, price numeric);
CREATE TABLE stock (warehouse int, part_no int, amount int, PRIMARY KEY (warehouse, part_no));
CREATE TABLE price_history (id serial PRIMARY KEY, part_no int, valid_from date, price numeric);
CREATE TABLE parameter (code text PRIMARY KEY, value text);
CREATE TABLE message (id serial PRIMARY KEY, state text, body text);
CREATE TABLE "OrderHead" ("OrderId" int PRIMARY KEY, "CustomerRef" int, "Placed" date);
CREATE TABLE "OrderLine" ("OrderId" int, "LineNo" int, "PartNo" int, PRIMARY KEY ("OrderId", "LineNo"));
INSERT INTO supplier SELECT i, 's' || i, 'r' || i % 6 FROM generate_series(1, 80) i;
INSERT INTO part SELECT i, 1 + i % 80, 'p' || i, i FROM generate_series(1, 900) i;
INSERT INTO stock SELECT w, p, 5 FROM generate_series(1, 4) w, generate_series(1, 900) p;
INSERT INTO price_history (part_no, valid_from, price) SELECT 1 + i % 900, date '2026-01-01' + i % 200, i FROM generate_series(1, 4000) i;
INSERT INTO parameter SELECT 'k' || i, 'v' FROM generate_series(1, 12) i;
INSERT INTO message (state, body) SELECT 'new', '' FROM generate_series(1, 3000) i;
INSERT INTO "OrderHead" SELECT i, i % 30, date '2026-02-01' FROM generate_series(1, 200) i;
INSERT INTO "OrderLine" SELECT o, l, 1 + (o * 7 + l) % 900 FROM generate_series(1, 200) o, generate_series(1, 6) l;
"""


def pages(run: Any) -> dict[str, Any]:
    def suppliers(rng: random.Random) -> dict[str, int]:
        found = run(
            "SELECT supplier_no, name FROM supplier WHERE region = %s LIMIT %s",
            f"r{rng.randint(0, 5)}",
            rng.choice([4, 6, 9, 13]),
        )
        for no, _ in found:
            run("SELECT part_no, name, price FROM part WHERE supplier_no = %s", no)
        return {"part": len(found)}

    def availability(rng: random.Random) -> dict[str, int]:
        """Composite key."""
        house = rng.randint(1, 4)
        found = run(
            "SELECT part_no FROM part WHERE price > %s ORDER BY price LIMIT %s",
            rng.randint(1, 800),
            rng.choice([3, 5, 8, 12]),
        )
        for (no,) in found:
            run("SELECT amount FROM stock WHERE warehouse = %s AND part_no = %s", house, no)
        return {"stock": len(found)}

    def prices(rng: random.Random) -> dict[str, int]:
        """A range beside the key; literals in the text."""
        found = run(f"SELECT part_no, name FROM part WHERE supplier_no = {rng.randint(1, 80)}")
        for no, _ in found:
            run(
                f"SELECT price FROM price_history WHERE valid_from <= DATE '2026-04-01' AND part_no = {no} ORDER BY valid_from DESC LIMIT 1"
            )
        return {"price_history": len(found)}

    def orders(rng: random.Random) -> dict[str, int]:
        """Nested and interleaved, with quoted names."""
        n = rng.choice([2, 3, 5, 7])
        heads = run(
            'SELECT "OrderId", "CustomerRef" FROM "OrderHead" WHERE "OrderId" > %s ORDER BY 1 LIMIT %s',
            rng.randint(1, 150),
            n,
        )
        lines = []
        for order, _ in heads:
            own = run('SELECT "LineNo", "PartNo" FROM "OrderLine" WHERE "OrderId" = %s', order)
            for _, no in own:
                run("SELECT name FROM part WHERE part_no = %s", no)
                run("SELECT sum(amount) FROM stock WHERE %s = part_no", no)
            lines += own
        return {"order_line": len(heads), "part": len(lines), "stock": len(lines)}

    def late(rng: random.Random) -> dict[str, int]:
        """Other statements between the list and its loop."""
        found = run(
            "SELECT s.supplier_no AS no FROM supplier AS s WHERE s.region = %s LIMIT %s",
            f"r{rng.randint(0, 5)}",
            rng.choice([3, 5, 8]),
        )
        run("SELECT value FROM parameter WHERE code = %s", "k1")
        run("SELECT count(*) FROM message WHERE state = %s", "new")
        run("SELECT max(price) FROM part")
        for (no,) in found:
            run("SELECT count(*), avg(price) FROM part WHERE supplier_no = %s", no)
        return {"part": len(found)}

    def joined(rng: random.Random) -> None:
        run("SELECT p.part_no, s.name FROM part p JOIN supplier s USING (supplier_no) LIMIT %s", rng.randint(5, 20))

    def batched(rng: random.Random) -> None:
        found = run("SELECT supplier_no FROM supplier LIMIT %s", rng.randint(5, 20))
        run("SELECT part_no FROM part WHERE supplier_no = ANY(%s)", [n for (n,) in found])

    def chunks(rng: random.Random) -> None:
        """Batches of ten: more than one query, but none for each row."""
        found = [n for (n,) in run("SELECT part_no FROM part ORDER BY part_no LIMIT %s", rng.choice([60, 80, 100]))]
        for i in range(0, len(found), 10):
            run("SELECT part_no, sum(amount) FROM stock WHERE part_no = ANY(%s) GROUP BY 1", found[i : i + 10])

    def configured(rng: random.Random) -> None:
        run("SELECT supplier_no, name FROM supplier LIMIT %s", rng.choice([5, 8, 12, 20]))
        for i in range(1, 9):
            run("SELECT value FROM parameter WHERE code = %s", f"k{i}")

    def states(rng: random.Random) -> None:
        run("SELECT supplier_no, name FROM supplier LIMIT %s", rng.choice([3, 8, 12, 20]))
        for state in ("new", "sent", "failed", "held", "dead"):
            run("SELECT count(*) FROM message WHERE state = %s", state)

    def regions(rng: random.Random) -> None:
        run("SELECT part_no FROM part LIMIT %s", rng.choice([3, 6, 10]))
        for i in range(6):
            run("SELECT count(*) FROM supplier WHERE region = %s", f"r{i}")

    def export(rng: random.Random) -> None:
        run("SELECT supplier_no FROM supplier")
        last = 0
        for _ in range(rng.randint(4, 12)):
            found = run("SELECT part_no FROM part WHERE price > %s AND part_no > %s ORDER BY part_no LIMIT 10", 3, last)
            if not found:
                break
            last = found[-1][0]

    def poll(rng: random.Random) -> None:
        message = rng.randint(1, 3000)
        for _ in range(rng.randint(4, 12)):
            run("SELECT state FROM message WHERE id = %s", message)

    def retry(rng: random.Random) -> None:
        run("SELECT name FROM supplier WHERE supplier_no = %s", 5)
        run("BEGIN")
        for _ in range(rng.randint(5, 9)):
            run("SAVEPOINT s")
            run(
                "UPDATE stock SET amount = amount - 1 WHERE warehouse = %s AND part_no = %s",
                rng.randint(1, 4),
                rng.randint(1, 900),
            )
            run("ROLLBACK TO SAVEPOINT s")
            run(
                "SELECT amount FROM stock WHERE warehouse = %s AND part_no = %s", rng.randint(1, 4), rng.randint(1, 900)
            )
        run("COMMIT")

    def worker(rng: random.Random) -> None:
        for _ in range(rng.randint(5, 10)):
            ((i,),) = run("SELECT id FROM message WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
            run("SELECT body FROM message WHERE id = %s", i)
            run("UPDATE message SET state = 'sent' WHERE id = %s", i)

    def three(rng: random.Random) -> None:
        run("SELECT name FROM supplier WHERE supplier_no = %s", rng.randint(1, 80))
        for _ in range(3):
            run("SELECT name FROM part WHERE part_no = %s", rng.randint(1, 900))

    def basket(rng: random.Random) -> None:
        run("SELECT code, value FROM parameter")
        for i in rng.sample(range(1, 900), rng.randint(5, 9)):
            run("SELECT part_no, name, price FROM part WHERE part_no = %s", i)

    def load(rng: random.Random) -> None:
        run("SELECT supplier_no FROM supplier LIMIT %s", rng.randint(3, 15))
        for i in range(rng.randint(5, 12)):
            run("INSERT INTO message (state, body) VALUES (%s, %s)", "old", str(i))

    return {
        "suppliers": (6, suppliers), "availability": (6, availability), "prices": (6, prices), "orders": (6, orders),
        "late": (5, late), "joined": (4, joined), "batched": (4, batched), "chunks": (4, chunks), "configured": (5, configured),
        "states": (5, states), "regions": (4, regions), "export": (4, export), "poll": (4, poll), "retry": (4, retry),
        "worker": (4, worker), "three": (4, three), "basket": (4, basket), "load": (4, load),
    }  # fmt: skip


def main() -> None:
    import threading

    with servers.postgresql(log_destination="csvlog") as server:
        address = f"host=127.0.0.1 port={server.port} user=postgres dbname=shop"
        with psycopg.connect(address, autocommit=True) as setup:
            setup.execute(SCHEMA)
        written = {p: p.stat().st_size for p in server.logs("csv")}
        pool: queue.Queue[Any] = queue.Queue()
        for _ in range(3):
            pool.put(psycopg.connect(address, autocommit=True, prepare_threshold=None))
        here = threading.local()
        truth = Truth()

        def run(sql: str, *values: Any) -> list[Any]:
            cursor = here.connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            here.connection = connection = pool.get()
            try:
                return work(), connection.info.backend_pid, None
            finally:
                connection.execute("DISCARD ALL")
                pool.put(connection)

        requests(pages(run), 420, truth, around, threads=3)
        while not pool.empty():
            pool.get().close()
        log = b"".join(p.read_bytes()[written.get(p, 0) :] for p in server.logs("csv"))
    keep("parts", log, "csv", truth)


if __name__ == "__main__":
    main()
