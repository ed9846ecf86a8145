"""Locust with perflab's recorder inside, and with nothing that the plan did not name.

    python -m perflab.loadtest.launcher [Locust's own arguments]

Locust also reads locust.conf, ~/.locust.conf and the [tool.locust] of a pyproject.toml: those are left
unread here, or a run would get users, tags or a host that no plan named.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import locust.argument_parser as arguments
import locust.main

from perflab.loadtest import checking_locustfile, recorder
from perflab.loadtest.records import SETTINGS

_Parser = arguments.LocustArgumentParser


class _WithoutConfigurationFiles(_Parser):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "default_config_files": []})


def _wait_for(gate: Path) -> None:
    """Until the file is there: what has been imported meanwhile need not be waited for once the target is ready."""
    while not gate.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    arguments.LocustArgumentParser = _WithoutConfigurationFiles  # type: ignore[misc]
    settings = json.loads(Path(os.environ[SETTINGS]).read_text(encoding="utf-8"))
    recorder.install(settings)
    if "gate" in settings:
        _wait_for(Path(settings["gate"]))
    locust.main.merge_locustfiles_content = checking_locustfile.guarded(  # type: ignore[assignment]
        locust.main.merge_locustfiles_content, Path(settings["folder"]), settings.get("user_classes", ())
    )
    locust.main.main()
