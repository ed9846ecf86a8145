"""The repository keeps its own rules; `make test` runs ruff, mypy and import-linter before these."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_registry_address_and_no_foreign_path_is_committed() -> None:
    address = re.compile(rb"(index-url|find-links)[ =]+http|\"resolved\": *\"http|registry *= *\"http")
    # Spelled in two parts, or this file would find itself.
    forbidden = [b".." + b"/shared", b"/root" + b"/", b"/work" + b"/main"]
    found = [
        f"{path.relative_to(ROOT)}"
        for path in tracked()
        if (content := path.read_bytes()) and (address.search(content) or any(text in content for text in forbidden))
    ]
    assert not found


def test_the_lock_is_hashed_and_pins_everything() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if "==" in line]
    assert len(pins) > 50
    hashes = sum("--hash=sha256:" in line for line in lines)
    assert hashes >= len(pins)
    assert all(re.match(r"[a-zA-Z0-9._-]+(\[[^]]*\])?==\S+", line) for line in pins)


def test_what_is_public_is_typed() -> None:
    assert (ROOT / "perflab" / "py.typed").exists()
