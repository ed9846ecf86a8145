"""The settings of a `PagePlan`: which pages a browser visits, what it does there, and over which network; data, not code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin

from perflab import provenance
from perflab.errors import one_of
from perflab.units import format_ms, format_number, parse_duration
from perflab.web.stripped import shown_page

CLICK, FILL, PRESS, WAIT, SCROLL = STEPS = ("click", "fill", "press", "wait", "scroll")
_WORDS = {CLICK: 2, FILL: 3, PRESS: 2, WAIT: 2, SCROLL: 2}
INTERACTIONS = (CLICK, FILL, PRESS)
"""The steps that are interactions in the sense of INP."""
NETWORKS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"3g": (2000, 400, 400), "slow 4g": (562.5, 1440, 675), "fast 4g": (165, 8100, 1350), "cable": (28, 5000, 1000)}
)
"""Latency of each request (ms), download and upload (kbit/s): Chromium's own presets, and WebPageTest's cable."""
_NETWORK_KEYS = ("latency_ms", "download_kbit_per_s", "upload_kbit_per_s")
Step = tuple[str, ...]


@dataclass(frozen=True, repr=False)
class PageSettings:
    """The parameters of `PagePlan`, checked, with what follows from them."""

    pages: str | Sequence[str] | Mapping[str, Sequence[Sequence[str]]]
    visits: int = 5
    network: str | Mapping[str, float] | None = None
    cpu: float = 1.0
    viewport: tuple[int, int] = (1280, 800)
    mobile: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: str | float = "30s"
    steps: Mapping[str, tuple[Step, ...]] = field(init=False)

    def __post_init__(self) -> None:
        pages = (self.pages,) if isinstance(self.pages, str) else self.pages
        steps = pages if isinstance(pages, Mapping) else dict.fromkeys(pages, ())
        if not steps:
            raise ValueError("PagePlan: pages must name at least one page; got none")
        object.__setattr__(self, "steps", MappingProxyType({_path(p): _steps(p, s) for p, s in steps.items()}))
        if not isinstance(self.visits, int) or isinstance(self.visits, bool) or self.visits < 1:
            raise ValueError(f"PagePlan: visits must be 1 or more; got {self.visits!r}")
        if not 1 <= self.cpu <= 100:
            raise ValueError(f"PagePlan: cpu must be how many times slower, from 1 to 100; got {self.cpu!r}")
        if len(self.viewport) != 2 or not all(isinstance(size, int) and 0 < size <= 10_000 for size in self.viewport):
            raise ValueError(f"PagePlan: viewport must be (width, height) in pixels; got {self.viewport!r}")
        if self.timeout_ms <= 0:
            raise ValueError(f"PagePlan: timeout must be longer than zero; got {self.timeout!r}")
        object.__setattr__(self, "viewport", tuple(self.viewport))
        object.__setattr__(self, "headers", MappingProxyType({str(k): str(v) for k, v in self.headers.items()}))
        _ = self.conditions

    @property
    def timeout_ms(self) -> float:
        """How long a page may take to load."""
        return parse_duration(self.timeout, parameter="PagePlan: timeout")

    @property
    def conditions(self) -> tuple[float, float, float] | None:
        """Latency (ms), download and upload (kbit/s); None where the network is not throttled."""
        if self.network is None:
            return None
        if isinstance(self.network, str):
            if self.network not in NETWORKS:
                raise one_of("PagePlan: network", self.network, NETWORKS)
            return NETWORKS[self.network]
        if unknown := [name for name in self.network if name not in _NETWORK_KEYS]:
            raise one_of("PagePlan: network", unknown[0], _NETWORK_KEYS)
        latency, download, upload = (float(self.network.get(name, 0.0)) for name in _NETWORK_KEYS)
        if min(latency, download, upload) < 0 or not self.network:
            raise ValueError(f"PagePlan: network must give positive numbers; got {dict(self.network)!r}")
        return latency, download, upload or download

    @property
    def throttling(self) -> str:
        """The network and the processor as one word, for the name of the generator."""
        network = "unthrottled" if self.conditions is None else "-".join(f"{v:g}" for v in self.conditions)
        return f"{network}/cpu-{self.cpu:g}"

    @property
    def expected_s(self) -> float:
        """About how long a run takes, for the display of progress only."""
        waits = sum(parse_duration(s[1]) / 1e3 for steps in self.steps.values() for s in steps if is_pause(s))
        return 2.0 + self.visits * (1.5 * len(self.steps) + waits)

    @property
    def labels(self) -> dict[str, str]:
        """The name of each page in tables: its path without what may be a secret, numbered where two are then the same."""
        found: dict[str, str] = {}
        for page in self.steps:
            label = shown_page(page)
            same = sum(shown_page(other) == label for other in found)
            found[page] = f"{label} ({same + 1})" if same else label
        return found

    def secrets(self) -> list[str]:
        """The values that nothing stored may hold: those of headers, and the texts that are typed."""
        typed = {f"secret-{i}": s[2] for i, steps in enumerate(self.steps.values()) for s in steps if s[0] == FILL}
        return provenance.secret_values({f"secret-{k}": v for k, v in self.headers.items()} | typed)

    def record(self) -> dict[str, Any]:
        """The plan as stored with each run; two runs of one plan have equal records."""
        labels = self.labels
        shown = {labels[page]: [_shown(step) for step in steps] for page, steps in self.steps.items()}
        secret = {"headers": dict(self.headers), "steps": {page: list(map(list, s)) for page, s in self.steps.items()}}
        return {
            "sentence": str(self),
            "pages": shown,
            "visits": self.visits,
            "network": self.conditions,
            "cpu": self.cpu,
            "viewport": list(self.viewport),
            "mobile": self.mobile,
            "headers": provenance.headers_of(self.headers),
            # Short, so that values cannot be guessed from it: it only tells two plans apart.
            "settings_sha256": provenance.sha256_of(secret)[:8],
            "warmup": 0.0,
        }

    def __repr__(self) -> str:
        return f"PagePlan({self})"  # what is typed, and headers, may be secrets

    def __str__(self) -> str:
        pages = f"{len(self.steps)} pages" if len(self.steps) > 1 else shown_page(next(iter(self.steps)))
        each = f"{self.visits} visit{'s' if self.visits != 1 else ''}{' each' if len(self.steps) > 1 else ''}"
        network = self.network if isinstance(self.network, str) else self._network_words()
        cpu = f"CPU {format_number(self.cpu)} times slower" if self.cpu != 1 else ""
        return ", ".join(filter(None, [pages, each, network, cpu, "mobile" if self.mobile else ""]))

    def _network_words(self) -> str:
        if self.conditions is None:
            return ""
        latency, download, _ = self.conditions
        rate = f"{format_number(download / 1e3)} Mbit/s" if download else "no limit"
        return f"{format_ms(latency)} and {rate}"


def is_pause(step: Step) -> bool:
    """Whether a step waits for a time, and not for an element."""
    return step[0] == WAIT and step[1][:1].isdigit()


def address(host: str, page: str) -> str:
    """The address of a page of a target."""
    return urljoin(host.rstrip("/") + "/", page.lstrip("/")) if "://" not in page else page


def _path(page: object) -> str:
    if not isinstance(page, str) or not page.strip():
        raise ValueError(f'PagePlan: pages must be paths like "/offers"; got {page!r}')
    if "://" in page or not page.startswith("/"):
        shown = provenance.without_credentials(page)
        raise ValueError(f'PagePlan: pages must be paths that start with "/", on the target\'s host; got {shown!r}')
    return page


def _steps(page: str, steps: Sequence[Sequence[str]]) -> tuple[Step, ...]:
    if isinstance(steps, str) or any(isinstance(step, str) for step in steps):
        raise ValueError(
            f'PagePlan: the steps of {page!r} must be a list of pairs like ("click", "#buy"); got {steps!r}'
        )
    return tuple(_step(page, tuple(map(str, step))) for step in steps)


def _step(page: str, step: Step) -> Step:
    if not step or step[0] not in STEPS:
        raise one_of(f"PagePlan: a step of {page!r}", step[0] if step else "", STEPS)
    if len(step) != _WORDS[step[0]] or not step[1].strip():
        need = '"selector", "text"' if step[0] == FILL else '"value"'
        shown = f"{len(step)} parts" if step[0] == FILL else repr(step)
        raise ValueError(f'PagePlan: a step of {page!r} must be ("{step[0]}", {need}); got {shown}')
    if is_pause(step):
        parse_duration(step[1], parameter=f"PagePlan: a wait of {page!r}")
    if step[0] == SCROLL and not step[1].lstrip("-").isdigit():
        raise ValueError(f'PagePlan: a scroll of {page!r} must be in pixels, like ("scroll", "800"); got {step[1]!r}')
    return step


def _shown(step: Step) -> list[str]:
    """A step without what is typed."""
    return [step[0], provenance.hidden(step[1]), "…"] if step[0] == FILL else [step[0], provenance.hidden(step[1])]
