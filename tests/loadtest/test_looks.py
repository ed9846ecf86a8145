"""Registered looks on real load: an experiment that ends when it is decided, and remembers that it could."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from driving import free_port, plan, wait_for

import perflab as lab
from perflab.loadtest.target import _connects

SERVER = """
import sys, time
from waitress import serve
def application(environ, start_response):
    time.sleep(float(sys.argv[2]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
serve(application, host="127.0.0.1", port=int(sys.argv[1]), threads=16, _quiet=True)
"""


@contextmanager
def up(arm: str, delay: float) -> Iterator[lab.Target]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(delay)])
    try:
        wait_for(lambda: _connects("127.0.0.1", port))
        yield lab.Target(arm, host=f"http://127.0.0.1:{port}", ready="/")
    finally:
        process.terminate()
        process.wait()


def in_background(*sides: object, **how: Any) -> tuple[lab.Measurements, lab.Measurements]:
    return lab.start_pairs(*sides, **how).result(120)


@pytest.mark.parametrize("pairs_of_runs", [lab.run_pairs, in_background])
def test_a_look_ends_the_experiment_and_compare_knows_of_it(tmp_path: Path, pairs_of_runs: Callable[..., Any]) -> None:
    """2 against 60 ms: decided at the first look, after three of five pairs."""
    load = plan(1, users=8, user="Mostly")
    with up("slow", 0.06) as slow, up("quick", 0.002) as quick:
        before, after = pairs_of_runs(
            load, slow, quick, pairs=5, looks=(3,), metric="p50", seed=3, store=tmp_path, progress=False
        )
    assert len(before.runs) == len(after.runs) == 3
    ended = before.warnings[-1]
    assert (ended.code, ended.facts["pairs"], ended.facts["planned"]) == ("ended-by-look", 3, 5)
    assert ended.facts["look"].startswith("look 1 of 2")
    kept = lab.load(tmp_path)
    assert [e["looks"] for e in kept.runs["environment"]] == [[3, 5]] * 6
    change = lab.compare(kept.where(arm="slow"), kept.where(arm="quick"), metric="p50")
    assert change.verdict == "improved"
    assert any("look 1 of 2 registered ones, at 3 pairs" in note for note in change.notes)


def test_bad_looks_are_refused_before_anything_runs() -> None:
    slow, quick = (lab.Target(arm, host="http://127.0.0.1:1") for arm in ("slow", "quick"))
    for looks, words in (((2, 5), "first at 3"), ((5, 12), "beyond the 10 pairs"), ((5, 5), "increase")):
        with pytest.raises(ValueError, match=words):
            lab.run_pairs(plan(), slow, quick, pairs=10, looks=looks)
        with pytest.raises(ValueError, match=words):
            lab.start_pairs(plan(), slow, quick, pairs=10, looks=looks)
