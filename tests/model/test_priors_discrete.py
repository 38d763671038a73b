"""Points and grids: M-steps against SciPy, and checks of the constructors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from emjax import AttentiveOrRandom, Grid, ModelError, Points, TwoPoint

pytestmark = pytest.mark.usefixtures("double")

BEHAVIOR = AttentiveOrRandom()
MU = np.array([0.9, 0.55, 0.2])
maximise = jax.jit(lambda prior, mass, votes, logits: prior.maximise(mass, votes, logits, BEHAVIOR))
LOGITS = np.log(MU / (1.0 - MU))


def votes_at(eta, per_node, seed=0):
    """Votes per comparison, outcome and node, distributed as those of users at `eta`."""
    rng = np.random.default_rng(seed)
    a_wins = 0.5 + np.asarray(eta) * (MU[:, None] - 0.5)
    share = np.clip(a_wins + rng.normal(0, 0.03, a_wins.shape), 0.01, 0.99)
    return per_node * np.stack([share, 1.0 - share], axis=1)


def expected(eta, votes):
    a_wins = 0.5 + eta * (MU - 0.5)
    return np.sum(votes[:, 0] * np.log(a_wins) + votes[:, 1] * np.log(1.0 - a_wins))


@pytest.mark.parametrize("prior", [TwoPoint(0.3, 0.31, 0.5), TwoPoint(0.0, 1.0, 0.01), Points(5)], ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_each_support_point_is_the_best(prior, seed):
    size = len(prior.natural()) - 1 if isinstance(prior, TwoPoint) else prior.k
    votes = votes_at(np.linspace(-0.1, 1.1, size), 40.0, seed)
    mass = np.random.default_rng(seed).random(size) * 30
    found = maximise(prior, jnp.asarray(mass), jnp.asarray(votes), jnp.asarray(LOGITS))
    np.testing.assert_allclose(np.exp(found.log_weights()), mass / mass.sum(), rtol=1e-13)
    for g, eta in enumerate(np.asarray(found.nodes().eta)):
        best = minimize_scalar(
            lambda x, g=g: -expected(x, votes[:, :, g]),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert expected(eta, votes[:, :, g]) >= -best.fun - 1e-12
        np.testing.assert_allclose(eta, best.x, atol=1e-5)


@pytest.mark.parametrize("mu", [0.74, 0.2, 0.999])
def test_one_comparison_has_a_closed_form(mu):
    wins, total = np.array([6.0, 1.0, 9.9, 5.0]), np.full(4, 10.0)
    votes = np.stack([wins, total - wins])[None]
    found = maximise(Points(4), jnp.ones(4), jnp.asarray(votes), jnp.asarray([np.log(mu / (1 - mu))]))
    np.testing.assert_allclose(
        found.nodes().eta, np.clip((wins / total - 0.5) / (mu - 0.5), 0.0, 1.0), atol=1e-12
    )


def test_a_grid_takes_the_mass_as_it_comes():
    found = Grid(3).maximise(jnp.asarray([1.0, 0.0, 3.0]), None, None, None)
    np.testing.assert_allclose(found.weights, [0.25, 0.0, 0.75])
    np.testing.assert_allclose(found.points, [0.0, 0.5, 1.0])


def test_labels_are_put_in_order():
    two = TwoPoint(0.2, 0.9, 0.3)
    swapped = two.at(np.array([0.9, 0.2]), -np.asarray(two.shape())).ordered()
    np.testing.assert_allclose(swapped.natural(), two.natural(), rtol=1e-14)
    three = Points(3, [0.9, 0.1, 0.5], [0.2, 0.3, 0.5]).ordered()
    np.testing.assert_allclose(three.points, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(three.weights, [0.3, 0.5, 0.2])


def test_weights_that_vanished_have_finite_coordinates():
    for prior in (Points(3, [0.1, 0.5, 0.9], [0.0, 0.5, 0.5]), Grid(3, [0.5, 0.5, 0.0])):
        assert np.isfinite(np.asarray(prior.shape())).all()


def test_moments_are_what_a_person_reads_of_a_grid():
    np.testing.assert_allclose(Grid(3, [0.25, 0.5, 0.25]).natural(), [0.5, np.sqrt(0.125)], rtol=1e-14)


WRONG = {
    "support out of order": lambda: TwoPoint(0.9, 0.2),
    "equal support": lambda: TwoPoint(0.5, 0.5),
    "support above one": lambda: TwoPoint(0.5, 1.01),
    "weight of zero": lambda: TwoPoint(0.2, 0.9, 0.0),
    "weight of everybody": lambda: TwoPoint(0.2, 0.9, 1.0),
    "no number": lambda: TwoPoint("low"),
    "not finite": lambda: TwoPoint(np.nan),
    "no points": lambda: Points(0),
    "too few starting values": lambda: Points(2, [0.1]),
    "a point outside": lambda: Points(2, [0.1, 1.2]),
    "weights beyond one": lambda: Points(2, [0.1, 0.2], [0.5, 0.6]),
    "a negative weight": lambda: Points(2, [0.1, 0.2], [1.5, -0.5]),
    "a matrix": lambda: Points(2, [[0.1, 0.2]]),
    "a grid of one": lambda: Grid(1),
    "a grid of one point": lambda: Grid([0.5]),
    "a grid out of order": lambda: Grid([0.5, 0.2]),
    "a point twice": lambda: Grid([0.1, 0.1, 0.2]),
    "a grid outside": lambda: Grid([-0.1, 0.5]),
    "a grid with too few weights": lambda: Grid(3, [0.5, 0.5]),
    "a grid with a negative weight": lambda: Grid(3, [-1.0, 1.0, 1.0]),
    "a grid of words": lambda: Grid("64"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_invalid_priors_are_refused_in_one_line(wrong):
    with pytest.raises(ModelError) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_weights_that_miss_one_by_rounding_are_put_right():
    np.testing.assert_allclose(Grid(3, [0.3333333, 0.3333333, 0.3333334]).weights.sum(), 1.0, rtol=1e-15)


def test_arrays_passed_in_are_not_changed():
    points, weights = np.array([0.1, 0.9]), np.array([0.5, 0.5 + 1e-7])
    Points(2, points, weights)
    Grid(points, weights)
    np.testing.assert_array_equal(weights, [0.5, 0.5 + 1e-7])
