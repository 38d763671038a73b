"""Simulation: users and votes drawn from the model, with the true values."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from emjax.data.preferences import Preferences
from emjax.data.strata import VoteStrata
from emjax.errors import ModelError
from emjax.model.attention_covariates import tilted
from emjax.model.check_classes import check_prior
from emjax.model.likelihood import Nodes, nodes_at
from emjax.model.prior import Attentiveness
from emjax.model.prior_beta import Beta
from emjax.model.pytree import replace
from emjax.model.random_keys import as_key
from emjax.model.response import AttentiveOrRandom, Behavior

_MOST_VOTES = 1_000_000_000  # upper limit of what fits in memory


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """Simulated votes and the truth behind them.

    Attributes
    ----------
    user, model_a, model_b : (n,) int
        Numbers of the user and the two models of each vote; sides are shuffled where there are models.
    a_won : (n,) bool
    attentiveness : (m,) true η of every user
    models : (K,) str
        What the models are called.
    strengths : (K,) true Bradley–Terry strengths, summing to zero
    behavior
        How users voted; model_a is the one shown first.
    tied : (n,) bool
        Votes that are ties; `a_won` is False there.
    looked : (n,) bool, or None
        Votes that are attentive; None if votes are not a mixture.
    kind : (n,) int, or None
        With features, the number of each vote's stratum among ``behavior.features.strata.contexts``.

    Examples
    --------
    >>> simulate(0, n_users=100, votes_per_user=10).preferences.n_votes
    1000.0
    """

    user: np.ndarray
    model_a: np.ndarray
    model_b: np.ndarray
    a_won: np.ndarray
    attentiveness: np.ndarray
    models: tuple[str, ...]
    strengths: np.ndarray
    behavior: Behavior
    tied: np.ndarray
    looked: np.ndarray | None = None
    kind: np.ndarray | None = None

    @cached_property
    def preferences(self) -> Preferences:
        """The votes, counted; ties and sides separate where the behavior has them."""
        names = np.array(self.models, dtype=object)
        pairs = np.column_stack([names[self.model_a], names[self.model_b]])
        told: dict[str, Any] = {}
        if isinstance(self.behavior, AttentiveOrRandom):
            told["shown_first"] = np.ones(len(pairs)) if self.behavior.sides else None
            told["ties"] = "half" if self.behavior.ties is None else "model"
        if self.kind is not None:
            told["context"] = np.array(self._kinds.contexts, dtype=object)[self.kind]
        prefs = Preferences.from_votes(self.user, pairs, np.where(self.tied, 0.5, self.a_won), **told)
        return prefs if self.kind is None else prefs.with_strata(self._kinds)

    @property
    def _kinds(self) -> VoteStrata:
        return self.behavior.features.strata

    def columns(self) -> dict[str, np.ndarray]:
        """The votes as a table: user, model_a, model_b, winner (the words model_a, model_b, tie).

        With features, also a column for each of their numbers.
        """
        names = np.array(self.models, dtype=object)
        numbers = {}
        if self.kind is not None:
            numbers = dict(zip(self._kinds.names, np.array(self._kinds.values)[self.kind].T, strict=True))
        return {
            "user": self.user,
            "model_a": names[self.model_a],
            "model_b": names[self.model_b],
            "winner": np.array(["model_b", "model_a", "tie"], object)[self.a_won + 2 * self.tied],
            **numbers,
        }

    def __repr__(self) -> str:
        return (
            f"Simulation: {len(self.user):,} votes of {len(self.attentiveness):,} users over "
            f"{len(self.models)} models"
        )


def simulate(
    key: Any,
    *,
    n_users: int = 1000,
    votes_per_user: float = 20,
    prior: Attentiveness | None = None,
    strength: float = 0.74,
    strengths: Mapping[str, float] | None = None,
    behavior: Behavior | None = None,
    spread: bool = False,
) -> Simulation:
    """Draw users from an attentiveness prior, and their votes from the model.

    Parameters
    ----------
    key
        A JAX random key, or an integer seed.
    n_users
        Number of users.
    votes_per_user
        Votes of each user; the mean of a Poisson distribution if `spread` (users without a vote are then
        left out of the preferences).
    prior
        Distribution of attentiveness; by default Beta(3, 5).
    strength
        With two models, "A" and "B": how often an attentive user prefers A. A is always listed first, unless
        the behavior has a guess rate other than one half.
    strengths
        Instead: Bradley–Terry strengths by model name. Pairs and sides are then drawn at random.
    behavior
        How users vote; by default `AttentiveOrRandom()`. With a guess rate, the first model of a row is the
        one shown first; with features, votes are of all their strata, evenly.
    spread
        Whether numbers of votes differ between users.

    Returns
    -------
    Simulation

    Raises
    ------
    ModelError
        When a size is not positive, the strength outside (0, 1), or fewer than two models are named.

    Notes
    -----
    Pairs are drawn evenly, which real arenas do not do.

    Examples
    --------
    >>> sim = simulate(0, n_users=50, votes_per_user=4, strengths={"x": 1.0, "y": 0.0, "z": -1.0})
    >>> sim
    Simulation: 200 votes of 50 users over 3 models
    """
    if not (n_users >= 1 and 0 < n_users * votes_per_user <= _MOST_VOTES):
        raise ModelError(
            f"simulate needs users and votes, and at most {_MOST_VOTES:,} votes in all; got {n_users:g} "
            f"users, {votes_per_user:g} votes each."
        )
    key = as_key(key, "simulate")
    n_users = int(n_users)
    if not 0 < strength < 1:
        raise ModelError(f"simulate needs a strength between 0 and 1; got {strength:g}.")
    if strengths is not None and len(strengths) < 2:
        raise ModelError("simulate needs at least two models.")
    prior = Beta(3, 5) if prior is None else prior
    check_prior(prior)
    behavior = _with_sides(AttentiveOrRandom() if behavior is None else behavior)
    sides = isinstance(behavior, AttentiveOrRandom) and behavior.sides
    models = ("A", "B") if strengths is None else tuple(str(name) for name in strengths)
    margin = np.log(strength / (1.0 - strength))
    s = np.array([0.5, -0.5]) * margin if strengths is None else np.array([*strengths.values()], float)
    s = s - s.mean()
    with jax.enable_x64(True):
        keys = jax.random.split(key, 5)
        eta = prior.draw(keys[0], n_users)
        if spread:
            n_votes = np.asarray(jax.random.poisson(keys[1], float(votes_per_user), (n_users,)))
        else:
            n_votes = np.full(n_users, round(votes_per_user))
        user = np.repeat(np.arange(n_users), n_votes)
        if not len(user):
            raise ModelError("simulate drew no vote at all: raise votes_per_user or n_users.")
        if strengths is None and not sides:
            a, b = np.zeros(len(user), np.int64), np.ones(len(user), np.int64)
        else:
            a = np.asarray(jax.random.randint(keys[2], (len(user),), 0, len(models)))
            b = (a + np.asarray(jax.random.randint(keys[3], (len(user),), 1, len(models)))) % len(models)
        nodes, kind = nodes_at(eta[user]), None
        features = behavior.features
        if features is not None:
            n_kinds = len(features.strata.contexts)
            kind = np.asarray(jax.random.randint(jax.random.fold_in(key, 0), (len(user),), 0, n_kinds))
            tilt = np.array(features.strata.values) @ np.asarray(features.slopes)
            nodes = Nodes(*tilted(*nodes, tilt[kind], np))
        # The nodes have the effect of features by now.
        without = behavior if features is None else replace(behavior, features=None)
        log_p = _log_probabilities(without, *nodes, s[a] - s[b])
        # The first of each row is the one shown first: of outcomes by side, those with A first are meant.
        chance = np.exp(np.asarray(log_p))[:, [0, 1]]
        drawn = np.asarray(jax.random.uniform(keys[4], (len(user),)))
        has_ties = isinstance(behavior, AttentiveOrRandom) and behavior.ties is not None
        won, tied = drawn < chance[:, 0], (drawn >= chance.sum(axis=1)) & has_ties
        looked, careless = None, behavior.careless()
        if careless is not None:
            outcome = np.where(tied, 4 if sides else 2, np.where(won, 0, 1))
            said = np.exp(np.asarray(log_p))[np.arange(len(user)), outcome]
            idle = np.asarray(nodes.rest) * np.asarray(careless)[outcome] / said
            looked = np.asarray(jax.random.uniform(jax.random.fold_in(key, 1), (len(user),))) >= idle
    return Simulation(user, a, b, won, eta, models, s, behavior, tied, looked, kind)


@jax.jit
def _log_probabilities(behavior: Behavior, eta: Any, rest: Any, logit: Any) -> Any:
    return jax.vmap(behavior.log_probability)(eta, rest, logit)


def _with_sides(behavior: Behavior) -> Behavior:
    if isinstance(behavior, AttentiveOrRandom) and float(behavior.guess) != 0.5:
        return replace(behavior, sides=True)
    return behavior
