"""Vote files as tables of duckdb, in which every column has a name that every version of it understands."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.data.name_columns import not_names
from emjax.errors import VotesError

_LONGEST_LINE = 16 * 2**20  # bytes; the texts that were compared may stand in the same row
_NESTED = {"list": "lists", "array": "lists", "struct": "structs", "map": "maps", "union": "unions"}
# Types that can be counted as they are; values of others would come out of the engine inexact, or not at all.
_KEPT = (
    *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
    *("float", "double", "decimal", "varchar", "blob", "enum"),
)


def literal(paths: Iterable[str]) -> Any:
    """Paths in which the engine sees no pattern; it takes lists, though not all of its annotations say so."""
    return ["".join(f"[{letter}]" if letter in "*?[" else letter for letter in path) for path in paths]


def quoted(text: str) -> str:
    """A literal for the engine."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name for the engine, whatever dots and quotes are in it."""
    return '"' + name.replace('"', '""') + '"'


def cells_of(
    connection: duckdb.DuckDBPyConnection,
    paths: Iterable[str],
    separator: str,
    skip: int,
    width: int,
    **options: Any,
) -> duckdb.DuckDBPyRelation:
    """Files of separated text as column0, column1, ..., all text.

    Nothing is guessed: a reader that looks for the dialect by itself may skip lines it finds odd.
    """
    return connection.read_csv(
        literal(paths),
        header=True,
        auto_detect=False,
        columns={f"column{place}": "VARCHAR" for place in range(width)},
        sep=separator,
        quotechar='"',
        escapechar='"',
        skiprows=skip,
        max_line_size=_LONGEST_LINE,
        **options,
    )


def parquet_of(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> duckdb.DuckDBPyRelation:
    """Parquet files as column0, column1, ..."""
    table = _parquet(connection, paths)
    return table.project(
        ", ".join(f"{identifier(name)} AS column{place}" for place, name in enumerate(table.columns))
    )


def parquet_layout(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[tuple[str, ...], str]:
    """Names of the columns of a parquet file as they are written there, and their types."""
    table = _parquet(connection, [path])
    names = tuple(table.columns)
    if any(name[-1:].isdigit() for name in names):  # the engine numbers columns without a name of their own
        with suppress(pa.ArrowException, OSError):
            written = tuple(pq.read_schema(path).names)
            names = written if len(written) == len(names) else names
    return names, str(table.types)


def _parquet(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> duckdb.DuckDBPyRelation:
    # the folders of a path are no columns here
    return connection.read_parquet(literal(paths), hive_partitioning=False)


def countable(table: duckdb.DuckDBPyRelation, called: Mapping[str, str]) -> dict[str, str]:
    """For columns of names, SQL that gives them in types that can be counted.

    Parameters
    ----------
    table : relation
    called : mapping
        For each of these columns, what a message calls it.

    Raises
    ------
    VotesError
        A column holds lists, structs, maps or unions.
    """
    kinds = dict(zip(table.columns, table.types, strict=True))
    return {name: _countable(identifier(name), kinds[name], column) for name, column in called.items()}


def _countable(name: str, kind: Any, column: str) -> str:
    if kind.id in _NESTED:
        raise VotesError(not_names(column, _NESTED[kind.id]))
    if str(kind) == "JSON":
        return _json_text(name, column)
    return name if kind.id in _KEPT else f"{name}::VARCHAR"


def _json_text(value: str, column: str) -> str:
    """SQL for JSON as text; an error that names the column where it is a list or an object."""
    text = f"{value}::VARCHAR"
    # An error that does not depend on the row would be raised while the engine plans.
    lists, structs = (
        f"error({quoted(not_names(column, what))} || left({text}, 0))" for what in ("lists", "structs")
    )
    return (
        f"CASE WHEN starts_with({text}, '[') THEN {lists} WHEN starts_with({text}, '{{') THEN {structs} "
        f"ELSE {value} ->> '$' END"
    )
