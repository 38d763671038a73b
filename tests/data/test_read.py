"""Tables: every kind gives the same Preferences, bad rows are counted, answers come back in kind."""

import datetime
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emjax.data import Preferences, join_users, read_votes, write_parquet
from emjax.data.outcome_words import ACCEPTED
from emjax.errors import OutputError, VotesError

MAKE = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars lazy": lambda columns: pl.DataFrame(columns).lazy(),
    "pyarrow": pa.table,
    "duckdb": lambda columns: duckdb.from_arrow(pa.table(columns)),
}
KINDS = pytest.mark.parametrize("kind", list(MAKE))


def columns(rows: list[tuple]) -> dict[str, list]:
    user, model_a, model_b, winner = map(list, zip(*rows, strict=True))
    return {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}


SOME = columns(
    [
        ("ann", "new", "base", "model_a"),
        ("bob", "new", "base", "model_b"),
        ("ann", "old", "base", "tie"),
        ("ann", "base", "new", "left"),
        ("cid", "new", "base", "tie"),
        ("bob", "new", "base", "model_b"),
    ]
)

rows = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.lists(st.sampled_from(["base", "new", "Old", "7"]), min_size=2, max_size=2, unique=True),
        st.sampled_from(["model_a", "model_b", "tie", "left", "RIGHT", "1", "0", "name"]),
    ),
    min_size=1,
    max_size=25,
)


@KINDS
@given(drawn=rows)
def test_every_kind_of_table_agrees_with_the_votes_one_by_one(kind, drawn, assert_same, assert_sound):
    table = [(user, *pair, pair[1] if word == "name" else word) for user, pair, word in drawn]
    won = {"model_a": 1, "left": 1, "1": 1, "tie": 0.5}
    expected = Preferences.from_votes(
        [row[0] for row in drawn], [row[1] for row in drawn], [won.get(row[2], 0) for row in drawn]
    )
    prefs = read_votes(MAKE[kind](columns(table)), ties="half")
    assert_sound(prefs)
    assert_same(prefs, expected)
    assert prefs.frame == kind.split()[0]


@KINDS
def test_ties_are_dropped_and_counted(kind, assert_sound):
    prefs = read_votes(MAKE[kind](SOME))
    assert_sound(prefs)
    assert prefs.users.tolist() == ["ann", "bob"]
    assert prefs.comparisons.tolist() == [["new", "base"]]
    np.testing.assert_array_equal(prefs.counts, [[1, 1], [0, 2]])
    np.testing.assert_array_equal(prefs.shown, [[3, 1]])
    assert prefs.left_out == (("ties dropped", 2.0), ("users with no vote left", 1.0))
    assert repr(prefs) == (
        "Preferences: 4 votes of 2 users in 1 comparison (new against base)\n"
        "  left out: ties dropped, 2\n"
        "  left out: users with no vote left, 1"
    )


@KINDS
def test_ties_as_half_votes(kind, assert_sound):
    prefs = read_votes(MAKE[kind](SOME), ties="half")
    assert_sound(prefs)
    assert prefs.users.tolist() == ["ann", "bob", "cid"]
    assert prefs.n_votes == 6 and prefs.left_out == ()
    np.testing.assert_array_equal(prefs.counts, [[1, 1], [0.5, 0.5], [0, 2], [0.5, 0.5]])


def test_the_order_of_rows_and_columns_does_not_matter(assert_same):
    frame = pd.DataFrame(SOME)
    shuffled = frame.sample(frac=1, random_state=0)[["winner", "model_b", "user", "model_a"]]
    assert_same(read_votes(frame), read_votes(shuffled))


@given(first=rows, second=rows)
def test_merging_is_reading_both_tables_as_one(first, second, assert_same):
    tables = [
        columns([(user, *pair, pair[0] if word == "name" else word) for user, pair, word in part])
        for part in (first, second)
    ]
    together = {name: tables[0][name] + tables[1][name] for name in tables[0]}
    parts = [read_votes(pa.table(table), ties="half") for table in tables]
    assert_same(parts[0] + parts[1], read_votes(pa.table(together), ties="half"))


