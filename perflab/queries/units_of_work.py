"""Units of work: which statements belong to one request, transaction or job."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True, eq=False)
class Units:
    """A code for each statement (the place of its unit in ``names``) and how sure that grouping is."""

    codes: npt.NDArray[np.int64]
    names: pd.Index[str]
    confidence: str
    notes: tuple[str, ...] = ()


def units_of_work(queries: pd.DataFrame) -> Units:
    for column in ("unit", "trace"):
        if column in queries.columns and queries[column].notna().any():
            keys = queries[column].astype("str")
            break
    else:
        keys = (
            queries["session"].astype("str") if "session" in queries.columns else pd.Series("all", index=queries.index)
        )
    codes, names = pd.factorize(keys.fillna("no unit"))
    return Units(codes.astype("int64"), pd.Index(names, dtype="str"), "high")
