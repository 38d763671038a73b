"""JSON in duckdb, as lines or as an array: every column as it was written; only structure is guessed.

The engine's own guess takes texts that look like dates, times or UUIDs for such, and rounds large numbers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from emjax.data.file_tables import identifier, literal, quoted
from emjax.data.find_files import is_json

_MOST_FIELDS = (
    200  # of an object that becomes a struct; with more of them its keys are data, and it stays JSON
)
_SAMPLE = 20_480  # rows
_OBJECTS = "json_type(json) = 'OBJECT'"
_WHOLE = "try_cast({v} AS BIGINT) IS NOT NULL OR {v} IS NULL"
# Whether numbers as they are written are the same in the type that the engine has for their column.
_EXACT = {
    **dict.fromkeys(("BIGINT", "UBIGINT", "HUGEINT"), _WHOLE),
    "DOUBLE": "(NOT regexp_full_match({v}, '-?[0-9]{{16,}}') AND isfinite({v}::DOUBLE)) OR {v} IS NULL",
}
_PLAIN = {"JSON": "VARCHAR", "NULL": "VARCHAR", "HUGEINT": "BIGINT"}


def lines_of(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> duckdb.DuckDBPyRelation:
    """Each object as JSON, in the column `json`."""
    return _read(connection, paths, {"json": "JSON"}, records="false")


def _read(
    connection: duckdb.DuckDBPyConnection, paths: Iterable[str], columns: dict[str, str], records: Any
) -> duckdb.DuckDBPyRelation:
    paths = list(paths)
    lines = "auto" if any(map(is_json, paths)) else "newline_delimited"
    return connection.read_json(literal(paths), format=lines, columns=columns, records=records)


def keys_of(connection: duckdb.DuckDBPyConnection, path: str, *, sampled: bool) -> tuple[str, ...]:
    """The keys of the objects in a file, by their first row; of its first 20,480 rows where sampled."""
    lines = lines_of(connection, [path])
    keys = (lines.limit(_SAMPLE) if sampled else lines).filter(_OBJECTS)
    numbered = keys.project("json_keys(json) AS keys, row_number() OVER () AS line")
    listed = numbered.aggregate("keys, min(line) AS line").order("line").fetchall()
    return tuple(dict.fromkeys(key for keys, _ in listed for key in keys))


def structure_of(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> dict[str, Any]:
    """For each key of all rows of all files, what `from_json` is to make of its values.

    Columns of numbers that no type of the engine holds exactly are text. A limit: within lists and objects
    whole numbers beyond 64 bits are rounded, and those of 64 bits are missing where others are negative.
    """
    objects = lines_of(connection, paths).filter(_OBJECTS)
    found = objects.aggregate("json_group_structure(json)::VARCHAR").fetchall()[0][0]
    structure = {key: _plain(value) for key, value in json.loads(found or "{}").items()}
    numbers = [key for key, value in structure.items() if str(value) in _EXACT]
    if numbers:
        texts = objects.project(f"json_extract_string(json, {_pointers(numbers)}) AS v")
        checks = (_EXACT[structure[key]].format(v=f"v[{at}]") for at, key in enumerate(numbers, 1))
        exact = texts.aggregate(", ".join(f"bool_and({check})" for check in checks)).fetchall()[0]
        for key, holds in zip(numbers, exact, strict=True):
            fitting = "DOUBLE" if structure[key] == "DOUBLE" else "BIGINT"
            structure[key] = fitting if holds else "VARCHAR"
    return structure


def _plain(structure: Any) -> Any:
    """A structure with text, JSON where need be, in place of what no other type holds in all rows."""
    if isinstance(structure, list):
        return [_plain(structure[0])]
    if isinstance(structure, dict):
        folded = {key.lower() for key in structure}  # to the engine A and a are one name
        fits = 0 < len(structure) <= _MOST_FIELDS and len(folded) == len(structure) and "" not in folded
        return {key: _plain(value) for key, value in structure.items()} if fits else "VARCHAR"
    return _PLAIN.get(structure, structure)


def json_values(
    connection: duckdb.DuckDBPyConnection, paths: Iterable[str], keys: Mapping[int, str]
) -> duckdb.DuckDBPyRelation:
    """The values of a few keys in JSON, as value0, value1, ... by their numbers."""
    if len({key.lower() for key in keys.values()}) < len(keys):
        return _values(lines_of(connection, paths), keys)
    table = _read(connection, paths, dict.fromkeys(keys.values(), "JSON"), records="true")
    return table.project(", ".join(f"{identifier(key)} AS value{at}" for at, key in keys.items()))


def json_columns(
    connection: duckdb.DuckDBPyConnection,
    paths: Iterable[str],
    keys: Sequence[str],
    structure: Mapping[str, Any],
) -> duckdb.DuckDBPyRelation:
    """The values of keys in JSON as value0, value1, ..., and in their own types as column0, column1, ..."""
    values = _values(lines_of(connection, paths), dict(enumerate(keys)))
    typed = (
        f"{_typed(f'value{at}', structure.get(key, 'VARCHAR'))} AS column{at}" for at, key in enumerate(keys)
    )
    return values.project(", ".join(["*", *typed]))


def _values(lines: duckdb.DuckDBPyRelation, keys: Mapping[int, str]) -> duckdb.DuckDBPyRelation:
    other = "error('Expected OBJECT, but got ' || coalesce(json_type(json), 'NULL'))"
    rows = lines.project(
        f"CASE WHEN {_OBJECTS} THEN json_extract(json, {_pointers(keys.values())}) ELSE {other} END AS v"
    )
    return rows.project(", ".join(f"v[{place}] AS value{at}" for place, at in enumerate(keys, 1)))


def _typed(value: str, structure: Any) -> str:
    if structure == "VARCHAR":
        return f"({value} ->> '$')"
    return f"from_json({value}, {quoted(json.dumps(structure))})"


def _pointers(keys: Iterable[str]) -> str:
    """JSON pointers to keys of an object, which may hold dots and slashes, as a list for the engine."""
    pointers = ("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
    return f"[{', '.join(map(quoted, pointers))}]"
