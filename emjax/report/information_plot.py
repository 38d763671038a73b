"""Information and label accuracy against the share of votes kept, on a matplotlib Axes."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from emjax.decide.information_curve import InformationCurve
from emjax.report.axes_style import new_axes
from emjax.report.views import draw_keeping


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
