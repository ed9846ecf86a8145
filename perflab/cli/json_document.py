"""The document of ``--json``: what a command found, for programs. Its schema is docs/output.schema.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
import pandas as pd

import perflab as lab
from perflab.data.tables import Measurements
from perflab.notes import SHELL, Note, plain

SCHEMA_VERSION = 1


def written(
    command: str, code: int, results: Sequence[object], files: Sequence[str], problem: BaseException | None = None
) -> str:
    """The document as text: numbers as they are, not as people write them; NaN and infinities are null, instants ISO 8601."""
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "perflab": lab.__version__,
        "command": command,
        "exit_code": code,
        "results": [_result(result) for result in results],
        "files": list(files),
    }
    if problem is not None:
        document["error"] = {"kind": type(problem).__name__, **_note(_advice(problem))}
    return orjson.dumps(
        document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=_plain
    ).decode()


def _advice(problem: BaseException) -> Note:
    return next((part for part in problem.args if isinstance(part, Note)), plain(str(problem)))


def _result(result: Any) -> dict[str, Any]:
    if not hasattr(result, "show"):
        return {"kind": "text", "verdict": None, "sentence": str(result), "rows": [], "notes": []}
    shown = result.show(SHELL)
    # Columns of a table of findings are attributes too, and no parts of the result.
    own: Callable[..., Any] = _nothing if isinstance(result, pd.DataFrame) else partial(_attribute, result)
    notes = own("notes", result.warnings if hasattr(result, "warnings") else ())
    found = {
        "kind": type(result).__name__,
        "verdict": own("verdict"),
        "sentence": shown.sentence,
        "rows": _rows(_table(result, shown.table)),
        "notes": [_note(note if isinstance(note, Note) else plain(str(note))) for note in notes],
    }
    if changes := own("changes"):
        found["comparisons"] = [_result(change) for change in changes]
    if (checked := own("checked")) is not None:
        found["objectives"] = _result(checked)
    return found


def _nothing(_: str, other: Any = None) -> Any:
    return other


def _attribute(result: object, name: str, other: Any = None) -> Any:
    return getattr(result, name, other)


def _table(result: Any, shown: pd.DataFrame | None) -> pd.DataFrame | None:
    """The table behind a result, in its own units; that which people see where there is no other."""
    if isinstance(result, Measurements):
        return result.runs.drop(columns=["plan", "environment"], errors="ignore")
    if isinstance(result, pd.DataFrame):
        return pd.DataFrame(result)
    held = getattr(result, "table", None)
    return held if isinstance(held, pd.DataFrame) else shown


def _rows(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    if frame is None:
        return []
    names = list(map(str, frame.columns))
    columns = [[_value(value) for value in frame.iloc[:, place]] for place in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] if names else []


def _value(value: Any) -> Any:
    """What JSON has a word for."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value - value != 0):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _note(note: Note) -> Mapping[str, Any]:
    return {**note.to_json(), "text": note.written(SHELL)}


def _plain(value: object) -> object:
    """What orjson has no word for."""
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return value.item() if hasattr(value, "item") else str(value)
