"""Where chains start, against SciPy; and the coordinates they move in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

import emjax
from emjax.bayes.laplace_init import Pilot, around, energy, find_mode, pilot_at
from emjax.bayes.marginal_density import all_nodes
from emjax.bayes.numpyro_import import double_precision
from emjax.bayes.numpyro_model import Beliefs
from emjax.bayes.sampler import Frame, _fitted_frame
from emjax.infer.vote_sources import prepare

PRIORS = [emjax.TwoPoint(0.3, 0.7, 0.5), emjax.Beta(1.0, 1.0)]


@pytest.fixture(autouse=True)
def double():
    with double_precision():
        yield


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_find_mode_ends_at_the_posterior_mode(prior, prefs):
    data, model, _ = prepare(prefs, prior, emjax.Known(0.9).start(prefs.table), emjax.AttentiveOrRandom())
    votes, beliefs = all_nodes(model.prior, data), Beliefs(emjax.Hyperpriors())
    start = pilot_at(model, votes, beliefs)
    end = find_mode(start, model, votes, beliefs)
    flat, back = ravel_pytree(start.place)
    value = jax.jit(jax.value_and_grad(lambda x: energy(model, votes, beliefs, back(x))))
    best = minimize(lambda x: [np.asarray(y) for y in value(x)], np.asarray(flat), jac=True, tol=1e-10)
    reached = float(value(ravel_pytree(end.place)[0])[0])
    assert float(value(flat)[0]) > best.fun + 0.2  # the start is not the mode
    assert best.fun - 1e-6 < reached < best.fun + 0.1  # far below one standard deviation


def test_places_around_a_pilot_are_at_the_given_distance():
    covariance = np.array([[4.0, 1.0], [1.0, 1.0]])
    places = around(Pilot({"x": jnp.array([1.0, 2.0])}, jnp.asarray(covariance)), 3.0)["x"]
    assert places.shape == (5, 2)
    moved = np.asarray(places) - [1.0, 2.0]
    np.testing.assert_allclose(moved[0], 0.0)
    lengths = np.sqrt(np.einsum("ni,ij,nj->n", moved[1:], np.linalg.inv(covariance), moved[1:]))
    np.testing.assert_allclose(lengths, 3.0)  # standard deviations, on either side of both axes
    np.testing.assert_allclose(moved[1:].sum(axis=0), 0.0, atol=1e-12)


def test_a_fitted_frame_has_the_mean_and_covariance_of_draws():
    rng = np.random.default_rng(0)
    root = np.array([[2.0, 0.0], [1.5, 0.3]])
    x = rng.standard_normal((2, 4000, 2)) @ root.T + np.array([5.0, -1.0])
    old = Frame({"a": jnp.zeros(1), "b": jnp.zeros(1)}, jnp.eye(2))
    new = _fitted_frame(old, {"a": x[..., :1], "b": x[..., 1:]})
    np.testing.assert_allclose(ravel_pytree(new.middle)[0], x.reshape(-1, 2).mean(axis=0))
    np.testing.assert_allclose(new.root @ new.root.T, np.cov(x.reshape(-1, 2).T), rtol=2e-3)
    z = jnp.array([0.3, -0.7])
    np.testing.assert_allclose(ravel_pytree(new.place(z))[0], ravel_pytree(new.middle)[0] + new.root @ z)
