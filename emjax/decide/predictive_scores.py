"""Predictive scores on held-out votes: log score and reliability curve."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from emjax.data.comparison_table import called, labels, turned
from emjax.data.ids import union_ids
from emjax.data.preferences import Preferences
from emjax.errors import ModelError
from emjax.model.posterior import Posterior

_BLOCK = 1 << 15  # votes whose posteriors are in memory at once
_TAIL = 0.975  # all intervals hold 95 %
_NEITHER = 1e-9  # a probability this close to ½ favours neither side


@dataclass(frozen=True)
class PerVote:
    """A mean over votes, with how sure it is.

    Attributes
    ----------
    mean : float
    std_err : float
        Clustered by user; NaN with one user.
    lower, upper : float
        95 % interval, by Student's t with one degree of freedom less than there are users.

    Examples
    --------
    >>> PerVote(mean=-0.6, std_err=0.01, lower=-0.62, upper=-0.58).mean
    -0.6
    """

    mean: float
    std_err: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Reliability:
    """Observed share of wins of the favoured side per bin of its predicted probability.

    Attributes
    ----------
    predicted : (k,) mean predicted probability of the favoured side, ½ to 1, ascending
    observed : (k,) share of votes that went to it
    lower, upper : (k,) 95 % interval of `observed`: Wilson's, with as many votes as the users are worth
    n_votes, n_users : (k,) votes in the bin, and users who cast them

    Notes
    -----
    Votes of one user depend on each other, so they are counted down to the number that would give the same
    standard error if they did not. With a handful of users in a bin the interval is too short.

    Examples
    --------
    >>> import emjax, numpy as np
    >>> seen = np.array([0.8, 0.8, 0.2, 0.8])  # probability given to each vote that was cast
    >>> emjax.Calibration(np.arange(4), np.ones(4), {"mine": seen}).reliability["mine"].observed
    array([0.75])
    """

    predicted: np.ndarray
    observed: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_votes: np.ndarray
    n_users: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Predictions of held-out votes, by one predictor or several.

    Made by `emjax.cross_validate` and `emjax.score_votes`.

    Attributes
    ----------
    user : (n,) int, who cast each vote
    count : (n,) how many votes of that outcome
    probability : mapping of str to (n,)
        By predictor, the probability that it gave to the vote that was cast. The first is the one of
        interest; the others are what it is compared with.
    ties : bool
        Whether ties are among the votes: then there is a log score, and no favoured side to speak of.

    Notes
    -----
    Standard errors and intervals allow for votes of one user depending on each other. They take the
    predictions as they are: another split, or other votes to learn from, would give slightly other ones.

    Examples
    --------
    >>> import numpy as np
    >>> seen = {"mine": np.array([0.9, 0.6, 0.8]), "a coin": np.full(3, 0.5)}
    >>> round(Calibration(np.arange(3), np.ones(3), seen).gains["a coin"].mean, 3)
    0.41
    """

    user: np.ndarray
    count: np.ndarray
    probability: Mapping[str, np.ndarray]
    ties: bool = False

    @property
    def n_votes(self) -> float:
        """Number of votes predicted."""
        return float(self.count.sum())

    @property
    def n_users(self) -> int:
        """Users who cast them."""
        return np.unique(self.user).size

    @cached_property
    def log_scores(self) -> dict[str, PerVote]:
        """Log score per vote of each predictor, in nats; higher is better, a coin has log ½ = −0.693."""
        return {name: self._mean(np.log(seen)) for name, seen in self.probability.items()}

    @cached_property
    def gains(self) -> dict[str, PerVote]:
        """Log score that the first predictor gains on each of the others per vote: paired, vote by vote."""
        (_, own), *others = self.probability.items()
        return {name: self._mean(np.log(own) - np.log(seen)) for name, seen in others}

    @cached_property
    def overconfidence(self) -> dict[str, PerVote]:
        """Mean predicted probability of the favoured side, less the share of votes that went to it.

        Above 0 where a predictor is overconfident. Where it favours neither side, half the votes count
        as right.
        """
        self._refuse_ties("overconfidence")
        return {
            name: self._mean(np.maximum(seen, 1.0 - seen) - np.where(_even(seen), 0.5, seen > 0.5))
            for name, seen in self.probability.items()
        }

    @cached_property
    def reliability(self) -> dict[str, Reliability]:
        """Reliability curve of each predictor, in steps of 0.05 of the predicted probability.

        Votes where it favours neither side are not in it.
        """
        self._refuse_ties("reliability")
        return {name: self._reliability(seen) for name, seen in self.probability.items()}

    def _refuse_ties(self, what: str) -> None:
        if self.ties:
            raise ModelError(
                f"{what} needs votes for one of two sides, and ties are among these: use log_scores."
            )

    def _mean(self, score: np.ndarray) -> PerVote:
        size, total = self._by_user(self.count), self._by_user(self.count * score)
        mean = float(total.sum() / size.sum())
        users = size.size
        if users < 2:
            return PerVote(mean, np.nan, np.nan, np.nan)
        error = float(np.sqrt(users / (users - 1) * ((total - mean * size) ** 2).sum()) / size.sum())
        half = float(stdtrit(users - 1, _TAIL)) * error
        return PerVote(mean, error, mean - half, mean + half)

    @cached_property
    def _place(self) -> np.ndarray:
        return np.unique(self.user, return_inverse=True)[1]

    def _by_user(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._place, values)

    def _reliability(self, seen: np.ndarray, bins: int = 10) -> Reliability:
        favoured = np.maximum(seen, 1.0 - seen)
        hit = self.count * (seen > 0.5)
        at = np.minimum((favoured - 0.5) * 2 * bins, bins - 1).astype(int)
        at[_even(seen)] = -1
        rows = []
        for one in np.unique(at[at >= 0]):
            there = at == one
            user, count = np.unique(self._place[there], return_inverse=True)[1], self.count[there]
            hits, votes = np.bincount(user, hit[there]), np.bincount(user, count)
            lower, upper = _share_interval(hits, votes)
            predicted = float(np.average(favoured[there], weights=count))
            rows.append((predicted, hits.sum() / votes.sum(), lower, upper, votes.sum(), float(votes.size)))
        return Reliability(*np.array(rows).reshape(-1, 6).T)

    def __repr__(self) -> str:
        width = max(len(name) for name in self.probability)
        lines = [
            f"Calibration on {self.n_votes:,.10g} votes of {self.n_users:,} users, held out from "
            "the predictors",
            f"  {'log score per vote':<{width + 1}}   mean (std. err.)    gain on it (95 % interval)",
        ]
        for name, score in self.log_scores.items():
            line = f"  {name:<{max(width, 18)}}  {score.mean:.4f} ({score.std_err:.4f})"
            if name in self.gains:
                gain = self.gains[name]
                line += f"     {gain.mean:+.4f} ({gain.lower:+.4f} to {gain.upper:+.4f})"
            lines.append(line)
        return "\n".join(lines)


