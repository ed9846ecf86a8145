"""perflab: did p95 really get better, and why was it slow?

    drive       LoadPlan Stage Target Url shape; run run_pairs start_run start_pairs; calibrate find_capacity
    read        read ingest recover load summarize -> Measurements: pandas tables of raw evidence
    decide      compare -> Change; plan_runs change_points quantile_shift; check read_objectives Objective
    explain     account; find_n_plus_one find_duplicates find_slow summarize_queries compare_queries assert_no_n_plus_one
                fingerprint explain -> QueryPlan; flat_profile hot_paths diff_profiles summarize_time
    show        explore; plot_account plot_ecdf plot_pairs plot_comparison plot_timeline plot_load plot_waterfall
                plot_flamegraph draw_flamegraph
    record      Report record new_notebook execute_notebook export_notebook
    errors      PerflabError and its children; statistical doubt is never raised, it is in ``.warnings``

More is public in the packages: `perflab.stats`, `perflab.plots`, `perflab.queries`, `perflab.profiles`,
`perflab.objectives`, `perflab.loadtest`, `perflab.data`, `perflab.reports`; for example `perflab.stats.harrell_davis`.

Everything is loaded on first use, so that ``import perflab as lab`` costs next to nothing. The names and
where they live are in ``__init__.pyi``.
"""

import sys as _sys

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, _dir, _names = _lazy.attach_stub(__name__, __file__)
_PACKAGES = ("data", "loadtest", "objectives", "plots", "profiles", "queries", "reports", "stats")
__all__ = [name for name in _names if name not in _PACKAGES]


def __dir__() -> list[str]:
    """The public names; in IPython loaded now, since its completion shows the kind of names that are loaded only."""
    for name in __all__ if "IPython" in _sys.modules else ():
        try:
            __getattr__(name)
        except ImportError:  # of an extra that is not installed: the name is completed without its kind
            continue
    return list(_dir())


def load_ipython_extension(shell: object) -> None:
    """``%load_ext perflab`` in a notebook: the magics of `perflab.magics`."""
    from importlib import import_module

    # By name: the package must not import what imports it.
    import_module("perflab.magics").load_ipython_extension(shell)
