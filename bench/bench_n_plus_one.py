"""Finding N+1 in 12,000 units of work: `find_n_plus_one` beside the loop that one would write with pandas.

The statements are those of a recorded corpus of real ORM traffic, repeated with other unit ids. The loop only counts
repetitions of a fingerprint in a unit; it tests nothing, and gets the fingerprints for free. Medians of 3 runs.
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import perflab as lab

CORPUS = Path(__file__).parent.parent / "tests" / "corpora" / "recorded" / "music.jsonl.bz2"
COPIES = 30
GOAL = 10_000


def traffic() -> pd.DataFrame:
    one = lab.read(CORPUS).queries
    many = pd.concat([one.assign(unit=one["unit"] + f"-{i}") for i in range(COPIES)], ignore_index=True)
    return many.assign(sql=many["sql"].astype("str"))


def loop(queries: pd.DataFrame) -> list[tuple[str, str, int]]:
    found = []
    for unit, part in queries.groupby("unit"):
        counts = part["fingerprint"].value_counts()
        found += [(str(unit), str(text), int(n)) for text, n in counts.items() if n >= 5]
    return found


def seconds(work: Callable[[], Any]) -> float:
    took = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def literals() -> pd.DataFrame:
    """Statements with their values in the text, as a server's log has them: each text is another one."""
    one = lab.read(CORPUS.with_name("zoo.slow.log.bz2")).queries
    parts = [one.assign(sql=one["sql"].str.replace(r"\b(\d+)\b", rf"\g<1>{i}", regex=True)) for i in range(COPIES)]
    return pd.concat([p.assign(session=p["session"] + f"-{i}") for i, p in enumerate(parts)], ignore_index=True)


def main() -> None:
    queries = traffic()
    units = queries["unit"].nunique()
    marked = queries.assign(fingerprint=lab.fingerprint(queries["sql"], "sqlite"))
    ours, theirs = seconds(lambda: lab.find_n_plus_one(queries)), seconds(lambda: loop(marked))
    tracemalloc.start()
    lab.find_n_plus_one(queries)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    written = literals()
    of_texts = len(written) / seconds(lambda: lab.find_n_plus_one(written))
    lines = [
        f"{len(queries):,} statements of {units:,} units",
        f"find_n_plus_one, with fingerprints and scaling tests: {ours:.2f} s, {len(queries) / ours:,.0f} statements/s, "
        f"{peak:.0f} MB at most",
        f"the same of {written['sql'].nunique():,} different texts: {of_texts:,.0f} statements/s",
        f"a pandas loop over units that only counts: {theirs:.2f} s ({theirs / ours:.1f} x)",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if min(of_texts, len(queries) / ours) < GOAL:
        sys.exit(f"slower than {GOAL:,} statements/s")


if __name__ == "__main__":
    main()
