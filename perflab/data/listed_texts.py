"""Columns of lists of texts (the bound values of statements) as JSON and back, without a step for each row."""

from __future__ import annotations

from typing import Any

import pandas as pd

_NEVER_BARE = r"[\x00-\x1f]"


def as_json(values: Any) -> Any | None:
    """The lists as JSON texts, missing where a list is; None of other values, and of texts with control characters."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = getattr(values.dtype, "pyarrow_dtype", None)
    if kind is None or not pa.types.is_list(kind) or not pa.types.is_string(kind.value_type) or not len(values):
        return None
    lists = pa.chunked_array(pa.array(values)).combine_chunks()
    texts = lists.flatten()
    if pc.any(pc.match_substring_regex(texts, _NEVER_BARE)).as_py():
        return None
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = pc.fill_null(pc.binary_join_element_wise('"', escaped, '"', ""), "null")
    ends = pc.cumulative_sum(pc.fill_null(lists.value_lengths(), 0))
    offsets = pa.concat_arrays([pa.array([0], ends.type), ends])
    inside = pc.binary_join(pa.ListArray.from_arrays(offsets, quoted), ",")
    written = pc.if_else(lists.is_valid(), pc.binary_join_element_wise("[", inside, "]", ""), None)
    return pd.array(written.cast(pa.large_string()), dtype="str")


def from_json(column: Any) -> Any | None:
    """The lists of an Arrow column of such texts; None where any is something else than a list of texts."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json

    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return None
    texts = pc.fill_null(column.cast(pa.large_string()).combine_chunks(), "null")
    begin, end, between = (pa.scalar(text, pa.large_string()) for text in ('{"is":', "}\n", ""))
    lines = pc.binary_join_element_wise(begin, texts, end, between)
    schema = pa.schema([("is", pa.list_(pa.string()))])
    try:
        found = json.read_json(
            pa.BufferReader(lines.buffers()[2]),
            read_options=json.ReadOptions(use_threads=False, block_size=64 << 20),
            parse_options=json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowInvalid:
        return None
    return pd.array(found["is"].combine_chunks(), dtype=pd.ArrowDtype(schema.field(0).type))
