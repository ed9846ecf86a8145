"""Corpus "resort": MikroORM (Node) on PostgreSQL, a pool of four connections that six requests share. A blind examination.

Labelled before it was recorded, by an author who had not read the rules. Once with a transaction for each request (a few pages
commit several times); once in autocommit, where reads go over any connection, and only a flush and a lock have a transaction,
as MikroORM opens it. Values are literals of the text; each statement ends in a comment with its request's id.
``resort.labels.tsv`` has the label of each page, and why.

``npm install @mikro-orm/core@6.6.9 @mikro-orm/postgresql@6.6.9 dataloader``, then
``NODE_PATH=node_modules python tests/corpora/resort_mikroorm.py``
"""

from __future__ import annotations

from pathlib import Path

import servers
import transit_kysely
from recording import keep


def main() -> None:
    transit_kysely.APPLICATION = Path(__file__).with_suffix(".js")
    with servers.postgresql() as server:
        log, truth = transit_kysely.served(server, 61, "transaction", "json")
    keep("resort", log, "json", truth)
    with servers.postgresql() as server:
        log, truth = transit_kysely.served(server, 62, "autocommit", "log")
    keep("resort_autocommit", log, "stderr.log", truth)


if __name__ == "__main__":
    main()
