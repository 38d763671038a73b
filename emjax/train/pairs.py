"""Rows of votes with a policy's decision on each, and the training pairs among them, written as parquet."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emjax.data.preferences import Preferences
from emjax.data.row_matching import Matched, VoteRows
from emjax.data.text_check import pair_maker
from emjax.data.texts import PairMaker
from emjax.decide.filter import Filtered
from emjax.errors import ModelError, OutputError, VotesError, warn

DECISIONS = ("kept", "weight", "attentiveness", "soft_label")
PAIRS = "train.parquet"
_ROWS_TOGETHER, _BYTES_TOGETHER = 1 << 14, 1 << 26  # the most that one group of a parquet file gathers


@dataclass(frozen=True)
class Written:
    """What was written, and what was left out of it.

    Attributes
    ----------
    rows, rows_kept : int
        Decisive votes written, and those of them that are kept.
    renamed : tuple of (str, str)
        Columns of the caller renamed because a decision has the same name.
    pairs : int or None
        Training pairs; None if there are no texts.
    left_out : tuple of (str, int)
    """

    rows: int
    rows_kept: int
    renamed: tuple[tuple[str, str], ...] = ()
    pairs: int | None = None
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Decided:
    """Rows matched with a decision on each: what the files are written from."""

    rows: VoteRows
    matched: Matched
    kept: Filtered
    kind: np.ndarray = field(repr=False)  # (n,) position among the strata of votes; negative if left out


def decide_rows(rows: VoteRows, kept: Filtered, prefs: Preferences) -> Decided:
    """Find what was decided on each row.

    Raises
    ------
    VotesError
        There are votes in the rows that were not among those decided on.
    """
    matched = rows.match(prefs)
    found = kept.votes.find(matched.user, matched.comparison, matched.outcome)
    kind = np.where(matched.decisive, found, -1).astype(np.int32 if len(found) < 2**31 else np.int64)
    unrelated = int((matched.decisive & (kind < 0)).sum()) + matched.unknown
    if unrelated:
        judged = matched.user.size - matched.ties - matched.gold - matched.skipped
        raise VotesError(
            f"{unrelated:,} of {judged:,} votes are not among those that the "
            "posterior was made from: give the votes it was made from, or a Fit"
        )
    return Decided(rows, matched, kept, kind)


def write_rows(
    decided: Decided,
    *,
    votes: Path | None = None,
    pairs: Path | None = None,
    texts: Mapping[str, str | None] | None = None,
    resample: int | None = None,
) -> Written:
    """Write the decisive rows with their decisions, the training pairs of those kept, or both, in one pass.

    Parameters
    ----------
    decided : Decided
    votes : path, optional
        A parquet file for the rows: all their columns, and `DECISIONS`; under `Flip` also `flipped`, and
        where votes are judged by what they say also `prob_attentive` and `prob_right`.
    pairs : path, optional
        A folder, there already, for the training pairs.
    texts : mapping
        Names of the columns prompt, response_a, response_b that the caller gave.
    resample : int, optional
        A seed: pairs are drawn by their weights, as many as there were, and weigh 1 each.

    Raises
    ------
    VotesError
        A text is missing from a kept row, or no pair is left.
    ModelError
        Rows are to be resampled by a policy without weights.
    """
    names = decided.rows.names
    renamed = _renamed(names, _columns(decided.kept))
    maker = pair_maker(decided.rows, texts or {}) if pairs is not None else None
    copies = _copies(decided, resample)
    rows = rows_kept = many = 0
    with ExitStack() as stack:
        annotated = stack.enter_context(_Writer(votes)) if votes is not None else None
        paired = stack.enter_context(_Writer(pairs / PAIRS)) if pairs is not None else None
        for batch, at in _decisive(decided):
            decisions = _decisions(decided, at)
            rows, rows_kept = rows + len(at), rows_kept + int(decisions["kept"].sum())
            if annotated is not None:
                annotated.write(_with_decisions(batch, decisions, renamed))
            if maker is not None and paired is not None:
                columns = _pair_columns(batch, at, decisions, decided, maker, copies)
                if len(columns["prompt"]):  # without rows, arrays have no type
                    many += len(columns["prompt"])
                    paired.write(pa.table(columns))
        left_out = [("ties", decided.matched.ties), ("gold questions", decided.matched.gold)]
        left_out.append(("rows that are no votes", decided.matched.skipped))
        if maker is not None:
            maker.check()
            if maker.differing:
                warn(
                    f"{maker.differing:,} of {maker.rows:,} kept votes give no training pair: their two "
                    "conversations differ before the last answer, and so have no prompt in common."
                )
            left_out.extend(maker.left_out)
    return Written(
        rows=rows,
        rows_kept=rows_kept,
        renamed=tuple((old, new) for old, new in zip(names, renamed, strict=True) if old != new),
        pairs=many if maker is not None else None,
        left_out=tuple((what, number) for what, number in left_out if number),
    )


def _columns(kept: Filtered) -> tuple[str, ...]:
    """Names of the decisions that are written beside a vote."""
    more = ("flipped",) if kept.votes.flips else ()
    return (*DECISIONS, *more, *(("prob_attentive", "prob_right") if kept.policy.by_vote else ()))


def _decisive(decided: Decided) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Batches of decisive rows, and where each row stands in the whole table."""
    start = 0
    for batch in decided.rows.batches():
        here = np.flatnonzero(decided.kind[start : start + len(batch)] >= 0)
        if here.size:
            yield (batch if here.size == len(batch) else batch.take(pa.array(here))), start + here
        start += len(batch)
    if start != decided.kind.size:
        raise OutputError(
            f"the table of votes had {decided.kind.size:,} rows at first and {start:,} then: "
            "nothing may write to it meanwhile"
        )


