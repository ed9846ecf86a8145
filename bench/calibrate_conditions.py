"""What the checks of an experiment's conditions do: right and false verdicts, doubts, and what the checks cost.

    python bench/calibrate_conditions.py --raw FILE --seconds 450     some more replicates of every cell, appended to FILE
    python bench/calibrate_conditions.py --raw FILE --write           the table, into datasets/calibration/conditions.csv

Every experiment goes through `perflab.compare`, `compare_anytime` or `change_points`. A verdict is false when it has a direction
that the truth has not; it is doubted when its reason, its sentence or a warning names the condition. The replicates of a cell
come in pieces of 50 with a seed each, so that a table can be made in parts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.stats.anytime import compare_anytime
from perflab.stats.compare import Change, compare
from perflab.stats.history import change_points
from perflab.stats.verdicts import decide

SEED, PIECE = 20261129, 50
PLACE = Path(__file__).parent.parent / "datasets" / "calibration"
SECONDS = 30.0
START = np.datetime64("2026-01-01", "us")
DIRECTIONS = ("improved", "regressed")
Floats = npt.NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True)
class Runs:
    """The runs of an experiment in the order in which they ran: arm ("b" or "c"), ln of the level, pair (or -1)."""

    arm: npt.NDArray[np.str_]
    level: Floats
    pair: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Requests:
    """What a run's requests are: how many, the share of a slow endpoint in each arm and how many times as slow it is, the share
    of the candidate's slowest that fail at once, the share of requests that fail by chance, the load of the candidate."""

    count: int = 220
    slow: tuple[float, float] = (0.0, 0.0)
    times: tuple[float, float] = (1.0, 1.0)
    shed: float = 0.0
    failing: float = 0.0
    load: float = 1.0
    steal: tuple[float, float] = (0.0, 0.0)
    one_endpoint: bool = False
    spread: float = 0.3


def measured(random: Random, runs: Runs, made: Requests) -> tuple[Measurements, Measurements]:
    """Both arms, in the schemas already: lognormal latencies around each run's level."""
    sides = []
    for place, arm in enumerate("bc"):
        own = np.flatnonzero(runs.arm == arm)
        count = round(made.count * (made.load if arm == "c" else 1.0))
        shape = (len(own), count)
        latency = 50 * np.exp(runs.level[own][:, None] + made.spread * random.standard_normal(shape))
        slow = random.random(shape) < made.slow[place]
        latency = np.where(slow, latency * made.times[place], latency)
        ok = random.random(shape) >= made.failing
        if arm == "c" and made.shed:
            ok = latency <= np.quantile(latency, 1 - made.shed, axis=1, keepdims=True)
            latency = np.where(ok, latency, 1.0)
        begin = own * 100.0
        at = begin[:, None] + (np.arange(count) + 0.5) / count * SECONDS
        names = pd.array([f"{arm}{i}" for i in own], dtype="str")
        endpoints = pd.array(["GET /a", "GET /a" if made.one_endpoint else "GET /report"], dtype="str")
        requests = pd.DataFrame(
            {
                "run": names.take(np.repeat(np.arange(len(own)), count)),
                "endpoint": endpoints.take(slow.ravel().astype("intp")),
                "start": _instants(at.ravel()),
                "latency_ms": latency.ravel(),
                "ok": ok.ravel(),
            }
        )
        table = pd.DataFrame(
            {"run": names, "arm": arm, "start": _instants(begin), "duration_ms": SECONDS * 1e3, "valid": True}
        )
        if runs.pair[0] >= 0:
            table["pair"] = runs.pair[own]
        tables = {"runs": table, "requests": requests}
        if any(made.steal):
            cores = made.steal[place] * np.exp(0.3 * random.standard_normal(len(own)))
            tables["resources"] = pd.DataFrame(
                {
                    "run": names,
                    "time": _instants(begin),
                    "process": "machine",
                    "cpu_cores": 1.0,
                    "rss_bytes": 1e9,
                    "steal_cores": cores,
                }
            )
        sides.append(Measurements(MappingProxyType(tables)))
    return sides[0], sides[1]


def _instants(seconds: Floats) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(START + (seconds * 1e6).astype("timedelta64[us]")).tz_localize("UTC")


