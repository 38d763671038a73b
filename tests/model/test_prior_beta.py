"""The Beta prior's M-step, against a general-purpose optimiser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import betaln

from emjax import Beta, ModelError, Sharpness
from emjax.model.quadrature import double_exponential

pytestmark = pytest.mark.usefixtures("double")


def masses(case):
    """Users per node, as an E-step would hand them on."""
    rule = double_exponential()
    shapes = {
        "like a Beta": 3.0 * rule.log_eta + 5.0 * rule.log_rest,
        "two humps": np.logaddexp(
            40 * rule.log_eta + 9 * rule.log_rest, 9 * rule.log_eta + 40 * rule.log_rest
        ),
        "at both ends": 0.2 * rule.log_eta + 0.1 * rule.log_rest,
        "narrow": 150 * rule.log_eta + 60 * rule.log_rest,
        "one bulk and an end": np.logaddexp(30 * rule.log_eta + 30 * rule.log_rest, 0.3 * rule.log_eta - 60),
    }
    mass = np.exp(shapes[case] + rule.log_cosh - (shapes[case] + rule.log_cosh).max())
    return 57.0 * mass / mass.sum()


NO_VOTES = np.zeros((0, 2, 512)), np.zeros(0), Sharpness()  # the mass is all that the M-step needs
maximise = jax.jit(lambda prior, mass: prior.maximise(mass, *NO_VOTES))
CASES = ["like a Beta", "two humps", "at both ends", "narrow", "one bulk and an end"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("start", [(2.0, 2.0), (0.05, 200.0), (150.0, 0.06), (200.0, 200.0)])
def test_the_m_step_is_the_best_beta_from_any_start(case, start):
    mass, rule = masses(case), double_exponential()
    log_eta, log_rest = mass @ rule.log_eta, mass @ rule.log_rest

    def lacking(x):  # the density's own normaliser, not the rule's
        a, b = np.exp(x)
        return -(a * log_eta + b * log_rest - mass.sum() * betaln(a, b)) / mass.sum()

    bounds = [(np.log(0.05), np.log(200.0))] * 2
    best = min(
        (minimize(lacking, x, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
         for x in ((0.7, 0.7), (3.0, 3.0), (-1.0, -1.0))),
        key=lambda found: found.fun,
    )  # fmt: skip
    found = maximise(Beta(*start), jnp.asarray(mass))
    at = np.log([float(found.a), float(found.b)])
    assert lacking(at) <= best.fun + 1e-11
    np.testing.assert_allclose(at, best.x, atol=1e-4)


def test_the_m_step_stops_at_its_bounds():
    spike = np.zeros(512)
    spike[256] = 10.0
    found = maximise(Beta(3, 5), jnp.asarray(spike))
    assert 0.05 <= found.a <= 200 and 0.05 <= found.b <= 200
    assert max(found.a, found.b) == pytest.approx(200)


@pytest.mark.parametrize("a, b", [(-1, 1), (0, 1), (0.04, 1), (1, 201), ("x", 1), (np.nan, 1), (1, None)])
def test_shapes_out_of_range_are_refused(a, b):
    with pytest.raises(ModelError, match="Beta"):
        Beta(a, b)
