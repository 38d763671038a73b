"""Comparisons and models as columns, against the fit and against ordinary Bradley–Terry."""

import numpy as np
import pytest
from scipy.stats import norm

import oracles
from emjax import Beta, BradleyTerry, Fixed, Known, ModelError, PerPair, Points, Preferences, Shared, TwoPoint
from emjax.infer.leaderboard import leaderboard_columns
from emjax.infer.ranks import relative
from emjax.infer.summaries import comparison_columns

PAIRS = [(0, 1), (0, 2), (1, 2)]


def test_comparisons_under_bradley_terry(arena, as_arena, fit_of):
    counts = arena(10)
    fit, prefs = fit_of(counts, Beta(), BradleyTerry()), as_arena(counts)
    columns = comparison_columns(fit.strength, fit.standard_errors(), prefs.table)
    assert list(columns) == ["model_a", "model_b", "strength", "std_err", "n_votes", "wins_a"]
    assert list(zip(columns["model_a"], columns["model_b"], strict=True)) == [
        ("ant", "bee"), ("ant", "cat"), ("bee", "cat"),
    ]  # fmt: skip
    s = np.asarray(fit.strength.strengths)
    mu = np.array([1 / (1 + np.exp(s[b] - s[a])) for a, b in PAIRS])
    np.testing.assert_allclose(columns["strength"], mu, rtol=1e-12)
    np.testing.assert_array_equal(columns["wins_a"], counts[..., 0].sum(axis=0))
    np.testing.assert_array_equal(columns["n_votes"], counts.sum(axis=(0, 2)))
    covariance = fit.standard_errors().covariance[2:, 2:]
    for c, (a, b) in enumerate(PAIRS):
        variance = covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
        np.testing.assert_allclose(columns["std_err"][c], mu[c] * (1 - mu[c]) * np.sqrt(variance), rtol=1e-9)


@pytest.mark.parametrize("prior", [Fixed(Points(3)), Beta()], ids=repr)
def test_comparisons_that_have_a_strength_each(arena, as_arena, fit_of, prior):
    fit = fit_of(arena(10), prior, PerPair())
    columns = comparison_columns(fit.strength, fit.standard_errors(), as_arena(arena(10)).table)
    np.testing.assert_allclose(columns["strength"], fit.strength.values, rtol=1e-12)
    np.testing.assert_allclose(columns["std_err"], fit.standard_errors().std_err[-3:], rtol=1e-9)


def test_what_is_known_or_open_has_no_standard_error(arena, as_arena, fit_of):
    for strength in (Known(np.array([0.7, 0.93, 0.82])), Shared(), PerPair()):
        fit = fit_of(arena(4), TwoPoint(), strength)
        columns = comparison_columns(fit.strength, fit.standard_errors(), as_arena(arena(4)).table)
        assert np.isnan(columns["std_err"]).all() and (columns["strength"] > 0.5).all()


def test_comparisons_without_models_keep_their_labels(quiet):
    prefs = Preferences.from_counts([[3, 4], [5, 1]], [[5, 6], [6, 4]], comparisons=["maths", "poems"])
    fit = quiet(prefs, Fixed(Points(3)), strength=PerPair())
    columns = comparison_columns(fit.strength, fit.standard_errors(), prefs.table)
    assert list(columns["model_a"]) == ["maths", "poems"] and list(columns["model_b"]) == ["", ""]


def test_the_leaderboard_holds_strengths_intervals_and_ranks(arena, as_arena, fit_of):
    counts = arena(10)
    fit = fit_of(counts, Beta(), BradleyTerry())
    board = leaderboard_columns(fit.strength, fit.standard_errors(level=0.9), as_arena(counts).table)
    s = dict(zip(fit.strength.models, np.asarray(fit.strength.strengths), strict=True))
    assert (np.diff(board["strength"]) <= 0).all() and list(board["rank"]) == [1, 2, 3]
    np.testing.assert_allclose(board["strength"], [s[m] for m in board["model"]], atol=1e-9)
    errors = fit.standard_errors(level=0.9)
    where = [errors.names.index(f"strength of {m}") for m in board["model"]]
    both = (matrix[np.ix_(where, where)] for matrix in (errors.covariance, errors.given_prior))
    np.testing.assert_allclose(board["std_err"] ** 2, np.diag(relative(board["strength"], *both)[0]))
    assert (board["best_rank"] <= board["rank"]).all() and (board["rank"] <= board["worst_rank"]).all()
    reach = norm.ppf(0.95) * board["std_err"]
    np.testing.assert_allclose(board["upper"] - board["strength"], reach, rtol=1e-9)
    np.testing.assert_allclose(board["strength"] - board["lower"], reach, rtol=1e-9)
    ordinary = dict(zip(["ant", "bee", "cat"], oracles.bradley_terry(counts, PAIRS, 3, 0.01), strict=True))
    np.testing.assert_allclose(board["ordinary_strength"], [ordinary[m] for m in board["model"]], atol=1e-6)
    totals = counts.sum(axis=(0, 2))
    votes = {"ant": totals[0] + totals[1], "bee": totals[0] + totals[2], "cat": totals[1] + totals[2]}
    np.testing.assert_array_equal(board["n_votes"], [votes[m] for m in board["model"]])
    assert set(board["component"]) == {1}


def test_ranks_are_within_a_connected_component(quiet):
    prefs = Preferences.from_counts(
        [[8, 2], [7, 3], [9, 3]], [[10, 10]] * 3, comparisons=[["a", "b"], ["c", "d"]]
    )
    fit = quiet(prefs, Fixed(Points(3)), strength=BradleyTerry())
    board = leaderboard_columns(fit.strength, fit.standard_errors(), prefs.table)
    of = dict(zip(board["model"], zip(board["component"], board["rank"], strict=True), strict=True))
    assert [of[m][1] for m in "abcd"] == [1, 2, 2, 1]
    assert of["a"][0] == of["b"][0] != of["c"][0] == of["d"][0]


def test_a_leaderboard_needs_models(arena, as_arena, fit_of):
    fit = fit_of(arena(10), Beta(), PerPair())
    with pytest.raises(ModelError, match="BradleyTerry"):
        fit.leaderboard(as_arena(arena(10)))
