"""Row matching: each row of a vote table matched with the counted votes, keeping all its columns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute

from emjax.data.columns import asked, columns_read, reading_of, recognise, role_expressions
from emjax.data.comparison_table import labels
from emjax.data.count_table import Table, tally
from emjax.data.frames import opened_frame
from emjax.data.ids import union_ids
from emjax.data.outcome_schema import Outcomes
from emjax.data.preferences import Preferences
from emjax.data.read_files import is_path, opened
from emjax.data.row_rules import Reading, RowRules
from emjax.data.strata import VoteStrata
from emjax.data.stratify_table import columns_told, named, with_strata
from emjax.data.style_covariates import SOURCE, style_columns, style_sql
from emjax.data.vote_formats import VoteFormat
from emjax.errors import VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

_NARROW, _WIDE = 1 << 20, 1 << 12  # rows read at once: four columns of names; all columns, texts among them
_UNKNOWN, _TIE, _GOLD, _SKIPPED = -1, -2, -3, -4


@dataclass(frozen=True, eq=False)
class Matched:
    """For each row of a table of votes: whose vote, on what, and how it went.

    Attributes
    ----------
    user : (n,) int32, position in the users of the votes; negative if the row is left out
    comparison : (n,) int32
    outcome : (n,) int8, column of the counts of the votes; of those for either side
    a_won : (n,) bool
    first_won : (n,) bool, whether the model in the first column won
    ties, unknown, gold, skipped : int
        Rows that are left out: neither won; the user or the comparison does not occur in the votes; the right
        answer is known; the rules leave them out.
    """

    user: np.ndarray
    comparison: np.ndarray
    outcome: np.ndarray
    a_won: np.ndarray
    first_won: np.ndarray
    ties: int
    unknown: int
    gold: int
    skipped: int

    @property
    def decisive(self) -> np.ndarray:
        """(n,) bool, rows that are votes for one side."""
        return self.user >= 0


@dataclass(frozen=True, eq=False)
class VoteRows:
    """An open table of votes, row by row.

    Attributes
    ----------
    names : tuple of str
        Its columns.
    columns : mapping of str to str
        For each role the column that holds it.
    told : mapping
        What is told of the columns of these rows.
    form : VoteFormat, optional
        The format that the table was recognised as.
    left_out : mapping of str to int
        What its records hold that is no vote, and is in no row.
    strata : VoteStrata, optional
        What the numbers mean that stand for a context.
    """

    names: tuple[str, ...]
    relation: duckdb.DuckDBPyRelation
    how: Reading
    roles: tuple[str, ...]
    columns: Mapping[str, str]
    told: Mapping[str, str | None]
    form: VoteFormat | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    strata: VoteStrata | None = None

    def match(self, prefs: Preferences) -> Matched:
        """Match every row with the votes that were counted from them.

        Where those are stratified, each row's stratum is read from the columns of its features.

        Raises
        ------
        VotesError
            The comparisons of `prefs` are labels and not models, or a column is not there that they were
            counted by.
        """
        if not prefs.has_models:
            raise VotesError(
                "rows cannot be matched with labelled comparisons: read the votes from this table"
            )
        if prefs.strata is not None and prefs.strata.cuts and "context" not in self.roles:
            return self._by_stratum(prefs.strata).match(prefs)
        extra = {"shown_first": prefs.outcomes.sides, "context": prefs.contexts is not None}
        for role, wanted in extra.items():
            if wanted and role not in self.roles:
                raise VotesError(f"the votes were counted by {role}: name that column for the rows, too")
        users, user_of = self._users(prefs)
        words, meaning = self._meanings(prefs)
        matched = [
            _matched(batch, users, user_of, words, meaning)
            for batch in _batches(self.relation.select(*self.roles), _NARROW)
        ]
        user, comparison, outcome, a_won, first_won = map(np.concatenate, zip(*matched, strict=True))
        left_out = (int((user == code).sum()) for code in (_TIE, _UNKNOWN, _GOLD, _SKIPPED))
        return Matched(user, comparison, outcome, a_won, first_won, *left_out)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in order, a few thousand at a time, under the names they came with."""
        columns = [f"c{number}" for number in range(len(self.names))]
        for batch in _batches(self.relation.select(*columns), _WIDE):
            yield pa.RecordBatch.from_arrays(batch.columns, names=list(self.names))

    def _by_stratum(self, strata: VoteStrata) -> "VoteRows":
        """The same rows, their stratum being their context."""
        told = columns_told(strata)
        names = (*self.names, *style_columns(self.names))
        place = recognise(names, told, roles=tuple(told))
        features = [duckdb.SQLExpression(self._sql(names[place[role]])).alias(role) for role in told]
        table: Table = nw.from_native(self.relation.select(duckdb.StarExpression(), *features))
        by_stratum, _ = with_strata(table, lambda: [("", table)], strata)
        return replace(self, relation=by_stratum.to_native(), roles=(*self.roles, "context"), strata=strata)

    def _sql(self, name: str) -> str:
        """SQL for a column, or for what is derived from one."""
        if name in self.names:
            return f"c{self.names.index(name)}"
        return style_sql(name, self.relation, f"c{self.names.index(SOURCE)}")

    def _users(self, prefs: Preferences) -> tuple[pa.Array, np.ndarray]:
        """Every user as written in the table, and its position in the users of `prefs`."""
        written = _one_chunk(_table(self.relation.select("user").distinct()).column(0))
        one: dict[str, Any] = dict.fromkeys(self.roles, pa.array(["model_a"] * len(written)))
        one |= {"user": written, "model_b": pa.array(["model_b"] * len(written))}
        found = tally(_counted(one), Reading(typed=self.how.typed))
        everyone, mine, theirs = union_ids(prefs.users, found.users)
        position = np.full(everyone.size + 1, _UNKNOWN)
        position[mine] = np.arange(mine.size)
        assert found.row is not None
        answer = np.full(len(written), _UNKNOWN)
        answer[found.row] = np.where(found.user < 0, _UNKNOWN, position[theirs[found.user]])
        return written, answer

    def _meanings(self, prefs: Preferences) -> tuple[list[pa.Array], dict[int, tuple[int, ...]]]:
        """What is written in the other columns; per combination its comparison, outcome, a_won, first_won."""
        combined = _table(self.relation.select(*self.roles[1:]).distinct())
        columns = [_one_chunk(column) for column in combined.columns]
        no_user = pa.array(np.zeros(len(combined), np.int64))
        found = tally(_counted(dict(zip(self.roles, [no_user, *columns], strict=True))), self.how)
        words = [pc.unique(column) for column in columns]
        found = found if self.strata is None else named(found, self.strata)
        keys = _keys(columns, words)
        pairs = {label: i for i, label in enumerate(labels(prefs.table))}
        meaning = {}
        assert found.row is not None
        for i, row in enumerate(found.row):
            a, b, won = found.models[found.model_a[i]], found.models[found.model_b[i]], found.won[i]
            of = () if found.contexts is None else (found.contexts[found.context[i]],)
            comparison = pairs.get((a, b, *of), pairs.get((b, a, *of), -1))
            same_way = (a, b, *of) in pairs
            a_won, a_first = (bool(first == 1.0) == same_way for first in (won, found.shown_first[i]))
            at = _TIE if won == 0.5 else _UNKNOWN if np.isnan(won) else comparison
            at = at if np.isnan(found.right[i]) else _GOLD
            at = _SKIPPED if found.skipped[i] else at
            column = _column(prefs.outcomes, a_won, a_first)
            meaning[int(keys[row])] = at, column, int(a_won), int(won == 1.0)
        return words, meaning


