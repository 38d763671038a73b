"""Totals: the sums over users that a fit needs (comparisons, votes, numbers of users)."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from emjax.data.anchors import AnchorVotes
from emjax.data.ids import unique_ids
from emjax.data.outcome_schema import WHO_WON, Outcomes
from emjax.data.preferences import Preferences
from emjax.data.response_patterns import Cells
from emjax.data.strata import VoteStrata


@runtime_checkable
class Overview(Protocol):
    """Numbers about votes that need no user ids: `Preferences` and `Totals` have them."""

    @property
    def comparisons(self) -> Any:
        """(C,) labels, or (C, 2) model names."""
        ...

    @property
    def shown(self) -> Any:
        """(C, 2) votes whose row listed (model_a, model_b), and those listed the other way round."""
        ...

    @property
    def outcomes(self) -> Outcomes:
        """Which outcomes are counted separately."""
        ...

    @property
    def contexts(self) -> Any:
        """(C,) what distinguishes comparisons of the same pair, or None."""
        ...

    @property
    def anchor_votes(self) -> Any:
        """What is known of the users besides their votes (`AnchorVotes`), or None."""
        ...

    @property
    def strata(self) -> Any:
        """What the contexts mean as strata (`VoteStrata`), or None."""
        ...

    @property
    def left_out(self) -> tuple[tuple[str, float], ...]:
        """What was left out, and how many."""
        ...

    @property
    def frame(self) -> str:
        """The type of table the votes came from."""
        ...

    @property
    def n_users(self) -> int:
        """Number of users, m."""
        ...

    @property
    def n_comparisons(self) -> int:
        """Number of comparisons, C."""
        ...

    @property
    def n_votes(self) -> float:
        """Number of votes."""
        ...

    @property
    def has_models(self) -> bool:
        """Whether a comparison is a pair of models, and not just a label."""
        ...

    @property
    def models(self) -> np.ndarray:
        """(K,) names of the models, sorted."""
        ...

    @property
    def most_votes(self) -> float:
        """Votes of the user with most of them."""
        ...

    def wins_by_comparison(self) -> np.ndarray:
        """(C, 2) votes that A won and that B won in each comparison."""
        ...

    def votes_by_comparison(self) -> np.ndarray:
        """(C, O) votes of each outcome in each comparison."""
        ...


def labels(votes: Overview) -> tuple[Any, ...]:
    """What each comparison is called: (A, B), with its context if it has one; or its label."""
    if not votes.has_models:
        return tuple(x.item() if isinstance(x, np.generic) else x for x in votes.comparisons)
    names = tuple((str(a), str(b)) for a, b in votes.comparisons)
    if votes.contexts is None:
        return names
    return tuple((*pair, str(of)) for pair, of in zip(names, votes.contexts, strict=True))


def contexts_as_listed(votes: Overview) -> np.ndarray:
    """(C,) the context of each comparison, with covariates as they are for A."""
    if votes.strata is None:
        return np.asarray(votes.contexts)
    return votes.strata.labels_as_listed(votes.contexts, votes.comparisons)


def turned(label: Any) -> Any:
    """The same comparison with its two models the other way round; None for what has no models."""
    return (label[1], label[0], *label[2:]) if isinstance(label, tuple) else None


def n_pairs(votes: Overview) -> int:
    """Number of comparisons, contexts aside."""
    return int(pairs_of(votes)[0].max(initial=-1)) + 1


def pairs_of(votes: Overview) -> tuple[np.ndarray, np.ndarray]:
    """The number of each comparison's pair, contexts aside, and −1 where it is the other way round."""
    numbers: dict[Any, int] = {}
    pair, sign = np.zeros(votes.n_comparisons, np.int64), np.ones(votes.n_comparisons)
    for place, label in enumerate(labels(votes)):
        name = label[:2] if isinstance(label, tuple) else label
        if isinstance(label, tuple) and label[1::-1] in numbers:
            name, sign[place] = label[1::-1], -1.0
        pair[place] = numbers.setdefault(name, len(numbers))
    return pair, sign


