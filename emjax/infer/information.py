"""Information matrices of the marginal log-likelihood, in one blocked pass over the users."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.infer.coordinates import (
    all_coordinates,
    n_support,
    n_table,
    with_all_coordinates,
)
from emjax.infer.count_layout import Layout
from emjax.infer.response_derivatives import moves
from emjax.infer.support_points import SIZE, nodes_as_points
from emjax.infer.votes_on_device import Votes
from emjax.model.design import Design, DesignIndex
from emjax.model.likelihood import Nodes, log_probabilities, marginal
from emjax.model.model import Model, n_nodes
from emjax.model.pytree import replace

_EMPTY = 1e-7  # a node with a smaller share of the users is left out
_QUICK = 1 << 25  # rows × nodes × parameters
_TOGETHER = 1e-8  # nodes closer than this to 0, to 1, or to −1 are counted as one


class Information(NamedTuple):
    """Log L, and its first and second derivatives in all coordinates: (P,), and (P, P).

    `observed` is minus the Hessian, `outer` the sum over users of the outer products of their scores,
    `log_prior` minus the Hessian of the log priors, whose gradient is `prior_gradient`.
    """

    log_likelihood: Any
    gradient: Any
    observed: Any
    outer: Any
    log_prior: Any
    prior_gradient: Any


class Few(NamedTuple):
    """Nodes that information is summed over: which they are, and which node is counted with which."""

    keep: Any
    group: Any


def is_quick(votes: Votes, model: Model) -> bool:
    """Whether derivatives take some hundredths of a second, so that compiling them takes far longer."""
    rows = votes.n_rows
    return rows is not None and rows * n_nodes(model) * (1 + n_table(model)) <= _QUICK


def compact(model: Model, mass: np.ndarray) -> tuple[Model, Few]:
    """The model without nodes that no user is at, and the nodes that are kept.

    Information sums over users × nodes × parameters; most nodes of a fitted Grid hold hardly any user, and
    many of a Beta lie together at an end, where votes cannot distinguish them and their weights add up. A
    Grid comes back as points.
    """
    if model.prior.weights_are_solved:
        keep = _fullest(mass)
        model = replace(model, prior=nodes_as_points(model.prior, keep, max(len(keep), SIZE)))
    if n_support(model):
        every = np.arange(n_support(model))
        return model, Few(every, every)
    eta, rest = (np.asarray(x) for x in model.prior.nodes())
    leader = np.arange(len(mass))
    near = rest < _TOGETHER
    for end in (np.abs(eta) < _TOGETHER, near & (eta > 0), near & (eta < 0)):
        leader[end] = np.flatnonzero(end)[mass[end].argmax()] if end.any() else 0
    together = np.bincount(leader, weights=mass, minlength=len(mass))
    keep = _fullest(together)
    place = np.full(len(mass), len(keep))
    place[keep] = np.arange(len(keep))
    return model, Few(keep, place[leader])


def _fullest(mass: np.ndarray) -> np.ndarray:
    # Numbers of nodes are rounded up to powers of two, so that compiled code is shared.
    wanted = int((mass > _EMPTY * mass.sum()).sum())
    size = min(len(mass), max(SIZE, 1 << (wanted - 1).bit_length()))
    return np.sort(np.argsort(-mass, kind="stable")[:size])


def information(votes: Votes, model: Model, few: Few) -> Information:
    """Louis' identity: observed information is that of the complete data, less the missing information.

    With s_jg the score of user j at node g, and R the user's posterior over nodes,
    −∇² log L = −E[∇² complete] − Σ_j (E_R[s sᵀ] − E_R[s] E_R[s]ᵀ), and Σ_j E_R[s] E_R[s]ᵀ is `outer`.
    """
    at = tabulated(model, votes.index, few)
    sums = votes.sum(_collected, model, at, votes.index)
    return _assembled(model, sums, at, votes.index)


class Tables(NamedTuple):
    """Tables that the users' scores are read from: vote probabilities, weights, and their derivatives."""

    slopes: Any
    log_weights: Any
    weight_slopes: Any
    weight_curvatures: Any


