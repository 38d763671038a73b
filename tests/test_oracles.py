"""The oracles agree with one another, and with what can be worked out by hand."""

import numpy as np
import pytest
from scipy.special import betaln

import oracles


def votes(rng, m, n, mu, eta):
    """Counts (m, C, 2): n votes of every user in each comparison, from the model."""
    mu = np.atleast_1d(mu)
    wins = rng.binomial(n, 0.5 + np.broadcast_to(eta, (m,))[:, None] * (mu - 0.5))
    return np.stack([wins, n - wins], axis=-1).astype(float)


# ------------------------------------------------------------------------------------------ log-likelihoods


def test_discrete_by_hand():
    counts = np.array([[[1, 0]], [[0, 1]], [[2, 0]], [[0, 0]]], dtype=float)
    low, high = 0.5 + 0.2 * 0.25, 0.5 + 0.9 * 0.25
    expected = (
        np.log(0.4 * low + 0.6 * high)
        + np.log(0.4 * (1 - low) + 0.6 * (1 - high))
        + np.log(0.4 * low**2 + 0.6 * high**2)
    )
    assert np.isclose(
        oracles.log_likelihood_discrete(counts, 0.75, [0.2, 0.9], [0.4, 0.6]), expected, rtol=1e-14
    )


def test_discrete_at_the_edges_of_the_model():
    counts = np.array([[[3, 0]], [[0, 0]]], dtype=float)
    assert oracles.log_likelihood_discrete(counts, 1.0, [1.0], [1.0]) == 0.0
    impossible = oracles.log_likelihood_discrete(np.array([[[0.0, 1.0]]]), 1.0, [1.0], [1.0])
    assert impossible == -np.inf
    ignored = oracles.log_likelihood_discrete(counts, 0.7, [0.3, 0.9], [1.0, 0.0])
    assert np.isclose(ignored, 3 * np.log(0.5 + 0.3 * 0.2))


@pytest.mark.parametrize("a, b", [(1.0, 1.0), (0.05, 0.05), (3.0, 5.0), (200.0, 0.3)])
@pytest.mark.parametrize("mu", [0.55, 0.74, 0.999])
def test_one_vote_under_a_beta_prior_is_closed_form(a, b, mu):
    mean = a / (a + b)
    won = oracles.log_likelihood_beta(np.array([[[1.0, 0.0]]]), mu, a, b)
    lost = oracles.log_likelihood_beta(np.array([[[0.0, 1.0]]]), mu, a, b)
    assert np.isclose(won, np.log(0.5 + mean * (mu - 0.5)), rtol=1e-11, atol=1e-13)
    assert np.isclose(lost, np.log(0.5 - mean * (mu - 0.5)), rtol=1e-11, atol=1e-13)


def test_two_votes_under_a_beta_prior_is_closed_form():
    a, b, lean = 3.0, 5.0, 0.24
    first, second = a / (a + b), a * (a + 1) / ((a + b) * (a + b + 1))
    split = oracles.log_likelihood_beta(np.array([[[1.0, 1.0]]]), 0.74, a, b)
    assert np.isclose(split, np.log(0.25 - second * lean**2), rtol=1e-13)
    both = oracles.log_likelihood_beta(np.array([[[2.0, 0.0]]]), 0.74, a, b)
    assert np.isclose(both, np.log(0.25 + first * lean + second * lean**2), rtol=1e-13)


def test_certain_comparison_without_losses_is_a_ratio_of_beta_functions():
    # mu = 1 and eta = 1 - 2 u: all n votes lost means (1 - eta)^n / 2^n
    value = oracles.log_likelihood_beta(np.array([[[0.0, 40.0]]]), 1.0, 0.3, 2.5)
    assert np.isclose(value, betaln(0.3, 42.5) - betaln(0.3, 2.5) - 40 * np.log(2), rtol=1e-12)


