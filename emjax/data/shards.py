"""Shards: files of counted votes, each with all votes of some of the users."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from emjax.data.ids import unique_ids
from emjax.data.preferences import Preferences
from emjax.data.totals import Totals
from emjax.errors import VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

MANIFEST = "manifest.json"
UNFINISHED = "counted"  # folder of what is counted so far, while the shards are not all there
FORMAT, VERSION = "emjax-shards", 1
_KEYS = ("n_users", "most_votes", "left_out", "comparisons", "shown", "wins", "shards", "sources", "ties")
_COLUMNS = ("user", "model_a", "model_b", "wins_a", "wins_b", "turned")
_AGAIN = "aggregate the votes again into a new folder: emjax aggregate VOTES --out DIR"


@dataclass(frozen=True)
class Shard:
    """One file of shards, as the manifest has it.

    Attributes
    ----------
    file : str
        Its name in the folder.
    rows, users : int
    votes : float
    bytes, crc32 : int
        Length of the file, and its checksum.
    """

    file: str
    rows: int
    users: int
    votes: float
    bytes: int
    crc32: int


@dataclass(frozen=True, eq=False, repr=False)
class Shards:
    """Votes on disk, counted by user and comparison, that need not fit into memory.

    `len` tells how many shards there are; iterating, as often as you like, gives one `Preferences` per
    shard. Each user is in one of them. All have the same `comparisons`, the same way round, whether or not
    they occur in that shard; which model of a pair is listed first is settled over all of them. Adding all
    up with + gives what `read_votes` gives for all files.

    Make one with `emjax.aggregate`, and open it again with `emjax.open_shards`.

    Attributes
    ----------
    folder : Path
    totals : Totals
        Numbers of users, votes and comparisons over all shards, as the manifest has them.
    shards : tuple
        File, rows, users, votes, length and checksum of each.

    Notes
    -----
    A shard is checked against the manifest when it is read: its length every time, its checksum the first
    time and whenever the file has been written since. A limit: what was left out, ties for instance, is
    known of all shards together only, so `left_out` is empty in each.

    Examples
    --------
    >>> import tempfile, emjax
    >>> folder = tempfile.TemporaryDirectory()
    >>> table = {"user": [1, 2, 1], "model_a": ["new"] * 3, "model_b": ["old"] * 3, "winner": list("aba")}
    >>> pq.write_table(pa.table(table), f"{folder.name}/votes.parquet")
    >>> shards = emjax.aggregate(f"{folder.name}/votes.parquet", f"{folder.name}/shards", shards=1)
    >>> [prefs.counts.tolist() for prefs in shards]
    [[[2.0, 0.0], [0.0, 1.0]]]
    >>> folder.cleanup()
    """

    folder: Path
    totals: Totals
    shards: tuple[Shard, ...]
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.shards)

    def __iter__(self) -> Iterator[Preferences]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Preferences:
        shard = self.shards[number]
        self._check(shard)
        try:
            with pq.ParquetFile(self.folder / shard.file, read_dictionary=["model_a", "model_b"]) as file:
                if not set(_COLUMNS) <= set(file.schema_arrow.names):
                    raise VotesError(f"{self.folder / shard.file} has not the columns of a shard: {_AGAIN}")
                table = file.read(columns=list(_COLUMNS))
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise VotesError(f"cannot read {self.folder / shard.file} ({reason}): {_AGAIN}") from error
        prefs = _preferences(table, self.totals.comparisons)
        if prefs is None or prefs.n_votes != shard.votes:
            raise VotesError(
                f"{self.folder / shard.file} and {MANIFEST} beside it do not belong together: {_restore()}"
            )
        return prefs

    def __repr__(self) -> str:
        totals = self.totals
        where = f"{totals.n_comparisons:,} comparison{'' if totals.n_comparisons == 1 else 's'}"
        lines = [
            f"Shards: {totals.n_votes:,.0f} votes of {totals.n_users:,} users in {where}, in "
            f"{len(self):,} file{'' if len(self) == 1 else 's'}"
        ]
        lines += [f"  left out: {what}, {amount:,.0f}" for what, amount in totals.left_out]
        return "\n".join(lines)

    def _check(self, shard: Shard) -> None:
        """Raise a VotesError unless the file is the one that the manifest speaks of."""
        path = self.folder / shard.file
        found = _stat(path, shard)
        if self._seen.get(shard.file) == found:
            return
        try:
            with path.open("rb") as file:
                crc = checksum(file)
        except OSError as error:
            raise VotesError(f"cannot read {path} ({error.strerror}): allow reading, or {_AGAIN}") from error
        if crc != shard.crc32:
            raise VotesError(f"{path} is not what was written (its checksum differs): {_restore()}")
        self._seen[shard.file] = found


def open_shards(folder: Any) -> Shards:
    """Open a folder that `aggregate` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Shards

    Raises
    ------
    VotesError
        The folder holds no shards, or is not finished; the manifest is of another version; a shard is
        missing, or shorter or longer than it was.

    Examples
    --------
    >>> open_shards("no such folder")
    Traceback (most recent call last):
    ...
    emjax.errors.VotesError: there is no folder no such folder: give one that emjax aggregate wrote
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VotesError(f"there is no folder {folder}: give one that emjax aggregate wrote")
    manifest = read_manifest(folder)
    if manifest is None and (folder / UNFINISHED).is_dir():
        raise VotesError(f"{folder} is not finished: give the emjax aggregate that began it once more")
    if manifest is None:
        raise VotesError(f"{folder} holds no {MANIFEST}: give a folder that emjax aggregate wrote")
    try:
        totals = Totals(
            comparisons=np.array(manifest["comparisons"], object).reshape(-1, 2),
            shown=np.array(manifest["shown"], np.float64).reshape(-1, 2),
            votes=np.array(manifest["wins"], np.float64).reshape(-1, 2),
            n_users=int(manifest["n_users"]),
            most_votes=float(manifest["most_votes"]),
            left_out=tuple((str(what), float(many)) for what, many in manifest["left_out"].items()),
        )
        shards = tuple(Shard(**entry) for entry in manifest["shards"])
    except (TypeError, ValueError, AttributeError) as error:
        raise VotesError(f"{folder / MANIFEST} cannot be understood ({error}): {_AGAIN}") from error
    for shard in shards:
        _stat(folder / shard.file, shard)
    return Shards(folder, totals, shards)


