"""Covariates of strengths: fits against plain NumPy and SciPy, the truth, and other ways to say the same."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

import emjax

MODELS = ("ant", "bee", "cat", "dog")
STRENGTHS = np.array([0.9, 0.3, -0.2, -1.0])
SLOPES = {"length": 0.7, "lists": -0.4}


def drawn(seed: int = 0, users: int = 300, votes: int = 20, careless: float = 0.4):
    """Columns of simulated votes: users, pairs, who won, covariates; each user's attentiveness."""
    rng = np.random.default_rng(seed)
    eta = np.where(rng.random(users) < careless, 0.1, 0.9)
    user = np.repeat(np.arange(users), votes)
    a = rng.integers(0, 4, user.size)
    b = (a + rng.integers(1, 4, user.size)) % 4
    x = {"length": rng.choice([-2, -1, 0, 1, 2], user.size), "lists": rng.integers(-1, 2, user.size)}
    unit = {name: np.sqrt(np.mean(column**2.0)) for name, column in x.items()}
    logit = STRENGTHS[a] - STRENGTHS[b] + sum(SLOPES[name] * x[name] / unit[name] for name in x)
    attentive = rng.random(user.size) < eta[user]
    won = np.where(attentive, rng.random(user.size) < 1 / (1 + np.exp(-logit)), rng.random(user.size) < 0.5)
    pairs = np.array(MODELS, object)[np.stack([a, b], axis=1)]
    return user, pairs, won, x, eta


def votes_of(user, pairs, won, x, **more):
    return emjax.Preferences.from_votes(user, pairs, won, covariates=x, **more)


PRIORS = {
    "two-point": emjax.TwoPoint(),
    "beta": emjax.Beta(),
    "grid": emjax.Grid(17),
    "fixed": emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.6)),
}


@pytest.fixture(scope="module", params=[pytest.param(p, id=p) for p in PRIORS])
def fitted(request):
    columns = drawn()
    prefs = votes_of(*columns[:4])
    return columns, prefs, emjax.fit_em(prefs, PRIORS[request.param])


def in_numpy(columns, prior, s, slopes, unit) -> float:
    """Log-likelihood, one vote after the other, from the columns themselves."""
    user, pairs, won, x, _ = columns
    with jax.enable_x64(True):
        eta, weights = np.asarray(prior.nodes().eta), np.exp(np.asarray(prior.log_weights()))
    place = {name: i for i, name in enumerate(MODELS)}
    a, b = (np.array([place[name] for name in pairs[:, side]]) for side in (0, 1))
    logit = s[a] - s[b] + sum(slope * x[name] / unit[name] for slope, name in zip(slopes, x, strict=True))
    signed = np.where(won, logit, -logit)
    chance = eta[:, None] / (1 + np.exp(-signed)) + (1 - eta[:, None]) / 2
    by_user = np.array([np.bincount(user, row) for row in np.log(chance)])
    peak = by_user.max(axis=0)
    return float(np.sum(peak + np.log(weights @ np.exp(by_user - peak))))


def test_the_fit_is_a_maximum_of_the_likelihood_in_plain_numpy(fitted):
    columns, _, fit = fitted
    unit = dict(zip(SLOPES, fit.covariates()["unit"].to_pylist(), strict=True))
    s, slopes = np.asarray(fit.strength.strengths), np.asarray(fit.strength.covariates.slopes)
    value = in_numpy(columns, fit.prior, s, slopes, unit)
    assert fit.converged
    np.testing.assert_allclose(fit.log_likelihood, value, rtol=1e-10)

    def objective(slopes, s):
        ridge = 0.5 * 0.1 * np.sum(slopes**2) + 0.5 * 0.01 * np.sum(s**2)
        return in_numpy(columns, fit.prior, s, slopes, unit) - ridge

    best = objective(slopes, s)
    for k in range(2):
        for step in (-0.02, 0.02):
            assert objective(slopes + step * np.eye(2)[k], s) < best
    assert objective(slopes, s + 0.02 * np.array([1, -1, 0, 0])) < best


def test_strengths_and_slopes_are_recovered_within_their_standard_errors(fitted):
    _, _, fit = fitted
    table = fit.covariates().to_pydict()
    assert table["covariate"] == list(SLOPES)
    for effect, std_err, truth in zip(table["effect"], table["std_err"], SLOPES.values(), strict=True):
        assert abs(effect - truth) < 4 * std_err < 0.6
    errors = fit.standard_errors()  # those of the leaderboard are without the error of the common scale
    for name, truth in zip(MODELS, STRENGTHS - STRENGTHS.mean(), strict=True):
        found = errors[f"strength of {name}"]
        assert abs(found.estimate - truth) < 4 * found.std_err


