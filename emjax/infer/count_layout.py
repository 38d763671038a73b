"""How the counts lie in device memory: dense for few comparisons, lists of votes for many; and the way there.

Both layouts give the same two products with the table of log-probabilities, users × nodes and back, and
never hold an array of users × votes × nodes. A *term* is one (comparison, outcome) pair: k = c·O + o.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array

from emjax.data.response_patterns import Cells
from emjax.infer.strength_scores import Scores
from emjax.model.array_namespace import AnyArray
from emjax.model.design import Design
from emjax.model.pytree import record, static

_UNROLLED = 64  # terms of a row that are added up in one fused pass; longer lists in parts of half as many
_SHORT = 1 << 18  # entries up to which a shorter program, quicker to compile, is the better one
_FEW = 8  # what _UNROLLED is then
_SCATTER = 200  # what adding one number at a place costs, in multiplications
_SMALL = 1 << 15  # entries up to which compiling takes far longer than computing: few shapes


@record
class Dense:
    """Counts as one matrix, rows × terms, in blocks."""

    counts: Float[AnyArray, "blocks rows terms"]
    multiplicity: Float[AnyArray, " all_rows"]

    def forward(self, table: Float[AnyArray, "terms nodes"]) -> Float[AnyArray, "all_rows nodes"]:
        """Σ_k n_jk T[k, g] for every row."""
        return self.counts.reshape(-1, self.counts.shape[2]) @ table

    def transposed(self, rows: Float[AnyArray, "all_rows nodes"]) -> Float[AnyArray, "terms nodes"]:
        """Σ_j n_jk rows[j, g] for every term."""
        return self.counts.reshape(-1, self.counts.shape[2]).T @ rows

    def blocks(self) -> list[tuple[Any, Float[AnyArray, "blocks rows"]]]:
        """What to scan over, part after part: blocks for `forward_block`, and their multiplicities."""
        return [(self.counts, self.multiplicity.reshape(self.counts.shape[:2]))]

    def forward_block(self, block: Any, table: Float[AnyArray, "terms wide"]) -> Float[AnyArray, "rows wide"]:
        """`forward`, for the rows of one block."""
        return block @ table

    def scores_block(self, block: Any, slopes: Float[AnyArray, "terms nodes"], design: Design) -> Scores:
        """Σ_k n_jk slopes[k, g], separately for the strength coordinates that term k depends on."""
        rows = jnp.arange(design.offset.shape[0])[:, None]
        matrix = jnp.zeros((rows.shape[0], design.size))
        matrix = matrix.at[rows, design.columns].add(design.values) if design.size else matrix
        matrix = jnp.repeat(matrix, slopes.shape[0] // rows.shape[0], axis=0)
        return Scores(jnp.einsum("rk,kp,kg->rpg", block, matrix, slopes), None, design.size)


@record
class Sparse:
    """Each row's terms as a list, rows of like length together; and the same the other way round.

    Every product is a gather fused with a weighted sum over a short, unrolled axis. On the way back the
    lists of a term are cut in chunks of rows that lie near one another, whose sums a scatter adds up: few
    enough not to matter.
    """

    term: tuple[Int[Array, "_blocks _rows _length"], ...]
    count: tuple[Float[AnyArray, "_blocks _rows _length"], ...]
    multiplicity: Float[AnyArray, " all_rows"]
    row: Int[Array, "chunks width"]
    back_count: Float[AnyArray, "chunks width"]
    back_term: Int[Array, " chunks"]
    n_terms: int = static(default=0)
    unrolled: int = static(default=_UNROLLED)

    def forward(self, table: Float[AnyArray, "terms nodes"]) -> Float[AnyArray, "all_rows nodes"]:
        """Σ_k n_jk T[k, g] for every row."""
        parts = [self._forward(term, count, table) for (term, count), _ in self.blocks()]
        return jnp.concatenate(parts, axis=0) if len(parts) > 1 else parts[0]

    def _forward(self, term: Any, count: Any, table: Any) -> Float[AnyArray, "part_rows nodes"]:
        if jax.default_backend() == "cpu":
            # A loop's results are stored. Otherwise XLA would compute a row again for each of its uses.
            blocks = jax.lax.map(lambda block: self.forward_block(block, table), (term, count))
            return blocks.reshape(-1, table.shape[1])
        flat = self.forward_block((term.reshape(-1, term.shape[2]), count.reshape(-1, count.shape[2])), table)
        return jax.lax.optimization_barrier(flat)

    def transposed(self, rows: Float[AnyArray, "all_rows nodes"]) -> Float[AnyArray, "terms nodes"]:
        """Σ_j n_jk rows[j, g] for every term."""
        sums = _gather_sum(self.row, self.back_count, rows, self.unrolled)
        return jax.ops.segment_sum(sums, self.back_term, self.n_terms)

    def blocks(self) -> list[tuple[Any, Float[AnyArray, "blocks rows"]]]:
        """What to scan over, part after part: blocks for `forward_block`, and their multiplicities."""
        parts, first = [], 0
        for term, count in zip(self.term, self.count, strict=True):
            shape = term.shape[:2]
            own = self.multiplicity[first : first + shape[0] * shape[1]]
            parts.append(((term, count), own.reshape(shape)))
            first += own.size
        return parts

    def forward_block(self, block: Any, table: Float[AnyArray, "terms wide"]) -> Float[AnyArray, "rows wide"]:
        """`forward`, for the rows of one block."""
        term, count = block
        return _gather_sum(term, count, table, self.unrolled)

    def scores_block(self, block: Any, slopes: Float[AnyArray, "terms nodes"], design: Design) -> Scores:
        """Σ_k n_jk slopes[k, g], separately for the strength coordinates that term k depends on.

        As a list for every row, unless their products take longer than those of all coordinates.
        """
        term, count = block
        n, parts = term.shape[0], design.columns.shape[1]
        outcomes = self.n_terms // design.offset.shape[0]
        comparison = term // jnp.asarray(outcomes, term.dtype)
        scaled = count.astype(slopes.dtype)[:, :, None] * slopes[term]
        moved = [design.values[comparison, i][:, :, None] * scaled for i in range(parts)]
        place = [jnp.asarray(design.columns, jnp.int64)[comparison, i] for i in range(parts)]
        nodes, entries = slopes.shape[1], parts * term.shape[1]
        if parts and design.size**2 * nodes > entries**2 * (nodes + _SCATTER):
            return Scores(jnp.concatenate(moved, axis=1), jnp.concatenate(place, axis=1), design.size)
        scores, rows = jnp.zeros((n, design.size, slopes.shape[1])), jnp.arange(n)[:, None]
        for at, values in zip(place, moved, strict=True):
            scores = scores.at[rows, at].add(values)
        return Scores(scores, None, design.size)


Layout = Dense | Sparse


def _gather_sum(
    index: Int[Array, "n length"],
    weight: Float[AnyArray, "n length"],
    table: Float[AnyArray, "rows nodes"],
    unrolled: int,
) -> Float[AnyArray, "n nodes"]:
    """Σ_l weight[n, l]·table[index[n, l]]: unrolled, so that XLA fuses it into one pass."""
    length = index.shape[1]
    weight = weight.astype(table.dtype)
    if length > unrolled:
        parts = tuple(x.reshape(len(x), -1, unrolled // 2).swapaxes(0, 1) for x in (index, weight))
        start = jnp.zeros((index.shape[0], table.shape[1]), table.dtype)
        return jax.lax.scan(
            lambda total, part: (total + _gather_sum(part[0], part[1], table, unrolled), None), start, parts
        )[0]
    total = weight[:, 0, None] * table[index[:, 0]]
    for i in range(1, length):
        total = total + weight[:, i, None] * table[index[:, i]]
    return total


_BLOCK = 512  # rows processed together where memory per row is large
_NEAR = 4096  # rows whose posteriors stay in a processor's cache while their votes are gathered
_LENGTHS = np.sort([1, 2, 4, 8, 16, 24, 40, 56, *(w << i for i in range(5, 30) for w in (1, 3))])
_FEW_LENGTHS = _FEW << np.arange(30)
_GROUPS = 4  # lengths of list at most, each compiled on its own
_WORTH = 200_000  # entries that another length has to save, to be worth compiling
_WIDTHS = (1, 2, 4, 8, 16, 32)
_FEW_WIDTHS = (2, 8, 32)

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
    unrolled: int


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

    `agree` takes sizes (n,) to the largest of all processes: the identity, unless other processes hold parts
    too. `dense` says which layout; by default, the one that takes less memory, and where there are few votes
    the one whose programs are compiled and run in less time.
    """
    n_terms = parts[0].counts.shape[1] * parts[0].n_comparisons
    listed = [_terms(cells) for cells in parts]
    rows, entries = agree(np.array([sum(len(x.lengths) for x in listed), sum(len(x.row) for x in listed)]))
    small = bool(entries <= _SMALL)
    if dense is None:
        dense = bool(n_terms <= 8 or rows * n_terms <= (12 if small else 4) * max(entries, 1))
    if dense:
        blocks = agree(np.array(_padded(max(len(x.lengths) for x in listed), small))).tolist()
        return [(_dense(x, n_terms, *blocks), np.arange(len(x.lengths))) for x in listed]
    sizes = _sizes(listed, n_terms, agree, small)
    return [_sparse(x, n_terms, sizes) for x in listed]


