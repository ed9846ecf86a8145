"""What is in a bundle: its largest packages and modules, copies of one package, and what a change of it did."""

from __future__ import annotations

import re

import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.notes import Note, listed
from perflab.results import Findings, count, findings
from perflab.units import format_bytes, format_fraction
from perflab.web import audit_notes

OWN, WEBPACK, ESBUILD = "(own code)", "(webpack)", "(esbuild)"
GLUE = (WEBPACK, ESBUILD)
"""What bundlers add to each chunk."""
PACKAGE, MODULE = "package", "module"
_COLUMNS = ("run", "chunk", "module", "package", "size_bytes")
_TREE_SHAKEN = {
    "core-js": 'a newer target ("browserslist": "baseline widely available") needs fewer polyfills',
    "lodash": 'import debounce from "lodash/debounce", one function at a time: lodash.js is all of it',
    "moment": "Intl.DateTimeFormat, or date-fns: moment brings all its locales",
    "moment-timezone": "Intl.DateTimeFormat with timeZone",
    "underscore": "the methods of arrays and objects",
}
"""Packages that are large because all of them is bundled, with the usual fix."""
_LARGE_FRACTION, _LARGE_BYTES = 0.05, 10_000


def package_of(path: str) -> tuple[str, str]:
    """The package of a module's path and its version, where the path has it; of own code `OWN`.

    >>> package_of("./node_modules/.pnpm/lodash@4.17.21/node_modules/lodash/get.js"), package_of("./src/app.ts")
    (('lodash', '4.17.21'), ('(own code)', ''))
    >>> package_of("webpack://app/./node_modules/@mui/material/node_modules/clsx/index.js?x")
    ('clsx', '')
    """
    path = path.replace("\\", "/")
    name = re.split(r"node_modules/(?!\.pnpm/)", path)[-1] if "node_modules/" in path else ""
    parts = name.split("/")
    package = "/".join(parts[:2]) if name.startswith("@") else parts[0]
    if not package or package == path:
        return OWN, ""
    escaped = re.escape(package.replace("/", "+"))
    found = re.search(rf"\.pnpm/{escaped}@([0-9][0-9A-Za-z.+-]*)", path) or re.search(
        rf"/{re.escape(package.replace('/', '-'))}-npm-([\d][\w.]*(?:-[a-z]+\.\d+)?)-", path
    )
    return package, found[1] if found else ""


def find_large_modules(
    modules: Measurements | pd.DataFrame, baseline: Measurements | pd.DataFrame | None = None, by: str = "package"
) -> Findings:
    """Find the packages or modules that make a bundle large, and what a change of it did to them.

    Parameters
    ----------
    modules : Measurements or DataFrame
        A ``modules`` table, or measurements that hold one: webpack's stats (``webpack --json``), esbuild's metafile.
    baseline : Measurements or DataFrame
        The same of the build before.
    by : str
        "package", or "module".

    Returns
    -------
    Findings
        package (and module), size_bytes, share_fraction (of all), modules (how many), chunks (that hold it), copies (places
        that it is installed in), suggestion; with a baseline also baseline_bytes and change_bytes, those that changed most
        first.

    Raises
    ------
    ValueError
        Columns are missing, there are no modules or those of several builds, or ``by`` is neither.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> built = pd.DataFrame({"run": "a", "chunk": "main.js", "module": ["node_modules/moment/moment.js", "src/app.js"],
    ...                       "package": ["moment", "(own code)"], "size_bytes": [176_000, 24_000]})
    >>> lab.find_large_modules(built)[["package", "size_bytes", "share_fraction"]].values.tolist()
    [['moment', 176000, 0.88], ['(own code)', 24000, 0.12]]
    """
    if by not in (PACKAGE, MODULE):
        raise one_of("by", by, (PACKAGE, MODULE))
    after = _modules_of(modules)
    table = _sized(after, by)
    total = float(after["size_bytes"].sum())
    if baseline is None:
        table = table.sort_values(["size_bytes", by], ascending=[False, True], ignore_index=True)
        top = table.iloc[0]
        share = format_fraction(float(top["share_fraction"]))
        sentence = f"{format_bytes(total)} in {count(len(after), 'module')}; {top[by]} is {share} of it"
        return findings(table, sentence, _copies_note(after))
    before = _modules_of(baseline)
    old = _sized(before, by)
    both = table.merge(old[[by, "size_bytes"]].rename(columns={"size_bytes": "baseline_bytes"}), on=by, how="outer")
    for name in ("size_bytes", "baseline_bytes", "modules", "chunks", "copies"):
        both[name] = both[name].fillna(0).astype("int64")
    both = both.fillna({"share_fraction": 0.0, "suggestion": "", "package": both[by] if by == PACKAGE else ""})
    both["change_bytes"] = both["size_bytes"] - both["baseline_bytes"]
    both["order"] = -both["change_bytes"].abs()
    both = both.sort_values(["order", by], ignore_index=True).drop(columns="order")
    was = float(before["size_bytes"].sum())
    top = both.iloc[0]
    most = f"; {top[by]} {_signed(float(top['change_bytes']))}" if top["change_bytes"] else ""
    sentence = f"{format_bytes(was)} → {format_bytes(total)} ({_signed(total - was)}){most}"
    shown = [by, "baseline_bytes", "size_bytes", "change_bytes", "share_fraction", "suggestion"]
    return findings(both, sentence, (*_tools_note(modules, baseline), *_copies_note(after)), shown=shown)


