"""Comparisons from arrays: checked, deduplicated and indexed."""

from typing import Any

import numpy as np

from emjax.data.array_checks import check_counts
from emjax.data.ids import as_ids, as_text, offenders, strictly_increasing, unique_ids
from emjax.errors import VotesError

Counted = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def in_contexts(
    given: np.ndarray, comparison: np.ndarray, context: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Comparisons once per context they occur in, those contexts, and the index of each row among them."""
    labels, place = unique_ids(as_text(as_ids(context, "context")))
    if place.size != comparison.size:
        raise VotesError(f"one context per vote is needed, got {place.size:,} for {comparison.size:,} votes")
    if given.ndim != 2:
        raise VotesError("context needs pairs of models, and these comparisons are labels: leave context out")
    both, row = unique_ids(comparison * labels.size + place)
    return given[both // labels.size], labels[both % labels.size], row


def in_each_context(
    users: np.ndarray, user: np.ndarray, contexts: np.ndarray, comparison: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Users once per context they occur in, called "USER in CONTEXT", and each row's index among them."""
    labels, place = unique_ids(contexts)
    keys, voter = unique_ids(user * labels.size + place[comparison])
    of, context = np.divmod(keys, labels.size)
    named = [f"{u} in {c}" for u, c in zip(users[of], labels[context], strict=True)]
    everyone, code = unique_ids(np.array(named, dtype=object))
    if everyone.size < keys.size:
        raise VotesError(
            f"{keys.size - everyone.size:,} users in a context would be called what others are called, as "
            f"{everyone[np.bincount(code).argmax()]!r}: rename the contexts"
        )
    return everyone, code[voter]


def counted_rows(wins: Any, totals: Any, users: Any, comparisons: Any) -> Counted:
    """Users, user, comparisons, comparison, counts and shown, of votes that a caller has counted."""
    wins, totals = np.asarray(wins, np.float64), np.asarray(totals, np.float64)
    check_counts(wins, totals)
    n_comparisons = 1 if wins.ndim == 1 else wins.shape[1]
    given = given_comparisons(comparisons, n_comparisons, one_column=wins.ndim == 1)
    voted = slice(None) if totals.all() else np.flatnonzero(totals)
    cell = np.arange(totals.size)[voted]
    user, comparison = (cell, np.zeros_like(cell)) if n_comparisons == 1 else np.divmod(cell, n_comparisons)
    counts = np.empty((cell.size, 2))
    counts[:, 0] = wins.ravel()[voted]
    np.subtract(totals.ravel()[voted], counts[:, 0], out=counts[:, 1])
    shown = np.zeros((n_comparisons, 2))
    shown[:, 0] = totals.sum(axis=0)
    if users is None:
        return np.arange(wins.shape[0]), user, given, comparison, counts, shown
    ids, codes = sorted_users(users, wins.shape[0])
    return ids, user if codes is None else codes[user], given, comparison, counts, shown


def sorted_users(users: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Sorted unique ids, and the index of each row's user (None where rows are in order already)."""
    ids = as_ids(users, "user")
    if ids.size != n_rows:
        raise VotesError(f"{n_rows:,} rows of counts but {ids.size:,} users: give one user per row")
    return (ids, None) if strictly_increasing(ids) else unique_ids(ids)


def given_comparisons(comparisons: Any, n_comparisons: int, *, one_column: bool) -> np.ndarray:
    """Names of the columns of counts, as ids or pairs of models; A and B, or numbers, if none are given."""
    if comparisons is None:
        return np.array([["A", "B"]], object) if one_column else np.arange(n_comparisons)
    given = np.asarray(comparisons, dtype=object)
    if n_comparisons == 1 and given.ndim == 0:
        given = given.reshape(1)
    if n_comparisons == 1 and given.shape == (2,):
        given = given.reshape(1, 2)
    if given.shape not in ((n_comparisons,), (n_comparisons, 2)):
        raise VotesError(
            f"{n_comparisons:,} comparisons are counted, but the names have shape {given.shape}: "
            f"give ({n_comparisons},) labels or ({n_comparisons}, 2) model names"
        )
    return as_ids(given, "comparison") if given.ndim == 1 else _pairs(given, noun="comparisons")


def _pairs(given: np.ndarray, *, noun: str) -> np.ndarray:
    """Pairs of model names as text; no model may meet itself."""
    pairs = np.column_stack([as_text(as_ids(given[:, side], "model")) for side in (0, 1)])
    itself = np.asarray(pairs[:, 0] == pairs[:, 1], dtype=bool)
    if itself.any():
        raise VotesError(
            offenders(itself, "compare a model with itself", noun=noun, remedy="leave those out")
        )
    return pairs


def distinct_comparisons(comparison: Any) -> tuple[np.ndarray, np.ndarray]:
    """Comparisons as they were listed, each once, and the index of each row among them.

    The index is −1 where a model is compared with itself.
    """
    rows = comparison if isinstance(comparison, np.ndarray) else np.array(comparison, dtype=object)
    if rows.ndim == 1:
        return unique_ids(as_ids(rows, "comparison"))
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise VotesError(f"comparison must be (n,) labels or (n, 2) model names, got shape {rows.shape}")
    names, codes = unique_ids(np.concatenate([as_text(as_ids(rows[:, side], "model")) for side in (0, 1)]))
    first, second = codes[: len(rows)], codes[len(rows) :]
    two = first != second
    if two.size and not two.any():
        raise VotesError(f"no vote is left: all {two.size:,} rows compare a model with itself")
    keys, at = unique_ids((first * max(names.size, 1) + second)[two])
    index = np.full(len(rows), -1)
    index[two] = at
    return np.column_stack([names[keys // max(names.size, 1)], names[keys % max(names.size, 1)]]), index


def check_merging(first: Any, second: Any) -> None:
    """Raise a VotesError where two `Preferences` cannot be merged."""
    if first.has_models != second.has_models:
        raise VotesError("cannot merge comparisons of models with labelled comparisons: use one form in both")
    if first.outcomes != second.outcomes or (first.contexts is None) != (second.contexts is None):
        raise VotesError(
            "cannot merge votes whose ties, sides or contexts were read in one part and not in the "
            "other: read both the same way"
        )
    if first.strata != second.strata:
        raise VotesError(
            "cannot merge votes whose strata differ: read the second part with vote_features=first.strata"
        )
