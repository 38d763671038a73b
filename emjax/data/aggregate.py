"""aggregate: vote files counted into shards on disk, file by file; an interrupted run can be resumed."""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow.parquet as pq

from emjax.data.anchors import ACCURACY, check_gold_accuracy
from emjax.data.count_file import Part, count_file, places, roles_counted, rows_of, understood
from emjax.data.count_table import check, meaning_of, preferences_of
from emjax.data.file_tables import literal, quoted
from emjax.data.ids import SHARED_NAMES
from emjax.data.merge_counts import merge_shard, prepare_merge
from emjax.data.preferences import Preferences
from emjax.data.read_files import VoteFiles, explain, is_path, opened
from emjax.data.reading_notes import reading_notes, shared_name
from emjax.data.row_rules import Reading, RowRules
from emjax.data.shard_settings import Settings
from emjax.data.shards import (
    FORMAT,
    MANIFEST,
    UNFINISHED,
    VERSION,
    Shard,
    Shards,
    checksum,
    open_shards,
    read_manifest,
)
from emjax.data.strata import VoteStrata
from emjax.data.stratify_table import columns_told, named, wanted, with_strata
from emjax.errors import OutputError, VotesError, warn

_PLAN, _STRATA = "plan.json", "strata.json"
_BYTES_PER_ROW = 400  # of a shard's row: as Preferences, laid out for the device, and on the way there
_SHARE = 0.25  # of the memory limit, for one shard; the next one may be on its way
_MOST_SHARDS = 4096
_BYTES_PER_VOTE = 24  # of a row in a file of text, at least; packed, an eighth of that
# What is told of progress: what is being done, how much of it is done, and out of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Source:
    """A vote file, with size and time to detect that it has changed."""

    file: str
    bytes: int
    modified_ns: int
    columns: tuple[str, ...]


