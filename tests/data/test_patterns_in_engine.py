"""Cells counted inside an engine are those of the votes read out of it; no user leaves, answers go in."""

import gc
import sys
from decimal import Decimal

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.data import (
    CellCounts,
    Preferences,
    distinct,
    join_cells,
    patterns_in_engine,
    read_cells,
    read_votes,
)
from emjax.data.comparison_table import ComparisonTable
from emjax.data.ids import BLANK, as_ids
from emjax.data.response_patterns import Cells
from emjax.errors import VotesError

MAKE = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars lazy": lambda columns: pl.DataFrame(columns).lazy(),
    "pyarrow": pa.table,
    "duckdb": lambda columns: duckdb.from_arrow(pa.table(columns)),
}
SMALL = pytest.mark.parametrize("kind", list(MAKE))
# Spark takes seconds for what the others do in milliseconds. What is its own is tested in test_spark.py.
SPARK = pytest.param("spark", marks=pytest.mark.long)
EVERY = pytest.mark.parametrize("kind", [*MAKE, SPARK])
LAZY = pytest.mark.parametrize("kind", ["polars lazy", "duckdb", SPARK])


@pytest.fixture
def make(request):
    """A table of the kind that a test is run for."""

    def built(kind: str, columns: dict):
        if kind == "spark":
            return request.getfixturevalue("spark").createDataFrame(pa.table(columns))
        return MAKE[kind](columns)

    return built


def assert_counted(counted: CellCounts, prefs: Preferences) -> None:
    """All that `CellCounts` holds, against the users one by one."""
    expected = distinct(prefs)
    for name in ("indptr", "comparison", "counts", "multiplicity"):
        mine, yours = getattr(counted.cells, name), getattr(expected, name)
        np.testing.assert_array_equal(mine, yours, err_msg=name, strict=True)
    assert counted.cells.of_user.size == 0 and counted.cells.n_comparisons == 1
    totals = counted.table
    assert isinstance(totals, ComparisonTable)
    assert totals.comparisons.tolist() == prefs.comparisons.tolist()
    np.testing.assert_array_equal(totals.shown, prefs.shown)
    np.testing.assert_array_equal(totals.votes, prefs.counts.sum(axis=0, keepdims=True))
    assert (totals.n_users, totals.n_votes) == (prefs.n_users, prefs.n_votes)
    assert totals.most_votes == prefs.votes_by_user().max()
    assert totals.left_out == prefs.left_out
    assert totals.has_models and totals.models.tolist() == prefs.models.tolist()


def columns_of(table) -> dict[str, list]:
    """Any table's columns as lists, whatever has to be computed for that."""
    frame = nw.from_native(table)
    return (frame.collect() if isinstance(frame, nw.LazyFrame) else frame).to_dict(as_series=False)


def by_user(table, column: str) -> dict:
    columns = columns_of(table)
    assert len(set(columns["user"])) == len(columns["user"]), "one row per user"
    return dict(zip(columns["user"], columns[column], strict=True))


def columns(rows: list[tuple]) -> dict[str, list]:
    user, model_a, model_b, winner = map(list, zip(*rows, strict=True))
    return {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}


def drawn(
    seed: int, n: int = 300, users: int = 40, words=("a", "Right", "tie", "new", "old", "Both Bad")
) -> dict:
    rng = np.random.default_rng(seed)
    turned = rng.random(n) < 0.4
    return {
        "user": rng.integers(0, users, n).tolist(),
        "model_a": np.where(turned, "new", "old").tolist(),
        "model_b": np.where(turned, "old", "new").tolist(),
        "winner": [words[each] for each in rng.integers(0, len(words), n)],
    }


rows = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from([("new", "base"), ("base", "new")]),
        st.sampled_from(["model_a", "model_b", "tie", "left", "RIGHT", "1", "0", "new", "base"]),
    ),
    min_size=1,
    max_size=25,
)


