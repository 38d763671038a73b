"""EM where users and items are both latent (crossed random effects): sweeps of messages, then an M-step."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from emjax.data.preferences import Preferences
from emjax.errors import FitError, warn
from emjax.infer.acceleration import Acceleration
from emjax.infer.belief_propagation import Swept, at_nodes, opening, per_item, sweep
from emjax.infer.count_layout import Dense
from emjax.infer.em_loop import remaining_gain
from emjax.infer.npmle import relative, solve_weights
from emjax.infer.steps import Expected, Model, m_step, table
from emjax.infer.user_item_graph import Graph, graph
from emjax.infer.votes_on_device import Data, HeldHere
from emjax.model.array_namespace import AnyArray
from emjax.model.design import DesignIndex
from emjax.model.item_strength import PerItem
from emjax.model.likelihood import marginal
from emjax.model.prior import Attentiveness
from emjax.model.pytree import replace
from emjax.model.response import Behavior

_SETTLED = 1e-6  # largest change of a mean that a sweep may still make at the end
_MOST_SWEEPS = 300
_RELATIVE = 1e-9  # of the log-likelihood: below it a gain is rounding
_EVERY = 4  # sweeps between two full solutions for the weights of a Grid
_SOME = 2  # sweeps between two updates of an estimated penalty
_SAME_PENALTY = 0.02  # its relative change that is small enough at the end
_SWINGING, _KEEP = 20, 0.5  # sweeps after which a falling value means oscillation, and the damping then


class Overlapping(NamedTuple):
    """Where the sweeps ended."""

    model: Model
    swept: Swept
    trace: np.ndarray
    steps: int
    gap: float
    rounding: float


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


def fit_overlap(
    votes: Graph, model: Model, tol: float, max_steps: int, acceleration: Acceleration
) -> Overlapping:
    """Sweeps and M-steps until the optimality gap is at most `tol`, judged by how its gains shrink."""
    messages, values, keep, steps = opening(votes, model), [], 0.0, 0
    memory = acceleration.start(model)
    while True:
        swept = sweep(votes, model, messages, jnp.asarray(keep))
        value, steps, messages = swept.value + model.strength.log_prior(), steps + 1, swept.messages
        if not np.isfinite(value):
            raise FitError(
                "The log-likelihood is not finite. Look for counts of enormous size, or start elsewhere, "
                "with another prior."
            )
        before = model
        memory, model, counts = _follow(acceleration, memory, model, _learned(model, swept, votes), value)
        if not counts:
            continue
        values.append(float(value))
        gap, rounding = remaining_gain(values), _RELATIVE * abs(values[-1])
        small = gap <= max(tol, rounding)
        if per_item(model).n_relative and (small or steps % _SOME == 0):
            penalty, model = per_item(model).penalty, _with_estimated_penalty(model, swept, votes)
            # The objective is nearly flat in the penalty, which is to settle too.
            small = small and abs(float(per_item(model).penalty / penalty) - 1.0) < _SAME_PENALTY
        if small or steps >= max_steps:
            return Overlapping(before, swept, np.array(values), steps, gap, rounding)
        if len(values) > _SWINGING and values[-1] < values[-2] - tol:
            keep = _KEEP
        if model.prior.weights_are_solved and steps % _EVERY == 0:
            model = _with_best_weights(model, swept)


@jax.jit
def _follow(
    acceleration: Acceleration, memory: Any, model: Model, after: Model, value: Float[AnyArray, ""]
) -> tuple[Any, Model, Bool[Array, ""]]:
    return acceleration.follow(memory, model, after, value)


@lru_cache(maxsize=1)  # users, items and agreement are computed one after the other
def believed(prefs: Preferences, prior: Attentiveness, strength: PerItem, behavior: Behavior) -> Beliefs:
    """Users and items under a fixed model: sweeps until convergence."""
    with jax.enable_x64(True):
        votes, model = graph(prefs, strength.index(prefs)), Model(prior, strength.bare(), behavior)
        swept = sweep(votes, model, opening(votes, model), jnp.asarray(0.0))
        before, moved = np.asarray(_means(model, swept.users)), np.inf
        for count in range(_MOST_SWEEPS):
            swept = sweep(votes, model, swept.messages, jnp.asarray(_KEEP if count > _SWINGING else 0.0))
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
        return Beliefs(*(np.asarray(x) for x in _beliefs(votes, model, swept)))


@jax.jit
def _learned(model: Model, swept: Swept, votes: Graph) -> Model:
    """The M-step: items at their nodes are the comparisons that users voted in."""
    inner, index = at_nodes(model)
    mass = jnp.sum(marginal(swept.users, model.prior.log_weights())[1], axis=0)
    new = m_step(inner, Expected(swept.value, mass, swept.votes), index)
    prior = model.prior.maximise(mass, swept.votes, index.logits(inner.strength), model.behavior)
    strength = per_item(model).learned(swept.items, votes.pair[:-1], votes.pairs)
    return Model(prior if prior.weights_are_solved else new.prior, strength, new.behavior)


@jax.jit
def _with_estimated_penalty(model: Model, swept: Swept, votes: Graph) -> Model:
    strength = per_item(model).with_estimated_penalty(swept.items, votes.pair[:-1], votes.pairs)
    return replace(model, strength=strength)


@jax.jit
def _with_best_weights(model: Model, swept: Swept) -> Model:
    rows = swept.users
    everyone = Dense(jnp.zeros((1, rows.shape[0], 0)), jnp.ones(rows.shape[0]))  # one row each
    users = Data(
        everyone, DesignIndex(jnp.zeros((0, 2), jnp.int64), jnp.zeros(0)), jnp.asarray(float(rows.shape[0]))
    )
    held = HeldHere((rows, relative(rows)), everyone)
    weights, _ = solve_weights(held, users, rows.shape[1], jnp.asarray(1e-4))
    # A node's weight must stay positive, since later messages may need it.
    weights = (1.0 - 1e-6) * weights + 1e-6 / rows.shape[1]
    return replace(model, prior=replace(model.prior, weights=weights))


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
    total, _ = jax.lax.scan(cavities, nothing, (votes.item, votes.kind, swept.messages.by_edge))
    items, by_outcome = jax.nn.softmax(joint, axis=1)[:-1], total[:-1]
    many = jnp.sum(by_outcome, axis=2, keepdims=True)
    without_own = jnp.where(many > 0.0, by_outcome / jnp.maximum(many, 1e-300), items[:, None, :])
    inner, index = at_nodes(model)
    log_p = table(inner, index).reshape(index.n_rows, said.shape[1], -1)
    return users, items, without_own, log_p