def _column(outcomes: Outcomes, a_won: bool, a_first: bool) -> int:
    return int(outcomes.column(np.array([float(a_won)]), np.array([a_first]) if outcomes.sides else None)[0])


@contextmanager
def opened_rows(
    source: Any,
    told: Mapping[str, str | None],
    memory_limit: str | None = None,
    rules: RowRules | None = None,
    *,
    separator: str | None = None,
    encoding: str | None = None,
) -> Iterator[VoteRows]:
    """Open anything that `read_votes` reads, to go through its rows; nothing is checked once more.

    Parameters
    ----------
    source : table or path
    told : mapping
        Names of columns that the caller gave, as for `read_votes`.
    memory_limit : str, optional
        As for `read_votes`; for tables of other engines, too, which are written to a temporary file.
    rules : RowRules, optional
    separator, encoding : str, optional
        As the votes were read with.
    """
    rules = rules or RowRules()
    if is_path(source):
        roles = asked(told)
        named = {role: told.get(role) for role in (*roles, "format")}
        with opened(source, named, memory_limit, separator=separator, encoding=encoding) as files:
            names, relation = files.whole_rows()
            opening = files.columns(), files.told, files.recognised(), files.left_out
            yield VoteRows(names, relation, files.reading(rules), roles, *opening)
        return
    with TemporaryDirectory(prefix="emjax-") as spill, duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        if memory_limit is not None:
            connection.execute("SET memory_limit = ?", [memory_limit])
        frame, told, form, left_out = opened_frame(source, told)
        names, table = _held(frame, told, Path(spill), connection)
        roles = asked(told)
        wanted = role_expressions(names, told, [f"c{number}" for number in range(len(names))])
        relation = nw.from_native(table).select(*wanted, nw.all()).to_native()
        columns = columns_read(names, told)
        how = reading_of(columns, told, rules, form)
        yield VoteRows(names, relation, how, roles, columns, told, form, left_out)


