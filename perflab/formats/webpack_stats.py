"""webpack's stats (``webpack --json``; Rspack's are alike): https://webpack.js.org/api/stats/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _documents
from perflab.formats._documents import mapping, number, whole
from perflab.notes import Kind
from perflab.provenance import hidden
from perflab.web import audit_notes
from perflab.web.bundles import WEBPACK, package_of

_KEYS = re.compile(rb'"(?:assetsByChunkName|builtAt|outputPath|assets|chunks|children)"\s*:')
_START = re.compile(rb'\s*\{\s*"(?:\w+)"\s*:')
_COLUMNS = ("chunk", "module", "package", "size_bytes", "version", "duration_ms")
_BEFORE: Kind = audit_notes.BEFORE_MINIFICATION
_LOADERS = re.compile(r"^.*!")
_MORE = re.compile(r" \+ \d+ modules?$")


def sniff(head: bytes) -> bool:
    return (
        _START.match(head) is not None
        and b'"hash"' in head
        and len(set(_KEYS.findall(head))) >= 2
        and b'"lighthouseVersion"' not in head
        and b'"bytesInOutput"' not in head
    )


def read(path: Path, **_: Any) -> Tables:
    """The modules of each chunk; of joined modules their parts."""
    found = _documents.document(path, "webpack's stats")
    if not isinstance(found, dict):
        raise FormatError(f"{path}: expected webpack's stats, found no object")
    tally, rows = Tally("module"), list[tuple[object, ...]]()
    for build in _builds(found):
        names = _chunk_names(build)
        left_out = sum(_left_out(build))
        tally.total += left_out
        if left_out:
            tally.skip(
                tally.total,
                left_out,
                why="left out by webpack's own options (stats.modulesSpace, stats.excludeModules)",
            )
        for module in _modules(build):
            tally.total += 1
            rows += _rows(module, names, tally)
    if not rows:
        raise FormatError(f"{path}: expected webpack's stats with modules (webpack --json), found none")
    version = str(found.get("version") or next((b.get("version") for b in _builds(found) if b.get("version")), ""))[:40]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    notes = (_BEFORE(source=path.name),)
    return Tables(
        {"modules": frame}, warnings=notes, meta={"tool": f"webpack {version}".strip()}, accounting=tally.account()
    )


def _left_out(held: dict[str, Any]) -> Iterator[int]:
    """How many modules a build counts without listing them: where its modules are, and in groups of them."""
    listed = _listed(held.get("modules")) or _listed(held.get("children") if "name" not in held else None)
    yield whole(held.get("filteredModules")) or whole(held.get("filteredChildren")) or 0
    if not listed and not held.get("modules"):
        listed = _listed(held.get("chunks"))
    for one in listed:
        if "filteredModules" in one or "filteredChildren" in one or "children" in one:
            yield from _left_out(one)


def _builds(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The builds of a file: one, or those of several configurations."""
    children = found.get("children")
    several = [c for c in children if isinstance(c, dict) and c.get("modules")] if isinstance(children, list) else []
    return [found] if found.get("modules") or found.get("chunks") or not several else several


def _listed(held: Any) -> list[dict[str, Any]]:
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _modules(build: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The modules of a build; with ``chunkModules`` alone they are listed within their chunks."""
    if listed := _listed(build.get("modules")):
        yield from (part for one in listed for part in _parts(one))
        return
    for chunk in _listed(build.get("chunks")):
        for one in _listed(chunk.get("modules")):
            yield from _parts({"chunks": [chunk.get("id")], **one})


def _parts(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The modules that were joined into one, or itself; groups of a shortened list have their modules as children."""
    inner = _listed(module.get("modules")) or (_listed(module.get("children")) if "name" not in module else [])
    if not inner:
        yield module
        return
    for one in inner:
        yield from _parts({**one, "chunks": module.get("chunks", one.get("chunks"))})


def _chunk_names(build: dict[str, Any]) -> dict[str, str]:
    found = {}
    for chunk in _listed(build.get("chunks")):
        names, files = chunk.get("names"), chunk.get("files")
        shown = next((str(one[0]) for one in (files, names) if isinstance(one, list) and one), "")
        found[str(chunk.get("id"))] = shown or str(chunk.get("id"))
    return found


def _rows(module: dict[str, Any], names: dict[str, str], tally: Tally) -> list[tuple[object, ...]]:
    name, size, chunks = (
        module.get("name") or module.get("identifier"),
        whole(module.get("size")),
        module.get("chunks"),
    )
    if not isinstance(name, str) or size is None:
        tally.skip(tally.total, why="no name or no size")
        return []
    if not isinstance(chunks, list) or not chunks or module.get("orphan") is True:
        tally.known += 1  # not in any output
        return []
    tally.rows += 1
    shown = hidden(name) if "://" in name else name
    shown = _MORE.sub("", _LOADERS.sub("", shown))[:500]
    package, version = package_of(str(module.get("nameForCondition") or shown))
    if module.get("moduleType") == "runtime" or shown.startswith("webpack/"):
        package = WEBPACK
    profile = mapping(module, "profile")
    took = (
        sum(number(profile.get(k)) or 0.0 for k in ("factory", "building", "restoring", "storing")) if profile else None
    )
    return [(names.get(str(c), str(c)), shown, package, size, version, took) for c in chunks]
