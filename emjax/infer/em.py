"""fit_em: fits a model to votes by maximum marginal likelihood."""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from emjax.data.anchors import AnchorVotes
from emjax.data.preferences import Preferences
from emjax.data.totals import Overview, n_pairs
from emjax.errors import ModelError, warn
from emjax.infer.acceleration import Acceleration, Squarem
from emjax.infer.coordinates import n_support
from emjax.infer.crossed_fit import fit_per_item
from emjax.infer.em_loop import Objective, best_strength_of_many
from emjax.infer.fit import Fit, summarise_votes
from emjax.infer.identifiability import Identifiability, examine
from emjax.infer.information import is_quick
from emjax.infer.newton import NewtonEnd, derivatives, newton_stage
from emjax.infer.reward_em import fit_by_answers
from emjax.infer.standard_errors import Curvature, curvature, no_curvature
from emjax.infer.steps import Model, e_step, n_nodes
from emjax.infer.support_points import LOSS, neighbours_merged, with_redundant_point_moved
from emjax.infer.trust_region import EM_STEPS, are_many
from emjax.infer.vote_sources import Source, as_source, gathered, source_type
from emjax.infer.votes_on_device import Votes
from emjax.model.anchored_strength import anchored
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.capabilities import check_together, parts_of, parts_of_votes
from emjax.model.item_strength import PerItem
from emjax.model.prior import Attentiveness, moments
from emjax.model.prior_beta import Beta
from emjax.model.prompt_answers import ByAnswer
from emjax.model.pytree import replace
from emjax.model.response import Behavior, default_behavior
from emjax.model.strength import Known, PerPair, Shared, Strength

_COMPILED: set[Any] = set()  # shapes for which this process has compiled the derivatives


def fit_em(
    prefs: Source,
    prior: Attentiveness,
    *,
    strength: Strength | None = None,
    behavior: Behavior | None = None,
    acceleration: Acceleration | None = None,
    tol: float = 1e-3,
    max_steps: int = 1000,
    mesh: Mesh | None = None,
    prior_users: AnchorVotes | None = None,
) -> Fit:
    """Fit attentiveness and strengths to votes by maximum (penalised) marginal likelihood.

    Parameters
    ----------
    prefs
        The votes: `Preferences`, as `read_votes` gives them; or a data frame or the path of a file or folder,
        which is read with the defaults of `read_votes`; or shards, in a list or as `open_shards` gives them,
        each with all votes of its users, streamed from disk one after the other; or `CellCounts` from
        `read_cells`.
    prior
        How attentiveness is spread over users: `TwoPoint()`, `Points(k)`, `Beta()`, `Grid()` or
        `Fixed(prior)`. Its numbers are starting values.
    strength
        `Known(μ)`, `Shared()`, `PerPair()` or `BradleyTerry()`; `PerItem()` where several users judged each
        comparison, which is then one pair of answers; `RewardNetwork(answers, features)` or
        `MonotoneReward(answers, scores)` where something is known of each answer. By default Shared for one
        comparison and BradleyTerry for several (PerPair where comparisons have no model names).
    behavior
        How a user votes; by default `AttentiveOrRandom()`, with `Davidson()` for ties where votes have them.
    acceleration
        `Squarem()`, the default, or `NoAcceleration()`.
    tol
        Largest optimality gap of the objective at the end, in log-likelihood units; judged by Newton's
        decrement and the certificate of the grid, not by the size of the last step (under `PerItem`,
        `RewardNetwork` and `MonotoneReward` by how the gains shrink).
    max_steps
        Most EM steps; reaching it gives a warning, and a result.
    mesh
        Devices to spread the users over, of one process or of several that all make this call with the same
        votes; its axes are to be of type Auto.
    prior_users
        What is known of users before their first vote here, as an earlier fit's `history(prefs)` gives it;
        the fit keeps it, for `posterior` and `users`.

    Returns
    -------
    Fit

    Raises
    ------
    ModelError
        When prior, strength and votes do not go together.
    FitError
        When a number is not finite, the objective falls by more than rounding, or shards change or cannot be
        kept on disk during the fit.
    VotesError
        When a shard is damaged, or a user is in two of them.

    Warns
    -----
    EmjaxWarning
        When the step limit is reached, or the votes leave something undetermined that a user would rely on.

    Notes
    -----
    Points(k) can have several local maxima; the one found depends on the start. All computation is in
    double precision whatever the JAX configuration, which is left as it was.

    Source: Cai & Li (arXiv 2510.13830) for the model and its EM algorithm.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=3000, votes_per_user=40, prior=emjax.TwoPoint(0.1, 0.95, 0.7))
    >>> fit = emjax.fit_em(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74))
    >>> fit.converged
    True
    """
    prefs = as_source("fit_em", prefs)
    check_model("fit_em", prior, strength, behavior)
    _check_options(acceleration, tol, max_steps, mesh)
    options = {"mesh": mesh, "prior_users": prior_users}
    asked = [source_type(prefs), *(name for name, given in options.items() if given is not None)]
    check_together([*model_parts(prefs, prior, strength, behavior), *asked])
    gold = getattr(prefs, "anchor_votes", None)
    prefs = with_prior_users(prefs, prior_users)
    acceleration = Squarem() if acceleration is None else acceleration
    if isinstance(strength, PerItem):
        fit = fit_per_item(prefs, prior, strength, behavior, float(tol), max_steps, acceleration)
    elif isinstance(strength, ByAnswer):

        def fit_known(votes: Preferences, prior: Attentiveness, known: Known, behavior: Behavior) -> Fit:
            return _fitted(votes, prior, known, behavior, acceleration, 0.5 * tol, max_steps, None)

        fit = fit_by_answers(prefs, prior, strength, behavior, float(tol), max_steps, fit_known)
    else:
        fit = _fitted(prefs, prior, strength, behavior, acceleration, float(tol), max_steps, mesh)
    accuracy = float(gold.accuracy[0]) if gold is not None and len(gold.accuracy) == 1 else None
    data = fit.data | {"gold_accuracy": accuracy}
    return _with_warnings_given(dataclasses.replace(fit, data=data, prior_users=prior_users))