def pairs(
    random: Random, count: int, sd: float = 0.05, effect: float = 0.0, *, ordered: float = 0.5, second: float = 0.0,
    carried: float = 0.0, broken: float = 0.0, slower: float = 0.0,
) -> Runs:  # fmt: skip
    """Pairs in random, balanced order. ``second``: what the second run of a pair gains; ``ordered``: the share of pairs with
    the baseline first; ``carried``: what a run after one of the candidate loses; ``broken``: ln of what one run is off;
    ``slower``: ln of a step of the whole machine after a third of the pairs, which pairs cancel."""
    first = random.permutation(np.arange(count) < round(ordered * count))
    arm = np.where(np.stack([first, ~first], axis=1), "b", "c").ravel()
    place = np.tile([0, 1], count)
    level = sd * random.standard_normal(2 * count) + np.where(arm == "c", effect, 0.0) + second * place
    level[1:] += carried * (arm[:-1] == "c")
    level[np.flatnonzero(arm == "c")[0]] += broken
    level[2 * (count // 3) :] += slower
    return Runs(arm, level, np.repeat(np.arange(count), 2))


def blocks(
    random: Random, order: str, sd: float = 0.02, drift: float = 0.0, effect: float = 0.0, step: float = 0.0
) -> Runs:
    """Unpaired runs in this order ("random": ten of each), on a linear drift or a step half-way."""
    names = "".join(random.permutation(list("b" * 10 + "c" * 10))) if order == "random" else order
    arm, size = np.array(list(names)), len(names)
    level = sd * random.standard_normal(size) + np.where(arm == "c", effect, 0.0) + drift * np.arange(size) / (size - 1)
    return Runs(arm, level + step * (np.arange(size) >= size // 2), np.full(size, -1))


@dataclass(frozen=True)
class Cell:
    """A condition: the experiments, the metric, the sign of the true change, and the codes of notes that name the condition.

    ``clean`` cells have nothing wrong: any note on a condition is a false one.
    """

    name: str
    runs: Callable[[Random], Runs]
    made: Requests = field(default_factory=Requests)
    truth: int = 0
    named: tuple[str, ...] = ()
    metric: str = "p95"
    clean: bool = False

    def one(self, random: Random) -> Mapping[str, bool]:
        """What one experiment came to."""
        change = compare(*measured(random, self.runs(random), self.made), metric=self.metric, warmup=0)
        return outcome(change, self)


CONDITIONS = frozenset(
    [
        "mix-moved",
        "failures-decide",
        "failing-fast",
        "tail-fails",
        "order-skewed",
        "order-confounded",
        "carry-over",
        "broken-run",
        "load-differs",
        "machine-busy",
        "two-modes",
        "tests-disagree",
        "no-common-endpoint",
        "endpoint-in-one-arm",
        "lone-endpoints",
        "other-load",
        "changed-during",
        "endpoint-regressed",
        "coordinated-omission",
    ]
)


def outcome(change: Change, cell: Cell) -> Mapping[str, bool]:
    """Right, false, false without a word, doubted, capped; and what the test alone would have said."""
    row = change.find()
    said = {note.code for note in (*row.reasons, *row.remarks, *change.warnings)}
    expected = "equivalent" if cell.truth == 0 else DIRECTIONS[cell.truth > 0]
    named = bool(said & (CONDITIONS if cell.clean else set(cell.named)))
    false = change.verdict in DIRECTIONS and change.verdict != expected
    effect, alone = row.judged.effect, "inconclusive"
    if effect is not None and not row.judged.obstacle:
        alone = str(decide(effect, row.judged.margin, effect.p_value, row.metric.better))
    right = change.verdict == expected if cell.truth else not false
    return {
        "right": right,
        "false": false,
        "false_unsaid": false and not named,
        "right_or_doubted": right or named,
        "doubted": named,
        "capped": change.verdict == "inconclusive" and alone != "inconclusive",
        "power_lost": alone == expected and alone in DIRECTIONS and change.verdict != expected,
        **{f"said {code}": True for code in said & CONDITIONS},
    }


@dataclass(frozen=True)
class Watched:
    """`compare_anytime` on pairs whose effect changes half-way."""

    name: str
    effects: tuple[float, float]
    clean: bool = False

    def one(self, random: Random) -> Mapping[str, bool]:
        runs = pairs(random, 20, 0.03)
        effect = np.where(np.arange(len(runs.arm)) < len(runs.arm) // 2, *self.effects)
        moved = Runs(runs.arm, runs.level + np.where(runs.arm == "c", effect, 0.0), runs.pair)
        found = compare_anytime(*measured(random, moved, Requests()), warmup=0)
        changed = found.reason is not None and found.reason.code == "changed-during"
        steady = self.effects[0] == self.effects[1]
        claimed = found.verdict != "inconclusive" and not (steady and found.verdict == "equivalent")
        return {"right": not claimed, "false": claimed, "false_unsaid": claimed, "right_or_doubted": not claimed or changed,
                "doubted": changed, "capped": changed and steady}  # fmt: skip


@dataclass(frozen=True)
class History:
    """`change_points` on a history of ``runs``: a step in the last ``last`` of them, a drift, an autocorrelation; sd 5 %."""

    name: str
    runs: int
    step: float = 0.0
    last: int = 5
    drift: float = 0.0
    alike: float = 0.0
    clean: bool = False

    def one(self, random: Random) -> Mapping[str, bool]:
        noise = random.standard_normal(self.runs)
        for place in range(1, self.runs):
            noise[place] = self.alike * noise[place - 1] + np.sqrt(1 - self.alike**2) * noise[place]
        at = np.arange(self.runs)
        level = (
            0.05 * noise
            + np.log1p(self.drift) * at / (self.runs - 1)
            + np.log1p(self.step) * (at >= self.runs - self.last)
        )
        frame = pd.DataFrame({"run": at, "start": _instants(at * 86400.0), "value": 100 * np.exp(level)})
        places = change_points(frame).table["run"].astype(int).to_list()
        hit = any(abs(place - (self.runs - self.last)) <= 1 for place in places)
        right = hit if self.step else not places
        return {"right": right, "false": bool(places) and not right, "false_unsaid": bool(places) and not right,
                "right_or_doubted": right, "doubted": False, "capped": False}  # fmt: skip


def _eight(effect: float = 0.0, sd: float = 0.05, **more: float) -> Callable[[Random], Runs]:
    return lambda random: pairs(random, 8, sd, effect, **more)


def _blocks(order: str, **more: float) -> Callable[[Random], Runs]:
    return lambda random: blocks(random, order, **more)


TWO = Requests(400, (0.2, 0.2), (3.0, 3.0))
ASKED_LESS = Requests(600, (0.175, 0.035), (10.0, 100.0))
ASKED_MORE = Requests(600, (0.03, 0.12), (100.0, 10.0))
MIX = ("mix-moved",)
ORDER = ("order-confounded", "order-skewed")
CELLS: tuple[Cell | Watched | History, ...] = (
    Cell("clean: 8 pairs", _eight(), clean=True),
    Cell("clean: 8 pairs, -10 %", _eight(-0.105), truth=-1, clean=True),
    Cell("clean: 8 pairs, -20 %", _eight(-0.223), truth=-1, clean=True),
    Cell("clean: 8 pairs, +25 %", _eight(0.223), truth=1, clean=True),
    Cell("clean: 8 pairs, two endpoints", _eight(), TWO, clean=True),
    Cell("clean: 8 pairs, 1 % of requests fail", _eight(), Requests(failing=0.01), clean=True),
    Cell("clean: 10 and 10 runs in random order", _blocks("random", sd=0.05), clean=True),
    Cell("clean: 10 and 10 runs in random order, -10 %", _blocks("random", sd=0.05, effect=-0.105), truth=-1, clean=True),
    Cell("clean: 8 pairs, steal alike in both arms", _eight(), Requests(steal=(0.2, 0.2)), clean=True),
    Cell("clean: 12 pairs, two endpoints, 1 % fail, -10 %", lambda r: pairs(r, 12, 0.05, -0.105),
         Requests(400, (0.2, 0.2), (3.0, 3.0), failing=0.01), truth=-1, clean=True),
    Cell("mix: an endpoint 10 x slower is asked less", _eight(), ASKED_LESS, 1, MIX),
    Cell("mix: an endpoint 10 x faster is asked more", _eight(), ASKED_MORE, -1, MIX),
    Cell("mix: shares move, nothing else", _eight(), Requests(600, (0.2, 0.1), (10.0, 10.0)), 0, MIX),
    Cell("failures: slowest 0.8 % fail at once, p99", _eight(sd=0.02), Requests(1100, shed=0.008), 0,
         ("failures-decide", "failing-fast", "tail-fails"), "p99"),
    Cell("failures: slowest 3 % fail at once", _eight(sd=0.02), Requests(shed=0.03), 0,
         ("failures-decide", "failing-fast", "tail-fails")),
    Cell("order: 9 of 10 pairs alike, second run 5 % faster", lambda r: pairs(r, 10, 0.02, ordered=0.9, second=-0.05),
         named=ORDER),
    Cell("order: all 10 pairs alike, second run 5 % faster", lambda r: pairs(r, 10, 0.02, ordered=1.0, second=-0.05),
         named=ORDER),
    Cell("order: A x9, B x10, A; drift 10 %", _blocks("b" * 9 + "c" * 10 + "b", drift=0.1), named=ORDER),
    Cell("order: A x9, B A, B x9; drift 10 %", _blocks("b" * 9 + "cb" + "c" * 9, drift=0.1), named=ORDER),
    Cell("order: A x9, B x10, A; step 10 %", _blocks("b" * 9 + "c" * 10 + "b", step=0.1), named=ORDER),
    Cell("order: A x5, B x5, twice; drift 10 %", _blocks("bbbbbccccc" * 2, drift=0.1), named=ORDER),
    Cell("order: random; drift 10 %", _blocks("random", drift=0.1), named=ORDER),
    Cell("order: pairs; step of 30 % on the machine", _eight(slower=0.26), named=ORDER),
    Cell("carry-over: 15 % slower after the candidate", lambda r: pairs(r, 10, 0.03, carried=0.14), named=("carry-over",)),
    Cell("carry-over: 15 % slower after the candidate, 20 pairs", lambda r: pairs(r, 20, 0.03, carried=0.14),
         named=("carry-over",)),
    Cell("a broken run: 3 x as slow, truth -20 %", _eight(-0.223, broken=1.1), truth=-1, named=("broken-run",)),
    Cell("load: 10 % less of it, 20 % faster", _eight(-0.223), Requests(load=0.9), 0, ("load-differs",)),
    Cell("machine: steal in one arm only, 20 % slower", _eight(0.18), Requests(steal=(0.02, 0.6)), 0, ("machine-busy",)),
    Cell("few requests: 60, nothing changed, 6 pairs", lambda r: pairs(r, 6), Requests(60)),
    Cell("few requests: 80, nothing changed, 6 pairs", lambda r: pairs(r, 6), Requests(80)),
    Cell("few requests: 100, nothing changed, 6 pairs", lambda r: pairs(r, 6), Requests(100)),
    Cell("few requests: 60, -40 %, 6 pairs", lambda r: pairs(r, 6, 0.05, -0.511), Requests(60), -1),
    Cell("few requests: 100, -40 %, 6 pairs", lambda r: pairs(r, 6, 0.05, -0.511), Requests(100), -1),
    Cell("few requests: 60, heavy tail, nothing changed, 6 pairs", lambda r: pairs(r, 6), Requests(60, spread=1.0)),
    Cell("few requests: 60, 3 pairs, nothing changed", lambda r: pairs(r, 3), Requests(60)),
    Cell("cliff: 4 to 6 % slow requests", _eight(), Requests(600, (0.04, 0.06), (10.0, 10.0), one_endpoint=True), 0,
         ("two-modes",)),
    Cell("cliff: 5 % slow requests, nothing changed", _eight(), Requests(600, (0.05, 0.05), (10.0, 10.0), one_endpoint=True), 0,
         ("two-modes",)),
    Watched("anytime: +22 % for 10 pairs, then -18 %", (0.2, -0.2)),
    Watched("anytime: +10 %, then -10 %", (0.1, -0.1)),
    Watched("anytime: nothing changed", (0.0, 0.0)),
    *(History(f"history: +{step:.0%} in the last 5 of {runs}".replace("%", " %"), runs, step)
      for runs in (12, 16, 20) for step in (0.4, 1.0)),
    History("history: -40 % in the last 5 of 16", 16, -0.4),
    History("history: stable, 16 runs", 16),
    History("history: stable, 100 runs", 100),
    History("history: drift of 20 % over 100 runs", 100, drift=0.2),
    History("history: drift of 40 % over 30 runs", 30, drift=0.4),
    History("history: autocorrelation .4, 100 runs", 100, alike=0.4),
    History("history: autocorrelation .4, 20 runs", 20, alike=0.4),
    History("history: autocorrelation .6, 100 runs", 100, alike=0.6),
    History("history: autocorrelation .8, 100 runs", 100, alike=0.8),
)  # fmt: skip
COLUMNS = ("right", "false", "false_unsaid", "right_or_doubted", "doubted", "capped", "power_lost")


def piece(number: int, part: int) -> dict[str, Any]:
    """Some replicates of one cell, by their own seed."""
    random = np.random.default_rng([SEED, number, part])
    found: Counter[str] = Counter()
    for _ in range(PIECE):
        found.update({key for key, value in CELLS[number].one(random).items() if value})
    return {"cell": CELLS[number].name, "part": part, "replicates": PIECE, **found}


def gathered(raw: Path, only: str, seconds: float, replicates: int, first: int) -> None:
    """Pieces of every cell in turn, until the time is over or all have their replicates."""
    done = Counter(json.loads(line)["cell"] for line in raw.read_text().splitlines()) if raw.exists() else Counter()
    until = time.monotonic() + seconds
    chosen = [i for i, cell in enumerate(CELLS) if only in cell.name]
    with raw.open("a") as kept:
        while time.monotonic() < until:
            open_cells = [i for i in chosen if done[CELLS[i].name] * PIECE < replicates]
            if not open_cells:
                return
            number = min(open_cells, key=lambda i: done[CELLS[i].name])
            print(json.dumps(piece(number, first + done[CELLS[number].name])), file=kept, flush=True)
            done[CELLS[number].name] += 1


def table_of(raw: list[Path]) -> pd.DataFrame:
    """Shares of the replicates, a row for each cell."""
    lines = [line for path in raw for line in path.read_text().splitlines()]
    pieces = pd.DataFrame(list(map(json.loads, lines))).drop_duplicates(["cell", "part"]).fillna(0)
    sums = pieces.drop(columns="part").groupby("cell").sum()
    rows = []
    for cell in CELLS:
        if cell.name not in sums.index:
            continue
        own = sums.loc[cell.name]
        size = float(own["replicates"])
        said = {k.removeprefix("said "): v / size for k, v in own.items() if str(k).startswith("said ") and v}
        most = max(said, key=lambda code: said[code], default="")
        rows.append(
            {"condition": cell.name, "replicates": int(size)}
            | {c: round(float(own.get(c, 0.0)) / size, 4) for c in COLUMNS}
            | {"most_said": f"{most} {said[most]:.3f}" if most else ""}
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, nargs="+", required=True, help="files of pieces; the first is continued")
    parser.add_argument("--seconds", type=float, default=450.0, help="how long to go on (%(default)s)")
    parser.add_argument("--replicates", type=int, default=2_000, help="of each cell (%(default)s)")
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--first", type=int, default=0, help="number of the first piece in this file (%(default)s)")
    parser.add_argument("--write", action="store_true", help="write the table and stop")
    given = parser.parse_args()
    if not given.write:
        gathered(given.raw[0], given.only, given.seconds, given.replicates, given.first)
    table = table_of(given.raw)
    print(table.to_string(index=False))
    if given.write:
        table.to_csv(PLACE / "conditions.csv", index=False)
        (PLACE / "conditions_made.txt").write_text(
            f"bench/calibrate_conditions.py on {datetime.now(UTC):%Y-%m-%d}, seed {SEED}, {table['replicates'].min()} to "
            f"{table['replicates'].max()} replicates a cell; numpy {np.__version__}\n"
        )


if __name__ == "__main__":
    main()
