"""Spark: the same Preferences as from any other table, and only counts leave it."""

import datetime
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from emjax.data import join_users, read_votes
from emjax.data.outcome_words import ACCEPTED
from emjax.errors import VotesError

pytestmark = pytest.mark.long  # seconds for each query; the same queries run in the other engines

SOME = {
    "user": ["ann", "bob", "ann", "ann", "cid", "bob"],
    "model_a": ["new", "new", "old", "base", "new", "new"],
    "model_b": ["base", "base", "base", "new", "base", "base"],
    "winner": ["model_a", "model_b", "tie", "left", "tie", "model_b"],
}


def drawn(seed: int, n: int, users: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, n)
    second = (first + rng.integers(1, 4, n)) % 4
    names = np.array(["base", "new", "Old", "7"], object)
    words = np.array(["model_a", "RIGHT", "tie", "both bad", "b"], object)
    return pa.table(
        {
            "worker": rng.integers(0, users, n),
            "model_x": names[first],
            "model_y": names[second],
            "vote": words[rng.integers(0, 5, n)],
        }
    )


@pytest.mark.parametrize("ties", ["drop", "half"])
@pytest.mark.parametrize("seed", [0, 1])
def test_spark_counts_as_every_table_does(spark, seed, ties, assert_same, assert_sound):
    table = drawn(seed, 400, 60)
    prefs = read_votes(spark.createDataFrame(table), ties=ties)
    assert_sound(prefs)
    assert_same(prefs, read_votes(table, ties=ties))
    assert prefs.frame == "arrays"


def test_only_counts_leave_spark(spark, rows_fetched):
    votes = spark.range(30_000).selectExpr(
        "id % 50 as user", "'new' as model_a", "'base' as model_b", "if(id % 3 = 0, 'b', 'a') as winner"
    )
    prefs = read_votes(votes)
    assert prefs.n_votes == 30_000 and prefs.n_users == 50
    assert rows_fetched == [100]  # 50 users, two outcomes


@pytest.mark.parametrize(
    "said",
    [
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        [True, False, True],
        ["A", "B", "a"],
        [Decimal("1.0"), Decimal("0.0"), Decimal("1.0")],
    ],
    ids=lambda said: f"{type(said[0]).__name__} {said[0]}",
)
def test_winners_of_every_type(spark, said):
    table = pa.table({"user": [1, 1, 2], "model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": said})
    np.testing.assert_array_equal(read_votes(spark.createDataFrame(table)).counts, [[1, 1], [1, 0]])


@pytest.mark.parametrize(
    "users, expected",
    [
        ([3, 1, 2], [1, 2, 3]),
        ([2**53 + 1, 2**53, 2**53 + 1], [2**53, 2**53 + 1]),
        ([3.0, 1.0, 2.0], [1, 2, 3]),
        (["3", "1", "02"], ["02", "1", "3"]),
        ([0.5, 1.0, 2.0], ["0.5", "1", "2"]),
        ([True, False, True], ["False", "True"]),
        ([Decimal(3), Decimal(1), Decimal(2)], [1, 2, 3]),
        ([datetime.date(2024, 1, day) for day in (2, 1, 3)], ["2024-01-01", "2024-01-02", "2024-01-03"]),
    ],
    ids=str,
)
def test_users_of_every_type(spark, users, expected):
    table = pa.table({"user": users, "model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": ["a"] * 3})
    assert read_votes(spark.createDataFrame(table)).users.tolist() == expected


@pytest.mark.parametrize(
    "column, changes, message",
    [
        ("user", {1: None, 3: ""}, "2 of 6 rows have no user: fill them in, or leave those rows out"),
        ("model_b", {5: None}, "1 of 6 rows have no model B: fill them in, or leave those rows out"),
        (
            "winner",
            {1: "?", 2: "nope", 5: "?"},
            f"3 of 6 rows have a winner that is not understood ('?' 2, 'nope' 1): write {ACCEPTED}",
        ),
    ],
)
def test_bad_rows_are_counted_but_have_no_number(spark, column, changes, message):
    table = {name: list(values) for name, values in SOME.items()}
    for place, value in changes.items():
        table[column][place] = value
    with pytest.raises(VotesError) as error:
        read_votes(spark.createDataFrame(pa.table(table)))
    assert str(error.value) == message


