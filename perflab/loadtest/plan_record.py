"""A plan as it is stored with each run, without secrets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perflab import provenance
from perflab.loadtest.plan_settings import Settings


def record_of(plan: Settings, path: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The plan as stored with each run; two runs of one plan have equal records."""
    return {
        "sentence": str(plan),
        "locustfile": path.name,
        "locustfile_sha256": provenance.sha256(path)
        if path.is_file()
        else provenance.sha256_of({str(file.relative_to(path)): provenance.sha256(file) for file in files}),
        "stages": [
            {
                "duration_s": s.duration_s,
                "users": s.users,
                "rate": s.rate,
                "ramp": s.ramp,
                "spawn_rate": s.spawn_rate,
            }
            for s in plan.all_stages
        ],
        "duration_s": plan.duration_s,
        "warmup": plan.warmup_fraction,
        "workers": plan.workers,
        "remote_workers": plan.remote_workers,
        "arrivals": plan.arrivals if plan.is_open else None,
        "user_classes": list(plan.user_classes),
        "tags": list(plan.tags),
        "exclude_tags": list(plan.exclude_tags),
        "seed": plan.seed,
        "timeout_s": plan.timeout_s,
        "stop_timeout_s": plan.stop_timeout_s,
        "arguments": provenance.harmless({k: str(v) for k, v in plan.arguments.items()}),
        **_what_is_rare(plan),
    }


def _what_is_rare(plan: Settings) -> dict[str, Any]:
    """The rare settings, only where given, so that records of other plans equal those of earlier versions."""
    urls = [
        {**url.settings(), "headers": provenance.headers_of(url.headers), "body": len(url.body or "")}
        | {
            "name": provenance.hidden(url.label),
            "contains": provenance.hidden(url.contains) if url.contains else None,
        }
        | {"checks": [provenance.hidden(each) for each in url.checks]}
        | {"path": provenance.without_credentials(f"http://any{url.path}").removeprefix("http://any")}
        for url in plan.urls
    ]
    found = {
        "weights": dict(plan.weights),
        "headers": provenance.headers_of(plan.headers),
        # Short, so that values cannot be guessed from it: it only tells two plans apart.
        "headers_sha256": provenance.sha256_of(dict(plan.headers))[:8] if plan.headers else None,
        "objectives": [provenance.hidden(f"{goal}{' (ends the run)' if goal.abort else ''}") for goal in plan.goals],
        "urls": urls,
        "urls_sha256": provenance.sha256_of([url.settings() for url in plan.urls]) if urls else None,
        "wait_s": plan.wait_s,
        "without_request_ids": not plan.request_ids,
        "trace": plan.trace,
    }
    return {name: value for name, value in found.items() if value}
