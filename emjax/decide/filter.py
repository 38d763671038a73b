"""keep: apply a policy to users, and to each vote given the user's other votes."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from emjax.data.preferences import Preferences
from emjax.decide.information_curve import InformationCurve, information_curve
from emjax.decide.policy import Policy, Scored
from emjax.decide.policy_text import parse_policy
from emjax.decide.vote_posteriors import vote_posteriors
from emjax.errors import ModelError
from emjax.model.posterior import Posterior

_BLOCK = 1 << 15  # groups of votes whose posteriors are in memory at once
_DECIDED = 4  # outcomes with a winner, at most


@dataclass(frozen=True, eq=False, repr=False)
class KeptUsers:
    """What a policy decides for each user, judged by all of the user's votes.

    Attributes
    ----------
    id : (m,) ids
    n_votes : (m,) votes
    kept : (m,) bool
    attentiveness : (m,) E[η]
    weighs : bool
        Whether the policy is `Weights`.
    """

    id: np.ndarray
    n_votes: np.ndarray
    kept: np.ndarray
    attentiveness: np.ndarray
    weighs: bool

    @property
    def weight(self) -> np.ndarray:
        """0 if dropped; else 1, or E[η] under the policy `Weights`."""
        return _weight(self.kept, self.attentiveness, self.weighs)

    @property
    def soft_label(self) -> np.ndarray:
        """(1 + E[η])/2, the chance that a vote is what its user prefers attentively."""
        return 0.5 * (1.0 + self.attentiveness)


@dataclass(frozen=True, eq=False, repr=False)
class FilteredVotes:
    """What a policy decides for each group of equal votes, judged by the other votes of its user.

    A group is a user, a comparison and an outcome; all votes of a group have one posterior.

    Attributes
    ----------
    user, comparison : (n,) int
        Positions in the users and comparisons of the votes; sorted by user, comparison, outcome.
    outcome : (n,) int, 0 if A won and 1 if B won; where sides are separate, 2 and 3 are the same with B
        shown first
    count : (n,) votes of the group
    kept, attentiveness : (n,)
        As of users.
    weighs, flips : bool
        Whether the policy is `Weights`, or `Flip`.
    prob_attentive, prob_right : (n,), or None
        Of policies that judge votes by their outcome, too: as `vote_posteriors` gives them.
    """

    user: np.ndarray
    comparison: np.ndarray
    outcome: np.ndarray
    count: np.ndarray
    kept: np.ndarray
    attentiveness: np.ndarray
    weighs: bool
    flips: bool = False
    prob_attentive: np.ndarray | None = None
    prob_right: np.ndarray | None = None

    @cached_property
    def flipped(self) -> np.ndarray:
        """(n,) bool, votes that are kept with their winner exchanged."""
        return self.kept & (self.attentiveness < 0.0) & self.flips

    @cached_property
    def passed_on(self) -> np.ndarray:
        """(n,) E[η] for the vote as it is passed on: of the other sign where its winner was exchanged."""
        return np.where(self.flipped, -self.attentiveness, self.attentiveness)

    @cached_property
    def weight(self) -> np.ndarray:
        """0 if dropped; else 1, or under `Weights` E[η], or the probability of an attentive vote."""
        own = self.attentiveness if self.prob_attentive is None else self.prob_attentive
        return _weight(self.kept, own, self.weighs)

    @cached_property
    def soft_label(self) -> np.ndarray:
        """The probability that a vote (after an exchange of its winner) is its user's attentive choice.

        (1 + E[η])/2; `prob_right` where votes are judged by their outcome, too.
        """
        if self.prob_right is not None:
            return self.prob_right
        return 0.5 * (1.0 + self.passed_on)

    def find(self, user: np.ndarray, comparison: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """(k,) position of the group of each of k votes; -1 where there is no such group."""
        wanted = self._key(user, comparison, outcome)
        at = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        return np.where(self._keys[at] == wanted, at, -1)

    def _key(self, user: np.ndarray, comparison: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        pairs = np.asarray(user, np.int64) * (int(self.comparison.max()) + 1)
        known = np.asarray(comparison) <= self.comparison.max()
        return np.where(known, (pairs + comparison) * _DECIDED + outcome, -1)

    @cached_property
    def _keys(self) -> np.ndarray:
        return self._key(self.user, self.comparison, self.outcome)


@dataclass(frozen=True, eq=False, repr=False)
class Filtered:
    """Votes and users after a policy: what is kept, what each counts, and how much it still tells.

    Attributes
    ----------
    policy
        What was applied.
    users : KeptUsers
    votes : FilteredVotes
    notes : tuple of str
        What a reader should know.
    open_scale : str
        As of the posterior: not "" where label accuracies and thresholds rest on an assumed scale of
        attentiveness. It is among the notes too.

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([9, 5, 1], [10, 10, 10])
    >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.9))
    >>> kept = emjax.filter_votes(fit.posterior(prefs), emjax.Threshold(0.5))
    >>> kept.users.kept, kept.n_votes_kept
    (array([ True, False, False]), 10.0)
    """

    policy: Policy
    users: KeptUsers
    votes: FilteredVotes
    notes: tuple[str, ...] = ()
    open_scale: str = ""

    @property
    def n_users_kept(self) -> int:
        """Users kept."""
        return int(self.users.kept.sum())

    @property
    def n_votes_kept(self) -> float:
        """Votes kept."""
        return float(self.votes.count[self.votes.kept].sum())

    @property
    def n_votes(self) -> float:
        """Votes there are."""
        return float(self.votes.count.sum())

    @cached_property
    def information_retained(self) -> float:
        """Information about the direction of the reward, as a share of what weights reach.

        Soft labels and the attentive loss weigh votes by E[η], too, near the reference, and count as that.
        NaN where votes were judged by their outcome: this measure is of choices that do not depend on labels.
        """
        if self.policy.by_vote:
            return float("nan")
        if self.policy.graded:
            return 1.0
        eta, kept, count = self.votes.passed_on, self.votes.kept, self.votes.count
        reached = float((count * eta**2).sum()) * self.n_votes_kept
        return float((count * eta)[kept].sum()) ** 2 / reached if reached > 0 else 0.0

    @cached_property
    def label_accuracy(self) -> float:
        """Expected share of kept votes that are what their user prefers attentively; see `open_scale`."""
        kept = self.votes.kept
        return float(np.average(self.votes.soft_label[kept], weights=self.votes.count[kept]))

    @cached_property
    def label_accuracy_of_all(self) -> float:
        """The same of all votes there are."""
        votes, own = self.votes, self.votes.prob_right
        return float(
            np.average(0.5 * (1.0 + votes.attentiveness) if own is None else own, weights=votes.count)
        )

    @cached_property
    def curve(self) -> InformationCurve:
        """What every threshold on E[η] of the votes would have kept."""
        return information_curve(self.votes.attentiveness, self.votes.count)

    @property
    def _information(self) -> str:
        known = not self.policy.by_vote
        return (
            f"information retained {self.information_retained:.1%} of what weights reach; " if known else ""
        )

    def __repr__(self) -> str:
        on_scale = " on an assumed scale (see the note)" if self.open_scale else ""
        lines = [
            f"{self.policy!r} keeps {self.n_votes_kept:,.10g} of {self.n_votes:,.10g} votes, "
            f"{self.n_users_kept:,} of {len(self.users.kept):,} users",
            f"{self._information}labels right, expected{on_scale}: {self.label_accuracy:.1%} of those kept, "
            f"{self.label_accuracy_of_all:.1%} of all",
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def filter_votes(posterior: Posterior, policy: Policy | str) -> Filtered:
    """Decide whose votes to keep, and how much each counts.

    Parameters
    ----------
    posterior : Posterior
        As `Fit.posterior` gives it, with its votes.
    policy : Policy or str
        `Threshold`, `TopFraction`, `Credible`, `MaxInformation`, `Weights`, `SoftLabels`, `Attentive`,
        `Likely` or `Flip`; or its words on the command line, as in "top:0.7".

    Returns
    -------
    Filtered

    Raises
    ------
    ModelError
        Nothing is kept (the message gives the largest attentiveness), or the posterior has no votes.

    Notes
    -----
    A user is judged by all votes, a vote by the other votes of its user: users kept because their votes
    went to the stronger model would bias the labels towards it. A limit: votes of one user are judged one by
    one, so that two votes of a user support each other.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=500, votes_per_user=30, prior=emjax.TwoPoint(0.1, 0.9, 0.5))
    >>> fit = emjax.fit_em(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74))
    >>> kept = filter_votes(fit.posterior(sim.preferences), emjax.TopFraction(0.5))
    >>> abs(kept.n_votes_kept / kept.n_votes - 0.5) < 0.01
    True
    """
    policy = parse_policy(policy) if isinstance(policy, str) else policy
    if not isinstance(policy, Policy):
        raise ModelError(f'filter_votes takes a policy such as emjax.Weights() or "top:0.7"; got {policy!r}.')
    prefs = posterior.prefs
    if prefs is None:
        raise ModelError("this Posterior does not know the votes it was made from: use Fit.posterior(prefs).")
    votes = _kinds(prefs, policy)
    score, attentiveness = _judge(posterior, policy, votes)
    if policy.by_vote:
        attentive, score = _judged_by_what_they_say(posterior)
        votes = replace(votes, prob_attentive=attentive, prob_right=score)
    votes_by_user = prefs.votes_by_user()
    of_users = Scored(policy.score(posterior), posterior.mean, votes_by_user)
    users_kept, votes_kept = policy.choose(of_users, Scored(score, attentiveness, votes.count))
    if not votes_kept.any():
        raise ModelError(_nothing(posterior, policy, of_users.score, score, attentiveness))
    if policy.by_vote:
        users_kept = np.bincount(votes.user[votes_kept], minlength=prefs.n_users) > 0
    return Filtered(
        policy=policy,
        users=KeptUsers(posterior.users, votes_by_user, users_kept, posterior.mean, policy.weighs),
        votes=replace(votes, kept=votes_kept, attentiveness=attentiveness),
        notes=(*policy.notes(posterior), *([posterior.open_scale] if posterior.open_scale else [])),
        open_scale=posterior.open_scale,
    )


def _nothing(
    posterior: Posterior, policy: Policy, users: np.ndarray, votes: np.ndarray, attentiveness: np.ndarray
) -> str:
    """Why a policy kept nothing: the largest value of what it judges by."""
    looked_at = policy.looks_at(posterior)
    line = f"the largest {looked_at} is {users.max():.3f} of a user and {votes.max():.3f} of a vote"
    if policy.by_vote:
        return f"{policy!r} keeps no vote: the largest {looked_at} is {votes.max():.3f}; ask for less."
    mean = "" if looked_at == "posterior mean" else f" (posterior mean: {attentiveness.max():.3f})"
    return (
        f"{policy!r} keeps no vote: {line}{mean}; ask for less, or for a fraction, as TopFraction(0.7) does."
    )


def _weight(kept: np.ndarray, attentiveness: np.ndarray, weighs: bool) -> np.ndarray:
    return np.where(kept, np.maximum(attentiveness, 0.0) if weighs else 1.0, 0.0)


def _kinds(prefs: Preferences, policy: Policy) -> FilteredVotes:
    """The groups of equal votes, in small integers because there may be tens of millions; no ties."""
    n_decided = 4 if prefs.outcomes.sides else 2
    decided = prefs.counts[:, :n_decided]
    cell = np.flatnonzero(decided)
    row = cell // n_decided
    return FilteredVotes(
        user=_small(prefs.user, prefs.n_users)[row],
        comparison=_small(prefs.comparison, prefs.n_comparisons)[row],
        outcome=(cell % n_decided).astype(np.int8),
        count=decided.ravel()[cell],
        kept=np.zeros(0, bool),
        attentiveness=np.zeros(0),
        weighs=policy.weighs,
        flips=policy.flips,
    )


def _judged_by_what_they_say(posterior: Posterior) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each group of votes for one side that it was attentive, and that it is right."""
    one = vote_posteriors(posterior)
    decided = one.outcome < (4 if one.prefs.outcomes.sides else 2)  # ties come after
    right = one.prob_right[decided]
    if np.isnan(right).any():
        raise ModelError("no user is attentive in this fit, so that no vote is likelier right than another.")
    return one.prob_attentive[decided], right


