"""Generators of latencies for the simulations: whole runs as rows, in the order the requests were sent.

Two were used to choose the rules (ar1, mg1); the others are there to see that the rules hold on what they were not
chosen by. Every run is long-run identical: what differs between runs is added by the experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Floats = npt.NDArray[np.float64]
Generator = Callable[[np.random.Generator, int, int], Floats]


def ar1(random: np.random.Generator, runs: int, requests: int, *, phi: float = 0.7, sigma: float = 0.5) -> Floats:
    """Lognormal latencies whose logarithm is an AR(1) process, 1 % of them with a Pareto spike."""
    noise = random.standard_normal((runs, requests))
    noise[:, 1:] *= np.sqrt(1 - phi**2)
    level = lfilter([1.0], [1.0, -phi], noise, axis=1)
    spikes = np.where(random.random((runs, requests)) < 0.01, 1 + random.pareto(2.5, (runs, requests)), 1.0)
    return 50.0 * np.exp(sigma * level) * spikes


def queue(random: np.random.Generator, runs: int, requests: int, *, load: float, spread: float = 1.0) -> Floats:
    """Waiting and service in a queue with one server, Poisson arrivals and gamma service (M/G/1)."""
    warm = requests // 10
    count = requests + warm
    service = random.gamma(1 / spread**2, 10.0 * spread**2, (runs, count))
    gaps = random.exponential(10.0 / load, (runs, count))
    # Lindley: the wait is the walk of service minus gap above its running minimum.
    walk = np.cumsum(service[:, :-1] - gaps[:, 1:], axis=1)
    walk = np.concatenate([np.zeros((runs, 1)), walk], axis=1)
    waits = walk - np.minimum(np.minimum.accumulate(walk, axis=1), 0.0)
    return np.asarray((waits + service)[:, warm:])


def mg1(random: np.random.Generator, runs: int, requests: int) -> Floats:
    """A queue at load 0.7."""
    return queue(random, runs, requests, load=0.7)


def calm_queue(random: np.random.Generator, runs: int, requests: int) -> Floats:
    """A queue at load 0.4 with even service times."""
    return queue(random, runs, requests, load=0.4, spread=0.5)


def busy_queue(random: np.random.Generator, runs: int, requests: int) -> Floats:
    """A queue at load 0.9 with uneven service times: busy periods as long as much of the run."""
    return queue(random, runs, requests, load=0.9, spread=1.4)


def bimodal(random: np.random.Generator, runs: int, requests: int) -> Floats:
    """Cache hits at 2 ms and misses at 60 ms, the share of misses near p95 and wandering within the run."""
    drift = lfilter([1.0], [1.0, -0.995], 0.1 * random.standard_normal((runs, requests)), axis=1)
    miss = random.random((runs, requests)) < 0.08 * np.exp(0.3 * np.clip(drift, -3, 3))
    return np.where(miss, 60.0, 2.0) * np.exp(0.3 * random.standard_normal((runs, requests)))


def stalls(random: np.random.Generator, runs: int, requests: int) -> Floats:
    """Gamma latencies with rare pauses (garbage collection) that slow a hundred requests in a row."""
    values = random.gamma(3.0, 10.0, (runs, requests))
    paused = lfilter(np.ones(100), [1.0], random.random((runs, requests)) < 3e-4, axis=1) > 0
    return values + np.where(paused, 200.0 * random.random((runs, requests)), 0.0)


CHOSEN_BY: Mapping[str, Generator] = {"ar1": ar1, "mg1": mg1}
NOT_CHOSEN_BY: Mapping[str, Generator] = {
    "calm queue": calm_queue,
    "busy queue": busy_queue,
    "bimodal": bimodal,
    "stalls": stalls,
}
