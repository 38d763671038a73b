"""The leaderboard as one matplotlib figure: the overall ranking, and below it one panel per context."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emjax.report.axes_style import NARROW, name_rows
from emjax.report.draw import leaderboard_size
from emjax.report.format import ems, plural, shorten
from emjax.report.leaderboard_blocks import MOST_CONTEXTS, Board, rankings, votes_in
from emjax.report.plots import plot_leaderboard
from emjax.report.svg import INK, MUTED

MOST_ROWS = 15  # models in a panel
_NAME = 26  # columns that a model's name may take beside a panel
_WIDTH, _GAP, _ROW = 7.6, 0.2, 0.225  # inches
_TITLE, _TICKS, _NOTE = 0.45, 0.35, 0.55  # inches above and below the rows of a panel, and for the note


def leaderboard_picture(
    board: Mapping[str, np.ndarray], *, title: str = "strength (log-odds)", zero: float = 0.0
) -> Figure:
    """The overall ranking as `plot_leaderboard` draws it, and the contexts of most votes in two columns.

    Parameters
    ----------
    board : mapping
        Columns of `leaderboard.parquet`, maybe on another scale.
    title, zero : str, float
        What the strengths are, and where an average model stands.

    Notes
    -----
    Panels share the range of their axes. It is that of the strengths, widened by their intervals up to half
    as much again on either side: the interval of a model with few votes can be many times as long.
    """
    overall, by_context = rankings(board)
    drawn = list(by_context.items())[:MOST_CONTEXTS]
    panels = [(_heading(context, ranking), _strongest(ranking)) for context, ranking in drawn]
    pairs = [panels[i : i + 2] for i in range(0, len(panels), 2)]
    heights = [max(_rows(ranking) for _, ranking in pair) * _ROW + _TITLE + _TICKS for pair in pairs]
    top, frame = leaderboard_size(overall, width=_WIDTH)
    below = sum(heights) + _NOTE if panels else 0.0
    figure = Figure(figsize=(_WIDTH, top + below))
    left, bottom, width, height = frame
    share = top / (top + below)
    ax = figure.add_axes((left, 1.0 - share * (1.0 - bottom), width, share * height))
    plot_leaderboard(overall, title=f"overall {title}" if panels else title, zero=zero, ax=ax)
    if not panels:
        return figure
    ends = _range([ranking for _, ranking in panels], zero)
    edge = below
    for pair, tall in zip(pairs, heights, strict=True):
        for column, (heading, ranking) in enumerate(pair):
            ax = _panel_axes(figure, ranking, column, edge - _TITLE)
            plot_leaderboard(ranking, title="", zero=zero, ax=ax)
            # Longer names than beside axes of this width: models are in another order in each panel.
            name_rows(ax, np.arange(len(ranking["model"])), _names(ranking))
            ax.set_xlim(ends)
            legend = ax.get_legend()
            if legend is not None:
                legend.remove()  # the one above serves all
            place = (column * _WIDTH / 2.0 + _GAP) / _WIDTH, (edge - 0.75 * _TITLE) / (top + below)
            figure.text(*place, heading, fontsize=9, color=INK, parse_math=False)
        edge -= tall
    note = f"{title[0].upper()}{title[1:]} in each context, shrunk to the overall ranking."
    if len(panels) < len(by_context):
        note += f" The {len(panels)} contexts with most votes, of {len(by_context):,}."
    figure.text(_GAP / _WIDTH, 0.5 * _NOTE / (top + below), note, fontsize=8.5, color=MUTED, va="center")
    return figure


def _strongest(ranking: Board) -> Board:
    """The rows that a panel draws."""
    order = np.argsort(-np.asarray(ranking["strength"], np.float64), kind="stable")[:MOST_ROWS]
    return {name: values[order] for name, values in ranking.items()}


def _names(ranking: Board) -> list[str]:
    return [shorten(name, _NAME) for name in ranking["model"]]


def _rows(ranking: Board) -> int:
    return max(len(ranking["model"]), 3)


def _panel_axes(figure: Figure, ranking: Board, column: int, top: float) -> Axes:
    """Axes in one of two columns, as wide as the names leave; `top` in inches from below."""
    total, each = figure.get_figheight(), _WIDTH / 2.0
    names = max(map(ems, _names(ranking))) * 8.5 / 72.0 + _GAP
    width, height = min(each - names - _GAP, NARROW - 0.1), _rows(ranking) * _ROW
    return figure.add_axes(
        ((column * each + names) / _WIDTH, (top - height) / total, width / _WIDTH, height / total)
    )


def _heading(context: str, ranking: Board) -> str:
    models = len(ranking["model"])
    said = f"{shorten(context, 24)}: {plural(votes_in(ranking), 'vote')}"
    return said + (f", {MOST_ROWS} of {models:,} models" if models > MOST_ROWS else "")


def _range(boards: list[Board], zero: float) -> tuple[float, float]:
    """Left and right end of the axes of all panels."""

    def column(names: tuple[str, ...]) -> np.ndarray:
        values = np.concatenate([np.asarray(board[name], np.float64) for board in boards for name in names])
        return np.append(values[np.isfinite(values)], zero)

    points = column(("strength", "ordinary_strength"))
    low, high = float(points.min()), float(points.max())
    more = 0.5 * (high - low) or 0.5
    low = max(low - more, float(column(("strength", "lower")).min()))
    high = min(high + more, float(column(("strength", "upper")).max()))
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin
