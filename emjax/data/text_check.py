"""Text check: which columns of a table of votes hold texts, and which of its rows give training pairs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emjax.data.columns import TEXTS
from emjax.data.row_matching import Matched, VoteRows
from emjax.data.texts import PairMaker, find_texts
from emjax.errors import VotesError

_TOGETHER = 1 << 12  # rows whose texts are in memory at once


@dataclass(frozen=True)
class TextCheck:
    """What the columns of texts hold, as training pairs are made of them.

    Attributes
    ----------
    columns : dict of str to str
        For prompt, response_a and response_b the column; without prompt where the answers are conversations
        that begin with it. Empty where they are not found.
    rows : int
        Those that were looked at, and what they are: votes for one side, of which pairs are made, or all rows
        where the votes cannot be read.
    rows_are : str
    pairs : int
        Those that give a training pair, if no row of `problems` is kept.
    left_out : tuple of (str, int, int)
        What is left out of training pairs, how many, and the first of them as a data row, from 1.
    problems : tuple of str
        What filtering refuses, one line for each reason.

    Examples
    --------
    >>> equal = ("pairs of equal answers", 1, 3)
    >>> print(TextCheck({"prompt": "question"}, 3, "votes for one side", 2, (equal,), ()))
    texts: prompt from 'question'
    training pairs: 2 of 3 votes for one side give one; pairs of equal answers, 1, first at data row 3
    """

    columns: dict[str, str]
    rows: int
    rows_are: str
    pairs: int
    left_out: tuple[tuple[str, int, int], ...]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        columns = ", ".join(f"{role} from {column!r}" for role, column in self.columns.items())
        left_out = [f"{what}, {many:,}, first at data row {first:,}" for what, many, first in self.left_out]
        made = f"training pairs: {self.pairs:,} of {self.rows:,} {self.rows_are} give one"
        lines = [f"texts: {columns}"] if self.columns else []
        lines += ["; ".join([made, *left_out])] if self.rows else []
        effect = "refused in training pairs" if self.columns else "no training pairs"
        return "\n".join([*lines, *(f"{effect}: {problem}" for problem in self.problems)])


def check_texts(rows: VoteRows, texts: Mapping[str, str | None], matched: Matched | None = None) -> TextCheck:
    """Which rows give training pairs, and why others do not.

    Parameters
    ----------
    rows : VoteRows
    texts : mapping
        Names of the columns prompt, response_a, response_b that the caller gave.
    matched : Matched, optional
        Which of the rows are votes for one side; all are looked at if it is not given.

    Examples
    --------
    >>> from emjax.data.row_matching import opened_rows
    >>> table = pa.table({"user": [1, 2], "model_a": ["new"] * 2, "model_b": ["old"] * 2, "winner": ["a"] * 2,
    ...                   "prompt": ["2 + 2?"] * 2, "response_a": ["4"] * 2, "response_b": ["5", "4"]})
    >>> with opened_rows(table, {}) as rows:
    ...     found = check_texts(rows, {})
    >>> found.pairs, found.left_out
    (1, (('pairs of equal answers', 1, 2),))
    """
    columns: dict[str, str] = {}
    rows_are = "rows" if matched is None else "votes for one side"
    try:
        place = find_texts(rows.names, texts, prompt_in_answers=True)
        columns = {role: rows.names[place[role]] for role in TEXTS if role in place}
        maker = pair_maker(rows, texts)
        maker.called = rows_are
        pairs = _count_pairs(maker, rows, matched)
    except VotesError as error:
        if "prompt" in columns:
            return TextCheck(columns, 0, rows_are, 0, (), (str(error),))
        return TextCheck({}, 0, rows_are, 0, (), (_without_prompt(rows, texts, error),))
    left_out = tuple(
        (what, many, first + 1) for what, many, first in maker.left_out_first if first is not None
    )
    problems = tuple(maker.problems()) if maker.rows else ()
    return TextCheck(columns, maker.rows, rows_are, pairs, left_out, problems)


def pair_maker(rows: VoteRows, texts: Mapping[str, str | None]) -> PairMaker:
    """What makes the pairs, having gone through the texts of all rows once, to know how they are written.

    Raises
    ------
    VotesError
        No texts are found, or they are written in ways of which none can be read without spoiling some.
    """
    place = find_texts(rows.names, texts, prompt_in_answers=True)
    alone = rows.relation.select(*(f"c{number}" for number in place.values()))
    names = [rows.names[number] for number in place.values()]
    maker = PairMaker(place, dict(zip(place, alone.types, strict=True)))
    maker.look(batch.rename_columns(names) for batch in alone.to_arrow_reader(_TOGETHER))
    return maker


def _without_prompt(rows: VoteRows, texts: Mapping[str, str | None], error: VotesError) -> str:
    """Why no column of prompts is found; or else what is wrong with the answers, which do not repeat it."""
    try:
        find_texts(rows.names, texts)
    except VotesError as unfound:
        return str(unfound)
    return str(error)


def _count_pairs(maker: PairMaker, rows: VoteRows, matched: Matched | None) -> int:
    """How many rows give a pair; `maker` counts the others."""
    start = pairs = 0
    for batch in rows.batches():
        here = np.arange(len(batch))
        if matched is not None:
            here = here[matched.decisive[start : start + len(batch)]]
        _, at = maker.pairs(batch.take(pa.array(here)), np.ones(here.size, bool), start + here)
        start, pairs = start + len(batch), pairs + len(at)
    return pairs
