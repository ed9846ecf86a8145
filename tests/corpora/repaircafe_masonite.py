"""Corpus "repaircafe": Masonite ORM on PyMySQL, a pool of connections that six threads take from. Held out.

On MariaDB, once with a transaction for each request, once in plain autocommit, where each statement takes a connection from the
pool and gives it back. Each statement ends in a comment with its request's id. ``repaircafe.labels.tsv`` has the label of each
page, and why.

``pip install masonite-orm pymysql``, then ``python tests/corpora/repaircafe_masonite.py``
"""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import threading
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pymysql
import servers
from masoniteorm.connections.BaseConnection import BaseConnection
from masoniteorm.connections.ConnectionResolver import ConnectionResolver
from masoniteorm.connections.MySQLConnection import CONNECTION_POOL
from masoniteorm.models import Model
from masoniteorm.relationships import belongs_to, belongs_to_many, has_many, morph_to
from masoniteorm.relationships.BaseRelationship import BaseRelationship
from masoniteorm.relationships.MorphTo import MorphTo
from recording import LEAST, Truth, keep, requests

REQUESTS = 420
SIZES = (5, 8, 12, 20, 30, 45)
STATES = ("waiting", "open", "fixed", "advised", "hopeless", "collected")
ROLES = ("host", "fixer", "kitchen", "desk", "tester", "driver")
TIERS = ("basic", "member", "sponsor")
PILOTS = (2, 5, 6, 9, 13, 17, 21)
DAY = dt.datetime(2026, 2, 2)
now = threading.local()


class PerThread(dict[str, Any]):
    """The ORM keeps the connection of an open transaction by name, for the whole process; here each thread has its own."""

    def _mine(self) -> dict[str, Any]:
        if not hasattr(now, "transactions"):
            now.transactions = {}
        return now.transactions  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        return name in self._mine()

    def __getitem__(self, name: str) -> Any:
        return self._mine()[name]

    def update(self, other: Any = (), **_: Any) -> None:
        self._mine().update(other)

    def pop(self, name: str, *_: Any) -> Any:
        return self._mine().pop(name)


def made_safe_for_threads() -> None:
    """A relation keeps its builder on itself, which all threads share: each access works on a copy."""
    ConnectionResolver._connections = PerThread()
    for cls in (BaseRelationship, MorphTo):

        def get(self: Any, instance: Any, owner: Any, plain: Any = cls.__get__) -> Any:
            mine = object.__new__(type(self))
            mine.__dict__.update(self.__dict__)
            return plain(mine, instance, owner)

        cls.__get__ = get


def with_comments() -> None:
    send = BaseConnection.statement

    def commented(self: Any, query: str, bindings: Any = ()) -> None:
        request = getattr(now, "request", None)
        send(self, f"{query} /*request_id='{request[0]}',route='{request[1]}'*/" if request else query, bindings)

    BaseConnection.statement = commented


def configured(port: int) -> Any:
    details = {
        "default": "mysql",
        "mysql": {"driver": "mysql", "host": "127.0.0.1", "user": "root", "password": "", "database": "shop", "port": port,
                  "connection_pooling_enabled": True, "connection_pooling_max_size": 6, "connection_pooling_min_size": 4},
    }  # fmt: skip
    module = types.ModuleType("repaircafe_database")
    module.DATABASES = details  # type: ignore[attr-defined]
    module.DB = ConnectionResolver(connection_details=details)  # type: ignore[attr-defined]
    module.DB.morph_map({"repair": Repair, "cafe": Cafe, "visitor": Visitor})  # type: ignore[attr-defined]
    sys.modules["repaircafe_database"] = module
    return module.DB


class Plain(Model):
    __timestamps__ = False


class Setting(Plain):
    __table__ = "settings"


class Account(Plain):
    __table__ = "accounts"


class City(Plain):
    __table__ = "cities"


class Skill(Plain):
    __table__ = "skills"


class Price(Plain):
    __table__ = "prices"


class Warranty(Plain):
    __table__ = "warranties"


class Photo(Plain):
    __table__ = "photos"


class Closure(Plain):
    __table__ = "closures"


class Brand(Plain):
    __table__ = "brands"


class Category(Plain):
    __table__ = "categories"


class Cafe(Plain):
    __table__ = "cafes"

    @belongs_to("city_id", "id")
    def city(self):
        return City

    @has_many("id", "cafe_id")
    def volunteers(self):
        return Volunteer

    @has_many("id", "cafe_id")
    def events(self):
        return Event

    @has_many("id", "cafe_id")
    def tools(self):
        return Tool


class Volunteer(Plain):
    __table__ = "volunteers"

    @belongs_to("cafe_id", "id")
    def cafe(self):
        return Cafe

    @belongs_to("mentor_id", "id")
    def mentor(self):
        return Volunteer

    @belongs_to_many("volunteer_id", "skill_id", "id", "id", table="skill_volunteer")
    def skills(self):
        return Skill