@jax.jit
def tabulated(model: Model, index: DesignIndex, few: Few) -> Tables:
    """The tables at a model, for the nodes that are kept."""
    return Tables(_slopes(model, index, few), *_weights(model, few))


class _Sums(NamedTuple):
    """Sums of one pass over the users."""

    complete: Any
    outer: Any
    gradient: jax.Array
    log_likelihood: jax.Array
    votes: jax.Array


def _collected(layout: Layout, model: Model, at: Tables, index: DesignIndex) -> _Sums:
    slopes, log_weights, weight_slopes = at.slopes, at.log_weights, at.weight_slopes
    design = index.design(model.strength)
    n_moving, nodes = n_table(model), log_weights.shape[0]
    by_coordinate = moves(model.behavior).first_derivatives(slopes.behavior)
    by_term = jnp.concatenate([slopes.value[None], slopes.eta[None], by_coordinate])
    tabulated = jnp.moveaxis(by_term, 0, 2).reshape(-1, len(by_term) * nodes)
    by_logit = slopes.logit.reshape(-1, nodes)
    moving = n_support(model) > 0

    def block(total, part):
        counts, multiplicity = part
        rows = layout.forward_block(counts, tabulated).reshape(-1, len(by_term), nodes)
        log_marginal, posterior = marginal(rows[:, 0], log_weights)
        weighted = multiplicity[:, None] * posterior
        by_point = rows[:, 1] * float(moving)
        scores = layout.scores_block(counts, by_logit, design).with_common(rows[:, 2:])
        mean, of_weights = scores.mean(posterior), posterior @ weight_slopes
        of_prior = [by_point * posterior, of_weights] if moving else [of_weights]
        common = jnp.concatenate(of_prior, axis=1)
        second, outer = scores.second_moments(weighted, jnp.sqrt(multiplicity)[:, None] * mean)
        shared = multiplicity[:, None] * common
        complete = _Complete(
            mass=jnp.sum(weighted, axis=0),
            point=jnp.sum(weighted * by_point, axis=0),
            point_point=jnp.sum(weighted * by_point**2, axis=0),
            point_strength=scores.by_node(weighted * by_point),
            strength=scores.by_node(weighted),
            strength_strength=second,
        )
        own = scores.products(mean, jnp.append(shared, multiplicity[:, None], axis=1))
        products = _Outer(common.T @ shared, own[:, :-1], outer)
        gradient = jnp.sum(shared, axis=0), own[:, -1]
        added = complete, products, gradient, multiplicity @ log_marginal
        return jax.tree.map(jnp.add, total, added), weighted

    zero, across, square = jnp.zeros(nodes), jnp.zeros((nodes, n_moving)), jnp.zeros((n_moving, n_moving))
    nothing = _Complete(zero, zero, zero, across, across, square)
    n_prior = weight_slopes.shape[1] + nodes * moving
    no_outer = _Outer(jnp.zeros((n_prior, n_prior)), jnp.zeros((n_moving, n_prior)), square)
    total = nothing, no_outer, (jnp.zeros(n_prior), jnp.zeros(n_moving)), jnp.zeros(())
    weighted = []
    for part in layout.blocks():
        total, posteriors = jax.lax.scan(block, total, part)
        weighted.append(posteriors.reshape(-1, nodes))
    votes = layout.transposed(jnp.concatenate(weighted, axis=0)).reshape(slopes.value.shape)
    complete, outer, (of_prior, of_table), log_likelihood = total
    first = n_support(model)
    gradient = jnp.concatenate([of_prior[:first], of_table, of_prior[first:]])
    return _Sums(complete, outer, gradient, log_likelihood, votes)


