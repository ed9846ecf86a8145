"""The load to offer: `LoadPlan`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perflab.errors import LoadTestError
from perflab.loadtest import checking_locustfile, k6_locustfile, traffic_locustfile, traffic_plan
from perflab.loadtest.k6_options import parse_options
from perflab.loadtest.plan_limits import must_be_possible
from perflab.loadtest.plan_record import record_of
from perflab.loadtest.plan_settings import Settings
from perflab.loadtest.stages import Stage
from perflab.loadtest.traffic import Traffic, read_traffic
from perflab.loadtest.urls import Url

_URL_USERS = Path(__file__).with_name("url_users.py")


@dataclass(frozen=True, repr=False)
class LoadPlan(Settings):
    """A load test: a locustfile and the stages of load to offer.

    Parameters
    ----------
    locustfile : str | Path
        The file with the user classes, or a folder of such files. Prefer FastHttpUser: it needs a quarter of the CPU.
    stages : Sequence[Stage] | Stage
        The load over time, in one or more stages.
    warmup : str | float
        The share (``"10%"``) or length (``"5s"``) of each run that `compare` and `check` leave out. Nothing is
        deleted.
    workers : int
        Locust processes that generate the load; 1 is one process without a master, N a master and N workers.
    remote_workers : int
        Further workers on other machines, each started there by ``perflab worker --master HOST locustfile.py``; with
        some, ``workers`` may be 0. They send their records with Locust's own reports.
    master : str
        The address and port at which the master listens for remote workers (it also uses the next port).
    token : str | None
        The secret that remote workers must also give (``perflab worker --token``); by default the variable PERFLAB_TOKEN.
        It encrypts the traffic between master and workers (ZeroMQ CURVE), and is never stored.
    worker_timeout : str | float
        How long to wait for all workers before the run starts.
    arrivals : str
        "constant" (evenly spaced) or "poisson" (as from many independent users), for stages with a rate.
    user_classes : Sequence[str] | Mapping[str, float]
        Names of the user classes, or a mapping of name to weight (``{"Visitor": 9, "Buyer": 1}``); by default all of
        the locustfile's, with their own weights.
    tags, exclude_tags : Sequence[str]
        Locust's tags.
    seed : int | None
        Seeds ``random`` in the generator, so that users draw the same choices in each run.
    timeout : str | float
        The timeout of a request of HttpUser or FastHttpUser, where the locustfile sets none.
    stop_timeout : str | float
        How long requests in flight may take after the end of the run. It must be longer than ``timeout``: Locust's
        default of 0 drops the slowest requests.
    arguments : Mapping[str, str | float | bool | None | Sequence[object]]
        Further command-line arguments, for a locustfile that defines some; True or None is a bare flag, False omits it,
        a list gives several values.
    headers : Mapping[str, str]
        Headers of each request, unless the locustfile sets them itself. (The host is the target's.)
    objectives : Sequence[Objective | str]
        What the target must meet (`Objective`, or texts like ``"p95 < 500ms"``), for ``check(run, plan.objectives)``.
        One with ``abort=True`` ends a run as soon as it fails (after its ``delay_ms``).
    request_ids : bool
        Send an id, the time and the endpoint's name with each request to the target, so that recorded statements, profiles
        and components can be joined to requests. A request with its own id, or with a signature, is sent unchanged.
    trace : bool
        Also send `traceparent`, which turns on the target's tracing.
    response_headers : bool
        Keep the response headers that caches and compression depend on, once for each endpoint and kind of answer, for
        `audit_exchanges`.
    urls, wait
        See `LoadPlan.from_urls`.

    >>> print(LoadPlan("locustfile.py", stages=[Stage("30s", users=50)]))
    locustfile.py: 50 users for 30 s; the first 10 % are warm-up
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        must_be_possible(self)

    @classmethod
    def from_urls(
        cls, urls: Sequence[Url | str] | Url | str, *, stages: Sequence[Stage] | Stage, **options: Any
    ) -> LoadPlan:
        """Make a plan without a locustfile: paths with their weights and checks.

        Parameters
        ----------
        urls : Sequence[Url | str] | Url | str
            `Url` objects, or paths ("/orders").
        stages : Sequence[Stage] | Stage
            As in `LoadPlan`.
        **options
            ``wait`` is the time a user waits between a response and its next request (0 by default); the rest as in
            `LoadPlan`.

        >>> plan = LoadPlan.from_urls([Url("/orders", weight=9), "/health"], stages=Stage("30s", users=10))
        >>> print(plan)
        /orders, /health: 10 users for 30 s; the first 10 % are warm-up
        """
        listed = [urls] if isinstance(urls, (str, Url)) else list(urls)
        asked = [Url(url) if isinstance(url, str) else url for url in listed]
        if not asked:
            raise ValueError("LoadPlan: urls must be one address or more; got none")
        return cls(_URL_USERS, stages=stages, urls=asked, **options)

    @classmethod
    def from_k6(
        cls, locustfile: str | Path, options: Mapping[str, Any] | str, *, write_locustfile: bool = False, **more: Any
    ) -> LoadPlan:
        """Make a plan with the load of a k6 script's options.

        Parameters
        ----------
        locustfile : str | Path
            As in `LoadPlan`: what the users do.
        options : Mapping[str, Any] | str
            k6's ``options`` as a dict, as JSON text, or the text of a script with ``export const options = {...}``.
            Taken are ``stages``, ``vus`` and ``duration``, one of ``scenarios`` (constant-vus, ramping-vus,
            constant-arrival-rate, ramping-arrival-rate) and ``thresholds``, which become ``objectives``. Anything else that
            changes the load raises a ValueError that names it; the rest is listed in the plan's ``not_taken``. For scripts
            that compute their options: ``k6 inspect script.js > options.json``.
        write_locustfile : bool
            Write ``locustfile`` from the script: its literal requests, groups, checks and sleeps. Statements that would have
            to be executed become comments, and are listed in ``not_taken``. An existing file that differs is not replaced.
        **more
            Further parameters of `LoadPlan`.

        >>> print(LoadPlan.from_k6("users.py", "export const options = { vus: 10, duration: '30s' };"))
        users.py: 10 users for 30 s; the first 10 % are warm-up
        """
        parsed = parse_options(options, stages_given="stages" in more)
        stages = [Stage(**stage) for stage in parsed.stages]
        script = options if isinstance(options, str) and not options.lstrip().startswith("{") else ""
        if write_locustfile and not script:
            raise ValueError("LoadPlan.from_k6: write_locustfile needs the text of a k6 script; got its options only")
        path = Path(locustfile)
        notes = (
            k6_locustfile.write(path, script, parsed.function)
            if write_locustfile
            else k6_locustfile.not_written(script)
        )
        found = {"stages": stages, "objectives": parsed.objectives, "not_taken": (*parsed.notes, *notes)}
        return cls(locustfile, **{**found, **parsed.more, **more})

    @classmethod
    def from_access_log(
        cls,
        path: str | Path | Iterable[str | Path] | Traffic,
        locustfile: str | Path = "production.py",
        *,
        methods: Collection[str] = traffic_locustfile.SAFE,
        routes: Sequence[str] = (),
        length: str | float | None = None,
        scale: float = 1.0,
        **options: Any,
    ) -> LoadPlan:
        """Make a plan that repeats production's traffic: its endpoints, their mix, and the arrivals of each minute.

        Parameters
        ----------
        path : str | Path | Iterable[str | Path] | Traffic
            Access logs, as for `perflab.loadtest.read_traffic`, or its result.
        locustfile : str | Path
            The locustfile to write; an existing one that differs is not replaced.
        methods : Collection[str]
            Methods to repeat; by default those that change no data.
        routes : Sequence[str]
            As for `perflab.loadtest.read_traffic`.
        length : str | float | None
            Take the busiest part of this length, ``"30m"``; by default the whole log.
        scale : float
            Multiplies the arrival rates; 2 is twice production's traffic.
        **options
            Further parameters of `LoadPlan`.

        >>> plan = LoadPlan.from_access_log("access.log", "production.py", length="10m")      # doctest: +SKIP
        """
        traffic = path if isinstance(path, Traffic) else read_traffic(path, routes=routes)
        found = traffic_plan.from_traffic(traffic, Path(locustfile), methods=methods, length=length, scale=scale)
        known = {"stages": found.stages, "arrivals": found.arrivals, "not_taken": found.notes}
        return cls(locustfile, **{**known, **options})

    @classmethod
    def from_har(
        cls,
        path: str | Path,
        locustfile: str | Path = "visit.py",
        *,
        stages: Sequence[Stage] | Stage,
        methods: Collection[str] = traffic_locustfile.SAFE,
        host: str = "",
        **options: Any,
    ) -> LoadPlan:
        """Make a plan that repeats a visit that a browser recorded (HAR), with its pauses and parallel requests.

        Parameters
        ----------
        path : str | Path
            The HAR file. Its headers, cookies and secrets are left out.
        locustfile, methods
            As for `from_access_log`.
        stages : Sequence[Stage] | Stage
            As in `LoadPlan`.
        host : str
            The host whose requests are repeated; by default that of the first request. Others are left out.
        **options
            Further parameters of `LoadPlan`.

        >>> LoadPlan.from_har("visit.har", stages=Stage("1m", users=20))                      # doctest: +SKIP
        """
        notes = traffic_plan.from_har(Path(path), Path(locustfile), methods=methods, host=host)
        return cls(locustfile, stages=stages, **{"not_taken": notes, **options})

    def found_locustfile(self) -> Path:
        """The absolute path of the locustfile, or of the folder of locustfiles.

        ValueError if it does not exist, LoadTestError if it is not valid Python.
        """
        path = Path(self.locustfile).expanduser().resolve()
        files = _files(path)
        if not files:
            raise ValueError(
                f"LoadPlan: locustfile must be an existing file, or a folder with some; got {str(self.locustfile)!r}"
            )
        for file in files:
            if report := checking_locustfile.misspelt(str(file)):
                error, cause = checking_locustfile.parts(report)
                raise LoadTestError(error, output=cause)
        return path

    def record(self) -> dict[str, Any]:
        """The plan as stored with each run; two runs of one plan have equal records."""
        path = self.found_locustfile()
        return record_of(self, path, _files(path))


def _files(path: Path) -> list[Path]:
    """The locustfile, or those of a folder, all of which Locust loads."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*.py") if not file.name.startswith((".", "_")))
    return [path] if path.is_file() else []
