"""A Bayesian fit as an ArviZ data tree (`to_arviz`)."""

from typing import Any

import numpy as np

from emjax.bayes.labels import as_labels, columns_of_labels
from emjax.bayes.loo import log_marginal
from emjax.data.comparison_table import labels
from emjax.data.preferences import Preferences
from emjax.errors import ModelError
from emjax.model.model import Model
from emjax.model.priors_discrete import Points

_MAX_ELEMENTS = 1e8  # numbers that one group may hold


def to_arviz(
    centre: Model, names: tuple[str, ...], draws: Any, prefs: Preferences | None, predicted: Any
) -> Any:
    """Draws as an xarray.DataTree with the groups that ArviZ knows, its axes labelled.

    `predicted` are votes (draws, rows, O), or None. Labels are text or whole numbers, which netCDF can hold.
    """
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
        groups["observed_data"] = _votes_by_row(prefs, prefs.counts) | {"total": prefs.counts.sum(axis=1)}
        dims |= {"votes": ["user"], "wins": ["row"], "ties": ["row"], "total": ["row"]}
        coords |= {"user": as_labels(prefs.users), "row": np.arange(len(prefs.counts))}
        if predicted is not None:
            groups["posterior_predictive"] = _votes_by_row(prefs, predicted[None])
    tree = arviz_base.from_dict(groups, dims=dims, coords=coords)
    if prefs is not None:
        compared = columns_of_labels(labels(prefs.table))
        of_row = {name: ("row", values[prefs.comparison]) for name, values in compared.items()}
        of_row |= {"user": ("row", coords["user"][prefs.user])}
        for group in {"observed_data", "posterior_predictive"} & set(groups):
            _add_labels(tree[group], of_row)
    if "comparison" in coords:
        compared = columns_of_labels(getattr(centre.strength, "comparisons", ()))
        _add_labels(
            tree["posterior"],
            {name: ("comparison", values) for name, values in compared.items() if name != "comparison"},
        )
    return tree


def _votes_by_row(prefs: Preferences, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Votes for the first model of each row of `prefs`, and ties where they are an outcome (…, rows)."""
    flat = counts.reshape(-1, counts.shape[-1])
    wins = prefs.outcomes.wins(flat)
    found = {"wins": wins[:, 0]}
    if prefs.outcomes.ties:
        found["ties"] = flat.sum(axis=1) - wins.sum(axis=1)
    return {name: values.reshape(counts.shape[:-1]) for name, values in found.items()}


def _add_labels(node: Any, columns: dict[str, Any]) -> None:
    """Give a group of the tree further coordinates, along axes that it has."""
    node.dataset = node.to_dataset().assign_coords(columns)


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
        variables |= {_variable(name): natural[..., i] for i, name in enumerate(names[:own])}
    n = len(strength.model_names) or len(strength.names())
    strengths = natural[..., own : own + n]
    if strength.model_names:
        variables["strength"], dims["strength"] = strengths, ["model"]
        coords["model"] = np.array(strength.model_names, dtype=np.str_)
    elif strength.is_shared:
        variables["strength"] = strengths[..., 0]
    elif n and getattr(strength, "comparisons", ()):
        variables["strength"], dims["strength"] = strengths, ["comparison"]
        coords["comparison"] = columns_of_labels(getattr(strength, "comparisons", ()))["comparison"]
    else:
        n = 0  # a strength from outside has parameters with names of their own
    # Effects of covariates, and the numbers of the response model.
    variables |= {_variable(names[i]): natural[..., i] for i in range(own + n, len(names))}
    return variables, dims, coords


def _variable(name: str) -> str:
    """A parameter's name as that of a variable: without spaces, and without what separates groups."""
    return name.replace(" ", "_").replace("/", "_")
