"""Precision and recall by unit of work of `find_n_plus_one` on a corpus, against its truth."""

from __future__ import annotations

import bz2
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recording import RECORDED

import perflab as lab
from perflab.queries.claims import CLAIMS
from perflab.queries.shape import shape

COMMENT = r" /\*request_id='([^']+)'[^*]*\*/"


@dataclass(frozen=True)
class Score:
    """``right`` units claimed that are one, ``wrong`` that are none, ``missed`` not claimed; the same for (unit, table)."""

    right: int
    wrong: int
    missed: int
    tables_right: int
    tables_wrong: int
    tables_missed: int
    errors: pd.DataFrame
    found: pd.DataFrame

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    def __str__(self) -> str:
        return (
            f"units: precision {self.precision:.3f}, recall {self.recall:.3f} ({self.right} right, {self.wrong} wrong, "
            f"{self.missed} missed); unit and table: {self.tables_right / max(1, self.tables_right + self.tables_wrong):.3f}, "
            f"{self.tables_right / max(1, self.tables_right + self.tables_missed):.3f}"
        )


@cache
def recorded_queries(name: str) -> pd.DataFrame:
    """The statements of a corpus, read once for those that judge them in turn."""
    return lab.read(recorded(name)[0]).queries


def recorded(name: str) -> tuple[Path, pd.DataFrame]:
    (log,) = [p for p in RECORDED.glob(f"{name}.*") if ".truth." not in p.name]
    lines = bz2.decompress((RECORDED / f"{name}.truth.jsonl.bz2").read_bytes()).splitlines()
    return log, pd.DataFrame([json.loads(line) for line in lines])


def judged(name: str, queries: pd.DataFrame | None = None, *, comments: bool = True, **options: Any) -> Score:
    """The score of a corpus (or of what is given of it); without the comments that name the request of a statement, if wanted."""
    _, truth = recorded(name)
    queries = commented = recorded_queries(name) if queries is None else queries
    if not comments:
        queries = queries.assign(sql=queries["sql"].str.replace(COMMENT, "", regex=True))
    found = lab.find_n_plus_one(queries, by="unit", **options)
    claims = found[found["evidence"].isin(CLAIMS)]
    request = requests_of(queries, truth) if comments else _by_most(queries, commented, truth)
    claimed = {
        (int(request[unit]), shape(child).tables[0])
        for unit, child in zip(claims["unit"], claims["child"], strict=True)
        if unit in request
    }
    real = {
        (i, table.lower()) for i, tables in enumerate(truth["n_plus_one"]) for table in tables
    }  # Prisma has capitals
    units, true_units = {u for u, _ in claimed}, {u for u, _ in real}
    errors = pd.DataFrame(
        [("wrong", truth["route"][u], t) for u, t in claimed - real]
        + [("missed", truth["route"][u], t) for u, t in real - claimed],
        columns=["error", "route", "table"],
    )
    return Score(
        len(units & true_units), len(units - true_units), len(true_units - units), len(claimed & real),
        len(claimed - real), len(real - claimed), errors.value_counts().reset_index(), found,
    )  # fmt: skip


def requests_of(queries: pd.DataFrame, truth: pd.DataFrame) -> dict[str, int]:
    """The request (its line in the truth) that each unit of work lies in: by its id, else by connection and order or time."""
    if "request" in truth:
        return {str(one): number for number, one in enumerate(truth["request"])}
    if truth["unit"].notna().all():
        return {str(unit): number for number, unit in enumerate(truth["unit"])}
    units = lab.queries.assign_units(queries)
    units = units[units["unit"].isin(lab.queries.summarize_units(queries)["unit"])]  # those that do some work
    middle = units.groupby("unit", sort=False).agg(
        session=("session", "first"), by=("unit_by", "first"), first=("start", "min"), last=("start", "max")
    )
    middle["at"] = (middle["first"].astype("int64") + middle["last"].astype("int64")) / 2e6
    found = {}
    for session, part in middle.groupby(middle["session"].map(_connection)):
        mine = truth[truth["session"] == session].sort_values("start")
        inside = part[part["by"] == "transaction"]
        if len(inside) == len(mine):  # MariaDB's logs know whole seconds only, but the order is sure
            found |= dict(zip(map(str, inside.index), map(int, mine.index), strict=True))
            continue
        place = np.searchsorted(mine["start"].to_numpy() - 0.001, part["at"].to_numpy(), side="right") - 1
        found |= {str(u): int(mine.index[p]) for u, p in zip(part.index, place, strict=True) if p >= 0}
    return found


def _by_most(queries: pd.DataFrame, commented: pd.DataFrame, truth: pd.DataFrame) -> dict[str, int]:
    """The request that most statements of a unit belong to, by the comments that were taken out."""
    numbers = {str(one): number for number, one in enumerate(truth["request"])}
    mine = commented["sql"].str.extract(COMMENT, expand=False).map(numbers)
    units = lab.queries.assign_units(queries)["unit"]
    most = mine.groupby(units.to_numpy()).agg(lambda part: part.mode().iloc[0] if part.notna().any() else -1)
    return {str(unit): int(number) for unit, number in most.items() if number >= 0}


def _connection(session: str) -> str:
    """PostgreSQL's session id ends with the process id in hexadecimal."""
    return str(int(session.rsplit(".", 1)[1], 16)) if "." in session else session


if __name__ == "__main__":
    import sys

    for name in sys.argv[1:] or sorted({p.name.split(".")[0] for p in RECORDED.iterdir()}):
        score = judged(name)
        print(f"{name}: {score}")
        if len(score.errors):
            print(score.errors.to_string(index=False))
