"""Preferences: who voted how often for which side of which comparison, counted, sorted and validated once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.errors import VotesError
from emjax.votes.ids import (
    as_ids,
    as_text,
    concatenate_ids,
    offenders,
    strictly_increasing,
    union_ids,
    unique_ids,
)


@dataclass(frozen=True, eq=False, repr=False)
class Preferences:
    """Votes counted by user and comparison: the sufficient statistics of every model in this package.

    Make one with `emjax.read_votes`, `Preferences.from_counts` or `Preferences.from_votes`; these check their
    input. The arrays are read-only.

    Attributes
    ----------
    users : (m,) int64, or object holding str
        Sorted, unique.
    comparisons : (C,) labels, or (C, 2) model names as object holding str
        Pairs are unique whichever way round, sorted by their alphabetically first name, then by the other.
    user, comparison : (nnz,) int64
        Indices into `users` and `comparisons`; rows are sorted by (user, comparison), none occurs twice.
    counts : (nnz, 2) float64
        Votes that A won and votes that B won; not negative, possibly fractional, never both zero.
    shown : (C, 2) float64
        Votes whose row listed (model_a, model_b), and votes whose row listed them the other way round.
    left_out : tuple of (str, float)
        What was left out, and how many, in alphabetical order.
    frame : str
        The kind of table the votes came from: "pandas", "polars", "pyarrow", "duckdb" or "arrays".

    Notes
    -----
    `model_a` is the model listed first in most rows of its pair; in a draw, the alphabetically first. A
    limit: counts are all that is kept, so the order of the votes is gone, and so is whatever set apart two
    votes of one user in one comparison.

    Examples
    --------
    >>> Preferences.from_counts([8, 3], [10, 10])
    Preferences: 20 votes of 2 users in 1 comparison (A against B)
    """

    users: np.ndarray
    comparisons: np.ndarray
    user: np.ndarray
    comparison: np.ndarray
    counts: np.ndarray
    shown: np.ndarray
    left_out: tuple[tuple[str, float], ...] = ()
    frame: str = "arrays"

    @classmethod
    def from_counts(
        cls, wins: Any, totals: Any, *, users: Any = None, comparisons: Any = None
    ) -> "Preferences":
        """Preferences from numbers already counted.

        Parameters
        ----------
        wins, totals : (m,) for one comparison, or (m, C)
            Votes that A won, and votes cast. A user with no vote at all stays among `users`.
        users : (m,) ids, optional
            0 to m - 1 if not given. Rows of a user who occurs twice are added up.
        comparisons : (C,) labels or (C, 2) model names, optional
            ("A", "B") for one column of counts, else the labels 0 to C - 1.

        Returns
        -------
        Preferences
            With `frame` "arrays". Each pair keeps the orientation in which it was given.

        Raises
        ------
        VotesError
            The shapes disagree, a count is negative or not finite, wins exceed totals, or there is no vote.

        Examples
        --------
        >>> Preferences.from_counts([[3, 1], [0, 2]], [[4, 1], [0, 2]], users=["ann", "bob"])
        Preferences: 7 votes of 2 users in 2 comparisons
        """
        wins, totals = np.asarray(wins, np.float64), np.asarray(totals, np.float64)
        _check_counts(wins, totals)
        n_comparisons = 1 if wins.ndim == 1 else wins.shape[1]
        given = _given_comparisons(comparisons, n_comparisons, one_column=wins.ndim == 1)
        voted = slice(None) if totals.all() else np.flatnonzero(totals)
        cell = np.arange(totals.size)[voted]
        user, comparison = (
            (cell, np.zeros_like(cell)) if n_comparisons == 1 else np.divmod(cell, n_comparisons)
        )
        counts = np.empty((cell.size, 2))
        counts[:, 0] = wins.ravel()[voted]
        np.subtract(totals.ravel()[voted], counts[:, 0], out=counts[:, 1])
        shown = np.zeros((n_comparisons, 2))
        shown[:, 0] = totals.sum(axis=0)
        if users is None:
            users = np.arange(wins.shape[0])
        else:
            users, codes = _sorted_users(users, wins.shape[0])
            user = user if codes is None else codes[user]
        return collect(users, user, given, comparison, counts, shown)

    @staticmethod
    def from_votes(user: Any, comparison: Any, won: Any) -> "Preferences":
        """Preferences from single votes, one row each.

        Parameters
        ----------
        user : (n,) ids
        comparison : (n,) labels, or (n, 2) model names
            Pairs may be listed either way round.
        won : (n,) bool, or 1, 0 and 0.5
            Whether the side listed first won; 0.5 is half a vote each way.

        Returns
        -------
        Preferences
            With `frame` "arrays".

        Raises
        ------
        VotesError
            Something is missing, the lengths disagree, `won` holds other values, or a model meets itself.

        Examples
        --------
        >>> Preferences.from_votes(["ann", "bob"], [["old", "new"], ["old", "new"]], [True, False]).counts
        array([[1., 0.],
               [0., 1.]])
        """
        users, user = unique_ids(as_ids(user, "user"))
        won = _check_won(np.asarray(won))
        given, comparison = _distinct_comparisons(comparison)
        if not user.size == comparison.size == won.size:
            lengths = f"{user.size:,} users, {comparison.size:,} comparisons and {won.size:,} outcomes"
            raise VotesError(f"one row per vote is needed, got {lengths}: give three columns of one length")
        if user.size == 0:
            raise VotesError("there are no votes: give at least one row")
        shown = np.zeros((len(given), 2))
        shown[:, 0] = np.bincount(comparison, minlength=len(given))
        return collect(users, user, given, comparison, np.column_stack([won, 1.0 - won]), shown)

    def __add__(self, other: "Preferences") -> "Preferences":
        """Merge two sets of votes: the same as reading them as one, exactly for whole and half votes.

        What was left out is added up; a user all of whose votes were left out of one part only is
        counted there all the same.
        """
        if not isinstance(other, Preferences):
            return NotImplemented
        if self.has_models != other.has_models:
            raise VotesError(
                "cannot merge comparisons of models with labelled comparisons: use one kind in both"
            )
        users, mine, theirs = union_ids(self.users, other.users)
        given = concatenate_ids(self.comparisons, other.comparisons)
        left_out = dict(self.left_out)
        for what, amount in other.left_out:
            left_out[what] = left_out.get(what, 0.0) + amount
        return collect(
            users,
            np.concatenate([mine[self.user], theirs[other.user]]),
            given,
            np.concatenate([self.comparison, other.comparison + self.n_comparisons]),
            np.concatenate([self.counts, other.counts]),
            np.concatenate([self.shown, other.shown]),
            tuple(sorted(left_out.items())),
            self.frame if self.frame == other.frame else "arrays",
        )

    @property
    def n_users(self) -> int:
        """Number of users, m."""
        return self.users.size

    @property
    def n_comparisons(self) -> int:
        """Number of comparisons, C."""
        return len(self.comparisons)

    @property
    def n_votes(self) -> float:
        """Number of votes; half votes count half."""
        return float(self.counts.sum())

    @property
    def has_models(self) -> bool:
        """Whether a comparison is a pair of models, and not just a label."""
        return self.comparisons.ndim == 2

    @property
    def models(self) -> np.ndarray:
        """(K,) names of the models, sorted; none if comparisons are labels."""
        return unique_ids(self.comparisons.ravel())[0] if self.has_models else np.empty(0, object)

    @property
    def most_votes(self) -> float:
        """Votes of the user with most of them."""
        return float(self.votes_by_user().max())

    def wins_by_comparison(self) -> np.ndarray:
        """(C, 2) votes that A won and that B won in each comparison."""
        return _sum_by(self.comparison, self.counts, self.n_comparisons)

    def wins_by_user(self) -> np.ndarray:
        """(m, 2) votes of each user that A won and that B won, over all comparisons."""
        columns = [np.bincount(self.user, self.counts[:, side], self.n_users) for side in (0, 1)]
        return np.column_stack(columns)

    def votes_by_user(self) -> np.ndarray:
        """(m,) votes of each user."""
        return np.bincount(self.user, self.counts.sum(axis=1), self.n_users)

    def __repr__(self) -> str:
        votes = f"{_number(self.n_votes)} vote{'' if self.n_votes == 1 else 's'}"
        users = f"{self.n_users:,} user{'' if self.n_users == 1 else 's'}"
        comparisons = f"{self.n_comparisons:,} comparison{'' if self.n_comparisons == 1 else 's'}"
        if self.has_models and self.n_comparisons == 1:
            comparisons += f" ({self.comparisons[0, 0]} against {self.comparisons[0, 1]})"
        elif self.has_models:
            comparisons += f" of {self.models.size:,} models"
        lines = [f"Preferences: {votes} of {users} in {comparisons}"]
        lines += [f"  left out: {what}, {_number(amount)}" for what, amount in self.left_out]
        return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _check_counts(wins: np.ndarray, totals: np.ndarray) -> None:
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


def _check_won(won: np.ndarray) -> np.ndarray:
    if won.ndim != 1:
        raise VotesError(f"won must be one column, got an array of shape {won.shape}")
    try:
        numbers = won.astype(np.float64)
    except (TypeError, ValueError):
        raise VotesError(
            "won must hold True and False, or 1, 0 and 0.5: got something that is no number"
        ) from None
    bad = ~np.isin(numbers, (0.0, 0.5, 1.0))
    if bad.any():
        remedy = "use 1 if the first side won, 0 if not, 0.5 for half a vote each way"
        raise VotesError(offenders(bad, "have an outcome other than 1, 0 and 0.5", remedy=remedy))
    return numbers


def _sorted_users(users: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Sorted unique ids, and the index of each row's user (None where rows are in order already)."""
    ids = as_ids(users, "user")
    if ids.size != n_rows:
        raise VotesError(f"{n_rows:,} rows of counts but {ids.size:,} users: give one user per row")
    return (ids, None) if strictly_increasing(ids) else unique_ids(ids)


