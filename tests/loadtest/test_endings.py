"""However a run ends, each request that the server counted is a record or counted apart: some of the cases of bench/kills.py."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from types import ModuleType

import pytest
from driving import own

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kills", ROOT / "bench" / "kills.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SECONDS = 3
    return module


@pytest.mark.parametrize(
    ("client", "who", "sent", "reason"),
    [
        ("FastHttpUser", "driver", signal.SIGINT, "interrupted"),
        ("HttpUser", "driver", signal.SIGKILL, "end-unknown"),
        ("HttpUser", "generator", signal.SIGTERM, "run-short"),
        ("urls", "generator", signal.SIGKILL, "process-lost"),
    ],
)
def test_no_request_is_unaccounted_for(
    tmp_path: Path, kills: ModuleType, client: str, who: str, sent: signal.Signals, reason: str
) -> None:
    found = kills.ended(client, who, sent, 0.7, tmp_path)
    assert found["good"], found
    assert found["recorded"] > 20
    assert reason in own(found["codes"])
    assert sent == signal.SIGKILL or found["missing"] == 0
