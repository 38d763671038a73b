"""The kernel and the marginal likelihood, against loops over users, comparisons and nodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from emjax import AttentiveOrRandom, Beta, Grid, Points, TwoPoint
from emjax.model import likelihood
from emjax.model.likelihood import Nodes

pytestmark = pytest.mark.usefixtures("double")

MU = np.array([0.55, 0.74, 0.02])
ETA = np.array([0.0, 0.2, 0.7, 1.0])
BEHAVIOR = AttentiveOrRandom()
PRIORS = [
    TwoPoint(0.1, 0.95, 0.3),
    TwoPoint(0.0, 1.0, 1e-9),
    Points(1),
    Points(4, [0.0, 0.2, 0.9, 1.0], [0.1, 0.0, 0.5, 0.4]),
    Grid(17),
    Grid([0.1, 0.8], [0.25, 0.75]),
]
# Every a, b, number of votes and strength of the accuracy promised, in an order that mixes them.
CORNERS = [
    (a, b, (1, 10, 100, 1000)[i % 4], (0.55, 0.74, 0.95, 0.999)[(i // 4 + j) % 4])
    for i, a in enumerate((0.05, 0.3, 1.0, 3.0, 20.0, 200.0))
    for j, b in enumerate((0.05, 0.3, 1.0, 3.0, 20.0, 200.0))
] + [
    (200.0, 200.0, 1000, 0.999),
    (200.0, 200.0, 1000, 0.95),
    (0.05, 0.05, 1000, 0.999),
    (0.05, 200.0, 1000, 0.74),
]


def logit(mu):
    return jnp.log(jnp.asarray(mu) / (1.0 - np.asarray(mu)))


@jax.jit
def _rows(counts, logits, prior):
    nodes = prior.nodes()
    at_nodes = jax.vmap(likelihood.user_log_likelihood, in_axes=(None, None, 0, 0, None))
    at_users = jax.vmap(at_nodes, in_axes=(0, None, None, None, None))
    return at_users(counts, logits, nodes.eta, nodes.rest, BEHAVIOR)


@jax.jit
def _log_evidence(counts, logits, prior):
    return likelihood.marginal(_rows(counts, logits, prior), prior.log_weights())[0]


def rows_of(counts, mu, prior):
    """(m, G): the kernel at every user and node."""
    return _rows(jnp.asarray(counts), logit(mu), prior)


def log_evidence(counts, mu, prior):
    return np.asarray(_log_evidence(jnp.asarray(counts), logit(mu), prior))


def test_one_user_at_one_node(tally):
    prior = Points(4, ETA)
    np.testing.assert_allclose(
        rows_of(tally, MU, prior), oracles.node_log_likelihoods(tally, MU, ETA), rtol=1e-13, atol=1e-13
    )


def test_the_table_is_the_kernel_of_one_vote():
    found = likelihood.log_probabilities(BEHAVIOR, Nodes(jnp.asarray(ETA), 1.0 - ETA), logit(MU))
    a_wins = 0.5 + ETA[None, :] * (MU[:, None] - 0.5)
    np.testing.assert_allclose(np.exp(found), np.stack([a_wins, 1.0 - a_wins], axis=1), rtol=1e-14)


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
@pytest.mark.parametrize("comparisons", [[0], [1], [0, 1, 2]], ids=str)
def test_marginal_likelihood_of_discrete_priors(tally, prior, comparisons):
    counts, mu = tally[:, comparisons], MU[comparisons]
    eta, weights = np.asarray(prior.nodes().eta), np.exp(np.asarray(prior.log_weights()))
    found = log_evidence(counts, mu, prior).sum()
    np.testing.assert_allclose(found, oracles.log_likelihood_discrete(counts, mu, eta, weights), rtol=1e-12)


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_posterior_of_each_user(tally, prior):
    eta, weights = np.asarray(prior.nodes().eta), np.exp(np.asarray(prior.log_weights()))
    _, found = likelihood.marginal(rows_of(tally, MU, prior), prior.log_weights())
    np.testing.assert_allclose(found, oracles.responsibilities(tally, MU, eta, weights), atol=1e-14)
    np.testing.assert_allclose(found[3], weights, rtol=1e-13)  # a user without votes


@pytest.mark.parametrize("a, b, votes, mu", CORNERS)
def test_marginal_likelihood_of_a_beta_prior(a, b, votes, mu):
    """Each count on its own, so that no error hides behind a larger term."""
    wins = np.array([0, 1, votes // 2, (3 * votes) // 4, votes])
    counts = np.stack([wins, votes - wins], axis=1)[:, None, :].astype(float)
    truth = [oracles.log_likelihood_beta(one[None], mu, a, b) for one in counts]
    np.testing.assert_allclose(log_evidence(counts, [mu], Beta(a, b)), truth, rtol=1e-9)


@pytest.mark.parametrize("a, b", [(0.05, 3.0), (3.0, 5.0), (20.0, 0.3)])
def test_marginal_likelihood_of_a_beta_prior_without_any_quadrature(a, b):
    counts = np.array([[[7, 3], [0, 0], [1, 9]], [[0, 12], [30, 1], [2, 2]]], dtype=float)
    truth = oracles.log_likelihood_beta_exact(counts, MU, a, b)
    np.testing.assert_allclose(log_evidence(counts, MU, Beta(a, b)).sum(), truth, rtol=1e-11)


def test_fractional_votes_under_a_beta_prior(tally):
    np.testing.assert_allclose(
        log_evidence(tally, MU, Beta(0.7, 2.5)).sum(),
        oracles.log_likelihood_beta(tally, MU, 0.7, 2.5),
        rtol=1e-11,
    )


def test_what_has_no_weight_has_no_effect(tally):
    with_it = log_evidence(tally, MU, Points(3, [0.2, 0.5, 0.9], [0.4, 0.0, 0.6]))
    without = log_evidence(tally, MU, Points(2, [0.2, 0.9], [0.4, 0.6]))
    np.testing.assert_allclose(with_it, without, rtol=1e-14)


def test_slopes_of_the_expected_log_likelihood():
    rng = np.random.default_rng(2)
    votes, eta = rng.random((3, 2, 4)) * 9, np.array([0.0, 0.2, 0.7, 1.0])

    def expected(mu, eta):
        a_wins = 0.5 + eta * (mu[:, None] - 0.5)
        return np.sum(votes[:, 0] * np.log(a_wins) + votes[:, 1] * np.log(1.0 - a_wins))

    logits, nodes = logit(MU), Nodes(jnp.asarray(eta), 1.0 - eta)
    sigmoid = lambda x: 1.0 / (1.0 + np.exp(-x))  # noqa: E731
    np.testing.assert_allclose(
        likelihood.strength_slopes(BEHAVIOR, nodes, logits, jnp.asarray(votes)),
        oracles.gradient(lambda x: expected(sigmoid(x), eta), np.asarray(logits)),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        likelihood.support_slopes(BEHAVIOR, jnp.asarray(eta), logits, jnp.asarray(votes)),
        oracles.gradient(lambda x: expected(MU, x), eta),
        rtol=1e-12,
    )
    each = likelihood.expected_log_likelihoods(BEHAVIOR, nodes, logits, jnp.asarray(votes))
    for found, mu, seen in zip(each, MU, votes, strict=True):
        a_wins = 0.5 + eta * (mu - 0.5)
        np.testing.assert_allclose(found, np.sum(seen * np.log([a_wins, 1.0 - a_wins])), rtol=1e-13)
