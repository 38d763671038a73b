"""Texts of votes: prompt and two answers turned into prompt, chosen and rejected."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from emjax.data.columns import TEXTS, recognise
from emjax.data.message_texts import (
    Message,
    Unusable,
    answer_start,
    divide,
    form_of,
    is_message,
    is_missing,
    parsed,
    read_entry,
)
from emjax.errors import VotesError

_CALLED = {"prompt": "prompt", "response_a": "answer of model A", "response_b": "answer of model B"}
_SEVERAL = {"prompt": "prompts", "response_a": "answers of model A", "response_b": "answers of model B"}
_ANSWERS = TEXTS[1:]
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

_Half = str | list[Message] | None  # a prompt, or an answer, of one row


def find_texts(
    names: Sequence[str], told: Mapping[str, str | None], *, prompt_in_answers: bool = False
) -> dict[str, int]:
    """Position of the columns prompt, response_a and response_b.

    Parameters
    ----------
    names : sequence of str
        The columns of the table.
    told : mapping
        Names of the three that the caller gave.
    prompt_in_answers : bool
        Whether there may be no prompt, because the answers are conversations. This may always be where the
        columns of both answers are named and that of the prompt is not.

    Raises
    ------
    VotesError
        One of them is not found; the message names the closest columns and the option to give.

    Examples
    --------
    >>> find_texts(["user", "question", "answer_a", "answer_b"], {})
    {'prompt': 1, 'response_a': 2, 'response_b': 3}
    """
    try:
        return recognise(names, told, roles=TEXTS, where="that were searched for texts")
    except VotesError:
        named = all(told.get(role) is not None for role in _ANSWERS)
        if told.get("prompt") is None and (named or prompt_in_answers):
            with suppress(VotesError):
                return recognise(names, told, roles=_ANSWERS)
        raise


def have_texts(names: Sequence[str], told: Mapping[str, str | None]) -> bool:
    """Whether columns of texts are named, or two columns are called as answers are."""
    if any(told.get(role) is not None for role in TEXTS):
        return True
    try:
        recognise(names, told, roles=_ANSWERS)
    except VotesError:
        return False
    return True


@dataclass(eq=False)
class PairMaker:
    """Turns batches of rows into training pairs, and counts the rows that cannot be used.

    Pairs are of text, or of messages with a role and a content if any of the columns holds lists. How each
    column is read is decided from the whole table (`look`), so that it is the same in all batches.

    Attributes
    ----------
    place : dict of str to int
        Where prompt, response_a and response_b stand, as `find_texts` says.
    types : mapping
        For these three their types in duckdb, where they are known: arrow tables do not say what is JSON.
    called : str
        What messages call the rows that pairs are made of.
    equal, differing : int
        Pairs left out so far: both answers are the same; the conversations differ before the last answer, so
        that they are no answers to one prompt.
    first : dict of str to int
        The first row of each of these two, by "equal" and "differing".
    missing : dict
        For each of prompt, response_a, response_b the rows that have none: how many, and the first.
    refused : dict
        For each reason, the remedy, and the rows as for `missing`.
    """

    place: Mapping[str, int]
    types: Mapping[str, Any] = field(default_factory=dict)
    called: str = "kept votes"
    equal: int = 0
    differing: int = 0
    first: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    missing: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: dict[str, tuple[str, dict[str, tuple[int, int]]]] = field(default_factory=dict)
    _plan: "_Plan | None" = None

    def look(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Decide how each column is read; batches hold the columns of `place`, in this order, and all rows.

        Raises
        ------
        VotesError
            A column holds neither text nor messages, or lists in most of its rows but not in all; or there is
            no column of prompts, and the answers are not conversations that begin with them.
        """
        found = {role: _Forms() for role in self.place}
        repeats: bool | None = None
        rows = 0
        for batch in batches:
            entries = {
                role: self._entries(role, column, name)
                for role, column, name in zip(self.place, batch.columns, batch.schema.names, strict=True)
            }
            for (role, held), name in zip(entries.items(), batch.schema.names, strict=True):
                found[role].add(name, held, rows)
            if repeats is not False and not any(forms.counts["lists"] for forms in found.values()):
                repeats = _repeats(entries, repeats)
            rows += len(batch)
        in_json = frozenset(role for role, forms in found.items() if forms.all_in_json())
        _check_alike(found, in_json)
        listed = {role for role, forms in found.items() if role in in_json or forms.counts["lists"]}
        self._plan = _Plan(bool(listed), in_json, bool(repeats) and not listed)
        if "prompt" not in self.place and not (self._plan.repeats or set(_ANSWERS) <= listed):
            raise VotesError(
                "no column holds the prompt, and the answers are not conversations that begin with it: give "
                "prompt='COLUMN' (command line: --prompt COLUMN)"
            )

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
        if self._plan is None:
            self.look([batch.select(list(self.place.values()))])
        assert self._plan is not None
        self.rows += len(batch)
        columns = {role: [None] * len(batch) for role in TEXTS} | {
            role: self._entries(role, batch.column(at), batch.schema.names[at])
            for role, at in self.place.items()
        }
        at, made = [], []
        for i, entries in enumerate(zip(*columns.values(), strict=True)):
            pair = self._pair(entries, int(row[i]), self._plan)
            if pair is not None:
                prompt, first, second = pair
                at.append(i)
                made.append((prompt, first, second) if first_won[i] else (prompt, second, first))
        kind = _MESSAGES if self._plan.messages else pa.large_string()
        names = ("prompt", "chosen", "rejected")
        texts = {name: pa.array([pair[i] for pair in made], kind) for i, name in enumerate(names)}
        return texts, np.array(at, np.int64)

    def check(self) -> None:
        """Raise a VotesError if a row cannot be used or had no text, or no pair was left."""
        for problem in self.problems():
            raise VotesError(problem)

    def problems(self) -> Iterator[str]:
        """What is wrong with rows so far, one line for each reason; and that no pair is left, if so."""
        for what, (remedy, where) in self.refused.items():
            many = " and ".join(f"{many:,} {_SEVERAL[role]}" for role, (many, _) in where.items())
            first = min(first for _, first in where.values())
            yield f"in {self.rows:,} {self.called} {many} {what}, first at data row {first + 1:,}: {remedy}"
        if self.missing:
            lines = (
                f"{self.missing[role][0]:,} of {self.rows:,} {self.called} have no {_CALLED[role]}, "
                f"first at data row {self.missing[role][1] + 1:,}"
                for role in TEXTS
                if role in self.missing
            )
            yield f"{'; '.join(lines)}: fill them in, or leave those rows out"
        if self.rows == self.equal:
            yield (
                f"in all {self.rows:,} {self.called} the two answers are the same: there is nothing to learn"
            )
        elif self.rows == self.equal + self.differing:
            same = f", and in {self.equal:,} the two answers are the same" if self.equal else ""
            yield (
                f"no pair is left of {self.rows:,} {self.called}: in {self.differing:,} the two "
                f"conversations differ before their last answer{same}. Pairs need two answers to one prompt: "
                "give votes on single turns, or on the last turn of one conversation"
            )

    @property
    def left_out(self) -> tuple[tuple[str, int], ...]:
        """What was left out so far, and how many pairs of each."""
        return tuple((what, many) for what, many, _ in self.left_out_first)

    @property
    def left_out_first(self) -> tuple[tuple[str, int, int | None], ...]:
        """The same, with the first row of each; None where there is none."""
        differing = "pairs of conversations that differ before the last answer"
        equal = ("pairs of equal answers", self.equal, self.first.get("equal"))
        return (equal, (differing, self.differing, self.first.get("differing")))

    def _entries(self, role: str, column: pa.Array, name: str) -> list[Any]:
        """A column as Python objects, JSON read."""
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not _is_readable(column.type):
            raise VotesError(
                f"column {name!r} holds neither text nor lists of messages with role and content, but "
                f"{_short(column.type)}: make it text, or name another column"
            )
        held = column.to_pylist()
        kind = self.types.get(role)
        return held if kind is None or "JSON" not in str(kind) else [_decoded(entry, kind) for entry in held]

    def _pair(self, entries: Sequence[Any], row: int, plan: "_Plan") -> tuple[_Half, _Half, _Half] | None:
        """Prompt and both answers of a row; None, and counted, where it cannot be used."""
        halves = self._divided(entries, row, plan)
        if halves is None:
            return None
        (prompt, first), (other, second) = halves
        if first and second and prompt != other:
            self.differing += 1
            self.first.setdefault("differing", row)
            return None
        absent = (is_missing(prompt) and is_missing(other), is_missing(first), is_missing(second))
        if any(absent):
            for role in (role for role, missing in zip(TEXTS, absent, strict=True) if missing):
                self.missing[role] = _counted(self.missing.get(role), row)
            return None
        if first == second:
            self.equal += 1
            self.first.setdefault("equal", row)
            return None
        return prompt, first, second

    def _divided(self, entries: Sequence[Any], row: int, plan: "_Plan") -> list[tuple[_Half, _Half]] | None:
        """For each answer its prompt, and the answer alone; None, and counted, where one is refused."""
        if not plan.messages:
            return [_divided_text(entries[0], answer, plan.repeats) for answer in entries[1:]]
        asked: Any = []
        halves: list[tuple[_Half, _Half]] = []
        for role, entry in zip(TEXTS, entries, strict=True):
            try:
                said = read_entry(plan.held(role, entry))
                if role == "prompt":
                    asked = said
                else:
                    halves.append(divide(asked, said))
            except Unusable as found:
                _, where = self.refused.setdefault(found.what, (found.remedy, {}))
                where[role] = _counted(where.get(role), row)
                if role == "prompt":
                    return None
        return halves if len(halves) == len(_ANSWERS) else None


