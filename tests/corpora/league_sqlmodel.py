"""Corpus "league": SQLModel (on SQLAlchemy) with PyMySQL on MariaDB, a pool of four connections that six threads share.

Labelled before it was recorded. Once with a transaction for each request (and some commits in between, after which rows are
read again); once in autocommit, with nothing at all between two requests of a connection. Values are written into the
statements; each has a comment with its request's id. ``league.labels.tsv`` has the label of each page, and why.

``pip install sqlmodel pymysql``, then ``python tests/corpora/league_sqlmodel.py``
"""
# No postponed annotations here: SQLModel reads those of relationships.

import datetime as dt
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

import servers
from pydantic import NaiveDatetime
from recording import LEAST, Truth, keep, requests
from sqlalchemy import event, text
from sqlalchemy.orm import joinedload, raiseload, selectinload, subqueryload
from sqlmodel import Field, Relationship, Session, SQLModel, create_engine, delete, func, insert, or_, select, update

REQUESTS = 400
SIZES = (5, 8, 12, 20, 30, 45)
STATES = ("planned", "moved", "playing", "over", "void")
COLOURS = ("yellow", "second", "red", "blue", "green")
STANDS = ("north", "south", "east", "west", "boxes", "away")
LEVELS = (1, 2, 3, 4, 5, 6)
AUGUST = dt.datetime(2025, 8, 1)
now = threading.local()


