"""CellCounts: users counted by response pattern, without their ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emjax.data.amounts import counted, lines_left_out
from emjax.data.anchors import AnchorVotes
from emjax.data.comparison_table import ComparisonTable
from emjax.data.preferences import Preferences
from emjax.data.response_patterns import Cells
from emjax.errors import Renamed


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Users counted by response pattern, without their ids: all that a fit needs.

    Attributes
    ----------
    table : ComparisonTable
    cells : Cells
        `of_user` is empty: which user is in which cell is not known here.
    read_with : dict
        The options of `read_cells` that they were read with, as far as they are not its defaults.

    Notes
    -----
    Made by `read_cells`. A limit: no user is in it; `join_cells` has the engine that holds the users find the
    cell of each.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from emjax import read_cells
    >>> votes = pa.table({"user": [1, 1, 2, 3, 3], "model_a": ["new"] * 5, "model_b": ["old"] * 5,
    ...                   "winner": ["a", "b", "a", "b", "a"]})
    >>> counted = read_cells(votes)
    >>> counted.n_cells, counted.table.n_users
    (2, 3)
    >>> counted.cells.counts, counted.cells.multiplicity
    (array([[1., 0.],
           [1., 1.]]), array([1., 2.]))
    """

    table: ComparisonTable
    cells: Cells
    read_with: Mapping[str, Any] = field(default_factory=dict)

    totals = Renamed("table")  # its name in version 0.1

    def one_each(self) -> Preferences:
        """The votes of one user of each cell, in the order of the cells; users are numbers from 0."""
        of, cells, users = self.table, self.cells, np.arange(self.cells.n_cells)
        user = np.repeat(users, np.diff(cells.indptr))
        voted, known = cells.comparison < of.n_comparisons, of.anchor_votes
        if known is not None:
            question = cells.comparison[~voted] - of.n_comparisons
            known = AnchorVotes(
                *(users, known.accuracy, user[~voted], question, cells.counts[~voted], of.outcomes)
            )
        return Preferences(
            users=users,
            comparisons=of.comparisons,
            user=user[voted],
            comparison=cells.comparison[voted],
            counts=cells.counts[voted],
            shown=of.shown,
            outcomes=of.outcomes,
            contexts=of.contexts,
            anchor_votes=known,
        )

    @property
    def n_cells(self) -> int:
        """Number of distinct cells, n."""
        return self.cells.n_cells

    def __repr__(self) -> str:
        """Say what was counted, and what was left out."""
        of = self.table
        comparisons = counted(of.n_comparisons, "comparison")
        if of.has_models and of.n_comparisons == 1:
            comparisons += f" ({of.comparisons[0, 0]} against {of.comparisons[0, 1]})"
        seen = f"{counted(of.n_votes, 'vote')} of {counted(of.n_users, 'user')} in {comparisons}"
        lines = [f"CellCounts: {seen}, in {counted(self.n_cells, 'cell')}"]
        lines += lines_left_out(of.left_out)
        if of.anchor_votes is not None:
            lines.append(f"  known besides: {counted(of.anchor_votes.n_votes, 'vote')} on gold questions")
        return "\n".join(lines)
