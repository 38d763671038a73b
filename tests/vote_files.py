"""Small vote files for tests."""

import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from emjax.data.aggregate import aggregate
from emjax.errors import OutputError, VotesError

COLUMNS = ("user", "model_a", "model_b", "winner")
TABLE_TYPES = (
    *("pandas", "polars", "polars lazy", "pyarrow", "duckdb"),
    *("v.csv", "v.tsv", "v.jsonl", "v.parquet"),
)


def write(path: Path, rows: list[tuple], names: tuple[str, ...] = COLUMNS) -> Path:
    """Write rows in the format that the path's name says."""
    columns = dict(zip(names, map(list, zip(*rows, strict=True)) if rows else [[]] * 4, strict=True))
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def drawn(seed: int, n: int = 400, users: int = 30, models: int = 4) -> list[tuple]:
    rng = np.random.default_rng(seed)
    first = rng.integers(models, size=n)
    second = (first + rng.integers(1, models, n)) % models
    words = np.array(["model_a", "b", "tie", "left"])[rng.integers(4, size=n)]
    user = rng.integers(users, size=n)
    return [(int(u), f"m{a}", f"m{b}", str(w)) for u, a, b, w in zip(user, first, second, words, strict=True)]


def folder_of(tmp_path: Path, kind: str = ".parquet", files: int = 4) -> Path:
    folder = tmp_path / "votes"
    folder.mkdir(exist_ok=True)
    for number in range(files):
        write(folder / f"{number}{kind}", drawn(number))
    return folder


def message_of(source, out, **options) -> str:
    with pytest.raises((VotesError, OutputError)) as caught:
        aggregate(source, out, **options)
    return str(caught.value)


def source_of(kind: str, columns: dict[str, list], folder: Path):
    """Columns as a table of one of `TABLE_TYPES`, or as a file of its name."""
    table = pa.table(columns)
    if kind == "pandas":  # whose rows need not be in the order of its index
        return table.to_pandas().set_index(np.arange(len(table))[::-1] // 2)
    if kind == "pyarrow":
        return table
    if kind == "duckdb":
        return duckdb.from_arrow(table)
    if kind.startswith("polars"):
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame.lazy() if kind == "polars lazy" else frame
    path = folder / kind
    if path.suffix in (".csv", ".tsv"):
        delimiter = "," if path.suffix == ".csv" else "\t"
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(delimiter=delimiter))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(table.to_pylist(), indent=1), encoding="utf-8")
    else:
        pq.write_table(table, path)
    return path
