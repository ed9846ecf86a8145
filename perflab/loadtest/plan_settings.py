"""The settings of a `LoadPlan` and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from perflab import provenance
from perflab.loadtest.records import secret_of
from perflab.loadtest.stages import Stage, written_stages
from perflab.loadtest.urls import Url
from perflab.notes import PYTHON, Note, written
from perflab.objectives import Objective, Objectives
from perflab.objectives.grammar import objective_of
from perflab.results import Result, Shown
from perflab.units import format_fraction, parse_duration, parse_fraction


@dataclass(frozen=True, repr=False)
class Settings(Result):
    """The parameters of `LoadPlan`, tidied, with the figures that follow from them."""

    locustfile: str | Path
    stages: Sequence[Stage] | Stage
    warmup: str | float = "10%"
    workers: int = 1
    remote_workers: int = 0
    master: str = "0.0.0.0:5557"
    token: str | None = field(default=None, repr=False, compare=False)
    worker_timeout: str | float = "60s"
    arrivals: str = "constant"
    user_classes: Sequence[str] | Mapping[str, float] = ()
    tags: Sequence[str] = ()
    exclude_tags: Sequence[str] = ()
    seed: int | None = None
    timeout: str | float = "10s"
    stop_timeout: str | float = "11s"
    arguments: Mapping[str, str | float | bool | Sequence[object] | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[Objective | str] = ()
    urls: Sequence[Url] = ()
    wait: str | float = 0.0
    request_ids: bool = True
    trace: bool = False
    response_headers: bool = False
    not_taken: tuple[Note, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        """Turn sequences into tuples, mappings into read-only ones, and texts into objectives."""

        def become(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        become("stages", (self.stages,) if isinstance(self.stages, Stage) else tuple(self.stages))
        become("arguments", MappingProxyType(dict(self.arguments)))
        become("headers", MappingProxyType({str(k): str(v) for k, v in self.headers.items()}))
        goals: Any = [self.objectives] if isinstance(self.objectives, (str, Objective)) else self.objectives
        goals = goals.complete("LoadPlan") if isinstance(goals, Objectives) else goals
        become("objectives", tuple(objective_of(goal) if isinstance(goal, str) else goal for goal in goals))
        for name in ("tags", "exclude_tags", "urls"):
            value = getattr(self, name)
            become(name, (value,) if isinstance(value, (str, Url)) else tuple(value))
        classes = self.user_classes
        if isinstance(classes, Mapping):
            become("user_classes", MappingProxyType(dict(classes)))
        else:
            become("user_classes", (classes,) if isinstance(classes, str) else tuple(classes))

    @property
    def secret(self) -> str:
        """The secret that remote workers must know."""
        return secret_of(self.token, "LoadPlan: token")

    def secrets(self, host: str = "") -> list[str]:
        """The values that neither Locust's output nor errors nor names may hold."""
        named = [self.headers, *(url.headers for url in self.urls), {k: str(v) for k, v in self.arguments.items()}]
        texts = [host, *(url.path for url in self.urls), *(url.body or "" for url in self.urls)]
        return provenance.secret_values(*named, texts=texts)

    @property
    def all_workers(self) -> int:
        """The number of workers here and on other machines."""
        return self.workers + self.remote_workers

    @cached_property
    def worker_timeout_s(self) -> float:
        return parse_duration(self.worker_timeout, parameter="LoadPlan: worker_timeout") / 1e3

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights of the user classes, where the plan sets them."""
        return self.user_classes if isinstance(self.user_classes, Mapping) else {}

    @property
    def goals(self) -> tuple[Objective, ...]:
        """The objectives, with texts parsed."""
        return self.objectives  # type: ignore[return-value]

    @property
    def is_open(self) -> bool:
        """Whether arrivals come at a rate, whatever the target does (open model)."""
        return self.all_stages[0].rate is not None

    @property
    def expected_arrivals(self) -> float | None:
        """The number of arrivals of an open plan (on average, if Poisson); None for a closed one."""
        if not self.is_open:
            return None
        total = before = 0.0
        for stage in self.all_stages:
            total += stage.duration_s * ((before + stage.amount) / 2 if stage.ramp else stage.amount)
            before = stage.amount
        return total

    @cached_property
    def duration_s(self) -> float:
        """The total length of all stages, in seconds."""
        return sum(stage.duration_s for stage in self.all_stages)

    @cached_property
    def timeout_s(self) -> float:
        return parse_duration(self.timeout, parameter="LoadPlan: timeout") / 1e3

    @cached_property
    def stop_timeout_s(self) -> float:
        return parse_duration(self.stop_timeout, parameter="LoadPlan: stop_timeout") / 1e3

    @cached_property
    def wait_s(self) -> float:
        return parse_duration(self.wait, parameter="LoadPlan: wait") / 1e3

    @cached_property
    def warmup_fraction(self) -> float:
        """The share of a run that counts as warm-up."""
        if (
            isinstance(self.warmup, str)
            and not self.warmup.strip().endswith("%")
            and self.warmup.strip()[-1:].isalpha()
        ):
            return parse_duration(self.warmup, parameter="LoadPlan: warmup") / 1e3 / self.duration_s
        return parse_fraction(self.warmup, parameter="LoadPlan: warmup")

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages as a tuple."""
        return self.stages  # type: ignore[return-value]

    def __str__(self) -> str:
        load = written_stages(self.all_stages) + (" (Poisson)" if self.is_open and self.arrivals == "poisson" else "")
        names = [f"{weight:g} {name}" for name, weight in self.weights.items()] or list(self.user_classes)
        who = f" ({', '.join(names)})" if names else ""
        what = ", ".join(url.label for url in self.urls[:5]) + (", …" if len(self.urls) > 5 else "")
        where = f" from {self.all_workers} workers" if self.all_workers > 1 else ""
        where += f", {self.remote_workers} of them on other machines" if self.remote_workers else ""
        return (
            f"{what or Path(self.locustfile).name}{who}: {load}{where}"
            + (f"; the first {format_fraction(self.warmup_fraction)} are warm-up" if self.warmup_fraction else "")
            + "".join(f"; stops unless {goal}" for goal in self.goals if goal.abort)
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The plan in one sentence."""
        return Shown(str(self), notes=written(self.not_taken, surface))
