"""`read` and `ingest`: evidence of any supported format, found by content, as `Measurements` or into a store."""

from __future__ import annotations

import glob as globbing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from perflab import formats
from perflab.data import batches, sources, store
from perflab.data.batches import Batch, Written
from perflab.data.executing import mapped
from perflab.data.places import RemotePath, place_of
from perflab.data.schemas import conform
from perflab.data.tables import Measurements
from perflab.errors import FormatError
from perflab.formats import Tables, _unread
from perflab.formats import _caveats as caveats
from perflab.formats._log_joining import SHOWN_FROM_BYTES, filled, ingest_log, names_of, overlaps, span_of
from perflab.formats._run_span import RunSpan
from perflab.notes import Note
from perflab.progress import Progress
from perflab.provenance import without_credentials

Reader = Callable[[Path], Mapping[str, pd.DataFrame]]


def read(
    path: str | Path | Iterable[str | Path],
    *,
    run: str | None = None,
    arm: str | None = None,
    format: str | Reader | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> Measurements:
    """Read files that Locust, other load tools, profilers and databases wrote.

    Parameters
    ----------
    path : str, Path, or an iterable of them
        A file, a folder, a glob pattern, or several of them. Each file is a run, named by its stem. A folder is either a
        run or a store of perflab's own (also by its address), or all the files in it. Compressed files (gzip, zstd, bzip2, xz,
        lz4) are read as they are.
    run : str, optional
        The name of the run, for one file, or for the parts of one query log that was rotated.
    arm : str, optional
        The arm ("baseline", "eager", ...) that these runs belong to.
    format : str or function, optional
        The name of a format, or your own function ``path -> {table: DataFrame}``; found by content if not given.
    executor : concurrent.futures.Executor, optional
        What reads several files at once: a ``ProcessPoolExecutor``, or dask's ``Client.get_executor()``.
    **options : object
        Passed to the format. Load tools know ``started="2026-01-31T12:00:00Z"`` (hey and oha write no absolute
        times; one for each file), ``timezone="Europe/Berlin"`` and ``time_format=`` (JTL with local times),
        ``transactions=True`` (JTL), ``endpoint="GET /orders"`` (hey, oha, ab); PostgreSQL's log ``log_line_prefix="%m [%p] "``.

    Returns
    -------
    Measurements with ``requests`` (latencies in ms, starts in UTC) or, of a tool that reports percentiles only, ``summary``.
    ``warnings`` says what was skipped and what the tool can't tell; the runs' ``environment["generator"]`` names the
    tool, so that `compare` refuses to set two tools against each other.

    Raises
    ------
    FormatError : no format, or more than one, claims a file, or nothing in it is usable.

    >>> import perflab as lab
    >>> lab.read("datasets/shop_queries.jsonl").queries.columns[:2].to_list()
    ['run', 'start']
    """
    found, notes = _results(path)
    if run is not None and len(found) != 1:
        parts = [(f, str(n), None, format, options) for n, f in enumerate(filled(found))]
        return _one_log(_all_read(parts, executor), run, arm)
    names = [run] if run is not None else _names(found)
    starts = _starts(options.pop("started", None), len(found))
    given = [(f, n, arm, format, options | s) for f, n, s in zip(found, names, starts, strict=True)]
    read = _joined(_all_read(given, executor))
    return replace(read, warnings=(*read.warnings, *notes)) if notes else read


def ingest(
    path: str | Path | Iterable[str | Path],
    store: str | Path = "runs",
    *,
    run: str | None = None,
    arm: str | None = None,
    format: str | Reader | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> list[Path]:
    """Put files of other tools into a store of runs, block by block, so that they need not fit into memory.

    Parameters
    ----------
    path : str, Path, or an iterable of them
        A file, a folder, a glob pattern, or several of them; each file becomes a run.
    store : str or Path
        The folder of runs, or an address in an object store such as ``"s3://bucket/runs"``, which `load` reads.
    run : str, optional
        Keeps the parts of one query log (rotated, compressed) as one run, in the order of time, with this text as its
        ``source``. A log of any size is read in pieces.
    executor : concurrent.futures.Executor, optional
        What reads several files, or the pieces of one log, at once: a ``ProcessPoolExecutor``, or dask's
        ``Client.get_executor()``.
    arm, format, **options
        As for `read`.

    Returns
    -------
    The folders of the new runs. A run keeps its warnings, the generator's name, and the file's name as ``source``.

    Raises
    ------
    FormatError : as `read`. StoreError : the store can't be written, or a worker was lost. None of the files is kept then.

    >>> import tempfile, perflab as lab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     runs = lab.ingest("datasets/shop_queries.jsonl", folder, arm="n+1")
    ...     kept = lab.load(folder)
    >>> len(runs), kept.runs.arm.item(), len(kept.queries)
    (1, 'n+1', 1111)
    """
    found, _ = _results(path)
    if any(file.is_dir() for file in found):
        raise ValueError(f"path must be files of other tools; {path} is a store already: load() reads it")
    if run is not None:
        if callable(format):
            raise ValueError("format must be the name of one where run= joins the parts of a log; got a function")
        if unknown := sorted(set(options) - formats.OPTIONS):
            raise ValueError(f"options must be among {', '.join(sorted(formats.OPTIONS))}; got {', '.join(unknown)}")
        return [ingest_log(_for(executor, found), run, store, arm, format, options, executor)]
    starts = _starts(options.pop("started", None), len(found))
    with Batch(store) as batch:
        given = [(f, batch.at, arm, format, options | s) for f, s in zip(_for(executor, found), starts, strict=True)]
        return batch.keep(list(mapped(_ingest_given, given, executor)))


_Given = tuple[Path, str, str | None, str | Reader | None, dict[str, Any]]


def _for(executor: Executor | None, files: list[Path]) -> list[Path]:
    """The files for whoever reads them: workers have another working directory, or had one when they were started."""
    return files if executor is None else [file.absolute() for file in files]


def _all_read(given: Sequence[_Given], executor: Executor | None) -> list[Measurements]:
    files = [one[0] for one in given]
    theirs: list[_Given] = [(file, *one[1:]) for file, one in zip(_for(executor, files), given, strict=True)]
    return [
        replace(one, meta=MappingProxyType({**one.meta, "source": str(file)})) if "source" in one.meta else one
        for file, one in zip(files, mapped(_read_given, theirs, executor), strict=True)
    ]


def _read_given(given: _Given) -> Measurements:
    return _read_one(*given)


def _ingest_given(given: tuple[Path, str | Path, str | None, str | Reader | None, dict[str, Any]]) -> Written:
    return _ingest_one(*given)


def _results(path: str | Path | Iterable[str | Path]) -> tuple[list[Path], list[Note]]:
    """The files of `files` without those that Locust writes besides its results, where there are others."""
    found = files(path)
    beside = [f for f in found if len(found) > 1 and f.is_file() and _unread.is_companion(sources.head(f, 4096))]
    if not beside or len(beside) == len(found):
        return found, []
    return [f for f in found if f not in beside], [caveats.PASSED_OVER(files=[f.name for f in beside])]


def _starts(started: Any, count: int) -> list[dict[str, Any]]:
    """The ``started`` option of each file: two runs that began at the same moment would hide an unknown order."""
    if started is None:
        return [{}] * count
    given = list(started) if isinstance(started, Sequence) and not isinstance(started, str) else [started]
    if len(given) != count:
        raise ValueError(f"started must have an instant for each of {count} files; got {len(given)}")
    return [{"started": one} for one in given]


def _read_one(
    path: Path, run: str, arm: str | None, format: str | Reader | None, options: dict[str, Any]
) -> Measurements:
    if path.is_dir():
        return store.load(path)
    used, parts = _parts(path, format, options)
    tables = formats.join(parts)
    held = {t: f if "run" in f.columns else f.assign(run=_repeated(run, len(f))) for t, f in tables.items()}
    if arm is not None and "runs" not in held and "requests" in held:
        held["requests"] = held["requests"].assign(arm=arm)
    meta = {"source": str(path), "format": used, **tables.meta}
    measurements = Measurements.of(meta=meta, warnings=_doubts(tables, path), **held)
    return _described(measurements, arm, meta)


def _doubts(tables: Tables, path: Path) -> tuple[Note, ...]:
    """The warnings of a file: lines that were left out or lost first, then what its reader found."""
    counted = tables.accounting.notes(path.name) if tables.accounting else ()
    return (*counted, *tables.warnings)


def _repeated(run: str, count: int) -> pd.Series[Any]:
    import pyarrow as pa

    text = run.encode()
    offsets = np.arange(count + 1, dtype="int64") * len(text)
    held = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text * count))
    column: pd.Series[Any] = held.to_pandas()
    return column


