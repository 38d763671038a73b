"""Policies: which users and votes to keep, and with what weight."""

import abc
from dataclasses import dataclass

import numpy as np

from emjax.decide.information_curve import DECIMALS, information_curve
from emjax.errors import ModelError
from emjax.model.posterior import Posterior

_LEANS = (
    "votes are judged by their outcome, too: those for the stronger side are likelier right, so labels "
    "favour that side more than users do"
)


@dataclass(frozen=True, eq=False)
class Scored:
    """What a policy is given: users, or votes that share a posterior.

    Attributes
    ----------
    score : (n,) what the policy judges by; higher is better
    attentiveness : (n,) E[η]
    size : (n,) votes
    """

    score: np.ndarray
    attentiveness: np.ndarray
    size: np.ndarray


class Policy(abc.ABC):
    """Interface of all policies: the score of an entry, and which entries are kept."""

    def score(self, posterior: Posterior) -> np.ndarray:
        """(m,) what the policy judges by: the posterior mean, unless a policy says otherwise."""
        return posterior.mean

    def looks_at(self, posterior: Posterior) -> str:
        """What `score` is, in words."""
        return "posterior mean"

    @abc.abstractmethod
    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        """Masks of the users and of the votes to keep."""

    @property
    def weighs(self) -> bool:
        """Whether a vote's weight is its attentiveness, and not one."""
        return False

    @property
    def flips(self) -> bool:
        """Whether votes of adversarial users, who choose the worse answer, have their winner exchanged."""
        return False

    @property
    def graded(self) -> bool:
        """Whether votes count the more the more attentive they are, by a weight or in the loss."""
        return False

    @property
    def by_vote(self) -> bool:
        """Whether votes are judged one by one, by their outcome too, and not by their user alone."""
        return False

    def notes(self, posterior: Posterior) -> tuple[str, ...]:
        """Notes on how to read the result."""
        return ()


@dataclass(frozen=True)
class Threshold(Policy):
    """Keep what has a maximum a posteriori attentiveness of at least `at`: the paper's rule.

    Under a prior with two or more points that is a decision between the points: the likeliest one counts.

    Parameters
    ----------
    at : float
        Between 0 and 1.

    Notes
    -----
    Where the posterior density is infinite at an end it has no meaningful mode; the posterior mean is used,
    and a note says so. A limit: a fixed threshold presumes that the scale of attentiveness is known, which
    votes in few comparisons do not tell; fractions do not depend on it.

    Source: Cai & Li, arXiv 2510.13830.

    Examples
    --------
    >>> Threshold(0.5)
    Threshold(at=0.5)
    """

    at: float = 0.5

    def __post_init__(self) -> None:
        _check_share(self.at, "Threshold(at)")

    def score(self, posterior: Posterior) -> np.ndarray:
        return posterior.mode if posterior.has_mode else posterior.mean

    def looks_at(self, posterior: Posterior) -> str:
        return "posterior mode" if posterior.has_mode else "posterior mean"

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        return users.score >= self.at, votes.score >= self.at

    def notes(self, posterior: Posterior) -> tuple[str, ...]:
        if posterior.has_mode:
            return ()
        reason = "the fitted density of attentiveness is infinite at an end, where it has no meaningful mode"
        return (f"the threshold is on the posterior mean, because {reason}",)


@dataclass(frozen=True)
class TopFraction(Policy):
    """Keep the given fraction of the votes, or of the users: those of the highest posterior mean.

    Parameters
    ----------
    fraction : float
        Above 0, at most 1.
    of : {"votes", "users"}
        What the fraction is of.

    Notes
    -----
    Of votes: the best votes, each judged by its user's other votes, until the fraction is met; users are then
    held to the same cut. Of users: the best users, and of all votes those that reach the same cut. Ties at
    the cut are broken by a fixed permutation of positions, independent of names and outcomes. A limit:
    votes of one user for one side of one comparison stay together, so that the fraction can be missed by half
    as many votes.

    Examples
    --------
    >>> TopFraction(0.7)
    TopFraction(fraction=0.7, of='votes')
    """

    fraction: float
    of: str = "votes"

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ModelError(
                f"TopFraction needs a share above 0, at most 1, such as 0.7; got {self.fraction!r}."
            )
        if self.of not in ("votes", "users"):
            raise ModelError(f'TopFraction(of) is "votes" or "users"; got {self.of!r}.')

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        if self.of == "users":
            kept = _top(users.attentiveness, np.ones(len(users.attentiveness)), self.fraction)
            return kept, _reaching(votes, users.attentiveness[kept].min())
        kept = _top(votes.attentiveness, votes.size, self.fraction)
        if not kept.any():
            return np.zeros(len(users.score), bool), kept
        return _reaching(users, votes.attentiveness[kept].min()), kept


