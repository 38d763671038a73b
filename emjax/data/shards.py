"""Shards: files of counted votes, each with all votes of some of the users."""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from emjax.data.amounts import lines_left_out
from emjax.data.anchors import AnchorVotes
from emjax.data.comparison_table import ComparisonTable
from emjax.data.ids import unique_ids
from emjax.data.outcome_schema import Outcomes
from emjax.data.preferences import Preferences
from emjax.data.shard_settings import read_with
from emjax.data.strata import VoteStrata
from emjax.errors import Renamed, VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

MANIFEST = "manifest.json"
UNFINISHED = "counted"  # folder of what is counted so far, while the shards are not all there
FORMAT, VERSION = "emjax-shards", 2
_KEYS = (
    *("n_users", "most_votes", "left_out", "comparisons", "contexts", "shown", "outcomes", "votes"),
    *("anchor_votes", "strata", "settings", "shards", "sources"),
)
_KEYS_OF_VERSION_1 = (
    *("n_users", "most_votes", "left_out", "comparisons", "shown", "wins", "shards", "sources", "ties"),
)
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
    anchor_votes : float
        Votes on gold questions.
    """

    file: str
    rows: int
    users: int
    votes: float
    bytes: int
    crc32: int
    anchor_votes: float = 0.0


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
    table : ComparisonTable
        Numbers of users, votes and comparisons over all shards, as the manifest has them.
    shards : tuple
        File, rows, users, votes, length and checksum of each.
    settings : mapping
        How the votes were read: ties, names of columns that were given, and so on.

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
    table: ComparisonTable
    shards: tuple[Shard, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    totals = Renamed("table")  # its name in version 0.1

    @property
    def read_with(self) -> dict[str, Any]:
        """The options of `read_votes` that the votes were read with, as far as they are not its defaults."""
        return read_with(self.settings)

    def __len__(self) -> int:
        return len(self.shards)

    def __iter__(self) -> Iterator[Preferences]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Preferences:
        shard = self.shards[number]
        self._check(shard)
        try:
            path, wanted = self.folder / shard.file, _columns(self.table)
            if not set(wanted) <= set(pq.read_schema(path).names):
                raise VotesError(f"{path} has not the columns of a shard: {_AGAIN}")
            words = [name for name in ("model_a", "model_b", "context") if name in wanted]
            with pq.ParquetFile(path, read_dictionary=words) as file:
                table = file.read(columns=wanted)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise VotesError(f"cannot read {self.folder / shard.file} ({reason}): {_AGAIN}") from error
        prefs = _preferences(table, self.table)
        if prefs is None or (prefs.n_votes, _known(prefs)) != (shard.votes, shard.anchor_votes):
            raise VotesError(
                f"{self.folder / shard.file} and {MANIFEST} beside it do not belong together: {_restore()}"
            )
        return prefs

    def __repr__(self) -> str:
        whole = self.table
        where = f"{whole.n_comparisons:,} comparison{'' if whole.n_comparisons == 1 else 's'}"
        if whole.contexts is not None:
            where += f" in {unique_ids(whole.contexts)[0].size:,} contexts"
        lines = [
            f"Shards: {whole.n_votes:,.0f} votes of {whole.n_users:,} users in {where}, in "
            f"{len(self):,} file{'' if len(self) == 1 else 's'}"
        ]
        if whole.outcomes.n > 2:
            each = zip(whole.outcomes.names, whole.votes.sum(axis=0), strict=True)
            lines.append("  " + "; ".join(f"{name}: {amount:,.10g}" for name, amount in each))
        lines += lines_left_out(whole.left_out)
        if whole.anchor_votes is not None:
            lines.append(f"  known besides: {whole.anchor_votes.n_votes:,.10g} votes on gold questions")
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
        whole = _table_of(manifest)
        shards = tuple(Shard(**entry) for entry in manifest["shards"])
        settings = dict(manifest["settings"])
    except (TypeError, ValueError, AttributeError, KeyError, VotesError) as error:
        raise VotesError(f"{folder / MANIFEST} cannot be understood ({error}): {_AGAIN}") from error
    for shard in shards:
        _stat(folder / shard.file, shard)
    return Shards(folder, whole, shards, settings)


def _table_of(manifest: Mapping[str, Any]) -> ComparisonTable:
    contexts, strata, known = (manifest[key] for key in ("contexts", "strata", "anchor_votes"))
    outcomes = Outcomes(**{what: bool(there) for what, there in manifest["outcomes"].items()})
    return ComparisonTable(
        comparisons=np.array(manifest["comparisons"], object).reshape(-1, 2),
        shown=np.array(manifest["shown"], np.float64).reshape(-1, 2),
        votes=np.array(manifest["votes"], np.float64).reshape(-1, outcomes.n),
        n_users=int(manifest["n_users"]),
        most_votes=float(manifest["most_votes"]),
        left_out=tuple((str(what), float(many)) for what, many in manifest["left_out"].items()),
        outcomes=outcomes,
        contexts=None if contexts is None else np.array(contexts, object),
        anchor_votes=None if known is None else _together(known, outcomes),
        strata=None if strata is None else VoteStrata.from_plain(strata),
    )


def _together(known: Mapping[str, Any], outcomes: Outcomes) -> AnchorVotes:
    """The votes on questions of known strength, as votes of one user."""
    accuracy = np.array(known["accuracy"], np.float64)
    counts = np.array(known["votes"], np.float64).reshape(accuracy.size, outcomes.n)
    question = np.arange(accuracy.size)
    return AnchorVotes(np.zeros(1, np.int64), accuracy, np.zeros_like(question), question, counts, outcomes)


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
    if manifest.get("version") not in (1, VERSION):
        raise VotesError(
            f"{path} has version {manifest.get('version')!r}, and this emjax reads versions 1 and {VERSION}: "
            f"use the emjax that wrote it, or {_AGAIN}"
        )
    keys = _KEYS if manifest["version"] == VERSION else _KEYS_OF_VERSION_1
    lacking = [key for key in keys if key not in manifest]
    if lacking:
        raise VotesError(f"{path} is incomplete (without {', '.join(lacking)}): {_AGAIN}")
    return manifest if manifest["version"] == VERSION else _of_version_1(manifest)


def _of_version_1(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What version 1 says in the words of this one: it knew of nothing but two outcomes."""
    none = dict.fromkeys(("contexts", "anchor_votes", "strata"))
    outcomes = {"sides": False, "ties": False}
    settings = {"ties": manifest["ties"]}
    return {**manifest, **none, "outcomes": outcomes, "votes": manifest["wins"], "settings": settings}


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


