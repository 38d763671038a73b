"""Belief propagation between users and items: messages, sweeps, and beliefs under a given model."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.data.preferences import Preferences
from emjax.errors import warn
from emjax.infer.steps import log_p_table
from emjax.infer.user_item_graph import FEW_KINDS, Edges, Graph, graph
from emjax.model.array_namespace import AnyArray
from emjax.model.design import DesignIndex
from emjax.model.item_strength import PerItem
from emjax.model.likelihood import marginal
from emjax.model.model import Model
from emjax.model.parameters import logit
from emjax.model.prior import Attentiveness
from emjax.model.pytree import replace
from emjax.model.response import Behavior
from emjax.model.strength import Known

_FAINTEST = -600.0
_SETTLED = 1e-6  # largest change of a mean that a sweep may still make at the end
_MOST_SWEEPS = 300
SWINGING, KEEP = 20, 0.5  # sweeps after which a falling value means oscillation, and the damping then


class Messages(NamedTuple):
    """From users to items, in logarithms: by edge, and added up by item (the last item is padding)."""

    by_edge: Float[AnyArray, "*devices blocks size item_nodes"]
    by_item: Float[AnyArray, "items_and_nothing item_nodes"]


class Totals(NamedTuple):
    """What a sweep found, added up over all users and edges.

    `value` is Bethe's approximation of the marginal log-likelihood, exact without cycles; `mass` are users,
    and `votes` votes, expected at the nodes; `items` are log-likelihoods of items at their nodes.
    """

    value: Float[AnyArray, ""]
    mass: Float[AnyArray, " nodes"]
    items: Float[AnyArray, "items item_nodes"]
    votes: Float[AnyArray, "item_nodes outcomes nodes"]


class Swept(NamedTuple):
    """Result of one sweep over the edges: messages, log-likelihoods of users at the nodes, and totals."""

    messages: Messages
    users: Float[AnyArray, "*devices users nodes"]
    totals: Totals


def per_item(model: Model) -> PerItem:
    """The model's strength, which is PerItem here."""
    strength: Any = model.strength
    return strength


def at_nodes(model: Model) -> tuple[Model, DesignIndex]:
    """The model with the item nodes in the place of comparisons, and the index of their strengths."""
    nodes = jnp.asarray(per_item(model).nodes)
    index = DesignIndex(jnp.zeros((0, 2), jnp.int64), logit(nodes))
    return replace(model, strength=Known(0.75)), index


def factors(
    model: Model, counts: Float[AnyArray, "kinds outcomes"]
) -> tuple[Float[AnyArray, "kinds nodes item_nodes"], Float[AnyArray, " kinds"]]:
    """P(votes of a user on an item | η_g, μ_h), one table per pattern, over its largest; log of that.

    Hundreds of votes on one item would underflow: nothing is less likely than e⁻⁶⁰⁰ of the likeliest.
    """
    inner, index = at_nodes(model)
    log_p = log_p_table(inner, index).reshape(index.n_rows, counts.shape[1], -1)
    log_factors = jnp.einsum("ko,hog->kgh", counts, log_p)
    largest = jnp.max(log_factors, axis=(1, 2))
    return jnp.exp(jnp.maximum(log_factors - largest[:, None, None], _FAINTEST)), largest


@jax.jit
def opening(graph: Graph, model: Model) -> Messages:
    """First messages from users to items: the prior of attentiveness, restricted to 0 and above.

    Users below 0 are left out here: with them the messages of a prior symmetric about 0 would be
    uninformative, and stay so.
    """
    weights = jnp.where(model.prior.nodes().eta >= 0.0, jnp.exp(model.prior.log_weights()), 0.0)
    message = jnp.log(jnp.einsum("g,kgh->kh", weights / jnp.sum(weights), factors(model, graph.counts)[0]))

    def part(edges: Edges, message: jax.Array) -> tuple[jax.Array, jax.Array]:
        by_edge = message[edges.kind]
        return by_edge, _by_item(edges, by_edge, graph.n_items)

    return Messages(*graph.over_edges(part, (), message))


def _by_item(edges: Edges, by_edge: Float[AnyArray, "blocks size h"], n: int) -> Float[AnyArray, "items h"]:
    flat = by_edge.reshape(-1, by_edge.shape[2])
    return jax.ops.segment_sum(flat, edges.item.reshape(-1), n + 1)


