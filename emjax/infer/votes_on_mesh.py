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
        return _everywhere(self.mesh, _added(part, self.mesh), (self.value, self.layout), args, summed=True)


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
        return _everywhere(self.mesh, _added(part, self.mesh), (self.layout,), args, summed=True)

    def hold(self, make: Part, *args: Any) -> HeldThere:
        """Compute `make(layout, *args)` for every user, where the user is."""
        return HeldThere(
            _everywhere(self.mesh, make, (self.layout,), args, summed=False), self.layout, self.mesh
        )

    def loop(self, going: Part, step: Part, state: Any) -> Any:
        """`jax.lax.while_loop`."""
        return jax.lax.while_loop(going, step, state)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`, compiled for all devices; what comes back is the same on all."""
        program = compiled(function, tuple(options), small=self.small)
        found = program(self, *jax.tree.map(_here, args), **options)
        return jax.tree.map(_here, found)


def spread(parts: Sequence[Cells], index: Any, n_users: float, mesh: Mesh, nodes: int) -> Spread:
    """Put one set of cells on each device of this process, all laid out alike."""
    several = jax.process_count() > 1
    layouts = [layout for layout, _ in lay_out_alike(parts, _agreed if several else lambda sizes: sizes)]
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def stacked(*leaves: Any) -> Any:
        mine = np.stack([np.asarray(leaf) for leaf in leaves])
        return jax.make_array_from_process_local_data(rows, mine)

    outcomes = parts[0].counts.shape[1]
    layout = jax.tree.map(stacked, *layouts)
    small = is_small(layout.multiplicity.shape[1], nodes)
    return Spread(layout, jax.tree.map(np.asarray, index), np.asarray(float(n_users)), mesh, outcomes, small)


def _agreed(sizes: np.ndarray) -> np.ndarray:
    """The largest sizes that any process asks for."""
    longest = int(multihost_utils.process_allgather(np.array([len(sizes)])).max())
    padded = np.zeros(longest, np.int64)
    padded[: len(sizes)] = sizes
    return np.asarray(multihost_utils.process_allgather(padded)).reshape(-1, longest).max(axis=0)


def _added(part: Part, mesh: Mesh) -> Part:
    return lambda *args: jax.tree.map(lambda x: jax.lax.psum(x, mesh.axis_names), part(*args))


def _everywhere(mesh: Mesh, function: Part, held: Sequence[Any], args: Sequence[Any], *, summed: bool) -> Any:
    """Call a function on each device with its part of `held`, and with `args`, which are the same on all."""
    rows, same = PartitionSpec(mesh.axis_names), PartitionSpec()

    @partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(rows, same),
        out_specs=same if summed else rows,
        check_vma=False,
    )
    def one(held: Sequence[Any], args: Sequence[Any]) -> Any:
        found = function(*jax.tree.map(lambda x: x[0], tuple(held)), *args)
        return found if summed else jax.tree.map(lambda x: x[None], found)

    return one(tuple(held), tuple(args))


def _here(x: Any) -> Any:
    """An array of this process alone: it has a copy of what is the same on all devices."""
    return np.asarray(x.addressable_data(0)) if isinstance(x, jax.Array) else x
