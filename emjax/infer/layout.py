"""How the counts lie in device memory: dense for few comparisons, lists of votes for many.

Both layouts give the same two products with the table of log-probabilities, users × nodes and back, and
never hold an array of users × votes × nodes. A *term* is one (comparison, outcome) pair: k = c·O + o.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emjax.model.record import record, static

_UNROLLED = 64  # terms of a row that are added up in one fused pass; longer lists in pieces
_PIECE = 32


@record
class Dense:
    """Counts as one matrix, rows × terms, in blocks."""

    counts: Float[Array, "blocks rows terms"]
    multiplicity: Float[Array, " all_rows"]

    def forward(self, table: Float[Array, "terms nodes"]) -> Float[Array, "all_rows nodes"]:
        """Σ_k n_jk T[k, g] for every row."""
        return self.counts.reshape(-1, self.counts.shape[2]) @ table

    def transposed(self, rows: Float[Array, "all_rows nodes"]) -> Float[Array, "terms nodes"]:
        """Σ_j n_jk rows[j, g] for every term."""
        return self.counts.reshape(-1, self.counts.shape[2]).T @ rows

    def blocks(self) -> list[tuple[Any, Float[Array, "blocks rows"]]]:
        """What to scan over, part after part: blocks for `forward_block`, and their multiplicities."""
        return [(self.counts, self.multiplicity.reshape(self.counts.shape[:2]))]

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
    """Each row's terms as a list, rows of like length together; and the same the other way round.

    Every product is a gather fused with a weighted sum over a short, unrolled axis. On the way back the
    lists of a term are cut in chunks of rows that lie near one another, whose sums a scatter adds up: few
    enough not to matter.
    """

    term: tuple[Int[Array, "_blocks _rows _length"], ...]
    count: tuple[Float[Array, "_blocks _rows _length"], ...]
    multiplicity: Float[Array, " all_rows"]
    row: Int[Array, "chunks width"]
    back_count: Float[Array, "chunks width"]
    back_term: Int[Array, " chunks"]
    n_terms: int = static(default=0)

    def forward(self, table: Float[Array, "terms nodes"]) -> Float[Array, "all_rows nodes"]:
        """Σ_k n_jk T[k, g] for every row."""
        parts = [self._forward(term, count, table) for (term, count), _ in self.blocks()]
        return jnp.concatenate(parts, axis=0) if len(parts) > 1 else parts[0]

    def _forward(self, term: Any, count: Any, table: Any) -> Float[Array, "part_rows nodes"]:
        if jax.default_backend() == "cpu":
            # A loop's results are stored. Otherwise XLA would compute a row anew for each of its uses.
            blocks = jax.lax.map(lambda block: _gather_sum(block[0], block[1], table), (term, count))
            return blocks.reshape(-1, table.shape[1])
        flat = _gather_sum(term.reshape(-1, term.shape[2]), count.reshape(-1, count.shape[2]), table)
        return jax.lax.optimization_barrier(flat)

    def transposed(self, rows: Float[Array, "all_rows nodes"]) -> Float[Array, "terms nodes"]:
        """Σ_j n_jk rows[j, g] for every term."""
        return jax.ops.segment_sum(_gather_sum(self.row, self.back_count, rows), self.back_term, self.n_terms)

    def blocks(self) -> list[tuple[Any, Float[Array, "blocks rows"]]]:
        """What to scan over, part after part: blocks for `forward_block`, and their multiplicities."""
        parts, first = [], 0
        for term, count in zip(self.term, self.count, strict=True):
            shape = term.shape[:2]
            own = self.multiplicity[first : first + shape[0] * shape[1]]
            parts.append(((term, count), own.reshape(shape)))
            first += own.size
        return parts

    def forward_block(self, block: Any, table: Float[Array, "terms wide"]) -> Float[Array, "rows wide"]:
        """`forward`, for the rows of one block."""
        term, count = block
        return _gather_sum(term, count, table)

    def scores_block(
        self,
        block: Any,
        slopes: Float[Array, "terms nodes"],
        columns: Int[Array, "comparisons parts"],
        signs: Float[Array, "comparisons parts"],
        size: int,
    ) -> Float[Array, "rows size nodes"]:
        """Σ_k n_jk slopes[k, g], told apart by the strength coordinates that term k depends on."""
        term, count = block
        scores = jnp.zeros((term.shape[0], size, slopes.shape[1]))
        if not size:
            return scores
        outcomes = self.n_terms // columns.shape[0]
        comparison = term // jnp.asarray(outcomes, term.dtype)
        seen = count.astype(slopes.dtype)[:, :, None] * slopes[term]
        rows = jnp.broadcast_to(jnp.arange(term.shape[0])[:, None], term.shape)
        for i in range(columns.shape[1]):
            moved = signs[comparison, i][:, :, None] * seen
            scores = scores.at[rows, columns[comparison, i]].add(moved)
        return scores


Layout = Dense | Sparse


def _gather_sum(
    index: Int[Array, "n length"], weight: Float[Array, "n length"], table: Float[Array, "rows nodes"]
) -> Float[Array, "n nodes"]:
    """Σ_l weight[n, l]·table[index[n, l]]: unrolled, so that XLA fuses it into one pass."""
    length = index.shape[1]
    weight = weight.astype(table.dtype)
    if length > _UNROLLED:
        parts = tuple(x.reshape(len(x), -1, _PIECE).swapaxes(0, 1) for x in (index, weight))
        start = jnp.zeros((index.shape[0], table.shape[1]), table.dtype)
        return jax.lax.scan(
            lambda total, part: (total + _gather_sum(part[0], part[1], table), None), start, parts
        )[0]
    total = weight[:, 0, None] * table[index[:, 0]]
    for i in range(1, length):
        total = total + weight[:, i, None] * table[index[:, i]]
    return total
