"""Counts of one vote file by user, in duckdb, written as one part that is split by shard."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa

from emjax.data.columns import EXTRAS, ROLES
from emjax.data.count_table import (
    Table,
    Tally,
    canonical_user,
    check,
    row_counts,
    spelled,
    tally_of,
    userless,
)
from emjax.data.file_tables import quoted
from emjax.data.ids import ROUNDED, WHOLE, WHOLE_NUMBER, identify
from emjax.data.read_files import VoteFiles
from emjax.data.row_rules import Reading
from emjax.data.strata import VoteStrata
from emjax.data.stratify_table import with_strata
from emjax.errors import OutputError

# How users of a part are written: as numbers; as text; or as text that could be numbers all along, which is
# for the other files to decide where a file does not distinguish the two.
NUMBERS, TEXT, DIGITS = "numbers", "text", "digits"

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
# The same user in the same shard, whether written 7, "7" or "7.0"; that unlike users share one does no harm.
_SHARD = "(hash(coalesce(try_cast({id} AS BIGINT), hash({id}) >> 1)) % {shards})::INTEGER"


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of a part besides its rows.

    Attributes
    ----------
    number : int
        Which part it is; its rows say so, too.
    users : str
        One of the three ways above.
    combinations : tuple of (str, str, str, ..., int)
        What stood in the columns of `roles_counted`, as text (None for nothing), and in how many rows of the
        file.
    rows : int
        Rows of the part.
    """

    number: int
    users: str
    combinations: tuple[tuple[Any, ...], ...]
    rows: int

    @property
    def votes(self) -> int:
        """Rows of the file."""
        return sum(combination[-1] for combination in self.combinations)


def roles_counted(files: VoteFiles, strata: VoteStrata | None) -> tuple[str, ...]:
    """The columns by which votes are counted besides the user."""
    there = [role for role in EXTRAS if files.told.get(role) is not None]
    return (*ROLES[1:], *there, *(["context"] if strata is not None else []))


def count_file(
    files: VoteFiles,
    path: str,
    how: Reading,
    number: int,
    shards: int,
    target: Path,
    strata: VoteStrata | None = None,
) -> Part:
    """Count the votes of one file by user and `roles_counted`, check them as `read_votes` does, write them.

    Parameters
    ----------
    files, path : the open files, and one of them
    how : Reading
    number, shards : int
        Which part this is, and how many shards the users are distributed over.
    target : path
        File to write: part, user, combination, votes, shard; sorted by shard. Rows may repeat.
    strata : VoteStrata, optional
        How the votes are stratified; the number of a stratum is then the context.

    Raises
    ------
    VotesError
        Something is wrong with the votes; the numbers in the message are those of this file.
    OutputError
        The part cannot be written.
    """
    engine, roles = files.connection, roles_counted(files, strata)
    _load(files, path, strata)
    combined = row_counts(userless(nw.from_native(engine.table("votes")), nw.col("user")))
    found = tally_of(combined, how)
    if found.votes.size:
        check(found, lambda: places(files, [path]), how)
    numbers = pa.array(np.arange(len(combined), dtype=np.int32))
    _keep(engine, "combined", combined.select(*roles).to_arrow().append_column("combination", numbers))
    way, name, named = _named(engine, typed=files.typed)
    votes, group = ("count(*)", "GROUP BY ALL") if _repeats(engine) else ("1", "")
    same = " AND ".join(f"votes.{role} {_equals(role)} combined.{role}" for role in roles)
    rows = f"""
        SELECT {name} AS "user", combination, {votes}::INTEGER AS votes
        FROM votes {named} JOIN combined ON {same} {group}
    """
    shard = _SHARD.format(id='"user"', shards=shards)
    query = f"SELECT {number} AS part, *, {shard} AS shard FROM ({rows}) ORDER BY shard"
    with writing(target):
        written = engine.execute(f"COPY ({query}) TO {quoted(str(target))} (FORMAT parquet)").fetchall()
    return Part(number, way, _combinations(combined, roles), int(written[0][0]))


def _load(files: VoteFiles, path: str, strata: VoteStrata | None) -> None:
    """Load the rows of a file as `votes`; of a file of text as a table, so that it is read once."""
    engine, rows = files.connection, files.alike(path)
    if files.kind != "parquet":
        rows.create_view("written")
        engine.execute("CREATE OR REPLACE TEMP TABLE loaded AS FROM written")
        rows = engine.table("loaded")
    _readable(rows, files, path, strata).create_view("votes")


