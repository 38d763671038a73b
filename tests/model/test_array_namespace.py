"""Priors, strengths and responses compute the same with NumPy as with JAX, and with NumPy compile nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emjax
from emjax.infer.coordinates import all_coordinates
from emjax.model import array_namespace as arrays
from emjax.model.model import Model
from emjax.model.prior import moments

pytestmark = pytest.mark.usefixtures("double")
VOTES = emjax.Preferences.from_counts(
    [[3, 4, 1], [2, 0, 5]], [[5, 4, 3], [2, 1, 9]], comparisons=[["b", "a"], ["c", "a"], ["b", "c"]]
)
PRIORS = [
    emjax.TwoPoint(0.2, 0.8, 0.3),
    emjax.Points(3),
    emjax.Beta(0.4, 7.0),
    emjax.Grid(5),
    emjax.Fixed(emjax.Beta(3, 5)),
]
STRENGTHS = [
    emjax.Known(0.74),
    emjax.Shared(value=0.8),
    emjax.PerPair(),
    emjax.BradleyTerry(strengths=[0.3, -1.0, 0.7], models=("a", "b", "c")),
]
RESPONSES = [
    emjax.AttentiveOrRandom(),
    emjax.AttentiveOrRandom(guess=0.7, ties=emjax.Davidson(0.4)),
    emjax.AttentiveOrRandom(ties=emjax.RaoKupper(0.6)),
    emjax.Sharpness(),
]


def results(model, index):
    """What is computed outside compiled code, of one model."""
    eta, rest, logit = (
        model.prior.nodes().eta[1],
        model.prior.nodes().rest[1],
        model.strength.logits(index)[0],
    )
    return [
        *model.prior.nodes(),
        model.prior.log_weights(),
        *moments(model.prior),
        all_coordinates(model),
        model.natural(),
        model.strength.logits(index),
        model.log_prior(),
        model.behavior.log_probability(eta, rest, logit),
    ]


@pytest.mark.parametrize("prior", PRIORS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("strength", STRENGTHS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("response", RESPONSES, ids=["plain", "guess-ties", "rao-kupper", "sharpness"])
def test_numpy_and_jax_give_the_same_and_numpy_gives_numpy(prior, strength, response):
    strength = strength.start(VOTES.table)
    index = strength.index(VOTES.table)
    model = Model(prior, strength.bare(), response)
    by_numpy = results(model, index)
    by_jax = jax.jit(results)(jax.tree.map(jnp.asarray, model), index)
    for ours, theirs in zip(by_numpy, by_jax, strict=True):
        assert isinstance(ours, np.ndarray | np.generic) and ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid", "softmax", "log_softmax"])
def test_functions_are_those_of_jax_in_both_tails(name):
    x = np.array([-800.0, -40.0, -1e-9, 0.0, 2.5, 40.0, 800.0])
    ours = getattr(arrays, name)(x)
    np.testing.assert_allclose(ours, getattr(jax.nn, name)(jnp.asarray(x)), rtol=1e-12, atol=1e-300)
    assert isinstance(ours, np.ndarray)


def test_one_array_of_jax_decides():
    assert arrays.namespace(np.zeros(2), 0.5) is np
    assert arrays.namespace(np.zeros(2), jnp.zeros(2)) is jnp
    assert jax.jit(lambda x: arrays.namespace(x) is jnp)(1.0)
