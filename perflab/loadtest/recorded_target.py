"""Joins the records of the request recorder in a target to the requests of the run, by id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from perflab import formats
from perflab.data import store
from perflab.errors import FormatError
from perflab.loadtest import reasons
from perflab.notes import Note

VARIABLE = "PERFLAB_REQUEST_LOG"
"""The environment variable that names the file of perflab's request recorder."""
LOG = "requests.jsonl"


def keep(draft: store.Draft) -> list[Note]:
    """Turn the recorder's file into the run's ``components`` and ``spans``; return warnings."""
    path = draft.folder / LOG
    if not path.exists() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        return [reasons.NO_COMPONENTS()]
    try:
        tables = formats.named("request_recorder").read(path)
    except FormatError as problem:
        return [reasons.COMPONENTS_UNREADABLE(problem=problem)]
    requests = _requests(draft.folder)
    spans = tables["spans"]
    joined = joined_to(requests, tables["components"], spans)
    if joined.empty:
        return [reasons.NO_COMPONENT_JOINS()]
    draft.write("components", joined)
    # Requests that are not part of the load (readiness checks) are left out.
    draft.write("spans", spans[spans["request"].isin(set(requests["request"].dropna()))])
    path.unlink()
    return list(getattr(tables, "warnings", ()))


def with_requests(queries: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The statements with the load's request and endpoint that each belongs to, where its id is known."""
    if "unit" not in queries.columns:
        return queries
    requests = pd.read_parquet(folder / "requests.parquet", columns=["request", "endpoint"])
    known = requests.dropna(subset="request").drop_duplicates("request").set_index("request")["endpoint"].astype("str")
    ours = queries["unit"].isin(known.index)
    return (
        queries.assign(request=queries["unit"].where(ours), endpoint=queries["unit"].map(known))
        if ours.any()
        else queries
    )


def _requests(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "requests.parquet", columns=["request", "start", "due", "latency_ms"])


def joined_to(requests: pd.DataFrame, components: pd.DataFrame, spans: pd.DataFrame) -> pd.DataFrame:
    """The components of each of the client's requests, which add up to its latency.

    ``generator`` is the delay of a request's start after its due time; ``queue`` the time from its start to the application's
    first line, by the two clocks; ``back`` the rest after the application's time.
    """
    client = requests.dropna(subset="request").drop_duplicates("request", keep=False).set_index("request")
    inside = components[(components["component"] != "queue") & components["request"].isin(client.index)]
    if inside.empty:
        return inside
    inside = inside.groupby(["request", "component"], sort=False, as_index=False)["duration_ms"].sum()
    took = inside.groupby("request", sort=False)["duration_ms"].sum()
    roots = spans[spans["parent"].isna()]
    first = roots.groupby("request")["start"].min().reindex(took.index)
    own = client.loc[took.index]
    late = ((own["start"] - own["due"]).dt.total_seconds() * 1e3).clip(lower=0.0).fillna(0.0)
    queue = (first - own["start"]).dt.total_seconds() * 1e3
    around = {"queue": queue, "back": own["latency_ms"] - late - queue - took}
    if np.any(late > 0):
        around["generator"] = late
    outside = [
        pd.DataFrame({"request": took.index, "component": name, "duration_ms": values.to_numpy(dtype="float64")})
        for name, values in around.items()
    ]
    return pd.concat([inside, *outside], ignore_index=True)
