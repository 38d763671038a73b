"""Counts of the distinct rows of a table, in the table's own engine; checked and made Preferences."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute

from emjax.data.anchors import ACCURACY, gathered, seen_by
from emjax.data.array_checks import check_some
from emjax.data.columns import EXTRAS, ROLES
from emjax.data.ids import (
    AFTER_POINT,
    BLANK,
    MISSING_WORDS,
    WHOLE_AS_FLOAT,
    as_text,
    identify,
    numbers_in_text,
    plain_text,
    unique_ids,
)
from emjax.data.outcome_schema import Outcomes
from emjax.data.outcome_words import ACCEPTED, outcomes
from emjax.data.preferences import Preferences, collect
from emjax.data.row_rules import ITSELF, NO_WINNER, REASONS, Reading, RowRules
from emjax.errors import VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

Table = nw.DataFrame[Any] | nw.LazyFrame[Any]
# Parts of a table one after the other, each with the words that say in a message where it is.
Parts = Callable[[], Iterable[tuple[str, Table]]]

PLAIN = Reading()
_TIES = "ties dropped"
_FILL = "fill them in, or leave those rows out"


@dataclass(frozen=True, eq=False)
class Tally:
    """Distinct rows of a table of votes, each with how often it occurs; an index of -1 means missing."""

    users: np.ndarray  # (m,) ids
    models: np.ndarray  # (K,) names
    words: np.ndarray  # (W,) what stands in the column of the winner, as text
    user: np.ndarray  # (n,) index into users
    model_a: np.ndarray  # (n,) index into models, of the first column of models
    model_b: np.ndarray  # (n,) index into models, of the second
    said: np.ndarray  # (n,) index into words
    votes: np.ndarray  # (n,) rows of the table
    won: np.ndarray  # (n,) 1, 0, 0.5, or NaN where the word is not understood
    skipped: np.ndarray  # (n,) why a row does not count, a number of `REASONS`; 0 where it does
    unclear: np.ndarray  # (n,) bool, the word has two readings
    shown_first: np.ndarray  # (n,) 1 if the first model was shown first, 0 if not, NaN if unclear
    contexts: np.ndarray | None  # (T,) names; None if there are no contexts
    context: np.ndarray  # (n,) index into contexts
    right: np.ndarray  # (n,) 1 if the first model is the right answer, 0 if not; NaN unknown, -1 unclear
    respelled: tuple[tuple[str, str], ...] = ()  # names written in several ways: two spellings of each
    row: np.ndarray | None = None  # (n,) where the first such row stands, from 0; None if not asked for
    besides: Mapping[str, int] = field(default_factory=dict)  # what records hold that is no vote, in no row


@dataclass(frozen=True, eq=False)
class Meaning:
    """What one row of each entry of a tally counts for.

    Attributes
    ----------
    outcomes : Outcomes
    kept : (n,) bool
        False for a tie that is left out, and for what the rules leave out.
    gold : (n,) bool
        Whether the right answer is known; its row then counts for the user alone.
    won : (n,)
        1 if A won, 0 if B did, ½ for a tie; A is the model listed first, and of a gold question the right
        answer.
    a_shown_first : (n,) bool
        Whether A was shown first; None if sides are not counted.
    """

    outcomes: Outcomes
    kept: np.ndarray
    gold: np.ndarray
    won: np.ndarray
    a_shown_first: np.ndarray | None

    def counts(self, entries: np.ndarray, votes: np.ndarray) -> np.ndarray:
        """(k, O) votes by outcome of some entries (a mask, or their indices)."""
        first = None if self.a_shown_first is None else self.a_shown_first[entries]
        return self.outcomes.counts(self.won[entries], votes, first)


def meaning_of(found: Tally, ties: str, *, sides: bool = False) -> Meaning:
    """What the entries of a tally that has passed its checks count for."""
    kept = ~((found.won == 0.5) & (ties == "drop")) & (found.skipped == 0)
    first = found.shown_first == 1.0 if sides else None
    won, _, first = seen_by(found.right, found.won, found.votes, first)
    return Meaning(Outcomes(sides=sides, ties=ties == "model"), kept, ~np.isnan(found.right), won, first)


def tally(table: Table, how: Reading = PLAIN) -> Tally:
    """Count the distinct rows of a table that has the columns user, model_a, model_b, winner.

    Also by the columns shown_first, context and gold, where it has them; `row` says where each stands.

    Parameters
    ----------
    table : narwhals frame
    how : Reading

    Returns
    -------
    Tally
    """
    return tally_of(row_counts(table), how)


def row_counts(table: Table, most: int | None = None) -> nw.DataFrame[Any]:
    """The distinct rows of a table as its engine counts them: its columns, `votes`, and `row` if there.

    With `most` no more than that many of them are fetched, whichever they are.
    """
    aggregates, names = [nw.len().alias("votes")], table.collect_schema().names()
    if "row" in names:
        aggregates.append(nw.col("row").min())
    grouped = table.group_by(*ROLES, *(role for role in EXTRAS if role in names)).agg(*aggregates)
    return fetched(grouped if most is None else grouped.head(most))


def tally_of(counted: nw.DataFrame[Any], how: Reading) -> Tally:
    """What `row_counts` gave, understood; entry i of the tally is row i of it."""
    columns, typed = how.called, how.typed
    users, user = _codes(counted["user"], typed=typed, text=False)
    listed = [_codes(counted[role], typed=typed, text=True) for role in ("model_a", "model_b")]
    models, code = unique_ids(np.concatenate([names for names, _ in listed]))
    first = _follow(listed[0][1], code[: listed[0][0].size])
    second = _follow(listed[1][1], code[listed[0][0].size :])
    words, said = _codes(counted["winner"], typed=typed, text=True)
    won, unclear = _outcomes(first, second, said, models, words, columns)
    won, skipped = _by_the_rules(first, second, said, won, how.rules)
    votes = np.asarray(counted["votes"].to_numpy(), np.float64)
    row = np.asarray(counted["row"].to_numpy(), np.int64) if "row" in counted.columns else None
    front, contexts, context = np.ones(votes.size), None, np.zeros(votes.size, np.int64)
    if "shown_first" in counted.columns:
        named, where = _codes(counted["shown_first"], typed=typed, text=True)
        front, _ = _outcomes(first, second, where, models, named, columns)
    if "context" in counted.columns:
        contexts, context = _codes(counted["context"], typed=typed, text=True)
    right = np.full(votes.size, np.nan)
    if "gold" in counted.columns:
        named, where = _codes(counted["gold"], typed=typed, text=True)
        meant, _ = _outcomes(first, second, where, models, named, columns)
        right = np.where(where < 0, np.nan, np.where(np.isin(meant, (0.0, 1.0)), meant, -1.0))
    seen = users, models, words, user, first, second, said, votes, won, skipped, unclear
    respelled = tuple(pair for role in ("user", "model_a", "model_b") for pair in _respelled(counted[role]))
    return Tally(*seen, front, contexts, context, right, respelled, row)


def _respelled(column: nw.Series[Any]) -> list[tuple[str, str]]:
    """Two spellings of each name that a column of text has in several, such as with a space behind it."""
    if column.dtype != nw.String:
        return []
    written = column.drop_nulls().unique().to_arrow()
    written = written.combine_chunks() if isinstance(written, pa.ChunkedArray) else written
    plain = plain_text(written, "name")
    changed = pc.not_equal(written, plain)
    if not pc.any(changed).as_py():  # by far the most often
        return []
    names, spellings = (one.filter(changed) for one in (plain, written))
    there = pc.is_in(names, value_set=written)
    return list(zip(names.filter(there).to_pylist(), spellings.filter(there).to_pylist(), strict=True))


def _by_the_rules(
    first: np.ndarray, second: np.ndarray, said: np.ndarray, won: np.ndarray, rules: RowRules
) -> tuple[np.ndarray, np.ndarray]:
    """Who won where an empty winner is a tie; and why a row is left out, if it is."""
    skipped = np.zeros(won.size, np.int8)
    if rules.empty_winner == "drop":
        skipped[said < 0] = NO_WINNER
    if not rules.strict:
        skipped[(first == second) & (first >= 0)] = ITSELF
    return np.where((said < 0) & (rules.empty_winner == "tie"), 0.5, won), skipped


def _outcomes(
    first: np.ndarray,
    second: np.ndarray,
    said: np.ndarray,
    models: np.ndarray,
    words: np.ndarray,
    columns: tuple[str, str],
) -> tuple[np.ndarray, np.ndarray]:
    """As `outcomes`, for combinations that occur again and again: each is evaluated once."""
    key = ((first + 1) * (models.size + 1) + second + 1) * (words.size + 1) + said + 1  # nothing is -1
    keys, index = unique_ids(key)
    rest, one_said = np.divmod(keys, words.size + 1)
    one_first, one_second = np.divmod(rest, models.size + 1)
    won, unclear = outcomes(one_first - 1, one_second - 1, one_said - 1, models, words, columns)
    return won[index], unclear[index]


def check(found: Tally, parts: Parts, how: Reading) -> None:
    """Raise a VotesError that counts what is wrong and says where it is first, if anything is."""
    total = found.votes.sum()
    if total == 0:
        raise VotesError("there are no votes, only column names: give at least one row")
    for find, line, remedy in problems(found, how):
        place = _first_place(parts, lambda part, find=find: find(part)[0], how)
        raise VotesError(f"{line}{place}: {remedy}")


def problems(found: Tally, how: Reading) -> Iterator[tuple[Callable[[Tally], Any], str, str]]:
    """What is wrong with rows that are to count: how to find them, how many do what, and the remedy."""
    total = found.votes.sum()
    for find, role in _PROBLEMS:
        bad, what, remedy = find(found)
        bad = bad & (found.skipped == 0)
        if bad.any():
            field = how.read_from.get(role)
            what += f" (read from {field} of the format {how.form})" if field else ""
            yield find, f"{found.votes[bad].sum():,.0f} of {total:,.0f} rows {what}", remedy


def preferences_of(
    found: Tally, ties: str, frame: str, *, sides: bool = False, gold_accuracy: float = ACCURACY
) -> Preferences:
    """Preferences from a tally that has passed its checks."""
    meaning = meaning_of(found, ties, sides=sides)
    kept = meaning.kept
    left_out = rows_left_out(found, kept)
    if not kept.any():
        of_rows = [(what, many) for what, many in left_out if what not in found.besides]
        if [what for what, _ in of_rows] != [_TIES]:
            listed = ", ".join(f"{what} {many:,.0f}" for what, many in of_rows)
            raise VotesError(f"no vote is left: of {found.votes.sum():,.0f} rows all are left out ({listed})")
        all_tied = f"all {found.votes.sum():,.0f} votes are ties, and nothing is left when ties are dropped"
        raise VotesError(f'{all_tied}: ties="half" counts each as half a vote for either side')
    voted, user_of = unique_ids(found.user[kept])
    if voted.size < found.users.size:
        left_out.append(("users with no vote left", float(found.users.size - voted.size)))
    users, user = found.users[voted], np.full(kept.size, -1)
    user[kept] = user_of
    outcomes, anchor_votes = meaning.outcomes, None
    known, kept = kept & meaning.gold, kept & ~meaning.gold
    if known.any():
        check_some(kept, found.votes[known])
        accuracy = np.full(known.sum(), float(gold_accuracy))
        counted = meaning.counts(known, found.votes[known])
        anchor_votes = gathered(users, user[known], accuracy, counted, outcomes)
    size = found.models.size
    many = 1 if found.contexts is None else found.contexts.size
    keys, comparison = unique_ids(
        (found.model_a[kept] * size + found.model_b[kept]) * many + found.context[kept]
    )
    pairs, context = np.divmod(keys, many)
    votes = found.votes[kept]
    collected = collect(
        users,
        user[kept],
        np.column_stack([found.models[pairs // size], found.models[pairs % size]]),
        comparison,
        meaning.counts(kept, votes),
        np.column_stack([np.bincount(comparison, votes), np.zeros(keys.size)]),
        tuple(left_out),
        frame,
        outcomes,
        None if found.contexts is None else found.contexts[context],
    )
    return replace(collected, anchor_votes=anchor_votes)


def rows_left_out(found: Tally, kept: np.ndarray) -> list[tuple[str, float]]:
    """Why rows do not count, and how many, by reason; with what is no row because its record says so."""
    tied = ~kept & (found.skipped == 0)
    masks = {_TIES: tied} | {what: found.skipped == number for number, what in enumerate(REASONS) if number}
    by_rules = [(what, float(found.votes[rows].sum())) for what, rows in masks.items() if rows.any()]
    return by_rules + [(what, float(many)) for what, many in sorted(found.besides.items())]


def canonical_user(table: Table) -> nw.Expr:
    """Each user as `identify` names it, null where it is missing: the same rule for the table's engine.

    For users that are numbers, text, categories or bytes; the rule for other types is left to `identify`.
    """
    column, dtype = nw.col("user"), table.collect_schema()["user"]
    if dtype.is_float():
        # duckdb takes from the statistics of a parquet file that none of its numbers is NaN, which these omit
        in_duckdb = table.implementation is nw.Implementation.DUCKDB
        return nw.when(~(column.cast(nw.String) == "nan" if in_duckdb else column.is_nan())).then(column)
    if isinstance(dtype, nw.Categorical | nw.Enum | nw.Binary):
        column, dtype = column.cast(nw.String), nw.String
    if dtype != nw.String:
        return column
    # Most names begin and end with a letter or a digit, which is far quicker to see than to strip them.
    first, last = column.str.head(1), column.str.tail(1)
    ordinary = (
        (first > " ") & (first < "\x7f") & (last > " ") & (last < "\x7f") & (last != "0") & (last != ".")
    )
    stripped = column.str.strip_chars(BLANK)
    whole = stripped.str.contains(WHOLE_AS_FLOAT)
    shortened = nw.when(whole).then(stripped.str.replace_all(AFTER_POINT, "")).otherwise(stripped)
    name = nw.when(ordinary).then(column).otherwise(shortened)
    return nw.when(~name.is_in(["", *MISSING_WORDS])).then(name)


def userless(table: Table, user: nw.Expr | None = None) -> Table:
    """The table with 1 in place of each user, and nothing where there is none: no user leaves the engine."""
    name = canonical_user(table) if user is None else user
    return table.with_columns(nw.when(~name.is_null()).then(nw.lit(1)).alias("user"))


def numbered(table: Table) -> Table | None:
    """The table with a column `row` that counts its rows from 0; None where its engine keeps no order."""
    if isinstance(table, nw.DataFrame):
        return table.with_row_index("row")
    native = table.to_native()
    if table.implementation is nw.Implementation.POLARS:
        return nw.from_native(native.with_row_index("row"))
    if table.implementation is nw.Implementation.DUCKDB:
        return nw.from_native(native.project('*, row_number() over () - 1 as "row"'))
    return None


def fetched(table: Table) -> nw.DataFrame[Any]:
    """The rows of a table, in the engine's memory-saving mode where it has one."""
    if isinstance(table, nw.DataFrame):
        return table
    if table.implementation is nw.Implementation.POLARS:
        return table.collect(engine="streaming")
    return table.collect()


