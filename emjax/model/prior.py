"""Priors over attentiveness: the base class of all, fixed priors and moments."""

import abc
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, namespace
from emjax.model.likelihood import Nodes
from emjax.model.optimize import ascend
from emjax.model.parameters import (
    Parameter,
    Parameterised,
    Vector,
    coordinates_of,
    hyperpriors_of,
    moved,
)
from emjax.model.pytree import record
from emjax.model.response import Behavior


class Attentiveness(Parameterised, abc.ABC):
    """A distribution of attentiveness over users, represented by nodes and their log-weights.

    The base class of priors. A class of one's own is a `record`. It lists its `parameters`, each the name of
    a field that is estimated, and gives:

    - ``nodes()``, two arrays (G,): attentiveness η of each node, from 0 to 1 (from −1 with users who choose
      the worse answer), and 1 − abs(η). ``nodes_at(eta)`` makes both.
    - ``log_weights()``, (G,): natural logarithm of the share of users at each node. The shares sum to one.
    - ``log_spacing()``, (G,), for a density on nodes of its own: natural logarithm of the width dη that each
      node stands for. The nodes are then fixed and ascend from 0 to 1, and the widths sum to one. A density
      on the usual nodes is shorter to write as a `Density`.
    - ``maximise(...)``, where its nodes move: the M-step. The nodes are then parameters themselves, all of
      them and in order (``Parameter(..., within(0.0, 1.0), moves_nodes=True)``).

    Notes
    -----
    The free coordinates are two vectors: `support` moves the nodes (and so the table of vote
    probabilities), `shape` moves only their weights.
    One limit: `nodes` and `log_weights` are called on JAX's tracers too, so that they may not ask which
    values the fields have. `namespace(self.field)` is NumPy or `jax.numpy`, whichever the field belongs to.

    Examples
    --------
    A share of the users pays full attention, the others half of it:

    >>> import emjax
    >>> from emjax.model.own_classes import SHARE, Parameter, namespace, nodes_at, record
    >>> @record
    ... class FullOrHalf(emjax.Attentiveness):
    ...     share: float = 0.5
    ...     parameters = (Parameter("share", "share", SHARE),)
    ...     def nodes(self):
    ...         return nodes_at(namespace(self.share).asarray([0.5, 1.0]))
    ...     def log_weights(self):
    ...         xp = namespace(self.share)
    ...         return xp.log(xp.stack([1.0 - self.share, self.share]))
    >>> prefs = emjax.Preferences.from_counts([9, 5, 8, 6], [10, 10, 10, 10])
    >>> fit = emjax.fit_em(prefs, FullOrHalf(), strength=emjax.Known(0.9))
    >>> fit.standard_errors().names
    ('share',)
    """

    parameters: ClassVar[tuple[Parameter, ...]] = ()
    weights_are_solved: ClassVar[bool] = False  # free weights on fixed nodes, by a convex solver

    @abc.abstractmethod
    def nodes(self) -> Nodes:
        """The nodes η_g at which users' likelihoods are computed, and 1 − abs(η_g): (G,) each."""

    @abc.abstractmethod
    def log_weights(self) -> Float[AnyArray, " nodes"]:
        """(G,) natural logarithm of the share of users at each node; the shares sum to one."""

    def log_spacing(self) -> Float[AnyArray, " nodes"] | None:
        """(G,) natural log of the width dη of each node of a density; None for a set of points."""
        return None

    @property
    def continuous(self) -> bool:
        """Whether it is a density over η, and not a set of points."""
        return self.log_spacing() is not None

    @property
    def can_be_rescaled(self) -> bool:
        """Whether it stays a prior of the same class when attentiveness is multiplied by a factor.

        Votes can then leave the scale of attentiveness open. For priors of the package: their M-steps move
        nodes and strengths together.
        """
        return False

    def maximise(
        self,
        mass: Float[AnyArray, " nodes"],
        votes: Float[AnyArray, "comparisons outcomes nodes"],
        logits: Float[AnyArray, " comparisons"],
        behavior: Behavior,
    ) -> Self:
        """The M-step: the same prior at parameters under which the votes are at least as probable.

        `mass` is the expected number of users at each node (G,), `votes` the expected votes there, by
        comparison and outcome (C, O, G), and `logits` the log-odds of the comparisons (C,). By default
        Newton's method in the coordinates of the weights, for which `mass` is enough.
        """
        start, support = jnp.asarray(self.shape()), self.support()
        if not start.shape[0]:
            return self
        share = mass / jnp.sum(mass)
        low, high = (bound[support.shape[0] :] for bound in self.bounds())

        def value(x: Vector) -> Float[AnyArray, ""]:
            log_weights = self.at(support, x).log_weights()
            # A node without weight has no users, and counts nothing.
            return jnp.sum(jnp.where(share > 0.0, share * log_weights, 0.0))

        return self.at(support, ascend(value, start, low, high))

    def draw(self, key: Any, n_users: int) -> Float[AnyArray, " users"]:
        """Attentiveness of users drawn at random, with a JAX random key.

        Nodes by their weights; of a density a place between the middles around the node, each as likely.
        """
        node = np.asarray(_categorical(key, self.log_weights(), shape=(n_users,)))
        eta = np.asarray(self.nodes().eta)
        if not self.continuous:
            return eta[node]
        edges = np.concatenate([[0.0], 0.5 * (eta[1:] + eta[:-1]), [1.0]])
        within = np.asarray(jax.random.uniform(jax.random.fold_in(key, 1), (n_users,)))
        return edges[node] + within * (edges[node + 1] - edges[node])

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

    def hyperpriors(self) -> np.ndarray:
        """(P, 2) mean and standard deviation of the coordinates, `support` and `shape`, before the votes."""
        return hyperpriors_of(self, [*self._moving(nodes=True), *self._moving(nodes=False)])

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

    def log_spacing(self) -> Float[AnyArray, " nodes"] | None:
        return self.prior.log_spacing()

    def nodes(self) -> Nodes:
        return self.prior.nodes()

    def log_weights(self) -> Float[AnyArray, " nodes"]:
        return self.prior.log_weights()

    def maximise(self, mass, votes, logits, behavior) -> Self:
        return self

    def draw(self, key: Any, n_users: int) -> Float[AnyArray, " users"]:
        return self.prior.draw(key, n_users)

    def mode_is_finite(self) -> bool:
        return self.prior.mode_is_finite()


_categorical = jax.jit(jax.random.categorical, static_argnames="shape")


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
