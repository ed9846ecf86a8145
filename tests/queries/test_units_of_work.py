"""Units of work: by id, by transaction, by session reset, by pause; and how sure each is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import perflab as lab

START = pd.Timestamp("2026-01-01T00:00:00Z")
READ = "SELECT a FROM t WHERE id = 1"


def log(*statements: str, session: object = "s", gap_ms: float = 1.0) -> pd.DataFrame:
    start = START + pd.to_timedelta([i * gap_ms for i in range(len(statements))], unit="ms")
    return pd.DataFrame({"run": "r", "session": session, "start": start, "sql": statements, "duration_ms": 0.1})


def units(queries: pd.DataFrame, **options: object) -> list[list[int]]:
    """The places of the statements of each unit."""
    found = lab.queries.assign_units(queries, **options)
    return [part.index.tolist() for _, part in found.groupby("unit", sort=False)]


def ways(queries: pd.DataFrame, **options: object) -> list[str]:
    return lab.queries.assign_units(queries, **options).drop_duplicates("unit")["unit_by"].tolist()


def test_a_trace_goes_before_a_request_and_a_request_before_a_session():
    queries = log(*[READ] * 4).assign(unit=["a", "a", "b", None], trace=[None, "t", "t", None])
    assert units(queries) == [[0], [1, 2], [3]]
    assert ways(queries) == ["request", "trace", "time gap"]


def test_transactions_are_units_and_what_lies_between_them_is_not_theirs():
    queries = log("BEGIN", READ, "COMMIT", READ, READ, "start transaction", READ, "ROLLBACK")
    assert units(queries) == [[0, 1, 2], [3, 4], [5, 6, 7]]
    assert ways(queries) == ["transaction", "time gap", "transaction"]


def test_a_savepoint_ends_nothing():
    queries = log("BEGIN", "SAVEPOINT a", READ, "ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a", READ, "COMMIT")
    assert units(queries) == [list(range(7))]


def test_a_driver_that_only_commits():
    """MySQL with autocommit off: no BEGIN is ever seen."""
    queries = log(READ, READ, "COMMIT", READ, "ROLLBACK", READ, "COMMIT", gap_ms=5000)
    assert units(queries) == [[0, 1, 2], [3, 4], [5, 6]]
    assert set(ways(queries)) == {"transaction"}


def test_a_session_reset_ends_a_unit_and_a_ping_begins_one():
    queries = log(READ, READ, "DISCARD ALL", "SELECT 1", READ, "DISCARD ALL", READ, gap_ms=5000)
    assert units(queries) == [[0, 1, 2], [3, 4, 5], [6]]
    assert set(ways(queries)) == {"session reset"}


def test_sessions_that_interleave_are_told_apart():
    queries = log("BEGIN", "BEGIN", READ, READ, "COMMIT", "COMMIT", session=["a", "b"] * 3)
    assert units(queries) == [[0, 2, 4], [1, 3, 5]]


def test_a_pause_ends_a_unit_with_low_confidence():
    queries = log(*[READ] * 6)
    queries.loc[3:, "start"] += pd.Timedelta(seconds=3)
    found = lab.queries.assign_units(queries)
    assert units(queries) == [[0, 1, 2], [3, 4, 5]]
    assert set(found["confidence"]) == {"low"}
    assert units(queries, gap="5s") == [list(range(6))]
    assert units(queries, gap="0.5ms") == [[i] for i in range(6)]


def test_many_short_sessions_are_requests():
    queries = log(*[READ] * 16, session=[str(i // 2) for i in range(16)])
    assert ways(queries) == ["session"] * 8


def test_ids_in_comments_are_read():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    queries = log(
        READ + f" /*route='%2Forders',traceparent='{trace}'*/",
        READ + f" /*traceparent='{trace}'*/",
        READ + " /*application:Shop,controller:orders,action:index,request_id:1f3a-77*/",
    )
    found = lab.queries.assign_units(queries)
    assert found["unit"].tolist()[:2] == ["0af7651916cd43dd8448eb211c80319c"] * 2
    assert lab.queries.assign_units(queries[2:])["unit"].tolist() == ["1f3a-77"]
    assert lab.queries.summarize_units(queries[:2])["route"].tolist() == ["/orders"]
    assert lab.queries.summarize_units(queries[2:])["route"].tolist() == ["orders#index"]


def test_the_same_ids_in_two_runs_are_two_units():
    queries = pd.concat([log(READ).assign(run=r, unit="u") for r in ("r1", "r2")])
    assert len(lab.queries.summarize_units(queries)) == 2


def test_the_order_of_rows_does_not_matter():
    queries = log(*(["BEGIN", READ, READ, "COMMIT"] * 5))
    names = lab.queries.assign_units(queries)["unit"]
    shuffled = queries.sample(frac=1, random_state=2)
    assert lab.queries.assign_units(shuffled).set_index("start")["unit"].sort_index().tolist() == names.tolist()


def test_guessed_units_confirm_nothing():
    def loop(n: int) -> list[tuple[str, int]]:
        parent = [("SELECT id FROM author", n)]
        return parent + [(f"SELECT title FROM book WHERE author_id = {i}", 1) for i in range(n)]

    lines = [(i, *statement) for i, n in enumerate([3, 5, 8, 6, 9, 12, 7, 20, 11]) for statement in loop(n)]
    frame = pd.DataFrame(lines, columns=["second", "sql", "rows"])
    frame["start"] = START + pd.to_timedelta(frame["second"] * 5 + frame.groupby("second").cumcount() / 1e3, unit="s")
    frame = frame.assign(run="r", session="s", duration_ms=0.1)
    found = lab.find_n_plus_one(frame)
    assert found["evidence"].tolist() == ["possible"]
    lab.assert_no_n_plus_one(frame)
    (note,) = found.warnings
    assert note.code == "units-by-pauses" and note.facts["statements"] == len(frame)
    sure = lab.find_n_plus_one(frame.assign(unit=frame["second"].astype(str)))
    assert sure["evidence"].tolist() == ["confirmed"]
    assert sure.attrs["warnings"] == ()


def test_a_bad_gap_is_named():
    with pytest.raises(ValueError, match="gap must be a duration"):
        lab.queries.assign_units(log(READ), gap="soon")


def sessions(pings: int, *, think_ms: float = 100.0, seed: int = 1) -> pd.DataFrame:
    """200 requests in each of three sessions, one or two statements each, with a pause after each, and pings now and then."""
    draw, rows = np.random.default_rng(seed), []
    for session in range(3):
        at = 0.0
        for number in range(200):
            at += draw.exponential(think_ms) + think_ms / 3
            ping = ["SELECT 1"] if pings and number % pings == 0 else []
            for sql in [*ping, f"SELECT a FROM u WHERE id = {number}", *[READ] * (number % 2)]:
                at += 1.001
                rows.append((str(session), at, sql, f"{session}-{number}"))
    frame = pd.DataFrame(rows, columns=["session", "at", "sql", "true"]).sort_values("at", ignore_index=True)
    return frame.assign(start=START + pd.to_timedelta(frame["at"], unit="ms"), duration_ms=0.5, run="r")


@pytest.mark.parametrize(("pings", "how"), [(0, "time gap"), (100, "time gap"), (10, "time gap"), (1, "session reset")])
def test_a_health_check_now_and_then_is_no_reset(pings: int, how: str) -> None:
    queries = sessions(pings)
    found = lab.queries.assign_units(queries)
    assert set(found["unit_by"]) == {how}
    assert set(found["confidence"]) == {"low" if how == "time gap" else "high"}
    together = found.groupby("unit")["true"].nunique()
    assert len(together) == pytest.approx(600, abs=6) and (together == 1).mean() > 0.98


def test_commits_now_and_then_do_not_hold_a_session_together() -> None:
    queries = sessions(0)
    now_and_then = queries.index % 150 == 149
    queries.loc[now_and_then, "sql"] = "COMMIT"
    assert lab.queries.assign_units(queries)["unit"].nunique() == pytest.approx(600, abs=20)
    # Where pauses are known by the second only, what lies between two such commits is no request either.
    whole_seconds = queries.assign(start=queries["start"].dt.floor("s"))
    assert set(lab.queries.assign_units(whole_seconds)["confidence"]) == {"low"}


def test_whole_seconds_leave_commits_after_each_request_what_they_are() -> None:
    """Two requests of 40 ms a second: commits are borders, though every one lies in some second."""
    queries = log(*[READ, READ, READ, "COMMIT"] * 200, gap_ms=125).assign(
        start=lambda q: START + pd.to_timedelta(np.arange(800) // 4 * 500 + np.arange(800) % 4 * 10, unit="ms")
    )
    queries["start"] = queries["start"].dt.floor("s")
    found = lab.queries.assign_units(queries)
    assert set(found["unit_by"]) == {"transaction"}
    assert found["unit"].nunique() == 200


@pytest.mark.parametrize("kind", ["exponential", "lognormal", "uniform"])
def test_pauses_of_one_kind_are_not_parted(kind: str) -> None:
    draw = np.random.default_rng(3)
    pauses = {
        "exponential": draw.exponential(3, 2000),
        "lognormal": draw.lognormal(0.5, 1, 2000),
        "uniform": draw.uniform(0, 9, 2000),
    }
    start = START + pd.to_timedelta(np.cumsum(pauses[kind] + 0.1), unit="ms")
    queries = pd.DataFrame({"run": "r", "session": "s", "start": start, "sql": READ, "duration_ms": 0.1})
    assert lab.queries.assign_units(queries)["unit"].nunique() < 20


def requests(*, think_ms: float, seed: int = 4) -> pd.DataFrame:
    """300 requests on four connections in autocommit: session, user, then one of four pages; a pause after every tenth or so."""
    draw, rows = np.random.default_rng(seed), []
    for session in range(4):
        at = 0.0
        for number in range(75):
            name = f"{session}-{number}"
            n = int(draw.integers(6, 15))
            pages = (
                ["SELECT id, name FROM author LIMIT 15"]
                + [f"SELECT id FROM book WHERE author_id = {i}" for i in range(n)],
                [f"SELECT * FROM book WHERE id = {number}", f"SELECT * FROM review WHERE book_id = {number}"],
                ["SELECT count(*) FROM book", "SELECT * FROM book ORDER BY id LIMIT 20"],
                [f"SELECT * FROM shop WHERE id = {number}"],
            )
            preamble = [
                f"SELECT user_id FROM sessions WHERE token = 't{name}'",
                f"SELECT id, name FROM users WHERE id = {session}",
            ]
            at += draw.exponential(think_ms) if number % 10 == 0 else 0.2
            for sql in [*preamble, *pages[int(draw.integers(0, 4))]]:
                at += 0.5
                rows.append((str(session), at, sql, name))
    frame = pd.DataFrame(rows, columns=["session", "at", "sql", "true"]).sort_values("at", ignore_index=True)
    return frame.assign(start=START + pd.to_timedelta(frame["at"], unit="ms"), duration_ms=0.2, run="r")


def test_what_opens_a_request_is_found_in_autocommit() -> None:
    queries = requests(think_ms=900)
    found = lab.queries.assign_units(queries)
    assert set(found["unit_by"]) == {"opening statement"} and set(found["confidence"]) == {"high"}
    assert (found.groupby("unit")["true"].nunique() == 1).all() and found["unit"].nunique() == queries["true"].nunique()
    claimed = lab.find_n_plus_one(queries)
    assert claimed[claimed["evidence"].isin(["confirmed", "likely"])]["child"].tolist() == [
        "select id from book where author_id = ?"
    ]
    assert lab.find_duplicates(queries).empty


def test_what_opens_a_request_can_be_given() -> None:
    queries = requests(think_ms=3)
    assert set(lab.queries.assign_units(queries)["confidence"]) == {"low"}
    given = lab.queries.assign_units(queries, begins="SELECT user_id FROM sessions WHERE token = 'x'")
    assert (given.groupby("unit")["true"].nunique() == 1).all() and set(given["confidence"]) == {"high"}
    assert lab.find_duplicates(given).empty
    with pytest.raises(ValueError, match="begins must be a statement of these queries"):
        lab.queries.assign_units(queries, begins="SELECT nothing FROM nowhere")


def test_a_list_and_the_details_after_it_open_nothing() -> None:
    """One page after a pause, then details without one: no N+1, and nothing is claimed."""
    draw, rows, at = np.random.default_rng(2), [], 0.0
    for visit in range(60):
        at += 2000
        for sql in [
            "SELECT id, name FROM song LIMIT 20",
            *(f"SELECT * FROM song WHERE id = {visit}{i}" for i in range(int(draw.integers(5, 12)))),
        ]:
            at += 10
            rows.append((at, sql))
    frame = pd.DataFrame(rows, columns=["at", "sql"])
    frame = frame.assign(start=START + pd.to_timedelta(frame["at"], unit="ms"), duration_ms=0.2, run="r", session="s")
    found = lab.find_n_plus_one(frame)
    assert set(found["evidence"]) == {"possible"}
    assert found.attrs["sentence"].startswith("no N+1 found") and "1 possible" in found.attrs["sentence"]
    assert found.warnings[0].facts["statements"] == len(frame)
    lab.assert_no_n_plus_one(frame)


def test_a_connection_for_each_request_is_a_unit() -> None:
    rows = []
    for number in range(60):
        for place, sql in enumerate(
            ["SET TIME ZONE 'UTC'", READ, *[f"SELECT b FROM u WHERE t_id = {i}" for i in range(3)]]
        ):
            rows.append((str(number), number * 40 + place * (30 if place == 2 and number % 9 == 0 else 1), sql))
    frame = pd.DataFrame(rows, columns=["session", "at", "sql"])
    frame = frame.assign(start=START + pd.to_timedelta(frame["at"], unit="ms"), duration_ms=0.2, run="r")
    found = lab.queries.assign_units(frame)
    assert found["unit"].nunique() == 60
    assert set(found["unit_by"]) == {"connection"} and set(found["confidence"]) == {"high"}


SHARED = "0af7651916cd43dd8448eb211c80319c"


def traced(*statements: tuple[str, int, str]) -> pd.DataFrame:
    """Statements with sqlcommenter's comment: text, number of the span, route; all of one trace."""
    return log(*(f"{sql} /*route='{r}',traceparent='00-{SHARED}-{span:016x}-01'*/" for sql, span, r in statements))