def _held(
    frame: Any, told: Mapping[str, str | None], spill: Path, connection: duckdb.DuckDBPyConnection
) -> tuple[tuple[str, ...], duckdb.DuckDBPyRelation]:
    """A table's names, and its columns as c0, c1, ...; what is not in memory goes through a file."""
    names = tuple(str(name) for name in frame.collect_schema().names())
    renamed = [f"c{number}" for number in range(len(names))]
    if isinstance(frame, nw.LazyFrame):
        written = frame.collect_schema().names()
        columns = [nw.col(old).alias(new) for old, new in zip(written, renamed, strict=True)]
        frame.select(*columns).sink_parquet(spill / "votes.parquet")
        return names, connection.read_parquet(str(spill / "votes.parquet"))
    place = recognise(names, told, roles=asked(told))
    columns = [
        _as_arrow(frame[:, number], name, text=number in place.values()) for number, name in enumerate(names)
    ]
    return names, connection.from_arrow(pa.table(columns, names=renamed))


def _as_arrow(column: nw.Series[Any], name: str, *, text: bool) -> pa.Array:
    try:
        arrow = column.to_arrow()
    except (pa.ArrowException, TypeError):  # Python objects of several kinds
        if not text:
            raise VotesError(
                f"column {name!r} holds values of several types, which no file can: make it text, or drop it"
            ) from None
        values = [None if value is None or value != value else str(value) for value in column.to_list()]
        return pa.array(values)
    return _one_chunk(arrow)


def _one_chunk(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _batches(relation: duckdb.DuckDBPyRelation, rows: int) -> Iterator[pa.RecordBatch]:
    yield from relation.to_arrow_reader(rows)


def _table(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    return relation.to_arrow_table()


def _counted(columns: Mapping[str, pa.Array]) -> nw.DataFrame[Any]:
    """A table for `tally` that says of each row where it stands."""
    rows = len(columns["user"])
    return nw.from_native(pa.table({**columns, "row": np.arange(rows)}), eager_only=True)


def _keys(columns: Sequence[pa.Array], words: Sequence[pa.Array]) -> np.ndarray:
    """(n,) one number for what is written in several columns; −1 where a word is not among the known."""
    key, known = np.zeros(len(columns[0]), np.int64), np.ones(len(columns[0]), bool)
    for column, listed in zip(columns, words, strict=True):
        at = _positions(column, listed)
        key, known = key * len(listed) + at, known & (at >= 0)
    return np.where(known, key, -1)


def _positions(column: pa.Array, listed: pa.Array) -> np.ndarray:
    """(n,) where each entry stands in a list; −1 where it does not."""
    return np.asarray(pc.index_in(column, value_set=listed).fill_null(-1), np.int64)


def _matched(
    batch: pa.RecordBatch,
    users: pa.Array,
    user_of: np.ndarray,
    words: Sequence[pa.Array],
    meaning: Mapping[int, tuple[int, ...]],
) -> tuple[np.ndarray, ...]:
    """User, comparison, outcome, a_won and first_won of each row of a batch."""
    keys, back = np.unique(_keys(batch.columns[1:], words), return_inverse=True)
    known = np.array([meaning.get(int(key), (_UNKNOWN, 0, 0, 0)) for key in keys], np.int32).reshape(-1, 4)
    comparison, outcome, a_won, first_won = known[back].T
    user = np.append(user_of, _UNKNOWN)[_positions(batch.column(0), users)]
    user = np.where(comparison < 0, comparison, user)
    won = a_won.astype(bool), first_won.astype(bool)
    return user.astype(np.int32), comparison, outcome.astype(np.int8), *won
