"""Outcome schema: which outcomes of a vote are counted separately, one column of counts each."""

from dataclasses import dataclass

import numpy as np

# Where each outcome goes when A and B change names, by the number of outcomes.
MIRROR = {2: (1, 0), 3: (1, 0, 2), 4: (3, 2, 1, 0), 6: (3, 2, 1, 0, 5, 4)}


@dataclass(frozen=True)
class Outcomes:
    """The outcomes that are counted separately.

    Parameters
    ----------
    sides : bool
        Whether it is known which of the two answers was shown first.
    ties : bool
        Whether ties are counted, and not dropped or halved.

    Notes
    -----
    The columns are: A won, B won; with sides the votes that showed A first come before those that showed B
    first (A won, B won, A won, B won); ties follow (one column, or A first and B first).

    Examples
    --------
    >>> Outcomes(ties=True).names
    ('A won', 'B won', 'tie')
    >>> Outcomes(sides=True).mirror
    (3, 2, 1, 0)
    """

    sides: bool = False
    ties: bool = False

    @property
    def n(self) -> int:
        """Number of outcomes, O."""
        return (2 if self.sides else 1) * (3 if self.ties else 2)

    @property
    def names(self) -> tuple[str, ...]:
        """What each column counts."""
        shown = (", A first", ", B first") if self.sides else ("",)
        decided = tuple(f"{who} won{side}" for side in shown for who in "AB")
        return decided + tuple(f"tie{side}" for side in shown) * self.ties

    @property
    def by_side(self) -> tuple[tuple[int, ...], ...]:
        """The columns of votes that showed A first, and of those that showed B first; all, without sides."""
        if not self.sides:
            return (tuple(range(self.n)),)
        return ((0, 1, 4), (2, 3, 5)) if self.ties else ((0, 1), (2, 3))

    @property
    def columns(self) -> tuple[str, ...]:
        """What each column of counts is called in a file of shards."""
        shown = ("a_first_", "b_first_") if self.sides else ("",)
        decided = tuple(f"{side}wins_{who}" for side in shown for who in "ab")
        return decided + tuple(f"{side}ties" for side in shown) * self.ties

    @property
    def mirror(self) -> tuple[int, ...]:
        """Where each outcome goes when A and B change names."""
        return MIRROR[self.n]

    def column(self, won: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
        """(n,) the column of each vote: `won` is 1 for A, 0 for B, ½ for a tie; `first` if A stood first."""
        tie = won == 0.5
        side = 0 if first is None else np.where(first, 0, 1)
        return np.where(tie, (4 if self.sides else 2) + side, 2 * side + (won < 0.5)).astype(np.int64)

    def counts(self, won: np.ndarray, votes: np.ndarray, first: np.ndarray | None) -> np.ndarray:
        """(n, O) votes, each in the column of its outcome; half a vote for either side if ties have none."""
        counts, row = np.zeros((won.size, self.n)), np.arange(won.size)
        if self.ties:
            counts[row, self.column(won, first)] = votes
            return counts
        counts[row, self.column(np.ones_like(won), first)] = won * votes
        counts[row, self.column(np.zeros_like(won), first)] = (1.0 - won) * votes
        return counts

    def wins(self, counts: np.ndarray) -> np.ndarray:
        """(n, 2) votes that A won and that B won, whatever else is distinguished; ties are no wins."""
        if self.n == 2:
            return counts
        return counts[:, 0:2] + counts[:, 2:4] if self.sides else counts[:, 0:2]


WHO_WON = Outcomes()  # and nothing else