@dataclass(frozen=True)
class Credible(Policy):
    """Keep what has an attentiveness of at least `at` with a posterior probability of at least `probability`.

    Parameters
    ----------
    at, probability : float
        Between 0 and 1.

    Notes
    -----
    Stricter than a threshold for users with few votes: it keeps only users with enough informative votes. The
    probability is under the fitted prior, whose own uncertainty is not in it.

    Examples
    --------
    >>> Credible(0.5, 0.9)
    Credible(at=0.5, probability=0.9)
    """

    at: float = 0.5
    probability: float = 0.9

    def __post_init__(self) -> None:
        _check_share(self.at, "Credible(at)")
        _check_share(self.probability, "Credible(probability)")

    def score(self, posterior: Posterior) -> np.ndarray:
        return posterior.prob_above(self.at)

    def looks_at(self, posterior: Posterior) -> str:
        return f"probability of an attentiveness of at least {self.at:g}"

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        return users.score >= self.probability, votes.score >= self.probability


@dataclass(frozen=True)
class MaxInformation(Policy):
    """Keep the votes above the threshold on E[η] at which most is told about the direction of the reward.

    Notes
    -----
    The best of all filters by a threshold, in the account of `information_curve`; weights do better still.
    It answers which way the reward points. How far a policy moves at a fixed β is another matter, and there
    stricter filters look better than they are.

    Examples
    --------
    >>> MaxInformation()
    MaxInformation()
    """

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        curve = information_curve(votes.attentiveness, votes.size)
        cut = curve.attentiveness[curve.best]
        return _reaching(users, cut), _reaching(votes, cut)


class _Everyone(Policy):
    """Policies that keep every vote."""

    @property
    def graded(self) -> bool:
        return True

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(users.score), bool), np.ones(len(votes.score), bool)


@dataclass(frozen=True)
class _ByUserOrVote(_Everyone):
    """What every vote is given can be its user's, or its own."""

    by: str = "user"

    def __post_init__(self) -> None:
        if self.by not in ("user", "vote"):
            raise ModelError(f'{type(self).__name__}(by) is "user" or "vote"; got {self.by!r}.')

    @property
    def by_vote(self) -> bool:
        return self.by == "vote"

    def notes(self, posterior: Posterior) -> tuple[str, ...]:
        return (_LEANS,) if self.by_vote else ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'by=' + repr(self.by) if self.by_vote else ''})"


@dataclass(frozen=True, repr=False)
class Weights(_ByUserOrVote):
    """Keep every vote, with weight E[η]: no threshold tells more about the direction of the reward.

    Parameters
    ----------
    by : {"user", "vote"}
        With "vote" the weight is the probability that this very vote was an attentive one.

    Notes
    -----
    A limit: a trainer without weights ignores them; rows can be resampled by weight for such a trainer.
    By vote, votes for the stronger side weigh more (see `Likely`).

    Examples
    --------
    >>> Weights().weighs
    True
    """

    @property
    def weighs(self) -> bool:
        return True


@dataclass(frozen=True, repr=False)
class SoftLabels(_ByUserOrVote):
    """Keep every vote, with the label 1 − ε, where ε = (1 − E[η])/2 is the rate of careless flips.

    Parameters
    ----------
    by : {"user", "vote"}
        With "vote" the label is the probability that the vote agrees with an attentive one.

    Notes
    -----
    A limit: soft labels pull margins to a finite value, and so keep a policy nearer to the reference than
    noise-free labels do. By vote, labels favour the stronger side (see `Likely`).

    Examples
    --------
    >>> SoftLabels()
    SoftLabels()
    """


