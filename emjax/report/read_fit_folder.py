"""The output folder of a fit, read back: what the page is made from, and nothing else."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from emjax.data.fit_json import FORMAT, VERSION, as_current
from emjax.errors import OutputError
from emjax.report.leaderboard_blocks import rankings

FIT_KEYS = [
    "emjax",
    "prior",
    "strength",
    "log_likelihood",
    "trace",
    "em_steps",
    "newton_steps",
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
BATCH = 65_536  # users read at a time
ENDS = 10  # users shown at either end
AGAIN = "Fit again with `emjax fit VOTES --out DIR`, then ask for the report."


@dataclass(frozen=True, eq=False, repr=False)
class UserTable:
    """What the page shows of users.parquet, which is read a batch of rows at a time.

    Attributes
    ----------
    columns : dict of float64 arrays
        n_votes, attentiveness and agreement of every user, NaN where there is none; the other columns, and
        the ids, are kept only for the users that are shown.
    prob_attentive : float
        Mean over users; NaN without any.
    has_mode : bool
        Whether a user has a posterior mode.
    most, least : lists of rows
        The most attentive users, twice `ENDS` of them, and the least attentive, `ENDS`; users with equal
        attentiveness by their votes.
    matched : pair of arrays, or None
        Posterior mean and true attentiveness of the users that have both, if they are at least two.
    """

    columns: dict[str, np.ndarray]
    prob_attentive: float
    has_mode: bool
    most: list[dict[str, Any]]
    least: list[dict[str, Any]]
    matched: tuple[np.ndarray, np.ndarray] | None


@dataclass(frozen=True, eq=False, repr=False)
class ReportFiles:
    """The content of an output folder.

    `fit` is fit.json; each table is a dictionary of NumPy arrays (numbers: float64, NaN where there is none).
    Where strengths differ by context, `leaderboard` is the overall ranking, and `by_context` has the others,
    most votes first.
    """

    folder: Path
    fit: dict
    user_table: UserTable
    comparisons: dict[str, np.ndarray]
    leaderboard: dict[str, np.ndarray] | None
    by_context: dict[str, dict[str, np.ndarray]]
    truth: dict | None

    @property
    def users(self) -> dict[str, np.ndarray]:
        """n_votes, attentiveness and agreement of every user."""
        return self.user_table.columns


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
    if not any((folder / name).exists() for name in ("users.parquet", "comparisons.parquet")):
        raise OutputError(
            f"{folder} holds a fit as fit.save writes it, without the tables that a page is made from: fit "
            "the votes with `emjax fit VOTES --out DIR`, or in Python write all files with "
            "emjax.report.write_output(fit, prefs, DIR)."
        )
    truth = _read_truth(folder / "truth.json")
    users = read_users(folder / "users.parquet", (truth or {}).get("attentiveness_by_user"), batch=BATCH)
    comparisons = _read_table(
        folder / "comparisons.parquet",
        ["model_a", "model_b"],
        COMPARISON_NUMBERS,
        (["context", "item", "consensus"], ["prob_consensus"]),
    )
    leaderboard, by_context = None, {}
    path = folder / "leaderboard.parquet"
    if path.exists():
        # Folders of earlier versions have neither ends of ranks nor contexts: all rows are one ranking.
        optional = (["context"], ["component", "best_rank", "worst_rank"])
        held = _read_table(path, ["model"], LEADERBOARD_NUMBERS, optional, missing=None)
        leaderboard, by_context = rankings(held)
    _check_same_fit(folder, fit, users.columns, comparisons)
    return ReportFiles(folder, fit, users, comparisons, leaderboard, by_context, truth)


def _check_same_fit(folder: Path, fit: dict, users: dict, comparisons: dict) -> None:
    """Both tables must add up to the votes in fit.json."""
    expected = float(fit["data"]["n_votes"])
    for name, table in (("users", users), ("comparisons", comparisons)):
        votes = float(np.nansum(table["n_votes"]))
        if not math.isclose(votes, expected, rel_tol=1e-6):
            raise OutputError(
                f"{name}.parquet in {folder} has {votes:,.10g} votes, but fit.json has "
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
    fit = as_current(fit)
    if fit.get("version") != VERSION:
        raise OutputError(
            f"{path} has version {fit.get('version')!r} of the format, and this emjax reads version "
            f"{VERSION}. Use the emjax that wrote it, or fit again."
        )
    missing = [key for key in FIT_KEYS if key not in fit]
    if missing:
        raise OutputError(f"{path} is incomplete: without {', '.join(missing)}. {AGAIN}")
    return fit


def read_users(path: Path, true: object = None, *, batch: int = BATCH) -> UserTable:
    """Read users.parquet, `batch` users at a time; `true` is their attentiveness by id, or a list of it.

    Raises
    ------
    OutputError
        The file is missing, unreadable, or has other columns.
    """
    ends: dict[float, list[dict[str, Any]]] = {1.0: [], -1.0: []}
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    total, known, first, has_mode = 0.0, 0, 0, False
    with _opened(path, ["user", *USER_NUMBERS]) as file:
        users = file.metadata.num_rows
        kept = {name: np.empty(users) for name in ("n_votes", "attentiveness", "agreement")}
        if isinstance(true, list) and len(true) != users:
            true = None
        for rows in _batches(file, batch):
            columns = _numbers(rows, USER_NUMBERS, path)
            for name, values in kept.items():
                values[first : first + rows.num_rows] = columns[name]
            probability = columns["prob_attentive"][np.isfinite(columns["prob_attentive"])]
            total, known = total + float(probability.sum()), known + len(probability)
            has_mode |= bool(np.isfinite(columns["attentiveness_map"]).any())
            ids = rows.column("user")
            for sign, most in ((1.0, 2 * ENDS), (-1.0, ENDS)):
                ends[sign] = _merged(ends[sign], columns, ids, sign, most)
            pairs += _with_truth(columns["attentiveness"], ids, true, first)
            first += rows.num_rows
    matched = tuple(np.concatenate([np.zeros(0), *(pair[i] for pair in pairs)]) for i in (0, 1))
    return UserTable(
        columns=kept,
        prob_attentive=total / known if known else math.nan,
        has_mode=has_mode,
        most=ends[1.0],
        least=ends[-1.0],
        matched=(matched[0], matched[1]) if len(matched[0]) > 1 else None,
    )


def _batches(file: pyarrow.parquet.ParquetFile, batch: int) -> Iterator[pyarrow.RecordBatch]:
    """The users, at most `batch` at a time; all row groups at once would be read ahead, and kept."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch, row_groups=[group], columns=["user", *USER_NUMBERS])


