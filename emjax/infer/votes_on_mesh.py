"""Users over the devices of a mesh, of one process or of many: each sums over its own, and all add up."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from emjax.data.response_patterns import Cells
from emjax.infer.count_layout import lay_out_alike
from emjax.infer.votes_on_device import Part, compiled, is_small
from emjax.model.pytree import record, static


@record
class HeldThere:
    """`Held` on the devices of a mesh."""

    value: Any
    layout: Any
    mesh: Mesh = static()

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(value, layout, *args)`."""
        return on_devices(self.mesh, _only_sums(part), (self.value, self.layout), args)[1]


@record
class Spread:
    """Votes whose users are spread over a mesh: the leaves of `layout` have an axis of devices first."""

    layout: Any
    index: Any
    n_users: Any
    mesh: Mesh = static()
    n_outcomes: int = static(default=2)
    small: bool = static(default=True)  # whether programs take longer to compile than to run

    @property
    def n_rows(self) -> None:
        """Rows are on several devices."""

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(layout, *args)`."""
        return on_devices(self.mesh, _only_sums(part), (self.layout,), args)[1]

    def hold(self, make: Part, *args: Any) -> HeldThere:
        """Compute `make(layout, *args)` for every user, where the user is."""
        kept, _ = on_devices(self.mesh, _without_sums(make), (self.layout,), args)
        return self.holding(kept)

    def holding(self, value: Any) -> HeldThere:
        """What is known of every user, on the user's device, as something held."""
        return HeldThere(value, self.layout, self.mesh)

    def loop(self, going: Part, step: Part, state: Any) -> Any:
        """`jax.lax.while_loop`."""
        return jax.lax.while_loop(going, step, state)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`, compiled for all devices; what comes back is the same on all."""
        program = compiled(function, tuple(options), small=self.small)
        return on_host(program(self, *on_host(args), **options))


def spread(
    parts: Sequence[Cells], index: Any, n_users: float, mesh: Mesh, nodes: int
) -> tuple[Spread, list[np.ndarray]]:
    """Put one set of cells on each device of this process, all laid out alike; and the row of each cell."""
    placed = lay_out_alike(parts, agreed)
    layout = on_each(mesh, [layout for layout, _ in placed])
    small = is_small(layout.multiplicity.shape[1], nodes)
    number, outcomes = np.asarray(float(n_users)), parts[0].counts.shape[1]
    votes = Spread(layout, jax.tree.map(np.asarray, index), number, mesh, outcomes, small)
    return votes, [rows for _, rows in placed]


def agreed(sizes: np.ndarray) -> np.ndarray:
    """The largest sizes that any process asks for."""
    if jax.process_count() == 1:
        return sizes
    longest = int(multihost_utils.process_allgather(np.array([len(sizes)])).max())
    padded = np.zeros(longest, np.int64)
    padded[: len(sizes)] = sizes
    return np.asarray(multihost_utils.process_allgather(padded)).reshape(-1, longest).max(axis=0)


def devices_here(mesh: Mesh) -> list[int]:
    """The places on the mesh of the devices of this process."""
    own = jax.process_index()
    return [i for i, device in enumerate(mesh.devices.flat) if device.process_index == own]


def on_each(mesh: Mesh, parts: Sequence[Any]) -> Any:
    """Put one of several pytrees of equal shapes on each device of this process; leaves get an axis first."""
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def stacked(*leaves: Any) -> Any:
        mine = np.stack([np.asarray(leaf) for leaf in leaves])
        return jax.make_array_from_process_local_data(rows, mine)

    return jax.tree.map(stacked, *parts)


def on_devices(mesh: Mesh, part: Part, held: Sequence[Any], args: Sequence[Any]) -> tuple[Any, Any]:
    """Call `part` on each device with its share of `held`, and with `args`, which are the same on all.

    It returns two pytrees: what stays on the device, and what is added up over all devices.
    """
    rows, same = PartitionSpec(mesh.axis_names), PartitionSpec()

    @partial(jax.shard_map, mesh=mesh, in_specs=(rows, same), out_specs=(rows, same), check_vma=False)
    def one(held: Sequence[Any], args: Sequence[Any]) -> tuple[Any, Any]:
        kept, sums = part(*jax.tree.map(lambda x: x[0], tuple(held)), *args)
        total = jax.tree.map(lambda x: jax.lax.psum(x, mesh.axis_names), sums)
        return jax.tree.map(lambda x: x[None], kept), total

    return one(tuple(held), tuple(args))


def _only_sums(part: Part) -> Part:
    return lambda *args: ((), part(*args))


def _without_sums(make: Part) -> Part:
    return lambda *args: (make(*args), ())


def on_host(tree: Any) -> Any:
    """Arrays that are the same on all devices as NumPy arrays of this process; the others as they are."""
    return jax.tree.map(_here, tree)


def _here(x: Any) -> Any:
    same = isinstance(x, jax.Array) and x.is_fully_replicated
    return np.asarray(x.addressable_data(0)) if same else x
