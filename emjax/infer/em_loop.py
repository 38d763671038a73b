"""The EM loop: steps until three of them gain so little that Newton steps gain more.

One compiled program serves the loop, its restarts, and each evaluation of the objective that Newton steps ask
for: an evaluation is the loop with no step allowed.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.errors import FitError
from emjax.infer.acceleration import Acceleration
from emjax.infer.steps import Expected, Model, e_step_at_best_weights, m_step, n_nodes
from emjax.infer.votes_on_device import Votes, compiled
from emjax.model.pytree import replace

# Gain of three EM steps below which Newton steps gain more: in log-likelihood units, and relative to it.
_SLOW_GAIN = (0.1, 1e-6)
_ROUNDING = 1e-9


class Evaluated(NamedTuple):
    """The objective at a model; under a Grid with the best weights for its strengths, which `model` has."""

    model: Model
    value: Any
    certificate: Any  # largest optimality gap of the weights
    expected: Expected


class _State(NamedTuple):
    model: Model  # where the next step is taken
    memory: Any  # of the acceleration
    values: Any  # the objective at each point that counted
    kept: Any  # how many those are
    steps: Any  # EM steps taken
    end: Any
    last: Evaluated


@dataclass(frozen=True)
class Objective:
    """Log L plus log priors of some votes: its value at a model, and EM steps that raise it.

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
        return self._run(model, 0).last

    def em(self, model: Model, most: int | None = None) -> tuple[Model, np.ndarray, int]:
        """Where EM steps lead, at most so many; the objective on the way, and how many steps were taken."""
        end = self._run(model, self.max_steps if most is None else min(most, self.max_steps))
        trace = np.asarray(end.values)[: int(end.kept)]
        check_trace(trace)
        return end.model, trace, int(end.steps)

    def trace(self, model: Model) -> None:
        """Trace the loop, for votes on one device, before threads compile at once."""
        compiled(_loop, ("capacity",)).trace(self.votes, *self._given(model, 0), capacity=self._capacity)

    @property
    def _capacity(self) -> int:
        # The array of objective values has a power of two as length, so that step limits share compiled code.
        return 1 << (self.max_steps + 8).bit_length()

    def _given(self, model: Model, limit: int) -> tuple[Any, ...]:
        return model, np.asarray(self.close), np.asarray(limit, np.int32), self.acceleration

    def _run(self, model: Model, limit: int) -> _State:
        return self.votes.run(_loop, *self._given(model, limit), capacity=self._capacity)


def _loop(
    votes: Votes, model: Model, close: Any, limit: Any, acceleration: Acceleration, capacity: int
) -> _State:
    def turn(state: _State) -> _State:
        here = evaluate(votes, state.model, close)
        after = _next(here.model, here.expected, votes.index, limit > 0)
        return _follow(state, here, after, limit, acceleration)

    zero = jnp.zeros((), jnp.int32)
    start = acceleration.start(model), jnp.zeros((capacity,)), zero, zero, jnp.asarray(False)
    last = Evaluated(model, jnp.zeros(()), jnp.zeros(()), _nothing_expected(votes, model))
    return votes.loop(lambda state: ~state.end, turn, _State(model, *start, last))


def evaluate(votes: Votes, model: Model, close: Any) -> Evaluated:
    """The objective at a model, and the E-step there; the weights of a Grid are solved for as closely."""
    model, expected, certificate = e_step_at_best_weights(votes, model, close)
    return Evaluated(model, expected.log_likelihood + model.log_prior(), certificate, expected)


def _nothing_expected(votes: Votes, model: Model) -> Expected:
    """Placeholder of the E-step's result before the first step."""
    comparisons, outcomes, nodes = votes.index.shape[0], votes.n_outcomes, n_nodes(model)
    return Expected(jnp.zeros(()), jnp.zeros(nodes), jnp.zeros((comparisons, outcomes, nodes)))


@jax.jit
def _next(model: Model, expected: Expected, index: Any, wanted: Any) -> Model:
    """The M-step, where one is wanted."""
    return jax.lax.cond(wanted, lambda: m_step(model, expected, index), lambda: model)


@jax.jit
def _follow(state: _State, here: Evaluated, after: Model, limit: Any, acceleration: Acceleration) -> _State:
    memory, model, counts = acceleration.follow(state.memory, state.model, after, here.value)
    values = state.values.at[state.kept].set(jnp.where(counts, here.value, state.values[state.kept]))
    kept = state.kept + counts.astype(jnp.int32)
    before = jnp.where(kept > 3, values[jnp.maximum(kept - 4, 0)], -jnp.inf)
    fell = (kept > 1) & (values[kept - 1] - values[kept - 2] < -_ROUNDING * jnp.abs(values[kept - 1]))
    bad = ~jnp.isfinite(values[kept - 1]) | fell
    slow = values[kept - 1] - before < _SLOW_GAIN[0] + _SLOW_GAIN[1] * jnp.abs(values[kept - 1])
    rest = acceleration.resting(memory)
    end = bad | (limit <= 0) | (rest & (slow | (state.steps + 1 >= limit)))
    return _State(model, memory, values, kept, state.steps + 1, end, here)


def best_strength_of_many(objective: Objective, model: Model) -> Model:
    """The best of many strengths: with free weights the profile likelihood is nearly flat, with ripples."""
    candidates = np.append(np.linspace(-4.0, 4.0, 81), np.asarray(model.strength.coordinates()))
    models = [replace(model, strength=model.strength.at(np.array([x]))) for x in candidates]
    return models[int(np.argmax([float(objective.at(at).value) for at in models]))]


def check_trace(trace: np.ndarray) -> None:
    """Raise FitError where the objective is not finite, or fell by more than rounding."""
    if not len(trace) or not np.isfinite(trace).all():
        raise FitError(
            "The log-likelihood is not finite. Look for counts of enormous size, or start elsewhere, with "
            "another prior."
        )
    falls = np.diff(trace) < -_ROUNDING * np.abs(trace[1:])
    if falls.any():
        step = int(np.argmax(falls))
        raise FitError(
            f"The objective fell at EM step {step + 1}, from {trace[step]:.6f} to {trace[step + 1]:.6f}: an "
            f"M-step of this prior or strength is wrong. Please report it, with the votes if you can."
        )


def remaining_gain(values: list[float]) -> float:
    """Remaining gain if gains go on shrinking at the same rate: the sum of a geometric series.

    Examples
    --------
    >>> round(remaining_gain([0.0, 8.0, 12.0, 14.0]), 6)
    4.0
    """
    if len(values) < 4:
        return abs(values[-1])
    before, last = abs(values[-2] - values[-3]), abs(values[-1] - values[-2])
    ratio = min(last / before, 0.999) if before > 0 else 0.0
    return last / (1.0 - ratio)
