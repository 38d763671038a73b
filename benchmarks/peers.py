"""The same votes through other packages: one thin function each, the package imported inside it.

    python benchmarks/peers.py arena_rank votes.npz answer.npz

runs one of them in whatever environment that Python belongs to; `elsewhere` does so from Python.

Every function takes `user`, `a`, `b` (integer arrays, (n_votes,): who voted, and the two models in the order
shown), `won` (bool: the first one won) and `n_models`, and returns an `Answer`. Seconds are those of one call
from the arrays to the answer, import excluded; what the package compiles on its first call is in them.
"""

import importlib
import importlib.metadata
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Answer:
    """Estimates of a package from the votes.

    strengths: (K,) natural-log scale, centred. std_err, lower, upper: (K,) on that scale (95 % intervals), or
    None where the package gives none. skills: reliability of each user in `np.unique(user)`, or None.
    seconds_again: a second call in the same process, where one was asked for: by then all is compiled.
    processor_seconds: those of the first call, all threads together; from `elsewhere` alone.
    """

    name: str
    version: str
    seconds: float
    strengths: np.ndarray
    std_err: np.ndarray | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    skills: np.ndarray | None = None
    seconds_again: float | None = None
    processor_seconds: float | None = None


def _version(package):
    return importlib.metadata.version(package)


def _names(n_models):
    """Names that sort as numbers do, because packages sort by name."""
    return np.array([f"m{k:06d}" for k in range(n_models)])


def evalica(user, a, b, won, n_models) -> Answer:
    """evalica's compiled Bradley-Terry. Scores are strengths with geometric mean 1; no errors, no users."""
    import evalica as package

    start = time.perf_counter()
    outcome = np.where(won, int(package.Winner.X), int(package.Winner.Y)).tolist()
    # the default of 100 iterations stops sparse tables early, and says so only in `iterations`
    result = package.bradley_terry(a, b, outcome, tolerance=1e-9, limit=10_000)
    strengths = np.log(result.scores.reindex(range(n_models)).to_numpy())
    seconds = time.perf_counter() - start
    return Answer("evalica", _version("evalica"), seconds, strengths - strengths.mean())


def arena_rank(user, a, b, won, n_models) -> Answer:
    """Arena-rank's Bradley-Terry with its sandwich intervals, on the natural-log scale (scale=1, base=e).

    Importing it switches the process to 64-bit JAX; run it in a process of its own.
    """
    import pandas as pd
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    names = _names(n_models)
    start = time.perf_counter()
    winner = np.where(won, "model_a", "model_b")
    table = pd.DataFrame({"model_a": names[a], "model_b": names[b], "winner": winner})
    data = PairDataset.from_pandas(table)
    model = BradleyTerry(n_competitors=len(data.competitors), scale=1.0, base=np.e, init_rating=0.0)
    result = model.compute_ratings_and_cis(data, significance_level=0.05)
    place = np.searchsorted(names, data.competitors)  # a model without votes is not there, and stays NaN
    strengths, variances, lower, upper = np.full((4, n_models), np.nan)
    strengths[place], variances[place] = result["ratings"], result["variances"]
    lower[place], upper[place] = result["rating_lower"], result["rating_upper"]
    seconds = time.perf_counter() - start
    centre = np.nanmean(strengths)
    return Answer(
        "arena-rank",
        _version("arena-rank"),
        seconds,
        strengths - centre,
        std_err=np.sqrt(variances),
        lower=lower - centre,
        upper=upper - centre,
    )


def crowd_kit(user, a, b, won, n_models) -> Answer:
    """crowd-kit's NoisyBradleyTerry, default settings: strengths and a skill per worker.

    Its scores are sigmoid(strength); its gradient is a Python loop over votes, so give it few.
    """
    import pandas as pd
    from crowdkit.aggregation import NoisyBradleyTerry

    start = time.perf_counter()
    table = pd.DataFrame({"worker": user, "left": a, "right": b, "label": np.where(won, a, b)})
    model = NoisyBradleyTerry().fit(table)
    scores = model.scores_.reindex(range(n_models)).to_numpy(dtype=float)
    strengths = np.log(scores) - np.log1p(-scores)
    skills = model.skills_.sort_index().to_numpy(dtype=float)
    seconds = time.perf_counter() - start
    strengths = strengths - np.nanmean(strengths)
    return Answer("crowd-kit", _version("crowd-kit"), seconds, strengths, skills=skills)


MODULES = {"evalica": "evalica", "arena_rank": "arena_rank", "crowd_kit": "crowdkit"}
IMPORTED = {
    "evalica": "evalica",
    "arena_rank": "arena_rank.models.bradley_terry",
    "crowd_kit": "crowdkit.aggregation",
}


def found_in(pythons, peer):
    """The first of several interpreters whose environment has `peer`, or None."""
    for python in pythons:
        check = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({MODULES[peer]!r}) is None)"
        if Path(python).is_file() and not subprocess.run([str(python), "-c", check], check=False).returncode:
            return python
    return None


def elsewhere(python, peer, user, a, b, won, n_models, *, twice=False) -> Answer:
    """The answer of `peer` ("evalica", "arena_rank", "crowd_kit") from the environment of another Python.

    `python` is the path of that interpreter. With `twice` it is called once more in the same process, for
    `seconds_again`. Raises RuntimeError with the process's last lines if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        votes, answer = Path(folder, "votes.npz"), Path(folder, "answer.npz")
        np.savez(votes, user=user, a=a, b=b, won=won, n_models=n_models)
        command = [
            str(python),
            str(Path(__file__).resolve()),
            peer,
            str(votes),
            str(answer),
            *["twice"] * twice,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{peer} failed: {done.stderr.strip()[-600:]}")
        with np.load(answer) as saved:
            parts = {name: saved[name] for name in saved.files}
    scalars = {"name": str(parts.pop("name")), "version": str(parts.pop("version"))}
    measured = ("seconds", "seconds_again", "processor_seconds")
    times = {name: float(parts.pop(name)) for name in measured if name in parts}
    return Answer(**scalars, **times, **parts)


def _main(peer, votes, answer, *how):
    with np.load(votes) as saved:
        columns = [saved[name] for name in ("user", "a", "b", "won")]
        n_models = int(saved["n_models"])
    call = {"evalica": evalica, "arena_rank": arena_rank, "crowd_kit": crowd_kit}[peer]
    importlib.import_module(IMPORTED[peer])  # its processor time is not the call's
    worked = time.process_time()
    result = call(*columns, n_models)
    result = replace(result, processor_seconds=time.process_time() - worked)
    if "twice" in how:
        result = replace(result, seconds_again=call(*columns, n_models).seconds)
    np.savez(answer, **{name: value for name, value in vars(result).items() if value is not None})


if __name__ == "__main__":
    # this folder must not hide a package of the same name from the imports above
    sys.path = [
        entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent
    ]
    _main(*sys.argv[1:])