@pytest.mark.parametrize(
    "said",
    [
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        [True, False, True],
        ["true", "False", "TRUE"],
        ["x", "y", "x"],
        ["A", "B", "a"],
        [Decimal("1.0"), Decimal("0.0"), Decimal("1.0")],
    ],
    ids=lambda said: f"{type(said[0]).__name__} {said[0]}",
)
@KINDS
def test_winners_of_every_type(kind, said):
    table = {"user": [1, 1, 2], "model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": said}
    np.testing.assert_array_equal(read_votes(MAKE[kind](table)).counts, [[1, 1], [1, 0]])


@KINDS
def test_half_as_a_number_is_a_tie(kind):
    table = {"user": [1, 1, 2], "model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": [1.0, 0.5, 0.0]}
    assert read_votes(MAKE[kind](table)).left_out == (("ties dropped", 1.0),)
    np.testing.assert_array_equal(read_votes(MAKE[kind](table), ties="half").counts, [[1.5, 0.5], [0, 1]])


@pytest.mark.parametrize(
    "users, expected",
    [
        ([3, 1, 2], [1, 2, 3]),
        ([3.0, 1.0, 2.0], [1, 2, 3]),
        (["3", "1", "02"], ["02", "1", "3"]),
        ([0.5, 1.0, 2.0], ["0.5", "1", "2"]),
        ([True, False, True], ["False", "True"]),
        ([Decimal(3), Decimal(1), Decimal(2)], [1, 2, 3]),
        ([datetime.date(2024, 1, day) for day in (2, 1, 3)], ["2024-01-01", "2024-01-02", "2024-01-03"]),
    ],
    ids=str,
)
@KINDS
def test_users_of_every_type(kind, users, expected):
    table = {"user": users, "model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": ["a"] * 3}
    assert read_votes(MAKE[kind](table)).users.tolist() == expected


def test_categories_are_names():
    frame = pd.DataFrame(SOME).astype("category")
    assert read_votes(frame).users.tolist() == ["ann", "bob"]
    frame = pl.DataFrame(SOME).with_columns(pl.col("user", "winner").cast(pl.Categorical))
    assert read_votes(frame).users.tolist() == ["ann", "bob"]
    table = pa.table(SOME)
    table = table.set_column(0, "user", table["user"].dictionary_encode())
    assert read_votes(table).users.tolist() == ["ann", "bob"]


def test_python_objects_of_several_kinds():
    table = {**SOME, "user": np.array([1, "bob", 1.0, 2, "x", "bob"], dtype=object)}
    prefs = read_votes(pd.DataFrame(table))
    assert prefs.users.tolist() == ["1", "2", "bob"]
    table["user"][3] = None
    with pytest.raises(VotesError, match="1 of 6 rows have no user, first at data row 4"):
        read_votes(pd.DataFrame(table))


def test_models_may_be_numbered(assert_same):
    table = {"worker": [1, 2], "model_x": [10, 9], "model_y": [9, 10], "winner": [10, 9]}
    prefs = read_votes(pd.DataFrame(table))
    assert prefs.comparisons.tolist() == [["10", "9"]]
    np.testing.assert_array_equal(prefs.counts, [[1, 0], [0, 1]])
    assert_same(prefs, read_votes(pl.DataFrame(table)))


def test_columns_are_told_or_recognised(assert_same):
    renamed = dict(zip(["who", "first", "second", "said"], SOME.values(), strict=True))
    told = {"user": "who", "model_a": "first", "model_b": "second", "winner": "said"}
    assert_same(read_votes(pa.table(renamed), **told), read_votes(pa.table(SOME)))
    with pytest.raises(VotesError, match="no column holds the user"):
        read_votes(pa.table(renamed))
    # the caller's names of the columns are outcome words, too
    renamed["said"] = ["first", "second", "tie", "first", "tie", "second"]
    assert_same(read_votes(pa.table(renamed), **told), read_votes(pa.table(SOME)))


def test_columns_with_numbers_for_names():
    with pytest.raises(VotesError, match="no column holds the user"):
        read_votes(pd.DataFrame([[1, "x", "y", "a"]]))


