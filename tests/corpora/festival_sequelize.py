"""Corpus "festival": Sequelize (Node), a pool of five connections that six requests share. Labelled before it was scored.

On PostgreSQL a transaction for each request; on MariaDB autocommit, so that the statements of a request go over several
connections, between those of others. Values are written into the statements; each ends in a comment with its request's id.

``npm install sequelize pg mysql2``, then ``NODE_PATH=node_modules python tests/corpora/festival_sequelize.py``
"""

from __future__ import annotations

from pathlib import Path

import freight_objection
import servers
from recording import keep


def main() -> None:
    freight_objection.APPLICATION = Path(__file__).with_suffix(".js")
    freight_objection.REQUESTS = 360
    with servers.postgresql() as server:
        log, truth = freight_objection.served("postgres", server, 51, "transaction", "json")
    keep("festival", log, "json", truth)
    with servers.mariadb() as server:
        log, truth = freight_objection.served("mysql", server, 52, "autocommit", "slow")
    keep("festival_autocommit", log, "slow.log", truth)


if __name__ == "__main__":
    main()
