"""The E-step and the M-step, for every prior and every strength."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emjax.infer.grid import solve_weights
from emjax.infer.layout import Layout
from emjax.model.attentiveness import Attentiveness
from emjax.model.behavior import Behavior
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.likelihood import Nodes, log_probabilities, marginal, support_slopes
from emjax.model.record import record, replace
from emjax.model.roots import decreasing_root
from emjax.model.strength import PerPair, Shared, Strength, beta_log_density


@record
class Model:
    """What is believed at one moment of a fit."""

    prior: Attentiveness
    strength: Strength
    behavior: Behavior


@record
class Data:
    """What was seen, as the kernels take it."""

    layout: Layout
    index: Int[Array, "comparisons two"]


class Expected(NamedTuple):
    """What the E-step hands on: all of it adds up over parts of the users."""

    log_likelihood: Float[Array, ""]
    mass: Float[Array, " nodes"]
    votes: Float[Array, "comparisons outcomes nodes"]


def table(model: Model, index: Int[Array, "comparisons two"]) -> Float[Array, "terms nodes"]:
    """Log P(o | μ_c, η_g), one row per term (comparison, outcome)."""
    logits = model.strength.logits(index)
    full = log_probabilities(model.behavior, model.prior.nodes(), logits)
    return full.reshape(-1, full.shape[2])


def row_log_likelihood(model: Model, data: Data) -> Float[Array, "rows nodes"]:
    """Log-likelihood of every row at every node."""
    return data.layout.forward(table(model, data.index))


def collect(
    rows: Float[Array, "rows nodes"], log_weights: Float[Array, " nodes"], layout: Layout
) -> Expected:
    """The E-step proper, from the rows' log-likelihoods."""
    multiplicity = layout.multiplicity.reshape(-1)
    evidence, posterior = marginal(rows, log_weights)
    weighted = multiplicity[:, None] * posterior
    votes = layout.transposed(weighted)
    return Expected(
        jnp.sum(multiplicity * evidence), jnp.sum(weighted, axis=0), votes.reshape(-1, 2, votes.shape[1])
    )


def e_step(model: Model, data: Data) -> Expected:
    """Marginal log-likelihood, attentiveness mass per node, expected votes per node."""
    return collect(row_log_likelihood(model, data), model.prior.log_weights(), data.layout)


def m_step(model: Model, expected: Expected, index: Int[Array, "comparisons two"]) -> Model:
    """Parameters that raise the expected log-likelihood plus log priors."""
    prior, strength, behavior = model.prior, model.strength, model.behavior
    if isinstance(prior, TwoPoint | Points) and isinstance(strength, Shared):
        strength = _best_shared_with_support(prior, strength, behavior, expected.votes)
    else:
        strength = strength.maximise(expected.votes, prior.nodes(), index, behavior)
    prior = prior.maximise(expected.mass, expected.votes, strength.logits(index), behavior)
    model = replace(model, prior=prior, strength=strength)
    return _rescaled(model) if _has_free_scale(prior, strength) else model


def em_step(model: Model, data: Data, tol: Float[Array, ""]) -> tuple[Model, Float[Array, ""]]:
    """One EM step, and the objective (log L plus log priors) at the point it starts from.

    Under a Grid the weights are first brought to their maximum for the strengths at hand, so the
    objective is that of the strengths alone: a profile likelihood.
    """
    rows = row_log_likelihood(model, data)
    if isinstance(model.prior, Grid):
        weights, _ = solve_weights(rows, data.layout.multiplicity.reshape(-1), tol)
        model = replace(model, prior=replace(model.prior, weights=weights))
    expected = collect(rows, model.prior.log_weights(), data.layout)
    value = expected.log_likelihood + model.strength.log_prior()
    if isinstance(model.prior, Grid):
        strength = model.strength.maximise(expected.votes, model.prior.nodes(), data.index, model.behavior)
        return replace(model, strength=strength), value
    return m_step(model, expected, data.index), value


def _has_free_scale(prior: Attentiveness, strength: Strength) -> bool:
    two_models = isinstance(strength, BradleyTerry) and strength.coordinates().shape[0] == 2
    return isinstance(prior, TwoPoint | Points) and (isinstance(strength, PerPair) or two_models)


def _rescaled(model: Model) -> Model:
    """Slide along the ridge η/t, t·(μ − ½), where no likelihood changes, to the highest log prior."""
    support = model.prior.support()
    margins = jax.nn.sigmoid(model.strength.coordinates()) - 0.5
    if isinstance(model.strength, BradleyTerry):
        s = model.strength.coordinates()
        margins = (jax.nn.sigmoid(s[0] - s[1]) - 0.5)[None]
    low = jnp.maximum(jnp.max(support), 1e-6)
    high = jnp.maximum((0.5 - 1e-9) / jnp.maximum(jnp.max(jnp.abs(margins)), 1e-9), low)

    def at(t: Float[Array, ""]) -> Strength:
        mu = 0.5 + t * margins
        logits = jnp.log(mu) - jnp.log1p(-mu)
        if isinstance(model.strength, BradleyTerry):
            return model.strength.at(jnp.concatenate([0.5 * logits, -0.5 * logits]))
        return model.strength.at(logits)

    t = _closing_in(lambda log_t: at(jnp.exp(log_t)).log_prior(), jnp.log(low), jnp.log(high))
    t = jnp.exp(t)
    better = at(t).log_prior() > model.strength.log_prior()
    t = jnp.where(better, t, 1.0)
    strength = jax.tree.map(
        lambda new, old: jnp.where(better, new, old) if jnp.issubdtype(new.dtype, jnp.floating) else old,
        jax.tree.map(jnp.asarray, at(t)),
        jax.tree.map(jnp.asarray, model.strength),
    )
    prior = model.prior.at(jnp.clip(support / t, 0.0, 1.0), model.prior.shape())
    return replace(model, prior=prior, strength=strength)


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


def _best_shared_with_support(
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
