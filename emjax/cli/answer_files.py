"""Files about answers: features for `RewardNetwork` (--features), scores for `MonotoneReward` (--scores)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from emjax.cli.parse import blaming, parse_strength
from emjax.errors import ModelError, warn
from emjax.model.reward_calibration import MonotoneReward
from emjax.model.reward_network import RewardNetwork
from emjax.model.strength import Strength


def parse_answers(
    strength: str, item: str | None, features: str | None, scores: str | None
) -> Strength | None:
    """The strength of --features or --scores, or the one of --strength and --item where neither is given."""
    if features is None and scores is None:
        return None
    option, file = ("--features", features) if features is not None else ("--scores", scores)
    if features is not None and scores is not None:
        raise ModelError("give --features FILE or --scores FILE, not both.")
    if item is None:
        raise ModelError(f"{option} {file} needs --item COLUMN, the column of VOTES that names the prompt.")
    if strength != "auto":
        parse_strength(strength)  # an unknown word is reported first
        raise ModelError(f"{option} says what the strength is: leave --strength {strength} out.")
    with blaming(f"{option} {file}"):
        table = _read(Path(str(file)), item)
        answers, numbers, names = _answers(table, item)
        if features is not None:
            return RewardNetwork(answers, numbers)
        if names != ["score"]:
            raise ModelError(
                f"scores are one column of numbers named score; got {', '.join(names[:5]) or 'none'}."
            )
        return MonotoneReward(answers, numbers[:, 0])


def _read(path: Path, item: str) -> pa.Table:
    """The table of a parquet, csv, tsv or jsonl file, with names as text."""
    text = {name: pa.string() for name in (item, "context", "model")}
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path)
        if path.suffix in (".csv", ".tsv"):
            return pyarrow.csv.read_csv(
                path,
                parse_options=pyarrow.csv.ParseOptions(delimiter="," if path.suffix == ".csv" else "\t"),
                convert_options=pyarrow.csv.ConvertOptions(column_types=text),
            )
        if path.suffix == ".jsonl":
            return pyarrow.json.read_json(path)
    except FileNotFoundError:
        raise ModelError("there is no such file.") from None
    except (OSError, pa.ArrowException) as error:
        raise ModelError(f"it cannot be read: {str(error).splitlines()[0]}") from None
    raise ModelError("its name has to end in .parquet, .csv, .tsv or .jsonl.")


def _answers(table: pa.Table, item: str) -> tuple[list[tuple[Any, Any]], np.ndarray, list[str]]:
    """The answers, what is known of each (n, d), and what the columns are called."""
    context = next((name for name in (item, "context") if name in table.column_names), None)
    if context is None or "model" not in table.column_names:
        raise ModelError(
            f"it needs the columns {item!r} (or context) and model; it has "
            f"{', '.join(table.column_names[:8])}."
        )
    blocks, names, others = [], [], []
    for name in table.column_names:
        if name in (item, "context", "model"):
            continue
        block = _numbers(table.column(name), name)
        if block is None:
            others.append(name)
            continue
        blocks.append(block)
        names.append(name)
    if not blocks:
        raise ModelError("it has no column of numbers beside the prompt and the model.")
    if others:
        warn(f"Columns that do not hold numbers are ignored: {', '.join(map(repr, others[:5]))}.")
    answers = list(zip(table.column(context).to_pylist(), table.column("model").to_pylist(), strict=True))
    return answers, np.concatenate(blocks, axis=1), names


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray | None:
    """A column of numbers (n, 1), or of lists of numbers of one length (n, d); None for other columns."""
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        filled = [np.nan if value is None else float(value) for value in column.to_pylist()]
        return np.array(filled, dtype=np.float64)[:, None]
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return None
    rows = column.to_pylist()
    sizes = [-1 if row is None else len(row) for row in rows]
    size = max(sizes, default=0)
    wrong = [i for i, length in enumerate(sizes) if length != size]
    if wrong:
        raise ModelError(
            f"{len(wrong):,} of {len(rows):,} rows of {name!r} do not hold {size:,} numbers, first row "
            f"{wrong[0] + 1:,}."
        )
    return np.array(rows, dtype=np.float64).reshape(len(rows), size)
