"""Cells with ties as an outcome, sides and gold questions are those of the votes read out of the engine."""

import narwhals as nw
import numpy as np
import pytest
from vote_files import TABLE_TYPES, source_of

import emjax
from emjax.data import distinct, join_cells, read_cells, read_votes
from emjax.errors import VotesError

TABLES = [kind for kind in TABLE_TYPES if not kind.startswith("v.")]
OPTIONS = {
    "ties": {"ties": "model"},
    "sides": {"shown_first": "first"},
    "sides and half ties": {"shown_first": "first", "ties": "half"},
    "gold": {"gold": "right", "gold_accuracy": 0.8},
    "gold and half ties": {"gold": "right", "ties": "half"},
    "all": {"gold": "right", "ties": "model", "shown_first": "first"},
}


def votes(seed: int = 0, n: int = 400) -> dict[str, list]:
    """Votes on new and old, and gold questions on other models too; user 3 answers gold questions alone."""
    rng = np.random.default_rng(seed)
    user, turned = rng.integers(60, size=n), rng.random(n) < 0.4
    gold = (rng.random(n) < 0.2) | (user == 3)
    first, second = np.where(turned, "new", "old"), np.where(turned, "old", "new")
    other = gold & (rng.random(n) < 0.3)
    words = np.array(["a", "Right", "tie", "model_b", "Both Bad"])[rng.integers(5, size=n)]
    right = np.where(rng.random(n) < 0.5, "A", "right")
    return {
        "user": user.tolist(),
        "model_a": np.where(other, "cat", first).tolist(),
        "model_b": np.where(other, "dog", second).tolist(),
        "winner": words.tolist(),
        "first": np.where(rng.random(n) < 0.5, "left", "B").tolist(),
        "right": [
            word if known else (None if odd else " ")
            for word, known, odd in zip(right, gold, turned, strict=True)
        ],
    }


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("what", list(OPTIONS))
def test_cells_and_answers_are_those_of_the_votes(tmp_path, kind, what):
    options, columns = OPTIONS[what], votes()
    if "gold" not in options:
        kept = [row for row, name in enumerate(columns["model_a"]) if name != "cat"]
        columns = {name: [values[row] for row in kept] for name, values in columns.items()}
    table = source_of(kind, columns, tmp_path)
    counted, prefs = read_cells(table, **options), read_votes(table, **options)
    expected, totals = distinct(prefs), counted.table
    for name in ("indptr", "comparison", "counts", "multiplicity"):
        mine, yours = getattr(counted.cells, name), getattr(expected, name)
        np.testing.assert_array_equal(mine, yours, err_msg=name, strict=True)
    assert counted.cells.n_comparisons == expected.n_comparisons
    for name in ("n_users", "n_votes", "most_votes", "left_out", "outcomes", "frame"):
        assert getattr(totals, name) == getattr(prefs, name), name
    np.testing.assert_array_equal(totals.votes, prefs.votes_by_comparison())
    if prefs.anchor_votes is not None:
        assert totals.anchor_votes is not None
        np.testing.assert_array_equal(totals.anchor_votes.accuracy, prefs.anchor_votes.accuracy)
        np.testing.assert_array_equal(totals.anchor_votes.counts[0], prefs.anchor_votes.counts.sum(axis=0))
        assert repr(counted).endswith(f"{prefs.anchor_votes.n_votes:,.0f} votes on gold questions")
    again = distinct(counted.one_each())
    np.testing.assert_array_equal(again.counts, expected.counts)
    np.testing.assert_array_equal(again.of_user, np.arange(counted.n_cells))
    told = {name: options[name] for name in ("shown_first", "gold") if name in options}
    joined = join_cells(table, counted, {"cell": np.arange(counted.n_cells)}, **told)
    rows = read_rows(joined)
    assert [user for user, _, _ in rows] == prefs.users.tolist()
    assert [votes for _, votes, _ in rows] == prefs.votes_by_user().tolist()
    assert [cell for _, _, cell in rows] == expected.of_user.tolist()


def read_rows(table) -> list[tuple]:
    """Any table's rows, sorted by user."""
    frame = nw.from_native(table)
    return sorted((frame.collect() if isinstance(frame, nw.LazyFrame) else frame).iter_rows())


def test_a_fit_of_cells_with_gold_questions_is_that_of_the_votes(tmp_path):
    rng, columns, options = np.random.default_rng(2), votes(1, 3000), OPTIONS["all"]
    # two users of three are attentive: on gold questions they answer rightly, elsewhere mostly for new
    right = np.array([str(word).strip() not in ("None", "") for word in columns["right"]])
    better = np.where(right, np.array(columns["right"]) == "A", np.array(columns["model_a"]) == "new")
    attentive = np.array(columns["user"]) % 3 > 0
    rate = np.where(attentive, np.where(right, 0.95, 0.85), 0.5)
    won = np.where(rng.random(3000) < rate, better, ~better)
    columns["winner"] = np.where(rng.random(3000) < 0.1, "tie", np.where(won, "a", "b")).tolist()
    table = source_of("polars lazy", columns, tmp_path)
    cells, prefs = read_cells(table, **options), read_votes(table, **options)
    one, other = (emjax.fit_em(source, emjax.TwoPoint(), tol=1e-8) for source in (cells, prefs))
    assert one.data == other.data and one.data["gold_accuracy"] == 0.95
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-10)
    estimates = [fit.standard_errors().estimate for fit in (one, other)]
    np.testing.assert_allclose(*estimates, rtol=1e-6, atol=1e-7)
    answers = one.cells(cells)["attentiveness"]
    found = read_rows(join_cells(table, cells, {"x": answers}, shown_first="first", gold="right"))
    expected = other.users(prefs)["attentiveness"]
    np.testing.assert_allclose([row[2] for row in found], expected, rtol=1e-5, atol=1e-7)


def test_columns_that_were_counted_are_told_again(tmp_path):
    table = source_of("polars", votes(), tmp_path)
    both = read_cells(table, gold="right", shown_first="first")
    for told, says in (
        ({"gold": "right"}, "the cells were counted with shown_first: give shown_first='COLUMN' here, too"),
        ({"shown_first": "first"}, "the cells were counted with gold: give gold='COLUMN' here, too"),
    ):
        with pytest.raises(VotesError) as error:
            join_cells(table, both, {}, **told)
        assert str(error.value) == says
    plain = read_cells(table.filter(table["model_a"] != "cat"))
    with pytest.raises(VotesError, match="the cells were counted without gold: leave it out here, too"):
        join_cells(table, plain, {}, gold="right")
    none = source_of("polars", {**votes(), "right": [""] * 400}, tmp_path)
    none = none.filter(none["model_a"] != "cat")
    with pytest.raises(VotesError, match="the cells know answers to gold questions, and the table has none"):
        join_cells(none, both, {}, shown_first="first", gold="right")
    assert read_cells(none, gold="right").table.anchor_votes is None
    with pytest.raises(VotesError, match="at least 1/2 and below 1"):
        read_cells(table, gold="right", gold_accuracy=0.2)
