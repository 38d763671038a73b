"""What a view was given: a fit or its summary, and a table of any type, as plain numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from emjax.errors import ModelError
from emjax.infer.fit import Fit

Table = Any  # a mapping of arrays, or a table of any type that votes are read from


def summary_of(fit: Fit | dict) -> dict:
    """The plain numbers of a fit; a summary stays what it is."""
    return fit.summary() if isinstance(fit, Fit) else fit


def columns_of(
    table: Table, names: Sequence[str], *, source: str, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Columns of a table as arrays; optional ones only if they are there.

    Parameters
    ----------
    table : mapping of arrays, or a pandas, polars, pyarrow or duckdb table
    names : sequence of str
        Columns that must be there.
    source : str
        What gives such a table, for the message: "fit.users(prefs)".
    optional : sequence of str
        More columns.

    Raises
    ------
    ModelError
        When it is no table, or a column is missing.

    Examples
    --------
    >>> import pyarrow as pa
    >>> columns_of(pa.table({"n_votes": [3, None]}), ["n_votes"], source="fit.users(prefs)")
    {'n_votes': array([ 3., nan])}
    """
    if isinstance(table, Mapping):
        held, columns = list(table), table
    else:
        try:
            frame = nw.from_native(table)
        except TypeError:
            given = type(table).__name__
            raise ModelError(f"a view takes a table such as {source} gives; got a {given}.") from None
        held = frame.collect_schema().names()
        wanted = frame.select([name for name in (*names, *optional) if name in held])
        columns = wanted.collect() if isinstance(wanted, nw.LazyFrame) else wanted
    missing = [name for name in names if name not in held]
    if missing:
        raise ModelError(f"the table has no column {', '.join(missing)}: give one such as {source}.")
    shown = [*names, *(name for name in optional if name in held)]
    return {name: np.asarray(columns[name]) for name in shown}