def _merged(
    held: list[dict[str, Any]], columns: dict[str, np.ndarray], ids: pyarrow.Array, sign: float, most: int
) -> list[dict[str, Any]]:
    """The `most` users of highest attentiveness times `sign`, of those held and those of a batch."""
    score = sign * columns["attentiveness"]
    known = np.flatnonzero(np.isfinite(score))
    if most < len(known):  # sort only those that can be among them
        known = known[score[known] >= np.partition(score[known], -most)[-most]]
    first = known[np.lexsort((-columns["n_votes"][known], -score[known]))][:most]
    new = [
        {"user": ids[i].as_py()} | {name: float(values[i]) for name, values in columns.items()}
        for i in first.tolist()
    ]
    # Python's sort keeps the order of equals: those read earlier stay in front.
    return sorted([*held, *new], key=lambda row: (-sign * row["attentiveness"], -row["n_votes"]))[:most]


def _with_truth(
    mean: np.ndarray, ids: pyarrow.Array, true: object, first: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Posterior means and true values of the users of a batch, which begins at row `first`."""
    if isinstance(true, dict):
        values = np.array([true.get(str(user)) for user in ids.to_pylist()], dtype=np.float64)
    elif isinstance(true, list):
        values = np.array(true[first : first + len(mean)], dtype=np.float64)
    else:
        return []
    both = np.isfinite(mean) & np.isfinite(values)
    return [(mean[both], values[both])]


@contextmanager
def _opened(path: Path, names: list[str]) -> Iterator[pyarrow.parquet.ParquetFile]:
    """A parquet file that has the columns `names`."""
    if not path.is_file():
        raise OutputError(f"{path.parent} holds no {path.name}. {AGAIN}")
    try:
        # ParquetFile, not read_table: a folder called "x=1" must not be taken for a partition, and add a
        # column.
        with pyarrow.parquet.ParquetFile(path) as file:
            missing = [name for name in names if name not in file.schema_arrow.names]
            if missing:
                raise OutputError(f"{path} has no column {', '.join(missing)}. {AGAIN}")
            yield file
    except OutputError:
        raise
    except (OSError, pyarrow.ArrowException) as error:
        raise OutputError(f"{path} cannot be read as parquet ({_first_line(error)}). {AGAIN}") from error


def _read_table(
    path: Path,
    names: list[str],
    numbers: list[str],
    optional: tuple[list[str], list[str]] = ([], []),
    missing: str | None = "",
) -> dict[str, np.ndarray]:
    """The table as NumPy arrays (names as str objects, or `missing`).

    `optional` are more names, and more numbers, that a table need not have.
    """
    with _opened(path, [*names, *numbers]) as file:
        table = file.read()
    more, figures = ([name for name in there if name in table.column_names] for there in optional)
    columns = _numbers(table, numbers + figures, path)
    return columns | {
        name: np.array([missing if v is None else str(v) for v in table.column(name).to_pylist()], object)
        for name in names + more
    }


def _numbers(table: pyarrow.Table | pyarrow.RecordBatch, names: list[str], path: Path) -> dict:
    """Columns of numbers as float64 arrays, NaN for null."""
    try:
        return {name: _floats(table.column(name)) for name in names}
    except (pyarrow.ArrowException, ValueError) as error:
        raise OutputError(
            f"{path} has a column that should hold numbers and does not ({error}). {AGAIN}"
        ) from error


def _floats(column: pyarrow.ChunkedArray | pyarrow.Array) -> np.ndarray:
    column = column.cast(pyarrow.float64())
    if isinstance(column, pyarrow.Array):
        return np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.asarray(column.to_numpy(), dtype=np.float64)


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
    return (str(error).splitlines() or ["no details"])[0]
