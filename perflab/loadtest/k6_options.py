"""k6's options as stages and objectives. What can't be honoured is a ValueError that names it.

https://grafana.com/docs/k6/latest/using-k6/k6-options/reference/, .../scenarios/executors/, .../thresholds/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perflab.loadtest.script_object import options_of
from perflab.objectives import Objective, from_thresholds
from perflab.units import parse_duration

_JUMP_S = 0.001
"""How long a jump takes: k6's stages may have no length at all."""
_WITHOUT_EFFECT = frozenset(
    {"summaryTrendStats", "summaryTimeUnit", "systemTags", "tags", "noUsageReport", "discardResponseBodies"}
    | {"setupTimeout", "teardownTimeout", "cloud", "ext", "httpDebug", "batch", "batchPerHost"}
)
"""Options that change neither the load nor what is asked for."""
_EXECUTORS = {
    "constant-vus": {"vus", "duration"},
    "ramping-vus": {"startVUs", "stages", "gracefulRampDown"},
    "constant-arrival-rate": {"rate", "duration", "timeUnit", "preAllocatedVUs", "maxVUs"},
    "ramping-arrival-rate": {"startRate", "stages", "timeUnit", "preAllocatedVUs", "maxVUs"},
}


@dataclass(frozen=True)
class Options:
    """What was understood: the arguments of each `Stage`, the objectives, and further arguments of `LoadPlan`."""

    stages: tuple[dict[str, Any], ...]
    objectives: tuple[Objective, ...]
    more: Mapping[str, Any] = field(default_factory=dict)


def parse_options(options: Mapping[str, Any] | str) -> Options:
    """Stages and objectives of k6's options: a mapping, JSON text, or a script."""
    if not isinstance(options, (str, Mapping)):
        raise ValueError(f"options must be a dict, JSON text or a k6 script; got {type(options).__name__}")
    given = {k: v for k, v in (options_of(options) if isinstance(options, str) else options).items() if v is not None}
    known = {"stages", "vus", "duration", "scenarios", "thresholds", "userAgent", "gracefulStop"}
    _only(given, known | _WITHOUT_EFFECT, "options")
    more: dict[str, Any] = {}
    if "scenarios" in given:
        _not_together(given, "scenarios", ("stages", "vus", "duration"))
        name, scenario = _single(given["scenarios"])
        stages, more = _scenario(scenario, f"options.scenarios.{name}")
    elif "stages" in given:
        _not_together(given, "stages", ("duration",))
        stages = _ramps(given["stages"], _whole(given.get("vus", 0), "options.vus"), "users", 1.0, "options.stages")
    elif "duration" in given:
        users = _whole(given.get("vus", 1), "options.vus")
        stages = [{"duration": _seconds(given["duration"], "options.duration"), "users": users}]
    else:
        raise ValueError("options: expected stages, scenarios, or duration (with vus); got none of them")
    if "gracefulStop" in given:
        more |= _patience(given["gracefulStop"], "options.gracefulStop")
    if "userAgent" in given:
        more["headers"] = {"User-Agent": str(given["userAgent"])}
    return Options(tuple(stages), _objectives(given.get("thresholds", {})), more)


def _single(scenarios: object) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(scenarios, Mapping) or not scenarios:
        raise ValueError(f"options.scenarios: expected scenarios by name; got {scenarios!r}")
    if len(scenarios) > 1:
        raise ValueError(
            f"options.scenarios: {', '.join(map(repr, scenarios))} run side by side in k6, and a plan has one load: "
            "make a plan of each"
        )
    name, scenario = next(iter(scenarios.items()))
    if not isinstance(scenario, Mapping):
        raise ValueError(f"options.scenarios.{name}: expected an object; got {scenario!r}")
    return str(name), scenario


