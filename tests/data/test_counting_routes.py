"""One table of odd votes, counted by every route: from rows, in an engine, from files, and into shards."""

from functools import reduce
from operator import add
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pytest
from vote_files import TABLE_TYPES, source_of

import emjax
from emjax.data.outcome_words import ACCEPTED
from emjax.errors import VotesError

# Of names that are written in several ways, and of users who may be many people.
pytestmark = pytest.mark.filterwarnings("ignore::emjax.errors.EmjaxWarning")

FILES = ["v.csv", "v.jsonl", "v.parquet"]
TABLES = [kind for kind in TABLE_TYPES if not kind.startswith("v.")]
ROUTES = [
    *(("read_votes", kind) for kind in (*TABLES, *FILES)),
    *(("aggregate", kind) for kind in FILES),
    *(("read_cells", kind) for kind in TABLES),
]
USERS = ["ann", "ann", "bob", "bob", "eve"]
A, B = ["new", "new", "old", "new", "new"], ["old", "old", "new", "old", "old"]
SAID = ["a", "b", "new", "model_a", "Left"]
FIRST = ["a", "old", "left", "B", "new"]
FILL = "fill them in, or leave those rows out"
SIDE = "write model_a or model_b, left or right, or the model's name"
KNOWN = {"ann": [1, 1], "bob": [2, 0], "eve": [1, 0]}  # votes for new, and for old
BLANKS = " \t\u2003\u00a0"


def votes(**changes) -> dict[str, list]:
    """Five votes on two models, with other columns in place of some; or other entries, by their rows."""
    table = {"user": USERS, "model_a": A, "model_b": B, "winner": SAID, "first": FIRST}
    for name, change in changes.items():
        if isinstance(change, dict):
            table[name] = [change.get(row, value) for row, value in enumerate(table[name])]
        else:
            table[name] = list(change)
    return table


