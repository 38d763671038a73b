"""EM where strengths are learned from answers, by a network or a map of scores; held-out votes stop it."""

from collections.abc import Callable
from dataclasses import replace as with_fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.data.ids import unique_ids
from emjax.data.partition import part_of
from emjax.data.preferences import Preferences
from emjax.data.totals import labels
from emjax.errors import ModelError, warn
from emjax.infer.em_loop import check_trace, remaining_gain
from emjax.infer.fit import Fit
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.standard_errors import no_curvature
from emjax.infer.steps import Model, e_step, e_step_at_best_weights, m_step, row_log_likelihood, table
from emjax.infer.vote_sources import prepare
from emjax.infer.votes_on_device import Data
from emjax.model.array_namespace import AnyArray
from emjax.model.likelihood import marginal
from emjax.model.prior import Attentiveness, moments
from emjax.model.priors_discrete import Grid, Points
from emjax.model.prompt_answers import ByAnswer
from emjax.model.pytree import replace
from emjax.model.response import Behavior, default_behavior
from emjax.model.reward_calibration import MonotoneReward
from emjax.model.reward_network import RewardNetwork
from emjax.model.strength import Known, Strength


class HeldOut(NamedTuple):
    """Votes that are set aside: the row of each user, the (comparison, outcome), how many."""

    row: Int[Array, " n"]
    term: Int[Array, " n"]
    times: Float[AnyArray, " n"]


def one_round(
    votes: Data, model: Model, held: HeldOut, close: Float[AnyArray, ""]
) -> tuple[Model, Model, Float[AnyArray, ""], Float[AnyArray, ""]]:
    """The model with a grid's weights at their best, the next one, the objective, the held-out log score."""
    model, expected, _ = e_step_at_best_weights(votes, model, close)
    value = expected.log_likelihood + model.log_prior()
    return model, m_step(model, expected, votes.index), value, _score(votes, model, held)


def opened(votes: Data, model: Model) -> Strength:
    """The strengths after one M-step of their own, the prior being taken as it is."""
    return m_step(model, e_step(votes, model), votes.index).strength


def shifted_upward(prior: Attentiveness) -> Attentiveness | None:
    """A prior with mass below 0, its weights shifted upward; None for others.

    Where the mean attentiveness is 0 the likelihood is symmetric in which answers are better, and strengths
    that start at 0 stay there.
    """
    if not isinstance(prior, Points | Grid) or prior.low >= 0.0:
        return None
    weights = np.asarray(prior.weights) * (1.0 + 1e-3 + np.asarray(prior.points))
    return replace(prior, weights=weights / weights.sum())


def _score(votes: Data, model: Model, held: HeldOut) -> Float[AnyArray, ""]:
    """Log-probability of the votes set aside, each under the posterior given its user's other votes."""
    if not held.row.shape[0]:
        return jnp.zeros(())
    log_p = table(model, votes.index)
    rows = row_log_likelihood(votes.layout, log_p)
    users = marginal(rows, model.prior.log_weights())[1]
    chance = jnp.sum(users[held.row] * jnp.exp(log_p[held.term]), axis=1)
    return jnp.sum(held.times * jnp.log(chance))


_ROUNDING = 1e-9  # of the objective: a fall of this size is rounding
_CLEAREST = 30.0  # log-odds of a strength that is held fixed, at most
_ALONE = 2  # rounds in which strengths are learned and users are not
_FLAT = 1e-6  # log-odds of the clearest comparison, below which nothing was learned
_FEW = 10  # contexts, below which those held out are few


class Learned(NamedTuple):
    """Where learning stopped."""

    model: Model
    trace: np.ndarray
    rounds: int
    best: int
    gap: float
    limit: bool


def fit_by_answers(
    prefs: Any,
    prior: Attentiveness,
    strength: ByAnswer,
    behavior: Behavior | None,
    tol: float,
    max_steps: int,
    fit_known: Callable[[Preferences, Attentiveness, Known, Behavior], Fit],
) -> Fit:
    """`fit_em` where strengths are learned from features or scores of answers.

    First users and strengths together, on the votes that are not set aside; then users alone, on all votes,
    with the strengths as they are: `fit_known` does that.
    """
    owner = type(strength).__name__
    with jax.enable_x64(True):
        start = strength.start(prefs)
        behavior = (default_behavior(prefs) if behavior is None else behavior).start(prefs)
        aside = _set_aside(prefs, start)
        learned = _learn(prefs, aside, Model(prior, start, behavior), 0.5 * tol, max_steps)
        at = jax.tree.map(lambda x: np.asarray(x)[()], learned.model)
        found = at.strength
        log_prior = float(found.log_prior())
        logits = np.asarray(found.logits(start.index(prefs)))
    mu = 1.0 / (1.0 + np.exp(-np.clip(logits, -_CLEAREST, _CLEAREST)))
    known = replace(Known(0.75), value=mu, comparisons=labels(prefs))
    end = fit_known(prefs, at.prior, known, at.behavior)
    complete = replace(found, answers=start.answers)
    if np.abs(logits).max() < _FLAT:
        warn(
            f"{owner} learned nothing: all its strengths are one half. Give features that distinguish "
            "answers, or start from another prior."
        )
    complete, fitted_prior = _upright(complete, end.prior, prefs)
    with jax.enable_x64(True):
        curvature = no_curvature(Model(fitted_prior, complete, end.behavior), prefs.n_users)
    gap = end.gap if aside.any() else end.gap + learned.gap
    trace = learned.trace if aside.any() else np.append(learned.trace, end.trace + log_prior)
    return with_fields(
        end,
        prior=fitted_prior,
        strength=complete,
        trace=trace,
        em_steps=learned.rounds + end.em_steps,
        gap=gap,
        tol=max(tol, _ROUNDING * abs(end.log_likelihood)),
        step_limit=learned.limit or end.step_limit,
        curvature=curvature,
        identified=Identifiability(
            tuple(_findings(prefs, complete, learned, aside, end)), 0, len(curvature.names), 1.0
        ),
    )


