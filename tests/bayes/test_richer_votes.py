"""fit_bayes with ties, sides, vote features, contexts and gold questions: against grids and densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import halfnorm, norm

import emjax
from emjax.bayes.marginal_density import all_nodes, log_likelihood
from emjax.bayes.numpyro_import import double_precision
from emjax.bayes.numpyro_model import Beliefs, draw, model_of, sites_at
from emjax.infer.vote_sources import prepare
from emjax.model.response import default_behavior

HYPER = emjax.Hyperpriors(spread=1.3, context=0.7, behavior=1.2)
PLAIN = Beliefs(HYPER)
ETA = np.array([0.2, 0.9])
PRIOR = emjax.Fixed(emjax.Points(2, ETA, [0.4, 0.6]))
NAMES = np.array([["ant", "bee"], ["bee", "cat"], ["ant", "cat"]])
LOGITS = np.array([1.2, 0.8, 2.0])


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def simulated(seed, users=80, each=12, *, tie=0.0, guess=0.5, slope=0.0):
    """Votes as columns: user, pair, outcome (1, 0 or 0.5), side, whether quick, gold."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), each)
    n = len(user)
    eta, pair = rng.choice(ETA, users, p=[0.4, 0.6])[user], rng.integers(3, size=n)
    first, quick = rng.random(n) < 0.5, rng.random(n) < 0.5
    odds = eta / (1.0 - eta) * np.exp(slope * np.where(quick, 1.0, -1.0))
    attentive = rng.random(n) < odds / (1.0 + odds)
    to_a = np.where(attentive, sigmoid(LOGITS[pair]), np.where(first, guess, 1.0 - guess))
    won = (rng.random(n) < to_a).astype(float)
    won[rng.random(n) < tie] = 0.5
    return user, NAMES[pair], won, first, np.where(quick, "quick", "slow")


def prepared(prefs, prior, strength):
    behavior = default_behavior(prefs.table).start(prefs.table)
    return prepare(prefs, prior, strength.start(prefs.table), behavior)[:2]


def density(model, sites):
    from numpyro.infer.util import log_density

    return float(log_density(draw, (model, PLAIN), {}, sites)[0])


def strength_known():
    return emjax.Known({tuple(pair): sigmoid(x) for pair, x in zip(NAMES.tolist(), LOGITS, strict=True)})


def test_ties_agree_with_a_grid_over_their_two_numbers(quiet):
    """Attentiveness and strengths known: the posterior of tie rule and careless ties, written out."""
    user, pair, won, *_ = simulated(0, users=25, each=8, tie=0.25)
    prefs = emjax.Preferences.from_votes(user, pair, won, ties="model")
    fit = quiet(prefs, PRIOR, strength=strength_known(), hyperpriors=HYPER)
    assert fit.names == ("tie", "careless ties")
    log_tie, logit_share = np.meshgrid(np.linspace(-4, 3, 71), np.linspace(-5, 3, 81), indexing="ij")
    place = {tuple(p): x for p, x in zip(NAMES.tolist(), LOGITS, strict=True)}
    logits = np.array([place[tuple(p)] for p in prefs.comparisons.tolist()])
    half = np.exp(0.5 * logits)[:, None, None]
    weights = np.stack(np.broadcast_arrays(half, 1.0 / half, np.exp(log_tie)[None]))
    attentive = weights / weights.sum(axis=0)
    share = sigmoid(logit_share)
    careless = np.stack([0.5 * (1 - share), 0.5 * (1 - share), share])[:, None]
    log_prior = norm.logpdf(log_tie, 0, 1.2) + norm.logpdf(logit_share, 0, 1.2)
    by_user = np.zeros((prefs.n_users, 2, *log_tie.shape))
    for g, eta in enumerate(ETA):
        log_p = np.log(eta * attentive + (1 - eta) * careless)
        rows = np.einsum("no,onij->nij", prefs.counts, log_p[:, prefs.comparison])
        np.add.at(by_user, (prefs.user, g), rows)
    by_user += np.log([0.4, 0.6])[:, None, None]
    log_post = np.logaddexp(by_user[:, 0], by_user[:, 1]).sum(axis=0) + log_prior
    post = np.exp(log_post - log_post.max())
    post /= post.sum()
    found = fit.estimates()
    for i, values in enumerate((np.exp(log_tie), share)):
        mean = (post * values).sum()
        sd = np.sqrt((post * (values - mean) ** 2).sum())
        assert abs(found.estimate[i] - mean) < 4.5 * sd / np.sqrt(fit.ess_bulk[i])
        assert abs(np.log(found.std_err[i] / sd)) < 6.0 / np.sqrt(2 * fit.ess_tail[i])