def _readable(
    rows: duckdb.DuckDBPyRelation, files: VoteFiles, path: str, strata: VoteStrata | None
) -> duckdb.DuckDBPyRelation:
    """The rows of a file: users as `identify` names them, text for bytes, strata for features."""
    kinds = {name: str(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    names = [name for name in kinds if name in (*ROLES, *EXTRAS)]
    if "BLOB" in map(kinds.get, names):
        text = [f'decode("{name}") AS "{name}"' for name in names if kinds[name] == "BLOB"]
        rows = rows.project(f"* REPLACE ({', '.join(text)})")
    if kinds["user"] in ("VARCHAR", "BLOB", "FLOAT", "DOUBLE"):
        table: Any = nw.from_native(rows)
        rows = table.with_columns(canonical_user(table).alias("user")).to_native()
    if strata is None:
        return rows
    if not rows.limit(1).fetchall():  # there is nothing to be wrong
        return rows.project(", ".join([*names, "0::BIGINT AS context"]))
    table = nw.from_native(rows)
    stratified: Any = with_strata(table, lambda: rows_of(files, [path]), strata)[0]
    return stratified.to_native()


def _repeats(engine: duckdb.DuckDBPyConnection) -> bool:
    """Whether many rows of a file are the same, so that to count them makes them fewer by half at least."""
    users, votes = engine.execute('SELECT approx_count_distinct("user"), count(*) FROM votes').fetchall()[0]
    return votes > 2 * users * _one(engine, "SELECT count(*) FROM combined")


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Blame the file that is written, and not the votes, for what goes wrong; and leave nothing of it."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        file.unlink(missing_ok=True)
        if isinstance(error, duckdb.OutOfMemoryException):
            raise
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[0]
        raise OutputError(
            f"cannot write {file}: {reason}; free some space, or allow writing there"
        ) from error


def understood(parts: list[Part], roles: Sequence[str], how: Reading) -> Tally:
    """All combinations of all parts, one after the other, as votes of one user, and who won each.

    What a word means can hang on the other rows, so this is settled when every file has been counted.
    """
    listed = [combination for part in parts for combination in part.combinations]
    columns = list(zip(*listed, strict=True)) or [()] * (len(roles) + 1)
    names = [pa.array(column, pa.string()) for column in columns[:-1]]
    table = pa.table(
        [pa.array(np.zeros(len(listed), np.int64)), *names, pa.array(columns[-1], pa.int64())],
        names=["user", *roles, "votes"],
    )
    return tally_of(nw.from_native(table, eager_only=True), how)


def places(files: VoteFiles, paths: list[str]) -> Iterator[tuple[str, Table]]:
    """The rows of files for a second pass, each user marked as present or missing."""
    for label, rows in rows_of(files, paths):
        there = [role for role in (*ROLES, *EXTRAS) if role in rows.columns]
        yield label, userless(rows, nw.col("user")).select(there)


def rows_of(files: VoteFiles, paths: list[str]) -> Iterator[tuple[str, Table]]:
    """The rows of files, one file after the other, each with the words that say which it is."""
    for path, label in files.labels():
        if path in paths:
            yield label, nw.from_native(_readable(files.alike(path), files, path, None))


def _equals(role: str) -> str:
    """How a column of the votes is matched: only those of the winner and the right answer may be empty."""
    return "IS NOT DISTINCT FROM" if role in ("gold", "winner") else "="


def _named(engine: duckdb.DuckDBPyConnection, *, typed: bool) -> tuple[str, str, str]:
    """Which way users are written, SQL for the name `read_votes` gives them, and what to join for it."""
    kind = _kind(engine, "votes")
    whole = kind in _INTEGERS
    if kind in ("FLOAT", "DOUBLE"):
        _check_distinguished(engine, f'abs("user") >= {WHOLE[4 if kind == "FLOAT" else 8]}')
        all_whole = 'bool_and("user" = trunc("user"))'
        whole = bool(_one(engine, f"SELECT coalesce({all_whole}, true) FROM votes"))
    if whole:
        return NUMBERS, 'votes."user"::BIGINT', ""
    if kind != "VARCHAR":
        return _named_one_by_one(engine)
    _check_distinguished(engine, f'contains("user", \'+\') AND regexp_matches("user", {quoted(ROUNDED)})')
    all_digits = f'bool_and(regexp_matches("user", {quoted(WHOLE_NUMBER)}))'
    digits = not typed and _one(engine, f"SELECT coalesce({all_digits}, true) FROM votes")
    return (DIGITS if digits else TEXT), 'votes."user"', ""


def _check_distinguished(engine: duckdb.DuckDBPyConnection, condition: str) -> None:
    """Raise a VotesError where users are numbers too large to distinguish neighbours."""
    large = engine.sql(f'SELECT DISTINCT "user" FROM votes WHERE {condition}').to_arrow_table()
    if len(large):
        identify(_one_chunk(large).to_numpy(zero_copy_only=False), "user")


def _named_one_by_one(engine: duckdb.DuckDBPyConnection) -> tuple[str, str, str]:
    """As `_named`, for types that the engine would spell in its own way."""
    column = _one_chunk(engine.sql('SELECT DISTINCT "user" FROM votes').to_arrow_table())
    ids, _ = identify(column.to_numpy(zero_copy_only=False), "user")
    _keep(engine, "named", pa.table({"user": column, "id": pa.array(ids)}))
    return (TEXT if ids.dtype == object else NUMBERS), "named.id", 'JOIN named USING ("user")'


def _combinations(combined: Any, roles: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    columns = [spelled(combined[role]) for role in roles]
    return tuple(zip(*columns, map(int, combined["votes"].to_list()), strict=True))


def _keep(engine: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """A small table from outside, as a temporary one of the engine."""
    engine.register("given", table)
    engine.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM given")
    engine.unregister("given")


def _kind(engine: duckdb.DuckDBPyConnection, table: str) -> str:
    """The engine's name for the type of the users."""
    return str(engine.sql(f'SELECT "user" FROM {table} LIMIT 0').types[0])


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> int | float | bool:
    """The one number that a query gives."""
    return engine.execute(query).fetchall()[0][0]


def _one_chunk(table: pa.Table) -> pa.Array:
    column = table.column(0).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column
