"""k6's options as stages and objectives, with notes on what was not taken.

Options that change the load and are not supported raise one ValueError that names all of them, with what to do.

https://grafana.com/docs/k6/latest/using-k6/k6-options/reference/, .../scenarios/executors/, .../thresholds/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perflab.loadtest.script_object import INSPECT, Unresolved, options_of
from perflab.notes import DESIGN, YOU, Kind, Note
from perflab.objectives import Objective, from_thresholds
from perflab.units import parse_duration

_GIVE_STAGES = 'give stages=[Stage("30s", users=...)] to from_k6 instead'
_JUMP_S = 0.001
"""How long a jump takes: a k6 stage may have a duration of zero."""
_WITHOUT_EFFECT = (
    *(
        "summaryTrendStats",
        "summaryTimeUnit",
        "systemTags",
        "tags",
        "noUsageReport",
        "discardResponseBodies",
        "setupTimeout",
    ),
    *(
        "teardownTimeout",
        "cloud",
        "ext",
        "httpDebug",
        "batch",
        "batchPerHost",
        "throw",
        "insecureSkipTLSVerify",
        "noSetup",
    ),
    *("noTeardown", "noCookiesReset", "totalDuration", "maxVUs", "summaryMode", "linger", "noSummary"),
)
"""Options that affect neither the load nor the thresholds (or that k6 computed from others)."""
_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "noConnectionReuse": (False,), "noVUConnectionReuse": (False,), "paused": (False,), "rps": (0,), "executionSegment": (),
    "minIterationDuration": ("0s", 0, "0"), "executionSegmentSequence": (),
}  # fmt: skip
"""Options that would change the load, with the values that do not."""
_OF_THE_CLIENT = (
    *(
        "maxRedirects",
        "hosts",
        "dns",
        "blacklistIPs",
        "blockHostnames",
        "localIPs",
        "tlsAuth",
        "tlsCipherSuites",
        "tlsVersion",
    ),
    "minIterationDuration",
)
_LOAD = ("stages", "vus", "duration", "iterations", "scenarios")
_KNOWN = (*_LOAD, "thresholds", "userAgent", "gracefulStop", *_WITHOUT_EFFECT, *_DEFAULTS, *_OF_THE_CLIENT)
_BY_SMALL = {name.lower(): name for name in _KNOWN}
_EXECUTORS = {
    "constant-vus": {"vus", "duration"},
    "ramping-vus": {"startVUs", "stages", "gracefulRampDown"},
    "constant-arrival-rate": {"rate", "duration", "timeUnit", "preAllocatedVUs", "maxVUs"},
    "ramping-arrival-rate": {"startRate", "stages", "timeUnit", "preAllocatedVUs", "maxVUs"},
}
_OF_SCENARIOS = {"executor", "gracefulStop", "tags", "startTime", "exec", "env", "options"}

OPTION_NOT_TAKEN = Kind("k6-option-not-taken", DESIGN, "k6's option {name:raw} was not taken: {why:raw}")
THRESHOLD_NOT_TAKEN = Kind(
    "k6-threshold-not-taken", YOU, "the threshold {threshold:raw} on {metric:raw} was not taken: {why:raw}"
)


@dataclass(frozen=True)
class Options:
    """What was taken: the arguments of each `Stage`, the objectives, further arguments of `LoadPlan`; and notes on the rest."""

    stages: tuple[dict[str, Any], ...]
    objectives: tuple[Objective, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    function: str = ""
    """The function that the scenario names (``exec``); empty for the default one."""


class _Problems(list[str]):
    """Collects problems, so that a script with three is reported once."""

    def attempt(self, parse: Any, *arguments: Any) -> Any:
        try:
            return parse(*arguments)
        except ValueError as problem:
            self.append(str(problem))
            return None


def parse_options(options: Mapping[str, Any] | str, *, stages_given: bool = False) -> Options:
    """Stages and objectives from k6's options: a mapping, JSON text (as `k6 inspect` prints it), or a script.

    With ``stages_given`` the load in the options is not read.
    """
    if not isinstance(options, (str, Mapping)):
        raise ValueError(f"options must be a dict, JSON text or a k6 script; got {type(options).__name__}")
    raw = options_of(options) if isinstance(options, str) else options
    given = {_BY_SMALL.get(str(name).lower(), str(name)): value for name, value in raw.items()}
    given = {
        name: value
        for name, value in given.items()
        if not (value in (None, {}) if name == "scenarios" else _is_empty(value))
    }
    if "totalDuration" in given and any(name in given for name in ("stages", "duration")):
        # With its execution requirements k6 also prints the scenario that it made from these.
        given.pop("scenarios", None)
    problems, notes = _Problems(), list[Note]()
    _rest(given, problems, notes)
    stages: Any = []
    more: dict[str, Any] = {}
    if not stages_given:
        stages, more = problems.attempt(_load, given, problems, notes) or ([], {})
    if "gracefulStop" in given:
        more |= problems.attempt(_patience, given["gracefulStop"], "options.gracefulStop", notes) or {}
    if isinstance(given.get("userAgent"), str):
        more["headers"] = {"User-Agent": given["userAgent"]}
    goals = problems.attempt(_objectives, given.get("thresholds", {}), notes) or ()
    if problems:
        hint = f" ({INSPECT})" if isinstance(options, str) and any("resolve" in p for p in problems) else ""
        raise ValueError("\n".join([*dict.fromkeys(problems)]) + hint)
    return Options(tuple(stages), goals, more, tuple(notes), _function(given))


def _function(given: Mapping[str, Any]) -> str:
    scenarios = given.get("scenarios")
    named = (
        [s.get("exec") for s in scenarios.values() if isinstance(s, Mapping)] if isinstance(scenarios, Mapping) else []
    )
    return named[0] if len(named) == 1 and isinstance(named[0], str) and named[0] != "default" else ""


def _is_empty(value: object) -> bool:
    """Null, or an object of nulls only: how `k6 inspect` prints an option that was not given."""
    return value is None or (isinstance(value, Mapping) and all(_is_empty(each) for each in value.values()))


def _rest(given: Mapping[str, Any], problems: list[str], notes: list[Note]) -> None:
    """Check the options that are not the load: without effect, the client's, or unsupported."""
    for name, value in given.items():
        if name == "...":
            problems.append(f"options: can't resolve what {value} spreads")
        elif name in _DEFAULTS and value not in _DEFAULTS[name]:
            problems.append(
                f"options.{name}: not supported by a plan; got {_shown(value)}: leave it out, or do it in the locustfile"
            )
        elif name in _OF_THE_CLIENT and name not in _DEFAULTS and not (name == "maxRedirects" and value == 10):
            notes.append(OPTION_NOT_TAKEN(name=name, why="set it in the locustfile's client where it matters"))
        elif name not in _KNOWN:
            notes.append(OPTION_NOT_TAKEN(name=name, why="perflab does not know this k6 option"))


