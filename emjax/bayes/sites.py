"""Sample sites: what is drawn for each prior, strength and response model, and where chains start.

A class of the package is one entry of `SITES`. One from outside has normal hyperpriors of its parameters, or
is registered with sites of its own. A response model needs none: its coordinates are normal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.marginal_density import VotesOnNodes
from emjax.bayes.numpyro_import import dist, numpyro
from emjax.bayes.strength_levels import Levels, coordinates_at, levels_at, normal_strengths
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.model import Model
from emjax.model.prior import Fixed
from emjax.model.prior_beta import BETA_RANGE, Beta
from emjax.model.priors_discrete import Grid, Points, TwoPoint
from emjax.model.pytree import replace
from emjax.model.registry import registered_sites
from emjax.model.response import Behavior
from emjax.model.strength import Known, PerPair, Shared
from emjax.model.strength_covariates import Covariates

_NARROW = 0.1  # smallest spread of strengths to start at
_FLAT = 1e-4  # smallest ridge penalty of slopes, as the precision of a normal prior
OFF = 1e-4  # how far from an edge of its range a start is kept

Values = dict[str, Any]


class Sites(NamedTuple):
    """Sample sites of one class: how it is drawn, and the values of the sites at a given one.

    `levels` gives, at a model and its votes, what both take as `levels`: the scale of strengths.
    """

    draw: Callable[..., Any]
    start: Callable[..., Values]
    levels: Callable[[Model, VotesOnNodes], Levels] | None = None


def site(name: str, distribution: Any) -> Any:
    """A sample site of NumPyro."""
    return numpyro.sample(name, distribution)


def even(number: float, count: int) -> Any:
    """The same number many times."""
    return jnp.full(count, number)


def beta(prior: tuple[float, float]) -> Any:
    """The Beta distribution of a strength."""
    return dist.Beta(*(jnp.asarray(x) for x in prior))


def lognormal(hyper: Hyperpriors) -> Any:
    """The distribution of the logarithms of a and b of a Beta."""
    return dist.Normal(even(np.log(hyper.median), 2), jnp.asarray(hyper.log_sd))


def with_shape(prior: Any, log_ab: Any) -> Any:
    """A Beta with these logarithms of a and b."""
    return prior.at(jnp.zeros(0), jnp.clip(log_ab, *np.log(BETA_RANGE)))


def with_points(prior: Any, points: Any, hyper: Hyperpriors) -> Any:
    """A discrete prior at these points; its weights are drawn."""
    k = len(prior.support())
    weights = jnp.ones(1) if k == 1 else site("weights", dist.Dirichlet(even(hyper.weights, k)))
    return prior.placed(points, weights)


def points_at(prior: Any, scale: float = 1.0) -> Values:
    """Gaps between the points, times `scale`, and weights, kept off the edges."""
    gaps = np.maximum(np.diff(np.asarray(prior.support()) * scale, prepend=0.0, append=1.0), OFF)
    weights = np.maximum(np.exp(np.asarray(prior.log_weights())), OFF)
    values = {"gaps": gaps / gaps.sum()}
    return values if len(weights) == 1 else values | {"weights": weights / weights.sum()}


def _draw_normal_prior(prior: Any, hyper: Hyperpriors) -> Any:
    low, high = prior.bounds()
    x = jnp.clip(_normal("prior", prior.hyperpriors()), low, high)  # as fits end there
    k = len(prior.support())
    return prior.at(x[:k], x[k:])


def _draw_normal_strength(strength: Any, hyper: Hyperpriors) -> Any:
    return strength.at(_normal("strength", strength.hyperpriors()))


def _normal(name: str, hyperpriors: np.ndarray) -> Any:
    mean, sd = (jnp.asarray(x) for x in hyperpriors.T)
    return site(name, dist.Normal(mean, sd))


NORMAL_PRIOR = Sites(
    _draw_normal_prior,
    lambda prior, hyper: {"prior": np.concatenate([np.asarray(x) for x in (prior.support(), prior.shape())])},
)
NORMAL_STRENGTH = Sites(
    _draw_normal_strength, lambda strength, hyper: {"strength": np.asarray(strength.coordinates())}
)


def _given(part: Any, hyper: Hyperpriors) -> Any:
    return part


def _no_values(part: Any, hyper: Hyperpriors) -> Values:
    return {}


def _draw_points(prior: Any, hyper: Hyperpriors) -> Any:
    gaps = site("gaps", dist.Dirichlet(even(hyper.gaps, len(prior.support()) + 1)))
    return with_points(prior, jnp.cumsum(gaps)[:-1], hyper)


def _draw_beta(prior: Any, hyper: Hyperpriors) -> Any:
    return with_shape(prior, site("log_ab", lognormal(hyper)))


def _draw_grid(prior: Any, hyper: Hyperpriors) -> Any:
    # Normalised gamma variables are Dirichlet; their logarithms are unbounded.
    count = len(prior.points)
    log = dist.transforms.ExpTransform().inv
    gamma = dist.TransformedDistribution(dist.Gamma(even(hyper.grid / count, count), 1.0), log)
    return prior.at(jnp.zeros(0), site("log_mass", gamma))


def _grid_at(prior: Any, hyper: Hyperpriors) -> Values:
    return {"log_mass": np.log(np.asarray(prior.weights) * hyper.grid + 0.1 / len(prior.points))}


def _draw_shared(strength: Any, hyper: Hyperpriors) -> Any:
    return replace(strength, value=site("mu", beta(strength.prior)))


def _draw_pairs(strength: Any, hyper: Hyperpriors) -> Any:
    a, b = (even(x, len(strength.values)) for x in strength.prior)
    return replace(strength, values=site("mu", dist.Beta(a, b)))


def _inside(mu: Any) -> Any:
    return np.clip(np.asarray(mu), OFF, 1.0 - OFF)


def _draw_models(strength: Any, hyper: Hyperpriors, levels: Levels | None = None) -> Any:
    """Bradley–Terry strengths, and the slopes of covariates; in the coordinates of `levels` where given."""
    lowest, own = (None, None) if levels is None else (levels.strengths, levels.own)
    middle = jnp.zeros(strength.n_models)
    spread = site("spread", dist.HalfNormal(jnp.asarray(hyper.spread)))
    if strength.l2_context is None:
        s = normal_strengths("s", middle, spread, lowest)
    else:
        spread_context = site("spread_context", dist.HalfNormal(jnp.asarray(hyper.context)))
        s = normal_strengths("s", middle, spread, own)[np.array(strength.model_of)]
        s = normal_strengths("s_context", s, spread_context, lowest)
    return replace(strength, strengths=s, covariates=_draw_covariates(strength.covariates))


def _draw_covariates(covariates: Covariates | None) -> Covariates | None:
    if covariates is None:
        return None
    sd = jnp.asarray(max(covariates.l2, _FLAT) ** -0.5)
    return replace(covariates, slopes=site("slopes", dist.Normal(jnp.zeros(len(covariates.slopes)), sd)))


def _models_at(strength: Any, hyper: Hyperpriors, levels: Levels | None = None) -> Values:
    """Values of these sites at given strengths."""
    lowest, own_level = (None, None) if levels is None else (levels.strengths, levels.own)
    s = np.asarray(strength.natural())[: len(strength.strengths)]
    values: Values = {}
    own = s
    if strength.l2_context is not None:
        own, model, spread_context = (
            _own_strengths(strength),
            np.array(strength.model_of),
            _spread_over(strength),
        )
        values["s_context"] = coordinates_at(s, own[model], spread_context, lowest)
        values["spread_context"] = spread_context
    spread = max(float(own.std()), _NARROW)
    level = lowest if strength.l2_context is None else own_level
    values |= {"s": coordinates_at(own, np.zeros(len(own)), spread, level), "spread": spread}
    covariates = strength.covariates
    return values if covariates is None else values | {"slopes": np.asarray(covariates.slopes)}


def _own_strengths(strength: Any) -> np.ndarray:
    """(n,) the models' own strengths: the means of those in contexts."""
    s, model = np.asarray(strength.natural())[: len(strength.strengths)], np.array(strength.model_of)
    return np.bincount(model, s, strength.n_models) / np.bincount(model, minlength=strength.n_models)


