"""The requests of a load test or an access log as accesses to a cache of responses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from perflab.caching import cache_notes
from perflab.caching.accesses import Accesses, Flags, Floats, Ints, Keys, Writes, codes_of, milliseconds, seconds, truth
from perflab.caching.key_traces import in_order, key_of, names_of, sizes_of
from perflab.errors import MissingTableError

URL = "url"
_SAFE = re.compile(r"(?:GET|HEAD)\b|(?!(?:[A-Z]+|post|put|patch|delete|options) )")
_NO_NOUN = re.compile(r"v?\d+(?:\.\d+)?|api|rest")
_ABORTED = 499
"""nginx' status for a client that gave up."""
_PLACEHOLDER = re.compile(r"[\[<{(:*]")


def of_requests(requests: pd.DataFrame, keys: Keys, spans: pd.DataFrame | None) -> Accesses:
    """Every successful GET, keyed by its address (or as ``keys`` says); other methods are writes."""
    requests = requests.reset_index(drop=True)
    within = [c for c in ("run", "endpoint") if c in requests]
    if keys is None or keys == URL:
        addresses = _addresses(requests, spans)
        key = codes_of(*(requests[c].fillna("") for c in within), addresses)
    else:
        addresses = requests["url" if "url" in requests else "endpoint"]
        key = key_of(requests, keys, within)
    endpoint = requests["endpoint"].astype("str")
    method = _methods(requests, endpoint)
    safe = method.str.match(_SAFE).to_numpy()
    good = _good(requests)
    at_s = seconds(requests["start"])
    timed = ~np.isnan(at_s)
    chosen = np.flatnonzero(safe & good & timed & (key >= 0))
    writing = np.flatnonzero(~safe & good & timed)
    run = codes_of(requests["run"].fillna("")) if "run" in requests else np.zeros(len(requests), dtype="int64")
    took = _took(requests)
    owner = requests["request"].to_numpy(dtype=object) if "request" in requests else np.arange(len(requests))
    made, order = in_order(chosen, key, endpoint, at_s, took, _sizes(requests, key), run, owner, URL)
    # Where the address of a write is not known, its endpoint is.
    places = addresses.where(addresses.notna(), endpoint)
    groups, writes = _invalidation(order, made["key"], places, writing, at_s + np.nan_to_num(took) / 1e3, run)
    by_address = keys is None or keys == URL
    queried = places.iloc[order].astype("str").str.contains("?", regex=False).to_numpy() if by_address else []
    return Accesses(
        **made,
        groups=groups,
        writes=writes,
        by=() if by_address else names_of(keys),
        queried=frozenset(made["candidate"][queried].tolist()) if by_address else frozenset(),
        unknown=int((safe & good).sum()) - len(chosen),
        timed=bool(requests["start"].notna().any()),
    )


def _good(requests: pd.DataFrame) -> Flags:
    """Whether each succeeded: by ``ok`` (a text such as "false" is not taken for true), else by ``status``."""
    if "ok" in requests:
        known = requests["ok"].map(lambda value: truth(value) is True)
    elif "status" in requests:
        status = pd.to_numeric(requests["status"], errors="coerce")
        known = status.isna() | (status.between(1, 499) & (status != _ABORTED))
    else:
        known = pd.Series(True, index=requests.index)
    found: Flags = known.to_numpy(dtype=bool)
    return found


def _sizes(requests: pd.DataFrame, key: Ints) -> Floats:
    """The size of each response; of a 304, which has no body, that of the same address at another time."""
    sizes = sizes_of(requests)
    if "status" not in requests:
        return sizes
    unchanged = (pd.to_numeric(requests["status"], errors="coerce") == 304).fillna(False).to_numpy(dtype=bool)
    if not unchanged.any():
        return sizes
    whole = pd.Series(np.where(unchanged, np.nan, sizes))
    same = whole.groupby(key).transform("median")
    # An address that was never sent whole: like the others of its endpoint.
    alike = whole.groupby(requests["endpoint"].to_numpy()).transform("median")
    found: Floats = np.where(unchanged, same.fillna(alike).fillna(whole.median()), sizes)
    return found


def _took(requests: pd.DataFrame) -> Floats:
    """How long each took; an access log may not say."""
    if "latency_ms" not in requests:
        return np.full(len(requests), np.nan)
    return milliseconds(requests["latency_ms"])


