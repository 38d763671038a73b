"""Vote files (csv, tsv, jsonl, parquet): opened in duckdb, and passed on as one relation."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import narwhals as nw
import pyarrow as pa

from emjax.data.columns import (
    as_unfolded,
    asked,
    columns_read,
    in_words,
    reading_of,
    recognise,
    role_expressions,
    several_columns,
)
from emjax.data.csv_dialect import Dialect, dialect_of, known_separator
from emjax.data.file_errors import explain, first_line
from emjax.data.file_tables import cells_of, countable, identifier, parquet_layout, parquet_of, quoted
from emjax.data.find_files import find_files, is_path
from emjax.data.json_lines import json_columns, json_values, keys_of, lines_of, structure_of
from emjax.data.row_rules import Reading, RowRules
from emjax.data.style_covariates import SOURCE, style_columns, style_sql
from emjax.data.text_encoding import known_encoding, original, utf8_copies
from emjax.data.unfold import unfolded, unfolding, without_votes
from emjax.data.vote_formats import VoteFormat, format_of
from emjax.errors import VotesError, warn

__all__ = ["VoteFiles", "explain", "find_files", "is_path", "opened"]


class Layout(NamedTuple):
    """Names of the columns of a file, those last that are derived from others; what else must agree."""

    names: tuple[str, ...]
    detail: str | Dialect
    derived: int = 0  # how many of the names are derived

    @property
    def written(self) -> tuple[str, ...]:
        """The columns that are in the file."""
        return self.names[: len(self.names) - self.derived]


_NUMBERS = {
    "tinyint",
    "smallint",
    "integer",
    "bigint",
    "utinyint",
    "usmallint",
    "uinteger",
    "float",
    "double",
}
_NESTED = {"list", "struct", "map"}
_RECORDS = 10_000  # rows at a time, where each is unfolded


@dataclass(frozen=True, eq=False)
class VoteFiles:
    """An open set of files: all rows as one relation, or those of one file at a time.

    Attributes
    ----------
    copies : mapping
        For files that are not UTF-8, the copy that is read in their place.
    separator : str, optional
        What separates cells, if it is not to be found out.
    form : VoteFormat, optional
        The format that the files had before their votes were taken out of nested records.
    left_out : mapping of str to int
        What those records hold that is no vote.
    """

    connection: duckdb.DuckDBPyConnection
    paths: tuple[str, ...]
    kind: str
    told: dict[str, str | None]
    copies: Mapping[str, str] = field(default_factory=dict)
    separator: str | None = None
    form: VoteFormat | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def typed(self) -> bool:
        """Whether the files know numbers from text."""
        return self.kind == "parquet"

    def rows(self, paths: Sequence[str] | None = None) -> duckdb.DuckDBPyRelation:
        """All rows of the files, or of some of them: a column for each role that was asked for."""
        groups = self._groups(self.paths if paths is None else paths)
        return self._together([self._part(layout, group) for layout, group in groups.items()])

    def alike(self, path: str) -> duckdb.DuckDBPyRelation:
        """Rows of one file, in the types that the rows of all files have together."""
        own = self.layouts[path]
        parts = []
        for layout, group in self._groups(self.paths).items():
            part = self._part(layout, [path] if layout == own else group[:1])
            parts.append(part if layout == own else part.filter("false"))
        return self._together(parts)

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """For each file, the names of its columns, and what else must agree for files to be read together."""
        return {path: self._layout(path) for path in self.paths}

    def labels(self) -> list[tuple[str, str]]:
        """For each file, its path and the words that say in a message which file it is."""
        return [(path, f" of {path}" if len(self.paths) > 1 else "") for path in self.paths]

    def columns(self) -> dict[str, str]:
        """For each role the name of its column, in the first file."""
        return columns_read(self.layouts[self.paths[0]].names, self.told)

    def recognised(self) -> VoteFormat | None:
        """The format that the files are in, or that they had before their votes were taken out of records."""
        return self.form or format_of(self.layouts[self.paths[0]].names, self.told)

    def reading(self, rules: RowRules) -> Reading:
        """How the cells of these files are understood."""
        return reading_of(self.columns(), self.told, rules, self.recognised(), typed=self.typed)

    def whole_rows(self) -> tuple[tuple[str, ...], duckdb.DuckDBPyRelation]:
        """Names of all columns of all files, and all rows: user to winner, then those columns as c0, c1, ...

        A column that is missing from a file is null there. Columns whose types differ between files are text.
        """
        groups = self._groups(self.paths)
        distinct = {layout: _distinct(layout.written) for layout in groups}
        found = [name for names in distinct.values() for name in names]
        everything = tuple(dict.fromkeys([*found, *(self._structure if self.kind == "jsonl" else ())]))
        parts = [self._part(layout, group, distinct[layout], everything) for layout, group in groups.items()]
        return everything, self._together(_of_one_type(parts))

    def records(self, path: str) -> Iterator[dict[str, Any]]:
        """The rows of one file as they are, each with its columns and what is nested in them."""
        (held,), layout = self._held([path]), self.layouts[path]
        if self.kind == "jsonl":
            lines = lines_of(self.connection, [held])
            for batch in lines.to_arrow_reader(_RECORDS):
                for text in batch.column(0).to_pylist():
                    record = json.loads(text)
                    if not isinstance(record, dict):
                        raise VotesError(f"{path} has a line that is no JSON object: {text[:60]}")
                    yield record
            return
        table = self._table(layout, [path])
        for batch in table.to_arrow_reader(_RECORDS):
            names = list(layout.written)
            yield from pa.RecordBatch.from_arrays(batch.columns[: len(names)], names=names).to_pylist()

    @cached_property
    def _structure(self) -> dict[str, Any]:
        """What is in the columns of JSON lines, over all files."""
        return structure_of(self.connection, self._held(self.paths))

    def _held(self, paths: Sequence[str]) -> list[str]:
        """The files that are read for these."""
        return [self.copies.get(path, path) for path in paths]

    def _groups(self, paths: Sequence[str]) -> dict[Layout, list[str]]:
        """Files by their layout."""
        groups: dict[Layout, list[str]] = {}
        for path in paths:
            groups.setdefault(self.layouts[path], []).append(path)
        return groups

    def _layout(self, path: str) -> Layout:
        columns, detail = self._written(path)
        derived = style_columns(columns)
        return Layout((*columns, *derived), detail, len(derived))

    def _written(self, path: str) -> tuple[tuple[str, ...], str | Dialect]:
        (held,) = self._held([path])
        if self.kind == "parquet":
            return parquet_layout(self.connection, held)
        if self.kind == "jsonl":
            columns = keys_of(self.connection, held, sampled=True)
            try:
                recognise((*columns, *style_columns(columns)), self.told, roles=asked(self.told))
            except VotesError:  # a key that is asked for may come in a later row
                columns = keys_of(self.connection, held, sampled=False)
            if not columns:  # the engine says what the lines are
                json_values(self.connection, [held], {0: "user"}).fetchall()
            return columns, ""
        columns, dialect = dialect_of(held, self.kind, self.separator)
        if dialect.headers:
            warn(
                f"the first two rows below the column names of {path} hold texts of questions and ImportIds, "
                "as Qualtrics writes them: they are left out."
            )
        return columns, dialect

    def _part(
        self,
        layout: Layout,
        paths: Sequence[str],
        names: Sequence[str] = (),
        everything: Sequence[str] = (),
    ) -> duckdb.DuckDBPyRelation:
        """Rows of files of one layout: the columns asked for, and as c0, c1, ... `everything`."""
        columns, written = layout.names, layout.written
        where = f"of {paths[0]}"
        roles = recognise(columns, self.told, where=where, roles=asked(self.told)).values()
        own = several_columns(columns, self.told)
        used = sorted({*roles, *(place for place in (own[1] if own else ()) if place is not None)})
        held, engine = self._held(paths), self.connection
        derived = [place for place in used if place >= len(written)]
        base = {written.index(SOURCE)} if derived else set()
        values = "column"
        if self.kind == "jsonl":
            values = "value"
            names = tuple(dict.fromkeys([*names, *everything]))
            wanted = {place: columns[place] for place in sorted({*used, *base} - {*derived})}
            table = (
                json_columns(engine, held, names, self._structure)
                if everything
                else json_values(engine, held, wanted)
            )
        else:
            table = self._table(layout, paths)
        for place in derived:
            sql = style_sql(columns[place], table, f"{values}{written.index(SOURCE)}")
            table = table.project(f"*, {sql} AS derived{place}")
        column_of = {place: f"{'derived' if place in derived else values}{place}" for place in used}
        called = {column_of[place]: in_words(columns[place], self.told) for place in used}
        names_of = countable(table, called)
        table = table.project(
            ", ".join(["*", *(f"{sql} AS name{at}" for at, sql in zip(used, names_of.values(), strict=True))])
        )
        chosen = role_expressions(
            columns, self.told, [f"name{at}" for at in range(len(columns))], where=where
        )
        place_of = {name: place for place, name in enumerate(names)}
        for number, name in enumerate(everything):
            value = nw.col(f"column{place_of[name]}") if name in place_of else nw.lit(None)
            chosen.append(value.alias(f"c{number}"))
        selected: Any = nw.from_native(table).select(*chosen)
        return selected.to_native()

    def _table(self, layout: Layout, paths: Sequence[str]) -> duckdb.DuckDBPyRelation:
        """Files of parquet or of separated text, as column0, column1, ..."""
        held, dialect = self._held(paths), layout.detail
        if not isinstance(dialect, Dialect):
            return parquet_of(self.connection, held)
        table = cells_of(self.connection, held, dialect.separator, dialect.skip, len(layout.written))
        for header in dialect.headers:
            cells = (f"coalesce(column{at}, '') = {quoted(cell)}" for at, cell in enumerate(header))
            table = table.filter(f"NOT ({' AND '.join(cells)})")
        return table

    def _together(self, parts: Sequence[duckdb.DuckDBPyRelation]) -> duckdb.DuckDBPyRelation:
        """All rows of all parts; where types differ, the wider one, or text if that cannot be counted."""
        if len(parts) == 1:
            return parts[0]
        together = parts[0]
        for part in parts[1:]:
            together = together.union(part)
        return _replaced(together, countable(together, {role: repr(role) for role in asked(self.told)}))


def _replaced(table: duckdb.DuckDBPyRelation, by: Mapping[str, str]) -> duckdb.DuckDBPyRelation:
    """The table with some columns replaced by what SQL gives."""
    columns = (f"{by.get(name, identifier(name))} AS {identifier(name)}" for name in table.columns)
    return table.project(", ".join(columns))


def _of_one_type(parts: Sequence[duckdb.DuckDBPyRelation]) -> list[duckdb.DuckDBPyRelation]:
    """The parts, with text in place of columns whose types the engine would not unite."""
    kinds = [dict(zip(part.columns, part.types, strict=True)) for part in parts]
    differ = [name for name in parts[0].columns if not _unite([kind[name] for kind in kinds])]
    return [
        _replaced(part, {name: _as_text(name, kind[name]) for name in differ})
        for part, kind in zip(parts, kinds, strict=True)
    ]


def _unite(kinds: Sequence[Any]) -> bool:
    """Whether one type holds the values of all these as they are."""
    found = {str(kind): kind.id for kind in kinds if "NULL" not in str(kind)}
    ids = set(found.values())
    return len(found) < 2 or ids <= _NUMBERS or (len(ids) == 1 and ids <= _NESTED)


def _as_text(name: str, kind: Any) -> str:
    return f"{'to_json' if kind.id in _NESTED else ''}({identifier(name)})::VARCHAR"


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names with a number behind those that occurred before.

    Examples
    --------
    >>> _distinct(["text", "text", "text_1"])
    ('text', 'text_2', 'text_1')
    """
    found: list[str] = []
    for at, name in enumerate(names):
        taken = {*found, *names[at + 1 :]} if name in found else set()
        number = next(n for n in count(1) if f"{name}_{n}" not in taken)
        found.append(f"{name}_{number}" if taken else name)
    return tuple(found)