class _Outer(NamedTuple):
    """Outer products of the users' scores: of the prior (support, then shape), the table, and across."""

    prior: jax.Array
    table_prior: jax.Array
    table: jax.Array

    def whole(self, first: int) -> jax.Array:
        """All of it in the order support, table, shape."""
        support, shape = self.table_prior[:, :first], self.table_prior[:, first:]
        prior = self.prior
        return jnp.block(
            [
                [prior[:first, :first], support.T, prior[:first, first:]],
                [support, self.table, shape],
                [prior[first:, :first], shape.T, prior[first:, first:]],
            ]
        )


@jax.jit
def _assembled(model: Model, sums: _Sums, at: Tables, index: DesignIndex) -> Information:
    complete = _second_moments(sums.complete, at.weight_slopes, n_support(model) > 0)
    outer = sums.outer.whole(n_support(model))
    second = second_derivatives(model, at, sums.votes, sums.complete.mass)
    curvature = _matrix(second, index.design(model.strength), n_support(model) > 0)

    def log_prior(x):
        return with_all_coordinates(model, x).log_prior()

    x = jnp.asarray(all_coordinates(model))
    observed = -curvature - (complete - outer)
    prior_curvature, slope = jax.jacfwd(_kept(jax.grad(log_prior)), has_aux=True)(x)
    return Information(sums.log_likelihood, sums.gradient, observed, outer, -prior_curvature, slope)