def _fitted(
    prefs: Source,
    prior: Attentiveness,
    strength: Strength | None,
    behavior: Behavior | None,
    acceleration: Acceleration,
    tol: float,
    max_steps: int,
    mesh: Mesh | None,
) -> Fit:
    """The fit of strengths that add up over users: EM, then Newton steps on the marginal likelihood."""
    with jax.enable_x64(True), gathered(prefs, prior, mesh) as (overview, votes_at):
        strength = _complete(strength, overview)
        behavior = (default_behavior(overview) if behavior is None else behavior).start(overview)
        with_anchors = anchored(strength, overview)
        votes = votes_at(with_anchors.index(overview))
        model = Model(prior, with_anchors.bare(), behavior.on(overview))
        # The weights of a Grid are certified this closely, so that log L cannot seem to fall.
        close = np.float64(min(0.1 * tol, 1e-10 * overview.n_votes))
        objective = Objective(votes, close, acceleration, max_steps)
        if prior.weights_are_solved and isinstance(strength, Shared) and n_pairs(overview) == 1:
            model = best_strength_of_many(objective, model)
        with _compiling_information(model, objective):
            model, trace, em_steps = objective.em(model, EM_STEPS if are_many(model) else None)
        end = newton_stage(_ordered(model), objective, tol)
        if _crossed(end.model):
            again = newton_stage(_ordered(end.model), objective, tol)
            end = again._replace(values=end.values + again.values[1:])
        while (start := with_redundant_point_moved(end.model, votes, tol)) is not None:
            again = newton_stage(start, objective, tol)
            if _crossed(again.model) or again.values[-1] < end.values[-1] + 0.5 * tol:
                break
            end = again._replace(values=end.values + [v for v in again.values if v > end.values[-1]])
        if (upright := _upright(end.model)) is not None:
            end = newton_stage(upright, objective, tol)
        fitted = jax.tree.map(lambda x: np.asarray(x)[()], end.model)
        estimated = fitted.strength.without_anchors()
        complete = jax.tree.unflatten(jax.tree.structure(strength), jax.tree.leaves(estimated))
        fitted_behavior = _as_asked(behavior, fitted.behavior)
        named = Model(fitted.prior, complete, fitted_behavior)
        at = _curvature(fitted, named, end, votes, overview.n_users)
    return Fit(
        prior=fitted.prior,
        strength=complete,
        behavior=fitted_behavior,
        log_likelihood=float(end.expected.log_likelihood),
        trace=np.append(trace, end.values),
        em_steps=int(em_steps),
        newton_steps=len(end.values) - 1,
        gap=float(end.gap),
        tol=tol,
        step_limit=bool(em_steps >= max_steps),
        curvature=at,
        identified=examine(overview, fitted.prior, complete, fitted_behavior, at),
        data=summarise_votes(overview),
    )