def _methods(requests: pd.DataFrame, endpoint: pd.Series[str]) -> pd.Series[str]:
    return requests["method"].astype("str").str.upper() + " " if "method" in requests else endpoint


def _addresses(requests: pd.DataFrame, spans: pd.DataFrame | None) -> pd.Series[Any]:
    if "url" in requests and requests["url"].notna().any():
        return requests["url"].reset_index(drop=True)
    found = _recorded(spans) if spans is not None else {}
    if not found or "request" not in requests:
        raise MissingTableError(cache_notes.NO_ADDRESSES())
    return requests["request"].map(found).reset_index(drop=True)


def _recorded(spans: pd.DataFrame) -> dict[str, str]:
    """The address of each request by perflab's request recorder: its route with (hashed) values, the rest as a query."""
    if not {"request", "route", "attributes", "parent"} <= set(spans.columns):
        return {}
    roots = spans[spans["parent"].isna() & spans["request"].notna()]
    found = {}
    for request, route, attributes in zip(roots["request"], roots["route"], roots["attributes"], strict=True):
        values = attributes.get("perflab.values", []) if isinstance(attributes, dict) else []
        found[str(request)] = _filled(str(route).rpartition(" ")[2], list(map(str, values)))
    return found


def _filled(route: str, values: list[str]) -> str:
    """The route with values in place of its parameters.

    >>> _filled("/products/<int:id>/offer", ["17", "EUR"])
    '/products/17/offer?EUR'
    """
    left = list(values)
    segments = [left.pop(0) if left and _PLACEHOLDER.match(s) else s for s in route.split("/")]
    return "/".join(segments) + (f"?{'&'.join(left)}" if left else "")


def _invalidation(
    order: Ints, key: Ints, addresses: pd.Series[Any], writing: Ints, ends: Any, run: Ints
) -> tuple[Ints, Writes]:
    """The groups of each key: its collection ("/products"), its own path, and all below each of its parents.

    By key, a write drops what is at its path, below it, and its parents themselves: POST /products/17/reviews drops
    /products/17 and the lists of /products, but not /products/18.
    """
    first = np.unique(key, return_index=True)[1]
    numbers: dict[tuple[str, str], int] = {}
    paths = [_path(addresses.iat[place]) for place in order[first].tolist()]
    rows = [[numbers.setdefault(group, len(numbers)) for group in _groups(path)] for path in paths]
    width = max(map(len, rows), default=1)
    groups = np.array([row + [-1] * (width - len(row)) for row in rows], dtype="int64").reshape(len(rows), width)
    writing = writing[np.argsort(ends[writing], kind="stable")]
    exact, whole = [], []
    for place in writing.tolist():
        path = _path(addresses.iat[place])
        dropped = [("below", path), ("at", path), *(("at", parent) for parent in _parents(path))]
        exact.append(_known(numbers, dropped))
        whole.append(_known(numbers, [("collection", _collection(path))]))
    matters = [number for number, dropped in enumerate(whole) if len(dropped)]
    return groups, Writes(
        ends[writing][matters],
        run[writing][matters],
        tuple(exact[i] for i in matters),
        tuple(whole[i] for i in matters),
    )


def _known(numbers: dict[tuple[str, str], int], wanted: list[tuple[str, str]]) -> Ints:
    return np.array(sorted({numbers[group] for group in wanted if group in numbers}), dtype="int64")


def _groups(path: str) -> list[tuple[str, str]]:
    return [("collection", _collection(path)), ("at", path), *(("below", parent) for parent in _parents(path))]


def _path(address: object) -> str:
    """The path of an address, or of an endpoint, without its query."""
    text = str(address).rpartition(" ")[2]
    try:
        return "/" + urlsplit(text).path.strip("/")
    except ValueError:
        return "/" + text.partition("?")[0].strip("/")


def _parents(path: str) -> Iterator[str]:
    while path.count("/") > 1:
        path = path.rpartition("/")[0]
        yield path


def _collection(path: str) -> str:
    """The first noun of a path: ``/api/v2/products/17`` belongs to products."""
    nouns = [part for part in path.split("/") if part and not _NO_NOUN.fullmatch(part)]
    return nouns[0] if nouns else ""
