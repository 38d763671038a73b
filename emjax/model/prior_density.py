"""Priors with a density, integrated on fixed quadrature nodes: their base class."""

import abc
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from emjax.model.array_namespace import AnyArray, log_softmax, namespace
from emjax.model.likelihood import Nodes
from emjax.model.prior import Attentiveness
from emjax.model.quadrature import double_exponential

_AT_AN_END = 1e-6  # nodes closer to 0 or 1 than this are at an end
_HIGHER = 1e-3  # by so much the log-density is higher at an end, or it has its mode inside


class Density(Attentiveness):
    """A density of attentiveness over [0, 1], given by its logarithm: the base class of smooth priors.

    A class of one's own is a `record` with the list of its `parameters`, and gives one method:

    - ``log_density(log_eta, log_rest)``, (G,): the natural logarithm of the density at the nodes, up to a
      constant that may depend on the parameters. It is given log η and log(1 − η), (G,) each, which are
      exact where η itself is 0 or 1 to the last digit.

    Notes
    -----
    The integral over η is a double-exponential rule on 512 nodes, and the weights are divided by their sum
    there. One limit: the nodes are 0.02 apart at η = ½, and closer toward the ends, so that a density must
    not be narrower than some hundredths; a fit warns of one that is. `Attentiveness` takes a density on
    other nodes.

    Examples
    --------
    Normal log-odds of attentiveness:

    >>> import emjax
    >>> from emjax.model.own_classes import IDENTITY, LOG, Parameter, record
    >>> @record
    ... class NormalLogOdds(emjax.Density):
    ...     middle: float = 0.0
    ...     spread: float = 1.0
    ...     parameters = (Parameter("middle", "middle", IDENTITY), Parameter("spread", "spread", LOG))
    ...     def log_density(self, log_eta, log_rest):
    ...         x = (log_eta - log_rest - self.middle) / self.spread
    ...         return -0.5 * x**2 - log_eta - log_rest
    >>> sim = emjax.simulate(0, n_users=500, votes_per_user=20, prior=NormalLogOdds(1.0, 1.5))
    >>> fit = emjax.fit_em(sim.preferences, NormalLogOdds(), strength=emjax.Known(0.74))
    >>> fit.standard_errors().names
    ('middle', 'spread')
    """

    @abc.abstractmethod
    def log_density(
        self, log_eta: Float[AnyArray, " nodes"], log_rest: Float[AnyArray, " nodes"]
    ) -> Float[AnyArray, " nodes"]:
        """(G,) log of the density up to a constant, given log η and log(1 − η) of the nodes."""

    def nodes(self) -> Nodes:
        rule, xp = double_exponential(), namespace(*jax.tree.leaves(self))
        return Nodes(xp.asarray(rule.eta), xp.asarray(rule.rest))

    def log_weights(self) -> Float[AnyArray, " nodes"]:
        rule = double_exponential()
        return log_softmax(self.log_density(rule.log_eta, rule.log_rest) + rule.log_spacing)

    def log_spacing(self) -> Float[AnyArray, " nodes"]:
        return double_exponential().log_spacing

    def votes_needed(self, *, scale_is_known: bool) -> int:
        return len(self.shape()) + (0 if scale_is_known else 1)

    def mode_is_finite(self) -> bool:
        rule, known = double_exponential(), jax.tree.map(lambda x: np.asarray(x)[()], self)
        height: Any = np.asarray(known.log_density(rule.log_eta, rule.log_rest))
        inside = (rule.eta > _AT_AN_END) & (rule.rest > _AT_AN_END)
        return bool(max(height[0], height[-1]) <= height[inside].max() + _HIGHER)