def score_votes(posterior: Posterior, prefs: Preferences) -> Calibration:
    """Score a posterior on new votes that it was not fitted to.

    Parameters
    ----------
    posterior : Posterior
        As `Fit.posterior` gives it for the observed votes.
    prefs : Preferences
        New votes, of users and comparisons among those of the posterior.

    Returns
    -------
    Calibration
        With one predictor, "attentiveness": the probability of a vote is Σ_g w_jg P(vote | μ_c, η_g), w_jg
        the posterior of its user.

    Raises
    ------
    ModelError
        When users or comparisons are unknown to the posterior, or it does not know its votes.

    Notes
    -----
    Nothing can check that the votes are new: votes that were used in the fit score too well.
    `emjax.cross_validate` splits votes itself.

    Examples
    --------
    >>> import emjax
    >>> seen = emjax.Preferences.from_counts([9, 5, 1], [10, 10, 10])
    >>> fit = emjax.fit_em(seen, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.9))
    >>> new = emjax.Preferences.from_counts([1, 1, 0], [1, 1, 1])
    >>> score_votes(fit.posterior(seen), new).n_votes
    3.0
    """
    if posterior.prefs is None or posterior.log_votes is None:
        raise ModelError("this Posterior does not know the votes it was made from: use Fit.posterior(prefs).")
    user, comparison, outcome, count = held_out_votes(prefs)
    at = _users_of(posterior, prefs)[user]
    if prefs.outcomes != posterior.prefs.outcomes:
        raise ModelError(
            "the posterior was made from votes with other outcomes: read both with the same ties "
            "and shown_first."
        )
    place, turn = _comparisons_of(posterior.prefs, prefs)
    outcome = np.where(turn[comparison] == 1, np.array(prefs.outcomes.mirror)[outcome], outcome)
    seen = probability_of_votes(posterior, at, place[comparison], outcome)
    return Calibration(user, count, {"attentiveness": seen}, ties=prefs.outcomes.ties)


