"""A Bayesian fit as an ArviZ data tree (`to_arviz`)."""

from typing import Any

import numpy as np

from emjax.bayes.loo import log_marginal
from emjax.data.preferences import Preferences
from emjax.errors import ModelError
from emjax.model.model import Model
from emjax.model.priors_discrete import Points

_MAX_ELEMENTS = 1e8  # numbers that one group may hold


def to_arviz(
    centre: Model, names: tuple[str, ...], draws: Any, prefs: Preferences | None, predicted: Any
) -> Any:
    """Draws as an xarray.DataTree with the groups that ArviZ knows."""
    from emjax.bayes.numpyro_import import arviz_base

    variables, dims, coords = _posterior(centre, names, draws.natural)
    groups: dict[str, Any] = {
        "posterior": variables,
        "sample_stats": {
            "diverging": draws.diverging,
            "n_steps": draws.n_steps,
            "acceptance_rate": draws.accept_prob,
        },
    }
    if prefs is not None:
        if prefs.n_users * draws.diverging.size > _MAX_ELEMENTS:
            raise ModelError(
                f"The log-likelihoods of {prefs.n_users:,} users in {draws.diverging.size:,} draws would not "
                f"fit: call to_arviz() without votes, and fit.loo(prefs) for leave-one-user-out scores."
            )
        groups["log_likelihood"] = {"votes": log_marginal(prefs, centre, draws)}
        groups["observed_data"] = {"wins": prefs.wins[:, 0], "total": prefs.counts.sum(axis=1)}
        dims |= {"votes": ["user"], "wins": ["row"], "total": ["row"]}
        coords |= {"user": prefs.users, "row": np.arange(len(prefs.counts))}
    if predicted is not None:
        groups["posterior_predictive"] = {"wins": predicted[None]}
    return arviz_base.from_dict(groups, dims=dims, coords=coords)


def _posterior(centre: Model, names: tuple[str, ...], natural: np.ndarray) -> tuple[Any, Any, Any]:
    """Variables by name, the dimensions of those that have any, and their labels."""
    variables: dict[str, np.ndarray] = {}
    dims: dict[str, list[str]] = {}
    coords: dict[str, Any] = {}
    prior, strength = centre.prior, centre.strength
    own = len(prior.names())
    if isinstance(prior, Points):
        variables["point"], variables["point_weight"] = natural[..., : prior.k], natural[..., prior.k : own]
        dims |= {"point": ["kind"], "point_weight": ["kind"]}
        coords["kind"] = np.arange(1, prior.k + 1)
    else:
        variables |= {name.replace(" ", "_"): natural[..., i] for i, name in enumerate(names[:own])}
    n = len(strength.model_names) or len(strength.names())
    strengths = natural[..., own : own + n]
    if strength.model_names:
        variables["strength"], dims["strength"] = strengths, ["model"]
        coords["model"] = list(strength.model_names)
    elif strength.is_shared:
        variables["strength"] = strengths[..., 0]
    elif n:
        variables["strength"], dims["strength"] = strengths, ["comparison"]
        coords["comparison"] = [name.removeprefix("strength ") for name in names[own : own + n]]
    # Effects of covariates, and the numbers of the response model.
    variables |= {names[i].replace(" ", "_"): natural[..., i] for i in range(own + n, len(names))}
    return variables, dims, coords
