"""A Grafana dashboard for objectives: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from perflab.objectives.indicators import Indicator, selector
from perflab.objectives.instruments import SERVER_ERRORS, Instruments
from perflab.objectives.rule_files import FRACTION, recorded

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 12, 8


def dashboard(indicators: Sequence[Indicator], meters: Instruments, service: str) -> dict[str, Any]:
    """The dashboard as Grafana imports it: traffic first, then a panel for each objective."""
    panels = _overview(meters) + [_panel(one, service) for one in indicators]
    for number, panel in enumerate(panels):
        place = {"x": _WIDTH * (number % 2), "y": _HEIGHT * (number // 2), "w": _WIDTH, "h": _HEIGHT}
        panel |= {"id": number + 1, "gridPos": place, "datasource": _SOURCE}
    variable = {
        "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "hide": 0, "refresh": 1,
        "regex": "", "multi": False, "includeAll": False, "skipUrlSync": False, "options": [], "current": {},
    }  # fmt: skip
    return {
        "title": f"Objectives of {service}",
        "uid": hashlib.sha256(service.encode()).hexdigest()[:12],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "tags": ["objectives", service],
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "refresh": "1m",
        "templating": {"list": [variable]},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def _overview(meters: Instruments) -> list[dict[str, Any]]:
    route = (meters.counted if meters.counter else meters.timed).route
    by = f" by ({route})" if route else ""
    legend = f"{{{{{route}}}}}" if route else "all requests"
    count = selector(meters.counter or f"{meters.histogram}_count", meters.own)
    found = [_series("Requests per second", f"sum{by} (rate({count}[5m]))", "reqps", legend)]
    if meters.counter and meters.status:
        bad = selector(meters.counter, meters.own, {meters.status: SERVER_ERRORS})
        found.append(
            _series(
                "Share of failed requests",
                f"sum(rate({bad}[5m])) / sum(rate({count}[5m]))",
                "percentunit",
                "all requests",
            )
        )
    return found


def _panel(one: Indicator, service: str) -> dict[str, Any]:
    if not one.budget:
        unit = {"bytes": "bytes", "cores": "short", "ms": "s"}.get(one.goal.unit, "short")
        return _series(str(one.goal), one.value, unit, one.goal.subject, limit=one.limit, about=one.about)
    windows = dict.fromkeys(window for burn in one.burns[:1] for window in (burn.short, burn.long))
    panel = _series(
        str(one.goal),
        "",
        "percentunit",
        "",
        limit=one.budget,
        about=f"Share of bad requests. {one.about}: objective missed.",
    )
    panel["targets"] = [
        _target(recorded(FRACTION + window, one, service), f"last {window}", chr(65 + n))
        for n, window in enumerate(windows)
    ]
    return panel


def _series(
    title: str, expression: str, unit: str, legend: str, *, limit: float | None = None, about: str = ""
) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10}
    if limit is not None:
        steps.append({"color": "red", "value": limit})
        custom["thresholdsStyle"] = {"mode": "line"}
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "targets": [_target(expression, legend, "A")],
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _target(expression: str, legend: str, name: str) -> dict[str, Any]:
    return {"refId": name, "expr": expression, "legendFormat": legend, "datasource": _SOURCE, "range": True}
