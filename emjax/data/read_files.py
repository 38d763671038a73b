"""Vote files (csv, tsv, jsonl, parquet): found, opened in duckdb, and passed on as one relation."""

import csv
import glob
import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw

from emjax.data.columns import asked, recognise, role_expressions, several_columns
from emjax.errors import VotesError

_KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_UNDERSTOOD = ".csv, .tsv, .jsonl (each also .gz) and .parquet"
_WHOLE = "is it complete, and in the format that its name says?"
_LONGEST_LINE = 16 * 2**20  # bytes; the texts that were compared may stand in the same row


@dataclass(frozen=True, eq=False)
class VoteFiles:
    """An open set of files: all rows as one relation, or those of one file at a time."""

    connection: duckdb.DuckDBPyConnection
    paths: tuple[str, ...]
    kind: str
    told: dict[str, str | None]

    @property
    def typed(self) -> bool:
        """Whether the files know numbers from text."""
        return self.kind == "parquet"

    def rows(self, paths: Sequence[str] | None = None) -> duckdb.DuckDBPyRelation:
        """All rows of the files, or of some of them: a column for each role that was asked for."""
        groups = self._groups(self.paths if paths is None else paths)
        return _together([self._part(columns, detail, group) for (columns, detail), group in groups.items()])

    def alike(self, path: str) -> duckdb.DuckDBPyRelation:
        """Rows of one file, in the types that the rows of all files have together."""
        own = self.layouts[path]
        parts = []
        for (columns, detail), group in self._groups(self.paths).items():
            mine = (columns, detail) == own
            part = self._part(columns, detail, [path] if mine else group[:1])
            parts.append(part if mine else part.filter("false"))
        return _together(parts)

    @cached_property
    def layouts(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """For each file, the names of its columns, and what else must agree for files to be read together."""
        return {path: _layout(self.connection, path, self.kind) for path in self.paths}

    def labels(self) -> list[tuple[str, str]]:
        """For each file, its path and the words that say in a message which file it is."""
        return [(path, f" of {path}" if len(self.paths) > 1 else "") for path in self.paths]

    def model_columns(self) -> tuple[str, str]:
        """Names of the two columns that hold the models, in the first file."""
        columns, _ = self.layouts[self.paths[0]]
        position = recognise(columns, self.told)
        return columns[position["model_a"]], columns[position["model_b"]]

    def whole_rows(self) -> tuple[tuple[str, ...], duckdb.DuckDBPyRelation]:
        """Names of all columns of all files, and all rows: user to winner, then those columns as c0, c1, ...

        A column that is missing from a file is null there.
        """
        groups = self._groups(self.paths)
        everything = tuple(dict.fromkeys(name for columns, _ in groups for name in columns))
        parts = []
        for (columns, detail), group in groups.items():
            place = {name: position for position, name in reversed(list(enumerate(columns)))}
            parts.append(self._part(columns, detail, group, [place.get(name) for name in everything]))
        return everything, _together(parts)

    def _groups(self, paths: Sequence[str]) -> dict[tuple[tuple[str, ...], str], list[str]]:
        """Files by their layout."""
        groups: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for path in paths:
            groups.setdefault(self.layouts[path], []).append(path)
        return groups

    def _part(
        self, columns: tuple, detail: str, paths: list[str], more: Sequence[int | None] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Rows of files of one layout: the columns asked for, and `more` columns by their positions."""
        roles = asked(self.told)
        position = recognise(columns, self.told, where=f"of {paths[0]}", roles=roles)
        literal = _literal(*paths)
        if self.kind == "parquet":
            names = columns
            # the folders of a path are no columns here
            table = self.connection.read_parquet(literal, hive_partitioning=False)
        elif self.kind == "jsonl":
            names = columns
            own = several_columns(columns, self.told)
            used = [*position.values(), *(place for place in (own[1] if own else ()) if place is not None)]
            texts = {columns[place]: "VARCHAR" for place in used}
            if more is not None:
                guessed = self.connection.read_json(literal, format="newline_delimited", sample_size=-1)
                kinds = zip(guessed.columns, map(str, guessed.types), strict=True)
                texts = {name: texts.get(name, kind) for name, kind in kinds}
            table = self.connection.read_json(literal, format="newline_delimited", columns=texts)
        else:
            # Nothing is guessed: a reader that looks for the dialect by itself may skip lines it finds odd.
            names = tuple(f"column{place}" for place in range(len(columns)))
            table = self.connection.read_csv(
                literal,
                header=True,
                auto_detect=False,
                columns=dict.fromkeys(names, "VARCHAR"),
                sep=detail,
                quotechar='"',
                escapechar='"',
                skiprows=0,
                max_line_size=_LONGEST_LINE,
            )
        wanted = role_expressions(columns, self.told, names, where=f"of {paths[0]}")
        for number, place in enumerate(more or ()):
            value = nw.lit(None) if place is None else nw.col(names[place])
            wanted.append(value.alias(f"c{number}"))
        selected: Any = nw.from_native(table).select(*wanted)
        return selected.to_native()


def _together(parts: Sequence[duckdb.DuckDBPyRelation]) -> duckdb.DuckDBPyRelation:
    """All rows of all parts; where types differ, the wider one."""
    together = parts[0]
    for part in parts[1:]:
        together = together.union(part)
    return together


def is_path(source: Any) -> bool:
    """Whether the source of votes is a path, or a list of paths."""
    if isinstance(source, (list, tuple)):
        return all(isinstance(entry, (str, os.PathLike)) for entry in source)
    return isinstance(source, (str, os.PathLike))


@contextmanager
def opened(
    source: Any, told: dict[str, str | None], memory_limit: str | None, spill: Path | None = None
) -> Iterator[VoteFiles]:
    """Open files of votes; what does not fit in memory goes to a temporary folder, gone afterwards.

    Parameters
    ----------
    source : path, glob pattern, folder, or list of these
    told : dict
        Names of columns that the caller gave.
    memory_limit : str, optional
        What the engine may use, as in "2GB"; four fifths of the machine's memory if not given.
    spill : path, optional
        Where that temporary folder is to lie, if not where the system has its own.

    Raises
    ------
    VotesError
        No such file, no file of votes, formats mixed, or a file that cannot be read.
    """
    paths, kind = find_files(source)
    with tempfile.TemporaryDirectory(prefix="emjax-", dir=spill, ignore_cleanup_errors=True) as beside:
        config: dict[str, Any] = {"temp_directory": beside, "autoinstall_known_extensions": "false"}
        if memory_limit is not None:
            config["memory_limit"] = memory_limit
        try:
            connection = duckdb.connect(config=config)
        except duckdb.Error as error:
            raise VotesError(f"cannot use memory_limit={memory_limit!r}: {_first_line(error)}") from error
        with connection:
            connection.execute(
                "SET enable_progress_bar = false"
            )  # what a terminal shows is not ours to say here
            try:
                yield VoteFiles(connection, paths, kind, told)
            except duckdb.Error as error:
                raise VotesError(explain(error, paths)) from error


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


def _literal(*paths: str) -> Any:
    """Paths in which the engine sees no pattern; it takes lists, though not all of its annotations say so."""
    return ["".join(f"[{letter}]" if letter in "*?[" else letter for letter in path) for path in paths]


def _layout(connection: duckdb.DuckDBPyConnection, path: str, kind: str) -> tuple[tuple[str, ...], str]:
    """Names of a file's columns, and what else must agree for files to be read together."""
    if kind == "parquet":
        table = connection.read_parquet(_literal(path), hive_partitioning=False)
        return tuple(table.columns), str(table.types)
    if kind == "jsonl":
        return tuple(connection.read_json(_literal(path), format="newline_delimited").columns), ""
    return _header(path, kind)


def _header(path: str, kind: str) -> tuple[tuple[str, ...], str]:
    """Names of the columns in a file of text, and what separates them."""
    try:
        with _unpacking(path)(path, "rt", encoding="utf-8-sig", newline="") as lines:
            line = lines.readline()
            separator = "\t" if kind == "tsv" else max(",;\t|", key=line.count)
            lines.seek(0)
            header = next(csv.reader(lines, delimiter=separator), [])
    except UnicodeDecodeError:
        raise VotesError(_not_utf8(path)) from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise VotesError(f"cannot read {path}: {error}; {_WHOLE}") from error
    return tuple(header), separator


def _not_utf8(path: str, line: str = "") -> str:
    kind = "CSV UTF-8 (in Excel: Save As)" if _kind(path) == "csv" else "UTF-8"
    where = f" (line {line})" if line else ""
    return (
        f"{path} is not UTF-8 text{where}: save it as {kind}, or convert it, "
        f"as in iconv -f WINDOWS-1252 -t UTF-8"
    )


def _lines_end_in_two_ways(path: str) -> bool:
    try:
        with _unpacking(path)(path, "rb") as file:
            start = file.read(1_000_000)
    except (OSError, EOFError, zlib.error):
        return False
    return 0 < start.count(b"\r\n") < start.count(b"\n")


def _unpacking(path: str) -> Any:
    return gzip.open if path.lower().endswith(".gz") else open


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0]
    return line.partition(" Error: ")[2] or line


def explain(error: Exception, paths: Sequence[str]) -> str:
    """One line out of the engine's many, with the file where it is known."""
    text = str(error)
    lines = [line.strip().rstrip(".") for line in text.split("\n")]
    telling = ("Expected Number", "Value with")
    reason = ". ".join(
        [_first_line(error).rstrip("."), *(line for line in lines[1:4] if line.startswith(telling))]
    )
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"the votes do not fit into memory ({reason}): give a higher memory_limit"
    if "No space left" in text:
        return f"the disk is full ({reason}): free some space, or set TMPDIR to a folder on a larger one"
    named = [line.removeprefix("file = ") for line in lines if line.startswith("file = ")]
    where = (*named, *(path for path in paths if path in text or len(paths) == 1), "the files")[0]
    if "invalid unicode" in text.lower() or "invalid UTF-8" in text:
        found = re.search(r"on Line: (\d+)", text)
        return _not_utf8(where, f"{int(found[1]):,}" if found else "")
    if "invalid state" in text and _lines_end_in_two_ways(where):
        return f"some lines of {where} end in CRLF and others in LF: make them alike, as dos2unix does"
    return f"cannot read {where}: {reason}; {_WHOLE}"
