"""``lab.`` and Tab in a kernel: every name is shown with its kind, and the kernel is not kept busy for it."""

from __future__ import annotations

import time

from jupyter_client.manager import start_new_kernel


def test_completion_shows_the_kind_of_each_name() -> None:
    manager, client = start_new_kernel()
    try:
        started = client.execute_interactive("import perflab as lab", timeout=60)
        assert started["content"]["status"] == "ok"
        deadline = time.monotonic() + 60
        while True:
            client.complete("lab.", 4)
            content = client.get_shell_msg(timeout=60)["content"]
            kinds = {m["text"]: m["type"] for m in content["metadata"]["_jupyter_types_experimental"]}
            if "<unknown>" not in kinds.values() or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert {name for name, kind in kinds.items() if kind == "<unknown>"} == set()
        assert len(kinds) >= 60
        assert (kinds["compare"], kinds["LoadPlan"]) == ("function", "class")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
