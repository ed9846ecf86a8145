"""LRU stack distances of a whole trace in one pass: for each access, how large a cache must be for it to be a hit.

Mattson, Gecsei, Slutz and Traiger (1970), Evaluation techniques for storage hierarchies, IBM Systems Journal 9. The bytes of
the different keys between two accesses to one key are a weighted count of inversions, which numpy counts bit by bit
(`_smaller_before`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int32]

NEVER = np.inf
"""The distance of a key's first access, which no cache can hold."""


def stack_distances(keys: Ints, sizes: Floats) -> Floats:
    """The smallest LRU cache in which each access is a hit: what was accessed since the same key, and the entry itself.

    ``keys`` are codes from 0 on, ``sizes`` what each access leaves in the cache (ones: the distance counts keys). An access is
    a hit in a cache of ``c`` if its distance is at most ``c``; the first access to a key never is.

    >>> stack_distances(np.array([0, 1, 0, 0]), np.array([5.0, 3.0, 5.0, 5.0])).tolist()
    [inf, inf, 8.0, 5.0]
    """
    total = len(keys)
    distance = np.full(total, NEVER)
    earlier, later = _reuses(keys)
    if not len(earlier):
        return distance
    # Between two accesses to one key: entries that are not accessed again, ...
    unused = np.array(sizes, dtype="float64")
    unused[earlier] = 0.0
    np.cumsum(unused, out=unused)
    between = unused[later - 1] - unused[earlier]
    del unused
    # ... and those that are accessed again after it: of all that follow, less those that lie behind it.
    again = np.zeros(total, dtype=bool)
    again[later] = True
    rank = (np.cumsum(again, dtype=np.int32) - 1)[later]
    again[later] = False
    again[earlier] = True
    before = np.cumsum(again, dtype=np.int32)[later] - again[later]
    del again
    weights = sizes[earlier]
    # In reverse, "accessed again later" is "smaller, and before".
    reused = _smaller_before(len(rank) - 1 - rank[::-1], weights[::-1])[::-1]
    behind = np.concatenate([np.cumsum(weights[::-1])[::-1], [0.0]])[before]
    distance[later] = between + reused - behind + weights
    return distance


def _reuses(keys: Ints) -> tuple[Places, Places]:
    """The places of accesses that are repeated, in order, and of the next access to the same key."""
    order = np.argsort(keys, kind="stable").astype(np.int32)
    grouped = keys[order]
    same = grouped[1:] == grouped[:-1]
    following = np.full(len(keys), -1, dtype=np.int32)
    following[order[:-1][same]] = order[1:][same]
    earlier = np.flatnonzero(following >= 0).astype(np.int32)
    return earlier, following[earlier]


def _smaller_before(ranks: Places, weights: Floats) -> Floats:
    """For each place the weights of the smaller values before it; ``ranks`` is a permutation.

    From the highest bit of the values to the lowest: places whose higher bits agree stay in order and next to each other, in
    blocks of twice the size of the bit (the last one may be shorter), and those with the bit set come after all of their block
    that lack it.
    """
    value, weight, found = ranks.astype(np.int32), np.array(weights), np.zeros(len(ranks))
    for bit in range(max(len(ranks) - 1, 1).bit_length() - 1, -1, -1):
        width = 2 << bit
        high = (value >> bit) & 1 == 1
        low = ~high
        below = weight.copy()
        below[high] = 0.0
        np.cumsum(below, out=below)
        whole = len(below) // width * width
        if whole:
            rows = below[:whole].reshape(-1, width)
            ends = rows[:, -1].copy()
            rows[1:] -= ends[:-1, None]
            below[whole:] -= ends[-1]
        found = _halves(found[low], found[high] + below[high], bit)
        del below
        weight = _halves(weight[low], weight[high], bit)
        value = _halves(value[low], value[high], bit)
    # Sorted by value now.
    result: Floats = found[ranks]
    return result


def _halves(low: npt.NDArray[Any], high: npt.NDArray[Any], bit: int) -> npt.NDArray[Any]:
    """Blocks of both halves one after the other; those of ``high`` are whole, but for the last."""
    blocks = len(high) >> bit
    whole = blocks << bit
    made = np.empty(len(low) + len(high), dtype=low.dtype)
    both = made[: 2 * whole].reshape(blocks, 2, 1 << bit)
    both[:, 0] = low[:whole].reshape(blocks, 1 << bit)
    both[:, 1] = high[:whole].reshape(blocks, 1 << bit)
    made[2 * whole : whole + len(low)] = low[whole:]
    made[whole + len(low) :] = high[whole:]
    return made
