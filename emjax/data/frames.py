"""Frames: a caller's table with a row per vote, whatever library it is of and whatever is nested in it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pyarrow as pa

from emjax.data.columns import as_unfolded
from emjax.data.name_columns import column_table, unique_columns
from emjax.data.style_covariates import with_style
from emjax.data.unfold import unfolded, unfolding, without_votes
from emjax.data.vote_formats import VoteFormat, format_of
from emjax.errors import VotesError

SPARK = (nw.Implementation.PYSPARK, nw.Implementation.PYSPARK_CONNECT)
Told = dict[str, str | None]


class OpenedFrame(NamedTuple):
    """A table of narwhals with one row per vote.

    Attributes
    ----------
    table : narwhals frame
    told : dict
        What is told of its columns.
    form : VoteFormat, optional
        The format that it came in.
    left_out : mapping of str to int
        What its records hold that is no vote.
    """

    table: Any
    told: Told
    form: VoteFormat | None
    left_out: Mapping[str, int]


def opened_frame(source: Any, told: Mapping[str, str | None]) -> OpenedFrame:
    """A table with its votes taken out of its records, if they are nested there.

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
        return OpenedFrame(with_style(table, told), dict(told), format_of(columns, told), {})
    if table.implementation in SPARK:
        raise VotesError(f"votes of the format {form.name} are not taken out of records in Spark: use files")
    held = table.collect() if isinstance(table, nw.LazyFrame) else table
    left_out: Counter[str] = Counter()
    rows = list(unfolded(form, map(_lists, held.iter_rows(named=True)), told, left_out))
    if not rows:
        raise without_votes(form, "the table", left_out)
    names = dict.fromkeys(name for row in rows for name in row)
    made = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    backend = held.implementation
    return OpenedFrame(nw.from_arrow(made, backend=backend), as_unfolded(told, form), form, left_out)


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
