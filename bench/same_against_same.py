"""A/A with the real thing: the shop against itself in six randomised pairs, five times, every verdict reported.

Nothing was changed, so two or more directional verdicts on Aggregated would be a defect of the decision. Takes about
ten minutes: ``make aa``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import perflab as lab
from perflab.demo.investigation import LOCUSTFILE, USERS, shop

REPEATS, PAIRS, SECONDS = 5, 6, 8.0


def main() -> int:
    plan = lab.LoadPlan(LOCUSTFILE, stages=[lab.Stage(SECONDS, users=USERS)], seed=1)
    directional = 0
    for repeat in range(REPEATS):
        with tempfile.TemporaryDirectory(prefix="perflab-aa-") as folder:
            before, after = lab.run_pairs(
                plan,
                shop("first"),
                shop("second"),
                pairs=PAIRS,
                seed=repeat,
                store=Path(folder) / "runs",
                progress=False,
            )
            change = lab.compare(before, after)
            orders = change.table.set_index("endpoint").loc["GET /orders"]
        directional += change.verdict in ("improved", "regressed")
        print(f"{repeat + 1}: {change.sentence}\n   GET /orders: {orders['verdict']}", flush=True)
    print(f"{directional} of {REPEATS} verdicts on Aggregated are directional (two or more would be a defect)")
    return int(directional >= 2)


if __name__ == "__main__":
    raise SystemExit(main())
