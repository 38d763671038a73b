"""Discrete priors over attentiveness: support points that are estimated, or weights on a fixed grid."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.likelihood import Nodes, nodes_at, support_slopes, user_log_likelihood
from emjax.model.optimize import decreasing_root
from emjax.model.parameters import SHARE, SIMPLEX, SOFTMAX, Parameter, Vector, within
from emjax.model.prior import Attentiveness, finite_number, moments
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.response import Behavior

_JUST_BELOW = 1e-12


@record
class TwoPoint(Attentiveness):
    """Two groups of users: a share `weight` at attentiveness `high`, the others at `low`.

    Parameters
    ----------
    low, high
        Support points, 0 ≤ low < high ≤ 1; starting values when passed to `fit_em`.
    weight
        Share of users at `high`, strictly between 0 and 1.

    Raises
    ------
    ModelError
        When the values are out of range.

    Notes
    -----
    With one comparison and an unknown strength only η·(μ − ½) is identified: the scale of both points then
    comes from the strength's prior. Source: Cai & Li (arXiv 2510.13830).

    Examples
    --------
    >>> TwoPoint(low=0.1, high=0.95, weight=0.7)
    TwoPoint(low=0.1, high=0.95, weight=0.7)
    """

    low: Any = 0.2
    high: Any = 0.9
    weight: Any = 0.5

    parameters = (
        Parameter("low", "low", within(0.0, 1.0), moves_nodes=True),
        Parameter("high", "high", within(0.0, 1.0), moves_nodes=True),
        Parameter("weight", "weight", SHARE),
    )

    def __post_init__(self) -> None:
        low, high, weight = (finite_number(x, "TwoPoint") for x in (self.low, self.high, self.weight))
        if not (0 <= low < high <= 1 and 0 < weight < 1):
            raise ModelError(
                f"TwoPoint needs 0 <= low < high <= 1 and 0 < weight < 1; got low={low}, high={high}, "
                f"weight={weight}."
            )
        set_fields(self, low=low, high=high, weight=weight)

    @property
    def can_be_rescaled(self) -> bool:
        return True

    def nodes(self) -> Nodes:
        return nodes_at(self.support())

    def log_weights(self) -> Float[AnyArray, " nodes"]:
        xp = namespace(self.weight)
        weight = xp.asarray(self.weight)
        with np.errstate(divide="ignore"):
            return xp.stack([xp.log1p(-weight), xp.log(weight)])

    def maximise(self, mass, votes, logits, behavior) -> Self:
        low, high = best_support(self.nodes().eta, votes, logits, behavior)
        return replace(self, low=low, high=high, weight=mass[1] / jnp.sum(mass))

    def votes_needed(self, *, scale_is_known: bool) -> int:
        return 3

    def placed(self, points: Any, weights: Any) -> Self:
        """The same at other support points, with other weights."""
        return replace(self, low=points[0], high=points[1], weight=weights[1])

    def ordered(self) -> Self:
        if float(self.low) <= float(self.high):
            return self
        return replace(self, low=self.high, high=self.low, weight=1.0 - self.weight)


@record
class Points(Attentiveness):
    """k groups of users: support points and their weights, both estimated.

    Parameters
    ----------
    k
        Number of points, at least 1.
    points, weights
        Starting values (k,); by default evenly spread and equal.
    low
        Smallest possible attentiveness: 0, or -1 to allow for users who choose the worse answer on purpose.

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
    low: float = static(default=0.0, repr=False)

    parameters = (
        Parameter(
            "points", lambda of: _numbered("point", of.k), lambda of: within(of.low, 1.0), moves_nodes=True
        ),
        Parameter("weights", lambda of: _numbered("weight", of.k), SIMPLEX),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.k, int | np.integer) or self.k < 1:
            raise ModelError(f"Points(k) needs a whole number k >= 1; got {self.k!r}.")
        k, low = int(self.k), _lowest(self.low, "Points")
        even = low + (1.0 - low) * (np.arange(k) + 0.5) / k
        points = even if self.points is None else _array(self.points, "points")
        weights = np.full(k, 1.0 / k) if self.weights is None else _array(self.weights, "weights")
        _check_simplex(points, weights, k, "Points", low)
        if len(np.unique(points)) < k:
            raise ModelError(
                f"Points needs points that differ: equal points stay equal in a fit; got {points.tolist()}."
            )
        set_fields(self, points=points, weights=weights, k=k, low=low)

    @property
    def can_be_rescaled(self) -> bool:
        return True

    def votes_needed(self, *, scale_is_known: bool) -> int:
        return 2 * self.k - 1

    def mirrored(self) -> Self:
        return replace(self, points=-self.points[::-1], weights=self.weights[::-1])

    def parts(self) -> tuple[str, ...]:
        return ("attentiveness below 0",) if self.low < 0.0 else ()

    def placed(self, points: Any, weights: Any) -> Self:
        """The same with other support points and weights, perhaps more or fewer."""
        return replace(self, k=len(points), points=points, weights=weights)

    def nodes(self) -> Nodes:
        return nodes_at(namespace(self.points).asarray(self.points))

    def log_weights(self) -> Float[AnyArray, " nodes"]:
        with np.errstate(divide="ignore"):
            return namespace(self.weights).log(self.weights)

    def maximise(self, mass, votes, logits, behavior) -> Self:
        points = best_support(jnp.asarray(self.points), votes, logits, behavior, self.low)
        return replace(self, points=points, weights=mass / jnp.sum(mass))

    def ordered(self) -> Self:
        order = np.argsort(np.asarray(self.points), kind="stable")
        return replace(self, points=np.asarray(self.points)[order], weights=np.asarray(self.weights)[order])


