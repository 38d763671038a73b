"""Votes, priors and strengths of the tests in this folder: few shapes, so that compiled code is reused."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import pytest

import emjax
import oracles
from emjax.infer.vote_sources import prepare

PAIRS = [(0, 1), (0, 2), (1, 2)]
NAMES = ["ant", "bee", "cat"]
MU = np.array([0.7, 0.93, 0.82])  # not quite Bradley–Terry, which no test needs
THREE = (np.array([0.1, 0.5, 0.9]), np.array([0.3, 0.3, 0.4]))


def arena_counts(seed: int, users: int = 20, votes: int = 16) -> np.ndarray:
    """(60, 3, 2): `users` distinct response patterns, three users of each, in three comparisons."""
    rng = np.random.default_rng(seed)
    eta = rng.choice([0.1, 0.4, 0.6, 0.9], users)
    total = rng.integers(2, votes, (users, 3))
    wins = rng.binomial(total, 0.5 + eta[:, None] * (MU - 0.5))
    counts = np.stack([wins, total - wins], axis=2).astype(float)
    return np.tile(counts, (3, 1, 1))


def arena_prefs(counts: np.ndarray) -> emjax.Preferences:
    names = [[NAMES[a], NAMES[b]] for a, b in PAIRS]
    return emjax.Preferences.from_counts(counts[..., 0], counts.sum(-1), comparisons=names)


def duel_counts(prior: Any, seed: int, users: int = 2000, votes: int = 30, mu: float = 0.74) -> np.ndarray:
    """(users, 1, 2): one comparison; never more than 31 distinct response patterns."""
    rng = np.random.default_rng(seed)
    wins = rng.binomial(votes, 0.5 + prior(rng, users) * (mu - 0.5))
    return np.stack([wins, votes - wins], axis=1)[:, None, :].astype(float)


@dataclass(frozen=True)
class Case:
    """A prior or a strength: as the package takes it, as the oracle does, and as NumPy computes it.

    `read` turns the package's coordinates into what the oracle's `marginal` takes: (eta, log weights) for a
    prior, given support and shape; (mu, log prior) for a strength. Both take complex numbers.
    """

    given: Any
    oracle: str | None
    read: Callable
    options: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return type(self.given).__name__


def _normal(log_weights):
    return log_weights - oracles._sum_exp(log_weights + 0j, axis=0)


def _logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


def _two(support, shape):
    return support, np.array([np.log(1.0 - _logistic(shape[0])), np.log(_logistic(shape[0]))])


def _points(support, shape):
    return support, _normal(np.concatenate([[0.0], shape]))


def _beta_prior(mu, a, b):
    return np.sum((a - 1) * np.log(mu) + (b - 1) * np.log(1.0 - mu))


def _bradley_terry(s):
    return _logistic(np.array([s[a] - s[b] for a, b in PAIRS])), -0.005 * np.sum(s**2)


PRIORS = [
    Case(emjax.TwoPoint(), "points", _two, {"k": 2}),
    Case(emjax.Points(3), "points", _points, {"k": 3}),
    Case(emjax.Beta(), "beta", lambda support, shape: oracles.beta_nodes(*np.exp(shape))),
    Case(
        emjax.Fixed(emjax.Points(3, *THREE)),
        "fixed",
        lambda support, shape: (THREE[0], np.log(THREE[1])),
        {"fixed": THREE},
    ),
    Case(emjax.Grid(9), None, lambda support, shape: (np.linspace(0, 1, 9), _normal(shape))),
]
STRENGTHS = [
    Case(emjax.Known(MU), "known", lambda x: (MU, 0.0), {"value": MU}),
    Case(
        emjax.Shared(),
        "shared",
        lambda x: (np.repeat(_logistic(x), 3), _beta_prior(_logistic(x), 8, 2)),
        {"beta": (8, 2)},
    ),
    Case(
        emjax.PerPair(),
        "per-pair",
        lambda x: (_logistic(x), _beta_prior(_logistic(x), 2, 2)),
        {"beta": (2, 2)},
    ),
    Case(
        emjax.BradleyTerry(),
        "bradley-terry",
        _bradley_terry,
        {"pairs": PAIRS, "n_models": 3, "l2": 0.01},
    ),
]


@pytest.fixture(scope="session", params=PRIORS, ids=repr)
def prior(request) -> Case:
    """Every type of prior in turn."""
    return request.param


@pytest.fixture(scope="session", params=STRENGTHS, ids=repr)
def strength(request) -> Case:
    """Every type of strength in turn."""
    return request.param


@pytest.fixture(scope="session")
def arena():
    """Makes votes on three pairs of models from a seed: counts (60, 3, 2)."""
    return arena_counts


@pytest.fixture(scope="session")
def as_arena():
    """Turns such counts into Preferences."""
    return arena_prefs


@pytest.fixture(scope="session")
def duel():
    """Makes votes on one comparison: counts (users, 1, 2)."""
    return duel_counts


@pytest.fixture(scope="session")
def as_duel():
    """Turns such counts into Preferences."""
    return lambda counts: emjax.Preferences.from_counts(counts[:, 0, 0], counts[:, 0].sum(axis=1))


def quiet_fit(prefs, prior, **options) -> emjax.Fit:
    """`fit_em` where its warnings are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        return emjax.fit_em(prefs, prior, **options)


@pytest.fixture(scope="session")
def fit_of():
    """`fit_em` where its warnings are not the point; each fit is made once and kept."""
    kept: dict = {}

    def fit(counts: np.ndarray, prior: Any, strength: Any = None, **options: Any) -> emjax.Fit:
        key = (counts.shape, counts.tobytes(), repr(prior), repr(strength), repr(options))
        if key not in kept:
            one = counts.shape[1] == 1
            prefs = (
                emjax.Preferences.from_counts(counts[:, 0, 0], counts[:, 0].sum(axis=1))
                if one
                else arena_prefs(counts)
            )
            kept[key] = quiet_fit(prefs, prior, strength=strength, **options)
        return kept[key]

    return fit


@pytest.fixture(scope="session")
def quiet():
    """`fit_em` where its warnings are not the point."""
    return quiet_fit


@pytest.fixture(scope="session")
def ready():
    """Data and model as the kernels take them, with a strength that is complete; call in double precision."""

    def make(counts: np.ndarray, prior: Any, strength: Any):
        prefs = arena_prefs(counts) if counts.shape[1] == 3 else None
        data, model, row = prepare(prefs, prior, strength.start(prefs.table), emjax.AttentiveOrRandom())
        return data, model, row

    return make


@pytest.fixture
def double():
    """Double precision, as inside the public functions of the package."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def few_votes_each():
    """Makes votes of users who vote a few times each, on pairs of many models."""

    def votes_of(n_models, ties=False, sides=False, users=60, each=5, seed=3):
        """Votes of users of two sorts on random pairs of models."""
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(users), each)
        a = rng.integers(n_models, size=len(user))
        b = (a + rng.integers(1, n_models, size=len(user))) % n_models
        eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)[user]
        chance = 0.5 + eta * (1.0 / (1.0 + np.exp(4.0 * (a - b) / n_models)) - 0.5)
        won = np.where(rng.random(len(user)) < chance, 1.0, 0.0)
        won = np.where(ties & (rng.random(len(user)) < 0.2), 0.5, won)
        told = {"shown_first": rng.random(len(user)) < 0.5} if sides else {}
        names = np.array([f"m{i:02d}" for i in range(n_models)], dtype=object)
        pairs = np.stack([names[a], names[b]], axis=1)
        return emjax.Preferences.from_votes(user, pairs, won, ties="model" if ties else "half", **told)

    return votes_of
