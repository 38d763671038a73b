"""Support points of a discrete prior: a redundant one moved to where it helps, and a grid read as few points.

Where two points coincide the gradient vanishes, and no local step shows whether a small group
of users far away would raise the likelihood. The gradient in the space of distributions can (Lindsay, 1983).

The maximum over all distributions is a handful of points, and a grid gives each of them to the one or two
nodes nearest to it. With the nodes held where they are, the places of those points would seem to be known,
and standard errors come out too small.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.infer.count_layout import Layout
from emjax.infer.steps import log_p_table
from emjax.infer.votes_on_device import Votes
from emjax.model.likelihood import marginal
from emjax.model.model import Model
from emjax.model.priors_discrete import Grid, Points
from emjax.model.pytree import rebuild, replace

_TOGETHER = 0.02
_CANDIDATES = 65


def with_redundant_point_moved(model: Model, votes: Votes, tol: float) -> Model | None:
    """The model with one of two coinciding support points moved to where it raises log L most.

    None where no two points coincide, or where the gain would be below `tol`.
    """
    prior: Any = model.prior
    if len(prior.support()) < 2 or not prior.can_be_rescaled:
        return None
    points, weights = np.asarray(prior.support(), float), np.exp(np.asarray(prior.log_weights(), float))
    order = np.argsort(points)
    points, weights = points[order], weights[order]
    first = int(np.argmin(np.diff(points)))
    if points[first + 1] - points[first] > _TOGETHER:
        return None
    place, share, gain = (float(x) for x in votes.run(_best_addition, model))
    if not gain > tol:
        return None
    pair = slice(first, first + 2)
    met = float(np.average(points[pair], weights=np.maximum(weights[pair], 1e-300)))
    merged = np.append(np.delete(points, first + 1), place)
    merged[first] = met
    mass = np.append(np.delete(weights, first + 1) * (1.0 - share), share)
    mass[first] = weights[pair].sum() * (1.0 - share)
    order = np.argsort(merged)
    return replace(model, prior=prior.placed(merged[order], mass[order] / mass.sum()))


def _best_addition(votes: Votes, model: Model) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where a new point raises log L most, the share of users it takes, and how much it gains."""
    low = float(model.prior.bounds()[0][0])
    elsewhere = replace(model, prior=Grid(_CANDIDATES if low == 0.0 else 2 * _CANDIDATES - 1, low=low))
    log_p, other = log_p_table(model, votes.index), log_p_table(elsewhere, votes.index)
    shares = jnp.exp(jnp.linspace(jnp.log(1e-5), jnp.log(0.5), 40))
    gains = votes.sum(_gains, log_p, model.prior.log_weights(), other, shares)
    best = jnp.unravel_index(jnp.argmax(gains), gains.shape)
    return jnp.asarray(elsewhere.prior.nodes().eta)[best[1]], shares[best[0]], gains[best]


def _gains(
    layout: Layout, log_p: jax.Array, log_weights: jax.Array, other: jax.Array, shares: jax.Array
) -> jax.Array:
    """(shares, candidates) what log L gains by a new point."""
    log_marginal, _ = marginal(layout.forward(log_p), log_weights)
    ratio = jnp.exp(jnp.minimum(layout.forward(other) - log_marginal[:, None], 600.0))
    return jax.lax.map(lambda share: layout.multiplicity @ jnp.log1p(share * (ratio - 1.0)), shares)


SIZE = 32  # points are padded to this many or more, so that compiled code is shared
_FULL = 1e-4  # a node with less weight belongs to no point
LOSS = 1.0  # log-likelihood units within which the points fit as well as the grid


def nodes_as_points(prior: Any, keep: np.ndarray, size: int) -> Points:
    """These nodes of a grid, each a point of its own, padded to `size` points."""
    return _points(np.asarray(prior.points)[keep], np.asarray(prior.weights)[keep], prior.low, size)


def neighbours_merged(model: Model, size: int) -> Model:
    """The model with neighbouring nodes of its Grid merged into points, padded to `size` of them."""
    grid: Any = model.prior
    points, weights = np.asarray(grid.points), np.asarray(grid.weights)
    full = weights > _FULL
    runs = np.cumsum(np.diff(full.astype(int), prepend=0) == 1)[full]  # a number for each row of neighbours
    weight = np.bincount(runs, weights=weights[full])[1:]
    place = np.bincount(runs, weights=(weights * points)[full])[1:] / weight
    return replace(model, prior=_points(place, weight, grid.low, size))


def _points(places: np.ndarray, weights: np.ndarray, low: float, size: int) -> Points:
    """Points, the fullest first (the other weights are relative to it), padded with empty ones."""
    order = np.argsort(-weights, kind="stable")
    empty = np.zeros(max(size - len(order), 0))
    places, weights = np.append(places[order], empty + 0.5), np.append(weights[order], empty)
    weights = weights / weights.sum()
    return rebuild(Points, {"k": len(places), "points": places, "weights": weights, "low": low})