def find_duplicate_modules(modules: Measurements | pd.DataFrame) -> Findings:
    """Find packages that a bundle holds more than once: in several versions or places, or in several chunks.

    Parameters
    ----------
    modules : Measurements or DataFrame
        As for `find_large_modules`.

    Returns
    -------
    Findings
        package, copies, where ("versions" or "chunks"), places, size_bytes, wasted_bytes (all but the largest copy), suggestion.

    Raises
    ------
    ValueError
        Columns are missing, or there are no modules, or those of several builds.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> paths = ["node_modules/clsx/index.js", "node_modules/a/node_modules/clsx/index.js"]
    >>> built = pd.DataFrame({"run": "a", "chunk": "main.js", "module": paths, "package": "clsx", "size_bytes": [500, 400]})
    >>> lab.web.find_duplicate_modules(built)[["package", "copies", "wasted_bytes"]].values.tolist()
    [['clsx', 2, 400]]
    """
    table = _modules_of(modules)
    table = table.assign(place=[_place(m, p) for m, p in zip(table["module"], table["package"], strict=True)])
    rows = []
    for package, part in table[table["package"] != OWN].groupby("package"):
        sizes = part.groupby("place")["size_bytes"].sum()
        if len(sizes) > 1:
            fix = f"npm dedupe, or one version for all in package.json (overrides, resolutions): {package}"
            rows.append(_duplicate(package, "versions", sizes, fix))
    for (package, _), part in table[~table["package"].isin(GLUE)].groupby(["package", "module"]):
        sizes = part.groupby("chunk")["size_bytes"].sum()
        if len(sizes) > 1:
            rows.append(
                _duplicate(package, "chunks", sizes, "one shared chunk (webpack splitChunks, esbuild --splitting)")
            )
    columns = ["package", "copies", "where", "places", "size_bytes", "wasted_bytes", "suggestion"]
    found = pd.DataFrame(rows, columns=columns)
    # A row for each package: its modules in several chunks together.
    if len(found):
        together = {
            "copies": "max",
            "places": "first",
            "size_bytes": "sum",
            "wasted_bytes": "sum",
            "suggestion": "first",
        }
        found = found.groupby(["package", "where"], as_index=False).agg(together)[columns]
    found = found.sort_values(["wasted_bytes", "package"], ascending=[False, True], ignore_index=True)
    wasted = float(found["wasted_bytes"].sum())
    sentence = (
        f"{count(len(found), 'package')} more than once, {format_bytes(wasted)} too much"
        if len(found)
        else "nothing twice"
    )
    return findings(found, sentence)


def _duplicate(package: object, where: str, sizes: pd.Series[int], fix: str) -> tuple[object, ...]:
    wasted = int(sizes.sum() - sizes.max())
    return package, len(sizes), where, ", ".join(map(str, sizes.index[:5])), int(sizes.sum()), wasted, fix


def _modules_of(given: Measurements | pd.DataFrame) -> pd.DataFrame:
    table = given.modules if isinstance(given, Measurements) else given
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"modules must be a modules table or Measurements; got {type(given).__name__}")
    if missing := [name for name in _COLUMNS if name not in table.columns]:
        raise ValueError(f"modules needs the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if not len(table):
        raise ValueError("modules must hold at least one module; got none")
    if len(builds := table["run"].unique()) > 1:
        raise ValueError(
            f"modules must be of one build; got {len(builds)} ({listed(builds, 3)}): choose one with .where(run=...)"
        )
    return table


def _sized(table: pd.DataFrame, by: str) -> pd.DataFrame:
    keys = [PACKAGE] if by == PACKAGE else [MODULE, PACKAGE]
    places = [_place(m, p) for m, p in zip(table["module"], table["package"], strict=True)]
    grouped = table.assign(place=places).groupby(keys, sort=False)
    found = grouped.agg(
        size_bytes=("size_bytes", "sum"),
        modules=("module", "nunique"),
        chunks=("chunk", "nunique"),
        copies=("place", "nunique"),
    ).reset_index()
    share = found["size_bytes"] / max(float(table["size_bytes"].sum()), 1.0)
    found.insert(len(keys) + 1, "share_fraction", share)
    entries = {
        p
        for m, p in zip(table["module"], table["package"], strict=True)
        if str(m).endswith((f"/{p}.js", f"/{p}.min.js"))
    }
    entries |= {"core-js", "moment-timezone"}
    facts = zip(found["package"], found["copies"], found["size_bytes"], share, strict=True)
    found["suggestion"] = [_suggestion(p, copies, size, part, p in entries) for p, copies, size, part in facts]
    return found


def _place(module: str, package: str) -> str:
    """Where a package is installed: the path up to its name; "" for own code."""
    path = str(module).replace("\\", "/")
    end = path.rfind(f"node_modules/{package}/")
    return path[:end] + package if end >= 0 else ""


def _suggestion(package: str, copies: int, size: float, share: float, whole: bool) -> str:
    if share < _LARGE_FRACTION or size < _LARGE_BYTES or package.startswith("("):
        return ""
    if package in _TREE_SHAKEN and whole:
        return _TREE_SHAKEN[package]
    if copies > 1:
        return f"one version of {package} (npm dedupe)"
    return f'if the first view does not need it: const {{ ... }} = await import("{package}")'


def _copies_note(table: pd.DataFrame) -> tuple[Note, ...]:
    twice = find_duplicate_modules(table)
    wasted = float(twice["wasted_bytes"].sum())
    return (audit_notes.DUPLICATES(packages=len(twice), wasted_bytes=wasted),) if wasted else ()


def _tools_note(*given: Measurements | pd.DataFrame) -> tuple[Note, ...]:
    tools = [str(one.meta.get("tool", "")) if isinstance(one, Measurements) else "" for one in given]
    names = [tool.partition(" ")[0] for tool in tools]
    return (audit_notes.MODULES_DIFFER(before=tools[1], after=tools[0]),) if all(names) and names[0] != names[1] else ()


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else '-' if change < 0 else '±'}{format_bytes(abs(change))}"
