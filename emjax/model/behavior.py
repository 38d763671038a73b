"""How a user votes, given attentiveness and the strength of a comparison."""

import abc

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emjax.model.record import record


class Behavior(abc.ABC):
    """P(outcome | strength, attentiveness) for one vote: the model's third axis."""

    @abc.abstractmethod
    def log_probability(
        self, eta: Float[Array, ""], rest: Float[Array, ""], logit: Float[Array, ""]
    ) -> Float[Array, " outcomes"]:
        """Log-probability of each outcome at one node, in one comparison.

        `rest` is 1 − η, carried beside η because the subtraction loses it near η = 1; `logit` is
        log μ/(1 − μ), which keeps both tails of μ.
        """


@record
class AttentiveOrRandom(Behavior):
    """With probability η a user judges, otherwise a coin is tossed: P(A) = ημ + (1 − η)/2.

    The outcomes are, in order, "A won" and "B won". It knows no ties, no preference for a side and no
    user who chooses the worse answer on purpose.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> half = jnp.asarray(0.5)
    >>> jnp.exp(AttentiveOrRandom().log_probability(half, half, logit=jnp.log(jnp.asarray(3.0)))).tolist()
    [0.625, 0.375]

    Notes
    -----
    Source: Cai & Li (arXiv 2510.13830), the mixture of an attentive and a random annotator.
    """

    def log_probability(
        self, eta: Float[Array, ""], rest: Float[Array, ""], logit: Float[Array, ""]
    ) -> Float[Array, " outcomes"]:
        return jnp.log(0.5 * rest + eta * jax.nn.sigmoid(jnp.stack([logit, -logit])))
