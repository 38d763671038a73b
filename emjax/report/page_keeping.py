"""The page's section on filtering: what a filter would keep, with the information curve."""

from collections.abc import Mapping

import numpy as np

from emjax.decide.information_curve import InformationCurve, information_curve
from emjax.report.fit_folder import ReportFiles
from emjax.report.format import percent
from emjax.report.page_figures import figure_of
from emjax.report.views import draw_keeping


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
    return figure_of("k", label, caption, lambda ax: draw_keeping(curve.thinned(), chosen, ax), (3.8, 3.3))


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
