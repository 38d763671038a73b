"""Response patterns: users with the same counts are stored once, with a multiplicity."""

from dataclasses import dataclass, replace

import numpy as np

from emjax.data.canonical_order import add_up
from emjax.data.preferences import Preferences


@dataclass(frozen=True, eq=False)
class Cells:
    """The distinct rows of a table of counts, exactly, and the way back to the users.

    Cell `i` holds rows `indptr[i]` to `indptr[i + 1]` of `comparison` and `counts`.

    Attributes
    ----------
    indptr : (n + 1,) int64
    comparison : (nnz,) int64
    counts : (nnz, O) float64
        Votes of each outcome (that A won, that B won, ...), of one user of the cell.
    multiplicity : (n,) float64
        Users in the cell.
    of_user : (m,) int64
        The cell of each user.
    n_comparisons : int

    Notes
    -----
    Cells come in the order of their number of rows, then of the rows (comparison, counts): an order
    that does not depend on the order of the users. A limit: with many comparisons per user hardly two users
    agree, and there are about as many cells as users.
    """

    indptr: np.ndarray
    comparison: np.ndarray
    counts: np.ndarray
    multiplicity: np.ndarray
    of_user: np.ndarray
    n_comparisons: int

    @property
    def n_cells(self) -> int:
        """Number of distinct cells, n."""
        return self.multiplicity.size


def distinct(prefs: Preferences) -> Cells:
    """Group users with the same counts; exact, whatever the counts are.

    Parameters
    ----------
    prefs : Preferences

    Returns
    -------
    Cells
        Questions of known strength, where `prefs` has anchor votes, are comparisons after the others.

    Examples
    --------
    >>> cells = distinct(Preferences.from_counts([3, 1, 3], [4, 2, 4]))
    >>> cells.counts
    array([[1., 1.],
           [3., 1.]])
    >>> cells.multiplicity, cells.of_user
    (array([1., 2.]), array([1, 0, 1]))
    """
    prefs = _with_questions(prefs)
    if prefs.n_comparisons == 1 and prefs.counts.shape[1] == 2:
        cells = _tabulated(prefs)
        if cells is not None:
            return cells
    indptr = _row_starts(prefs)
    group, representative = _grouped(indptr, prefs.comparison, prefs.counts)
    rank, leaders = _ranked(indptr, prefs.comparison, prefs.counts, representative)
    return _cells(prefs, indptr, rank[group], leaders)


def _with_questions(prefs: Preferences) -> Preferences:
    """The questions of the anchor votes as further comparisons, labelled by their place."""
    if prefs.anchor_votes is None:
        return prefs
    known, first = prefs.anchor_votes, prefs.n_comparisons
    n = first + len(known.accuracy)
    votes = add_up(
        np.concatenate([prefs.user, known.user]),
        np.concatenate([prefs.comparison, first + known.question]),
        np.concatenate([prefs.counts, known.counts]),
        n,
        prefs.n_users,
    )
    named = dict(zip(("user", "comparison", "counts"), votes, strict=True))
    return replace(prefs, comparisons=np.arange(n), contexts=None, anchor_votes=None, **named)


