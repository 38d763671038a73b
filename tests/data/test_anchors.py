"""Anchor votes: read, joined, merged, written, and invalid ones refused."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import emjax

USERS = ["ann", "ann", "bob", "bob", "bob", "cat", "dan"]
A = ["new", "old", "new", "new", "old", "new", "new"]
B = ["old", "new", "old", "old", "new", "old", "old"]
WON = ["model_a", "model_b", "new", "model_b", "tie", "model_a", "old"]
GOLD = [None, "new", "model_b", None, "old", None, "new"]


def table(**changes):
    columns = {"user": USERS, "model_a": A, "model_b": B, "winner": WON, "right": GOLD}
    return pa.table({**columns, **changes})


def answers(prefs):
    """(user, right, wrong) of everyone who answered."""
    known = prefs.anchor_votes
    return {known.users[u]: tuple(row.tolist()) for u, row in zip(known.user, known.counts, strict=True)}


def test_votes_with_a_right_answer_are_anchor_votes_only():
    prefs = emjax.read_votes(table(), gold="right")
    # ann was asked for new and said new; bob for old (the second) and said new; dan for new and said old
    assert answers(prefs) == {"ann": (1.0, 0.0), "bob": (0.0, 1.0), "dan": (0.0, 1.0)}
    assert prefs.n_votes == 3 and dict(prefs.left_out) == {"ties dropped": 1.0}
    assert list(prefs.users) == ["ann", "bob", "cat", "dan"]
    assert prefs.votes_by_user().tolist() == [1.0, 1.0, 1.0, 0.0]
    assert prefs.anchor_votes.accuracy.tolist() == [0.95]
    assert "known besides: 3 votes of 3 users" in repr(prefs)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, lambda x: pl.LazyFrame(x), pa.table])
def test_every_kind_of_table_gives_the_same_answers(make, tmp_path):
    columns = table().to_pydict()
    assert answers(emjax.read_votes(make(columns), gold="right")) == answers(
        emjax.read_votes(table(), gold="right")
    )


def test_a_file_of_text_gives_the_same_answers(tmp_path):
    pd.DataFrame(table().to_pydict()).to_csv(tmp_path / "votes.csv", index=False)
    read = emjax.read_votes(tmp_path / "votes.csv", gold="right", gold_accuracy=0.8)
    assert answers(read) == answers(emjax.read_votes(table(), gold="right"))
    assert read.anchor_votes.accuracy.tolist() == [0.8]


def test_arrays_give_the_same_answers_as_tables():
    won = [1, 0, 1, 0, 0.5, 1, 0]
    gold = [None, 0, 0, None, 1, None, 1]
    pairs = np.column_stack([A, B])
    prefs = emjax.Preferences.from_votes(USERS, pairs, won, gold=gold)
    halves = emjax.read_votes(table(), gold="right", ties="half")
    assert answers(prefs) == answers(halves)
    assert answers(prefs)["bob"] == (0.5, 1.5)
    assert np.array_equal(prefs.counts, halves.counts) and list(prefs.users) == list(halves.users)


def test_ties_and_sides_are_separate_among_gold_answers_too():
    read = emjax.read_votes(
        table(front=["left", "left", "right", "left", "right", "left", "right"]),
        gold="right",
        shown_first="front",
        ties="model",
    )
    known = read.anchor_votes
    rows, columns = np.nonzero(known.counts)
    said = {(known.users[known.user[r]], read.outcomes.names[o]) for r, o in zip(rows, columns, strict=True)}
    # "A" is the right answer, "A first" that it was shown first
    assert said == {
        ("ann", "A won, B first"),
        ("bob", "B won, A first"),
        ("bob", "tie, B first"),
        ("dan", "B won, B first"),
    }


def test_anchor_votes_of_other_users_are_ignored_and_of_the_same_users_are_summed():
    prefs = emjax.Preferences.from_counts([3, 1], [4, 4], users=["ann", "bob"])
    first = emjax.AnchorVotes.from_counts(["bob", "eve"], [5, 1], [0, 1])
    second = emjax.AnchorVotes.from_counts(["bob", "bob"], [1, 2], [3, 4], accuracy=[0.95, 0.7])
    joined = prefs.with_anchor_votes(first).with_anchor_votes(second)
    assert joined.anchor_votes.columns["user"].tolist() == ["bob", "bob"]
    assert joined.anchor_votes.columns["accuracy"].tolist() == [0.7, 0.95]
    assert joined.anchor_votes.counts.tolist() == [[2.0, 4.0], [6.0, 3.0]]
    assert joined.most_votes == 4 + 15
    again = prefs.with_anchor_votes(first + second)
    assert np.array_equal(again.anchor_votes.counts, joined.anchor_votes.counts)


def test_merging_votes_merges_their_anchor_votes():
    one = emjax.read_votes(table(), gold="right")
    both = one + emjax.Preferences.from_counts([3], [4], users=["zoe"], comparisons=[["new", "old"]])
    assert answers(both) == answers(one)
    twice = one + one
    assert answers(twice) == {u: tuple(2 * np.array(x)) for u, x in answers(one).items()}


@pytest.mark.parametrize("outcomes", [{}, {"ties": "model"}, {"shown_first": "model_a", "ties": "model"}])
def test_a_file_of_evidence_comes_back_as_it_was(outcomes, tmp_path):
    known = emjax.read_votes(table(), gold="right", **outcomes).anchor_votes
    emjax.write_anchor_votes(known, tmp_path / "known.parquet")
    back = emjax.read_anchor_votes(tmp_path / "known.parquet")
    assert back.outcomes == known.outcomes
    for name, column in known.columns.items():
        assert np.array_equal(back.columns[name], column), name


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: emjax.read_votes(table(right=["?"] * 7), gold="right"), "7 of 7 rows have a right answer"),
        (lambda: emjax.read_votes(table(right=["tie", *GOLD[1:]]), gold="right"), "first at data row 1"),
        (lambda: emjax.read_votes(table(right=A), gold="right"), "on gold questions"),
        (lambda: emjax.read_votes(table(), gold="rihgt"), "the closest is 'right'"),
        (lambda: emjax.read_votes(table(), gold="right", gold_accuracy=1.0), "below 1"),
        (
            lambda: emjax.AnchorVotes.from_counts(["a"], [-1], [0]),
            "1 of 1 rows have a count that is negative",
        ),
        (lambda: emjax.AnchorVotes.from_counts(["a", "b"], [1], [0]), "2 users, but right has shape"),
        (lambda: emjax.AnchorVotes.from_counts(["a"], [1], [0, 1]), "1 users, but wrong has shape"),
        (lambda: emjax.AnchorVotes.from_counts(["a"], [[1, 2]], [[1, 0]]), "give one number per user"),
        (lambda: emjax.AnchorVotes.from_counts(["a"], [1], [0], accuracy=[0.9, 0.8]), "accuracy has shape"),
        (lambda: emjax.AnchorVotes.from_counts(["a"], ["x"], [0]), "must hold numbers"),
        (
            lambda: emjax.AnchorVotes.from_counts(["a"], [1], [0], accuracy=0.3),
            "at least 1/2 and below 1; got",
        ),
        (
            lambda: emjax.read_votes(table(), ties="model").with_anchor_votes(
                emjax.AnchorVotes.from_counts(["ann"], [1], [0])
            ),
            "the votes have the outcomes",
        ),
        (
            lambda: emjax.Preferences.from_votes(USERS, np.column_stack([A, B]), [1] * 7, gold=[2] * 7),
            "7 of 7 rows have a right answer other than 1 and 0",
        ),
        (
            lambda: emjax.Preferences.from_votes(USERS, np.column_stack([A, B]), [1] * 7, gold=[1]),
            "one entry for each of 7 votes",
        ),
    ],
)
def test_invalid_anchor_votes_are_refused_in_one_line(make, says):
    with pytest.raises(emjax.VotesError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        (b"no parquet", "cannot be read as parquet"),
        (pa.table({"user": ["a"], "n": [1]}), "holds no anchor votes"),
        (pa.table({"user": ["a"], "accuracy": [0.9], "A won": ["x"], "B won": [0.0]}), "floating-point"),
        (pa.table({"user": ["a"], "accuracy": [0.9], "A won": [-1.0], "B won": [0.0]}), "negative"),
        (pa.table({"user": ["a"], "accuracy": [1.9], "A won": [1.0], "B won": [0.0]}), "below 1"),
    ],
)
def test_files_without_anchor_votes_are_refused(content, says, tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "known.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(content, path)
    with pytest.raises(emjax.VotesError, match=says):
        emjax.read_anchor_votes(path)


def test_shards_have_the_questions_of_all_of_them():
    """One shard has no gold question, and the two others have questions of unlike accuracy."""
    from emjax.data.partition import aligned, table_of_shards

    def part(users, **known):
        rows = [row for row, user in enumerate(USERS) if user in users]
        return emjax.read_votes(table().take(rows), **known)

    names = sorted(set(USERS))
    shards = [
        part(names[:1], gold="right"),
        part(names[1:2]),
        part(names[2:], gold="right", gold_accuracy=0.7),
    ]
    held = [shard.anchor_votes for shard in shards if shard.anchor_votes is not None]
    totals = table_of_shards(shards)
    assert totals.anchor_votes is not None
    assert totals.anchor_votes.accuracy.tolist() == sorted(
        {float(a) for known in held for a in known.accuracy}
    )
    assert totals.anchor_votes.n_votes == sum(known.n_votes for known in held)
    assert totals.most_votes == max(shard.most_votes for shard in shards)
    for shard in shards:
        there = aligned(shard, totals)
        own, mine = there.anchor_votes, shard.anchor_votes
        assert own is not None
        np.testing.assert_array_equal(own.accuracy, totals.anchor_votes.accuracy)
        np.testing.assert_array_equal(own.counts, np.zeros((0, 2)) if mine is None else mine.counts)
        if mine is not None:
            np.testing.assert_array_equal(own.accuracy[own.question], mine.accuracy[mine.question])