def _terms(cells: Cells) -> _Terms:
    row = np.repeat(np.arange(cells.n_cells), np.diff(cells.indptr))
    outcomes = cells.counts.shape[1]
    terms = outcomes * cells.comparison[:, None] + np.arange(outcomes)
    present = cells.counts > 0
    row = np.broadcast_to(row[:, None], present.shape)[present]
    lengths = np.bincount(row, minlength=cells.n_cells)
    return _Terms(row, terms[present], cells.counts[present], lengths, cells.multiplicity)


def _padded(n_rows: int, small: bool) -> tuple[int, int]:
    """Blocks and rows per block: a power of two up to one block, then a rounded number of blocks."""
    if n_rows <= _BLOCK:
        return 1, max(64, 1 << (n_rows - 1).bit_length())
    return rounded_size(-(-n_rows // _BLOCK), small), _BLOCK


def rounded_size(n: int, small: bool) -> int:
    """At least n, and at most an eighth more, or a power of two where there are few votes.

    One of few sizes, so that compiled code is reused: for the folds of a validation, or votes of another day.
    """
    step = 1 << max(n.bit_length() - (1 if small else 4), 0)
    return -(-n // step) * step


def _dense(x: _Terms, n_terms: int, blocks: int, rows: int) -> Dense:
    counts = np.zeros((blocks * rows, n_terms))
    counts[x.row, x.term] = x.votes
    multiplicity = np.zeros(blocks * rows)
    multiplicity[: len(x.multiplicity)] = x.multiplicity
    return Dense(jax.device_put(counts.reshape(blocks, rows, -1)), jax.device_put(multiplicity))


def _sizes(listed: Sequence[_Terms], n_terms: int, agree: Agree, small: bool) -> _Sizes:
    longest = int(agree(np.array([max(x.lengths.max(initial=1) for x in listed)]))[0])
    rungs, widths = (_FEW_LENGTHS, _FEW_WIDTHS) if small else (_LENGTHS, _WIDTHS)
    rungs = rungs[: np.searchsorted(rungs, longest) + 1]
    rows = agree(np.max([_histogram(x.lengths, rungs) for x in listed], axis=0))
    lengths = _few_lengths(rungs, rows)
    wanted = agree(np.max([_histogram(x.lengths, lengths) for x in listed], axis=0))
    blocks = np.array([_padded(max(int(n), 1), small) for n in wanted])
    backs = [_back(x, _places(x.lengths, lengths, blocks), n_terms)[2] for x in listed]
    width = min(widths, key=lambda w: max(((w + 2) * -(-back // w)).sum() for back in backs))
    width = int(agree(np.array([width]))[0])
    chunks = int(agree(np.array([max((-(-back // width)).sum() for back in backs)]))[0])
    unrolled = _FEW if (blocks.prod(axis=1) * lengths).sum() <= _SHORT else _UNROLLED
    return _Sizes(lengths, blocks, width, rounded_size(max(chunks, 1), small), unrolled)


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
    n_rows = blocks.prod(axis=1)
    place = np.empty(len(lengths), np.int64)
    place[order] = np.arange(len(lengths)) + np.repeat(
        np.cumsum(n_rows) - n_rows - (np.cumsum(sizes) - sizes), sizes
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
    n_rows = sizes.blocks.prod(axis=1)
    small = np.int16 if n_terms < 1 << 15 else np.int32
    real = np.float32 if np.array_equal(x.votes.astype(np.float32), x.votes) else np.float64
    group = np.searchsorted(sizes.lengths, x.lengths)[x.row]
    within = np.arange(len(x.row)) - np.repeat(np.cumsum(x.lengths) - x.lengths, x.lengths)
    terms, counts = [], []
    for i, (length, shape) in enumerate(zip(sizes.lengths, sizes.blocks, strict=True)):
        mine = slice(None) if len(sizes.lengths) == 1 else np.flatnonzero(group == i)
        at = place[x.row[mine]] - n_rows[:i].sum(), within[mine]
        term, count = np.zeros((n_rows[i], length), small), np.zeros((n_rows[i], length), real)
        term[at], count[at] = x.term[mine], x.votes[mine]
        terms.append(jax.device_put(term.reshape(*shape, length)))
        counts.append(jax.device_put(count.reshape(*shape, length)))
    multiplicity = np.zeros(n_rows.sum())
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
        jax.device_put(multiplicity),
        jax.device_put(row),
        jax.device_put(back_count),
        jax.device_put(back_term),
        n_terms,
        sizes.unrolled,
    )
    return layout, place