def aggregate(
    source: Any,
    out: Any,
    *,
    user: str | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    winner: str | None = None,
    shown_first: str | None = None,
    context: str | None = None,
    gold: str | None = None,
    gold_accuracy: float = ACCURACY,
    vote_features: Sequence[str] | VoteStrata | None = None,
    feature_bins: int = 5,
    covariates: Sequence[str] | VoteStrata | None = None,
    covariate_bins: int = 10,
    ties: str = "drop",
    empty_winner: str = "refuse",
    strict: bool = False,
    shards: int | None = None,
    memory_limit: str | None = None,
    format: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    progress: bool | Progress = False,
) -> Shards:
    """Count files of votes by user and comparison into shards on disk, within bounded memory.

    The same call resumes an interrupted run: files that were already counted are not counted again.

    Parameters
    ----------
    source : path, glob pattern, folder, or list of these
        Files as `read_votes` takes them.
    out : path
        Folder to write: new, empty, or one that this call has begun.
    user, model_a, model_b, winner, shown_first, context, gold, gold_accuracy, ties, empty_winner, strict
        As in `read_votes`.
    vote_features, feature_bins, covariates, covariate_bins
        As in `read_votes`. Where the bins are not given (as `fit.strata`, for instance), they are chosen
        first, from all files.
    shards : int, optional
        Number of files that the users are distributed over. By default enough that one of them, when it is
        fitted, takes a quarter of `memory_limit` at most, at 400 bytes for each user and comparison.
    memory_limit : str, optional
        What the counting may use before it uses the disk, as in "4GB"; four fifths of the memory if not
        given.
    format, separator, encoding : str, optional
        As in `read_votes`.
    progress : bool or callable
        True for a line on standard error after each file; or what to call with (what is being done, how
        much is done, out of how much).

    Returns
    -------
    Shards
        Put together, exactly what `read_votes` gives.

    Raises
    ------
    VotesError
        As in `read_votes`, with numbers of the file in which something is wrong; or a file has changed since
        it was counted. What has been counted stays, and the message says where.
    OutputError
        The folder cannot be written, or holds something else.

    Notes
    -----
    A limit: if two processes do the same at once, the later one fails. Others: what occurs in the columns
    besides the user is in memory, as often as the combinations differ, so a context is to be a topic and not
    the number of a question. While bins are chosen, the distinct values of one feature are in memory. Users
    that are neither numbers nor text (dates, decimals) are named one by one, and those of one file are then
    in memory at once.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> votes = Path(folder.name, "votes.csv")
    >>> _ = votes.write_text(chr(10).join(["user,model_a,model_b,winner", "1,new,old,a", "2,new,old,b"]))
    >>> aggregate(votes, f"{folder.name}/shards")
    Shards: 2 votes of 2 users in 1 comparison, in 1 file
    >>> folder.cleanup()
    """
    rules = RowRules(ties, empty_winner, strict)
    if shards is not None and not 1 <= shards <= _MOST_SHARDS:
        raise VotesError(f"shards={shards} is out of range: give 1 to {_MOST_SHARDS:,}")
    if not is_path(source):
        raise VotesError(f"cannot aggregate a {type(source).__name__}: give files, or use read_votes")
    folder = Path(out)
    tell = _tell_on_stderr if progress is True else progress or (lambda what, done, total: None)
    told = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}
    told |= {"shown_first": shown_first, "context": context, "gold": gold, "format": format}
    check_gold_accuracy(gold_accuracy)
    features = wanted(vote_features, feature_bins, context, covariates, covariate_bins, shown_first)
    settings = Settings(rules, told, float(gold_accuracy), features)
    try:
        work = _begun(folder)
        text = {"separator": separator, "encoding": encoding}
        columns = told | columns_told(features)
        with _keeping(work), opened(source, columns, memory_limit, work, **text) as files:
            sources = _sources(files, folder)
            if read_manifest(folder) is None:
                _go_on(files, folder, sources, settings, shards, tell)
            else:
                _check_finished(folder, sources, settings)
        shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(
            f"{folder} cannot be written ({reason}): free some space, or give another folder"
        ) from error
    return open_shards(folder)


def _go_on(
    files: VoteFiles,
    folder: Path,
    sources: dict[str, _Source],
    settings: Settings,
    shards: int | None,
    tell: Progress,
) -> None:
    """Count what is not counted yet, add up what is not added up yet, and write the manifest."""
    work, how = folder / UNFINISHED, files.reading(settings.rules)
    plan = settings.plain()
    plan |= {"types": [str(kind) for kind in files.rows().types], "duckdb": duckdb.__version__}
    shards = _planned(work, plan, shards, files)
    parts = _counted(work, sources)
    strata = _strata(files, work, sources, settings, tell)
    roles = roles_counted(files, strata)
    for path, source in sources.items():
        tell("counting", len(parts), len(sources))
        if source not in parts:
            number = 1 + max((part.number for part in parts.values()), default=-1)
            parts[source] = _count(files, path, how, number, shards, work, strata)
            _write_json(work / f"file-{number:05d}.json", asdict(source) | asdict(parts[source]))
    tell("counting", len(parts), len(sources))
    found = replace(understood(list(parts.values()), roles, how), besides=files.left_out)
    check(found, lambda: places(files, list(files.paths)), how)
    found = found if strata is None else named(found, strata)
    accuracy = settings.gold_accuracy
    everyone = preferences_of(
        found, settings.rules.ties, "arrays", sides=settings.sides, gold_accuracy=accuracy
    )
    meaning = meaning_of(found, settings.rules.ties, sides=settings.sides)
    prepare_merge(files.connection, list(parts.values()), found, everyone, meaning)
    held = [work / f"file-{part.number:05d}.parquet" for part in parts.values()]
    entries = []
    for shard in range(shards):
        tell("adding up", shard, shards)
        entries.append(_merged(files.connection, folder, list(parts.values()), held, shard, everyone))
    tell("adding up", shards, shards)
    manifest = _manifest(replace(everyone, strata=strata), entries, sources, parts, settings)
    _write_json(folder / MANIFEST, manifest)
    names = _shared_names(files.connection, folder, everyone)
    for note in (*reading_notes(found, how.called, sides=settings.sides, form=files.recognised()), *names):
        warn(note)


