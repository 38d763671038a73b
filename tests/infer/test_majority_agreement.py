"""Agreement with the majority of the others, counted vote by vote."""

import numpy as np
import pytest
from scipy.stats import betabinom

from emjax import Preferences
from emjax.infer.majority_agreement import majority_agreement, majority_probability


def counted(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per user: votes with the others' majority, and votes where there is one; and the majorities."""
    users, comparisons, _ = counts.shape
    agreed, judged, margin = np.zeros(users), np.zeros(users), np.zeros((users, comparisons))
    for j in range(users):
        for c in range(comparisons):
            others = np.delete(counts[:, c], j, axis=0).sum(axis=0)
            margin[j, c] = np.sign(others[0] - others[1])
            for outcome, side in ((0, 1), (1, -1)):
                if margin[j, c]:
                    judged[j] += counts[j, c, outcome]
                    agreed[j] += counts[j, c, outcome] * (margin[j, c] == side)
    return agreed, judged, margin


@pytest.fixture
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    users, eta = 50, np.repeat([0.1, 0.9], 25)
    mu = np.array([0.8, 0.3, 0.6, 0.9])
    size = rng.integers(0, 6, (users, 4))
    wins = rng.binomial(size, 0.5 + eta[:, None] * (mu - 0.5))
    counts = np.stack([wins, size - wins], axis=2).astype(float)
    counts[3] = 0.0  # a user without votes
    counts[:, 3] = 0.0
    counts[7, 3] = (2.0, 1.0)  # a comparison with a single user: no other has voted
    return counts


def test_agreement_is_smoothed_by_the_best_beta_binomial(counts):
    agreed, judged, _ = counted(counts)
    mean = (agreed.sum() + 1) / (judged.sum() + 2)

    def log_marginal(steady: float) -> float:
        return betabinom.logpmf(agreed, judged, steady * mean, steady * (1 - mean)).sum()

    candidates = np.geomspace(0.5, 1000, 60)
    steady = max(candidates, key=log_marginal)
    assert candidates[0] < steady < candidates[-1]
    found = majority_agreement(Preferences.from_counts(counts[..., 0], counts.sum(axis=2)))
    np.testing.assert_allclose(found, (agreed + steady * mean) / (judged + steady), rtol=1e-12)
    assert found[3] == pytest.approx(mean), "without votes a user is like all users"


def test_a_vote_with_the_majority_has_the_probability_of_agreeing(counts):
    votes = Preferences.from_counts(counts[..., 0], counts.sum(axis=2))
    agreement, (_, _, margin) = majority_agreement(votes), counted(counts)
    user, comparison, outcome = (x.ravel() for x in np.indices(counts.shape))
    found = majority_probability(votes, user, comparison, outcome)
    for j, c, o, p in zip(user, comparison, outcome, found, strict=True):
        with_others = agreement[j] if margin[j, c] == (1 if o == 0 else -1) else 1 - agreement[j]
        assert p == pytest.approx(0.5 if margin[j, c] == 0 else with_others)
    alone = (user == 7) & (comparison == 3)
    assert found[alone].tolist() == [0.5, 0.5]
