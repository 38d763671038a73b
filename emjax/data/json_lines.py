"""JSON lines in duckdb: every column as it was written; structure is guessed, dates and ids are not.

The engine's own guess takes texts that look like dates, times or UUIDs for such, and rounds large numbers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from emjax.data.name_columns import not_names

_MOST_FIELDS = (
    200  # of an object that becomes a struct; with more, its fields are data, and it stays JSON text
)
_SAMPLE = 20_480  # rows
_OBJECTS = "json_type(json) = 'OBJECT'"


def lines_of(connection: duckdb.DuckDBPyConnection, literal: Any) -> duckdb.DuckDBPyRelation:
    """Each line as JSON, in the column `json`."""
    return connection.read_json(
        literal, format="newline_delimited", columns={"json": "JSON"}, records="false"
    )


def keys_of(connection: duckdb.DuckDBPyConnection, literal: Any, *, sampled: bool = True) -> tuple[str, ...]:
    """The keys of the objects in a file, in order of their first row; of the first 20,480 rows where sampled."""
    lines = lines_of(connection, literal)
    keys = (lines.limit(_SAMPLE) if sampled else lines).filter(_OBJECTS)
    numbered = keys.project("json_keys(json) AS keys, row_number() OVER () AS line")
    listed = numbered.aggregate("keys, min(line) AS line").order("line").fetchall()
    return tuple(dict.fromkeys(key for keys, _ in listed for key in keys))


def structure_of(connection: duckdb.DuckDBPyConnection, literal: Any) -> dict[str, Any]:
    """For each key of all rows of all files, what `from_json` is to make of its values.

    Nothing is lost at the top: a column of numbers that no type of the engine holds exactly is text. A limit:
    within lists and objects numbers beyond 64 bits are rounded to floats.
    """
    objects = lines_of(connection, literal).filter(_OBJECTS)
    found = objects.aggregate("json_group_structure(json)::VARCHAR").fetchall()[0][0]
    structure = {key: _plain(value) for key, value in json.loads(found or "{}").items()}
    numbers = [key for key, value in structure.items() if value in _EXACT]
    if numbers:
        texts = objects.project(f"json_extract_string(json, {_list(map(pointer, numbers))}) AS v")
        checks = (_EXACT[structure[key]].format(v=f"v[{at}]") for at, key in enumerate(numbers, 1))
        exact = texts.aggregate(", ".join(f"bool_and({check})" for check in checks)).fetchall()[0]
        for key, holds in zip(numbers, exact, strict=True):
            integer = structure[key] != "DOUBLE"
            structure[key] = "VARCHAR" if not holds else "BIGINT" if integer else "DOUBLE"
    return structure


# Whether a number as it is written is the same in the type that the engine has for the column.
_WHOLE = "try_cast({v} AS BIGINT) IS NOT NULL OR {v} IS NULL"
_EXACT = {
    "BIGINT": _WHOLE,
    "UBIGINT": _WHOLE,
    "DOUBLE": "NOT regexp_full_match({v}, '-?[0-9]{{16,}}') AND isfinite({v}::DOUBLE) OR {v} IS NULL",
}


def _plain(structure: Any) -> Any:
    """A structure in which JSON text stands where no other type fits all rows."""
    if isinstance(structure, list):
        return [_plain(structure[0])]
    if isinstance(structure, dict):
        folded = {key.lower() for key in structure}  # of an engine that takes A and a for one name
        fits = 0 < len(structure) <= _MOST_FIELDS and len(folded) == len(structure) and "" not in folded
        return {key: _plain(value) for key, value in structure.items()} if fits else "VARCHAR"
    return "VARCHAR" if structure in ("JSON", "NULL") else structure


def as_columns(
    lines: duckdb.DuckDBPyRelation, keys: Sequence[str], structure: Mapping[str, Any]
) -> duckdb.DuckDBPyRelation:
    """The values of keys as value0, value1, ... in JSON, and as column0, column1, ... in their own types."""
    rows = lines.project(
        f"CASE WHEN {_OBJECTS} THEN json_extract(json, {_list(map(pointer, keys))}) "
        f"ELSE error('Expected OBJECT, but got ' || coalesce(json_type(json), 'NULL')) END AS v"
    )
    return rows.project(
        ", ".join(
            f"v[{at + 1}] AS value{at}, {_typed(f'v[{at + 1}]', structure.get(key, 'VARCHAR'))} AS column{at}"
            for at, key in enumerate(keys)
        )
    )


def _typed(value: str, structure: Any) -> str:
    if (
        structure == "VARCHAR"
    ):  # `from_json` would give text in quotation marks where a row holds another type
        return f"({value} ->> '$')"
    return f"from_json({value}, {quoted(json.dumps(structure))})"


def name_text(value: str, column: str) -> str:
    """SQL for a name as text, from JSON; an error that names the column where it is a list or an object."""
    text = f"{value}::VARCHAR"
    refused = " ".join(
        f"WHEN starts_with({text}, '{begin}') THEN error({quoted(not_names(column, what))} || left({text}, 0))"
        for begin, what in (("[", "lists"), ("{", "structs"))
    )  # that the message depends on the row keeps the engine from raising it while it plans
    return f"CASE {refused} ELSE {value} ->> '$' END"


def pointer(key: str) -> str:
    """A JSON pointer to a key of an object.

    Examples
    --------
    >>> pointer("a/b.c")
    '/a~1b.c'
    """
    return "/" + key.replace("~", "~0").replace("/", "~1")


def quoted(text: str) -> str:
    """A literal for the engine."""
    return "'" + text.replace("'", "''") + "'"


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"
