"""The picture of a predictive check shows the counts it was given, and the band of its draws."""

import numpy as np
import pytest

from emjax.bayes.predictive import WinRates
from emjax.report import plot_win_rates


@pytest.fixture(scope="module")
def check() -> WinRates:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(80, [0.1, 0.4, 0.3, 0.2], 400)
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    return WinRates(edges, np.array([3, 60, 10, 7]), drawn, 0.2, np.full(400, 0.2))


def test_points_are_the_observed_counts_of_users(check):
    ax = plot_win_rates(check)
    points = next(line for line in ax.get_lines() if line.get_label() == "observed")
    assert np.allclose(points.get_xdata(), [12.5, 37.5, 62.5, 87.5])
    assert np.array_equal(points.get_ydata(), check.seen)


def test_the_band_excludes_a_fortieth_on_either_side(check):
    ax = plot_win_rates(check)
    data = ax.patches[0].get_data()
    assert np.allclose(data.edges, 100 * check.edges)
    low, high = np.asarray(data.baseline), np.asarray(data.values)
    assert (low < high).all()
    # Counts are whole, so that at most a fortieth, and not much less, lies beyond each end.
    assert ((check.drawn < low).mean(axis=0) <= 0.025).all()
    assert ((check.drawn > high).mean(axis=0) <= 0.025).all()
    assert ((check.drawn <= low).mean(axis=0) >= 0.025).all()
    assert ((check.drawn >= high).mean(axis=0) >= 0.025).all()
    middles = np.array([segment[0, 1] for segment in ax.collections[0].get_segments()])
    assert np.allclose(middles, np.median(check.drawn, axis=0))


def test_everything_is_inside_the_frame(check):
    ax = plot_win_rates(check)
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > check.seen.max()
    empty = WinRates(check.edges, np.zeros(4, int), np.zeros((5, 4), int), float("nan"), np.full(5, np.nan))
    assert plot_win_rates(empty).get_ylim()[1] > 0


def test_it_draws_on_the_axes_given(check):
    ax = plot_win_rates(check)
    before = len(ax.get_lines())
    assert plot_win_rates(check, ax=ax) is ax
    assert len(ax.get_lines()) == before + 1
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == [
        "expected (95 % of predictive draws)",
        "observed",
    ]
