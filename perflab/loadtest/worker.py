"""A worker on this machine for a run on another: `perflab worker`."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

from perflab.errors import LoadTestError, StoreError
from perflab.loadtest import process
from perflab.loadtest.records import secret_of

_POLL_S = 0.5
DEFAULT_PORT = 5557


def work(locustfile: str | Path, master: str, *, folder: str | Path = "runs/workers", token: str | None = None) -> Path:
    """Generate load until the master ends it; return the folder with this worker's own records.

    Parameters
    ----------
    locustfile : str or Path
        The same file as on the master's machine.
    master : str
        ``"host"`` or ``"host:port"`` of the machine that runs the master.
    folder : str or Path
        The folder in which the worker makes its own.
    token : str, optional
        The secret of the plan (``LoadPlan(token=...)``); by default the variable PERFLAB_TOKEN.

    Raises
    ------
    LoadTestError
        No master with this token was found, or Locust failed; with the end of its log.
    KeyboardInterrupt
        After requests in flight have ended; the records are kept.
    """
    host, colon, number = master.rpartition(":")
    host, port = (host, number) if colon and number.isdigit() else (master, str(DEFAULT_PORT))
    secret = secret_of(token, "token")
    users = Path(locustfile).expanduser().resolve()
    if not users.is_file():
        raise ValueError(f"locustfile must be an existing file; got {str(locustfile)!r}")
    place = Path(folder) / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    try:
        place.mkdir(parents=True)
    except OSError as problem:
        raise StoreError(f"{place}: cannot keep records here: {problem.strerror}") from problem
    child = process.join(users, host, int(port), place, token=secret, log=place / "worker.log")
    try:
        while not child.wait(_POLL_S):
            pass
    finally:
        child.stop()
        process.forget_settings(place)
    if at_fault := process.locustfile_at_fault(child, place):
        raise at_fault
    if child.exit_code() and not list(place.glob("remote-*.bin")):
        raise LoadTestError(f"no load was made for {host}:{port}", exit_code=child.exit_code(), output=child.tail())
    return place