@dataclass(frozen=True)
class _Plan:
    """How the columns of a table are read.

    Attributes
    ----------
    messages : bool
        Whether pairs are of messages.
    in_json : frozenset of str
        Roles whose texts hold lists in JSON.
    repeats : bool
        Whether each answer, a text, begins with its prompt.
    """

    messages: bool
    in_json: frozenset[str]
    repeats: bool

    def held(self, role: str, entry: Any) -> Any:
        """What an entry of a column holds."""
        if role not in self.in_json or not isinstance(entry, str):
            return entry
        held = parsed(entry)
        if held is None and form_of(entry) != "nothing":
            raise Unusable("are plain text, while others are JSON lists", "write all of them alike")
        return held


@dataclass
class _Forms:
    """How many entries of a column have which form."""

    name: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    other: int | None = None  # the first row with text that holds no list

    def add(self, name: str, entries: Sequence[Any], start: int) -> None:
        self.name = name
        forms = [form_of(entry) if entry is None or isinstance(entry, str) else "lists" for entry in entries]
        self.counts.update(forms)
        if self.other is None:
            plain = (i for i, form in enumerate(forms) if form in ("text", "printed"))
            self.other = next((start + i for i in plain), None)

    def all_in_json(self) -> bool:
        """Whether all texts are JSON lists; an error if nearly all are: both readings would spoil some."""
        texts = sum(self.counts[form] for form in ("text", "printed", "turns", "messages"))
        lists = texts - self.counts["text"]
        if not lists or self.counts["lists"]:
            return False
        if self.other is None:
            return True
        if self.counts["messages"] or lists >= 0.9 * texts:
            raise VotesError(
                f"column {self.name!r} holds JSON lists of turns or messages in "
                f"{lists - self.counts['printed']:,} of {texts:,} rows, and other text in the rest, first at "
                f"data row {self.other + 1:,}: write all as JSON lists (json.dumps), or all as plain text"
            )
        return False


