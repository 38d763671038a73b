"""EM where users and items are both latent (crossed random effects): sweeps of messages, then an M-step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from emjax.data.preferences import Preferences
from emjax.infer.belief_propagation import (
    KEEP,
    SWINGING,
    Messages,
    Totals,
    at_nodes,
    opening,
    per_item,
    sweep,
)
from emjax.infer.em_loop import Progress, Step, run
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.npmle import relative, solve_weights
from emjax.infer.solver import Options, Solution
from emjax.infer.standard_errors import no_curvature
from emjax.infer.steps import Expected, m_step
from emjax.infer.user_item_graph import Graph, graph
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.item_strength import PerItem
from emjax.model.model import Model, upright
from emjax.model.pytree import record, replace

_RELATIVE = 1e-9  # of the log-likelihood: below it a gain is rounding
_EVERY = 4  # sweeps between two full solutions for the weights of a Grid
_SOME = 2  # sweeps between two updates of an estimated penalty
_SAME_PENALTY = 0.02  # its relative change that is small enough at the end


def solve(prefs: Preferences, start: Model, options: Options) -> Solution:
    """`fit_em` where each comparison is an item, a pair of answers that several users judged."""
    votes = graph(prefs, start.strength.index(prefs.table), options.mesh)
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
        log_likelihood=float(end.state.value),
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
    value: Any
    sweeps: int
    penalty_moved: float
    keep: Any  # share of the old messages that stays


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
        return State(opening(votes, votes.on_host(model)), None, 0, unsettled, np.zeros(()))

    def step(self, votes: Graph, model: Model, state: State, progress: Progress) -> tuple[Step, State]:
        """A sweep and an M-step."""
        progress = progress.on_host()
        falls = progress.n > SWINGING and progress.last() < progress.last(1) - self.tol
        keep = np.asarray(KEEP) if falls else state.keep
        messages, users, totals = votes.on_host(sweep(votes, votes.on_host(model), state.messages, keep))
        sweeps, moved, pairs = state.sweeps + 1, state.penalty_moved, (votes.pair[:-1], votes.pairs)
        after = _learned(model, totals, *pairs)
        if per_item(model).n_relative and (sweeps % _SOME == 0 or self._is_small(progress)):
            before, after = per_item(after).penalty, _with_estimated_penalty(after, totals.items, *pairs)
            moved = abs(float(per_item(after).penalty / before) - 1.0)
        if model.prior.weights_are_solved and sweeps % _EVERY == 0:
            weights = votes.on_host(_best_weights(votes, users))
            # A node's weight must stay positive, since later messages may need it.
            weights = (1.0 - 1e-6) * weights + 1e-6 / len(weights)
            after = replace(after, prior=replace(after.prior, weights=weights))
        value = totals.value + model.strength.log_prior()
        return Step(model, after, value), State(messages, totals.value, sweeps, moved, keep)

    def ends(self, state: State, progress: Progress) -> Any:
        """Whether gains shrink so fast that little is left; the objective is nearly flat in the penalty."""
        return self._is_small(progress) & (state.penalty_moved < _SAME_PENALTY)

    def allowed(self, progress: Progress) -> Any:
        """The optimality gap at which to end: the tolerance, or what rounding leaves."""
        return namespace(progress.values).maximum(self.tol, _RELATIVE * abs(progress.last()))

    def _is_small(self, progress: Progress) -> Any:
        return (progress.n > 0) & (progress.remaining_gain() <= self.allowed(progress))


@jax.jit
def _learned(
    model: Model, totals: Totals, pair: Int[AnyArray, " items"], pairs: Int[AnyArray, "pairs two"]
) -> Model:
    """The M-step: items at their nodes are the comparisons that users voted in."""
    inner, index = at_nodes(model)
    new = m_step(inner, Expected(totals.value, totals.mass, totals.votes), index)
    prior = model.prior.maximise(totals.mass, totals.votes, index.logits(inner.strength), model.behavior)
    strength = per_item(model).learned(totals.items, pair, pairs)
    return Model(prior if prior.weights_are_solved else new.prior, strength, new.behavior)


@jax.jit
def _with_estimated_penalty(
    model: Model,
    items: Float[AnyArray, "items nodes"],
    pair: Int[AnyArray, " items"],
    pairs: Int[AnyArray, "pairs two"],
) -> Model:
    return replace(model, strength=per_item(model).with_estimated_penalty(items, pair, pairs))


@jax.jit
def _best_weights(votes: Graph, rows: Float[AnyArray, "*devices users nodes"]) -> Float[AnyArray, " nodes"]:
    users = votes.users()
    return solve_weights(users.holding((rows, relative(rows))), users, rows.shape[-1], jnp.asarray(1e-4))[0]


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
