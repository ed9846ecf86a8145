"""The fixtures for users' own suites, in suites of their own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SQLALCHEMY = """
import pytest
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, relationship, selectinload

class Base(DeclarativeBase): pass

class Author(Base):
    __tablename__ = "author"
    id = mapped_column(primary_key=True, type_=__import__("sqlalchemy").Integer)
    books = relationship("Book")

class Book(Base):
    __tablename__ = "book"
    id = mapped_column(primary_key=True, type_=__import__("sqlalchemy").Integer)
    author_id = mapped_column(ForeignKey("author.id"))

@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Author(id=i, books=[Book(), Book()]) for i in range(1, 9)])
        session.commit()
        session.expunge_all()
        yield session
    engine.dispose()

def page(session, *options):
    return [len(a.books) for a in session.scalars(select(Author).options(*options))]
"""


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """In a process of its own: SQLAlchemy and Django can't be imported a second time into this one."""
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


MARKED = """
@pytest.mark.no_n_plus_one
def test_lazy(session): page(session)

@pytest.mark.no_n_plus_one
def test_eager(session): page(session, selectinload(Author.books))

@pytest.mark.no_n_plus_one(threshold=20)
def test_few(session): page(session)

@pytest.mark.no_n_plus_one(allow=["from book"])
def test_allowed(session): page(session)

def test_not_asked(session): page(session)

@pytest.mark.no_n_plus_one
def test_fails_by_itself(session):
    page(session)
    assert 1 == 2

def test_its_own_statements(session, recorded_queries):
    begin = len(recorded_queries.table())
    page(session)
    table = recorded_queries.table()
    assert len(table) - begin == 9
    assert table["route"].unique().tolist() == ["test_its_own_statements"]
    with pytest.raises(AssertionError, match="1 N.1 found"):
        recorded_queries.assert_no_n_plus_one()

def test_nothing(recorded_queries):
    assert len(recorded_queries.table()) == 0
    recorded_queries.assert_no_n_plus_one()
"""


def test_an_n_plus_one_fails_the_test_that_is_marked(pytester: pytest.Pytester) -> None:
    result = run(pytester, SQLALCHEMY + MARKED, "--strict-markers", "-rf")
    result.assert_outcomes(passed=6, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*1 N+1 found:*",
            "*select book.id, book*",
            "*ran 8 times*",
            "*called from *test_an_n_plus_one*",
            "*selectinload*",
        ]
    )
    result.stdout.fnmatch_lines(["FAILED *::test_lazy*", "FAILED *::test_fails_by_itself*"])
    assert sum("1 N+1 found:" in line and line.startswith("E ") for line in result.outlines) == 1


def test_a_dbapi_driver(pytester: pytest.Pytester) -> None:
    pytest.importorskip("perflab.recorders.dbapi")
    result = run(
        pytester,
        """
import sqlite3
import pytest

def test_plain(recorded_queries):
    with sqlite3.connect(":memory:") as setup:
        pass
    setup.close()
    connection = recorded_queries.connect(sqlite3.connect)(":memory:")
    connection.execute("CREATE TABLE author (id INTEGER)")
    connection.execute("CREATE TABLE book (author_id INTEGER)")
    connection.executemany("INSERT INTO author VALUES (?)", [(i,) for i in range(7)])
    for (i,) in connection.execute("SELECT id FROM author").fetchall():
        connection.execute("SELECT * FROM book WHERE author_id = ?", (i,)).fetchall()
    connection.close()
    with pytest.raises(AssertionError, match="from book[^x]+where author_id"):
        recorded_queries.assert_no_n_plus_one()
""",
    )
    result.assert_outcomes(passed=1)


DJANGO = """
import pytest
import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, USE_TZ=True)
django.setup()

from django.db import connection, models

class Author(models.Model):
    class Meta: app_label = "shop"

class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    class Meta: app_label = "shop"

@pytest.fixture(scope="session")
def tables():
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    Author.objects.bulk_create([Author() for _ in range(8)])
    Book.objects.bulk_create([Book(author_id=i) for i in range(1, 9)])
    yield
    connection.close()

def test_lazy(tables):
    [book.author.pk for book in Book.objects.all()]

def test_eager(tables):
    [book.author.pk for book in Book.objects.select_related("author")]
"""


def test_django_and_the_option_that_holds_every_test_to_it(pytester: pytest.Pytester) -> None:
    pytest.importorskip("perflab.recorders.django")
    result = run(pytester, DJANGO, "--no-n-plus-one")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*1 N+1 found:*", "*select_related*"])


def test_pytest_starts_without_the_rest_of_perflab(pytester: pytest.Pytester) -> None:
    body = (
        "import sys\n\ndef test_light():\n"
        "    assert 'perflab.testing.plugin' in sys.modules\n"
        "    assert not {'pandas', 'numpy', 'duckdb', 'sqlalchemy'} & set(sys.modules)\n"
    )
    run(pytester, body).assert_outcomes(passed=1)
