"""Ways to take EM steps: unchanged, or extrapolated.

The loop owns the EM step and takes one per turn; an acceleration only says where to take the next.
"""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from emjax.infer.coordinates import Vector, free_bounds, free_coordinates, with_free_coordinates
from emjax.model.array_namespace import AnyArray
from emjax.model.model import Model
from emjax.model.pytree import record


class Acceleration(abc.ABC):
    """Where to take the next EM step, given the last one."""

    @abc.abstractmethod
    def start(self, model: Model) -> Any:
        """State before the first step."""

    @abc.abstractmethod
    def follow(
        self, memory: Any, model: Model, after: Model, value: Float[AnyArray, ""]
    ) -> tuple[Any, Model, Bool[Array, ""]]:
        """After a step from `model` (objective `value`) to `after`: where to go, and whether `model` counts.

        A model that does not count was a trial, and is rejected.
        """


@record
class NoAcceleration(Acceleration):
    """EM as it is, one step after the other.

    Notes
    -----
    Slow where the share of missing information is large: a ridge can take tens of thousands of steps.

    Examples
    --------
    >>> NoAcceleration()
    NoAcceleration()
    """

    def start(self, model: Model) -> Any:
        return ()

    def follow(
        self, memory: Any, model: Model, after: Model, value: Float[AnyArray, ""]
    ) -> tuple[Any, Model, Bool[Array, ""]]:
        return (), after, jnp.asarray(True)


@record
class Squarem(Acceleration):
    """SQUAREM: two EM steps give a direction, a third point is tried far along it, one EM step follows.

    Where the objective would fall the extrapolated point is replaced by the second EM step, so the
    objective never falls.

    Notes
    -----
    Near a flat maximum it still slows down, which is why `fit_em` ends on Newton steps.
    Source: Varadhan & Roland (2008), scheme S3.

    Examples
    --------
    >>> Squarem()
    Squarem()
    """

    def start(self, model: Model) -> Any:
        x = free_coordinates(model)
        return {
            "turn": jnp.zeros((), jnp.int32),
            "x0": x,
            "fallback": model,
            "value": jnp.asarray(-jnp.inf),
        }

    def follow(
        self, memory: Any, model: Model, after: Model, value: Float[AnyArray, ""]
    ) -> tuple[Any, Model, Bool[Array, ""]]:
        turn, here = memory["turn"], free_coordinates(model)
        guess = with_free_coordinates(after, _far(memory["x0"], here, free_coordinates(after), model))
        trial, settle = turn == 1, turn == 2
        sound = jnp.isfinite(free_coordinates(after)).all()
        counts = ~settle | ((value >= memory["value"]) & sound)
        onward = _where(trial, guess, _where(counts, after, memory["fallback"]))
        memory = {
            "turn": (turn + 1) % 3,
            "x0": jnp.where(turn == 0, here, memory["x0"]),
            "fallback": _where(trial, after, memory["fallback"]),
            "value": jnp.where(trial, value, memory["value"]),
        }
        return memory, onward, counts


def _far(x0: Vector, x1: Vector, x2: Vector, model: Model) -> Float[AnyArray, " n"]:
    """Extrapolation of two steps x0 → x1 → x2, within the bounds."""
    low, high = free_bounds(model)
    r, v = x1 - x0, x2 - 2.0 * x1 + x0
    second_difference = jnp.sqrt(jnp.sum(v * v))
    length = jnp.where(
        second_difference > 0.0, jnp.sqrt(jnp.sum(r * r)) / jnp.maximum(second_difference, 1e-300), 1.0
    )
    length = jnp.maximum(length, 1.0)
    return jnp.clip(x0 + 2.0 * length * r + length * length * v, low, high)


def _where(condition: Bool[Array, ""], yes: Model, no: Model) -> Model:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
