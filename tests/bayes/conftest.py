"""Votes and fits that the tests of this folder share: compilation takes longest, so each fit is made once."""

import warnings
from typing import Any

import brute_force
import numpy as np
import pytest

import emjax

VOTES, MU = 10, 0.9
OPTIONS = {"num_warmup": 200, "num_samples": 1000, "num_chains": 4, "key": 0}
PAIRS = [(0, 1), (0, 2), (1, 2)]
KINDS = (np.array([0.2, 0.9]), np.array([0.4, 0.6]))


def quiet_fit(prefs: emjax.Preferences, prior: Any, **options: Any) -> emjax.BayesFit:
    """`fit_bayes` where its warnings are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        return emjax.fit_bayes(prefs, prior, **(OPTIONS | options))


def duel_wins(seed: int, users: int = 100, votes: int = VOTES, mu: float = MU) -> np.ndarray:
    rng = np.random.default_rng(seed)
    eta = rng.choice(KINDS[0], users, p=KINDS[1])
    return rng.binomial(votes, 0.5 + eta * (mu - 0.5))


def duel_prefs(wins: np.ndarray, votes: int = VOTES) -> emjax.Preferences:
    return emjax.Preferences.from_counts(wins, np.full(len(wins), votes))


@pytest.fixture(scope="session")
def quiet():
    """`fit_bayes` where its warnings are not the point, with few draws."""
    return quiet_fit


@pytest.fixture(scope="session")
def wins() -> np.ndarray:
    """Votes for A of 100 users with ten votes each, in one comparison."""
    return duel_wins(3)


@pytest.fixture(scope="session")
def prefs(wins) -> emjax.Preferences:
    return duel_prefs(wins)


@pytest.fixture(scope="session")
def two_point(prefs) -> emjax.BayesFit:
    """TwoPoint, known strength."""
    return quiet_fit(prefs, emjax.TwoPoint(), strength=emjax.Known(MU))


@pytest.fixture(scope="session")
def two_point_brute(wins) -> brute_force.Brute:
    return brute_force.two_point_known(wins, VOTES, MU)


@pytest.fixture(scope="session")
def beta(prefs) -> emjax.BayesFit:
    """Beta, known strength."""
    return quiet_fit(prefs, emjax.Beta(), strength=emjax.Known(MU))


@pytest.fixture(scope="session")
def one_point(prefs) -> emjax.BayesFit:
    """All users alike, which they are not."""
    return quiet_fit(prefs, emjax.Points(1), strength=emjax.Known(MU))


@pytest.fixture(scope="session")
def ridge(prefs) -> emjax.BayesFit:
    """TwoPoint, unknown strength: the prior decides what the votes do not determine."""
    return quiet_fit(prefs, emjax.TwoPoint(), strength=emjax.Shared())


@pytest.fixture(scope="session")
def arena_counts() -> np.ndarray:
    """(60, 3, 2): twenty users' votes in three comparisons, each three times."""
    rng = np.random.default_rng(8)
    s = np.array([1.0, 0.2, -1.2])
    eta = rng.choice(KINDS[0], 20, p=KINDS[1])
    mu = np.array([1.0 / (1.0 + np.exp(s[b] - s[a])) for a, b in PAIRS])
    total = rng.integers(2, 12, (20, 3))
    won = rng.binomial(total, 0.5 + eta[:, None] * (mu - 0.5))
    return np.tile(np.stack([won, total - won], axis=2), (3, 1, 1)).astype(float)


@pytest.fixture(scope="session")
def arena(arena_counts) -> emjax.Preferences:
    names = [["ant", "bee"], ["ant", "cat"], ["bee", "cat"]]
    return emjax.Preferences.from_counts(arena_counts[..., 0], arena_counts.sum(-1), comparisons=names)


@pytest.fixture(scope="session")
def ranked(arena) -> emjax.BayesFit:
    """Three models with unknown strengths, users' attentiveness known in distribution."""
    prior = emjax.Fixed(emjax.Points(2, *KINDS))
    return quiet_fit(arena, prior, strength=emjax.BradleyTerry())


@pytest.fixture(scope="session")
def many(arena_counts) -> tuple[emjax.Preferences, np.ndarray]:
    """Few votes each in 45 comparisons, which are kept as lists; and the same as counts (40, 45, 2)."""
    rng = np.random.default_rng(9)
    total = (rng.random((40, 45)) < 0.04) * rng.integers(1, 4, (40, 45))
    total[np.arange(40), rng.integers(0, 45, 40)] += 1
    won = rng.binomial(total, 0.65)
    names = [[f"m{a}", f"m{b}"] for a in range(10) for b in range(a + 1, 10)]
    prefs = emjax.Preferences.from_counts(won, total, comparisons=names)
    return prefs, np.stack([won, total - won], axis=2).astype(float)
