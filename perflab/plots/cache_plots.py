"""The miss ratio of a cache of every size: `plot_miss_ratio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter

from perflab.caching.miss_ratios import MissRatioCurve, miss_ratio_curve
from perflab.plots.drawing import GREY, STYLES, axes, log_axis, titled
from perflab.plots.palette import INK
from perflab.units import format_bytes, format_fraction, format_number, format_short, parse_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_miss_ratio(*curves: Any, sizes: Any = (), ax: Axes | None = None) -> Axes:
    """Draw the miss ratio of an LRU cache by its size.

    Parameters
    ----------
    *curves : MissRatioCurve, or what `miss_ratio_curve` takes
        One or several, of one weight.
    sizes : str, float or sequence
        Sizes to mark ("64MB", or numbers of keys).
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: size of the cache (log); y: share of accesses that miss. The band is the sampling error (95 %) of curves computed from
        a sample of the keys; the dotted line is what no cache can avoid, the first access to each key.

    Examples
    --------
    >>> import perflab as lab
    >>> lab.plot_miss_ratio(lab.miss_ratio_curve(list("abacabadabacaba"))).get_xlabel()
    'Size of the cache, keys (log scale)'
    """
    drawn = [c if isinstance(c, MissRatioCurve) else miss_ratio_curve(c) for c in curves]
    if not drawn:
        raise ValueError("curves must hold at least one; got none")
    if len({c.weight for c in drawn}) > 1:
        raise ValueError("curves must have one weight; got bytes and keys")
    ax = axes(ax)
    first = drawn[0]
    in_bytes = first.weight == "bytes"
    column = "size_bytes" if in_bytes else "keys"
    for place, curve in enumerate(drawn):
        colour, dashes, _ = STYLES[(place + 1) % len(STYLES)]
        dashes = dashes if place else "-"
        table = curve.table
        label = None if len(drawn) == 1 else f"curve {place + 1}: {curve.accesses:,} accesses"
        ax.step(table[column], table["miss_fraction"], where="post", color=colour, linestyle=dashes, label=label)
        if curve.sample < 1:
            ax.fill_between(
                table[column],
                table["low_fraction"],
                table["high_fraction"],
                step="post",
                color=colour,
                alpha=0.2,
                linewidth=0,
            )
    ax.axhline(float(first.table["miss_fraction"].iloc[-1]), color=GREY, linestyle=":", linewidth=1.1)
    marked = [sizes] if isinstance(sizes, (str, int, float)) else list(sizes)
    for size in marked:
        missed = first.miss_ratio(size)
        at = parse_size(size, parameter="sizes") if in_bytes else float(size)
        ax.plot([at], [missed], marker="o", color=INK, zorder=4)
        ax.annotate(
            f"{format_bytes(at) if in_bytes else format_short(at)}: {format_fraction(first.miss_ratio(at))}",
            (at, first.miss_ratio(at)), xytext=(7, 5), textcoords="offset points", fontsize=8.5, color=GREY,
        )  # fmt: skip
    log_axis(ax.xaxis, "Size of the cache, keys (log scale)")
    if in_bytes:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(value)))
        ax.set_xlabel("Size of the cache (log scale)")
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: format_number(float(f"{share * 100:.3g}"))))
    ax.set_ylabel("Misses, % of accesses")
    if len(drawn) > 1:
        ax.legend(loc="best", frameon=False)
    best = float(first.table["miss_fraction"].iloc[-1])
    whole = format_bytes(first.working_set) if in_bytes else f"{format_short(first.working_set)} keys"
    how = "LRU, exact" if first.sample == 1 else f"LRU, from {format_fraction(first.sample)} of the keys"
    titled(
        ax,
        f"At best {format_fraction(best)} of {first.accesses:,} accesses miss, with {whole}",
        f"{how}; {first.keys:,} keys; dotted: first accesses, which always miss",
    )
    return ax