def _check_alike(found: Mapping[str, _Forms], in_json: frozenset[str]) -> None:
    """Turns in one column of answers and text in the other: either reading could be wrong."""
    for one, other in (_ANSWERS, _ANSWERS[::-1]):
        if one in in_json and found[one].counts["turns"] and found[other].counts["text"]:
            raise VotesError(
                f"column {found[one].name!r} holds JSON lists of turns in all its rows, and column "
                f"{found[other].name!r} plain text: write both alike"
            )


def _repeats(entries: Mapping[str, Sequence[Any]], before: bool | None) -> bool | None:
    """Whether both answers begin with their prompt in each complete row; None if there is no such row."""
    prompts = entries.get("prompt")
    for i, answers in enumerate(zip(*(entries[role] for role in _ANSWERS), strict=True)):
        prompt = None if prompts is None else prompts[i]
        if any(map(is_missing, answers)) or (prompts is not None and is_missing(prompt)):
            continue
        before = all(answer_start(prompt, answer) for answer in answers)
        if not before:
            return False
    return before


def _divided_text(prompt: str | None, answer: str | None, repeats: bool) -> tuple[_Half, _Half]:
    if not repeats or answer is None:
        return prompt, answer
    start = answer_start(prompt, answer)
    return answer[:start], answer[start:]


def _counted(before: tuple[int, int] | None, row: int) -> tuple[int, int]:
    """How many rows, one more, and the first of them."""
    return (1, row) if before is None else (before[0] + 1, before[1])


def _is_text(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_null, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_one(kind) for is_one in kinds)


def _is_readable(kind: pa.DataType) -> bool:
    """Whether a column may hold text, turns or messages."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    held = kind.value_type if any(is_one(kind) for is_one in lists) else kind
    if pa.types.is_struct(held):
        return is_message({held.field(i).name: None for i in range(held.num_fields)})
    return _is_text(held)


def _short(kind: pa.DataType) -> str:
    said = str(kind).replace("\n", " ")
    return said if len(said) <= 80 else f"{said[:80]}..."


def _decoded(held: Any, kind: Any) -> Any:
    """An entry of a column with JSON, or with JSON inside, which arrives as text."""
    if held is None or "JSON" not in str(kind):
        return held
    if str(kind) == "JSON":
        return json.loads(held)
    inner = dict(kind.children)
    if kind.id == "struct":
        return {name: _decoded(value, inner[name]) for name, value in held.items()}
    return [_decoded(value, inner["child"]) for value in held] if "child" in inner else held
