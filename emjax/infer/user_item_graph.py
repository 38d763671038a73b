"""Votes as a graph of users and items, for strengths that are latent: one edge per user and item."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from emjax.data.preferences import Preferences
from emjax.infer.count_layout import Dense, rounded_size
from emjax.infer.votes_on_device import Data
from emjax.infer.votes_on_mesh import Spread, devices_here, on_devices, on_each, on_host
from emjax.model.array_namespace import AnyArray
from emjax.model.capabilities import check_together, parts_of_votes
from emjax.model.design import DesignIndex
from emjax.model.pytree import record, static

FEW_KINDS = 8  # up to this many are looped over
_SMALL = 1 << 10  # up to this many items, or pairs, are padded to a power of two
_BLOCK = 1 << 15  # edges processed together; with more kinds fewer, because each edge then has its table


@record
class Edges:
    """Edges in blocks, sorted by user; the last blocks are padded with edges of no user and no item.

    On a mesh each device has those of its own users, and the leaves have an axis of devices first.
    `multiplicity` is one for each user, and zero for users that pad those of a device.
    """

    user: Int[AnyArray, "*devices blocks size"]
    item: Int[AnyArray, "*devices blocks size"]
    kind: Int[AnyArray, "*devices blocks size"]
    multiplicity: Float[AnyArray, "*devices users"]

    @property
    def n_users(self) -> int:
        """Users of one device."""
        return self.multiplicity.shape[-1]


@record
class Graph:
    """Votes as edges between users and items.

    A *kind* is a response pattern, the votes of one user on one item: a row of `counts`. A *pair* is two
    models, of which an item is one pair of answers. Items and pairs are padded to one of few sizes, so that
    compiled code is reused: an item without votes, and a pair without items, add nothing to any sum.
    """

    edges: Edges
    counts: Float[AnyArray, "kinds outcomes"]
    pair: Int[AnyArray, " items_and_nothing"]
    pairs: Int[AnyArray, "pairs two"]
    n_users: int = static()
    n_items: int = static()
    mesh: Mesh | None = static(default=None)

    def loop(self, going: Any, step: Any, state: Any) -> Any:
        """A plain loop: its steps are compiled, and decide on the host how to go on."""
        while going(state):
            state = step(state)
        return state

    def run(self, function: Any, *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`."""
        return function(self, *args, **options)

    def over_edges(self, part: Any, kept: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        """Call `part(edges, *kept, *args)` where the edges are.

        It returns two pytrees: what stays there, as `kept` did, and what is added up over all devices.
        """
        if self.mesh is None:
            return part(self.edges, *kept, *args)
        return on_devices(self.mesh, part, (self.edges, *kept), args)

    def users(self) -> Data | Spread:
        """Users as votes without any term, to sum over what is known of them."""
        multiplicity, n_users = self.edges.multiplicity, jnp.asarray(float(self.n_users))
        layout = Dense(jnp.zeros((*multiplicity.shape[:-1], 1, multiplicity.shape[-1], 0)), multiplicity)
        index = DesignIndex(jnp.zeros((0, 2), jnp.int64), jnp.zeros(0))
        given = layout, index, n_users
        return Data(*given) if self.mesh is None else Spread(*given, self.mesh)

    def on_host(self, tree: Any) -> Any:
        """On a mesh, arrays that are the same on all devices as arrays of this process."""
        return tree if self.mesh is None else on_host(tree)


def graph(prefs: Preferences, index: np.ndarray, mesh: Mesh | None = None) -> Graph:
    """The edges of `prefs`, whose comparisons are the items, with the two models of each (C, 2).

    On a mesh every device has users with about as many edges. Call it in double precision.
    """
    check_together(["PerItem", *parts_of_votes(prefs)])
    counts, kind = np.unique(prefs.counts, axis=0, return_inverse=True)
    pairs, pair = np.unique(index, axis=0, return_inverse=True)
    n_items, kind = _size(prefs.n_comparisons), kind.ravel()
    n_devices = 1 if mesh is None else mesh.devices.size
    first = _first_edges(prefs.user, n_devices)
    users = np.append(prefs.user, prefs.n_users)[first]  # the first of each device, and their number
    users[0] = 0
    largest, most = int(np.diff(users).max()), int(np.diff(first).max())
    size = min(_BLOCK if len(counts) <= FEW_KINDS else _BLOCK >> 3, 1 << max(most - 1, 1).bit_length())
    blocks = rounded_size(-(-most // size), False)

    def edges_of(device: int) -> Edges:
        mine, n_users = slice(first[device], first[device + 1]), int(users[device + 1] - users[device])

        def in_blocks(values: np.ndarray, nothing: int) -> Int[AnyArray, "blocks size"]:
            filled = np.full(blocks * size, nothing, dtype=np.int32)
            filled[: len(values)] = values
            return filled.reshape(blocks, size)

        return Edges(
            user=in_blocks(prefs.user[mine] - users[device], largest),
            item=in_blocks(prefs.comparison[mine], n_items),
            kind=in_blocks(kind[mine], 0),
            multiplicity=(np.arange(largest) < n_users).astype(np.float64),
        )

    if mesh is None:
        edges, there = jax.tree.map(jnp.asarray, edges_of(0)), jnp.asarray
    else:
        edges, there = on_each(mesh, [edges_of(device) for device in devices_here(mesh)]), np.asarray
    return Graph(
        edges=edges,
        counts=there(counts),
        pair=there(np.pad(pair.ravel(), (0, n_items + 1 - len(pair))).astype(np.int32)),
        pairs=there(np.pad(pairs, ((0, _size(len(pairs)) - len(pairs)), (0, 0)))),
        n_users=prefs.n_users,
        n_items=n_items,
        mesh=mesh,
    )


def _first_edges(user: np.ndarray, n_devices: int) -> np.ndarray:
    """The first edge of each device, and the number of edges: all edges of a user are on one device."""
    starts = np.flatnonzero(np.append(True, user[1:] != user[:-1]))
    wanted = np.linspace(0, len(user), n_devices + 1)[:-1]
    starts = np.append(starts, len(user))
    return np.append(starts[np.searchsorted(starts, wanted)], len(user))


def _size(n: int) -> int:
    return rounded_size(n, n <= _SMALL)
