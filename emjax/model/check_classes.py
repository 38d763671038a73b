"""Checks of priors, strengths and response models before a fit: a mistake in a class is one clear line."""

import dataclasses
from typing import Any

import jax
import numpy as np

from emjax.data.outcome_schema import Outcomes
from emjax.errors import ModelError
from emjax.model.design import Design
from emjax.model.prior import Attentiveness
from emjax.model.response import Behavior
from emjax.model.strength import Strength

_CLOSE = 1e-6  # by so much shares may differ from summing to one
_WIDTHS = 0.01  # the same of the widths of a density's nodes, which a coarse rule gives less exactly
_VOTE = (0.6, 0.4, 0.8)  # η, 1 − η and log-odds of a vote whose probabilities are added up


def check_prior(prior: Attentiveness) -> None:
    """Raise a ModelError where nodes, weights or widths of a prior are not what a fit takes them to be.

    It looks at the prior as it is given: what happens at other parameters it does not know.

    Examples
    --------
    >>> from emjax.model.prior_beta import Beta
    >>> check_prior(Beta(3, 5))
    """
    owner = _checked_record(prior)
    for inner in vars(prior).values():
        if isinstance(inner, Attentiveness):
            check_prior(inner)
    with jax.enable_x64(True), np.errstate(divide="ignore"):
        at = _in_numpy(prior)
        eta, rest = (np.asarray(x, np.float64) for x in at.nodes())
        log_weights, spacing = np.asarray(at.log_weights(), np.float64), at.log_spacing()
        spacing = None if spacing is None else np.asarray(spacing, np.float64)
        moving, shape = (np.asarray(x, np.float64) for x in (at.support(), at.shape()))
    if eta.ndim != 1 or not len(eta) or not np.isfinite(eta).all() or (np.abs(eta) > 1.0 + _CLOSE).any():
        raise ModelError(
            f"{owner}.nodes() are attentiveness in one row, from 0 to 1, or from −1; got {_short(eta)}."
        )
    for name, values in (("rest", rest), ("log_weights()", log_weights), ("log_spacing()", spacing)):
        if values is not None and values.shape != eta.shape:
            raise ModelError(
                f"{owner} has {len(eta)} nodes, and {name} of shape {values.shape}: give one number for each."
            )
    if not np.allclose(rest, 1.0 - np.abs(eta), rtol=0.0, atol=_CLOSE):
        raise ModelError(f"{owner}.nodes() are η and 1 − |η|, and these do not add up: use nodes_at(eta).")
    if not (np.isfinite(moving).all() and np.isfinite(shape).all()):
        raise ModelError(f"{owner} has parameters without finite coordinates: {prior!r}.")
    if np.isnan(log_weights).any():
        raise ModelError(
            f"{owner} gives no number (NaN) as the logarithm of a share or density at some node: close to 0 "
            "and 1, log η or log(1 − η) is 0 to the last digit. Write the density so that it is "
            "finite there too."
        )
    total = np.exp(log_weights).sum()
    if not abs(total - 1.0) <= _CLOSE:  # nor NaN
        raise ModelError(
            f"{owner}.log_weights() are logarithms of shares that sum to 1, and these sum to {total:.6g}: "
            "subtract the logarithm of the sum, as log_softmax does."
        )
    _check_density(prior.continuous, owner, eta, spacing, moves=len(moving) > 0)
    if len(moving) and not (moving.shape == eta.shape and np.allclose(moving, eta)):
        raise ModelError(
            f"{owner} has {len(eta)} nodes, and {len(moving)} coordinates that move them: nodes that move "
            "are parameters themselves, all of them and in order, as in Parameter(..., within(0.0, 1.0), "
            "moves_nodes=True)."
        )


def _check_density(continuous: bool, owner: str, eta: np.ndarray, spacing: Any, *, moves: bool) -> None:
    if continuous != (spacing is not None):
        raise ModelError(
            f"{owner} is a density only with the widths of its nodes: derive it from emjax.Density, or give "
            "log_spacing() in place of `continuous`."
        )
    if spacing is None:
        return
    if moves:
        raise ModelError(
            f"{owner} is a density, whose nodes are fixed: leave moves_nodes out of its parameters."
        )
    if (np.diff(eta) < 0.0).any() or eta[0] < 0.0:
        raise ModelError(f"{owner} is a density, whose nodes ascend from 0 to 1; got {_short(eta)}.")
    total = np.exp(spacing).sum()
    if not abs(total - 1.0) <= _WIDTHS:
        raise ModelError(
            f"{owner}.log_spacing() are logarithms of widths that add up to 1, the length of [0, 1], and "
            f"these add up to {total:.4g}."
        )


