"""Outcome words: who won, by a word, a number or a name, and what happens when names are words."""

import re

import numpy as np
import pytest

from emjax.data.outcome_words import ACCEPTED, outcomes


def read(rows: list[tuple[str, str, str]], columns: tuple[str, ...] = ()) -> tuple[list, list]:
    """Outcomes of rows of (first model, second model, what was said)."""
    models, codes = np.unique(np.array([row[:2] for row in rows], object), return_inverse=True)
    words, said = np.unique(np.array([row[2] for row in rows], object), return_inverse=True)
    first, second = codes.reshape(-1, 2).T
    won, ambiguous = outcomes(first, second, said, models, words, columns)
    return won.tolist(), ambiguous.tolist()


@pytest.mark.parametrize(
    "word, expected",
    [
        *(
            (word, 1.0)
            for word in (
                *("model_a", "Model A", "MODEL_A", "model-a", "left", "LEFT", " left ", "a", "A", "[A]"),
                *("first", "true", "True"),
            )
        ),
        *((word, 1.0) for word in ("1", "1.0", "1.00", "new", "NEW", " New")),
        *(
            (word, 0.0)
            for word in ("model_b", "right", "b", "B", "Second", "false", "0", "0.0", "-0.0", "base", "Base")
        ),
        *(
            (word, 0.5)
            for word in (
                *("tie", "Tie", "ties", "TIED", "draw", "Same", "equal", "both", "Neither", "No preference"),
                *("tie (bothbad)", "tie(both bad)", "both_bad", "bothbad", "both bad", "both-bad"),
                *("tie (both good)", "Tie: both good", "both_good", "Both Good", "no-preference"),
            )
        ),
        ("0.5", 0.5),
        *(
            (word, np.nan)
            for word in ("2", "-1", "nan", "inf", "c", "models", "new base", "none", "1 0", "skip", "?")
        ),
    ],
)
def test_each_word(word, expected):
    won, ambiguous = read([("new", "base", word)])
    np.testing.assert_array_equal(won, [expected])
    assert ambiguous == [False]


def test_every_word_that_a_message_offers_is_understood():
    """The list in the error, taken apart at its commas and its "or"."""
    for words, expected in zip(ACCEPTED.split(";"), (1.0, 0.0, 0.5), strict=False):
        offered = re.split(r",| or ", words.partition(" for ")[0])
        assert len(offered) >= 6
        for word in offered:
            assert read([("new", "base", word.strip())])[0] == [expected], word


def test_a_sign_is_not_a_hyphen():
    assert np.isnan(read([("new", "base", "-1")], ("1", "2"))[0]).all()


def test_the_names_of_the_columns_are_words():
    rows = [("new", "base", "model_x"), ("new", "base", "Model Y")]
    assert read(rows, ("model_x", "model_y"))[0] == [1.0, 0.0]
    assert np.isnan(read(rows)[0]).all()


def test_a_name_of_another_model_is_not_understood():
    assert np.isnan(read([("new", "base", "old"), ("old", "base", "old")])[0]).tolist() == [True, False]


def test_an_exact_name_goes_before_a_word():
    assert read([("B", "A", "A"), ("B", "A", "B"), ("A", "B", "A")])[0] == [0.0, 1.0, 1.0]
    assert read([("tie", "base", "tie"), ("base", "tie", "tie")])[0] == [1.0, 0.0]


def test_a_word_goes_before_a_name_in_another_case():
    assert read([("b", "a", "A"), ("b", "a", "B")])[0] == [1.0, 0.0]


def test_case_counts_where_two_models_differ_by_it():
    won, _ = read(
        [("GPT", "gpt", "GPT"), ("GPT", "gpt", "gpt"), ("GPT", "gpt", "Gpt"), ("GPT", "base", "gpt")]
    )
    np.testing.assert_array_equal(won, [1.0, 0.0, np.nan, 1.0])


def test_numbered_models_do_not_turn_1_and_0_into_names():
    """The pair (5, 7) shows that 1 and 0 are words, also where model 1 meets model 0."""
    rows = [("0", "1", "1"), ("0", "1", "0"), ("5", "7", "1"), ("1", "5", "0"), ("5", "0", "0.5")]
    assert read(rows)[0] == [1.0, 0.0, 1.0, 0.0, 0.5]


def test_numbered_models_named_as_winners():
    rows = [("0", "1", "1"), ("0", "1", "0"), ("5", "7", "7"), ("1", "5", "5"), ("1", "5", "tie")]
    assert read(rows)[0] == [0.0, 1.0, 0.0, 0.0, 0.5]


def test_a_word_with_two_readings_is_not_guessed():
    rows = [("0", "1", "1"), ("5", "7", "1"), ("5", "7", "7"), ("1", "7", "1")]
    won, ambiguous = read(rows)
    np.testing.assert_array_equal(won, [np.nan, 1.0, 0.0, 1.0])
    assert ambiguous == [True, False, False, False]


def test_swapping_the_columns_mirrors_the_outcome():
    words = ["left", "right", "tie", "new", "Base", "1", "0", "?"]
    mirror = {"left": "right", "right": "left", "1": "0", "0": "1"}
    won, _ = read([("new", "base", word) for word in words])
    swapped, _ = read([("base", "new", mirror.get(word, word)) for word in words])
    np.testing.assert_array_equal(swapped, 1 - np.array(won))


def test_what_is_missing_is_not_understood():
    models, words = np.array(["a", "b"], object), np.array(["left"], object)
    missing = np.array([-1, -1])
    won, _ = outcomes(np.array([0, -1]), np.array([1, -1]), missing, models, words)
    assert np.isnan(won).all()
    nothing = np.empty(0, object)
    assert np.isnan(outcomes(missing, missing, missing, nothing, nothing)[0]).all()