class Account(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    token: str = Field(index=True, max_length=40)
    name: str = Field(max_length=40)


class Config(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True, max_length=40)
    value: str = Field(max_length=40)


class Town(SQLModel, table=True):
    code: str = Field(primary_key=True, max_length=8)
    name: str = Field(max_length=40)


class Division(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    level: int
    above_id: int | None = Field(default=None, foreign_key="division.id")
    teams: list["Team"] = Relationship(back_populates="division")
    games: list["Game"] = Relationship(back_populates="division")


class ClubSponsor(SQLModel, table=True):
    club_id: int = Field(foreign_key="club.id", primary_key=True)
    sponsor_id: int = Field(foreign_key="sponsor.id", primary_key=True)


class Sponsor(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    clubs: list["Club"] = Relationship(back_populates="sponsors", link_model=ClubSponsor)


class Club(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    town_code: str = Field(max_length=8)
    founded: int
    teams: list["Team"] = Relationship(back_populates="club")
    grounds: list["Ground"] = Relationship(back_populates="club")
    sponsors: list[Sponsor] = Relationship(back_populates="clubs", link_model=ClubSponsor)


class Ground(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    club_id: int = Field(foreign_key="club.id")
    seats: int
    club: Club = Relationship(back_populates="grounds")


class Coach(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    mentor_id: int | None = Field(default=None, foreign_key="coach.id")
    mentor: Optional["Coach"] = Relationship(sa_relationship_kwargs={"remote_side": "Coach.id"})


class Team(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    club_id: int = Field(foreign_key="club.id")
    division_id: int = Field(foreign_key="division.id")
    coach_id: int = Field(foreign_key="coach.id")
    club: Club = Relationship(back_populates="teams")
    division: Division = Relationship(back_populates="teams")
    coach: Coach = Relationship()
    players: list["Player"] = Relationship(back_populates="team")


class Player(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    licence: str = Field(index=True, max_length=12)
    team_id: int = Field(foreign_key="team.id")
    shirt: int
    team: Team = Relationship(back_populates="players")
    goals: list["Goal"] = Relationship(back_populates="player")
    contracts: list["Contract"] = Relationship(back_populates="player")


class Referee(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    grade: int


class Game(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    division_id: int = Field(foreign_key="division.id")
    home_id: int = Field(foreign_key="team.id")
    away_id: int = Field(foreign_key="team.id")
    ground_id: int = Field(foreign_key="ground.id")
    referee_id: int = Field(foreign_key="referee.id")
    starts: NaiveDatetime = Field(index=True)
    state: str = Field(max_length=12)
    visitors: int = 0
    division: Division = Relationship(back_populates="games")
    home: Team = Relationship(sa_relationship_kwargs={"foreign_keys": "Game.home_id"})
    away: Team = Relationship(sa_relationship_kwargs={"foreign_keys": "Game.away_id"})
    ground: Ground = Relationship()
    referee: Referee = Relationship()
    goals: list["Goal"] = Relationship(back_populates="game")
    cards: list["Card"] = Relationship(back_populates="game")


class Goal(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    game_id: int = Field(foreign_key="game.id")
    player_id: int = Field(foreign_key="player.id")
    minute: int
    game: Game = Relationship(back_populates="goals")
    player: Player = Relationship(back_populates="goals")


class Card(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    game_id: int = Field(foreign_key="game.id")
    licence: str = Field(max_length=12)
    colour: str = Field(max_length=8)
    level: int
    game: Game = Relationship(back_populates="cards")


class Fine(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    colour: str = Field(max_length=8)
    level: int
    cents: int


class Injury(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    player_id: int = Field(foreign_key="player.id")
    since: NaiveDatetime
    until: NaiveDatetime


class Contract(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    player_id: int = Field(foreign_key="player.id")
    starts: NaiveDatetime
    ends: NaiveDatetime
    cents: int
    player: Player = Relationship(back_populates="contracts")


class Training(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    team_id: int = Field(foreign_key="team.id")
    starts: NaiveDatetime = Field(index=True)


class Present(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    training_id: int = Field(foreign_key="training.id")
    player_id: int = Field(foreign_key="player.id")


class Sold(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    game_id: int = Field(foreign_key="game.id")
    stand: str = Field(max_length=8)
    cents: int
    at: NaiveDatetime = Field(index=True)


class Standing(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    team_id: int = Field(foreign_key="team.id")
    division_id: int = Field(foreign_key="division.id")
    points: int


class Post(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    about: str = Field(max_length=8)
    about_id: int = Field(index=True)
    answer_to: int | None = Field(default=None, index=True)
    title: str = Field(max_length=60)


class Mail(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(index=True, max_length=8)
    player_id: int = Field(foreign_key="player.id")
    tries: int = 0


def engine_of(port: int, mode: str) -> Any:
    plain = (
        {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True, "pool_reset_on_return": None}
        if mode == "autocommit"
        else {}
    )
    engine = create_engine(
        f"mysql+pymysql://root@127.0.0.1:{port}/shop?charset=utf8mb4", pool_size=4, max_overflow=0, pool_timeout=60,
        connect_args={"init_command": "SET foreign_key_checks=0"}, **plain,
    )  # fmt: skip

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def commented(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> tuple[str, Any]:
        request = getattr(now, "request", None)
        if request:
            comment = f" /*request_id='{request[0]}',route='{request[1]}'*/"
            verb, _, rest = statement.partition(" ")
            # At the end PyMySQL would no longer see that many rows fit into one INSERT.
            statement = f"{verb}{comment} {rest}" if many else statement + comment
        return statement, parameters

    return engine


def fill(engine: Any) -> None:
    SQLModel.metadata.create_all(engine)
    draw = random.Random(808)

    def some(last: int) -> int:
        return draw.randint(1, last)

    def hour(days: int = 250) -> dt.datetime:
        return AUGUST + dt.timedelta(hours=some(days * 24))

    def span(one: str, two: str, days: int) -> dict[str, Any]:
        first = hour()
        return {one: first, two: first + dt.timedelta(days=some(days))}

    rows: dict[Any, tuple[int, Callable[[int], dict[str, Any]]]] = {
        Account: (90, lambda i: {"token": f"a{i}", "name": f"Account {i}"}),
        Config: (40, lambda i: {"name": f"c{i}", "value": "yes"}),
        Town: (50, lambda i: {"code": f"T{i:02}", "name": f"Town {i}"}),
        Division: (40, lambda i: {"name": f"Division {i}", "level": 1 + i % 6, "above_id": some(min(i, 10)) if i > 1 else None}),
        Sponsor: (60, lambda i: {"name": f"Sponsor {i}"}),
        Club: (150, lambda i: {"name": f"Club {some(999)}", "town_code": f"T{some(49):02}", "founded": 1880 + some(130)}),
        Ground: (180, lambda i: {"name": f"Ground {i}", "club_id": some(150), "seats": some(9000)}),
        Coach: (200, lambda i: {"name": f"Coach {i}", "mentor_id": some(min(i, 80)) if i > 4 else None}),
        Team: (320, lambda i: {"name": f"Team {some(999)}", "club_id": some(150), "division_id": some(40),
                              "coach_id": some(200)}),
        Player: (2500, lambda i: {"name": f"Player {some(9999)}", "licence": f"L{i}", "team_id": some(320), "shirt": some(30)}),
        Referee: (120, lambda i: {"name": f"Referee {i}", "grade": some(4)}),
        Game: (1500, lambda i: {"division_id": some(40), "home_id": some(320), "away_id": some(320), "ground_id": some(180),
                                "referee_id": some(120), "starts": hour(), "state": draw.choice(STATES), "visitors": some(900)}),
        Goal: (4000, lambda i: {"game_id": some(1500), "player_id": some(2500), "minute": some(90)}),
        Card: (2500, lambda i: {"game_id": some(1500), "licence": f"L{some(2499)}", "colour": draw.choice(COLOURS),
                               "level": some(6)}),
        Fine: (30, lambda i: {"colour": COLOURS[i % 5], "level": 1 + i // 5, "cents": some(20000)}),
        Injury: (900, lambda i: {"player_id": some(2500), **span("since", "until", 60)}),
        Contract: (2600, lambda i: {"player_id": some(2500), "cents": some(90000), **span("starts", "ends", 400)}),
        Training: (1500, lambda i: {"team_id": some(320), "starts": hour()}),
        Present: (6000, lambda i: {"training_id": some(1500), "player_id": some(2500)}),
        Sold: (6000, lambda i: {"game_id": some(1500), "stand": draw.choice(STANDS), "cents": some(5000), "at": hour()}),
        Standing: (320, lambda i: {"team_id": i + 1, "division_id": some(40), "points": some(60)}),
        Post: (3000, lambda i: {"about": draw.choice(["game", "club", "player"]), "about_id": some(150),
                                "answer_to": some(i) if i > 30 and draw.random() < 0.6 else None, "title": "it's 1:0; at last"}),
        Mail: (700, lambda i: {"state": "new", "player_id": some(2500), "tries": 0}),
    }  # fmt: skip
    with engine.begin() as connection:
        for table, (count, row) in rows.items():
            connection.execute(insert(table), [row(i) for i in range(count)])
        pairs = {(some(150), some(60)) for _ in range(500)}
        connection.execute(insert(ClubSponsor), [{"club_id": a, "sponsor_id": b} for a, b in sorted(pairs)])


class Page(NamedTuple):
    """The label (parent>child of each N+1, or nothing), why, and the work of a request."""

    label: str
    why: str
    work: Callable[[Session, random.Random, int], Mapping[str, int] | None]


PAGES: dict[str, Page] = {}


def page(label: str, why: str) -> Callable[[Any], Any]:
    def kept(work: Any) -> Any:
        PAGES[work.__name__.rstrip("_")] = Page(label, why, work)
        return work

    return kept


def some_games(db: Session, r: random.Random, n: int, *options: Any) -> Any:
    start = AUGUST + dt.timedelta(hours=r.randint(1, 5000))
    return db.exec(
        select(Game).where(Game.starts > start).order_by(Game.starts, Game.id).limit(n).options(*options)
    ).all()


def some_teams(db: Session, r: random.Random, n: int, *options: Any) -> Any:
    return db.exec(select(Team).order_by(Team.name, Team.id).offset(r.randint(0, 250)).limit(n).options(*options)).all()


def some_clubs(db: Session, r: random.Random, n: int, *options: Any) -> Any:
    return db.exec(
        select(Club)
        .where(Club.founded > 1880 + r.randint(0, 60))
        .order_by(Club.name, Club.id)
        .limit(n)
        .options(*options)
    ).all()


def some_players(db: Session, r: random.Random, n: int, *options: Any) -> Any:
    return db.exec(
        select(Player).where(Player.id > r.randint(1, 2300)).order_by(Player.id).limit(n).options(*options)
    ).all()


def some_cards(db: Session, r: random.Random, n: int) -> Any:
    return db.exec(select(Card).order_by(Card.id.desc()).offset(r.randint(0, 1500)).limit(n)).all()


def different(*keys: Any) -> int:
    return len(set(keys))


@page("team>club", "a lazy to-one relation, read in the template; the session remembers, so once for each club")
def teams(db, r, n):
    rows = some_teams(db, r, n)
    assert all(one.club.name for one in rows)
    return {"club": different(*(one.club_id for one in rows))}


@page("team>player", "a lazy collection of each team, of which only the length is wanted")
def teams_size(db, r, n):
    rows = some_teams(db, r, n)
    assert [len(one.players) for one in rows]
    return {"player": len(rows)}


@page("game>team, game>ground", "home and away are lazy relations to one table; the ground is a third")
def fixtures(db, r, n):
    rows = some_games(db, r, n)
    assert [(one.home.name, one.away.name, one.ground.name) for one in rows]
    return {
        "team": different(*(one.home_id for one in rows), *(one.away_id for one in rows)),
        "ground": different(*(one.ground_id for one in rows)),
    }


@page("player>team, team>club", "two lazy steps one after the other, for each player")
def players(db, r, n):
    rows = some_players(db, r, n)
    assert all(one.team.club.name for one in rows)
    return {"team": different(*(one.team_id for one in rows)), "club": different(*(one.team.club_id for one in rows))}


@page("club>sponsor", "a lazy many-to-many collection of each club")
def clubs_sponsors(db, r, n):
    rows = some_clubs(db, r, n)
    assert [[s.name for s in one.sponsors] for one in rows]
    return {"sponsor": len(rows)}


@page("game>goal", "goals are counted for each game of the list")
def scores(db, r, n):
    rows = some_games(db, r, n)
    assert [db.exec(select(func.count()).select_from(Goal).where(Goal.game_id == one.id)).one() for one in rows]
    return {"goal": len(rows)}


@page("player>contract", "the newest contract of each player, by ORDER BY and LIMIT 1")
def contracts(db, r, n):
    rows = some_players(db, r, n)
    for one in rows:
        db.exec(select(Contract).where(Contract.player_id == one.id).order_by(Contract.ends.desc()).limit(1)).first()
    return {"contract": len(rows)}


@page("coach>coach", "each coach's mentor, a row of the same table: lazy, unless it is on the page already")
def coaches(db, r, n):
    rows = db.exec(
        select(Coach).where(Coach.mentor_id.is_not(None)).order_by(Coach.name).offset(r.randint(0, 140)).limit(n)
    ).all()
    known = {one.id for one in rows}
    assert all(one.mentor.name for one in rows)
    return {"coach": len({one.mentor_id for one in rows} - known)}


@page("division>division", "a tree is walked down, with a query for those below each")
def pyramid(db, r, n):
    asked = 0

    def below(one: int) -> None:
        nonlocal asked
        asked += 1
        for child in db.exec(select(Division).where(Division.above_id == one).order_by(Division.name)).all():
            if child.id > one:
                below(child.id)

    for top in db.exec(select(Division).where(Division.above_id.is_(None))).all():
        below(top.id)
    return {"division": asked}


@page("post>post", "answers to answers: a query for each post of a thread")
def thread(db, r, n):
    asked, open_ = 0, [r.randint(1, 30)]
    while open_ and asked < 35:
        one = open_.pop(0)
        asked += 1
        open_ += [p.id for p in db.exec(select(Post).where(Post.answer_to == one).limit(5)).all()]
    return {"post": asked}


@page("card>player", "the player of each card is found by the number of the licence, not by a foreign key")
def cards(db, r, n):
    rows = some_cards(db, r, n)
    for one in rows:
        db.exec(select(Player).where(Player.licence == one.licence)).one()
    return {"player": len(rows)}


@page("card>fine", "the fine by two columns of each card")
def fines(db, r, n):
    rows = some_cards(db, r, n)
    for one in rows:
        db.exec(select(Fine.cents).where(Fine.colour == one.colour, Fine.level == one.level)).one()
    return {"fine": len(rows)}


@page(
    "club>town",
    "Session.get by a natural key, a code: once for each town, as the session remembers while they are held",
)
def clubs(db, r, n):
    rows = some_clubs(db, r, n)
    towns = [db.get(Town, one.town_code) for one in rows]
    return {"town": different(*(one.code for one in towns))}


@page("post>game, post>club, post>player", "each post is about a row of one of three tables, which is fetched")
def posts(db, r, n):
    rows = db.exec(select(Post).order_by(Post.id.desc()).offset(r.randint(0, 1500)).limit(n)).all()
    kinds = {"game": Game, "club": Club, "player": Player}
    held = [db.get(kinds[one.about], one.about_id) for one in rows]
    assert all(held)
    return {kind: different(*(one.about_id for one in rows if one.about == kind)) for kind in kinds}


@page("club>post", "posts about each club, by kind and id")
def clubs_posts(db, r, n):
    rows = some_clubs(db, r, n)
    for one in rows:
        db.exec(
            select(Post).where(Post.about == "club", Post.about_id == one.id).order_by(Post.id.desc()).limit(3)
        ).all()
    return {"post": len(rows)}


@page("team>coach, team>standing", "the serializer of a team asks for its coach (lazily) and for its points")
def api_teams(db, r, n):
    def as_json(one: Team) -> dict[str, Any]:
        points = db.exec(select(Standing.points).where(Standing.team_id == one.id)).first()
        return {"name": one.name, "coach": one.coach.name, "points": points}

    rows = some_teams(db, r, n)
    assert [as_json(one) for one in rows]
    return {"coach": different(*(one.coach_id for one in rows)), "standing": len(rows)}


@page("team>club, team>player", "nested serializers that read each relation that a model has")
def api_deep(db, r, n):
    rows = some_teams(db, r, max(5, n // 3))
    out = [
        {**t.model_dump(), "club": t.club.model_dump(), "players": [p.model_dump() for p in t.players]} for t in rows
    ]
    return {"club": different(*(one.club_id for one in rows)), "player": len(out)}


@page("game>goal, goal>player", "goals of each game, and the scorer of each goal: all lazy")
def reports(db, r, n):
    rows = some_games(db, r, max(3, n // 3))
    scorers = [goal.player.id for one in rows for goal in one.goals]
    return {"goal": len(rows), "player": different(*scorers)}


@page("player>injury", "whether each player is hurt on that day, by EXISTS")
def fit(db, r, n):
    rows, day = some_players(db, r, n), AUGUST + dt.timedelta(days=r.randint(1, 240))
    for one in rows:
        hurt = select(Injury.id).where(Injury.player_id == one.id, Injury.since <= day, Injury.until > day)
        db.exec(select(hurt.exists())).one()
    return {"injury": len(rows)}


@page("training>game", "games of a team on the days around each training: team and time of the row go in")
def clashes(db, r, n):
    first = AUGUST + dt.timedelta(hours=r.randint(1, 5000))
    rows = db.exec(select(Training).where(Training.starts > first).order_by(Training.starts).limit(n)).all()
    for one in rows:
        near = Game.starts.between(one.starts - dt.timedelta(days=9), one.starts + dt.timedelta(days=9))
        db.exec(
            select(Game.id, Game.starts).where(or_(Game.home_id == one.team_id, Game.away_id == one.team_id), near)
        ).all()
    return {"game": len(rows)}


@page("game>sold", "what was sold for each game, grouped by stand")
def takings(db, r, n):
    rows = some_games(db, r, n)
    for one in rows:
        db.exec(select(Sold.stand, func.sum(Sold.cents)).where(Sold.game_id == one.id).group_by(Sold.stand)).all()
    return {"sold": len(rows)}


@page("player>player", "rows have expired with a commit, and each is read again when it is looked at")
def after_commit(db, r, n):
    rows = some_players(db, r, n)
    db.add(Post(about="club", about_id=r.randint(1, 150), title="a new list"))
    db.commit()
    assert all(one.name for one in rows)
    return {"player": len(rows)}


@page("player>player", "each row is read again before it is changed, and flushed by itself")
def job_shirts(db, r, n):
    rows = some_players(db, r, n)
    for one in rows:
        db.refresh(one)
        one.shirt = r.randint(1, 99)
        db.flush()
    return {"player": len(rows)}


@page("team>standing", "for each team of a list: is there a row, then change it or add one")
def job_table(db, r, n):
    rows = some_teams(db, r, n)
    for one in rows:
        found = db.exec(
            select(Standing).where(Standing.team_id == one.id, Standing.division_id == one.division_id)
        ).first()
        if found:
            found.points += 1
        else:
            db.add(Standing(team_id=one.id, division_id=one.division_id, points=1))
        db.flush()
    return {"standing": len(rows)}


@page(
    "mail>player, player>contract",
    "a list of mails to send; the player of each is read, then the contracts of that player are counted",
)
def job_mails(db, r, n):
    rows = db.exec(select(Mail).where(Mail.tries < 9).order_by(Mail.id).offset(r.randint(0, 500)).limit(n)).all()
    for one in rows:
        player = db.exec(select(Player).where(Player.id == one.player_id)).one()
        db.exec(select(func.count(Contract.id)).where(Contract.player_id == player.id)).one()
    db.exec(update(Mail).where(Mail.id.in_([one.id for one in rows])).values(tries=Mail.tries + 1))
    return {"player": len(rows), "contract": len(rows)}


@page("training>present", "pages of eight by key, and a count for each training of a page")
def export_trainings(db, r, n):
    last, asked = r.randint(1, 1300), 0
    for _ in range(3):
        rows = db.exec(select(Training).where(Training.id > last).order_by(Training.id).limit(8)).all()
        for one in rows:
            db.exec(select(func.count()).select_from(Present).where(Present.training_id == one.id)).one()
        asked, last = asked + len(rows), rows[-1].id
    return {"present": asked}


@page("game>referee", "raw SQL with a join, for each game")
def referees(db, r, n):
    rows = some_games(db, r, n)
    sql = text(
        "SELECT r.name, r.grade, COUNT(g.id) AS games FROM referee r JOIN game g ON g.referee_id = r.id "
        "WHERE r.id = :one GROUP BY r.id"
    )
    for one in rows:
        db.execute(sql, {"one": one.referee_id}).one()
    return {"referee": len(rows)}


@page("goal>player", "an IN list of one id, for each goal")
def scorers(db, r, n):
    rows = db.exec(select(Goal).where(Goal.minute > 80).order_by(Goal.id).offset(r.randint(0, 300)).limit(n)).all()
    for one in rows:
        db.exec(select(Player.name).where(Player.id.in_([one.player_id]))).all()
    return {"player": len(rows)}


@page("goal>goal", "a GROUP BY yields players and their goals; minutes of each are then read from the same table")
def top_scorers(db, r, n):
    query = select(Goal.player_id, func.count()).where(Goal.minute > r.randint(0, 40)).group_by(Goal.player_id)
    rows = db.exec(query.order_by(func.count().desc(), Goal.player_id).limit(15)).all()
    for player, _ in rows:
        db.exec(select(Goal.minute).where(Goal.player_id == player).order_by(Goal.minute)).all()
    return {"goal": len(rows)}


@page("division>team, team>standing", "a template with a block for each division: teams of each, points of each team")
def tables(db, r, n):
    rows = db.exec(
        select(Division).where(Division.level == r.choice(LEVELS)).order_by(Division.name).limit(max(3, n // 4))
    ).all()
    seen = 0
    for one in rows:
        for team in one.teams:
            db.exec(select(Standing.points).where(Standing.team_id == team.id)).first()
            seen += 1
    return {"team": len(rows), "standing": seen}


@page("ground>game", "the next game on each ground; the page also joins the club, which is no N+1")
def grounds(db, r, n):
    rows = db.exec(
        select(Ground).order_by(Ground.seats.desc()).offset(r.randint(0, 130)).limit(n).options(joinedload(Ground.club))
    ).all()
    start = AUGUST + dt.timedelta(days=r.randint(1, 200))
    for one in rows:
        db.exec(
            select(Game).where(Game.ground_id == one.id, Game.starts > start).order_by(Game.starts).limit(1)
        ).first()
    return {"game": len(rows)}


@page(
    "player>goal",
    "the teams are loaded well, by IN; the latest minute of a goal in a finished game is asked for each player",
)
def form(db, r, n):
    rows = some_players(db, r, n, selectinload(Player.team))
    for one in rows:
        db.exec(
            select(func.max(Goal.minute))
            .join(Game, Game.id == Goal.game_id)
            .where(Goal.player_id == one.id, Game.state == "over")
        ).one()
    return {"goal": len(rows)}


CACHE: dict[int, str] = {}


@page(
    "team>coach",
    "a cache of the process, emptied when it holds sixty: what is missing is asked one by one, an N+1 from five on",
)
def cached(db, r, n):
    missing = 0
    for one in some_teams(db, r, n):
        if one.coach_id not in CACHE:
            if len(CACHE) >= 60:
                CACHE.clear()
            CACHE[one.coach_id] = db.exec(select(Coach.name).where(Coach.id == one.coach_id)).one()
            missing += 1
    return {"coach": missing}


@page("", "joined eager loading of three to-one relations")
def fixtures_joined(db, r, n):
    for one in some_games(db, r, n, joinedload(Game.home), joinedload(Game.away), joinedload(Game.ground)):
        assert one.home.name and one.away.name and one.ground.name


@page("", "eager loading by IN, two levels deep")
def teams_loaded(db, r, n):
    for one in some_teams(db, r, n, selectinload(Team.players).selectinload(Player.goals), selectinload(Team.club)):
        assert one.club.name and sum(len(p.goals) for p in one.players) >= 0


@page("", "eager loading by a subquery")
def clubs_loaded(db, r, n):
    for one in some_clubs(db, r, n, subqueryload(Club.sponsors), subqueryload(Club.grounds)):
        assert all(s.name for s in one.sponsors) and all(g.name for g in one.grounds)


@page("", "more than 500 keys: the ORM itself splits its IN lists into several statements")
def players_export(db, r, n):
    rows = db.exec(
        select(Player).where(Player.id > r.randint(1, 900)).limit(1200).options(selectinload(Player.contracts))
    ).all()
    assert sum(len(one.contracts) for one in rows)


@page("", "lists of ten ids each, by hand")
def chunks(db, r, n):
    ids = [one.id for one in some_players(db, r, 4 * n, raiseload("*"))]
    for first in range(0, len(ids), 10):
        db.exec(select(Present).where(Present.player_id.in_(ids[first : first + 10]))).all()


@page("", "a dictionary is built of what two IN lists yield")
def gathered(db, r, n):
    rows = some_cards(db, r, n)
    db.exec(select(Player).where(Player.licence.in_([one.licence for one in rows]))).all()
    db.exec(select(Game).where(Game.id.in_([one.game_id for one in rows]))).all()
    db.exec(select(Fine)).all()


@page("", "a count of each of seven tables")
def dashboard(db, r, n):
    for table in (Club, Team, Player, Game, Goal, Card, Mail):
        db.exec(select(func.count()).select_from(table)).one()


@page("", "a constant list of states, the last games of each")
def states(db, r, n):
    some_teams(db, r, n)
    for state in STATES:
        db.exec(select(Game).where(Game.state == state).order_by(Game.starts.desc()).limit(4)).all()


@page("", "a constant list of stands, sums of one game")
def stands(db, r, n):
    game = r.randint(1, 1500)
    some_cards(db, r, n)
    for stand in STANDS:
        db.exec(select(func.sum(Sold.cents)).where(Sold.game_id == game, Sold.stand == stand)).one()


@page("", "counts by a constant list of levels, over a join")
def levels(db, r, n):
    for level in LEVELS:
        db.exec(select(func.count()).select_from(Team).join(Division).where(Division.level == level)).one()


@page("", "settings by a constant list of names")
def configs(db, r, n):
    some_clubs(db, r, n)
    for name in ("c2", "c3", "c5", "c7", "c11", "c13", "c17"):
        db.exec(select(Config).where(Config.name == name)).one()


@page("", "pages by key")
def feed(db, r, n):
    last = r.randint(1, 4000)
    for _ in range(r.randint(5, 9)):
        rows = db.exec(select(Sold).where(Sold.id > last).order_by(Sold.id).limit(30)).all()
        if not rows:
            break
        last = rows[-1].id


@page("", "pages by offset, a count with each")
def players_pages(db, r, n):
    for number in range(r.randint(5, 8)):
        db.exec(select(func.count()).select_from(Player)).one()
        db.exec(select(Player).order_by(Player.name, Player.id).offset(15 * number).limit(15)).all()


@page("", "one row is polled")
def wait(db, r, n):
    mail = r.randint(1, 700)
    for _ in range(r.randint(5, 11)):
        db.exec(select(Mail.state).where(Mail.id == mail)).one()


@page("", "a queue: claim, read, write, one after the other; the next claim is not known before")
def job_queue(db, r, n):
    for _ in range(r.randint(5, 8)):
        mail = db.exec(select(Mail).where(Mail.state == "new").order_by(Mail.id).limit(1)).first()
        if mail is None:
            break
        db.exec(select(Player.name).where(Player.id == mail.player_id)).one()
        mail.state = "sent"
        db.flush()


@page("", "licence numbers of a form, typed in by people: there is no list to join with")
def check_in(db, r, n):
    some_games(db, r, 1)
    for _ in range(n):
        db.exec(select(Player).where(Player.licence == f"L{r.randint(0, 2600)}")).first()


@page("", "a detail page: lazy relations of one row, and five further queries")
def game(db, r, n):
    one = db.get(Game, r.randint(1, 1500))
    assert one.home.name and one.away.name and one.ground.club.name and one.referee.name and one.division.name
    assert len(one.goals) >= 0 and len(one.cards) >= 0
    db.exec(select(func.sum(Sold.cents)).where(Sold.game_id == one.id)).one()
    db.exec(select(Post).where(Post.about == "game", Post.about_id == one.id)).all()


@page("", "one row at a time is inserted: writes, nothing is read for a row")
def sell(db, r, n):
    for _ in range(n):
        db.add(Sold(game_id=r.randint(1, 1500), stand=r.choice(STANDS), cents=900, at=AUGUST))
        db.flush()


@page("", "executemany: INSERT of many rows")
def import_present(db, r, n):
    training = r.randint(1, 1500)
    rows = some_players(db, r, n)
    db.connection().execute(insert(Present), [{"training_id": training, "player_id": one.id} for one in rows])


@page("", "executemany: UPDATE by key, which the driver sends row by row")
def import_shirts(db, r, n):
    rows = [{"id": one.id, "shirt": r.randint(1, 99)} for one in some_players(db, r, n)]
    db.execute(update(Player), rows)


@page("", "changes of many loaded rows go out with one flush, an UPDATE for each: writes alone")
def job_visitors(db, r, n):
    for one in some_games(db, r, n):
        one.visitors += 1
    db.flush()


@page("", "a DELETE and an INSERT by many")
def replace(db, r, n):
    ids = [one.id for one in some_players(db, r, n)]
    db.exec(delete(Injury).where(Injury.player_id.in_(ids)))
    db.add_all([Injury(player_id=one, since=AUGUST, until=AUGUST + dt.timedelta(days=9)) for one in ids])
    db.flush()


@page("", "lines of a file: is the licence new? then insert")
def import_players(db, r, n):
    for _ in range(n):
        licence = f"N{r.randint(1, 10**8)}"
        if db.exec(select(Player.id).where(Player.licence == licence)).first() is None:
            db.add(Player(name="New", licence=licence, team_id=r.randint(1, 320), shirt=1))
            db.flush()


@page("", "the same row again and again until nobody else was faster")
def seats(db, r, n):
    one = r.randint(1, 1500)
    for _ in range(r.randint(5, 7)):
        visitors = db.exec(select(Game.visitors).where(Game.id == one)).one()
        db.exec(update(Game).where(Game.id == one, Game.visitors == visitors).values(visitors=visitors + 1))


@page("", "the account's name is read for each row: always the same one")
def rights(db, r, n):
    me = r.randint(1, 90)
    for _ in some_clubs(db, r, n):
        db.exec(select(Account.name).where(Account.id == me)).one()


@page("", "four rows at most")
def newest(db, r, n):
    for one in some_games(db, r, 4):
        assert one.referee.name and len(one.cards) >= 0


@page("", "a lazy relation of many rows that all lead to one row: one query")
def squad(db, r, n):
    team = r.randint(1, 320)
    for one in db.exec(select(Player).where(Player.team_id == team)).all():
        assert one.team.division_id


@page("", "the parents were read first, so that the session finds each lazy relation in its memory")
def remembered(db, r, n):
    coaches = db.exec(select(Coach)).all()
    for one in some_teams(db, r, n):
        assert one.coach in coaches


@page("", "a count for each day of two weeks, reckoned from the first")
def calendar(db, r, n):
    first = AUGUST + dt.timedelta(days=r.randint(0, 230))
    some_teams(db, r, n)
    for day in range(14):
        begins = first + dt.timedelta(days=day)
        db.exec(
            select(func.count())
            .select_from(Game)
            .where(Game.starts >= begins, Game.starts < begins + dt.timedelta(days=1))
        ).one()


@page("", "sales of one game by the quarter of an hour")
def rush(db, r, n):
    game, first = r.randint(1, 1500), AUGUST + dt.timedelta(days=r.randint(0, 230), hours=15)
    for quarter in range(12):
        begins = first + dt.timedelta(minutes=15 * quarter)
        db.exec(
            select(func.count(Sold.id)).where(
                Sold.game_id == game, Sold.at >= begins, Sold.at < begins + dt.timedelta(minutes=15)
            )
        ).one()


@page("", "a constant list of clubs in the code")
def derbies(db, r, n):
    db.exec(select(Sponsor).order_by(Sponsor.name).limit(n)).all()
    for club in (7, 19, 42, 66, 101, 138):
        db.exec(select(Club).where(Club.id == club)).one()


@page("", "aggregates by GROUP BY, and a join with an aggregate")
def sums(db, r, n):
    db.exec(select(Game.state, func.count()).group_by(Game.state)).all()
    goals = select(Goal.player_id, func.count().label("many")).group_by(Goal.player_id).subquery()
    db.exec(
        select(Player.name, goals.c.many)
        .join(goals, goals.c.player_id == Player.id)
        .order_by(goals.c.many.desc())
        .limit(n)
    ).all()


@page("", "the last three posts about each club by a window function")
def latest(db, r, n):
    number = func.row_number().over(partition_by=Post.about_id, order_by=Post.id.desc()).label("number")
    ranked = select(Post.title, Post.about_id, number).where(Post.about == "club").subquery()
    db.exec(
        select(Club.name, ranked.c.title)
        .join(ranked, ranked.c.about_id == Club.id)
        .where(ranked.c.number <= 3)
        .limit(n)
    ).all()


@page("", "what is typed, letter after letter")
def complete(db, r, n):
    word = f"Player {r.randint(1000, 9999)}"
    for length in range(6, len(word) + 1):
        db.exec(select(Player.id, Player.name).where(Player.name.like(word[:length] + "%")).limit(8)).all()


@page("", "drawn by chance until three are found")
def draw(db, r, n):
    found = 0
    for _ in range(13):
        one = db.exec(select(Referee).where(Referee.id == r.randint(1, 130))).first()
        found += one is not None and one.grade == 1
        if found == 3:
            break


@page("", "a wizard: one row is saved and read back, step after step")
def wizard(db, r, n):
    one = db.get(Club, r.randint(1, 150))
    for step in range(r.randint(5, 8)):
        one.founded = 1900 + step
        db.flush()
        db.refresh(one)


@page("", "one search counted by several columns")
def facets(db, r, n):
    like = Player.name.like(f"Player {r.randint(1, 9)}%")
    db.exec(select(Player).where(like).limit(n)).all()
    for column in (Player.team_id, Player.shirt, Team.division_id, Team.club_id, Team.coach_id):
        db.exec(
            select(column, func.count()).select_from(Player).join(Team).where(like).group_by(column).limit(20)
        ).all()


@page("", "two teams side by side: the same four questions for each")
def duel(db, r, n):
    for team in (r.randint(1, 320), r.randint(1, 320)):
        db.exec(select(Team).where(Team.id == team)).one()
        db.exec(select(func.count()).select_from(Player).where(Player.team_id == team)).one()
        db.exec(
            select(Game).where(or_(Game.home_id == team, Game.away_id == team)).order_by(Game.starts.desc()).limit(5)
        ).all()
        db.exec(select(Standing.points).where(Standing.team_id == team)).all()


PUBLIC = {
    "job_queue",
    "job_mails",
    "job_table",
    "job_shirts",
    "pyramid",
    "levels",
    "complete",
    "top_scorers",
    "import_shirts",
}


def serve(engine: Any, seed: int, plain: bool) -> Truth:
    truth = Truth()
    numbers: Iterator[int] = iter(range(10**6))

    def done(name: str) -> Any:
        def work(r: random.Random) -> Mapping[str, int] | None:
            with Session(engine) as db:
                if name not in PUBLIC:
                    db.exec(select(Account).where(Account.token == f"a{r.randint(0, 89)}")).one()
                calls = PAGES[name].work(db, r, r.choice(SIZES))
                db.flush() if plain else db.commit()
            return calls

        return work

    def around(route: str, work: Callable[[], Any]) -> tuple[Any, object, str | None]:
        unit = f"{seed}-{next(numbers)}"
        now.request = (unit, route)
        calls = work() or {}
        labelled = {one.split(">")[1] for one in PAGES[route].label.split(", ") if one}
        assert set(calls) <= labelled, (route, calls, "does not do what its label says")
        return calls, "", unit

    requests({name: (1, done(name)) for name in PAGES}, REQUESTS, truth, around, threads=6, seed=seed)
    for line in truth.lines:
        line["request"], line["unit"] = line["unit"], None
    return truth


def recorded(mode: str, seed: int) -> tuple[bytes, Truth]:
    with servers.mariadb() as server:
        engine = engine_of(server.port, mode)
        fill(engine)
        engine.dispose()
        written = {p: p.stat().st_size for p in server.logs("slow")}
        truth = serve(engine, seed, mode == "autocommit")
        engine.dispose()
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs("slow")), truth


def main() -> None:
    if sys.argv[1:] == ["labels"]:
        print("page", "parent>child of each N+1", "why", sep="\t")
        for name, one in PAGES.items():
            print(name, one.label or "none", one.why, sep="\t")
        return
    for name, mode, seed in (("league", "transaction", 81), ("league_autocommit", "autocommit", 82)):
        log, truth = recorded(mode, seed)
        keep(name, log, "slow.log", truth)


if __name__ == "__main__":
    assert LEAST == 5
    main()
