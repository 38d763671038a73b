"""Leave-one-user-out against exact answers, and comparisons of models."""

import brute_force
import numpy as np
import pytest

import emjax
from emjax import ModelError
from emjax.bayes.loo import Loo, left_out, log_marginal

MU, VOTES = 0.9, 10


@pytest.mark.long
def test_loo_of_two_points_is_that_of_brute_force(quiet, two_point_brute, prefs, wins):
    """With many draws, so that Monte Carlo error is small for users with few effective draws too."""
    loo = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU), num_samples=20_000).loo(prefs)
    truth = two_point_brute.elpd()[wins]
    np.testing.assert_allclose(loo.elpd, truth, atol=0.01)
    # the sum has an error of its own: of the effective number of parameters, a few percent
    assert loo.total == pytest.approx(truth.sum(), abs=0.3)
    within = np.log(two_point_brute.probability @ np.exp(two_point_brute.by_kind))[wins]
    assert loo.p_loo == pytest.approx((within - truth).sum(), rel=0.15)
    assert loo.pareto_k.max() < 0.7
    assert loo.std_err == pytest.approx(np.sqrt(100) * loo.elpd.std(ddof=1))


def test_loo_of_a_beta_is_that_of_brute_force(beta, prefs, wins):
    truth = brute_force.beta_known(wins, VOTES, MU).elpd()[wins]
    np.testing.assert_allclose(beta.loo(prefs).elpd, truth, atol=0.01)


def test_loo_of_few_users_is_that_of_fits_without_them(quiet):
    """Brute force once more, without importance weights: the posterior of four users predicts the fifth."""
    wins = np.array([9, 2, 10, 5, 7])
    prefs = emjax.Preferences.from_counts(wins, np.full(5, VOTES))
    loo = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU), num_samples=20_000).loo(prefs)
    for j in range(5):
        without = brute_force.two_point_known(np.delete(wins, j), VOTES, MU, size=60)
        truth = np.log(without.probability @ np.exp(without.by_kind[:, wins[j]]))
        assert loo.elpd[j] == pytest.approx(truth, abs=0.05)


def test_unsmoothed_weights_give_nearly_the_same_loo(two_point, prefs):
    loo = two_point.loo(prefs)
    log_lik = log_marginal(prefs, two_point._mean, two_point.draws)
    assert log_lik.shape == (4, 1000, 100)
    raw = -np.log(np.exp(-log_lik).mean(axis=(0, 1)))
    np.testing.assert_allclose(loo.elpd, raw, atol=0.02)


def test_evidence_of_a_user_in_a_draw_is_the_marginal_likelihood(two_point, prefs, wins):
    log_lik = log_marginal(prefs, two_point._mean, two_point.draws)
    low, high, weight = two_point.draws.natural[2, 17]
    p = 0.5 + np.array([low, high]) * (MU - 0.5)
    truth = np.log((p ** wins[:, None] * (1 - p) ** (VOTES - wins[:, None])) @ [1 - weight, weight])
    np.testing.assert_allclose(log_lik[2, 17], truth, rtol=1e-10)


def test_users_with_the_same_votes_have_the_same_loo(two_point, prefs, wins):
    loo = two_point.loo(prefs)
    for won in np.unique(wins):
        assert len(np.unique(loo.elpd[wins == won])) == 1
        assert len(np.unique(loo.pareto_k[wins == won])) == 1


def test_the_true_model_has_the_higher_loo(two_point, beta, one_point, prefs):
    made = emjax.compare({"alike": one_point, "two": two_point, "beta": beta}, prefs)
    table = {name: made[name].to_pylist() for name in made.column_names}
    assert table["model"][-1] == "alike" and set(table["model"]) == {"alike", "two", "beta"}
    assert (np.diff(table["elpd"]) <= 0).all()
    assert table["difference"][0] == 0.0 and table["difference_std_err"][0] == 0.0
    assert table["difference"][-1] < -2 * table["difference_std_err"][-1]
    elpd = {"two": two_point.loo(prefs), "beta": beta.loo(prefs), "alike": one_point.loo(prefs)}
    best = elpd[table["model"][0]].elpd
    for i, name in enumerate(table["model"]):
        apart = elpd[name].elpd - best
        assert table["elpd"][i] == elpd[name].total and table["std_err"][i] == elpd[name].std_err
        assert table["difference"][i] == pytest.approx(apart.sum(), abs=1e-9)
        assert table["difference_std_err"][i] == pytest.approx(10 * apart.std(ddof=1), abs=1e-9)
        assert table["worst_k"][i] == elpd[name].pareto_k.max()


def test_users_with_large_pareto_k_give_a_warning(two_point, prefs, monkeypatch):
    heavy = Loo(np.zeros(100), np.where(np.arange(100) < 3, 0.9, 0.1), 1.0)
    monkeypatch.setattr("emjax.bayes.result.leave_users_out", lambda *_: heavy)
    with pytest.warns(emjax.EmjaxWarning, match="two: 3 users of 100 weigh so much"):
        emjax.compare({"two": two_point}, prefs)


def test_other_votes_and_other_fits_are_refused(two_point, prefs):
    other = emjax.Preferences.from_counts([3, 4], [10, 10])
    with pytest.raises(ModelError, match="loo is about the votes that were fitted"):
        two_point.loo(other)
    with pytest.raises(ModelError, match="these are 20 votes of 2 users"):
        emjax.compare({"two": two_point}, other)
    with pytest.raises(ModelError, match="got none"):
        emjax.compare({}, prefs)
    with pytest.raises(ModelError, match=r"'em' is a Fit"):
        emjax.compare({"two": two_point, "em": two_point.em}, prefs)


def test_repr_of_loo_shows_total_error_and_worst_k():
    assert repr(Loo(np.array([-1.0, -3.0]), np.array([0.1, 0.2]), 0.5)) == (
        "leave-one-user-out: -4.00 (standard error 2.00) for 2 users, effective parameters 0.50, "
        "worst Pareto k 0.20"
    )
    assert np.isnan(Loo(np.array([-1.0]), np.array([0.1]), 0.5).std_err)


@pytest.mark.parametrize("n_stuck", [60, 400])
def test_a_chain_that_did_not_move_is_scored_without_smoothing_and_marked_unreliable(n_stuck):
    rng = np.random.default_rng(0)
    fine = rng.normal(-3.0, 0.1, size=(1, 400))
    stuck = fine.copy()
    stuck[:, :n_stuck] = -3.13
    stuck[0, -3:] = -3.4, -3.5, -3.6
    elpd, k, p = left_out(np.concatenate([fine, stuck]))
    assert k[0] < 0.7 and np.isposinf(k[1]) and p[1] > 0
    assert np.allclose(elpd[1], -np.log(np.exp(-stuck).mean()), rtol=1e-12)
    alone = left_out(stuck)
    assert alone[0][0] == elpd[1] and np.isposinf(alone[1][0])
