"""Statistics of a stored run, kept beside it in ``.statistics.parquet``: named arrays under the key of what was computed.

The file holds a digest of the run's own files and counts for nothing when they changed. It is replaced as a whole, so half
of one is never read, and a store that cannot be written to is only slower.
"""

from __future__ import annotations

import hashlib
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
from perflab.data.stored import StoredRun
from perflab.progress import Progress

FILE = ".statistics.parquet"
_VERSION = b"1"
_OF = ("run.json", "requests.parquet", "resources.parquet")
_WHOLE, _SAMPLES, _SAMPLED = 1 << 20, 16, 4096
"""Files of a megabyte are digested in full; of larger ones the ends (a Parquet file's end holds the extent, the smallest and the
largest value of each of its columns) and pieces in between."""
_END = 1 << 16
SHOWN_FROM_ROWS = 5_000_000
_KEPT = "; what was computed is kept"
Arrays = dict[str, npt.NDArray[Any]]
"""Numbers (read back as floats) or texts by name."""


def computed(
    runs: Sequence[StoredRun], key: str, compute: Callable[[StoredRun], Arrays], executor: Executor | None = None
) -> list[Arrays]:
    """What ``compute`` makes of each run, in order: as kept under the key, else computed, by the executor, and kept.

    A run that was changed by steps, or an empty key, keeps nothing. Each result is kept as it arrives, so after an
    interruption the next call goes on from there.
    """
    found: dict[str, Arrays] = {}
    for run in runs:
        if key and not run.steps and (known := kept(run.folder).get(key)) is not None:
            found[run.name] = known
    left = [run for run in runs if run.name not in found]
    rows = sum(run.rows.get("requests", 0) for run in left)
    with Progress(len(left), "statistics of runs", shown=rows >= SHOWN_FROM_ROWS and len(left) > 1) as progress:
        for done, (run, arrays) in enumerate(zip(left, mapped(compute, left, executor, kept=_KEPT), strict=True), 1):
            found[run.name] = arrays
            if key and not run.steps:
                keep(run.folder, {key: arrays})
            progress.update(done, label=run.name)
    return [found[run.name] for run in runs]


def kept(folder: Path) -> dict[str, Arrays]:
    """The statistics kept beside a run, by key; none where its files are not those that they were computed from."""
    try:
        stamp = (folder / FILE).stat()
        content, entries = _read(folder / FILE, stamp.st_mtime_ns, stamp.st_size)
        return entries if content == digest(folder) else {}
    except UNREADABLE:
        return {}


def keep(folder: Path, entries: Mapping[str, Arrays]) -> None:
    """Add statistics to those kept beside a run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(key, name, values) for key, own in {**kept(folder), **entries}.items() for name, values in own.items()]
    texts = [values.tolist() if values.dtype.kind in "OUT" else None for _, _, values in rows]
    table = pa.table(
        {
            "key": [key for key, _, _ in rows],
            "name": [name for _, name, _ in rows],
            "numbers": _lists([v if t is None else None for (_, _, v), t in zip(rows, texts, strict=True)]),
            "texts": pa.array(texts, pa.list_(pa.string())),
        }
    )
    with suppress(OSError):
        data = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({"content": digest(folder)}), data, compression="zstd")
        replace_bytes(folder / FILE, data.getvalue())


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
def _read(file: Path, modified: int, size: int) -> tuple[bytes, dict[str, Arrays]]:
    """The digest and the entries of a file; ``modified`` and ``size`` are keys of the cache."""
    import pyarrow.parquet as pq

    with file.open("rb") as source:
        table = pq.ParquetFile(source).read()
    content = (table.schema.metadata or {}).get(b"content", b"")
    found: dict[str, Arrays] = {}
    numbers, texts = (table[name].combine_chunks() for name in ("numbers", "texts"))
    for place, (key, name) in enumerate(zip(table["key"].to_pylist(), table["name"].to_pylist(), strict=True)):
        values = numbers[place].values
        own = np.asarray(texts[place].as_py(), dtype=object) if values is None else values.to_numpy()
        found.setdefault(key, {})[name] = own
    return content, found


def digest(folder: Path) -> bytes:
    """A digest of the files of a run that statistics are computed from."""
    stamps = []
    for name in _OF:
        with suppress(FileNotFoundError):
            found = (folder / name).stat()
            stamps.append((name, found.st_mtime_ns, found.st_size))
    return _digest(folder, tuple(stamps))


@lru_cache(maxsize=4096)
def _digest(folder: Any, stamps: tuple[tuple[str, int, int], ...]) -> bytes:
    total = hashlib.blake2b(_VERSION, digest_size=16)
    for name, modified, size in stamps:
        total.update(f"{name} {size} ".encode())
        if isinstance(
            folder, RemotePath
        ):  # an object is replaced as a whole, and to read it takes as long as the statistics
            total.update(f"{modified} ".encode())
            continue
        with (folder / name).open("rb") as file:
            if size <= _WHOLE:
                total.update(file.read())
                continue
            total.update(file.read(_END))
            for place in np.linspace(_END, size - _END, _SAMPLES).astype("int64").tolist():
                file.seek(place)
                total.update(file.read(_SAMPLED))
            file.seek(size - _END)
            total.update(file.read())
    return total.hexdigest().encode()
