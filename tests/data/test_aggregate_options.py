"""aggregate with ties, sides, contexts, gold questions and features: what `read_votes` gives, exactly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vote_files import message_of, source_of

import emjax
from emjax.errors import VotesError


def columns(seed: int, n: int = 300, users: int = 30) -> dict[str, list]:
    """Votes with all that can be known of them; some users answer gold questions alone."""
    rng = np.random.default_rng(seed)
    names = np.array(["ant", "bee", "cow"])
    first = rng.integers(3, size=n)
    second = (first + rng.integers(1, 3, n)) % 3
    gold = np.where(rng.random(n) < 0.2, np.where(rng.random(n) < 0.5, "model_a", "B"), "")
    user = rng.integers(users, size=n)
    gold = np.where(user == 7, "left", gold)
    return {
        "user": user.tolist(),
        "model_a": names[first].tolist(),
        "model_b": names[second].tolist(),
        "winner": np.array(["model_a", "b", "tie", "left"])[rng.integers(4, size=n)].tolist(),
        "first": np.where(rng.random(n) < 0.6, names[first], names[second]).tolist(),
        "topic": np.array(["code", "prose", "maths é"])[rng.integers(3, size=n)].tolist(),
        "right": [word or None for word in gold.tolist()],
        "seconds": rng.lognormal(2, 1, n).round(1).tolist(),
        "phone": np.array(["yes", "no"])[rng.integers(2, size=n)].tolist(),
        "length": rng.integers(-9, 10, n).tolist(),
    }


def folder_of(tmp_path: Path, kind: str = ".parquet", files: int = 3) -> Path:
    folder = tmp_path / "votes"
    folder.mkdir(exist_ok=True)
    for number in range(files):
        of = columns(number)
        if number == 0:
            of["topic"] = ["code"] * len(of["topic"])  # a file need not have all of them
        source_of(
            f"{number}{kind}", {name: ["" if x is None else x for x in of[name]] for name in of}, folder
        )
    return folder


OPTIONS = {
    "ties": {"ties": "model"},
    "sides": {"shown_first": "first"},
    "sides and ties": {"shown_first": "first", "ties": "model"},
    "sides and half ties": {"shown_first": "first", "ties": "half"},
    "contexts": {"context": "topic"},
    "gold": {"gold": "right"},
    "gold, ties": {"gold": "right", "gold_accuracy": 0.8, "ties": "model"},
    "gold, half ties": {"gold": "right", "ties": "half"},
    "all": {"gold": "right", "ties": "model", "shown_first": "first", "context": "topic"},
    "features": {"vote_features": ["log:seconds", "phone"], "feature_bins": 3},
    "covariates": {"covariates": ["length"], "covariate_bins": 3},
    "all with features": {
        "gold": "right",
        "ties": "model",
        "shown_first": "first",
        "vote_features": ["seconds"],
        "feature_bins": 2,
        "covariates": ["length", "shown_first"],
        "covariate_bins": 2,
    },
}


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("what", list(OPTIONS))
def test_shards_together_are_the_files_read_at_once(tmp_path, assert_same, kind, what):
    votes, options = folder_of(tmp_path, kind), OPTIONS[what]
    whole = emjax.read_votes(votes, **options)
    shards = emjax.aggregate(votes, tmp_path / "out", shards=3, **options)
    assert len(shards) == 3
    assert_same(reduce(add, shards), replace(whole, left_out=()))
    totals = shards.table
    assert totals.left_out == whole.left_out
    assert totals.outcomes == whole.outcomes and totals.strata == whole.strata
    numbers = ("n_users", "n_votes", "most_votes")
    assert [getattr(totals, one) for one in numbers] == [getattr(whole, one) for one in numbers]
    np.testing.assert_array_equal(totals.comparisons, whole.comparisons)
    np.testing.assert_array_equal(totals.shown, whole.shown)
    np.testing.assert_array_equal(totals.votes_by_comparison(), whole.votes_by_comparison())
    np.testing.assert_array_equal(totals.wins_by_comparison(), whole.wins_by_comparison())
    assert (totals.contexts is None) == (whole.contexts is None)
    if whole.contexts is not None:
        np.testing.assert_array_equal(totals.contexts, whole.contexts)
    assert (totals.anchor_votes is None) == (whole.anchor_votes is None)
    if whole.anchor_votes is not None and totals.anchor_votes is not None:
        assert totals.anchor_votes.accuracy.tolist() == whole.anchor_votes.accuracy.tolist()
        np.testing.assert_array_equal(totals.anchor_votes.counts[0], whole.anchor_votes.counts.sum(axis=0))


def test_each_shard_has_its_users_and_all_comparisons(tmp_path):
    """A user who answered gold questions alone is in a shard, without a row of votes."""
    votes = folder_of(tmp_path)
    shards = emjax.aggregate(votes, tmp_path / "out", shards=4, **OPTIONS["all"])
    seen: list = []
    for prefs in shards:
        np.testing.assert_array_equal(prefs.comparisons, shards.table.comparisons)
        np.testing.assert_array_equal(prefs.contexts, shards.table.contexts)
        assert np.all(np.diff(prefs.user * prefs.n_comparisons + prefs.comparison) > 0)
        assert prefs.anchor_votes is not None and prefs.anchor_votes.users is prefs.users
        if 7 in prefs.users:
            place = prefs.users.tolist().index(7)
            assert place not in prefs.user and place in prefs.anchor_votes.user
        seen += prefs.users.tolist()
    assert sorted(seen) == sorted({user for number in range(3) for user in columns(number)["user"]})


def test_what_is_told_of_shards(tmp_path):
    votes = folder_of(tmp_path)
    whole = emjax.read_votes(votes, **OPTIONS["all"])
    said = repr(emjax.aggregate(votes, tmp_path / "out", shards=2, **OPTIONS["all"])).splitlines()
    theirs = repr(whole).splitlines()
    assert said[0].endswith(f"in {whole.n_comparisons} comparisons in 3 contexts, in 2 files")
    assert said[1] == theirs[1]
    assert whole.anchor_votes is not None
    assert said[2] == f"  known besides: {whole.anchor_votes.n_votes:,.0f} votes on gold questions"


def test_other_programs_can_read_them(tmp_path):
    votes = folder_of(tmp_path)
    shards = emjax.aggregate(votes, tmp_path / "out", shards=1, **OPTIONS["all"])
    table = pq.read_table(shards.folder / "shard-00000.parquet")
    assert table.column_names == [
        *("user", "model_a", "model_b", "context", "accuracy", "a_first_wins_a", "a_first_wins_b"),
        *("b_first_wins_a", "b_first_wins_b", "a_first_ties", "b_first_ties", "turned"),
    ]
    frame = table.to_pandas()
    gold = frame["accuracy"].notna()
    assert set(frame["accuracy"][gold]) == {0.95} and frame["model_a"][gold].isna().all()
    assert frame["context"][~gold].notna().all() and not frame["turned"][gold].any()
    manifest = json.loads((shards.folder / "manifest.json").read_text())
    assert manifest["outcomes"] == {"sides": True, "ties": True}
    assert manifest["anchor_votes"]["votes"][0] == frame.loc[gold, table.column_names[5:11]].sum().tolist()
    assert shards.settings["told"] == {"shown_first": "first", "context": "topic", "gold": "right"}


def test_strata_given_are_those_used(tmp_path, assert_same):
    """Cut from other votes, they fit these too; and they need no pass over all files."""
    strata = emjax.read_votes(pa.table(columns(9)), vote_features=["seconds"], covariates=["length"]).strata
    votes, told = folder_of(tmp_path), []
    shards = emjax.aggregate(
        *(votes, tmp_path / "out"), shards=2, vote_features=strata, progress=lambda *what: told.append(what)
    )
    assert_same(reduce(add, shards), replace(emjax.read_votes(votes, vote_features=strata), left_out=()))
    assert not any(what == "choosing bins" for what, _, _ in told)
    assert shards.table.strata == strata
    assert repr(emjax.aggregate(votes, tmp_path / "out", vote_features=strata)) == repr(shards)
    other = {"vote_features": ["seconds"]}
    assert message_of(votes, tmp_path / "out", **other).endswith(
        "was written with other vote_features or covariates: give a new folder"
    )


def test_what_the_right_answer_is_called_is_settled_over_all_files(tmp_path, assert_same):
    """Models called 0 and 1: names, until a third model shows that 1 and 0 are words."""
    rows = [(1, "0", "1", "1", "", "1"), (2, "1", "0", "1", "0", "1"), (2, "0", "1", "0", "", "0")]
    more = [(1, "0", "2", "1", "1", "0")]
    options = {"gold": "right", "shown_first": "first"}
    names = ("user", "model_a", "model_b", "winner", "right", "first")
    paths = []
    for number, each in enumerate((rows, more)):
        table = dict(zip(names, map(list, zip(*each, strict=True)), strict=True))
        paths.append(source_of(f"{number}.csv", table, tmp_path))
    for chosen in (paths[:1], paths):
        shards = emjax.aggregate(chosen, tmp_path / f"out{len(chosen)}", shards=2, **options)
        assert_same(reduce(add, shards), replace(emjax.read_votes(chosen, **options), left_out=()))


@contextmanager
def interrupted(after: int) -> Iterator:
    def interrupt(what, done, total):
        if what == "counting" and done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        yield interrupt


@pytest.mark.parametrize("what", ["all", "all with features"])
def test_a_run_that_was_stopped_is_resumed(tmp_path, assert_same, what):
    votes, out, options = folder_of(tmp_path), tmp_path / "out", OPTIONS[what]
    with interrupted(2) as interrupt:
        emjax.aggregate(votes, out, shards=2, progress=interrupt, **options)
    told: list = []
    emjax.aggregate(votes, out, progress=lambda *what: told.append(what), **options)
    assert told[0] == ("counting", 2, 3), "bins are not chosen again, nor files counted"
    whole = replace(emjax.read_votes(votes, **options), left_out=())
    assert_same(reduce(add, emjax.open_shards(out)), whole)


def test_a_run_goes_on_with_the_options_it_was_begun_with(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    with interrupted(1) as interrupt:
        emjax.aggregate(votes, out, shards=2, progress=interrupt, gold="right")
    assert "was begun with told {'gold': 'right'}, which now is not given" in message_of(votes, out)
    assert "was begun with gold_accuracy 0.95, which now is 0.9" in message_of(
        votes, out, gold="right", gold_accuracy=0.9
    )
    assert "was begun with features not given, which now is {" in message_of(
        votes, out, gold="right", vote_features=["seconds"]
    )
    emjax.aggregate(votes, out, gold="right")
    assert message_of(votes, out) == f"{out} was written with gold='right': give a new folder"
    assert message_of(votes, out, gold="right", context="topic") == (
        f"{out} was written without context: give a new folder"
    )
    assert message_of(votes, out, gold="right", gold_accuracy=0.8) == (
        f"{out} was written with gold_accuracy=0.95: give a new folder"
    )


def test_files_that_changed_after_bins_were_chosen_from_them(tmp_path):
    votes, out, options = folder_of(tmp_path), tmp_path / "out", OPTIONS["features"]
    with interrupted(1) as interrupt:
        emjax.aggregate(votes, out, shards=2, progress=interrupt, **options)
    source_of("2.parquet", columns(20), votes)
    assert message_of(votes, out, **options).startswith(
        "the files are not those that the bins of strata.json were chosen from: give the same as then, or a"
    )


def test_bins_are_chosen_again_where_nothing_was_counted(tmp_path, assert_same):
    votes, out, options = folder_of(tmp_path), tmp_path / "out", OPTIONS["features"]
    (out / "counted").mkdir(parents=True)
    (out / "counted" / "strata.json").write_text(json.dumps({"sources": [], "strata": {"cuts": []}}))
    shards = emjax.aggregate(votes, out, shards=2, **options)
    assert_same(reduce(add, shards), replace(emjax.read_votes(votes, **options), left_out=()))


def test_options_that_do_not_go_together_are_refused_as_by_read_votes(tmp_path):
    votes = folder_of(tmp_path)
    for options in (
        {"vote_features": ["seconds"], "context": "topic"},
        {"covariates": ["shown_first"]},
        {"gold_accuracy": 0.2},
        {"vote_features": "seconds"},
        {"context": "topik"},
        {"gold": "winner"},
        {"shown_first": "winner"},
        {"covariates": ["topic"]},
    ):
        with pytest.raises(VotesError) as theirs:
            emjax.read_votes(votes, **options)
        said = message_of(votes, tmp_path / "out", **options)
        first = str(theirs.value).split(" rows ")[-1].split(", first at")[0]
        assert first in said, "numbers are those of one file"
        assert not (tmp_path / "out").exists()
