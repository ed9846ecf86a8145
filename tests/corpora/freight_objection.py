"""Corpus "freight": Objection on knex (Node), a pool of five connections that six requests share. Held out.

On PostgreSQL a transaction for each request; on MariaDB autocommit, so that the statements of a request go over several
connections, between those of others. Each statement ends in a comment with its request's id, which the truth is found by.

``npm install objection knex pg mysql2``, then ``NODE_PATH=node_modules python tests/corpora/freight_objection.py``
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import servers
from recording import Truth, keep

REQUESTS = 300
APPLICATION = Path(__file__).with_suffix(".js")


def node(*arguments: object) -> None:
    subprocess.run(["node", APPLICATION, *map(str, arguments)], check=True, timeout=240)


def served(client: str, server: servers.Server, seed: int, mode: str, ending: str) -> tuple[bytes, Truth]:
    node("fill", client, server.port)
    written = {p: p.stat().st_size for p in server.logs(ending)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth"
        node("serve", client, server.port, REQUESTS, seed, mode, file)
        truth = Truth([json.loads(line) for line in file.read_text().splitlines()])
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs(ending)), truth


def main() -> None:
    with servers.postgresql() as server:
        log, truth = served("pg", server, 11, "transaction", "json")
    keep("freight", log, "json", truth)
    with servers.mariadb() as server:
        log, truth = served("mysql2", server, 12, "autocommit", "slow")
    keep("freight_autocommit", log, "slow.log", truth)


if __name__ == "__main__":
    main()
