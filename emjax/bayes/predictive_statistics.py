"""Statistics of votes for posterior predictive checks: of users, and residuals of comparisons, in NumPy.

Each function takes the counts of votes, observed or drawn, and gives one number, or NaN where these votes
do not have it. What is the same for both, such as who votes on what, is in `Structure`.
"""

from typing import NamedTuple

import numpy as np

from emjax.data.canonical_order import sum_by
from emjax.data.outcome_schema import Outcomes

_FEWEST = 4  # votes with which a user can be two standard errors below one half
_VALUES = {"wins": (1.0, -1.0, 0.0), "ties": (0.0, 0.0, 1.0)}  # of A won, B won and a tie, in residuals


class Structure(NamedTuple):
    """What votes have besides their counts; a row is a user in a comparison.

    Attributes
    ----------
    user, comparison : (rows,) int
    n_users : int
    outcomes : Outcomes
    favoured : (C,) 1 where the strengths favour A, −1 where they favour B, 0 where neither
    half : (C,) 0 or 1, to which half of the comparisons each belongs
    models : (C, 2) int numbers of the models, or None
    """

    user: np.ndarray
    comparison: np.ndarray
    n_users: int
    outcomes: Outcomes
    favoured: np.ndarray
    half: np.ndarray
    models: np.ndarray | None


class Cast(NamedTuple):
    """How many votes were cast, which is given; S is 2 where sides are distinguished, else 1.

    Attributes
    ----------
    votes : (C, S) votes that showed A first, and B first
    products : (C, S, S) sums over users of the products of these numbers
    """

    votes: np.ndarray
    products: np.ndarray


def user_statistics(s: Structure, counts: np.ndarray) -> dict[str, float]:
    """What differs between users: (rows, O) counts to one number for each statistic.

    Examples
    --------
    >>> s = Structure(np.arange(3), np.zeros(3, int), 3, Outcomes(), np.ones(1), np.zeros(1), None)
    >>> found = user_statistics(s, np.array([[9.0, 1], [6, 4], [0, 10]]))
    >>> round(found["spread of win rates"], 3), round(found["users below one half"], 3)
    (0.374, 0.333)
    """
    won, cast = _for_favoured(s, counts)
    by_user = sum_by(s.user, np.column_stack([won, cast]), s.n_users)
    found = {
        "spread of win rates": _spread(*by_user.T),
        "users below one half": _below_half(*by_user.T),
        "halves of comparisons": _halves(s, won, cast),
        "repeated votes": _repeats(s, counts),
    }
    if s.outcomes.ties:
        tied = counts[:, [group[2] for group in s.outcomes.by_side]].sum(axis=1)
        found["ties by user"] = _spread_over_users(s, tied, counts.sum(axis=1))
    if s.outcomes.sides:
        first, decided = counts[:, 0] + counts[:, 3], counts[:, :4].sum(axis=1)
        found["votes for the first side"] = float(first.sum() / decided.sum()) if decided.any() else np.nan
        found["first side by user"] = _spread_over_users(s, first, decided)
    return found


