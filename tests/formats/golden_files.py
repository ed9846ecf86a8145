"""The samples of foreign formats and their golden files; run it to write those that are missing (see tests/samples/README.md)."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import perflab as lab

SAMPLES = Path(__file__).parent.parent / "samples"
_BESIDE = (".golden.csv", ".golden.txt", ".options.json", ".got", ".md", ".py", ".js")


@dataclass(frozen=True)
class Sample:
    """A file that a tool wrote, in the folder of its format."""

    path: Path

    @property
    def format(self) -> str:
        return self.path.parent.name

    @property
    def options(self) -> dict[str, Any]:
        beside = self.beside(".options.json")
        return dict(json.loads(beside.read_text())) if beside.exists() else {}

    def beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def golden(self) -> dict[str, str]:
        """The golden files by name, as they are."""
        found = sorted(p for p in self.path.parent.iterdir() if p.name.startswith(f"{self.path.name}."))
        return {p.name: p.read_text() for p in found if ".golden." in p.name and not p.name.endswith(".got")}


def note(found: Any, code: str) -> dict[str, Any]:
    """The facts of the first warning of that code; empty where there is none."""
    return next((dict(warning.facts) for warning in found.warnings if warning.code == code), {})


def samples() -> list[Sample]:
    files = sorted(p for p in SAMPLES.glob("*/*") if p.is_file() and not p.name.endswith(_BESIDE))
    return [Sample(path) for path in files]


def outcome(sample: Sample, folder: Path) -> dict[str, str]:
    """What reading the sample gives, under the name "unknown", as the texts of golden files by name."""
    unknown = folder / "unknown"
    shutil.copyfile(sample.path, unknown)
    name = sample.path.name
    try:
        found = lab.read(unknown, **sample.options)
    except lab.FormatError as problem:
        return {f"{name}.golden.txt": str(problem).replace(str(unknown), "unknown") + "\n"}
    tables = {
        f"{name}.{t}.golden.csv": as_csv(f)
        for t, f in found.tables.items()
        if t != "runs" or "environment" in f.columns
    }
    meta = {k: v for k, v in found.meta.items() if k != "source"}
    notes = [*map(str, found.warnings), json.dumps(meta, indent=1, sort_keys=True, default=str, ensure_ascii=False)]
    return {**tables, f"{name}.golden.txt": "\n".join(notes).replace(str(unknown), "unknown") + "\n"}


def as_csv(frame: pd.DataFrame) -> str:
    """A table as text: exact numbers, instants as ISO 8601, lists and mappings as JSON."""
    shown = frame.copy()
    for column in shown.columns:
        if isinstance(shown[column].dtype, pd.DatetimeTZDtype):
            shown[column] = [None if pd.isna(v) else v.isoformat() for v in shown[column]]
        elif shown[column].dtype == object:
            shown[column] = [_plain(v) for v in shown[column]]
    return str(shown.to_csv(index=False, lineterminator="\n"))


def _plain(value: Any) -> Any:
    if isinstance(value, (dict, list, tuple)) or hasattr(value, "tolist"):
        return json.dumps(value, sort_keys=True, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v))
    return value


def write(accepted: set[str]) -> Iterator[Path]:
    """Write the golden files that are missing, and all of the accepted formats; yields what was written."""
    for sample in samples():
        if sample.golden() and sample.format not in accepted:
            continue
        for old in sample.golden():
            (sample.path.parent / old).unlink()
        with tempfile.TemporaryDirectory() as folder:
            for name, text in outcome(sample, Path(folder)).items():
                (sample.path.parent / name).write_text(text)
                yield sample.path.parent / name


if __name__ == "__main__":
    named = {name for name in sys.argv[1:] if not name.startswith("-")}
    for written in write(named if "--accept" in sys.argv else set()):
        print(written.relative_to(SAMPLES))
