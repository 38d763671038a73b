"""fit_em: fits a model to votes by maximum marginal likelihood."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from emjax.data.anchors import AnchorVotes
from emjax.data.comparison_table import ComparisonTable
from emjax.errors import ModelError, warn
from emjax.infer import crossed_em, independent_em, reward_em
from emjax.infer.acceleration import Acceleration, Squarem
from emjax.infer.fit import Fit, only_accuracy, summarise_votes
from emjax.infer.identifiability import Identifiability, examine
from emjax.infer.newton import derivatives
from emjax.infer.solver import Options, Solution
from emjax.infer.standard_errors import curvature
from emjax.infer.steps import e_step
from emjax.infer.vote_sources import Source, as_source, design_index, placed_votes, source_type, table_of
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.capabilities import check_together, parts_of, parts_of_votes
from emjax.model.check_classes import check_behavior, check_prior
from emjax.model.model import Model
from emjax.model.prior import Attentiveness
from emjax.model.priors_discrete import Grid
from emjax.model.response import Behavior, default_behavior
from emjax.model.strength import PerPair, Shared, Strength


def fit_em(
    prefs: Source,
    prior: Attentiveness | None = None,
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
        The votes: `Preferences`, as `read_votes` gives them; or a data frame, a dict of columns, a
        `Simulation`, or the path of a file or folder, read with the defaults of `read_votes`; or shards, in a
        list or as `open_shards` gives them, each with all votes of its users, streamed from disk one after
        the other; or `CellCounts` from `read_cells`.
    prior
        How attentiveness is spread over users: `TwoPoint()`, `Points(k)`, `Beta()`, `Grid()` or
        `Fixed(prior)`. Its numbers are starting values. By default `Grid()`, which assumes no shape.
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
    prior = Grid() if prior is None else prior
    check_model("fit_em", prior, strength, behavior)
    _check_options(acceleration, tol, max_steps, mesh)
    options = {"mesh": mesh, "prior_users": prior_users}
    asked = [source_type(prefs), *(name for name, given in options.items() if given is not None)]
    check_together([*model_parts(prefs, prior, strength, behavior), *asked])
    gold = getattr(prefs, "anchor_votes", None)
    prefs = with_prior_users(prefs, prior_users)
    chosen = Options(Squarem() if acceleration is None else acceleration, float(tol), int(max_steps), mesh)
    with jax.enable_x64(True):
        table = table_of(prefs)
        start = starting_model(table, prior, strength, behavior)
        found = _solve(prefs, table, start, chosen)
    data = summarise_votes(table) | {"read_with": dict(getattr(prefs, "read_with", {}))}
    data = data if prior_users is None else data | {"gold_accuracy": only_accuracy(gold)}
    return _with_warnings_given(_assembled(found, data, prior_users))


def _assembled(found: Solution, data: dict[str, Any], prior_users: AnchorVotes | None) -> Fit:
    fields = found._asdict()
    model = fields.pop("model")
    parts = {"prior": model.prior, "strength": model.strength, "behavior": model.behavior}
    return Fit(**parts, **fields, data=data, prior_users=prior_users)


def _solve(prefs: Any, table: ComparisonTable, start: Model, options: Options) -> Solution:
    """The maximum, by the solver for strengths of this sort."""
    if start.strength.items_are_latent:
        return crossed_em.solve(prefs, start, options)
    if start.strength.is_learned:
        return reward_em.solve(prefs, start, options)
    return independent_em.solve(prefs, table, start, options)


def starting_model(
    table: ComparisonTable, prior: Attentiveness, strength: Strength | None, behavior: Behavior | None
) -> Model:
    """The model complete for these votes; strengths without values of their own start unadjusted.

    Raises a ModelError with the mistake where a class of the caller's own has one.
    """
    check_prior(prior)
    given = default_strength(table) if strength is None else strength
    complete = given.start(table)
    complete = complete.unadjusted(table) if given.starts_unadjusted else complete
    started = (default_behavior(table) if behavior is None else behavior).start(table)
    check_behavior(started, table.outcomes)
    return Model(prior, complete, started)


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


def default_strength(table: ComparisonTable) -> Strength:
    """The strength `fit_em` chooses by itself."""
    if table.n_comparisons == 1 and not (table.strata is not None and table.strata.covariates):
        return Shared()
    return BradleyTerry() if table.has_models else PerPair()


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
    with jax.enable_x64(True):
        table = table_of(prefs)
        start = starting_model(table, prior, strength, behavior)
        with placed_votes(prefs, table, prior, None) as votes_at:
            votes = votes_at(design_index(start.strength, table))
            bare = Model(prior, start.strength.bare(), start.behavior.on(table))
            model = jax.tree.map(np.asarray, bare)
            smaller, found = derivatives(model, votes, votes.run(e_step, model).mass)
        n_known, is_grid = votes.index.n_known, prior.weights_are_solved
        at = curvature(smaller, found, start.names(), table.n_users, n_known, is_grid=is_grid)
        return examine(table, prior, start.strength, start.behavior, at)


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
    table = getattr(prefs, "table", None)
    if behavior is None and table is not None:
        behavior = default_behavior(table)
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
