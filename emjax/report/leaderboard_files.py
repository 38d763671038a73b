"""Leaderboard files: the ranking as a table or a picture for other people, on a scale they know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from scipy.special import expit

from emjax.errors import ModelError, OutputError
from emjax.report.leaderboard_blocks import contexts_of

PICTURES = (".png", ".svg", ".pdf")
_ELO = 400.0 / np.log(10.0)  # points per unit of log-odds
_MEAN_ELO = 1000.0
# Columns that are strengths, and not widths of them.
_PLACES = ("strength", "lower", "upper", "ordinary_strength")
_ROUNDED = (*_PLACES, "std_err")


@dataclass(frozen=True)
class Scale:
    """A scale of strengths.

    Attributes
    ----------
    title : str
    column : str
        The heading of a column of strengths.
    reading : str
        How to read differences on it, as the end of "strengths ...".
    decimals : int
        Of a strength in a table of text.
    zero : float
        Where a model of average strength stands.
    place : callable
        (strengths, field) -> the same on this scale; `field` are the strengths that they are compared with.
    slope : callable
        The derivative of `place`, for standard errors.
    """

    title: str
    column: str
    reading: str
    decimals: int
    zero: float
    place: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _rate(strength: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Mean probability to win against the field, a model itself not among it; NaN without a field."""
    return _mean_of_others(expit(strength[:, None] - field[None, :]))


def _rate_slope(strength: np.ndarray, field: np.ndarray) -> np.ndarray:
    won = expit(strength[:, None] - field[None, :])
    return _mean_of_others(won * (1.0 - won))


def _mean_of_others(values: np.ndarray) -> np.ndarray:
    others = len(values) - 1
    return (values.sum(axis=1) - np.diag(values)) / others if others else np.full(len(values), np.nan)


SCALES = {
    "log-odds": Scale(
        "strength (log-odds)",
        "strength",
        "in log-odds: an attentive user prefers a model that leads by 1 in 73 % of votes, by 2 in 88 %",
        4,
        0.0,
        lambda s, field: s,
        lambda s, field: np.ones(len(s)),
    ),
    "elo": Scale(
        "Elo points",
        "Elo points",
        "in Elo points of mean 1000: an attentive user prefers a model that leads by 100 in 64 % of votes, "
        "by 400 in 91 %",
        1,
        _MEAN_ELO,
        lambda s, field: _MEAN_ELO + _ELO * s,
        lambda s, field: np.full(len(s), _ELO),
    ),
    "win-rate": Scale(
        "share of attentive votes won against the field",
        "win rate",
        "as win rates: how often an attentive user prefers the model, in the mean over the other models",
        4,
        0.5,
        _rate,
        _rate_slope,
    ),
}


def known_scale(scale: str) -> str:
    """The name of a scale as it is; a ModelError where there is no such scale.

    Examples
    --------
    >>> known_scale("elo")
    'elo'
    """
    if scale not in SCALES:
        raise ModelError(f"scale {scale!r} is not known: give {', '.join(SCALES)}.")
    return scale


