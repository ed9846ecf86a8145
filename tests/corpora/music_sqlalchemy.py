"""Corpus "music": SQLAlchemy on SQLite, perflab's recorder, request ids. ``python tests/corpora/music_sqlalchemy.py``"""

from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

from recording import Truth, keep, requests
from sqlalchemy import ForeignKey, create_engine, event, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

from perflab.recorders.context import unit_of_work
from perflab.recorders.sqlalchemy import record_queries


class Base(DeclarativeBase):
    pass


class Label(Base):
    __tablename__ = "labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Artist(Base):
    __tablename__ = "artists"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    albums: Mapped[list[Album]] = relationship(back_populates="artist")


class Album(Base):
    __tablename__ = "albums"
    id: Mapped[int] = mapped_column(primary_key=True)
    artist_id: Mapped[int] = mapped_column(ForeignKey("artists.id"))
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    title: Mapped[str]
    artist: Mapped[Artist] = relationship(back_populates="albums")
    label: Mapped[Label] = relationship()
    tracks: Mapped[list[Track]] = relationship(back_populates="album")


class Track(Base):
    __tablename__ = "tracks"
    id: Mapped[int] = mapped_column(primary_key=True)
    album_id: Mapped[int] = mapped_column(ForeignKey("albums.id"))
    title: Mapped[str]
    seconds: Mapped[int]
    album: Mapped[Album] = relationship(back_populates="tracks")


class Play(Base):
    __tablename__ = "plays"
    id: Mapped[int] = mapped_column(primary_key=True)
    track_id: Mapped[int] = mapped_column(ForeignKey("tracks.id"))
    listener: Mapped[str]
    day: Mapped[int]


class Entry(Base):
    __tablename__ = "playlist_entries"
    playlist_id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    track_id: Mapped[int]


class Setting(Base):
    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Job(Base):
    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    payload: Mapped[str]


class Usage(Base):
    __tablename__ = "usage"
    id: Mapped[int] = mapped_column(primary_key=True)
    shard: Mapped[int]
    bytes_used: Mapped[int]


def fill(engine: Any) -> None:
    draw = random.Random(3)
    Base.metadata.create_all(engine)
    with Session(engine) as s, s.begin():
        s.add_all(Label(id=i, name=f"label {i}") for i in range(1, 61))
        s.add_all(Artist(id=i, name=f"artist {i}") for i in range(1, 121))
        s.flush()
        s.add_all(
            Album(id=i, artist_id=1 + i % 120, label_id=draw.randint(1, 60), title=f"album {i}") for i in range(1, 481)
        )
        s.flush()
        s.add_all(
            Track(id=i, album_id=1 + i % 480, title=f"track {i}", seconds=draw.randint(90, 400)) for i in range(1, 1921)
        )
        s.add_all(
            Play(id=i, track_id=draw.randint(1, 1920), listener=f"u{i % 50}", day=draw.randint(1, 90))
            for i in range(1, 3000)
        )
        s.add_all(
            Entry(playlist_id=p, position=i, track_id=draw.randint(1, 1920)) for p in range(1, 30) for i in range(1, 20)
        )
        s.add_all(Setting(name=f"key.{i}", value="x") for i in range(20))
        s.add_all(Job(id=i, state="queued", payload="{}") for i in range(1, 4000))
        s.add_all(Usage(shard=i % 8, bytes_used=i) for i in range(400))


