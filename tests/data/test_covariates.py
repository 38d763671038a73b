"""Covariates of votes: differences A less B, cut by size, the same from every table and either way round."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vote_files import TABLE_TYPES, source_of

from emjax import Preferences, VoteStrata, read_votes
from emjax.data.row_matching import opened_rows
from emjax.errors import VotesError

COVARIATES = ["length", "log:words", "shown_first"]
OTHER_WAY = {"a": "b", "b": "a", "tie": "tie"}


def made(n: int = 400, seed: int = 0) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    names = np.array(["Zeta", "beta", "Alpha", "delta, old"])
    first = rng.integers(0, 4, n)
    second = (first + rng.integers(1, 4, n)) % 4
    return {
        "user": rng.integers(0, 9, n).tolist(),
        "model_a": names[first].tolist(),
        "model_b": names[second].tolist(),
        "winner": rng.choice(["a", "b", "tie"], n).tolist(),
        "length": rng.normal(0, 100, n).round().tolist(),
        "words": rng.integers(-3, 4, n).tolist(),
        "first": rng.choice(["a", "b"], n).tolist(),
        "seconds": rng.lognormal(size=n).round(3).tolist(),
    }


def listed_the_other_way(columns: dict[str, list], rows: np.ndarray) -> dict[str, list]:
    """The same votes, with the pair of some rows listed the other way round."""
    turned = {name: list(column) for name, column in columns.items()}
    for i in np.flatnonzero(rows):
        turned["model_a"][i], turned["model_b"][i] = columns["model_b"][i], columns["model_a"][i]
        for name in ("winner", "first"):
            turned[name][i] = OTHER_WAY[columns[name][i]]
        turned["length"][i], turned["words"][i] = -columns["length"][i], -columns["words"][i]
    return turned


def from_arrays(columns: dict[str, list], **more) -> Preferences:
    first = [word == "a" for word in columns["first"]]
    won = [{"a": 1, "b": 0, "tie": 0.5}[word] for word in columns["winner"]]
    pairs = list(zip(columns["model_a"], columns["model_b"], strict=True))
    covariates = {"length": columns["length"], "log:words": columns["words"], "shown_first": first}
    return Preferences.from_votes(
        columns["user"], pairs, won, shown_first=first, covariates=covariates, covariate_bins=3, **more
    )


def read(source, **more) -> Preferences:
    return read_votes(
        source, shown_first="first", covariates=COVARIATES, covariate_bins=3, ties="half", **more
    )


@pytest.mark.parametrize("kind", TABLE_TYPES)
def test_every_table_and_file_gives_the_same_covariates(kind, tmp_path, assert_same, assert_sound):
    columns = made()
    expected = from_arrays(columns)
    prefs = read(source_of(kind, columns, tmp_path))
    assert_sound(prefs)
    assert_same(prefs, expected)
    assert prefs.strata == expected.strata and prefs.strata is not None
    assert prefs.strata.covariates == ("length", "log words", "shown first") and prefs.strata.names == ()
    again = read_votes(
        source_of(kind, columns, tmp_path), vote_features=prefs.strata, shown_first="first", ties="half"
    )
    assert_same(again, expected)


def numbers_by_vote(prefs: Preferences) -> dict:
    """Votes of A by user, pair in alphabetical order, and covariates for its first model as A."""
    assert prefs.strata is not None and prefs.contexts is not None
    bins = list(prefs.strata.bins_of(prefs.contexts).T)
    turned = np.array([a > b for a, b in prefs.comparisons.astype(str)])
    found: dict = {}
    for row in range(len(prefs.user)):
        c = prefs.comparison[row]
        counts = prefs.counts[row]
        counts = counts[list(prefs.outcomes.mirror)] if turned[c] else counts
        key = prefs.users[prefs.user[row]], *sorted(prefs.comparisons[c]), *(int(each[c]) for each in bins)
        found[key] = found.get(key, 0.0) + counts
    return {key: tuple(value) for key, value in found.items()}


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_votes_listed_the_other_way_round_are_the_same_votes(seed):
    columns = made(60, seed)
    turned = listed_the_other_way(columns, np.random.default_rng(seed).random(60) < 0.5)
    assert numbers_by_vote(from_arrays(columns)) == numbers_by_vote(from_arrays(turned))


@pytest.mark.filterwarnings("ignore:Column 'x' never changes its sign")
@given(
    st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1),
    st.integers(1, 8),
)
@settings(deadline=None)
def test_bins_are_mirrored_and_their_numbers_change_their_sign(values, bins):
    if not any(values):
        return
    strata = VoteStrata.cut(covariates={"x": values}, covariate_bins=bins)
    (cut,) = strata.cuts
    x = np.array(values)
    assert cut.n_bins == len(cut.words) == len(set(cut.words)) and cut.n_bins <= 2 * bins + 1
    np.testing.assert_array_equal(cut.bins(-x), cut.n_bins - 1 - cut.bins(x))
    numbers = np.array(cut.values)[:, 0]
    np.testing.assert_array_equal(numbers, -numbers[::-1])
    assert numbers[cut.bins(np.zeros(1))[0]] == 0.0 and (np.diff(numbers) > 0).all()


def test_the_number_of_a_bin_is_the_mean_of_its_votes_over_the_root_mean_square():
    x = np.array([-4.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0, 6.0])
    strata = VoteStrata.cut(covariates={"x": x}, covariate_bins=2)
    (cut,) = strata.cuts
    # Sizes 1, 1, 2 and 4, 4, 6, 6 are as near to halves as they come.
    low, high = 4 / 3, 5.0
    scale = np.sqrt(np.mean(x**2))
    np.testing.assert_allclose(cut.scale, scale)
    np.testing.assert_allclose(np.array(cut.values)[:, 0] * scale, [-high, -low, 0, low, high])
    assert cut.words == ("x -6 to -4", "x -2 to -1", "x 0", "x 1 to 2", "x 4 to 6")


def test_the_log_of_a_difference_keeps_its_sign():
    strata = VoteStrata.cut(covariates={"log:x": [-9.0, 0.0, 3.0]})
    (cut,) = strata.cuts
    expected = np.log1p([9.0, 3.0, 0.0, 3.0, 9.0]) * [-1, -1, 0, 1, 1]
    np.testing.assert_allclose(np.array(cut.values)[:, 0] * cut.scale, expected)
    assert strata.covariates == ("log x",)


def test_features_and_covariates_go_together(assert_same):
    columns = made()
    prefs = from_arrays(columns, vote_features={"seconds": columns["seconds"]}, feature_bins=2)
    read_from = read(pd.DataFrame(columns), vote_features=["seconds"], feature_bins=2)
    assert_same(read_from, prefs)
    strata = prefs.strata
    assert strata is not None and strata.names == ("seconds",) and len(strata.covariates) == 3
    assert strata.rows_of(prefs.contexts).shape == (prefs.n_comparisons, 1)
    assert VoteStrata.from_plain(json.loads(json.dumps(strata.plain()))) == strata


def test_labels_are_read_back_though_words_have_commas():
    columns = {"place": ["a", "a, b", "b"]}
    strata = VoteStrata.cut(columns, covariates={"x": [-1.0, 1.0, 0.0]})
    pairs = [["p", "q"]] * 3
    labels = strata.label({**columns, "x": [-1.0, 1.0, 0.0]}, pairs)
    np.testing.assert_array_equal(strata.bins_of(labels), [[0, 0], [1, 2], [2, 1]])


def test_parts_are_merged_as_if_read_as_one(assert_same):
    columns = made()
    whole = pd.DataFrame(columns)
    strata = read(whole).strata
    parts = [
        read_votes(part, vote_features=strata, shown_first="first", ties="half")
        for part in (whole[:150], whole[150:])
    ]
    assert_same(parts[0] + parts[1], read(whole))


def test_rows_find_the_votes_that_were_counted_from_them():
    whole = pd.DataFrame(made())
    prefs = read(whole)
    with opened_rows(whole, {"shown_first": "first"}) as rows:
        matched = rows.match(prefs)
    counted = whole["winner"] != "tie"
    assert matched.ties == (~counted).sum() and matched.unknown == 0
    there = {(u, c) for u, c in zip(prefs.user, prefs.comparison, strict=True)}
    found = {(u, c) for u, c in zip(matched.user, matched.comparison, strict=True) if u >= 0}
    assert found <= there and len(found) > 100


def test_what_cannot_be_cut_says_why_and_where():
    columns = pd.DataFrame(made())
    cases = [
        ({"covariates": ["lenth"]}, "there is no column 'lenth', the closest is 'length'"),
        ({"covariates": ["each:words"]}, "covariates are differences, which are numbers"),
        ({"covariates": ["winner"]}, "400 of 400 rows hold no number in column 'winner'"),
        ({"covariates": "length"}, r"covariates takes a list of columns: give \['length'\]"),
        ({"covariates": ["length", "log:length"]}, "covariates names 'length' more than once"),
        ({"covariates": ["length"], "covariate_bins": 0}, "covariates are cut into at least 1 bin; got 0"),
        ({"covariates": ["shown_first"]}, "say which answer was first with shown_first='COLUMN'"),
        ({"covariates": ["length"], "context": "first"}, "do not go with another"),
    ]
    for settings_, message in cases:
        with pytest.raises(VotesError, match=message):
            read_votes(columns, **settings_)
    holed = columns.assign(length=columns["length"].where(columns.index != 7))
    with pytest.raises(VotesError, match=r"1 of 400 rows hold nothing .* first at data row 8"):
        read_votes(holed, covariates=["length"])
    with pytest.raises(VotesError, match=r"holds one value only \(0\)"):
        read_votes(columns.assign(length=0), covariates=["length"])
    with pytest.raises(VotesError, match="strata with covariates need the models of each vote"):
        VoteStrata.cut(covariates={"x": [1.0, -2.0]}).label({"x": [1.0]})
    with pytest.raises(VotesError, match="comparisons are labels"):
        Preferences.from_votes([1, 2], ["p", "q"], [1, 0], covariates={"x": [1.0, -2.0]})
    pairs, won, x = [["a", "b"], ["b", "c"]], [1, 0], {"x": [1.0, -2.0]}
    with pytest.raises(VotesError, match="'x' is named by vote_features and by covariates"):
        Preferences.from_votes([1, 2], pairs, won, covariates=x, vote_features=x)
    first = {"shown_first": [True, False]}
    with pytest.raises(VotesError, match="give shown_first, too"):
        Preferences.from_votes([1, 2], pairs, won, covariates=first)
    with pytest.raises(VotesError, match="differ: give the same to both"):
        Preferences.from_votes([1, 2], pairs, won, covariates=first, shown_first=[True, True])
    for odd in ([1, -1], ["a", "b"]):
        with pytest.raises(VotesError, match="shown_first must say True or False"):
            Preferences.from_votes([1, 2], pairs, won, covariates={"shown_first": odd}, **first)


def test_a_column_of_one_answer_alone_is_warned_of():
    columns = pd.DataFrame(made())
    with pytest.warns(UserWarning, match="Column 'seconds' never changes its sign"):
        read_votes(columns, covariates=["seconds"], ties="half")


def test_strata_may_be_given_as_covariates(assert_same):
    columns = pd.DataFrame(made())
    prefs = read(columns)
    assert_same(read_votes(columns, covariates=prefs.strata, shown_first="first", ties="half"), prefs)
    with pytest.raises(VotesError, match="covariates are strata with features of their own"):
        read_votes(columns, covariates=prefs.strata, vote_features=["seconds"], shown_first="first")
