"""Likelihood: one user at one node of attentiveness, vectorised over users, comparisons and nodes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.attention_covariates import tilted
from emjax.model.response import Behavior


class Nodes(NamedTuple):
    """Points of the attentiveness axis: η and 1 − |η|, each exact (G,)."""

    eta: Float[AnyArray, " nodes"]
    rest: Float[AnyArray, " nodes"]


def nodes_at(eta: Float[AnyArray, "*nodes"]) -> Nodes:
    """Nodes at given points; near η = 1 the difference 1 − η is as exact as η is."""
    return Nodes(eta, 1.0 - namespace(eta).where(eta < 0.0, -eta, eta))


def _log_probability(behavior: Behavior, eta: Any, rest: Any, logit: Any, tilt: Any) -> Any:
    """Log P(o | μ, η) where the log-odds of an attentive vote are offset by `tilt`."""
    return behavior.log_probability(*((eta, rest) if tilt is None else tilted(eta, rest, tilt)), logit)


def user_log_likelihood(
    counts: Float[AnyArray, "comparisons outcomes"],
    logits: Float[AnyArray, " comparisons"],
    eta: Float[AnyArray, ""],
    rest: Float[AnyArray, ""],
    behavior: Behavior,
) -> Float[AnyArray, ""]:
    """Log-likelihood of one user's votes at one node: Σ_co n_co log P(o | μ_c, η). No binomial factors."""
    each = jax.vmap(_log_probability, in_axes=(None, None, None, 0, 0))
    return jnp.sum(counts * each(behavior, eta, rest, logits, behavior.tilts()))


@jax.jit
def log_probabilities(
    behavior: Behavior, nodes: Nodes, logits: Float[AnyArray, " comparisons"]
) -> Float[AnyArray, "comparisons outcomes nodes"]:
    """The table T[c, o, g] = log P(o | μ_c, η_g): all the E-step ever looks up."""
    over_nodes = jax.vmap(_log_probability, in_axes=(None, 0, 0, None, None), out_axes=1)
    over_both = jax.vmap(over_nodes, in_axes=(None, None, None, 0, 0))
    return over_both(behavior, nodes.eta, nodes.rest, logits, behavior.tilts())


def _expected(behavior: Behavior, nodes: Nodes, logit: Any, tilt: Any, votes: Any) -> Float[AnyArray, ""]:
    """Σ_og A[o, g] log P(o | μ, η_g) in one comparison: what an M-step sees of the votes."""
    table = jax.vmap(_log_probability, in_axes=(None, 0, 0, None, None), out_axes=1)
    return jnp.sum(votes * table(behavior, nodes.eta, nodes.rest, logit, tilt))


@jax.jit
def expected_log_likelihoods(
    behavior: Behavior,
    nodes: Nodes,
    logits: Float[AnyArray, " comparisons"],
    votes: Float[AnyArray, "comparisons outcomes nodes"],
) -> Float[AnyArray, " comparisons"]:
    """Σ_og A[c, o, g] log P(o | μ_c, η_g), comparison by comparison."""
    return jax.vmap(_expected, in_axes=(None, None, 0, 0, 0))(
        behavior, nodes, logits, behavior.tilts(), votes
    )


@jax.jit
def strength_slopes(
    behavior: Behavior,
    nodes: Nodes,
    logits: Float[AnyArray, " comparisons"],
    votes: Float[AnyArray, "comparisons outcomes nodes"],
) -> Float[AnyArray, " comparisons"]:
    """Derivative, comparison by comparison, of the expected log-likelihood in logit μ_c."""
    slope = jax.vmap(jax.grad(_expected, argnums=2), in_axes=(None, None, 0, 0, 0))
    return slope(behavior, nodes, logits, behavior.tilts(), votes)


def support_slopes(
    behavior: Behavior,
    eta: Float[AnyArray, " nodes"],
    logits: Float[AnyArray, " comparisons"],
    votes: Float[AnyArray, "comparisons outcomes nodes"],
) -> Float[AnyArray, " nodes"]:
    """Derivative, node by node, of the expected log-likelihood in η_g."""

    def one(point: Float[AnyArray, ""], seen: Float[AnyArray, "comparisons outcomes"]) -> Float[AnyArray, ""]:
        return user_log_likelihood(seen, logits, *nodes_at(point), behavior)

    return jax.vmap(jax.grad(one), in_axes=(0, 2))(eta, votes)


def marginal(
    row_log_likelihood: Float[AnyArray, "rows nodes"], log_weights: Float[AnyArray, " nodes"]
) -> tuple[Float[AnyArray, " rows"], Float[AnyArray, "rows nodes"]]:
    """Marginal log-likelihood of each row, and its posterior over the nodes."""
    joint = row_log_likelihood + log_weights[None, :]
    peak = jnp.max(joint, axis=1, keepdims=True)
    scaled = jnp.exp(joint - peak)
    total = jnp.sum(scaled, axis=1, keepdims=True)
    return (jnp.log(total) + peak)[:, 0], scaled / total