SIDES, TIES, HALF = {"shown_first": "first"}, {"ties": "model"}, {"ties": "half"}
# What is counted: the votes, the options, and for each user the votes of each outcome (new is A).
COUNTED = {
    "as it is": (votes(), {}, KNOWN),
    "words in any spelling": (
        votes(winner=["MODEL_A", "Model B", " new ", "(left)", "First"]),
        {},
        KNOWN,
    ),
    "numbers": (votes(winner=["1", "0.0", "0", "1.0", "TRUE"]), {}, KNOWN),
    "names in another case": (votes(winner=["NEW", "Old", "new", "New", "nEW"]), {}, KNOWN),
    "a model's own name before a word": (
        votes(model_a=["b", "b", "x", "b", "b"], model_b=["x", "x", "b", "x", "x"], winner=[*"bxbbb"]),
        {},
        KNOWN,
    ),
    "users that nearly are blank": (
        votes(user=["\u200b", "\u200b", "0", "0", "-"]),
        {},
        {"\u200b": [1, 1], "0": [2, 0], "-": [1, 0]},
    ),
    "white space around names": (
        votes(
            user=["ann", " ann", "bob\u00a0", "bob", "eve\t"],
            model_a=["new ", *A[1:]],
            model_b=["old", "\u2003old", *B[2:]],
        ),
        {},
        KNOWN,
    ),
    "whole numbers written as floats": (
        votes(user=["12", "12.0", "7.", "7", " 10.00 "]),
        {},
        {"12": [1, 1], "7": [2, 0], "10": [1, 0]},
    ),
    "numbers that are no whole ones": (
        votes(user=["007", "007", "1.5", "1.5", "1e5"]),
        {},
        {"007": [1, 1], "1.5": [2, 0], "1e5": [1, 0]},
    ),
    "one user with a name among numbers": (
        votes(user=["12", "12.0", "7", "7", "anonymous"]),
        {},
        {"12": [1, 1], "7": [2, 0], "anonymous": [1, 0]},
    ),
    "models that are numbers, and a winner written as a float": (
        votes(
            model_a=["1", "1", "0", "1", "1"],
            model_b=["0", "0", "1", "0", "0"],
            winner=["1.0", "0.0", "1", "1", "1.0"],
        ),
        {},
        KNOWN,
    ),
    "verdicts of other tools": (
        votes(winner=["A>>B", "[[B]]", "B>A", "leftvote", "A>B"]),
        {},
        KNOWN,
    ),
    "ties of other tools": (
        votes(winner={1: "[[C]]", 4: "tievote"}),
        HALF,
        {"ann": [1.5, 0.5], "bob": [2, 0], "eve": [0.5, 0.5]},
    ),
    "empty winners are ties": (
        votes(winner={1: None, 4: " "}),
        {"ties": "model", "empty_winner": "tie"},
        {"ann": [1, 0, 1], "bob": [2, 0, 0], "eve": [0, 0, 1]},
    ),
    "empty winners are left out": (
        votes(winner={1: None, 4: "NULL"}),
        {"empty_winner": "drop"},
        {"ann": [1, 0], "bob": [2, 0]},
    ),
    "a model against itself is left out": (
        votes(model_b={1: "new", 4: "new"}),
        {},
        {"ann": [1, 0], "bob": [2, 0]},
    ),
    "ties are dropped": (
        votes(winner={1: "Both Bad", 4: "tie"}),
        {},
        {"ann": [1, 0], "bob": [2, 0]},
    ),
    "ties are halves": (
        votes(winner={1: "0.5", 4: "Neither"}),
        HALF,
        {"ann": [1.5, 0.5], "bob": [2, 0], "eve": [0.5, 0.5]},
    ),
    "ties are an outcome": (
        votes(winner={1: "tie (both good)", 4: "draw"}),
        TIES,
        {"ann": [1, 0, 1], "bob": [2, 0, 0], "eve": [0, 0, 1]},
    ),
    "sides": (
        votes(),
        SIDES,
        {"ann": [1, 0, 0, 1], "bob": [0, 0, 2, 0], "eve": [1, 0, 0, 0]},
    ),
    "sides and ties": (
        votes(winner={1: "tie", 2: "same"}),
        {**SIDES, **TIES},
        {"ann": [1, 0, 0, 0, 0, 1], "bob": [0, 0, 1, 0, 0, 1], "eve": [1, 0, 0, 0, 0, 0]},
    ),
    "sides and half ties": (
        votes(winner={1: "tie", 2: "same"}),
        {**SIDES, **HALF},
        {"ann": [1, 0, 0.5, 0.5], "bob": [0, 0, 1.5, 0.5], "eve": [1, 0, 0, 0]},
    ),
}
LEFT_OUT = {
    "ties are dropped": "ties dropped",
    "empty winners are left out": "without a winner",
    "a model against itself is left out": "a model against itself",
}
# What is refused: the votes, the options, how many rows do what, the first of them, and the remedy.
REFUSED = {
    "no user": (votes(user={2: None}), {}, "1 of 5 rows have no user", 3, FILL),
    "an empty user": (votes(user={2: ""}), {}, "1 of 5 rows have no user", 3, FILL),
    "blank users": (votes(user={1: BLANKS, 2: "\r\x85"}), {}, "2 of 5 rows have no user", 2, FILL),
    "no model A": (votes(model_a={3: None}), {}, "1 of 5 rows have no model A", 4, FILL),
    "a blank model B": (votes(model_b={3: BLANKS}), {}, "1 of 5 rows have no model B", 4, FILL),
    "no winner": (
        votes(winner={0: None, 4: " "}),
        *({}, "2 of 5 rows have no winner", 1),
        "write tie where neither won, or say what an empty cell means: empty_winner='tie' or 'drop'",
    ),
    "words for what is missing": (
        votes(user=["nan", "NULL", "N/A", "\\N", " None "]),
        *({}, "5 of 5 rows have no user", 1, FILL),
    ),
    "unknown words": (
        votes(winner={1: "?", 2: "maybe", 4: "?"}),
        *({}, "3 of 5 rows have a winner that is not understood ('?' 2, 'maybe' 1)", 2),
        f"write {ACCEPTED}",
    ),
    "a number that is none": (
        votes(winner={1: "-1"}),
        *({}, "1 of 5 rows have a winner that is not understood ('-1' 1)", 2),
        f"write {ACCEPTED}",
    ),
    "a model against itself": (
        votes(model_b={1: "new", 3: "new"}),
        *({"strict": True}, "2 of 5 rows compare a model with itself ('new')", 2),
        "leave those rows out, or read without strict=True",
    ),
    "a name that is a word for the other": (
        votes(model_a=[*"bbxbb"], model_b=[*"xxbxx"], winner=["a", "x", "b", "b", "b"]),
        *(TIES, "2 of 5 rows name one model in a word that also stands for the other ('b' 2)", 4),
        "rename the models, or write model_a, model_b or tie",
    ),
    "a side that is neither": (
        votes(first={3: "else", 4: "tie"}),
        *(SIDES, "2 of 5 rows do not say which model was shown first", 4, SIDE),
    ),
    "no side": (
        votes(first={0: None, 1: BLANKS}),
        *({**SIDES, **TIES}, "2 of 5 rows do not say which model was shown first", 1, SIDE),
    ),
    "what is missing comes before what is wrong": (
        votes(user={4: " "}, winner={0: "?"}),
        *(TIES, "1 of 5 rows have no user", 5, FILL),
    ),
}


