"""Corpus "transit": Kysely (Node) on PostgreSQL, a pool of four connections that five requests share.

Labelled before it was recorded. Once with a transaction for each request (a few pages commit several times); once in
autocommit, so that the statements of a request go over several connections, between those of others. Values are bound; each
statement ends in a comment with its request's id. ``transit.labels.tsv`` has the label of each page, and why.

``npm install kysely pg``, then ``NODE_PATH=node_modules python tests/corpora/transit_kysely.py``
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import servers
from recording import Truth, keep

REQUESTS = 400
APPLICATION = Path(__file__).with_suffix(".js")


def node(*arguments: object) -> None:
    subprocess.run(["node", APPLICATION, *map(str, arguments)], check=True, timeout=240)


def served(server: servers.Server, seed: int, mode: str, ending: str) -> tuple[bytes, Truth]:
    node("fill", server.port)
    written = {p: p.stat().st_size for p in server.logs(ending)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth"
        node("serve", server.port, REQUESTS, seed, mode, file)
        truth = Truth([json.loads(line) for line in file.read_text().splitlines()])
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs(ending)), truth


def main() -> None:
    with servers.postgresql() as server:
        log, truth = served(server, 91, "transaction", "log")
    keep("transit", log, "stderr.log", truth)
    with servers.postgresql() as server:
        log, truth = served(server, 92, "autocommit", "csv")
    keep("transit_autocommit", log, "csv", truth)


if __name__ == "__main__":
    main()
