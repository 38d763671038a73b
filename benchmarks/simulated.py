"""Votes drawn from the model in plain NumPy, for comparing packages on data that none of them made.

Nothing here uses emjax: the data of a comparison must not come from a package that is compared.
"""

import numpy as np


def careless(share=0.3, *, low=0.0, high=1.0):
    """Attentiveness of users of whom a share is at `low` and the rest at `high`; goes into `arena` as `eta`.

    Returns
    -------
    callable
        (random generator, number of users) -> attentiveness, (n_users,).
    """
    return lambda rng, n_users: np.where(rng.random(n_users) < share, low, high)


def arena(seed, n_models, n_users, n_votes, eta):
    """Votes of an arena: every vote is a random user's, about a random pair of different models.

    Parameters
    ----------
    seed : int
        Any integer; the same one gives the same votes.
    n_models, n_users, n_votes : int
        Sizes. Strengths are normal with variance 1, then centred.
    eta : array_like or callable
        Attentiveness of each user, (n_users,) or one number, or a function such as `careless(0.3)`.

    Returns
    -------
    user, a, b : ndarray of int64, (n_votes,)
        Who voted, and the two models in the order they were shown.
    won : ndarray of bool, (n_votes,)
        Whether the model shown first won.
    strengths : ndarray, (n_models,)
        True log-strengths, natural scale, sum zero.
    eta : ndarray, (n_users,)
        True attentiveness.
    """
    rng = np.random.default_rng(seed)
    strengths = rng.normal(size=n_models)
    strengths -= strengths.mean()
    eta = np.asarray(eta(rng, n_users) if callable(eta) else np.broadcast_to(eta, (n_users,)), dtype=float)
    user = rng.integers(n_users, size=n_votes)
    a = rng.integers(n_models, size=n_votes)
    b = (a + rng.integers(1, n_models, size=n_votes)) % n_models
    attentive = 1.0 / (1.0 + np.exp(strengths[b] - strengths[a]))
    won = rng.random(n_votes) < eta[user] * attentive + (1.0 - eta[user]) / 2
    return user, a, b, won, strengths, eta


def one_comparison(seed, m, n, mu, eta):
    """Wins and totals of m users with n votes each (a number, or one per user) in one comparison.

    Parameters
    ----------
    seed : int
    m : int
        Users.
    n : int or array_like of int, (m,)
        Votes per user.
    mu : float
        How often an attentive user prefers A.
    eta : array_like or callable
        As in `arena`.

    Returns
    -------
    wins, totals : ndarray of int64, (m,)
    """
    rng = np.random.default_rng(seed)
    eta = np.asarray(eta(rng, m) if callable(eta) else np.broadcast_to(eta, (m,)), dtype=float)
    totals = np.array(np.broadcast_to(n, (m,)), dtype=np.int64)
    return rng.binomial(totals, 0.5 + eta * (mu - 0.5)), totals


def score(estimate, truth, std_err=None):
    """How estimated strengths compare with the truth: slope, correlation, and coverage of 95 % intervals.

    Returns
    -------
    dict
        "slope" of the estimate on the truth (1 is right, less is shrunk), "correlation", "rmse", and
        "coverage" (share of models whose interval estimate +- 1.96 std_err holds the truth; None without
        standard errors). Both sides are centred first.
    """
    estimate, truth = np.asarray(estimate) - np.mean(estimate), np.asarray(truth) - np.mean(truth)
    error = estimate - truth
    covered = None if std_err is None else float(np.mean(np.abs(error) <= 1.959964 * np.asarray(std_err)))
    return {
        "slope": float(estimate @ truth / (truth @ truth)),
        "correlation": float(np.corrcoef(estimate, truth)[0, 1]),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "coverage": covered,
    }
