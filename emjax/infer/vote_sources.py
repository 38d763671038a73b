"""From votes on the host, in whatever form, to what the kernels take on the device."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, cast

import jax
import numpy as np
from jax.sharding import Mesh

from emjax.data.cell_counts import CellCounts
from emjax.data.comparison_table import ComparisonTable
from emjax.data.partition import aligned, divided, joined, table_of_shards
from emjax.data.preferences import Preferences
from emjax.data.read import VotesLike, as_votes
from emjax.data.response_patterns import Cells, distinct
from emjax.data.shards import holds_shards, open_shards
from emjax.errors import FitError, ModelError
from emjax.infer.count_layout import Layout, lay_out
from emjax.infer.votes_on_device import Data, Votes, is_small
from emjax.infer.votes_on_mesh import Spread, devices_here, spread
from emjax.infer.votes_streamed import Shelf, Stream
from emjax.model.design import DesignIndex
from emjax.model.model import Model
from emjax.model.parameters import logit
from emjax.model.prior import Attentiveness
from emjax.model.response import Behavior
from emjax.model.strength import Strength

# Rows × nodes held at once on one device: beyond that the rows come in parts.
_MAX_ELEMENTS = 1 << 28

Source = VotesLike | CellCounts | Iterable[Preferences]


def as_source(caller: str, given: Any) -> Preferences | CellCounts | Iterable[Preferences]:
    """Votes as one object or in shards; a data frame or a path is read as `read_votes` does by default."""
    if isinstance(getattr(given, "table", None), ComparisonTable):
        return given
    if isinstance(given, Iterator):
        raise ModelError(
            f"{caller} goes over shards many times, and these can be gone over only once: give a list, or "
            "emjax.open_shards(folder), in place of a generator."
        )
    if isinstance(given, str | PathLike) and holds_shards(given):
        return open_shards(given)
    if isinstance(given, Iterable) and isinstance(next(iter(given), None), Preferences):
        return given
    return as_votes(caller, given)


def source_type(source: Any) -> str:
    """The name of where votes are, in the table of capabilities."""
    if isinstance(source, Preferences):
        return "votes in memory"
    return "cells" if isinstance(source, CellCounts) else "shards"


def prepare(
    prefs: Preferences, prior: Attentiveness, strength: Strength, behavior: Behavior
) -> tuple[Data, Model, np.ndarray]:
    """Votes and model as the kernels take them, and the row of each user. Call it in double precision."""
    layout, row = lay_out(distinct(prefs))
    index = jax.device_put(design_index(strength, prefs.table))
    small = is_small(len(layout.multiplicity), len(prior.nodes().eta))
    data = Data(layout, index, _number(prefs.n_users), prefs.outcomes.n, small)
    return data, Model(prior, strength.bare(), behavior.on(prefs.table)), row


def prepare_on(
    mesh: Mesh | None, prefs: Preferences, prior: Attentiveness, strength: Strength, behavior: Behavior
) -> tuple[Data | Spread, Model, list[np.ndarray]]:
    """`prepare`, on a mesh where one is given: of each device of this process the row of each user.

    The row is -1 for users whose votes are on another device.
    """
    if mesh is None:
        data, model, row = prepare(prefs, prior, strength, behavior)
        return data, model, [row]
    cells, mine = distinct(prefs), devices_here(mesh)
    parts = divided(cells, mesh.devices.size)
    first = np.cumsum([0, *(part.n_cells for part in parts)])
    index = design_index(strength, prefs.table)
    given = [parts[i] for i in mine], index, prefs.n_users, mesh, len(prior.nodes().eta)
    votes, places = spread(*given)
    rows = np.full((len(mine), cells.n_cells), -1)
    for row, device, place in zip(rows, mine, places, strict=True):
        row[first[device] : first[device + 1]] = place
    return (
        votes,
        Model(prior, strength.bare(), behavior.on(prefs.table)),
        [row[cells.of_user] for row in rows],
    )


def design_index(strength: Strength, table: ComparisonTable) -> DesignIndex:
    """Where the comparisons of these votes find their strengths, and the known ones of anchor votes."""
    accuracy = np.zeros(0) if table.anchor_votes is None else np.asarray(table.anchor_votes.accuracy)
    return DesignIndex(strength.index(table), logit(accuracy))


def _number(users: float) -> jax.Array:
    return jax.device_put(np.float64(users))


@contextmanager
def placed_votes(
    source: Source, table: ComparisonTable, prior: Attentiveness, mesh: Mesh | None
) -> Iterator[Callable[[DesignIndex], Votes]]:
    """Votes on the device, on a mesh, or shard by shard, for any index of strengths.

    Call it in double precision.
    """
    nodes, users, n_outcomes = len(prior.nodes().eta), _number(table.n_users), table.outcomes.n
    if mesh is not None:
        parts = _for_devices(source, table, mesh)
        yield lambda index: spread(parts, index, table.n_users, mesh, nodes)[0]
        return
    cells = _cells(source)
    if cells is not None and cells.n_cells * nodes <= _MAX_ELEMENTS:
        layout, _ = lay_out(cells)
        small = is_small(len(layout.multiplicity), nodes)
        yield lambda index: Data(layout, jax.device_put(index), users, n_outcomes, small)
        return

    def stream(get: Callable[[int], Layout], n_parts: int) -> Callable[[DesignIndex], Votes]:
        return lambda index: Stream(get, n_parts, jax.device_put(index), users, n_outcomes)

    if cells is not None:
        layouts = [lay_out(part)[0] for part in divided(cells, -(-cells.n_cells * nodes // _MAX_ELEMENTS))]
        yield stream(layouts.__getitem__, len(layouts))
        return
    shelf = Shelf()
    try:
        for shard in _shards(source, table):
            shelf.put(lay_out(distinct(shard))[0])
        yield stream(shelf.get, len(shelf))
    finally:
        shelf.close()


def table_of(source: Source) -> ComparisonTable:
    """The comparisons of votes from anywhere, summed over users."""
    table = getattr(source, "table", None)
    if isinstance(table, ComparisonTable):
        return table
    return table_of_shards(cast(Iterable[Preferences], source))


def _cells(source: Source) -> Cells | None:
    if isinstance(source, Preferences):
        return distinct(source)
    return source.cells if isinstance(source, CellCounts) else None


def _shards(source: Source, table: ComparisonTable) -> Iterator[Preferences]:
    assert not isinstance(source, CellCounts | Preferences)
    n_users = 0
    for shard in source:
        n_users += shard.n_users
        yield aligned(shard, table)
    if n_users != table.n_users:
        raise FitError(
            f"The shards held {table.n_users:,} users when they were counted, and {n_users:,} when they "
            f"were read again: leave them alone during a fit."
        )


def _for_devices(source: Source, table: ComparisonTable, mesh: Mesh) -> list[Cells]:
    """The cells of each device of this process."""
    devices, mine = mesh.devices.size, devices_here(mesh)
    cells = _cells(source)
    if cells is not None:
        parts = divided(cells, devices)
        return [parts[i] for i in mine]
    held: dict[int, list[Cells]] = {i: [] for i in mine}
    for number, shard in enumerate(_shards(source, table)):
        if number % devices in held:
            held[number % devices].append(distinct(shard))
    return [joined(parts, table.n_comparisons, table.outcomes.n) for parts in held.values()]
