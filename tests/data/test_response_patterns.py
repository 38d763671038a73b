"""Response patterns: exact for all counts, any order of users, and hash collisions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.data import Cells, Preferences, distinct
from emjax.data import response_patterns as cells_module

amounts = st.sampled_from([0.0, 1.0, 2.0, 0.5, 0.1, 1e-300, 1e15])
whole = st.integers(0, 3).map(float)


def rows_of_users(prefs: Preferences) -> list:
    """The rows of each user, as something that can be compared and sorted."""
    rows = [[] for _ in range(prefs.n_users)]
    for user, comparison, (for_a, for_b) in zip(prefs.user, prefs.comparison, prefs.counts, strict=True):
        rows[user].append((int(comparison), float(for_a), float(for_b)))
    return [(len(each), each) for each in rows]


def rows_of_cells(cells: Cells) -> list:
    bounds = zip(cells.indptr[:-1], cells.indptr[1:], strict=True)
    rows = [
        list(zip(cells.comparison[a:b].tolist(), *cells.counts[a:b].T.tolist(), strict=True))
        for a, b in bounds
    ]
    return [(len(each), each) for each in rows]


def check(prefs: Preferences) -> Cells:
    """Cells against the users one by one, in pure Python."""
    cells = distinct(prefs)
    users, unique = rows_of_users(prefs), rows_of_cells(cells)
    assert unique == sorted(unique) and all(a != b for a, b in pairwise(unique))
    assert [unique[cell] for cell in cells.of_user] == users
    np.testing.assert_array_equal(cells.multiplicity, np.bincount(cells.of_user, minlength=cells.n_cells))
    assert cells.multiplicity.sum() == prefs.n_users and cells.multiplicity.min() >= 1
    assert cells.n_comparisons == prefs.n_comparisons
    assert cells.indptr.dtype == cells.comparison.dtype == cells.of_user.dtype == np.int64
    assert cells.counts.dtype == cells.multiplicity.dtype == np.float64
    return cells


def assert_equal(first: Cells, second: Cells) -> None:
    for name in ("indptr", "comparison", "counts", "multiplicity"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), strict=True)


@st.composite
def counts(draw, amount=amounts):
    n_users, n_comparisons = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    size = n_users * n_comparisons
    wins = np.array(draw(st.lists(amount, min_size=size, max_size=size))).reshape(n_users, -1)
    losses = np.array(draw(st.lists(amount, min_size=size, max_size=size))).reshape(n_users, -1)
    wins[0, 0] += 1
    if draw(st.booleans()):  # most users alike
        wins[1:], losses[1:] = wins[:1], losses[:1]
    return wins, wins + losses  # counted in the tests: the check of annotations draws numbers of its own


@given(drawn=st.one_of(counts(), counts(whole)))
def test_cells_are_the_users_each_kind_once(drawn):
    prefs = Preferences.from_counts(*drawn)
    check(prefs)


@given(drawn=st.one_of(counts(), counts(whole)), seed=st.integers(0, 100))
def test_the_order_of_the_users_does_not_matter(drawn, seed):
    prefs = Preferences.from_counts(*drawn)
    order = np.random.default_rng(seed).permutation(prefs.n_users)
    renamed = np.argsort(order)  # user i is now called renamed[i]
    by = np.lexsort((prefs.comparison, renamed[prefs.user]))
    arrays = {"user": renamed[prefs.user][by], "comparison": prefs.comparison[by], "counts": prefs.counts[by]}
    shuffled = Preferences(users=prefs.users, comparisons=prefs.comparisons, shown=prefs.shown, **arrays)
    first, second = distinct(prefs), distinct(shuffled)
    assert_equal(first, second)
    np.testing.assert_array_equal(second.of_user, first.of_user[order])


@given(drawn=st.one_of(counts(), counts(whole)))
def test_hash_collisions_change_nothing(drawn):
    prefs = Preferences.from_counts(*drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cells_module, "_hash_users", lambda indptr, *_: np.zeros(indptr.size - 1, np.uint64), raising=True
        )
        useless = check(prefs)
    assert_equal(useless, distinct(prefs))


@given(drawn=counts(whole))
def test_the_table_and_the_sort_agree(drawn):
    wins, totals = (np.asarray(part).sum(axis=1) for part in drawn)
    one = Preferences.from_counts(wins, totals)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_tabulated", lambda prefs: None)
        sorted_way = check(one)
    assert_equal(sorted_way, check(one))
    np.testing.assert_array_equal(sorted_way.of_user, distinct(one).of_user)


def test_half_votes_go_through_the_table(monkeypatch):
    monkeypatch.setattr(cells_module, "_grouped", None)  # would fail if it were called
    cells = check(Preferences.from_counts([1.5, 0.5, 1.5], [2, 2, 2]))
    np.testing.assert_array_equal(cells.counts, [[0.5, 1.5], [1.5, 0.5]])


def test_large_or_odd_counts_go_the_general_way():
    cells = check(Preferences.from_counts([1e9, 0.1, 1e9, 0.3], [1e12, 0.3, 1e12, 0.3]))
    assert cells.n_cells == 3


def test_a_user_without_votes_is_a_cell_without_rows():
    for columns in (1, 3):
        wins = np.zeros((4, columns))
        wins[2] = 1
        cells = check(Preferences.from_counts(wins, wins))
        assert cells.multiplicity.tolist() == [3, 1] and cells.indptr.tolist() == [0, 0, columns]


def test_same_rows_in_another_comparison_are_another_cell():
    cells = check(Preferences.from_counts([[1, 0], [0, 1], [1, 0]], [[2, 0], [0, 2], [2, 0]]))
    assert cells.multiplicity.tolist() == [2, 1]


def test_many_users_become_few_cells():
    rng = np.random.default_rng(0)
    totals = rng.integers(0, 6, (20_000, 2))
    prefs = Preferences.from_counts(rng.binomial(totals, 0.6), totals)
    cells = distinct(prefs)
    assert cells.n_cells <= 21**2
    # the cells give back every user's counts
    dense = np.zeros((cells.n_cells, 2, 2))
    cell = np.repeat(np.arange(cells.n_cells), np.diff(cells.indptr))
    dense[cell, cells.comparison] = cells.counts
    users = np.zeros((prefs.n_users, 2, 2))
    users[prefs.user, prefs.comparison] = prefs.counts
    np.testing.assert_array_equal(dense[cells.of_user], users)
