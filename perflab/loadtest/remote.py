"""Workers on other machines, inside Locust: the master sends them the plan, and they send their records with their reports.

A remote worker writes the same files as a local one. Every report to the master (Locust sends one every three seconds, and
the master waits for the last) carries what was written since the report before, with its offset in the file, so that a gap
is noticed. The local files stay: what a lost connection held back can be merged later.

Master and workers share a secret, the token. Both derive the key of the master's socket from it (CURVE, ZeroMQ's own
encryption), so nobody without the token can complete the handshake: no foreign message reaches Locust, and nothing sent
can be read in transit. The load itself goes to the target as the locustfile sends it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import zmq
from gevent.event import AsyncResult
from gevent.timeout import Timeout
from locust import events
from locust.rpc import zmqrpc
from zmq.utils import z85

from perflab.loadtest.records import stem_of

ASK, TELL, PARTS = "perflab_ask", "perflab_tell", "perflab_parts"
SUFFIXES = (".jsonl", ".bin", ".checks")
MAX_PART = 8 << 20
MAX_MESSAGE = 4 * MAX_PART
"""Three parts, and Locust's own report."""
MAX_RECORDS = 8 << 30
"""Bytes that one worker may send in a run: more than 100 million requests."""
_SALT = b"perflab worker"
_PATIENCE_S = 30.0
logger = logging.getLogger("perflab")


def secure(token: str) -> None:
    """Encrypt the sockets between master and workers with the token; call it before Locust makes them."""
    secret = z85.encode(hashlib.scrypt(token.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32))
    public = bytes(zmq.curve_public(secret))
    made: Any = zmqrpc.BaseSocket.__init__

    def secured(self: Any, sock_type: int, ipv4_only: bool) -> None:
        made(self, sock_type, ipv4_only)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        if sock_type == zmq.ROUTER:
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
            return
        own_public, own_secret = zmq.curve_keypair()
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, public)
        self.socket.setsockopt(zmq.CURVE_PUBLICKEY, own_public)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, own_secret)

    setattr(zmqrpc.BaseSocket, "__init__", secured)  # noqa: B010 - mypy knows it as a method


def ask(runner: Any) -> tuple[dict[str, Any], float]:
    """Ask the master for its settings, and how far its clock is ahead of this machine's, in seconds."""
    answer: AsyncResult[dict[str, Any]] = AsyncResult()
    runner.register_message(TELL, lambda environment, msg, **_: answer.set(msg.data))
    asked = time.time()
    runner.send_message(ASK, {"asked": asked})
    try:
        reply = answer.get(timeout=_PATIENCE_S)
    except Timeout:
        raise SystemExit(
            "perflab: the master did not send its plan: was it started by perflab, with remote_workers and the same token?"
        ) from None
    returned = time.time()
    # Cristian's algorithm: the reply was written about half-way between sending and receiving.
    return reply["settings"], reply["time"] - (asked + returned) / 2


def answer_questions(runner: Any, settings: dict[str, Any]) -> None:
    """On the master: send each remote worker the plan, and register it, whether or not its records arrive."""
    wanted = {name: value for name, value in settings.items() if name not in ("folder", "gate", "token")}

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
    """On the master: write what remote workers send to files like a local worker's."""

    def received(client_id: str = "", data: Any = None, **_: Any) -> None:
        parts = data.pop(PARTS, []) if isinstance(data, dict) else []
        for part in parts if isinstance(parts, list) else []:
            if not _is_part(part):
                logger.warning("perflab: a report of %s has a part that no worker of perflab writes", client_id)
                continue
            suffix, offset, content = part
            with (folder / stem_of(client_id)).with_suffix(suffix).open("ab") as file:
                if file.tell() == offset and offset + len(content) <= MAX_RECORDS:
                    file.write(content)
                else:
                    logger.warning(
                        "perflab: a report of %s is missing before byte %d of its %s", client_id, offset, suffix
                    )

    events.worker_report.add_listener(received)


def _is_part(part: Any) -> bool:
    return (
        isinstance(part, (list, tuple))
        and len(part) == 3
        and part[0] in SUFFIXES
        and isinstance(part[1], int)
        and isinstance(part[2], bytes)
        and len(part[2]) <= MAX_PART
    )