def _tabulated(prefs: Preferences) -> Cells | None:
    """One comparison and small whole (or half) counts: a table of all of them is quicker than any sort."""
    for scale in (1.0, 2.0):
        scaled = prefs.counts if scale == 1.0 else prefs.counts * scale
        high = scaled.max(axis=0)
        if (high[0] + 1) * (high[1] + 1) > max(4 * prefs.n_users, 1 << 16):
            return None
        whole = scaled.astype(np.int64)
        if np.array_equal(whole, scaled):
            break
    else:
        return None
    side = int(high[1]) + 1
    codes = whole[:, 0] * side + whole[:, 1]
    if prefs.user.size < prefs.n_users:
        codes, some = np.zeros(prefs.n_users, np.int64), codes
        codes[prefs.user] = some  # a user with no votes has the code of (0, 0)
    tally = np.bincount(codes, minlength=1)
    kept = np.flatnonzero(tally)
    rank = np.empty(tally.size, np.int64)
    rank[kept] = np.arange(kept.size)
    voted = kept > 0
    counts = np.column_stack([kept[voted] // side, kept[voted] % side]) / scale
    indptr = np.concatenate([[0], np.cumsum(voted)])
    zeros = np.zeros(len(counts), np.int64)
    return Cells(indptr, zeros, counts, tally[kept].astype(np.float64), rank[codes], prefs.n_comparisons)


def _row_starts(prefs: Preferences) -> np.ndarray:
    """(m + 1,) where each user's rows start."""
    return np.concatenate([[0], np.cumsum(np.bincount(prefs.user, minlength=prefs.n_users))])


def _grouped(indptr: np.ndarray, comparison: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group of each user by hash, and one user of each group; each alone if unlike users share a hash."""
    alone = np.arange(indptr.size - 1)
    hashes = _hash_users(indptr, comparison, counts)
    _, representative, group = np.unique(hashes, return_index=True, return_inverse=True)
    like = representative[group]  # for each user, the user it is thought to equal
    sizes = np.diff(indptr)
    if np.any(sizes != sizes[like]):
        return alone, alone
    twin = np.repeat(indptr[like] - indptr[:-1], sizes) + np.arange(comparison.size)
    if np.array_equal(comparison, comparison[twin]) and np.array_equal(counts, counts[twin]):
        return group, representative
    return alone, alone


def _hash_users(indptr: np.ndarray, comparison: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(m,) uint64; the order of a user's rows is fixed, so a sum over well-mixed rows will do."""
    bits = (counts + 0.0).view(np.uint64)  # + 0.0 turns a negative zero into zero
    rows = _mix(comparison.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    for column in bits.T:
        rows = _mix(rows ^ column)
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(rows, dtype=np.uint64)])
    return running[indptr[1:]] - running[indptr[:-1]]


def _mix(values: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit integers that spreads every bit over the word (multiply and shift, twice)."""
    values = (values ^ (values >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    values = (values ^ (values >> np.uint64(29))) * np.uint64(0xA0761D6478BD642F)
    return values ^ (values >> np.uint64(32))


def _ranked(
    indptr: np.ndarray, comparison: np.ndarray, counts: np.ndarray, users: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each of `users` among their distinct rows, and for each rank a user that has it.

    Users are sorted by their number of rows, then by one row after another; who is alone, or has no more
    rows, is settled. A place is the position in the sorted order at which a group of tied users begins.
    """
    starts = indptr[users]
    sizes = indptr[users + 1] - starts
    place = _places((sizes,))
    step = 0
    active = _tied(place, np.arange(users.size), sizes, step)
    while active.size:
        row = starts[active] + step
        keys = (place[active], comparison[row], *counts[row].T)
        within = _places(keys)
        # groups stay together: the new place is the group's place plus the place inside the group
        place[active] += within - _places((place[active],))
        step += 1
        active = _tied(place, active, sizes, step)
    _, leaders, rank = np.unique(place, return_index=True, return_inverse=True)
    return rank, users[leaders]


def _places(keys: tuple[np.ndarray, ...]) -> np.ndarray:
    """For each entry, how many entries sort strictly before it."""
    order = np.lexsort(keys[::-1])
    fresh = np.zeros(order.size, bool)
    fresh[:1] = True
    for key in keys:
        ordered = key[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    begins = np.maximum.accumulate(np.where(fresh, np.arange(order.size), 0))
    places = np.empty(order.size, np.int64)
    places[order] = begins
    return places


def _tied(place: np.ndarray, active: np.ndarray, sizes: np.ndarray, step: int) -> np.ndarray:
    """Those of `active` that still share their place and have a row left to distinguish them."""
    _, index, many = np.unique(place[active], return_inverse=True, return_counts=True)
    return active[(many[index] > 1) & (sizes[active] > step)]


def _cells(prefs: Preferences, indptr: np.ndarray, of_user: np.ndarray, leaders: np.ndarray) -> Cells:
    """Gather the rows of one user per cell."""
    sizes = indptr[leaders + 1] - indptr[leaders]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.repeat(indptr[leaders] - starts[:-1], sizes) + np.arange(starts[-1])
    multiplicity = np.bincount(of_user, minlength=leaders.size).astype(np.float64)
    return Cells(
        starts, prefs.comparison[rows], prefs.counts[rows], multiplicity, of_user, prefs.n_comparisons
    )
