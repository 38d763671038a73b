"""Four views of a fit. Each draws on one matplotlib Axes and returns it.

None of them touches pyplot or matplotlib's settings: without `ax` a view makes a Figure of its own, which
`ax.figure.savefig(...)` saves.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from emjax.infer.fit import Fit
from emjax.report.axes_style import dress, is_wide, legend_above, new_axes, plain_log_ticks
from emjax.report.format import ems, shorten
from emjax.report.plot_inputs import Table, columns_of, summary_of
from emjax.report.plot_thinning import MAX_POINTS, Dots, dot_area, legend_sizes, user_dots
from emjax.report.svg import BLUE, FILL, INK, MUTED, PAPER, RULE, SCALE, VERMILION

BIN = 0.05  # width of the histogram's steps, on the scale of attentiveness
NORMAL_95 = 1.959964
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
        x: attentiveness, 0 to 1, or −1 to 1 where the prior reaches below 0. y: share of users in percent:
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
    prior = summary_of(fit)["attentiveness"]
    top, low = 0.0, -1.0 if min(prior["nodes"]) < 0.0 else 0.0
    if users is not None:
        means = _floats(columns_of(users, ["attentiveness"], source=_USERS)["attentiveness"])
        means = means[np.isfinite(means)]
        edges = np.linspace(low, 1.0, round((1.0 - low) / BIN) + 1)
        shares = 100.0 * np.histogram(np.clip(means, low, 1.0), edges)[0] / max(len(means), 1)
        label = "users\u2019 posterior means"
        ax.bar(
            edges[:-1],
            shares,
            width=BIN,
            align="edge",
            color=FILL,
            edgecolor=PAPER,
            linewidth=0.8,
            label=label,
        )
        top = shares.max(initial=0.0)
    if prior.get("density") is None:
        nodes, weights = (np.asarray(prior[key], dtype=np.float64) for key in ("nodes", "weights"))
        spacing = np.diff(np.sort(nodes)).min(initial=1.0)
        width = min(0.012, 0.8 * spacing) if spacing > 0 else 0.012
        ax.bar(
            nodes, 100.0 * weights, width=width, color=BLUE, label="fitted distribution (share at each point)"
        )
        top = max(top, 100.0 * weights.max(initial=0.0))
    else:
        eta, density = (_floats(prior["density"][key]) for key in ("eta", "density"))
        shares = 100.0 * BIN * density
        drawn = np.isfinite(shares)
        ax.plot(eta[drawn], shares[drawn], color=BLUE, linewidth=1.8, label="fitted distribution (density)")
        inside = shares[drawn & (eta > 0.02) & (eta < 0.98)]
        top = max(top, inside.max(initial=0.0))
    ax.set_xlim(low - 0.02, 1.02)
    ax.set_ylim(0.0, 1.06 * top if top > 0 else 1.0)
    ax.set_xlabel("attentiveness")
    ax.set_ylabel("share of users (%)")
    dress(ax)
    legend_above(ax, one_row=2)
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
    return draw_dots(user_dots(columns, max_points), new_axes(ax))


def draw_dots(dots: Dots, ax: Axes) -> Axes:
    """The picture of `plot_users`, from dots that are there already."""
    colors = ListedColormap(list(SCALE))
    norm = BoundaryNorm(np.linspace(0.0, 1.0, len(SCALE) + 1), len(SCALE))
    crowd = dots.users.max(initial=1.0)
    area = dot_area(dots.users, crowd)
    order = np.argsort(-area, kind="stable")  # small dots on top of large ones
    low, high = (dots.n_votes.min(), dots.n_votes.max()) if len(area) else (1.0, 1.0)
    low, high = (low / 1.25, high * 1.25) if high > 1.5 * low else (low / 2.0, high * 2.0)
    votes = np.geomspace(low, high, 120)
    half = 100.0 * NORMAL_95 * 0.5 / np.sqrt(votes)
    band = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 3))}
    ax.axhline(50.0, color=MUTED, linewidth=0.9)
    ax.plot(votes, 50.0 + half, label="95 % of users who click at random", **band)
    ax.plot(votes, 50.0 - half, **band)
    drawn = ax.scatter(
        dots.n_votes[order],
        100.0 * dots.agreement[order],
        s=area[order],
        c=dots.attentiveness[order],
        cmap=colors,
        norm=norm,
        alpha=0.85,
        edgecolors=PAPER,
        linewidths=0.4,
        zorder=3,
    )
    for size in legend_sizes(crowd):
        label = "1 user" if size == 1 else f"{size:,} users"
        ax.scatter([], [], s=dot_area(np.array([size]), crowd), color=MUTED, edgecolors=PAPER, label=label)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    plain_log_ticks(ax, low, high)
    ax.set_ylim(-4.0, 104.0)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_xlabel("votes cast (log scale)")
    ax.set_ylabel("agreement with the fitted strengths (%)" if is_wide(ax) else "agreement (%)")
    dress(ax)
    bar = ax.figure.colorbar(drawn, ax=ax, ticks=[0, 0.5, 1], pad=0.03, aspect=28, drawedges=False)
    bar.ax.set_yticklabels(["0", "½", "1"])
    bar.set_label("attentiveness (posterior mean)", color=INK, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=MUTED)
    legend_above(ax, one_row=4)
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
    leaderboard = columns_of(leaderboard, names, source=_BOARD, optional="true_strength")
    strength = _floats(leaderboard["strength"])
    order = np.argsort(-strength, kind="stable")[:limit]
    ax = leaderboard_canvas(leaderboard, limit=limit)[1] if ax is None else ax
    strength, lower, upper, ordinary = (
        _floats(leaderboard[key])[order] for key in ("strength", "lower", "upper", "ordinary_strength")
    )
    names = [shorten(leaderboard["model"][i], _name_width(is_wide(ax))) for i in order]
    place = np.arange(len(order), dtype=np.float64)
    known = np.isfinite(lower) & np.isfinite(upper)
    plain = np.isfinite(ordinary)
    ax.axvline(0.0, color=MUTED, linewidth=0.8)
    ax.hlines(
        place[known], lower[known], upper[known], color=BLUE, linewidth=1.6, label="95 % interval", zorder=2
    )
    ax.plot(
        strength,
        place,
        "o",
        color=BLUE,
        markersize=4.8,
        label="strength",
        zorder=4,
    )
    ordinary_marks = {
        "markersize": 4.2,
        "markerfacecolor": PAPER,
        "markeredgecolor": VERMILION,
        "markeredgewidth": 1.1,
    }
    ax.plot(
        ordinary[plain],
        place[plain] + 0.22,
        "D",
        linestyle="none",
        label="ordinary Bradley\u2013Terry",
        zorder=3,
        **ordinary_marks,
    )
    if "true_strength" in leaderboard:
        true = _floats(leaderboard["true_strength"])[order]
        ax.plot(true, place, "|", color=INK, markersize=9, markeredgewidth=1.3, label="truth", zorder=5)
    ax.set_ylim(len(order) - 0.3, -0.7)
    ax.set_yticks(place)
    ax.set_yticklabels(names, parse_math=False)
    ax.set_xlabel("strength (log-odds)")
    ax.set_ylabel("model, strongest first" if is_wide(ax) else "")
    dress(ax)
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    if len(order) > 25:
        ax.tick_params(axis="x", top=True, labeltop=True)
    legend_above(ax, one_row=4, above=26.0 if len(order) > 25 else 8.0)
    return ax


def leaderboard_canvas(
    leaderboard: dict[str, np.ndarray], *, limit: int | None = None, width: float = 7.6
) -> tuple[Figure, Axes]:
    """A new figure and its axes, with room for every row and the longest name; `width` in inches.

    Examples
    --------
    >>> import numpy as np
    >>> figure, ax = leaderboard_canvas({"model": np.array(["a", "b"], object)})
    >>> float(figure.get_figwidth())
    7.6
    """
    rows = min(len(leaderboard["model"]), limit or len(leaderboard["model"]))
    wide = width >= 5.0
    names = max((ems(shorten(name, _name_width(wide))) for name in leaderboard["model"]), default=1.0)
    legend = 0.42 if wide else 0.94 if "true_strength" in leaderboard else 0.78
    above = legend + (0.25 if rows > 25 else 0.0)
    below = 0.5
    height = above + below + max(rows, 3) * 0.225
    left = 0.12 + names * 8.5 / 72.0 + (0.24 if wide else 0.0)
    figure = Figure(figsize=(width, height))
    frame = (left / width, below / height, (width - left - 0.15) / width, (height - above - below) / height)
    return figure, figure.add_axes(frame)


def plot_trace(fit: Fit | dict, *, ax: Axes | None = None) -> Axes:
    """How much log-likelihood was still lacking after each step, on a logarithmic scale.

    Parameters
    ----------
    fit : Fit, or the content of a fit.json
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if it is None.

    Returns
    -------
    matplotlib.axes.Axes
        x: step. y: best value of the trace, plus the gap that is left at most, minus the value at the step,
        in log-likelihood units. EM steps are round and blue, polish steps square and orange; the tolerance
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
    ax, fit = new_axes(ax), summary_of(fit)
    trace = _floats(fit["trace"])
    lacking = trace_lacking(fit)
    step = np.arange(1, len(trace) + 1)
    em = len(trace) - min(int(fit["polish_steps"]), len(trace))
    few = len(trace) <= 80
    look: dict[str, Any] = {"linewidth": 1.5, "markersize": 4.5 if few else 0.0}
    if em:
        ax.plot(step[:em], lacking[:em], "o-", color=BLUE, label="EM steps", **look)
    if em < len(trace):
        # From the last EM step on, so that the line does not break between the two.
        start = max(em - 1, 0)
        ax.plot(step[start : em + 1], lacking[start : em + 1], "-", color=VERMILION, linewidth=1.5)
        look |= {"markersize": 4.5 if len(trace) - em <= 80 else 0.0, "markerfacecolor": PAPER}
        ax.plot(step[em:], lacking[em:], "s-", color=VERMILION, label="polish steps", **look)
    ax.axhline(float(fit["tol"]), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="tolerance")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    ax.set_xlim(0.5, max(len(trace), 1) + 0.5)
    ax.set_xlabel("step")
    ax.set_ylabel("log-likelihood still lacking (units)")
    dress(ax)
    legend_above(ax, one_row=3)
    return ax


def trace_lacking(fit: dict) -> np.ndarray:
    """What log L still lacks at most after each step, shape (steps,), and never below rounding.

    Examples
    --------
    >>> trace_lacking({"trace": [-12.0, -10.0], "gap": 0.5}).tolist()
    [2.5, 0.5]
    """
    trace = _floats(fit["trace"])
    best = np.nanmax(trace) if np.isfinite(trace).any() else 0.0
    gap = 0.0 if fit["gap"] is None else max(float(fit["gap"]), 0.0)
    return np.maximum(best + gap - trace, np.spacing(max(abs(best), 1.0)))


def _floats(values: object) -> np.ndarray:
    """float64, with NaN for None."""
    return np.asarray(values, dtype=np.float64)


def _name_width(wide: bool) -> int:
    """Columns that a model's name may take beside the picture."""
    return 34 if wide else 18
