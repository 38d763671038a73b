"""Counting votes: against a count by hand, under rearrangements that must not matter, and on bad input."""

from collections import defaultdict
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.data import Preferences
from emjax.errors import EmjaxError, VotesError

_MODELS = ("base", "new", "old", "Zeta", "ärger", "10", "9")

users = st.one_of(st.integers(-3, 6), st.sampled_from(["ann", "bob", "éva", "Zed", "3", "003"]))
pairs = st.lists(st.sampled_from(_MODELS), min_size=2, max_size=2, unique=True)
votes = st.tuples(users, pairs, st.sampled_from([0.0, 0.5, 1.0]))
tables = st.lists(votes, min_size=1, max_size=30)
label_tables = st.lists(st.tuples(users, users, st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=30)


def read(table: list) -> Preferences:
    """Preferences of a list of (user, comparison, won)."""
    user, comparison, won = zip(*table, strict=True)
    return Preferences.from_votes(list(user), list(comparison), list(won))


def count_by_hand(table: list) -> tuple[dict, dict]:
    """Votes by user and by who won against whom; and how often each pair was listed each way round."""
    wins, shown = defaultdict(float), defaultdict(float)
    for user, (first, second), won in table:
        wins[str(user), first, second] += won
        wins[str(user), second, first] += 1 - won
        shown[first, second] += 1
    return {key: value for key, value in wins.items() if value}, dict(shown)


def count_of(prefs: Preferences) -> tuple[dict, dict]:
    """The same two counts, read from Preferences."""
    wins, shown = {}, {}
    for user, comparison, (for_a, for_b) in zip(prefs.user, prefs.comparison, prefs.counts, strict=True):
        model_a, model_b = prefs.comparisons[comparison]
        name = str(prefs.users[user])
        wins |= {(name, model_a, model_b): for_a, (name, model_b, model_a): for_b}
    for (model_a, model_b), (as_is, turned) in zip(prefs.comparisons, prefs.shown, strict=True):
        shown |= {(model_a, model_b): as_is, (model_b, model_a): turned}
    return tuple({key: float(value) for key, value in each.items() if value} for each in (wins, shown))


@given(table=tables)
def test_counts_agree_with_counting_by_hand(table, assert_sound):
    prefs = read(table)
    assert_sound(prefs)
    assert count_of(prefs) == count_by_hand(table)
    assert prefs.n_votes == len(table)
    assert prefs.n_users == len({str(user) for user, _, _ in table})


@given(table=tables, seed=st.integers(0, 100))
def test_the_order_of_the_rows_does_not_matter(table, seed, assert_same):
    order = np.random.default_rng(seed).permutation(len(table))
    assert_same(read(table), read([table[place] for place in order]))


@given(table=tables, seed=st.integers(0, 100))
def test_the_order_of_labelled_rows_does_not_matter(table, seed, assert_same):
    order = np.random.default_rng(seed).permutation(len(table))
    labelled = [(user, "-".join(pair), won) for user, pair, won in table]
    assert_same(read(labelled), read([labelled[place] for place in order]))


@given(first=tables, second=tables)
def test_merging_is_concatenating(first, second, assert_same, assert_sound):
    merged = read(first) + read(second)
    assert_sound(merged)
    assert_same(merged, read(first + second))
    assert_same(merged, read(second) + read(first))


@given(first=label_tables, second=label_tables, third=label_tables)
def test_merging_labels_is_concatenating_however_it_is_bracketed(
    first, second, third, assert_same, assert_sound
):
    a, b, c = read(first), read(second), read(third)
    assert_same(a + b, read(first + second))
    assert_same((a + b) + c, a + (b + c))
    assert_sound(a + b + c)


@given(table=tables)
def test_swapping_the_sides_mirrors_the_comparisons(table):
    """Listing every pair the other way round mirrors A and B, except where both ways were as frequent."""
    prefs = read(table)
    mirror = read([(user, pair[::-1], 1 - won) for user, pair, won in table])
    np.testing.assert_array_equal(mirror.users, prefs.users)
    np.testing.assert_array_equal(mirror.user, prefs.user)
    np.testing.assert_array_equal(mirror.comparison, prefs.comparison)
    drawn = prefs.shown[:, 0] == prefs.shown[:, 1]
    np.testing.assert_array_equal(mirror.shown, prefs.shown)
    np.testing.assert_array_equal(mirror.comparisons[~drawn], prefs.comparisons[~drawn][:, ::-1])
    np.testing.assert_array_equal(mirror.comparisons[drawn], prefs.comparisons[drawn])
    turned = ~drawn[prefs.comparison]
    np.testing.assert_array_equal(mirror.counts[turned], prefs.counts[turned][:, ::-1])
    np.testing.assert_array_equal(mirror.counts[~turned], prefs.counts[~turned])


@given(table=tables)
def test_swapping_the_outcomes_swaps_the_counts(table):
    prefs, swapped = read(table), read([(user, pair, 1 - won) for user, pair, won in table])
    np.testing.assert_array_equal(swapped.comparisons, prefs.comparisons)
    np.testing.assert_array_equal(swapped.counts, prefs.counts[:, ::-1])


@given(counts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_from_counts_of_one_comparison(counts, assert_sound):
    wins, losses = np.array(counts).T
    if wins.sum() + losses.sum() == 0:
        with pytest.raises(VotesError, match="there are no votes"):
            Preferences.from_counts(wins, wins + losses)
        return
    prefs = Preferences.from_counts(wins, wins + losses)
    assert_sound(prefs)
    np.testing.assert_array_equal(prefs.users, np.arange(wins.size))
    np.testing.assert_array_equal(prefs.wins_by_user(), np.column_stack([wins, losses]))
    np.testing.assert_array_equal(prefs.votes_by_user(), wins + losses)
    np.testing.assert_array_equal(prefs.comparisons, [["A", "B"]])


@given(table=tables)
def test_from_counts_agrees_with_from_votes(table, assert_same):
    prefs = read(table)
    wins, totals = np.zeros((2, prefs.n_users, prefs.n_comparisons))
    wins[prefs.user, prefs.comparison] = prefs.counts[:, 0]
    totals[prefs.user, prefs.comparison] = prefs.counts.sum(axis=1)
    counted = Preferences.from_counts(wins, totals, users=prefs.users, comparisons=prefs.comparisons)
    np.testing.assert_array_equal(counted.comparisons, prefs.comparisons)
    np.testing.assert_array_equal(counted.counts, prefs.counts)
    np.testing.assert_array_equal(counted.user, prefs.user)
    np.testing.assert_array_equal(counted.comparison, prefs.comparison)
    np.testing.assert_array_equal(counted.shown[:, 0], prefs.shown.sum(axis=1))


def test_from_counts_keeps_the_orientation_it_was_given(assert_sound):
    prefs = Preferences.from_counts([[3, 1]], [[4, 4]], comparisons=[("zeta", "alpha"), ("beta", "alpha")])
    assert_sound(prefs)
    np.testing.assert_array_equal(prefs.comparisons, [["beta", "alpha"], ["zeta", "alpha"]])
    np.testing.assert_array_equal(prefs.counts, [[1, 3], [3, 1]])


def test_from_counts_adds_up_users_and_pairs_given_more_than_once(assert_sound):
    prefs = Preferences.from_counts(
        [[3, 1], [0, 2], [1, 0]],
        [[4, 1], [0, 2], [1, 0]],
        users=["bob", "ann", "bob"],
        comparisons=[("x", "y"), ("y", "x")],
    )
    assert_sound(prefs)
    np.testing.assert_array_equal(prefs.users, ["ann", "bob"])
    np.testing.assert_array_equal(prefs.comparisons, [["x", "y"]])
    np.testing.assert_array_equal(prefs.counts, [[0, 2], [4, 2]])
    np.testing.assert_array_equal(prefs.shown, [[5, 3]])


def test_from_counts_with_users_out_of_order(assert_same):
    straight = Preferences.from_counts([1, 2, 3], [5, 6, 7], users=[10, 20, 30])
    shuffled = Preferences.from_counts([3, 1, 2], [7, 5, 6], users=[30, 10, 20])
    assert_same(straight, shuffled)


def test_a_user_with_no_votes_stays_where_counts_say_so():
    prefs = Preferences.from_counts([0, 2], [0, 3])
    assert prefs.n_users == 2
    np.testing.assert_array_equal(prefs.user, [1])
    np.testing.assert_array_equal(prefs.votes_by_user(), [0, 3])


def test_one_comparison_may_be_named_in_several_ways():
    for name in ("arena", ["arena"]):
        prefs = Preferences.from_counts([1], [2], comparisons=name)
        assert prefs.comparisons.tolist() == ["arena"] and not prefs.has_models
    for name in (("new", "base"), [("new", "base")], np.array([["new", "base"]])):
        prefs = Preferences.from_counts([1], [2], comparisons=name)
        assert prefs.comparisons.tolist() == [["new", "base"]] and prefs.has_models
    one_column = Preferences.from_counts([[1], [2]], [[2], [2]])
    assert one_column.comparisons.tolist() == [0]


def test_labels_are_sorted_and_counts_follow():
    prefs = Preferences.from_counts([[1, 2]], [[3, 3]], comparisons=["maths", "art"])
    assert prefs.comparisons.tolist() == ["art", "maths"]
    np.testing.assert_array_equal(prefs.counts, [[2, 1], [1, 2]])
    assert prefs.models.size == 0


def test_models_are_sorted_and_each_is_there_once():
    prefs = read([("u", ("new", "base"), 1.0), ("u", ("old", "base"), 1.0)])
    assert prefs.models.tolist() == ["base", "new", "old"]


def test_a_pair_is_oriented_as_most_rows_list_it():
    prefs = read([("u", ("new", "base"), 1.0)] * 2 + [("u", ("base", "new"), 1.0)])
    assert prefs.comparisons.tolist() == [["new", "base"]]
    np.testing.assert_array_equal(prefs.counts, [[2, 1]])
    np.testing.assert_array_equal(prefs.shown, [[2, 1]])


def test_merging_turns_counts_where_the_majority_turns(assert_same):
    first, second = [("u", ("new", "base"), 1.0)], [("v", ("base", "new"), 0.0)] * 3
    merged = read(first) + read(second)
    assert merged.comparisons.tolist() == [["base", "new"]]
    np.testing.assert_array_equal(merged.counts, [[0, 1], [0, 3]])


def test_merging_numbers_with_names_makes_all_of_them_names(assert_same):
    merged = Preferences.from_counts([1], [1], users=[3]) + Preferences.from_counts([1], [2], users=["3"])
    assert merged.users.tolist() == ["3"]
    np.testing.assert_array_equal(merged.counts, [[2, 1]])


def test_merging_adds_up_what_was_left_out():
    counted = Preferences.from_counts([1], [2])
    fields = {name: getattr(counted, name) for name in ("users", "comparisons", "user", "comparison")}
    fields |= {"counts": counted.counts, "shown": counted.shown}
    first = Preferences(**fields, left_out=(("ties dropped", 2.0),), frame="pandas")
    second = Preferences(**fields, left_out=(("rows skipped", 1.0), ("ties dropped", 3.0)), frame="pandas")
    merged = first + second
    assert merged.left_out == (("rows skipped", 1.0), ("ties dropped", 5.0))
    assert merged.frame == "pandas"
    assert (first + counted).frame == "arrays"


def test_merging_pairs_with_labels_is_refused():
    with pytest.raises(VotesError, match="cannot merge comparisons of models with labelled comparisons"):
        Preferences.from_counts([1], [2]) + Preferences.from_counts([1], [2], comparisons="arena")
    with pytest.raises(TypeError):
        Preferences.from_counts([1], [2]) + 1


@pytest.mark.parametrize(
    "given_users, expected",
    [
        ([3, 1, 2], [1, 2, 3]),
        (np.array([3, 1, 2], np.int32), [1, 2, 3]),
        (np.array([3, 1, 2], np.uint64), [1, 2, 3]),
        ([3.0, 1.0, 2.0], [1, 2, 3]),
        (np.array([3.0, 1.0, 2.0]), [1, 2, 3]),
        ([Decimal(3), Decimal("1.0"), 2], [1, 2, 3]),
        (pd.Series(["c", "a", "b"]), ["a", "b", "c"]),
        (pd.Categorical(["c", "a", "b"]), ["a", "b", "c"]),
        (np.array(["c", "a", "b"]), ["a", "b", "c"]),
        (np.array([b"c", b"a", b"b"]), ["a", "b", "c"]),
        ([1.5, 2.0, 3.0], ["1.5", "2", "3"]),
        ([1, "a", 2.0], ["1", "2", "a"]),
        ([2**70, 1, 2], ["1", "1180591620717411303424", "2"]),
        (np.array([2**63, 1, 2], np.uint64), ["1", "2", "9223372036854775808"]),
        ([True, False, "x"], ["False", "True", "x"]),
    ],
)
def test_ids_of_every_kind(given_users, expected):
    prefs = Preferences.from_counts([1, 1, 1], [2, 2, 2], users=given_users)
    assert prefs.users.tolist() == expected
    assert prefs.users.dtype == (np.int64 if isinstance(expected[0], int) else object)


@pytest.mark.parametrize(
    "won", [[True, False], [1, 0], [1.0, 0.0], np.array([1, 0], np.int8), pd.Series([1, 0])]
)
def test_outcomes_of_every_kind(won):
    prefs = Preferences.from_votes([1, 2], ["c", "c"], won)
    np.testing.assert_array_equal(prefs.counts, [[1, 0], [0, 1]])


def test_half_a_vote_each_way():
    prefs = Preferences.from_votes([1, 1], ["c", "c"], [1, 0.5])
    np.testing.assert_array_equal(prefs.counts, [[1.5, 0.5]])
    assert prefs.n_votes == 2


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  ", pd.NA, pd.NaT])
def test_missing_users_are_counted(missing):
    with pytest.raises(VotesError) as error:
        Preferences.from_votes(["ann", missing, "bob", missing], ["c"] * 4, [1] * 4)
    assert str(error.value) == (
        "2 of 4 rows have no user, first at row 2: fill them in, or leave those rows out"
    )


@pytest.mark.parametrize("context", [None, ["x", "y", "x", "y"]])
def test_a_model_against_itself_is_left_out_and_counted(context):
    pairs = [["a", "b"], ["a", "a"], ["b", "a"], ["c", "c"]]
    won, gold = [True, True, False, 0.5], [np.nan, 1.0, np.nan, np.nan]
    votes = [1, 2, 1, 3], pairs, won
    prefs = Preferences.from_votes(*votes, context=context, gold=gold, shown_first=[1, 0, 1, 0])
    assert prefs.left_out == (("a model against itself", 2.0), ("users with no vote left", 2.0))
    assert prefs.users.tolist() == [1] and prefs.n_votes == 2 and prefs.n_comparisons == 1
    assert prefs.contexts is None or prefs.contexts.tolist() == ["x"]
    assert prefs.anchor_votes is None
    with pytest.raises(VotesError, match="2 of 4 rows compare a model with itself, first at row 2"):
        Preferences.from_votes(*votes, context=context, strict=True)


def test_missing_numbers_are_counted():
    with pytest.raises(VotesError, match="1 of 2 rows have no user, first at row 2"):
        Preferences.from_votes([1.0, np.nan], ["c", "c"], [1, 0])


@pytest.mark.parametrize(
    "user, comparison, won, message",
    [
        ([], [], [], "there are no votes: give at least one row"),
        ([1, 2], ["c"], [1, 0], "got 2 users, 1 comparisons and 2 outcomes"),
        ([1, 2], ["c", "c"], [1, 2], "1 of 2 rows have an outcome other than 1, 0 and 0.5, first at row 2"),
        ([1, 2], ["c", "c"], [1, np.nan], "1 of 2 rows have an outcome other than"),
        ([1, 2], ["c", "c"], ["left", "right"], "won must hold True and False"),
        ([1, 2], ["c", "c"], [[1], [0]], r"won must be one column, got an array of shape \(2, 1\)"),
        ([[1], [2]], ["c", "c"], [1, 0], "user names must be one column"),
        (1, ["c"], [1], "user names must be one column"),
        ([1, 2], [["a", "a"], ["b", "b"]], [1, 0], "no vote is left: all 2 rows compare a model with itself"),
        ([1, 2], [["a", "b"], ["a", None]], [1, 0], "1 of 2 rows have no model, first at row 2"),
        ([1, 2], [["a", "b", "c"]] * 2, [1, 0], r"must be \(n,\) labels or \(n, 2\) model names"),
        ([1, 2], ["c", None], [1, 0], "1 of 2 rows have no comparison, first at row 2"),
    ],
)
def test_bad_votes_fail_with_one_line(user, comparison, won, message):
    with pytest.raises(VotesError, match=message) as error:
        Preferences.from_votes(user, comparison, won)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wins, totals, options, message",
    [
        ([], [], {}, "there are no votes"),
        ([0, 0], [0, 0], {}, "there are no votes: give at least one user with a total above zero"),
        (np.zeros((2, 0)), np.zeros((2, 0)), {}, "there are no votes"),
        ([1, 2], [1, 2, 3], {}, r"wins has shape \(2,\) and totals \(3,\)"),
        (1, 2, {}, r"wins has shape \(\) and totals \(\)"),
        ([1, 5, 3], [2, 2, 2], {}, "2 of 3 users have more wins than votes, first at row 2"),
        ([1, -1], [2, 2], {}, "1 of 2 users have a negative count, first at row 2"),
        ([1, 0], [2, -2], {}, "1 of 2 users have a negative count, first at row 2"),
        ([1, np.nan], [2, 2], {}, "1 of 2 users have a count that is not finite, first at row 2"),
        ([1, 0], [2, np.inf], {}, "1 of 2 users have a count that is not finite"),
        ([[1, 5]], [[2, 2]], {}, "1 of 1 users have more wins than votes, first at row 1"),
        ([1, 2], [2, 2], {"users": ["a"]}, "2 rows of counts but 1 users"),
        ([1, 2], [2, 2], {"users": ["a", None]}, "1 of 2 rows have no user, first at row 2"),
        (
            [1],
            [2],
            {"comparisons": ["x", "y", "z"]},
            r"1 comparisons are counted, but the names have shape \(3,\)",
        ),
        ([1], [2], {"comparisons": ("x", "x")}, "1 of 1 comparisons compare a model with itself"),
        ([[1, 1]], [[2, 2]], {"comparisons": ["x", None]}, "1 of 2 rows have no comparison"),
    ],
)
def test_bad_counts_fail_with_one_line(wins, totals, options, message):
    with pytest.raises(VotesError, match=message) as error:
        Preferences.from_counts(wins, totals, **options)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, EmjaxError) and isinstance(error.value, ValueError)


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(VotesError, match="not valid text"):
        Preferences.from_counts([1], [2], users=["\ud800"])


def test_arrays_are_read_only_and_the_callers_stay_writable():
    users = np.array([1, 2])
    prefs = Preferences.from_counts([1, 2], [2, 2], users=users)
    with pytest.raises(ValueError, match="read-only"):
        prefs.counts[0, 0] = 5
    users[0] = 0


@pytest.mark.parametrize(
    "prefs, shown",
    [
        (Preferences.from_counts([1], [1]), "Preferences: 1 vote of 1 user in 1 comparison (A against B)"),
        (
            Preferences.from_counts([0.5], [1.5]),
            "Preferences: 1.5 votes of 1 user in 1 comparison (A against B)",
        ),
        (
            Preferences.from_counts([[600, 0]], [[1000, 500]], comparisons=[("a", "b"), ("a", "c")]),
            "Preferences: 1,500 votes of 1 user in 2 comparisons of 3 models",
        ),
    ],
)
def test_printed_numbers_have_no_needless_digits(prefs, shown):
    assert repr(prefs) == shown
