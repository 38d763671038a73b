"""Coordinates of Bradley–Terry strengths that are about standard normal, whatever their spread is.

Strengths are normal around a middle with an unknown spread. Their own coordinates are far narrower where the
spread is small, and standardised deviations are so where the votes determine the strengths. Here each
direction of strengths is scaled by what votes and spread together leave open in it, which is exact for normal
likelihoods. The posterior is the same for all coordinates.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.bayes.marginal_density import VotesOnNodes, row_evidence
from emjax.bayes.numpyro_import import dist, numpyro
from emjax.model.array_namespace import AnyArray
from emjax.model.model import Model
from emjax.model.prior import Attentiveness
from emjax.model.pytree import record, replace

_NEVER_ZERO = 1e-12


@record
class Level:
    """The votes' log-likelihood in some strengths s as a quadratic.

    It is Σ (slopes·x − values·x²/2), in the directions x = vectorsᵀs.
    """

    vectors: Any  # (n, n), each column a direction
    values: Any  # (n,)
    slopes: Any  # (n,)

    def moved(self, around: Any, spread: Any) -> tuple[Any, Any]:
        """Scale and mean, in each direction, of the standardised deviations from `around`."""
        scale = 1.0 / jnp.sqrt(1.0 + self.values * spread**2)
        return scale, spread * scale**2 * (self.slopes - self.values * (around @ self.vectors))


@record
class Levels:
    """The quadratic in all strengths; and in the models' own, where strengths differ by context.

    `attentive` is the root mean square of attentiveness that they are for.
    """

    strengths: Level
    own: Any
    attentive: Any

    def under(self, prior: Attentiveness) -> "Levels":
        """The same under another prior: votes tell of products of attentiveness and strength first."""
        ratio = _attentive(prior) / self.attentive

        def of(level: Level) -> Level:
            return Level(level.vectors, level.values * ratio**2, level.slopes * ratio)

        return Levels(of(self.strengths), None if self.own is None else of(self.own), self.attentive)


def _attentive(prior: Attentiveness) -> Any:
    """Root mean square of attentiveness."""
    return jnp.sqrt(jnp.exp(prior.log_weights()) @ prior.nodes().eta ** 2 + _NEVER_ZERO)


def levels_at(model: Model, votes: VotesOnNodes, spread_context: float | None = None) -> Levels:
    """From the scores of the users at a model; with contexts, at a first guess of the spread over them.

    The strengths are the first coordinates of the model's strength.
    """
    information, gradient = (np.asarray(x) for x in _scores(model, votes))
    strength: Any = model.strength
    s = np.asarray(strength.strengths)
    values, vectors = np.linalg.eigh(information)
    values = np.maximum(values, 0.0)
    slopes = (gradient + information @ s) @ vectors
    lowest = Level(vectors, values, slopes)
    if spread_context is None:
        return Levels(_on_device(lowest), None, _attentive(model.prior))
    # The strengths in contexts, integrated out: what is left says how far the models' own are determined.
    scale = 1.0 / (1.0 + values * spread_context**2)
    to_own = vectors.T @ np.eye(strength.n_models)[list(strength.model_of)]
    own_values, own_vectors = np.linalg.eigh((to_own.T * (scale * values)) @ to_own)
    own = Level(own_vectors, np.maximum(own_values, 0.0), (scale * slopes) @ to_own @ own_vectors)
    return Levels(_on_device(lowest), _on_device(own), _attentive(model.prior))


def normal_strengths(name: str, around: Any, spread: Any, level: Level | None) -> Any:
    """A sample site of strengths that are normal `around` a middle; without a level, they are its values."""
    if level is None:
        return numpyro.sample(name, dist.Normal(around, spread))
    z = numpyro.sample(name, dist.Normal(jnp.zeros_like(level.values), jnp.ones(())))
    scale, mean = level.moved(around, spread)
    w = mean + scale * z  # the standardised deviations
    numpyro.factor(f"{name}_density", jnp.sum(0.5 * (z**2 - w**2) + jnp.log(scale)))
    return around + spread * (level.vectors @ w)


def coordinates_at(s: Any, around: Any, spread: float, level: Level | None) -> Any:
    """The value of the site of `normal_strengths` at these strengths."""
    if level is None:
        return s
    scale, mean = level.moved(around, spread)
    return ((s - around) @ level.vectors / spread - mean) / scale


def _on_device(level: Level) -> Level:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), level)


@jax.jit
def _scores(model: Model, votes: VotesOnNodes) -> tuple[Float[AnyArray, "n n"], Float[AnyArray, " n"]]:
    """Information of the votes on the strengths, by the users' squared scores, and the gradient."""
    strength: Any = model.strength
    multiplicity = votes.data.layout.multiplicity

    def evidence(s: Any) -> Any:
        return row_evidence(replace(model, strength=replace(strength, strengths=s)), votes)

    s = jnp.asarray(strength.strengths)
    scores = jax.lax.map(lambda way: jax.jvp(evidence, (s,), (way,))[1], jnp.eye(len(s)))
    return (scores * multiplicity) @ scores.T, scores @ multiplicity
