"""Style of every view: frame, legend, ticks, coloured dots; on a matplotlib Axes or on `SvgAxes`.

matplotlib is imported where one of its Axes is drawn on, because the report page does without.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emjax.report.svg import INK, MUTED, PAPER, RULE, SCALE, SvgAxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any

AnyAxes = Any  # matplotlib.axes.Axes or SvgAxes
NARROW = 3.2  # inches; axes below it are meant for a phone


def new_axes(ax: Axes | None) -> Axes:
    """The matplotlib Axes given, or those of a new figure if there is None."""
    from matplotlib.figure import Figure

    return Figure(figsize=(7.6, 4.0), layout="constrained").add_subplot() if ax is None else ax


def is_wide(ax: AnyAxes) -> bool:
    """Whether a legend in one row and whole names fit, as they do not on a phone."""
    if isinstance(ax, SvgAxes):
        return ax.is_wide
    return bool(ax.bbox.width / ax.figure.dpi >= NARROW)


def style_axes(ax: AnyAxes) -> None:
    """Two thin spines, grey ticks, labels in ink."""
    if isinstance(ax, SvgAxes):
        return  # it has no other style
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


def legend_above(ax: AnyAxes, *, one_row: int, above: float = 4.0) -> None:
    """The legend above the frame, left, so that it hides no data; `above` in points."""
    if isinstance(ax, SvgAxes):
        ax.legend_above(one_row, above)
        return
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


def plain_log_ticks(ax: AnyAxes, low: float, high: float) -> None:
    """Ticks at round numbers, written out (1, 10, 100), however short the range is."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [d * 10.0**p for p in powers for d in digits if low <= d * 10.0**p <= high]
        if len(ticks) >= 4:
            break
    if isinstance(ax, SvgAxes):
        ax.set_xticks(ticks, [f"{x:,.10g}" for x in ticks])
        return
    from matplotlib.ticker import FuncFormatter

    ax.set_xticks(ticks)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    ax.minorticks_off()
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))


def whole_ticks(ax: AnyAxes) -> None:
    """Ticks of the x axis at whole numbers."""
    if isinstance(ax, SvgAxes):
        ax.x.whole = True
        return
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def color_dots(
    ax: AnyAxes, x: np.ndarray, y: np.ndarray, area: np.ndarray, share: np.ndarray, name: str
) -> None:
    """Dots of these areas, coloured by a share from 0 to 1, with a colour bar called `name`."""
    if isinstance(ax, SvgAxes):
        place = np.clip(np.floor(share * len(SCALE) + 1e-9), 0, len(SCALE) - 1).astype(int)
        ax.dots(x, y, area, [SCALE[i] for i in place])
        ax.color_bar(SCALE, (0.0, 0.5, 1.0), ("0", "½", "1"), name)
        return
    from matplotlib.colors import BoundaryNorm, ListedColormap

    drawn = ax.scatter(
        x,
        y,
        s=area,
        c=share,
        cmap=ListedColormap(list(SCALE)),
        norm=BoundaryNorm(np.linspace(0.0, 1.0, len(SCALE) + 1), len(SCALE)),
        alpha=0.85,
        edgecolors=PAPER,
        linewidths=0.4,
        zorder=3,
    )
    bar = ax.figure.colorbar(drawn, ax=ax, ticks=[0, 0.5, 1], pad=0.03, aspect=28, drawedges=False)
    bar.ax.set_yticklabels(["0", "½", "1"])
    bar.set_label(name, color=INK, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=MUTED)


def legend_dot(ax: AnyAxes, area: float, label: str) -> None:
    """A grey dot in the legend alone."""
    if isinstance(ax, SvgAxes):
        ax.legend_dot(area, MUTED, label)
    else:
        ax.scatter([], [], s=[area], color=MUTED, edgecolors=PAPER, label=label)


def name_rows(ax: AnyAxes, place: np.ndarray, names: Sequence[str]) -> None:
    """A name for each row, as it is written: "$" begins no formula."""
    if isinstance(ax, SvgAxes):
        ax.set_yticks(place, names)
    else:
        ax.set_yticks(place)
        ax.set_yticklabels(names, parse_math=False)


def style_rows(ax: AnyAxes, *, ticks_on_top: bool) -> None:
    """A thin line for each row in place of the axis on the left; after `style_axes`."""
    if isinstance(ax, SvgAxes):
        ax.rows(ticks_on_top=ticks_on_top)
        return
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    if ticks_on_top:
        ax.tick_params(axis="x", top=True, labeltop=True)
