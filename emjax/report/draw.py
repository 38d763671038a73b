"""How each view of a fit is drawn, on a matplotlib Axes or on the `SvgAxes` of a page.

This module does not import matplotlib. `emjax.report.plots` has the public functions, which take an Axes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from emjax.decide.information_curve import InformationCurve
from emjax.report.axes_style import (
    color_dots,
    is_wide,
    legend_above,
    legend_dot,
    name_rows,
    plain_log_ticks,
    style_axes,
    style_rows,
    whole_ticks,
)
from emjax.report.format import ems, shorten
from emjax.report.plot_thinning import Dots, dot_area, legend_sizes
from emjax.report.svg import BLUE, FILL, INK, MUTED, PAPER, VERMILION

AnyAxes = Any  # matplotlib.axes.Axes or emjax.report.svg.SvgAxes
BIN = 0.05  # width of the histogram's steps, on the scale of attentiveness
NORMAL_95 = 1.959964


def draw_attentiveness(fit: dict, users: Mapping[str, np.ndarray] | None, ax: AnyAxes) -> None:
    """As `plot_attentiveness`, from the content of a fit.json and a table of users."""
    prior = fit["attentiveness"]
    top, low = 0.0, -1.0 if min(prior["nodes"]) < 0.0 else 0.0
    if users is not None:
        means = _floats(users["attentiveness"])
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
    style_axes(ax)
    legend_above(ax, one_row=2)


def draw_dots(dots: Dots, ax: AnyAxes) -> None:
    """As `plot_users`, from dots."""
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
    color_dots(
        ax,
        dots.n_votes[order],
        100.0 * dots.agreement[order],
        area[order],
        dots.attentiveness[order],
        "attentiveness (posterior mean)",
    )
    for size in legend_sizes(crowd):
        label = "1 user" if size == 1 else f"{size:,} users"
        legend_dot(ax, float(dot_area(np.array([size]), crowd)[0]), label)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    plain_log_ticks(ax, low, high)
    ax.set_ylim(-4.0, 104.0)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_xlabel("votes cast (log scale)")
    ax.set_ylabel("agreement with the fitted strengths (%)" if is_wide(ax) else "agreement (%)")
    style_axes(ax)
    legend_above(ax, one_row=4)


def draw_leaderboard(
    leaderboard: Mapping[str, np.ndarray],
    limit: int | None,
    ax: AnyAxes,
    *,
    title: str = "strength (log-odds)",
    zero: float = 0.0,
) -> None:
    """As `plot_leaderboard`, from columns that are arrays."""
    strength = _floats(leaderboard["strength"])
    order = np.argsort(-strength, kind="stable")[:limit]
    strength, lower, upper, ordinary = (
        _floats(leaderboard[key])[order] for key in ("strength", "lower", "upper", "ordinary_strength")
    )
    names = [shorten(leaderboard["model"][i], _name_width(is_wide(ax))) for i in order]
    place = np.arange(len(order), dtype=np.float64)
    known = np.isfinite(lower) & np.isfinite(upper)
    plain = np.isfinite(ordinary)
    ax.axvline(zero, color=MUTED, linewidth=0.8)
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
    name_rows(ax, place, names)
    ax.set_xlabel(title)
    ax.set_ylabel("model, strongest first" if is_wide(ax) else "")
    style_axes(ax)
    style_rows(ax, ticks_on_top=len(order) > 25)
    legend_above(ax, one_row=4, above=26.0 if len(order) > 25 else 8.0)


def leaderboard_size(
    leaderboard: dict[str, np.ndarray], *, limit: int | None = None, width: float = 7.6
) -> tuple[float, tuple[float, float, float, float]]:
    """Height in inches, and frame, to fit every row and the longest name; `width` in inches.

    The frame is (left, bottom, width, height) as shares of the picture.

    Examples
    --------
    >>> height, frame = leaderboard_size({"model": np.array(["a", "b"], object)})
    >>> 0.0 < frame[0] < 1.0 < height
    True
    """
    rows = min(len(leaderboard["model"]), limit or len(leaderboard["model"]))
    wide = width >= 5.0
    names = max((ems(shorten(name, _name_width(wide))) for name in leaderboard["model"]), default=1.0)
    legend = 0.42 if wide else 0.94 if "true_strength" in leaderboard else 0.78
    above = legend + (0.25 if rows > 25 else 0.0)
    below = 0.5
    height = above + below + max(rows, 3) * 0.225
    left = 0.12 + names * 8.5 / 72.0 + (0.24 if wide else 0.0)
    frame = (left / width, below / height, (width - left - 0.15) / width, (height - above - below) / height)
    return height, frame


def draw_trace(fit: dict, ax: AnyAxes) -> None:
    """As `plot_trace`, from the content of a fit.json."""
    trace = _floats(fit["trace"])
    gap = trace_gap(fit)
    step = np.arange(1, len(trace) + 1)
    em = len(trace) - min(int(fit["newton_steps"]), len(trace))
    few = len(trace) <= 80
    style: dict[str, Any] = {"linewidth": 1.5, "markersize": 4.5 if few else 0.0}
    if em:
        ax.plot(step[:em], gap[:em], "o-", color=BLUE, label="EM steps", **style)
    if em < len(trace):
        # From the last EM step on, so that the line does not break between the two.
        start = max(em - 1, 0)
        ax.plot(step[start : em + 1], gap[start : em + 1], "-", color=VERMILION, linewidth=1.5)
        style |= {"markersize": 4.5 if len(trace) - em <= 80 else 0.0, "markerfacecolor": PAPER}
        ax.plot(step[em:], gap[em:], "s-", color=VERMILION, label="Newton steps", **style)
    ax.axhline(float(fit["tol"]), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="tolerance")
    ax.set_yscale("log")
    whole_ticks(ax)
    ax.set_xlim(0.5, max(len(trace), 1) + 0.5)
    ax.set_xlabel("step")
    ax.set_ylabel("optimality gap (log-likelihood units)")
    style_axes(ax)
    legend_above(ax, one_row=3)


def draw_keeping(
    curve: InformationCurve, chosen: Mapping[str, tuple[float, float]] | None, ax: AnyAxes
) -> None:
    """As `plot_keeping`."""
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
        style: dict[str, Any] = {"linestyle": "none", "markersize": 6.0, "markerfacecolor": PAPER}
        style |= {"markeredgecolor": INK, "markeredgewidth": 1.3, "clip_on": False}
        ax.plot([100.0 * x], [100.0 * y], mark, zorder=4, label=name, **style)
    ax.set_xlim(0.0, 100.0)
    ax.set_ylim(0.0, 104.0)
    ax.set_xlabel("votes kept, most attentive first (%)")
    ax.set_ylabel("percent")
    style_axes(ax)
    legend_above(ax, one_row=3)


def trace_gap(fit: dict) -> np.ndarray:
    """Upper bound of the optimality gap of log L after each step, shape (steps,); at least rounding.

    Examples
    --------
    >>> trace_gap({"trace": [-12.0, -10.0], "gap": 0.5}).tolist()
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
