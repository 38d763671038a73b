"""Anchor votes on disk: a parquet file with one row per user and question."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.data.anchors import AnchorVotes, check_accuracy, gathered
from emjax.data.ids import as_ids, offenders, unique_ids
from emjax.data.outcome_schema import Outcomes
from emjax.data.write import write_parquet
from emjax.errors import VotesError

_KINDS = [Outcomes(sides, ties) for sides in (False, True) for ties in (False, True)]


def write_anchor_votes(anchor_votes: AnchorVotes, path: str | os.PathLike[str]) -> None:
    """Write `AnchorVotes` to a parquet file, whole or not at all; `read_anchor_votes` reads it.

    Columns: user, accuracy (how often an attentive user answers such a question rightly), and the user's
    votes of each outcome: "A won" (answered rightly), "B won" (wrongly), and more where ties or sides are
    separate.

    Raises
    ------
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> import emjax, tempfile, pathlib
    >>> known = emjax.AnchorVotes.from_counts(["ann", "bob"], right=[9, 4], wrong=[1, 6])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     emjax.write_anchor_votes(known, pathlib.Path(folder, "gold.parquet"))
    ...     emjax.read_anchor_votes(pathlib.Path(folder, "gold.parquet"))
    AnchorVotes: 20 votes of 2 users on 1 question of known strength
    """
    write_parquet(anchor_votes.columns, path)


def read_anchor_votes(path: str | os.PathLike[str]) -> AnchorVotes:
    """Read `AnchorVotes` from a parquet file of `write_anchor_votes` or `emjax fit` (history.parquet).

    Raises
    ------
    VotesError
        The file is missing, is not such a file, or holds counts or accuracies out of range.

    Notes
    -----
    A limit: users are as they were written, numbers or text; 7 and "7" are one user, 7 and "007" are two.

    Examples
    --------
    >>> import emjax, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "gold.parquet")
    ...     known = emjax.AnchorVotes.from_counts([1, 2], [3, 0], [0, 3], accuracy=0.9)
    ...     emjax.write_anchor_votes(known, path)
    ...     emjax.read_anchor_votes(path).accuracy
    array([0.9])
    """
    path = Path(path)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except FileNotFoundError:
        raise VotesError(
            f"there is no file {path}: give one that emjax fit or write_anchor_votes wrote"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise VotesError(f"{path} cannot be read as parquet ({error})") from None
    outcomes = outcomes_of(table.column_names)
    if outcomes is None:
        raise VotesError(
            f"{path} holds no anchor votes: its columns are {', '.join(table.column_names)}, and not user, "
            f"accuracy and votes by outcome ({', '.join(_KINDS[0].names)})"
        )
    users, user = unique_ids(as_ids(table.column("user").to_numpy(), "user"))
    if not all(
        pa.types.is_floating(table.schema.field(name).type) for name in {*table.column_names} - {"user"}
    ):
        raise VotesError(
            f"{path} holds no anchor votes: accuracy and votes must be columns of floating-point numbers"
        )
    counts = np.column_stack([table.column(name).to_numpy() for name in outcomes.names])
    bad = np.any(~np.isfinite(counts) | (counts < 0.0), axis=1)
    if bad.any():
        raise VotesError(f"{path}: " + offenders(bad, "have a count that is negative or not finite"))
    accuracy = check_accuracy(table.column("accuracy").to_numpy())
    return gathered(users, user, accuracy, counts, outcomes)


def outcomes_of(columns: Sequence[str]) -> Outcomes | None:
    """The outcomes in a file with these columns; None if it holds no anchor votes."""
    kinds = [kind for kind in _KINDS if set(columns) == {"user", "accuracy", *kind.names}]
    return kinds[0] if kinds else None
