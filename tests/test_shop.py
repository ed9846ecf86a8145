"""The shop: each defect is there, each fix takes it away and changes nothing else. No timing anywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from perflab.demo.shop import data
from perflab.demo.shop.app import MAX_QUANTITY, create_app, open_database
from perflab.demo.shop.downstream import Downstream
from perflab.demo.shop.fixes import FIXES, Cached, parse_fixes
from perflab.loadtest.cache_probe import started_redis
from perflab.recorders.sqlalchemy import record_queries

PAGES = (
    "/orders?size=25&before=9000",
    "/orders/77",
    "/customers?after=40",
    f"/parcels/{data.tracking_number(5)}",
    "/products?after=300&size=30",
    "/products/12",
    "/products/12/offer",
    "/bestsellers",
)


@pytest.fixture(scope="session")
def database_file(tmp_path_factory):
    # Where a server that is given this XDG_CACHE_HOME finds it.
    path = tmp_path_factory.mktemp("cache") / "perflab" / f"shop-v{data.VERSION}-seed7.sqlite"
    path.parent.mkdir()
    data.build(path, seed=7)
    return path


class Running:
    """A shop in this process, with what its recorder wrote and what its downstream saw."""

    def __init__(self, folder: Path, database: Path, fixes: str) -> None:
        folder.mkdir()
        shutil.copyfile(database, folder / "shop.sqlite")
        self.fixes = parse_fixes(fixes)
        self.engine = open_database(folder / "shop.sqlite", index="index" in self.fixes)
        self.downstream = Downstream()
        self.log = record_queries(self.engine, folder / "q.jsonl", redact=False)
        self.app = create_app(self.engine, self.fixes, self.downstream.port, query_log=str(folder / "q.jsonl"))

    def get(self, url: str, **options):
        return self.app.test_client().get(url, **options)

    def statements(self, url: str) -> list[dict]:
        """What the recorder saw of one request."""
        unit = f"test-{time.monotonic_ns()}"
        assert self.get(url, headers={"X-Request-ID": unit}).status_code == 200
        self.log.flush()
        lines = [json.loads(line) for line in self.log.path.read_text().splitlines()]
        return [line for line in lines if line.get("unit") == unit]

    def close(self) -> None:
        self.log.close()
        self.downstream.close()
        self.engine.dispose()


@pytest.fixture
def shop(tmp_path, database_file):
    shops: list[Running] = []

    def start(fixes: str = "") -> Running:
        shops.append(Running(tmp_path / f"shop{len(shops)}", database_file, fixes))
        return shops[-1]

    yield start
    for one in shops:
        one.close()


def test_orders_ask_once_for_each_order_and_eager_asks_twice(shop):
    lazy, eager = shop(), shop("eager")
    for size in (1, 20, 40):
        found = lazy.statements(f"/orders?size={size}&before=5000")
        assert len(found) == 1 + size
        children = [s for s in found if "order_lines.order_id" in s["sql"]]
        assert len(children) == size == len({tuple(s["parameters"]) for s in children})
        assert {s["route"] for s in found} == {"GET /orders"}
        assert len(eager.statements(f"/orders?size={size}&before=5000")) == 2


def test_customers_ask_at_three_levels_and_eager_once_for_each_level(shop):
    lazy, eager = (one.statements("/customers?after=100&size=5") for one in (shop(), shop("eager")))
    tables = Counter(re.search(r"FROM (\w+)", s["sql"])[1] for s in lazy)
    assert tables["customers"] == 1 and tables["orders"] == 5
    assert tables["order_lines"] > tables["orders"] and tables["products"] > tables["orders"]
    assert len(eager) == 4


def test_parcel_scans_the_table_unless_there_is_the_index(shop):
    plans = []
    for one in (shop(), shop("index")):
        (statement,) = one.statements(f"/parcels/{data.tracking_number(9)}")
        with one.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement['sql']}", tuple(statement["parameters"]))
            plans.append(plan.fetchone()[3])
    assert plans[0] == "SCAN parcels"
    assert plans[1] == "SEARCH parcels USING INDEX ix_parcels_tracking (tracking=?)"


def test_the_index_goes_again_from_a_kept_database(database_file, tmp_path):
    kept = shutil.copyfile(database_file, tmp_path / "kept.sqlite")
    counts = []
    for index in (True, False, False, True):
        engine = open_database(Path(kept), index=index)
        with engine.connect() as connection:
            counts.append(connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name LIKE 'ix_parcels%'")))
        engine.dispose()
    assert counts == [1, 0, 0, 1]


def test_downstream_sees_one_call_at_a_time_and_three_with_parallel(shop):
    for fixes, peak in (("", 1), ("parallel", 3)):
        one = shop(fixes)
        for product in (1, 2, 3):
            assert one.get(f"/products/{product}/offer").status_code == 200
        assert (one.downstream.peak, one.downstream.served) == (peak, 9)


def test_bestsellers_are_added_up_each_time_and_once_with_cache(shop):
    plain, cached = shop(), shop("cache")
    assert [len(plain.statements("/bestsellers")) for _ in range(3)] == [1, 1, 1]
    assert [len(cached.statements("/bestsellers")) for _ in range(3)] == [1, 0, 0]


def test_a_cached_value_ends_and_is_made_by_one_thread():
    now, made = [0.0], []
    value = Cached(lambda: made.append(time.sleep(0.02)) or len(made), seconds=10, clock=lambda: now[0])
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: value(), range(8))) == {1}
    now[0] = 9.9
    assert value() == 1
    now[0] = 10.0
    assert value() == 2


def test_fixes_change_no_answer(shop):
    plain, fixed = shop(), shop(",".join(FIXES))
    for page in PAGES:
        answers = [one.get(page) for one in (plain, fixed)]
        assert [a.status_code for a in answers] == [200, 200], page
        assert answers[0].data == answers[1].data, page
    assert 5_000 < len(plain.get(PAGES[0]).data) < 50_000


def test_pages_without_a_defect_ask_a_fixed_number_of_times(shop):
    one = shop()
    assert [len(one.statements(f"/products?size={size}")) for size in (1, 50)] == [1, 1]
    assert [len(one.statements(f"/orders/{order}")) for order in (1, 500, 15_000)] == [2, 2, 2]
    assert len(one.statements("/products/5")) == 1


def test_fix_names():
    assert parse_fixes("") == parse_fixes(" , ") == frozenset()
    assert parse_fixes("index, cache") == {"index", "cache"}
    with pytest.raises(ValueError, match=r"SHOP_FIXES must be one of 'eager'.*got 'eagre'"):
        parse_fixes("eager,eagre")


BAD_PAGES = {
    400: ("/orders?size=0", "/orders?size=101", "/orders?size=x", "/orders?before=-1", "/orders?size=٣",
          "/customers?after=99999999999"),
    404: ("/orders/0", "/products/0/offer", "/parcels/nowhere", "/parcels/'%20OR%201=1--", "/nowhere"),
    405: ("/carts/a",),
}  # fmt: skip
BAD_CARTS = (
    "", "[]", "null", '{"product": "1", "quantity": 1}', '{"product": 1}', '{"product": 1, "quantity": 0}',
    '{"product": 1, "quantity": true}', '{"product": 1, "quantity": 100}',
)  # fmt: skip


def test_bad_requests_are_refused(shop):
    one = shop()
    for status, urls in BAD_PAGES.items():
        for url in urls:
            answer = one.get(url)
            assert answer.status_code == status and answer.headers["X-Request-ID"], url


def test_a_bad_cart_is_refused(shop):
    client = shop().app.test_client()
    for body in BAD_CARTS:
        assert client.post("/carts/c", data=body, content_type="application/json").status_code == 400, body
    assert client.post(f"/carts/{'c' * 65}", json={"product": 1, "quantity": 1}).status_code == 400


def test_carts_add_up_under_threads(shop):
    one = shop()

    def add(number: int) -> int:
        client = one.app.test_client()
        return client.post(f"/carts/c{number % 2}", json={"product": 1 + number % 3, "quantity": 2}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(60))) == {200}
    with one.engine.connect() as connection:
        assert connection.scalar(text("SELECT sum(quantity) FROM cart_items")) == 120
    client = one.app.test_client()
    for _ in range(2):
        items = client.post("/carts/big", json={"product": 4, "quantity": MAX_QUANTITY}).json["items"]
    assert items == [{"product": 4, "name": items[0]["name"], "quantity": MAX_QUANTITY}]
    assert client.post("/carts/c0", json={"product": 999_999, "quantity": 1}).status_code == 404


def test_metrics_count_by_route_and_take_no_names_from_outside(shop):
    one = shop()
    for url in ("/products/1", "/products/2", "/made-up-1", "/made-up-2"):
        one.get(url)
    one.app.test_client().open("/health", method="BREW")
    page = one.get("/metrics").text
    assert 'shop_requests_total{method="GET",route="/products/<int:product_id>",status="200"} 2.0' in page
    assert 'shop_requests_total{method="GET",route="(no route)",status="404"} 2.0' in page
    assert 'shop_request_duration_seconds_bucket{le="+Inf",method="GET",route="/products/<int:product_id>"} 2.0' in page
    assert "process_cpu_seconds_total" in page and "made-up" not in page and "BREW" not in page


def test_the_same_seed_makes_the_same_data(tmp_path, database_file):
    dumps = []
    for name, seed in (("a", 7), ("b", 8)):
        data.build(tmp_path / name, seed)
        dumps.append((tmp_path / name).read_bytes())
    assert dumps[0] == database_file.read_bytes() != dumps[1]
    with sqlite3.connect(database_file) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("products", "customers", "orders")
        ]
        assert counts == [data.PRODUCTS, data.CUSTOMERS, data.ORDERS]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_servers_that_start_at_once_share_one_whole_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads = [threading.Thread(target=data.copy_to, args=(tmp_path / f"{n}.sqlite", 3)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.name for p in (tmp_path / "cache/perflab").iterdir()] == [f"shop-v{data.VERSION}-seed3.sqlite"]
    assert (tmp_path / "0.sqlite").read_bytes() == (tmp_path / "1.sqlite").read_bytes()


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch, database_file):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    data.copy_to(tmp_path / "own.sqlite", 7)
    assert (tmp_path / "own.sqlite").read_bytes() == database_file.read_bytes()


def start_server(folder: Path, cache: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    known = {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(folder), "SHOP_FIXES": "", "PERFLAB_QUERY_LOG": ""}
    command = (
        [sys.executable, *arguments]
        if arguments[0] == "-c"
        else [sys.executable, "-m", "perflab.demo.shop", *arguments]
    )
    return subprocess.Popen(command, env=os.environ | known | environment, stderr=subprocess.PIPE, text=True)


def test_a_real_server_from_start_to_stop(tmp_path, database_file):
    # As __main__ starts it, with the modules that ended up loaded written at the end.
    code = (
        "import sys; from perflab.demo.shop.__main__ import main; code = main(['--port', '0']);"
        "heavy = {'pandas', 'numpy', 'locust', 'gevent'} & set(sys.modules);"
        "sys.stderr.write('heavy: ' + ','.join(heavy)); sys.exit(code)"
    )
    log = tmp_path / "q.jsonl"
    server = start_server(
        tmp_path, database_file.parents[1], "-c", code, SHOP_FIXES="eager,cache", PERFLAB_QUERY_LOG=str(log)
    )
    try:
        said = server.stderr.readline()
        base = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        assert "fixes: cache, eager" in said
        with urllib.request.urlopen(f"{base}/health", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok", "fixes": ["cache", "eager"]}
        asked = urllib.request.Request(f"{base}/orders?size=20", headers={"X-Request-ID": "r-77"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.headers["X-Request-ID"] == "r-77" and len(json.load(answer)["orders"]) == 20
        for page in PAGES:
            with urllib.request.urlopen(base + page, timeout=10) as answer:
                assert answer.status == 200
        with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nX-Request-ID: a\rSet-Cookie: b=c\r\n\r\n")
            head = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.") and b"set-cookie" not in head.lower()
        second = start_server(tmp_path, database_file.parents[1], "--port", base.rpartition(":")[2])
        _, complaint = second.communicate(timeout=20)
        assert second.returncode == 1 and complaint.startswith("shop: cannot listen at 127.0.0.1:")
        assert "in use" in complaint and "Traceback" not in complaint
    finally:
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=20)
    assert server.returncode == 0 and said.strip() == "heavy:"
    assert [p.name for p in tmp_path.glob("perflab-shop-*")] == [], "its copy of the database is gone"
    units = [json.loads(line).get("unit") for line in log.read_text().splitlines()]
    assert units.count("r-77") == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (("--port", "70000"), {}, 2, "expected a port from 0 to 65535"),
        (("--threads", "0"), {}, 2, "expected a number from 1 to 256"),
        (("--port", "0"), {"SHOP_FIXES": "speed"}, 1, "SHOP_FIXES must be one of"),
        (("--port", "0", "--database", "/nowhere/at/all.sqlite"), {}, 1, "cannot start with /nowhere"),
        (("--port", "0", "--database", __file__), {}, 1, "file is not a database"),
    ],
)
def test_a_server_that_cannot_start_says_why(tmp_path, database_file, arguments, environment, code, said):
    server = start_server(tmp_path, database_file.parents[1], *arguments, **environment)
    _, complaint = server.communicate(timeout=20)
    assert server.returncode == code
    assert said in complaint and "Traceback" not in complaint


def test_hostile_request_ids_come_back_as_new_ones(shop):
    one = shop()
    for bad in ("a" * 5_000, "<script>alert(1)</script>", "x y", "é"):
        (answer,) = one.get("/health", headers={"X-Request-ID": bad}).headers.getlist("X-Request-ID")
        assert re.fullmatch("[0-9a-f]{32}", answer)


def test_pages_come_from_redis_where_it_is_there_and_without_it_they_are_made(shop, monkeypatch):
    monkeypatch.setenv("SHOP_REDIS", "redis://127.0.0.1:1")
    assert shop().get("/products?size=2").headers["X-Cache"] == "ERROR"
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with started_redis() as client:
        monkeypatch.setenv("SHOP_REDIS", client.url)
        one = shop()
        answers = [one.get("/products?size=2") for _ in range(2)]
        assert [a.headers["X-Cache"] for a in answers] == ["MISS", "HIT"]
        assert answers[0].json == answers[1].json
        assert 0 < client.execute("PTTL", "shop:/products?size=2") <= 10_000
        assert "X-Cache" not in one.get("/orders?size=2").headers
        assert one.get("/products?size=-1").status_code == 400
        assert client.execute("DBSIZE") == 1