def _given_comparisons(comparisons: Any, n_comparisons: int, *, one_column: bool) -> np.ndarray:
    if comparisons is None:
        return np.array([["A", "B"]], object) if one_column else np.arange(n_comparisons)
    given = np.asarray(comparisons, dtype=object)
    if n_comparisons == 1 and given.ndim == 0:
        given = given.reshape(1)
    if n_comparisons == 1 and given.shape == (2,):
        given = given.reshape(1, 2)
    if given.shape not in ((n_comparisons,), (n_comparisons, 2)):
        raise VotesError(
            f"{n_comparisons:,} comparisons are counted, but the names have shape {given.shape}: "
            f"give ({n_comparisons},) labels or ({n_comparisons}, 2) model names"
        )
    return as_ids(given, "comparison") if given.ndim == 1 else _pairs(given, noun="comparisons")


def _pairs(given: np.ndarray, *, noun: str) -> np.ndarray:
    """Pairs of model names as text; no model may meet itself."""
    pairs = np.column_stack([as_text(as_ids(given[:, side], "model")) for side in (0, 1)])
    itself = np.asarray(pairs[:, 0] == pairs[:, 1], dtype=bool)
    if itself.any():
        raise VotesError(
            offenders(itself, "compare a model with itself", noun=noun, remedy="leave those out")
        )
    return pairs


