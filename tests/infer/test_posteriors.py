"""Every user's posterior under a fit, against enumeration and quadrature."""

import numpy as np
import pytest

import oracles
from emjax import (
    AttentiveOrRandom,
    Beta,
    BradleyTerry,
    Fixed,
    Grid,
    Known,
    ModelError,
    Points,
    Preferences,
    TwoPoint,
)
from emjax.infer.posteriors import agreement, posterior, user_columns

MU = np.array([0.7, 0.93, 0.82])
BEHAVIOR = AttentiveOrRandom()


def of(prefs, prior, strength=None):
    return posterior(prefs, prior, (Known(MU) if strength is None else strength).start(prefs.table), BEHAVIOR)


@pytest.mark.parametrize(
    "prior", [TwoPoint(0.1, 0.8, 0.3), Points(4), Grid(33), Fixed(TwoPoint(0.1, 0.8, 0.3))], ids=repr
)
def test_posteriors_under_discrete_priors_are_enumeration(arena, as_arena, prior):
    counts = arena(1)
    found = of(as_arena(counts), prior)
    inner = prior.prior if isinstance(prior, Fixed) else prior
    eta = np.asarray(inner.nodes().eta, dtype=float)
    weights = np.exp(np.asarray(inner.log_weights(), dtype=float))
    if isinstance(inner, TwoPoint):  # outside the doors JAX computes in single precision
        eta, weights = np.array([0.1, 0.8]), np.array([0.7, 0.3])
    mean, sd, tail = oracles.posterior_moments_discrete(counts, MU, eta, weights)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.sd, sd, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.prob_above(0.5), tail, atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-12)
    assert (np.diff(found.eta) > 0).all()


@pytest.mark.parametrize("a, b", [(3, 5), (1, 1), (0.3, 0.6), (0.05, 0.05), (60, 40)])
def test_posteriors_under_a_beta_prior_are_quadrature(arena, as_arena, a, b):
    counts = arena(1)[:20]
    prefs = as_arena(counts)
    for prior in (Beta(a, b), Fixed(Beta(a, b))):
        found = of(prefs, prior)
        mean, sd, tail = oracles.posterior_moments_beta(counts, MU, a, b)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
        np.testing.assert_allclose(found.sd, sd, rtol=1e-7)
        np.testing.assert_allclose(found.prob_above(0.5), tail, atol=5e-3)
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-12)
        assert np.isnan(found.mode).all() == (a < 1 or b < 1)


def test_users_without_votes_have_the_prior_as_posterior():
    prefs = Preferences.from_counts([0, 9, 0], [0, 10, 0], users=["new", "old", "silent"])
    found = of(prefs, Beta(3, 5), Known(0.8))
    np.testing.assert_allclose(found.mean[[0, 2]], 3 / 8, rtol=1e-9)
    np.testing.assert_allclose(found.sd[[0, 2]], np.sqrt(15 / 64 / 9), rtol=1e-8)
    np.testing.assert_allclose(found.mode[[0, 2]], 2 / 6, atol=1e-3)
    assert list(found.users) == ["new", "old", "silent"] and found.mean[1] > 3 / 8


@pytest.mark.parametrize("prior", [Beta(2, 3), TwoPoint(0.1, 0.9, 0.6), Grid(17)], ids=repr)
def test_leaving_a_vote_out_gives_the_posterior_of_the_other_votes(arena, as_arena, prior):
    counts = arena(3)[:20]
    prefs = as_arena(counts)
    at = [(0, 0, 0), (5, 2, 1), (7, 1, 0)]
    at = [(j, c, o) for j, c, o in at if counts[j, c, o] >= 1]
    assert at
    user, comparison, outcome = (np.array(column) for column in zip(*at, strict=True))
    found = of(prefs, prior).leave_one_out(user, comparison, outcome)
    for i, (j, c, o) in enumerate(at):
        fewer = counts.copy()
        fewer[j, c, o] -= 1
        again = of(as_arena(fewer), prior)
        np.testing.assert_allclose(found.mean[i], again.mean[j], rtol=1e-8)
        np.testing.assert_allclose(found.sd[i], again.sd[j], rtol=1e-6)


def test_a_fit_gives_posteriors_of_new_votes(arena, as_arena, fit_of):
    fit = fit_of(arena(10), TwoPoint(), BradleyTerry())
    mirrored = Preferences.from_counts([[7, 1]], [[9, 2]], comparisons=[["bee", "ant"], ["cat", "bee"]])
    s = dict(zip(fit.strength.models, np.asarray(fit.strength.strengths), strict=True))
    mu = 1 / (1 + np.exp([s["ant"] - s["bee"], s["bee"] - s["cat"]]))
    eta, weights = (
        np.array([fit.prior.low, fit.prior.high]),
        np.array([1 - fit.prior.weight, fit.prior.weight]),
    )
    mean, _, _ = oracles.posterior_moments_discrete(np.array([[[7, 2], [1, 1]]]), mu, eta, weights)
    np.testing.assert_allclose(fit.posterior(mirrored).mean, mean, rtol=1e-9)
    with pytest.raises(ModelError, match="not in the fit"):
        fit.posterior(Preferences.from_counts([1], [2], comparisons=["ant", "dog"]))


def test_agreement_is_the_share_of_votes_for_the_favoured_model():
    prefs = Preferences.from_counts(
        [[3, 1, 2], [0, 0, 1], [0, 0, 0]], [[4, 4, 4], [2, 0, 1], [0, 0, 0]],
        comparisons=[["a", "b"], ["a", "c"], ["b", "c"]],
    )  # fmt: skip
    strength = Known({("a", "b"): 0.8, ("a", "c"): 0.3, ("b", "c"): 0.5}).start(prefs.table)
    np.testing.assert_allclose(agreement(prefs, strength), [(3 + 3) / 8, 0.0, np.nan])


def test_the_table_of_users_is_that_of_the_posterior(arena, as_arena, fit_of):
    prefs = as_arena(arena(10))
    fit = fit_of(arena(10), Beta(), BradleyTerry())
    table = fit.users(prefs)
    assert table.column_names == [
        "user", "n_votes", "attentiveness", "attentiveness_sd", "attentiveness_map", "prob_attentive",
        "flip_rate", "agreement",
    ]  # fmt: skip
    assert table.num_rows == 60
    np.testing.assert_allclose(table["n_votes"], prefs.votes_by_user())
    columns = user_columns(prefs, fit.posterior(prefs), fit.strength)
    assert all(values.dtype == np.float64 and values.shape == (60,) for values in columns.values())
    np.testing.assert_allclose(columns["flip_rate"], (1 - columns["attentiveness"]) / 2)
