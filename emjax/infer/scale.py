"""The scale of attentiveness: where η can be traded for strength, and the M-steps that then move both.

Only η·(μ − ½) enters the likelihood. Maximising one while the other is held creeps along that ridge.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emjax.model.attentiveness import Attentiveness
from emjax.model.behavior import Behavior
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.likelihood import Nodes, log_probabilities, support_slopes
from emjax.model.roots import decreasing_root
from emjax.model.strength import PerPair, Shared, Strength, beta_log_density


def scale_is_free(prior: Attentiveness, strength: Strength) -> bool:
    """Whether the votes leave the scale of attentiveness to the log prior of the strengths."""
    two_models = isinstance(strength, BradleyTerry) and strength.coordinates().shape[0] == 2
    unscaled = isinstance(strength, Shared | PerPair) or two_models
    return unscaled and isinstance(prior, TwoPoint | Points | Grid)


def rescaled(prior: TwoPoint | Points, strength: Strength) -> tuple[TwoPoint | Points, Strength]:
    """Slide along the ridge η/t, t·(μ − ½), where no likelihood changes, to the highest log prior."""
    support = prior.support()
    margins = jax.nn.sigmoid(strength.coordinates()) - 0.5
    if isinstance(strength, BradleyTerry):
        s = strength.coordinates()
        margins = (jax.nn.sigmoid(s[0] - s[1]) - 0.5)[None]
    low = jnp.maximum(jnp.max(support), 1e-6)
    high = jnp.maximum((0.5 - 1e-9) / jnp.maximum(jnp.max(jnp.abs(margins)), 1e-9), low)

    def at(t: Float[Array, ""]) -> Strength:
        mu = 0.5 + t * margins
        logits = jnp.log(mu) - jnp.log1p(-mu)
        if isinstance(strength, BradleyTerry):
            return strength.at(jnp.concatenate([0.5 * logits, -0.5 * logits]))
        return strength.at(logits)

    t = _closing_in(lambda log_t: at(jnp.exp(log_t)).log_prior(), jnp.log(low), jnp.log(high))
    t = jnp.exp(t)
    better = at(t).log_prior() > strength.log_prior()
    t = jnp.where(better, t, 1.0)
    moved = jnp.where(better, at(t).coordinates(), strength.coordinates())
    return prior.at(jnp.clip(support / t, 0.0, 1.0), prior.shape()), strength.at(moved)


def _closing_in(
    value: Callable[[Float[Array, ""]], Float[Array, ""]], low: Float[Array, ""], high: Float[Array, ""]
) -> Float[Array, ""]:
    """The maximum of a function of one number with one peak: candidates that close in on the best."""

    def closer(_: Any, span: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = span
        candidates = low + (high - low) * jnp.linspace(0.0, 1.0, 65)
        best = jnp.argmax(jax.vmap(value)(candidates))
        return candidates[jnp.maximum(best - 1, 0)], candidates[jnp.minimum(best + 1, 64)]

    low, high = jax.lax.fori_loop(0, 11, closer, (low, high))
    return 0.5 * (low + high)


def best_with_support(
    prior: TwoPoint | Points, strength: Shared, behavior: Behavior, votes: Float[Array, "c o g"]
) -> Shared:
    """The strength when the support points move along with it.

    Only η·(μ − ½) is seen, so maximising one while the other is held creeps along a ridge. The best
    support is found for every candidate strength at once, and the candidates close in on the best.
    """
    pooled = jnp.sum(votes, axis=0, keepdims=True)
    start = prior.nodes().eta

    def profile(logit: Float[Array, ""]) -> Float[Array, ""]:
        logits = logit[None]
        eta = decreasing_root(
            lambda x: support_slopes(behavior, x, logits, pooled),
            jnp.zeros_like(start),
            jnp.ones_like(start),
            start,
        )
        seen = log_probabilities(behavior, Nodes(eta, 1.0 - eta), logits)
        return jnp.sum(pooled * seen) + beta_log_density(logit, strength.prior)

    reach = jnp.full((), 12.0, start.dtype)
    middle = _closing_in(profile, -reach, reach)
    here = strength.coordinates()[0]
    # Rounding of a flat maximum must not cost what was already reached.
    return strength.at(jnp.where(profile(middle) >= profile(here), middle, here)[None])
