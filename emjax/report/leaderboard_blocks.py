"""A leaderboard by context, taken into its rankings: the overall one, and one for each context."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from emjax.data.amounts import rank_text
from emjax.report.format import columns as columns_wide

Board = dict[str, np.ndarray]
_MOST_LINES = 12  # models of the table of text
MOST_CONTEXTS = 12  # rankings of contexts that are drawn; the others are in the file


def contexts_of(board: Mapping[str, np.ndarray]) -> list[str | None]:
    """The context of each row: None in the overall ranking, and where strengths have no contexts.

    Examples
    --------
    >>> contexts_of({"model": np.array(["a", "a"]), "context": np.array([None, "code"], object)})
    [None, 'code']
    """
    if "context" not in board:
        return [None] * len(board["model"])
    # pandas has NaN where others have None; it is the one value that does not equal itself.
    return [None if of is None or of != of else str(of) for of in board["context"]]


def rankings(board: Mapping[str, np.ndarray]) -> tuple[Board, dict[str, Board]]:
    """The overall ranking, and that of each context, most votes first, with the columns of a leaderboard.

    Examples
    --------
    >>> columns = {"context": np.array([None, "x", "y"], object), "model": np.array(["a", "a", "a"], object)}
    >>> overall, by_context = rankings(columns | {"n_votes": np.array([6.0, 2.0, 4.0])})
    >>> float(overall["n_votes"][0]), list(by_context)
    (6.0, ['y', 'x'])
    """
    contexts = contexts_of(board)
    found = {of: _rows(board, contexts, of) for of in dict.fromkeys(contexts)}
    overall = found.pop(None, None)
    named = {of: found[of] for of in sorted(of for of in found if of is not None)}
    by_votes = sorted(named, key=lambda of: -votes_in(named[of]))
    return _rows(board, contexts, None) if overall is None else overall, {of: named[of] for of in by_votes}


def votes_in(ranking: Mapping[str, np.ndarray]) -> float:
    """How many votes a ranking rests on: each is counted for both of its models."""
    return float(np.nansum(np.asarray(ranking["n_votes"], np.float64))) / 2.0


def overall_text(board: Mapping[str, np.ndarray], column: str = "strength", decimals: int = 4) -> str:
    """The overall ranking as a small table of text; "" where strengths do not differ by context.

    Examples
    --------
    >>> columns = {"context": np.array([None, "x"], object), "model": np.array(["a", "a"], object)}
    >>> numbers = {"n_votes": 6.0, "rank": 1, "strength": 0.5, "lower": 0.25, "upper": 0.75}
    >>> print(overall_text(columns | {name: np.full(2, value) for name, value in numbers.items()}))
      overall, over 1 context  rank   strength   95% interval
      a                           1     0.5000   [0.2500, 0.7500]
    """
    overall, by_context = rankings(board)
    if not by_context:
        return ""
    many = f"overall, over {len(by_context):,} context{'s' if len(by_context) > 1 else ''}"
    return "\n".join(f"  {line}" for line in ranking_lines(overall, column, decimals, many))


def ranking_lines(
    ranking: Mapping[str, np.ndarray], column: str, decimals: int, heading: str = "model"
) -> list[str]:
    r"""The strongest models of one ranking with their intervals, in lines of text.

    Examples
    --------
    >>> numbers = {"strength": 1087.0, "lower": 1050.0, "upper": 1124.0, "best_rank": 1, "worst_rank": 2}
    >>> ranking = {name: np.array([value]) for name, value in numbers.items()}
    >>> print("\n".join(ranking_lines({"model": np.array(["ant"])} | ranking, "Elo points", 1)))
    model  rank Elo points   95% interval
    ant     1–2     1087.0   [1050.0, 1124.0]
    """
    shown = [" ".join(str(name).split()) for name in ranking["model"][:_MOST_LINES]]
    ranks = ranks_of(ranking)[: len(shown)]
    width, wide = max(map(columns_wide, (heading, *shown))), max(map(len, ("rank", *ranks)))
    lines = [f"{heading:{width}}  {'rank':>{wide}} {column:>10}   95% interval"]
    values = zip(shown, ranks, *(ranking[name] for name in ("strength", "lower", "upper")), strict=False)
    for name, rank, strength, low, high in values:
        known = not (low is None or low != low)
        interval = f"[{low:.{decimals}f}, {high:.{decimals}f}]" if known else "not determined"
        value = "-" if strength != strength else f"{strength:.{decimals}f}"
        own = f"{name}{' ' * (width - columns_wide(name))}"
        lines.append(f"{own}  {rank:>{wide}} {value:>10}   {interval}")
    more = len(ranking["model"]) - len(shown)
    return lines + ([f"… and {more:,} more models"] if more else [])


def ranks_of(board: Mapping[str, Any]) -> list[str]:
    """The ranks of models as text, with what is not known of them: "2–5"; the rank alone without ends.

    Examples
    --------
    >>> ranks_of({"model": ["a", "b"], "rank": [1, 2], "best_rank": [1.0, None], "worst_rank": [2.0, None]})
    ['1–2', '2']
    """
    nothing: list[Any] = [None] * len(board["model"])
    columns = (board.get(name, nothing) for name in ("rank", "best_rank", "worst_rank"))
    found = []
    for rank, best, worst in zip(*columns, strict=True):
        if best is None or worst is None or best != best:
            found.append("" if rank is None else f"{rank:.0f}")
        else:
            found.append(rank_text(float(best), float(worst)))
    return found


def _rows(board: Mapping[str, np.ndarray], contexts: list[str | None], of: str | None) -> Board:
    rows = np.array([one == of for one in contexts], dtype=bool)
    return {name: np.asarray(values)[rows] for name, values in board.items() if name != "context"}
