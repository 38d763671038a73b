"""Design: the log-odds of every comparison as a sparse linear predictor, λ = Xβ + offset."""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

from emjax.model.array_namespace import AnyArray, namespace, scatter_add
from emjax.model.pytree import record, static


@record
class Design:
    """The matrix X by its few entries in each row, and an offset.

    Parameters
    ----------
    columns, values : (C, n)
        Where the entries of each row are, and what they are; n is 0 where all is known.
    offset : (C,)
        What is added to each row.
    size
        Number of columns.

    Examples
    --------
    >>> pairs = np.array([[0, 1], [1, 2]])
    >>> design = Design(pairs, np.array([[1.0, -1.0], [1.0, -1.0]]), np.zeros(2), size=3)
    >>> design.logits(np.array([2.0, 0.5, 0.0]))
    array([1.5, 0.5])
    >>> design.transposed(np.array([1.0, 10.0]))
    array([ 1.,  9., -10.])
    """

    columns: Int[Array | np.ndarray, "rows entries"]
    values: Float[AnyArray, "rows entries"]
    offset: Float[AnyArray, " rows"]
    size: int = static(default=0)

    def logits(self, x: Float[AnyArray, " n"]) -> Float[AnyArray, " rows"]:
        """Xβ + offset."""
        return self.offset + self.times(x) if self.columns.shape[1] else self.offset

    def times(self, x: Float[AnyArray, " n"]) -> Float[AnyArray, " rows"]:
        """Xβ."""
        xp = namespace(x, self.columns, self.values)
        return xp.sum(self.values * xp.asarray(x)[self.columns], axis=1)

    def transposed(self, rows: Float[AnyArray, "rows ..."]) -> Float[AnyArray, "columns ..."]:
        """Xᵀ times a vector or a matrix."""
        total = namespace(rows, self.values).zeros((self.size, *rows.shape[1:]))
        for i in range(self.columns.shape[1]):
            value = self.values[:, i].reshape(-1, *(1,) * (rows.ndim - 1))
            total = total + scatter_add(total.shape, self.columns[:, i], value * rows)
        return total

    def weighted_diagonal(self, weight: Float[AnyArray, " rows"]) -> Float[AnyArray, " columns"]:
        """The diagonal of XᵀWX, if no row has two entries in one column."""
        total = namespace(weight, self.values).zeros(self.size)
        for i in range(self.columns.shape[1]):
            total = total + scatter_add(self.size, self.columns[:, i], weight * self.values[:, i] ** 2)
        return total

    def weighted_gram(self, weight: Float[AnyArray, " rows"]) -> Float[AnyArray, "columns columns"]:
        """Xᵀ W X with a diagonal W."""
        xp, each = namespace(weight, self.values), range(self.columns.shape[1])
        shape = self.size, self.size
        if not len(each):
            return xp.zeros(shape)
        place = tuple(
            xp.concatenate([self.columns[:, pair[k]] for pair in ((i, j) for i in each for j in each)])
            for k in (0, 1)
        )
        entries = [weight * self.values[:, i] * self.values[:, j] for i in each for j in each]
        return scatter_add(shape, place, xp.concatenate(entries))


@record
class DesignIndex:
    """What a strength looks up to make its design: comparisons, and after them rows of known log-odds.

    Parameters
    ----------
    comparisons : (C, n)
        Where each comparison finds its entries, as the `index` of a strength says.
    known : (K,)
        Log-odds of further rows, which no coordinate moves: gold questions, and earlier votes of the users.

    Examples
    --------
    >>> from emjax.model.strength import Shared
    >>> index = DesignIndex(np.array([[0, 1], [0, -1]]), known=np.array([3.0]))
    >>> index.logits(Shared(value=0.8)).round(3)
    array([ 1.386, -1.386,  3.   ])
    """

    comparisons: Int[Array | np.ndarray, "comparisons n"]
    known: Float[AnyArray, " known"]

    @property
    def n_rows(self) -> int:
        """Comparisons and known rows together."""
        return self.n_comparisons + self.n_known

    @property
    def n_comparisons(self) -> int:
        """Rows that have a strength."""
        return self.comparisons.shape[0]

    @property
    def n_known(self) -> int:
        """Rows of known log-odds."""
        return self.known.shape[0]

    def design(self, strength: Any) -> Design:
        """The design of a strength, with the known rows at its end."""
        own, more = strength.design(self.comparisons), self.n_known
        if not more:
            return own
        xp = namespace(own.values, own.offset, self.known)
        none = xp.zeros((more, own.columns.shape[1]))
        return Design(
            xp.concatenate([own.columns, none.astype(own.columns.dtype)]),
            xp.concatenate([own.values, none]),
            xp.concatenate([own.offset, xp.asarray(self.known)]),
            own.size,
        )

    def logits(self, strength: Any) -> Float[AnyArray, " rows"]:
        """Log-odds of every row."""
        return self.design(strength).logits(strength.coordinates())


def known_design(offset: Float[AnyArray, " rows"], size: int = 0) -> Design:
    """The design of log-odds that no coordinate moves, of which there may be some all the same."""
    xp, n = namespace(offset), offset.shape[0]
    return Design(np.zeros((n, 0), np.int64), xp.zeros((n, 0)), offset, size)
