"""Vote files: found by path, pattern or folder, all of one known kind."""

import glob
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from emjax.errors import VotesError

_KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_UNDERSTOOD = ".csv, .tsv, .jsonl, .json (each also .gz) and .parquet"


def is_path(source: Any) -> bool:
    """Whether the source of votes is a path, or a list of paths."""
    if isinstance(source, (list, tuple)):
        return all(isinstance(entry, (str, os.PathLike)) for entry in source)
    return isinstance(source, (str, os.PathLike))


def find_files(source: Any) -> tuple[tuple[str, ...], str]:
    """All files that a path, a pattern, a folder or a list of these stands for, and their one kind.

    Raises
    ------
    VotesError
        Nothing is found, a file is given twice or is empty, or the kinds are unknown or differ.
    """
    entries = source if isinstance(source, (list, tuple)) else [source]
    paths = [path for entry in entries for path in _expand(os.path.expanduser(os.fspath(entry)))]
    if not paths:
        raise VotesError("no file was given: give at least one")
    seen: set[str] = set()
    for path in paths:
        if os.path.realpath(path) in seen:
            raise VotesError(f"{path} is given twice, and its votes would count twice: give each file once")
        seen.add(os.path.realpath(path))
    kinds = {path: _kind(path) for path in paths}
    for path, kind in kinds.items():
        if kind is None:
            raise VotesError(f"the format of {path} is not known: files of votes end in {_UNDERSTOOD}")
        if os.path.getsize(path) == 0:
            raise VotesError(f"{path} is empty (0 bytes): leave it out, or write it again")
    if len(set(kinds.values())) > 1:
        listed = ", ".join(sorted({str(kind) for kind in kinds.values()}))
        raise VotesError(
            f"files of several formats ({listed}): read each format by itself, and add up with +"
        )
    return tuple(paths), str(kinds[paths[0]])


def _expand(entry: str) -> list[str]:
    if os.path.isdir(entry):
        visible = (path for path in sorted(Path(entry).iterdir()) if path.name[0] not in "._")
        paths = [str(path) for path in visible if path.is_file() and _kind(path.name) is not None]
        # Beside other files of votes, .json files are what tools write about them.
        paths = [path for path in paths if not is_json(path)] or paths
        if not paths:
            raise VotesError(f"the folder {entry} holds no file of votes: they end in {_UNDERSTOOD}")
        return paths
    if os.path.exists(entry):
        return [entry]
    if not glob.has_magic(entry):
        folder, name = os.path.split(entry)
        near = _similar(folder or ".", name)
        raise VotesError(f"there is no file {entry}: {f'did you mean {near}?' if near else 'check the path'}")
    paths = sorted(path for path in glob.glob(entry, recursive=True) if os.path.isfile(path))
    if not paths:
        raise VotesError(f"no file matches {entry}: check the pattern")
    return paths


def is_json(path: str) -> bool:
    """Whether this is a file of JSON, and not of lines of it."""
    return path.lower().removesuffix(".gz").endswith(".json")


def _similar(folder: str, name: str) -> str | None:
    try:
        close = get_close_matches(name, os.listdir(folder), n=1)
    except OSError:
        return None
    return close[0] if close else None


def _kind(path: str) -> str | None:
    name = path.lower()
    kind = _KINDS.get(os.path.splitext(name.removesuffix(".gz"))[1])
    return None if kind == "parquet" and name.endswith(".gz") else kind
