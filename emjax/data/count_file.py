"""Counts of one vote file by user, in duckdb, written as one part that is split by shard."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa

from emjax.data.count_table import Table, Tally, check, tally_of
from emjax.data.ids import WHOLE, WHOLE_NUMBER, identify
from emjax.data.read_files import VoteFiles
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
    combinations : tuple of (str, str, str, int)
        What stood in model_a, model_b and winner, as text, and in how many rows of the file.
    rows : int
        Rows of the part.
    """

    number: int
    users: str
    combinations: tuple[tuple[str, str, str, int], ...]
    rows: int

    @property
    def votes(self) -> int:
        """Rows of the file."""
        return sum(combination[3] for combination in self.combinations)


def count_file(
    files: VoteFiles, path: str, called: tuple[str, str], number: int, shards: int, target: Path
) -> Part:
    """Count the votes of one file by user, models and winner, check them as `read_votes` does, write them.

    Parameters
    ----------
    files, path : the open files, and one of them
    called : two str
        Names of the columns that hold the models.
    number, shards : int
        Which part this is, and how many shards the users are distributed over.
    target : path
        File to write: part, user, combination, votes, shard; sorted by shard. Rows may repeat.

    Raises
    ------
    VotesError
        Something is wrong with the votes; the numbers in the message are those of this file.
    OutputError
        The part cannot be written.
    """
    engine = files.connection
    _load(files, path)
    combined = engine.sql(
        f'SELECT {_known(engine, "votes")} AS "user", model_a, model_b, winner, count(*) AS votes '
        "FROM votes GROUP BY ALL"
    ).to_arrow_table()
    found = tally_of(nw.from_native(combined, eager_only=True), called, typed=files.typed)
    if found.votes.size:
        check(found, lambda: places(files, [path]), called, typed=files.typed)
    numbered = combined.append_column("combination", pa.array(np.arange(len(combined), dtype=np.int32)))
    _keep(engine, "combined", numbered.drop_columns(["user", "votes"]))
    way, name, named = _named(engine, typed=files.typed)
    votes, group = ("count(*)", "GROUP BY ALL") if _repeats(engine) else ("1", "")
    rows = f"""
        SELECT {name} AS "user", combination, {votes}::INTEGER AS votes
        FROM votes {named} JOIN combined USING (model_a, model_b, winner) {group}
    """
    shard = _SHARD.format(id='"user"', shards=shards)
    query = f"SELECT {number} AS part, *, {shard} AS shard FROM ({rows}) ORDER BY shard"
    with writing(target):
        written = engine.execute(f"COPY ({query}) TO {quoted(target)} (FORMAT parquet)").fetchall()
    return Part(number, way, _combinations(found), int(written[0][0]))


def _load(files: VoteFiles, path: str) -> None:
    """Load the rows of a file as `votes`; of a file of text as a table, so that it is read once."""
    engine, rows = files.connection, files.alike(path)
    if files.kind == "parquet":
        rows.create_view("votes")
        return
    rows.create_view("written")
    engine.execute("CREATE OR REPLACE TEMP TABLE votes AS FROM written")


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


def understood(parts: list[Part], called: tuple[str, str], *, typed: bool) -> Tally:
    """All combinations of all parts, one after the other, as votes of one user, and who won each.

    What a word means can hang on the other rows, so this is settled when every file has been counted.
    """
    columns = list(zip(*(c for part in parts for c in part.combinations), strict=True)) or [()] * 4
    names = [pa.array(column, pa.string()) for column in columns[:3]]
    table = pa.table(
        [pa.array(np.zeros(len(names[0]), np.int64)), *names, pa.array(columns[3], pa.int64())],
        names=["user", "model_a", "model_b", "winner", "votes"],
    )
    return tally_of(nw.from_native(table, eager_only=True), called, typed=typed)


def places(files: VoteFiles, paths: list[str]) -> Iterator[tuple[str, Table]]:
    """The rows of files for a second pass, each user marked as present or missing."""
    for path, label in files.labels():
        if path in paths:
            rows = files.alike(path)
            known = _known(files.connection, "second_pass", rows)
            yield label, nw.from_native(rows.project(f'{known} AS "user", model_a, model_b, winner'))


def quoted(text: object) -> str:
    """A literal for the engine."""
    return "'" + str(text).replace("'", "''") + "'"


def _known(engine: duckdb.DuckDBPyConnection, table: str, rows: duckdb.DuckDBPyRelation | None = None) -> str:
    """SQL that is 1 where a row has a user, and null where it has none, by the rules of `identify`."""
    if rows is not None:
        rows.create_view(table)
    kind = _kind(engine, table)
    doubtful = "false"
    if kind in ("FLOAT", "DOUBLE"):
        doubtful = 'isnan("user")'
    elif kind in ("VARCHAR", "BLOB"):
        # nearly every name begins with a letter or a digit, which is quicker to see
        doubtful = r"""NOT ("user"::VARCHAR BETWEEN '!' AND '~')
            AND NOT regexp_matches("user"::VARCHAR, '[^\s\p{Z}\p{C}]')"""
    elif kind not in _INTEGERS:
        doubtful = f'trim("user"::VARCHAR) = {quoted("")}'
    blank = engine.sql(f'SELECT DISTINCT "user" FROM {table} WHERE "user" IS NOT NULL AND {doubtful}')
    column = _one_chunk(blank.to_arrow_table())
    _, missing = identify(column.to_numpy(zero_copy_only=False), "user")
    _keep(engine, "blank", pa.table({"user": column.filter(pa.array(missing))}))
    listed = 'OR "user" IN (SELECT "user" FROM blank)' if missing.any() else ""
    return f'CASE WHEN "user" IS NULL {listed} THEN NULL ELSE 1 END'


def _named(engine: duckdb.DuckDBPyConnection, *, typed: bool) -> tuple[str, str, str]:
    """Which way users are written, SQL for the name `read_votes` gives them, and what to join for it."""
    kind = _kind(engine, "votes")
    whole = kind in _INTEGERS
    if kind in ("FLOAT", "DOUBLE"):
        all_whole = f'bool_and("user" = trunc("user") AND abs("user") < {WHOLE})'
        whole = bool(_one(engine, f"SELECT coalesce({all_whole}, true) FROM votes"))
    if whole:
        return NUMBERS, 'votes."user"::BIGINT', ""
    if kind != "VARCHAR":
        return _named_one_by_one(engine)
    all_digits = f'bool_and(regexp_matches("user", {quoted(WHOLE_NUMBER)}))'
    digits = not typed and _one(engine, f"SELECT coalesce({all_digits}, true) FROM votes")
    return (DIGITS if digits else TEXT), 'votes."user"', ""


def _named_one_by_one(engine: duckdb.DuckDBPyConnection) -> tuple[str, str, str]:
    """As `_named`, for types that the engine would spell in its own way."""
    column = _one_chunk(engine.sql('SELECT DISTINCT "user" FROM votes').to_arrow_table())
    ids, _ = identify(column.to_numpy(zero_copy_only=False), "user")
    _keep(engine, "named", pa.table({"user": column, "id": pa.array(ids)}))
    return (TEXT if ids.dtype == object else NUMBERS), "named.id", 'JOIN named USING ("user")'


def _combinations(found: Tally) -> tuple[tuple[str, str, str, int], ...]:
    models, words = found.models, found.words
    return tuple(
        (str(models[first]), str(models[second]), str(words[said]), int(votes))
        for first, second, said, votes in zip(found.first, found.second, found.said, found.votes, strict=True)
    )


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