@contextmanager
def _compiling_information(model: Model, objective: Objective) -> Iterator[None]:
    """Have the derivatives that the Newton stage takes compiled while EM steps are compiled and taken.

    They are computed once at the start, where that costs next to nothing, on another processor core.
    """
    votes = objective.votes
    leaves, structure = jax.tree.flatten((votes, model))
    shapes = structure, tuple((np.shape(x), str(getattr(x, "dtype", ""))) for x in leaves)
    # Of a Beta it is not known before how many nodes will matter.
    if not is_quick(votes, model) or isinstance(model.prior, Beta) or shapes in _COMPILED:
        yield
        return
    _COMPILED.add(shapes)
    objective.trace(model)

    def at_start() -> None:
        with jax.enable_x64(True):
            concentrated = np.eye(1, n_nodes(model))[0]  # as if few nodes mattered, which is how fits end
            smaller, found = derivatives(model, votes, concentrated)
            curvature(smaller, found, (), 1, is_grid=model.prior.weights_are_solved)

    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(at_start)
        yield
        wait([done])  # what failed here fails again, and is reported, where it is needed


def _curvature(fitted: Model, named: Model, end: NewtonEnd, votes: Votes, n_users: int) -> Curvature:
    """Second derivatives at the end of a fit; of a Grid as points that can move, unless that loses fit."""
    if end.information is None or end.compact is None:
        return no_curvature(named, n_users)
    is_grid = fitted.prior.weights_are_solved
    at, found, points_move = end.compact, end.information, False
    if is_grid:
        points = neighbours_merged(fitted, n_support(end.compact))
        of_points = derivatives(points, votes, end.expected.mass)[1]
        # A larger loss: the grid is coarse for these votes, and its nodes are the model.
        if float(end.expected.log_likelihood) - float(of_points.log_likelihood) < LOSS:
            at, found, points_move = points, of_points, True
    made = curvature(at, found, named.names(), n_users, is_grid=is_grid, points_move=points_move)
    return dataclasses.replace(made, estimate=fitted.natural())


def with_prior_users(prefs: Any, prior_users: Any) -> Any:
    """The votes, with what is known of their users from before."""
    if prior_users is None:
        return prefs
    if not isinstance(prior_users, AnchorVotes):
        raise _wrong_kind("fit_em", "prior_users", prior_users, "what an earlier fit's history(prefs) gives")
    joined = prefs.with_anchor_votes(prior_users)
    if not np.isin(prior_users.users[np.unique(prior_users.user)], prefs.users).any():
        first = [repr(ids[0]) if len(ids) else "none" for ids in (prior_users.users, prefs.users)]
        warn(
            f"prior_users name no user who voted here (their first is {first[0]}, the first voter "
            f"{first[1]}): check that users have the same names in both."
        )
    return joined


def _with_warnings_given(fit: Fit) -> Fit:
    """The fit; gives its warnings first."""
    if not fit.converged:
        warn(fit.message)
    for finding in fit.identified.findings:
        if finding.level == "warning":
            warn(f"{finding.what} {finding.remedy}")
    return fit


def default_strength(prefs: Overview) -> Strength:
    """The strength `fit_em` chooses by itself."""
    if prefs.n_comparisons == 1 and not (prefs.strata is not None and prefs.strata.covariates):
        return Shared()
    return BradleyTerry() if prefs.has_models else PerPair()


