"""Features in tables and files: every table type gives the same strata."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vote_files import TABLE_TYPES, source_of

from emjax import Preferences, VoteStrata, read_votes
from emjax.data.row_matching import opened_rows
from emjax.errors import VotesError

NAMES = ["log:seconds", "each:hour", "phone", "device"]
RAW = ("seconds", "hour", "phone", "device")
TABLES = pytest.mark.parametrize("kind", TABLE_TYPES)
LAZY_AND_NOT = pytest.mark.parametrize("kind", [*TABLE_TYPES[:5], "v.csv"])


def made(n: int = 300, seed: int = 0) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    return {
        "user": rng.integers(0, 9, n).tolist(),
        "model_a": rng.choice(["x", "y"], n).tolist(),
        "model_b": ["z"] * n,
        "winner": rng.choice(["a", "b", "tie"], n).tolist(),
        "seconds": rng.lognormal(size=n).round(3).tolist(),
        "hour": rng.integers(8, 12, n).tolist(),
        "phone": (rng.random(n) < 0.3).tolist(),
        "device": rng.choice(["desk", "a pad", "phone, old"], n).tolist(),
    }


def one_by_one(columns: dict[str, list], names=NAMES, bins: int = 5) -> Preferences:
    won = [{"a": 1, "b": 0, "tie": 0.5}[word] for word in columns["winner"]]
    pairs = list(zip(columns["model_a"], columns["model_b"], strict=True))
    features = {name: columns[name.split(":")[-1]] for name in names}
    return Preferences.from_votes(columns["user"], pairs, won, vote_features=features, feature_bins=bins)


@TABLES
def test_every_table_and_file_gives_the_same_kinds(kind, tmp_path, assert_same, assert_sound):
    columns = made()
    expected = one_by_one(columns, bins=3)
    source = source_of(kind, columns, tmp_path)
    prefs = read_votes(source, vote_features=NAMES, feature_bins=3, ties="half")
    assert_same(prefs, expected)
    np.testing.assert_array_equal(prefs.contexts, expected.contexts)
    assert prefs.strata == expected.strata and prefs.strata is not None
    again = read_votes(source, vote_features=prefs.strata, ties="half")
    assert_same(again, expected)
    assert again.strata == expected.strata and again.frame == prefs.frame


numbers = st.one_of(
    st.floats(-1e3, 1e3).map(lambda x: x + 0.0), st.integers(-3, 3).map(float), st.sampled_from([0.1, 0.3])
)


@pytest.mark.parametrize("kind", ["pandas", "polars", "polars lazy", "duckdb", "v.csv", "v.parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=st.lists(st.tuples(numbers, st.sampled_from("ab")), min_size=2, max_size=30), bins=st.integers(2, 4)
)
def test_bins_are_those_of_plain_numpy(kind, drawn, bins, tmp_path):
    columns = made(len(drawn))
    columns |= {"seconds": [x for x, _ in drawn], "device": [word for _, word in drawn]}
    names = [n for n in ("seconds", "device") if len(set(columns[n])) > 1]
    if not names:
        return
    source = source_of(kind, columns, tmp_path)
    prefs = read_votes(source, vote_features=names, feature_bins=bins, ties="half")
    strata = VoteStrata.cut({name: columns[name] for name in names}, bins=bins)
    assert prefs.strata == strata
    labels = strata.label({name: columns[name] for name in names})
    by_label = {str(label): float((labels == label).sum()) for label in labels}
    found = dict.fromkeys(by_label, 0.0)
    assert prefs.contexts is not None
    for context, votes in zip(prefs.contexts.tolist(), prefs.votes_by_comparison().sum(axis=1), strict=True):
        found[context] += votes
    assert found == by_label


@TABLES
def test_later_votes_fall_into_the_same_bins(kind, tmp_path):
    strata = one_by_one(made(), bins=4).strata
    assert strata is not None
    later = made(80, seed=1)
    later["seconds"][:2] = [1e-9, 1e9]  # beyond all that was seen
    prefs = read_votes(source_of(kind, later, tmp_path), vote_features=strata, ties="half")
    labels = strata.label({name: later[name] for name in RAW})
    assert prefs.contexts is not None and set(prefs.contexts) == set(labels) and prefs.strata == strata
    both = one_by_one(made(), bins=4) + prefs
    assert both.strata == strata and both.n_votes == 380


@TABLES
@pytest.mark.parametrize("told_before", [False, True])
def test_rows_are_matched_with_votes_of_their_kind(kind, told_before, tmp_path):
    columns = made()
    source = source_of(kind, columns, tmp_path)
    strata = one_by_one(columns, bins=4).strata if told_before else NAMES
    prefs = read_votes(source, vote_features=strata, feature_bins=4)
    assert prefs.strata is not None and prefs.contexts is not None
    with opened_rows(source, {}) as rows:
        matched = rows.match(prefs)
        held = pa.Table.from_batches(rows.batches())
    assert held.column_names == list(columns)
    decisive = np.array(columns["winner"]) != "tie"
    np.testing.assert_array_equal(matched.decisive, decisive)
    labels = prefs.strata.label({name: columns[name] for name in RAW})
    np.testing.assert_array_equal(prefs.contexts[matched.comparison[decisive]], labels[decisive])
    users = np.array(columns["user"])
    np.testing.assert_array_equal(prefs.users[matched.user[decisive]], users[decisive])
    tallied = np.zeros((prefs.n_users, prefs.n_comparisons, 2))
    rows_of = matched.user[decisive], matched.comparison[decisive], matched.outcome[decisive]
    np.add.at(tallied, rows_of, 1.0)
    np.testing.assert_array_equal(tallied[prefs.user, prefs.comparison], prefs.counts)


def test_rows_without_the_features_cannot_be_matched():
    columns = made()
    prefs = read_votes(pa.table(columns), vote_features=NAMES)
    bare = pa.table({name: values for name, values in columns.items() if name != "device"})
    with opened_rows(bare, {}) as rows, pytest.raises(VotesError, match="there is no column 'device'"):
        rows.match(prefs)


def test_rows_with_kinds_of_your_own_have_their_context():
    columns = made()
    strata = VoteStrata.given(["desk", "a pad", "phone, old"], [0.0, 1.0, 2.0])
    prefs = read_votes(pa.table(columns), context="device").with_strata(strata)
    with opened_rows(pa.table(columns), {"context": "device"}) as rows:
        matched = rows.match(prefs)
    assert prefs.contexts is not None
    device = np.array(columns["device"])[matched.decisive]
    np.testing.assert_array_equal(prefs.contexts[matched.comparison[matched.decisive]], device)


BAD = [
    ("seconds", {3: None, 7: None}, "seconds",
     "2 of 300 rows hold nothing in column 'seconds', first at data row 4: fill them in"),
    ("seconds", {3: float("nan")}, "seconds",
     "1 of 300 rows hold nothing in column 'seconds', first at data row 4: fill them in"),
    ("seconds", {5: float("inf")}, "seconds",
     "1 of 300 rows hold a number that is not finite in column 'seconds', first at data row 6"),
    ("seconds", {1: 0.0, 299: -2.0}, "log:seconds",
     "2 of 300 rows hold a number of 0 or less in column 'seconds', which has no logarithm, first at data "
     "row 2: name it seconds and not log:seconds"),
    ("device", {2: None}, "device", "1 of 300 rows hold nothing in column 'device', first at data row 3"),
    ("device", {2: " "}, "device", "1 of 300 rows hold nothing in column 'device', first at data row 3"),
    ("device", {}, "log:device", "300 of 300 rows hold no number in column 'device' ("),
    ("hour", {}, "each:seconds", "levels, more than the 30 allowed"),
    ("model_b", {}, "model_b", "column 'model_b' holds one value only (z): leave it out"),
]  # fmt: skip


@LAZY_AND_NOT
@pytest.mark.parametrize("column, changes, name, message", BAD)
def test_bad_features_are_counted_and_the_first_is_named(kind, column, changes, name, message, tmp_path):
    columns = made()
    for place, value in changes.items():
        columns[column][place] = value
    with pytest.raises(VotesError) as error:
        read_votes(source_of(kind, columns, tmp_path), vote_features=[name])
    assert message in str(error.value)


@LAZY_AND_NOT
def test_unobserved_levels_are_refused(kind, tmp_path):
    strata = one_by_one(made()).strata
    later = made(50, seed=2)
    later["device"][4] = later["device"][9] = "watch"
    source = source_of(kind, later, tmp_path)
    expected = (
        "2 of 50 rows hold in column 'device' a level that none of the strata has ('watch'), first at "
        "data row 5: leave those rows out, or make the strata again with them"
    )
    with pytest.raises(VotesError) as error:
        read_votes(source, vote_features=strata)
    assert str(error.value) == expected


def test_the_file_of_the_first_bad_row_is_named(tmp_path):
    for number, changed in enumerate(({}, {6: None})):
        columns = made(20, seed=number)
        for place, value in changed.items():
            columns["seconds"][place] = value
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    with pytest.raises(
        VotesError, match=r"1 of 40 rows hold nothing .* first at data row 7 of .*1\.parquet: "
    ):
        read_votes(tmp_path, vote_features=["seconds"])


@LAZY_AND_NOT
def test_a_column_may_have_two_parts_to_play(kind, tmp_path):
    columns = made()
    prefs = read_votes(source_of(kind, columns, tmp_path), vote_features=["each:user", "hour"])
    assert (
        prefs.strata is not None and prefs.contexts is not None and prefs.strata.columns == ("user", "hour")
    )
    for user, comparison in zip(prefs.user, prefs.comparison, strict=True):
        assert str(prefs.contexts[comparison]).startswith(f"user = {prefs.users[user]}, ")


def test_missing_feature_columns_are_named():
    with pytest.raises(VotesError) as error:
        read_votes(pa.table(made()), vote_features=["log:secnds"])
    assert str(error.value).startswith(
        "there is no column 'secnds', the closest is 'seconds': give vote_features=['COLUMN', ...] "
        "or covariates=['COLUMN', ...] (command line: --vote-features, --covariates)"
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"vote_features": ["hour"], "context": "device"}, "do not go with another: leave context out"),
        ({"vote_features": "hour"}, r"takes a list of columns: give \['hour'\]"),
        ({"vote_features": []}, "names of columns, at least one"),
        ({"vote_features": ["hour", "log:hour"]}, "names 'hour' more than once"),
        ({"vote_features": ["hour"], "feature_bins": 1}, "at least 2 bins; got 1"),
        ({"vote_features": VoteStrata.given(["a", "b"], [0.0, 1.0])}, "were given, and not cut"),
    ],
)
def test_invalid_vote_features_are_refused(settings, message):
    with pytest.raises(VotesError, match=message):
        read_votes(pa.table(made()), **settings)


def test_an_empty_table():
    empty = pa.table(made()).slice(0, 0)
    for source in (empty, duckdb.from_arrow(empty)):
        with pytest.raises(VotesError, match="there are no votes, only column names"):
            read_votes(source, vote_features=["seconds"])


def test_gold_questions_tell_nothing_of_models_and_are_cut_with_the_others():
    columns = made()
    columns["gold"] = ["a" if i % 5 == 0 else None for i in range(300)]
    prefs = read_votes(pa.table(columns), vote_features=["seconds"], gold="gold", ties="half")
    assert prefs.strata == VoteStrata.cut({"seconds": columns["seconds"]})
    assert prefs.n_votes == 240 and prefs.anchor_votes is not None and prefs.anchor_votes.n_votes == 60


def test_dates_and_categories_are_levels():
    columns = made()
    days = pa.array(np.datetime64("2024-05-01") + np.array(columns["hour"]))
    table = pa.table(columns).append_column("day", days)
    expected = read_votes(table, vote_features=["day", "device"])
    assert expected.strata is not None and expected.strata.contexts[0].startswith(
        "day = 2024-05-09, device = "
    )
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame = frame.with_columns(pl.col("device").cast(pl.Categorical))
    for source in (frame, frame.lazy(), duckdb.from_arrow(table), pd.DataFrame(table.to_pandas())):
        assert read_votes(source, vote_features=["day", "device"]).strata == expected.strata
