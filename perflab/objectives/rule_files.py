"""The files of `monitoring_rules`: rules for Prometheus, unit tests for promtool, in YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perflab.objectives.indicators import Burn, Indicator

FEWEST_BAD = 5
"""An alert needs this many bad requests in its long window: one failure among three requests proves little."""
_PAGE, _TICKET = "page", "ticket"
_SHORTEST_PAGE = ("1h", "6h")
FRACTION, INCREASE = "objective:bad_requests:fraction_rate", "objective:bad_requests:increase"


def groups(
    indicators: Sequence[Indicator], watched: str, service: str, health: str = "", job: str = ""
) -> dict[str, Any]:
    """The rules of all objectives, and those of the service itself: is it up, healthy, and measured?"""
    records: list[dict[str, Any]] = []
    alerts: list[dict[str, Any]] = []
    for one in indicators:
        records += _records(one, service)
        alerts += _alerts(one, service)
    alerts += [
        {
            "alert": name,
            "expr": expression,
            "for": waits,
            "labels": {"severity": level, "service": service},
            "annotations": about,
        }
        for name, expression, waits, level, about in _own(watched, service, health, job)
    ]
    for alert in alerts:
        alert["annotations"] = {name: _literal(text) for name, text in alert["annotations"].items()}
    # One group, whose rules are evaluated in this order: an alert sees what was recorded just before.
    return {"groups": [{"name": f"{service}-objectives", "rules": [*records, *alerts]}]}


def _literal(text: str) -> str:
    """A text in which Prometheus' templates find nothing to fill in."""
    return text.replace("{{", '{{"{{"}}')


def _own(watched: str, service: str, health: str, job: str) -> list[tuple[str, str, str, str, dict[str, str]]]:
    """Alerts of the service itself: name, expression, how long, severity and annotations."""
    name = _camel(service)
    missing = f"{service} reports no {watched}, so that no objective is watched"
    found = [(f"{name}MetricsAbsent", f"absent({watched})", "15m", _TICKET, {"summary": missing})]
    if job:
        about = {"summary": f"{service} does not answer Prometheus"}
        found.append((f"{name}Down", f'up{{job="{job}"}} == 0', "2m", _PAGE, about))
    if job and health:
        about = {"summary": f"{service} does not answer {health}"}
        found.append((f"{name}Unhealthy", f'probe_success{{job="{job}-health"}} == 0', "2m", _PAGE, about))
    return found


def _records(one: Indicator, service: str) -> list[dict[str, Any]]:
    if not one.budget:
        return []
    windows = dict.fromkeys(window for burn in one.burns for window in (burn.short, burn.long))
    labels = {"objective": str(one.goal), "service": service}
    rules = [{"record": f"{FRACTION}{w}", "expr": one.bad_fraction(w), "labels": labels} for w in windows]
    longs = dict.fromkeys(burn.long for burn in one.burns)
    return [
        *rules,
        *({"record": f"{INCREASE}{w}", "expr": one.bad_of("increase", w), "labels": labels} for w in longs),
    ]


def severity(burn: Burn) -> str:
    """Whether a burn wakes someone up, or makes a ticket."""
    return _PAGE if burn.long in _SHORTEST_PAGE else _TICKET


def _alerts(one: Indicator, service: str) -> list[dict[str, Any]]:
    if not one.budget:
        return [
            _alert(
                one,
                service,
                f"{one.value} > {_number(one.limit)}",
                _TICKET,
                one.name,
                "10m" if one.limit != 0.5 else "0m",
            )
        ]
    found = []
    for level in (_PAGE, _TICKET):
        burns = [burn for burn in one.burns if severity(burn) == level]
        if burns:
            expression = "\nor\n".join(_condition(one, burn, service) for burn in burns)
            found.append(
                _alert(one, service, expression, level, alert_name(one, level), "2m" if level == _PAGE else "15m")
            )
    return found


def alert_name(one: Indicator, level: str) -> str:
    """The name of an alert: that of the objective, and how fast the budget burns."""
    return f"{one.name}BurnsFast" if level == _PAGE else f"{one.name}BurnsSlowly"


