"""Simulated votes: of the model they claim to come from, the same for the same key."""

import jax
import numpy as np
import pytest
from scipy.stats import kstest

from emjax import Beta, Fixed, Grid, ModelError, Points, TwoPoint, simulate


def test_users_are_drawn_from_the_prior():
    beta = simulate(1, n_users=3000, votes_per_user=1, prior=Beta(3, 5)).attentiveness
    assert kstest(beta, "beta", args=(3, 5)).pvalue > 1e-3
    two = simulate(2, n_users=3000, votes_per_user=1, prior=Fixed(TwoPoint(0.1, 0.95, 0.7))).attentiveness
    assert set(two) == {0.1, 0.95}
    assert abs((two == 0.95).mean() - 0.7) < 4 * np.sqrt(0.21 / 3000)
    for prior in (Points(3), Grid(5)):
        drawn = simulate(3, n_users=3000, votes_per_user=1, prior=prior).attentiveness
        np.testing.assert_array_equal(np.unique(drawn), np.asarray(prior.points))


def test_shares_of_votes_follow_attentiveness_and_strength():
    """Mean and variance of the wins of a user, and their correlation with the truth."""
    sim = simulate(4, n_users=40_000, votes_per_user=20, prior=Beta(3, 5), strength=0.74)
    wins = sim.preferences.wins_by_user()
    assert sim.preferences.n_users == 40_000 and (wins.sum(axis=1) == 20).all()
    assert [str(x) for x in sim.preferences.comparisons[0]] == ["A", "B"]
    p = 0.5 + sim.attentiveness * 0.24
    mean, variance = 20 * (0.5 + 0.24 * 3 / 8), 20 * np.mean(p * (1 - p)) + 400 * np.var(p)
    assert abs(wins[:, 0].mean() - mean) < 4 * np.sqrt(variance / 40_000)
    assert abs(wins[:, 0].var() / variance - 1) < 4 * np.sqrt(2 / 40_000)
    left_over = wins[:, 0] - 20 * p
    assert abs(np.corrcoef(left_over, sim.attentiveness)[0, 1]) < 4 / np.sqrt(40_000)


def test_pairs_and_sides_are_drawn_evenly_and_won_as_bradley_terry_says():
    strengths = {"x": 1.0, "y": 0.2, "z": -0.6}
    sim = simulate(5, n_users=3000, votes_per_user=40, prior=TwoPoint(0.5, 0.9, 0.5), strengths=strengths)
    np.testing.assert_allclose(sim.strengths, np.array([1.0, 0.2, -0.6]) - 0.2, atol=1e-15)
    assert sim.models == ("x", "y", "z")
    n = len(sim.user)
    for a in range(3):
        for b in range(3):
            here = (sim.model_a == a) & (sim.model_b == b)
            if a == b:
                assert not here.any()
                continue
            assert abs(here.mean() - 1 / 6) < 4 * np.sqrt(5 / 36 / n)
            mu = 1 / (1 + np.exp(sim.strengths[b] - sim.strengths[a]))
            p = 0.5 + sim.attentiveness[sim.user[here]] * (mu - 0.5)
            assert abs(sim.a_won[here].mean() - p.mean()) < 4 * 0.5 / np.sqrt(here.sum())


def test_the_table_and_the_counts_are_the_same_votes():
    sim = simulate(6, n_users=50, votes_per_user=5, strengths={"x": 0.5, "y": 0.0, "z": -0.5})
    columns = sim.columns()
    assert list(columns) == ["user", "model_a", "model_b", "winner"]
    assert {len(x) for x in columns.values()} == {250}
    won_by_x = sum(
        row[{"model_a": 1, "model_b": 2}[row[3]]] == "x" for row in zip(*columns.values(), strict=True)
    )
    prefs = sim.preferences
    of_x = prefs.comparisons[prefs.comparison] == "x"
    assert won_by_x == prefs.counts[of_x].sum()
    assert repr(sim) == "Simulation: 250 votes of 50 users over 3 models"


def test_the_same_key_gives_the_same_votes():
    first, again = (
        simulate(7, n_users=50, votes_per_user=5),
        simulate(jax.random.key(7), n_users=50, votes_per_user=5),
    )
    other = simulate(8, n_users=50, votes_per_user=5)
    for name in ("user", "a_won", "attentiveness"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.a_won, other.a_won)
    assert first.attentiveness.dtype == np.float64 and isinstance(first.attentiveness, np.ndarray)


def test_numbers_of_votes_may_differ_between_users():
    sim = simulate(9, n_users=3000, votes_per_user=2.5, spread=True)
    votes = np.bincount(sim.user, minlength=3000)
    assert abs(votes.mean() - 2.5) < 4 * np.sqrt(2.5 / 3000)
    assert abs(votes.var() / 2.5 - 1) < 0.1
    assert sim.preferences.n_users == (votes > 0).sum()


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_users": 0}, {"votes_per_user": 0}, {"strength": 1.0}, {"strength": 0.0},
        {"strengths": {"x": 1.0}}, {"n_users": 2, "votes_per_user": 0.1},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_simulations_are_refused(wrong):
    with pytest.raises(ModelError):
        simulate(0, **wrong)


@pytest.mark.parametrize("sizes", [(10, np.nan), (10, 1e300), (0, 5), (10, -1), (10**9, 1e9)], ids=str)
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ModelError, match="users and votes"):
        simulate(0, n_users=sizes[0], votes_per_user=sizes[1])