def _columns(whole: ComparisonTable) -> list[str]:
    """The columns of a shard."""
    context = [] if whole.contexts is None else ["context"]
    accuracy = [] if whole.anchor_votes is None else ["accuracy"]
    return ["user", "model_a", "model_b", *context, *accuracy, *whole.outcomes.columns, "turned"]


def _known(prefs: Preferences) -> float:
    return 0.0 if prefs.anchor_votes is None else prefs.anchor_votes.n_votes


def _preferences(table: pa.Table, whole: ComparisonTable) -> Preferences | None:
    """A shard's rows as Preferences of all comparisons; None if there are others in it."""
    users, user = _runs(table.column("user").combine_chunks())
    anchor_votes = None
    if whole.anchor_votes is not None:
        voted = np.asarray(table.column("accuracy").is_null())
        rows = table.filter(pa.array(~voted))
        question = _index_in(rows.column("accuracy"), whole.anchor_votes.accuracy)
        if question is None:
            return None
        if question.size:
            anchor_votes = AnchorVotes(
                *(users, whole.anchor_votes.accuracy, user[~voted], question),
                *(_counts(rows, whole.outcomes), whole.outcomes),
            )
        table, user = table.filter(pa.array(voted)), user[voted]
    comparison = _places(table, whole)
    if comparison is None:
        return None
    counts = _counts(table, whole.outcomes)
    n = whole.n_comparisons
    votes = np.bincount(comparison, counts.sum(axis=1), n)
    turned = np.bincount(comparison, np.asarray(table.column("turned"), np.float64), n)
    shown = np.column_stack([votes - turned, turned])
    for array in (users, whole.comparisons, user, comparison, counts, shown):
        array.flags.writeable = False
    return Preferences(
        *(users, whole.comparisons, user, comparison, counts, shown),
        outcomes=whole.outcomes,
        contexts=whole.contexts,
        anchor_votes=anchor_votes,
        strata=whole.strata,
    )


def _counts(table: pa.Table, outcomes: Outcomes) -> np.ndarray:
    return np.column_stack([np.asarray(table.column(name), np.float64) for name in outcomes.columns])


def _index_in(column: pa.ChunkedArray, known: np.ndarray) -> np.ndarray | None:
    """For each number its index among the known ones, which are sorted; None if one is not there."""
    numbers = np.asarray(column, np.float64)
    place = np.minimum(np.searchsorted(known, numbers), known.size - 1)
    return place if np.array_equal(known[place], numbers) else None


def _runs(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Users, sorted, and for each row its index among them; rows of a user are next to one another."""
    fresh = np.ones(len(column), bool)
    fresh[1:] = np.asarray(pc.not_equal(column[1:], column[:-1]))
    users = column.filter(pa.array(fresh)).to_numpy(zero_copy_only=False)
    return users, np.cumsum(fresh) - 1


def _places(table: pa.Table, whole: ComparisonTable) -> np.ndarray | None:
    """For each row the index of its comparison; None if that is not there."""
    names, codes = unique_ids(whole.comparisons.ravel())
    keys = codes.reshape(-1, 2) @ np.array([names.size, 1])
    wanted = _among(table, "model_a", names) * names.size + _among(table, "model_b", names)
    if whole.contexts is not None:
        labels, context = unique_ids(whole.contexts)
        keys, wanted = keys * labels.size + context, wanted * labels.size + _among(table, "context", labels)
    order = np.argsort(keys)
    at = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), keys.size - 1)]
    return at if np.array_equal(keys[at], wanted) else None


def _among(table: pa.Table, name: str, known: np.ndarray) -> np.ndarray:
    """For each row of a column of words its index among the known ones; 0 for what is not there."""
    column = table.column(name).unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    place = pc.index_in(
        column.dictionary.cast(pa.large_string()), value_set=pa.array(known, pa.large_string())
    )
    return np.append(np.asarray(place.fill_null(0), np.int64), 0)[np.asarray(column.indices.fill_null(-1))]