def pages(engine: Any) -> dict[str, Any]:
    serial = itertools.count(100_000)

    def session() -> Session:
        return Session(engine)

    def artists(rng: random.Random) -> dict[str, int]:
        n = rng.choice([3, 5, 8, 12, 20])
        with session() as s:
            found = s.scalars(select(Artist).order_by(Artist.name).offset(rng.randint(0, 90)).limit(n)).all()
            [len(a.albums) for a in found]
        return {"albums": len(found)}

    def album_list(rng: random.Random) -> dict[str, int]:
        n = rng.choice([4, 7, 10, 15])
        with session() as s:
            found = s.scalars(select(Album).where(Album.title.like(f"%{rng.randint(0, 9)}%")).limit(n)).all()
            names = {a.artist_id for a in found}, {a.label_id for a in found}
            [(a.artist.name, a.label.name) for a in found]
        return {"artists": len(names[0]), "labels": len(names[1])}

    def nested(rng: random.Random) -> dict[str, int]:
        n = rng.choice([2, 3, 4, 6])
        with session() as s:
            found = s.scalars(select(Artist).where(Artist.id > rng.randint(0, 100)).limit(n)).all()
            albums = [al for a in found for al in a.albums]
            [t.title for al in albums for t in al.tracks]
        return {"albums": len(found), "tracks": len(albums)}

    def chart(rng: random.Random) -> dict[str, int]:
        """A range beside the key."""
        n = rng.choice([5, 9, 14])
        with session() as s:
            ids = s.scalars(select(Track.id).order_by(Track.seconds.desc()).offset(rng.randint(0, 900)).limit(n)).all()
            since = rng.randint(1, 60)
            for i in ids:
                s.scalar(select(func.count()).select_from(Play).where(Play.track_id == i, Play.day >= since))
        return {"plays": len(ids)}

    def playlist(rng: random.Random) -> dict[str, int]:
        """A composite key, by hand."""
        p, n = rng.randint(1, 29), rng.choice([5, 8, 15])
        with session() as s:
            rows = s.execute(text("SELECT playlist_id, position FROM playlist_entries WHERE playlist_id = :p AND position <= :n"),
                             {"p": p, "n": n}).all()  # fmt: skip
            for one in rows:
                s.get(Entry, (one.playlist_id, one.position))
        return {"playlist_entries": len(rows)}

    def plain(rng: random.Random) -> dict[str, int]:
        n = rng.choice([3, 6, 11])
        with session() as s:
            rows = s.execute(
                text(f"SELECT id, title FROM albums WHERE label_id = {rng.randint(1, 60)} LIMIT {n}")
            ).all()
            for row in rows:
                s.execute(text(f"SELECT count(*), sum(seconds) FROM tracks WHERE album_id = {row.id}"))
        return {"tracks": len(rows)}

    def eager(rng: random.Random) -> None:
        with session() as s:
            query = (
                select(Artist).options(selectinload(Artist.albums).selectinload(Album.tracks)).limit(rng.randint(5, 20))
            )
            [len(al.tracks) for a in s.scalars(query) for al in a.albums]

    def joined(rng: random.Random) -> None:
        with session() as s:
            query = select(Album).options(joinedload(Album.artist), joinedload(Album.label)).limit(rng.randint(5, 30))
            [al.artist.name for al in s.scalars(query)]

    def configured(rng: random.Random) -> None:
        """Config keys, one after another, beside a list."""
        with session() as s:
            s.scalars(select(Album).limit(rng.choice([6, 7, 12, 20]))).all()
            for i in range(7):
                s.scalar(select(Setting.value).where(Setting.name == f"key.{i}"))

    def states(rng: random.Random) -> None:
        """Enum counts."""
        with session() as s:
            s.scalars(select(Label).limit(rng.randint(3, 20))).all()
            for state in ("queued", "running", "done", "failed", "held", "gone"):
                s.scalar(select(func.count()).select_from(Job).where(Job.state == state))

    def export(rng: random.Random) -> None:
        """Keyset paging."""
        label, last = rng.randint(1, 60), 0
        with session() as s:
            s.scalars(select(Label)).all()
            for _ in range(rng.randint(3, 12)):
                found = s.scalars(
                    select(Album).where(Album.label_id != label, Album.id > last).order_by(Album.id).limit(20)
                ).all()
                if not found:
                    break
                last = found[-1].id

    def poll(rng: random.Random) -> None:
        job = rng.randint(1, 3000)
        for _ in range(rng.randint(3, 12)):
            with session() as s:
                s.scalar(select(Job.state).where(Job.id == job))

    def retry(rng: random.Random) -> None:
        """Savepoints: insert, and when it is there already, read it."""
        with session() as s:
            s.get(Artist, rng.randint(1, 120))
            for _ in range(rng.randint(5, 9)):
                try:
                    with s.begin_nested():
                        s.execute(
                            text("INSERT INTO settings (name, value) VALUES (:n, 'x')"),
                            {"n": f"key.{rng.randint(0, 3)}"},
                        )
                except IntegrityError:
                    s.scalar(select(Setting.value).where(Setting.name == f"key.{rng.randint(0, 3)}"))
            s.rollback()

    def worker(rng: random.Random) -> None:
        """A queue: take the next one, read it, finish it."""
        with session() as s:
            for _ in range(rng.randint(5, 12)):
                job = s.execute(text("SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1")).scalar()
                s.execute(text("SELECT payload FROM jobs WHERE id = :i"), {"i": job})
                s.execute(text("UPDATE jobs SET state = 'done' WHERE id = :i"), {"i": job})
            s.commit()

    def shards(rng: random.Random) -> None:
        with session() as s:
            s.scalars(select(Artist).limit(rng.randint(2, 20))).all()
            for shard in range(8):
                s.scalar(select(func.sum(Usage.bytes_used)).where(Usage.shard == shard))

    def three(rng: random.Random) -> None:
        with session() as s:
            for _ in range(3):
                s.get(Artist, rng.randint(1, 120))
            s.get(Album, rng.randint(1, 480))

    def cart(rng: random.Random) -> None:
        """Ids from the client, one by one: a loop, but no parent."""
        with session() as s:
            s.get(Label, 1)
            for i in rng.sample(range(1, 1900), rng.randint(5, 12)):
                s.get(Track, i)

    def imports(rng: random.Random) -> None:
        with session() as s:
            s.scalars(select(Label).limit(rng.randint(5, 20))).all()
            for _ in range(rng.randint(5, 15)):
                s.execute(text("INSERT INTO jobs (id, state, payload) VALUES (:i, 'done', '')"), {"i": next(serial)})
            s.commit()

    def again(rng: random.Random) -> None:
        """The same question in each line of a list."""
        with session() as s:
            found = s.scalars(select(Track).limit(rng.randint(5, 15))).all()
            for _ in found:
                s.scalar(select(Setting.value).where(Setting.name == "key.1"))

    return {
        "GET /artists": (6, artists), "GET /albums": (6, album_list), "GET /catalogue": (5, nested), "GET /chart": (5, chart),
        "GET /playlist": (4, playlist), "GET /label": (5, plain), "GET /eager": (4, eager), "GET /joined": (3, joined),
        "GET /configured": (4, configured), "GET /states": (4, states), "GET /export": (4, export), "GET /poll": (3, poll),
        "POST /retry": (3, retry), "job worker": (4, worker), "GET /usage": (4, shards), "GET /three": (3, three),
        "POST /cart": (4, cart), "POST /import": (3, imports), "GET /again": (3, again),
    }  # fmt: skip


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    engine = create_engine(f"sqlite:///{folder / 'music.db'}")
    event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous = OFF"))
    fill(engine)
    log = record_queries(engine, folder / "queries.jsonl", redact=False)
    truth = Truth()

    def around(route: str, work: Any) -> tuple[Any, object, str]:
        with unit_of_work(route=route) as unit:
            return work(), "", unit

    requests(pages(engine), 400, truth, around, pause=0)
    log.close()
    keep("music", (folder / "queries.jsonl").read_bytes(), "jsonl", truth)


if __name__ == "__main__":
    main()
