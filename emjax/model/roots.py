"""The one root finder of the M-steps: a Newton step where it helps, bisection where it does not."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_STEPS = 100
_ARRIVED = 1e-9


def decreasing_root(
    f: Callable[[Float[Array, "*n"]], Float[Array, "*n"]],
    low: Float[Array, "*n"],
    high: Float[Array, "*n"],
    start: Float[Array | np.ndarray, "*n"],
) -> Float[Array, "*n"]:
    """Where decreasing functions, one per element, cross zero inside [low, high].

    `f` must act element by element. Where `f(low) <= 0` the answer is `low`, where `f(high) >= 0` it is
    `high`: with `f` the derivative of a concave function, this is its maximum on the interval.
    The error is a few units in the last place; a function flat at zero returns some zero of it.
    """
    at_low, at_high = f(low) <= 0.0, f(high) >= 0.0
    middle = 0.5 * (low + high)
    inside = (start > low) & (start < high)

    def step(state):
        a, b, x, count, _ = state
        value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
        a, b = jnp.where(value > 0.0, x, a), jnp.where(value > 0.0, b, x)
        newton = x - value / jnp.where(slope < 0.0, slope, -jnp.ones_like(slope))
        usable = (slope < 0.0) & (newton >= a) & (newton <= b) & jnp.isfinite(newton)
        # Every third step halves the bracket, so that a creeping Newton iteration cannot stall; where Newton
        # has all but arrived that would only lead away again.
        arrived = jnp.abs(newton - x) <= _ARRIVED * (1.0 + jnp.abs(x))
        usable = usable & ((count % 3 != 2) | arrived)
        new = jnp.where(usable, newton, 0.5 * (a + b))
        # From there one Newton step is the last: it squares the error.
        done = at_low | at_high | (value == 0.0) | (usable & arrived)
        moved = jnp.max(jnp.where(done, 0.0, jnp.abs(new - x)))
        return a, b, jnp.where(value == 0.0, x, new), count + 1, moved

    def going(state):
        *_, count, moved = state
        return (count < _STEPS) & (moved > 1e-14)

    zero, far = jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, low.dtype)
    _, _, root, _, _ = jax.lax.while_loop(
        going, step, (low, high, jnp.where(inside, start, middle), zero, far)
    )
    return jnp.where(at_low, low, jnp.where(at_high, high, root))
