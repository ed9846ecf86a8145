"""Corpus "marina": Prisma 7 (Node) on PostgreSQL through its driver adapter, a pool of four connections that six requests share.

A blind examination: labelled before it was recorded, by an author who had not read the rules. Once with a transaction for each
request (a few pages commit several times) and the preview feature relationJoins, so that includes are LATERAL joins; once in
autocommit without it, where includes are queries by IN, statements go over any connection, and only a nested write has a
transaction, as Prisma opens it. Tables and columns have the names of the models, quoted; values are bound. Each statement ends
in a comment with its request's id, by Prisma's own plugin; BEGIN and COMMIT have none. The findUnique calls of one tick become
one query. ``marina.labels.tsv`` has the label of each page, and why.

``npm install prisma@7.10.1 @prisma/client@7.10.0 @prisma/adapter-pg@7.10.1 @prisma/sqlcommenter-query-tags@7.10.0 dataloader``,
then ``NODE_PATH=$PWD/node_modules python tests/corpora/marina_prisma.py``
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import servers
import stays_drizzle
from recording import keep

APPLICATION = Path(__file__).with_suffix(".js")
SCHEMA = Path(__file__).with_suffix(".prisma")
PREVIEW = '  previewFeatures = ["relationJoins"]\n'


def generate(modules: Path) -> None:
    """Both clients, with and without joins, where the application requires them; nothing is downloaded for it."""
    for name, schema in (("joins", SCHEMA.read_text()), ("plain", SCHEMA.read_text().replace(PREVIEW, ""))):
        folder = modules / f".marina-{name}"
        folder.mkdir(exist_ok=True)
        (folder / "schema.prisma").write_text(schema.replace("marina-client", f"marina-{name}"))
        command = [modules / ".bin" / "prisma", "generate", "--schema", folder / "schema.prisma"]
        environment = os.environ | {"PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "CHECKPOINT_DISABLE": "1"}
        subprocess.run(command, check=True, timeout=120, cwd=modules.parent, env=environment)


def served(server: servers.Server, seed: int, mode: str, ending: str) -> None:
    stays_drizzle.APPLICATION = APPLICATION
    log, truth = stays_drizzle.served(server, seed, mode, ending)
    name = "marina" if mode == "transaction" else "marina_autocommit"
    keep(name, log, ending, truth)


def main() -> None:
    generate(Path(os.environ["NODE_PATH"]))
    with servers.postgresql() as server:
        served(server, 129, "transaction", "csv")
    with servers.postgresql() as server:
        served(server, 204, "autocommit", "json")


if __name__ == "__main__":
    main()
