"""Priors, strengths and behaviors as plain JSON values, and back; and files that are whole or not there."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from emjax.data.strata import VoteStrata
from emjax.errors import OutputError
from emjax.model.attention_covariates import VoteFeatures
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.item_strength import PerItem
from emjax.model.prior import Attentiveness, Fixed, moments
from emjax.model.prior_beta import Beta
from emjax.model.priors_discrete import Grid, Points, TwoPoint
from emjax.model.prompt_answers import ByAnswer
from emjax.model.pytree import rebuild
from emjax.model.quadrature import double_exponential
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
    if isinstance(record, ByAnswer):  # the rest, which can be large, is in strength.npz
        return {"type": type(record).__name__, **record.plain_fields()}
    fields = {f.name: _plain_value(getattr(record, f.name)) for f in dataclasses.fields(record)}
    return {"type": type(record).__name__, **fields}


def _plain_value(value: Any) -> Any:
    if isinstance(value, VoteStrata):
        return value.plain()
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain_value(x) for x in value] if isinstance(value, tuple) else value


def from_plain(content: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> Any:
    """The record that `to_plain` was given; `arrays` are those of strength.npz, if there is one."""
    if content["type"] in _BY_ANSWER:
        return _BY_ANSWER[content["type"]].from_arrays(content, arrays or {})
    kind = _KINDS.get(content["type"])
    if kind is None:
        raise OutputError(f"fit.json names a {content['type']}, which this version of emjax does not know.")
    content = _ADDED.get(kind, {}) | content
    # Names and options were tuples, which JSON turned into lists; other lists were arrays.
    fields = {
        f.name: _static(content[f.name]) if f.metadata.get("static") else _leaf(content[f.name])
        for f in dataclasses.fields(kind)
    }
    return rebuild(kind, fields)


def _leaf(value: Any) -> Any:
    if isinstance(value, dict):
        return from_plain(value)
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
    density = None
    if prior.continuous:
        inside = (eta > 1e-3) & (eta < 1 - 1e-3)
        height = weights[inside] / np.exp(double_exponential().log_spacing[inside])
        density = {"eta": eta[inside].tolist(), "density": height.tolist()}
    return {
        "nodes": eta.tolist(),
        "weights": weights.tolist(),
        "density": density,
        "mean": mean,
        "sd": sd,
    }


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file under another name, and rename it when it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
