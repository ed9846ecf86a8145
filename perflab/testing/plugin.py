"""Fixtures for your own test suite: the statements that a test sends, and a failure if they contain an N+1.

    def test_orders_page(client, recorded_queries):
        client.get("/orders")
        recorded_queries.assert_no_n_plus_one()

    @pytest.mark.no_n_plus_one                      # the same; also threshold=..., allow=[...]
    def test_orders_page(client): ...

``pytest --no-n-plus-one`` applies this to every test. SQLAlchemy engines and Django connections are recorded automatically;
for any other driver use ``recorded_queries.connect(sqlite3.connect)`` in place of ``sqlite3.connect``.

pytest loads this file in every project with perflab installed, so it imports nothing else until a test requests it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pandas as pd

    from perflab.testing.recording import Recording

MARK = "no_n_plus_one"
FIXTURE = "recorded_queries"


class RecordedQueries:
    """The statements of one test: as a `table`, and the assertion on them."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._begin = recording.size()

    def table(self) -> pd.DataFrame:
        """The statements of this test so far, as a queries table (parameters as hashes)."""
        return self._recording.since(self._begin)

    def connect(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a DB-API driver's ``connect`` so that its connections are recorded."""
        return self._recording.connect(connect)

    def assert_no_n_plus_one(self, threshold: int = 5, allow: tuple[str, ...] = ()) -> None:
        """Like `perflab.assert_no_n_plus_one`, for the statements of this test so far."""
        import perflab

        perflab.assert_no_n_plus_one(self.table(), threshold, allow=tuple(allow))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("perflab").addoption(
        "--no-n-plus-one", action="store_true", help="fail each test whose database statements hold an N+1 (perflab)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARK}(threshold=5, allow=()): fail when the test's database statements hold an N+1 (perflab)"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    names = getattr(item, "fixturenames", None)
    if names is not None and FIXTURE not in names and _wanted(item) is not None:
        names.insert(0, FIXTURE)


def _wanted(item: pytest.Item) -> Mapping[str, Any] | None:
    """The options of the assertion to make after this test, if any."""
    marker = item.get_closest_marker(MARK)
    if marker is not None:
        return marker.kwargs
    return {} if item.config.getoption("--no-n-plus-one") else None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Make the assertion after a test that passed."""
    result = yield
    options = _wanted(pyfuncitem)
    recorded = pyfuncitem.funcargs.get(FIXTURE)
    if options is not None and isinstance(recorded, RecordedQueries):
        __tracebackhide__ = True
        recorded.assert_no_n_plus_one(**options)
    return result


@pytest.fixture(scope="session")
def _perflab_recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """One log for the session: engines are hooked once, and each test reads its own part."""
    from perflab.testing.recording import Recording

    recording = Recording(tmp_path_factory.mktemp("perflab") / "queries.jsonl")
    yield recording
    recording.close()


@pytest.fixture
def recorded_queries(request: pytest.FixtureRequest, _perflab_recording: Recording) -> Iterator[RecordedQueries]:
    """The statements that this test sends: ``table()``, ``assert_no_n_plus_one()``, ``connect(...)`` for a DB-API driver."""
    from perflab.recorders.context import unit_of_work

    _perflab_recording.hook()
    with unit_of_work(route=request.node.name):
        yield RecordedQueries(_perflab_recording)
