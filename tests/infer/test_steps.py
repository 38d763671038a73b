"""The E-step against enumeration, the M-step against SciPy, for every prior and every strength."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import oracles
from emjax import (
    AttentiveOrRandom,
    Beta,
    Fixed,
    Grid,
    Known,
    PerPair,
    Points,
    Preferences,
    Shared,
    TwoPoint,
)
from emjax.infer.objective import evaluate
from emjax.infer.scale_invariance import rescaled
from emjax.infer.steps import e_step, m_step
from emjax.infer.vote_sources import prepare

pytestmark = pytest.mark.usefixtures("double")

e, m = jax.jit(e_step), jax.jit(m_step)


def numbers(model, index):
    """What a model says, in NumPy: nodes, log weights, strengths."""
    eta = np.asarray(model.prior.nodes().eta)
    mu = 1.0 / (1.0 + np.exp(-np.asarray(index.logits(model.strength))))
    return eta, np.asarray(model.prior.log_weights()), mu


def expected(model, index, mass, votes):
    """The expected complete log-likelihood plus log prior of the strengths, written out."""
    eta, log_weights, mu = numbers(model, index)
    a_wins = 0.5 + eta * (mu[:, None] - 0.5)
    seen = np.sum(votes[:, 0] * np.log(a_wins) + votes[:, 1] * np.log(1.0 - a_wins))
    return seen + np.sum(mass[mass > 0] * log_weights[mass > 0]) + float(model.strength.log_prior())


def test_the_e_step_is_enumeration(arena, ready, prior, strength):
    counts = arena(1)
    data, model, _ = ready(counts, prior.given, strength.given)
    found = e(data, model)
    eta, log_weights, mu = numbers(model, data.index)
    if isinstance(prior.given, Beta):  # as many nodes as matter: the loops of the oracle are slow
        keep = log_weights > -40
        eta, log_weights = eta[keep], log_weights[keep]
        mass, votes = np.asarray(found.mass)[keep], np.asarray(found.votes)[..., keep]
        rows, multiplicity, _ = oracles.distinct(counts)
        joint = oracles.node_log_likelihoods(rows, mu, eta) + log_weights
        share = np.exp(joint - joint.max(axis=1, keepdims=True))
        share *= (multiplicity / share.sum(axis=1))[:, None]
        truth_mass, truth_votes = share.sum(axis=0), np.einsum("jco,jg->cog", rows, share)
        value = oracles.log_likelihood_beta(counts, mu, 2.0, 2.0)
    else:
        mass, votes = found.mass, found.votes
        truth_mass, truth_votes, value = oracles.em_step_discrete(counts, mu, eta, np.exp(log_weights))
    np.testing.assert_allclose(found.log_likelihood, value, rtol=1e-10)
    np.testing.assert_allclose(mass, truth_mass, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(votes, truth_votes, rtol=1e-9, atol=1e-12)


def test_fishers_identity(arena, ready, prior, strength):
    """The gradient of log L is that of the expected log-likelihood at the model it was expected under."""
    counts = arena(2)
    data, model, _ = ready(counts, prior.given, strength.given)
    found = e(data, model)
    mass, votes = np.asarray(found.mass), np.asarray(found.votes)
    parts = (model.prior.support(), model.strength.coordinates(), model.prior.shape())
    first, second, third = (np.asarray(x, dtype=float) for x in parts)
    cuts = np.cumsum([len(first), len(second)])
    rows, multiplicity, _ = oracles.distinct(counts)

    def log_likelihood(x):
        support, coordinates, shape = np.split(x, cuts)
        eta, log_weights = prior.read(support, shape)
        return oracles.marginal(rows, strength.read(coordinates)[0], eta, log_weights, multiplicity)

    def expectation(x):
        support, coordinates, shape = (jnp.asarray(part) for part in jnp.split(x, cuts))
        at, strengths = model.prior.at(support, shape), model.strength.at(coordinates)
        mu = jax.nn.sigmoid(data.index.logits(strengths))
        a_wins = 0.5 + at.nodes().eta[None, :] * (mu[:, None] - 0.5)
        seen = jnp.sum(votes[:, 0] * jnp.log(a_wins) + votes[:, 1] * jnp.log(1.0 - a_wins))
        return seen + jnp.sum(mass * at.log_weights())

    x = np.concatenate([first, second, third])
    np.testing.assert_allclose(
        jax.grad(expectation)(jnp.asarray(x)), oracles.gradient(log_likelihood, x), rtol=1e-8, atol=1e-8
    )


def test_the_m_step_does_not_lower_what_it_maximises(arena, ready, prior, strength):
    for seed in (1, 2, 3):
        data, model, _ = ready(arena(seed), prior.given, strength.given)
        found = e(data, model)
        mass, votes = np.asarray(found.mass), np.asarray(found.votes)
        after = m(model, found, data.index)
        if isinstance(prior.given, TwoPoint | Points) and isinstance(strength.given, PerPair):
            continue  # it slides along a ridge of log L, on which the expectation may fall: see below
        gain = expected(after, data.index, mass, votes) - expected(model, data.index, mass, votes)
        assert gain >= -1e-9


def best(function, bounds, starts):
    found = (
        minimize(
            lambda x: -function(x), x, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9}
        )
        for x in starts
    )
    return max(-f.fun for f in found)


@pytest.mark.parametrize("kind", [TwoPoint(), Points(3)], ids=repr)
@pytest.mark.parametrize("shared", [Shared(), Shared((2, 8), 0.4)], ids=repr)
def test_support_and_a_shared_strength_are_maximised_jointly(arena, ready, kind, shared):
    """Against a direct optimiser over all of them at once, from several starts."""
    size = len(kind.nodes().eta)
    for seed in (1, 2):
        data, model, _ = ready(arena(seed), kind, shared)
        found = e(data, model)
        mass, votes = np.asarray(found.mass), np.asarray(found.votes).sum(axis=0)
        after = m(model, found, data.index)

        def objective(x, votes=votes, shared=shared):
            a_wins = 0.5 + x[:-1] * (x[-1] - 0.5)
            a, b = shared.prior
            value = np.sum(votes * np.log([a_wins, 1.0 - a_wins]))
            return value + (a - 1) * np.log(x[-1]) + (b - 1) * np.log(1.0 - x[-1])

        rng = np.random.default_rng(0)
        starts = [np.append(np.sort(rng.random(size)), mu) for mu in (0.55, 0.75, 0.9, 0.97)]
        value = best(objective, [(0, 1)] * size + [(1e-6, 1 - 1e-6)], starts)
        at = np.append(np.asarray(after.prior.support()), float(after.strength.value))
        assert objective(at) >= value - 1e-7
        np.testing.assert_allclose(np.exp(after.prior.log_weights()), mass / mass.sum(), rtol=1e-12)


@pytest.mark.parametrize("rate", [0.6, 0.8, 0.86, 0.95])
def test_a_shared_strength_is_seven_eighths_or_what_attentive_users_show(rate):
    """Under Beta(8, 2): the mode, unless the attentive users' share of wins is above it."""
    totals, wins = np.full(60, 100.0), np.repeat([52.0, 100 * rate], 30)
    prefs = Preferences.from_counts(wins, totals)
    for start in (0.55, 0.75, 0.95):
        for points in ((0.05, 0.6), (0.2, 0.9)):
            data, model, _ = prepare(prefs, TwoPoint(*points), Shared(value=start), AttentiveOrRandom())
            found = e(data, model)
            shown = np.asarray(found.votes)[0] / np.asarray(found.votes)[0].sum(axis=0)
            after = m(model, found, data.index)
            np.testing.assert_allclose(after.strength.value, max(7 / 8, shown[0, 1]), atol=3e-3)
            margin = float(after.strength.value) - 0.5
            np.testing.assert_allclose(
                after.prior.support(), np.clip((shown[0] - 0.5) / margin, 0, 1), atol=1e-9
            )


