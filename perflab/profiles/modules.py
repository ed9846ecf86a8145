"""`by_module` and `by_package`: in whose code the time is spent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from perflab.profiles.call_trees import outermost
from perflab.profiles.origins import origins
from perflab.profiles.selected import Profile, sums, tree_rows
from perflab.results import Findings, findings
from perflab.units import format_fraction


def by_package(profile: Profile, *, unit: str | None = None, application: Sequence[str] = ()) -> Findings:
    """Sum self and total by package, most self first: the application, frameworks, database drivers, the language.

    Parameters
    ----------
    profile : Measurements or DataFrame
        A profile with stacks.
    unit : str, optional
        The unit, if there are several; by default the first.
    application : sequence of str
        Packages, or prefixes of paths, that belong to the application although their location suggests otherwise.

    Returns
    -------
    Findings
        package, kind, self, total, self_fraction, total_fraction, unit. ``kind`` is "application", "framework", "database
        driver", "network", "library", "standard library" or "native". ``total`` counts a package once per stack.

    Raises
    ------
    MissingTableError
        There is no profile with stacks.
    ValueError
        The unit is unknown.

    >>> import perflab as lab
    >>> lab.profiles.by_package(lab.read("tests/samples/pyinstrument/workload.json"))[["package", "kind"]].values.tolist()
    [['workload', 'application'], ['(built-in)', 'native']]
    """
    return _by(profile, unit, application, ("package", "kind"))


def by_module(profile: Profile, *, unit: str | None = None, application: Sequence[str] = ()) -> Findings:
    """Sum self and total by module (file), most self first; as `by_package`, with a column ``module``.

    >>> import perflab as lab
    >>> lab.profiles.by_module(lab.read("tests/samples/pyinstrument/workload.json")).module.tolist()
    ['workload', '(built-in)']
    """
    return _by(profile, unit, application, ("module", "package", "kind"))


def _by(profile: Profile, unit: str | None, application: Sequence[str], names: tuple[str, ...]) -> Findings:
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
    kinds = frame.groupby("kind")["self_fraction"].sum().nlargest(3)
    shares = ", ".join(f"{format_fraction(share)} {kind}" for kind, share in kinds.items() if share > 0)
    return findings(frame.sort_values(["self", "total"], ascending=False, kind="stable"), f"self time: {shares}")