def by_user(route: str, source, folder: Path, options: dict) -> tuple[dict, emjax.Preferences | None]:
    """For each user the votes of each outcome; and the votes, where users leave the engine."""
    if route == "read_cells":
        cells = emjax.read_cells(source, **options)
        side = {name: of for name, of in options.items() if name in ("shown_first", "empty_winner", "strict")}
        joined = emjax.join_cells(source, cells, {"cell": np.arange(cells.n_cells)}, **side)
        counts, rows = cells.cells.counts, rows_of(joined)
        dropped = dict(cells.table.left_out)
        users = {user: counts[int(cell)] for user, _, cell in rows}
        assert all(counts[int(cell)].sum() == votes for _, votes, cell in rows)
        pair, outcomes = cells.table.comparisons.tolist(), cells.table.outcomes
        assert len(users) == cells.table.n_users
        return _turned(users, pair, outcomes) | {"left out": dropped}, None
    if route == "aggregate":
        shards = emjax.aggregate(source, folder / "out", shards=2, **options)
        prefs, dropped = reduce(add, shards), dict(shards.table.left_out)
    else:
        prefs = emjax.read_votes(source, **options)
        dropped = dict(prefs.left_out)
    users = {prefs.users[user]: row for user, row in zip(prefs.user, prefs.counts, strict=True)}
    return _turned(users, prefs.comparisons.tolist(), prefs.outcomes) | {"left out": dropped}, prefs


def rows_of(table) -> list[tuple]:
    """Any table's rows, whatever has to be computed for that."""
    frame = nw.from_native(table)
    return list((frame.collect() if isinstance(frame, nw.LazyFrame) else frame).iter_rows())


def _turned(users: dict, pair: list, outcomes) -> dict:
    """The votes with the model that is called new (or b) as A."""
    assert len(pair) == 1
    order = [*range(outcomes.n)] if pair[0][0] in ("new", "b", "1") else list(outcomes.mirror)
    return {str(user): row[order].tolist() for user, row in users.items()}


@pytest.mark.parametrize("route, kind", ROUTES, ids=lambda part: part)
@pytest.mark.parametrize("what", list(COUNTED))
def test_every_route_counts_the_same(tmp_path, route, kind, what):
    table, options, expected = COUNTED[what]
    found, _ = by_user(route, source_of(kind, table, tmp_path), tmp_path, options)
    left_out = {}
    if what in LEFT_OUT:
        left_out = {LEFT_OUT[what]: 2.0, "users with no vote left": 1.0}
    assert found == {**expected, "left out": left_out}


@pytest.mark.parametrize("route, kind", ROUTES, ids=lambda part: part)
@pytest.mark.parametrize("what", list(REFUSED))
def test_every_route_refuses_in_the_same_words(tmp_path, route, kind, what):
    table, options, bad, row, remedy = REFUSED[what]
    with pytest.raises(VotesError) as error:
        by_user(route, source_of(kind, table, tmp_path), tmp_path, options)
    assert str(error.value) == f"{bad}, first at data row {row}: {remedy}"