def _for_favoured(s: Structure, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) votes for the favoured model, and votes for either; none where neither is favoured."""
    wins, side = s.outcomes.wins(counts), s.favoured[s.comparison]
    won = np.where(side > 0, wins[:, 0], wins[:, 1])
    return won * (side != 0), wins.sum(axis=1) * (side != 0)


def _spread(part: np.ndarray, whole: np.ndarray) -> float:
    """Standard deviation over users of a share of their votes; NaN with fewer than two users."""
    some = whole > 0
    return float((part[some] / whole[some]).std()) if some.sum() > 1 else np.nan


def _spread_over_users(s: Structure, part: np.ndarray, whole: np.ndarray) -> float:
    return _spread(*sum_by(s.user, np.column_stack([part, whole]), s.n_users).T)


def _below_half(won: np.ndarray, cast: np.ndarray) -> float:
    """Share of users whose votes for the favoured models are two standard errors below one half or more."""
    enough = cast >= _FEWEST
    if not enough.any():
        return np.nan
    won, cast = won[enough], cast[enough]
    return float((won - 0.5 * cast <= -np.sqrt(cast) + 1e-9).mean())


def _halves(s: Structure, won: np.ndarray, cast: np.ndarray) -> float:
    """Correlation over users between their win rates in either half of the comparisons."""
    in_second = s.half[s.comparison] == 1
    first, second = (
        sum_by(s.user, np.column_stack([won, cast]) * own[:, None], s.n_users)
        for own in (~in_second, in_second)
    )
    both = (first[:, 1] > 0) & (second[:, 1] > 0)
    if both.sum() < 3:
        return np.nan
    rates = np.stack([first[both, 0] / first[both, 1], second[both, 0] / second[both, 1]])
    if rates.std(axis=1).min() < 1e-12:
        return np.nan
    return float(np.asarray(np.corrcoef(rates))[0, 1])


def _repeats(s: Structure, counts: np.ndarray) -> float:
    """Share of the pairs of votes of one user in one comparison that agree; NaN with one comparison.

    With one comparison it would be the spread of win rates in other units.
    """
    if len(s.favoured) < 2:
        return np.nan
    wins, total = s.outcomes.wins(counts), counts.sum(axis=1)
    ties = total - wins.sum(axis=1)
    squares = (wins**2).sum(axis=1) + ties**2
    several = total >= 2
    pairs = (total[several] ** 2 - total[several]).sum()
    return float((squares[several] - total[several]).sum() / pairs) if pairs > 0 else np.nan


def cast_of(s: Structure, counts: np.ndarray) -> Cast:
    """How many votes were cast in each comparison, whatever their outcomes."""
    by_side = np.stack([counts[:, group].sum(axis=1) for group in map(list, s.outcomes.by_side)], axis=1)
    n, sides = len(s.favoured), by_side.shape[1]
    products = (by_side[:, :, None] * by_side[:, None, :]).reshape(-1, sides * sides)
    return Cast(sum_by(s.comparison, by_side, n), sum_by(s.comparison, products, n).reshape(n, sides, sides))


def residuals(
    s: Structure, counts: np.ndarray, cast: Cast, p: np.ndarray, weights: np.ndarray, what: str
) -> np.ndarray:
    """(C,) standardised residuals of comparisons: what was voted, less what is expected, over its deviation.

    Parameters
    ----------
    counts : (rows, O)
    cast
        As `cast_of` gives it of these counts.
    p : (C, O, G)
        Probability of each outcome at each node of attentiveness; of each side they sum to one.
    weights : (G,)
        Share of users at each node.
    what
        "wins": votes for A less votes for B. "ties": ties.

    Notes
    -----
    The deviation includes that votes of one user have the same attentiveness. That a user votes in several
    comparisons is not in it: residuals of different comparisons are correlated, more with more votes per
    user, so that their squares are no chi-square statistic. Predictive votes are alike in this.

    Examples
    --------
    >>> s = Structure(np.arange(2), np.zeros(2, int), 2, Outcomes(), np.ones(1), np.zeros(1), None)
    >>> counts = np.array([[9.0, 1.0], [7.0, 3.0]])
    >>> p = np.array([[[0.5, 0.9], [0.5, 0.1]]])
    >>> residuals(s, counts, cast_of(s, counts), p, np.array([0.5, 0.5]), "wins").round(3)
    array([0.592])
    """
    groups = [list(group) for group in s.outcomes.by_side]
    value = np.array(_VALUES[what])[: len(groups[0])]
    observed = np.zeros(len(s.favoured))
    for group in groups:
        observed += np.bincount(s.comparison, counts[:, group] @ value, len(s.favoured))
    of_side = np.stack([p[:, group] for group in groups], axis=1)  # (C, S, outcomes, G)
    first = np.einsum("o,csog->csg", value, of_side)
    second = np.einsum("o,csog,g->cs", value**2, of_side, weights)
    mean = first @ weights
    products = np.einsum("csg,ctg,g->cst", first, first, weights)
    variance = (cast.votes * (second - np.einsum("css->cs", products))).sum(axis=1)
    shared = products - mean[:, :, None] * mean[:, None, :]
    variance += (cast.products * shared).sum(axis=(1, 2))
    off = observed - (cast.votes * mean).sum(axis=1)
    return np.where(variance > 1e-12, off / np.sqrt(np.maximum(variance, 1e-12)), 0.0)


def misfit_by_model(s: Structure, z: np.ndarray) -> np.ndarray:
    """(K,) squared residuals of each model's comparisons, summed and standardised; none below four models.

    With three models or fewer, one cycle is all that strengths cannot explain.
    """
    if s.models is None or s.models.max() < 3:
        return np.zeros(0)
    model = s.models.ravel()
    many = np.bincount(model)
    return (np.bincount(model, np.repeat(z**2, 2)) - many) / np.sqrt(2.0 * many)
