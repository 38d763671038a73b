"""Ways to take EM steps: plainly, or extrapolated."""

import abc
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from emjax.infer.coordinates import free_bounds, free_coordinates, with_free_coordinates
from emjax.infer.steps import Model
from emjax.model.record import record

Step = Callable[[Model], tuple[Model, Float[Array, ""]]]
Cycle = tuple[Model, Float[Array, " steps"], Bool[Array, " steps"]]


class Acceleration(abc.ABC):
    """What the loop does with an EM step."""

    steps: int

    @abc.abstractmethod
    def cycle(self, step: Step, model: Model) -> Cycle:
        """A few EM steps: the model they end at, the objective at each point visited, and which count."""


@record
class Plain(Acceleration):
    """EM as it is, one step at a time.

    Notes
    -----
    Slow where much is missing: a ridge can take tens of thousands of steps.

    Examples
    --------
    >>> Plain()
    Plain()
    """

    steps = 1

    def cycle(self, step: Step, model: Model) -> Cycle:
        after, value = step(model)
        return after, value[None], jnp.ones(1, bool)


@record
class Squarem(Acceleration):
    """SQUAREM: two EM steps show a direction, a third point is tried far along it, one more step settles.

    Where the objective would fall the extrapolated point is given up for the second EM step, so the
    objective never falls.

    Notes
    -----
    Source: Varadhan & Roland (2008), scheme S3. Near a flat maximum it still slows down, which is why
    `fit_em` ends on Newton steps.

    Examples
    --------
    >>> Squarem()
    Squarem()
    """

    steps = 3

    def cycle(self, step: Step, model: Model) -> Cycle:
        low, high = free_bounds(model)
        first, value0 = step(model)
        second, value1 = step(first)
        x0, x1, x2 = (free_coordinates(m) for m in (model, first, second))
        r, v = x1 - x0, x2 - 2.0 * x1 + x0
        bend = jnp.sqrt(jnp.sum(v * v))
        length = jnp.where(bend > 0.0, jnp.sqrt(jnp.sum(r * r)) / jnp.maximum(bend, 1e-300), 1.0)
        length = jnp.maximum(length, 1.0)
        guess = jnp.clip(x0 + 2.0 * length * r + length * length * v, low, high)
        third, value2 = step(with_free_coordinates(second, guess))
        taken = (value2 >= value1) & jnp.isfinite(free_coordinates(third)).all()
        end = _where(taken, third, second)
        return end, jnp.stack([value0, value1, value2]), jnp.stack([np.True_, np.True_, taken])


def _where(condition: Bool[Array, ""], yes: Model, no: Model) -> Model:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
