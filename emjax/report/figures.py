"""The figures of the pages: each view twice, for a wide and for a narrow screen, with how to read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from emjax.decide.information_curve import InformationCurve, information_curve
from emjax.report.draw import (
    draw_attentiveness,
    draw_dots,
    draw_keeping,
    draw_leaderboard,
    draw_trace,
    leaderboard_size,
)
from emjax.report.fit_facts import true_strengths
from emjax.report.format import clean, percent, plural
from emjax.report.leaderboard_files import SCALES, on_scale
from emjax.report.plot_thinning import user_dots
from emjax.report.read_fit_folder import ReportFiles
from emjax.report.svg import SvgAxes

WIDE, NARROW = 7.6, 3.7  # inches, of 96 CSS pixels each
MOST_MODELS = 60  # in the picture; the table has them all
MOST_IN_CONTEXT = 30  # in the picture of a context, of which a page has several


@dataclass(frozen=True)
class Figure:
    """One view: the same picture for two widths of screen, and its caption."""

    wide: SvgAxes
    narrow: SvgAxes
    caption: str


def attentiveness_figure(files: ReportFiles) -> Figure:
    """Fitted distribution and posterior means, with how to read them."""
    density = files.fit["attentiveness"].get("density") is not None
    shape = "The blue curve" if density else "Each blue bar"
    caption = (
        f"{shape} is the fitted distribution of attentiveness over users"
        + (", scaled to the steps of the histogram" if density else ": a point, and the share of users there")
        + ". Grey is the histogram of the users\u2019 own posterior means, in steps of 0.05. It is narrower "
        "than the fitted distribution where users have few votes, because little is known of each of them."
    )
    label = "Fitted distribution of attentiveness, with a histogram of the users' posterior means"
    return _figure("a", label, caption, lambda ax: draw_attentiveness(files.fit, files.users, ax), (4.0, 3.3))


def users_figure(files: ReportFiles) -> Figure:
    """Agreement against votes, with how to read it."""
    dots = user_dots(files.users)
    drawn, total = int(dots.users.sum()), len(files.users["n_votes"])
    caption = "Each dot is a user; users at the same place are one larger dot."
    if dots.gathered:
        caption = (
            f"{drawn:,} users, gathered in small cells: a dot stands at the mean of its users, and its area "
            "tells how many they are."
        )
    caption += (
        " A user who clicks at random agrees with the stronger model half of the time, and 95 % of such "
        "users lie between the dashed lines. Dots above them belong "
        "to users who judge; the more votes, the surer."
    )
    if drawn < total:
        caption += f" {plural(total - drawn, 'user')} without votes that could agree or disagree: not drawn."
    label = "Agreement of each user with the fitted strengths against votes cast, coloured by attentiveness"
    return _figure("u", label, caption, lambda ax: draw_dots(dots, ax), (4.4, 3.7))


def leaderboard_figure(files: ReportFiles, scale: str = "log-odds") -> Figure:
    """Strengths with intervals, with how to read them; the overall ones where they differ by context."""
    board = files.leaderboard
    assert board is not None, "only fits with Bradley-Terry strengths have a leaderboard"
    chosen = SCALES[scale]
    middle = f"{chosen.zero:g}" if chosen.zero else "zero"
    caption = (
        f"Blue dots are {'overall ' if files.by_context else ''}strengths with 95 % intervals, "
        f"{chosen.reading}. Orange diamonds are ordinary Bradley\u2013Terry "
        f"strengths, which count every vote as attentive; careless votes pull them towards {middle}."
    )
    true = true_strengths(files) if scale == "log-odds" else None
    if true is not None:
        board = board | {"true_strength": true}
        caption += " Upright strokes are the strengths that the votes were simulated from."
    models = len(board["model"])
    if models > MOST_MODELS:
        caption += f" The {MOST_MODELS} strongest of {models:,} models are drawn; the table has the others."
    return _ranking(board, "l", "Strength of each model with its 95 % interval", caption, MOST_MODELS, scale)


def context_figure(
    ranking: dict[str, np.ndarray], context: str, number: int, scale: str = "log-odds"
) -> Figure:
    """Strengths in the context of this number on the page, with how to read them."""
    caption = (
        "Blue dots are strengths in this context with 95 % intervals, orange diamonds ordinary "
        "Bradley\u2013Terry strengths, shrunk alike."
    )
    models = len(ranking["model"])
    if models > MOST_IN_CONTEXT:
        caption += f" The {MOST_IN_CONTEXT} strongest of {models:,} models are drawn."
    label = f"Strength of each model in {clean(context)} with its 95 % interval"
    return _ranking(ranking, f"c{number}", label, caption, MOST_IN_CONTEXT, scale)


def _ranking(
    board: dict[str, np.ndarray], prefix: str, label: str, caption: str, limit: int, scale: str
) -> Figure:
    board, chosen, pictures = on_scale(board, scale), SCALES[scale], []
    for screen, width in (("w", WIDE), ("n", NARROW)):
        height, frame = leaderboard_size(board, limit=limit, width=width)
        ax = SvgAxes(width, height, prefix=prefix + screen, label=label, frame=frame)
        draw_leaderboard(board, limit, ax, title=chosen.title, zero=chosen.zero)
        pictures.append(ax)
    wide, narrow = pictures
    return Figure(wide, narrow, caption)


def trace_figure(files: ReportFiles) -> Figure:
    """The optimality gap after each step, with how to read it."""
    caption = (
        "How far the log-likelihood (with the log priors, where there are any) was from its best value "
        "after each step, at most. EM never lowers it, but can converge slowly; the steps at the end are "
        "Newton steps. A difference of one unit is small compared with statistical noise."
    )
    label = "Optimality gap of the log-likelihood after each step, on a logarithmic scale"
    return _figure("t", label, caption, lambda ax: draw_trace(files.fit, ax), (3.4, 3.1))


def keeping_figure(
    curve: InformationCurve, chosen: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """Information and label accuracy against the share of votes kept, with how to read it."""
    best = curve.best
    caption = (
        "Keeping only the votes of the most attentive users makes labels better (orange) and fewer. What the "
        "kept votes tell about the direction of the reward (blue) is largest where "
        f"{_in_words(curve.share[best])} of the votes are kept, with an attentiveness of at least "
        f"{curve.attentiveness[best]:.2f}: {_in_words(curve.information[best])} of what is told if every "
        f"vote is kept and weighs as much as its attentiveness (dashed). Without any filter it is "
        f"{_in_words(curve.information[-1])}."
    )
    label = "Information and expected label accuracy against the share of votes kept"
    return _figure("k", label, caption, lambda ax: draw_keeping(curve.thinned(), chosen, ax), (3.8, 3.3))


def keeping_figure_of(files: ReportFiles) -> Figure | None:
    """What a filter would keep of the votes of a fit; None if users have no votes."""
    eta, votes = files.users["attentiveness"], files.users["n_votes"]
    known = np.isfinite(eta) & np.isfinite(votes) & (votes > 0)
    return keeping_figure(information_curve(eta[known], votes[known])) if known.any() else None


def _in_words(share: float) -> str:
    return percent(float(share)).replace(">", "over ").replace("<", "under ")


def _figure(
    prefix: str, label: str, caption: str, draw: Callable[[SvgAxes], None], heights: tuple[float, float]
) -> Figure:
    """A view as two pictures with a caption: `heights` in inches, wide and narrow."""
    wide, narrow = (
        SvgAxes(width, height, prefix=prefix + screen, label=label)
        for screen, width, height in zip("wn", (WIDE, NARROW), heights, strict=True)
    )
    draw(wide)
    draw(narrow)
    return Figure(wide, narrow, caption)