def _spread_over(strength: Any) -> float:
    """A first guess of the spread of strengths over contexts."""
    s = np.asarray(strength.natural())[: len(strength.strengths)]
    return max(float((s - _own_strengths(strength)[np.array(strength.model_of)]).std()), _NARROW)


def _levels_at(model: Model, votes: VotesOnNodes) -> Levels:
    strength: Any = model.strength
    return levels_at(model, votes, None if strength.l2_context is None else _spread_over(strength))


SITES: dict[type, Sites] = {
    TwoPoint: Sites(_draw_points, lambda prior, hyper: points_at(prior)),
    Points: Sites(_draw_points, lambda prior, hyper: points_at(prior)),
    Beta: Sites(_draw_beta, lambda prior, hyper: {"log_ab": np.asarray(prior.shape())}),
    Grid: Sites(_draw_grid, _grid_at),
    Fixed: Sites(_given, _no_values),
    Known: Sites(_given, _no_values),
    Shared: Sites(_draw_shared, lambda strength, hyper: {"mu": _inside(strength.value)}),
    PerPair: Sites(_draw_pairs, lambda strength, hyper: {"mu": _inside(strength.values)}),
    BradleyTerry: Sites(_draw_models, _models_at, _levels_at),
}


def sites_of(part: Any, normal: Sites) -> Sites | None:
    """How a prior or a strength is drawn; None where nothing says what is believed of its parameters.

    `normal` draws its coordinates where its parameters have hyperpriors.
    """
    own, registered = SITES.get(type(part)), registered_sites(type(part))
    if own is not None:
        return own
    if registered is not None:
        return Sites(registered[0], registered[1])
    hyperpriors = part.hyperpriors()
    if not len(hyperpriors):
        return Sites(_given, _no_values)
    return None if np.isnan(hyperpriors).any() else normal


def draw_behavior(behavior: Behavior, hyper: Hyperpriors) -> Behavior:
    """A response model whose coordinates are normal: slopes by their ridge, others by one or their own."""
    if not len(behavior.coordinates()):
        return behavior
    return behavior.at(_normal("behavior", _of_behavior(behavior, hyper)))


def behavior_at(behavior: Behavior) -> Values:
    """The value of its site at a response model."""
    x = np.asarray(behavior.coordinates())
    return {"behavior": x} if len(x) else {}


def _of_behavior(behavior: Behavior, hyper: Hyperpriors) -> np.ndarray:
    """(P, 2) mean and standard deviation of each coordinate; those of slopes are the last."""
    own, features = behavior.hyperpriors(), behavior.features
    n_slopes = 0 if features is None else len(features.slopes)
    ridge = _FLAT if features is None else max(features.l2, _FLAT)
    n = len(own) - n_slopes
    usual = np.append(np.full(n, hyper.behavior), np.full(n_slopes, ridge**-0.5))
    usual = np.column_stack([np.zeros(len(own)), usual])
    return np.where(np.isnan(own), usual, own)