def recorded(name: str, one: Indicator, service: str) -> str:
    """A recorded series: services may have the same objectives, in one Prometheus."""
    values = {"objective": str(one.goal), "service": service}
    labels = ",".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in values.items())
    return f"{name}{{{labels}}}"


def _condition(one: Indicator, burn: Burn, service: str) -> str:
    limit = _number(burn.factor * one.budget)
    return (
        f"({recorded(FRACTION + burn.long, one, service)} > {limit}\n"
        f"  and {recorded(FRACTION + burn.short, one, service)} > {limit}\n"
        f"  and {recorded(INCREASE + burn.long, one, service)} >= {FEWEST_BAD})"
    )


def _alert(one: Indicator, service: str, expression: str, level: str, name: str, waits: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": name, "expr": expression}
    if waits != "0m":
        rule["for"] = waits
    labels = {"severity": level, "service": service}
    if not one.budget:
        labels["objective"] = str(one.goal)
    return rule | {"labels": labels, "annotations": {"summary": one.about, "description": f"Objective: {one.goal}"}}


# Unit tests for promtool

_PER_MINUTE = 6000.0
_FAR, _LONG = 0.1, 75
"""Distance of the tests' series from the boundary, and the minutes after which alerts are looked at."""


def tests(
    indicators: Sequence[Indicator], rules_file: str, watched: str, service: str, health: str = "", job: str = ""
) -> dict[str, Any]:
    """Unit tests: each alert fires under a series just beyond its boundary, and is silent under one just below."""
    found = [test for one in indicators for test in (_burning(one, service) if one.budget else _beyond(one, service))]
    found += [
        _test(
            f"{one.name}: silent when one of few requests is bad", _few(one), [_ask(_LONG, n, []) for n in _names(one)]
        )
        for one in [each for each in indicators if each.budget][:1]
    ]
    found += _own_tests(watched, service, health, job)
    return {"rule_files": [rules_file], "evaluation_interval": "15m", "tests": found}


def _own_tests(watched: str, service: str, health: str, job: str) -> list[dict[str, Any]]:
    up = [f'up{{job="{job}"}}', *([f'probe_success{{job="{job}-health"}}'] if health else [])] if job else []
    gone = [{"series": name, "values": "0x40"} for name in up]
    there = [{"series": name, "values": "1x40"} for name in up] + _rows({watched: 1.0})
    lost, sound = [], []
    for name, expression, _, level, about in _own(watched, service, health, job):
        label = re.search(r'job="([^"]*)"', expression)
        labels = {"severity": level, "service": service} | ({"job": label[1]} if label else {})
        lost.append(_ask(30, name, [{"exp_labels": labels, "exp_annotations": about}]))
        sound.append(_ask(30, name, []))
    return [
        _test(f"{service}: alerts when it is down", gone, lost),
        _test(f"{service}: silent when it is up", there, sound),
    ]


def _burning(one: Indicator, service: str) -> list[dict[str, Any]]:
    """Each alert on both sides of the burn rate from which it fires."""
    found = []
    for level in dict.fromkeys(map(severity, one.burns)):
        name = alert_name(one, level)
        at = one.budget * min(burn.factor for burn in one.burns if severity(burn) == level)
        made = _alert(one, service, "", level, name, "0m")
        expected = {"exp_labels": made["labels"] | {"objective": str(one.goal)}, "exp_annotations": made["annotations"]}
        beyond = _series(one, min(at * (1 + _FAR), (at + 1) / 2))
        found.append(_test(f"{name} fires under a burning series", beyond, [_ask(_LONG, name, [expected])]))
        silent = [_ask(_LONG, each, []) for each in _names(one) if at <= one.budget or each == name]
        found.append(_test(f"{name} is silent under a sound series", _series(one, at * (1 - _FAR)), silent))
    return found


def _names(one: Indicator) -> list[str]:
    return [alert_name(one, level) for level in dict.fromkeys(map(severity, one.burns))]


def _beyond(one: Indicator, service: str) -> list[dict[str, Any]]:
    made = _alert(one, service, "", _TICKET, one.name, "0m")
    expected = {"exp_labels": made["labels"], "exp_annotations": made["annotations"]}
    asked: tuple[tuple[float, list[dict[str, Any]], str], ...]
    asked = ((1 + _FAR, [expected], "fires beyond its limit"), (1 - _FAR, [], "is silent below its limit"))
    return [
        _test(f"{one.name} {what}", _values(one, part), [_ask(40, one.name, alerts)]) for part, alerts, what in asked
    ]


def _ask(minutes: int, name: str, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": alerts}


def _test(name: str, series: list[dict[str, str]], asked: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "interval": "1m", "input_series": series, "alert_rule_test": asked}


def _series(one: Indicator, share: float) -> list[dict[str, str]]:
    """Counters of a service with this share of bad requests."""
    bad, good = share * _PER_MINUTE, (1 - share) * _PER_MINUTE
    if len(one.bad) == 1:
        return _rows({_written(one.bad[0][1]): bad, _written(one.total, {_status(one): "200"}): good})
    return _rows({_written(one.total): _PER_MINUTE, _written(one.bad[1][1]): good})


def _few(one: Indicator) -> list[dict[str, str]]:
    """Three requests an hour, the last of which is bad."""

    def at(*minutes: int) -> str:
        values = [sum(m <= minute for m in minutes) for minute in range(91)]
        return " ".join(map(str, values))

    if len(one.bad) == 1:
        series = {_written(one.bad[0][1]): at(40), _written(one.total, {_status(one): "200"}): at(10, 25)}
    else:
        series = {_written(one.total): at(10, 25, 40), _written(one.bad[1][1]): at(10, 25)}
    return [{"series": name, "values": values} for name, values in series.items()]


def _values(one: Indicator, part: float) -> list[dict[str, str]]:
    """The series of a value at this part of its limit."""
    found: dict[str, float] = {}
    for name, role in (one.series or {}).items():
        if role == "value":
            return [{"series": name, "values": f"{_number(one.limit * part)}x60"}]
        if role == "rate":
            found[_written(name)] = one.limit * part * 60
        elif role == "sum":
            found[_written(name)] = one.limit * part * _PER_MINUTE
        elif role == "count":
            found[_written(name)] = _PER_MINUTE
        else:
            found[_written(name)] = _PER_MINUTE - (1.0 if part > 1 else 0.0)
    return _rows(found)


def _rows(counters: Mapping[str, float]) -> list[dict[str, str]]:
    return [{"series": name, "values": f"0+{_number(each)}x90"} for name, each in counters.items()]


def _status(one: Indicator) -> str:
    found = re.search(r'(\w+)=~"5\.\."', one.bad[0][1])
    return found[1] if found else "status"


def _written(selector: str, more: Mapping[str, str] | None = None) -> str:
    """A selector as the name of one series that it selects."""
    text = selector.replace('=~"5.."', '="503"')
    text = re.sub(r'le=~"(\d+)\(\\\\\.0\)\?"', r'le="\1.0"', text)
    extra = ",".join(f'{name}="{value}"' for name, value in (more or {}).items())
    if not extra:
        return text
    return f"{text[:-1]},{extra}}}" if text.endswith("}") else f"{text}{{{extra}}}"


def _number(value: float) -> str:
    return f"{value:.9g}"


def _camel(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", text)) or "Service"


# YAML


def yaml(value: Any, comment: str = "") -> str:
    """A value as YAML: blocks, and texts as in JSON, which is YAML too.

    >>> print(yaml({"groups": [{"name": "a", "rules": []}]}, "Made by hand."))
    # Made by hand.
    groups:
      - name: "a"
        rules: []
    <BLANKLINE>
    """
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping) and value:
        for key, held in value.items():
            yield from _entry(f"{key}:", held)
    elif isinstance(value, (list, tuple)) and value:
        for held in value:
            inner = list(_lines(held))
            yield f"- {inner[0]}"
            yield from (f"  {line}" for line in inner[1:])
    else:
        yield _scalar(value)


def _entry(key: str, held: Any) -> Iterable[str]:
    if isinstance(held, str) and "\n" in held:
        yield f"{key} |-"
        yield from (f"  {line}" for line in held.split("\n"))
    elif isinstance(held, (Mapping, list, tuple)) and held:
        yield key
        yield from (f"  {line}" for line in _lines(held))
    else:
        yield f"{key} {_scalar(held)}"


def _scalar(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
