"""ComparisonTable: one row per comparison with its votes of each outcome, summed over users."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.data.anchors import AnchorVotes
from emjax.data.ids import unique_ids
from emjax.data.outcome_schema import WHO_WON, Outcomes
from emjax.data.strata import VoteStrata


class Compared:
    """What has comparisons: their number, and the models in them."""

    comparisons: np.ndarray

    @property
    def n_comparisons(self) -> int:
        """Number of comparisons, C."""
        return len(self.comparisons)

    @property
    def has_models(self) -> bool:
        """Whether a comparison is a pair of models, and not just a label."""
        return self.comparisons.ndim == 2

    @property
    def models(self) -> np.ndarray:
        """(K,) names of the models, sorted; none if comparisons are labels."""
        return unique_ids(self.comparisons.ravel())[0] if self.has_models else np.empty(0, object)


@dataclass(frozen=True, eq=False)
class ComparisonTable(Compared):
    """One row per comparison as it is counted, and numbers of the users: all that a strength needs of votes.

    Votes in memory, in shards and in cells have one, as `table`; a limit: no user is in it.

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
    def n_votes(self) -> float:
        """Number of votes."""
        return float(self.votes.sum())

    def wins_by_comparison(self) -> np.ndarray:
        """(C, 2) votes that A won and that B won in each comparison."""
        return self.outcomes.wins(self.votes)

    def votes_by_comparison(self) -> np.ndarray:
        """(C, O) votes of each outcome in each comparison."""
        return self.votes


def labels(table: ComparisonTable) -> tuple[Any, ...]:
    """What each comparison is called: (A, B), with its context if it has one; or its label."""
    if not table.has_models:
        return tuple(x.item() if isinstance(x, np.generic) else x for x in table.comparisons)
    names = tuple((str(a), str(b)) for a, b in table.comparisons)
    if table.contexts is None:
        return names
    return tuple((*pair, str(of)) for pair, of in zip(names, table.contexts, strict=True))


def contexts_as_listed(table: ComparisonTable) -> np.ndarray:
    """(C,) the context of each comparison, with covariates as they are for A."""
    if table.strata is None:
        return np.asarray(table.contexts)
    return table.strata.labels_as_listed(table.contexts, table.comparisons)


def turned(label: Any) -> Any:
    """The same comparison with its two models the other way round; None for what has no models."""
    return (label[1], label[0], *label[2:]) if isinstance(label, tuple) else None


def n_pairs(table: ComparisonTable) -> int:
    """Number of comparisons, contexts aside."""
    return int(pairs_of(table)[0].max(initial=-1)) + 1


def pairs_of(table: ComparisonTable) -> tuple[np.ndarray, np.ndarray]:
    """The number of each comparison's pair, contexts aside, and −1 where it is the other way round."""
    numbers: dict[Any, int] = {}
    pair, sign = np.zeros(table.n_comparisons, np.int64), np.ones(table.n_comparisons)
    for place, label in enumerate(labels(table)):
        name = label[:2] if isinstance(label, tuple) else label
        if isinstance(label, tuple) and label[1::-1] in numbers:
            name, sign[place] = label[1::-1], -1.0
        pair[place] = numbers.setdefault(name, len(numbers))
    return pair, sign


def pooled_by_pair(table: ComparisonTable, values: np.ndarray, *, turns: bool = True) -> np.ndarray:
    """(C,) what comparisons of the same pair have in all; `turns` says if A and B change its sign."""
    pair, sign = pairs_of(table)
    sign = sign if turns else np.ones_like(sign)
    return sign * np.bincount(pair, sign * values)[pair]


def called(label: Any) -> str:
    """A comparison in words."""
    if not isinstance(label, tuple):
        return str(label)
    return " and ".join(label[:2]) + (f" in {label[2]}" if len(label) > 2 else "")
