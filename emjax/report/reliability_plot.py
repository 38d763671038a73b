"""The reliability curve: how often the favoured side won, against its predicted probability."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from emjax.decide.predictive_scores import Calibration, Reliability
from emjax.report.axes_style import legend_above, new_axes, style_axes
from emjax.report.svg import BLUE, INK, MUTED, PAPER, VERMILION

_MARKS = ((BLUE, "o"), (VERMILION, "D"), (MUTED, "s"), (INK, "^"))


def plot_calibration(calibration: Calibration | Mapping[str, Reliability], *, ax: Axes | None = None) -> Axes:
    """Share of votes that went to the favoured side against the probability it was given.

    Parameters
    ----------
    calibration : Calibration, or reliability curves by name
        As `emjax.cross_validate` and `emjax.score_votes` give it. At most three curves are drawn beside
        the first, thin, to compare with.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: predicted probability of the favoured side, 50 to 100 percent. y: share of votes that went to it,
        in percent, with 95 % intervals clustered by user. A point on the dashed diagonal is calibrated.

    Notes
    -----
    A curve on the diagonal is not yet a good prediction: one probability for all votes can lie on it too.
    How much a predictor tells is its log score.

    Examples
    --------
    >>> import emjax, numpy as np
    >>> from emjax.report import plot_calibration
    >>> cast = np.array([0.8, 0.8, 0.2, 0.8])  # probability given to each vote that was cast
    >>> found = emjax.Calibration(np.arange(4), np.ones(4), {"mine": cast})
    >>> plot_calibration(found).get_xlabel()
    'predicted probability of the favoured side (%)'
    """
    ax = new_axes(ax)
    curves = calibration.reliability if isinstance(calibration, Calibration) else calibration
    ax.plot([50.0, 100.0], [50.0, 100.0], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    for i, ((name, curve), (color, mark)) in enumerate(zip(curves.items(), _MARKS, strict=False)):
        x, own = 100.0 * curve.predicted, i == 0
        style = {"color": color, "zorder": 4 if own else 3}
        thin = 1.3 if own else 0.5
        ax.vlines(x, 100.0 * curve.lower, 100.0 * curve.upper, linewidth=thin, **style)
        ax.plot(
            x,
            100.0 * curve.observed,
            marker=mark,
            markersize=5.5 if own else 4.5,
            markerfacecolor=color if own else PAPER,
            linewidth=1.5 if own else 0.9,
            label=name,
            **style,
        )
    ax.set_xlim(49.0, 101.0)
    ax.set_ylim(min(40.0, ax.get_ylim()[0]), 102.0)
    ax.set_xlabel("predicted probability of the favoured side (%)")
    ax.set_ylabel("votes that went to it (%)")
    style_axes(ax)
    legend_above(ax, one_row=2)
    return ax
