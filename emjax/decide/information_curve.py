"""Information curve: information about the reward kept at each threshold on attentiveness."""

from dataclasses import dataclass

import numpy as np

from emjax.errors import ModelError

# Equal posteriors found in two ways differ by rounding; a cut must not fall between them.
DECIMALS = 10


@dataclass(frozen=True, eq=False)
class InformationCurve:
    """What keeping the votes above a threshold on attentiveness gives, for every threshold there is.

    Attributes
    ----------
    attentiveness : (n,) thresholds, descending
        Votes whose attentiveness is at least that are kept.
    share : (n,) share of the votes kept
    information : (n,) about the direction of the reward, as a share of what weighting every vote reaches
    label_accuracy : (n,) expected share of kept votes that are what their user prefers attentively

    Examples
    --------
    >>> curve = information_curve(np.array([0.9, 0.1]), np.array([10.0, 10.0]))
    >>> float(curve.attentiveness[curve.best])
    0.9
    """

    attentiveness: np.ndarray
    share: np.ndarray
    information: np.ndarray
    label_accuracy: np.ndarray

    @property
    def best(self) -> int:
        """Where the information is largest; among equals, where most votes are kept."""
        highest = self.information.max()
        return int(np.flatnonzero(self.information >= highest - 1e-12)[-1])

    def thinned(self, points: int = 200) -> "InformationCurve":
        """At most about so many points, even in the share of votes; the best one and the ends stay."""
        even = np.searchsorted(self.share, np.linspace(0.0, 1.0, points)).clip(max=len(self.share) - 1)
        at = np.unique([0, *even, self.best, len(self.share) - 1])
        return InformationCurve(
            self.attentiveness[at], self.share[at], self.information[at], self.label_accuracy[at]
        )


def information_curve(attentiveness: np.ndarray, votes: np.ndarray) -> InformationCurve:
    """Votes kept, information and label accuracy for every threshold on attentiveness.

    Parameters
    ----------
    attentiveness : (n,) E[η] of each user, or of each group of votes
    votes : (n,) how many votes each has, not negative

    Returns
    -------
    InformationCurve

    Raises
    ------
    ModelError
        There is no vote.

    Notes
    -----
    A vote of a user with attentiveness η carries signal in proportion to η, and unit noise. A set of n votes
    then holds (Σ η)² / n about the direction of the reward, and weighting each vote by η reaches Σ η². It
    is a first-order account: it knows nothing of prompts, nor of how votes overlap.

    Examples
    --------
    >>> curve = information_curve(np.array([0.9, 0.1]), np.array([10.0, 10.0]))
    >>> curve.share, curve.information.round(3)
    (array([0.5, 1. ]), array([0.988, 0.61 ]))
    """
    voted = np.flatnonzero(np.asarray(votes) > 0)
    if not voted.size:
        raise ModelError("there is no vote to keep or to drop.")
    eta = np.round(np.asarray(attentiveness, float)[voted], DECIMALS)
    order = np.argsort(-eta, kind="stable")
    eta = eta[order]
    size = np.asarray(votes, float)[voted][order]
    last = np.flatnonzero(np.append(eta[1:] != eta[:-1], True))  # votes of equal worth stay together
    kept, signal = np.cumsum(size)[last], np.cumsum(size * eta)[last]
    reached = float((size * eta**2).sum())
    return InformationCurve(
        attentiveness=eta[last],
        share=kept / kept[-1],
        information=signal**2 / (kept * reached) if reached > 0 else np.zeros(last.size),
        label_accuracy=0.5 * (1.0 + signal / kept),
    )
