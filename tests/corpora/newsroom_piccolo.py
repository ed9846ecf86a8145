"""Corpus "newsroom": Piccolo on asyncpg, a pool of four connections that six requests share. Labelled before it was scored.

Once with a transaction for each request, once in autocommit, so that the statements of a request go over several connections.
Values are bound; each statement ends in a comment with its request's id.

``pip install piccolo asyncpg``, then ``python tests/corpora/newsroom_piccolo.py``
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import datetime as dt
import json
import random
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import asyncpg
import servers
from piccolo.columns import ForeignKey, Integer, Timestamp, Varchar
from piccolo.engine.postgres import PostgresEngine
from piccolo.query.functions.aggregate import Avg, Count, Max, Sum
from piccolo.table import Table, create_db_tables
from recording import LEAST, Truth, keep

REQUESTS = 320
SIZES = (5, 8, 12, 20, 30)
STATUSES = ("draft", "review", "legal", "ready", "live", "gone")
SECTIONS = ("home", "world", "sport", "money", "arts", "local")
EDITIONS = ("north", "south", "west", "online", "app")
MONDAY = dt.datetime(2026, 4, 6)
now: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("now", default=None)

DB = PostgresEngine(
    config={
        "host": "127.0.0.1",
        "port": int(sys.argv[2]) if len(sys.argv) > 2 else 1,
        "user": "postgres",
        "database": "shop",
    }
)


class Desk(Table, db=DB):
    name = Varchar()
    above = ForeignKey("self")


class Staff(Table, db=DB):
    name = Varchar()
    login = Varchar(index=True)
    desk = ForeignKey(Desk)
    boss = ForeignKey("self")


class Token(Table, db=DB):
    secret = Varchar(index=True)
    staff = ForeignKey(Staff)


class Flag(Table, db=DB):
    name = Varchar(index=True)
    value = Varchar()


class Topic(Table, db=DB):
    label = Varchar()
    broader = Integer(null=True, index=True)


class Story(Table, db=DB):
    title = Varchar()
    status = Varchar(index=True)
    section = Varchar()
    words = Integer()
    filed = Timestamp(index=True)
    writer = ForeignKey(Staff)
    editor = ForeignKey(Staff)
    topic = ForeignKey(Topic)
    agency_code = Varchar()


class Agency(Table, db=DB):
    code = Varchar(index=True)
    name = Varchar()


class Revision(Table, db=DB):
    story = ForeignKey(Story)
    number = Integer()
    saved = Timestamp()


class Photo(Table, db=DB):
    story = ForeignKey(Story)
    taken_by = ForeignKey(Staff)
    file = Varchar()


class Comment(Table, db=DB):
    story = ForeignKey(Story)
    reader_mail = Varchar()
    reply_to = Integer(null=True, index=True)
    body = Varchar()


class Reader(Table, db=DB):
    mail = Varchar(index=True)
    name = Varchar()


class Subscription(Table, db=DB):
    reader = ForeignKey(Reader)
    edition = Varchar()
    until = Timestamp()


class Placement(Table, db=DB):
    story = ForeignKey(Story)
    edition = Varchar()
    page = Integer()
    day = Integer(index=True)


class Shift(Table, db=DB):
    staff = ForeignKey(Staff)
    begins = Timestamp(index=True)
    ends = Timestamp()


class Click(Table, db=DB):
    story = ForeignKey(Story)
    at = Timestamp(index=True)


class Fee(Table, db=DB):
    section = Varchar()
    status = Varchar()
    cents = Integer()


class Note(Table, db=DB):
    about_kind = Varchar()
    about_id = Integer(index=True)
    body = Varchar()


class Job(Table, db=DB):
    state = Varchar(index=True)
    story = ForeignKey(Story)
    tries = Integer()


TABLES = (Desk, Staff, Token, Flag, Topic, Story, Agency, Revision, Photo, Comment, Reader, Subscription, Placement, Shift,
          Click, Fee, Note, Job)  # fmt: skip


async def fill() -> None:
    await create_db_tables(*TABLES)
    draw = random.Random(2357)

    def some(last: int) -> int:
        return draw.randint(1, last)

    def hours(last: int) -> dt.datetime:
        return MONDAY + dt.timedelta(minutes=some(last * 60))

    def shift(i: int) -> dict[str, Any]:
        begins = hours(900)
        return {"staff": some(120), "begins": begins, "ends": begins + dt.timedelta(hours=8)}

    rows: dict[Any, tuple[int, Any]] = {
        Desk: (30, lambda i: {"name": f"Desk {i}", "above": some(min(i, 8)) if i > 2 else None}),
        Staff: (120, lambda i: {"name": f"Staff {some(999)}", "login": f"l{i}", "desk": some(30),
                                "boss": some(min(i, 15)) if i > 5 else None}),
        Token: (90, lambda i: {"secret": f"s{i}", "staff": some(120)}),
        Flag: (40, lambda i: {"name": f"f{i}", "value": "on"}),
        Topic: (70, lambda i: {"label": f"topic {i}", "broader": some(min(i, 15)) if i > 2 else None}),
        Agency: (60, lambda i: {"code": f"A{i}", "name": f"Agency {i}"}),
        Story: (1200, lambda i: {"title": f"Story {some(999)}", "status": draw.choice(STATUSES), "section": draw.choice(SECTIONS),
                                 "words": some(2000), "filed": hours(900), "writer": some(120), "editor": some(120),
                                 "topic": some(70), "agency_code": f"A{some(59)}"}),
        Revision: (5000, lambda i: {"story": some(1200), "number": some(9), "saved": hours(900)}),
        Photo: (2500, lambda i: {"story": some(1200), "taken_by": some(120), "file": f"p{i}.jpg"}),
        Reader: (500, lambda i: {"mail": f"r{i}@example.net", "name": f"Reader {i}"}),
        Comment: (3000, lambda i: {"story": some(1200), "reader_mail": f"r{some(499)}@example.net",
                                   "reply_to": some(i) if i > 20 and draw.random() < 0.6 else None, "body": "first"}),
        Subscription: (900, lambda i: {"reader": some(500), "edition": draw.choice(EDITIONS), "until": hours(2000)}),
        Placement: (4000, lambda i: {"story": some(1200), "edition": draw.choice(EDITIONS), "page": some(40), "day": some(40)}),
        Shift: (1500, shift),
        Click: (7000, lambda i: {"story": some(1200), "at": hours(900)}),
        Fee: (36, lambda i: {"section": SECTIONS[i % 6], "status": STATUSES[i // 6], "cents": some(9000)}),
        Note: (2500, lambda i: {"about_kind": draw.choice(["story", "staff", "photo"]), "about_id": some(120), "body": "see me"}),
        Job: (500, lambda i: {"state": "queued", "story": some(1200), "tries": 0}),
    }  # fmt: skip
    for table, (count, row) in rows.items():
        for first in range(0, count, 500):
            await table.insert(*[table(**row(i)) for i in range(first, min(first + 500, count))])


async def some_stories(r: random.Random, n: int) -> list[Any]:
    return (
        await Story.objects()
        .where(Story.words > r.randint(1, 400))
        .order_by(Story.title)
        .offset(r.randint(0, 300))
        .limit(n)
    )


async def some_staff(r: random.Random, n: int) -> list[Any]:
    return await Staff.objects().order_by(Staff.name).offset(r.randint(0, 80)).limit(n)


async def some_photos(r: random.Random, n: int) -> list[Any]:
    return await Photo.objects().where(Photo.id > r.randint(1, 2000)).order_by(Photo.id).limit(n)


def positives(transaction: bool) -> dict[str, Any]:
    """Pages that ask once for each row of something: the table, and how often."""

    async def bylines(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await one.get_related(Story.writer)
        return {"staff": len(rows)}

    async def both(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await Staff.objects().get(Staff.id == one.writer)
            await Topic.objects().get(Topic.id == one.topic)
        return {"staff": len(rows), "topic": len(rows)}

    async def history(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await Revision.select().where(Revision.story == one.id).order_by(Revision.number)
        return {"revision": len(rows)}

    async def desks(r: random.Random, n: int) -> dict[str, int]:
        rows, people = await Desk.objects().order_by(Desk.name).offset(r.randint(0, 8)).limit(max(3, n // 4)), 0
        for one in rows:
            for person in await Staff.objects().where(Staff.desk == one.id):
                await Shift.objects().where(Shift.staff == person.id).order_by(Shift.begins, ascending=False).limit(3)
                people += 1
        return {"staff": len(rows), "shift": people}

    async def popular(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await Click.count().where(Click.story == one.id)
        return {"click": len(rows)}

    async def mine(r: random.Random, n: int) -> dict[str, int]:
        me, rows = r.randint(1, 120), await some_stories(r, n)
        for one in rows:
            await Photo.exists().where(Photo.story == one.id, Photo.taken_by == me)
        return {"photo": len(rows)}

    async def bosses(r: random.Random, n: int) -> dict[str, int]:
        rows, asked = await some_staff(r, n), 0
        for one in rows:
            if one.boss:
                await Staff.objects().get(Staff.id == one.boss)
                asked += 1
        return {"staff": asked}

    async def topics(r: random.Random, n: int) -> dict[str, int]:
        asked = 0

        async def below(topic: int) -> None:
            nonlocal asked
            asked += 1
            for one in await Topic.objects().where(Topic.broader == topic):
                if one.id > topic:
                    await below(one.id)

        for root in await Topic.objects().where(Topic.broader.is_null()):
            await below(root.id)
        return {"topic": asked}

    async def thread(r: random.Random, n: int) -> dict[str, int]:
        asked = 0

        async def below(comment: int) -> None:
            nonlocal asked
            asked += 1
            for one in await Comment.objects().where(Comment.reply_to == comment).limit(4):
                if one.id > comment and asked < 40:
                    await below(one.id)

        await below(r.randint(1, 60))
        return {"comment": asked}

    async def notes(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_staff(r, n)
        for one in rows:
            await Note.select().where(Note.about_kind == "staff", Note.about_id == one.id)
        return {"note": len(rows)}

    async def noted(r: random.Random, n: int) -> dict[str, int]:
        rows = await Note.objects().order_by(Note.id, ascending=False).offset(r.randint(0, 900)).limit(n)
        asked = {"story": 0, "staff": 0, "photo": 0}
        for one in rows:
            asked[one.about_kind] += 1
            table = {"story": Story, "staff": Staff, "photo": Photo}[one.about_kind]
            await table.objects().get(table.id == one.about_id)
        return asked

    async def api(r: random.Random, n: int) -> dict[str, int]:
        async def as_json(one: Any) -> dict[str, Any]:
            editor = await one.get_related(Story.editor)
            latest = await Revision.select(Max(Revision.saved)).where(Revision.story == one.id).first()
            return {"title": one.title, "by": editor.name, "saved": latest}

        rows = await some_stories(r, n)
        assert [await as_json(one) for one in rows]
        return {"staff": len(rows), "revision": len(rows)}

    async def captions(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_photos(r, n)
        for one in rows:
            story = await one.get_related(Photo.story)
            await story.get_related(Story.topic)
        return {"story": len(rows), "topic": len(rows)}

    async def lead_photo(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await Photo.objects().where(Photo.story == one.id).order_by(Photo.id).first()
        return {"photo": len(rows)}

    async def fees(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        await Flag.objects().get(Flag.name == "f7")
        for one in rows:
            await Fee.objects().get((Fee.section == one.section) & (Fee.status == one.status))
        return {"fee": len(rows)}

    async def covered(r: random.Random, n: int) -> dict[str, int]:
        rows = (
            await Shift.objects()
            .where(Shift.begins > MONDAY + dt.timedelta(hours=r.randint(1, 700)))
            .order_by(Shift.begins)
            .limit(n)
        )
        for one in rows:
            await Story.select().where(Story.writer == one.staff, Story.filed >= one.begins, Story.filed < one.ends)
        return {"story": len(rows)}

    async def agencies(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await Agency.objects().get(Agency.code == one.agency_code)
        return {"agency": len(rows)}

    async def commenters(r: random.Random, n: int) -> dict[str, int]:
        rows = await Comment.objects().order_by(Comment.id, ascending=False).offset(r.randint(0, 900)).limit(n)
        for one in rows:
            await Reader.objects().get(Reader.mail == one.reader_mail)
        return {"reader": len(rows)}

    async def wall(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_photos(r, n)
        asked = [Staff.select(Staff.name).where(Staff.id == one.taken_by).first() for one in rows]
        if transaction:
            for one in asked:
                await one
        else:
            await asyncio.gather(*(one.run() for one in asked))
        return {"staff": len(rows)}

    async def plain(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_photos(r, n)
        for one in rows:
            await Story.raw(
                "SELECT s.title, t.label FROM story s JOIN topic t ON t.id = s.topic WHERE s.id = {}", one.story
            )
        return {"story": len(rows)}

    async def places(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_stories(r, n)
        for one in rows:
            await (
                Placement.select(Placement.edition, Count(alias="many"))
                .where(Placement.story == one.id)
                .group_by(Placement.edition)
            )
        return {"placement": len(rows)}

    async def one_each(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_photos(r, n)
        for one in rows:
            await Story.select(Story.title).where(Story.id.is_in([one.story]))
        return {"story": len(rows)}

    async def known(r: random.Random, n: int) -> dict[str, int]:
        seen: dict[int, Any] = {}
        for one in await some_staff(r, n):
            if one.desk not in seen:
                seen[one.desk] = await Desk.objects().get(Desk.id == one.desk)
        return {"desk": len(seen)}

    async def pages(r: random.Random, n: int) -> dict[str, int]:
        last, asked = r.randint(1, 900), 0
        for _ in range(3):
            rows = await Story.objects().where(Story.id > last).order_by(Story.id).limit(8)
            for one in rows:
                await Photo.count().where(Photo.story == one.id)
            asked, last = asked + len(rows), rows[-1].id
        return {"photo": asked}

    async def refreshed(r: random.Random, n: int) -> dict[str, int]:
        rows = await Story.objects().where(Story.status == r.choice(STATUSES)).order_by(Story.filed).limit(n)
        for one in rows:
            await one.refresh()
            one.words += 1
            await one.save([Story.words])
        return {"story": len(rows)}

    async def laid_out(r: random.Random, n: int) -> dict[str, int]:
        rows, day = await some_stories(r, n), r.randint(1, 40)
        for one in rows:
            found = await Placement.objects().get((Placement.story == one.id) & (Placement.day == day))
            if found is None:
                await Placement(story=one.id, edition="app", page=1, day=day).save()
            else:
                await Placement.update({Placement.page: 2}).where(Placement.id == found.id)
        return {"placement": len(rows)}

    async def remind(r: random.Random, n: int) -> dict[str, int]:
        rows, seen = await some_staff(r, max(3, n // 4)), 0
        for one in rows:
            for story in await Story.objects().where(Story.editor == one.id, Story.status == "review").limit(6):
                await (
                    Revision.objects()
                    .where(Revision.story == story.id)
                    .order_by(Revision.number, ascending=False)
                    .first()
                )
                seen += 1
        return {"story": len(rows), "revision": seen}

    async def paying(r: random.Random, n: int) -> dict[str, int]:
        rows = await Reader.objects().where(Reader.id > r.randint(1, 400)).order_by(Reader.id).limit(n)
        for one in rows:
            await Subscription.select(Count()).where(Subscription.reader == one.id, Subscription.until > MONDAY).first()
        return {"subscription": len(rows)}

    return {k: v for k, v in locals().items() if callable(v)}


def negatives() -> dict[str, Any]:
    """Pages that ask often without asking for rows one by one."""
    labels: dict[int, str] = {}

    async def joined(r: random.Random, n: int) -> None:
        await Story.objects(Story.writer, Story.topic).where(Story.status == "live").limit(n)
        await Story.count()

    async def columns(r: random.Random, n: int) -> None:
        await (
            Photo.select(Photo.file, Photo.story.title, Photo.taken_by.name)
            .where(Photo.id > r.randint(1, 2000))
            .limit(n)
        )

    async def gathered(r: random.Random, n: int) -> None:
        rows = await some_stories(r, n)
        await Staff.objects().where(Staff.id.is_in([one.writer for one in rows]))
        await Photo.objects().where(Photo.story.is_in([one.id for one in rows]))

    async def chunks(r: random.Random, n: int) -> None:
        ids = [one.id for one in await some_stories(r, 4 * n)]
        for first in range(0, len(ids), 10):
            await Click.select(Click.at).where(Click.story.is_in(ids[first : first + 10])).limit(50)

    async def flags(r: random.Random, n: int) -> None:
        await some_stories(r, n)
        for i in (1, 2, 3, 5, 8, 13, 21):
            await Flag.objects().get(Flag.name == f"f{i}")

    async def dashboard(r: random.Random, n: int) -> None:
        for table in (Story, Photo, Comment, Reader, Click, Job):
            await table.count()

    async def by_status(r: random.Random, n: int) -> None:
        await some_staff(r, n)
        for status in STATUSES:
            await Story.count().where(Story.status == status)

    async def fronts(r: random.Random, n: int) -> None:
        for section in SECTIONS:
            await (
                Story.select(Story.title)
                .where(Story.section == section)
                .order_by(Story.filed, ascending=False)
                .limit(5)
            )

    async def editions(r: random.Random, n: int) -> None:
        story = r.randint(1, 1200)
        await some_photos(r, 5)
        for edition in EDITIONS:
            await Placement.exists().where(Placement.story == story, Placement.edition == edition)

    async def feed(r: random.Random, n: int) -> None:
        last = r.randint(1, 5000)
        for _ in range(r.randint(4, 9)):
            rows = await Click.select(Click.id).where(Click.id > last).order_by(Click.id).limit(25)
            if not rows:
                break
            last = rows[-1]["id"]

    async def offset(r: random.Random, n: int) -> None:
        await Reader.count()
        for page in range(r.randint(5, 8)):
            await Reader.select().order_by(Reader.name).limit(10).offset(10 * page)

    async def wait(r: random.Random, n: int) -> None:
        job = r.randint(1, 500)
        for _ in range(r.randint(5, 10)):
            await Job.objects().get(Job.id == job)

    async def worker(r: random.Random, n: int) -> None:
        for _ in range(r.randint(5, 8)):
            job = await Job.objects().where(Job.state == "queued").order_by(Job.id).first()
            await Story.objects().get(Story.id == job.story)
            await Job.update({Job.state: "done"}).where(Job.id == job.id)

    async def basket(r: random.Random, n: int) -> None:
        await Topic.objects().order_by(Topic.label)
        for _ in range(n):  # the numbers come with the request
            await Photo.objects().get(Photo.id == r.randint(1, 2500))

    async def codes(r: random.Random, n: int) -> None:
        await some_staff(r, 5)
        for _ in range(n):  # so do the codes
            await Agency.objects().get(Agency.code == f"A{r.randint(0, 70)}")

    async def logins(r: random.Random, n: int) -> None:
        for _ in range(n):
            await Staff.objects().get(Staff.login == f"l{r.randint(0, 130)}")

    async def allowed(r: random.Random, n: int) -> None:
        me = r.randint(1, 120)
        for _ in await some_stories(r, n):
            await Staff.objects().get(Staff.id == me)

    async def three(r: random.Random, n: int) -> None:
        for one in await some_stories(r, 3):
            await Photo.objects().where(Photo.story == one.id)

    async def insert(r: random.Random, n: int) -> None:
        for _ in range(n):
            await Click(story=r.randint(1, 1200), at=MONDAY).save()

    async def bulk(r: random.Random, n: int) -> None:
        rows = await some_stories(r, n)
        await Revision.insert(*[Revision(story=one.id, number=1, saved=MONDAY) for one in rows])
        await Story.update({Story.status: "ready"}).where(Story.id.is_in([one.id for one in rows]))

    async def sign_up(r: random.Random, n: int) -> None:
        for _ in range(n):
            mail = f"new{r.randint(1, 10**8)}@example.net"
            if not await Reader.exists().where(Reader.mail == mail):
                await Reader(mail=mail, name="New").save()

    async def tried(r: random.Random, n: int) -> None:
        for one in await Job.objects().order_by(Job.id).offset(r.randint(0, 300)).limit(n):
            await Job.update({Job.tries: Job.tries + 1}).where(Job.id == one.id)

    async def featured(r: random.Random, n: int) -> None:
        await Topic.objects().order_by(Topic.label).limit(n)
        for story in (3, 14, 15, 92, 65, 35):
            await Story.objects().get(Story.id == story)

    async def cached(r: random.Random, n: int) -> dict[str, int]:
        missing = 0
        for one in await some_stories(r, n):
            if one.topic not in labels:
                labels[one.topic] = (await Topic.objects().get(Topic.id == one.topic)).label
                missing += 1
        return {"topic": missing}  # while the cache is cold it is one

    async def claim(r: random.Random, n: int) -> None:
        story = r.randint(1, 1200)
        for _ in range(r.randint(5, 7)):  # somebody else was first
            found = await Story.objects().get(Story.id == story)
            await Story.update({Story.words: found.words + 1}).where(Story.id == story, Story.words == found.words)

    async def calendar(r: random.Random, n: int) -> None:
        first = MONDAY + dt.timedelta(days=r.randint(0, 20))
        await some_staff(r, 7)
        for day in range(7):
            begins = first + dt.timedelta(days=day)
            await Story.count().where(Story.filed >= begins, Story.filed < begins + dt.timedelta(days=1))

    async def hours(r: random.Random, n: int) -> None:
        story, first = r.randint(1, 1200), MONDAY + dt.timedelta(days=r.randint(0, 20))
        for hour in range(8, 20):
            begins = first + dt.timedelta(hours=hour)
            await Click.count().where(
                Click.story == story, Click.at >= begins, Click.at < begins + dt.timedelta(hours=1)
            )

    async def story(r: random.Random, n: int) -> None:
        one = await Story.objects().get(Story.id == r.randint(1, 1200))
        await one.get_related(Story.writer)
        await one.get_related(Story.editor)
        await Photo.objects().where(Photo.story == one.id)
        await Revision.select(Avg(Revision.number)).where(Revision.story == one.id)
        await Agency.objects().get(Agency.code == one.agency_code)

    async def totals(r: random.Random, n: int) -> None:
        await Story.select(Story.section, Sum(Story.words)).group_by(Story.section)
        await Click.select(Max(Click.at)).first()

    return {k: v for k, v in locals().items() if callable(v)}


PUBLIC = {"worker", "wait", "thread", "fronts", "feed", "remind", "wall", "calendar"}


def commented() -> None:
    """Each statement names its request."""
    for name in ("fetch", "execute"):
        send = getattr(asyncpg.Connection, name)

        async def named(self: Any, query: str, *args: Any, send: Any = send, **options: Any) -> Any:
            request = now.get()
            return await send(
                self,
                f"{query} /*request_id='{request[0]}',route='{request[1]}'*/" if request else query,
                *args,
                **options,
            )

        setattr(asyncpg.Connection, name, named)


async def serve(mode: str, seed: int) -> list[dict[str, Any]]:
    transaction = mode == "transaction"
    pages = list((positives(transaction) | negatives()).items())
    draw = random.Random(seed)
    jobs = [(f"{seed}-{i}", *draw.choice(pages)) for i in range(REQUESTS)]
    truth: list[dict[str, Any]] = []
    commented()

    async def request(unit: str, route: str, page: Any) -> dict[str, int] | None:
        r = random.Random(zlib.crc32(unit.encode()))
        async with DB.transaction() if transaction else contextlib.nullcontext():
            if route not in PUBLIC:
                token = await Token.objects().get(Token.secret == f"s{r.randint(0, 89)}")
                await Staff.objects().get(Staff.id == token.staff)
            return await page(r, r.choice(SIZES))

    async def work() -> None:
        while jobs:
            unit, route, page = jobs.pop(0)
            now.set((unit, route))
            start = time.time()
            calls = await asyncio.create_task(request(unit, route, page))
            found = sorted(table for table, count in (calls or {}).items() if count >= LEAST)
            truth.append({"route": route, "start": round(start, 6), "end": round(time.time(), 6), "session": "",
                          "unit": None, "request": unit, "n_plus_one": found})  # fmt: skip
            await asyncio.sleep(0.002 + 0.006 * draw.random())

    await asyncio.gather(*(work() for _ in range(6)))
    return truth


async def application(verb: str, mode: str, seed: str, file: str) -> None:
    await DB.start_connection_pool(min_size=1, max_size=4)
    try:
        if verb == "fill":
            await fill()
        else:
            Path(file).write_text("".join(json.dumps(line) + "\n" for line in await serve(mode, int(seed))))
    finally:
        await DB.close_connection_pool()


def served(server: servers.Server, mode: str, seed: int, ending: str) -> tuple[bytes, Truth]:
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "truth")
        subprocess.run(
            [sys.executable, __file__, "fill", str(server.port), mode, str(seed), file], check=True, timeout=240
        )
        written = {p: p.stat().st_size for p in server.logs(ending)}
        subprocess.run(
            [sys.executable, __file__, "serve", str(server.port), mode, str(seed), file], check=True, timeout=240
        )
        truth = Truth([json.loads(line) for line in Path(file).read_text().splitlines()])
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs(ending)), truth


def main() -> None:
    with servers.postgresql() as server:
        log, truth = served(server, "transaction", 61, "csv")
    keep("newsroom", log, "csv", truth)
    with servers.postgresql() as server:
        log, truth = served(server, "autocommit", 62, "json")
    keep("newsroom_autocommit", log, "json", truth)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        verb, _, mode, seed, file = sys.argv[1:6]
        asyncio.run(application(verb, mode, seed, file))
    else:
        main()