def test_gold_questions_are_comparisons_of_known_strength():
    """The factor of the votes is the same, whichever way the answers are given."""
    user, pair, won, *_ = simulated(1)
    asked = np.arange(len(user)) % 6 == 0
    gold = np.where(asked, 1.0, np.nan)
    with_gold = emjax.Preferences.from_votes(user, pair, won, gold=gold, gold_accuracy=0.95)
    named = np.where(asked[:, None], np.array([["right", "wrong"]]), pair)
    as_comparison = emjax.Preferences.from_votes(user, named, won)
    values = {tuple(p): sigmoid(x) for p, x in zip(NAMES.tolist(), LOGITS, strict=True)}
    found = []
    with double_precision():
        for prefs, extra in ((with_gold, {}), (as_comparison, {("right", "wrong"): 0.95})):
            data, model = prepared(prefs, emjax.TwoPoint(0.3, 0.8, 0.5), emjax.Known(values | extra))
            found.append(float(log_likelihood(model, all_nodes(model.prior, data))))
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_with_gold_questions_the_scale_is_known_and_no_ridge_is_followed(quiet):
    """One comparison and a shared strength: the answers to gold questions say what attentive means."""
    rng = np.random.default_rng(5)
    eta = rng.choice(ETA, 150, p=[0.4, 0.6])
    user = np.repeat(np.arange(150), 16)
    asked = np.tile(np.arange(16) < 6, 150)
    right = np.where(asked, 0.95, 0.8)
    won = rng.random(len(user)) < 0.5 + eta[user] * (right - 0.5)
    prefs = emjax.Preferences.from_votes(
        user, [["new", "old"]] * len(user), won, gold=np.where(asked, 1.0, np.nan), gold_accuracy=0.95
    )
    fit = quiet(prefs, emjax.TwoPoint(), strength=emjax.Shared())
    found = dict(
        zip(fit.names, zip(fit.estimates().estimate, fit.estimates().std_err, strict=True), strict=True)
    )
    for name, truth in (("low", 0.2), ("high", 0.9), ("weight", 0.6), ("strength", 0.8)):
        mean, sd = found[name]
        assert abs(mean - truth) < 4 * sd and sd < 0.12, name
    assert fit.posterior(prefs).mean.shape == (150,)
    assert fit.loo(prefs).elpd.shape == (150,)


@pytest.mark.parametrize("kind", ["sides", "features", "contexts"])
def test_sites_have_the_documented_densities_and_start_at_the_model(kind):
    user, pair, won, first, pace = simulated(2, guess=0.8, slope=0.5)
    topic = np.array(["code", "prose"])[np.arange(len(user)) % 2]
    given = {
        "sides": {"shown_first": first},
        "features": {"vote_features": {"pace": pace}},
        "contexts": {"context": topic},
    }
    prefs = emjax.Preferences.from_votes(user, pair, won, **given[kind])
    by_context = emjax.BradleyTerry(l2_context=1.0) if kind == "contexts" else strength_known()
    with double_precision():
        _, model = prepared(prefs, PRIOR, by_context)
        x = np.random.default_rng(3).normal(size=len(model.natural()))
        if kind == "contexts":
            model = emjax.model.pytree.replace(model, strength=model.strength.at(x))
            s = x.reshape(3, 2)  # by model, then context
            own = s.mean(axis=1)
            own_level = own - own.mean()
            s = s - s.mean(axis=0)  # strengths are centred within each context
            own_level = s.mean(axis=1)
            around = float((s - own_level[:, None]).std())
            expected = norm.logpdf(own_level, 0, own_level.std()).sum() + halfnorm.logpdf(
                own_level.std(), scale=1.3
            )
            expected += norm.logpdf(s, own_level[:, None], around).sum() + halfnorm.logpdf(around, scale=0.7)
        else:
            model = emjax.model.pytree.replace(model, behavior=model.behavior.at(x))
            expected = norm.logpdf(x, 0, 1.2 if kind == "sides" else 0.1**-0.5).sum()
        sites = sites_at(model, PLAIN)
        assert density(model, sites) == pytest.approx(expected, abs=1e-9)
        back = model_of(model, PLAIN, sites)
        np.testing.assert_allclose(back.natural(), model.natural(), atol=1e-9)


