"""The marginal log-likelihood that is sampled, against loops, naive autodiff and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emjax
import oracles
from emjax.bayes.marginal_density import (
    all_nodes,
    few_nodes,
    log_likelihood,
    marginal_sum,
    row_evidence,
    with_likelihood,
)
from emjax.bayes.numpyro_import import double_precision
from emjax.infer.count_layout import Dense, Sparse
from emjax.infer.steps import log_p_table
from emjax.infer.vote_sources import prepare
from emjax.model.pytree import replace

ETA, WEIGHTS = np.array([0.1, 0.5, 0.95]), np.array([0.3, 0.3, 0.4])


@pytest.fixture(autouse=True)
def double():
    with double_precision():
        yield


@pytest.fixture(params=["dense", "lists"])
def votes(request, arena, arena_counts, many):
    """Votes and counts in either layout."""
    return (arena, arena_counts, Dense) if request.param == "dense" else (*many, Sparse)


@pytest.fixture
def ready(votes):
    prefs, counts, kind = votes
    mu = np.linspace(0.6, 0.9, prefs.n_comparisons)
    strength = emjax.Known(mu).start(prefs.table)
    data, model, _ = prepare(prefs, emjax.Points(3, ETA, WEIGHTS), strength, emjax.AttentiveOrRandom())
    assert isinstance(data.layout, kind)
    return data, model, counts, mu


def naively(counts):
    """The same by log-sum-exp over users × nodes, for JAX to differentiate on its own."""
    flat = jnp.asarray(counts.reshape(len(counts), -1))
    return lambda terms, log_w: jnp.sum(jax.scipy.special.logsumexp(flat @ terms + log_w, axis=1))


def test_the_marginal_log_likelihood_is_enumeration(ready):
    data, model, counts, mu = ready
    terms = log_p_table(model, data.index)
    found = marginal_sum(terms, model.prior.log_weights(), data.layout)
    truth = oracles.log_likelihood_discrete(counts, mu, ETA, WEIGHTS)
    np.testing.assert_allclose(found, truth, rtol=1e-12)
    every = all_nodes(model.prior, data)
    np.testing.assert_allclose(log_likelihood(model, every), truth, rtol=1e-12)
    by_row = row_evidence(model, every) @ data.layout.multiplicity.reshape(-1)
    np.testing.assert_allclose(by_row, truth, rtol=1e-12)


def test_first_derivatives_are_those_of_naive_autodiff(ready):
    data, model, counts, _ = ready
    terms, log_w = log_p_table(model, data.index), model.prior.log_weights()
    value = lambda t, w: marginal_sum(t, w, data.layout)  # noqa: E731
    found = jax.grad(value, argnums=(0, 1))(terms, log_w)
    truth = jax.grad(naively(counts), argnums=(0, 1))(terms, log_w)
    for mine, naive in zip(found, truth, strict=True):
        np.testing.assert_allclose(mine, naive, rtol=1e-10, atol=1e-10)
    rng = np.random.default_rng(0)
    for _ in range(3):
        way = rng.standard_normal(terms.shape), rng.standard_normal(log_w.shape)
        ahead, back = (value(terms + h * way[0], log_w + h * way[1]) for h in (1e-5, -1e-5))
        along = np.sum(found[0] * way[0]) + np.sum(found[1] * way[1])
        np.testing.assert_allclose(along, (ahead - back) / 2e-5, rtol=1e-7)
        _, forward = jax.jvp(value, (terms, log_w), tuple(jnp.asarray(w) for w in way))
        np.testing.assert_allclose(forward, along, rtol=1e-12)


def test_second_derivatives_are_those_of_naive_autodiff(ready):
    data, model, counts, _ = ready
    terms, log_w = log_p_table(model, data.index), model.prior.log_weights()
    found = jax.hessian(lambda t, w: marginal_sum(t, w, data.layout), argnums=(0, 1))(terms, log_w)
    truth = jax.hessian(naively(counts), argnums=(0, 1))(terms, log_w)
    for mine, naive in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(mine, naive, rtol=1e-8, atol=1e-8)


SHAPES = [(2.0, 3.0), (0.4, 0.6), (6.0, 2.5), (1.0, 0.3), (9.0, 9.0)]


@pytest.fixture
def betas(arena):
    """Votes, a Beta model, and several at once, all evaluated on the same nodes."""
    strength = emjax.Known(np.array([0.7, 0.93, 0.82])).start(arena.table)
    data, model, _ = prepare(arena, emjax.Beta(*SHAPES[0]), strength, emjax.AttentiveOrRandom())
    one = [replace(model, prior=emjax.Beta(a, b)) for a, b in SHAPES]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(y) for y in x]), *one)
    return data, one, stacked


def test_few_nodes_give_the_differences_of_all_nodes(betas, arena_counts):
    data, models, stacked = betas
    few = few_nodes(stacked, all_nodes(models[0].prior, data))
    assert len(few.nodes) < 128
    found = np.array([float(log_likelihood(model, few)) for model in models])
    truth = [oracles.log_likelihood_beta(arena_counts, [0.7, 0.93, 0.82], a, b) for a, b in SHAPES]
    assert np.ptp(found - truth) < 0.02


def test_tabulated_likelihoods_differ_by_a_constant(betas):
    data, models, stacked = betas
    few = few_nodes(stacked, all_nodes(models[0].prior, data))
    fast = with_likelihood(models[0], few)
    assert fast.likelihood is not None
    apart = [float(log_likelihood(model, fast) - log_likelihood(model, few)) for model in models]
    assert np.ptp(apart) < 1e-9


def test_likelihoods_that_change_with_parameters_are_not_tabulated(arena):
    for prior, strength in (
        (emjax.TwoPoint(), emjax.Known(0.8)),
        (emjax.Beta(), emjax.Shared()),
        (emjax.Fixed(emjax.Beta()), emjax.BradleyTerry()),
    ):
        data, model, _ = prepare(arena, prior, strength.start(arena.table), emjax.AttentiveOrRandom())
        assert with_likelihood(model, all_nodes(prior, data)).likelihood is None


def test_no_model_is_likelier_on_few_nodes_than_its_best_node(betas):
    """A density far narrower than the nodes are apart must not count its mass several times over."""
    data, models, stacked = betas
    few = few_nodes(stacked, all_nodes(models[0].prior, data))
    counts = np.asarray(data.layout.forward(log_p_table(models[0], data.index)))
    best = counts.max(axis=1) @ np.asarray(data.layout.multiplicity).reshape(-1)
    for a, b in ((200.0, 200.0), (200.0, 1.0), (50.0, 150.0), (0.05, 0.05)):
        assert log_likelihood(replace(models[0], prior=emjax.Beta(a, b)), few) <= best + 1e-9
