"""Predictive probabilities, log score and reliability against plain sums; intervals against simulation."""

import numpy as np
import pytest

import emjax
import oracles
from emjax import Calibration, ModelError, Preferences, score_votes
from emjax.decide.predictive_scores import probability_of_votes

PRIOR, MU = emjax.TwoPoint(0.2, 0.9, 0.6), np.array([0.8, 0.35, 0.6])
PAIRS = [["ant", "bee"], ["ant", "cat"], ["bee", "cat"]]


def draw(seed: int, users: int = 40, most: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, most, (users, 3, 2)).astype(float)


def as_prefs(counts: np.ndarray, **names) -> Preferences:
    return Preferences.from_counts(counts[..., 0], counts.sum(axis=2), **({"comparisons": PAIRS} | names))


def fitted(prefs: Preferences) -> emjax.Fit:
    known = emjax.Known({("ant", "bee"): MU[0], ("ant", "cat"): MU[1], ("bee", "cat"): MU[2]})
    return emjax.fit_em(prefs, emjax.Fixed(PRIOR), strength=known)


def foretold(counts: np.ndarray) -> np.ndarray:
    """(users, comparisons, outcomes) by hand: the posterior of each user, then one more vote."""
    eta, weights = np.array([0.2, 0.9]), np.array([0.4, 0.6])
    posterior = oracles.responsibilities(counts, MU, eta, weights)
    wins = (posterior[:, None, :] * (0.5 + eta * (MU[:, None] - 0.5))).sum(axis=2)
    return np.stack([wins, 1 - wins], axis=2)


@pytest.mark.parametrize("many", [1, 40])
def test_a_vote_has_the_predictive_probability_of_its_user(many):
    """Few votes are summed up one by one, many looked up in a table of all there could be."""
    counts = draw(0)
    at = fitted(as_prefs(counts)).posterior(as_prefs(counts))
    user, comparison, outcome = (np.tile(x.ravel(), many) for x in np.indices(counts.shape))
    user, comparison, outcome = (x[: 100 * many] for x in (user, comparison, outcome))
    found = probability_of_votes(at, user, comparison, outcome)
    np.testing.assert_allclose(found, foretold(counts)[user, comparison, outcome], rtol=1e-12)


def test_new_votes_find_their_user_and_comparison_by_name():
    """Other users, other order, a pair the other way round: positions differ, names do not."""
    counts, new = draw(1), draw(2, users=10)
    names = [f"user-{i:02d}" for i in range(40)]
    seen = as_prefs(counts, users=names)
    late = [names[i] for i in range(25, 35)]
    turned = np.stack([new[:, 2, ::-1], new[:, 0]], axis=1)
    voted = as_prefs(turned, users=late, comparisons=[["cat", "bee"], ["ant", "bee"]])
    found = score_votes(fitted(seen).posterior(seen), voted)
    expected = np.log(foretold(counts))[25:35][:, [0, 2]] * new[:, [0, 2]]
    total = new[:, [0, 2]].sum()
    assert found.n_votes == total
    assert found.log_scores["attentiveness"].mean == pytest.approx(expected.sum() / total, rel=1e-12)


def test_what_the_posterior_does_not_know_is_refused():
    seen = as_prefs(draw(1), users=[f"user-{i:02d}" for i in range(40)])
    at = fitted(seen).posterior(seen)
    unknown = as_prefs(draw(2, users=4), users=["zoe", "user-01", "yan", "user-03"])
    with pytest.raises(ModelError, match="2 users of these votes are not in the posterior, first yan, zoe"):
        score_votes(at, unknown)
    elsewhere = Preferences.from_counts([1], [2], users=["user-01"], comparisons=[["ant", "dog"]])
    with pytest.raises(ModelError, match=r"1 comparisons .* not in the posterior, first ant and dog"):
        score_votes(at, elsewhere)
    with pytest.raises(ModelError, match="does not know the votes"):
        score_votes(emjax.Posterior(seen.users, at.eta, at.probabilities, at.row), seen)


@pytest.fixture(scope="module")
def scored() -> Calibration:
    rng = np.random.default_rng(3)
    user = rng.integers(0, 30, 400) * 7
    return Calibration(
        user,
        rng.integers(1, 4, 400) * 0.5,
        {"mine": rng.uniform(0.2, 0.95, 400), "other": rng.uniform(0.3, 0.9, 400), "coin": np.full(400, 0.5)},
    )


def mean_by_hand(calibration: Calibration, score: np.ndarray) -> tuple[float, float]:
    """Mean and clustered standard error, one user at a time."""
    total = calibration.count.sum()
    mean = sum(calibration.count * score) / total
    users = sorted(set(calibration.user.tolist()))
    squares = 0.0
    for user in users:
        squares += sum((calibration.count * (score - mean))[calibration.user == user]) ** 2
    return mean, np.sqrt(len(users) / (len(users) - 1) * squares) / total


