"""The heads of log lines, taken apart once for all lines that differ in digits only: a log has a few hundred of those."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_FEW = 0.25
"""The share of different heads above which one expression over all lines takes less time."""
_ALIKE = frozenset({"head", "level", "begins", "word"})
"""Groups of which only the length, the words and the form of the numbers matter."""


def heads(chunk: bytes, starts: Any, head: str, size: int) -> Any:
    """The groups of the expression in the first bytes of the lines of a chunk that begin at ``starts``; null without a match.

    Of groups that are called as in `_ALIKE`, the digits are those of another line.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lines = cut(chunk, starts, size)
    if _names_digits(head):
        return matched(lines, head)
    keys = _digits_as_zeros(lines).dictionary_encode()
    if len(keys.dictionary) > _FEW * len(starts):
        return matched(lines, head)
    codes = keys.indices.to_numpy(zero_copy_only=False)
    first = np.zeros(len(keys.dictionary), dtype="int64")
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    texts = lines.take(pa.array(first))
    found, spans = matched(texts, head), pc.extract_regex_span(texts.view(pa.large_string()), head)
    columns = [_column(chunk, starts, codes, found, spans, n) for n in range(found.type.num_fields)]
    names = [found.type.field(n).name for n in range(found.type.num_fields)]
    return pa.StructArray.from_arrays(columns, names, mask=found.is_null().take(keys.indices))


def matched(lines: Any, head: str) -> Any:
    """The groups of the expression in each line; null without a match."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.extract_regex(lines.view(pa.large_string()), head)


def ranges(chunk: bytes, begin: Any, end: Any) -> Any:
    """The bytes from each place to another, which is not behind the next place."""
    import pyarrow as pa

    edges = np.empty(2 * len(begin) + 1, dtype="int64")
    edges[:-1:2], edges[1::2], edges[-1] = begin, end, end[-1] if len(end) else 0
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(chunk)]
    both = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(edges) - 1, buffers)
    return both.take(pa.array(np.arange(0, 2 * len(begin), 2)))


def cut(chunk: bytes, starts: Any, size: int) -> Any:
    """The first bytes of each line."""
    ends = np.append(starts[1:], len(chunk))
    return ranges(chunk, starts, np.minimum(ends, starts + size))


def _digits_as_zeros(texts: Any) -> Any:
    """In arithmetic on all bytes, which is several times faster than a choice for each."""
    import pyarrow as pa

    _, offsets, data = texts.buffers()
    letters = np.frombuffer(data, dtype=np.uint8) if data else np.zeros(0, dtype=np.uint8)
    value = letters - np.uint8(ord("0"))
    zeros = letters - value * (value < 10)
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(texts), [None, offsets, pa.py_buffer(zeros)])


def _names_digits(head: str) -> bool:
    """Whether the expression wants certain digits somewhere, not any."""
    return re.search(r"\d", re.sub(r"(?<!\\)\[[^\]]*\]|\{[\d,]+\}|\\d", "", head)) is not None


def _column(chunk: bytes, starts: Any, codes: Any, found: Any, spans: Any, number: int) -> Any:
    """One group of all lines, from the lines that stand for them or, where it has digits, from each line."""
    import pyarrow as pa
    import pyarrow.compute as pc

    group = pc.struct_field(found, [number])
    if found.type.field(number).name in _ALIKE or not pc.any(pc.match_substring_regex(group, r"\d")).as_py():
        return group.take(pa.array(codes))
    span = pc.struct_field(spans, [number])
    place, length = (pc.list_element(span, n).fill_null(0).to_numpy(zero_copy_only=False)[codes] for n in (0, 1))
    return ranges(chunk, starts + place, starts + place + length).view(pa.large_string())