@contextmanager
def opened(
    source: Any,
    told: dict[str, str | None],
    memory_limit: str | None,
    spill: Path | None = None,
    *,
    separator: str | None = None,
    encoding: str | None = None,
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
    separator : str, optional
        What separates the cells of csv and tsv files, as in ";"; found out from the first rows if not given.
    encoding : str, optional
        What text files without a byte order mark are written in, as in "windows-1252"; UTF-8 if not given.
        UTF-16 is recognised. Of a file in another encoding than UTF-8 a temporary copy is made.

    Raises
    ------
    VotesError
        No such file, no file of votes, formats mixed, or a file that cannot be read.
    """
    paths, kind = find_files(source)
    mark, code = known_separator(separator), known_encoding(encoding)
    for name, value, kinds in (
        ("separator", mark, ("csv", "tsv")),
        ("encoding", code, ("csv", "tsv", "jsonl")),
    ):
        if value is not None and kind not in kinds:
            raise VotesError(
                f"{name}={value!r} is for {' and '.join(kinds)} files, and {paths[0]} is {kind}: leave it out"
            )
    with tempfile.TemporaryDirectory(prefix="emjax-", dir=spill, ignore_cleanup_errors=True) as beside:
        config: dict[str, Any] = {"temp_directory": beside, "autoinstall_known_extensions": "false"}
        if memory_limit is not None:
            config["memory_limit"] = memory_limit
        try:
            connection = duckdb.connect(config=config)
        except duckdb.Error as error:
            raise VotesError(f"cannot use memory_limit={memory_limit!r}: {first_line(error)}") from error
        copies: dict[str, str] = {}
        with connection:
            connection.execute(
                "SET enable_progress_bar = false"
            )  # what a terminal shows is not ours to say here
            if kind != "parquet":
                copies = utf8_copies(paths, code, Path(beside), bare=kind == "jsonl")
            files = VoteFiles(connection, paths, kind, told, copies, mark)
            try:
                files = _unfolded(files, Path(beside))
                yield files
            except duckdb.Error as error:
                raise VotesError(original(explain(error, paths), files.copies)) from error


def _unfolded(files: VoteFiles, folder: Path) -> VoteFiles:
    """The same files, or copies with one row per vote of those whose records hold several or nest them."""
    columns = {path: files.layouts[path].written for path in files.paths}
    forms = {path: unfolding(names, files.told) for path, names in columns.items()}
    if not any(forms.values()):
        return files
    if not all(forms.values()) and files.kind != "jsonl":
        plain = next(path for path, form in forms.items() if form is None)
        form = next(form for form in forms.values() if form is not None)
        raise VotesError(f"{plain} is not of the format {form.name}, as other files are: read it by itself")
    copies, left_out = dict(files.copies), Counter[str]()
    for number, (path, form) in enumerate(forms.items()):
        if form is None:
            continue
        copy = folder / f"unfolded-{number}.jsonl"
        of_file = Counter[str]()
        with copy.open("w", encoding="utf-8") as out:
            for row in unfolded(form, files.records(path), files.told, of_file):
                out.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        if copy.stat().st_size == 0:
            raise without_votes(form, path, of_file)
        copies[path] = str(copy)
        left_out += of_file
    form = next(filter(None, forms.values()))
    told = as_unfolded(files.told, form)
    return VoteFiles(files.connection, files.paths, "jsonl", told, copies, form=form, left_out=left_out)
