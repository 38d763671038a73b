"""The E-step and the M-step, for every prior and every strength."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from emjax.infer.grid import solve_weights
from emjax.infer.layout import Layout
from emjax.infer.scale import best_with_support, rescaled, scale_is_free
from emjax.model.attentiveness import Attentiveness
from emjax.model.behavior import Behavior
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.likelihood import log_probabilities, marginal
from emjax.model.record import record, replace
from emjax.model.strength import Shared, Strength


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
        strength = best_with_support(prior, strength, behavior, expected.votes, index)
    else:
        strength = strength.maximise(expected.votes, prior.nodes(), index, behavior)
    prior = prior.maximise(expected.mass, expected.votes, strength.logits(index), behavior)
    if isinstance(prior, TwoPoint | Points) and scale_is_free(prior, strength):
        prior, strength = rescaled(prior, strength, index)
    return replace(model, prior=prior, strength=strength)


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
