"""The views of a fit, a filter and predictions as functions that draw on one matplotlib Axes and return it.

None of them touches pyplot or matplotlib's settings: without `ax` a view makes a Figure of its own, which
`ax.figure.savefig(...)` saves.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emjax.bayes.predictive import WinRates
from emjax.decide.information_curve import InformationCurve
from emjax.decide.predictive_scores import Calibration, Reliability
from emjax.errors import ModelError
from emjax.infer.fit import Fit
from emjax.report.axes_style import legend_above, new_axes, style_axes
from emjax.report.draw import (
    draw_attentiveness,
    draw_dots,
    draw_keeping,
    draw_leaderboard,
    draw_trace,
    leaderboard_size,
)
from emjax.report.leaderboard_blocks import rankings
from emjax.report.plot_inputs import Table, columns_of, summary_of
from emjax.report.plot_thinning import MAX_POINTS, user_dots
from emjax.report.svg import BLUE, FILL, INK, MUTED, PAPER, VERMILION

_USERS, _BOARD = "fit.users(prefs)", "fit.leaderboard(prefs)"
_MARKS = ((BLUE, "o"), (VERMILION, "D"), (MUTED, "s"), (INK, "^"))  # of reliability curves
_BAND = (2.5, 97.5)  # percent of the predictive draws below its ends


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


def plot_leaderboard(
    leaderboard: Table,
    *,
    context: str | None = None,
    limit: int | None = None,
    title: str = "strength (log-odds)",
    zero: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """Strength of each model with its 95 % interval, best on top, and ordinary Bradley\u2013Terry next to it.

    Parameters
    ----------
    leaderboard : table
        What `fit.leaderboard(prefs)` gives: `model`, and in log-odds `strength`, `lower`, `upper` and
        `ordinary_strength`. What is missing or NaN is not drawn. With a column `true_strength` (simulated
        votes), the truth is drawn too.
    context : str, optional
        Where strengths differ by context: the ranking in this one. The overall ranking if it is None.
    limit : int, optional
        Draw the strongest so many only; all of them if it is None.
    title, zero : str, float
        What the strengths are, and where an average model stands, where they are on another scale.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure, tall enough for every name, if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: strength in log-odds. y: models, whose names are cut in the middle where they are long.

    Raises
    ------
    ModelError
        The table has no such context, or it is no leaderboard.

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
    columns = columns_of(leaderboard, names, source=_BOARD, optional=("true_strength", "context", "n_votes"))
    columns = _ranking(columns, context)
    ax = _leaderboard_axes(columns, limit) if ax is None else ax
    draw_leaderboard(columns, limit, ax, title=title, zero=zero)
    return ax


def _ranking(board: dict[str, np.ndarray], context: str | None) -> dict[str, np.ndarray]:
    """The rows of one context, or of the overall ranking."""
    if "context" not in board and context is None:
        return board
    overall, by_context = rankings({"n_votes": np.zeros(len(board["model"]))} | board)
    if context is not None and context not in by_context:
        known = ", ".join(repr(of) for of in list(by_context)[:5]) or "none"
        raise ModelError(f"the leaderboard has no context {context!r}: give one of those it has ({known}).")
    return overall if context is None else by_context[context]


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


def plot_keeping(
    curve: InformationCurve,
    *,
    chosen: Mapping[str, tuple[float, float]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Information about the reward and expected label accuracy against the share of votes kept.

    Parameters
    ----------
    curve : InformationCurve
        As `information_curve` and `Filtered.curve` give it.
    chosen : mapping of str to (float, float), optional
        Points to mark, by name: share of votes kept, and information as a share of what weights reach. The
        threshold with most information if nothing is given.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: votes kept in percent, those of the highest attentiveness first. y: percent.

    Notes
    -----
    Information is a first-order account: how well the kept votes tell the direction of the reward.

    Examples
    --------
    >>> import emjax, numpy as np
    >>> curve = emjax.information_curve(np.array([0.9, 0.5, 0.1]), np.ones(3))
    >>> plot_keeping(curve).get_xlabel()
    'votes kept, most attentive first (%)'
    """
    ax = new_axes(ax)
    draw_keeping(curve, chosen, ax)
    return ax


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
