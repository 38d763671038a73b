"""The EM loop: steps until three of them gain so little that Newton steps gain more."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.errors import FitError
from emjax.infer.acceleration import Acceleration
from emjax.infer.steps import Model, em_step
from emjax.infer.votes_on_device import Votes
from emjax.model.pytree import replace

# Gain of three EM steps below which Newton steps climb better: in log-likelihood units, and relative to it.
_HAND_OVER = (0.1, 1e-6)
_ROUNDING = 1e-9


class _State(NamedTuple):
    model: Model
    memory: Any  # of the acceleration
    values: jax.Array  # the objective at each point that counted
    kept: jax.Array  # how many those are
    steps: jax.Array  # EM steps taken
    end: jax.Array


def climb(
    model: Model, votes: Votes, close: jax.Array, max_steps: int, acceleration: Acceleration
) -> tuple[Model, np.ndarray, int]:
    """Where EM steps lead, the objective on the way, and how many steps were taken."""
    # Room for the objective comes in powers of two, so that step limits share compiled code.
    room = 1 << (max_steps + 8).bit_length()
    limit = jnp.asarray(max_steps, jnp.int32)
    end = votes.run(_climb, model, close, limit, acceleration, room=room)
    trace = np.asarray(end.values)[: int(end.kept)]
    check_trace(trace)
    return end.model, trace, int(end.steps)


def _climb(
    votes: Votes, model: Model, close: jax.Array, limit: jax.Array, acceleration: Acceleration, room: int
) -> _State:
    def turn(state: _State) -> _State:
        after, value = em_step(votes, state.model, close)
        return _follow(state, after, value, limit, acceleration)

    zero = jnp.zeros((), jnp.int32)
    start = _State(model, acceleration.start(model), jnp.zeros((room,)), zero, zero, jnp.asarray(False))
    return votes.loop(lambda state: ~state.end, turn, start)


@jax.jit
def _follow(
    state: _State, after: Model, value: jax.Array, limit: jax.Array, acceleration: Acceleration
) -> _State:
    memory, model, counts = acceleration.follow(state.memory, state.model, after, value)
    values = state.values.at[state.kept].set(jnp.where(counts, value, state.values[state.kept]))
    kept = state.kept + counts.astype(jnp.int32)
    before = jnp.where(kept > 3, values[jnp.maximum(kept - 4, 0)], -jnp.inf)
    fell = (kept > 1) & (values[kept - 1] - values[kept - 2] < -_ROUNDING * jnp.abs(values[kept - 1]))
    bad = ~jnp.isfinite(values[kept - 1]) | fell
    slow = values[kept - 1] - before < _HAND_OVER[0] + _HAND_OVER[1] * jnp.abs(values[kept - 1])
    rest = acceleration.resting(memory)
    end = bad | (rest & (slow | (state.steps + 1 >= limit)))
    return _State(model, memory, values, kept, state.steps + 1, end)


def scanned(votes: Votes, model: Model, close: jax.Array) -> Model:
    """The best of many strengths: with free weights the profile likelihood is nearly flat, with ripples."""
    candidates = jnp.append(jnp.linspace(-4.0, 4.0, 81), model.strength.coordinates())

    def at(place: jax.Array) -> Model:
        return replace(model, strength=model.strength.at(candidates[place][None]))

    def look(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        place, best, highest = state
        value = em_step(votes, at(place), close)[1]
        better = value > highest
        return place + 1, jnp.where(better, place, best), jnp.where(better, value, highest)

    start = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), jnp.asarray(-jnp.inf)
    _, best, _ = votes.loop(lambda state: state[0] < len(candidates), look, start)
    return at(best)


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


def lacking(values: list[float]) -> float:
    """What is still to be gained if gains go on shrinking as they do: the sum of a geometric series.

    Examples
    --------
    >>> round(lacking([0.0, 8.0, 12.0, 14.0]), 6)
    4.0
    """
    if len(values) < 4:
        return abs(values[-1])
    before, last = abs(values[-2] - values[-3]), abs(values[-1] - values[-2])
    ratio = min(last / before, 0.999) if before > 0 else 0.0
    return last / (1.0 - ratio)
