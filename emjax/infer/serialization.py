"""Priors, strengths and behaviors as plain JSON values, and back."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from emjax.data.strata import VoteStrata
from emjax.errors import ModelError, OutputError
from emjax.model.attention_covariates import VoteFeatures
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.item_strength import PerItem
from emjax.model.prior import Attentiveness, Fixed, moments
from emjax.model.prior_beta import Beta
from emjax.model.priors_discrete import Grid, Points, TwoPoint
from emjax.model.prompt_answers import ByAnswer
from emjax.model.pytree import rebuild
from emjax.model.registry import import_path, registered_at
from emjax.model.response import AttentiveOrRandom, Sharpness
from emjax.model.reward_calibration import MonotoneReward
from emjax.model.reward_network import RewardNetwork
from emjax.model.strength import Known, PerPair, Shared
from emjax.model.strength_covariates import Covariates
from emjax.model.ties import Davidson, RaoKupper

_BY_ANSWER: dict[str, type[ByAnswer]] = {cls.__name__: cls for cls in (RewardNetwork, MonotoneReward)}
_KINDS = {
    cls.__name__: cls
    for cls in (
        *(TwoPoint, Points, Beta, Grid, Fixed),
        *(Known, Shared, PerPair, BradleyTerry, PerItem),
        *(AttentiveOrRandom, Sharpness, Davidson, RaoKupper, VoteFeatures, Covariates),
    )
}


# Fields that are missing from files of earlier versions.
_ADDED = {
    Points: {"low": 0.0},
    BradleyTerry: {"l2_context": None, "model_of": [], "covariates": None},
    Grid: {"low": 0.0},
    PerItem: {"penalty": 0.01, "n_relative": 0},
    AttentiveOrRandom: {
        "guess": 0.5,
        "ties": None,
        "careless_ties": 1 / 3,
        "estimated": True,
        "sides": False,
        "features": None,
    },
}


def to_plain(record: Any) -> dict[str, Any]:
    """A record's type and fields, as JSON can hold them."""
    name = _type_name(type(record))
    if isinstance(record, ByAnswer):  # the rest, which can be large, is in strength.npz
        return {"type": name, **record.plain_fields()}
    fields = {f.name: _plain_value(getattr(record, f.name)) for f in dataclasses.fields(record)}
    return {"type": name, **fields}


def _type_name(cls: type) -> str:
    """What a class is called in fit.json: its name, of a class from outside the package its import path."""
    own = cls in (_KINDS.get(cls.__name__), _BY_ANSWER.get(cls.__name__))
    return cls.__name__ if own else import_path(cls)


def check_saved(*parts: Any) -> None:
    """Raise a ModelError for parts of a class that `load_fit` would not find, or that JSON cannot hold."""
    for part in parts:
        check_saved(*_records_in(part))
        name, path = type(part).__name__, _type_name(type(part))
        if ":" not in path:
            continue
        if registered_at(path) is None:
            raise ModelError(
                f"a fit with the class {name} cannot be saved before the class is registered: write "
                f"@emjax.register above it, or call emjax.register({name})."
            )
        try:
            json.dumps(to_plain(part), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"a fit with the class {name} cannot be saved ({error}): its fields may hold finite numbers, "
                "arrays of them, texts, tuples, and records."
            ) from None


def _records_in(part: Any) -> Iterator[Any]:
    """The records with parameters that a record holds, in fields or in tuples there."""
    for value in vars(part).values():
        held = value if type(value) is tuple else (value,)
        yield from (x for x in held if dataclasses.is_dataclass(x) and hasattr(x, "parameters"))


def _plain_value(value: Any) -> Any:
    if isinstance(value, VoteStrata):
        return value.plain()
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return value.tolist()
    return [_plain_value(x) for x in value] if isinstance(value, tuple) else value


def from_plain(content: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> Any:
    """The record that `to_plain` was given; `arrays` are those of strength.npz, if there is one."""
    if content["type"] in _BY_ANSWER:
        return _BY_ANSWER[content["type"]].from_arrays(content, arrays or {})
    kind = _KINDS.get(content["type"]) or registered_at(content["type"])
    if kind is None:
        raise OutputError(_unknown(content["type"]))
    content = _ADDED.get(kind, {}) | content
    # Names and options were tuples, which JSON turned into lists; other lists were arrays.
    fields = {
        f.name: _static(content[f.name]) if f.metadata.get("static") else _leaf(content[f.name])
        for f in dataclasses.fields(kind)
    }
    return rebuild(kind, fields)


def _unknown(name: str) -> str:
    """What to do about a class that a fit.json names. Nothing is imported because a file says so."""
    module, of_outside, cls = name.partition(":")
    if not of_outside:
        return f"fit.json names a {name}, which this version of emjax does not know."
    if module == "__main__":
        return (
            f"fit.json names a class {cls} of a script or notebook, which is not registered: define it again "
            "with @emjax.register above it, before load_fit."
        )
    return (
        f"fit.json names the class {cls} of the module {module}, which is not registered: import {module} "
        "before load_fit, with @emjax.register above the class."
    )


def _leaf(value: Any) -> Any:
    if isinstance(value, dict):
        return from_plain(value)
    if isinstance(value, list) and value and all(isinstance(x, dict) for x in value):
        return tuple(from_plain(x) for x in value)
    return value if value is None else np.array(value)[()]


def _static(value: Any) -> Any:
    return VoteStrata.from_plain(value) if isinstance(value, dict) else _tuple(value)


def _tuple(value: Any) -> Any:
    return tuple(_tuple(x) for x in value) if isinstance(value, list) else value


def describe(prior: Attentiveness) -> dict[str, Any]:
    """The distribution of attentiveness in numbers: nodes, weights, density, mean, sd."""
    with jax.enable_x64(True):
        mean, sd = (float(x) for x in moments(prior))
        eta, weights = np.asarray(prior.nodes().eta), np.exp(np.asarray(prior.log_weights()))
        spacing = prior.log_spacing()
    density = None
    if spacing is not None:
        inside = (eta > 1e-3) & (eta < 1 - 1e-3)
        height = weights[inside] / np.exp(np.asarray(spacing)[inside])
        density = {"eta": eta[inside].tolist(), "density": height.tolist()}
    return {
        "nodes": eta.tolist(),
        "weights": weights.tolist(),
        "density": density,
        "mean": mean,
        "sd": sd,
    }
