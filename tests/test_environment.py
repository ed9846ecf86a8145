"""environment.yml offers conda users what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"python-duckdb": "duckdb", "prometheus_client": "prometheus-client", "playwright-python": "playwright"}


def split(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9_.-]+?)\s*((?:[<>=!~].*)?)", requirement)
    assert found, requirement
    return found[1], found[2]


def test_environment_matches_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = dict(split(entry) for entry in environment["dependencies"] if isinstance(entry, str))
    assert listed.pop("python") == project["requires-python"]
    assert listed.pop("pip") == ""
    assert {CONDA_NAMES.get(name, name): version for name, version in listed.items()} == dict(map(split, wanted))
    assert {"pip": ["-e ."]} in environment["dependencies"]
