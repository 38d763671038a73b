"""Loss of one preference pair: the attentive loss, weights, or soft labels, each a small object."""

import abc
from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.errors import ModelError, VotesError


@dataclass(frozen=True)
class PairLoss(abc.ABC):
    """Loss of one preference pair as a function of its margin and of one number of the row.

    The margin is βh: β times how much more the policy prefers chosen to rejected than the reference does, in
    natural logarithms. The number is read from the row's `column`.
    """

    column: str
    lowest, highest = 0.0, 1.0

    @abc.abstractmethod
    def of(self, margin: Any, signal: Any) -> Any:
        """Loss of each pair: two torch tensors (n,) in, one out."""

    def check(self, values: Any, where: str) -> None:
        """Raise VotesError unless all `values` (n,) are numbers within the range of this loss."""
        try:
            numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        except (TypeError, ValueError):
            raise VotesError(f"column {self.column!r} of {where} does not hold numbers.") from None
        wrong = np.flatnonzero(~((numbers >= self.lowest) & (numbers <= self.highest)))
        if len(wrong):
            first = values[int(wrong[0])]
            needed = f"between {self.lowest:g} and {self.highest:g}" if self.highest < 2 else "0 or more"
            raise VotesError(
                f"{len(wrong):,} of {len(numbers):,} values in column {self.column!r} of {where} are not "
                f"{needed}: first {first!r} in row {int(wrong[0])}."
            )


@dataclass(frozen=True)
class AttentiveLoss(PairLoss):
    """−log(η σ(βh) + (1 − η)/2): the behavior model, with the policy's preferences as strengths.

    A vote counts as much as it was probably an attentive one, given both its user's attentiveness η and what
    the policy makes of the pair. η = 1 is the ordinary loss, η = 0 a constant.

    Parameters
    ----------
    column
        Where η stands, between 0 and 1; best the posterior mean that leaves the vote itself out.

    Notes
    -----
    Source: the likelihood of Cai & Li (arXiv 2510.13830) with DPO's implicit preference for p(x). A limit: it
    is not convex, so training should start at the reference policy, as DPO does.

    Examples
    --------
    >>> AttentiveLoss()
    AttentiveLoss(column='attentiveness')
    """

    column: str = "attentiveness"

    def of(self, margin: Any, signal: Any) -> Any:
        torch = _torch()
        # In logarithms, so that a margin far out keeps its gradient; log 0 at η = 0 or 1 is meant.
        judged = torch.log(signal) + torch.nn.functional.logsigmoid(margin)
        return -torch.logaddexp(judged, torch.log(0.5 * (1.0 - signal)))


@dataclass(frozen=True)
class WeightedLoss(PairLoss):
    """−w log σ(βh): the ordinary loss, counted w times.

    A batch's loss is the sum over its rows divided by the number of rows, not by the sum of the weights. So
    weights of 1 are TRL's own loss to the last bit, and weights of ½ throughout halve the learning rate's
    effect before the optimiser (Adam undoes that).

    Parameters
    ----------
    column
        Where the weight stands: 0 or more. The posterior mean of attentiveness is the best there is.

    Examples
    --------
    >>> WeightedLoss(column="weight").column
    'weight'
    """

    column: str = "weight"
    highest = float(np.finfo(np.float64).max)

    def of(self, margin: Any, signal: Any) -> Any:
        return -_torch().nn.functional.logsigmoid(margin) * signal


@dataclass(frozen=True)
class SoftLabelLoss(PairLoss):
    """−s log σ(βh) − (1 − s) log σ(−βh): cross-entropy with the probability s that the label is right.

    Parameters
    ----------
    column
        Where s stands: 1 − ε, with flip rate ε = (1 − η)/2, so between ½ and 1 for attentiveness η.

    Notes
    -----
    Known as conservative DPO (Mitchell, 2023). Its optimum is a policy only as sure as the labels are;
    `UnbiasedLoss` and `AttentiveLoss` undo that.

    Examples
    --------
    >>> SoftLabelLoss()
    SoftLabelLoss(column='soft_label')
    """

    column: str = "soft_label"

    def of(self, margin: Any, signal: Any) -> Any:
        log_sigmoid = _torch().nn.functional.logsigmoid
        return -signal * log_sigmoid(margin) - (1.0 - signal) * log_sigmoid(-margin)


@dataclass(frozen=True)
class UnbiasedLoss(PairLoss):
    """((1 − ε) ℓ(βh) − ε ℓ(−βh))/(1 − 2ε): its mean over flips is the loss of the unflipped label.

    Parameters
    ----------
    column
        Where s = 1 − ε stands: the probability that the label is right.
    most
        Largest flip rate ε used unchanged, below ½; larger ones are clipped to it, because the loss grows
        without bound as ε comes near ½.

    Raises
    ------
    ModelError
        When `most` is not between 0 and ½.

    Notes
    -----
    Source: rDPO, Chowdhury, Kini & Natarajan (arXiv 2403.00409). It is unbounded below: use a small β or few
    steps. A flip rate per user gives the least reliable votes the largest steps.

    Examples
    --------
    >>> UnbiasedLoss(most=0.4)
    UnbiasedLoss(column='soft_label', most=0.4)
    """

    column: str = "soft_label"
    most: float = 0.45

    def __post_init__(self) -> None:
        if not 0 <= self.most < 0.5:
            raise ModelError(f"UnbiasedLoss needs 0 <= most < 0.5; got {self.most!r}.")

    def of(self, margin: Any, signal: Any) -> Any:
        torch = _torch()
        log_sigmoid = torch.nn.functional.logsigmoid
        flip = torch.clamp(1.0 - signal, max=self.most)
        return -((1.0 - flip) * log_sigmoid(margin) - flip * log_sigmoid(-margin)) / (1.0 - 2.0 * flip)


def _torch() -> Any:
    from emjax.train.torch_import import torch

    return torch