def _parts(path: Path, format: str | Reader | None, options: dict[str, Any]) -> tuple[str, Iterator[Tables]]:
    """The name of the format, and the parts of the file as they are read."""
    if callable(format):
        return getattr(format, "__name__", "a function"), iter([formats.tables_of(format(path, **options))])
    if unknown := sorted(set(options) - formats.OPTIONS):
        raise ValueError(f"options must be among {', '.join(sorted(formats.OPTIONS))}; got {', '.join(unknown)}")
    used = format or formats.of_file(path)
    module = formats.named(used)
    stream = getattr(module, "stream", None)
    if stream is None:
        return used, iter([formats.tables_of(module.read(path, **options))])
    return used, _shown(path, stream(path, **options))


def _shown(path: Path, parts: Iterator[Tables]) -> Iterator[Tables]:
    size = path.stat().st_size
    with Progress(size, f"reading {path.name}", shown=size >= SHOWN_FROM_BYTES) as progress:
        rows = 0
        for part in parts:
            rows += sum(len(frame) for frame in part.values())
            progress.update(part.done or size, rows=f"{rows:,}")
            yield part


def _ingest_one(
    path: Path, place: str | Path, arm: str | None, format: str | Reader | None, options: dict[str, Any]
) -> Written:
    used, parts = _parts(path, format, options)
    draft = batches.draft(place, arm or path.name.split(".")[0])
    try:
        last, span = Tables(), RunSpan()
        for last in parts:
            if last.afresh:
                draft.drop()
                draft, span = batches.draft(place, arm or path.name.split(".")[0]), RunSpan()
            for table, frame in last.items():
                draft.append(table, frame)
                span.see(table, frame)
        kept = draft.keep(
            {
                "arm": arm,
                "start": span.start,
                "duration_ms": _length(span.duration_ms, last.meta),
                "valid": True,
                "warnings": list(_doubts(last, path)),
                "environment": _environment(last.meta),
                "source": path.name,
                "format": used,
            }
        )
    except BaseException:
        draft.drop()
        raise
    return batches.written(draft, kept)