def _scenario(given: Mapping[str, Any], where: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    executor = given.get("executor")
    if executor not in _EXECUTORS:
        raise ValueError(f"{where}.executor: perflab can do {', '.join(_EXECUTORS)}; got {executor!r}")
    _only(given, _EXECUTORS[executor] | {"executor", "gracefulStop", "tags", "startTime"}, where)
    if _seconds(given.get("startTime", 0), f"{where}.startTime"):
        raise ValueError(f"{where}.startTime: a plan begins at once; got {given['startTime']!r}")
    if "gracefulRampDown" in given:
        _patience(given["gracefulRampDown"], f"{where}.gracefulRampDown")
    more = _patience(given["gracefulStop"], f"{where}.gracefulStop") if "gracefulStop" in given else {}
    unit_s = _seconds(given.get("timeUnit", "1s"), f"{where}.timeUnit")
    if unit_s <= 0:
        raise ValueError(f"{where}.timeUnit: expected a duration above zero; got {given['timeUnit']!r}")
    if executor.startswith("ramping"):
        kind, first = ("users", "startVUs") if executor == "ramping-vus" else ("rate", "startRate")
        # k6 begins with one VU where nothing is said: one user for a moment, which is left out.
        start = _whole(given.get(first, 0), f"{where}.{first}")
        return _ramps(given.get("stages"), start, kind, unit_s if kind == "rate" else 1.0, f"{where}.stages"), more
    missing = [n for n in ("duration", *(("rate",) if executor == "constant-arrival-rate" else ())) if n not in given]
    if missing:
        raise ValueError(f"{where}: {executor} needs {' and '.join(missing)}")
    duration = _seconds(given["duration"], f"{where}.duration")
    if executor == "constant-vus":
        return [{"duration": duration, "users": _whole(given.get("vus", 1), f"{where}.vus")}], more
    return [{"duration": duration, "rate": _whole(given["rate"], f"{where}.rate") / unit_s}], more


def _ramps(stages: object, start: int, kind: str, unit_s: float, where: str) -> list[dict[str, Any]]:
    """k6's stages go to their target linearly; one that takes no time jumps there."""
    if not isinstance(stages, (list, tuple)) or not stages:
        raise ValueError(f"{where}: expected a list of {{duration, target}}; got {stages!r}")

    def load(target: int) -> int | float:
        return target if kind == "users" else target / unit_s

    found: list[dict[str, Any]] = []
    before = 0
    if start:
        found, before = [{"duration": _JUMP_S, kind: load(start)}], start
    for number, stage in enumerate(stages):
        place = f"{where}[{number}]"
        if not isinstance(stage, Mapping) or "duration" not in stage or "target" not in stage:
            raise ValueError(f"{place}: expected {{duration, target}}; got {stage!r}")
        _only(stage, {"duration", "target"}, place)
        duration = _seconds(stage["duration"], f"{place}.duration")
        target = _whole(stage["target"], f"{place}.target")
        ramp = bool(duration) and target != before
        if duration and not ramp and len(found) == 1 and found[0]["duration"] == _JUMP_S:
            found = []
        found.append({"duration": duration or _JUMP_S, kind: load(target), **({"ramp": True} if ramp else {})})
        before = target
    return found


def _patience(value: object, where: str) -> dict[str, Any]:
    seconds = _seconds(value, where)
    if seconds < 2:
        raise ValueError(f"{where}: {value!r} would cut off the slowest requests; perflab waits 2 s at least")
    return {"stop_timeout": seconds, "timeout": min(10.0, seconds - 1)}


def _objectives(given: object) -> tuple[Objective, ...]:
    if not isinstance(given, Mapping):
        raise ValueError(f"options.thresholds: expected lists by metric; got {given!r}")
    found = from_thresholds(given)
    if len(found.not_understood):
        lost = found.not_understood.iloc[0]
        raise ValueError(f"options.thresholds[{lost['where']!r}]: {lost['text']!r} can't be honoured: {lost['reason']}")
    return found.objectives


def _only(given: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise ValueError(f"{where}: can't be honoured: {', '.join(unknown)}; leave it out, or say it in the locustfile")


def _not_together(given: Mapping[str, Any], name: str, others: tuple[str, ...]) -> None:
    both = [other for other in others if other in given]
    if both:
        raise ValueError(f"options: {name} and {', '.join(both)} say the load twice; give one of them")


def _seconds(value: object, where: str) -> float:
    seconds = parse_duration(value, parameter=where, bare="ms") / 1e3  # type: ignore[arg-type]
    if seconds < 0:
        raise ValueError(f"{where}: expected a duration of 0 or more; got {value!r}")
    return seconds


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}: expected a whole number, 0 or more; got {value!r}")
    return value
