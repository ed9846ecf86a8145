"""Experiments for the tests of the statistics: requests of runs whose metric is what the test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

import perflab as lab

START = pd.Timestamp("2026-11-24T01:45:00Z")
SECONDS = 30.0


def arm(
    levels: Sequence[float] | Mapping[str, Sequence[float]],
    *,
    count: int = 300,
    first: float = 0.0,
    step: float = 80.0,
    turn: float = 0.0,
    seed: int = 1,
    name: str = "run",
    paired: bool = True,
    errors: Sequence[float] | float = 0.0,
    seconds: float = SECONDS,
    shape: float = 0.2,
) -> pd.DataFrame:
    """Requests of one arm: a run for each level (by endpoint), the run's latencies lognormal around it.

    Every run's latencies are the same lognormal quantiles in a random order, so that its quantiles are the level times a
    constant, exactly: what differs between runs is the levels, and nothing else.
    """
    by_endpoint = levels if isinstance(levels, Mapping) else {"GET /": levels}
    random = np.random.default_rng(seed)
    normal = np.sort(np.random.default_rng(99).standard_normal(count))
    runs = len(next(iter(by_endpoint.values())))
    shares = np.broadcast_to(np.asarray(errors, dtype="float64"), runs)
    frames = []
    for endpoint, values in by_endpoint.items():
        for i, level in enumerate(values):
            at = (np.arange(count) + 0.5) / count * seconds
            failed = np.zeros(count, dtype=bool)
            failed[: round(shares[i] * count)] = True
            frames.append(
                pd.DataFrame(
                    {
                        "run": f"{name}{i}",
                        "endpoint": endpoint,
                        "start": START + pd.to_timedelta(at + first + i * step + turn * (i % 2), unit="s"),
                        "latency_ms": level * np.exp(shape * random.permutation(normal)),
                        "ok": ~random.permutation(failed),
                        **({"pair": i} if paired else {}),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def both(
    before: Sequence[float] | Mapping[str, Sequence[float]],
    after: Sequence[float] | Mapping[str, Sequence[float]],
    **options: object,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Interleaved runs of two arms, that take turns in being first."""
    return (
        arm(before, name="b", seed=1, turn=40.0, **options),  # type: ignore[arg-type]
        arm(after, name="c", seed=2, first=40.0, turn=-40.0, **options),  # type: ignore[arg-type]
    )


def steady(level: float, runs: int, sd: float = 0.03, seed: int = 0) -> list[float]:
    """Levels of runs with some luck of their own."""
    return (level * np.exp(sd * np.random.default_rng(seed).standard_normal(runs))).tolist()


def codes(change: lab.Change, code: str) -> list[dict[str, object]]:
    """The facts of the warnings of one kind."""
    return [dict(note.facts) for note in change.warnings if note.code == code]


def why(change: lab.Change, endpoint: str | None = None) -> str:
    """The code of the reason for a row's verdict."""
    return change.find(endpoint).reason_code


def measured(frame: pd.DataFrame, **columns: object) -> lab.Measurements:
    """Measurements with further columns in their runs table."""
    held = lab.Measurements.of(requests=frame)
    runs = held.runs.assign(**{k: v if isinstance(v, list) else [v] * len(held.runs) for k, v in columns.items()})
    return lab.Measurements.of(runs=runs, requests=held.requests)
