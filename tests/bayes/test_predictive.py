"""Posterior predictive votes: their moments, and the check of their spread over users."""

import numpy as np
import pytest

import emjax
from emjax.bayes.predictive import WinRates

MU, VOTES = 0.9, 10


def test_predictive_votes_have_the_moments_of_the_mixture(two_point, prefs):
    """Each draw of the parameters is a mixture of two binomials, whose moments are known."""
    drawn = two_point.predictive(prefs, key=1, draws=200)
    assert drawn.shape == (200, 100) and drawn.dtype == np.float64
    assert (drawn == np.rint(drawn)).all() and drawn.min() >= 0 and drawn.max() <= VOTES
    total = two_point.draws.diverging.size
    which = np.unique(np.linspace(0, total - 1, 200).astype(int))
    low, high, weight = two_point.draws.natural.reshape(total, 3)[which].T
    p = 0.5 + np.stack([low, high]) * (MU - 0.5)
    mass = np.stack([1 - weight, weight])
    mean = VOTES * (mass * p).sum(axis=0)
    square = (mass * (VOTES * p * (1 - p) + (VOTES * p) ** 2)).sum(axis=0)
    variance = square - mean**2
    # users of one draw are independent: standardised means and variances of each draw
    off = (drawn.mean(axis=1) - mean) / np.sqrt(variance / 100)
    assert abs(off.mean()) < 4.5 / np.sqrt(200) and 0.75 < off.std() < 1.25
    spread = drawn.var(axis=1, ddof=1) / variance
    assert abs(spread.mean() - 1) < 4.5 * spread.std() / np.sqrt(200)


def test_rows_are_those_of_the_votes(ranked, arena, arena_counts):
    drawn = ranked.predictive(arena, key=2, draws=50)
    totals = arena.counts.sum(axis=1)
    assert drawn.shape == (50, len(totals)) and (drawn <= totals).all()
    s = ranked.draws.natural.reshape(-1, 3).mean(axis=0)
    mu = np.array([1 / (1 + np.exp(s[b] - s[a])) for a, b in [(0, 1), (0, 2), (1, 2)]])
    eta = 0.4 * 0.2 + 0.6 * 0.9
    for c in range(3):
        mine = arena.comparison == c
        share = drawn[:, mine].sum() / (50 * totals[mine].sum())
        assert share == pytest.approx(0.5 + eta * (mu[c] - 0.5), abs=0.02)


def test_predictive_votes_depend_on_the_key_alone(two_point, prefs):
    first = two_point.predictive(prefs, key=1, draws=5)
    np.testing.assert_array_equal(first, two_point.predictive(prefs, key=1, draws=5))
    assert (first != two_point.predictive(prefs, key=2, draws=5)).any()
    with pytest.raises(emjax.ModelError, match="predictive takes as key a seed"):
        two_point.predictive(prefs, key="x")


def test_the_p_value_of_win_rates_is_small_for_a_wrong_model(two_point, one_point, prefs, wins):
    right = two_point.win_rates(prefs, key=3)
    assert 0.05 < right.p_value < 0.95
    assert right.seen.sum() == 100 and (right.drawn.sum(axis=1) == 100).all()
    np.testing.assert_array_equal(right.seen, np.histogram(wins / VOTES, np.linspace(0, 1, 21))[0])
    assert right.sd_seen == pytest.approx((wins / VOTES).std())
    wrong = one_point.win_rates(prefs, key=3, bins=8)
    assert wrong.p_value < 0.01 and wrong.drawn.shape == (200, 8) and len(wrong.edges) == 9
    assert "p = 0)" in repr(wrong)


def test_the_p_value_is_the_share_of_draws_at_least_as_wide():
    seen = WinRates(np.array([0, 1.0]), np.array([2]), np.array([[2], [2]]), 0.25, np.array([0.25, 0.1]))
    assert seen.p_value == 0.5
