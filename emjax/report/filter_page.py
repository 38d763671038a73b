"""The page that `emjax filter` writes: what was kept, what that is worth, and what else could be."""

from typing import Any

import numpy as np

from emjax.decide.information_curve import InformationCurve
from emjax.report.command_words import in_command_words
from emjax.report.figures import keeping_figure
from emjax.report.format import count, plural
from emjax.report.render import render

_FILES = {
    "votes.parquet": "the votes that were for one side, all their columns, and kept, weight, attentiveness, "
    "soft_label (and prob_attentive, prob_right where votes were judged by what they say)",
    "users.parquet": "one row per user, judged by all of the user's votes",
    "dpo/": "training pairs: prompt, chosen, rejected, user, attentiveness, weight, soft_label",
    "filter.json": "this page's numbers",
}


def filter_page(summary: dict[str, Any]) -> str:
    """The page as text, from the content of filter.json alone."""
    curve = InformationCurve(**{name: np.asarray(values) for name, values in summary["curve"].items()})
    said = {"policy_text": in_command_words(summary["policy_text"])}
    said |= {"notes": [in_command_words(note) for note in summary["notes"]]}
    if summary.get("open_scale"):
        said["open_scale"] = in_command_words(summary["open_scale"])
    votes = summary["votes"]
    by_user = summary["information_retained"] is not None
    here = {"this policy": (votes["kept"] / votes["n"], summary["information_retained"])} if by_user else {}
    best = float(curve.share[curve.best]), float(curve.information[curve.best])
    return render(
        "filter.html",
        title=f"{plural(votes['kept'], 'vote')} kept of {count(votes['n'])}",
        summary=summary | said,
        keeping_figure=keeping_figure(curve, {**here, "most information": best}),
        files={name: text for name, text in _FILES.items() if name != "dpo/" or summary["pairs"]},
    )
