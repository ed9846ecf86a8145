"""Corpus "choirs": ActiveRecord (Ruby) on MariaDB, a pool of four connections that six requests share. A blind examination.

Labelled before it was recorded, by an author who had not read the rules. Once with a transaction for each request (jobs have
their own); once in autocommit, where a request keeps its connection until it ends, and only writes and locks have a transaction,
as ActiveRecord opens it. Values are literals of the text; the query cache is on, as in Rails, so that a question asked twice
reaches the server once; each statement ends in a comment with its request's id. ``choirs.labels.tsv`` has the label of each
page, and why.

``apt-get install ruby-activerecord ruby-mysql2 ruby-kaminari-activerecord ruby-graphql ruby-batch-loader``, then
``python tests/corpora/choirs_activerecord.py``
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import servers
from recording import Truth, keep

REQUESTS = 420
APPLICATION = Path(__file__).with_suffix(".rb")


def ruby(*arguments: object) -> None:
    subprocess.run(["ruby", APPLICATION, *map(str, arguments)], check=True, timeout=180)


def served(server: servers.Server, seed: int, mode: str) -> tuple[bytes, Truth]:
    ruby("fill", server.port)
    written = {p: p.stat().st_size for p in server.logs("slow")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth"
        ruby("serve", server.port, REQUESTS, seed, mode, file)
        truth = Truth([json.loads(line) for line in file.read_text().splitlines()])
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs("slow")), truth


def main() -> None:
    for name, seed, mode in (("choirs", 51, "transaction"), ("choirs_autocommit", 52, "autocommit")):
        with servers.mariadb(**{"transaction-isolation": "READ-COMMITTED"}) as server:
            log, truth = served(server, seed, mode)
        keep(name, log, "slow.log", truth)


if __name__ == "__main__":
    main()
