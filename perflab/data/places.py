"""Where runs are kept: a folder, or a prefix of an object store ("s3://bucket/runs") through pyarrow's filesystems.

An object is written as a whole or not at all, so nobody reads half of one. A `RemotePath` has the part of `pathlib.Path`
that stores need; what is in it is listed once, which takes a request for each thousand objects.
"""

from __future__ import annotations

import errno
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from perflab.errors import StoreError
from perflab.provenance import without_credentials

_AT_ONCE = 16
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class _Stat:
    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, eq=False)
class RemotePath:
    """A place in a filesystem of pyarrow; ``listing`` holds the objects below ``root``, as known so far."""

    filesystem: Any
    path: PurePosixPath
    scheme: str
    listing: dict[str, _Stat] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker of one run has no use for the list of all the others.
        own = {name: stat for name, stat in self.listing.items() if name.startswith(f"{self.path}/")}
        return RemotePath, (self.filesystem, self.path, self.scheme, own)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.filesystem, self.path / name, self.scheme, self.listing)

    def at(self, below: Path) -> RemotePath:
        """The place with a relative path below this one."""
        return RemotePath(self.filesystem, self.path / below.as_posix(), self.scheme, self.listing)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __lt__(self, other: RemotePath) -> bool:
        return self.path < other.path

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def parent(self) -> RemotePath:
        return RemotePath(self.filesystem, self.path.parent, self.scheme, self.listing)

    def is_absolute(self) -> bool:
        return True

    def resolve(self) -> RemotePath:
        return self

    absolute = resolve

    def listed(self) -> RemotePath:
        """The same place, with all objects below it listed."""
        from pyarrow.fs import FileSelector, FileType

        try:
            found = self.filesystem.get_file_info(FileSelector(str(self.path), recursive=True, allow_not_found=True))
        except OSError as problem:
            raise StoreError(f"{self}: cannot be listed: {problem}") from problem
        files = {each.path: _Stat(each.size, each.mtime_ns or 0) for each in found if each.type == FileType.File}
        return RemotePath(self.filesystem, self.path, self.scheme, files)

    def stat(self) -> _Stat:
        if str(self.path) not in self.listing:
            raise FileNotFoundError(str(self))
        return self.listing[str(self.path)]

    def is_file(self) -> bool:
        return str(self.path) in self.listing

    def exists(self) -> bool:
        return self.is_file()

    def is_dir(self) -> bool:
        return any(name.startswith(f"{self.path}/") for name in self.listing)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Objects by a pattern with as many parts as their path below this one."""
        parts = pattern.split("/")
        for name in sorted(self.listing):
            if not name.startswith(f"{self.path}/"):
                continue
            below = PurePosixPath(name).relative_to(self.path).parts
            if len(below) == len(parts) and all(map(fnmatch, below, parts)):
                yield RemotePath(self.filesystem, PurePosixPath(name), self.scheme, self.listing)

    def open(self, mode: str = "rb") -> Any:
        return self.filesystem.open_input_file(str(self.path))

    def read_bytes(self) -> bytes:
        with self.filesystem.open_input_file(str(self.path)) as file:
            data: bytes = file.read()
        return data

    def write_bytes(self, data: bytes) -> None:
        """Write the object, which appears when all of it is there."""
        with self.filesystem.open_output_stream(str(self.path)) as file:
            file.write(data)
        self.listing[str(self.path)] = _Stat(len(data), 0)

    def upload(self, file: Path) -> None:
        """Write a file as an object."""
        import pyarrow.fs as fs

        fs.copy_files(str(file), str(self.path), source_filesystem=fs.LocalFileSystem(),
                      destination_filesystem=self.filesystem, use_threads=False)  # fmt: skip


Place = Path | RemotePath
_ADDRESS = re.compile(r"[a-z][a-z0-9+]+:/(?!/)")
"""How `Path` writes an address: with one slash."""


def place_of(path: str | Path | RemotePath) -> Any:
    """A folder, or for an address like "s3://bucket/runs" a `RemotePath`; StoreError where no filesystem knows it."""
    if isinstance(path, Path) and _ADDRESS.match(str(path)):
        path = str(path).replace(":/", "://", 1)
    if not isinstance(path, str) or "://" not in path:
        return path if isinstance(path, RemotePath) else Path(path)
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    scheme = path.partition("://")[0]
    try:
        filesystem, inside = FileSystem.from_uri(path)
    except (ArrowException, OSError, ValueError) as problem:
        said = without_credentials(f"{path}: expected a folder or an address such as s3://bucket/runs ({problem})")
        raise StoreError(said) from problem
    return Path(inside) if scheme == "file" else RemotePath(filesystem, PurePosixPath(inside), scheme)


def replace_bytes(file: Any, data: bytes) -> None:
    """Write a file as a whole: whoever reads it finds the old or the new one."""
    if isinstance(file, RemotePath):
        file.write_bytes(data)
        return
    written = file.with_name(f".{secrets.token_hex(4)}.tmp")
    try:
        written.write_bytes(data)
        written.replace(file)
    finally:
        written.unlink(missing_ok=True)


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder for parts of something, gone at the end; StoreError where it has no room."""
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        try:
            yield Path(folder)
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
            text = f"{tempfile.gettempdir()}: no space is left for the parts of a log; set TMPDIR to a folder with more"
            raise StoreError(text) from problem


def each(place: Any, function: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """The results of a function, in order; of an object store several requests are made at once."""
    if not isinstance(place, RemotePath):
        return list(map(function, items))
    with ThreadPoolExecutor(_AT_ONCE, "perflab-store") as pool:
        return list(pool.map(function, items))
