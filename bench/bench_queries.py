"""Query logs, from the file to the fingerprinted frame, beside pgBadger on the same file in the same run.

    python bench/bench_queries.py [--rounds 3]

A real PostgreSQL server writes stderr, csvlog and jsonlog of the same traffic (pgbench: simple, extended and prepared
statements, about 350,000 of them), a MariaDB server its slow log with explain verbosity; they are kept in bench/.cache.
Each measurement is a process of its own, so that its peak memory is its own. Needs PostgreSQL 15 or later with pgbench, and
pgBadger for the ratios; for the slow log MariaDB and pt-query-digest. Ratios are of processor time; what other programs
do at the same time does not change them much.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache" / "postgresql_350k"
ENDINGS = {"jsonlog": "json", "csvlog": "csv", "stderr": "log"}
SLOW_TIMES = 25
MARKERS = {"jsonlog": b'"message":"duration: ', "csvlog": b',"duration: ', "stderr": b"LOG:  duration: "}
PER_MODE = 3_250
"""Transactions of each of 3 protocol modes by each of 4 clients: 9 statements each."""

SCRIPT = """\\set author random(1, 5000)
\\set page random(1, 100)
BEGIN;
SELECT author.id, author.name, author.email, author.born, author.country FROM author WHERE author.id > :author ORDER BY author.id LIMIT 20;
SELECT book.id AS book_id, book.author_id AS book_author_id, book.title AS book_title, book.price AS book_price FROM book WHERE :author = book.author_id;
SELECT book.id AS book_id, book.author_id AS book_author_id, book.title AS book_title, book.price AS book_price FROM book WHERE (:author + 1) = book.author_id;
SELECT count(*) AS count_1 FROM (SELECT book.id FROM book WHERE book.price BETWEEN :page AND 1000 LIMIT 50) AS anon_1;
SELECT author.name FROM author WHERE author.country = 'c' || CAST(:page AS text) AND author.email LIKE 'mail%' LIMIT 3;
UPDATE book SET price = price + 1 WHERE id = :author;
INSERT INTO visit (author_id, page, agent) VALUES (:author, :page, 'Mozilla/5.0 (X11; Linux x86_64)');
COMMIT;
"""  # noqa: E501 - pgbench's own lines
SCHEMA = """
CREATE TABLE author AS SELECT i AS id, 'name ' || i AS name, 'mail' || i || '@example.org' AS email, DATE '1970-01-01' + i AS born,
    'c' || i % 100 AS country FROM generate_series(1, 5000) i;
