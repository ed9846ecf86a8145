"""`read`: evidence of any supported format, found by content, as `Measurements`."""

from __future__ import annotations

import glob as globbing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from perflab import formats, store
from perflab.errors import FormatError
from perflab.tables import Measurements

Reader = Callable[[Path], Mapping[str, pd.DataFrame]]


def read(
    path: str | Path | Iterable[str | Path],
    *,
    run: str | None = None,
    arm: str | None = None,
    format: str | Reader | None = None,
    **options: Any,
) -> Measurements:
    """Read files that Locust, other load tools, profilers and databases wrote.

    Parameters
    ----------
    path : a file, a folder, a glob pattern, or several of them
        Each file is a run, named by its stem. A folder is either a run or a store of perflab's own, or all
        the files in it. Compressed files (.gz, .zst, .bz2) are read as they are.
    run : the name of the run; needs exactly one file.
    arm : the arm ("baseline", "eager", ...) that these runs belong to.
    format : the name of a format, or your own function ``path -> {table: DataFrame}``; found by content if not given.
    **options : passed to the format (for example ``log_line_prefix="%m [%p] "``).

    Returns
    -------
    Measurements; ``warnings`` says what was skipped and what the tool can't tell.

    Raises
    ------
    FormatError : no format, or more than one, claims a file, or nothing in it is usable.

    >>> import perflab as lab
    >>> lab.read("datasets/shop_queries.jsonl").queries.columns[:2].to_list()
    ['run', 'start']
    """
    files = _files(path)
    if run is not None and len(files) != 1:
        raise ValueError(
            f"run= names one run, but {len(files)} files were given; leave it out to name each by its file"
        )
    names = [run] if run is not None else _names(files)
    return sum((_read_one(f, n, arm, format, options) for f, n in zip(files, names, strict=True)), start=0)  # type: ignore[return-value]


def _read_one(
    path: Path, run: str, arm: str | None, format: str | Reader | None, options: dict[str, Any]
) -> Measurements:
    if path.is_dir():
        return store.load(path)
    if callable(format):
        tables = format(path, **options)
        used = getattr(format, "__name__", "a function")
    else:
        used = format or formats.of_file(path)
        tables = formats.named(used).read(path, **options)
    held = {t: f if "run" in f.columns else f.assign(run=run) for t, f in tables.items()}
    if arm is not None and "runs" not in held and "requests" in held:
        held["requests"] = held["requests"].assign(arm=arm)
    meta = {"source": str(path), "format": used, **getattr(tables, "meta", {})}
    measurements = Measurements.of(meta=meta, warnings=getattr(tables, "warnings", ()), **held)
    return _described(measurements, arm, meta.get("generator"))


def _described(measurements: Measurements, arm: str | None, generator: str | None) -> Measurements:
    """Runs with their arm, and with the tool that drove the load: `compare` sets no two of them against each other."""
    runs = measurements.runs if arm is None else measurements.runs.assign(arm=arm)
    if generator is not None and "environment" not in runs.columns:
        runs = runs.assign(environment=[{"generator": generator} for _ in range(len(runs))])
    return Measurements.of(
        meta=measurements.meta, warnings=measurements.warnings, **{**measurements.tables, "runs": runs}
    )


def _files(path: str | Path | Iterable[str | Path]) -> list[Path]:
    if not isinstance(path, (str, Path)):
        files = [file for part in path for file in _files(part)]
        if not files:
            raise ValueError("path must name at least one file; got an empty list")
        return files
    place = Path(path)
    if place.is_dir():
        if store.holds_runs(place):
            return [place]
        files = sorted(f for f in place.iterdir() if f.is_file() and not f.name.startswith("."))
    elif place.exists():
        return [place]
    else:
        files = sorted(Path(name) for name in globbing.glob(str(path), recursive=True))  # noqa: PTH207 - any pattern, absolute ones too
    if not files:
        raise FormatError(f"{path}: expected a file, a folder or a pattern that matches files; found nothing")
    return files


def _names(files: list[Path]) -> list[str]:
    stems = [file.name.split(".")[0] or file.name for file in files]
    if len(set(stems)) == len(stems):
        return stems
    names = [file.name for file in files]
    return names if len(set(names)) == len(names) else [str(file) for file in files]
