"""Workers on other machines, inside Locust: their plan comes from the master, their records go home with their reports.

A remote worker writes the same files as a local one. Every report to the master (Locust sends one each three seconds, and
the master waits for the last) carries what was written since the report before, with its place in the file, so that a gap
can't pass unseen. The local files stay: what a lost connection kept back can be merged later.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from gevent.event import AsyncResult
from gevent.timeout import Timeout
from locust import events

from perflab.loadtest.records import stem_of

ASK, TELL, PARTS = "perflab_ask", "perflab_tell", "perflab_parts"
SUFFIXES = (".jsonl", ".bin", ".checks")
MAX_PART = 8 << 20
_PATIENCE_S = 30.0
logger = logging.getLogger("perflab")


def ask(runner: Any) -> tuple[dict[str, Any], float]:
    """The master's settings, and how far its clock is ahead of this machine's, in seconds."""
    answer: AsyncResult[dict[str, Any]] = AsyncResult()
    runner.register_message(TELL, lambda environment, msg, **_: answer.set(msg.data))
    asked = time.time()
    runner.send_message(ASK, {"asked": asked})
    try:
        told = answer.get(timeout=_PATIENCE_S)
    except Timeout:
        raise SystemExit(
            "perflab: the master did not send its plan: was it started by perflab, with remote_workers?"
        ) from None
    returned = time.time()
    # Christian's algorithm: the answer was written about half-way between question and answer.
    return told["settings"], told["time"] - (asked + returned) / 2


def answer_questions(runner: Any, settings: dict[str, Any]) -> None:
    """On the master: tell each remote worker the plan, and know it from then on, whether or not its records come."""
    wanted = {name: value for name, value in settings.items() if name != "folder"}

    def tell(environment: Any, msg: Any, **_: Any) -> None:
        (Path(settings["folder"]) / stem_of(msg.node_id)).with_suffix(".jsonl").touch()
        runner.send_message(TELL, {"settings": wanted, "time": time.time()}, client_id=msg.node_id)

    runner.register_message(ASK, tell)


def send_records(stem: Path, flush: Any) -> None:
    """On a remote worker: let each report carry what was written since the last one."""
    sent = dict.fromkeys(SUFFIXES, 0)

    def report(client_id: str = "", data: Any = None, **_: Any) -> None:
        flush()
        parts = []
        for suffix in SUFFIXES:
            with stem.with_suffix(suffix).open("rb") as file:
                file.seek(sent[suffix])
                content = file.read(MAX_PART)
            if content:
                parts.append([suffix, sent[suffix], content])
                sent[suffix] += len(content)
        data[PARTS] = parts

    events.report_to_master.add_listener(report)


def receive_records(folder: Path) -> None:
    """On the master: write what remote workers send, as if they had written here."""

    def received(client_id: str = "", data: Any = None, **_: Any) -> None:
        for suffix, offset, content in data.pop(PARTS, []) if isinstance(data, dict) else []:
            if suffix not in SUFFIXES:
                continue
            with (folder / stem_of(client_id)).with_suffix(suffix).open("ab") as file:
                if file.tell() == offset:
                    file.write(content)
                else:
                    logger.warning(
                        "perflab: a report of %s is missing before byte %d of its %s", client_id, offset, suffix
                    )

    events.worker_report.add_listener(received)
