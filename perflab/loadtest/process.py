"""Locust as a subprocess. perflab never imports it: its import patches the whole process for gevent, and a
notebook's kernel would never finish another cell (ipython/ipykernel#934)."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import orjson

import perflab
from perflab.errors import LoadTestError
from perflab.loadtest.child import Child
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.records import SETTINGS

STATISTICS = "locust.json"
"""Locust adds the suffix by itself."""


def start(plan: LoadPlan, host: str, folder: Path, *, log: Path) -> Child:
    """Start Locust on the plan; its records and statistics go to the (new) folder, its output to the log."""
    folder = folder.resolve()
    folder.mkdir()
    settings = folder / "generator.json"
    settings.write_bytes(
        orjson.dumps(
            {
                "folder": str(folder),
                "stages": plan.record()["stages"],
                "seed": plan.seed,
                "timeout_s": plan.timeout_s,
                "stop_timeout_s": _whole_stop_timeout_s(plan),
            }
        )
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    search = [str(Path(perflab.__file__).parent.parent), *filter(None, [kept.get("PYTHONPATH")])]
    return Child(
        [sys.executable, "-m", "perflab.loadtest.launcher", *_arguments(plan, host, folder)],
        log=log,
        # SIGTERM lets requests in flight end within stop_timeout; then Locust writes its statistics.
        grace_s=_whole_stop_timeout_s(plan) + 2.0,
        env={**kept, SETTINGS: str(settings), "PYTHONPATH": os.pathsep.join(search), "PYTHONUNBUFFERED": "1"},
    )


def _arguments(plan: LoadPlan, host: str, folder: Path) -> list[str]:
    arguments = ["--headless", "--locustfile", str(plan.found_locustfile()), "--host", host]
    arguments += ["--stop-timeout", str(_whole_stop_timeout_s(plan)), "--exit-code-on-error", "0"]
    if plan.tags:
        arguments += ["--tags", *plan.tags]
    if plan.exclude_tags:
        arguments += ["--exclude-tags", *plan.exclude_tags]
    for name, value in plan.arguments.items():
        arguments += [f"--{name.lstrip('-').replace('_', '-')}", str(value)]
    # --json-file without --json: the two together write an empty list (Locust 2.47).
    # Last an option that takes one value: names of classes right after --tags would be tags.
    arguments += ["--json-file", str((folder / STATISTICS).with_suffix("")), "--only-summary", "--loglevel", "INFO"]
    return [*arguments, *plan.user_classes]


def _whole_stop_timeout_s(plan: LoadPlan) -> int:
    """Locust takes whole seconds."""
    return math.ceil(plan.stop_timeout_s)


def statistics(folder: Path) -> list[dict[str, Any]]:
    """Locust's own final statistics, an entry for each endpoint; empty when it did not come to write them."""
    try:
        found = orjson.loads((folder / STATISTICS).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return []
    return found if isinstance(found, list) else []


def counted(entries: list[dict[str, Any]]) -> int:
    """The requests that Locust counted."""
    return sum(int(entry.get("num_requests", 0)) for entry in entries)


def failure(child: Child, why: str) -> LoadTestError:
    """The error for a Locust that did no work, with its exit code and the end of its log."""
    return LoadTestError(why, exit_code=child.exit_code(), output=child.tail())
