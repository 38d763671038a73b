"""The model as NumPyro sees it: sample sites for what is estimated, one factor for all the votes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.marginal_density import VotesOnNodes, log_likelihood
from emjax.bayes.numpyro_import import dist, handlers, numpyro
from emjax.bayes.sites import (
    NORMAL_PRIOR,
    NORMAL_STRENGTH,
    OFF,
    Sites,
    Values,
    behavior_at,
    beta,
    draw_behavior,
    even,
    lognormal,
    points_at,
    site,
    sites_of,
    with_points,
    with_shape,
)
from emjax.errors import ModelError
from emjax.model.design import DesignIndex
from emjax.model.likelihood import Nodes, log_probabilities
from emjax.model.model import Model
from emjax.model.prior import Attentiveness
from emjax.model.prior_beta import Beta
from emjax.model.priors_discrete import Points, TwoPoint
from emjax.model.pytree import record, replace, static
from emjax.model.strength import Strength


@record
class Beliefs:
    """What is fixed before sampling: the hyperpriors, and the coordinates in which the sampler moves.

    `side` is on which side of ½ an unknown strength μ is: 0 where that is not determined. Otherwise it is the
    sign of μ − ½, and the product of attentiveness and |2μ − 1| is sampled. `levels` scale the strengths of
    models.
    """

    hyper: Hyperpriors = static()
    side: int = static(default=0)
    levels: Any = None


def summed_out(model: Model, votes: VotesOnNodes, beliefs: Beliefs) -> None:
    """The model with the users summed out: their votes are one factor."""
    at = draw(model, beliefs)
    numpyro.factor("votes", log_likelihood(at, votes))


def one_per_user(model: Model, counts: Any, index: DesignIndex, beliefs: Beliefs) -> None:
    """The model as it is written down, with one latent attentiveness per user, under a Beta prior.

    `counts` are the votes (m, rows, O). It is slow, and there to check and to be compared with.
    """
    at = draw(model, beliefs)
    with numpyro.plate("users", len(counts)):
        eta = site("eta", ONE_PER_USER[type(at.prior)](at.prior))
    table = log_probabilities(at.behavior, Nodes(eta, 1.0 - eta), index.logits(at.strength))
    numpyro.factor("votes", jnp.sum(counts * jnp.moveaxis(table, -1, 0)))


def check_sites(prior: Attentiveness, strength: Strength | None) -> None:
    """Raise ModelError for a class that has no sample sites."""
    for one, normal in ((prior, NORMAL_PRIOR), (strength, NORMAL_STRENGTH)):
        if one is not None and sites_of(one, normal) is None:
            name = type(one).__name__
            raise ModelError(
                f"fit_bayes has no hyperprior for {name}: give its parameters one, as in Parameter(..., "
                f"hyperprior=(0.0, 1.5)), mean and standard deviation on the scale of the transform; or "
                f"emjax.register({name}, sites=...); or use fit_em."
            )


def draw(model: Model, beliefs: Beliefs) -> Model:
    """Sample sites for everything that is estimated, put together as a model."""
    hyper, behavior = beliefs.hyper, draw_behavior(model.behavior, beliefs.hyper)
    if beliefs.side:
        prior, strength = RIDGES[type(model.prior)].draw((model.prior, model.strength), beliefs)
    else:
        of_prior, of_strength = _sites(model)
        prior = of_prior.draw(model.prior, hyper)
        strength = of_strength.draw(model.strength, hyper, **_levels(beliefs, prior))
    return replace(model, prior=prior, strength=strength, behavior=behavior)


def sites_at(model: Model, beliefs: Beliefs) -> Values:
    """Values of the sample sites at a model, kept a little off the edges: where sampling starts."""
    prior, strength = model.prior, model.strength
    if beliefs.side:
        values = RIDGES[type(prior)].start((prior, strength), beliefs)
    else:
        of_prior, of_strength = _sites(model)
        values = of_prior.start(prior, beliefs.hyper)
        values |= of_strength.start(strength, beliefs.hyper, **_levels(beliefs, prior))
    values |= behavior_at(model.behavior)
    return {name: jnp.asarray(value, jnp.float64) for name, value in values.items()}


def _levels(beliefs: Beliefs, prior: Attentiveness) -> dict[str, Any]:
    return {} if beliefs.levels is None else {"levels": beliefs.levels.under(prior)}


def _sites(model: Model) -> tuple[Sites, Sites]:
    """How prior and strength are drawn, once `check_sites` has found that they can be."""
    of_prior, of_strength = sites_of(model.prior, NORMAL_PRIOR), sites_of(model.strength, NORMAL_STRENGTH)
    assert of_prior is not None and of_strength is not None
    return of_prior, of_strength


def with_levels(beliefs: Beliefs, model: Model, votes: VotesOnNodes) -> Beliefs:
    """With the scale of strengths where these have one, from the votes at a model."""
    of_strength = _sites(model)[1]
    return (
        beliefs if of_strength.levels is None else replace(beliefs, levels=of_strength.levels(model, votes))
    )


def model_of(model: Model, beliefs: Beliefs, sites: Values) -> Model:
    """The model at values of the sample sites."""
    with handlers.block(), handlers.substitute(data=sites):
        return draw(model, beliefs)


def models_of(model: Model, beliefs: Beliefs, sites: Values) -> Model:
    """The models at many values (stacked along the first axis)."""
    return jax.vmap(lambda values: model_of(model, beliefs, values))(sites)


def _draw_points(parts: tuple[Any, Any], beliefs: Beliefs) -> tuple[Any, Any]:
    """Support points and μ, sampled as the identified product η·|2μ − 1|, and μ.

    The likelihood depends on the first alone, so that its ridge is straight. Only one sign of μ − ½ is
    sampled where the votes determine it.
    """
    prior, strength = parts
    hyper, k = beliefs.hyper, len(prior.support())
    gaps = site("gaps", dist.Dirichlet(jnp.ones(k + 1)))
    lean = jnp.cumsum(gaps)[:-1]
    share = site("share", dist.Uniform(jnp.zeros(()), jnp.ones(())))
    margin = lean[-1] + (1.0 - lean[-1]) * share
    mu = 0.5 + 0.5 * beliefs.side * margin
    eta = lean / margin
    own = dist.Dirichlet(even(hyper.gaps, k + 1)).log_prob(jnp.diff(eta, prepend=0.0, append=1.0))
    own = own + beta(strength.prior).log_prob(mu)
    numpyro.factor("ridge", own + jnp.log1p(-lean[-1]) - k * jnp.log(margin))
    return with_points(prior, eta, hyper), replace(strength, value=mu)


def _draw_beta(parts: tuple[Any, Any], beliefs: Beliefs) -> tuple[Any, Any]:
    """A Beta and μ, sampled as mean and variance of the identified product η·|2μ − 1|, and μ.

    The votes determine the first two well, whatever μ is; μ enters through higher moments only.
    """
    prior, strength = parts
    unit = dist.Uniform(jnp.zeros(()), jnp.ones(()))
    mean, spread, share = (site(name, unit) for name in ("lean", "lean_spread", "share"))
    variance = spread * mean * (1.0 - mean)
    least = mean + spread * (1.0 - mean)  # below it no distribution on [0, 1] has these moments
    margin = least + (1.0 - least) * share
    mu = 0.5 + 0.5 * beliefs.side * margin
    size = mean * (margin - mean) / variance - 1.0
    m = mean / margin
    log_ab = jnp.log(size) + jnp.log(jnp.stack([m, 1.0 - m]))
    own = jnp.sum(lognormal(beliefs.hyper).log_prob(log_ab)) + beta(strength.prior).log_prob(mu)
    # The derivative of (log a, log b, μ) in `(lean, lean_spread, share)`.
    log_jacobian = jnp.log(size) - jnp.sum(log_ab) + jnp.log(m * (1.0 - m)) - 2.0 * jnp.log(variance)
    log_jacobian = log_jacobian + jnp.log(mean * (1.0 - mean)) + jnp.log(margin) + jnp.log1p(-least)
    numpyro.factor("ridge", own + log_jacobian)
    return with_shape(prior, log_ab), replace(strength, value=mu)


def _scale(strength: Strength) -> float:
    """|2μ − 1|, kept off 0 and 1."""
    return float(np.clip(abs(2.0 * float(strength.natural()[0]) - 1.0), OFF, 1.0 - OFF))


def _points_at(parts: tuple[Any, Any], beliefs: Beliefs) -> Values:
    prior, strength = parts
    scale = _scale(strength)
    values = points_at(prior, scale)
    top = 1.0 - values["gaps"][-1]
    return values | {"share": np.clip((scale - top) / (1.0 - top), 0.02, 0.98)}


def _beta_at(parts: tuple[Any, Any], beliefs: Beliefs) -> Values:
    prior, strength = parts
    a, b, scale = float(prior.a), float(prior.b), _scale(strength)
    mean, spread = scale * a / (a + b), scale * b / ((a + b + 1.0) * (a + b - scale * a))
    least = mean + spread * (1.0 - mean)
    share = np.clip((scale - least) / (1.0 - least), 0.02, 0.98)
    return {"lean": mean, "lean_spread": spread, "share": share}


# Priors that are sampled along the ridge of attentiveness and one unknown strength, where there is one.
RIDGES: dict[type, Sites] = {
    TwoPoint: Sites(_draw_points, _points_at),
    Points: Sites(_draw_points, _points_at),
    Beta: Sites(_draw_beta, _beta_at),
}

# Priors under which the attentiveness of every user can be sampled too.
ONE_PER_USER: dict[type, Callable[[Any], Any]] = {Beta: lambda prior: dist.Beta(*prior.natural())}
