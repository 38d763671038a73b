"""Posterior: moments, modes and intervals against quadrature and SciPy."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import oracles
from emjax import ModelError, Posterior
from emjax.model.quadrature import double_exponential

MU = np.array([0.74, 0.9])
COUNTS = np.array(
    [
        [[0, 0], [0, 0]], [[1, 0], [0, 0]], [[0, 1], [0, 1]], [[9, 1], [4, 0]], [[2, 8], [1, 3]],
        [[60, 30], [25, 5]], [[200, 60], [90, 10]], [[0, 20], [0, 20]], [[30, 0], [30, 0]],
        [[2.5, 0.5], [1, 1.5]],
    ]
)  # fmt: skip
BETAS = [(2.0, 2.0), (3.0, 5.0), (1.0, 1.0), (20.0, 4.0)]


def of_points(eta, weights, counts=COUNTS, row=None):
    eta = np.asarray(eta, dtype=float)
    a_wins = 0.5 + eta * (MU[:, None] - 0.5)
    return Posterior(
        users=np.arange(len(counts)),
        eta=eta,
        probabilities=oracles.responsibilities(counts, MU, eta, weights),
        row=np.arange(len(counts)) if row is None else row,
        log_votes=np.log(np.stack([a_wins, 1.0 - a_wins], axis=1)),
    )


def of_beta(a, b, counts=COUNTS):
    """The posterior on the package's nodes, its likelihood from the oracle."""
    rule = double_exponential()
    log_w = a * rule.log_eta + b * rule.log_rest + rule.log_cosh
    joint = oracles.node_log_likelihoods(counts, MU, rule.eta) + log_w
    share = np.exp(joint - joint.max(axis=1, keepdims=True))
    a_wins = 0.5 + rule.eta * (MU[:, None] - 0.5)
    return Posterior(
        users=np.arange(len(counts)),
        eta=rule.eta,
        probabilities=share / share.sum(axis=1, keepdims=True),
        row=np.arange(len(counts)),
        log_spacing=rule.log_spacing,
        has_mode=a >= 1 and b >= 1,
        log_votes=np.log(np.stack([a_wins, 1.0 - a_wins], axis=1)),
    )


@pytest.mark.parametrize("eta", [[0.2, 0.9], np.linspace(0, 1, 33)], ids=["two points", "grid"])
def test_moments_on_points(eta):
    weights = np.random.default_rng(1).dirichlet(np.ones(len(eta)))
    found = of_points(eta, weights)
    mean, sd, tail = oracles.posterior_moments_discrete(COUNTS, MU, eta, weights)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.sd, sd, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.prob_above(0.5), tail, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.flip_rate, (1 - mean) / 2, rtol=1e-12)
    np.testing.assert_array_equal(found.mode, np.asarray(eta)[found.probabilities.argmax(axis=1)])


@pytest.mark.parametrize("a, b", [*BETAS, (0.3, 0.3), (0.05, 3.0)])
def test_moments_under_a_density(a, b):
    found = of_beta(a, b)
    for threshold in (0.1, 0.5, 0.9):
        mean, sd, tail = oracles.posterior_moments_beta(COUNTS, MU, a, b, threshold)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
        np.testing.assert_allclose(found.sd, sd, rtol=1e-8)
        np.testing.assert_allclose(found.prob_above(threshold), tail, atol=1e-3)


def log_density(eta, counts, a, b):
    a_wins, b_wins = 0.5 + eta * (MU - 0.5), 0.5 - eta * (MU - 0.5)
    likelihood = np.sum(counts[:, 0] * np.log(a_wins) + counts[:, 1] * np.log(b_wins))
    return likelihood + (a - 1) * np.log(eta) + (b - 1) * np.log1p(-eta)


@pytest.mark.parametrize("a, b", [(2.0, 2.0), (3.0, 5.0), (20.0, 4.0), (1.5, 1.01)])
def test_the_mode_of_a_density(a, b):
    found = of_beta(a, b).mode
    for j, counts in enumerate(COUNTS):
        best = minimize_scalar(
            lambda x, counts=counts: -log_density(x, counts, a, b),
            bounds=(1e-12, 1 - 1e-12), method="bounded", options={"xatol": 1e-10},
        )  # fmt: skip
        assert abs(found[j] - best.x) < 5e-4
        assert log_density(found[j], counts, a, b) > -best.fun - 1e-4