def test_standard_errors_are_those_of_the_numerical_hessian():
    columns = drawn(users=150)
    prefs = votes_of(*columns[:4])
    prior = emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.6))
    fit = emjax.fit_em(prefs, prior)
    unit = dict(zip(SLOPES, fit.covariates()["unit"].to_pylist(), strict=True))
    at = np.concatenate([fit.strength.strengths, fit.strength.covariates.slopes])
    h = 1e-3

    def value(x):
        return in_numpy(columns, prior, x[:4], x[4:], unit)

    steps = h * np.eye(6)
    hessian = np.array(
        [
            [
                value(at + p + q) - value(at + p - q) - value(at - p + q) + value(at - p - q)
                for q in steps
            ]
            for p in steps
        ]
    ) / (4 * h**2)  # fmt: skip
    covariance = np.linalg.pinv(-hessian, rcond=1e-6)
    found = fit.covariates()["std_err"].to_pylist()
    np.testing.assert_allclose(found, np.sqrt(np.diag(covariance))[4:], rtol=0.03)


def test_ordinary_bradley_terry_with_covariates_is_a_penalised_logistic_regression():
    columns = drawn(careless=0.0)
    user, pairs, won, x, _ = columns
    prefs = votes_of(user, pairs, won, x)
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.6)))
    with jax.enable_x64(True):
        plain = fit.strength.at(np.zeros(6)).unadjusted(prefs.table)
    design = np.zeros((len(won), 6))
    for side, sign in ((0, 1.0), (1, -1.0)):
        design[np.arange(len(won)), [MODELS.index(name) for name in pairs[:, side]]] += sign
    for k, column in enumerate(x.values()):
        design[:, 4 + k] = column / np.sqrt(np.mean(column**2.0))
    ridge = np.array([0.01] * 4 + [0.1] * 2)

    def loss(beta):
        logit = design @ beta
        slope = design.T @ (1 / (1 + np.exp(-logit)) - won) + ridge * beta
        return np.sum(np.logaddexp(0.0, logit) - won * logit) + 0.5 * np.sum(ridge * beta**2), slope

    best = minimize(loss, np.zeros(6), jac=True, tol=1e-12).x
    np.testing.assert_allclose(np.asarray(plain.coordinates()), best, atol=1e-4)


def test_a_covariate_that_is_left_out_biases_the_strengths():
    """A model whose answers are long seems stronger than it is; at equal length it does not."""
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(300), 30)
    first = rng.integers(0, 2, user.size)  # "long" against "short", which are equally good
    pairs = np.array(["long", "short"], object)[np.stack([first, 1 - first], axis=1)]
    length = np.where(first == 0, 1.0, -1.0) + rng.normal(0, 1.0, user.size)
    won = rng.random(user.size) < 1 / (1 + np.exp(-length))
    third = np.tile([["long", "other"], ["other", "short"]], (300, 1)).astype(object)
    both = [np.concatenate(two) for two in ((user, np.repeat(np.arange(300), 2)), (pairs, third))]
    won, length = np.append(won, rng.random(600) < 0.5), np.append(length, np.zeros(600))
    prior = emjax.Fixed(emjax.TwoPoint(0.05, 0.95, 0.95))
    adjusted = emjax.fit_em(votes_of(*both, won, {"length": length}, covariate_bins=20), prior)
    plain = emjax.fit_em(emjax.Preferences.from_votes(*both, won), prior)
    gap, plain_gap = (
        fit.strength.strengths[fit.strength.models.index("long")]
        - fit.strength.strengths[fit.strength.models.index("short")]
        for fit in (adjusted, plain)
    )
    assert plain_gap > 0.5 and abs(gap) < 0.3


