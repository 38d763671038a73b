"""In which votes users look, where that depends on features: a table of bins."""

import math

from emjax.data.strata import VoteKinds
from emjax.report.fit_folder import ReportFiles
from emjax.report.format import number, percent, prose
from emjax.report.page_tables import Column, html_table

_MOST = 60  # bins to list


def looks_table(files: ReportFiles) -> str:
    """How often the same user looks, bin by bin; nothing where looks depend on no features."""
    features = files.fit["behavior"].get("features")
    if not features:
        return ""
    kinds = VoteKinds.from_plain(features["kinds"])
    rows = _by_bin(kinds, features["slopes"]) if kinds.cuts else _by_kind(kinds, features["slopes"])
    where = "of average features" if kinds.cuts else "where all features are 0"
    text = (
        "<p>Looks depend on features of votes. The table takes a user who looks at every second vote "
        f"{where}, and says how often this user looks where votes are as named; with slopes and standard "
        "errors under Parameters. A kind of votes in which the models are more alike can pass for one in "
        "which users look less. The blue curve above is of such votes, the grey histogram of those that "
        "users cast.</p>"
    )
    columns = [Column("votes with", "text"), Column("odds of a look, times"), Column("looks")]
    more = f" The first {_MOST} of {len(rows)}." if len(rows) > _MOST else ""
    return "<h3>In which votes users look</h3>\n" + text + html_table(columns, rows[:_MOST], more.strip())


def _by_bin(kinds: VoteKinds, slopes: list[float]) -> list[list[str]]:
    rows, first = [], 0
    for cut in kinds.cuts:
        own = slopes[first : first + len(cut.names)]
        rows += [_row(word, value, own) for word, value in zip(cut.words, cut.values, strict=True)]
        first += len(cut.names)
    return rows


def _by_kind(kinds: VoteKinds, slopes: list[float]) -> list[list[str]]:
    return [_row(name, value, slopes) for name, value in zip(kinds.contexts, kinds.values, strict=True)]


def _row(name: str, values: tuple[float, ...], slopes: list[float]) -> list[str]:
    tilt = sum(value * slope for value, slope in zip(values, slopes, strict=True))
    odds = math.exp(min(max(tilt, -700.0), 700.0))
    return [prose(name), number(odds, 2), percent(odds / (1.0 + odds))]
