"""The information curve against sums done one threshold at a time."""

import numpy as np
import pytest

from emjax import ModelError, information_curve


def brute(eta: np.ndarray, votes: np.ndarray, cut: float) -> tuple[float, float, float]:
    kept = eta >= cut
    signal, size = (votes * eta)[kept].sum(), votes[kept].sum()
    accuracy = (votes * (1 + eta) / 2)[kept].sum() / size
    return size / votes.sum(), signal**2 / size / (votes * eta**2).sum(), accuracy


def test_every_threshold_is_what_its_votes_add_up_to():
    rng = np.random.default_rng(0)
    eta, votes = rng.beta(1, 2, 300).round(2), rng.integers(0, 30, 300).astype(float)
    curve = information_curve(eta, votes)
    assert np.array_equal(curve.attentiveness, np.unique(eta[votes > 0])[::-1])
    for i, cut in enumerate(curve.attentiveness):
        assert np.allclose(
            (curve.share[i], curve.information[i], curve.label_accuracy[i]), brute(eta, votes, cut)
        )
    assert curve.information.max() <= 1.0
    assert curve.best == curve.information.argmax()


def test_votes_that_differ_by_rounding_stay_together():
    eta = np.array([0.3, 0.1 + 0.2, 0.9])
    assert eta[0] != eta[1]
    assert information_curve(eta, np.ones(3)).attentiveness.size == 2


def test_users_who_are_all_alike_are_all_kept():
    curve = information_curve(np.full(5, 0.4), np.arange(1.0, 6.0))
    assert curve.share.tolist() == [1.0] and curve.information == pytest.approx([1.0])


def test_thinning_keeps_the_best_point_and_the_ends():
    rng = np.random.default_rng(1)
    curve = information_curve(rng.random(5000), rng.random(5000))
    thin = curve.thinned(50)
    assert len(thin.share) <= 53
    assert thin.information.max() == curve.information.max()
    assert (thin.share[0], thin.share[-1]) == (curve.share[0], 1.0)


def test_careless_users_give_no_information():
    assert information_curve(np.zeros(3), np.ones(3)).information.tolist() == [0.0]


def test_a_curve_without_votes_is_refused():
    with pytest.raises(ModelError, match="no vote"):
        information_curve(np.array([0.5]), np.array([0.0]))
