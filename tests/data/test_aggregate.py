"""aggregate: the shards hold what `read_votes` gives, in bounded memory."""

import shutil
from decimal import Decimal
from functools import reduce
from operator import add

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vote_files import drawn, folder_of, message_of, write

import emjax
from emjax.errors import VotesError

# Of names that are written in several ways, and of users who may be many people.
pytestmark = pytest.mark.filterwarnings("ignore::emjax.errors.EmjaxWarning")

# ------------------------------------------------------------------------------------------- what is counted


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("ties", ["drop", "half"])
def test_shards_together_are_the_files_read_at_once(tmp_path, assert_same, kind, ties):
    votes = folder_of(tmp_path, kind)
    whole = emjax.read_votes(votes, ties=ties)
    shards = emjax.aggregate(votes, tmp_path / "out", ties=ties, shards=3)
    assert len(shards) == 3
    together = reduce(add, shards)
    assert shards.table.left_out == whole.left_out
    for name in ("users", "comparisons", "user", "comparison", "counts", "shown"):
        np.testing.assert_array_equal(getattr(together, name), getattr(whole, name), strict=True)
    totals = shards.table
    assert (totals.n_users, totals.n_votes) == (whole.n_users, whole.n_votes)
    assert totals.most_votes == whole.votes_by_user().max()
    np.testing.assert_array_equal(totals.comparisons, whole.comparisons)
    np.testing.assert_array_equal(totals.shown, whole.shown)
    sums = [np.bincount(whole.comparison, whole.counts[:, side], whole.n_comparisons) for side in (0, 1)]
    np.testing.assert_array_equal(totals.wins_by_comparison(), np.column_stack(sums))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "shard-00000.parquet",
        "shard-00001.parquet",
        "shard-00002.parquet",
    ]


_NAMES = st.sampled_from(["x", "y", "z", "1", "0", "X "])
_USERS = {
    ".parquet": st.one_of(st.integers(-3, 12), st.just(2**62)),
    ".csv": st.sampled_from(["7", "7.0", " 7", "12", "007", "ann", "Ann", "-3", "1e3"]),
    ".jsonl": st.sampled_from(["7", "7.0", "12", "-0", "3."]),
}


@pytest.mark.parametrize("kind", sorted(_USERS))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_files_give_what_read_votes_gives(tmp_path, kind, data):
    """Or both refuse them; which of several reasons comes first may differ."""
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    words = st.sampled_from(["a", "b", "tie", "1", "0", "x", "y"])
    vote = st.tuples(_USERS[kind], _NAMES, _NAMES, words).filter(lambda row: row[1] != row[2])
    files = data.draw(st.lists(st.lists(vote, min_size=1, max_size=8), min_size=1, max_size=4))
    paths = [write(tmp_path / f"{number}{kind}", rows) for number, rows in enumerate(files)]
    ties = data.draw(st.sampled_from(["drop", "half"]))
    try:
        whole = emjax.read_votes(paths, ties=ties)
    except VotesError:
        assert message_of(paths, tmp_path / "out", ties=ties, shards=2)
        return
    shards = emjax.aggregate(paths, tmp_path / "out", ties=ties, shards=2)
    together = reduce(add, shards)
    for name in ("users", "comparisons", "user", "comparison", "counts", "shown"):
        np.testing.assert_array_equal(getattr(together, name), getattr(whole, name), strict=True)
    assert shards.table.left_out == whole.left_out


USERS = {
    "whole floats": [3.0, 7.0, 12.0],
    "floats": [3.0, 7.5, 12.25],
    "large": [3, 7, 2**63 + 5],
    "decimals": [Decimal("3.00"), Decimal("7.00"), Decimal("12.00")],
    "bools": [True, False, True],
    "dictionary": pa.array(["3", "seven", "é"]).dictionary_encode(),
    "bytes": [b"3", b"7", b"ann"],
}


