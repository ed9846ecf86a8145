"""What load to offer: `LoadPlan`, made of `Stage`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from perflab import provenance
from perflab.units import format_fraction, format_ms, parse_duration, parse_fraction


@dataclass(frozen=True)
class Stage:
    """A stretch of time with a number of users.

    Parameters
    ----------
    duration : ``"30s"``, ``"2m"``, or a number of seconds.
    users : simulated users at its end (closed model: each waits for its answer before it goes on).
    ramp : go to ``users`` linearly from the stage before (from none, if it is the first), as k6's stages do;
        otherwise hold them from the beginning.
    spawn_rate : users started a second at the beginning of a hold; all within the first second if not given.

    >>> Stage("30s", users=50).duration_s
    30.0
    """

    duration: str | float
    users: int | None = None
    ramp: bool = False
    spawn_rate: float | None = None

    def __post_init__(self) -> None:
        if self.duration_s <= 0:
            raise ValueError(f"Stage: duration must be longer than zero; got {self.duration!r}")
        if self.users is None:
            raise ValueError("Stage: name the load, users=50; got none")
        if isinstance(self.users, bool) or not isinstance(self.users, int) or self.users < 0:
            raise ValueError(f"Stage: users must be a whole number, 0 or more; got {self.users!r}")
        if self.spawn_rate is not None and not (self.spawn_rate > 0 and math.isfinite(self.spawn_rate)):
            raise ValueError(f"Stage: spawn_rate must be above 0 users a second; got {self.spawn_rate!r}")
        if self.ramp and self.spawn_rate is not None:
            raise ValueError("Stage: a ramp has its own pace; give either ramp=True or spawn_rate")

    @cached_property
    def duration_s(self) -> float:
        return parse_duration(self.duration, parameter="Stage: duration") / 1e3

    def __str__(self) -> str:
        took = format_ms(self.duration_s * 1e3)
        people = f"{self.users} user" + ("s" if self.users != 1 else "")
        return f"to {people} over {took}" if self.ramp else f"{people} for {took}"


@dataclass(frozen=True)
class LoadPlan:
    """Who does what for how long: a locustfile and the stages of load to offer.

    Parameters
    ----------
    locustfile : path of the file with the user classes. Prefer FastHttpUser: it spends a quarter of the CPU.
    stages : the load over time. One stage or several.
    warmup : the share (``"10%"``) or length (``"5s"``) of each run that `compare` and `check` leave out. Nothing
        is deleted.
    workers : Locust processes that make the load; 1 is one process without a master.
    user_classes : names of the classes to use; all of the locustfile's if empty.
    tags, exclude_tags : Locust's tags.
    seed : seeds ``random`` in the generator, so that users draw the same choices in each run.
    timeout : how long a request may take before it is an error (for FastHttpUser classes that set none).
    stop_timeout : how long requests in flight may take to end when the run is over. It must be longer than
        ``timeout``: Locust's default of 0 throws the slowest requests away.
    arguments : further command-line arguments for a locustfile that defines some.

    >>> print(LoadPlan("locustfile.py", stages=[Stage("30s", users=50)]))
    locustfile.py: 50 users for 30 s; the first 10 % are warm-up
    """

    locustfile: str | Path
    stages: Sequence[Stage] | Stage
    warmup: str | float = "10%"
    workers: int = 1
    user_classes: Sequence[str] = ()
    tags: Sequence[str] = ()
    exclude_tags: Sequence[str] = ()
    seed: int | None = None
    timeout: str | float = "10s"
    stop_timeout: str | float = "11s"
    arguments: Mapping[str, str | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        stages = (self.stages,) if isinstance(self.stages, Stage) else tuple(self.stages)
        object.__setattr__(self, "stages", stages)
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))
        for name in ("user_classes", "tags", "exclude_tags"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        if not stages or not all(isinstance(stage, Stage) for stage in stages):
            raise ValueError(f"LoadPlan: stages must be one Stage or more; got {self.stages!r}")
        if max(stage.users or 0 for stage in stages) == 0:
            raise ValueError("LoadPlan: every stage has 0 users, so no request would be made")
        if not isinstance(self.workers, int) or isinstance(self.workers, bool) or self.workers < 1:
            raise ValueError(f"LoadPlan: workers must be 1 or more; got {self.workers!r}")
        if self.workers > 1:
            raise ValueError(f"LoadPlan: workers must be 1 for now; got {self.workers!r}")
        if not 0 < self.timeout_s < self.stop_timeout_s:
            raise ValueError(
                f"LoadPlan: stop_timeout ({self.stop_timeout!r}) must be longer than timeout ({self.timeout!r}), "
                "or the slowest requests are thrown away at the end of the run"
            )
        if not 0 <= self.warmup_fraction <= 0.9:
            raise ValueError(
                f"LoadPlan: warmup must be at most 90% of the run's {format_ms(self.duration_s * 1e3)}; got {self.warmup!r}"
            )

    @cached_property
    def duration_s(self) -> float:
        """Seconds of all stages together."""
        return sum(stage.duration_s for stage in self._stages)

    @cached_property
    def timeout_s(self) -> float:
        return parse_duration(self.timeout, parameter="LoadPlan: timeout") / 1e3

    @cached_property
    def stop_timeout_s(self) -> float:
        return parse_duration(self.stop_timeout, parameter="LoadPlan: stop_timeout") / 1e3

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
    def _stages(self) -> tuple[Stage, ...]:
        return self.stages  # type: ignore[return-value]

    def found_locustfile(self) -> Path:
        """The locustfile's absolute path; ValueError when there is no such file."""
        path = Path(self.locustfile).expanduser().resolve()
        if not path.is_file():
            raise ValueError(f"LoadPlan: locustfile must be an existing file; got {str(self.locustfile)!r}")
        return path

    def record(self) -> dict[str, Any]:
        """What is kept of the plan with each run; two runs of one plan have equal records."""
        path = self.found_locustfile()
        return {
            "sentence": str(self),
            "locustfile": path.name,
            "locustfile_sha256": provenance.sha256(path),
            "stages": [
                {"duration_s": s.duration_s, "users": s.users, "ramp": s.ramp, "spawn_rate": s.spawn_rate}
                for s in self._stages
            ],
            "duration_s": self.duration_s,
            "warmup": self.warmup_fraction,
            "workers": self.workers,
            "user_classes": list(self.user_classes),
            "tags": list(self.tags),
            "exclude_tags": list(self.exclude_tags),
            "seed": self.seed,
            "timeout_s": self.timeout_s,
            "stop_timeout_s": self.stop_timeout_s,
            "arguments": provenance.harmless({k: str(v) for k, v in self.arguments.items()}),
        }

    def __str__(self) -> str:
        load = ", then ".join(map(str, self._stages))
        who = f" ({', '.join(self.user_classes)})" if self.user_classes else ""
        where = f" from {self.workers} workers" if self.workers > 1 else ""
        return (
            f"{Path(self.locustfile).name}{who}: {load}{where}; "
            f"the first {format_fraction(self.warmup_fraction)} are warm-up"
        )
