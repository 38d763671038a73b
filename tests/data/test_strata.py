"""Vote strata: bins, their numbers and their labels, against plain NumPy."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emjax import Preferences, VoteStrata
from emjax.errors import VotesError


def message_of(call, *args, **options) -> str:
    with pytest.raises(VotesError) as caught:
        call(*args, **options)
    return str(caught.value)


def bins_of(strata: VoteStrata, values) -> np.ndarray:
    """The bin of each vote of one feature, by its label."""
    return np.array([strata.contexts.index(label) for label in strata.label({strata.columns[0]: values})])


def test_numbers_are_cut_at_quantiles_into_bins_of_equal_size():
    seconds = np.random.default_rng(0).lognormal(size=1000)
    strata = VoteStrata.cut({"seconds": seconds}, bins=4)
    place = bins_of(strata, seconds)
    assert np.ptp(np.bincount(place)) <= 1 and strata.names == ("seconds",) and strata.columns == ("seconds",)
    np.testing.assert_array_equal(place, np.searchsorted(np.quantile(seconds, [0.25, 0.5, 0.75]), seconds))


@pytest.mark.parametrize("log", [False, True])
def test_the_number_of_a_bin_is_the_standardised_mean_of_its_votes(log):
    seconds = np.random.default_rng(1).lognormal(sigma=2, size=500)
    strata = VoteStrata.cut({"log:seconds" if log else "seconds": seconds}, bins=5)
    labels = strata.label({"seconds": seconds})
    scale = np.log(seconds) if log else seconds
    means = np.array([scale[labels == label].mean() for label in labels])
    expected = (means - means.mean()) / means.std()
    np.testing.assert_allclose(strata.rows_of(labels)[:, 0], expected, rtol=1e-10)
    assert strata.names == ("log seconds" if log else "seconds",)


def test_few_values_have_a_bin_each_and_equal_ones_are_never_split():
    hours = np.array([1, 1, 1, 1, 7, 20])
    assert VoteStrata.cut({"hour": hours}, bins=3).contexts == ("hour 1", "hour 7", "hour 20")
    skewed = np.concatenate([np.zeros(90), np.arange(1, 11)])
    strata = VoteStrata.cut({"x": skewed}, bins=5)
    assert strata.contexts == ("x 0", "x 1 to 10")
    np.testing.assert_array_equal(bins_of(strata, skewed), (skewed > 0).astype(int))


def test_cut_points_lie_halfway_and_the_outer_bins_are_open():
    strata = VoteStrata.cut({"x": [1.0, 2.0, 4.0, 9.0]}, bins=2)
    assert strata.contexts == ("x 1 to 2", "x 4 to 9")
    np.testing.assert_array_equal(bins_of(strata, [-1e9, 2.99, 3.0, 3.01, 1e9]), [0, 0, 0, 1, 1])


def test_neighbouring_floats_fall_into_separate_bins():
    below, above = 1.0, np.nextafter(1.0, 2.0)
    strata = VoteStrata.cut({"x": [below, above]})
    assert len(set(strata.contexts)) == 2
    np.testing.assert_array_equal(bins_of(strata, [below, above]), [0, 1])


def test_labels_have_as_many_digits_as_they_need():
    strata = VoteStrata.cut({"x": [4.1001, 4.1002, 9.8, 1234567.0]}, bins=4)
    assert strata.contexts == ("x 4.1001", "x 4.1002", "x 9.8", "x 1.2346e+06")


@pytest.mark.parametrize("scale", [1e-308, 1e-300, 1.0, 1e300, 1e308])
def test_numbers_of_any_size_are_standardised_alike(scale):
    numbers = np.array(VoteStrata.cut({"x": np.array([-1.0, 0.0, 1.0]) * scale}).values).ravel()
    np.testing.assert_allclose(numbers, np.array([-1, 0, 1]) * np.sqrt(1.5), rtol=1e-6)


def test_levels_are_numbers_against_the_most_frequent():
    device = ["phone", "desk", "desk", "pad"]
    strata = VoteStrata.cut({"device": device})
    assert strata.names == ("device = pad", "device = phone")
    rows = strata.rows_of(strata.label({"device": device}))
    expected = np.array([[0, 1], [0, 0], [0, 0], [1, 0]]) - 0.25
    np.testing.assert_allclose(rows, expected)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-15)


def test_each_makes_levels_of_numbers_in_their_order():
    strata = VoteStrata.cut({"each:hour": [9, 9, 13, 100, 9]})
    assert strata.contexts == ("hour = 9", "hour = 13", "hour = 100")
    assert strata.names == ("hour = 13", "hour = 100") and strata.columns == ("hour",)


@pytest.mark.parametrize(
    "same",
    [[9, 13, 9], [9.0, 13.0, 9.0], ["9", "13", "9"], ["9.0", "13", " 9 "], [9, "13", 9.0]],
    ids=repr,
)
def test_levels_are_the_same_in_text_and_in_numbers(same):
    strata = VoteStrata.cut({"each:hour": [9, 13, 9]})
    np.testing.assert_array_equal(strata.label({"hour": same}), ["hour = 9", "hour = 13", "hour = 9"])
    assert VoteStrata.cut({"each:hour": same}) == strata


@pytest.mark.parametrize("same", [[True, False, False], ["true", "FALSE", "False"]], ids=repr)
def test_truth_is_a_level(same):
    strata = VoteStrata.cut({"phone": same})
    assert strata.names == ("phone = True",) and strata.contexts == ("phone = False", "phone = True")


def test_text_is_numbers_if_all_of_it_is():
    texts = ["1", " 2.5 ", "+3", "4.", ".5", "1e1"]
    assert VoteStrata.cut({"x": texts}) == VoteStrata.cut({"x": [1, 2.5, 3, 4, 0.5, 10]})
    assert VoteStrata.cut({"x": [*texts, "many"]}).contexts[0] == "x = +3"
    assert VoteStrata.cut({"x": ["1_0", "2"]}).contexts == ("x = 1_0", "x = 2")


@pytest.mark.parametrize("make", [list, np.array, pd.Series, pl.Series, pa.chunked_array])
def test_columns_of_every_kind_of_array(make):
    numbers, texts = [3.5, 1.0, 2.0, 8.0], ["a", "b", "a", "c"]
    wrap = (lambda values: make([values])) if make is pa.chunked_array else make
    strata = VoteStrata.cut({"x": wrap(numbers), "s": wrap(texts)}, bins=2)
    assert strata == VoteStrata.cut({"x": numbers, "s": texts}, bins=2)
    assert strata.label({"x": wrap(numbers), "s": wrap(texts)}).tolist() == [
        "x 3.5 to 8, s = a", "x 1 to 2, s = b", "x 1 to 2, s = a", "x 3.5 to 8, s = c",
    ]  # fmt: skip


columns = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n),
        st.lists(st.sampled_from("abc"), min_size=n, max_size=n),
        st.integers(2, 6),
    )
)


@given(drawn=columns)
def test_labels_lead_back_to_the_numbers_of_their_bins(drawn):
    numbers, texts, bins = np.array(drawn[0]) + 0.0, np.array(drawn[1], object), drawn[2]
    assume(np.unique(numbers).size > 1 and len(set(texts)) > 1)
    strata = VoteStrata.cut({"x": numbers, "s": texts}, bins=bins)
    labels = strata.label({"x": numbers, "s": texts})
    rows = strata.rows_of(labels)
    assert len(set(strata.contexts)) == len(strata.contexts) == len(strata.values)
    # votes of one bin share its number, which is their mean on the common scale
    by_bin = np.array([numbers[rows[:, 0] == row].mean() for row in rows[:, 0]])
    spread = by_bin.std()
    if spread > 1e-3:
        np.testing.assert_allclose(rows[:, 0], (by_bin - by_bin.mean()) / spread, atol=1e-6)
    order = np.argsort(numbers, kind="stable")
    assert np.all(np.diff(rows[order, 0]) >= 0)
    levels, counts = np.unique(texts.astype(str), return_counts=True)
    others = np.delete(np.arange(levels.size), counts.argmax())
    expected = (texts[:, None] == levels[others]) - counts[others] / texts.size
    np.testing.assert_allclose(rows[:, 1:], expected, atol=1e-12)
    assert VoteStrata.from_plain(json.loads(json.dumps(strata.plain()))) == strata


def test_all_combinations_of_bins_are_strata():
    strata = VoteStrata.cut({"x": [1, 2, 3], "s": ["a", "b", "a"]}, bins=3)
    assert len(strata.contexts) == 6 and repr(strata) == "VoteStrata: 6 strata of votes by x, s"
    assert strata.contexts[1] == "x 1, s = b" and "x 1, s = b" not in strata.label({"x": [1], "s": ["a"]})
    assert hash(strata) == hash(VoteStrata.cut({"x": [1, 2, 3], "s": ["a", "b", "a"]}, bins=3))
    assert strata != VoteStrata.cut({"x": [1, 2, 4], "s": ["a", "b", "a"]}, bins=3)


BAD = [
    ({"x": [1.0, None, 3.0, None]}, "2 of 4 rows hold nothing in column 'x', first at row 2: fill them in"),
    ({"x": [1.0, np.nan, 3.0]}, "1 of 3 rows hold nothing in column 'x', first at row 2"),
    ({"s": ["a", " ", "b"]}, "1 of 3 rows hold nothing in column 's', first at row 2"),
    ({"x": [1, 2, np.inf]}, "1 of 3 rows hold a number that is not finite in column 'x', first at row 3"),
    ({"log:x": [1, 0, -3.0]}, "2 of 3 rows hold a number of 0 or less in column 'x', which has no logarithm, "
     "first at row 2: name it x and not log:x, or leave those rows out"),
    ({"log:x": ["1", "two", "3"]}, "1 of 3 rows hold no number in column 'x' ('two'), first at row 2"),
    ({"x": [5, 5, 5]}, "column 'x' holds one value only (5): leave it out"),
    ({"s": ["a", "a"]}, "column 's' holds one value only (a): leave it out"),
    ({"each:x": range(31)}, "column 'x' has 31 levels, more than the 30 allowed: group them"),
    ({"x": [*map(str, range(30)), "?"]}, "column 'x' has 31 levels ('?' is not a number), more than the 30"),
    ({"x": [1, 2, 3], "y": [1, 2]}, "features need one entry per vote, and differ in length: x 3, y 2"),
    ({"x": [[1, 2], [3, 4]]}, "column 'x' must have one entry per vote, got an array of shape (2, 2)"),
    ({"x": []}, "there are no votes: give at least one row"),
    ({}, "vote_features takes names of columns, at least one; got []"),
    ({"x": [1, 2], "log:x": [1, 2]}, "vote_features names 'x' more than once: name each column once"),
    ({f"x{i}": np.arange(10) for i in range(5)}, "have 100,000 combinations, and at most 10,000 "
     "strata are allowed: ask for fewer bins, or fewer features"),
]  # fmt: skip


@pytest.mark.parametrize("given_columns, message", BAD, ids=lambda case: str(case)[:30])
def test_invalid_feature_columns_are_refused_in_one_line(given_columns, message):
    assert message in message_of(VoteStrata.cut, given_columns, bins=10)


@pytest.mark.parametrize("bins", [1, 0, -3, True])
def test_fewer_than_two_bins_are_refused(bins):
    assert "features are cut into at least 2 bins; got" in message_of(
        VoteStrata.cut, {"x": [1, 2]}, bins=bins
    )


def test_labels_of_missing_or_invalid_columns_are_refused():
    strata = VoteStrata.cut({"seconds": [1.0, 2.0, 3.0], "device": ["a", "b", "a"]})
    here = {"seconds": [1.0, 2.0], "device": ["a", "b"]}
    assert "first 'device': give all columns" in message_of(strata.label, {"seconds": [1.0]})
    assert "differ in length: seconds 2, device 1" in message_of(strata.label, {**here, "device": ["a"]})
    unseen = "1 of 2 rows hold in column 'device' a level that none of the strata has ('c'), first at"
    assert f"{unseen} row 2" in message_of(strata.label, {**here, "device": ["a", "c"]})
    assert "1 of 2 rows hold no number in column 'seconds' ('x')" in message_of(
        strata.label, {**here, "seconds": ["1", "x"]}
    )
    assert "hold nothing in column 'seconds'" in message_of(strata.label, {**here, "seconds": [1, None]})


def test_contexts_outside_the_strata_are_refused():
    strata = VoteStrata.given(["easy", "hard"], [0, 1])
    assert message_of(strata.rows_of, ["hard", "odd", "odd"]) == (
        "1 of 2 contexts are not among the strata ('odd'): read the votes with vote_features=fit.strata"
    )


def test_given_strata_keep_their_numbers():
    strata = VoteStrata.given(["b", "a"], [[1.0, 5.0], [0.0, -5.0]], ["x", "y"])
    np.testing.assert_array_equal(strata.rows_of(["a", "b"]), [[0.0, -5.0], [1.0, 5.0]])
    assert repr(strata) == "VoteStrata: 2 strata of votes by x, y" and strata.columns == ()
    assert VoteStrata.from_plain(json.loads(json.dumps(strata.plain()))) == strata
    assert VoteStrata.given([1, 2], [0.0, 1.0]).names == ("feature 1",)
    assert "were given, and not cut" in message_of(strata.label, {"x": [1]})


@pytest.mark.parametrize(
    "contexts, values, names, message",
    [
        (["a", "b"], [1.0], None, "2 contexts, but values of shape (1,): give a row of numbers"),
        (["a", "b"], [1.0, np.nan], None, "1 of 2 contexts have a value that is not finite, first at row 2"),
        (["a", "a"], [1.0, 2.0], None, "1 of 1 contexts occur more than once, first 'a': give each once"),
        (["a", "b"], [[1, 3], [2, 3]], None, "'feature 2' is 3 in every stratum, so it distinguishes none"),
        (["a", "b"], [[1, 3], [2, 4]], ["x"], "2 columns of values, but names for 1: give one each"),
        (["a", "b"], ["x", "y"], None, "the values of strata must be numbers"),
    ],
)  # fmt: skip
def test_invalid_given_strata_are_refused(contexts, values, names, message):
    assert message in message_of(VoteStrata.given, contexts, values, names)


@pytest.mark.parametrize(
    "plain", [{}, {"cuts": [{}]}, {"cuts": 3}, {"names": ["x"], "contexts": ["a"], "values": [["?"]]}]
)
def test_invalid_plain_content_is_refused(plain):
    assert "the content does not describe vote strata" in message_of(VoteStrata.from_plain, plain)


def test_inconsistent_plain_cuts_are_refused():
    plain = VoteStrata.cut({"x": [1, 2, 3]}).plain()
    plain["cuts"][0]["edges"] = plain["cuts"][0]["edges"][:1]
    assert "the content does not describe vote strata" in message_of(VoteStrata.from_plain, plain)


# ------------------------------------------------------------------------------------------ in Preferences

PAIRS = [["x", "y"], ["y", "x"], ["x", "y"], ["x", "y"]]
VOTES = (["ann", "bob", "ann", "bob"], PAIRS, [1, 0, 1, 0])
SECONDS = [2.0, 3.0, 9.0, 30.0]


def test_votes_one_by_one_have_their_kind_as_context(assert_same):
    prefs = Preferences.from_votes(*VOTES, vote_features={"log:seconds": SECONDS}, feature_bins=2)
    strata = VoteStrata.cut({"log:seconds": SECONDS}, bins=2)
    assert prefs.strata == strata
    by_hand = Preferences.from_votes(*VOTES, context=strata.label({"seconds": SECONDS}))
    assert_same(prefs, by_hand.with_strata(strata))
    np.testing.assert_array_equal(prefs.contexts, by_hand.contexts)
    assert by_hand.strata is None and by_hand.with_strata(strata).strata == strata
    assert prefs.users_by_context().strata == strata


def test_gold_questions_are_cut_with_the_others():
    features = {"seconds": [2.0, 3.0, 9.0, 30.0]}
    prefs = Preferences.from_votes(
        *VOTES, gold=[np.nan, 1, np.nan, np.nan], vote_features=features, feature_bins=2
    )
    assert prefs.strata == VoteStrata.cut(features, bins=2)
    assert prefs.n_votes == 3 and prefs.anchor_votes is not None and prefs.anchor_votes.n_votes == 1


def test_features_and_contexts_do_not_go_together():
    assert "make the context of a vote" in message_of(
        Preferences.from_votes, *VOTES, context=list("abab"), vote_features={"seconds": SECONDS}
    )


def test_kinds_need_the_contexts_of_the_votes():
    strata = VoteStrata.given(["a", "c"], [0.0, 1.0])
    without = Preferences.from_votes(*VOTES)
    assert "these votes have no contexts" in message_of(without.with_strata, strata)
    other = Preferences.from_votes(*VOTES, context=list("abab"))
    assert "1 of 2 contexts are not among the strata ('b')" in message_of(other.with_strata, strata)


def test_votes_of_the_same_kinds_can_be_merged(assert_same):
    features = {"seconds": SECONDS}
    both = Preferences.from_votes(*VOTES, vote_features=features, feature_bins=2)
    assert both.strata is not None
    labels = both.strata.label(features)
    parts = [
        Preferences.from_votes(*(part[rows] for part in VOTES), context=labels[rows]).with_strata(both.strata)
        for rows in (slice(0, 2), slice(2, 4))
    ]
    assert_same(parts[0] + parts[1], both)
    assert (parts[0] + parts[1]).strata == both.strata
    plain = Preferences.from_votes(*VOTES, context=labels)
    for first, second in ((both, plain), (plain, both)):
        assert "cannot merge votes whose strata differ" in message_of(first.__add__, second)
