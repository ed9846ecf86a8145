"""esbuild's metafile (``--metafile=meta.json``), also Bun's: https://esbuild.github.io/api/#metafile"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _documents
from perflab.formats._documents import mapping, whole
from perflab.web.bundles import ESBUILD, package_of

_START = re.compile(rb'\s*\{\s*"(?:inputs|outputs)"\s*:\s*\{')
_COLUMNS = ("chunk", "module", "package", "size_bytes", "version", "source_bytes")


def sniff(head: bytes) -> bool:
    return _START.match(head) is not None and (b'"bytesInOutput"' in head or b'"bytes"' in head)


def read(path: Path, **_: Any) -> Tables:
    """The inputs of each output with their bytes in it; what the bundler adds is a module of its own."""
    found = _documents.document(path, "esbuild's metafile")
    outputs, inputs = mapping(found, "outputs"), mapping(found, "inputs")
    tally = Tally("output", total=len(outputs))
    rows: list[tuple[object, ...]] = []
    for place, (chunk, output) in enumerate(outputs.items(), start=1):
        size, held = whole(mapping(output).get("bytes")), mapping(output, "inputs")
        if size is None:
            tally.skip(place, why="no size")
        elif not held:
            tally.known += 1  # a source map, or a file that was copied
        else:
            tally.rows += 1
            rows += _modules(chunk, held, inputs, size)
    if not rows:
        raise FormatError(f"{path}: expected esbuild's metafile with the inputs of an output, found none")
    return Tables(
        {"modules": pd.DataFrame(rows, columns=list(_COLUMNS))}, meta={"tool": "esbuild"}, accounting=tally.account()
    )


def _modules(chunk: str, held: dict[str, Any], inputs: dict[str, Any], size: int) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, one in held.items():
        package, version = package_of(name)
        before = whole(mapping(inputs, name).get("bytes"))
        rows.append((chunk, name, package, whole(mapping(one).get("bytesInOutput")) or 0, version, before))
    if (glue := size - sum(int(str(row[3])) for row in rows)) > 0:
        rows.append((chunk, ESBUILD, ESBUILD, glue, "", None))
    return rows
