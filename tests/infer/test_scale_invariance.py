"""Where the scale of attentiveness against strength is free, and the steps that change both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from emjax import (
    AttentiveOrRandom,
    Beta,
    BradleyTerry,
    Davidson,
    Fixed,
    Grid,
    Known,
    PerPair,
    Points,
    Preferences,
    Shared,
    Sharpness,
    TwoPoint,
    fit_em,
)
from emjax.infer.scale_invariance import rescaled, scale_is_free

pytestmark = pytest.mark.usefixtures("double")
COIN = AttentiveOrRandom()


def pair():
    return Preferences.from_counts([7, 4], [10, 10])


@pytest.mark.parametrize(
    "prior, free",
    [(TwoPoint(), True), (Points(3), True), (Grid(5), True), (Beta(), False), (Fixed(Grid(5)), False)],
    ids=repr,
)
def test_which_models_leave_the_scale_open(arena, as_arena, prior, free):
    prefs = as_arena(arena(1))
    assert scale_is_free(prior, Shared(), COIN) is free
    assert scale_is_free(prior, PerPair().start(prefs.table), COIN) is free
    assert scale_is_free(prior, BradleyTerry().start(pair().table), COIN) is free
    assert scale_is_free(prior, BradleyTerry().start(prefs.table), COIN) is False
    assert scale_is_free(prior, Known(0.8), COIN) is False
    for strength, sharp in ((Shared(), free), (BradleyTerry().start(prefs.table), free), (Known(0.8), False)):
        assert scale_is_free(prior, strength, Sharpness()) is sharp
        assert scale_is_free(prior, strength, AttentiveOrRandom(ties=Davidson())) is False


@pytest.mark.parametrize("values", [[0.9, 0.6, 0.2], [0.55, 0.5, 0.51], [0.99, 0.98, 0.01]], ids=str)
def test_the_ridge_is_followed_to_the_highest_log_prior(arena, as_arena, values):
    start = (
        PerPair().start(as_arena(arena(1)).table).at(np.array(np.log(values) - np.log1p(-np.array(values))))
    )
    prior, strength = jax.jit(rescaled)(
        TwoPoint(0.2, 0.8, 0.3), start.bare(), COIN, start.index(as_arena(arena(1)).table)
    )
    margin, moved = np.array(values) - 0.5, np.asarray(strength.values) - 0.5
    t = moved[0] / margin[0]
    np.testing.assert_allclose(moved, t * margin, atol=1e-9)
    np.testing.assert_allclose(np.asarray(prior.support()) * t, [0.2, 0.8], atol=1e-9)
    np.testing.assert_allclose(prior.weight, 0.3, rtol=1e-9)
    negative_log_prior = lambda t: -np.sum(np.log(0.5 + t * margin) + np.log(0.5 - t * margin))  # noqa: E731
    best = minimize_scalar(negative_log_prior, bounds=(0.8, 0.4999 / np.abs(margin).max()), method="bounded")
    assert negative_log_prior(t) <= best.fun + 1e-7


def test_two_models_are_rescaled_as_one_pair():
    strength = BradleyTerry(0.5).start(pair().table).at(jnp.asarray([1.0, -1.0]))
    prior, moved = jax.jit(rescaled)(
        TwoPoint(0.1, 0.6, 0.5), strength.bare(), COIN, strength.index(pair().table)
    )
    margin = 1 / (1 + np.exp(-2.0)) - 0.5  # a ridge prior wants strengths small: support up to one
    np.testing.assert_allclose(prior.high, 1.0, rtol=1e-6)
    np.testing.assert_allclose(prior.low, 0.1 / 0.6, rtol=1e-6)
    s = np.asarray(moved.strengths)
    np.testing.assert_allclose(1 / (1 + np.exp(s[1] - s[0])) - 0.5, 0.6 * margin, rtol=1e-6)
    np.testing.assert_allclose(s.sum(), 0.0, atol=1e-12)


STAR = [["hub", "a"], ["hub", "b"], ["c", "hub"]]
CHAIN_AND_PAIR = [["a", "b"], ["c", "b"], ["x", "y"]]
CIRCLE = [["a", "b"], ["b", "c"], ["c", "a"]]


def on(names):
    wins = np.random.default_rng(3).binomial(12, 0.7, (40, len(names)))
    return Preferences.from_counts(wins, np.full_like(wins, 12), comparisons=names)


@pytest.mark.parametrize("names, free", [(STAR, True), (CHAIN_AND_PAIR, True), (CIRCLE, False)], ids=str)
def test_a_cycle_of_models_determines_the_scale(names, free):
    assert BradleyTerry().start(on(names).table).acyclic is free
    assert scale_is_free(TwoPoint(), BradleyTerry().start(on(names).table), COIN) is free


@pytest.mark.parametrize("names", [STAR, CHAIN_AND_PAIR], ids=str)
def test_every_margin_of_a_tree_is_multiplied_by_one_factor(names):
    prefs = on(names)
    strength = BradleyTerry(0.5).start(prefs.table)
    index = strength.index(prefs.table)
    strength = strength.at(jnp.linspace(-1.0, 1.5, len(strength.models)))
    prior, moved = jax.jit(rescaled)(TwoPoint(0.1, 0.6, 0.5), strength.bare(), COIN, index)
    before, after = (jax.nn.sigmoid(s.logits(index)) - 0.5 for s in (strength, moved))
    t = 0.6 / float(prior.high)
    np.testing.assert_allclose(after, t * before, rtol=1e-9)
    np.testing.assert_allclose(prior.low, 0.1 / t, rtol=1e-9)
    assert moved.log_prior() >= strength.log_prior()


def test_a_star_is_fitted_as_its_pairs_are():
    """With every μ free, the likelihood reached is that of one strength per pair."""
    prefs = on(STAR)
    tree = fit_em(prefs, TwoPoint(), strength=BradleyTerry(1e-6))
    pairs = fit_em(prefs, TwoPoint(), strength=PerPair(prior=(1.0, 1.0)))
    assert tree.converged and pairs.converged
    np.testing.assert_allclose(tree.log_likelihood, pairs.log_likelihood, atol=2e-3)
    notes = {e.name: e.note for e in tree.standard_errors()}
    assert all(note for name, note in notes.items() if name != "weight"), notes
