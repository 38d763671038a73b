"""Shards: opened, read repeatedly and by other programs; altered files are refused."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emjax.data.aggregate import aggregate
from emjax.data.comparison_table import ComparisonTable
from emjax.data.read import read_votes
from emjax.data.shards import Shards, holds_shards, open_shards
from emjax.errors import VotesError


def votes_in(folder: Path, users: list) -> Path:
    """Votes in which "ant" and "bee" are mostly listed the wrong way round, and few users see "cow"."""
    rng, n = np.random.default_rng(0), 500
    pairs = np.array([["bee", "ant"], ["bee", "ant"], ["ant", "bee"], ["ant", "cow"]])
    pair = pairs[np.where(np.arange(n) < 495, rng.integers(3, size=n), 3)]
    columns = {
        "user": [users[k] for k in rng.integers(len(users), size=n)],
        "model_a": pair[:, 0],
        "model_b": pair[:, 1],
        "winner": np.array(["a", "b", "tie"])[rng.integers(3, size=n)],
    }
    pq.write_table(pa.table(columns), folder / "votes.parquet")
    return folder / "votes.parquet"


@pytest.fixture(params=["numbers", "text"])
def votes(request, tmp_path) -> Path:
    users = list(range(40)) if request.param == "numbers" else [f"user é{k}" for k in range(40)]
    return votes_in(tmp_path, users)


@pytest.fixture
def shards(votes, tmp_path) -> Shards:
    return aggregate(votes, tmp_path / "out", ties="half", shards=5)


def message_of(folder) -> str:
    with pytest.raises(VotesError) as caught:
        list(open_shards(folder))
    return str(caught.value)


def test_each_shard_is_a_sound_part_of_the_whole(shards, votes):
    whole = read_votes(votes, ties="half")
    seen: list = []
    for prefs in shards:
        np.testing.assert_array_equal(prefs.comparisons, whole.comparisons, strict=True)
        assert (
            prefs.user.dtype == prefs.comparison.dtype == np.int64 and prefs.users.dtype == whole.users.dtype
        )
        assert np.all(prefs.users[1:] > prefs.users[:-1])
        assert np.all(np.diff(prefs.user * prefs.n_comparisons + prefs.comparison) > 0)
        np.testing.assert_array_equal(np.bincount(prefs.user) > 0, np.ones(prefs.n_users, bool))
        np.testing.assert_array_equal(
            prefs.shown.sum(axis=1), np.bincount(prefs.comparison, prefs.counts.sum(axis=1), 2)
        )
        arrays = (prefs.users, prefs.comparisons, prefs.user, prefs.comparison, prefs.counts, prefs.shown)
        assert not any(array.flags.writeable for array in arrays)
        seen += prefs.users.tolist()
    assert sorted(seen) == whole.users.tolist()


def test_going_through_again_gives_the_same(shards, assert_same):
    for first, second, by_number in zip(shards, shards, [shards[k] for k in range(len(shards))], strict=True):
        assert_same(first, second)
        assert_same(first, by_number)


def test_opened_again(shards, assert_same):
    again = open_shards(shards.folder)
    assert repr(again) == repr(shards)
    assert again.table.left_out == shards.table.left_out
    for first, second in zip(again, shards, strict=True):
        assert_same(first, second)


def test_repr_states_votes_users_and_files(shards, votes, tmp_path):
    assert isinstance(shards.table, ComparisonTable)
    assert repr(shards) == "Shards: 500 votes of 40 users in 2 comparisons, in 5 files"
    dropped = aggregate(votes, tmp_path / "dropped", shards=1)
    ties = read_votes(votes).left_out[0][1]
    assert repr(dropped).splitlines()[1] == f"  left out: ties dropped, {ties:,.0f}"


def test_other_programs_can_read_them(shards, votes):
    folder = str(shards.folder / "*.parquet")
    found = duckdb.execute(
        f"SELECT model_a, model_b, sum(wins_a), sum(wins_b) FROM '{folder}' GROUP BY ALL ORDER BY ALL"
    )
    whole = read_votes(votes, ties="half")
    expected = [
        (*whole.comparisons[c], *(whole.counts[whole.comparison == c].sum(axis=0).tolist())) for c in range(2)
    ]
    assert found.fetchall() == sorted(expected)


def test_a_folder_of_shards_is_known_from_others(shards, tmp_path):
    assert holds_shards(shards.folder) and holds_shards(str(shards.folder))
    assert not holds_shards(tmp_path) and not holds_shards(tmp_path / "nothing")
    (tmp_path / "manifest.json").write_text("{}")
    assert not holds_shards(tmp_path)


AGAIN = "aggregate the votes again into a new folder: emjax aggregate VOTES --out DIR"


def test_a_shard_that_is_missing(shards):
    path = shards.folder / "shard-00003.parquet"
    path.unlink()
    assert message_of(shards.folder).startswith(
        f"{path} is missing (No such file or directory): bring it back"
    )
    with pytest.raises(VotesError, match="is missing"):
        list(shards)


def test_a_shard_that_is_truncated(shards):
    path = shards.folder / "shard-00003.parquet"
    length = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    assert message_of(shards.folder) == (
        f"{path} has {length - 1:,} bytes and was written with {length:,}: "
        f"bring it back from a copy, or {AGAIN}"
    )


def test_a_shard_that_is_altered_before_it_is_read_or_between(shards):
    path = shards.folder / "shard-00003.parquet"
    list(shards)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    for opened in (shards, open_shards(shards.folder)):
        with pytest.raises(VotesError, match=r"is not what was written \(its checksum differs\)"):
            list(opened)
    path.write_bytes(whole)
    assert len(list(shards)) == 5


def test_a_shard_of_another_aggregation(shards, tmp_path):
    """Lengths and checksums are its own; the comparisons, or the votes, are not."""
    other = tmp_path / "other"
    other.mkdir()
    pq.write_table(
        pa.table({"user": [1, 2], "model_a": ["x", "x"], "model_b": ["y", "y"], "winner": ["a", "b"]}),
        other / "v.parquet",
    )
    foreign = aggregate(other / "v.parquet", other / "out", shards=1)
    manifest = json.loads((shards.folder / "manifest.json").read_text())
    own = json.loads((foreign.folder / "manifest.json").read_text())
    (shards.folder / "shard-00000.parquet").write_bytes(
        (foreign.folder / own["shards"][0]["file"]).read_bytes()
    )
    entry = dict(own["shards"][0], file="shard-00000.parquet")
    (shards.folder / "manifest.json").write_text(
        json.dumps(manifest | {"shards": [entry, *manifest["shards"][1:]]})
    )
    assert "and manifest.json beside it do not belong together" in message_of(shards.folder)
    wrong = dict(manifest["shards"][1], votes=1.0)
    (shards.folder / "manifest.json").write_text(json.dumps(manifest | {"shards": [wrong]}))
    assert "shard-00001.parquet and manifest.json beside it do not belong together" in message_of(
        shards.folder
    )


def test_a_manifest_that_cannot_be_used(shards, tmp_path):
    path = shards.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    changes = {
        "has version 7, and this emjax reads versions 1 and 2: use the emjax that wrote it, or ": manifest
        | {"version": 7},
        'was not written by emjax (no "format": "emjax-shards" in it)': manifest | {"format": "other"},
        "is incomplete (without votes)": {key: value for key, value in manifest.items() if key != "votes"},
        "cannot be understood (": manifest | {"shards": [{"file": "x"}]},
    }
    for words, content in changes.items():
        path.write_text(json.dumps(content))
        assert message_of(shards.folder).startswith(f"{path} {words}")
    path.write_text("{")
    assert message_of(shards.folder).startswith(f"{path} cannot be read as JSON (")
    path.unlink()
    assert message_of(shards.folder) == (
        f"{shards.folder} holds no manifest.json: give a folder that emjax aggregate wrote"
    )
    assert message_of(tmp_path / "none").startswith(f"there is no folder {tmp_path / 'none'}")


def test_a_folder_of_version_1_is_read(shards, assert_same):
    """Its manifest had `wins` and `ties`, and nothing of outcomes, contexts, gold questions and settings."""
    path = shards.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    new = ("outcomes", "votes", "contexts", "anchor_votes", "strata", "settings")
    old = {key: value for key, value in manifest.items() if key not in new}
    old |= {"version": 1, "wins": manifest["votes"], "ties": "half"}
    old["shards"] = [
        {key: value for key, value in shard.items() if key != "anchor_votes"} for shard in old["shards"]
    ]
    path.write_text(json.dumps(old))
    again = open_shards(shards.folder)
    assert repr(again) == repr(shards) and again.settings == {"ties": "half"}
    for first, second in zip(again, shards, strict=True):
        assert_same(first, second)
    votes = shards.folder.parent / "votes.parquet"
    assert repr(aggregate(votes, shards.folder, ties="half")) == repr(shards)
    with pytest.raises(VotesError, match="was written with ties='half': give a new folder"):
        aggregate(votes, shards.folder)
    path.write_text(json.dumps({key: value for key, value in old.items() if key != "wins"}))
    assert message_of(shards.folder).startswith(f"{path} is incomplete (without wins)")


def test_a_shard_that_is_no_parquet_although_the_manifest_says_so(shards):
    """As after a repair by hand of the numbers in the manifest."""
    from zlib import crc32

    path = shards.folder / "shard-00000.parquet"
    path.write_bytes(b"nothing")
    manifest = json.loads((shards.folder / "manifest.json").read_text())
    manifest["shards"][0] |= {"bytes": 7, "crc32": crc32(b"nothing")}
    (shards.folder / "manifest.json").write_text(json.dumps(manifest))
    assert message_of(shards.folder).startswith(f"cannot read {path} (")
    pq.write_table(pa.table({"user": [1], "model_a": ["ant"], "model_b": ["bee"]}), path)
    manifest["shards"][0] |= {"bytes": path.stat().st_size, "crc32": crc32(path.read_bytes())}
    (shards.folder / "manifest.json").write_text(json.dumps(manifest))
    assert message_of(shards.folder).startswith(f"{path} has not the columns of a shard: ")
