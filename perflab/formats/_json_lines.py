"""Blocks of JSON lines as Arrow tables; lines that don't fit are found by halving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perflab.data.accounting import Tally
from perflab.formats._blocks import MAX_RECORD_BYTES, Block

if TYPE_CHECKING:
    import pyarrow as pa

_ENGINE_BYTES = 8 * 1024 * 1024


def json_table(block: Block, schema: pa.Schema, tally: Tally) -> pa.Table:
    """The fields of a schema from a block of JSON lines; lines that don't fit are counted and left out, as blank ones are."""
    import pyarrow as pa
    from pyarrow import json

    tables: list[pa.Table] = []
    open_parts = [(block.data, block.line, block.lines)]
    while open_parts:
        data, line, lines = open_parts.pop()
        if not data or data.isspace():
            tally.known += lines
            continue
        options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            read = json.ReadOptions(block_size=max(_ENGINE_BYTES, _longest(data)))
            found = json.read_json(pa.BufferReader(data), read_options=read, parse_options=options)
            if len(found) == lines:
                tables.append(found)
                continue
        except pa.ArrowException:
            pass
        # Lines that are damaged or blank, or that hold several objects, are found by halving.
        half = data.find(b"\n", len(data) // 2)
        half = half if 0 <= half < len(data) - 1 else data.find(b"\n")
        if not 0 <= half < len(data) - 1:
            tally.skip(line, why="not one JSON object of the expected shape")
            continue
        cut = half + 1
        before = data.count(b"\n", 0, cut)
        open_parts += [(data[cut:], line + before, lines - before), (data[:cut], line, before)]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _longest(data: bytes) -> int:
    """No line of the block is longer than this many bytes, or the block is small."""
    return len(data) + 1 if len(data) < 2 * _ENGINE_BYTES else 2 * MAX_RECORD_BYTES
