"""The Newton stage: projected Newton steps on the marginal likelihood after EM; the optimality gap left."""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.linalg import cho_solve

from emjax.infer.conjugate_gradients import NewtonByProducts, is_large, newton_by_products
from emjax.infer.coordinates import (
    free_bounds,
    free_coordinates,
    n_support,
    n_table,
    with_free_coordinates,
)
from emjax.infer.information import Information, compact, information
from emjax.infer.linear_algebra import check_finite, cholesky, unit_scale
from emjax.infer.objective import Evaluated, Objective
from emjax.infer.steps import Expected
from emjax.infer.trust_region import are_many, led_near_maximum
from emjax.infer.votes_on_device import Votes
from emjax.model.model import Model

_MOST_STEPS = 60
_MAX_STEP = 1.5  # largest move of a coordinate in one step: logits and logarithms are curved on that scale
_RANK = 1e-10  # eigenvalues this far below the largest are rounding


class NewtonEnd(NamedTuple):
    """Where Newton steps ended, with the derivatives there (None where strengths are too many)."""

    model: Model
    expected: Expected
    values: list[float]
    gap: float
    information: Information | None
    compact: Model | None


class _Point(NamedTuple):
    """A place in the free coordinates, and the objective there."""

    x: np.ndarray
    at: Evaluated

    @property
    def value(self) -> float:
        return float(self.at.value)


def newton_stage(model: Model, objective: Objective, tol: float) -> NewtonEnd:
    """Maximise log L plus log priors by Newton steps, from the estimate of EM.

    Projected Newton with the exact information matrix; under a Grid the weights are solved for at every
    point, and the steps are those of the profile likelihood. `gap` is Newton's decrement gᵀH⁻¹g/2 plus the
    certificate of the weights: how far the objective is from its maximum, to second order. Where strengths
    are many, cheaper steps lead near the maximum first.
    """
    model, before = led_near_maximum(model, objective, tol) if are_many(model) else (model, [])
    bounds = free_bounds(model)
    model = jax.tree.map(np.asarray, model)
    here = _Point(np.asarray(free_coordinates(model)), objective.at(model))
    # Values before are of fewer nodes, which may promise a little more than there is.
    values = [*np.minimum(before[:-1], here.value).tolist(), here.value]
    while True:
        newton, smaller, found = _newton_at(here, objective.votes, bounds)
        if newton.decrement <= 0.01 * tol or len(values) - len(before) > _MOST_STEPS:
            break
        there = _search(newton, here, objective)
        if there is None:
            break
        here = there
        values.append(here.value)
    end = here.at
    gap = newton.decrement + float(end.certificate)
    return NewtonEnd(jax.tree.map(np.asarray, end.model), end.expected, values, gap, found, smaller)


