"""Posteriors by brute force, in plain NumPy and SciPy: every parameter on a grid, or many sweeps of Gibbs.

Nothing here imports the package. The priors of the parameters are those that `emjax.Hyperpriors` documents,
written out. A posterior over a handful of parameters is a list of points with a probability each.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, comb, gammaln, xlogy


@dataclass
class Brute:
    """Points in parameter space (points, Q), their probabilities, and log P(kind of user | point)."""

    points: np.ndarray
    probability: np.ndarray
    by_kind: np.ndarray  # (points, kinds)
    kinds: np.ndarray  # (kinds,) users of each

    @property
    def mean(self):
        return self.probability @ self.points

    @property
    def sd(self):
        return np.sqrt(self.probability @ (self.points - self.mean) ** 2)

    def elpd(self):
        """log P(a user of each kind | all the other users), by taking the user out of the posterior."""
        return -np.log(self.probability @ np.exp(-self.by_kind))


def _brute(points, log_prior, by_kind, kinds):
    log = log_prior + by_kind @ kinds
    probability = np.exp(log - log.max())
    probability /= probability.sum()
    # the edge of what was looked at must not matter where it is not an edge of what is possible
    kept = probability > 1e-12 * probability.max()
    return Brute(points[kept], probability[kept] / probability[kept].sum(), by_kind[kept], kinds)


def middles(low, high, count):
    """Midpoints of `count` equal parts of an interval."""
    return low + (high - low) * (np.arange(count) + 0.5) / count


def _points_of(axes):
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def kinds_of(wins, votes):
    """How many users won 0, 1, …, `votes` times."""
    return np.bincount(np.asarray(wins).astype(int), minlength=votes + 1).astype(float)


def _of_wins(p, votes):
    """log P(0, 1, …, votes wins, in a given order) where each is won with probability p: (..., votes + 1)."""
    k = np.arange(votes + 1)
    return xlogy(k, p[..., None]) + xlogy(votes - k, 1.0 - p[..., None])


def two_point_known(wins, votes, mu, size=90):
    """(low, high, weight): all ordered pairs of points equally likely, all weights as well."""
    points = _points_of([middles(0.0, 1.0, size)] * 3)
    points = points[points[:, 0] < points[:, 1]]
    return _brute(points, 0.0, _two_points(points, mu, votes), kinds_of(wins, votes))


def two_point_shared(wins, votes, prior=(8, 2)):
    """(low, high, weight, mu): the same, and mu from a Beta distribution."""
    points = _points_of([middles(0.0, 1.0, 36)] * 3 + [middles(0.5, 1.0, 48)])
    points = points[points[:, 0] < points[:, 1]]
    mu = points[:, 3]
    log_prior = (prior[0] - 1) * np.log(mu) + (prior[1] - 1) * np.log1p(-mu)
    return _brute(points, log_prior, _two_points(points, mu, votes), kinds_of(wins, votes))


def _two_points(points, mu, votes):
    low, high, weight = points.T[:3]
    at = [_of_wins(0.5 + eta * (mu - 0.5), votes) for eta in (low, high)]
    return np.logaddexp(np.log1p(-weight)[:, None] + at[0], np.log(weight)[:, None] + at[1])


def beta_known(wins, votes, mu, size=140, reach=4.5):
    """(a, b): lognormal with median 2 and log-sd 1 each."""
    log_ab = _points_of([np.log(2.0) + middles(-reach, reach, size)] * 2)
    log_ab = log_ab[(log_ab > np.log(0.05)).all(axis=1) & (log_ab < np.log(200.0)).all(axis=1)]
    log_prior = -0.5 * np.sum((log_ab - np.log(2.0)) ** 2, axis=1)
    by_kind = _beta_evidence(np.exp(log_ab), votes, mu)
    return _brute(np.exp(log_ab), log_prior, by_kind, kinds_of(wins, votes))


def _beta_evidence(ab, votes, mu):
    """Exact: P(A) = mu eta + (1 - eta)/2 and P(B) alike, so that all is a sum of positive Beta integrals."""
    a, b = ab.T
    out = np.empty((len(ab), votes + 1))
    for k in range(votes + 1):
        attentive = np.zeros(votes + 1)  # by how many of the votes were cast attentively
        for i, j in itertools.product(range(k + 1), range(votes - k + 1)):
            ways = comb(k, i) * comb(votes - k, j)
            attentive[i + j] += ways * mu**i * (1 - mu) ** j * 0.5 ** (votes - i - j)
        r = np.arange(votes + 1)
        integrals = betaln(a[:, None] + r, b[:, None] + votes - r) - betaln(a, b)[:, None]
        out[:, k] = np.log(np.exp(integrals) @ attentive)
    return out


def grid_known(wins, votes, mu, eta, total=16.0, sweeps=20_000, seed=0):
    """Draws of the weights of points `eta`, Dirichlet with `total` spread evenly, by Gibbs sampling."""
    rng = np.random.default_rng(seed)
    eta = np.asarray(eta)
    like = np.exp(_of_wins(0.5 + eta * (mu - 0.5), votes)).T  # (kinds, G)
    kinds = kinds_of(wins, votes).astype(int)
    weights, drawn = np.full(len(eta), 1.0 / len(eta)), np.empty((sweeps, len(eta)))
    for i in range(sweeps):
        joint = like * weights
        placed = rng.multinomial(kinds, joint / joint.sum(axis=1, keepdims=True)).sum(axis=0)
        weights = rng.dirichlet(placed + total / len(eta))
        drawn[i] = weights
    return drawn[sweeps // 20 :]


def three_models_fixed(counts, pairs, eta, weights, scale=2.0, size=70, reach=3.0):
    """Strengths of three models, summing to zero, and their spread σ, under a fixed discrete prior.

    Normal strengths around 0 with sd σ, less their mean, are normal in the plane Σ s = 0 with sd σ. σ is
    half-normal. `counts` (m, C, 2); points are (s, s, s, σ).
    """
    plane = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / np.sqrt([[2.0], [6.0]])
    axes = [middles(-reach, reach, size), middles(-reach, reach, size)]
    where = _points_of(axes)
    s = where @ plane
    rows, users = np.unique(counts.reshape(len(counts), -1), axis=0, return_counts=True)
    total = np.zeros((len(s), len(rows)))
    for g, mass in zip(eta, weights, strict=True):
        terms = []
        for a, b in pairs:
            p = 0.5 + g * (1.0 / (1.0 + np.exp(s[:, b] - s[:, a])) - 0.5)
            terms += [np.log(p), np.log1p(-p)]
        total += mass * np.exp(np.stack(terms, axis=1) @ rows.T)
    by_row = np.log(total)
    sigma = np.exp(middles(np.log(0.02), np.log(5 * scale), 120))
    # a uniform grid in log σ: one more factor σ
    log_spread = -2 * np.log(sigma) - (where**2).sum(axis=1)[:, None] / (2 * sigma**2)
    log_prior = log_spread - sigma**2 / (2 * scale**2) + np.log(sigma)
    log = log_prior + (by_row @ users)[:, None]
    mass = np.exp(log - log.max())
    mass /= mass.sum()
    points = np.column_stack([s, np.zeros(len(s))])
    of_s = mass.sum(axis=1)
    return Brute(points[:, :3], of_s, by_row, users.astype(float)), (mass.sum(axis=0) @ sigma)


def log_dirichlet(x, alpha):
    """Log density of a Dirichlet distribution, over all but one of its coordinates."""
    alpha = np.asarray(alpha, dtype=float)
    return gammaln(alpha.sum()) - gammaln(alpha).sum() + xlogy(alpha - 1.0, x).sum(axis=-1)
