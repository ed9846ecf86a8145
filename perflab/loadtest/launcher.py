"""Locust with perflab's recorder inside, and with nothing that the plan does not name.

python -m perflab.loadtest.launcher [Locust's own arguments]
"""

from __future__ import annotations

import time
from pathlib import Path

import locust.main

from perflab.loadtest import checking_locustfile, overrides, recorder, records


def _wait_for(gate: Path) -> None:
    """Wait for the file; imports happen before, so that they cost no time once the target is ready."""
    while not gate.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    overrides.leave_unread()
    settings = records.settings()
    recorder.install(settings)
    if "gate" in settings:
        _wait_for(Path(settings["gate"]))
    locust.main.merge_locustfiles_content = checking_locustfile.guarded(  # type: ignore[assignment]
        locust.main.merge_locustfiles_content,
        Path(settings["folder"]),
        settings.get("user_classes", ()),
        lambda found: overrides.differing_hosts(found, settings.get("host", "")) if "host" in settings else {},
    )
    locust.main.main()
