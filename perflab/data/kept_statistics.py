"""Statistics of a stored run, kept beside it in ``.statistics.parquet``: named arrays under the key of what was computed.

The file holds a digest of the run's own files and counts for nothing when they changed. It is replaced as a whole, so half
of one is never read. Those of a store that cannot be written to are kept in memory.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perflab.data.executing import mapped
from perflab.data.joining import UNREADABLE
from perflab.data.places import RemotePath, replace_bytes
from perflab.data.stored_runs import StoredRun
from perflab.progress import Progress

FILE = ".statistics.parquet"
_VERSION = f"1 {sys.modules['perflab'].__version__} ".encode()
"""Another version of perflab may compute something else."""
_OF = ("run.json", "requests.parquet", "resources.parquet")
_READ = 1 << 20
SHOWN_FROM_ROWS = 5_000_000
_KEPT = "; what was computed is kept"
Arrays = dict[str, npt.NDArray[Any]]
"""Numbers (read back as floats) or texts by name."""
Stamps = tuple[tuple[str, int, int], ...]
"""Files, when they were written (ns), and their sizes."""


def computed(
    runs: Sequence[StoredRun],
    key: str,
    compute: Callable[[StoredRun], Mapping[str, Arrays]],
    executor: Executor | None = None,
) -> list[Arrays]:
    """The statistics of each run under the key, in order: as kept, else computed, by the executor, and kept.

    ``compute`` makes them of a run, by key; it may make others at once, which are kept too. A run that was changed by steps, or
    an empty key, keeps nothing. Each result is kept as it arrives, so after an interruption the next call goes on from there.
    """
    found: dict[str, Arrays] = {}
    for run in runs:
        if key and not run.steps and (known := kept(run.folder).get(key)) is not None:
            found[run.name] = known
    left = [run for run in runs if run.name not in found]
    before = [_stamps(run.folder) for run in left]
    rows = sum(run.rows.get("requests", 0) for run in left)
    with Progress(len(left), "statistics of runs", shown=rows >= SHOWN_FROM_ROWS and len(left) > 1) as progress:
        results = mapped(compute, left, executor, kept=_KEPT)
        for done, (run, stamps, arrays) in enumerate(zip(left, before, results, strict=True), 1):
            found[run.name] = arrays[key]
            if key and not run.steps:
                keep(run.folder, arrays, stamps)
            progress.update(done, label=run.name)
    return [found[run.name] for run in runs]


def kept(folder: Path) -> dict[str, Arrays]:
    """The statistics kept beside a run, by key; none where its files are not those that they were computed from."""
    try:
        if folder in _NOT_WRITTEN and _NOT_WRITTEN[folder][0] == _stamps(folder):
            return _NOT_WRITTEN[folder][1]
        stamp = (folder / FILE).stat()
        known, entries = _read(folder / FILE, stamp.st_mtime_ns, stamp.st_size)
        stamps = _stamps(folder)
        # Files with the times and sizes of then are those of then; of a copy the contents are compared.
        same = known.get(b"stamps") == _text(stamps) or known.get(b"content") == _digest(folder, stamps)
        return entries if same else {}
    except UNREADABLE:
        return {}


def keep(folder: Path, entries: Mapping[str, Arrays], stamps: Stamps) -> None:
    """Add statistics to those kept beside a run; ``stamps`` are of its files before they were read for it.

    Where the files have changed since, nothing is kept: nobody knows which of them the statistics are of.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    every = {**kept(folder), **entries}
    rows = [(key, name, values) for key, own in every.items() for name, values in own.items()]
    texts = [values.tolist() if values.dtype.kind in "OUT" else None for _, _, values in rows]
    table = pa.table(
        {
            "key": [key for key, _, _ in rows],
            "name": [name for _, name, _ in rows],
            "numbers": _lists([v if t is None else None for (_, _, v), t in zip(rows, texts, strict=True)]),
            "texts": pa.array(texts, pa.list_(pa.string())),
        },
        schema=_schema(),
    )
    with suppress(OSError):
        known, data = {"content": _digest(folder, stamps), "stamps": _text(stamps)}, pa.BufferOutputStream()
        if _stamps(folder) != stamps:
            return
        _NOT_WRITTEN[folder] = stamps, every
        pq.write_table(table.replace_schema_metadata(known), data, compression="zstd", write_page_checksum=True)
        replace_bytes(folder / FILE, data.getvalue())
        _NOT_WRITTEN.pop(folder, None)  # another thread may have kept something of the same run


def _schema() -> Any:
    import pyarrow as pa

    kinds = {"key": pa.string(), "name": pa.string(), "numbers": pa.list_(pa.float64()), "texts": pa.list_(pa.string())}
    return pa.schema(list(kinds.items()))


def _lists(rows: Iterable[npt.NDArray[Any] | None]) -> Any:
    """A column of lists of numbers."""
    import pyarrow as pa

    held = [None if row is None else np.asarray(row, dtype="float64").ravel() for row in rows]
    known = [row for row in held if row is not None]
    offsets = np.concatenate([[0], np.cumsum([0 if row is None else len(row) for row in held])]).astype("int32")
    values = pa.array(np.concatenate(known) if known else np.empty(0), pa.float64(), from_pandas=False)
    missing = pa.array([row is None for row in held])
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=missing)


@lru_cache(maxsize=1024)
def _read(file: Path, modified: int, size: int) -> tuple[dict[bytes, bytes], dict[str, Arrays]]:
    """What a file says of the run's files, and its entries; ``modified`` and ``size`` are keys of the cache."""
    import pyarrow.parquet as pq

    with file.open("rb") as source:
        table = pq.ParquetFile(source, page_checksum_verification=True).read()
    if not table.schema.equals(_schema()):
        raise ValueError(f"found other columns: {table.schema.names}")
    found: dict[str, Arrays] = {}
    numbers, texts = (table[name].combine_chunks() for name in ("numbers", "texts"))
    for place, (key, name) in enumerate(zip(table["key"].to_pylist(), table["name"].to_pylist(), strict=True)):
        values = numbers[place].values
        own = np.asarray(texts[place].as_py(), dtype=object) if values is None else values.to_numpy()
        found.setdefault(key, {})[name] = own
    return dict(table.schema.metadata or {}), found


_NOT_WRITTEN: dict[Path, tuple[Stamps, dict[str, Arrays]]] = {}
"""The statistics of runs in folders that cannot be written to, for this process."""


def _stamps(folder: Path) -> Stamps:
    """When the files of a run that statistics are computed from were written, and their sizes."""
    found = []
    for name in _OF:
        with suppress(OSError):
            stat = (folder / name).stat()
            found.append((name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _text(stamps: Stamps) -> bytes:
    return _VERSION + repr(stamps).encode()


@lru_cache(maxsize=4096)
def _digest(folder: Any, stamps: Stamps) -> bytes:
    """A digest of those files; ``stamps`` is a key of the cache, and all there is of objects: to read one takes as long."""
    total = hashlib.blake2b(_VERSION, digest_size=16)
    if isinstance(folder, RemotePath):
        total.update(_text(stamps))
        return total.hexdigest().encode()
    for name, _, size in stamps:
        total.update(f"{name} {size} ".encode())
        with (folder / name).open("rb") as file:
            while data := file.read(_READ):
                total.update(data)
    return total.hexdigest().encode()
