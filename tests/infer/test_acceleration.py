"""Accelerations: plain EM steps, SQUAREM's extrapolations, and no decrease of the objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax import Fixed, NoAcceleration, Shared, Squarem, TwoPoint
from emjax.infer.acceleration import Acceleration

pytestmark = pytest.mark.usefixtures("double")


def walk(acceleration: Acceleration, model, step, value, turns):
    """Follow an acceleration with an artificial EM step: the strengths (as logits) and values that count."""
    memory, accepted = acceleration.start(model), []
    for _ in range(turns):
        at = float(model.strength.coordinates()[0])
        after = model.strength.at(jnp.asarray([step(at)]))
        after = type(model)(model.prior, after, model.behavior)
        memory, onward, counts = acceleration.follow(memory, model, after, jnp.asarray(value(at)))
        if bool(counts):
            accepted.append(at)
        model = onward
    return np.array(accepted), float(model.strength.coordinates()[0]), memory


@pytest.fixture
def model(arena, ready):
    return ready(arena(1), Fixed(TwoPoint()), Shared())[1]


def peak(x):
    return -((x - 2.0) ** 2)


def creep(x):
    """An EM step that closes one hundredth of the way."""
    return x + 0.01 * (2.0 - x)


def test_plain_acceleration_returns_the_em_steps_unchanged(model):
    accepted, last, _ = walk(NoAcceleration(), model, creep, peak, 5)
    expected = [float(model.strength.coordinates()[0])]
    for _ in range(5):
        expected.append(creep(expected[-1]))
    np.testing.assert_allclose([*accepted, last], expected, rtol=1e-12)


def test_squarem_reaches_the_limit_of_linear_steps_in_one_extrapolation(model):
    accepted, last, _ = walk(Squarem(), model, creep, peak, 3)
    assert len(accepted) == 3 and abs(accepted[2] - 2.0) < 1e-8 and abs(last - 2.0) < 1e-8


def test_an_extrapolation_that_lowers_the_objective_is_rejected(model):
    """The objective falls beyond the step: accepted values never fall, and steps go on."""
    start = float(model.strength.coordinates()[0])

    def narrow(x):
        return x if x < start + 0.2 else -100.0

    accepted, last, _ = walk(Squarem(), model, creep, narrow, 9)
    values = np.array([narrow(x) for x in accepted])
    assert (np.diff(values) >= 0).all() and len(accepted) < 9
    assert last > start and narrow(last) > -100.0


def test_an_extrapolation_that_is_not_finite_is_rejected(model):
    accepted, last, _ = walk(Squarem(), model, lambda x: creep(x) if abs(x) < 1.9 else np.nan, peak, 6)
    assert np.isfinite(accepted).all() and np.isfinite(last)


def test_accelerations_are_pytrees_without_leaves():
    """So that compiled code depends on the type of acceleration alone."""
    assert jax.tree.leaves(NoAcceleration()) == jax.tree.leaves(Squarem()) == []
    assert repr(Squarem()) == "Squarem()"
