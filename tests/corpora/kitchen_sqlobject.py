"""Corpus "kitchen": SQLObject with PyMySQL on MariaDB, a pool of connections that five threads share.

Labelled before it was recorded. Once with a transaction for each request (a few pages commit several times); once in
autocommit, where each statement takes whichever connection is free. Values are written into the statements; each ends in a
comment with its request's id. SQLObject reads the ids of a join first and then row by row what it does not have; a row just
inserted is read again. The truth counts what was sent within a loop. ``kitchen.labels.tsv`` has the label of each page, and why.

``pip install SQLObject pymysql``, then ``python tests/corpora/kitchen_sqlobject.py``
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pymysql
import servers
from recording import Truth, keep, requests
from sqlobject import (
    IN,
    AND,
    DateTimeCol,
    ForeignKey,
    IntCol,
    MultipleJoin,
    RelatedJoin,
    SQLMultipleJoin,
    SQLObject,
    StringCol,
)
from sqlobject.mysql.mysqlconnection import MySQLConnection
from sqlobject.sqlbuilder import LEFTJOINOn

REQUESTS = 400
SIZES = (5, 8, 11, 18, 28, 40)
STATES = ("draft", "agreed", "cooked", "served", "paid", "lost")
SHELVES = ("dry", "cold", "frozen", "bar", "bakery", "garden")
MAY = dt.datetime(2026, 5, 1)
now = threading.local()
MAIN = re.compile(r"\bFROM `?(\w+)")


class Connection(MySQLConnection):
    """Comments each statement with its request, and counts those of a loop by their table."""

    def _executeRetry(self, conn: Any, cursor: Any, query: str) -> Any:  # noqa: N802
        request = getattr(now, "request", None)
        if request:
            inside, table = now.inside, MAIN.search(query)
            if inside and query.startswith("SELECT") and table and table[1] in inside:
                now.calls[table[1]] += 1
            query = f"{query} /*request_id='{request[0]}',route='{request[1]}'*/"
        return super()._executeRetry(conn, cursor, query)


@contextlib.contextmanager
def loop(*tables: str) -> Iterator[None]:
    before, now.inside = now.inside, {*now.inside, *tables}
    try:
        yield
    finally:
        now.inside = before


def text(**options: Any) -> StringCol:
    return StringCol(length=60, default="", **options)


def whole() -> IntCol:
    return IntCol(default=0)


class Cook(SQLObject):
    name = text()
    login = text()
    chief = ForeignKey("Cook", default=None)


class Cuisine(SQLObject):
    name = text()
    above = ForeignKey("Cuisine", default=None)
    recipes = MultipleJoin("Recipe")


class Allergen(SQLObject):
    name = text()
    letter = text()


class Supplier(SQLObject):
    name = text()
    code = text()
    prices = SQLMultipleJoin("Price")


class Ingredient(SQLObject):
    name = text()
    supplier_code = text()
    shelf = text()
    allergens = RelatedJoin("Allergen", intermediateTable="allergen_ingredient", createRelatedTable=True)
    stocks = SQLMultipleJoin("Stock")


class Recipe(SQLObject):
    name = text()
    cuisine = ForeignKey("Cuisine")
    cook = ForeignKey("Cook")
    minutes = whole()
    parts = MultipleJoin("Part")
    steps = SQLMultipleJoin("Step", orderBy="place")


class Part(SQLObject):
    recipe = ForeignKey("Recipe")
    ingredient = ForeignKey("Ingredient")
    grams = whole()


class Step(SQLObject):
    recipe = ForeignKey("Recipe")
    place = whole()
    body = text()


class Stock(SQLObject):
    ingredient = ForeignKey("Ingredient")
    shelf = text()
    grams = whole()


class Price(SQLObject):
    supplier = ForeignKey("Supplier")
    ingredient = ForeignKey("Ingredient")
    cents = whole()
    day = whole()


class Customer(SQLObject):
    name = text()
    email = text()


class Hall(SQLObject):
    name = text()
    seats = whole()


class Banquet(SQLObject):
    customer = ForeignKey("Customer")
    hall = ForeignKey("Hall")
    starts = DateTimeCol(default=MAY)
    state = text()
    guests = whole()
    dishes = MultipleJoin("Dish")
    bills = SQLMultipleJoin("Bill")


class Dish(SQLObject):
    banquet = ForeignKey("Banquet")
    recipe = ForeignKey("Recipe")
    many = whole()


class Bill(SQLObject):
    banquet = ForeignKey("Banquet")
    email = text()
    cents = whole()
    state = text()


class Payment(SQLObject):
    bill = ForeignKey("Bill")
    cents = whole()


class Duty(SQLObject):
    cook = ForeignKey("Cook")
    banquet = ForeignKey("Banquet")
    hours = whole()


class Opinion(SQLObject):
    recipe = ForeignKey("Recipe")
    customer = ForeignKey("Customer")
    stars = whole()
    answer_to = ForeignKey("Opinion", default=None)


class HallOption(SQLObject):
    hall = ForeignKey("Hall")
    name = text()
    value = text()


class Chore(SQLObject):
    state = text()
    subject = whole()


class Entry(SQLObject):
    token = text()
    cook = ForeignKey("Cook")


MODELS = (Cook, Cuisine, Allergen, Supplier, Ingredient, Recipe, Part, Step, Stock, Price, Customer, Hall, Banquet, Dish, Bill,
          Payment, Duty, Opinion, HallOption, Chore, Entry)  # fmt: skip


def fill(db: Any) -> None:
    draw = random.Random(1207)
    some = lambda last: draw.randint(1, last)  # noqa: E731
    for model in MODELS:
        model.createTable(connection=db)

    def put(model: Any, many: int, row: Callable[[int], Mapping[str, Any]]) -> None:
        rows = [row(i) for i in range(many)]
        columns = list(rows[0])
        for part in itertools.batched(rows, 300):
            values = ", ".join("(" + ", ".join(db.sqlrepr(one[c]) for c in columns) + ")" for one in part)
            db.query(f"INSERT INTO {model.sqlmeta.table} ({', '.join(columns)}) VALUES {values}")
        for column in columns:
            if column.endswith(("_id", "_code", "login", "token", "email")) or column == "code":
                db.query(f"CREATE INDEX i_{column} ON {model.sqlmeta.table} ({column})")

    put(Cook, 200, lambda i: {"name": f"Cook {some(999)}", "login": f"c{i}", "chief_id": None if i < 8 else some(i)})
    put(Cuisine, 90, lambda i: {"name": f"Cuisine {i}", "above_id": None if i < 4 else some(min(i, 24))})
    put(Allergen, 18, lambda i: {"name": f"Allergen {i}", "letter": chr(65 + i)})
    put(Supplier, 70, lambda i: {"name": f"Supplier {i}", "code": f"S{i + 100}"})
    put(Ingredient, 420, lambda i: {"name": f"Ingredient {some(9999)}", "supplier_code": f"S{99 + some(70)}",
                                    "shelf": draw.choice(SHELVES)})  # fmt: skip
    links = ", ".join(f"({some(18)}, {some(420)})" for _ in range(900))
    db.query(f"INSERT INTO allergen_ingredient (allergen_id, ingredient_id) VALUES {links}")
    put(Recipe, 500, lambda i: {"name": f"Recipe {some(9999)}", "cuisine_id": some(90), "cook_id": some(200), "minutes": some(200)})
    put(Part, 3000, lambda i: {"recipe_id": some(500), "ingredient_id": some(420), "grams": some(900)})
    put(Step, 2200, lambda i: {"recipe_id": some(500), "place": i % 7, "body": f"do {i}"})
    put(Stock, 900, lambda i: {"ingredient_id": some(420), "shelf": draw.choice(SHELVES), "grams": some(9000)})
    put(Price, 1800, lambda i: {"supplier_id": some(70), "ingredient_id": some(420), "cents": some(900), "day": some(365)})
    put(Customer, 500, lambda i: {"name": f"Customer {some(9999)}", "email": f"g{i}@example.net"})
    put(Hall, 60, lambda i: {"name": f"Hall {i}", "seats": some(400)})
    put(Banquet, 700, lambda i: {"customer_id": some(500), "hall_id": some(60), "starts": str(MAY + dt.timedelta(hours=some(4000))),
                                 "state": draw.choice(STATES), "guests": some(300)})  # fmt: skip
    put(Dish, 3600, lambda i: {"banquet_id": some(700), "recipe_id": some(500), "many": some(200)})
    put(Bill, 1200, lambda i: {"banquet_id": some(700), "email": f"g{some(499)}@example.net", "cents": some(99999),
                               "state": draw.choice(STATES)})  # fmt: skip
    put(Payment, 1700, lambda i: {"bill_id": some(1200), "cents": some(9999)})
    put(Duty, 1800, lambda i: {"cook_id": some(200), "banquet_id": some(700), "hours": some(9)})
    put(Opinion, 1500, lambda i: {"recipe_id": some(500), "customer_id": some(500), "stars": some(5),
                                  "answer_to_id": None if i < 120 else some(min(i, 400))})  # fmt: skip
    put(HallOption, 480, lambda i: {"hall_id": 1 + i % 60, "name": f"o{i // 60}", "value": str(i)})
    put(Chore, 600, lambda i: {"state": "open", "subject": some(400)})
    put(Entry, 90, lambda i: {"token": f"e{i}", "cook_id": some(200)})


class Page(NamedTuple):
    label: str
    why: str
    work: Callable[..., Any]
    commits: bool


PAGES: dict[str, Page] = {}


def page(label: str, why: str, commits: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(work: Callable[..., Any]) -> Callable[..., Any]:
        PAGES[work.__name__] = Page(label, why, work, commits)
        return work

    return add


def render(template: str, rows: Any) -> str:
    """A template reads attributes, and with them what is related."""
    return "\n".join(template.format(row=row) for row in rows)


def table(model: Any, db: Any, r: random.Random, n: int, order: str = "id") -> list[Any]:
    last = {Recipe: 500, Banquet: 700, Bill: 1200, Ingredient: 420, Opinion: 1500, Dish: 3600, Duty: 1800, Price: 1800}[model]
    return list(model.select(model.q.id > r.randint(0, last - 60), connection=db, orderBy=order).limit(n))


def count(db: Any, source: str, where: str) -> int:
    return int(db.queryOne(f"SELECT COUNT(*) FROM {source} WHERE {where}")[0])


@page("recipe>cook", "the template prints the cook of each recipe: a lazy foreign key")
def recipes(db, r, n):
    rows = table(Recipe, db, r, n, "name")
    with loop("cook"):
        render("{row.name} by {row.cook.name}", rows)


@page("dish>recipe, recipe>cuisine", "two lazy foreign keys in a row, in the template")
def dishes(db, r, n):
    rows = table(Dish, db, r, n)
    with loop("recipe", "cuisine"):
        render("{row.many} {row.recipe.name} {row.recipe.cuisine.name}", rows)


@page("banquet>customer, banquet>hall", "two lazy foreign keys of each banquet")
def banquets(db, r, n):
    rows = table(Banquet, db, r, n, "starts")
    with loop("customer", "hall"):
        render("{row.customer.name} {row.hall.name}", rows)


@page("recipe>part", "a MultipleJoin of each recipe: ids first, then each part by its id")
def recipes_parts(db, r, n):
    rows = table(Recipe, db, r, min(n, 12))
    with loop("part"):
        [sum(part.grams for part in row.parts) for row in rows]


@page("recipe>step", "an SQLMultipleJoin of each recipe: one query for each")
def recipes_steps(db, r, n):
    rows = table(Recipe, db, r, n)
    with loop("step"):
        [[step.body for step in row.steps] for row in rows]


@page("ingredient>allergen_ingredient, ingredient>allergen", "a RelatedJoin of each: its link table, then each allergen by id")
def ingredients_allergens(db, r, n):
    rows = table(Ingredient, db, r, n)
    with loop("allergen_ingredient", "allergen"):
        ["".join(a.letter for a in row.allergens) for row in rows]


@page("ingredient>supplier", "the supplier of each is looked up by a code")
def ingredients(db, r, n):
    rows = table(Ingredient, db, r, n, "name")
    with loop("supplier"):
        [Supplier.select(Supplier.q.code == row.supplier_code, connection=db).getOne(None) for row in rows]


@page("ingredient>stock", "a sum over the stock of each ingredient")
def ingredients_stock(db, r, n):
    rows = table(Ingredient, db, r, n)
    with loop("stock"):
        [row.stocks.sum("grams") for row in rows]


@page("banquet>dish", "dishes are counted for each banquet")
def banquets_dishes(db, r, n):
    rows = table(Banquet, db, r, n)
    with loop("dish"):
        [count(db, "dish", f"banquet_id = {row.id}") for row in rows]


@page("banquet>bill, bill>payment", "bills of each banquet, payments of each bill")
def banquets_paid(db, r, n):
    rows = table(Banquet, db, r, n)
    with loop("bill", "payment"):
        for row in rows:
            for bill in row.bills:
                list(Payment.select(Payment.q.bill == bill.id, connection=db))


@page("bill>customer", "the customer of each bill is found by the address on it")
def bills(db, r, n):
    rows = table(Bill, db, r, n)
    with loop("customer"):
        [db.queryAll(f"SELECT id, name FROM customer WHERE email = '{row.email}'") for row in rows]


@page("cook>cook", "the chief of each cook, a row of the same table")
def cooks(db, r, n):
    rows = list(Cook.select(Cook.q.id > r.randint(8, 150), connection=db, orderBy="id").limit(n))
    with loop("cook"):
        render("{row.name} {row.chief.name}", rows)


@page("cuisine>cuisine", "a tree of cuisines walked down, a query for those below each")
def cuisine_tree(db, r, n):
    level = list(Cuisine.select(Cuisine.q.above == None, connection=db))  # noqa: E711
    with loop("cuisine"):
        for _ in range(2):
            level = [low for one in level for low in Cuisine.select(Cuisine.q.above == one.id, connection=db)][:n]


@page("opinion>opinion", "answers are read for each opinion of a page")
def opinions(db, r, n):
    rows = list(Opinion.select(connection=db, orderBy="id")[r.randint(0, 200) :][:n])
    with loop("opinion"):
        [list(Opinion.select(Opinion.q.answer_to == row.id, connection=db)) for row in rows]


@page("ingredient>price", "the newest price of each ingredient, by ORDER BY and LIMIT 1")
def prices(db, r, n):
    rows = table(Ingredient, db, r, n)
    with loop("price"):
        [list(Price.select(Price.q.ingredient == row.id, connection=db, orderBy="-day").limit(1)) for row in rows]


@page("dish>part", "what a banquet needs: the parts of the recipe of each dish, by a join")
def shopping(db, r, n):
    rows = table(Dish, db, r, n)
    with loop("part"):
        [db.queryAll("SELECT part.grams, ingredient.name FROM part JOIN ingredient ON ingredient.id = part.ingredient_id "
                     f"WHERE part.recipe_id = {row.recipeID}") for row in rows]  # fmt: skip


@page("duty>cook", "rows of plain SQL; the cook of each by a method of its class (get)")
def rota(db, r, n):
    rows = db.queryAll(f"SELECT id, cook_id, hours FROM duty WHERE banquet_id > {r.randint(1, 600)} ORDER BY id LIMIT {n}")
    with loop("cook"):
        [Cook.get(cook, connection=db).name for _, cook, _ in rows]


@page("banquet>hall_option", "an option of the hall of each banquet, by hall and name")
def banquets_options(db, r, n):
    rows = table(Banquet, db, r, n)
    with loop("hall_option"):
        [db.queryAll(f"SELECT value FROM hall_option WHERE hall_id = {row.hallID} AND name = 'o2'") for row in rows]


@page("recipe>opinion", "an average for each recipe, written to no cache")
def recipes_stars(db, r, n):
    rows = table(Recipe, db, r, n)
    with loop("opinion"):
        [db.queryOne(f"SELECT AVG(stars) FROM opinion WHERE recipe_id = {row.id}") for row in rows]


@page("ingredient>stock", "stock is read for each ingredient, then one of its rows is written")
def post_recount(db, r, n):
    rows = table(Ingredient, db, r, n)
    for row in rows:
        with loop("stock"):
            found = db.queryAll(f"SELECT id, grams FROM stock WHERE ingredient_id = {row.id} ORDER BY id LIMIT 1")
        for one, grams in found:
            db.query(f"UPDATE stock SET grams = {grams} WHERE id = {one}")


@page("bill>payment", "each bill is settled: its payments are summed, it is written, and committed", commits=True)
def job_settle(db, r, n):
    for row in table(Bill, db, r, n):
        with loop("payment"):
            db.queryOne(f"SELECT SUM(cents) FROM payment WHERE bill_id = {row.id}")
        db.query(f"UPDATE bill SET state = 'paid' WHERE id = {row.id}")
        commit(db)


@page("banquet>hall", "the hall of each banquet is read, the banquet written; one commit half way", commits=True)
def post_seats(db, r, n):
    rows = table(Banquet, db, r, n)
    for place, row in enumerate(rows):
        with loop("hall"):
            db.queryOne(f"SELECT seats FROM hall WHERE id = {row.hallID}")
        db.query(f"UPDATE banquet SET guests = {r.randint(1, 200)} WHERE id = {row.id}")
        if place == len(rows) // 2:
            commit(db)


@page("banquet>customer", "an invitation is inserted for the customer of each banquet, who is read for it")
def post_invite(db, r, n):
    rows = table(Banquet, db, r, n)
    for row in rows:
        with loop("customer"):
            email = db.queryOne(f"SELECT email FROM customer WHERE id = {row.customerID}")[0]
        db.query(f"INSERT INTO bill (banquet_id, email, cents, state) VALUES ({row.id}, '{email}', 0, 'draft')")


@page("recipe>recipe", "each recipe of the list is read again for update before it is written")
def post_minutes(db, r, n):
    rows = table(Recipe, db, r, n)
    for row in rows:
        with loop("recipe"):
            minutes = db.queryOne(f"SELECT minutes FROM recipe WHERE id = {row.id} FOR UPDATE")[0]
        db.query(f"UPDATE recipe SET minutes = {minutes + 1} WHERE id = {row.id}")


@page("duty>banquet, banquet>hall", "an export in pages: for each duty its banquet and the hall of that")
def export_duties(db, r, n):
    last = r.randint(1, 1700)
    for _ in range(2):
        rows = list(Duty.select(Duty.q.id > last, connection=db, orderBy="id").limit(min(n, 15)))
        with loop("banquet", "hall"):
            render("{row.hours};{row.banquet.starts};{row.banquet.hall.name}", rows)
        last = rows[-1].id if rows else last


@page("dish>dish", "one banquet's MultipleJoin: ids first, then each dish by its id")
def banquet(db, r, n):
    one = Banquet.get(r.randint(1, 700), connection=db)
    with loop("dish"):
        sum(dish.many for dish in one.dishes)


# Those without.


@page("", "all of it by one join")
def recipes_joined(db, r, n):
    db.queryAll("SELECT recipe.name, cook.name, cuisine.name FROM recipe JOIN cook ON cook.id = recipe.cook_id "
                f"JOIN cuisine ON cuisine.id = recipe.cuisine_id ORDER BY recipe.id LIMIT {n} OFFSET {r.randint(0, 400)}")  # fmt: skip


@page("", "cooks of the page by one IN")
def recipes_in(db, r, n):
    rows = table(Recipe, db, r, n)
    list(Cook.select(IN(Cook.q.id, sorted({row.cookID for row in rows})), connection=db))
    list(Cuisine.select(IN(Cuisine.q.id, sorted({row.cuisineID for row in rows})), connection=db))


@page("", "counts by GROUP BY")
def banquets_grouped(db, r, n):
    first = r.randint(1, 600)
    db.queryAll(f"SELECT banquet_id, COUNT(*) FROM dish WHERE banquet_id BETWEEN {first} AND {first + n} GROUP BY banquet_id")


@page("", "many different questions, each once")
def dashboard(db, r, n):
    for model in (Banquet, Bill, Payment, Recipe, Customer, Stock, Duty):
        model.select(connection=db).count()
    table(Banquet, db, r, 5)
    table(Bill, db, r, 5)


@page("", "a list by a left join built by the ORM")
def halls(db, r, n):
    join = LEFTJOINOn(None, Hall, Banquet.q.hall == Hall.q.id)
    list(Banquet.select(AND(Hall.q.seats > r.randint(1, 300)), join=join, connection=db).limit(n))


@page("", "six options by name, a constant list")
def options(db, r, n):
    hall = r.randint(1, 60)
    for place in range(6):
        db.queryOne(f"SELECT value FROM hall_option WHERE hall_id = {hall} AND name = 'o{place}'")


@page("", "a count for each shelf of a constant list")
def shelves(db, r, n):
    for shelf in SHELVES:
        count(db, "stock", f"shelf = '{shelf}'")


@page("", "a count for each of seven days")
def week(db, r, n):
    first = MAY + dt.timedelta(days=r.randint(0, 140))
    for day in range(7):
        at = first + dt.timedelta(days=day)
        count(db, "banquet", f"starts >= '{at}' AND starts < '{at + dt.timedelta(days=1)}'")


@page("", "keyset paging over all prices")
def export_prices(db, r, n):
    last = r.randint(0, 900)
    for _ in range(8):
        last = max((row[0] for row in db.queryAll(f"SELECT id, cents FROM price WHERE id > {last} ORDER BY id LIMIT 50")), default=last)


@page("", "recipes of many dishes by IN in chunks of ten")
def export_dishes(db, r, n):
    rows = table(Dish, db, r, 60)
    for part in itertools.batched(rows, 10):
        db.queryAll(f"SELECT id, name FROM recipe WHERE id IN ({', '.join(str(row.recipeID) for row in part)})")


@page("", "lines of a file: each address is asked for, then inserted")
def post_import(db, r, n):
    for _ in range(n):
        email = f"x{r.randint(1, 10**8)}@example.net"
        if not count(db, "customer", f"email = '{email}'"):
            db.query(f"INSERT INTO customer (name, email) VALUES ('New', '{email}')")


@page("", "rows are created by the ORM, which reads each back after its INSERT: no list is behind them")
def post_steps(db, r, n):
    recipe = r.randint(1, 500)
    for place in range(min(n, 9)):
        Step(recipe=recipe, place=place, body="new", connection=db)


@page("", "one INSERT of many rows")
def post_payments(db, r, n):
    db.query("INSERT INTO payment (bill_id, cents) VALUES " + ", ".join(f"({r.randint(1, 1200)}, 5)" for _ in range(n)))


@page("", "a form of many rows: an UPDATE for each, no reading")
def post_stock(db, r, n):
    for one in sorted(r.sample(range(1, 900), n)):
        db.query(f"UPDATE stock SET grams = {r.randint(1, 9000)} WHERE id = {one}")


@page("", "rows of a list deleted one by one: writes only")
def post_clean(db, r, n):
    for (one,) in db.queryAll(f"SELECT id FROM opinion WHERE id > {r.randint(1000, 1480)} ORDER BY id LIMIT 6"):
        db.query(f"DELETE FROM opinion WHERE id = {one}")


@page("", "a worker takes chore after chore, with a commit after each", commits=True)
def job_chores(db, r, n):
    for _ in range(7):
        row = db.queryOne("SELECT id, subject FROM chore WHERE state = 'open' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
        if row:
            db.query(f"UPDATE chore SET state = 'done' WHERE id = {row[0]}")
        commit(db)


@page("", "the state of one bill is asked until it has been asked often enough")
def poll(db, r, n):
    one = r.randint(1, 1200)
    for _ in range(8):
        db.queryOne(f"SELECT state FROM bill WHERE id = {one}")


@page("", "a lost race: one row is read and written up to six times")
def post_retry(db, r, n):
    one = r.randint(1, 600)
    for _ in range(6):
        grams = db.queryOne(f"SELECT grams FROM stock WHERE id = {one}")[0]
        db.query(f"UPDATE stock SET grams = {grams} WHERE id = {one} AND grams = {grams + 1}")


@page("", "what is typed, letter after letter")
def complete(db, r, n):
    word = f"Ingredient {r.randint(1000, 9999)}"
    for end in range(9, len(word) + 1):
        db.queryAll(f"SELECT id, name FROM ingredient WHERE name LIKE '{word[:end]}%' LIMIT 8")


@page("", "recipes that the client marked, by ids of its own, after a list of halls")
def marked(db, r, n):
    db.queryAll(f"SELECT id, name FROM hall ORDER BY name LIMIT {n}")
    for one in r.sample(range(1, 500), 6):
        db.queryOne(f"SELECT id, name, minutes FROM recipe WHERE id = {one}")


@page("", "one recipe and what belongs to it, a query for each kind")
def recipe(db, r, n):
    one = Recipe.get(r.randint(1, 500), connection=db)
    render("{row.cook.name} {row.cuisine.name}", [one])
    list(one.steps)
    db.queryAll(f"SELECT part.grams, ingredient.name FROM part JOIN ingredient ON ingredient.id = ingredient_id WHERE recipe_id = {one.id}")
    db.queryOne(f"SELECT AVG(stars) FROM opinion WHERE recipe_id = {one.id}")


@page("", "an IN for the ids of a search")
def search(db, r, n):
    rows = db.queryAll(f"SELECT id FROM customer WHERE name LIKE 'Customer {r.randint(1, 9)}%' LIMIT {n}")
    if rows:
        db.queryAll(f"SELECT id, name, email FROM customer WHERE id IN ({', '.join(str(one) for (one,) in rows)})")


@page("", "an upsert for each day of a week of prices: writes")
def post_prices(db, r, n):
    for day in range(7):
        db.query(f"INSERT INTO price (supplier_id, ingredient_id, cents, day) VALUES (3, 4, {r.randint(1, 900)}, {day}) "
                 "ON DUPLICATE KEY UPDATE cents = VALUES(cents)")  # fmt: skip


PUBLIC = {"job_settle", "job_chores", "cuisine_tree", "shelves", "week", "complete", "halls"}


def commit(db: Any) -> None:
    if hasattr(db, "commit") and not isinstance(db, Connection):
        db.commit()


def serve(base: Connection, seed: int, mode: str) -> Truth:
    truth = Truth()
    numbers = iter(range(10**6))

    def done(name: str) -> Any:
        def work(r: random.Random) -> Mapping[str, int]:
            db = base.transaction() if mode == "transaction" else base
            try:
                if name not in PUBLIC:
                    cook = db.queryOne(f"SELECT cook_id FROM entry WHERE token = 'e{r.randint(0, 89)}'")[0]
                    db.queryOne(f"SELECT id, name, login FROM cook WHERE id = {cook}")
                PAGES[name].work(db, r, r.choice(SIZES))
            except BaseException:
                if db is not base:
                    db.rollback()
                raise
            if db is not base:
                db.commit(close=True)
            return now.calls

        return work

    def around(route: str, work: Callable[[], Any]) -> tuple[Any, object, str | None]:
        unit = f"{seed}-{next(numbers)}"
        now.request, now.calls, now.inside = (unit, route), Counter(), set()
        try:
            calls = work()
        except pymysql.err.OperationalError as problem:
            print(route, problem, "- the request is tried again", file=sys.stderr)
            now.calls, now.inside = Counter(), set()
            calls = work()
        labelled = {one.split(">")[1] for one in PAGES[route].label.split(", ") if one}
        assert set(calls) <= labelled, (route, calls, "does not do what its label says")
        return dict(calls), "", unit

    requests({name: (1, done(name)) for name in PAGES}, REQUESTS, truth, around, threads=5, seed=seed)
    for line in truth.lines:
        line["request"], line["unit"] = line["unit"], None
    return truth


def recorded(mode: str, seed: int) -> tuple[bytes, Truth]:
    with servers.mariadb() as server:
        db = Connection("shop", "root", host="127.0.0.1", port=server.port, driver="pymysql", cache=mode == "transaction")
        fill(db)
        written = {p: p.stat().st_size for p in server.logs("slow")}
        truth = serve(db, seed, mode)
        assert len(truth.lines) == REQUESTS, len(truth.lines)
        db.close()
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs("slow")), truth


def main() -> None:
    if sys.argv[1:] == ["labels"]:
        print("page", "parent>child of each N+1", "why", sep="\t")
        for name, one in PAGES.items():
            print(name, one.label or "none", one.why, sep="\t")
        return
    for name, mode, seed in (("kitchen", "transaction", 101), ("kitchen_autocommit", "autocommit", 102)):
        log, truth = recorded(mode, seed)
        keep(name, log, "slow.log", truth)


if __name__ == "__main__":
    main()
