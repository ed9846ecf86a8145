"""`write_objectives`: objectives into a Markdown or TOML file, from which `read_objectives` reads the same ones."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import orjson

from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError, PerflabError
from perflab.objectives.checking import objectives_of
from perflab.objectives.grammar import objective_of, read_line
from perflab.objectives.objective import Objective, Objectives, collected
from perflab.objectives.words import load_in

_FIELDS = {f.name: f.default for f in fields(Objective) if f.name != "source"}
_UNITS = {"ms": " ms", "1/s": "/s", "bytes": " B", "bytes/s": " B/s", "cores": " cores"}


def write_objectives(goals: Objectives | Iterable[Objective | str], path: str | Path) -> Path:
    """Write objectives to a ``.md`` or ``.toml`` file.

    Parameters
    ----------
    goals : objectives
        From `read_objectives`, or a list of objectives and texts.
    path : str or Path
        An existing file keeps what it holds, and the objectives are appended.

    Returns
    -------
    Path
        In TOML they are ``objectives`` below ``[tool.perflab]``; in Markdown a list below "Performance objectives".
        `read_objectives` reads equal ones from either.

    Raises
    ------
    ValueError
        The path ends otherwise, the file holds objectives already, or Markdown has no words for one of them (an
        interpolation, an option to abort): TOML has.
    PerflabError
        The file can't be written.

    >>> import tempfile, pathlib
    >>> written = write_objectives(["p95 of GET /orders < 200 ms"], pathlib.Path(tempfile.mkdtemp()) / "goals.toml")
    >>> print(written.read_text().strip())
    [tool.perflab]
    objectives = [
        "p95 of GET /orders < 200.0 ms",
    ]
    """
    place, wanted = Path(path), objectives_of(goals)
    if place.suffix not in (".md", ".toml"):
        raise ValueError(f"path must end in .md or .toml; got {str(path)!r}")
    before = place.read_text(encoding="utf-8") if place.exists() else ""
    if place.suffix == ".toml":
        if _table(place, before):
            raise ValueError(f"{place} holds objectives already; remove [tool.perflab] objectives from it first")
        text = "[tool.perflab]\nobjectives = [\n" + "".join(f"    {_toml(goal)},\n" for goal in wanted) + "]\n"
    else:
        text = "## Performance objectives\n\n" + "".join(f"- {_markdown(goal)}\n" for goal in wanted)
    try:
        place.write_text(before.rstrip() + "\n\n" * bool(before.strip()) + text, encoding="utf-8")
    except OSError as problem:
        raise PerflabError(f"{place}: cannot be written: {problem.strerror}") from problem
    return place


def from_toml(path: Path, text: str) -> Objectives:
    """Objectives below ``[tool.perflab]``: texts, tables of an Objective's fields, or lists of texts by endpoint."""
    found: list[Objective] = []
    lost: list[tuple[str, str, str]] = []
    for where, given in _entries(_table(path, text)):
        try:
            found.append(_objective(where, given, f"{path.name}: {where}" if where else path.name))
        except (ValueError, TypeError) as problem:
            lost.append((path.name, str(given)[:200], str(problem)))
    return collected(found, lost, path.name)


def _entries(table: Any) -> Iterable[tuple[str, Any]]:
    """(endpoint, objective): "" where the entry is not below one."""
    if isinstance(table, Mapping):
        for endpoint, given in table.items():
            yield from ((str(endpoint), one) for one in (given if isinstance(given, list) else [given]))
    else:
        yield from (("", one) for one in (table if isinstance(table, list) else [table]))


def _objective(endpoint: str, given: Any, source: str) -> Objective:
    if isinstance(given, Mapping):
        return Objective(**{"endpoint": endpoint or AGGREGATED, **given, "source": source})
    line = read_line(str(given), default=_named(endpoint), bare=True)
    if len(line.clauses) != 1 or line.problem:
        raise ValueError(line.problem or f"expected one objective, found {len(line.clauses)}")
    one = line.clauses[0]
    load = load_in(str(given))
    return Objective(one.metric, one.operator, one.limit, endpoint=one.endpoint, source=source, load=load)


def _named(endpoint: str) -> str:
    return AGGREGATED if endpoint.lower() in ("", "all", "all requests", AGGREGATED.lower()) else endpoint


def _table(path: Path, text: str) -> Any:
    try:
        held: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise FormatError(f"{path}: expected TOML: {problem}") from problem
    for key in ("tool", "perflab", "objectives"):
        held = held.get(key, {}) if isinstance(held, Mapping) else {}
    return held


def words(goal: Objective) -> str:
    """A text that reads as this objective, with its limit in full; "" where there is none."""
    unit = " %" if goal.unit == "fraction" else _UNITS.get(goal.unit, "")
    number = repr(goal.bound * 100 if goal.unit == "fraction" else goal.bound)
    if re.fullmatch(r"\d{1,3}\.\d{3}", number):  # which could be read as thousands
        number += "0"
    text = f"{goal.subject} {goal.operator} {number}{unit}{f' at {goal.load}' if goal.load else ''}"
    try:
        back = objective_of(text)
    except ValueError:
        return ""
    return text if _facts(back) == _facts(goal) else ""


def _facts(goal: Objective) -> dict[str, Any]:
    return {name: getattr(goal, name) for name in _FIELDS} | {"limit": goal.bound}


def _toml(goal: Objective) -> str:
    if text := words(goal):
        return _quoted(text)
    facts = {k: v for k, v in _facts(goal).items() if _FIELDS[k] is MISSING or v != _FIELDS[k]}
    return "{ " + ", ".join(f"{k} = {_quoted(v)}" for k, v in facts.items()) + " }"


def _quoted(value: Any) -> str:
    """A TOML value; its basic strings, numbers and booleans are those of JSON."""
    return orjson.dumps(value).decode()


def _markdown(goal: Objective) -> str:
    text = words(goal)
    if not text:
        raise ValueError(f"Markdown has no words for {goal}: write it to a .toml file")
    return text
