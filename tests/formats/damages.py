"""Damage to files as disks, editors and interrupted programs do it: bytes changed, cut out, lines swapped, numbers replaced."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import combinations

Damage = Callable[[bytearray, random.Random], bytearray]

_NUMBERS = (
    b"NaN",
    b"-1",
    b"1e999",
    b"null",
    b"",
    b'""',
    b"99999999999999999999",
    b"-0.0",
    b"true",
    b"{}",
    b"[]",
    b"0x1F",
)


def flip(data: bytearray, at: random.Random) -> bytearray:
    for _ in range(at.randint(1, 8)):
        data[at.randrange(len(data))] = at.choice([0, 9, 10, 34, 44, 45, 48, 57, 101, 123, 255, at.randrange(256)])
    return data


def cut(data: bytearray, at: random.Random) -> bytearray:
    begin = at.randrange(len(data))
    return data[:begin] + data[begin + at.randint(1, 200) :]


def lines(data: bytearray, at: random.Random) -> bytearray:
    """Two lines swapped, one of them perhaps doubled."""
    found = data.split(b"\n")
    first, second = at.randrange(len(found)), at.randrange(len(found))
    found[first], found[second] = found[second], found[first]
    if at.random() < 0.5:
        found.insert(first, found[second])
    return bytearray(b"\n".join(found))


def values(data: bytearray, at: random.Random) -> bytearray:
    """A number replaced by one that nobody expects."""
    found = list(re.finditer(rb"\d+(?:\.\d+)?", bytes(data)))
    for match in sorted(at.sample(found, min(len(found), at.randint(1, 4))), key=lambda m: -m.start()):
        data[match.start() : match.end()] = at.choice(_NUMBERS)
    return data


KINDS: dict[str, tuple[Damage, ...]] = {
    "+".join(one.__name__ for one in kinds): kinds
    for count in (1, 2)
    for kinds in combinations((flip, cut, lines, values), count)
}
"""Each damage alone, and each two of them."""


def damaged(data: bytes, rounds: int) -> Iterator[tuple[str, bytes]]:
    """The data with each kind of damage, so many times; the same again for the same data."""
    for number in range(rounds):
        for name, kinds in KINDS.items():
            at, held = random.Random(f"{name} {number} {len(data)}"), bytearray(data)
            for damage in kinds:
                held = damage(held, at) or bytearray(b"\n")
            yield name, bytes(held)
