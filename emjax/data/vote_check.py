"""Vote check: what a table of votes holds as `read_votes` understands it, found before any fit."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emjax.data.amounts import counted
from emjax.data.columns import columns_in_words
from emjax.data.count_table import (
    Tally,
    meaning_of,
    preferences_of,
    problems,
    row_counts,
    rows_left_out,
    tally,
    tally_of,
)
from emjax.data.reading_notes import MEANINGS, reading_notes, share_of_first, votes_by_user, words_read
from emjax.data.row_matching import Matched, VoteRows, opened_rows
from emjax.data.row_rules import REASONS, RowRules
from emjax.data.style_covariates import style_columns
from emjax.data.text_check import TextCheck, check_texts
from emjax.data.texts import have_texts
from emjax.data.vote_formats import FORMATS
from emjax.errors import VotesError


@dataclass(frozen=True)
class VoteCheck:
    """What a table of votes holds.

    Attributes
    ----------
    rows : int
    columns : dict of str to str
        For each role the column that holds it.
    form : str
        The format of the field that it was recognised as, as `format` takes it; "" for a plain table.
    problems : tuple of str
        What `read_votes` would refuse, one line for each reason.
    words : tuple of (str, str, int)
        What stands in the column of the winner, what it means, and in how many rows; most frequent first.
    n_users, n_models, n_pairs : int
    pieces : tuple of tuple of str
        Groups of models that met one another; more than one if some never met, even by way of others.
    votes : int
        Rows that count.
    left_out : tuple of (str, int)
        Rows that do not count, by reason; and what nested records hold that is no vote, and in no row.
    duplicates : int
        Rows that are equal to an earlier row in every column.
    heaviest : tuple of (str, int)
        Users with most rows.
    share_first : float, optional
        Share of the decided votes that went to the model in the first column; None in formats whose columns
        are no sides, as where the chosen answer is always in the first.
    samples : tuple of str
        The first rows, in words.
    notes : tuple of str
        What a reader should look at.
    texts : TextCheck, optional
        What the columns of prompts and answers hold; None where there are none.
    read_from : dict of str to str
        For roles that were not read from one column of the table, the field of its records or the columns.

    Examples
    --------
    >>> import pyarrow as pa
    >>> models = {"model_a": ["new", "new"], "model_b": ["old", "old"]}
    >>> votes = pa.table({"user": [1, 2], **models, "winner": ["a", "b"]})
    >>> print(str(check_votes(votes)).split(chr(10))[1])
    2 users, 2 models, 1 pair of models
    """

    rows: int
    columns: dict[str, str]
    form: str
    problems: tuple[str, ...]
    words: tuple[tuple[str, str, int], ...]
    n_users: int
    n_models: int
    n_pairs: int
    pieces: tuple[tuple[str, ...], ...]
    votes: int
    left_out: tuple[tuple[str, int], ...]
    duplicates: int
    heaviest: tuple[tuple[str, int], ...]
    share_first: float | None
    samples: tuple[str, ...]
    notes: tuple[str, ...]
    texts: TextCheck | None = None
    read_from: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        left_out = ", ".join(f"{what} {many:,}" for what, many in self.left_out)
        share = self.share_first
        sides = "" if share is None else f"the model in the first column won {share:.1%} of the decided votes"
        kept = f"{self.votes:,} of {self.rows:,} rows are votes that count"
        lines = [
            kept + (f"; left out: {left_out}" if left_out else ""),
            f"{counted(self.n_users, 'user')}, {counted(self.n_models, 'model')}, "
            f"{counted(self.n_pairs, 'pair')} of models",
            *([f"format: {self.form} ({FORMATS[self.form].title})"] if self.form else []),
            "columns: " + columns_in_words(self.columns, self.read_from),
            "winners:",
            *_listed([f"{word!r}: {meaning}, {many:,}" for word, meaning, many in self.words], 12),
            *([sides] if sides else []),
            "users with most votes: " + ", ".join(f"{name} {many:,}" for name, many in self.heaviest),
            "the first rows:",
            *_listed(self.samples, 3),
            *([] if self.texts is None else [str(self.texts)]),
            *(f"note: {note}" for note in self.notes),
            *(f"problem: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


def _listed(lines: Sequence[str], most: int) -> list[str]:
    more = [f"  and {len(lines) - most:,} more"] if len(lines) > most else []
    return [f"  {line}" for line in lines[:most]] + more


def check_votes(
    source: Any,
    *,
    user: str | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    winner: str | None = None,
    shown_first: str | None = None,
    context: str | None = None,
    gold: str | None = None,
    ties: str = "drop",
    empty_winner: str = "refuse",
    strict: bool = False,
    memory_limit: str | None = None,
    format: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    prompt: str | None = None,
    response_a: str | None = None,
    response_b: str | None = None,
) -> VoteCheck:
    """What `read_votes` with the same arguments would understand of a table, and what it would refuse.

    Parameters
    ----------
    source, user, model_a, model_b, winner, shown_first, context, gold, ties, empty_winner, strict
        As for `read_votes`.
    memory_limit, format, separator, encoding : str, optional
        As for `read_votes`.
    prompt, response_a, response_b : str, optional
        Names of the columns of texts, which training pairs are made of; common names are recognised.

    Returns
    -------
    VoteCheck

    Raises
    ------
    VotesError
        A column is not found, or a file cannot be read. Rows that cannot be used are no error here, and no
        texts.

    Notes
    -----
    Where there are columns of prompts and answers, training pairs are made of all votes for one side and
    counted, in the way of `to_dpo_dataset`. A limit: to count rows that are equal, all columns are read,
    texts among them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"judge": [1, 1, 2], "model_a": ["new"] * 3, "model_b": ["old"] * 3,
    ...                   "winner": ["a", "?", "b"]})
    >>> found = check_votes(table)
    >>> found.words
    (('?', 'not understood', 1), ('a', 'model A won', 1), ('b', 'model B won', 1))
    >>> found.problems[0][:49]
    '1 of 3 rows have a winner that is not understood '
    """
    told = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}
    told |= {"shown_first": shown_first, "context": context, "gold": gold, "format": format}
    rules = RowRules(ties, empty_winner, strict)
    text = {"separator": separator, "encoding": encoding}
    with opened_rows(source, told, memory_limit, rules, **text) as rows:
        found = tally_of(row_counts(nw.from_native(rows.relation.select(*rows.roles))), rows.how)
        found = replace(found, besides=rows.left_out)
        everything = rows.relation.select(*(f"c{number}" for number in range(len(rows.names))))
        duplicates = _count(everything) - _count(everything.distinct())
        samples = _samples(rows)
        asked = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        texts = None
        if have_texts(rows.names, asked):
            texts = check_texts(rows, asked, _matched(found, rows, ties))
    return replace(_checked(found, rows, ties, duplicates, samples), texts=texts)


def _matched(found: Tally, rows: VoteRows, ties: str) -> Matched | None:
    """Which rows are votes for one side, as they are when votes are filtered; None if they cannot be read."""
    if any(problems(found, rows.how)):
        return None
    with suppress(VotesError):  # no vote is left
        return rows.match(preferences_of(found, ties, "arrays", sides="shown_first" in rows.roles))
    return None


def _checked(found: Tally, rows: VoteRows, ties: str, duplicates: int, samples: tuple[str, ...]) -> VoteCheck:
    meant = meaning_of(found, ties).kept
    kept = meant & ~np.isnan(found.won) & (found.user >= 0)
    kept &= (found.model_a >= 0) & (found.model_b >= 0)
    pairs = np.unique(np.sort(np.column_stack([found.model_a, found.model_b])[kept], axis=1), axis=0)
    by_user = votes_by_user(found, kept)
    order = np.argsort(-by_user, kind="stable")[:5]
    heaviest = tuple((str(found.users[i]), int(by_user[i])) for i in order if by_user[i])
    sided = rows.form is None or rows.form.sides
    checked = VoteCheck(
        rows=int(found.votes.sum()),
        columns=dict(rows.columns),
        form="" if rows.form is None else rows.form.name,
        problems=tuple(f"{line}: {remedy}" for _, line, remedy in problems(found, rows.how)),
        words=words_read(found),
        n_users=int((by_user > 0).sum()),
        n_models=int(np.unique(pairs).size),
        n_pairs=len(pairs),
        pieces=_pieces(found.models, pairs),
        votes=int(found.votes[kept].sum()),
        left_out=tuple((what, int(votes)) for what, votes in rows_left_out(found, meant)),
        duplicates=duplicates,
        heaviest=heaviest,
        share_first=share_of_first(found)[0] if sided else None,
        samples=samples,
        notes=(),
        read_from=dict(rows.how.read_from),
    )
    style = style_columns(rows.names)
    sides = "shown_first" in rows.columns
    told = reading_notes(found, rows.how.called, sides=sides, form=rows.form)
    return replace(checked, notes=(*told, *_notes(checked, style)))


def _pieces(models: np.ndarray, pairs: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Models by the group that they met, the largest first."""
    if not len(pairs):
        return ()
    size = models.size
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, piece = connected_components(graph, directed=False)
    met = np.unique(pairs)
    groups = [tuple(models[met[piece[met] == one]].tolist()) for one in np.unique(piece[met])]
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))


