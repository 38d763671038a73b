"""Trust-region steps for many strengths: the maximum of a quadratic expansion in a ball, from a few products.

With few votes per model attentiveness and the scale of the strengths trade off: EM steps then gain little for
hundreds of steps, the objective is not concave on the way, and each information matrix costs strengths³.
Here the expansion is known in the few directions that products with the matrix lead to (Lanczos), where its
maximum in a ball of any radius is found at once (Gould, Lucidi, Roma & Toint, 1999). The prior is replaced by
one with few nodes meanwhile, as near to it as a start for the last steps has to be.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.infer.conjugate_gradients import expanded, posteriors, times
from emjax.infer.coordinates import (
    all_coordinates,
    free_bounds,
    free_coordinates,
    n_strength,
    n_support,
    n_table,
    with_all_coordinates,
    with_free_coordinates,
)
from emjax.infer.count_layout import Layout
from emjax.infer.information import Few, node_weights, tabulated
from emjax.infer.linear_algebra import check_finite
from emjax.infer.objective import Objective
from emjax.infer.support_points import neighbours_merged
from emjax.infer.votes_on_device import Votes
from emjax.model.likelihood import Nodes, log_probabilities, marginal
from emjax.model.model import Model

MANY = 150  # strengths from which these steps are quicker than EM steps
EM_STEPS = 3  # that are taken before
_DIRECTIONS = 32  # at most, for one expansion
_ACCURACY = 0.05  # of a step, relative: more accurate ones do not get further
_MOST_STEPS = 300
_MOST_ROUNDS = 5
_START = 1.0  # first radius: a coordinate moves by so much of a typical standard error, on average
_SHRINK, _GROW = 0.35, 2.0
_POINTS = 4  # that a Grid is replaced by, or a power of two times as many
_BINS = 32  # of attentiveness, under a density


def are_many(model: Model) -> bool:
    """Whether strengths are so many that EM steps are left early.

    Not where the votes leave the scale of attentiveness to a prior: M-steps then move along it.
    """
    return n_strength(model) >= MANY and not model.strength.margins_are_free


def led_near_maximum(model: Model, objective: Objective, tol: float) -> tuple[Model, list[float]]:
    """Where trust-region steps lead from a model; the objective before the first and after each.

    Steps are taken with fewer nodes, those of a Grid merged, and the values between are as close as that.
    """
    model = jax.tree.map(np.asarray, model)
    here = objective.at(model)
    values = [float(here.value)]
    if not model.prior.weights_are_solved:
        there, between = trust_region_steps(model, objective.votes, tol)
        if not float(objective.at(there).value) > values[0]:
            return model, values
        return there, values + [max(x, values[0]) for x in between[1:]]
    for _ in range(_MOST_ROUNDS):
        grid = jax.tree.map(np.asarray, here.model)
        few, between = trust_region_steps(_as_points(grid), objective.votes, tol)
        n = n_support(few)
        there = objective.at(with_free_coordinates(grid, all_coordinates(few)[n : n + n_table(few)]))
        gain = float(there.value) - float(here.value)
        here = there if gain > 0.0 else here
        values += [float(x) for x in np.clip(between[1:-1], values[-1], float(here.value))]
        values += [float(here.value)] if len(between) > 1 else []
        # The points between its nodes may have become others, but not by much.
        if not gain > 100.0 * tol:
            break
    return jax.tree.map(np.asarray, here.model), values


def _as_points(model: Model) -> Model:
    """The model with neighbouring nodes of its Grid merged; their number a power of two."""
    merged = neighbours_merged(model, _POINTS)
    size = 1 << (n_support(merged) - 1).bit_length()
    return merged if size == n_support(merged) else neighbours_merged(model, size)


def trust_region_steps(model: Model, votes: Votes, tol: float) -> tuple[Model, list[float]]:
    """Trust-region steps in all coordinates, until the next one promises less than `tol`; their values."""
    few, (low, high), x = _few(model), free_bounds(model), np.asarray(free_coordinates(model))
    empty = _empty(model)
    box = np.where(empty, x, low), np.where(empty, x, high)

    def value(x: np.ndarray) -> float:
        return float(votes.run(value_of_few, with_all_coordinates(model, x), few))

    values, radius = [value(x)], _START * len(x) ** 0.5
    while len(values) <= _MOST_STEPS:
        at = with_all_coordinates(model, x)
        found = votes.run(expansion_in_directions, at, few, box, np.float64(_ACCURACY))
        here = _ball(jax.tree.map(np.asarray, found))
        there = _step(here, x, values[-1], value, radius, box, tol)
        if there is None:
            break
        x, best, radius = there
        values.append(best)
    return with_all_coordinates(model, x), values


def _step(here: "_Ball", x: np.ndarray, best: float, value: Any, radius: float, box: Any, tol: float) -> Any:
    """The next point, the objective there and the next radius; None at a maximum."""
    while radius > 1e-6:
        move, promised, bound = here.step(radius)
        if promised < tol and not bound:
            return None
        to = np.clip(x + move, *box)
        there = value(to)
        gain = there - best
        good = gain > 1e-3 * promised  # false where it is not finite
        if not good or gain < 0.25 * promised:
            radius = _SHRINK * min(radius, float(np.linalg.norm((to - x) * here.units)))
        elif gain > 0.7 * promised and bound:
            radius *= _GROW
        if good:
            return to, there, radius
    return None


def _few(model: Model) -> Few:
    """All nodes of a discrete prior; those of a density counted together, in bins of attentiveness."""
    eta = np.asarray(model.prior.nodes().eta)
    if not model.prior.continuous:
        return Few(np.arange(len(eta)), np.arange(len(eta)))
    _, bins = np.unique(np.minimum((np.abs(eta) * _BINS).astype(int), _BINS - 1), return_inverse=True)
    middle = [np.flatnonzero(bins == i) for i in range(bins.max() + 1)]
    return Few(np.array([nodes[len(nodes) // 2] for nodes in middle]), bins)


def _empty(model: Model) -> np.ndarray:
    """Which coordinates are those of points without users."""
    n = n_support(model)
    empty = np.zeros(len(all_coordinates(model)), dtype=bool)
    if n and len(model.prior.shape()) == n - 1:
        none = np.exp(np.asarray(model.prior.log_weights())) < 1e-9
        empty[:n] = none
        empty[n + n_table(model) :] = none[1:]
    return empty


def value_of_few(votes: Votes, model: Model, few: Few) -> jax.Array:
    """The objective with the nodes of `few` alone."""
    kept = Nodes(*(jnp.asarray(x)[few.keep] for x in model.prior.nodes()))
    table = log_probabilities(model.behavior, kept, votes.index.logits(model.strength))
    log_weights = jnp.log(node_weights(model, few))
    return votes.sum(_log_likelihood, table.reshape(-1, table.shape[2]), log_weights) + model.log_prior()


def _log_likelihood(layout: Layout, log_p: jax.Array, log_weights: jax.Array) -> jax.Array:
    return layout.multiplicity @ marginal(layout.forward(log_p), log_weights)[0]


class Expanded(NamedTuple):
    """The expansion of the objective at a model in the Lanczos directions, which are (directions, P).

    With coordinates multiplied by `units`, minus the Hessian is tridiagonal in the first `count` of them,
    with `diagonal` and `beside`; the gradient is the first, `length` long.
    """

    length: Any
    units: Any
    directions: Any
    diagonal: Any
    beside: Any
    count: Any


class _Lanczos(NamedTuple):
    directions: Any
    diagonal: Any
    beside: Any
    pivot: Any  # of the tridiagonal matrix as it is factorised: negative where the objective is not concave
    rest: Any  # residual of Newton's step in these directions, relative
    count: Any
    end: Any


def expansion_in_directions(votes: Votes, model: Model, few: Few, box: Any, accuracy: Any) -> Expanded:
    """The expansion in the directions that the gradient leads to.

    As many as give Newton's step that accurately; where the objective is not concave, all. What `box` holds
    back does not move.
    """
    at = tabulated(model, votes.index, few)
    users = posteriors(votes, at)
    found = expanded(votes, model, at, users)
    x, (low, high), slope = jnp.asarray(all_coordinates(model)), box, found.gradient
    held = ((x <= low) & (slope < 0.0)) | ((x >= high) & (slope > 0.0)) | (low >= high)
    own = jnp.where(held, jnp.nan, jnp.abs(found.diagonal))
    # None is less certain than is typical: what votes say little about does not run ahead.
    units = jnp.sqrt(jnp.fmax(own, jnp.maximum(jnp.nanmedian(own), 1e-10)))
    inverse = jnp.where(held, 0.0, 1.0 / units)
    length = jnp.linalg.norm(inverse * slope)
    first = inverse * slope / jnp.maximum(length, 1e-300)
    none, one = jnp.zeros(_DIRECTIONS), jnp.ones(())

    def further(state: _Lanczos) -> _Lanczos:
        curved = times(votes, model, found, users, inverse * state.directions[state.count])
        return _with_direction(state, inverse * curved, accuracy)

    known = jnp.zeros((_DIRECTIONS + 1, x.shape[0])).at[0].set(first)
    start = _Lanczos(known, none, none, one, one, jnp.zeros((), jnp.int32), length <= 0.0)
    end = votes.loop(_going, further, start)
    return Expanded(length, units, end.directions[:-1], end.diagonal, end.beside, end.count)


def _going(state: _Lanczos) -> Any:
    return ~state.end


@jax.jit
def _with_direction(state: _Lanczos, curved: jax.Array, accuracy: Any) -> _Lanczos:
    """One more direction, from the product of the matrix with the last."""
    i, known = state.count, state.directions
    over = known @ curved
    new = curved - known.T @ over
    new = new - known.T @ (known @ new)  # once more, as rounding grows where an eigenvector is found
    bend, size = over[i], jnp.linalg.norm(new)
    before = jnp.where(i > 0, state.beside[jnp.maximum(i - 1, 0)], 0.0)
    pivot = bend - before**2 / state.pivot
    concave = (state.pivot > 0.0) & (pivot > 0.0)
    rest = jnp.where(concave, state.rest * size / jnp.abs(pivot), jnp.inf)
    last = size <= 1e-8 * jnp.max(jnp.abs(over))
    return _Lanczos(
        known.at[i + 1].set(jnp.where(last, 0.0, new / jnp.maximum(size, 1e-300))),
        state.diagonal.at[i].set(bend),
        state.beside.at[i].set(jnp.where(last, 0.0, size)),
        pivot,
        rest,
        i + 1,
        last | (rest <= accuracy) | (i + 1 >= _DIRECTIONS) | ~jnp.isfinite(bend),
    )


class _Ball(NamedTuple):
    """An expansion along the axes of its tridiagonal matrix."""

    slope: np.ndarray
    bends: np.ndarray
    axes: np.ndarray  # (axes, P)
    units: np.ndarray

    def step(self, radius: float) -> tuple[np.ndarray, float, bool]:
        """The best step in a ball, the gain it promises, and whether it ends at the sphere."""
        if not len(self.bends):
            return np.zeros(len(self.units)), 0.0, False
        least = float(self.bends.min())
        along = self.slope / np.where(self.bends > 0.0, self.bends, 1.0)
        bound = bool(least <= 0.0 or np.linalg.norm(along) > radius)
        if bound:
            low = max(0.0, -least)
            high = low + float(np.linalg.norm(self.slope)) / radius
            for _ in range(100):
                damping = 0.5 * (low + high)
                inside = np.linalg.norm(self.slope / (self.bends + damping)) <= radius
                low, high = (low, damping) if inside else (damping, high)
            along = self.slope / (self.bends + high)
        gain = float(self.slope @ along - 0.5 * along @ (self.bends * along))
        return along @ self.axes, gain, bound


def _ball(found: Expanded) -> _Ball:
    n = int(found.count)
    check_finite(found.length, found.diagonal)
    beside = found.beside[: max(n - 1, 0)]
    bends, vectors = np.linalg.eigh(np.diag(found.diagonal[:n]) + np.diag(beside, 1) + np.diag(beside, -1))
    axes = vectors.T @ (found.directions[:n] / found.units)
    return _Ball(found.length * vectors[0] if n else np.zeros(0), bends, axes, found.units)