@jax.jit
def sweep(graph: Graph, model: Model, messages: Messages, keep: Float[AnyArray, ""]) -> Swept:
    """Items answer users, users answer items; a share `keep` of the old messages stays, against oscillation.

    A cavity is a belief without what the edge itself contributed: no vote is counted twice.
    """
    of_kind, scale = factors(model, graph.counts)
    log_prior = per_item(model).log_prior_of(graph.pairs)[graph.pair]
    beliefs = log_prior + messages.by_item
    given = keep, of_kind, scale, beliefs, model.prior.log_weights()
    (by_edge, users), sums = graph.over_edges(_sweep_edges, (messages.by_edge,), *given)
    items = jax.nn.logsumexp(log_prior + sums.by_item, axis=1)
    votes = jnp.einsum("ko,kgh->hog", graph.counts, sums.together * of_kind)
    totals = Totals(sums.value + jnp.sum(items[:-1]), sums.mass, sums.by_item[:-1], votes)
    return Swept(Messages(by_edge, sums.by_item), users, totals)


class _Sums(NamedTuple):
    """What is added up over the edges and the users of all devices."""

    by_item: Float[AnyArray, "items_and_nothing item_nodes"]
    value: Float[AnyArray, ""]  # log-likelihood of users, less that of edges
    mass: Float[AnyArray, " nodes"]
    together: Float[AnyArray, "kinds nodes item_nodes"]


def _sweep_edges(
    edges: Edges,
    messages: Float[AnyArray, "blocks size h"],
    keep: Float[AnyArray, ""],
    of_kind: Float[AnyArray, "kinds nodes h"],
    scale: Float[AnyArray, " kinds"],
    beliefs: Float[AnyArray, "items_and_nothing h"],
    log_weights: Float[AnyArray, " nodes"],
) -> tuple[tuple[jax.Array, jax.Array], _Sums]:
    """A sweep over the edges of one device: its messages and users, and what is added up over devices."""

    def answer(item: jax.Array, kind: jax.Array, message: jax.Array) -> tuple[jax.Array, jax.Array]:
        cavity = jax.nn.softmax(beliefs[item] - message, axis=1)
        return cavity, _mixed(cavity, of_kind, kind)

    def to_users(total, edges):
        user, item, kind, message = edges
        return total.at[user].add(jnp.log(answer(item, kind, message)[1])), None

    listed = edges.user, edges.item, edges.kind, messages
    no_users = jnp.zeros((edges.n_users + 1, log_weights.shape[0]))
    users, _ = jax.lax.scan(to_users, no_users, listed)
    joint = users + log_weights[None, :]
    log_marginal, posterior = marginal(users[:-1], log_weights)

    def to_items(total, block):
        user, item, kind, message = block
        together, edge_log_marginal = total
        cavity, log_marginal = answer(item, kind, message)
        there = (user < edges.n_users).astype(log_marginal.dtype)
        own = jax.nn.softmax(joint[user] - jnp.log(log_marginal), axis=1)
        said = _mixed(own, jnp.swapaxes(of_kind, 1, 2), kind)
        both = jnp.sum(cavity * said, axis=1)
        share = there / both
        products = _by_kind(own * share[:, None], cavity, kind, of_kind.shape[0])
        edge_log_marginal = edge_log_marginal + jnp.sum(there * (jnp.log(both) - scale[kind]))
        fresh = (1.0 - keep) * jnp.log(said) + keep * message
        return (together + products, edge_log_marginal), fresh

    start = jnp.zeros_like(of_kind), jnp.zeros(())
    (together, edge_log_marginal), by_edge = jax.lax.scan(to_items, start, listed)
    sums = _Sums(
        by_item=_by_item(edges, by_edge, beliefs.shape[0] - 1),
        value=jnp.sum(edges.multiplicity * log_marginal) - edge_log_marginal,
        mass=edges.multiplicity @ posterior,
        together=together,
    )
    return (by_edge, users[:-1]), sums


def _mixed(
    weights: Float[AnyArray, "size a"], of_kind: Float[AnyArray, "kinds b a"], kind: jax.Array
) -> Float[AnyArray, "size b"]:
    """Σ_a weights[e, a] of_kind[kind_e, b, a]: pattern after pattern where there are few."""
    if of_kind.shape[0] > FEW_KINDS:
        return jnp.einsum("ea,eba->eb", weights, of_kind[kind])
    mixed = weights @ of_kind[0].T
    for k in range(1, of_kind.shape[0]):
        mixed = jnp.where((kind == k)[:, None], weights @ of_kind[k].T, mixed)
    return mixed