def _shared_names(engine: duckdb.DuckDBPyConnection, folder: Path, everyone: Preferences) -> Iterator[str]:
    """Users who may be many people, as the shards have them."""
    votes = " + ".join(everyone.outcomes.columns)
    paths = literal([str(path) for path in sorted(folder.glob("*.parquet"))])
    table = engine.read_parquet(paths).filter(
        f'lower("user"::VARCHAR) IN ({", ".join(map(quoted, SHARED_NAMES))})'
    )
    for name, many in table.aggregate(f'"user"::VARCHAR, sum({votes})::DOUBLE', '"user"').fetchall():
        yield shared_name(name, many, everyone.n_votes)


def _strata(
    files: VoteFiles, work: Path, sources: dict[str, _Source], settings: Settings, tell: Progress
) -> VoteStrata | None:
    """How votes are stratified: as was given, as was settled before, or as all files together say."""
    if settings.features is None or isinstance(settings.features, VoteStrata):
        return settings.features
    path, now = work / _STRATA, [asdict(source) for source in sources.values()]
    if path.is_file():
        was = _read_json(path)
        if was["sources"] == json.loads(json.dumps(now)):
            return VoteStrata.from_plain(was["strata"])
        if any(work.glob("file-*.json")):
            raise VotesError(
                f"the files are not those that the bins of {_STRATA} were chosen from: give the same as "
                "then, or a new folder"
            )
    tell("choosing bins", 0, 1)
    all_rows = nw.from_native(files.rows())
    _, strata = with_strata(all_rows, lambda: rows_of(files, list(files.paths)), settings.features)
    _write_json(path, {"sources": now, "strata": strata.plain()})
    return strata


