"""The E-step and the M-step, for every prior and every strength."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from emjax.infer.count_layout import Layout
from emjax.infer.npmle import relative, solve_weights
from emjax.infer.response_derivatives import moves
from emjax.infer.scale_invariance import best_with_support, rescaled, scale_is_free
from emjax.infer.votes_on_device import Votes
from emjax.model.array_namespace import AnyArray
from emjax.model.design import DesignIndex
from emjax.model.likelihood import log_probabilities, marginal
from emjax.model.model import Model
from emjax.model.optimize import ascend
from emjax.model.pytree import replace
from emjax.model.response import Behavior
from emjax.model.strength import Strength

_MAX_COORDINATE = 36.0  # bound on a behavior's coordinates: σ(36) is 1 to the last bit
_BEHAVIOR_STEPS = 5


class Expected(NamedTuple):
    """Result of the E-step: all of it adds up over parts of the users."""

    log_likelihood: Float[AnyArray, ""]
    mass: Float[AnyArray, " nodes"]
    votes: Any  # (terms, G), as a layout gives them; (C, O, G) once they are all added up


@jax.jit
def log_p_table(model: Model, index: DesignIndex) -> Float[AnyArray, "terms nodes"]:
    """Log P(o | μ_c, η_g), one row per term (comparison, outcome)."""
    logits = index.logits(model.strength)
    full = log_probabilities(model.behavior, model.prior.nodes(), logits)
    return full.reshape(-1, full.shape[2])


def row_log_likelihood(
    layout: Layout, log_p: Float[AnyArray, "terms nodes"]
) -> Float[AnyArray, "rows nodes"]:
    """Log-likelihood of every row at every node, from `log_p_table`."""
    return layout.forward(log_p)


def expected_votes(
    rows: Float[AnyArray, "rows nodes"], layout: Layout, log_weights: Float[AnyArray, " nodes"]
) -> Expected:
    """The E-step proper, from the rows' log-likelihoods."""
    log_marginal, posterior = marginal(rows, log_weights)
    weighted = layout.multiplicity[:, None] * posterior
    return Expected(
        jnp.sum(layout.multiplicity * log_marginal),
        jnp.sum(weighted, axis=0),
        layout.transposed(weighted),
    )


def e_step(votes: Votes, model: Model) -> Expected:
    """Marginal log-likelihood, attentiveness mass per node, expected votes per node."""
    held = votes.hold(row_log_likelihood, log_p_table(model, votes.index))
    return _by_comparison(held.sum(expected_votes, model.prior.log_weights()), votes)


def _by_comparison(expected: Expected, votes: Votes) -> Expected:
    by_term = expected.votes
    return expected._replace(votes=by_term.reshape(votes.index.n_rows, -1, by_term.shape[1]))


def e_step_at_best_weights(
    votes: Votes, model: Model, tol: Float[AnyArray, ""]
) -> tuple[Model, Expected, Float[AnyArray, ""]]:
    """`e_step`; under a Grid the weights are first brought to their maximum for the current strengths.

    Also the model with those weights, and a bound on their optimality gap.
    """
    log_p = log_p_table(model, votes.index)
    if not model.prior.weights_are_solved:
        held = votes.hold(row_log_likelihood, log_p)
        expected = held.sum(expected_votes, model.prior.log_weights())
        return model, _by_comparison(expected, votes), jnp.zeros(())
    held = votes.hold(_rows_and_likelihood, log_p)
    weights, certificate = solve_weights(held, votes, log_p.shape[1], tol)
    model = replace(model, prior=replace(model.prior, weights=weights))
    expected = held.sum(_expected_of_pair, model.prior.log_weights())
    return model, _by_comparison(expected, votes), certificate


def _rows_and_likelihood(layout: Layout, log_p: Float[AnyArray, "terms nodes"]) -> tuple[Any, Any]:
    rows = layout.forward(log_p)
    return rows, relative(rows)


def _expected_of_pair(
    pair: tuple[Any, Any], layout: Layout, log_weights: Float[AnyArray, " nodes"]
) -> Expected:
    return expected_votes(pair[0], layout, log_weights)


@jax.jit
def m_step(model: Model, expected: Expected, index: DesignIndex) -> Model:
    """Parameters that raise the expected log-likelihood plus log priors."""
    prior: Any = model.prior
    strength: Any = model.strength
    behavior = model.behavior
    if prior.weights_are_solved:  # whose weights are solved for
        strength = _best_strength(model, expected, index)
        return _with_best_behavior(replace(model, strength=strength), expected, index)
    alike = behavior.tilts() is None and not index.n_known  # all votes are of one comparison
    # Of what else moves its nodes it is not known how its parameters follow.
    moves_nodes = len(prior.support()) > 0 and prior.can_be_rescaled
    if moves_nodes and strength.is_shared and alike:
        strength = best_with_support(prior, strength, behavior, expected.votes, index.comparisons)
    else:
        strength = _best_strength(model, expected, index)
    prior = prior.maximise(expected.mass, expected.votes, index.logits(strength), behavior)
    free = scale_is_free(prior, strength, behavior, n_known=index.n_known)
    if moves_nodes and free:
        prior, strength = rescaled(prior, strength, behavior, index.comparisons)
    return _with_best_behavior(replace(model, prior=prior, strength=strength), expected, index)


def _best_strength(model: Model, expected: Expected, index: DesignIndex) -> Strength:
    """The strengths, given all else: known rows of the design say nothing of them."""
    n = index.n_comparisons
    votes, behavior = expected.votes[:n], model.behavior.of_first(n)
    return model.strength.maximise(votes, model.prior.nodes(), index.comparisons, behavior)


def _with_best_behavior(model: Model, expected: Expected, index: DesignIndex) -> Model:
    """Some Newton steps in the few numbers of the behavior, given all else."""
    start = model.behavior.coordinates()
    if not len(start):
        return model

    def by_comparison(behavior: Behavior) -> Float[AnyArray, " comparisons"]:
        log_p = log_p_table(replace(model, behavior=behavior), index)
        return jnp.sum(expected.votes * log_p.reshape(expected.votes.shape), axis=(1, 2))

    def value(x: Float[AnyArray, " n"]) -> Float[AnyArray, ""]:
        at = model.behavior.at(x)
        return jnp.sum(by_comparison(at)) + at.log_prior()

    def derivatives(x: Float[AnyArray, " n"]) -> tuple[Any, Any]:
        behaving = moves(model.behavior.at(x))
        slope = jax.jacfwd(lambda numbers: by_comparison(behaving.at(numbers)))
        first, second = slope(behaving.start), jax.jacfwd(slope)(behaving.start)
        gradient = jnp.sum(behaving.first_derivatives(first.T), axis=1)
        curvature = behaving.second_derivatives(jnp.moveaxis(second, 0, 2))

        def log_prior(x: Float[AnyArray, " n"]) -> Float[AnyArray, ""]:
            return model.behavior.at(x).log_prior()

        return gradient + jax.grad(log_prior)(x), curvature + jax.hessian(log_prior)(x)

    best = ascend(value, jnp.asarray(start), -_MAX_COORDINATE, _MAX_COORDINATE, _BEHAVIOR_STEPS, derivatives)
    return replace(model, behavior=model.behavior.at(best))