@SMALL
@pytest.mark.parametrize("ties", ["drop", "half"])
@given(rows=rows)
def test_cells_are_those_of_the_votes_read_out(kind, ties, rows):
    table = columns([(user, *pair, word) for user, pair, word in rows])
    if ties == "drop" and {word for _, _, word in rows} == {"tie"}:
        with pytest.raises(VotesError, match=rf"all {len(rows)} votes are ties, and nothing is left"):
            read_cells(MAKE[kind](table))
    else:
        assert_counted(read_cells(MAKE[kind](table), ties=ties), read_votes(pa.table(table), ties=ties))


TYPES = {
    "text": drawn(1),
    "1 and 0": drawn(2, words=(1, 0)),
    "1, 0 and a half": drawn(3, words=(1.0, 0.0, 0.5)),
    "true and false": drawn(4, words=(True, False)),
    "decimals": drawn(5, words=(Decimal("1.0"), Decimal("0.5"), Decimal("0.0"))),
    "named users": {**drawn(6), "user": [f"u{each}" for each in drawn(6)["user"]]},
    "users with a half": {**drawn(7), "user": [each / 2 for each in drawn(7)["user"]]},
    "numbered models": {
        **drawn(8, words=("left", "right")),
        "model_a": [int(each == "new") for each in drawn(8)["model_a"]],
        "model_b": [float(each == "new") for each in drawn(8)["model_b"]],
    },
    "models in decimals": {
        **drawn(9, words=("left", "right", "tie")),
        "model_a": [Decimal(int(each == "new")) for each in drawn(9)["model_a"]],
        "model_b": [Decimal(int(each == "new")) for each in drawn(9)["model_b"]],
    },
}


@EVERY
@pytest.mark.parametrize("ties", ["drop", "half"])
@pytest.mark.parametrize("types", list(TYPES))
def test_columns_of_every_type(kind, types, ties, make):
    table = make(kind, TYPES[types])
    counted = read_cells(table, ties=ties)
    prefs = read_votes(table, ties=ties)
    assert_counted(counted, prefs)
    assert counted.table.frame == prefs.frame
    joined = columns_of(join_cells(table, counted, {"cell": np.arange(counted.n_cells)}))
    ids = as_ids(joined["user"], "user")
    order = np.argsort(ids)
    np.testing.assert_array_equal(ids[order], prefs.users, strict=True)
    np.testing.assert_array_equal(np.array(joined["cell"])[order], distinct(prefs).of_user)
    np.testing.assert_array_equal(np.array(joined["n_votes"])[order], prefs.votes_by_user())


def test_categories_are_names():
    table = drawn(10)
    prefs = read_votes(pa.table(table))
    categories = pl.DataFrame(table).with_columns(pl.col("winner", "model_a").cast(pl.Categorical))
    enum = pl.DataFrame(table).with_columns(pl.col("model_a").cast(pl.Enum(["old", "new", "other"])))
    for each in (pd.DataFrame(table).astype("category"), categories, categories.lazy(), enum):
        assert_counted(read_cells(each), prefs)


def test_columns_are_told():
    table = dict(zip(["who", "first", "second", "said"], drawn(11).values(), strict=True))
    told = {"user": "who", "model_a": "first", "model_b": "second", "winner": "said"}
    counted = read_cells(pl.LazyFrame(table), **told)
    assert_counted(counted, read_votes(pa.table(table), **told))
    joined = join_cells(pl.LazyFrame(table), counted, {}, **told)
    assert joined.collect_schema().names() == ["user", "n_votes"]
    with pytest.raises(VotesError, match="no column holds the user"):
        read_cells(pl.LazyFrame(table))


# -------------------------------------------------------------------------------------------- what moves


