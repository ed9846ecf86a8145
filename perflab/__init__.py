"""perflab: did p95 really get better, and why was it slow?

    drive       LoadPlan Stage Target Url shape; run run_pairs start_run start_pairs; calibrate find_capacity;
                PagePlan run_pages run_lighthouse
    read        read ingest recover load summarize -> Measurements: pandas tables of raw evidence
    decide      compare -> Change; plan_runs change_points quantile_shift; check read_objectives Objective;
                monitoring_rules
    explain     account; critical_path find_sequential what_if; find_n_plus_one find_duplicates find_slow summarize_queries
                compare_queries assert_no_n_plus_one fingerprint explain -> QueryPlan; flat_profile hot_paths diff_profiles
                summarize_time; miss_ratio_curve what_if_cache; audit_exchanges find_large_modules
    show        explore; plot_account plot_ecdf plot_pairs plot_comparison plot_timeline plot_load plot_waterfall
                plot_vitals plot_miss_ratio plot_flamegraph draw_flamegraph
    record      Report record new_notebook execute_notebook export_notebook
    errors      PerflabError and its subclasses; statistical doubt is never raised, it is in ``.warnings``

More names are public in the packages: `perflab.stats`, `perflab.plots`, `perflab.queries`, `perflab.profiles`,
`perflab.objectives`, `perflab.loadtest`, `perflab.gates`, `perflab.data`, `perflab.reports`,
`perflab.caching`, `perflab.browsing`, `perflab.web`; for example `perflab.stats.harrell_davis`.

Everything is loaded on first use, so that ``import perflab as lab`` costs almost nothing. ``__init__.pyi`` lists the
names and their modules.
"""

import sys as _sys

import lazy_loader as _lazy

from perflab import progress as _progress

__version__ = "0.2.0"

__getattr__, _dir, _names = _lazy.attach_stub(__name__, __file__)
_PACKAGES = (
    "browsing",
    "caching",
    "data",
    "gates",
    "loadtest",
    "objectives",
    "plots",
    "profiles",
    "queries",
    "reports",
    "stats",
    "web",
)
__all__ = [name for name in _names if name not in _PACKAGES]


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return list(_dir())


def _live_view(*given: object, **options: object) -> object:
    """The display of load in a notebook, see `perflab.progress.display`."""
    from importlib import import_module

    return import_module("perflab.explorers.live_view").LiveView(*given, **options)


def _load_when_idle() -> None:
    """In a notebook, load the public names one by one while the kernel waits for its next cell.

    Completion shows the kind of loaded names only, and gives up on others after 0.4 s.
    """
    if "ipykernel" not in _sys.modules:
        return
    from asyncio import get_running_loop

    try:
        loop = get_running_loop()
    except RuntimeError:
        return
    left = iter(__all__)

    def load_next() -> None:
        for name in left:
            try:
                __getattr__(name)
            except ImportError:  # an extra that is not installed: the name is completed without its kind
                continue
            loop.call_later(0.02, load_next)
            return

    loop.call_later(0.5, load_next)


def load_ipython_extension(shell: object) -> None:
    """``%load_ext perflab`` in a notebook: the magics of `perflab.magics`."""
    from importlib import import_module

    # By name: the package must not import a module that imports it.
    import_module("perflab.magics").load_ipython_extension(shell)


_progress.notebook_display = _live_view
_load_when_idle()
