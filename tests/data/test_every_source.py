"""The same votes from every source, whatever the types of ids, the words for winners, and what is missing."""

import json
import uuid
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vote_files import source_of

import emjax
from emjax.errors import VotesError

SOURCES = (
    *("v.csv", "v.tsv", "v.jsonl", "v.json", "v.parquet"),
    *("pandas", "polars", "polars lazy", "pyarrow", "duckdb"),
)
# Ways of writing the user whose number is given: all are the same users, but for the last four.
IDS = {
    "integers": lambda i: i,
    "floats": lambda i: float(i),
    "decimals": lambda i: Decimal(f"{i}.00"),
    "digits": str,
    "digits with .0": lambda i: f"{i}.0",
    "digits with spaces": lambda i: f" {i}\u00a0" if i % 2 else f"{i}",
    "names": lambda i: f"user {i}",
    "UUIDs in capitals": lambda i: str(uuid.UUID(int=i)).upper(),
    "dates as text": lambda i: f"{i:02}-05-2024",
    "numbers beyond 64 bits": lambda i: str(10**20 + i),
}
SAME = list(IDS)[:6]
# Words for A, B and a tie; numbered models are there for winners that are numbers.
WORDS = {
    "columns": ("model_a", "model_b", "tie"),
    "sides": ("Left", "RIGHT", "Draw"),
    "names": ("new", "old", "both bad"),
    "numbers": ("1", "0", "0.5"),
    "verdicts": ("[[A]]", "[[B]]", "[[C]]"),
    "signs": ("A>>B", "B>A", "A=B"),
    "log": ("leftvote", "rightvote", "tievote"),
}
ROW = st.tuples(st.integers(1, 5), st.sampled_from([0, 1, 2]), st.booleans())
EMPTY = (None, "", "  ", "\u00a0", "NULL")


def columns_of(rows, ids: str, words: str, missing: dict[str, Any]) -> dict[str, list]:
    """A table of votes; `missing` says what stands in the first row of a column."""
    said = WORDS[words]
    table: dict[str, list] = {"user": [], "model_a": [], "model_b": [], "winner": []}
    for user, outcome, swapped in rows:
        a, b = ("old", "new") if swapped else ("new", "old")
        word = said[outcome]
        if words == "names" and outcome < 2:
            word = (a, b)[outcome]
        for name, value in zip(table, (IDS[ids](user), a, b, word), strict=True):
            table[name].append(value)
    for column, empty in missing.items():
        table[column][0] = empty
    return table


def outcome_of(source, **options) -> Any:
    """Votes of each user for new and for old, what was left out; or the error, without where it is first."""
    try:
        prefs = emjax.read_votes(source, **options)
    except VotesError as error:
        what, first, rest = str(error).partition(", first at data row")
        return what + rest.partition(":")[2] if first else what
    return counts_of(prefs)


def counts_of(prefs) -> Any:
    """Votes of each user for new and for old, and what was left out."""
    order = (
        [0, 1, 2][: prefs.outcomes.n] if prefs.comparisons[0, 0] == "new" else [1, 0, 2][: prefs.outcomes.n]
    )
    users = {
        str(prefs.users[u]): row[order].tolist() for u, row in zip(prefs.user, prefs.counts, strict=True)
    }
    return users, prefs.left_out


def made(kind: str, table: dict[str, list], folder: Path) -> Any:
    """The table as a source; text is what files of text hold."""
    if kind.endswith(("csv", "tsv", "jsonl", "json")) and any(
        isinstance(value, Decimal) for value in table["user"]
    ):
        table = {**table, "user": [None if value is None else str(value) for value in table["user"]]}
    return source_of(kind, table, folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, min_size=2, max_size=8),
    ids=st.sampled_from(sorted(IDS)),
    words=st.sampled_from(sorted(WORDS)),
    missing=st.sampled_from([{}, {"user": None}, {"winner": None}, {"winner": " "}, {"model_a": "NULL"}]),
    ties=st.sampled_from(["drop", "half", "model"]),
    empty_winner=st.sampled_from(["refuse", "tie", "drop"]),
)
def test_the_same_votes_count_alike(tmp_path, rows, ids, words, missing, ties, empty_winner):
    table = columns_of(rows, ids, words, missing)
    options = {"ties": ties, "empty_winner": empty_winner}
    found = {kind: outcome_of(made(kind, table, tmp_path), **options) for kind in SOURCES}
    if not missing and ties != "drop":
        pairs = list(zip(table["model_a"], table["model_b"], strict=True))
        won = [(1.0, 0.0, 0.5)[outcome] for _, outcome, _ in rows]
        found["arrays"] = counts_of(emjax.Preferences.from_votes(table["user"], pairs, won, ties=ties))
    assert len({json.dumps(one) for one in found.values()}) == 1, found