def _codes(column: nw.Series[Any], *, typed: bool, text: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct ids of a column, and for each entry its index among them (-1 where it is missing)."""
    if not text and column.dtype in (nw.Int64, nw.Int32) and not column.null_count():
        return unique_ids(np.asarray(column.to_numpy(), np.int64))
    values, code = encoded(column)
    ids, missing = identify(values, f"{column.name} name")
    known = np.flatnonzero(~missing)
    ids = ids[known]
    if text:
        ids = as_text(ids)
    elif not typed:
        ids = numbers_in_text(ids)
    distinct, rank = unique_ids(ids)
    where = np.full(values.size, -1)
    where[known] = rank
    return distinct, _follow(code, where)


def spelled(column: nw.Series[Any]) -> list[str | None]:
    """Each entry of a column as the text that it is taken for, and None where it is missing."""
    words, code = _codes(column, typed=True, text=True)
    return np.array([*words, None], object)[code].tolist()


def encoded(column: nw.Series[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values of a column as they are, and for each entry its index among them (-1 for a null)."""
    try:
        arrow = column.to_arrow()
    except (pa.ArrowException, TypeError):  # Python objects of several kinds
        values = np.asarray(column.to_numpy(), dtype=object)
        return values, np.arange(values.size)
    if isinstance(arrow, pa.ChunkedArray):
        arrow = arrow.combine_chunks()
    if pa.types.is_dictionary(arrow.type) and arrow.dictionary.null_count:
        arrow = arrow.cast(arrow.type.value_type)
    encoded = _without_unused(arrow if pa.types.is_dictionary(arrow.type) else arrow.dictionary_encode())
    return encoded.dictionary.to_numpy(zero_copy_only=False), np.asarray(
        encoded.indices.cast(pa.int64()).fill_null(-1), np.int64
    )


def _without_unused(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same column with no word in its dictionary that does not occur."""
    code = np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(encoded.dictionary)))
    seen = np.bincount(code, minlength=len(encoded.dictionary) + 1)[: len(encoded.dictionary)] > 0
    if seen.all():
        return encoded
    place = np.append(np.cumsum(seen) - 1, 0)[code]
    indices = pa.array(place, mask=code == len(seen))
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary.filter(pa.array(seen)))


def _follow(code: np.ndarray, where: np.ndarray) -> np.ndarray:
    """where[code], with -1 kept."""
    return np.append(where, -1)[code]


def _first_place(parts: Parts, find: Callable[[Tally], np.ndarray], how: Reading) -> str:
    """Words for the first bad row, by a second pass that numbers the rows; none where that is impossible."""
    for label, part in numbered_parts(parts):
        seen = tally(part, how)
        bad = find(seen) & (seen.skipped == 0)
        if seen.row is not None and bad.any():
            what = "vote" if how.unfolded else "data row"  # rows taken out of records have no row in the file
            return f", first at {what} {int(seen.row[bad].min()) + 1:,}{label}"
    return ""


def numbered_parts(parts: Parts) -> Iterator[tuple[str, Table]]:
    """The parts with their rows numbered, those whose engine keeps an order."""
    for label, part in parts():
        table = numbered(part)
        if table is not None:
            yield label, table


def _no_user(found: Tally) -> tuple[np.ndarray, str, str]:
    return found.user < 0, "have no user", _FILL


def _no_first_model(found: Tally) -> tuple[np.ndarray, str, str]:
    return found.model_a < 0, "have no model A", _FILL


def _no_second_model(found: Tally) -> tuple[np.ndarray, str, str]:
    return found.model_b < 0, "have no model B", _FILL


def _no_winner(found: Tally) -> tuple[np.ndarray, str, str]:
    remedy = "write tie where neither won, or say what an empty cell means: empty_winner='tie' or 'drop'"
    return (found.said < 0) & np.isnan(found.won), "have no winner", remedy


def _itself(found: Tally) -> tuple[np.ndarray, str, str]:
    bad = (found.model_a == found.model_b) & (found.model_a >= 0)
    names = f" ({found.models[found.model_a[bad].min()]!r})" if bad.any() else ""
    return bad, f"compare a model with itself{names}", "leave those rows out, or read without strict=True"


def _two_readings(found: Tally) -> tuple[np.ndarray, str, str]:
    what = f"name one model in a word that also stands for the other ({_words(found, found.unclear)})"
    return found.unclear, what, "rename the models, or write model_a, model_b or tie"


def _not_understood(found: Tally) -> tuple[np.ndarray, str, str]:
    bad = np.isnan(found.won) & (found.said >= 0) & (found.skipped == 0)
    return bad, f"have a winner that is not understood ({_words(found, bad)})", f"write {ACCEPTED}"


def _no_front(found: Tally) -> tuple[np.ndarray, str, str]:
    bad = ~np.isin(found.shown_first, (0.0, 1.0))
    what = "do not say which model was shown first"
    return bad, what, "write model_a or model_b, left or right, or the model's name"


def _no_gold(found: Tally) -> tuple[np.ndarray, str, str]:
    bad = found.right < 0
    what = "have a right answer that names neither model"
    return bad, what, "write model_a or model_b, or the model's name; nothing where no answer is known"


def _no_context(found: Tally) -> tuple[np.ndarray, str, str]:
    return found.context < 0, "have no context", _FILL


def _words(found: Tally, bad: np.ndarray) -> str:
    """The offending words with their counts, most frequent first."""
    if not bad.any():
        return ""
    tallied = np.bincount(found.said[bad], found.votes[bad], found.words.size)
    order = sorted(np.flatnonzero(tallied), key=lambda word: (-tallied[word], found.words[word]))
    shown = [f"{_short(found.words[word])} {tallied[word]:,.0f}" for word in order[:5]]
    if len(order) > 5:
        shown.append(f"and {len(order) - 5:,} more")
    return ", ".join(shown)


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:37] + "...")


# With the role that is read, in the order in which they are reported: what is missing, then what is wrong.
_PROBLEMS = (
    *((_no_user, "user"), (_no_first_model, "model_a"), (_no_second_model, "model_b")),
    *((_no_winner, "winner"), (_no_context, "context"), (_itself, "model_b"), (_two_readings, "winner")),
    *((_not_understood, "winner"), (_no_front, "shown_first"), (_no_gold, "gold")),
)