def on_scale(board: Mapping[str, np.ndarray], scale: str) -> dict[str, np.ndarray]:
    """The columns of a leaderboard with strengths, standard errors and intervals on another scale.

    Parameters
    ----------
    board : mapping
        Columns of `leaderboard.parquet`.
    scale : {"log-odds", "elo", "win-rate"}
        Elo points have mean 1000, and 400 points are odds of 10 to 1. A win rate is the mean probability with
        which an attentive user prefers the model, over all other models of its component, each counted once;
        NaN for a model that is alone there. With contexts, components are those within a context, and those
        of the overall ranking.

    Raises
    ------
    ModelError
        There is no such scale.

    Notes
    -----
    Ends of intervals are those of the strength, placed on the scale while the other models stay where they
    are. A limit: Elo points of different components do not compare.

    Examples
    --------
    >>> board = {"model": np.array(["a", "b"], object), "strength": np.array([0.5, -0.5]),
    ...          "component": np.array([1, 1])}
    >>> on_scale(board, "win-rate")["strength"].round(3).tolist()
    [0.731, 0.269]
    >>> on_scale(board, "elo")["strength"].round().tolist()
    [1087.0, 913.0]
    """
    chosen, placed = SCALES[known_scale(scale)], dict(board)
    if scale == "log-odds":
        return placed
    fields = _fields(board)
    for number in range(int(fields.max(initial=-1)) + 1):
        of = fields == number
        for name in _PLACES:
            if name in board:
                field = "ordinary_strength" if name == "ordinary_strength" else "strength"
                values = np.array(placed[name], np.float64)
                values[of] = chosen.place(_numbers(board[name])[of], _numbers(board[field])[of])
                placed[name] = values
        if "std_err" in board:
            errors = np.array(placed["std_err"], np.float64)
            strength = _numbers(board["strength"])[of]
            errors[of] = _numbers(board["std_err"])[of] * chosen.slope(strength, strength)
            placed["std_err"] = errors
    return placed


def _fields(board: Mapping[str, np.ndarray]) -> np.ndarray:
    """For each row the number of its field: the rows of one component of one ranking compare."""
    # Folders of the first versions do not say which models are connected: they count as one component.
    components = board.get("component", np.ones(len(board["model"])))
    keys = list(zip(contexts_of(board), np.asarray(components).tolist(), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def read_board(folder: Path) -> dict[str, np.ndarray] | None:
    """The columns of the leaderboard in the folder of a fit; None where it has none."""
    path = folder / "leaderboard.parquet"
    if not path.is_file():
        return None
    table = pq.read_table(path)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def check_target(path: Path, kinds: tuple[str, ...], *, overwrite: bool) -> None:
    """Raise an OutputError where a file cannot be written, before any work is done for it."""
    if path.suffix.lower() not in kinds:
        raise OutputError(f"{path} cannot be written: its name must end in {' or '.join(kinds)}.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already: give another name, or --overwrite.")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}: make it, or give another name.")


def write_csv(board: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a leaderboard as a CSV file, strongest model first, for people.

    Strengths and what belongs to them have six significant digits. The column `context`, where there is one,
    says "overall" in the rows of the overall ranking; "(overall)" where that is the name of a context.

    Examples
    --------
    >>> import tempfile
    >>> board = {"context": np.array([None, "code"], object), "strength": np.array([1 / 3, 2.0])}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(board, Path(folder, "board.csv"))
    ...     print(Path(folder, "board.csv").read_text().replace('"', ""), end="")
    context,strength
    overall,0.333333
    code,2
    """
    columns = {name: _written(values) if name in _ROUNDED else values for name, values in board.items()}
    if "context" in board:
        named = contexts_of(board)
        overall = "overall"
        while overall in named:
            overall = f"({overall})"
        columns["context"] = np.array([overall if of is None else of for of in named], object)
    arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    pyarrow.csv.write_csv(pa.table(arrays), path)


def _written(values: np.ndarray) -> np.ndarray:
    """Numbers with six significant digits; more would say nothing beside their standard errors."""
    return np.array([float(f"{value:.6g}") for value in _numbers(values)], np.float64)


def write_picture(board: Mapping[str, np.ndarray], scale: str, path: Path) -> None:
    """Draw a leaderboard that is on a scale, as PNG, SVG or PDF by the name of the file.

    With contexts, the overall ranking, and a small picture of the ranking in each context below it.
    """
    from emjax.report.leaderboard_picture import leaderboard_picture

    chosen = SCALES[scale]
    figure: Any = leaderboard_picture(board, title=chosen.title, zero=chosen.zero)
    figure.savefig(path, dpi=200, bbox_inches="tight")


def _numbers(column: np.ndarray) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in column], np.float64)
