"""Lists that hold a single value: ``WHERE id IN (5)`` for each row is a lookup in a loop, though it is written as a batch.

So do batching loaders that never get to gather anything, and ``= ANY($1)`` with an array of one.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.queries.shape import Shape
from perflab.queries.statements import Statements
from perflab.queries.values import values_in

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ARRAY_OF_ONE = re.compile(r"['\"]?[\[{(][^,{}\[\]()]+,?[\]})]['\"]?")


def lists_of_one(prepared: Statements, threshold: int) -> Statements:
    """The same statements, where those that often ask for a list of one value in a unit have a shape that says so.

    They get a code apart from the batches of their fingerprint (with the same text).
    """
    frame, width = prepared.frame, len(prepared.shapes)
    listed = np.array([s.list_slot is not None for s in prepared.shapes], dtype=bool)
    fp = frame["fp"].to_numpy()
    if not listed.any() or not len(fp):
        return prepared
    place = np.flatnonzero(listed[fp])
    _, member, calls = np.unique(
        frame["unit"].to_numpy()[place] * width + fp[place], return_inverse=True, return_counts=True
    )
    place = place[calls[member] >= threshold]
    part = frame[["sql", "parameters"]].iloc[place]
    single = [
        _single(prepared.shapes[code], values_in(sql, parameters, prepared.dialect))
        for code, sql, parameters in zip(fp[place].tolist(), part["sql"], part["parameters"], strict=True)
    ]
    one = np.array(single, dtype=bool)
    place = place[one & ~_eager_loads(frame, place, one, calls[member][calls[member] >= threshold], width)]
    if not len(place):
        return prepared
    codes, new = np.unique(fp[place], return_inverse=True)
    changed = fp.copy()
    changed[place] = width + new
    return replace(
        prepared,
        frame=frame.assign(fp=changed),
        fingerprints=prepared.fingerprints + tuple(prepared.fingerprints[c] for c in codes),
        shapes=prepared.shapes + tuple(_lookup(prepared.shapes[c]) for c in codes),
    )


def _eager_loads(frame: pd.DataFrame, place: Ints, one: Flags, calls: Ints, width: int) -> Flags:
    """Eager loads of lists that happen to hold one row: other units show longer lists, and as many of them."""
    routes = pd.factorize(frame["route"])[0][place]
    _, kind = np.unique(routes * width + frame["fp"].to_numpy()[place], return_inverse=True)
    mostly_longer = np.bincount(kind, weights=one) * 2 < np.bincount(kind)
    most, least = np.zeros(len(mostly_longer), dtype="int64"), np.full(len(mostly_longer), np.iinfo("int64").max)
    np.maximum.at(most, kind, calls)
    np.minimum.at(least, kind, calls)
    fixed: Flags = (mostly_longer & (most == least))[kind]
    return fixed


def _single(shape: Shape, values: list[str | None]) -> bool:
    """Whether the list has one value."""
    assert shape.list_slot is not None
    if shape.in_array:
        value = values[shape.list_slot] if shape.list_slot < len(values) else None
        return value is not None and _ARRAY_OF_ONE.fullmatch(value) is not None
    return len(values) == shape.slots + 1


def _lookup(shape: Shape) -> Shape:
    assert shape.list_slot is not None
    return replace(
        shape,
        kind="lookup",
        pages=False,
        keys=(*shape.keys, shape.list_key),
        key_slots=(*shape.key_slots[: len(shape.keys)], shape.list_slot, *shape.key_slots[len(shape.keys) :]),
    )
