"""Preferences: votes counted by user, comparison and outcome, sorted and validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from emjax.data.amounts import amount, counted, lines_left_out
from emjax.data.anchors import ACCURACY, AnchorVotes, check_alike
from emjax.data.canonical_order import add_up, arrange, sum_by
from emjax.data.comparison_table import Compared, ComparisonTable
from emjax.data.comparisons import check_merging, counted_rows, in_each_context
from emjax.data.ids import concatenate_ids, union_ids, unique_ids
from emjax.data.outcome_schema import WHO_WON, Outcomes
from emjax.data.strata import VoteStrata
from emjax.data.vote_arrays import listed_votes, strata_of
from emjax.errors import Renamed, VotesError

_NO_CONTEXTS = "these votes have no contexts: read them with context=COLUMN"


@dataclass(frozen=True, eq=False, repr=False)
class Preferences(Compared):
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
    counts : (nnz, O) float64
        Votes of each outcome: that A won, that B won, and more where `outcomes` says so; not negative,
        possibly fractional, never all zero.
    shown : (C, 2) float64
        Votes whose row listed (model_a, model_b), and votes whose row listed them the other way round.
    left_out : tuple of (str, float)
        What was left out, and how many, in alphabetical order.
    frame : str
        The type of table the votes came from: "pandas", "polars", "pyarrow", "duckdb" or "arrays".
    outcomes : Outcomes
        What the columns of `counts` are; "A won" and "B won" unless ties or sides are separate.
    contexts : (C,) object holding str, optional
        What distinguishes comparisons of the same pair: a topic, or the pair of answers that was shown.
    anchor_votes : AnchorVotes, optional
        Answers of these users to gold questions, and what is known of them from earlier votes.
    strata : VoteStrata, optional
        What the contexts mean, where they are strata.
    read_as : str
        In two lines, which columns they were read from and what stood in that of the winner; "" where no
        table was read, and for sums of votes.
    read_with : dict, optional
        The options of `read_votes` that they were read with, as far as they are not its defaults; empty where
        no table was read.

    Notes
    -----
    `model_a` is the model listed first in most rows of its pair; in a draw, the alphabetically first. A
    limit: counts are all that is kept, so the order of the votes is lost, and whatever distinguished two
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
    outcomes: Outcomes = WHO_WON
    contexts: np.ndarray | None = None
    anchor_votes: AnchorVotes | None = None
    strata: VoteStrata | None = None
    read_as: str = ""
    read_with: Mapping[str, Any] = field(default_factory=dict)

    # names of version 0.1
    kinds = Renamed("strata")
    with_kinds = Renamed("with_strata")
    evidence = Renamed("anchor_votes")
    with_evidence = Renamed("with_anchor_votes")

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
        return collect(*counted_rows(wins, totals, users, comparisons))

    @staticmethod
    def from_votes(
        user: Any,
        comparison: Any,
        won: Any,
        *,
        shown_first: Any = None,
        context: Any = None,
        gold: Any = None,
        gold_accuracy: float = ACCURACY,
        vote_features: Mapping[str, Any] | None = None,
        feature_bins: int = 5,
        covariates: Mapping[str, Any] | None = None,
        covariate_bins: int = 10,
        ties: str = "half",
        strict: bool = False,
    ) -> "Preferences":
        """Preferences from single votes, one row each.

        Parameters
        ----------
        user : (n,) ids
        comparison : (n,) labels, or (n, 2) model names
            Pairs may be listed either way round.
        won : (n,) bool, or 1, 0 and 0.5
            Whether the side listed first won; 0.5 is a tie.
        shown_first : (n,) bool, optional
            Whether the side listed first was also shown first; counts are then by side, too.
        context : (n,) labels, optional
            What separates votes on the same pair; each pair and context is a comparison of its own.
        gold : (n,) 1, 0 and NaN, optional
            Where the right answer is known: whether that of the side listed first is. Such votes are used
            for the user alone.
        gold_accuracy : float
            How often an attentive user gives the right answer to a gold question.
        vote_features : mapping of str to (n,) arrays, optional
            What is known of each vote, such as the seconds taken: cut into bins by `VoteStrata.cut`, whose
            combinations are the contexts.
        feature_bins : int
            At most so many bins of a column of numbers.
        covariates : mapping of str to (n,) arrays, optional
            Differences between the two answers, the side listed first less the other, such as in length:
            what moves the log-odds of an attentive vote besides the models. "shown_first" is the side shown
            first, as that argument has it. They are cut into bins as features are.
        covariate_bins : int
            At most so many bins of sizes; there are as many of each sign.
        ties : {"half", "model"}
            Count a tie as half a vote each way, or as an outcome of its own.
        strict : bool
            Whether a row that compares a model with itself is an error; it is left out and counted otherwise.

        Returns
        -------
        Preferences
            With `frame` "arrays".

        Raises
        ------
        VotesError
            Something is missing, the lengths disagree, `won` holds other values, or a feature cannot be cut.

        Examples
        --------
        >>> Preferences.from_votes(["ann", "bob"], [["old", "new"], ["old", "new"]], [True, False]).counts
        array([[1., 0.],
               [0., 1.]])
        """
        asked = vote_features, feature_bins, covariates, covariate_bins
        strata, context = strata_of(*asked, comparison, context, shown_first)
        told = {"shown_first": shown_first, "context": context, "gold": gold}
        rules = {"gold_accuracy": gold_accuracy, "ties": ties, "strict": strict}
        votes = listed_votes(user, comparison, won, **told, **rules)
        rows = votes.users, votes.user, votes.given, votes.comparison, votes.counts, votes.shown
        collected = collect(*rows, outcomes=votes.outcomes, contexts=votes.contexts)
        left_out = votes.left_out
        return replace(collected, anchor_votes=votes.anchor_votes, strata=strata, left_out=left_out)

    def with_anchor_votes(self, anchor_votes: AnchorVotes) -> "Preferences":
        """The same votes, and anchor votes of their users, added to those they have.

        Parameters
        ----------
        anchor_votes : AnchorVotes
            Those of users who are not among these are ignored.

        Raises
        ------
        VotesError
            The outcomes (ties, sides) of the anchor votes are not those of these votes.

        Examples
        --------
        >>> import emjax
        >>> prefs = Preferences.from_counts([3, 1], [4, 4], users=["ann", "bob"])
        >>> prefs.with_anchor_votes(emjax.AnchorVotes.from_counts(["bob", "eve"], right=[9, 2], wrong=[1, 8]))
        Preferences: 8 votes of 2 users in 1 comparison (A against B)
          known besides: 10 votes of 1 user on 1 question of known strength
        """
        if not isinstance(anchor_votes, AnchorVotes):
            raise VotesError(f"with_anchor_votes takes an AnchorVotes; got a {type(anchor_votes).__name__}")
        check_alike(self.outcomes, anchor_votes.outcomes)
        mine = anchor_votes.of(self.users)
        if not len(mine.user):
            return self
        return replace(self, anchor_votes=mine if self.anchor_votes is None else self.anchor_votes + mine)

    def with_strata(self, strata: VoteStrata) -> "Preferences":
        """The same votes, with their contexts as strata.

        Parameters
        ----------
        strata : VoteStrata
            All contexts of these votes are among its own.

        Raises
        ------
        VotesError
            The votes have no contexts, or one that is not a stratum.

        Examples
        --------
        >>> import emjax
        >>> topics, pairs = ["code", "prose"], [["a", "b"]] * 2
        >>> prefs = Preferences.from_votes(["ann", "ann"], pairs, [1, 0], context=topics)
        >>> prefs.with_strata(emjax.VoteStrata.given(topics, [1.0, 0.0], ["difficulty"])).strata
        VoteStrata: 2 strata of votes by difficulty
        """
        if not isinstance(strata, VoteStrata):
            raise VotesError(f"with_strata takes VoteStrata; got a {type(strata).__name__}")
        if self.contexts is None:
            raise VotesError(_NO_CONTEXTS)
        strata.rows_of(self.contexts)
        return replace(self, strata=strata)

    def users_by_context(self) -> "Preferences":
        """The same votes, each user a user of its own in each context: attentiveness then differs by topic.

        Users are called "USER in CONTEXT". Nothing is shared between the contexts of a user but the prior.

        Raises
        ------
        VotesError
            The votes have no contexts, two such names are alike, or more is known of users than their votes.

        Notes
        -----
        A limit: a user with few votes in a context is known by those alone.

        Examples
        --------
        >>> topics = ["code", "prose"]
        >>> prefs = Preferences.from_votes(["ann", "ann"], [["a", "b"]] * 2, [1, 0], context=topics)
        >>> prefs.users_by_context().users.tolist()
        ['ann in code', 'ann in prose']
        """
        if self.contexts is None:
            raise VotesError(_NO_CONTEXTS)
        if self.anchor_votes is not None:
            raise VotesError(
                "gold questions and earlier votes are about users, and not about users in a context: read "
                "the votes without"
            )
        users, user = in_each_context(self.users, self.user, self.contexts, self.comparison)
        rows = add_up(user, self.comparison, self.counts, self.n_comparisons, users.size)
        named_rows = dict(zip(("user", "comparison", "counts"), map(_read_only, rows), strict=True))
        return replace(self, users=_read_only(users), **named_rows)

    def __add__(self, other: "Preferences") -> "Preferences":
        """Merge two sets of votes: the same as reading them as one, exactly for whole and half votes.

        What was left out is added up; a user all of whose votes were left out of one part only is
        counted there all the same.
        """
        if not isinstance(other, Preferences):
            return NotImplemented
        check_merging(self, other)
        users, mine, theirs = union_ids(self.users, other.users)
        given = concatenate_ids(self.comparisons, other.comparisons)
        left_out = dict(self.left_out)
        for what, many in other.left_out:
            left_out[what] = left_out.get(what, 0.0) + many
        merged = collect(
            users,
            np.concatenate([mine[self.user], theirs[other.user]]),
            given,
            np.concatenate([self.comparison, other.comparison + self.n_comparisons]),
            np.concatenate([self.counts, other.counts]),
            np.concatenate([self.shown, other.shown]),
            tuple(sorted(left_out.items())),
            self.frame if self.frame == other.frame else "arrays",
            self.outcomes,
            contexts_of(self, other),
        )
        merged = replace(merged, strata=self.strata)
        for known in (self.anchor_votes, other.anchor_votes):
            merged = merged if known is None else merged.with_anchor_votes(known)
        return merged

    @cached_property
    def table(self) -> ComparisonTable:
        """The comparisons with their votes, summed over users: what a strength needs to know of them."""
        return ComparisonTable(
            comparisons=self.comparisons,
            shown=self.shown,
            votes=self.votes_by_comparison(),
            n_users=self.n_users,
            most_votes=self.most_votes,
            left_out=self.left_out,
            frame=self.frame,
            outcomes=self.outcomes,
            contexts=self.contexts,
            anchor_votes=None if self.anchor_votes is None else self.anchor_votes.as_one_user(),
            strata=self.strata,
        )

    @property
    def n_users(self) -> int:
        """Number of users, m."""
        return self.users.size

    @property
    def n_votes(self) -> float:
        """Number of votes; half votes count half."""
        return float(self.counts.sum())

    @property
    def most_votes(self) -> float:
        """Votes of the user with most of them, those on questions of known strength among them."""
        besides = 0.0 if self.anchor_votes is None else self.anchor_votes.votes_by_user()
        return float((self.votes_by_user() + besides).max())

    @property
    def wins(self) -> np.ndarray:
        """(nnz, 2) votes that A won and that B won, whatever else `counts` distinguishes."""
        return self.outcomes.wins(self.counts)

    def wins_by_comparison(self) -> np.ndarray:
        """(C, 2) votes that A won and that B won in each comparison."""
        return sum_by(self.comparison, self.wins, self.n_comparisons)

    def votes_by_comparison(self) -> np.ndarray:
        """(C, O) votes of each outcome in each comparison."""
        return sum_by(self.comparison, self.counts, self.n_comparisons)

    def wins_by_user(self) -> np.ndarray:
        """(m, 2) votes of each user that A won and that B won, over all comparisons."""
        return sum_by(self.user, self.wins, self.n_users)

    def votes_by_user(self) -> np.ndarray:
        """(m,) votes of each user."""
        of_row = self.counts @ np.ones(self.outcomes.n)
        if self.n_comparisons == 1 and len(of_row) == self.n_users:  # a row each, in their order
            return of_row
        return np.bincount(self.user, of_row, self.n_users)

    def __repr__(self) -> str:
        votes, users = counted(self.n_votes, "vote"), counted(self.n_users, "user")
        comparisons = counted(self.n_comparisons, "comparison")
        if self.contexts is not None:
            comparisons += f" in {unique_ids(self.contexts)[0].size:,} contexts"
        if self.has_models and self.n_comparisons == 1:
            comparisons += f" ({self.comparisons[0, 0]} against {self.comparisons[0, 1]})"
        elif self.has_models:
            comparisons += f" of {self.models.size:,} models"
        lines = [f"Preferences: {votes} of {users} in {comparisons}"]
        if self.outcomes.n > 2:
            each = zip(self.outcomes.names, self.counts.sum(axis=0), strict=True)
            lines.append("  " + "; ".join(f"{name}: {amount(votes)}" for name, votes in each))
        lines += lines_left_out(self.left_out)
        if self.anchor_votes is not None:
            lines.append(f"  known besides: {repr(self.anchor_votes).removeprefix('AnchorVotes: ')}")
        return "\n".join(lines)


def contexts_of(*parts: Any) -> np.ndarray | None:
    """The contexts of comparisons one after the other."""
    listed = [part.contexts for part in parts if part.contexts is not None]
    return np.concatenate(listed) if listed else None


def collect(
    users: np.ndarray,
    user: np.ndarray,
    given: np.ndarray,
    comparison: np.ndarray,
    counts: np.ndarray,
    shown: np.ndarray,
    left_out: tuple[tuple[str, float], ...] = (),
    frame: str = "arrays",
    outcomes: Outcomes = WHO_WON,
    contexts: np.ndarray | None = None,
) -> Preferences:
    """Put the comparisons in order and the right way round, and add up rows that belong together.

    `users` is sorted and unique; `given` may be in any order, repeat itself, and list a pair both ways;
    `user` and `comparison` are indices into them; `contexts`, if any, has one entry for each of `given`.
    Input is checked by the caller.
    """
    comparisons, contexts, shown, code, turn = arrange(given, contexts, shown)
    if turn.any():
        turned = turn[comparison]
        counts = np.where(turned[:, None], counts[:, list(outcomes.mirror)], counts)
    if len(comparisons) > 1:
        comparison = code[comparison]
    elif len(given) > 1:
        comparison = np.zeros_like(comparison)
    user, comparison, counts = add_up(user, comparison, counts, len(comparisons), users.size)
    return Preferences(
        users=_read_only(users),
        comparisons=_read_only(comparisons),
        user=_read_only(user),
        comparison=_read_only(comparison),
        counts=_read_only(counts),
        shown=_read_only(shown),
        left_out=left_out,
        frame=frame,
        outcomes=outcomes,
        contexts=None if contexts is None else _read_only(contexts),
    )


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
