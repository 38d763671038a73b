"""Tables of results in the type of table that the votes came in, and as parquet files."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.data.preferences import Preferences
from emjax.errors import OutputError, VotesError


def join_users(prefs: Preferences, columns: Mapping[str, Any], *, nullable: Sequence[str] = ()) -> Any:
    """Answers about the users of `prefs` as a table of the type that the votes came in.

    Parameters
    ----------
    prefs : Preferences
    columns : mapping of str to (m,) arrays
        One entry per user, in the order of `prefs.users`.
    nullable : sequence of str
        Columns in which NaN means that there is no answer, and becomes null.

    Returns
    -------
    table
        Its first column is `user`. A pandas or polars data frame (for a lazy one, too), a duckdb relation, or
        a pyarrow table for anything else.

    Raises
    ------
    VotesError
        A column does not have one entry per user, or is called `user`.

    Notes
    -----
    A limit: a duckdb relation lives in duckdb's default connection, whichever one the votes were in.

    Examples
    --------
    >>> prefs = Preferences.from_counts([3, 1], [4, 4], users=["ann", "bob"])
    >>> join_users(prefs, {"attentiveness": [0.8, 0.1]}).to_pydict()
    {'user': ['ann', 'bob'], 'attentiveness': [0.8, 0.1]}
    """
    for name, values in columns.items():
        if name == "user":
            raise VotesError("the column user holds the users themselves: give the other one another name")
        if len(values) != prefs.n_users:
            counted = f"{len(values):,} entries for {prefs.n_users:,} users"
            raise VotesError(f"column {name!r} has {counted}: give one per user")
    return as_frame({"user": prefs.users, **columns}, prefs.frame, nullable=nullable)


def as_frame(columns: Mapping[str, Any], frame: str, *, nullable: Sequence[str] = ()) -> Any:
    """Columns as a table of the type that `Preferences.frame` names.

    Parameters
    ----------
    columns : mapping of str to arrays of one length
    frame : str
        "pandas", "polars" or "duckdb"; a pyarrow table for anything else.
    nullable : sequence of str
        Columns in which NaN becomes null.

    Notes
    -----
    A limit: a pandas data frame shows null as NaN, as pandas does.

    Examples
    --------
    >>> as_frame({"model": ["a", "b"], "rank": [1, 2]}, "arrays").column_names
    ['model', 'rank']
    """
    table = arrow_table(columns, nullable)
    if frame == "pandas":
        return table.to_pandas()
    if frame == "polars":
        return nw.from_arrow(table, backend="polars").to_native()
    return duckdb.from_arrow(table) if frame == "duckdb" else table


def write_parquet(
    columns: Mapping[str, Any], path: str | os.PathLike[str], *, nullable: Sequence[str] = ()
) -> None:
    """Write columns to a parquet file, whole or not at all.

    Parameters
    ----------
    columns : mapping of str to arrays or lists of one length
    path : path
        A file that is there already is replaced, at once and only when the new one is complete.
    nullable : sequence of str
        Columns in which NaN becomes null.

    Raises
    ------
    OutputError
        The columns differ in length, or the file cannot be written.

    Notes
    -----
    A limit: all columns are in memory at once.
    """
    write_parquet_parts([columns], path, nullable=nullable)


def write_parquet_parts(
    parts: Iterable[Mapping[str, Any]], path: str | os.PathLike[str], *, nullable: Sequence[str] = ()
) -> None:
    """As `write_parquet`, from parts with the same columns, one after the other; at least one.

    Notes
    -----
    A limit: one part is in memory at a time, so the first settles the types of all.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with ExitStack() as stack:
                file, writer = stack.enter_context(temporary.open("wb")), None
                for columns in parts:
                    table = _checked_table(columns, path, nullable)
                    if writer is None:
                        writer = stack.enter_context(pq.ParquetWriter(file, table.schema))
                    writer.write_table(table)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}; give a folder that can be written to") from error


def _checked_table(columns: Mapping[str, Any], path: Path, nullable: Sequence[str]) -> pa.Table:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise OutputError(f"cannot write {path}: the columns differ in length ({listed})")
    return arrow_table(columns, nullable)


def arrow_table(columns: Mapping[str, Any], nullable: Sequence[str]) -> pa.Table:
    """Columns as a pyarrow table; NaN is null in those that are nullable."""
    arrays = {name: _arrow_column(values, nan_is_null=name in nullable) for name, values in columns.items()}
    return pa.table(arrays)


def _arrow_column(values: Any, *, nan_is_null: bool) -> pa.Array:
    array = np.asarray(values, dtype=object) if isinstance(values, list) else np.asarray(values)
    return pa.array(array, from_pandas=nan_is_null)
