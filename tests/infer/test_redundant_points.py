"""A redundant support point moves to where it raises the likelihood, and stays where nothing does."""

import numpy as np
import pytest

import oracles
from emjax import Known, Points, Shared, TwoPoint
from emjax.infer.support_points import with_redundant_point_moved
from emjax.model.pytree import replace

MU = np.array([0.7, 0.93, 0.82])
pytestmark = pytest.mark.usefixtures("double")


def log_likelihood(counts, points, weights):
    return oracles.log_likelihood_discrete(counts, MU, np.asarray(points), np.asarray(weights))


def met(prior, place):
    k = len(prior.support())
    return prior.at(np.full(k, place) + 1e-4 * np.arange(k), np.zeros(k - 1))


@pytest.mark.parametrize("prior", [TwoPoint(), Points(2), Points(3)], ids=repr)
def test_one_of_two_coinciding_points_moves_to_the_largest_gain(arena, ready, prior):
    data, model, _ = ready(arena(3), prior, Known(MU))
    together = replace(model, prior=met(prior, 0.5))
    moved = with_redundant_point_moved(together, data, 1e-3)
    assert moved is not None and (np.diff(moved.prior.support()) > 0).all()
    here = log_likelihood(arena(3), together.prior.support(), np.exp(together.prior.log_weights()))
    there = log_likelihood(arena(3), moved.prior.support(), np.exp(moved.prior.log_weights()))
    tried = (
        log_likelihood(arena(3), [0.5, eta], [1.0 - share, share])
        for eta in np.linspace(0.0, 1.0, 21)
        for share in (0.1, 0.2, 0.3, 0.4, 0.5)
    )
    assert there > here + 1.0 and there >= max(tried) - 0.3


def test_separate_points_stay(arena, ready):
    data, model, _ = ready(arena(3), TwoPoint(0.2, 0.8, 0.5), Known(MU))
    assert with_redundant_point_moved(model, data, 1e-3) is None


def test_no_point_moves_where_all_users_are_alike(ready):
    alike = np.repeat(np.array([[[12.0, 8.0], [13.0, 7.0], [11.0, 9.0]]]), 60, axis=0)
    data, model, _ = ready(alike, TwoPoint(), Known(MU))
    best = oracles.fit(alike, "points", "known", k=1, value=MU, starts=2)
    from_one = replace(model, prior=met(TwoPoint(), float(best.x[0])))
    assert with_redundant_point_moved(from_one, data, 1e-3) is None


def test_the_end_does_not_depend_on_the_start(arena, fit_of):
    """Starts from which EM pulls both points together, and one from which it does not."""
    starts = [TwoPoint(), TwoPoint(0.05, 0.95, 0.3), TwoPoint(0.3, 0.4, 0.9), TwoPoint(0.0, 0.7, 0.1)]
    ends = [fit_of(arena(10) * 0.5, start, Shared()).trace[-1] for start in starts]
    np.testing.assert_allclose(ends, max(ends), atol=2e-3)
