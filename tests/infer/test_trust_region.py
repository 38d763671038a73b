"""Trust-region steps: the expansion against the matrix, steps in a ball, fits against fits without them."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

import emjax
from benchmarks.many_models import drawn
from emjax.data.response_patterns import distinct
from emjax.infer import trust_region
from emjax.infer.coordinates import all_coordinates, free_bounds
from emjax.infer.count_layout import lay_out
from emjax.infer.information import information
from emjax.infer.trust_region import _Ball, _few, expansion_in_directions, value_of_few
from emjax.infer.vote_sources import design_index
from emjax.infer.votes_on_device import Data
from emjax.model.model import Model

pytestmark = pytest.mark.usefixtures("double")

MODELS = [
    (emjax.Points(3), False, False),
    (emjax.TwoPoint(), True, False),
    (emjax.Beta(), True, True),
    (emjax.Fixed(emjax.Beta(3, 5)), False, True),
    (emjax.Grid(12), False, False),
]


def at_random(prefs, prior):
    """Votes as the kernels take them, and a model with random strengths."""
    strength = emjax.BradleyTerry().start(prefs.table)
    strength = strength.at(np.random.default_rng(4).normal(size=strength.n_coordinates()))
    behavior = emjax.model.response.default_behavior(prefs.table).start(prefs.table)
    users = jax.device_put(np.float64(prefs.n_users))
    index = jax.device_put(design_index(strength, prefs.table))
    votes = Data(lay_out(distinct(prefs))[0], index, users, prefs.outcomes.n)
    return votes, jax.tree.map(np.asarray, Model(prior, strength.bare(), behavior.on(prefs.table)))


@pytest.mark.parametrize(("prior", "ties", "sides"), MODELS[:4])
def test_the_expansion_is_that_of_the_matrix(few_votes_each, prior, ties, sides):
    votes, model = at_random(few_votes_each(25, ties, sides), prior)
    few, box = _few(model), free_bounds(model)
    found = votes.run(expansion_in_directions, model, few, box, np.float64(1e-12))
    found = jax.tree.map(np.asarray, found)
    wanted = votes.run(information, model, few)
    gradient = np.asarray(wanted.gradient + wanted.prior_gradient)
    matrix = np.asarray(wanted.observed + wanted.log_prior)
    x = np.asarray(all_coordinates(model))
    free = ~((x <= box[0]) & (gradient < 0) | (x >= box[1]) & (gradient > 0))
    n = int(found.count)
    axes = found.directions[:n] / found.units * free
    assert n >= 20
    np.testing.assert_allclose(found.directions[:n] @ found.directions[:n].T, np.eye(n), atol=1e-9)
    tridiagonal = np.diag(found.diagonal[:n]) + np.diag(found.beside[: n - 1], 1)
    tridiagonal += np.diag(found.beside[: n - 1], -1)
    np.testing.assert_allclose(axes @ matrix @ axes.T, tridiagonal, atol=1e-8 * np.abs(tridiagonal).max())
    np.testing.assert_allclose(axes @ gradient, np.append(found.length, np.zeros(n - 1)), atol=1e-7)
    value = float(wanted.log_likelihood) + float(model.log_prior())
    np.testing.assert_allclose(votes.run(value_of_few, model, few), value, rtol=1e-12)


@pytest.mark.parametrize("least", [0.3, 0.0, -2.0])
@pytest.mark.parametrize("radius", [0.05, 1.0, 1e6])
def test_no_other_step_in_the_ball_promises_more(least, radius):
    rng = np.random.default_rng(7)
    bends, slope = np.append(least, rng.uniform(0.5, 4.0, 5)), rng.normal(size=6)
    step, promised, bound = _Ball(slope, bends, np.eye(6), np.ones(6)).step(radius)

    def gain(y):
        return y @ slope - 0.5 * (y * bends * y).sum(-1)

    assert np.linalg.norm(step) <= radius * (1 + 1e-9) and gain(step) == pytest.approx(promised)
    assert bound == (least <= 0.0 or (radius < 1e5 and np.linalg.norm(slope / bends) > radius))
    others = rng.normal(size=(20_000, 6))
    others *= radius * rng.random((20_000, 1)) ** 0.2 / np.linalg.norm(others, axis=1, keepdims=True)
    assert gain(others).max() <= promised * (1 + 1e-9)
    near = step + 1e-3 * min(radius, 1.0) * rng.normal(size=(20_000, 6))
    near *= np.minimum(1.0, radius / np.linalg.norm(near, axis=1, keepdims=True))
    assert gain(near).max() <= promised * (1 + 1e-9)


def test_where_nothing_may_move_there_is_no_step():
    step, promised, bound = _Ball(np.zeros(0), np.zeros(0), np.zeros((0, 3)), np.ones(3)).step(1.0)
    assert step.tolist() == [0.0, 0.0, 0.0] and promised == 0.0 and not bound


@pytest.mark.filterwarnings("ignore::emjax.EmjaxWarning")
@pytest.mark.parametrize(("prior", "ties", "sides"), MODELS)
def test_a_fit_by_trust_region_steps_has_the_same_maximum(few_votes_each, monkeypatch, prior, ties, sides):
    prefs = few_votes_each(8, ties, sides, users=150, each=12)
    before = emjax.fit_em(prefs, prior)
    monkeypatch.setattr(trust_region, "MANY", 3)
    fit = emjax.fit_em(prefs, prior)
    assert fit.converged and fit.gap <= fit.tol and fit.em_steps <= trust_region.EM_STEPS
    assert abs(fit.trace[-1] - before.trace[-1]) <= fit.gap + before.gap + 1e-6
    assert (np.diff(fit.trace) >= -1e-9).all() and len(fit.trace) > fit.newton_steps


@pytest.mark.filterwarnings("ignore::emjax.EmjaxWarning")
def test_shards_give_the_same_fit(few_votes_each, monkeypatch):
    prefs = few_votes_each(8, users=150, each=12)
    monkeypatch.setattr(trust_region, "MANY", 3)

    def part(mine):
        users, user = np.unique(prefs.user[mine], return_inverse=True)
        rows = {"comparison": prefs.comparison[mine], "counts": prefs.counts[mine]}
        return dataclasses.replace(prefs, users=prefs.users[users], user=user, **rows)

    half = prefs.user < 75
    whole, shards = (emjax.fit_em(x, emjax.TwoPoint()) for x in (prefs, [part(half), part(~half)]))
    assert shards.newton_steps == whole.newton_steps > 0
    assert shards.trace[-1] == pytest.approx(whole.trace[-1], abs=1e-8)


@pytest.mark.filterwarnings("ignore::emjax.EmjaxWarning")
def test_covariates_of_strengths_move_along(monkeypatch):
    rng = np.random.default_rng(2)
    user, x = np.repeat(np.arange(100), 12), rng.choice([-1.0, 0.0, 1.0], size=1200)
    a = rng.integers(8, size=len(user))
    b = (a + rng.integers(1, 8, size=len(user))) % 8
    won = rng.random(len(user)) < 0.5 + 0.8 * (expit(0.4 * (b - a) + 0.7 * x) - 0.5)
    names = np.array([f"m{i}" for i in range(8)], dtype=object)
    prefs = emjax.Preferences.from_votes(
        user, np.stack([names[a], names[b]], axis=1), won.astype(float), covariates={"length": x}
    )
    before = emjax.fit_em(prefs, emjax.TwoPoint())
    monkeypatch.setattr(trust_region, "MANY", 3)
    fit = emjax.fit_em(prefs, emjax.TwoPoint())
    assert fit.converged and fit.em_steps <= trust_region.EM_STEPS
    assert abs(fit.trace[-1] - before.trace[-1]) <= fit.gap + before.gap + 1e-6


@pytest.mark.filterwarnings("ignore::emjax.EmjaxWarning")
def test_the_maximum_is_that_of_a_likelihood_in_numpy(monkeypatch):
    """Two groups × Bradley–Terry, maximised by BFGS from several starts."""
    monkeypatch.setattr(trust_region, "MANY", 3)
    rng = np.random.default_rng(0)
    n_users, each, n = 120, 15, 6
    user = np.repeat(np.arange(n_users), each)
    a = rng.integers(n, size=len(user))
    b = (a + rng.integers(1, n, size=len(user))) % n
    eta = np.where(rng.random(n_users) < 0.6, 0.9, 0.2)[user]
    won = rng.random(len(user)) < 0.5 + eta * (expit(0.7 * (b - a)) - 0.5)
    names = np.array([f"m{i}" for i in range(n)], dtype=object)
    prefs = emjax.Preferences.from_votes(user, np.stack([names[a], names[b]], axis=1), won.astype(float))
    fit = emjax.fit_em(prefs, emjax.TwoPoint())
    assert fit.newton_steps > 0

    def loss(x):
        s, support, weight = x[:n], expit(x[n : n + 2]), expit(x[n + 2])
        attentive = expit(s[a] - s[b])
        chance = 0.5 + support * (np.where(won, attentive, 1.0 - attentive)[:, None] - 0.5)
        each_user = np.zeros((n_users, 2))
        np.add.at(each_user, user, np.log(chance))
        return -logsumexp(each_user + np.log([1.0 - weight, weight]), axis=1).sum() + 0.005 * s @ s

    starts = [np.concatenate([rng.normal(size=n), [-1.0, 2.0, 0.0]]) for _ in range(4)]
    best = -min(minimize(loss, x, method="BFGS", options={"gtol": 1e-4}).fun for x in starts)
    assert fit.trace[-1] == pytest.approx(best, abs=2e-3)


@pytest.mark.filterwarnings("ignore::emjax.EmjaxWarning")
@pytest.mark.parametrize("prior", [emjax.TwoPoint(), emjax.Grid()])
def test_three_hundred_models_take_few_steps(prior):
    """Sixty votes per model: without trust-region steps 45 EM steps and 9 Newton steps under a Grid, of
    which some were corrected four times; here 3 and 13."""
    votes = emjax.read_votes(
        drawn(530, 300, 4500), user="user", model_a="model_a", model_b="model_b", winner="winner"
    )
    fit = emjax.fit_em(votes, prior)
    assert fit.converged
    assert fit.em_steps <= trust_region.EM_STEPS and fit.newton_steps <= 30
    # There are several maxima; EM from the same start ends at -5565.72 or -5563.13.
    assert fit.trace[-1] >= -5566.0
