"""EM where strengths are learned from answers, by a network or a map of scores; held-out votes stop it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from emjax.data.comparison_table import labels
from emjax.data.ids import unique_ids
from emjax.data.partition import part_of
from emjax.data.preferences import Preferences
from emjax.errors import ModelError, warn
from emjax.infer import independent_em
from emjax.infer.acceleration import NoAcceleration
from emjax.infer.count_layout import Layout
from emjax.infer.em_loop import Ended, Progress, Step, run
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.solver import Options, Solution
from emjax.infer.standard_errors import no_curvature
from emjax.infer.steps import e_step, e_step_at_best_weights, log_p_table, m_step, row_log_likelihood
from emjax.infer.vote_sources import prepare_on
from emjax.infer.votes_on_device import Data
from emjax.infer.votes_on_mesh import Spread, agreed, on_each
from emjax.model.array_namespace import AnyArray
from emjax.model.likelihood import marginal
from emjax.model.model import Model, upright
from emjax.model.prior import Attentiveness
from emjax.model.pytree import record, replace, static
from emjax.model.strength import Known, Strength


class HeldOut(NamedTuple):
    """Votes that are set aside: the row of each user, the (comparison, outcome), how many.

    On a mesh each device has those of its own users, and padding that counts zero times.
    """

    row: Int[AnyArray, "*devices n"]
    term: Int[AnyArray, "*devices n"]
    times: Float[AnyArray, "*devices n"]


def one_round(
    votes: Data | Spread, model: Model, held: HeldOut, close: Float[AnyArray, ""]
) -> tuple[Model, Model, Float[AnyArray, ""], Float[AnyArray, ""]]:
    """The model with a grid's weights at their best, the next one, the objective, the held-out log score."""
    model, expected, _ = e_step_at_best_weights(votes, model, close)
    value = expected.log_likelihood + model.log_prior()
    return model, m_step(model, expected, votes.index), value, _score(votes, model, held)


def opened(votes: Data | Spread, model: Model) -> Strength:
    """The strengths after one M-step of their own, the prior being taken as it is."""
    return m_step(model, e_step(votes, model), votes.index).strength


def shifted_upward(prior: Attentiveness) -> Attentiveness | None:
    """A prior with mass below 0, its weights shifted upward; None for others.

    Where the mean attentiveness is 0 the likelihood is symmetric in which answers are better, and strengths
    that start at 0 stay there.
    """
    if prior.mirrored() is None:
        return None
    below: Any = prior
    weights = np.asarray(below.weights) * (1.0 + 1e-3 + np.asarray(below.points))
    return replace(prior, weights=weights / weights.sum())


def _score(votes: Data | Spread, model: Model, held: HeldOut) -> Float[AnyArray, ""]:
    """Log-probability of the votes set aside, each under the posterior given its user's other votes."""
    log_p = log_p_table(model, votes.index)
    return votes.holding(held).sum(_log_scores, log_p, model.prior.log_weights())


def _log_scores(
    held: HeldOut,
    layout: Layout,
    log_p: Float[AnyArray, "terms nodes"],
    log_weights: Float[AnyArray, " nodes"],
) -> Float[AnyArray, ""]:
    if not held.row.shape[0]:
        return jnp.zeros(())
    users = marginal(row_log_likelihood(layout, log_p), log_weights)[1]
    chance = jnp.sum(users[held.row] * jnp.exp(log_p[held.term]), axis=1)
    return jnp.sum(held.times * jnp.log(chance))


_ROUNDING = 1e-9  # of the objective: a fall of this size is rounding
_CLEAREST = 30.0  # log-odds of a strength that is held fixed, at most
_ALONE = 2  # rounds in which strengths are learned and users are not
_FLAT = 1e-6  # log-odds of the clearest comparison, below which nothing was learned
_FEW = 10  # contexts, below which those held out are few


class Learned(NamedTuple):
    """What is kept of the rounds: the model to return, its round, and the score of held-out votes there."""

    model: Model
    round: Any
    score: Any


@record
class Learning:
    """Users and strengths together as a problem for the EM loop: a step is a round of EM.

    Attributes
    ----------
    held : the votes set aside
    close : how closely the weights of a Grid are solved for
    tol : optimality gap at which to end
    patience : rounds without a better score after which to end, where votes are set aside; otherwise None
    """

    held: HeldOut
    close: Any
    tol: Any
    patience: int | None = static(default=None)

    @property
    def monotone(self) -> bool:
        """Rounds never lower the objective."""
        return True

    def init(self, votes: Data | Spread, model: Model) -> Learned:
        """Nothing is kept yet."""
        return Learned(model, jnp.zeros((), jnp.int32), jnp.asarray(-jnp.inf))

    def step(
        self, votes: Data | Spread, model: Model, state: Learned, progress: Progress
    ) -> tuple[Step, Learned]:
        """A round; the first rounds learn the strengths alone: users are all alike while they are near 0."""
        now, after, value, score = one_round(votes, model, self.held, self.close)
        this = progress.n + 1
        alone = replace(now, strength=after.strength)
        after = _chosen(this <= _ALONE, alone, after)
        better = jnp.asarray(True) if self.patience is None else score > state.score
        return Step(now, after, value), _chosen(better, Learned(now, this, score), state)

    def ends(self, state: Learned, progress: Progress) -> Any:
        """Whether gains shrink so fast that little is left, or held-out votes are predicted no better."""
        allowed = jnp.maximum(self.tol, _ROUNDING * jnp.abs(progress.last()))
        done = progress.remaining_gain() <= allowed
        return done if self.patience is None else done | (progress.n - state.round >= self.patience)