class Visitor(Plain):
    __table__ = "visitors"

    @belongs_to("city_id", "id")
    def city(self):
        return City

    @has_many("id", "visitor_id")
    def devices(self):
        return Device


class Event(Plain):
    __table__ = "events"

    @belongs_to("cafe_id", "id")
    def cafe(self):
        return Cafe

    @has_many("id", "event_id")
    def roster(self):
        return Duty

    @has_many("id", "event_id")
    def repairs(self):
        return Repair


class Duty(Plain):
    __table__ = "duties"

    @belongs_to("volunteer_id", "id")
    def volunteer(self):
        return Volunteer


class Device(Plain):
    __table__ = "devices"

    @belongs_to("visitor_id", "id")
    def visitor(self):
        return Visitor

    @belongs_to("brand_id", "id")
    def brand(self):
        return Brand

    @belongs_to("category_id", "id")
    def category(self):
        return Category


class Repair(Plain):
    __table__ = "repairs"

    @belongs_to("device_id", "id")
    def device(self):
        return Device

    @belongs_to("volunteer_id", "id")
    def fixer(self):
        return Volunteer

    @belongs_to("event_id", "id")
    def event(self):
        return Event

    @has_many("id", "repair_id")
    def notes(self):
        return Note


class Note(Plain):
    __table__ = "notes"

    @has_many("id", "answer_to")
    def answers(self):
        return Note


class Supplier(Plain):
    __table__ = "suppliers"


class Part(Plain):
    __table__ = "parts"

    @belongs_to("supplier_id", "id")
    def supplier(self):
        return Supplier


class Usage(Plain):
    __table__ = "part_uses"


class Tool(Plain):
    __table__ = "tools"


class Loan(Plain):
    __table__ = "loans"

    @belongs_to("volunteer_id", "id")
    def volunteer(self):
        return Volunteer


class Rating(Plain):
    __table__ = "ratings"


class Donation(Plain):
    __table__ = "donations"

    @belongs_to("visitor_id", "id")
    def visitor(self):
        return Visitor


class Mail(Plain):
    __table__ = "mails"

    @belongs_to("visitor_id", "id")
    def visitor(self):
        return Visitor


class Activity(Plain):
    __table__ = "activities"

    @morph_to("subject_type", "subject_id")
    def subject(self):
        return None


