"""Priors over attentiveness: how η is spread over the users. A new prior is one class here."""

import abc
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emjax.errors import ModelError
from emjax.model.behavior import Behavior
from emjax.model.likelihood import Nodes, support_slopes
from emjax.model.quadrature import double_exponential
from emjax.model.record import record, replace, set_fields, static
from emjax.model.roots import decreasing_root

Vector = Float[Array | np.ndarray, " n"]
BETA_RANGE = (0.05, 200.0)
_LOGIT_LIMIT = 36.0  # σ(36) is 1 to the last bit: a weight this far out is at its bound


class Attentiveness(abc.ABC):
    """A distribution of attentiveness over users, seen through nodes and their log-weights.

    What is estimated is split in two vectors: `support` moves the nodes (and so the table of vote
    probabilities), `shape` moves only their weights.
    """

    continuous = False

    @abc.abstractmethod
    def nodes(self) -> Nodes:
        """The points η_g at which users' likelihoods are looked up."""

    @abc.abstractmethod
    def log_weights(self) -> Float[Array, " nodes"]:
        """Log of the prior mass at each node; the masses sum to one."""

    @abc.abstractmethod
    def maximise(
        self,
        mass: Float[Array, " nodes"],
        votes: Float[Array, "comparisons outcomes nodes"],
        logits: Float[Array, " comparisons"],
        behavior: Behavior,
    ) -> Self:
        """The M-step, given users per node `mass` and votes per node `votes`."""

    def support(self) -> Vector:
        """Free coordinates that move the nodes; none unless a prior says so."""
        return np.zeros(0)

    def shape(self) -> Vector:
        """Free coordinates that move the weights; none unless a prior says so."""
        return np.zeros(0)

    def at(self, support: Vector, shape: Vector) -> Self:
        """The same kind of prior at other coordinates."""
        return self

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of the coordinates (`support`, then `shape`)."""
        free = np.zeros(len(self.support()) + len(self.shape()))
        return free - np.inf, free + np.inf

    def names(self) -> tuple[str, ...]:
        """Names of the parameters a person reads, in the order of `natural`."""
        return ()

    def natural(self) -> Vector:
        """The parameters a person reads, as a smooth function of the coordinates."""
        return np.zeros(0)

    def limits(self) -> list[tuple[float, float]]:
        """Smallest and largest possible value of each of `natural`."""
        return [(0.0, 1.0)] * len(self.names())

    def ordered(self) -> Self:
        """The same prior with its labels in canonical order (support points ascending)."""
        return self

    def mode_is_finite(self) -> bool:
        """Whether the posterior density has a mode; a density infinite at an end has none."""
        return True


def _best_support(start: Vector, votes: Any, logits: Any, behavior: Behavior) -> Float[Array, " n"]:
    low, high = jnp.zeros_like(start), jnp.ones_like(start)
    return decreasing_root(lambda eta: support_slopes(behavior, eta, logits, votes), low, high, start)


@record
class TwoPoint(Attentiveness):
    """Two kinds of users: a share `weight` at attentiveness `high`, the others at `low`.

    Parameters
    ----------
    low, high
        Support points, 0 ≤ low < high ≤ 1; starting values when handed to `fit_em`.
    weight
        Share of users at `high`, strictly between 0 and 1.

    Raises
    ------
    ModelError
        When the values are out of range.

    Notes
    -----
    With one comparison and an unknown strength only η·(μ − ½) is seen: the scale of both points then
    comes from the strength's prior. Source: Cai & Li (arXiv 2510.13830).

    Examples
    --------
    >>> TwoPoint(low=0.1, high=0.95, weight=0.7)
    TwoPoint(low=0.1, high=0.95, weight=0.7)
    """

    low: Any = 0.2
    high: Any = 0.9
    weight: Any = 0.5

    def __post_init__(self) -> None:
        low, high, weight = (_number(x, "TwoPoint") for x in (self.low, self.high, self.weight))
        if not (0 <= low < high <= 1 and 0 < weight < 1):
            raise ModelError(
                f"TwoPoint needs 0 <= low < high <= 1 and 0 < weight < 1; got low={low}, high={high}, "
                f"weight={weight}."
            )
        set_fields(self, low=low, high=high, weight=weight)

    def nodes(self) -> Nodes:
        eta = jnp.stack([jnp.asarray(self.low), jnp.asarray(self.high)])
        return Nodes(eta, 1.0 - eta)

    def log_weights(self) -> Float[Array, " nodes"]:
        weight = jnp.asarray(self.weight)
        return jnp.stack([jnp.log1p(-weight), jnp.log(weight)])

    def maximise(self, mass, votes, logits, behavior) -> Self:
        low, high = _best_support(self.nodes().eta, votes, logits, behavior)
        return replace(self, low=low, high=high, weight=mass[1] / jnp.sum(mass))

    def support(self) -> Vector:
        return jnp.stack([jnp.asarray(self.low), jnp.asarray(self.high)])

    def shape(self) -> Vector:
        weight = jnp.asarray(self.weight)
        return jnp.clip(jnp.log(weight) - jnp.log1p(-weight), -_LOGIT_LIMIT, _LOGIT_LIMIT)[None]

    def at(self, support, shape) -> Self:
        return replace(self, low=support[0], high=support[1], weight=jax.nn.sigmoid(shape[0]))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([0.0, 0.0, -_LOGIT_LIMIT]), np.array([1.0, 1.0, _LOGIT_LIMIT])

    def names(self) -> tuple[str, ...]:
        return ("low", "high", "weight")

    def natural(self) -> Vector:
        return jnp.stack([jnp.asarray(self.low), jnp.asarray(self.high), jnp.asarray(self.weight)])

    def ordered(self) -> Self:
        if float(self.low) <= float(self.high):
            return self
        return replace(self, low=self.high, high=self.low, weight=1.0 - self.weight)


@record
class Points(Attentiveness):
    """k kinds of users: support points and their weights, both estimated.

    Parameters
    ----------
    k
        Number of points, at least 1.
    points, weights
        Starting values (k,); by default evenly spread and equal.

    Raises
    ------
    ModelError
        When k < 1, or the values do not fit it.

    Notes
    -----
    k points need users with at least 2k − 1 votes, and plenty of users: beyond three points prefer
    `Grid`, whose maximum is found for certain.

    Examples
    --------
    >>> Points(3)
    Points(points=[0.167, 0.5, 0.833], weights=[0.333, 0.333, 0.333], k=3)
    """

    k: int = static(default=2)
    points: Any = None
    weights: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.k, int | np.integer) or self.k < 1:
            raise ModelError(f"Points(k) needs a whole number k >= 1; got {self.k!r}.")
        k = int(self.k)
        points = (np.arange(k) + 0.5) / k if self.points is None else _array(self.points, "points")
        weights = np.full(k, 1.0 / k) if self.weights is None else _array(self.weights, "weights")
        _check_simplex(points, weights, k, "Points")
        set_fields(self, points=points, weights=weights, k=k)

    def nodes(self) -> Nodes:
        eta = jnp.asarray(self.points)
        return Nodes(eta, 1.0 - eta)

    def log_weights(self) -> Float[Array, " nodes"]:
        return jnp.log(jnp.asarray(self.weights))

    def maximise(self, mass, votes, logits, behavior) -> Self:
        points = _best_support(jnp.asarray(self.points), votes, logits, behavior)
        return replace(self, points=points, weights=mass / jnp.sum(mass))

    def support(self) -> Vector:
        return jnp.asarray(self.points)

    def shape(self) -> Vector:
        log_w = jnp.log(jnp.maximum(jnp.asarray(self.weights), 1e-15))
        return jnp.clip(log_w[1:] - log_w[0], -_LOGIT_LIMIT, _LOGIT_LIMIT)

    def at(self, support, shape) -> Self:
        logits = jnp.concatenate([jnp.zeros((1,), shape.dtype), shape])
        return replace(self, points=support, weights=jax.nn.softmax(logits))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        reach = np.full(self.k - 1, _LOGIT_LIMIT)
        return np.append(np.zeros(self.k), -reach), np.append(np.ones(self.k), reach)

    def names(self) -> tuple[str, ...]:
        return tuple(f"point {i + 1}" for i in range(self.k)) + tuple(
            f"weight {i + 1}" for i in range(self.k)
        )

    def natural(self) -> Vector:
        return jnp.concatenate([jnp.asarray(self.points), jnp.asarray(self.weights)])

    def ordered(self) -> Self:
        order = np.argsort(np.asarray(self.points), kind="stable")
        return replace(self, points=np.asarray(self.points)[order], weights=np.asarray(self.weights)[order])


@record
class Beta(Attentiveness):
    """Attentiveness spread as Beta(a, b) over the users.

    Parameters
    ----------
    a, b
        Positive; starting values when handed to `fit_em`, which keeps them within 0.05 and 200.

    Raises
    ------
    ModelError
        When a or b is outside that range.

    Notes
    -----
    The integral over η is a double-exponential rule on 512 fixed nodes, exact to 1e-8 relative in log L
    for up to 1,000 votes per user. Where a or b is below 1 the posterior density has no mode.

    Examples
    --------
    >>> Beta(3, 5)
    Beta(a=3, b=5)
    """

    a: Any = 2.0
    b: Any = 2.0

    continuous = True

    def __post_init__(self) -> None:
        a, b = _number(self.a, "Beta"), _number(self.b, "Beta")
        low, high = BETA_RANGE
        if not (low <= a <= high and low <= b <= high):
            raise ModelError(f"Beta(a, b) needs a and b between {low} and {high:g}; got a={a:g}, b={b:g}.")
        set_fields(self, a=a, b=b)

    def nodes(self) -> Nodes:
        rule = double_exponential()
        return Nodes(jnp.asarray(rule.eta), jnp.asarray(rule.rest))

    def log_weights(self) -> Float[Array, " nodes"]:
        rule = double_exponential()
        # Dividing by the rule's own sum, not by B(a, b), makes the weights a distribution to the last bit.
        raw = jnp.asarray(self.a) * rule.log_eta + jnp.asarray(self.b) * rule.log_rest + rule.log_cosh
        return jax.nn.log_softmax(raw)

    def maximise(self, mass, votes, logits, behavior) -> Self:
        share = mass / jnp.sum(mass)
        limits = np.log(np.array(BETA_RANGE))

        def value(x):
            return jnp.sum(share * replace(self, a=jnp.exp(x[0]), b=jnp.exp(x[1])).log_weights())

        x = _ascend(value, self.shape(), limits[0], limits[1])
        return replace(self, a=jnp.exp(x[0]), b=jnp.exp(x[1]))

    def shape(self) -> Vector:
        return jnp.log(jnp.stack([jnp.asarray(self.a), jnp.asarray(self.b)]))

    def at(self, support, shape) -> Self:
        return replace(self, a=jnp.exp(shape[0]), b=jnp.exp(shape[1]))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.log(np.array(BETA_RANGE))
        return np.array([low, low]), np.array([high, high])

    def names(self) -> tuple[str, ...]:
        return ("a", "b")

    def limits(self) -> list[tuple[float, float]]:
        return [(0.0, np.inf)] * 2

    def natural(self) -> Vector:
        return jnp.stack([jnp.asarray(self.a), jnp.asarray(self.b)])

    def mode_is_finite(self) -> bool:
        return bool(float(self.a) >= 1.0 and float(self.b) >= 1.0)


@record
class Grid(Attentiveness):
    """Free weights on a fixed grid: the non-parametric maximum likelihood estimate.

    Parameters
    ----------
    points
        Number of evenly spread points on [0, 1], or the points themselves, ascending.
    weights
        Weights of the points; equal by default. A starting value does not matter: the maximum over the
        weights is found by a convex solver and certified.

    Raises
    ------
    ModelError
        When points are outside [0, 1], not ascending, or fewer than two.

    Notes
    -----
    With n votes per user only n moments of the distribution are seen: with more points than that the
    fitted likelihood is unique and the weights are not. Source: Kiefer & Wolfowitz (1956).

    Examples
    --------
    >>> Grid(5)
    Grid(points=[0, 0.25, 0.5, 0.75, 1], weights=[0.2, 0.2, 0.2, 0.2, 0.2])
    """

    points: Any = 64
    weights: Any = None

    def __post_init__(self) -> None:
        given = self.points
        if isinstance(given, int | np.integer):
            if given < 2:
                raise ModelError(f"Grid needs at least two points; got {given}.")
            points = np.linspace(0.0, 1.0, int(given))
        else:
            points = _array(given, "points")
        size = len(points)
        weights = np.full(size, 1.0 / size) if self.weights is None else _array(self.weights, "weights")
        _check_simplex(points, weights, size, "Grid")
        if size < 2 or (np.diff(points) <= 0).any():
            raise ModelError("Grid needs at least two points in ascending order.")
        set_fields(self, points=points, weights=weights)

    def nodes(self) -> Nodes:
        eta = jnp.asarray(self.points)
        return Nodes(eta, 1.0 - eta)

    def log_weights(self) -> Float[Array, " nodes"]:
        return jnp.log(jnp.asarray(self.weights))

    def maximise(self, mass, votes, logits, behavior) -> Self:
        return replace(self, weights=mass / jnp.sum(mass))

    def shape(self) -> Vector:
        return jnp.log(jnp.maximum(jnp.asarray(self.weights), 1e-12))

    def at(self, support, shape) -> Self:
        return replace(self, weights=jax.nn.softmax(shape))

    def names(self) -> tuple[str, ...]:
        return ("mean attentiveness", "sd of attentiveness")

    def natural(self) -> Vector:
        points, weights = jnp.asarray(self.points), jnp.asarray(self.weights)
        mean = jnp.sum(weights * points)
        variance = jnp.sum(weights * (points - mean) ** 2)
        return jnp.stack([mean, jnp.sqrt(jnp.maximum(variance, 1e-30))])


@record
class Fixed(Attentiveness):
    """A prior that is known: `fit_em` uses it and updates nothing in it.

    Parameters
    ----------
    prior
        Any other prior.

    Raises
    ------
    ModelError
        When it is handed something that is not a prior.

    Notes
    -----
    Standard errors then carry no uncertainty about the prior: they are too small if it is only a guess.

    Examples
    --------
    >>> Fixed(Beta(3, 5))
    Fixed(prior=Beta(a=3, b=5))
    """

    prior: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.prior, Attentiveness):
            raise ModelError(f"Fixed(prior) needs a prior such as Beta(3, 5); got {self.prior!r}.")

    @property
    def continuous(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.prior.continuous

    def nodes(self) -> Nodes:
        return self.prior.nodes()

    def log_weights(self) -> Float[Array, " nodes"]:
        return self.prior.log_weights()

    def maximise(self, mass, votes, logits, behavior) -> Self:
        return self

    def mode_is_finite(self) -> bool:
        return self.prior.mode_is_finite()


def moments(prior: Attentiveness) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and standard deviation of attentiveness under a prior."""
    eta, weights = prior.nodes().eta, jnp.exp(prior.log_weights())
    mean = jnp.sum(weights * eta)
    return mean, jnp.sqrt(jnp.sum(weights * (eta - mean) ** 2))