@pytest.mark.long
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, min_size=2, max_size=6),
    ids=st.sampled_from(sorted(IDS)),
    words=st.sampled_from(sorted(WORDS)),
    missing=st.sampled_from([{}, {"user": None}, {"winner": None}, {"model_a": "NULL"}]),
    empty_winner=st.sampled_from(["refuse", "tie", "drop"]),
)
def test_the_same_votes_count_alike_in_spark(spark, rows, ids, words, missing, empty_winner):
    table = pa.table(columns_of(rows, ids, words, missing))
    options = {"ties": "half", "empty_winner": empty_winner}
    found = [outcome_of(one, **options) for one in (spark.createDataFrame(table), table)]
    # Rows have no numbers in Spark, and messages no place.
    said = [one.replace(":", "") if isinstance(one, str) else json.dumps(one) for one in found]
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_number_is_one_name_however_it_is_written(kind, tmp_path):
    rows = [(user, outcome, False) for user in (1, 2, 12) for outcome in (0, 0, 1)]
    tables = {ids: columns_of(rows, ids, "columns", {}) for ids in SAME}
    found = {ids: outcome_of(made(kind, table, tmp_path)) for ids, table in tables.items()}
    expected = {user: [2.0, 1.0] for user in ("1", "2", "12")}
    assert all(one == (expected, ()) for one in found.values()), found


def test_users_written_in_several_ways_are_one_in_every_step(tmp_path):
    """Reading, filtering and training pairs take 12, 12.0 and "12" for one user."""
    rows = [(user, outcome, False) for user in (1, 2, 12) for outcome in (0, 0, 0, 1)]
    table = columns_of(rows, "integers", "columns", {})
    table["user"] = [
        (user, float(user), str(user), f"{user}.0")[i % 4] for i, user in enumerate(table["user"])
    ]
    prefs = emjax.read_votes(pd.DataFrame(table))
    assert prefs.users.tolist() == ["1", "12", "2"] and prefs.n_votes == 12


LARGE = {
    "floats": (np.array([2.0**53, 3.0]), "9007199254740992.0"),
    "short floats": (np.array([2.0**24, 3.0], np.float32), "16777216.0"),
    "text of a spreadsheet": (["1.23457E+18", "3"], r"1.23457E\+18"),
}


@pytest.mark.parametrize("what", list(LARGE))
@pytest.mark.parametrize("kind", ["v.parquet", "pandas", "polars", "pyarrow", "duckdb", "aggregate"])
def test_numbers_that_no_longer_differ_are_refused(tmp_path, kind, what):
    users, value = LARGE[what]
    table = {"user": users, "model_a": ["x"] * 2, "model_b": ["y"] * 2, "winner": ["a"] * 2}
    source = source_of("v.parquet" if kind == "aggregate" else kind, table, tmp_path)
    read = partial(emjax.aggregate, out=tmp_path / "out") if kind == "aggregate" else emjax.read_votes
    with pytest.raises(VotesError, match=rf"^1 of .* are rounded numbers, such as {value}: at "):
        read(source)


NESTED = {
    "lists": pa.array([["a", "b"], ["c"]]),
    "structs": pa.array([{"id": 1}, {"id": 2}]),
}


@pytest.mark.parametrize("what", list(NESTED))
@pytest.mark.parametrize("role", ["user", "model_a", "winner"])
@pytest.mark.parametrize("kind", ["pandas", "polars", "polars lazy", "pyarrow", "duckdb"])
def test_nested_columns_are_one_clear_line(tmp_path, kind, role, what):
    table = {"user": pa.array([1, 2]), "model_a": pa.array(["x"] * 2), "model_b": pa.array(["y"] * 2)}
    table = {**table, "winner": pa.array(["a"] * 2), role: NESTED[what]}
    with pytest.raises(VotesError, match=rf"column '{role}'") as error:
        emjax.read_votes(source_of(kind, table, tmp_path))
    assert "name a column of text or numbers" in str(error.value) and "\n" not in str(error.value)


def test_types_that_only_an_engine_has():
    import duckdb

    for kind, value in (("HUGEINT", str(2**80)), ("UUID", "bbd05ae7-0000-4000-8000-000000000000")):
        votes = duckdb.sql(f"select '{value}'::{kind} as user, 'x' as model_a, 'y' as model_b, 'a' as winner")
        assert emjax.read_votes(votes).users.tolist() == [value]
    ids = [uuid.UUID(int=1), uuid.UUID(int=2)]
    frame = pd.DataFrame({"user": ids, "model_a": ["x"] * 2, "model_b": ["y"] * 2, "winner": ["a"] * 2})
    assert emjax.read_votes(frame).users.tolist() == [str(one) for one in ids]


