"""Notes on votes: users who can decide a rate or a ranking, and columns named after a side."""

import warnings

import numpy as np
import pyarrow as pa
import pytest

import emjax


def table(users=60, each=12, bots=0, heavy=0):
    """Votes of people on two models, with the side shown first at random; bots click the first side."""
    rng = np.random.default_rng(0)
    user = [f"u{i}" for i in range(users) for _ in range(each)]
    user += [f"bot{i}" for i in range(bots) for _ in range(30)] + ["heavy"] * heavy
    first = rng.integers(2, size=len(user))
    won = rng.integers(2, size=len(user))
    won = [f if name.startswith("bot") else w for name, f, w in zip(user, first, won, strict=True)]
    columns = {"user": user, "model_a": ["x"] * len(user), "model_b": ["y"] * len(user)}
    words = np.array(["model_b", "model_a"], object)
    return pa.table(columns | {"winner": words[won], "first": words[first]})


def said(votes, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", emjax.EmjaxWarning)
        emjax.read_votes(votes, **options)
    return " ".join(str(one.message) for one in caught)


def test_a_few_users_of_one_side_are_named_where_sides_are_read():
    notes = said(table(bots=1), shown_first="first")
    assert "1 user gave all of 20 or more votes to one side, most of all 'bot0' (30 to the first)" in notes
    assert said(table(bots=1)) == ""  # without sides, always the first model is no habit


@pytest.mark.parametrize("bots", [0, 12])
def test_none_or_many_users_of_one_side_are_no_note(bots):
    """Many careless users are what the rate is for."""
    assert "to one side" not in said(table(bots=bots), shown_first="first")


def test_a_user_with_a_fifth_of_the_votes_is_named():
    assert "User heavy cast 400 of 1,120 votes (36%)" in said(table(heavy=400))
    assert said(table(heavy=100)) == ""
    assert said(table(users=10, heavy=100)) == ""  # of few users one may well have most votes
