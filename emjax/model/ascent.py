"""The ascent of smooth functions of a few numbers, for M-steps that have no closed form."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def ascend(
    value: Callable[[Float[Array, " n"]], Float[Array, ""]],
    start: Float[Array, " n"],
    low: float,
    high: float,
    most: int = 60,
    derivatives: Callable[[Float[Array, " n"]], tuple[Any, Any]] | None = None,
) -> Float[Array, " n"]:
    """Newton ascent of a smooth function of a few numbers in a box; never ends below its start.

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
