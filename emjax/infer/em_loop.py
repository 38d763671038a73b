"""The EM loop: one driver for every problem that EM steps solve."""

from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from emjax.errors import FitError
from emjax.infer.acceleration import Acceleration
from emjax.model.array_namespace import namespace
from emjax.model.model import Model

_ROUNDING = 1e-9  # of the objective: a fall of this size is rounding


class Step(NamedTuple):
    """One EM step: the model whose objective was evaluated, where the step leads, and the objective."""

    here: Model
    after: Model
    value: Any


class Progress(NamedTuple):
    """The objective at every step that counted (the first `n` of `values`), and how many steps were taken.

    A limit of no step asks for the objective alone: one step, whose M-step may be left out.
    """

    values: Any
    n: Any
    steps: Any
    limit: Any

    def last(self, back: int = 0) -> Any:
        """The last value, or one before it; minus infinity where there is none."""
        xp, place = namespace(self.values), self.n - 1 - back
        return xp.where(place >= 0, self.values[xp.maximum(place, 0)], -np.inf)

    def on_host(self) -> "Progress":
        """The same as NumPy arrays."""
        return Progress(*(np.asarray(x) for x in self))

    def remaining_gain(self) -> Any:
        """Remaining gain if gains go on shrinking at the same rate: the sum of a geometric series.

        Examples
        --------
        >>> values = np.array([0.0, 8.0, 12.0, 14.0])
        >>> float(Progress(values, np.int32(4), np.int32(4), np.int32(100)).remaining_gain().round(6))
        4.0
        """
        xp, known = namespace(self.values), self.n >= 4
        last, before, earlier = (self.values[xp.maximum(self.n - 1 - back, 0)] for back in range(3))
        gain, previous = xp.abs(last - before), xp.abs(before - earlier)
        some = previous > 0.0
        ratio = xp.where(some, xp.minimum(gain / xp.where(some, previous, 1.0), 0.999), 0.0)
        return xp.where(known, gain / (1.0 - ratio), xp.abs(last))


@runtime_checkable
class Problem(Protocol):
    """What the loop needs to know of a problem: pure functions; what changes on the way is the state."""

    @property
    def monotone(self) -> bool:
        """Whether an EM step never lowers the objective."""
        ...

    def init(self, votes: Any, model: Model) -> Any:
        """The state before the first step."""
        ...

    def step(self, votes: Any, model: Model, state: Any, progress: Progress) -> tuple[Step, Any]:
        """An EM step, and the state after it."""
        ...

    def ends(self, state: Any, progress: Progress) -> Any:
        """Whether to end, after a step that counted."""
        ...


class Ended(NamedTuple):
    """Where the loop ended.

    Attributes
    ----------
    step : the last step; its objective counted
    state : of the problem, after it
    values : the objective at every step that counted
    steps : EM steps taken, with those that acceleration tried and rejected
    """

    step: Step
    state: Any
    values: np.ndarray
    steps: int

    def progress(self) -> Progress:
        """The same as the problem saw it."""
        n = np.int32(len(self.values))
        return Progress(self.values, n, np.int32(self.steps), np.int32(self.steps))


class Turn(NamedTuple):
    """What the loop carries from step to step."""

    model: Model  # where the next step is taken
    memory: Any  # of the acceleration
    state: Any
    progress: Progress
    step: Step
    end: Any


def run(problem: Problem, votes: Any, model: Model, acceleration: Acceleration, max_steps: int) -> Ended:
    """EM steps until the problem ends them, or `max_steps`."""
    end = loop(problem, votes, model, acceleration, max_steps, max_steps)
    return ended(end, monotone=problem.monotone)


def ended(end: Turn, *, monotone: bool) -> Ended:
    """Where the loop ended; a FitError where the objective is not finite, or fell by more than rounding."""
    values = np.asarray(end.progress.values)[: int(end.progress.n)]
    _check(values, monotone=monotone)
    return Ended(end.step, end.state, values, int(end.progress.steps))


def loop(
    problem: Problem, votes: Any, model: Model, acceleration: Acceleration, limit: int, max_steps: int
) -> Turn:
    """The loop as it ended, with no more steps than `limit`; with none, it evaluates the objective."""
    given = _given(problem, model, acceleration, limit)
    return votes.run(_loop, *given, capacity=_capacity(max_steps))


def trace(problem: Problem, votes: Any, model: Model, acceleration: Acceleration, max_steps: int) -> None:
    """Trace the loop, for votes on one device, before threads compile at once."""
    given = _given(problem, model, acceleration, max_steps)
    votes.trace(_loop, *given, capacity=_capacity(max_steps))


def _given(problem: Problem, model: Model, acceleration: Acceleration, limit: int) -> tuple[Any, ...]:
    return problem, model, np.asarray(limit, np.int32), acceleration


def _capacity(max_steps: int) -> int:
    # Space for values of the objective: a power of two, so that step limits share compiled code.
    return 1 << (max_steps + 8).bit_length()


def _loop(
    votes: Any, problem: Problem, model: Model, limit: Any, acceleration: Acceleration, capacity: int
) -> Turn:
    def turn(now: Turn) -> Turn:
        step, state = problem.step(votes, now.model, now.state, now.progress)
        given = acceleration, now.memory, now.model, step.after, step.value, now.progress
        memory, model, progress, counts, bad = _follow(*given, monotone=problem.monotone)
        enough = _ends(problem, state, progress) | (progress.steps >= limit)
        return Turn(model, memory, state, progress, step, bad | (counts & enough))

    zero = jnp.zeros((), jnp.int32)
    progress = Progress(jnp.zeros((capacity,)), zero, zero, limit)
    first = Step(model, model, jnp.zeros(()))
    state = problem.init(votes, model)
    start = Turn(model, acceleration.start(model), state, progress, first, jnp.asarray(False))
    return votes.loop(lambda now: ~now.end, turn, start)


@partial(jax.jit, static_argnames="monotone")
def _follow(
    acceleration: Acceleration,
    memory: Any,
    model: Model,
    after: Model,
    value: Any,
    progress: Progress,
    *,
    monotone: bool,
) -> tuple[Any, ...]:
    memory, model, counts = acceleration.follow(memory, model, after, value)
    n = progress.n
    values = progress.values.at[n].set(jnp.where(counts, value, progress.values[n]))
    progress = Progress(values, n + counts.astype(jnp.int32), progress.steps + 1, progress.limit)
    bad = ~jnp.isfinite(progress.last())
    if monotone:
        fell = progress.last() - progress.last(1) < -_ROUNDING * jnp.abs(progress.last())
        bad = bad | ((progress.n > 1) & fell)
    return memory, model, progress, counts, bad


@jax.jit
def _ends(problem: Problem, state: Any, progress: Progress) -> Any:
    return jnp.asarray(problem.ends(state, progress))


def _check(values: np.ndarray, *, monotone: bool) -> None:
    """Raise FitError where the objective is not finite, or fell by more than rounding."""
    if not len(values) or not np.isfinite(values).all():
        raise FitError(
            "The log-likelihood is not finite. Look for counts of enormous size, or start elsewhere, with "
            "another prior."
        )
    falls = np.diff(values) < -_ROUNDING * np.abs(values[1:])
    if monotone and falls.any():
        step = int(np.argmax(falls))
        raise FitError(
            f"The objective fell at EM step {step + 1}, from {values[step]:.6f} to {values[step + 1]:.6f}: "
            f"an M-step of this prior or strength is wrong. Please report it, with the votes if you can."
        )