def check_strength(strength: Strength, index: np.ndarray, n_comparisons: int) -> None:
    """Raise a ModelError where a strength's index or design does not fit the comparisons or the coordinates.

    Examples
    --------
    >>> from emjax.model.strength import Shared
    >>> check_strength(Shared(), np.array([[0, 1], [0, -1]]), 2)
    """
    owner, index = _checked_record(strength), np.asarray(index)
    _check_unbounded(strength)
    if index.ndim != 2 or len(index) != n_comparisons or not np.issubdtype(index.dtype, np.integer):
        raise ModelError(
            f"{owner}.index(table) is a row of integers for each of the {n_comparisons} comparisons; got "
            f"shape {index.shape}, {index.dtype}."
        )
    with jax.enable_x64(True):
        design: Design = _in_numpy(strength).design(index)
        size, columns = strength.n_coordinates(), np.asarray(design.columns)
    shapes = columns.shape[:1] + np.shape(design.values)[:1] + np.shape(design.offset)
    expected = (n_comparisons, n_comparisons, n_comparisons)
    if shapes != expected or columns.shape != np.shape(design.values):
        raise ModelError(
            f"{owner}.design(index) has one row for each of the {n_comparisons} comparisons; got columns "
            f"{columns.shape}, values {np.shape(design.values)}, offset {np.shape(design.offset)}."
        )
    outside = columns.size > 0 and bool(((columns < 0) | (columns >= size)).any())
    if outside or (columns.size and design.size != size):
        raise ModelError(
            f"{owner} has {size} coordinates, and a design of size {design.size} with columns "
            f"{columns.min()} to {columns.max()}: columns count the coordinates from 0."
        )


def check_behavior(behavior: Behavior, outcomes: Outcomes) -> None:
    """Raise a ModelError where a response model does not give one probability for each outcome.

    It looks at one vote.

    Examples
    --------
    >>> from emjax.model.response import Sharpness
    >>> check_behavior(Sharpness(), Outcomes())
    """
    owner = _checked_record(behavior)
    _check_unbounded(behavior)
    with jax.enable_x64(True), np.errstate(divide="ignore"):
        log_p = np.asarray(_in_numpy(behavior).log_probability(*map(np.float64, _VOTE)), np.float64)
    if log_p.shape != (outcomes.n,):
        raise ModelError(
            f"{owner}.log_probability gives one number for each of the {outcomes.n} outcomes; got shape "
            f"{log_p.shape}."
        )
    for side in outcomes.by_side:  # which answer was shown first is given
        total = np.exp(log_p[list(side)]).sum()
        if not abs(total - 1.0) <= _CLOSE:
            raise ModelError(
                f"{owner}.log_probability gives logarithms of probabilities that sum to 1, and these sum to "
                f"{total:.6g}."
            )


def _check_unbounded(part: Any) -> None:
    """Raise a ModelError for a parameter within bounds: Newton steps of strengths and responses know none."""
    for parameter in part.parameters:
        transform = getattr(parameter, "transform_in", lambda _: None)(part)
        if transform is not None and transform.line == transform.limits and np.isfinite(transform.line).any():
            low, high = transform.line
            raise ModelError(
                f"{type(part).__name__}.{parameter.field} is within({low:g}, {high:g}), which only "
                "parameters of priors can be: take LOGIT for a share, LOG for a positive number, or IDENTITY."
            )


def _checked_record(part: Any) -> str:
    """The name of its class; a ModelError where JAX does not know its fields, or cannot take their values."""
    name = type(part).__name__
    if not (dataclasses.is_dataclass(part) and "__dataclass_fields__" in vars(type(part))):
        raise ModelError(f"{name} is no record: write @record (emjax.model.own_classes) above the class.")
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if hasattr(value, "parameters"):  # a part with parameters of its own
            _checked_record(value)
        elif field.metadata.get("static"):
            _check_hashable(value, f"{name}.{field.name}")
        elif any(np.asarray(leaf).dtype.kind not in "fiub" for leaf in jax.tree.leaves(value)):
            raise ModelError(
                f"{name}.{field.name} holds {value!r}, which is no number: make it static(default=...)."
            )
    return name


def _check_hashable(value: Any, owner: str) -> None:
    try:
        hash(value)
    except TypeError:
        raise ModelError(
            f"{owner} is static and holds a {type(value).__name__}, which can change: give a tuple, a text "
            "or a number."
        ) from None


def _in_numpy(part: Any) -> Any:
    """The same with NumPy's numbers, so that nothing is compiled."""
    return jax.tree.map(lambda x: np.asarray(x)[()], part)


def _short(values: np.ndarray) -> str:
    shown = ", ".join(f"{x:g}" for x in values.ravel()[:3])
    return f"{shown}{', …' if values.size > 3 else ''} of shape {values.shape}"
