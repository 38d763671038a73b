"""Small vote files for tests."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emjax.data.aggregate import aggregate
from emjax.errors import OutputError, VotesError

COLUMNS = ("user", "model_a", "model_b", "winner")


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
