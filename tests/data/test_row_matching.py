"""Row matching: the user, comparison and outcome of each row, in order, from every table type."""

import json
from collections import Counter

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from emjax import Preferences, read_votes
from emjax.data.row_matching import opened_rows
from emjax.errors import VotesError

MODELS = ("ant", "bee", "cat")


def made(n: int = 500, seed: int = 0) -> dict[str, list]:
    """Votes said in every way there is: words, names, numbers, either side first."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        a, b = rng.permutation(3)[:2]
        word = rng.choice(["model_a", "Model B", "tie", "left", MODELS[a], MODELS[b]])
        rows.append((f"u{rng.integers(20)}", MODELS[a], MODELS[b], word, f"text {i}"))
    names = ("user", "model_a", "model_b", "winner", "said")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def tables(columns: dict[str, list], folder):
    table = pa.table(columns)
    pq.write_table(table, folder / "v.parquet", row_group_size=64)
    pa.csv.write_csv(table, folder / "v.csv")
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    (folder / "v.jsonl").write_text(lines, encoding="utf-8")
    yield "pyarrow", table
    yield "pandas", table.to_pandas()
    yield "polars", pl.from_arrow(table)
    yield "lazy", pl.from_arrow(table).lazy()
    yield "duckdb", duckdb.from_arrow(table)
    for name in ("v.parquet", "v.csv", "v.jsonl"):
        yield name, folder / name


@pytest.mark.parametrize("narrow, wide", [(1 << 20, 1 << 12), (2048, 2048)])
def test_every_row_is_the_vote_it_was_counted_as(narrow, wide, tmp_path, monkeypatch):
    monkeypatch.setattr("emjax.data.row_matching._NARROW", narrow)
    monkeypatch.setattr("emjax.data.row_matching._WIDE", wide)
    columns = made(5000)
    for kind, source in tables(columns, tmp_path):
        prefs = read_votes(source)
        with opened_rows(source, {}) as rows:
            matched = rows.match(prefs)
            held = pa.Table.from_batches(rows.batches())
        assert held.column_names == list(columns), kind
        assert held["said"].to_pylist() == columns["said"], kind
        for i, (user, a, b, word) in enumerate(zip(*list(columns.values())[:4], strict=True)):
            if word == "tie":
                assert not matched.decisive[i]
                continue
            won = {"model_a": a, "left": a, "Model B": b}.get(word, word)
            assert prefs.users[matched.user[i]] == user
            assert prefs.comparisons[matched.comparison[i], matched.outcome[i]] == won
            assert matched.first_won[i] == (won == a)
        at = np.flatnonzero(matched.decisive)
        keys = zip(matched.user[at], matched.comparison[at], matched.outcome[at], strict=True)
        counted = Counter((int(u), int(c), int(o)) for u, c, o in keys)
        for user, comparison, counts in zip(prefs.user, prefs.comparison, prefs.counts, strict=True):
            assert [counted[int(user), int(comparison), side] for side in (0, 1)] == counts.tolist()
        assert matched.ties == columns["winner"].count("tie") and matched.unknown == 0


def test_users_of_other_votes_are_not_known():
    columns = made(200)
    few = {name: values[:40] for name, values in columns.items()}
    prefs = read_votes(pa.table(few))
    with opened_rows(pa.table(columns), {}) as rows:
        matched = rows.match(prefs)
    ties = np.array(columns["winner"]) == "tie"
    unknown = ~np.isin(columns["user"], prefs.users) & ~ties
    assert matched.unknown == unknown.sum() > 0
    assert np.array_equal(matched.decisive, ~unknown & ~ties)


def test_numbers_of_users_are_the_same_in_text_and_in_tables(tmp_path):
    table = pa.table(
        {"user": [7, 12, 7], "model_a": ["x"] * 3, "model_b": ["y"] * 3, "winner": ["x", "y", "x"]}
    )
    pa.csv.write_csv(table, tmp_path / "v.csv")
    prefs = read_votes(table)
    with opened_rows(tmp_path / "v.csv", {}) as rows:
        assert rows.match(prefs).user.tolist() == [0, 1, 0]


def test_pandas_columns_of_several_kinds():
    frame = pd.DataFrame({"user": [1, "ann", 1], "model_a": "x", "model_b": "y", "winner": ["x", 0, True]})
    prefs = read_votes(frame)
    with opened_rows(frame, {}) as rows:
        matched = rows.match(prefs)
    assert prefs.users[matched.user].tolist() == ["1", "ann", "1"]
    assert matched.first_won.tolist() == [True, False, True]
    with (
        pytest.raises(VotesError, match="'odd' holds values of several types"),
        opened_rows(frame.assign(odd=[1, "a", None]), {}),
    ):
        pass


def test_files_with_other_columns_are_read_together(tmp_path):
    first = pa.table({"user": ["a"], "model_a": ["x"], "model_b": ["y"], "winner": ["x"], "note": ["n"]})
    second = pa.table({"winner": ["y"], "user": ["b"], "model_a": ["x"], "model_b": ["y"], "score": [2.5]})
    pq.write_table(first, tmp_path / "1.parquet")
    pq.write_table(second, tmp_path / "2.parquet")
    prefs = read_votes(tmp_path)
    with opened_rows(tmp_path, {}) as rows:
        assert rows.names == ("user", "model_a", "model_b", "winner", "note", "score")
        assert rows.match(prefs).outcome.tolist() == [0, 1]
        held = pa.Table.from_batches(rows.batches())
    assert held["note"].to_pylist() == ["n", None] and held["score"].to_pylist() == [None, 2.5]


def test_columns_by_the_names_that_were_told():
    table = pa.table({"who": ["a"], "x": ["m"], "y": ["n"], "won": ["m"]})
    told = {"user": "who", "model_a": "x", "model_b": "y", "winner": "won"}
    prefs = read_votes(table, **told)
    with opened_rows(table, told) as rows:
        assert rows.match(prefs).first_won.tolist() == [True]


def test_labelled_comparisons_have_no_rows():
    table = pa.table({"user": ["a"], "model_a": ["x"], "model_b": ["y"], "winner": ["x"]})
    labelled = Preferences.from_votes(["a"], [0], [True])
    with opened_rows(table, {}) as rows, pytest.raises(VotesError, match="labelled"):
        rows.match(labelled)
