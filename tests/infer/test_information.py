"""Derivatives of log L, against complex steps through the oracle's likelihood."""

import jax
import numpy as np
import pytest

import oracles
from emjax import BradleyTerry, Grid, Points, Shared
from emjax.infer.coordinates import all_coordinates
from emjax.infer.information import compact
from emjax.infer.newton import derivatives
from emjax.infer.steps import e_step

pytestmark = pytest.mark.usefixtures("double")


def parts(model):
    """Coordinates in the order of the package: support, strengths, shape; and where to cut them."""
    blocks = (model.prior.support(), model.strength.coordinates(), model.prior.shape())
    blocks = [np.asarray(block, dtype=float) for block in blocks]
    return np.concatenate(blocks), np.cumsum([len(block) for block in blocks])[:2]


def as_points(support, shape):
    """What a Grid comes back as: points relative to the fullest one, the last of them empty."""
    weights = np.exp(np.concatenate([[0.0], shape]))
    return support, np.log(weights / np.sum(weights))


def test_gradient_hessian_and_scores_are_those_of_the_oracle(arena, ready, prior, strength):
    """At the start, where nothing vanishes: all four of them, for the data and for the log priors."""
    counts = arena(2)
    data, model, _ = ready(counts, prior.given, strength.given)
    if isinstance(strength.given, BradleyTerry):
        model = type(model)(model.prior, model.strength.at(np.array([0.6, 0.1, -0.4])), model.behavior)
    model = jax.tree.map(np.asarray, model)
    smaller, found = derivatives(model, data, jax.jit(e_step)(data, model).mass)
    x, cuts = parts(smaller)
    np.testing.assert_allclose(all_coordinates(smaller), x)
    rows, multiplicity, _ = oracles.distinct(counts)
    read = as_points if isinstance(prior.given, Grid) else prior.read

    def log_likelihood(x, rows=rows, times=multiplicity):
        support, coordinates, shape = np.split(x, cuts)
        eta, log_weights = read(support, shape)
        return oracles.marginal(rows, strength.read(coordinates)[0], eta, log_weights, times)

    def log_prior(x):
        return strength.read(np.split(x, cuts)[1])[1] + 0j

    gradient = oracles.gradient(log_likelihood, x)
    scores = np.array([oracles.gradient(lambda x, r=r: log_likelihood(x, r[None], 1.0), x) for r in rows])
    tight = {"rtol": 1e-6, "atol": 1e-6 * max(np.abs(gradient).max(), 1.0)} if len(x) else {}
    np.testing.assert_allclose(found.gradient, gradient, **tight)
    np.testing.assert_allclose(found.outer, np.einsum("j,jp,jq->pq", multiplicity, scores, scores), **tight)
    hessian = oracles.hessian(log_likelihood, x) if len(x) else np.zeros((0, 0))
    np.testing.assert_allclose(found.observed, -hessian, **tight)
    if len(x):
        np.testing.assert_allclose(found.log_prior, -oracles.hessian(log_prior, x), **tight)
        np.testing.assert_allclose(found.prior_gradient, oracles.gradient(log_prior, x), **tight)


def test_nodes_without_users_are_left_out(ready, arena):
    _, model, _ = ready(arena(2), Grid(64), Shared())
    mass = np.zeros(64)
    mass[[3, 40]] = 5.0
    smaller = compact(model, mass)[0].prior
    assert isinstance(smaller, Points) and len(smaller.points) < 64
    assert {3 / 63, 40 / 63} <= set(np.asarray(smaller.points))
    np.testing.assert_allclose(np.sum(smaller.weights), 1.0)
    whole = compact(model, np.ones(64))[0].prior
    np.testing.assert_array_equal(whole.points, model.prior.points)