@pytest.mark.parametrize("kind", sorted(USERS))
def test_users_of_every_kind(tmp_path, kind):
    """Each file by itself might say otherwise what kind of name a user has; all together settle it."""
    column = pa.array(USERS[kind], pa.uint64()) if kind == "large" else pa.array(USERS[kind])
    for number in range(3):
        part = pa.table({"user": column[number:], "model_a": ["x"] * (3 - number)})
        part = part.append_column("model_b", pa.array(["y"] * len(part)))
        pq.write_table(
            part.append_column("winner", pa.array(["a"] * len(part))), tmp_path / f"{number}.parquet"
        )
    whole = emjax.read_votes(tmp_path)
    together = reduce(add, emjax.aggregate(tmp_path, tmp_path / "out", shards=2))
    np.testing.assert_array_equal(together.users, whole.users, strict=True)
    np.testing.assert_array_equal(together.counts, whole.counts, strict=True)


def test_files_whose_users_differ_in_kind(tmp_path):
    """The engine reads numbers beside text as text; alone, a file of numbers would be numbers."""
    rows = [("ann", "x", "y", "a"), ("7", "x", "y", "b")]
    paths = [write(tmp_path / "1.parquet", [(7, "x", "y", "a"), (8, "x", "y", "a")])]
    paths.append(write(tmp_path / "2.parquet", rows))
    paths.append(write(tmp_path / "3.parquet", [(7.0, "x", "y", "a")]))
    for order in (paths[:2], paths[1::-1], paths, paths[::-1]):
        whole = emjax.read_votes(order)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        together = reduce(add, emjax.aggregate(order, tmp_path / "out", shards=4))
        np.testing.assert_array_equal(together.users, whole.users, strict=True)
        np.testing.assert_array_equal(together.counts, whole.counts, strict=True)


def test_what_a_word_means_is_settled_over_all_files(tmp_path):
    """Models called 0 and 1, and winners 0 and 1: names, until a third model shows that they are words."""
    first = write(tmp_path / "1.csv", [(1, "0", "1", "1"), (2, "1", "0", "1")])
    second = write(tmp_path / "2.csv", [(1, "0", "2", "1")])
    for paths in ([first], [first, second]):
        whole = emjax.read_votes(paths)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        (prefs,) = emjax.aggregate(paths, tmp_path / "out", shards=1)
        np.testing.assert_array_equal(prefs.counts, whole.counts)


def test_columns_are_told_and_files_may_lack_rows(tmp_path):
    names = ("who", "first", "second", "won")
    write(tmp_path / "1.csv", [(1, "x", "y", "first")], names)
    write(tmp_path / "2.csv", [], names)
    shards = emjax.aggregate(
        tmp_path, tmp_path / "out", user="who", model_a="first", model_b="second", winner="won"
    )
    assert shards.table.votes.tolist() == [[1.0, 0.0]]


def test_so_many_shards_that_one_is_small(tmp_path):
    votes = write(tmp_path / "v.parquet", drawn(0, 20_000, users=5_000))
    shards = emjax.aggregate(votes, tmp_path / "out", memory_limit="10MB")
    assert len(shards) == 4  # 20,000 votes of 400 bytes, in a quarter of 10 MB
    assert sum(prefs.n_users for prefs in shards) == shards.table.n_users
    assert message_of(votes, tmp_path / "other", shards=0) == "shards=0 is out of range: give 1 to 4,096"


def test_progress_is_reported(tmp_path, capsys):
    votes, told = folder_of(tmp_path, files=2), []
    emjax.aggregate(votes, tmp_path / "1", shards=1, progress=lambda *what: told.append(what))
    assert told == [
        ("counting", 0, 2),
        ("counting", 1, 2),
        ("counting", 2, 2),
        *(("adding up", i, 1) for i in (0, 1)),
    ]
    emjax.aggregate(votes, tmp_path / "2", shards=1, progress=True)
    assert capsys.readouterr().err.splitlines()[:2] == ["counting: 0 of 2", "counting: 1 of 2"]