def _decisions(decided: Decided, at: np.ndarray) -> dict[str, np.ndarray]:
    kinds, votes = decided.kind[at], decided.kept.votes
    eta = votes.passed_on[kinds]
    decisions = {"kept": votes.kept[kinds], "weight": votes.weight[kinds]}
    decisions |= {"attentiveness": eta, "soft_label": votes.soft_label[kinds]}
    if votes.prob_attentive is not None and votes.prob_right is not None:
        decisions |= {"prob_attentive": votes.prob_attentive[kinds], "prob_right": votes.prob_right[kinds]}
    return decisions | ({"flipped": votes.flipped[kinds]} if votes.flips else {})


def _with_decisions(
    batch: pa.RecordBatch, decisions: Mapping[str, np.ndarray], names: tuple[str, ...]
) -> pa.Table:
    columns = dict(zip(names, batch.columns, strict=True))
    return pa.table({**columns, **{name: pa.array(values) for name, values in decisions.items()}})


def _pair_columns(
    batch: pa.RecordBatch,
    at: np.ndarray,
    decisions: Mapping[str, np.ndarray],
    decided: Decided,
    maker: PairMaker,
    copies: np.ndarray | None,
) -> dict[str, Any]:
    """Training pairs of the kept rows of a batch, each as often as it was drawn."""
    kept = np.flatnonzero(decisions["kept"])
    first_won = decided.matched.first_won[at[kept]]
    if "flipped" in decisions:
        first_won = first_won ^ decisions["flipped"][kept]
    texts, used = maker.pairs(batch.take(pa.array(kept)), first_won, at[kept])
    row = kept[used]
    numbers = {name: decisions[name][row] for name in ("attentiveness", "weight", "soft_label")}
    columns = {
        **texts,
        "user": pa.array(decided.kept.users.id[decided.matched.user[at[row]]]),
        **{name: pa.array(values) for name, values in numbers.items()},
    }
    if copies is None:
        return columns
    drawn = pa.array(np.repeat(np.arange(row.size), copies[at[row]]))
    columns = {name: values.take(drawn) for name, values in columns.items()}
    return columns | {"weight": pa.array(np.ones(len(drawn)))}


def _copies(decided: Decided, seed: int | None) -> np.ndarray | None:
    """(n,) how often each row is drawn: its share of all weight, rounded up or down by one shared draw."""
    if seed is None:
        return None
    votes = decided.kept.votes
    if not votes.weighs:
        raise ModelError(
            f"rows are resampled by weight, and {decided.kept.policy!r} gives none: use Weights()."
        )
    decisive = decided.kind >= 0
    weight = np.where(decisive, votes.weight[decided.kind], 0.0)
    reached = np.cumsum(weight) * (decisive.sum() / weight.sum())
    steps = np.floor(reached + np.random.default_rng(seed).random())
    return np.diff(steps, prepend=0.0).astype(np.int64)


def _renamed(names: tuple[str, ...], decisions: tuple[str, ...]) -> tuple[str, ...]:
    """The caller's columns, with those that share a name with a decision, or with each other, renamed."""
    taken, answer = {name.lower() for name in decisions}, []
    for name in names:
        new, number = name, 1
        while new.lower() in taken:
            number += 1
            new = f"{name}_original" if number == 2 else f"{name}_original_{number - 1}"
        taken.add(new.lower())
        answer.append(new)
    return tuple(answer)


class _Writer:
    """A parquet file that grows batch by batch; small batches are gathered."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []
        self._rows = self._bytes = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._held.append(table)
        self._rows += len(table)
        self._bytes += table.nbytes
        if self._rows >= _ROWS_TOGETHER or self._bytes >= _BYTES_TOGETHER:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.concat_tables(self._held)
            self._held, self._rows, self._bytes = [], 0, 0
            if self._file is None:
                self._file = pq.ParquetWriter(self._path, table.schema)
            self._file.write_table(table)
