"""Scores of users in the coordinates of the table: the derivative of their log-likelihood at every node.

A user's score is zero in each strength that is not of a comparison voted in. Where strengths are many, only
the others are kept, as a list with their places: what is summed then costs votes² per user, not strengths².
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.model.array_namespace import AnyArray
from emjax.model.pytree import record, static

_PAIRS = 1 << 20  # products of two scores held at a time


@record
class Scores:
    """Scores s[r, p, g] of rows in coordinates p at nodes g, and sums of their products.

    Attributes
    ----------
    values : (R, L, G)
        The scores, of all coordinates or of those in the list of the row.
    place : (R, L), or None
        The coordinates that they belong to; coordinates may repeat. None where a row has them all.
    size
        How many coordinates there are.
    """

    values: Float[AnyArray, "rows entries nodes"]
    place: Int[Array | np.ndarray, "rows entries"] | None
    size: int = static(default=0)

    def with_common(self, values: Float[AnyArray, "rows more nodes"]) -> "Scores":
        """With further coordinates, of which every row has a score."""
        place, size = self.place, self.size + values.shape[1]
        if place is not None:
            more = jnp.broadcast_to(
                jnp.arange(self.size, size, dtype=place.dtype), (len(place), size - self.size)
            )
            place = jnp.concatenate([place, more], axis=1)
        return Scores(jnp.concatenate([self.values, values], axis=1), place, size)

    def mean(self, posterior: Float[AnyArray, "rows nodes"]) -> Float[AnyArray, "rows entries"]:
        """Σ_g R[r, g] s[r, p, g]."""
        return jnp.einsum("rpg,rg->rp", self.values, posterior)

    def by_node(self, weight: Float[AnyArray, "rows nodes"]) -> Float[AnyArray, "nodes size"]:
        """Σ_r w[r, g] s[r, p, g]."""
        if self.place is None:
            return jnp.einsum("rg,rpg->gp", weight, self.values)
        return self._added(weight[:, None, :] * self.values).T

    def products(
        self, each: Float[AnyArray, "rows entries"], common: Float[AnyArray, "rows more"]
    ) -> Float[AnyArray, "size more"]:
        """Σ_r each[r, p] common[r, d], of numbers that belong to the coordinates as the scores do."""
        if self.place is None:
            return each.T @ common
        return self._added(each[:, :, None] * common[:, None, :])

    def _added(self, each: Float[AnyArray, "rows entries more"]) -> Float[AnyArray, "size more"]:
        place: Any = self.place
        flat = each.reshape(-1, each.shape[2])
        return jnp.zeros((self.size, each.shape[2]), each.dtype).at[place.reshape(-1)].add(flat)

    def second_moments(
        self, weight: Float[AnyArray, "rows nodes"], root: Float[AnyArray, "rows entries"]
    ) -> tuple[Float[AnyArray, "size size"], Float[AnyArray, "size size"]]:
        """Σ_rg w[r, g] s[r, p, g] s[r, q, g], and Σ_r root[r, p] root[r, q]."""
        half = self.values * jnp.sqrt(weight)[:, None, :]
        if self.place is None:
            return jnp.einsum("rpg,rqg->pq", half, half), root.T @ root
        n, size = self.place.shape[1], jnp.asarray(self.size, self.place.dtype)
        first, second = np.triu_indices(n)  # by symmetry, half of the pairs are enough
        own = np.where(first == second, 0.5, 1.0)[None]
        rows = min(max(_PAIRS // (n * n), 1), len(half))  # at a time

        def add(total: Any, part: Any) -> tuple[Any, None]:
            half, root, place = part
            pairs = jnp.einsum("rpg,rqg->rpq", half, half), root[:, :, None] * root[:, None, :]
            flat = (place[:, first] * size + place[:, second]).reshape(-1)
            found = (own * pair[:, first, second] for pair in pairs)
            return tuple(t.at[flat].add(x.reshape(-1)) for t, x in zip(total, found, strict=True)), None

        nothing = jnp.zeros(self.size**2, half.dtype)
        parts = tuple(_in_parts(x, rows) for x in (half, root, self.place))
        total, _ = jax.lax.scan(add, (nothing, nothing), parts)
        square = (x.reshape(self.size, self.size) for x in total)
        complete, outer = (x + x.T for x in square)
        return complete, outer


def _in_parts(x: Any, rows: int) -> Any:
    """An array of rows cut in parts of so many; the last filled up with zeros."""
    missing = -len(x) % rows
    padded = jnp.pad(x, ((0, missing), *((0, 0) for _ in x.shape[1:]))) if missing else x
    return padded.reshape(-1, rows, *x.shape[1:])
