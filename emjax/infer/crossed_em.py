"""EM where users and items are both latent (crossed random effects): sweeps of messages, then an M-step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.data.preferences import Preferences
from emjax.infer.belief_propagation import KEEP, SWINGING, Messages, Swept, at_nodes, opening, per_item, sweep
from emjax.infer.count_layout import Dense
from emjax.infer.em_loop import Progress, Step, run
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.npmle import relative, solve_weights
from emjax.infer.solver import Options, Solution
from emjax.infer.standard_errors import no_curvature
from emjax.infer.steps import Expected, m_step
from emjax.infer.user_item_graph import Graph, graph
from emjax.infer.votes_on_device import Data, HeldHere
from emjax.model.array_namespace import namespace
from emjax.model.design import DesignIndex
from emjax.model.item_strength import PerItem
from emjax.model.likelihood import marginal
from emjax.model.model import Model, upright
from emjax.model.pytree import record, replace

_RELATIVE = 1e-9  # of the log-likelihood: below it a gain is rounding
_EVERY = 4  # sweeps between two full solutions for the weights of a Grid
_SOME = 2  # sweeps between two updates of an estimated penalty
_SAME_PENALTY = 0.02  # its relative change that is small enough at the end


def solve(prefs: Preferences, start: Model, options: Options) -> Solution:
    """`fit_em` where each comparison is an item, a pair of answers that several users judged."""
    votes = graph(prefs, start.strength.index(prefs.table))
    problem, given = Crossed(options.tol), replace(start, strength=start.strength.bare())
    end = run(problem, votes, given, options.acceleration, options.max_steps)
    progress = end.progress()
    fitted = jax.tree.map(lambda x: np.asarray(x)[()], end.step.here)
    fitted = replace(fitted, prior=fitted.prior.ordered())
    fitted = upright(fitted) or fitted
    moved = {name: getattr(fitted.strength, name) for name in ("log_weights", "strengths", "penalty")}
    named = replace(fitted, strength=replace(start.strength, **moved))
    curvature = no_curvature(named, prefs.n_users)
    return Solution(
        model=named,
        log_likelihood=float(end.state.swept.value),
        trace=end.values,
        em_steps=end.steps,
        newton_steps=0,
        gap=float(progress.remaining_gain()),
        tol=float(problem.allowed(progress)),
        step_limit=end.steps >= options.max_steps,
        curvature=curvature,
        identified=Identifiability(tuple(_findings(prefs, per_item(named))), 0, len(curvature.names), 1.0),
    )


class State(NamedTuple):
    """What a sweep leaves for the next, and how far the estimated penalty moved when it was last updated."""

    messages: Messages
    swept: Swept | None
    sweeps: int
    penalty_moved: float
    keep: float  # share of the old messages that stays


@record
class Crossed:
    """Users and items as a problem for the EM loop: a step is one sweep of messages, then an M-step.

    Every few sweeps an estimated penalty, and the weights of a Grid, are brought to their maximum.
    """

    tol: float

    @property
    def monotone(self) -> bool:
        """Bethe's approximation of the log-likelihood may fall."""
        return False

    def init(self, votes: Graph, model: Model) -> State:
        """The first messages."""
        unsettled = np.inf if per_item(model).n_relative else 0.0
        return State(opening(votes, model), None, 0, unsettled, 0.0)

    def step(self, votes: Graph, model: Model, state: State, progress: Progress) -> tuple[Step, State]:
        """A sweep and an M-step."""
        progress = progress.on_host()
        falls = progress.n > SWINGING and progress.last() < progress.last(1) - self.tol
        keep = KEEP if falls else state.keep
        swept = sweep(votes, model, state.messages, jnp.asarray(keep))
        sweeps, moved = state.sweeps + 1, state.penalty_moved
        after = _learned(model, swept, votes)
        if per_item(model).n_relative and (sweeps % _SOME == 0 or self._is_small(progress)):
            before, after = per_item(after).penalty, _with_estimated_penalty(after, swept, votes)
            moved = abs(float(per_item(after).penalty / before) - 1.0)
        if model.prior.weights_are_solved and sweeps % _EVERY == 0:
            after = _with_best_weights(after, swept)
        value = swept.value + model.strength.log_prior()
        return Step(model, after, value), State(swept.messages, swept, sweeps, moved, keep)

    def ends(self, state: State, progress: Progress) -> Any:
        """Whether gains shrink so fast that little is left; the objective is nearly flat in the penalty."""
        return self._is_small(progress) & (state.penalty_moved < _SAME_PENALTY)

    def allowed(self, progress: Progress) -> Any:
        """The optimality gap at which to end: the tolerance, or what rounding leaves."""
        return namespace(progress.values).maximum(self.tol, _RELATIVE * abs(progress.last()))

    def _is_small(self, progress: Progress) -> Any:
        return (progress.n > 0) & (progress.remaining_gain() <= self.allowed(progress))


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


def _findings(prefs: Preferences, strength: PerItem) -> list[Finding]:
    judges = np.bincount(prefs.comparison, minlength=prefs.n_comparisons)
    shared = int((judges > 1).sum())
    found = [
        Finding(
            "note",
            "Users and items are inferred from each other by messages: the log-likelihood is Bethe's "
            "approximation, the optimality gap is estimated from how its gains shrink and has no bound, and "
            "there are no standard errors.",
            "For intervals fit again to resampled users.",
        ),
        Finding(
            "note",
            f"The scale of attentiveness rests on the nodes: no item can be clearer than "
            f"{float(np.max(strength.nodes)):.3g} to an attentive user.",
            "The ranking of users does not depend on it; other nodes rescale attentiveness.",
            about="scale",
        ),
    ]
    if shared < max(1, prefs.n_comparisons // 20):
        found.append(
            Finding(
                "warning",
                f"Only {shared:,} of {prefs.n_comparisons:,} items were judged by more than one user: "
                f"overlap says little here.",
                "Use BradleyTerry() where models are named; or collect several votes on the same answers.",
                True,
            )
        )
    return found
