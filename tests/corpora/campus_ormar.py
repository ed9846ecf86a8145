"""Corpus "campus": ormar on asyncio, a pool of four connections that six requests share. Held out.

On MariaDB a transaction for each request; on PostgreSQL autocommit with bound parameters, so that the statements of a request go
over several connections, between those of others. Each statement ends in a comment with its request's id.

``pip install "ormar[postgresql,mysql]"``, then ``python tests/corpora/campus_ormar.py``
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
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import ormar
import servers
import sqlalchemy
from recording import LEAST, Truth, keep

REQUESTS = 300
SIZES = (5, 8, 12, 20, 30)
GRADES = ("A", "B", "C", "D", "E", "F")
LEVELS = ("bachelor", "master", "doctor")
KINDS = ("lecture", "seminar", "lab", "exam", "excursion")
MONDAY = dt.datetime(2026, 3, 2)
FEATURED = (2, 4, 5, 7, 9, 11)
now: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("now", default=None)

database = ormar.DatabaseConnection(sys.argv[2] if len(sys.argv) > 2 else "", pool_size=4, max_overflow=0)
base = ormar.OrmarConfig(database=database, metadata=sqlalchemy.MetaData())


def key() -> Any:
    return ormar.Integer(primary_key=True)


def text(length: int = 60) -> Any:
    return ormar.String(max_length=length, nullable=True)


def number() -> Any:
    return ormar.Integer(nullable=True, index=True)


class Setting(ormar.Model):
    ormar_config = base.copy(tablename="settings")
    id: int = key()
    name: str = ormar.String(max_length=40, index=True)
    value: str = text()


class Building(ormar.Model):
    ormar_config = base.copy(tablename="buildings")
    id: int = key()
    name: str = text()


class Room(ormar.Model):
    ormar_config = base.copy(tablename="rooms")
    id: int = key()
    building: Building | None = ormar.ForeignKey(Building, related_name="rooms")
    name: str = text()
    seats: int = number()


class Department(ormar.Model):
    ormar_config = base.copy(tablename="departments")
    id: int = key()
    name: str = text()
    parent_id: int = number()


class Lecturer(ormar.Model):
    ormar_config = base.copy(tablename="lecturers")
    id: int = key()
    name: str = text()
    department: Department | None = ormar.ForeignKey(Department, related_name="lecturers", name="department_id")
    supervisor_id: int = number()


class Student(ormar.Model):
    ormar_config = base.copy(tablename="students")
    id: int = key()
    name: str = text()
    token: str = ormar.String(max_length=40, index=True)
    level: str = text(12)
    department: Department | None = ormar.ForeignKey(Department, related_name="students", name="department_id")


class Course(ormar.Model):
    ormar_config = base.copy(tablename="courses")
    id: int = key()
    code: str = ormar.String(max_length=12, index=True)
    title: str = text()
    points: int = number()
    department: Department | None = ormar.ForeignKey(Department, related_name="courses", name="department_id")
    lecturer: Lecturer | None = ormar.ForeignKey(Lecturer, related_name="courses", name="lecturer_id")


class Prerequisite(ormar.Model):
    ormar_config = base.copy(tablename="prerequisites")
    id: int = key()
    course_id: int = number()
    needs_id: int = number()


class Topic(ormar.Model):
    ormar_config = base.copy(tablename="topics")
    id: int = key()
    name: str = text(40)
    courses: list[Course] | None = ormar.ManyToMany(Course, related_name="topics")


class Session(ormar.Model):
    ormar_config = base.copy(tablename="sessions")
    id: int = key()
    course: Course | None = ormar.ForeignKey(Course, related_name="sessions", name="course_id")
    room: Room | None = ormar.ForeignKey(Room, related_name="sessions", name="room_id")
    kind: str = text(12)
    begins: dt.datetime = ormar.DateTime(index=True)
    ends: dt.datetime = ormar.DateTime()


class Enrolment(ormar.Model):
    ormar_config = base.copy(tablename="enrolments")
    id: int = key()
    student: Student | None = ormar.ForeignKey(Student, related_name="enrolments", name="student_id")
    course: Course | None = ormar.ForeignKey(Course, related_name="enrolments", name="course_id")
    grade: str = text(2)


class Assignment(ormar.Model):
    ormar_config = base.copy(tablename="assignments")
    id: int = key()
    course: Course | None = ormar.ForeignKey(Course, related_name="assignments", name="course_id")
    title: str = text()
    due: dt.datetime = ormar.DateTime(index=True)


class Submission(ormar.Model):
    ormar_config = base.copy(tablename="submissions")
    id: int = key()
    assignment: Assignment | None = ormar.ForeignKey(Assignment, related_name="submissions", name="assignment_id")
    student: Student | None = ormar.ForeignKey(Student, related_name="submissions", name="student_id")
    points: int = number()
    handed: dt.datetime = ormar.DateTime()


class Exam(ormar.Model):
    ormar_config = base.copy(tablename="exams")
    id: int = key()
    course_code: str = ormar.String(max_length=12, index=True)
    begins: dt.datetime = ormar.DateTime(index=True)


class Rate(ormar.Model):
    ormar_config = base.copy(tablename="rates")
    id: int = key()
    department_id: int = number()
    level: str = text(12)
    cents: int = number()


class Notice(ormar.Model):
    ormar_config = base.copy(tablename="notices")
    id: int = key()
    author_kind: str = text(12)
    author_id: int = number()
    body: str = text(80)


class Attachment(ormar.Model):
    ormar_config = base.copy(tablename="attachments")
    id: int = key()
    owner_kind: str = text(12)
    owner_id: int = number()
    file: str = text(80)


class Mail(ormar.Model):
    ormar_config = base.copy(tablename="mails")
    id: int = key()
    student_id: int = number()
    state: str = text(12)
    tries: int = number()


async def fill() -> None:
    draw = random.Random(1618)

    def some(last: int) -> int:
        return draw.randint(1, last)

    def hours(last: int) -> dt.datetime:
        return MONDAY + dt.timedelta(hours=some(last))

    def session(i: int) -> dict[str, Any]:
        begins = hours(1500)
        return {"course_id": some(220), "room_id": some(60), "kind": draw.choice(KINDS), "begins": begins,
                "ends": begins + dt.timedelta(minutes=45 * some(4))}  # fmt: skip

    rows: dict[Any, tuple[int, Any]] = {
        Setting: (40, lambda i: {"name": f"s{i}", "value": f"v{i}"}),
        Building: (12, lambda i: {"name": f"House {i}"}),
        Room: (60, lambda i: {"building": some(12), "name": f"Room {i}", "seats": 10 * some(30)}),
        Department: (40, lambda i: {"name": f"Dept {i}", "parent_id": some(min(i, 8)) if i > 3 else None}),
        Lecturer: (120, lambda i: {"name": f"Dr {i}", "department_id": some(40), "supervisor_id": some(20) if i > 6 else None}),
        Student: (600, lambda i: {"name": f"Student {i}", "token": f"tok{i}", "level": draw.choice(LEVELS),
                                  "department_id": some(40)}),
        Course: (220, lambda i: {"code": f"C-{i}", "title": f"Course {i}", "points": some(12), "department_id": some(40),
                                 "lecturer_id": some(120)}),
        Prerequisite: (500, lambda i: {"course_id": some(220), "needs_id": some(220)}),
        Topic: (30, lambda i: {"name": f"topic {i}"}),
        Topic.ormar_config.model_fields["courses"].through: (600, lambda i: {"course": some(220), "topic": some(30)}),
        Session: (2500, session),
        Enrolment: (4000, lambda i: {"student_id": some(600), "course_id": some(220), "grade": draw.choice(GRADES)}),
        Assignment: (900, lambda i: {"course_id": some(220), "title": f"Sheet {i}", "due": hours(1500)}),
        Submission: (6000, lambda i: {"assignment_id": some(900), "student_id": some(600), "points": some(20),
                                      "handed": hours(1500)}),
        Exam: (400, lambda i: {"course_code": f"C-{some(219)}", "begins": hours(1500)}),
        Rate: (120, lambda i: {"department_id": 1 + i % 40, "level": LEVELS[i // 40], "cents": some(90000)}),
        Notice: (800, lambda i: {"author_kind": draw.choice(["lecturer"] * 4 + ["student"]), "author_id": some(120),
                                 "body": "read"}),
        Attachment: (2000, lambda i: {"owner_kind": draw.choice(["course", "notice", "assignment"]), "owner_id": some(400),
                                      "file": f"f{i}"}),
        Mail: (500, lambda i: {"student_id": some(600), "state": "queued", "tries": 0}),
    }  # fmt: skip
    async with database.engine.begin() as connection:
        await connection.run_sync(base.metadata.create_all)
        tables = base.metadata.tables
        for model, (count, row) in rows.items():
            name = model.ormar_config.tablename
            await connection.execute(tables[name].insert(), [row(i) for i in range(count)])


async def together(transaction: bool, work: Iterable[Awaitable[Any]]) -> list[Any]:
    """At once where each statement may take a connection of its own, else one after the other."""
    if not transaction:
        return list(await asyncio.gather(*work))
    return [await one for one in work]


async def some_courses(r: random.Random, n: int) -> list[Course]:
    return (
        await Course.objects.filter(points__gt=r.randint(1, 4))
        .order_by("title")
        .offset(r.randint(0, 60))
        .limit(n)
        .all()
    )


async def some_sessions(r: random.Random, n: int) -> list[Session]:
    first = MONDAY + dt.timedelta(hours=r.randint(1, 1000))
    return await Session.objects.filter(begins__gte=first).order_by(["begins", "id"]).limit(n).all()


async def some_assignments(r: random.Random, n: int) -> list[Assignment]:
    first = MONDAY + dt.timedelta(hours=r.randint(1, 1000))
    return await Assignment.objects.filter(due__gt=first).order_by("due").limit(n).all()


def positives(transaction: bool) -> dict[str, Any]:
    """Pages that ask once for each row of something: the table, and how often."""

    async def courses(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_courses(r, n)
        for one in rows:
            await one.lecturer.load()
        return {"lecturers": len(rows)}

    async def catalogue(r: random.Random, n: int) -> dict[str, int]:
        rows = await Department.objects.order_by("name").offset(r.randint(0, 8)).limit(n).all()
        for one in rows:
            await one.courses.order_by("code").all()
        return {"courses": len(rows)}

    async def timetable(r: random.Random, n: int) -> dict[str, int]:
        rows, seen = await some_courses(r, max(3, n // 3)), 0
        for one in rows:
            for session in await Session.objects.filter(course=one.id).order_by("begins").all():
                await session.room.load()
                seen += 1
        return {"sessions": len(rows), "rooms": seen}

    async def popularity(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_courses(r, n)
        for one in rows:
            await one.enrolments.count()
        return {"enrolments": len(rows)}

    async def am_i_in(r: random.Random, n: int) -> dict[str, int]:
        me = await Student.objects.get(id=r.randint(1, 600))
        rows = await some_courses(r, n)
        for one in rows:
            await Enrolment.objects.filter(student=me.id, course=one.id).exists()
        return {"enrolments": len(rows)}

    async def topics(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_courses(r, n)
        for one in rows:
            await one.topics.all()
        return {"topics": len(rows)}

    async def supervisors(r: random.Random, n: int) -> dict[str, int]:
        rows, asked = await Lecturer.objects.filter(id__gt=r.randint(1, 80)).order_by("id").limit(n).all(), 0
        for one in rows:
            if one.supervisor_id:
                await Lecturer.objects.get(id=one.supervisor_id)
                asked += 1
        return {"lecturers": asked}

    async def organisation(r: random.Random, n: int) -> dict[str, int]:
        asked = 0

        async def below(parent: int) -> None:
            nonlocal asked
            asked += 1
            for child in await Department.objects.filter(parent_id=parent).order_by("name").all():
                if child.id > parent:
                    await below(child.id)

        await below(r.randint(1, 3))
        return {"departments": asked}

    async def board(r: random.Random, n: int) -> dict[str, int]:
        rows = await Notice.objects.order_by("-id").offset(r.randint(0, 500)).limit(n).all()
        lecturers = students = 0
        for one in rows:
            if one.author_kind == "lecturer":
                await Lecturer.objects.get_or_none(id=one.author_id)
                lecturers += 1
            else:
                await Student.objects.get_or_none(id=one.author_id)
                students += 1
        return {"lecturers": lecturers, "students": students}

    async def files(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_assignments(r, n)
        for one in rows:
            await Attachment.objects.filter(owner_kind="assignment", owner_id=one.id).all()
        return {"attachments": len(rows)}

    async def as_json(one: Course) -> dict[str, Any]:
        await one.department.load()
        return {
            "title": one.title,
            "by": one.department.name,
            "hours": await Session.objects.filter(course__id=one.id).count(),
        }

    async def api_courses(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_courses(r, n)
        assert [await as_json(one) for one in rows]
        return {"departments": len(rows), "sessions": len(rows)}

    async def last_hand_in(r: random.Random, n: int) -> dict[str, int]:
        rows = await Student.objects.filter(department=r.randint(1, 40)).limit(n).all()
        for one in rows:
            await Submission.objects.filter(student=one.id).order_by("-handed").first_or_none()
        return {"submissions": len(rows)}

    async def averages(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_assignments(r, n)
        for one in rows:
            await Submission.objects.filter(assignment=one.id).avg("points")
        return {"submissions": len(rows)}

    async def invoices(r: random.Random, n: int) -> dict[str, int]:
        rows = await Student.objects.filter(id__gt=r.randint(1, 500)).order_by("id").limit(n).all()
        await Setting.objects.get(name="s3")
        for one in rows:
            await Rate.objects.get(department_id=one.department.id, level=one.level)
        return {"rates": len(rows)}

    async def clashes(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_sessions(r, n)
        for one in rows:
            await Session.objects.filter(room=one.room.id, begins__gte=one.begins, begins__lt=one.ends).all()
        return {"sessions": len(rows)}

    async def exam_plan(r: random.Random, n: int) -> dict[str, int]:
        rows = (
            await Exam.objects.filter(begins__gt=MONDAY + dt.timedelta(hours=r.randint(1, 1200)))
            .order_by("begins")
            .limit(n)
            .all()
        )
        for one in rows:
            await Course.objects.get_or_none(code=one.course_code)
        return {"courses": len(rows)}

    async def required(r: random.Random, n: int) -> dict[str, int]:
        rows, needed = await some_courses(r, max(3, n // 2)), 0
        for one in rows:
            for link in await Prerequisite.objects.filter(course_id=one.id).all():
                await Course.objects.get(id=link.needs_id)
                needed += 1
        return {"prerequisites": len(rows), "courses": needed}

    async def remind(r: random.Random, n: int) -> dict[str, int]:
        """The nightly job: who has not handed in yet gets a mail."""
        rows, asked = await some_assignments(r, max(3, n // 4)), 0
        late = []
        for one in rows:
            for enrolment in await Enrolment.objects.filter(course=one.course.id).limit(10).all():
                if not await Submission.objects.filter(assignment=one.id, student=enrolment.student.id).exists():
                    late.append(Mail(student_id=enrolment.student.id, state="queued", tries=0))
                asked += 1
        if late:
            await Mail.objects.bulk_create(late)
        return {"enrolments": len(rows), "submissions": asked}

    async def houses(r: random.Random, n: int) -> dict[str, int]:
        rows, known = await Room.objects.filter(seats__gt=r.randint(10, 60)).order_by("name").limit(n).all(), {}
        for one in rows:  # asks for each house once only
            if one.building.id not in known:
                known[one.building.id] = await Building.objects.get(id=one.building.id)
        return {"buildings": len(known)}

    async def faces(r: random.Random, n: int) -> dict[str, int]:
        rows = await Enrolment.objects.filter(course=r.randint(1, 220)).limit(n).all()
        await together(transaction, [one.student.load() for one in rows])
        return {"students": len(rows)}

    async def rooms_sql(r: random.Random, n: int) -> dict[str, int]:
        rows = await some_sessions(r, n)
        for one in rows:
            async with database.get_query_executor() as executor:
                asked = sqlalchemy.text(
                    "SELECT r.name, b.name AS house FROM rooms r JOIN buildings b ON b.id = r.building WHERE r.id = :room"
                )
                await executor.fetch_all(asked.bindparams(room=one.room.id))
        return {"rooms": len(rows)}

    async def balance(r: random.Random, n: int) -> dict[str, int]:
        rows = (
            await Enrolment.objects.filter(grade=r.choice(GRADES))
            .order_by("-id")
            .offset(r.randint(0, 300))
            .limit(n)
            .all()
        )
        for one in rows:
            total = await Submission.objects.filter(student=one.student.id).sum("points")
            await one.update(grade=GRADES[int(total or 0) % len(GRADES)])
        return {"submissions": len(rows)}

    return {k: v for k, v in locals().items() if callable(v) and k not in ("as_json",)}


def negatives() -> dict[str, Any]:
    """Pages that ask often without asking for rows one by one."""
    halls: dict[int, str] = {}

    async def joined(r: random.Random, n: int) -> None:
        await Course.objects.select_related(["lecturer", "department"]).filter(points__lt=9).limit(n).all()
        await Course.objects.count()

    async def prefetched(r: random.Random, n: int) -> None:
        await (
            Department.objects.prefetch_related(["courses__sessions", "lecturers"])
            .filter(id__gt=r.randint(1, 30))
            .limit(4)
            .all()
        )

    async def batches(r: random.Random, n: int) -> None:
        ids = [one.id for one in await some_assignments(r, 4 * n)]
        for first in range(0, len(ids), 10):
            await Submission.objects.filter(assignment__in=ids[first : first + 10]).all()

    async def gathered(r: random.Random, n: int) -> None:
        rows = await some_sessions(r, n)
        rooms = {one.id: one for one in await Room.objects.filter(id__in=[one.room.id for one in rows]).all()}
        await Building.objects.filter(id__in=list({one.building.id for one in rooms.values()})).all()

    async def configured(r: random.Random, n: int) -> None:
        await some_courses(r, n)
        for name in ("s1", "s2", "s5", "s8", "s13", "s21", "s34"):
            await Setting.objects.get(name=name)

    async def dashboard(r: random.Random, n: int) -> None:
        for model in (Student, Lecturer, Course, Room, Session, Enrolment, Submission, Exam):
            await model.objects.count()

    async def by_grade(r: random.Random, n: int) -> None:
        await some_courses(r, n)
        for grade in GRADES:
            await Enrolment.objects.filter(grade=grade).count()

    async def week(r: random.Random, n: int) -> None:
        monday = MONDAY + dt.timedelta(weeks=r.randint(0, 7))
        await Room.objects.order_by("name").limit(7).all()
        for day in range(7):
            first = monday + dt.timedelta(days=day)
            await (
                Session.objects.filter(begins__gte=first, begins__lt=first + dt.timedelta(days=1))
                .order_by("begins")
                .limit(5)
                .all()
            )

    async def export(r: random.Random, n: int) -> None:
        last = r.randint(1, 3000)
        for _ in range(r.randint(4, 9)):
            page = await Enrolment.objects.filter(id__gt=last).order_by("id").limit(20).all()
            if not page:
                break
            last = page[-1].id

    async def paged(r: random.Random, n: int) -> None:
        await Student.objects.filter(level="master").count()
        for page in range(1, r.randint(5, 8)):
            await Student.objects.filter(level="master").order_by("name").paginate(page, page_size=8).all()

    async def wait(r: random.Random, n: int) -> None:
        mail = r.randint(1, 500)
        for _ in range(r.randint(5, 10)):
            await Mail.objects.get(id=mail)

    async def worker(r: random.Random, n: int) -> None:
        for _ in range(r.randint(5, 8)):
            mail = await Mail.objects.filter(state="queued").order_by("id").first_or_none()
            if mail is None:
                break
            await Student.objects.get(id=mail.student_id)
            await mail.update(state="sent")

    async def chosen(r: random.Random, n: int) -> None:
        await Topic.objects.order_by("name").all()  # the codes come with the form
        for _ in range(n):
            await Course.objects.get_or_none(code=f"C-{r.randint(1, 230)}")

    async def allowed(r: random.Random, n: int) -> None:
        me = r.randint(1, 120)
        for _ in await some_courses(r, n):
            await Lecturer.objects.get(id=me)

    async def three(r: random.Random, n: int) -> None:
        for one in await some_courses(r, 3):
            await one.sessions.all()

    async def sign_up(r: random.Random, n: int) -> None:
        for _ in range(n):
            await Enrolment.objects.create(student=r.randint(1, 600), course=r.randint(1, 220), grade="A")

    async def upload(r: random.Random, n: int) -> None:
        rows = await some_assignments(r, n)
        await Attachment.objects.bulk_create(
            [Attachment(owner_kind="assignment", owner_id=one.id, file="x.pdf") for one in rows]
        )

    async def regrade(r: random.Random, n: int) -> None:
        rows = await Submission.objects.filter(points__lt=3).offset(r.randint(0, 300)).limit(n).all()
        for one in rows:
            one.points = one.points + 1
        await Submission.objects.bulk_update(rows, columns=["points"])

    async def marked(r: random.Random, n: int) -> None:
        for one in await Mail.objects.filter(state="queued").order_by("-id").limit(n).all():
            await one.update(tries=one.tries + 1)

    async def tagged(r: random.Random, n: int) -> None:
        for _ in range(n):
            await Topic.objects.get_or_create(name=f"new {r.randint(1, 10**8)}")

    async def front(r: random.Random, n: int) -> None:
        await Notice.objects.order_by("-id").limit(n).all()
        for department in FEATURED:
            await Department.objects.get(id=department)

    async def where(r: random.Random, n: int) -> dict[str, int]:
        missing = 0
        for one in await some_sessions(r, n):
            if one.room.id not in halls:
                halls[one.room.id] = (await Room.objects.get(id=one.room.id)).name
                missing += 1
        return {"rooms": missing}  # while the cache is cold it is one

    async def reserve(r: random.Random, n: int) -> None:
        room = r.randint(1, 60)
        for _ in range(r.randint(5, 7)):  # somebody else was first
            found = await Room.objects.get(id=room)
            await Room.objects.filter(id=room, seats=found.seats).update(seats=found.seats + 1)

    async def me(r: random.Random, n: int) -> None:
        one = await Student.objects.get(id=r.randint(1, 600))
        await one.department.load()
        await one.enrolments.limit(5).all()
        await Submission.objects.filter(student=one.id).order_by("-handed").limit(5).all()
        await Rate.objects.get(department_id=one.department.id, level=one.level)

    async def statistics(r: random.Random, n: int) -> None:
        await Submission.objects.filter(assignment__course__department__id=r.randint(1, 40)).avg("points")
        async with database.get_query_executor() as executor:
            await executor.fetch_all(sqlalchemy.text("SELECT grade, count(*) AS many FROM enrolments GROUP BY grade"))
        await Session.objects.filter(kind="exam").max("begins")

    return {k: v for k, v in locals().items() if callable(v)}


def commented(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> tuple[str, Any]:
    request = now.get()
    return (f"{statement} /*request_id='{request[0]}',route='{request[1]}'*/" if request else statement), parameters


async def serve(mode: str, seed: int) -> list[dict[str, Any]]:
    transaction = mode == "transaction"
    pages = list((positives(transaction) | negatives()).items())
    public = {"week", "worker", "wait", "remind", "faces", "catalogue"}
    draw = random.Random(seed)
    jobs = [(f"{seed}-{i}", *draw.choice(pages)) for i in range(REQUESTS)]
    truth: list[dict[str, Any]] = []
    sqlalchemy.event.listen(database.engine.sync_engine, "before_cursor_execute", commented, retval=True)

    async def request(unit: str, route: str, page: Any) -> dict[str, int] | None:
        r = random.Random(zlib.crc32(unit.encode()))
        async with database.transaction() if transaction else contextlib.nullcontext():
            if route not in public:
                await Student.objects.get(token=f"tok{r.randint(0, 599)}")
                await Setting.objects.get(name="s0")
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
    await database.connect()
    try:
        if verb == "fill":
            await fill()
        else:
            Path(file).write_text("".join(json.dumps(line) + "\n" for line in await serve(mode, int(seed))))
    finally:
        await database.disconnect()


def served(url: str, server: servers.Server, mode: str, seed: int, ending: str) -> tuple[bytes, Truth]:
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "truth")
        subprocess.run([sys.executable, __file__, "fill", url, mode, str(seed), file], check=True, timeout=240)
        written = {p: p.stat().st_size for p in server.logs(ending)}
        subprocess.run([sys.executable, __file__, "serve", url, mode, str(seed), file], check=True, timeout=240)
        truth = Truth([json.loads(line) for line in Path(file).read_text().splitlines()])
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs(ending)), truth


def main() -> None:
    with servers.mariadb() as server:
        log, truth = served(f"mysql+aiomysql://root@127.0.0.1:{server.port}/shop", server, "transaction", 31, "slow")
    keep("campus", log, "slow.log", truth)
    with servers.postgresql() as server:
        log, truth = served(
            f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/shop", server, "autocommit", 32, "csv"
        )
    keep("campus_autocommit", log, "csv", truth)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        verb, _, mode, seed, file = sys.argv[1:6]
        asyncio.run(application(verb, mode, seed, file))
    else:
        main()
