"""Counts put on the device: which layout, how long its lists, how large its blocks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from emjax.infer.layout import Dense, Layout, Sparse
from emjax.votes.cells import Cells

_BLOCK = 512  # rows handled together where memory per row is large
_NEAR = 4096  # rows whose posteriors stay in a processor's cache while their votes are gathered
_LENGTHS = np.sort([1, 2, 4, 8, 16, 24, 40, 56, *(w << i for i in range(5, 30) for w in (1, 3))])
_GROUPS = 4  # lengths of list at most, each compiled on its own
_WORTH = 200_000  # entries that another length has to save, to be worth compiling
_WIDTHS = (1, 2, 4, 8, 16, 32)

Agree = Callable[[np.ndarray], np.ndarray]


class _Terms(NamedTuple):
    """Votes as a list (row, term, votes), sorted by row; and the rows' lengths and multiplicities."""

    row: np.ndarray
    term: np.ndarray
    votes: np.ndarray
    lengths: np.ndarray
    multiplicity: np.ndarray


class _Sizes(NamedTuple):
    """Shapes of a sparse layout: lists of `lengths`, in so many (blocks, rows), and the chunks' width."""

    lengths: np.ndarray
    blocks: np.ndarray
    width: int
    chunks: int


def lay_out(cells: Cells) -> tuple[Layout, np.ndarray]:
    """Put cells on the device; also says at which row of the layout each user's cell lies (m,).

    Rows are padded with multiplicity zero to a few sizes, so that compiled code is reused.
    """
    ((layout, place),) = lay_out_alike([cells])
    return layout, place[cells.of_user]


def lay_out_alike(
    parts: Sequence[Cells], agree: Agree = lambda sizes: sizes, *, dense: bool | None = None
) -> list[tuple[Layout, np.ndarray]]:
    """Layouts of one shape for several sets of cells, each with the row at which every cell lies.

    `agree` takes sizes (n,) to the largest that anybody asks for: the identity, unless other processes hold
    parts too. `dense` says which layout; by default, the one that takes less room.
    """
    n_terms = parts[0].counts.shape[1] * parts[0].n_comparisons
    listed = [_terms(cells) for cells in parts]
    rows, entries = agree(np.array([sum(len(x.lengths) for x in listed), sum(len(x.row) for x in listed)]))
    if dense is None:
        dense = bool(n_terms <= 8 or rows * n_terms <= 4 * max(entries, 1))
    if dense:
        blocks = agree(np.array(_padded(max(len(x.lengths) for x in listed)))).tolist()
        return [(_dense(x, n_terms, *blocks), np.arange(len(x.lengths))) for x in listed]
    sizes = _sizes(listed, n_terms, agree)
    return [_sparse(x, n_terms, sizes) for x in listed]


def _terms(cells: Cells) -> _Terms:
    row = np.repeat(np.arange(cells.n_cells), np.diff(cells.indptr))
    outcomes = cells.counts.shape[1]
    terms = outcomes * cells.comparison[:, None] + np.arange(outcomes)
    seen = cells.counts > 0
    row = np.broadcast_to(row[:, None], seen.shape)[seen]
    lengths = np.bincount(row, minlength=cells.n_cells)
    return _Terms(row, terms[seen], cells.counts[seen], lengths, cells.multiplicity)


