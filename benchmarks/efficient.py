"""How well attentiveness can be recovered at all: the information in one user's votes, in NumPy and SciPy.

Nothing here uses emjax. A user casts n votes in one comparison of known strength μ; the expected (Fisher)
information of the prior's parameters is a sum over the n + 1 possible outcomes, with scores written out by
hand. An efficient estimator from m users is then normal with variance 1/(m · information).
"""

import numpy as np
from scipy.special import betaln, digamma, roots_jacobi
from scipy.stats import binom


def two_point_information(low, high, weight, mu, n):
    """(3, 3) information of (low, high, weight) in the n votes of one user; weight is the share at high."""
    wins = np.arange(n + 1)
    q = 0.5 + np.array([low, high]) * (mu - 0.5)
    seen = binom.pmf(wins[:, None], n, q)
    slope = seen * (wins[:, None] / q - (n - wins[:, None]) / (1.0 - q)) * (mu - 0.5)
    share = np.array([1.0 - weight, weight])
    gradient = np.column_stack([slope * share, seen[:, 1] - seen[:, 0]])
    return _information(seen @ share, gradient)


def beta_information(a, b, mu, n):
    """(2, 2) information of (a, b) of a Beta prior in the n votes of one user."""
    x, mass = roots_jacobi(400, b - 1.0, a - 1.0)
    eta = (1.0 + x) / 2
    # the weight function is (1 - x)^(b-1) (1 + x)^(a-1) on [-1, 1]
    mass = mass * np.exp(-(a + b - 1.0) * np.log(2.0) - betaln(a, b))
    joint = binom.pmf(np.arange(n + 1)[:, None], n, 0.5 + eta * (mu - 0.5)) * mass
    score_a = np.log(eta) - digamma(a) + digamma(a + b)
    score_b = np.log1p(-eta) - digamma(b) + digamma(a + b)
    return _information(joint.sum(axis=1), np.column_stack([joint @ score_a, joint @ score_b]))


def _information(probability, gradient):
    kept = probability > 0
    return gradient[kept].T @ (gradient[kept] / probability[kept, None])


def expected_relative_error(truth, information, m, *, draws=200_000, seed=0):
    """E‖N(0, (m·information)⁻¹)‖ / ‖truth‖: the mean relative L2 error of an efficient estimator, m users.

    It is the large-sample answer: with few users a parameter may be stopped by a bound (then errors are
    smaller), or an estimate may have a long tail (then they are larger).
    """
    root = np.linalg.cholesky(np.linalg.inv(m * np.asarray(information)))
    noise = np.random.default_rng(seed).normal(size=(draws, len(truth))) @ root.T
    return float(np.linalg.norm(noise, axis=1).mean() / np.linalg.norm(truth))
