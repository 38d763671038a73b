"""Counts in one dense array, for integer users and few comparisons; faster than a group-by."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.data.columns import ROLES, recognise, several_columns
from emjax.data.read_files import VoteFiles

_MOST_CELLS = 1 << 24  # of the array, users × combinations: 128 MB, and as much again while it is added to
_MOST_WORDS = 64  # in a column of models or winners
_MOST_COMBINATIONS = 16
_AT_ONCE = 1 << 22  # rows
_WORDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)


def counted_densely(files: VoteFiles) -> nw.DataFrame | None:
    """The distinct rows of parquet files with how often each occurs, as `count_table.row_counts` gives them.

    Parameters
    ----------
    files : VoteFiles

    Returns
    -------
    narwhals data frame, or None
        None where this does not apply: other formats, users who are not numbers or too far apart,
        many models or winners, anything missing or damaged. Then it is for the engine to count, and to find
        what is wrong.

    Notes
    -----
    Memory for an array of users times combinations, 256 MB at most, and for some million rows. A limit: how
    far apart users are is read from the statistics that parquet files usually hold.
    """
    if files.kind != "parquet":
        return None
    named = _columns(files)
    reach = None if named is None else _reach(files.paths, named[0])
    if named is None or reach is None:
        return None
    low, high = reach
    table = _Table(low, high - low + 1)
    try:
        counted = all(table.add(batch) for path in files.paths for batch in _batches(path, named))
    except (OSError, pa.ArrowException):
        return None
    return table.frame() if counted else None


class _Table:
    """Counts of users from `low` on, per combination of what stands in the three other columns."""

    def __init__(self, low: int, users: int) -> None:
        self.low, self.users = low, users
        self.slots: dict[tuple, int] = {}
        self.counts = np.zeros(0, np.int64)

    def add(self, batch: pa.Table) -> bool:
        """Count some rows; false if that cannot be done here."""
        columns = [_encoded(column) for column in batch.columns[1:]]
        if batch.column(0).null_count or any(len(words) > _MOST_WORDS or gaps for words, _, gaps in columns):
            return False
        cells = self._cells([words for words, _, _ in columns], [codes for _, codes, _ in columns])
        if cells is None:
            return False
        cells += np.asarray(batch.column(0), np.int64)
        cells -= self.low
        added = np.bincount(cells, minlength=len(self.slots) * self.users)
        added[: self.counts.size] += self.counts
        self.counts = added
        return True

    def _cells(self, words: list[list], codes: list[np.ndarray]) -> np.ndarray | None:
        """For each row where the counts of its combination begin; None if there are too many combinations."""
        keys = np.zeros(1, np.int32)
        for listed, code in zip(words, codes, strict=True):
            if len(listed) > 1:  # most often there is one model A and one model B
                keys = keys * np.int32(len(listed)) + code
        keys = np.broadcast_to(keys, codes[0].shape)
        combinations = list(product(*words))
        seen = range(len(combinations))
        if len(combinations) > _MOST_COMBINATIONS:
            seen = np.flatnonzero(np.bincount(keys)).tolist()
        begins = np.zeros(len(combinations), np.int64)
        for key in seen:
            begins[key] = self.slots.setdefault(combinations[key], len(self.slots)) * self.users
        if len(self.slots) > _MOST_COMBINATIONS or len(self.slots) * self.users > _MOST_CELLS:
            return None
        return begins[keys]

    def frame(self) -> nw.DataFrame:
        """The counts that are not zero as a table."""
        at = np.flatnonzero(self.counts)
        slot, user = np.divmod(at, self.users)
        words = [
            pa.DictionaryArray.from_arrays(pa.array(slot.astype(np.int32)), pa.array(list(column)))
            for column in zip(*self.slots, strict=True)
        ] or [pa.array([], pa.string())] * 3
        columns = [pa.array(user + self.low), *words, pa.array(self.counts[at])]
        return nw.from_native(pa.table(columns, names=[*ROLES, "votes"]), eager_only=True)


def _columns(files: VoteFiles) -> list[str] | None:
    """Names of the four columns, if they are of a type that is counted here, and the same in all files."""
    if len(set(files.layouts.values())) > 1 or files.copies:
        return None
    names = files.layouts[files.paths[0]].written
    if several_columns(names, files.told) is not None:
        return None
    place = recognise(names, files.told, where=f"of {files.paths[0]}")
    named = [names[place[role]] for role in ROLES]
    try:
        schema = pq.read_schema(files.paths[0])
    except (OSError, pa.ArrowException):  # damaged: the engine says how
        return None
    if len(set(named)) < len(named) or any(schema.names.count(name) != 1 for name in named):
        return None
    kinds = [schema.field(name).type for name in named]
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    known = all(any(is_kind(kind) for is_kind in _WORDS) for kind in kinds[1:])
    return named if known and pa.types.is_signed_integer(kinds[0]) else None


def _reach(paths: Sequence[str], user: str) -> tuple[int, int] | None:
    """The lowest and the highest user, if that is known and they are not too far apart."""
    low, high = [], []
    for path in paths:
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            found = metadata.row_group(group)
            columns = [found.column(number) for number in range(found.num_columns)]
            known = next((one.statistics for one in columns if one.path_in_schema == user), None)
            if known is None or not known.has_min_max:
                return None
            low.append(known.min)
            high.append(known.max)
    if not low or max(high) - min(low) >= _MOST_CELLS:
        return None
    return min(low), max(high)


def _batches(path: str, named: list[str]) -> Iterator[pa.Table]:
    """Rows of a file, millions at a time; the next are read meanwhile."""
    with pq.ParquetFile(path, read_dictionary=named[1:]) as file, ThreadPoolExecutor(1) as reader:
        batches = file.iter_batches(_AT_ONCE, columns=named)
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield pa.Table.from_batches([batch]).select(named)


def _encoded(column: pa.ChunkedArray) -> tuple[list, np.ndarray, bool]:
    """Words of a column, for each row the index of its word, and whether any row has none."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    if whole.null_count or whole.dictionary.null_count or len(whole.dictionary) > _MOST_WORDS:
        return [], np.zeros(0, np.int32), True
    return whole.dictionary.to_pylist(), np.asarray(whole.indices, np.int32), False
