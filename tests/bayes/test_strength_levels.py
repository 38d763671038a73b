"""Coordinates of strengths: the same posterior in all, and about standard normal in those of the levels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emjax
from emjax.bayes.marginal_density import all_nodes
from emjax.bayes.numpyro_import import double_precision
from emjax.bayes.numpyro_model import Beliefs, draw, model_of, sites_at, summed_out, with_levels
from emjax.infer.vote_sources import prepare
from emjax.model.pytree import replace

PLAIN = Beliefs(emjax.Hyperpriors(spread=1.3, context=0.7))
SITES = ("s", "s_context")


@pytest.fixture(autouse=True)
def double():
    with double_precision():
        yield


def prepared(with_contexts):
    """Votes of 60 users on three models, in two contexts; and a model of them."""
    rng = np.random.default_rng(4)
    pairs = np.array([("ant", "bee"), ("bee", "cat"), ("ant", "cat")])[rng.integers(3, size=1200)]
    user, topic = np.repeat(np.arange(60), 20), np.array(["code", "law"])[rng.integers(2, size=1200)]
    won = rng.random(1200) < np.where(pairs[:, 0] == "ant", 0.7, 0.55)
    prefs = emjax.Preferences.from_votes(user, pairs, won, context=topic)
    strength = emjax.BradleyTerry(l2_context=4.0 if with_contexts else None).start(prefs.table)
    rng = np.random.default_rng(1)
    strength = replace(strength, strengths=rng.normal(0, 0.5, len(strength.models)))
    data, model, _ = prepare(prefs, emjax.TwoPoint(0.2, 0.8, 0.6), strength, emjax.AttentiveOrRandom())
    votes = all_nodes(model.prior, data)
    return model, votes, with_levels(PLAIN, model, votes)


def density(model, beliefs, sites, votes=None):
    from numpyro.infer.util import log_density

    given = (model, beliefs) if votes is None else (model, votes, beliefs)
    return log_density(draw if votes is None else summed_out, given, {}, sites)[0]


def strengths_in(model: Any) -> Any:
    return model.strength.strengths


def strengths_of(model, beliefs, sites, names):
    """The drawn strengths, those of the models too, as one vector."""
    own = strengths_in(model_of(model, beliefs, sites))
    if "s_context" not in names:
        return own
    levels = beliefs.levels.under(model_of(model, beliefs, sites).prior)
    scale, mean = levels.own.moved(jnp.zeros(3), sites["spread"])
    return jnp.append(sites["spread"] * (levels.own.vectors @ (mean + scale * sites["s"])), own)


@pytest.mark.parametrize("with_contexts", [False, True])
def test_coordinates_of_levels_give_the_same_posterior(with_contexts):
    """Its density is that of the plain sites times the Jacobian of the way there, up to one constant."""
    model, votes, beliefs = prepared(with_contexts)
    names = [name for name in SITES if name in sites_at(model, PLAIN)]
    start, away = sites_at(model, beliefs), []
    rng = np.random.default_rng(5)
    for _ in range(5):
        sites = {
            name: value + rng.normal(0, 1.0, np.shape(value)) if name in names else value
            for name, value in start.items()
        }
        for name in ("spread", "spread_context"):
            if name in sites:
                sites[name] = sites[name] * rng.uniform(0.1, 3.0)
        gaps = rng.dirichlet(np.ones(3))
        sites["gaps"] = jnp.asarray(gaps)
        sizes = [len(sites[name]) for name in names]
        z = jnp.concatenate([sites[name] for name in names])

        def moved(z, sites=sites, sizes=sizes):
            ends = np.cumsum(sizes)[:-1]
            there = sites | dict(zip(names, jnp.split(z, ends), strict=True))
            return strengths_of(model, beliefs, there, names)

        s = moved(z)
        plain = sites | dict(zip(names, jnp.split(s, np.cumsum(sizes)[:-1]), strict=True))
        np.testing.assert_allclose(
            model_of(model, PLAIN, plain).natural(), model_of(model, beliefs, sites).natural(), atol=1e-9
        )
        turned = jnp.linalg.slogdet(jax.jacobian(moved)(z))[1]
        away.append(density(model, beliefs, sites, votes) - density(model, PLAIN, plain, votes) - turned)
    assert np.ptp(np.array(away)) < 1e-8


@pytest.mark.parametrize("with_contexts", [False, True])
def test_a_start_is_the_model_it_was_made_from(with_contexts):
    model, _, beliefs = prepared(with_contexts)
    back = model_of(model, beliefs, sites_at(model, beliefs))
    np.testing.assert_allclose(back.natural(), model.natural(), atol=1e-9)


def test_without_votes_coordinates_are_standardised_deviations():
    """Whose density does not depend on the spread, however small it is."""
    model, _, beliefs = prepared(False)
    nothing = jax.tree.map(jnp.zeros_like, beliefs.levels.strengths)
    level = replace(nothing, vectors=jnp.eye(3))
    beliefs = replace(beliefs, levels=replace(beliefs.levels, strengths=level))
    sites = sites_at(model, beliefs) | {"s": jnp.array([0.3, -1.0, 2.0])}
    for spread in (1e-9, 0.5):
        at = model_of(model, beliefs, sites | {"spread": jnp.asarray(spread)})
        np.testing.assert_allclose(strengths_in(at) / spread, [0.3, -1.0, 2.0])
    apart = [
        density(model, beliefs, sites | {"spread": jnp.asarray(0.5), "s": jnp.asarray(s)})
        for s in ([0.0, 0.0, 0.0], [1.0, 2.0, -2.0])
    ]
    assert float(apart[0] - apart[1]) == pytest.approx(0.5 * 9.0)


def test_a_matrix_of_many_counts_is_without_most_of_its_empty_rows():
    """300 rows of 210 numbers are padded to 512 for EM."""
    rng = np.random.default_rng(2)
    names = [[f"m{a}", f"m{b}"] for a in range(15) for b in range(a + 1, 15)]
    total = np.full((300, 105), 2)
    prefs = emjax.Preferences.from_counts(rng.binomial(total, 0.6), total, comparisons=names)
    strength = emjax.BradleyTerry().start(prefs.table)
    data, model, _ = prepare(prefs, emjax.TwoPoint(), strength, emjax.AttentiveOrRandom())
    votes = all_nodes(model.prior, data)
    assert data.layout.multiplicity.shape == (512,)
    layout: Any = votes.data.layout
    assert layout.multiplicity.shape == (304,) and layout.counts.shape == (1, 304, 210)
    assert layout.counts.sum() == prefs.n_votes and layout.multiplicity.sum() == 300