@record
class Grid(Attentiveness):
    """Free weights on a fixed grid: the non-parametric maximum likelihood estimate.

    Parameters
    ----------
    points
        Number of evenly spread points on [low, 1], or the points themselves, ascending.
    weights
        Weights of the points; equal by default. A starting value does not matter: the maximum over the
        weights is found by a convex solver and certified.
    low
        Smallest possible attentiveness: 0, or -1 to allow for users who choose the worse answer on purpose.
        Points below 0 need their mirror images above.

    Raises
    ------
    ModelError
        When points are outside [low, 1], not ascending, or fewer than two.

    Notes
    -----
    With n votes per user only n moments of the distribution are identified: with more points than that the
    fitted likelihood is unique and the weights are not. Source: Kiefer & Wolfowitz (1956).

    Examples
    --------
    >>> Grid(5)
    Grid(points=[0, 0.25, 0.5, 0.75, 1], weights=[0.2, 0.2, 0.2, 0.2, 0.2])
    """

    points: Any = 64
    weights: Any = None
    low: float = static(default=0.0, repr=False)

    parameters = (
        Parameter(
            "weights",
            lambda of: ("mean attentiveness", "sd of attentiveness"),
            SOFTMAX,
            shown=lambda of: namespace(of.points, of.weights).stack(moments(of)),
            limits=lambda of: [(of.low, 1.0), (0.0, 1.0)],
        ),
    )

    weights_are_solved = True

    def __post_init__(self) -> None:
        given, low = self.points, _lowest(self.low, "Grid")
        if isinstance(given, int | np.integer):
            if given < 2:
                raise ModelError(f"Grid needs at least two points; got {given}.")
            points = np.linspace(low, 1.0, int(given))
        else:
            points = _array(given, "points")
        size = len(points)
        weights = np.full(size, 1.0 / size) if self.weights is None else _array(self.weights, "weights")
        _check_simplex(points, weights, size, "Grid", low)
        if size < 2 or (np.diff(points) <= 0).any():
            raise ModelError("Grid needs at least two points in ascending order.")
        if points[0] < 0 and not np.allclose(points, -points[::-1]):
            raise ModelError("a Grid with points below 0 needs the same points above 0.")
        set_fields(self, points=points, weights=weights, low=low)

    @property
    def can_be_rescaled(self) -> bool:
        return True

    def mirrored(self) -> Self:
        return replace(self, weights=self.weights[::-1])

    def parts(self) -> tuple[str, ...]:
        return ("attentiveness below 0",) if self.low < 0.0 else ()

    def nodes(self) -> Nodes:
        return nodes_at(namespace(self.points).asarray(self.points))

    def log_weights(self) -> Float[AnyArray, " nodes"]:
        with np.errstate(divide="ignore"):
            return namespace(self.weights).log(self.weights)

    def maximise(self, mass, votes, logits, behavior) -> Self:
        return replace(self, weights=mass / jnp.sum(mass))


def _numbered(name: str, k: int) -> tuple[str, ...]:
    return tuple(f"{name} {i + 1}" for i in range(k))


def best_support(
    start: Vector, votes: Any, logits: Any, behavior: Behavior, low: float = 0.0
) -> Float[AnyArray, " n"]:
    """Points in [low, 1], each where the expected log-likelihood of the votes at it is highest."""

    def on(first: float, last: float) -> Float[AnyArray, " n"]:
        ends = jnp.full_like(start, first), jnp.full_like(start, last)
        return decreasing_root(lambda eta: support_slopes(behavior, eta, logits, votes), *ends, start)

    def value(eta: Float[AnyArray, ""], seen: Float[AnyArray, "comparisons outcomes"]) -> Float[AnyArray, ""]:
        return user_log_likelihood(seen, logits, *nodes_at(eta), behavior)

    def better(first: Vector, second: Vector) -> Float[AnyArray, " n"]:
        one, other = (jax.vmap(value, in_axes=(0, 2))(jnp.asarray(eta), votes) for eta in (first, second))
        return jnp.where(one > other, first, second)

    # Concave on either side of 0, with a kink between, at which the slope is that above.
    best = on(0.0, 1.0) if low == 0.0 else better(on(low, -_JUST_BELOW), on(0.0, 1.0))
    # With features of votes it need not be concave, so the better of start and end is kept.
    return best if behavior.tilts() is None else better(best, start)


def _lowest(low: Any, owner: str) -> float:
    if low not in (0, -1):
        raise ModelError(f"{owner} takes low=0 or low=-1, the smallest possible attentiveness; got {low!r}.")
    return float(low)


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"{name} must be numbers; got {value!r}.") from None
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ModelError(f"{name} must be one row of finite numbers; got shape {array.shape}.")
    return array


def _check_simplex(points: np.ndarray, weights: np.ndarray, k: int, owner: str, low: float) -> None:
    if len(points) != k or len(weights) != k:
        raise ModelError(f"{owner} has {k} points; got {len(points)} points and {len(weights)} weights.")
    if (points < low).any() or (points > 1).any():
        span = f"got {points.min():g} to {points.max():g}"
        hint = ", or say low=-1 for users who choose the worse answer on purpose" if low == 0 else ""
        raise ModelError(f"{owner} needs points between {low:g} and 1{hint}; {span}.")
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise ModelError(f"{owner} needs weights >= 0 that sum to 1; they sum to {weights.sum():g}.")
    weights /= weights.sum()
