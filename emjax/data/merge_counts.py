"""Merging of counts: the parts of one shard summed per user and comparison over all files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from emjax.data.count_file import DIGITS, NUMBERS, Part, quoted, writing
from emjax.data.count_table import Tally
from emjax.data.preferences import Preferences
from emjax.errors import VotesError


@dataclass(frozen=True)
class Sums:
    """What a shard holds.

    Attributes
    ----------
    rows, users : int
    wins_a, wins_b : float
        Votes, over all comparisons.
    most_votes : float
        Votes of the user with most of them.
    without : int
        Users all of whose votes are ties that were dropped; they are in no row.
    """

    rows: int
    users: int
    wins_a: float
    wins_b: float
    most_votes: float
    without: int


def prepare_merge(
    engine: duckdb.DuckDBPyConnection, parts: Sequence[Part], found: Tally, everyone: Preferences, ties: str
) -> None:
    """Tell the engine what each combination of each part means: the tables `meaning` and `compared`.

    Parameters
    ----------
    engine : connection
    parts : sequence of Part
    found : Tally
        All their combinations, one after the other.
    everyone : Preferences
        The same as votes of one user: the comparisons, and which way round they are.
    ties : {"drop", "half"}
    """
    sizes = [len(part.combinations) for part in parts]
    place = {tuple(pair): number for number, pair in enumerate(everyone.comparisons)}
    names = [(found.models[a], found.models[b]) for a, b in zip(found.first, found.second, strict=True)]
    turned = np.array([pair not in place for pair in names], bool)
    pair = np.array([place.get(pair, place.get(pair[::-1], -1)) for pair in names], np.int32)
    left_out = (found.won == 0.5) & (ties == "drop")
    meaning = pa.table(
        {
            "part": np.repeat(np.array([part.number for part in parts], np.int32), sizes),
            "combination": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
            "pair": pa.array(pair, mask=left_out),
            "won": np.where(turned, 1.0 - found.won, found.won),
            "turned": turned.astype(np.float64),
        }
    )
    compared = pa.table(
        {
            "pair": np.arange(len(everyone.comparisons), dtype=np.int32),
            "model_a": pa.array(everyone.comparisons[:, 0], pa.string()),
            "model_b": pa.array(everyone.comparisons[:, 1], pa.string()),
        }
    )
    for name, table in (("meaning", meaning), ("compared", compared)):
        engine.register("given", table)
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM given")
        engine.unregister("given")


def merge_shard(
    engine: duckdb.DuckDBPyConnection,
    parts: Sequence[Part],
    files: Sequence[Path],
    shard: int,
    target: Path,
) -> Sums:
    """Add up the counts of one shard over all parts, and write them; `prepare_merge` comes first.

    Parameters
    ----------
    engine : connection
    parts, files : the parts, and the files that hold them
    shard : int
    target : path
        File to write: user, model_a, model_b, wins_a, wins_b, turned; sorted by user, then comparison.
        Nothing is written if the shard has no users.

    Raises
    ------
    VotesError, OutputError
        A part cannot be read, or the shard not be written.
    """
    held = " UNION ALL ".join(
        f'SELECT part, {_name(parts, one)} AS "user", combination, votes '
        f"FROM read_parquet({quoted(file)}, hive_partitioning = false) WHERE shard = {shard}"
        for one, file in zip(parts, files, strict=True)
    )
    try:
        engine.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE summed AS
            SELECT "user", pair, sum(votes * won) AS wins_a, sum(votes * (1 - won)) AS wins_b,
                sum(votes * turned) AS turned
            FROM ({held}) JOIN meaning USING (part, combination) GROUP BY ALL
            """
        )
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise VotesError(
            f"cannot read what was counted in {files[0].parent} ({str(error).splitlines()[0]}): delete that "
            "folder, and give the same command again"
        ) from error
    sums = _sums(engine)
    if sums.rows:
        with writing(target):
            engine.execute(
                f"""
                COPY (
                    SELECT "user", model_a, model_b, wins_a, wins_b, turned
                    FROM summed JOIN compared USING (pair) ORDER BY "user", pair
                ) TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)
                """
            )
    engine.execute("DROP TABLE summed")
    return sums


def users_are_numbers(parts: Sequence[Part]) -> bool:
    """Whether every user of every part is a whole number; otherwise all of them are text."""
    return all(part.users in (NUMBERS, DIGITS) for part in parts if part.rows)


def _name(parts: Sequence[Part], part: Part) -> str:
    """SQL for a user of one part, as all parts together want it."""
    if users_are_numbers(parts):
        return 'CAST("user" AS BIGINT)'
    return 'CAST("user" AS VARCHAR)' if part.users == NUMBERS else '"user"'


def _sums(engine: duckdb.DuckDBPyConnection) -> Sums:
    found = engine.execute(
        """
        SELECT coalesce(sum(rows), 0)::BIGINT, count(*) FILTER (rows > 0), coalesce(sum(a), 0)::DOUBLE,
            coalesce(sum(b), 0)::DOUBLE, coalesce(max(a + b), 0)::DOUBLE, count(*) FILTER (rows = 0)
        FROM (
            SELECT count(pair) AS rows, sum(wins_a) FILTER (pair IS NOT NULL) AS a,
                sum(wins_b) FILTER (pair IS NOT NULL) AS b
            FROM summed GROUP BY "user"
        )
        """
    ).fetchall()
    return Sums(*found[0])
