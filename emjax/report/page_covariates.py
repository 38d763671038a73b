"""Tables of covariates: what they do to the choice of an answer, and to the probability of attention."""

import math

from emjax.data.strata import VoteStrata
from emjax.report.fit_folder import ReportFiles
from emjax.report.format import decimals_for, interval, number, percent, prose
from emjax.report.page_tables import Column, html_table

_MOST = 60  # bins to list


def effects_table(files: ReportFiles) -> str:
    """What each covariate does to an attentive choice; empty for a fit without covariates."""
    covariates = files.fit["strength"].get("covariates")
    if not covariates:
        return ""
    cuts = [cut for cut in VoteStrata.from_plain(covariates["strata"]).cuts if cut.signed]
    by_name = {p["name"]: p for p in files.fit["parameters"]}
    rows = []
    for cut in cuts:
        found = by_name[f"effect of {cut.names[0]}"]
        share = 1.0 / (1.0 + math.exp(-min(max(found["estimate"], -700.0), 700.0)))
        ends = interval(found["lower"], found["upper"], 2)
        unit = number(cut.scale, decimals_for(cut.scale))
        errors = number(found["std_err"], 2)
        rows.append([prose(cut.names[0]), unit, number(found["estimate"], 2), errors, ends, percent(share)])
    text = (
        "<p>The strengths above compare models at equal covariates: differences between the two answers, A "
        "less B. An effect is what one unit more, the root mean square of the differences, adds to the "
        "log-odds with which an attentive user prefers A. It is an association: what longer answers have "
        "besides their length counts as an effect of length.</p>"
    )
    columns = [Column("covariate", "text"), Column("unit", "less"), Column("effect")]
    columns += [Column("standard error", "less"), Column("95 % interval")]
    columns += [Column("equal models, one unit more: A wins", "less")]
    return "<h3>At equal length, style and so on</h3>\n" + text + html_table(columns, rows)


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
    for cut in (cut for cut in strata.cuts if not cut.signed):
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
