"""Partitions of votes: shards with the same comparisons, and response patterns split among devices."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from emjax.data.anchors import AnchorVotes
from emjax.data.comparison_table import ComparisonTable, labels
from emjax.data.ids import concatenate_ids, union_ids
from emjax.data.preferences import Preferences, collect, contexts_of
from emjax.data.response_patterns import Cells
from emjax.errors import VotesError


def table_of_shards(shards: Iterable[Preferences]) -> ComparisonTable:
    """What shards are in all; a VotesError if a user is in more than one of them.

    Examples
    --------
    >>> shards = [Preferences.from_counts([3, 1], [4, 4]), Preferences.from_counts([2], [4], users=[7])]
    >>> table_of_shards(shards).n_users, table_of_shards(shards).n_votes
    (3, 12.0)
    """
    together, users, most, known = None, np.empty(0, np.int64), 0.0, None
    for number, shard in enumerate(shards):
        if not isinstance(shard, Preferences):
            raise VotesError(
                f"shard {number} is a {type(shard).__name__}: give shards of votes, as from "
                f"Preferences.from_votes or emjax.open_shards"
            )
        if shard.anchor_votes is not None:
            own = shard.anchor_votes.as_one_user()
            known = own if known is None else known + own
        condensed = _condensed(shard)
        together = condensed if together is None else together + condensed
        everyone, mine, theirs = union_ids(users, shard.users) if number else (shard.users, (), ())
        if len(everyone) < len(users) + shard.n_users:
            twice = np.intersect1d(mine, theirs)
            raise VotesError(
                f"{len(twice):,} users of shard {number} are in an earlier shard too, first "
                f"{everyone[twice[0]]}: put all votes of a user into one shard, as emjax.aggregate does"
            )
        users, most = everyone, max(most, shard.most_votes)
    if together is None:
        raise VotesError("there are no shards: give at least one")
    return replace(together.table, n_users=len(users), most_votes=most, frame="arrays", anchor_votes=known)


def aligned(shard: Preferences, table: ComparisonTable) -> Preferences:
    """The shard with all comparisons of `table`, each the same way round as there, and all questions."""
    anchor_votes = None if table.anchor_votes is None else _on_all_questions(shard, table.anchor_votes)
    if np.array_equal(shard.comparisons, table.comparisons) and labels(shard.table) == labels(table):
        return replace(shard, anchor_votes=anchor_votes)
    given = concatenate_ids(shard.comparisons, table.comparisons)
    shown = np.concatenate([np.zeros_like(shard.shown), table.shown])
    collected = collect(
        *(shard.users, shard.user, given, shard.comparison, shard.counts, shown, shard.left_out, shard.frame),
        outcomes=shard.outcomes,
        contexts=contexts_of(shard, table),
    )
    return replace(collected, anchor_votes=anchor_votes, strata=shard.strata)


def _on_all_questions(shard: Preferences, everyone: AnchorVotes) -> AnchorVotes:
    """The anchor votes of a shard, on the questions of all shards, whether or not these users had them."""
    none = np.empty(0, np.int64)
    own = shard.anchor_votes or AnchorVotes(
        shard.users, everyone.accuracy, none, none, np.empty((0, shard.outcomes.n)), shard.outcomes
    )
    question = np.searchsorted(everyone.accuracy, own.accuracy)[own.question]
    return replace(own, accuracy=everyone.accuracy, question=question)


def divided(cells: Cells, n: int) -> list[Cells]:
    """The cells in n parts of about the same number of votes rows; `of_user` is empty in each."""
    target = cells.indptr[-1] * np.arange(1, n) / n
    cuts = np.concatenate([[0], np.searchsorted(cells.indptr, target), [cells.n_cells]])
    return [_between(cells, first, last) for first, last in pairwise(cuts.tolist())]


def joined(parts: Sequence[Cells], n_comparisons: int, outcomes: int = 2) -> Cells:
    """Cells one after the other; equal rows of two parts stay separate. `of_user` is empty."""
    starts = np.cumsum([0, *(part.indptr[-1] for part in parts)])
    indptr = [np.zeros(1, np.int64)]
    indptr += [part.indptr[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
    return Cells(
        np.concatenate(indptr),
        np.concatenate([np.zeros(0, np.int64), *(part.comparison for part in parts)]),
        np.concatenate([np.zeros((0, outcomes)), *(part.counts for part in parts)]),
        np.concatenate([np.zeros(0), *(part.multiplicity for part in parts)]),
        np.zeros(0, np.int64),
        n_comparisons,
    )


def _condensed(shard: Preferences) -> Preferences:
    """The shard's comparisons with all votes on them, as if one user had cast them."""
    rows = np.arange(shard.n_comparisons)
    return replace(
        shard,
        users=np.zeros(1, np.int64),
        user=np.zeros_like(rows),
        comparison=rows,
        counts=shard.votes_by_comparison(),
        anchor_votes=None,
    )


def _between(cells: Cells, first: int, last: int) -> Cells:
    rows = slice(cells.indptr[first], cells.indptr[last])
    return Cells(
        cells.indptr[first : last + 1] - cells.indptr[first],
        cells.comparison[rows],
        cells.counts[rows],
        cells.multiplicity[first:last],
        np.zeros(0, np.int64),
        cells.n_comparisons,
    )


def part_of(prefs: Preferences, counts: np.ndarray) -> Preferences:
    """Some of the votes, in the order and the orientation of all."""
    there = np.flatnonzero(counts.any(axis=1))
    votes, everyone = (
        np.bincount(prefs.comparison, x.sum(axis=1), prefs.n_comparisons) for x in (counts, prefs.counts)
    )
    return Preferences(
        users=prefs.users,
        comparisons=prefs.comparisons,
        user=prefs.user[there],
        comparison=prefs.comparison[there],
        counts=counts[there],
        # Which votes were shown which way round is not known: in proportion.
        shown=prefs.shown * (votes / np.maximum(everyone, 1e-300))[:, None],
        frame=prefs.frame,
        outcomes=prefs.outcomes,
        contexts=prefs.contexts,
        anchor_votes=prefs.anchor_votes,
        strata=prefs.strata,
    )
