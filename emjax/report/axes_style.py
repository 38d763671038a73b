"""How every view looks: its frame, its legend, its ticks."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from emjax.report.svg import INK, MUTED

NARROW = 3.2  # inches; axes below it are meant for a phone


def new_axes(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    return Figure(figsize=(7.6, 4.0), layout="constrained").add_subplot() if ax is None else ax


def is_wide(ax: Axes) -> bool:
    """Whether there is room for a legend in one row and for whole names, as there is not on a phone."""
    return bool(ax.bbox.width / ax.figure.dpi >= NARROW)


def dress(ax: Axes) -> None:
    """Two thin spines, quiet ticks, labels in ink."""
    ax.set_facecolor("none")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set(color=MUTED, linewidth=0.8)
    ax.tick_params(which="both", color=MUTED, labelcolor=MUTED, labelsize=8.5, width=0.7, length=3)
    ax.tick_params(which="minor", length=0)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(color=INK, fontsize=9)
    ax.set_axisbelow(True)


def legend_above(ax: Axes, *, one_row: int, above: float = 4.0) -> None:
    """The legend above the frame, left, so that it hides no data; `above` in points."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    points = 72.0 * ax.bbox.height / ax.figure.dpi
    legend = ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + above / max(points, 1.0)),
        ncols=one_row if is_wide(ax) else 1,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        borderaxespad=0.0,
        borderpad=0.0,
        handlelength=1.6,
        columnspacing=1.6,
        scatterpoints=1,
    )
    legend.set_zorder(5)


def plain_log_ticks(ax: Axes, low: float, high: float) -> None:
    """Ticks at round numbers, written out (1, 10, 100), however short the range is."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [d * 10.0**p for p in powers for d in digits if low <= d * 10.0**p <= high]
        if len(ticks) >= 4:
            break
    ax.set_xticks(ticks)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    ax.minorticks_off()
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
