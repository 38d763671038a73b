"""The scale of attentiveness: where only η times the margin is determined, and M-steps that move both.

Only η·(μ − ½) enters the likelihood. Alternating maximisation moves slowly along that ridge.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from emjax.model.array_namespace import AnyArray
from emjax.model.likelihood import log_probabilities, nodes_at
from emjax.model.parameters import logit
from emjax.model.prior import Attentiveness
from emjax.model.priors_discrete import Points, TwoPoint, best_support
from emjax.model.response import Behavior
from emjax.model.strength import Index, Shared, Strength, beta_log_density, turned


def scale_is_free(prior: Attentiveness, strength: Strength, behavior: Behavior, *, n_known: int = 0) -> bool:
    """Whether the votes leave the scale of attentiveness to the log prior of the strengths.

    Votes on `n_known` questions of known strength, if any, determine it.
    """
    if not prior.can_be_rescaled or n_known:
        return False
    if behavior.depends_on == "log-odds":  # strengths are stretched as logits, with cycles or without
        return len(strength.coordinates()) > 0
    return behavior.depends_on == "margin" and strength.margins_are_free


def rescaled(
    prior: TwoPoint | Points, strength: Strength, behavior: Behavior, index: Index
) -> tuple[TwoPoint | Points, Strength]:
    """Move along the ridge η/t, t·(μ − ½), where no likelihood changes, to the highest log prior.

    Under `Sharpness` the ridge is η/t, t·logit μ.
    """
    support, coordinates = prior.support(), strength.coordinates()
    sparse = strength.design(index)
    if sparse.columns.shape[1] > 1:
        rows = jnp.arange(index.shape[0])[:, None]
        design = jnp.zeros((index.shape[0], sparse.size)).at[rows, sparse.columns].add(sparse.values)
        # Without a cycle all logits are possible, and these strengths are the smallest.
        inverse = jnp.linalg.pinv(design)
        back, logits = (lambda wanted: inverse @ wanted), design @ coordinates
    else:
        back, logits = (lambda wanted: wanted), coordinates
    by_logit = behavior.depends_on == "log-odds"
    margins = logits if by_logit else jax.nn.sigmoid(logits) - 0.5
    limit = 40.0 if by_logit else 0.5 - 1e-9
    low = jnp.maximum(jnp.max(jnp.abs(support)), 1e-6)
    high = jnp.maximum(limit / jnp.maximum(jnp.max(jnp.abs(margins)), 1e-9), low)

    def at(t: Float[AnyArray, ""]) -> Strength:
        mu = 0.5 + t * margins
        return strength.at(back(t * margins if by_logit else logit(mu)))

    t = _closing_in(lambda log_t: at(jnp.exp(log_t)).log_prior(), jnp.log(low), jnp.log(high))
    t = jnp.exp(t)
    better = at(t).log_prior() > strength.log_prior()
    t = jnp.where(better, t, 1.0)
    moved = jnp.where(better, at(t).coordinates(), strength.coordinates())
    return prior.at(jnp.clip(support / t, -1.0, 1.0), prior.shape()), strength.at(moved)


def _closing_in(
    value: Callable[[Float[AnyArray, ""]], Float[AnyArray, ""]],
    low: Float[AnyArray, ""],
    high: Float[AnyArray, ""],
) -> Float[AnyArray, ""]:
    """The maximum of a function of one number with one peak: candidates that close in on the best."""

    def closer(_: Any, span: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = span
        candidates = low + (high - low) * jnp.linspace(0.0, 1.0, 65)
        best = jnp.argmax(jax.vmap(value)(candidates))
        return candidates[jnp.maximum(best - 1, 0)], candidates[jnp.minimum(best + 1, 64)]

    low, high = jax.lax.fori_loop(0, 11, closer, (low, high))
    return 0.5 * (low + high)


def best_with_support(
    prior: TwoPoint | Points,
    strength: Shared,
    behavior: Behavior,
    votes: Float[AnyArray, "comparisons outcomes nodes"],
    index: Index,
) -> Shared:
    """The strength when the support points move along with it.

    Only η·(μ − ½) enters the likelihood, so alternating maximisation moves slowly along a ridge. The best
    support is found for every candidate strength at once, and the candidates close in on the best.
    """
    pooled = jnp.sum(turned(votes, index), axis=0, keepdims=True)
    start = prior.nodes().eta
    least = float(prior.bounds()[0][0])

    def profile(logit: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        logits = logit[None]
        eta = best_support(start, pooled, logits, behavior, least)
        log_p = log_probabilities(behavior, nodes_at(eta), logits)
        return jnp.sum(pooled * log_p) + beta_log_density(logit, strength.prior)

    limit = jnp.full((), 12.0, start.dtype)
    middle = _closing_in(profile, -limit, limit)
    here = strength.coordinates()[0]
    # Rounding near a flat maximum must not lower the objective.
    return strength.at(jnp.where(profile(middle) >= profile(here), middle, here)[None])
