"""Two support points in one place: one of them is to spare, and may be of more use elsewhere.

Where EM has led two points together the gradient vanishes, and no local step can tell whether a small group
of users far away would raise the likelihood. The gradient in the space of distributions can (Lindsay, 1983).
"""

import jax
import jax.numpy as jnp
import numpy as np

from emjax.infer.steps import Data, Model, row_log_likelihood
from emjax.model.attentiveness import Attentiveness
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.likelihood import marginal
from emjax.model.record import rebuild, replace

_TOGETHER = 0.02
_CANDIDATES = 65


def with_spare_point_moved(model: Model, data: Data, tol: float) -> Model | None:
    """The model with one of two points that met moved to where it raises log L most.

    None where no two points met, or where the gain would be below `tol`.
    """
    prior = model.prior
    if not isinstance(prior, TwoPoint | Points) or len(prior.support()) < 2:
        return None
    points, weights = np.asarray(prior.support(), float), np.exp(np.asarray(prior.log_weights(), float))
    order = np.argsort(points)
    points, weights = points[order], weights[order]
    first = int(np.argmin(np.diff(points)))
    if points[first + 1] - points[first] > _TOGETHER:
        return None
    place, share, gain = (float(x) for x in _best_addition(model, data))
    if not gain > tol:
        return None
    pair = slice(first, first + 2)
    met = float(np.average(points[pair], weights=np.maximum(weights[pair], 1e-300)))
    merged = np.append(np.delete(points, first + 1), place)
    merged[first] = met
    mass = np.append(np.delete(weights, first + 1) * (1.0 - share), share)
    mass[first] = weights[pair].sum() * (1.0 - share)
    order = np.argsort(merged)
    return replace(model, prior=_at(prior, merged[order], mass[order] / mass.sum()))


@jax.jit
def _best_addition(model: Model, data: Data) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where a new point raises log L most, the share of users it takes, and how much it gains."""
    evidence, _ = marginal(row_log_likelihood(model, data), model.prior.log_weights())
    elsewhere = replace(model, prior=Grid(_CANDIDATES))
    ratio = jnp.exp(jnp.minimum(row_log_likelihood(elsewhere, data) - evidence[:, None], 600.0))
    multiplicity = data.layout.multiplicity.reshape(-1)
    shares = jnp.exp(jnp.linspace(jnp.log(1e-5), jnp.log(0.5), 40))

    def gain(share: jax.Array) -> jax.Array:
        return multiplicity @ jnp.log1p(share * (ratio - 1.0))

    gains = jax.lax.map(gain, shares)
    best = jnp.unravel_index(jnp.argmax(gains), gains.shape)
    return elsewhere.prior.nodes().eta[best[1]], shares[best[0]], gains[best]


def _at(prior: Attentiveness, points: np.ndarray, weights: np.ndarray) -> Attentiveness:
    if isinstance(prior, TwoPoint):
        return rebuild(TwoPoint, {"low": points[0], "high": points[1], "weight": weights[1]})
    return rebuild(Points, {"k": len(points), "points": points, "weights": weights})
