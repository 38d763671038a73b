"""Agreement with the majority of the others: a baseline without a model of attentiveness."""

import numpy as np
from scipy.special import betaln

from emjax.data.comparison_table import pairs_of
from emjax.data.preferences import Preferences

_STEADIEST = 1000.0  # most votes that the smoothing may count for


def majority_probability(
    votes: Preferences, user: np.ndarray, comparison: np.ndarray, outcome: np.ndarray
) -> np.ndarray:
    """(n,) probability of votes if a user goes with the majority of the others as often as before.

    `user`, `comparison` and `outcome` are positions as in `votes`. Where the others have not voted on the
    comparison, or are even, the probability is ½.

    Examples
    --------
    >>> votes = Preferences.from_counts([3, 4, 0, 4], [4, 4, 4, 4])
    >>> zero = np.array([0])
    >>> bool(majority_probability(votes, zero, zero, zero)[0] > 0.5)
    True
    """
    agreement = majority_agreement(votes)
    margin = _margin_of_others(votes, user, comparison)
    with_majority = np.where(outcome == 0, margin > 0, margin < 0)
    return np.where(margin == 0, 0.5, np.where(with_majority, agreement[user], 1.0 - agreement[user]))


def majority_agreement(votes: Preferences) -> np.ndarray:
    """(m,) how often each user's votes agree with the majority of the other users on the comparison.

    Smoothed towards the mean of all users by a Beta prior; how strongly is chosen by the marginal likelihood
    (of a beta-binomial), so that a user with few votes is shrunk towards the mean.
    """
    margin = _margin_of_others(votes, votes.user, votes.comparison)
    wins = votes.wins
    agreed = np.where(margin > 0, wins[:, 0], wins[:, 1]) * (margin != 0)
    judged = wins.sum(axis=1) * (margin != 0)
    agreed, judged = (np.bincount(votes.user, x, votes.n_users) for x in (agreed, judged))
    mean = (agreed.sum() + 1.0) / (judged.sum() + 2.0)
    alike, how_many = np.unique(np.column_stack([agreed, judged]), axis=0, return_counts=True)
    candidates = np.geomspace(0.5, _STEADIEST, 60)
    log_marginal = [how_many @ _log_marginal(alike[:, 0], alike[:, 1], mean, steady) for steady in candidates]
    steady = candidates[int(np.argmax(log_marginal))]
    return (agreed + steady * mean) / (judged + steady)


def _log_marginal(agreed: np.ndarray, judged: np.ndarray, mean: float, steady: float) -> np.ndarray:
    a, b = steady * mean, steady * (1.0 - mean)
    return betaln(a + agreed, b + judged - agreed) - betaln(a, b)


def _margin_of_others(votes: Preferences, user: np.ndarray, comparison: np.ndarray) -> np.ndarray:
    """Votes for A less votes for B, on the comparison, of all users but this one."""
    pair, sign = np.arange(votes.n_comparisons), np.ones(votes.n_comparisons)
    if votes.strata is not None:  # which are about attention, not about which model is better
        pair, sign = pairs_of(votes.table)
    margin = (votes.wins[:, 0] - votes.wins[:, 1]) * sign[votes.comparison]
    everyone = np.bincount(pair[votes.comparison], margin, votes.n_comparisons)[pair[comparison]]
    keys, place = np.unique(votes.user * votes.n_comparisons + pair[votes.comparison], return_inverse=True)
    own = np.bincount(place, margin)
    wanted = user * votes.n_comparisons + pair[comparison]
    at = np.searchsorted(keys, wanted).clip(max=keys.size - 1)
    return sign[comparison] * (everyone - np.where(keys[at] == wanted, own[at], 0.0))