@LAZY
def test_no_user_leaves_the_engine(kind, make, rows_fetched):
    n = 6000
    rng = np.random.default_rng(0)
    table = {"user": np.arange(n) // 2, "model_a": ["new"] * n, "model_b": ["old"] * n}
    votes = make(kind, {**table, "winner": rng.choice(["a", "b", "tie"], n).astype(object)})
    counted = read_cells(votes, ties="half")
    assert counted.table.n_users == 3000
    assert counted.n_cells == 5  # 0, a half, 1, one and a half or 2 of two votes
    join_cells(votes, counted, {"x": np.zeros(5)})
    assert rows_fetched == [3, 5, 3]  # the words, the cells, the words


@LAZY
def test_no_user_leaves_the_engine_when_rows_are_bad(kind, make, rows_fetched):
    n = 4000
    table = {"user": [None if each == 3210 else each for each in range(n)], "model_a": ["new"] * n}
    votes = make(kind, {**table, "model_b": ["old"] * n, "winner": ["a"] * n})
    place = "" if kind == "spark" else ", first at data row 3,211"
    with pytest.raises(VotesError) as error:
        read_cells(votes)
    assert str(error.value) == f"1 of 4,000 rows have no user{place}: fill them in, or leave those rows out"
    assert max(rows_fetched) == 2


@LAZY
def test_a_lazy_table_stays_lazy(kind, make, rows_fetched):
    votes = make(kind, drawn(12))
    counted = read_cells(votes)
    rows_fetched.clear()
    joined = join_cells(votes, counted, {"x": np.zeros(counted.n_cells)})
    assert type(joined) is type(votes)
    assert len(rows_fetched) == 1  # the words, and nothing for users


@pytest.mark.long
def test_names_with_dots_in_spark(make):
    """Spark takes a dot for a path into a column."""
    table = dict(zip(["judge.id", "model_a", "model_b", "who.won"], drawn(21).values(), strict=True))
    told = {"user": "judge.id", "winner": "who.won"}
    votes = make("spark", table)
    prefs = read_votes(votes, **told)
    counted = read_cells(votes, **told)
    assert_counted(counted, prefs)
    values = np.arange(counted.n_cells)
    assert len(by_user(join_cells(votes, counted, {"cell": values}, **told), "cell")) == prefs.n_users
    with pytest.raises(VotesError, match=r"Spark takes the dot in 'a.b' for a path: give the column another"):
        join_cells(votes, counted, {"a.b": values}, **told)


@pytest.mark.long
def test_spark_sends_the_cells_to_the_users(spark, make):
    """The small table is broadcast: the join moves no user."""
    votes = make("spark", drawn(13))
    counted = read_cells(votes)
    joined = join_cells(votes, counted, {"x": np.zeros(counted.n_cells)})
    assert "BroadcastHashJoin" in joined._jdf.queryExecution().toString()


# ------------------------------------------------------------------------------------------ what is refused


BAD = [
    ("user", {1: None, 3: None}),
    ("user", {4: ""}),
    ("user", {4: " \t", 5: "\u2003\u00a0"}),
    ("model_a", {2: None}),
    ("model_b", {5: None}),
    ("winner", {0: None, 5: None}),
    ("winner", {1: "?", 2: "nope", 5: "?"}),
    ("model_b", dict.fromkeys(range(6), "new")),
    ("winner", dict.fromkeys(range(6), "tie")),
    ("user", dict.fromkeys(range(6), None)),
]


@EVERY
@pytest.mark.parametrize("column, changes", BAD)
def test_bad_rows_get_the_message_of_read_votes(kind, column, changes, make):
    table = columns([(name, "new", "base", word) for name, word in zip("abcabc", "aabbab", strict=True)])
    for place, value in changes.items():
        table[column][place] = value
    if all(value is None for value in table[column]):
        table[column] = pa.array(table[column], pa.string()) if kind in ("spark", "duckdb") else table[column]
    votes = make(kind, table)
    with pytest.raises(VotesError) as theirs:
        read_votes(votes)
    with pytest.raises(VotesError) as mine:
        read_cells(votes)
    assert str(mine.value) == str(theirs.value)


@EVERY
def test_users_that_are_not_a_number(kind, make):
    table = {**drawn(14, 6), "user": [1.0, float("nan"), 2.0, float("nan"), 1.0, 2.0]}
    with pytest.raises(VotesError, match=r"^2 of 6 rows have no user"):
        read_cells(make(kind, table))


@SMALL
def test_an_empty_table(kind):
    empty = {name: pa.array([], pa.string()) for name in drawn(0)}
    if kind in ("pandas", "polars", "polars lazy"):
        empty = {name: [] for name in empty}
    with pytest.raises(VotesError, match="there are no votes, only column names: give at least one row"):
        read_cells(MAKE[kind](empty))


def test_blank_is_what_unicode_calls_blank():
    every = map(chr, range(sys.maxunicode + 1))
    assert sorted(BLANK) == [letter for letter in every if letter.isspace()]
    assert not any("!" <= letter < "\x7f" for letter in BLANK), "names that begin so are not looked at"


@EVERY
def test_more_than_one_comparison(kind, make):
    table = columns([(1, "new", "old", "a"), (1, "new", "base", "tie"), (2, "old", "new", "a")])
    assert_counted(
        read_cells(make(kind, table)), read_votes(pa.table(table))
    )  # ties are dropped, and it with them
    with pytest.raises(VotesError) as error:
        read_cells(make(kind, table), ties="half")
    assert str(error.value) == (
        "the votes hold 2 comparisons (new against base, new against old), and cells are for one: leave the "
        "other rows out, or use read_votes, or aggregate where the votes are larger than memory"
    )


def test_too_many_words_are_not_fetched(monkeypatch, rows_fetched):
    monkeypatch.setattr(patterns_in_engine, "_MOST_ROWS", 5)
    votes = pl.LazyFrame({**drawn(15), "winner": [f"a long story {each}" for each in range(300)]})
    with pytest.raises(
        VotesError, match=r"there are more than 5 different models and winners: say which columns"
    ):
        read_cells(votes)
    assert rows_fetched == [6]


def test_a_table_that_changes_while_it_is_read(monkeypatch):
    connection = duckdb.connect()
    connection.execute("create table votes (judge int, model_a text, model_b text, winner text)")
    row = "insert into votes values (1, 'new', 'old', 'a')"
    connection.execute(row)
    between = patterns_in_engine.preferences_of

    def changed(*arguments, **options):
        connection.execute(row)
        return between(*arguments, **options)

    monkeypatch.setattr(patterns_in_engine, "preferences_of", changed)
    with pytest.raises(
        VotesError, match=r"on second reading the table gave 2.0 votes, at first 1.0: keep it from"
    ):
        read_cells(connection.table("votes"), user="judge")


def test_users_as_python_objects():
    table = {**drawn(16, 6), "user": np.array([1, "bob", 1.0, 2, "x", "bob"], dtype=object)}
    counted, prefs = read_cells(pd.DataFrame(table)), read_votes(pd.DataFrame(table))
    assert sorted(map(tuple, counted.cells.counts)) == sorted(set(map(tuple, distinct(prefs).counts)))
    assert counted.table.n_users == prefs.n_users == 4


def test_what_is_no_table():
    with pytest.raises(
        VotesError, match=r"cells are counted in tables, and this is a path: give polars.scan"
    ):
        read_cells("votes.parquet")
    with pytest.raises(VotesError, match="cannot read votes from a int"):
        read_cells(42)
    with pytest.raises(VotesError, match="ties='keep' is not known"):
        read_cells(pa.table(drawn(0)), ties="keep")


# -------------------------------------------------------------------------------------------- answers joined


@EVERY
@pytest.mark.parametrize("ties", ["drop", "half"])
def test_answers_find_their_users(kind, ties, make):
    table = drawn(17, 120, 60)
    votes = make(kind, table)
    counted = read_cells(votes, ties=ties)
    share = counted.cells.counts[:, 0] / counted.cells.counts.sum(axis=1)
    maybe = np.where(share > 0.5, share, np.nan)
    joined = join_cells(votes, counted, {"share": share, "maybe": maybe}, nullable=("maybe",))
    prefs = read_votes(pa.table(table), ties=ties)
    wins = prefs.wins_by_user()
    expected = dict(zip(prefs.users.tolist(), (wins[:, 0] / wins.sum(axis=1)).tolist(), strict=True))
    assert by_user(joined, "share") == expected
    empty = {user for user, value in by_user(joined, "maybe").items() if value is None or np.isnan(value)}
    assert empty == {user for user, value in expected.items() if value <= 0.5}
    assert list(columns_of(joined)) == ["user", "n_votes", "share", "maybe"]


@EVERY
def test_some_of_the_users_and_others(kind, make):
    counted = read_cells(make(kind, columns([("ann", "new", "old", "a"), ("bob", "new", "old", "b")])))
    other = columns([("ann", "old", "new", "b"), ("eve", "old", "new", "a"), ("eve", "old", "new", "a")])
    joined = join_cells(make(kind, other), counted, {"x": np.array([0.25, 0.75])})
    found = by_user(joined, "x")
    assert found["ann"] == 0.75  # voted for new, though listed the other way round
    assert found["eve"] is None or np.isnan(found["eve"])
    assert by_user(joined, "n_votes") == {"ann": 1, "eve": 2}


def test_a_connection_of_one_s_own():
    connection = duckdb.connect()
    connection.register("given", pa.table(drawn(18)))
    connection.execute("create table answers as select 1 as x")
    votes = connection.table("given")
    counted = read_cells(votes)
    joined = join_cells(votes, counted, {"cell": np.arange(counted.n_cells)})
    gc.collect()
    assert len(joined.fetchall()) == counted.table.n_users
    assert connection.sql("show tables").fetchall() == [
        ("answers",),
        ("given",),
    ]  # nothing of ours stays behind
    connection.close()


def test_answers_that_do_not_fit():
    table = pl.LazyFrame(drawn(19))
    counted = read_cells(table)
    values = np.zeros(counted.n_cells)
    with pytest.raises(VotesError, match=r"column 'x' has 2 entries for \d+ cells: give one per cell"):
        join_cells(table, counted, {"x": [1, 2]})
    with pytest.raises(VotesError, match="the column n_votes is made here: give the other one another name"):
        join_cells(table, counted, {"n_votes": values})
    with pytest.raises(VotesError, match="the column User is made here"):
        join_cells(table, counted, {"User": values})
    renamed = table.with_columns(pl.col("model_a", "model_b", "winner").str.replace("new", "best"))
    with pytest.raises(
        VotesError, match="the table compares old against best, and the cells old against new"
    ):
        join_cells(renamed, counted, {"x": values})


def test_cells_that_were_not_counted_here():
    table = pl.LazyFrame(columns([("ann", "A", "B", "a")]))
    thirds = Preferences.from_counts([1 / 3], [1.0])
    of = ComparisonTable(thirds.comparisons, thirds.shown, thirds.counts, 1, 1.0)
    with pytest.raises(VotesError, match="cells with parts of a vote cannot be found in a table"):
        join_cells(table, CellCounts(of, distinct(thirds)), {})
    labels = Preferences.from_counts([[1, 0]], [[1, 1]])
    of = ComparisonTable(labels.comparisons, labels.shown, np.eye(2), 1, 2.0)
    with pytest.raises(
        VotesError, match="these cells are not of one pair of models: count them with read_cells"
    ):
        join_cells(table, CellCounts(of, distinct(labels)), {"x": [1.0]})


def test_an_engine_that_takes_no_table(monkeypatch):
    table = pl.LazyFrame(drawn(20))
    counted = read_cells(table)
    monkeypatch.setattr(nw.LazyFrame, "implementation", property(lambda self: nw.Implementation.IBIS))
    with pytest.raises(VotesError, match="answers cannot be passed to ibis: join them yourself"):
        join_cells(table, counted, {})


def test_what_was_counted_in_words():
    table = columns([(1, "new", "old", "a"), (2, "new", "old", "tie"), (1, "new", "old", "tie")])
    assert repr(read_cells(pa.table(table))) == (
        "CellCounts: 1 vote of 1 user in 1 comparison (new against old), in 1 cell\n"
        "  left out: ties dropped, 2\n"
        "  left out: users with no vote left, 1"
    )
    assert repr(read_cells(pa.table(table), ties="half")) == (
        "CellCounts: 3 votes of 2 users in 1 comparison (new against old), in 2 cells"
    )
    cells = Cells(np.array([0, 0]), np.zeros(0, int), np.zeros((0, 2)), np.ones(1), np.zeros(0, int), 2)
    labels = ComparisonTable(np.arange(2), np.ones((2, 2)), np.array([[1.5, 0.5], [0, 0]]), 1, 2.0)
    assert repr(CellCounts(labels, cells)) == "CellCounts: 2 votes of 1 user in 2 comparisons, in 1 cell"
