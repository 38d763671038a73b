"""A Grid read as points, which have places that can move: what its derivatives are taken of.

The maximum over all distributions is a handful of points, and a grid gives each of them to the one or two
nodes nearest to it. With the nodes held where they are, the places of those points would seem to be known,
and standard errors come out too small.
"""

import numpy as np

from emjax.infer.data import Votes
from emjax.infer.steps import Model, e_step
from emjax.model.discrete import Grid, Points
from emjax.model.record import rebuild, replace

SIZE = 32  # points are padded to this many, so that compiled code is shared
_FULL = 1e-4  # a node with less weight belongs to no point
_LOSS = 1.0  # log-likelihood units within which the points tell the same as the grid


def nodes_as_points(prior: Grid, keep: np.ndarray) -> Points:
    """These nodes of a grid, each a point of its own."""
    return _points(np.asarray(prior.points)[keep], np.asarray(prior.weights)[keep], prior.low)


def nodes_gathered(model: Model, votes: Votes, log_likelihood: float) -> Model | None:
    """The model with neighbouring nodes of its Grid gathered into points.

    None where there is no Grid, and where that loses log-likelihood: then the grid is coarse for these votes
    and its nodes are the model, or the votes are too few to tell one distribution from another.
    """
    if not isinstance(model.prior, Grid):
        return None
    points, weights = np.asarray(model.prior.points), np.asarray(model.prior.weights)
    full = weights > _FULL
    runs = np.cumsum(np.diff(full.astype(int), prepend=0) == 1)[full]  # a number for each row of neighbours
    weight = np.bincount(runs, weights=weights[full])[1:]
    place = np.bincount(runs, weights=(weights * points)[full])[1:] / weight
    there = replace(model, prior=_points(place, weight, model.prior.low))
    return there if log_likelihood - votes.run(e_step, there).log_likelihood < _LOSS else None


def _points(places: np.ndarray, weights: np.ndarray, low: float) -> Points:
    """Points, the fullest first (the other weights are relative to it), padded with empty ones."""
    order = np.argsort(-weights, kind="stable")
    empty = np.zeros(max(SIZE - len(order), 0))
    places, weights = np.append(places[order], empty + 0.5), np.append(weights[order], empty)
    weights = weights / weights.sum()
    return rebuild(Points, {"k": len(places), "points": places, "weights": weights, "low": low})