def _padded(n_rows: int) -> tuple[int, int]:
    """Blocks and rows per block: a power of two up to one block, then up to an eighth more than needed."""
    if n_rows <= _BLOCK:
        return 1, max(64, 1 << (n_rows - 1).bit_length())
    return _roomy(-(-n_rows // _BLOCK)), _BLOCK


def _roomy(n: int) -> int:
    """At least n, and at most an eighth more: one of few sizes, so that compiled code is reused."""
    step = 1 << max(n.bit_length() - 4, 0)
    return -(-n // step) * step


def _dense(x: _Terms, n_terms: int, blocks: int, rows: int) -> Dense:
    counts = np.zeros((blocks * rows, n_terms))
    counts[x.row, x.term] = x.votes
    multiplicity = np.zeros(blocks * rows)
    multiplicity[: len(x.multiplicity)] = x.multiplicity
    return Dense(jnp.asarray(counts.reshape(blocks, rows, -1)), jnp.asarray(multiplicity))


def _sizes(listed: Sequence[_Terms], n_terms: int, agree: Agree) -> _Sizes:
    longest = int(agree(np.array([max(x.lengths.max(initial=1) for x in listed)]))[0])
    rungs = _LENGTHS[: np.searchsorted(_LENGTHS, longest) + 1]
    rows = agree(np.max([_histogram(x.lengths, rungs) for x in listed], axis=0))
    lengths = _few_lengths(rungs, rows)
    wanted = agree(np.max([_histogram(x.lengths, lengths) for x in listed], axis=0))
    blocks = np.array([_padded(max(int(n), 1)) for n in wanted])
    backs = [_back(x, _places(x.lengths, lengths, blocks), n_terms)[2] for x in listed]
    width = min(_WIDTHS, key=lambda w: max(((w + 2) * -(-back // w)).sum() for back in backs))
    width = int(agree(np.array([width]))[0])
    chunks = int(agree(np.array([max((-(-back // width)).sum() for back in backs)]))[0])
    return _Sizes(lengths, blocks, width, _roomy(max(chunks, 1)))


def _histogram(lengths: np.ndarray, rungs: np.ndarray) -> np.ndarray:
    """How many lists need each rung: the shortest that holds them."""
    return np.bincount(np.searchsorted(rungs, lengths), minlength=len(rungs))


def _few_lengths(rungs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The few lengths that waste least: the best way to cut the ladder, by dynamic programming."""
    below = np.concatenate([[0], np.cumsum(rows)])
    best, cut = {(0, 0): 0.0}, {}
    for used in range(1, _GROUPS + 1):
        for last in range(1, len(rungs) + 1):
            costs = {
                first: best[first, used - 1] + float(rungs[last - 1]) * (below[last] - below[first]) + _WORTH
                for first in range(last)
                if (first, used - 1) in best
            }
            if costs:
                cut[last, used] = min(costs, key=lambda first: costs[first])
                best[last, used] = costs[cut[last, used]]
    last, used = min((key for key in best if key[0] == len(rungs)), key=lambda key: best[key])
    chosen = []
    while last:
        chosen.append(rungs[last - 1])
        last, used = cut[last, used], used - 1
    return np.array(chosen[::-1])


def _places(lengths: np.ndarray, chosen: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """The row of the layout at which each list lies: those of one chosen length follow one another."""
    group = np.searchsorted(chosen, lengths)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=len(chosen))
    room = blocks.prod(axis=1)
    place = np.empty(len(lengths), np.int64)
    place[order] = np.arange(len(lengths)) + np.repeat(
        np.cumsum(room) - room - (np.cumsum(sizes) - sizes), sizes
    )
    return place


def _back(x: _Terms, place: np.ndarray, n_terms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The votes as (row, count) sorted by (stretch of near rows, term), and how many each such pair has."""
    rows = place[x.row]
    n_stretches = int(place.max(initial=0)) // _NEAR + 1
    key = (rows // _NEAR) * n_terms + x.term
    shape = (int(place.max(initial=0)) + 1, n_stretches * n_terms)
    order = np.argsort(place, kind="stable")
    starts = np.zeros(shape[0] + 1, np.int64)
    starts[place + 1] = x.lengths
    starts = np.cumsum(starts)
    if not np.array_equal(order, np.arange(len(order))):
        sorted_rows = np.argsort(rows, kind="stable")
        rows, key, count = rows[sorted_rows], key[sorted_rows], x.votes[sorted_rows]
    else:
        count = x.votes
    turned = csr_array((count, key, starts), shape=shape).tocsc()  # linear in the number of votes
    return turned.indices, turned.data, np.diff(turned.indptr)


def _sparse(x: _Terms, n_terms: int, sizes: _Sizes) -> tuple[Sparse, np.ndarray]:
    place = _places(x.lengths, sizes.lengths, sizes.blocks)
    room = sizes.blocks.prod(axis=1)
    small = np.int16 if n_terms < 1 << 15 else np.int32
    real = np.float32 if np.array_equal(x.votes.astype(np.float32), x.votes) else np.float64
    group = np.searchsorted(sizes.lengths, x.lengths)[x.row]
    within = np.arange(len(x.row)) - np.repeat(np.cumsum(x.lengths) - x.lengths, x.lengths)
    terms, counts = [], []
    for i, (length, shape) in enumerate(zip(sizes.lengths, sizes.blocks, strict=True)):
        mine = slice(None) if len(sizes.lengths) == 1 else np.flatnonzero(group == i)
        at = place[x.row[mine]] - room[:i].sum(), within[mine]
        term, count = np.zeros((room[i], length), small), np.zeros((room[i], length), real)
        term[at], count[at] = x.term[mine], x.votes[mine]
        terms.append(jnp.asarray(term.reshape(*shape, length)))
        counts.append(jnp.asarray(count.reshape(*shape, length)))
    multiplicity = np.zeros(room.sum())
    multiplicity[place] = x.multiplicity

    rows, back, many = _back(x, place, n_terms)
    chunks = -(-many // sizes.width)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
    chunk = np.repeat(np.cumsum(chunks) - chunks, many) + within // sizes.width
    # What pads a chunk is a row near the others, counted zero times.
    owner = np.repeat(np.arange(len(many)), chunks)
    row = np.zeros((sizes.chunks, sizes.width), np.int32)
    row[: len(owner)] = (owner // n_terms * _NEAR)[:, None]
    back_count = np.zeros(row.shape, real)
    row[chunk, within % sizes.width], back_count[chunk, within % sizes.width] = rows, back
    back_term = np.zeros(sizes.chunks, np.int32)
    back_term[: len(owner)] = owner % n_terms
    layout = Sparse(
        tuple(terms),
        tuple(counts),
        jnp.asarray(multiplicity),
        jnp.asarray(row),
        jnp.asarray(back_count),
        jnp.asarray(back_term),
        n_terms,
    )
    return layout, place
