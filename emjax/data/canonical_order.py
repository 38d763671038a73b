"""Canonical order and orientation of comparisons, and sums of rows with equal keys; pure NumPy."""

import numpy as np

from emjax.data.ids import strictly_increasing, unique_ids


def arrange(
    given: np.ndarray, contexts: np.ndarray | None, shown: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray, np.ndarray]:
    """Canonical comparisons, their contexts and `shown`; per given one its index there, and if it is turned.

    Which way round a pair is does not depend on the context.
    """
    if given.ndim == 1:
        labels, code = unique_ids(given)
        return labels, None, sum_by(code, shown, labels.size), code, np.zeros(code.size, bool)
    names, codes = unique_ids(given.ravel())
    first, second = codes.reshape(-1, 2).T
    low, high = np.minimum(first, second), np.maximum(first, second)
    keys, code = unique_ids(low * names.size + high)
    reverse = first > second
    shown = np.where(reverse[:, None], shown[:, ::-1], shown)
    sums = sum_by(code, shown, keys.size)
    swapped = sums[:, 1] > sums[:, 0]
    pairs = np.column_stack([names[keys // names.size], names[keys % names.size]])
    pairs[swapped] = pairs[swapped][:, ::-1]
    turn = reverse != swapped[code]
    if contexts is None:
        sums[swapped] = sums[swapped][:, ::-1]
        return pairs, None, sums, code, turn
    labels, place = unique_ids(contexts)
    both, in_context = unique_ids(code * labels.size + place)
    pair, context = np.divmod(both, labels.size)
    sums = sum_by(in_context, np.where(swapped[code][:, None], shown[:, ::-1], shown), both.size)
    return pairs[pair], labels[context], sums, in_context, turn


def sum_by(code: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(size, k) sums of the rows of `values` (n, k) that have the same code."""
    if size == 1:
        return np.ones((1, len(values))) @ values
    return np.column_stack([np.bincount(code, column, size) for column in values.T])


def add_up(
    user: np.ndarray, comparison: np.ndarray, counts: np.ndarray, n_comparisons: int, n_users: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by (user, comparison), those with the same key added up."""
    key = user if n_comparisons == 1 else user * n_comparisons + comparison
    if strictly_increasing(key):
        return user, comparison, counts
    if n_users * n_comparisons <= 4 * key.size:
        sums = sum_by(key, counts, n_users * n_comparisons)
        keys = np.flatnonzero(sums.any(axis=1))
        sums = sums[keys]
    else:
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        keys, sums = key[starts], np.add.reduceat(counts[order], starts, axis=0)
    return keys // n_comparisons, keys % n_comparisons, sums