class _Newton:
    """Newton's step from one point, and damped ones."""

    def __init__(
        self,
        x: np.ndarray,
        gradient: np.ndarray,
        curvature: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        hold: int | None = None,
    ) -> None:
        held = np.arange(len(x)) == hold
        held |= ((x <= low) & (gradient < 0)) | ((x >= high) & (gradient > 0))
        self.x, self.low, self.high, self.free = x, low, high, ~held
        self.gradient, self.curvature = gradient, curvature
        g, c = gradient[self.free], curvature[np.ix_(self.free, self.free)]
        self.scale = unit_scale(c)
        self.scaled = _Curved(c * self.scale * self.scale[:, None])
        self.newton = self.solve(gradient, 0.0)
        # Along directions without curvature nothing is determined, and the gradient there is rounding.
        self.decrement = float(0.5 * gradient @ self.newton)
        if (np.clip(x + self.newton, low, high) != x + self.newton)[self.free].any():
            units = 1.0 / self.scale
            bent = self.scaled.absolute() * units * units[:, None]
            inside = self._in_the_box(self.newton, bent)
            free = inside[self.free]
            predicted_gain = float(free @ g - 0.5 * free @ bent @ free)
            if predicted_gain > 0.0:
                self.newton, self.decrement = inside, min(self.decrement, predicted_gain)

    def solve(self, slope: np.ndarray, damping: float) -> np.ndarray:
        """H⁻¹ times a vector, damped, with held coordinates and flat directions left alone."""
        move = np.zeros_like(self.x)
        move[self.free] = self.scale * self.scaled.solve(self.scale * slope[self.free], damping)
        return move

    def step(self, damping: float) -> np.ndarray:
        """A damped Newton step, no longer than the quadratic expansion is accurate."""
        move = self.solve(self.gradient, damping) if damping else self.newton
        return move * min(1.0, _MAX_STEP / max(np.abs(move).max(initial=0.0), 1e-300))

    def _in_the_box(self, newton: np.ndarray, bent: np.ndarray) -> np.ndarray:
        """The Newton step with what would pass a bound stopped there, the others at their best for that."""
        low, high = (bound[self.free] - self.x[self.free] for bound in (self.low, self.high))
        pull, move = self.gradient[self.free], newton[self.free]
        stopped = np.zeros(len(move), dtype=bool)
        for _ in range(len(move)):
            passes = ~stopped & ((move < low) | (move > high))
            if not passes.any():
                break
            # One at a time, the first to get there: on a ridge the others then turn back with it.
            until_bound = np.where(move > 0, high, low) / np.where(passes, move, 1.0)
            stopped[np.argmin(np.where(passes, until_bound, np.inf))] = True
            move = np.where(stopped, np.clip(move, low, high), 0.0)
            scale = self.scale[~stopped]
            scaled = bent[np.ix_(~stopped, ~stopped)] * scale * scale[:, None]
            inverse = np.linalg.pinv(scaled, rcond=_RANK, hermitian=True)
            move[~stopped] = scale * (inverse @ (scale * (pull - bent @ move)[~stopped]))
        inside = np.zeros_like(self.x)
        inside[self.free] = np.clip(move, low, high)
        return inside

    def predicted_gain(self, x: np.ndarray) -> float:
        """The gain that the quadratic expansion predicts at x; less than the decrement at a bound."""
        move = x - self.x
        return float(move @ self.gradient - 0.5 * move @ self.curvature @ move)

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Coordinates moved to the nearest possible ones."""
        return np.clip(x, self.low, self.high)

    def weakest(self) -> int:
        """The coordinate that moves most, for its scale, along the direction of least curvature."""
        return int(np.flatnonzero(self.free)[np.argmax(np.abs(self.scaled.weakest()))])


class _Curved:
    """A symmetric matrix as Newton steps divide by it: by absolute curvature, flat directions left alone.

    A safely positive definite one needs a Cholesky factor only; its eigenvectors, which cost some twenty
    times as much, are found when they are asked for.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.factor = matrix, cholesky(matrix)

    @cached_property
    def _axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Absolute eigenvalues, eigenvectors, and which are not flat."""
        values, vectors = np.linalg.eigh(self.matrix) if len(self.matrix) else (np.zeros(0), self.matrix)
        size = np.abs(values)
        return size, vectors, size > _RANK * size.max(initial=1e-300)

    def solve(self, slope: np.ndarray, damping: float) -> np.ndarray:
        """The inverse times a vector; `damping` is relative to the largest curvature."""
        if self.factor is not None and not damping:
            return cho_solve((self.factor, True), slope)
        size, vectors, determined = self._axes
        along, bend = vectors.T @ slope, size + damping * size.max(initial=1e-300)
        return vectors @ np.where(determined, along / np.where(determined, bend, 1.0), 0.0)

    def absolute(self) -> np.ndarray:
        """The matrix with absolute eigenvalues."""
        if self.factor is not None:
            return self.matrix
        size, vectors, _ = self._axes
        return (vectors * size) @ vectors.T

    def weakest(self) -> np.ndarray:
        """The direction of least curvature that is not flat."""
        size, vectors, determined = self._axes
        return vectors[:, np.argmin(np.where(determined, size, np.inf))]


def _search(newton: _Newton | NewtonByProducts, here: _Point, objective: Objective) -> _Point | None:
    """A better point, or None where rounding hides any."""
    straight = _moved(here, newton.inside(newton.x + newton.step(0.0)), objective)
    if straight.value - here.value >= 0.25 * newton.predicted_gain(straight.x) > 0.0:
        return straight
    along = _along_the_ridge(newton, here, objective)
    if along is not None:
        return along
    for damping in (1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4):
        there = _moved(here, newton.inside(newton.x + newton.step(damping)), objective)
        if there.value > here.value:
            return there
    return straight if straight.value > here.value else None


def _along_the_ridge(newton: _Newton | NewtonByProducts, here: _Point, objective: Objective) -> _Point | None:
    """A Newton step that is corrected back onto the ridge before it is judged.

    Where attentiveness and strength trade off, the likelihood is a curved ridge: a straight step leaves it,
    and without correction only tiny steps increase the objective. So the weakest coordinate moves, and the
    others are maximised given it.
    """
    if newton.free.sum() < 2 or (weakest := newton.weakest()) is None:
        return None
    move = newton.step(0.0)
    for t in (1.0, 0.5, 0.25, 0.1, 0.03):
        there = _moved(here, newton.inside(newton.x + t * move), objective)
        for _ in range(4):
            across, *_ = _newton_at(there, objective.votes, (newton.low, newton.high), hold=weakest)
            steps = (across.inside(across.x + share * across.step(0.0)) for share in (1.0, 0.5, 0.2, 0.05))
            tried = max((_moved(here, x, objective) for x in steps), key=lambda point: point.value)
            if not tried.value > there.value:
                break
            there = tried
            if across.decrement < 1e-2 * newton.decrement:
                break
        if there.value - here.value >= 0.1 * t * newton.decrement:
            return there
    return None


def _newton_at(
    here: _Point, votes: Votes, bounds: tuple[np.ndarray, np.ndarray], hold: int | None = None
) -> tuple[_Newton | NewtonByProducts, Model | None, Information | None]:
    """Newton's step at a point; and, unless strengths are too many, the information there."""
    model, mass = here.at.model, here.at.expected.mass
    if is_large(model):
        return newton_by_products(here.x, model, votes, mass, bounds), None, None
    smaller, found = derivatives(model, votes, mass)
    gradient, curvature = _profiled(model, smaller, found)
    check_finite(gradient, curvature)
    return _Newton(here.x, gradient, curvature, *bounds, hold=hold), smaller, found


