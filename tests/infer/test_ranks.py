"""Order apart from scale: relative covariance, step-down tests, rank intervals; simulated and by hand."""

import warnings

import numpy as np
import pytest

import emjax
from emjax.infer.ranks import (
    differences,
    probability_stronger,
    rank_intervals,
    relative,
    significantly_stronger,
)


def a_covariance(n, seed=0):
    root = np.random.default_rng(seed).normal(size=(n, n))
    return 0.1 * (root @ root.T) / n + 0.05 * np.eye(n)


def test_an_error_of_the_scale_is_not_in_the_relative_covariance():
    strength = np.array([1.2, 0.3, -0.4, -1.1])
    known = a_covariance(4, seed=1)
    covariance = known + a_covariance(4)
    found, scale = relative(strength, covariance, known)
    wider, open_scale = relative(strength, covariance + 7.0 * np.outer(strength, strength), known)
    np.testing.assert_allclose(found, wider, atol=1e-12)
    np.testing.assert_allclose(found @ strength, known @ strength, atol=1e-12)
    assert open_scale**2 == pytest.approx(scale**2 + 7.0)


def test_errors_at_known_attentiveness_are_the_whole_error_if_it_is_known():
    covariance = a_covariance(4)
    found, _ = relative(np.array([1.2, 0.3, -0.4, -1.1]), covariance, covariance)
    np.testing.assert_allclose(found, covariance, atol=1e-14)


def test_relative_errors_are_those_left_by_a_regression_on_the_estimates():
    rng = np.random.default_rng(1)
    strength, covariance = np.array([1.2, 0.3, -0.4, -1.1]), a_covariance(4)
    errors = rng.multivariate_normal(np.zeros(4), covariance, 200_000)
    factor = errors @ strength / (strength @ strength)
    left = errors - factor[:, None] * strength
    found, scale = relative(strength, covariance, np.zeros((4, 4)))
    np.testing.assert_allclose(np.cov(left.T), found, atol=2e-3)
    assert factor.std() == pytest.approx(scale, rel=0.01)


def test_equal_strengths_have_no_scale():
    found, scale = relative(np.zeros(3), np.eye(3), np.eye(3))
    assert np.isnan(scale) and (found == np.eye(3)).all()


def test_two_models_are_not_ordered_by_a_handful_of_votes():
    """The common scale is left out of errors, and the sign of the only difference is not taken as known."""
    prior = emjax.Fixed(emjax.Points(2, points=[0.2, 0.9], weights=[0.5, 0.5]))
    few = emjax.Preferences.from_counts([[2], [1], [2]], [[3], [3], [3]], comparisons=[["ant", "bee"]])
    fit = emjax.fit_em(few, prior, strength=emjax.BradleyTerry())
    found = fit.compare("ant", "bee")
    assert 0.6 < found.probability < 0.97 and found.lower < 0.0 < found.upper
    board = fit.leaderboard(few).to_pydict()
    assert board["best_rank"] == [1, 1] and board["worst_rank"] == [2, 2]


def arena(rng, truth, users=300, each=20):
    """Votes of users, six in ten of them attentive, on random pairs of models."""
    n, names = len(truth), np.array([f"m{i}" for i in range(len(truth))])
    user = np.repeat(np.arange(users), each)
    a = rng.integers(n, size=len(user))
    b = (a + rng.integers(1, n, size=len(user))) % n
    eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)[user]
    won = rng.random(len(user)) < 0.5 + eta * (1.0 / (1.0 + np.exp(truth[b] - truth[a])) - 0.5)
    return emjax.Preferences.from_votes(user, np.stack([names[a], names[b]], axis=1), won)


