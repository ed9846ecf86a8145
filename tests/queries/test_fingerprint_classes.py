"""Fingerprints beside libpg_query's, and the two stages beside one: nothing merged, little split, nothing different."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pglast import parser

import perflab as lab
from perflab.queries import vectorised
from perflab.queries.tokens import DIALECTS, tokens

ROOT = Path(__file__).parent.parent.parent


def _recorded() -> list[str]:
    """Statements that SQLAlchemy, Django, Rails and people wrote, from the samples and the data sets."""
    found = [json.loads(line)["sql"] for line in (ROOT / "datasets" / "shop_queries.jsonl").read_text().splitlines()]
    for path in sorted((ROOT / "tests" / "samples").glob("*/*.queries.golden.csv")):
        if "mysql" not in path.parent.name:
            found += pd.read_csv(path)["sql"].dropna().tolist()
    return sorted({re.sub(r"\?|%s", "$1", sql) for sql in found})


def _system() -> list[str]:
    """The SQL of PostgreSQL's own catalogue and extensions, where it is installed."""
    found = []
    for path in sorted(Path("/usr/share/postgresql").glob("*/**/*.sql")):
        lines = path.read_text(errors="replace").splitlines()
        try:
            split = parser.split("\n".join(line for line in lines if not line.startswith("\\")))
        except parser.ParseError:
            continue
        found += [sql for sql in split if isinstance(sql, str)]
    return sorted(set(found))


def theirs(sql: str) -> str | None:
    try:
        return str(parser.fingerprint(sql))
    except parser.ParseError:
        return None


RECORDED = [sql for sql in _recorded() if theirs(sql)]
PARTS = (
    'select', 'from', 'where', 'and', 'or', 'not', 'in', 'is', 'null', 'true', 'false', 'limit', 'offset', 'order',
    'by', 'asc', 'desc', 'nulls', 'first', 'last', 'distinct', 'all', 'any', 'exists', 'case', 'when', 'then',
    'else', 'end', 'between', 'like', 'ilike', 'union', 'except', 'as', 'on', 'join', 'left', 'inner', 'outer',
    'using', 'values', 'set', 'returning', 'for', 'update', 'share', 'skip', 'locked', 'nowait', 'cast', 'interval',
    'date', 'array', 'row', 'default', '5', "'x'", 'null', 'true', '-5', '$1', "E'a'", '1.5', "'1'::int",
    'array[1,2]', '(1)', '+3', '-', "B'1'", "x'ff'", "U&'a'", '1e5', '$q$z$q$', "-'5'", '-$1', '||', '=', '<>', '<',
    '(', ')', ',', '.', '::', '*', '[', ']',
)  # fmt: skip


def _classes(corpus: list[str]) -> tuple[dict[str, set[str]], set[str]]:
    ours: dict[str, set[str]] = defaultdict(set)
    for sql in corpus:
        if (known := theirs(sql)) is not None:
            ours[lab.fingerprint(sql, "postgresql")].add(known)
    return ours, set().union(*ours.values())


def test_recorded_statements_are_neither_merged_nor_split_much():
    ours, known = _classes(RECORDED)
    assert not [f for f, classes in ours.items() if len(classes) > 1]
    assert len(known) > 50
    assert len(ours) <= 1.1 * len(known)


def test_postgresqls_own_statements_are_neither_merged_nor_split_much():
    corpus = _system()
    if not corpus:
        pytest.skip("needs the SQL files of PostgreSQL (apt: postgresql)")
    ours, known = _classes(corpus)
    assert not [f for f, classes in ours.items() if len(classes) > 1]
    assert len(known) > 1000
    assert len(ours) <= 1.1 * len(known)


def mutated(sql: str, at: random.Random) -> str:
    """The statement with a token or two taken out, put in, swapped or replaced; spaces between all of them."""
    words = [text for _, text in tokens(sql, "postgresql")]
    for _ in range(at.randint(1, 2)):
        place, other = at.randrange(len(words)), at.randrange(len(words))
        change = at.randrange(5)
        if change == 0 and len(words) > 1:
            del words[place]
        elif change == 1:
            words.insert(place, words[other])
        elif change == 2:
            words[place], words[other] = words[other], words[place]
        else:
            words[place : place + (change == 3)] = [at.choice(PARTS)]
    return " ".join(words)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**48))
def test_what_libpg_query_keeps_apart_is_never_merged(seed):
    at = random.Random(seed)
    one = at.choice(RECORDED)
    other = mutated(one, at)
    classes = theirs(one), theirs(other)
    if None not in classes and classes[0] != classes[1]:
        assert lab.fingerprint(one, "postgresql") != lab.fingerprint(other, "postgresql")


