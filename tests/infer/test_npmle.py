"""The convex solver: its certificate holds, also in ill-conditioned cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from emjax.infer.count_layout import Dense
from emjax.infer.npmle import relative, solve_weights
from emjax.infer.votes_on_device import Data, HeldHere
from emjax.model.design import DesignIndex


@jax.jit
def solve(rows, times, tol):
    layout = Dense(jnp.zeros((1, len(rows), 1)), times)
    nothing = DesignIndex(jnp.zeros((0, 2), int), jnp.zeros(0))
    votes = Data(layout, nothing, times.sum())
    return solve_weights(HeldHere((rows, relative(rows)), layout), votes, rows.shape[1], tol)


def solved(by_node, multiplicity=None, tol=1e-6):
    """Weights and gap from the package; rows may be more than the users (padding, with multiplicity zero)."""
    times = np.ones(len(by_node)) if multiplicity is None else np.asarray(multiplicity, dtype=float)
    with jax.enable_x64(True):
        weights, gap = solve(jnp.asarray(by_node), jnp.asarray(times), jnp.asarray(tol))
        weights, gap = np.asarray(weights), float(gap)
    assert weights.min() >= 0.0 and abs(weights.sum() - 1.0) < 1e-12
    return weights, gap


def certificate(by_node, times, weights):
    likelihood = np.exp(by_node - by_node.max(axis=1, keepdims=True))
    return np.max(times @ (likelihood / (likelihood @ weights)[:, None])) - times.sum()


def value(by_node, times, weights):
    top = by_node.max(axis=1)
    return times @ (np.log(np.exp(by_node - top[:, None]) @ weights) + top)


def one_comparison(votes, times, mu=0.74, nodes=64):
    eta = np.linspace(0, 1, nodes)
    counts = np.array([[[wins, votes - wins]] for wins in range(votes + 1)], dtype=float)
    return oracles.node_log_likelihoods(counts, mu, eta), np.asarray(times, dtype=float), counts, eta


def binomial_times(votes, eta, users, mu=0.74, seed=0):
    rng = np.random.default_rng(seed)
    wins = rng.binomial(votes, 0.5 + (mu - 0.5) * eta(rng, users))
    return np.bincount(wins, minlength=votes + 1)


CASES = {
    "3 votes, 64 nodes": one_comparison(3, [10, 20, 40, 30]),
    "1 vote": one_comparison(1, [20, 40]),
    "1 vote, all won": one_comparison(1, [0, 40]),
    "1 vote, all lost": one_comparison(1, [40, 0]),
    "20 votes of two kinds": one_comparison(
        20, binomial_times(20, lambda r, n: r.choice([0.1, 0.9], n), 900)
    ),
    "100 votes, spread": one_comparison(100, binomial_times(100, lambda r, n: r.beta(3, 5, n), 3000)),
    "all careless": one_comparison(30, binomial_times(30, lambda r, n: np.zeros(n), 500)),
    "all the same counts": one_comparison(10, np.eye(11)[7] * 50),
    "millions of users": one_comparison(20, 5e6 * np.arange(1, 22) / 231),
    "a millionth of a user": one_comparison(20, 1e-6 * np.arange(1, 22)),
    "columns nearly equal": one_comparison(30, np.arange(1, 32), mu=0.500001),
    "two nodes": one_comparison(30, np.arange(1, 32), nodes=2),
}


@pytest.mark.parametrize("case", CASES)
def test_the_certificate_bounds_the_remaining_gain(case):
    by_node, times, counts, eta = CASES[case]
    tol = 1e-9 * max(times.sum(), 1e-3)
    weights, gap = solved(by_node, times, tol)
    assert gap <= tol
    np.testing.assert_allclose(gap, certificate(by_node, times, weights), atol=1e-9 * times.sum())
    if times.sum() == round(times.sum()) and times.sum() < 1e4:
        mu = {"columns nearly equal": 0.500001}.get(case, 0.74)
        users = np.repeat(counts, times.astype(int), axis=0)
        best = value(by_node, times, np.maximum(oracles.npmle(users, mu, eta, gap=1e-7), 1e-300))
        assert best - 1e-6 <= value(by_node, times, weights) + gap
        assert value(by_node, times, weights) <= best + 2e-7


def test_the_certificate_holds_at_a_loose_tolerance():
    by_node, times, _, _ = CASES["100 votes, spread"]
    best = value(by_node, times, solved(by_node, times, 1e-8)[0])
    for tol in (100.0, 1.0, 0.01):
        weights, gap = solved(by_node, times, tol)
        assert gap <= tol
        assert best - gap - 1e-7 <= value(by_node, times, weights) <= best + 1e-7


def test_likelihood_ratios_of_hundreds_of_orders_of_magnitude_are_solved():
    """Two thousand votes each way: nodes differ by hundreds of orders of magnitude."""
    counts = np.array([[[2000, 0]], [[0, 2000]], [[1000, 1000]]], dtype=float)
    eta = np.linspace(0, 1, 64)
    by_node = oracles.node_log_likelihoods(counts, 0.999, eta)
    assert by_node.max() - by_node.min() > 460  # 1e-200
    weights, gap = solved(by_node, tol=1e-8)
    assert gap <= 1e-8 and abs(certificate(by_node, np.ones(3), weights)) < 1e-7
    assert weights[0] > 0.5 and weights[-1] == pytest.approx(1 / 3, abs=1e-3)


def test_padding_does_not_change_the_weights():
    by_node, times, _, _ = CASES["3 votes, 64 nodes"]
    padded = np.concatenate([by_node, np.zeros((60, 64))])
    weights, _ = solved(by_node, times, 1e-9)
    again, _ = solved(padded, np.append(times, np.zeros(60)), 1e-9)
    np.testing.assert_allclose(value(by_node, times, again), value(by_node, times, weights), atol=1e-8)


def test_an_unreachable_tolerance_ends_with_a_small_gap():
    by_node, times, _, _ = CASES["100 votes, spread"]
    weights, gap = solved(by_node, times, 0.0)
    assert gap < 1e-8 and np.isfinite(weights).all()
