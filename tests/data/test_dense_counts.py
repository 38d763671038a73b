"""Dense counts: the same as the engine's counts, or none."""

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emjax.data.read
from emjax.data.count_table import row_counts
from emjax.data.dense_counts import counted_densely
from emjax.data.read import read_votes
from emjax.data.read_files import opened

COLUMNS = ("user", "model_a", "model_b", "winner")
TOLD: dict[str, str | None] = dict.fromkeys(COLUMNS)


def drawn(seed, n=500, **other):
    rng = np.random.default_rng(seed)
    columns = {
        "user": rng.integers(-20, 40, n),
        "model_a": np.array(["new", "old"])[rng.integers(2, size=n)],
        "model_b": np.full(n, "base"),
        "winner": np.array(["a", "b", "tie"])[rng.integers(3, size=n)],
    }
    return pa.table(columns | other)


def write(folder, *tables, **options):
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet", **options)
    return folder


def both(folder):
    """Distinct rows with their counts, in one array and by the engine; in order."""
    with opened(folder, TOLD, None) as files:
        dense, engine = counted_densely(files), row_counts(nw.from_native(files.rows()))
    rows = [
        None if table is None else sorted(table.select(*COLUMNS, "votes").rows(), key=str)
        for table in (dense, engine)
    ]
    return rows[0], rows[1]


def test_it_counts_what_the_engine_counts(tmp_path):
    dense, engine = both(write(tmp_path, drawn(0), drawn(1), drawn(2, n=1), row_group_size=77))
    assert dense == engine and engine is not None and len(engine) > 200


KINDS = {
    "numbers for winners": {"winner": np.arange(500) % 2},
    "truths for winners": {"winner": np.arange(500) % 3 == 0},
    "numbers for models": {"model_a": np.arange(500) % 2, "model_b": np.full(500, 2)},
    "large text": {"winner": pa.array(["a", "b"] * 250, pa.large_string())},
    "small numbers for users": {"user": pa.array(np.arange(500) % 100, pa.int8())},
    "dictionaries": {"winner": pa.array(["a", "b"] * 250).dictionary_encode()},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_columns_of_several_kinds(tmp_path, kind):
    dense, engine = both(write(tmp_path, drawn(0, **KINDS[kind])))
    assert dense == engine


OTHERS = {
    "users are text": drawn(0, user=[f"u{k}" for k in range(500)]),
    "users are floats": drawn(0, user=np.arange(500.0)),
    "users are far apart": drawn(0, user=np.arange(500) * 10**9),
    "a user is missing": drawn(0, user=pa.array([None, *range(499)], pa.int64())),
    "a model is missing": drawn(0, model_a=[None, *["x"] * 499]),
    "many winners": drawn(0, winner=[f"w{k}" for k in range(500)]),
    "many combinations": drawn(0, model_a=[f"m{k % 10}" for k in range(500)]),
}


@pytest.mark.parametrize("what", sorted(OTHERS))
def test_the_rest_is_left_to_the_engine(tmp_path, what):
    write(tmp_path, OTHERS[what])
    assert both(tmp_path)[0] is None


def test_files_that_differ_or_tell_too_little_are_left_to_the_engine(tmp_path):
    (tmp_path / "1").mkdir()
    write(tmp_path / "1", drawn(0), drawn(1, user=np.arange(500, dtype=np.int16)))
    (tmp_path / "2").mkdir()
    write(tmp_path / "2", drawn(0), write_statistics=False)
    for folder in ("1", "2"):
        assert both(tmp_path / folder)[0] is None
    (tmp_path / "v.csv").write_text("user,model_a,model_b,winner\n1,x,y,a\n")
    with opened(tmp_path / "v.csv", TOLD, None) as files:
        assert counted_densely(files) is None


def test_a_damaged_file_is_for_the_engine_to_report(tmp_path):
    path = write(tmp_path, drawn(0)) / "0.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + b"\xff" * 500 + whole[508:])
    with opened(path, TOLD, None) as files:
        assert counted_densely(files) is None


def test_either_way_gives_the_same_votes(tmp_path, monkeypatch, assert_same):
    path = write(tmp_path, drawn(0), drawn(1))
    quick = read_votes(path)
    monkeypatch.setattr(emjax.data.read, "counted_densely", lambda files: None)
    assert_same(read_votes(path), quick)
