"""Table of how the probability of an attentive vote depends on features of votes, by bin."""

import math

from emjax.data.strata import VoteStrata
from emjax.report.fit_folder import ReportFiles
from emjax.report.format import number, percent, prose
from emjax.report.page_tables import Column, html_table

_MOST = 60  # bins to list


def attention_table(files: ReportFiles) -> str:
    """How often the same user is attentive, by bin; empty for a fit without features of votes."""
    features = files.fit["behavior"].get("features")
    if not features:
        return ""
    strata = VoteStrata.from_plain(features["strata"])
    rows = _by_bin(strata, features["slopes"]) if strata.cuts else _by_kind(strata, features["slopes"])
    where = "of average features" if strata.cuts else "where all features are 0"
    text = (
        "<p>Whether a vote is attentive depends on its features. The table takes a user who is attentive in "
        f"half of the votes {where}, and gives the share of attentive votes of this user in each bin; slopes "
        "and their standard errors are under Parameters. A stratum of votes in which the models differ less "
        "can be mistaken for one in which users are less attentive. The blue curve above is for votes "
        f"{where}, the grey histogram for the votes that users cast.</p>"
    )
    columns = [Column("votes with", "text"), Column("odds of an attentive vote, times")]
    columns += [Column("attentive votes")]
    more = f" The first {_MOST} of {len(rows)}." if len(rows) > _MOST else ""
    return (
        "<h3>In which votes users are attentive</h3>\n"
        + text
        + html_table(columns, rows[:_MOST], more.strip())
    )


def _by_bin(strata: VoteStrata, slopes: list[float]) -> list[list[str]]:
    rows, first = [], 0
    for cut in strata.cuts:
        own = slopes[first : first + len(cut.names)]
        rows += [_row(word, value, own) for word, value in zip(cut.words, cut.values, strict=True)]
        first += len(cut.names)
    return rows


def _by_kind(strata: VoteStrata, slopes: list[float]) -> list[list[str]]:
    return [_row(name, value, slopes) for name, value in zip(strata.contexts, strata.values, strict=True)]


def _row(name: str, values: tuple[float, ...], slopes: list[float]) -> list[str]:
    offset = sum(value * slope for value, slope in zip(values, slopes, strict=True))
    odds = math.exp(min(max(offset, -700.0), 700.0))
    return [prose(name), number(odds, 2), percent(odds / (1.0 + odds))]
