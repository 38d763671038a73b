"""Priors: Fixed, moments, and checks of the constructors."""

import numpy as np
import pytest
from scipy.stats import beta

from emjax import Beta, Fixed, Grid, ModelError, Points, TwoPoint
from emjax.model.prior import finite_number, moments

pytestmark = pytest.mark.usefixtures("double")

PRIORS = [TwoPoint(0.2, 0.9, 0.4), Points(3), Beta(3, 5), Grid(7)]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_a_fixed_prior_stays_as_it_is(prior):
    fixed = Fixed(prior)
    np.testing.assert_array_equal(fixed.nodes().eta, prior.nodes().eta)
    np.testing.assert_array_equal(fixed.log_weights(), prior.log_weights())
    assert fixed.maximise(None, None, None, None) is fixed
    assert (fixed.support().size, fixed.shape().size, fixed.names()) == (0, 0, ())
    assert fixed.continuous == prior.continuous


@pytest.mark.parametrize("a, b, finite", [(1, 1, True), (0.99, 2, False), (2, 0.99, False), (3, 5, True)])
def test_the_mode_is_finite_unless_the_density_is_infinite_at_an_end(a, b, finite):
    assert Beta(a, b).mode_is_finite() is finite
    assert Fixed(Beta(a, b)).mode_is_finite() is finite
    assert TwoPoint().mode_is_finite()


def test_fixed_needs_a_prior():
    for wrong in (None, 3, "beta", Beta):
        with pytest.raises(ModelError, match="needs a prior"):
            Fixed(wrong)


@pytest.mark.parametrize("a, b", [(0.05, 0.05), (3, 5), (200, 0.3), (1, 1)])
def test_moments_of_a_density(a, b):
    mean, sd = moments(Beta(a, b))
    np.testing.assert_allclose([mean, sd], [beta.mean(a, b), beta.std(a, b)], rtol=1e-9)


def test_moments_of_points():
    mean, sd = moments(TwoPoint(0.2, 0.9, 0.4))
    np.testing.assert_allclose([mean, sd], [0.48, 0.7 * np.sqrt(0.24)], rtol=1e-14)


@pytest.mark.parametrize("value", ["x", None, np.nan, np.inf])
def test_a_number_is_asked_for(value):
    with pytest.raises(ModelError):
        finite_number(value, "Beta")


@pytest.mark.parametrize("prior", [*PRIORS, Fixed(Beta(2, 2))], ids=repr)
def test_coordinates_lead_back_to_the_prior(prior):
    again = prior.at(np.asarray(prior.support()), np.asarray(prior.shape()))
    np.testing.assert_allclose(again.nodes().eta, prior.nodes().eta, rtol=1e-14)
    np.testing.assert_allclose(again.log_weights(), prior.log_weights(), rtol=1e-12, atol=1e-12)
    low, high = prior.bounds()
    x = np.concatenate([np.asarray(prior.support()), np.asarray(prior.shape())])
    assert low.shape == high.shape == x.shape and (low <= x).all() and (x <= high).all()
    assert len(prior.names()) == len(prior.natural()) == len(prior.limits())


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_weights_are_a_distribution(prior):
    np.testing.assert_allclose(np.exp(prior.log_weights()).sum(), 1.0, rtol=1e-14)
    np.testing.assert_allclose(np.asarray(prior.nodes().eta) + prior.nodes().rest, 1.0, rtol=1e-15)