def _by_kind(
    left: Float[AnyArray, "size a"], right: Float[AnyArray, "size b"], kind: jax.Array, kinds: int
) -> Float[AnyArray, "kinds a b"]:
    """Σ_e left[e, a] right[e, b] over the edges of each stratum."""
    if kinds > FEW_KINDS:
        return jax.ops.segment_sum(left[:, :, None] * right[:, None, :], kind, kinds)
    return jnp.stack([jnp.where((kind == k)[:, None], left, 0.0).T @ right for k in range(kinds)])


class Beliefs(NamedTuple):
    """Beliefs about users and items under a model, as arrays on the host.

    `without_own` is the belief about an item that those who gave an outcome get from the others, on average;
    for an outcome that no user gave it is the belief itself. `log_p` is log P(outcome | μ_h, η_g).
    """

    users: np.ndarray  # (m, G)
    items: np.ndarray  # (C, H)
    without_own: np.ndarray  # (C, O, H)
    log_p: np.ndarray  # (H, O, G)

    def log_votes(self, keep: np.ndarray, *, without_own: bool = False) -> np.ndarray:
        """(C, O, K) log P(outcome | item, η_g) at the nodes to `keep`, by all votes or by those of others."""
        chance = np.exp(self.log_p[:, :, keep])
        if without_own:
            return np.log(np.einsum("coh,hog->cog", self.without_own, chance))
        return np.log(np.einsum("ch,hog->cog", self.items, chance))


@lru_cache(maxsize=1)  # users, items and agreement are computed one after the other
def believed(prefs: Preferences, prior: Attentiveness, strength: PerItem, behavior: Behavior) -> Beliefs:
    """Users and items under a fixed model: sweeps until convergence."""
    with jax.enable_x64(True):
        votes, model = graph(prefs, strength.index(prefs.table)), Model(prior, strength.bare(), behavior)
        swept = sweep(votes, model, opening(votes, model), jnp.asarray(0.0))
        before, moved = np.asarray(_means(model, swept.users)), np.inf
        for count in range(_MOST_SWEEPS):
            swept = sweep(votes, model, swept.messages, jnp.asarray(KEEP if count > SWINGING else 0.0))
            means = np.asarray(_means(model, swept.users))
            moved = np.abs(means - before).max(initial=0.0)
            if moved < _SETTLED:
                break
            before = means
        else:
            warn(
                f"Users and items still change after {_MOST_SWEEPS} sweeps (by {moved:.1e} at most): "
                f"messages oscillate, as they do where few users judged the same items many times."
            )
        users, items, without_own, log_p = map(np.asarray, _beliefs(votes, model, swept))
        return Beliefs(users, items[: prefs.n_comparisons], without_own[: prefs.n_comparisons], log_p)


@jax.jit
def _means(model: Model, users: Float[AnyArray, "users nodes"]) -> Float[AnyArray, " users"]:
    return marginal(users, model.prior.log_weights())[1] @ model.prior.nodes().eta


@jax.jit
def _beliefs(votes: Graph, model: Model, swept: Swept) -> tuple[jax.Array, ...]:
    users = marginal(swept.users, model.prior.log_weights())[1]
    log_prior = per_item(model).log_prior_of(votes.pairs)[votes.pair]
    joint = log_prior + swept.messages.by_item
    said = (votes.counts > 0.0).astype(joint.dtype)  # of each stratum, the outcomes in it

    def cavities(total, edges):
        item, kind, message = edges
        cavity = jax.nn.softmax(joint[item] - message, axis=1)
        return total.at[item].add(said[kind][:, :, None] * cavity[:, None, :]), None

    nothing = jnp.zeros((joint.shape[0], said.shape[1], joint.shape[1]))
    total, _ = jax.lax.scan(cavities, nothing, (votes.edges.item, votes.edges.kind, swept.messages.by_edge))
    items, by_outcome = jax.nn.softmax(joint, axis=1)[:-1], total[:-1]
    many = jnp.sum(by_outcome, axis=2, keepdims=True)
    without_own = jnp.where(many > 0.0, by_outcome / jnp.maximum(many, 1e-300), items[:, None, :])
    inner, index = at_nodes(model)
    log_p = log_p_table(inner, index).reshape(index.n_rows, said.shape[1], -1)
    return users, items, without_own, log_p
