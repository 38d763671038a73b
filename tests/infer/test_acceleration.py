"""Where to take the next EM step: plainly, or far along, and never down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax import Fixed, Plain, Shared, Squarem, TwoPoint
from emjax.infer.acceleration import Acceleration

pytestmark = pytest.mark.usefixtures("double")


def walk(acceleration: Acceleration, model, step, value, turns):
    """Follow an acceleration with a made-up EM step: the strengths (as logits) and values that count."""
    memory, seen = acceleration.start(model), []
    for _ in range(turns):
        at = float(model.strength.coordinates()[0])
        after = model.strength.at(jnp.asarray([step(at)]))
        after = type(model)(model.prior, after, model.behavior)
        memory, onward, counts = acceleration.follow(memory, model, after, jnp.asarray(value(at)))
        if bool(counts):
            seen.append(at)
        model = onward
    return np.array(seen), float(model.strength.coordinates()[0]), memory


@pytest.fixture
def model(arena, ready):
    return ready(arena(1), Fixed(TwoPoint()), Shared())[1]


def peak(x):
    return -((x - 2.0) ** 2)


def creep(x):
    """An EM step that closes one hundredth of the way."""
    return x + 0.01 * (2.0 - x)


def test_plain_steps_are_the_steps(model):
    seen, last, _ = walk(Plain(), model, creep, peak, 5)
    expected = [float(model.strength.coordinates()[0])]
    for _ in range(5):
        expected.append(creep(expected[-1]))
    np.testing.assert_allclose([*seen, last], expected, rtol=1e-12)


def test_an_extrapolation_goes_straight_to_where_linear_steps_lead(model):
    seen, last, memory = walk(Squarem(), model, creep, peak, 3)
    assert len(seen) == 3 and abs(seen[2] - 2.0) < 1e-8 and abs(last - 2.0) < 1e-8
    assert bool(Squarem().resting(memory))


def test_an_extrapolation_that_falls_is_given_up(model):
    """The step is right and the value punishes going far: what counts never falls, and steps go on."""
    start = float(model.strength.coordinates()[0])

    def narrow(x):
        return x if x < start + 0.2 else -100.0

    seen, last, _ = walk(Squarem(), model, creep, narrow, 9)
    values = np.array([narrow(x) for x in seen])
    assert (np.diff(values) >= 0).all() and len(seen) < 9
    assert last > start and narrow(last) > -100.0


def test_what_is_not_finite_is_given_up(model):
    seen, last, _ = walk(Squarem(), model, lambda x: creep(x) if abs(x) < 1.9 else np.nan, peak, 6)
    assert np.isfinite(seen).all() and np.isfinite(last)


def test_they_are_pytrees_without_leaves():
    """So that compiled code depends on the kind of acceleration alone."""
    assert jax.tree.leaves(Plain()) == jax.tree.leaves(Squarem()) == []
    assert repr(Squarem()) == "Squarem()"