def pooled_by_pair(votes: Overview, values: np.ndarray, *, turns: bool = True) -> np.ndarray:
    """(C,) what comparisons of the same pair have in all; `turns` says if A and B change its sign."""
    pair, sign = pairs_of(votes)
    sign = sign if turns else np.ones_like(sign)
    return sign * np.bincount(pair, sign * values)[pair]


def called(label: Any) -> str:
    """A comparison in words."""
    if not isinstance(label, tuple):
        return str(label)
    return " and ".join(label[:2]) + (f" in {label[2]}" if len(label) > 2 else "")


@dataclass(frozen=True, eq=False)
class Totals:
    """An `Overview` of votes whose users are elsewhere: in shards, in an engine, on other machines.

    Attributes
    ----------
    comparisons, shown, left_out, frame, outcomes, contexts, strata
        As in `Preferences`.
    anchor_votes : AnchorVotes, optional
        Those of all users, as if one user had cast them.
    votes : (C, O) float64
        Votes of each outcome: that A won, that B won, ...
    n_users : int
    most_votes : float
    """

    comparisons: np.ndarray
    shown: np.ndarray
    votes: np.ndarray
    n_users: int
    most_votes: float
    left_out: tuple[tuple[str, float], ...] = ()
    frame: str = "arrays"
    outcomes: Outcomes = WHO_WON
    contexts: np.ndarray | None = None
    anchor_votes: AnchorVotes | None = None
    strata: VoteStrata | None = None

    @property
    def n_comparisons(self) -> int:
        """Number of comparisons, C."""
        return len(self.comparisons)

    @property
    def n_votes(self) -> float:
        """Number of votes."""
        return float(self.votes.sum())

    @property
    def has_models(self) -> bool:
        """Whether a comparison is a pair of models, and not just a label."""
        return self.comparisons.ndim == 2

    @property
    def models(self) -> np.ndarray:
        """(K,) names of the models, sorted; none if comparisons are labels."""
        return unique_ids(self.comparisons.ravel())[0] if self.has_models else np.empty(0, object)

    def wins_by_comparison(self) -> np.ndarray:
        """(C, 2) votes that A won and that B won in each comparison."""
        return self.outcomes.wins(self.votes)

    def votes_by_comparison(self) -> np.ndarray:
        """(C, O) votes of each outcome in each comparison."""
        return self.votes


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Users counted by response pattern, without their ids: all that a fit needs.

    Attributes
    ----------
    totals : Totals
    cells : Cells
        `of_user` is empty: which user is in which cell is not known here.

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
    >>> counted.n_cells, counted.totals.n_users
    (2, 3)
    >>> counted.cells.counts, counted.cells.multiplicity
    (array([[1., 0.],
           [1., 1.]]), array([1., 2.]))
    """

    totals: Totals
    cells: Cells

    def one_each(self) -> Preferences:
        """The votes of one user of each cell, in the order of the cells; users are numbers from 0."""
        of, cells, users = self.totals, self.cells, np.arange(self.cells.n_cells)
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
        of = self.totals
        comparisons = _counted(of.n_comparisons, "comparison")
        if of.has_models and of.n_comparisons == 1:
            comparisons += f" ({of.comparisons[0, 0]} against {of.comparisons[0, 1]})"
        seen = f"{_counted(of.n_votes, 'vote')} of {_counted(of.n_users, 'user')} in {comparisons}"
        lines = [f"CellCounts: {seen}, in {_counted(self.n_cells, 'cell')}"]
        lines += [f"  left out: {what}, {_number(amount)}" for what, amount in of.left_out]
        if of.anchor_votes is not None:
            lines.append(f"  known besides: {_counted(of.anchor_votes.n_votes, 'vote')} on gold questions")
        return "\n".join(lines)


def _counted(amount: float, noun: str) -> str:
    return f"{_number(amount)} {noun}{'' if amount == 1 else 's'}"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount == round(amount) else f"{amount:,.1f}"