def test_sides_ties_and_features_are_recovered_together(quiet):
    """Guess rate, slope of a feature and careless ties of 300 users, within their posterior."""
    user, pair, won, first, pace = simulated(4, users=300, each=20, guess=0.8, slope=0.8)
    prefs = emjax.Preferences.from_votes(user, pair, won, shown_first=first, vote_features={"pace": pace})
    fit = quiet(prefs, PRIOR, strength=strength_known(), num_samples=500)
    assert fit.names == ("guess", "attention by pace = slow")
    found = fit.estimates()
    truth = {"guess": 0.8, "attention by pace = slow": -1.6}
    for name, mean, sd in zip(fit.names, found.estimate, found.std_err, strict=True):
        assert abs(mean - truth[name]) < 4 * sd and sd < 0.3, (name, mean, sd)
    drawn = fit.predictive(prefs, key=0, draws=20)
    assert drawn.shape == (20, len(prefs.counts))
    # As many votes as there were, and about as many won by A.
    share = drawn.sum(axis=1) / prefs.n_votes
    assert abs(share.mean() - prefs.wins[:, 0].sum() / prefs.n_votes) < 0.02
    rates = fit.win_rates(prefs, key=1, draws=100)
    assert 0.01 < rates.p_value < 0.99
    new = emjax.Preferences.from_votes(
        user[:40], pair[:40], won[:40], shown_first=first[:40], vote_features={"pace": pace[:40]}
    )
    np.testing.assert_allclose(
        fit.posterior(new).mean, fit.em.posterior(new).mean, atol=0.05
    )  # votes of few comparisons, with features of their own


def test_users_one_by_one_see_gold_questions_and_ties():
    """The model with a latent variable per user has the same votes: its factor is the sum over all rows."""
    from numpyro.infer.util import log_density

    from emjax.bayes.numpyro_model import one_per_user
    from emjax.bayes.sample import counts_by_user

    user, pair, won, *_ = simulated(6, users=12, each=8, tie=0.2)
    gold = np.where(np.arange(len(user)) % 4 == 0, 1.0, np.nan)
    prefs = emjax.Preferences.from_votes(user, pair, won, gold=gold, ties="model")
    with double_precision():
        data, model = prepared(prefs, emjax.Beta(2.0, 3.0), strength_known())
        counts = counts_by_user(prefs, data)
        assert counts.sum() == prefs.n_votes + prefs.anchor_votes.counts.sum()
        eta = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, 12))
        sites = sites_at(model, PLAIN) | {"eta": eta}
        found = log_density(one_per_user, (model, jnp.asarray(counts), data.index, PLAIN), {}, sites)[0]
        table = jax.vmap(
            lambda one: jax.vmap(lambda logit: model.behavior.log_probability(one, 1 - one, logit))(
                data.index.logits(model.strength)
            )
        )(eta)
        votes = float(jnp.sum(jnp.asarray(counts) * table))
        own = density(model, {k: v for k, v in sites.items() if k != "eta"})
        from scipy.stats import beta

        expected = votes + own + beta.logpdf(np.asarray(eta), 2.0, 3.0).sum()
    assert float(found) == pytest.approx(expected, abs=1e-8)
