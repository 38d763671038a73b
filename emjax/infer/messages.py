"""Belief propagation between users and items: what each says of the other, less what it was told by it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emjax.infer.graph import Graph
from emjax.infer.steps import Model, table
from emjax.model.latent import Latent
from emjax.model.record import replace
from emjax.model.strength import Known


class Messages(NamedTuple):
    """From users to items, in logarithms: by edge, and added up by item (the last item is nothing)."""

    by_edge: Float[Array, "blocks size item_nodes"]
    by_item: Float[Array, "items_and_nothing item_nodes"]


class Swept(NamedTuple):
    """What one sweep over the edges finds.

    `value` is Bethe's approximation of the marginal log-likelihood, exact without cycles; `users` and
    `items` are log-likelihoods at the nodes; `votes` are votes expected at the nodes of both.
    """

    messages: Messages
    value: Float[Array, ""]
    users: Float[Array, "users nodes"]
    items: Float[Array, "items item_nodes"]
    votes: Float[Array, "item_nodes outcomes nodes"]


def latent(model: Model) -> Latent:
    """The model's strength, which is Latent here."""
    assert isinstance(model.strength, Latent)
    return model.strength


def at_nodes(model: Model) -> tuple[Model, Any]:
    """The model with the item nodes in the place of comparisons, and the index that looks them up."""
    nodes = jnp.asarray(latent(model).nodes)
    index = jnp.stack([jnp.arange(nodes.shape[0]), jnp.ones(nodes.shape[0], jnp.int64)], axis=1)
    return replace(model, strength=replace(Known(0.75), value=nodes)), index


def factors(model: Model, counts: Float[Array, "kinds outcomes"]) -> Float[Array, "kinds nodes item_nodes"]:
    """P(what a user said of an item | η_g, μ_h), one table per kind."""
    inner, index = at_nodes(model)
    log_p = table(inner, index).reshape(index.shape[0], counts.shape[1], -1)
    return jnp.exp(jnp.einsum("ko,hog->kgh", counts, log_p))


@jax.jit
def opening(graph: Graph, model: Model) -> Messages:
    """What users say of items before anything is known of the users."""
    told = jnp.log(jnp.einsum("g,kgh->kh", jnp.exp(model.prior.log_weights()), factors(model, graph.counts)))
    by_edge = told[graph.kind]
    return Messages(by_edge, _by_item(graph, by_edge))


def _by_item(graph: Graph, by_edge: Float[Array, "blocks size h"]) -> Float[Array, "items h"]:
    flat = by_edge.reshape(-1, by_edge.shape[2])
    return jax.ops.segment_sum(flat, graph.item.reshape(-1), graph.n_items + 1)


@jax.jit
def sweep(graph: Graph, model: Model, messages: Messages, keep: Float[Array, ""]) -> Swept:
    """Items answer users, users answer items; a share `keep` of the old messages stays, against swinging.

    A cavity is a belief without what the edge itself contributed: nobody is confirmed by his own vote.
    """
    of_kind, log_weights = factors(model, graph.counts), model.prior.log_weights()
    log_prior = latent(model).log_prior_of(graph.pairs)[graph.pair]
    beliefs = log_prior + messages.by_item

    def answer(item: jax.Array, kind: jax.Array, told: jax.Array) -> tuple[jax.Array, jax.Array]:
        cavity = jax.nn.softmax(beliefs[item] - told, axis=1)
        return cavity, _mixed(cavity, of_kind, kind)

    def to_users(total, edges):
        user, item, kind, told = edges
        return total.at[user].add(jnp.log(answer(item, kind, told)[1])), None

    edges = graph.user, graph.item, graph.kind, messages.by_edge
    nobody = jnp.zeros((graph.n_users + 1, log_weights.shape[0]))
    users, _ = jax.lax.scan(to_users, nobody, edges)
    joint = users + log_weights[None, :]
    evidence = jax.nn.logsumexp(joint, axis=1)
    posterior = jnp.exp(joint - evidence[:, None])

    def to_items(total, edges):
        user, item, kind, told = edges
        together, edge_evidence = total
        cavity, heard = answer(item, kind, told)
        there = (user < graph.n_users).astype(heard.dtype)
        own = posterior[user] / heard
        own = own / jnp.sum(own, axis=1, keepdims=True)
        said = _mixed(own, jnp.swapaxes(of_kind, 1, 2), kind)
        both = jnp.sum(cavity * said, axis=1)
        share = there / both
        pieces = [
            (own * jnp.where(kind == k, share, 0.0)[:, None]).T @ cavity for k in range(of_kind.shape[0])
        ]
        fresh = (1.0 - keep) * jnp.log(said) + keep * told
        return (together + jnp.stack(pieces), edge_evidence + jnp.sum(there * jnp.log(both))), fresh

    start = jnp.zeros_like(of_kind), jnp.zeros(())
    (together, edge_evidence), by_edge = jax.lax.scan(to_items, start, edges)
    told = Messages(by_edge, _by_item(graph, by_edge))
    items = jax.nn.logsumexp(log_prior + told.by_item, axis=1)
    return Swept(
        messages=told,
        value=jnp.sum(evidence[:-1]) + jnp.sum(items[:-1]) - edge_evidence,
        users=users[:-1],
        items=told.by_item[:-1],
        votes=jnp.einsum("ko,kgh->hog", graph.counts, together * of_kind),
    )


def _mixed(
    weights: Float[Array, "size a"], of_kind: Float[Array, "kinds b a"], kind: jax.Array
) -> Float[Array, "size b"]:
    """Σ_a weights[e, a] of_kind[kind_e, b, a], kind after kind: there are few, and each is one product."""
    mixed = weights @ of_kind[0].T
    for k in range(1, of_kind.shape[0]):
        mixed = jnp.where((kind == k)[:, None], weights @ of_kind[k].T, mixed)
    return mixed
