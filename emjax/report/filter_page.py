"""The page that `emjax filter` writes: what was kept, what that is worth, and what else could be."""

from typing import Any

import numpy as np

from emjax.decide.information_curve import InformationCurve
from emjax.report.format import count, number, percent, plural, prose
from emjax.report.page import document
from emjax.report.page_keeping import keeping_figure
from emjax.report.page_text import definitions

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
    votes = summary["votes"]
    by_user = summary["information_retained"] is not None
    here = {"this policy": (votes["kept"] / votes["n"], summary["information_retained"])} if by_user else {}
    best = float(curve.share[curve.best]), float(curve.information[curve.best])
    chosen = {**here, "most information": best}
    picture = keeping_figure(curve, chosen)
    there = {name: text for name, text in _FILES.items() if name != "dpo/" or summary["pairs"]}
    files = definitions([(f"<code>{name}</code>", prose(text)) for name, text in there.items()])
    heading = f"{plural(votes['kept'], 'vote')} kept of {count(votes['n'])}"
    body = [
        f'<header>\n<p class="eyebrow">emjax filter</p>\n<h1>{heading}</h1>',
        _lede(summary),
        "</header>\n<main>",
        f'<section id="keeping">\n<h2>What keeping costs and gains</h2>\n{picture}\n</section>',
        _notes(summary),
        "</main>\n<footer>\n<hr>",
        f'<section id="files">\n<p>The files in this folder</p>\n{files}\n</section>',
        f"<p>Filtered by emjax {prose(summary['emjax'])}. This page is complete in itself and loads "
        "nothing.</p>",
        "</footer>",
    ]
    return document(heading, "\n".join(body))


def _lede(summary: dict[str, Any]) -> str:
    votes, users, accuracy = summary["votes"], summary["users"], summary["label_accuracy"]
    left_out = [f"{count(many)} ({prose(what)})" for what, many in votes["left_out"].items()]
    entries = [
        ("Policy", f"<code>{prose(summary['policy_text'])}</code>"),
        (
            "Votes",
            f"{count(votes['kept'])} of {count(votes['n'])}, each judged by {_judge_of(summary)}",
        ),
        ("Users", f"{count(users['kept'])} of {count(users['n'])}, judged by all of their votes"),
        (
            "Information",
            f"{percent(summary['information_retained'] or 0.0)} of what weighting every vote would tell "
            "about the direction of the reward",
        ),
        (
            "Labels right",
            f"{percent(accuracy['kept'])} expected, {percent(accuracy['all'])} without the policy",
        ),
        ("Left out", ", ".join(left_out) or "nothing"),
        ("Largest attentiveness", number(summary["attentiveness_max"]["votes"])),
    ]
    if summary["information_retained"] is None:
        entries = [entry for entry in entries if entry[0] != "Information"]
    if summary["pairs"]:
        drawn = summary["pairs"]["resampled_with_seed"]
        how = "" if drawn is None else f", drawn by weight with seed {drawn}"
        entries.append(("Training pairs", f"{count(summary['pairs']['n_pairs'])} in <code>dpo/</code>{how}"))
    return definitions(entries)


def _judge_of(summary: dict[str, Any]) -> str:
    others = "its user\u2019s other votes"
    return (
        others if summary["information_retained"] is not None else "all votes of its user, and what it says"
    )


def _notes(summary: dict[str, Any]) -> str:
    if not summary["notes"]:
        return ""
    items = "".join(f"<li><p>{prose(note)}</p></li>" for note in summary["notes"])
    return f'<section id="notes">\n<h2>To keep in mind</h2>\n<ul class="findings">{items}</ul>\n</section>'