def _set_aside(prefs: Preferences, strength: ByAnswer) -> np.ndarray:
    """(C,) bool: comparisons in the contexts that are drawn for early stopping."""
    share = strength.share_held_out
    if not share:
        return np.zeros(prefs.n_comparisons, dtype=bool)
    assert isinstance(strength, RewardNetwork)
    _, of = unique_ids(np.asarray(prefs.contexts, dtype=object))
    names = np.unique(of[prefs.comparison])  # those with votes
    if len(names) < 2:
        raise ModelError(
            "held_out sets whole contexts aside, and these votes have one: give held_out=0, or a context for "
            "each prompt."
        )
    drawn = np.random.default_rng(strength.seed).permutation(names)
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    aside = np.isin(of, drawn[:count])
    if not (~aside)[prefs.comparison].any():
        raise ModelError("the contexts set aside hold all votes: give held_out=0, or another seed.")
    return aside


def _learn(prefs: Preferences, aside: np.ndarray, model: Model, tol: float, max_steps: int) -> Learned:
    """Rounds of EM until held-out votes are predicted no better, or the objective rises no more."""
    mine = ~aside[prefs.comparison]
    learned_from = part_of(prefs, np.where(mine[:, None], prefs.counts, 0.0)) if aside.any() else prefs
    votes, at, row = prepare(learned_from, model.prior, model.strength, model.behavior)
    held = _held_out(prefs, ~mine, row)
    close = jnp.asarray(min(0.1 * tol, 1e-10 * learned_from.n_votes))
    patience = model.strength.patience if isinstance(model.strength, RewardNetwork) else 0
    if (opening := shifted_upward(at.prior)) is not None:
        for _ in range(_ALONE):
            at = replace(at, strength=votes.run(opened, replace(at, prior=opening)))
    values: list[float] = []
    kept, best, best_score = at, 0, -np.inf
    while True:
        now, after, value, score = votes.run(one_round, at, held, close)
        values.append(float(value))
        check_trace(np.array(values))
        rounds, gap = len(values), remaining_gain(values)
        if not aside.any() or float(score) > best_score:
            kept, best, best_score = now, rounds, float(score)
        done = gap <= max(tol, _ROUNDING * abs(values[-1]))
        waited = aside.any() and rounds - best >= patience
        if done or waited or rounds >= max_steps:
            limit = rounds >= max_steps and not (done or waited)
            return Learned(kept, np.array(values), rounds, best, gap, limit)
        # While strengths are all near 0 users cannot be distinguished: strengths are learned alone at first.
        at = replace(now, strength=after.strength) if rounds <= _ALONE else after


def _held_out(prefs: Preferences, aside: np.ndarray, row: np.ndarray) -> HeldOut:
    at, outcome = np.nonzero(prefs.counts * aside[:, None])
    return HeldOut(
        jnp.asarray(row[prefs.user[at]]),
        jnp.asarray(prefs.comparison[at] * prefs.outcomes.n + outcome),
        jnp.asarray(prefs.counts[at, outcome]),
    )


def _upright(strength: Any, prior: Attentiveness, prefs: Preferences) -> tuple[Any, Attentiveness]:
    """The mirror image where attentiveness is below 0 on average, and the votes do not determine the sign."""
    other, turned = prior.mirrored(), strength.mirrored()
    if prefs.anchor_votes is not None or other is None or turned is None:
        return strength, prior
    with jax.enable_x64(True):
        below = float(moments(prior)[0]) < 0.0
    return (turned, other) if below else (strength, prior)


def _findings(
    prefs: Preferences, strength: ByAnswer, learned: Learned, aside: np.ndarray, end: Fit
) -> list[Finding]:
    found = [f for f in end.identified.findings if f.level == "warning"]
    found.append(
        Finding(
            "note",
            "Strengths are learned from what is known of the answers, and taken as known where attentiveness "
            "is at its end: there are no standard errors.",
            "For intervals fit again to resampled users, or use emjax.cross_validate.",
        )
    )
    if isinstance(strength, MonotoneReward):
        return found
    if aside.any():
        n_all, n_aside = (len(unique_ids(np.asarray(x, dtype=object))[0]) for x in _contexts(prefs, aside))
        found.append(
            Finding(
                "note",
                f"The network stopped after {learned.best} of {learned.rounds} rounds, where votes in "
                f"{n_aside:,} of {n_all:,} contexts, set aside, were predicted best"
                + (": few to judge by." if n_aside < _FEW else "."),
                "Another seed sets others aside; held_out=0 learns from all votes until nothing rises.",
            )
        )
    found.append(
        Finding(
            "note",
            "The scale of rewards and of attentiveness is determined by how far clear votes stop short of "
            "certainty, and by the ridge penalty where votes are few.",
            "The ranking of users does not depend on it; compare values of l2 by emjax.cross_validate.",
        )
    )
    return found


def _contexts(prefs: Preferences, aside: np.ndarray) -> tuple[Any, Any]:
    assert prefs.contexts is not None
    return prefs.contexts, prefs.contexts[aside]