def _load(
    given: Mapping[str, Any], problems: _Problems, notes: list[Note]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    if "scenarios" in given:
        _not_together(given, "scenarios", ("stages", "vus", "duration", "iterations"))
        name, scenario = _single(given["scenarios"])
        return _scenario(scenario, f"options.scenarios.{name}", problems, notes)
    if "iterations" in given:
        raise ValueError(
            f"options.iterations: a plan has a duration, not {given['iterations']} iterations: {_GIVE_STAGES}"
        )
    if "stages" in given:
        _not_together(given, "stages", ("duration",))
        users = problems.attempt(_whole, given.get("vus", 0), "options.vus") or 0
        return _ramps(given["stages"], users, "users", 1.0, "options.stages"), {}
    if "duration" in given:
        users = problems.attempt(_whole, given.get("vus", 1), "options.vus")
        return [{"duration": _seconds(given["duration"], "options.duration"), "users": users}], {}
    raise ValueError(
        'options: expected stages, scenarios, or duration (with vus); got none of them: give stages=[Stage("30s", users=...)]'
    )


def _single(scenarios: object) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(scenarios, Mapping) or not scenarios:
        raise ValueError(f"options.scenarios: expected scenarios by name; got {_shown(scenarios)}")
    if len(scenarios) > 1:
        raise ValueError(
            f"options.scenarios: {', '.join(map(repr, scenarios))} run concurrently in k6, and a plan has one load: "
            "make a plan of each"
        )
    name, scenario = next(iter(scenarios.items()))
    if not isinstance(scenario, Mapping):
        raise ValueError(f"options.scenarios.{name}: expected an object; got {_shown(scenario)}")
    own = {key.lower(): key for key in (*_OF_SCENARIOS, *(key for keys in _EXECUTORS.values() for key in keys))}
    return str(name), {
        own.get(str(key).lower(), str(key)): value for key, value in scenario.items() if not _is_empty(value)
    }


def _scenario(
    given: Mapping[str, Any], where: str, problems: _Problems, notes: list[Note]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    executor = given.get("executor")
    if executor not in _EXECUTORS:
        way = ': give stages=[Stage("30s", users=...)] to from_k6 instead' if "iterations" in str(executor) else ""
        raise ValueError(f"{where}.executor: perflab can do {', '.join(_EXECUTORS)}; got {_shown(executor)}{way}")
    for name, value in given.items():
        if name in ("exec", "env", "options", "startTime") and value not in ("0s", 0):
            notes.append(OPTION_NOT_TAKEN(name=f"{where.removeprefix('options.')}.{name}", why=_WHY[name]))
        elif name not in _EXECUTORS[executor] | _OF_SCENARIOS:
            problems.append(f"{where}.{name}: not an option of {executor}")
    more = (
        problems.attempt(_patience, given["gracefulStop"], f"{where}.gracefulStop", notes)
        if "gracefulStop" in given
        else {}
    )
    unit_s = _seconds(given.get("timeUnit", "1s"), f"{where}.timeUnit")
    if unit_s <= 0:
        raise ValueError(f"{where}.timeUnit: expected a duration above zero; got {_shown(given['timeUnit'])}")
    if executor.startswith("ramping"):
        kind, first = ("users", "startVUs") if executor == "ramping-vus" else ("rate", "startRate")
        # By default k6 starts with one VU for a moment, which is left out.
        start = problems.attempt(_whole, given.get(first, 0), f"{where}.{first}") or 0
        stages = _ramps(given.get("stages"), start, kind, unit_s if kind == "rate" else 1.0, f"{where}.stages")
        return stages, more or {}
    missing = [n for n in ("duration", *(("rate",) if executor == "constant-arrival-rate" else ())) if n not in given]
    if missing:
        raise ValueError(f"{where}: {executor} needs {' and '.join(missing)}")
    kind, amount = ("users", given.get("vus", 1)) if executor == "constant-vus" else ("rate", given["rate"])
    number = problems.attempt(_whole, amount, f"{where}.{'vus' if kind == 'users' else 'rate'}") or 0
    duration = _seconds(given["duration"], f"{where}.duration")
    return [{"duration": duration, kind: number if kind == "users" else number / unit_s}], more or {}


_WHY = {
    "exec": "what the users do is in the locustfile",
    "env": "give arguments= to the plan where the locustfile needs them",
    "options": "a plan does not drive browsers",
    "startTime": "a plan starts at once",
}


def _ramps(stages: object, start: int, kind: str, unit_s: float, where: str) -> list[dict[str, Any]]:
    """k6's stages ramp linearly to their target; one without a duration jumps there."""
    if not isinstance(stages, (list, tuple)) or not stages:
        raise ValueError(f"{where}: expected a list of {{duration, target}}; got {_shown(stages)}")

    def load(target: int) -> int | float:
        return target if kind == "users" else target / unit_s

    found: list[dict[str, Any]] = []
    problems = _Problems()
    before = 0
    if start:
        found, before = [{"duration": _JUMP_S, kind: load(start)}], start
    for number, stage in enumerate(stages):
        place = f"{where}[{number}]"
        if not isinstance(stage, Mapping) or "target" not in stage:
            problems.append(f"{place}: expected {{duration, target}}; got {_shown(stage)}")
            continue
        if unknown := [str(name) for name in stage if name not in ("duration", "target")]:
            problems.append(f"{place}: expected duration and target; got {', '.join(unknown)} too")
        duration = problems.attempt(_seconds, stage.get("duration") or 0, f"{place}.duration") or 0
        target = problems.attempt(_whole, stage["target"], f"{place}.target") or 0
        ramp = bool(duration) and target != before
        if duration and not ramp and len(found) == 1 and found[0]["duration"] == _JUMP_S:
            found = []
        found.append({"duration": duration or _JUMP_S, kind: load(target), **({"ramp": True} if ramp else {})})
        before = target
    if problems:
        raise ValueError("\n".join(problems))
    return found


def _patience(value: object, where: str, notes: list[Note]) -> dict[str, Any]:
    seconds = _seconds(value, where)
    if seconds < 2:
        name = where.removeprefix("options.")
        notes.append(OPTION_NOT_TAKEN(name=name, why=f"{_shown(value)} would cut off the slowest requests"))
        return {}
    return {"stop_timeout": seconds, "timeout": min(10.0, seconds - 1)}


def _objectives(given: object, notes: list[Note]) -> tuple[Objective, ...]:
    if not isinstance(given, Mapping):
        raise ValueError(f"options.thresholds: expected lists by metric; got {_shown(given)}")
    found = from_thresholds(given)
    for lost in found.not_understood.itertuples():
        notes.append(THRESHOLD_NOT_TAKEN(metric=lost.where, threshold=lost.text, why=lost.reason))
    return found.objectives


def _not_together(given: Mapping[str, Any], name: str, others: tuple[str, ...]) -> None:
    both = [other for other in others if other in given]
    if both:
        raise ValueError(f"options: {name} and {', '.join(both)} both define the load; give one of them")


def _seconds(value: object, where: str) -> float:
    if isinstance(value, Unresolved):
        raise ValueError(f"{where}: can't resolve {value} without running the script")
    seconds = parse_duration(value, parameter=where, bare="ms") / 1e3  # type: ignore[arg-type]
    if seconds < 0:
        raise ValueError(f"{where}: expected a duration of 0 or more; got {value!r}")
    return seconds


def _whole(value: object, where: str) -> int:
    if isinstance(value, Unresolved):
        raise ValueError(f"{where}: can't resolve {value} without running the script")
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}: expected a whole number, 0 or more; got {value!r}")
    return value


def _shown(value: object) -> str:
    return (
        f"{value}, which can't be resolved without running the script" if isinstance(value, Unresolved) else repr(value)
    )
