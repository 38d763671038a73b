"""Derivatives of the table of log-probabilities in a behavior's few numbers, however many slopes it has."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from emjax.model.pytree import replace
from emjax.model.response import Behavior


class Moves(NamedTuple):
    """The few numbers that move entries of the table, and how they move with a behavior's coordinates.

    Entries of comparison c depend on slopes through one number alone, its log-odds offset z_c·β. So the
    derivative in slope d is z_cd times that in the offset, and all offsets are moved together.

    Attributes
    ----------
    at : the behavior at other values of the few numbers
    start : (F,) their values
    spread : (B, F, C), or None
        Derivative of each number in each coordinate, by comparison; None where the two are the same.
    """

    at: Callable[[Any], Behavior]
    start: Any
    spread: Any

    def first_derivatives(self, by_number: Any) -> Any:
        """(B, C, ...) derivatives in the coordinates from those in the numbers, (F, C, ...)."""
        if self.spread is None:
            return by_number
        return jnp.einsum("xfc,fc...->xc...", self.spread, by_number)

    def second_derivatives(self, by_number: Any) -> Any:
        """(B, B) sum over comparisons of second derivatives, from (F, F, C)."""
        if self.spread is None:
            return jnp.sum(by_number, axis=2)
        return jnp.einsum("xac,abc,ybc->xy", self.spread, by_number, self.spread)


def moves(behavior: Behavior) -> Moves:
    """What moves the table at a behavior, for the comparisons it is arranged for."""
    x = jnp.asarray(behavior.coordinates(), jnp.float64)
    if behavior.features is None:
        return Moves(behavior.at, x, None)
    rows = jnp.asarray(behavior.features.rows)
    count, n_slopes = rows.shape
    n_own = x.shape[0] - n_slopes
    offset = {
        "rows": jnp.concatenate([rows, jnp.ones((count, 1))], axis=1),
        "slopes": jnp.append(jnp.asarray(behavior.features.slopes), 0.0),
    }
    movable = replace(behavior, features=replace(behavior.features, **offset))

    def at(numbers: Any) -> Behavior:
        return movable.at(jnp.concatenate([numbers[:n_own], x[n_own:], numbers[n_own:]]))

    spread = jnp.zeros((n_own + n_slopes, n_own + 1, count))
    own = jnp.arange(n_own)
    spread = spread.at[own, own].set(1.0).at[n_own:, n_own].set(rows.T)
    return Moves(at, jnp.concatenate([x[:n_own], jnp.zeros(1)]), spread)
