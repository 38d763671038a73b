"""Parameters as data: what a model estimates, with its transform, names and limits, and vectors of it all.

A class lists its `parameters` once. Coordinates (free, on the whole line), the numbers a person reads, their
names and their limits all follow from that list.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from jaxtyping import Float

from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, namespace, sigmoid, softmax
from emjax.model.pytree import replace, set_fields

Vector = Float[AnyArray, " n"]
Limits = list[tuple[float, float]]
WHOLE_LINE = (-np.inf, np.inf)
LOGIT_LIMIT = 36.0  # σ(36) is 1 to the last bit: a share this far out is at its bound


class Transform(NamedTuple):
    """A value as free coordinates, and back.

    There are `IDENTITY` (any number), `LOG` (positive), `LOGIT` and `SHARE` (between 0 and 1, `SHARE` up to
    its ends), `SIMPLEX` and `SOFTMAX` (weights that sum to one), and `within(low, high)`.

    Attributes
    ----------
    to_line, from_line
        From the value to its coordinates, and from the coordinates to the value.
    limits
        Smallest and largest possible value.
    line
        Smallest and largest coordinate.
    size
        Number of coordinates of a value with so many numbers.

    Examples
    --------
    >>> round(float(LOG.to_line(2.0)), 3), float(LOG.from_line(0.0))
    (0.693, 1.0)
    """

    to_line: Callable[[Any], Any]
    from_line: Callable[[Any], Any]
    limits: tuple[float, float]
    line: tuple[float, float] = WHOLE_LINE
    size: Callable[[int], int] = int


def within(low: float, high: float) -> Transform:
    """A number that is its own coordinate, between two bounds.

    Examples
    --------
    >>> within(0.0, 2.0).limits
    (0.0, 2.0)
    """
    return Transform(_same, _same, (low, high), (low, high))


def _same(x: Any) -> Any:
    return x


def _log(x: Any) -> Any:
    return namespace(x).log(x)


def _exp(x: Any) -> Any:
    return namespace(x).exp(x)


def logit(mu: Any) -> Any:
    """Log-odds of a probability."""
    xp = namespace(mu)
    return xp.log(mu) - xp.log1p(-mu)


def _bounded_logit(mu: Any) -> Any:
    with np.errstate(divide="ignore"):
        return namespace(mu).clip(logit(mu), -LOGIT_LIMIT, LOGIT_LIMIT)


def _log_ratios(weights: Any) -> Any:
    xp = namespace(weights)
    log_weights = xp.log(xp.maximum(weights, 1e-15))
    return xp.clip(log_weights[1:] - log_weights[0], -LOGIT_LIMIT, LOGIT_LIMIT)


def _weights_of_ratios(ratios: Any) -> Any:
    xp = namespace(ratios)
    return softmax(xp.concatenate([xp.zeros((1,), ratios.dtype), ratios]))


def _log_weights(weights: Any) -> Any:
    xp = namespace(weights)
    return xp.log(xp.maximum(weights, 1e-12))


IDENTITY = within(*WHOLE_LINE)
LOG = Transform(_log, _exp, (0.0, np.inf))
LOGIT = Transform(logit, sigmoid, (0.0, 1.0))
SHARE = Transform(_bounded_logit, sigmoid, (0.0, 1.0), (-LOGIT_LIMIT, LOGIT_LIMIT))
SIMPLEX = Transform(
    _log_ratios, _weights_of_ratios, (0.0, 1.0), (-LOGIT_LIMIT, LOGIT_LIMIT), size=lambda n: n - 1
)
SOFTMAX = Transform(_log_weights, softmax, (0.0, 1.0))


class Parameter(NamedTuple):
    """A field that is estimated: one number, or a vector.

    Attributes
    ----------
    field
        Name of the field.
    names
        What a person calls its numbers: a name, or a function of the record that gives all of them.
    transform
        How it moves freely (a `Transform`), or a function of the record that says so.
    shown, limits
        Functions of the record, where a person reads other numbers than the field: these numbers, and the
        smallest and largest possible value of each.
    when
        Whether a record estimates it; always by default.
    moves_nodes
        Whether it moves the nodes of a prior, and not only their weights.
    hyperprior
        Mean and standard deviation of the normal distribution that its coordinates have in `fit_bayes`,
        before the votes; on the scale of the transform: of log-odds for `LOGIT`, of logarithms for `LOG`.
    at_bound
        Why an estimate usually ends at a bound of its range, and what to do then, as two texts of a sentence
        or more each, where more can be said than that of any parameter.

    Examples
    --------
    >>> Parameter("share", "share of careful users", SHARE, hyperprior=(0.0, 1.5)).names
    'share of careful users'
    """

    field: str
    names: Any
    transform: Any
    shown: Callable[[Any], Any] | None = None
    limits: Callable[[Any], Limits] | None = None
    when: Callable[[Any], bool] = lambda of: True
    moves_nodes: bool = False
    hyperprior: tuple[float, float] | None = None
    at_bound: tuple[str, str] | None = None

    def transform_in(self, of: Any) -> Transform:
        """How it moves freely in this record."""
        return self.transform if isinstance(self.transform, Transform) else self.transform(of)

    def n(self, of: Any) -> int:
        """How many coordinates it has."""
        value = getattr(of, self.field)
        return self.transform_in(of).size(np.shape(value)[0]) if np.ndim(value) else 1

    def coordinates(self, of: Any) -> Any:
        """Its coordinates."""
        return self.transform_in(of).to_line(getattr(of, self.field))

    def at(self, of: Any, x: Vector) -> Any:
        """The field at other coordinates."""
        return self.transform_in(of).from_line(x if np.ndim(getattr(of, self.field)) else x[0])

    def names_in(self, of: Any) -> tuple[str, ...]:
        """What a person calls its numbers."""
        return (self.names,) if isinstance(self.names, str) else self.names(of)

    def natural(self, of: Any) -> Any:
        """The numbers a person reads."""
        return getattr(of, self.field) if self.shown is None else self.shown(of)

    def limits_in(self, of: Any) -> Limits:
        """Smallest and largest possible value of each of these numbers."""
        if self.limits is not None:
            return self.limits(of)
        return [self.transform_in(of).limits] * int(np.size(self.natural(of)))

    def checked_in(self, of: Any) -> Any:
        """The field as float64; a ModelError where it has no coordinates. None stays, for a later start."""
        value = getattr(of, self.field)
        if value is None or not self.when(of):
            return value
        transform = self.transform_in(of)
        low, high = transform.limits
        try:
            number = np.array(value, dtype=np.float64)[()]
            with np.errstate(divide="ignore", invalid="ignore"):
                fine = np.isfinite(number).all() and np.isfinite(transform.to_line(number)).all()
            fine = fine and (number >= low).all() and (number <= high).all()
        except (TypeError, ValueError):
            number, fine = value, False
        if not fine:
            between = f" between {low:g} and {high:g}" if np.isfinite([low, high]).any() else ""
            owner = type(of).__name__
            raise ModelError(f"{owner} takes as {self.field} finite numbers{between}; got {value!r}.")
        return number

    def hyperprior_in(self, of: Any) -> np.ndarray:
        """(n, 2) mean and standard deviation of each coordinate before the votes; NaN without one."""
        return np.tile((np.nan, np.nan) if self.hyperprior is None else self.hyperprior, (self.n(of), 1))

    def at_bound_in(self, of: Any) -> dict[str, tuple[str, str]]:
        """Reason and remedy at a bound by the names of its numbers; none where nothing special is known."""
        return {} if self.at_bound is None else dict.fromkeys(self.names_in(of), self.at_bound)


class Part(NamedTuple):
    """A field that holds a record with parameters of its own, or None.

    Attributes
    ----------
    field
        Name of the field.
    """

    field: str

    def when(self, of: Any) -> bool:
        """Whether there is such a part."""
        return getattr(of, self.field) is not None

    def n(self, of: Any) -> int:
        """How many coordinates it has."""
        return getattr(of, self.field).n_coordinates()

    def coordinates(self, of: Any) -> Any:
        """Its coordinates."""
        return getattr(of, self.field).coordinates()

    def at(self, of: Any, x: Vector) -> Any:
        """The part at other coordinates."""
        return getattr(of, self.field).at(x)

    def names_in(self, of: Any) -> tuple[str, ...]:
        """What a person calls its numbers."""
        return getattr(of, self.field).names()

    def natural(self, of: Any) -> Any:
        """The numbers a person reads."""
        return getattr(of, self.field).natural()

    def limits_in(self, of: Any) -> Limits:
        """Smallest and largest possible value of each of these numbers."""
        return getattr(of, self.field).limits()

    def checked_in(self, of: Any) -> Any:
        """The part, which has checked itself."""
        return getattr(of, self.field)

    def hyperprior_in(self, of: Any) -> np.ndarray:
        """(n, 2) mean and standard deviation of each coordinate before the votes; NaN without one."""
        return getattr(of, self.field).hyperpriors()

    def at_bound_in(self, of: Any) -> dict[str, tuple[str, str]]:
        """Reason and remedy at a bound by the names of its numbers; none where nothing special is known."""
        return getattr(of, self.field).at_bounds()


class Parameterised:
    """A record with parameters: vectors of their coordinates and of what a person reads, names and limits."""

    parameters: ClassVar[tuple[Any, ...]] = ()  # each a Parameter or a Part

    def __post_init__(self) -> None:
        """Make float64 of what a person gave for the parameters; a ModelError where that cannot be."""
        set_fields(self, **{p.field: p.checked_in(self) for p in self.parameters})

    def names(self) -> tuple[str, ...]:
        """Names of the parameters a person reads, in the order of `natural`."""
        return tuple(name for p in estimated(self) for name in p.names_in(self))

    def natural(self) -> Vector:
        """The parameters a person reads, as a smooth function of the coordinates."""
        return joined([p.natural(self) for p in estimated(self)])

    def limits(self) -> Limits:
        """Smallest and largest possible value of each of `natural`."""
        return [pair for p in estimated(self) for pair in p.limits_in(self)]

    def at_bounds(self) -> dict[str, tuple[str, str]]:
        """Why some of the parameters usually end at a bound of their range, and what to do, by name."""
        return {name: said for p in estimated(self) for name, said in p.at_bound_in(self).items()}


class OneVector(Parameterised):
    """A record whose free coordinates are one vector."""

    def coordinates(self) -> Vector:
        """Free coordinates, each on the whole line; none of what is known."""
        return coordinates_of(self, estimated(self))

    def at(self, coordinates: Vector) -> Self:
        """The same at other coordinates."""
        return moved(self, estimated(self), coordinates)

    def n_coordinates(self) -> int:
        """How many coordinates there are."""
        return sum(p.n(self) for p in estimated(self))

    def hyperpriors(self) -> np.ndarray:
        """(P, 2) mean and standard deviation of the coordinates before the votes; NaN without one."""
        return hyperpriors_of(self, estimated(self))


def estimated(record: Parameterised) -> list[Parameter | Part]:
    """The parameters that a record estimates."""
    return [p for p in record.parameters if p.when(record)]


def hyperpriors_of(record: Any, parameters: Sequence[Parameter | Part]) -> np.ndarray:
    """(n, 2) mean and standard deviation of the coordinates of some parameters; NaN without one."""
    return np.concatenate([np.zeros((0, 2)), *(p.hyperprior_in(record) for p in parameters)])


def coordinates_of(record: Any, parameters: Sequence[Parameter | Part]) -> Vector:
    """The coordinates of some of a record's parameters."""
    return joined([p.coordinates(record) for p in parameters])


def moved(record: Any, parameters: Sequence[Parameter | Part], x: Vector) -> Any:
    """The record with some of its parameters at other coordinates."""
    changes, first = {}, 0
    for p in parameters:
        n = p.n(record)
        changes[p.field] = p.at(record, x[first : first + n] if n < x.shape[0] else x)
        first += n
    return replace(record, **changes)


def joined(parts: list[Any]) -> Vector:
    """Numbers and vectors as one vector."""
    if not parts:
        return np.zeros(0)
    xp = namespace(*parts)
    vectors = [xp.atleast_1d(xp.asarray(x)) for x in parts]
    return vectors[0] if len(vectors) == 1 else xp.concatenate(vectors)
