"""Simulated votes on pairs of answers: attentive votes follow a reward, the others are random."""

import abc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.data.read_files import is_path
from emjax.errors import ModelError, VotesError

_NEEDED = ("prompt", "response_a", "response_b", "model_a", "model_b")


@dataclass(frozen=True)
class Choice(abc.ABC):
    """How an attentive user chooses between two answers of known reward."""

    @abc.abstractmethod
    def probability(self, margin: np.ndarray) -> np.ndarray:
        """(n,) probability of choosing A, given reward of A minus reward of B (n,)."""


@dataclass(frozen=True)
class ByReward(Choice):
    """Bradley–Terry on the rewards: P(A) = σ(scale · (reward of A − reward of B)).

    Examples
    --------
    >>> ByReward(scale=2.0).probability(np.array([0.0, 0.55])).round(2)
    array([0.5 , 0.75])
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ModelError(f"ByReward needs a scale above 0; got {self.scale!r}.")

    def probability(self, margin: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(np.clip(-self.scale * margin, -700.0, 700.0)))


@dataclass(frozen=True)
class TheBetter(Choice):
    """Always the answer of higher reward; a coin where they are equal.

    Examples
    --------
    >>> TheBetter().probability(np.array([-0.1, 0.0, 3.0]))
    array([0. , 0.5, 1. ])
    """

    def probability(self, margin: np.ndarray) -> np.ndarray:
        return 0.5 * (1.0 + np.sign(margin))


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedVotes:
    """Votes as they would be collected, and apart from them the truth.

    Attributes
    ----------
    table : pyarrow.Table
        One row per vote: user, pair, prompt, response_a, response_b, model_a, model_b, winner ("model_a" or
        "model_b"). What `emjax.read_votes` and `to_dpo_dataset` take; the true attentiveness is not in it.
    attentiveness : (m,) true η of users 0 to m − 1
    attentive : (n,) bool, whether the vote was a judgement rather than a coin
    judged_a : (n,) bool, whether the user's judgement was, or would have been, that A is better
    probability : (n,) how probably an attentive user chooses A
    reward_a, reward_b : (n,)

    Examples
    --------
    >>> pairs = {"prompt": ["p", "q"], "response_a": ["aa", "b"], "response_b": ["a", "bbb"],
    ...          "model_a": ["x", "y"], "model_b": ["y", "x"]}
    >>> simulate_votes(pairs, lambda prompt, text: len(text), [1.0, 0.2], key=0, votes_per_user=2)
    SimulatedVotes: 4 votes of 2 users on 2 pairs
    """

    table: pa.Table
    attentiveness: np.ndarray
    attentive: np.ndarray
    judged_a: np.ndarray
    probability: np.ndarray
    reward_a: np.ndarray
    reward_b: np.ndarray

    def __repr__(self) -> str:
        n_pairs = len(set(self.table["pair"].to_pylist()))
        return (
            f"SimulatedVotes: {self.table.num_rows:,} votes of {len(self.attentiveness):,} users on "
            f"{n_pairs:,} pairs"
        )


def simulate_votes(
    pairs: Any,
    reward: Callable[[str, str], float],
    attentiveness: Any,
    *,
    key: Any,
    votes_per_user: int,
    choice: Choice | None = None,
) -> SimulatedVotes:
    """Draw votes on pairs of answers: a user of attentiveness η judges with probability η, or tosses a coin.

    Parameters
    ----------
    pairs
        A table with columns prompt, response_a, response_b, model_a, model_b, such as `generate_pairs` makes:
        a data frame, an arrow table, a mapping of columns, or the path of a parquet file.
    reward
        Reward of a response, called as reward(prompt, response), once for each side of each pair.
    attentiveness
        (m,) true η of each user, between 0 and 1.
    key
        A JAX random key, or an integer seed.
    votes_per_user
        Votes of each user, all on different pairs.
    choice
        How a judging user chooses: `ByReward(scale)`, by default with scale 1, or `TheBetter()`.

    Returns
    -------
    SimulatedVotes

    Raises
    ------
    VotesError
        A column is missing, there are fewer pairs than votes of a user, or a reward is not finite.
    ModelError
        An attentiveness is outside [0, 1], or there is no user or vote.

    Notes
    -----
    Source: the behavior model of Cai & Li (arXiv 2510.13830). A limit: with `ByReward` users agree on one
    reward; without individual taste.
    """
    eta = np.asarray(attentiveness, dtype=np.float64)
    if eta.ndim != 1 or not len(eta) or not ((eta >= 0) & (eta <= 1)).all() or votes_per_user < 1:
        raise ModelError(
            "simulate_votes needs one attentiveness in [0, 1] per user and a vote or more for each; got "
            f"shape {eta.shape} and {votes_per_user} votes."
        )
    columns = _columns(pairs)
    n_pairs = len(columns["prompt"])
    if n_pairs < votes_per_user:
        raise VotesError(
            f"each user votes on {votes_per_user:,} different pairs, and there are {n_pairs:,}: lower "
            "votes_per_user, or generate more."
        )
    rewards = _rewards(columns, reward)
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(key) if isinstance(key, int | np.integer) else key, 4)
        shuffled = jnp.argsort(jax.random.uniform(keys[0], (len(eta), n_pairs)), axis=1)
        pair = np.asarray(shuffled[:, :votes_per_user]).ravel()
        for_eta, for_judgement, for_coin = (
            np.asarray(jax.random.uniform(k, pair.shape, jnp.float64)) for k in keys[1:]
        )
    user = np.repeat(np.arange(len(eta)), votes_per_user)
    chosen = ByReward() if choice is None else choice
    probability = chosen.probability(rewards[:, 0] - rewards[:, 1])[pair]
    attentive = for_eta < eta[user]
    judged_a = for_judgement < probability
    a_won = np.where(attentive, judged_a, for_coin < 0.5)
    table = {"user": user, "pair": np.asarray(columns["pair"])[pair]}
    table |= {name: [columns[name][i] for i in pair] for name in _NEEDED}
    table |= {"winner": np.where(a_won, "model_a", "model_b")}
    reward_a, reward_b = rewards[pair].T
    return SimulatedVotes(pa.table(table), eta, attentive, judged_a, probability, reward_a, reward_b)


def _columns(pairs: Any) -> dict[str, list[Any]]:
    if is_path(pairs):
        pairs = pq.read_table(os.fspath(pairs))
    table = pa.table(pairs) if isinstance(pairs, dict) else nw.from_native(pairs).lazy().collect().to_arrow()
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        raise VotesError(f"the pairs have no column {', '.join(missing)}.")
    columns = {name: table[name].to_pylist() for name in _NEEDED}
    n_pairs = table.num_rows
    columns["pair"] = table["pair"].to_pylist() if "pair" in table.column_names else list(range(n_pairs))
    return columns


def _rewards(columns: dict[str, list[Any]], reward: Callable[[str, str], float]) -> np.ndarray:
    """(n, 2) rewards of both sides."""
    sides = [zip(columns["prompt"], columns[side], strict=True) for side in ("response_a", "response_b")]
    found = np.array([[reward(prompt, text) for prompt, text in side] for side in sides], dtype=np.float64).T
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        raise VotesError(
            f"{len(wrong):,} of {found.size:,} rewards are not finite: first that of side "
            f"{'ab'[int(wrong[0, 1])]} of pair {int(wrong[0, 0])}."
        )
    return found