def _notes(found: VoteCheck, style: Sequence[str]) -> Iterator[str]:
    if len(found.pieces) > 1:
        listed = "; ".join(", ".join(piece[:4]) + ", ..." * (len(piece) > 4) for piece in found.pieces[:3])
        yield f"The models fall into {len(found.pieces)} groups that never met ({listed})."
    if found.duplicates:
        yield f"{found.duplicates:,} rows are equal to an earlier one in every column."
    if style:
        yield f"Counts of both answers are there: {', '.join(style)} can be covariates."


def _samples(rows: VoteRows) -> tuple[str, ...]:
    """The first three rows in words."""
    first = rows.relation.select(*rows.roles).limit(3).to_arrow_table()
    lines = []
    for number in range(len(first)):
        one = tally(nw.from_native(first.slice(number, 1), eager_only=True), rows.how)
        names = (one.users, one.user), (one.models, one.model_a), (one.models, one.model_b)
        who, a, b = ("(none)" if at[0] < 0 else str(listed[at[0]]) for listed, at in names)
        result = MEANINGS.get(float(one.won[0]), "the winner is not understood")
        result = {1.0: f"{a} won", 0.0: f"{b} won"}.get(float(one.won[0]), result)
        lines.append(f"user {who}: {a} against {b}, {REASONS[one.skipped[0]] or result}")
    return tuple(lines)


def _count(relation: Any) -> int:
    return int(relation.aggregate("count(*)").fetchall()[0][0])
