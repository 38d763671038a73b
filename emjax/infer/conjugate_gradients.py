"""Newton steps for thousands of strengths: products with the information matrix, and conjugate gradients.

The matrix would take strengths² numbers. Its product with a vector takes one pass over the votes: users move
their posterior over the nodes by how far the vector moves their log-likelihood at each.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.infer.coordinates import all_coordinates, n_strength, n_support, n_table, with_all_coordinates
from emjax.infer.count_layout import Layout
from emjax.infer.information import Few, Second, Tables, compact, second_derivatives, tabulated
from emjax.infer.linear_algebra import check_finite, unit_scale
from emjax.infer.response_derivatives import moves
from emjax.infer.votes_on_device import Held, Votes
from emjax.model.likelihood import marginal
from emjax.model.model import Model

LARGE = 5000  # coordinates of strengths and behavior beyond which no information matrix is made
_MOST_PRODUCTS = 200
_ACCURACY = 1e-5  # of a solution, relative, in the norm of the diagonal
_RANK = 1e-10

Product = Callable[[np.ndarray], np.ndarray]


def is_large(model: Model) -> bool:
    """Whether strengths are too many for the matrix.

    Not under a Beta: the ridges along which its two numbers trade off with the strengths need eigenvectors.
    """
    return n_table(model) > LARGE and not model.prior.continuous


class Expansion(NamedTuple):
    """The second-order expansion of the objective at a model, as far as products need it."""

    at: Tables
    second: Second
    gradient: jax.Array
    diagonal: jax.Array


def expansion(votes: Votes, model: Model, few: Few) -> Expansion:
    """Gradient of the objective in all coordinates, and what products with minus its Hessian need."""
    at = tabulated(model, votes.index, few)
    return expanded(votes, model, at, posteriors(votes, at))


def posteriors(votes: Votes, at: Tables) -> Held:
    """Marginal log-likelihood of every row, and its posterior over the nodes."""
    return votes.hold(_posterior, _terms(at.slopes.value), at.log_weights)


def expanded(votes: Votes, model: Model, at: Tables, users: Held) -> Expansion:
    """`expansion`, where tables and posteriors are known."""
    mass, by_term = users.sum(_expected)
    expected = by_term.reshape(at.slopes.value.shape)
    second = second_derivatives(model, at, expected, mass)
    design = votes.index.design(model.strength)
    x = jnp.asarray(all_coordinates(model))
    slope, prior_diagonal = jax.jvp(jax.grad(_log_prior(model)), (x,), (jnp.ones_like(x),))
    own = [design.weighted_diagonal(second.logit), jnp.diag(second.behavior), jnp.diag(second.shape)]
    diagonal = jnp.concatenate([second.support, *own] if n_support(model) else own)
    return Expansion(
        at, second, _gathered(model, votes, at, mass, expected) + slope, -diagonal - prior_diagonal
    )


def product(votes: Votes, model: Model, found: Expansion, v: jax.Array) -> jax.Array:
    """Minus the Hessian of the objective times a vector of all coordinates."""
    return times(votes, model, found, posteriors(votes, found.at), v)


def times(votes: Votes, model: Model, found: Expansion, users: Held, v: jax.Array) -> jax.Array:
    """`product`, where posteriors are known."""
    at, second, design = found.at, found.second, votes.index.design(model.strength)
    k, first, last = n_support(model), n_support(model) + n_strength(model), n_support(model) + n_table(model)
    support, strengths, behavior, shape = v[:k], v[k:first], v[first:last], v[last:]
    logits, slopes = design.times(strengths), at.slopes
    by_coordinate = moves(model.behavior).first_derivatives(slopes.behavior)
    moved = slopes.logit * logits[:, None, None] + jnp.einsum("bcog,b->cog", by_coordinate, behavior)
    of_logit = second.logit * logits + second.logit_behavior @ behavior
    of_behavior = second.logit_behavior.T @ logits + second.behavior @ behavior
    complete = []
    if k:
        moved = moved + slopes.eta * support[None, None, :]
        of_logit, of_behavior = (
            of_logit + second.logit_support @ support,
            of_behavior + second.behavior_support @ support,
        )
        complete = [
            second.support * support + logits @ second.logit_support + behavior @ second.behavior_support
        ]
    complete += [design.transposed(of_logit), of_behavior, second.shape @ shape]
    of_weights = at.weight_slopes @ shape
    mass, by_term = users.sum(_moved, _terms(moved), of_weights)
    missing = _gathered(model, votes, at, mass, by_term.reshape(moved.shape))
    prior = jax.jvp(jax.grad(_log_prior(model)), (jnp.asarray(all_coordinates(model)),), (v,))[1]
    return -(jnp.concatenate(complete) + missing + prior)


def _terms(table: jax.Array) -> jax.Array:
    return table.reshape(-1, table.shape[2])


def _posterior(layout: Layout, log_p: jax.Array, log_weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    return marginal(layout.forward(log_p), log_weights)


def _expected(users: tuple[jax.Array, jax.Array], layout: Layout) -> tuple[jax.Array, jax.Array]:
    """Expected users at the nodes, and their votes."""
    weighted = layout.multiplicity[:, None] * users[1]
    return jnp.sum(weighted, axis=0), layout.transposed(weighted)


def _moved(
    users: tuple[jax.Array, jax.Array], layout: Layout, moved: jax.Array, of_weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """How the two move as the log-likelihoods of single votes and the log-weights do."""
    posterior = users[1]
    each = layout.forward(moved) + of_weights[None, :]
    each = posterior * (each - jnp.sum(posterior * each, axis=1, keepdims=True))
    weighted = layout.multiplicity[:, None] * each
    return jnp.sum(weighted, axis=0), layout.transposed(weighted)


def _gathered(model: Model, votes: Votes, at: Tables, mass: jax.Array, expected: jax.Array) -> jax.Array:
    """Sums over expected votes and users of the derivatives in all coordinates."""
    slopes = at.slopes
    by_coordinate = moves(model.behavior).first_derivatives(slopes.behavior)
    strengths = votes.index.design(model.strength).transposed(jnp.sum(expected * slopes.logit, axis=(1, 2)))
    own = [strengths, jnp.einsum("cog,bcog->b", expected, by_coordinate), mass @ at.weight_slopes]
    support = [jnp.sum(expected * slopes.eta, axis=(0, 1))] if n_support(model) else []
    return jnp.concatenate(support + own)


def _log_prior(model: Model) -> Callable[[jax.Array], jax.Array]:
    return lambda x: with_all_coordinates(model, x).log_prior()


class System:
    """A symmetric matrix known by its products; the few `common` coordinates are eliminated exactly.

    What strengths have in common with the prior (a scale, a guess rate) is badly conditioned. Given it, the
    strengths are not: each user ties but a few of them together.
    """

    def __init__(self, curved: Product, diagonal: np.ndarray, common: np.ndarray) -> None:
        self.times, self.common, self.solved = curved, common, True
        self.diagonal = np.maximum(np.abs(diagonal), 1e-12 * np.abs(diagonal).max(initial=1e-300))
        units = _units(common)
        self._columns = np.stack([curved(unit) for unit in units], axis=1) if len(units) else None

    def solve(self, slope: np.ndarray, free: np.ndarray, damping: float) -> np.ndarray:
        """A step that ascends: the solution, by absolute curvature in the common coordinates.

        `solved` then says whether it is one, or conjugate gradients had to stop before.
        """
        self.solved = True
        own = free & ~self.common
        move = self._conjugate(slope, own, damping)
        common = np.flatnonzero(self.common & free)
        if self._columns is None or not len(common):
            return move
        columns = self._columns[:, free[self.common]]
        moved = np.stack([self._conjugate(column, own, damping) for column in columns.T], axis=1)
        rest = slope[common] - columns[own].T @ move[own]
        reduced = columns[common] - columns[own].T @ moved[own]
        reduced = reduced + damping * np.diag(self.diagonal[common])
        scale = unit_scale(reduced)
        sizes, axes = np.linalg.eigh(reduced * scale * scale[:, None])
        sizes = np.abs(sizes)
        along = np.where(
            sizes > _RANK * sizes.max(), axes.T @ (scale * rest) / np.maximum(sizes, 1e-300), 0.0
        )
        shared = scale * (axes @ along)
        move = move - moved @ shared
        move[common] = shared
        return move

    def _conjugate(self, slope: np.ndarray, free: np.ndarray, damping: float) -> np.ndarray:
        """Conjugate gradients, up to a direction along which the objective is not concave."""
        move, rest = np.zeros(len(slope)), np.where(free, slope, 0.0)
        ahead = along = rest / self.diagonal
        size = start = rest @ ahead
        for _ in range(_MOST_PRODUCTS):
            if size <= _ACCURACY**2 * start or size == 0.0:
                break
            curved = np.where(free, self.times(along) + damping * self.diagonal * along, 0.0)
            bend = along @ curved
            if bend <= 0.0:
                self.solved = False
                return move if move.any() else ahead
            move = move + size / bend * along
            rest = rest - size / bend * curved
            ahead, before = rest / self.diagonal, size
            size = rest @ ahead
            along = ahead + size / before * along
        else:
            self.solved = False
        return move


def _units(which: np.ndarray) -> np.ndarray:
    """The unit vectors of some coordinates."""
    units = np.zeros((int(which.sum()), len(which)))
    units[np.arange(len(units)), np.flatnonzero(which)] = 1.0
    return units


class NewtonByProducts:
    """Newton's step from one point, and damped ones, without the matrix."""

    def __init__(self, x: np.ndarray, gradient: np.ndarray, system: System, bounds: Any) -> None:
        low, high = bounds
        held = ((x <= low) & (gradient < 0)) | ((x >= high) & (gradient > 0))
        self.x, self.low, self.high, self.free = x, low, high, ~held
        self.gradient, self._system = gradient, system
        self._newton = system.solve(gradient, self.free, 0.0)
        # Of a step that is none, nothing bounds how far the maximum is.
        self.decrement = float(0.5 * gradient @ self._newton) if system.solved else np.inf

    def step(self, damping: float) -> np.ndarray:
        """A damped Newton step; `damping` is relative to the diagonal."""
        return self._system.solve(self.gradient, self.free, damping) if damping else self._newton

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Coordinates moved to the nearest possible ones."""
        return np.clip(x, self.low, self.high)

    def predicted_gain(self, x: np.ndarray) -> float:
        """The gain that the quadratic expansion predicts at x."""
        move = x - self.x
        return float(move @ self.gradient - 0.5 * move @ self._system.times(move))

    def weakest(self) -> None:
        """The direction of least curvature is not known."""


def newton_by_products(x: np.ndarray, model: Model, votes: Votes, mass: Any, bounds: Any) -> NewtonByProducts:
    """Newton's step in the free coordinates at a model; the weights of a Grid are maximised out."""
    model = jax.tree.map(np.asarray, model)
    smaller, few = compact(model, np.asarray(mass))
    found = votes.run(expansion, smaller, few)
    gradient, diagonal = np.asarray(found.gradient), np.asarray(found.diagonal)
    check_finite(gradient, diagonal)
    first, last = n_support(smaller), n_support(smaller) + n_table(smaller)
    place = np.arange(len(gradient))
    common = (place < first) | (place >= first + n_strength(smaller))

    def whole(v: np.ndarray) -> np.ndarray:
        return np.asarray(votes.run(product, smaller, found, v))

    if not model.prior.weights_are_solved:
        return NewtonByProducts(x, gradient, System(whole, diagonal, common), bounds)
    columns = np.stack([whole(unit) for unit in _units(place >= last)], axis=1)
    cross, inverse = columns[first:last], np.linalg.pinv(columns[last:], rcond=_RANK, hermitian=True)

    def profiled(v: np.ndarray) -> np.ndarray:
        padded = np.zeros(len(gradient))
        padded[first:last] = v
        return whole(padded)[first:last] - cross @ (inverse @ (cross.T @ v))

    table = slice(first, last)
    return NewtonByProducts(x, gradient[table], System(profiled, diagonal[table], common[table]), bounds)