def _distinct_comparisons(comparison: Any) -> tuple[np.ndarray, np.ndarray]:
    """Comparisons as they were listed, each once, and the index of each row among them."""
    rows = comparison if isinstance(comparison, np.ndarray) else np.array(comparison, dtype=object)
    if rows.ndim == 1:
        return unique_ids(as_ids(rows, "comparison"))
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise VotesError(f"comparison must be (n,) labels or (n, 2) model names, got shape {rows.shape}")
    names, codes = unique_ids(np.concatenate([as_text(as_ids(rows[:, side], "model")) for side in (0, 1)]))
    first, second = codes[: len(rows)], codes[len(rows) :]
    if np.any(first == second):
        remedy = "leave those rows out"
        raise VotesError(offenders(first == second, "compare a model with itself", remedy=remedy))
    keys, index = unique_ids(first * max(names.size, 1) + second)
    return np.column_stack([names[keys // max(names.size, 1)], names[keys % max(names.size, 1)]]), index


def collect(
    users: np.ndarray,
    user: np.ndarray,
    given: np.ndarray,
    comparison: np.ndarray,
    counts: np.ndarray,
    shown: np.ndarray,
    left_out: tuple[tuple[str, float], ...] = (),
    frame: str = "arrays",
) -> Preferences:
    """Put the comparisons in order and the right way round, and add up rows that belong together.

    `users` is sorted and unique; `given` may be in any order, repeat itself, and list a pair both ways;
    `user` and `comparison` are indices into them. Input is checked by whoever calls this.
    """
    comparisons, shown, code, turn = _arrange(given, shown)
    if turn.any():
        turned = turn[comparison]
        counts = np.where(turned[:, None], counts[:, ::-1], counts)
    if len(comparisons) > 1:
        comparison = code[comparison]
    elif len(given) > 1:
        comparison = np.zeros_like(comparison)
    user, comparison, counts = _add_up(user, comparison, counts, len(comparisons), users.size)
    return Preferences(
        users=_read_only(users),
        comparisons=_read_only(comparisons),
        user=_read_only(user),
        comparison=_read_only(comparison),
        counts=_read_only(counts),
        shown=_read_only(shown),
        left_out=left_out,
        frame=frame,
    )


def _arrange(given: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Canonical comparisons and their `shown`; per given one its index there, and whether it is turned."""
    if given.ndim == 1:
        labels, code = unique_ids(given)
        return labels, _sum_by(code, shown, labels.size), code, np.zeros(code.size, bool)
    names, codes = unique_ids(given.ravel())
    first, second = codes.reshape(-1, 2).T
    low, high = np.minimum(first, second), np.maximum(first, second)
    keys, code = unique_ids(low * names.size + high)
    reverse = first > second
    sums = _sum_by(code, np.where(reverse[:, None], shown[:, ::-1], shown), keys.size)
    swapped = sums[:, 1] > sums[:, 0]
    pairs = np.column_stack([names[keys // names.size], names[keys % names.size]])
    pairs[swapped] = pairs[swapped][:, ::-1]
    sums[swapped] = sums[swapped][:, ::-1]
    return pairs, sums, code, reverse != swapped[code]


def _sum_by(code: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    return np.column_stack([np.bincount(code, values[:, side], size) for side in (0, 1)])


def _add_up(
    user: np.ndarray, comparison: np.ndarray, counts: np.ndarray, n_comparisons: int, n_users: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by (user, comparison), those with the same key added up."""
    key = user if n_comparisons == 1 else user * n_comparisons + comparison
    if strictly_increasing(key):
        return user, comparison, counts
    if n_users * n_comparisons <= 4 * key.size:
        sums = _sum_by(key, counts, n_users * n_comparisons)
        keys = np.flatnonzero(sums.any(axis=1))
        sums = sums[keys]
    else:
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        keys, sums = key[starts], np.add.reduceat(counts[order], starts, axis=0)
    return keys // n_comparisons, keys % n_comparisons, sums


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
