"""fit_em where users are independent given the strengths: EM, then Newton steps and repairs, certified."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from emjax.data.comparison_table import ComparisonTable, n_pairs
from emjax.infer.coordinates import n_support
from emjax.infer.identifiability import examine
from emjax.infer.information import is_quick
from emjax.infer.newton import NewtonEnd, derivatives, newton_stage
from emjax.infer.objective import Objective
from emjax.infer.solver import Options, Solution
from emjax.infer.standard_errors import Curvature, curvature, no_curvature
from emjax.infer.support_points import LOSS, neighbours_merged, with_redundant_point_moved
from emjax.infer.trust_region import EM_STEPS, are_many
from emjax.infer.vote_sources import Source, design_index, placed_votes
from emjax.infer.votes_on_device import Votes
from emjax.model.check_classes import check_strength
from emjax.model.model import Model, n_nodes, upright
from emjax.model.pytree import replace
from emjax.model.response import Behavior

_COMPILED: set[Any] = set()  # shapes for which this process has compiled the derivatives


def solve(source: Source, table: ComparisonTable, start: Model, options: Options) -> Solution:
    """The maximum of log L plus log priors, from a model that is complete for the votes."""
    tol = options.tol
    with placed_votes(source, table, start.prior, options.mesh) as votes_at:
        index = design_index(start.strength, table)
        check_strength(start.strength, np.asarray(index.comparisons), table.n_comparisons)
        votes = votes_at(index)
        model = Model(start.prior, start.strength.bare(), start.behavior.on(table))
        # The weights of a Grid are certified this closely, so that log L cannot seem to fall.
        close = np.float64(min(0.1 * tol, 1e-10 * table.n_votes))
        objective = Objective(votes, close, options.acceleration, options.max_steps)
        if start.prior.weights_are_solved and start.strength.is_shared and n_pairs(table) == 1:
            model = best_strength_of_many(objective, model)
        with _compiling_information(model, objective):
            loop = objective.em(model, EM_STEPS if are_many(model) else None)
        end = newton_stage(_ordered(loop.step.after), objective, tol)
        for repair in REPAIRS:
            end = _repaired(end, repair, objective, tol)
        fitted = jax.tree.map(lambda x: np.asarray(x)[()], end.model)
        strength = jax.tree.unflatten(jax.tree.structure(start.strength), jax.tree.leaves(fitted.strength))
        named = Model(fitted.prior, strength, _as_asked(start.behavior, fitted.behavior))
        at = _curvature(fitted, named, end, votes, table.n_users)
    return Solution(
        model=named,
        log_likelihood=float(end.expected.log_likelihood),
        trace=np.append(loop.values, end.values),
        em_steps=loop.steps,
        newton_steps=len(end.values) - 1,
        gap=float(end.gap),
        tol=tol,
        step_limit=loop.steps >= options.max_steps,
        curvature=at,
        identified=examine(table, named.prior, named.strength, named.behavior, at),
    )


class Repair(NamedTuple):
    """A repair of what EM and Newton steps leave: where Newton steps are to start once more.

    Attributes
    ----------
    start : from a model, its votes and the tolerance to a better start, or None where nothing is to be done
    gain : share of the tolerance that this has to gain, or what was found before is kept
    once : whether once is enough; otherwise it is repeated until nothing is to be done
    """

    start: Callable[[Model, Votes, float], Model | None]
    gain: float
    once: bool


def in_order(model: Model, votes: Votes, tol: float) -> Model | None:
    """The model with its support points in order, where Newton steps have changed it."""
    return _ordered(model) if _crossed(model) else None


def turned_upright(model: Model, votes: Votes, tol: float) -> Model | None:
    """The mirror image of a model whose attentiveness is below 0 on average, where both are as likely."""
    return None if votes.index.n_known else upright(model)


REPAIRS = (
    Repair(in_order, gain=-np.inf, once=True),
    Repair(with_redundant_point_moved, gain=0.5, once=False),
    Repair(turned_upright, gain=-np.inf, once=True),
)


def _repaired(end: NewtonEnd, repair: Repair, objective: Objective, tol: float) -> NewtonEnd:
    """Where Newton steps end after a repair; as before, where nothing is to be repaired or gained."""
    while (start := repair.start(end.model, objective.votes, tol)) is not None:
        again = newton_stage(start, objective, tol)
        if repair.gain > 0.0 and _crossed(again.model):
            break
        if again.values[-1] < end.values[-1] + repair.gain * tol:
            break
        end = again._replace(values=end.values + [v for v in again.values if v > end.values[-1]])
        if repair.once:
            break
    return end


def best_strength_of_many(objective: Objective, model: Model) -> Model:
    """The best of many strengths: with free weights the profile likelihood is nearly flat, with ripples."""
    candidates = np.append(np.linspace(-4.0, 4.0, 81), np.asarray(model.strength.coordinates()))
    models = [replace(model, strength=model.strength.at(np.array([x]))) for x in candidates]
    return models[int(np.argmax([float(objective.at(at).value) for at in models]))]


@contextmanager
def _compiling_information(model: Model, objective: Objective) -> Iterator[None]:
    """Have the derivatives that the Newton stage takes compiled while EM steps are compiled and taken.

    They are computed once at the start, where that costs next to nothing, on another processor core.
    """
    votes = objective.votes
    leaves, structure = jax.tree.flatten((votes, model))
    shapes = structure, tuple((np.shape(x), str(getattr(x, "dtype", ""))) for x in leaves)
    # Of a density it is not known before how many nodes will matter.
    if not is_quick(votes, model) or model.prior.continuous or shapes in _COMPILED:
        yield
        return
    _COMPILED.add(shapes)
    objective.trace(model)

    def at_start() -> None:
        with jax.enable_x64(True):
            concentrated = np.eye(1, n_nodes(model))[0]  # as if few nodes mattered, which is how fits end
            smaller, found = derivatives(model, votes, concentrated)
            curvature(smaller, found, (), 1, votes.index.n_known, is_grid=model.prior.weights_are_solved)

    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(at_start)
        yield
        wait([done])  # what failed here fails again, and is reported, where it is needed


def _curvature(fitted: Model, named: Model, end: NewtonEnd, votes: Votes, n_users: int) -> Curvature:
    """Second derivatives at the end of a fit; of a Grid as points that can move, unless that loses fit."""
    if end.information is None or end.compact is None:
        return no_curvature(named, n_users)
    is_grid = fitted.prior.weights_are_solved
    at, found, points_move = end.compact, end.information, False
    if is_grid:
        points = neighbours_merged(fitted, n_support(end.compact))
        of_points = derivatives(points, votes, end.expected.mass)[1]
        # A larger loss: the grid is coarse for these votes, and its nodes are the model.
        if float(end.expected.log_likelihood) - float(of_points.log_likelihood) < LOSS:
            at, found, points_move = points, of_points, True
    n_known = votes.index.n_known
    made = curvature(at, found, named.names(), n_users, n_known, is_grid=is_grid, points_move=points_move)
    return dataclasses.replace(made, estimate=fitted.natural())


def _crossed(model: Model) -> bool:
    """Whether Newton steps changed the order of two support points."""
    return bool((np.diff(np.asarray(model.prior.support(), np.float64)) < 0).any())


def _ordered(model: Model) -> Model:
    model = jax.tree.map(np.asarray, model)
    return replace(model, prior=model.prior.ordered())


def _as_asked(behavior: Behavior, fitted: Behavior) -> Behavior:
    """The requested behavior, with the parameters of the fitted one."""
    return jax.tree.map(lambda x: np.asarray(x)[()], behavior.at(np.asarray(fitted.coordinates())))
