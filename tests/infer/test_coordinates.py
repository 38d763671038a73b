"""A model as a vector: everything that is estimated is in it, in one order."""

import jax
import numpy as np
import pytest

from emjax import BradleyTerry, Grid, TwoPoint
from emjax.infer import coordinates

pytestmark = pytest.mark.usefixtures("double")


def test_there_and_back(arena, ready, prior, strength):
    _, model, _ = ready(arena(1), prior.given, strength.given)
    x = coordinates.all_coordinates(model)
    again = coordinates.with_all_coordinates(model, x)
    for mine, theirs in zip(jax.tree.leaves(model), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-12)
    free = coordinates.free_coordinates(model)
    low, high = coordinates.free_bounds(model)
    assert low.shape == high.shape == free.shape and (low <= free).all() and (free <= high).all()
    np.testing.assert_allclose(
        coordinates.free_coordinates(coordinates.with_free_coordinates(model, free)), free, rtol=1e-12
    )
    hidden = len(model.prior.shape()) if isinstance(prior.given, Grid) else 0
    assert len(free) == len(x) - hidden
    assert len(model.natural()) == len(model.prior.names()) + len(model.strength.natural())


def test_support_comes_first_then_strengths_then_shape(arena, ready):
    _, model, _ = ready(arena(1), TwoPoint(0.1, 0.8, 0.25), BradleyTerry())
    x = np.array([0.3, 0.6, 1.0, 2.0, -3.0, 0.0])
    moved = coordinates.with_all_coordinates(model, x)
    assert (float(moved.prior.low), float(moved.prior.high), float(moved.prior.weight)) == (0.3, 0.6, 0.5)
    np.testing.assert_array_equal(moved.strength.strengths, [1.0, 2.0, -3.0])
    assert coordinates.n_support(model) == 2 and coordinates.n_strength(model) == 3
