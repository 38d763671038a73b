"""Simulated votes have the probabilities of the behavior model, and fit back to what they were drawn from."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emjax
from emjax.errors import ModelError, VotesError
from emjax.train.simulated_raters import ByReward, TheBetter, simulate_votes


def pairs(n=40, seed=0):
    rng = np.random.default_rng(seed)
    turned = rng.random(n) < 0.5
    names = np.where(turned[:, None], ["new", "old"], ["old", "new"])
    texts = [["x" * int(k) for k in rng.integers(1, 9, 2)] for _ in range(n)]
    return pa.table(
        {
            "pair": np.arange(n) + 100,
            "prompt": [f"question {i}" for i in range(n)],
            "response_a": [a for a, _ in texts],
            "response_b": [b for _, b in texts],
            "model_a": names[:, 0],
            "model_b": names[:, 1],
        }
    )


def length(prompt, text):
    return float(len(text))


def test_votes_follow_the_behavior_model():
    """A user of attentiveness η chooses A with probability η σ(scale · margin) + (1 − η)/2."""
    eta = np.repeat([0.0, 0.4, 1.0], 400)
    choice = ByReward(0.3)
    votes = simulate_votes(pairs(), length, eta, key=0, votes_per_user=30, choice=choice)
    rows = votes.table.to_pydict()
    a_won = np.array(rows["winner"]) == "model_a"
    margin = np.array([len(a) - len(b) for a, b in zip(rows["response_a"], rows["response_b"], strict=True)])
    np.testing.assert_allclose(votes.reward_a - votes.reward_b, margin)
    np.testing.assert_allclose(votes.probability, 1 / (1 + np.exp(-0.3 * margin)))
    for value in (0.0, 0.4, 1.0):
        for gap in (-3, 0, 3):
            here = (eta[np.array(rows["user"])] == value) & (margin == gap)
            expected = value / (1 + np.exp(-0.3 * gap)) + (1 - value) / 2
            error = np.sqrt(expected * (1 - expected) / here.sum())
            assert abs(a_won[here].mean() - expected) < 4 * error
    share = np.array([votes.attentive[eta[np.array(rows["user"])] == value].mean() for value in (0, 0.4, 1)])
    np.testing.assert_allclose(share, [0, 0.4, 1], atol=0.02)
    np.testing.assert_array_equal(a_won[votes.attentive], votes.judged_a[votes.attentive])
    coins = ~votes.attentive
    assert abs(np.mean(a_won[coins] == votes.judged_a[coins]) - 0.5) < 0.02


def test_the_better_answer_always_wins_among_the_attentive():
    votes = simulate_votes(pairs(), length, [1.0] * 50, key=3, votes_per_user=20, choice=TheBetter())
    a_won = np.array(votes.table["winner"].to_pylist()) == "model_a"
    apart = votes.reward_a != votes.reward_b
    np.testing.assert_array_equal(a_won[apart], (votes.reward_a > votes.reward_b)[apart])
    assert 0.3 < a_won[~apart].mean() < 0.7


def test_each_user_votes_equally_often_on_distinct_pairs():
    votes = simulate_votes(pairs(12), length, [0.5] * 30, key=1, votes_per_user=12)
    seen = votes.table.group_by(["user", "pair"]).aggregate([([], "count_all")])
    assert seen.num_rows == 360
    assert set(votes.table["pair"].to_pylist()) == set(range(100, 112))


def test_the_same_key_gives_the_same_votes():
    drawn = [simulate_votes(pairs(), length, [0.5] * 9, key=k, votes_per_user=9).table for k in (1, 1, 2)]
    assert drawn[0].equals(drawn[1]) and not drawn[0].equals(drawn[2])


def test_the_table_does_not_hold_the_truth():
    votes = simulate_votes(pairs(), length, [0.5] * 3, key=1, votes_per_user=3)
    expected = ["user", "pair", "prompt", "response_a", "response_b", "model_a", "model_b", "winner"]
    assert votes.table.column_names == expected


def test_a_fit_recovers_the_simulated_attentiveness():
    """With one generator better than the other, attentive users are distinguished from votes alone."""
    n, rng = 400, np.random.default_rng(4)
    better = rng.random(n) < 0.5
    made = {
        "prompt": ["p"] * n,
        "response_a": np.where(better, "good", "bad").tolist(),
        "response_b": np.where(better, "bad", "good").tolist(),
        "model_a": np.where(better, "new", "old").tolist(),
        "model_b": np.where(better, "old", "new").tolist(),
    }
    eta = np.where(np.arange(400) % 2, 0.9, 0.1)
    margin = np.log(0.8 / 0.2)
    votes = simulate_votes(
        made, lambda prompt, text: margin * (text == "good"), eta, key=0, votes_per_user=60
    )
    prefs = emjax.read_votes(votes.table)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known({("new", "old"): 0.8}))
    assert fit.prior.low == pytest.approx(0.1, abs=0.06)
    assert fit.prior.high == pytest.approx(0.9, abs=0.06)
    assert np.mean((fit.posterior(prefs).mean > 0.5) == (eta > 0.5)) > 0.97


def test_pairs_may_be_any_type_of_table(tmp_path):
    import pandas as pd
    import polars as pl

    table = pairs()
    pq.write_table(table, tmp_path / "pairs.parquet")
    columns = table.to_pydict()
    kinds = (table, columns, pd.DataFrame(columns), pl.DataFrame(columns), tmp_path / "pairs.parquet")
    drawn = [simulate_votes(kind, length, [0.5] * 4, key=0, votes_per_user=4).table for kind in kinds]
    assert all(other.equals(drawn[0]) for other in drawn)
    numbered = simulate_votes(table.drop(["pair"]), length, [0.5], key=0, votes_per_user=40)
    assert sorted(numbered.table["pair"].to_pylist()) == list(range(40))


@pytest.mark.parametrize("eta", [[1.2], [-0.1], [np.nan], [], [[0.5]]], ids=str)
def test_attentiveness_outside_zero_and_one_is_refused(eta):
    with pytest.raises(ModelError, match="one attentiveness in"):
        simulate_votes(pairs(), length, eta, key=0, votes_per_user=1)


def test_bad_input_is_counted():
    with pytest.raises(VotesError, match="5 different pairs, and there are 4"):
        simulate_votes(pairs(4), length, [0.5], key=0, votes_per_user=5)
    with pytest.raises(VotesError, match="no column response_b, model_b"):
        simulate_votes(pairs().drop(["response_b", "model_b"]), length, [0.5], key=0, votes_per_user=5)
    with pytest.raises(VotesError, match="80 of 80 rewards are not finite: first that of side a of pair 0"):
        simulate_votes(pairs(), lambda prompt, text: np.nan, [0.5], key=0, votes_per_user=5)
    with pytest.raises(ModelError, match="and 0 votes"):
        simulate_votes(pairs(), length, [0.5], key=0, votes_per_user=0)
    for scale in (0, -1, np.inf):
        with pytest.raises(ModelError, match="scale above 0"):
            ByReward(scale)
