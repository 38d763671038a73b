"""Style covariates: differences in length and layout, from the counts of both answers in LMArena's files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import narwhals as nw

from emjax.errors import VotesError

SOURCE = "conv_metadata"
# For each difference the field of one answer, {} its letter; fields of several counts are summed.
_FIELDS = {
    "length_difference": "sum_assistant_{}_tokens",
    "header_difference": "header_count_{}",
    "list_difference": "list_count_{}",
    "bold_difference": "bold_count_{}",
}


def style_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of the differences that a table with these columns can give, A less B.

    Examples
    --------
    >>> style_columns(["model_a", "model_b", "conv_metadata"])
    ('length_difference', 'header_difference', 'list_difference', 'bold_difference')
    """
    return tuple(name for name in _FIELDS if name not in columns) if SOURCE in columns else ()


def style_sql(name: str, table: duckdb.DuckDBPyRelation, column: str) -> str:
    """SQL for a difference, from a column of counts: structs, JSON, or text that holds JSON."""
    kind = dict(zip(table.columns, table.types, strict=True))[column]
    counts = f'"{column}"::JSON' if kind.id == "varchar" and str(kind) != "JSON" else f'to_json("{column}")'
    return f"{_total(name, 'a', counts)} - {_total(name, 'b', counts)}"


def _total(name: str, letter: str, counts: str) -> str:
    field = _FIELDS[name].format(letter)
    whole = f"(({counts}) ->> '$.{field}')::DOUBLE"
    parts = f"list_sum(json_extract_string({counts}, '$.{field}.*')::DOUBLE[])"
    return f"(CASE WHEN json_type({counts}, '$.{field}') = 'OBJECT' THEN {parts} ELSE {whole} END)"


def with_style(table: Any, told: Mapping[str, str | None]) -> Any:
    """The table with the differences that are named in `told` and that it can give.

    Parameters
    ----------
    table : narwhals frame
    told : mapping
        The columns that are asked for, under any roles.

    Raises
    ------
    VotesError
        The counts are in an engine that emjax does not compute them in.
    """
    columns = [str(name) for name in table.collect_schema().names()]
    wanted = [name for name in style_columns(columns) if name in told.values()]
    if not wanted:
        return table
    native = table.to_native()
    if isinstance(native, duckdb.DuckDBPyRelation):
        sql = (f"{style_sql(name, native, SOURCE)} AS {name}" for name in wanted)
        return nw.from_native(native.project(", ".join(["*", *sql])))
    if isinstance(table, nw.LazyFrame):
        if table.implementation is not nw.Implementation.POLARS:
            raise VotesError(
                f"{', '.join(wanted)} cannot be computed from {SOURCE!r} here: add columns of these names"
            )
        table = table.collect()
    cells = [_counts(cell) for cell in table[SOURCE].to_list()]
    values = {name: [_difference(cell, _FIELDS[name]) for cell in cells] for name in wanted}
    kind = table.implementation
    made = [nw.new_series(name, listed, nw.Float64, backend=kind) for name, listed in values.items()]
    return table.with_columns(*made)


def _counts(cell: Any) -> Mapping[str, Any]:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return {}
    return cell if isinstance(cell, Mapping) else {}


def _difference(counts: Mapping[str, Any], field: str) -> float | None:
    sides = [_sum(counts.get(field.format(letter))) for letter in "ab"]
    return None if sides[0] is None or sides[1] is None else sides[0] - sides[1]


def _sum(value: Any) -> float | None:
    if isinstance(value, Mapping):
        return float(sum(number for number in value.values() if number is not None))
    return None if value is None else float(value)
