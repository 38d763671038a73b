"""Fits of shards on disk with all that votes can have are the fits of the same votes in memory."""

import numpy as np
import pandas as pd
import pytest

import emjax

STRENGTHS = {"ant": 0.9, "bee": 0.2, "cow": -1.1}


def drawn(users: int = 120, votes: int = 25) -> pd.DataFrame:
    """Votes on three models in two topics: ties, a preference for the first answer, some gold questions."""
    rng = np.random.default_rng(1)
    n, names = users * votes, np.array([*STRENGTHS])
    user = np.repeat(np.arange(users), votes)
    first = rng.integers(3, size=n)
    second = (first + rng.integers(1, 3, n)) % 3
    values = np.array([*STRENGTHS.values()])
    length, topic = rng.integers(-3, 4, n), np.array(["code", "prose"])[rng.integers(2, size=n)]
    logit = values[first] - values[second] + 0.2 * length + 0.3 * (topic == "code") * (first == 0)
    gold = rng.random(n) < 0.15
    right = values[first] > values[second]
    prob = np.where(gold, np.where(right, 0.95, 0.05), 1 / (1 + np.exp(-logit)))
    seconds = rng.lognormal(1, 1, n).round(1)
    looks = rng.random(n) < np.where(user % 4 == 0, 0.2, 0.9) * np.where(seconds < 2, 0.6, 1.0)
    on_left = rng.random(n) < 0.5
    won = np.where(looks, rng.random(n) < prob, rng.random(n) < np.where(on_left, 0.6, 0.4))
    words = np.where(won, "model_a", "model_b")
    words[rng.random(n) < 0.1] = "tie"
    return pd.DataFrame(
        {
            "user": user,
            "model_a": names[first],
            "model_b": names[second],
            "winner": words,
            "first": np.where(on_left, names[first], names[second]),
            "topic": topic,
            "right": np.where(gold, np.where(right, "model_a", "model_b"), None),
            "seconds": seconds,
            "length": length,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("votes")
    for number, part in enumerate(np.array_split(drawn(), 3)):
        pd.DataFrame(part, columns=drawn().columns).to_parquet(folder / f"{number}.parquet")
    return folder


CASES = {
    "ties and sides": ({"ties": "model", "shown_first": "first"}, {}),
    "gold": ({"gold": "right", "ties": "half"}, {}),
    "all in topics": (
        {"ties": "model", "shown_first": "first", "gold": "right", "context": "topic"},
        {"strength": emjax.BradleyTerry(l2_context=1.0)},
    ),
    "features": ({"vote_features": ["log:seconds"], "feature_bins": 3, "gold": "right"}, {}),
    "covariates": ({"covariates": ["length", "shown_first"], "shown_first": "first"}, {}),
}


@pytest.mark.parametrize("case", list(CASES))
def test_shards_give_the_fit_of_the_votes_in_memory(folder, tmp_path, case):
    options, model = CASES[case]
    prefs = emjax.read_votes(folder, **options)
    shards = emjax.aggregate(folder, tmp_path / "shards", shards=3, **options)
    whole = emjax.fit_em(prefs, emjax.TwoPoint(), tol=1e-8, **model)
    streamed = emjax.fit_em(shards, emjax.TwoPoint(), tol=1e-8, **model)
    assert streamed.converged and streamed.data == whole.data
    np.testing.assert_allclose(streamed.log_likelihood, whole.log_likelihood, rtol=1e-10)
    ours, theirs = streamed.standard_errors(), whole.standard_errors()
    assert [one.name for one in ours] == [one.name for one in theirs]
    np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ours.std_err, theirs.std_err, rtol=1e-5, atol=1e-8)
    assert [f.what for f in streamed.identified.findings] == [f.what for f in whole.identified.findings]
    everyone = whole.users(prefs).to_pandas().set_index("user")
    of_shards = pd.concat([streamed.users(shard).to_pandas() for shard in shards]).set_index("user")
    of_shards = of_shards.loc[everyone.index]
    np.testing.assert_allclose(of_shards["attentiveness"], everyone["attentiveness"], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(of_shards["n_votes"], everyone["n_votes"])
    board = [fit.leaderboard(of)["model"].to_pylist() for fit, of in ((streamed, shards), (whole, prefs))]
    assert board[0] == board[1]


def test_questions_of_unlike_accuracy_in_some_shards_only():
    """Two lists of gold questions were asked of other users; one shard has none."""
    votes = drawn()
    plain = votes.drop(columns="right")
    parts = [
        emjax.read_votes(votes[votes["user"] < 40], gold="right", gold_accuracy=0.95),
        emjax.read_votes(plain[(votes["user"] >= 40) & (votes["user"] < 60)]),
        emjax.read_votes(votes[votes["user"] >= 60], gold="right", gold_accuracy=0.9),
    ]
    whole = emjax.fit_em(parts[0] + parts[1] + parts[2], emjax.TwoPoint(), tol=1e-8)
    streamed = emjax.fit_em(parts, emjax.TwoPoint(), tol=1e-8)
    np.testing.assert_allclose(streamed.log_likelihood, whole.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(
        streamed.standard_errors().estimate, whole.standard_errors().estimate, rtol=1e-6, atol=1e-7
    )
    assert streamed.data | {"left_out": {}} == whole.data | {"left_out": {}}


def test_a_strength_without_models_is_refused_for_shards_with_covariates(folder, tmp_path):
    shards = emjax.aggregate(folder, tmp_path / "shards", shards=1, covariates=["length"])
    with pytest.raises(emjax.ModelError, match="covariates move the log-odds of models that all strata"):
        emjax.fit_em(shards, emjax.TwoPoint(), strength=emjax.Known(0.8))


def test_cells_with_ties_and_sides_give_the_fit_of_the_votes():
    votes = drawn()
    two = votes[votes["model_a"].isin(["ant", "cow"]) & votes["model_b"].isin(["ant", "cow"])]
    options = {"ties": "model", "shown_first": "first"}
    cells, prefs = emjax.read_cells(two, **options), emjax.read_votes(two, **options)
    one, other = (emjax.fit_em(source, emjax.TwoPoint(), tol=1e-8) for source in (cells, prefs))
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-10)
    assert [e.name for e in one.standard_errors()] == [e.name for e in other.standard_errors()]
    np.testing.assert_allclose(
        one.standard_errors().estimate, other.standard_errors().estimate, rtol=1e-6, atol=1e-7
    )
    joined = emjax.join_cells(two, cells, one.cells(cells), shown_first="first")
    expected = other.users(prefs).set_index("user")["attentiveness"]
    found = joined.set_index("user")["attentiveness"].loc[expected.index]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
