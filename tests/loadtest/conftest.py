"""No test of load leaves a process behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from driving import mine


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = mine()
    yield
    deadline = time.monotonic() + 10
    while (left := mine() - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
