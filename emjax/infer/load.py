"""A fit that was saved, read back."""

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from emjax.data.anchor_files import read_anchor_votes
from emjax.data.anchors import AnchorVotes
from emjax.data.fit_json import FORMAT, VERSION, as_current
from emjax.errors import OutputError, VotesError
from emjax.infer.fit import PRIOR_USERS, Fit
from emjax.infer.identifiability import Finding, Identifiability
from emjax.infer.serialization import from_plain
from emjax.infer.standard_errors import Curvature

_DAMAGE = (VotesError, OSError, EOFError, BadZipFile, ValueError, LookupError, TypeError, AttributeError)


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
        When a file is missing, is no emjax fit, or was written by a later version of the format; or when it
        names a class from outside the package that is not registered (`emjax.register`).

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
        curvature = _arrays(folder / "curvature.npz")
        if content["format"] != FORMAT or int(content["version"]) > VERSION:
            raise OutputError(f"{folder / 'fit.json'} is not a fit this version of emjax can read.")
        content = as_current(content)
        before = read_anchor_votes(folder / PRIOR_USERS) if content.get("prior_users") else None
        by_answer = content["strength"]["type"] in ("RewardNetwork", "MonotoneReward")
        arrays = _arrays(folder / "strength.npz") if by_answer else None
        return _from_parts(content, curvature, arrays, before)
    except FileNotFoundError as error:
        raise OutputError(f"{folder} holds no fit: {Path(error.filename).name} is missing.") from None
    except OutputError:
        raise
    except _DAMAGE as error:
        what = str(error).split("\n")[0] or type(error).__name__
        raise OutputError(f"{folder} holds a damaged fit ({what}): run emjax fit again.") from None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    # Opened here, because NumPy leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _from_parts(
    content: dict[str, Any],
    curvature: dict[str, np.ndarray],
    arrays: dict[str, np.ndarray] | None,
    prior_users: AnchorVotes | None,
) -> Fit:
    names, n_users = tuple(curvature["names"].tolist()), int(curvature["n_users"])
    named = {**curvature, "names": names, "n_users": n_users, "prior": str(curvature.get("prior", "Beta"))}
    identified = content["identifiability"]
    return Fit(
        prior=from_plain(content["prior"]),
        strength=from_plain(content["strength"], arrays),
        behavior=from_plain(content["behavior"]),
        log_likelihood=content["log_likelihood"],
        trace=np.array(content["trace"]),
        em_steps=content["em_steps"],
        newton_steps=content["newton_steps"],
        gap=np.inf if content["gap"] is None else content["gap"],
        tol=content["tol"],
        step_limit=content["outcome"] == "step limit",
        curvature=Curvature(**named),
        identified=Identifiability(
            findings=tuple(Finding(**f) for f in identified["findings"]),
            rank=identified["rank"],
            n_parameters=identified["n_parameters"],
            condition=identified["condition"],
        ),
        data=content["data"],
        prior_users=prior_users,
    )
