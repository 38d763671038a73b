"""The world of alignment_sim: prompts, answers, a known reward, two generators, users and their votes.

Every prompt has ANSWERS candidate answers, each a vector of FEATURES standard normal features. The reward is
linear in them, in a direction that differs from seed to seed. The reference policy takes any candidate with
equal probability. Generator A prefers candidates of high reward and B those of low reward, both equally much:
`gap` says how much, and `calibrated` finds the gap at which an attentive user prefers A's answer with a given
frequency. A and B differ in tone, too: in a direction that is orthogonal to the reward, so that "A wrote it"
and "it is better" are two things, as they are in real models.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FEATURES = 24
ANSWERS = 16
REWARD_SD = 1.5  # of the candidates of a prompt; an attentive user is right on a random pair in about 79 %
TONE = 0.5  # how much the generators differ in a direction without reward
BETA = 1.0  # of DPO: the ideal policy is then about 1 nat from the reference, of log(16) = 2.8 that there are

# Attentiveness of users: how it is drawn, and the family that is fitted to it.
SHAPES = {
    "two-point": lambda rng, m: np.where(rng.random(m) < 0.6, 0.98, 0.4),
    "Beta(3, 5)": lambda rng, m: rng.beta(3.0, 5.0, m),
    "Beta(5, 3)": lambda rng, m: rng.beta(5.0, 3.0, m),
    "Beta(½, ½)": lambda rng, m: rng.beta(0.5, 0.5, m),
}


class World(NamedTuple):
    """One seed: the truth, the votes (those of a user together), and prompts that no vote was about."""

    theta: np.ndarray  # (features,) the reward is features @ theta
    difference: np.ndarray  # (votes, features) of A's answer less B's
    chance: np.ndarray  # (votes,) how often an attentive user prefers A
    won: np.ndarray  # (votes,) bool, A was chosen
    attentive_won: np.ndarray  # (votes,) bool, A would be chosen by users who always judge
    held_out: np.ndarray  # (prompts, answers, features)


def policy(features, direction):
    """Log-probabilities of a log-linear policy: the reference, reweighted by exp(features @ direction)."""
    return jax.nn.log_softmax(features @ direction, axis=-1)


def _generators(reward, tone, gap):
    """Log-probabilities of A, and of B given what A took, (..., answers) and (..., answers, answers)."""
    log_weight_offset = gap * reward + TONE * tone
    # the two answers of a pair are different ones
    other = jnp.where(jnp.eye(reward.shape[-1], dtype=bool), -jnp.inf, -log_weight_offset[..., None, :])
    return jax.nn.log_softmax(log_weight_offset), jax.nn.log_softmax(other)


@jax.jit
def preference(reward, tone, gap):
    """Mean probability that an attentive user prefers A's answer; `reward` and `tone` of all candidates."""
    a, b = _generators(reward, tone, gap)
    wins = jax.nn.sigmoid(reward[..., :, None] - reward[..., None, :])
    return (jnp.exp(a)[..., :, None] * jnp.exp(b) * wins).sum(axis=(-2, -1)).mean()


@lru_cache
def calibrated(mu, prompts=20_000):
    """The gap at which attentive users prefer A with frequency `mu`, by bisection."""
    rng = np.random.default_rng(20)
    with jax.enable_x64(True):
        reward = jnp.asarray(REWARD_SD * rng.normal(size=(prompts, ANSWERS)))
        tone = jnp.asarray(rng.normal(size=(prompts, ANSWERS)))
        low, high = 0.0, 50.0
        if not 0.5 < mu < preference(reward, tone, high):
            raise ValueError(f"no gap gives a preference of {mu}")
        for _ in range(50):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if preference(reward, tone, middle) < mu else (low, middle)
        return 0.5 * (low + high)


def _taken(rng, log_weights):
    """One candidate per prompt, with probability proportional to exp(log_weights)."""
    return (log_weights + rng.gumbel(size=log_weights.shape)).argmax(axis=-1)


