"""Sample sites: where the posterior is sampled along a ridge, it is the same posterior."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta as beta_density
from scipy.stats import halfnorm, norm

import emjax
from emjax.bayes.laplace_init import models_at
from emjax.bayes.marginal_density import all_nodes
from emjax.bayes.numpyro_import import double_precision
from emjax.bayes.numpyro_model import Beliefs, draw, model_of, sites_at, summed_out
from emjax.infer.vote_sources import prepare
from emjax.model.pytree import replace

HYPER = emjax.Hyperpriors(gaps=2.0, weights=1.5, median=1.7, log_sd=0.8, grid=5.0, spread=1.3)
PLAIN = Beliefs(HYPER)
POINTS = emjax.Points(3, [0.15, 0.5, 0.85], [0.2, 0.3, 0.5])
PRIORS = [emjax.TwoPoint(0.2, 0.8, 0.6), emjax.Points(1, [0.4], [1.0]), POINTS, emjax.Beta(2.5, 1.5)]


@pytest.fixture(autouse=True)
def double():
    with double_precision():
        yield


def prepared(prefs, prior, strength):
    return prepare(prefs, prior, strength.start(prefs.table), emjax.AttentiveOrRandom())[:2]


def pairs_at(prefs, values):
    """One strength per comparison, at given values."""
    return replace(emjax.PerPair(prior=(3, 2)).start(prefs.table), values=np.array(values))


def density(model, beliefs, sites, votes=None):
    """Log density of values of the sample sites, all factors included, as NumPyro works it out."""
    from numpyro.infer.util import log_density

    if votes is None:
        return log_density(draw, (model, beliefs), {}, sites)[0]
    return log_density(summed_out, (model, votes, beliefs), {}, sites)[0]


def split(sites):
    """Those sites that the ridge turns, as a vector without what a simplex repeats; and the rest."""
    names = [name for name in ("gaps", "lean", "lean_spread", "share") if name in sites]
    parts = [sites[n][:-1] if n == "gaps" else sites[n][None] for n in names]
    return jnp.concatenate(parts), {n: x for n, x in sites.items() if n not in names}


def joined(model, x, rest):
    if isinstance(model.prior, emjax.Beta):
        return rest | dict(zip(("lean", "lean_spread", "share"), x, strict=True))
    return rest | {"gaps": jnp.append(x[:-1], 1.0 - x[:-1].sum()), "share": x[-1]}


def plainly(model):
    """The same for the plain way to sample: its coordinates as a vector."""
    prior = model.prior
    if isinstance(prior, emjax.Beta):
        return jnp.concatenate([jnp.log(prior.natural()), jnp.atleast_1d(model.strength.value)])
    return jnp.append(jnp.diff(prior.support(), prepend=0.0), model.strength.value)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_ridge_coordinates_give_the_same_posterior(prior, side, prefs):
    """Its density is that of the plain sites times the Jacobian of the way there, up to one constant."""
    data, model = prepared(prefs, prior, emjax.Shared(prior=(3, 2), value=0.5 + 0.35 * side))
    beliefs = Beliefs(HYPER, side)
    votes = all_nodes(model.prior, data)
    rng = np.random.default_rng(5)
    x0, rest = split(sites_at(model, beliefs))
    away = []
    for _ in range(5):
        x = x0 * jnp.asarray(rng.uniform(0.75, 1.0, x0.shape))
        sites = joined(model, x, rest)
        at = model_of(model, beliefs, sites)
        turned = jax.jacobian(lambda x: plainly(model_of(model, beliefs, joined(model, x, rest))))(x)
        plain = dict(rest) | {"mu": at.strength.value}
        if isinstance(prior, emjax.Beta):
            plain["log_ab"] = jnp.log(at.prior.natural())
        else:
            plain["gaps"] = jnp.diff(at.prior.support(), prepend=0.0, append=1.0)
        assert 0 < side * (float(at.strength.value) - 0.5) < 0.5
        away.append(
            density(model, beliefs, sites, votes)
            - density(model, PLAIN, plain, votes)
            - jnp.linalg.slogdet(turned)[1]
        )
    assert np.ptp(np.array(away)) < 1e-9


def test_plain_sites_have_the_documented_densities(prefs, arena):
    of = lambda model: float(density(model, PLAIN, sites_at(model, PLAIN)))  # noqa: E731
    mu = beta_density.logpdf(0.8, 8, 2)
    two = prepared(prefs, emjax.TwoPoint(0.2, 0.8, 0.6), emjax.Shared(value=0.8))[1]
    points = brute_force.log_dirichlet(np.array([0.2, 0.6, 0.2]), [2.0] * 3)
    weights = brute_force.log_dirichlet(np.array([0.4, 0.6]), [1.5] * 2)
    assert of(two) == pytest.approx(points + weights + mu, abs=1e-9)
    smooth = prepared(prefs, emjax.Beta(2.5, 1.5), emjax.Shared(value=0.8))[1]
    shape = norm.logpdf(np.log([2.5, 1.5]), np.log(1.7), 0.8).sum()
    assert of(smooth) == pytest.approx(shape + mu, abs=1e-9)
    pairs = prepared(arena, emjax.Fixed(emjax.Beta()), pairs_at(arena, [0.6, 0.7, 0.8]))[1]
    assert of(pairs) == pytest.approx(beta_density.logpdf([0.6, 0.7, 0.8], 3, 2).sum(), abs=1e-9)
    start = emjax.BradleyTerry(strengths=[1.0, 0.5, -1.5], models=("ant", "bee", "cat"))
    ranked = prepared(arena, emjax.Fixed(emjax.Beta()), start)[1]
    spread = np.std([1.0, 0.5, -1.5])
    s = norm.logpdf([1.0, 0.5, -1.5], 0, spread).sum() + halfnorm.logpdf(spread, scale=1.3)
    assert of(ranked) == pytest.approx(s, abs=1e-9)


def test_weights_of_a_grid_are_dirichlet(prefs):
    """Logarithms of gamma variables, of which only the sum does not matter: integrate it out."""
    _, model = prepared(prefs, emjax.Grid(3), emjax.Known(0.8))
    levels = jnp.linspace(-60.0, 8.0, 6000)
    apart = []
    for weights in ([0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.05, 0.05, 0.9]):
        at = lambda level, w=weights: density(model, PLAIN, {"log_mass": jnp.log(jnp.asarray(w)) + level})  # noqa: E731
        total = jax.scipy.special.logsumexp(jax.vmap(at)(levels))
        # log-weights have density w₁w₂w₃ times that of the weights
        own = brute_force.log_dirichlet(np.array(weights), [5.0 / 3] * 3) + np.log(weights).sum()
        apart.append(float(total) - own)
        np.testing.assert_allclose(
            model_of(model, PLAIN, {"log_mass": jnp.log(jnp.asarray(weights)) - 3}).prior.weights, weights
        )
    assert np.ptp(apart) < 1e-6


@pytest.mark.parametrize("side", [0, 1, -1])
@pytest.mark.parametrize("prior", [*PRIORS, emjax.Grid(4, [0.1, 0.2, 0.3, 0.4])], ids=repr)
def test_a_start_is_the_model_it_was_made_from(prior, side, prefs):
    if isinstance(prior, emjax.Grid) and side:
        pytest.skip("a Grid's points stay where they are: it has no ridge to be straightened")
    strength = emjax.Shared(value=0.85 if side >= 0 else 0.15)
    _, model = prepared(prefs, prior, strength)
    back = model_of(model, Beliefs(HYPER, side), sites_at(model, Beliefs(HYPER, side)))
    close = 0.02 if isinstance(prior, emjax.Grid) else 1e-6  # its weights are kept off zero
    np.testing.assert_allclose(back.natural(), model.natural(), atol=close)


def test_strengths_of_pairs_and_models_start_where_they_are(arena):
    for strength in (
        pairs_at(arena, [0.6, 0.7, 0.8]),
        emjax.BradleyTerry(strengths=[1.0, 0.5, -1.5], models=("ant", "bee", "cat")),
    ):
        _, model = prepared(arena, emjax.Fixed(emjax.Beta()), strength)
        back = model_of(model, PLAIN, sites_at(model, PLAIN))
        np.testing.assert_allclose(back.natural(), model.natural(), atol=1e-9)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_a_start_at_an_edge_is_moved_inside(edge, prefs):
    prior = emjax.TwoPoint(0.0, 1.0, 0.5) if edge else emjax.Points(1, [0.0], [1.0])
    for side in (0, 1):
        _, model = prepared(prefs, prior, emjax.Shared(value=0.9))
        sites = sites_at(model, Beliefs(HYPER, side))
        assert all(
            (np.asarray(value) > 0).all() and (np.asarray(value) < 1 + 1e-12).all()
            for value in sites.values()
        )
        assert np.isfinite(density(model, Beliefs(HYPER, side), sites))


@pytest.mark.parametrize("side", [0, 1])
def test_support_points_are_ordered_at_all_coordinates(side, prefs):
    _, model = prepared(prefs, POINTS, emjax.Shared())
    rng = np.random.default_rng(2)
    places = {"gaps": rng.normal(0, 3, (200, 3)), "weights": rng.normal(0, 3, (200, 2))}
    places |= {"share" if side else "mu": rng.normal(0, 3, 200)}
    at = models_at(model, Beliefs(HYPER, side), {name: jnp.asarray(x) for name, x in places.items()})
    points = np.asarray(at.prior.points)
    assert (np.diff(points, axis=1) >= 0).all() and (points >= 0).all() and (points <= 1 + 1e-12).all()
    np.testing.assert_allclose(np.asarray(at.prior.weights).sum(axis=1), 1.0)
    mu = np.asarray(at.strength.value)
    assert ((mu > 0.5) if side else (mu > 0)).all() and (mu < 1).all()
