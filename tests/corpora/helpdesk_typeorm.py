"""Corpus "helpdesk": TypeORM (Node) with lazy relations, a pool of five connections that six requests share. Held out.

On PostgreSQL a transaction for each request, with bound parameters; on MariaDB autocommit, so that the statements of a request
go over several connections, between those of others. Each statement ends in a comment with its request's id.

``npm install typeorm reflect-metadata pg mysql2``, then ``NODE_PATH=node_modules python tests/corpora/helpdesk_typeorm.py``
"""

from __future__ import annotations

from pathlib import Path

import freight_objection
import servers
from recording import keep


def main() -> None:
    freight_objection.APPLICATION = Path(__file__).with_suffix(".js")
    freight_objection.REQUESTS = 240  # its log has three lines for each statement
    with servers.postgresql() as server:
        log, truth = freight_objection.served("postgres", server, 41, "transaction", "log")
    keep("helpdesk", log, "stderr.log", truth)
    freight_objection.REQUESTS = 300
    with servers.mariadb() as server:
        log, truth = freight_objection.served("mysql", server, 42, "autocommit", "slow")
    keep("helpdesk_autocommit", log, "slow.log", truth)


if __name__ == "__main__":
    main()
