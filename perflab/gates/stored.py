"""`StoredBaseline`: runs kept to hold later ones against, with the speed of the machine that made them."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab import provenance
from perflab.data import store as kept
from perflab.data.selection import count_by_endpoint
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import StoreError
from perflab.gates import gate_notes
from perflab.gates.machine_speed import AGAIN, LIMIT, Speed, limit_of, measure_speed, typical, unsteadiness
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import run
from perflab.loadtest.target import Target
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, notes_of, written
from perflab.progress import Listener
from perflab.results import Result, Shown
from perflab.stats import replications
from perflab.stats.design import LEAST_HISTORY
from perflab.stats.distributions import t_ppf
from perflab.stats.estimates import by_run, endpoints_of, mappings
from perflab.units import format_fraction, format_ms

FOLDER = "baseline"
_RECORD, _SCHEMA = "baseline.json", 1
_OLD_MS = 14 * 8.64e7
_LATE_MS = 3.6e6
_FEW_COVERED = 0.5


@dataclass(frozen=True, repr=False, eq=False)
class StoredBaseline(Result):
    """Five or more runs that later ones are held against.

    Attributes
    ----------
    folder : where it is kept; its runs are stored next to ``baseline.json``, and `perflab.load` reads them.
    runs : the measurements.
    speed : of the machine, before, between and after the runs.
    speed_limit : by what fraction a machine may differ from it: 10 %, or more where the speed varied while the baseline was made.
    made : when; ``commit`` is the one that the load test was started from.
    """

    folder: Path
    runs: Measurements
    speed: Speed
    made: datetime
    commit: str
    warnings: tuple[Note, ...] = ()
    speed_limit: float = LIMIT

    @classmethod
    def read(cls, folder: str | Path = FOLDER) -> StoredBaseline:
        """The baseline of a folder; StoreError where it is none."""
        place = Path(folder)
        try:
            record = orjson.loads((place / _RECORD).read_bytes())
            if record["schema_version"] > _SCHEMA:
                raise StoreError(f"{place}: a newer perflab wrote this baseline: upgrade perflab")
            speed, made = Speed.from_json(record["speed"]), datetime.fromisoformat(record["made"])
            limit = limit_of([Speed.from_json(one) for one in record.get("speeds", ())])
        except OSError as problem:
            where = "" if place.is_absolute() else f" in {Path.cwd()}"
            raise StoreError(
                f"{place}: no baseline{where} ({problem.strerror}); `perflab baseline set` makes one"
            ) from problem
        except (ValueError, LookupError, TypeError) as problem:
            raise StoreError(f"{place / _RECORD}: damaged: {problem!r}; set the baseline again") from problem
        return cls(place, kept.load(place), speed, made, str(record.get("commit") or ""), speed_limit=limit)

    @property
    def age_ms(self) -> float:
        """The time since it was made."""
        return (datetime.now(UTC) - self.made).total_seconds() * 1e3

    @property
    def notes(self) -> tuple[Note, ...]:
        """Its age, and what to be careful about."""
        arms = ", ".join(map(str, self.runs.runs["arm"].dropna().unique())) or "no name"
        commit = f", commit {self.commit[:10]}" if self.commit else ""
        age = gate_notes.AGE(age_ms=self.age_ms, runs=len(self.runs.runs), arm=arms, commit=commit)
        old = (gate_notes.OLD(age_ms=self.age_ms),) if self.age_ms > _OLD_MS else ()
        return (age, *old, gate_notes.ONE_SESSION(), *self.warnings)

    def spread(self, metric: str = "p95") -> pd.DataFrame:
        """By endpoint: runs, requests of the smallest run, the metric, how much runs differ, and what one run can show.

        ``run_sd_fraction`` is the standard deviation of the runs' logarithms; ``detectable_fraction`` the smallest change
        that one further run can show at 5 % (half of the prediction interval).
        """
        asked = Metric.of(metric)
        table = by_run(self.runs, [asked], warmup=replications.warmup_of(self.runs.runs, None))
        rows = []
        for endpoint, own in table.groupby("endpoint", sort=False):
            values = own[asked.name].dropna().to_numpy(dtype="float64")
            scaled = asked.scaled(values)
            sd = float(scaled.std(ddof=1)) if len(values) > 1 else math.nan
            width = float(t_ppf(0.975, len(values) - 1)) * sd * math.sqrt(1 + 1 / len(values)) if sd == sd else math.nan
            counts = {"runs": len(values), "requests": int(own["count"].min())}
            size = {"run_sd_fraction": sd, "detectable_fraction": abs(asked.unscaled(width))}
            rows.append({"endpoint": endpoint, **counts, asked.column: asked.typical(values), **size})
        frame = pd.DataFrame(rows)
        return frame.sort_values("endpoint", key=lambda e: e == AGGREGATED, kind="stable").reset_index(drop=True)

    @property
    def table(self) -> pd.DataFrame:
        """The spread of p95."""
        return self.spread()

    @property
    def sentence(self) -> str:
        """What it is, in a line."""
        whole = self.table.iloc[-1]
        return (
            f"Baseline in {self.folder}: {len(self.runs.runs)} runs, {format_ms(self.age_ms)} old; p95 of all requests "
            f"{format_ms(whole['p95_ms'])}, runs differ by {format_fraction(whole['run_sd_fraction'])}; one more run can show a "
            f"change of {format_fraction(whole['detectable_fraction'])}"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the spread of each endpoint, and the notes."""
        return Shown(self.sentence, self.table, written(self.notes, surface), ours=True)

    def coverage(self, measured: Measurements) -> tuple[float, Note | None, bool]:
        """The share of a run's requests to endpoints of the baseline, a note where it is not all, and whether it suffices."""
        known = set(endpoints_of(self.runs))
        counts = count_by_endpoint(measured)
        new = [str(name) for name in counts.index if name not in known]
        share = float(counts[counts.index.isin(known)].sum() / max(1, counts.sum()))
        if share < _FEW_COVERED:
            return share, gate_notes.FEW_COVERED(AGAIN, covered_fraction=share), False
        return share, gate_notes.NOT_COVERED(covered_fraction=share, endpoints=new) if new else None, True