SCHEMA: dict[str, tuple[int, str, Callable[[random.Random, int], tuple[Any, ...]]]] = {
    "settings": (40, "cafe_id INT, name VARCHAR(40), content VARCHAR(60), KEY (name), KEY (cafe_id)",
                 lambda d, i: (i % 10 or None, f"s{i}", f"v{i}")),
    "accounts": (90, "token VARCHAR(40), volunteer_id INT, KEY (token)", lambda d, i: (f"t{i}", d.randint(1, 400))),
    "cities": (45, "name VARCHAR(40), code VARCHAR(8)", lambda d, i: (f"City {i}", f"C{i}")),
    "skills": (20, "name VARCHAR(40)", lambda d, i: (f"Skill {i}",)),
    "brands": (70, "name VARCHAR(40), code VARCHAR(8)", lambda d, i: (f"Brand {i}", f"B{i}")),
    "categories": (90, "name VARCHAR(40), parent_id INT, KEY (parent_id)",
                   lambda d, i: (f"Kind {i}", None if i <= 6 else d.randint(max(1, i // 3 - 2), i // 2))),
    "cafes": (80, "name VARCHAR(40), city_id INT, seats INT, version INT",
              lambda d, i: (f"Cafe {i}", d.randint(1, 45), d.randint(8, 60), 1)),
    "volunteers": (400, "name VARCHAR(40), email VARCHAR(60), cafe_id INT, mentor_id INT, KEY (cafe_id)",
                   lambda d, i: (f"Helper {i}", f"h{i}@x.org", d.randint(1, 80), d.randint(1, i) if i > 9 else None)),
    "skill_volunteer": (900, "skill_id INT, volunteer_id INT, KEY (volunteer_id)",
                        lambda d, i: (d.randint(1, 20), d.randint(1, 400))),
    "visitors": (700, "name VARCHAR(40), email VARCHAR(60), city_id INT, KEY (email)",
                 lambda d, i: (f"Guest {i}", f"g{i}@x.org", d.randint(1, 45))),
    "events": (500, "cafe_id INT, starts DATETIME, ends DATETIME, state VARCHAR(12), KEY (cafe_id), KEY (starts)",
               lambda d, i: (d.randint(1, 80), DAY + dt.timedelta(hours=5 * i), DAY + dt.timedelta(hours=5 * i + 4),
                             d.choice(("planned", "held", "off")))),
    "duties": (2400, "event_id INT, volunteer_id INT, role VARCHAR(12), KEY (event_id), KEY (volunteer_id)",
               lambda d, i: (d.randint(1, 500), d.randint(1, 400), d.choice(ROLES))),
    "devices": (1100, "visitor_id INT, brand_id INT, category_id INT, serial VARCHAR(20), KEY (visitor_id)",
                lambda d, i: (d.randint(1, 700), d.randint(1, 70), d.randint(1, 90), f"SN{i:05d}")),
    "repairs": (2200, "event_id INT, device_id INT, volunteer_id INT, state VARCHAR(12), minutes INT, KEY (event_id), "
                "KEY (device_id), KEY (volunteer_id)",
                lambda d, i: (d.randint(1, 500), d.randint(1, 1100), d.randint(1, 400), d.choice(STATES), d.randint(5, 90))),
    "notes": (3500, "repair_id INT, answer_to INT, body VARCHAR(60), written DATETIME, KEY (repair_id), KEY (answer_to)",
              lambda d, i: (d.randint(1, 2200), d.randint(1, 1200) if i > 1200 else None, f"note {i}",
                            DAY + dt.timedelta(minutes=i))),
    "suppliers": (50, "name VARCHAR(40), city_id INT", lambda d, i: (f"Supplier {i}", d.randint(1, 45))),
    "parts": (350, "sku VARCHAR(12), name VARCHAR(40), supplier_id INT, stock INT, KEY (supplier_id)",
              lambda d, i: (f"P{i}", f"Part {i}", d.randint(1, 50), d.randint(0, 40))),
    "part_uses": (3000, "repair_id INT, part_id INT, amount INT, KEY (repair_id), KEY (part_id)",
                  lambda d, i: (d.randint(1, 2200), d.randint(1, 350), d.randint(1, 4))),
    "tools": (500, "cafe_id INT, name VARCHAR(40), KEY (cafe_id)", lambda d, i: (d.randint(1, 80), f"Tool {i}")),
    "loans": (1500, "tool_id INT, volunteer_id INT, taken DATETIME, KEY (tool_id)",
              lambda d, i: (d.randint(1, 500), d.randint(1, 400), DAY + dt.timedelta(hours=i))),
    "photos": (1800, "owner_type VARCHAR(12), owner_id INT, file VARCHAR(40), KEY (owner_id)",
               lambda d, i: (d.choice(("device", "cafe")), d.randint(1, 1100), f"{i}.jpg")),
    "ratings": (1500, "repair_id INT, visitor_id INT, stars INT, KEY (repair_id)",
                lambda d, i: (d.randint(1, 2200), d.randint(1, 700), d.randint(1, 5))),
    "donations": (1500, "visitor_id INT, event_id INT, cents INT, KEY (visitor_id), KEY (event_id)",
                  lambda d, i: (d.randint(1, 700), d.randint(1, 500), d.randint(100, 9000))),
    "prices": (270, "category_id INT, tier VARCHAR(12), cents INT, KEY (category_id)",
               lambda d, i: ((i - 1) // 3 + 1, TIERS[i % 3], d.randint(0, 3000))),
    "warranties": (900, "serial VARCHAR(20), until DATE, KEY (serial)",
                   lambda d, i: (f"SN{d.randint(1, 1100):05d}", DAY.date() + dt.timedelta(days=i))),
    "mails": (900, "visitor_id INT, state VARCHAR(12), tries INT, KEY (state)",
              lambda d, i: (d.randint(1, 700), "queued", 0)),
    "activities": (1500, "subject_type VARCHAR(12), subject_id INT, happened VARCHAR(40)",
                   lambda d, i: (d.choice(("repair", "cafe", "visitor")), d.randint(1, 80), f"event {i}")),
    "closures": (300, "cafe_id INT, since DATETIME, till DATETIME, KEY (cafe_id)",
                 lambda d, i: (d.randint(1, 80), DAY + dt.timedelta(hours=8 * i), DAY + dt.timedelta(hours=8 * i + 60))),
}  # fmt: skip


def fill(port: int) -> None:
    draw = random.Random(1729)
    connection = pymysql.connect(host="127.0.0.1", user="root", port=port, database="shop", autocommit=True)
    with connection, connection.cursor() as cursor:
        for name, (count, columns, row) in SCHEMA.items():
            cursor.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY AUTO_INCREMENT, {columns})")
            rows = [row(draw, i) for i in range(1, count + 1)]
            places = ", ".join(["%s"] * len(rows[0]))
            names = ", ".join(c.split()[0] for c in columns.split(", ") if not c.startswith("KEY"))
            cursor.executemany(f"INSERT INTO {name} ({names}) VALUES ({places})", rows)


@dataclass(frozen=True)
class Page:
    label: str
    why: str
    work: Callable[[random.Random, int], Mapping[str, int] | None]


PAGES: dict[str, Page] = {}


def page(label: str, why: str) -> Callable[[Any], Any]:
    def keeps(work: Any) -> Any:
        PAGES[work.__name__] = Page(label, why, work)
        return work

    return keeps


def some_repairs(r: random.Random, n: int) -> Any:
    return Repair.where("minutes", ">", r.randint(5, 60)).order_by("id", "desc").limit(n).get()


def some_events(r: random.Random, n: int) -> Any:
    return Event.where("starts", ">=", DAY + dt.timedelta(days=r.randint(0, 70))).order_by("starts").limit(n).get()


def some_devices(r: random.Random, n: int) -> Any:
    return Device.order_by("id").offset(r.randint(0, 900)).limit(n).get()


def some_cafes(r: random.Random, n: int) -> Any:
    return Cafe.order_by("name").offset(r.randint(0, 30)).limit(n).get()


# --- pages with an N+1


@page("repairs>devices", "a lazy belongs_to that the row of the table prints, once for each repair")
def repairs(r, n):
    return {"devices": len([one.device.serial for one in some_repairs(r, n)])}


@page("repairs>devices, devices>brands", "two lazy belongs_to, one after the other, for each repair of an event list")
def repairs_brand(r, n):
    rows = some_repairs(r, n)
    names = [f"{one.device.brand.name}" for one in rows]
    return {"devices": len(names), "brands": len(names)}


@page("cafes>volunteers", "the template walks over the has_many of each cafe")
def cafes_team(r, n):
    rows = some_cafes(r, n)
    assert [[v.name for v in one.volunteers] for one in rows]
    return {"volunteers": len(rows)}


@page("cafes>tools", "a count for each cafe of the list, where a subselect would be one query")
def cafes_size(r, n):
    rows = some_cafes(r, n)
    for one in rows:
        Tool.where("cafe_id", one.id).count()
    return {"tools": len(rows)}


@page(
    "volunteers>volunteers",
    "a lazy belongs_to_many: the ORM reads FROM the owner's own table and joins the link and the skills to it",
)
def volunteers_skills(r, n):
    rows = Volunteer.where("cafe_id", ">", r.randint(1, 60)).order_by("name").limit(n).get()
    assert len([[s.name for s in one.skills] for one in rows]) == len(rows)
    return {"volunteers": len(rows)}


@page(
    "events>duties, events>repairs",
    "a dashboard: for each event how many help and how many repairs there were, two counts each",
)
def events_board(r, n):
    rows = some_events(r, n)
    for one in rows:
        Duty.where("event_id", one.id).count()
        Repair.where("event_id", one.id).where("state", "fixed").count()
    return {"duties": len(rows), "repairs": len(rows)}


@page(
    "devices>visitors, visitors>cities, devices>categories",
    "nested serializers: the owner of each device, the city of the owner, and the category",
)
def api_devices(r, n):
    rows = some_devices(r, n)
    for one in rows:
        owner = one.visitor
        assert {"id": one.id, "owner": {"name": owner.name, "city": owner.city.name}, "category": one.category.name}
    return {"visitors": len(rows), "cities": len(rows), "categories": len(rows)}


@page("repairs>notes", "the newest note of each repair by ORDER BY and LIMIT 1")
def repairs_last_note(r, n):
    rows = some_repairs(r, n)
    for one in rows:
        Note.where("repair_id", one.id).order_by("written", "desc").first()
    return {"notes": len(rows)}


@page(
    "volunteers>volunteers",
    "who each volunteer learns from: a row of the same table, asked lazily where there is one",
)
def mentors(r, n):
    rows = Volunteer.order_by("email").offset(r.randint(0, 300)).limit(n).get()
    return {"volunteers": len([one.mentor.name for one in rows if one.mentor_id])}


@page("categories>categories", "the tree of categories is walked down, with a query for what lies below each node")
def categories_tree(r, n):
    asked = 0

    def below(node: Any) -> None:
        nonlocal asked
        asked += 1
        for child in Category.where("parent_id", node.id).order_by("name").get():
            if asked < 3 * n:
                below(child)

    for root in Category.where_null("parent_id").order_by("name").get():
        if asked < 3 * n:
            below(root)
    return {"categories": asked}


@page("notes>notes", "for each note of a log its answers, by a lazy has_many on the same table")
def log_answers(r, n):
    rows = Note.where_null("answer_to").order_by("written").offset(r.randint(0, 900)).limit(n).get()
    assert len([[a.body for a in one.answers] for one in rows]) == len(rows)
    return {"notes": len(rows)}


@page(
    "activities>repairs, activities>cafes, activities>visitors",
    "a feed with a lazy morph_to: the subject of each line lies in one of three tables",
)
def activity(r, n):
    rows = Activity.order_by("id", "desc").offset(r.randint(0, 900)).limit(n).get()
    for one in rows:
        assert one.subject.id
    many = Counter(one.subject_type for one in rows)
    return {"repairs": many["repair"], "cafes": many["cafe"], "visitors": many["visitor"]}


@page("devices>photos", "photos by the kind and the id of their owner, for each device")
def gallery(r, n):
    rows = some_devices(r, n)
    for one in rows:
        Photo.where("owner_type", "device").where("owner_id", one.id).limit(3).get()
    return {"photos": len(rows)}


@page(
    "devices>prices",
    "the price of each device's category for the tier of the reader, with the tier beside the key",
)
def quotes(r, n):
    tier = r.choice(TIERS)
    rows = some_devices(r, n)
    for one in rows:
        Price.where({"category_id": one.category_id, "tier": tier}).first()
    return {"prices": len(rows)}


@page("devices>warranties", "a warranty is looked up by the serial number of each device, which is no foreign key")
def warranty_list(r, n):
    rows = some_devices(r, n)
    for one in rows:
        Warranty.where("serial", one.serial).order_by("until", "desc").first()
    return {"warranties": len(rows)}


@page("mails>visitors", "the receiver of each mail of an outbox is found by find()")
def outbox(r, n):
    rows = Mail.where("tries", "<", 3).order_by("id").offset(r.randint(0, 700)).limit(n).get()
    for one in rows:
        Visitor.find(one.visitor_id)
    return {"visitors": len(rows)}


@page("donations>visitors", "an export in pages of fifteen by offset; who gave is asked lazily for each line")
def export_donations(r, n):
    asked, first = 0, r.randint(0, 900)
    for step in range(1 + n // 10):
        rows = Donation.order_by("id").offset(first + 15 * step).limit(15).get()
        asked += len([one.visitor.name for one in rows])
    return {"visitors": asked}


@page("events>closures", "is the cafe closed while an event is on: its cafe and both its times go into each question")
def plan_clashes(r, n):
    rows = some_events(r, n)
    for one in rows:
        Closure.where("cafe_id", one.cafe_id).where("since", "<", one.ends).where("till", ">", one.starts).exists()
    return {"closures": len(rows)}


@page("suppliers>parts", "the stock of each supplier by a SUM of its own in place of one GROUP BY")
def stock(r, n):
    rows = Supplier.order_by("name").offset(r.randint(0, 20)).limit(n).get()
    for one in rows:
        Part.where("supplier_id", one.id).sum("stock").first()
    return {"parts": len(rows)}


@page(
    "volunteers>ratings",
    "an average of the stars for each volunteer, by a join over the repairs in the child's query",
)
def league_of_fixers(r, n):
    rows = Volunteer.where("cafe_id", "<", r.randint(30, 80)).order_by("id").limit(n).get()
    for one in rows:
        (Rating.join("repairs", "repairs.id", "=", "ratings.repair_id").where("repairs.volunteer_id", one.id)
         .avg("stars").first())  # fmt: skip
    return {"ratings": len(rows)}


@page("visitors>donations", "has each visitor ever given something: exists() in a loop")
def donors(r, n):
    rows = Visitor.where("city_id", ">", r.randint(1, 30)).order_by("name").limit(n).get()
    for one in rows:
        Donation.where("visitor_id", one.id).exists()
    return {"donations": len(rows)}


@page(
    "events>cafes, cafes>cities",
    "GraphQL-like resolvers without a loader, field by field: all cafes first, then all cities",
)
def resolve_events(r, n):
    rows = some_events(r, n)
    cafes = [Cafe.find(one.cafe_id) for one in rows]
    cities = [City.find(one.city_id) for one in cafes]
    return {"cafes": len(cafes), "cities": len(cities)}


@page(
    "mails>visitors, visitors>devices",
    "a job: for each queued mail the receiver and the receiver's devices are read, then the mail is saved",
)
def job_reminders(r, n):
    rows = Mail.where("state", "queued").order_by("id").limit(n).get()
    for one in rows:
        assert one.visitor.devices is not None
        one.state = "sent"
        one.tries = one.tries + 1
        one.save()
    return {"visitors": len(rows), "devices": len(rows)}


@page("repairs>part_uses", "a job closes repairs: what each has used is read before its row is written")
def job_close(r, n):
    rows = Repair.where("state", "open").order_by("id", "desc").offset(r.randint(0, 100)).limit(n).get()
    for one in rows:
        used = Usage.where("repair_id", one.id).get()
        one.minutes = one.minutes + len(used) + 1
        one.save()
    return {"part_uses": len(rows)}


brand_names: dict[int, str] = {}


@page(
    "devices>brands",
    "a cache of the process, emptied when it holds forty: each miss is a query, an N+1 from five misses on",
)
def brands_cached(r, n):
    missing = 0
    if len(brand_names) >= 40:
        brand_names.clear()
    for one in some_devices(r, n):
        if one.brand_id not in brand_names:
            missing += 1
            brand_names[one.brand_id] = Brand.find(one.brand_id).name
    return {"brands": missing}


@page(
    "tools>loans, loans>volunteers",
    "who has each tool: its newest loan, and from that the volunteer, if it was ever lent",
)
def tools_out(r, n):
    rows, people = Tool.order_by("id").offset(r.randint(0, 400)).limit(n).get(), 0
    for one in rows:
        loan = Loan.where("tool_id", one.id).order_by("taken", "desc").first()
        if loan:
            assert loan.volunteer.name
            people += 1
    return {"loans": len(rows), "volunteers": people}


@page("cafes>events, events>duties, duties>volunteers", "three lists inside one another, all lazy, for a few cafes")
def roster_book(r, n):
    rows = some_cafes(r, max(2, n // 4))
    events = [event for one in rows for event in list(one.events)[:3]]
    duties = [duty for event in events for duty in event.roster]
    return {"events": len(rows), "duties": len(events), "volunteers": len([duty.volunteer.name for duty in duties])}


@page("repairs>repairs", "each repair of a list is read again by fresh() before it is changed")
def admin_refresh(r, n):
    rows = some_repairs(r, n)
    for one in rows:
        Repair.where("id", one.id).update({"minutes": one.fresh().minutes + r.randint(1, 9)})
    return {"repairs": len(rows)}


@page(
    "parts>suppliers",
    "parts that ran out; a helper of the template finds the name of each one's supplier, after other queries",
)
def admin_parts(r, n):
    rows = Part.where("stock", "<", r.randint(5, 30)).order_by("sku").limit(n).get()
    Part.count()
    Setting.where("name", "s3").first()
    for one in rows:
        Supplier.select("name").find(one.supplier_id)
    return {"suppliers": len(rows)}


@page("ratings>repairs", "a list of ids first, by pluck, then find() for each of the repairs")
def rated_repairs(r, n):
    ids = Rating.where("stars", r.randint(1, 5)).order_by("id", "desc").limit(n).get().pluck("repair_id")
    for one in ids:
        Repair.find(one)
    return {"repairs": len(ids)}


@page("volunteers>cafes", "a paginated list by paginate(), with the total counted; the cafe of each is lazy")
def volunteers_page(r, n):
    found = Volunteer.order_by("id").paginate(n, r.randint(1, 5))
    return {"cafes": len([one.cafe.name for one in found.result])}


@page("repairs>notes", "device and fixer are loaded well by with_; the notes of each repair have been forgotten")
def repairs_half(r, n):
    rows = Repair.with_("device", "fixer").order_by("id").offset(r.randint(0, 1500)).limit(n).get()
    for one in rows:
        assert one.device.serial and one.fixer.name and one.notes is not None
    return {"notes": len(rows)}


# --- pages without


@page("", "with_ loads two relations, each by one IN")
def repairs_eager(r, n):
    rows = Repair.with_("device", "fixer").order_by("id", "desc").limit(n).get()
    assert [one.device.serial + one.fixer.name for one in rows]


@page("", "nested eager loading by IN, two levels deep")
def cafes_eager(r, n):
    for one in Cafe.with_("events.repairs").order_by("id").offset(r.randint(0, 30)).limit(n).get():
        assert len([[repair.state for repair in event.repairs] for event in one.events]) == len(one.events)


@page("", "one join over three tables")
def repairs_joined(r, n):
    (Repair.join("devices", "devices.id", "=", "repairs.device_id").join("brands", "brands.id", "=", "devices.brand_id")
     .select("repairs.id", "repairs.state", "devices.serial", "brands.name").where("repairs.event_id", ">", r.randint(1, 300))
     .limit(n).get())  # fmt: skip


@page("", "a subselect in the list's own statement counts for each row")
def cafes_counted(r, n):
    many = "(SELECT COUNT(*) FROM tools WHERE tools.cafe_id = cafes.id) AS many"
    Cafe.select_raw(f"cafes.*, {many}").order_by("id").limit(n).get()


@page("", "one GROUP BY for the list's ids, put together in Python")
def stock_grouped(r, n):
    rows = Supplier.order_by("name").limit(n).get()
    sums = Part.select_raw("supplier_id, SUM(stock) AS total").where_in("supplier_id", list(rows.pluck("id")))
    sums.group_by("supplier_id").get()


@page("", "a dashboard: one figure of each of eight tables")
def dashboard(r, n):
    for model in (Cafe, Volunteer, Visitor, Event, Device, Repair, Part, Donation):
        model.count()


@page("", "a constant list of states, the newest repairs of each, after a list of something else")
def board_by_state(r, n):
    some_events(r, n)
    for state in STATES:
        Repair.where("state", state).order_by("id", "desc").limit(5).get()


@page("", "settings by name, a constant list in the code")
def settings(r, n):
    some_cafes(r, n)
    for number in (1, 4, 7, 11, 12, 19, 23, 30):
        Setting.where("name", f"s{number}").first()


@page("", "an export by key: each page starts after the last id of the one before")
def export_keyset(r, n):
    last = r.randint(0, 1200)
    for _ in range(r.randint(5, 9)):
        rows = Usage.where("id", ">", last).order_by("id").limit(25).get()
        last = rows.last().id


@page("", "an export by offset with the relation loaded for each page by IN")
def export_eager(r, n):
    first = r.randint(0, 600)
    for step in range(r.randint(5, 8)):
        Donation.with_("visitor").order_by("id").offset(first + 20 * step).limit(20).get()


@page("", "lists of ten ids each, cut by hand from one long list")
def chunked(r, n):
    ids = list(some_repairs(r, 3 * n).pluck("id"))
    for first in range(0, len(ids), 10):
        Note.where_in("repair_id", ids[first : first + 10]).get()


@page("", "one row is polled until it is done")
def wait(r, n):
    mail = r.randint(1, 900)
    for _ in range(r.randint(6, 11)):
        Mail.find(mail)


@page("", "a worker takes the next row of a queue, does it, and looks for the next: which is not known before")
def worker(r, n):
    for _ in range(r.randint(5, 8)):
        mail = Mail.where("state", "queued").order_by("id", "desc").first()
        if mail is None:
            return
        mail.visitor  # a lazy relation
        Mail.where("id", mail.id).where("state", "queued").update({"state": "sent"})


@page("", "optimistic locking: the same row is read and tried again until nobody else was faster")
def seats(r, n):
    cafe = r.randint(1, 80)
    for step in range(r.randint(5, 7)):
        found = Cafe.find(cafe)
        Cafe.where("id", cafe).where("version", found.version - 1 - step).update({"version": found.version + 1})


@page("", "a detail page: the lazy relations of one row, and five further questions")
def repair(r, n):
    one = Repair.find(r.randint(1, 2200))
    assert one.device.visitor.city.name
    assert one.fixer.name and one.event.cafe.name and one.notes is not None
    Rating.where("repair_id", one.id).get()
    Usage.where("repair_id", one.id).count()


@page("", "an import of a visitors' file: is the address new? then insert; the addresses come from the file")
def import_visitors(r, n):
    for _ in range(n):
        email = f"new{r.randint(1, 10**8)}@x.org"
        if not Visitor.where("email", email).exists():
            Visitor.create({"name": "New", "email": email, "city_id": r.randint(1, 45)})


@page("", "first_or_create for each word of a form: what the client typed")
def tags(r, n):
    for _ in range(n):
        Skill.first_or_create({"name": f"new {r.randint(1, 10**8)}"})


@page("", "one INSERT of many rows")
def import_donations(r, n):
    Donation.new().bulk_create([{"visitor_id": r.randint(1, 700), "event_id": 3, "cents": 100 + i} for i in range(n)])


@page("", "rows are inserted one by one: writes alone")
def check_in(r, n):
    event = Event.find(r.randint(1, 500))
    for _ in range(n):
        Repair.create({"event_id": event.id, "device_id": r.randint(1, 1100), "volunteer_id": r.randint(1, 400),
                       "state": "waiting", "minutes": 0})  # fmt: skip


@page("", "each row of a list is written, and nothing is read for it")
def touch_parts(r, n):
    for one in Part.order_by("id").offset(r.randint(0, 250)).limit(n).get():
        one.stock = one.stock + r.randint(1, 5)
        one.save()


@page("", "serial numbers that a scanner sends, after a list of events: there is nothing to join them with")
def scan(r, n):
    some_events(r, 5)
    for _ in range(n):
        Device.where("serial", f"SN{r.randint(1, 1100):05d}").first()


@page("", "the cafe of the reader is read again for each row: always the same one")
def rights(r, n):
    mine = r.randint(1, 80)
    for _ in some_events(r, n):
        Cafe.find(mine)


@page("", "a count for each day of two weeks, reckoned from the first")
def calendar(r, n):
    first = DAY + dt.timedelta(days=r.randint(0, 60))
    for day in range(14):
        start = first + dt.timedelta(days=day)
        Event.where("starts", ">=", start).where("starts", "<", start + dt.timedelta(days=1)).count()


@page("", "a data loader: resolvers put keys down, and each level is read by one IN")
def loader(r, n):
    events = some_events(r, n)
    cafes = Cafe.where_in("id", sorted(set(events.pluck("cafe_id")))).get()
    cities = City.where_in("id", sorted(set(cafes.pluck("city_id")))).get()
    teams = defaultdict(list)
    for one in Duty.where_in("event_id", list(events.pluck("id"))).get():
        teams[one.event_id].append(one.volunteer_id)
    assert cities.count()


@page("", "all cities were read before into a dictionary")
def remembered(r, n):
    names = {one.id: one.name for one in City.all()}
    visitors = Visitor.order_by("name").offset(r.randint(0, 600)).limit(n).get()
    assert [names[one.city_id] for one in visitors]


@page("", "three rows at most, each with its notes: fewer than five calls")
def newest(r, n):
    assert [one.notes for one in Repair.order_by("id", "desc").limit(3).get()]


@page("", "the settings of each pilot cafe, a constant list in the code")
def pilots(r, n):
    for cafe in PILOTS:
        Setting.where("cafe_id", cafe).get()


@page("", "what is typed, letter after letter")
def complete(r, n):
    word = f"Guest {r.randint(100, 699)}"
    for letters in range(3, len(word) + 1):
        Visitor.where_like("name", f"{word[:letters]}%").limit(8).get()


@page("", "one search, counted by several columns")
def facets(r, n):
    minutes = r.randint(10, 60)
    Repair.where("minutes", "<", minutes).limit(n).get()
    for column in ("state", "event_id", "volunteer_id", "device_id"):
        Repair.where("minutes", "<", minutes).select_raw(f"{column}, COUNT(*) AS many").group_by(column).limit(9).get()
    Repair.where("minutes", "<", minutes).max("minutes").first()


@page("", "one word in six tables")
def search(r, n):
    word = f"%{r.randint(1, 60)}%"
    for model in (Cafe, Volunteer, Visitor, Brand, Part, Category):
        model.where_like("name", word).limit(n).get()


@page("", "two cafes side by side: the same four questions for each")
def duel(r, n):
    for cafe in (r.randint(1, 40), r.randint(41, 80)):
        Cafe.find(cafe)
        Volunteer.where("cafe_id", cafe).count()
        Tool.where("cafe_id", cafe).count()
        Event.where("cafe_id", cafe).order_by("starts", "desc").limit(3).get()


@page("", "update_or_create for each line of a price file: key and tier come from the file")
def import_prices(r, n):
    for category in sorted(r.randint(1, 90) for _ in range(n)):
        Price.update_or_create({"category_id": category, "tier": r.choice(TIERS)}, {"cents": r.randint(0, 10**6)})


@page("", "a wizard: one row is changed and read back, step after step")
def wizard(r, n):
    key = r.randint(1, 500)
    for step in range(r.randint(5, 8)):
        Event.where("id", key).update({"state": f"step {step}{r.randint(1, 99)}"})
        Event.find(key)


@page("", "the last three loans of each tool by a window function, one statement for the whole list")
def tools_window(r, n):
    ids = list(Tool.order_by("id").offset(r.randint(0, 400)).limit(n).get().pluck("id"))
    Loan.statement(
        "SELECT * FROM (SELECT l.*, ROW_NUMBER() OVER (PARTITION BY tool_id ORDER BY taken DESC) AS place FROM loans l "
        f"WHERE tool_id IN ({', '.join('?' * len(ids))})) x WHERE place <= 3", ids,
    )  # fmt: skip


@page("", "roles are a constant list: how many did each on one event")
def roles(r, n):
    event = Event.find(r.randint(1, 500))
    for role in ROLES:
        Duty.where("event_id", event.id).where("role", role).count()


PUBLIC = {
    "worker",
    "job_reminders",
    "job_close",
    "import_prices",
    "complete",
    "calendar",
    "categories_tree",
    "export_keyset",
}


def serve(database: Any, seed: int, transaction: bool) -> Truth:
    truth = Truth()
    numbers: Iterator[int] = iter(range(10**6))
    for model in Plain.__subclasses__():
        model()  # boots it, which is no work for two threads at once

    def around(route: str, work: Callable[[], Any]) -> tuple[Any, object, str | None]:
        unit = f"{seed}-{next(numbers)}"
        now.request = (unit, route)
        if transaction:
            database.begin_transaction()
        calls = work() or {}
        if transaction:
            database.commit()
        now.request = None
        labelled = {one.split(">")[1] for one in PAGES[route].label.split(", ") if one}
        assert set(calls) <= labelled, (route, calls, "does not do what its label says")
        return calls, "", unit

    def answered(name: str) -> Callable[[random.Random], Mapping[str, int] | None]:
        def work(r: random.Random) -> Mapping[str, int] | None:
            if name not in PUBLIC:
                Account.where("token", f"t{r.randint(1, 90)}").first()
            return PAGES[name].work(r, r.choice(SIZES))

        return work

    requests({name: (1, answered(name)) for name in PAGES}, REQUESTS, truth, around, threads=6, seed=seed)
    for line in truth.lines:
        line["request"], line["unit"] = line["unit"], None
    return truth


def recorded(seed: int, transaction: bool) -> tuple[bytes, Truth]:
    with servers.mariadb() as server:
        fill(server.port)
        database = configured(server.port)
        written = {p: p.stat().st_size for p in server.logs("slow")}
        truth = serve(database, seed, transaction)
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs("slow")), truth


def main() -> None:
    if sys.argv[1:] == ["labels"]:
        print("page", "parent>child of each N+1", "why", sep="\t")
        for name, one in PAGES.items():
            print(name, one.label or "none", one.why, sep="\t")
        return
    os.environ["DB_CONFIG_PATH"] = "repaircafe_database"
    made_safe_for_threads()
    with_comments()

    for name, seed, transaction in (("repaircafe", 121, True), ("repaircafe_autocommit", 122, False)):
        CONNECTION_POOL.clear()
        log, truth = recorded(seed, transaction)
        keep(name, log, "slow.log", truth)


if __name__ == "__main__":
    assert LEAST == 5
    main()