def test_dictionaries_that_differ_between_chunks():
    names = [pa.array(chunk).dictionary_encode() for chunk in (["x", "z"], ["z", "x"])]
    table = pa.table({"user": [1, 2, 3, 4], "model_a": pa.chunked_array(names), "model_b": ["y"] * 4})
    prefs = emjax.read_votes(table.append_column("winner", pa.array(["a"] * 4)))
    assert sorted(map(tuple, prefs.comparisons.tolist())) == [("x", "y"), ("z", "y")]
    assert prefs.table.votes.sum() == 4


def test_two_columns_of_one_name():
    frame = pd.DataFrame(
        [[1, "x", "y", "a", 5, 6]], columns=["user", "model_a", "model_b", "winner", "n", "n"]
    )
    with pytest.raises(VotesError, match=r"^several columns are called 'n': rename them"):
        emjax.read_votes(frame)


def test_a_name_of_many_people_is_said():
    table = columns_of([(1, 0, False), (2, 1, False)], "names", "columns", {"user": "Anonymous"})
    with pytest.warns(emjax.EmjaxWarning, match=r"1 votes \(50%\) are those of one user called 'Anonymous'"):
        emjax.read_votes(pd.DataFrame(table))


ONE_HOT = {"model_a": ["x", "x", "y", "x"], "model_b": ["y", "y", "x", "y"], "user": [1, 1, 2, 2]}
SEVERAL = {
    "one column for each outcome": {
        "winner_model_a": [1, 0, 0, 0],
        "winner_model_b": [0, 1, 1, 0],
        "winner_tie": [0, 0, 0, 1],
    },
    "the name of the chosen model": {
        "chosen_model_name": ["x", "y", "x", None],
        "both_equal": ["f", "f", "f", "t"],
    },
    "a preference from 1 to 2": {
        "preference": [1.0, 2.0, 1.9, 1.5],
        "generator_1": ONE_HOT["model_a"],
        "generator_2": ONE_HOT["model_b"],
    },
}


@pytest.mark.parametrize("what", list(SEVERAL))
@pytest.mark.parametrize("kind", SOURCES)
def test_winners_in_several_columns(tmp_path, kind, what):
    table = {**ONE_HOT, **SEVERAL[what]}
    source = source_of(kind, table, tmp_path)
    prefs = emjax.read_votes(source, ties="model")
    order = [0, 1, 2] if prefs.comparisons[0, 0] == "x" else [1, 0, 2]
    assert prefs.table.votes[0, order].tolist() == [2.0, 1.0, 1.0]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_preference_that_is_no_number_is_named(tmp_path, kind):
    table = {**ONE_HOT, **SEVERAL["a preference from 1 to 2"], "preference": ["1", "2", "?", "3"]}
    with pytest.raises(
        VotesError, match=r"^2 of 4 rows have a winner that is not understood \('3' 1, '\?' 1\)"
    ):
        emjax.read_votes(source_of(kind, table, tmp_path))


def test_one_outcome_alone_is_no_winner():
    """Under such a column every other outcome would count as a win of model B."""
    table = pa.table({**ONE_HOT, "winner_tie": [0, 0, 0, 1]})
    with pytest.raises(VotesError, match=r"^no column holds the winner: give winner='COLUMN'"):
        emjax.read_votes(table)


def test_a_dict_of_columns_and_a_simulation_are_votes():
    table = columns_of([(1, 0, False), (2, 1, True), (2, 0, False)], "names", "columns", {})
    assert outcome_of(table) == outcome_of(pd.DataFrame(table))
    assert outcome_of({**table, "user": ["u", 3, 3.0]}) == outcome_of(
        pd.DataFrame({**table, "user": ["u", 3, 3]})
    )
    with pytest.raises(VotesError, match=r"^the columns differ in length \(user 2, model_a 3"):
        emjax.read_votes({**table, "user": [1, 2]})
    with pytest.raises(VotesError, match=r"^column 'user' is no list of values"):
        emjax.read_votes({**table, "user": "ann"})
    sim = emjax.simulate(0, n_users=200, votes_per_user=20, prior=emjax.TwoPoint(0.1, 0.9, 0.5))
    fit = emjax.fit_em(sim)
    assert isinstance(fit.prior, emjax.Grid)
    assert fit.log_likelihood == emjax.fit_em(sim.preferences, emjax.Grid()).log_likelihood
