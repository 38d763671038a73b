"""Tie rules with one parameter: Davidson, Rao–Kupper."""

import abc
from typing import Any

import numpy as np
from jaxtyping import Float

from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, log_sigmoid, log_softmax, namespace
from emjax.model.parameters import LOG, OneVector, Parameter
from emjax.model.pytree import record, set_fields


class TieRule(OneVector, abc.ABC):
    """How an attentive user comes to a tie: one positive parameter."""

    parameters = (Parameter("tie", "tie", LOG),)

    @abc.abstractmethod
    def log_probabilities(self, logit: Float[AnyArray, ""]) -> Float[AnyArray, " three"]:
        """Log-probability that A wins, that B wins, and of a tie, at a difference in strength `logit`."""


@record
class Davidson(TieRule):
    """Ties as Davidson has them: P(A) : P(B) : P(tie) = √(μ/(1−μ)) : √((1−μ)/μ) : ν.

    Parameters
    ----------
    tie
        ν > 0; among equals a share ν/(2 + ν) of votes are ties. A starting value for a fit.

    Raises
    ------
    ModelError
        When ν is not positive.

    Notes
    -----
    μ is then how often A wins where there is a winner. Source: Davidson (1970).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> jnp.exp(Davidson(2.0).log_probabilities(jnp.zeros(()))).round(2).tolist()
    [0.25, 0.25, 0.5]
    """

    tie: Any = 1.0

    def __post_init__(self) -> None:
        set_fields(self, tie=_positive(self.tie, "Davidson"))

    def log_probabilities(self, logit: Float[AnyArray, ""]) -> Float[AnyArray, " three"]:
        xp = namespace(logit, self.tie)
        return log_softmax(xp.stack([0.5 * logit, -0.5 * logit, xp.log(self.tie)]))


@record
class RaoKupper(TieRule):
    """Ties as Rao and Kupper have them: A has to be better by a margin, P(A) = σ(logit μ − t), and so has B.

    Parameters
    ----------
    tie
        t > 0, the margin in log-odds. A starting value for a fit.

    Raises
    ------
    ModelError
        When t is not positive.

    Notes
    -----
    Source: Rao & Kupper (1967), whose θ is exp t.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> jnp.exp(RaoKupper(1.0).log_probabilities(jnp.zeros(()))).round(2).tolist()
    [0.27, 0.27, 0.46]
    """

    tie: Any = 1.0

    def __post_init__(self) -> None:
        set_fields(self, tie=_positive(self.tie, "RaoKupper"))

    def log_probabilities(self, logit: Float[AnyArray, ""]) -> Float[AnyArray, " three"]:
        xp, margin = namespace(logit, self.tie), self.tie
        a, b = log_sigmoid(logit - margin), log_sigmoid(-logit - margin)
        # 1 − P(A) − P(B) = (e^{2t} − 1) P(A) P(B), in which nothing cancels.
        return xp.stack([a, b, a + b + 2.0 * margin + xp.log(-xp.expm1(-2.0 * margin))])


def _positive(value: Any, owner: str) -> np.float64:
    try:
        number = np.float64(value)
    except (TypeError, ValueError):
        number = np.float64(np.nan)
    if not (np.isfinite(number) and number > 0):
        raise ModelError(f"{owner}(tie) needs a positive number; got {value!r}.")
    return number