@pytest.mark.parametrize(
    "a, b", [(0.05, 0.05), (0.05, 200.0), (200.0, 0.05), (1.05, 0.7), (3.0, 5.0), (200.0, 200.0)]
)
@pytest.mark.parametrize("mu", [0.55, 0.74, 0.999])
@pytest.mark.parametrize("n", [10, 150])
def test_quadrature_agrees_with_exact_polynomial_moments(a, b, mu, n):
    counts = np.array([[[wins, n - wins]] for wins in (0, n // 2, 9 * n // 10, n)], dtype=float)
    exact = oracles.log_likelihood_beta_exact(counts, mu, a, b)
    assert np.isclose(oracles.log_likelihood_beta(counts, mu, a, b), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "a, b, mu", [(0.05, 0.05, 0.999), (200.0, 0.05, 0.999), (0.05, 200.0, 0.74), (1.5, 2.5, 0.55)]
)
def test_quadrature_agrees_with_exact_moments_at_a_thousand_votes(a, b, mu):
    counts = np.array([[[wins, 1000 - wins]] for wins in (0, 500, 930, 1000)], dtype=float)
    exact = oracles.log_likelihood_beta_exact(counts, mu, a, b)
    assert np.isclose(oracles.log_likelihood_beta(counts, mu, a, b), exact, rtol=1e-12)


def test_several_comparisons_agree_with_exact_moments():
    counts = votes(np.random.default_rng(0), 6, 12, [0.3, 0.62, 0.97], 0.7)
    exact = oracles.log_likelihood_beta_exact(counts, [0.3, 0.62, 0.97], 0.4, 1.3)
    assert np.isclose(oracles.log_likelihood_beta(counts, [0.3, 0.62, 0.97], 0.4, 1.3), exact, rtol=1e-12)


@pytest.mark.parametrize(
    "a, b, mu, n", [(0.05, 0.3, 0.999, 300), (3.0, 5.0, 0.74, 1000), (60.0, 0.8, 0.9, 40)]
)
def test_trapezoid_agrees_with_quadrature(a, b, mu, n):
    counts = votes(np.random.default_rng(1), 12, n, mu, np.linspace(0, 1, 12))
    eta, log_weights = oracles.beta_nodes(a, b)
    value = oracles.marginal(counts, mu, eta, log_weights).real
    assert np.isclose(value, oracles.log_likelihood_beta(counts, mu, a, b), rtol=1e-11)


def test_a_fine_discrete_prior_approaches_a_beta():
    counts = votes(np.random.default_rng(2), 20, 15, 0.8, np.linspace(0, 1, 20))
    eta = (np.arange(2000) + 0.5) / 2000
    weights = eta**2 * (1 - eta) ** 4
    weights /= weights.sum()
    fine = oracles.log_likelihood_discrete(counts, 0.8, eta, weights)
    assert np.isclose(fine, oracles.log_likelihood_beta(counts, 0.8, 3.0, 5.0), rtol=1e-9)
    moments = zip(
        oracles.posterior_moments_discrete(counts, 0.8, eta, weights, 0.4),
        oracles.posterior_moments_beta(counts, 0.8, 3.0, 5.0, 0.4),
        strict=True,
    )
    for discrete, continuous in moments:
        np.testing.assert_allclose(discrete, continuous, rtol=1e-6)


def test_mirror_and_order_do_not_matter():
    counts = votes(np.random.default_rng(3), 30, 7, [0.7, 0.4], 0.6)
    here = oracles.log_likelihood_beta(counts, [0.7, 0.4], 0.6, 2.0)
    mirrored = oracles.log_likelihood_beta(counts[::-1, :, ::-1], [0.3, 0.6], 0.6, 2.0)
    assert np.isclose(here, mirrored, rtol=1e-13)
    assert np.isclose(here, oracles.log_likelihood_beta(counts[:, ::-1], [0.4, 0.7], 0.6, 2.0), rtol=1e-13)


# ------------------------------------------------------------------------------------- posterior and E-step


def test_posterior_of_one_win_under_a_uniform_prior_by_hand():
    lean = 0.25
    evidence = 0.5 + lean / 2
    mean = (0.25 + lean / 3) / evidence
    square = (0.5 / 3 + lean / 4) / evidence
    tail = (0.5 * 0.6 + lean * (1 - 0.4**2) / 2) / evidence
    answer = oracles.posterior_moments_beta(np.array([[[1.0, 0.0]]]), 0.75, 1.0, 1.0, 0.4)
    np.testing.assert_allclose(np.ravel(answer), [mean, np.sqrt(square - mean**2), tail], rtol=1e-12)


@pytest.mark.parametrize("a, b", [(0.05, 0.2), (0.7, 30.0), (90.0, 2.0)])
def test_posterior_mean_agrees_with_exact_moments(a, b):
    counts = np.array([[[9.0, 3.0]], [[200.0, 10.0]], [[0.0, 50.0]]])
    mean, sd, _ = oracles.posterior_moments_beta(counts, 0.9, a, b)
    for j, row in enumerate(counts):
        zero, one, two = (
            oracles.log_likelihood_beta_exact(row[None], 0.9, a, b, moment) for moment in range(3)
        )
        assert np.isclose(mean[j], np.exp(one - zero), rtol=1e-11)
        assert np.isclose(sd[j] ** 2 + mean[j] ** 2, np.exp(two - zero), rtol=1e-11)


def test_no_votes_leave_the_prior():
    mean, sd, tail = oracles.posterior_moments_beta(np.zeros((1, 1, 2)), 0.7, 2.0, 2.0, 0.5)
    np.testing.assert_allclose([mean[0], sd[0], tail[0]], [0.5, np.sqrt(0.05), 0.5], rtol=1e-12)
    mean, sd, tail = oracles.posterior_moments_discrete(np.zeros((1, 1, 2)), 0.7, [0.2, 0.9], [0.5, 0.5], 0.9)
    np.testing.assert_allclose([mean[0], sd[0], tail[0]], [0.55, 0.35, 0.5])


def test_e_step_is_the_gradient_of_the_log_likelihood():
    counts = votes(np.random.default_rng(4), 40, 6, [0.7, 0.35], 0.6)
    eta, weights, mu = np.array([0.1, 0.6, 0.95]), np.array([0.3, 0.3, 0.4]), np.array([0.7, 0.35])
    mass, by_node, value = oracles.em_step_discrete(counts, mu, eta, weights)
    assert np.isclose(mass.sum(), 40) and np.isclose(by_node.sum(), counts.sum())

    def by_weight(x):
        return oracles.marginal(counts, mu, eta, np.log(x))

    def by_strength(x):
        return oracles.marginal(counts, x, eta, np.log(weights))

    assert np.isclose(value, by_weight(weights), rtol=1e-14)
    np.testing.assert_allclose(oracles.gradient(by_weight, weights), mass / weights, rtol=1e-10)
    a_wins = 0.5 + eta * (mu[:, None] - 0.5)
    score = np.sum(eta * (by_node[:, 0] / a_wins - by_node[:, 1] / (1 - a_wins)), axis=1)
    np.testing.assert_allclose(oracles.gradient(by_strength, mu), score, rtol=1e-9)


# ----------------------------------------------------------------------------------------------- optimisers


def test_maximise_finds_a_maximum_inside_and_on_the_edge():
    def bowl(x):
        return -((x[0] - 0.3) ** 2) - 4 * (x[1] - 2.0) ** 2 + x[0] * x[1]

    inside = oracles.maximise(bowl, [[0.0, 0.0], [5.0, 5.0]], [(-10, 10), (-10, 10)])
    np.testing.assert_allclose(oracles.gradient(bowl, inside.x), 0, atol=1e-9)
    np.testing.assert_allclose(oracles.hessian(bowl, inside.x), [[-2, 1], [1, -8]], rtol=1e-6)
    edge = oracles.maximise(bowl, [[0.0, 0.0]], [(-10, 1), (-10, 10)])
    assert edge.x[0] == 1.0 and np.isclose(edge.x[1], 2.125)


def test_fixed_prior_and_shared_strength_without_prior_is_a_win_rate():
    counts = votes(np.random.default_rng(5), 50, 9, 0.7, 1.0)
    best = oracles.fit(counts, "fixed", "shared", fixed=([0.8], [1.0]), beta=(1, 1), starts=2)
    share = counts[..., 0].sum() / counts.sum()
    assert np.isclose(best.parameters["mu"][0], 0.5 + (share - 0.5) / 0.8, rtol=1e-9)


def test_two_point_optimum_is_a_fixed_point_of_em():
    rng = np.random.default_rng(6)
    counts = votes(rng, 500, 20, 0.8, np.where(rng.random(500) < 0.6, 0.9, 0.2))
    best = oracles.fit(counts, "points", "known", value=0.8, starts=4)
    eta, weights = best.parameters["eta"], best.parameters["weights"]
    mass, by_node, value = oracles.em_step_discrete(counts, 0.8, eta, weights)
    assert np.isclose(value, best.value, rtol=1e-13)
    np.testing.assert_allclose(mass / 500, weights, atol=1e-7)
    rate = by_node[0, 0] / by_node[0].sum(axis=0)
    np.testing.assert_allclose(np.clip((rate - 0.5) / 0.3, 0, 1), eta, atol=1e-7)


def test_two_point_with_an_unknown_shared_strength_lands_where_its_prior_says():
    rng = np.random.default_rng(7)
    counts = votes(rng, 500, 20, 0.74, np.where(rng.random(500) < 0.6, 0.95, 0.3))
    known = oracles.fit(counts, "points", "known", value=0.875, starts=4)
    shared = oracles.fit(counts, "points", "shared", beta=(8, 2), starts=4)
    assert np.isclose(shared.parameters["mu"][0], 7 / 8, atol=1e-6)
    assert np.isclose(shared.value, known.value + 7 * np.log(7 / 8) + np.log(1 / 8), atol=1e-8)
    np.testing.assert_allclose(shared.parameters["eta"], known.parameters["eta"], atol=1e-5)


def test_beta_optimum_agrees_between_two_distant_kinds_of_start():
    rng = np.random.default_rng(8)
    counts = votes(rng, 400, 20, 0.8, rng.beta(3, 5, 400))
    first = oracles.fit(counts, "beta", "shared", starts=2, seed=0)
    second = oracles.fit(counts, "beta", "shared", starts=2, seed=99)
    assert np.isclose(first.value, second.value, atol=1e-7)
    a, b, mu = first.parameters["a"], first.parameters["b"], first.parameters["mu"]
    assert np.isclose(
        oracles.log_likelihood_beta(counts, mu, a, b), first.parameters["log_likelihood"], rtol=1e-12
    )


def test_bradley_terry_satisfies_its_equations():
    rng = np.random.default_rng(9)
    pairs, s = np.array([(0, 1), (0, 2), (2, 1), (1, 3), (3, 2)]), np.array([0.9, 0.1, -0.2, -0.8])
    mu = 1 / (1 + np.exp(s[pairs[:, 1]] - s[pairs[:, 0]]))
    counts = votes(rng, 30, 10, mu, 1.0)
    for l2 in (0.0, 0.5):
        estimate = oracles.bradley_terry(counts, pairs, 4, l2)
        won, lost = counts.sum(axis=0).T
        surplus = won - (won + lost) / (1 + np.exp(estimate[pairs[:, 1]] - estimate[pairs[:, 0]]))
        score = np.bincount(pairs[:, 0], surplus, 4) - np.bincount(pairs[:, 1], surplus, 4)
        np.testing.assert_allclose(score, l2 * estimate, atol=1e-7)
        assert abs(estimate.sum()) < 1e-12


def test_latent_attentiveness_stretches_bradley_terry_back():
    rng = np.random.default_rng(10)
    pairs, s = np.array([(0, 1), (0, 2), (1, 2)]), np.array([1.2, 0.0, -1.2])
    mu = 1 / (1 + np.exp(s[pairs[:, 1]] - s[pairs[:, 0]]))
    counts = votes(rng, 400, 10, mu, np.where(rng.random(400) < 0.3, 0.0, 1.0))
    plain = oracles.bradley_terry(counts, pairs, 3, 0.01)
    given = oracles.fit(counts, "fixed", "bradley-terry", fixed=([0, 1], [0.3, 0.7]), pairs=pairs, starts=2)
    assert np.ptp(plain) < 1.8
    assert abs(np.ptp(given.parameters["s"]) - 2.4) < 0.3


@pytest.mark.parametrize("nodes", [5, 33, 64])
@pytest.mark.parametrize("several", [False, True])
def test_npmle_carries_its_certificate(nodes, several):
    rng, grid = np.random.default_rng(11), np.linspace(0, 1, nodes)
    mu = [0.65, 0.9] if several else 0.8
    counts = votes(rng, 300, 12, mu, np.where(rng.random(300) < 0.3, 0.0, 0.8))
    weights = oracles.npmle(counts, mu, grid)
    assert np.isclose(weights.sum(), 1.0) and np.all(weights >= 0)
    assert oracles.npmle_gap(counts, mu, grid, weights) < 1e-8
    best = oracles.log_likelihood_discrete(counts, mu, grid, weights)
    for _ in range(20):  # nothing else does better, and one EM step changes nothing
        other = 0.9 * weights + 0.1 * rng.dirichlet(np.full(nodes, 0.3))
        assert oracles.log_likelihood_discrete(counts, mu, grid, other) <= best + 1e-8
    mass, _, value = oracles.em_step_discrete(counts, mu, grid, weights)
    assert np.isclose(value, best, rtol=1e-14)
    assert oracles.log_likelihood_discrete(counts, mu, grid, mass / 300) <= best + 1e-8


def test_npmle_gap_bounds_what_is_lacking():
    rng, grid = np.random.default_rng(12), np.linspace(0, 1, 21)
    counts = votes(rng, 200, 10, 0.75, rng.beta(3, 5, 200))
    best = oracles.npmle(counts, 0.75, grid)
    for weights in (np.full(21, 1 / 21), rng.dirichlet(np.ones(21))):
        lacking = oracles.log_likelihood_discrete(counts, 0.75, grid, best) - oracles.log_likelihood_discrete(
            counts, 0.75, grid, weights
        )
        assert 0 <= lacking <= oracles.npmle_gap(counts, 0.75, grid, weights)
