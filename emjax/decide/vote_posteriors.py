"""Posterior probabilities of single votes: was it attentive, and is it right."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emjax.data.comparison_table import contexts_as_listed
from emjax.data.preferences import Preferences
from emjax.data.write import as_frame
from emjax.errors import ModelError
from emjax.model.posterior import Posterior

_BLOCK = 1 << 15  # groups of votes processed together
# Each outcome with its winner exchanged, by the number of outcomes.
_OTHER_WINNER = {2: [1, 0], 3: [1, 0, 2], 4: [1, 0, 3, 2], 6: [1, 0, 3, 2, 4, 5]}


@dataclass(frozen=True, eq=False, repr=False)
class VotePosteriors:
    """Posterior probabilities of each group of equal votes: one user, one comparison, one outcome.

    Attributes
    ----------
    user, comparison, outcome : (n,) int
        Positions among the users, the comparisons and the outcomes of `prefs`.
    count : (n,) votes of the group
    prob_attentive : (n,) probability that this vote is an attentive one
    prob_right : (n,) probability that the vote agrees with an attentive one: an attentive vote does (that
        of an adversarial user, with η below 0, is the opposite), a careless one by chance; NaN where no
        user is attentive
    prefs : Preferences

    Notes
    -----
    `prob_attentive` is not the user's attentiveness: of a user who is attentive half of the time, votes
    for the answer that is clearly the better one are more likely attentive ones than votes for the other.

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([6], [10])
    >>> half = emjax.Fixed(emjax.Points(1, points=[0.5]))
    >>> fit = emjax.fit_em(prefs, half, strength=emjax.Known(0.9))
    >>> emjax.vote_posteriors(fit.posterior(prefs))
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
        context = (
            {} if prefs.contexts is None else {"context": contexts_as_listed(prefs.table)[self.comparison]}
        )
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
        """One row per group of equal votes, in the type of table the votes came in.

        Columns: user, model_a and model_b (or comparison), context where votes have one, outcome, n_votes,
        prob_attentive, prob_right.
        """
        return as_frame(self.columns, self.prefs.frame)

    def __repr__(self) -> str:
        total = self.count.sum()
        attentive, right = ((self.count @ x) / total for x in (self.prob_attentive, self.prob_right))
        return (
            f"{total:,.10g} votes in {len(self.count):,} groups: {attentive:.1%} attentive, {right:.1%} "
            f"as in an attentive vote"
        )


def vote_posteriors(posterior: Posterior) -> VotePosteriors:
    """For each vote, the probability that it was an attentive one, and that it is right.

    Parameters
    ----------
    posterior : Posterior
        As `Fit.posterior` gives it, with its votes.

    Returns
    -------
    VotePosteriors

    Raises
    ------
    ModelError
        The posterior has no votes; or attentiveness is not a share of votes there (`Sharpness`, full Bayes).

    Notes
    -----
    With c_o the probability of o in a careless vote, a vote of a user at η was attentive with probability
    1 − (1 − η) c_o / P(o | η), where features of votes make η what it is in this one; that is averaged over
    the user's posterior, to which the vote itself belongs. Strengths are taken as known. A limit: within one
    comparison (and stratum) votes differ by their outcome alone, so votes of a user for the same model there
    share one probability. Under `PerItem` strengths, what the others
    say of an item is the average over those who gave the same outcome, and a user's several votes on one item
    are judged as if they were on several.

    Source: Cai & Li (arXiv 2510.13830), for the mixture; their open question of attentiveness per sample.

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([6], [10])
    >>> half = emjax.Fixed(emjax.Points(1, points=[0.5]))
    >>> fit = emjax.fit_em(prefs, half, strength=emjax.Known(0.9))
    >>> emjax.vote_posteriors(fit.posterior(prefs)).prob_attentive.round(3)
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
    attentive, agreeing = np.empty((2, len(cell)))
    known = posterior.log_votes if posterior.log_left is None else posterior.log_left
    meant = posterior.eta > 0.0
    decided = prefs.counts.shape[1] - (prefs.counts.shape[1] // 3 if prefs.outcomes.ties else 0)
    for start in range(0, len(cell), _BLOCK):
        part = slice(start, start + _BLOCK)
        chance = np.exp(known[comparison[part], outcome[part]])
        without = posterior.looking(comparison[part])[1] * careless[outcome[part], None] / chance
        by_node = posterior.probabilities[posterior.row[user[part]]] * (1.0 - without)
        attentive[part] = by_node.sum(axis=1)
        # An attentive vote for the worse answer is wrong; a tie is right for every user.
        agreeing[part] = np.where(outcome[part] < decided, by_node @ meant, attentive[part])
    attentive, agreeing = attentive.clip(0.0, 1.0), agreeing.clip(0.0, 1.0)
    return VotePosteriors(
        user=user,
        comparison=comparison,
        outcome=outcome,
        count=prefs.counts.ravel()[cell],
        prob_attentive=attentive,
        prob_right=agreeing
        + (1.0 - attentive) * _in_attentive_votes(posterior, known, careless)[comparison, outcome],
        prefs=prefs,
    )


def _in_attentive_votes(posterior: Posterior, known: np.ndarray, careless: np.ndarray) -> np.ndarray:
    """(C, O) P(outcome | attentive vote): at the η farthest from 0 chances mix it with `careless`."""
    at = int(np.argmax(np.abs(posterior.eta)))
    if abs(posterior.eta[at]) < 1e-9:  # no user is attentive: there is nothing to agree with
        return np.full(known.shape[:2], np.nan)
    eta, idle = (x[:, at, None] for x in posterior.looking(np.arange(len(known))))
    # Where features make attentive votes all but impossible, the chances of careless ones are used.
    seen = (np.exp(known[:, :, at]) - idle * careless[None, :]) / np.maximum(np.abs(eta), 1e-9)
    in_attentive = np.where(np.abs(eta) < 1e-9, careless[None, :], seen).clip(0.0, 1.0)
    return in_attentive if posterior.eta[at] > 0.0 else in_attentive[:, _OTHER_WINNER[known.shape[1]]]
