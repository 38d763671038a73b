"""Users' posteriors, averaged over draws: against averages written out."""

import numpy as np
import pytest

import emjax
import oracles

MU, VOTES = 0.9, 10


def chosen(fit, count):
    """The draws that are averaged over: evenly spread over all of them."""
    total = fit.draws.diverging.size
    which = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
    return fit.draws.natural.reshape(total, -1)[which]


def test_two_points(two_point, prefs, wins):
    at = two_point.posterior(prefs, draws=25)
    counts = np.stack([wins, VOTES - wins], axis=1)[:, None, :]
    means, squares, above = [], [], []
    for low, high, weight in chosen(two_point, 25):
        eta, share = (
            np.array([low, high]),
            oracles.responsibilities(counts, MU, [low, high], [1 - weight, weight]),
        )
        means.append(share @ eta)
        squares.append(share @ eta**2)
        above.append(share @ (eta >= 0.5))
    mean = np.mean(means, axis=0)
    np.testing.assert_allclose(at.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(at.sd, np.sqrt(np.mean(squares, axis=0) - mean**2), rtol=1e-8)
    np.testing.assert_allclose(at.prob_above(0.5), np.mean(above, axis=0), rtol=1e-9, atol=1e-13)
    assert (np.diff(at.eta) >= 0).all() and len(at.eta) <= 50


def test_a_vote_left_out_under_two_points(two_point, prefs, wins):
    """It weighs every pair of a draw and a point anew: one over the vote's probability there."""
    at = two_point.posterior(prefs, draws=25)
    user, outcome = np.array([0, 5, 17, 17]), np.array([0, 1, 0, 1])
    found = at.leave_one_out(user, np.zeros(4, int), outcome)
    for j, o, mean in zip(user, outcome, found.mean, strict=True):
        weighed, total = 0.0, 0.0
        for low, high, weight in chosen(two_point, 25):
            pair = [(eta, mass, 0.5 + eta * (MU - 0.5)) for eta, mass in ((low, 1 - weight), (high, weight))]
            joint = [mass * p ** wins[j] * (1 - p) ** (VOTES - wins[j]) for _, mass, p in pair]
            for (eta, _, p), own in zip(pair, np.array(joint) / sum(joint), strict=True):
                other = own / (p if o == 0 else 1 - p)
                weighed, total = weighed + other * eta, total + other
        assert mean == pytest.approx(weighed / total, rel=1e-9)


def test_beta(beta, prefs, wins):
    at = beta.posterior(prefs, draws=8)
    counts = np.stack([wins, VOTES - wins], axis=1)[:, None, :]
    truth = [oracles.posterior_moments_beta(counts, MU, a, b) for a, b in chosen(beta, 8)]
    mean = np.mean([m for m, _, _ in truth], axis=0)
    square = np.mean([m**2 + sd**2 for m, sd, _ in truth], axis=0)
    np.testing.assert_allclose(at.mean, mean, rtol=1e-7)
    np.testing.assert_allclose(at.sd, np.sqrt(square - mean**2), rtol=1e-6)


def test_a_vote_left_out_under_a_beta_and_known_strength(beta, prefs, wins):
    """Exact: of each draw, E[η / P(vote | η)] and E[1 / P(vote | η)] under the user's posterior."""
    at = beta.posterior(prefs, draws=8)
    user, outcome = np.array([2, 9, 30]), np.array([0, 1, 1])
    found = at.leave_one_out(user, np.zeros(3, int), outcome)
    x, mass = np.polynomial.legendre.leggauss(400)
    t = (x + 1) / 2
    eta = t**2 * (3 - 2 * t)  # thins out towards both ends, where a Beta may be steep
    log_step = np.log(mass) + np.log(6 * t * (1 - t))
    p = 0.5 + eta * (MU - 0.5)
    for j, o, mean in zip(user, outcome, found.mean, strict=True):
        top = below = 0.0
        for a, b in chosen(beta, 8):
            log = (a - 1) * np.log(eta) + (b - 1) * np.log1p(-eta) + log_step
            log += wins[j] * np.log(p) + (VOTES - wins[j]) * np.log1p(-p)
            own = np.exp(log - log.max())
            other = own / own.sum() / (p if o == 0 else 1 - p)
            top, below = top + other @ eta, below + other.sum()
        assert mean == pytest.approx(top / below, rel=1e-4)


def test_unknown_strengths_are_averaged_over(ranked, arena, arena_counts):
    at = ranked.posterior(arena, draws=10)
    means = []
    for s in chosen(ranked, 10):
        mu = [1 / (1 + np.exp(s[b] - s[a])) for a, b in [(0, 1), (0, 2), (1, 2)]]
        means.append(oracles.posterior_moments_discrete(arena_counts, mu, [0.2, 0.9], [0.4, 0.6])[0])
    np.testing.assert_allclose(at.mean, np.mean(means, axis=0), rtol=1e-9)
    # A vote left out: what is kept of it at a node is an average, close to the exact answer of these draws.
    user, comparison, outcome = np.array([0, 7, 14]), np.array([0, 1, 2]), np.array([0, 0, 0])
    found = at.leave_one_out(user, comparison, outcome).mean
    for j, c, o, mean in zip(user, comparison, outcome, found, strict=True):
        top = below = 0.0
        for s in chosen(ranked, 10):
            mu = np.array([1 / (1 + np.exp(s[b] - s[a])) for a, b in [(0, 1), (0, 2), (1, 2)]])
            share = oracles.responsibilities(arena_counts[j : j + 1], mu, [0.2, 0.9], [0.4, 0.6])[0]
            p = 0.5 + np.array([0.2, 0.9]) * (mu[c] - 0.5)
            other = share / (p if o == 0 else 1 - p)
            top, below = top + other @ [0.2, 0.9], below + other.sum()
        assert mean == pytest.approx(top / below, abs=0.01)


def test_policies_accept_an_averaged_posterior(two_point, beta, ranked, prefs, arena):
    for fit, votes in ((two_point, prefs), (beta, prefs), (ranked, arena)):
        at = fit.posterior(votes)
        assert isinstance(at, emjax.Posterior)
        kept = emjax.filter_votes(at, emjax.TopFraction(0.7))
        assert 0.5 * votes.n_votes < kept.n_votes_kept < votes.n_votes
        assert at.probabilities.dtype == np.float64
        np.testing.assert_allclose(at.probabilities.sum(axis=1), 1.0)


def test_users_outside_the_fit_have_posteriors(two_point, prefs):
    other = emjax.Preferences.from_counts([0, 10, 3], [10, 10, 4], users=["x", "y", "z"])
    mean = two_point.posterior(other).mean
    assert mean[0] < mean[2] < mean[1]
    same = two_point.posterior(emjax.Preferences.from_counts([7], [10])).mean
    known = two_point.posterior(prefs).mean[prefs.counts[:, 0] == 7]
    np.testing.assert_allclose(known, same[0], rtol=1e-10)


def test_the_averaged_posterior_is_wider_than_at_one_model(two_point, prefs):
    """What is not known of prior and strength is in it."""
    assert two_point.posterior(prefs).sd.mean() > two_point.em.posterior(prefs).sd.mean()


def test_an_open_scale_is_said_of_users_and_of_a_filter(ridge, two_point, prefs):
    """The note of `fit_em`, where the strength is unknown; none where it is known."""
    note = ridge.em.identifiability().open_scale
    posterior = ridge.posterior(prefs, draws=10)
    assert note and posterior.open_scale == note and note in repr(posterior)
    kept = emjax.filter_votes(posterior, emjax.TopFraction(0.5))
    assert kept.open_scale == note and note in kept.notes
    assert two_point.posterior(prefs, draws=10).open_scale == ""
