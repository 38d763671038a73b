"""Posterior probabilities of single votes: was it attentive, and is it right."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emjax.data.preferences import Preferences
from emjax.data.read import as_frame
from emjax.errors import ModelError
from emjax.model.posterior import Posterior

_BLOCK = 1 << 15  # kinds of votes looked at together
# Each outcome with its winner exchanged, by the number of outcomes.
_OTHER_WINNER = {2: [1, 0], 3: [1, 0, 2], 4: [1, 0, 3, 2], 6: [1, 0, 3, 2, 4, 5]}


@dataclass(frozen=True, eq=False, repr=False)
class SingleVotes:
    """What is known of each kind of vote: a user, a comparison and an outcome.

    Attributes
    ----------
    user, comparison, outcome : (n,) int
        Positions among the users, the comparisons and the outcomes of `prefs`.
    count : (n,) votes of the kind
    prob_attentive : (n,) probability that this vote is an attentive one
    prob_right : (n,) probability that the vote is what a look at the two answers would have said: an
        attentive vote is (that of a user below 0 is the opposite), a careless one by chance; NaN where
        no user looks at anything
    prefs : Preferences

    Notes
    -----
    `prob_attentive` is not the user's attentiveness: of a user who looks half of the time, votes for the
    answer that is clearly the better one are more likely attentive ones than votes for the other.

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([6], [10])
    >>> half = emjax.Fixed(emjax.Points(1, points=[0.5]))
    >>> fit = emjax.fit_em(prefs, half, strength=emjax.Known(0.9))
    >>> emjax.single_votes(fit.posterior(prefs))
    10 votes in 2 groups: 45.2% attentive, 67.9% as in an attentive vote
    """

    user: np.ndarray
    comparison: np.ndarray
    outcome: np.ndarray
    count: np.ndarray
    prob_attentive: np.ndarray
    prob_right: np.ndarray
    prefs: Preferences

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The columns of `table`, as arrays."""
        prefs = self.prefs
        of = prefs.comparisons[self.comparison]
        pair = {"model_a": of[:, 0], "model_b": of[:, 1]} if prefs.has_models else {"comparison": of}
        context = {} if prefs.contexts is None else {"context": prefs.contexts[self.comparison]}
        return {
            "user": prefs.users[self.user],
            **pair,
            **context,
            "outcome": np.array(prefs.outcomes.names, dtype=object)[self.outcome],
            "n_votes": self.count,
            "prob_attentive": self.prob_attentive,
            "prob_right": self.prob_right,
        }

    def table(self) -> Any:
        """One row per kind of vote, in the kind of table the votes came in.

        Columns: user, model_a and model_b (or comparison), context where votes have one, outcome, n_votes,
        prob_attentive, prob_right.
        """
        return as_frame(self.columns, self.prefs.frame)

    def __repr__(self) -> str:
        total = self.count.sum()
        looked, right = ((self.count @ x) / total for x in (self.prob_attentive, self.prob_right))
        return (
            f"{total:,.10g} votes in {len(self.count):,} groups: {looked:.1%} attentive, {right:.1%} as in "
            f"an attentive vote"
        )


def single_votes(posterior: Posterior) -> SingleVotes:
    """For each vote, the probability that it was an attentive one, and that it is right.

    Parameters
    ----------
    posterior : Posterior
        As `Fit.posterior` gives it: it knows its votes.

    Returns
    -------
    SingleVotes

    Raises
    ------
    ModelError
        The posterior knows no votes; or attentiveness is no share of votes there (`Sharpness`, full Bayes).

    Notes
    -----
    With c_o the probability of o in a careless vote, a vote of a user at η was attentive with probability
    1 − (1 − η) c_o / P(o | η), where features of votes make η what it is in this one; that is averaged over
    the user's posterior, to which the vote itself belongs. Strengths are taken as known. A limit: within one
    comparison (and kind of votes) nothing but the outcome sets votes apart, so votes of a user for the same
    model there share one probability. Under `Latent` strengths, what the others
    say of an item is the average over those who gave the same outcome, and a user's several votes on one item
    are judged as if they were on several.

    Source: Cai & Li (arXiv 2510.13830), for the mixture; their open question of attentiveness per sample.

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([6], [10])
    >>> half = emjax.Fixed(emjax.Points(1, points=[0.5]))
    >>> fit = emjax.fit_em(prefs, half, strength=emjax.Known(0.9))
    >>> emjax.single_votes(fit.posterior(prefs)).prob_attentive.round(3)
    array([0.643, 0.167])
    """
    prefs, careless = posterior.prefs, posterior.careless
    if prefs is None or posterior.log_votes is None:
        raise ModelError("this Posterior does not know the votes it was made from: use Fit.posterior(prefs).")
    if careless is None:
        raise ModelError(
            "this Posterior is of a model in which attentiveness is not the share of attentive votes: fit "
            "AttentiveOrRandom with fit_em."
        )
    cell = np.flatnonzero(prefs.counts)
    row, outcome = np.divmod(cell, prefs.counts.shape[1])
    user, comparison = prefs.user[row], prefs.comparison[row]
    looked, told = np.empty((2, len(cell)))
    known = posterior.log_votes if posterior.log_left is None else posterior.log_left
    meant = posterior.eta > 0.0
    decided = prefs.counts.shape[1] - (prefs.counts.shape[1] // 3 if prefs.outcomes.ties else 0)
    for start in range(0, len(cell), _BLOCK):
        part = slice(start, start + _BLOCK)
        chance = np.exp(known[comparison[part], outcome[part]])
        without = posterior.looking(comparison[part])[1] * careless[outcome[part], None] / chance
        by_node = posterior.probabilities[posterior.row[user[part]]] * (1.0 - without)
        looked[part] = by_node.sum(axis=1)
        # An attentive vote for the worse answer is wrong; a tie is right for every user.
        told[part] = np.where(outcome[part] < decided, by_node @ meant, looked[part])
    looked, told = looked.clip(0.0, 1.0), told.clip(0.0, 1.0)
    return SingleVotes(
        user=user,
        comparison=comparison,
        outcome=outcome,
        count=prefs.counts.ravel()[cell],
        prob_attentive=looked,
        prob_right=told + (1.0 - looked) * _by_a_look(posterior, known, careless)[comparison, outcome],
        prefs=prefs,
    )


def _by_a_look(posterior: Posterior, known: np.ndarray, careless: np.ndarray) -> np.ndarray:
    """(C, O) P(outcome | a look): the chance at the η farthest from 0 is a mixture of it and `careless`."""
    at = int(np.argmax(np.abs(posterior.eta)))
    if abs(posterior.eta[at]) < 1e-9:  # where nobody looks, nobody's votes say what a look would
        return np.full(known.shape[:2], np.nan)
    eta, idle = (x[:, at, None] for x in posterior.looking(np.arange(len(known))))
    # Where features make looks all but impossible nothing is seen of them, and chance is what is left.
    seen = (np.exp(known[:, :, at]) - idle * careless[None, :]) / np.maximum(np.abs(eta), 1e-9)
    by_a_look = np.where(np.abs(eta) < 1e-9, careless[None, :], seen).clip(0.0, 1.0)
    return by_a_look if posterior.eta[at] > 0.0 else by_a_look[:, _OTHER_WINNER[known.shape[1]]]
