"""Votes as a graph of users and items, for strengths that are latent: one edge per user and item."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.data.preferences import Preferences
from emjax.infer.count_layout import rounded_size
from emjax.model.array_namespace import AnyArray
from emjax.model.capabilities import check_together, parts_of_votes
from emjax.model.pytree import record, static

FEW_KINDS = 8  # up to this many are looped over
_SMALL = 1 << 10  # up to this many items, or pairs, are padded to a power of two
_BLOCK = 1 << 15  # edges processed together; with more kinds fewer, because each edge then has its table


@record
class Graph:
    """Edges in blocks, sorted by user; the last blocks are padded with edges of no user and no item.

    A *kind* is a response pattern, the votes of one user on one item: a row of `counts`. A *pair* is two
    models, of which an item is one pair of answers. Items and pairs are padded to one of few sizes, so that
    compiled code is reused: an item without votes, and a pair without items, add nothing to any sum.
    """

    user: Int[Array, "blocks size"]
    item: Int[Array, "blocks size"]
    kind: Int[Array, "blocks size"]
    counts: Float[AnyArray, "kinds outcomes"]
    pair: Int[Array, " items_and_nothing"]
    pairs: Int[Array, "pairs two"]
    n_users: int = static()
    n_items: int = static()

    def loop(self, going: Any, step: Any, state: Any) -> Any:
        """A plain loop: its steps are compiled, and decide on the host how to go on."""
        while going(state):
            state = step(state)
        return state

    def run(self, function: Any, *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`."""
        return function(self, *args, **options)


def graph(prefs: Preferences, index: np.ndarray) -> Graph:
    """The edges of `prefs`, whose comparisons are the items, with the two models of each (C, 2).

    Call it in double precision.
    """
    check_together(["PerItem", *parts_of_votes(prefs)])
    counts, kind = np.unique(prefs.counts, axis=0, return_inverse=True)
    pairs, pair = np.unique(index, axis=0, return_inverse=True)
    n, n_items = len(prefs.user), _size(prefs.n_comparisons)
    size = min(_BLOCK if len(counts) <= FEW_KINDS else _BLOCK >> 3, 1 << max(n - 1, 1).bit_length())
    blocks = rounded_size(-(-n // size), False)

    def in_blocks(values: np.ndarray, nothing: int) -> Int[Array, "blocks size"]:
        filled = np.full(blocks * size, nothing, dtype=np.int32)
        filled[:n] = values.ravel()
        return jnp.asarray(filled.reshape(blocks, size))

    return Graph(
        user=in_blocks(prefs.user, prefs.n_users),
        item=in_blocks(prefs.comparison, n_items),
        kind=in_blocks(kind, 0),
        counts=jnp.asarray(counts),
        pair=jnp.asarray(np.pad(pair.ravel(), (0, n_items + 1 - len(pair))).astype(np.int32)),
        pairs=jnp.asarray(np.pad(pairs, ((0, _size(len(pairs)) - len(pairs)), (0, 0)))),
        n_users=prefs.n_users,
        n_items=n_items,
    )


def _size(n: int) -> int:
    return rounded_size(n, n <= _SMALL)