@dataclass(frozen=True)
class Likely(Policy):
    """Keep the votes that are right with at least some probability, each judged by its outcome too.

    Parameters
    ----------
    at : float
        Between 0 and 1: least probability that a vote agrees with an attentive one (`vote_posteriors`).

    Notes
    -----
    For strengths that differ from one pair of answers to the next (`PerItem`, strengths by topic). A limit: a
    vote for the stronger side is likelier right, whichever user cast it, so that labels favour that side
    more than users do; with one strength for all prompts hardly any other vote is kept.

    Examples
    --------
    >>> Likely(0.8)
    Likely(at=0.8)
    """

    at: float = 0.8

    def __post_init__(self) -> None:
        _check_share(self.at, "Likely(at)")

    @property
    def by_vote(self) -> bool:
        return True

    def looks_at(self, posterior: Posterior) -> str:
        return "probability that a vote is right"

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(users.score), bool), votes.score >= self.at

    def notes(self, posterior: Posterior) -> tuple[str, ...]:
        return (_LEANS,)


@dataclass(frozen=True)
class Attentive(_Everyone):
    """Keep every vote, and pass E[η] to the attentive loss, −log(η σ(βh) + (1 − η)/2).

    Notes
    -----
    The recommended policy where the trainer is `emjax.train.AttentiveDPOTrainer`: it undoes the shrinkage
    that careless labels cause, and throws nothing away. Limits: a trainer without that loss ignores it, and
    where one model is better almost always (μ near 1), or η comes out far too small, `Weights` is safer.

    Examples
    --------
    >>> Attentive()
    Attentive()
    """


@dataclass(frozen=True)
class Flip(Policy):
    """Keep what is far from careless, and exchange the winner in votes of users who choose the worse answer.

    Parameters
    ----------
    at : float
        Least size of E[η] to keep, between 0 and 1. Votes with a negative E[η] change their winner.

    Notes
    -----
    For priors that reach below 0, as ``Grid(low=-1)`` does: their users choose the worse answer, which is as
    informative as the better one. A limit: few votes seldom separate adversarial from careless users, so a
    flipped vote of a user with few votes may make a wrong label of a random one. Never a default.

    Examples
    --------
    >>> Flip(0.5)
    Flip(at=0.5)
    """

    at: float = 0.5

    def __post_init__(self) -> None:
        _check_share(self.at, "Flip(at)")

    @property
    def flips(self) -> bool:
        return True

    def score(self, posterior: Posterior) -> np.ndarray:
        return np.abs(posterior.mean)

    def looks_at(self, posterior: Posterior) -> str:
        return "size of the posterior mean"

    def choose(self, users: Scored, votes: Scored) -> tuple[np.ndarray, np.ndarray]:
        return users.score >= self.at, votes.score >= self.at


def _check_share(value: float, owner: str) -> None:
    if not 0 <= value <= 1:
        raise ModelError(f"{owner} lies between 0 and 1; got {value!r}.")


def _reaching(scored: Scored, cut: float) -> np.ndarray:
    """Mask of what reaches a cut that is itself the attentiveness of an entry."""
    return np.round(scored.attentiveness, DECIMALS) >= np.round(cut, DECIMALS)


def _top(attentiveness: np.ndarray, size: np.ndarray, fraction: float) -> np.ndarray:
    """Mask of the best, as near to the fraction of all `size` as whole entries allow; one at least."""
    order = np.lexsort((_scrambled(len(size)), -np.round(attentiveness, DECIMALS)))
    before = np.cumsum(size[order]) - 0.5 * size[order]
    many = max(1, int((before <= fraction * size.sum()).sum()))
    kept = np.zeros(len(size), bool)
    kept[order[:many]] = True
    return kept


def _scrambled(n: int) -> np.ndarray:
    """(n,) a fixed order that has nothing to do with the positions 0 to n − 1: multiply and shift, twice."""
    mixed = np.arange(1, n + 1, dtype=np.uint64)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