def identifiability(
    prefs: Source,
    prior: Attentiveness,
    *,
    strength: Strength | None = None,
    behavior: Behavior | None = None,
) -> Identifiability:
    """What these votes could determine of a model, asked before fitting it.

    Parameters
    ----------
    prefs, prior, strength, behavior
        As in `fit_em`.

    Returns
    -------
    Identifiability

    Notes
    -----
    Evaluated at the prior's numbers and simple starting strengths; `fit.identifiability()` evaluates at the
    estimate, where more, or less, can be determined.

    Examples
    --------
    >>> import emjax
    >>> prefs = emjax.Preferences.from_counts([8, 5, 6, 2], [10, 10, 10, 10])
    >>> emjax.identifiability(prefs, emjax.TwoPoint()).identified
    False
    """
    prefs = as_source("identifiability", prefs)
    check_model("identifiability", prior, strength, behavior)
    check_together([*model_parts(prefs, prior, strength, behavior), source_type(prefs), "identifiability"])
    with jax.enable_x64(True), gathered(prefs, prior, None) as (overview, votes_at):
        strength = _complete(strength, overview)
        behavior = (default_behavior(overview) if behavior is None else behavior).start(overview)
        with_anchors = anchored(strength, overview)
        votes = votes_at(with_anchors.index(overview))
        model = jax.tree.map(np.asarray, Model(prior, with_anchors.bare(), behavior.on(overview)))
        smaller, found = derivatives(model, votes, votes.run(e_step, model).mass)
        names = Model(prior, strength, behavior).names()
        at = curvature(smaller, found, names, overview.n_users, is_grid=prior.weights_are_solved)
        return examine(overview, prior, strength, behavior, at)


def _crossed(model: Model) -> bool:
    """Whether Newton steps changed the order of two support points."""
    return bool((np.diff(np.asarray(model.prior.support(), np.float64)) < 0).any())


def _upright(model: Model) -> Model | None:
    """The mirror image, where mean attentiveness is below 0 and the votes do not determine its sign."""
    prior = jax.tree.map(np.asarray, model.prior)
    other, strength = prior.mirrored(), model.strength.mirrored()
    if other is None or strength is None or not float(moments(prior)[0]) < 0.0:
        return None
    return replace(model, prior=other, strength=strength)


def _ordered(model: Model) -> Model:
    model = jax.tree.map(np.asarray, model)
    return replace(model, prior=model.prior.ordered())


def _complete(strength: Strength | None, prefs: Overview) -> Strength:
    """The strength, complete for these votes; without values of its own it starts unadjusted."""
    given = default_strength(prefs) if strength is None else strength
    complete = given.start(prefs)
    return complete.unadjusted(prefs) if given.starts_unadjusted else complete


def _as_asked(behavior: Behavior, fitted: Behavior) -> Behavior:
    """The requested behavior, with the parameters of the fitted one."""
    return jax.tree.map(lambda x: np.asarray(x)[()], behavior.at(np.asarray(fitted.coordinates())))


def check_model(caller: str, prior: Any, strength: Any, behavior: Any) -> None:
    """Raise ModelError where an argument is not of the kind that `caller` takes."""
    kinds = (
        ("prior", prior, Attentiveness, "a prior such as emjax.Beta() or emjax.TwoPoint()"),
        ("strength", strength, Strength, "a strength such as emjax.Known(0.74), or nothing"),
        ("behavior", behavior, Behavior, "a behavior such as emjax.AttentiveOrRandom(), or nothing"),
    )
    for name, given, kind, wanted in kinds:
        if not isinstance(given, kind) and not (given is None and name != "prior"):
            raise _wrong_kind(caller, name, given, wanted)


def model_parts(prefs: Any, prior: Any, strength: Strength | None, behavior: Behavior | None) -> list[str]:
    """The parts of a model and of the votes it is to be fitted to."""
    if behavior is None and getattr(prefs, "outcomes", None) is not None:
        behavior = default_behavior(prefs)
    return [*parts_of(prior, strength, behavior), *parts_of_votes(prefs)]


def _check_options(acceleration: Any, tol: Any, steps: Any, mesh: Any) -> None:
    if not isinstance(acceleration, Acceleration | None):
        raise _wrong_kind("fit_em", "acceleration", acceleration, "emjax.Squarem() or emjax.NoAcceleration()")
    if not (np.isfinite(tol) and tol > 0):
        raise ModelError(f"fit_em needs tol > 0, in log-likelihood units; got {tol!r}.")
    if int(steps) != steps or steps < 1:
        raise ModelError(f"fit_em needs max_steps >= 1; got {steps!r}.")
    if not isinstance(mesh, Mesh | None):
        raise _wrong_kind("fit_em", "mesh", mesh, "a mesh of devices: jax.make_mesh((4,), ('users',), ...)")


def _wrong_kind(caller: str, name: str, given: Any, wanted: str) -> ModelError:
    what = repr(given) if isinstance(given, str | int | float | type) else f"a {type(given).__name__}"
    return ModelError(f"{caller} takes as {name} {wanted}; got {what}.")