def holds_shards(path: Any) -> bool:
    """Whether a path is a folder of shards, finished or not."""
    path = Path(path)
    return path.is_dir() and ((path / UNFINISHED / "plan.json").is_file() or _is_ours(path / MANIFEST))


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder; None if it has none.

    Raises
    ------
    VotesError
        It cannot be read, is of another version, or something is missing.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VotesError(f"{path} cannot be read as JSON ({error}): {_AGAIN}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise VotesError(
            f'{path} was not written by emjax (no "format": "{FORMAT}" in it): give another folder'
        )
    if manifest.get("version") != VERSION:
        raise VotesError(
            f"{path} has version {manifest.get('version')!r}, and this emjax reads version {VERSION}: use "
            f"the emjax that wrote it, or {_AGAIN}"
        )
    lacking = [key for key in _KEYS if key not in manifest]
    if lacking:
        raise VotesError(f"{path} is incomplete (without {', '.join(lacking)}): {_AGAIN}")
    return manifest


def checksum(file: Any) -> int:
    """CRC-32 of an open file."""
    crc = 0
    while block := file.read(1 << 20):
        crc = zlib.crc32(block, crc)
    return crc


def _is_ours(path: Path) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def _stat(path: Path, shard: Shard) -> tuple[int, int]:
    """Length of a shard's file and when it was written; raises unless it is there and as long as it was."""
    try:
        found = path.stat()
    except OSError as error:
        raise VotesError(f"{path} is missing ({error.strerror}): {_restore()}") from None
    if found.st_size != shard.bytes:
        raise VotesError(
            f"{path} has {found.st_size:,} bytes and was written with {shard.bytes:,}: {_restore()}"
        )
    return found.st_size, found.st_mtime_ns


def _restore() -> str:
    return f"bring it back from a copy, or {_AGAIN}"


def _preferences(table: pa.Table, comparisons: np.ndarray) -> Preferences | None:
    """A shard's rows as Preferences of all comparisons; None if there are others in it."""
    users, user = _runs(table.column("user").combine_chunks())
    comparison = _places(table, comparisons)
    if comparison is None:
        return None
    counts = np.column_stack([np.asarray(table.column(f"wins_{side}"), np.float64) for side in "ab"])
    votes = np.bincount(comparison, counts.sum(axis=1), len(comparisons))
    turned = np.bincount(comparison, np.asarray(table.column("turned"), np.float64), len(comparisons))
    shown = np.column_stack([votes - turned, turned])
    for array in (users, comparisons, user, comparison, counts, shown):
        array.flags.writeable = False
    return Preferences(users, comparisons, user, comparison, counts, shown)


def _runs(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Users, sorted, and for each row its index among them; rows of a user are next to one another."""
    fresh = np.ones(len(column), bool)
    fresh[1:] = np.asarray(pc.not_equal(column[1:], column[:-1]))
    users = column.filter(pa.array(fresh)).to_numpy(zero_copy_only=False)
    return users, np.cumsum(fresh) - 1


def _places(table: pa.Table, comparisons: np.ndarray) -> np.ndarray | None:
    """For each row the index of its pair of models among the comparisons; None if one is not there."""
    names, codes = unique_ids(comparisons.ravel())
    known = pa.array(names, pa.large_string())
    keys = codes.reshape(-1, 2) @ np.array([names.size, 1])
    order = np.argsort(keys)
    found = []
    for side in ("model_a", "model_b"):
        column = table.column(side).unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
        place = pc.index_in(column.dictionary.cast(pa.large_string()), value_set=known).fill_null(0)
        found.append(np.asarray(place, np.int64)[np.asarray(column.indices)])
    wanted = found[0] * names.size + found[1]
    at = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), keys.size - 1)]
    return at if np.array_equal(keys[at], wanted) else None
