"""Start of the sampler: the posterior mode, and a covariance from the curvature at the EM estimate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from emjax.bayes.marginal_density import VotesOnNodes, row_evidence
from emjax.bayes.numpyro_import import constrain_fn, potential_energy, unconstrain_fn
from emjax.bayes.numpyro_model import Beliefs, draw, model_of, sites_at, summed_out
from emjax.model.array_namespace import AnyArray
from emjax.model.model import Model

Place = dict[str, Array | np.ndarray]  # unconstrained coordinates, by sample site

_STEPS = 60
_CLOSE = 0.01  # largest predicted gain of a step at the end, in log posterior units
_WIDEST = 4.0  # upper bound on a standard deviation, in unconstrained coordinates
_MOST_AXES = 12


class Pilot(NamedTuple):
    """A place, and a covariance to scale the sampler by, in the order of `ravel_pytree` (P, P)."""

    place: Place
    covariance: Float[AnyArray, "p p"]


def pilot_at(model: Model, votes: VotesOnNodes, beliefs: Beliefs) -> Pilot:
    """At a model as EM left it, with the scale that its users' scores give."""
    place = _unconstrained(model, sites_at(model, beliefs), beliefs)
    values, vectors = np.linalg.eigh(_curvature(model, votes, place, beliefs))
    # Where the energy's curvature is negative, its absolute value is the scale.
    values = np.maximum(np.abs(values), 1.0 / _WIDEST**2)
    return Pilot(place, jnp.asarray((vectors / values) @ vectors.T))


def find_mode(pilot: Pilot, model: Model, votes: VotesOnNodes, beliefs: Beliefs) -> Pilot:
    """From there towards the posterior's mode, by damped Fisher scoring."""
    flat, back = ravel_pytree(pilot.place)
    x, size, covariance = np.asarray(flat), 1.0, np.asarray(pilot.covariance)
    here, g = (np.asarray(y) for y in _slope(model, votes, pilot.place, beliefs))
    for _ in range(_STEPS):
        move = -covariance @ g
        gain = -0.5 * float(move @ g)
        move *= size * min(1.0, 2.0 / max(np.abs(move).max(initial=0.0), 1e-300))
        place = back(jnp.asarray(x + move))
        there, slope = (np.asarray(y) for y in _slope(model, votes, place, beliefs))
        if there < here:
            x, here, g, size = x + move, there, slope, min(1.0, 2.0 * size)
        else:
            size *= 0.25
        if gain < _CLOSE or size < 1e-6:
            break
    return pilot._replace(place=back(jnp.asarray(x)))


def around(pilot: Pilot, distance: float) -> Place:
    """The place, and others `distance` standard deviations off, on each axis if these are few (stacked)."""
    flat, back = ravel_pytree(pilot.place)
    values, vectors = np.linalg.eigh(np.asarray(pilot.covariance))
    axes = (np.sqrt(np.maximum(values, 0.0)) * vectors).T
    if len(axes) > _MOST_AXES:
        mixed = np.random.default_rng(0).standard_normal((_MOST_AXES, len(axes)))
        axes = mixed / np.linalg.norm(mixed, axis=1, keepdims=True) @ axes
    places = np.concatenate([np.zeros((1, len(flat))), distance * axes, -distance * axes]) + np.asarray(flat)
    return jax.vmap(back)(jnp.asarray(places))


def energy(model: Model, votes: VotesOnNodes, beliefs: Beliefs, place: Place) -> Any:
    """Minus the log posterior density in unconstrained coordinates, up to a constant."""
    return potential_energy(summed_out, (model, votes, beliefs), {}, place)


def model_at(model: Model, beliefs: Beliefs, place: Place) -> Model:
    """The model at a place."""
    return model_of(model, beliefs, constrain_fn(draw, (model, beliefs), {}, place))


@jax.jit
def models_at(model: Model, beliefs: Beliefs, places: Place) -> Model:
    """The models at many places (stacked along the first axis)."""
    return jax.vmap(lambda place: model_at(model, beliefs, place))(places)


@jax.jit
def _unconstrained(model: Model, sites: Place, beliefs: Beliefs) -> Place:
    return unconstrain_fn(draw, (model, beliefs), {}, sites)


@jax.jit
def _slope(model: Model, votes: VotesOnNodes, place: Place, beliefs: Beliefs) -> tuple[Any, Any]:
    flat, back = ravel_pytree(place)
    return jax.value_and_grad(lambda x: energy(model, votes, beliefs, back(x)))(flat)


@jax.jit
def _curvature(model: Model, votes: VotesOnNodes, place: Place, beliefs: Beliefs) -> Any:
    """Curvature of the energy: of the votes, the users' squared scores summed; of the rest, the Hessian."""
    flat, back = ravel_pytree(place)

    def log_marginal(x: Float[AnyArray, " p"]) -> Float[AnyArray, " rows"]:
        return row_evidence(model_at(model, beliefs, back(x)), votes)

    # One coordinate after the other: side by side they would be rows × nodes × coordinates.
    scores = jax.lax.map(lambda way: jax.jvp(log_marginal, (flat,), (way,))[1], jnp.eye(len(flat)))
    rest = jax.hessian(lambda x: potential_energy(draw, (model, beliefs), {}, back(x)))(flat)
    return (scores * votes.data.layout.multiplicity) @ scores.T + rest
