"""`by_module` and `by_package`: whose code the time is spent in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perflab.profiles.call_trees import outermost
from perflab.profiles.origins import origins
from perflab.profiles.selected import Profile, sums, tree_rows


def by_package(profile: Profile, *, unit: str | None = None, application: Sequence[str] = ()) -> pd.DataFrame:
    """Self and total of each package, most self first: the application, frameworks, database drivers, the language.

    Parameters
    ----------
    profile : Measurements with a profile, or the table.
    unit : which unit, where there are several; the first if not given.
    application : packages or beginnings of paths that are the application's own, where they don't look like it.

    Returns
    -------
    DataFrame: package, kind, self, total, self_fraction, total_fraction, unit. ``kind`` is "application",
    "framework", "database driver", "network", "library", "standard library" or "native". ``total`` counts once for
    each stack that the package is on.

    >>> import perflab as lab
    >>> lab.profiles.by_package(lab.read("tests/samples/pyinstrument/workload.json"))[["package", "kind"]].values.tolist()
    [['workload', 'application'], ['(built-in)', 'native']]
    """
    return _by(profile, unit, application, ("package", "kind"))


def by_module(profile: Profile, *, unit: str | None = None, application: Sequence[str] = ()) -> pd.DataFrame:
    """Self and total of each module (file), most self first; arguments and columns as in `by_package`, with ``module``.

    >>> import perflab as lab
    >>> lab.profiles.by_module(lab.read("tests/samples/pyinstrument/workload.json")).module.tolist()
    ['workload', '(built-in)']
    """
    return _by(profile, unit, application, ("module", "package", "kind"))


def _by(profile: Profile, unit: str | None, application: Sequence[str], names: tuple[str, ...]) -> pd.DataFrame:
    rows = tree_rows(profile, unit)
    found = origins(rows.frames["file"].to_list(), application)
    columns = pd.DataFrame(found, columns=["kind", "package", "module"])[list(names)]
    of_frame = columns.groupby(list(names), sort=False).ngroup().to_numpy()
    distinct = columns.drop_duplicates().reset_index(drop=True)
    code = of_frame[rows.code]
    outer = outermost(code, rows.end)
    own = sums(code, rows.table["self"].to_numpy(dtype="float64"), len(distinct))
    total = sums(code[outer], rows.table["total"].to_numpy(dtype="float64")[outer], len(distinct))
    whole = own.sum() or np.nan
    values = {"self": own, "total": total, "self_fraction": own / whole, "total_fraction": total / whole}
    frame = pd.concat([distinct, pd.DataFrame({**values, "unit": rows.unit})], axis="columns")
    return frame.sort_values(["self", "total"], ascending=False, kind="stable").reset_index(drop=True)
