"""Corpus "observatory": SQLAlchemy on PostgreSQL, jsonlog, a transaction for each request, three connections. Held out.

``python tests/corpora/observatory_sqlalchemy.py``
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable
from typing import Any

import servers
from recording import Truth, keep, requests
from sqlalchemy import Column, ForeignKey, Table, create_engine, func, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

BEGIN = dt.datetime(2026, 3, 1, 19)
KEYS = ("theme", "tz", "units", "banner", "max_seconds", "mail_from", "quota")
STATES = ("planned", "taken", "reduced", "flagged", "failed", "archived")


class Base(DeclarativeBase):
    pass


def key() -> Any:
    return mapped_column(primary_key=True)


team = Table(
    "proposal_astronomer",
    Base.metadata,
    Column("proposal_id", ForeignKey("proposal.id"), primary_key=True),
    Column("astronomer_id", ForeignKey("astronomer.id"), primary_key=True),
)


class Site(Base):
    __tablename__ = "site"
    id: Mapped[int] = key()
    name: Mapped[str]
    telescopes: Mapped[list[Telescope]] = relationship(back_populates="site")


class Telescope(Base):
    __tablename__ = "telescope"
    id: Mapped[int] = key()
    name: Mapped[str]
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    site: Mapped[Site] = relationship(back_populates="telescopes")


class Night(Base):
    __tablename__ = "night"
    id: Mapped[int] = key()
    telescope_id: Mapped[int] = mapped_column(ForeignKey("telescope.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    dusk: Mapped[dt.datetime]
    dawn: Mapped[dt.datetime]
    exposures: Mapped[list[Exposure]] = relationship(back_populates="night")


class Target(Base):
    __tablename__ = "target"
    id: Mapped[int] = key()
    designation: Mapped[str]
    kind: Mapped[str]
    visits: Mapped[int] = mapped_column(default=0)


class Exposure(Base):
    __tablename__ = "exposure"
    id: Mapped[int] = key()
    night_id: Mapped[int] = mapped_column(ForeignKey("night.id"), index=True)
    target_id: Mapped[int] = mapped_column(ForeignKey("target.id"))
    telescope_id: Mapped[int]
    slot: Mapped[int]
    seconds: Mapped[float]
    state: Mapped[str]
    night: Mapped[Night] = relationship(back_populates="exposures")
    target: Mapped[Target] = relationship()


class FilterSlot(Base):
    __tablename__ = "filter_slot"
    telescope_id: Mapped[int] = key()
    slot: Mapped[int] = key()
    band: Mapped[str]


class Weather(Base):
    __tablename__ = "weather"
    id: Mapped[int] = key()
    site_id: Mapped[int] = mapped_column(index=True)
    at: Mapped[dt.datetime]
    wind: Mapped[float]


class Astronomer(Base):
    __tablename__ = "astronomer"
    id: Mapped[int] = key()
    name: Mapped[str]


class Proposal(Base):
    __tablename__ = "proposal"
    id: Mapped[int] = key()
    title: Mapped[str]
    state: Mapped[str]
    pi_id: Mapped[int] = mapped_column(ForeignKey("astronomer.id"))
    pi: Mapped[Astronomer] = relationship()
    team: Mapped[list[Astronomer]] = relationship(secondary=team)


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = key()
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    body: Mapped[str]


class Setting(Base):
    __tablename__ = "setting"
    key: Mapped[str] = key()
    value: Mapped[str]


class Job(Base):
    __tablename__ = "reduction_job"
    id: Mapped[int] = key()
    exposure_id: Mapped[int]
    state: Mapped[str]


class Photometry(Base):
    __tablename__ = "photometry"
    id: Mapped[int] = key()
    shard: Mapped[int] = mapped_column(index=True)
    target_id: Mapped[int]
    mag: Mapped[float]


def fill(s: Session) -> None:
    draw = random.Random(90210)

    def many(model: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        s.execute(insert(model), rows)
        return rows

    def some(last: int) -> int:
        return draw.randint(1, last)

    many(Site, [{"id": i, "name": f"site{i}"} for i in range(1, 10)])
    sites = [site for site in range(1, 10) for _ in range(draw.randint(2, 9))]
    telescopes = many(Telescope, [{"id": i, "name": f"t{i}", "site_id": site} for i, site in enumerate(sites, 1)])
    nights = []
    for i in range(1, 301):
        one, dusk = draw.choice(telescopes), BEGIN + dt.timedelta(days=i)
        place = {"telescope_id": one["id"], "site_id": one["site_id"]}
        nights.append({"id": i, "dusk": dusk, "dawn": dusk + dt.timedelta(hours=10), **place})
    many(Night, nights)
    kinds = ("star", "nova", "galaxy")
    many(Target, [{"id": i, "designation": f"HD {i * 7}", "kind": draw.choice(kinds)} for i in range(1, 401)])
    exposures = []
    for i in range(1, 2001):
        night = draw.choice(nights)
        took = {"seconds": draw.random() * 300, "state": draw.choice(STATES), "slot": some(5), "target_id": some(400)}
        exposures.append({"id": i, "night_id": night["id"], "telescope_id": night["telescope_id"], **took})
    many(Exposure, exposures)
    bands = [(one["id"], slot) for one in telescopes for slot in range(1, 6)]
    many(FilterSlot, [{"telescope_id": one, "slot": slot, "band": "UBVRI"[slot - 1]} for one, slot in bands])
    minutes = [draw.randint(0, 300 * 1440) for _ in range(2500)]
    wind = [{"at": BEGIN + dt.timedelta(minutes=m), "site_id": some(9), "wind": draw.random() * 20} for m in minutes]
    many(Weather, wind)
    many(Astronomer, [{"id": i, "name": f"a{i}"} for i in range(1, 151)])
    states = ("accepted", "accepted", "draft", "rejected")
    proposals = [{"id": i, "title": f"p{i}", "state": draw.choice(states), "pi_id": some(150)} for i in range(1, 251)]
    many(Proposal, proposals)
    members = [(i, a) for i in range(1, 251) for a in draw.sample(range(1, 151), draw.randint(0, 4))]
    many(team, [{"proposal_id": i, "astronomer_id": a} for i, a in members])
    subjects = {"target": 400, "exposure": 2000, "proposal": 250}
    about = [(i, draw.choice(tuple(subjects))) for i in range(1, 201)]
    many(Note, [{"id": i, "subject_type": kind, "subject_id": some(subjects[kind]), "body": "x"} for i, kind in about])
    many(Setting, [{"key": name, "value": "1"} for name in KEYS])
    many(Job, [{"id": i, "exposure_id": some(2000), "state": "waiting"} for i in range(1, 600)])
    shards = [draw.randint(0, 7) for _ in range(2000)]
    many(Photometry, [{"shard": shard, "target_id": some(400), "mag": draw.random() * 20} for shard in shards])
    s.commit()


Asks = Callable[[Session, random.Random], dict[str, int] | None]


def positives() -> dict[str, Asks]:
    """Pages that ask row by row: the table, and how many different values."""

    def nights(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Night).order_by(Night.dusk.desc()).limit(r.choice([3, 6, 10, 15, 25]))
        rows = s.scalars(chosen.offset(r.randint(0, 200))).all()
        for one in rows:
            len(one.exposures)
        return {"exposure": len(rows)}

    def exposures(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Exposure).where(Exposure.seconds > r.random() * 200).order_by(Exposure.id)
        rows = s.scalars(chosen.limit(r.choice([8, 16, 30])).offset(r.randint(0, 300))).all()
        return {"target": len({(one.target.designation, one.target_id) for one in rows})}

    def site_tree(s: Session, r: random.Random) -> dict[str, int]:
        telescopes = s.get_one(Site, r.randint(1, 9)).telescopes
        sums = 0
        for one in telescopes:
            last = select(Night).where(Night.telescope_id == one.id).order_by(Night.dusk.desc()).limit(4)
            for night in s.scalars(last):
                s.scalar(select(func.sum(Exposure.seconds)).where(Exposure.night_id == night.id))
                sums += 1
        return {"night": len(telescopes), "exposure": sums}

    def weather(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Night).where(Night.site_id == r.randint(1, 9)).order_by(Night.id)
        rows = s.scalars(chosen.limit(r.choice([5, 9, 14, 20]))).all()
        for one in rows:
            inside = Weather.at.between(one.dusk, one.dawn)
            asked = select(func.max(Weather.wind), func.avg(Weather.wind))
            s.execute(asked.where(Weather.site_id == one.site_id, inside)).one()
        return {"weather": len(rows)}

    def slots(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Exposure).where(Exposure.state == r.choice(STATES)).order_by(Exposure.seconds)
        rows = s.scalars(chosen.limit(r.choice([7, 12, 24])).offset(r.randint(0, 100))).all()
        for one in rows:
            s.get(FilterSlot, (one.telescope_id, one.slot))
        return {"filter_slot": len({(one.telescope_id, one.slot) for one in rows})}

    def notes(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Note).order_by(Note.id.desc()).limit(r.choice([18, 25, 40])).offset(r.randint(0, 150))
        models, asked = {"target": Target, "exposure": Exposure, "proposal": Proposal}, {}
        for one in s.scalars(chosen).all():
            s.get(models[one.subject_type], one.subject_id)
            asked.setdefault(one.subject_type, set()).add(one.subject_id)
        return {table: len(ids) for table, ids in asked.items()}

    def teams(s: Session, r: random.Random) -> dict[str, int]:
        s.get(Setting, "theme")
        chosen = select(Proposal).where(Proposal.state == "accepted").order_by(Proposal.title)
        rows = s.scalars(chosen.limit(r.choice([5, 10, 20])).offset(r.randint(0, 80))).all()
        for one in rows:
            len(one.team)
        return {"astronomer": len(rows)}

    def workload(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Astronomer.id, Astronomer.name).where(Astronomer.id > r.randint(0, 120))
        rows = s.execute(chosen.order_by(Astronomer.id).limit(r.choice([6, 11, 18]))).all()
        for one in rows:
            counted = select(func.count()).select_from(Proposal)
            s.scalar(counted.where(Proposal.pi_id == one.id, Proposal.state != "draft"))
        return {"proposal": len(rows)}

    def accepted_only(s: Session, r: random.Random) -> dict[str, int]:
        chosen = select(Proposal).order_by(Proposal.id).limit(r.choice([8, 16, 32])).offset(r.randint(0, 200))
        return {"astronomer": len({one.pi.id for one in s.scalars(chosen).all() if one.state == "accepted"})}

    return {k: v for k, v in locals().items() if callable(v)}


def negatives() -> dict[str, Asks]:
    """Pages that ask often without asking for rows one by one."""

    def config(s: Session, r: random.Random) -> None:
        s.scalars(select(Telescope).order_by(Telescope.name).limit(r.choice([5, 10, 20]))).all()
        for name in KEYS:
            s.scalar(select(Setting.value).where(Setting.key == name))

    def board(s: Session, r: random.Random) -> None:
        s.get(Astronomer, r.randint(1, 150))
        for state in STATES:
            s.scalar(select(func.count()).select_from(Exposure).where(Exposure.state == state))

    def export(s: Session, r: random.Random) -> None:
        last = r.randint(0, 400)
        for _ in range(r.randint(6, 12)):
            last = s.scalars(select(Exposure.id).where(Exposure.id > last).order_by(Exposure.id).limit(60)).all()[-1]

    def poll(s: Session, r: random.Random) -> None:
        job = r.randint(1, 599)
        for _ in range(r.randint(6, 16)):
            s.scalar(select(Job.state).where(Job.id == job))
            time.sleep(0.001)

    def retry(s: Session, r: random.Random) -> None:
        target = r.randint(1, 400)
        s.scalar(select(Target.designation).where(Target.id == target))
        for _ in range(r.randint(5, 8)):
            savepoint = s.begin_nested()
            s.execute(update(Target).where(Target.id == target).values(visits=Target.visits + 1))
            s.scalar(select(Target.visits).where(Target.id == target))
            savepoint.rollback()

    def worker(s: Session, r: random.Random, each: bool = True) -> None:
        waiting = select(Job).where(Job.state == "waiting").order_by(Job.id).limit(1)
        for _ in range(r.randint(5, 10)):
            job = s.scalars(waiting.with_for_update(skip_locked=True)).first()
            if job is None:
                return
            s.get(Exposure, job.exposure_id)
            job.state = "done"
            s.commit() if each else s.flush()

    def worker_one_tx(s: Session, r: random.Random) -> None:
        worker(s, r, each=False)

    def shards(s: Session, r: random.Random) -> None:
        target = r.randint(1, 400)
        s.get(Target, target)
        for shard in range(8):
            asked = select(func.count(), func.avg(Photometry.mag))
            s.execute(asked.where(Photometry.shard == shard, Photometry.target_id == target)).one()

    def three(s: Session, r: random.Random) -> None:
        s.scalars(select(Exposure).order_by(Exposure.id).limit(r.choice([5, 20]))).all()
        for target in r.sample(range(1, 401), 3):
            s.scalar(select(Target.designation).where(Target.id == target))

    def eager(s: Session, r: random.Random) -> None:
        loaded = select(Night).options(selectinload(Night.exposures).selectinload(Exposure.target))
        for one in s.scalars(loaded.order_by(Night.id).limit(r.choice([5, 10, 25])).offset(r.randint(0, 200))):
            [exposure.target.kind for exposure in one.exposures]

    def joined(s: Session, r: random.Random) -> None:
        loaded = select(Exposure).options(joinedload(Exposure.target), joinedload(Exposure.night))
        for one in s.scalars(loaded.order_by(Exposure.id).limit(r.choice([10, 30])).offset(r.randint(0, 1000))):
            one.target.kind

    def bulk(s: Session, r: random.Random) -> None:
        target = r.randint(1, 400)
        s.get(Target, target)
        many = range(r.randint(10, 30))
        s.add_all([Photometry(shard=r.randint(0, 7), target_id=target, mag=r.random()) for _ in many])
        s.flush()
        for _ in range(r.randint(5, 9)):
            s.add(Weather(site_id=r.randint(1, 9), at=BEGIN, wind=r.random()))
            s.flush()

    def whoami(s: Session, r: random.Random) -> None:
        me = r.randint(1, 150)
        chosen = select(Night).order_by(Night.id).limit(r.choice([6, 12, 20])).offset(r.randint(0, 200))
        for _ in s.scalars(chosen).all():
            s.scalar(select(Astronomer.name).where(Astronomer.id == me))

    def client_ids(s: Session, r: random.Random) -> None:
        s.get(Astronomer, r.randint(1, 150))
        for target in r.sample(range(1, 401), r.randint(5, 15)):
            s.scalar(select(Target.designation).where(Target.id == target))

    return {k: v for k, v in locals().items() if callable(v)}


def main() -> None:
    with servers.postgresql() as server:
        url = f"postgresql+psycopg://postgres@127.0.0.1:{server.port}/shop"
        setup = create_engine(url)
        Base.metadata.create_all(setup)
        with Session(setup) as s:
            fill(s)
        setup.dispose()
        written = {p: p.stat().st_size for p in server.logs("json")}
        engine, truth = create_engine(url, pool_size=3), Truth()
        ends = random.Random(1)

        def around(route: str, work: Any) -> tuple[Any, object, None]:
            with Session(engine) as s:
                pid = s.connection().connection.dbapi_connection.info.backend_pid  # a worker's commits may change it
                found = work()(s)
                if ends.random() < 0.7:
                    s.commit()  # the others only read, and are rolled back
                return found, pid, None

        pages = {
            name: (weight, lambda r, page=page: lambda s: page(s, r))
            for weight, group in ((13, positives()), (11, negatives()))
            for name, page in group.items()
        }
        requests(pages, 271, truth, around, threads=3)
        engine.dispose()
        log = b"".join(p.read_bytes()[written.get(p, 0) :] for p in server.logs("json"))
    keep("observatory", log, "json", truth)


if __name__ == "__main__":
    main()
