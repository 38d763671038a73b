"""The model as NumPyro sees it: sample sites for what is estimated, one factor for all the votes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from emjax.bayes.hyperpriors import Hyperpriors
from emjax.bayes.marginal_density import VotesOnNodes, log_likelihood
from emjax.bayes.numpyro_import import dist, handlers, numpyro
from emjax.errors import ModelError
from emjax.infer.steps import Model
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.likelihood import Nodes, log_probabilities
from emjax.model.prior import Attentiveness, Fixed
from emjax.model.prior_beta import BETA_RANGE, Beta
from emjax.model.priors_discrete import Grid, Points, TwoPoint
from emjax.model.pytree import replace
from emjax.model.response import Behavior
from emjax.model.strength import Known, PerPair, Shared, Strength
from emjax.model.strength_covariates import Covariates

_PRIORS = (TwoPoint, Points, Beta, Grid, Fixed)
_STRENGTHS = (Known, Shared, PerPair, BradleyTerry)
_FLAT = 1e-4  # smallest ridge penalty of covariates, as the precision of a normal prior
_OFF = 1e-4  # how far from an edge of its range a start is kept


class Beliefs(NamedTuple):
    """What is fixed before sampling: the hyperpriors, and on which side of ½ an unknown strength μ is.

    `side` is 0 where that is not determined. Otherwise it is the sign of μ − ½, and the product of
    attentiveness and |2μ − 1| is sampled.
    """

    hyper: Hyperpriors
    side: int = 0


def summed_out(model: Model, votes: VotesOnNodes, beliefs: Beliefs) -> None:
    """The model with the users summed out: their votes are one factor."""
    at = draw(model, beliefs)
    numpyro.factor("votes", log_likelihood(at, votes))


def one_per_user(model: Model, counts: Any, index: Any, beliefs: Beliefs) -> None:
    """The model as it is written down, with one latent attentiveness per user, under a Beta prior.

    `counts` are the votes (m, C, 2). It is slow, and there to check and to be compared with.
    """
    at = draw(model, beliefs)
    a, b = at.prior.natural()
    with numpyro.plate("users", len(counts)):
        eta = _site("eta", dist.Beta(a, b))
    table = log_probabilities(at.behavior, Nodes(eta, 1.0 - eta), at.strength.logits(index))
    numpyro.factor("votes", jnp.sum(counts * jnp.moveaxis(table, -1, 0)))


def refuse_unknown(prior: Attentiveness, strength: Strength | None, behavior: Behavior | None) -> None:
    """Raise ModelError for what there are no sample sites for: classes, and parameters of a behavior."""
    sites = isinstance(prior, _PRIORS), strength is None or isinstance(strength, _STRENGTHS)
    own = behavior is None or not len(behavior.coordinates())
    for one, there in zip((prior, strength, behavior), (*sites, own), strict=True):
        if not there:
            raise ModelError(f"fit_bayes has no hyperprior for {type(one).__name__}: use fit_em.")


def draw(model: Model, beliefs: Beliefs) -> Model:
    """Sample sites for everything that is estimated, put together as a model."""
    if beliefs.side:
        ridge = _beta_on_the_ridge if isinstance(model.prior, Beta) else _points_on_the_ridge
        prior, strength = ridge(model.prior, model.strength, beliefs)
    else:
        prior, strength = _prior(model.prior, beliefs.hyper), _strength(model.strength, beliefs.hyper)
    return replace(model, prior=prior, strength=strength)


def model_of(model: Model, beliefs: Beliefs, sites: dict[str, Any]) -> Model:
    """The model at values of the sample sites."""
    with handlers.block(), handlers.substitute(data=sites):
        return draw(model, beliefs)


def models_of(model: Model, beliefs: Beliefs, sites: dict[str, Any]) -> Model:
    """The models at many values (stacked along the first axis)."""
    return jax.vmap(lambda values: model_of(model, beliefs, values))(sites)


def _prior(prior: Attentiveness, hyper: Hyperpriors) -> Attentiveness:
    match prior:
        case TwoPoint() | Points():
            gaps = _site("gaps", dist.Dirichlet(_even(hyper.gaps, n_points(prior) + 1)))
            return _with_points(prior, jnp.cumsum(gaps)[:-1], hyper)
        case Beta():
            return _with_shape(prior, _site("log_ab", _lognormal(hyper)))
        case Grid():
            # Normalised gamma variables are Dirichlet; their logarithms are unbounded.
            count = len(prior.points)
            gamma = dist.Gamma(_even(hyper.grid / count, count), 1.0)
            log = dist.transforms.ExpTransform().inv
            return prior.at(jnp.zeros(0), _site("log_mass", dist.TransformedDistribution(gamma, log)))
        case Fixed():
            return prior
    raise AssertionError(prior)


def _strength(strength: Strength, hyper: Hyperpriors) -> Strength:
    match strength:
        case Known():
            return strength
        case Shared():
            mu = _site("mu", _beta(strength.prior))
            return replace(strength, value=mu)
        case PerPair():
            a, b = (jnp.full(len(strength.values), x) for x in strength.prior)
            return replace(strength, values=_site("mu", dist.Beta(a, b)))
        case BradleyTerry():
            spread = _site("spread", dist.HalfNormal(jnp.asarray(hyper.spread)))
            s = _site("s", dist.Normal(jnp.zeros(len(strength.strengths)), spread))
            return replace(strength, strengths=s, covariates=_covariates(strength.covariates))
    raise AssertionError(strength)


def _covariates(covariates: Covariates | None) -> Covariates | None:
    if covariates is None:
        return None
    sd = jnp.asarray(max(covariates.l2, _FLAT) ** -0.5)
    slopes = _site("slopes", dist.Normal(jnp.zeros(len(covariates.slopes)), sd))
    return replace(covariates, slopes=slopes)


def _points_on_the_ridge(prior: Any, strength: Any, beliefs: Beliefs) -> tuple[Any, Any]:
    """Support points and μ, sampled as the identified product η·|2μ − 1|, and μ.

    The likelihood depends on the first alone, so that its ridge is straight. Only one sign of μ − ½ is
    sampled where the votes determine it.
    """
    hyper, k = beliefs.hyper, n_points(prior)
    gaps = _site("gaps", dist.Dirichlet(jnp.ones(k + 1)))
    lean = jnp.cumsum(gaps)[:-1]
    share = _site("share", dist.Uniform(jnp.zeros(()), jnp.ones(())))
    margin = lean[-1] + (1.0 - lean[-1]) * share
    mu = 0.5 + 0.5 * beliefs.side * margin
    eta = lean / margin
    own = dist.Dirichlet(_even(hyper.gaps, k + 1)).log_prob(jnp.diff(eta, prepend=0.0, append=1.0))
    own = own + _beta(strength.prior).log_prob(mu)
    numpyro.factor("ridge", own + jnp.log1p(-lean[-1]) - k * jnp.log(margin))
    return _with_points(prior, eta, hyper), replace(strength, value=mu)


def _beta_on_the_ridge(prior: Any, strength: Any, beliefs: Beliefs) -> tuple[Any, Any]:
    """A Beta and μ, sampled as mean and variance of the identified product η·|2μ − 1|, and μ.

    The votes determine the first two well, whatever μ is; μ enters through higher moments only.
    """
    unit = dist.Uniform(jnp.zeros(()), jnp.ones(()))
    mean, spread, share = (_site(name, unit) for name in ("lean", "lean_spread", "share"))
    variance = spread * mean * (1.0 - mean)
    least = mean + spread * (1.0 - mean)  # below it no distribution on [0, 1] has these moments
    margin = least + (1.0 - least) * share
    mu = 0.5 + 0.5 * beliefs.side * margin
    size = mean * (margin - mean) / variance - 1.0
    m = mean / margin
    log_ab = jnp.log(size) + jnp.log(jnp.stack([m, 1.0 - m]))
    own = jnp.sum(_lognormal(beliefs.hyper).log_prob(log_ab)) + _beta(strength.prior).log_prob(mu)
    # The derivative of (log a, log b, μ) in `(lean, lean_spread, share)`.
    log_jacobian = jnp.log(size) - jnp.sum(log_ab) + jnp.log(m * (1.0 - m)) - 2.0 * jnp.log(variance)
    log_jacobian = log_jacobian + jnp.log(mean * (1.0 - mean)) + jnp.log(margin) + jnp.log1p(-least)
    numpyro.factor("ridge", own + log_jacobian)
    return _with_shape(prior, log_ab), replace(strength, value=mu)


def _site(name: str, distribution: Any) -> Any:
    return numpyro.sample(name, distribution)


def _with_shape(prior: Any, log_ab: Any) -> Any:
    return prior.at(jnp.zeros(0), jnp.clip(log_ab, *np.log(BETA_RANGE)))


def _lognormal(hyper: Hyperpriors) -> Any:
    return dist.Normal(jnp.full(2, np.log(hyper.median)), jnp.asarray(hyper.log_sd))


def _beta(prior: tuple[float, float]) -> Any:
    return dist.Beta(*(jnp.asarray(x) for x in prior))


def _with_points(prior: Any, points: Any, hyper: Hyperpriors) -> Any:
    k = n_points(prior)
    if k == 1:
        weights = jnp.ones(1)
    else:
        weights = _site("weights", dist.Dirichlet(_even(hyper.weights, k)))
    if isinstance(prior, TwoPoint):
        return replace(prior, low=points[0], high=points[1], weight=weights[1])
    return replace(prior, points=points, weights=weights)


def sites_at(model: Model, beliefs: Beliefs) -> dict[str, Any]:
    """Values of the sample sites at a model, kept a little off the edges: where sampling starts."""
    prior, strength = model.prior, model.strength
    values: dict[str, Any] = {}
    scale = 1.0
    if beliefs.side:
        scale = float(np.clip(abs(2.0 * float(strength.natural()[0]) - 1.0), _OFF, 1.0 - _OFF))
    if isinstance(prior, TwoPoint | Points):
        points = np.asarray(prior.support()) * scale
        gaps = np.maximum(np.diff(points, prepend=0.0, append=1.0), _OFF)
        values["gaps"] = gaps / gaps.sum()
        weights = np.maximum(np.exp(np.asarray(prior.log_weights())), _OFF)
        if len(weights) > 1:
            values["weights"] = weights / weights.sum()
        if beliefs.side:
            top = 1.0 - values["gaps"][-1]
            values["share"] = np.clip((scale - top) / (1.0 - top), 0.02, 0.98)
    elif isinstance(prior, Beta) and beliefs.side:
        a, b = float(prior.a), float(prior.b)
        mean, spread = scale * a / (a + b), scale * b / ((a + b + 1.0) * (a + b - scale * a))
        least = mean + spread * (1.0 - mean)
        values |= {
            "lean": mean,
            "lean_spread": spread,
            "share": np.clip((scale - least) / (1.0 - least), 0.02, 0.98),
        }
    elif isinstance(prior, Beta):
        values["log_ab"] = np.asarray(prior.shape())
    elif isinstance(prior, Grid):
        count = len(prior.points)
        values["log_mass"] = np.log(np.asarray(prior.weights) * beliefs.hyper.grid + 0.1 / count)
    if isinstance(strength, Shared) and not beliefs.side:
        values["mu"] = np.clip(np.asarray(strength.value), _OFF, 1.0 - _OFF)
    elif isinstance(strength, PerPair):
        values["mu"] = np.clip(np.asarray(strength.values), _OFF, 1.0 - _OFF)
    elif isinstance(strength, BradleyTerry):
        s = np.asarray(strength.natural())[: len(strength.strengths)]
        values["s"], values["spread"] = s, max(float(s.std()), 0.1)
        if strength.covariates is not None:
            values["slopes"] = np.asarray(strength.covariates.slopes)
    return {name: jnp.asarray(value, jnp.float64) for name, value in values.items()}


def n_points(prior: Any) -> int:
    """How many support points a discrete prior has."""
    return 2 if isinstance(prior, TwoPoint) else prior.k


def _even(number: float, count: int) -> Any:
    return jnp.full(count, number)
