"""`run_lighthouse`: several Lighthouse runs of one page, as runs whose vitals can be summarized and compared."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from perflab import provenance
from perflab.data import store as stores
from perflab.data.tables import Measurements
from perflab.errors import FormatError, LoadTestError, one_of
from perflab.formats import lighthouse
from perflab.loadtest.serving import Services
from perflab.loadtest.target import Target
from perflab.notes import GENERATOR, Kind, Note
from perflab.progress import Progress
from perflab.units import parse_duration
from perflab.web.stripped import shown_url

METHODS = ("simulate", "devtools", "provided")
FORMS = ("mobile", "desktop")
RUN_FAILED = Kind("lighthouse-run-failed", GENERATOR, "run {number} of {runs} failed and is left out: {problem:raw}")
_ENDING_S = 5.0
_USUAL_S = 20.0


def run_lighthouse(
    target: Target | str,
    path: str = "/",
    *,
    runs: int = 5,
    form: str = "mobile",
    throttling: str = "simulate",
    store: str | Path = "runs",
    program: str | Sequence[str] = "lighthouse",
    timeout: str | float = "3m",
    progress: bool = True,
) -> Measurements:
    """Run Lighthouse several times on a page, each time with a browser of its own.

    Lighthouse's times differ by 20 % between runs of the same code: read the medians (`web.summarize_vitals`), and compare arms
    with 5 runs or more of each. It needs Node.js and Chromium: ``npm install -g lighthouse`` (version 13 needs Node 22.19).

    Parameters
    ----------
    target : Target or str
        A target, or an address ("http://127.0.0.1:8001").
    path : str
        The page.
    runs : int
        How many runs.
    form : str
        "mobile" or "desktop": screen, network and CPU as Lighthouse's presets.
    throttling : str
        "simulate" (computed from an unthrottled load), "devtools" (a throttled load), or "provided" (none).
    store : str or Path
        The folder in which the runs are kept.
    program : str or Sequence[str]
        Lighthouse's command, as "lighthouse" or ``["node", "node_modules/lighthouse/cli/index.js"]``.
    timeout : str or float
        How long one run may take.
    progress : bool
        Whether to show how far it is.

    Returns
    -------
    Measurements
        With ``vitals`` and ``advice``. Version, browser and settings are the generator: others are never compared with them.
        Runs that were completed stay in the store after an interruption.

    Raises
    ------
    LoadTestError
        Lighthouse is not installed, or no run succeeded.
    ValueError
        An option is none of those listed.

    Examples
    --------
    >>> before = lab.run_lighthouse(lab.Target("png", "http://127.0.0.1:8001"), "/", runs=5)  # doctest: +SKIP
    >>> lab.web.summarize_vitals(before)  # doctest: +SKIP
    """
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
        raise ValueError(f"runs must be 1 or more; got {runs!r}")
    for name, value, options in (("form", form, FORMS), ("throttling", throttling, METHODS)):
        if value not in options:
            raise one_of(name, value, options)
    limit_s = parse_duration(timeout, parameter="timeout") / 1e3
    command = _command(program, form, throttling)
    page = Target("lighthouse", host=target) if isinstance(target, str) else target
    url, kept, failed = urljoin(page.host.rstrip("/") + "/", path.lstrip("/")), list[Path](), list[Note]()
    with (
        tempfile.TemporaryDirectory(prefix="perflab-lighthouse-") as place,
        closing(Services()) as services,
        Progress(runs * _USUAL_S, f"Lighthouse on {shown_url(url)}", shown=progress) as shown,
    ):
        folder = Path(place)
        (folder / "logs").mkdir()
        for number in range(1, runs + 1):
            with services.of(page, folder):
                try:
                    kept.append(_one(command, url, page, store, folder, limit_s))
                except (LoadTestError, FormatError) as problem:
                    if number == runs and not kept:
                        raise
                    failed.append(RUN_FAILED(number=number, runs=runs, problem=str(problem)))
            shown.update(number * _USUAL_S)
    found = [stores.load(one) for one in kept]
    result = sum(found[1:], found[0])
    return Measurements(result.tables, result.meta, (*result.warnings, *failed))


def _command(program: str | Sequence[str], form: str, throttling: str) -> list[str]:
    words = [program] if isinstance(program, str) else list(program)
    if shutil.which(words[0]) is None:
        raise LoadTestError(
            f"{words[0]} is not installed: npm install -g lighthouse (it needs Node.js and Chromium), or give program="
        )
    flags = "--headless=new" + (" --no-sandbox" if hasattr(os, "geteuid") and os.geteuid() == 0 else "")
    options = ["--quiet", "--output=json", "--only-categories=performance", f"--chrome-flags={flags}"]
    options += [f"--throttling-method={throttling}", *(["--preset=desktop"] if form == "desktop" else [])]
    return [*words, *options]


def _one(command: Sequence[str], url: str, target: Target, place: str | Path, folder: Path, limit_s: float) -> Path:
    """Make one run and store it."""
    result = folder / "lighthouse.json"
    result.unlink(missing_ok=True)
    began, start = time.monotonic(), datetime.now(UTC)
    _run([*command, f"--output-path={result}", url], folder, limit_s)
    took_ms = (time.monotonic() - began) * 1e3
    tables = lighthouse.read(result)
    draft = stores.Draft(place, target.arm)
    try:
        for name, frame in tables.items():
            draft.write(name, frame)
        environment: dict[str, Any] = {
            **provenance.stamp(),
            "generator": tables.meta["generator"],
            "target": target.record(),
        }
        kept = draft.keep(
            {
                "arm": target.arm,
                "start": start.isoformat(),
                "duration_ms": took_ms,
                "valid": True,
                "reasons": [],
                "warnings": list(tables.warnings),
                "host": provenance.without_credentials(target.host),
                "environment": environment,
            }
        )
    except BaseException:
        draft.drop()
        raise
    place_there: Path = draft.sent(kept)
    return place_there


def _run(command: Sequence[str], folder: Path, limit_s: float) -> None:
    """Run Lighthouse to its end; it closes its browser when it is interrupted, so that comes first."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    if given := os.environ.get("PERFLAB_CHROMIUM"):
        environment["CHROME_PATH"] = given
    with (folder / "logs" / "lighthouse.log").open("w+b") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            code = child.wait(limit_s)
        except BaseException as problem:
            _end(child)
            if isinstance(problem, subprocess.TimeoutExpired):
                raise LoadTestError(f"Lighthouse did not end within {limit_s:g} s") from problem
            raise
        if code:
            log.seek(0)
            said = provenance.hidden(log.read()[-4000:].decode("utf-8", "replace"))
            raise LoadTestError(f"Lighthouse exited with code {code}", exit_code=code, output=said)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
