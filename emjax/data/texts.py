"""Texts of votes: prompt and two answers turned into prompt, chosen and rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from emjax.data.columns import TEXTS, recognise
from emjax.errors import VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

_CALLED = {"prompt": "prompt", "response_a": "answer of model A", "response_b": "answer of model B"}


def find_texts(names: Sequence[str], told: Mapping[str, str | None]) -> dict[str, int]:
    """Position of the columns prompt, response_a and response_b.

    Raises
    ------
    VotesError
        One of them is not found; the message names the closest columns and the option to give.

    Examples
    --------
    >>> find_texts(["user", "question", "answer_a", "answer_b"], {})
    {'prompt': 1, 'response_a': 2, 'response_b': 3}
    """
    return recognise(names, told, roles=TEXTS, where="that were searched for texts")


def have_texts(names: Sequence[str], told: Mapping[str, str | None]) -> bool:
    """Whether columns of texts are named, or two columns are called as answers are."""
    if any(told.get(role) is not None for role in TEXTS):
        return True
    try:
        recognise(names, told, roles=TEXTS[1:])
    except VotesError:
        return False
    return True


@dataclass(eq=False)
class PairMaker:
    """Turns batches of rows into training pairs, and counts the rows that cannot be used.

    Attributes
    ----------
    place : dict of str to int
        Where prompt, response_a and response_b stand, as `find_texts` says.
    equal : int
        Pairs left out so far because both answers are the same.
    missing : dict
        For each of prompt, response_a, response_b the rows that have none: how many, and the first.
    """

    place: Mapping[str, int]
    equal: int = 0
    rows: int = 0
    missing: dict[str, tuple[int, int]] = field(default_factory=dict)

    def pairs(
        self, batch: pa.RecordBatch, first_won: np.ndarray, row: np.ndarray
    ) -> tuple[dict[str, pa.Array], np.ndarray]:
        """Columns prompt, chosen and rejected of a batch, and which of its rows they are.

        Parameters
        ----------
        batch : rows of votes for one side
        first_won : (n,) bool, whether the answer in the first column is the chosen one
        row : (n,) int, where each row stands in the whole table, from 0

        Raises
        ------
        VotesError
            A column holds neither text nor lists of messages.
        """
        prompt, first, second = (
            _texts(batch.column(self.place[role]), batch.schema.names[self.place[role]]) for role in TEXTS
        )
        self.rows += len(batch)
        usable = np.ones(len(batch), bool)
        for role, texts in zip(TEXTS, (prompt, first, second), strict=True):
            usable &= self._present(role, texts, row)
        differs = _differ(first, second)
        self.equal += int((usable & ~differs).sum())
        usable &= differs
        at = np.flatnonzero(usable)
        first_won = pa.array(first_won[at])
        prompt, first, second = (texts.take(pa.array(at)) for texts in (prompt, first, second))
        if _is_text(first) != _is_text(second):
            first, second = _as_messages(first, "assistant"), _as_messages(second, "assistant")
        if _is_text(prompt) != _is_text(first):
            prompt = _as_messages(prompt, "user")
            first, second = _as_messages(first, "assistant"), _as_messages(second, "assistant")
        chosen, rejected = _choose(first_won, first, second), _choose(first_won, second, first)
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}, at

    def check(self) -> None:
        """Raise a VotesError if a row had no text, or no pair was left."""
        for role, (many, first) in self.missing.items():
            line = f"{many:,} of {self.rows:,} kept votes have no {_CALLED[role]}"
            place = f"first at data row {first + 1:,}"
            raise VotesError(f"{line}, {place}: fill them in, or leave those rows out")
        if self.rows == self.equal:
            raise VotesError(
                f"in all {self.rows:,} kept votes the two answers are the same: there is nothing to learn"
            )

    def _present(self, role: str, texts: pa.Array, row: np.ndarray) -> np.ndarray:
        absent = np.asarray(texts.is_null())
        if not _is_text(texts):
            absent |= np.asarray(pc.equal(pc.list_value_length(texts), 0).fill_null(True))
        if absent.any():
            many, first = self.missing.get(role, (0, int(row[absent][0])))
            self.missing[role] = (many + int(absent.sum()), first)
        return ~absent


def _is_text(texts: pa.Array) -> bool:
    return pa.types.is_large_string(texts.type)


def _texts(column: pa.Array, name: str) -> pa.Array:
    """Text as large strings; lists of messages as lists of role and content."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.large_string())
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        held = kind.value_type
        fields = {held.field(i).name for i in range(held.num_fields)} if pa.types.is_struct(held) else set()
        if {"role", "content"} <= fields:
            return _messages(column)
    raise VotesError(
        f"column {name!r} holds neither text nor lists of messages with role and content, but {kind}: "
        "name another column"
    )


_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def _messages(column: pa.Array) -> pa.Array:
    """Lists of messages with exactly a role and a content."""
    flat = column.flatten()
    fields = [pc.struct_field(flat, name).cast(pa.string()) for name in ("role", "content")]
    lengths = pc.list_value_length(column)
    ends = np.cumsum(np.asarray(lengths.fill_null(0)))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    held = pa.StructArray.from_arrays(fields, names=["role", "content"])
    return pa.ListArray.from_arrays(offsets, held, mask=column.is_null()).cast(_MESSAGES)


def _as_messages(texts: pa.Array, role: str) -> pa.Array:
    """Each text as one message of that role; messages as they are."""
    if not _is_text(texts):
        return texts
    roles = pa.array([role] * len(texts), pa.string())
    held = pa.StructArray.from_arrays([roles, texts.cast(pa.string())], names=["role", "content"])
    return pa.ListArray.from_arrays(pa.array(np.arange(len(texts) + 1), pa.int32()), held).cast(_MESSAGES)


def _differ(first: pa.Array, second: pa.Array) -> np.ndarray:
    if _is_text(first) and _is_text(second):
        return np.asarray(pc.not_equal(first, second).fill_null(True))
    pairs = zip(first.to_pylist(), second.to_pylist(), strict=True)
    return np.array([one != other for one, other in pairs], bool)


def _choose(where: pa.Array, these: pa.Array, those: pa.Array) -> pa.Array:
    """An entry of `these` where it says so, of `those` elsewhere."""
    many = len(where)
    position = np.arange(many) + np.where(np.asarray(where), 0, many)
    return pa.concat_arrays([these, those]).take(pa.array(position))