def _moved(here: _Point, x: np.ndarray, objective: Objective) -> _Point:
    """The objective at other coordinates, with the weights of a Grid at their best for them."""
    return _Point(x, objective.at(with_free_coordinates(jax.tree.map(np.asarray, here.at.model), x)))


def derivatives(model: Model, votes: Votes, mass: Any) -> tuple[Model, Information]:
    """The model without its empty nodes, and the information there."""
    model = jax.tree.map(np.asarray, model)
    smaller, few = compact(model, np.asarray(mass))
    return smaller, Information(*(np.asarray(x) for x in votes.run(information, smaller, few)))


def _profiled(model: Model, smaller: Model, found: Information) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and curvature in the free coordinates, the weights of a Grid maximised out."""
    gradient = found.gradient + found.prior_gradient
    curvature = found.observed + found.log_prior
    if not model.prior.weights_are_solved:
        return gradient, curvature
    # Its nodes came back as points, which stay where they are here.
    first, n = n_support(smaller), n_table(model)
    return gradient[first : first + n], schur(curvature[first:, first:], n)


def schur(curvature: np.ndarray, first: int) -> np.ndarray:
    """Curvature of the first coordinates with the others maximised out."""
    top, cross, rest = curvature[:first, :first], curvature[:first, first:], curvature[first:, first:]
    return top - cross @ np.linalg.pinv(rest, rcond=_RANK, hermitian=True) @ cross.T
