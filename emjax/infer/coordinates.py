"""A model as one vector of free coordinates, and back."""

import numpy as np

from emjax.model.model import Model
from emjax.model.parameters import Vector, joined
from emjax.model.pytree import replace


def all_coordinates(model: Model) -> Vector:
    """Everything that is estimated: support of the prior, strengths, behavior, then the prior's shape."""
    return joined([model.prior.support(), _table_coordinates(model), model.prior.shape()])


def with_all_coordinates(model: Model, x: Vector) -> Model:
    """The model at other values of `all_coordinates`."""
    first, second = n_support(model), n_support(model) + n_table(model)
    moved = _with_table_coordinates(model, x[first:second])
    return replace(moved, prior=model.prior.at(x[:first], x[second:]))


def free_coordinates(model: Model) -> Vector:
    """What the loop moves: everything, but the weights of a Grid, which have a solver of their own."""
    if model.prior.weights_are_solved:
        return _table_coordinates(model)
    return all_coordinates(model)


def with_free_coordinates(model: Model, x: Vector) -> Model:
    """The model at other values of `free_coordinates`."""
    if model.prior.weights_are_solved:
        return _with_table_coordinates(model, x)
    return with_all_coordinates(model, x)


def free_bounds(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of `free_coordinates`."""
    n = n_table(model)
    low, high = np.full(n, -40.0), np.full(n, 40.0)
    if model.prior.weights_are_solved:
        return low, high
    prior_low, prior_high = model.prior.bounds()
    k = n_support(model)
    return (
        np.concatenate([prior_low[:k], low, prior_low[k:]]),
        np.concatenate([prior_high[:k], high, prior_high[k:]]),
    )


def n_support(model: Model) -> int:
    """How many coordinates move the nodes."""
    return model.prior.support().shape[0]


def n_strength(model: Model) -> int:
    """How many coordinates the strengths have."""
    return model.strength.coordinates().shape[0]


def n_table(model: Model) -> int:
    """How many coordinates move the table of log-probabilities at given nodes: strengths and behavior."""
    return n_strength(model) + model.behavior.coordinates().shape[0]


def _table_coordinates(model: Model) -> Vector:
    return joined([model.strength.coordinates(), model.behavior.coordinates()])


def _with_table_coordinates(model: Model, x: Vector) -> Model:
    n = n_strength(model)
    return replace(model, strength=model.strength.at(x[:n]), behavior=model.behavior.at(x[n:]))
