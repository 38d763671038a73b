"""Votes kept against what they tell: the curve of every threshold, and the points chosen on it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from emjax.decide.information_curve import InformationCurve, information_curve
from emjax.report.axes_style import dress, legend_above, new_axes
from emjax.report.fit_folder import ReportFiles
from emjax.report.format import percent
from emjax.report.page_figures import figure_of
from emjax.report.svg import BLUE, INK, MUTED, PAPER, VERMILION


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
        As `information_curve` and `Kept.curve` give it.
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
    if chosen is None:
        best = curve.best
        chosen = {"most information": (float(curve.share[best]), float(curve.information[best]))}
    share = 100.0 * np.concatenate([[0.0], curve.share])
    information = 100.0 * np.concatenate([[0.0], curve.information])
    accuracy = 100.0 * np.concatenate([curve.label_accuracy[:1], curve.label_accuracy])
    ax.axhline(100.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="information under weights")
    ax.plot(share, information, color=BLUE, linewidth=1.8, label="information kept")
    ax.plot(share, accuracy, color=VERMILION, linewidth=1.5, label="labels right, expected")
    marks = ("o", "D", "s", "^")
    for mark, (name, (x, y)) in zip(marks, chosen.items(), strict=False):
        look = {"markersize": 6.0, "markerfacecolor": PAPER, "markeredgecolor": INK, "markeredgewidth": 1.3}
        ax.plot([100.0 * x], [100.0 * y], mark, linestyle="none", zorder=4, label=name, clip_on=False, **look)
    ax.set_xlim(0.0, 100.0)
    ax.set_ylim(0.0, 104.0)
    ax.set_xlabel("votes kept, most attentive first (%)")
    ax.set_ylabel("percent")
    dress(ax)
    legend_above(ax, one_row=3)
    return ax


def keeping_figure(curve: InformationCurve, chosen: Mapping[str, tuple[float, float]] | None = None) -> str:
    """The curve as a picture for a page, with how to read it."""
    best = curve.best
    caption = (
        "Keeping only the votes of the most attentive users makes labels better (orange) and fewer. What the "
        "kept votes tell about the direction of the reward (blue) is largest where "
        f"{_share(curve.share[best])} of the votes are kept, with an attentiveness of at least "
        f"{curve.attentiveness[best]:.2f}: {_share(curve.information[best])} of what is told if every vote "
        f"is kept and weighs as much as its attentiveness (dashed). Without any filter it is "
        f"{_share(curve.information[-1])}."
    )
    label = "Information and expected label accuracy against the share of votes kept"
    return figure_of(
        "k", label, caption, lambda ax: plot_keeping(curve.thinned(), chosen=chosen, ax=ax), (3.8, 3.3)
    )


def keeping_section(files: ReportFiles) -> str:
    """What a filter would keep of the votes of a fit; nothing if users have no votes."""
    eta, votes = files.users["attentiveness"], files.users["n_votes"]
    known = np.isfinite(eta) & np.isfinite(votes) & (votes > 0)
    if not known.any():
        return ""
    return KEEPING + keeping_figure(information_curve(eta[known], votes[known]))


KEEPING = (
    "<p>For training on these votes, <code>emjax filter VOTES --fit DIR --policy POLICY --out DIR2</code> "
    "keeps or weights them, and judges each vote by its user\u2019s other votes. Here users are judged by "
    "all of their votes, which flatters a little.</p>"
)


def _share(share: float) -> str:
    return percent(float(share)).replace("&gt;", "over ").replace("&lt;", "under ")
