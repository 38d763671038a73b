"""The output folder of a fit, read back: what the page is made from, and nothing else."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from emjax.errors import OutputError

FORMAT = "emjax-fit"
VERSION = 1
FIT_KEYS = [
    "emjax",
    "prior",
    "strength",
    "log_likelihood",
    "trace",
    "em_steps",
    "polish_steps",
    "converged",
    "outcome",
    "message",
    "gap",
    "tol",
    "parameters",
    "identifiability",
    "attentiveness",
    "data",
]
USER_NUMBERS = [
    "n_votes",
    "attentiveness",
    "attentiveness_sd",
    "attentiveness_map",
    "prob_attentive",
    "flip_rate",
    "agreement",
]
COMPARISON_NUMBERS = ["strength", "std_err", "n_votes", "wins_a"]
LEADERBOARD_NUMBERS = ["strength", "std_err", "lower", "upper", "n_votes", "rank", "ordinary_strength"]
AGAIN = "Fit again with `emjax fit VOTES --out DIR`, then ask for the report."


@dataclass(frozen=True, eq=False, repr=False)
class ReportFiles:
    """The content of an output folder.

    `fit` is fit.json; each table is a dictionary of NumPy arrays (numbers: float64, NaN where there is none).
    `user_ids` stays an Arrow column, because millions of ids are costly as Python objects and few are shown.
    """

    folder: Path
    fit: dict
    users: dict[str, np.ndarray]
    user_ids: pyarrow.ChunkedArray
    comparisons: dict[str, np.ndarray]
    leaderboard: dict[str, np.ndarray] | None
    truth: dict | None


def load_report_files(folder: str | Path) -> ReportFiles:
    """Read fit.json, users.parquet, comparisons.parquet and, where there is one, leaderboard.parquet.

    A truth.json beside them (simulated votes only) is read too.

    Raises
    ------
    OutputError
        A file is missing, unreadable, of another kind, or the files belong to different fits.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise OutputError(f"There is no folder {folder}. {AGAIN}")
    fit = _read_fit(folder / "fit.json")
    users, ids = _read_table(folder / "users.parquet", ["user"], USER_NUMBERS)
    comparisons, _ = _read_table(
        folder / "comparisons.parquet",
        ["model_a", "model_b"],
        COMPARISON_NUMBERS,
        (["context", "item", "consensus"], ["prob_consensus"]),
    )
    leaderboard = None
    if (folder / "leaderboard.parquet").exists():
        leaderboard, _ = _read_table(folder / "leaderboard.parquet", ["model"], LEADERBOARD_NUMBERS)
    _check_same_fit(folder, fit, users, comparisons)
    return ReportFiles(folder, fit, users, ids, comparisons, leaderboard, _read_truth(folder / "truth.json"))


def _check_same_fit(folder: Path, fit: dict, users: dict, comparisons: dict) -> None:
    """Both tables must add up to the votes that the fit has seen."""
    expected = float(fit["data"]["n_votes"])
    for name, table in (("users", users), ("comparisons", comparisons)):
        votes = float(np.nansum(table["n_votes"]))
        if not math.isclose(votes, expected, rel_tol=1e-6):
            raise OutputError(
                f"{name}.parquet in {folder} has {votes:,.10g} votes, but fit.json speaks of "
                f"{expected:,.10g}: the files belong to different fits. {AGAIN}"
            )


def _read_fit(path: Path) -> dict:
    if not path.is_file():
        raise OutputError(
            f"{path.parent} holds no fit.json, so it is not the output folder of a fit. {AGAIN}"
        )
    try:
        fit = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read as JSON ({error}). {AGAIN}") from error
    if not isinstance(fit, dict) or fit.get("format") != FORMAT:
        raise OutputError(f'{path} is not an emjax fit (no "format": "{FORMAT}" in it). {AGAIN}')
    if fit.get("version") != VERSION:
        raise OutputError(
            f"{path} has version {fit.get('version')!r} of the format, and this emjax reads version "
            f"{VERSION}. Use the emjax that wrote it, or fit again."
        )
    lacking = [key for key in FIT_KEYS if key not in fit]
    if lacking:
        raise OutputError(f"{path} is incomplete: it lacks {', '.join(lacking)}. {AGAIN}")
    return fit


def _read_table(
    path: Path,
    names: list[str],
    numbers: list[str],
    optional: tuple[list[str], list[str]] = ([], []),
) -> tuple[dict, pyarrow.ChunkedArray]:
    """The table as NumPy arrays (ids as str objects, except users), and its first column as Arrow has it.

    `optional` are more names, and more numbers, that a table need not have.
    """
    if not path.is_file():
        raise OutputError(f"{path.parent} holds no {path.name}. {AGAIN}")
    try:
        # ParquetFile, not read_table: a folder called "x=1" must not be taken for a partition, and add a
        # column.
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pyarrow.ArrowException) as error:
        raise OutputError(f"{path} cannot be read as parquet ({_first_line(error)}). {AGAIN}") from error
    lacking = [name for name in [*names, *numbers] if name not in table.column_names]
    if lacking:
        raise OutputError(f"{path} has no column {', '.join(lacking)}. {AGAIN}")
    more, figures = ([name for name in there if name in table.column_names] for there in optional)
    names, numbers = names + more, numbers + figures
    try:
        columns = {name: _floats(table.column(name)) for name in numbers}
    except (pyarrow.ArrowException, ValueError) as error:
        raise OutputError(
            f"{path} has a column that should hold numbers and does not ({error}). {AGAIN}"
        ) from error
    if names != ["user"]:
        columns |= {
            name: np.array(["" if v is None else str(v) for v in table.column(name).to_pylist()], object)
            for name in names
        }
    return columns, table.column(names[0])


def _floats(column: pyarrow.ChunkedArray) -> np.ndarray:
    values = column.cast(pyarrow.float64()).to_numpy()
    return np.asarray(values, dtype=np.float64)


def _read_truth(path: Path) -> dict | None:
    if not path.is_file():
        return None
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path} cannot be read as JSON ({error}). Remove it, or simulate again."
        ) from error
    return truth if isinstance(truth, dict) else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no further word"])[0]
