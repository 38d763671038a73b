"""The objective of independent users, log L plus log priors: its value, and EM steps that raise it.

One compiled program serves the EM loop and every evaluation of the objective that Newton steps ask for: an
evaluation is a loop with no step allowed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from emjax.infer.acceleration import Acceleration
from emjax.infer.em_loop import Ended, Progress, Step, ended, loop, trace
from emjax.infer.steps import Expected, e_step_at_best_weights, m_step
from emjax.infer.votes_on_device import Votes
from emjax.model.model import Model, n_nodes
from emjax.model.pytree import record

# Gain of three EM steps below which Newton steps gain more: in log-likelihood units, and relative to it.
_SLOW_GAIN = (0.1, 1e-6)


class Evaluated(NamedTuple):
    """The objective at a model; under a Grid with the best weights for its strengths, which `model` has."""

    model: Model
    value: Any
    certificate: Any  # largest optimality gap of the weights
    expected: Expected


@record
class IndependentUsers:
    """Log L plus log priors as a problem for the EM loop.

    Attributes
    ----------
    close : how closely the weights of a Grid are solved for
    """

    close: Any

    @property
    def monotone(self) -> bool:
        """EM steps never lower it."""
        return True

    def init(self, votes: Votes, model: Model) -> Evaluated:
        """The state before the first step, which replaces it."""
        rows, outcomes, nodes = votes.index.n_rows, votes.n_outcomes, n_nodes(model)
        expected = Expected(jnp.zeros(()), jnp.zeros(nodes), jnp.zeros((rows, outcomes, nodes)))
        return Evaluated(model, jnp.zeros(()), jnp.zeros(()), expected)

    def step(
        self, votes: Votes, model: Model, state: Evaluated, progress: Progress
    ) -> tuple[Step, Evaluated]:
        """An EM step; the state is what the E-step found."""
        here = evaluate(votes, model, self.close)
        after = _next(here.model, here.expected, votes.index, progress.limit > 0)
        return Step(here.model, after, here.value), here

    def ends(self, state: Evaluated, progress: Progress) -> Any:
        """Whether three steps gained so little that Newton steps gain more."""
        gain = progress.last() - progress.last(3)
        return gain < _SLOW_GAIN[0] + _SLOW_GAIN[1] * jnp.abs(progress.last())


@dataclass(frozen=True)
class Objective:
    """Log L plus log priors of some votes, as a function of the model.

    Attributes
    ----------
    votes : where the sums over users are taken
    close : how closely the weights of a Grid are solved for
    acceleration, max_steps : of the EM loop
    """

    votes: Votes
    close: Any
    acceleration: Acceleration
    max_steps: int = 1000

    def at(self, model: Model) -> Evaluated:
        """The objective at a model."""
        return loop(
            IndependentUsers(self.close), self.votes, model, self.acceleration, 0, self.max_steps
        ).state

    def em(self, model: Model, most: int | None = None) -> Ended:
        """Where EM steps lead, at most so many."""
        limit = self.max_steps if most is None else min(most, self.max_steps)
        found = loop(
            IndependentUsers(self.close), self.votes, model, self.acceleration, limit, self.max_steps
        )
        return ended(found, monotone=True)

    def trace(self, model: Model) -> None:
        """Trace the one program of both, for votes on one device, before threads compile at once."""
        trace(IndependentUsers(self.close), self.votes, model, self.acceleration, self.max_steps)


def evaluate(votes: Votes, model: Model, close: Any) -> Evaluated:
    """The objective at a model, and the E-step there; the weights of a Grid are solved for as closely."""
    model, expected, certificate = e_step_at_best_weights(votes, model, close)
    return Evaluated(model, expected.log_likelihood + model.log_prior(), certificate, expected)


@jax.jit
def _next(model: Model, expected: Expected, index: Any, moves: Any) -> Model:
    """The M-step, where one is wanted."""
    return jax.lax.cond(moves, lambda: m_step(model, expected, index), lambda: model)
