"""Beta: a density over attentiveness, integrated on fixed nodes."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emjax.errors import ModelError
from emjax.model.attentiveness import Attentiveness, Vector, finite_number
from emjax.model.likelihood import Nodes
from emjax.model.quadrature import double_exponential
from emjax.model.record import record, replace, set_fields

BETA_RANGE = (0.05, 200.0)


@record
class Beta(Attentiveness):
    """Attentiveness spread as Beta(a, b) over the users.

    Parameters
    ----------
    a, b
        Positive; starting values when handed to `fit_em`, which keeps them within 0.05 and 200.

    Raises
    ------
    ModelError
        When a or b is outside that range.

    Notes
    -----
    The integral over η is a double-exponential rule on 512 fixed nodes, exact to 1e-8 relative in log L
    for up to 1,000 votes per user. Where a or b is below 1 the posterior density has no mode.

    Examples
    --------
    >>> Beta(3, 5)
    Beta(a=3, b=5)
    """

    a: Any = 2.0
    b: Any = 2.0

    def __post_init__(self) -> None:
        a, b = finite_number(self.a, "Beta"), finite_number(self.b, "Beta")
        low, high = BETA_RANGE
        if not (low <= a <= high and low <= b <= high):
            raise ModelError(f"Beta(a, b) needs a and b between {low} and {high:g}; got a={a:g}, b={b:g}.")
        set_fields(self, a=a, b=b)

    @property
    def continuous(self) -> bool:
        return True

    def nodes(self) -> Nodes:
        rule = double_exponential()
        return Nodes(jnp.asarray(rule.eta), jnp.asarray(rule.rest))

    def log_weights(self) -> Float[Array, " nodes"]:
        rule = double_exponential()
        # Dividing by the rule's own sum, not by B(a, b), makes the weights a distribution to the last bit.
        raw = jnp.asarray(self.a) * rule.log_eta + jnp.asarray(self.b) * rule.log_rest + rule.log_cosh
        return jax.nn.log_softmax(raw)

    def maximise(self, mass, votes, logits, behavior) -> Self:
        share = mass / jnp.sum(mass)
        limits = np.log(np.array(BETA_RANGE))

        def value(x):
            return jnp.sum(share * replace(self, a=jnp.exp(x[0]), b=jnp.exp(x[1])).log_weights())

        x = _ascend(value, self.shape(), limits[0], limits[1])
        return replace(self, a=jnp.exp(x[0]), b=jnp.exp(x[1]))

    def shape(self) -> Vector:
        return jnp.log(jnp.stack([jnp.asarray(self.a), jnp.asarray(self.b)]))

    def at(self, support, shape) -> Self:
        return replace(self, a=jnp.exp(shape[0]), b=jnp.exp(shape[1]))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.log(np.array(BETA_RANGE))
        return np.array([low, low]), np.array([high, high])

    def names(self) -> tuple[str, ...]:
        return ("a", "b")

    def limits(self) -> list[tuple[float, float]]:
        return [(0.0, np.inf)] * 2

    def natural(self) -> Vector:
        return jnp.stack([jnp.asarray(self.a), jnp.asarray(self.b)])

    def mode_is_finite(self) -> bool:
        return bool(float(self.a) >= 1.0 and float(self.b) >= 1.0)


def _ascend(value, start, low: float, high: float):
    """Newton ascent of a smooth function of a few numbers in a box; never ends below its start."""
    gradient, hessian = jax.grad(value), jax.hessian(value)
    eye = jnp.eye(start.shape[0], dtype=start.dtype)

    def step(state):
        x, best, damping, count, _ = state
        g, h = gradient(x), hessian(x)
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
        return (count < 60) & (moved > 1e-13) & (damping < 1e10)

    zero = jnp.zeros((), start.dtype)
    state = (start, value(start), zero, jnp.zeros((), jnp.int32), zero + jnp.inf)
    return jax.lax.while_loop(going, step, state)[0]
