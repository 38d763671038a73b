"""Merging of counts: the parts of one shard summed per user and comparison over all files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from emjax.data.count_file import DIGITS, NUMBERS, Part, writing
from emjax.data.count_table import Meaning, Tally
from emjax.data.file_tables import quoted
from emjax.data.outcome_schema import Outcomes
from emjax.data.preferences import Preferences
from emjax.errors import VotesError

GOLD = -1  # in place of the number of a comparison: the question whose right answer is known


@dataclass(frozen=True)
class Sums:
    """What a shard holds.

    Attributes
    ----------
    rows, users : int
    most_votes : float
        Votes of the user with most of them, gold questions among them.
    without : int
        Users all of whose votes are ties that were dropped; they are in no row.
    votes, anchor_votes : list of float
        Votes of each outcome, over all comparisons; and on gold questions.
    """

    rows: int
    users: int
    most_votes: float
    without: int
    votes: list[float]
    anchor_votes: list[float]


def prepare_merge(
    engine: duckdb.DuckDBPyConnection,
    parts: Sequence[Part],
    found: Tally,
    everyone: Preferences,
    meaning: Meaning,
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
    meaning : Meaning
        What a row of each combination counts for.
    """
    sizes = [len(part.combinations) for part in parts]
    pair, turned = _place(found, everyone, meaning.kept & ~meaning.gold)
    counts = meaning.counts(np.arange(pair.size), np.ones(pair.size))
    counts[turned] = counts[turned][:, list(everyone.outcomes.mirror)]
    meant = pa.table(
        {
            "part": np.repeat(np.array([part.number for part in parts], np.int32), sizes),
            "combination": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
            "pair": pa.array(np.where(meaning.gold, np.int32(GOLD), pair), mask=~meaning.kept),
            "turned": turned.astype(np.float64),
            **dict(zip(everyone.outcomes.columns, counts.T.copy(), strict=True)),
        }
    )
    for name, table in (("meaning", meant), ("compared", _compared(everyone))):
        engine.register("given", table)
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM given")
        engine.unregister("given")


def merge_shard(
    engine: duckdb.DuckDBPyConnection,
    parts: Sequence[Part],
    files: Sequence[Path],
    shard: int,
    target: Path,
    everyone: Preferences,
) -> Sums:
    """Add up the counts of one shard over all parts, and write them; `prepare_merge` comes first.

    Parameters
    ----------
    engine : connection
    parts, files : the parts, and the files that hold them
    shard : int
    target : path
        File to write: user, the columns of `compared`, votes by outcome, turned; sorted by user, then
        comparison, a gold question before them. Nothing is written if the shard has no users.
    everyone : Preferences
        As for `prepare_merge`.

    Raises
    ------
    VotesError, OutputError
        A part cannot be read, or the shard not be written.
    """
    outcomes = everyone.outcomes
    held = " UNION ALL ".join(
        f'SELECT part, {_name(parts, one)} AS "user", combination, votes '
        f"FROM read_parquet({quoted(str(file))}, hive_partitioning = false) WHERE shard = {shard}"
        for one, file in zip(parts, files, strict=True)
    )
    try:
        engine.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE summed AS
            SELECT "user", pair, {", ".join(f"sum(votes * {one}) AS {one}" for one in outcomes.columns)},
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
    sums = _sums(engine, outcomes)
    if sums.rows:
        with writing(target):
            engine.execute(
                f"""
                COPY (
                    SELECT "user", compared.* EXCLUDE pair, {", ".join(outcomes.columns)}, turned
                    FROM summed JOIN compared USING (pair) ORDER BY "user", pair
                ) TO {quoted(str(target))} (FORMAT parquet, COMPRESSION zstd)
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


def _place(found: Tally, everyone: Preferences, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each combination the number of its comparison, and whether it lists that the other way round."""
    contexts = everyone.contexts if everyone.contexts is None else everyone.contexts.tolist()
    labels = [(*pair, contexts and contexts[number]) for number, pair in enumerate(everyone.comparisons)]
    place = {label: number for number, label in enumerate(labels)}
    pair, turned = np.zeros(counted.size, np.int32), np.zeros(counted.size, bool)
    for row in np.flatnonzero(counted):
        first, second = found.models[found.model_a[row]], found.models[found.model_b[row]]
        context = None if found.contexts is None else found.contexts[found.context[row]]
        number = place.get((first, second, context))
        turned[row] = number is None
        pair[row] = place[second, first, context] if number is None else number
    return pair, turned


def _compared(everyone: Preferences) -> pa.Table:
    """What a shard says of each comparison; after them of the gold question, if there is one."""
    numbers = np.arange(everyone.n_comparisons, dtype=np.int32).tolist()
    columns = {
        "pair": numbers,
        "model_a": everyone.comparisons[:, 0].tolist(),
        "model_b": everyone.comparisons[:, 1].tolist(),
    }
    types = {"pair": pa.int32(), "model_a": pa.string(), "model_b": pa.string()}
    if everyone.contexts is not None:
        columns["context"], types["context"] = everyone.contexts.tolist(), pa.string()
    if everyone.anchor_votes is not None:
        columns["accuracy"], types["accuracy"] = [None] * len(numbers), pa.float64()
        (accuracy,) = everyone.anchor_votes.accuracy.tolist()
        last = {"pair": GOLD, "accuracy": accuracy}
        columns = {name: [*values, last.get(name)] for name, values in columns.items()}
    return pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})


def _sums(engine: duckdb.DuckDBPyConnection, outcomes: Outcomes) -> Sums:
    def summed(where: str) -> list[float]:
        sums = ", ".join(f"coalesce(sum({one}) FILTER ({where}), 0)::DOUBLE" for one in outcomes.columns)
        return list(engine.execute(f"SELECT {sums} FROM summed").fetchall()[0])

    (found,) = engine.execute(
        f"""
        SELECT coalesce(sum(rows), 0)::BIGINT, count(*) FILTER (rows > 0), coalesce(max(votes), 0)::DOUBLE,
            count(*) FILTER (rows = 0)
        FROM (
            SELECT count(pair) AS rows, sum({" + ".join(outcomes.columns)}) FILTER (pair IS NOT NULL) AS votes
            FROM summed GROUP BY "user"
        )
        """
    ).fetchall()
    return Sums(*found, votes=summed("pair >= 0"), anchor_votes=summed(f"pair = {GOLD}"))