ATOMS = (
    "a = 1", "b = 2", "a > 1", "not a = 1", "f(a) = 1", "(a = 1)", "(a = 1 and b = 2)", "(a = 1 or b = 2)", "a in (1, 2)",
    "exists (select 1 from t_12 where a = 1 or a = 2)", "t12.a = 1",
)  # fmt: skip
TABLES = (
    "t", "t_12", "t_13", "t_1", "s_10.t", "s_11.t", "t12 x", "t, u_20", "t as x_12", "(select 1 from t_44) z_9", "f_12(1)",
    "only t_12", "t_77 left join lateral (select 1) q_10 on true",
)  # fmt: skip
ITEMS = (
    "a", "a_12", "count(*)", "extract(year from d_12)", "case when a = 1 or a = 2 then 1 when a = 1 then 2 end",
    "a is distinct from b_12", "1 or 2 or 3",
)  # fmt: skip
OTHERS = (
    "fetch 100 from c1", "fetch 200 from c2", "fetch all from c", "close c", "close all", "release s", "release savepoint b",
    "rollback to a", "rollback to savepoint b", "prepare p as select 1", "execute p", "execute q(1)", "deallocate p",
    "deallocate all", "listen a", "unlisten *", "notify a, 'x'", "truncate t_12, u_10", "truncate t_13", "drop table t_12",
    "drop table t_13", "select 1 from t fetch first 1 row only", "select 1 from t fetch first 2 rows only",
    "declare c cursor for select 1", "declare c cursor with hold for select 1", "copy t_12 from stdin", "copy t_13 from stdin",
)  # fmt: skip


def _repeating(at: random.Random) -> str:
    """A statement that repeats its terms, or has names that a client made up."""

    def terms() -> str:
        found = " or ".join(" and ".join(at.choices(ATOMS, k=at.choice((1, 1, 2)))) for _ in range(at.randint(1, 4)))
        return found if at.random() < 0.7 else f"({found}) and {at.choice(ATOMS)}"

    kind = at.random()
    if kind < 0.7:
        end = at.choice(
            ("", " group by a", " order by a or b", " limit 1", " for update of t_12", " having a = 1 or a = 2")
        )
        return f"select {at.choice(ITEMS)} from {at.choice(TABLES)} where {terms()}{end}"
    if kind < 0.8:
        return f"{at.choice(('update t_12 set a = 1', 'update t set a = 1', 'delete from t_13'))} where {terms()}"
    if kind < 0.9:
        rows = at.choices(("(1, 2)", "(1, default)", "(default, default)", "(default, 2)"), k=at.randint(1, 3))
        return f"insert into {at.choice(('t_12', 't_13', 't', 's_22.t_1'))} values {', '.join(rows)}"
    return at.choice(OTHERS)


def test_repeated_terms_and_made_up_names_are_merged_only_where_libpg_query_merges_them():
    at = random.Random(17)
    ours, known = _classes([_repeating(at) for _ in range(800)])
    assert not [f for f, classes in ours.items() if len(classes) > 1]
    assert len(ours) <= 1.1 * len(known)


BITS = st.sampled_from([
    'select', 'a', 't1', '"Q"', '"it\'s 5"', '`b`', '[c d]', 'from', 'where', '=', 'in (', '(', ')', ',', 'and', '-',
    '+', '- ', '1', '2.5', '1e5', '.5', '0xff', "'x'", "'it''s'", "'a\\'", "'--'", "'/*'", '"', "'", '`', '?', '?1',
    '$1', ':x', '@x', '%s', '%(a)s', 'values (', '), (', 'array[', ']', 'limit', 'is', 'null', 'true', "E'a\\'b'",
    "e'x'", "N'x'", "x'ff'", "_utf8'x'", "U&'x'", 'U&"x"', '$$a$$', '$t$ x $t$', '-- c\n', '# c\n', '/* c */',
    "/* 'a */", '/* a /* b */ c */', '/*a=1*/', ';', '::int', '->>', '->', "'k'", 'é1', 'e1', 'a$b', 'operator',
    'function', '7', '\n', '\t', '<>', '< >', '!=', '*', '/', '||', '\x01', '\\', 'savepoint', 's1', '{', '}',
])  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    words=st.lists(st.lists(BITS, max_size=14), min_size=10, max_size=60),
    glue=st.sampled_from(["", " "]),
    dialect=st.sampled_from(DIALECTS),
)
def test_two_stages_are_as_one(words, glue, dialect):
    texts = [glue.join(parts) for parts in words]
    places, skeletons = vectorised._skeletons(texts, dialect)
    assert [lab.fingerprint(skeletons[p], dialect) for p in places] == [
        lab.fingerprint(text, dialect) for text in texts
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_stages_are_as_one_on_recorded_statements(dialect):
    texts = RECORDED + [sql.replace("$1", f"'{number}'") for number, sql in enumerate(RECORDED)]
    places, skeletons = vectorised._skeletons(texts, dialect)
    assert [lab.fingerprint(skeletons[p], dialect) for p in places] == [
        lab.fingerprint(text, dialect) for text in texts
    ]