def asked(number: int, route: str = "/track") -> list[tuple[str, int, str]]:
    texts = ("SELECT * FROM session WHERE token = 'x'", f"SELECT * FROM track WHERE id = {number}")
    return [(text, number, route) for text in texts]


def test_requests_that_share_a_trace_are_units_of_their_own():
    page = [statement for number in range(1, 9) for statement in asked(number)]
    assert units(traced(*page)) == [[2 * i, 2 * i + 1] for i in range(8)]
    assert len(units(traced(*page, *asked(9, "/album")))) == 9
    assert len(units(traced(*((text, n, r) for n, (text, _, r) in enumerate(page + asked(9, "/album")))))) == 2
    names = lab.queries.assign_units(traced(*page))["unit"]
    assert names.nunique() == 8 and names.str.startswith(SHARED).all()


def test_spans_within_a_request_are_no_units():
    listed = [("SELECT * FROM session WHERE token = 'x'", 1, "/a"), ("SELECT * FROM album", 1, "/a")]
    each = [(f"SELECT * FROM track WHERE album_id = {n}", n + 2, "/a") for n in range(8)]
    tagged = [one for n in range(8) for one in (each[n], (f"SELECT * FROM tag WHERE album_id = {n}", n + 2, "/a"))]
    assert len(units(traced(*listed, *each))) == 1
    assert len(units(traced(*listed, *tagged))) == 1
