"""Order of models apart from their scale: relative strengths, rank intervals, which of two is stronger."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

_DRAWS, _FEWEST_DRAWS = 2000, 200
_STEPS = 4
_MOST_ELEMENTS = 1 << 18  # draws × models: of many models fewer draws are taken, and fewer steps


def relative(
    strength: Float[np.ndarray, " K"],
    covariance: Float[np.ndarray, "K K"],
    given_scale: Float[np.ndarray, "K K"],
) -> tuple[Float[np.ndarray, "K K"], float]:
    """Covariance of the strengths on a given scale, and the standard error of the scale.

    Parameters
    ----------
    strength, covariance
        Estimates; the covariance may be of a fit whose scale is open.
    given_scale
        Covariance of the strengths if attentiveness were known, which settles the scale.

    Returns
    -------
    (K, K) covariance of relative strengths, and the standard error of a common factor of all strengths,
    which is 1 at the estimate.

    Notes
    -----
    A factor of all strengths goes with one of all attentiveness, and changes no order. With V the covariance
    and W the one at known attentiveness, the errors that come from attentiveness have the covariance V − W.
    Of them the part along ŝ is left out: what is found is W + P(V − W)P with P = I − ŝŝᵀ/ŝᵀŝ, which is
    determined where the votes leave the scale open, too. The standard error of the factor is √(ŝᵀVŝ)/ŝᵀŝ.

    A limit: to first order. Where the scale is as unsure as a fifth, the two parts do not separate cleanly.

    Examples
    --------
    >>> s = np.array([1.0, 0.0, -1.0])
    >>> known = np.diag([0.01, 0.01, 0.01])
    >>> found, scale = relative(s, known + 0.04 * np.outer(s, s), known)
    >>> found.diagonal().round(3).tolist(), round(scale, 3)
    ([0.01, 0.01, 0.01], 0.212)
    """
    length = strength @ strength
    if length == 0.0:
        return covariance, np.nan
    direction = np.outer(strength, strength) / length
    across = np.eye(len(strength)) - direction
    found = given_scale + across @ (covariance - given_scale) @ across
    return found, float(np.sqrt(max(strength @ covariance @ strength, 0.0)) / length)


def differences(
    strength: Float[np.ndarray, " K"], covariance: Float[np.ndarray, "K K"]
) -> tuple[Float[np.ndarray, "K K"], Float[np.ndarray, "K K"]]:
    """All differences ``s_i − s_j`` and their standard errors."""
    variance = np.diag(covariance)
    squared = variance[:, None] + variance[None, :] - 2.0 * covariance
    return strength[:, None] - strength[None, :], np.sqrt(np.maximum(squared, 0.0))


def probability_stronger(
    strength: Float[np.ndarray, " K"], covariance: Float[np.ndarray, "K K"]
) -> Float[np.ndarray, "K K"]:
    """Probability that model i is stronger than model j, by a normal approximation; ½ of a model and itself.

    Examples
    --------
    >>> probability_stronger(np.array([0.2, 0.0]), np.array([[0.01, 0.0], [0.0, 0.01]])).round(3).tolist()
    [[0.5, 0.921], [0.079, 0.5]]
    """
    apart, std_err = differences(strength, covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(apart == 0.0, 0.5, ndtr(apart / std_err))


def significantly_stronger(
    strength: Float[np.ndarray, " K"],
    covariance: Float[np.ndarray, "K K"],
    comparable: Bool[np.ndarray, "K K"],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Bool[np.ndarray, "K K"]:
    """Pairs (i, j) of which model i is the stronger one, without any mistake with probability `level`.

    A step-down test of all hypotheses s_i ≤ s_j. The critical value is a quantile of the largest z_i − z_j,
    in standard errors, over draws z from N(0, V), since differences depend on each other; of the hypotheses
    that are left it is found again, until no more are rejected, or a few times: to stop early is safe.

    Source: Romano & Wolf, Exact and approximate stepdown methods (J. Am. Stat. Assoc., 2005).
    """
    n = len(strength)
    apart, std_err = differences(strength, covariance)
    left = comparable & (std_err > 0.0) & ~np.eye(n, dtype=bool)
    inverse = np.where(left, 1.0 / np.where(left, std_err, 1.0), 0.0)
    z, found = _draws(covariance, seed), np.zeros((n, n), dtype=bool)
    for _ in range(_STEPS if len(z) == _DRAWS else 1):
        critical = np.quantile(_largest(z, np.where(left, inverse, 0.0)), level, method="higher")
        new = left & (apart * inverse > critical)
        found, left = found | new, left & ~new
        if not (new.any() and left.any()):
            break
    return found


def _draws(covariance: Float[np.ndarray, "K K"], seed: int) -> Float[np.ndarray, "draws K"]:
    """Draws of errors with this covariance; of thousands of models fewer."""
    n = len(covariance)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    many = int(np.clip(_MOST_ELEMENTS // max(n, 1), _FEWEST_DRAWS, _DRAWS))
    return (np.random.default_rng(seed).normal(size=(many, n)) @ root.T).astype(np.float32)


def _largest(
    z: Float[np.ndarray, "draws K"], inverse: Float[np.ndarray, "K K"]
) -> Float[np.ndarray, " draws"]:
    """Of each draw the largest difference in standard errors, over the pairs that have an inverse of them."""
    largest = np.zeros(len(z), np.float32)
    for one, own in zip(z.T, inverse.astype(np.float32), strict=True):
        np.maximum(largest, np.max((one[:, None] - z) * own, axis=1), out=largest)
    return largest


def rank_intervals(
    strength: Float[np.ndarray, " K"],
    covariance: Float[np.ndarray, "K K"],
    groups: Int[np.ndarray, " K"],
    *,
    known: Bool[np.ndarray, " K"] | None = None,
    level: float = 0.95,
) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Best and worst rank of each model within its group, all of them right with probability `level`.

    Parameters
    ----------
    strength, covariance
        Estimates; only their differences matter.
    groups
        Models of different groups are not compared.
    known
        Of which models the covariance is known; the others could have any rank.
    level
        Probability that every model's rank is in its interval.

    Notes
    -----
    A model's best rank is one more than the number of models that are significantly stronger, and its worst
    rank leaves out those that are significantly weaker. Models that the votes do not distinguish share ranks.

    A limit: the intervals are for the model as fitted. They are wide where there are many models, since they
    all hold together.

    Source: Mogstad, Romano, Shaikh & Wilhelm, Inference for ranks (Review of Economic Studies, 2024).

    Examples
    --------
    >>> best, worst = rank_intervals(np.array([1.0, 0.1, 0.0]), 0.01 * np.eye(3), np.zeros(3, int))
    >>> best.tolist(), worst.tolist()
    ([1, 2, 2], [1, 3, 3])
    """
    together = groups[:, None] == groups[None, :]
    comparable = together if known is None else together & known[:, None] & known[None, :]
    stronger = significantly_stronger(strength, covariance, comparable, level=level)
    return 1 + stronger.sum(axis=0), together.sum(axis=1) - stronger.sum(axis=1)