ALTER TABLE author ADD PRIMARY KEY (id);
CREATE TABLE book AS SELECT i AS id, 1 + i % 5000 AS author_id, 'title ' || i AS title, i % 1000 AS price FROM generate_series(1, 20000) i;
ALTER TABLE book ADD PRIMARY KEY (id);
CREATE INDEX ON book (author_id);
CREATE TABLE visit (author_id int, page int, agent text);
"""  # noqa: E501


def make() -> None:
    """The three logs of one traffic, once."""
    if all((CACHE / f"pg.{ending}").exists() for ending in ENDINGS.values()):
        return
    sys.path.insert(0, str(HERE.parent / "tests" / "corpora"))
    import servers

    place = servers.postgresql_bin()
    if place is None or not (place / "pgbench").exists():
        sys.exit("install PostgreSQL 15 or later with pgbench (apt: postgresql)")
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "shop.sql"
        script.write_text(SCRIPT)
        with servers.postgresql() as server:
            at = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
            subprocess.run(["psql", *at, "-q", "-d", "shop", "-c", SCHEMA], check=True)
            for mode in ("simple", "extended", "prepared"):
                subprocess.run(
                    [place / "pgbench", *at, "-n", "-M", mode, "-c", "4", "-t", str(PER_MODE), "-f", script, "shop"],
                    check=True, stdout=subprocess.DEVNULL,
                )  # fmt: skip
        CACHE.mkdir(parents=True, exist_ok=True)
        for ending in ENDINGS.values():
            shutil.move(server.folder / "log" / f"pg.{ending}", CACHE / f"pg.{ending}")
    shutil.rmtree(server.folder, ignore_errors=True)


def make_slow() -> None:
    """A real slow log of 2,000 statements, repeated."""
    if (CACHE / "my.slow").exists():
        return
    sys.path.insert(0, str(HERE.parent / "tests" / "corpora"))
    import pymysql
    import servers

    with servers.mariadb(**{"log-slow-verbosity": "query_plan,innodb,explain"}) as server:
        with pymysql.connect(host="127.0.0.1", port=server.port, user="root", database="shop") as db, db.cursor() as at:
            at.execute("CREATE TABLE author (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT)")
            for number in range(1_000):
                at.execute("INSERT INTO author (name) VALUES (%s)", (f"it's; # {number}\n# Time: \\",))
                at.execute("SELECT id, name\nFROM author\nWHERE id = %s", (number,))
            db.commit()
        time.sleep(1)
        (path,) = server.logs("slow")
        head, mark, rest = path.read_text().partition("# Time:")
        (CACHE / "my.slow").write_text(head + (mark + rest) * SLOW_TIMES)
    shutil.rmtree(server.folder, ignore_errors=True)


def child(kind: str, path: Path) -> None:
    """In a process of its own: read, fingerprint; prints seconds, statements, fingerprints and peak memory as JSON."""
    import perflab as lab
    from perflab import formats
    from perflab.data.accounting import count_marker
    from perflab.queries.vectorised import fingerprint_codes

    began, worked = time.perf_counter(), time.process_time()
    queries = formats.named("mysql_slow" if kind == "slow" else f"postgresql_{kind}").read(path)["queries"]
    read = time.perf_counter() - began
    codes, prints = fingerprint_codes(queries["sql"], "mysql" if kind == "slow" else "postgresql")
    took = time.perf_counter() - began
    worked = time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counting = time.process_time()
    if kind in MARKERS:
        with path.open("rb", buffering=0) as file:
            count_marker(iter(lambda: file.read(1 << 18), b""), MARKERS[kind])
    counting = time.process_time() - counting
    whole = time.perf_counter()
    table = queries.assign(run="r")
    lab.summarize_queries(table)
    lab.find_n_plus_one(table)
    report = took + time.perf_counter() - whole
    found = {
        "seconds": took,
        "read": read,
        "statements": len(codes),
        "prints": len(prints),
        "peak_mb": peak,
        "cpu": worked,
        "accounting": counting / (worked - counting),
    }
    found |= {"report": report, "report_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    sys.stdout.write(json.dumps(found) + "\n")


def shortened(path: Path, megabytes: float) -> Path:
    """The beginning of a log, to the end of a record."""
    short = path.with_name(f"short_{path.name}")
    with path.open("rb") as whole, short.open("wb") as kept:
        data = whole.read(int(megabytes * 1e6))
        kept.write(data[: data.rfind(b"\n202") + 1 if path.suffix in (".csv", ".log") else data.rfind(b"\n") + 1])
    return short


def measured(kind: str, path: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--child", kind, path], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def pgbadger(kind: str, path: Path) -> tuple[float, float, int]:
    """Seconds (of the clock and of the processor) of pgBadger's JSON report on this log, and the statements it counted."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out.json"
        prefix = ["-p", "%m [%p] %q%u@%d "] if kind == "stderr" else []
        began, before = time.perf_counter(), sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        command = ["pgbadger", "-q", "-f", kind.replace("csvlog", "csv"), *prefix, "-x", "json", "-o", out, path]
        subprocess.run(
            [*command, "--pid-dir", name], check=True, env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        took = time.perf_counter() - began
        worked = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
        found = json.loads(out.read_text(errors="replace"))
        return took, worked, int(found["overall_stat"]["queries_number"])


def pt_query_digest(path: Path) -> tuple[float, int]:
    """Processor seconds of pt-query-digest on this log, and the statements it counted."""
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    command = ["pt-query-digest", "--no-version-check", "--output", "json", path]
    done = subprocess.run(command, check=True, capture_output=True)
    worked = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
    return worked, int(json.loads(done.stdout.decode(errors="replace"), strict=False)["global"]["query_count"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=(*ENDINGS, "slow"))
    parser.add_argument("--mb", type=float, help="only so much of each log")
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        return child(options.child[0], Path(options.child[1]))
    if options.kind != "slow":
        make()
    if options.kind in (None, "slow"):
        make_slow()
    for kind, path in {**{k: CACHE / f"pg.{e}" for k, e in ENDINGS.items()}, "slow": CACHE / "my.slow"}.items():
        if options.kind not in (None, kind):
            continue
        path = shortened(path, options.mb) if options.mb else path
        rounds = [measured(kind, path) for _ in range(options.rounds)]
        one = min(rounds, key=lambda r: r["cpu"])
        took = min(r["seconds"] for r in rounds)
        sys.stdout.write(
            f"{kind:8} {path.stat().st_size / 1e6:4.0f} MB {one['statements']:,} statements -> {one['prints']} fingerprints: "
            f"{took:.2f} s ({min(r['read'] for r in rounds):.2f} s reading), "
            f"{one['statements'] / took / 1e3:,.0f}k statements/s, {one['cpu']:.2f} s of processor time, "
            f"accounting {one['accounting']:.1%}, peak {max(r['peak_mb'] for r in rounds):.0f} MB"
        )
        if kind == "slow" and shutil.which("pt-query-digest"):
            worked, counted = pt_query_digest(path)
            sys.stdout.write(f"; pt-query-digest {worked:.1f} s ({counted:,} statements): {worked / one['cpu']:.1f} x")
        elif kind != "slow" and shutil.which("pgbadger"):
            badger, worked, counted = pgbadger(kind, path)
            report = min(r["report"] for r in rounds)
            sys.stdout.write(
                f"; pgBadger {worked:.1f} s ({counted:,} statements): {worked / one['cpu']:.1f} x, by the clock "
                f"{badger / took:.1f} x, with summary and N+1 {badger / report:.1f} x"
            )
        sys.stdout.write("\n")
        sys.stdout.flush()
    return None


if __name__ == "__main__":
    main()