def held_out_votes(prefs: Preferences) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """User, comparison, outcome (0 if A won) and count of each group of equal votes, each (n,)."""
    cell = np.flatnonzero(prefs.counts)
    row, outcome = np.divmod(cell, prefs.outcomes.n)
    return prefs.user[row], prefs.comparison[row], outcome, prefs.counts.ravel()[cell]


def probability_of_votes(
    posterior: Posterior, user: np.ndarray, comparison: np.ndarray, outcome: np.ndarray
) -> np.ndarray:
    """(n,) predictive probability Σ_g w_jg P(o | μ_c, η_g) of votes, from positions as in the posterior."""
    assert posterior.log_votes is not None
    chance, row = np.exp(posterior.log_votes), posterior.row[user]
    n_rows, terms = len(posterior.probabilities), chance.shape[0] * chance.shape[1]
    if n_rows * terms <= row.size:  # few distinct users and comparisons: all there could be, looked up
        full = posterior.probabilities @ chance.reshape(terms, -1).T
        return full[row, comparison * chance.shape[1] + outcome]
    seen = np.empty(row.size)
    for start in range(0, row.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        node = chance[comparison[part], outcome[part]]
        seen[part] = np.einsum("ng,ng->n", posterior.probabilities[row[part]], node)
    return seen


def _users_of(posterior: Posterior, prefs: Preferences) -> np.ndarray:
    """Position in the posterior of each user of `prefs`; only those with votes need be there."""
    both, known, wanted = union_ids(posterior.users, prefs.users)
    place = np.full(both.size, -1)
    place[known] = np.arange(known.size)
    place = place[wanted]
    absent = np.unique(prefs.user[place[prefs.user] < 0])
    if absent.size:
        first = ", ".join(str(prefs.users[i]) for i in absent[:3])
        raise ModelError(
            f"{absent.size:,} users of these votes are not in the posterior, first {first}: leave them out."
        )
    return place


def _comparisons_of(seen: Preferences, prefs: Preferences) -> tuple[np.ndarray, np.ndarray]:
    """Place of each comparison of `prefs` among those of the fit, and 1 where it is the other way round."""
    where: dict = {}
    for i, label in enumerate(labels(seen.table)):
        where[label] = (i, 0)
        if isinstance(label, tuple):
            where[turned(label)] = (i, 1)
    asked = labels(prefs.table)
    missing = [label for label in asked if label not in where]
    if missing:
        first = ", ".join(called(label) for label in missing[:3])
        raise ModelError(
            f"{len(missing):,} comparisons of these votes are not in the posterior, first {first}: leave "
            "them out."
        )
    place, turn = np.array([where[label] for label in asked]).reshape(-1, 2).T
    return place, turn


def _even(seen: np.ndarray) -> np.ndarray:
    return np.abs(seen - 0.5) < _NEITHER


def _share_interval(hits: np.ndarray, votes: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of a share, with clusters: both arrays are sums per user."""
    n, users = votes.sum(), votes.size
    share = hits.sum() / n
    binomial = share * (1.0 - share) / n
    size = n
    if users > 1 and binomial > 0:
        clustered = users / (users - 1) * ((hits - share * votes) ** 2).sum() / n**2
        size = n / max(1.0, clustered / binomial)
    z = float(stdtrit(np.inf, _TAIL))
    centre = (share + 0.5 * z**2 / size) / (1.0 + z**2 / size)
    half = z * np.sqrt(share * (1.0 - share) / size + 0.25 * (z / size) ** 2) / (1.0 + z**2 / size)
    return float(np.clip(centre - half, 0.0, share)), float(np.clip(centre + half, share, 1.0))
