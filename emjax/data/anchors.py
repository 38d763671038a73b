"""Anchor votes: answers to gold questions, and votes on comparisons of known strength."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emjax.data.canonical_order import add_up, sum_by
from emjax.data.defaults import ACCURACY
from emjax.data.ids import as_ids, offenders, union_ids, unique_ids
from emjax.data.outcome_schema import WHO_WON, Outcomes
from emjax.errors import VotesError


@dataclass(frozen=True, eq=False, repr=False)
class AnchorVotes:
    """Votes on questions of known strength: gold questions, or earlier votes that a fit has judged.

    Made by `read_votes(..., gold=COLUMN)`, `Fit.history` or `AnchorVotes.from_counts`, and passed on with
    `Preferences.with_anchor_votes`, or as `prior_users` to `fit_em`.

    Attributes
    ----------
    users : (m,) ids, sorted and unique
    accuracy : (K,) how often an attentive user answers question k rightly; from ½ to below 1
    user, question : (n,) int64
        Indices into `users` and `accuracy`; rows are sorted by them, none occurs twice.
    counts : (n, O) float64
        Votes of each outcome, "A won" being the right answer.
    outcomes : Outcomes
        What the columns of `counts` are.

    Notes
    -----
    To the model a question is a comparison whose strength is known. A limit: the accuracy is taken as known,
    and sets the scale of attentiveness wherever the votes leave it open.

    Examples
    --------
    >>> import emjax
    >>> emjax.AnchorVotes.from_counts(["ann", "bob"], right=[9, 4], wrong=[1, 6])
    AnchorVotes: 20 votes of 2 users on 1 question of known strength
    """

    users: np.ndarray
    accuracy: np.ndarray
    user: np.ndarray
    question: np.ndarray
    counts: np.ndarray
    outcomes: Outcomes = WHO_WON

    @classmethod
    def from_counts(cls, users: Any, right: Any, wrong: Any, *, accuracy: Any = ACCURACY) -> "AnchorVotes":
        """`AnchorVotes` from answers already counted.

        Parameters
        ----------
        users : (n,) ids; a user may occur in several rows
        right, wrong : (n,) right answers, and wrong ones
        accuracy : number, or (n,)
            How often an attentive user answers rightly: at least ½, below 1.

        Raises
        ------
        VotesError
            The lengths differ, a count is negative or not finite, or an accuracy is out of range.

        Examples
        --------
        >>> AnchorVotes.from_counts([7, 7], [3, 1], [0, 1], accuracy=[0.9, 0.7]).accuracy
        array([0.7, 0.9])
        """
        ids, user = unique_ids(as_ids(users, "user"))
        known = {"right": _numbers(right, "right"), "wrong": _numbers(wrong, "wrong")}
        for name, values in known.items():
            if values.shape != user.shape:
                raise VotesError(
                    f"{user.size:,} users, but {name} has shape {values.shape}: give one number per user"
                )
        counts = np.column_stack(list(known.values()))
        bad = np.any(~np.isfinite(counts) | (counts < 0.0), axis=1)
        if bad.any():
            raise VotesError(offenders(bad, "have a count that is negative or not finite"))
        accuracies = check_accuracy(accuracy)
        if accuracies.shape not in ((), user.shape):
            raise VotesError(
                f"{user.size:,} users, but accuracy has shape {accuracies.shape}: give one number, or one "
                "per user"
            )
        listed = np.broadcast_to(accuracies, user.shape)
        return gathered(ids, user, listed, counts, WHO_WON)

    @property
    def n_votes(self) -> float:
        """Number of votes."""
        return float(self.counts.sum())

    def votes_by_user(self) -> np.ndarray:
        """(m,) votes of each user."""
        return np.bincount(self.user, self.counts.sum(axis=1), len(self.users))

    def of(self, users: np.ndarray) -> "AnchorVotes":
        """The informative anchor votes of these users (sorted ids), and of no others."""
        both, mine, theirs = union_ids(users, self.users)
        place = np.full(both.size, -1)
        place[mine] = np.arange(len(users))
        user = place[theirs][self.user]
        rows = np.flatnonzero((user >= 0) & (self.accuracy[self.question] > 0.5))
        accuracy = self.accuracy[self.question[rows]]
        return gathered(users, user[rows], accuracy, self.counts[rows], self.outcomes)

    def as_one_user(self) -> "AnchorVotes":
        """The same questions, with the votes of all users as if one had cast them."""
        question = np.arange(self.accuracy.size)
        counts, user = sum_by(self.question, self.counts, question.size), np.zeros_like(question)
        return replace(self, users=np.zeros(1, np.int64), user=user, question=question, counts=counts)

    def __add__(self, other: "AnchorVotes") -> "AnchorVotes":
        """The anchor votes of both."""
        if not isinstance(other, AnchorVotes):
            return NotImplemented
        check_alike(self.outcomes, other.outcomes)
        users, mine, theirs = union_ids(self.users, other.users)
        return gathered(
            users,
            np.concatenate([mine[self.user], theirs[other.user]]),
            np.concatenate([self.accuracy[self.question], other.accuracy[other.question]]),
            np.concatenate([self.counts, other.counts]),
            self.outcomes,
        )

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """One row per user and question: user, accuracy, and the votes of each outcome."""
        by_outcome = dict(zip(self.outcomes.names, self.counts.T, strict=True))
        return {"user": self.users[self.user], "accuracy": self.accuracy[self.question], **by_outcome}

    def __repr__(self) -> str:
        said = [(self.n_votes, "vote"), (np.unique(self.user).size, "user")]
        votes, users = (f"{n:,.10g} {noun}{'' if n == 1 else 's'}" for n, noun in said)
        k = len(self.accuracy)
        return f"AnchorVotes: {votes} of {users} on {k} question{'' if k == 1 else 's'} of known strength"


def gathered(
    users: np.ndarray, user: np.ndarray, accuracy: np.ndarray, counts: np.ndarray, outcomes: Outcomes
) -> AnchorVotes:
    """`AnchorVotes` from rows in any order: those of one user and accuracy are summed, empty ones dropped."""
    there = counts.any(axis=1)
    questions, question = np.unique(accuracy[there], return_inverse=True)
    sums = add_up(user[there], question, counts[there], max(len(questions), 1), users.size)
    return AnchorVotes(users, questions, *sums, outcomes)


def answered(
    users: np.ndarray,
    user: np.ndarray,
    right: np.ndarray,
    won: np.ndarray,
    votes: np.ndarray,
    first: np.ndarray | None,
    outcomes: Outcomes,
    accuracy: float,
) -> AnchorVotes:
    """`AnchorVotes` from votes on gold questions; `right` is 1 where the side listed first is, else 0."""
    known = np.full(len(won), float(accuracy))
    return gathered(users, user, known, outcomes.counts(*seen_by(right, won, votes, first)), outcomes)


def seen_by(
    right: np.ndarray, won: np.ndarray, votes: np.ndarray, first: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The arguments of `Outcomes.counts` with the right answer as A, where one is known (1 or 0, not NaN)."""
    other = right == 0.0
    return np.where(other, 1.0 - won, won), votes, None if first is None else first ^ other


def check_accuracy(accuracy: Any) -> np.ndarray:
    """The accuracies of questions; a VotesError for values out of range."""
    values = _numbers(accuracy, "accuracy")
    bad = ~((values >= 0.5) & (values < 1.0))
    if bad.any():
        raise VotesError(
            f"an accuracy is how often an attentive user answers rightly, at least 1/2 and below 1; got "
            f"{np.atleast_1d(values)[np.atleast_1d(bad)][0]:g}"
        )
    return values


def check_gold_accuracy(accuracy: Any) -> None:
    """Raise a VotesError where this is not one accuracy."""
    if check_accuracy(accuracy).shape:
        raise VotesError(f"gold_accuracy is one number for all gold questions; got {accuracy!r}")


def check_alike(first: Outcomes, second: Outcomes) -> None:
    """Raise a VotesError where two sets of votes have different outcomes."""
    if first != second:
        raise VotesError(
            f"the votes have the outcomes {', '.join(first.names)}, and the anchor votes "
            f"{', '.join(second.names)}: read both with the same ties and shown_first, or leave one out"
        )


def _numbers(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise VotesError(f"{what} must hold numbers; got {values!r}") from None