def _small(index: np.ndarray, size: int) -> np.ndarray:
    return index.astype(np.int32) if size < 2**31 else index


def _judge(posterior: Posterior, policy: Policy, votes: FilteredVotes) -> tuple[np.ndarray, np.ndarray]:
    """The policy's score and E[η] of each group of votes, one vote of the group left out."""
    first, of_kind = _distinct(posterior, votes)
    score, attentiveness = np.empty(len(first)), np.empty(len(first))
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK]
        other = posterior.leave_one_out(
            votes.user[block],
            votes.comparison[block],
            votes.outcome[block],
            np.minimum(votes.count[block], 1.0),
        )
        score[start : start + _BLOCK] = policy.score(other)
        attentiveness[start : start + _BLOCK] = other.mean
    if of_kind is None:
        return score, attentiveness
    return score[of_kind], attentiveness[of_kind]


def _distinct(posterior: Posterior, votes: FilteredVotes) -> tuple[np.ndarray, np.ndarray | None]:
    """One group for each distinct posterior, and the number of each group's (None: each its own).

    Users with the same votes share a row; so do their votes. Posteriors are numbered by a table of all there
    could be, if it is small; without many shared rows it is not, and nothing would be gained.
    """
    comparisons = int(votes.comparison.max()) + 1
    possible = len(posterior.probabilities) * comparisons * _DECIDED
    if possible > votes.count.size or np.any(votes.count < 1.0):
        return np.arange(votes.count.size), None
    row = posterior.row[votes.user].astype(np.int64)
    key = (row * comparisons + votes.comparison) * _DECIDED + votes.outcome
    first = np.full(possible, -1)
    first[key[::-1]] = np.arange(key.size)[::-1]  # the last one written is the first of its posterior
    there = np.flatnonzero(first >= 0)
    rank = np.empty(possible, np.int64)
    rank[there] = np.arange(there.size)
    return first[there], rank[key]
