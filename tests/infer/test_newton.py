"""Newton steps: they reach the maximum, and their gap predicts the remaining gain."""

import numpy as np
import pytest

import oracles
from benchmarks import recovery
from emjax import (
    AttentiveOrRandom,
    Beta,
    BradleyTerry,
    FitError,
    Fixed,
    Grid,
    Known,
    Points,
    Preferences,
    Shared,
    Squarem,
    TwoPoint,
    fit_em,
)
from emjax.infer.newton import newton_stage, schur
from emjax.infer.objective import Objective
from emjax.infer.vote_sources import prepare
from emjax.model.prior_beta import BETA_RANGE
from emjax.model.pytree import replace

MU = np.array([0.7, 0.93, 0.82])
pytestmark = pytest.mark.usefixtures("double")


def newton_end(ready, counts, prior, strength, tol=1e-3):
    data, model, _ = ready(counts, prior, strength)
    return newton_stage(model, Objective(data, 1e-8, Squarem()), tol)


@pytest.mark.parametrize(
    "prior, strength, options",
    [
        (Beta(1.5, 0.9), Known(MU), ("beta", "known", {"value": MU})),
        (TwoPoint(0.3, 0.8, 0.4), Known(MU), ("points", "known", {"value": MU})),
        (
            Fixed(Points(3)),
            Shared(value=0.6),
            ("fixed", "shared", {"fixed": ([1 / 6, 0.5, 5 / 6], [1 / 3] * 3)}),
        ),
    ],
    ids=str,
)
def test_newton_steps_alone_reach_the_maximum(arena, ready, prior, strength, options):
    kind, how, more = options
    end = newton_end(ready, arena(10), prior, strength)
    truth = oracles.fit(arena(10), kind, how, starts=2, **more).value
    np.testing.assert_allclose(end.values[-1], truth, atol=1e-5)
    assert (np.diff(end.values) >= 0).all() and 0 <= end.gap <= 1e-3


def test_the_gap_predicts_the_remaining_gain(arena, ready):
    """Newton's decrement near the maximum against the remaining gain."""
    best = newton_end(ready, arena(10), Beta(), Known(MU), tol=1e-9)
    for shift in (0.02, -0.03):
        near = Beta(float(best.model.prior.a) * (1 + shift), float(best.model.prior.b) * (1 - shift))
        here = newton_end(ready, arena(10), near, Known(MU), tol=1e9)
        assert len(here.values) == 1
        np.testing.assert_allclose(here.gap, best.values[-1] - here.values[0], rtol=0.1)


def test_the_gap_of_merged_points_is_finite_and_small(ready):
    """Users all alike: both points end on top of each other, and the weight between them is undetermined."""
    alike = np.repeat(np.array([[[12.0, 8.0], [13.0, 7.0], [11.0, 9.0]]]), 60, axis=0)
    end = newton_end(ready, alike, TwoPoint(0.2, 0.9, 0.5), Known(MU))
    one = oracles.fit(alike, "points", "known", k=1, value=MU, starts=2).value
    assert end.values[-1] >= one - 1e-3
    assert 0.0 <= end.gap <= 1e-3


def test_the_gap_of_a_grid_bounds_the_gain_of_its_weights(arena, ready):
    end = newton_end(ready, arena(10), Grid(9), BradleyTerry())
    eta = np.linspace(0, 1, 9)
    s = np.asarray(end.model.strength.strengths)
    mu = 1 / (1 + np.exp(-np.array([s[0] - s[1], s[0] - s[2], s[1] - s[2]])))
    certificate = oracles.npmle_gap(arena(10), mu, eta, np.asarray(end.model.prior.weights))
    assert certificate <= end.gap + 1e-7 and end.gap <= 1e-3


def test_other_coordinates_are_maximised_with_one_at_its_bound():
    """Support at one, where the slope still points upwards."""
    rng = np.random.default_rng(4)
    wins = rng.binomial(20, 0.5 + 0.45 * rng.choice([0.0, 1.0], 400))
    fit = fit_em(Preferences.from_counts(wins, np.full(400, 20)), TwoPoint(), strength=Known(0.9))
    counts = np.stack([wins, 20 - wins], axis=1)[:, None, :].astype(float)
    truth = oracles.fit(counts, "points", "known", value=0.9, starts=2)
    assert fit.prior.high == 1.0 and fit.log_likelihood >= truth.value - 1e-3 and fit.gap <= 1e-3


def test_schur_is_the_inverse_of_the_block_of_the_inverse():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    matrix = root @ root.T
    np.testing.assert_allclose(schur(matrix, 2), np.linalg.inv(np.linalg.inv(matrix)[:2, :2]), rtol=1e-8)


def limit_of_a_beta():
    """Users all but alike: the likelihood rises towards a Beta of no width, up to the edge of its range."""
    return Preferences.from_counts(*recovery.draw("Beta", 109013, 1000, 10, 0.74)[:2])


def test_a_ridge_is_followed_to_a_bound():
    fit = fit_em(limit_of_a_beta(), Beta(), strength=Known(0.74))
    assert fit.converged and np.isclose(fit.prior.b, BETA_RANGE[1], rtol=1e-12)
    notes = {e.name: e.note for e in fit.standard_errors()}
    assert "edge of the range" in notes["a"] and "edge of the range" in notes["b"]
    assert any("b = 200" in f.what and "too small" in f.what for f in fit.identified.findings)


@pytest.mark.parametrize("seed, users, votes, mu", [(2000, 1000, 30, 0.74), (3001, 10000, 100, 0.6)])
def test_a_curved_ridge_is_followed_from_both_ends(seed, users, votes, mu):
    """Seeds on which uncorrected steps stop below the maximum."""
    prefs = Preferences.from_counts(*recovery.draw("Beta", seed, users, votes, mu)[:2])
    ends = [fit_em(prefs, Beta(), strength=Shared(value=value)) for value in (0.6, 0.95)]
    assert all(end.converged for end in ends)
    np.testing.assert_allclose(ends[0].trace[-1], ends[1].trace[-1], atol=1e-3)


def test_a_derivative_that_is_not_finite_raises_an_error():
    data, model, _ = prepare(
        Preferences.from_counts([5, 9], [10, 10]), TwoPoint(), Known(0.9), AttentiveOrRandom()
    )
    broken = replace(model, prior=replace(TwoPoint(), low=np.float64(np.nan)))
    with pytest.raises(FitError, match="not finite"):
        newton_stage(broken, Objective(data, 1e-8, Squarem()), 1e-3)
