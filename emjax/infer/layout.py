"""How the counts lie in device memory: dense for few comparisons, chunked lists for many.

Both layouts give the same two products with the table of log-probabilities, users × nodes and back, and
never hold an array of users × votes × nodes. A *term* is one (comparison, outcome) pair: k = c·O + o.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.model.record import record, static
from emjax.votes.cells import Cells

_BLOCK = 512  # rows handled together where memory per row is large
_WIDTHS = (1, 2, 4, 8, 16, 32)


@record
class Dense:
    """Counts as one matrix, rows × terms, in blocks."""

    counts: Float[Array, "blocks rows terms"]
    multiplicity: Float[Array, "blocks rows"]

    def forward(self, table: Float[Array, "terms nodes"]) -> Float[Array, "all_rows nodes"]:
        """Σ_k n_jk T[k, g] for every row."""
        return self.counts.reshape(-1, self.counts.shape[2]) @ table

    def transposed(self, rows: Float[Array, "all_rows nodes"]) -> Float[Array, "terms nodes"]:
        """Σ_j n_jk rows[j, g] for every term."""
        return self.counts.reshape(-1, self.counts.shape[2]).T @ rows

    def blocks(self) -> Any:
        """What `lax.map` walks over; `forward_block` takes one element."""
        return self.counts

    def forward_block(self, block: Any, table: Float[Array, "terms wide"]) -> Float[Array, "rows wide"]:
        """`forward`, for the rows of one block."""
        return block @ table

    def scores_block(
        self,
        block: Any,
        slopes: Float[Array, "terms nodes"],
        columns: Int[Array, "comparisons parts"],
        signs: Float[Array, "comparisons parts"],
        size: int,
    ) -> Float[Array, "rows size nodes"]:
        """Σ_k n_jk slopes[k, g], told apart by the strength coordinates that term k depends on."""
        design = jnp.zeros((columns.shape[0], size))
        if size:
            design = design.at[jnp.arange(columns.shape[0])[:, None], columns].add(signs)
        design = jnp.repeat(design, slopes.shape[0] // columns.shape[0], axis=0)
        return jnp.einsum("rk,kp,kg->rpg", block, design, slopes)


@record
class Sparse:
    """Each row's terms as a list cut in chunks of one width, and the same the other way round.

    Every product is then a gather fused with a weighted sum over a short, unrolled axis, and one small
    sum of sorted segments: no contended scatter.
    """

    term: Int[Array, "blocks chunks width"]
    count: Float[Array, "blocks chunks width"]
    row: Int[Array, "blocks chunks"]
    user: Int[Array, "back_chunks back_width"]
    back_count: Float[Array, "back_chunks back_width"]
    back_term: Int[Array, " back_chunks"]
    multiplicity: Float[Array, "blocks rows"]
    n_terms: int = static(default=0)

    def forward(self, table: Float[Array, "terms nodes"]) -> Float[Array, "all_rows nodes"]:
        """Σ_k n_jk T[k, g] for every row."""
        blocks, rows = self.multiplicity.shape
        width = self.term.shape[2]
        offset = jnp.arange(blocks, dtype=self.row.dtype)[:, None] * rows
        chunks = _gather_sum(self.term.reshape(-1, width), self.count.reshape(-1, width), table)
        return _sorted_sum(chunks, (self.row + offset).reshape(-1), blocks * rows)

    def transposed(self, rows: Float[Array, "all_rows nodes"]) -> Float[Array, "terms nodes"]:
        """Σ_j n_jk rows[j, g] for every term."""
        return _sorted_sum(_gather_sum(self.user, self.back_count, rows), self.back_term, self.n_terms)

    def blocks(self) -> Any:
        """What `lax.map` walks over; `forward_block` takes one element."""
        return self.term, self.count, self.row

    def forward_block(self, block: Any, table: Float[Array, "terms wide"]) -> Float[Array, "rows wide"]:
        """`forward`, for the rows of one block."""
        term, count, row = block
        return _sorted_sum(_gather_sum(term, count, table), row, self.multiplicity.shape[1])

    def scores_block(
        self,
        block: Any,
        slopes: Float[Array, "terms nodes"],
        columns: Int[Array, "comparisons parts"],
        signs: Float[Array, "comparisons parts"],
        size: int,
    ) -> Float[Array, "rows size nodes"]:
        """Σ_k n_jk slopes[k, g], told apart by the strength coordinates that term k depends on."""
        term, count, row = block
        scores = jnp.zeros((self.multiplicity.shape[1], size, slopes.shape[1]))
        if not size:
            return scores
        outcomes = self.n_terms // columns.shape[0]
        comparison = term // jnp.asarray(outcomes, term.dtype)
        seen = count[:, :, None] * slopes[term]
        rows = jnp.broadcast_to(row[:, None], term.shape)
        for i in range(columns.shape[1]):
            moved = signs[comparison, i][:, :, None] * seen
            scores = scores.at[rows, columns[comparison, i]].add(moved)
        return scores


Layout = Dense | Sparse


def lay_out(cells: Cells) -> tuple[Layout, np.ndarray]:
    """Put cells on the device; also says at which row of the layout each user's cell lies (m,).

    Rows are padded with multiplicity zero to a few sizes, so that compiled code is reused.
    """
    n_rows, n_terms = len(cells.multiplicity), 2 * cells.n_comparisons
    row, term, count = _terms(cells)
    if n_terms <= 8 or n_rows * n_terms <= 4 * max(len(term), 1):
        return _dense(cells, row, term, count), cells.of_user
    return _sparse(cells, row, term, count)


def _terms(cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row = np.repeat(np.arange(len(cells.multiplicity)), np.diff(cells.indptr))
    terms = 2 * cells.comparison[:, None] + np.arange(2)
    seen = cells.counts > 0
    return np.broadcast_to(row[:, None], seen.shape)[seen], terms[seen], cells.counts[seen]


def _padded(n_rows: int) -> tuple[int, int]:
    """Blocks and rows per block: a power of two up to one block, then whole blocks."""
    if n_rows <= _BLOCK:
        return 1, max(64, 1 << (n_rows - 1).bit_length())
    return -(-n_rows // _BLOCK), _BLOCK


def _dense(cells: Cells, row: np.ndarray, term: np.ndarray, count: np.ndarray) -> Dense:
    blocks, rows = _padded(len(cells.multiplicity))
    counts = np.zeros((blocks * rows, 2 * cells.n_comparisons))
    counts[row, term] = count
    multiplicity = np.zeros(blocks * rows)
    multiplicity[: len(cells.multiplicity)] = cells.multiplicity
    return Dense(
        jnp.asarray(counts.reshape(blocks, rows, -1)), jnp.asarray(multiplicity.reshape(blocks, rows))
    )


def _sparse(cells: Cells, row: np.ndarray, term: np.ndarray, count: np.ndarray) -> tuple[Sparse, np.ndarray]:
    n_rows = len(cells.multiplicity)
    blocks, rows = _padded(n_rows)
    lengths = np.bincount(row, minlength=n_rows)
    # Long and short rows are dealt out evenly, so that all blocks are about equally full.
    place = np.empty(n_rows, dtype=np.int64)
    place[np.argsort(-lengths, kind="stable")] = _dealt(n_rows, blocks, rows)
    order = np.argsort(place[row], kind="stable")
    term_chunks, count_chunks, chunk_row = _chunked(place[row][order], term[order], count[order])
    multiplicity = np.zeros(blocks * rows)
    multiplicity[place] = cells.multiplicity

    per_block = np.bincount(chunk_row // rows, minlength=blocks)
    room = _roomy(int(per_block.max()))
    slot = np.arange(len(chunk_row)) - np.repeat(np.cumsum(per_block) - per_block, per_block)
    shape = (blocks, room, term_chunks.shape[1])
    block = chunk_row // rows
    terms, counts = np.zeros(shape, np.int32), np.zeros(shape)
    local = np.full(shape[:2], rows - 1, np.int32)
    terms[block, slot], counts[block, slot], local[block, slot] = term_chunks, count_chunks, chunk_row % rows

    back = np.argsort(term, kind="stable")
    users, back_counts, back_terms = _chunked(term[back], place[row][back], count[back])
    spare = _roomy(len(users)) - len(users)
    users, back_counts = (np.pad(x, ((0, spare), (0, 0))) for x in (users, back_counts))
    back_terms = np.pad(back_terms, (0, spare), constant_values=2 * cells.n_comparisons - 1)
    layout = Sparse(
        jnp.asarray(terms),
        jnp.asarray(counts),
        jnp.asarray(local),
        jnp.asarray(users.astype(np.int32)),
        jnp.asarray(back_counts),
        jnp.asarray(back_terms.astype(np.int32)),
        jnp.asarray(multiplicity.reshape(blocks, rows)),
        2 * cells.n_comparisons,
    )
    return layout, place[cells.of_user]


def _roomy(n: int) -> int:
    """At least n, and at most an eighth more: one of few sizes, so that compiled code is reused."""
    step = 1 << max(n.bit_length() - 4, 0)
    return -(-n // step) * step


def _dealt(n_rows: int, blocks: int, rows: int) -> np.ndarray:
    turn, block = np.divmod(np.arange(n_rows), blocks)
    return block * rows + turn


def _chunked(
    owner: np.ndarray, item: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of (item, count), grouped by sorted owner, cut in chunks of the width that wastes least."""
    starts = np.flatnonzero(np.append(True, np.diff(owner) != 0))
    lengths = np.diff(np.append(starts, len(owner)))
    width = min(_WIDTHS, key=lambda w: int(((w + 2) * -(-lengths // w)).sum()))
    chunks = -(-lengths // width)
    first = np.cumsum(chunks) - chunks
    within = np.arange(len(owner)) - np.repeat(starts, lengths)
    chunk = np.repeat(first, lengths) + within // width
    items, counts = np.zeros((chunks.sum(), width), item.dtype), np.zeros((chunks.sum(), width))
    items[chunk, within % width], counts[chunk, within % width] = item, count
    return items, counts, np.repeat(owner[starts], chunks)


def _gather_sum(
    index: Int[Array, "n width"], weight: Float[Array, "n width"], table: Float[Array, "rows nodes"]
) -> Float[Array, "n nodes"]:
    """Σ_l weight[n, l]·table[index[n, l]]: unrolled, so that XLA fuses it into one pass."""
    total = weight[:, 0, None] * table[index[:, 0]]
    for i in range(1, index.shape[1]):
        total = total + weight[:, i, None] * table[index[:, i]]
    return total


def _sorted_sum(
    values: Float[Array, "n nodes"], segment: Int[Array, " n"], count: int
) -> Float[Array, "count nodes"]:
    return jax.ops.segment_sum(values, segment, count, indices_are_sorted=True)
