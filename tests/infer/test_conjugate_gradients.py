"""Products with the information matrix against the matrix, and fits without it against fits with it."""

import dataclasses

import jax
import numpy as np
import pytest

import emjax
from emjax.data.response_patterns import distinct
from emjax.infer import conjugate_gradients
from emjax.infer.conjugate_gradients import NewtonByProducts, System, expansion, product
from emjax.infer.count_layout import lay_out
from emjax.infer.information import compact, information
from emjax.infer.steps import e_step
from emjax.infer.vote_sources import design_index
from emjax.infer.votes_on_device import Data
from emjax.model.model import Model

pytestmark = pytest.mark.usefixtures("double")

MODELS = [
    (emjax.Points(3), emjax.BradleyTerry(), False, False),
    (emjax.Grid(12), emjax.BradleyTerry(), True, False),
    (emjax.Beta(), emjax.BradleyTerry(), True, True),
    (emjax.TwoPoint(), emjax.PerPair(), False, True),
    (emjax.Grid(12), emjax.PerPair(), False, False),
]


@pytest.mark.parametrize(("prior", "strength", "ties", "sides"), MODELS)
def test_products_are_those_of_the_matrix(few_votes_each, prior, strength, ties, sides):
    prefs = few_votes_each(25, ties, sides)
    strength = strength.start(prefs.table)
    strength = strength.at(np.random.default_rng(4).normal(size=strength.n_coordinates()))
    behavior = emjax.model.response.default_behavior(prefs.table).start(prefs.table)
    model = Model(prior, strength.bare(), behavior.on(prefs.table))
    users = jax.device_put(np.float64(prefs.n_users))
    votes = Data(
        lay_out(distinct(prefs))[0],
        jax.device_put(design_index(strength, prefs.table)),
        users,
        prefs.outcomes.n,
    )
    smaller, few = compact(jax.tree.map(np.asarray, model), np.asarray(votes.run(e_step, model).mass))
    wanted = votes.run(information, smaller, few)
    matrix = np.asarray(wanted.observed + wanted.log_prior)
    found = votes.run(expansion, smaller, few)
    np.testing.assert_allclose(found.gradient, wanted.gradient + wanted.prior_gradient, rtol=1e-9, atol=1e-8)
    vectors = np.random.default_rng(5).normal(size=(3, len(matrix)))
    products = np.stack([votes.run(product, smaller, found, v) for v in vectors])
    np.testing.assert_allclose(products, vectors @ matrix, rtol=1e-8, atol=1e-7 * np.abs(matrix).max())


@pytest.mark.filterwarnings("ignore::emjax.EmjaxWarning")
@pytest.mark.parametrize(("prior", "strength", "ties", "sides"), [m for m in MODELS if not m[0].continuous])
def test_a_fit_without_the_matrix_has_the_same_maximum(
    few_votes_each, monkeypatch, prior, strength, ties, sides
):
    prefs = few_votes_each(25, ties, sides, users=150, each=12)
    whole = emjax.fit_em(prefs, prior, strength=strength)
    monkeypatch.setattr(conjugate_gradients, "LARGE", 10)
    fit = emjax.fit_em(prefs, prior, strength=strength)
    assert fit.converged and fit.gap <= fit.tol
    assert abs(fit.trace[-1] - whole.trace[-1]) <= fit.gap + whole.gap + 1e-9
    assert np.isnan(fit.standard_errors().std_err).all()
    assert any("more than standard errors are computed for" in f.what for f in fit.identified.findings)
    table = fit.comparisons(prefs)
    assert table["std_err"].null_count == len(table)


def test_without_the_matrix_a_fit_can_be_saved_and_asked(few_votes_each, monkeypatch, tmp_path):
    monkeypatch.setattr(conjugate_gradients, "LARGE", 10)
    prefs = few_votes_each(25)
    fit = emjax.fit_em(prefs, emjax.Grid(12), strength=emjax.PerPair())
    again = emjax.load_fit(fit.save(tmp_path / "fit"))
    assert str(again.users(prefs)) == str(fit.users(prefs))
    unbounded = dataclasses.replace(fit, gap=np.inf)
    assert not unbounded.converged and "do not say how far" in unbounded.message
    assert emjax.load_fit(unbounded.save(tmp_path / "unbounded")).gap == np.inf
    assert "no standard error" in repr(again.standard_errors())


def newton(matrix, gradient, common=0, low=-10.0, high=10.0):
    n = len(gradient)
    bounds = np.full(n, low), np.full(n, high)
    system = System(lambda v: matrix @ v, np.diag(matrix), np.arange(n) < common)
    return NewtonByProducts(np.zeros(n), gradient, system, bounds)


@pytest.mark.parametrize("common", [0, 3])
def test_the_step_solves_the_equations(common):
    rng = np.random.default_rng(6)
    scores = rng.normal(size=(80, 30)) * 10.0 ** rng.uniform(-2, 2, size=30)
    matrix, gradient = scores.T @ scores, rng.normal(size=30)
    found = newton(matrix, gradient, common)
    wanted = np.linalg.solve(matrix, gradient)
    scale = np.sqrt(np.diag(matrix))
    np.testing.assert_allclose(
        found.step(0.0) * scale, wanted * scale, atol=1e-4 * np.abs(wanted * scale).max()
    )
    np.testing.assert_allclose(found.decrement, 0.5 * gradient @ wanted, rtol=1e-6)
    damped = np.linalg.solve(matrix + 0.5 * np.diag(np.diag(matrix)), gradient)
    np.testing.assert_allclose(
        found.step(0.5) * scale, damped * scale, atol=1e-4 * np.abs(damped * scale).max()
    )


def test_where_the_objective_is_not_concave_the_step_ascends():
    matrix, gradient = np.diag([1.0, 2.0, -3.0]), np.array([0.1, 0.1, 1.0])
    found = newton(matrix, gradient)
    assert found.step(0.0) @ gradient > 0.0
    assert found.decrement == np.inf, "there is no bound on the gap"


def test_a_coordinate_at_its_bound_stays_there():
    found = newton(np.eye(2), np.array([1.0, 1.0]), high=0.0)
    assert found.step(0.0).tolist() == [0.0, 0.0] and not found.free.any()