def test_users_that_are_not_a_number(spark):
    table = pa.table({**SOME, "user": [1.0, float("nan"), 2.0, float("nan"), 1.0, 2.0]})
    with pytest.raises(VotesError, match=r"^2 of 6 rows have no user: "):
        read_votes(spark.createDataFrame(table))


def test_an_empty_table_and_missing_columns(spark):
    empty = pa.table({name: pa.array([], pa.string()) for name in SOME})
    with pytest.raises(VotesError, match="there are no votes, only column names"):
        read_votes(spark.createDataFrame(empty))
    with pytest.raises(VotesError, match="no column holds the user, the closest is 'users'"):
        read_votes(spark.createDataFrame(pa.table(SOME)).withColumnRenamed("user", "users"))


def test_answers_come_as_a_pyarrow_table_that_spark_takes_back(spark):
    votes = spark.createDataFrame(pa.table(SOME))
    prefs = read_votes(votes)
    out = join_users(prefs, {"attentiveness": np.array([0.25, np.nan])}, nullable=("attentiveness",))
    assert isinstance(out, pa.Table)
    joined = votes.join(spark.createDataFrame(out), on="user", how="left")
    rows = {(row["user"], row["attentiveness"]) for row in joined.collect()}
    assert rows == {("ann", 0.25), ("bob", None), ("cid", None)}


def test_the_recipe_of_the_page_runs(spark, root: Path, tmp_path: Path):
    """docs/engines.md: from a table in Spark to attentiveness per user in Spark."""
    page = (root / "docs" / "engines.md").read_text(encoding="utf-8")
    recipe = re.search(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert recipe
    rng = np.random.default_rng(0)
    user = rng.integers(0, 500, 5000)
    attentive = rng.random(500) < 0.5
    won = rng.random(5000) < np.where(attentive[user], 0.8, 0.5)
    words = np.where(won, "model_a", "model_b").astype(object)
    models = {"model_a": ["new"] * 5000, "model_b": ["old"] * 5000}
    source, target = tmp_path / "votes", tmp_path / "attentiveness"
    spark.createDataFrame(pa.table({"user": user, **models, "winner": words})).write.parquet(str(source))
    places = {"/data/votes": str(source), "/data/attentiveness": str(target)}
    code = recipe[1]
    for written, here in places.items():
        assert f'"{written}"' in code
        code = code.replace(f'"{written}"', repr(here))
    exec(compile(code, "docs/engines.md", "exec"), {"spark": spark})
    users = spark.read.parquet(str(target))
    assert users.columns[:3] == ["user", "n_votes", "attentiveness"]
    found = users.toArrow()
    assert found.num_rows == 500
    by_user = dict(zip(found["user"].to_pylist(), found["attentiveness"].to_pylist(), strict=True))
    value = np.array([by_user[each] for each in range(500)])
    assert value[attentive].mean() > value[~attentive].mean() + 0.1


def test_kinds_of_votes_are_those_of_every_table(spark, assert_same):
    rng = np.random.default_rng(3)
    table = drawn(3, 400, 60)
    table = table.append_column("seconds", pa.array(rng.lognormal(size=400)))
    table = table.append_column("time.of", pa.array(rng.choice(["day", "night"], 400)))
    named = ["log:seconds", "time.of"]
    expected = read_votes(table, vote_features=named)
    prefs = read_votes(spark.createDataFrame(table), vote_features=named)
    assert_same(prefs, expected)
    assert prefs.strata == expected.strata
    np.testing.assert_array_equal(prefs.contexts, expected.contexts)