def _begun(folder: Path) -> Path:
    """The folder of what is counted so far, made if it is not there."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder: give another --out.")
    work = folder / UNFINISHED
    held = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if held and not (folder / MANIFEST).exists() and not (work / _PLAN).exists() and held != {UNFINISHED}:
        raise OutputError(f"{folder} holds other files: give a new folder.")
    work.mkdir(parents=True, exist_ok=True)
    for left in [*work.glob("emjax-*"), *work.glob("*.part"), *folder.glob("*.part")]:
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return work


@contextmanager
def _keeping(work: Path) -> Iterator[None]:
    """Say in an error what has been counted and is kept; where that is nothing, leave nothing."""
    try:
        yield
    except BaseException as error:
        kept = len(list(work.glob("file-*.json")))
        if not kept:
            shutil.rmtree(work, ignore_errors=True)
            if not any(work.parent.iterdir()):
                work.parent.rmdir()
        if kept and isinstance(error, VotesError | OutputError):
            files = f"{kept:,} file{' is' if kept == 1 else 's are'}"
            where = f"{files} counted, and kept in {work}: the same command goes on from there"
            raise type(error)(f"{error}; {where}") from error
        raise


def _sources(files: VoteFiles, folder: Path) -> dict[str, _Source]:
    """Each file of votes as it is now, by the path that it was given under."""
    inside = os.path.realpath(folder) + os.sep
    found = {}
    for path in files.paths:
        if os.path.realpath(path).startswith(inside):
            raise VotesError(f"{path} lies in {folder}, which is to be written: give another folder")
        found[path] = _seen(path, files.layouts[path].names)
    return found


def _seen(path: str, columns: tuple[str, ...]) -> _Source:
    try:
        now = os.stat(path)
    except OSError:
        raise VotesError(f"{path} has vanished while votes were counted: put it back") from None
    return _Source(os.path.realpath(path), now.st_size, now.st_mtime_ns, columns)


def _planned(work: Path, plan: dict[str, Any], shards: int | None, files: VoteFiles) -> int:
    """Number of shards, as it was when this was begun; raises if it was begun in another way."""
    path = work / _PLAN
    if not any(work.glob("file-*.json")):
        shards = _enough_shards(files) if shards is None else shards
        _write_json(path, plan | {"format": "emjax-counted", "version": VERSION, "shards": shards})
        return shards
    begun = _read_json(path)
    asked = {"format": "emjax-counted", "version": VERSION, **plan}
    asked |= {} if shards is None else {"shards": shards}
    for what, value in asked.items():
        if begun.get(what) != value:
            raise VotesError(
                f"{work.parent} was begun with {what} {_told(begun.get(what))}, which now is "
                f"{_told(value)}: give the same as then, or a new folder"
            )
    return int(begun["shards"])


def _told(value: Any) -> str:
    """A setting in a message; of names of columns those that were given."""
    if isinstance(value, dict):
        value = {name: given for name, given in value.items() if given is not None} or "not given"
    said = "not given" if value is None else str(value)
    return said if len(said) <= 200 else f"{said[:200]}..."


def _enough_shards(files: VoteFiles) -> int:
    """So many shards that each of them, ready to be fitted, takes a small part of the memory."""
    size, unit = _setting(files.connection).split()  # as in 3.7 GiB
    limit = float(size) * 1024.0 ** "BKMGTP".index(unit[0].upper().replace("b", "B"))
    votes = sum(_votes_in(path, files.kind) for path in files.paths)
    return min(max(1, math.ceil(votes * _BYTES_PER_ROW / (_SHARE * limit))), _MOST_SHARDS)


def _setting(connection: duckdb.DuckDBPyConnection) -> str:
    return str(connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


def _votes_in(path: str, kind: str) -> float:
    """Votes in a file, at most; for text a bound from the size of the file."""
    if kind == "parquet":
        return pq.read_metadata(path).num_rows
    return os.path.getsize(path) / _BYTES_PER_VOTE * (8 if path.lower().endswith(".gz") else 1)


def _counted(work: Path, sources: dict[str, _Source]) -> dict[_Source, Part]:
    """Parts that are there already, each of a file that is as it was."""
    now = {source.file: source for source in sources.values()}
    parts = {}
    for path in sorted(work.glob("file-*.json")):
        entry = _read_json(path)
        was = _Source(entry["file"], entry["bytes"], entry["modified_ns"], tuple(entry["columns"]))
        if was.file not in now:
            raise VotesError(
                f"{was.file} was counted, and is not among the files now: give it once more, or a new folder"
            )
        if was != now[was.file]:
            raise VotesError(
                f"{was.file} has changed since it was counted: delete {path} to have it counted again, alone"
            )
        if path.with_suffix(".parquet").is_file():
            combinations = tuple(tuple(one) for one in entry["combinations"])
            parts[was] = Part(entry["number"], entry["users"], combinations, entry["rows"])
    return parts


def _count(
    files: VoteFiles,
    path: str,
    how: Reading,
    number: int,
    shards: int,
    work: Path,
    strata: VoteStrata | None,
) -> Part:
    """Count one file; its part is there whole, or not at all."""
    before = _seen(path, files.layouts[path].names)
    part = work / f"file-{number:05d}.parquet"
    try:
        counted = count_file(files, path, how, number, shards, part.with_suffix(".part"), strata)
    except duckdb.Error as error:
        _seen(path, ())
        raise VotesError(explain(error, [path])) from error
    if _seen(path, before.columns) != before:
        raise VotesError(f"{path} has changed while it was counted: wait until it is written")
    part.with_suffix(".part").replace(part)
    return counted


def _merged(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    parts: list[Part],
    held: list[Path],
    shard: int,
    everyone: Preferences,
) -> dict[str, Any]:
    """What the manifest and its totals need of one shard, which is written unless it is there already."""
    name = f"shard-{shard:05d}"
    done, target = folder / UNFINISHED / f"{name}.json", folder / f"{name}.parquet"
    if done.is_file():
        return _read_json(done)
    temporary = target.with_suffix(".part")
    sums = merge_shard(connection, parts, held, shard, temporary, everyone)
    entry = asdict(sums)
    if sums.rows:
        with temporary.open("rb") as file:
            entry |= {"file": target.name, "bytes": temporary.stat().st_size, "crc32": checksum(file)}
        temporary.replace(target)
    _write_json(done, entry)
    return entry


def _manifest(
    everyone: Preferences,
    entries: list[dict[str, Any]],
    sources: dict[str, _Source],
    parts: dict[_Source, Part],
    settings: Settings,
) -> dict[str, Any]:
    """All that `open_shards` needs to know; raises if the shards are not all the votes."""
    votes, known = everyone.counts, everyone.anchor_votes
    none = np.zeros((0, everyone.outcomes.n))
    for what, counted in (("votes", votes), ("anchor_votes", none if known is None else known.counts)):
        summed = np.array([entry[what] for entry in entries]).sum(axis=0)
        if not np.array_equal(summed, counted.sum(axis=0)):
            raise VotesError(
                f"the shards hold {summed.sum():,.1f} votes, and {counted.sum():,.1f} were counted, so "
                "something has changed what was counted: aggregate again into a new folder"
            )
    left_out = dict(everyone.left_out)
    if without := sum(entry["without"] for entry in entries):
        left_out["users with no vote left"] = float(without)
    sums = ("votes", "anchor_votes")
    shards = [
        {key: sum(entry[key]) if key in sums else entry[key] for key in Shard.__annotations__}
        for entry in entries
        if entry["rows"]
    ]
    contexts, strata = everyone.contexts, everyone.strata
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": settings.plain(),
        "n_users": sum(entry["users"] for entry in entries),
        "n_votes": float(votes.sum()),
        "most_votes": max(entry["most_votes"] for entry in entries),
        "left_out": left_out,
        "comparisons": everyone.comparisons.tolist(),
        "contexts": None if contexts is None else contexts.tolist(),
        "shown": everyone.shown.tolist(),
        "outcomes": asdict(everyone.outcomes),
        "votes": votes.tolist(),
        "anchor_votes": known and {"accuracy": known.accuracy.tolist(), "votes": known.counts.tolist()},
        "strata": None if strata is None else strata.plain(),
        "shards": shards,
        "sources": [asdict(source) | {"votes": parts[source].votes} for source in sources.values()],
    }


def _check_finished(folder: Path, sources: dict[str, _Source], settings: Settings) -> None:
    """Raise unless a folder that is finished holds these files, as they are now."""
    manifest = read_manifest(folder)
    assert manifest is not None
    was = {entry["file"]: (entry["bytes"], entry["modified_ns"]) for entry in manifest["sources"]}
    now = {source.file: (source.bytes, source.modified_ns) for source in sources.values()}
    other = sorted(file for file in was.keys() | now.keys() if was.get(file) != now.get(file))
    if other:
        what = "has changed since" if other[0] in was and other[0] in now else "was added or removed since"
        raise VotesError(f"{folder} is finished, and {other[0]} {what} it was written: give a new folder")
    before = settings.other(manifest["settings"])
    if before is not None:
        raise VotesError(f"{folder} was written {before}: give a new folder")


def _tell_on_stderr(what: str, done: int, total: int) -> None:
    print(f"{what}: {done:,} of {total:,}", file=sys.stderr)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VotesError(
            f"{path} cannot be read ({error}): delete it, and give the same command again"
        ) from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON atomically."""
    temporary = path.with_suffix(".part")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
