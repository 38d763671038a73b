"""What is trained on the votes of alignment_world: every way to use, or not to use, estimated attentiveness.

Attentiveness comes from emjax alone: `fit_em` on how often each user chose A, and `filter_votes` for the
policies. Only the last two arms use the truth: true attentiveness, and the choices of attentive users.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import emjax
from benchmarks import alignment_train as train
from benchmarks import alignment_world as world
from benchmarks import record
from emjax.errors import ModelError

LEAST_ETA = 0.1  # rDPO divides by attentiveness: less than this is taken for this
TOPS = (0.3, 0.5, 0.7, 0.9)

UNFILTERED, RANDOM, MAJORITY = "unfiltered", "random drop, as many as the MAP filter", "majority filter"
PAPER, THRESHOLD, MOST = "MAP filter, as in the paper", "MAP filter, leave-one-out", "maximum information"
WEIGHTS, SOFT, RDPO_MEAN, RDPO_USER = "weights", "soft labels", "rDPO, mean ε", "rDPO, ε per user"
COMMON, ATTENTIVE, AGAIN = (
    "attentive loss, one η for all",
    "attentive loss",
    "attentive loss, η again from policy",
)
RIDGED, PLAIN_RIDGED = "attentive loss, ridge from votes", "unfiltered, ridge from votes"
REPO, ORACLE, FREE = "RE-PO as published", "attentive loss, true η", "noise-free labels"


def top(fraction):
    return f"top {fraction:.0%}".replace("%", " %")


FILTERS = (MAJORITY, PAPER, THRESHOLD, *(top(f) for f in TOPS), MOST)
ARMS = (
    *(UNFILTERED, RANDOM, *FILTERS, WEIGHTS, SOFT, RDPO_MEAN, RDPO_USER),
    *(PLAIN_RIDGED, COMMON, ATTENTIVE, RIDGED, AGAIN, REPO, ORACLE, FREE),
)


class Judged(NamedTuple):
    """Attentiveness estimated by emjax from the votes of one seed."""

    eta: np.ndarray  # (votes,) given the user's other votes
    mean: float  # of attentiveness over the users
    keeps: dict  # arm -> (votes,) bool
    curve: tuple  # share of votes kept, information as a share of what weights reach
    prior: np.ndarray  # (nodes,) the fitted prior, on the grid of `train.reestimated`
    strength: float


def judge(won, each, family, strength, tops=TOPS, seen=None):
    """Fit attentiveness to the votes of users who cast `each`, and apply every policy.

    Parameters
    ----------
    won : (votes,) bool, votes of a user together
    family : a prior of emjax, where the fit starts
    strength : as in `emjax.fit_em`
    seen : dict, optional; warnings are counted in it
    """
    wins = won.reshape(-1, each).sum(axis=1)
    with record.counted_warnings({} if seen is None else seen):
        prefs = emjax.Preferences.from_counts(wins, np.full(len(wins), each))
        fit = emjax.fit_em(prefs, family, strength=strength)
    posterior = fit.posterior(prefs)
    user, outcome = np.repeat(np.arange(len(wins)), each), np.where(won, 0, 1)

    def kept(policy):
        """Masks of users and votes; empty, where the policy keeps no user."""
        try:
            decision = emjax.filter_votes(posterior, policy)
        except ModelError:
            return np.zeros(len(wins), bool), np.zeros(len(won), bool), None
        at = decision.votes.find(user, np.zeros_like(user), outcome)
        return decision.users.kept, decision.votes.kept[at], decision

    everyone = kept(emjax.Weights())[2]
    at = everyone.votes.find(user, np.zeros_like(user), outcome)
    users_kept, votes_kept, _ = kept(emjax.Threshold(0.5))
    with_majority = wins > each / 2 if won.mean() > 0.5 else wins < each / 2
    keeps = {MAJORITY: with_majority[user], PAPER: users_kept[user], THRESHOLD: votes_kept}
    keeps |= {top(f): kept(emjax.TopFraction(f))[1] for f in tops}
    keeps[MOST] = kept(emjax.MaxInformation())[1]
    return Judged(
        eta=everyone.votes.attentiveness[at],
        mean=float(posterior.mean.mean()),
        keeps=keeps,
        curve=(everyone.curve.share, everyone.curve.information, everyone.curve.best),
        prior=on_grid(posterior.eta, posterior.probabilities[posterior.row].mean(axis=0)),
        strength=float(np.ravel(fit.strength.value)[0]),
    )


def on_grid(eta, weights):
    """A distribution on nodes `eta`, moved to the grid of `train.reestimated` with the same mean."""
    place = np.clip(eta, 0.0, 1.0) * (train.NODES - 1)
    below = np.minimum(place.astype(int), train.NODES - 2)
    out = np.bincount(below, weights * (below + 1 - place), minlength=train.NODES)
    return out + np.bincount(below + 1, weights * (place - below), minlength=train.NODES)


def recipes(worlds, eta, judged):
    """Arm -> (loss, margins' features, weights, numbers about votes), each stacked over seeds."""
    seeds, votes = worlds.won.shape
    each = votes // eta.shape[1]
    signed, clean = (
        jnp.asarray(np.where(won, 1.0, -1.0)[..., None] * worlds.difference)
        for won in (worlds.won, worlds.attentive_won)
    )
    one = np.ones((seeds, votes))
    estimate = np.stack([j.eta for j in judged])
    common = np.repeat([[j.mean] for j in judged], votes, axis=1)
    keeps = {arm: np.stack([j.keeps[arm] for j in judged]).astype(float) for arm in judged[0].keeps}
    drop = [np.random.default_rng([11, s]).permutation(k) for s, k in enumerate(keeps[PAPER])]
    plain = {UNFILTERED: one, RANDOM: np.stack(drop), **keeps, WEIGHTS: estimate}
    todo = {arm: (train.dpo, signed, weight, one) for arm, weight in plain.items()}
    todo[SOFT] = (train.soft, signed, one, 0.5 * (1.0 + estimate))
    for arm, about in ((RDPO_MEAN, common), (RDPO_USER, estimate)):
        todo[arm] = (train.rdpo, signed, one, 0.5 * (1.0 - np.maximum(about, LEAST_ETA)))
    for arm, about in ((COMMON, common), (ATTENTIVE, estimate), (ORACLE, np.repeat(eta, each, axis=1))):
        todo[arm] = (train.attentive, signed, one, about)
    todo[FREE] = (train.dpo, clean, one, one)
    return todo


def run(worlds, eta, judged, arms=ARMS):
    """Train and judge arms: arm -> {"kept", "fixed", "matched", "cosine", "length", "open"}, each over seeds.

    "open" marks the seeds whose training found no minimum. Where a filter keeps no vote, the policy stays
    the reference.
    """
    todo = recipes(worlds, eta, judged)
    prior = jnp.asarray(np.stack([j.prior for j in judged]))
    users, out, directions = jnp.zeros(eta.shape), {}, {}
    for arm in arms:
        weight = np.ones(worlds.won.shape)
        if arm == REPO:
            u, _, moved = train.repo(todo[UNFILTERED][1], users)
            unfinished = np.asarray(moved) > 1e-3
        elif arm in (RIDGED, PLAIN_RIDGED):
            loss, signed, _, about = todo[ATTENTIVE if arm == RIDGED else UNFILTERED]
            u, decrement, _ = train.train_with_ridge(loss, signed, jnp.asarray(about))
            unfinished = ~(np.asarray(decrement) < 1e-10)
        elif arm == AGAIN:
            u, _, moved = train.reestimated(todo[UNFILTERED][1], prior, users, directions[ATTENTIVE])
            unfinished = np.asarray(moved) > 1e-3
        else:
            loss, signed, weight, about = todo[arm]
            no_users = weight.sum(axis=1) == 0
            weight = np.where(no_users[:, None], 1e-300, weight)
            u, decrement = train.train(loss, signed, jnp.asarray(weight), jnp.asarray(about))
            u = jnp.where(jnp.asarray(no_users)[:, None], 0.0, u)
            weight = np.where(no_users[:, None], 0.0, weight)
            unfinished = ~(np.asarray(decrement) < 1e-10)
        directions[arm] = u
        found = jax.tree.map(np.asarray, world.judged(u, worlds))
        out[arm] = {"kept": (weight > 0).mean(axis=1), "open": unfinished, **found}
    return out
