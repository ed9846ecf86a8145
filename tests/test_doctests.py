"""The examples of all public names and of all modules of stats run, with `lab`, `np` and `pd` in scope."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab import units

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent.name for path in (ROOT / "perflab").glob("*/__init__.pyi"))
mpl.use("Agg")


def examples() -> list[doctest.DocTest]:
    public = [
        (getattr(package, name), name)
        for package in (lab, *(getattr(lab, name) for name in PACKAGES))
        for name in package.__all__
    ]
    names = [f"perflab.stats.{part.name}" for part in pkgutil.iter_modules(lab.stats.__path__)]
    modules = [units, *map(importlib.import_module, ["perflab.loadtest.run", "perflab.provenance", *names])]
    finder, found = doctest.DocTestFinder(), {}
    for thing, name in [*public, *((module, module.__name__) for module in modules)]:
        module = inspect.getmodule(thing)
        for test in finder.find(thing, name, module=module, globs={**vars(module), "lab": lab, "np": np, "pd": pd}):
            found.setdefault((test.filename, test.lineno), test)
    return [test for test in found.values() if test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_the_example_runs(example: doctest.DocTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    output: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=output.append)
    assert not output, "".join(output)