# ------------------------------------------------------------------------------------------ what is refused


BAD = {
    "no user": (("", "x", "y", "a"), "1 of 401 rows have no user, first at data row 201"),
    "blank user": ((" \u2003", "x", "y", "a"), "1 of 401 rows have no user, first at data row 201"),
    "no model": ((1, "", "y", "a"), "1 of 401 rows have no model A, first at data row 201"),
    "no winner": ((1, "x", "y", ""), "1 of 401 rows have no winner, first at data row 201"),
    "word": ((1, "x", "y", "?"), "1 of 401 rows have a winner that is not understood ('?' 1), first"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(BAD))
def test_bad_rows_are_counted_in_the_words_of_read_votes(tmp_path, what):
    row, words = BAD[what]
    rows = drawn(0)
    path = write(tmp_path / "v.csv", [*rows[:200], row, *rows[200:]])
    with pytest.raises(VotesError) as caught:
        emjax.read_votes(path)
    message = message_of(path, tmp_path / "out")
    assert message == str(caught.value) and message.startswith(words)
    assert not (tmp_path / "out").exists()


def test_a_bad_row_among_files_is_found_in_its_file(tmp_path):
    votes = folder_of(tmp_path, ".csv")
    with (votes / "2.csv").open("a", encoding="utf-8") as file:
        file.write("7,x,x,a\n")
    message = message_of(votes, tmp_path / "out", strict=True)
    assert message == (
        f"1 of 401 rows compare a model with itself ('x'), first at data row 401 of {votes / '2.csv'}: "
        "leave those rows out, or read without strict=True; 2 files are counted, and kept in "
        f"{tmp_path / 'out' / 'counted'}: the same command goes on from there"
    )


def test_nothing_but_ties_and_nothing_but_headers(tmp_path):
    path = write(tmp_path / "v.csv", [(1, "x", "y", "tie")])
    assert message_of(path, tmp_path / "out").startswith("all 1 votes are ties, and nothing is left")
    path = write(tmp_path / "empty.csv", [])
    assert message_of(path, tmp_path / "other").startswith("there are no votes, only column names")


def test_folders_with_unrelated_files_are_refused(tmp_path):
    votes = write(tmp_path / "v.csv", drawn(0))
    assert message_of(votes, tmp_path) == f"{tmp_path} holds other files: give a new folder."
    assert message_of(votes, votes) == f"{votes} is a file, not a folder: give another --out."
    assert message_of(votes, votes / "below").startswith(
        f"{votes / 'below'} cannot be written (Not a directory)"
    )
    assert message_of(pa.table({"user": [1]}), tmp_path / "out") == (
        "cannot aggregate a Table: give files, or use read_votes"
    )
    out = tmp_path / "out"
    emjax.aggregate(votes, out, shards=1)
    assert f"lies in {out}, which is to be written" in message_of(
        [votes, out / "shard-00000.parquet"][1:], out
    )


def test_memory_that_does_not_suffice(tmp_path):
    votes = write(tmp_path / "v.parquet", drawn(0, 40_000, users=20_000))
    assert message_of(votes, tmp_path / "out", memory_limit="1MB").startswith(
        "the votes do not fit into memory ("
    )
    assert not (tmp_path / "out").exists()


def test_it_takes_little_memory_to_count_what_is_more(tmp_path):
    """Sixty megabytes for the engine; what it groups takes several times as much."""
    rng, n = np.random.default_rng(0), 1_000_000
    names = np.array([f"model number {k}" for k in range(20)])
    first = rng.integers(20, size=n)
    columns = {
        "user": rng.integers(400_000, size=n),
        "model_a": names[first],
        "model_b": names[(first + rng.integers(1, 20, n)) % 20],
        "winner": np.array(["a", "b"])[rng.integers(2, size=n)],
    }
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    shards = emjax.aggregate(tmp_path / "v.parquet", tmp_path / "out", memory_limit="60MB")
    assert shards.table.n_votes == n and len(shards) > 1