def _environment(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What `compare` needs of a file's meta: the tool, and whether it says which requests failed."""
    return {name: meta[name] for name in ("generator", "failures") if name in meta}


def _length(duration_ms: float, meta: Mapping[str, Any]) -> float:
    """The length of a run, 0 (not known) where the tool's clock is too coarse for it: throughput would be anything."""
    return duration_ms if duration_ms >= 10 * meta.get("clock_ms", 0) else 0.0


def _one_log(parts: list[Measurements], run: str, arm: str | None) -> Measurements:
    """The parts of a rotated query log as one run, in the order of time. Load tests stay apart: the run is what counts there."""
    kinds = {str(part.meta.get("format")) for part in parts}
    if len(kinds) != 1 or any(set(part.tables) - {"runs", "queries"} for part in parts):
        raise ValueError(
            f"run= names one run, but {len(parts)} files were given ({', '.join(sorted(kinds))}), and only the parts of one "
            "query log are joined; leave it out to name each by its file"
        )
    queries = pd.concat([part.queries.assign(run=run) for part in parts], ignore_index=True)
    queries = queries.sort_values("start", kind="stable", ignore_index=True)
    warnings = dict.fromkeys(warning for part in parts for warning in part.warnings)
    names = names_of([Path(str(part.meta["source"])) for part in parts])
    warnings |= dict.fromkeys(overlaps(map(span_of, (part.queries for part in parts), names)))
    meta = {**parts[0].meta, "source": ", ".join(str(part.meta["source"]) for part in parts)}
    return _described(Measurements.of(meta=meta, warnings=warnings, queries=queries), arm, {})


def _described(measurements: Measurements, arm: str | None, meta: Mapping[str, Any]) -> Measurements:
    """Runs with their arm, and with the tool that drove the load: `compare` sets no two of them against each other."""
    runs = measurements.runs if arm is None else measurements.runs.assign(arm=arm)
    if (known := _environment(meta)) and "environment" not in runs.columns:
        runs = runs.assign(environment=[dict(known) for _ in range(len(runs))])
    if "clock_ms" in meta:
        runs = runs.assign(duration_ms=[_length(length, meta) for length in runs["duration_ms"]])
    return replace(measurements, tables=MappingProxyType({**measurements.tables, "runs": conform("runs", runs)}))


def _joined(parts: list[Measurements]) -> Measurements:
    """All the files' measurements as one, each table joined once."""
    if len(parts) == 1:
        return parts[0]
    names = pd.concat([part.runs["run"] for part in parts])
    if names.duplicated().any():
        twice = ", ".join(names[names.duplicated()].unique()[:5])
        raise ValueError(f"path gives more than one run of the same name: {twice}")
    held: dict[str, list[pd.DataFrame]] = {}
    for part in parts:
        for table, frame in part.tables.items():
            held.setdefault(table, []).append(frame)
    meta = {k: v for k, v in parts[0].meta.items() if all(part.meta.get(k) == v for part in parts)}
    warnings = dict.fromkeys([*(warning for part in parts for warning in part.warnings), *_logged_twice(parts)])
    tables = {t: f[0] if len(f) == 1 else pd.concat(f, ignore_index=True) for t, f in held.items()}
    return Measurements.of(meta=meta, warnings=warnings, **tables)


def _logged_twice(parts: list[Measurements]) -> list[Note]:
    """A warning where files of several formats hold queries of the same time: a server that logs in each, or the driver too."""
    spans = []
    for part in parts:
        if "queries" in part.tables and part.queries["start"].notna().any():
            start = part.queries["start"]
            spans.append(
                (start.min(), start.max(), str(part.meta.get("format")), Path(str(part.meta.get("source"))).name)
            )
    spans.sort()
    twice = [
        (one[3], other[3])
        for n, one in enumerate(spans)
        for other in spans[n + 1 : n + 4]
        if other[0] < one[1] and other[2] != one[2]
    ]
    if not twice:
        return []
    return [caveats.LOGGED_TWICE(names=", ".join(dict.fromkeys(name for pair in twice for name in pair)))]


def files(path: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files that a path, a folder, a pattern or several of them name; a store of runs is one. FormatError for none."""
    if not isinstance(path, (str, Path)):
        several = [file for part in path for file in files(part)]
        if not several:
            raise ValueError("path must name at least one file; got an empty list")
        return _once(several)
    if isinstance(path, str) and "://" in path and not path.startswith("http"):
        there: Any = place_of(path)
        there = there.listed() if isinstance(there, RemotePath) else there
        if store.holds_runs(there):
            return [there]
        raise FormatError(f"{without_credentials(path)}: expected files here, or a store of runs; found no runs")
    place = Path(path)
    if place.is_dir():
        if store.holds_runs(place):
            return [place]
        found = sorted(f for f in place.iterdir() if f.is_file() and not f.name.startswith("."))
    elif place.is_file():
        return [place]
    elif place.exists():
        raise FormatError(f"{path}: expected a file, found a named pipe or a device; write what it gives to a file")
    else:
        found = sorted(Path(name) for name in globbing.glob(str(path), recursive=True))  # noqa: PTH207 - any pattern, absolute ones too
    if not found:
        shown = without_credentials(str(path))
        raise FormatError(f"{shown}: expected a file, a folder or a pattern that matches files; found nothing")
    return _once(found)


def _once(files: list[Path]) -> list[Path]:
    """The files without those that were named before, as by a pattern and by a link: a run that counts twice is no evidence."""
    found: dict[Path, Path] = {}
    for file in files:
        found.setdefault(file.resolve(), file)
    return [*found.values()]


def _names(files: list[Path]) -> list[str]:
    stems = [file.name.split(".")[0] or file.name for file in files]
    if len(set(stems)) == len(stems):
        return stems
    names = [file.name for file in files]
    return names if len(set(names)) == len(names) else [str(file) for file in files]
