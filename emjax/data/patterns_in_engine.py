"""Response patterns counted in the table's own engine, for one comparison; results joined back there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from emjax.data.anchors import ACCURACY, check_gold_accuracy
from emjax.data.cell_counts import CellCounts
from emjax.data.columns import reading_of
from emjax.data.count_table import (
    Meaning,
    Table,
    Tally,
    canonical_user,
    check,
    fetched,
    meaning_of,
    preferences_of,
    row_counts,
    tally_of,
    userless,
)
from emjax.data.frames import SPARK, opened_frame
from emjax.data.preferences import Preferences
from emjax.data.read import frame_of, votes_of
from emjax.data.read_files import is_path
from emjax.data.response_patterns import Cells
from emjax.data.row_rules import RowRules
from emjax.data.write import arrow_table
from emjax.errors import VotesError

# More ways to say who won than one comparison has: the columns are other ones, and fetching stops here.
_MOST_ROWS = 100_000
_MADE = "votes_of_outcome_"  # and a number: the columns that hold a user's votes while the engine counts
_RESERVED = ("user", "n_votes")


@dataclass(frozen=True, eq=False)
class _Kinds:
    """The distinct (model_a, model_b, winner) of a table, with side and right answer where these are read.

    As its engine has them, and what they mean; a row counts `unit` for a vote, which is 2 where half votes
    occur.
    """

    counted: nw.DataFrame[Any]
    found: Tally
    meaning: Meaning
    pooled: Preferences
    unit: int

    @property
    def columns(self) -> list[str]:
        """Names of the columns of votes by outcome; those on gold questions follow."""
        return self.of_votes + [f"{_MADE}{self.n + number}" for number in range(self.n * self.gold)]

    @property
    def of_votes(self) -> list[str]:
        """Names of the columns of votes on the comparison."""
        return [f"{_MADE}{number}" for number in range(self.n)]

    @property
    def n(self) -> int:
        """Number of outcomes, O."""
        return self.meaning.outcomes.n

    @property
    def gold(self) -> bool:
        """Whether there are answers to gold questions."""
        return self.pooled.anchor_votes is not None

    def sums(self) -> np.ndarray:
        """Votes of all users, one number for each of `columns`."""
        known = self.pooled.anchor_votes
        blocks = [self.pooled.counts, *([] if known is None else [known.counts])]
        return np.concatenate([counts.sum(axis=0) for counts in blocks])


def read_cells(
    table: Any,
    *,
    user: str | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    winner: str | None = None,
    shown_first: str | None = None,
    gold: str | None = None,
    gold_accuracy: float = ACCURACY,
    ties: str = "drop",
    empty_winner: str = "refuse",
    strict: bool = False,
) -> CellCounts:
    """Count users by their votes on one comparison, inside the engine that holds the table.

    Parameters
    ----------
    table : table
        One row per vote: a polars data frame (lazy or not), a duckdb relation, a Spark data frame, a pandas
        data frame or a pyarrow table. All rows compare the same two models.
    user, model_a, model_b, winner : str, optional
        Names of the columns. Common names are recognised, as in `read_votes`.
    shown_first : str, optional
        Column that says which of the two answers was shown first; counts are then by side, too.
    gold, gold_accuracy
        As in `read_votes`: a column of the right answer, where it is known, and how often it is given by an
        attentive user. Gold questions may be about other models.
    ties, empty_winner, strict
        As in `read_votes`.

    Returns
    -------
    CellCounts
        What `distinct(read_votes(table, ...))` holds, but for which user is where. `table.left_out` counts
        ties that were dropped and users who have no other votes.

    Raises
    ------
    VotesError
        As in `read_votes`; or there is more than one comparison, or the table changed while it was read.

    Notes
    -----
    The engine goes through the table twice: once for the distinct models and winners, which say what every
    row means, and once for users and cells. What leaves it is those, and one row per cell; never a user. A
    limit: cells are of one comparison, so there are no contexts, features or covariates here. A message about
    bad rows says how many there are, but where the first is only if the engine keeps rows in order (Spark
    does not).

    Examples
    --------
    >>> import duckdb
    >>> votes = duckdb.sql("select range % 1000 as user, 'new' as model_a, 'old' as model_b,"
    ...                    " if(range % 3 = 0, 'model_b', 'model_a') as winner from range(4000)")
    >>> counted = read_cells(votes)
    >>> counted
    CellCounts: 4,000 votes of 1,000 users in 1 comparison (new against old), in 2 cells
    >>> counted.cells.counts, counted.cells.multiplicity
    (array([[2., 2.],
           [3., 1.]]), array([333., 667.]))
    """
    check_gold_accuracy(gold_accuracy)
    told = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}
    told |= {"shown_first": shown_first, "gold": gold}
    rules = RowRules(ties, empty_winner, strict)
    votes, kinds = _understood(table, told, rules, gold_accuracy)
    users = _by_user(votes, kinds, _the_pair(kinds.pooled))
    counted = fetched(users.group_by(*kinds.columns).agg(nw.len().alias("users")))
    points = np.column_stack([counted[name].to_numpy() for name in kinds.columns]).astype(np.int64)
    many = counted["users"].to_numpy().astype(np.int64)
    _check_second_look(many @ points / kinds.unit, kinds.sums())
    given = {name: of for name, of in told.items() if of is not None} | rules.unusual()
    return replace(_cell_counts(points, many, kinds), read_with=given)


def join_cells(
    table: Any,
    counted: CellCounts,
    values: Mapping[str, Any],
    *,
    nullable: Sequence[str] = (),
    user: str | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    winner: str | None = None,
    shown_first: str | None = None,
    gold: str | None = None,
    empty_winner: str = "refuse",
    strict: bool = False,
) -> Any:
    """Answers about cells, joined to the users of a table inside the engine that holds it.

    Parameters
    ----------
    table : table
        The votes that `counted` was read from, or some of its users.
    counted : CellCounts
        From `read_cells`.
    values : mapping of str to (n_cells,) arrays
        One entry per cell, in the order of `counted.cells`.
    nullable : sequence of str
        Columns in which NaN means that there is no answer, and becomes null.
    user, model_a, model_b, winner, shown_first, gold : str, optional
        As in `read_cells`; `shown_first` and `gold` where the cells were counted with them, and only there.
    empty_winner, strict
        As the cells were counted with.

    Returns
    -------
    table
        Of the kind that came in, and lazy if that is: nothing is computed for a user until it is asked for.
        One row per user with a vote that counts, in no order: `user`, `n_votes`, then `values`.

    Raises
    ------
    VotesError
        A column does not have one entry per cell or has a name that is taken, the table compares other
        models or is read without the sides or right answers that the cells know, the engine is one to which
        no table can be given, or what `read_cells` raises for bad rows.

    Notes
    -----
    The table is read once when this is called, for the distinct models and winners, and once more when the
    answers are computed. Ties count as they did in `counted`. A limit: a user whose votes are in no cell,
    because the table is another one, has null in every column of `values`.

    Examples
    --------
    >>> import polars as pl
    >>> votes = pl.LazyFrame({"user": ["ann", "ann", "bob"], "model_a": ["new"] * 3, "model_b": ["old"] * 3,
    ...                       "winner": ["a", "a", "b"]})
    >>> counted = read_cells(votes)
    >>> joined = join_cells(votes, counted, {"share_for_new": [0.0, 1.0]})
    >>> joined.sort("user").collect().rows()
    [('ann', 2.0, 1.0), ('bob', 1.0, 0.0)]
    """
    _check_columns(values, counted.cells.n_cells)
    pair = _pair_of(counted)
    known = counted.table.anchor_votes
    _check_alike("shown_first", shown_first, there=counted.table.outcomes.sides)
    _check_alike("gold", gold, there=known is not None)
    told = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}
    told |= {"shown_first": shown_first, "gold": gold}
    rules = RowRules(_ties_of(counted), empty_winner, strict)
    votes, kinds = _understood(table, told, rules, must_have_gold=known is not None)
    if set(_the_pair(kinds.pooled)) != set(pair):
        here, there = (" against ".join(map(str, names)) for names in (kinds.pooled.comparisons[0], pair))
        raise VotesError(f"the table compares {here}, and the cells {there}: join the table that was counted")
    users = _by_user(votes, kinds, pair).filter(nw.sum_horizontal(*kinds.columns) > 0)
    keys = dict(zip(kinds.columns, _keys(counted.cells, kinds.unit, kinds.n).T, strict=True))
    answers = _given(users, arrow_table({**keys, **values}, nullable))
    n_votes = nw.sum_horizontal(*kinds.of_votes).cast(nw.Float64) / kinds.unit
    joined: Any = users.join(answers, on=kinds.columns, how="left")  # pyright: ignore[reportArgumentType]
    return joined.select("user", n_votes.alias("n_votes"), *values).to_native()


def _ties_of(counted: CellCounts) -> str:
    """What was done with ties when these were counted, as far as it matters for their users."""
    if counted.table.outcomes.ties:
        return "model"
    dropped = any(what == "ties dropped" for what, _ in counted.table.left_out)
    return "drop" if dropped else "half"


def _check_alike(option: str, given: str | None, *, there: bool) -> None:
    """Raise a VotesError unless an option is given where the cells were counted with it, and only there."""
    if there and given is None:
        raise VotesError(f"the cells were counted with {option}: give {option}='COLUMN' here, too")
    if given is not None and not there:
        raise VotesError(f"the cells were counted without {option}: leave it out here, too")


def _understood(
    table: Any,
    told: Mapping[str, str | None],
    rules: RowRules,
    accuracy: float = ACCURACY,
    *,
    must_have_gold: bool = False,
) -> tuple[Table, _Kinds]:
    """The columns of a table that are read, and the distinct rows of all but the users, checked."""
    if is_path(table):
        raise VotesError(
            "cells are counted in tables, and this is a path: give polars.scan_parquet(path) or "
            "duckdb.read_parquet(path)"
        )
    table, told, form, left_out = opened_frame(table, told)
    votes, columns = votes_of(table, told)
    votes = _spelled_out(votes)
    without = userless(votes)
    counted = row_counts(without, most=_MOST_ROWS + 1)
    if len(counted) > _MOST_ROWS:
        raise VotesError(
            f"there are more than {_MOST_ROWS:,} different models and winners: say which columns hold them, "
            "or use read_votes or aggregate for many comparisons"
        )
    how = reading_of(columns, told, rules, form)
    found = replace(tally_of(counted, how), besides=left_out)
    check(found, lambda: [("", without)], how)
    sides = told["shown_first"] is not None
    ties = rules.ties
    pooled = preferences_of(found, ties, frame_of(votes), sides=sides, gold_accuracy=accuracy)
    if must_have_gold and pooled.anchor_votes is None:
        raise VotesError(
            "the cells know answers to gold questions, and the table has none: join the table that was "
            "counted"
        )
    meaning = meaning_of(found, ties, sides=sides)
    return votes, _Kinds(counted, found, meaning, pooled, 2 if ties == "half" else 1)


def _spelled_out(votes: Table) -> Table:
    """Categories as text, so that all engines compare them alike."""
    schema = votes.collect_schema()
    listed = [name for name, dtype in schema.items() if isinstance(dtype, (nw.Categorical, nw.Enum))]
    return votes.with_columns(nw.col(*listed).cast(nw.String)) if listed else votes


def _the_pair(pooled: Preferences) -> tuple[Any, Any]:
    """The one comparison; a VotesError if there are more."""
    if pooled.n_comparisons > 1:
        listed = ", ".join(" against ".join(map(str, pair)) for pair in pooled.comparisons[:3])
        more = ", ..." if pooled.n_comparisons > 3 else ""
        raise VotesError(
            f"the votes hold {pooled.n_comparisons:,} comparisons ({listed}{more}), and cells are for one: "
            "leave the other rows out, or use read_votes, or aggregate where the votes are larger than memory"
        )
    return pooled.comparisons[0, 0], pooled.comparisons[0, 1]


def _by_user(votes: Table, kinds: _Kinds, pair: tuple[Any, Any]) -> Table:
    """One row per user, in the engine: votes of each outcome, times `unit`."""
    points = _points(kinds, pair)
    named = [point.cast(nw.Int64).alias(name) for point, name in zip(points, kinds.columns, strict=True)]
    users = votes.select("user", *named).group_by("user").agg(nw.col(*kinds.columns).sum())
    if users.collect_schema()["user"] == nw.String:  # once more for those written in several ways
        users = users.with_columns(canonical_user(users).alias("user"))
        users = users.group_by("user").agg(nw.col(*kinds.columns).sum())
    users = users.filter(~nw.col("user").is_null())
    return users.with_columns(
        nw.col(*kinds.columns).cast(nw.Int64)
    )  # duckdb sums whole numbers to wider ones


def _points(kinds: _Kinds, pair: tuple[Any, Any]) -> list[nw.Expr]:
    """What a row adds to each of the columns: its words are matched as they stand in the table."""
    found, meaning = kinds.found, kinds.meaning
    terms = []
    for first, second in dict.fromkeys(zip(found.model_a, found.model_b, strict=True)):
        rows = (found.model_a == first) & (found.model_b == second)
        of_pair = _among(kinds, "model_a", rows) & _among(kinds, "model_b", rows)
        turned = (found.models[first], found.models[second]) != pair
        for won, front, right in product((1.0, 0.5, 0.0), (1.0, 0.0), (1.0, 0.0, np.nan)):
            said, side = rows & (found.won == won), rows & (found.shown_first == front)
            answer = rows & (meaning.gold if np.isnan(right) else found.right == right)
            alike = np.flatnonzero(meaning.kept & said & side & (answer ^ np.isnan(right)))
            if not alike.size:
                continue
            gains = np.zeros((2, kinds.n), np.int64)
            gain = meaning.counts(alike[:1], np.array([float(kinds.unit)]))[0]
            on_gold = int(not np.isnan(right))
            gains[on_gold] = gain[list(meaning.outcomes.mirror)] if turned and not on_gold else gain
            row = of_pair & _among(kinds, "winner", said)
            if meaning.outcomes.sides:
                row = row & _among(kinds, "shown_first", side)
            if kinds.gold:
                in_answers = _among(kinds, "gold", answer)
                row = row & (in_answers if on_gold else ~nw.when(in_answers).then(True).otherwise(False))
            terms.append((row, gains.ravel().tolist()))
    return [_sum_of(terms, column) for column in range(len(kinds.columns))]


def _among(kinds: _Kinds, role: str, rows: np.ndarray) -> nw.Expr:
    """Whether a column holds one of the values that it has in the given rows of the kinds."""
    values = kinds.counted[role].to_list()
    among = dict.fromkeys(values[row] for row in np.flatnonzero(rows))
    there = nw.col(role).is_in([value for value in among if value is not None])
    return there | nw.col(role).is_null() if None in among else there


def _sum_of(terms: list[tuple[nw.Expr, list[int]]], outcome: int) -> nw.Expr:
    gains = [nw.when(row).then(nw.lit(gain[outcome])).otherwise(nw.lit(0)) for row, gain in terms]
    return sum(gains[1:], gains[0])


def _check_second_look(seen: np.ndarray, expected: np.ndarray) -> None:
    """The sums over cells are those over distinct rows, or an engine read something else the second time."""
    if not np.array_equal(seen, expected):
        raise VotesError(
            f"on second reading the table gave {seen.sum():,.1f} votes, at first {expected.sum():,.1f}: keep "
            "it from changing (write it to a file, or persist it); if it does not change, turn the columns "
            "of models and winners into text"
        )


def _cell_counts(points: np.ndarray, many: np.ndarray, kinds: _Kinds) -> CellCounts:
    """Cells in the order of `distinct`; users without a vote that counts are left out, and counted."""
    pooled = kinds.pooled
    voted = points.any(axis=1)
    left_out = pooled.left_out
    if not voted.all():
        left_out = (*left_out, ("users with no vote left", float(many[~voted].sum())))
    votes, many = points[voted] / kinds.unit, many[voted]
    blocks = votes.reshape(len(votes), -1, kinds.n)  # by comparison: the one, and the gold question
    order = _as_distinct(blocks)
    blocks, multiplicity = blocks[order], many[order].astype(np.float64)
    most = float(votes.sum(axis=1).max())
    table = replace(pooled.table, n_users=int(many.sum()), most_votes=most, left_out=left_out)
    cell, comparison = np.nonzero(blocks.any(axis=2))
    indptr = np.searchsorted(cell, np.arange(len(blocks) + 1))
    counts, none = blocks[cell, comparison], np.empty(0, np.int64)
    return CellCounts(table, Cells(indptr, comparison, counts, multiplicity, none, blocks.shape[1]))


def _as_distinct(blocks: np.ndarray) -> np.ndarray:
    """The order of `distinct`: by number of rows, then by one row (comparison, counts) after the other."""
    there = blocks.any(axis=2)
    first = there.argmax(axis=1)
    keys = [there.sum(axis=1), first, *blocks[np.arange(len(blocks)), first].T]
    if blocks.shape[1] > 1:
        keys += [*blocks[:, 1].T]
    return np.lexsort(keys[::-1])


def _pair_of(counted: CellCounts) -> tuple[Any, Any]:
    table = counted.table
    if table.n_comparisons != 1 or not table.has_models:
        raise VotesError("these cells are not of one pair of models: count them with read_cells")
    return table.comparisons[0, 0], table.comparisons[0, 1]


def _check_columns(values: Mapping[str, Any], n_cells: int) -> None:
    for name, entries in values.items():
        lower = name.lower()  # Spark and duckdb do not distinguish names by case
        if lower in _RESERVED or lower.startswith(_MADE):
            raise VotesError(f"the column {name} is made here: give the other one another name")
        if len(entries) != n_cells:
            raise VotesError(
                f"column {name!r} has {len(entries):,} entries for {n_cells:,} cells: give one per cell"
            )


def _keys(cells: Cells, unit: int, n_outcomes: int) -> np.ndarray:
    """(n, k) int64 votes of each cell by outcome, on gold questions too, times `unit`."""
    points = np.zeros((cells.n_cells, cells.n_comparisons, n_outcomes))
    points[np.repeat(np.arange(cells.n_cells), np.diff(cells.indptr)), cells.comparison] = cells.counts * unit
    points = points.reshape(cells.n_cells, -1)
    keys = points.astype(np.int64)
    if not np.array_equal(keys, points):
        raise VotesError("cells with parts of a vote cannot be found in a table: count them with read_cells")
    return keys


def _given(users: Table, answers: pa.Table) -> Table:
    """A small table passed to the engine that holds `users`."""
    kind, native = users.implementation, users.to_native()
    if isinstance(users, nw.DataFrame):
        return nw.from_arrow(answers, backend=kind)
    if kind is nw.Implementation.POLARS:
        return nw.from_arrow(answers, backend=kind).lazy()
    if kind is nw.Implementation.DUCKDB:
        return nw.from_native(_same_connection(native, answers))
    if kind in SPARK:
        dotted = [name for name in answers.column_names if "." in name]
        if dotted:
            raise VotesError(f"Spark takes the dot in {dotted[0]!r} for a path: give the column another name")
        return nw.from_native(native.sparkSession.createDataFrame(answers))
    raise VotesError(
        f"answers cannot be passed to {kind.value}: join them yourself, by the votes of counted.cells, or "
        "use polars, duckdb, Spark, pandas or pyarrow"
    )


def _same_connection(relation: Any, emjax_answers_by_cell: pa.Table) -> Any:
    """An Arrow table as a relation in the connection of another; duckdb finds it here by its long name."""
    return relation.query("emjax_votes_by_user", "select * from emjax_answers_by_cell")
