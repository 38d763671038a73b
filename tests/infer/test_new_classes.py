"""A prior, a strength and a response model written outside the package: one class each."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import emjax
from emjax.model.own_classes import (
    IDENTITY,
    LOGIT,
    SHARE,
    Design,
    Parameter,
    decreasing_root,
    namespace,
    nodes_at,
    record,
    replace,
    sigmoid,
    static,
    strength_slopes,
)

SCORES = {"ant": 1.5, "bee": 0.5, "cat": -0.4, "dog": -1.6}


@record
class AllOrNothing(emjax.Attentiveness):
    """A share of users whose votes are all attentive; those of the others are all careless."""

    share: Any = 0.5

    parameters = (Parameter("share", "share", SHARE),)

    def nodes(self):
        xp = namespace(self.share)
        return nodes_at(xp.asarray([0.0, 1.0 - 1e-9]))

    def log_weights(self):
        xp = namespace(self.share)
        return xp.log(xp.stack([1.0 - xp.asarray(self.share), xp.asarray(self.share)]))

    def maximise(self, mass, votes, logits, behavior):
        return replace(self, share=mass[1] / jnp.sum(mass))


@record
class ByScore(emjax.Strength):
    """Log-odds proportional to the difference of scores that the models have from elsewhere."""

    scores: Any = static(default=())
    slope: Any = 1.0

    parameters = (Parameter("slope", "slope", IDENTITY, hyperprior=(0.0, 3.0)),)

    def index(self, prefs):
        place = {name: number for number, (name, _) in enumerate(self.scores)}
        return np.array([[place[a], place[b]] for a, b in prefs.comparisons])

    def design(self, index):
        xp = namespace(index)
        x = xp.asarray([score for _, score in self.scores])
        apart = x[index[:, 0]] - x[index[:, 1]]
        return Design(0 * index[:, :1], apart[:, None], 0.0 * apart, 1)

    def maximise(self, votes, nodes, index, behavior):
        design = self.design(index)

        def gradient(x):
            slopes = strength_slopes(behavior, nodes, design.logits(x), votes)
            return design.transposed(slopes)

        limit = jnp.full((1,), 20.0)
        return self.at(decreasing_root(gradient, -limit, limit, self.coordinates()))


@record
class Lapses(emjax.Behavior):
    """A share of the attentive votes lapses to a coin."""

    lapse: Any = 0.1

    parameters = (Parameter("lapse", "lapse", LOGIT),)

    def log_probability(self, eta, rest, logit):
        xp = namespace(eta, logit, self.lapse)
        lapse = xp.asarray(self.lapse)
        attentive = (1.0 - lapse) * sigmoid(xp.stack([logit, -logit])) + 0.5 * lapse
        return xp.log(0.5 * rest + eta * attentive)


def simulated(n_users=400, each=30):
    """Votes of careful and careless users; one vote in ten of the careful lapses."""
    rng = np.random.default_rng(7)
    names = np.array(list(SCORES))
    user = np.repeat(np.arange(n_users), each)
    careful = (rng.random(n_users) < 0.7)[user]
    a = rng.integers(4, size=len(user))
    b = (a + rng.integers(1, 4, size=len(user))) % 4
    x = np.array(list(SCORES.values()))
    p = 0.9 / (1.0 + np.exp(-1.2 * (x[a] - x[b]))) + 0.05
    won = rng.random(len(user)) < np.where(careful, p, 0.5)
    return emjax.Preferences.from_votes(user, np.stack([names[a], names[b]], axis=1), won)


def objective(prefs, theta):
    """Minus the log-likelihood of (share, slope, lapse), in plain NumPy."""
    share, slope, lapse = 1 / (1 + np.exp(-theta[0])), theta[1], 1 / (1 + np.exp(-theta[2]))
    apart = np.array([SCORES[a] - SCORES[b] for a, b in prefs.comparisons])
    p = (1 - lapse) / (1 + np.exp(-slope * apart)) + lapse / 2
    careful, careless = np.zeros(prefs.n_users), np.zeros(prefs.n_users)
    log_p = np.log(np.stack([p, 1 - p], axis=1))[prefs.comparison]
    np.add.at(careful, prefs.user, (prefs.counts * log_p).sum(axis=1))
    np.add.at(careless, prefs.user, prefs.counts.sum(axis=1) * np.log(0.5))
    return -np.logaddexp(np.log(share) + careful, np.log(1 - share) + careless).sum()


@pytest.fixture(scope="module")
def prefs():
    return simulated()


@pytest.fixture(scope="module")
def fit(prefs):
    strength = ByScore(scores=tuple(SCORES.items()))
    return emjax.fit_em(prefs, AllOrNothing(), strength=strength, behavior=Lapses())


def test_the_fit_is_the_maximum_of_a_plain_likelihood(prefs, fit):
    truth = minimize(lambda x: objective(prefs, x), [0.0, 1.0, -2.0], method="Nelder-Mead", tol=1e-9)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(-truth.fun, abs=2e-3)
    found = [fit.prior.share, fit.strength.slope, fit.behavior.lapse]
    plain = [1 / (1 + np.exp(-truth.x[0])), truth.x[1], 1 / (1 + np.exp(-truth.x[2]))]
    np.testing.assert_allclose(found, plain, atol=2e-2)


def test_standard_errors_are_those_of_the_plain_hessian(prefs, fit):
    errors = fit.standard_errors()
    assert errors.names == ("share", "slope", "lapse")
    share, lapse = float(fit.prior.share), float(fit.behavior.lapse)
    x = np.array([np.log(share / (1 - share)), fit.strength.slope, np.log(lapse / (1 - lapse))])
    step = 1e-3
    hessian = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for s in (1, -1):
                for t in (1, -1):
                    at = x + step * (s * np.eye(3)[i] + t * np.eye(3)[j])
                    hessian[i, j] += s * t * objective(prefs, at) / (4 * step**2)
    covariance = np.linalg.inv(hessian)
    scale = np.array([share * (1 - share), 1.0, lapse * (1 - lapse)])
    np.testing.assert_allclose(errors.std_err, scale * np.sqrt(np.diag(covariance)), rtol=2e-3)


def test_whatever_can_be_asked_of_a_fit_is_answered(prefs, fit):
    assert fit.posterior(prefs).mean.shape == (400,)
    assert fit.comparisons(prefs).num_rows == 6
    assert set(fit.users(prefs).column_names) >= {"attentiveness", "agreement"}
    assert fit.history(prefs).users.shape == (400,)
    assert "share" in repr(fit) and "slope" in repr(fit)
    kept = emjax.filter_votes(fit.posterior(prefs), emjax.Threshold(0.5))
    assert 0 < kept.n_votes_kept < prefs.n_votes
    again = emjax.fit_em([prefs], fit.prior, strength=fit.strength, behavior=fit.behavior)  # one shard
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-3)


def drawn_share(prior, hyper):
    """Evenly between 0 and 1."""
    import numpyro

    return replace(prior, share=numpyro.sample("share", numpyro.distributions.Uniform(0.0, 1.0)))


def share_at(prior, hyper):
    """The value of the site at a prior."""
    return {"share": np.asarray(prior.share)}


def test_they_are_sampled_once_a_hyperprior_is_said(prefs, fit):
    pytest.importorskip("numpyro")
    with pytest.raises(emjax.ModelError, match="no hyperprior for AllOrNothing"):
        emjax.fit_bayes(prefs, AllOrNothing(), strength=ByScore(scores=tuple(SCORES.items())), key=0)
    emjax.register(AllOrNothing, sites=(drawn_share, share_at))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)  # slope and lapse trade off, and draws are few
        sampled = emjax.fit_bayes(
            prefs,
            AllOrNothing(),
            strength=ByScore(scores=tuple(SCORES.items())),
            behavior=Lapses(),
            num_warmup=200,
            num_samples=300,
            num_chains=2,
            key=0,
        )
    found, errors = sampled.estimates(), fit.standard_errors()
    assert sampled.names == ("share", "slope", "lapse")
    assert (np.abs(found.estimate - errors.estimate) < errors.std_err).all()
    np.testing.assert_allclose(found.std_err, errors.std_err, rtol=0.5)
