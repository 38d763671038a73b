"""The views of a fit as functions that draw on one matplotlib Axes and return it.

None of them touches pyplot or matplotlib's settings: without `ax` a view makes a Figure of its own, which
`ax.figure.savefig(...)` saves.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emjax.infer.fit import Fit
from emjax.report.axes_style import new_axes
from emjax.report.plot_inputs import Table, columns_of, summary_of
from emjax.report.plot_thinning import MAX_POINTS, user_dots
from emjax.report.views import (
    draw_attentiveness,
    draw_dots,
    draw_leaderboard,
    draw_trace,
    leaderboard_size,
)

_USERS, _BOARD = "fit.users(prefs)", "fit.leaderboard(prefs)"


def plot_attentiveness(fit: Fit | dict, users: Table | None = None, *, ax: Axes | None = None) -> Axes:
    """The fitted distribution of attentiveness, over a histogram of the users' posterior means.

    Parameters
    ----------
    fit : Fit, or the content of a fit.json
    users : table, optional
        What `fit.users(prefs)` gives: its column `attentiveness`, posterior means, makes the histogram.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: attentiveness, 0 to 1, or −1 to 1 where the prior has mass below 0. y: share of users in percent:
        per step of 0.05 for the histogram and for a density, at each node for discrete weights.

    Notes
    -----
    The histogram is narrower than the distribution wherever users have few votes: posterior means are pulled
    together. A density that is infinite at 0 or 1 leaves the picture there.

    Examples
    --------
    >>> import emjax
    >>> from emjax.report import plot_attentiveness
    >>> prefs = emjax.Preferences.from_counts([9, 5, 1, 8], [10, 10, 10, 10])
    >>> fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known(0.9))
    >>> plot_attentiveness(fit, fit.users(prefs)).get_xlabel()
    'attentiveness'
    """
    ax = new_axes(ax)
    table = None if users is None else columns_of(users, ["attentiveness"], source=_USERS)
    draw_attentiveness(summary_of(fit), table, ax)
    return ax


def plot_users(users: Table, *, ax: Axes | None = None, max_points: int = MAX_POINTS) -> Axes:
    """How often each user agreed with the fitted strengths, against the number of votes the user cast.

    Parameters
    ----------
    users : table
        What `fit.users(prefs)` gives; `n_votes`, `agreement` (share of votes for the model that the strengths
        favour) and `attentiveness` (posterior mean) are drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.
    max_points : int
        Up to so many places, each user is drawn where they are (users at the same place as one larger dot).
        Beyond that, users are gathered in small cells: a dot at the cell's mean, in the colour of its mean
        attentiveness, its area telling how many there are. No user is left out of the picture.

    Returns
    -------
    matplotlib.axes.Axes
        x: votes cast, logarithmic. y: agreement in percent. Dashed: where about 95 % of users lie who click
        at random (normal approximation to the binomial). A colour bar shows attentiveness.

    Notes
    -----
    Users without votes have no place in this picture and are not drawn.

    Examples
    --------
    >>> import emjax
    >>> from emjax.report import plot_users
    >>> prefs = emjax.Preferences.from_counts([9, 5, 1, 8], [10, 10, 10, 10])
    >>> fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known(0.9))
    >>> plot_users(fit.users(prefs)).get_xscale()
    'log'
    """
    columns = columns_of(users, ["n_votes", "agreement", "attentiveness"], source=_USERS)
    ax = new_axes(ax)
    draw_dots(user_dots(columns, max_points), ax)
    return ax


def plot_leaderboard(leaderboard: Table, *, limit: int | None = None, ax: Axes | None = None) -> Axes:
    """Strength of each model with its 95 % interval, best on top, and ordinary Bradley\u2013Terry next to it.

    Parameters
    ----------
    leaderboard : table
        What `fit.leaderboard(prefs)` gives: `model`, and in log-odds `strength`, `lower`, `upper` and
        `ordinary_strength`. What is missing or NaN is not drawn. With a column `true_strength` (simulated
        votes), the truth is drawn too.
    limit : int, optional
        Draw the strongest so many only; all of them if it is None.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure, tall enough for every name, if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: strength in log-odds. y: models, whose names are cut in the middle where they are long.

    Notes
    -----
    The intervals are of single strengths. Whether two models differ is a question about their difference,
    whose standard error is not in this picture.

    Examples
    --------
    >>> import emjax
    >>> from emjax.report import plot_leaderboard
    >>> sim = emjax.simulate(0, n_users=300, votes_per_user=40, strengths={"ant": 1, "bee": 0, "cat": -1})
    >>> fit = emjax.fit_em(sim.preferences, emjax.Beta())
    >>> ax = plot_leaderboard(fit.leaderboard(sim.preferences))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['ant', 'bee', 'cat']
    """
    names = ["model", "strength", "lower", "upper", "ordinary_strength"]
    columns = columns_of(leaderboard, names, source=_BOARD, optional="true_strength")
    ax = _leaderboard_axes(columns, limit) if ax is None else ax
    draw_leaderboard(columns, limit, ax)
    return ax


def _leaderboard_axes(leaderboard: dict[str, np.ndarray], limit: int | None) -> Axes:
    """Axes in a new figure that fits every row and the longest name."""
    width = 7.6
    height, frame = leaderboard_size(leaderboard, limit=limit, width=width)
    return Figure(figsize=(width, height)).add_axes(frame)


def plot_trace(fit: Fit | dict, *, ax: Axes | None = None) -> Axes:
    """The optimality gap of the log-likelihood after each step, on a logarithmic scale.

    Parameters
    ----------
    fit : Fit, or the content of a fit.json
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: step. y: best value of the trace, plus the gap that is left at most, minus the value at the step,
        in log-likelihood units. EM steps are round and blue, Newton steps square and orange; the tolerance
        is dashed.

    Notes
    -----
    Where several steps end on the best value and the gap is zero, there is nothing to show on a logarithmic
    scale: such steps are drawn at the smallest difference that double precision can tell.

    Examples
    --------
    >>> import emjax
    >>> from emjax.report import plot_trace
    >>> prefs = emjax.Preferences.from_counts([9, 5, 1, 8], [10, 10, 10, 10])
    >>> plot_trace(emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known(0.9))).get_yscale()
    'log'
    """
    ax = new_axes(ax)
    draw_trace(summary_of(fit), ax)
    return ax