def set_baseline(
    source: Target | Measurements,
    plan: LoadPlan | None = None,
    *,
    runs: int = LEAST_HISTORY,
    folder: str | Path = FOLDER,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> StoredBaseline:
    """Keep runs as the baseline of later gates; replaces the one that the folder holds.

    Parameters
    ----------
    source : Target or Measurements
        The system, which is then run, with the machine's speed measured before, between and after; or runs of one arm from a
        store (`perflab.load`), which the machine's speed of now is taken for.
    plan, runs
        The load and the number of runs, for a target only. One run later is held against five or more.
    folder : str or Path
        Where the baseline is kept: the runs without their logs.
    store, progress
        As in `run`.

    Raises
    ------
    ComparisonError
        Runs that are invalid, or no replications of one another.
    StoreError
        A folder that holds something else, or cannot be written.
    ValueError
        Fewer than five runs.
    """
    speeds = [measure_speed()]
    if isinstance(source, Target):
        if plan is None:
            raise ValueError("plan must be given for a target")
        _enough(runs)
        parts = []
        for _ in range(runs):
            parts.append(run(plan, source, store=store, progress=progress))
            speeds.append(measure_speed())
        measured, places = sum(parts[1:], parts[0]), [Path(store) / p.runs["run"].iloc[0] for p in parts]
        late: list[Note] = []
    else:
        measured = source
        _enough(len(measured.runs))
        places, late = _places(measured), _afterwards(measured, speeds[0])
    warnings = [*late, *replications.refusals(measured.runs, call=""), *_steadiness(speeds)]
    record = {
        "schema_version": _SCHEMA,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(measured),
        "speed": typical(speeds).to_json(),
        "speeds": [speed.to_json() for speed in speeds],
    }
    _written(Path(folder), places, record)
    found = StoredBaseline.read(folder)
    return replace(found, warnings=notes_of(warnings))


def _enough(runs: int) -> None:
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < LEAST_HISTORY:
        raise ValueError(
            f"a baseline needs {LEAST_HISTORY} runs or more, so that one later run can be judged; got {runs!r}"
        )


def _places(measured: Measurements) -> list[Path]:
    place = Path(str(measured.meta.get("store", "")))
    found = [place / run for run in measured.runs["run"]]
    if "store" not in measured.meta or not all(folder.is_dir() for folder in found):
        raise ValueError(
            "the runs of a baseline must come from one store: load(store, arm=...); ingest() puts files into one"
        )
    return found


def _afterwards(measured: Measurements, now: Speed) -> list[Note]:
    """What is uncertain about runs whose machine was not measured then."""
    models = {str(e["cpu_model"]) for e in mappings(measured.runs, "environment") if e.get("cpu_model")}
    if models and models != {now.cpu_model}:
        raise ValueError(
            f"the runs were made on another machine ({', '.join(sorted(models))}; this one: {now.cpu_model})"
        )
    ends = measured.runs["start"] + pd.to_timedelta(measured.runs["duration_ms"], unit="ms")
    age_ms = (datetime.now(UTC) - ends.max()).total_seconds() * 1e3 if ends.notna().any() else math.nan
    return [] if age_ms < _LATE_MS / 60 else [gate_notes.SPEED_AFTERWARDS(age_ms=age_ms)]


def _steadiness(speeds: list[Speed]) -> list[Note]:
    worst = unsteadiness(speeds)
    return [gate_notes.UNSTEADY(by=format_fraction(worst))] if worst > LIMIT else []


def _commit(measured: Measurements) -> str:
    shas = {str(e["git_sha"]) for e in mappings(measured.runs, "environment") if e.get("git_sha")}
    return shas.pop() if len(shas) == 1 else ""


def _written(folder: Path, runs: list[Path], record: dict[str, Any]) -> None:
    """All of the new baseline in place of the old one, or nothing."""
    if folder.exists() and not (folder / _RECORD).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder}: holds something else than a baseline; name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        draft.chmod(0o755)
        try:
            for each in runs:
                shutil.copytree(each, draft / each.name, ignore=shutil.ignore_patterns("logs"))
            (draft / _RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
            old = draft.with_name(f"{draft.name}-old")
            if folder.exists():
                folder.rename(old)
            draft.replace(folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as problem:
        raise StoreError(f"{folder}: the baseline cannot be written: {problem.strerror or problem}") from problem


def busy_fraction(measured: Measurements) -> float:
    """The share of the machine's CPU that other processes and its hypervisor took during the runs; NaN where unknown."""
    if "resources" not in measured.tables:
        return math.nan
    table, cores = measured.resources, _cores_of(measured)
    other = table.loc[table["process"] == "other", "cpu_cores"]
    steal = table.loc[table["process"] == "machine"]
    stolen = float(steal["steal_cores"].mean()) if "steal_cores" in steal and len(steal) else 0.0
    return (float(other.mean()) + (stolen if stolen == stolen else 0.0)) / cores if len(other) else math.nan


def _cores_of(measured: Measurements) -> float:
    counts = [int(e["cpu_count"]) for e in mappings(measured.runs, "environment") if e.get("cpu_count")]
    return float(counts[0]) if counts else float(provenance.stamp()["cpu_count"] or 1)
