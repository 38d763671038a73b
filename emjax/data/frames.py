"""Frames: a caller's table with a row per vote, whatever library it is of and whatever is nested in it."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from emjax.data.name_columns import column_table, unique_columns
from emjax.data.style_covariates import with_style
from emjax.data.unfold import unfolded, unfolding
from emjax.data.vote_formats import VoteFormat, format_of
from emjax.errors import VotesError

SPARK = (nw.Implementation.PYSPARK, nw.Implementation.PYSPARK_CONNECT)
Told = dict[str, str | None]


def opened_frame(source: Any, told: Mapping[str, str | None]) -> tuple[Any, Told, VoteFormat | None]:
    """A table of narwhals with one row per vote, what is told of its columns, and the format it came in.

    Parameters
    ----------
    source : pandas, polars, pyarrow, duckdb or Spark table, or dict of columns
    told : mapping
        As for `recognise`.

    Raises
    ------
    VotesError
        It is no table, two columns have one name, or its records hold no votes.
    """
    source = column_table(source) if isinstance(source, dict) else source
    if hasattr(source, "column_names") or hasattr(source, "iloc"):  # pyarrow and pandas allow such tables
        unique_columns([str(name) for name in getattr(source, "column_names", source.columns)])
    try:
        table: Any = nw.from_native(source)
    except TypeError:
        kinds = "a data frame (pandas, polars, pyarrow, duckdb, Spark) or the path of a file"
        raise VotesError(f"cannot read votes from a {type(source).__name__}: give {kinds}") from None
    columns = [str(name) for name in table.collect_schema().names()]
    form = unfolding(columns, told)
    if form is None:
        return with_style(table, told), dict(told), format_of(columns, told)
    if table.implementation in SPARK:
        raise VotesError(f"votes of the format {form.name} are not taken out of records in Spark: use files")
    held = table.collect() if isinstance(table, nw.LazyFrame) else table
    rows = list(unfolded(form, map(_lists, held.iter_rows(named=True)), told))
    if not rows:
        raise VotesError(f"the table is of the format {form.name} ({form.title}), and holds no votes")
    names = dict.fromkeys(name for row in rows for name in row)
    made = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    backend = held.implementation
    return nw.from_arrow(made, backend=backend), {**told, "format": None}, form


def _lists(value: Any) -> Any:
    """Nested values with lists in place of the arrays that pandas reads from parquet."""
    if isinstance(value, dict):
        return {key: _lists(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return [_lists(each) for each in value] if isinstance(value, list) else value


def _column(values: list[Any]) -> pa.Array:
    """Values as they are, or as text where they are of several types."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
