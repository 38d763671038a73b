"""Checks of the arrays a caller gives as votes; an error counts the bad entries and names the first."""

from typing import Any

import numpy as np

from emjax.data.ids import offenders
from emjax.errors import VotesError


def check_counts(wins: np.ndarray, totals: np.ndarray) -> None:
    """Raise a VotesError unless these are wins and totals of one shape, with a vote among them."""
    if wins.shape != totals.shape or wins.ndim not in (1, 2):
        raise VotesError(
            f"wins has shape {wins.shape} and totals {totals.shape}: "
            "both must be (users,) or (users, comparisons)"
        )
    if wins.size == 0 or (not totals.any() and np.all(wins == 0)):
        raise VotesError("there are no votes: give at least one user with a total above zero")
    if np.all((wins >= 0) & (wins <= totals) & (totals < np.inf)):  # NaN fails each of these
        return
    complaints = (
        (~(np.isfinite(wins) & np.isfinite(totals)), "a count that is not finite", "leave them out"),
        ((wins < 0) | (totals < 0), "a negative count", "counts start at zero"),
        (wins > totals, "more wins than votes", "totals are all votes cast, won or lost"),
    )
    for bad, what, remedy in complaints:
        if bad.any():
            rows = np.atleast_1d(bad.reshape(len(bad), -1).any(axis=1))
            raise VotesError(offenders(rows, f"have {what}", noun="users", remedy=remedy))


def check_won(won: np.ndarray) -> np.ndarray:
    """(n,) 1, 0 or 0.5 of each vote; a VotesError for anything else."""
    if won.ndim != 1:
        raise VotesError(f"won must be one column, got an array of shape {won.shape}")
    try:
        numbers = won.astype(np.float64)
    except (TypeError, ValueError):
        raise VotesError(
            "won must hold True and False, or 1, 0 and 0.5: got something that is not a number"
        ) from None
    bad = ~np.isin(numbers, (0.0, 0.5, 1.0))
    if bad.any():
        remedy = "use 1 if the first side won, 0 if not, 0.5 for half a vote each way"
        raise VotesError(offenders(bad, "have an outcome other than 1, 0 and 0.5", remedy=remedy))
    return numbers


def check_first(first: np.ndarray, n_votes: int) -> np.ndarray:
    """(n,) bool of each vote; a VotesError for anything else."""
    if first.shape != (n_votes,) or not np.isin(first, (0, 1)).all():
        raise VotesError(
            f"shown_first must say True or False for each of {n_votes:,} votes, got an array of shape "
            f"{first.shape}"
        )
    return first.astype(bool)


def check_gold(gold: Any, n_votes: int) -> np.ndarray:
    """(n,) 1, 0 and NaN of each vote; a VotesError for anything else."""
    try:
        right = np.array([np.nan if value is None else value for value in gold], np.float64)
    except (TypeError, ValueError):
        raise VotesError(
            "gold must hold 1, 0 and NaN (no right answer is known): got something that is not a number"
        ) from None
    if right.shape != (n_votes,):
        raise VotesError(f"gold must have one entry for each of {n_votes:,} votes, got {len(right):,}")
    bad = ~(np.isnan(right) | np.isin(right, (0.0, 1.0)))
    if bad.any():
        remedy = "use 1 if the side listed first is right, 0 if the other is, NaN where it is not known"
        raise VotesError(offenders(bad, "have a right answer other than 1 and 0", remedy=remedy))
    return right


def check_some(plain: np.ndarray, votes: np.ndarray | None = None) -> None:
    """Raise a VotesError where every vote is on a gold question; `votes` is what each entry stands for."""
    if not plain.any():
        many = plain.size if votes is None else votes.sum()
        raise VotesError(
            f"all {many:,.0f} votes are on gold questions: add votes whose right answer is not known"
        )
