"""Name columns: columns of names as a caller has them, made of types that every engine can count."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from emjax.data.ids import identify
from emjax.errors import VotesError

# Types whose values an engine would return as floats, or not at all; as text they are exact.
_AS_TEXT = (nw.Int128, nw.UInt128, nw.Unknown)


def as_names(table: Any, called: Mapping[str, str]) -> Any:
    """The table with columns of names in types that can be counted.

    Parameters
    ----------
    table : narwhals frame
    called : mapping
        For each column of names, what a message calls it, as `columns.in_words` says.

    Raises
    ------
    VotesError
        A column holds lists or structs, or values that cannot be made text.
    """
    schema, changed = table.collect_schema(), []
    for role, column in called.items():
        dtype = schema[role]
        if dtype.is_nested():
            raise VotesError(not_names(column, str(dtype)))
        if dtype == nw.Object and isinstance(table, nw.DataFrame):
            changed.append(_from_objects(table[role], column))
        elif dtype in _AS_TEXT or (dtype == nw.Categorical and _in_chunks(table, role)):
            changed.append(nw.col(role).cast(nw.String))
    try:
        return table.with_columns(*changed) if changed else table
    except (pa.ArrowException, nw.exceptions.NarwhalsError, TypeError) as error:
        columns = ", ".join(column for role, column in called.items() if schema[role] in _AS_TEXT)
        raise VotesError(f"column {columns} cannot be made text ({error}): name another column") from error


def _in_chunks(table: Any, role: str) -> bool:
    """Whether this is a pyarrow table that codes a column in chunks, each with a dictionary of its own."""
    return table.implementation is nw.Implementation.PYARROW and table.to_native().column(role).num_chunks > 1


def column_table(columns: Mapping[str, Any]) -> pa.Table:
    """A dict of columns as a table; values of several types in one column as text.

    Raises
    ------
    VotesError
        The columns differ in length, or one of them is no list of values.
    """
    made = {}
    for name, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise VotesError(f"column {name!r} is no list of values: give one value for each vote")
        try:
            made[str(name)] = pa.array(values, from_pandas=True)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            ids, missing = identify(values, f"{name} name")
            made[str(name)] = pa.array(
                [None if gone else str(x) for x, gone in zip(ids, missing, strict=True)]
            )
    lengths = {name: len(values) for name, values in made.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise VotesError(f"the columns differ in length ({listed}): give one value for each vote")
    return pa.table(made)


def not_names(column: str, kind: str) -> str:
    """The message for a column of lists or structs; it is called as `columns.in_words` says."""
    return f"column {column} holds {kind}, which are no names: name a column of text or numbers"


def unique_columns(names: list[str]) -> None:
    """Raise a VotesError where two columns of a table have one name."""
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        listed = ", ".join(map(repr, twice[:5]))
        raise VotesError(f"several columns are called {listed}: rename them, or leave all but one out")


def _from_objects(column: nw.Series[Any], name: str) -> nw.Series[Any]:
    """Python objects of several kinds as text, or as whole numbers if that is all they are."""
    values = np.empty(len(column), object)
    values[:] = column.to_list()
    try:
        ids, missing = identify(values, "name")
    except VotesError as error:
        raise VotesError(f"column {name}: {error}") from None
    if ids.dtype != object and not missing.any():
        return nw.new_series(column.name, ids, nw.Int64, backend=column.implementation)
    text = [None if gone else str(value) for value, gone in zip(ids, missing, strict=True)]
    return nw.new_series(column.name, text, nw.String, backend=column.implementation)