def test_listing_pairs_the_other_way_round_changes_nothing():
    user, pairs, won, x, _ = drawn()
    turn = np.random.default_rng(1).random(len(won)) < 0.5
    other = votes_of(
        user,
        np.where(turn[:, None], pairs[:, ::-1], pairs),
        np.where(turn, ~won, won),
        {name: np.where(turn, -column, column) for name, column in x.items()},
    )
    one, two = (emjax.fit_em(prefs, emjax.TwoPoint()) for prefs in (votes_of(user, pairs, won, x), other))
    np.testing.assert_allclose(one.log_likelihood, two.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(one.covariates()["effect"], two.covariates()["effect"], atol=1e-5)
    order = [one.posterior(p).mean for p in (votes_of(user, pairs, won, x), other)]
    np.testing.assert_allclose(*order, rtol=1e-9)


def test_the_side_shown_first_is_known_apart_from_careless_clicks():
    """Attentive users prefer the first answer by .5 in log-odds, careless ones click it 7 times in 10."""
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(500), 30)
    a = rng.integers(0, 4, user.size)
    b = (a + rng.integers(1, 4, user.size)) % 4
    first = rng.random(user.size) < 0.5
    attentive = (np.arange(500) % 5 < 3)[user]
    side = np.where(first, 1.0, -1.0)
    logit = 2 * (STRENGTHS[a] - STRENGTHS[b]) + 0.5 * side
    careless = rng.random(user.size) < np.where(first, 0.7, 0.3)
    won = np.where(attentive, rng.random(user.size) < 1 / (1 + np.exp(-logit)), careless)
    pairs = np.array(MODELS, object)[np.stack([a, b], axis=1)]
    prefs = votes_of(user, pairs, won, {"shown_first": first}, shown_first=first)
    fit = emjax.fit_em(prefs, emjax.TwoPoint())
    se = fit.standard_errors()
    for name, truth in (("effect of shown first", 0.5), ("guess", 0.7)):
        assert abs(se[name].estimate - truth) < 4 * se[name].std_err < 0.4
    assert fit.covariates()["unit"].to_pylist() == [1.0]


def test_features_of_attention_and_covariates_are_fitted_together():
    rng = np.random.default_rng(3)
    user, pairs, won, x, _ = drawn(3, users=400, votes=40)
    quick = rng.random(len(won)) < 0.4
    won = np.where(quick & (rng.random(len(won)) < 0.8), rng.random(len(won)) < 0.5, won)
    prefs = votes_of(user, pairs, won, x, vote_features={"quick": quick})
    fit = emjax.fit_em(prefs, emjax.TwoPoint())
    assert fit.strata == prefs.strata
    se = fit.standard_errors()
    assert se["attention by quick = True"].upper < -0.5
    assert abs(se["effect of length"].estimate - 0.7) < 4 * se["effect of length"].std_err


def test_gold_questions_and_covariates_are_fitted_together():
    user, pairs, won, x, eta = drawn(4)
    rng = np.random.default_rng(4)
    gold = np.where(rng.random(len(won)) < 0.2, 1.0, np.nan)
    answer = rng.random(len(won)) < np.where(rng.random(len(won)) < eta[user], 0.95, 0.5)
    won = np.where(np.isnan(gold), won, answer)
    fit = emjax.fit_em(votes_of(user, pairs, won, x, gold=gold), emjax.TwoPoint())
    table = fit.covariates().to_pydict()
    for effect, std_err, truth in zip(table["effect"], table["std_err"], SLOPES.values(), strict=True):
        assert abs(effect - truth) < 4 * std_err
    assert fit.identifiability().identified


def test_a_saved_fit_judges_new_votes_and_goes_in_again(fitted, tmp_path):
    _, prefs, fit = fitted
    again = emjax.load_fit(fit.save(tmp_path))
    assert again.strata == prefs.strata
    assert repr(again.strength) == repr(fit.strength)
    user, pairs, won, x, _ = drawn(9)
    new = emjax.Preferences.from_votes(
        user, pairs, won, context=fit.strata.label(x, pairs)
    ).with_strata(fit.strata)  # fmt: skip
    np.testing.assert_array_equal(again.posterior(new).mean, fit.posterior(new).mean)
    refit = emjax.fit_em(prefs, fit.prior, strength=fit.strength)
    np.testing.assert_allclose(refit.log_likelihood, fit.log_likelihood, atol=2e-3)
    own = dataclasses.replace(emjax.Covariates(prefs.strata), l2=50.0)
    shrunk = emjax.fit_em(prefs, fit.prior, strength=emjax.BradleyTerry(covariates=own))
    assert abs(shrunk.covariates()["effect"][0].as_py()) < abs(fit.covariates()["effect"][0].as_py())


def test_full_bayes_agrees_with_the_maximum_and_its_curvature():
    pytest.importorskip("numpyro")
    prefs = votes_of(*drawn(users=200)[:4])
    prior = emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.6))
    fit = emjax.fit_em(prefs, prior)
    bayes = emjax.fit_bayes(prefs, prior, key=1, num_warmup=500, num_samples=500, num_chains=2)
    table = fit.covariates().to_pydict()
    for name, effect, std_err in zip(SLOPES, table["effect"], table["std_err"], strict=True):
        found = bayes.estimates()[f"effect of {name}"]
        assert abs(found.estimate - effect) < 0.5 * std_err
        np.testing.assert_allclose(found.std_err, std_err, rtol=0.2)