BAD = [
    (
        "user",
        {1: None, 3: None},
        "2 of 6 rows have no user, first at data row 2: fill them in, or leave those rows out",
    ),
    ("user", {4: ""}, "1 of 6 rows have no user, first at data row 5: fill them in, or leave those rows out"),
    (
        "user",
        {4: " \t"},
        "1 of 6 rows have no user, first at data row 5: fill them in, or leave those rows out",
    ),
    (
        "model_a",
        {2: None},
        "1 of 6 rows have no model A, first at data row 3: fill them in, or leave those rows out",
    ),
    (
        "model_b",
        {5: None},
        "1 of 6 rows have no model B, first at data row 6: fill them in, or leave those rows out",
    ),
    (
        "winner",
        {0: None, 5: None},
        "2 of 6 rows have no winner, first at data row 1: write tie where neither won, "
        "or say what an empty cell means: empty_winner='tie' or 'drop'",
    ),
    (
        "winner",
        {1: "?", 2: "nope", 5: "?"},
        "3 of 6 rows have a winner that is not understood ('?' 2, 'nope' 1), first at data row 2: "
        f"write {ACCEPTED}",
    ),
    (
        "winner",
        dict(enumerate(["u", "v", "w", "x" * 50, "y", "z"])),
        f"6 of 6 rows have a winner that is not understood ('u' 1, 'v' 1, 'w' 1, '{'x' * 37}...' 1, 'y' 1, "
        f"and 1 more), first at data row 1: write {ACCEPTED}",
    ),
]


@pytest.mark.parametrize("column, changes, message", BAD)
@KINDS
def test_bad_rows_are_counted_and_the_first_is_named(kind, column, changes, message):
    table = {name: list(values) for name, values in SOME.items()}
    for place, value in changes.items():
        table[column][place] = value
    with pytest.raises(VotesError) as error:
        read_votes(MAKE[kind](table))
    assert str(error.value) == message


@KINDS
def test_users_that_are_not_a_number(kind):
    table = {**SOME, "user": [1.0, float("nan"), 2.0, float("nan"), 1.0, 2.0]}
    with pytest.raises(VotesError, match=r"^2 of 6 rows have no user, first at data row 2: "):
        read_votes(MAKE[kind](table))


@KINDS
def test_a_word_with_two_readings_is_refused(kind):
    table = columns([(1, "0", "1", "1"), (1, "5", "7", "1"), (1, "5", "7", "7"), (2, "0", "1", "1")])
    with pytest.raises(VotesError) as error:
        read_votes(MAKE[kind](table))
    assert str(error.value).startswith(
        "2 of 4 rows name one model in a word that also stands for the other ('1' 2), first at data row 1"
    )


@KINDS
def test_only_ties(kind):
    table = columns([("ann", "new", "base", "tie"), ("bob", "new", "base", "both_bad")])
    with pytest.raises(VotesError) as error:
        read_votes(MAKE[kind](table))
    assert str(error.value) == (
        "all 2 votes are ties, and nothing is left when ties are dropped: "
        'ties="half" counts each as half a vote for either side'
    )
    assert read_votes(MAKE[kind](table), ties="half").n_votes == 2


@KINDS
def test_an_empty_table(kind):
    empty = {name: pa.array([], pa.string()) for name in SOME}
    if kind in ("pandas", "polars", "polars lazy"):
        empty = {name: [] for name in SOME}
    with pytest.raises(VotesError, match="there are no votes, only column names: give at least one row"):
        read_votes(MAKE[kind](empty))


def test_a_column_of_nothing():
    table = pa.table({**SOME, "user": pa.nulls(6)})
    with pytest.raises(VotesError, match="6 of 6 rows have no user, first at data row 1"):
        read_votes(table)
    table = pa.table({name: pa.nulls(6) for name in SOME})
    with pytest.raises(VotesError, match="6 of 6 rows have no user, first at data row 1"):
        read_votes(table)


def test_row_numbers_hold_beyond_one_batch():
    n, bad = 300_000, 271_828
    user = np.arange(n).astype(object)
    user[[bad - 1, n - 1]] = None
    table = {"user": pa.array(user), "model_a": ["x"] * n, "model_b": ["y"] * n, "winner": ["a"] * n}
    for kind in ("polars lazy", "duckdb"):
        with pytest.raises(VotesError, match="2 of 300,000 rows have no user, first at data row 271,828"):
            read_votes(
                MAKE[kind](pa.table(table)) if kind == "duckdb" else pl.from_arrow(pa.table(table)).lazy()
            )


@pytest.mark.parametrize("source", [42, None, [1, 2], np.zeros(3)], ids=lambda source: type(source).__name__)
def test_what_is_no_table_and_no_path(source):
    with pytest.raises(VotesError, match=r"cannot read votes from a .*: give a data frame"):
        read_votes(source)