def one_world(seed, gap, eta, prompts, skewed=False):
    """A World in NumPy; `eta` is the attentiveness of each vote's user, (votes,)."""
    rng = np.random.default_rng([seed, 3])
    # features of mean 0 and variance 1: exponential ones are skewed, so that directions differ
    features_of = (lambda *shape: rng.exponential(size=shape) - 1.0) if skewed else rng.standard_normal
    size = (lambda *shape: shape) if skewed else (lambda *shape: (shape,))
    theta, tone = np.linalg.qr(rng.normal(size=(FEATURES, 2)))[0].T
    theta, votes = REWARD_SD * theta, np.arange(len(eta))
    features = features_of(*size(len(eta), ANSWERS, FEATURES))
    reward = features @ theta
    log_weight_offset = gap * reward + TONE * (features @ tone)
    a = _taken(rng, log_weight_offset)
    log_weight_offset[votes, a] = np.inf  # the two answers of a pair are different ones
    b = _taken(rng, -log_weight_offset)
    chance = 1.0 / (1.0 + np.exp(reward[votes, b] - reward[votes, a]))
    attentive_won = rng.random(len(eta)) < chance
    listened, coin = rng.random(len(eta)) < eta, rng.random(len(eta)) < 0.5
    return World(
        theta=theta,
        difference=features[votes, a] - features[votes, b],
        chance=chance,
        won=np.where(listened, attentive_won, coin),
        attentive_won=attentive_won,
        held_out=features_of(*size(prompts, ANSWERS, FEATURES)),
    )


def draw(seeds, mu, shape, users, each, prompts=1000, skewed=False):
    """Worlds stacked over seeds, and attentiveness, (seeds, users); every user casts `each` votes."""
    eta = np.stack([SHAPES[shape](np.random.default_rng([seed, 7]), users) for seed in seeds])
    gap = calibrated(mu)
    worlds = [
        one_world(seed, gap, np.repeat(e, each), prompts, skewed) for seed, e in zip(seeds, eta, strict=True)
    ]
    return World(*(np.stack(parts) for parts in zip(*worlds, strict=True))), eta


class Score(NamedTuple):
    """How good a policy is on held-out prompts, exact over candidates."""

    reward: jax.Array  # mean reward above the reference policy's
    win_rate: jax.Array  # how often its answer has the higher reward than one of the reference policy
    kl: jax.Array  # to the reference policy, nats


def score(direction, theta, held_out):
    """The policy reweighted by `direction`, judged by the true reward."""
    log_pi, reward = policy(held_out, direction), held_out @ theta
    pi = jnp.exp(log_pi)
    # below[i] is the share of candidates with a lower reward, ties counted half
    below = 0.5 * (1.0 + jnp.sign(reward[..., :, None] - reward[..., None, :])).mean(axis=-1)
    return Score(
        reward=((pi - 1.0 / ANSWERS) * reward).sum(axis=-1).mean(),
        win_rate=(pi * below).sum(axis=-1).mean(),
        kl=divergence(direction, held_out),
    )


def divergence(direction, held_out):
    """Mean KL of the reweighted policy to the uniform reference, nats."""
    log_pi = policy(held_out, direction)
    return (jnp.exp(log_pi) * (log_pi + jnp.log(ANSWERS))).sum(axis=-1).mean()


def matched(direction, theta, held_out, beta=BETA):
    """`direction` scaled so that its policy is as far from the reference as the ideal one is.

    KL grows with the scale, so bisection on its logarithm finds it. A direction of zero has no such scale and
    stays.
    """
    goal = divergence(theta / beta, held_out)
    size = jnp.linalg.norm(direction)
    unit = direction / jnp.where(size > 0, size, 1.0)

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        short = divergence(jnp.exp(middle) * unit, held_out) < goal
        return jnp.where(short, middle, low), jnp.where(short, high, middle)

    start = jnp.log(jnp.linalg.norm(theta) / beta)
    low, high = jax.lax.fori_loop(0, 45, halve, (start - 5.0, start + 5.0))
    return jnp.exp(0.5 * (low + high)) * unit


@jax.jit
def judged(estimate, worlds):
    """Both columns and the cosine, over seeds: estimates of the reward (seeds, features) made by DPO."""

    def one(estimate, theta, held_out):
        size = jnp.linalg.norm(estimate)
        return {
            "fixed": score(estimate / BETA, theta, held_out)._asdict(),
            "matched": score(matched(estimate, theta, held_out), theta, held_out)._asdict(),
            "cosine": estimate @ theta / jnp.where(size > 0, size * jnp.linalg.norm(theta), 1.0),
            "length": size / jnp.linalg.norm(theta),
        }

    return jax.lax.map(lambda given: one(*given), (estimate, worlds.theta, worlds.held_out))