def test_cross_validation_gains_by_covariates():
    user, pairs, won, x, _ = drawn(6)
    with_them = emjax.cross_validate(votes_of(user, pairs, won, x), emjax.TwoPoint(), seed=0)
    without = emjax.cross_validate(emjax.Preferences.from_votes(user, pairs, won), emjax.TwoPoint(), seed=0)
    assert with_them.log_scores["attentiveness"].mean > without.log_scores["attentiveness"].mean


def test_strengths_that_have_no_use_for_covariates_are_refused():
    prefs = votes_of(*drawn(users=30)[:4])
    for strength, what in (
        (emjax.PerPair(), "which PerPair strengths do not have"),
        (emjax.Shared(), "which Shared strengths do not have"),
        (emjax.BradleyTerry(l2_context=1.0), r"which BradleyTerry\(l2_context\) strengths do not"),
    ):
        with pytest.raises(emjax.ModelError, match=what):
            emjax.fit_em(prefs, emjax.TwoPoint(), strength=strength)
    plain = emjax.Preferences.from_votes([1, 2, 2], [["a", "b"], ["b", "c"], ["a", "c"]], [1, 0, 1])
    own = emjax.BradleyTerry(covariates=emjax.Covariates(prefs.strata))
    with pytest.raises(emjax.ModelError, match="these votes were read without any"):
        emjax.fit_em(plain, emjax.TwoPoint(), strength=own)
    with pytest.raises(emjax.ModelError, match="one finite slope for each of length, lists"):
        emjax.Covariates(prefs.strata, slopes=[1.0])
    with pytest.raises(emjax.ModelError, match="takes the strata of votes that were read with covariates"):
        emjax.Covariates(None)
    fit = emjax.fit_em(plain, emjax.Fixed(emjax.TwoPoint()))
    with pytest.raises(emjax.ModelError, match=r"read the votes with covariates=\[COLUMN, ...\]"):
        fit.covariates()


def test_the_context_of_a_row_is_that_of_its_own_model_a():
    """Zeta is listed first, and has the longer answers: the label says so though Zeta comes last."""
    pairs, length = (
        [["Zeta", "alpha"]] * 30 + [["alpha", "mid"], ["mid", "Zeta"]] * 10,
        [5.0] * 30 + [0.0] * 20,
    )
    won = [1, 1, 0] * 10 + [1, 0] * 10
    prefs = votes_of(np.arange(50) // 5, pairs, won, {"length": length})
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.6)))
    rows = fit.comparisons(prefs).to_pylist()
    (row,) = [row for row in rows if row["context"].split()[-1] != "0"]
    assert (row["model_a"], row["context"], row["wins_a"]) == ("Zeta", "length 5", 20.0)
    votes = emjax.vote_posteriors(fit.posterior(prefs)).table().to_pylist()
    assert {vote["context"] for vote in votes if vote["model_a"] == "Zeta"} >= {"length 5"}


def drawn_at_models(within: float):
    """Votes with a covariate that the models determine, but for some variation within pairs."""
    user, pairs, won, _, _ = drawn(8, users=200)
    place = {name: i for i, name in enumerate(MODELS)}
    of = np.array([1.0, -0.5, 0.7, -1.2])
    a, b = (np.array([place[name] for name in pairs[:, side]]) for side in (0, 1))
    x = of[a] - of[b] + within * np.random.default_rng(0).normal(size=len(won))
    return votes_of(user, pairs, won, {"length": x}, covariate_bins=30)


def test_a_covariate_of_the_models_alone_is_a_warning_of_its_own():
    prior = emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.6))
    for within in (0.0, 0.1):
        with pytest.warns(emjax.EmjaxWarning, match="The covariate length is nearly the same in all votes"):
            emjax.fit_em(drawn_at_models(within), prior)
    assert emjax.fit_em(drawn_at_models(2.0), prior).identifiability().findings == ()


def test_covariates_of_one_pair_alone_are_not_dropped():
    rng = np.random.default_rng(0)
    user, x = np.repeat(np.arange(60), 20), rng.choice([-1.0, 0.0, 1.0], 1200)
    won = rng.random(1200) < 1 / (1 + np.exp(-0.3 - x))
    prefs = votes_of(user, [["a", "b"]] * 1200, won, {"x": x})
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.TwoPoint(0.1, 0.95, 0.9)))
    assert isinstance(fit.strength, emjax.BradleyTerry) and fit.covariates()["effect"][0].as_py() > 0.3
    one = votes_of(np.arange(9), [["a", "b"]] * 9, [1] * 6 + [0] * 3, {"x": [1.0] * 9})
    assert isinstance(emjax.infer.em.default_strength(one.table), emjax.BradleyTerry)