def test_an_unknown_way_with_ties():
    with pytest.raises(VotesError, match='ties=\'keep\' is not known: give "drop", "half" or "model"'):
        read_votes(pa.table(SOME), ties="keep")


@KINDS
def test_answers_come_back_in_the_kind_of_table_that_came_in(kind):
    prefs = read_votes(MAKE[kind](SOME))
    out = join_users(prefs, {"attentiveness": np.array([0.25, np.nan])}, nullable=("attentiveness",))
    wanted = {"pandas": pd.DataFrame, "pyarrow": pa.Table, "duckdb": duckdb.DuckDBPyRelation}
    assert isinstance(out, wanted.get(kind, pl.DataFrame))
    assert list(out.columns if kind != "pyarrow" else out.column_names) == ["user", "attentiveness"]
    if kind == "duckdb":
        assert out.fetchall() == [("ann", 0.25), ("bob", None)]
    elif kind == "pandas":
        assert out["user"].tolist() == ["ann", "bob"] and out["attentiveness"].isna().tolist() == [
            False,
            True,
        ]
    else:
        native = out.to_dict(as_series=False) if kind.startswith("polars") else out.to_pydict()
        assert native == {"user": ["ann", "bob"], "attentiveness": [0.25, None]}


def test_answers_join_with_the_caller_s_own_table():
    frame = pd.DataFrame({**SOME, "user": [3, 1, 3, 3, 9, 1]})
    prefs = read_votes(frame)
    joined = frame.merge(join_users(prefs, {"weight": [0.1, 0.3]}), on="user")
    assert joined.groupby("user")["weight"].first().to_dict() == {1: 0.1, 3: 0.3}


def test_arrays_give_a_pyarrow_table():
    out = join_users(Preferences.from_counts([1, 2], [2, 2]), {"n_votes": [2.0, np.nan]})
    assert isinstance(out, pa.Table)
    assert out.schema.types == [pa.int64(), pa.float64()]
    assert out["n_votes"].null_count == 0  # NaN stays NaN where it was not called null


def test_answers_that_do_not_fit_the_users():
    prefs = read_votes(pa.table(SOME))
    with pytest.raises(VotesError, match="column 'x' has 3 entries for 2 users: give one per user"):
        join_users(prefs, {"x": [1, 2, 3]})
    with pytest.raises(VotesError, match="the column user holds the users themselves"):
        join_users(prefs, {"user": [1, 2]})


def test_parquet_files_hold_what_was_given(tmp_path):
    path = tmp_path / "users.parquet"
    values = {
        "user": np.array(["ann", "bob"], object),
        "attentiveness": np.array([0.5, np.nan]),
        "mode": np.array([np.nan, 0.25]),
        "note": ["x", None],
    }
    write_parquet(values, path, nullable=("mode",))
    table = pq.read_table(path)
    assert table.column_names == list(values)
    assert table["mode"].to_pylist() == [None, 0.25]
    assert table["attentiveness"].null_count == 0 and np.isnan(table["attentiveness"][1].as_py())
    assert table["note"].to_pylist() == ["x", None]
    write_parquet({"user": [1]}, str(path))  # replaced, whole
    assert pq.read_table(path).to_pydict() == {"user": [1]}
    assert [each.name for each in tmp_path.iterdir()] == ["users.parquet"]


def test_a_parquet_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "users.parquet"
    write_parquet({"user": [1]}, path)

    def fails(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fails)
    with pytest.raises(OutputError, match=r"cannot write .*users.parquet: No space left on device"):
        write_parquet({"user": [1, 2]}, path)
    monkeypatch.undo()
    assert pq.read_table(path).num_rows == 1
    assert [each.name for each in tmp_path.iterdir()] == ["users.parquet"]


def test_parquet_files_that_cannot_be_written(tmp_path):
    with pytest.raises(
        OutputError, match=r"cannot write .*users.parquet: No such file or directory; give a folder"
    ):
        write_parquet({"user": [1]}, tmp_path / "nowhere" / "users.parquet")
    with pytest.raises(OutputError, match=r"the columns differ in length \(user 1, x 2\)"):
        write_parquet({"user": [1], "x": [1, 2]}, tmp_path / "users.parquet")
    assert list(tmp_path.iterdir()) == []