def _ascend(value, start, low: float, high: float):
    """Newton ascent of a smooth function of a few numbers in a box; never ends below its start."""
    gradient, hessian = jax.grad(value), jax.hessian(value)
    eye = jnp.eye(start.shape[0], dtype=start.dtype)

    def step(state):
        x, best, damping, count, _ = state
        g, h = gradient(x), hessian(x)
        h = -h + (damping + 1e-12) * eye * (1.0 + jnp.max(jnp.abs(h)))
        # Away from the maximum the function of log a, log b may be convex: damp until the step ascends.
        least = jnp.linalg.eigvalsh(h)[0]
        h = h + jnp.maximum(0.0, 1e-6 - least) * eye
        move = jnp.clip(jnp.linalg.solve(h, g), -1.0, 1.0)
        new = jnp.clip(x + move, low, high)
        there = value(new)
        better = there >= best
        moved = jnp.where(better, jnp.max(jnp.abs(new - x)), jnp.inf)
        damping = jnp.where(better, damping * 0.1, jnp.maximum(damping * 10.0, 1e-6))
        return jnp.where(better, new, x), jnp.where(better, there, best), damping, count + 1, moved

    def going(state):
        *_, damping, count, moved = state
        return (count < 60) & (moved > 1e-13) & (damping < 1e10)

    zero = jnp.zeros((), start.dtype)
    state = (start, value(start), zero, jnp.zeros((), jnp.int32), zero + jnp.inf)
    return jax.lax.while_loop(going, step, state)[0]


def _number(value: Any, owner: str) -> np.float64:
    try:
        number = np.float64(value)
    except (TypeError, ValueError):
        raise ModelError(f"{owner} takes numbers; got {value!r}.") from None
    if not np.isfinite(number):
        raise ModelError(f"{owner} takes finite numbers; got {value!r}.")
    return number


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"{name} must be numbers; got {value!r}.") from None
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ModelError(f"{name} must be one row of finite numbers; got shape {array.shape}.")
    return array


def _check_simplex(points: np.ndarray, weights: np.ndarray, k: int, owner: str) -> None:
    if len(points) != k or len(weights) != k:
        raise ModelError(f"{owner} has {k} points; got {len(points)} points and {len(weights)} weights.")
    if (points < 0).any() or (points > 1).any():
        raise ModelError(f"{owner} needs points between 0 and 1; got {points.min():g} to {points.max():g}.")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise ModelError(f"{owner} needs weights >= 0 that sum to 1; they sum to {weights.sum():g}.")
    weights /= weights.sum()