@pytest.mark.long
@pytest.mark.parametrize("prior", [emjax.Grid(33), emjax.TwoPoint()], ids=["the scale is determined", "open"])
def test_relative_intervals_and_ranks_are_right_as_often_as_they_say(prior):
    """The truth is put on the scale of the estimates, by a regression of one on the other."""
    truth = np.linspace(-1.2, 1.2, 6)
    inside, ranked, turns = [], 0, 60
    for seed in range(turns):
        prefs = arena(np.random.default_rng(seed), truth)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", emjax.EmjaxWarning)
            board = emjax.fit_em(prefs, prior).leaderboard(prefs).to_pandas().sort_values("model")
        s = board["strength"].to_numpy()
        scaled = truth * (truth @ s) / (truth @ truth)
        inside.append(np.abs(s - scaled) <= 1.96 * board["std_err"].to_numpy())
        true_rank = 6 - np.arange(6)
        ranked += ((board["best_rank"] <= true_rank) & (true_rank <= board["worst_rank"])).all()
    assert 0.92 <= np.mean(inside) <= 0.99
    assert ranked >= 0.95 * turns - 2.6 * np.sqrt(turns * 0.05 * 0.95)


def test_the_probability_of_being_stronger_is_the_share_of_draws():
    strength, covariance = np.array([0.3, 0.0, -0.2]), a_covariance(3)
    draws = np.random.default_rng(2).multivariate_normal(strength, covariance, 200_000)
    share = (draws[:, :, None] > draws[:, None, :]).mean(axis=0) + 0.5 * np.eye(3)
    np.testing.assert_allclose(probability_stronger(strength, covariance), share, atol=5e-3)


def test_the_step_down_test_is_that_of_plain_loops():
    strength, covariance = np.array([2.0, 1.1, 0.9, 0.0, -0.1]), a_covariance(5)
    comparable = ~np.eye(5, dtype=bool)
    comparable[4, :4] = comparable[:4, 4] = False
    found = significantly_stronger(strength, covariance, comparable)
    z = np.random.default_rng(3).multivariate_normal(np.zeros(5), covariance, 100_000)
    apart, std_err = differences(strength, covariance)
    left = {(i, j) for i in range(5) for j in range(5) if comparable[i, j]}
    rejected: set[tuple[int, int]] = set()
    while left:
        largest = np.max([(z[:, i] - z[:, j]) / std_err[i, j] for i, j in left], axis=0)
        critical = np.quantile(largest, 0.95)
        new = {(i, j) for i, j in left if apart[i, j] > critical * std_err[i, j]}
        if not new:
            break
        rejected, left = rejected | new, left - new
    assert {(int(i), int(j)) for i, j in np.argwhere(found)} == rejected and rejected


def test_models_of_different_groups_have_their_own_ranks():
    best, worst = rank_intervals(
        np.array([5.0, 1.0, 0.0, -3.0]), 1e-4 * np.eye(4), np.array([0, 1, 0, 1]), level=0.99
    )
    assert best.tolist() == worst.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("gap", [0.05, 0.7])
def test_all_rank_intervals_are_right_in_19_of_20_cases(gap):
    """Also for models that are nearly equal, where the ranks of draws around the estimates are too sure."""
    truth, right = gap * np.arange(8), 0
    true_rank = 1 + (truth[None] > truth[:, None]).sum(axis=1)
    for seed in range(200):
        estimate = truth + np.random.default_rng(seed).normal(size=8)
        best, worst = rank_intervals(estimate, np.eye(8), np.zeros(8, int))
        right += ((best <= true_rank) & (true_rank <= worst)).all()
    assert right >= 0.95 * 200 - 2.6 * np.sqrt(200 * 0.05 * 0.95)


def test_of_a_thousand_models_ranks_are_found_and_narrow_where_they_can_be():
    strength = np.repeat(np.arange(10.0), 100)
    best, worst = rank_intervals(strength, 1e-3 * np.eye(1000), np.zeros(1000, int))
    np.testing.assert_array_equal(best, 901 - 100 * strength)
    np.testing.assert_array_equal(worst, 1000 - 100 * strength)