def test_the_mode_of_a_flat_prior_is_the_best_fitting_attentiveness():
    counts = np.array(
        [[[5, 5], [0, 0]], [[10, 0], [10, 0]], [[0, 10], [0, 10]], [[13, 7], [0, 0]]], dtype=float
    )
    np.testing.assert_allclose(of_beta(1.0, 1.0, counts).mode, [0.0, 1.0, 0.0, 0.15 / 0.24], atol=5e-4)


@pytest.mark.parametrize("a, b", [(0.9, 2.0), (2.0, 0.9)])
def test_a_density_infinite_at_an_end_has_no_mode(a, b):
    assert np.isnan(of_beta(a, b).mode).all()


@pytest.mark.parametrize("a, b", BETAS)
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_intervals_under_a_density(a, b, level):
    low, high = of_beta(a, b).interval(level)

    def tail(j, at):
        return oracles.posterior_moments_beta(COUNTS[j : j + 1], MU, a, b, at)[2][0]

    for j in (0, 3, 4, 6, 7):
        truth = [
            brentq(lambda x, j=j, p=p: tail(j, x) - p, 1e-9, 1 - 1e-9, xtol=1e-6)
            for p in ((1 + level) / 2, (1 - level) / 2)
        ]
        np.testing.assert_allclose([low[j], high[j]], truth, atol=2e-3)


def test_intervals_on_points_hold_what_they_promise():
    eta = np.linspace(0, 1, 21)
    found = of_points(eta, np.random.default_rng(3).dirichlet(np.ones(21)))
    for level in (0.5, 0.9):
        low, high = found.interval(level)
        for j in range(len(COUNTS)):
            p = found.probabilities[j]
            assert p[(eta >= low[j]) & (eta <= high[j])].sum() >= level - 1e-9
            assert p[eta < low[j]].sum() <= (1 - level) / 2 + 1e-9 >= p[eta > high[j]].sum()
    for wrong in (0.0, 1.0, -3, np.nan):
        with pytest.raises(ModelError, match="level"):
            found.interval(wrong)


@pytest.mark.parametrize(
    "build",
    [lambda c: of_beta(2.0, 3.0, c), lambda c: of_points([0.1, 0.5, 1.0], [0.2, 0.5, 0.3], c)],
    ids=["density", "points"],
)
def test_leaving_a_vote_out_is_the_posterior_without_it(build):
    user, comparison, outcome = (
        np.array([1, 3, 3, 4, 6, 8]),
        np.array([0, 0, 0, 1, 1, 0]),
        np.array([0, 0, 1, 1, 1, 0]),
    )
    found = build(COUNTS).leave_one_out(user, comparison, outcome)
    without = COUNTS[user].copy()
    without[np.arange(6), comparison, outcome] -= 1
    again = build(without)
    assert len(found) == 6
    np.testing.assert_array_equal(found.users, user)
    np.testing.assert_allclose(found.mean, again.mean, rtol=1e-10)
    np.testing.assert_allclose(found.probabilities, again.probabilities, atol=1e-12)
    np.testing.assert_allclose(found.prob_above(0.7), again.prob_above(0.7), atol=1e-10)
    np.testing.assert_allclose(found.mode, again.mode, atol=1e-9)


def test_without_the_votes_nothing_can_be_left_out():
    bare = Posterior(np.arange(1), np.array([0.0, 1.0]), np.array([[0.5, 0.5]]), np.zeros(1, int))
    with pytest.raises(ModelError, match="left out"):
        bare.leave_one_out(np.zeros(1, int), np.zeros(1, int), np.zeros(1, int))


def test_users_who_share_votes_share_a_row():
    found = of_points([0.2, 0.9], [0.5, 0.5], COUNTS[:3], row=np.array([2, 0, 0, 1, 2]))
    assert len(found) == 5
    for name in ("mean", "sd", "mode", "flip_rate"):
        value = getattr(found, name)
        assert value.shape == (5,) and value.dtype == np.float64
        assert value[1] == value[2] and value[0] == value[4]
    assert found.prob_above(0.5).shape == (5,) and found.interval(0.9)[1].shape == (5,)
    assert "5 users" in repr(found)


def test_every_user_is_above_zero_and_none_above_one():
    for found in (of_beta(3.0, 5.0), of_points([0.0, 0.5, 1.0], [0.3, 0.3, 0.4])):
        np.testing.assert_allclose(found.prob_above(0.0), 1.0, atol=1e-12)
        np.testing.assert_allclose(found.prob_above(1.1), 0.0, atol=1e-12)