def _chosen(condition: Any, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def solve(prefs: Preferences, start: Model, options: Options) -> Solution:
    """`fit_em` where strengths are learned from features or scores of answers.

    First users and strengths together, on the votes that are not set aside; then users alone, on all votes,
    with the strengths as they are.
    """
    strength: Any = start.strength
    owner, half = type(strength).__name__, 0.5 * options.tol
    aside = _set_aside(prefs, strength)
    problem, votes, model = _learning(prefs, aside, start, half, options.mesh)
    rounds = run(problem, votes, model, NoAcceleration(), options.max_steps)
    limit = not problem.ends(rounds.state, rounds.progress())
    at = jax.tree.map(lambda x: np.asarray(x)[()], rounds.state.model)
    found, log_prior = at.strength, float(at.strength.log_prior())
    logits = np.asarray(found.logits(strength.index(prefs.table)))
    mu = 1.0 / (1.0 + np.exp(-np.clip(logits, -_CLEAREST, _CLEAREST)))
    known = replace(Known(0.75), value=mu, comparisons=labels(prefs.table))
    behavior = start.behavior.at(np.asarray(at.behavior.coordinates()))
    end = independent_em.solve(
        prefs, prefs.table, Model(at.prior, known, behavior), options._replace(tol=half)
    )
    if np.abs(logits).max() < _FLAT:
        warn(
            f"{owner} learned nothing: all its strengths are one half. Give features that distinguish "
            "answers, or start from another prior."
        )
    complete = replace(end.model, strength=replace(found, answers=strength.answers))
    named = complete if prefs.anchor_votes is not None else upright(complete) or complete
    curvature = no_curvature(named, prefs.n_users)
    learned = rounds.values
    findings = _findings(prefs, named.strength, rounds, aside, end)
    return end._replace(
        model=named,
        trace=learned if aside.any() else np.append(learned, end.trace + log_prior),
        em_steps=rounds.steps + end.em_steps,
        gap=end.gap if aside.any() else end.gap + float(rounds.progress().remaining_gain()),
        tol=max(options.tol, _ROUNDING * abs(end.log_likelihood)),
        step_limit=limit or end.step_limit,
        curvature=curvature,
        identified=Identifiability(tuple(findings), 0, len(curvature.names), 1.0),
    )


def _learning(
    prefs: Preferences, aside: np.ndarray, start: Model, tol: float, mesh: Mesh | None
) -> tuple[Learning, Data | Spread, Model]:
    """The problem, its votes, and the model that its loop starts from."""
    mine = ~aside[prefs.comparison]
    learned_from = part_of(prefs, np.where(mine[:, None], prefs.counts, 0.0)) if aside.any() else prefs
    parts = start.prior, start.strength, start.behavior
    votes, model, rows = prepare_on(mesh, learned_from, *parts)
    held = _held_out(prefs, ~mine, rows, mesh)
    close = jnp.asarray(min(0.1 * tol, 1e-10 * learned_from.n_votes))
    strength: Any = start.strength
    problem = Learning(held, close, jnp.asarray(tol), strength.patience if aside.any() else None)
    if (opening := shifted_upward(model.prior)) is not None:
        for _ in range(_ALONE):
            model = replace(model, strength=votes.run(opened, replace(model, prior=opening)))
    return problem, votes, model


def _set_aside(prefs: Preferences, strength: Any) -> np.ndarray:
    """(C,) bool: comparisons in the contexts that are drawn for early stopping."""
    share = strength.share_held_out
    if not share:
        return np.zeros(prefs.n_comparisons, dtype=bool)
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


def _held_out(prefs: Preferences, aside: np.ndarray, rows: list[np.ndarray], mesh: Mesh | None) -> HeldOut:
    """The votes set aside, on the devices of their users."""
    at, outcome = np.nonzero(prefs.counts * aside[:, None])
    user, times = prefs.user[at], prefs.counts[at, outcome]
    term = prefs.comparison[at] * prefs.outcomes.n + outcome
    here = [np.flatnonzero(row[user] >= 0) for row in rows]
    size = int(agreed(np.array([max(map(len, here))]))[0])

    def padded(values: np.ndarray, own: np.ndarray) -> np.ndarray:
        return np.pad(values[own], (0, size - len(own)))

    parts = [
        HeldOut(padded(row[user], own), padded(term, own), padded(times, own))
        for row, own in zip(rows, here, strict=True)
    ]
    return jax.tree.map(jnp.asarray, parts[0]) if mesh is None else on_each(mesh, parts)


def _findings(
    prefs: Preferences, strength: Any, rounds: Ended, aside: np.ndarray, end: Solution
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
    if not strength.scale_is_penalised:
        return found
    if aside.any():
        n_all, n_aside = (len(unique_ids(np.asarray(x, dtype=object))[0]) for x in _contexts(prefs, aside))
        found.append(
            Finding(
                "note",
                f"The network stopped after {rounds.state.round} of {rounds.steps} rounds, where votes in "
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
            about="scale",
        )
    )
    return found


def _contexts(prefs: Preferences, aside: np.ndarray) -> tuple[Any, Any]:
    assert prefs.contexts is not None
    return prefs.contexts, prefs.contexts[aside]
