"""Optimisers of the M-steps: box-constrained Newton ascent and a safeguarded root finder."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def ascend(
    value: Callable[[Float[Array, " n"]], Float[Array, ""]],
    start: Float[Array, " n"],
    low: Any,
    high: Any,
    most: int = 60,
    derivatives: Callable[[Float[Array, " n"]], tuple[Any, Any]] | None = None,
) -> Float[Array, " n"]:
    """Newton ascent of a smooth function of a few numbers in a box; never ends below its start.

    `low` and `high` are one number each, or one for each coordinate.
    `derivatives` gives gradient and Hessian where there is a cheaper way to them.
    """

    def differentiated(x: Float[Array, " n"]) -> tuple[Any, Any]:
        return jax.grad(value)(x), jax.hessian(value)(x)

    both = differentiated if derivatives is None else derivatives
    eye = jnp.eye(start.shape[0], dtype=start.dtype)

    def step(state):
        x, best, damping, count, _ = state
        g, h = both(x)
        # What a bound holds back takes no part in the step, or it could stop the others.
        held = ((x <= low) & (g < 0.0)) | ((x >= high) & (g > 0.0))
        g, h = jnp.where(held, 0.0, g), jnp.where(held[:, None] | held[None, :], 0.0, h)
        h = -h + (damping + 1e-12) * eye * (1.0 + jnp.max(jnp.abs(h)))
        # Away from the maximum the function of log a, log b may be convex: damp until the step ascends.
        least = jnp.linalg.eigvalsh(h)[0]
        h = h + jnp.maximum(0.0, 1e-6 - least) * eye
        move = jnp.clip(jnp.linalg.solve(h, g), -1.0, 1.0)
        new = jnp.clip(x + move, low, high)
        there = value(new)
        better = there >= best
        moved = jnp.where(better, jnp.max(jnp.abs(new - x)), jnp.inf)
        damping = jnp.where(better, damping * 0.1, jnp.maximum(damping * 10.0, 1e-6))
        return jnp.where(better, new, x), jnp.where(better, there, best), damping, count + 1, moved

    def going(state):
        *_, damping, count, moved = state
        return (count < most) & (moved > 1e-13) & (damping < 1e10)

    zero = jnp.zeros((), start.dtype)
    state = (start, value(start), zero, jnp.zeros((), jnp.int32), zero + jnp.inf)
    return jax.lax.while_loop(going, step, state)[0]


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
        # Every third step halves the bracket, so that a slow Newton iteration cannot stall; where Newton has
        # all but arrived that would only lead away again.
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