@pytest.mark.parametrize("route, kind", [one for one in ROUTES if one[1] not in FILES[:2]])
def test_users_that_are_numbers_and_not_a_number(tmp_path, route, kind):
    """In files of text NaN is a name like any other."""
    whole = votes(user=[1.0, 1.0, 2.0, 2.0, 3.0])
    found, prefs = by_user(route, source_of(kind, whole, tmp_path), tmp_path, {})
    expected = dict(zip(("1", "2", "3"), KNOWN.values(), strict=True))
    assert {user.removesuffix(".0"): row for user, row in found.items() if user != "left out"} == expected
    assert prefs is None or prefs.users.dtype == np.int64
    gaps = source_of(kind, votes(user=[1.0, float("nan"), 2.0, float("nan"), 1.0]), tmp_path)
    with pytest.raises(VotesError) as error:
        by_user(route, gaps, tmp_path / "gaps", {})
    assert str(error.value) == f"2 of 5 rows have no user, first at data row 2: {FILL}"


def test_cells_of_a_parquet_file_whose_statistics_say_nothing_of_nan(tmp_path):
    source_of("v.parquet", votes(user=[1.0, float("nan"), 2.0, float("nan"), 1.0]), tmp_path)
    with pytest.raises(VotesError, match=r"^2 of 5 rows have no user, first at data row 2"):
        emjax.read_cells(duckdb.read_parquet(str(tmp_path / "v.parquet")))


@pytest.mark.parametrize("route, kind", [one for one in ROUTES if one[0] != "read_cells"])
def test_right_answers_in_numbers_with_gaps(tmp_path, route, kind):
    gaps = [float("nan"), 1.0, float("nan"), 0.0, 1.0]
    if kind in FILES[:2]:
        gaps = [None if value != value else value for value in gaps]
    source = source_of(kind, votes(first=gaps, model_a=["new"] * 5, model_b=["old"] * 5), tmp_path)
    _, prefs = by_user(route, source, tmp_path, {"gold": "first"})
    assert prefs is not None and prefs.anchor_votes is not None
    known = prefs.anchor_votes
    assert {known.users[u]: row.tolist() for u, row in zip(known.user, known.counts, strict=True)} == {
        "ann": [0.0, 1.0],
        "bob": [0.0, 1.0],
        "eve": [1.0, 0.0],
    }
    assert prefs.votes_by_user().tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("route, kind", ROUTES, ids=lambda part: part)
def test_nothing_but_ties(tmp_path, route, kind):
    source = source_of(kind, votes(winner=["tie"] * 5), tmp_path)
    with pytest.raises(VotesError) as error:
        by_user(route, source, tmp_path, {})
    assert str(error.value).split("; 1 file is counted")[0] == (
        'all 5 votes are ties, and nothing is left when ties are dropped: ties="half" counts each as half a '
        "vote for either side"
    )


GOLD = {
    "unknown": ({1: "else", 2: "tie"}, "2 of 5 rows have a right answer that names neither model"),
    "all": (["a"] * 5, "all 5 votes are on gold questions: add votes whose right answer is not known"),
}


@pytest.mark.parametrize("route, kind", [one for one in ROUTES if one[0] != "read_cells"])
@pytest.mark.parametrize("what", list(GOLD))
def test_right_answers_are_refused_in_the_same_words(tmp_path, route, kind, what):
    right, says = GOLD[what]
    source = source_of(kind, votes(first=right), tmp_path)
    with pytest.raises(VotesError) as error:
        by_user(route, source, tmp_path, {"gold": "first"})
    assert str(error.value).startswith(says)


@pytest.mark.parametrize("route, kind", [one for one in ROUTES if one[0] != "read_cells"])
def test_contexts_that_are_missing(tmp_path, route, kind):
    source = source_of(kind, votes(first={2: BLANKS, 3: None}), tmp_path)
    with pytest.raises(VotesError) as error:
        by_user(route, source, tmp_path, {"context": "first"})
    assert str(error.value) == f"2 of 5 rows have no context, first at data row 3: {FILL}"
