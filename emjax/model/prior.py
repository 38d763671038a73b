"""Priors over attentiveness: the common interface, fixed priors and moments."""

import abc
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Float

from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.likelihood import Nodes
from emjax.model.parameters import Parameter, Parameterised, Vector, coordinates_of, moved
from emjax.model.pytree import record
from emjax.model.response import Behavior


class Attentiveness(Parameterised, abc.ABC):
    """A distribution of attentiveness over users, represented by nodes and their log-weights.

    The free coordinates are two vectors: `support` moves the nodes (and so the table of vote
    probabilities), `shape` moves only their weights.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = ()
    weights_are_solved: ClassVar[bool] = False  # free weights on fixed nodes, by a convex solver

    @property
    def continuous(self) -> bool:
        """Whether it is a density over η, and not a set of points."""
        return False

    @abc.abstractmethod
    def nodes(self) -> Nodes:
        """The points η_g at which users' likelihoods are looked up."""

    @abc.abstractmethod
    def log_weights(self) -> Float[AnyArray, " nodes"]:
        """Log of the prior mass at each node; the masses sum to one."""

    @abc.abstractmethod
    def maximise(
        self,
        mass: Float[AnyArray, " nodes"],
        votes: Float[AnyArray, "comparisons outcomes nodes"],
        logits: Float[AnyArray, " comparisons"],
        behavior: Behavior,
    ) -> Self:
        """The M-step, given users per node `mass` and votes per node `votes`."""

    def support(self) -> Vector:
        """Free coordinates that move the nodes."""
        return coordinates_of(self, self._moving(nodes=True))

    def shape(self) -> Vector:
        """Free coordinates that move the weights."""
        return coordinates_of(self, self._moving(nodes=False))

    def at(self, support: Float[AnyArray, " k"], shape: Vector) -> Self:
        """The same kind of prior at other coordinates."""
        at_nodes = moved(self, self._moving(nodes=True), support)
        return moved(at_nodes, self._moving(nodes=False), shape)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of the coordinates (`support`, then `shape`)."""
        parameters = [*self._moving(nodes=True), *self._moving(nodes=False)]
        lines = [pair for p in parameters for pair in [p.transform_in(self).line] * p.n(self)]
        low, high = np.array(lines, float).reshape(-1, 2).T
        return low, high

    def _moving(self, *, nodes: bool) -> list[Parameter]:
        return [p for p in self.parameters if p.when(self) and p.moves_nodes == nodes]

    def votes_needed(self, *, scale_is_known: bool) -> int:
        """How many votes some users must have, for its numbers to be determined."""
        return 1

    def mirrored(self) -> Self | None:
        """The prior of −η, if it has one: what attentiveness is when every strength changes its sign."""
        return None

    def parts(self) -> tuple[str, ...]:
        """What it has, by the names of the table of capabilities."""
        return ()

    def ordered(self) -> Self:
        """The same prior with its labels in canonical order (support points ascending)."""
        return self

    def mode_is_finite(self) -> bool:
        """Whether the posterior density has a mode; a density infinite at an end has none."""
        return True


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
        When it is given something that is not a prior.

    Notes
    -----
    Standard errors then carry no uncertainty about the prior: they are too small if it is only a guess.

    Examples
    --------
    >>> import emjax
    >>> Fixed(emjax.Beta(3, 5))
    Fixed(prior=Beta(a=3, b=5))
    """

    prior: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.prior, Attentiveness):
            raise ModelError(f"Fixed(prior) needs a prior such as Beta(3, 5); got {self.prior!r}.")

    @property
    def continuous(self) -> bool:
        return self.prior.continuous

    def nodes(self) -> Nodes:
        return self.prior.nodes()

    def log_weights(self) -> Float[AnyArray, " nodes"]:
        return self.prior.log_weights()

    def maximise(self, mass, votes, logits, behavior) -> Self:
        return self

    def mode_is_finite(self) -> bool:
        return self.prior.mode_is_finite()


def moments(prior: Attentiveness) -> tuple[Any, Any]:
    """Mean and standard deviation of attentiveness under a prior."""
    eta, log_weights = prior.nodes().eta, prior.log_weights()
    xp = namespace(eta, log_weights)
    weights = xp.exp(log_weights)
    mean = xp.sum(weights * eta)
    variance = xp.sum(weights * (eta - mean) ** 2)
    return mean, xp.sqrt(xp.maximum(variance, 1e-30))  # of one point too, so that it can be differentiated


def finite_number(value: Any, owner: str) -> np.float64:
    """The value as a float64; a ModelError that names its owner if it is none."""
    try:
        number = np.float64(value)
    except (TypeError, ValueError):
        raise ModelError(f"{owner} takes numbers; got {value!r}.") from None
    if not np.isfinite(number):
        raise ModelError(f"{owner} takes finite numbers; got {value!r}.")
    return number