def _kept(function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The function with its value as auxiliary data too, which differentiation returns as it is."""

    def twice(*x: Any) -> tuple[Any, Any]:
        value = function(*x)
        return value, value

    return twice


def _derivatives(function: Callable[..., Any], *at: Any) -> tuple[Any, Any, Any]:
    """Value, first and second derivatives in each argument; the function is traced once, not three times."""
    each = tuple(range(len(at)))

    def first(*x: Any) -> tuple[Any, Any]:
        slopes, value = jax.jacfwd(_kept(function), each, has_aux=True)(*x)
        return slopes, (value, slopes)

    second, (value, slopes) = jax.jacfwd(first, each, has_aux=True)(*at)
    return value, slopes, second


class _Complete(NamedTuple):
    """Sums over users of R-weighted products of scores s_jg, by node: what second moments are made of.

    A support point's score is at its own node alone, and a weight's is the same for all users.
    """

    mass: jax.Array
    point: jax.Array
    point_point: jax.Array
    point_strength: jax.Array
    strength: jax.Array
    strength_strength: jax.Array


def _second_moments(sums: _Complete, weight_slopes: jax.Array, moves: bool) -> jax.Array:
    """Σ_j E_R[s sᵀ], in the order support, strengths, shape."""
    crossed = sums.strength.T @ weight_slopes
    shape = weight_slopes.T @ (sums.mass[:, None] * weight_slopes)
    rest = jnp.block([[sums.strength_strength, crossed], [crossed.T, shape]])
    if not moves:
        return rest
    side = jnp.concatenate([sums.point_strength, sums.point[:, None] * weight_slopes], axis=1)
    return jnp.block([[jnp.diag(sums.point_point), side], [side.T, rest]])


class _Slopes(NamedTuple):
    """The table log P(o | μ_c, η_g) and its derivatives in the logit of μ_c and in η_g, (C, O, G).

    Those in the numbers that the behavior moves it by have these in front: (F, C, O, G), (F, F, C, O, G).
    """

    value: jax.Array
    logit: jax.Array
    eta: jax.Array
    behavior: jax.Array
    logit_logit: jax.Array
    logit_eta: jax.Array
    eta_eta: jax.Array
    behavior_logit: jax.Array
    behavior_eta: jax.Array
    behavior_behavior: jax.Array


def _slopes(model: Model, index: DesignIndex, few: Few) -> _Slopes:
    eta, rest = (jnp.asarray(x)[few.keep] for x in model.prior.nodes())
    logits = index.logits(model.strength)

    behaving = moves(model.behavior)

    # Each entry depends on its own logit and node alone, so one derivative gives all of them.
    def moved(by_logit, by_eta, behavior):
        nodes = Nodes(eta + by_eta, rest - jnp.where(eta < 0.0, -by_eta, by_eta))
        return log_probabilities(behaving.at(behavior), nodes, logits + by_logit)

    value, slopes, second = _derivatives(moved, jnp.zeros(()), jnp.zeros(()), behaving.start)
    (logit, by_eta, behavior), ((ll, le, lb), (_, ee, eb), (_, _, bb)) = slopes, second
    of_behavior = (jnp.moveaxis(x, -1, 0) for x in (behavior, lb, eb))
    behavior, lb, eb = of_behavior
    bb = jnp.moveaxis(bb, (-2, -1), (0, 1))
    return _Slopes(value, logit, by_eta, behavior, ll, le, ee, lb, eb, bb)


def node_weights(model: Model, few: Few) -> jax.Array:
    """Weights of the nodes kept, each with those counted with it."""
    weights = jax.ops.segment_sum(jnp.exp(model.prior.log_weights()), few.group, few.keep.shape[0] + 1)
    return jnp.maximum(weights[:-1], 1e-140)  # second derivatives of the logarithm divide by its square


def _weights(model: Model, few: Few) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Log-weights of the nodes kept, with first and second derivatives in the prior's shape."""

    def log_weights(shape):
        moved = replace(model, prior=model.prior.at(model.prior.support(), shape))
        return jnp.log(node_weights(moved, few))

    value, (slope,), ((curvature,),) = _derivatives(
        log_weights, jnp.asarray(model.prior.shape(), jnp.float64)
    )
    return value, slope, curvature


class Second(NamedTuple):
    """Second derivatives of the expected log-likelihood of the complete data.

    Those of strengths are in the logits of the comparisons (C, ...); then behavior (B, ...), support (G), and
    the prior's shape (S, S). Nothing mixes shape with the others.
    """

    logit: jax.Array
    logit_behavior: jax.Array
    behavior: jax.Array
    logit_support: jax.Array
    behavior_support: jax.Array
    support: jax.Array
    shape: jax.Array


def second_derivatives(model: Model, at: Tables, votes: jax.Array, mass: jax.Array) -> Second:
    """Those at a model, from the expected votes (C, O, G) and the expected users (G) at the nodes."""
    slopes, behaving = at.slopes, moves(model.behavior)
    of_behavior = behaving.first_derivatives(jnp.einsum("cog,fcog->fcg", votes, slopes.behavior_eta))
    return Second(
        logit=jnp.sum(votes * slopes.logit_logit, axis=(1, 2)),
        logit_behavior=behaving.first_derivatives(jnp.einsum("cog,fcog->fc", votes, slopes.behavior_logit)).T,
        behavior=behaving.second_derivatives(jnp.einsum("cog,abcog->abc", votes, slopes.behavior_behavior)),
        logit_support=jnp.sum(votes * slopes.logit_eta, axis=1),
        behavior_support=jnp.sum(of_behavior, axis=1),
        support=jnp.sum(votes * slopes.eta_eta, axis=(0, 1)),
        shape=jnp.einsum("g,gpq->pq", mass, at.weight_curvatures),
    )


def _matrix(second: Second, design: Design, moving: bool) -> jax.Array:
    """The second derivatives as a matrix, in the order support, strengths, behavior, shape."""
    beside = design.transposed(second.logit_behavior)
    table = jnp.block([[design.weighted_gram(second.logit), beside], [beside.T, second.behavior]])
    if not moving:
        return jax.scipy.linalg.block_diag(table, second.shape)
    cross = jnp.concatenate([design.transposed(second.logit_support), second.behavior_support])
    both = jnp.block([[jnp.diag(second.support), cross.T], [cross, table]])
    return jax.scipy.linalg.block_diag(both, second.shape)
