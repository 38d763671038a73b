"""The root finder, against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from emjax.model.optimize import decreasing_root


def root(f, low, high, start):
    with jax.enable_x64(True):
        return np.asarray(decreasing_root(f, *(jnp.asarray(x, jnp.float64) for x in (low, high, start))))


@given(
    at=st.floats(-0.99, 0.99), steep=st.floats(0.01, 1e4), curve=st.floats(0.0, 50.0), start=st.floats(-3, 3)
)
def test_finds_what_scipy_finds(at, steep, curve, start):
    with jax.enable_x64(True):
        f = lambda x: -steep * (x - at) - curve * (x - at) ** 3  # noqa: E731
        found = root(f, [-1.0], [1.0], [start])
    np.testing.assert_allclose(found, brentq(f, -1.0, 1.0, xtol=1e-15), atol=1e-13)


def test_each_element_has_its_own_root_and_ends_are_answers():
    targets = np.array([-2.0, -1.0, 0.3, 0.999, 1.0, 7.0])
    with jax.enable_x64(True):
        found = root(lambda x: jnp.asarray(targets) - x, -np.ones(6), np.ones(6), np.zeros(6))
    np.testing.assert_allclose(found, np.clip(targets, -1.0, 1.0), atol=1e-14)


@pytest.mark.parametrize("start", [-30.0, 0.0, 39.0])
def test_a_creeping_newton_iteration_does_not_stall(start):
    """A sigmoid is flat for tens of units on either side of its root."""
    found = root(lambda x: jax.nn.sigmoid(-(x - 17.0)) - 0.5, [-40.0], [40.0], [start])
    np.testing.assert_allclose(found, 17.0, atol=1e-11)


def test_infinite_ends_do_no_harm():
    """As in log P at a support point where a vote would be impossible."""
    found = root(lambda x: 3.0 / x - 5.0 / (1.0 - x), [0.0], [1.0], [0.9])
    np.testing.assert_allclose(found, 0.375, atol=1e-13)