def test_one_comparison_of_known_strength_has_a_closed_form(duel, as_duel):
    prefs = as_duel(duel(lambda rng, n: rng.choice([0.2, 0.9], n), 3))
    data, model, _ = prepare(prefs, TwoPoint(), Known(0.74), AttentiveOrRandom())
    found = e(data, model)
    after = m(model, found, data.index).prior
    votes, mass = np.asarray(found.votes)[0], np.asarray(found.mass)
    np.testing.assert_allclose(after.weight, mass[1] / mass.sum(), rtol=1e-12)
    support = np.clip((votes[0] / votes.sum(axis=0) - 0.5) / 0.24, 0, 1)
    np.testing.assert_allclose([after.low, after.high], support, atol=1e-12)


@pytest.mark.parametrize("kind", [TwoPoint(0.3, 0.8, 0.4), Points(3)], ids=repr)
def test_moving_along_the_ridge_leaves_the_likelihood_unchanged(arena, ready, kind):
    """With a strength per pair the M-step ends where the log prior is highest among equals."""
    data, model, _ = ready(arena(5), kind, PerPair())
    prior, strength = rescaled(model.prior, model.strength, model.behavior, data.index.comparisons)
    before = float(e(data, model).log_likelihood)
    moved = type(model)(prior, strength, model.behavior)
    np.testing.assert_allclose(float(e(data, moved).log_likelihood), before, rtol=1e-12)
    margin = np.asarray(strength.values) - 0.5
    at = float(strength.log_prior())
    assert at >= float(model.strength.log_prior())
    support = np.asarray(prior.support())
    for t in np.linspace(support.max(), 0.4999 / np.abs(margin).max(), 300):
        assert np.sum(np.log(0.5 + t * margin) + np.log(0.5 - t * margin)) <= at + 1e-9


def test_the_objective_of_a_grid_is_at_its_best_weights(arena, ready):
    data, model, _ = ready(arena(6), Grid(9), Known(np.array([0.7, 0.93, 0.82])))
    value = jax.jit(evaluate)(data, model, jnp.asarray(1e-8)).value
    mu = np.array([0.7, 0.93, 0.82])
    eta = np.linspace(0, 1, 9)
    best_weights = oracles.npmle(arena(6), mu, eta)
    truth = oracles.log_likelihood_discrete(arena(6), mu, eta, best_weights)
    np.testing.assert_allclose(value, truth, atol=1e-6)


def test_a_fixed_prior_is_unchanged_by_a_step(arena, ready):
    data, model, _ = ready(arena(7), Fixed(TwoPoint(0.2, 0.9, 0.3)), Shared())
    after = m(model, e(data, model), data.index)
    np.testing.assert_array_equal(after.prior.prior.natural(), model.prior.prior.natural())
