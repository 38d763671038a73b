"""A fit as files: fit.json for people and programs, curvature.npz for standard errors."""

import dataclasses
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from emjax.errors import OutputError
from emjax.infer.fit import Fit
from emjax.infer.identify import Finding, Identifiability
from emjax.infer.uncertainty import Curvature
from emjax.model.attentiveness import Attentiveness, Fixed, moments
from emjax.model.behavior import AttentiveOrRandom
from emjax.model.beta import Beta
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.quadrature import double_exponential
from emjax.model.strength import Known, PerPair, Shared

FORMAT, VERSION = "emjax-fit", 1
_KINDS = {
    cls.__name__: cls
    for cls in (TwoPoint, Points, Beta, Grid, Fixed, Known, Shared, PerPair, BradleyTerry, AttentiveOrRandom)
}


def summary(fit: Fit) -> dict[str, Any]:
    """A fit in plain numbers and strings."""
    se = fit.standard_errors()
    return {
        "format": FORMAT,
        "version": VERSION,
        "emjax": version("emjax"),
        "prior": _plain(fit.prior),
        "strength": _plain(fit.strength),
        "behavior": _plain(fit.behavior),
        "log_likelihood": fit.log_likelihood,
        "trace": fit.trace.tolist(),
        "em_steps": fit.em_steps,
        "polish_steps": fit.polish_steps,
        "converged": fit.converged,
        "outcome": fit.outcome,
        "message": fit.message,
        "gap": fit.gap,
        "tol": fit.tol,
        "parameters": [
            {
                "name": e.name,
                "estimate": e.estimate,
                "std_err": _or_null(e.std_err),
                "lower": _or_null(e.lower),
                "upper": _or_null(e.upper),
                "note": e.note,
            }
            for e in se
        ],
        "identifiability": {
            "identified": fit.identified.identified,
            "rank": fit.identified.rank,
            "n_parameters": fit.identified.n_parameters,
            "condition": fit.identified.condition,
            "findings": [dataclasses.asdict(f) for f in fit.identified.findings],
        },
        "attentiveness": _attentiveness(fit.prior),
        "data": fit.data,
    }


def save(fit: Fit, folder: Path) -> Path:
    """Write both files to `folder`, each whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        curvature = {f.name: getattr(fit.curvature, f.name) for f in dataclasses.fields(Curvature)}
        curvature["names"] = np.array(fit.curvature.names, dtype=np.str_)
        _whole(folder / "curvature.npz", lambda file: np.savez_compressed(file, **curvature))
        text = json.dumps(summary(fit), indent=1, ensure_ascii=False, allow_nan=False)
        _whole(folder / "fit.json", lambda file: file.write(text.encode()))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from None
    return folder


def load_fit(folder: str | Path) -> Fit:
    """Read a fit that `Fit.save` or `emjax fit` wrote.

    Parameters
    ----------
    folder
        The folder with `fit.json` and `curvature.npz`.

    Returns
    -------
    Fit
        Equal to the one saved, the votes aside, which are not kept.

    Raises
    ------
    OutputError
        When a file is missing, is no emjax fit, or was written by a later version of the format.

    Examples
    --------
    >>> import emjax, tempfile
    >>> sim = emjax.simulate(0, n_users=500, votes_per_user=20, prior=emjax.Beta(3, 5))
    >>> fit = emjax.fit_em(sim.preferences, emjax.Beta(), strength=emjax.Known(0.74))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = emjax.load_fit(fit.save(folder))
    >>> again.log_likelihood == fit.log_likelihood
    True
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        with np.load(folder / "curvature.npz", allow_pickle=False) as arrays:
            curvature = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise OutputError(f"{folder} holds no fit: {Path(error.filename).name} is missing.") from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder} holds a damaged fit ({error}): run emjax fit again.") from None
    if content.get("format") != FORMAT or content.get("version", 0) > VERSION:
        raise OutputError(f"{folder / 'fit.json'} is not a fit this version of emjax can read.")
    curvature["names"] = tuple(curvature["names"].tolist())
    identified = content["identifiability"]
    return Fit(
        prior=_from_plain(content["prior"]),
        strength=_from_plain(content["strength"]),
        behavior=_from_plain(content["behavior"]),
        log_likelihood=content["log_likelihood"],
        trace=np.array(content["trace"]),
        em_steps=content["em_steps"],
        polish_steps=content["polish_steps"],
        gap=content["gap"],
        tol=content["tol"],
        step_limit=content["outcome"] == "step limit",
        curvature=Curvature(**curvature),
        identified=Identifiability(
            findings=tuple(Finding(**f) for f in identified["findings"]),
            rank=identified["rank"],
            n_parameters=identified["n_parameters"],
            condition=identified["condition"],
        ),
        data=content["data"],
    )


def _attentiveness(prior: Attentiveness) -> dict[str, Any]:
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


def _plain(record: Any) -> dict[str, Any]:
    fields = {f.name: _plain_value(getattr(record, f.name)) for f in dataclasses.fields(record)}
    return {"type": type(record).__name__, **fields}


def _plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _plain(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain_value(x) for x in value] if isinstance(value, tuple) else value


def _from_plain(content: dict[str, Any]) -> Any:
    kind = _KINDS.get(content["type"])
    if kind is None:
        raise OutputError(f"fit.json names a {content['type']}, which this version of emjax does not know.")
    # Names and options were tuples, which JSON turned into lists; numbers become arrays by themselves.
    fields = {
        f.name: _tuple(content[f.name]) if f.metadata.get("static") else content[f.name]
        for f in dataclasses.fields(kind)
    }
    return kind(**{n: _from_plain(v) if isinstance(v, dict) else v for n, v in fields.items()})


def _tuple(value: Any) -> Any:
    return tuple(_tuple(x) for x in value) if isinstance(value, list) else value


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _whole(path: Path, write: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