def test_scores_and_gains_are_means_with_errors_clustered_by_user(scored):
    mine, other = (np.log(scored.probability[name]) for name in ("mine", "other"))
    cases = {"mine": mine, "other": other, "coin": np.full(400, np.log(0.5))}
    for name, score in cases.items():
        found = scored.log_scores[name]
        assert (found.mean, found.std_err) == pytest.approx(mean_by_hand(scored, score), abs=1e-12)
    assert list(scored.gains) == ["other", "coin"]
    gain = scored.gains["other"]
    assert (gain.mean, gain.std_err) == pytest.approx(mean_by_hand(scored, mine - other), rel=1e-12)
    assert (gain.upper - gain.lower) / gain.std_err == pytest.approx(2 * 2.0452296, rel=1e-6)  # t, 29 degrees
    assert f"on {scored.count.sum():g} votes of 30 users" in repr(scored)
    assert f"{gain.mean:+.4f}" in repr(scored)


def test_one_user_leaves_the_error_open(scored):
    alone = Calibration(np.zeros(3, int), np.ones(3), {"mine": np.array([0.5, 0.6, 0.7])})
    assert np.isnan(alone.log_scores["mine"].std_err) and np.isnan(alone.log_scores["mine"].upper)
    assert alone.reliability["mine"].n_users.tolist() == [1.0, 1.0]


def test_the_curve_is_made_of_shares_per_bin(scored):
    curve, seen, count = scored.reliability["mine"], scored.probability["mine"], scored.count
    favoured = np.maximum(seen, 1 - seen)
    rows = []
    for low in np.arange(0.5, 0.99, 0.05):
        there = (favoured > low) & (favoured <= low + 0.05)
        if there.any():
            hits = (count * (seen > 0.5))[there].sum() / count[there].sum()
            users = len(set(scored.user[there].tolist()))
            rows.append((np.average(favoured[there], weights=count[there]), hits, count[there].sum(), users))
    found = np.column_stack([curve.predicted, curve.observed, curve.n_votes, curve.n_users])
    np.testing.assert_allclose(found, rows, rtol=1e-12)
    assert np.all((curve.lower <= curve.observed) & (curve.observed <= curve.upper))
    assert np.all((curve.lower >= 0) & (curve.upper <= 1))


def test_a_coin_has_no_curve_and_no_overconfidence(scored):
    assert scored.reliability["coin"].predicted.size == 0
    assert scored.overconfidence["coin"].mean == 0.0


def test_overconfidence_is_what_is_promised_less_what_is_kept():
    seen = np.array([0.9, 0.1, 0.9, 0.8])
    found = Calibration(np.arange(4), np.array([1.0, 1.0, 1.0, 2.0]), {"mine": seen}).overconfidence["mine"]
    assert found.mean == pytest.approx((0.9 * 3 + 0.8 * 2) / 5 - 4 / 5)


def test_a_pure_bin_is_wilsons_interval():
    """All votes right: the closed form n/(n + z²), and no interval of length zero."""
    curve = Calibration(np.arange(20), np.ones(20), {"mine": np.full(20, 0.97)}).reliability["mine"]
    assert curve.lower[0] == pytest.approx(20 / (20 + 1.9599640**2), rel=1e-6)
    assert curve.upper[0] == pytest.approx(1.0)


def test_intervals_hold_the_truth_where_users_differ():
    """Users of one predicted probability whose own share of hits differs: simulated coverage of both."""
    rng = np.random.default_rng(5)
    users, votes, p = 60, 12, 0.8
    held_curve, held_score, naive, turns = 0, 0, 0, 600
    truth = p * np.log(p) + (1 - p) * np.log(1 - p)
    for _ in range(turns):
        own = rng.beta(4.0, 1.0, users)  # mean 0.8
        hit = rng.random((users, votes)) < own[:, None]
        found = Calibration(
            np.repeat(np.arange(users), votes),
            np.ones(users * votes),
            {"mine": np.where(hit.ravel(), p, 1 - p)},
        )
        curve, score = found.reliability["mine"], found.log_scores["mine"]
        held_curve += bool(curve.lower[0] <= p <= curve.upper[0])
        held_score += score.lower <= truth <= score.upper
        naive += abs(hit.mean() - p) < 1.96 * np.sqrt(p * (1 - p) / hit.size)
    assert 0.92 < held_curve / turns < 0.98
    assert 0.92 < held_score / turns < 0.98
    assert naive / turns < 0.85, "the simulation must be one where clustering matters"
