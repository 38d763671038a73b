"""What the page of a fit shows of strengths by context: one ranking for each, most votes first."""

from typing import NamedTuple

from emjax.report.figures import Figure, context_figure
from emjax.report.leaderboard_blocks import MOST_CONTEXTS, votes_in
from emjax.report.read_fit_folder import ReportFiles
from emjax.report.tables import Table, ranking_table

MOST_ROWS = 60  # of a table of one context; the others are in the file
_NAMED = 100  # contexts that the page names and does not draw


class ContextRanking(NamedTuple):
    """The ranking in one context.

    Attributes
    ----------
    context : str
    votes : float
    n_models : int
    first : str
        The strongest model; "" where no votes connect the models.
    figure : Figure
    table : Table
    """

    context: str
    votes: float
    n_models: int
    first: str
    figure: Figure
    table: Table


class ByContext(NamedTuple):
    """The rankings that the page shows, and names of contexts with fewer votes.

    Attributes
    ----------
    shown : list of ContextRanking
    named : list of str
        Contexts that are in the file only; the first `_NAMED` of them.
    unnamed : int
        How many more there are.
    spread : float
        Standard deviation with which strengths in contexts lie around the overall ones; NaN if not known.
    """

    shown: list[ContextRanking]
    named: list[str]
    unnamed: int
    spread: float


def rankings_by_context(files: ReportFiles, scale: str = "log-odds") -> ByContext | None:
    """The rankings in the contexts; None for a fit without contexts."""
    if not files.by_context:
        return None
    shown = []
    for number, (context, ranking) in enumerate(list(files.by_context.items())[:MOST_CONTEXTS]):
        connected = (ranking["rank"] == 1).sum() == 1
        first = str(ranking["model"][ranking["rank"] == 1][0]) if connected else ""
        figure = context_figure(ranking, context, number, scale)
        table = ranking_table(ranking, MOST_ROWS, scale)
        shown.append(ContextRanking(context, votes_in(ranking), len(ranking["model"]), first, figure, table))
    others = list(files.by_context)[MOST_CONTEXTS:]
    l2 = files.fit["strength"].get("l2_context")
    return ByContext(shown, others[:_NAMED], len(others[_NAMED:]), float(l2) ** -0.5 if l2 else float("nan"))
