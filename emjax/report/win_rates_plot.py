"""A posterior predictive check as a picture: win rates over users, observed and predicted."""

import numpy as np
from matplotlib.axes import Axes

from emjax.bayes.predictive import WinRates
from emjax.report.axes_style import legend_above, new_axes, style_axes
from emjax.report.svg import BLUE, FILL, MUTED

_BAND = (2.5, 97.5)  # percent of the predictive draws below its ends


def plot_win_rates(check: WinRates, *, ax: Axes | None = None) -> Axes:
    """How many users have which win rate, over the range in which the model would have expected it.

    Parameters
    ----------
    check : WinRates
        What `fit.win_rates(prefs, key=...)` of a `fit_bayes` gives.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: share of a user's votes for the model that the strengths favour, in percent. y: number of users in
        each bin. The band holds the middle 95 % of predictive draws, bin by bin; its middle is their median.

    Notes
    -----
    The band is for each bin alone: of twenty bins, one outside it is no surprise. The same votes were fitted,
    so that a model has to be quite wrong before its own band shows it.

    Examples
    --------
    >>> import emjax, numpy as np
    >>> from emjax.report import plot_win_rates
    >>> from emjax.bayes.predictive import WinRates
    >>> drawn = np.random.default_rng(0).multinomial(50, [0.2, 0.5, 0.3], 100)
    >>> check = WinRates(np.linspace(0, 1, 4), np.array([9, 26, 15]), drawn, 0.2, np.full(100, 0.2))
    >>> plot_win_rates(check).get_ylabel()
    'users'
    """
    ax = new_axes(ax)
    edges = 100.0 * np.asarray(check.edges)
    lower, upper = np.percentile(check.drawn, _BAND, axis=0)
    middle = np.median(check.drawn, axis=0)
    ax.stairs(
        upper, edges, baseline=lower, fill=True, color=FILL, label="expected (95 % of predictive draws)"
    )
    ax.hlines(middle, edges[:-1], edges[1:], color=MUTED, linewidth=1.0)
    centers = 0.5 * (edges[:-1] + edges[1:])
    ax.plot(centers, check.seen, "o", color=BLUE, markersize=5.5, label="observed", zorder=4)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0.0, 1.08 * max(float(upper.max()), float(np.max(check.seen)), 1.0))
    ax.set_xlabel("user\u2019s votes for the favoured model (%)")
    ax.set_ylabel("users")
    style_axes(ax)
    legend_above(ax, one_row=2)
    return ax
