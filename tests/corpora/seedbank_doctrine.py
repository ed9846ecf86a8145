"""Corpus "seedbank": Doctrine (PHP) on MariaDB, six worker processes side by side. A blind examination.

Labelled before it was recorded, by an author who had not read the rules. Once with a transaction for each request, on the
connection that its worker keeps (a few pages commit several times); once in autocommit, with a connection for each request, as
PHP has it by default, where only a flush and a lock have a transaction. Values are literals of the text; each statement ends in
a comment with its request's id. ``seedbank.labels.tsv`` has the label of each page, and why.

``apt-get install php-cli php-mysql php-doctrine-orm php-symfony-cache``, then ``python tests/corpora/seedbank_doctrine.py``
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import servers
from recording import Truth, keep

REQUESTS = 420
APPLICATION = Path(__file__).with_suffix(".php")


def php(*arguments: object) -> None:
    subprocess.run(["php", APPLICATION, *map(str, arguments)], check=True, timeout=240)


def served(seed: int, mode: str) -> tuple[bytes, Truth]:
    with servers.mariadb() as server, tempfile.TemporaryDirectory() as folder:
        php("fill", server.port, folder)
        written = {p: p.stat().st_size for p in server.logs("slow")}
        file = Path(folder) / "truth"
        php("serve", server.port, folder, REQUESTS, seed, mode, file)
        truth = Truth([json.loads(line) for line in file.read_text().splitlines()])
    return b"".join(p.read_bytes()[written[p] :] for p in server.logs("slow")), truth


def main() -> None:
    for name, mode, seed in (("seedbank", "transaction", 91), ("seedbank_autocommit", "autocommit", 92)):
        log, truth = served(seed, mode)
        keep(name, log, "slow.log", truth)


if __name__ == "__main__":
    main()
